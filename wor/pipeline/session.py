"""A stage's model with what belongs to it: parameters, log, shards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata

import torch
from transformers.utils import logging

from wor import paths, storage
from wor.config.params import Params
from wor.engine.load import Placement, choose_device, load
from wor.engine.model import LM
from wor.engine.twin import random_twin
from wor.machine.control_groups import available_cores
from wor.machine.environment import code_hash
from wor.machine.memory import memory_budget
from wor.pipeline.cluster import Cluster
from wor.pipeline.progress import Log
from wor.pipeline.shards import Shards, compute_serially
from wor.weights import identity_card


@dataclass(frozen=True)
class Session:
    """What a stage that runs a model works with. ``finish`` it when its output is written."""

    lm: LM
    placement: Placement
    params: Params
    log: Log
    shards: Shards
    identity: dict
    cluster: Cluster | None = None  # when it computes, ``lm`` here only reads and writes text

    def twin(self) -> Session:
        """The same with a model of the same shape and random weights; the parameters' seed draws them."""
        identity = {**self.identity, "twin": self.params.seed}
        lm = random_twin(self.lm, self.params.seed)
        compute = partial(self.cluster.compute, twin=self.params.seed) if self.cluster else compute_serially
        shards = Shards(lm, identity, self.log, compute)
        return Session(lm, self.placement, self.params, self.log, shards, identity, self.cluster)

    def finish(self) -> dict:
        """Let go of the shards, and say for env_info.json where and how the model was run."""
        self.shards.collect()
        budget, reason = self.lm.budget
        memory = {"budget_bytes": budget, "reason": reason}
        if self.lm.memory != budget:
            memory["used_bytes"] = self.lm.memory  # halved when memory ran out, or kept from before an interruption
            self.log.info(f"groups were made for {self.lm.memory / 2**20:.0f} MiB")
        compute = {
            **asdict(self.placement),
            "attention": "sdpa, with the window's rows beside it",
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "gpu": torch.cuda.get_device_name() if self.placement.device == "cuda" else None,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
        about = {"memory": {**memory, "largest_groups": self.lm.groups}, "compute": compute}
        if self.cluster:
            compute["machines"] = self.cluster.machines()
            about["cluster"] = self.cluster.about()
        return about


def start_session(params: Params, model: str, log: Log) -> Session:
    """The carded model, placed as params.compute says."""
    quiet_libraries()
    compute = params.compute
    placement = choose_device(compute.device, compute.dtype, compute.threads or available_cores())
    card = storage.read_json(paths.card(model))
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "tokenizers", "numpy")}
    machine = {name: getattr(placement, name) for name in ("device", "dtype", "threads")}
    identity = {"card": card, "code": code_hash(), "versions": versions, "machine": machine}
    cluster = Cluster(params, identity, placement, log) if compute.backend == "ray" else None
    lm = load(identity_card.open_card(card), placement, params.prompt.template)
    lm.set_memory(*memory_budget(compute.memory_gib, placement.device))  # of what the weights leave free
    log.info(f"{placement.device}, {placement.dtype} ({placement.dtype_reason}), {placement.threads} threads")
    budget, reason = lm.budget
    log.info(f"groups for {budget / 2**20:.0f} MiB ({reason}); model self-test passed")
    shards = Shards(lm, identity, log, cluster.compute if cluster else compute_serially)
    return Session(lm, placement, params, log, shards, identity, cluster)


def quiet_libraries() -> None:
    """No progress bars or advice from transformers: a stage shows its own."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
