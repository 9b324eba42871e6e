"""Make results for the figures: of one model, of several, and with missing numbers."""

from __future__ import annotations

from tests.helpers.root import ROOT
from wor.config import params as parameters
from wor.figures import ablation, scaling, temperature

PARAMS = parameters.load_params(ROOT / "params.yaml")
MISSING = {"value": None, "low": None, "high": None, "reason": "fewer than 10 items in a class (6 positive, 3 negative)"}


def estimate(value, half=0.1, n=40):
    return {"value": value, "low": value - half, "high": value + half, "p": 0.5, "n": n, "reason": ""}


def result(n_params, label):
    return {
        "label": label,
        "n_params": n_params,
        "n": {"reasoning": 24, "control": 16},
        "auroc": {"rev": {"bootstrap": estimate(0.6)}},
        "added": {"rev": {"baseline": estimate(0.7), "delta": estimate(0.02)}},
        "temperatures": {
            "by_temperature": [
                {
                    "temperature": t,
                    "reasoning": estimate(0.3, n=24),
                    "control": estimate(0.1, n=16),
                    "auroc": estimate(0.6 + t / 9),
                }
                for t in (0.0, 0.2, 0.7)
            ]
        },
        "heads": [
            {
                "role": role,
                "kind": kind,
                "share": share,
                "n_heads": 9,
                "draws": 5 if kind == "random" else 1,
                "draws_low": 0.45 - share,
                "draws_high": 0.55 - share,
                **estimate(0.5 - share, n=6),
            }
            for role in ("reasoning", "control")
            for share, kind in ((0.0, "ranked"), (0.3, "ranked"), (0.3, "random"), (0.5, "ranked"), (0.5, "random"))
        ],
        "head_differences": [
            {"role": role, "share": share, **estimate(-0.08, half=0.04, n=6)}
            for role in ("reasoning", "control", "reasoning - control")
            for share in (0.3, 0.5, "mean")
        ],
        "head_ranking": {"reliability": estimate(0.34)},
    }


def with_gaps():
    """Return three models: one complete, one without any AUROC, one with single missing values."""
    complete, none, some = (result(size, f"A-Model-Of-Some-Size-{size}") for size in (134_515_008, 134_515_009, 1_711_376_384))
    none["auroc"]["rev"]["bootstrap"] |= MISSING
    none["added"]["rev"]["delta"] |= MISSING
    for row in none["temperatures"]["by_temperature"]:
        row["auroc"] |= MISSING
    for row in none["heads"]:
        if row["role"] == "control":
            row |= MISSING | {"draws_low": None, "draws_high": None}
    some["temperatures"]["by_temperature"][1]["reasoning"] |= MISSING | {"reason": "no item has a value"}
    some["temperatures"]["by_temperature"][1]["auroc"] |= MISSING
    some["heads"][2] |= MISSING
    some["heads"][4] |= {"note": "81 of 135 heads, as some layers have no more others"}
    some["head_ranking"] = {"reliability": MISSING}
    return {"whole": complete, "none": none, "some": some}


def nothing():
    empty = result(135e6, "Small")
    for entry in (empty["auroc"]["rev"]["bootstrap"], empty["added"]["rev"]["baseline"], empty["added"]["rev"]["delta"]):
        entry |= MISSING
    for row in empty["temperatures"]["by_temperature"]:
        for series in ("reasoning", "control", "auroc"):
            row[series] |= MISSING
    return {"a": empty}


STUDIES = {
    "one model": {"a": result(134_515_008, "SmolLM2-135M-Instruct")},
    "two sizes": {"a": result(134_515_008, "SmolLM2-135M-Instruct"), "b": result(1_711_376_384, "SmolLM2-1.7B-Instruct")},
    "two of a size, and one near": {
        name: result(size, label)
        for name, size, label in (
            ("a", 134_515_008, "SmolLM2-135M-Instruct"),
            ("b", 134_515_008, "SmolLM2-135M-Random-Twin"),
            ("c", 160_000_000, "A-Model-Whose-Label-Is-Longer-Than-Most"),
        )
    },
    "gaps": with_gaps(),
    "nothing": nothing(),
}
MODULES = (scaling, temperature, ablation)
ONE, TWO = STUDIES["one model"], STUDIES["two sizes"]


def table(module, results):
    return module.table(results, PARAMS)


def figure_name(module):
    return module.__name__.rpartition(".")[2]
