"""Questions to the network, in a process that can be ended: ``python -m wor.doctor.reach remote``, or ``hub``
with ``kind:repo@revision`` for each one. Prints JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from wor.process import commands
from wor.weights.hub import access_token

TIMEOUT = 4  # seconds, of one request to the hub


def ask_in_subprocess(*arguments: str, seconds: float) -> str:
    """What this module prints. Raises TimeoutError after ``seconds``, commands.CommandFailed with the reason."""
    command = [sys.executable, "-m", __name__, *arguments]
    patient = commands.child_environment(AWS_MAX_ATTEMPTS="1")  # five tries take S3 13 seconds
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=patient, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    if done.returncode:
        raise commands.CommandFailed(command, done.returncode, done.stderr)
    return done.stdout


def remote() -> str:
    """``files``, ``empty``, or for a folder that can't be written ``closed``."""
    from dvc.repo import Repo

    found = Repo().cloud.get_remote()
    if found.fs.exists(found.path):
        return "files"
    if found.fs.protocol == "local":
        above = next(path for path in Path(found.path).parents if path.exists())
        return "empty" if os.access(above, os.W_OK) else "closed"
    bucket = found.path.split("/")[0]  # an object store has no folders, and answers alike for a bucket that isn't there
    if found.fs.protocol in ("s3", "gs", "azure") and not found.fs.exists(bucket):
        raise FileNotFoundError(f"there is no bucket {bucket}")
    return "empty"


def hub(kind: str, repo: str, revision: str) -> tuple[str, str]:
    """``there``, ``gated``, ``missing``, ``limited`` or ``unreachable``, and a few words."""
    from huggingface_hub import HfApi, errors

    api = HfApi(token=access_token())
    try:
        about = api.repo_info(repo, repo_type=kind, revision=revision, timeout=TIMEOUT)
        if about.gated:
            api.auth_check(repo, repo_type=kind)
    except errors.GatedRepoError:
        return "gated", "its terms are not accepted with this token"
    except errors.RevisionNotFoundError:
        return "missing", f"there is no revision {revision}"
    except errors.RepositoryNotFoundError:
        return "missing", "there is no such repository, or it is private"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        return ("limited", "too many requests") if status == 429 else ("unreachable", f"the hub answers {status}")
    except Exception as error:  # the client's library has its own for each way of not getting there
        return "unreachable", f"{api.endpoint} cannot be reached ({type(error).__name__})"
    return "there", ""


def main(what: str, *wanted: str) -> None:
    if what == "remote":
        print(json.dumps(remote()))
    else:
        parts = [one.partition(":")[::2] for one in wanted]
        print(json.dumps([hub(kind, *rest.rsplit("@", 1)) for kind, rest in parts]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # one line for the finding
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
