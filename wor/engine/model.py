"""A language model with the handles that the engine needs: layers, heads, norm and unembedding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import GenerationConfig

from wor.engine import architectures, attention
from wor.errors import UserError


class LM:
    """A causal language model in evaluation mode, with the engine's attention.

    Parameters
    ----------
    hf : a transformers causal LM of a supported architecture, on sdpa attention or the engine's.
    tokenizer : its tokenizer, or None where only token IDs go in.
    template : what a prompt stands in, at ``{prompt}``, where the tokenizer has no chat template.
    memory : bytes that the engine may use beside the weights, and the ``reason``; it halves when the machine has less.

    ``hf`` itself is changed: its attention becomes the engine's, its gradients are off, and its generation
    settings keep nothing but the end tokens. A repetition penalty, say, would be no draw from softmax(logits / T).

    Raises
    ------
    UserError
        An architecture or attention backend that the engine does not understand. Other backends than sdpa
        are refused, not replaced: the engine works attention rows out beside sdpa, and another kernel's
        numbers would not be theirs.
    """

    def __init__(
        self,
        hf: nn.Module,
        tokenizer=None,
        memory: int = 2**30,
        reason: str = "the engine's default",
        template: str = "{prompt}\n\n",
    ):
        architectures.require_supported(type(hf).__name__, hf.config)
        backend = hf.config._attn_implementation
        if backend not in (attention.NAME, "sdpa"):
            remedy = "It gives no attention rows of chosen queries; load the model with attn_implementation='sdpa'"
            raise UserError("attention", backend, remedy)
        hf.set_attn_implementation(attention.NAME)
        self.hf, self.tokenizer, self.template = hf.eval().requires_grad_(False), tokenizer, template
        self.set_memory(memory, reason)
        self.groups: dict[str, int] = {}
        self.base, self.layers = hf.base_model, architectures.layers(hf)
        self.norm, self.unembed = architectures.final_norm(hf), hf.get_output_embeddings()
        if getattr(self.unembed, "bias", None) is not None:
            raise UserError("lm_head", "has a bias", "The engine unembeds without one; use another model")
        config = hf.config
        self.n_layers, self.n_heads = config.num_hidden_layers, config.num_attention_heads
        self.width, self.context = config.hidden_size, config.max_position_embeddings
        self.head_dim = architectures.head_dim(config)
        ends = hf.generation_config.eos_token_id
        ends = config.eos_token_id if ends is None else ends
        self._ends = frozenset([] if ends is None else ends if isinstance(ends, list) else [ends])
        hf.generation_config = GenerationConfig(eos_token_id=sorted(self._ends) or None)
        self.device = next(hf.parameters()).device
        self.dtype = next(hf.parameters()).dtype

    def set_memory(self, memory: int, reason: str) -> None:
        """Let the engine use ``memory`` bytes beside the weights; ``reason`` says where the number comes from."""
        self.memory, self.budget = memory, (memory, reason)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a continuation; they are not part of what was said."""
        if not self._ends:
            raise UserError("eos_token_id", None, "Name the token that ends a continuation in the model's config.json")
        return self._ends

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Residual stream -> final norm -> unembedding, in float32 at least. ``[..., D] -> [..., V]``."""
        logits = self.unembed(self.norm(hidden))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @property
    def has_chat_template(self) -> bool:
        return self.tokenizer.chat_template is not None

    def render(self, prompt: str) -> str:
        """The prompt in the model's chat template, or in ``template`` when the model has none."""
        if not self.has_chat_template:
            return self.template.replace("{prompt}", prompt)
        turns = [{"role": "user", "content": prompt}]
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def encode_prompt(self, prompt: str, room: int, name: str) -> list[int]:
        """Token IDs of the rendered prompt; refused when ``room`` more tokens would not fit the context."""
        ids = self.encode(self.render(prompt))
        if len(ids) + room > self.context:
            remedy = f"The context holds {self.context}: shorten the item, or lower max_new_tokens ({room})"
            raise UserError(name, f"prompt has {len(ids)} tokens", remedy)
        return ids
