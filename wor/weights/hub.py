"""Fetch files of one commit from the Hugging Face hub, and verify them.

The huggingface_hub library transports and caches them (``HF_HOME``, ``HF_HUB_CACHE``). Without a
network, or with ``HF_HUB_OFFLINE=1``, all files come from its cache. No code of a repository runs.
"""

import errno
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
from typing import Literal, TypeVar

from wor import compat, storage
from wor.errors import UserError

Kind = Literal["model", "dataset"]
Response = TypeVar("Response")
_COMMIT = re.compile("[0-9a-f]{40}")
_TIMEOUT = 10  # seconds to the first byte of a response
_RETRY_STATUSES = (429, 500, 502, 503, 504)
_MAX_TRIES = 5
_MAX_WAIT = 300  # seconds; the hub's rate limits are per five minutes
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class FileSelection:
    """Globs to take (None takes all), to ignore, and ``required`` ones with a remedy if absent."""

    patterns: list[str] | None
    ignore: list[str]
    required: Mapping[str, str]

    def select(self, paths: Iterable[str]) -> list[str]:
        from huggingface_hub.utils import filter_repo_objects

        return list(filter_repo_objects(paths, allow_patterns=self.patterns, ignore_patterns=self.ignore))

    def missing_patterns(self, paths: Iterable[str]) -> list[str]:
        """Return the globs of ``required`` that no path matches."""
        return [pattern for pattern in self.required if not any(fnmatch(path, pattern) for path in paths)]


def fetch_snapshot(
    repo: str, revision: str, kind: Kind, selection: FileSelection, log: Callable[[str], None] = lambda _: None
) -> tuple[Path, str]:
    """Return a repository's folder in the hub's cache at ``revision``, and its commit.

    A cached commit (40 hex digits) needs no network. The hub resolves a branch or tag, or the cache
    if the hub can't be reached. ``verify_files`` checks the contents. Raises UserError for whatever
    hub, network or disk refuses. A missing required file or full disk is refused before a download.
    """
    import httpx2
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if sys.stderr.isatty() else disable_progress_bars)()
    api, title = HfApi(token=access_token()), f"{kind} {repo} at {revision}"
    cached = find_cached(repo, revision, kind, selection)
    is_commit = _COMMIT.fullmatch(revision)
    if is_commit and cached and _listing(repo, kind, revision):  # without a listing, files may be missing
        return cached, revision
    try:
        info_of = partial(api.repo_info, repo, repo_type=kind, revision=revision, timeout=_TIMEOUT, files_metadata=True)
        info = _with_retries(info_of, log)
    except Exception as error:  # the errors of the library, of httpx and of the system have no common base
        if cached and (is_commit or isinstance(error, (httpx2.TransportError, OfflineModeIsEnabled))):
            return cached, cached.name
        raise _as_user_error(error, title) from error
    folder = _folder(repo, kind, info.sha)
    if not is_commit:
        with suppress(UserError):  # the cache may be read-only, and only offline runs need this
            storage.write_text(folder.parents[1] / "refs" / revision, info.sha)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if _missing_files(sizes, title, folder, selection, log):
        options = {"allow_patterns": selection.patterns, "ignore_patterns": selection.ignore, "token": access_token()}
        try:
            snapshot_download(repo, repo_type=kind, revision=info.sha, **options)
        except Exception as error:
            raise _as_user_error(error, title) from error
    return folder, info.sha


def find_cached(repo: str, revision: str, kind: Kind, selection: FileSelection) -> Path | None:
    """Return the cached folder of ``revision`` if it has all selected files. Uses no network."""
    from huggingface_hub import resolve_revision
    from huggingface_hub.errors import RevisionResolutionError

    try:
        commit = resolve_revision(repo, repo_type=kind, revision=revision, local_files_only=True).resolved
    except RevisionResolutionError:
        return None
    folder = _folder(repo, kind, commit)
    paths = selection.select(_listing(repo, kind, commit) or list_files(folder))
    complete = all((folder / path).is_file() for path in paths)
    return folder if paths and complete and not selection.missing_patterns(paths) else None


def list_files(folder: Path) -> list[str]:
    """Return the path in the repository of every file in a commit's folder."""
    return sorted(storage.files_by_name(folder))


def verify_files(repo: str, kind: Kind, commit: str, files: Iterable[Path]) -> None:
    """Check files of a fetched folder against the hub's hashes. Raises UserError.

    The hash is sha256 for a large file and git's blob sha1 for any other. The cache links a file to
    content that it names by the hash. On a disk without links, the commit's listing has the hash.
    """
    from huggingface_hub.utils.sha import git_hash

    folder, listing = _folder(repo, kind, commit), _listing(repo, kind, commit)
    for path in files:
        # One step only: the content may be a link into a store that repositories share.
        _, listed = listing.get(path.relative_to(folder).as_posix(), (0, ""))
        expected = path.readlink().name if path.is_symlink() else listed
        if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", expected):
            raise UserError(path, "the cache has no hash of it", f"Remove {folder} to fetch it again")
        name, actual = ("sha256", storage.sha256(path)) if len(expected) == 64 else ("git sha1", git_hash(path.read_bytes()))
        if actual != expected:
            remedy = f"The hub has another file at {commit}: remove {path.resolve()} to have it fetched again"
            raise UserError(path, f"{name} is {actual}, expected {expected}", remedy)


def cache_folder() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE).expanduser().resolve()


def access_token() -> str | None:
    """Return the token of the environment. Without one, the library looks in its other places."""
    return (os.environ.get("HF_TOKEN") or os.environ.get("HUGGINGFACE_HUB_TOKEN") or "").strip() or None


def _with_retries(request: Callable[[], Response], log: Callable[[str], None]) -> Response:
    """Repeat ``request`` while the hub is busy. The library retries every request but this one."""
    from huggingface_hub.errors import HfHubHTTPError

    attempt = 1
    while True:
        try:
            return request()
        except HfHubHTTPError as error:
            retry_after = error.response.headers.get("retry-after", "")
            wait = int(retry_after) if retry_after.isdigit() else 2**attempt
            if error.response.status_code not in _RETRY_STATUSES or attempt == _MAX_TRIES or wait > _MAX_WAIT:
                raise
            log(f"the hub answers {error.response.status_code}: next try in {wait} s")
            time.sleep(wait)
            attempt += 1


def _listing(repo: str, kind: Kind, commit: str) -> dict[str, tuple[int, str]]:
    return compat.read_hub_listing(_folder(repo, kind, commit).parents[1], commit)


def _folder(repo: str, kind: Kind, commit: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache_folder() / repo_folder_name(repo_id=repo, repo_type=kind) / "snapshots" / commit


def _missing_files(
    sizes: dict[str, int], title: str, folder: Path, selection: FileSelection, log: Callable[[str], None]
) -> list[str]:
    """Return what ``folder`` lacks. Raises UserError for an absent required file or a full disk."""
    selected = selection.select(sizes)
    for pattern in selection.missing_patterns(selected):
        names = ", ".join(sorted(sizes)[:8]) + (f" and {len(sizes) - 8} more" if len(sizes) > 8 else "")
        raise UserError(title, f"has no {pattern}, only {names}", selection.required[pattern])
    missing = [path for path in selected if not (folder / path).exists()]
    needed = sum(sizes[path] for path in missing)
    existing = next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        remedy = f"Free space, or name another disk's folder in HF_HOME (now under {existing})"
        raise UserError(title, f"needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free", remedy)
    if missing:
        log(f"fetching {len(missing)} files, {needed / 2**20:.1f} MiB, of {title}")
    return missing


def _as_user_error(error: Exception, title: str) -> UserError:
    """Return one line for an error of the library, which wraps causes in less specific errors."""
    import httpx2
    from huggingface_hub import errors
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE, is_offline_mode

    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    response = next((link.response for link in chain if isinstance(link, errors.HfHubHTTPError)), None)
    status = response.status_code if response is not None else None
    disk = next((link for link in chain if isinstance(link, OSError) and link.errno in _DISK), None)
    is_short = any("Consistency check failed" in str(link) for link in chain)
    if has(errors.OfflineModeIsEnabled) or is_offline_mode():
        value = f"not in the cache {HF_HUB_CACHE}, and offline mode is on"
        remedy = "Unset HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) where there is a network, or name a cache that has it in HF_HOME"
    elif has(errors.RevisionNotFoundError):
        value, remedy = "the repository has no such revision", "Name a commit, a branch or a tag of its history"
    elif has(errors.GatedRepoError):
        value = f"the repository is gated ({status})"
        remedy = "Accept its terms on its page, and set HF_TOKEN to a token of that account"
    elif has(errors.RepositoryNotFoundError):
        value, remedy = f"no such repository, or a private one ({status})", "Check repo; a private one needs HF_TOKEN"
    elif status in (401, 403):
        value = f"the hub refuses the token ({status})"
        remedy = "Set HF_TOKEN to a valid token that may read the repository, or unset it for a public one"
    elif response is not None and status == 429:
        wait = response.headers.get("retry-after", "")
        value = "too many requests for the hub (429)" + (f", which asks to wait {wait} s" if wait else "")
        remedy = "Wait, then rerun; with HF_TOKEN set the limits are wider"
    elif status:
        value, remedy = f"the hub answers {status}", "Rerun later: complete files are kept"
    elif disk:
        return storage.cannot_write(Path(disk.filename or HF_HUB_CACHE), disk)
    elif is_short or has(httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ReadTimeout):
        value, remedy = "the download broke off and stayed short", "Rerun: complete files are kept"
    elif has(httpx2.TransportError):
        value = f"not in the cache, and {ENDPOINT} can't be reached"
        remedy = "Check the network and HF_ENDPOINT; a copy in the cache would do, with HF_HUB_OFFLINE=1"
    else:
        reason = (str(error).strip().splitlines() or [""])[0]
        value = f"can't be fetched ({type(error).__name__}: {reason})"
        remedy = "Rerun; if the error stays, look at the repository's page"
    return UserError(title, value, remedy)
