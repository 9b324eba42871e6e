"""Check what `wor verify` names and `wor registry` shows for folders that create_iteration made."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.helpers.iterations import FILES, make_iteration
from wor.cli.app import app
from wor.errors import UserError
from wor.iterations import registry, verify
from wor.recording import pointer
from wor.recording.numbering import rebuild_registry


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    place = tmp_path / "experiments"
    for number in (1, 2):
        make_iteration(place, number)
    rebuild_registry(place)
    return place


def test_what_was_recorded_is_intact_and_notes_are_free(experiments):
    (experiments / "iteration_001" / "notes.md").write_text("what I think")
    assert verify.folder_faults(experiments / "iteration_001") == []
    assert verify.registry_faults(experiments) == []


@pytest.mark.parametrize("name", FILES)
def test_a_changed_and_a_missing_file_are_named(experiments, name):
    path = experiments / "iteration_001" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert verify.folder_faults(experiments / "iteration_001") == [f"{name}: changed"]
    path.unlink()
    assert verify.folder_faults(experiments / "iteration_001") == [f"{name}: missing"]
    assert verify.folder_faults(experiments / "iteration_002") == []


def test_an_added_file_is_named(experiments):
    path = experiments / "iteration_001" / "deep" / "new.txt"
    path.parent.mkdir()
    path.write_text("new")
    assert verify.folder_faults(experiments / "iteration_001") == ["deep/new.txt: added"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": {}}'])
def test_a_broken_manifest_is_named(experiments, text):
    (experiments / "iteration_001" / "manifest.json").write_text(text)
    assert verify.folder_faults(experiments / "iteration_001") == ["manifest.json: not a manifest"]
    assert verify.registry_faults(experiments) == []  # the folder's fault, not the registry's


def test_a_lost_manifest_and_a_renamed_folder_are_named(experiments):
    (experiments / "iteration_001" / "manifest.json").unlink()
    assert verify.folder_faults(experiments / "iteration_001") == ["manifest.json: missing"]
    (experiments / "iteration_002").rename(experiments / "iteration_007")
    assert verify.folder_faults(experiments / "iteration_007") == ["manifest.json: is that of iteration_002"]
    found = verify.registry_faults(experiments)
    assert "registry: iteration_007 has no row" in found
    assert "registry: iteration_002 has a row, and neither a folder nor a .dvc file here" in found


def test_a_fingerprint_that_is_not_its_rows_is_named(experiments):
    path = experiments / "iteration_001" / "manifest.json"
    path.write_text(path.read_text().replace('"fingerprint": "0000000000000001000', '"fingerprint": "0000000000000009000'))
    assert verify.folder_faults(experiments / "iteration_001") == ["manifest.json: its fingerprint is not its registry row's"]


def test_a_registry_that_was_edited_by_hand_is_named_by_column(experiments):
    table = pd.read_csv(registry.registry_path(experiments), dtype=str, keep_default_na=False)
    table.loc[0, "n_items"], table.loc[1, "comments"] = "99", "mine to write"
    table.to_csv(registry.registry_path(experiments), index=False)
    assert verify.registry_faults(experiments) == ["registry: iteration_001 has n_items '99', its manifest '81'"]
    table = pd.concat([table, table.iloc[[1]]])
    table.to_csv(registry.registry_path(experiments), index=False)
    assert "registry: iteration_002 has 2 rows" in verify.registry_faults(experiments)
    registry.registry_path(experiments).unlink()
    assert verify.registry_faults(experiments) == [f"registry: iteration_00{number} has no row" for number in (1, 2)]


def test_a_row_whose_folder_is_only_a_pointer_here_is_fine(experiments):
    (experiments / "iteration_002").rename(experiments.parent / "elsewhere")
    (experiments / "iteration_002.dvc").write_text("outs: []\n")
    assert verify.registry_faults(experiments) == []


def test_the_command_exits_1_and_names_what_it_found(experiments):
    run = CliRunner().invoke
    assert run(app, ["verify", "--all"]).exit_code == 0
    assert run(app, ["verify"]).output == "iteration_002: intact\n"
    (experiments / "iteration_001" / "results" / "a.csv").write_text("x\n2\n")
    assert run(app, ["verify"]).exit_code == 0  # the newest is another
    for arguments in (["verify", "iteration_001"], ["verify", "--all"]):
        found = run(app, arguments)
        assert found.exit_code == 1
        assert found.output == "iteration_001/results/a.csv: changed\n"


def test_the_registry_is_shown_in_every_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    run = CliRunner().invoke
    assert run(app, ["registry"]).exit_code != 0  # none yet
    place = tmp_path / "experiments"
    for number, delta in ((1, 0.02), (2, 0.07), (3, None)):
        values = {"delta_auc_mean": delta, "ci_low": -0.1 if delta else None, "ci_high": 0.2 if delta else None}
        make_iteration(place, number, date="2026-11-25T04:00:00+00:00", kind="exploratory", criteria="1 pass, 2 fail", **values)
    found = run(app, ["registry", "--rebuild", "--format", "csv"])
    assert found.output == registry.registry_path(place).read_text()
    assert [row["iteration_id"][-1] for row in json.loads(run(app, ["registry", "--format", "json"]).output)] == ["1", "2", "3"]
    shown = run(app, ["registry"]).output
    assert "+0.07 [-0.10, +0.20]" in shown
    assert "none: undefined" in shown
    assert max(map(len, shown.splitlines())) <= 120
    (row,) = json.loads(run(app, ["registry", "--best", "--format", "json"]).output)
    assert row["iteration_id"] == "iteration_002"


def test_a_rebuild_takes_an_edited_row_back_and_keeps_the_comment(experiments):
    path = registry.registry_path(experiments)
    rows = registry.read_rows(experiments)
    rows[0] |= {"fingerprint": "f" * 16, "comments": "look at this one"}
    path.write_text(registry.format_csv(rows))
    rebuilt = rebuild_registry(experiments)
    assert [row["iteration_id"] for row in rebuilt] == ["iteration_001", "iteration_002"]
    assert rebuilt[0]["comments"] == "look at this one"
    assert verify.registry_faults(experiments) == []


def test_a_rebuild_reads_both_sides_of_a_merge_that_was_left_in_the_file(experiments):
    path = registry.registry_path(experiments)
    header, one, two = path.read_text().splitlines()
    other = two.replace("iteration_002", "iteration_003").replace("0000000000000002", "0000000000000003")
    path.write_text("\n".join([header, one, "<<<<<<< HEAD", two, "||||||| 1f3", "=======", other, ">>>>>>> theirs", ""]))
    assert [row["iteration_id"] for row in rebuild_registry(experiments)] == [
        "iteration_001",
        "iteration_002",
        "iteration_003",
    ]
    assert "<<<" not in path.read_text()


def test_files_of_two_versions_joined_by_a_merge_are_read_by_their_own_columns(experiments):
    path = registry.registry_path(experiments)
    header, one, two = path.read_text().splitlines()
    old = header.removesuffix(",auroc_mean")
    assert old != header
    path.write_text("\n".join([old, f"{one.removesuffix(',')}good run", header, two, ""]))
    rows = registry.read_rows(experiments)
    assert [row["iteration_id"] for row in rows] == ["iteration_001", "iteration_002"]
    assert [(row["comments"], row["auroc_mean"]) for row in rows] == [("good run", ""), ("", "")]
    assert [registry.parse_row(row)["n_items"] for row in rows] == [81, 81]


def test_a_row_of_another_clones_iteration_stays_while_there_is_a_pointer_to_it(experiments):
    path = registry.registry_path(experiments)
    rows = registry.read_rows(experiments)
    path.write_text(registry.format_csv([*rows, rows[1] | {"fingerprint": "f" * 16}]))
    folder = experiments / "iteration_002"
    said = {"md5": f"{'0' * 32}.dir", "path": "iteration_002"}
    (experiments / "iteration_002.dvc").write_text(json.dumps({"outs": [said]}))
    assert [row["iteration_id"] for row in rebuild_registry(experiments)] == [
        "iteration_001",
        "iteration_002",
        "iteration_002",
    ]
    assert "registry: iteration_002 has 2 rows" in verify.registry_faults(experiments)
    own = said | {"md5": pointer.folder_md5(pointer.list_md5(folder))}
    (experiments / "iteration_002.dvc").write_text(json.dumps({"outs": [own]}))
    assert [row["iteration_id"] for row in rebuild_registry(experiments)] == ["iteration_001", "iteration_002"]


@pytest.mark.parametrize("text", ["{", "[]", '{"iteration_id": "iteration_001"}'])
def test_a_manifest_that_is_none_is_named_with_the_remedy(experiments, text):
    (experiments / "iteration_001" / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="iteration_001: manifest.json is not a manifest. dvc checkout --force"):
        rebuild_registry(experiments)


@pytest.mark.parametrize("arguments", [[], ["--best"], ["--format", "json"]])
def test_a_registry_edited_to_no_number_is_refused_in_a_line(experiments, arguments):
    path = registry.registry_path(experiments)
    rows = registry.read_rows(experiments)
    rows[1]["delta_auc_mean"] = "much"
    path.write_text(registry.format_csv(rows))
    done = CliRunner().invoke(app, ["registry", *arguments])
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("registry: iteration_002: delta_auc_mean: 'much'. Write it anew")
