"""What is measured on: the default study's model, and running text of its articles."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from transformers import AutoTokenizer

from wor.config import params
from wor.data import datasets
from wor.weights import identity_card

WINDOW = 32


@functools.cache
def folder() -> Path:
    settings = params.load_params()
    return identity_card.resolve_folder(settings.model_specs[settings.models[0]])


@functools.cache
def text(tokens: int = 25_000) -> torch.Tensor:
    """``[1, tokens]``"""
    spec = params.load_params().spec("wiki")
    articles = datasets.fetch_items(spec, datasets.list_keys(spec)[:400])
    tokenizer = AutoTokenizer.from_pretrained(folder())
    ids = tokenizer("\n\n".join(article.text for article in articles.values()))["input_ids"]
    return torch.tensor([ids[:tokens]])


def stand_in() -> torch.Tensor:
    """[L, D] small constants: what they are changes no timing, and every tool gets the same."""
    return 0.1 * torch.randn(30, 576, generator=torch.Generator().manual_seed(0))
