"""stats: estimate every number of the study, with interval and n, or the reason if undefined."""

import math

import pandas as pd

from wor import paths, storage
from wor.analysis import (
    contrasts,
    criteria,
    describe,
    designs,
    estimates,
    headline,
    hypotheses,
    mixed_model,
    null_models,
    robustness,
    separation,
    sizes,
    specification_curve,
    stand_ins,
    trial,
    wording,
)
from wor.analysis.evaluation import Evaluation
from wor.config.preregistration import load_preregistration
from wor.data import items
from wor.machine.environment import committed_state


def main(params, log):
    registered, origin = load_preregistration(), committed_state(paths.PREREGISTRATION)
    hypotheses.require_known_scores(registered)
    study_items = [item for dataset in params.datasets for item in items.read_items(paths.items(dataset))]
    results, evaluations = {}, {}
    for model in params.models:
        card = storage.read_json(paths.card(model))
        evaluations[model] = _read_evaluation(model, params)
        result = {key: card[key] for key in ("label", "n_params", "n_layers", "n_heads")} | _analyse(
            model, evaluations[model], study_items, registered.margin, log
        )
        results[model] = result
        numbers = headline.model_headline(result)
        log.info(f"{model}: AUROC of REV {numbers['AUROC']:.3f}, dAUC {numbers['dAUC']:+.3f}")
    judged = hypotheses.judge_models(registered, results)
    for model, result in results.items():
        result["preregistration"] = {
            "sha256": origin["sha256"],
            **hypotheses.confirmatory_status(registered, params, result, origin),
            "hypotheses": judged["hypotheses"][model],
            "study": judged["study"],
            "correction": registered.correction,
        }
        storage.write_json(paths.STATS / f"{model}.json", result)
    storage.write_csv(paths.STATS / "estimates.csv", estimates.estimate_table(results))
    for_criteria = {
        model: {
            "n_params": result["n_params"],
            "delta_auc": result["added_full"]["rev"]["delta"],
            # With the p that the table shows.
            "partial_r": {**result["partial"]["rev"]["clustered"], "p": result["holm"].get("partial_rev", math.nan)},
            "temperatures": result["temperatures"],
        }
        for model, result in results.items()
    }
    by_size = {result["label"]: (result["n_params"], evaluations[model]) for model, result in results.items()}
    judged_criteria = criteria.judge_criteria(for_criteria, params.criteria, sizes.compare_sizes(by_size, registered.alpha))
    storage.write_json(paths.STATS / "criteria.json", judged_criteria)
    storage.write_json(paths.SUMMARY, headline.study_headline([headline.model_headline(result) for result in results.values()]))


def _read_evaluation(model, params):
    table = pd.concat([storage.read_csv(paths.metrics(model, dataset)) for dataset in params.datasets], ignore_index=True)
    return Evaluation(table, params, _read_draws(model, table))


def _read_draws(model, table):
    """Return the scores under draws of the calibration sample, with rows as in ``table``."""
    frame, draws = storage.read_records(paths.draws(model))
    if frame["item_id"].tolist() != table["item_id"].tolist():
        raise ValueError(f"the draws of {model} are not of the items of its tables")
    return draws


def _analyse(model, evaluation, study_items, margin, log):
    table, params = evaluation.items, evaluation.params
    result = separation.analyse_separation(evaluation, {item.item_id: item.prompt for item in study_items}, margin)
    result["mixed"] = mixed_model.mixed_models(evaluation)
    calibration = storage.read_csv(paths.metrics(model, "calibration"))
    result["quality"] = describe.generation_quality(table, calibration, params.window.max_repeat)
    frame, arrays = storage.read_records(paths.settings(model))
    texts = {
        "body": {item.item_id: _body(item, params) for item in study_items},
        "continuation": dict(zip(frame["item_id"], frame["text"], strict=True)),
    }
    result["wording"] = wording.analyse_wording(evaluation, texts)
    result["datasets"] = contrasts.compare_datasets(evaluation)
    row_of = {name: index for index, name in enumerate(frame["item_id"])}
    scored_rows = [row_of[name] for name in evaluation.scored["item_id"]]
    heads = arrays["entropy_heads"].reshape(len(frame), -1)[scored_rows]
    result["rivals"] = contrasts.compare_with_rivals(evaluation, heads)
    result["dose_response"] = contrasts.dose_response(evaluation)
    result["correctness"] = contrasts.correctness(evaluation)
    null_frame, null_arrays = storage.read_records(paths.null_heads(model))
    null_heads = (null_frame, null_arrays["entropy_heads"].reshape(len(null_frame), -1))
    null_scores = storage.read_csv(paths.metrics(model, "nulls"))
    result["null_models"] = null_models.compare_with_nulls(evaluation, null_scores, null_heads)
    named = null_models.named_scores(evaluation, null_scores)
    result["negative_controls"] = contrasts.negative_controls(
        evaluation, {key: named[key] for key in named if key.startswith("rev ")}
    )
    matched = params.control.match != "none"
    literal = storage.read_csv(paths.metrics(model, "literal")) if matched else None
    result["literal"] = contrasts.compare_full_length_controls(evaluation, literal)
    scores = pd.DataFrame(arrays["scores"], index=frame["item_id"])
    scores = scores[~scores.index.duplicated()]
    specifications = storage.read_csv(paths.METRICS / f"{model}_settings.csv")
    curve = specification_curve.specification_curve(evaluation, specifications, scores)
    storage.write_csv(paths.STATS / f"{model}_specifications.csv", curve)
    headlines = {"auroc": result["auroc"]["rev"]["bootstrap"], "delta_auc": result["added_full"]["rev"]["delta"]}
    test = specification_curve.joint_test(evaluation, specification_curve.specification_values(evaluation, scores))
    error = specification_curve.monte_carlo_error(evaluation)
    result["specification_curve"] = specification_curve.summarise_curve(curve, headlines, error, test)
    log.info(f"{model}: {len(curve)} settings in the specification curve")
    result["stand_ins"] = stand_ins.stand_in_effects(evaluation, storage.read_csv(paths.METRICS / f"{model}_stand_ins.csv"))
    temperatures = storage.read_csv(paths.metrics(model, "temperatures"))
    result["temperatures"] = robustness.temperature_curve(temperatures, table, params)
    accuracy = storage.read_csv(paths.HEADS / model / "accuracy.csv")
    result["heads"] = robustness.head_curve(accuracy, params)
    result["head_differences"] = robustness.head_differences(accuracy, params)
    ranking_items, head_arrays = storage.read_records(paths.HEADS / model)
    result["head_ranking"] = robustness.head_ranking(ranking_items, head_arrays["kl"], params)
    result["head_ranking"]["unused"] = storage.read_json(paths.HEADS / model / "unused.json")
    excluded = storage.read_json(paths.design_exclusions(model))
    design_table = storage.read_csv(paths.metrics(model, "designs"))
    result["designs"] = designs.analyse_designs(design_table, excluded, evaluation)
    halves = storage.read_csv(paths.METRICS / f"{model}_halves.csv")
    states = arrays["prompt_state"][scored_rows]
    result["trial"] = trial.run_trial(evaluation, halves, null_scores, design_table, states)
    storage.write_csv(paths.STATS / f"{model}_trial.csv", trial.trial_table(result["trial"]))
    result["confidence"] = params.statistics.confidence
    return result


def _body(item, params):
    return items.body_of(item.prompt, params.prompt.frames[0], params.spec(item.dataset).instruction)
