"""Where a run took place: code, packages, machine. Enough to say why two runs differ."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from wor import storage
from wor.data import answers
from wor.machine import control_groups
from wor.process.commands import git

PACKAGES = (
    "accelerate", "datasets", "dvc", "gguf", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic",
    "reasoning-gym", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch", "transformers",
)  # fmt: skip
_GENERATED = ("metrics", "plots", "experiments", "dvc.lock")  # what a run itself changes is no part of its code
_PATCH_LIMIT = 1_000_000  # characters
_UNTRACKED_LIMIT = 20


def code_hash(root: Path = Path()) -> str:
    """sha256 over the names and contents of everything that computes: wor/, stages/, dvc.yaml."""
    files = sorted([*root.glob("wor/**/*.py"), *root.glob("stages/*.py"), root / "dvc.yaml"])
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def git_state() -> dict:
    """Commit and uncommitted changes of this workspace; None with a reason where git can't say.

    ``untracked`` are files that git was never told of and does not ignore: no patch holds them, so a run that
    used one can't be reproduced from this.
    """
    commit = git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "reason": "no git commit here", "patch": None}
    everything = (".", *(f":(exclude){path}" for path in _GENERATED))
    untracked = (git("ls-files", "--others", "--exclude-standard", "--", *everything) or "").splitlines()
    untracked.sort(key=lambda path: not path.startswith(("wor/", "stages/", "data/")))  # what a run may have used comes first
    more = [f"and {len(untracked) - _UNTRACKED_LIMIT} more"] if len(untracked) > _UNTRACKED_LIMIT else []
    state = {"commit": commit.strip(), "untracked": untracked[:_UNTRACKED_LIMIT] + more}
    changed = (git("diff", "HEAD", "--numstat", "--no-renames", "--", *everything) or "").splitlines()
    # Git counts no lines in a binary file.
    if binary := [line.split("\t", 2)[2] for line in changed if line.startswith("-\t-\t")]:
        note = f"{', '.join(binary)}: a changed binary file goes into no patch; commit it to have it recorded"
        return {**state, "dirty": True, "patch": None, "reason": note}
    # In git's own form, whatever the user's settings make of a diff.
    form = ("--no-relative", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
    patch = git("diff", "HEAD", *form, "--", *everything)
    if patch is None:
        return {
            **state,
            "dirty": True,
            "patch": None,
            "reason": "the uncommitted change is not UTF-8: commit it to have it recorded",
        }
    if len(patch) > _PATCH_LIMIT:
        note = f"the uncommitted change has {len(patch)} characters, over {_PATCH_LIMIT}: commit it to have it recorded"
        return {**state, "dirty": True, "patch": None, "reason": note}
    return {**state, "dirty": bool(patch), "patch": patch}


def describe_environment(computes: list[dict]) -> dict:
    """Everything for env_info.json. ``computes``: what the stages that ran a model said of their placement."""
    return {
        "code": {**git_state(), "code_hash": code_hash()},
        "experiment": os.environ.get("DVC_EXP_NAME"),
        "baseline": os.environ.get("DVC_EXP_BASELINE_REV"),
        "answer_rules": answers.VERSION,
        "python": sys.version.split()[0],
        "packages": {name: package_version(name) for name in PACKAGES},
        "blas": blas_name(),
        "compute": computes[0] if computes else None,
        "compute_differs_between_stages": any(one != computes[0] for one in computes),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": control_groups.available_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def package_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def blas_name() -> str:
    import numpy

    found = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found.get('name')} {found.get('version')} (numpy)"


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def committed_state(path: Path) -> dict:
    """The file's hash, and when it was committed: None with a reason where git can't say, or where it was changed since."""
    digest = storage.sha256(path)
    committed = (git("log", "-1", "--format=%cI", "--", str(path)) or "").strip()
    if not committed:
        return {"sha256": digest, "committed": None, "reason": "not in a git commit"}
    if git("status", "--porcelain", "--", str(path)):
        return {"sha256": digest, "committed": None, "reason": f"changed since its commit of {committed}"}
    return {"sha256": digest, "committed": committed}
