"""check: read params.yaml whole, so that a misspelt key stops the run even where no stage would read it.

What it writes follows only the local files in use: stages after it rerun for the parameters they name.
"""

from wor import paths, storage
from wor.config import params as parameters
from wor.data import datasets
from wor.pipeline import validation
from wor.weights import identity_card


def main(params, log):
    validation.check_study(params)
    own = {model: identity_card.local_files(params.model_specs[model]) for model in params.models}
    own |= {dataset: datasets.local_files(params.spec(dataset)) for dataset in params.datasets}
    # By name, not by path: another clone's stages are then the same, and no machine's folders are recorded.
    digests = {f"{name}/{path.name}": storage.sha256(path) for name, files in own.items() for path in files}
    storage.write_json(paths.CHECK, {"schema": sorted(parameters.Params.model_fields), "local_files": digests})
