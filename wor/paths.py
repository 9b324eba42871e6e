"""The one owner of paths, relative to the workspace, so a stage can run in any copy of it."""

import os
from pathlib import Path

from wor.errors import UserError

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")  # the hash of everything that each stage read and wrote
PIPELINE = Path("dvc.yaml")
PROFILES = Path("profiles")
PREREGISTRATION = Path("prereg.yaml")
FROZEN = Path("data/frozen")
CHECK = Path("data/check.json")
MODELS = Path("data/models")
ITEMS = Path("data/items")
LITERAL_ITEMS = Path("data/literal.jsonl")  # of the nulls alone: beside ITEMS, on which every model's stage depends
REFERENCE = Path("data/reference")
ACTIVATIONS = Path("data/activations")
TEMPERATURES = Path("data/temperatures")
NULLS = Path("data/nulls")
DESIGNS = Path("data/designs")
HEADS = Path("data/heads")
METRICS = Path("data/metrics")
LOGS = Path("data/logs")
STATS = Path("data/stats")
SUMMARY = Path("metrics/summary.json")
ITERATION = Path("metrics/iteration.json")
PLOTS = Path("plots")
FIGURES = PLOTS / "figures"
REPORTS = PLOTS / "reports"  # of two iterations, or of one that has none of its own
PLOT_TABLES = PLOTS / "tables"
# In an iteration's folder
REPORT = "report.html"
MANIFEST = "manifest.json"
NOTES = "notes.md"  # the one file that is its reader's to edit, and no part of the seal


def asked(dataset: str) -> Path:
    """In an iteration's folder: prompts, paraphrases, solutions."""
    return Path("items") / f"{dataset}.jsonl"


def observed(label: str, dataset: str) -> Path:
    """In an iteration's folder: continuations, their tokens, what the measures are made from."""
    return Path("observed") / label / dataset


def frozen(dataset: str) -> Path:
    return FROZEN / f"{dataset}.csv"


def card(model: str) -> Path:
    return MODELS / f"{model}.json"


def items(dataset: str) -> Path:
    return ITEMS / f"{dataset}.jsonl"


def activations(model: str, dataset: str) -> Path:
    return ACTIVATIONS / model / dataset


def metrics(model: str, dataset: str) -> Path:
    return METRICS / f"{model}_{dataset}.csv"


def design_exclusions(model: str) -> Path:
    """Why items have no part in the arm of gold text, by class and reason."""
    return DESIGNS / model / "excluded.json"


def held_out(model: str) -> Path:
    """Responses to the held-out reasoning items of the reference."""
    return REFERENCE / model / "reasoning"


def draws(model: str) -> Path:
    """Scores of the evaluation items under draws of the calibration sample."""
    return METRICS / f"{model}_draws"


def settings(model: str) -> Path:
    """Every other way to set the measures: see measures.settings."""
    return METRICS / f"{model}_settings"


def null_heads(model: str) -> Path:
    """Return the records of the entropies of all heads of the null models."""
    return METRICS / f"{model}_null_heads"


def pointer(folder: Path) -> Path:
    """Return DVC's file for an iteration's folder: experiments/iteration_NNN.dvc."""
    return folder.with_name(f"{folder.name}.dvc")


def project() -> Path:
    """The real repository. With ``dvc exp run --temp`` or ``--queue`` the workspace is a copy."""
    # Outside a stage, a DVC_ROOT was left in the shell.
    return Path(os.environ["DVC_ROOT"] if {"DVC_ROOT", "DVC_STAGE"} <= os.environ.keys() else ".").resolve()


def experiments() -> Path:
    return project() / "experiments"


def cache() -> Path:
    """Where converted weights live: ``$WOR_CACHE`` or the user's cache, not in the repository.

    ``$WOR_CACHE`` may be relative to the repository. The XDG Base Directory Specification says to
    ignore an ``$XDG_CACHE_HOME`` that is empty or relative. Raises UserError for a user without a
    home.
    """
    if chosen := os.environ.get("WOR_CACHE"):
        return (project() / os.path.expanduser(chosen)).resolve()
    for folder in (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")):
        if os.path.isabs(folder):
            return Path(folder).resolve() / "wor"
    value = repr(os.environ["HOME"]) if "HOME" in os.environ else "not set"  # and the system does not know this user
    raise UserError("HOME", value, "Name a folder for converted weights: export WOR_CACHE=FOLDER")


def shards() -> Path:
    return cache() / "shards"
