"""Go from a fresh clone to a real S3 server and back.

The tests push, clone and pull, find nothing to compute, and check what goes wrong on the way.
Where the server can't be installed, a local folder is the remote. The tests of a server's own
faults are then skipped. Both are said aloud.
"""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers import s3
from tests.helpers.study import Study

pytestmark = pytest.mark.dvc
needs_server = pytest.mark.skipif(s3.available() is not None, reason=str(s3.available()))
STORAGE = "storage"


class Remote:
    """A server's bucket, or a local folder in its place."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.url = f"s3://{server.bucket}/study" if server else str(folder)

    def add(self, study):
        """As a researcher would: the address committed, the keys in --local."""
        study.run("dvc", "remote", "add", "-q", "-d", STORAGE, self.url)
        if self.server:
            study.run("dvc", "remote", "modify", STORAGE, "endpointurl", self.server.url)
        self.sign(study)

    def sign(self, study, secret=None):
        if self.server:
            study.run("dvc", "remote", "modify", "--local", STORAGE, "access_key_id", self.server.key)
            study.run("dvc", "remote", "modify", "--local", STORAGE, "secret_access_key", secret or self.server.secret)

    def names(self):
        if self.server:
            return self.server.object_names()
        return [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]

    def damage(self, name):
        """One byte of an object becomes another; its length stays."""
        path = self.folder / name
        content = bytearray(self.server.read(name) if self.server else path.read_bytes())
        content[len(content) // 2] ^= 1
        if self.server:
            self.server.write(name, bytes(content))
        else:
            path.chmod(0o644)
            path.write_bytes(content)


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    if why := s3.available():
        print(f"no S3 server ({why}): a local folder is the remote")
        yield Remote(None, folder)
    else:
        with s3.S3Server(folder) as server:
            yield Remote(server, folder)


@pytest.fixture(scope="module")
def pushed(ran, remote, tmp_path_factory):
    """Return a study with two recorded iterations, all pushed. The tests here don't change it."""
    home = tmp_path_factory.mktemp("pushed")
    study = ran.copy(home / "study")
    # What a clone gets must come from the remote, not from commits that never left.
    study.run("git", "init", "-q", "--bare", "-b", "main", str(home / "origin.git"))
    study.run("git", "remote", "add", "origin", str(home / "origin.git"))
    remote.add(study)
    study.run("git", "add", ".dvc/config")
    study.run("git", "commit", "-qm", "Add the remote")
    study.experiment("heads.n_test=1")
    ran_as = study.output
    study.run("wor", "record")
    assert remote.server is None or remote.server.secret not in study.run("git", "log", "-p", "--all").stdout
    study.run("git", "push", "-q", "-u", "origin", "main")
    study.run("wor", "push")
    (study.name,) = re.findall(r"^Ran experiment\(s\): (\S+)$", ran_as, re.MULTILINE)
    study.run("dvc", "exp", "push", "origin", study.name)
    return study


@pytest.fixture
def clone(pushed, remote, tmp_path):
    origin = type(pushed)(Path(pushed.run("git", "remote", "get-url", "origin").stdout.strip()))
    made = origin.clone(tmp_path / "clone")
    remote.sign(made)
    return made


def test_a_fresh_clone_has_everything_back_and_nothing_to_compute(pushed, clone):
    assert clone.iterations() == []
    line = clone.refusal(clone.run("wor", "results", expect=2))
    assert line.endswith("experiments: recorded iterations: 2, none of them here. Bring them back: dvc pull")
    clone.run("dvc", "pull")
    assert clone.iterations() == ["iteration_001", "iteration_002"]
    assert clone.run("wor", "verify", "--all").stdout == "iteration_001, iteration_002: intact\n"
    for name in clone.iterations():
        for path in (pushed.folder / "experiments" / name).rglob("*"):
            assert path.is_dir() or path.read_bytes() == (clone.folder / path.relative_to(pushed.folder)).read_bytes()
    # check runs each time, in a second. It compares files outside the repository
    # with what they were.
    assert clone.experiment() == ["check"]
    assert clone.iterations() == ["iteration_001", "iteration_002"]
    assert "iteration_002" in clone.run("wor", "run").stdout.splitlines()[-1]
    # An earlier iteration too, whose intermediate outputs the workspace's dvc.lock no longer names.
    for name in ("iteration_001", "iteration_002"):
        done = clone.run("wor", "reproduce", name, "--from", "metrics")
        assert "are identical" in done.stdout.splitlines()[-1]
    # Another temperature that the first clone never had takes the next number.
    clone.experiment("measures.tau=1.3")
    assert clone.iterations() == ["iteration_001", "iteration_002", "iteration_003"]


def test_an_experiment_travels_with_its_outputs(pushed, clone):
    clone.run("dvc", "exp", "pull", "origin", pushed.name)
    clone.run("dvc", "exp", "apply", pushed.name)
    assert clone.json("metrics/summary.json") == pushed.json("metrics/summary.json")
    outputs = ("data/heads/tiny/accuracy.csv", "data/stats/tiny.json", "data/activations/tiny/wiki/items.parquet")
    for path in (*outputs, "plots/tables/roc.csv"):
        assert (clone.folder / path).read_bytes() == (pushed.folder / path).read_bytes()


def test_a_tagged_artifact_can_be_had_by_its_name(pushed, remote, tmp_path):
    origin = pushed.run("git", "remote", "get-url", "origin").stdout.strip()
    pushed.run("git", "tag", "-a", "results@v1.0.0", "-m", "First")
    pushed.run("git", "push", "-q", "origin", "results@v1.0.0")
    elsewhere = Study(tmp_path)
    if remote.server:
        elsewhere.environment |= {"AWS_ACCESS_KEY_ID": remote.server.key, "AWS_SECRET_ACCESS_KEY": remote.server.secret}
    elsewhere.run("dvc", "artifacts", "get", origin, "results", "--rev", "v1.0.0", "-o", "got")
    for name in ("tiny.json", "criteria.json", "tiny_specifications.csv"):
        assert (tmp_path / "got" / name).read_bytes() == (pushed.folder / "data" / "stats" / name).read_bytes()


@pytest.mark.parametrize("verify", [False, True])
def test_a_changed_byte_on_the_remote_is_found(pushed, clone, remote, tmp_path, verify):
    """With DVC's own check switched on, the changed byte stops the pull.

    Without it, DVC trusts the server and wor verify finds the byte.
    """
    path = pushed.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_head_removal.csv"
    md5 = subprocess.run(["md5sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    (name,) = [each for each in remote.names() if each.endswith(f"files/md5/{md5[:2]}/{md5[2:]}")]
    remote.damage(name)
    try:
        if verify:
            clone.run("dvc", "remote", "modify", STORAGE, "verify", "true")
            assert "iteration_001" in clone.run("dvc", "pull", expect=1).stderr
            assert not (clone.folder / "experiments" / "iteration_001").exists()
        else:
            clone.run("dvc", "pull")
            found = clone.run("wor", "verify", "--all", expect=1).stdout
            assert "iteration_001/results/Tiny-Random_head_removal.csv: changed\n" in found
    finally:
        remote.damage(name)  # the same bit back
    # DVC remembers hashes of files by time and size, so what it believed of this one has to go.
    for wrong in (clone.folder / ".dvc" / "cache", clone.folder / "experiments" / "iteration_001"):
        shutil.rmtree(wrong, ignore_errors=True)
    clone.run("dvc", "pull")
    assert clone.run("wor", "verify", "--all").stdout == "iteration_001, iteration_002: intact\n"


def test_without_a_remote_push_says_so(study):
    study.run("wor", "record")
    done = study.run("dvc", "push", expect=None)
    assert done.returncode != 0
    assert "no remote" in done.stderr
    assert study.run("wor", "verify", "--all").stdout == "iteration_001: intact\n"


@needs_server
def test_wrong_credentials_lose_nothing(study, remote):
    study.run("wor", "record")
    elsewhere = Remote(remote.server, None)
    elsewhere.url = f"s3://{remote.server.bucket}/credentials"
    elsewhere.add(study)
    elsewhere.sign(study, secret="wrong")
    assert "Forbidden" in study.run("dvc", "push", expect=255).stderr
    # The right ones from the environment: no file of the repository holds them.
    (study.folder / ".dvc" / "config.local").unlink()
    study.environment |= {"AWS_ACCESS_KEY_ID": remote.server.key, "AWS_SECRET_ACCESS_KEY": remote.server.secret}
    study.run("dvc", "push")
    assert "in sync" in study.run("dvc", "status", "--cloud").stdout
    assert study.run("wor", "verify", "--all").stdout == "iteration_001: intact\n"


@needs_server
def test_a_remote_that_goes_away_half_way_is_filled_by_the_next_push(study, remote):
    server = remote.server
    study.run("wor", "record")
    elsewhere = Remote(server, None)
    elsewhere.url = f"s3://{server.bucket}/half"
    elsewhere.add(study)
    study.run("dvc", "remote", "modify", STORAGE, "jobs", "1")
    study.environment["AWS_MAX_ATTEMPTS"] = "1"  # by default each file is tried again for most of a second

    def here():
        return len([name for name in server.object_names() if name.startswith("half/")])

    push = subprocess.Popen(
        ["dvc", "push"], cwd=study.folder, env=study.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while here() < 5 and push.poll() is None:
        time.sleep(0.01)
    server.kill_gateway()
    said = push.communicate(timeout=120)[1]
    server.start_gateway()
    assert push.returncode != 0
    assert "Could not connect to the endpoint URL" in said
    before = here()
    study.run("dvc", "push")
    assert before >= 5
    assert here() > before, "everything was there before the remote went away; the test shows nothing"
    assert "in sync" in study.run("dvc", "status", "--cloud").stdout
    assert study.run("wor", "verify", "--all").stdout == "iteration_001: intact\n"
