"""Time what comes after the models in a study of 2,400 items: tables, statistics, report.

python -m benchmarks.large [ITEMS]     writes benchmarks/LARGE.md, in some ten minutes

It enlarges the default run that is in this workspace. Each item stands for several, each a cluster
of its own as in the full study, with every measured array multiplied by a factor near 1. The stages
and commands are the real ones. What they give says nothing of a model.
"""

from __future__ import annotations

import math
import os
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

from benchmarks.engine import Report
from wor import paths, storage
from wor.config import params as parameters
from wor.errors import UserError
from wor.iterations import registry
from wor.machine.environment import cpu_name
from wor.measures.item_arrays import Records

RESULTS = Path(__file__).parent / "LARGE.md"
ITEMS, NULLS, DESIGNS = 2400, 300, 300  # of the full profile: in all, per null model, per arm
SHOWN = 8  # parts of the statistics
VISITS = 5  # of the report, by a browser without a cache
SPREAD = 0.05  # sd of the factors' logarithm
PARTS = ("wor", "stages", "profiles", "experiments", "data", "metrics", "plots", ".dvc")
FILES = ("dvc.yaml", "dvc.lock", "params.yaml", "prereg.yaml", "requirements.txt", ".dvcignore", ".gitignore", ".gitattributes")
HEAD = """# What comes after the models, in a large study

Made by `python -m benchmarks.large` from a default run. Its items are enlarged, so these are times
alone.
"""


def enlarge(frame: pd.DataFrame, arrays: dict[str, np.ndarray], n: int, seed: int) -> Records:
    """Return records of ``n`` different items: copies with other IDs, clusters and values."""
    generator = np.random.default_rng(seed)
    names = frame["item_id"].unique()
    copies, parts = -(-n // len(names)), []
    for copy in range(copies):
        rows = np.flatnonzero(frame["item_id"].isin(names[: n - copy * len(names)]))
        part = frame.iloc[rows].reset_index(drop=True)
        factor = dict(zip(names, np.exp(SPREAD * generator.standard_normal(len(names))), strict=True))
        scale = part["item_id"].map(factor).to_numpy()
        part["cluster"] = part["item_id"] = part["item_id"] + f"~{copy}"
        for name in ("avg_logprob", "perplexity", "prompt_perplexity"):
            part[name] = part[name] * scale
        scaled = {
            name: (values[rows] * scale.reshape(-1, *[1] * (values.ndim - 1))).astype(values.dtype)
            for name, values in arrays.items()
        }
        parts.append((part, scaled))
    joined = pd.concat([part for part, _ in parts], ignore_index=True)
    return joined, {name: np.concatenate([scaled[name] for _, scaled in parts]) for name in arrays}


def enlarge_study(params: parameters.Params, n: int) -> None:
    """Enlarge what the models left in the current folder: as many items of either class."""
    for model in params.models:
        for dataset in params.datasets:
            alike = params.datasets_with_role(params.spec(dataset).role)
            folder = paths.activations(model, dataset)
            frame, arrays = enlarge(*storage.read_records(folder), n // 2 // len(alike), params.seed)
            storage.write_records(folder, frame, arrays)
            rows = {row["item_id"]: row for row in storage.read_jsonl(paths.items(dataset))}
            held_out = [row for row in rows.values() if row["split"] == "calibration"]
            copies = [rows[name.split("~")[0]] | {"item_id": name, "cluster": name} for name in frame["item_id"]]
            storage.write_jsonl(paths.items(dataset), held_out + copies)
        for folder, count in ((paths.NULLS / model / "null_models", NULLS), (paths.DESIGNS / model, DESIGNS)):
            storage.write_records(folder, *enlarge(*storage.read_records(folder), count, params.seed))


def run(folder: Path, *command: str) -> float:
    """Run a command in the study and return its seconds."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    for name in ("DVC_ROOT", "DVC_STAGE"):
        environment.pop(name, None)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def shares(folder: Path) -> list[tuple[str, str]]:
    """Run the statistics once more, and return the parts that take most of their time."""
    run(folder, "cProfile", "-o", "profile", "-m", "stages", "stats")
    calls = pstats.Stats(str(folder / "profile")).stats  # type: ignore[attr-defined]
    parent = next(function for function in calls if function[2] == "_analyse")
    parts = {function: callers[parent][3] for function, (*_, callers) in calls.items() if parent in callers}
    largest = sorted(parts, key=parts.get, reverse=True)[:SHOWN]
    return [(f"{Path(path).stem}.{name}", f"{parts[path, line, name] / calls[parent][3]:.0%}") for path, line, name in largest]


def opening(report: Path) -> float:
    """Return the seconds until Debian's chromium has loaded and drawn a report; NaN without it."""
    executable, seconds = shutil.which("chromium"), []
    if executable is None:
        return math.nan
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for _ in range(VISITS):
            page = browser.new_context(offline=True).new_page()
            begun = time.perf_counter()
            page.goto(report.as_uri())
            page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
            seconds.append(time.perf_counter() - begun)
            page.context.close()
        browser.close()
    return statistics.median(seconds)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS
    source, params = Path.cwd(), parameters.load_params()
    if not paths.SUMMARY.is_file():
        raise UserError(paths.SUMMARY, "not found", "First: make run")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for part in PARTS:
            shutil.copytree(source / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp"))
        for name in FILES:
            shutil.copy(source / name, folder / name)
        for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "Begin"]):
            subprocess.run(["git", *command], cwd=folder, check=True)
        os.chdir(folder)
        enlarge_study(params, n)
        seconds = {name: run(folder, "stages", name) for name in ("metrics", "stats", "figures", "iteration")}
        where = shares(folder)
        name = str(registry.workspace_iteration())
        seconds["wor verify"] = run(folder, "wor.cli", "verify", name)
        seconds["wor report --redraw"] = run(folder, "wor.cli", "report", name, "--redraw")
        seconds["wor compare"] = run(folder, "wor.cli", "compare", name, name)
        seconds["opening the report"] = opening(paths.experiments() / name / paths.REPORT)
        used = storage.read_json(paths.STATS / f"{params.models[0]}.json")["n"]["used"]
        size = (paths.experiments() / name / paths.REPORT).stat().st_size
        os.chdir(source)
    report = Report()
    report.table(("", "seconds"), *((name, f"{value:.1f}") for name, value in seconds.items()))
    report.add(
        f"One model, {n:,} items of which {used:,} have a REV, {NULLS} read by each null model, {DESIGNS} in each arm of the "
        f"designs, {params.statistics.bootstrap_draws:,} draws. The report is {size / 2**20:.1f} MiB."
    )
    report.add("Where the statistics' time goes, by parts of wor/analysis:")
    report.table(("part", "share"), *where)
    report.add(f"*{datetime.now(UTC):%Y-%m-%d}, {cpu_name()}, {os.cpu_count()} threads.*")
    RESULTS.write_text(HEAD + "\n" + "\n".join(report.lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
