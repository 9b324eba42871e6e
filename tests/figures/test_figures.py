import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from tests.helpers.figure_results import (
    MISSING,
    MODULES,
    ONE,
    STUDIES,
    TWO,
    figure_name,
    result,
    table,
    with_gaps,
)
from tests.helpers.root import ROOT
from wor.figures import ablation, curves, scaling, style, temperature
from wor.figures.panels import estimate_columns
from wor.measures.registry import SCORES
from wor.statistics import auc, bootstrap

EACH = [pytest.param((module, study), id=f"{figure_name(module)}, {study}") for module in MODULES for study in STUDIES]


PANELS = {temperature: 2, ablation: 4}  # of a model


@pytest.fixture(scope="module", params=EACH)
def layout(request):
    """A figure as it is laid out, with its module and table."""
    module, study = request.param
    points = table(module, STUDIES[study])
    figure = module.draw(points)
    with matplotlib.rc_context(style.SETTINGS):
        figure.canvas.draw()
    return figure, module, points


def texts(figure):
    """Return every text that is drawn. Names of ticks beyond an axis's limits are not."""
    sides = [side for axis in figure.axes for side in (axis.xaxis, axis.yaxis)]
    beyond = {tick.label1 for side in sides for tick in side.get_major_ticks() if not within(tick.get_loc(), side)}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in beyond]


def lines_of(text):
    """Return each line of a text with its box. Shorter lines have smaller boxes."""
    box, lines = text.get_window_extent(), text.get_text().split("\n")
    if len(lines) == 1 or text.get_ha() != "left":
        return [(text.get_text(), box)]
    renderer, high = text.figure.canvas.get_renderer(), box.height / len(lines)
    widths = [renderer.get_text_width_height_descent(line, text.get_fontproperties(), False)[0] for line in lines]
    return [
        (line, Bbox.from_bounds(box.x0, box.y1 - (index + 1) * high, width, high))
        for index, (line, width) in enumerate(zip(lines, widths, strict=True))
    ]


def within(position, side):
    low, high = side.get_view_interval()
    return low <= position <= high


def test_there_are_as_many_panels_as_models_ask_for_each_with_its_axes_named(layout):
    figure, module, points = layout
    assert len(figure.axes) == (2 if module is scaling else PANELS[module] * points["model"].nunique())
    bottom, left = (figure.axes[-1:], figure.axes) if module is scaling else (figure.axes[-2:], figure.axes[::2])
    assert all(axis.get_xlabel() for axis in bottom)
    assert all(axis.get_ylabel() for axis in left)


def test_every_text_is_inside_at_seven_points_or_more_and_over_no_other_nor_a_legend_over_a_panel(layout):
    figure, _, _ = layout
    boxes = [line for text in texts(figure) for line in lines_of(text)]
    assert len(boxes) > 5
    for line, box in boxes:
        assert figure.bbox.x0 - 0.5 <= box.x0 <= box.x1 <= figure.bbox.x1 + 0.5, line
        assert figure.bbox.y0 - 0.5 <= box.y0 <= box.y1 <= figure.bbox.y1 + 0.5, line
    for (line, box), (other, other_box) in combinations(boxes, 2):
        assert not box.padded(-0.5).overlaps(other_box.padded(-0.5)), (line, other)
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(axis.bbox) for axis in figure.axes)
    assert min(text.get_fontsize() for text in texts(figure)) >= 7


def test_a_figure_is_one_column_wide_and_no_interval_is_cut(layout):
    figure, module, points = layout
    assert figure.get_size_inches()[0] == 3.4
    panels = {
        scaling: lambda rows: np.where(rows["quantity"] == "dAUC", 1, 0),
        temperature: lambda rows: 2 * pd.factorize(rows["model"])[0] + (rows["series"] == "auroc"),
        ablation: lambda rows: (
            4 * pd.factorize(rows["model"])[0] + 2 * (rows["kind"] == ablation.DIFFERENCE) + (rows["role"] == "control")
        ),
    }[module](points)
    drawn = points["role"] != "reasoning - control" if module is ablation else points["value"].notna() | True
    panels, points = np.asarray(panels)[drawn], points[drawn]
    for panel, rows in points.groupby(np.asarray(panels)):
        low, high = figure.axes[panel].get_ylim()
        numbers = rows[["low", "value", "high"]].to_numpy(float)
        if np.isnan(numbers).all():
            assert figure.axes[panel].texts  # the reason
        else:
            assert low < np.nanmin(numbers)
            assert high > np.nanmax(numbers)


def test_no_model_hides_another_of_its_size():
    figure = scaling.draw(table(scaling, STUDIES["two of a size, and one near"]))
    figure.canvas.draw()
    for axis in figure.axes:
        places = [line.get_transform().transform(line.get_xydata()[0])[0] for line in axis.lines if line.get_marker() in "os^"]
        width = 4.5 / 72 * figure.dpi
        assert len(places) in (3, 6)
        assert min(np.diff(np.sort(places))) > width
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[1].lines if line.get_marker() in "os^"}
    assert len(looks) == len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 3


def test_sizes_are_ticks_by_name_and_stand_on_a_logarithmic_axis():
    figure = scaling.draw(table(scaling, STUDIES["two sizes"]))
    axis = figure.axes[-1]
    assert axis.get_xscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["135M", "1.7B"]
    assert list(axis.get_xticks()) == [134_515_008, 1_711_376_384]
    assert [scaling.size_name(size) for size in (41_248, 999_900, 362e6, 999.6e6, 1.711e9, 14.2e9)] == [
        "41k", "1M", "362M", "1B", "1.7B", "14B",
    ]  # fmt: skip


def test_the_least_dauc_that_the_criteria_ask_is_drawn_at_its_model():
    points = table(scaling, TWO)
    assert points.dropna(subset=["wanted"])[["model", "quantity", "wanted"]].to_numpy().tolist() == [["b", "dAUC", 0.12]]
    figure = scaling.draw(points)
    (dash,) = [line for line in figure.axes[1].lines if line.get_marker() == "_" and np.isfinite(line.get_ydata()).all()]
    assert list(dash.get_ydata()) == [0.12]
    assert list(dash.get_xdata()) == pytest.approx([1_711_376_384])


def test_whatever_is_missing_is_named_in_its_panel_and_in_the_caption(settings):
    reason = MISSING["reason"]
    for module, text in (
        (scaling, f"A-Model-Of-Some-Size-134515009, AUROC of REV ({reason})"),
        (temperature, f"reasoning at 0.2 (no item has a value); AUROC at 0.2 ({reason})"),
        (ablation, f"random at 30 % ({reason})"),
    ):
        points = table(module, with_gaps())
        figure = module.draw(points)
        shown = " ".join(part.get_text().replace("\n", " ") for part in texts(figure))
        assert f"Missing: {text}" in shown
        if module is not scaling:
            assert f"Missing: {reason}" in shown  # in the empty panel
        assert reason in module.describe(points, settings)["caption"]


@pytest.mark.parametrize("module", [scaling, temperature], ids=figure_name)
def test_a_panel_of_nothing_has_a_reason_and_no_scale(module):
    figure = module.draw(table(module, STUDIES["nothing"]))
    for axis in figure.axes:
        assert [text.get_text().replace("\n", " ") for text in axis.texts] == [f"Missing: {MISSING['reason']}"]
        assert not axis.get_yticks().size


def test_a_value_without_a_neighbour_has_a_bar_in_place_of_a_band():
    study = result(135e6, "Small")
    study["temperatures"]["by_temperature"] = study["temperatures"]["by_temperature"][:1]
    figure = temperature.draw(table(temperature, {"a": study}))
    bars = [segment for lines in figure.axes[1].collections if hasattr(lines, "get_segments") for segment in lines.get_segments()]
    assert np.asarray(bars).tolist() == [[[0, 0.5], [0, 0.7]]]


def test_an_interval_that_misses_its_value_is_drawn_all_the_same():
    odd = result(135e6, "Small")
    odd["added"]["rev"]["delta"] = {"value": 0.02, "low": 0.03, "high": 0.05, "n": 40, "reason": ""}
    scaling.draw(table(scaling, {"a": odd}))


@pytest.mark.parametrize("module", MODULES, ids=figure_name)
def test_a_caption_holds_every_number_of_the_table_and_says_only_what_is_there(module, settings):
    points = table(module, with_gaps())
    changed = {"confidence": 0.9, "bootstrap_draws": 1234}
    others = settings.model_copy(update={"statistics": settings.statistics.model_copy(update=changed)})
    description = module.describe(points, others)
    for column in ("value", "low", "high", "n", "label", "interval", "reason"):
        pd.testing.assert_series_equal(pd.DataFrame(description["points"])[column], points[column])
    x = {scaling: "n_params", temperature: "temperature", ablation: "share"}[module]
    assert [point["x"] for point in description["points"]] == points[x].tolist()
    assert len({(point["model"], point["series"], point["x"]) for point in description["points"]}) == len(points)
    assert "90 % intervals over 1,234 bootstrap draws" in description["caption"]
    assert ("BCa" in description["caption"]) == (module is not ablation)
    for name in (*points["label"].unique(), *settings.datasets):
        assert name in description["caption"]
    counted = {scaling: "24 + 16", temperature: "24 reasoning + 16 control", ablation: "6 gold solutions + 6 articles"}
    assert counted[module] in description["caption"]
    assert "nan" not in description["caption"]


def test_the_caption_counts_items_by_temperature_and_numbers_without_an_interval(settings):
    few = result(135e6, "Small")
    rows = few["temperatures"]["by_temperature"]
    rows[0]["control"] |= {"low": None, "high": None, "n": 3}
    caption = temperature.describe(table(temperature, {"a": few}), settings)["caption"]
    assert "Small 24 reasoning + 3 to 16 control" in caption
    assert "1 of 9 numbers have no interval" in caption


def test_the_caption_of_removed_heads_says_what_the_ranking_is_worth_and_concludes(settings):
    caption = ablation.describe(table(ablation, with_gaps()), settings)["caption"]
    whole, none, some = with_gaps()
    models = with_gaps()
    reliability = (
        f"Split-half reliability of the ranking (Spearman-Brown, {settings.heads.halves} random halves of the ranking items)"
    )
    labels = {key: models[key]["label"] for key in (whole, none, some)}
    assert f"{reliability}: {labels['whole']} 0.34 [0.24, 0.44]; {labels['none']} 0.34 [0.24, 0.44]; " in caption
    assert f"{labels['some']} none ({MISSING['reason']})" in caption
    assert f"{labels['whole']} reasoning -0.08 [-0.12, -0.04], control -0.08 [-0.12, -0.04], reasoning - control -0.08" in caption
    assert "81 of 135 heads" in caption


def test_heads_removed_in_an_earlier_version_have_no_differences(settings):
    earlier = result(135e6, "Small")
    del earlier["head_differences"], earlier["head_ranking"]
    points = table(ablation, {"a": earlier})
    assert len(ablation.draw(points).axes) == 2
    assert "reliability" not in ablation.describe(points, settings)["caption"]


def test_an_aurocs_interval_is_called_by_the_method_that_made_it():
    label, cluster = np.repeat([1, 0], 12), np.arange(24).astype(str)
    weights = bootstrap.cluster_weights(cluster, label, 200, 0)
    for score, method in ((np.random.default_rng(1).normal(size=24) + label, "BCa"), (label * 1.0, "binomial")):
        estimate = bootstrap.auroc_interval(label, score, weights, 0.95, cluster)
        assert estimate_columns(estimate.as_dict(), "BCa")["interval"] == method
    assert estimate_columns(replace(estimate, low=np.nan, note="").as_dict(), "BCa")["interval"] == ""


AGAIN = """
import sys
from pathlib import Path
from tests.helpers.figure_results import MODULES, ONE, figure_name, table
from wor.figures import style
for module in MODULES:
    style.save(module.draw(table(module, ONE)), Path(sys.argv[1]) / figure_name(module))
"""


# What other people have set: dark pages, TeX, a grid, larger text, tight boxes, the local comma.
MATPLOTLIBRC = """
backend: TkAgg
figure.facecolor: black
text.usetex: True
axes.grid: True
axes.formatter.use_locale: True
axes.prop_cycle: cycler('color', ['r', 'g'])
axes.unicode_minus: False
font.family: serif
font.size: 14
legend.fancybox: False
lines.antialiased: False
mathtext.fontset: cm
patch.linewidth: 3
savefig.bbox: tight
savefig.dpi: 50
savefig.transparent: True
svg.fonttype: path
xtick.direction: in
ytick.minor.visible: True
"""


def test_the_same_numbers_give_the_same_files_in_another_process_under_any_users_settings(tmp_path):
    for module in MODULES:
        style.save(module.draw(table(module, ONE)), tmp_path / "here" / figure_name(module))
    (tmp_path / "there").mkdir()
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    settings = {"MPLBACKEND": "pdf", "MPLCONFIGDIR": str(tmp_path), "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    settings |= {"PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "there")]
    subprocess.run(command, env={**os.environ, **settings}, cwd=ROOT, check=True, umask=0o077)
    files = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert files == sorted(f"{figure_name(module)}{suffix}" for module in MODULES for suffix in (".png", ".svg", ".pdf"))
    for file in files:
        assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "there" / file).read_bytes(), file


def test_a_journal_can_print_them(tmp_path):
    """300 dpi at the width of a column; fonts inside the PDF, as TrueType."""
    style.save(scaling.draw(table(scaling, TWO)), tmp_path / "figure")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == 1020
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    page = (tmp_path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in page
    assert b"/Type3" not in page
    assert b"Date" not in page


# Machado, Oliveira and Fernandes 2009, severity 1; of linear RGB.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@pytest.mark.parametrize("seen", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["all cones", "no long", "no medium"])
def test_colours_stay_apart_without_a_kind_of_cone(seen):
    linear = {colour: np.asarray(to_rgb(colour)) ** 2.2 for colour, _ in style.MODELS}
    shown = {colour: np.clip(np.asarray(seen) @ light, 0, 1) ** (1 / 2.2) for colour, light in linear.items()}
    distances = {pair: np.linalg.norm(shown[pair[0]] - shown[pair[1]]) for pair in combinations(shown, 2)}
    assert min(distances.values()) > 0.15, min(distances, key=distances.get)


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(matplotlib.rcParams)
    scaling.draw(table(scaling, TWO))
    assert dict(matplotlib.rcParams) == before


def test_drawing_wants_no_backend():
    code = "import sys; from tests.helpers.figure_results import ONE, table; from wor.figures import scaling; "
    code += "scaling.draw(table(scaling, ONE)); "
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def items(n=30):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=n) for name in SCORES})
    frame["role"] = np.where(np.arange(n) % 2, "reasoning", "control")
    frame.loc[3, "rev"] = np.nan
    return frame


def test_the_area_under_the_roc_table_is_the_auroc():
    frame = items()
    points = curves.roc(frame, "m")
    scored = frame[frame["rev"].notna()]
    for score, rows in points.groupby("score"):
        area = np.trapezoid(rows["tpr"], rows["fpr"])
        assert area == pytest.approx(auc.auroc((scored["role"] == "reasoning").to_numpy().astype(int), scored[score].to_numpy()))


def test_distribution_functions_end_at_one_and_hold_every_value():
    table = curves.distributions(items(), "m")
    for _, rows in table.groupby(["measure", "role"]):
        assert rows["share"].iloc[-1] == 1
        assert rows["value"].is_monotonic_increasing
    assert (table["measure"] == "rev").sum() == 29


def test_reasons_that_differ_in_numbers_alone_stand_once_in_an_empty_panel():
    _, axes = style.canvas(1, 2, height=2)
    left, right = axes[0]
    style.write_reasons(left, ["fewer than 10 items in a class (7 positive, 3 negative)", "fewer than 10 items in a class (8)"])
    assert " ".join(left.texts[0].get_text().split()) == "Missing: fewer than 10 items in a class"
    style.write_reasons(right, ["constant score (5)", "no items"])
    assert " ".join(right.texts[0].get_text().split()) == "Missing: constant score (5); no items"
