"""What a model is asked, token by token, with templates as published models have them."""

from datetime import date, datetime

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import LlamaForCausalLM

from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor.engine.capture import Span, capture
from wor.engine.generate import generate
from wor.engine.load import choose_device, load
from wor.engine.model import LM
from wor.engine.text import DATE, PromptTokenizer
from wor.errors import UserError

TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}END\n{% endfor %}"
TURNS += "{% if add_generation_prompt %}<|assistant|>{% endif %}"
PROMPT = "How many people are 6789 years old?"


def putting_begin_first(end: bool = False):
    """Return a tokenizer that puts <s> before a text, as those of Llama and Gemma do."""
    hf = tiny_tokenizer()
    single = f"<s> $A{' </s>' * end}"
    hf.backend_tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=[("<s>", 0), ("</s>", 1)])
    return hf


def chat(template, **more):
    hf = tiny_tokenizer()
    hf.chat_template = template
    for name, token in more.items():
        hf.add_special_tokens({name: token})
    return hf


def test_a_base_model_is_asked_after_its_begin_token():
    plain = PromptTokenizer(tiny_tokenizer(), "{prompt}\n\nResponse:\n")
    ids = plain.encode(plain.render(PROMPT))
    assert plain.encode_prompt(PROMPT) == ids
    for hf in (putting_begin_first(), putting_begin_first(end=True)):
        text = PromptTokenizer(hf, plain.template)
        assert text.encode_prompt(PROMPT) == [0, *ids]
        assert text.encode_prompt("") == [0, *plain.encode_prompt("")]
        assert text.encode("345") == plain.encode("345")  # what follows a prompt does not begin
    assert PromptTokenizer(putting_begin_first(), plain.template, begin_token=False).encode_prompt(PROMPT) == ids
    assert PromptTokenizer(tiny_tokenizer(), plain.template, begin_token=True).encode_prompt(PROMPT) == [0, *ids]
    without = tiny_tokenizer()
    without.bos_token = None
    with pytest.raises(UserError, match="begin_token: True. The tokenizer has none"):
        PromptTokenizer(without, begin_token=True)


def test_the_begin_token_of_a_chat_is_the_templates_and_never_there_twice():
    hf = putting_begin_first()
    hf.chat_template = TURNS
    silent = PromptTokenizer(hf)
    ids = silent.encode_prompt(PROMPT)
    assert ids == silent.encode(silent.render(PROMPT))
    assert PromptTokenizer(hf, begin_token=True).encode_prompt(PROMPT) == [0, *ids]
    hf.chat_template = "{{ bos_token }}" + TURNS
    for wanted in (None, True):
        assert PromptTokenizer(hf, begin_token=wanted).encode_prompt(PROMPT) == [0, *ids]


ENDS = {
    "chatml": ("<|im_end|>", "<|im_end|>\n"),
    "llama 3": ("<|eot_id|>", "<|eot_id|>"),
    "gemma": ("<end_of_turn>", "<end_of_turn>\n"),
    "llama 2": ("</s>", " </s>"),
}


@pytest.mark.parametrize(("token", "written"), ENDS.values(), ids=ENDS)
def test_a_reply_ends_with_what_the_template_ends_a_turn_with(token, written):
    hf = chat(TURNS.replace("END\n", written))
    hf.add_special_tokens({"additional_special_tokens": [token, token[:-1]]})
    text = PromptTokenizer(hf)
    assert text.end_tokens == {1, hf.convert_tokens_to_ids(token)}


@pytest.mark.parametrize("template", [TURNS, "{% if messages | length > 1 %}{{ raise_exception('One') }}{% endif %}" + TURNS])
def test_a_template_without_an_end_of_turn_adds_none(template):
    assert PromptTokenizer(chat(template)).end_tokens == {1}


def test_end_tokens_come_from_everywhere_that_names_one():
    config = tiny_config(eos_token_id=5)
    hf = chat(TURNS.replace("END", "<s>"))
    hf.eos_token = "!"
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [9]
    lm = LM(model, PromptTokenizer(hf))
    assert lm.end_tokens == {0, hf.eos_token_id, 5, 9}
    assert lm.hf.generation_config.eos_token_id == sorted(lm.end_tokens)


def test_a_template_that_writes_today_writes_the_same_tomorrow(monkeypatch):
    """As Llama 3.2's, SmolLM3's and Granite's do."""
    today = '{%- if strftime_now is defined %}{%- set today = strftime_now("%d %b %Y") %}{%- endif %}{{ today }}'
    llama = "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{{ date_string }}"
    assert date.today() > DATE
    for template in (today, llama):
        text = PromptTokenizer(chat(template + TURNS))
        assert text.date == DATE
        assert text.render("Why?") == "26 Jul 2024<|user|>Why?END\n<|assistant|>"
        assert datetime.now().strftime("%Y") not in text.render("Why?")
    given = PromptTokenizer(chat(llama + TURNS), chat_template_kwargs={"date_string": "1 May 2030"})
    assert given.render("Why?").startswith("1 May 2030<|user|>")
    assert PromptTokenizer(chat(TURNS)).date is None


def test_arguments_reach_the_template_and_unknown_ones_are_refused():
    thinking = "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
    hf = chat(TURNS + thinking)
    assert PromptTokenizer(hf).render("Why?").endswith("<|assistant|>")
    text = PromptTokenizer(hf, chat_template_kwargs={"enable_thinking": False})
    assert text.render("Why?").endswith("<|assistant|><think></think>")
    for name in ("enable_thinkin", "tokenize", "messages"):
        with pytest.raises(UserError, match=rf"_kwargs.{name}: False. .* no such argument. It reads enable_thinking"):
            PromptTokenizer(hf, chat_template_kwargs={name: False})
    with pytest.raises(UserError, match="chat_template_kwargs: .*no chat template: remove them"):
        PromptTokenizer(tiny_tokenizer(), chat_template_kwargs={"enable_thinking": False})


REFUSALS = {
    "{{ raise_exception('Conversation must begin with a system turn') }}": r"refuses a prompt \(Conversation must begin with a",
    "{% if %}": r"refuses a prompt \(Expected an expression",
    "{{ messages[1].content }}": "refuses a prompt",
    "hello": "leaves out the user's turn",
}


@pytest.mark.parametrize(("template", "line"), REFUSALS.items())
def test_a_template_that_refuses_is_one_line(template, line):
    with pytest.raises(UserError, match=f"chat template: {line}") as refused:
        PromptTokenizer(chat(template))
    assert "\n" not in str(refused.value)


def test_what_a_model_is_loaded_with_is_what_it_is_asked_with(tiny_folder, tmp_path):
    LlamaForCausalLM.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    putting_begin_first().save_pretrained(tmp_path)
    placement = choose_device("cpu", "float32", 1)
    lm = load(tmp_path, placement, "Q: {prompt}\nA:")
    assert lm.encode_prompt("Why?", 4, "x") == [0, *lm.encode("Q: Why?\nA:")]
    assert load(tmp_path, placement, "Q: {prompt}\nA:", begin_token=False).encode_prompt("Why?", 4, "x")[0] != 0


def test_nothing_longer_than_the_context_reaches_a_model():
    torch.manual_seed(0)
    lm = LM(LlamaForCausalLM(tiny_config(max_position_embeddings=40)))
    ids = [index % 300 for index in range(41)]
    capture(lm, ids[:40], Span(30, 39))
    with pytest.raises(UserError, match="text: has 41 tokens. The context holds 40"):
        capture(lm, ids, Span(30, 40))
    with pytest.raises(UserError, match=r"text: prompt has 33 tokens. The context holds 40.*max_new_tokens \(8\)"):
        generate(lm, [ids[:33], ids[:5]], ["a", "b"], temperatures=[0.0, 0.0], max_new_tokens=8, seed=1)
