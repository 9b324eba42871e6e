"""Compare the engine with other tools in one run: make bench

Prints as it goes and writes benchmarks/RESULTS.md. Every ratio is taken within a round, in which
the tools take turns. The report gives the median over rounds, with the smallest and the largest.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from benchmarks import exactness, inputs, tools
from wor.engine import ablate
from wor.engine.capture import Span, capture, registered_hooks
from wor.engine.generate import generate
from wor.engine.load import has_fast_bfloat16
from wor.engine.model import LM
from wor.machine.environment import cpu_name

LENGTHS = {134: 7, 512: 5, 1024: 3}  # tokens: rounds
LAYERS = (0, 6, 12, 18, 24, 29)  # the loops' passes; their time is scaled to all layers
RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = """# The engine, measured

SmolLM2-135M-Instruct in float32 on running text of Wikipedia articles. All tools use the same
weights, tokens and threads, and take turns within a round. Made by `make bench`.

Other tables: [COST.md](COST.md), the full study, and the default run against the machine's peak;
[LARGE.md](LARGE.md), what comes after the models; [DTYPES.md](DTYPES.md), bfloat16;
[GPU.md](GPU.md). [planning.md](../docs/planning.md) has the cost of a busy neighbour.
"""


def timed(work) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def spread(values: list[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


class Report:
    """One section of RESULTS.md, printed as it grows."""

    def __init__(self):
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        print(line, flush=True)
        self.lines += [line, ""]

    def table(self, *rows: tuple) -> None:
        header, *body = rows
        lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in body]
        self.add("\n".join(lines))


def models() -> tuple:
    """Return the engine's model, with memory for every batch below, and transformers' own."""
    folder = inputs.folder()
    return LM(tools.transformers_model(folder), memory=4 * 2**30), tools.transformers_model(folder)


def parameters(lm: LM) -> tuple[int, int]:
    """Return the number of weights that a token meets, in all layers and in the unembedding."""
    layers = sum(p.numel() for layer in lm.layers for p in layer.block.parameters() if p.ndim == 2)
    return layers, lm.unembed.weight.numel()


def peak() -> float:
    """Return GFLOP/s of float32 matrix products: the best shape, each the median of 9."""
    best = 0.0
    for m, k, n in ((2048, 2048, 2048), (960, 576, 1536), (960, 1536, 576), (512, 576, 2048)):
        a, b = torch.randn(m, k), torch.randn(n, k)
        times = [timed(lambda a=a, b=b: torch.nn.functional.linear(a, b))[0] for _ in range(9)]
        best = max(best, 2e-9 * m * k * n / statistics.median(times))
    return best


def layers_at_once(report: Report) -> None:
    by_tool = {name: tool(inputs.folder()) for name, tool in tools.TOOLS.items()}
    for tool in by_tool.values():  # first passes make buffers
        tool(inputs.text()[:, :64], 32, inputs.replacement(), [0])
    lm, replacement, text = by_tool["engine"].lm, inputs.replacement(), inputs.text()
    layers, head = parameters(lm)
    report.add(
        f"Window of {inputs.WINDOW} tokens. The loops run one full pass per layer. They are timed on a clean pass and "
        f"{len(LAYERS)} of {lm.n_layers} layers, and scaled to all. *Ablation alone* excludes the clean pass on both sides, as "
        "the bound T (layers + head) / W (layers / 2 + head) does. *From tokens* includes it on both. Median of "
        f"{', '.join(f'{rounds} rounds at {length}' for length, rounds in LENGTHS.items())} (smallest to largest). More than "
        "100 % is possible, as the loops, too, run below the machine's peak."
    )
    rows = [
        ("tokens", "against", "ablation alone", "of the bound", "from tokens", "largest relative difference of a layer's mean KL")
    ]
    shares = []
    for length, rounds in LENGTHS.items():
        ids, start = text[:, :length], length - inputs.WINDOW
        bound = length * (layers + head) / (inputs.WINDOW * (layers / 2 + head))
        flops = 2e-9 * inputs.WINDOW * lm.n_layers * (layers / 2 + head)
        ablation = {name: [] for name in by_tool if name != "engine"}
        from_tokens, differences = {name: [] for name in ablation}, dict.fromkeys(ablation, 0.0)
        for _ in range(rounds):
            captured, clean = timed(lambda ids=ids, start=start: capture(lm, ids[0].tolist(), Span(start, ids.shape[1])))
            engine, kl = timed(lambda clean=clean: ablate.layer_kl(lm, clean, "mlp", replacement))
            shares.append((length, flops / engine / peak()))
            for name in ablation:
                seconds, tool_kl = timed(lambda name=name, ids=ids, start=start: by_tool[name](ids, start, replacement, LAYERS))
                per_pass = seconds / (1 + len(LAYERS))
                ablation[name].append(lm.n_layers * per_pass / engine)
                from_tokens[name].append((lm.n_layers + 1) * per_pass / (captured + engine))
                engine_mean, tool_mean = kl[list(LAYERS)].mean(-1), tool_kl.mean(-1)
                difference = ((engine_mean - tool_mean).abs() / tool_mean).max().item()
                differences[name] = max(differences[name], difference)
        for name in ablation:
            share = (
                f"{statistics.median(ablation[name]) / bound:.0%} of {bound:.1f}x" if name != "hook loop, window logits" else ""
            )
            row = (length, name, spread(ablation[name], ".1f") + "x", share, spread(from_tokens[name], ".1f") + "x")
            rows.append((*row, f"{differences[name]:.1e}"))
            print(row, flush=True)
    report.table(*rows)
    report.add("The engine's share of this machine's own matrix-product peak, measured in the same rounds (goal 0.6):")
    report.table(
        ("tokens", "share of peak"),
        *((length, spread([share for tokens, share in shares if tokens == length])) for length in LENGTHS),
    )


def exact(report: Report) -> None:
    report.add(
        f"Largest relative error of KL over 30 layers and {inputs.WINDOW} positions of {exactness.LENGTH} tokens, against the "
        "hook loop on the model in float64. The engine takes the KL from differences of the residual stream, the loops from "
        "differences of log-probabilities, where a small KL drowns."
    )
    errors = exactness.errors(exactness.run())
    report.table(tuple(errors), tuple(f"{error:.1e}" for error in errors.values()))


def heads_at_once(report: Report) -> None:
    lm, hf = models()
    ids, start = inputs.text()[:, :134], 134 - inputs.WINDOW
    heads = 0.1 * torch.randn(lm.n_layers, lm.n_heads, lm.head_dim, generator=torch.Generator().manual_seed(1))
    sample = [(0, 4), (8, 1), (15, 8), (22, 3), (29, 0)]
    ratios, worst = [], 0.0
    for _ in range(3):
        clean = capture(lm, ids[0].tolist(), Span(start, 134))
        engine, kl = timed(lambda clean=clean: ablate.head_kl(lm, clean, heads))

        @torch.inference_mode()
        def plain():
            before, rows = hf(ids, use_cache=False).logits[0, start:], []
            for layer, head in sample:

                def replace(module, args, layer=layer, head=head):
                    out = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
                    out[:, start:, head] = heads[layer, head]
                    return (out.flatten(-2),)

                with registered_hooks((hf.model.layers[layer].self_attn.o_proj.register_forward_pre_hook, replace)):
                    rows.append(tools.kl(before, hf(ids, use_cache=False).logits[0, start:]))
            return rows

        seconds, loop_kl = timed(plain)
        ratios.append(seconds / (1 + len(sample)) * lm.n_layers * lm.n_heads / engine)
        for (layer, head), row in zip(sample, loop_kl, strict=True):
            worst = max(worst, ((kl[layer, head].mean() - row.mean()).abs() / row.mean()).item())
    layers, head = parameters(lm)
    bound = 134 * (layers + head) / (inputs.WINDOW * (layers / 2 + head))
    report.add(
        f"134 tokens, {lm.n_layers * lm.n_heads} heads; the hook loop is timed on {len(sample)} of them and scaled. "
        f"**{spread(ratios, '.1f')}x**, {statistics.median(ratios) / bound:.0%} of the bound of {bound:.1f}x; largest relative "
        f"difference of a head's mean KL {worst:.1e}."
    )


def capturing(report: Report) -> None:
    lm, hf = models()
    rows = [("tokens", "against the forward pass with logits (goal 1.15)", "against the layers alone, no logits")]
    for length in LENGTHS:
        ids, with_logits, without_logits = inputs.text()[:, :length], [], []
        for _ in range(10):
            seconds, _ = timed(lambda ids=ids: capture(lm, ids[0].tolist(), Span(ids.shape[1] - inputs.WINDOW, ids.shape[1])))
            with torch.inference_mode():
                plain, _ = timed(lambda ids=ids: hf(ids, use_cache=False))
                layers, _ = timed(lambda ids=ids: hf.model(ids, use_cache=False))
            with_logits.append(seconds / plain)
            without_logits.append(seconds / layers)
        rows.append((length, spread(with_logits), spread(without_logits)))
    report.table(*rows)


def generating(report: Report) -> None:
    lm, hf = models()
    text = inputs.text()[0].tolist()
    prompts = [text[120 * i : 120 * i + 90 + 7 * (i % 5)] for i in range(192)]
    names, temperatures = [f"item {i}" for i in range(192)], [0.2] * 192
    sample = [0, 40, 80, 120]

    def by_engine(indices, max_batch_size):
        items = [[values[i] for i in indices] for values in (prompts, names, temperatures)]
        return generate(lm, *items[:2], temperatures=items[2], max_new_tokens=64, seed=1, max_batch_size=max_batch_size)

    def by_transformers():
        return [
            hf.generate(torch.tensor([prompts[i]]), max_new_tokens=64, do_sample=False, pad_token_id=0)[0, len(prompts[i]) :]
            for i in sample
        ]

    def rate(work):
        seconds, continuations = timed(work)
        return sum(map(len, continuations)) / seconds

    from_one, from_transformers = [], []
    for first in (0, 64, 128):
        batched = rate(lambda first=first: by_engine(range(first, first + 64), 64))
        from_one.append(batched / rate(lambda: by_engine(sample, 1)))
        from_transformers.append(batched / rate(by_transformers))
    report.add(
        "64 prompts of 90 to 118 tokens in a batch, 64 new tokens, against one at a time (4 prompts): "
        f"**{spread(from_one, '.1f')}x** the tokens a second (goal 8x); against transformers' own greedy `generate`, one at a "
        f"time: {spread(from_transformers, '.1f')}x."
    )
    assert lm.largest_batches == {"generate": 64}
    same = flips = 0
    for large, small in zip(by_engine(range(160), 64), by_engine(range(160), 7), strict=True):
        pairs = enumerate(zip(large, small, strict=False))
        same += next((index for index, (a, b) in pairs if a != b), min(len(large), len(small)))
        flips += large != small
    report.add(
        f"160 of the prompts at temperature 0.2 in batches of 64 and of 7: {flips} of {same + flips} tokens differ where their "
        "context was the same (goal: at most 1 in 10,000)."
    )


def memory(report: Report) -> None:
    report.add("Each tool has its own process. The loops run two passes, the engine all layers at once.")
    rows = [("tokens", *tools.TOOLS)]
    for length in (134, 1024):
        mibs = []
        for tool in tools.TOOLS:
            command = [sys.executable, "-m", "benchmarks.memory", tool, str(length)]
            process = subprocess.run(command, capture_output=True, text=True, check=True)
            mibs.append(json.loads(process.stdout.splitlines()[-1])["mib"])
        rows.append((length, *(f"{mib:.0f} MiB ({mibs[0] / mib:.2f})" for mib in mibs)))
    report.table(*rows)
    report.add("In brackets: the engine's memory divided by the tool's (goal: at most 0.5 of TransformerLens and nnsight).")


def bfloat16(report: Report) -> None:
    if not has_fast_bfloat16("cpu"):
        report.add("Not measured: this CPU multiplies no bfloat16 matrices in hardware, and `compute.dtype: auto` says so.")
    else:
        lms = {dtype: LM(tools.transformers_model(inputs.folder()).to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
        seconds = {dtype: [] for dtype in lms}
        for _ in range(5):
            for dtype, lm in lms.items():
                clean = capture(lm, inputs.text()[0, :134].tolist(), Span(134 - inputs.WINDOW, 134))
                seconds[dtype].append(
                    timed(lambda lm=lm, clean=clean: ablate.layer_kl(lm, clean, "mlp", inputs.replacement()))[0]
                )
        ratios = [half / full for half, full in zip(seconds[torch.bfloat16], seconds[torch.float32], strict=True)]
        report.add(f"All layers at 134 tokens: {spread(ratios)} of the float32 time (goal 0.5).")


SECTIONS = {
    "APL: the MLPs of all layers, one at a time": layers_at_once,
    "Exactness": exact,
    "Heads: all of them, one at a time": heads_at_once,
    "Capture: one observed pass against one plain forward pass": capturing,
    "Generation": generating,
    "bfloat16": bfloat16,
    "Peak memory beyond the loaded model": memory,
}


def main() -> None:
    """Measure all sections, or those whose titles begin with an argument. Keep the others."""
    torch.set_num_threads(2)
    texts = dict.fromkeys(SECTIONS, "")
    if RESULTS.exists():
        texts |= dict(part.split("\n\n", 1) for part in RESULTS.read_text(encoding="utf-8").split("\n## ")[1:])
    for title, measure in SECTIONS.items():
        if len(sys.argv) > 1 and not any(title.startswith(prefix) for prefix in sys.argv[1:]):
            continue
        print(f"\n## {title}\n", flush=True)
        report = Report()
        measure(report)
        report.add(f"*{datetime.now(UTC):%Y-%m-%d}, {machine()}.*")
        texts[title] = "\n".join(report.lines)
        sections = [f"## {name}\n\n{text.strip()}\n" for name, text in texts.items() if text]
        RESULTS.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


def machine() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "transformer-lens", "nnsight"))
    return (
        f"{cpu_name()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, Python "
        f"{platform.python_version()}, {versions}; matrix-product peak just then: {peak():.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
