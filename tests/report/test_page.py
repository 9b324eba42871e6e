"""The report as a file: it shows the iteration's numbers and refers to nothing outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import pytest

from tests.helpers.report_pages import HOSTILE, another

pytestmark = pytest.mark.dvc


def unpack(packed: str) -> str:
    return zlib.decompress(base64.b64decode(json.loads(packed)), wbits=-15).decode()


class Parts(HTMLParser):
    """Tables, scripts, styles, attributes and text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.tables: dict[str, list[list[str]]] = {}
        self.ids: list[str] = []
        self.open: list[str] = []
        self.caption = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        self.open.append(tag)
        if tag in self.inside:
            self.texts = self.inside[tag]
            self.texts.append("")
        if tag == "caption":
            self.caption = ""
        if tag == "tr":
            self.tables.setdefault(self.caption, []).append([])
        if tag in ("td", "th"):
            self.tables[self.caption][-1].append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] in self.inside:
            self.texts[-1] += data
        elif "caption" in self.open:
            self.caption += data
        elif {"td", "th"} & set(self.open):
            self.tables[self.caption][-1][-1] += data


@pytest.fixture(scope="module")
def text(iteration) -> str:
    return (iteration.folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parts(text) -> Parts:
    return Parts(text)


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?\d+\.\d+", cell.replace("−", "-"))]


def test_the_table_of_results_is_what_the_iteration_holds(iteration, parts):
    (result,) = iteration.statistics.values()
    table = next(rows for caption, rows in parts.tables.items() if "reasoning against control" in caption)
    rows = {row[0].split()[0]: row for row in reversed(table)}  # APL comes before APL given entropy
    for key in ("rev", "apl", "ape", "sib", "dtr"):
        auroc, known, *cells = rows[key.upper()][1:]
        methods, gains = result["auroc"][key], [result[part][key]["delta"] for part in ("added", "added_full")]
        if known:  # calibration changes it
            assert numbers(known) == [round(methods["bootstrap"][end], 2) for end in ("low", "high")]
        estimates = (methods.get("joint", methods["bootstrap"]), *gains, result["partial"][key]["clustered"])
        for cell, estimate in zip([auroc, *cells], estimates, strict=False):
            if estimate["value"] is None:
                assert cell == f"none: {estimate['reason']}"
            else:
                assert numbers(cell) == [round(estimate[end], 2) for end in ("value", "low", "high")]


def test_every_criterion_and_hypothesis_is_there_with_its_status(iteration, parts):
    (result,) = iteration.statistics.values()
    assert [row[1] for row in parts.tables["Success criteria, set before the run"][1:]] == [
        entry["status"] for entry in iteration.criteria.values()
    ]
    hypotheses = result["preregistration"]["hypotheses"]
    rows = next(rows for caption, rows in parts.tables.items() if caption.startswith("Hypotheses"))
    assert [(row[1], row[2]) for row in rows[1:]] == [(entry["claim"], entry["status"]) for entry in hypotheses.values()]
    assert any("(primary)" in row[0] for row in rows)


def test_the_charts_hold_the_iterations_numbers(iteration, parts):
    (result,) = iteration.statistics.values()
    specs = json.loads(unpack(parts.inside["script"][0]))
    names = {name.split("-", 1)[1] for name in specs}
    assert names >= {"estimates", "distributions", "roc", "layers", "heads", "specifications", "dose"}
    points = [row for rows in specs["0-estimates"]["datasets"].values() for row in rows if row.get("measure") == "REV"]
    assert {row["panel"]: row["value"] for row in points}["AUROC"] == pytest.approx(
        result["auroc"]["rev"]["bootstrap"]["value"], rel=1e-3
    )
    elements = [identifier for identifier in parts.ids if identifier.startswith("chart-")]
    assert elements == [f"chart-{name}" for name in specs]


def test_nothing_outside_is_referred_to(parts):
    for tag, name, value in parts.attributes:
        if name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href"):
            assert value.startswith(("#", "data:")), (tag, name, value[:80])
        assert not name.startswith("on"), (tag, name)
        assert name != "style", tag
    assert not re.search(r"@import|url\(", "".join(parts.inside["style"]))


def test_the_policy_allows_these_scripts_and_styles_and_nothing_else(parts):
    policy = next(value for _, name, value in parts.attributes if name == "content" and "default-src" in value)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    types = [value for tag, name, value in parts.attributes if tag == "script" and name == "type"]
    assert set(types) == {"application/json"}
    *_, library = parts.inside["script"][: len(types)]
    code = [unpack(library), *parts.inside["script"][len(types) :]]
    assert code[0].startswith("/*! Vega ")
    for kind, elements in (("script-src", code), ("style-src", parts.inside["style"])):
        hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in elements}
        assert set(rules[kind].split()) == hashes


def test_no_two_elements_have_one_id(parts):
    assert len(parts.ids) == len(set(parts.ids))


def test_texts_from_outside_are_shown_and_not_run(hostile):
    text = hostile.read_text(encoding="utf-8")
    assert "<script>window.hacked" not in text
    assert "<img src=x" not in text
    cells = [cell for rows in Parts(text).tables.values() for row in rows for cell in row]
    assert sum(HOSTILE in cell for cell in cells) >= 4


def test_two_iterations_are_compared(study, tmp_path):
    first = study.folder / "experiments" / "iteration_001"
    other = another(first)
    study.refusal(study.run("wor", "report", "iteration_001", "iteration_001", expect=2))
    path = study.run("wor", "report", "iteration_001", "iteration_002").stdout.strip()
    assert path == "plots/reports/iteration_001-iteration_002.html"
    tables = Parts((study.folder / path).read_text(encoding="utf-8")).tables
    assert tables["Different parameters"][1:] == [["temperature", "0.6", "0.9"]]
    assert [row[-1] for row in tables["Estimates (95% intervals)"][1:] if row[1].startswith("0")] != []
    assert all(numbers(row[-1]) in ([0.0], []) for row in tables["Estimates (95% intervals)"][1:])
    paired = {tuple(row[1:3]): numbers(row[-1]) for row in tables["The same items, iteration_002 minus iteration_001"][1:]}
    assert paired["reasoning", "REV"] == [1.0, 1.0, 1.0]
    assert paired["control", "REV"] == [0.0, 0.0, 0.0]
    assert other.name in tables["Success criteria"][0]


def test_the_command_says_where_a_report_is_or_makes_one(study):
    path = study.run("wor", "report").stdout.strip()
    assert path == "experiments/iteration_001/report.html"
    path = study.run("wor", "report", "-o", "elsewhere.html").stdout.strip()
    assert "reasoning against control" in (study.folder / path).read_text()
    assert study.run("wor", "verify").returncode == 0  # the sealed one is as it was
    study.refusal(study.run("wor", "report", "iteration_009", expect=2))
