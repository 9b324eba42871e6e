"""Count what each stage has to do: passes by kind with their FLOPs, as the engine makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wor.config.params import Params
from wor.data import windows
from wor.data.items import Item
from wor.engine.generate import bytes_per_row
from wor.engine.load import Placement
from wor.engine.unembed import LENS_LAYERS
from wor.machine import resources
from wor.machine.memory import memory_budget
from wor.pipeline import graph, selection
from wor.pipeline.observation import RESAMPLE_DRAWS, generation_batch
from wor.plan.shape import Shape

COPY_PROMPT = 40  # tokens of a prompt that asks to copy a text, beside the text: template, frame, instruction


class PlannedItem(Item):
    """An item with the number of tokens of its prompt and of each paraphrase."""

    tokens: int
    paraphrase_tokens: tuple[int, ...]


@dataclass
class Work:
    """What one instance of a stage does.

    flops : by kind of pass (forward, ablate, lens).
    batches : rows, and tokens of the longest prompt, of each generated batch of ``steps`` tokens.
    null_models : null models that it makes and tests. One at a time is in memory beside the model.
    """

    name: str
    steps: int = 0
    items: list[PlannedItem] = field(default_factory=list)
    tokens: int = 0
    flops: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("forward", "ablate", "lens"), 0.0))
    batches: list[tuple[int, int]] = field(default_factory=list)
    null_models: int = 0

    def total(self, shape: Shape) -> float:
        """Return all FLOPs, including generation."""
        per_step = shape.forward(1) + shape.unembedding(1)
        return sum(self.flops.values()) + sum(
            rows * (shape.forward(tokens) + self.steps * per_step) for rows, tokens in self.batches
        )


def count_work(
    params: Params,
    model: str,
    shape: Shape,
    items: Sequence[PlannedItem],
    full_length: Sequence[PlannedItem],
    device: str = "cpu",
) -> list[Work]:
    """Return each stage's work at full continuation length, if it has a ``count_STAGE`` below."""
    works = []
    for stage, grid in graph.model_instances(params, model):
        work = Work(graph.instance_name(stage, grid), params.max_new_tokens)
        counter = _Counter(params, shape, items, full_length, work, generation_batch(device))
        if count := getattr(counter, f"count_{stage}", None):
            count(**{axis: value for axis, value in grid.items() if axis != "model"})
            works.append(counter.work)
    return works


@dataclass
class _Counter:
    params: Params
    shape: Shape
    items: Sequence[PlannedItem]
    full_length: Sequence[PlannedItem]
    work: Work
    batch: int

    def count_reference(self) -> None:
        controls = selection.calibration_controls(self.items)
        both = [*controls, *selection.reference_reasoning(self.items, self.params)]
        self._generate(both)
        self._average(both)
        self._observe(controls, lens=False)
        self._exchange_stand_ins(controls)

    def count_activations(self, dataset: str) -> None:
        items = selection.activations_items(self.items, dataset)
        self._generate(items)
        self._observe(items, lens=True)
        self._exchange_stand_ins(items)

    def count_temperatures(self) -> None:
        items = selection.temperatures_items(self.items, self.params) * len(self.params.robustness.temperatures)
        self._generate(items)
        self._observe(items, lens=False)

    def count_nulls(self) -> None:
        if self.full_length:
            self._generate(self.full_length)
            self._observe(self.full_length, lens=True)
        nulls, null_models = self.params.nulls, selection.null_models(self.params)
        controls = selection.calibration_controls(self.items)[: nulls.calibration]
        reasoning = selection.reference_reasoning(self.items, self.params)[: nulls.calibration]
        items = [*controls, *selection.null_items(self.items, self.params)]
        for ablated in null_models.values():
            self._average([*controls, *reasoning])
            self._observe(items, nulls.lens, ablated, paraphrases=nulls.paraphrases)
            self.work.items += items
        self.work.null_models = len(null_models)

    def count_designs(self) -> None:
        items = selection.designs_items(self.items, self.params)
        length, n, lens = selection.gold_length(self.params), self.params.designs.paraphrases, self.params.designs.lens
        solutions = [item for item in items["gold"] if item.role == "reasoning"]
        self._observe([self._copied(item, self.work.steps) for item in items["own"]], lens)
        self._observe(items["gold"], lens, paraphrases=n, steps=length)
        self._observe([self._copied(item, length) for item in solutions], lens, steps=length)
        self.work.items += [*items["own"], *items["gold"], *solutions]

    def _copied(self, item: PlannedItem, tokens: int) -> PlannedItem:
        """Return an item whose prompt shows a text of so many tokens, and has no paraphrase."""
        return item.model_copy(update={"tokens": tokens + COPY_PROMPT, "paraphrase_tokens": ()})

    def count_heads(self) -> None:
        settings, shape = self.params.heads, self.shape
        plans = sum(1 + settings.random_draws * bool(round(share * shape.layers * shape.heads)) for share in settings.shares)
        ranking_copies = shape.heads * shape.layers * (shape.layers - 1) / 2
        work = {  # layer passes and unembedded tokens, per item
            "calibration": (ranking_copies, settings.span * shape.heads * shape.layers),
            "evaluation": (plans * shape.layers, settings.span * plans),
        }
        for split, items in selection.heads_items(self.items, self.params).items():
            copies, unembedded = work[split]
            for item in items:
                length = item.tokens + settings.span
                self.work.flops["forward"] += shape.forward(length)
                self.work.flops["ablate"] += shape.window(settings.span, length, copies) + shape.unembedding(unembedded)
                self.work.tokens += length
            self.work.items += items

    def _generate(self, items: Sequence[PlannedItem]) -> None:
        lengths = sorted(item.tokens for item in items)
        for start in range(0, len(lengths), self.batch):
            batch = lengths[start : start + self.batch]
            self.work.batches.append((len(batch), batch[-1]))
        self.work.items += items
        self.work.tokens += sum(lengths) + self.work.steps * len(items)

    def _average(self, items: Sequence[PlannedItem]) -> None:
        self.work.flops["forward"] += sum(self.shape.forward(item.tokens + self.work.steps) for item in items)

    def _observe(
        self,
        items: Sequence[PlannedItem],
        lens: bool,
        ablated: bool = True,
        paraphrases: int | None = None,
        steps: int | None = None,
    ) -> None:
        """Count passes over items, each with a continuation of ``steps`` tokens (the work's)."""
        shape, flops = self.shape, self.work.flops
        width = windows.max_window_length(self.params.window, self.work.steps)
        steps = self.work.steps if steps is None else steps
        copies = shape.layers * (shape.layers - 1) / 2  # copies times the layers that each passes
        for item in items:
            length, others = item.tokens + steps, item.paraphrase_tokens[:paraphrases]
            flops["forward"] += shape.forward(length) + shape.unembedding(length)
            flops["forward"] += sum(shape.forward(tokens + steps) + shape.unembedding(tokens) for tokens in others)
            if ablated:
                flops["ablate"] += shape.window(width, length, copies) + shape.unembedding(width * shape.layers)
            if lens:
                flops["lens"] += shape.unembedding(width * shape.layers)
            self.work.tokens += sum(others) + length

    def _exchange_stand_ins(self, items: Sequence[PlannedItem]) -> None:
        params, shape = self.params, self.shape
        layers = params.stand_ins.layers(shape.layers)
        width = windows.max_window_length(params.window, self.work.steps)
        passes = sum(RESAMPLE_DRAWS if name == "resample" else 1 for name in params.other_stand_ins())
        copies = sum(shape.layers - 1 - layer for layer in layers)
        for item in items[: params.stand_ins.n]:
            window = shape.window(width, item.tokens + self.work.steps, copies) + shape.unembedding(width * len(layers))
            self.work.flops["ablate"] += passes * window


def peak_memory(work: Work, shape: Shape, placement: Placement, params: Params) -> int:
    """Return a stage's peak bytes: libraries, weights, largest batch in budget, parallel logits."""
    size = resources.weights_in_memory(1, placement.dtype)
    budget, _ = memory_budget(params.compute.memory_gib, placement.device)
    batch = max((rows * bytes_per_row(shape.config, tokens + work.steps, size) for rows, tokens in work.batches), default=0)
    width = windows.max_window_length(params.window, params.max_new_tokens)
    logits = 3 * LENS_LAYERS * width * shape.config.vocab_size * size  # with their exponentials and products
    weights = resources.weights_in_memory(shape.n_params, placement.dtype, min(1, work.null_models))
    return resources.LIBRARIES + weights + min(batch, budget) + placement.threads * logits
