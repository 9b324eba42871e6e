"""The Hugging Face hub: a revision becomes a commit, a commit a folder of files that are what the hub says.

Transport only, by the huggingface_hub library and in its cache (``HF_HOME``, ``HF_HUB_CACHE``). With the network away
or ``HF_HUB_OFFLINE=1`` everything comes from there. Nothing that a repository holds is run.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wor import storage
from wor.errors import UserError

if TYPE_CHECKING:  # half a second, and most runs need no hub
    from huggingface_hub import HfApi

Kind = Literal["model", "dataset"]
_COMMIT = re.compile("[0-9a-f]{40}")
_TIMEOUT = 10  # seconds for a first answer
_RETRY_STATUSES = (429, 500, 502, 503, 504)
_TRIES = 5
_LONGEST_WAIT = 300  # seconds: the hub's limits are by windows of five minutes
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class FileSelection:
    """What is wanted of a repository: globs over the paths in it (None: all of them), and globs of what is left out.

    ``required`` maps globs that a file must match to the remedy for when none does.
    """

    patterns: list[str] | None
    ignore: list[str]
    required: Mapping[str, str]

    def select(self, paths: Iterable[str]) -> list[str]:
        from huggingface_hub.utils import filter_repo_objects

        return list(filter_repo_objects(paths, allow_patterns=self.patterns, ignore_patterns=self.ignore))

    def missing_patterns(self, chosen: Iterable[str]) -> list[str]:
        """The globs of ``required`` that none of ``chosen`` matches."""
        return [pattern for pattern in self.required if not any(fnmatch(path, pattern) for path in chosen)]


def fetch_snapshot(
    repo: str,
    revision: str,
    kind: Kind,
    wanted: FileSelection,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Path, str]:
    """The folder of ``repo`` at ``revision`` in the hub's cache, and the commit that this is.

    A commit (40 hex digits) is taken as it is; a branch or tag is asked for, or looked up in the cache's refs where the
    hub can't be reached. That nothing matches what is required is found out before anything is downloaded.

    Raises UserError for whatever the hub, the network or the disk refuses. Contents are not checked: see ``verify``.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if sys.stderr.isatty() else disable_progress_bars)()
    api, what = HfApi(token=access_token()), f"{kind} {repo} at {revision}"
    try:
        commit, sizes, absence = _resolve_commit(api, repo, kind, revision, say)
    except Exception as error:  # the library's, httpx's and the system's: they have no common base
        raise _as_user_error(error, what) from error
    folder = _folder(repo, kind, commit)
    if sizes is not None and not _missing_files(sizes, what, folder, wanted, say):
        return folder, commit
    try:
        snapshot_download(
            repo,
            repo_type=kind,
            revision=commit,
            allow_patterns=wanted.patterns,
            ignore_patterns=wanted.ignore,
            token=access_token(),
            local_files_only=absence is not None,
        )
    except Exception as error:
        raise _as_user_error(absence or error, what) from error
    if absence is not None and not find_cached(repo, commit, kind, wanted):
        raise _as_user_error(absence, what) from absence  # the library takes the folder of a few files for all of it
    return folder, commit


def find_cached(repo: str, revision: str, kind: Kind, wanted: FileSelection) -> Path | None:
    """The folder of ``revision`` if the cache has of it what ``fetch`` would give, else None. Asks nobody."""
    ref = _folder(repo, kind, "-").parents[1] / "refs" / revision
    commit = revision if _COMMIT.fullmatch(revision) else ref.read_text().strip() if ref.is_file() else "-"
    folder = _folder(repo, kind, commit)
    chosen = wanted.select(_listing(repo, kind, commit) or list_files(folder))
    whole = all((folder / path).is_file() for path in chosen)
    return folder if chosen and whole and not wanted.missing_patterns(chosen) else None


def list_files(folder: Path) -> list[str]:
    """Every file of a commit's folder, by its path in the repository. A cache may have more than one study fetched."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def cached_with_files(repo: str, kind: Kind, commit: str, files: Iterable[str]) -> Path | None:
    """The folder of ``commit`` if the cache has these files of it, else None. Asks nobody."""
    folder = _folder(repo, kind, commit)
    return folder if all((folder / name).is_file() for name in files) else None


def verify_files(repo: str, kind: Kind, commit: str, files: Iterable[Path]) -> None:
    """Hold each file of a fetched folder against the hash that the hub gave it.

    The cache names a file's content by it, and links to it from the folder: sha256 for large files, git's blob sha1 for
    the others. Where files are no links, because the disk has none, the commit's kept listing says it.
    """
    folder, listing = _folder(repo, kind, commit), _listing(repo, kind, commit)
    for path in files:
        # One step only: the content may itself be a link into a store that other repositories share.
        _, listed = listing.get(path.relative_to(folder).as_posix(), (0, ""))
        expected = path.readlink().name if path.is_symlink() else listed
        if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", expected):
            raise UserError(path, "no hash of it is kept", f"Remove {folder} to have it fetched again")
        name, found = ("sha256", storage.sha256(path)) if len(expected) == 64 else ("git sha1", _git_sha1(path))
        if found != expected:
            remedy = f"It isn't what the hub has at {commit}: remove {path.resolve()} to have it fetched again"
            raise UserError(path, f"{name} is {found}, expected {expected}", remedy)


def cache_folder() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE).expanduser().resolve()


def access_token() -> str | None:
    """None leaves it to the library, which also knows HUGGING_FACE_HUB_TOKEN and `hf auth login`."""
    return (os.environ.get("HF_TOKEN") or os.environ.get("HUGGINGFACE_HUB_TOKEN") or "").strip() or None


def _resolve_commit(
    api: HfApi, repo: str, kind: Kind, revision: str, say: Callable[[str], None]
) -> tuple[str, dict[str, int] | None, Exception | None]:
    """The commit, its files' sizes, and where the hub could not say them the error why: then the cache is all there is."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    pinned = _COMMIT.fullmatch(revision)
    if pinned and (kept := _listing(repo, kind, revision)):
        return revision, {path: size for path, (size, _) in kept.items()}, None
    try:
        ask = partial(api.repo_info, repo, repo_type=kind, revision=revision, timeout=_TIMEOUT, files_metadata=True)
        info = _with_retries(ask, say)
    except (httpx2.TransportError, OfflineModeIsEnabled, HfHubHTTPError) as error:
        if isinstance(error, HfHubHTTPError) and not pinned:
            raise
        known = api.resolve_revision(repo, repo_type=kind, revision=revision, local_files_only=True)
        return known.resolved, None, error
    if not pinned:
        with suppress(UserError):  # for when the network is away; a cache that may only be read does without
            storage.write_text(_folder(repo, kind, info.sha).parents[1] / "refs" / revision, info.sha)
    return info.sha, {file.rfilename: file.size or 0 for file in info.siblings or []}, None


def _with_retries(ask: Callable[[], object], say: Callable[[str], None]) -> object:
    """``ask`` again while the hub is too busy, after as long as it says: the library does so for everything but this."""
    from huggingface_hub.errors import HfHubHTTPError

    for attempt in itertools.count(1):
        try:
            return ask()
        except HfHubHTTPError as error:
            wanted = error.response.headers.get("retry-after", "")
            wait = int(wanted) if wanted.isdigit() else 2**attempt
            if error.response.status_code not in _RETRY_STATUSES or attempt == _TRIES or wait > _LONGEST_WAIT:
                raise
            say(f"the hub answers {error.response.status_code}: asking again in {wait} s")
            time.sleep(wait)


def _listing(repo: str, kind: Kind, commit: str) -> dict[str, tuple[int, str]]:
    """Size and hash of every file of a commit by its path, as the cache keeps them; nothing where it doesn't."""
    from huggingface_hub._tree_cache import read_tree_cache  # its public reader leaves out the sha256 of large files

    tree = read_tree_cache(str(_folder(repo, kind, commit).parents[1]), commit) or {}
    return {path: (file.size, file.lfs_sha256 or file.blob_id) for path, file in tree.items()}


def _folder(repo: str, kind: Kind, commit: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache_folder() / repo_folder_name(repo_id=repo, repo_type=kind) / "snapshots" / commit


def _missing_files(
    sizes: dict[str, int],
    what: str,
    folder: Path,
    wanted: FileSelection,
    say: Callable[[str], None],
) -> list[str]:
    """What ``folder`` lacks. What can't come to a good end is refused here, before a download: no file of a kind, no room."""
    chosen = wanted.select(sizes)
    for pattern in wanted.missing_patterns(chosen):
        has = ", ".join(sorted(sizes)[:8]) + (f" and {len(sizes) - 8} more" if len(sizes) > 8 else "")
        raise UserError(what, f"has no {pattern}, only {has}", wanted.required[pattern])
    missing = [path for path in chosen if not (folder / path).exists()]
    needed = sum(sizes[path] for path in missing)
    standing = next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(standing).free
    if needed > free:
        remedy = f"Free space, or name another disk's folder in HF_HOME (now under {standing})"
        raise UserError(what, f"needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free", remedy)
    if missing:
        say(f"fetching {len(missing)} files, {needed / 2**20:.1f} MiB, of {what}")
    return missing


def _git_sha1(path: Path) -> str:
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _as_user_error(error: Exception, what: str) -> UserError:
    """The one line for an error of the library: it wraps what happened in errors that say less."""
    import httpx2
    from huggingface_hub import errors
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE, is_offline_mode

    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__

    def first(*kinds: type[BaseException]) -> BaseException | None:
        return next((link for link in chain if isinstance(link, kinds)), None)

    if first(errors.OfflineModeIsEnabled) or is_offline_mode():
        remedy = "Unset HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) where there is a network, or name a cache that has it in HF_HOME"
        return UserError(what, f"not in the cache {HF_HUB_CACHE}, and offline mode is on", remedy)
    if first(errors.RevisionNotFoundError):
        return UserError(what, "the repository has no such revision", "Name a commit, a branch or a tag of its history")
    answer = first(errors.HfHubHTTPError)
    if isinstance(answer, errors.HfHubHTTPError):
        status = answer.response.status_code
        if first(errors.GatedRepoError):
            remedy = "Accept its terms on its page, and set HF_TOKEN to a token of that account"
            return UserError(what, f"the repository is gated ({status})", remedy)
        if first(errors.RepositoryNotFoundError):
            remedy = "Check repo; a private one needs HF_TOKEN"
            return UserError(what, f"no such repository, or a private one ({status})", remedy)
        if status in (401, 403):
            remedy = "Set HF_TOKEN to a valid token that may read the repository, or unset it for a public one"
            return UserError(what, f"the hub refuses the token ({status})", remedy)
        if status == 429:
            wait = answer.response.headers.get("retry-after", "")
            said = f", which asks to wait {wait} s" if wait else ""
            return UserError(
                what, f"too many requests for the hub (429){said}", "Wait, then rerun; with HF_TOKEN set the limits are wider"
            )
        return UserError(what, f"the hub answers {status}", "Rerun later: what is whole is kept")
    if disk := next((link for link in chain if isinstance(link, OSError) and link.errno in _DISK), None):
        return storage.cannot_write(Path(disk.filename or HF_HUB_CACHE), disk)
    short = next((link for link in chain if "Consistency check failed" in str(link)), None)
    if short or first(httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ReadTimeout):
        return UserError(
            what, "the download broke off and stayed short", "Rerun: files that are whole are kept, no part of one is"
        )
    if first(httpx2.TransportError):
        remedy = "Check the network and HF_ENDPOINT; a copy in the cache would do, with HF_HUB_OFFLINE=1"
        return UserError(what, f"not in the cache, and {ENDPOINT} can't be reached", remedy)
    kind, reason = type(error).__name__, str(error).strip().splitlines() or [""]
    return UserError(what, f"can't be fetched ({kind}: {reason[0]})", "Rerun; if it stays, look at the repository's page")
