"""REV under every other reasonable setting of its parts, from the stored per-token statistics: no model runs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import ape, apl, rev
from wor.measures.item_arrays import ItemArrays
from wor.measures.registry import COMPONENTS, MEASURES

WINDOW_DIVISORS = (1, 2, 4)  # the window's last 1/k tokens
TAUS = (0.0, 1.0, 2.0)
NORMALISATIONS = ("all_keys", "no_sink", "nats")
ADJUSTABLE = ("apl", "ape")  # the components that have settings here
COLUMNS = ["window", "tau", "normalisation", "components", "primary"]


def last_tokens(frame: pd.DataFrame, arrays: dict[str, np.ndarray], most: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """First positions and per-token arrays of the last ``most`` tokens of each window, NaN at the end of short ones."""
    firsts = frame["window_start"].to_numpy().copy()
    cut = {name: np.full((*arrays[name].shape[:2], most), np.nan, np.float32) for name in ("kl", "entropy", "entropy_no_sink")}
    for index, width in enumerate(frame["window_end"] - frame["window_start"]):
        skipped = max(0, width - most)
        firsts[index] += skipped
        for name, part in cut.items():
            part[index, :, : width - skipped] = arrays[name][index, :, skipped:width]
    return firsts, cut


def specification_scores(
    calibration: tuple[pd.DataFrame, dict[str, np.ndarray]],
    evaluation: tuple[pd.DataFrame, dict[str, np.ndarray]],
    params: Params,
) -> tuple[pd.DataFrame, np.ndarray]:
    """REV of every evaluation item under every setting.

    Settings: the window's last tokens x tau of APL x normalisation of APE x every non-empty set of components,
    each once where a dimension does not matter (marked "-"). SIB keeps the whole window and the preset depth, as its
    hidden states are stored as window means; so does any component that has no settings here.

    Returns
    -------
    One row a setting, with ``primary`` where it is what ``params`` measures by; and scores ``[settings, N]``.
    """
    rule = params.measures
    size = evaluation[1]["kl"].shape[-1] if params.window.rule == "full" else params.window.size
    sets = [set_ for k in range(len(COMPONENTS), 0, -1) for set_ in itertools.combinations(COMPONENTS, k)]
    weights = {name: getattr(params.rev, name).weight for name in COMPONENTS}
    signs = {name: getattr(params.rev, name).sign for name in COMPONENTS}
    own = tuple(name for name in COMPONENTS if weights[name] > 0)
    rows, found = {}, []
    for share in WINDOW_DIVISORS:
        most = max(1, size // share)
        z = _components(calibration, evaluation, most, params)
        for tau, norm, set_ in itertools.product(sorted({*TAUS, rule.tau}), NORMALISATIONS, sets):
            used = tuple(name for name in set_ if weights[name] > 0)
            key = (
                most if set(ADJUSTABLE) & set(used) else "-",
                tau if "apl" in used else "-",
                norm if "ape" in used else "-",
                " ".join(used),
            )
            if not used or key in rows:
                continue
            chosen = dict(zip(ADJUSTABLE, (tau, norm), strict=True))
            found.append(rev.rev({name: z[name, chosen.get(name, "")] for name in used}, signs, weights))
            rows[key] = key[0] in (size, "-") and key[1] in (rule.tau, "-") and key[2] in (rule.ape, "-") and used == own
    table = pd.DataFrame([(*key, primary) for key, primary in rows.items()], columns=COLUMNS)
    return table, np.stack(found)


def _components(calibration, evaluation, most: int, params: Params) -> dict[tuple, np.ndarray]:
    """z-scores over calibration controls of each component under each setting of its own."""
    both = [_raw(*part, most) for part in (calibration, evaluation)]
    limits = {tau: apl.thresholds(both[0][1], tau) for tau in {*TAUS, params.measures.tau}}
    preset = apl.thresholds(apl.layer_effects(calibration[1]["kl"]), params.measures.tau)
    raw = []
    for part, (entropies, effects) in zip((calibration, evaluation), both, strict=True):
        lengths = {("apl", tau): np.array([apl.apl(one, limit) for one in effects]) for tau, limit in limits.items()}
        spread = {("ape", norm): np.array(values) for norm, values in entropies.items()}
        raw.append({**lengths, **spread, **_preset_components(*part, preset, params)})
    return {key: rev.zscore(values, *rev.calibration_scale(raw[0][key])) for key, values in raw[1].items()}


def _raw(frame, arrays, most: int) -> tuple[dict[str, list[float]], np.ndarray]:
    """APE by normalisation, and the layers' effects, over the last tokens."""
    firsts, cut = last_tokens(frame, arrays, most)
    entropies = {
        "all_keys": [ape.ape(rows, first) for rows, first in zip(cut["entropy"], firsts, strict=True)],
        "no_sink": [ape.ape(rows, first, skipped_keys=1) for rows, first in zip(cut["entropy_no_sink"], firsts, strict=True)],
        "nats": [ape.ape_nats(rows) for rows in cut["entropy"]],
    }
    return entropies, apl.layer_effects(cut["kl"])


def _preset_components(frame, arrays, thresholds: np.ndarray, params: Params) -> dict[tuple, np.ndarray]:
    """The components without settings of their own."""
    items = [
        ItemArrays({name: array[index] for name, array in arrays.items()}, first, thresholds)
        for index, first in enumerate(frame["window_start"])
    ]
    return {
        (measure.name, ""): np.array([measure.compute(item, params.measures) for item in items])
        for measure in MEASURES
        if measure.component and measure.name not in ADJUSTABLE
    }
