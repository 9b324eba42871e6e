"""Probe one prompt, or two: generate, observe and measure them as the study does its items."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wor import paths, storage
from wor.config import overrides
from wor.config.params import Params, is_gguf, parse_params, read_yaml
from wor.data.build import assemble_prompt
from wor.data.items import Item
from wor.data.paraphrase import make_paraphrases
from wor.engine.capture import Span, capture
from wor.engine.model import LM
from wor.engine.reference import MIN_SAMPLES, Reference, pool_summaries, summarise_run
from wor.errors import UserError
from wor.machine.control_groups import available_cores
from wor.machine.libraries import quiet_libraries
from wor.measures import apl, calibration_draws, rev, table
from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.item_arrays import Records, select, with_prediction_entropy
from wor.measures.registry import COMPONENTS, LABELS, MEASURES, PUBLISHED, SCORES
from wor.measures.table import Calibration
from wor.pipeline import observation
from wor.pipeline.observation import Response
from wor.pipeline.progress import Log
from wor.pipeline.session import Session, start_session
from wor.weights import folders, identity_card

# On these and on the model depends what calibration controls are compared by.
CONTROL_SETTINGS = ("prompt", "paraphrase", "max_new_tokens", "window", "ablation")
REFERENCE_ARRAYS = {"kl", "cosine"}  # replaced, or centred, by means of the reference
REQUIRED_ARRAYS = {measure.name: measure.required_arrays for measure in (*PUBLISHED, *MEASURES)}
COVARIATES = (*WINDOW_COVARIATES, "perplexity", "prompt_perplexity", "token_len", "n_generated")


@dataclass(frozen=True)
class Controls:
    """The calibration controls of a run.

    ``scores`` is the table of `calibration_draws.measure_left_out`, and ``effect``, which is
    `apl.mean_log_effect`.
    """

    reference: Reference
    calibration: Calibration
    scores: pd.DataFrame


@dataclass(frozen=True)
class ProbedPrompt:
    """A prompt, what the model made of it, and its scores.

    record, arrays : as stage activations stores them, of this item. An array keeps its first axis.
    measured : every measure and covariate, as stage metrics has them, and ``effect``.
    scores : a row per measure and covariate, by name: value or reason; mean, sd and n of the
    controls; the value's z-score and percentile (mid-rank, 0 to 100) among them.
    """

    item: Item
    record: pd.Series
    arrays: dict[str, np.ndarray]
    measured: pd.Series
    scores: pd.DataFrame

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """Token, logprob, entropy (nats) of its prediction, and in_window, by generated token."""
        record, names = self.record, ("tokens", "token_logprob", "token_entropy")
        frame = pd.DataFrame({name.removeprefix("token_"): record[name] for name in names})
        start, end = (record[name] - record["token_len"] for name in ("window_start", "window_end"))
        return frame.rename(columns={"tokens": "token"}).assign(in_window=(frame.index >= start) & (frame.index < end))


@dataclass(frozen=True)
class Probe:
    """One prompt, or two to compare, probed with one model.

    ``why_alone`` says why there are no controls to compare with. A layer's stand-in is then the
    mean over the prompt's own window.
    """

    model: str
    params: Params
    prompts: Sequence[ProbedPrompt]
    controls: Controls | None
    why_alone: str

    @property
    def label(self) -> str:
        return self.params.model_specs[self.model].label

    @property
    def scores(self) -> pd.DataFrame:
        """The prompt's scores. Of two: ``a``, ``b``, ``difference`` (b - a), and the controls."""
        first, *others = (prompt.scores for prompt in self.prompts)
        if not others:
            return first
        a, b = first["value"], others[0]["value"]
        return pd.DataFrame({"a": a, "b": b, "difference": b - a}).join(first.filter(like="control_"))

    def as_dict(self) -> dict:
        """Return the probe as plain values for JSON. A missing value is NaN with its reason."""
        prompts = [
            {
                "prompt": prompt.item.prompt,
                "item_id": prompt.item.item_id,
                "continuation": prompt.record["text"],
                "paraphrases": prompt.item.paraphrases,
                "tokens": prompt.tokens.to_dict("records"),
                "scores": prompt.scores.to_dict("index"),
            }
            for prompt in self.prompts
        ]
        settings = self.params.model_dump(mode="json", include={"seed", "temperature", "max_new_tokens", "window", "ablation"})
        stand_in = self.params.ablation.stand_in_name if self.controls else "own"
        difference = {} if len(prompts) == 1 else {"difference": self.scores["difference"].to_dict()}
        about = {"model": self.model, "label": self.label, "settings": settings, "stand_in": stand_in}
        return {**about, "why_no_controls": self.why_alone, "prompts": prompts, **difference}


class _QuietLog(Log):
    """Show progress on a terminal, and no lines."""

    def info(self, text: str) -> None:
        self.lines.append(text)


def probe(text: str, against: str | None = None, model: str = "", changes: dict[str, object] | None = None) -> Probe:
    """Generate a continuation of ``text``, and of ``against``, and score it by every measure.

    Prompt, sampling and window are those of the study in the current folder, with ``changes`` of
    its parameters by dotted key. The sampling noise is keyed by the prompt, so that the same prompt
    gives the same numbers. ``model`` is a name of model_specs, by default the study's first.

    Raises UserError for an empty text, an unknown model, or a prompt longer than the context.
    """
    texts = {"text": text} | ({} if against is None else {"against": against})
    for key, value in texts.items():
        if not value.strip():
            raise UserError(key, repr(value), "Give the text of a prompt")
    values = overrides.merge_overrides(changes or {})
    params = parse_params(values, paths.PARAMS)
    model = model or params.models[0]
    if model not in params.model_specs:
        raise UserError("model", repr(model), f"model_specs has {', '.join(params.model_specs)}")
    why_alone = why_no_controls(values, model)
    controls = None if why_alone else read_controls(params, model)
    # One prompt is no faster on two threads, and far slower beside another program.
    threads = params.compute.threads or min(len(texts), available_cores())
    changed: dict[str, object] = {"compute": params.compute.model_copy(update={"backend": "local", "threads": threads})}
    if why_alone:
        changed["ablation"] = params.ablation.model_copy(update={"stand_in": "mean"})
    params = params.model_copy(update=changed)
    run = _start(params, model, is_known=not why_alone)
    try:
        items = [make_item(value, params) for value in texts.values()]
        for key, item in zip(texts, items, strict=True):
            for prompt in (item.prompt, *item.paraphrases):
                run.lm.encode_prompt(prompt, params.max_new_tokens, key)
        return Probe(model, params, probe_items(run, items, controls), controls, why_alone)
    finally:
        run.finish()


def _start(params: Params, model: str, is_known: bool) -> Session:
    """Start a session with the run's model, or with the one that stage models would record."""
    log, spec = _QuietLog("probe"), params.model_specs[model]
    quiet_libraries()
    if is_known and paths.card(model).is_file():
        return start_session(params, model, log)
    if (spec.source != "local" or is_gguf(spec)) and folders.find_folder(spec) is None:
        log.console.print(f"{model}: fetching or converting the weights, once. This may take a minute", soft_wrap=True)
    return start_session(params, model, log, identity_card.make_card(spec, log.info))


def why_no_controls(values: dict, model: str) -> str:
    """Return why the calibration controls of this folder can't be compared with; empty if they can.

    ``values`` are the parameters as plain values. The run's own stand in dvc.lock.
    """
    if not (paths.REFERENCE / model / storage.ARRAYS).is_file():
        return f"no run of {model} is here to compare with. Make one with: wor run"
    stages = read_yaml(paths.LOCK)["stages"] if paths.LOCK.is_file() else {}
    recorded: dict[str, object] = {}
    for stage in (f"models@{model}", "ids", f"reference@{model}"):
        recorded |= stages.get(stage, {}).get("params", {}).get(str(paths.PARAMS), {})
    before, now = (dict(overrides.flatten(entries)) for entries in (recorded, values))
    compared = tuple(f"{name}." for name in (*CONTROL_SETTINGS, f"model_specs.{model}"))
    differing = [key for key in before if f"{key}.".startswith(compared) and now.get(key) != before[key]]
    if differing:
        return f"the run that is here has another {', '.join(differing)}. Make one with these settings: wor run"
    return ""


def read_controls(params: Params, model: str) -> Controls:
    """Return the calibration controls that stage reference observed, scored as in stage metrics."""
    folder = paths.REFERENCE / model
    records = with_prediction_entropy(storage.read_records(folder))
    calibration = table.calibrate(*records, params)
    scores = calibration_draws.measure_left_out(records, calibration, params)
    return Controls(observation.read_reference(folder, params), calibration, scores.assign(effect=_effects(records[1])))


def _effects(arrays: dict[str, np.ndarray]) -> list[float]:
    return [apl.mean_log_effect(effects) for effects in apl.layer_effects(arrays["kl"])]


def make_item(text: str, params: Params) -> Item:
    """Return a text as an item of the study, with its opening, and paraphrases.

    An opening or a dataset's instruction that the text has already is taken as such. The ID depends
    on the prompt alone, and so does the noise that the continuation is sampled with.
    """
    frames = params.prompt.frames
    text = text.strip()
    endings = {spec.instruction: spec.closing for spec in params.dataset_specs.values() if spec.instruction}
    instruction = next((ending for ending in endings if text.endswith(ending) and text != ending), "")
    closing = endings.get(instruction, "")
    body = text.removesuffix(instruction).removeprefix(frames[0]).strip() or text

    def assemble(frame: str, body: str) -> str:
        return assemble_prompt(frame, body, instruction)

    prompt = assemble(frames[0], body)
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    paraphrases, reason = make_paraphrases(digest, body, frames, assemble, params.paraphrase)
    return Item(
        item_id=f"probe/{digest[:12]}",
        dataset="probe",
        role="control",
        split="evaluation",
        cluster=digest,
        sha256=digest,
        prompt=prompt,
        paraphrases=[paraphrase.text for paraphrase in paraphrases],
        paraphrase_shares=[paraphrase.share for paraphrase in paraphrases],
        body_shares=[paraphrase.body_share for paraphrase in paraphrases],
        moved_shares=[paraphrase.moved_share for paraphrase in paraphrases],
        paraphrase_reason=reason,
        answer="",
        answer_kind="none",
        gold="",
        closing=closing,
    )


def probe_items(run: Session, items: Sequence[Item], controls: Controls | None) -> list[ProbedPrompt]:
    """Generate, observe and measure items, with the reference and the calibration of controls.

    Without them each item is its own reference, and no measure that needs another has a value.
    """
    responses = observation.generate_responses(run, items, [run.params.temperature] * len(items))
    return [
        _measure(item, records, run.params, controls)
        for item, records in zip(items, _observe(run, responses, controls), strict=True)
    ]


def _observe(run: Session, responses: list[Response], controls: Controls | None) -> Iterator[Records]:
    """Yield the records of each response."""
    if controls:
        frame, arrays = observation.observe_all(run, responses, controls.reference, lens=True)
        yield from (select((frame, arrays), np.array([index])) for index in range(len(frame)))
    else:
        for response in responses:
            yield observation.observe_all(run, [response], _own_reference(run.lm, response), lens=True)


def _own_reference(lm: LM, response: Response) -> Reference:
    """Return the means over the response's own window; over the first token where it has none."""
    sequence = response.sequence
    window = sequence.predictions if len(sequence.predictions) else Span(0, 1)
    summary = summarise_run(capture(lm, sequence.ids, window), MIN_SAMPLES)
    return pool_summaries({name: part[None] for name, part in summary.items()})


def _measure(item: Item, records: Records, params: Params, controls: Controls | None) -> ProbedPrompt:
    """Measure the records of one item."""
    frame, arrays = with_prediction_entropy(records)
    effects = _effects(arrays)
    if controls:
        measured = table.measure_items(frame, arrays, controls.calibration, params)
    else:
        nothing = Calibration(np.full(arrays["kl"].shape[1], np.nan), dict.fromkeys(COMPONENTS, (math.nan, math.nan)), 0)
        undefined = {name: np.full_like(arrays[name], np.nan) for name in REFERENCE_ARRAYS}
        measured = table.measure_items(frame, arrays | undefined, nothing, params)
        arrays["cosine"] = undefined["cosine"]  # a window centred on itself has no direction
    measured = measured.assign(effect=effects).iloc[0]
    rows = {}
    for name in dict.fromkeys([*SCORES, "effect", *REQUIRED_ARRAYS, *COVARIATES]):
        value = float(measured.get(name, math.nan))
        others = controls.scores[name].dropna().to_numpy(float) if controls and name in controls.scores else np.zeros(0)
        mean, deviation = rev.calibration_scale(others)
        known = math.isfinite(value)
        required = REQUIRED_ARRAYS.get(name, ())
        rows[name] = {
            "value": value,
            "reason": "" if known else _why_missing(name, frame.iloc[0], required, arrays, measured, controls),
            "control_mean": mean,
            "control_sd": deviation,
            "control_n": len(others),
            "z": (value - mean) / deviation,
            "percentile": 50 * ((others < value).mean() + (others <= value).mean()) if known and len(others) else math.nan,
        }
    return ProbedPrompt(item, frame.iloc[0], arrays, measured, pd.DataFrame.from_dict(rows, orient="index"))


def _why_missing(
    name: str,
    record: pd.Series,
    required: Sequence[str],
    arrays: dict[str, np.ndarray],
    measured: pd.Series,
    controls: Controls | None,
) -> str:
    """Return why a score of an item has no value."""
    missing = [LABELS[component] for component in COMPONENTS if math.isnan(measured[component])]
    absent = sorted(set(required) - arrays.keys())
    reasons = {
        record["reason"]: bool(record["reason"]),
        f"needs {', '.join(missing)}": name == "rev" and bool(missing),
        f"needs the array {', '.join(absent)}, which is not observed": bool(absent),
        record["paraphrase_reason"]: "cosine" in required and bool(record["paraphrase_reason"]),
        "needs the reference of a run": controls is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "undefined for this window")
