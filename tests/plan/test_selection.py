"""Check that a plan counts the items that the stages take. The stages run without a model."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.study import TINY, merge
from tests.helpers.tiny import tiny_config
from wor import paths, storage
from wor.config import params as parameters
from wor.data import build
from wor.data.items import write_items
from wor.pipeline import designs, graph, head_removal, observation, session
from wor.plan import entries
from wor.plan.shape import shape_from_config
from wor.plan.work import count_work

SETTINGS = {
    "default": {},
    "two datasets, unmatched": {"datasets": ["wiki", "syllogism"], "control": {"match": "none"}},
    "odd sizes": {
        "nulls": {"kinds": ["permuted"], "seeds": 2, "n": 5, "calibration": 3, "paraphrases": 0, "literal_n": 7},
        "heads": {"n_rank": 3, "n_test": 5},
        "robustness": {"temperatures": [0.0, 0.5, 1.0], "n": 3},
    },
}


def count_words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def taken(monkeypatch):
    """A list that receives the IDs of the items that a stage gives to a model."""
    item_ids: list[str] = []

    def respond(items, generated):
        return [SimpleNamespace(item=item, exclusion_reason="", generated=generated) for item in items]

    def generate_responses(run, items, temperatures):
        assert len(items) == len(temperatures)
        item_ids.extend(item.item_id for item in items)
        return respond(items, generated=True)

    def observe_all(run, responses, reference, lens, ablated=True, others=None):
        item_ids.extend(response.item.item_id for response in responses if not response.generated)
        return pd.DataFrame(index=range(len(responses))), {}

    def take(run, items, *others):
        item_ids.extend(item.item_id for item in items)
        return np.zeros((len(items), 1, 1))

    run = SimpleNamespace(finish=dict, lm=SimpleNamespace(n_layers=1, n_heads=1), log=SimpleNamespace(info=print))
    run.null_model = lambda null: run
    for module, name, function in (
        (session, "start_session", lambda params, model, log: run),
        (observation, "generate_responses", generate_responses),
        (observation, "load_responses", lambda items, frame, paraphrases: respond(items, generated=False)),
        (observation, "observe_all", observe_all),
        (observation, "compute_references", lambda run, responses: {}),
        (designs, "copy_responses", lambda run, responses: responses),
        (designs, "gold_responses", lambda run, items: respond(items, generated=False)),
        (observation, "select_reference", lambda references, kind: None),
        (observation, "read_references", lambda folder: {}),
        (observation, "read_reference", lambda folder, params: SimpleNamespace(head=None)),
        (observation, "write_references", lambda folder, references: None),
        (observation, "responses_with_window", lambda responses: responses),
        (observation, "describe_responses", lambda lm, responses: None),
        (head_removal, "measure_heads", take),
        (head_removal, "score_without_heads", take),
        (storage, "write_records", lambda *arguments: None),
        (storage, "write_json", lambda *arguments: None),
        (storage, "write_csv", lambda *arguments: None),
        (storage, "read_records", lambda folder: (pd.DataFrame(), {})),
    ):
        monkeypatch.setattr(module, name, function)
    return item_ids


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
def test_a_plan_counts_the_items_that_the_stages_take(values, changes, taken, tmp_path, monkeypatch):
    merge(merge(values, TINY), changes)
    params = parameters.parse_params(values, paths.PARAMS)
    built = build.build_items(params, count_words)
    full_length = build.full_length_controls(params, built)
    monkeypatch.setattr(paths, "ITEMS", tmp_path)
    monkeypatch.setattr(paths, "LITERAL_ITEMS", tmp_path / "literal.jsonl")
    for dataset, items in built.items():
        write_items(paths.items(dataset), items)
    write_items(paths.LITERAL_ITEMS, full_length)

    model = params.models[0]
    shape = shape_from_config(tiny_config(architectures=["LlamaForCausalLM"]))
    study_items = [item for items in built.values() for item in items]
    planned = entries.planned_items(params, (study_items, full_length), count_words)
    works = {work.name: [item.item_id for item in work.items] for work in count_work(params, model, shape, *planned)}
    assert set(works) == {graph.instance_name(*instance) for instance in graph.model_instances(params, model)}
    for stage, grid in graph.model_instances(params, model):
        taken.clear()
        import_module(f"stages.{stage}").main(params, SimpleNamespace(info=print), **grid)
        assert works[graph.instance_name(stage, grid)] == taken, stage
        assert taken or (stage == "heads" and params.control.match == "none")  # whole articles leave no text
