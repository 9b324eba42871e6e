"""temperatures: the same measures, on the first evaluation items of each dataset, at each temperature."""

import numpy as np
import pandas as pd

from wor import items, observation, paths, stage, storage


def work(params, log, model):
    settings = params.robustness
    subset = [
        item for dataset in params.datasets for item in observation.evaluated(items.read(paths.items(dataset)))[: settings.n]
    ]
    lm, placement = stage.load_model(params, model, log)
    means = observation.read_means(paths.REFERENCE / model)
    frames, arrays = [], []
    for temperature in settings.temperatures:
        said = observation.ask(lm, subset, params, temperature, log, f"generated at {temperature:g}")
        frame, found = observation.observe_all(lm, said, means, params, log, f"observed at {temperature:g}")
        frames.append(frame.assign(temperature=temperature))
        arrays.append(found)
    merged = {name: np.concatenate([found[name] for found in arrays]) for name in arrays[0]}
    storage.write_records(paths.TEMPERATURES / model, pd.concat(frames, ignore_index=True), merged)
    return stage.environment(placement)


if __name__ == "__main__":
    stage.run("temperatures", work, "model")
