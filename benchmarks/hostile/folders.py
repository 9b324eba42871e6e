"""Mutated model folders. An accepted one must load with the very tensors of its file."""

import functools
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from benchmarks.hostile.outcome import FAULTS, REFUSED, Outcome, judge
from benchmarks.hostile.parameters import draw
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor.config.params import LocalModel
from wor.engine.load import choose_device, load
from wor.machine.libraries import quiet_libraries
from wor.weights import identity_card

SEED = 4
WEIGHTS = "model.safetensors"
CONFIG: dict[str, tuple] = {
    "vocab_size": (319, 321, 0, -1, "320", None, 2**40),
    "hidden_size": (31, 64, 0, None, "32"),
    "intermediate_size": (47, 0, 96),
    "num_hidden_layers": (3, 5, 0, -1, None, 4.0, "4"),
    "num_attention_heads": (3, 8, 0, None),
    "num_key_value_heads": (3, 4, 0, 1),
    "head_dim": (16, 7, 0, None),
    "tie_word_embeddings": (False, None, "no"),
    "model_type": ("lama", "", None, "bert", 3),
    "architectures": ([], ["LlamaModel"], ["NoSuchModel"], ["LlamaForSequenceClassification"], "LlamaForCausalLM", None, [None]),
    "eos_token_id": ("1", [1, 9999], 9999, -1, None, [], 1.5, True),
    "bos_token_id": (9999, "0", None, -5),
    "pad_token_id": (9999, -1, None),
    "max_position_embeddings": (8, 0, -1, None, "2048", 2**40),
    "quantization_config": (
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "awq"},
        {"quant_method": "fp8"},
        {"bits": 8},
        {},
    ),
    "rope_parameters": ({"rope_type": "nonsense"}, {"rope_theta": -1}, "long", [], {"rope_type": "yarn"}),
    "rms_norm_eps": (float("nan"), -1, "small", 0),
    "hidden_act": ("nonsense", None, "gelu"),
    "attention_dropout": (0.5, "x"),
    "attention_bias": (True,),
    "dtype": ("float8", "int8", "float16", 3),
    "auto_map": ({"AutoModelForCausalLM": "evil.Model"},),
    "sliding_window": (16, -1),
}
TOKENIZER: dict[str, tuple] = {
    "chat_template": (
        "{% if %}",
        "{{ raise_exception('no') }}",
        "{{ strftime_now('%d %b %Y') }}{{ messages[0].content }}",
        3,
        "",
        "x",
    ),
    "eos_token": ("<nowhere>", None, 3, "</s>"),
    "bos_token": ("<nowhere>", None),
    "tokenizer_class": ("NoSuchTokenizer", None, "LlamaTokenizerFast"),
    "add_bos_token": (True, "yes"),
    "model_max_length": (4, -1, 1e30),
}
JUNK = (
    b"",
    b"\x00" * 100,
    b"{",
    b"[]",
    b"null",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    b"\xff\xfe{}",
)


@functools.cache
def original() -> Path:
    """Return a folder with a sound model. It stays until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-model-"))
    quiet_libraries()
    torch.manual_seed(0)
    LlamaForCausalLM(tiny_config()).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def edit_json(path: Path, change: Callable[[dict], None]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def mutate_weights(rng: np.random.Generator, folder: Path) -> str:
    """Change one tensor. Return why the folder cannot be used, or ''."""
    tensors = load_file(folder / WEIGHTS)
    name = draw(rng, sorted(tensors))
    kind = rng.choice(["drop", "rename", "cut", "flatten", "more", "half", "twice", "nan"])
    part = tensors[name]
    if kind == "twice":
        other = {name: part + 1}
        save_file(tensors, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
        save_file(other, folder / "model-00002-of-00002.safetensors", {"format": "pt"})
        (folder / WEIGHTS).unlink()
        place = {key: "model-00001-of-00002.safetensors" for key in tensors}
        place[name] = draw(rng, tuple(f"model-0000{number}-of-00002.safetensors" for number in (1, 2, 3)))
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))
        return f"{name} stands twice"
    if kind in ("drop", "rename"):
        del tensors[name]
    if kind == "rename":
        tensors[draw(rng, (f"{name}s", f"base_model.{name}", name.upper()))] = part
    if kind == "cut":
        tensors[name] = part[:-1].contiguous()
    if kind == "flatten" and part.ndim > 1:
        tensors[name] = part.T.reshape(-1).contiguous()
    if kind == "more":
        tensors[draw(rng, ("lm_head.bias", "model.layers.9.mlp.up_proj.weight", "vision.weight", "model.norm.bias"))] = (
            part.clone()
        )
    if kind == "half":
        tensors = {key: value.half() for key, value in tensors.items()}
    if kind == "nan":
        tensors[name] = torch.full_like(part, float("nan"))
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    usable = kind == "half" or (kind == "flatten" and part.ndim == 1)
    return "" if usable else f"{kind} {name}"


def mutate(rng: np.random.Generator, folder: Path) -> str:
    """Change one thing in the folder. Return why it cannot be used, or ''."""
    kind = rng.choice(["config", "tokenizer", "weights", "file"], p=[0.4, 0.2, 0.25, 0.15])
    if kind == "weights":
        return mutate_weights(rng, folder)
    if kind == "file":
        path = draw(rng, sorted(folder.iterdir()))
        needed = path.name in ("config.json", "tokenizer.json", WEIGHTS)
        action = rng.choice(["remove", "junk", "cut", "folder"])
        content = path.read_bytes()
        path.unlink()
        if action == "junk":
            path.write_bytes(draw(rng, JUNK))
        if action == "cut":
            path.write_bytes(content[: int(rng.integers(len(content)))])
        if action == "folder":
            path.mkdir()
        return f"{path.name}: {action}" if needed else ""
    name, table = ("config.json", CONFIG) if kind == "config" else ("tokenizer_config.json", TOKENIZER)
    key = draw(rng, sorted(table))
    value = draw(rng, table[key])

    def change(values: dict[str, Any]) -> None:
        if value is None and rng.random() < 0.5:
            values.pop(key, None)
        else:
            values[key] = value

    edit_json(folder / name, change)
    return ""


def run_case(number: int) -> Outcome:
    """Change a copy of the sound folder. Make its identity card, and load what that accepts."""
    rng = np.random.default_rng((SEED, number))
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name) / "model"
        shutil.copytree(original(), folder)
        unusable = mutate(rng, folder)
        spec = LocalModel(source="local", label="m", path=str(folder))

        # NaN stands in no header: the self-test finds it when the weights are loaded.
        late_fault = unusable.startswith("nan")
        card: dict = {}
        outcome = judge(lambda: card.update(identity_card.make_card(spec)), lambda _: "" if late_fault else unusable)
        if outcome.kind in (*FAULTS, REFUSED):
            return outcome
        loaded = judge(
            lambda: load(folder, choose_device("cpu", "float32", 1)), functools.partial(wrong_model, folder, card, unusable)
        )
        if loaded.kind == REFUSED and not late_fault:
            return Outcome("silent acceptance", f"refused only when it is loaded: {loaded.detail}")
        return loaded


def wrong_model(folder: Path, card: dict, unusable: str, lm: Any) -> str:
    """Return what of a loaded model is not what stands in its files, or ''."""
    if unusable:
        return unusable
    own = dict(lm.hf.named_parameters())
    stored = {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}
    for name, tensor in stored.items():
        if name not in own or not torch.equal(own[name].data, tensor.to(own[name].dtype)):
            return f"{name} is not the file's"
    if lost := own.keys() - stored.keys():
        return f"{sorted(lost)[0]} is in no file"
    if card["n_params"] != sum(part.numel() for part in own.values()):
        return f"the card counts {card['n_params']} parameters"
    return "" if max(lm.encode("How many are there?")) < lm.unembed.weight.shape[0] else "a token beyond the vocabulary"
