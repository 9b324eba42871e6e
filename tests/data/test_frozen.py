"""Check what is said of a frozen list that a copy of the workspace lacks."""

import pytest

from wor import paths
from wor.data import frozen
from wor.errors import UserError


def test_a_list_that_git_was_not_told_of_is_named_in_the_copy_in_which_a_profile_runs(tmp_path, monkeypatch):
    project, copy = tmp_path / "study", tmp_path / "copy"
    (project / paths.FROZEN).mkdir(parents=True)
    (project / paths.frozen("mine")).touch()
    copy.mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_STAGE", "check")
    monkeypatch.setenv("DVC_ROOT", str(project))
    with pytest.raises(UserError, match=r"git does not know it.*git add -f data/frozen/mine\.csv"):
        frozen.read_list("mine")
    with pytest.raises(UserError, match=r"no frozen list\. Make one with: wor freeze other --n N"):
        frozen.read_list("other")
