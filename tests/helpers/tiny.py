"""Make a tiny random Llama and its tokenizer, so that no test needs a download."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast

TEXT = [
    "Here is a task for you. Work through this step by step, then end with 'The answer is'.",
    "There are 12 students and 345 teachers; how many people, in total, are 6789 years old?",
    "Consider these statements: All dogs are cats. Does it logically follow that some cats are dogs?",
    "Go through this passage sentence by sentence and retell each one at length.",
]


def tiny_config(**changes: object) -> LlamaConfig:
    settings = {
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        # The default of 0.02 would give nearly uniform predictions.
        "initializer_range": 0.3,
    }
    return LlamaConfig(**settings | changes, attn_implementation="sdpa")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=sorted(alphabet))
    tokenizer.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
