"""Load a stage's model, with the parameters, log and shards that belong to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import metadata
from typing import Any

import torch

from wor import paths, storage
from wor.config.params import Params
from wor.engine.load import Placement, choose_device, load
from wor.engine.model import LM
from wor.engine.twin import NullModel, make_null_model
from wor.machine.control_groups import available_cores
from wor.machine.environment import code_hash
from wor.machine.libraries import quiet_libraries
from wor.machine.memory import memory_budget
from wor.pipeline.cluster import Cluster
from wor.pipeline.progress import Log
from wor.pipeline.shards import Shards, compute_here
from wor.weights import identity_card


@dataclass(frozen=True)
class Session:
    """What a stage that runs a model works with. Call `finish` once its output is written.

    With a ``cluster``, ``lm`` only encodes and decodes text here.
    """

    lm: LM
    placement: Placement
    params: Params
    log: Log
    shards: Shards
    identity: dict
    cluster: Cluster | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by pass, of an observed item

    def null_model(self, null: NullModel) -> Session:
        """Return the session with a null model. Its shards are removed when this one finishes."""
        identity, lm = {**self.identity, "null": null}, make_null_model(self.lm, *null)
        compute = partial(self.cluster.compute, null=null) if self.cluster else compute_here
        return replace(self, lm=lm, identity=identity, shards=self.shards.of_model(lm, identity, compute), seconds={})

    def finish(self) -> dict:
        """Remove the shards, and return where and how the model ran, and how fast."""
        self.shards.collect()
        budget, reason = self.lm.budget
        memory: dict[str, Any] = {"budget_bytes": budget, "reason": reason}
        if self.lm.memory != budget:
            memory["used_bytes"] = self.lm.memory  # halved when memory ran out, now or before an interruption
            self.log.info(f"batches were made for {self.lm.memory / 2**20:.0f} MiB")
        compute = {
            **asdict(self.placement),
            "attention": "sdpa, with the window's rows beside it",
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "gpu": torch.cuda.get_device_name() if self.placement.device == "cuda" else None,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
        summary = {"memory": {**memory, "largest_groups": self.lm.largest_batches}, "compute": compute}
        if self.seconds:
            summary["passes"] = self.seconds
        if self.cluster:
            compute["machines"] = self.cluster.machines()
            summary["cluster"] = self.cluster.summary()
        return summary


def start_session(params: Params, model: str, log: Log, card: dict | None = None) -> Session:
    """Load a model by its identity card, placed as params.compute says.

    ``card`` was made just now. By default it is the one that stage models wrote.
    """
    quiet_libraries()
    compute = params.compute
    placement = choose_device(compute.device, compute.dtype, compute.threads or available_cores())
    is_new, card = card is not None, card or storage.read_json(paths.card(model))
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "tokenizers", "numpy")}
    machine = {name: getattr(placement, name) for name in ("device", "dtype", "threads")}
    identity = {"card": card, "code": code_hash(), "versions": versions, "machine": machine}
    cluster = Cluster(params, identity, placement, log) if compute.backend == "ray" else None
    folder, options = identity_card.open_card(card, verify=not is_new), identity_card.prompt_options(card)
    lm = load(folder, placement, params.prompt.template, **options)
    lm.set_memory(*memory_budget(compute.memory_gib, placement.device))  # after the weights have taken theirs
    log.info(f"{placement.device}, {placement.dtype} ({placement.dtype_reason}), {placement.threads} threads")
    budget, reason = lm.budget
    log.info(f"batches for {budget / 2**20:.0f} MiB ({reason}); model self-test passed")
    shards = Shards(lm, identity, log, cluster.compute if cluster else compute_here)
    return Session(lm, placement, params, log, shards, identity, cluster)
