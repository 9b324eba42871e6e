"""Measure how often intervals hold the truth, and whether p-values are uniform under the null.

Simulates studies with a known truth, analyses each like a real one, and writes COVERAGE.md. It runs
on one core, in the background of anything else:

    OMP_NUM_THREADS=1 python -m benchmarks.coverage  # 1,000 studies per cell, 500 of dAUC: an hour
    OMP_NUM_THREADS=1 python -m benchmarks.coverage --studies 100 --gains 10 --out coverage.md
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import math
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy import stats

from wor.measures import apl
from wor.measures.moments import moments_by_draw
from wor.statistics import auc, baseline, bootstrap, nulls, partial, rivals, trend
from wor.statistics.logistic import fit_ridge, predict_log_odds
from wor.statistics.result import Estimate
from wor.statistics.splines import SplineDesign

SEED = 20_260
SIZES, EFFECTS = (40, 200), (0.5, 0.7, 0.9)  # items per class, AUROC
SIZE, ICC = 4, 0.5  # items per cluster, and the correlation of two of them
SEEDS = 3  # of null models
SHARED = 0.5  # correlation of two scores of an item within its class
DRAWS, PERMUTATIONS, REFITS = 1000, 499, 100
FOLDS, REPEATS = 5, 2
LOW, HIGH = 0.93, 0.97  # a cell outside is marked
CELLS = list(itertools.product(SIZES, EFFECTS))
LAYERS = 30
JOINT_CELLS = list(itertools.product((10, 23, 100), (0.0, 1.0)))  # calibration controls, shift of the classes
OUT = Path(__file__).with_name("COVERAGE.md")

# Describes the run in COVERAGE.md. Revise it when the numbers change.
READING = """\
Independent items: BCa, both differences and clustered_partial hold the truth as often as they \
claim. At AUROC 0.9 with 40 items per class, the percentile bootstrap and DeLong fall short (93 \
and 91 %).

Clusters: every method that takes clustered items as independent fails at every size (76 to 89 \
%), and its tests reject about four times as often as they claim. The cluster bootstraps are \
right with 50 clusters per class. With 10 clusters per class, BCa and differences are right (94 \
to 96 %), clustered_partial is short at AUROC 0.9 (92 %), percentiles too (90 %), and so is the \
mean AUROC of null models (90 to 93 %).

Calibration: the joint interval holds the truth in 94 to 96 % with 10, 23 and 100 calibration \
controls. Taken as known, a small calibration sample costs up to 14 points (82 % with 10 \
controls).

dAUC: with the fits repeated in each draw, the interval holds the gain in 94 to 98 % where the \
score adds something, but for one cell: 10 covariates on 40 items per class, AUROC 0.7 (89 %). \
Where the score adds nothing it is too long (99 to 100 %), which errs to the safe side. Fits \
that are taken as they are fail in nearly every cell (73 to 94 %).

The coefficient's test is right with 3 covariates, and rejects too seldom with 10 (2 to 4 % at \
0.05). partial_given_replicates rejects too seldom (2 %); it has no D, since in some studies the \
null models agree too little for a number. The likelihood ratio rejects slightly too often with \
40 items per class (6.6 % at 0.05), within 3 standard errors."""


def shift(auroc: float) -> float:
    """Return the distance of two normal classes of standard deviation 1 that have this AUROC."""
    return math.sqrt(2) * stats.norm.ppf(auroc)


def noise(rng: np.random.Generator, cluster: np.ndarray, clustered: bool) -> np.ndarray:
    """Draw normal noise of variance 1. Items of a cluster correlate by ICC."""
    independent = rng.normal(size=len(cluster))
    if not clustered:
        return independent
    return math.sqrt(ICC) * rng.normal(size=cluster[-1] + 1)[cluster] + math.sqrt(1 - ICC) * independent


def clusters(n: int, clustered: bool) -> np.ndarray:
    return np.arange(2 * n) // (SIZE if clustered else 1)


def scores(rng: np.random.Generator, n: int, effects: tuple[float, ...], clustered: bool) -> tuple[np.ndarray, np.ndarray, list]:
    """Draw label, cluster, and a score for each AUROC.

    Scores of an item correlate by SHARED, items of a cluster by ICC.
    """
    label = np.repeat([1, 0], n)
    cluster = clusters(n, clustered)
    common = noise(rng, cluster, clustered)
    return (
        label,
        cluster,
        [
            math.sqrt(SHARED) * common + math.sqrt(1 - SHARED) * noise(rng, cluster, clustered) + shift(effect) * label
            for effect in effects
        ],
    )


def separation(studies: int, n: int, effect: float, clustered: bool, cell: int) -> Iterator[tuple[str, Estimate, float]]:
    """Yield each study's intervals of the AUROC, and of its difference from an AUROC of 0.7."""
    rival = 0.7
    for study in range(studies):
        rng = np.random.default_rng((SEED, cell, study))
        label, cluster, (first, second, *seeds) = scores(rng, n, (effect, rival, *[effect] * SEEDS), clustered)
        of_seeds = baseline.CrossFit(np.stack(seeds), np.zeros((SEEDS, 2 * n), int))
        weights = bootstrap.cluster_weights(cluster, label, DRAWS, seed=study)
        yield "AUROC, percentile", bootstrap.auroc_interval(label, first, weights), effect
        yield "AUROC, BCa", bootstrap.auroc_interval(label, first, weights, cluster=cluster), effect
        yield "AUROC, DeLong", auc.delong(label, first), effect
        yield "difference, bootstrap", rivals.auroc_difference(label, first, second, weights), effect - rival
        yield "difference, DeLong", auc.delong_difference(label, first, second), effect - rival
        yield "mean AUROC of null models", of_seeds.estimate(label, weights), effect
        yield "difference from null models", rivals.auroc_difference(label, second, of_seeds, weights), rival - effect


def correlation(
    studies: int, n: int, effect: float, normal: bool, clustered: bool, cell: int
) -> Iterator[tuple[str, Estimate, float]]:
    """Yield intervals of a score's partial Pearson r with the label, or with a normal variable."""
    cluster = clusters(n, clustered)
    slopes = np.array([0.5, 0.3])  # of the score on the covariates
    lean = np.array([0.6, 0.0])  # of the covariates on the label
    spread = 0.25  # variance of a balanced label
    # The partial r follows from the inverse of the population's covariance matrix.
    d = shift(effect)
    base = np.eye(3)
    base[:2, :2] += spread * np.outer(lean, lean)
    base[:2, 2] = base[2, :2] = spread * lean
    base[2, 2] = spread
    of_score = np.array([*slopes, d])
    joint = np.block([[base, (base @ of_score)[:, None]], [base @ of_score, np.array([[of_score @ base @ of_score + 1]])]])
    precision = np.linalg.inv(joint)
    truth = -precision[2, 3] / math.sqrt(precision[2, 2] * precision[3, 3])
    for study in range(studies):
        rng = np.random.default_rng((SEED, cell, study))
        label = math.sqrt(spread) * rng.normal(size=2 * n) if normal else np.repeat([1.0, 0.0], n)
        covariates = rng.normal(size=(2 * n, 2)) + label[:, None] * lean
        score = covariates @ slopes + d * label + noise(rng, cluster, clustered)
        yield "Fisher's z", partial.partial_correlation(score, label, covariates), truth
        if not normal:  # a normal variable has no classes to draw clusters within
            weights = bootstrap.cluster_weights(cluster, label, DRAWS, seed=study)
            yield "clustered_partial", partial.clustered_partial(score, label, covariates, weights), truth


def draw_gain(rng: np.random.Generator, size: int, effect: float, covariates: int, leaning: bool) -> tuple:
    """Draw label, covariates and a score that has, beyond them, the AUROC ``effect``.

    The first covariate has AUROC 0.8, the second only a larger spread. A leaning score also holds
    the first covariate.
    """
    label = np.repeat([1, 0], size)
    columns = rng.normal(size=(2 * size, covariates)) + label[:, None] * (np.arange(covariates) == 0) * shift(0.8)
    columns[:, 1] *= 1 + 0.8 * label
    return label, columns, rng.normal(size=2 * size) + shift(effect) * label + leaning * columns[:, 0]


def gain(studies: int, n: int, effect: float, covariates: int, leaning: bool, cell: int) -> Iterator[tuple[str, Estimate, float]]:
    """Yield the interval of dAUC, bounded to the score's direction, against fits of this size."""

    def added(train: tuple, test: tuple) -> float:
        design, (centre, scale), ones = SplineDesign.fit(train[1]), (train[2].mean(), train[2].std()), np.ones((1, len(train[0])))
        columns, others = (design.columns(part[1]) for part in (train, test))
        before = predict_log_odds(others, fit_ridge(columns, train[0], ones))[0]
        beta = fit_ridge(columns, train[0], ones, (train[2] - centre) / scale)
        after = predict_log_odds(others, beta, (test[2] - centre) / scale)[0] if beta[0, -1] > 0 else before
        return auc.auroc(test[0], after) - auc.auroc(test[0], before)

    rng = np.random.default_rng((SEED, cell))
    # A fold is fitted on 1 - 1 / FOLDS of the items.
    sizes = n - n // FOLDS, 2000
    fits = [added(*(draw_gain(rng, size, effect, covariates, leaning) for size in sizes)) for _ in range(max(60, studies))]
    for study in range(studies):
        rng = np.random.default_rng((SEED, cell, study))
        label, columns, score = draw_gain(rng, n, effect, covariates, leaning)
        weights = bootstrap.cluster_weights(np.arange(2 * n), label, DRAWS, seed=study)
        fitted = baseline.Baseline(label, columns, np.arange(2 * n), weights, FOLDS, REPEATS, study, refit_draws=REFITS)
        yield "fits repeated", fitted.delta(score, direction=1)[0], float(np.mean(fits))
        fixed = replace(fitted, refit_draws=0)
        yield "fits as they are", fixed.delta(score, direction=1)[0], float(np.mean(fits))


def coefficients(studies: int, n: int, covariates: int, leaning: bool, cell: int) -> Iterator[tuple[str, Estimate]]:
    """Yield tests of the coefficient of a score that adds nothing, two-sided."""
    for study in range(studies):
        rng = np.random.default_rng((SEED, cell, study))
        label, columns, score = draw_gain(rng, n, 0.5, covariates, leaning)
        weights = bootstrap.cluster_weights(np.arange(2 * n), label, REFITS, seed=study)
        fitted = baseline.Baseline(label, columns, np.arange(2 * n), weights, FOLDS, REPEATS, study, refit_draws=REFITS)
        kind = f"{n} a class, {covariates} covariates" + ", score leans on one" * leaning
        yield f"coefficient: {kind}", fitted.coefficient(score)


def calibrated(
    rng: np.random.Generator, sizes: tuple[int, ...], effect: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draw log effects [n, LAYERS] and two more components [n] of groups; the last is shifted."""
    groups = []
    for size, distance in zip(sizes, [0.0] * (len(sizes) - 1) + [effect], strict=True):
        shared = rng.normal(size=(size, 1))
        logs = 0.8 * shared + 0.6 * rng.normal(size=(size, LAYERS)) + distance
        groups.append((logs, rng.normal(size=size), rng.normal(size=size) - distance))
    return groups


def calibrated_scores(calibration: tuple, items: tuple, weights: np.ndarray) -> np.ndarray:
    """Return REV of the items under each draw of the calibration sample, as stage metrics does."""
    limits = apl.thresholds_by_draw(np.exp(calibration[0]), weights, 1.0)
    parts = [(np.stack([(np.exp(group[0]) > limit).mean(1) for limit in limits]), *group[1:]) for group in (calibration, items)]
    z = []
    for before, after in zip(*parts, strict=True):
        mean, deviation = moments_by_draw(before, weights)
        z.append((after - mean[:, None]) / deviation[:, None])
    return np.mean(z, axis=0)


def joint(studies: int, n_calibration: int, effect: float, cell: int) -> Iterator[tuple[str, Estimate, float]]:
    """Yield REV's AUROC with calibration drawn too, and as known; the truth knows the controls."""
    n, label = 40, np.repeat([0, 1], 40)
    everyone = calibrated(np.random.default_rng((SEED, cell)), (40_000, 20_000, 20_000), effect)
    both = tuple(np.concatenate(parts) for parts in zip(*everyone[1:], strict=True))
    truth = auc.auroc(np.repeat([0, 1], 20_000), calibrated_scores(everyone[0], both, np.ones((1, 40_000)))[0])
    for study in range(studies):
        calibration, *groups = calibrated(np.random.default_rng((SEED, cell, study)), (n_calibration, n, n), effect)
        items = tuple(np.concatenate(parts) for parts in zip(*groups, strict=True))
        weights = bootstrap.cluster_weights(np.arange(2 * n), label, DRAWS, seed=study)
        draws = bootstrap.cluster_weights(np.arange(n_calibration), np.zeros(n_calibration), DRAWS, seed=study + 1)
        score = calibrated_scores(calibration, items, np.ones((1, n_calibration)))[0]
        samples = bootstrap.joint_auroc(label, calibrated_scores(calibration, items, draws), weights)
        known = bootstrap.auroc_interval(label, score, weights, cluster=np.arange(2 * n))
        yield "calibration as known, BCa", known, truth
        yield (
            "joint",
            replace(known, **dict(zip(("low", "high"), bootstrap.percentile_interval(samples, 0.95), strict=True))),
            truth,
        )


def nothing(studies: int, clustered: bool, cell: int) -> Iterator[tuple[str, Estimate]]:
    """Yield estimates of studies with 40 items per class and no relation to class or dose."""
    n = 40
    for study in range(studies):
        rng = np.random.default_rng((SEED, cell, study))
        label, cluster, (first, _) = scores(rng, n, (0.5, 0.5), clustered)
        _, _, (second, _) = scores(rng, n, (0.5, 0.5), clustered)
        covariates = np.column_stack(
            [first + rng.normal(size=2 * n), rng.exponential(size=2 * n), label + rng.normal(size=2 * n)]
        )
        weights = bootstrap.cluster_weights(cluster, label, DRAWS, seed=study)
        yield "DeLong, AUROC", auc.delong(label, first)
        yield "DeLong, difference of two independent scores", auc.delong_difference(label, first, second)
        yield (
            "bootstrap, difference of the same (rivals.auroc_difference)",
            rivals.auroc_difference(label, first, second, weights),
        )
        yield "permuted_auroc", nulls.permuted_auroc(label, first, cluster, PERMUTATIONS, seed=study)
        yield "partial Pearson", partial.partial_correlation(second, label, covariates)
        yield "partial Spearman", partial.partial_correlation(second, label, covariates, "spearman")
        yield "clustered_partial, Pearson", partial.clustered_partial(second, label, covariates, weights)
        yield "clustered_partial, Spearman", partial.clustered_partial(second, label, covariates, weights, "spearman")
        # Null models and the score measure the same, which goes with the class: nothing is added.
        in_text = first + shift(0.8) * label
        replicates, score = in_text + rng.normal(size=(SEEDS, 2 * n)), in_text + rng.normal(size=2 * n)
        none = np.empty((2 * n, 0))
        yield "partial_given_replicates", partial.partial_given_replicates(score, label, none, replicates, weights)
        yield "permuted_partial", partial.permuted_partial(second, label, covariates, PERMUTATIONS, seed=study)
        yield "likelihood ratio", baseline.likelihood_ratio(label, covariates, second)
        half = slice(0, n)  # 40 items with a dose of four levels, the same within a cluster
        dose = (np.arange(n) // SIZE % 4).astype(float)
        times = bootstrap.cluster_weights(cluster[half], np.zeros(n), 100, seed=study)
        yield "trend", trend.kendall_trend(dose, second[half], times, PERMUTATIONS, seed=study)


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def covered(studies: int, few: int) -> dict[str, dict[str, list[np.ndarray]]]:
    """Return which intervals held the truth, by kind of study and method: one array per cell."""
    kinds: dict[str, Callable] = {
        "independent items": lambda n, effect, cell: separation(studies, n, effect, False, cell),
        f"clusters of {SIZE}": lambda n, effect, cell: separation(studies, n, effect, True, cell),
        "partial r with a label": lambda n, effect, cell: correlation(studies, n, effect, False, False, cell),
        "partial r with a normal variable": lambda n, effect, cell: correlation(studies, n, effect, True, False, cell),
        f"partial r with a label, clusters of {SIZE}": lambda n, effect, cell: correlation(studies, n, effect, False, True, cell),
        f"dAUC, 3 covariates ({few} studies a cell)": lambda n, effect, cell: gain(few, n, effect, 3, False, cell),
        f"dAUC, 10 covariates ({few} studies a cell)": lambda n, effect, cell: gain(few, n, effect, 10, False, cell),
        f"dAUC, the score leans on a covariate ({few})": lambda n, effect, cell: gain(few, n, effect, 3, True, cell),
    }
    table: dict[str, dict[str, list[np.ndarray]]] = {}
    for number, (kind, simulate) in enumerate(kinds.items()):
        for cell, (n, effect) in enumerate(CELLS):
            log(f"{kind}: {n} a class, AUROC {effect}")
            covers: dict[str, list[bool]] = {}
            for method, estimate, truth in simulate(n, effect, 100 * number + cell):
                # A missing interval is NaN, and covers nothing.
                covers.setdefault(method, []).append(estimate.low <= truth <= estimate.high)
            for method, values in covers.items():
                table.setdefault(kind, {}).setdefault(method, []).append(np.array(values))
    return table


def share(covers: np.ndarray) -> str:
    """Format a percentage with its Monte-Carlo standard error, in bold outside the bounds."""
    mean = covers.mean()
    text = f"{100 * mean:.1f} ± {100 * math.sqrt(mean * (1 - mean) / len(covers)):.1f}"
    return text if LOW <= mean <= HIGH else f"**{text}**"


def rate(p: np.ndarray, level: float) -> str:
    """Format a rejection rate, in bold when more than 3 standard errors from the level."""
    mean, error = (p < level).mean(), math.sqrt(level * (1 - level) / len(p))
    text = f"{100 * mean:.1f} ± {100 * error:.1f}"
    return text if abs(mean - level) <= 3 * error else f"**{text}**"


def coverage_table(table: dict[str, dict[str, list[np.ndarray]]]) -> list[str]:
    rows = [
        "| | " + " | ".join(f"n {n}, AUROC {effect}" for n, effect in CELLS) + " |",
        "| --- |" + " --- |" * len(CELLS),
    ]
    for kind, methods in table.items():
        rows += [f"| {kind}: {method} | " + " | ".join(map(share, cells)) + " |" for method, cells in methods.items()]
    return rows


def joint_table(studies: int) -> list[str]:
    rows = [
        "| | " + " | ".join(f"{n} controls, shift {effect:g}" for n, effect in JOINT_CELLS) + " |",
        "| --- |" + " --- |" * len(JOINT_CELLS),
    ]
    table: dict[str, list[str]] = {}
    for cell, (n, effect) in enumerate(JOINT_CELLS):
        log(f"joint: {n} calibration controls, shift {effect:g}")
        covers: dict[str, list[bool]] = {}
        for method, estimate, truth in joint(studies, n, effect, 800 + cell):
            covers.setdefault(method, []).append(estimate.low <= truth <= estimate.high)
        for method, values in covers.items():
            table.setdefault(method, []).append(share(np.array(values)))
    return rows + [f"| {method} | " + " | ".join(cells) + " |" for method, cells in table.items()]


def uniformity_table(studies: int, clustered: bool) -> list[str]:
    log(f"p-values, {'clusters' if clustered else 'independent items'}")
    return p_value_rows(nothing(studies, clustered, 900 + clustered))


def coefficient_table(studies: int) -> list[str]:
    log("p-values of the coefficient")
    cells = itertools.product((40, 80), (3, 10), (False, True))
    parts = [coefficients(studies, *settings, 920 + cell) for cell, settings in enumerate(cells)]
    return p_value_rows(itertools.chain(*parts))


def p_value_rows(estimates: Iterable[tuple[str, Estimate]]) -> list[str]:
    p_values: dict[str, list[float]] = {}
    for method, estimate in estimates:
        p_values.setdefault(method, []).append(estimate.p)
    rows = ["| | D | its p | below 0.05, % | below 0.01, % |", "| --- | --- | --- | --- | --- |"]
    for method, values in p_values.items():
        p = np.array(values)
        test = stats.kstest(p, "uniform")
        distance = f"{test.statistic:.3f}" if test.pvalue >= 0.01 else f"**{test.statistic:.3f}**"
        rows.append(f"| {method} | {distance} | {test.pvalue:.2g} | {rate(p, 0.05)} | {rate(p, 0.01)} |")
    return rows


def lines(rows: list[str]) -> str:
    return "\n".join(rows)


def processor() -> str:
    entries = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in entries if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--gains", type=int, default=500, help="studies per cell of dAUC, whose fits take most of the time")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    start, few = time.time(), args.gains
    table = covered(args.studies, few)
    independent, in_clusters = (uniformity_table(args.studies, clustered) for clustered in (False, True))
    of_coefficient = coefficient_table(args.studies)
    bounds = f"{100 * LOW:.0f} to {100 * HIGH:.0f} %"
    args.out.write_text(f"""# Coverage of the intervals, and p-values where there is nothing

{READING}

## Coverage of 95 % intervals

Percent of {args.studies} studies ({few} for dAUC) whose interval held the true value, ± its Monte-Carlo standard error. \
n is the number of items per class. Bold is outside {bounds}. Scores are normal in each class, and \
bootstraps have {DRAWS} draws.

- Clusters: {SIZE} items of one class, correlation {ICC}. Bootstraps draw clusters. DeLong and Fisher's z ignore them.
- Difference: from a second score of the same items, AUROC 0.7, correlation {SHARED} within a class.
- Partial r: two covariates, one of which leans on the label. The column's AUROC is the score's own, beyond them. \
clustered_partial is a bootstrap.
- dAUC: covariates in splines, one of AUROC 0.8 and one that differs in spread alone, {FOLDS} folds, {REPEATS} repeats. The \
column's AUROC is the score's own, beyond them. The truth is the mean of {max(60, few)} pairs of fits to as many items as a fold \
is fitted on, each tested on 4,000 other items. The coefficient is bounded to the score's direction. Fits are repeated in \
{REFITS} draws.

{lines(coverage_table(table))}

## Coverage with a calibration sample

REV of 40 items per class, whose thresholds and scales come from so many calibration controls. The truth is the AUROC of \
thresholds and scales from unlimited controls. {LAYERS} layers, two more components.

{lines(joint_table(args.studies))}

## p-values under the null

{args.studies} studies of 40 items a class (trend: 40 items, four doses). D is the Kolmogorov-Smirnov distance from a uniform \
distribution. The last columns have the percent of studies that were rejected, ± the Monte-Carlo standard error of a correct \
test. Bold marks D with a p below 0.01, and rates more than 3 standard errors off. {PERMUTATIONS} permutations, {DRAWS} draws.

Independent items:

{lines(independent)}

Clusters of {SIZE}, correlation {ICC}; a dose belongs to a cluster. rivals.auroc_difference, permuted_auroc and \
clustered_partial use the clusters, the others ignore them:

{lines(in_clusters)}

The coefficient that decides whether a score adds: nothing adds, and the covariates are those of dAUC above:

{lines(of_coefficient)}

*{datetime.date.today()}, {processor()}, 1 thread, {(time.time() - start) / 60:.0f} minutes, Python {platform.python_version()}, \
numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}. \
Made by `OMP_NUM_THREADS=1 python -m benchmarks.coverage`. Seeds: a study's data from ({SEED}, cell, study), its draws and \
permutations from the study's number.*
""")


if __name__ == "__main__":
    main()
