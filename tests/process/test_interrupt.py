"""Check what Ctrl-C and kill -9 end, what they keep, and that the next run resumes."""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.helpers.root import ROOT

SOON = 10  # seconds: one or two where nothing else runs
WOR = [sys.executable, "-m", "wor.cli"]


class Started:
    """A command with a session of its own, and what it has written so far."""

    def __init__(self, command, cwd, environment, log):
        self.log = log
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                # A background job ignores the signal, and its children inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    @property
    def said(self):
        return self.log.read_text()

    def until(self, true, patience=300):
        end = time.monotonic() + patience
        while not true():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.002)
        return self

    def until_said(self, text):
        return self.until(lambda: text in self.said)

    def interrupted(self, again_after=None):
        """Its last line, once it has ended as it should."""
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        if again_after is not None:
            time.sleep(again_after)
            os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(SOON) == 130, self.said
        print(f"ended after {time.monotonic() - began:.2f} s")  # for whoever runs it with -s
        self.wait_until_all_ended(began + SOON)  # a stage may have been starting
        assert "Traceback" not in self.said
        assert "KeyboardInterrupt" not in self.said
        assert "ERROR" not in self.said
        return self.said.splitlines()[-1]

    def wait_until_all_ended(self, deadline):
        while [pid for pid in psutil.pids() if _session(pid) == self.process.pid]:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _session(pid):
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


DEAF = """
import hashlib
from wor.process import interrupt
from wor.process.exit import one_line_errors
interrupt.install_handlers()
with one_line_errors():
    print("computing", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""


def test_an_operation_that_does_not_come_back_to_python_is_ended_all_the_same(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = Started([sys.executable, "-c", DEAF], tmp_path, environment, tmp_path / "log").until_said("computing\n")
    assert started.interrupted().startswith("interrupted: nothing was changed. To start again: ")


def test_it_ends_where_nobody_reads_what_it_says(tmp_path):
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=write, start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(write)
    os.close(read)
    assert process.stdout.readline() == b"computing\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(SOON) == 130
    process.stdout.close()


@pytest.mark.dvc
class TestAStudy:
    @pytest.fixture
    def start(self, study, tmp_path):
        """Start a command in a copy of `ran`, with shards of its own."""
        self.study = study
        self.study.environment["WOR_CACHE"] = str(tmp_path / "cache")
        self.study.environment["SHELL"] = "/bin/sh"  # as where none is set; see quiet_dvc
        self.shards = f"{tmp_path}/cache/shards/*/*/arrays.safetensors"
        return lambda *command: Started(command, self.study.folder, self.study.environment, tmp_path / "log")

    def forget(self, *stages):
        """Remove these stages from DVC's lock and run cache, and remove the iteration."""
        lock = self.study.folder / "dvc.lock"
        known = yaml.safe_load(lock.read_text())
        commands = {known["stages"].pop(stage)["cmd"] for stage in stages}
        lock.write_text(yaml.safe_dump(known))
        for path in sorted((self.study.folder / ".dvc/cache/runs").glob("*/*/*")):
            if yaml.safe_load(path.read_text())["cmd"] in commands:
                shutil.rmtree(path.parent)
        shutil.rmtree(self.study.folder / "experiments")

    def test_a_run_goes_on_where_it_was_and_comes_to_the_same(self, start, ran):
        redone = ("activations@tiny-syllogism", "activations@tiny-wiki", "nulls@tiny", "metrics", "stats", "figures", "iteration")
        self.forget(*redone)
        run = start(*WOR, "run").until_said("activations tiny wiki: generated: 22")
        run.until(lambda: len(glob.glob(self.shards)) == 2)  # all that was generated, and sixteen that were observed
        items = "finished stages, and of activations tiny wiki: generated 22 of 22, observed 16 of 22"
        assert run.interrupted() == f"interrupted: kept {items}. The same command resumes: wor run"
        assert self.study.run("git", "symbolic-ref", "HEAD").stdout == "refs/heads/main\n"
        assert "Running stage 'activations@tiny-syllogism'" in run.said

        # To the end of a line that DVC writes in two pieces, before it starts the process.
        again = start(*WOR, "run").until_said("> python -m stages nulls --model tiny\n")
        assert "Running stage 'activations@tiny-syllogism'" not in again.said
        assert "observed: 16 of 22 were done before an interruption" in again.said
        line = r"interrupted: kept finished stages(, and nothing of nulls tiny)?\. The same command resumes: wor run"
        assert re.fullmatch(line, again.interrupted(again_after=0.1))

        last = start(*WOR, "run")
        assert last.process.wait(300) == 0
        assert "Running stage 'activations@tiny-wiki'" not in last.said
        assert self.study.iterations() == ["iteration_001"]
        for path in (ran.folder / "experiments/iteration_001/results").glob("*.csv"):
            assert (self.study.folder / "experiments/iteration_001/results" / path.name).read_bytes() == path.read_bytes()
        assert not glob.glob(self.shards)

    def test_kill_9_of_wor_or_of_all_ends_the_run_and_the_next_one_resumes(self, start, ran):
        self.forget("activations@tiny-wiki", "nulls@tiny", "metrics", "stats", "figures", "iteration")
        run = start(*WOR, "run").until_said("activations tiny wiki: generated: 22")
        run.process.kill()
        run.process.wait()
        run.wait_until_all_ended(time.monotonic() + SOON)
        again = start(*WOR, "run").until_said("> python -m stages nulls --model tiny\n")
        assert "Running stage 'activations@tiny-wiki'" in again.said
        assert "were done before an interruption" in again.said
        os.killpg(again.process.pid, signal.SIGKILL)  # DVC too: it cannot put HEAD back
        again.process.wait()
        again.wait_until_all_ended(time.monotonic() + SOON)
        assert self.study.run("git", "rev-parse", "--abbrev-ref", "HEAD").stdout == "HEAD\n"
        last = start(*WOR, "run")
        assert last.process.wait(300) == 0, last.said
        assert "Back on branch main: a killed run had left it\n" in last.said
        assert "Running stage 'activations@tiny-wiki'" not in last.said
        assert self.study.run("git", "symbolic-ref", "HEAD").stdout == "refs/heads/main\n"
        for path in (ran.folder / "experiments/iteration_001/results").glob("*.csv"):
            assert (self.study.folder / "experiments/iteration_001/results" / path.name).read_bytes() == path.read_bytes()

    def test_a_killed_stage_is_explained_in_one_line(self, start):
        self.forget("reference@tiny")
        run = start(*WOR, "run").until_said("averaged: ")
        (stage,) = (
            process
            for process in psutil.Process(run.process.pid).children(recursive=True)
            if "stages" in process.cmdline() and "reference" in process.cmdline()
        )
        stage.kill()
        assert run.process.wait(60) == 255
        line = run.said.splitlines()[-1]
        assert line.startswith("error: python -m stages reference --model tiny: killed")
        assert line.endswith("The same command resumes")
        assert "exited with -9" not in run.said

    def test_a_run_with_a_profile_leaves_no_copy_of_the_workspace(self, start):
        self.forget("reference@tiny")
        (self.study.folder / "profiles" / "few.yaml").write_text("statistics:\n  permutations: 100\n")
        self.study.run("git", "add", "profiles")
        self.study.run("git", "commit", "-qm", "Add a profile")
        before = self.study.run("git", "status", "--porcelain").stdout
        run = start(*WOR, "run", "--profile", "few").until_said("averaged: ")
        assert "No file hash info" not in run.said
        line = run.interrupted()
        assert re.fullmatch(r"interrupted: kept finished stages, and of reference tiny: .+: wor run --profile few", line)
        assert self.study.run("git", "status", "--porcelain").stdout == before
        assert not [path for path in (self.study.folder / ".dvc/tmp/exps").glob("*/*") if (path / "wor").exists()]

    def test_a_stage_by_itself_says_so_itself(self, start):
        command = [sys.executable, "-m", "stages", "reference", "--model", "tiny"]
        resume = "The same command resumes: python -m stages reference --model tiny"
        early = start(*command)
        early.until(lambda: "torch" in Path(f"/proc/{early.process.pid}/maps").read_text())
        assert early.interrupted() == f"interrupted: kept nothing of reference tiny. {resume}"
        later = start(*command).until_said("generated: 30")
        items = "of reference tiny: generated 30 of 30, averaged 0 of 30"
        assert later.interrupted() in (
            f"interrupted: kept {items}. {resume}",
            f"interrupted: kept of reference tiny: generated 30 of 30. {resume}",
        )

    @pytest.mark.parametrize("command", [["plan"], ["doctor"], ["report", "iteration_001", "--redraw"]])
    def test_another_command_says_that_nothing_was_changed(self, start, command):
        started = start(*WOR, *command)
        started.until(lambda: psutil.Process(started.process.pid).cpu_times().user > 0.3)
        assert started.interrupted() == f"interrupted: nothing was changed. To start again: wor {' '.join(command)}"
