"""Write docs/params.md from the schema in wor.config.params and from dvc.yaml."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from wor import storage
from wor.config.params import Params

PAGE = Path("docs/params.md")
ALWAYS = ("check", "iteration")  # they read all of params.yaml
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
SPECS = {"model_specs": "Models", "dataset_specs": "Datasets"}
INTRODUCTION = """# Parameters

This page lists every key of `params.yaml`. `python docs/params_page.py` writes it from `wor/config/params.py`: change \
that file, not this page. A key may be left out only where the table says so. An unknown key is refused. `wor check` \
checks the file against the same schema.

**Reruns** names the stages that a change of the key may rerun. DVC skips a stage whose inputs stay the same. Of a stage that \
runs once per model or dataset, it reruns only the changed entry. `check` and `iteration` rerun at every change, and take seconds.
"""


def render_page(pipeline: dict) -> str:
    """Return the page. ``pipeline`` holds the values of dvc.yaml."""
    schema = Params.model_json_schema()
    properties, definitions = schema["properties"], schema["$defs"]

    def section(heading: str, prefix: str, reference: str) -> list[str]:
        model = definitions[reference.rpartition("/")[2]]
        text = [model["description"].replace("``", "`").replace("\n", " ") + "\n"] if "description" in model else []
        return [f"\n{heading}\n", *text, _table(_rows(prefix, model["properties"], definitions), pipeline)]

    single = {name: entry for name, entry in properties.items() if "$ref" not in entry}
    parts = [INTRODUCTION, "## The study\n", _table(_rows("", single, definitions), pipeline)]
    for name, entry in properties.items():
        if "$ref" in entry:
            parts += section(f"## {name}", f"{name}.", entry["$ref"])
    for name, title in SPECS.items():
        parts += [f"\n## {title}: {name}.NAME\n", "`source` says which of these an entry is. More: [sources.md](sources.md)."]
        for source, reference in properties[name]["additionalProperties"]["discriminator"]["mapping"].items():
            parts += section(f"### source: {source}", f"{name}.NAME.", reference)
    return "\n".join(parts) + "\n"


def _number(value: float) -> str:
    return f"{value:,}" if value == int(value) else f"{value:g}"


def stages_rerun_by(key: str, pipeline: dict) -> list[str]:
    """List the stages that read ``key``, or a part of it, or what another of them writes.

    dvc.yaml lists a stage after those that it depends on.
    """
    rerun: list[str] = []
    written: list[str] = []
    for name, stage in pipeline["stages"].items():
        reads_key = any(_overlap(key, param, ".") for param in _stage_params(stage))
        if reads_key or any(_overlap(dep, out, "/") for dep in _paths(stage, "deps") for out in written):
            rerun.append(name)
            written += _paths(stage, "outs", "metrics")
    return [name for name in rerun if name not in ALWAYS]


def _stage_params(stage: dict) -> Iterator[str]:
    yield from stage.get("params", [])
    for entries in stage.get("matrix", {}).values():
        yield entries.removeprefix("${").removesuffix("}")


def _paths(stage: dict, *kinds: str) -> list[str]:
    return [next(iter(path)) if isinstance(path, dict) else path for kind in kinds for path in stage.get(kind, [])]


def _overlap(path: str, other: str, separator: str) -> bool:
    """Return whether one path is the other or lies in it. ``${...}`` and NAME match any name."""
    parts = [re.sub(r"\$\{.*?\}|\bNAME\b", "*", text).split(separator) for text in (path, other)]
    return all(fnmatchcase(a, b) or fnmatchcase(b, a) for a, b in zip(*parts, strict=False))


def _rows(prefix: str, properties: dict, definitions: dict) -> Iterator[tuple[str, str, str]]:
    """Yield key, accepted values and description of each entry, then of the entries inside it."""
    for name, entry in properties.items():
        yield prefix + name, _accepted(entry) + _default(entry), entry["description"]
        inner = next((option for option in (entry, *entry.get("anyOf", [])) if "$ref" in option), None)
        if inner:
            yield from _rows(f"{prefix}{name}.", definitions[inner["$ref"].rpartition("/")[2]]["properties"], definitions)


def _accepted(entry: dict) -> str:
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        return _accepted(next(option for option in entry["anyOf"] if option.get("type") != "null"))
    if "$ref" in entry:
        return "keys below"
    if "oneOf" in entry:
        return "an entry with `source` " + " or ".join(f"`{source}`" for source in sorted(entry["discriminator"]["mapping"]))
    if entry["type"] == "array":
        return f"list of {_accepted(entry['items'])}" + (f", at least {entry['minItems']}" if "minItems" in entry else "")
    if entry["type"] == "object":
        values = entry["additionalProperties"]
        return f"map of {_accepted(values)}" if "type" in values else "entries by name"
    if entry.get("title") == "name":
        return "name: lower-case letters, digits, dashes"
    limits = [f"{sign} {_number(entry[bound])}" for bound, sign in BOUNDS.items() if bound in entry]
    limits += [f"that matches `{entry['pattern']}`".replace("|", "\\|")] if "pattern" in entry else []
    return " ".join([TYPES[entry["type"]], ", ".join(limits)]).strip()


def _default(entry: dict) -> str:
    if "default" not in entry:
        return ""
    return "; may be left out" + ("" if entry["default"] in (None, "", [], {}) else f": `{entry['default']}`")


def _table(rows: Iterator[tuple[str, str, str]], pipeline: dict) -> str:
    lines = ["| key | takes | what it is | reruns |", "|---|---|---|---|"]
    lines += [f"| `{key}` | {takes} | {what} | {_names(stages_rerun_by(key, pipeline), pipeline)} |" for key, takes, what in rows]
    return "\n".join(lines)


def _names(stages: list[str], pipeline: dict) -> str:
    every = [name for name in pipeline["stages"] if name not in ALWAYS]
    if len(stages) > 2 and stages == every[-len(stages) :]:
        return f"{stages[0]} and all after"
    return ", ".join(stages) or "none"


if __name__ == "__main__":
    storage.write_text(PAGE, render_page(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))))
