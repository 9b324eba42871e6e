"""Make input for pages: text that tries to break them, and a second iteration."""

from __future__ import annotations

import shutil
from pathlib import Path

from wor import storage

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'&"


def another(folder: Path) -> Path:
    """Copy ``folder`` to iteration_002. Change temperature and add 1 to reasoning items' REV."""
    copy = shutil.copytree(folder, folder.with_name("iteration_002"))
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    manifest = storage.read_json(copy / "manifest.json")
    storage.write_json(copy / "manifest.json", {**manifest, "iteration_id": copy.name})
    config = (copy / "config_used.yaml").read_text()
    (copy / "config_used.yaml").write_text(config.replace("temperature: 0.6", "temperature: 0.9", 1))
    models = storage.read_json(copy / "results" / "aggregate_statistics.json")["models"]
    for model in models.values():
        path = copy / "results" / f"{model['label']}_metrics.csv"
        table = storage.read_csv(path)
        table["rev"] += table["role"] == "reasoning"
        storage.write_csv(path, table)
    return copy
