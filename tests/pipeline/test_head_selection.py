import numpy as np

from wor.pipeline import head_removal

RNG = np.random.default_rng(0)


def test_ranked_heads_are_the_largest_effects():
    effect = RNG.normal(size=(5, 4))
    selected = head_removal.top_heads(effect, 0.3)
    assert len(selected) == 6
    assert sorted((effect[pair] for pair in selected), reverse=True) == sorted(effect.ravel(), reverse=True)[:6]
    assert head_removal.top_heads(effect, 0) == []


def test_random_heads_match_by_layer_and_repeat_none():
    selected = head_removal.top_heads(RNG.normal(size=(6, 9)), 0.5)
    generator = np.random.default_rng(1)
    draws = [head_removal.random_heads_by_layer(selected, 9, generator) for _ in range(20)]
    for draw in draws:
        assert len(set(draw)) == len(draw)
        assert sorted(layer for layer, _ in draw) == sorted(layer for layer, _ in selected)
    assert len({tuple(draw) for draw in draws}) > 1
    assert head_removal.random_heads_by_layer([], 9, generator) == []
