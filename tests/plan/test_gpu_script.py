"""The script that is taken to a GPU, run on a CPU with the packages alone that it may need."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks import gpu
from tests.helpers.root import ROOT
from wor.weights.families import SIZES

NEEDED = ("torch", "transformers", "numpy", "safetensors", "psutil")
TINY = dict(zip(SIZES, (32, 48, 3, 4, 2), strict=True))
STAGE = {"flops": {"forward": 1e9, "ablate": 1e9, "lens": 1e9}, "batches": [[8, 50]], "steps": 4, "null_models": 1}


def closure(names) -> set[str]:
    """Return the distributions that the named ones need, and these."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, metadata.requires(name) or [])
        waiting += [part.name for part in requirements if part.marker is None or part.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture
def packages(tmp_path) -> Path:
    """A folder with links to NEEDED and what they need."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in closure(NEEDED):
        distribution = metadata.distribution(name)
        for top in {path.parts[0] for path in distribution.files or [] if path.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def test_it_runs_with_these_packages_alone_and_writes_every_number(tmp_path, packages):
    work, out = tmp_path / "work.json", tmp_path / "GPU.md"
    work.write_text(json.dumps({"Tiny": {"sizes": TINY, "stages": [STAGE], "total": 4e9}}))
    options = ["--device", "cpu", "--seconds", "0.1", "--work", str(work), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    done = subprocess.run(
        [sys.executable, "-S", "-m", "benchmarks.gpu", *options], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.read_text().splitlines() if line.startswith("| ")]
    speeds = [row for row in rows if row[0] == "Tiny"]
    assert [row[1] for row in speeds] == ["float32", "bfloat16"]
    for row in speeds:
        rates, (step, _, total, hours, over_all) = row[2:5], row[5:]
        assert all(float(cell) > 0 for cell in (*rates, hours, over_all))
        assert all(float(number) > 0 for number in re.findall(r"([\d.e-]+) \(", step))
        assert float(total) == pytest.approx(4e9 / 1e15)
        assert float(over_all) == pytest.approx(4e9 / float(hours) / 3600 / 1e12, rel=0.02)
    again = {row[1]: row[2:] for row in rows if row[0] == "cpu, float32"}
    assert again.pop("texts drawn")[0] == "16 of 16 the same"
    assert {"kl", "entropy", "jsd", "cosine", "norm"} <= again.keys()
    assert {row[1] for row in again.values()} == {"0"}  # the same device and dtype
    rounded = {row[1]: row[2:] for row in rows if row[0] == "cpu, bfloat16"}
    assert 0 < float(rounded["entropy"][0]) < float(rounded["entropy"][2])


def test_the_counted_work_is_that_of_the_full_profile():
    assert json.loads(gpu.WORK.read_text()) == json.loads(json.dumps(gpu.count_work()))
