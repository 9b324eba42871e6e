"""The preregistration: the decisions of prereg.yaml, made before the data of a study were seen.

Version 2 also registers what each hypothesis estimates, the margin within which an effect is called
absent, the number of items and of looks at them, and how several models are judged. Files of
version 1 still load: recorded iterations hold them.
"""

import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from wor import paths
from wor.config import params as parameters
from wor.config.overrides import flatten
from wor.config.params import Params, Strict
from wor.errors import UserError

DEFAULT_MARGIN = 0.05  # a gain in AUROC, where a file of version 1 registers none
QUANTITIES = ("auroc", "delta_auc", "partial", "rival", "trend", "derive_copy", "gold", "dose")


class Hypothesis(Strict):
    """A prediction that a quantity lies above or below a number.

    ``margin`` is the distance from that number within which an effect is called absent.
    """

    claim: str
    estimand: str = ""
    quantity: Annotated[str, StringConstraints(pattern=rf"^({'|'.join(QUANTITIES)})\.[a-z0-9_-]+$")]
    above: float | None = None
    below: float | None = None
    margin: Annotated[float, Field(gt=0)] | None = None


class ItemCounts(Strict):
    reasoning: Annotated[int, Field(ge=0)]
    control: Annotated[int, Field(ge=0)]


class Looks(Strict):
    """How often the data may be judged, at equal steps up to ``n``; see `statistics.sequential`."""

    number: Annotated[int, Field(ge=1, le=20)]
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming"


class ModelsRule(Strict):
    """The models that are judged, by label, and how.

    ``all``: the study supports the primary hypothesis if every model does, each at the full level.
    ``holm``: any model may support it, with Holm's correction over the models.
    """

    names: Annotated[list[str], Field(min_length=1)]
    rule: Literal["all", "holm"]


class Pilot(Strict):
    models: list[str]
    datasets: list[str]


# Over several hypotheses. holm: Holm's over all. fixed-sequence: the primary has the whole level,
# and only if it is supported are the others tested, with Holm's over them.
Correction = Literal["fixed-sequence", "holm"]
NEW_IN_2 = ("n", "looks", "models")  # keys that version 2 demands and version 1 does not have


class Preregistration(Strict):
    version: Literal[1, 2] = 1
    registered: datetime.date
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.025  # one-sided
    correction: Correction = "fixed-sequence"
    hypotheses: Annotated[dict[str, Hypothesis], Field(min_length=1)]
    primary_hypothesis: str = Field(alias="decisive")
    primary: dict
    min_items: ItemCounts = Field(alias="least")
    n: ItemCounts | None = None
    looks: Looks = Looks(number=1)
    models: ModelsRule | None = None
    exclusions: list[str]
    pilot: Pilot

    @property
    def margin(self) -> float:
        """Return the margin of the primary hypothesis: the smallest gain that matters."""
        return self.hypotheses[self.primary_hypothesis].margin or DEFAULT_MARGIN


def load_preregistration(path: Path = paths.PREREGISTRATION) -> Preregistration:
    """Read and check the file. Raises UserError."""
    values = parameters.read_yaml(path)
    parameters.require_plain(values)
    try:
        registered = Preregistration.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        remedy = f"{fault['msg']}; or take it back with git checkout {path}"
        raise UserError(f"{path}: {key}", repr(fault["input"]), remedy) from None
    _check_version(registered, path)
    for name, hypothesis in registered.hypotheses.items():
        if (hypothesis.above is None) == (hypothesis.below is None):
            raise UserError(f"{path}: hypotheses.{name}", "above and below", "Give exactly one of the two")
    if registered.primary_hypothesis not in registered.hypotheses:
        raise UserError(
            f"{path}: decisive", repr(registered.primary_hypothesis), f"Name one of {', '.join(registered.hypotheses)}"
        )
    return registered


def _check_version(registered: Preregistration, path: Path) -> None:
    given = registered.model_fields_set
    if registered.version == 1:
        newer = [f"hypotheses.{name}" for name, entry in registered.hypotheses.items() if entry.estimand or entry.margin]
        for key in [key for key in (*NEW_IN_2, "alpha", "correction") if key in given] + newer:
            raise UserError(f"{path}: {key}", "a key of version 2", "Add the line: version: 2")
        return
    for key in NEW_IN_2:
        if key not in given:
            raise UserError(f"{path}: {key}", "missing", "Version 2 registers it; see docs/definitions.md")
    for name, hypothesis in registered.hypotheses.items():
        if not hypothesis.estimand:
            raise UserError(f"{path}: hypotheses.{name}.estimand", "missing", "Say in words what the quantity estimates")
    if (
        registered.hypotheses.get(registered.primary_hypothesis, Hypothesis(claim="", quantity="auroc.rev", margin=1)).margin
        is None
    ):
        key = f"{path}: hypotheses.{registered.primary_hypothesis}.margin"
        raise UserError(key, "missing", "Register the distance within which an effect is called absent")
    if registered.n and any(getattr(registered.n, role) < least for role, least in registered.min_items):
        raise UserError(f"{path}: n", repr(registered.n.model_dump()), "Register at least as many items as least demands")


def deviations(registered: Preregistration, params: Params) -> list[str]:
    """List parameters that differ from the registered ones. Raises UserError for an unknown key."""
    settings, lines = dict(flatten(params.model_dump(mode="json"))), []
    for key, value in flatten(registered.primary):
        if key not in settings and not any(name.startswith(f"{key}.") for name in settings):
            raise UserError(f"{paths.PREREGISTRATION}: primary.{key}", repr(value), "params.yaml has no such key")
        if settings.get(key) != value:
            lines.append(f"{key} is {settings.get(key, 'a map')!r} (registered: {value!r})")
    return lines
