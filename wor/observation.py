"""Items through the model, and the table and arrays that come of it. Shared by every stage that runs a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from wor import answers, storage, windows
from wor.engine.generate import generate
from wor.engine.model import LM
from wor.engine.observe import Continued, Fluency, Means, fluency, observe
from wor.items import Item
from wor.params import Params
from wor.progress import Log


@dataclass(frozen=True)
class Said:
    """An item, what the model said to it, and where the measures look."""

    item: Item
    case: Continued
    text: str
    answer: str
    correct: float
    finished: bool
    thought: int
    reason: str


def evaluated(items: Sequence[Item]) -> list[Item]:
    """The items that are scored: every reasoning item, and the controls that calibrate nothing."""
    return [item for item in items if item.role == "reasoning" or item.split == "evaluation"]


def write_means(folder: Path, means: Means) -> None:
    storage.write_arrays(folder / "means.safetensors", {name: tensor.numpy() for name, tensor in vars(means).items()})


def read_means(folder: Path) -> Means:
    """What `write_means` wrote."""
    arrays = storage.read_arrays(folder / "means.safetensors")
    return Means(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def ask(lm: LM, items: Sequence[Item], params: Params, temperature: float, log: Log, what: str = "generated") -> list[Said]:
    """Generate a continuation for each item and place its window."""
    prompts = [lm.encode_prompt(item.prompt, params.max_new_tokens, item.item_id) for item in items]
    for item in items:  # a paraphrase may be longer than its prompt: refuse it before the work, not during
        for prompt in item.paraphrases:
            lm.encode_prompt(prompt, params.max_new_tokens, item.item_id)
    with log.bar(what, len(items)) as advance:
        continuations = generate(
            lm,
            prompts,
            [item.item_id for item in items],
            temperature=temperature,
            max_new_tokens=params.max_new_tokens,
            seed=params.seed,
            batch_size=params.compute.batch_size,
            advance=advance,
        )
    return [
        _read(lm, item, prompt, continuation, params)
        for item, prompt, continuation in zip(items, prompts, continuations, strict=True)
    ]


def _read(lm: LM, item: Item, prompt: list[int], continuation: list[int], params: Params) -> Said:
    finished = bool(continuation) and continuation[-1] in lm.end_tokens
    body = continuation[:-1] if finished else continuation
    text = lm.decode(body)
    answer = answers.find(text, item.answer_kind, finished)
    answer_token = None if answer is None else windows.token_of(answer.start, body, lm.decode)
    placed = windows.place(len(body), answer_token, params.window)
    correct = math.nan
    if item.answer_kind != "none":
        correct = float(answer is not None and answer.value == answers.normalise(item.answer, item.answer_kind))
    return Said(
        item=item,
        case=Continued(prompt, body, placed.start, placed.end),
        text=text,
        answer="" if answer is None else answer.value,
        correct=correct,
        finished=finished,
        thought=len(body) if answer_token is None else answer_token,
        reason=placed.reason,
    )


def observe_all(
    lm: LM, said: Sequence[Said], means: Means, params: Params, log: Log, what: str = "observed"
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """One row an item, and arrays padded with NaN to the largest window and number of paraphrases that there can be."""
    rows, observed = [], []
    with log.bar(what, len(said)) as advance:
        for one in said:
            if one.reason:
                arrays, spoken = {}, fluency(lm, one.case)
            else:
                paraphrases = [lm.encode(lm.render(prompt)) for prompt in one.item.paraphrases]
                arrays, spoken = observe(lm, one.case, paraphrases, means)
            rows.append(_row(one, spoken))
            observed.append(arrays)
            advance()
    width = params.max_new_tokens if params.window.rule == "full" else params.window.size
    shapes = {
        "entropy": (lm.n_layers, width),
        "entropy_no_sink": (lm.n_layers, width),
        "entropy_heads": (lm.n_layers, lm.n_heads),
        "kl": (lm.n_layers, width),
        "jsd": (lm.n_layers, width),
        "cosine": (params.paraphrase.n, lm.n_layers + 1),
    }
    arrays = {name: np.full((len(said), *shape), np.nan, np.float32) for name, shape in shapes.items()}
    for index, found in enumerate(observed):
        for name, array in found.items():
            arrays[name][index, : array.shape[0], : array.shape[1]] = array
    return pd.DataFrame(rows), arrays


def _row(one: Said, spoken: Fluency) -> dict:
    item, case = one.item, one.case
    return {
        "item_id": item.item_id,
        "dataset": item.dataset,
        "role": item.role,
        "split": item.split,
        "cluster": item.cluster,
        "token_len": len(case.prompt),
        "cot_len": one.thought,
        "n_generated": len(case.continuation),
        "avg_logprob": spoken.continuation,
        "perplexity": math.exp(-spoken.continuation),
        "prompt_perplexity": math.exp(-spoken.prompt),
        "finished": one.finished,
        "answer": one.answer,
        "correct": one.correct,
        "window_start": case.window.start,
        "window_end": case.window.end,
        "paraphrase_share": float(np.mean(item.paraphrase_shares)) if item.paraphrase_shares else math.nan,
        "paraphrase_reason": item.paraphrase_reason,
        "reason": one.reason,
        "prompt_ids": case.prompt,
        "continuation_ids": case.continuation,
        "text": one.text,
    }
