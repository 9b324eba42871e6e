"""Check what children of `wor` inherit from the shell, and the words for a git that refuses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.root import ROOT
from wor import paths
from wor.errors import UserError
from wor.process import commands

GIT = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a repository with one commit, as the current folder."""
    folder = tmp_path / "repository"
    make_repository(folder)
    monkeypatch.chdir(folder)
    return folder


def make_repository(folder: Path) -> str:
    subprocess.run([*GIT, "init", "-q", str(folder)], check=True)
    (folder / "a.txt").write_text(folder.name)
    subprocess.run([*GIT, "add", "-A"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-qm", "Begin"], cwd=folder, check=True)
    return commands.head_commit(folder)


@pytest.mark.parametrize(
    "variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"]
)
def test_git_is_this_folders_whatever_the_shell_points_to(repository, tmp_path, monkeypatch, variable):
    here = commands.head_commit()
    make_repository(tmp_path / "other")
    monkeypatch.setenv(variable, str(tmp_path / "other" / ".git"))
    assert commands.head_commit() == here
    assert commands.git("status", "--porcelain") == ""


def test_a_checkout_in_a_clone_leaves_the_repository_on_its_branch(repository, tmp_path, monkeypatch):
    """As in a hook of git, or in `git rebase --exec 'wor reproduce'`."""
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    branch, clone = commands.git("symbolic-ref", "HEAD"), tmp_path / "clone"
    commands.run_captured(["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(clone)])
    commands.run_captured(["git", "checkout", "-q", "--detach"], where=clone)
    assert (clone / "a.txt").is_file()
    assert commands.git("symbolic-ref", "HEAD") == branch


def test_what_says_who_commits_and_how_git_connects_is_kept(monkeypatch):
    kept = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_CONFIG_GLOBAL", "HTTPS_PROXY")
    for name in kept:
        monkeypatch.setenv(name, "mine")
    environment = commands.child_environment()
    assert {name: environment.get(name) for name in kept} == dict.fromkeys(kept, "mine")


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONHOME"])
def test_a_child_takes_this_environments_packages(tmp_path, monkeypatch, variable):
    (tmp_path / "yaml.py").write_text("raise SystemExit('another yaml')")
    monkeypatch.setenv(variable, str(tmp_path))
    commands.run_captured([sys.executable, "-c", "import yaml"], where=paths.project())


def test_a_child_runs_the_code_of_its_folder(tmp_path, monkeypatch):
    """`dvc exp run --temp` relies on it in a copy of the workspace."""
    (tmp_path / "wor.py").write_text("print('of this folder')")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert commands.run_captured([sys.executable, "-m", "wor"], where=tmp_path) == "of this folder\n"


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1", "tr_TR", "nowhere"])
def test_a_child_reads_and_writes_utf_8_and_decimal_points_under_any_locale(tmp_path, monkeypatch, locale):
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code = "import locale; locale.setlocale(locale.LC_ALL, ''); print('Länge', locale.localeconv()['decimal_point'])"
    code += "; open('ü.txt', 'w').write('ß'); print(open('ü.txt', encoding='utf-8').read())"
    assert commands.run_captured([sys.executable, "-c", code], where=tmp_path).split() == ["Länge", ".", "ß"]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert commands.git("status", "--porcelain", where=tmp_path) == "?? ü.txt\n"


class TestHeadCommit:
    def refusal(self) -> UserError:
        with pytest.raises(UserError) as refused:
            commands.head_commit()
        return refused.value

    def test_a_repository_of_another_user_in_gits_own_words(self, repository, tmp_path, monkeypatch):
        other_user = tmp_path / "bin" / "git"
        other_user.parent.mkdir()
        other_user.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
        other_user.chmod(0o755)
        monkeypatch.setenv("PATH", f"{other_user.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        error = self.refusal()
        assert error.value == f"detected dubious ownership in repository at '{repository}'"
        assert error.remedy == f"git config --global --add safe.directory {repository}"

    def test_no_git(self, repository, monkeypatch, tmp_path):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
        assert str(self.refusal()) == "git: not found. Install git: apt-get install git"

    def test_no_repository(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert self.refusal().value == "this folder is in no repository"

    def test_no_commit(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        subprocess.run(["git", "init", "-q"], check=True)
        assert self.refusal().remedy == "git add -A && git commit -m Begin"

    def test_a_worktree_whose_repository_was_moved_is_not_told_to_make_one(self, repository, tmp_path, monkeypatch):
        tree = tmp_path / "tree"
        subprocess.run([*GIT, "worktree", "add", "-q", str(tree)], check=True)
        assert commands.head_commit(tree) == commands.head_commit()
        shutil.move(repository, tmp_path / "moved")
        monkeypatch.chdir(tree)
        error = self.refusal()
        assert error.value.startswith("not a git repository: ")
        assert "git init" not in error.remedy


def test_a_python_without_docstrings_and_a_date_of_builds_stop_nothing_halfway(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONOPTIMIZE": "2"}
    command = [sys.executable, "-m", "wor.cli", "measures", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: PYTHONOPTIMIZE: 2. transformers reads docstrings: unset it")
    assert "PYTHONOPTIMIZE" not in commands.child_environment()
    code = (
        "from wor.cli import main; import sys; sys.argv = ['wor', 'measures', '--json']\ntry: main()\nfinally: import numpy.f2py"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "yesterday"}
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True).returncode == 0
