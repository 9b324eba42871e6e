"""Estimate a run before it is started, for `wor plan`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import psutil

from wor import paths, storage
from wor.analysis.separation import POWER
from wor.config.params import HubModel, Params, base_spec, is_gguf
from wor.config.preregistration import load_preregistration
from wor.data import windows
from wor.engine.load import Placement, choose_device, is_emulated
from wor.machine import resources
from wor.machine.control_groups import available_cores
from wor.machine.libraries import quiet_libraries
from wor.pipeline import graph
from wor.plan import entries, shape, skips, speed
from wor.plan.shape import Shape
from wor.plan.speed import Speed
from wor.plan.work import PlannedItem, count_work, peak_memory
from wor.report.formatting import format_needed
from wor.statistics import power
from wor.weights import folders
from wor.weights.families import find_config

LIGHT = 0.5  # of a model stage's imports, for a stage without a model
EMULATED = "compute.dtype is {}, which this machine has no products of. It takes several times as long as float32"
BUSY = 0.2  # of all cores used by others, above which a measured speed says little
BASELINE = 0.75  # AUROC of the covariates, where no run has shown it
DVC = 1.0  # seconds per stage for hashing, the lock and the copy into the cache
# Tokens, and how many of the pilot's responses had reached their answer within them. The pilot is
# 32 held-out problems, SmolLM2-135M-Instruct at temperature 0.6 (benchmarks/CONTROLS.md).
PILOT, PILOT_ANSWERED = 32, {32: 2, 64: 3}


@dataclass
class StageEstimate:
    """One stage of the pipeline. A cached stage takes no time. ``seconds`` is None if unknown."""

    stage: str
    cached: bool
    items: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float | None = 0.0


@dataclass
class Plan:
    """Estimates of a run.

    memory : bytes at the peak. disk : bytes written. download : bytes by model.
    measured : the speeds that the times come from. assumed : what is not known.
    warnings : what the results will not show. needed : how many items an effect needs.
    """

    lines: list[StageEstimate]
    memory: float = 0.0
    disk: float = 0.0
    download: dict[str, float] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(line.seconds or 0.0 for line in self.lines)


def make_plan(params: Params, changes: dict[str, object], measuring: float = speed.MEASURING) -> Plan:
    """Estimate `dvc exp run` with ``changes``, which result in ``params``. Measures speeds first.

    They are those of the smallest model. The others' seconds follow from their FLOPs.

    A GGUF file is converted if necessary, because its tokenizer determines the length of prompts.
    The stages of a missing model of unknown family get no numbers.
    """
    plan = Plan([StageEstimate(name, cached) for name, cached in skips.cached_stages(changes).items()])
    plan.warnings = warn_of_short_responses(params.max_new_tokens)
    lines = {line.stage: line for line in plan.lines if not line.cached}
    instances = {
        model: [graph.instance_name(*instance) for instance in graph.model_instances(params, model)] for model in params.models
    }
    models = [model for model, names in instances.items() if lines.keys() & names]
    imported = speed.import_seconds() if lines else 0.0
    shapes: dict[str, Shape] = {}
    if models:
        quiet_libraries()
        if (busy := psutil.cpu_percent(1.0) / 100) > BUSY:
            plan.assumed.append(f"other work keeps the machine {busy:.0%} busy. The times are of a run beside it")
        for model in {*models, params.control.length_model}:
            if is_gguf(origin := base_spec(params.model_specs[model])):
                folders.resolve_folder(origin)
        placement = choose_device(params.compute.device, params.compute.dtype, params.compute.threads or available_cores())
        if is_emulated(placement):
            plan.warnings.append(EMULATED.format(placement.dtype))
        built = entries.build_if_available(params, plan.assumed)
        shapes = {model: found for model in models if (found := _shape(params, model, plan))}
    for name in lines.keys() & chain(*instances.values()):
        lines[name].seconds = None
    rate: Speed | None = None
    for model in sorted(shapes, key=lambda model: shapes[model].n_params):
        items, full_length = entries.planned_items(params, built, entries.token_counter(params, model, plan.assumed))
        if rate is None:
            rate = measure_speed(params, shapes[model], items, placement, imported, measuring)
            plan.measured.append(f"{model}: {rate}")
        for work in count_work(params, model, shapes[model], items, full_length, placement.device):
            if line := lines.get(work.name):
                line.items, line.tokens, line.flops = len(work.items), work.tokens, work.total(shapes[model])
                line.seconds = rate.seconds(work, shapes[model]) + DVC
                plan.memory = max(plan.memory, peak_memory(work, shapes[model], placement, params))
                copies = 3 if work.name.startswith("activations@") else 2  # here, in DVC's cache, in the iteration
                sizes = shapes[model].layers, shapes[model].heads, shapes[model].config.hidden_size
                plan.disk += copies * resources.output_bytes(params, line.items, *sizes)
    plan.needed = needed_items(params)
    n_items = sum(params.spec(name).n for name in params.datasets)
    for name in lines.keys() - set(chain(*instances.values())):
        lines[name].seconds = LIGHT * imported + DVC + seconds_without_model(name, params, n_items, imported)
    return plan


def measure_speed(
    params: Params, shape: Shape, items: Sequence[PlannedItem], placement: Placement, imported: float, seconds: float
) -> Speed:
    """Time a model for ``seconds`` on an item of the median length with a window of full width."""
    typical = sorted(item.tokens for item in items)[len(items) // 2] + params.max_new_tokens
    width = windows.max_window_length(params.window, params.max_new_tokens)
    lm = speed.random_model(speed.part_to_time(shape, placement), placement)
    return speed.measure_speed(lm, placement, imported, typical, width, seconds)


def warn_of_short_responses(max_new_tokens: int) -> list[str]:
    """Return a warning if the pilot's responses of this length had hardly reached an answer."""
    tokens = min((tokens for tokens in PILOT_ANSWERED if max_new_tokens <= tokens), default=None)
    if tokens is None:
        return []
    answered = f"{PILOT_ANSWERED[tokens]} of {PILOT} responses had reached their answer within {tokens} tokens"
    return [f"max_new_tokens is {max_new_tokens}. In the pilot {answered}: most windows will end in the middle of the work"]


def _shape(params: Params, model: str, plan: Plan) -> Shape | None:
    spec = params.model_specs[model]
    config = find_config(spec)
    if config is None:
        plan.assumed.append(f"{model} is not on this machine and its sizes are not known: the sums leave its stages out")
        return None
    model_shape = shape.shape_from_config(config)
    if folders.find_folder(spec) is None:
        size = resources.weights_on_disk(model_shape.n_params)
        if isinstance(spec, HubModel):
            plan.download[model] = size
            plan.assumed.append(f"{model} is not downloaded: the sizes that its family publishes, 4 bytes per parameter")
        else:
            plan.disk += size
    return model_shape


def needed_items(params: Params) -> list[str]:
    """Return how many items the smallest gain that matters needs, over the last run's baseline.

    Without a run of these models, it is over a baseline of BASELINE.
    """
    lines = []
    for model in params.models:
        path = paths.STATS / f"{model}.json"
        needed = storage.read_json(path).get("needed", {}) if path.is_file() else {}
        if needed.get("coefficient") is not None:
            lines.append(f"Needed, over the baseline of the last run of {model}: {format_needed(needed)}")
    if not lines:
        wanted = load_preregistration().margin
        by_test, by_interval = power.items_for_gain(BASELINE, wanted), power.items_for_interval(BASELINE, wanted)
        needed = {"wanted": wanted, "power": POWER, "baseline": BASELINE, "coefficient": by_test, "interval": by_interval}
        lines.append(f"Needed, over an assumed baseline: {format_needed(needed)}")
    return lines


def seconds_without_model(stage: str, params: Params, n: int, imported: float) -> float:
    """Return the seconds of a stage that runs no model, for ``n`` items.

    The seconds ``imported`` of a stage's imports are the yardstick of a machine's speed in Python.
    Against them, stages were measured on the default study and on 20 times its items
    (benchmarks/LARGE.md).
    """
    models, draws = len(params.models), params.statistics.bootstrap_draws / 10_000
    seconds = {
        "ids": 2 + 0.01 * n,
        "metrics": imported * 0.0015 * n * models,
        "stats": imported * models * (1 + draws * (2.5 + 0.004 * n)),
        "figures": imported * (0.7 + 0.0002 * n * models),
    }
    return seconds.get(stage, 0.5)
