"""Texts that are longer than a model's context, found by stage ids before a model runs."""

import json
import shutil
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from stages import ids as stage
from tests.helpers.study import TINY, merge
from wor import paths, storage
from wor.config import params as parameters
from wor.config.params import LocalModel
from wor.data import build, items
from wor.errors import UserError
from wor.pipeline import lengths
from wor.weights import identity_card


def count(text: str) -> int:
    return len(text.split())


@pytest.fixture
def study(values):
    return parameters.parse_params(merge(values, TINY), paths.PARAMS)


@pytest.fixture
def built(study):
    return build.build_items(study, count)


def changed(study, section, **changes):
    return study.model_copy(update={section: getattr(study, section).model_copy(update=changes)})


def longest(group):
    return max(count(text) for item in group for text in (item.prompt, *item.paraphrases))


def test_a_prompt_that_is_too_long_is_refused_with_what_can_be_done(study, built):
    everything = [item for group in built.values() for item in group]
    room = longest(everything) + study.max_new_tokens
    lengths.require_fit(study, [lengths.Reader("Wide", room, count)], built)
    with pytest.raises(UserError, match="follow. The context of Narrow holds") as refused:
        lengths.require_fit(study, [lengths.Reader("Wide", room, count), lengths.Reader("Narrow", room - 1, count)], built)
    (item,) = [item for item in everything if item.item_id == refused.value.key]
    row = [other.item_id for other in built[item.dataset]].index(item.item_id)
    assert refused.value.remedy == (
        f"Set dataset_specs.{item.dataset}.n to {row}, which leaves it out, lower max_new_tokens (24), "
        "or take a model with a longer context"
    )
    shorter = {name: [other for other in group if other.item_id != item.item_id] for name, group in built.items()}
    lengths.require_fit(study, [lengths.Reader("Narrow", room - 1, count)], shorter)


@pytest.mark.parametrize(
    ("section", "change", "key"),
    [
        ("heads", {"span": 4000}, r"lower heads.span \(4000\)"),
        ("designs", {"copy_instruction": "copy " * 4000}, "designs.copy_instruction: 40.* Lower max_new_tokens"),
    ],
)
def test_what_follows_a_prompt_in_another_stage_counts(study, built, section, change, key):
    wide = [lengths.Reader("Wide", 2048, count)]
    lengths.require_fit(study, wide, built)
    with pytest.raises(UserError, match=key):
        lengths.require_fit(changed(study, section, **change), wide, built)


def test_whole_articles_that_are_too_long_are_left_out_and_none_is_refused(study, built):
    controls = build.full_length_controls(study, built)
    sizes = sorted(longest([item]) + study.max_new_tokens for item in controls)
    readers = [lengths.Reader("Wide", sizes[-1], count), lengths.Reader("Narrow", sizes[4], count)]
    assert lengths.fitting_controls(study, readers[:1], controls) == controls
    fitting = lengths.fitting_controls(study, readers, controls)
    assert [longest([item]) + study.max_new_tokens <= sizes[4] for item in controls] == [item in fitting for item in controls]
    with pytest.raises(UserError, match=r"nulls.literal_n: none of 10 whole articles .* Tiny \(9\). Raise it"):
        lengths.fitting_controls(study, [*readers, lengths.Reader("Tiny", 9, count)], controls)
    assert lengths.fitting_controls(study, readers, []) == []


@pytest.fixture
def run_ids(values, tiny_folder, tmp_path, monkeypatch):
    """Return a function that runs stage ids on a tiny model with changed files.

    It returns the parameters and the model's folder.
    """
    for name in ("MODELS", "ITEMS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    monkeypatch.setattr(paths, "LITERAL_ITEMS", tmp_path / "literal.jsonl")

    def run(changes):
        folder = shutil.copytree(tiny_folder, tmp_path / "model")
        for name, entries in changes.items():
            path = folder / name
            path.write_text(json.dumps(json.loads(path.read_text()) | entries))
        spec = {"source": "local", "label": "Tiny", "path": str(folder)}
        study = {"models": ["tiny"], "model_specs": {"tiny": spec}, "control": {"length_model": "tiny"}}
        params = parameters.parse_params(merge(merge(values, TINY), study), paths.PARAMS)
        storage.write_json(paths.card("tiny"), identity_card.make_card(LocalModel(**spec)))
        stage.main(params, SimpleNamespace(info=print))
        return params, folder

    return run


def test_the_stage_reads_texts_as_the_engine_does(run_ids):
    """transformers splits texts at the configured end token, which tokenizer.json does not name."""
    params, folder = run_ids({"tokenizer_config.json": {"eos_token": "e"}})
    tokenizer, raw = AutoTokenizer.from_pretrained(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    written = {name: items.read_items(paths.items(name)) for name in params.datasets}
    assert written == build.build_items(params, lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]))
    assert written != build.build_items(params, lambda text: len(raw.encode(text, add_special_tokens=False).ids))


def test_the_stage_stops_before_it_writes_where_a_context_is_too_short(run_ids):
    with pytest.raises(UserError, match="The context of Tiny holds 64"):
        run_ids({"config.json": {"max_position_embeddings": 64}})
    assert not paths.ITEMS.exists()
