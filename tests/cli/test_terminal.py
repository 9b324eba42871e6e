"""What a person, a script and a shell get from `wor`: help, JSON, completion, errors and tables."""

import math
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.helpers.files import strictly
from tests.helpers.iterations import make_iteration
from tests.helpers.root import ROOT
from wor.cli.app import PANELS, app
from wor.cli.shared import print_json
from wor.pipeline.graph import load_graph
from wor.recording.numbering import rebuild_registry

STAGES = [name for name in load_graph(ROOT / "dvc.yaml") if name != "iteration"]
WOR = [sys.executable, "-m", "wor.cli"]


def environment(**changes):
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "WOR_DEBUG", "FORCE_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def wor(*arguments, cwd, **changes):
    return subprocess.run([*WOR, *arguments], cwd=cwd, env=environment(**changes), capture_output=True, text=True)


def on_a_terminal(*arguments, cwd, **changes):
    """What ``wor`` writes where its output is a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen([*WOR, *arguments], cwd=cwd, env=environment(**changes), stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with parameters and two iterations, which have no statistics."""
    folder = tmp_path_factory.mktemp("here")
    for name in ("params.yaml", "prereg.yaml", "dvc.yaml", "profiles", "data/frozen"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)
    experiments = folder / "experiments"
    experiments.mkdir()
    models = "smollm2-135m-instruct smollm2-135m-first-10"
    known = {"date": "2026-11-25T22:00:11+00:00", "delta_auc_mean": 0.14, "ci_low": 0.01, "ci_high": 0.39, "models": models}
    make_iteration(experiments, 1, kind="exploratory", criteria="2 pass, 1 fail, 3 not evaluable", **known)
    make_iteration(experiments, 2)
    rebuild_registry(experiments)
    return folder


class TestHelp:
    def test_wor_alone_shows_every_command_by_task(self, here):
        done = wor(cwd=here)
        assert (done.returncode, done.stderr) == (0, "")
        headings = re.findall(r"^╭─ (.+?) ─", done.stdout, re.MULTILINE)
        assert headings == ["Options", *PANELS]
        for command in (command for commands in PANELS.values() for command in commands):
            assert re.search(rf"^│ {command.__name__} ", done.stdout, re.MULTILINE)

    @pytest.mark.parametrize("command", [command.__name__ for commands in PANELS.values() for command in commands])
    def test_a_command_s_help_has_an_example_that_is_one(self, command):
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        (example,) = re.findall(r"Example: wor (\S+)", shown)
        assert example == command


class TestCompletion:
    """As a shell asks: https://click.palletsprojects.com/en/stable/shell-completion/"""

    def ask(self, folder, line):
        words = line.split(" ")
        asked = {"_WOR_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        done = wor(cwd=folder, **asked)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    @pytest.mark.parametrize(
        ("line", "offered"),
        [
            ("wor re", ["reproduce", "results", "report", "registry", "record"]),
            ("wor results ", ["iteration_002", "iteration_001"]),
            ("wor compare iteration_002 iteration_001", ["iteration_001"]),
            ("wor run --profile o", ["offline-scale"]),
            ("wor run -S robustness.", ["robustness.temperatures=", "robustness.n="]),
            ("wor reproduce --from ", STAGES),
            ("wor freeze strategy", []),
        ],
    )
    def test_tab_offers(self, here, line, offered):
        assert self.ask(here, line) == offered

    @pytest.mark.parametrize(
        "line", ["wor results ", "wor run --profile ", "wor run -S ", "wor reproduce --from ", "wor freeze "]
    )
    def test_tab_says_nothing_where_something_is_amiss(self, tmp_path, line):
        assert self.ask(tmp_path, line) == []
        (tmp_path / "params.yaml").write_text("{")
        (tmp_path / "dvc.yaml").write_text("- no stages")
        assert self.ask(tmp_path, line) == []

    def test_the_script_for_bash_is_shown(self, here):
        line = f"{shlex.join(WOR)} --show-completion; exit $?"  # asks which shell it is started from
        done = subprocess.run(["bash", "-c", line], cwd=here, env=environment(), capture_output=True, text=True)
        assert "complete -o default -F _wor_completion wor" in done.stdout

    def test_what_a_shell_waits_for_loads_nothing_heavy(self, here):
        heavy = {"torch", "transformers", "scipy", "statsmodels", "pandas", "dvc", "sklearn"}
        code = f"import sys, wor.cli.app; print(*{heavy} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], cwd=here, env=environment(), capture_output=True, text=True)
        assert done.stdout == "\n"


class TestJson:
    def test_the_registry_is_the_same_by_either_option(self, here):
        found = strictly(wor("registry", "--json", cwd=here).stdout)
        assert found == strictly(wor("registry", "--format", "json", cwd=here).stdout)
        assert [(row["iteration_id"], row["delta_auc_mean"]) for row in found] == [
            ("iteration_001", 0.14),
            ("iteration_002", None),
        ]
        assert wor("registry", "--json", "--format", "csv", cwd=here).returncode == 2

    def test_verify_says_in_json_what_it_says_in_lines(self, here, tmp_path):
        folder = tmp_path / "here"
        shutil.copytree(here, folder)
        assert strictly(wor("verify", "--all", "--json", cwd=folder).stdout) == {
            "iterations": ["iteration_001", "iteration_002"],
            "intact": True,
            "faults": [],
        }
        (folder / "experiments/iteration_001/results/a.csv").write_text("y\n")
        done = wor("verify", "--all", "--json", cwd=folder)
        assert done.returncode == 1
        found = strictly(done.stdout)
        assert not found["intact"]
        assert found["faults"] == wor("verify", "--all", cwd=folder).stdout.splitlines()

    def test_check_names_departures(self, here):
        assert strictly(wor("check", "--json", cwd=here).stdout)["kind"] == "confirmatory"
        found = strictly(wor("check", "-S", "measures.tau=2.0", "--json", cwd=here).stdout)
        assert found["kind"] == "exploratory"
        assert found["departures"][0] in wor("check", "-S", "measures.tau=2.0", cwd=here).stdout

    def test_what_is_no_number_is_null(self, capsys):
        print_json({"a": math.nan, "b": (math.inf, 1.5)})
        assert strictly(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}

    def test_an_error_stays_one_line_on_stderr(self, here):
        done = wor("results", "iteration_009", "--json", cwd=here)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: iteration: 'iteration_009' is not in ")
        assert done.stderr.count("\n") == 1


class TestErrors:
    @pytest.fixture
    def broken(self, here, tmp_path):
        """Return a study whose statistics and stage input are not JSON. Nobody foresaw either."""
        shutil.copytree(here, tmp_path / "broken")
        for path in ("experiments/iteration_002/results/aggregate_statistics.json", "data/stats/smollm2-135m-instruct.json"):
            (tmp_path / "broken" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "broken" / path).write_text("{")
        return tmp_path / "broken"

    def test_a_fault_of_ours_is_one_line_and_debug_shows_where(self, broken):
        done = wor("results", cwd=broken)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: JSONDecodeError: Expecting property name")
        assert done.stderr.endswith("This is a bug in wor. For a traceback: wor --debug results\n")
        for traced in (wor("--debug", "results", cwd=broken), wor("results", cwd=broken, WOR_DEBUG="1")):
            assert traced.returncode == 1
            assert traced.stderr.startswith("Traceback")
            assert "storage.py" in traced.stderr
            assert traced.stderr.splitlines()[-1].startswith("error: JSONDecodeError")

    def test_a_refusal_shows_where_it_came_from_too(self, here):
        refused = wor("check", "-S", "temperature=99", cwd=here)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        traced = wor("--debug", "check", "-S", "temperature=99", cwd=here)
        assert (traced.returncode, traced.stderr.splitlines()[-1]) == (2, refused.stderr.strip())
        assert traced.stderr.startswith("Traceback")

    def test_a_stage_does_the_same(self, broken):
        def run(**changes):
            command = [sys.executable, "-m", "stages", "figures"]
            return subprocess.run(command, cwd=broken, env=environment(**changes), capture_output=True, text=True)

        done = run()
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr.endswith("For a traceback: WOR_DEBUG=1 python -m stages figures\n")
        assert run(DVC_STAGE="figures").stderr.endswith("For a traceback: wor --debug run\n")
        assert "Traceback" in run(WOR_DEBUG="1").stderr

    def test_a_reader_who_leaves_early_is_no_error(self, here):
        """As `wor registry | head -0`."""
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [*WOR, "registry", "--json"], cwd=here, env=environment(), stdout=write, stderr=subprocess.PIPE, text=True
        )
        os.close(write)
        assert done.stderr == ""


CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class TestTables:
    WHOLE = ("smollm2-135m-instruct", "smollm2-135m-first-10", "2 pass, 1 fail, 3 not evaluable", "+0.14 [+0.01, +0.39]")

    def test_no_color_leaves_no_colour_and_a_dumb_terminal_no_code_at_all(self, here):
        coloured = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])m")
        assert coloured.search(on_a_terminal("--help", cwd=here, TERM="xterm-256color"))
        assert not coloured.search(on_a_terminal("--help", cwd=here, TERM="xterm-256color", NO_COLOR="1"))
        for command in (["registry"], ["verify", "--all"], ["--help"]):
            assert not CODES.search(on_a_terminal(*command, cwd=here, TERM="dumb"))
        assert "doctor" in on_a_terminal("--help", cwd=here, TERM="dumb")

    def test_a_pipe_gets_no_code_and_120_columns(self, here):
        shown = wor("registry", cwd=here).stdout
        assert not CODES.search(shown)
        assert max(map(len, shown.splitlines())) == 120
        assert " dAUC ┃" in shown

    @pytest.mark.parametrize("columns", ["40", "60"])
    def test_a_narrow_terminal_gets_a_list_in_which_nothing_is_cut(self, here, columns):
        for shown in (
            wor("registry", cwd=here, COLUMNS=columns).stdout,
            on_a_terminal("registry", cwd=here, COLUMNS=columns, TERM="dumb"),
        ):
            assert "┃" not in shown
            assert "…" not in shown
            assert {f"  dAUC: {self.WHOLE[3]}", f"  kind; criteria: exploratory; {self.WHOLE[2]}"} <= set(shown.splitlines())
            assert all(text in shown for text in self.WHOLE)
