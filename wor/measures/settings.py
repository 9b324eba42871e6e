"""REV under every other reasonable setting of its parts, from the stored per-token statistics: no model runs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from wor.measures import ape, apl, rev, sib
from wor.params import Params

SHARES = (1, 2, 4)  # the window's last 1/k tokens
TAUS = (0.0, 1.0, 2.0)
NORMALISATIONS = ("all_keys", "no_sink", "nats")
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


def scores(
    calibration: tuple[pd.DataFrame, dict[str, np.ndarray]],
    evaluation: tuple[pd.DataFrame, dict[str, np.ndarray]],
    params: Params,
) -> tuple[pd.DataFrame, np.ndarray]:
    """REV of every evaluation item under every setting.

    Settings: the window's last tokens x tau of APL x normalisation of APE x every non-empty set of components,
    each once where a dimension does not matter (marked "-"). SIB keeps the whole window and the preset depth: its
    hidden states are stored as window means.

    Returns
    -------
    One row a setting, with ``primary`` where it is what ``params`` measures by; and scores ``[settings, N]``.
    """
    rule = params.measures
    size = evaluation[1]["kl"].shape[-1] if params.window.rule == "full" else params.window.size
    sets = [set_ for k in (3, 2, 1) for set_ in itertools.combinations(rev.COMPONENTS, k)]
    weights = {name: getattr(params.rev, name).weight for name in rev.COMPONENTS}
    signs = {name: getattr(params.rev, name).sign for name in rev.COMPONENTS}
    own = tuple(name for name in rev.COMPONENTS if weights[name] > 0)
    rows, found = {}, []
    for share in SHARES:
        most = max(1, size // share)
        z = _components(calibration, evaluation, most, params)
        for tau, norm, set_ in itertools.product(sorted({*TAUS, rule.tau}), NORMALISATIONS, sets):
            used = tuple(name for name in set_ if weights[name] > 0)
            key = (
                most if {"apl", "ape"} & set(used) else "-",
                tau if "apl" in used else "-",
                norm if "ape" in used else "-",
                " ".join(used),
            )
            if not used or key in rows:
                continue
            parts = {"apl": z["apl", tau], "ape": z["ape", norm], "sib": z["sib", ""]}
            found.append(rev.rev({name: parts[name] for name in used}, signs, weights))
            rows[key] = key[0] in (size, "-") and key[1] in (rule.tau, "-") and key[2] in (rule.ape, "-") and used == own
    table = pd.DataFrame([(*key, primary) for key, primary in rows.items()], columns=COLUMNS)
    return table, np.stack(found)


def _components(calibration, evaluation, most: int, params: Params) -> dict[tuple, np.ndarray]:
    """z-scores over calibration controls of each component under each setting of its own."""
    both = [_raw(*part, most, params) for part in (calibration, evaluation)]
    raw, limits = [], {tau: apl.thresholds(both[0][1], tau) for tau in {*TAUS, params.measures.tau}}
    for entropies, effects, stability in both:
        lengths = {("apl", tau): np.array([apl.apl(one, limit) for one in effects]) for tau, limit in limits.items()}
        raw.append({**lengths, **{("ape", norm): values for norm, values in entropies.items()}, ("sib", ""): stability})
    return {key: rev.zscore(values, *rev.scale(raw[0][key])) for key, values in raw[1].items()}


def _raw(frame, arrays, most: int, params: Params) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    firsts, cut = last_tokens(frame, arrays, most)
    entropies = {
        "all_keys": [ape.ape(rows, first) for rows, first in zip(cut["entropy"], firsts, strict=True)],
        "no_sink": [ape.ape(rows, first, skipped_keys=1) for rows, first in zip(cut["entropy_no_sink"], firsts, strict=True)],
        "nats": [ape.ape_nats(rows) for rows in cut["entropy"]],
    }
    effects = apl.layer_effects(cut["kl"])
    layer = sib.layer_at(params.measures.sib_depth, effects.shape[1])
    stability = np.array([sib.sib(cosine, layer) for cosine in arrays["cosine"]])
    return {norm: np.array(values) for norm, values in entropies.items()}, effects, stability
