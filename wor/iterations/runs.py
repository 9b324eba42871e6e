"""Every experiment that DVC knows, as rows: the headline metrics, the iteration, and the parameters that vary."""

from __future__ import annotations

from wor import paths, storage
from wor.config import params
from wor.config.overrides import flatten
from wor.errors import UserError

HEADLINE = ("AUROC", "dAUC", "low", "high", "partial_r", "n")


def list_runs() -> tuple[list[dict], list[str]]:
    """Rows newest first, the workspace at their head if it has a run, and the dotted keys in which they differ.

    A row: ``experiment`` (its name, or the commit's), ``state`` (empty, Queued, Running, Failed), ``iteration``,
    HEADLINE, and each varying parameter. Experiments of all earlier commits of this branch count.
    """
    import dvc.api
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        found = dvc.api.exp_show(num=-1)
    except (DvcException, SCMError) as error:
        raise UserError("dvc exp show", error, "Run from the top of a repository with a commit") from None
    keys = list(dict(flatten(params.read_yaml(paths.PARAMS))))
    # A workspace without a run of its own, as after runs of a profile, has parameters that no row's numbers come from.
    rows = [row for row in found if row["Experiment"] or (row["rev"] == "workspace" and _number(row.get("iteration")))]
    seen = {key: {str(row.get(key)) for row in rows} for key in keys}
    varying = [key for key in keys if len(seen[key]) > 1]
    return [_row(row, varying) for row in rows], varying


def _row(row: dict, varying: list[str]) -> dict:
    return {
        "experiment": row["Experiment"] or row["rev"],
        "state": row["State"] or "",
        **{key: _number(row.get(key)) for key in ("iteration", *HEADLINE)},
        **{key: storage.to_plain(row.get(key)) for key in varying},
    }


def _number(value: object) -> float | None:
    """DVC says '!' for a file that it can't read, 'None' for a null, '' for what isn't there."""
    return storage.to_plain(value) if isinstance(value, (int, float)) else None
