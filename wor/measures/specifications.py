"""REV under every other reasonable specification of its parts, from stored statistics per token.

No model runs.
"""

import itertools

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import ape, apl, rev
from wor.measures.item_arrays import Records, first_positions, iterate_items
from wor.measures.registry import COMPONENTS, MEASURES

WINDOW_DIVISORS = (1, 2, 4)  # the window's last 1/k tokens
TAUS = (0.0, 1.0, 2.0)
NORMALISATIONS = ("all_keys", "no_sink", "nats")
ADJUSTABLE = ("apl", "ape")  # the components that vary between specifications
COLUMNS = ["window", "tau", "normalisation", "components", "primary"]


def last_tokens(frame: pd.DataFrame, arrays: dict[str, np.ndarray], width: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return first positions and arrays of each window's last ``width`` tokens, NaN at the end."""
    starts = first_positions(frame)
    last = {name: np.full((*arrays[name].shape[:2], width), np.nan, np.float32) for name in ("kl", "entropy", "entropy_no_sink")}
    for index, length in enumerate(frame["window_end"] - frame["window_start"]):
        skipped = max(0, length - width)
        starts[index] += skipped
        for name, array in last.items():
            array[index, :, : length - skipped] = arrays[name][index, :, skipped:length]
    return starts, last


def specification_scores(calibration: Records, evaluation: Records, params: Params) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row per specification, ``primary`` for that of ``params``, and REV, [rows, items].

    A specification is the window's last tokens x tau of APL x normalisation of APE x a non-empty
    set of components. A dimension that does not matter is marked "-" and not repeated. SIB keeps
    the whole window and the preset depth, since its hidden states are stored as window means. So
    does any other component that is not adjustable.
    """
    preset = params.measures
    n_tokens = evaluation[1]["kl"].shape[-1] if params.window.rule == "full" else params.window.size
    sets = [names for k in range(len(COMPONENTS), 0, -1) for names in itertools.combinations(COMPONENTS, k)]
    weights = {name: getattr(params.rev, name).weight for name in COMPONENTS}
    signs = {name: getattr(params.rev, name).sign for name in COMPONENTS}
    preset_names = tuple(name for name in COMPONENTS if weights[name] > 0)
    rows: dict[tuple, bool] = {}
    scores = []
    for divisor in WINDOW_DIVISORS:
        width = max(1, n_tokens // divisor)
        z = _components(calibration, evaluation, width, params)
        for tau, norm, names in itertools.product(sorted({*TAUS, preset.tau}), NORMALISATIONS, sets):
            used = tuple(name for name in names if weights[name] > 0)
            window = width if set(ADJUSTABLE) & set(used) else "-"
            key = (window, tau if "apl" in used else "-", norm if "ape" in used else "-", " ".join(used))
            if not used or key in rows:
                continue
            levels = dict(zip(ADJUSTABLE, (tau, norm), strict=True))
            scores.append(rev.rev({name: z[name, levels.get(name, "")] for name in used}, signs, weights))
            is_preset = window in (n_tokens, "-") and key[1] in (preset.tau, "-") and key[2] in (preset.ape, "-")
            rows[key] = is_preset and used == preset_names
    table = pd.DataFrame([(*key, primary) for key, primary in rows.items()], columns=COLUMNS)
    return table, np.stack(scores)


def _components(calibration: Records, evaluation: Records, width: int, params: Params) -> dict[tuple, np.ndarray]:
    """Return z-scores over calibration controls, by component and level."""
    statistics = [_window_statistics(records, width) for records in (calibration, evaluation)]
    limits = {tau: apl.thresholds(statistics[0][1], tau) for tau in {*TAUS, params.measures.tau}}
    preset_limits = apl.thresholds(apl.layer_effects(calibration[1]["kl"]), params.measures.tau)
    raw = []
    for records, (entropies, effects) in zip((calibration, evaluation), statistics, strict=True):
        lengths = {("apl", tau): np.array([apl.apl(row, limit) for row in effects]) for tau, limit in limits.items()}
        spread = {("ape", norm): np.array(values) for norm, values in entropies.items()}
        raw.append({**lengths, **spread, **_preset_components(records, preset_limits, params)})
    return {key: rev.zscore(values, *rev.calibration_scale(raw[0][key])) for key, values in raw[1].items()}


def _window_statistics(records: Records, width: int) -> tuple[dict[str, list[float]], np.ndarray]:
    """Return APE by normalisation, and the layers' effects, over the last tokens."""
    starts, arrays = last_tokens(*records, width)
    entropies = {
        "all_keys": [ape.ape(rows, start) for rows, start in zip(arrays["entropy"], starts, strict=True)],
        "no_sink": [ape.ape(rows, start, skipped_keys=1) for rows, start in zip(arrays["entropy_no_sink"], starts, strict=True)],
        "nats": [ape.ape_nats(rows) for rows in arrays["entropy"]],
    }
    return entropies, apl.layer_effects(arrays["kl"])


def _preset_components(records: Records, thresholds: np.ndarray, params: Params) -> dict[tuple, np.ndarray]:
    """Return the components that do not vary between specifications."""
    items = list(iterate_items(*records, thresholds))
    return {
        (measure.name, ""): np.array([measure.compute(item, params.measures) for item in items])
        for measure in MEASURES
        if measure.component and measure.name not in ADJUSTABLE
    }
