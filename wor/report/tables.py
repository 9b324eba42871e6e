"""Build the tables of one iteration. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wor.analysis.estimates import STAND_IN
from wor.analysis.headline import judged_auroc
from wor.config.overrides import flatten
from wor.iterations import results as remarks_of
from wor.measures.registry import CLAIMS, HEADS, LABELS, MEANINGS, MEASURES, SCORES, seconds_per_item
from wor.report.formatting import (
    class_attrition,
    criterion_label,
    format_estimate,
    format_mean,
    format_needed,
    format_number,
    format_p,
    format_parameters,
    format_seconds,
    format_share,
    measure_label,
    null_model_label,
)
from wor.report.table import Cell, Mark, Table, Term, verdict_mark

if TYPE_CHECKING:
    import pandas as pd

    from wor.iterations.load import Iteration
    from wor.pipeline.probe import Probe, ProbedPrompt

SOURCES = {"own": "the model's own", "gold": "worked solution"}
BASELINES = {"added": "registered", "added_full": "full"}
ESTIMATES = {"auroc": "AUROC", "delta_auc": "dAUC"}


def measure_term(key: str) -> Cell:
    return Term(measure_label(key), MEANINGS[key]) if key in MEANINGS else measure_label(key)


def baselines(result: dict) -> list[tuple[str, dict]]:
    """Return each baseline's name and AUROC; iterations of an earlier version have one."""
    if "added_full" not in result:
        return [("baseline alone", result["added"]["rev"]["baseline"])]
    return [
        ("full baseline alone", result["added_full"]["rev"]["baseline"]),
        ("registered covariates alone", result["added"]["rev"]["baseline"]),
    ]


def criteria(entries: dict[str, dict]) -> Table:
    rows = [[criterion_label(key), verdict_mark(entry["status"]), entry["why"]] for key, entry in entries.items()]
    return Table("Success criteria, set before the run", ["criterion", "verdict", "why"], rows)


def hypotheses(result: dict) -> Table:
    registration = result["preregistration"]
    study = registration.get("study", {})
    rows: list[list[Cell]] = [
        [f"{key} (primary)" if entry["decisive"] else key, entry["claim"], verdict_mark(entry["status"]), entry["why"]]
        for key, entry in registration["hypotheses"].items()
    ]
    notes = (
        [f"Over the models ({study['rule']}): {study['primary']} {study['status']}. {study['why']}."] if "why" in study else []
    )
    if "study" in registration:
        in_sequence = registration.get("correction", "fixed-sequence") == "fixed-sequence"
        over_them = "The primary hypothesis is tested first, the others only behind it, with Holm's correction over them."
        notes.append(over_them if in_sequence else "p is corrected over all hypotheses (Holm).")
    return Table(f"Hypotheses of prereg.yaml ({registration['kind']})", ["", "claim", "status", "why"], rows, notes=notes)


def results(result: dict) -> Table:
    """Return AUROC, dAUC and partial r of REV and every other measure, and the baselines' AUROC.

    Iterations of an earlier version have the registered baseline alone.
    """
    parts = [part for part in BASELINES if part in result]
    rows: list[list[Cell]] = [
        [
            measure_term(key),
            format_estimate(judged_auroc(result, key)),
            _known_calibration(result, key),
            *(format_estimate(result[part][key]["delta"], sign=True) for part in parts),
            format_estimate(result["partial"][key]["clustered"], sign=True),
            format_p(result["holm"].get(f"partial_{key}")),
            result["direction"].get(key, ""),
        ]
        for key in result["added"]
    ]
    empty = [""] * (len(parts) + 4)
    for name, entry in baselines(result):
        rows.append([name, format_estimate(entry), *empty])
    joint = "joint" in result["auroc"]["rev"]
    notes = [
        "AUROC: interval from joint draws of whole calibration and evaluation clusters, with thresholds and scales anew in "
        "each. Beside it the BCa interval that takes these as known. The reference means are taken as known in both."
        if joint
        else "AUROC: BCa interval from a bootstrap of whole clusters.",
        "dAUC: gain over a cross-fitted logistic regression on covariates.",
        "Registered: prompt length, tokens before the closing statement, log-probability and perplexity.",
        *(["Full, which decides: everything that the text or the output distribution alone tell."] if len(parts) > 1 else []),
        "Partial r: correlation with the class, given prompt length and perplexity. p is corrected after Holm.",
        *(f"{line}." for line in remarks_of.remarks(result)),
    ]
    gains = [f"dAUC ({BASELINES[part]})" for part in parts] if len(parts) > 1 else ["dAUC"]
    head = ["measure", "AUROC", "calibration known", *gains, "partial r", "p (Holm)", "preset direction"]
    if not joint:
        head, rows = head[:2] + head[3:], [row[:2] + row[3:] for row in rows]
    caption = f"{result['label']}: reasoning against control ({class_attrition(result)}; {result['confidence']:.0%} intervals)"
    return Table(caption, head, rows, range(1, len(head) - 1), notes)


def results_in_short(result: dict) -> Table:
    """Return the part of `results` that fits a terminal of 120 columns, without its notes.

    A missing number is "none" here; its reason is in `results`, like the registered baseline alone.
    """
    table = results(result)
    left_out = ("calibration known", "p (Holm)", "preset direction")
    kept = [index for index, heading in enumerate(table.head) if heading not in left_out]
    rows = [["none" if str(row[index]).startswith("none: ") else row[index] for index in kept] for row in table.rows]
    rows = rows[: len(result["added"]) + 1]
    head = [table.head[index] for index in kept]
    return Table(table.caption, head, rows, range(1, len(head)))


def _known_calibration(result: dict, key: str) -> str:
    """Return the interval of an AUROC that takes calibration as known, where it is another one."""
    methods = result["auroc"][key]
    bounds = [[methods[method][end] for end in ("low", "high")] for method in ("bootstrap", "joint") if method in methods]
    if len(bounds) < 2 or bounds[0] == bounds[1] or None in bounds[0]:
        return ""
    return f"[{bounds[0][0]:.2f}, {bounds[0][1]:.2f}]"


def gains(result: dict) -> Table:
    """Return whether and how much each score adds to each baseline; no row for an old iteration."""
    rows: list[list[Cell]] = []
    for part, name in BASELINES.items():
        for key, entry in result[part].items() if "added_full" in result else ():
            ratio = entry["bayes_factor"]["value"]
            rows.append(
                [
                    measure_term(key),
                    name,
                    format_estimate(entry["coefficient"], sign=True),
                    format_p(entry["coefficient"]["p"]),
                    format_estimate(entry["delta"], sign=True),
                    format_estimate(entry["unbounded"], sign=True),
                    format_p(entry["equivalence"]["p"]),
                    format_number(ratio, ".2g"),
                ]
            )
    if not rows:
        return Table("", [], [])
    notes = [
        "Coefficient: log-odds per standard deviation of the score, given the covariates. p: one-sided, in the preset direction.",
        "dAUC: with a coefficient bounded to the preset direction. Either sign: not bounded.",
        f"p (absent): two one-sided tests that dAUC lies within {result['margin']:g} of 0.",
        "Bayes factor, from BIC, of no effect over an effect: above 3 speaks for none, below 1/3 for one.",
        "Intervals repeat all fits in each bootstrap draw.",
    ]
    needed = result["needed"]
    notes.append(f"Needed: {needed.get('reason') or format_needed(needed)}.")
    head = ["measure", "baseline", "coefficient", "p", "dAUC", "dAUC, either sign", "p (absent)", "Bayes factor"]
    return Table("What each score adds to the covariates", head, rows, range(2, 8), notes)


def mixed_models(result: dict) -> Table:
    """Return each score's class effect by the mixed model; no row for an old iteration."""
    rows: list[list[Cell]] = [
        [
            measure_term(key),
            format_estimate(entry, sign=True),
            format_p(entry["p"]),
            format_number(entry["icc"], ".2f"),
            entry.get("note", ""),
        ]
        for key, entry in result.get("mixed", {}).items()
    ]
    notes = [
        "Score on class, splines of the full baseline's covariates, datasets within a class, and an intercept for each cluster "
        "(REML). Effect: reasoning minus control, in standard deviations of the score.",
        "Between clusters: the share of what is left of the variance.",
    ]
    head = ["measure", "effect", "p", "between clusters", "mind"]
    return Table("The class in a mixed model of each score", head, rows, range(1, 4), notes if rows else [])


def negative_controls(result: dict) -> Table:
    """Return what scores that cannot be effort reach in REV's tests; no row for an old one."""
    if "negative_controls" not in result:
        return Table("", [], [])
    named = {"rev": {"auroc": judged_auroc(result, "rev"), **{part: result[part]["rev"] for part in BASELINES}}}
    rows = []
    for key, entry in (named | result["negative_controls"]).items():
        cells = []
        for part in BASELINES:
            cells += [format_estimate(entry[part]["delta"], sign=True), format_p(entry[part]["coefficient"]["p"])]
        name, _, kind = key.partition(" (")  # such as "rev (permuted)" of a null model
        label = f"{measure_label(name)}: {null_model_label(kind[:-1])}" if kind else measure_label(key)
        rows.append([label, format_estimate(entry["auroc"]), *cells])
    notes = [
        "These are no measures of effort. What they reach by the same tests is no evidence for one that reaches as much.",
        "A covariate's own column is left out of its baseline. Its gain is not bounded, and its p is two-sided.",
    ]
    head = ["score", "AUROC", *(f"{name} ({baseline})" for baseline in BASELINES.values() for name in ("dAUC", "p"))]
    return Table("Negative controls", head, rows, range(1, 6), notes)


def nulls(result: dict) -> Table:
    """Return the AUROCs that chance, wording and full-length controls reach."""
    null, curve = result["nulls"], result["specification_curve"]
    rows: list[list[Cell]] = [
        *_twin(result.get("twin")),
        ["shuffled labels", format_estimate(null["permuted_labels"]), "what chance gives at this size"],
        ["wording alone (TF-IDF of the prompt)", format_estimate(null["surface_ceiling"]), "the instruction is in it"],
        *_wording(result),
        *_heads(result["rivals"]),
    ]
    literal = result["literal"]
    if "reason" in literal:
        notes = [f"Matching: {literal['reason']}."]
    else:
        notes = []
        for key, length in (("matched", "articles cut to length"), ("literal", "full-length articles")):
            group = literal[key]
            alone = format_estimate(group["auroc"]["token_len"])
            of = f" of {group['of']}" if "of" in group else ""
            why = f"{group['n']}{of} articles of {group['tokens']:.0f} tokens; prompt length alone {alone}"
            rows.append([f"REV with {length}", format_estimate(group["auroc"]["rev"]), why])
    smallest = ", ".join(
        f"{label} from {format_number(result['detectable'][key]['value'], '.2f') or 'none'}" for key, label in ESTIMATES.items()
    )
    notes.append(f"A study of this size detects, with a probability of 0.8: {smallest}.")
    notes += _curve_notes(curve)
    return Table("Nulls and limits: AUROCs to compare with", ["", "AUROC", "what it is"], rows, [1], notes)


def _twin(twin: dict | None) -> list[list[Cell]]:
    """Return the rows of the one null model that an earlier version had."""
    if twin is None:
        return []
    n = sum(twin["n"].values())
    return [
        ["REV of a twin with random weights", format_estimate(twin["auroc"]["rev"]), f"{n} items; {twin['verdict']}"],
        ["REV of the model on the same items", format_estimate(twin["auroc"]["rev_real"]), f"{n} items"],
    ]


def null_models(result: dict) -> Table:
    """Return what networks separate that read the same tokens. Empty for an earlier version."""
    nulls = result.get("null_models", {"kinds": {}})
    rows: list[list[Cell]] = []
    mind: dict[str, None] = {}
    for kind, parts in nulls["kinds"].items():
        for key, entry in parts["auroc"].items():
            seeds = ", ".join(format_number(seed["value"], ".2f") for seed in entry["by_seed"].values())
            cells = [
                format_estimate(entry["mean"]),
                seeds,
                format_estimate(nulls["auroc"][key]),
                format_estimate(parts["difference"][key], sign=True),
                format_estimate(parts["correlation"][key], sign=True),
                format_estimate(parts["reliability"][key]),
            ]
            rows.append([f"{measure_label(key)}: {null_model_label(kind)}", *cells])
            mind |= {f"Mind ({null_model_label(kind)}): {note}.": None for note in [entry["mean"].get("note")] if note}
        rows.append([f"{measure_label(HEADS)}: {null_model_label(kind)}", format_estimate(parts["heads"]), "", "", "", "", ""])
    head = [
        "score: null model",
        "AUROC, mean over seeds",
        "of each seed",
        "AUROC of the model",
        "model − null",
        "r over items",
        "reliability",
    ]
    notes = []
    if rows:
        components = " and ".join(map(measure_label, nulls["components"])) or "no component"
        notes = [
            f"{class_attrition(result, nulls['n'])} items. REV of the null models is of {components}, on the scales of their own "
            "calibration controls.",
            "Intervals are over items, not over seeds. All heads: cross-fitted to the classes.",
            "r over items: of the model's score with the null models' average. Reliability: of that average, from how "
            "seeds agree.",
            *mind,
        ]
    return Table("Null models: networks that read the same tokens", head, rows, range(1, 7), notes)


def added_to_null_models(result: dict) -> Table:
    """Return what the model's scores add to those of null models. Empty for an earlier version."""
    rows: list[list[Cell]] = [
        [
            f"{measure_label(key)} given {measure_label(other)}: {null_model_label(kind)}",
            format_estimate(estimate, sign=True),
            format_estimate(parts["delta"][key][other], sign=True),
        ]
        for kind, parts in result.get("null_models", {"kinds": {}})["kinds"].items()
        for key, given in parts["partial"].items()
        for other, estimate in given.items()
    ]
    notes = [
        "Beside the covariates of partial r and of dAUC. Partial r is given the average of ever more seeds (errors in "
        "variables), dAUC that of these seeds, whose noise lets the model's score add a little too easily.",
    ]
    head = ["score of the model given one of the null models", "partial r", "dAUC"]
    return Table("What the model's scores add to those of the null models", head, rows, [1, 2], notes if rows else [])


def _wording(result: dict) -> list[list[Cell]]:
    """Return the rows of the words of items and of continuations; earlier versions have none."""
    names = {"body": "words of the item alone (TF-IDF)", "continuation": "words of the continuation (TF-IDF)"}
    wording = result.get("wording", {})
    return [
        [name, format_estimate(wording[kind]["auroc"]), _control_task(wording[kind]["control_task"])]
        for kind, name in names.items()
        if kind in wording
    ]


def _heads(entry: dict) -> list[list[Cell]]:
    why = _control_task(entry["control_task"]) if "control_task" in entry else "cross-fitted to the classes"
    return [["logistic on all heads' entropies", format_estimate(entry["auroc_heads"]), why]]


def _control_task(entry: dict) -> str:
    return f"cross-fitted to the classes; to shuffled classes {format_estimate(entry)}"


def _curve_notes(curve: dict) -> list[str]:
    """Return what the specification curve says, and of how many settings."""
    notes = [f"There are {curve['settings']} settings of window, tau, normalisation, components and matching."]
    for key, label in ESTIMATES.items():
        part = curve[key]
        if "why_not" not in part:  # an earlier version compared with a refit of its own
            notes.append(f"{label} keeps its sign in {format_share(part['agree']) or 'no setting that has a value'}.")
            continue
        missing = "; ".join(f"{count} have none ({why})" for why, count in part["why_not"].items())
        agree = format_share(part["agree"])
        sign = f"{agree} of them have the sign of the study's own" if agree else f"no sign is compared: {part['reason']}"
        notes.append(f"{label}: {part['n']} settings have a value, {sign}{f'; {missing}' if missing else ''}.")
        test = part["test"]
        if "reason" in test:
            notes.append(f"{label} over the whole curve: {test['reason']}.")
        else:
            parts = [
                f"median {test['median']['value']:.2f} away from 0.5 (p {format_p(test['median']['p'])})",
                f"{format_share(test['same_side']['value'])} on one side (chance {format_share(test['same_side']['null'])}, "
                f"p {format_p(test['same_side']['p'])})",
                f"{format_share(test['significant']['value'])} significant (chance {format_share(test['significant']['null'])}, "
                f"p {format_p(test['significant']['p'])})",
            ]
            notes.append(
                f"{label} over the {test['settings']} settings on all items, against shuffled classes: {', '.join(parts)}."
            )
    return notes


def datasets(result: dict) -> Table:
    """Return each reasoning dataset's own AUROC, and the differences. Old iterations have none."""
    parts = result.get("datasets", {"auroc": {}, "difference": {}})
    columns = parts["auroc"] | parts["difference"]
    names = [name for name in result["added"] if all(name in scores for scores in columns.values())]
    rows: list[list[Cell]] = [
        [
            measure_term(name),
            *(format_estimate(scores[name]) for scores in parts["auroc"].values()),
            *(format_estimate(scores[name], sign=True) for scores in parts["difference"].values()),
        ]
        for name in (names if columns else [])
    ]
    head = ["measure", *parts["auroc"], *(pair.replace(" - ", " − ") for pair in parts["difference"])]
    notes = ["Each dataset's AUROC is against all controls. The study's own is their mean, weighted by items."]
    return Table("AUROC by reasoning dataset", head, rows, range(1, len(head)), notes if rows else [])


def rivals(result: dict) -> Table:
    rows = [
        [f"REV − {measure_label(key)}", format_estimate(entry, sign=True), format_p(entry["p_holm"])]
        for key, entry in result["rivals"]["difference"].items()
    ]
    notes = ["AUROC of REV minus that of each rival on the same items (paired). All heads: see the nulls."]
    if note := result["rivals"]["difference"].get(HEADS, {}).get("note"):
        notes.append(f"REV − {measure_label(HEADS)}: {note}.")
    return Table("REV against its rivals", ["difference", "AUROC", "p (Holm)"], rows, [1, 2], notes)


def trial(result: dict) -> Table:
    """Return what each measure separates, adds and costs. Empty for an earlier version."""
    passes = result.get("passes") or None
    rows: list[list[Cell]] = [
        [
            measure_term(key),
            CLAIMS[entry["direction"]],
            format_estimate(entry["auroc"]),
            entry["claim"],
            format_estimate(entry["gain"], sign=True),
            format_p(entry["p_holm"]),
            format_estimate(entry["partial"], sign=True),
            format_number(passes and seconds_per_item(key, passes), ".2g"),
        ]
        for key, entry in _tried(result).items()
    ]
    for depth, entries in result.get("trial", {}).get("linear_feature", {}).items():
        for name, estimate in entries.items():
            rows.append([f"LiReF at depth {depth}, {name} (supervised)", "higher", format_estimate(estimate), *[""] * 5])
    notes = [
        "Claimed: the side of reasoning or effort that a measure's authors claim. Against it is contradicted.",
        "dAUC: over the full baseline, bounded to the claimed side. p: of the coefficient, corrected over all measures (Holm). "
        "Partial r: with the class, given the full baseline's covariates.",
        "Seconds: mean of an item, in the passes that a measure needs after generation. Measures share these passes.",
        "Most were proposed to tell right from wrong answers of larger models. This contrast is our transfer of them. Intervals "
        "take thresholds as known.",
    ]
    head = ["measure", "claimed", "AUROC", "claim", "dAUC (full)", "p (Holm)", "partial r", "seconds"]
    return _footnoted(Table("The trial: every measure on the same items", head, rows, (2, 4, 5, 6, 7), notes if rows else []))


def trial_designs(result: dict) -> Table:
    """Return what is left of each measure in designs. Empty for an earlier version."""
    measures = _tried(result)
    kinds = list(dict.fromkeys(kind for entry in measures.values() for kind in entry["given_nulls"]))
    doses = list(dict.fromkeys(dataset for entry in measures.values() for dataset in entry["dose"]))
    rows: list[list[Cell]] = [
        [
            measure_term(key),
            *(format_estimate(entry["given_nulls"].get(kind), sign=True) for kind in kinds),
            format_estimate(entry["derive_copy"], sign=True),
            *(format_estimate(entry["dose"].get(dataset), sign=True) for dataset in doses),
        ]
        for key, entry in measures.items()
    ]
    notes = [
        "Given nulls: partial r with the class, given length, perplexity and the measure's values in null models.",
        "Derive − copy: the same tokens under the problem and under a prompt to copy them, in standard deviations. Dose: "
        "Kendall's tau with the steps of the worked solution.",
    ]
    head = ["measure", *(f"given nulls: {null_model_label(kind)}" for kind in kinds), "derive − copy"]
    head += [f"dose, {dataset}" for dataset in doses]
    return _footnoted(Table("The trial: null models and designs", head, rows, range(1, len(head)), notes if rows else []))


def trial_context(result: dict) -> Table:
    """Return what each measure goes with, and how reliable it is. Empty for an earlier version."""
    measures = _tried(result)
    others = list(dict.fromkeys(other for entry in measures.values() for other in entry["goes_with"]))
    rows: list[list[Cell]] = [
        [
            measure_term(key),
            *(format_estimate(entry["goes_with"][other], sign=True) for other in others),
            format_estimate(entry["reliability"]),
        ]
        for key, entry in measures.items()
    ]
    notes = [
        "Correlations are Spearman's, over all scored items. Entropy: of the window's predictions.",
        "Reliability: Cronbach's alpha of the window's even and odd tokens, within the classes.",
    ]
    short = {"token_len": "length", "window_entropy": "entropy"}
    head = ["measure", *(f"r with {short.get(other, other)}" for other in others), "reliability"]
    return _footnoted(Table("The trial: what measures go with", head, rows, range(1, len(head)), notes if rows else []))


def _tried(result: dict) -> dict[str, dict]:
    measures: dict[str, dict] = result.get("trial", {"measures": {}})["measures"]
    return measures


def _footnoted(table: Table) -> Table:
    """Return the table with each reason for a missing number once, as a note."""
    reasons: dict[str, int] = {}
    rows = []
    for row in table.rows:
        cells = list(row)
        for index, cell in enumerate(row):
            if isinstance(cell, str) and cell.startswith("none: "):
                number = reasons.setdefault(cell.removeprefix("none: "), len(reasons) + 1)
                cells[index] = f"none ({number})"
        rows.append(cells)
    notes = [*table.notes, *(f"({number}) {reason}." for reason, number in reasons.items())]
    return replace(table, rows=rows, notes=notes)


def stand_ins(result: dict) -> Table:
    """Return what another stand-in of APL and another centre of SIB do; empty for old results."""
    rows: list[list[Cell]] = [
        [
            f"{measure_label(score)}, {STAND_IN[score]} {name}" + ("" if "difference" in entry else " (this run's)"),
            format_estimate(entry["auroc"]),
            format_estimate(entry.get("difference"), sign=True),
            format_estimate(entry["delta_auc"], sign=True),
            str(entry["auroc"]["n"]),
        ]
        for score, entries in result.get("stand_ins", {}).items()
        for name, entry in entries.items()
    ]
    notes = [
        "Stand-in: what replaces an ablated part (APL); own is the mean over the item's window. Centre: what is subtracted from "
        "beliefs (SIB). Difference: AUROC minus that of this run's choice on the same items. APL is over the layers of "
        "stand_ins.layer_step, and each stand-in has thresholds of its own.",
    ]
    head = ["", "AUROC", "difference", "dAUC", "n"]
    return Table("Stand-ins and centres exchanged", head, rows, range(1, 5), notes if rows else [])


def balance(result: dict) -> Table:
    rows: list[list[Cell]] = [
        [
            measure_label(key),
            *(format_mean(entry[role]) for role in ("reasoning", "control")),
            format_number(entry["smd"], "+.2f"),
            Mark("imbalanced", "bad") if entry.get("imbalanced") else "",
        ]
        for key, entry in result["balance"].items()
    ]
    notes = [
        "Mean (sd). SMD: standardised mean difference; an absolute value below 0.1 is commonly read as balanced.",
        "Imbalanced: above 0.25, where the adjustment by a regression can't be trusted (Rubin 2001).",
    ]
    return Table("Balance of the classes", ["", "reasoning", "control", "SMD", ""], rows, range(1, 4), notes)


def spread(result: dict) -> Table:
    rows = [
        [group, str(entries["rev"]["n"]), *(format_mean(entry) for entry in entries.values())]
        for group, entries in result["spread"].items()
    ]
    head = ["", "n", *(measure_label(key) for key in next(iter(result["spread"].values())))]
    notes = ["Mean (sd) over items with a value. n: items with a REV."]
    return Table("Measures by class and dataset", head, rows, range(1, len(head)), notes)


def answers(result: dict) -> Table:
    rows = []
    for dataset, entry in result["accuracy"].items():
        # Iterations of an earlier version have no correctness.
        correctness = result.get("correctness", {}).get(dataset)
        auroc = format_estimate(correctness["auroc"]["rev"]) if correctness else ""
        rows.append([dataset, str(entry["n"]), format_share(entry["accuracy"]), format_share(entry["unparsed"]), auroc])
    head = ["dataset", "n", "right", "no answer read", "AUROC of REV, right over wrong"]
    return Table("Answers", head, rows, range(1, 5))


def dose(result: dict) -> Table:
    slopes = result["designs"]["dose"] if "designs" in result else {}
    rows = [
        [
            dataset,
            measure_label(key),
            format_estimate(entry, sign=True),
            format_estimate(trends["given_length"][key], sign=True),
            *([format_estimate(slopes[dataset][key], sign=True)] if slopes else []),
        ]
        for dataset, trends in result["dose_response"].items()
        for key, entry in trends["trend"].items()
    ]
    head = ["dataset", "measure", "Kendall's tau with steps", "partial r given prompt length (Spearman)"]
    head += ["slope within clusters"] if slopes else []
    return Table("Dose-response: measures over the steps of the worked solution", head, rows, range(2, len(head)))


def derive_copy(result: dict) -> Table:
    """Return the difference between deriving a text and copying it. An old result has no row."""
    arms = result["designs"]["derive_copy"] if "designs" in result else {}
    rows: list[list[Cell]] = [
        [
            SOURCES[source],
            measure_term(key),
            *(format_number(part["means"][key][arm], ".2f") for arm in ("derive", "copy")),
            format_estimate(part["difference"][key], sign=True),
            format_p(part["difference"][key].get("p")),
            format_estimate(part["equal_entropy"][key], sign=True),
            format_estimate(part["matched"].get(key), sign=True),
        ]
        for source, part in arms.items()
        for key in part["difference"]
    ]
    notes = ["Each item's tokens are read twice: under its prompt (derive), and under one that shows them (copy)."]
    notes.append("At equal entropy: where a line over the difference of the predictions' entropies crosses 0.")
    notes.append("Matched tokens: those whose two predictions are about as uncertain.")
    for source, part in arms.items():
        entropy, n = part["means"]["window_entropy"], part["n"]
        if n["used"]:
            mean = " and ".join(f"{format_number(entropy[arm], '.2f')} ({arm})" for arm in ("derive", "copy"))
            tokens = format_number(part["matched_tokens"], ".1f")
            notes.append(f"{SOURCES[source]}: {n['used']} items, entropy {mean} nats, {tokens} matched tokens per item.")
        notes += [f"{SOURCES[source]}: {count} left out, {reason}." for reason, count in part["excluded"].items()]
        caveats = [estimate.get("note") for estimate in part["equal_entropy"].values()]
        notes += [f"Mind, at equal entropy: {note}." for note in dict.fromkeys(filter(None, caveats))]
    head = ["text", "measure", "derive", "copy", "difference", "p", "at equal entropy", "matched tokens"]
    return Table("The same tokens derived and copied", head, rows, range(2, 8), notes if rows else [])


def gold_text(result: dict) -> Table:
    """Return how the measures separate the classes where people wrote the text."""
    if "designs" not in result:
        return Table("Text that people wrote", [], [])
    gold = result["designs"]["gold"]
    rows: list[list[Cell]] = [
        [measure_term(key), format_estimate(estimate), format_estimate(gold["delta_auc"].get(key), sign=True)]
        for key, estimate in gold["auroc"].items()
    ]
    rows.append(["baseline alone", format_estimate(gold["baseline"]), ""])
    n = gold["n"]
    notes = [
        "The first tokens of a worked solution or of an article's next sentences, after the item's prompt. None is generated.",
        f"{n['reasoning']} reasoning and {n['control']} control items. dAUC: gain over all covariates, the "
        "window's and the prompt's perplexity among them.",
        *(f"Without enough gold text: {count}, {reason}." for reason, count in gold["excluded"].items()),
    ]
    return Table("Text that people wrote, reasoning against control", ["measure", "AUROC", "dAUC"], rows, [1, 2], notes)


def heads(result: dict) -> Table:
    """Return what removing ranked heads costs beyond random ones, and what the ranking is worth.

    It is empty in an iteration of an earlier version.
    """
    rows: list[list[Cell]] = [
        [
            row["role"],
            "mean" if row["share"] == "mean" else f"{row['share']:.0%}",
            format_estimate(row, sign=True),
            format_p(row["p"]),
        ]
        for row in result.get("head_differences", [])
    ]
    notes = []
    if ranking := result.get("head_ranking"):
        number = " and ".join(f"{n} {role} items of {ranking['clusters'][role]} clusters" for role, n in ranking["n"].items())
        notes.append("In the same items: teacher-forced accuracy without ranked heads, minus that without random others.")
        notes.append(f"Split-half reliability of the ranking, from {number}: {format_estimate(ranking['reliability'])}.")
        notes += [f"Items without a text to serve ({why}): {count}." for why, count in ranking["unused"].items()]
    return Table("Removal of heads: ranked minus random", ["class", "heads removed", "accuracy", "p"], rows, [2, 3], notes)


def excluded(result: dict) -> Table:
    n = result["n"]
    rows = [[*reason.split(": ", 1), str(count)] for reason, count in result["excluded"].items()]
    notes = [f"Used: {n['used']} of {n['items']} items, {n['reasoning']} reasoning and {n['control']} control."]
    notes += [] if rows else ["No item was left out."]
    if calibration := result.get("quality", {}).get("calibration"):
        notes.append(f"Calibration: {calibration['used']} of {calibration['n']} items used.")
    return Table("Items left out of the statistics", ["class", "why", "items"], rows, [2], notes)


MODEL_TABLES = (
    results,
    gains,
    mixed_models,
    negative_controls,
    datasets,
    nulls,
    null_models,
    added_to_null_models,
    hypotheses,
    rivals,
    trial,
    trial_designs,
    trial_context,
    stand_ins,
    derive_copy,
    gold_text,
    balance,
    spread,
    answers,
    excluded,
    dose,
    heads,
)


def model_card(iteration: Iteration, key: str) -> Table:
    card, result = iteration.cards[key]["card"], iteration.statistics[key]
    source = card["source"]
    parts = [str(source[part]) for part in ("package", "version", "repo", "revision", "path", "layers") if part in source]
    rows = [
        ["source", f"{source['source']}: {' '.join(parts)}"],
        ["architecture", f"{card['architecture']}, {result['n_layers']} layers, {result['n_heads']} heads"],
        ["parameters", format_parameters(result["n_params"])],
        ["chat template", "yes" if card.get("chat_template") else "no: prompt.template"],
        *([f"sha256 of {name}", digest] for name, digest in card["files"].items() if name.endswith((".safetensors", ".gguf"))),
    ]
    return Table("The model", [], rows)


def settings(iteration: Iteration) -> Table:
    config = iteration.config
    used = {key: value for key, value in config.items() if key not in ("model_specs", "dataset_specs", "compute")}
    used["dataset_specs"] = {name: config["dataset_specs"][name] for name in config["datasets"]}
    rows = [[key, str(value)] for key, value in flatten(used) if value not in (None, "")]
    return Table("Parameters", ["parameter", "value"], rows)


def environment(iteration: Iteration) -> Table:
    about, manifest = iteration.environment, iteration.manifest
    code, compute = about["code"], about.get("compute") or {}
    registration = about.get("preregistration") or {}
    committed = registration.get("committed") or registration.get("reason", "")
    rows = [
        ["made", manifest["registry"]["date"]],
        ["DVC experiment", about.get("experiment") or "none: the stages were run one by one"],
        ["commit", _commit(code)],
        ["code", code["code_hash"]],
        ["fingerprint", manifest["fingerprint"]],
        ["prereg.yaml", f"{registration.get('sha256', '')}, committed {committed}"],
        ["machine", f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']:.1f} GiB; {about['platform']}"],
        ["device", _device(compute)],
        ["Python", about["python"]],
        ["packages", ", ".join(f"{package} {version}" for package, version in about["packages"].items())],
        ["BLAS", str(about.get("blas", ""))],
    ]
    return Table("Environment", [], rows)


def _commit(code: dict) -> str:
    if not code.get("commit"):
        return f"none: {code['reason']}"
    return code["commit"] + (" with uncommitted changes (in env_info.json)" if code.get("dirty") else "")


def _device(compute: dict) -> str:
    parts = [compute.get("gpu") or compute.get("device"), compute.get("dtype"), f"{compute.get('threads')} threads"]
    return ", ".join([*(str(part) for part in parts if part), str(compute.get("attention", ""))])


def timing(iteration: Iteration) -> Table:
    stages, total = iteration.timing["stages"], iteration.timing
    entries = [(stage["stage"], stage["seconds"], stage["peak_memory_mib"]) for stage in stages]
    entries.append(("in all", total["total_seconds"], total["peak_memory_mib"]))
    rows = [[name, format_seconds(seconds), f"{memory:,.0f} MiB"] for name, seconds, memory in entries]
    return Table("Time and memory of each stage", ["stage", "time", "peak memory"], rows, [1, 2])


def probe_settings(probe: Probe) -> str:
    params = probe.params
    return f"{probe.label}, temperature {params.temperature:g}, at most {params.max_new_tokens} tokens"


def probe_scores(probe: Probe) -> list[Table]:
    """Return the tables of a probe: its measures, and what text and output alone tell."""
    scores, own = probe.scores, [*SCORES, "effect"]
    published = [name for name in scores.index if name in LABELS and name not in own]
    notes = [note for prompt, side in zip(probe.prompts, sides(probe), strict=True) for note in _missing_scores(prompt, side)]
    if probe.controls:
        n, temperature = scores["control_n"].max(), probe.params.reference.temperature
        changed = ", ".join([LABELS["rev"], *(measure.label for measure in MEASURES if measure.compute_by_draw)])
        notes.append(
            f"Controls: {n} calibration controls of the run in this folder, at temperature {temperature:g}. "
            f"Their {changed} are by thresholds and scales of the other controls."
        )
        if unobserved := "; ".join(map(measure_label, scores.index[scores["control_n"] == 0])):
            notes.append(f"Not observed on controls: {unobserved}.")
    else:
        notes.append(f"There is no range: {probe.why_alone}.")
        notes.append("The reference is the prompt's own window: in the mean log effect, its mean replaces a layer's output.")
    notes.append("Formulas and sources: wor measures.")
    if len(probe.prompts) > 1:
        notes.append("Two prompts differ in many ways. What a difference means takes a study: wor run.")
    parts = {
        "Measures of the study": scores.loc[own],
        "Published measures": scores.loc[published],
        "What the text and the output alone tell": scores.drop(index=[*own, *published]),
    }
    built = [_probe_table(caption, rows, probe) for caption, rows in parts.items() if len(rows)]
    return [*built[:-1], replace(built[-1], notes=notes)]


def sides(probe: Probe) -> Sequence[str]:
    """Return the letters of two prompts; nothing for one alone."""
    return "AB" if len(probe.prompts) > 1 else [""]


def _missing_scores(prompt: ProbedPrompt, side: str) -> list[str]:
    """Return a line per reason why scores of a prompt are missing."""
    groups = prompt.scores[prompt.scores["reason"] != ""].groupby("reason", sort=False)
    names = {reason: "; ".join(map(measure_label, rows.index)) for reason, rows in groups}
    names |= {reason: "No measure" for reason in names if reason == prompt.record["reason"]}
    return [f"{name}{side and f' of {side}'}: {reason}" for reason, name in names.items()]


def _probe_table(caption: str, scores: pd.DataFrame, probe: Probe) -> Table:
    columns: dict[str, str] = {"value": "value"} if len(probe.prompts) == 1 else {"a": "A", "b": "B", "difference": "B − A"}
    forms = {"difference": "+.3g"}
    cells = {heading: [_known(value, forms.get(name, ".3g")) for value in scores[name]] for name, heading in columns.items()}
    if probe.controls:
        moments = zip(scores["control_mean"], scores["control_sd"], strict=True)
        cells["controls, mean (sd)"] = [f"{_known(mean)} ({_known(sd)})" if mean == mean else "–" for mean, sd in moments]
        if len(probe.prompts) == 1:
            cells["z"] = [_known(value, "+.1f") for value in scores["z"]]
            cells["percentile"] = [_known(value, ".0f") for value in scores["percentile"]]
    rows = [[measure_term(name), *row] for name, row in zip(scores.index, zip(*cells.values(), strict=True), strict=True)]
    return Table(caption, ["score", *cells], rows, range(1, len(cells) + 1))


def _known(value: float, form: str = ".3g") -> str:
    return f"{value:{form}}" if math.isfinite(value) else "–"
