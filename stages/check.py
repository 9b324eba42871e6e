"""check: read params.yaml whole, so that a misspelt key stops the run even where no stage would read it."""

from wor import params as parameters
from wor import paths, stage, storage
from wor.sources import frozen


def work(params, log):
    frozen.check_sizes(params)
    # The content never follows the values: stages after this one rerun for the parameters they name.
    storage.write_json(paths.CHECK, {"schema": sorted(parameters.Params.model_fields)})


if __name__ == "__main__":
    stage.run("check", work)
