"""Compute a stage's shards on a Ray cluster. No result depends on where a shard is computed.

The driver is the stage's own process. It hands shards out and writes their results. A worker is a
Ray actor with its own model. If a worker dies, another one computes its shard.
"""

import os
import platform
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from wor import compat, paths
from wor.config.params import Params
from wor.engine import memory
from wor.engine.load import Placement, choose_device, load
from wor.engine.model import LM
from wor.engine.parallel import run_tasks
from wor.engine.twin import NullModel, make_null_model
from wor.errors import UserError
from wor.machine import environment
from wor.machine.memory import memory_budget
from wor.pipeline.progress import Log
from wor.pipeline.shards import ComputeShard, Records
from wor.process import commands
from wor.weights import identity_card

MAX_DEATHS = 3  # of workers at one shard, or in a row while they start
WORKER_TIMEOUT = 300  # seconds without a worker; the first may have weights to convert
CONNECT_TIMEOUT = 30  # seconds for the cluster's address to answer


class Worker:
    """A model on a machine of the cluster, placed as the driver's is."""

    def begin(self, software: dict, card: dict, placement: dict, memory_gib: float, template: str, neighbours: int) -> dict:
        """Load the model from this machine's weights. Return its node, machine and memory budget.

        ``software`` is the driver's, which this process must have too. ``neighbours`` workers per
        machine share its free memory.
        """
        import ray

        os.chdir(Path(paths.__file__).resolve().parents[1])  # the checkout: code is hashed and local models found there
        _require_same_software(software)
        placed = choose_device(*(placement[name] for name in ("device", "dtype", "threads")))
        lm = load(identity_card.open_card(card), placed, template, **identity_card.prompt_options(card))
        lm.set_memory(*memory_budget(memory_gib, placed.device))
        self.lm = lm
        self.null_models: dict[NullModel, LM] = {}
        return {
            "node": ray.get_runtime_context().get_node_id(),
            "machine": torch.cuda.get_device_name() if placed.device == "cuda" else environment.cpu_name(),
            "memory": lm.memory if memory_gib else max(memory.MIN_BUDGET, lm.memory // neighbours),
        }

    def compute(
        self, work: ComputeShard, entries: list, n: int, budget: int, null: NullModel | None
    ) -> tuple[Records, int, dict[str, int]]:
        """Return a shard's records, the memory budget after it, and the largest batches.

        The stage has ``n`` entries in all, see `compute_here`.
        ``null`` is kind and seed of the null model to use, or None for the model itself. One null
        model at a time stays in memory.
        """
        lm = self.lm
        if null is not None:
            if null not in self.null_models:
                self.null_models.clear()
                self.null_models[null] = make_null_model(lm, *null)
            lm = self.null_models[null]
        lm.memory = budget
        task = work(lm, entries, lambda done=1: None)
        results: list[tuple[int, Records]] = list(run_tasks(lm, [(0, task)], n))
        return results[0][1], lm.memory, lm.largest_batches


class Cluster:
    """A stage's workers. They start with its first shards and end with its process.

    ``identity`` is the session's; a worker with other code or versions is refused. UserError is
    raised, here or later, if Ray isn't installed, the address doesn't answer, no node is large
    enough for a worker, or none starts.
    """

    def __init__(self, params: Params, identity: dict, placement: Placement, log: Log):
        compute = params.compute
        self.ray, self.log = _connect(compute.address), log
        errors = self.ray.exceptions
        self.death = (errors.RayActorError, errors.ObjectLostError, errors.NodeDiedError, errors.OutOfMemoryError)
        on_gpu = placement.device == "cuda"
        resources = {"num_gpus": 1} if on_gpu else {"num_cpus": placement.threads}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        capacities = [int(node.get("GPU", 0)) if on_gpu else int(node.get("CPU", 0)) // placement.threads for node in nodes]
        if not any(capacities):
            required = "a GPU" if on_gpu else f"{placement.threads} CPUs (compute.threads)"
            remedy = "Give ray start --num-cpus or --num-gpus on the nodes, or lower compute.threads"
            raise UserError("compute.backend", f"no node of the Ray cluster has {required} for a worker", remedy)
        self.max_workers = compute.workers or sum(capacities)
        self.actor = self.ray.remote(scheduling_strategy="SPREAD", **resources)(Worker)
        software = {"code": identity["code"], "python": platform.python_version(), **identity["versions"]}
        neighbours = 1 if on_gpu else min(self.max_workers, max(capacities))
        card, template = identity["card"], params.prompt.template
        self.begin_arguments = (software, card, asdict(placement), compute.memory_gib, template, neighbours)
        self.starting: dict[Any, Any] = {}  # a worker's pending `begin` to the worker
        self.idle: list[Any] = []
        self.started: list[dict] = []  # what each `begin` returned
        self.nodes: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # weak, as a worker lives while it is referenced
        self.failed_starts = self.deaths = 0
        log.info(f"up to {self.max_workers} workers on a Ray cluster of {len(nodes)} nodes")

    def compute(
        self,
        task: str,
        lm: LM,
        work: ComputeShard,
        shards: dict[int, list],
        n: int,
        advance: Callable,
        null: NullModel | None = None,
    ) -> Iterator[tuple[int, Records]]:
        """Compute shards as `shards.compute_here` does, in the order in which workers finish.

        ``lm`` is the driver's. Its memory budget becomes the smallest of driver and workers.
        """
        work_ref = self.ray.put(work)
        running: dict[Any, tuple[Any, int]] = {}  # a shard's pending result to its worker and index
        waiting, deaths = sorted(shards, reverse=True), Counter[int]()
        while waiting or running:
            self._start_workers(len(waiting) + len(running), len(running))
            while waiting and self.idle:
                worker, index = self.idle.pop(), waiting.pop()
                running[worker.compute.remote(work_ref, shards[index], n, lm.memory, null)] = (worker, index)
            future = self._next(running)
            if future in self.starting:
                self._finish_start(future, lm)
                continue
            worker, index = running.pop(future)
            try:
                records, budget, batches = self._result(future)
            except self.death as error:
                self._dismiss(worker)
                self.deaths += 1
                deaths[index] += 1
                shard = f"shard {index} of {task!r}, {len(shards[index])} entries"
                self.log.info(f"{shard}: its worker died ({_first_line(error)})")
                if deaths[index] == MAX_DEATHS:
                    remedy = "See Ray's logs on its node. If memory ran out, set compute.memory_gib. Finished shards are kept"
                    raise UserError(shard, f"{MAX_DEATHS} workers died at it", remedy) from error
                waiting.append(index)
                continue
            self.idle.append(worker)
            lm.memory = min(lm.memory, budget)
            lm.largest_batches |= {name: max(size, lm.largest_batches.get(name, 0)) for name, size in batches.items()}
            advance(len(shards[index]))
            yield index, records

    def machines(self) -> list[str]:
        """Return the kinds of processor in use. With several, rounding depends on the schedule."""
        return sorted({worker["machine"] for worker in self.started})

    def summary(self) -> dict[str, int]:
        nodes = {worker["node"] for worker in self.started}
        return {"nodes": len(nodes), "workers": len(self.started), "died": self.deaths}

    def _start_workers(self, shards: int, busy: int) -> None:
        while busy + len(self.idle) + len(self.starting) < min(self.max_workers, shards):
            worker = self.actor.remote()
            self.starting[worker.begin.remote(*self.begin_arguments)] = worker

    def _dismiss(self, dead) -> None:
        # If the node is down, each of its idle workers would cost a shard another try.
        dismissed = [dead, *(worker for worker in self.idle if self.nodes[worker] == self.nodes[dead])]
        self.idle = [worker for worker in self.idle if worker not in dismissed]
        for worker in dismissed:
            self.ray.kill(worker)  # it may only be out of reach

    def _next(self, running: dict):
        ready, _ = self.ray.wait([*running, *self.starting], timeout=None if running else WORKER_TIMEOUT)
        if not ready:
            remedy = "See what keeps the cluster busy with: ray status. Then rerun: finished shards are kept"
            raise UserError("compute.backend", f"no worker of the Ray cluster was ready within {WORKER_TIMEOUT} s", remedy)
        return ready[0]

    def _finish_start(self, future, lm: LM) -> None:
        worker = self.starting.pop(future)
        try:
            started = self._result(future)
        except self.death as error:
            self.failed_starts += 1
            if self.failed_starts == MAX_DEATHS:
                remedy = "See Ray's logs on the nodes, and docs/cluster.md for what a node needs"
                raise UserError("compute.backend", f"workers die while they start ({_first_line(error)})", remedy) from error
            return
        self.failed_starts = 0
        self.started.append(started)
        self.nodes[worker] = started["node"]
        self.idle.append(worker)
        lm.memory = min(lm.memory, started["memory"])

    def _result(self, future):
        try:
            return self.ray.get(future)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise


def _connect(address: str):
    """Return the ray module, connected to the cluster at ``address``."""
    try:
        import ray
    except ImportError:
        raise UserError("compute.backend", "ray is not installed", "pip install -r requirements-ray.txt") from None
    requested = address or os.environ.get("RAY_ADDRESS") or "auto"
    remedy = "Start a node of the cluster on this machine (docs/cluster.md), or set compute.backend to local"
    try:
        resolved = compat.resolve_ray_address(requested)
        # If another program listens there, ray.init retries for ever and ignores signals.
        host, _, port = resolved.rpartition(":")
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()
        health_check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", resolved]
        commands.run_captured(health_check, seconds=CONNECT_TIMEOUT)
        ray.init(address=resolved, log_to_driver=False, logging_level="ERROR")
    except (commands.CommandFailed, TimeoutError):
        raise UserError("compute.address", f"what answers at {requested} is no Ray cluster's head", remedy) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError("compute.address", f"no Ray cluster at {requested} ({_first_line(error)})", remedy) from None
    return ray


def _require_same_software(software: dict[str, str]) -> None:
    versions = {"code": environment.code_hash(), "python": platform.python_version()}
    for name, required in software.items():
        version = versions.get(name) or environment.package_version(name)
        if version != required:
            value = f"a worker on {socket.gethostname()} has {name} {version}, this stage has {required}"
            remedy = "Give every node the same checkout and packages (docs/cluster.md), then restart Ray there"
            raise UserError("compute.backend", value, remedy)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
