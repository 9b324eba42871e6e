"""metrics: compute APE, APL, SIB, DTR and REV of each item from what the models did.

No model runs in this stage.
"""

import numpy as np
import pandas as pd

from wor import paths, storage
from wor.measures import specifications, table


def main(params, log):
    for model in params.models:
        reference = storage.read_records(paths.REFERENCE / model)
        calibration = table.calibrate(*reference, params)
        storage.write_json(paths.METRICS / f"{model}_calibration.json", calibration.as_dict())
        storage.write_csv(paths.metrics(model, "calibration"), table.measure_items(*reference, calibration, params))
        records = [storage.read_records(paths.activations(model, dataset)) for dataset in params.datasets]
        for dataset, record in zip(params.datasets, records, strict=True):
            measured = table.measure_items(*record, calibration, params)
            storage.write_csv(paths.metrics(model, dataset), measured)
            storage.write_csv(paths.METRICS / f"{model}_{dataset}_layers.csv", table.layer_table(*record))
            log.info(f"{model} on {dataset}: {int(measured['rev'].notna().sum())} of {len(measured)} items have a REV")
        frame, arrays = storage.read_records(paths.TEMPERATURES / model)
        measured = table.measure_items(frame, arrays, calibration, params)
        measured.insert(1, "temperature", frame["temperature"].to_numpy())
        storage.write_csv(paths.metrics(model, "temperatures"), measured)
        _write_specifications(model, reference, records, params)
        _write_nulls(model, calibration, params)


def _write_specifications(model, reference, records, params):
    """Write the input of the specification curve, and what single heads and words are judged by."""
    frame = pd.concat([frame for frame, _ in records], ignore_index=True)
    arrays = {name: np.concatenate([arrays[name] for _, arrays in records]) for name in records[0][1]}
    rows, scores = specifications.specification_scores(reference, (frame, arrays), params)
    storage.write_csv(paths.METRICS / f"{model}_settings.csv", rows)
    # The answer's statement is left out: its wording is asked for, and not alike in the classes.
    text = ["".join(tokens[:length]) for tokens, length in zip(frame["tokens"], frame["cot_len"], strict=True)]
    table_of_texts = frame[["item_id"]].assign(text=text)
    arrays = {"scores": scores.T, "entropy_heads": arrays["entropy_heads"]}
    storage.write_records(paths.settings(model), table_of_texts, arrays)


def _write_nulls(model, calibration, params):
    """Write the full-length controls on the model's own scale, each null model on its own."""
    if params.control.match != "none":
        literal = storage.read_records(paths.NULLS / model / "literal")
        storage.write_csv(paths.metrics(model, "literal"), table.measure_items(*literal, calibration, params))
    frame, arrays = storage.read_records(paths.NULLS / model / "null_models")
    storage.write_csv(paths.metrics(model, "nulls"), table.measure_null_models(frame, arrays, params))
    heads = {"entropy_heads": arrays["entropy_heads"]}
    storage.write_records(paths.null_heads(model), frame[["item_id", "kind", "seed"]], heads)
