"""Python, packages, tools, and variables of the shell."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from wor import paths
from wor.doctor.finding import Finding, fail, ok, short_path, warn
from wor.errors import UserError
from wor.machine.environment import package_version
from wor.process import commands

REQUIREMENTS = Path("requirements.txt")


def python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    asked = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    have = ".".join(map(str, sys.version_info[:3]))
    if have in SpecifierSet(asked):
        yield ok("Python", f"{have} (asked for: {asked})")
    else:
        yield fail("Python", f"{have}; pyproject.toml asks for {asked}", "make clean && make setup PYTHON=python3.11")


def packages(requirements: Path = REQUIREMENTS) -> Iterator[Finding]:
    """Each package that requirements.txt pins, against what is installed."""
    from packaging.requirements import Requirement

    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    pinned = [Requirement(line) for line in lines if line and not line.startswith("-")]
    alike = 0
    for one in pinned:
        have = package_version(one.name)
        if have is None:
            yield fail(one.name, f"not installed ({requirements} pins {one.specifier})", "make setup")
        elif have not in one.specifier:
            remedy = f"pip install '{one}' -c constraints.txt"
            yield warn(one.name, f"{have} is installed, {requirements} pins {one.specifier}", remedy)
        else:
            alike += 1
    if alike:
        yield ok("packages", f"{alike} of {len(pinned)} at the versions that {requirements} pins")


def code() -> Iterator[Finding]:
    """Whether the `wor` that runs now is this folder's: the stages always run this folder's."""
    running, here = Path(paths.__file__).resolve().parents[1], Path.cwd()
    if not (here / "wor").is_dir():
        yield fail("wor", f"no study in this folder ({short_path(here)})", "Run from the top of the repository")
    elif running != here:
        remedy = "pip install --no-deps --no-build-isolation -e ."
        yield warn("wor", f"this command runs the code of {short_path(running)}, the stages this folder's", remedy)
    else:
        yield ok("wor", f"{package_version('wor') or 'not installed, run'} from this folder")


def tools() -> Iterator[Finding]:
    found = shutil.which("python")
    activate = f". {short_path(Path(sys.prefix))}/bin/activate"
    if found is None:
        yield fail("python", "none on the path: `dvc exp run` starts the stages with `python -m`", activate)
    else:
        prefix = commands.run_captured([found, "-c", "import sys; print(sys.prefix)"], env=dict(os.environ)).strip()
        if Path(prefix).resolve() == Path(sys.prefix).resolve():
            yield ok("python", "the first on the path, which runs the stages, is this environment's")
        else:
            yield fail(
                "python", f"`dvc exp run` would run the stages with {short_path(Path(found))}, not this environment", activate
            )
    try:
        yield ok("dvc", f"{package_version('dvc')} at {short_path(Path(commands.dvc_command()[0]))}")
    except UserError as error:
        yield fail("dvc", str(error.value), error.remedy)
    said = commands.git("--version")
    if said is None:
        yield fail("git", "not found", "Install git: apt-get install git")
    else:
        yield ok("git", re.sub(r"^git version ", "", said.strip()))


def variables() -> Iterator[Finding]:
    """Variables that change a run from outside. OMP_NUM_THREADS is none: the engine sets its own number of threads."""
    alike = True
    if paths.project() != Path.cwd():
        alike = False
        found = f"DVC_ROOT is {os.environ['DVC_ROOT']}: iterations would be read and recorded there"
        yield fail("DVC_ROOT", found, "unset DVC_ROOT")
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        if value := os.environ.get(name):
            alike = False
            yield warn(name, f"{value!r} was left in this shell: an iteration would be recorded under it", f"unset {name}")
    # libgomp heeds it and torch does not know: asked for 2 threads, it says 2 and works with 1.
    if value := os.environ.get("OMP_THREAD_LIMIT"):
        alike = False
        yield warn("OMP_THREAD_LIMIT", f"{value}: torch works with no more threads than that", "unset OMP_THREAD_LIMIT")
    # Another instruction set sums in another order.
    if value := os.environ.get("ATEN_CPU_CAPABILITY"):
        alike = False
        found = f"{value!r} sets torch's instruction set: slower, and other last digits"
        yield warn("ATEN_CPU_CAPABILITY", found, "unset ATEN_CPU_CAPABILITY")
    if alike:
        yield ok("variables", "none is set that would change a run")
