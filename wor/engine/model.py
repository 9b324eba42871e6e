"""A language model with its layers, heads, norm and unembedding at hand."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import GenerationConfig

from wor import compat
from wor.engine import architectures, attention
from wor.engine.text import PromptTokenizer
from wor.engine.unembed import Readout
from wor.errors import UserError


class LM(Readout):
    """A causal language model in evaluation mode, with the engine's attention.

    ``hf`` is changed: it gets the engine's attention, no gradients, and keeps only the end tokens
    of its generation settings. A repetition penalty would spoil draws from softmax(logits / T).

    Parameters
    ----------
    hf : a transformers causal LM of a supported architecture, with sdpa or the engine's attention.
        Other attention backends are refused: the engine's attention rows would not be theirs.
    tokenizer : its tokenizer, or None if only token IDs go in.
    memory, reason : bytes for use beside the weights, fewer after memory ran out; their origin.

    Raises UserError for an architecture, attention or unembedding that the engine does not support,
    and for a token that the vocabulary does not have.
    """

    def __init__(
        self,
        hf: nn.Module,
        tokenizer: PromptTokenizer | None = None,
        memory: int = 2**30,
        reason: str = "the engine's default",
    ):
        architectures.require_supported(type(hf).__name__, hf.config)
        backend = compat.attention_backend(hf.config)
        if backend not in (attention.NAME, "sdpa"):
            raise UserError("attention", backend, "Load the model with attn_implementation='sdpa'; others are not supported")
        hf.set_attn_implementation(attention.NAME)
        self.hf, self.tokenizer = hf.eval().requires_grad_(False), tokenizer
        self.set_memory(memory, reason)
        self.largest_batches: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.base, self.layers = hf.base_model, architectures.layers(hf)
        names = architectures.ARCHITECTURES[type(hf).__name__]
        self.norm = hf.get_submodule(names.norm)
        self.unembed = hf.get_output_embeddings()
        self.divisor = getattr(hf.config, names.logits_divisor) if names.logits_divisor else 1
        self.softcap = getattr(hf.config, names.logits_softcap) if names.logits_softcap else None
        if getattr(self.unembed, "bias", None) is not None:
            raise UserError("lm_head", "has a bias", "The engine unembeds without one; use another model")
        config = hf.config
        self.n_layers, self.n_heads = config.num_hidden_layers, config.num_attention_heads
        self.width, self.context = config.hidden_size, architectures.context(config)
        self.head_dim = architectures.head_dim(config)
        self._ends = self._find_end_tokens()
        hf.generation_config = GenerationConfig(eos_token_id=sorted(self._ends) or None)
        self.device, self.dtype = self.unembed.weight.device, self.unembed.weight.dtype

    def set_memory(self, memory: int, reason: str) -> None:
        """Set the budget of bytes beside the weights, and the ``reason`` for it."""
        self.memory, self.budget = memory, (memory, reason)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add to ``seconds[name]`` what the block takes, with all that it starts on the device."""
        began = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @property
    def end_tokens(self) -> frozenset[int]:
        """Return the tokens that end a continuation. They are not part of its text."""
        if not self._ends:
            raise UserError("eos_token_id", None, "Name the token that ends a continuation in config.json")
        return self._ends

    def require_context(self, tokens: int, following: int = 0, name: str = "text") -> None:
        """Raise UserError for more tokens than the context holds. Nothing beyond it was trained."""
        if tokens + following > self.context:
            shorter = f"lower max_new_tokens ({following}), or take" if following else "or take"
            remedy = f"The context holds {self.context}: shorten it, {shorter} a model with a longer context"
            raise UserError(name, f"{'prompt ' if following else ''}has {tokens} tokens", remedy)

    @property
    def has_chat_template(self) -> bool:
        return self.text.has_chat_template

    def render(self, prompt: str) -> str:
        """Return the prompt in the model's chat template, or in the given one if it has none."""
        return self.text.render(prompt)

    def encode(self, text: str) -> list[int]:
        """Return the token IDs of a text that something precedes."""
        return self.text.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self.text.decode(ids)

    def encode_prompt(self, prompt: str, max_new_tokens: int, name: str) -> list[int]:
        """Return the rendered prompt's token IDs. Raise UserError if the context is too short."""
        ids = self.text.encode_prompt(prompt)
        self.require_context(len(ids), max_new_tokens, name)
        return ids

    @property
    def text(self) -> PromptTokenizer:
        if self.tokenizer is None:
            raise ValueError("this model takes token IDs only")
        return self.tokenizer

    def _find_end_tokens(self) -> frozenset[int]:
        """Return the end tokens of configuration, generation settings, tokenizer and template."""
        ends = set(self.tokenizer.end_tokens if self.tokenizer else ())
        for settings in (self.hf.config, self.hf.generation_config):
            named = settings.eos_token_id
            ends.update(named if isinstance(named, list) else [] if named is None else [named])
        rows = self.unembed.weight.shape[0]
        for token in ends:
            if not isinstance(token, int) or not 0 <= token < rows:
                remedy = f"Name token IDs from 0 to {rows - 1} in config.json, generation_config.json and the tokenizer"
                raise UserError("eos_token_id", repr(token), remedy)
        return frozenset(ends)
