import copy
import shutil
import subprocess

import pytest
import yaml
from scipy import stats

from tests.helpers.root import ROOT
from wor import paths
from wor.analysis import hypotheses
from wor.config import preregistration
from wor.errors import UserError
from wor.machine.environment import committed_state

N = {"reasoning": 100, "control": 100}
COMMITTED = {"sha256": "a", "committed": "2026-11-25T04:00:00+00:00"}


@pytest.fixture(scope="module")
def first():
    """The study's registration, as a file of version 1 has it."""
    values = yaml.safe_load((ROOT / "prereg.yaml").read_text())
    values = {
        key: value for key, value in values.items() if key not in ("version", "alpha", "correction", *preregistration.NEW_IN_2)
    }
    for entry in values["hypotheses"].values():
        entry.pop("estimand", None)
        entry.pop("margin", None)
    return values


@pytest.fixture
def values(first):
    return copy.deepcopy(first)


@pytest.fixture
def write(tmp_path):
    def write(values):
        path = tmp_path / "prereg.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture(scope="module")
def registered(first):
    return preregistration.Preregistration.model_validate(first)


def changed(settings, **changes):
    return settings.model_copy(update=changes)


def test_the_default_study_is_at_its_registered_setting(settings):
    registered = preregistration.load_preregistration(ROOT / "prereg.yaml")
    assert preregistration.deviations(registered, settings) == []


def test_signs_and_every_choice_of_the_measures_are_registered(registered, settings):
    for section in ("window", "measures", "rev", "ablation", "paraphrase", "reference"):
        chosen = settings.model_dump(mode="json")[section]
        chosen.pop("reasoning_n", None)  # a number of items, which may vary
        assert registered.primary[section] == chosen


def status_of(registered, settings, label, n=N, origin=COMMITTED, excluded=None):
    result = {"label": label, "n": n, "excluded": excluded or {}}
    return hypotheses.confirmatory_status(registered, settings, result, origin)


def test_a_departure_is_named_with_both_values(registered, settings):
    other = changed(settings, temperature=0.7, measures=settings.measures.model_copy(update={"tau": 2.0}))
    assert preregistration.deviations(registered, other) == [
        "temperature is 0.7 (registered: 0.6)",
        "measures.tau is 2.0 (registered: 1.0)",
    ]
    status = status_of(registered, other, "Another")
    assert status["kind"] == "exploratory"
    assert len(status["reasons"]) == 2


def test_a_new_model_at_the_registered_setting_is_confirmatory(registered, settings):
    assert status_of(registered, settings, "SmolLM-360M") == {"kind": "confirmatory", "reasons": []}


def test_the_pilot_is_never_confirmatory_but_its_model_on_new_data_is(registered, settings):
    status = status_of(registered, settings, "SmolLM2-135M-Instruct")
    assert status["kind"] == "exploratory"
    assert "pilot" in status["reasons"][0]
    more = changed(settings, datasets=["gsm8k", "syllogism", "wiki"])  # pilot items among others
    assert status_of(registered, more, "SmolLM2-135M-Instruct")["kind"] == "exploratory"
    new = changed(settings, datasets=["gsm8k", "wiki"])
    assert status_of(registered, new, "SmolLM2-135M-Instruct")["kind"] == "confirmatory"


def test_too_few_items_are_exploratory(registered, settings):
    status = status_of(registered, settings, "Another", {"reasoning": 39, "control": 100})
    assert status["reasons"] == ["39 reasoning items with a REV (registered: at least 100)"]


def test_what_was_not_committed_beforehand_confirms_nothing(registered, settings):
    origin = {"sha256": "a", "committed": None, "reason": "changed since its commit of 2026-11-25"}
    status = status_of(registered, settings, "Another", origin=origin)
    assert status == {"kind": "exploratory", "reasons": ["prereg.yaml is changed since its commit of 2026-11-25"]}


def estimate(value, low, high, reason="", p=None):
    return {"value": value, "low": low, "high": high, "p": p, "reason": reason}


SUPPORTED, NOTHING, REVERSED = (
    {"estimate": estimate(value, value - 0.1, value + 0.1), "p": p} for value, p in ((0.15, 0.001), (0.0, 0.5), (-0.15, 0.999))
)


def result(gain=SUPPORTED, shift=0.0, n=N):
    """Return results whose other estimates lie ``shift`` above their null."""

    def other(null):
        return estimate(null + shift, null + shift - 0.1, null + shift + 0.1)

    return {
        "label": "Small",
        "n": n,
        "auroc": {name: {"bootstrap": other(0.5), "permuted": {"p": None}} for name in ("rev", "apl", "ape", "sib")},
        "added": {},
        "added_full": {"rev": {"delta": gain["estimate"], "coefficient": {"p": gain["p"]}}},
        "partial": {"rev": {"clustered": other(0.0)}},
        "rivals": {"difference": {"dtr": other(0.0)}},
        "dose_response": {},
    }


def statuses(registered, *arguments, **options):
    return {name: entry["status"] for name, entry in hypotheses.judge_hypotheses(registered, *arguments, **options).items()}


def test_the_primary_hypothesis_is_judged_by_the_test_of_the_coefficient(registered):
    judged = hypotheses.judge_hypotheses(registered, result())
    assert judged["H2"]["status"] == "supported"
    assert judged["H2"]["why"] == "delta_auc.rev +0.150 [+0.050, +0.250], predicted above 0; one-sided p 0.001"
    assert judged["H2"]["p"] == 0.001
    # Not by its interval, which may hold 0 where the coefficient doesn't.
    wide = {"estimate": estimate(0.05, -0.02, 0.12), "p": 0.001}
    assert statuses(registered, result(wide))["H2"] == "supported"
    assert statuses(registered, result(NOTHING))["H2"] == "undecided"
    assert statuses(registered, result(REVERSED))["H2"] == "contradicted"
    assert [name for name, entry in judged.items() if entry["decisive"]] == ["H2"]


def test_the_others_are_tested_only_behind_the_primary(registered):
    assert statuses(registered, result(NOTHING, shift=0.3))["H1"] == "not tested"
    judged = hypotheses.judge_hypotheses(registered, result(NOTHING, shift=0.3))["H1"]
    assert judged["why"].startswith("auroc.rev +0.800 [+0.700, +0.900], predicted above 0.5")
    assert judged["why"].endswith("H2 comes first and is not supported")
    assert statuses(registered, result(shift=0.3))["H1"] == "supported"
    assert statuses(registered, result(shift=-0.3))["H1"] == "contradicted"
    assert statuses(registered, result(shift=0.0))["H1"] == "undecided"
    assert statuses(registered, result(shift=0.3))["H8"] == "not evaluable"  # no dataset of this run has a dose


def test_the_others_are_corrected_after_holm(registered):
    results = result(shift=0.0)
    p = {"rev": 0.004, "apl": 0.02, "ape": 0.4, "sib": 0.9}  # two-sided, in the table
    for name, value in p.items():
        distance = stats.norm.isf(value / 2) * 0.05
        half = stats.norm.isf(0.025) * 0.05
        results["auroc"][name] = {"bootstrap": estimate(0.5 + distance, 0.5 + distance - half, 0.5 + distance + half)}
    judged = hypotheses.judge_hypotheses(registered, results)
    assert judged["H1"]["p"] == pytest.approx(0.002)  # one-sided
    assert judged["H1"]["p_holm"] == pytest.approx(0.012)  # six that can be evaluated
    assert judged["H1"]["status"] == "supported"
    assert judged["H4"]["p_holm"] == pytest.approx(0.05)
    assert judged["H4"]["status"] == "undecided"  # by itself its p is below 0.025


@pytest.mark.parametrize("n", [{"reasoning": 39, "control": 100}, {"reasoning": 100, "control": 10}])
def test_below_the_registered_n_nothing_is_supported(registered, n):
    judged = hypotheses.judge_hypotheses(registered, result(shift=0.4, n=n))
    assert {entry["status"] for entry in judged.values()} == {"too few items", "not evaluable"}
    assert "registered: at least 100" in judged["H2"]["why"]
    assert "+0.150" in judged["H2"]["why"]


@pytest.mark.parametrize(
    ("interval", "text"),
    [(estimate(None, None, None, "one class only"), "is undefined: one class only"), (estimate(0.7, None, None), "no interval")],
)
def test_what_has_no_interval_cannot_be_evaluated(registered, interval, text):
    judged = hypotheses.judge_hypotheses(registered, result({"estimate": interval, "p": None}))
    assert judged["H2"]["status"] == "not evaluable"
    assert text in judged["H2"]["why"]


def test_a_prediction_below_turns_the_test_round(values, write):
    values["hypotheses"]["H1"] |= {"above": None, "below": 0.5}
    registered = preregistration.load_preregistration(write(values))
    assert statuses(registered, result(shift=-0.3))["H1"] == "supported"
    assert statuses(registered, result(shift=0.3))["H1"] == "contradicted"


def test_another_threshold_than_the_null_is_judged_by_the_interval(values, write):
    values["hypotheses"]["H2"]["above"] = 0.1
    registered = preregistration.load_preregistration(write(values))
    assert statuses(registered, result())["H2"] == "undecided"
    narrow = {"estimate": estimate(0.15, 0.11, 0.19), "p": 0.9}
    assert statuses(registered, result(narrow))["H2"] == "supported"


@pytest.fixture
def second(values):
    """A registration of version 2."""
    for entry in values["hypotheses"].values():
        entry["estimand"] = "in words"
    values["hypotheses"]["H2"]["margin"] = 0.05
    models = {"names": ["Small", "Large"], "rule": "all"}
    sizes = {"n": {"reasoning": 100, "control": 100}, "least": {"reasoning": 40, "control": 40}}
    return values | {"version": 2, **sizes, "looks": {"number": 1}, "models": models}


def test_an_effect_within_the_margin_is_absent_and_a_wide_interval_is_undecided(second, write):
    registered = preregistration.load_preregistration(write(second))
    assert registered.margin == 0.05
    narrow = {"estimate": estimate(0.0, -0.03, 0.03), "p": 0.5}
    judged = hypotheses.judge_hypotheses(registered, result(narrow))
    assert judged["H2"]["status"] == "absent"
    assert judged["H2"]["p_absent"] < 0.025
    assert judged["H2"]["estimand"] == "in words"
    assert statuses(registered, result(NOTHING))["H2"] == "undecided"
    assert statuses(registered, result(shift=0.0))["H1"] == "undecided"  # it has no margin


def test_holm_s_correction_over_all_tests_each_hypothesis(second, write):
    """The primary's failure keeps no other from its test, and the primary is one of the family."""
    registered = preregistration.load_preregistration(write(second | {"correction": "holm"}))
    assert statuses(registered, result(NOTHING, shift=0.3))["H1"] == "supported"
    assert statuses(registered, result(NOTHING, shift=-0.3))["H1"] == "contradicted"
    results = result({"estimate": estimate(0.15, 0.05, 0.25), "p": 0.004}, shift=0.0)
    judged = hypotheses.judge_hypotheses(registered, results)
    family = [name for name, entry in judged.items() if entry["status"] != "not evaluable"]
    assert family == ["H1", "H2", "H3", "H4", "H5", "H6", "H7"]
    assert judged["H2"]["p_holm"] == pytest.approx(7 * 0.004)
    assert judged["H2"]["status"] == "undecided"  # by itself its p is below 0.025
    assert judged["H2"]["why"].endswith("after Holm 0.028")
    assert judged["H1"]["p_holm"] == 1


def test_the_registered_number_of_items_is_drawn_or_the_run_is_exploratory(second, write, settings):
    registered = preregistration.load_preregistration(write(second))
    assert status_of(registered, settings, "Small")["kind"] == "confirmatory"
    # Items without a REV were drawn all the same.
    lost = status_of(registered, settings, "Small", {"reasoning": 90, "control": 100}, excluded={"reasoning: too short": 10})
    assert lost["kind"] == "confirmatory"
    more = status_of(registered, settings, "Small", {"reasoning": 150, "control": 150})
    assert more["reasons"] == ["150 reasoning + 150 control items (registered: 100 + 100)"]
    assert status_of(registered, settings, "Third")["reasons"] == ["Third is not one of the registered models (Small, Large)"]


def test_a_look_has_its_own_level(second, write, settings):
    second["looks"] = {"number": 2, "spending": "obrien-fleming"}
    registered = preregistration.load_preregistration(write(second))
    half = {"reasoning": 50, "control": 50}
    assert status_of(registered, settings, "Small", half)["kind"] == "confirmatory"
    early, late = (hypotheses.judge_hypotheses(registered, result({**SUPPORTED, "p": 0.02}, n=n))["H2"] for n in (half, N))
    assert (early["status"], late["status"]) == ("undecided", "supported")
    assert early["level"] == pytest.approx(0.00258, abs=1e-4)
    assert late["level"] == pytest.approx(0.0240, abs=1e-4)


@pytest.mark.parametrize(
    ("rule", "p", "status"),
    [
        ("all", (0.02, 0.02), "supported"),
        ("all", (0.001, 0.04), "not supported"),
        ("holm", (0.001, 0.5), "supported"),
        ("holm", (0.02, 0.5), "not supported"),
    ],
)
def test_several_models_have_one_verdict(second, write, rule, p, status):
    second["models"]["rule"] = rule
    registered = preregistration.load_preregistration(write(second))
    results = {
        name.lower(): result({**SUPPORTED, "p": value}) | {"label": name}
        for name, value in zip(("Small", "Large"), p, strict=True)
    }
    judged = hypotheses.judge_models(registered, results)
    assert judged["study"]["status"] == status
    assert judged["study"]["why"].startswith("Small: ")
    alone = hypotheses.judge_models(registered, {"small": results["small"]})
    if rule == "all":
        assert alone["study"]["status"] == "not supported"
        assert "Large: not in this run" in alone["study"]["why"]


def test_without_a_rule_each_model_is_judged_by_itself(registered):
    judged = hypotheses.judge_models(registered, {"a": result(), "b": result(NOTHING)})
    assert [entries["H2"]["status"] for entries in judged["hypotheses"].values()] == ["supported", "undecided"]
    assert judged["study"] == {"rule": "each", "primary": "H2"}


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda values: values.pop("n"), "n: missing"),
        (lambda values: values.pop("looks"), "looks: missing"),
        (lambda values: values.pop("models"), "models: missing"),
        (lambda values: values["hypotheses"]["H1"].pop("estimand"), "hypotheses.H1.estimand: missing"),
        (lambda values: values["hypotheses"]["H2"].pop("margin"), "hypotheses.H2.margin: missing"),
        (lambda values: values["n"].update(control=30), "at least as many items as least"),
        (lambda values: values["looks"].update(spending="all"), "looks.spending"),
        (lambda values: values.update(version=3), "version"),
        (lambda values: values.pop("version"), "n: a key of version 2. Add the line: version: 2"),
    ],
)
def test_a_fault_in_a_file_of_version_2_is_one_line(second, write, spoil, text):
    spoil(second)
    with pytest.raises(UserError) as caught:
        preregistration.load_preregistration(write(second))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


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
    assert committed_state(paths.PREREGISTRATION)["reason"] == "git: this folder is in no repository"
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"], ["add", "-A"]):
        subprocess.run([*git, *command], check=True)
    assert committed_state(paths.PREREGISTRATION)["reason"] == "not in a git commit"
    subprocess.run([*git, "commit", "-qm", "Register"], check=True)
    state = committed_state(paths.PREREGISTRATION)
    commit_time = subprocess.run(["git", "log", "-1", "--format=%cI"], capture_output=True, text=True, check=True).stdout.strip()
    assert state["committed"] == commit_time
    path.write_text(path.read_text() + "# later\n")
    later = committed_state(paths.PREREGISTRATION)
    assert later["committed"] is None
    assert later["reason"] == f"changed since its commit of {commit_time}"
    assert later["sha256"] != state["sha256"]


def test_the_date_of_a_shallow_clones_first_commit_is_not_the_registrations(tmp_path, monkeypatch):
    source, clone = tmp_path / "source", tmp_path / "clone"
    source.mkdir()
    shutil.copy(ROOT / "prereg.yaml", source)
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["commit", "-qm", "Register"],
        ["commit", "-q", "--allow-empty", "-m", "Later"],
    ):
        subprocess.run([*git, *command], cwd=source, check=True)
    subprocess.run([*git, "clone", "-q", "--depth=1", source.as_uri(), str(clone)], check=True)
    monkeypatch.chdir(clone)
    state = committed_state(paths.PREREGISTRATION)
    reason = "this clone is shallow, without the commit of that file: git fetch --unshallow"
    assert (state["committed"], state["reason"]) == (None, reason)
    subprocess.run([*git, "fetch", "-q", "--unshallow"], check=True)
    assert committed_state(paths.PREREGISTRATION)["committed"] is not None
