"""The pages of docs/: short where they say so, found from the index, and with links that lead somewhere."""

import re

import pytest

from tests.helpers.root import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", sorted((DOCS / "howto").glob("*.md")), ids=lambda page: page.stem)
def test_a_how_to_is_under_forty_lines(page):
    assert len(page.read_text().splitlines()) < 40


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index():
    listed = re.findall(r"\]\(([^)#]+)\)", (DOCS / "README.md").read_text())
    assert {page.relative_to(DOCS).as_posix() for page in PAGES} - {"README.md"} <= set(listed)


def test_every_test_that_a_page_names_is_there():
    for page in PAGES:
        for name in re.findall(r"`(tests/[\w/.]+)`", page.read_text()):
            assert (ROOT / name).exists(), (page.name, name)
