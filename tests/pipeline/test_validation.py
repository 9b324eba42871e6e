"""Check what is refused before a run begins."""

import pytest

from wor.errors import UserError
from wor.pipeline import validation


def test_a_cache_that_cannot_be_written_is_named_before_hours_of_work(monkeypatch, tmp_path):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "new" / "cache"))
    validation.require_writable_cache()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()  # a read-only folder would not stop root
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"file cannot be written\. Name a folder that can: export WOR_CACHE=FOLDER"):
        validation.require_writable_cache()
