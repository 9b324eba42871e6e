"""The parameters that made an iteration, compared with those of another or of the workspace."""

from pathlib import Path

import yaml

from wor.config.overrides import flatten

ABSENT = "(not there)"
COMPUTE = ("device", "dtype")


def used_parameters(values: dict) -> dict:
    """Return params.yaml's values without what no result depends on.

    That is unused models and datasets, and all of ``compute`` but ``device`` and ``dtype``.
    """
    used = {**values, "compute": {key: value for key, value in values.get("compute", {}).items() if key in COMPUTE}}
    for kind in ("model", "dataset"):
        specs = values.get(f"{kind}_specs", {})
        used[f"{kind}_specs"] = {name: specs[name] for name in values.get(f"{kind}s", ()) if name in specs}
    return used


def read_configuration(folder: Path) -> dict:
    """Return the parameters in an iteration's config_used.yaml."""
    return yaml.safe_load((folder / "config_used.yaml").read_text(encoding="utf-8"))


def differences(first: dict, second: dict) -> dict[str, tuple[object, object]]:
    """Return the dotted keys whose values differ, each with both values."""
    pairs = dict(flatten(first)), dict(flatten(second))
    keys = list(dict.fromkeys([*pairs[0], *pairs[1]]))
    both = {key: (pairs[0].get(key, ABSENT), pairs[1].get(key, ABSENT)) for key in keys}
    return {key: values for key, values in both.items() if values[0] != values[1]}
