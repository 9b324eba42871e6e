"""The page that `dvc plots` fills, with Vega inside: what it shows opens without a network.

Set-up runs it: ``python -m wor.figures.offline``. ``.dvc/plots/page.html`` is the page; the libraries, close to a
megabyte, come from a package and are not committed.
"""

from __future__ import annotations

from pathlib import Path

import vl_convert

from wor import paths, storage
from wor.errors import UserError
from wor.process.exit import one_line_errors

PAGE = Path(".dvc/plots/page.html")
OFFLINE = Path(".dvc/plots/offline.html")  # .dvc/config names it

# Vega-Lite as the templates' $schema, v5; the package is pinned to its last version whose Vega and Vega-Embed fit.
VEGA_LITE = "5.21"
PLACE = "{vega}"
SCRIPT = Path(".dvc/plots/vega.js")
NOTICE = """/*! Vega {vega}, Vega-Lite {lite}, Vega-Embed {embed}: Copyright University of Washington Interactive Data Lab
and contributors, BSD-3-Clause. D3: Copyright Mike Bostock, ISC. As bundled by vl-convert {bundler}, BSD-3-Clause. */"""


def vega_script() -> str:
    """`bundle`, from set-up's copy where that is there and of these versions: to bundle takes seconds."""
    kept = paths.project() / SCRIPT
    if kept.is_file() and (text := kept.read_text(encoding="utf-8")).startswith(_notice()):
        return text
    return bundle_vega()


def _notice() -> str:
    return NOTICE.format(
        vega=vl_convert.get_vega_version(),
        lite=VEGA_LITE,
        embed=vl_convert.get_vega_embed_version(),
        bundler=vl_convert.__version__,
    )


def bundle_vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script that defines ``window.vegaEmbed``.

    A module would come too late: browsers defer it, and DVC's plots call vegaEmbed as the page is read.
    """
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    # In a function: a minified bundle's names would be every script's. And no string in it may end the element.
    inner = script.replace("</script", "<\\/script")
    return f"{_notice()}\n(() => {{\n{inner}\n}})();"


def fill_page(template: str, script: str) -> str:
    """``template`` with ``script`` in its place; DVC fills in the plots.

    Raises
    ------
    UserError : the template has no place for the script.
    """
    before, place, after = template.partition(PLACE)
    if not place:
        raise UserError(PAGE, f"has no {PLACE}", f"Put {PLACE} into a script element there")
    return before + script + after


def write() -> None:
    """Write the page and the script, over those that are there."""
    made = bundle_vega()
    storage.write_text(SCRIPT, made)
    storage.write_text(OFFLINE, fill_page(PAGE.read_text(encoding="utf-8"), made))


if __name__ == "__main__":
    with one_line_errors():
        write()
