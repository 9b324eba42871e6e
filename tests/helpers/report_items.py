"""Write an iteration's folder with random numbers and any texts, without a model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tests.helpers.root import ROOT
from wor import paths, storage
from wor.config import params
from wor.iterations.load import Iteration
from wor.measures import table

LAYERS, WINDOW = 30, 32


def make_question(item_id: str, prompt: str, role: str = "reasoning", **changes: object) -> dict:
    """Return one row of a file in items/. See wor.data.items.Item."""
    paraphrases = [f"{opening} {prompt}" for opening in ("Please.", "Kindly.", "Well then.")]
    row = {"item_id": item_id, "dataset": item_id.split("/")[0], "role": role, "prompt": prompt, "paraphrases": paraphrases}
    row |= {"paraphrase_shares": [0.15, 0.12, 0.1], "gold": f"gold of {item_id}", "answer": "12" if role == "reasoning" else ""}
    return row | changes


def iteration(folder: Path, questions: Sequence[dict], continuations: Sequence[list[str]], seed: int = 0, **changes) -> Iteration:
    """Write the folder and return it as an Iteration.

    ``changes`` replace top-level values of params.yaml. A window is the last 32 tokens but two.
    """
    values = params.read_yaml(ROOT / "params.yaml")
    values |= {"datasets": sorted({row["dataset"] for row in questions})} | changes
    study = params.load_params(ROOT / "params.yaml")
    rng = np.random.default_rng(seed)
    rows = [_response(question, tokens, rng) for question, tokens in zip(questions, continuations, strict=True)]
    frame = pd.DataFrame(rows).sort_values("dataset", kind="stable", ignore_index=True)
    widths = (frame["window_end"] - frame["window_start"]).where(frame["reason"] == "", 0).to_numpy()
    arrays = _arrays(frame, widths, rng)
    controls = np.flatnonzero((frame["role"] == "control") & (widths > 0))
    calibration = table.calibrate(
        frame.iloc[controls].reset_index(drop=True), {name: array[controls] for name, array in arrays.items()}, study
    )
    measured = table.measure_items(frame, arrays, calibration, study)
    model, label = "small", "Small-135M"
    results = folder / "results"
    results.mkdir(parents=True)
    for dataset in values["datasets"]:
        rows = np.flatnonzero(frame["dataset"] == dataset)
        part, cut = frame.iloc[rows].reset_index(drop=True), {name: array[rows] for name, array in arrays.items()}
        observed = folder / paths.observed(label, dataset)
        observed.mkdir(parents=True)
        storage.write_records(observed, part, cut)
        storage.write_csv(results / f"{label}_{dataset}_layers.csv", table.layer_table(part, cut))
        (folder / "items").mkdir(exist_ok=True)
        storage.write_jsonl(folder / paths.asked(dataset), [row for row in questions if row["dataset"] == dataset])
    storage.write_csv(results / f"{label}_metrics.csv", measured)
    storage.write_json(results / "model_results.json", {model: {"card": {}, "calibration": calibration.as_dict()}})
    storage.write_json(results / "aggregate_statistics.json", {"models": {model: {"label": label}}, "criteria": {}})
    storage.write_json(folder / "config_used.yaml", values)
    manifest = {"iteration_id": folder.name, "fingerprint": "", "registry": {}, "files": {}}
    storage.write_json(folder / paths.MANIFEST, manifest)
    return Iteration(folder)


def with_a_second_model(first: Iteration, folder: Path) -> Iteration:
    """Return a copy that has the same numbers for a second model."""
    shutil.copytree(first.folder, folder)
    storage.write_json(folder / paths.MANIFEST, {**first.manifest, "iteration_id": folder.name})
    shutil.copytree(folder / "observed" / "Small-135M", folder / "observed" / "Large-1.7B")
    for path in (folder / "results").glob("Small-135M_*.csv"):
        shutil.copy(path, path.with_name(path.name.replace("Small-135M", "Large-1.7B")))
    storage.write_json(folder / "results" / "model_results.json", {**first.cards, "large": first.cards["small"]})
    both = {"small": {"label": "Small-135M"}, "large": {"label": "Large-1.7B"}}
    storage.write_json(folder / "results" / "aggregate_statistics.json", {"models": both, "criteria": {}})
    return Iteration(folder)


def _response(question: dict, tokens: list[str], rng: np.random.Generator) -> dict:
    n, n_prompt = len(tokens), int(rng.integers(60, 200))
    end = max(0, n - 2)
    start = max(0, end - WINDOW)
    log_probs = -rng.gamma(0.35, 1.4, n)
    reasoning = question["role"] == "reasoning"
    answer = str(rng.choice(["12", "7", ""])) if reasoning else ""
    return {
        **{name: question[name] for name in ("item_id", "dataset", "role")},
        "split": "evaluation",
        "cluster": question["item_id"],
        "token_len": n_prompt,
        "cot_len": n,
        "steps": float(rng.integers(1, 6)) if reasoning else np.nan,
        "n_generated": n,
        "avg_logprob": log_probs.mean(),
        "perplexity": np.exp(-log_probs.mean()),
        "prompt_perplexity": rng.uniform(10, 60),
        "finished": False,
        "answer": answer,
        "correct": float(answer == question["answer"]) if reasoning else np.nan,
        "window_start": n_prompt + start,
        "window_end": n_prompt + end,
        "answer_start": n_prompt + (end if answer else n),
        "answer_end": n_prompt + n,
        "paraphrase_share": float(np.mean(question["paraphrase_shares"])),
        "paraphrase_reason": "",
        "reason": question.get("reason", "") or ("" if end - start >= 4 else f"{end - start} tokens generated, fewer than 4"),
        "template": "chat template",
        "prompt_ids": list(range(n_prompt)),
        "continuation_ids": list(range(n)),
        "tokens": tokens,
        "token_logprob": log_probs.astype(np.float32),
        "token_entropy": rng.gamma(0.9, 1.0, n).astype(np.float32),
        "text": "".join(tokens),
    }


def _arrays(frame: pd.DataFrame, widths: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return arrays like a real model's, where tokens settle late and few layers matter."""
    shape = (len(frame), LAYERS, WINDOW)
    reasoning = (frame["role"] == "reasoning").to_numpy()[:, None, None]
    depth = np.arange(LAYERS)[None, :, None] / LAYERS
    item = rng.normal(0, 0.3, (len(frame), 1, 1))
    kl = np.exp(-5 - depth + 0.5 * reasoning + item + rng.normal(0, 1.0, shape))
    kl[:, 0] *= 60
    spread = np.clip(0.42 + 0.03 * reasoning + 0.1 * np.sin(9 * depth) + rng.normal(0, 0.05, shape), 0.01, 0.99)
    visible = frame["window_start"].to_numpy()[:, None, None] + np.arange(WINDOW)
    falls = np.clip(1.3 - depth + rng.normal(0, 0.1, shape), 0, 1)
    falls[:, -1] = 0
    apart = np.exp(rng.normal(-7, 0.8, (len(frame), 3, 1)) + rng.normal(0, 0.1, (len(frame), 3, LAYERS + 1)))
    arrays = {"kl": kl, "entropy": spread * np.log(visible), "entropy_no_sink": 1.1 * spread * np.log(visible), "jsd": falls}
    for index, width in enumerate(widths):
        for array in arrays.values():
            array[index, :, width:] = np.nan
    arrays["cosine"] = 1 - apart
    return {name: array.astype(np.float32) for name, array in arrays.items()}
