"""The packed items of a page."""

from __future__ import annotations

import math
import re
import shutil

import numpy as np
import pytest

from tests.helpers import report_items
from tests.helpers.report_assembly import MAX_BYTES, unpack_items
from wor import load_iteration
from wor.measures import dtr
from wor.measures.registry import PUBLISHED, SCORES
from wor.report import items
from wor.report.items import pack_items

N = 12


def texts(index: int) -> list[str]:
    return re.findall(r" ?\S+|\n", f"Item {index} goes on.\nIt takes a while to come to its end, " + "word after word " * 8)


@pytest.fixture(scope="module")
def iteration(tmp_path_factory):
    questions = [
        report_items.make_question(f"{'wiki' if k % 2 else 'sums'}/{k}", f"Question {k}?", "control" if k % 2 else "reasoning")
        for k in range(N)
    ]
    spoken = [texts(k) if k != 4 else ["Too", " short"] for k in range(N)]
    return report_items.iteration(tmp_path_factory.mktemp("experiments") / "iteration_001", questions, spoken)


@pytest.fixture(scope="module")
def packed(iteration):
    return unpack_items(pack_items([iteration], MAX_BYTES))


@pytest.fixture(scope="module")
def model(packed):
    (iteration,) = packed["iterations"]
    (model,) = iteration["models"]
    return model


def test_every_item_has_its_texts(iteration, packed, model):
    frame = iteration.items()
    assert model["item_id"] == frame["item_id"].tolist()
    assert model["details"]["tokens"] == [list(tokens) for tokens in frame["tokens"]]
    assert [packed["questions"]["prompt"][number] for number in model["question"]] == frame["prompt"].tolist()
    assert [packed["questions"]["paraphrases"][number] for number in model["question"]] == [
        list(each) for each in frame["paraphrases"]
    ]
    assert packed["detailed"] == packed["items"] == N


def test_published_measures_are_left_to_the_trial(packed, model):
    assert packed["scores"] == SCORES
    published = {measure.name for measure in PUBLISHED} - set(SCORES)
    assert published == items.PUBLISHED_COLUMNS
    assert not published & set(model["measures"])


def test_measures_keep_four_digits_and_nan_is_null(iteration, model):
    frame = iteration.items()
    assert {"rev", "apl", "ape", "sib", "dtr", "token_len", "perplexity"} <= set(model["measures"])
    for name, values in model["measures"].items():
        expected = frame[name].to_numpy(float)
        assert [value is None for value in values] == np.isnan(expected).tolist()
        unpacked = np.array([math.nan if value is None else value for value in values], float)
        np.testing.assert_allclose(unpacked, expected, rtol=6e-4, equal_nan=True)


def test_scores_are_rounded_and_lie_in_the_window(iteration, model):
    frame, arrays = iteration.items(), iteration.arrays()
    for index, row in enumerate(frame.itertuples()):
        detail = {name: values[index] for name, values in model["details"].items()}
        np.testing.assert_allclose(np.array(detail["surprise"]) / -100, row.token_logprob, atol=0.0051)
        np.testing.assert_allclose(np.array(detail["entropy"]) / 100, row.token_entropy, atol=0.0051)
        assert detail["window"] == [row.window_start, row.window_end]
        assert detail["answer_span"] == [row.answer_start, row.answer_end]
        width = row.window_end - row.window_start
        if isinstance(row.reason, str):  # too short for a window
            assert detail["settling"] == detail["attention"] == detail["kl_map"] == []
            continue
        assert detail["settling"] == dtr.settling_depth(arrays["jsd"][index][:, :width], 0.5).tolist()
        assert np.mean(detail["attention"]) / 1000 == pytest.approx(row.ape, abs=1e-3)
        effects = arrays["kl"][index][:, :width].mean(1)
        np.testing.assert_allclose(10 ** (np.array(detail["kl"]) / 100), effects, rtol=0.012)


def test_layers_above_their_threshold_give_apl_and_the_marked_depth_gives_sib(iteration, model):
    for index, row in enumerate(iteration.items().itertuples()):
        if isinstance(row.reason, str):  # too short for a window
            assert model["details"]["kl"][index] == [None] * report_items.LAYERS
            continue
        assert np.mean(model["details"]["counts"][index]) == row.apl
        above = np.array(model["details"]["kl"][index]) > np.array(model["thresholds"])
        assert above.mean() == pytest.approx(row.apl, abs=1.01 / report_items.LAYERS)  # one layer may be at its threshold's digit
        log_distance = model["details"]["distance"][index][model["sib_layer"] - 1] / 100
        assert -log_distance * math.log(10) == pytest.approx(row.sib, abs=0.02)


def test_an_answer_that_the_tables_reader_took_for_a_number_is_text_again(iteration, model):
    assert set(model["answer"]) == {"12", "7", ""}


def test_a_question_of_two_iterations_is_kept_once(iteration):
    packed = unpack_items(pack_items([iteration, iteration], MAX_BYTES))
    assert len(packed["questions"]["prompt"]) == N
    assert packed["iterations"][0] == packed["iterations"][1]


def test_beyond_the_limit_the_maps_go_first(iteration):
    whole = pack_items([iteration], MAX_BYTES)
    packed = pack_items([iteration], max_bytes=len(whole) - 1)
    (packed_iteration,) = unpack_items(packed)["iterations"]
    assert len(packed) < len(whole)
    assert not [name for name in packed_iteration["models"][0]["details"] if name.endswith("_map")]
    assert unpack_items(packed)["detailed"] == N


def test_beyond_the_limit_items_lose_their_detail_by_turns_of_datasets_but_not_their_measures(iteration, model):
    without_maps = pack_items([iteration], max_bytes=len(pack_items([iteration], MAX_BYTES)) - 1)
    limit = int(0.7 * len(without_maps))
    packed = pack_items([iteration], limit)
    assert len(packed) <= limit
    page = unpack_items(packed)
    (packed_model,) = page["iterations"][0]["models"]
    detailed = [
        item_id for item_id, tokens in zip(packed_model["item_id"], packed_model["details"]["tokens"], strict=True) if tokens
    ]
    assert 0 < len(detailed) == page["detailed"] < page["items"] == N
    by_dataset = [sum(item_id.startswith(dataset) for item_id in detailed) for dataset in ("sums", "wiki")]
    assert by_dataset[0] - by_dataset[1] in (0, 1)
    assert packed_model["measures"] == model["measures"]
    assert [page["questions"]["prompt"][number] for number in packed_model["question"]] == [
        f"Question {k}?" for k in (*range(0, N, 2), *range(1, N, 2))
    ]


def test_2400_items_keep_every_token_in_the_room_of_a_page(tmp_path):
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 8))) for _ in range(3000)]

    def text(n):
        return [f" {words[int(index)]}" for index in rng.zipf(1.3, n) % len(words)]

    names = [f"{dataset}/{k}" for dataset, n in (("gsm8k", 800), ("strategyqa", 400), ("wiki", 1200)) for k in range(n)]
    questions = [
        report_items.make_question(name, "".join(text(80)), "control" if name[0] == "w" else "reasoning") for name in names
    ]
    packed = pack_items([report_items.iteration(tmp_path / "iteration_001", questions, [text(64) for _ in names])], MAX_BYTES)
    assert len(packed) < 3_200_000
    assert unpack_items(packed)["detailed"] == 2400


def test_the_same_iteration_gives_the_same_bytes(iteration):
    assert pack_items([iteration], MAX_BYTES) == pack_items([iteration], MAX_BYTES)


def test_an_iteration_without_texts_has_its_measures_and_layers(iteration, model, tmp_path):
    folder = shutil.copytree(iteration.folder, tmp_path / "iteration_001")
    shutil.rmtree(folder / "items")
    shutil.rmtree(folder / "observed")
    (packed_iteration,) = unpack_items(pack_items([load_iteration(folder)], MAX_BYTES))["iterations"]
    assert not packed_iteration["texts"]
    assert packed_iteration["models"][0]["measures"] == model["measures"]
    assert set(packed_iteration["models"][0]["details"]) == {"kl", "counts", "distance"}
