"""Fixtures of the report's tests: an offline browser, and pages that must not break."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.report_pages import HOSTILE, another
from wor import load_iteration
from wor.iterations.load import Iteration
from wor.report import page

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """Return Debian's chromium under playwright. Skip the test where either is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    arguments = ["--disable-dev-shm-usage"] + ["--no-sandbox"] * (os.geteuid() == 0)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium) -> Iterator[Callable]:
    """Return a function that opens a file offline. Fail on errors, requests and violations."""
    pages, problems = [], []

    def visit(path: Path, fragment: str = "", **options: object):
        context = chromium.new_context(**{"offline": True, "viewport": {"width": 1280, "height": 900}} | options)
        context.add_init_script(WATCH)
        context.set_default_timeout(10_000)
        visited = context.new_page()
        address = path.as_uri()
        visited.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
        visited.on("pageerror", lambda error: problems.append(str(error)))
        visited.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        visited.on("request", lambda request: None if request.url.split("#")[0] == address else problems.append(request.url))
        visited.goto(address + fragment)
        pages.append(visited)
        return visited

    yield visit
    for visited in pages:
        problems += visited.evaluate("window.violations")
        visited.context.close()
    assert problems == []


@pytest.fixture(scope="session")
def faultless() -> Callable:
    """Return a function that fails where axe-core finds a violation of any impact."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")

    def faultless(visited) -> None:
        report = axe.Axe().run(visited)
        assert report.violations_count == 0, report.generate_report()

    return faultless


@pytest.fixture
def sized(visit) -> Callable:
    """Return a function that opens a page in a theme at a width. Fail on overflow."""
    pages = []

    def sized(path: Path, scheme: str, width: int):
        visited = visit(path, color_scheme=scheme, viewport={"width": width, "height": 900})
        pages.append((visited, width))
        return visited

    yield sized
    for visited, width in pages:
        assert visited.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="session")
def iteration(ran) -> Iteration:
    """Return the iteration of one run of a tiny study."""
    return load_iteration(ran.folder / "experiments" / "iteration_001")


@pytest.fixture(scope="session")
def hostile(iteration, tmp_path_factory) -> Path:
    """Return a report in which every text from outside is hostile."""
    evil = Iteration(iteration.folder)
    (result,) = evil.statistics.values()
    result["null_models"]["verdict"] = HOSTILE
    result["excluded"] = {f"control: {HOSTILE}": 3}
    next(iter(evil.criteria.values()))["why"] = HOSTILE
    next(iter(result["preregistration"]["hypotheses"].values()))["claim"] = HOSTILE
    result["preregistration"]["reasons"] = [HOSTILE]
    evil.environment["cpu"] = evil.config["prompt"]["template"] = HOSTILE
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    page.write_page(path, evil)
    return path


@pytest.fixture(scope="session")
def pair(iteration, tmp_path_factory) -> Path:
    """Return the report of two iterations."""
    folder = shutil.copytree(iteration.folder, tmp_path_factory.mktemp("pair") / "iteration_001")
    path = folder.with_name("pair.html")
    page.write_page(path, Iteration(folder), Iteration(another(folder)))
    return path
