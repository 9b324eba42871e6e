"""Describe where a run took place: code, packages and machine."""

import hashlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from wor import storage
from wor.data import answers
from wor.errors import UserError
from wor.machine import control_groups
from wor.process.commands import git, head_commit

PACKAGES = (
    "accelerate", "datasets", "dvc", "gguf", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic",
    "reasoning-gym", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch", "transformers",
)  # fmt: skip
SHALLOW = "this clone is shallow, without the commit of that file: git fetch --unshallow"
_GENERATED = ("metrics", "plots", "experiments", "dvc.lock")  # a run itself changes these
_PATCH_LIMIT = 1_000_000  # characters
_UNTRACKED_LIMIT = 20


def code_hash(root: Path = Path()) -> str:
    """Return the sha256 of the names and contents of wor/, stages/ and dvc.yaml."""
    files = sorted([*root.glob("wor/**/*.py"), *root.glob("stages/*.py"), root / "dvc.yaml"])
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def git_state() -> dict:
    """Return this workspace's commit and uncommitted changes; None with a reason if unknown.

    No patch holds ``untracked`` files (not ignored), so a run that used one can't be reproduced.
    """
    try:
        commit = head_commit()
    except UserError as error:
        return {"commit": None, "reason": f"git: {error.value}", "patch": None}
    everything = (".", *(f":(exclude){path}" for path in _GENERATED))
    untracked = (git("ls-files", "--others", "--exclude-standard", "--", *everything) or "").splitlines()
    untracked.sort(key=lambda path: not path.startswith(("wor/", "stages/", "data/")))  # what a run may have used comes first
    more = [f"and {len(untracked) - _UNTRACKED_LIMIT} more"] if len(untracked) > _UNTRACKED_LIMIT else []
    state = {"commit": commit, "untracked": untracked[:_UNTRACKED_LIMIT] + more}
    patch, reason = _patch(everything)
    return {**state, "dirty": bool(patch) or patch is None, "patch": patch} | ({"reason": reason} if reason else {})


def _patch(files: tuple[str, ...]) -> tuple[str | None, str]:
    """Return the uncommitted change as a patch, or None and the reason why no patch can hold it."""
    changed = (git("diff", "HEAD", "--numstat", "--no-renames", "--", *files) or "").splitlines()
    # Git counts no lines in a binary file.
    if binary := [line.split("\t", 2)[2] for line in changed if line.startswith("-\t-\t")]:
        return None, f"{', '.join(binary)}: a changed binary file goes into no patch; commit it to have it recorded"
    # In git's own form, whatever the user's settings make of a diff.
    form = ("--no-relative", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
    patch = git("diff", "HEAD", *form, "--", *files)
    if patch is None:
        return None, "the uncommitted change is not UTF-8: commit it to have it recorded"
    if len(patch) > _PATCH_LIMIT:
        return None, f"the uncommitted change has {len(patch)} characters, over {_PATCH_LIMIT}: commit it to have it recorded"
    return patch, ""


def describe_environment(computes: list[dict]) -> dict:
    """Return env_info.json. ``computes`` has the placement of each stage that ran a model."""
    return {
        "code": {**git_state(), "code_hash": code_hash()},
        "experiment": os.environ.get("DVC_EXP_NAME"),
        "baseline": os.environ.get("DVC_EXP_BASELINE_REV"),
        "answer_rules": answers.VERSION,
        "python": sys.version.split()[0],
        "packages": {name: package_version(name) for name in PACKAGES},
        "blas": blas_name(),
        "compute": computes[0] if computes else None,
        "compute_differs_between_stages": any(compute != computes[0] for compute in computes),
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

    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name')} {blas.get('version')} (numpy)"


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def committed_state(path: Path) -> dict:
    """Return a file's sha256 and commit time; None with a reason if it is not as committed."""
    committed, reason = _commit_time(path)
    unknown = {"committed": None, "reason": reason} if reason else {"committed": committed}
    return {"sha256": storage.sha256(path), **unknown}


def _commit_time(path: Path) -> tuple[str, str]:
    """Return when a file was last committed, or the reason why that is unknown."""
    try:
        head_commit()
    except UserError as error:
        return "", f"git: {error.value}"
    form = ("--no-show-signature", "--format=%H %cI")  # a user's log.showSignature would add lines
    commit, _, committed = (git("log", "-1", *form, "--", str(path)) or "").strip().partition(" ")
    if not commit:
        return "", "not in a git commit"
    # Where a shallow clone's history is cut off, every file seems to be of that commit.
    boundary = Path((git("rev-parse", "--git-path", "shallow") or "").strip())
    if boundary.is_file() and commit in boundary.read_text(encoding="utf-8").split():
        return "", SHALLOW
    if git("status", "--porcelain", "--", str(path)):
        return "", f"changed since its commit of {committed}"
    return committed, ""
