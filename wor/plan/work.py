"""How much each stage has to do: passes by kind, with their FLOPs, counted as the engine makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from wor.config.params import Params
from wor.data import windows
from wor.engine.generate import bytes_per_row
from wor.engine.load import Placement
from wor.engine.unembed import LENS_LAYERS
from wor.machine import resources
from wor.machine.memory import memory_budget
from wor.pipeline.observation import GENERATION_BATCH
from wor.plan.shape import Shape


@dataclass(frozen=True)
class PlannedItem:
    """An item as far as planning goes: tokens of its prompt, and of each paraphrase."""

    role: str
    split: str
    dataset: str
    tokens: int
    paraphrases: tuple[int, ...]

    @property
    def calibrates(self) -> bool:
        return self.role == "control" and self.split == "calibration"


@dataclass
class Work:
    """What a stage does with one model.

    flops : by kind of pass: forward, ablate, lens. batches : (rows, tokens of the longest prompt) of each
    generated batch, of ``steps`` tokens.
    """

    name: str
    items: int = 0
    tokens: int = 0
    flops: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("forward", "ablate", "lens"), 0.0))
    batches: list[tuple[int, int]] = field(default_factory=list)
    steps: int = 0
    twins: int = 0

    def total(self, shape: Shape) -> float:
        """All its FLOPs, generation too."""
        a_step = shape.forward(1) + shape.unembedding(1)
        return sum(self.flops.values()) + sum(
            rows * (shape.forward(tokens) + self.steps * a_step) for rows, tokens in self.batches
        )


def count_work(params: Params, shape: Shape, items: Sequence[PlannedItem], literal: Sequence[PlannedItem]) -> list[Work]:
    """The stages that run a model of this shape, in their order. Continuations are counted at their full length."""
    controls = [item for item in items if item.calibrates]
    scored = {name: [item for item in items if item.dataset == name and not item.calibrates] for name in params.datasets}
    count = _Counter(params, shape)
    subset = [item for of in scored.values() for item in of[: params.robustness.n]] * len(params.robustness.temperatures)
    with count.stage("reference"):
        count.ask(controls)
        count.average(controls)
        count.observe(controls, lens=False)
    for name, of_dataset in scored.items():
        with count.stage(f"activations {name}"):
            count.ask(of_dataset)
            count.observe(of_dataset, lens=True)
    with count.stage("temperatures"):
        count.ask(subset)
        count.observe(subset, lens=False)
    with count.stage("nulls"):
        count.nulls(literal, controls, scored)
    with count.stage("heads"):
        count.heads(items)
    return count.works


class _Counter:
    def __init__(self, params: Params, shape: Shape):
        self.params, self.shape, self.works = params, shape, []
        self.room = params.max_new_tokens
        self.width = windows.max_window_length(params.window, self.room)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is counted inside is this stage's."""
        self.work = Work(name, steps=self.room)
        yield
        self.works.append(self.work)

    def ask(self, items: Sequence[PlannedItem]) -> None:
        lengths = sorted(item.tokens for item in items)
        for first in range(0, len(lengths), GENERATION_BATCH):
            part = lengths[first : first + GENERATION_BATCH]
            self.work.batches.append((len(part), part[-1]))
        self.work.items += len(items)
        self.work.tokens += sum(lengths) + self.room * len(items)

    def average(self, items: Sequence[PlannedItem]) -> None:
        self._add("forward", sum(self.shape.forward(item.tokens + self.room) for item in items))

    def observe(self, items: Sequence[PlannedItem], lens: bool, paraphrases: int | None = None) -> None:
        shape, width = self.shape, self.width
        for item in items:
            length = item.tokens + self.room
            self._add("forward", shape.forward(length) + shape.unembedding(length))
            for tokens in item.paraphrases[:paraphrases]:
                self._add("forward", shape.forward(tokens + self.room))
            copies = shape.layers * (shape.layers - 1) / 2  # copies times the layers that each passes
            self._add("ablate", shape.window(width, length, copies) + shape.unembedding(width * shape.layers))
            if lens:
                self._add("lens", shape.unembedding(width * shape.layers))
            self.work.tokens += sum(item.paraphrases[:paraphrases]) + length

    def nulls(
        self, literal: Sequence[PlannedItem], controls: Sequence[PlannedItem], scored: dict[str, list[PlannedItem]]
    ) -> None:
        settings = self.params.nulls
        if literal:
            self.ask(literal)
            self.observe(literal, lens=True)
        reading = list(controls[: settings.twin_calibration])
        self.average(reading)
        for role in ("reasoning", "control"):
            reading += [item for of in scored.values() for item in of if item.role == role][: settings.twin_n]
        self.observe(reading, lens=False, paraphrases=1)
        self.work.items += len(reading)
        self.work.twins = 1

    def heads(self, items: Sequence[PlannedItem]) -> None:
        settings, shape = self.params.heads, self.shape
        plans = sum(1 + settings.random_draws * bool(round(share * shape.layers * shape.heads)) for share in settings.shares)
        for split, n in (("calibration", settings.n_rank), ("evaluation", settings.n_test)):
            for role in ("reasoning", "control"):
                chosen = [item for item in items if item.role == role and item.split == split][:n]
                for item in chosen:
                    length = item.tokens + settings.span
                    self._add("forward", shape.forward(length))
                    if split == "calibration":
                        copies = shape.heads * shape.layers * (shape.layers - 1) / 2
                        scored = shape.unembedding(settings.span * shape.heads * shape.layers)
                    else:
                        copies, scored = plans * shape.layers, shape.unembedding(settings.span * plans)
                    self._add("ablate", shape.window(settings.span, length, copies) + scored)
                    self.work.tokens += length
                self.work.items += len(chosen)

    def _add(self, kind: str, flops: float) -> None:
        self.work.flops[kind] += flops


def peak_memory(work: Work, own: Shape, placement: Placement, params: Params) -> int:
    """Return at most how many bytes a stage takes at its peak.

    Libraries, the model's weights and its twins', the largest batch of generation that the budget allows, and the
    logits of the items that are observed in parallel.
    """
    size = resources.weights_in_memory(1, placement.dtype)
    budget, _ = memory_budget(params.compute.memory_gib, placement.device)
    batch = max((rows * bytes_per_row(own.config, tokens + work.steps, size) for rows, tokens in work.batches), default=0)
    width = windows.max_window_length(params.window, params.max_new_tokens)
    logits = 3 * LENS_LAYERS * width * own.config.vocab_size * size  # and as many exponentials and products
    weights = resources.weights_in_memory(own.n_params, placement.dtype, work.twins)
    return resources.LIBRARIES + weights + min(batch, budget) + placement.threads * logits
