"""Estimate what the full study costs here, and compare the last run with the machine's peak.

python -m benchmarks.cost        writes benchmarks/COST.md

The second needs the run that params.yaml describes, made on this machine: make run.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from benchmarks.engine import Report, peak
from wor import paths, storage
from wor.config import overrides
from wor.config import params as parameters
from wor.engine.load import choose_device, has_fast_bfloat16
from wor.iterations import configuration, registry
from wor.machine.control_groups import available_cores
from wor.machine.environment import cpu_name
from wor.pipeline import validation
from wor.plan import entries, plan, shape, speed
from wor.plan.work import count_work
from wor.weights import families

RESULTS = Path(__file__).parent / "COST.md"
PRICE = 0.05  # dollars per core and hour; put your own here
SECONDS = 20.0  # of measuring, per model and dtype
MANY = 100
PARTS = {
    "start": "imports, loading, self-test",
    "null models": "making null models",
    "prompts": "prompts before decoding",
    "decoding": "decoding, of few rows at a time",
    "forward": "observing: clean passes, means, attention",
    "ablate": "interventions",
    "lens": "the logit lens",
}
HEAD = """# What the full study costs

`wor plan` counts what `profiles/full.yaml` does with each model. The times follow from this
machine's measured speed of each kind of pass, on models of that shape with random weights. Made by
`python -m benchmarks.cost`.
"""


def row(params: parameters.Params, model: str, dtype: str, imported: float) -> tuple[float, float, str]:
    """Return FLOPs, seconds and a line of speeds, of all stages that run one model."""
    architecture = shape.shape_from_config(families.known_config(params.model_specs[model].repo))
    items, literal = entries.planned_items(params, None, entries.token_counter(params, model, []))
    placement = choose_device("auto", dtype, available_cores())
    rate = plan.measure_speed(params, architecture, items, placement, imported, SECONDS)
    works = count_work(params, model, architecture, items, literal, placement.device)
    seconds = sum(rate.seconds(work, architecture) for work in works)
    return sum(work.total(architecture) for work in works), seconds, str(rate)


def main() -> None:
    report, params = Report(), validation.check_run(overrides.load_profile("full"))
    cores, imported = choose_device("auto", "float32", available_cores()).threads, speed.import_seconds()
    print(HEAD)
    n = {name: params.spec(name).n for name in params.datasets}
    sizes = ", ".join(f"{name} {count:,}" for name, count in n.items())
    report.add(
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {cpu_name()}, {cores} threads. Items: {sizes}, {entries.ASSUMED} tokens each."
    )
    table = [("model", "dtype", "PFLOP", "hours here", "dollars", f"hours, {MANY} x items", "dollars")]
    speeds = []
    dtypes = ("float32", "bfloat16") if has_fast_bfloat16("cpu") else ("float32",)  # emulated, it takes days
    for dtype in dtypes:
        total = [0.0, 0.0]
        for model in params.models:
            flops, seconds, speed_line = row(params, model, dtype, imported)
            total = [total[0] + flops, total[1] + seconds]
            table.append(_line(params.model_specs[model].label, dtype, flops, seconds, cores))
            speeds.append(f"- {model}, {dtype}: {speed_line}")
        table.append(_line("**all three**", dtype, *total, cores))
    report.table(*table)
    items, draws = sum(n.values()), params.statistics.bootstrap_draws
    statistics = plan.seconds_without_model("stats", params, items, imported) / len(params.models)
    report.add(
        f"Price: ${PRICE} per core and hour. {MANY} times the items need {MANY} times the passes. A cluster divides the hours by "
        "the number of machines, but not the dollars. Statistics run on one machine and are not in the table. They take "
        f"{statistics:.0f} s per model at {items:,} items and {draws:,} draws, and grow with the items. SmolLM-1.7B was timed on "
        "two of its layers, where few ablated copies share a batch, so its hours are an upper estimate. No GPU was measured, and "
        f"these numbers do not give its hours.{'' if len(dtypes) > 1 else ' This machine has no products of bfloat16.'}"
    )
    report.add("\n".join(speeds))
    share_of_peak(report)
    RESULTS.write_text(HEAD + "\n" + "\n".join(report.lines).rstrip() + "\n", encoding="utf-8")


def share_of_peak(report: Report) -> None:
    """Add what share of the matrix products' peak the last run of the default study reached."""
    params = validation.check_run({})
    report.add("## The default run, and the machine's peak")
    folder = paths.experiments() / str(registry.workspace_iteration())
    wanted = configuration.used_parameters(params.model_dump(mode="json"))
    if not folder.is_dir() or configuration.used_parameters(configuration.read_configuration(folder)) != wanted:
        report.add("Not measured here: the last run is not of params.yaml.")
        return
    seconds = {entry["stage"]: entry["seconds"] for entry in storage.read_json(folder / "timing.json")["stages"]}
    model, highest = params.models[0], peak()
    architecture = shape.shape_from_config(families.find_config(params.model_specs[model]))
    items, literal = entries.planned_items(
        params, entries.build_if_available(params, []), entries.token_counter(params, model, [])
    )
    rate = plan.measure_speed(params, architecture, items, choose_device(), speed.import_seconds(), SECONDS)
    rows, all_flops, all_seconds, parts = [], 0.0, 0.0, Counter[str]()
    for work in count_work(params, model, architecture, items, literal, "cpu"):
        parts.update(rate.parts(work, architecture))
        flops, took = work.total(architecture), seconds[work.name.replace("@", " ").replace(f"{model}-", f"{model} ")]
        rows.append((work.name, f"{flops / 1e12:.1f}", f"{took:.0f}", f"{flops / took / 1e9 / highest:.2f}"))
        all_flops, all_seconds = all_flops + flops, all_seconds + took
    share = all_flops / all_seconds / 1e9 / highest
    rows.append(("**in all**", f"{all_flops / 1e12:.1f}", f"{all_seconds:.0f}", f"**{share:.2f}**"))
    report.table(("stage", "TFLOP", "seconds", "of the peak"), *rows)
    others = sum(seconds.values()) - all_seconds
    report.add(
        f"The peak is {highest:.0f} GFLOP/s, of float32 matrix products, measured after the run. Stages without a model took "
        f"{others:.0f} s more. The goal is 0.65. What `wor plan` measures gives {parts.total():.0f} s for these stages, on:"
    )
    report.table(
        ("part", "seconds", "share"),
        *((PARTS[name], f"{took:.0f}", f"{took / parts.total():.0%}") for name, took in parts.items()),
    )
    kinds = ", ".join(f"{kind} {found / 1e9 / highest:.2f}" for kind, found in rate.rates.items())
    step = rate.timed.forward(1) + rate.timed.unembedding(1)
    decoding = ", ".join(f"{rows * step / took / 1e9 / highest:.2f} with {rows} rows" for rows, took in rate.steps.items())
    report.add(f"Of the peak, passes reach: {kinds}; decoding {decoding}.")


def _line(label: str, dtype: str, flops: float, seconds: float, cores: int) -> tuple[str, ...]:
    hours = seconds / 3600
    cells = [f"{hours:,.1f}", f"{hours * cores * PRICE:,.2f}", f"{hours * MANY:,.0f}", f"{hours * MANY * cores * PRICE:,.0f}"]
    return label, dtype, f"{flops / 1e15:,.1f}", *cells


if __name__ == "__main__":
    main()
