"""Generate and observe items in a stage: call `generate_responses`, then `observe_all`."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from wor import storage
from wor.config.params import ROLES, Params
from wor.data import answers, windows
from wor.data.items import Item
from wor.engine import cost, memory, states
from wor.engine.capture import capture
from wor.engine.generate import generate
from wor.engine.model import LM
from wor.engine.observe import (
    PASSES,
    Alternatives,
    Observed,
    PromptAndContinuation,
    TokenScores,
    bytes_per_item,
    observe_together,
    score_tokens,
)
from wor.engine.parallel import Task, deal, deal_rows, in_order
from wor.engine.reference import MIN_SAMPLES, Reference, balance, pool_summaries, summarise_run
from wor.errors import UserError
from wor.pipeline.session import Session
from wor.pipeline.shards import Records

GENERATION_BATCH, DEVICE_GENERATION_BATCH = 64, 512  # items that are generated in one batch, on a CPU and elsewhere
AVERAGED = 64  # averaged items that a killed stage may lose
SHARD_SIZE = 16  # observed items that a killed stage may lose
MIN_PER_CLASS = 2
RESAMPLE_DRAWS = 3  # of reference positions, whose effects are averaged
HALF_PRECISION = ("lens_kl", "lens_probability", "prompt_state")  # far below 65504, or checked for it
UNSCORED = TokenScores(math.nan, math.nan, np.zeros(0), np.zeros(0))

Request = tuple[str, list[int], float]  # item ID, prompt's token IDs, temperature


@dataclass(frozen=True)
class Response:
    """A response and its window.

    ``closing_span`` is [start, end) of the continuation's tokens that state the answer, or close
    the text as the instruction asks. It is empty and at the end where none do.
    """

    item: Item
    sequence: PromptAndContinuation
    text: str
    answer: str
    closing_span: tuple[int, int]
    correct: float
    finished: bool
    exclusion_reason: str


def write_references(folder: Path, references: Mapping[str, Reference]) -> None:
    """Write the references of both classes to one file."""
    parts = {f"{role}.{name}": part for role, reference in references.items() for name, part in vars(reference).items()}
    storage.write_arrays(folder / "reference.safetensors", {name: part.numpy() for name, part in parts.items()})


def read_references(folder: Path) -> dict[str, Reference]:
    """Return the references that `write_references` wrote, by role."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, array in storage.read_arrays(folder / "reference.safetensors").items():
        role, _, field = name.partition(".")
        parts.setdefault(role, {})[field] = torch.from_numpy(array)
    return {role: Reference(**fields) for role, fields in parts.items()}


def read_reference(folder: Path, params: Params) -> Reference:
    """Return the study's reference: that of ``params.ablation.reference``."""
    return select_reference(read_references(folder), params.ablation.reference)


def select_reference(references: Mapping[str, Reference], kind: str) -> Reference:
    """Return the reference of controls alone, or the balanced one of both classes."""
    return balance([references[role] for role in sorted(references)]) if kind == "balanced" else references["control"]


def generate_responses(run: Session, items: Sequence[Item], temperatures: Sequence[float]) -> list[Response]:
    """Generate a response to each item, each at its temperature, and select its window.

    Raises UserError, before any work, for a prompt or paraphrase longer than the context.
    """
    lm, max_new_tokens, seed = run.lm, run.params.max_new_tokens, run.params.seed
    prompts = [lm.encode_prompt(item.prompt, max_new_tokens, item.item_id) for item in items]
    for item in items:
        for prompt in item.paraphrases:
            lm.encode_prompt(prompt, max_new_tokens, item.item_id)

    requests = list(zip([item.item_id for item in items], prompts, temperatures, strict=True))
    work = partial(_generate, max_new_tokens=max_new_tokens, seed=seed)
    request_cost = partial(_generation_cost, max_new_tokens=max_new_tokens)
    settings = [max_new_tokens, seed]
    size = generation_batch(lm.device.type)
    frame, _ = run.shards.run("generated", size, requests, lambda request: len(request[1]), list, settings, work, request_cost)
    return [
        _parse_response(lm, item, prompt, [int(token) for token in continuation], run.params)
        for item, prompt, continuation in zip(items, prompts, frame["continuation"], strict=True)
    ]


def generation_batch(device: str) -> int:
    """Return how many items are generated in one batch on a device, if its memory holds them."""
    return GENERATION_BATCH if device == "cpu" else DEVICE_GENERATION_BATCH


def _generate(lm: LM, requests: list[Request], advance: Callable, max_new_tokens: int, seed: int) -> Task[Records]:
    limits = {"max_new_tokens": max_new_tokens, "max_batch_size": generation_batch(lm.device.type)}

    def continue_group(lm: LM, group: list[int]) -> list[list[int]]:
        names, prompts, temperatures = zip(*(requests[index] for index in group), strict=True)
        return generate(lm, prompts, names, temperatures=temperatures, seed=seed, advance=advance, **limits)

    groups = deal_rows(lm, [(len(prompt), name) for name, prompt, _ in requests])
    results = yield continue_group, groups
    continuations = in_order(groups, results)
    return pd.DataFrame({"continuation": continuations}), {"length": np.array([len(ids) for ids in continuations])}


def _generation_cost(requests: list[Request], max_new_tokens: int) -> list[float]:
    # Prompts are padded to the longest, and all rows of a batch are decoded together.
    longest, size = max(len(prompt) for _, prompt, _ in requests), len(requests)
    return [longest + (max_new_tokens - 1) * cost.step(size) / size] * size


def load_responses(items: Sequence[Item], frame: pd.DataFrame, paraphrases: int) -> list[Response]:
    """Return responses that `observe_all` wrote. Items keep at most ``paraphrases`` paraphrases."""
    rows = {row["item_id"]: row for _, row in frame.iterrows()}
    return [_load_response(item, rows[item.item_id], paraphrases) for item in items]


def _load_response(item: Item, row: pd.Series, paraphrases: int) -> Response:
    prompt, continuation = ([int(token) for token in row[name]] for name in ("prompt_ids", "continuation_ids"))
    offset = len(prompt)
    names = ("paraphrases", "paraphrase_shares", "body_shares", "moved_shares")
    first = {name: getattr(item, name)[:paraphrases] for name in names}
    return Response(
        item=item.model_copy(update=first),
        sequence=PromptAndContinuation(prompt, continuation, row["window_start"] - offset, row["window_end"] - offset),
        closing_span=(row["answer_start"] - offset, row["answer_end"] - offset),
        exclusion_reason=row["reason"],
        **{name: row[name] for name in ("text", "answer", "correct", "finished")},
    )


def responses_with_window(responses: Sequence[Response]) -> list[Response]:
    """Return the held-out items' responses that are not excluded.

    Raises UserError for fewer than two of a class.
    """
    usable = [response for response in responses if not response.exclusion_reason]
    for role in ROLES:
        number = sum(response.item.role == role for response in usable)
        if number < MIN_PER_CLASS:
            of_role = [response.exclusion_reason for response in responses if response.item.role == role]
            why = "; ".join(f"{n}: {reason}" for reason, n in Counter(filter(None, of_role)).most_common())
            remedy = "Raise dataset_specs.*.n of that role, or give it another instruction or temperature"
            found = f"{number} of {len(of_role)} have a window" + (f" ({why})" if why else "")
            raise UserError(f"held-out {role} items", found, remedy)
    return usable


def compute_references(run: Session, responses: Sequence[Response]) -> dict[str, Reference]:
    """Return a reference per role, averaged over the windows of responses to held-out items."""
    roles = np.array([response.item.role for response in responses])
    samples = math.ceil(MIN_SAMPLES / min(int((roles == role).sum()) for role in ROLES))
    work = partial(_average, samples=samples)
    _, summaries = run.shards.run(
        "averaged", AVERAGED, responses, _length, _describe, [samples], work, lambda shard: [*map(_length, shard)]
    )
    return {role: pool_summaries({name: part[roles == role] for name, part in summaries.items()}) for role in ROLES}


def _average(lm: LM, responses: list[Response], advance: Callable, samples: int) -> Task[Records]:
    def average(lm: LM, response: Response) -> dict[str, np.ndarray]:
        summary = summarise_run(capture(lm, response.sequence.ids_before_last, response.sequence.predictions), samples)
        advance()
        return summary

    summaries = yield average, responses
    frame = pd.DataFrame({"item_id": [response.item.item_id for response in responses]})
    return frame, {name: np.stack([summary[name] for summary in summaries]) for name in summaries[0]}


def describe_responses(lm: LM, responses: Sequence[Response]) -> pd.DataFrame:
    """Return the rows of `observe_all` for responses that are not observed, without scores."""
    return pd.DataFrame([_row(lm, response, UNSCORED) for response in responses])


@dataclass(frozen=True)
class Others:
    """What `observe_all` needs to observe stand-ins and centres beside the study's own.

    ``item_ids`` are the items for the stand-ins. Every item is for the centres.
    """

    references: Mapping[str, Reference]
    item_ids: frozenset[str]


def observe_all(
    run: Session,
    responses: Sequence[Response],
    reference: Reference,
    lens: bool,
    ablated: bool = True,
    others: Others | None = None,
) -> Records:
    """Return one row per response, and arrays padded with NaN to the largest possible window.

    ``lens`` adds the logit lens, which DTR is made from. Without ``ablated`` kl is NaN, which APL
    is made from and most of the time is spent on. ``others`` adds the arrays kl_NAME and
    cosine_NAME of `engine.observe.Alternatives`. ``run.seconds`` becomes the mean of what each pass
    took.
    """
    sections = {"window", "paraphrase", "ablation", "max_new_tokens", "seed"} | ({"stand_ins"} if others else set())
    settings = run.params.model_dump(mode="json", include=sections)
    work = partial(_observe, params=run.params, reference=reference, lens=lens, ablated=ablated, others=others)
    response_cost = partial(_observation_cost, run.lm, lens=lens, ablated=ablated)
    settings_id = [settings, lens, ablated, _digest(reference)]
    if others:
        settings_id += [sorted(others.item_ids), *map(_digest, others.references.values())]
    frame, arrays = run.shards.run("observed", SHARD_SIZE, responses, _length, _describe, settings_id, work, response_cost)
    if timed := [seconds for seconds in frame.pop("seconds") if len(seconds)]:
        run.seconds.update(zip(PASSES, np.mean(timed, axis=0).tolist(), strict=True), n=len(timed))
    return frame, arrays


def _observe(
    lm: LM,
    responses: list[Response],
    advance: Callable,
    params: Params,
    reference: Reference,
    lens: bool,
    ablated: bool = True,
    others: Others | None = None,
) -> Task[Records]:
    part, items = params.ablation.part, []
    for response in responses:
        sequence, name = response.sequence, response.item.item_id
        replacement, width = None, sequence.end - sequence.start
        if ablated:
            replacement = reference.replacement(part, params.ablation.stand_in, width, params.seed, name)
        alternatives = _alternatives(lm, others, params, name, width) if others else None
        # Encoded here, as the tokenizer is not thread-safe.
        paraphrases = [lm.text.encode_prompt(prompt) for prompt in response.item.paraphrases]
        items.append(Observed(sequence, paraphrases, replacement, alternatives))

    def observe_group(lm: LM, group: list[int]) -> list[tuple[dict[str, np.ndarray], TokenScores, list[float]]]:
        if responses[group[0]].exclusion_reason:
            scored: list[tuple] = [({}, score_tokens(lm, items[index].sequence), []) for index in group]
            advance(len(group))
            return scored
        lm.seconds.clear()
        observe = partial(observe_together, lm, component=part, belief=reference.belief, lens=lens)
        together = [items[index] for index in group]
        if len(group) == 1:
            results = observe(together)
        else:
            size = max(bytes_per_item(lm, item) for item in together)
            batches = memory.run_in_batches(lm, "observe", len(group), size, lambda rows: observe(together[rows]))
            results = list(chain(*batches))
        seconds = [lm.seconds.get(name, 0.0) / len(group) for name in PASSES]
        advance(len(group))
        return [(*result, seconds) for result in results]

    kinds = [(response.exclusion_reason, item.kind()) for response, item in zip(responses, items, strict=True)]
    groups = deal(lm, kinds)
    results = yield observe_group, groups
    arrays, scores, seconds = zip(*in_order(groups, results), strict=True)
    frame = pd.DataFrame(list(map(partial(_row, lm), responses, scores))).assign(seconds=seconds)
    return frame, _pad(lm, arrays, params, lens, others is not None)


def _alternatives(lm: LM, others: Others, params: Params, item_id: str, width: int) -> Alternatives:
    """Return what one item is observed with beside the study's own stand-in and centre."""
    part, seed, references = params.ablation.part, params.seed, others.references
    sources = {name: select_reference(references, name) for name in ("balanced", "control")}
    study = sources[params.ablation.reference]
    stand_ins: dict[str, list[torch.Tensor]] = {}
    for name in params.other_stand_ins() if item_id in others.item_ids else []:
        if name == "resample":
            names = [item_id, *(f"{item_id}\x1f{draw}" for draw in range(1, RESAMPLE_DRAWS))]
            stand_ins[name] = [study.replacement(part, "resample", width, seed, each) for each in names]
        elif name == "own":
            stand_ins[name] = []
        else:
            stand_ins[name] = [sources.get(name, study).replacement(part, "zero" if name == "zero" else "mean", width)]
    beliefs = {name: source.belief for name, source in sources.items()} | {"none": torch.zeros_like(study.belief)}
    centres = {name: beliefs[name] for name in params.other_centres()}
    return Alternatives(stand_ins, params.stand_ins.layers(lm.n_layers), centres)


def _observation_cost(lm: LM, responses: list[Response], lens: bool, ablated: bool) -> list[float]:
    # A response without a window is only scored. A paraphrase is about as long as its prompt.
    unembedding, costs = cost.unembedding(lm), []
    for response in responses:
        sequence = response.sequence
        costs.append(len(sequence.ids) * (1 + unembedding))
        if not response.exclusion_reason:
            costs[-1] += len(response.item.paraphrases) * len(sequence.ids_before_last)
            costs[-1] += cost.window(lm, len(sequence.predictions), int(ablated), lens)
    return costs


def _length(response: Response) -> int:
    return len(response.sequence.ids)


def _describe(response: Response) -> list:
    """Return everything that decides what is observed of a response."""
    return [response.item.model_dump(), vars(response.sequence), response.finished]


def _digest(reference: Reference) -> str:
    digest = hashlib.sha256()
    for name, part in sorted(vars(reference).items()):
        digest.update(name.encode() + part.numpy().tobytes())
    return digest.hexdigest()


def array_shapes(lm: LM, params: Params, lens: bool, others: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape of each stored array of an item, padded to the largest possible window."""
    layers, parts = lm.n_layers, len(states.PARTS)
    width = params.max_new_tokens if params.window.rule == "full" else params.window.size
    late = len(range(layers + 1)[states.late_layers(layers)])
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("entropy", "entropy_no_sink", "kl"), (layers, width))
    shapes |= {"entropy_heads": (layers, lm.n_heads), "cosine": (params.paraphrase.n, layers + 1)}
    shapes |= dict.fromkeys(("attention_squares", "step_cosine", "step_entropy", "hoyer", "top_energy"), (width,))
    shapes |= {"norm": (2, late, width)} | dict.fromkeys(("step_weighted", "step_mean"), (2, width))
    shapes |= {"part_cosine": (parts, 3, layers), "block_influence": (parts, layers), "chain": (parts, 2, 4)}
    shapes |= {"participation": (parts, layers + 1), "prompt_state": (len(states.PROMPT_DEPTHS), lm.width)}
    if lens:
        shapes |= dict.fromkeys(("jsd", "lens_kl", "lens_probability"), (layers, width))
        shapes |= {"lens_flip": (width,), "lens_entropy": (parts, layers)}
    if others:
        shapes |= dict.fromkeys(map("kl_{}".format, params.other_stand_ins()), (len(params.stand_ins.layers(layers)), width))
        shapes |= dict.fromkeys(map("cosine_{}".format, params.other_centres()), shapes["cosine"])
    return shapes


def _pad(lm: LM, observed: Sequence[dict[str, np.ndarray]], params: Params, lens: bool, others: bool) -> dict[str, np.ndarray]:
    padded = {
        name: np.full((len(observed), *shape), np.nan, np.float16 if name in HALF_PRECISION else np.float32)
        for name, shape in array_shapes(lm, params, lens, others).items()
    }
    for index, arrays in enumerate(observed):
        for name, array in arrays.items():
            padded[name][index][tuple(map(slice, array.shape))] = array
    return padded


def _parse_response(lm: LM, item: Item, prompt: list[int], continuation: list[int], params: Params) -> Response:
    finished = bool(continuation) and continuation[-1] in lm.end_tokens
    body = continuation[:-1] if finished else continuation
    text = lm.decode(body)
    answer = answers.find_answer(text, item.answer_kind, finished)
    start, end = answers.find_closing(text, answer, item.closing)
    closing_span = (len(body), len(body))
    if start < end:
        closing_span = (windows.token_at(start, body, lm.decode), windows.token_at(end - 1, body, lm.decode) + 1)
    window = windows.select_window(len(body), closing_span[0], params.window)
    repeated = windows.repeat_share(prompt, body, window.start, window.end)
    correct = math.nan
    if item.answer_kind != "none":
        right = answers.normalise_answer(item.answer, item.answer_kind)
        correct = float(answer is not None and answer.value != "" and answer.value == right)
    return Response(
        item=item,
        sequence=PromptAndContinuation(prompt, body, window.start, window.end),
        text=text,
        answer="" if answer is None else answer.value,
        closing_span=closing_span,
        correct=correct,
        finished=finished,
        exclusion_reason=window.reason or windows.why_repetitive(repeated, params.window),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _row(lm: LM, response: Response, scores: TokenScores) -> dict:
    item, sequence = response.item, response.sequence
    return {
        **item.model_dump(include={"item_id", "dataset", "role", "split", "cluster"}),
        "token_len": len(sequence.prompt),
        "cot_len": response.closing_span[0],
        "steps": math.nan if item.steps is None else item.steps,
        "n_generated": len(sequence.continuation),
        "avg_logprob": scores.continuation,
        "perplexity": math.exp(-scores.continuation),
        "prompt_perplexity": math.exp(-scores.prompt),
        "finished": response.finished,
        "answer": response.answer,
        "correct": response.correct,
        "window_start": len(sequence.prompt) + sequence.start,
        "window_end": len(sequence.prompt) + sequence.end,
        "answer_start": len(sequence.prompt) + response.closing_span[0],
        "answer_end": len(sequence.prompt) + response.closing_span[1],
        "paraphrase_share": _mean(item.paraphrase_shares),
        "body_share": _mean(item.body_shares),
        "moved_share": _mean(item.moved_shares),
        "paraphrase_fluency": _mean(scores.paraphrases) - scores.prompt,
        "paraphrase_reason": item.paraphrase_reason,
        "reason": response.exclusion_reason,
        "template": "chat template" if lm.has_chat_template else "prompt.template",
        "rendered": lm.render(item.prompt),
        "prompt_ids": sequence.prompt,
        "continuation_ids": sequence.continuation,
        "tokens": windows.token_texts(sequence.continuation, lm.decode),
        "token_logprob": scores.log_probs,
        "token_entropy": scores.entropies,
        "text": response.text,
    }
