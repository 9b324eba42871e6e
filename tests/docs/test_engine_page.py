"""The page about the engine: its example runs, and gives the shapes that it says."""

import re

import torch

from tests.helpers.root import ROOT


def test_the_example_runs_as_it_stands(tiny_folder):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "engine.md").read_text(), re.DOTALL)
    names = {"folder": tiny_folder}
    threads = torch.get_num_threads()
    try:
        exec(compile(code, "docs/engine.md", "exec"), names)
    finally:
        torch.set_num_threads(threads)
    lm, clean, width = names["lm"], names["clean"], len(names["window"])
    assert clean.entropy.shape == (lm.n_layers, lm.n_heads, width)
    assert names["layer_kl"](lm, clean, "mlp", names["mean"]).shape == (lm.n_layers, width)
    assert names["head_kl"](lm, clean, torch.zeros(clean.head_out[:, 0].shape)).shape == (lm.n_layers, lm.n_heads, width)
    assert names["logit_lens"](lm, clean.hidden[1:], clean.hidden[-1]).jsd.shape == (lm.n_layers, width)
