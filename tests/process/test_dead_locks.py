"""Check that a lock is cleared when no DVC process holds it, and left when one does."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from wor.process.commands import git
from wor.process.dead_locks import LOCKS, clear_dead_locks, lock_owners, return_to_branch


@pytest.fixture
def zombie():
    """Return the ID of a process that ended and that nobody has reaped."""
    process = subprocess.Popen([sys.executable, "-c", "'dvc'"])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    yield process.pid
    process.wait()


@pytest.fixture
def dvc():
    """Return the ID of a living process with dvc in its command line."""
    with subprocess.Popen(["bash", "-c", "sleep 60; : dvc"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def other():
    """Return the ID of another program, which got the number of a DVC process that has ended."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def owner(pid):
    return {"pid": pid, "cmd": "/bin/dvc exp run"}


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_dead_owners_are_cleared_and_a_living_one_stays(tmp_path, zombie, dvc, other, lock):
    path = tmp_path / lock
    path.parent.mkdir(parents=True)
    read = {"data/a": [owner(zombie), owner(dvc)], "data/b": [owner(other)]}
    path.write_text(json.dumps({"write": {"refs/exps/stash": owner(zombie), "data/c": owner(dvc)}, "read": read}))
    assert lock_owners(tmp_path) == ({dvc: "/bin/dvc exp run"}, {zombie: "/bin/dvc exp run", other: "/bin/dvc exp run"})
    clear_dead_locks(tmp_path)
    assert json.loads(path.read_text()) == {"write": {"data/c": owner(dvc)}, "read": {"data/a": [owner(dvc)]}}


@pytest.mark.parametrize("text", ["", '{"write": {"refs/exps/sta'])
def test_a_file_that_a_kill_cut_off_holds_nothing(tmp_path, text):
    path = tmp_path / LOCKS[0]
    path.parent.mkdir(parents=True)
    path.write_text(text)
    clear_dead_locks(tmp_path)
    assert json.loads(path.read_text()) == {}


def test_dvc_goes_on_where_it_was_blocked_by_a_zombie(tmp_path, zombie):
    """DVC's own lock of its stash, as `dvc exp run` takes it."""
    from dvc.fs import localfs
    from dvc.lock import LockError
    from dvc.rwlock import rwlock

    folder = (tmp_path / LOCKS[1]).parent
    folder.mkdir(parents=True)
    (folder / "rwlock").write_text(json.dumps({"write": {"refs/exps/stash": owner(zombie)}}))

    def take():
        with rwlock(str(folder), localfs, "dvc exp run", [], ["refs/exps/stash"], hardlink=False):
            pass

    with pytest.raises(LockError, match="'refs/exps/stash' is busy"):
        take()
    clear_dead_locks(tmp_path)
    take()


def test_a_study_without_locks_is_left_as_it_is(tmp_path):
    clear_dead_locks(tmp_path)
    assert lock_owners(tmp_path) == ({}, {})
    assert list(tmp_path.iterdir()) == []


COMMIT = ("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "--allow-empty", "-m", "Nothing")


class TestReturnToBranch:
    @pytest.fixture
    def left(self, tmp_path, monkeypatch):
        """A repository as a killed `dvc exp run` leaves it."""
        monkeypatch.chdir(tmp_path)
        for words in (
            ("init", "-q", "-b", "pilot/a"),
            COMMIT,
            ("update-ref", "refs/exps/exec/EXEC_BASELINE", "HEAD"),
        ):
            assert git(*words) is not None
        assert git("checkout", "-q", git("rev-parse", "HEAD").strip()) is not None
        assert git("symbolic-ref", "-q", "HEAD") is None
        return tmp_path

    def test_head_is_back_on_the_branch(self, left):
        assert return_to_branch(left) == "pilot/a"
        assert git("symbolic-ref", "HEAD") == "refs/heads/pilot/a\n"
        assert return_to_branch(left) == ""

    @pytest.mark.parametrize(
        "since",
        [
            ("update-ref", "-d", "refs/exps/exec/EXEC_BASELINE"),  # it was not DVC
            COMMIT,  # someone moved HEAD
            ("branch", "-m", "pilot/a", "other"),  # the branch is gone
        ],
        ids=str,
    )
    def test_what_someone_else_did_is_left(self, left, since):
        assert git(*since) is not None
        assert return_to_branch(left) == ""
        assert git("symbolic-ref", "-q", "HEAD") is None

    def test_a_run_in_progress_is_left(self, left):
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"], cwd=left) as running:
            while "dvc" not in psutil.Process(running.pid).cmdline():
                time.sleep(0.01)
            assert return_to_branch(left) == ""
            running.kill()
        assert return_to_branch(left) == "pilot/a"


def test_outside_a_repository_there_is_no_branch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert return_to_branch(tmp_path) == ""
