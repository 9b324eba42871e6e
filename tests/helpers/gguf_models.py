"""Write a tiny model as a GGUF file, as llama.cpp's converter does."""

import json
from pathlib import Path

import gguf
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast


def write_gguf(
    path: Path,
    hf: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    facts: dict[str, object] | None = None,
    tensors: dict[str, torch.Tensor | None] | None = None,
    quantised: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
) -> None:
    """Write ``hf`` with other metadata and tensors (None leaves one out) of the given names.

    ``quantised`` is the type of all matrices whose rows fill whole blocks.
    """
    config = hf.config
    architecture = config.model_type
    writer = gguf.GGUFWriter(path, architecture)
    known = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.freq_base": config.rope_parameters["rope_theta"],
    }
    if architecture == "llama":
        known |= {"vocab_size": config.vocab_size, "rope.dimension_count": config.head_dim}
    if architecture == "qwen3":
        known |= {"attention.key_length": config.head_dim, "attention.value_length": config.head_dim}
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    types = [3 if token in tokenizer.all_special_tokens else 1 for token in vocabulary]
    if architecture != "llama":  # Qwen's tokenizers have this one
        vocabulary[tokenizer.eos_token_id] = "<|endoftext|>"
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    known = {f"{architecture}.{key}": value for key, value in known.items()}
    known |= {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.bos_token_id": tokenizer.bos_token_id,
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
    }
    add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, bool: writer.add_bool}
    for key, value in (known | (facts or {})).items():
        if value is not None:
            add[type(value)](key, value)
    writer.add_token_list(vocabulary)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    arrays = {}
    for name, tensor in hf.named_parameters():
        module, _, parameter = name.rpartition(".")
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(module.split(".")[-1])
        if architecture == "llama" and heads:  # llama.cpp rotates neighbours, transformers halves
            tensor = tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
        arrays[f"{names.get_name(module)}.{parameter}"] = tensor
    for name, tensor in (arrays | (tensors or {})).items():
        if tensor is not None:
            array = tensor.detach().float().contiguous().numpy()
            block = gguf.GGML_QUANT_SIZES[quantised][0]
            kind = quantised if tensor.ndim == 2 and tensor.shape[1] % block == 0 else gguf.GGMLQuantizationType.F32
            writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
