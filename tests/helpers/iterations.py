"""Write folders that look like iterations: a manifest and a few files, without results."""

from __future__ import annotations

import json

from wor import storage
from wor.iterations import registry

FILES = {"config_used.yaml": "seed: 1\n", "results/a.csv": "x\n1\n", "figures/f.svg": "<svg/>"}


def make_iteration(experiments, number, **changes):
    folder = experiments / registry.iteration_name(number)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "notes.md").write_text("notes")
    row = dict.fromkeys((name for name in registry.COLUMNS if name not in ("iteration_id", "comments")), "") | {
        "fingerprint": f"{number:016d}",
        "n_items": 81,
        "temperature": 0.1 + 0.2,
        "delta_auc_mean": None,
        "models": "a, b",
    }
    manifest = {
        "iteration_id": folder.name,
        "fingerprint": f"{number:016d}" + "0" * 48,
        "registry": row | changes,
        "files": {name: storage.sha256(folder / name) for name in FILES},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
