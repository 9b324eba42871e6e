"""Copy an iteration to experiments/published/NAME, which git holds: everything but the texts."""

import gzip
import re
import shutil
import tempfile
from itertools import product
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import registry, verify
from wor.iterations.load import Iteration
from wor.recording.create import seal, write_report_and_manifest

MAX_BYTES = 3_000_000
REPEATS = (".png", ".pdf")  # of a figure's SVG. Each dataset's metrics are repeated too, in those of all
MAX_PLAIN = 50_000  # bytes of a table that stays readable on a page; a larger one of results/ is gzipped
PARTS = ("config_used.yaml", "env_info.json", "timing.json", "prereg.yaml", "dvc.lock", "figures", "results")
_NAME = re.compile(r"^[a-z][a-z0-9-]*$")


def publish(folder: Path, name: str) -> Path:
    """Return the folder of the published study. It is written whole or not at all, and never twice.

    Prompts, continuations, arrays and the log stay behind: datasets' texts are not ours to publish.
    ``name`` stands for the iteration in the manifest and in the names of figures. Raise UserError
    for a name that is taken or cannot be one, a folder that has changed, or one over MAX_BYTES.
    """
    experiments = paths.experiments()
    target = registry.published_path(experiments, name)
    if not _NAME.match(name) or registry.iteration_number(name):
        raise UserError("name", repr(name), "Use lower-case letters, digits and dashes, a letter first")
    if target.exists():
        raise UserError(target, "is published", "Choose another name: what is published never changes")
    if faults := verify.folder_faults(folder):
        raise UserError(folder.name, faults[0], "It has changed since it was made: publish another")
    source = registry.read_manifest(folder)
    try:
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".publishing-", dir=experiments) as temporary:
            building = Path(temporary) / name
            building.mkdir()
            iteration = Iteration(folder)
            pairs = product(map(iteration.label, iteration.models), iteration.datasets)
            repeated = {f"results/{label}_{dataset}_metrics.csv" for label, dataset in pairs}
            for part, path in storage.files_by_name(folder).items():
                if part.partition("/")[0] not in PARTS or path.suffix in REPEATS or part in repeated:
                    continue
                copy = building / part.replace(f"__{folder.name}", f"__{name}")
                copy.parent.mkdir(exist_ok=True)
                if part.startswith("results/") and path.stat().st_size > MAX_PLAIN:
                    packed = gzip.compress(path.read_bytes(), mtime=0)  # the same bytes whenever it is done
                    copy.with_name(f"{copy.name}{storage.PACKED}").write_bytes(packed)
                else:
                    shutil.copyfile(path, copy)
            row = {**source["registry"], "iteration_id": name}
            files = {part: storage.sha256(path) for part, path in storage.files_by_name(building).items()}
            manifest = {"iteration_id": name, "published_from": folder.name, "fingerprint": source["fingerprint"]}
            write_report_and_manifest(building, {**manifest, "registry": row, "files": files})
            size = sum(path.stat().st_size for path in storage.files_by_name(building).values())
            if size > MAX_BYTES:
                remedy = "Git would hold it for ever: publish a smaller study"
                raise UserError(folder.name, f"{size / 1e6:.1f} MB without its texts, over {MAX_BYTES / 1e6:g} MB", remedy)
            seal(building)
            building.rename(target)
        storage.fsync(target.parent)
    except OSError as error:
        raise storage.cannot_write(target, error) from error
    return target
