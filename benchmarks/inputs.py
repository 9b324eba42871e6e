"""What is measured on: the default study's model, and running text of its articles."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from transformers import AutoTokenizer

from wor import params
from wor.sources import datasets, weights

WINDOW = 32


@functools.cache
def folder() -> Path:
    settings = params.load()
    return weights.resolve(settings.model_specs[settings.models[0]])


@functools.cache
def text(tokens: int = 25_000) -> torch.Tensor:
    """``[1, tokens]``"""
    spec = params.load().spec("wiki")
    articles = datasets.fetch(spec, datasets.keys(spec)[:400])
    tokenizer = AutoTokenizer.from_pretrained(folder())
    ids = tokenizer("\n\n".join(article.text for article in articles.values()))["input_ids"]
    return torch.tensor([ids[:tokens]])


def stand_in() -> torch.Tensor:
    """[L, D] small constants: what they are changes no timing, and every tool gets the same."""
    return 0.1 * torch.randn(30, 576, generator=torch.Generator().manual_seed(0))
