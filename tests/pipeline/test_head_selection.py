from collections import Counter

import numpy as np

from wor.data import build
from wor.data.items import Item
from wor.engine.load import choose_device, load
from wor.pipeline import head_removal, selection

RNG = np.random.default_rng(0)


def test_ranked_heads_are_the_largest_effects():
    effect = RNG.normal(size=(5, 4))
    selected = head_removal.top_heads(effect, 0.3)
    assert len(selected) == 6
    assert sorted((effect[pair] for pair in selected), reverse=True) == sorted(effect.ravel(), reverse=True)[:6]
    assert head_removal.top_heads(effect, 0) == []


def test_random_heads_are_others_of_the_same_layers():
    ranked = head_removal.top_heads(RNG.normal(size=(6, 9)), 0.5)
    counts = Counter(layer for layer, _ in ranked)
    assert max(counts.values()) > 4  # of such a layer fewer than half are left
    generator = np.random.default_rng(1)
    draws = [head_removal.random_heads_by_layer(ranked, 9, generator) for _ in range(20)]
    for draw in draws:
        assert len(set(draw)) == len(draw)
        assert not set(draw) & set(ranked)
        assert Counter(layer for layer, _ in draw) == {layer: min(n, 9 - n) for layer, n in counts.items() if n < 9}
    assert len({tuple(draw) for draw in draws}) > 1
    assert head_removal.random_heads_by_layer([], 9, generator) == []
    assert head_removal.random_heads_by_layer([(0, 0), (0, 1)], 2, generator) == []


def study_items(clusters, splits, role="reasoning"):
    return [
        Item(
            item_id=f"{role}{index}",
            dataset=role,
            role=role,
            split=split,
            cluster=f"{role}-{cluster}",
            sha256="",
            prompt="One.",
            paraphrases=[],
            paraphrase_shares=[],
            answer="",
            answer_kind="none",
            gold="One. Two.",
        )
        for index, (cluster, split) in enumerate(zip(clusters, splits, strict=True))
    ]


def test_no_cluster_both_ranks_and_is_scored(settings):
    sizes = {"n_rank": 99, "n_test": 99}
    params = settings.model_copy(update={"heads": settings.heads.model_copy(update=sizes)})
    built = build.build_items(params, lambda text: len(text.split()))
    lists = selection.heads_items([item for items in built.values() for item in items], params)
    ranking, scored = ({item.cluster for item in lists[split]} for split in ("calibration", "evaluation"))
    assert not ranking & scored
    assert {cluster.split("/")[0] for cluster in ranking} == {cluster.split("/")[0] for cluster in scored} == set(params.datasets)
    few = selection.heads_items([item for items in built.values() for item in items], settings)
    for split, n in (("calibration", settings.heads.n_rank), ("evaluation", settings.heads.n_test)):
        assert Counter(item.role for item in few[split]) == dict.fromkeys(selection.ROLES, n)
        assert all(item.split == split for item in few[split])


def test_items_that_cannot_serve_are_counted_and_without_a_class_there_are_none(settings):
    splits = ["calibration", "evaluation"] * 3
    items = study_items(range(6), splits) + study_items(range(6), splits, "control")
    items[0] = items[0].model_copy(update={"gold": ""})
    whole = [item.model_copy(update={"prompt": "One. Two."}) for item in items[-2:]]
    assert selection.unused_by_heads([*items[:-2], *whole]) == {
        "reasoning: no worked solution": 1,
        "control: the prompt shows the whole article": 2,
    }
    assert all(selection.heads_items(items, settings).values())
    for role in selection.ROLES:
        unserved = [item.model_copy(update={"gold": ""}) if item.role == role else item for item in items]
        assert selection.heads_items(unserved, settings) == {"calibration": [], "evaluation": []}


def test_a_planted_ranking_is_recovered():
    items = study_items(range(12), ["calibration"] * 12) + study_items(range(12), ["calibration"] * 12, "control")
    planted = [(1, 2), (4, 0), (5, 8)]
    kl = RNG.exponential(size=(24, 1, 1)) + 0.3 * RNG.random((24, 6, 9))
    for layer, head in planted:
        kl[:12, layer, head] += 1
        kl[:, layer, (head + 1) % 9] += 5  # as large in both classes, so that it says nothing
    ranking = head_removal.rank_heads(items, kl)
    assert sorted(head_removal.top_heads(ranking["effect"].to_numpy().reshape(6, 9), 3 / 54)) == planted
    row = ranking[(ranking["layer"] == 4) & (ranking["head"] == 1)].iloc[0]
    assert row["reasoning"] == kl[:12, 4, 1].mean()
    assert row["control"] == kl[12:, 4, 1].mean()


def test_both_classes_are_read_in_the_same_template(tiny_folder):
    lm = load(tiny_folder, choose_device("cpu", "float32", 1))
    for item in (*study_items([0], ["evaluation"]), *study_items([0], ["evaluation"], "control")):
        ids, first = head_removal.teacher_forced(lm, item, 3)
        assert ids[:first] == lm.encode(lm.render(item.prompt))
        assert ids[first:] == lm.encode("One. Two." if item.role == "reasoning" else "Two.")[:3]
