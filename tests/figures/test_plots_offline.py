"""`dvc plots diff` of two revisions, opened from disk in a browser that reaches no network."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers.root import ROOT
from wor.config import params as parameters
from wor.errors import UserError
from wor.figures import ablation, curves, measures, offline, scaling, temperature
from wor.measures.registry import SCORES

pytestmark = pytest.mark.dvc

REVISIONS = ("cool", "warmer-and-with-a-name-longer-than-any-that-dvc-makes")
LIGHT, DARK = ("#0072b2", "#d55e00"), ("#56b4e9", "#e69f00")
TABLES = {
    "ROC": "roc",
    "distributions": "distributions",
    "layer_profile": "layer_profile",
    "temperature": "temp_robustness",
    "heads_removed": "ablation_curve",
    "scaling": "scaling",
    "measures": "measures",
}


MODELS = {"SmolLM2-135M-Instruct": 134_515_008, "SmolLM2-360M-Instruct": 361_821_120}


def tables(seed: int) -> dict[str, pd.DataFrame]:
    """What stages/figures.py writes to plots/tables/, of numbers that no model gave."""
    rng = np.random.default_rng(seed)

    def estimate() -> dict:
        value = rng.uniform(0.2, 0.8)
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 80, "reason": None}

    def result(label: str) -> dict:
        temperatures = [
            {"temperature": at, **{series: estimate() for series in ("reasoning", "control", "auroc")}} for at in (0.0, 0.3, 0.7)
        ]
        removed = {"n_heads": 9, "draws": 5, "draws_low": 0.4, "draws_high": 0.6}
        heads = [
            {"role": role, "kind": kind, "share": share, **removed, **estimate()}
            for role in ("reasoning", "control")
            for kind in ("ranked", "random")
            for share in (0.1, 0.3, 0.5)
        ]
        tried = {name: {"direction": 1, "claim": "undecided", "auroc": estimate(), "gain": estimate()} for name in SCORES}
        return {
            "label": label,
            "n_params": MODELS[label],
            "n": {"reasoning": 40, "control": 40},
            "auroc": {"rev": {"bootstrap": estimate()}},
            "added": {"rev": {"baseline": estimate(), "delta": estimate()}},
            "temperatures": {"by_temperature": temperatures},
            "heads": heads,
            "trial": {"refit_draws": 50, "measures": tried},
        }

    def items() -> pd.DataFrame:
        role = np.repeat(["control", "reasoning"], 40)
        return pd.DataFrame({score: rng.normal(0.8 * (role == "reasoning"), 1) for score in SCORES}).assign(role=role)

    def layers() -> pd.DataFrame:
        places = pd.MultiIndex.from_product([("control", "reasoning"), range(1, 31)], names=["role", "layer"])
        table = places.to_frame(index=False)
        return table.assign(ablation_kl=10 ** rng.normal(-table["layer"] / 15, 0.1))

    results, params = {label: result(label) for label in MODELS}, parameters.load_params(ROOT / "params.yaml")
    return {
        "roc": pd.concat([curves.roc(items(), label) for label in MODELS]),
        "distributions": pd.concat([curves.distributions(items(), label) for label in MODELS]),
        "layer_profile": pd.concat([curves.layer_profile(layers(), label) for label in MODELS]),
        "temp_robustness": temperature.table(results, params),
        "ablation_curve": ablation.table(results, params),
        "scaling": scaling.table(results, params),
        "measures": measures.table(results, params),
    }


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in ("DVC_ROOT", "DVC_EXP_NAME"):
        environment.pop(name, None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of `dvc plots diff` over two tagged revisions of the project's tables."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / ".dvc" / "plots").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvc/plots/panels.json", ".dvc/plots/page.html"):
        shutil.copy(ROOT / name, folder / name)
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    assert [name for plot in plots for name in plot] == list(TABLES)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    (folder / "plots" / "tables").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        offline.write()
    run(folder, "git", "init", "-q")
    for seed, revision in enumerate(REVISIONS):
        for name, table in tables(seed).items():
            table.to_csv(folder / "plots" / "tables" / f"{name}.csv", index=False)
        run(folder, "git", "add", "-A")
        author = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
        run(folder, "git", *author, "commit", "-qm", revision)
        run(folder, "git", "tag", revision)
    run(folder, "dvc", "plots", "diff", *REVISIONS, "-o", "out")
    return folder / "out" / "index.html"


class References(HTMLParser):
    """What a page would fetch: the addresses in its elements, and the text of its styles."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.element = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.element = tag
        self.addresses += [f"{tag} {name}={value}" for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag in ("link", "iframe", "base"):
            self.addresses.append(tag)

    def handle_data(self, text: str) -> None:
        if self.element == "style":
            self.addresses += re.findall(r"@import.*|url\(.*?\)", text)


class Lines(HTMLParser):
    """The curves of a drawn page by plot and colour, each as its path."""

    def __init__(self) -> None:
        super().__init__()
        self.plot, self.groups, self.paths = "", [], {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "div" and values.get("id") in TABLES:
            self.plot = values["id"]
        if tag == "g":
            self.groups.append(values.get("class") or "")
        if tag == "path" and self.groups and self.groups[-1].startswith("mark-line "):
            self.paths.setdefault((self.plot, values["stroke"]), []).append(values["d"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "g":
            self.groups.pop()


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory):
    """Open a file without a network; the page as drawn, and what its console says."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    profile = tmp_path_factory.mktemp("profile")

    def browse(page: Path, *options: str) -> tuple[str, list[str]]:
        command = [chromium, "--headless", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        # The browser's own errands are not the page's.
        command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,900", "--enable-logging=stderr"]
        command += ["--virtual-time-budget=10000", "--dump-dom", *options]
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return browse


@pytest.fixture(scope="module")
def page(comparison, browse) -> tuple[str, list[str]]:
    return browse(comparison)


def test_the_page_refers_to_nothing_outside(comparison):
    page = comparison.read_text()
    references = References()
    references.feed(page)
    assert references.addresses == []
    assert "cdn." not in page


@pytest.mark.parametrize(("theme", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_each_plot_has_the_curves_of_both_revisions(comparison, browse, page, theme, colours):
    dom, console = page if theme == "light" else browse(comparison, "--blink-settings=preferredColorScheme=0")
    assert console == []
    lines = Lines()
    lines.feed(dom)
    for plot, name in TABLES.items():
        first, second = (lines.paths.get((plot, colour), []) for colour in colours)
        expected = [tables(seed)[name].groupby(["panel", "line"]).ngroups for seed in range(2)]
        assert [len(first), len(second)] == expected, plot
        assert all(path.count(",") > 1 for path in first + second), plot
        assert set(first).isdisjoint(second), plot


def test_the_title_says_what_is_compared(page):
    dom, _ = page
    assert f"<title>{REVISIONS[0]} against {REVISIONS[1]} - dvc plots</title>" in dom
    heading = re.search("<h1>(.*?)</h1>", dom, re.DOTALL).group(1)
    assert re.sub("<[^>]+>", " ", heading).split() == [REVISIONS[0], "against", REVISIONS[1]]


MEASURE = """
<script>
window.addEventListener("load", () => setTimeout(() => {
  const box = (element) => { const b = element.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
  const plots = [...document.querySelectorAll("main > div")].map((card) => ({
    card: box(card),
    svg: box(card.querySelector("svg")),
    texts: [...card.querySelectorAll("svg text")].filter((text) => text.textContent).map((text) => [text.textContent, box(text)]),
    panels: [...card.querySelectorAll("svg g.role-scope.cell > g")].map(box),
  }));
  const measured = Object.assign(document.createElement("pre"), { id: "measured" });
  const fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
  measured.textContent = JSON.stringify({ width: document.documentElement.scrollWidth, plots, fetched });
  document.body.append(measured);
}, 3000));
</script>
"""


def test_nothing_is_fetched_and_nothing_is_clipped_or_overlaps_at_1200_pixels(comparison, browse, tmp_path):
    page = tmp_path / "measured.html"
    page.write_text(comparison.read_text() + MEASURE)
    dom, _ = browse(page)
    measured = json.loads(html.unescape(re.search('<pre id="measured">(.*?)</pre>', dom).group(1)))

    def inside(inner: list[float], outer: list[float]) -> bool:
        return all(np.array(inner[:2]) >= np.array(outer[:2]) - 1) and all(np.array(inner[2:]) <= np.array(outer[2:]) + 1)

    def apart(first: list[float], second: list[float]) -> bool:
        return any(a[i + 2] <= b[i] + 1 for a, b in ((first, second), (second, first)) for i in (0, 1))

    assert measured["fetched"] == []
    assert measured["width"] <= 1200
    cards = [plot["card"] for plot in measured["plots"]]
    for (name, table), plot in zip(TABLES.items(), measured["plots"], strict=True):
        assert len(plot["panels"]) == tables(0)[table]["panel"].nunique(), name
        assert inside(plot["svg"], plot["card"]), name
        for text, box in plot["texts"]:
            assert inside(box, plot["svg"]), (name, text)
            assert "…" not in text
        for boxes in (plot["panels"], cards):
            assert all(apart(first, second) for first, second in combinations(boxes, 2)), name


def test_a_page_without_a_place_for_the_script_is_refused():
    with pytest.raises(UserError, match=r"\.dvc/plots/page\.html: has no \{vega\}"):
        offline.fill_page("<html></html>", "")
