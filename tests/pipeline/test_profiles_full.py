"""Check `wor run --profile full` with tiny models and few items from a hub's cache, offline."""

import io
import json

import pandas as pd
import pytest
import torch
from transformers import LlamaForCausalLM

from tests.helpers.hub_cache import lay_out
from tests.helpers.root import ROOT
from tests.helpers.study import Study
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor import storage
from wor.config import overrides, params
from wor.pipeline import validation

pytestmark = pytest.mark.dvc

COMMITS = {"SmolLM-135M": "1" * 40, "SmolLM-360M": "2" * 40, "SmolLM-1.7B": "3" * 40}
GSM8K = "740312add88f781978c0658806c59bc2815b9866"  # pinned by the profile
STRATEGYQA = "5" * 40
SMALLER = [
    "max_new_tokens=24",
    "dataset_specs.gsm8k.n=18",
    "dataset_specs.strategyqa.n=12",
    "dataset_specs.wiki.n=30",
    "robustness.n=1",
    "nulls.n=10",
    "nulls.calibration=4",
    "nulls.literal_n=4",
    "heads.shares=[0.0,0.5]",
    "heads.random_draws=2",
    "heads.n_rank=1",
    "heads.n_test=2",
    "heads.span=8",
    "statistics.bootstrap_draws=200",
    "statistics.permutations=99",
    "statistics.folds=2",
    "statistics.repeats=2",
    "compute.threads=1",
]


def rows(name: str) -> list[dict]:
    path = ROOT.parent / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"no copy of {name} beside the repository")
    return storage.read_jsonl(path)


def parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A hub's cache with random weights under the real names, and the real questions."""
    folder = tmp_path_factory.mktemp("hub")
    for layers, (name, commit) in enumerate(COMMITS.items(), 2):
        model = tmp_path_factory.mktemp("model")
        torch.manual_seed(layers)
        LlamaForCausalLM(tiny_config(num_hidden_layers=layers)).save_pretrained(model)
        tiny_tokenizer().save_pretrained(model)
        lay_out(folder, "model", f"HuggingFaceTB/{name}", {path.name: path for path in model.iterdir()}, commit)
    gsm8k = {"main/test-00000-of-00001.parquet": parquet(pd.DataFrame(rows("gsm8k_test.jsonl")))}
    gsm8k["README.md"] = b"---\nconfigs:\n- config_name: main\n  data_files:\n  - split: test\n    path: main/test-*\n---\n"
    lay_out(folder, "dataset", "openai/gsm8k", gsm8k, GSM8K)
    every = rows("strategyqa.jsonl")
    halves = {"train.json": every[:1603], "test.json": every[1603:]}
    strategyqa = {name: json.dumps(half).encode() for name, half in halves.items()}
    lay_out(folder, "dataset", "ChilleD/StrategyQA", strategyqa, STRATEGYQA)
    return folder


@pytest.fixture(scope="module")
def study(cache, tmp_path_factory):
    checkout = Study.make(tmp_path_factory.mktemp("full"))
    checkout.environment |= {"HF_HUB_CACHE": str(cache), "WOR_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = checkout.run("wor", "run", "--profile", "full", *(part for change in SMALLER for part in ("-S", change)))
    checkout.output = done.stdout + done.stderr
    assert checkout.iterations() == ["iteration_001"]
    return checkout


def test_three_models_and_their_datasets_come_from_the_hub_at_recorded_commits(study):
    about = study.json("experiments/iteration_001/env_info.json")
    assert about["datasets"] == {
        "gsm8k": {"repo": "openai/gsm8k", "revision": GSM8K, "commit": GSM8K},
        "strategyqa": {"repo": "ChilleD/StrategyQA", "revision": "main", "commit": STRATEGYQA},
    }
    results = study.json("experiments/iteration_001/results/model_results.json")
    assert [results[model]["card"]["source"]["commit"] for model in ("smollm-135m", "smollm-360m", "smollm-1-7b")] == list(
        COMMITS.values()
    )
    assert about["compute"]["dtype"] == "bfloat16"
    assert study.run("git", "status", "--short", "params.yaml").stdout == ""  # a profile leaves it as it is


def test_every_model_has_its_measures_statistics_and_figures(study):
    folder = study.folder / "experiments" / "iteration_001"
    results = study.json("experiments/iteration_001/results/aggregate_statistics.json")
    assert list(results["models"]) == ["smollm-135m", "smollm-360m", "smollm-1-7b"]
    for result in results["models"].values():
        table = pd.read_csv(folder / "results" / f"{result['label']}_metrics.csv")
        assert table["dataset"].value_counts()[["gsm8k", "strategyqa"]].tolist() == [10, 9]
        assert set(table["template"]) == {"prompt.template"}  # base models have no chat template
        assert result["auroc"]["rev"]["bootstrap"]["value"] is not None
        assert set(result["accuracy"]) == {"gsm8k", "strategyqa"}
        assert result["label"] in study.output
    steps = results["criteria"]["monotone_in_size"]["steps"]
    assert [step["larger"] for step in steps] == [results["models"][model]["label"] for model in ("smollm-360m", "smollm-1-7b")]
    assert len(list((folder / "figures").glob("Fig*.png"))) == 4


def test_the_plan_knows_what_is_there(study):
    """The same command again: DVC has every stage that runs a model."""
    changes = [part for change in SMALLER for part in ("-S", change)]
    shown = json.loads(study.run("wor", "plan", "--json", "--profile", "full", *changes).stdout)
    states = {line["stage"]: line["cached"] for line in shown["lines"]}
    assert all(cached for stage, cached in states.items() if "@" in stage)
    assert shown["download"] == {}


def test_it_is_known_by_its_other_name_too():
    changes = overrides.load_profile("full") | {"models": ["smollm-135m", "smollm-350m"]}
    checked = validation.check_run(changes)
    assert isinstance(checked, params.Params)
    assert checked.model_specs["smollm-350m"] == checked.model_specs["smollm-360m"]
