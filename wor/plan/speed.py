"""How fast this machine does each kind of pass: the engine itself, on a model of the shape with random weights."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM

from wor.engine import ablate, attention, selftest, unembed
from wor.engine.capture import Span, beliefs, capture
from wor.engine.generate import generate
from wor.engine.load import Placement
from wor.engine.model import LM
from wor.engine.parallel import map_items
from wor.machine.memory import memory_budget
from wor.pipeline.observation import GENERATION_BATCH
from wor.plan.shape import Shape, shape_from_config
from wor.plan.work import Work
from wor.weights.families import first_layers

MOST_PARAMS = 150e6  # of the model that is timed: a larger one's layers are alike, so some of them will do
READ = 0.3e9  # bytes of weights a second that a stage hashes, reads and places
PROMPT, ROWS = 24, (8, 48)  # of the timed decoding steps


@dataclass(frozen=True)
class Speed:
    """``rates`` in FLOP/s by kind of pass; ``decode`` gives seconds of a step of so many rows; ``start`` seconds of a stage
    that runs a model, before its first pass."""

    rates: dict[str, float]
    decode: Callable[[int], float]
    start: float

    def __str__(self) -> str:
        rates = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in self.rates.items())
        step = f"{1000 * self.decode(ROWS[1]):.0f} ms a decoding step of {ROWS[1]} rows"
        return f"{rates} GFLOP/s; {step}; {self.start:.0f} s to start a stage"

    def seconds(self, work: Work, shape: Shape) -> float:
        passes = sum(flops / self.rates[kind] for kind, flops in work.flops.items() if flops)
        spoken = sum(
            rows * shape.forward(tokens) / self.rates["forward"] + work.steps * self.decode(rows) for rows, tokens in work.batches
        )
        return self.start + passes + spoken


def import_seconds() -> float:
    """Seconds until a stage's process has its libraries."""
    began = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import gc; gc.disable(); import wor.pipeline.session, wor.pipeline.observation, wor.pipeline.stage",
        ],
        check=True,
    )
    return time.perf_counter() - began


def measure_speed(shape: Shape, placement: Placement, imported: float, tokens: int, width: int, seconds: float) -> Speed:
    """Time each kind of pass on items of ``tokens`` with a window of ``width``, for some ``seconds`` in all.

    Medians, as a machine is never alone. Weights are random: no time depends on them.
    """
    began = time.perf_counter()
    lm = _model(shape, placement)
    checked = _timed(lambda: selftest.run_selftest(lm))
    own, window = shape_from_config(lm.hf.config), Span(tokens - width, tokens)
    ids = [(7 * place + 11) % lm.unembed.weight.shape[0] for place in range(tokens)]
    clean = capture(lm, ids, window, scored_from=1)
    others = [ids[::-1]] * 3  # which begin otherwise: no part of them is shared
    stand_in = torch.zeros(lm.n_layers, lm.width)
    forward, ahead = own.forward(tokens), own.unembedding(tokens)
    copies = own.layers * (own.layers - 1) / 2
    items = range(placement.threads)  # as many as a stage has in work
    timed = {
        "forward": (
            4 * forward + ahead,
            lambda lm, _: (capture(lm, ids, window, scored_from=1), beliefs(lm, clean, others, [window] * 3)),
        ),
        "ablate": (
            own.window(width, tokens, copies) + own.unembedding(width * own.layers),
            lambda lm, _: ablate.layer_kl(lm, clean, "mlp", stand_in),
        ),
        "lens": (
            own.unembedding(width * own.layers),
            lambda lm, _: unembed.logit_lens_jsd(lm, clean.hidden[1:], clean.hidden[-1]),
        ),
    }
    found: dict[str, list[float]] = {kind: [] for kind in timed}
    steps: dict[int, list[float]] = {rows: [] for rows in ROWS}
    while not found["forward"] or time.perf_counter() - began < seconds:
        for kind, (flops, work) in timed.items():
            found[kind].append(len(items) * flops / _timed(lambda work=work: map_items(lm, work, items, lambda: None)))
        for rows in ROWS:
            steps[rows].append(_step(lm, rows))
    scale = (shape.layers * shape.layer + shape.head) / (own.layers * own.layer + own.head)
    few, many = (scale * statistics.median(steps[rows]) for rows in ROWS)
    a_row = (many - few) / (ROWS[1] - ROWS[0])
    weights = shape.n_params * torch.finfo(lm.dtype).bits / 8
    return Speed(
        rates={kind: statistics.median(rates) for kind, rates in found.items()},
        decode=lambda rows: max(few + a_row * (rows - ROWS[0]), few * rows / ROWS[0] / 2),
        start=imported + weights / READ + checked * shape.layers / own.layers,
    )


def _model(shape: Shape, placement: Placement) -> LM:
    fitting = int((MOST_PARAMS - shape.head) / shape.layer)
    config = first_layers(shape.config, max(2, min(shape.layers, fitting)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(config, attn_implementation=attention.NAME)
    hf.generation_config.eos_token_id = config.vocab_size - 1  # not one that random weights would soon draw
    hf = hf.to(device=placement.device, dtype=getattr(torch, placement.dtype))
    return LM(hf, None, *memory_budget(0, placement.device))


def _step(lm: LM, rows: int) -> float:
    """Seconds of a decoding step: a long generation less a short one."""
    prompts, names = [[(row + place) % 97 for place in range(PROMPT)] for row in range(rows)], [str(row) for row in range(rows)]

    def spoken(tokens: int) -> float:
        warm = [0.2] * rows
        return _timed(
            lambda: generate(lm, prompts, names, temperatures=warm, max_new_tokens=tokens, seed=0, most=GENERATION_BATCH)
        )

    return max(spoken(7) - spoken(1), 1e-4) / 6


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
