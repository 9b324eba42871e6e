"""Give iterations to DVC and git: what `dvc push` and `git push` then send, and a clone gets back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wor import commands, params, paths
from wor.commands import git
from wor.errors import UserError
from wor.iterations import materialise, pointer, registry, renumber, verify

IDENTITY = "git config user.name NAME && git config user.email ADDRESS"


@dataclass(frozen=True)
class Recorded:
    """``tracked``: iterations that DVC has taken in just now. ``commit``: the commit's hash, or None and ``why`` not."""

    tracked: list[str]
    commit: str | None
    why: str = ""


def track(experiments: Path) -> list[str]:
    """`dvc add` each iteration whose pointer is missing, or was made before its notes were edited.

    Raises UserError for an iteration that is not what was recorded, before any is added.
    """
    waiting = [folder for folder in registry.folders(experiments).values() if not pointer.is_current(folder)]
    for folder in waiting:
        if faults := verify.faults_of(folder):
            raise UserError(folder.name, faults[0], f"Restore it before it is given to DVC, or delete {folder}")
    if waiting:
        try:
            commands.run(commands.dvc("add", *map(str, waiting)), where=paths.project())
        except commands.Failed as failed:
            raise UserError("dvc add", failed.line, "Mend that, then: wor record") from None
    return [folder.name for folder in waiting]


def record(message: str = "") -> Recorded:
    """Write the registry anew, track new iterations, and commit both.

    The workspace's own run goes along (dvc.lock, metrics, params.yaml) while params.yaml is what it had: from
    that commit a clone pulls everything and has nothing to compute. Nothing else that is staged or changed
    goes into the commit.
    """
    experiments = paths.experiments()
    if [path for path in renumber.unmerged() if path.endswith(".dvc")]:
        raise UserError("git", "pointers of iterations are unmerged", "Two clones made the same number: wor registry --rebuild")
    with registry.locked(experiments):
        registry.rebuild(experiments)
    tracked = track(experiments)
    files = [path for path in (registry.path(experiments), *sorted(experiments.glob("iteration_*.dvc"))) if path.is_file()]
    files += _of_this_workspace()
    return Recorded(tracked, *_commit(files, message or _message(tracked)))


def _of_this_workspace() -> list[Path]:
    """Files of the workspace's last run, while its results and params.yaml are an iteration's."""
    files = [path for path in (paths.PARAMS, paths.LOCK, paths.SUMMARY, paths.ITERATION) if path.is_file()]
    if {str(path) for path in files} & set(renumber.unmerged()):
        return []
    return files if materialise.find(params.load()) else []


def _message(tracked: list[str]) -> str:
    return f"Record {', '.join(tracked)}" if tracked else "Record the iterations' registry and this run"


def _commit(files: list[Path], message: str) -> tuple[str | None, str]:
    if git("rev-parse", "HEAD") is None:
        return None, "git has no commit here; make one first: git add -A && git commit"
    if git("rev-parse", "--verify", "--quiet", "MERGE_HEAD") is not None:
        git("add", "--", *map(str, files))
        return None, "a merge is under way, and they are staged for it: git commit"
    if git("var", "GIT_COMMITTER_IDENT") is None:
        return None, f"git does not know who you are: {IDENTITY}, then: wor record"
    try:
        commands.run(["git", "add", "--", *map(str, files)])
        if not commands.run(["git", "status", "--porcelain", "--", *map(str, files)]).strip():
            return None, "nothing has changed since the last commit"
        commands.run(["git", "commit", "--quiet", "--only", "-m", message, "--", *map(str, files)])
    except commands.Failed as failed:
        raise UserError("git", failed.line, "Mend that, then: wor record") from None
    return commands.run(["git", "rev-parse", "HEAD"]).strip(), ""
