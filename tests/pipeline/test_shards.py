"""Check what a killed stage keeps in its shards, and that the result does not show the kill."""

import glob
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.files import digests
from wor import paths, storage
from wor.pipeline import shards
from wor.pipeline.progress import Log
from wor.pipeline.shards import Shards


class Budget:
    """The part of a model that Shards uses. As it is on no CPU, one shard comes after the other."""

    device = SimpleNamespace(type="none")

    def __init__(self, memory=2**30):
        self.memory = memory


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "cache"))


def squares(seen):
    def work(lm, entries, advance):
        def square(lm, entry):
            advance()
            return entry**2

        seen.append(list(entries))
        results = yield square, entries
        return pd.DataFrame({"entry": entries, "parts": [[e, e] for e in entries]}), {"square": np.array(results)}

    return work


ENTRIES = [7, 3, 9, 1, 8, 2, 6, 4, 5, 0]


def run(work, identity="a", entries=ENTRIES, settings="x", size=4, lm=None):
    work_shards = Shards(lm or Budget(), {"identity": identity}, Log("test"))
    try:
        return work_shards, work_shards.run("squared", size, entries, lambda entry: entry, lambda entry: entry, settings, work)
    finally:
        for lock in work_shards.locks:  # as when the process ends
            lock.release()


def folders():
    return [path for path in paths.shards().iterdir() if path.is_dir()]


def test_results_come_in_the_order_of_the_entries_from_shards_of_like_length():
    seen = []
    _, (frame, arrays) = run(squares(seen))
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert frame["entry"].tolist() == ENTRIES
    assert arrays["square"].tolist() == [entry**2 for entry in ENTRIES]


def test_an_interrupted_run_goes_on_where_it_was():
    seen = []

    def fails(lm, entries, advance):
        if entries == [4, 5, 6, 7]:
            raise KeyboardInterrupt
        return (yield from squares(seen)(lm, entries, advance))

    with pytest.raises(KeyboardInterrupt):
        run(fails)
    assert seen == [[0, 1, 2, 3]]
    _, (frame, arrays) = run(squares(seen))
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert arrays["square"].tolist() == [entry**2 for entry in ENTRIES]
    assert [list(parts) for parts in frame["parts"]] == [[entry, entry] for entry in ENTRIES]


@pytest.mark.parametrize("change", [{"identity": "b"}, {"settings": "y"}, {"entries": [*ENTRIES[:-1], 10]}, {"size": 5}])
def test_no_shard_of_other_inputs_is_taken(change):
    seen = []
    run(squares([]))
    run(squares(seen), **change)
    assert sum(map(len, seen)) == len(ENTRIES)


def test_half_a_shard_is_no_shard():
    work_shards, _ = run(squares([]))
    (work_shards.folders[0] / "00001-of-00003" / "arrays.safetensors").unlink()
    seen = []
    run(squares(seen))
    assert seen == [[4, 5, 6, 7]]


def test_collecting_leaves_nothing_and_the_next_run_computes_anew():
    work_shards, _ = run(squares([]))
    assert folders()
    work_shards.collect()
    assert not folders()
    seen = []
    run(squares(seen))
    assert len(seen) == 3


def test_shards_of_an_abandoned_run_are_removed_after_two_weeks():
    work_shards, _ = run(squares([]))
    (folder,) = work_shards.folders
    long_ago = time.time() - shards.MAX_AGE - 60
    os.utime(folder, (long_ago, long_ago))
    run(squares([]), identity="other")
    assert not folder.exists()


def test_a_resumed_run_has_the_memory_budget_of_the_interrupted_one():
    def halves(lm, entries, advance):
        lm.memory = 2**27
        return (yield from squares([])(lm, entries, advance))

    run(halves, lm=Budget(2**28))
    later = Budget(2**33)
    run(squares([]), lm=later)
    assert later.memory == 2**27
    smaller = Budget(2**26)
    run(squares([]), lm=smaller)
    assert smaller.memory == 2**26


def test_two_at_once_on_the_same_work_do_not_take_each_others_shards_away():
    """The first finishes and removes its shards while the second computes its second shard."""
    first = Shards(Budget(), {"identity": "a"}, Log("test"))
    arguments = (4, ENTRIES, lambda entry: entry, lambda entry: entry, "x")
    first.run("squared", *arguments, squares([]))
    second, seen = Shards(Budget(), {"identity": "a"}, Log("test")), []

    def while_the_other_ends(lm, entries, advance):
        if len(seen) == 1:
            first.collect()
        return (yield from squares(seen)(lm, entries, advance))

    _, arrays = second.run("squared", *arguments, while_the_other_ends)
    assert arrays["square"].tolist() == [entry**2 for entry in ENTRIES]
    assert len(seen) == 3
    second.collect()
    assert not folders()


@pytest.mark.dvc
def test_kill_9_loses_at_most_a_shard_and_leaves_no_trace_in_the_result(study, tmp_path):
    """A stage's process is killed whenever another shard appears, until it finishes."""
    cache = tmp_path / "cache" / "shards"
    study.change({"dataset_specs": {"gsm-symbolic": {"n": 134}}, "compute": {"threads": 2}})
    study.stage("ids")
    command = [sys.executable, "-m", "stages", "activations", "--model", "tiny", "--dataset", "gsm-symbolic"]
    output = study.folder / "data" / "activations" / "tiny" / "gsm-symbolic"

    def whole():
        # The glob module, as pathlib's own stops at a folder that goes away under it.
        return sorted(Path(path).parent for path in glob.glob(f"{cache}/*/*/arrays.safetensors"))

    study.run(*command)
    undisturbed = digests(output)
    assert set(undisturbed) == {"items.parquet", "arrays.safetensors"}
    assert not whole()
    for path in output.iterdir():
        path.unlink()

    kills, before = 0, []
    while True:
        process = subprocess.Popen(
            command, cwd=study.folder, env=study.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(whole()) <= len(before):
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        after = whole()
        assert set(before) < set(after), "a kill lost what was done before it"
        before = after
        assert not list(output.glob("*")) or digests(output) == undisturbed, "half an output"
    assert process.returncode == 0
    assert kills >= 5  # 70 items: two shards generated, five observed
    assert digests(output) == undisturbed
    assert not whole()
    frame, _ = storage.read_records(output)
    assert len(frame) == 70
