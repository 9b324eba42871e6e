"""Which stages DVC will take from its cache: asked of DVC itself, in a copy of the workspace without its outputs."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

import yaml

from wor import paths, storage
from wor.config import overrides
from wor.errors import UserError
from wor.process import commands

QUICK = ("check", "ids")
OWN = (
    ".dvcignore",
    "dvc.yaml",
    "dvc.lock",
    "prereg.yaml",
    "requirements.txt",
    "data/frozen",
    "stages",
    "wor",
)  # what stages depend on


def cached_stages(changes: dict[str, object]) -> dict[str, bool]:
    """Each stage of the run with ``changes``, in order: whether DVC has its result.

    DVC is given every stage whose inputs are known, and takes it from its run cache or doesn't. `check` and `ids`
    take seconds and are run there, so that what follows them is known too. A stage after any other that DVC
    doesn't have counts as one to run: only its inputs could tell, and they are not there yet.
    """
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro
    from dvc.stage.cache import RunCacheNotFoundError

    logging.getLogger("dvc").setLevel(logging.ERROR)  # it says of each stage that it is checking out outputs
    found: dict[str, bool] = {}
    there, project = set(), paths.project()
    with _copy(changes) as folder, chdir(folder), Repo() as repo, repo.lock:  # restore looks around here
        graph = get_active_graph(repo.index.graph)
        for stage in plan_repro(graph):
            found[stage.name] = False
            if not all(before.name in there for before in graph.successors(stage)):
                continue
            with suppress(RunCacheNotFoundError):
                repo.stage_cache.restore(stage)
                found[stage.name] = True
            if found[stage.name] or (stage.name in QUICK and _done(stage.cmd, folder, project)):
                there.add(stage.name)
    return found


def _done(command: str, folder: Path, project: Path) -> bool:
    environment = commands.child_environment(DVC_ROOT=str(project), PYTHONPATH=str(folder))
    return not subprocess.run([sys.executable, *command.split()[1:]], cwd=folder, env=environment, capture_output=True).returncode


@contextmanager
def _copy(changes: dict[str, object]) -> Iterator[Path]:
    if not (paths.project() / ".dvc").is_dir():
        raise UserError(".dvc", "not there", "Set the checkout up first: make setup")
    cache = commands.dvc_cache(paths.project())
    with tempfile.TemporaryDirectory(prefix="wor-plan-") as name:
        folder = Path(name)
        for part in map(Path, OWN):
            if part.is_dir():
                shutil.copytree(part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif part.exists():
                shutil.copy(part, folder / part)
        if changes:
            storage.write_text(folder / paths.PARAMS, yaml.safe_dump(overrides.merge_overrides(changes), sort_keys=False))
        else:  # as it is: the last stage depends on its bytes
            shutil.copy(paths.PARAMS, folder / paths.PARAMS)
        (folder / ".dvc").mkdir()
        settings = {
            "core": {"no_scm": "true", "analytics": "false", "site_cache_dir": folder / ".dvc" / "site"},
            "cache": {"dir": cache, "type": "symlink"},
        }
        config = ConfigParser(interpolation=None)
        config.read_dict(settings)
        with open(folder / ".dvc" / "config", "w") as stream:
            config.write(stream)
        yield folder
