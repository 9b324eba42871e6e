"""Measure the engine's speed at each kind of pass, on a random model of the same shape."""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from transformers import AutoModelForCausalLM

from wor.engine import ablate, attention, selftest, unembed
from wor.engine.capture import Span, capture, mean_beliefs
from wor.engine.generate import generate
from wor.engine.load import Placement
from wor.engine.model import LM
from wor.engine.parallel import map_items
from wor.machine.memory import memory_budget
from wor.pipeline.observation import GENERATION_BATCH
from wor.plan.shape import Shape, shape_from_config
from wor.plan.work import Work
from wor.process import commands
from wor.weights.families import first_layers

MAX_PARAMS = 150e6  # of the timed model; of a larger one, only the first layers are timed
READ = 0.3e9  # bytes of weights per second that a stage hashes, reads and places
MAKE = 30e-9  # seconds per weight of a null model, mostly to permute it; measured on one core
PROMPT, ROWS = 24, (8, 48)  # tokens and rows of the timed decoding steps


@dataclass(frozen=True)
class Speed:
    """Speeds of a model on this machine.

    rates : FLOP/s by kind of pass. decode : from the rows of a decoding step to its seconds.
    start : seconds of a stage before its first pass. null_model : seconds to make and test one.
    """

    rates: dict[str, float]
    decode: Callable[[int], float]
    start: float
    null_model: float

    def __str__(self) -> str:
        rates = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in self.rates.items())
        step = f"{1000 * self.decode(ROWS[1]):.0f} ms per decoding step of {ROWS[1]} rows"
        return f"{rates} GFLOP/s; {step}; {self.start:.0f} s to start a stage"

    def seconds(self, work: Work, shape: Shape) -> float:
        passes = sum(flops / self.rates[kind] for kind, flops in work.flops.items() if flops)
        prompt_rate = self.rates["forward"]
        generation = sum(
            rows * shape.forward(tokens) / prompt_rate + work.steps * self.decode(rows) for rows, tokens in work.batches
        )
        return self.start + work.null_models * self.null_model + passes + generation


def import_seconds() -> float:
    """Return the seconds until a stage's process has imported its libraries."""
    code = "import gc; gc.disable(); import wor.pipeline.session, wor.pipeline.observation, wor.pipeline.stage"
    return _seconds_of(lambda: commands.run_captured([sys.executable, "-c", code]))


def measure_speed(shape: Shape, placement: Placement, imported: float, tokens: int, width: int, seconds: float) -> Speed:
    """Time each kind of pass on items of ``tokens`` with windows of ``width``, for ``seconds``.

    Returns medians, as single times are disturbed. Weights are random: no time depends on them.
    """
    began = time.perf_counter()
    lm = _model(shape, placement)
    selftest_seconds = _seconds_of(lambda: selftest.run_selftest(lm))
    timed_shape, window = shape_from_config(lm.hf.config), Span(tokens - width, tokens)
    ids = [(7 * position + 11) % lm.unembed.weight.shape[0] for position in range(tokens)]
    clean = capture(lm, ids, window, scored_from=1)
    paraphrases = [ids[::-1]] * 3  # they share no prefix with the prompt
    replacement = torch.zeros(lm.n_layers, lm.width)
    layers = timed_shape.layers
    copies = layers * (layers - 1) / 2
    items = range(placement.threads)  # as many as a stage processes in parallel
    passes: dict[str, tuple[float, Callable[[LM, int], object]]] = {
        "forward": (
            4 * timed_shape.forward(tokens) + timed_shape.unembedding(tokens),
            lambda lm, _: (capture(lm, ids, window, scored_from=1), mean_beliefs(lm, clean, paraphrases, [window] * 3)),
        ),
        "ablate": (
            timed_shape.window(width, tokens, copies) + timed_shape.unembedding(width * layers),
            lambda lm, _: ablate.layer_kl(lm, clean, "mlp", replacement),
        ),
        "lens": (
            timed_shape.unembedding(width * layers),
            lambda lm, _: unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1]),
        ),
    }
    rates: dict[str, list[float]] = {kind: [] for kind in passes}
    steps: dict[int, list[float]] = {rows: [] for rows in ROWS}
    while not rates["forward"] or time.perf_counter() - began < seconds:
        for kind, (flops, work) in passes.items():
            rates[kind].append(len(items) * flops / _seconds_of(partial(map_items, lm, work, items, lambda: None)))
        for rows in ROWS:
            steps[rows].append(_step_seconds(lm, rows))
    scale = (shape.layers * shape.layer + shape.head) / (layers * timed_shape.layer + timed_shape.head)
    few, many = (scale * statistics.median(steps[rows]) for rows in ROWS)
    per_row = (many - few) / (ROWS[1] - ROWS[0])
    selftest_seconds *= shape.layers / layers
    weights = shape.n_params * torch.finfo(lm.dtype).bits / 8
    return Speed(
        rates={kind: statistics.median(values) for kind, values in rates.items()},
        decode=lambda rows: max(few + per_row * (rows - ROWS[0]), few * rows / ROWS[0] / 2),
        start=imported + weights / READ + selftest_seconds,
        null_model=MAKE * shape.n_params + selftest_seconds,
    )


def _model(shape: Shape, placement: Placement) -> LM:
    n_layers = int((MAX_PARAMS - shape.head) / shape.layer)
    config = first_layers(shape.config, max(2, min(shape.layers, n_layers)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(config, attn_implementation=attention.NAME)
    hf.generation_config.eos_token_id = config.vocab_size - 1  # one that random weights are unlikely to sample
    hf = hf.to(device=placement.device, dtype=getattr(torch, placement.dtype))
    return LM(hf, None, *memory_budget(0, placement.device))


def _step_seconds(lm: LM, rows: int) -> float:
    """Return the seconds of a decoding step, as the difference of a long and a short generation."""
    prompts = [[(row + position) % 97 for position in range(PROMPT)] for row in range(rows)]
    temperatures, names = [0.2] * rows, list(map(str, range(rows)))
    generate_rows = partial(generate, lm, prompts, names, temperatures=temperatures, seed=0, max_batch_size=GENERATION_BATCH)
    return (
        max(_seconds_of(partial(generate_rows, max_new_tokens=7)) - _seconds_of(partial(generate_rows, max_new_tokens=1)), 1e-4)
        / 6
    )


def _seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
