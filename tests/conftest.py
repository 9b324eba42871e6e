"""Define the fixtures of several folders: a tiny random model, a finished study, parameters.

Nothing here needs a download.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["DVC_NO_ANALYTICS"] = "1"

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from filelock import FileLock
from transformers import LlamaForCausalLM

from tests.helpers.root import ROOT
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor.config import params
from wor.engine.load import choose_device, load
from wor.engine.model import LM

if TYPE_CHECKING:
    from tests.helpers.study import Study


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that ``make`` has filled, once for all workers of pytest -n."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    record = shared / f"{name}.path"
    with FileLock(shared / f"{name}.lock"):
        if not record.is_file():
            folder = tmp_path_factory.mktemp(name)
            make(folder)
            record.write_text(str(folder))
    return Path(record.read_text())


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
    """The same weights in float64, where rounding is too small to hide a difference."""
    return load(tiny_folder, choose_device("cpu", "float64", 1))


@pytest.fixture(scope="session")
def ran(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small study after one `dvc exp run`, which made iteration_001. Copy it, don't change it."""
    from tests.helpers.study import TINY, Study, tiny_model

    return Study(once(tmp_path_factory, "ran", lambda folder: Study.make(folder, tiny_model(tiny_folder), TINY).experiment()))


@pytest.fixture
def study(ran: Study, tmp_path: Path) -> Study:
    """A copy of `ran`."""
    return ran.copy(tmp_path / "study")


@pytest.fixture
def values() -> dict:
    """The values of params.yaml, for a test to change."""
    return params.read_yaml(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def settings() -> params.Params:
    return params.load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def quick(settings: params.Params) -> params.Params:
    """The study's parameters with fewer bootstrap draws, permutations and repeats."""
    fewer = {"bootstrap_draws": 500, "calibration_draws": 200, "permutations": 199, "repeats": 3, "refit_draws": 30}
    return settings.model_copy(update={"statistics": settings.statistics.model_copy(update=fewer)})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with the slowest tests first, so that all workers end together."""

    def rank(item: pytest.Item) -> int:
        return next((rank for rank, mark in enumerate(("real", "dvc")) if item.get_closest_marker(mark)), 2)

    file_ranks: dict[Path, int] = {}
    for item in items:
        file_ranks[item.path] = min(rank(item), file_ranks.get(item.path, 2))
    items.sort(key=lambda item: file_ranks[item.path])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail if a test was skipped and WOR_NO_SKIPS is set, as in .ci/run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("WOR_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
