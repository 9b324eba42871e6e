"""Read an iteration as a notebook, the report or a comparison does.

Tables, texts, tokens and arrays are of the same items.
"""

import math
import shutil

import numpy as np
import pandas as pd
import pytest

import wor
from wor import storage
from wor.config import params
from wor.errors import UserError
from wor.iterations import verify
from wor.measures import ape, apl, dtr, registry, rev, sib

pytestmark = pytest.mark.dvc


@pytest.fixture
def top(ran, monkeypatch):
    """The folder of the finished study, and in it."""
    monkeypatch.chdir(ran.folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return ran.folder


@pytest.fixture(scope="module")
def iteration(ran):
    return wor.load_iteration(ran.folder / "experiments" / "iteration_001")


@pytest.fixture(scope="module")
def items(iteration):
    return iteration.items()


@pytest.fixture
def other(study):
    """A copy of the iteration, to be changed."""
    return wor.load_iteration(study.folder / "experiments" / "iteration_001")


@pytest.mark.parametrize("given", ["", "iteration_001", "experiments/iteration_001", "experiments/iteration_001/"])
def test_an_iteration_is_loaded_by_its_name_or_folder(top, given):
    assert wor.load_iteration(given).folder == top / "experiments" / "iteration_001"


def test_a_name_is_looked_up_in_the_study_from_a_folder_below_it(study, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (study.folder / "notebooks" / "mine").mkdir(parents=True)
    for where in ("notebooks", "notebooks/mine", "experiments"):
        monkeypatch.chdir(study.folder / where)
        for name in ("", "iteration_001"):
            assert wor.load_iteration(name).folder == study.folder / "experiments" / "iteration_001"


def test_the_newest_is_the_one_with_the_highest_number(other, monkeypatch):
    newer = other.folder.with_name("iteration_010")
    shutil.copytree(other.folder, newer)
    manifest = storage.read_json(newer / "manifest.json") | {"iteration_id": newer.name}
    storage.write_json(newer / "manifest.json", manifest)
    monkeypatch.chdir(newer.parent.parent)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert wor.load_iteration().name == "iteration_010"


def test_names_that_are_not_there_are_refused_with_those_that_are(top, iteration):
    with pytest.raises(UserError, match=r"'iteration_009' is not in .*/experiments\. There are: iteration_001$"):
        wor.load_iteration("iteration_009")
    with pytest.raises(
        UserError, match=r"^table: 'metric'\. iteration_001 has calibration_metrics, .*, metrics, .*wiki_metrics$"
    ):
        iteration.table("metric")
    with pytest.raises(UserError, match=r"^model: 'other'\. iteration_001 has tiny$"):
        iteration.items("other")
    with pytest.raises(UserError, match=r"^item: 'gsm-symbolic/x'\. iteration_001 has 46, such as gsm-symbolic/\d+$"):
        iteration.tokens("gsm-symbolic/x")


def test_an_iteration_that_is_recorded_and_not_here_is_named_with_how_to_get_it(study, monkeypatch):
    monkeypatch.chdir(study.folder / "experiments")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (study.folder / "experiments" / "iteration_007.dvc").write_text("outs:\n")
    with pytest.raises(
        UserError, match=r"iteration_007 is recorded, and not here\. Bring it back: dvc pull .*iteration_007\.dvc$"
    ):
        wor.load_iteration("iteration_007")


def test_of_several_models_one_is_to_be_named(other):
    path = other.folder / "results" / "aggregate_statistics.json"
    recorded = storage.read_json(path)
    recorded["models"]["second"] = recorded["models"]["tiny"] | {"label": "Second"}
    storage.write_json(path, recorded)
    with pytest.raises(UserError, match=r"^model: None\. iteration_001 has tiny, second$"):
        other.items()
    assert len(other.items("tiny")) == 46


def test_every_table_of_results_is_there_by_its_name(iteration):
    paths = sorted((iteration.folder / "results").glob("*.csv"))
    for path in paths:
        pd.testing.assert_frame_equal(iteration.table(path.stem.removeprefix("Tiny-Random_")), storage.read_csv(path))
    documented = ["metrics", "calibration_metrics", "temperatures_metrics", "nulls_metrics", "literal_metrics", "head_removal"]
    for part in [*documented, "head_ranking", "specifications", "wiki_layers"]:
        assert len(iteration.table(part)) > 0


def test_what_was_recorded_of_a_run_is_there_by_name(top, iteration):
    assert (iteration.name, iteration.models, iteration.label()) == ("iteration_001", ["tiny"], "Tiny-Random")
    assert iteration.datasets == ["gsm-symbolic", "syllogism", "wiki"]
    assert iteration.params == params.load_params()
    assert iteration.params.model_dump(mode="json") == iteration.config
    assert iteration.manifest["fingerprint"].startswith(iteration.manifest["registry"]["fingerprint"])
    assert iteration.statistics["tiny"]["n"]["items"] == len(iteration.items())
    assert {entry["status"] for entry in iteration.criteria.values()} <= {"pass", "fail", "not evaluable"}
    assert iteration.cards["tiny"]["card"]["n_layers"] == 4
    assert iteration.timing["total_seconds"] > 0
    assert iteration.environment["packages"]["torch"]
    assert list(iteration.figures) == ["scaling", "temp_robustness", "ablation_curve", "measures"]
    for path in iteration.figures.values():
        assert all(path.with_suffix(suffix).is_file() for suffix in (".svg", ".png", ".pdf", ".json"))


def test_texts_and_arrays_are_sealed_with_the_rest(other):
    assert verify.folder_faults(other.folder) == []
    names = ["items/wiki.jsonl", "observed/Tiny-Random/wiki/items.parquet", "observed/Tiny-Random/wiki/arrays.safetensors"]
    for name in names:
        (other.folder / name).chmod(0o644)
        (other.folder / name).write_bytes((other.folder / name).read_bytes() + b" ")
    faults = verify.folder_faults(other.folder)
    assert len(faults) == len(names)
    assert all(any(name in fault for fault in faults) for name in names)


def test_a_row_has_the_text_of_its_own_item(ran, items):
    prompts = {row["item_id"]: row for path in (ran.folder / "data/items").glob("*.jsonl") for row in storage.read_jsonl(path)}
    assert set(items["role"]) == {"reasoning", "control"}
    for row in items.to_dict("records"):
        item = prompts[row["item_id"]]
        assert (row["prompt"], row["paraphrases"], row["gold"]) == (item["prompt"], item["paraphrases"], item["gold"])
        assert row["expected"] == item["answer"]
        assert row["dataset"] == item["dataset"]


def test_tokens_are_the_text_and_carry_its_perplexity(items):
    for row in items.itertuples():
        assert "".join(row.tokens) == row.text
        assert len(row.tokens) == len(row.token_logprob) == len(row.token_entropy) == row.n_generated
        assert np.mean(row.token_logprob, dtype=float) == pytest.approx(row.avg_logprob, abs=1e-6)
        assert (row.token_logprob <= 0).all()
        assert (row.token_entropy >= 0).all()
        assert (row.token_entropy <= math.log(320) + 1e-5).all()  # the vocabulary's


def test_windows_and_answers_are_ranges_of_the_tokens(items):
    for row in items.itertuples():
        assert 0 <= row.window_start <= row.window_end <= row.answer_start <= row.answer_end <= row.n_generated
        assert row.window_end - row.window_start >= 4
        assert row.answer == "" or row.answer_start < row.answer_end


def test_an_items_tokens_are_a_table(iteration, items):
    row = items.iloc[7]
    table = iteration.tokens(row["item_id"])
    assert "".join(table["token"]) == row["text"]
    assert table["logprob"].tolist() == list(row["token_logprob"])
    assert table["entropy"].tolist() == list(row["token_entropy"])
    assert table.index[table["in_window"]].tolist() == list(range(row["window_start"], row["window_end"]))
    assert not table["in_answer"].any()


def test_measures_can_be_made_from_the_arrays_row_by_row(iteration, items):
    arrays, fixed, rule = iteration.arrays(), iteration.cards["tiny"]["calibration"], iteration.params.measures
    thresholds = np.array(fixed["apl_thresholds"])
    found = pd.DataFrame(
        [
            {
                "apl": apl.apl(apl.layer_effects(arrays["kl"][index]), thresholds),
                "ape": ape.ape(arrays["entropy"][index], row.token_len + row.window_start - 1),
                "ape_no_sink": ape.ape(arrays["entropy_no_sink"][index], row.token_len + row.window_start - 1, skipped_keys=1),
                "sib": sib.sib(arrays["cosine"][index], sib.layer_index(rule.sib_depth, 4)),
                "dtr": dtr.dtr(arrays["jsd"][index], rule.dtr_g, rule.dtr_rho),
            }
            for index, row in enumerate(items.itertuples())
        ]
    )
    for name in found:
        assert found[name].nunique() > 1 or name == "dtr", name  # else any order would do
        assert np.allclose(found[name], items[name], rtol=0, atol=1e-12), name
    z = {name: rev.zscore(found[name], *fixed["scales"][name].values()) for name in registry.COMPONENTS}
    ones = dict.fromkeys(registry.COMPONENTS, 1)
    assert np.allclose(rev.rev(z, ones, ones), items["rev"])


def test_heads_average_to_their_layers_entropy(iteration, items):
    by_layer = iteration.layers().pivot(index="item_id", columns="layer", values="entropy").loc[items["item_id"]]
    assert np.allclose(iteration.arrays()["entropy_heads"].mean(-1), by_layer, atol=1e-6)


def test_layers_are_one_row_an_item_and_layer(iteration, items):
    layers = iteration.layers()
    assert layers.groupby("item_id", sort=False)["layer"].apply(list).tolist() == [[1, 2, 3, 4]] * len(items)
    effects = apl.layer_effects(iteration.arrays()["kl"])
    assert np.allclose(layers["ablation_kl"], effects.ravel())
    assert layers.drop_duplicates("item_id")[["item_id", "dataset", "role"]].to_numpy().tolist() == (
        items[["item_id", "dataset", "role"]].to_numpy().tolist()
    )


def test_a_table_is_the_callers_to_change(iteration):
    for read in (iteration.items, lambda: iteration.table("metrics")):
        mine = read()
        mine["rev"] = 99.0
        assert (read()["rev"] != 99.0).all()


def test_an_iteration_of_before_texts_were_kept_has_its_measures(other):
    for name in ("items", "observed"):
        shutil.rmtree(other.folder / name)
    assert not other.has_texts
    pd.testing.assert_frame_equal(other.items(), other.table("metrics"))
    assert len(other.layers()) == 46 * 4
    for read in (other.arrays, lambda: other.tokens("wiki/1")):
        with pytest.raises(
            UserError, match=r"^iteration_001: has no texts, tokens and arrays\. An earlier version made it. Make"
        ):
            read()
