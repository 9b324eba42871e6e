"""Give iterations to DVC and git: what `dvc push` and `git push` then send, and a clone gets back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wor import paths
from wor.config import params
from wor.errors import UserError
from wor.iterations import registry, verify
from wor.process import commands
from wor.process.commands import git
from wor.recording import create, pointer, renumber
from wor.recording.numbering import rebuild_registry, registry_lock

IDENTITY = "git config user.name NAME && git config user.email ADDRESS"
# What a run is made of besides params.yaml and its data.
CODE = ("wor", "stages", "dvc.yaml", "prereg.yaml", "requirements.txt", "data/frozen")


@dataclass(frozen=True)
class Tracked:
    """Iterations that DVC has taken in just now, and for each that it was not given, why."""

    names: list[str]
    refused: dict[str, str]


@dataclass(frozen=True)
class Recorded:
    """``commit``: its hash, or None and ``why`` not. ``beside``: changes that the run used and the commit hasn't."""

    tracked: Tracked
    commit: str | None
    why: str
    beside: list[str]


def track_iterations(experiments: Path) -> Tracked:
    """`dvc add` each iteration whose pointer is missing, or was made before its notes were edited.

    Not one that is no longer what was recorded, and not one whose number another clone has taken too: its
    pointer is the other's.
    """
    waiting, refused, rows = [], {}, registry.read_rows(experiments)
    for folder in registry.iteration_folders(experiments).values():
        if pointer.is_current(folder):
            continue
        if faults := verify.folder_faults(folder):
            refused[folder.name] = f"{faults[0]}; all of it: wor verify {folder.name}"
        elif paths.pointer(folder).is_file() and registry.rows_with_same_number(folder, rows):
            refused[folder.name] = "another clone made that number too: wor registry --rebuild"
        else:
            waiting.append(folder)
    if waiting:
        try:
            commands.run_captured(commands.dvc_command("add", *map(str, waiting)), where=paths.project())
        except commands.CommandFailed as failed:
            raise UserError("dvc add", failed.line, "Mend that, then: wor record") from None
    return Tracked([folder.name for folder in waiting], refused)


def record_iterations(message: str = "") -> Recorded:
    """Write the registry anew, track new iterations, and commit both.

    The workspace's own run goes along (dvc.lock, metrics, params.yaml) while params.yaml is what it had: from
    that commit a clone pulls everything and has nothing to compute, unless the run used code that is not in
    it. Nothing else that is staged or changed goes into the commit.
    """
    experiments = paths.experiments()
    if renumber.unmerged_pointers():
        raise UserError("git", "pointers of iterations are unmerged", "Two clones made the same number: wor registry --rebuild")
    with registry_lock(experiments):
        rebuild_registry(experiments)
    tracked = track_iterations(experiments)
    files = [
        path for path in (registry.registry_path(experiments), *sorted(experiments.glob("iteration_*.dvc"))) if path.is_file()
    ]
    run = _of_this_workspace()
    beside = (git("status", "--porcelain", "--", *CODE) or "").splitlines() if run else []
    return Recorded(tracked, *_commit(files + run, message or _message(tracked.names)), [line[3:] for line in beside])


def _of_this_workspace() -> list[Path]:
    """Files of the workspace's last run, while its results and params.yaml are an iteration's."""
    files = [path for path in (paths.PARAMS, paths.LOCK, paths.SUMMARY, paths.ITERATION) if path.is_file()]
    if {str(path) for path in files} & set(renumber.unmerged()):
        return []
    return files if create.find_current(params.load_params()) else []


def merge_in_progress() -> bool:
    """Whether a merge or the like waits to be ended."""
    heads = ("MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD")
    return any(git("rev-parse", "--verify", "--quiet", head) is not None for head in heads)


def _message(tracked: list[str]) -> str:
    return f"Record {', '.join(tracked)}" if tracked else "Record the iterations' registry and this run"


def _commit(files: list[Path], message: str) -> tuple[str | None, str]:
    if git("rev-parse", "HEAD") is None:
        return None, "git has no commit here; make one first: git add -A && git commit"
    names = [str(path) for path in files]
    try:
        commands.run_captured(["git", "add", "--", *names])
        if merge_in_progress():
            return None, "a merge or rebase is under way, and they are staged for it: git status says how to end it"
        if git("var", "GIT_COMMITTER_IDENT") is None:
            return None, f"git does not know who you are: {IDENTITY}, then: wor record"
        if not commands.run_captured(["git", "status", "--porcelain", "--", *names]).strip():
            return None, "nothing has changed since the last commit"
        commands.run_captured(["git", "commit", "--quiet", "--only", "-m", message, "--", *names])
    except commands.CommandFailed as failed:
        raise UserError("git", failed.line, "Mend that, then: wor record") from None
    return commands.run_captured(["git", "rev-parse", "HEAD"]).strip(), ""
