"""The preregistration: the decisions of prereg.yaml, made before the data of a study were seen."""

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from wor import paths
from wor.config import params as parameters
from wor.config.overrides import flatten
from wor.config.params import Params, Strict
from wor.errors import UserError

QUANTITIES = ("auroc", "delta_auc", "partial", "rival", "trend", "derive_copy", "gold", "dose")


class Hypothesis(Strict):
    """A prediction that the whole interval of a quantity lies above or below a number."""

    claim: str
    quantity: Annotated[str, StringConstraints(pattern=rf"^({'|'.join(QUANTITIES)})\.[a-z0-9_-]+$")]
    above: float | None = None
    below: float | None = None


class MinItems(Strict):
    reasoning: Annotated[int, Field(ge=0)]
    control: Annotated[int, Field(ge=0)]


class Pilot(Strict):
    models: list[str]
    datasets: list[str]


class Preregistration(Strict):
    registered: datetime.date
    hypotheses: Annotated[dict[str, Hypothesis], Field(min_length=1)]
    primary_hypothesis: str = Field(alias="decisive")
    primary: dict
    min_items: MinItems = Field(alias="least")
    exclusions: list[str]
    pilot: Pilot


def load_preregistration(path: Path = paths.PREREGISTRATION) -> Preregistration:
    """Read and check the file. Raises UserError."""
    try:
        registered = Preregistration.model_validate(parameters.read_yaml(path))
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        remedy = f"{fault['msg']}; or take it back with git checkout {path}"
        raise UserError(f"{path}: {key}", repr(fault["input"]), remedy) from None
    for name, hypothesis in registered.hypotheses.items():
        if (hypothesis.above is None) == (hypothesis.below is None):
            raise UserError(f"{path}: hypotheses.{name}", "above and below", "Give exactly one of the two")
    if registered.primary_hypothesis not in registered.hypotheses:
        raise UserError(
            f"{path}: decisive", repr(registered.primary_hypothesis), f"Name one of {', '.join(registered.hypotheses)}"
        )
    return registered


def deviations(registered: Preregistration, params: Params) -> list[str]:
    """List parameters that differ from the registered ones. Raises UserError for an unknown key."""
    settings, lines = dict(flatten(params.model_dump(mode="json"))), []
    for key, value in flatten(registered.primary):
        if key not in settings and not any(name.startswith(f"{key}.") for name in settings):
            raise UserError(f"{paths.PREREGISTRATION}: primary.{key}", repr(value), "params.yaml has no such key")
        if settings.get(key) != value:
            lines.append(f"{key} is {settings.get(key, 'a map')!r} (registered: {value!r})")
    return lines
