"""Make a whole study in a folder: the files of this repository, a git commit and DVC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.helpers.root import ROOT
from wor.engine.twin import NULL_KINDS

PARTS = (
    "wor",
    "stages",
    "profiles",
    "data/frozen",
    "dvc.yaml",
    "params.yaml",
    "prereg.yaml",
    "requirements.txt",
    ".dvc/plots",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
    ".gitattributes",
)

TINY = {
    "max_new_tokens": 24,
    # 12, 12 and 22 items for evaluation
    "dataset_specs": {"gsm-symbolic": {"n": 20}, "syllogism": {"n": 25}, "wiki": {"n": 36}},
    "stand_ins": {"names": ["control", "own", "resample", "zero"], "n": 12, "layer_step": 2},
    "robustness": {"temperatures": [0.0, 0.7], "n": 2},
    "nulls": {"kinds": list(NULL_KINDS), "n": 10, "calibration": 4, "apl_seeds": 1, "lens": True, "literal_n": 10},
    "designs": {"n": 12, "lens": True},
    "heads": {"shares": [0.0, 0.5], "random_draws": 2, "n_rank": 1, "n_test": 2, "span": 8},
    "statistics": {
        "bootstrap_draws": 100,
        "calibration_draws": 100,
        "permutations": 99,
        "folds": 2,
        "repeats": 2,
        "refit_draws": 20,
    },
    "compute": {"threads": 1},
}


def merge(values: dict, changes: dict) -> dict:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value
    return values


def tiny_model(folder: Path) -> dict:
    """Return parameters with the tiny random Llama in place of the real model."""
    return {
        "models": ["tiny"],
        "model_specs": {"tiny": {"source": "local", "label": "Tiny-Random", "path": str(folder)}},
        "control": {"length_model": "tiny"},
    }


class Study:
    """Runs commands in a study's folder, as a researcher types them."""

    def __init__(self, folder: Path):
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # Use the code in this folder, not the installed checkout.
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder)}
        for name in ("COLUMNS", "DVC_ROOT", "DVC_EXP_NAME"):
            self.environment.pop(name, None)

    @classmethod
    def make(cls, folder: Path, *changes: dict) -> Study:
        for part in PARTS:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        study = cls(folder)
        study.change(*changes)
        study.run("git", "init", "-q", "-b", "main")
        study.sign()
        study.run("git", "add", "-A")
        study.run("git", "commit", "-qm", "Begin")
        return study

    def copy(self, folder: Path) -> Study:
        shutil.copytree(self.folder, folder)
        return Study(folder)

    def clone(self, folder: Path) -> Study:
        """Return a git clone, which has nothing that git does not track."""
        subprocess.run(["git", "clone", "-q", str(self.folder), str(folder)], check=True)
        clone = Study(folder)
        clone.sign()
        return clone

    def sign(self) -> None:
        self.run("git", "config", "user.name", "Tester")
        self.run("git", "config", "user.email", "tester@example.com")

    def change(self, *changes: dict) -> None:
        values = yaml.safe_load((self.folder / "params.yaml").read_text())
        for change in changes:
            merge(values, change)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def run(self, *command: str, expect: int | None = 0) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if expect is not None:
            assert done.returncode == expect, f"{command} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def stage(self, name: str, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess:
        return self.run(sys.executable, "-m", "stages", name, *arguments, expect=expect)

    def refusal(self, done: subprocess.CompletedProcess) -> str:
        """Return the one error line of a command that was refused without a traceback."""
        assert "Traceback" not in done.stderr + done.stdout
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, done.stderr
        return lines[0]

    def experiment(self, *settings: str, expect: int | None = 0, options: tuple[str, ...] = ()) -> list[str]:
        """Run `dvc exp run -S ...` and return the stages that ran."""
        pairs = [part for setting in settings for part in ("-S", setting)]
        done = self.run("dvc", "exp", "run", *options, *pairs, expect=expect)
        self.output = done.stdout + done.stderr
        return re.findall(r"^Running stage '([^']+)'", self.output, re.MULTILINE)

    def iterations(self) -> list[str]:
        return sorted(entry.name for entry in (self.folder / "experiments").glob("iteration_*") if entry.is_dir())

    def json(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text())
