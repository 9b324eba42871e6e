"""Check everything about a run that needs no model, before anything is changed."""

import gc
import os
from collections.abc import Sequence

from wor import paths
from wor.analysis.hypotheses import require_known_scores
from wor.config import overrides
from wor.config.params import Params, parse_params, parse_yaml, read_yaml
from wor.config.preregistration import deviations, load_preregistration
from wor.data import frozen
from wor.errors import UserError
from wor.process.commands import git


def check_run(changes: dict[str, object]) -> Params:
    """Return params.yaml with ``changes``. Raises UserError for the first fault."""
    params = parse_params(overrides.merge_overrides(changes), paths.PARAMS)
    check_study(params)
    return params


def check_study(params: Params) -> list[str]:
    """Check ``params`` against the frozen lists. Return the deviations from prereg.yaml.

    Also check that the folder of converted weights and finished shards can be written, before
    hours of work.
    """
    require_writable_cache()
    frozen.require_list_sizes(params)
    registered = load_preregistration()
    require_known_scores(registered)
    return deviations(registered, params)


def check_models(params: Params, names: Sequence[str]) -> None:
    """Check the folder of each named model that is on this machine, see `gate.check_folder`."""
    if not names:
        return
    collecting = gc.isenabled()
    gc.disable()  # it would take a fifth of the time in which torch and transformers are imported
    try:
        from wor.machine.libraries import quiet_libraries
        from wor.weights import gate

        quiet_libraries()
        for name in names:
            gate.check_spec(params.model_specs[name])
    finally:
        if collecting:
            gc.enable()


def uncommitted_parameters() -> list[str]:
    """Return the keys whose values in params.yaml differ from the last commit's."""
    if not (text := git("show", f"HEAD:./{paths.PARAMS}")):
        return []
    committed, current = (dict(overrides.flatten(values)) for values in (parse_yaml(text), read_yaml(paths.PARAMS)))
    return [key for key in {**current, **committed} if current.get(key) != committed.get(key)]


def require_writable_cache() -> None:
    """Raise UserError where the cache can't be written, as in a container without a home."""
    cache = paths.cache()
    existing = next(folder for folder in (cache, *cache.parents) if os.path.exists(folder))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(cache, f"{existing} cannot be written", "Name a folder that can: export WOR_CACHE=FOLDER")
