"""Overlays on params.yaml: a profile's file, and key=value settings, as what `dvc exp run -S` takes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable

import yaml

from wor import paths
from wor.config import params
from wor.errors import UserError


def load_profile(profile: str) -> dict[str, object]:
    """The settings of ``profiles/<profile>.yaml``, by dotted key."""
    path = paths.PROFILES / f"{profile}.yaml"
    if not path.is_file():
        have = ", ".join(sorted(file.stem for file in paths.PROFILES.glob("*.yaml"))) or "none"
        raise UserError("--profile", repr(profile), f"There are: {have}")
    return dict(flatten(params.read_yaml(path), whole=True))


def collect_overrides(profile: str, pairs: Iterable[str] = ()) -> dict[str, object]:
    """What a run changes of params.yaml: the profile, if one is named, and ``key=value`` settings over it."""
    return {**(load_profile(profile) if profile else {}), **parse_settings(pairs)}


def parse_settings(pairs: Iterable[str]) -> dict[str, object]:
    """``key=value`` texts, the value read as YAML."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError("-S", repr(pair), "Write it as key=value, for example -S temperature=0.7")
        try:
            found |= dict(flatten({key: yaml.safe_load(value)}, whole=True))
        except yaml.YAMLError:
            raise UserError(f"-S {key}", repr(value), "The value is not YAML: put quotes around a text") from None
    return found


def merge_overrides(changes: dict[str, object]) -> dict:
    """params.yaml with ``changes``, as plain values not yet checked."""
    values = copy.deepcopy(params.read_yaml(paths.PARAMS))
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise UserError(key, repr(value), f"{parent} has no parts")
        place[last] = copy.deepcopy(value)
    return values


def dvc_arguments(changes: dict[str, object]) -> list[str]:
    """``changes`` as arguments of `dvc exp run`. as its grammar has them.

    An entry that is replaced whole is taken out and its leaves put in: Hydra would merge a mapping with what is there.
    """
    values, settings = params.read_yaml(paths.PARAMS), []
    for key, value in changes.items():
        if isinstance(value, dict):
            settings += [f"~{key}"] * _has_key(values, key)
            settings += [f"++{leaf}={_hydra_literal(entry)}" for leaf, entry in flatten({key: value})]
        else:
            settings.append(f"{key}={_hydra_literal(value)}")
    return [part for setting in settings for part in ("-S", setting)]


def _hydra_literal(value: object) -> str:
    """``value`` as Hydra's grammar has it: JSON's but for texts, where only quotes are escaped, and backslashes before one."""
    if isinstance(value, list):
        return f"[{', '.join(map(_hydra_literal, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + found[2].replace('"', '\\"'), value)
    return f'"{escaped}"'


def _has_key(values: dict, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def flatten(values: dict, prefix: str = "", whole: bool = False) -> Iterable[tuple[str, object]]:
    """Nested values by dotted key.

    With ``whole``, a mapping that has the key ``source`` is one value: a model or dataset from somewhere else shares no
    key with the one that it stands for.
    """
    for key, value in values.items():
        if isinstance(value, dict) and not (whole and "source" in value):
            yield from flatten(value, f"{prefix}{key}.", whole)
        else:
            yield f"{prefix}{key}", value
