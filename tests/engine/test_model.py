import pytest
import torch
from transformers import LlamaForCausalLM, OPTConfig, OPTForCausalLM

from tests.helpers.tiny import tiny_config
from wor.engine import load, model
from wor.errors import UserError


def test_an_unsupported_architecture_is_refused(tmp_path):
    config = OPTConfig(num_hidden_layers=1, num_attention_heads=1, hidden_size=8, ffn_dim=8, vocab_size=10)
    OPTForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match="architecture: OPTForCausalLM. Choose a model of a supported one: LlamaForCausalLM.*GPT2"
    ):
        load.load(tmp_path, load.choose_device("cpu", "float32", 1))


def test_another_attention_backend_is_refused_not_replaced():
    config = tiny_config()
    hf = LlamaForCausalLM(config)
    hf.set_attn_implementation("eager")
    with pytest.raises(UserError, match="attention: eager.*attn_implementation='sdpa'"):
        model.LM(hf)
    assert hf.config._attn_implementation == "eager"


def test_a_device_that_this_machine_lacks_is_refused():
    if torch.cuda.is_available():
        assert load.choose_device("cuda").device == "cuda"
    else:
        with pytest.raises(UserError, match="compute.device: cuda"):
            load.choose_device("cuda")


def test_auto_is_full_precision_and_says_why():
    placement = load.choose_device("auto", "auto", 1)
    assert placement.dtype == "float32"
    assert "full precision" in placement.dtype_reason
    assert ("no faster" in placement.dtype_reason) == (not load.has_fast_bfloat16(placement.device))


def test_a_prompt_longer_than_the_context_is_refused_by_name(lm):
    with pytest.raises(UserError, match=r"wiki/Long: prompt has \d+ tokens.*2048.*max_new_tokens \(64\)"):
        lm.encode_prompt("word " * 4000, 64, "wiki/Long")
    assert len(lm.encode_prompt("word", 64, "wiki/Short")) < 10


def test_text_survives_encoding(lm):
    text = "There are 12 students, and Zoë's café."
    assert lm.decode(lm.encode(text)) == text


def test_a_base_model_gets_the_given_template_and_an_instruct_model_its_own(tiny_folder):
    base = load.load(tiny_folder, load.choose_device("cpu", "float32", 1), template="Q: {prompt}\nA:")
    assert not base.has_chat_template
    assert base.render("a {b} c") == "Q: a {b} c\nA:"
    base.text.hf.chat_template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    assert base.render("a {b} c") == "[user]a {b} c"


def test_a_dtype_that_a_cpu_has_no_products_of_is_emulated(monkeypatch):
    placements = {dtype: load.Placement("cpu", dtype, "", 1) for dtype in ("float32", "bfloat16")}
    for fast in (True, False):
        monkeypatch.setattr(load, "has_fast_bfloat16", lambda device, fast=fast: fast)
        assert load.is_emulated(placements["bfloat16"]) == (not fast)
        assert not load.is_emulated(placements["float32"])
        assert not load.is_emulated(load.Placement("cuda", "bfloat16", "", 1))
