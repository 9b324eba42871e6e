"""temperatures: the same measures, on the first evaluation items of each dataset, at each temperature."""

import numpy as np
import pandas as pd

from wor import items, observation, paths, session, stage, storage


def work(params, log, model):
    settings = params.robustness
    subset = [
        item for dataset in params.datasets for item in observation.evaluated(items.read(paths.items(dataset)))[: settings.n]
    ]
    run = session.begin(params, model, log)
    reference = observation.read_reference(paths.REFERENCE / model)
    frames, arrays = [], []
    for temperature in settings.temperatures:
        frame, found = observation.observe_all(run, observation.ask(run, subset, temperature), reference, f" at {temperature:g}")
        frames.append(frame.assign(temperature=temperature))
        arrays.append(found)
    merged = {name: np.concatenate([found[name] for found in arrays]) for name in arrays[0]}
    storage.write_records(paths.TEMPERATURES / model, pd.concat(frames, ignore_index=True), merged)
    return run.finish()


if __name__ == "__main__":
    stage.run("temperatures", work, "model")
