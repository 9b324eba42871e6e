"""Private functions of other projects. No other module of this repository calls any.

Each names what it wraps and its version. A test in tests/compat fails if an upgrade changes it.
Importing this module loads none of those projects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage
    from jinja2 import Template
    from transformers import PretrainedConfig


def attention_backend(config: PretrainedConfig) -> str | None:
    """Return the attention that a loaded model uses, such as "sdpa" or "eager".

    Wraps ``PretrainedConfig._attn_implementation`` of transformers 5.23: it has no public getter.
    """
    return config._attn_implementation


def compile_chat_template(template: str, strftime_now: Callable[[str], str]) -> Template:
    """Compile a chat template, for ``apply_chat_template`` too, with this ``strftime_now``.

    Wraps ``_compile_jinja_template`` of transformers 5.23, which caches what it compiles. The
    public method takes no function as an argument, and its own gives today's date.
    """
    from transformers.utils.chat_template_utils import _compile_jinja_template

    compiled = _compile_jinja_template(template)
    compiled.globals["strftime_now"] = strftime_now
    return compiled


def read_hub_listing(repo_folder: Path, commit: str) -> dict[str, tuple[int, str]]:
    """Return size and hash by path for a commit's files in the hub's cache. Empty if absent.

    The hash is sha256 for a large file, else git's blob sha1. Wraps ``_tree_cache.read_tree_cache``
    of huggingface_hub 2.4, as the public ``get_cached_repo_tree`` omits the sha256.
    """
    from huggingface_hub._tree_cache import read_tree_cache

    listing = read_tree_cache(str(repo_folder), commit) or {}
    return {path: (entry.size, entry.lfs_sha256 or entry.blob_id) for path, entry in listing.items()}


def resolve_ray_address(address: str) -> str:
    """Return the ``host:port`` that ``address`` (or "auto") stands for, without connecting.

    Wraps ``_private.services.canonicalize_bootstrap_address`` of Ray 2, as the public ``ray.init``
    resolves and connects at once, and retries for ever where another program listens.
    """
    from ray._private.services import canonicalize_bootstrap_address

    return canonicalize_bootstrap_address(address)


def planned_stages(repo: Repo) -> Iterator[tuple[Stage, list[Stage]]]:
    """Yield each stage in the order in which `dvc repro` runs them, with the stages it depends on.

    Wraps ``get_active_graph`` and ``plan_repro`` of DVC 3.67. `dvc repro --dry` is no substitute,
    as it does not look into the run cache.
    """
    from dvc.repo.reproduce import get_active_graph, plan_repro

    graph = get_active_graph(repo.index.graph)
    for stage in plan_repro(graph):
        yield stage, list(graph.successors(stage))


def restore_from_run_cache(repo: Repo, stage: Stage) -> bool:
    """Check out a stage's outputs from DVC's run cache. Return False if the cache has none.

    Wraps ``Repo.stage_cache.restore`` of DVC 3.67. The public `dvc repro` would run the stage.
    """
    from dvc.stage.cache import RunCacheNotFoundError

    try:
        repo.stage_cache.restore(stage)
    except RunCacheNotFoundError:
        return False
    return True


def push_objects(repo: Repo, hashes: Iterable[str]) -> tuple[int, int]:
    """Send objects of DVC's cache to the default remote. A folder's hash sends its listing alone.

    Return how many files were sent and how many failed. Wraps ``Repo.cloud.push`` of DVC 3.67.
    The public `dvc push` sends only what the workspace's files or git's commits name.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    result = repo.cloud.push([HashInfo("md5", md5) for md5 in hashes])
    return len(result.transferred), len(result.failed)
