"""metrics: from what the models did to APE, APL, SIB, DTR and REV an item. No model runs here."""

from wor import paths, stage, storage
from wor.measures import table


def work(params, log):
    for model in params.models:
        frame, arrays = storage.read_records(paths.REFERENCE / model)
        calibration = table.calibrate(frame, arrays, params)
        storage.write_json(paths.METRICS / f"{model}_calibration.json", calibration.as_dict())
        storage.write_csv(paths.metrics(model, "calibration"), table.measure(frame, arrays, calibration, params))
        for dataset in params.datasets:
            frame, arrays = storage.read_records(paths.activations(model, dataset))
            measured = table.measure(frame, arrays, calibration, params)
            storage.write_csv(paths.metrics(model, dataset), measured)
            storage.write_csv(paths.METRICS / f"{model}_{dataset}_layers.csv", table.layers(frame, arrays))
            log.say(f"{model} on {dataset}: {int(measured['rev'].notna().sum())} of {len(measured)} items have a REV")
        frame, arrays = storage.read_records(paths.TEMPERATURES / model)
        measured = table.measure(frame, arrays, calibration, params)
        measured.insert(1, "temperature", frame["temperature"].to_numpy())
        storage.write_csv(paths.metrics(model, "temperatures"), measured)


if __name__ == "__main__":
    stage.run("metrics", work)
