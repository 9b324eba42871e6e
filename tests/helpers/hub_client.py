"""What stages ask of the hub, in a process of its own: the library reads its environment when it is imported.

``python -m tests.helpers.hub_client card '[{"source": "hub", ...}, ...]'``, or ``open`` with cards, ``here`` with models,
``items`` with datasets, or ``doctor`` with either: a JSON list of answers, a refusal as ``{"refused": line}``.
"""

import json
import sys
from dataclasses import asdict

from pydantic import TypeAdapter

from wor.config.params import DatasetSpec, HubDataset, HubModel
from wor.data import datasets
from wor.doctor import hub
from wor.errors import UserError
from wor.weights import identity_card


def card(spec: dict) -> dict:
    return identity_card.make_card(HubModel(**spec), lambda line: print(line, file=sys.stderr))


def here(spec: dict) -> bool:
    return identity_card.find_folder(HubModel(**spec)) is not None


def open_card(model_card: dict) -> str:
    return str(identity_card.open_card(model_card))


def items(spec: dict) -> dict:
    parsed = TypeAdapter(DatasetSpec).validate_python(spec)
    found = datasets.fetch_items(parsed, datasets.list_keys(parsed))
    return {"items": [source.model_dump() for source in found.values()], "from": datasets.provenance(parsed)}


def doctor(spec: dict) -> list[dict]:
    """What `wor doctor` finds of one source."""
    parsed = (HubDataset if "role" in spec else HubModel)(**spec)
    return [asdict(finding) for finding in hub.check_access([parsed])]


def answer(what: str, about: dict) -> object:
    try:
        return {"card": card, "open": open_card, "here": here, "items": items, "doctor": doctor}[what](about)
    except UserError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    print(json.dumps([answer(sys.argv[1], about) for about in json.loads(sys.argv[2])]))
