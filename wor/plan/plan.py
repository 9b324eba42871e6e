"""A run before it is started: what `wor plan` shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import psutil

from wor.config.params import HubModel, Params, WheelModel, base_spec
from wor.data import windows
from wor.engine.load import Placement, choose_device
from wor.machine import resources
from wor.machine.control_groups import available_cores
from wor.pipeline import session
from wor.plan import entries, shape, skips, speed
from wor.plan.shape import Shape
from wor.plan.speed import Speed
from wor.plan.work import PlannedItem, Work, count_work, peak_memory
from wor.weights import identity_card
from wor.weights.families import find_config

MEASURING = 14.0  # seconds, beside the imports
LIGHT = 0.5  # of a model stage's imports, for a stage without a model
BUSY = 0.2  # of all cores, by others: torch's threads wait for each other, and a speed measured then says little
DVC = 1.0  # seconds a stage: hashing, the lock, the copy into the cache


@dataclass
class Line:
    """A stage of the pipeline. One that DVC has takes no time; ``seconds`` of None are not known."""

    stage: str
    cached: bool
    items: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float | None = 0.0


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
        return sum(line.seconds or 0.0 for line in self.lines)


def make_plan(params: Params, changes: dict[str, object], measuring: float = MEASURING) -> Plan:
    """What `dvc exp run` with ``changes``, which make ``params``, will do. Speeds are measured here and now.

    A package's weights are converted if need be: their tokenizer says how long prompts are. A model that is not here and
    of no known family leaves its stages without numbers; ``assumed`` says so.
    """
    plan = Plan([Line(name, cached) for name, cached in skips.cached_stages(changes).items()])
    lines = {line.stage: line for line in plan.lines if not line.cached}
    models = {model: stages for model in params.models if (stages := [name for name in _stages(params, model) if name in lines])}
    imported = speed.import_seconds() if lines else 0.0
    if models:
        session.quiet_libraries()
        if (busy := psutil.cpu_percent(1.0) / 100) > BUSY:
            plan.assumed.append(
                f"the machine stays as busy with other work as it is ({busy:.0%}); alone it is several times faster"
            )
        for model in {*models, params.control.length_model}:
            if isinstance(origin := base_spec(params.model_specs[model]), WheelModel):
                identity_card.resolve_folder(origin)
        placement = choose_device(params.compute.device, params.compute.dtype, params.compute.threads or available_cores())
        found = entries.build_if_available(params, plan.assumed)
    for model, stages in models.items():
        own = _shape(params, model, plan)
        if own is None:
            for stage in stages:
                lines[stage].seconds = None
            continue
        asked, literal = entries.planned_items(params, found, entries.token_counter(params, model, plan.assumed))
        rate, timed = stage_times(params, own, asked, literal, placement, imported, measuring / len(models))
        plan.measured.append(f"{model}: {rate}")
        for work, seconds in timed:
            if line := lines.get(_stage(work.name, model)):
                line.items, line.tokens, line.flops, line.seconds = work.items, work.tokens, work.total(own), seconds
                plan.memory = max(plan.memory, peak_memory(work, own, placement, params))
                copies = 3 if work.name.startswith("activations") else 2  # here, in DVC's cache, in the iteration
                plan.disk += copies * resources.output_bytes(params, work.items, own.layers, own.heads)
    n = sum(params.spec(name).n for name in params.datasets)
    for stage in lines.keys() - set(chain(*models.values())):
        lines[stage].seconds = LIGHT * imported + DVC + without_model(stage, params, n)
    return plan


def stage_times(
    params: Params,
    own: Shape,
    asked: list[PlannedItem],
    literal: list[PlannedItem],
    placement: Placement,
    imported: float,
    measuring: float,
) -> tuple[Speed, list[tuple[Work, float]]]:
    """The speed of a model of this shape, from some ``measuring`` seconds, and each of its stages with its seconds at that."""
    typical = sorted(item.tokens for item in asked)[len(asked) // 2] + params.max_new_tokens
    width = windows.max_window_length(params.window, params.max_new_tokens)
    rate = speed.measure_speed(own, placement, imported, typical, width, measuring)
    return rate, [(work, rate.seconds(work, own) + DVC) for work in count_work(params, own, asked, literal)]


def _stages(params: Params, model: str) -> list[str]:
    """DVC's names of the stages that run a model."""
    works = ["reference", *(f"activations {name}" for name in params.datasets), "temperatures", "nulls", "heads"]
    return [_stage(work, model) for work in works]


def _stage(work: str, model: str) -> str:
    """DVC's name of a stage: ``activations wiki`` of a model is ``activations@model-wiki``."""
    kind, _, dataset = work.partition(" ")
    return f"{kind}@{model}-{dataset}" if dataset else f"{kind}@{model}"


def _shape(params: Params, model: str, plan: Plan) -> Shape | None:
    spec = params.model_specs[model]
    config = find_config(spec)
    if config is None:
        plan.assumed.append(
            f"{model} is not here and its sizes are not known: its stages have no numbers, and no part in the sums"
        )
        return None
    own = shape.shape_from_config(config)
    if identity_card.find_folder(spec) is None:
        files = resources.weights_on_disk(own.n_params)
        if isinstance(spec, HubModel):
            plan.download[model] = files
            plan.assumed.append(f"{model} is not here: sizes as its family is published, 4 bytes a parameter to download")
        else:
            plan.disk += files
    return own


def without_model(stage: str, params: Params, n: int) -> float:
    """Seconds of what runs no model: measured on the default study, and statistics on 20 times its items."""
    models = len(params.models)
    taken = {
        "ids": 2 + 0.01 * n,
        "metrics": 0.002 * n * models,
        "stats": models * (3 + params.statistics.bootstrap_draws / 10_000 * (5.5 + 0.023 * n)),
        "figures": 1,
    }
    return taken.get(stage, 0.5)
