"""Choose the control's instruction and the sampling temperature, on calibration items alone.

Generates responses to controls and reasoning items with a calibration ID under each candidate, and
compares how much they repeat and how long they are. No measure is computed. It runs on one core,
stops after a while, and goes on when it is called again. Each call writes CONTROLS.md of what is
there:

    OMP_NUM_THREADS=1 python -m benchmarks.controls --seconds 150

The rule, set before the first response was read: a candidate passes if controls repeat and loop at
most as much as reasoning does, and are as long. That is, the standardised differences (control
minus reasoning) of `repeat_share` and of the tokens before the closing statement are below 0.25,
the latter in both directions, and the share of loops is at most 5 points higher. Of those that
pass, take the one whose two differences are smallest in size. A temperature other than 0.7, the
example of the documentation, wins a near tie.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np

from benchmarks import inputs
from benchmarks.engine import Report
from wor import paths, storage
from wor.config.params import Params, load_params
from wor.data import answers, build, windows
from wor.data.items import Item
from wor.engine.generate import generate
from wor.engine.load import choose_device, load
from wor.engine.model import LM
from wor.machine.environment import cpu_name
from wor.statistics.matching import IMBALANCED, standardised_difference

FOLDER = paths.cache() / "controls"  # one file per cell, so that a stopped run goes on
OUT = Path(__file__).with_name("CONTROLS.md")
HEAD = """# The control's instruction and the temperature

Responses to calibration items under each candidate, in the default study's prompts and at its
length of response. Made by `python -m benchmarks.controls`, which states the rule of the choice.
"""
READING = """\
At 0.6, "came about" passes with 32 items a class, and the study takes it. The letter repeats as
reasoning does on average, but 3 of 32 loop, against 1 of 32 reasoning items. The story hardly
repeats. Questions, going on and what else is known end early. Retelling repeats most, at 0.6 less
than at 0.2. Candidates were screened on 16 items; with so few, differences of 0.35 are noise.
"""  # revise it when the numbers change
INSTRUCTIONS = {
    "came about": "Describe how this came about and what followed from it, then end with 'That is all'.",
    "own words": "Explain the subject of this passage to a newcomer in your own words, then end with 'That is all'.",
    "letter": "Write a letter to a friend about this subject, then end with 'That is all'.",
    "story": "Write a story that takes place in this setting, then end with 'That is all'.",
    "what else": "Say what else is known of this subject, beyond what the passage says, then end with 'That is all'.",
    "questions": "Write down the questions that this passage leaves open, then end with 'That is all'.",
    "go on": "Go on with this article from where it stops, then end with 'That is all'.",
    "retell": "Go through this passage sentence by sentence and retell each one at length, then end with 'That is all'.",
}
FIRST, OTHERS = 0.6, (0.8, 0.7, 0.5, 1.0, 0.2)  # all candidates at one temperature, then some at others
SHORTLIST = ("letter", "story", "came about")
REASONING = "reasoning"
MORE_LOOPS = 0.05
SCREENED, ALL = 16, 32
FINALISTS = [("came about", 0.6), ("letter", 0.6), ("letter", 0.8), ("story", 0.6)]
SIZES = {"wiki": 96}  # more calibration controls than the default study has, for the finalists


def study(instruction: str = "") -> Params:
    """Return the default study at the trial's sizes, with another instruction for controls."""
    params = load_params()
    specs = dict(params.dataset_specs)
    for name, n in SIZES.items():
        changes = {"n": n} | ({"instruction": instruction} if instruction and specs[name].role == "control" else {})
        specs[name] = specs[name].model_copy(update=changes)
    return params.model_copy(update={"dataset_specs": specs})


def calibration_items(params: Params, role: str, lm: LM) -> list[Item]:
    """Return the items of a role with a calibration ID, prompts built as the study builds them."""
    built = build.build_items(params, lambda text: len(lm.encode(text)))
    return [item for items in built.values() for item in items if item.role == role and item.split == "calibration"]


def cells() -> list[tuple[str, float]]:
    others = [(name, temperature) for temperature, name in itertools.product(OTHERS, (REASONING, *SHORTLIST))]
    return [(name, FIRST) for name in (REASONING, *INSTRUCTIONS)] + others + [("retell", 0.2)]


def path_of(name: str, temperature: float) -> Path:
    return FOLDER / f"{name.replace(' ', '-')}_{temperature:g}.json"


def generate_cell(lm: LM, name: str, temperature: float) -> None:
    """Generate a response to each calibration item that has none, and write all of the cell."""
    params, path = study(INSTRUCTIONS.get(name, "")), path_of(name, temperature)
    done = storage.read_json(path) if path.is_file() else {}
    items = calibration_items(params, "reasoning" if name == REASONING else "control", lm)
    items = [item for item in items[: n_items(name, temperature)] if item.item_id not in done]
    prompts = [lm.encode_prompt(item.prompt, params.max_new_tokens, item.item_id) for item in items]
    names, temperatures = [item.item_id for item in items], [temperature] * len(items)
    limits = {"max_new_tokens": params.max_new_tokens, "max_batch_size": 64}
    continuations = generate(lm, prompts, names, temperatures=temperatures, seed=params.seed, **limits)
    rows = zip(names, prompts, continuations, strict=True)
    storage.write_json(path, done | {item: [prompt, ids] for item, prompt, ids in rows})


def n_items(name: str, temperature: float) -> int:
    """Return how many items a cell takes: all of reasoning and of the finalists, few to screen."""
    return ALL if name == REASONING or (name, temperature) in FINALISTS else SCREENED


def is_missing(name: str, temperature: float) -> bool:
    path = path_of(name, temperature)
    return not path.is_file() or len(storage.read_json(path)) < n_items(name, temperature)


@dataclass(frozen=True)
class Texts:
    """What is compared of one cell's responses: one value each, NaN without a window."""

    repeats: np.ndarray  # repeat_share of the window
    lengths: np.ndarray  # tokens before the closing statement
    closed: np.ndarray

    @property
    def loops(self) -> float:
        """Return the share of windows that the study would leave out."""
        return float((self.repeats > load_params().window.max_repeat).mean())


def read_cell(lm: LM, name: str, temperature: float) -> Texts:
    rows = []
    params = study()
    specs = {dataset: params.spec(dataset) for dataset in params.datasets}
    kinds = {"gsm-symbolic": "number", "syllogism": "yesno", "wiki": "none"}
    for item, (prompt, ids) in storage.read_json(path_of(name, temperature)).items():
        dataset = item.split("/")[0]
        finished = bool(ids) and ids[-1] in lm.end_tokens
        body = ids[:-1] if finished else ids
        text = lm.decode(body)
        answer = answers.find_answer(text, kinds[dataset], finished)
        start, end = answers.find_closing(text, answer, specs[dataset].closing)
        length = windows.token_at(start, body, lm.decode) if start < end else len(body)
        window = windows.select_window(len(body), length, params.window)
        repeats = np.nan if window.reason else windows.repeat_share(prompt, body, window.start, window.end)
        rows.append((repeats, length, finished or length < len(body)))
    return Texts(*np.array(rows, float).T)


def differences(control: Texts, reasoning: Texts) -> tuple[float, float]:
    """Return the standardised differences of repetition and of length, control minus reasoning."""
    pairs = ((control.repeats, reasoning.repeats), (control.lengths, reasoning.lengths))
    repeats, lengths = (standardised_difference(a, b) for a, b in pairs)
    return repeats, lengths


def passes(control: Texts, reasoning: Texts) -> bool:
    repeats, lengths = differences(control, reasoning)
    return repeats < IMBALANCED and abs(lengths) < IMBALANCED and control.loops <= reasoning.loops + MORE_LOOPS


def write_report(lm: LM) -> None:
    report = Report()
    report.add(f"Measured {datetime.now(UTC):%Y-%m-%d} on {cpu_name()}, 1 thread. Model: {load_params().models[0]}, float32.")
    for temperature in sorted((FIRST, *OTHERS)):
        if is_missing(REASONING, temperature):
            continue
        reasoning = read_cell(lm, REASONING, temperature)
        rows = [("T = " + f"{temperature:g}", "n", "repeat_share (sd)", "SMD", "loops", "tokens (sd)", "SMD", "closed", "passes")]
        for name in (REASONING, *INSTRUCTIONS):
            if not path_of(name, temperature).is_file():
                continue
            texts = read_cell(lm, name, temperature)
            repeats, lengths = (f"{value:+.2f}" for value in differences(texts, reasoning))
            mean = f"{np.nanmean(texts.repeats):.2f} ({np.nanstd(texts.repeats, ddof=1):.2f})"
            tokens = f"{texts.lengths.mean():.0f} ({texts.lengths.std(ddof=1):.0f})"
            shares = f"{texts.loops:.0%}", f"{texts.closed.mean():.0%}"
            is_control = name != REASONING
            verdict = ("yes" if passes(texts, reasoning) else "no") if is_control else ""
            smd = (repeats, lengths) if is_control else ("", "")
            rows.append((name, len(texts.lengths), mean, smd[0], shares[0], tokens, smd[1], shares[1], verdict))
        report.table(*rows)
    report.table(("candidate", "instruction"), *((name, text) for name, text in INSTRUCTIONS.items()))
    OUT.write_text("\n".join([HEAD, READING, *report.lines]).rstrip() + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=150.0)
    seconds = parser.parse_args().seconds
    start, last = time.monotonic(), 0.0
    lm = load(inputs.folder(), choose_device("cpu"))
    lm.set_memory(2**31, "the trial's")
    for cell in filter(lambda cell: is_missing(*cell), cells()):
        begun = time.monotonic()
        if begun - start + last > seconds:
            break
        generate_cell(lm, *cell)
        last = time.monotonic() - begun
        print(cell, f"{last:.0f} s", flush=True)
    write_report(lm)
    print(sum(is_missing(*cell) for cell in cells()), "cells left")


if __name__ == "__main__":
    main()
