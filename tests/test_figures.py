import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from wor.figures import ablation, curves, scaling, style, temperature
from wor.measures.rev import SCORES
from wor.statistics import auc


def estimate(value, half=0.1, n=40):
    return {"value": value, "low": value - half, "high": value + half, "p": 0.5, "n": n, "reason": ""}


def result(n_params, label):
    return {
        "label": label,
        "n_params": n_params,
        "auroc": {"rev": {"bootstrap": estimate(0.6)}},
        "added": {"rev": {"baseline": estimate(0.7), "delta": estimate(0.02)}},
        "temperatures": {
            "by_temperature": [
                {"temperature": t, "reasoning": estimate(0.3), "control": estimate(0.1), "auroc": estimate(0.6)}
                for t in (0.0, 0.7)
            ]
        },
        "heads": [
            {
                "role": role,
                "kind": kind,
                "share": share,
                "n_heads": 9,
                "draws": 5 if kind == "random" else 1,
                **estimate(0.5 - share),
            }
            for role in ("reasoning", "control")
            for share, kind in ((0.0, "ranked"), (0.5, "ranked"), (0.5, "random"))
        ],
    }


RESULTS = {"a": result(135e6, "Small"), "b": result(1.7e9, "Large")}
FIGURES = [(scaling, 2), (temperature, 4), (ablation, 4)]


@pytest.mark.parametrize(("figure", "panels"), FIGURES, ids=[module.__name__ for module, _ in FIGURES])
def test_each_panel_has_axes_names_and_data(figure, panels):
    drawn = figure.draw(figure.table(RESULTS))
    assert len(drawn.axes) == panels
    for axis in drawn.axes:
        assert axis.get_xlabel()
        assert axis.get_ylabel()
        assert any(np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in axis.lines)
    plt.close(drawn)


@pytest.mark.parametrize("figure", [module for module, _ in FIGURES], ids=lambda module: module.__name__)
def test_nothing_lies_outside_its_figure_or_over_another_text(figure):
    drawn = figure.draw(figure.table(RESULTS))
    drawn.canvas.draw()
    inside = drawn.bbox.padded(1)
    titles = [axis.get_tightbbox() for axis in drawn.axes]
    for box in titles:
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1
    for one in range(len(titles)):
        for other in range(one):
            assert not titles[one].overlaps(titles[other])
    plt.close(drawn)


def test_an_empty_panel_says_why():
    few = result(135e6, "Small")
    for row in few["temperatures"]["by_temperature"]:
        row["auroc"] = estimate(np.nan) | {"reason": "fewer than 10 items in a class (6 positive, 3 negative)"}
    drawn = temperature.draw(temperature.table({"a": few}))
    said = " ".join(text.get_text().replace("\n", " ") for axis in drawn.axes for text in axis.texts)
    assert said == "Not there: fewer than 10 items in a class (6 positive, 3 negative)"
    plt.close(drawn)


def test_an_interval_that_misses_its_value_is_drawn_all_the_same():
    odd = result(135e6, "Small")
    odd["added"]["rev"]["delta"] = {"value": 0.02, "low": 0.03, "high": 0.05, "n": 40}
    plt.close(scaling.draw(scaling.table({"a": odd})))


def test_the_same_numbers_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        style.save(scaling.draw(scaling.table(RESULTS)), tmp_path / name)
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "one.svg", "two.png", "two.svg"]


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(plt.rcParams)
    plt.close(scaling.draw(scaling.table(RESULTS)))
    assert dict(plt.rcParams) == before


def items(n=30):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=n) for name in SCORES})
    frame["role"] = np.where(np.arange(n) % 2, "reasoning", "control")
    frame.loc[3, "rev"] = np.nan
    return frame


def test_the_area_under_the_roc_table_is_the_auroc():
    frame = items()
    points = curves.roc(frame, "m")
    kept = frame[frame["rev"].notna()]
    for score, rows in points.groupby("score"):
        area = np.trapezoid(rows["tpr"], rows["fpr"])
        assert area == pytest.approx(auc.auroc((kept["role"] == "reasoning").to_numpy().astype(int), kept[score].to_numpy()))


def test_distribution_functions_end_at_one_and_hold_every_value():
    table = curves.distributions(items(), "m")
    for _, rows in table.groupby(["measure", "role"]):
        assert rows["share"].iloc[-1] == 1
        assert rows["value"].is_monotonic_increasing
    assert (table["measure"] == "rev").sum() == 29
