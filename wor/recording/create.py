"""Write a finished run to experiments/iteration_NNN: whole or not at all, and never twice."""

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
from wor.iterations.configuration import used_parameters
from wor.iterations.load import Iteration
from wor.machine import environment
from wor.pipeline import graph
from wor.recording.numbering import next_number, rebuild_registry, registry_lock
from wor.report import markdown

STATISTICS = "statistics.csv"


@dataclass(frozen=True)
class Outcome:
    """The iteration of a run. ``new`` is False where an earlier one holds the same results."""

    folder: Path
    new: bool


def fingerprint(params: Params, results: dict[str, Path]) -> str:
    """Return the sha256 that makes two runs the same: of their parameters, inputs and results.

    Time, place and threads don't count, nor do files in a folder beside the listed ones.
    """
    settings = used_parameters(params.model_dump(mode="json"))
    inputs = [paths.items(dataset) for dataset in params.datasets] + [paths.card(model) for model in params.models]
    digests = {path.as_posix(): storage.sha256(path) for path in inputs}
    statistics = [*(paths.STATS / f"{model}.json" for model in params.models), paths.STATS / "criteria.json", paths.SUMMARY]
    digests |= {path.as_posix(): storage.sha256(path) for path in statistics}
    # statistics.csv repeats the statistics.
    digests |= {name: storage.sha256(path) for name, path in results.items() if name != STATISTICS}
    return hashlib.sha256(json.dumps([settings, digests], sort_keys=True).encode()).hexdigest()


def result_files(params: Params) -> dict[str, Path]:
    """Return the file of this run for each name in results/ that is a copy."""
    files = {STATISTICS: paths.STATS / "estimates.csv"}
    for model in params.models:
        label = params.model_specs[model].label
        literal = () if params.control.match == "none" else ("literal",)
        for part in (*params.datasets, "calibration", "temperatures", "nulls", "designs", *literal):
            files[f"{label}_{part}_metrics.csv"] = paths.metrics(model, part)
        for dataset in params.datasets:
            files[f"{label}_{dataset}_layers.csv"] = paths.METRICS / f"{model}_{dataset}_layers.csv"
        files[f"{label}_halves.csv"] = paths.METRICS / f"{model}_halves.csv"
        files[f"{label}_trial.csv"] = paths.STATS / f"{model}_trial.csv"
        files[f"{label}_specifications.csv"] = paths.STATS / f"{model}_specifications.csv"
        files[f"{label}_head_ranking.csv"] = paths.HEADS / model / "ranking.csv"
        files[f"{label}_head_removal.csv"] = paths.HEADS / model / "accuracy.csv"
    return files


def find_current(params: Params) -> Path | None:
    """Return the iteration that holds this workspace's results; None where none does."""
    try:
        return registry.find_by_fingerprint(paths.experiments(), fingerprint(params, result_files(params)))
    except FileNotFoundError:
        return None


def create_iteration(params: Params, stage_log: dict) -> Outcome:
    """Write the next iteration from this workspace's results, or find the one that holds them.

    ``stage_log`` is the record of the calling stage. The folder is built under another name, synced
    to disk and renamed, all under the registry's lock. So neither a reader nor a crash meets half
    of one. Raise UserError where a result is missing or the disk cannot be written.
    """
    experiments = paths.experiments()
    files = result_files(params)
    identity = fingerprint(params, files)
    try:
        experiments.mkdir(parents=True, exist_ok=True)
        with registry_lock(experiments):
            for abandoned in experiments.glob(".building-*"):  # a killed run's: whoever builds holds the lock
                shutil.rmtree(abandoned)
            if existing := registry.find_by_fingerprint(experiments, identity):
                rebuild_registry(experiments)
                return Outcome(existing, new=False)
            number = next_number(experiments)
            folder = experiments / registry.iteration_name(number)
            building = Path(tempfile.mkdtemp(prefix=".building-", dir=experiments))
            try:
                _write_contents(building, folder.name, params, files, identity, stage_log)
                seal(building)
                building.rename(folder)
                storage.fsync(experiments)
            finally:
                shutil.rmtree(building, ignore_errors=True)
            rebuild_registry(experiments)
            return Outcome(folder, new=True)
    except OSError as error:
        raise storage.cannot_write(experiments, error) from error


def _write_contents(folder: Path, name: str, params: Params, copies: dict[str, Path], identity: str, stage_log: dict) -> None:
    import pandas as pd

    stats = {model: storage.read_json(paths.STATS / f"{model}.json") for model in params.models}
    criteria = storage.read_json(paths.STATS / "criteria.json")
    summary = storage.read_json(paths.SUMMARY)
    logs = [storage.read_json(path) for path in graph.log_paths(params)] + [stage_log]
    computes = [log["compute"] for log in logs if "compute" in log]

    used = params.model_dump(mode="json")
    used["compute"]["address"] = ""  # the cluster's is private
    storage.write_text(folder / "config_used.yaml", yaml.safe_dump(used, sort_keys=False))
    about = environment.describe_environment(computes)
    about["memory"] = {log["stage"]: log["memory"] for log in logs if "memory" in log}
    about["datasets"] = {name: origin for log in logs for name, origin in log.get("datasets", {}).items()}
    about["cluster"] = {log["stage"]: log["cluster"] for log in logs if "cluster" in log}
    about["preregistration"] = environment.committed_state(paths.PREREGISTRATION)
    shutil.copyfile(paths.PREREGISTRATION, folder / paths.PREREGISTRATION.name)
    if paths.LOCK.is_file():  # there is none after a run without DVC
        shutil.copyfile(paths.LOCK, folder / paths.LOCK.name)
    storage.write_json(folder / "env_info.json", about)
    storage.write_json(folder / "timing.json", _timing(logs))
    storage.write_text(folder / "logs" / "run.log", "".join(f"{line}\n" for log in logs for line in log["lines"]))

    results = folder / "results"
    results.mkdir()
    for copy, source in copies.items():
        shutil.copyfile(source, results / copy)
    model_results = {}
    for model in params.models:
        tables = [storage.read_csv(paths.metrics(model, dataset)) for dataset in params.datasets]
        label = params.model_specs[model].label
        storage.write_csv(results / f"{label}_metrics.csv", pd.concat(tables, ignore_index=True))
        calibration = storage.read_json(paths.METRICS / f"{model}_calibration.json")
        model_results[model] = {"card": storage.read_json(paths.card(model)), "calibration": calibration}
    _copy_observations(params, folder)
    storage.write_json(results / "model_results.json", model_results)
    storage.write_json(results / "aggregate_statistics.json", {"models": stats, "criteria": criteria})
    storage.write_json(results / "metrics_summary.json", {"summary": summary, "criteria": criteria})

    figures = folder / "figures"
    figures.mkdir()
    for index, figure in enumerate(FIGURES, 1):
        for suffix in (".png", ".svg", ".pdf", ".json"):
            target = figures / f"Fig{index}_{figure}__{name}{suffix}"
            shutil.copyfile(paths.FIGURES / f"{figure}{suffix}", target)

    row = _row(params, stats, summary, criteria, about, identity)
    storage.write_text(folder / paths.NOTES, markdown.render_notes(name, row, stats, criteria))
    files = {name: storage.sha256(path) for name, path in storage.files_by_name(folder).items() if name != paths.NOTES}
    write_report_and_manifest(folder, {"iteration_id": name, "fingerprint": identity, "registry": row, "files": files})


def write_report_and_manifest(folder: Path, manifest: dict) -> None:
    """Write the report of what ``manifest`` lists, and the manifest with the report in it."""
    from wor.report import page  # altair and scipy, which commands that only look up an outcome don't need

    storage.write_json(folder / paths.MANIFEST, manifest)
    page.write_page(folder / paths.REPORT, Iteration(folder))
    files = {**manifest["files"], paths.REPORT: storage.sha256(folder / paths.REPORT)}
    storage.write_json(folder / paths.MANIFEST, {**manifest, "files": files})


def seal(folder: Path) -> None:
    """Sync every file and folder to disk, and make every file but the notes read-only."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != paths.NOTES:
            path.chmod(path.stat().st_mode & ~0o222)
        storage.fsync(path)
    folder.chmod((folder / "results").stat().st_mode)  # as the umask says: tempfile made the folder private
    storage.fsync(folder)


def _timing(logs: list[dict]) -> dict:
    stages = [{key: log[key] for key in ("stage", "began", "seconds", "peak_memory_mib")} for log in logs]
    passes = {log["stage"]: log["passes"] for log in logs if "passes" in log}
    return {
        "total_seconds": round(sum(stage["seconds"] for stage in stages), 3),
        "peak_memory_mib": max(stage["peak_memory_mib"] for stage in stages),
        "stages": stages,
        "passes": passes,
    }


def _copy_observations(params: Params, folder: Path) -> None:
    """Copy prompts, responses and arrays, whose bytes DVC's cache has already."""
    for dataset in params.datasets:
        prompts = folder / paths.asked(dataset)
        prompts.parent.mkdir(exist_ok=True)
        shutil.copyfile(paths.items(dataset), prompts)
        for model in params.models:
            records = folder / paths.observed(params.model_specs[model].label, dataset)
            records.mkdir(parents=True)
            for name in (storage.TABLE, storage.ARRAYS):
                shutil.copyfile(paths.activations(model, dataset) / name, records / name)


def _row(params: Params, stats: dict[str, dict], summary: dict, criteria: dict, about: dict, identity: str) -> dict:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "experiment": os.environ.get("DVC_EXP_NAME", ""),
        "code_hash": about["code"]["code_hash"][:16],
        "fingerprint": identity[:16],
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
        "auroc_mean": summary["AUROC"],
    }
