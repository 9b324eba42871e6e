"""Check the rules of docs/architecture.md: which room imports which, and what an import may do."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.root import ROOT

OWN = ("wor", "stages", "benchmarks", "tests")
PATHS = [path.relative_to(ROOT) for name in OWN for path in (ROOT / name).rglob("*.py")]
STUDY = sorted(
    ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    for path in PATHS
    if path.parts[0] in ("wor", "stages") and path.stem != "__main__"
)
# Tests look for hooks left on a module, and at the attention that a model runs with.
IN_TESTS = {"_forward_hooks", "_forward_pre_hooks", "_attn_implementation"}
IMPORT_ALL = """
import gc, importlib, json, os, signal, sys
third_party, modules = json.load(sys.stdin)

def state():
    handlers = {number: repr(signal.getsignal(number)) for number in signal.valid_signals()}
    return [dict(os.environ), handlers, gc.isenabled(), gc.get_threshold(), os.getcwd(), repr(sys.excepthook)]

for statement in third_party:
    exec(statement)
before = state()
for name in modules:
    importlib.import_module(name)
names = ("environment", "signal handlers", "gc.isenabled", "gc.get_threshold", "working directory", "sys.excepthook")
print(json.dumps([name for name, old, new in zip(names, before, state()) if old != new]))
"""


@pytest.fixture(scope="module")
def sources() -> dict[Path, ast.Module]:
    """Every file of the repository, parsed."""
    return {path: ast.parse((ROOT / path).read_bytes()) for path in PATHS}


def run_python(code: str, text: str = "") -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, also inside its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_imports_keep_the_contracts():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("modules", "may_load"),
    [
        ([name for name in STUDY if name.startswith("wor.engine")], ("wor.engine", "wor.errors", "wor.compat")),
        (["wor.statistics.auc"], ("wor.statistics", "wor.errors")),
        (["wor"], ()),
    ],
    ids=["engine", "auc", "wor"],
)
def test_a_room_loads_nothing_else_of_the_study(modules, may_load):
    loaded = run_python(f"import sys, {', '.join(modules)}\nprint(*(name for name in sys.modules if name.startswith('wor.')))")
    assert [name for name in loaded.split() if not name.startswith(may_load)] == []


def test_imports_have_no_effects(sources):
    """Import the third-party packages first, as their effects are not ours."""
    statements = [
        ast.unparse(node)
        for path, tree in sources.items()
        if path.parts[0] in ("wor", "stages")
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    third_party = [line for line in statements if line.split()[1].split(".")[0] not in OWN and "__future__" not in line]
    assert any("torch" in line for line in third_party)
    assert json.loads(run_python(IMPORT_ALL, json.dumps([third_party, STUDY]))) == []


def test_no_test_file_is_imported(sources):
    imports = [
        (str(path), name)
        for path, tree in sources.items()
        for name in imported_names(tree)
        if name.startswith("tests.") and any(part.startswith("test_") or part == "conftest" for part in name.split("."))
    ]
    assert imports == []


def test_wor_has_three_loose_modules():
    loose = {path.stem for path in PATHS if path.parent == Path("wor")}
    assert loose == {"__init__", "errors", "paths", "storage"}


def test_only_compat_uses_private_names_of_other_projects(sources):
    """Attributes count as ours when any file of this repository defines that name."""
    ours = set()
    for tree in sources.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                ours.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                ours.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") == "self":
                ours.add(node.attr)
    uses = []
    for path, tree in sources.items():
        if path.parts[:2] in (("wor", "compat"), ("tests", "compat")):
            continue
        imported = {name for name in imported_names(tree) if name.split(".")[0] not in OWN}
        uses += [(str(path), name) for name in imported if any(map(is_private, name.split(".")))]
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        # The documentation of os has _exit, in spite of its name.
        allowed = {"_exit"} | (IN_TESTS if path.parts[0] == "tests" else set())
        uses += [(str(path), name) for name in attributes - ours - allowed if is_private(name)]
    assert uses == []


def test_one_module_starts_children(sources):
    """Its `child_environment` takes out what a shell would point elsewhere."""
    starting = {
        str(path) for path, tree in sources.items() if path.parts[0] in ("wor", "stages") and "subprocess" in imported_names(tree)
    }
    assert starting == {"wor/process/commands.py"}
