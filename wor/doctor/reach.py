"""Ask the network in a process that can be killed, and print JSON.

``python -m wor.doctor.reach remote``, or ``... hub KIND:REPO@REVISION ...``
"""

import json
import os
import sys
from pathlib import Path

from wor.process import commands
from wor.weights.hub import access_token

TIMEOUT = 4  # seconds, of one request to the hub


def ask_in_subprocess(*arguments: str, seconds: float) -> str:
    """Return what this module prints. Raises TimeoutError, or CommandFailed with the reason."""
    command = [sys.executable, "-m", __name__, *arguments]
    environment = commands.child_environment(AWS_MAX_ATTEMPTS="1")  # S3's five attempts take 13 seconds
    return commands.run_captured(command, env=environment, seconds=seconds)


def remote_state() -> str:
    """Return ``files``, ``empty``, or ``closed`` for a folder that can't be written."""
    from dvc.repo import Repo

    remote = Repo().cloud.get_remote()
    if remote.fs.exists(remote.path):
        return "files"
    if remote.fs.protocol == "local":
        parent = next(path for path in Path(remote.path).parents if path.exists())
        return "empty" if os.access(parent, os.W_OK) else "closed"
    bucket = remote.path.split("/")[0]  # checked too: for an object store, a missing bucket looks like an empty folder
    if remote.fs.protocol in ("s3", "gs", "azure") and not remote.fs.exists(bucket):
        raise FileNotFoundError(f"there is no bucket {bucket}")
    return "empty"


def hub_state(kind: str, repo: str, revision: str) -> tuple[str, str]:
    """Return ``available``, ``limited`` or a key of `hub.REMEDIES`, and the reason."""
    from huggingface_hub import HfApi, errors

    api = HfApi(token=access_token())
    try:
        info = api.repo_info(repo, repo_type=kind, revision=revision, timeout=TIMEOUT)
        if info.gated:
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
    except Exception as error:  # the HTTP library has an exception for each way to fail
        return "unreachable", f"{api.endpoint} cannot be reached ({type(error).__name__})"
    return "available", ""


def main(target: str, *names: str) -> None:
    if target == "remote":
        print(json.dumps(remote_state()))
    else:
        parts = [name.partition(":")[::2] for name in names]
        print(json.dumps([hub_state(kind, *rest.rsplit("@", 1)) for kind, rest in parts]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # one line, for the finding
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
