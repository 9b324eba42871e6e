"""Add iterations to DVC and git, so that `dvc push` and `git push` share them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wor import paths
from wor.config import params
from wor.errors import UserError
from wor.iterations import registry, verify
from wor.process import commands
from wor.process.commands import git
from wor.process.dead_locks import clear_dead_locks
from wor.recording import create, pointer, renumber
from wor.recording.numbering import rebuild_registry, registry_lock

IDENTITY = "git config user.name NAME && git config user.email ADDRESS"
# What a run depends on besides params.yaml and its data.
CODE = ("wor", "stages", "dvc.yaml", "prereg.yaml", "requirements.txt", "data/frozen")


@dataclass(frozen=True)
class Tracked:
    """``names`` of the iterations that DVC was given, and the reason for each in ``refused``."""

    names: list[str]
    refused: dict[str, str]


@dataclass(frozen=True)
class Recorded:
    """The outcome of `wor record`.

    commit : its hash; None where there is none, and ``why``. files : what it holds. left_out : the
    run's files, if params.yaml is not what made them. beside : uncommitted code of the run.
    """

    tracked: Tracked
    commit: str | None
    why: str
    files: list[str]
    left_out: list[str]
    beside: list[str]


def track_iterations(experiments: Path) -> Tracked:
    """Run `dvc add` for each iteration that is new or has edited notes.

    One that was changed is refused, and one whose pointer is another clone's with the same number.
    """
    waiting: list[Path] = []
    refused, rows = {}, registry.read_rows(experiments)
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
        clear_dead_locks(paths.project())
        try:
            commands.run_captured(commands.dvc_command("add", *map(str, waiting)), where=paths.project())
        except commands.CommandFailed as failed:
            raise UserError("dvc add", failed.line, "Fix that, then: wor record") from None
    return Tracked([folder.name for folder in waiting], refused)


def record_iterations(message: str = "") -> Recorded:
    """Write the registry anew, track new iterations, and commit both, but no other change.

    The workspace's run (dvc.lock, metrics, params.yaml) is committed too, unless params.yaml has
    changed since. A clone then has nothing to compute, if the commit also has the run's code.
    """
    experiments = paths.experiments()
    if renumber.unmerged_pointers():
        raise UserError("git", "pointers of iterations are unmerged", "Two clones made the same number: wor registry --rebuild")
    with registry_lock(experiments):
        rebuild_registry(experiments)
    tracked = track_iterations(experiments)
    listed = [registry.registry_path(experiments), *sorted(experiments.glob("iteration_*.dvc"))]
    files = [path.relative_to(paths.project()) for path in listed if path.is_file()]
    run = [path for path in (paths.PARAMS, paths.LOCK, paths.SUMMARY, paths.ITERATION) if path.is_file()]
    merged = not {str(path) for path in run} & set(renumber.unmerged_files())
    belongs = merged and create.find_current(params.load_params()) is not None
    left_out = [name for name in _changed(map(str, run)) if name != str(paths.PARAMS)] if merged and not belongs else []
    changed = _changed(map(str, [*files, *run] if belongs else files))
    commit, why = _commit(changed, message or _message(changed))
    return Recorded(tracked, commit, why, changed, left_out, _changed(CODE) if belongs else [])


def _changed(names: Iterable[str]) -> list[str]:
    """Return which of the files and the folders' files differ from the last commit."""
    prefix = (git("rev-parse", "--show-prefix") or "").strip()  # git status names files from its own top
    lines = (git("status", "--porcelain", "--untracked-files=all", "--", *names) or "").splitlines()
    return [line[3:].removeprefix(prefix) for line in lines]


def untracked_code() -> list[str]:
    """Return what a run depends on and git was not told of. A copy of the workspace lacks it."""
    return (git("ls-files", "--others", "--exclude-standard", "--", *CODE) or "").splitlines()


def merge_in_progress() -> bool:
    """Whether a merge, rebase or cherry-pick has not ended."""
    heads = ("MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD")
    return any(git("rev-parse", "--verify", "--quiet", head) is not None for head in heads)


def _message(changed: list[str]) -> str:
    """Return a subject that names what the commit holds."""
    parts = [Path(name).stem for name in changed if name.endswith(".dvc")]
    parts += ["its run" if parts else "a run"] if {str(paths.LOCK), str(paths.SUMMARY)} & set(changed) else []
    return f"Record {' and '.join(parts or ['the registry of iterations'])}"


def _commit(names: list[str], message: str) -> tuple[str | None, str]:
    """Commit the files ``names``; return the commit's hash, or None and the reason."""
    try:
        commands.head_commit()
    except UserError as error:
        return None, f"{error.value}. {error.remedy}"
    try:
        if names:
            commands.run_captured(["git", "add", "--", *names])
        if merge_in_progress():
            return None, "a merge or rebase is under way, and they are staged for it: git status says how to end it"
        if git("var", "GIT_COMMITTER_IDENT") is None:
            return None, f"git does not know who you are: {IDENTITY}, then: wor record"
        if not names:
            return None, "nothing has changed since the last commit"
        commands.run_captured(["git", "commit", "--quiet", "--only", "-m", message, "--", *names])
    except commands.CommandFailed as failed:
        raise UserError("git", failed.line, "Fix that, then: wor record") from None
    return commands.head_commit(), ""
