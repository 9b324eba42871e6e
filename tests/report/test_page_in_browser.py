"""The whole report in an offline browser. ``visit`` fails on errors, requests and violations."""

from __future__ import annotations

import pytest

from tests.helpers.report_pages import HOSTILE

pytestmark = pytest.mark.dvc


@pytest.fixture
def report(iteration):
    return iteration.folder / "report.html"


def draw_charts(page):
    """Scroll down the page, since a chart is drawn when it comes near, and return every chart."""
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator("svg").first.wait_for()
    return page.locator(".plot > svg, .plot > div > svg")


def test_every_chart_is_drawn_with_marks(visit, report):
    page = visit(report)
    charts = draw_charts(page)
    assert charts.count() == page.locator(".plot").count() == 7
    for chart in charts.all():
        assert chart.locator("path, rect").count() > 10
    assert not page.get_by_text("could not be drawn").count()


def test_a_mark_tells_its_numbers(visit, report):
    page = visit(report)
    chart = page.locator("#chart-0-estimates")
    chart.scroll_into_view_if_needed()
    chart.locator("svg").first.wait_for()
    chart.locator(".mark-symbol path").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "REV" in tip.text_content()


def test_the_theme_changes_page_and_charts(visit, report):
    page = visit(report, color_scheme="light")
    axis = page.locator("#chart-0-estimates .role-axis-label text").first
    page.locator("#chart-0-estimates").scroll_into_view_if_needed()
    axis.wait_for()
    colours = "each => [getComputedStyle(document.body).backgroundColor, each.getAttribute('fill')]"
    seen = [axis.evaluate(colours)]
    button = page.get_by_role("button", name="Theme")
    for name in ("light", "dark"):
        button.click()
        page.get_by_role("button", name=f"Theme: {name}").wait_for()
        page.wait_for_timeout(500)
        seen.append(axis.evaluate(colours))
    assert seen[0] == seen[1]
    assert seen[2][0] != seen[1][0]
    assert seen[2][1] != seen[1][1]


def test_the_report_opens_at_an_item(visit, report, iteration):
    item = iteration.items()["item_id"][3]
    page = visit(report)
    page.get_by_label("Search prompt, continuation, ID").fill(item)
    page.get_by_role("button", name=item, exact=True).click()
    page.locator("#items").get_by_role("heading", name=item).wait_for()
    assert page.locator(".items-token").count() == len(iteration.items()["tokens"][3])


def test_two_iterations_are_shown_in_two_columns(visit, pair):
    page = visit(pair)
    draw_charts(page)
    assert page.locator("#results-1 .pair > div").count() == 2
    page.locator("#items tbody tr").first.get_by_role("button").click()
    detail = page.locator(".items-detail")
    for name in ("iteration_001", "iteration_002"):
        assert name in detail.text_content()


def test_hostile_texts_run_nothing(visit, hostile):
    page = visit(hostile)
    draw_charts(page)
    assert page.evaluate("window.hacked === undefined")
    assert HOSTILE in page.locator("#verdict").text_content()


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 1280)])
def test_axe_finds_no_fault_and_nothing_overflows(sized, faultless, report, pair, scheme, width):
    for path in (report, pair):
        page = sized(path, scheme, width)
        draw_charts(page)
        page.evaluate("document.querySelectorAll('#environment details').forEach(each => { each.open = true })")
        faultless(page)


def test_print_shows_all_charts_and_what_is_folded(visit, report):
    page = visit(report, color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for plot in page.locator(".plot").all():
        plot.locator("svg").first.wait_for()
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
