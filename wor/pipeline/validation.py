"""Everything about a run that can be checked without a model, before anything is touched."""

from __future__ import annotations

from wor import paths
from wor.analysis.hypotheses import require_known_scores
from wor.config import overrides
from wor.config.params import Params, parse_params
from wor.config.preregistration import deviations, load_preregistration
from wor.data import frozen


def check_run(changes: dict[str, object]) -> Params:
    """Return params.yaml with ``changes``, as the run will see it. Raises UserError for the first fault."""
    params = parse_params(overrides.merge_overrides(changes), paths.PARAMS)
    check_study(params)
    return params


def check_study(params: Params) -> list[str]:
    """Check ``params`` against the frozen lists and prereg.yaml.

    Returns
    -------
    The parameters that are not at their registered value; none for a run as registered.
    """
    frozen.require_list_sizes(params)
    registered = load_preregistration()
    require_known_scores(registered)
    return deviations(registered, params)
