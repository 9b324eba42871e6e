"""List the DVC experiments of this branch: headline, iteration and the parameters that vary.

This reads DVC's refs and files, as `dvc exp show` takes a while for every commit of the branch.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from wor import paths, storage
from wor.config.overrides import flatten
from wor.iterations import registry
from wor.iterations.configuration import read_configuration, used_parameters
from wor.process import commands
from wor.process.commands import git
from wor.process.dead_locks import is_dvc

HEADLINE = ("AUROC", "dAUC", "low", "high", "partial_r", "n")
_RUNNING = 2  # DVC's status of an experiment that has begun and not ended
_STASHED = re.compile(r"^\w+ (?P<files>\w+) .*\tcommit: dvc-exp:\w+:(?P<baseline>\w+):(?P<name>[^:\n]*)", re.MULTILINE)
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is ten times as fast


class _Experiment(NamedTuple):
    name: str
    state: str
    baseline: str
    files: str | Path  # the commit or the folder that has its params.yaml


def list_runs() -> tuple[list[dict], list[str], str]:
    """Return one row per experiment, the keys of the parameters that vary, and a remark.

    A row has ``experiment``, ``state`` (empty, Running, Killed, Queued or Failed), ``iteration``,
    the HEADLINE and each varying parameter. The workspace comes first if it has results. Unfinished
    experiments follow, then the finished ones, newest first. The workspace's parameters are those
    that made its results. The remark says where params.yaml differs from them.
    """
    commands.head_commit()
    branch = set((git("rev-list", "HEAD") or "").split())
    experiments = [item for item in (*_unfinished(), *_stashed(), *_finished()) if item.baseline in branch]
    committed = _read_commits([item.files for item in experiments if isinstance(item.files, str)])
    rows, settings, remark = [], [], ""
    if paths.ITERATION.is_file() and paths.SUMMARY.is_file():
        values, changed = _workspace_parameters()
        results = {**storage.read_json(paths.SUMMARY), **storage.read_json(paths.ITERATION)}
        rows.append(_row("workspace", "params.yaml differs" if changed else "", results))
        settings.append(values)
        if changed:
            listed = ", ".join(f"{key} was {made}, is {now}" for key, (made, now) in changed.items())
            remark = f"params.yaml is not what made the workspace's results: {listed}"
    for item in experiments:
        read = committed[item.files] if isinstance(item.files, str) else {paths.PARAMS: _load(item.files / paths.PARAMS)}
        results = {} if item.state else {**read.get(paths.SUMMARY, {}), **read.get(paths.ITERATION, {})}
        rows.append(_row(item.name, item.state, results))
        settings.append(dict(flatten(used_parameters(read[paths.PARAMS]))) if paths.PARAMS in read else {})
    keys = dict.fromkeys(key for values in settings for key in values)
    # The parameters of a dataset that only some runs use vary only among those runs.
    varying = [key for key in keys if len({str(values[key]) for values in settings if key in values}) > 1]
    return [row | {key: values.get(key) for key in varying} for row, values in zip(rows, settings, strict=True)], varying, remark


def _row(name: str, state: str, results: dict) -> dict:
    return {"experiment": name, "state": state, **{key: results.get(key) for key in ("iteration", *HEADLINE)}}


def _workspace_parameters() -> tuple[dict[str, object], dict[str, tuple[object, object]]]:
    """Return its results' parameters, by iteration or dvc.lock, and what params.yaml changes."""
    current = dict(flatten(used_parameters(_load(paths.PARAMS))))
    folder = paths.experiments() / str(registry.workspace_iteration())
    if (folder / paths.MANIFEST).is_file():
        made = dict(flatten(used_parameters(read_configuration(folder))))
    else:
        stages = _load(paths.LOCK)["stages"].values() if paths.LOCK.is_file() else ()
        entries = [stage.get("params", {}).get(paths.PARAMS.name, {}) for stage in stages]
        made = {**current, **{key: value for entry in entries for key, value in flatten(entry) if key in current}}
    return made, {key: (made[key], current[key]) for key in current if key in made and made[key] != current[key]}


def _finished() -> Iterator[_Experiment]:
    """Yield the experiments that ended well. refs/exps/BA/SELINE/NAME is the commit of each."""
    lines = git("for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps/??/*/*") or ""
    for line in lines.splitlines():
        commit, ref = line.split()
        *_, first, rest, name = ref.split("/")
        yield _Experiment(name, "", first + rest, commit)


def _stashed() -> Iterator[_Experiment]:
    """Yield queued and failed experiments, which DVC keeps as stashes in a reflog."""
    for state, ref in (("Queued", "stash"), ("Failed", "failed")):
        log = Path((git("rev-parse", "--git-path", f"logs/refs/exps/celery/{ref}") or "").strip())
        for match in _STASHED.finditer(log.read_text(encoding="utf-8") if log.is_file() else ""):
            yield _Experiment(match["name"], state, match["baseline"], match["files"])


def _unfinished() -> Iterator[_Experiment]:
    """Yield experiments that have begun and not ended, as Killed where their process is gone."""
    for info in [*Path(".dvc/tmp/exps/run").glob("*/*.run"), *Path(".dvc/tmp/exps/standalone/run").glob("*/*.run")]:
        about = storage.read_json(info)
        workspace = Path(about["root_dir"]) / about["dvc_dir"] / ".."
        if about["status"] == _RUNNING and (workspace / paths.PARAMS).is_file():
            state = "Running" if _is_alive(info.with_suffix(".json"), workspace / ".dvc/tmp/lock") else "Killed"
            yield _Experiment(about["name"], state, about["baseline_rev"], workspace)


def _is_alive(about: Path, lock: Path) -> bool:
    """Whether DVC's process lives. Its number is in ``about``, or in a temporary copy's lock."""
    try:
        return is_dvc(storage.read_json(about)["pid"] if about.is_file() else int(lock.read_text()))
    except (OSError, ValueError):
        return False


def _read_commits(commits: list[str]) -> dict[str, dict[Path, dict]]:
    """Return the existing ones of params.yaml and the metrics files, by commit and path."""
    names = [(commit, path) for commit in commits for path in (paths.PARAMS, paths.SUMMARY, paths.ITERATION)]
    request = "".join(f"{commit}:./{path}\n" for commit, path in names)
    output = commands.run_captured(["git", "cat-file", "--batch"], text=request).encode()
    files: dict[str, dict[Path, dict]] = {commit: {} for commit in commits}
    for commit, path in names:
        header, _, output = output.partition(b"\n")
        if not header.endswith(b" missing"):
            size = int(header.split()[-1])
            text, output = output[:size], output[size + 1 :]
            files[commit][path] = json.loads(text) if path.suffix == ".json" else yaml.load(text, _YAML)
    return files


def _load(path: Path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), _YAML)
