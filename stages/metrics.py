"""metrics: compute APE, APL, SIB, DTR and REV of each item from what the models did.

No model runs in this stage.
"""

from pathlib import Path

import numpy as np

from wor import paths, storage
from wor.measures import calibration_draws, designs, halves, specifications, stand_ins, table
from wor.measures.item_arrays import Records, join, with_prediction_entropy
from wor.statistics import bootstrap


def main(params, log):
    for model in params.models:
        reference = _read(paths.REFERENCE / model)
        calibration = table.calibrate(*reference, params)
        left_out = calibration_draws.measure_left_out(reference, calibration, params)
        described = {"left_out": calibration_draws.describe_left_out(left_out)}
        storage.write_json(paths.METRICS / f"{model}_calibration.json", calibration.as_dict() | described)
        storage.write_csv(paths.metrics(model, "calibration"), left_out)
        records = [_read(paths.activations(model, dataset)) for dataset in params.datasets]
        for dataset, record in zip(params.datasets, records, strict=True):
            measured = table.measure_items(*record, calibration, params)
            storage.write_csv(paths.metrics(model, dataset), measured)
            storage.write_csv(paths.METRICS / f"{model}_{dataset}_layers.csv", table.layer_table(*record))
            repeating = int((measured["repeat_share"] > params.window.max_repeat).sum())
            used = f"{int(measured['rev'].notna().sum())} of {len(measured)} items have a REV"
            log.info(f"{model} on {dataset}: {used}; {repeating} windows loop or copy")
        frame, arrays = _read(paths.TEMPERATURES / model)
        measured = table.measure_items(frame, arrays, calibration, params)
        measured.insert(1, "temperature", frame["temperature"].to_numpy())
        storage.write_csv(paths.metrics(model, "temperatures"), measured)
        items = join(records)
        _write_specifications(model, reference, items, params)
        _write_draws(model, reference, items, params)
        scores = stand_ins.stand_in_scores(reference, items, params)
        storage.write_csv(paths.METRICS / f"{model}_stand_ins.csv", scores)
        storage.write_csv(paths.METRICS / f"{model}_halves.csv", halves.half_table(items, calibration, params))
        _write_nulls(model, calibration, params)
        design_table = designs.design_table(records, _read(paths.DESIGNS / model), calibration, params)
        storage.write_csv(paths.metrics(model, "designs"), design_table)


def _read(folder: Path) -> Records:
    return with_prediction_entropy(storage.read_records(folder))


def _write_draws(model, reference, items, params):
    """Write REV and what else calibration changes, under draws of the calibration sample."""
    frame = reference[0]
    # Another seed than that of the draws of evaluation items: the two samples are independent.
    settings, seed = params.statistics, params.seed + 1
    draws = min(settings.calibration_draws, settings.bootstrap_draws)
    weights = bootstrap.cluster_weights(frame["cluster"], frame["dataset"], draws, seed)
    scores = calibration_draws.scores_by_draw(reference, items, weights, params)
    arrays = {name: values.T.astype(np.float32) for name, values in scores.items() if not name.endswith("_z")}
    storage.write_records(paths.draws(model), items[0][["item_id"]], arrays)


def _write_specifications(model, reference, items, params):
    """Write the input of the specification curve, and what single heads and words are judged by."""
    frame, arrays = items
    rows, scores = specifications.specification_scores(reference, items, params)
    storage.write_csv(paths.METRICS / f"{model}_settings.csv", rows)
    # The answer's statement is left out: its wording is asked for, and not alike in the classes.
    text = ["".join(tokens[:length]) for tokens, length in zip(frame["tokens"], frame["cot_len"], strict=True)]
    table_of_texts = frame[["item_id"]].assign(text=text)
    arrays = {"scores": scores.T, **{name: arrays[name] for name in ("entropy_heads", "prompt_state")}}
    storage.write_records(paths.settings(model), table_of_texts, arrays)


def _write_nulls(model, calibration, params):
    """Write the full-length controls on the model's own scale, each null model on its own."""
    if params.control.match != "none":
        literal = _read(paths.NULLS / model / "literal")
        storage.write_csv(paths.metrics(model, "literal"), table.measure_items(*literal, calibration, params))
    frame, arrays = _read(paths.NULLS / model / "null_models")
    storage.write_csv(paths.metrics(model, "nulls"), table.measure_null_models(frame, arrays, params))
    heads = {"entropy_heads": arrays["entropy_heads"]}
    storage.write_records(paths.null_heads(model), frame[["item_id", "kind", "seed"]], heads)
