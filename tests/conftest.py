"""Fixtures: a tiny random Llama with a tokenizer of its own, made here, so that no test needs a download."""

from __future__ import annotations

import fcntl
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["DVC_NO_ANALYTICS"] = "1"

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import LlamaForCausalLM

from tests.helpers.root import ROOT
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor.config import params
from wor.engine.load import choose_device, load
from wor.engine.model import LM

if TYPE_CHECKING:
    from tests.helpers.study import Study


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder as ``make`` fills it. Of several workers (pytest -n) the first to ask makes it, the others wait for it."""
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    with open(shared / f"{name}.made", "a+") as made:
        fcntl.flock(made, fcntl.LOCK_EX)
        made.seek(0)
        if not (found := made.read()):
            found = str(tmp_path_factory.mktemp(name))
            make(Path(found))
            made.write(found)
    return Path(found)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        torch.manual_seed(7)
        LlamaForCausalLM(tiny_config()).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)

    return once(tmp_path_factory, "tiny-llama", make)


@pytest.fixture(scope="session")
def lm(tiny_folder: Path) -> LM:
    return load(tiny_folder, choose_device("cpu", "float32", 1))


@pytest.fixture(scope="session")
def lm64(tiny_folder: Path) -> LM:
    """The same weights in float64: what rounding alone can't explain shows here."""
    return load(tiny_folder, choose_device("cpu", "float64", 1))


@pytest.fixture(scope="session")
def ran(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small study in a repository of its own, after one `dvc exp run`: iteration_001. Copy it, don't change it."""
    from tests.helpers.study import TINY, Study, tiny_model

    return Study(once(tmp_path_factory, "ran", lambda folder: Study.make(folder, tiny_model(tiny_folder), TINY).experiment()))


@pytest.fixture
def study(ran: Study, tmp_path: Path) -> Study:
    """A copy of `ran`."""
    return ran.copy(tmp_path / "study")


@pytest.fixture
def values() -> dict:
    """params.yaml as plain values, to be changed by a test."""
    return params.read_yaml(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def settings() -> params.Params:
    return params.load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def quick(settings: params.Params) -> params.Params:
    """The study's parameters with fewer draws."""
    fewer = {"bootstrap_draws": 500, "permutations": 199, "repeats": 3}
    return settings.model_copy(update={"statistics": settings.statistics.model_copy(update=fewer)})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the slowest tests come first: started last, one of them would keep one worker busy and the others idle."""

    def place(item: pytest.Item) -> int:
        return next((place for place, mark in enumerate(("real", "dvc")) if item.get_closest_marker(mark)), 2)

    first: dict[Path, int] = {}
    for item in items:
        first[item.path] = min(place(item), first.get(item.path, 2))
    items.sort(key=lambda item: first[item.path])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where nothing may be left out (.ci/run), a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("WOR_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
