import shutil
import subprocess

import pytest
import yaml

from tests.helpers.root import ROOT
from wor import paths
from wor.analysis import hypotheses
from wor.config import preregistration
from wor.errors import UserError
from wor.machine.environment import committed_state

N = {"reasoning": 100, "control": 100}
COMMITTED = {"sha256": "a", "committed": "2026-11-25T04:00:00+00:00"}


@pytest.fixture
def values():
    return yaml.safe_load((ROOT / "prereg.yaml").read_text())


@pytest.fixture
def write(tmp_path):
    def write(values):
        path = tmp_path / "prereg.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture(scope="module")
def registered():
    return preregistration.load_preregistration(ROOT / "prereg.yaml")


def changed(settings, **changes):
    return settings.model_copy(update=changes)


def test_the_default_study_is_at_its_registered_setting(registered, settings):
    assert preregistration.deviations(registered, settings) == []


def test_signs_and_every_choice_of_the_measures_are_registered(registered, settings):
    for section in ("window", "measures", "rev", "ablation", "paraphrase", "reference"):
        chosen = settings.model_dump(mode="json")[section]
        chosen.pop("reasoning_n", None)  # a number of items, which may vary
        assert registered.primary[section] == chosen


def test_a_departure_is_named_with_both_values(registered, settings):
    other = changed(settings, temperature=0.7, measures=settings.measures.model_copy(update={"tau": 2.0}))
    assert preregistration.deviations(registered, other) == [
        "temperature is 0.7 (registered: 0.6)",
        "measures.tau is 2.0 (registered: 1.0)",
    ]
    status = hypotheses.confirmatory_status(registered, other, "Another", N, COMMITTED)
    assert status["kind"] == "exploratory"
    assert len(status["reasons"]) == 2


def test_a_new_model_at_the_registered_setting_is_confirmatory(registered, settings):
    assert hypotheses.confirmatory_status(registered, settings, "SmolLM-360M", N, COMMITTED) == {
        "kind": "confirmatory",
        "reasons": [],
    }


def test_the_pilot_is_never_confirmatory_but_its_model_on_new_data_is(registered, settings):
    status = hypotheses.confirmatory_status(registered, settings, "SmolLM2-135M-Instruct", N, COMMITTED)
    assert status["kind"] == "exploratory"
    assert "pilot" in status["reasons"][0]
    more = changed(settings, datasets=["gsm8k", "syllogism", "wiki"])  # pilot items among others
    assert hypotheses.confirmatory_status(registered, more, "SmolLM2-135M-Instruct", N, COMMITTED)["kind"] == "exploratory"
    new = changed(settings, datasets=["gsm8k", "wiki"])
    assert hypotheses.confirmatory_status(registered, new, "SmolLM2-135M-Instruct", N, COMMITTED)["kind"] == "confirmatory"


def test_too_few_items_are_exploratory(registered, settings):
    status = hypotheses.confirmatory_status(registered, settings, "Another", {"reasoning": 39, "control": 40}, COMMITTED)
    assert status["reasons"] == ["39 reasoning items with a REV (registered: at least 40)"]


def test_what_was_not_committed_beforehand_confirms_nothing(registered, settings):
    origin = {"sha256": "a", "committed": None, "reason": "changed since its commit of 2026-11-25"}
    status = hypotheses.confirmatory_status(registered, settings, "Another", N, origin)
    assert status == {"kind": "exploratory", "reasons": ["prereg.yaml is changed since its commit of 2026-11-25"]}


def estimate(value, low, high, reason=""):
    return {"value": value, "low": low, "high": high, "reason": reason}


def result(rev):
    return {
        "auroc": {name: {"bootstrap": rev} for name in ("rev", "apl", "ape", "sib")},
        "added": {"rev": {"delta": rev}},
        "partial": {"rev": {"clustered": rev}},
        "rivals": {"difference": {"dtr": rev}},
        "dose_response": {},
    }


@pytest.mark.parametrize(
    ("interval", "status", "text"),
    [
        (estimate(0.7, 0.6, 0.8), "supported", "auroc.rev +0.700 [+0.600, +0.800], predicted above 0.5"),
        (estimate(0.55, 0.45, 0.65), "undecided", "[+0.450, +0.650]"),
        (estimate(0.3, 0.2, 0.4), "contradicted", "+0.300"),
        (estimate(None, None, None, "one class only"), "not evaluable", "is undefined: one class only"),
        (estimate(0.7, None, None), "not evaluable", "has no interval"),
    ],
)
def test_a_hypothesis_holds_by_its_whole_interval(registered, interval, status, text):
    judged = hypotheses.judge_hypotheses(registered, result(interval))
    assert judged["H1"]["status"] == status
    assert text in judged["H1"]["why"]
    assert judged["H8"]["status"] == "not evaluable"  # no dataset of this run has a dose
    assert [name for name, entry in judged.items() if entry["decisive"]] == ["H2"]


def test_a_prediction_below_turns_the_interval_round(values, write):
    values["hypotheses"]["H1"] |= {"above": None, "below": 0.5}
    registered = preregistration.load_preregistration(write(values))
    assert hypotheses.judge_hypotheses(registered, result(estimate(0.3, 0.2, 0.4)))["H1"]["status"] == "supported"
    assert hypotheses.judge_hypotheses(registered, result(estimate(0.7, 0.6, 0.8)))["H1"]["status"] == "contradicted"


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda values: values["hypotheses"]["H1"].update(quantity="magic.rev"), "hypotheses.H1.quantity: 'magic.rev'"),
        (lambda values: values["hypotheses"]["H1"].update(quantity="auroc.revv"), "'auroc.revv'. auroc is of one of rev, apl"),
        (lambda values: values["hypotheses"]["H1"].pop("above"), "hypotheses.H1: above and below"),
        (lambda values: values.update(decisive="H99"), "decisive: 'H99'. Name one of H1"),
        (lambda values: values.pop("least"), "least"),
        (lambda values: values.update(extra=1), "extra"),
    ],
)
def test_a_fault_in_the_file_is_one_line(values, write, spoil, text):
    spoil(values)
    with pytest.raises(UserError) as caught:
        hypotheses.require_known_scores(preregistration.load_preregistration(write(values)))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_registered_key_that_does_not_exist_is_refused(values, write, settings):
    values["primary"]["window"]["sise"] = 32
    with pytest.raises(UserError, match=r"primary\.window\.sise: 32\. params\.yaml has no such key"):
        preregistration.deviations(preregistration.load_preregistration(write(values)), settings)


def test_provenance_is_the_commit_unless_the_file_changed_since(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "prereg.yaml"
    shutil.copy(ROOT / "prereg.yaml", path)
    assert committed_state(paths.PREREGISTRATION)["reason"] == "not in a git commit"
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Register"]):
        subprocess.run([*git, *command], check=True)
    state = committed_state(paths.PREREGISTRATION)
    commit_time = subprocess.run(["git", "log", "-1", "--format=%cI"], capture_output=True, text=True, check=True).stdout.strip()
    assert state["committed"] == commit_time
    path.write_text(path.read_text() + "# later\n")
    later = committed_state(paths.PREREGISTRATION)
    assert later["committed"] is None
    assert later["reason"] == f"changed since its commit of {commit_time}"
    assert later["sha256"] != state["sha256"]
