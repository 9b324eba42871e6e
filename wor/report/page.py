"""Write the report: one HTML file that loads nothing and sends nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from wor import storage
from wor.figures import offline
from wor.iterations import compare
from wor.iterations.load import Iteration
from wor.iterations.results import mean_passes
from wor.report import charts, comparison, tables
from wor.report.charts import Chart
from wor.report.formatting import format_confidence
from wor.report.glossary import glossary
from wor.report.items import deflate, pack_items, pack_probe
from wor.report.verdict import verdict_lines

if TYPE_CHECKING:
    from wor.pipeline.probe import Probe  # torch

MAX_PAGE_BYTES = 4_900_000
MIN_ITEM_BYTES = 1_000_000  # of a page, for its items, whatever the number of models
ASSETS = resources.files("wor.report") / "assets"
STYLES = ("report.css", "items.css")
ITEM_SCRIPTS = ("elements", "data", "list", "detail", "tokens", "layers", "start")


def write_page(path: Path, iteration: Iteration, other: Iteration | None = None) -> None:
    """Write the report of one iteration, or of two for comparison."""
    chart_set = ChartSet()
    if other is None:
        template, context = "iteration.html.j2", _iteration_context(iteration, chart_set)
    else:
        template, context = "compare.html.j2", _comparison_context(iteration, other, chart_set)
    specs = {identifier: chart.spec for identifier, chart in chart_set.items()}
    iterations = [iteration, *([other] if other else [])]
    storage.write_text(path, _render_page(template, context, specs, partial(pack_items, iterations)))


def write_probe_page(path: Path, probe: Probe) -> None:
    """Write the page of a probe: its tables, and its prompts in the item browser."""
    sides = [{"name": name, "has_texts": True} for name, _ in zip("AB", probe.prompts, strict=False)]
    context = {"probe": probe, "iterations": sides}
    storage.write_text(path, _render_page("probe.html.j2", context, {}, partial(pack_probe, probe)))


class ChartSet(dict[str, Chart]):
    """The page's charts, by the ID of the element that each is drawn in."""

    def add(self, **new: Chart | None) -> dict[str, dict | None]:
        """Add charts. Return what a template needs of each, None where there is no chart."""
        placed: dict[str, dict | None] = dict.fromkeys(new)
        for name, chart in new.items():
            if chart:
                identifier = f"{len(self)}-{name}"
                self[identifier] = chart
                placed[name] = {"id": identifier, "title": chart.title, "about": chart.about, "note": chart.note}
        return placed


def _iteration_context(iteration: Iteration, chart_set: ChartSet) -> dict:
    return {
        "iterations": [iteration],
        "models": [_model_context(iteration, key, chart_set) for key in iteration.models],
        "figures": [_figure(path) for path in iteration.figures.values()],
    }


def _model_context(iteration: Iteration, key: str, chart_set: ChartSet) -> dict:
    result, items = {**iteration.statistics[key], "passes": mean_passes(iteration.timing, key)}, iteration.items(key)
    label = result["label"]
    placed = chart_set.add(
        estimates=charts.estimates({label: result}),
        distributions=charts.distributions({label: items}),
        roc=charts.roc({label: items}),
        layers=charts.layers(iteration, key),
        heads=charts.heads(iteration, key),
        specifications=charts.specifications({label: iteration.table("specifications", key)}),
        dose=charts.dose(items),
    )
    return {"key": key, "label": label, "result": result, "charts": placed, "verdict": verdict_lines(result)}


def _comparison_context(first: Iteration, second: Iteration, chart_set: ChartSet) -> dict:
    names, both = (first.name, second.name), (first, second)
    differences = compare.compare_iterations(first.folder, second.folder)
    models, missing = [], []
    for key, estimates in differences["metrics"].items():
        owners = [iteration for iteration in both if key in iteration.statistics]
        if len(owners) == 2:
            models.append(_compared_model(first, second, key, estimates, chart_set))
        else:
            missing.append(f"{key} is in {owners[0].name} alone.")
    shared = [name for name in first.figures if name in second.figures]
    return {
        "iterations": both,
        "models": models,
        "missing": missing,
        "parameters": comparison.changed("Different parameters", differences["parameters"], names),
        "criteria": comparison.criteria(first.criteria, second.criteria, names),
        "paired": comparison.paired(differences["paired"], names),
        "figures": [[{**_figure(entry.figures[name]), "iteration": entry.name} for entry in both] for name in shared],
        "environment": comparison.changed("Different environment", differences["environment"], names),
    }


def _compared_model(first: Iteration, second: Iteration, key: str, estimates: dict, chart_set: ChartSet) -> dict:
    names, both = (first.name, second.name), (first, second)
    results = {iteration.name: iteration.statistics[key] for iteration in both}
    items = {iteration.name: iteration.items(key) for iteration in both}
    specifications = {iteration.name: iteration.table("specifications", key) for iteration in both}
    caption = f"Estimates ({format_confidence(results.values())} intervals)"
    return {
        "label": first.label(key),
        "metrics": comparison.metrics(caption, estimates, names),
        "hypotheses": comparison.hypotheses(first.statistics[key], second.statistics[key], names),
        "charts": chart_set.add(
            estimates=charts.estimates(results),
            distributions=charts.distributions(items),
            roc=charts.roc(items),
            specifications=charts.specifications(specifications),
        ),
        "sides": [
            {
                "name": iteration.name,
                "result": iteration.statistics[key],
                "charts": chart_set.add(layers=charts.layers(iteration, key, columns=1), heads=charts.heads(iteration, key)),
            }
            for iteration in both
        ],
    }


def _figure(svg: Path) -> dict:
    about = storage.read_json(svg.with_suffix(".json")) if svg.with_suffix(".json").is_file() else {}
    title = about.get("title", svg.stem)
    data = f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode()}"
    return {"data": data, "title": title, "caption": about.get("caption", title)}


def _render_page(template: str, context: dict, specs: dict[str, dict], pack: Callable[[int], str]) -> str:
    """Return ``template`` with styles and scripts inlined and their hashes in its policy.

    ``pack`` returns the packed items in at most so many bytes.
    """
    style = Markup("".join(_asset(name) for name in STYLES))
    library = offline.vega_script() if specs else ""
    scripts = [Markup(script) for script in (_script("inflate.js", "report.js"), items_script())]
    loader, undefined = jinja2.PackageLoader("wor.report"), jinja2.StrictUndefined
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=undefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template(template)
    policy = content_policy(style, [*scripts, *filter(None, [library])])
    context |= {"style": style, "scripts": scripts, "policy": policy, "specs": _script_data(deflate(_json(specs)))}
    context |= {"library": _script_data(deflate(library)), "notice": Markup(offline.notice()) if library else ""}
    context |= {"tables": tables, "glossary": glossary()}
    item_bytes = max(MIN_ITEM_BYTES, MAX_PAGE_BYTES - len(page.render(items=_script_data(""), **context).encode()))
    return page.render(items=_script_data(pack(item_bytes)), **context)


def items_script() -> str:
    """Return the item browser's files as one script."""
    return _script("inflate.js", *(f"items-{name}.js" for name in ITEM_SCRIPTS))


def _script(*names: str) -> str:
    """Return files as one script. Its function hides their names from others."""
    return f'(() => {{\n"use strict";\n{"".join(map(_asset, names))}}})();\n'


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _script_data(value: object) -> Markup:
    """Return JSON for a script element. Nothing in it can end the element or begin another."""
    return Markup(_json(value).replace("<", "\\u003c"))


def _json(value: object) -> str:
    return json.dumps(storage.to_plain(value), ensure_ascii=False, separators=(",", ":"))


def content_policy(style: str, scripts: Sequence[str]) -> str:
    """Return a policy that allows only these scripts and styles, and images in the page."""
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    closed = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:"
    return f"{closed}; script-src {allowed}; style-src '{_digest(style)}'"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
