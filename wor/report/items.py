"""Pack an iteration's items as data for the browser in assets/items-*.js."""

from __future__ import annotations

import base64
import json
import math
import zlib
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from wor import paths, storage
from wor.iterations.load import RANGES
from wor.measures import dtr, sib, table
from wor.measures.registry import LABELS, PUBLISHED, SCORES
from wor.report.formatting import COVARIATES

if TYPE_CHECKING:
    from wor.iterations.load import Iteration
    from wor.pipeline.probe import Probe

MIN_EFFECT = 1e-9  # stands for an effect that rounds to 0, which has no logarithm
PROMPT_START = 160  # characters of the prompt of an item without detail
COLUMN_LABELS = {
    **LABELS,
    **COVARIATES,
    "steps": "steps of the solution",
    "apl_depth": "APL, mean depth",
    "ape_all_keys": "APE, all keys",
    "ape_no_sink": "APE, without the sink",
    "ape_nats": "APE, nats",
}
TEXTS = {"item_id", "dataset", "role", "split", "cluster", "answer", "template", "reason"}
PUBLISHED_COLUMNS = {measure.name for measure in PUBLISHED} - set(SCORES)  # in the tables, not in the item view
NO_QUESTION: dict = {"prompt": "", "paraphrases": [], "paraphrase_shares": [], "answer": ""}


def pack_items(iterations: list[Iteration], max_bytes: int) -> str:
    """Return iterations as base64 of raw deflate of JSON, in at most ``max_bytes`` bytes.

    Beyond the limit, the layers x window maps go first. Then items lose their detail: continuation,
    tokens, paraphrases, layers, and the prompt after its first words. Items lose it from the end of
    an order that takes one item of each dataset in turn. Measures always stay.

    Scores are whole numbers. ``entropy`` and ``surprise`` (-log-probability) are in 0.01 nats,
    ``attention`` in thousandths. ``kl`` (nats) and ``distance`` (1 - cosine) are in 0.01 of log10,
    ``kl_map`` in 0.1. Measures have 4 digits.
    """
    return _pack_within([_read_iteration(iteration) for iteration in iterations], max_bytes)


def pack_probe(probe: Probe, max_bytes: int) -> str:
    """Return a probe in the form of `pack_items`: one item, and an iteration for each prompt."""
    return _pack_within([_read_probe(probe, index) for index in range(len(probe.prompts))], max_bytes)


def _pack_within(tables: list[dict], max_bytes: int) -> str:
    order = _round_robin(tables)
    n_detailed = len(order)
    packed = ""
    if _map_bytes(tables) < max_bytes:
        packed = _pack(tables, set(order), n_detailed, maps=True)
    if not 0 < len(packed) <= max_bytes:
        packed = _pack(tables, set(order), n_detailed, maps=False)
    while len(packed) > max_bytes and n_detailed:
        n_detailed = int(n_detailed * min(0.98, max_bytes / len(packed)))
        packed = _pack(tables, set(order[:n_detailed]), len(order), maps=False)
    return packed


def _pack(tables: list[dict], detailed: set[str], n_items: int, maps: bool) -> str:
    numbers: dict[str, int] = {}  # a question that models and iterations share is stored once
    iterations = []
    for iteration in tables:
        models = []
        for model in iteration["models"]:
            details = [row if row["item_id"] in detailed else None for row in model["details"]]
            questions = [_question(row, row["item_id"] in detailed) for row in model["details"]]
            indices = [numbers.setdefault(json.dumps(question), len(numbers)) for question in questions]
            columns = {name: [row and row[name] for row in details] for name in _detail_names(model["details"], maps)}
            models.append({**model, "question": indices, "details": columns})
        iterations.append({**iteration, "models": models})
    questions = [json.loads(question) for question in numbers]
    data = {
        "questions": {name: [question[name] for question in questions] for name in NO_QUESTION},
        "iterations": iterations,
        "items": n_items,
        "detailed": len(detailed),
        "scores": SCORES,
        "labels": COLUMN_LABELS,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return deflate(text)


def deflate(text: str) -> str:
    """Return the base64 of raw deflate of a text, which `inflate` in assets/inflate.js unpacks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(packer.compress(text.encode("utf-8", "replace")) + packer.flush()).decode()


def _map_bytes(tables: list[dict]) -> int:
    """Estimate what the maps take, at one byte per number: packing them in vain takes long."""
    models = [model for iteration in tables if iteration["texts"] for model in iteration["models"]]
    return sum(len(row["kl_map"]) * len(row["attention"]) * 2 for model in models for row in model["details"])


def _detail_names(details: list[dict], maps: bool) -> list[str]:
    names = details[0] if details else {}
    return [name for name in names if name not in ("item_id", "question") and (maps or not name.endswith("_map"))]


def _question(row: dict, detailed: bool) -> dict:
    return row["question"] if detailed else {**NO_QUESTION, "prompt": row["question"]["prompt"][:PROMPT_START]}


def _round_robin(tables: list[dict]) -> list[str]:
    """Return every item ID once, one of each dataset in turn."""
    by_dataset: dict[str, dict[str, None]] = {}
    for iteration in tables:
        for model in iteration["models"]:
            for item_id, dataset in zip(model["item_id"], model["dataset"], strict=True):
                by_dataset.setdefault(dataset, {})[item_id] = None
    return [item_id for turn in zip_longest(*by_dataset.values()) for item_id in turn if item_id is not None]


def _read_iteration(iteration: Iteration) -> dict:
    questions: dict[str, dict] = {}
    if iteration.has_texts:
        for dataset in iteration.datasets:
            rows = storage.read_jsonl(iteration.folder / paths.asked(dataset))
            questions |= {row["item_id"]: {name: row[name] for name in NO_QUESTION} for row in rows}
    models = [_read_model(iteration, model, questions) for model in iteration.models]
    return {"name": iteration.name, "texts": iteration.has_texts, "models": models}


def _read_model(iteration: Iteration, model: str, questions: dict[str, dict]) -> dict:
    frame = iteration.items(model)
    layers = iteration.layers(model)
    effects, cosines = (
        layers.pivot(index="item_id", columns="layer", values=name).reindex(frame["item_id"]).to_numpy()
        for name in ("ablation_kl", "paraphrase_cosine")
    )
    thresholds = np.asarray(iteration.cards[model]["calibration"]["apl_thresholds"], float)
    arrays = iteration.arrays(model) if iteration.has_texts else None
    described = _describe_items(
        frame, iteration.table("metrics", model), questions, effects, cosines, thresholds, arrays, iteration.config["measures"]
    )
    return {"name": model, "label": iteration.label(model), **described}


def _read_probe(probe: Probe, index: int) -> dict:
    prompt = probe.prompts[index]
    layers = table.layer_table(pd.DataFrame([prompt.record]), prompt.arrays)
    effects, cosines = (layers[name].to_numpy()[None] for name in ("ablation_kl", "paraphrase_cosine"))
    # Both prompts have one ID, so that the browser shows them side by side.
    frame = pd.DataFrame([prompt.record]).assign(item_id="probe", dataset=probe.label, role="prompt")
    frame[RANGES] = frame[RANGES].sub(frame["token_len"], axis=0)
    thresholds = probe.controls.calibration.thresholds if probe.controls else np.full(effects.shape[1], np.nan)
    questions = {"probe": {name: getattr(prompt.item, name) for name in NO_QUESTION}}
    measures, settings = pd.DataFrame([prompt.measured]), probe.params.measures.model_dump()
    described = _describe_items(frame, measures, questions, effects, cosines, thresholds, prompt.arrays, settings)
    return {
        "name": ("the first prompt", "the second prompt")[index],
        "texts": True,
        "models": [{"name": probe.model, "label": probe.label, **described}],
    }


def _describe_items(
    frame: pd.DataFrame,
    measured: pd.DataFrame,
    questions: dict[str, dict],
    effects: np.ndarray,
    cosines: np.ndarray,
    thresholds: np.ndarray,
    arrays: dict[str, np.ndarray] | None,
    settings: dict,
) -> dict:
    """Return what the browser shows of a model's items. ``arrays`` is None without texts.

    ``effects`` and ``cosines`` are [N, L], of each item and layer.
    """
    n_layers = effects.shape[1]
    measures = measured.drop(columns=[*TEXTS, *PUBLISHED_COLUMNS, "finished"], errors="ignore")
    details = [
        {
            "item_id": item_id,
            "question": questions.get(item_id, NO_QUESTION),
            "kl": _log(kl),
            "counts": (kl > thresholds).astype(int).tolist(),  # rounding could change it
            "distance": _log(1 - cosine),
        }
        for item_id, kl, cosine in zip(frame["item_id"], effects, cosines, strict=True)
    ]
    if arrays:
        for row, scores in zip(details, _token_scores(frame, arrays, settings), strict=True):
            row |= scores
    return {
        "n_layers": n_layers,
        "thresholds": _log(thresholds),
        "sib_layer": sib.layer_index(settings["sib_depth"], n_layers),
        "deep_layer": math.ceil(settings["dtr_rho"] * n_layers),
        "measures": {name: [_round_digits(value) for value in measures[name]] for name in measures},
        **{name: [_cell_text(value) for value in frame[name]] for name in ("item_id", "dataset", "role", "answer", "reason")},
        "details": details,
    }


def _token_scores(frame: pd.DataFrame, arrays: dict[str, np.ndarray], settings: dict) -> list[dict]:
    """Return each item's tokens and scores. Settling depth and attention are of the window only."""
    no_sink = settings["ape"] == "no_sink"
    rows = []
    for index, row in enumerate(frame.itertuples()):
        width = row.window_end - row.window_start
        if np.isnan(arrays["kl"][index]).all():  # the window is too short to be measured
            settling = spread = kl = np.empty((0, 0))
        else:
            jsd, kl = arrays["jsd"][index][:, :width], arrays["kl"][index][:, :width]
            settling = dtr.settling_depth(jsd, settings["dtr_g"])
            entropy = arrays["entropy_no_sink" if no_sink else "entropy"][index][:, :width]
            visible = row.token_len + row.window_start + np.arange(width) - no_sink  # where the tokens were predicted
            spread = entropy / np.log(visible)
        rows.append(
            {
                "tokens": list(row.tokens),
                "surprise": _round(-100 * np.asarray(row.token_logprob, np.float64)),
                "entropy": _round(100 * np.asarray(row.token_entropy, np.float64)),
                "window": [int(row.window_start), int(row.window_end)],
                "answer_span": [int(row.answer_start), int(row.answer_end)],
                "settling": settling.ravel().astype(int).tolist(),
                "attention": _round(1000 * spread.mean(0)) if spread.size else [],
                "kl_map": _round(10 * np.log10(np.maximum(kl, MIN_EFFECT))),
                "attention_map": _round(100 * spread),
            }
        )
    return rows


def _round(values: np.ndarray) -> list:
    """Return whole numbers, with None for NaN."""
    whole = np.rint(values)
    plain = whole.astype(int).tolist() if np.isfinite(whole).all() else storage.to_plain(whole)
    assert isinstance(plain, list)
    return plain


def _log(values: ArrayLike) -> list[int | None]:
    """Return hundredths of log10."""
    return _round(100 * np.log10(np.maximum(np.asarray(values, np.float64), MIN_EFFECT)))


def _round_digits(value: float) -> float | None:
    """Return ``value`` with 4 digits; None where it is not finite."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short


def _cell_text(value: str | float) -> str:
    """Return a CSV's cell as text. pandas reads the text 12 as 12.0, and an empty one as NaN."""
    if isinstance(value, str):
        return value
    return f"{value:.15g}" if math.isfinite(value) else ""
