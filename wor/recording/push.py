"""Send iterations to DVC's remote, with everything that each was computed from."""

from pathlib import Path

from wor import compat, paths
from wor.errors import UserError
from wor.iterations import registry
from wor.process import commands
from wor.process.dvc_lock import Lock
from wor.recording import pointer


def push_iterations() -> tuple[int, list[str]]:
    """Run `dvc push`, then send what each recorded iteration's own dvc.lock names.

    `dvc push` alone sends what the workspace's dvc.lock names: the last run's outputs. Return the
    number of files sent after it, and a line for each iteration with outputs not in DVC's cache.

    Raises UserError where DVC can't send.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    code = commands.run_interactive(commands.dvc_command("push"), where=paths.project())
    if code == commands.INTERRUPTED:
        raise SystemExit(code)
    if code:
        raise UserError("dvc push", f"exit code {code}", "See its output above; the same command goes on: wor push")
    objects: set[str] = set()
    incomplete = []
    for folder in registry.iteration_folders(paths.experiments()).values():
        outputs = _recorded_outputs(folder)
        needed = {path: _with_files(md5) for path, md5 in outputs.items()}
        here = {path: hashes for path, hashes in needed.items() if all(pointer.cached_object(md5).is_file() for md5 in hashes)}
        objects |= set().union(*here.values())
        if missing := needed.keys() - here.keys():
            incomplete.append(f"{folder.name}: {len(missing)} of {len(needed)} outputs are not in DVC's cache here")
    try:
        with Repo(str(paths.project())) as repo:
            sent, failed = compat.push_objects(repo, sorted(objects))
    except DvcException as error:
        raise UserError("dvc push", str(error), "Mend that; the same command goes on: wor push") from None
    if failed:
        raise UserError("dvc push", f"{failed} files were not sent", "The same command goes on: wor push")
    return sent, incomplete


def _recorded_outputs(folder: Path) -> dict[str, str]:
    """Return path and hash of each output in the dvc.lock of a recorded iteration."""
    lock = folder / paths.LOCK.name
    if not lock.is_file() or not paths.pointer(folder).is_file():
        return {}
    stages = Lock(lock.read_text(encoding="utf-8")).stages.values()
    outputs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", []) if "md5" in out}
    return {path: md5 for path, md5 in outputs.items() if Path(path) not in (paths.SUMMARY, paths.ITERATION)}  # they are in git


def _with_files(md5: str) -> list[str]:
    """Return a hash and, if it is a folder's, those of its files."""
    return [md5, *(pointer.cached_listing(md5) or {}).values()] if md5.endswith(".dir") else [md5]
