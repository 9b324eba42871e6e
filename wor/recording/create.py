"""Turn a finished run into experiments/iteration_NNN: whole or not at all, and never twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from wor import paths, storage
from wor.analysis import criteria as criterion
from wor.config.params import Params
from wor.figures import FIGURES
from wor.iterations import registry
from wor.iterations.load import Iteration
from wor.machine import environment
from wor.pipeline import graph
from wor.recording.numbering import next_number, rebuild_registry, registry_lock


@dataclass(frozen=True)
class Outcome:
    folder: Path
    new: bool


def fingerprint(params: Params, results: dict[str, Path]) -> str:
    """What makes two runs the same: their parameters, inputs and results, not when or where they ran.

    Over an explicit list of files, so that whatever else lies in a folder doesn't count.
    """
    settings = params.model_dump(mode="json")
    # How the work is laid out changes no result.
    settings["compute"] = {key: settings["compute"][key] for key in ("device", "dtype")}
    used = {"models": params.models, "datasets": params.datasets}
    settings["model_specs"] = {name: settings["model_specs"][name] for name in used["models"]}
    settings["dataset_specs"] = {name: settings["dataset_specs"][name] for name in used["datasets"]}
    inputs = [paths.items(dataset) for dataset in params.datasets] + [paths.card(model) for model in params.models]
    digests = {path.as_posix(): storage.sha256(path) for path in inputs}
    statistics = [*(paths.STATS / f"{model}.json" for model in params.models), paths.STATS / "criteria.json", paths.SUMMARY]
    digests |= {path.as_posix(): storage.sha256(path) for path in statistics}
    digests |= {name: storage.sha256(path) for name, path in results.items()}
    return hashlib.sha256(json.dumps([settings, digests], sort_keys=True).encode()).hexdigest()


def result_files(params: Params) -> dict[str, Path]:
    """Name in results/ -> file of this run, for everything that is copied as it is."""
    files = {}
    for model in params.models:
        label = params.model_specs[model].label
        literal = () if params.control.match == "none" else ("literal",)
        for part in (*params.datasets, "calibration", "temperatures", "twin", *literal):
            files[f"{label}_{part}_metrics.csv"] = paths.metrics(model, part)
        for dataset in params.datasets:
            files[f"{label}_{dataset}_layers.csv"] = paths.METRICS / f"{model}_{dataset}_layers.csv"
        files[f"{label}_specifications.csv"] = paths.STATS / f"{model}_specifications.csv"
        files[f"{label}_head_ranking.csv"] = paths.HEADS / model / "ranking.csv"
        files[f"{label}_head_removal.csv"] = paths.HEADS / model / "accuracy.csv"
    return files


def find_current(params: Params) -> Path | None:
    """The iteration that already holds this workspace's results; None where there is none, or no results."""
    try:
        return registry.find_by_fingerprint(paths.experiments(), fingerprint(params, result_files(params)))
    except FileNotFoundError:
        return None


def create_iteration(params: Params, own_log: dict) -> Outcome:
    """Make the next iteration from this workspace's results, or find the one that already holds them.

    ``own_log`` is the record of the stage that calls this. Under a lock: the folder is built beside its
    final place, synced to disk, then renamed, so a reader or a crash never meets half of one.
    """
    experiments = paths.experiments()
    files = result_files(params)
    mark = fingerprint(params, files)
    try:
        experiments.mkdir(parents=True, exist_ok=True)
        with registry_lock(experiments):
            for left in experiments.glob(".building-*"):  # of a run that was killed: the lock says nobody builds
                shutil.rmtree(left)
            if existing := registry.find_by_fingerprint(experiments, mark):
                rebuild_registry(experiments)
                return Outcome(existing, new=False)
            number = next_number(experiments)
            folder = experiments / registry.iteration_name(number)
            building = Path(tempfile.mkdtemp(prefix=".building-", dir=experiments))
            try:
                _write_contents(building, folder.name, params, files, mark, own_log)
                seal(building)
                building.rename(folder)
                storage.fsync(experiments)
            finally:
                shutil.rmtree(building, ignore_errors=True)
            rebuild_registry(experiments)
            return Outcome(folder, new=True)
    except OSError as error:
        raise storage.cannot_write(experiments, error) from error


def _write_contents(folder: Path, name: str, params: Params, files: dict[str, Path], mark: str, own_log: dict) -> None:
    """Write everything of the iteration but notes and manifest's seal."""
    stats = {model: storage.read_json(paths.STATS / f"{model}.json") for model in params.models}
    criteria = storage.read_json(paths.STATS / "criteria.json")
    summary = storage.read_json(paths.SUMMARY)
    logs = [storage.read_json(path) for path in graph.log_paths(params)] + [own_log]
    computes = [log["compute"] for log in logs if "compute" in log]

    used = params.model_dump(mode="json")
    used["compute"]["address"] = ""  # of a cluster: nobody else's business
    storage.write_text(folder / "config_used.yaml", yaml.safe_dump(used, sort_keys=False))
    about = environment.describe_environment(computes)
    about["memory"] = {log["stage"]: log["memory"] for log in logs if "memory" in log}
    about["datasets"] = {name: origin for log in logs for name, origin in log.get("datasets", {}).items()}
    about["cluster"] = {log["stage"]: log["cluster"] for log in logs if "cluster" in log}
    about["preregistration"] = environment.committed_state(paths.PREREGISTRATION)
    shutil.copyfile(paths.PREREGISTRATION, folder / paths.PREREGISTRATION.name)
    if paths.LOCK.is_file():  # not where stages were run one by one, without DVC
        shutil.copyfile(paths.LOCK, folder / paths.LOCK.name)
    storage.write_json(folder / "env_info.json", about)
    storage.write_json(folder / "timing.json", _timing(logs))
    storage.write_text(folder / "logs" / "run.log", "".join(f"{line}\n" for log in logs for line in log["lines"]))

    results = folder / "results"
    results.mkdir()
    for target, source in files.items():
        shutil.copyfile(source, results / target)
    for model in params.models:
        _join_metrics(params, model, results)
    _keep_observations(params, folder)
    storage.write_json(results / "model_results.json", {model: _model_result(model) for model in params.models})
    storage.write_json(results / "aggregate_statistics.json", {"models": stats, "criteria": criteria})
    storage.write_json(results / "metrics_summary.json", {"summary": summary, "criteria": criteria})

    figures = folder / "figures"
    figures.mkdir()
    for index, figure in enumerate(FIGURES, 1):
        for suffix in (".png", ".svg", ".pdf", ".json"):
            target = figures / f"Fig{index}_{figure}__{name}{suffix}"
            shutil.copyfile(paths.FIGURES / f"{figure}{suffix}", target)

    row = _row(params, stats, summary, criteria, about, mark)
    storage.write_text(folder / paths.NOTES, _notes(name, row, stats, criteria))
    sealed = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != paths.NOTES)
    files = {path.relative_to(folder).as_posix(): storage.sha256(path) for path in sealed}
    write_report_and_manifest(folder, {"iteration_id": name, "fingerprint": mark, "registry": row, "files": files})


def write_report_and_manifest(folder: Path, manifest: dict) -> None:
    """Write the manifest, the report that is made from what it lists, and the manifest with the report in it."""
    from wor.report import page  # with altair and scipy, which no command waits for that only names an outcome

    storage.write_json(folder / paths.MANIFEST, manifest)
    page.write_page(folder / paths.REPORT, Iteration(folder))
    files = {**manifest["files"], paths.REPORT: storage.sha256(folder / paths.REPORT)}
    storage.write_json(folder / paths.MANIFEST, {**manifest, "files": files})


def seal(folder: Path) -> None:
    """Sync every file and folder, and make the files read-only (but for the notes)."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != paths.NOTES:
            path.chmod(0o444)
        storage.fsync(path)
    folder.chmod(0o755)
    storage.fsync(folder)


def _timing(logs: list[dict]) -> dict:
    stages = [{key: log[key] for key in ("stage", "began", "seconds", "peak_memory_mib")} for log in logs]
    return {
        "total_seconds": round(sum(stage["seconds"] for stage in stages), 3),
        "peak_memory_mib": max(stage["peak_memory_mib"] for stage in stages),
        "stages": stages,
    }


def _join_metrics(params: Params, model: str, results: Path) -> None:
    import pandas as pd

    tables = [storage.read_csv(paths.metrics(model, dataset)) for dataset in params.datasets]
    label = params.model_specs[model].label
    storage.write_csv(results / f"{label}_metrics.csv", pd.concat(tables, ignore_index=True))


def _keep_observations(params: Params, folder: Path) -> None:
    """What was asked, what was said, and what the measures are made from, down to a token. DVC's cache has these bytes
    already, from the stages that wrote them."""
    for dataset in params.datasets:
        asked = folder / paths.asked(dataset)
        asked.parent.mkdir(exist_ok=True)
        shutil.copyfile(paths.items(dataset), asked)
        for model in params.models:
            observed = folder / paths.observed(params.model_specs[model].label, dataset)
            observed.mkdir(parents=True)
            for name in (storage.TABLE, storage.ARRAYS):
                shutil.copyfile(paths.activations(model, dataset) / name, observed / name)


def _model_result(model: str) -> dict:
    """The identity card, and what calibration fixed: enough to recompute APL and REV by hand."""
    return {
        "card": storage.read_json(paths.card(model)),
        "calibration": storage.read_json(paths.METRICS / f"{model}_calibration.json"),
    }


def _row(params: Params, stats: dict[str, dict], summary: dict, criteria: dict, about: dict, mark: str) -> dict:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "experiment": os.environ.get("DVC_EXP_NAME", ""),
        "code_hash": about["code"]["code_hash"][:16],
        "fingerprint": mark[:16],
        "models": " ".join(params.models),
        "datasets": " ".join(params.datasets),
        "n_items": summary["n"],
        "temperature": params.temperature,
        "delta_auc_mean": summary["dAUC"],
        "ci_low": summary["low"],
        "ci_high": summary["high"],
        "partial_r_mean": summary["partial_r"],
        "kind": " ".join(sorted({result["preregistration"]["kind"] for result in stats.values()})),
        "criteria": criterion.tally_verdicts(criteria),
    }


def _notes(name: str, row: dict, stats: dict[str, dict], criteria: dict) -> str:
    lines = [f"# {name}", "", f"{row['date']}, {row['models']} on {row['datasets']}, temperature {row['temperature']}.", ""]
    for model, result in stats.items():
        found = result["auroc"]["rev"]["bootstrap"]
        shown = f"{found['value']:.3f}" if found["value"] is not None else f"none ({found['reason']})"
        lines.append(f"- {model}: AUROC of REV {shown}, n = {result['n']['used']} of {result['n']['items']}")
        lines.append(f"- {model}: {result['twin']['verdict']}")
    lines += ["", "## Criteria", ""]
    lines += [f"- {key}: {entry['status']}. {entry['why']}" for key, entry in criteria.items()]
    for model, result in stats.items():
        registered = result["preregistration"]
        lines += ["", f"## Hypotheses: {model}, {registered['kind']}", ""]
        lines += [f"{reason}." for reason in registered["reasons"]] + [""] * bool(registered["reasons"])
        lines += [
            f"- {key}{' (decisive)' if entry['decisive'] else ''}, {entry['claim']}: {entry['status']}. {entry['why']}"
            for key, entry in registered["hypotheses"].items()
        ]
    lines += ["", "## What I expected", "", "", "## What I see", "", "", "## Next", "", ""]
    return "\n".join(lines)
