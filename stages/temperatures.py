"""temperatures: the same measures, on the first evaluation items of each dataset, at each temperature."""

from wor import items, observation, paths, session, stage, storage


def work(params, log, model):
    settings = params.robustness
    subset = [item for dataset in params.datasets for item in items.evaluated(items.read(paths.items(dataset)))[: settings.n]]
    entries = [item for _ in settings.temperatures for item in subset]
    temperatures = [temperature for temperature in settings.temperatures for _ in subset]
    run = session.begin(params, model, log)
    said = observation.ask(run, entries, temperatures)
    frame, arrays = observation.observe_all(run, said, observation.read_reference(paths.REFERENCE / model), lens=False)
    storage.write_records(paths.TEMPERATURES / model, frame.assign(temperature=temperatures), arrays)
    return run.finish()


if __name__ == "__main__":
    stage.run("temperatures", work, "model")
