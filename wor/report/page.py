"""The page: what is in it, and how it is kept to itself."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from wor import storage
from wor.figures import offline
from wor.iterations import compare
from wor.iterations.load import Iteration
from wor.report import charts, formatting, sides, tables
from wor.report import items as packed
from wor.report.charts import Chart

MAX_PAGE_BYTES = 4_900_000  # bytes of a page
MIN_ITEM_BYTES = 1_000_000  # of them for items, whatever the number of models
ASSETS = resources.files("wor.report") / "assets"
STYLES = ("report.css", "items.css")
SCRIPTS = ("report.js", "items.js")


def write_page(path: Path, iteration: Iteration, other: Iteration | None = None) -> None:
    """Write the report of ``iteration``, or of two side by side: one HTML file without an outside reference."""
    if other is None:
        storage.write_text(path, _page("iteration.html.j2", _iteration(iteration)))
    else:
        storage.write_text(path, _page("compare.html.j2", _pair(iteration, other)))


class ChartSet(dict[str, Chart]):
    """The page's charts, by the ID of the element that each is drawn in."""

    def place(self, **found: Chart | None) -> dict[str, dict | None]:
        """What a template needs of each chart; None where there is no such chart."""
        placed: dict[str, dict | None] = dict.fromkeys(found)
        for name, chart in found.items():
            if chart:
                identifier = f"{len(self)}-{name}"
                self[identifier] = chart
                placed[name] = {"id": identifier, "title": chart.title, "about": chart.about, "note": chart.note}
        return placed

    def specs(self) -> dict[str, dict]:
        return {identifier: chart.spec for identifier, chart in self.items()}


def _iteration(iteration: Iteration) -> dict:
    drawn, row = ChartSet(), iteration.manifest["registry"]
    models = [_model(iteration, key, drawn) for key in iteration.models]
    return {
        "title": f"{iteration.name}: reasoning effort",
        "lead": f"{', '.join(one['label'] for one in models)} on {', '.join(iteration.datasets)}; temperature "
        f"{iteration.config['temperature']}, {row['n_items']} items; {row['date'][:10]}. Label: {row['kind']}.",
        "made_from": f"experiments/{iteration.name}",
        "sections": _sections("Verdict", models),
        "models": models,
        "criteria": tables.criteria(iteration),
        "figures": [_figure(path) for path in iteration.figures.values()],
        "settings": tables.settings(iteration),
        "environment": tables.environment(iteration),
        "timing": tables.timing(iteration),
        "commands": _commands(iteration),
        "specs": drawn.specs(),
        "iterations": [iteration],
    }


def _sections(first: str, models: list[dict]) -> list[tuple[str, str]]:
    """Anchor and name of each section."""
    named = [f"Results: {one['label']}" for one in models] if len(models) > 1 else ["Results"] * len(models)
    results = [(f"results-{index}", name) for index, name in enumerate(named, 1)]
    return [("verdict", first), *results, ("figures", "Figures"), ("items", "Items"), ("environment", "Environment")]


def _model(iteration: Iteration, key: str, drawn: ChartSet) -> dict:
    result, items = iteration.statistics[key], iteration.items(key)
    label = result["label"]
    return {
        "label": label,
        "headline": headline(result),
        "charts": drawn.place(
            estimates=charts.estimates({label: result}),
            distributions=charts.distributions({label: items}),
            roc=charts.roc({label: items}),
            layers=charts.layers(iteration, key),
            heads=charts.heads(iteration, key),
            specifications=charts.specifications({label: iteration.table("specifications", key)}),
            dose=charts.dose(items),
        ),
        "card": tables.model(iteration, key),
        **{
            name: getattr(tables, name)(result)
            for name in ("results", "nulls", "hypotheses", "rivals", "balance", "spread", "answers", "excluded", "dose")
        },
    }


def _pair(first: Iteration, second: Iteration) -> dict:
    drawn, names = ChartSet(), (first.name, second.name)
    headlines = compare.headline_metrics(first.folder, second.folder)
    models, missing = [], []
    for key, found in headlines.items():
        there = [each for each in (first, second) if key in each.statistics]
        if len(there) == 2:
            models.append(_model_of_both(first, second, key, found, drawn))
        else:
            missing.append(f"{key} is in {there[0].name} alone.")
    kept = [name for name in first.figures if name in second.figures]
    return {
        "title": f"{first.name} (A) and {second.name} (B)",
        "lead": f"Two iterations side by side. A: {_made(first)}. B: {_made(second)}.",
        "made_from": f"experiments/{first.name} and experiments/{second.name}",
        "sections": _sections("What differs", models),
        "models": models,
        "missing": missing,
        "parameters": sides.changed("Parameters that differ", compare.changed_parameters(first.folder, second.folder), names),
        "criteria": sides.criteria(first, second),
        "paired": sides.paired(first, second),
        "figures": [[{**_figure(each.figures[name]), "iteration": each.name} for each in (first, second)] for name in kept],
        "environment": sides.changed("Environment that differs", compare.changed_environment(first.folder, second.folder), names),
        "commands": [f"wor compare {first.name} {second.name}            # the same in a terminal"],
        "specs": drawn.specs(),
        "iterations": [first, second],
    }


def _made(iteration: Iteration) -> str:
    row = iteration.manifest["registry"]
    return f"{row['date'][:10]}, {row['n_items']} items, {row['kind']}"


def _model_of_both(first: Iteration, second: Iteration, key: str, found: dict, drawn: ChartSet) -> dict:
    names, both = (first.name, second.name), (first, second)
    results = {each.name: each.statistics[key] for each in both}
    items = {each.name: each.items(key) for each in both}
    return {
        "label": first.label(key),
        "metrics": sides.metrics(found, names, formatting.format_confidence(results.values())),
        "hypotheses": sides.hypotheses(*results.values(), names),
        "charts": drawn.place(
            estimates=charts.estimates(results),
            distributions=charts.distributions(items),
            roc=charts.roc(items),
            specifications=charts.specifications({each.name: each.table("specifications", key) for each in both}),
        ),
        "sides": [
            {
                "name": each.name,
                "excluded": tables.excluded(each.statistics[key]),
                "charts": drawn.place(layers=charts.layers(each, key, columns=1), heads=charts.heads(each, key)),
            }
            for each in both
        ],
    }


def headline(result: dict) -> list[str]:
    """What a reader should know who reads no further."""
    registered = result["preregistration"]
    lines = []
    for key, entry in registered["hypotheses"].items():
        if entry["decisive"]:
            lines.append(f"The hypothesis that decides ({key}: {entry['claim']}) is {entry['status']}: {entry['why']}.")
    lines.append(
        f"AUROC of REV {formatting.format_estimate(result['auroc']['rev']['bootstrap'])}; dAUC over the baseline "
        f"{formatting.format_estimate(result['added']['rev']['delta'], sign=True)}; partial r "
        f"{formatting.format_estimate(result['partial']['rev']['clustered'], sign=True)}; {result['n']['used']} items."
    )
    lines.append(f"Twin with random weights: {result['twin']['verdict']}.")
    auroc = result["auroc"]["rev"]["bootstrap"]
    if auroc["high"] is not None and auroc["high"] < 0.5:
        lines.append(
            "Mind: REV is lower in reasoning, against its preset signs. dAUC knows no sign, and counts that as a gain too."
        )
    lines.append(f"{registered['kind'].capitalize()}{': ' if registered['reasons'] else ''}{'; '.join(registered['reasons'])}.")
    return lines


def _figure(svg: Path) -> dict:
    about = storage.read_json(svg.with_suffix(".json")) if svg.with_suffix(".json").is_file() else {}
    title = about.get("title", svg.stem)
    data = f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode()}"
    return {"data": data, "title": title, "caption": about.get("caption", title)}


def _commands(iteration: Iteration) -> list[str]:
    code = iteration.environment["code"]
    lines = [
        f"wor verify {iteration.name}            # every file against its manifest",
        f"wor reproduce {iteration.name}         # from its commit and with its packages; every number held against these",
    ]
    if experiment := iteration.environment.get("experiment"):
        lines.append(f"dvc exp apply {experiment}            # its parameters and outputs, into your workspace")
    if code.get("commit"):
        lines.append(f"git checkout {code['commit']}")
    return lines


def _page(template: str, context: dict) -> str:
    """``template`` filled in, with its styles and scripts inside and named in its policy by their hashes."""
    style = Markup("".join(_asset(name) for name in STYLES))
    scripts = [Markup(offline.vega_script()), *(Markup(_asset(name)) for name in SCRIPTS)]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wor.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = {**context, "style": style, "scripts": scripts, "policy": policy(style, scripts), "specs": _data(context["specs"])}

    def rendered(items: str) -> str:
        return environment.get_template(template).render(items=_data(items), **context)

    room = max(MIN_ITEM_BYTES, MAX_PAGE_BYTES - len(rendered("").encode()))
    return rendered(packed.pack_items(context["iterations"], room))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _data(value: object) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin another."""
    return Markup(json.dumps(storage.to_plain(value), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def policy(style: str, scripts: list[str]) -> str:
    """Only these scripts and styles, and images that are in the page: no request, no other code, whatever a text holds."""
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    closed = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:"
    return f"{closed}; script-src {allowed}; style-src '{_digest(style)}'"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
