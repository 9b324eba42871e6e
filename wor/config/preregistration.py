"""prereg.yaml: what was decided before a study's data were seen."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from wor import paths
from wor.config import params as parameters
from wor.config.params import Params, Strict
from wor.errors import UserError

QUANTITIES = ("auroc", "delta_auc", "partial", "rival", "trend")


class Hypothesis(Strict):
    """A quantity that is to lie above or below a number, with its whole interval."""

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
    # The study stands or falls with this one.
    primary_hypothesis: str = Field(alias="decisive")
    primary: dict
    min_items: MinItems = Field(alias="least")
    exclusions: list[str]
    pilot: Pilot


def load_preregistration(path: Path = paths.PREREGISTRATION) -> Preregistration:
    """Read and check the file. Raises UserError."""
    try:
        found = Preregistration.model_validate(parameters.read_yaml(path))
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        remedy = f"{fault['msg']}; or take it back with git checkout {path}"
        raise UserError(f"{path}: {key}", repr(fault["input"]), remedy) from None
    for name, hypothesis in found.hypotheses.items():
        if (hypothesis.above is None) == (hypothesis.below is None):
            raise UserError(f"{path}: hypotheses.{name}", "above and below", "Give exactly one of the two")
    if found.primary_hypothesis not in found.hypotheses:
        raise UserError(f"{path}: decisive", repr(found.primary_hypothesis), f"Name one of {', '.join(found.hypotheses)}")
    return found


def deviations(registered: Preregistration, params: Params) -> list[str]:
    """Each parameter of this run that is not at its registered value. UserError for one that does not exist."""
    settings, found = params.model_dump(mode="json"), []

    def walk(wanted: dict, have: object, path: list[str]) -> None:
        known = {str(key): value for key, value in have.items()} if isinstance(have, dict) else {}
        for key, value in wanted.items():
            place = [*path, str(key)]
            if str(key) not in known:
                raise UserError(f"{paths.PREREGISTRATION}: primary.{'.'.join(place)}", repr(value), "params.yaml has no such key")
            if isinstance(value, dict):
                walk(value, known[str(key)], place)
            elif known[str(key)] != value:
                found.append(f"{'.'.join(place)} is {known[str(key)]!r} (registered: {value!r})")

    walk(registered.primary, settings, [])
    return found
