"""Check the pages: stated lengths, links from the index, and facts on files, packages, stages."""

import re
import tomllib

import pytest
import yaml

from tests.helpers.root import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ALL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def prose(page):
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """Return GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", sorted((DOCS / "howto").glob("*.md")), ids=lambda page: page.stem)
def test_a_how_to_is_short(page):
    assert len(prose(page).split()) <= 300
    assert len(page.read_text().splitlines()) <= 90


def test_the_readme_is_short_and_activates_the_environment_first():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 110
    assert len(prose(ROOT / "README.md").split()) <= 750
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert commands.index("activate") < re.search(r"^wor ", commands, re.MULTILINE).start()


@pytest.mark.parametrize("page", [page for page in ALL if page.name != "params.md"], ids=relative)
def test_lines_of_prose_end_at_100(page):
    long = [line for line in prose(page).splitlines() if len(line) > 100 and line[0] not in "|!"]
    assert [line for line in long if not line.startswith("*")] == []


@pytest.mark.parametrize("page", ALL, ids=relative)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for path, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", prose(page)):
        if "://" not in path:
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), path
            assert not anchor or anchor in anchors(target), anchor


def test_every_page_is_in_the_index():
    listed = re.findall(r"\]\(([^)#]+)\)", (DOCS / "README.md").read_text())
    assert {page.relative_to(DOCS).as_posix() for page in PAGES} - {"README.md"} <= set(listed)


def test_every_test_that_a_page_names_is_there():
    for page in PAGES:
        for name in re.findall(r"`(tests/[\w/.]+)`", prose(page)):
            assert (ROOT / name).exists(), (page.name, name)


def test_the_picture_of_the_packages_is_what_import_linter_checks():
    picture = re.search(r"```text\n.*?-\n(.*?)```", (DOCS / "architecture.md").read_text(), re.DOTALL)[1]
    shown = [set(re.findall(r"\w+", re.split(r"\s{2,}", line.strip())[0])) for line in picture.splitlines()]
    (contract,) = (entry for entry in PROJECT["tool"]["importlinter"]["contracts"] if entry["type"] == "layers")
    layers = [{name.removeprefix("wor.") for name in layer.split(" | ")} for layer in contract["layers"]]
    assert shown == layers
    packages = {path.parent.name for path in (ROOT / "wor").glob("*/__init__.py")}
    assert packages <= set().union(*shown)


def test_every_stage_is_in_the_table_of_the_flow():
    flow = (DOCS / "architecture.md").read_text().split("\n## ")[2]
    rows = re.findall(r"^\| (\w+) \|", flow, re.MULTILINE)[1:]
    assert rows == list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def test_the_citation_has_the_package_s_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["project"]["version"], PROJECT["project"]["license"])
    assert f"## [{citation['version']}]" in (ROOT / "CHANGELOG.md").read_text()
