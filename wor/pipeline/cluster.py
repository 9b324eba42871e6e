"""A stage's shards on a Ray cluster. Where a shard is computed decides nothing in it.

The driver, a stage's own process, cuts the shards, hands them out and writes them. A worker is a Ray actor with
a model of its own; when one dies, the shard that it was at is computed anew by another.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from weakref import WeakKeyDictionary

import torch

from wor import paths
from wor.config.params import Params
from wor.engine import memory
from wor.engine.load import Placement, choose_device, load
from wor.engine.model import LM
from wor.engine.twin import random_twin
from wor.errors import UserError
from wor.machine import environment
from wor.machine.memory import memory_budget
from wor.pipeline.progress import Log
from wor.pipeline.shards import Records, Work
from wor.weights import identity_card

MAX_DEATHS = 3  # workers that one shard may take down, or that may die in a row while they start
WORKER_TIMEOUT = 300  # seconds without a worker: a first one may have weights to convert
CONNECT_TIMEOUT = 30  # seconds for the cluster's address to answer


class Worker:
    """The model on a machine of the cluster, placed as the driver's is. Ray makes an actor of it."""

    def begin(self, software: dict, card: dict, placement: dict, memory_gib: float, template: str, neighbours: int) -> dict:
        """Load the carded model from this machine's own weights, and say what the driver has to know of it.

        ``software`` of the driver, which this process must have too. ``neighbours``: workers on a machine, which
        share the memory that is free.
        """
        import ray

        os.chdir(Path(paths.__file__).resolve().parents[1])  # a checkout: its code is hashed, and local models' paths start there
        _require_same_software(software)
        placed = choose_device(*(placement[name] for name in ("device", "dtype", "threads")))
        lm = load(identity_card.open_card(card), placed, template)
        lm.set_memory(*memory_budget(memory_gib, placed.device))
        self.models = {None: lm}
        return {
            "node": ray.get_runtime_context().get_node_id(),
            "machine": torch.cuda.get_device_name() if placed.device == "cuda" else environment.cpu_name(),
            "memory": lm.memory if memory_gib else max(memory.MIN_BUDGET, lm.memory // neighbours),
        }

    def compute(self, work: Work, entries: list, budget: int, twin: int | None) -> tuple[Records, int, dict[str, int]]:
        """A shard's records, by the model or its ``twin`` of that seed; the budget as it then is, and the largest groups."""
        if twin not in self.models:
            self.models[twin] = random_twin(self.models[None], twin)
        lm = self.models[twin]
        lm.memory = budget
        return work(lm, entries, lambda step=1: None), lm.memory, lm.groups


class Cluster:
    """A stage's workers. They start with its first shards and end with its process, however that ends.

    Parameters
    ----------
    identity : the session's; a worker with other code or versions is refused.

    Raises
    ------
    UserError
        Ray isn't installed, the address doesn't answer, no node has room for a worker, or none starts; here or later.
    """

    def __init__(self, params: Params, identity: dict, placement: Placement, log: Log):
        compute = params.compute
        self.ray, self.log = _connect(compute.address), log
        failures = self.ray.exceptions
        self.death = (failures.RayActorError, failures.ObjectLostError, failures.NodeDiedError, failures.OutOfMemoryError)
        on_gpu = placement.device == "cuda"
        needs = {"num_gpus": 1} if on_gpu else {"num_cpus": placement.threads}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        rooms = [int(node.get("GPU", 0)) if on_gpu else int(node.get("CPU", 0)) // placement.threads for node in nodes]
        if not any(rooms):
            wants = "a GPU" if on_gpu else f"{placement.threads} CPUs (compute.threads)"
            remedy = "Give ray start --num-cpus or --num-gpus on the nodes, or lower compute.threads"
            raise UserError("compute.backend", f"no node of the Ray cluster has {wants} for a worker", remedy)
        self.most = compute.workers or sum(rooms)
        self.actor = self.ray.remote(scheduling_strategy="SPREAD", **needs)(Worker)
        software = {"code": identity["code"], "python": platform.python_version(), **identity["versions"]}
        neighbours = 1 if on_gpu else min(self.most, max(rooms))
        self.first = (software, identity["card"], asdict(placement), compute.memory_gib, params.prompt.template, neighbours)
        self.starting, self.idle, self.began = {}, [], []
        self.node = WeakKeyDictionary()  # a worker lives as long as someone holds it
        self.stillborn = self.lost = 0
        log.info(f"up to {self.most} workers on a Ray cluster of {len(nodes)} nodes")

    def compute(
        self, what: str, lm: LM, work: Work, shards: dict[int, list], advance: Callable, twin: int | None = None
    ) -> Iterator[tuple[int, Records]]:
        """Compute shards as `shards.compute_serially` does, in whatever order the workers are done.

        ``lm`` is the driver's and lends only its memory budget: the least that the driver or any worker has. It follows
        a worker's when that halves.
        """
        sent = self.ray.put(work)
        waiting, running, deaths = sorted(shards, reverse=True), {}, Counter()
        while waiting or running:
            self._hire(len(waiting) + len(running), len(running))
            while waiting and self.idle:
                worker, index = self.idle.pop(), waiting.pop()
                running[worker.compute.remote(sent, shards[index], lm.memory, twin)] = (worker, index)
            done = self._next(running)
            if done in self.starting:
                self._welcome(done, lm)
                continue
            worker, index = running.pop(done)
            try:
                records, budget, groups = self._result(done)
            except self.death as error:
                self._dismiss(worker)
                self.lost += 1
                deaths[index] += 1
                shard = f"shard {index} of {what!r}, {len(shards[index])} entries"
                self.log.info(f"{shard}: its worker died ({_first_line(error)})")
                if deaths[index] == MAX_DEATHS:
                    remedy = "See Ray's logs on its node; if memory ran out, set compute.memory_gib. What was finished is kept"
                    raise UserError(shard, f"{MAX_DEATHS} workers died at it", remedy) from error
                waiting.append(index)
                continue
            self.idle.append(worker)
            lm.memory = min(lm.memory, budget)
            lm.groups |= {name: max(size, lm.groups.get(name, 0)) for name, size in groups.items()}
            advance(len(shards[index]))
            yield index, records

    def machines(self) -> list[str]:
        """The kinds of processor that computed; more than one, and numbers depend in rounding on who got which shard."""
        return sorted({one["machine"] for one in self.began})

    def about(self) -> dict[str, int]:
        return {"nodes": len({one["node"] for one in self.began}), "workers": len(self.began), "died": self.lost}

    def _hire(self, shards: int, busy: int) -> None:
        while busy + len(self.idle) + len(self.starting) < min(self.most, shards):
            worker = self.actor.remote()
            self.starting[worker.begin.remote(*self.first)] = worker

    def _dismiss(self, dead) -> None:
        """Give up a worker, and those of its node that wait: with the node gone, each would cost a shard another try."""
        gone = [worker for worker in self.idle if self.node[worker] == self.node[dead]]
        self.idle = [worker for worker in self.idle if worker not in gone]
        for worker in (dead, *gone):
            self.ray.kill(worker)  # it may be out of reach only

    def _next(self, running: dict):
        """The next worker's answer, to its shard or to its beginning."""
        ready, _ = self.ray.wait([*running, *self.starting], timeout=None if running else WORKER_TIMEOUT)
        if not ready:
            remedy = "Ask ray status what the cluster is busy with, then rerun: what was finished is kept"
            raise UserError("compute.backend", f"no worker of the Ray cluster was ready within {WORKER_TIMEOUT} s", remedy)
        return ready[0]

    def _welcome(self, answer, lm: LM) -> None:
        worker = self.starting.pop(answer)
        try:
            began = self._result(answer)
        except self.death as error:
            self.stillborn += 1
            if self.stillborn == MAX_DEATHS:
                remedy = "See Ray's logs on the nodes, and docs/cluster.md for what a node needs"
                raise UserError("compute.backend", f"workers die while they start ({_first_line(error)})", remedy) from error
            return
        self.stillborn = 0
        self.began.append(began)
        self.node[worker] = began["node"]
        self.idle.append(worker)
        lm.memory = min(lm.memory, began["memory"])

    def _result(self, answer):
        try:
            return self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise


def _connect(address: str):
    """The ray module, connected to the cluster at ``address``."""
    try:
        import ray
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:
        raise UserError("compute.backend", "ray is not installed", "pip install -r requirements-ray.txt") from None
    wanted = address or os.environ.get("RAY_ADDRESS") or "auto"
    remedy = "Start a node of the cluster on this machine (docs/cluster.md), or set compute.backend to local"
    try:
        found = canonicalize_bootstrap_address(wanted)
        # Asked beforehand, as ray.init goes on trying for ever, deaf to signals, where another program listens.
        host, _, port = found.rpartition(":")
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()
        probe = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", found]
        subprocess.run(probe, capture_output=True, timeout=CONNECT_TIMEOUT, check=True)
        ray.init(address=found, log_to_driver=False, logging_level="ERROR")
    except subprocess.SubprocessError:
        raise UserError("compute.address", f"what answers at {wanted} is no Ray cluster's head", remedy) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError("compute.address", f"no Ray cluster at {wanted} ({_first_line(error)})", remedy) from None
    return ray


def _require_same_software(software: dict[str, str]) -> None:
    found = {"code": environment.code_hash(), "python": platform.python_version()}
    for name, wanted in software.items():
        have = found.get(name) or environment.package_version(name)
        if have != wanted:
            value = f"a worker on {socket.gethostname()} has {name} {have}, this stage has {wanted}"
            remedy = "Give every node the same checkout and packages (docs/cluster.md), then restart Ray there"
            raise UserError("compute.backend", value, remedy)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
