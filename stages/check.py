"""check: check params.yaml, so that a misspelt key stops the run even if no stage reads it.

Rows of local files are read too, so that one that cannot be read stops the run before a model runs.
The output holds the schema's keys and the hashes of local files. Any other change of params.yaml
reruns only the stages that name the changed parameter.
"""

from wor import paths, storage
from wor.config.params import Params
from wor.data import datasets, frozen
from wor.pipeline import validation
from wor.weights import folders


def main(params, log):
    validation.check_study(params)
    frozen.require_local_items(params)
    local_files = {model: folders.local_files(params.model_specs[model]) for model in params.models}
    local_files |= {dataset: datasets.local_files(params.spec(dataset)) for dataset in params.datasets}
    # By name and not by path, so that clones have equal stages and record no folder of a machine.
    digests = {name: {path.name: storage.sha256(path) for path in files} for name, files in local_files.items()}
    validation.check_models(params, [name for name in params.models if not _is_recorded(name, params, digests[name])])
    listed = {f"{name}/{file}": digest for name, files in digests.items() for file, digest in files.items()}
    storage.write_json(paths.CHECK, {"schema": sorted(Params.model_fields), "local_files": listed})


def _is_recorded(model: str, params: Params, digests: dict[str, str]) -> bool:
    """Whether stage models has checked this very model, by its local files' digests.

    To check it again takes seconds.
    """
    if not paths.card(model).is_file():
        return False
    card, entry = storage.read_json(paths.card(model)), params.model_specs[model].model_dump(exclude_defaults=True)
    return {**card["source"], "commit": ""} == {**entry, "commit": ""} and digests.items() <= card["files"].items()
