"""Check Python, packages, tools, and variables of the shell."""

import os
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
VARIABLES = {  # variable to its effect
    "DVC_ROOT": "`dvc repro` records iterations there",
    "DVC_EXP_NAME": "`dvc repro` records an iteration under this name",
    "DVC_EXP_BASELINE_REV": "`dvc repro` records an iteration for this commit",
    "PYTHONPATH": "`dvc exp run` takes its packages before this environment's; `wor run` does not",
    "PYTHONSAFEPATH": "`dvc exp run --temp` runs the installed code, not the copy's; `wor run` does not",
    "OMP_THREAD_LIMIT": "torch uses no more threads than that, and does not know",
    "ATEN_CPU_CAPABILITY": "this instruction set is slower and changes the last digits",
}


def check_python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    required = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    version = ".".join(map(str, sys.version_info[:3]))
    if version in SpecifierSet(required):
        yield ok("Python", f"{version} (required: {required})")
    else:
        yield fail("Python", f"{version}; pyproject.toml requires {required}", "make setup")


def check_packages(requirements: Path = REQUIREMENTS) -> Iterator[Finding]:
    """Compare each package that requirements.txt pins with the installed version."""
    from packaging.requirements import Requirement

    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    pinned = [Requirement(line) for line in lines if line and not line.startswith("-")]
    n_matching = 0
    for requirement in pinned:
        name, specifier, version = requirement.name, requirement.specifier, package_version(requirement.name)
        if version is None:
            yield fail(name, f"not installed ({requirements} pins {specifier})", "make setup")
        elif version not in specifier:
            remedy = f"pip install '{requirement}' -c constraints.txt"
            yield warn(name, f"{version} is installed, {requirements} pins {specifier}", remedy)
        else:
            n_matching += 1
    if n_matching:
        yield ok("packages", f"{n_matching} of {len(pinned)} at the versions that {requirements} pins")


def check_code() -> Iterator[Finding]:
    """Check that this command runs the code of this folder, as the stages do."""
    running, folder = Path(paths.__file__).resolve().parents[1], Path.cwd()
    if not (folder / "wor").is_dir():
        yield fail("wor", f"no study in this folder ({short_path(folder)})", "Run from the top of the repository")
    elif running != folder:
        remedy = "pip install --no-deps --no-build-isolation -e ."
        yield warn("wor", f"this command runs the code of {short_path(running)}, the stages this folder's", remedy)
    else:
        yield ok("wor", f"{package_version('wor') or 'not installed, run'} from this folder")


def check_tools() -> Iterator[Finding]:
    executable = shutil.which("python")
    activate = f". {short_path(Path(sys.prefix))}/bin/activate"
    if executable is None:
        yield fail("python", "none on the path: `dvc exp run` starts the stages with `python -m`", activate)
    else:
        prefix = commands.run_captured([executable, "-c", "import sys; print(sys.prefix)"], env=dict(os.environ)).strip()
        if Path(prefix).resolve() == Path(sys.prefix).resolve():
            yield ok("python", "the first on the path, which runs the stages, is this environment's")
        else:
            detail = f"`dvc exp run` would run the stages with {short_path(Path(executable))}, not this environment"
            yield fail("python", detail, activate)
    try:
        yield ok("dvc", f"{package_version('dvc')} at {short_path(Path(commands.dvc_command()[0]))}")
    except UserError as error:
        yield fail("dvc", str(error.value), error.remedy)
    version = commands.git("--version")
    if version is None:
        yield fail("git", "not found", "Install git: apt-get install git")
    else:
        yield ok("git", version.strip().removeprefix("git version "))


def check_variables() -> Iterator[Finding]:
    """Check variables that change a run. OMP_NUM_THREADS does not: the engine sets its threads."""
    local = (commands.git("rev-parse", "--local-env-vars") or "").split()  # git's own list, with no GIT_EDITOR in it
    effects = dict.fromkeys(filter(commands.names_repository, local), "git and dvc follow it; `wor` does not") | VARIABLES
    variables = {name: value for name in effects if (value := os.environ.get(name))}
    if variables.get("PYTHONPATH") == str(Path.cwd()):  # the stages' own code
        del variables["PYTHONPATH"]
    if not variables:
        yield ok("variables", "none is set that would change a run")
    for name, value in variables.items():
        yield warn(name, f"{value!r}: {effects[name]}", f"unset {name}")
