"""A language model with its layers, heads, norm and unembedding at hand."""

from collections.abc import Sequence

from torch import nn
from transformers import GenerationConfig

from wor import compat
from wor.engine import architectures, attention
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
    template : text around ``{prompt}``, for a tokenizer without a chat template.

    Raises UserError for an architecture, attention or unembedding that the engine does not support.
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
        backend = compat.attention_backend(hf.config)
        if backend not in (attention.NAME, "sdpa"):
            raise UserError("attention", backend, "Load the model with attn_implementation='sdpa'; others are not supported")
        hf.set_attn_implementation(attention.NAME)
        self.hf, self.tokenizer, self.template = hf.eval().requires_grad_(False), tokenizer, template
        self.set_memory(memory, reason)
        self.largest_batches: dict[str, int] = {}
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
        ends = hf.generation_config.eos_token_id
        ends = config.eos_token_id if ends is None else ends
        self._ends = frozenset([] if ends is None else ends if isinstance(ends, list) else [ends])
        hf.generation_config = GenerationConfig(eos_token_id=sorted(self._ends) or None)
        self.device, self.dtype = self.unembed.weight.device, self.unembed.weight.dtype

    def set_memory(self, memory: int, reason: str) -> None:
        """Set the budget of bytes beside the weights, and the ``reason`` for it."""
        self.memory, self.budget = memory, (memory, reason)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Return the tokens that end a continuation. They are not part of its text."""
        if not self._ends:
            raise UserError("eos_token_id", None, "Name the token that ends a continuation in the model's config.json")
        return self._ends

    @property
    def has_chat_template(self) -> bool:
        return self.tokenizer.chat_template is not None

    def render(self, prompt: str) -> str:
        """Return the prompt in the model's chat template, or in ``template`` if it has none."""
        if not self.has_chat_template:
            return self.template.replace("{prompt}", prompt)
        turns = [{"role": "user", "content": prompt}]
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def encode_prompt(self, prompt: str, max_new_tokens: int, name: str) -> list[int]:
        """Return the rendered prompt's token IDs. Raise UserError if the context is too short."""
        ids = self.encode(self.render(prompt))
        if len(ids) + max_new_tokens > self.context:
            remedy = f"The context holds {self.context}: shorten the item, or lower max_new_tokens ({max_new_tokens})"
            raise UserError(name, f"prompt has {len(ids)} tokens", remedy)
        return ids
