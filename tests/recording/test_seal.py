"""Check the modes of a sealed iteration."""

import os
import tempfile
from pathlib import Path

import pytest

from wor import storage
from wor.recording.create import seal


@pytest.mark.parametrize(("umask", "folder_mode", "file_mode"), [(0o022, 0o755, 0o444), (0o077, 0o700, 0o400)])
def test_a_sealed_iteration_is_read_only_and_as_private_as_the_umask_says(tmp_path, umask, folder_mode, file_mode):
    before = os.umask(umask)
    try:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        storage.write_text(folder / "results" / "a.csv", "x")
        seal(folder)
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (folder, folder / "results", folder / "results" / "a.csv")]
    assert modes == [folder_mode, folder_mode, file_mode]
