"""The report's items as data: what assets/items.js draws its browser from."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from wor import paths, storage
from wor.measures import dtr, sib
from wor.measures.registry import LABELS

if TYPE_CHECKING:
    import pandas as pd

    from wor.iterations.load import Iteration

MAX_BYTES = 3_200_000  # bytes of base64
TINY = 1e-9  # stands for an effect that rounds to 0, so that it has a logarithm
OPENING = 160  # characters of a prompt that are kept of an item without detail
TEXTS = {"item_id", "dataset", "role", "split", "cluster", "answer", "template", "reason"}
ASKED = {"prompt": "", "paraphrases": [], "paraphrase_shares": [], "answer": ""}


def pack_items(iterations: list[Iteration], most: int = MAX_BYTES) -> str:
    """One or two iterations as base64 of deflate (raw) of JSON, in at most ``most`` bytes.

    Beyond ``most``, the layers x window maps go first. Then items lose their detail (continuation, tokens, paraphrases,
    layers, and their prompt but its first words), from the end of the order that takes one item of each dataset in turn.
    Measures always stay.

    Scores are whole numbers: hundredths of a nat (``entropy``; ``surprise``, which is -log-probability), thousandths
    (``attention``), hundredths of log10 (``kl``, nats; ``apart``, 1 - cosine), tenths in ``kl_map``; 4 digits of a measure.
    """
    book = [_read(iteration) for iteration in iterations]
    order = _interleaved(book)
    detailed = len(order)
    packed = ""
    if _map_bytes(book) < most:
        packed = _packed(book, set(order), detailed, maps=True)
    if not 0 < len(packed) <= most:
        packed = _packed(book, set(order), detailed, maps=False)
    while len(packed) > most and detailed:
        detailed = int(detailed * min(0.98, most / len(packed)))
        packed = _packed(book, set(order[:detailed]), len(order), maps=False)
    return packed


def unpack_items(packed: str) -> dict:
    """What `pack` packed."""
    return json.loads(zlib.decompress(base64.b64decode(packed), wbits=-15))


def _packed(book: list[dict], detailed: set[str], items: int, maps: bool) -> str:
    asked: dict[str, int] = {}  # a question that models and iterations share is kept once
    told = []
    for iteration in book:
        models = []
        for model in iteration["models"]:
            details = [row if row["item_id"] in detailed else None for row in model["details"]]
            kept = [_question(row, row["item_id"] in detailed) for row in model["details"]]
            numbers = [asked.setdefault(json.dumps(question), len(asked)) for question in kept]
            columns = {name: [row and row[name] for row in details] for name in _names(model["details"], maps)}
            models.append({**model, "asked": numbers, "details": columns})
        told.append({**iteration, "models": models})
    questions = [json.loads(question) for question in asked]
    columns = {name: [question[name] for question in questions] for name in ASKED}
    whole = {"asked": columns, "iterations": told, "items": items, "detailed": len(detailed), "scores": LABELS}
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(squeeze.compress(text.encode("utf-8", "replace")) + squeeze.flush()).decode()


def _map_bytes(book: list[dict]) -> int:
    """About what the maps take, so as not to pack them in vain: a byte a number."""
    models = [model for iteration in book if iteration["texts"] for model in iteration["models"]]
    return sum(len(row["kl_map"]) * len(row["attention"]) * 2 for model in models for row in model["details"])


def _names(details: list[dict], maps: bool) -> list[str]:
    names = details[0] if details else {}
    return [name for name in names if name not in ("item_id", "question") and (maps or not name.endswith("_map"))]


def _question(row: dict, detailed: bool) -> dict:
    return row["question"] if detailed else {**ASKED, "prompt": row["question"]["prompt"][:OPENING]}


def _interleaved(book: list[dict]) -> list[str]:
    by_dataset: dict[str, dict[str, None]] = {}
    for iteration in book:
        for model in iteration["models"]:
            for item_id, dataset in zip(model["item_id"], model["dataset"], strict=True):
                by_dataset.setdefault(dataset, {})[item_id] = None
    return [item_id for turn in zip_longest(*by_dataset.values()) for item_id in turn if item_id is not None]


def _read(iteration: Iteration) -> dict:
    asked = {}
    if iteration.has_texts:
        for dataset in iteration.datasets:
            rows = storage.read_jsonl(iteration.folder / paths.asked(dataset))
            asked |= {row["item_id"]: {name: row[name] for name in ASKED} for row in rows}
    models = [_model(iteration, model, asked) for model in iteration.models]
    return {"name": iteration.name, "texts": iteration.has_texts, "models": models}


def _model(iteration: Iteration, model: str, asked: dict[str, dict]) -> dict:
    frame = iteration.items(model)
    rule = iteration.config["measures"]
    layers = iteration.layers(model)
    effects, cosines = (
        layers.pivot(index="item_id", columns="layer", values=name).reindex(frame["item_id"]).to_numpy()
        for name in ("ablation_kl", "paraphrase_cosine")
    )
    n_layers = effects.shape[1]
    thresholds = np.asarray(iteration.cards[model]["calibration"]["apl_thresholds"], float)
    measures = iteration.table("metrics", model).drop(columns=[*TEXTS, "finished"], errors="ignore")
    details = [
        {
            "item_id": item_id,
            "question": asked.get(item_id, ASKED),
            "kl": _log(kl),
            "counts": (kl > thresholds).astype(int).tolist(),  # the page's digits could decide otherwise
            "apart": _log(1 - cosine),
        }
        for item_id, kl, cosine in zip(frame["item_id"], effects, cosines, strict=True)
    ]
    if iteration.has_texts:
        for row, said in zip(details, _said(frame, iteration.arrays(model), rule), strict=True):
            row |= said
    return {
        "name": model,
        "label": iteration.label(model),
        "n_layers": n_layers,
        "thresholds": _log(thresholds),
        "sib_layer": sib.layer_index(rule["sib_depth"], n_layers),
        "deep_layer": math.ceil(rule["dtr_rho"] * n_layers),
        "measures": {name: [_digits(value) for value in measures[name]] for name in measures},
        **{name: [_word(value) for value in frame[name]] for name in ("item_id", "dataset", "role", "answer", "reason")},
        "details": details,
    }


def _said(frame: pd.DataFrame, arrays: dict[str, np.ndarray], rule: dict) -> list[dict]:
    """Of each item: its tokens and their scores; within the window also the depth of settling and the spread of attention."""
    no_sink = rule["ape"] == "no_sink"
    rows = []
    for index, row in enumerate(frame.itertuples()):
        width = row.window_end - row.window_start
        if np.isnan(arrays["kl"][index]).all():  # the window is too short to be looked at
            settled = spread = kl = np.empty((0, 0))
        else:
            jsd, kl = arrays["jsd"][index][:, :width], arrays["kl"][index][:, :width]
            settled = dtr.settling_depth(jsd, rule["dtr_g"])
            entropy = arrays["entropy_no_sink" if no_sink else "entropy"][index][:, :width]
            visible = row.token_len + row.window_start + 1 + np.arange(width) - no_sink
            spread = entropy / np.log(visible)
        rows.append(
            {
                "tokens": list(row.tokens),
                "surprise": _whole(-100 * np.asarray(row.token_logprob, np.float64)),
                "entropy": _whole(100 * np.asarray(row.token_entropy, np.float64)),
                "window": [int(row.window_start), int(row.window_end)],
                "stated": [int(row.answer_start), int(row.answer_end)],
                "settled": settled.ravel().astype(int).tolist(),
                "attention": _whole(1000 * spread.mean(0)) if spread.size else [],
                "kl_map": _whole(10 * np.log10(np.maximum(kl, TINY))),
                "attention_map": _whole(100 * spread),
            }
        )
    return rows


def _whole(values: np.ndarray) -> list:
    """Rounded, NaN as None."""
    whole = np.rint(values)
    return whole.astype(int).tolist() if np.isfinite(whole).all() else storage.to_plain(whole)


def _log(values: Sequence[float | None]) -> list[int | None]:
    """Hundredths of log10."""
    return _whole(100 * np.log10(np.maximum(np.asarray(values, np.float64), TINY)))


def _digits(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short


def _word(value: str | float) -> str:
    """A cell of a CSV as text: its reader makes 12.0 of 12, and NaN of nothing."""
    if isinstance(value, str):
        return value
    return f"{value:.15g}" if math.isfinite(value) else ""
