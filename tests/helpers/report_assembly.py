"""Put the item browser alone into a page, under the content policy of report.html."""

from __future__ import annotations

import base64
import json
import zlib
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
MAX_BYTES = 3_200_000  # of packed items: about what the page of one model has left for them
BODY = "body { margin: 0 auto; padding: 1rem; max-width: 80rem; font: 1rem/1.5 system-ui, sans-serif; \
background: var(--page); color: var(--text); }"


def unpack_items(packed: str) -> dict:
    """Return what `pack_items` packed."""
    return json.loads(zlib.decompress(base64.b64decode(packed), wbits=-15))


def assembled(iterations: Sequence[Iteration], max_bytes: int = MAX_BYTES) -> str:
    assets = resources.files("wor.report") / "assets"
    texts = {name: (assets / name).read_text(encoding="utf-8") for name in page.STYLES}
    style, script = texts["report.css"] + BODY + texts["items.css"], page.items_script()
    packed, policy = items.pack_items(list(iterations), max_bytes), page.content_policy(style, [script])
    return ENVIRONMENT.from_string(PAGE).render(iterations=iterations, style=style, script=script, policy=policy, packed=packed)
