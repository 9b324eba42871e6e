"""The page of a probe in chromium: one file that loads nothing, with the prompts side by side."""

import re

import pytest

import wor
from tests.helpers.report_pages import HOSTILE
from wor.report import page

pytestmark = pytest.mark.dvc

TEXT = "There are 12 students and 345 teachers in one school. How many people are there in total?"


@pytest.fixture(scope="module")
def probes(ran):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ran.folder)
        # Another window than the run's, so that the first has no controls.
        return wor.probe(f"{TEXT} {HOSTILE}", changes={"window.size": 16}), wor.probe(TEXT, HOSTILE)


@pytest.fixture(scope="module")
def pages(probes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    paths = [folder / "one.html", folder / "two.html"]
    for path, probe in zip(paths, probes, strict=True):
        page.write_probe_page(path, probe)
    return paths


def test_nothing_outside_is_referred_to(pages):
    for path in pages:
        assert {link[:1] for link in re.findall(r'\b(?:src|href)="([^"]*)"', path.read_text())} == {"#"}


def test_one_prompt_is_shown_without_a_list(visit, pages, probes):
    visited = visit(pages[0])
    visited.wait_for_selector(".items-token")
    (prompt,) = probes[0].prompts
    assert visited.locator(".items-plain").text_content() == prompt.record["text"]
    assert visited.locator(".items-in-window.items-token").count() == prompt.tokens["in_window"].sum()
    assert visited.locator(".items-text").first.text_content() == prompt.item.prompt
    assert not visited.locator(".items-tools").is_visible()
    assert not visited.locator(".items-list").is_visible()
    assert visited.locator(".items-measures thead").first.text_content() == "MeasureValue"
    assert "There are no thresholds without a run." in visited.locator(".items-detail").text_content()
    assert "the run that is here has another window.size" in visited.locator("#scores").text_content()


def test_two_prompts_stand_side_by_side_with_their_difference(visit, pages, probes):
    visited = visit(pages[1])
    visited.wait_for_selector(".items-token")
    texts = visited.locator(".items-plain").all_text_contents()
    assert texts == [prompt.record["text"] for prompt in probes[1].prompts]
    numbers = {side: len(prompt.item.paraphrases) for side, prompt in zip("AB", probes[1].prompts, strict=True)}
    assert numbers["A"] == 2
    summaries = visited.locator(".items-paraphrases summary").all_text_contents()
    assert summaries == [f"{number} paraphrases in {side}" for side, number in numbers.items() if number]
    heads = visited.locator(".items-measures thead").first.text_content()
    assert heads == "MeasureABB − A"
    shown = visited.locator("#scores").get_by_role("row", name=re.compile("^APE")).first.locator("td").all_text_contents()
    row = probes[1].scores.loc["ape"]
    assert shown[:3] == [f"{row['a']:.3g}", f"{row['b']:.3g}", f"{row['difference']:+.3g}"]


@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_fault_and_nothing_overflows(sized, faultless, pages, width):
    for path in pages:
        visited = sized(path, "light", width)
        visited.wait_for_selector(".items-token")
        faultless(visited)
