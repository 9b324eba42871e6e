"""The item browser in chromium: opened from disk, offline, under the report's policy."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.helpers import report_items
from tests.helpers.report_assembly import assembled
from wor import load_iteration

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&lt;{{ 7 * 7 }}'
EVIL_DATASET = "<b onclick=alert(3)>"
EVIL = f"{EVIL_DATASET}/<i>0"
SHADES = ["Entropy", "Log-probability", "Settling depth", "Attention entropy"]


def words(text: str) -> list[str]:
    return re.findall(r" ?[^\s<>]+|[<>]|\s", text)


def study(folder, seed: int, hot: bool):
    """Return 12 plain items, a hostile one and an excluded one. ``hot`` changes three."""
    questions, continuations = [], []
    for k in range(12):
        dataset, role = ("sums", "reasoning") if k % 2 else ("wiki", "control")
        questions.append(report_items.make_question(f"{dataset}/{k}", f"How many pears does number {k} have?", role))
        tail = " Otherwise it is" if hot and k == 3 else " It is"
        continuations.append(
            words(f"Number {k} has pears.\n{tail} a long story, told word by word, " + "and then on " * 9 + f"until {k}.")
        )
    questions.append(
        report_items.make_question(
            EVIL, HOSTILE, paraphrases=[f"Well. {HOSTILE}"], paraphrase_shares=[0.1], answer="<u>12</u>", gold=HOSTILE
        )
    )
    continuations.append([HOSTILE, *words(" " + HOSTILE * 3), *[" more"] * 20])
    questions.append(report_items.make_question("sums/99" if hot else "sums/98", "Too short?", reason=f"left out: {HOSTILE}"))
    continuations.append([" A", " few"])
    report_items.iteration(folder, questions, continuations, seed)
    return load_iteration(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def iterations(folder):
    return study(folder / "iteration_001", 1, False), study(folder / "iteration_002", 2, True)


@pytest.fixture(scope="module")
def one(folder, iterations):
    path = folder / "one.html"
    path.write_text(assembled(iterations[:1]))
    return path


@pytest.fixture(scope="module")
def both(folder, iterations):
    path = folder / "both.html"
    path.write_text(assembled(iterations))
    return path


@pytest.fixture
def page(visit, one):
    return visit(one)


def ids(page) -> list[str]:
    return page.locator(".items-list tbody button").all_text_contents()


def count(page) -> str:
    return page.locator(".items-count").text_content()


def test_all_items_are_listed_from_the_highest_rev(page, iterations):
    frame = iterations[0].items().sort_values("rev", ascending=False, na_position="last")
    page.wait_for_selector(".items-list tbody tr")
    assert ids(page) == frame["item_id"].tolist()
    assert count(page) == "14 items"


def test_search_finds_words_of_the_prompt_the_continuation_and_the_id(page):
    for query, item_id in (("number 4 have", "wiki/4"), ("until 7", "sums/7"), ("SUMS/11", "sums/11")):
        page.get_by_label("Search").fill(query)
        page.locator(f".items-list tr:only-child button:text-is('{item_id}')").wait_for()
        assert count(page) == "1 of 14 items"
        assert page.locator(".items-detail h3").text_content() == item_id
    page.get_by_label("Search").fill("no such words")
    page.get_by_text("No item matches").wait_for()
    page.get_by_role("button", name="Clear").click()
    assert count(page) == "14 items"


@pytest.mark.parametrize(
    ("label", "value", "keeps"),
    [
        ("Dataset", "wiki", lambda row: row.dataset == "wiki"),
        ("Class", "reasoning", lambda row: row.role == "reasoning"),
        ("Answer", "right", lambda row: row.correct == 1),
        ("Answer", "wrong", lambda row: row.correct == 0 and row.answer != ""),
        ("Answer", "unread", lambda row: row.correct == 0 and row.answer == ""),
        ("Answer", "none", lambda row: row.correct != row.correct),
        ("Left out", "only", lambda row: isinstance(row.reason, str)),
        ("Left out", "not", lambda row: not isinstance(row.reason, str)),
    ],
)
def test_filters_keep_what_they_say(page, iterations, label, value, keeps):
    page.get_by_label(label, exact=True).select_option(value)
    expected = {row.item_id for row in iterations[0].items().itertuples() if keeps(row)}
    assert set(ids(page)) == expected
    assert count(page) == f"{len(expected)} of 14 items"


def test_any_measure_sorts_in_both_directions_with_missing_values_last(page, iterations):
    frame = iterations[0].items()
    offered = set(page.get_by_label("Sort by").locator("option").evaluate_all("all => all.map((each) => each.value)"))
    assert {"rev", "apl", "ape", "sib", "dtr", "apl_z", "token_len", "perplexity", "avg_logprob"} <= offered
    assert offered <= set(frame.columns)
    page.get_by_label("Sort by").select_option("perplexity")
    for way, ascending in (("down", False), ("up", True)):
        page.get_by_label("Order").select_option(way)
        assert ids(page) == frame.sort_values("perplexity", ascending=ascending)["item_id"].tolist()
    page.get_by_label("Sort by").select_option("apl")
    assert ids(page)[-1] == "sums/98"  # has no window, therefore no APL
    assert page.locator("th[aria-sort=ascending]").text_content() == "APL"


def test_the_keyboard_moves_through_the_list_and_opens_an_item(page):
    every = ids(page)
    page.locator(".items-list button[tabindex='0']").focus()

    def focused() -> str:
        return page.evaluate("document.activeElement.textContent")

    for key, index in (
        ("ArrowDown", 1),
        ("ArrowDown", 2),
        ("ArrowUp", 1),
        ("End", 13),
        ("Home", 0),
        ("PageDown", 10),
        ("PageUp", 0),
    ):
        page.keyboard.press(key)
        assert focused() == every[index], key
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert focused() == every[1] == page.locator(".items-detail h3").text_content()
    assert page.locator(".items-list [aria-current=true]").all_text_contents() == [every[1]]
    page.keyboard.press("Escape")
    assert focused() == every[1]
    assert page.locator(".items-list button[tabindex='0']").count() == 1


def test_the_chosen_item_and_the_filters_survive_a_reload_a_link_and_the_back_button(page, visit, one):
    page.get_by_label("Class").select_option("control")
    page.get_by_role("button", name="wiki/4").click()
    page.get_by_role("button", name="wiki/8").click()
    title = page.locator(".items-detail h3")
    assert title.text_content() == "wiki/8"
    page.go_back()
    assert title.text_content() == "wiki/4"
    page.reload()
    page.wait_for_selector(".items-detail h3")
    assert title.text_content() == "wiki/4"
    assert count(page) == "6 of 14 items"
    linked = visit(one, page.url.partition("#")[2] and "#" + page.url.partition("#")[2])
    linked.wait_for_selector(".items-detail h3")
    assert linked.locator(".items-detail h3").text_content() == "wiki/4"


def test_tokens_are_shaded_by_each_score_and_tell_their_numbers(page, iterations):
    frame = iterations[0].items().set_index("item_id")
    page.get_by_role("button", name="sums/5").click()
    tokens = page.locator(".items-token")
    assert tokens.count() == len(frame.loc["sums/5", "tokens"])
    shades = {}
    for name in [*SHADES, "None"]:
        page.get_by_label(name, exact=True).check()
        shades[name] = tokens.evaluate_all("all => all.map((each) => getComputedStyle(each).backgroundColor)")
    assert len({tuple(each) for each in shades.values()}) == 5
    assert len(set(shades["None"])) == 1
    entropy = frame.loc["sums/5", "token_entropy"]
    page.get_by_label("Entropy", exact=True).check()
    strength = tokens.evaluate_all("all => all.map((each) => Number(each.style.getPropertyValue('--t')))")
    assert strength.index(max(strength)) == int(entropy.argmax())
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    label = tokens.nth(1).get_attribute("aria-label")
    assert f"entropy {entropy[1]:.3f}"[:11] in label
    assert page.locator(".items-readout").text_content().endswith(label.split(": ", 1)[1])
    assert tokens.nth(1).evaluate("each => each === document.activeElement")
    page.keyboard.press("End")
    assert tokens.last.get_attribute("aria-selected") == "true"


def test_window_answer_and_line_breaks_are_marked_without_colour(page, iterations):
    frame = iterations[0].items().set_index("item_id")
    item_id = frame[(frame["answer"] != "") & (frame["dataset"] == "sums") & frame["reason"].isna()].index[0]
    row = frame.loc[item_id]
    page.get_by_role("button", name=item_id, exact=True).click()
    marked = "all => all.map((each, index) => each.classList.contains('{}') ? index : -1).filter((index) => index >= 0)"
    tokens = page.locator(".items-token")
    assert tokens.evaluate_all(marked.format("items-in-window")) == list(range(row.window_start, row.window_end))
    assert tokens.evaluate_all(marked.format("items-in-answer")) == list(range(row.answer_start, row.answer_end))
    assert page.locator(".items-tag").all_text_contents() == ["window", "answer"]
    assert "↵\n" in page.locator(".items-tokens").text_content()
    assert page.locator(".items-plain").text_content() == row.text


def test_layers_are_drawn_with_their_thresholds_and_as_a_table(page, iterations):
    frame = iterations[0].items().set_index("item_id")
    page.get_by_role("button", name="sums/5").click()
    chart = page.locator("figure").first
    assert chart.locator("rect").count() == chart.locator(".items-limit").count() == report_items.LAYERS
    above = chart.locator("rect.items-counts").count() / report_items.LAYERS
    assert above == frame.loc["sums/5", "apl"]
    assert chart.locator("tbody tr").count() == report_items.LAYERS
    assert page.locator("figure").nth(1).locator(".items-dot").count() == 1
    assert page.locator(".items-cell").count() == 2 * report_items.LAYERS * report_items.WINDOW


def test_paraphrases_show_what_changed(page):
    page.get_by_role("button", name="sums/5").click()
    page.get_by_text("3 paraphrases").click()
    assert page.locator(".items-paraphrases ins").all_text_contents() == ["Please. ", "Kindly. ", "Well ", "then. "]
    assert page.locator(".items-share").first.text_content() == "15 % of the words changed"


def test_markup_of_a_model_or_a_dataset_is_text(page):
    page.get_by_role("button", name=EVIL).click()
    detail = page.locator(".items-detail")
    assert detail.locator("h3").text_content() == EVIL
    assert detail.locator("section .items-text").first.text_content() == HOSTILE
    assert HOSTILE in page.locator(".items-plain").text_content()
    page.locator(".items-token").first.focus()
    page.get_by_text("1 paraphrase").click()
    page.get_by_text("The numbers").click()
    page.get_by_role("button", name="sums/98").click()
    assert HOSTILE in page.locator(".items-reason").text_content()
    assert page.locator("#items :is(script, img, b, i, u)").count() == 0
    assert "49" not in page.locator(".items-reason").text_content()


def test_two_iterations_stand_side_by_side_with_their_differences(visit, both, iterations):
    page = visit(both)
    page.wait_for_selector(".items-list tbody tr")
    for value, expected in (("both", "13"), ("a", "1"), ("b", "1"), ("changed", "1")):
        page.get_by_label("In", exact=True).select_option(value)
        assert count(page) == f"{expected} of 15 items"
    assert ids(page) == ["sums/3"]
    assert (
        page.locator(".items-divergence")
        .text_content()
        .startswith('The same for 5 tokens; then A continues with " It is a", B with')
    )
    assert page.locator(".items-tokens").count() == 2
    assert page.locator(".items-tag-divergence").count() == 2
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Sort by").select_option("ape")
    page.get_by_label("of", exact=True).select_option("d")
    a, b = (iteration.items().set_index("item_id")["ape"] for iteration in iterations)
    differences = (b - a).dropna().sort_values(ascending=False)
    assert ids(page)[: len(differences)] == differences.index.tolist()
    line = page.locator(".items-measures tbody tr", has_text="APE").first.locator("td")
    assert float(line.nth(2).text_content().replace("−", "-")) == pytest.approx(differences.iloc[0], abs=1e-3)


def test_of_several_models_one_is_chosen(visit, iterations, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(assembled([report_items.with_a_second_model(iterations[0], tmp_path / "iteration_001")]))
    page = visit(path)
    page.get_by_role("button", name="sums/5").click()
    select = page.get_by_label("Model", exact=True)
    assert select.locator("option").all_text_contents() == ["Small-135M", "Large-1.7B"]
    select.select_option("Large-1.7B")
    assert page.locator(".items-detail h3").text_content() == "sums/5"
    assert "model=1" in page.url
    assert count(page) == "14 items"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_the_strongest_shade_has_a_contrast_of_at_least_4_5(visit, one, scheme):
    page = visit(one, color_scheme=scheme)
    page.get_by_role("button", name="sums/5").click()
    colours = page.locator(".items-token").first.evaluate("""(token) => {
        token.style.setProperty("--t", 1);
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const style = getComputedStyle(token);
        return [style.color, style.backgroundColor].map((colour) => {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        });
    }""")

    def luminance(colour: list[int]) -> float:
        shares = [each / 255 for each in colour]
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted(map(luminance, colours))
    assert colours[1] not in ([255, 255, 255], [20, 23, 26])
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_an_iteration_without_texts_says_so_and_lists_its_measures(visit, iterations, tmp_path):
    folder = shutil.copytree(iterations[0].folder, tmp_path / "iteration_001")
    shutil.rmtree(folder / "items")
    shutil.rmtree(folder / "observed")
    path = tmp_path / "page.html"
    path.write_text(assembled([load_iteration(folder)]))
    page = visit(path)
    page.get_by_text("holds no texts").wait_for()
    assert count(page) == "14 items"
    assert page.locator(".items-measures tbody tr").first.locator("td").first.text_content() != "–"
    assert page.locator(".items-tokens").count() == 0


def test_a_page_at_its_limit_says_what_it_left_out(visit, iterations, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(assembled(iterations[:1], max_bytes=2_500))
    page = visit(path)
    page.wait_for_selector(".items-list tbody tr")
    message = page.locator("[data-items=message]").text_content()
    assert re.match(r"\d of 14 items", message)
    assert "items/ and observed/ of the iteration's folder" in message
    assert count(page) == "14 items"


def test_without_decompression_the_page_says_what_it_needs(chromium, one):
    context = chromium.new_context(offline=True)
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(one.as_uri())
    page.get_by_text("needs DecompressionStream").wait_for()
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_axe_finds_nothing_and_nothing_overflows(sized, faultless, one, both, scheme, width):
    for path in (one, both):
        page = sized(path, scheme, width)
        page.get_by_role("button", name="sums/3").click()
        page.get_by_text("3 paraphrases").click()
        for numbers in page.get_by_text("The numbers").all():
            numbers.click()
        for shade in ("Entropy", "Settling depth"):
            page.get_by_label(shade, exact=True).check()
            faultless(page)


def test_print_shows_the_item_with_its_shading_and_hides_the_list(page):
    page.get_by_role("button", name="sums/5").click()
    page.emulate_media(media="print")
    assert not page.locator(".items-list").is_visible()
    assert not page.locator(".items-tools").is_visible()
    assert page.locator(".items-tokens").is_visible()
    assert page.locator(".items-token").first.evaluate("each => getComputedStyle(each).printColorAdjust") == "exact"
    assert page.locator(".items-paraphrases ins").first.is_visible()
