"""Ask DVC which stages it will take from its cache, in a copy of the workspace without outputs."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import chdir, contextmanager
from pathlib import Path

import yaml

from wor import compat, paths, storage
from wor.config import overrides
from wor.errors import UserError
from wor.process import commands

QUICK = ("check", "ids")  # run in the copy, as they take seconds
COPIED = (".dvcignore", "dvc.yaml", "dvc.lock", "prereg.yaml", "requirements.txt", "data/frozen", "stages", "wor")
CARDS = paths.MODELS  # copied for stage check alone, which then reads no recorded model again


def cached_stages(changes: dict[str, object]) -> dict[str, bool]:
    """Return for each stage of the run with ``changes``, in order, whether DVC has its result.

    QUICK stages run, to know the next inputs. A stage after another missing one counts as missing.
    """
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)  # it reports each output that it checks out
    cached: dict[str, bool] = {}
    complete, project = set(), paths.project()
    with _copy(changes) as folder, chdir(folder), Repo() as repo, repo.lock:  # restore reads the current folder
        for stage, dependencies in compat.planned_stages(repo):
            cached[stage.name] = False
            if not all(before.name in complete for before in dependencies):
                continue
            cached[stage.name] = compat.restore_from_run_cache(repo, stage)
            if cached[stage.name] or (stage.name in QUICK and _run(stage.cmd, folder, project)):
                complete.add(stage.name)
            if stage.name == "check":
                shutil.rmtree(folder / CARDS, ignore_errors=True)  # an output, which DVC puts there itself
    return cached


def _run(command: str, folder: Path, project: Path) -> bool:
    environment = commands.child_environment(DVC_ROOT=str(project), DVC_STAGE=command.split()[-1])
    try:
        commands.run_captured([sys.executable, *command.split()[1:]], where=folder, env=environment)
    except commands.CommandFailed:
        return False
    return True


@contextmanager
def _copy(changes: dict[str, object]) -> Iterator[Path]:
    if not (paths.project() / ".dvc").is_dir():
        raise UserError(".dvc", "not found", "Set up the checkout first: make setup")
    cache = commands.dvc_cache(paths.project())
    with tempfile.TemporaryDirectory(prefix="wor-plan-") as name:
        folder = Path(name)
        for part in (*map(Path, COPIED), CARDS):
            if part.is_dir():
                shutil.copytree(part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif part.exists():
                shutil.copy(part, folder / part)
        if changes:
            storage.write_text(folder / paths.PARAMS, yaml.safe_dump(overrides.merge_overrides(changes), sort_keys=False))
        else:  # byte by byte, as the last stage depends on it
            shutil.copy(paths.PARAMS, folder / paths.PARAMS)
        (folder / ".dvc").mkdir()
        settings = {
            "core": {"no_scm": "true", "analytics": "false", "site_cache_dir": folder / ".dvc" / "site"},
            "cache": {"dir": cache, "type": "symlink"},
        }
        config = ConfigParser(interpolation=None)
        config.read_dict(settings)
        with open(folder / ".dvc" / "config", "w", encoding="utf-8") as stream:
            config.write(stream)
        yield folder
