"""The engine against what people use, side by side in one run: make bench

Prints as it goes and writes benchmarks/RESULTS.md. Every ratio is taken within a round, in which the tools
take turns; the median over rounds is reported, with the smallest and the largest.
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

SmolLM2-135M-Instruct in float32 on running text of Wikipedia articles, all tools on the same weights, tokens and
threads, taking turns within a round. Made by `make bench`.
"""


def timed(work) -> tuple[float, object]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def spread(values: list[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


class Report:
    """One section of RESULTS.md, printed as it grows."""

    def __init__(self):
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        print(line, flush=True)
        self.lines += [line, ""]

    def table(self, *rows: tuple) -> None:
        header, *body = rows
        lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in body]
        self.say("\n".join(lines))


def models() -> tuple:
    """The engine's model, with memory for every batch here, and transformers' own."""
    folder = inputs.folder()
    return LM(tools.transformers_model(folder), memory=4 * 2**30), tools.transformers_model(folder)


def parameters(lm: LM) -> tuple[int, int]:
    """Of all layers, and of the unembedding: what a token's pass multiplies."""
    layers = sum(p.numel() for layer in lm.layers for p in layer.block.parameters() if p.ndim == 2)
    return layers, lm.unembed.weight.numel()


def peak() -> float:
    """GFLOP/s of float32 matrix products, the best of several shapes, each the median of 9."""
    best = 0.0
    for m, k, n in ((2048, 2048, 2048), (960, 576, 1536), (960, 1536, 576), (512, 576, 2048)):
        a, b = torch.randn(m, k), torch.randn(n, k)
        times = [timed(lambda a=a, b=b: torch.nn.functional.linear(a, b))[0] for _ in range(9)]
        best = max(best, 2e-9 * m * k * n / statistics.median(times))
    return best


def layers_at_once(report: Report) -> None:
    made = {name: tool(inputs.folder()) for name, tool in tools.TOOLS.items()}
    for tool in made.values():  # first passes make buffers
        tool(inputs.text()[:, :64], 32, inputs.stand_in(), [0])
    lm, stand_in, text = made["engine"].lm, inputs.stand_in(), inputs.text()
    layers, head = parameters(lm)
    report.say(
        f"Window of {inputs.WINDOW} tokens. The loops run one full pass a layer, timed on a clean pass and "
        f"{len(LAYERS)} of {lm.n_layers} layers, scaled to all. *Ablation alone* leaves the clean pass out on both sides, as "
        "the bound T (layers + head) / W (layers / 2 + head) does; *from tokens* has it in on both. Median of "
        f"{', '.join(f'{rounds} rounds at {length}' for length, rounds in LENGTHS.items())} (smallest to largest). Above "
        "100 %: the loops, too, run below the machine's peak."
    )
    rows = [
        ("tokens", "against", "ablation alone", "of the bound", "from tokens", "largest relative difference of a layer's mean KL")
    ]
    shares = []
    for length, rounds in LENGTHS.items():
        ids, start = text[:, :length], length - inputs.WINDOW
        bound = length * (layers + head) / (inputs.WINDOW * (layers / 2 + head))
        flops = 2e-9 * inputs.WINDOW * lm.n_layers * (layers / 2 + head)
        alone = {name: [] for name in made if name != "engine"}
        whole, differences = {name: [] for name in alone}, dict.fromkeys(alone, 0.0)
        for _ in range(rounds):
            captured, clean = timed(lambda ids=ids, start=start: capture(lm, ids[0].tolist(), Span(start, ids.shape[1])))
            engine, found = timed(lambda clean=clean: ablate.layer_kl(lm, clean, "mlp", stand_in))
            shares.append((length, flops / engine / peak()))
            for name in alone:
                took, theirs = timed(lambda name=name, ids=ids, start=start: made[name](ids, start, stand_in, LAYERS))
                a_pass = took / (1 + len(LAYERS))
                alone[name].append(lm.n_layers * a_pass / engine)
                whole[name].append((lm.n_layers + 1) * a_pass / (captured + engine))
                own, theirs = found[list(LAYERS)].mean(-1), theirs.mean(-1)
                difference = ((own - theirs).abs() / theirs).max().item()
                differences[name] = max(differences[name], difference)
        for name in alone:
            share = f"{statistics.median(alone[name]) / bound:.0%} of {bound:.1f}x" if name != "hook loop, window logits" else ""
            row = (length, name, spread(alone[name], ".1f") + "x", share, spread(whole[name], ".1f") + "x")
            rows.append((*row, f"{differences[name]:.1e}"))
            print(row, flush=True)
    report.table(*rows)
    report.say("The engine's share of this machine's own matrix-product peak, measured in the same rounds (goal 0.6):")
    report.table(
        ("tokens", "share of peak"),
        *((length, spread([share for at, share in shares if at == length])) for length in LENGTHS),
    )


def exact(report: Report) -> None:
    report.say(
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
    chosen = [(0, 4), (8, 1), (15, 8), (22, 3), (29, 0)]
    ratios, worst = [], 0.0
    for _ in range(3):
        clean = capture(lm, ids[0].tolist(), Span(start, 134))
        engine, found = timed(lambda clean=clean: ablate.head_kl(lm, clean, heads))

        @torch.inference_mode()
        def plain():
            before, rows = hf(ids, use_cache=False).logits[0, start:], []
            for layer, head in chosen:

                def replace(module, args, layer=layer, head=head):
                    whole = args[0].clone().unflatten(-1, (lm.n_heads, lm.head_dim))
                    whole[:, start:, head] = heads[layer, head]
                    return (whole.flatten(-2),)

                with registered_hooks((hf.model.layers[layer].self_attn.o_proj.register_forward_pre_hook, replace)):
                    rows.append(tools.kl(before, hf(ids, use_cache=False).logits[0, start:]))
            return rows

        took, theirs = timed(plain)
        ratios.append(took / (1 + len(chosen)) * lm.n_layers * lm.n_heads / engine)
        for (layer, head), row in zip(chosen, theirs, strict=True):
            worst = max(worst, ((found[layer, head].mean() - row.mean()).abs() / row.mean()).item())
    layers, head = parameters(lm)
    bound = 134 * (layers + head) / (inputs.WINDOW * (layers / 2 + head))
    report.say(
        f"134 tokens, {lm.n_layers * lm.n_heads} heads; the hook loop is timed on {len(chosen)} of them and scaled. "
        f"**{spread(ratios, '.1f')}x**, {statistics.median(ratios) / bound:.0%} of the bound of {bound:.1f}x; largest relative "
        f"difference of a head's mean KL {worst:.1e}."
    )


def capturing(report: Report) -> None:
    lm, hf = models()
    rows = [("tokens", "against the forward pass with logits (goal 1.15)", "against the layers alone, no logits")]
    for length in LENGTHS:
        ids, against, without = inputs.text()[:, :length], [], []
        for _ in range(10):
            took, _ = timed(lambda ids=ids: capture(lm, ids[0].tolist(), Span(ids.shape[1] - inputs.WINDOW, ids.shape[1])))
            with torch.inference_mode():
                plain, _ = timed(lambda ids=ids: hf(ids, use_cache=False))
                layers, _ = timed(lambda ids=ids: hf.model(ids, use_cache=False))
            against.append(took / plain)
            without.append(took / layers)
        rows.append((length, spread(against), spread(without)))
    report.table(*rows)


def generating(report: Report) -> None:
    lm, hf = models()
    text = inputs.text()[0].tolist()
    prompts = [text[120 * i : 120 * i + 90 + 7 * (i % 5)] for i in range(192)]
    names, warm = [f"item {i}" for i in range(192)], [0.2] * 192
    few = [0, 40, 80, 120]

    def ours(chosen, most):
        picked = [[values[i] for i in chosen] for values in (prompts, names, warm)]
        return generate(lm, *picked[:2], temperatures=picked[2], max_new_tokens=64, seed=1, most=most)

    def theirs():
        return [
            hf.generate(torch.tensor([prompts[i]]), max_new_tokens=64, do_sample=False, pad_token_id=0)[0, len(prompts[i]) :]
            for i in few
        ]

    ratios, against = [], []
    for first in (0, 64, 128):
        took, said = timed(lambda first=first: ours(range(first, first + 64), 64))
        rate = sum(map(len, said)) / took
        took, said = timed(lambda: ours(few, 1))
        ratios.append(rate / (sum(map(len, said)) / took))
        took, said = timed(theirs)
        against.append(rate / (sum(map(len, said)) / took))
    report.say(
        "64 prompts of 90 to 118 tokens in a batch, 64 new tokens, against one at a time (4 prompts): "
        f"**{spread(ratios, '.1f')}x** the tokens a second (goal 8x); against transformers' own greedy `generate`, one at a "
        f"time: {spread(against, '.1f')}x."
    )
    assert lm.groups == {"generate": 64}
    together, apart = ours(range(160), 64), ours(range(160), 7)
    same = flips = 0
    for one, other in zip(together, apart, strict=True):
        equal = 0
        while equal < min(len(one), len(other)) and one[equal] == other[equal]:
            equal += 1
        same += equal
        flips += one != other
    report.say(
        f"160 of the prompts at temperature 0.2 in batches of 64 and of 7: {flips} of {same + flips} tokens differ where their "
        "context was the same (goal: at most 1 in 10,000)."
    )


def memory(report: Report) -> None:
    report.say("Each tool in a process of its own; the loops run two passes, the engine all layers at once.")
    rows = [("tokens", *tools.TOOLS)]
    for length in (134, 1024):
        found = []
        for tool in tools.TOOLS:
            command = [sys.executable, "-m", "benchmarks.memory", tool, str(length)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1])["mib"])
        rows.append((length, *(f"{mib:.0f} MiB ({found[0] / mib:.2f})" for mib in found)))
    report.table(*rows)
    report.say("In brackets: the engine's share of it (goal: at most 0.5 of TransformerLens and nnsight).")


def bfloat16(report: Report) -> None:
    if not has_fast_bfloat16("cpu"):
        report.say("Not measured: this CPU multiplies no bfloat16 matrices in hardware, and `compute.dtype: auto` says so.")
    else:
        lms = {dtype: LM(tools.transformers_model(inputs.folder()).to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
        took = {dtype: [] for dtype in lms}
        for _ in range(5):
            for dtype, lm in lms.items():
                clean = capture(lm, inputs.text()[0, :134].tolist(), Span(134 - inputs.WINDOW, 134))
                took[dtype].append(timed(lambda lm=lm, clean=clean: ablate.layer_kl(lm, clean, "mlp", inputs.stand_in()))[0])
        ratios = [one / other for one, other in zip(took[torch.bfloat16], took[torch.float32], strict=True)]
        report.say(f"All layers at 134 tokens: {spread(ratios)} of the float32 time (goal 0.5).")


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
    """All sections, or those whose titles begin with an argument; the others stay as they were measured."""
    torch.set_num_threads(2)
    found = dict.fromkeys(SECTIONS, "")
    if RESULTS.exists():
        found |= dict(part.split("\n\n", 1) for part in RESULTS.read_text(encoding="utf-8").split("\n## ")[1:])
    for title, measure in SECTIONS.items():
        if len(sys.argv) > 1 and not any(title.startswith(wanted) for wanted in sys.argv[1:]):
            continue
        print(f"\n## {title}\n", flush=True)
        report = Report()
        measure(report)
        report.say(f"*{datetime.now(UTC):%Y-%m-%d}, {machine()}.*")
        found[title] = "\n".join(report.lines)
        sections = [f"## {name}\n\n{text.strip()}\n" for name, text in found.items() if text]
        RESULTS.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


def machine() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "transformer-lens", "nnsight"))
    return (
        f"{cpu_name()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, Python "
        f"{platform.python_version()}, {versions}; matrix-product peak just then: {peak():.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
