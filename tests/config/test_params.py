import copy
import math
import re

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from tests.helpers.root import ROOT
from tests.helpers.study import Study
from wor import paths
from wor.config import overrides, params
from wor.data import frozen
from wor.errors import UserError
from wor.pipeline import validation


def put(key, value):
    def change(values):
        *parents, last = key.split(".")
        for parent in parents:
            values = values[parent]
        values[last] = value

    return change


ROWS = {"source": "jsonl", "role": "reasoning", "n": 1, "path": "x.jsonl"}
BAD = [
    (put("dataset_specs.gsm8k", ROWS), r"dataset_specs.gsm8k: .*\. Give format or fields, one of the two"),
    (put("dataset_specs.gsm8k", {**ROWS, "format": "gsm8k", "fields": {"text": "q"}}), r"Give format or fields"),
    (
        put("dataset_specs.gsm8k", {**ROWS, "fields": {"text": "q", "answer": "a"}}),
        r"dataset_specs.gsm8k.fields.answer_kind: 'none'\. Give answer \(a column\) and answer_kind",
    ),
    (
        put("dataset_specs.gsm8k", {**ROWS, "fields": {"text": "q", "answer_kind": "number"}}),
        r"dataset_specs.gsm8k.fields.answer_kind: 'number'\. Give answer \(a column\) and answer_kind",
    ),
    (
        put("dataset_specs.gsm8k", {**ROWS, "fields": {"question": "q"}}),
        r"dataset_specs.gsm8k.fields.question: unknown parameter \(value 'q'\)\. .*missing: text",
    ),
    (put("dataset_specs.gsm8k", {**ROWS, "fields": {}}), r"dataset_specs.gsm8k.fields.text: missing"),
    (put("model_specs.m", {"source": "hub", "label": "m", "repo": "a/b"}), r"model_specs.m.revision: missing"),
    (put("model_specs.m", {"source": "hub", "label": "m", "repo": "a/b/c", "revision": "main"}), r"model_specs.m.repo: 'a/b/c'"),
    (put("temprature", 0.7), r"temprature: unknown parameter \(value 0.7\)\. Did you mean temperature\?"),
    (put("window.sise", 3), r"window.sise: unknown parameter \(value 3\)\. Did you mean size\?"),
    (put("temperature", -0.1), r"temperature: -0.1\. Input should be greater than or equal to 0"),
    (put("temperature", "hot"), r"temperature: 'hot'\. Input should be a valid number"),
    (put("temperature", float("nan")), r"temperature: nan"),
    (put("max_new_tokens", 0), r"max_new_tokens: 0\."),
    (put("datasets", ["gsm-symbolc", "wiki"]), r"datasets: unknown name 'gsm-symbolc'\. Did you mean gsm-symbolic\?"),
    (put("models", ["smollm9"]), r"models: unknown name 'smollm9'\. .*model_specs has smollm2-135m-instruct"),
    (put("datasets", ["wiki"]), r"datasets: no reasoning dataset in \['wiki'\]\. .*add one of gsm-symbolic"),
    (put("datasets", ["syllogism"]), r"datasets: no control dataset in \['syllogism'\]\. .*add one of wiki"),
    (put("datasets", ["wiki", "wiki", "syllogism"]), r"datasets: .*Name each one once"),
    (put("dataset_specs.wiki.n", 0), r"dataset_specs.wiki.n: 0\."),
    (
        put("dataset_specs.wiki.source", "webb"),
        r"dataset_specs.wiki.source: 'webb'\. Use one of 'reasoning-gym'",
    ),
    (put("dataset_specs.wiki.sha256", "abc"), r"dataset_specs.wiki.sha256: 'abc'\."),
    (put("rev.apl.sign", 0), r"rev.apl.sign: 0\. Input should be -1 or 1"),
    (put("window.min", 33), r"window.min: 33\. It can be at most window.size \(32\)"),
    (put("paraphrase.n", 4), r"paraphrase.n: 4\. .*prompt.frames \(4\)"),
    (put("paraphrase.min_share", 0.5), r"paraphrase.min_share: 0.5\."),
    (put("designs.paraphrases", 4), r"designs.paraphrases: 4\. An item has paraphrase.n \(2\); take at most that"),
    (put("designs.copy_instruction", ""), r"designs.copy_instruction: ''\."),
    (put("control.length_model", "other"), r"control.length_model: other\. Name one of models"),
    (put("compute.device", "tpu"), r"compute.device: 'tpu'\."),
    (put("prompt.template", "Q: {question}"), r"prompt.template: 'Q: \{question\}'\. Write \{prompt\} in it once"),
    (put("compute.backend", "slurm"), r"compute.backend: 'slurm'\. Input should be 'local' or 'ray'"),
    (put("compute.address", "ray://head:10001"), r"compute.address: 'ray://head:10001'\."),
    (put("heads.shares", [0.95]), r"heads.shares.0: 0.95\."),
    (put("criteria.partial_r", math.nan), r"criteria.partial_r: nan\. Input should be a finite number"),
    (put("criteria.delta_auc", {360: math.inf}), r"criteria.delta_auc.360: inf\. Input should be a finite number"),
    (put("compute.memory_gib", math.inf), r"compute.memory_gib: inf\. Input should be a finite number"),
    (put("temperature", True), r"temperature: True\. It is not true or false: give a number"),
    (put("criteria.delta_auc", {360: False}), r"criteria.delta_auc.360: False\. It is not true or false"),
    (put("criteria.delta_auc", {360: 0.1, True: 0.1}), r"a key: True\. It is not true or false"),
    (put("robustness.temperatures", [0.0, True]), r"robustness.temperatures.1: True\. It is not true"),
    (put("dataset_specs.wiki.instruction", "a\x1b[2J"), r"dataset_specs.wiki.instruction: 'a.x1b\[2J'\. Remove the control"),
    (put("prompt.frames", ["a", "b\ud800", "c", "d"]), r"prompt.frames.1: 'b.ud800'\. Remove the control character '.ud800'"),
    (put("control.a\x00", "b"), r"a key: 'a.x00'\. Remove the control character"),
    (put("statistics.bootstrap_draws", 10**12), r"statistics.bootstrap_draws: 1000000000000\. Input should be less than"),
    (put("compute.threads", 10**6), r"compute.threads: 1000000\. Input should be less than or equal to 10000"),
    (put("seed", 2**64), r"seed: 18446744073709551616\. Input should be less than"),
    (put("dataset_specs.wiki.file", ""), r"dataset_specs.wiki.file: ''\. String should have at least 1 character"),
    (put("dataset_specs.wiki.instruction", 9 * ["x" * 100]), r"instruction: \['x{100}', .* \.\.\.\. Input should"),
]


@pytest.mark.parametrize(("change", "line"), BAD, ids=[line[:28] for _, line in BAD])
def test_a_fault_is_one_line_with_key_value_and_remedy(values, change, line):
    change(values)
    with pytest.raises(UserError, match=line) as caught:
        params.parse_params(values, "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_misspelt_key_is_named_before_the_one_that_it_leaves_missing(values):
    values["temprature"] = values.pop("temperature")
    with pytest.raises(UserError, match=r"^temprature: unknown parameter \(value 0\.6\)\. Did you mean temperature\?$"):
        params.parse_params(values, "params.yaml")


@pytest.mark.parametrize(("kind", "name"), [("model", "smollm2-135m-instruct"), ("dataset", "gsm-symbolic")])
def test_the_repository_of_the_documentations_example_is_refused_where_it_is_used(values, kind, name):
    entry = {"source": "hub", "repo": "owner/name", "revision": "main"}
    more = {"label": "m"} if kind == "model" else {"role": "reasoning", "n": 1, "splits": ["test"], "fields": {"text": "q"}}
    values[f"{kind}_specs"]["example"] = entry | more
    params.parse_params(values)
    values[f"{kind}_specs"][name] = entry | more
    with pytest.raises(UserError, match=rf"{kind}_specs.{name}.repo: 'owner/name'\. Name a real repository"):
        params.parse_params(values)


def test_a_missing_key_is_named(values):
    del values["dataset_specs"]["wiki"]["package"]
    with pytest.raises(UserError, match=r"dataset_specs.wiki.package: missing\. Add it to params.yaml"):
        params.parse_params(values, "params.yaml")


def test_all_weights_zero_is_refused(values):
    for component in values["rev"].values():
        component["weight"] = 0
    with pytest.raises(UserError, match=r"rev: .*\. Every weight is 0; give"):
        params.parse_params(values)


def test_a_dot_in_a_name_is_refused(values):
    values["model_specs"]["smollm-1.7b"] = copy.deepcopy(values["model_specs"]["smollm2-135m-instruct"])
    with pytest.raises(UserError, match="model_specs.smollm-1.7b: .*DVC splits names on dots"):
        params.parse_params(values)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=str(path)):
        params.load_params(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("seed: 1\nseed: 2\n", "duplicate key"), ("[" * 10_000, "recursion"), ("seed: !!python/name:os.system\n", "tag")],
)
def test_a_file_that_reads_in_two_ways_is_refused(tmp_path, text, reason):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"not YAML .*{reason}"):
        params.load_params(path)


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("1e-3", 0.001), ("1_000", 1000), ("yes", "yes"), ("12:30", "12:30")])
def test_a_setting_means_what_it_means_to_dvc(tmp_path, text, value):
    (tmp_path / "params.yaml").write_text(f"a: {text}\n")
    assert params.read_yaml(tmp_path / "params.yaml") == load_yaml(tmp_path / "params.yaml") == {"a": value}
    assert overrides.parse_settings([f"a={text}"]) == {"a": value}


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="not found. Run from the top of the repository"):
        params.load_params(tmp_path / "params.yaml")


def test_n_beyond_the_frozen_list_is_refused(values):
    values["dataset_specs"]["wiki"]["n"] = 1201
    with pytest.raises(UserError, match=r"dataset_specs.wiki.n: 1201\. .* has 1200 items"):
        frozen.require_list_sizes(params.parse_params(values))


def test_profiles_are_overlays_of_the_default(values):
    for path in paths.PROFILES.glob("*.yaml"):
        changes = overrides.load_profile(path.stem)
        assert changes
        checked = validation.check_run(changes).model_dump()
        for key, value in overrides.flatten(changes):
            section = checked
            for part in key.split("."):
                section = section[part]
            assert section == value


def test_unknown_profile_names_the_known():
    with pytest.raises(UserError, match=r"--profile: 'debgu'\. There are: confirm, confirm-long, debug"):
        overrides.load_profile("debgu")


def test_settings_are_read_as_yaml():
    assert overrides.parse_settings(["a=0.7", "b.c=[1, 2]", "d=x"]) == {"a": 0.7, "b.c": [1, 2], "d": "x"}
    assert overrides.parse_settings(["heads={n_rank: 1, n_test: 2}"]) == {"heads.n_rank": 1, "heads.n_test": 2}
    for pair in ("temperature", "=3"):
        with pytest.raises(UserError, match="key=value"):
            overrides.parse_settings([pair])


def test_a_misspelt_setting_is_refused_before_anything_runs():
    with pytest.raises(UserError, match="Did you mean temperature"):
        validation.check_run(overrides.parse_settings(["temprature=0.7"]))
    with pytest.raises(UserError, match="temperature has no parts"):
        validation.check_run(overrides.parse_settings(["temperature.high=0.7"]))


HUB = {"source": "hub", "role": "reasoning", "n": 800, "repo": "openai/gsm8k", "revision": "main", "config": "main"}
HUB |= {"splits": ["test"], "fields": {"text": "question"}, "instruction": "Work, then end with 'The answer is'."}


def test_an_entry_from_another_source_replaces_the_one_that_it_stands_for():
    changes = overrides.parse_settings([f"dataset_specs.gsm8k={yaml.safe_dump(HUB, default_flow_style=True)}"])
    assert changes == {"dataset_specs.gsm8k": HUB}
    checked = validation.check_run({**changes, "dataset_specs.gsm8k.n": 5, "datasets": ["gsm8k", "wiki"]})
    assert isinstance(checked.spec("gsm8k"), params.HubDataset)
    assert checked.spec("gsm8k").n == 5
    assert changes == {"dataset_specs.gsm8k": HUB}
    with pytest.raises(UserError, match="dataset_specs.gsm8k.path: unknown parameter"):
        validation.check_run({f"dataset_specs.gsm8k.{key}": value for key, value in HUB.items()})


@pytest.mark.dvc
def test_dvc_sees_a_replaced_entry_as_it_was_checked(tmp_path, monkeypatch):
    study = Study.make(tmp_path / "study")
    model = {"source": "hub", "label": "smollm-135m", "repo": "HuggingFaceTB/SmolLM-135M", "revision": "main"}
    overlay = {"dataset_specs": {"gsm8k": HUB, "wiki": {"n": 30}}, "model_specs": {"smollm-135m": model}}
    (study.folder / "profiles" / "hub.yaml").write_text(yaml.safe_dump(overlay))
    monkeypatch.chdir(study.folder)
    changes = overrides.load_profile("hub")
    checked = validation.check_run(changes)
    study.run("dvc", "exp", "run", *overrides.dvc_arguments(changes), "check")
    assert params.load_params() == checked
    assert params.read_yaml(paths.PARAMS)["dataset_specs"]["gsm8k"] == HUB


def test_the_entries_of_the_documentation_are_valid(values):
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "sources.md").read_text(), re.DOTALL)
    for block in blocks:
        for kind, entries in yaml.safe_load(block).items():
            values[kind] |= entries
    checked = params.parse_params(values)
    assert {spec.source for spec in checked.model_specs.values()} == {"wheel", "hub", "local", "truncated"}
    assert {spec.source for spec in checked.dataset_specs.values()} == {"reasoning-gym", "wheel", "jsonl", "hub"}


@pytest.mark.parametrize(
    "text", ["{prompt}\n\nAnswer:\n", 'Say "{prompt}"', "{prompt}\\", '{prompt}\\"', "Tab\t{prompt}", "’{prompt}’, a=b: ~x"]
)
def test_a_text_comes_through_dvc_as_it_is(tmp_path, monkeypatch, values, text):
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text(yaml.safe_dump(values))
    changes = {"prompt.template": text, "prompt.frames": [text, "b", "c", "d"]}
    apply_overrides("params.yaml", [setting for setting in overrides.dvc_arguments(changes) if setting != "-S"])
    prompt = params.load_params().prompt
    assert prompt.template == text
    assert prompt.frames == [text, "b", "c", "d"]


def test_an_entry_within_an_entry_replaces_the_one_that_is_there(values, tmp_path, monkeypatch):
    """Hydra would merge the two, and keys of the old one would stay."""
    monkeypatch.chdir(tmp_path)
    whole = dict(values["model_specs"]["smollm2-135m-instruct"])
    values["model_specs"]["cut"] = {"source": "truncated", "label": "Cut", "layers": 2, "of": whole}
    paths.PARAMS.write_text(yaml.safe_dump(values))
    local = {"source": "local", "label": "Mine", "path": "folder"}
    arguments = overrides.dvc_arguments({"model_specs.cut.of": local})
    apply_overrides("params.yaml", [setting for setting in arguments if setting != "-S"])
    assert params.read_yaml(paths.PARAMS)["model_specs"]["cut"]["of"] == local


@pytest.mark.parametrize("name", ["smollm2", "smollm3"])
def test_the_full_profiles_differ_in_their_models_alone(name):
    base, instruct = (overrides.load_profile(profile) for profile in ("full", name))

    def shared(changes):
        return {
            key: value for key, value in changes.items() if key.split(".")[0] in ("dataset_specs", "datasets", "heads", "nulls")
        }

    assert shared(base) == shared(instruct)
    assert {key for key in base.keys() ^ instruct.keys() if not key.startswith("model_specs.")} <= {
        "temperature",
        "max_new_tokens",
    }
