"""A run before it is started: what `wor plan` shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil
import torch

from wor.engine import memory
from wor.engine.generate import bytes_a_row
from wor.engine.load import Placement, place
from wor.errors import UserError
from wor.params import Params
from wor.plan import entries, shape, skips, speed
from wor.plan.shape import Shape
from wor.plan.work import Work, of_model
from wor.sources import weights

SECONDS = 14.0  # of measuring, beside the imports
LIBRARIES = 0.45 * 2**30  # bytes of a stage's process before it has a model
LIGHT = 0.5  # of a model stage's imports, for a stage without a model
BUSY = 0.2  # of all cores, by others: torch's threads wait for each other, and a speed measured then says little
DVC = 1.0  # seconds a stage: hashing, the lock, the copy into the cache


@dataclass
class Line:
    """A stage of the pipeline. One that DVC has takes no time."""

    stage: str
    cached: bool
    items: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0


@dataclass
class Plan:
    """``memory`` at the peak, ``disk`` written, in bytes. ``download``: model to bytes, for those that aren't here.

    ``measured``: the speeds that the times come from; ``assumed``: what had to be taken for granted.
    """

    lines: list[Line]
    memory: float = 0.0
    disk: float = 0.0
    download: dict[str, float] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(line.seconds for line in self.lines)


def make(params: Params, changes: dict[str, object]) -> Plan:
    """What `dvc exp run` with ``changes``, which make ``params``, will do. Speeds are measured here and now.

    Raises
    ------
    UserError : a model whose sizes cannot be known before it is downloaded.
    """
    plan = Plan([Line(name, cached) for name, cached in skips.stages(changes).items()])
    lines = {line.stage: line for line in plan.lines}
    models = [model for model in params.models if any(not line.cached and _runs(line.stage, model) for line in plan.lines)]
    imported = speed.imports() if any(not line.cached for line in plan.lines) else 0.0
    if models:
        if (busy := psutil.cpu_percent(1.0) / 100) > BUSY:
            plan.assumed.append(
                f"the machine stays as busy with other work as it is ({busy:.0%}); alone it is several times faster"
            )
        placement = place(params.compute.device, params.compute.dtype, params.compute.threads)
        found = entries.built(params, plan.assumed)
    for model in models:
        own = _shape(params, model, plan)
        asked, literal = entries.asked(params, found, entries.counter(params, model, plan.assumed))
        works = {_stage(work.name, model): work for work in of_model(params, own, asked, literal)}
        works = {stage: work for stage, work in works.items() if not lines[stage].cached}
        typical = sorted(item.tokens for item in asked)[len(asked) // 2] + params.max_new_tokens
        width = min(params.window.size, params.max_new_tokens)
        rate = speed.measure(own, placement, imported, typical, width, SECONDS / len(models))
        plan.measured.append(f"{model}: {rate}")
        for stage, work in works.items():
            line = lines[stage]
            line.items, line.tokens, line.flops = work.items, work.tokens, work.total(own)
            line.seconds = rate.seconds(work, own) + DVC
            plan.memory = max(plan.memory, _memory(work, own, placement, params))
            plan.disk += _disk(work, own, params)
    n = sum(params.spec(name).n for name in params.datasets)
    for line in plan.lines:
        if not line.cached and not line.seconds:
            line.seconds = LIGHT * imported + DVC + _without_model(line.stage, params, n)
    return plan


def _stage(work: str, model: str) -> str:
    """DVC's name of a stage: ``activations wiki`` of a model is ``activations@model-wiki``."""
    kind, _, dataset = work.partition(" ")
    return f"{kind}@{model}-{dataset}" if dataset else f"{kind}@{model}"


def _runs(stage: str, model: str) -> bool:
    """Whether a stage runs this model, of all that the grid may have."""
    kind, _, grid = stage.partition("@")
    return kind != "models" and (grid == model or (kind == "activations" and grid.startswith(f"{model}-")))


def _without_model(stage: str, params: Params, n: int) -> float:
    """Seconds of what runs no model: measured on the default study, and statistics on 20 times its items."""
    models = len(params.models)
    taken = {
        "ids": 2 + 0.01 * n,
        "metrics": 0.002 * n * models,
        "stats": models * (3 + params.statistics.bootstrap_draws / 10_000 * (5.5 + 0.023 * n)),
        "figures": 1,
    }
    return taken.get(stage, 0.5)


def _shape(params: Params, model: str, plan: Plan) -> Shape:
    spec = params.model_specs[model]
    folder = weights.here(spec)
    if folder is not None:
        return shape.of(shape.read(folder))
    config = shape.known(getattr(spec, "repo", ""))
    if config is None:
        remedy = "Let its stage fetch it first: dvc repro models@" + model
        raise UserError(f"model_specs.{model}", "not here yet, so its sizes are not known", remedy)
    found = shape.of(config)
    plan.download[model] = 4.0 * found.n_params
    plan.assumed.append(f"{model} is not here: sizes as its family is published, 4 bytes a parameter to download")
    return found


def _memory(work: Work, own: Shape, placement: Placement, params: Params) -> float:
    """Bytes at a stage's peak: libraries, weights, a twin's, and the largest batch of generation that the budget holds."""
    size = torch.finfo(getattr(torch, placement.dtype)).bits // 8
    weights_of = own.n_params * size
    budget, _ = memory.budget(params.compute.memory_gib, placement.device)
    batch = max((rows * bytes_a_row(own.config, tokens + work.steps, size) for rows, tokens in work.batches), default=0)
    return LIBRARIES + weights_of * (1 + work.twins) + min(batch, budget)


def _disk(work: Work, own: Shape, params: Params) -> float:
    """Bytes of a stage's output, twice: in the workspace and in DVC's cache."""
    width = min(params.window.size, params.max_new_tokens)
    arrays = 4 * own.layers * width + own.layers * own.heads + params.paraphrase.n * (own.layers + 1)
    return 2 * work.items * (4 * arrays + 4000)
