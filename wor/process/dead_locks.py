"""Tell and undo what a killed run of DVC left: its locks in .dvc/tmp, and HEAD on no branch.

DVC clears a lock whose process is gone. It takes two others for alive: a process that was killed
and never reaped, as in a container without an init process, and another program that got the
number since. It also stops at a file that a kill cut off.
"""

import json
import re
from pathlib import Path

import psutil

from wor import storage
from wor.process.commands import git

LOCKS = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))


def clear_dead_locks(project: Path) -> None:
    """Remove what no DVC process holds, while no other process changes these files."""
    import zc.lockfile

    for path in (project / lock for lock in LOCKS):
        lock = _read(path)
        if lock is not None and all(is_dvc(owner["pid"], owner["cmd"]) for owner in _owners(lock)):
            continue
        try:
            guard = zc.lockfile.LockFile(f"{path}.lock")  # as DVC does
        except zc.lockfile.LockError:
            continue
        try:
            storage.write_text(path, json.dumps(_held(_read(path) or {})))
        finally:
            guard.close()


def return_to_branch(project: Path) -> str:
    """Put HEAD back on the branch from which a killed run took it, and return the branch's name.

    DVC runs an experiment with HEAD on no branch. Empty where nothing is to be done: HEAD is on a
    branch, DVC still runs there, someone else moved HEAD, or the branch is elsewhere by now.
    """

    def ask(*words: str) -> str:
        return (git(*words, where=project) or "").strip()

    if ask("symbolic-ref", "-q", "HEAD") or not ask("rev-parse", "-q", "--verify", "refs/exps/exec/EXEC_BASELINE"):
        return ""
    head = ask("rev-parse", "HEAD")
    left = re.fullmatch(rf"checkout: moving from (\S+) to {head}", ask("reflog", "-1", "--format=%gs"))
    if not left or ask("rev-parse", "-q", "--verify", f"refs/heads/{left[1]}") != head or _dvc_runs_in(project):
        return ""
    ask("symbolic-ref", "-m", f"wor: return to {left[1]} after a killed run", "HEAD", f"refs/heads/{left[1]}")
    return left[1]


def _dvc_runs_in(project: Path) -> bool:
    # Stricter than `is_dvc`: no lock names these processes, and an editor of dvc.yaml is none.
    for process in psutil.process_iter():
        try:
            names = {Path(part).name for part in process.cmdline()}
            if names & {"dvc", "wor.process.quiet_dvc"} and Path(process.cwd()).samefile(project):
                return True
        except (psutil.Error, OSError):
            continue
    return False


def lock_owners(project: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Return the commands of living and of dead owners of DVC's locks, by process ID."""
    living: dict[int, str] = {}
    dead: dict[int, str] = {}
    for path in (project / lock for lock in LOCKS):
        for owner in _owners(_read(path) or {}):
            (living if is_dvc(owner["pid"], owner["cmd"]) else dead)[owner["pid"]] = owner["cmd"]
    return living, dead


def is_dvc(pid: int, command: str = "") -> bool:
    """Whether a process lives and is DVC, or the ``command`` that a lock names."""
    try:
        line = psutil.Process(pid).cmdline()  # empty, or an error, for a killed process that nobody reaped
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False
    return any("dvc" in part for part in line) or (bool(command) and " ".join(line).endswith(command))


def _read(path: Path) -> dict | None:
    """Return the content of a lock file; None for half of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        return None


def _owners(lock: dict) -> list[dict]:
    return [*lock.get("write", {}).values(), *(owner for owners in lock.get("read", {}).values() for owner in owners)]


def _held(lock: dict) -> dict:
    """Return the content of a lock file without dead owners."""
    kept = {owner["pid"] for owner in _owners(lock) if is_dvc(owner["pid"], owner["cmd"])}
    held: dict = {}
    if write := {path: owner for path, owner in lock.get("write", {}).items() if owner["pid"] in kept}:
        held["write"] = write
    read = {path: [owner for owner in owners if owner["pid"] in kept] for path, owners in lock.get("read", {}).items()}
    if read := {path: owners for path, owners in read.items() if owners}:
        held["read"] = read
    return held
