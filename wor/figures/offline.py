"""The page of `dvc plots` with Vega inside, so that it opens without a network.

Set-up runs ``python -m wor.figures.offline``. The page is ``.dvc/plots/page.html``. The libraries
are close to a megabyte; they come from a package and are not committed.
"""

from importlib.metadata import version
from pathlib import Path

import vl_convert

from wor import paths, storage
from wor.errors import UserError
from wor.process.exit import one_line_errors

PAGE = Path(".dvc/plots/page.html")
OFFLINE = Path(".dvc/plots/offline.html")  # .dvc/config names it

# The templates' $schema is v5. The package is pinned to its last version with a Vega that fits.
VEGA_LITE = "5.21"
PLACEHOLDER = "{vega}"
SCRIPT = Path(".dvc/plots/vega.js")
NOTICE = """/*! Vega {vega}, Vega-Lite {lite}, Vega-Embed {embed}: Copyright University of Washington Interactive Data Lab
and contributors, BSD-3-Clause. D3: Copyright Mike Bostock, ISC. As bundled by vl-convert {bundler}, BSD-3-Clause. */"""


def vega_script() -> str:
    """Return `bundle_vega`, which takes seconds, or set-up's copy of the same versions."""
    copy = paths.project() / SCRIPT
    if copy.is_file() and (text := copy.read_text(encoding="utf-8")).startswith(notice()):
        return text
    return bundle_vega()


def notice() -> str:
    """Return the libraries' versions and licences."""
    vega, embed = vl_convert.get_vega_version(), vl_convert.get_vega_embed_version()
    return NOTICE.format(vega=vega, lite=VEGA_LITE, embed=embed, bundler=version("vl-convert-python"))


def bundle_vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one classic script that sets ``window.vegaEmbed``.

    Browsers defer modules, and DVC's plots call vegaEmbed as the page is read.
    """
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    # In a function, as its names would be global. And no string in it may end the element.
    inner = script.replace("</script", "<\\/script")
    return f"{notice()}\n(() => {{\n{inner}\n}})();"


def fill_page(template: str, script: str) -> str:
    """Return ``template`` with ``script`` in it. Raises UserError if it has no placeholder."""
    if PLACEHOLDER not in template:
        raise UserError(PAGE, f"has no {PLACEHOLDER}", f"Put {PLACEHOLDER} into a script element there")
    return template.replace(PLACEHOLDER, script, 1)


def write() -> None:
    """Write the page and the script."""
    script = bundle_vega()
    storage.write_text(SCRIPT, script)
    storage.write_text(OFFLINE, fill_page(PAGE.read_text(encoding="utf-8"), script))


if __name__ == "__main__":
    with one_line_errors():
        write()
