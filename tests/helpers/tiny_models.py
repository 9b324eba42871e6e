"""Make a tiny random model of each supported architecture."""

import torch
import transformers as tf

from wor.engine import attention
from wor.engine.capture import Span

IDS = [(11 * position + 5) % 300 for position in range(30)]
WINDOW = Span(18, 27)
COMMON = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "initializer_range": 0.2}
ROTARY = COMMON | {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}
REACH = 6  # keys of a sliding window; less than WINDOW and what lies before it
MULTIPLIERS = {"embedding_multiplier": 3.0, "attention_multiplier": 0.4, "residual_multiplier": 0.3, "logits_scaling": 1.7}
SOFTCAPS = {"attn_logit_softcapping": 0.5, "final_logit_softcapping": 2.0}  # so low that a tiny model's scores meet them
LONGROPE = {
    "rope_type": "longrope",
    "partial_rotary_factor": 0.5,
    "short_factor": [1.0, 1.5],
    "long_factor": [2.0, 4.0],
}
GPT2 = COMMON | {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256}
NEOX = {key: value for key, value in ROTARY.items() if key not in ("num_key_value_heads", "head_dim")}
MODELS = {
    "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**ROTARY, tie_word_embeddings=True)),
    "llama untied, no groups": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**ROTARY | {"num_key_value_heads": 4})),
    "llama with biases": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**ROTARY, attention_bias=True, mlp_bias=True)),
    "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**ROTARY, tie_word_embeddings=True)),
    "qwen3, wide heads": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**ROTARY | {"head_dim": 16})),
    "qwen2, short reach": lambda: tf.Qwen2ForCausalLM(
        tf.Qwen2Config(**ROTARY, use_sliding_window=True, sliding_window=REACH, max_window_layers=1)
    ),
    "smollm3": lambda: tf.SmolLM3ForCausalLM(tf.SmolLM3Config(**ROTARY, no_rope_layers=[1, 0, 1])),
    "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**ROTARY, sliding_window=None)),
    "mistral, short reach": lambda: tf.MistralForCausalLM(tf.MistralConfig(**ROTARY, sliding_window=REACH)),
    "olmo2": lambda: tf.Olmo2ForCausalLM(tf.Olmo2Config(**ROTARY)),
    "phi3, short reach": lambda: tf.Phi3ForCausalLM(tf.Phi3Config(**ROTARY, sliding_window=REACH)),
    "phi3, partly rotated, longrope": lambda: tf.Phi3ForCausalLM(
        tf.Phi3Config(**ROTARY, original_max_position_embeddings=64, rope_parameters=LONGROPE)
    ),
    "granite": lambda: tf.GraniteForCausalLM(tf.GraniteConfig(**ROTARY, **MULTIPLIERS)),
    "gemma": lambda: tf.GemmaForCausalLM(tf.GemmaConfig(**ROTARY)),
    "gemma2": lambda: tf.AutoModelForCausalLM.from_config(
        tf.Gemma2Config(**ROTARY, **SOFTCAPS, sliding_window=REACH, query_pre_attn_scalar=16),
        attn_implementation=attention.NAME,  # transformers has only eager for it
    ),
    "gemma3": lambda: tf.Gemma3ForCausalLM(
        tf.Gemma3TextConfig(**ROTARY, sliding_window=REACH, sliding_window_pattern=2, query_pre_attn_scalar=16)
    ),
    "gpt-neox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**NEOX, use_parallel_residual=True)),
    "gpt-neox in series": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**NEOX, use_parallel_residual=False)),
    "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)),
}


def make(name, dtype=torch.float64):
    torch.manual_seed(3)
    hf = MODELS[name]()
    for parameter in hf.parameters():  # biases start at 0, which would hide a wrong use of them
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return hf.to(dtype)
