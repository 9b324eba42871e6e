"""Check and time the engine on one accelerator: python -m benchmarks.gpu [--weights FOLDER]

It needs torch, transformers, numpy, safetensors and this repository, takes under 8 minutes, and
writes benchmarks/GPU.md. Speeds are of random weights in the shapes of the three SmolLM models. The
comparison with the CPU takes the model in FOLDER, or else random weights.

    python -m benchmarks.gpu --count      counts the full study's work anew (a whole installation)
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from transformers import LlamaConfig

from wor.engine.generate import generate
from wor.engine.load import Placement, load
from wor.engine.model import LM
from wor.engine.observe import Observed, PromptAndContinuation, observe_together
from wor.engine.parallel import deal, in_order, map_items
from wor.plan import speed
from wor.plan.shape import Shape, shape_from_config

HERE = Path(__file__).parent
RESULTS, WORK = HERE / "GPU.md", HERE / "full_study.json"
PROMPT, NEW, WINDOW = 120, 64, 32  # tokens of an item
SECONDS = 15.0  # of measuring each model in each dtype
COMPARED = 16  # items that CPU and device both observe
DTYPES = ("float32", "bfloat16")
HEAD = """# The engine on a GPU

Made by `python -m benchmarks.gpu`. An item has a prompt of 120 tokens, 64 new ones, a window of 32
and 3 paraphrases, and shares its passes with 15 others.
"""


def random_prompts(lm: LM, count: int) -> list[list[int]]:
    generator, vocabulary = np.random.default_rng(0), lm.unembed.weight.shape[0]
    return generator.integers(5, vocabulary - 1, (count, PROMPT)).tolist()


def compared_models(folder: Path | None, device: str, config: LlamaConfig) -> Iterator[tuple[str, LM]]:
    """Yield the same model on the CPU, and on the device in both dtypes, by name."""
    for place, dtype in (("cpu", "float32"), *((device, dtype) for dtype in DTYPES)):
        placement = Placement(place, dtype, "", torch.get_num_threads())
        if folder:
            yield f"{place}, {dtype}", load(folder, placement)
        else:
            lm = speed.random_model(config, Placement("cpu", "float32", "", 1))  # a device draws other weights
            yield f"{place}, {dtype}", LM(lm.hf.to(device=place, dtype=getattr(torch, dtype)))


def real_prompts(lm: LM, count: int) -> list[list[int]]:
    """Return prompts of PROMPT tokens: consecutive parts of this repository's pages."""
    ids = lm.encode("\n".join(path.read_text(encoding="utf-8") for path in sorted((HERE.parent / "docs").glob("*.md"))))
    return [ids[start : start + PROMPT] for start in range(0, count * PROMPT, PROMPT)]


def compare(folder: Path | None, device: str, config: LlamaConfig, count: int = COMPARED) -> list[tuple[str, ...]]:
    """Return rows of how far each array on the device is from the CPU's, over the same items."""
    expected: dict[str, np.ndarray] = {}
    responses: list[list[int]] = []
    items: list[Observed] = []
    rows: list[tuple[str, ...]] = []
    for name, lm in compared_models(folder, device, config):
        prompts = real_prompts(lm, count) if folder else random_prompts(lm, count)
        names, temperatures = [str(index) for index in range(count)], [0.6] * count
        generated = generate(lm, prompts, names, temperatures=temperatures, max_new_tokens=NEW, seed=0)
        if not items:
            responses = generated
            whole = [(prompt, ids) for prompt, ids in zip(prompts, generated, strict=True) if len(ids) >= WINDOW]
            zero = torch.zeros(lm.n_layers, lm.width)
            for index, (prompt, ids) in enumerate(whole):
                sequence, other = PromptAndContinuation(prompt, ids, len(ids) - WINDOW, len(ids)), whole[index - 1][0]
                items.append(Observed(sequence, [prompt[:20] + other[20:40] + prompt[40:]], zero))
        arrays = observe_items(lm, items)
        same = sum(left == right for left, right in zip(responses, generated, strict=True))
        rows.append((name, "texts drawn", f"{same} of {count} the same", "", ""))
        for array, values in arrays.items():
            known = expected.setdefault(array, values)
            if known is not values:
                apart = np.abs(values - known)[np.isfinite(known)]
                spread = float(np.nanstd(known))
                rows.append((name, array, f"{np.median(apart):.1g}", f"{apart.max():.1g}", f"{spread:.2g}"))
    return rows


def observe_items(lm: LM, items: Sequence[Observed]) -> dict[str, np.ndarray]:
    """Return each array of all items, stacked. Each item has all its arrays."""
    belief = torch.zeros(lm.n_layers + 1, lm.width)
    groups = deal(lm, [item.kind() for item in items])

    def observe_group(lm: LM, group: list[int]) -> list[dict[str, np.ndarray]]:
        return [arrays for arrays, _ in observe_together(lm, [items[index] for index in group], "mlp", belief, lens=True)]

    observed = in_order(groups, map_items(lm, observe_group, groups, lambda: None))
    return {name: np.stack([arrays[name] for arrays in observed]) for name in observed[0]}


def count_work() -> dict[str, dict]:
    """Return the work of the full study by model. Needs a whole installation."""
    from wor.config import overrides
    from wor.pipeline import validation
    from wor.plan import entries, work
    from wor.weights import families

    params, counted = validation.check_run(overrides.load_profile("full")), {}
    for model in params.models:
        config = families.known_config(params.model_specs[model].repo)
        shape = shape_from_config(config)
        items, literal = entries.planned_items(params, None, entries.token_counter(params, model, []))
        works = work.count_work(params, model, shape, items, literal, "cuda")
        counted[params.model_specs[model].label] = {
            "sizes": {name: getattr(config, name) for name in families.SIZES},
            "stages": [
                {"flops": part.flops, "batches": part.batches, "steps": part.steps, "null_models": part.null_models}
                for part in works
            ],
            "total": sum(part.total(shape) for part in works),
        }
    return counted


def config_of(sizes: dict[str, int]) -> LlamaConfig:
    return LlamaConfig(
        **sizes, vocab_size=49152, tie_word_embeddings=True, max_position_embeddings=2048, architectures=["LlamaForCausalLM"]
    )


def table(*rows: Sequence[str]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"no GPU: {device}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a folder of weights, for the comparison with the CPU")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of measuring each model in each dtype")
    parser.add_argument("--work", type=Path, default=WORK, help="the counted work, with the models' sizes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--count", action="store_true", help="count the full study's work, and measure nothing")
    given = parser.parse_args(arguments)
    if given.count:
        given.work.write_text(json.dumps(count_work()) + "\n", encoding="utf-8")
        return
    began, models = time.perf_counter(), json.loads(given.work.read_text(encoding="utf-8"))
    kinds = next(iter(models.values()))["stages"][0]["flops"]
    head = ("model", "dtype", *(f"{kind}, TFLOP/s" for kind in kinds), "decoding step, ms (rows)", "peak, GiB")
    rows, totals = [(*head, "PFLOP", "hours", "TFLOP/s over all")], {}
    for label, work in models.items():
        for dtype in DTYPES:
            placement = Placement(given.device, dtype, "", torch.get_num_threads())
            shape = shape_from_config(config_of(work["sizes"]))
            measured, peak = measure(shape, placement, given.seconds)
            parts = (SimpleNamespace(**part) for part in work["stages"])
            hours = sum(measured.seconds(part, shape) for part in parts) / 3600
            total = totals.setdefault(dtype, [0.0, 0.0])
            total[0], total[1] = total[0] + work["total"], total[1] + hours
            rates = (f"{measured.rates[kind] / 1e12:.3g}" for kind in kinds)
            steps = "; ".join(f"{1000 * seconds:.3g} ({count})" for count, seconds in measured.steps.items())
            rows.append((label, dtype, *rates, steps, f"{peak / 2**30:.1f}", *over_all(work["total"], hours)))
            print(rows[-1], flush=True)
    rows += [("**all**", dtype, *[""] * (len(head) - 2), *over_all(*total)) for dtype, total in totals.items()]
    differences = [("where", "array", "median difference", "largest", "its spread")]
    differences += compare(given.weights, given.device, config_of(next(iter(models.values()))["sizes"]))
    origin = f"the model in `{given.weights.name}`" if given.weights else "random weights"
    parts = [
        HEAD,
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {device_name(given.device)}, torch {torch.__version__}, in "
        f"{time.perf_counter() - began:.0f} s. Each model passed the self-test in both dtypes.",
        "## Speed, and the full study",
        table(*rows),
        "The rates are those that `wor plan` measures: clean passes and paraphrases, ablations, the lens. Hours are of the "
        "passes, generation and null models that it counts for `profiles/full.yaml`, without the starts of stages.",
        "## Against the CPU",
        f"{COMPARED} items of {origin}. Differences are from float32 on the CPU, in each array's units.",
        table(*differences),
    ]
    given.out.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def measure(shape: Shape, placement: Placement, seconds: float) -> tuple[speed.Speed, int]:
    """Return the speed of random weights, and the bytes at the peak."""
    on_gpu = placement.device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    lm = speed.random_model(shape.config, placement)
    found = speed.measure_speed(lm, placement, 0.0, PROMPT + NEW, WINDOW, seconds)
    return found, torch.cuda.max_memory_allocated() if on_gpu else 0


def over_all(flops: float, hours: float) -> tuple[str, str, str]:
    return f"{flops / 1e15:.3g}", f"{hours:.3g}", f"{flops / hours / 3600 / 1e12:.3g}"


if __name__ == "__main__":
    main()
