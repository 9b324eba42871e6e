"""Fetch from the hub as stages do, in a new process.

The hub's library reads its environment when it is imported.

``python -m tests.helpers.hub_client card '[{"source": "hub", ...}, ...]'`` prints a JSON list of
results. ``open`` takes cards, ``here`` models, ``items`` datasets, ``doctor`` both. A refusal is
``{"refused": line}``.
"""

import json
import sys
from dataclasses import asdict

from pydantic import TypeAdapter

from wor.config.params import DatasetSpec, HubDataset, HubModel
from wor.data import datasets
from wor.doctor import hub
from wor.errors import UserError
from wor.weights import folders, identity_card


def card(spec: dict) -> dict:
    return identity_card.make_card(HubModel(**spec), lambda line: print(line, file=sys.stderr))


def is_cached(spec: dict) -> bool:
    return folders.find_folder(HubModel(**spec)) is not None


def open_card(model_card: dict) -> str:
    return str(identity_card.open_card(model_card))


def items(spec: dict) -> dict:
    parsed = TypeAdapter(DatasetSpec).validate_python(spec)
    rows = datasets.fetch_items(parsed, datasets.list_keys(parsed))
    return {"items": [row.model_dump() for row in rows.values()], "from": datasets.provenance(parsed)}


def doctor(spec: dict) -> list[dict]:
    """Return what `wor doctor` reports about one source."""
    parsed = (HubDataset if "role" in spec else HubModel)(**spec)
    return [asdict(finding) for finding in hub.check_access([parsed])]


def result(action: str, spec: dict) -> object:
    try:
        return {"card": card, "open": open_card, "here": is_cached, "items": items, "doctor": doctor}[action](spec)
    except UserError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    print(json.dumps([result(sys.argv[1], spec) for spec in json.loads(sys.argv[2])]))
