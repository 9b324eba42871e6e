"""Draw a figure of an iteration again, from its results and beside its sealed folder."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError
from wor.figures import FIGURES
from wor.iterations.load import Iteration


def redrawn_folder(iteration: Iteration) -> Path:
    return paths.PLOTS / "redrawn" / iteration.name


def redraw_figure(name: str, iteration: Iteration) -> Path:
    """Write a figure of wor/figures (png, svg, pdf), caption (json), points (csv); return SVG."""
    module = f"wor.figures.{FIGURES.get(name, name)}"
    figure = import_module(module) if name.isidentifier() and find_spec(module) else None
    if figure is None or not all(hasattr(figure, part) for part in ("table", "draw", "describe")):
        remedy = f"There are {', '.join(FIGURES)}, or a module of wor/figures with table, draw and describe"
        raise UserError("figure", repr(name), remedy)
    from wor.figures import style  # matplotlib

    points = figure.table(iteration.statistics, iteration.params)
    stem = redrawn_folder(iteration) / name
    storage.write_csv(stem.with_suffix(".csv"), points)
    style.save(figure.draw(points), stem)
    storage.write_json(stem.with_suffix(".json"), {"figure": name, **figure.describe(points, iteration.params)})
    return stem.with_suffix(".svg")
