"""Commands in hostile shells: variables, folders and masks. What they print must not change.

A decoy repository stands where the variables point. Nothing may change there, nor in the study but
by a command that writes.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.hostile.outcome import ACCEPTED, Outcome, judge_line
from benchmarks.hostile.parameters import draw
from wor import paths

SEED = 3
SECONDS = 120
COMMANDS = (
    ("check", "--json"),
    ("check", "-S", "temperature=0.7", "--json"),
    ("check", "-S", "temprature=1"),
    ("runs", "--json"),
    ("registry", "--json"),
    ("measures", "--json"),
    ("results", "nonsense"),
    ("compare", "a", "b"),
    ("verify",),
    ("new", "measure", "late"),
)
UNSET = None


def variables(decoy: Path) -> list[dict[str, str | None]]:
    """Return what a shell, a hook, a container or a person may have set."""
    absent, file = str(decoy / "absent"), str(decoy / "file")
    git = str(decoy / ".git")
    alone: list[dict[str, str | None]] = [
        {"GIT_DIR": git, "GIT_WORK_TREE": str(decoy)},
        {"GIT_DIR": git},
        {"GIT_DIR": git, "GIT_INDEX_FILE": f"{git}/index"},
        {"GIT_WORK_TREE": str(decoy)},
        {"GIT_INDEX_FILE": absent},
        {"GIT_OBJECT_DIRECTORY": absent},
        {"GIT_NAMESPACE": "other"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree", "GIT_CONFIG_VALUE_0": str(decoy)},
        {"GIT_CEILING_DIRECTORIES": "/"},
        {"GIT_CONFIG_GLOBAL": absent},
        {"GIT_PAGER": "false", "PAGER": "false"},
        {"PATH": str(Path(sys.executable).parent)},
        {"DVC_ROOT": str(decoy)},
        {"DVC_GLOBAL_CONFIG_DIR": file, "DVC_SITE_CACHE_DIR": file},
        {"DVC_EXP_NAME": "other"},
        {"MPLBACKEND": "TkAgg"},
        {"MPLCONFIGDIR": absent},
        {"SOURCE_DATE_EPOCH": "yesterday"},
        {"TZ": "Nowhere/Nowhere"},
        {"PAGER": UNSET, "TERM": UNSET},
        {"TERM": "dumb"},
        {"FORCE_COLOR": "1"},
        {"COLUMNS": "0"},
        {"COLUMNS": "wide", "LINES": "-1"},
        {"SHELL": UNSET},
        {"SHELL": "/bin/false"},
        {"TMPDIR": absent},
        {"OMP_NUM_THREADS": "many"},
        {"OMP_NUM_THREADS": "0", "MKL_NUM_THREADS": "-1"},
        {"HF_HOME": ""},
        {"HF_HOME": "relative"},
        {"HF_HUB_CACHE": file},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONHASHSEED": "7"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"NO_COLOR": "1"},
    ]
    alone += [{"LC_ALL": name} for name in ("C", "POSIX", "de_DE.UTF-8", "tr_TR.UTF-8", "xx_XX", "")]
    alone += [
        {name: value}
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        for value in ("", "relative", absent, file)
    ]
    alone += [{"HOME": value} for value in (UNSET, "", "relative", absent, file)]
    return alone


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the files below a folder with size and time of change. Bytecode doesn't count."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def workplace() -> Iterator[tuple[Path, Path]]:
    """Give a study's folder and a decoy repository, and remove both afterwards."""
    with tempfile.TemporaryDirectory() as name:
        study, decoy = Path(name) / "study", Path(name) / "decoy"
        git(Path(), "clone", "-q", str(paths.project()), str(study))
        decoy.mkdir()
        (decoy / "file").write_text("theirs\n")
        git(decoy, "init", "-q")
        git(decoy, "add", "-A")
        git(decoy, "commit", "-qm", "Theirs")
        yield study, decoy


def run(
    study: Path, folder: Path, command: tuple[str, ...], changes: dict[str, str | None], mask: int
) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    environment |= {"PYTHONPATH": str(study), "DVC_NO_ANALYTICS": "1"}
    environment |= {name: value for name, value in changes.items() if value is not UNSET}
    for name in [name for name, value in changes.items() if value is UNSET]:
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "wor.cli", *command],
        cwd=folder,
        env=environment,
        umask=mask,
        capture_output=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )


def plain(output: bytes, study: Path) -> bytes:
    """Return what was printed without colours and without the study's place."""
    return re.sub(rb"\x1b\[[0-9;]*m", b"", output).replace(str(study).encode(), b"STUDY")


@cache
def expected(command: tuple[str, ...]) -> tuple[int, bytes]:
    """Return what a command does in this shell, in a clone of this commit."""
    with workplace() as (study, _):
        done = run(study, study, command, {}, 0o022)
        return done.returncode, plain(done.stdout, study)


def run_case(number: int) -> Outcome:
    """Run one command in a shell with one to three hostile settings."""
    rng = np.random.default_rng((SEED, number))
    command = draw(rng, COMMANDS)
    with workplace() as (study, decoy):
        settings = variables(decoy)
        changes: dict[str, str | None] = {}
        for _ in range(rng.integers(1, 4)):
            changes |= draw(rng, settings)
        before, head = tree(decoy), git(study, "rev-parse", "HEAD")
        done = run(study, study, command, changes, int(rng.choice([0o022, 0o077, 0o000, 0o002])))
        code, output = done.returncode, plain(done.stdout, study)
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        where = f"wor {' '.join(command)} with {changes}: "
        changed = [line for line in git(study, "status", "--porcelain", "--ignored").splitlines() if "__pycache__" not in line]
        if any(line.startswith("Traceback") for line in lines):
            return Outcome("traceback", where + " | ".join(lines[-3:]))
        if tree(decoy) != before or git(study, "rev-parse", "HEAD") != head:
            return Outcome("half-written", f"{where}the decoy or the study's HEAD changed")
        if changed and command[0] != "new":
            return Outcome("half-written", f"{where}{changed[:3]}")
        if code not in (0, 2):
            return Outcome("wrong exit code", f"{where}{code} {' | '.join(lines[-3:])}")
        if code == 2:
            if len(lines) != 1:
                return Outcome("several lines", where + " | ".join(lines)[:500])
            return judge_line(lines[0])
        if (code, output) != expected(command):
            return Outcome("silent acceptance", f"{where}another output than without: {output[:200]!r}")
        return Outcome(ACCEPTED)
