"""Check that paraphrases reword an item's own text, and change no number, name or meaning."""

import re
from collections import Counter

import numpy as np
import pytest

from tests.helpers.root import ROOT
from wor.config import params
from wor.config.params import Paraphrase
from wor.data import build, datasets, frozen, paraphrase, syllogisms
from wor.data.lexicon import REWORDINGS
from wor.data.reorder import reorderings
from wor.statistics.matching import standardised_difference

FRAMES = ["One.", "Two.", "Three.", "Four."]
RULE = Paraphrase(n=3, target_share=0.1, min_share=0.04)


def assemble(frame, body):
    return f"{frame}\n\n{body}"


def make(body, rule=RULE, identifier="x"):
    return paraphrase.make_paraphrases(identifier, body, FRAMES, assemble, rule)


@pytest.fixture(scope="module")
def built():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return build.build_items(params.load_params(), lambda text: len(text.split()))


def everything(built):
    return [item for entries in built.values() for item in entries]


def body_of(text):
    return text.split("\n\n", 1)[1].rsplit("\n\n", 1)[0]


def longest_common_subsequence(a, b):
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for index, y in enumerate(b):
            row.append(previous[index] + 1 if x == y else max(row[index], previous[index + 1]))
    return row[-1]


def test_every_paraphrase_rewords_the_items_own_text(built):
    for item in everything(built):
        bodies = [body_of(text) for text in [item.prompt, *item.paraphrases]]
        assert len(set(bodies)) == len(bodies), item.item_id
        for body, body_share in zip(bodies[1:], item.body_shares, strict=True):
            assert body_share == paraphrase.changed_share(bodies[0], body) >= RULE.min_share
            assert paraphrase.numbers_and_names(body, bodies[0]) == paraphrase.numbers_and_names(bodies[0])


def test_almost_every_item_has_a_paraphrase_near_the_target(settings, built):
    items = everything(built)
    assert sum(not item.paraphrases for item in items) <= 2
    assert all(bool(item.paraphrases) != bool(item.paraphrase_reason) for item in items)
    shares = [np.mean(item.body_shares) for item in items if item.paraphrases]
    assert np.mean(shares) == pytest.approx(settings.paraphrase.target_share, abs=0.015)


def test_both_classes_change_the_same_share_of_their_own_words(built):
    shares = {
        role: np.array([np.mean(item.body_shares) for item in everything(built) if item.role == role and item.paraphrases])
        for role in ("reasoning", "control")
    }
    assert abs(shares["reasoning"].mean() - shares["control"].mean()) < 0.012
    assert abs(standardised_difference(shares["reasoning"], shares["control"])) < 0.5


def test_each_paraphrase_has_a_frame_of_its_own_alike_in_both_classes(settings, built):
    for item in everything(built):
        openings = [text.split("\n")[0] for text in item.paraphrases]
        assert openings == [frame for frame in settings.prompt.frames[1:] if frame in openings]
        if len(item.paraphrases) == settings.paraphrase.n:
            assert openings == settings.prompt.frames[1 : settings.paraphrase.n + 1]


def test_changed_share_agrees_with_the_textbook_recurrence():
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = ([*map(chr, rng.integers(97, 102, size))] for size in rng.integers(1, 40, 2))
        expected = 1 - longest_common_subsequence(a, b) / len(a)
        assert paraphrase.changed_share(" ".join(a), " ".join(b)) == pytest.approx(expected)


def test_shares_of_known_pairs():
    for original, other, changed, moved in (
        ("a b c d", "a b c d", 0, 0),
        ("a b c d", "a x c d", 0.25, 0),
        ("a b", "x y", 1, 0),
        ("a b c d", "b c d a", 0.25, 0.25),  # only the order
        ("a b c d", "b x d a", 0.5, 0.25),
        ("a b", "a b and more", 0, 0),
        ("", "x", 0, 0),
    ):
        assert paraphrase.changed_share(original, other) == pytest.approx(changed)
        assert paraphrase.moved_share(original, other) == pytest.approx(moved)


def test_a_phrase_is_replaced_everywhere_or_nowhere():
    text = "Students mainly read. Mainly they write. Anna Mainly lives here; she mainly sings."
    result = paraphrase.substitute(text, 99, ("key",))
    assert result == "Students chiefly read. Chiefly they write. Anna Mainly lives here; she chiefly sings."
    assert paraphrase.substitute(text, 0, ("key",)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Human needs vary.",
        "A needy, ify, iffy newcomer.",
        "They each have hats.",
        "The pears weigh 3 pounds each way.",
        "She left the day before she paid.",
        "Ask him if they remain, as if it rains.",
        "She gets up early and gets to work.",
        "How much more did Ann spend than Bo?",
        "Say how many they think are here.",
        "The costs of war are high.",
        "It became known.",
        "How many are there put together?",
        "The only moon is not the same moon.",
        "Just as well.",
        "Do most refer to it?",
        "Which rooms does she need to hold them all?",
        "Size small, extra large.",
        'It is called "often a large number".',
        "It has a population of 5 million.",
        "A field trip.",
        "An island country music band is a rubber band.",
        "Few armed conflict lines remain.",
        "They have decided to go today.",
        "She has eaten at 3 and will be eating with him.",
        "The ticket cost $3 and costs $3 more now.",
        "What is the area of the square?",
    ],
)
def test_a_phrase_in_another_context_stays(text):
    """A list that does not look at the context would break each of these."""
    assert {paraphrase.substitute(text, 99, (key,)) for key in range(6)} == {text}


def test_an_article_follows_its_new_word():
    for text, news in {
        "a major river": {"an important river"},
        "an important river": {"a significant river"},
        "An important river": {"A significant river"},
        "a huge lake": {"an enormous lake"},
        "an additional lake": {"a further lake", "an extra lake"},
    }.items():
        assert {paraphrase.substitute(text, 99, (key,)) for key in range(8)} == news


def test_a_replacement_that_the_text_has_already_is_not_taken():
    assert paraphrase.substitute("The shop is near. She left the store.", 99, (0,)).count("store") == 1
    assert paraphrase.substitute("A nation in the country.", 99, (0,)) == "A nation in the country."


def test_entries_of_the_lexicon_are_apart_and_hold_no_number():
    replacements = [new for _, *options in REWORDINGS for new in options]
    assert len(set(replacements)) == len(replacements)
    assert len({pattern for pattern, *_ in REWORDINGS}) == len(REWORDINGS)
    for pattern, *options in REWORDINGS:
        for new in options:
            numbers, _ = paraphrase.numbers_and_names(new)
            assert all(re.search(rf"\b{number}\b", pattern) for number in numbers), new
    assert not {"all", "no", "some"} & {new.split()[0] for new in replacements if len(new.split()) == 1}
    for rule in paraphrase._RULES:
        assert rule.literal.strip(), rule.pattern.pattern


def test_anchors_notice_a_changed_number_and_a_changed_name():
    text = "In May, Ann Lee paid $12.50 for three cats. Ann left."
    for other in (
        "In May, Ann Lee paid $12.60 for three cats. Ann left.",
        "In May, Ann Kim paid $12.50 for three cats. Ann left.",
        "In May, Ann Lee paid $12.50 for four cats. Ann left.",
        "In May, Ann Lee paid $12.50 for three cats. Bo left.",
    ):
        assert paraphrase.numbers_and_names(other) != paraphrase.numbers_and_names(text)
    moved = "Ann Lee paid $12.50 for three cats in May. Ann left."
    assert paraphrase.numbers_and_names(moved) == paraphrase.numbers_and_names(text)


def test_the_order_of_premises_changes_and_the_answer_does_not(settings, monkeypatch):
    """Check by brute force over models that exchanged premises imply what they implied."""
    monkeypatch.chdir(ROOT)
    spec = settings.spec("syllogism").model_copy(update={"n": 60})
    exchanged = 0
    for row, raw in frozen.load_frozen_items("syllogism", spec):
        for text in reorderings(raw.text) + [found.text for found in make(raw.text, RULE, row["item_id"])[0]]:
            premises = re.findall(r"^\d[.] (.+)$", text, re.MULTILINE)
            conclusion = text.rsplit("\n", 1)[-1].removesuffix("?")
            assert syllogisms.follows(premises, conclusion) == (raw.answer == "yes")
            exchanged += premises != re.findall(r"^\d[.] (.+)$", raw.text, re.MULTILINE)
    assert exchanged >= 60


def test_premises_change_places_where_the_target_allows():
    text = "Consider these statements:\n1. All ants are cats\n2. No cats are dogs\n\nDoes it follow that:\nNo ants are dogs?"
    bodies = [paraphrase.rephrase(text, 0.2, (key,)) for key in range(20)]
    assert any("1. No cats are dogs\n2. All ants are cats" in body for body in bodies)


def test_statements_that_are_not_categorical_keep_their_order():
    text = "Do this:\n1. All the eggs are beaten first\n2. Some sugar is added later"
    assert reorderings(text) == []


def test_a_new_order_has_the_same_words(settings, monkeypatch):
    """Check that no word is lost or won: no number, no name, no fact. "The B of A" is "A's B"."""

    def content(text):
        return Counter(re.sub("'s?$", "", word) for word in paraphrase.words(text.lower())) - Counter({"the": 99, "of": 99})

    monkeypatch.chdir(ROOT)
    n_found = 0
    for dataset, n in (("gsm-symbolic", 200), ("wiki", 150)):
        spec = settings.spec(dataset).model_copy(update={"n": n})
        for _, raw in frozen.load_frozen_items(dataset, spec):
            text = raw.text if dataset == "gsm-symbolic" else " ".join(datasets.sentences(raw.text)[:2])
            orders = reorderings(text)
            n_found += len(orders)
            assert all(content(other) == content(text) for other in orders)
            assert all(paraphrase.numbers_and_names(other)[0] == paraphrase.numbers_and_names(text)[0] for other in orders)
    assert n_found > 60


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("A tub costs $11. If you buy 2 tubs, how much do you pay?", "A tub costs $11. How much do you pay if you buy 2 tubs?"),
        ("How many tubs are there if you buy 2 boxes?", "If you buy 2 boxes, how many tubs are there?"),
        ("Every day, the farmer sells 6 eggs.", "The farmer sells 6 eggs every day."),
        ("In 1990, Ann Lee won.", "Ann Lee won in 1990."),
        ("Ann Lee won in 1990.", "In 1990, Ann Lee won."),
        ("In physics, a field is a map.", "A field in physics is a map."),
        ("The Moon is the only satellite of Earth.", "The only satellite of Earth is the Moon."),
        ("Havana is the capital of Cuba.", "Havana is Cuba's capital."),
        ("It lies between Europe, Asia, and Africa.", "It lies between Europe, Africa, and Asia."),
        ("The natural or artificial lake.", "The artificial or natural lake."),
        ("A natural or artificial lake.", None),
        (
            "Ann shops. The bag has 7 nuts in it. The bin holds 3 figs. How much food is there?",
            "Ann shops. The bin holds 3 figs. The bag has 7 nuts in it. How much food is there?",
        ),
        ("Could Bart Lee fly?", None),  # no verb is known: where the subject ends is not certain
        ("Would a Bengal cat be afraid?", "Is it true that a Bengal cat would be afraid?"),
        ("If Ann has 3 cats, how many does she feed?", None),  # "she" would precede Ann
        ("How many cats does Ann feed if she has 3?", None),
        ("In 1990, he won and left.", None),  # which of the two was in 1990?
        ("In 1847, he proposed washing, where wards had deaths.", None),
        ("Grass was cut in 1990.", None),  # may be a name: it keeps its capital, or loses it
        ("She buys figs. The bag has 7 nuts. Then it holds 3 figs. How many?", None),
        ("She buys figs. The bag has 7 nuts. The nuts have 3 colours. How many?", None),
        ("She buys figs. The bag has 7 nuts. The bin has 2 dates. They are red. How many?", None),
        ("Ann and Bo are 3, 4, and 5, respectively: red, green, and blue.", None),
        ("She washed, dried, and folded.", None),
        ("The city of Cuba is the rest of Cuba.", None),
        ("It is in the northern constellation of Lyra.", None),
    ],
)
def test_a_new_order_is_taken_where_it_means_the_same(text, other):
    assert other in reorderings(text) if other else reorderings(text) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "17 23",
        "你好，世界。这是一个没有空格的句子。",
        "🙂🙃",
        "مرحبا بالعالم. كم عدد التفاح؟",
        "İstanbul ſtraße K ǅ ﬁ",
        "a" * 1000,
        "Cafe\u0301 \u200bnaïve\u00a0text",
        '" unbalanced " quote "',
        "If , ? . If",
        "\n\n1. \n2. \n",
    ],
)
def test_any_text_gets_paraphrases_or_a_reason(body):
    found, reason = make(body)
    assert found == []
    assert reason == "no paraphrase kept every number and name and changed enough words of the item"


def test_text_in_another_alphabet_keeps_it():
    found, _ = make("Владимир often buys 3 яблока, because he needs 2 груши and a large арбуз.")
    assert found
    assert all({"Владимир", "яблока,", "груши", "арбуз."} <= set(each.text.split()) for each in found)
