import numpy as np
from scipy import stats

from wor.data import items
from wor.data.items import RawItem


def test_the_hash_ignores_white_space_and_unicode_form_only():
    item = RawItem(key="1", text="Zoë  has\n3 cats", answer="3")
    assert items.content_hash(item) == items.content_hash(RawItem(key="2", text="Zoë has 3 cats ", answer="3"))
    for other in (RawItem(key="1", text="Zoë has 4 cats", answer="3"), RawItem(key="1", text="Zoë has 3 cats", answer="4")):
        assert items.content_hash(item) != items.content_hash(other)


def test_text_and_answer_cannot_run_into_each_other():
    a, b = RawItem(key="1", text="x 1", answer="2"), RawItem(key="1", text="x", answer="1 2")
    assert items.content_hash(a) != items.content_hash(b)


def test_uniform_is_uniform_and_fixed():
    draws = np.array([items.hash_to_unit("test", index) for index in range(5000)])
    assert stats.kstest(draws, "uniform").pvalue > 0.001
    # A constant of the definition: were it to change, every split and every frozen order would.
    assert items.hash_to_unit("split", "wiki/Liberia") == 0.6422397355853074


def test_the_split_depends_on_the_cluster_and_the_share_alone():
    ids = [f"wiki/{index}" for index in range(3000)]
    split = [items.split_of(name, 0.25) for name in ids]
    assert 0.22 < split.count("calibration") / 3000 < 0.28
    # A larger share only adds to the calibration side.
    wider = [items.split_of(name, 0.4) for name in ids]
    assert all(b == "calibration" for a, b in zip(split, wider, strict=True) if a == "calibration")


def test_items_survive_a_file(tmp_path):
    item = items.Item(
        item_id="wiki/A",
        dataset="wiki",
        role="control",
        split="evaluation",
        cluster="A",
        sha256="0" * 64,
        prompt="a line\u2028and <b>another</b>",
        paraphrases=["x"],
        paraphrase_shares=[0.1],
        answer="",
        answer_kind="none",
        gold="g",
    )
    items.write_items(tmp_path / "items.jsonl", [item])
    assert items.read_items(tmp_path / "items.jsonl") == [item]
