"""Measure the engine's speed at each kind of pass, on a random model of the same shape."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

from wor.engine import ablate, attention, selftest, states, unembed
from wor.engine.architectures import first_layers
from wor.engine.capture import CleanRun, Span, capture_together, mean_beliefs
from wor.engine.generate import generate
from wor.engine.load import Placement, is_emulated
from wor.engine.model import LM
from wor.engine.parallel import TOGETHER, deal, map_items
from wor.machine.memory import memory_budget
from wor.plan.shape import Shape, shape_from_config
from wor.process import commands

if TYPE_CHECKING:  # benchmarks/gpu.py runs where pydantic is not installed
    from wor.plan.work import Work

MAX_PARAMS = 150e6  # of the model that is timed on a CPU; of a larger one, only the first layers are timed
FEWEST = 2  # layers that are timed
READ = 0.3e9  # bytes of weights per second that a stage hashes, reads and places
MAKE = 30e-9  # seconds per weight of a null model, mostly to permute it; measured on one core
ROUNDS = 2  # of timing, of which the first only warms up
MEASURING = 10.0  # seconds, beside the imports
PROMPT = 4  # tokens before the timed decoding steps
ROWS, DEVICE_ROWS = (8, 48), (64, 512)  # of them, on a CPU and elsewhere


@dataclass(frozen=True)
class Speed:
    """Speeds of this machine, from one timed model. Others take as long as their FLOPs say.

    rates : FLOP/s by kind of pass. steps : seconds of a decoding step by its rows, few and many.
    imported : seconds of a stage until its libraries are there. selftest : of a self-test.
    timed : the shape that was timed.
    """

    rates: dict[str, float]
    steps: dict[int, float]
    imported: float
    selftest: float
    timed: Shape
    bytes_per_weight: int

    def __str__(self) -> str:
        rates = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in self.rates.items())
        rows, seconds = max(self.steps.items())
        step = f"{1000 * seconds:.0f} ms per decoding step of {rows} rows"
        return f"{rates} GFLOP/s; {step}; {self.start(self.timed):.0f} s to start a stage"

    def seconds(self, work: Work, shape: Shape) -> float:
        return sum(self.parts(work, shape).values())

    def parts(self, work: Work, shape: Shape) -> dict[str, float]:
        """Return a stage's seconds: until its first pass, by kind of pass, and for null models."""
        passes = {kind: flops / self.rates[kind] for kind, flops in work.flops.items() if flops}
        prompts = sum(rows * shape.forward(tokens) for rows, tokens in work.batches) / self.rates["forward"]
        return {
            "start": self.start(shape),
            "null models": work.null_models * self.null_model(shape),
            "prompts": prompts,
            "decoding": sum(work.steps * self.decode(rows, shape) for rows, _ in work.batches),
            **passes,
        }

    def decode(self, rows: int, shape: Shape) -> float:
        """Return the seconds of a decoding step, on the line through the two that were timed."""
        (few, first), (many, last) = sorted(self.steps.items())
        step = first + (last - first) * (rows - few) / (many - few)
        return max(step, first * rows / few / 2) * _per_token(shape) / _per_token(self.timed)

    def start(self, shape: Shape) -> float:
        """Return the seconds of a stage before its first pass."""
        return self.imported + shape.n_params * self.bytes_per_weight / READ + self._selftest(shape)

    def null_model(self, shape: Shape) -> float:
        """Return the seconds to make and test a null model."""
        return MAKE * shape.n_params + self._selftest(shape)

    def _selftest(self, shape: Shape) -> float:
        return self.selftest * _per_token(shape) / _per_token(self.timed)


def _per_token(shape: Shape) -> float:
    return shape.layers * shape.layer + shape.head


def import_seconds() -> float:
    """Return the seconds until a stage's process has imported its libraries."""
    code = "import gc; gc.disable(); import wor.pipeline.session, wor.pipeline.observation, wor.pipeline.stage"
    return _seconds_of(lambda: commands.run_captured([sys.executable, "-c", code]))


def measure_speed(lm: LM, placement: Placement, imported: float, tokens: int, width: int, seconds: float = MEASURING) -> Speed:
    """Time each kind of pass on items of ``tokens`` with windows of ``width``, for ``seconds``.

    Each is timed ROUNDS times at least, and as often as the time allows. Returns medians, as single
    times are disturbed, without the first round, which warms up.
    """
    began, on_cpu = time.perf_counter(), placement.device == "cpu"
    timed, window = shape_from_config(lm.hf.config), Span(tokens - width, tokens)
    selftest_seconds = _seconds_of(lambda: selftest.run_selftest(lm))
    ids = [(7 * position + 11) % lm.unembed.weight.shape[0] for position in range(tokens)]
    together = len(deal(lm, [0] * TOGETHER)[0])  # items that share a pass
    paraphrases = [ids[::-1]] * 3 * together  # they share no prefix with the prompt
    mean, copies = torch.zeros(lm.n_layers + 1, lm.width), timed.layers * (timed.layers - 1) / 2

    def capture_items(lm: LM) -> CleanRun:
        return capture_together(lm, [ids] * together, [window] * together, 1, [0] * together)

    def read(lm: LM, _: int) -> None:
        clean = capture_items(lm)
        mean_beliefs(lm, clean, paraphrases, [window] * len(paraphrases), [tokens] * len(paraphrases))
        states.describe_states(lm, clean, mean)

    clean = capture_items(lm)
    passes: dict[str, tuple[float, Callable[[LM, int], object]]] = {
        "forward": (4 * (timed.forward(tokens) + timed.unembedding(tokens)), read),
        "ablate": (
            timed.window(width, tokens, copies) + timed.unembedding(width * timed.layers),
            lambda lm, _: ablate.layer_kl(lm, clean, "mlp", mean[1:]),
        ),
        "lens": (
            timed.unembedding(width * timed.layers),
            lambda lm, _: unembed.logit_lens(lm, clean.hidden[1:], clean.hidden[-1]),
        ),
    }
    items = range(placement.threads if on_cpu else 1)  # as many as a stage processes in parallel
    rates: dict[str, list[float]] = {kind: [] for kind in passes}
    steps: dict[int, list[float]] = {rows: [] for rows in (ROWS if on_cpu else DEVICE_ROWS)}
    while (rounds := len(rates["forward"])) < ROUNDS or (time.perf_counter() - began) * (1 + 1 / rounds) < seconds:
        for kind, (flops, work) in passes.items():
            rates[kind].append(len(items) * together * flops / _seconds_of(partial(map_items, lm, work, items, lambda: None)))
        for rows, values in steps.items():
            values.append(_step_seconds(lm, rows))
    return Speed(
        rates={kind: statistics.median(values[1:]) for kind, values in rates.items()},
        steps={rows: statistics.median(values[1:]) for rows, values in steps.items()},
        imported=imported,
        selftest=selftest_seconds,
        timed=timed,
        bytes_per_weight=torch.finfo(lm.dtype).bits // 8,
    )


def random_model(config: PretrainedConfig, placement: Placement) -> LM:
    """Return a model with random weights, which no time depends on."""
    with torch.random.fork_rng(), torch.device(placement.device):
        torch.manual_seed(0)
        dtype = getattr(torch, placement.dtype)
        hf = AutoModelForCausalLM.from_config(config, attn_implementation=attention.NAME, dtype=dtype)
    hf.generation_config.eos_token_id = config.vocab_size - 1  # one that random weights are unlikely to sample
    return LM(hf, None, *memory_budget(0, placement.device))


def part_to_time(shape: Shape, placement: Placement) -> PretrainedConfig:
    """Return the configuration with as many of its layers as are soon timed."""
    n_layers = int((MAX_PARAMS - shape.head) / shape.layer) if placement.device == "cpu" else shape.layers
    n_layers = FEWEST if is_emulated(placement) else n_layers
    return first_layers(shape.config, max(FEWEST, min(shape.layers, n_layers)))


def _step_seconds(lm: LM, rows: int) -> float:
    """Return the seconds of a decoding step, as the difference of a long and a short generation."""
    prompts = [[(row + position) % 97 for position in range(PROMPT)] for row in range(rows)]
    temperatures, names = [0.2] * rows, list(map(str, range(rows)))
    generate_rows = partial(generate, lm, prompts, names, temperatures=temperatures, seed=0, max_batch_size=rows)
    long, short = (_seconds_of(partial(generate_rows, max_new_tokens=tokens)) for tokens in (7, 1))
    return max(long - short, 1e-4) / 6


def _seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
