"""Test sources of the hub: the real library against a local server, and caches that a test makes.

Each call runs in its own process (tests/helpers/hub_client.py), as the library reads its
environment on import.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import LlamaForCausalLM

from tests.helpers.hub_cache import digest, lay_out
from tests.helpers.hub_server import Hub
from tests.helpers.root import ROOT
from tests.helpers.study import TINY, Study
from tests.helpers.tiny import tiny_config
from wor.config import params
from wor.data import datasets
from wor.engine.load import choose_device, load

FIRST, SECOND = "a" * 40, "b" * 40
NAMED = {"source": "hub", "label": "tiny", "repo": "org/tiny", "revision": "main"}
PINNED = {**NAMED, "revision": FIRST}
THREE = "One is here. Two is there. Three is now."


@pytest.fixture
def hub(tiny_folder):
    server = Hub()
    server.push("model", "org/tiny", parts(tiny_folder), FIRST)
    yield server
    server.close()


@pytest.fixture
def call_each(tmp_path):
    """Call tests/helpers/hub_client.py. Gives one result per argument, or its error's one line."""

    def call_each(function: str, arguments: list, hub: Hub | None = None, home: str = "home", **settings: str) -> list:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(tmp_path / home)}
        environment |= {"WOR_CACHE": str(tmp_path / "wor"), "PYTHONPATH": str(ROOT)}
        environment |= {"HF_ENDPOINT": hub.url} if hub else {"HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "tests.helpers.hub_client", function, json.dumps(arguments)]
        process = subprocess.run(command, cwd=ROOT, env=environment | settings, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        call_each.output = process.stdout + process.stderr
        answers = json.loads(process.stdout)
        return [answer["refused"] if isinstance(answer, dict) and "refused" in answer else answer for answer in answers]

    return call_each


@pytest.fixture
def call(call_each):
    return lambda function, argument, *hub, **settings: call_each(function, [argument], *hub, **settings)[0]


def parts(folder):
    return {path.name: path for path in folder.iterdir()}


def downloads(hub):
    return [request for request in hub.requests if request.startswith("GET") and "/resolve/" in request]


def blobs(home):
    return {path.name for path in home.rglob("blobs/*")}


def parquet(rows):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def test_a_branch_is_resolved_once_and_every_later_stage_stays_at_its_commit(hub, call, tiny_folder):
    card = call("card", NAMED, hub)
    assert card["source"] == {**NAMED, "commit": FIRST}
    assert set(card["files"]) == set(parts(tiny_folder))
    changed = (tiny_folder / "config.json").read_bytes() + b"\n"
    hub.push("model", "org/tiny", {**parts(tiny_folder), "config.json": changed}, SECOND)
    hub.requests.clear()
    assert call("open", card, hub).endswith(FIRST)
    assert hub.requests == []
    # Also where nothing is cached yet.
    assert call("open", card, hub, home="elsewhere").endswith(FIRST)
    assert not any("/main" in request or SECOND in request for request in hub.requests)
    assert call("card", NAMED, hub)["source"]["commit"] == SECOND
    # A reproduction gives the name and the commit.
    assert call("card", {**NAMED, "commit": FIRST}, hub) == card


def test_a_commit_is_taken_as_it_is(hub, call):
    assert call("card", PINNED, hub)["source"]["commit"] == FIRST
    assert not any("/main" in request for request in hub.requests)


@pytest.mark.parametrize(
    ("token", "lines"),
    [
        (
            "",
            {
                "org/none@main": "model org/none at main: no such repository, or a private one (401). Check repo; a private",
                "org/tiny@v9": "model org/tiny at v9: the repository has no such revision. Name a commit, a branch or a tag",
                f"org/tiny@{SECOND}": f"model org/tiny at {SECOND}: the repository has no such revision",
                "org/gated@main": "the repository is gated (401). Accept its terms on its page, and set HF_TOKEN",
            },
        ),
        (
            "good",
            {
                "org/none@main": "no such repository, or a private one (404)",
                "org/gated@main": "the repository is gated (403). Accept its terms on its page, and set HF_TOKEN",
            },
        ),
        ("bad", {"org/tiny@main": "the hub refuses the token (401). Set HF_TOKEN to a valid token"}),
    ],
)
def test_a_refusal_of_the_hub_is_one_line_with_its_remedy(hub, call_each, tiny_folder, tmp_path, token, lines):
    hub.push("model", "org/gated", parts(tiny_folder), FIRST)
    hub.gated, hub.valid_tokens = {"org/gated"}, {"good"}
    specs = [{**NAMED, "repo": name.split("@")[0], "revision": name.split("@")[1]} for name in lines]
    for error, line in zip(call_each("card", specs, hub, HF_TOKEN=token), lines.values(), strict=True):
        assert line in error
        assert "\n" not in error
    assert not blobs(tmp_path)


def test_a_busy_hub_is_asked_again_and_given_up_in_the_end(hub, call):
    hub.busy = 2
    assert call("card", NAMED, hub)["source"]["commit"] == FIRST
    hub.busy, hub.requests = 10**6, []
    assert "too many requests for the hub (429)" in call("card", NAMED, hub)
    assert hub.requests == ["GET /api/models/org/tiny/revision/main"] * 5
    hub.retry_after, hub.requests = "3600", []
    assert "(429), which asks to wait 3600 s. Wait, then rerun" in call("card", NAMED, hub)
    assert len(hub.requests) == 1


def test_a_download_that_breaks_off_is_resumed(hub, call, tiny_folder, tmp_path):
    LlamaForCausalLM(tiny_config(vocab_size=200_000)).save_pretrained(tmp_path / "wide")  # the library keeps nothing below 10 MiB
    weights = (tmp_path / "wide" / "model.safetensors").read_bytes()
    hub.push("model", "org/tiny", {**parts(tiny_folder), **parts(tmp_path / "wide")}, FIRST)
    hub.cuts = 1
    card = call("card", NAMED, hub)
    assert card["files"]["model.safetensors"] == digest("model.safetensors", weights)
    assert hub.ranges == [f"bytes={10 * 2**20}-"]


@pytest.mark.parametrize("fault", [{"cuts": 10**6}, {"short": True}])
def test_a_download_that_stays_short_is_refused_and_nothing_of_it_is_kept(hub, call, tiny_folder, tmp_path, fault):
    vars(hub).update(fault)
    assert "the download broke off and stayed short. Rerun" in call("card", NAMED, hub)
    weights = digest("model.safetensors", (tiny_folder / "model.safetensors").read_bytes())
    assert not any(name.startswith(weights) for name in blobs(tmp_path))
    assert "and offline mode is on" in call("card", NAMED)
    hub.cuts, hub.short = 0, False
    assert call("card", NAMED, hub)["files"]["model.safetensors"] == weights


def test_a_file_that_changed_under_a_pinned_revision_is_refused(hub, call, tmp_path):
    card = call("card", PINNED, hub)
    for name, kind in (("model.safetensors", "sha256"), ("config.json", "git sha1")):
        (file,) = tmp_path.rglob(f"snapshots/*/{name}")
        right, changed = file.read_bytes(), bytearray(file.read_bytes())
        changed[-2] ^= 1
        file.resolve().write_bytes(changed)
        line = call("card", PINNED, hub)
        assert f"{name}: {kind} is {digest(name, changed)}, expected {digest(name, right)}" in line
        assert f"remove {file.resolve()} to have it fetched again" in line
    assert "config.json: sha256 is" in call("open", card, hub)
    for blob in tmp_path.rglob("blobs/*"):
        blob.unlink()
    assert call("card", PINNED, hub) == card


def test_a_cache_without_links_is_checked_by_its_listing(hub, call, tmp_path):
    card = call("card", PINNED, hub, HF_HUB_DISABLE_SYMLINKS="1")
    (file,) = tmp_path.rglob("snapshots/*/model.safetensors")
    assert not file.is_symlink()
    file.write_bytes(file.read_bytes()[:-1])
    assert f"expected {card['files']['model.safetensors']}" in call("card", PINNED)


def test_without_a_network_a_revision_is_what_the_cache_has(hub, call, call_each):
    card = call("card", NAMED, hub)
    again, other = call_each("card", [NAMED, {**NAMED, "revision": "dev"}])
    assert again == card
    assert "model org/tiny at dev: not in the cache" in other
    assert "and offline mode is on. Unset HF_HUB_OFFLINE" in other
    assert "and offline mode is on" in call("card", NAMED, home="empty")
    hub.close()
    again, other = call_each("card", [NAMED, {**NAMED, "revision": SECOND}], hub)
    assert again == card
    assert f"not in the cache, and {hub.url} can't be reached. Check the network and HF_ENDPOINT" in other


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGINGFACE_HUB_TOKEN"])
def test_a_token_is_sent_and_written_nowhere(hub, call, call_each, tmp_path, variable):
    token = "hf_secretsecretsecret"
    call("card", NAMED, hub, **{variable: token})
    assert hub.tokens == {token}
    assert token not in call_each.output
    hub.valid_tokens = set()
    assert "refuses the token" in call("card", NAMED, hub, home="empty", **{variable: token})
    assert token not in call_each.output
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes()


def test_a_repository_of_pickles_is_refused_before_anything_is_downloaded(hub, call, tiny_folder):
    files = {name: path for name, path in parts(tiny_folder).items() if name != "model.safetensors"}
    hub.push("model", "org/old", {**files, "pytorch_model.bin": b"\x80\x04.", "modeling.py": b"raise SystemExit(9)"}, FIRST)
    line = call("card", {**NAMED, "repo": "org/old"}, hub)
    assert "model org/old at main: has no model*.safetensors, only " in line
    assert "pytorch_model.bin" in line
    assert "pickles are not read" in line
    assert downloads(hub) == []


def test_only_a_models_own_parts_are_fetched(hub, call, tiny_folder):
    more = {"pytorch_model.bin": b"\x80", "modeling.py": b"x", "onnx/model.safetensors": b"x", "model.fp16.safetensors": b"x"}
    hub.push("model", "org/more", {**parts(tiny_folder), **more}, FIRST)
    assert set(call("card", {**NAMED, "repo": "org/more"}, hub)["files"]) == set(parts(tiny_folder))
    assert len(downloads(hub)) == len(parts(tiny_folder))


def test_too_little_room_is_found_out_before_anything_is_downloaded(hub, call):
    hub.claimed["model.safetensors"] = 10**17
    line = call("card", NAMED, hub)
    assert "needs 93132257.5 GiB, " in line
    assert "name another disk's folder in HF_HOME" in line
    assert downloads(hub) == []


def test_a_model_loads_from_a_cache_that_was_laid_out_elsewhere(call, tiny_folder, tmp_path, lm):
    lay_out(tmp_path / "cache", "model", "org/tiny", parts(tiny_folder), FIRST)
    card = call("card", NAMED, HF_HUB_CACHE=str(tmp_path / "cache"))
    assert card["source"]["commit"] == FIRST
    folder = Path(call("open", card, HF_HUB_CACHE=str(tmp_path / "cache")))
    loaded = load(folder, choose_device("cpu", "float32", 1))
    assert loaded.n_layers == lm.n_layers
    assert card["n_params"] == sum(parameter.numel() for parameter in lm.hf.parameters())


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json"])
def test_a_cache_that_has_only_some_of_a_model_does_not_have_it(call, tiny_folder, tmp_path, missing):
    files = {name: file for name, file in parts(tiny_folder).items() if name != missing}
    cache = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    lay_out(tmp_path / "cache", "model", "org/tiny", files, FIRST)
    assert call("here", NAMED, **cache) is False
    line = call("card", NAMED, **cache)
    assert "not in the cache" in line
    assert "offline mode is on" in line


def test_what_was_fetched_is_here_and_what_was_not_is_not(hub, call):
    assert call("here", NAMED, hub) is False
    call("card", NAMED, hub)
    hub.requests = []
    assert call("here", NAMED, hub) is True
    assert hub.requests == []


WIKI = {"source": "hub", "role": "control", "n": 1, "repo": "org/wiki", "revision": "main", "config": "b.simple"}
WIKI |= {"splits": ["train"], "files": ["b.simple/*"], "fields": {"key": "title", "text": "text"}}
CARD = """---
configs:
- config_name: a.other
  data_files:
  - split: train
    path: a.other/train-*
- config_name: b.simple
  data_files:
  - split: train
    path: b.simple/train-*
dataset_info:
- config_name: b.simple
  splits:
  - name: train
    num_examples: 99
---
"""


def wiki_files():
    articles = [{"title": "Long", "text": THREE}, {"title": "Short", "text": "One. Two."}, {"title": "Longer", "text": THREE * 2}]
    return {
        "README.md": CARD.encode(),
        "a.other/train-00000-of-00001.parquet": parquet([{"title": "Other", "text": THREE}]),
        "b.simple/train-00000-of-00002.parquet": parquet(articles[:2]),
        "b.simple/train-00001-of-00002.parquet": parquet(articles[2:]),
        "wiki.py": b"raise SystemExit(9)",
    }


def test_a_datasets_configuration_is_read_without_its_code_and_the_files_of_others(hub, call, tmp_path):
    hub.push("dataset", "org/wiki", wiki_files(), SECOND)
    table = call("items", WIKI, hub)
    assert table["from"] == {"repo": "org/wiki", "revision": "main", "commit": SECOND}
    # As of any source of controls, nothing shorter than three sentences.
    assert [(item["key"], item["text"], item["cluster"]) for item in table["items"]] == [
        ("Long", THREE, "Long"),
        ("Longer", THREE * 2, "Longer"),
    ]
    assert sorted(request.split("/")[-1] for request in downloads(hub)) == [
        "README.md",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert "has no c/*, only README.md, a.other/train" in call("items", {**WIKI, "files": ["c/*"]}, hub)
    assert call("items", WIKI) == table
    (file,) = tmp_path.rglob("snapshots/*/b.simple/train-00001-of-00002.parquet")
    file.resolve().write_bytes(parquet([{"title": "Longer", "text": "Other. Words. Here."}]))
    assert "train-00001-of-00002.parquet: sha256 is" in call("items", WIKI)


def test_a_table_that_cannot_be_read_has_its_reason_in_the_line(call_each, tmp_path):
    contents = {"org/ragged": b"id,q\n1,Q?\n2,Q?,x\n", "org/semicolons": b"id;q\n1;Q?\n"}
    for repo, content in contents.items():
        lay_out(tmp_path / "home" / "hub", "dataset", repo, {"train.csv": content}, FIRST)
    spec = WIKI | {"config": "", "files": [], "fields": {"key": "id", "text": "q"}}
    ragged, semicolons = call_each("items", [spec | {"repo": repo} for repo in contents])
    assert "read as a table (Error tokenizing data. C error: Expected 2 fields in line 3, saw 3)" in ragged
    assert "no column id. It has one, 'id;q': separate columns with commas" in semicolons


def test_what_a_dataset_lacks_is_named_with_what_it_has(call_each, tmp_path):
    lay_out(tmp_path / "home" / "hub", "dataset", "org/wiki", wiki_files(), FIRST)
    lines = {
        ": no configuration c. Set config to one of a.other, b.simple": {"config": "c"},
        ": more than one configuration. Set config to one of a.other, b.simple": {"config": ""},
        ": no split test. It has train: mend splits": {"splits": ["train", "test"]},
        ": no column name. It has title, text": {"fields": {"key": "name", "text": "text"}},
        ", row 0: item 0 lacks body. It has title, text": {"fields": {"text": "body"}},
    }
    errors = call_each("items", [WIKI | change for change in lines.values()])
    for line, expected in zip(errors, lines, strict=True):
        assert f"dataset org/wiki at {FIRST}{expected}" in line


def test_doctor_knows_what_a_stage_fetched_and_what_it_lacks(hub, call, tiny_folder, tmp_path):
    """A stage fetches a part of each repository, and the listing of all of it."""
    hub.push("model", "org/tiny", {**parts(tiny_folder), "pytorch_model.bin": b"\x80"}, FIRST)
    hub.push("dataset", "org/wiki", wiki_files(), SECOND)

    def check(spec, **settings):
        (finding,) = call("doctor", spec, **settings)
        return finding["status"], finding["found"]

    for function, spec, lost in (("card", NAMED, "tokenizer.json"), ("items", WIKI, "train-00001-of-00002.parquet")):
        repo = spec["repo"]
        absent = ("fail", f"HF_HUB_OFFLINE is set, and its cache has no {repo} at main")
        assert check(spec) == absent
        assert call("doctor", spec, hub, HF_TOKEN="")[0]["found"].startswith(f"{repo} can be downloaded; no token")
        call(function, spec, hub)
        n_requests = len(hub.requests)
        assert check(spec) == ("ok", f"has {repo}")
        assert call("doctor", spec, hub)[0]["found"] == f"has {repo}"
        assert len(hub.requests) == n_requests
        commit = hub.commits["dataset" if "role" in spec else "model", repo, "main"]
        assert check({**spec, "revision": "gone", "commit": commit}) == ("ok", f"has {repo}")
        (file,) = tmp_path.rglob(f"snapshots/*/**/{lost}")
        file.unlink()
        assert check(spec) == absent


QUESTIONS = [
    {"qid": "q1", "question": "Is it?", "answer": True, "facts": ["One.", "Two."]},
    {"qid": "q2", "question": "Was it?", "answer": False, "facts": ["Three."]},
]
PROBLEMS = [{"question": f"How many, {n}?", "answer": f"It is {n}*2=<<{n}*2={2 * n}>>{2 * n}.\n#### {2 * n:,}"} for n in (4, 900)]


def test_a_copy_from_the_hub_and_one_in_json_lines_are_the_same_items(call_each, tmp_path):
    """gsm8k is parquet of one configuration, StrategyQA two JSON files. Its facts are one text."""
    cache = tmp_path / "home" / "hub"
    gsm8k = {"README.md": CARD.replace("b.simple", "main").encode(), "main/train-0.parquet": parquet(PROBLEMS)}
    lay_out(cache, "dataset", "openai/gsm8k", gsm8k, FIRST)
    flat = [{**row, "facts": " ".join(row["facts"])} for row in QUESTIONS]
    strategyqa = {"train.json": json.dumps(flat[:1]).encode(), "test.json": json.dumps(flat[1:]).encode()}
    lay_out(cache, "dataset", "ChilleD/StrategyQA", strategyqa, FIRST)
    ours, theirs = [], []
    for name, repo, config, splits, rows in (
        ("gsm8k", "openai/gsm8k", "main", ["train"], PROBLEMS),
        ("strategyqa", "ChilleD/StrategyQA", "", ["train", "test"], QUESTIONS),
    ):
        common = {"role": "reasoning", "n": 2, "format": name}
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        local = params.JsonLines(source="jsonl", path=str(path), **common)
        ours.append([source.model_dump() for source in datasets.fetch_items(local, datasets.list_keys(local)).values()])
        remote = {"source": "hub", "repo": repo, "revision": FIRST, "config": config, "splits": splits}
        theirs.append(common | remote)
    assert [table["items"] for table in call_each("items", theirs)] == ours
    assert ours[0][1] == {
        "key": "1",
        "text": "How many, 900?",
        "answer": "1800",
        "solution": "It is 900*2=1800.",
        "answer_kind": "number",
        "cluster": "1",
    }


@pytest.mark.dvc
def test_stages_record_the_commits_that_they_read(tiny_folder, tmp_path):
    """Run the workspace's own stages offline, for cards, items and the log of ids."""
    lay_out(tmp_path / "hub", "model", "org/tiny", parts(tiny_folder), FIRST)
    articles = [{"title": f"Article {number}", "text": THREE * number} for number in range(1, 40)]
    lay_out(tmp_path / "hub", "dataset", "org/articles", {"train.parquet": parquet(articles)}, SECOND)
    wiki = {"source": "hub", "role": "control", "n": 12, "repo": "org/articles", "revision": "main", "splits": ["train"]}
    study = Study.make(tmp_path / "study", {"models": ["tiny"], "datasets": ["gsm-symbolic", "articles"]}, TINY)
    study.change({"model_specs": {"tiny": NAMED}, "control": {"length_model": "tiny"}})
    study.change({"dataset_specs": {"articles": {**wiki, "fields": {"key": "title", "text": "text"}}}})
    study.environment |= {"HF_HUB_CACHE": str(tmp_path / "hub"), "WOR_CACHE": str(tmp_path / "cache")}
    study.run(sys.executable, "-m", "wor.cli", "freeze", "articles", "--n", "12")
    for stage in (("check",), ("models", "--model", "tiny"), ("ids",)):
        study.stage(*stage)
    assert study.json("data/models/tiny.json")["source"]["commit"] == FIRST
    assert study.json("data/check.json")["local_files"] == {}
    assert study.json("data/logs/ids.json")["datasets"] == {
        "articles": {"repo": "org/articles", "revision": "main", "commit": SECOND}
    }
    assert len((study.folder / "data/items/articles.jsonl").read_text().splitlines()) == 12
