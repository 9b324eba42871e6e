"""docs/params.md, from the schema in `wor.config.params` and from dvc.yaml: ``python -m wor.config.reference`` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from wor import storage
from wor.config.params import Params

PAGE = Path("docs/params.md")
ALWAYS = ("check", "iteration")  # depend on the whole of params.yaml, and take a second
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
TYPES = {"integer": "whole number", "number": "number", "string": "text"}
SPECS = {"model_specs": "Models", "dataset_specs": "Datasets"}
INTRODUCTION = """# Parameters

Every key of `params.yaml`, from the schema in `wor/config/params.py`. `python -m wor.config.reference` writes this page: change \
the schema, not the page. A key may be left out only where it says so, and an unknown one is refused. `wor check` holds the file \
against all this.

**Reruns** names the stages that a change of the key reruns, at most: DVC skips a stage whose inputs came out as they were, and \
of the stages that run for each model or dataset it runs those of the entry that changed. `check` and `iteration` follow every \
change and take seconds.
"""


def render_page(pipeline: dict) -> str:
    """The whole page, for ``pipeline``, which is dvc.yaml's values."""
    schema = Params.model_json_schema()
    single = {name: entry for name, entry in schema["properties"].items() if "$ref" not in entry}
    parts = [INTRODUCTION, "## The study\n", _table(_rows("", single, schema["$defs"]), pipeline)]
    for name, entry in schema["properties"].items():
        if "$ref" in entry:
            about = _of(entry, schema["$defs"])
            parts += [f"\n## {name}\n", *_said(about), _table(_rows(f"{name}.", about["properties"], schema["$defs"]), pipeline)]
    for name, title in SPECS.items():
        parts += [f"\n## {title}: {name}.NAME\n", "`source` says which of these an entry is. More: [sources.md](sources.md)."]
        mapping = schema["properties"][name]["additionalProperties"]["discriminator"]["mapping"]
        for source, reference in mapping.items():
            about = _of({"$ref": reference}, schema["$defs"])
            rows = _rows(f"{name}.NAME.", about["properties"], schema["$defs"])
            parts += [f"\n### source: {source}\n", *_said(about), _table(rows, pipeline)]
    return "\n".join(parts) + "\n"


def stages_rerun_by(key: str, pipeline: dict) -> list[str]:
    """Stages that name ``key``, something in it or what it is in, and those that read what they write, in order."""
    stages = pipeline["stages"]
    found = {name for name, stage in stages.items() if any(_meet(key, own, ".") for own in _named(stage))}
    while True:
        outs = [out for name in found for out in _paths(stages[name], "outs", "metrics")]
        more = {
            name for name, stage in stages.items() if any(_meet(dep, out, "/") for dep in _paths(stage, "deps") for out in outs)
        }
        if more <= found:
            return [name for name in stages if name in found and name not in ALWAYS]
        found |= more


def _named(stage: dict) -> Iterator[str]:
    yield from stage.get("params", [])
    for listed in stage.get("matrix", {}).values():
        yield listed.removeprefix("${").removesuffix("}")


def _paths(stage: dict, *kinds: str) -> list[str]:
    return [next(iter(path)) if isinstance(path, dict) else path for kind in kinds for path in stage.get(kind, [])]


def _meet(one: str, other: str, separator: str) -> bool:
    """Whether one is the other or lies in it; ``${...}`` and NAME stand for any name."""
    parts = [re.sub(r"\$\{.*?\}|\bNAME\b", "*", text).split(separator) for text in (one, other)]
    return all(fnmatchcase(a, b) or fnmatchcase(b, a) for a, b in zip(*parts, strict=False))


def _of(entry: dict, definitions: dict) -> dict:
    return definitions[entry["$ref"].rpartition("/")[2]]


def _said(about: dict) -> list[str]:
    return [about["description"].replace("``", "`").replace("\n", " ") + "\n"] if "description" in about else []


def _rows(prefix: str, properties: dict, definitions: dict) -> Iterator[tuple[str, str, str]]:
    """Key, what it takes, and what it is: of each entry, and of what is in it."""
    for name, entry in properties.items():
        yield prefix + name, _takes(entry) + _default(entry), entry["description"]
        inner = next((one for one in (entry, *entry.get("anyOf", [])) if "$ref" in one), None)
        if inner:
            yield from _rows(f"{prefix}{name}.", _of(inner, definitions)["properties"], definitions)


def _takes(entry: dict) -> str:
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        return _takes(next(one for one in entry["anyOf"] if one.get("type") != "null"))
    if "$ref" in entry:
        return "keys, below"
    if "oneOf" in entry:
        return "an entry with `source` " + " or ".join(f"`{source}`" for source in sorted(entry["discriminator"]["mapping"]))
    if entry["type"] == "array":
        return f"list of {_takes(entry['items'])}" + (f", at least {entry['minItems']}" if "minItems" in entry else "")
    if entry["type"] == "object":
        return f"map of {_takes(entry['additionalProperties'])}" if "type" in entry["additionalProperties"] else "entries by name"
    if entry.get("title") == "name":
        return "name: lower-case letters, digits, dashes"
    limits = [f"{sign} {entry[bound]:g}" for bound, sign in BOUNDS.items() if bound in entry]
    limits += [f"that matches `{entry['pattern']}`".replace("|", "\\|")] if "pattern" in entry else []
    return " ".join([TYPES[entry["type"]], ", ".join(limits)]).strip()


def _default(entry: dict) -> str:
    if "default" not in entry:
        return ""
    shown = "" if entry["default"] in (None, "", []) else f": `{entry['default']}`"
    return f"; may be left out{shown}"


def _table(rows: Iterator[tuple[str, str, str]], pipeline: dict) -> str:
    lines = ["| key | takes | what it is | reruns |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {takes} | {what} | {_listed(stages_rerun_by(key, pipeline), pipeline)} |" for key, takes, what in rows
    ]
    return "\n".join(lines)


def _listed(found: list[str], pipeline: dict) -> str:
    every = [name for name in pipeline["stages"] if name not in ALWAYS]
    if len(found) > 2 and found == every[-len(found) :]:
        return f"{found[0]} and all after"
    return ", ".join(found) or "none"


if __name__ == "__main__":
    storage.write_text(PAGE, render_page(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))))
