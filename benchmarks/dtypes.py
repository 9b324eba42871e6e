"""What another dtype does to each measure, on the items of the run in this workspace.

python -m benchmarks.dtypes [DTYPE ...]     writes benchmarks/DTYPES.md

Responses are those of the run, so only observing differs: means, thresholds, scales and measures
are made anew in each dtype. ``products`` keeps float32 and rounds the operands of every matrix
product to bfloat16, with sums in float32, as hardware does. It does that in software, so it has no
times. Neither has bfloat16 on a machine without such products.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch.overrides import TorchFunctionMode

from benchmarks.engine import Report
from wor import paths, storage
from wor.analysis.evaluation import Evaluation
from wor.config import params as parameters
from wor.engine.load import has_fast_bfloat16
from wor.machine.environment import cpu_name
from wor.measures import table
from wor.measures.item_arrays import with_prediction_entropy
from wor.measures.registry import PUBLISHED, SCORES
from wor.pipeline import observation, selection, session
from wor.pipeline.progress import Log
from wor.pipeline.shards import compute_here
from wor.statistics import auc

RESULTS = Path(__file__).parent / "DTYPES.md"
DTYPES = ("bfloat16", "products")  # beside float32
PRODUCTS = ("linear", "matmul", "__matmul__", "mm", "addmm", "bmm", "baddbmm", "einsum", "scaled_dot_product_attention")
HEAD = """# What another dtype does to each measure

Made by `python -m benchmarks.dtypes` from a default run. The continuations are that run's, so no
difference comes from another text. *bfloat16* has weights and states in it. *products* keeps them
in float32 and rounds the operands of every matrix product to bfloat16.
"""


class RoundedProducts(TorchFunctionMode):
    """Multiply as hardware with products of bfloat16 does: rounded operands, sums in float32.

    Results are in the operands' dtype. Where ``also_float32``, operands in float32 are rounded too.
    """

    count = 0

    def __init__(self, also_float32: bool):
        super().__init__()
        self.rounded = (torch.bfloat16, torch.float32) if also_float32 else (torch.bfloat16,)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        dtype = next((value.dtype for value in args if isinstance(value, torch.Tensor)), None)  # einsum begins with a text
        if getattr(func, "__name__", "") not in PRODUCTS or dtype not in self.rounded:
            return func(*args, **(kwargs or {}))
        RoundedProducts.count += 1
        options = {name: _rounded(value) for name, value in (kwargs or {}).items()}
        return func(*map(_rounded, args), **options).to(dtype)


def _rounded(value: object) -> object:
    is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.bfloat16().float() if is_float else value


def with_rounded_products(function: Callable, also_float32: bool) -> Callable:
    """Return ``function`` with such products, also in a thread of its own."""

    @wraps(function)
    def call(*args, **options):
        with RoundedProducts(also_float32):
            return function(*args, **options)

    return call


def observe(params: parameters.Params, model: str, dtype: str) -> tuple[pd.DataFrame, table.Calibration, float]:
    """Return the measures of the evaluation items, the calibration, and seconds per item."""
    items = selection.read_study_items(params)
    setting = params.compute.model_copy(update={"dtype": "float32" if dtype == "products" else dtype})
    run = session.start_session(params.model_copy(update={"compute": setting}), model, Log(dtype))
    # Shards of its own: a run's must never take these for its float32.
    run = replace(run, shards=run.shards.of_model(run.lm, {**run.identity, "benchmark": dtype}, compute_here))
    controls, paraphrases = selection.calibration_controls(items), params.paraphrase.n
    held_out = observation.load_responses(controls, storage.read_records(paths.REFERENCE / model)[0], paraphrases)
    reasoning = selection.reference_reasoning(items, params)
    reasoning_frame = storage.read_records(paths.held_out(model))[0]
    everyone = [*held_out, *observation.load_responses(reasoning, reasoning_frame, paraphrases)]
    references = observation.compute_references(run, observation.responses_with_window(everyone))
    reference = observation.select_reference(references, params.ablation.reference)
    records = observation.observe_all(run, held_out, reference, lens=False)
    calibration, measured = table.calibrate(*with_prediction_entropy(records), params), []
    begun, n = time.perf_counter(), 0
    for dataset in params.datasets:
        stored = storage.read_records(paths.activations(model, dataset))[0]
        responses = observation.load_responses(selection.activations_items(items, dataset), stored, paraphrases)
        observed = observation.observe_all(run, responses, reference, lens=True)
        measured.append(table.measure_items(*with_prediction_entropy(observed), calibration, params))
        n += len(responses)
    seconds = (time.perf_counter() - begun) / n
    run.shards.collect()
    return pd.concat(measured, ignore_index=True), calibration, seconds


def compare(exact: pd.DataFrame, rounded: pd.DataFrame, name: str, label: np.ndarray) -> tuple[str, ...]:
    """Return a row: how far a measure moves, in its deviations, and what that does to its AUROC."""
    a, b = exact[name].to_numpy(float), rounded[name].to_numpy(float)
    if np.isnan(a).all():
        return name, *["not made here"] * 6
    both = ~(np.isnan(a) | np.isnan(b))
    moved = np.abs(a - b)[both] / a[both].std()
    changes = (*np.quantile(moved, [0.5, 1.0]), stats.spearmanr(a[both], b[both]).statistic)
    aurocs = [auc.auroc(label[both], values[both]) for values in (a, b)]
    return name, *(f"{value:.3f}" for value in (*changes, *aurocs)), f"{both.sum()}"


def main() -> None:
    dtypes = ["float32", *(sys.argv[1:] or DTYPES)]
    params, report, results = parameters.load_params(), Report(), {}
    model = params.models[0]
    in_software = [name for name in dtypes[1:] if name == "products" or not has_fast_bfloat16("cpu")]
    for dtype in dtypes:
        before = RoundedProducts.count
        with pytest.MonkeyPatch.context() as patched:
            for name in ("capture", "observe_together") if dtype in in_software else ():
                patched.setattr(observation, name, with_rounded_products(getattr(observation, name), dtype == "products"))
            results[dtype] = observe(params, model, dtype)
        assert (RoundedProducts.count > before) == (dtype in in_software)
    exact, calibration, seconds = results["float32"]
    label = (exact["role"] == "reasoning").to_numpy().astype(int)
    for dtype in dtypes[1:]:
        rounded, other, slower = results[dtype]
        report.add(f"## {dtype}")
        names = [*SCORES, *(measure.name for measure in PUBLISHED if measure.name in exact and measure.name not in SCORES)]
        header = ("measure", "median move, sd", "largest, sd", "rank correlation", "AUROC in float32", f"in {dtype}", "items")
        report.table(header, *(compare(exact, rounded, name, label) for name in names))
        change = np.abs(other.thresholds / calibration.thresholds - 1)
        report.add(f"A layer's threshold moves by {np.median(change):.1%} in the median and {change.max():.1%} at most.")
        scales = [(name, *map("{:.4g}".format, (*both, *other.scales[name]))) for name, both in calibration.scales.items()]
        report.table(("component", "mean in float32", "sd", f"mean in {dtype}", "sd"), *scales)
        gains = [Evaluation(rows, params).full_baseline.delta(rows["rev"].dropna().to_numpy(), 1)[0] for rows in (exact, rounded)]
        shown = [f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]" for gain in gains]
        report.add(f"dAUC of REV over the full baseline: {shown[0]} in float32, {shown[1]} in {dtype}.")
        if dtype not in in_software:
            report.add(f"An item takes {slower / seconds:.2f} of float32's {seconds:.2f} s.")
    fast = "with" if has_fast_bfloat16("cpu") else "without"
    capability, cores = torch.backends.cpu.get_cpu_capability(), os.cpu_count()
    report.add(f"*{datetime.now(UTC):%Y-%m-%d}, {cpu_name()}, {cores} threads, {capability}, {fast} products of bfloat16.*")
    RESULTS.write_text(HEAD + "\n" + "\n".join(report.lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
