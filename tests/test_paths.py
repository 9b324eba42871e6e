"""Check where wor's own files are under any variables of the shell."""

import os
from pathlib import Path

import pytest

from wor import paths
from wor.errors import UserError


@pytest.mark.parametrize("value", [None, "", ".", "relative/cache"])
def test_an_xdg_cache_that_is_no_absolute_folder_is_ignored(monkeypatch, tmp_path, value):
    monkeypatch.delenv("WOR_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert paths.cache() == tmp_path / ".cache" / "wor"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert paths.cache() == tmp_path / "xdg" / "wor"


def test_a_relative_cache_of_wor_is_the_repositorys_in_every_copy_of_the_workspace(monkeypatch, tmp_path):
    monkeypatch.setenv("WOR_CACHE", "mine")
    monkeypatch.setenv("DVC_STAGE", "models")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert paths.cache() == tmp_path / "mine"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    for name in ("WOR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(UserError, match=r"HOME: 'relative'\. Name a folder for converted weights: export WOR_CACHE=FOLDER"):
        paths.cache()
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # a container's number that its system does not know
    with pytest.raises(UserError, match=r"HOME: not set\. "):
        paths.cache()


def test_a_root_that_was_left_in_the_shell_is_not_this_projects(monkeypatch, tmp_path):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert paths.project() == Path.cwd()
    monkeypatch.setenv("DVC_STAGE", "iteration")
    assert paths.project() == tmp_path
