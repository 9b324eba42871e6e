"""The inputs of all measurements: the default study's model, and running text of its articles."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from transformers import AutoTokenizer

from wor.config import params
from wor.data import datasets
from wor.weights import folders

WINDOW = 32


@functools.cache
def folder() -> Path:
    study = params.load_params()
    return folders.resolve_folder(study.model_specs[study.models[0]])


@functools.cache
def text(tokens: int = 25_000) -> torch.Tensor:
    """Return the first ``tokens`` token IDs of the text, ``[1, tokens]``."""
    spec = params.load_params().spec("wiki")
    articles = datasets.fetch_items(spec, datasets.list_keys(spec)[:400])
    tokenizer = AutoTokenizer.from_pretrained(folder())
    ids = tokenizer("\n\n".join(article.text for article in articles.values()))["input_ids"]
    return torch.tensor([ids[:tokens]])


def replacement() -> torch.Tensor:
    """Return small constants, [L, D]. Every tool gets the same, and no timing depends on them."""
    return 0.1 * torch.randn(30, 576, generator=torch.Generator().manual_seed(0))
