"""Real questions of GSM8K and StrategyQA, 20 each, through the real model."""

import pandas as pd
import pytest

from tests.helpers.root import ROOT
from tests.helpers.study import Study
from wor import storage
from wor.data import answers

pytestmark = pytest.mark.real

DATA = ROOT.parent / "shared" / "data"
MODEL = "smollm2-135m-instruct"
QUICKER = {
    "max_new_tokens": 24,
    "window": {"size": 8},
    "paraphrase": {"n": 1},
    "control": {"calibration_share": 0.45},
    "reference": {"reasoning_n": 8},
    "stand_ins": {"names": ["own"], "n": 1, "layer_step": 15},
    "designs": {"n": 2},
    "compute": {"threads": 1},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of GSM8K, by its named format, and StrategyQA, by a map of its columns.

    20 items of each are for evaluation.
    """
    if not (DATA / "gsm8k_test.jsonl").is_file():
        pytest.skip("no copy of GSM8K and StrategyQA beside the repository")
    checkout = Study.make(tmp_path_factory.mktemp("real"), QUICKER, {"datasets": ["gsm8k", "strategyqa", "wiki"]})
    fields = {"key": "qid", "text": "question", "answer": "answer", "answer_kind": "yesno", "solution": "facts"}
    strategyqa = {"n": 36, "path": str(DATA / "strategyqa.jsonl"), "format": None, "fields": fields}
    gsm8k = {"n": 39, "path": str(DATA / "gsm8k_test.jsonl")}
    checkout.change({"dataset_specs": {"gsm8k": gsm8k, "strategyqa": strategyqa, "wiki": {"n": 12}}})
    for stage in (("check",), ("models", "--model", MODEL), ("ids",), ("reference", "--model", MODEL)):
        checkout.stage(*stage)
    for dataset in ("gsm8k", "strategyqa"):
        checkout.stage("activations", "--model", MODEL, "--dataset", dataset)
    return checkout


@pytest.mark.parametrize(("dataset", "kind"), [("gsm8k", "number"), ("strategyqa", "yesno")])
def test_every_question_is_measured_or_says_why_not(study, dataset, kind):
    frame, arrays = storage.read_records(study.folder / "data" / "activations" / MODEL / dataset)
    assert len(frame) == 20
    assert set(frame["template"]) == {"chat template"}
    items = pd.DataFrame(storage.read_jsonl(study.folder / "data" / "items" / f"{dataset}.jsonl")).set_index("item_id")
    for index, row in frame.iterrows():
        item = items.loc[row["item_id"]]
        assert item["answer_kind"] == kind
        assert item["prompt"] in row["rendered"]
        assert row["rendered"].startswith("<|im_start|>")
        answer = answers.find_answer(row["text"], kind, row["finished"])
        assert row["answer"] == ("" if answer is None else answer.value)
        assert row["correct"] == float(answer is not None and answer.value == answers.normalise_answer(item["answer"], kind))
        measured = ~pd.isna(arrays["kl"][index]).all()
        assert measured == (row["reason"] == "")
    assert (frame["reason"] == "").mean() > 0.5
