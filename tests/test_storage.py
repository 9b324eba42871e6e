import json
import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from wor import storage
from wor.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.json"
    storage.write_json(path, {"x": 1})
    with pytest.raises(RuntimeError), storage.writing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert storage.read_json(path) == {"x": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o000, 0o666)])
def test_a_files_mode_is_what_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        storage.write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


FULL_DISK = """
import resource, sys
import numpy as np, pandas as pd
from pathlib import Path
from wor import storage
from wor.process.exit import one_line_errors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder, kind = Path(sys.argv[1]), sys.argv[2]
big = np.zeros((1, 100_000))
write = {
    "json": lambda: storage.write_json(folder / "out", {"x": "y" * 5000}),
    "csv": lambda: storage.write_csv(folder / "out", pd.DataFrame({"x": range(5000)})),
    "arrays": lambda: storage.write_arrays(folder / "out", {"x": big}),
    "records": lambda: storage.write_records(folder, pd.DataFrame({"x": ["y" * 5000]}), {"x": big}),
}[kind]
with one_line_errors():
    write()
"""


@pytest.mark.parametrize("kind", ["json", "csv", "arrays", "records"])
def test_a_full_disk_is_one_line_exit_2_and_nothing_half_written(tmp_path, kind):
    """The kernel refuses to let a file grow, as it does when the disk is full."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path), kind], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {tmp_path}")
    assert "cannot be written" in lines[0]
    assert "Free space or permissions" in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        storage.write_text(tmp_path / "file" / "below.txt", "x")


def test_json_has_null_for_what_is_no_number(tmp_path):
    storage.write_json(tmp_path / "a.json", {"a": math.nan, "b": np.float32(0.5), "c": np.array([1.0, np.inf]), 3: (1,)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": 0.5, "c": [1.0, None], "3": [1]}


def test_floats_survive_a_csv_bit_for_bit(tmp_path):
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-300, 300, 0.6)
    storage.write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [*values, math.nan]}))
    found = storage.read_csv(tmp_path / "a.csv")["x"].to_numpy()
    assert np.array_equal(found[:-1], values)
    assert math.isnan(found[-1])


def test_records_survive_and_must_fit_together(tmp_path):
    frame = pd.DataFrame({"item_id": ["a", "b"], "ids": [[1, 2], [3]]})
    arrays = {"kl": np.arange(6, dtype=np.float32).reshape(2, 3)}
    storage.write_records(tmp_path, frame, arrays)
    back, found = storage.read_records(tmp_path)
    assert list(back["item_id"]) == ["a", "b"]
    assert [list(ids) for ids in back["ids"]] == [[1, 2], [3]]
    assert np.array_equal(found["kl"], arrays["kl"])
    with pytest.raises(ValueError, match="kl has 2 rows, the items table 1"):
        storage.write_records(tmp_path, frame.head(1), arrays)
