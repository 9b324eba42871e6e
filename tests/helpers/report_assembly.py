"""The item browser alone in a page, under the policy that report.html has."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import jinja2

from wor.iterations.load import Iteration
from wor.report import items, page

ENVIRONMENT = jinja2.Environment(loader=jinja2.PackageLoader("wor.report"), autoescape=True, undefined=jinja2.StrictUndefined)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Items</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main><h1>Items</h1>{% include "items.html.j2" %}</main>
<script type="application/json" id="items-data">"{{ packed }}"</script>
<script>{{ script | safe }}</script>
</body>
</html>
"""
BODY = "body { margin: 0 auto; padding: 1rem; max-width: 80rem; font: 1rem/1.5 system-ui, sans-serif; \
background: var(--page); color: var(--text); }"


def assembled(iterations: Sequence[Iteration], most: int = items.MAX_BYTES) -> str:
    assets = resources.files("wor.report") / "assets"
    read = {name: (assets / name).read_text(encoding="utf-8") for name in ("report.css", "items.css", "items.js")}
    style, script = read["report.css"] + BODY + read["items.css"], read["items.js"]
    packed, policy = items.pack_items(list(iterations), most), page.policy(style, [script])
    return ENVIRONMENT.from_string(PAGE).render(iterations=iterations, style=style, script=script, policy=policy, packed=packed)
