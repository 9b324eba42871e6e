"""Write a small working measure, dataset, figure or stage for its author to change."""

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import typer

from wor import storage
from wor.errors import UserError

TEMPLATES = resources.files("wor.cli") / "templates"
# The files of each kind, and their templates. NAME and LABEL are replaced.
FILES = {
    ("measure", "wor/measures/NAME.py"): "measure.txt",
    ("measure", "tests/measures/test_NAME.py"): "measure_test.txt",
    ("figure", "wor/figures/NAME.py"): "figure.txt",
    ("stage", "stages/NAME.py"): "stage.txt",
    ("stage", "tests/pipeline/test_NAME.py"): "stage_test.txt",
}
STAGE = """  NAME:
    cmd: python -m stages NAME
    params: [models, datasets]
    deps: [data/metrics, stages/NAME.py]
    outs: [data/NAME.json, data/logs/NAME.json]

"""
DATASET = """  NAME:
    source: jsonl
    role: reasoning             # or control
    n: 24
    path: data/local/NAME.jsonl
    fields: {key: id, text: question, answer: answer, answer_kind: number, solution: solution}
    instruction: Work through this step by step, then end with 'The answer is'.
"""
MEASURE = """    Measure("NAME", "LABEL", NAME.compute, ("kl",)),\n"""
# The file that lists a kind, the pattern before which an entry goes, the entry, the next step.
EDITS = {
    "measure": ("wor/measures/registry.py", r"^\)\n\nCOMPONENTS", MEASURE, "pytest tests/measures/test_NAME.py"),
    "figure": ("wor/figures/__init__.py", r"^\}$", '    "NAME": "NAME",\n', "wor figure NAME"),
    "stage": ("dvc.yaml", "^  figures:$", STAGE, "pytest tests/pipeline/test_NAME.py"),
    "dataset": ("params.yaml", "^\nprompt:$", DATASET, "fill data/local/NAME.jsonl, then wor freeze NAME --n 24"),
}


def new(
    kind: Annotated[Literal["measure", "dataset", "figure", "stage"], typer.Argument(help="What to add.")],
    name: Annotated[str, typer.Argument(help="Its name: at most 13 lower-case letters, digits and _.")],
) -> None:
    """Add a measure, dataset, figure or stage: a small working one to change.

    Example: wor new measure late
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,12}", name) or keyword.iskeyword(name):
        raise UserError("name", repr(name), "Use at most 13 lower-case letters, digits and _, and begin with a letter")

    def fill(text: str) -> str:
        return text.replace("NAME", name).replace("LABEL", name.upper())

    templates = {path: template for (owner, path), template in FILES.items() if owner == kind}
    files = {fill(path): fill((TEMPLATES / template).read_text(encoding="utf-8")) for path, template in templates.items()}
    listing, pattern, entry, command = map(fill, EDITS[kind])
    if not Path(listing).is_file():
        raise UserError(listing, "not found", "Run from the top of the repository")
    text = Path(listing).read_text(encoding="utf-8")
    columns = sorted(Path("wor/measures").glob("*.py")) if kind == "measure" else []  # published measures have theirs
    listed = text + "".join(path.read_text(encoding="utf-8") for path in columns)
    if any(Path(path).exists() for path in files) or re.search(rf'"{name}"|^  {name}:', listed, re.MULTILINE):
        raise UserError("name", f"{name!r} is taken", f"Choose another name for the {kind}")
    text, n_added = re.subn(pattern, lambda match: entry + match[0], text, count=1, flags=re.MULTILINE)
    if not n_added:
        raise UserError(listing, f"has no line like {pattern}", f"Add the {kind} by hand: docs/howto/{kind}.md")
    text = re.sub(
        "(?<=^from wor.measures import ).+", lambda old: ", ".join(sorted([*old[0].split(", "), name])), text, flags=re.M
    )
    for path, content in {**files, listing: text}.items():
        storage.write_text(Path(path), content)
        typer.echo(f"{'changed' if path == listing else 'wrote'} {path}")
    typer.echo(f"Next: {command}")
