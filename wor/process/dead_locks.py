"""Tell which of DVC's locks in .dvc/tmp are held, and clear those that a killed run left.

DVC clears a lock whose process is gone. It takes two others for alive: a process that was killed
and never reaped, as in a container without an init process, and another program that got the
number since. It also stops at a file that a kill cut off.
"""

import json
from pathlib import Path

import psutil

from wor import storage

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
