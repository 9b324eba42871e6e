"""Check a stage's shards on a real Ray cluster of two nodes on this machine."""

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.helpers.files import digests
from tests.helpers.root import ROOT
from wor import storage
from wor.errors import UserError
from wor.pipeline import cluster

# Other tests run beside these, and Ray's workers would give way to them.
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
MANY = {"dataset_specs": {"gsm-symbolic": {"n": 168}}}  # 90 for evaluation: two shards generated, six observed
ACTIVATIONS = ("activations", "--model", "tiny", "--dataset", "gsm-symbolic")


class Nodes:
    """Ray's processes, node by node."""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
        self.started = []
        self.start("--head", "--port=0", "--include-dashboard=false", f"--temp-dir={self.home}")
        self.address = (self.home / "ray_current_cluster").read_text()

    def start(self, *options: str, code: Path = ROOT) -> subprocess.Popen:
        command = [Path(sys.executable).with_name("ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=80000000"]
        environment = {**os.environ, **RAY, "PYTHONPATH": str(code)}
        log = self.home / f"{len(self.started)}.log"
        with open(log, "w") as stream:
            node = subprocess.Popen([*command, *options], cwd=self.home, env=environment, stdout=stream, stderr=stream)
        self.started.append(node)
        while "Ray runtime started" not in log.read_text():
            assert node.poll() is None, log.read_text()
            time.sleep(0.1)
        return node

    def join(self, code: Path = ROOT) -> subprocess.Popen:
        return self.start(f"--address={self.address}", code=code)

    def at_work(self, node: subprocess.Popen) -> list[psutil.Process]:
        """The node's workers that have a shard in hand: Ray makes their title of it."""
        return [child for child in psutil.Process(node.pid).children(recursive=True) if _title(child) == "ray::Worker.compute"]

    def kill(self, node: subprocess.Popen) -> None:
        """SIGKILL to everything that belongs to the node, at once."""
        if node.poll() is None:
            for process in [*psutil.Process(node.pid).children(recursive=True), node]:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            node.wait()

    def stop(self) -> None:
        for node in reversed(self.started):
            self.kill(node)
        shutil.rmtree(self.home, ignore_errors=True)


def _title(process: psutil.Process) -> str:
    try:
        return process.cmdline()[0]
    except (psutil.Error, IndexError):  # ended meanwhile
        return ""


@pytest.fixture(scope="module")
def nodes():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install -r requirements-ray.txt")
    ray_nodes = Nodes()
    try:
        ray_nodes.join()
        yield ray_nodes
    finally:
        ray_nodes.stop()


@pytest.fixture(scope="module")
def on_ray(nodes, ran, tmp_path_factory):
    """A copy of a study that ran without a cluster. Tests continue it on the cluster, in order."""
    study = ran.copy(tmp_path_factory.mktemp("on-ray") / "study")
    study.environment |= {**RAY, "WOR_CACHE": str(study.folder.parent / "cache")}
    study.change({"compute": {"backend": "ray", "address": nodes.address}})
    return study


@pytest.fixture(scope="module")
def undisturbed(on_ray):
    """Digests of what the local backend makes of more items."""
    on_ray.change(MANY, {"compute": {"backend": "local"}})
    on_ray.stage("ids")
    on_ray.stage(*ACTIVATIONS)
    on_ray.change({"compute": {"backend": "ray"}})
    return digests(on_ray.folder / "data" / "activations" / "tiny" / "gsm-symbolic")


def outputs(folder):
    return {path.relative_to(folder): storage.sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.dvc
@pytest.mark.parametrize("stage", ["reference", "nulls", "heads"])
def test_a_stage_gives_the_same_bytes_as_on_this_machine_alone(on_ray, stage):
    folder = on_ray.folder / "data" / stage / "tiny"
    alone = outputs(folder)
    shutil.rmtree(folder)
    on_ray.stage(stage, "--model", "tiny")
    assert outputs(folder) == alone
    log = on_ray.json(f"data/logs/{stage}_tiny.json")
    assert log["cluster"]["workers"] >= 1
    assert log["cluster"]["died"] == 0
    assert len(log["compute"]["machines"]) == 1
    assert log["memory"]["largest_groups"]


class Run:
    """The activations stage on the cluster, in a process that is watched."""

    def __init__(self, study):
        self.study, self.output = study, study.folder / "data" / "activations" / "tiny" / "gsm-symbolic"
        shutil.rmtree(self.output, ignore_errors=True)
        command = [sys.executable, "-m", "stages", *ACTIVATIONS]
        self.log = study.folder / "said"
        with open(self.log, "w") as stream:
            self.process = subprocess.Popen(command, cwd=study.folder, env=study.environment, stdout=stream, stderr=stream)

    def said(self):
        return self.log.read_text()

    def finished(self):
        return {
            path: os.stat(path).st_mtime_ns for path in glob.glob(f"{self.study.environment['WOR_CACHE']}/shards/*/*/arrays*")
        }

    def until(self, true):
        while not (result := true()):
            assert self.process.poll() is None, self.said()
            time.sleep(0.005)
        return result

    def end(self):
        try:
            assert self.process.wait(timeout=600) == 0, self.said()
        finally:
            self.process.kill()
            self.process.wait()
        return self.study.json("data/logs/activations_tiny_gsm-symbolic.json")


@pytest.mark.dvc
def test_a_killed_node_driver_and_worker_cost_the_shards_in_hand_and_nothing_else(nodes, on_ray, undisturbed):
    head, other = nodes.started
    run = Run(on_ray)
    run.until(lambda: run.finished() and nodes.at_work(other))
    nodes.kill(other)
    run.until(lambda: "its worker died" in run.said() and len(run.finished()) >= 3)
    run.process.kill()
    run.process.wait()
    finished = run.finished()
    while nodes.at_work(head):  # for the driver that is dead
        time.sleep(0.01)
    run = Run(on_ray)
    run.until(lambda: nodes.at_work(head))[0].kill()
    assert finished.items() <= run.finished().items()  # none was written again
    log = run.end()
    assert digests(run.output) == undisturbed
    assert log["cluster"]["died"] == 1
    assert any("were done before an interruption" in line for line in log["lines"])
    assert not run.finished()


DEADLY = """
import os, sys
from wor.config import params
from wor.errors import UserError
from wor.pipeline import session
from wor.pipeline.progress import Log

def refuses(lm, entries, advance):
    raise UserError("item 7", "not to be had", "Take another")

def dies(lm, entries, advance):
    os._exit(1)

run = session.start_session(params.load_params(), "tiny", Log("test"))
for work in (refuses, dies):
    try:
        run.shards.run("deadly", 1, [7], int, int, [], work)
    except UserError as error:
        print("said:", error)
"""


@pytest.mark.dvc
def test_a_workers_refusal_is_the_drivers_and_a_shard_that_kills_three_workers_is_named(on_ray):
    lines = on_ray.run(sys.executable, "-c", DEADLY).stdout.splitlines()  # Ray's own are among them
    refused, deadly = (line for line in lines if line.startswith("said: "))
    assert refused == "said: item 7: not to be had. Take another"
    assert deadly.startswith("said: shard 0 of 'deadly', 1 entries: 3 workers died at it. ")


@pytest.mark.dvc
def test_a_worker_with_other_code_is_refused(nodes, on_ray, undisturbed, tmp_path):
    for part in ("wor", "stages"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    with open(tmp_path / "wor" / "data" / "answers.py", "a") as code:
        code.write("# another version\n")
    # Otherwise the worker would find the driver's code first, in the driver's working directory.
    early = "import sys\nif any('default_worker' in part for part in sys.orig_argv):\n    import wor.pipeline.cluster\n"
    (tmp_path / "sitecustomize.py").write_text(early)
    nodes.join(code=tmp_path)
    refusal = on_ray.refusal(on_ray.stage(*ACTIVATIONS, expect=2))
    assert refusal.startswith("error: compute.backend: a worker on ")
    assert " has code " in refusal
    assert "Give every node the same checkout and packages" in refusal


@pytest.mark.dvc
def test_a_cluster_that_does_not_answer_is_one_line(on_ray):
    on_ray.change({"compute": {"address": "127.0.0.1:1"}})
    began = time.monotonic()
    refusal = on_ray.refusal(on_ray.stage("heads", "--model", "tiny", expect=2))
    assert refusal.startswith("error: compute.address: no Ray cluster at 127.0.0.1:1 (")
    assert time.monotonic() - began < 60


def test_ray_is_asked_for_by_name_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"ray is not installed\. pip install -r requirements-ray.txt"):
        cluster._connect("")
