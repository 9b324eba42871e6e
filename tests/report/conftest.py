"""A browser without a network, and pages that may not break: shared by the report's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """Debian's browser under playwright; skipped where either isn't there."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    arguments = ["--disable-dev-shm-usage"] + ["--no-sandbox"] * (os.geteuid() == 0)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium) -> Iterator[Callable]:
    """Open a file from disk, offline; at the end no page may have logged an error, asked for anything or broken its policy."""
    pages, wrong = [], []

    def visit(path: Path, fragment: str = "", **options: object):
        context = chromium.new_context(**{"offline": True, "viewport": {"width": 1280, "height": 900}} | options)
        context.add_init_script(WATCH)
        context.set_default_timeout(10_000)
        page = context.new_page()
        address = path.as_uri()
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: None if request.url.split("#")[0] == address else wrong.append(request.url))
        page.goto(address + fragment)
        pages.append(page)
        return page

    yield visit
    for page in pages:
        wrong += page.evaluate("window.violations")
        page.context.close()
    assert wrong == []
