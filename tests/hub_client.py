"""What a stage asks of the hub, in a process of its own: the library reads its environment when it is imported.

python -m tests.hub_client card '{"source": "hub", ...}' | open '{"label": ...}' | items '{"source": "hub", ...}'
"""

import json
import sys

from pydantic import TypeAdapter

from wor.params import DatasetSpec, HubModel
from wor.sources import datasets, weights
from wor.stage import one_line_errors


def card(spec: dict) -> dict:
    return weights.card(HubModel(**spec), lambda line: print(line, file=sys.stderr))


def open_card(model_card: dict) -> str:
    return str(weights.open_card(model_card))


def items(spec: dict) -> dict:
    parsed = TypeAdapter(DatasetSpec).validate_python(spec)
    found = datasets.fetch(parsed, datasets.keys(parsed))
    return {"items": [source.model_dump() for source in found.values()], "from": datasets.provenance(parsed)}


if __name__ == "__main__":
    with one_line_errors():
        print(json.dumps({"card": card, "open": open_card, "items": items}[sys.argv[1]](json.loads(sys.argv[2]))))
