"""Compute an iteration again from its commit, patch, parameters and packages, without a cache."""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml
from packaging.utils import canonicalize_name

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import registry, verify
from wor.iterations.configuration import read_configuration
from wor.machine import environment
from wor.pipeline.graph import load_graph
from wor.process import commands
from wor.process.dvc_lock import Lock

PINS = ("requirements.txt", "requirements-data.txt", "constraints.txt")
LAST = "iteration"  # it only gathers, and is run by itself, outside DVC


@dataclass(frozen=True)
class Recomputation:
    """A recomputed iteration's folder, and dvc.lock of both runs (``recorded`` may be None)."""

    folder: Path
    recorded: Lock | None
    recomputed: Lock


@contextmanager
def recompute(
    folder: Path, start: str = "", report: Callable[[str], None] = print, output: IO | None = None
) -> Iterator[Recomputation]:
    """Recompute the iteration in ``folder`` in a temporary clone that ends with the context.

    It runs on the commit that made the iteration, with its uncommitted changes, by packages of the
    same versions. With ``start``, a stage, DVC's cache or remote supplies the outputs of the stages
    before it. ``report`` prints a line of progress. The stages print to ``output`` or stdout.

    Raises UserError where the code is not available: no commit, a change that was not recorded, or
    files that git did not know. So too if a stage fails, or no cache has outputs before ``start``.
    """
    if faults := verify.folder_faults(folder):
        raise UserError(folder.name, faults[0], "It has changed since it was recorded, so there is nothing to compare with")
    about = storage.read_json(folder / "env_info.json")
    with tempfile.TemporaryDirectory(prefix="wor-reproduce-") as temporary:
        try:
            recomputation = _recompute(folder, about, Path(temporary), start, report, output)
        except commands.CommandFailed as failed:
            raise UserError(folder.name, failed.line, "Nothing of yours was changed") from None
        yield recomputation


def _recompute(
    folder: Path, about: dict, home: Path, start: str, report: Callable[[str], None], output: IO | None
) -> Recomputation:
    workspace = _check_out(about["code"], folder.name, home)
    config = read_configuration(folder)
    _configure(folder, config, about, workspace)
    interpreter = _Interpreter(_python(about, folder.name, workspace, report, output), workspace, _cache(home), output)
    interpreter.run("dvc", "config", "--local", "core.autostage", "true")  # without it DVC prints what to add to git
    lock = folder / paths.LOCK.name
    recorded = _read_lock(lock) if lock.is_file() else None
    (workspace / paths.LOCK).unlink(missing_ok=True)
    if start:
        stages = _stages_from(start, folder, recorded, workspace, interpreter)
        report(f"Computing {', '.join(stages)}; what they read comes from DVC")
        command = ("dvc", "repro", "--force", "--single-item", *stages)
    else:  # also stages that no other reads: each has a log in the iteration
        command = ("dvc", "repro", "--force", *(name for name in load_graph(workspace / paths.PIPELINE) if name != LAST))
    _check(interpreter.show(*command), folder.name, "dvc repro failed")
    interpreter.run(*load_graph(workspace / paths.PIPELINE)[LAST]["cmd"].split()[2:])  # as that commit runs it
    number = storage.read_json(workspace / paths.ITERATION)["iteration"]
    target = workspace / "experiments" / registry.iteration_name(number)
    return Recomputation(target, recorded, _read_lock(workspace / paths.LOCK))


def _check(code: int, name: str, what: str) -> None:
    if code == commands.INTERRUPTED:
        raise SystemExit(code)
    if code:
        raise UserError(name, what, "See its output above; nothing of yours was changed")


def _read_lock(path: Path) -> Lock:
    return Lock(path.read_text(encoding="utf-8"))


def _check_out(code: dict, name: str, home: Path) -> Path:
    """Check out the iteration's code in a clone. A worktree would outlive a killed process."""
    if code["commit"] is None:
        raise UserError(name, code["reason"], "It was made outside git, so its code is not available")
    if code["patch"] is None:
        raise UserError(name, code["reason"], "Its code had changes that were not recorded, so it is not available")
    project, target = paths.project(), home / "repository"
    commands.head_commit(project)
    prefix = (commands.git("rev-parse", "--show-prefix", where=project) or "").strip()
    source = project.joinpath(*[".."] * len(Path(prefix).parts)).resolve()
    commands.run_captured(["git", "clone", "--quiet", "--shared", "--no-checkout", str(source), str(target)])
    try:
        commands.run_captured(["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", code["commit"]], where=target)
    except commands.CommandFailed as failed:
        is_shallow = commands.git("rev-parse", "--is-shallow-repository", where=project) == "true\n"
        remedy = f"Fetch it: git fetch {'--unshallow' if is_shallow else '--all'}"
        raise UserError(name, f"commit {code['commit'][:12]} is not here ({failed.line})", remedy) from None
    if code["patch"]:
        storage.write_text(home / "patch", code["patch"])
        try:
            commands.run_captured(["git", "apply", "--whitespace=nowarn", str(home / "patch")], where=target)
        except commands.CommandFailed as failed:
            raise UserError(
                name, f"its patch does not apply ({failed.line})", "wor verify tells whether it was changed"
            ) from None
    workspace = target / prefix
    if environment.code_hash(workspace) != code["code_hash"]:
        untracked = ", ".join(code.get("untracked", [])) or "none known"
        remedy = f"Files that were untracked then: {untracked}"
        raise UserError(name, "its commit and patch are not the code that ran", remedy)
    return workspace


def _configure(folder: Path, config: dict, about: dict, workspace: Path) -> None:
    """Write the recorded parameters and registration, and link the user's own files.

    Threads are as recorded. Hub sources get the commit that was used, as a branch may have moved.
    """
    for name, result in storage.read_json(folder / "results" / "model_results.json").items():
        if commit := result["card"]["source"].get("commit"):
            config["model_specs"][name]["commit"] = commit
    for name, origin in about.get("datasets", {}).items():
        config["dataset_specs"][name]["commit"] = origin["commit"]
    config["compute"]["threads"] = (about.get("compute") or {}).get("threads", config["compute"]["threads"])
    if "backend" in config["compute"]:  # an earlier version had none
        config["compute"]["backend"] = "local"  # the cluster may be gone, and no result depends on it
    storage.write_text(workspace / paths.PARAMS, yaml.safe_dump(config, sort_keys=False))
    shutil.copyfile(folder / paths.PREREGISTRATION.name, workspace / paths.PREREGISTRATION)
    used = [config["model_specs"][name] for name in config["models"]]
    used += [config["dataset_specs"][name] for name in config["datasets"]]
    for path in (Path(spec["path"]) for spec in used if "path" in spec):
        source, link = paths.project() / path, workspace / path
        if source.exists() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)


def _python(about: dict, name: str, workspace: Path, report: Callable[[str], None], output: IO | None) -> Path:
    """Return an interpreter with the recorded packages: this one, or one made once from pins."""
    differing = differing_packages(about["packages"])
    if not differing:
        return Path(sys.executable)
    changes = ", ".join(f"{package} {recorded} (here {current})" for package, (recorded, current) in differing.items())
    version = ".".join(about["python"].split(".")[:2])
    command = f"python{version}"
    if shutil.which(command) is None or not (workspace / "Makefile").is_file():
        raise UserError("packages", changes, f"Reproduce it in an environment with those versions, or install {command}")
    digest = hashlib.sha256(version.encode())
    for pins in (workspace / name for name in PINS):
        digest.update(pins.read_bytes() if pins.is_file() else b"")
    target = paths.cache() / "environments" / digest.hexdigest()[:16]
    report(f"Other packages than here: {changes}. Its own environment: {target}")
    goal, python = target / ".installed", target / "bin" / "python"
    if not goal.is_file():
        # The Makefile of that commit makes its environment, and the goal marks a complete one.
        make = ["make", "--no-print-directory", str(goal), f"VENV={target}", f"PYTHON={command}"]
        code = commands.run_interactive(make, where=workspace, stdout=output, patience=1)
        _check(code, name, "its environment could not be made")
    pip = [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    versions = {canonicalize_name(entry["name"]): entry["version"] for entry in json.loads(commands.run_captured(pip))}
    if differing := differing_packages(about["packages"], versions.get):
        changes = ", ".join(f"{package} {recorded} (its pins give {given})" for package, (recorded, given) in differing.items())
        raise UserError("packages", changes, "Its environment was not made from its own pins, so it is not available")
    return python


def differing_packages(recorded: dict[str, str | None], version_of: Callable = environment.package_version) -> dict[str, tuple]:
    """Return (recorded, current) version of each package whose versions differ."""
    return {name: (version, version_of(name)) for name, version in recorded.items() if version != version_of(name)}


def _cache(home: Path) -> Path:
    """Make a cache with the real one's converted weights, and no shard of an interrupted run."""
    cache, models = home / "cache", paths.cache() / "models"
    cache.mkdir()
    models.mkdir(parents=True, exist_ok=True)
    (cache / "models").symlink_to(models)
    return cache


@dataclass(frozen=True)
class _Interpreter:
    """The iteration's Python, which runs modules in its workspace on its code."""

    python: Path
    workspace: Path
    cache: Path
    output: IO | None

    @property
    def _env(self) -> dict[str, str]:
        return commands.child_environment(self.python, PYTHONPATH=str(self.workspace), WOR_CACHE=str(self.cache))

    def show(self, *module: str) -> int:
        command = [str(self.python), "-m", *module]
        # Nothing of the clone is kept, so an interrupted command needs no time to clean up.
        return commands.run_interactive(command, where=self.workspace, env=self._env, stdout=self.output, patience=1)

    def run(self, *module: str) -> str:
        return commands.run_captured([str(self.python), "-m", *module], where=self.workspace, env=self._env)


def _stages_from(start: str, folder: Path, recorded: Lock | None, workspace: Path, interpreter: _Interpreter) -> list[str]:
    """Return the stages from ``start`` on, after pulling what they read and don't make."""
    if recorded is None:
        raise UserError("--from", f"{folder.name} has no {paths.LOCK.name}", "Leave --from out to compute everything")
    stages = [stage for stage in interpreter.run("dvc", "stage", "list", "--name-only").split() if stage in recorded.stages]
    later = [stage for stage in recorded.downstream(start, stages) if stage != LAST]
    if not later:
        names = ", ".join(dict.fromkeys(stage.split("@")[0] for stage in recorded.order(stages) if stage != LAST))
        raise UserError("--from", repr(start), f"Its stages are {names}")
    earlier = [stage for stage in stages if stage not in (*later, LAST)]
    shutil.copyfile(folder / paths.LOCK.name, workspace / paths.LOCK)
    if earlier:
        _pull(earlier, workspace, interpreter)
    if "stats" in earlier:  # its summary is in git, and not in DVC's cache
        summary = storage.read_json(folder / "results" / "metrics_summary.json")["summary"]
        storage.write_json(workspace / paths.SUMMARY, summary)
    return later


def _pull(stages: list[str], workspace: Path, interpreter: _Interpreter) -> None:
    """Pull from this repository's cache, which has a remote's layout, or else from the remote."""
    interpreter.run("dvc", "remote", "add", "--local", "this-repository", str(commands.dvc_cache(paths.project())))
    try:
        interpreter.run("dvc", "pull", "--remote", "this-repository", *stages)
    except commands.CommandFailed:
        share_remotes(workspace)
        try:
            interpreter.run("dvc", "pull", *stages)
        except commands.CommandFailed as failed:
            remedy = "Leave --from out to compute everything"
            raise UserError("--from", f"what lies before it is not in DVC's cache or remote ({failed.line})", remedy) from None


def share_remotes(workspace: Path) -> None:
    """Let a clone use this repository's remotes. Its commit may be older than they are."""
    from dvc.config import Config

    here, clone = (Config(str(folder / ".dvc")) for folder in (paths.project(), workspace))
    with clone.edit("local") as settings:
        for level in (here.load_one("repo"), here.load_one("local")):
            for name, remote in level.get("remote", {}).items():
                settings.setdefault("remote", {}).setdefault(name, {}).update(remote)
            if default := level.get("core", {}).get("remote"):
                settings.setdefault("core", {})["remote"] = default
