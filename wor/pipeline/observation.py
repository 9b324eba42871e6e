"""Items through the model, and the table and arrays that come of it. Shared by every stage that runs a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from wor import storage
from wor.config.params import Params
from wor.data import answers, windows
from wor.data.items import Item
from wor.engine import cost
from wor.engine.capture import capture
from wor.engine.generate import generate
from wor.engine.model import LM
from wor.engine.observe import PromptAndContinuation, TokenScores, observe, score_tokens
from wor.engine.parallel import map_items
from wor.engine.reference import MIN_SAMPLES, Reference, pool_summaries, summarise_run
from wor.pipeline.session import Session
from wor.pipeline.shards import Records

GENERATION_BATCH = 64  # items that share a batch while they are generated
SHARD_SIZE = 16  # items whose observation a killed stage may lose


@dataclass(frozen=True)
class Response:
    """An item, the model's response to it, and the window that the measures look at.

    ``answer_span``: the tokens of the stated answer, as ``[start, end)`` within the continuation.
    """

    item: Item
    sequence: PromptAndContinuation
    text: str
    answer: str
    answer_span: tuple[int, int]
    correct: float
    finished: bool
    n_tokens_before_answer: int
    exclusion_reason: str


def write_reference(folder: Path, reference: Reference) -> None:
    storage.write_arrays(folder / "reference.safetensors", {name: part.numpy() for name, part in vars(reference).items()})


def read_reference(folder: Path) -> Reference:
    """What `write_reference` wrote."""
    arrays = storage.read_arrays(folder / "reference.safetensors")
    return Reference(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def generate_responses(run: Session, items: Sequence[Item], temperatures: Sequence[float]) -> list[Response]:
    """Generate a continuation for each item, at a temperature of its own, and place its window."""
    lm, room, seed = run.lm, run.params.max_new_tokens, run.params.seed
    prompts = [lm.encode_prompt(item.prompt, room, item.item_id) for item in items]
    for item in items:  # a paraphrase may be longer than its prompt: refuse it before the work, not during
        for prompt in item.paraphrases:
            lm.encode_prompt(prompt, room, item.item_id)

    asked = [(item.item_id, prompt, warmth) for item, prompt, warmth in zip(items, prompts, temperatures, strict=True)]
    work = partial(_generate, room=room, seed=seed)
    weigh = partial(_generation_cost, room=room)
    frame, _ = run.shards.run("generated", GENERATION_BATCH, asked, lambda one: len(one[1]), list, [room, seed], work, weigh)
    return [
        _parse_response(lm, item, prompt, [int(token) for token in continuation], run.params)
        for item, prompt, continuation in zip(items, prompts, frame["continuation"], strict=True)
    ]


def _generate(lm: LM, asked: list[tuple[str, list[int], float]], advance: Callable, room: int, seed: int) -> Records:
    names, chosen, warmth = zip(*asked, strict=True)
    continuations = generate(
        lm, chosen, names, temperatures=warmth, max_new_tokens=room, seed=seed, most=GENERATION_BATCH, advance=advance
    )
    return pd.DataFrame({"continuation": continuations}), {"length": np.array([len(ids) for ids in continuations])}


def _generation_cost(asked: list[tuple[str, list[int], float]], room: int) -> list[float]:
    """What each costs: they are padded to the longest, and go on together."""
    return [max(len(prompt) for _, prompt, _ in asked) + (room - 1) * cost.step(len(asked)) / len(asked)] * len(asked)


def load_responses(items: Sequence[Item], frame: pd.DataFrame, paraphrases: int) -> list[Response]:
    """What a model said to ``items`` when ``frame`` was written, with at most so many paraphrases."""
    rows = {row["item_id"]: row for _, row in frame.iterrows()}
    said = []
    for item in items:
        row = rows[item.item_id]
        prompt, continuation = ([int(token) for token in row[name]] for name in ("prompt_ids", "continuation_ids"))
        case = PromptAndContinuation(prompt, continuation, row["window_start"] - len(prompt), row["window_end"] - len(prompt))
        fewer = {name: getattr(item, name)[:paraphrases] for name in ("paraphrases", "paraphrase_shares")}
        stated = (row["answer_start"] - len(prompt), row["answer_end"] - len(prompt))
        about = {name: row[name] for name in ("text", "answer", "correct", "finished")}
        said.append(
            Response(
                item=item.model_copy(update=fewer),
                sequence=case,
                answer_span=stated,
                n_tokens_before_answer=row["cot_len"],
                exclusion_reason=row["reason"],
                **about,
            )
        )
    return said


def compute_reference(run: Session, said: Sequence[Response]) -> Reference:
    """The frozen reference of the windows of ``said``, which are calibration controls."""
    samples = math.ceil(MIN_SAMPLES / len(said))
    work = partial(_average, samples=samples)
    return pool_summaries(run.shards.run("averaged", GENERATION_BATCH, said, _length, _describe, [samples], work, _lengths)[1])


def _average(lm: LM, chosen: list[Response], advance: Callable, samples: int) -> Records:
    def average(lm: LM, one: Response) -> dict[str, np.ndarray]:
        return summarise_run(capture(lm, one.sequence.ids_to_window, one.sequence.window), samples)

    summaries = map_items(lm, average, chosen, advance)
    return _item_ids(chosen), {name: np.stack([summary[name] for summary in summaries]) for name in summaries[0]}


def observe_all(run: Session, said: Sequence[Response], reference: Reference, lens: bool) -> Records:
    """One row an item, and arrays padded with NaN to the largest window and number of paraphrases that there can be.

    ``lens``: with the logit lens, which DTR is made from.
    """
    settings = run.params.model_dump(mode="json", include={"window", "paraphrase", "ablation", "max_new_tokens", "seed"})
    work = partial(_observe, params=run.params, reference=reference, lens=lens)
    identity = [settings, lens, _digest(reference)]
    return run.shards.run(
        "observed", SHARD_SIZE, said, _length, _describe, identity, work, partial(_observation_cost, run.lm, lens=lens)
    )


def _observe(lm: LM, chosen: list[Response], advance: Callable, params: Params, reference: Reference, lens: bool) -> Records:
    taken_out = params.ablation

    def look(lm: LM, entry: tuple[Response, list[list[int]]]) -> tuple[dict[str, np.ndarray], TokenScores]:
        one, paraphrases = entry
        if one.exclusion_reason:
            return {}, score_tokens(lm, one.sequence)
        stand_in = reference.replacement(
            taken_out.part, taken_out.stand_in, len(one.sequence.window), params.seed, one.item.item_id
        )
        return observe(lm, one.sequence, paraphrases, taken_out.part, stand_in, reference.belief, lens)

    paraphrases = [[lm.encode(lm.render(prompt)) for prompt in one.item.paraphrases] for one in chosen]
    observed, spoken = zip(*map_items(lm, look, list(zip(chosen, paraphrases, strict=True)), advance), strict=True)
    rows = [_row(lm, one, fluent) for one, fluent in zip(chosen, spoken, strict=True)]
    return pd.DataFrame(rows), _padded(lm, observed, params, lens)


def _observation_cost(lm: LM, chosen: list[Response], lens: bool) -> list[float]:
    """What each costs: one without a window is only scored. A paraphrase is about as long as its prompt."""
    unembedding, passes = cost.unembedding(lm), []
    for one in chosen:
        passes.append(len(one.sequence.ids) * (1 + unembedding))
        if not one.exclusion_reason:
            passes[-1] += len(one.item.paraphrases) * len(one.sequence.ids_to_window)
            passes[-1] += cost.window(lm, len(one.sequence.window), 1, lens)
    return passes


def _lengths(chosen: list[Response]) -> list[float]:
    return [_length(one) for one in chosen]


def _length(one: Response) -> int:
    return len(one.sequence.ids)


def _describe(one: Response) -> list:
    """What decides everything that is observed of an item."""
    return [one.item.model_dump(), vars(one.sequence), one.finished]


def _item_ids(said: Sequence[Response]) -> pd.DataFrame:
    return pd.DataFrame({"item_id": [one.item.item_id for one in said]})


def _digest(reference: Reference) -> str:
    digest = hashlib.sha256()
    for name, part in sorted(vars(reference).items()):
        digest.update(name.encode() + part.numpy().tobytes())
    return digest.hexdigest()


def _padded(lm: LM, observed: Sequence[dict[str, np.ndarray]], params: Params, lens: bool) -> dict[str, np.ndarray]:
    width = params.max_new_tokens if params.window.rule == "full" else params.window.size
    shapes = {
        "entropy": (lm.n_layers, width),
        "entropy_no_sink": (lm.n_layers, width),
        "entropy_heads": (lm.n_layers, lm.n_heads),
        "kl": (lm.n_layers, width),
        "cosine": (params.paraphrase.n, lm.n_layers + 1),
    }
    if lens:
        shapes["jsd"] = (lm.n_layers, width)
    arrays = {name: np.full((len(observed), *shape), np.nan, np.float32) for name, shape in shapes.items()}
    for index, found in enumerate(observed):
        for name, array in found.items():
            arrays[name][index, : array.shape[0], : array.shape[1]] = array
    return arrays


def _parse_response(lm: LM, item: Item, prompt: list[int], continuation: list[int], params: Params) -> Response:
    finished = bool(continuation) and continuation[-1] in lm.end_tokens
    body = continuation[:-1] if finished else continuation
    text = lm.decode(body)
    answer = answers.find_answer(text, item.answer_kind, finished)
    answer_token, stated = None, (len(body), len(body))
    if answer is not None:
        answer_token = windows.token_at(answer.start, body, lm.decode)
        stated = (answer_token, windows.token_at(answer.end - 1, body, lm.decode) + 1)
    placed = windows.select_window(len(body), answer_token, params.window)
    correct = math.nan
    if item.answer_kind != "none":
        correct = float(answer is not None and answer.value == answers.normalise_answer(item.answer, item.answer_kind))
    return Response(
        item=item,
        sequence=PromptAndContinuation(prompt, body, placed.start, placed.end),
        text=text,
        answer="" if answer is None else answer.value,
        answer_span=stated,
        correct=correct,
        finished=finished,
        n_tokens_before_answer=len(body) if answer_token is None else answer_token,
        exclusion_reason=placed.reason,
    )


def _row(lm: LM, one: Response, spoken: TokenScores) -> dict:
    item, case = one.item, one.sequence
    return {
        "item_id": item.item_id,
        "dataset": item.dataset,
        "role": item.role,
        "split": item.split,
        "cluster": item.cluster,
        "token_len": len(case.prompt),
        "cot_len": one.n_tokens_before_answer,
        "steps": math.nan if item.steps is None else item.steps,
        "n_generated": len(case.continuation),
        "avg_logprob": spoken.continuation,
        "perplexity": math.exp(-spoken.continuation),
        "prompt_perplexity": math.exp(-spoken.prompt),
        "finished": one.finished,
        "answer": one.answer,
        "correct": one.correct,
        "window_start": case.window.start,
        "window_end": case.window.end,
        "answer_start": len(case.prompt) + one.answer_span[0],
        "answer_end": len(case.prompt) + one.answer_span[1],
        "paraphrase_share": float(np.mean(item.paraphrase_shares)) if item.paraphrase_shares else math.nan,
        "paraphrase_reason": item.paraphrase_reason,
        "reason": one.exclusion_reason,
        "template": "chat template" if lm.has_chat_template else "prompt.template",
        "rendered": lm.render(item.prompt),
        "prompt_ids": case.prompt,
        "continuation_ids": case.continuation,
        "tokens": windows.token_texts(case.continuation, lm.decode),
        "token_logprob": spoken.log_probs,
        "token_entropy": spoken.entropies,
        "text": one.text,
    }
