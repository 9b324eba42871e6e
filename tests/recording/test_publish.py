"""Publish an iteration: git holds it without texts, and every command takes it."""

import base64
import gzip
import json
import re
import shutil
import zlib

import pytest

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import lookup, registry, verify
from wor.iterations.compare import compare_iterations
from wor.iterations.load import Iteration
from wor.recording import publish
from wor.recording.agreement import agreement_with_published

pytestmark = pytest.mark.dvc


@pytest.fixture(scope="module")
def published(ran, tmp_path_factory):
    """A study with one published iteration."""
    study = ran.copy(tmp_path_factory.mktemp("published") / "study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study.folder)
        publish.publish(paths.experiments() / "iteration_001", "pilot")
    return study


@pytest.fixture
def experiments(published, tmp_path, monkeypatch):
    shutil.copytree(published.folder, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return paths.experiments()


def test_it_holds_every_number_and_no_text(experiments):
    folder, source = experiments / "published" / "pilot", experiments / "iteration_001"
    assert verify.folder_faults(folder) == []
    tables = Iteration(source)
    repeated = {f"{tables.label()}_{dataset}_metrics.csv" for dataset in tables.datasets}
    names = {path.name: path.read_bytes() for path in (source / "results").iterdir() if path.name not in repeated}
    assert len(names) == len(list((source / "results").iterdir())) - 3
    packed = {path.name: path for path in (folder / "results").glob("*.gz")}
    plain = {path.name: path for path in (folder / "results").iterdir() if path.name not in packed}
    assert {name.removesuffix(".gz"): gzip.decompress(path.read_bytes()) for name, path in packed.items()} | {
        name: path.read_bytes() for name, path in plain.items()
    } == names
    assert packed.keys() == {f"{name}.gz" for name, table in names.items() if len(table) > 50_000}
    assert "aggregate_statistics.json.gz" in packed
    assert {path.name for path in folder.iterdir()} == {*publish.PARTS, "manifest.json", "report.html"}
    files = [path.read_bytes() for path in storage.files_by_name(folder).values()]
    page = re.findall(r'-data">"([^"]+)"', (folder / "report.html").read_text())
    assert len(page) == 2
    unpacked = [zlib.decompress(base64.b64decode(part), wbits=-15) for part in page]
    content = b"".join([*files, *unpacked, *(gzip.decompress(path.read_bytes()) for path in packed.values())])
    items = [json.loads(line) for path in (source / "items").iterdir() for line in path.read_text().splitlines()]
    bodies = [item["prompt"].split("\n\n")[1][:60] for item in items]  # the frame stands before it
    responses = Iteration(source).items()["text"]
    assert len(bodies) > 60
    assert not [text for text in [*bodies, *(text[:30] for text in responses if len(text) > 30)] if text.encode() in content]
    assert sum(path.stat().st_size for path in storage.files_by_name(folder).values()) < publish.MAX_BYTES


def test_its_figures_and_its_row_have_its_name(experiments):
    names = [path.name for path in (experiments / "published" / "pilot" / "figures").iterdir()]
    assert {name.split("__")[1].split(".")[0] for name in names} == {"pilot"}
    (row,) = registry.published_rows(experiments)
    (other,) = registry.read_rows(experiments)
    assert row == other | {"iteration_id": "pilot"}
    assert registry.read_manifest(experiments / "published" / "pilot")["published_from"] == "iteration_001"


def test_it_is_found_and_compared_like_an_iteration(experiments):
    folders = lookup.complete_iterations(experiments)
    assert list(folders) == ["pilot", "iteration_001"]
    assert lookup.find_iteration("", folders, experiments).name == "iteration_001"
    comparison = compare_iterations(folders["pilot"], folders["iteration_001"])
    assert comparison["parameters"] == {}
    assert comparison["paired"]
    shutil.rmtree(experiments / "iteration_001")  # as in a fresh clone
    assert lookup.find_iteration("", lookup.complete_iterations(experiments), experiments).name == "pilot"


def test_a_run_says_how_it_agrees_with_what_is_published(experiments):
    folder = experiments / "iteration_001"
    line = agreement_with_published(folder, experiments)
    assert line.startswith("Against the published study pilot: ")
    assert line.endswith("values, all the same")
    path = folder / "results" / "statistics.csv"
    path.chmod(0o644)
    text = path.read_text().splitlines()
    column = text[0].split(",").index("value")
    row = next(number for number, line in enumerate(text[1:], 1) if line.split(",")[column].startswith("0.3"))
    cells = text[row].split(",")
    cells[column] = str(float(cells[column]) + 0.25)
    path.write_text("\n".join([*text[:row], ",".join(cells), *text[row + 1 :]]) + "\n")
    line = agreement_with_published(folder, experiments)
    assert f", 1 differ. Largest difference: 0.2, value, row {row} of statistics.csv" in line
    config = folder / "config_used.yaml"
    config.chmod(0o644)
    config.write_text(config.read_text().replace("temperature: 0.6", "temperature: 0.61", 1))
    assert agreement_with_published(folder, experiments) == ""


@pytest.mark.parametrize(("name", "line"), [("pilot", "is published"), ("Pilot", "lower-case"), ("iteration-1/..", "lower-case")])
def test_a_name_that_is_taken_or_none_is_refused(experiments, name, line):
    with pytest.raises(UserError, match=line):
        publish.publish(experiments / "iteration_001", name)


def test_a_changed_iteration_and_one_that_is_too_large_leave_nothing(experiments, monkeypatch):
    monkeypatch.setattr(publish, "MAX_BYTES", 100_000)
    with pytest.raises(UserError, match=r"iteration_001: 1\.\d MB without its texts, over 0\.1 MB"):
        publish.publish(experiments / "iteration_001", "large")
    notes = experiments / "iteration_001" / "timing.json"
    notes.chmod(0o644)
    notes.write_text("{}")
    with pytest.raises(UserError, match=r"iteration_001: timing\.json: changed"):
        publish.publish(experiments / "iteration_001", "changed")
    assert [path.name for path in (experiments / "published").iterdir()] == ["pilot"]
    assert not list(experiments.glob(".publishing-*"))
