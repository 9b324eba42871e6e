"""Changes of params.yaml for one run, from a profile's file and from key=value settings."""

import copy
import json
import re
from collections.abc import Iterable

from wor import paths
from wor.config import params
from wor.errors import UserError


def load_profile(profile: str) -> dict[str, object]:
    """Return the settings of ``profiles/<profile>.yaml`` by dotted key."""
    path = paths.PROFILES / f"{profile}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in paths.PROFILES.glob("*.yaml"))) or "none"
        raise UserError("--profile", repr(profile), f"There are: {names}")
    return dict(flatten(params.read_yaml(path), whole=True))


def collect_overrides(profile: str, pairs: Iterable[str] = ()) -> dict[str, object]:
    """Return what a run changes: settings of the profile, if named, overridden by ``pairs``."""
    return {**(load_profile(profile) if profile else {}), **parse_settings(pairs)}


def parse_settings(pairs: Iterable[str]) -> dict[str, object]:
    """Return the settings in texts ``key=value`` by dotted key. Values are YAML."""
    settings: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError("-S", repr(pair), "Write it as key=value, for example -S temperature=0.7")
        try:
            settings |= dict(flatten({key: params.parse_yaml(value)}, whole=True))
        except ValueError:
            raise UserError(f"-S {key}", repr(value), "The value is not YAML: put quotes around a text") from None
    return settings


def merge_overrides(changes: dict[str, object]) -> dict:
    """Return params.yaml with ``changes`` as plain values that nothing has checked."""
    values = copy.deepcopy(params.read_yaml(paths.PARAMS))
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise UserError(key, repr(value), f"{parent} has no parts")
        section[last] = copy.deepcopy(value)
    return values


def dvc_arguments(changes: dict[str, object]) -> list[str]:
    """Return `dvc exp run` arguments. Hydra merges entries, so a changed one is removed first."""
    present, settings = params.read_yaml(paths.PARAMS), []
    for key, value in changes.items():
        if isinstance(value, dict):
            settings += [f"~{key}"] * _has_key(present, key)
            settings += [f"++{leaf}={_hydra_literal(entry)}" for leaf, entry in flatten({key: value})]
        else:
            settings.append(f"{key}={_hydra_literal(value)}")
    return [part for setting in settings for part in ("-S", setting)]


def _has_key(values: object, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def _hydra_literal(value: object) -> str:
    """Return ``value`` in Hydra's grammar: JSON that escapes only quotes and backslashes before."""
    if isinstance(value, list):
        return f"[{', '.join(map(_hydra_literal, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    escaped = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + match[2].replace('"', '\\"'), value)
    return f'"{escaped}"'


def flatten(values: dict, prefix: str = "", whole: bool = False) -> Iterable[tuple[str, object]]:
    """Yield nested values by dotted key. With ``whole``, a mapping with ``source`` is one value.

    A model or dataset from another source replaces an entry and shares no key with it.
    """
    for key, value in values.items():
        if isinstance(value, dict) and not (whole and "source" in value):
            yield from flatten(value, f"{prefix}{key}.", whole)
        else:
            yield f"{prefix}{key}", value
