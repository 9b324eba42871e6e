"""Compute an iteration anew: its commit and patch, its parameters, its packages, and nothing from any cache."""

from __future__ import annotations

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
from wor.machine import environment
from wor.pipeline.graph import load_graph
from wor.process import commands
from wor.process.dvc_lock import Lock

PINS = ("requirements.txt", "requirements-data.txt", "constraints.txt")
LAST = "iteration"  # it only gathers; it is run by itself, so that its number and its table are not those of a run


@dataclass(frozen=True)
class Recomputation:
    """A recomputed iteration: its folder, and dvc.lock as both runs left it (None where there is none)."""

    folder: Path
    recorded: Lock | None
    recomputed: Lock


@contextmanager
def recompute(
    folder: Path, start: str = "", say: Callable[[str], None] = print, output: IO | None = None
) -> Iterator[Recomputation]:
    """Recompute the iteration in ``folder`` in a temporary clone, which is there as long as the context is.

    Everything is computed, on the commit that made it with its uncommitted changes, by packages of the same
    versions. With ``start``, a stage, what lies before it is pulled from DVC's cache or remote instead. ``output``:
    where the stages print, if not to stdout.

    Raises
    ------
    UserError
        The code can't be had again (no commit, a change that was not recorded, files that git was not told
        of), a stage fails, or what lies before ``start`` is nowhere.
    """
    if faults := verify.folder_faults(folder):
        raise UserError(folder.name, faults[0], "It is not what was recorded, so nothing can be held against it")
    about = storage.read_json(folder / "env_info.json")
    with tempfile.TemporaryDirectory(prefix="wor-reproduce-") as temporary:
        try:
            again = _recompute(folder, about, Path(temporary), start, say, output)
        except commands.CommandFailed as failed:
            raise UserError(folder.name, failed.line, "Nothing of yours was changed") from None
        yield again


def _recompute(folder: Path, about: dict, home: Path, start: str, say: Callable[[str], None], output: IO | None) -> Recomputation:
    workspace = _check_out(about["code"], folder.name, home)
    config = yaml.safe_load((folder / "config_used.yaml").read_text(encoding="utf-8"))
    _configure(folder, config, about, workspace)
    interpreter = _Interpreter(_python(about, folder.name, workspace, say, output), workspace, _cache(home), output)
    interpreter.run("dvc", "config", "--local", "core.autostage", "true")  # else it advises what to add to git
    recorded = _lock(folder / paths.LOCK.name)
    (workspace / paths.LOCK).unlink(missing_ok=True)
    if start:
        stages = _stages_from(start, folder, recorded, workspace, interpreter)
        say(f"Computing {', '.join(stages)}; what they read comes from DVC")
        command = ("dvc", "repro", "--force", "--single-item", *stages)
    else:
        command = ("dvc", "repro", "--force", "figures")
    _check(interpreter.show(*command), folder.name, "dvc repro failed")
    interpreter.run(*load_graph(workspace / paths.PIPELINE)["iteration"]["cmd"].split()[2:])  # as that commit runs it
    number = storage.read_json(workspace / paths.ITERATION)["iteration"]
    return Recomputation(workspace / "experiments" / registry.iteration_name(number), recorded, _lock(workspace / paths.LOCK))


def _check(code: int, name: str, what: str) -> None:
    if code == commands.INTERRUPTED:
        raise SystemExit(code)
    if code:
        raise UserError(name, what, "See what it says above; nothing of yours was changed")


def _lock(path: Path) -> Lock | None:
    return Lock(path.read_text(encoding="utf-8")) if path.is_file() else None


def _check_out(code: dict, name: str, home: Path) -> Path:
    """The iteration's code in a clone of its own: a worktree would leave traces in the repository when it is killed."""
    if code["commit"] is None:
        raise UserError(name, code["reason"], "It was made outside git, so its code can't be had again")
    if code["patch"] is None:
        raise UserError(name, code["reason"], "Its code had changes that were not recorded, so it can't be had again")
    project, target = paths.project(), home / "repository"
    prefix = (commands.git("rev-parse", "--show-prefix", where=project) or "").strip()
    source = project.joinpath(*[".."] * len(Path(prefix).parts)).resolve()
    commands.run_captured(["git", "clone", "--quiet", "--shared", "--no-checkout", str(source), str(target)])
    try:
        commands.run_captured(["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", code["commit"]], where=target)
    except commands.CommandFailed as failed:
        remedy = "Fetch it: git fetch --all"
        raise UserError(name, f"commit {code['commit'][:12]} is not here ({failed.line})", remedy) from None
    if code["patch"]:
        storage.write_text(home / "patch", code["patch"])
        try:
            commands.run_captured(["git", "apply", "--whitespace=nowarn", str(home / "patch")], where=target)
        except commands.CommandFailed as failed:
            raise UserError(name, f"its patch does not apply ({failed.line})", "wor verify says whether it was changed") from None
    workspace = target / prefix
    if environment.code_hash(workspace) != code["code_hash"]:
        untracked = ", ".join(code.get("untracked", [])) or "none known"
        remedy = f"Files that git was not told of then: {untracked}"
        raise UserError(name, "its commit and patch are not the code that ran", remedy)
    return workspace


def _configure(folder: Path, config: dict, about: dict, workspace: Path) -> None:
    """Parameters and registration as they were, as many threads as there were, and the user's own files where they are.

    What came from the hub comes from the commit that it was: a branch may have moved.
    """
    for name, result in storage.read_json(folder / "results" / "model_results.json").items():
        if commit := result["card"]["source"].get("commit"):
            config["model_specs"][name]["commit"] = commit
    for name, origin in about.get("datasets", {}).items():
        config["dataset_specs"][name]["commit"] = origin["commit"]
    config["compute"]["threads"] = (about.get("compute") or {}).get("threads", config["compute"]["threads"])
    if "backend" in config["compute"]:  # iterations of an earlier version know of none
        config["compute"]["backend"] = "local"  # the cluster of then may be gone, and no result depends on it
    storage.write_text(workspace / paths.PARAMS, yaml.safe_dump(config, sort_keys=False))
    shutil.copyfile(folder / paths.PREREGISTRATION.name, workspace / paths.PREREGISTRATION)
    used = [config["model_specs"][name] for name in config["models"]]
    used += [config["dataset_specs"][name] for name in config["datasets"]]
    for own in (Path(spec["path"]) for spec in used if "path" in spec):
        here, there = paths.project() / own, workspace / own
        if here.exists() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(here)


def _python(about: dict, name: str, workspace: Path, say: Callable[[str], None], output: IO | None) -> Path:
    """This interpreter when its packages are the recorded ones, else one with the iteration's own pins, made once."""
    other = differing_packages(about["packages"])
    if not other:
        return Path(sys.executable)
    changes = ", ".join(f"{name} {there} (here {here})" for name, (there, here) in other.items())
    version = ".".join(about["python"].split(".")[:2])
    command = f"python{version}"
    if shutil.which(command) is None or not (workspace / "Makefile").is_file():
        raise UserError("packages", changes, f"Reproduce it in an environment with those versions, or install {command}")
    digest = hashlib.sha256(version.encode())
    for pins in (workspace / name for name in PINS):
        digest.update(pins.read_bytes() if pins.is_file() else b"")
    target = paths.cache() / "environments" / digest.hexdigest()[:16]
    say(f"Other packages than here: {changes}. Its own environment: {target}")
    goal, python = target / ".installed", target / "bin" / "python"
    if not goal.is_file():
        # The Makefile of that commit knows how its environment is made; it marks one that is whole.
        made = ["make", "--no-print-directory", str(goal), f"VENV={target}", f"PYTHON={command}"]
        _check(
            commands.run_interactive(made, where=workspace, stdout=output, patience=1), name, "its environment could not be made"
        )
    listed = json.loads(
        commands.run_captured([str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"])
    )
    have = {canonicalize_name(entry["name"]): entry["version"] for entry in listed}
    if still := differing_packages(about["packages"], have.get):
        changes = ", ".join(f"{package} {there} (its pins give {here})" for package, (there, here) in still.items())
        raise UserError("packages", changes, "It was made in another environment than its own pins give, and can't be had again")
    return python


def differing_packages(recorded: dict[str, str | None], here: Callable = environment.package_version) -> dict[str, tuple]:
    """Packages whose version ``here`` is another than the recorded one, with both."""
    return {name: (version, here(name)) for name, version in recorded.items() if version != here(name)}


def _cache(home: Path) -> Path:
    """A cache with the converted weights of the real one, and no shard of an interrupted run."""
    cache, models = home / "cache", paths.cache() / "models"
    cache.mkdir()
    models.mkdir(parents=True, exist_ok=True)
    (cache / "models").symlink_to(models)
    return cache


@dataclass(frozen=True)
class _Interpreter:
    """The iteration's own, which runs modules in its workspace on its code."""

    python: Path
    workspace: Path
    cache: Path
    output: IO | None

    @property
    def _env(self) -> dict[str, str]:
        env = commands.child_environment(self.python, PYTHONPATH=str(self.workspace), WOR_CACHE=str(self.cache))
        # Where a stage of this project calls this, its own root and experiment are not the clone's.
        return {key: value for key, value in env.items() if not key.startswith("DVC_") or key == "DVC_NO_ANALYTICS"}

    def show(self, *module: str) -> int:
        command = [str(self.python), "-m", *module]  # of which nothing is kept: it needs no time to put things away
        return commands.run_interactive(command, where=self.workspace, env=self._env, stdout=self.output, patience=1)

    def run(self, *module: str) -> str:
        return commands.run_captured([str(self.python), "-m", *module], where=self.workspace, env=self._env)


def _stages_from(start: str, folder: Path, recorded: Lock | None, workspace: Path, interpreter: _Interpreter) -> list[str]:
    """The stages from ``start`` on, with everything that they read and don't make pulled."""
    if recorded is None:
        raise UserError("--from", f"{folder.name} has no {paths.LOCK.name}", "Leave --from out: everything is computed then")
    stages = [stage for stage in interpreter.run("dvc", "stage", "list", "--name-only").split() if stage in recorded.stages]
    later = [stage for stage in recorded.downstream(start, stages) if stage != LAST]
    if not later:
        names = ", ".join(dict.fromkeys(stage.split("@")[0] for stage in recorded.order(stages) if stage != LAST))
        raise UserError("--from", repr(start), f"Its stages are {names}")
    earlier = [stage for stage in stages if stage not in (*later, LAST)]
    shutil.copyfile(folder / paths.LOCK.name, workspace / paths.LOCK)
    if earlier:
        _pull(earlier, workspace, interpreter)
    if "stats" in earlier:  # its summary is git's to keep, and no remote has it
        kept = storage.read_json(folder / "results" / "metrics_summary.json")["summary"]
        storage.write_json(workspace / paths.SUMMARY, kept)
    return later


def _pull(stages: list[str], workspace: Path, interpreter: _Interpreter) -> None:
    """From this repository's cache, which is laid out as a remote is, else from the remote."""
    interpreter.run("dvc", "remote", "add", "--local", "this-repository", str(commands.dvc_cache(paths.project())))
    try:
        interpreter.run("dvc", "pull", "--remote", "this-repository", *stages)
    except commands.CommandFailed:
        own = paths.project() / ".dvc" / "config.local"  # the user's credentials
        if own.is_file():
            shutil.copyfile(own, workspace / ".dvc" / "config.local")
        try:
            interpreter.run("dvc", "pull", *stages)
        except commands.CommandFailed as failed:
            remedy = "Leave --from out: everything is computed then"
            raise UserError("--from", f"what lies before it is not in DVC's cache or remote ({failed.line})", remedy) from None
