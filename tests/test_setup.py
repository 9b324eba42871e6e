"""Check `make setup` on a machine that was used before: its Pythons, .venv, pip's settings, git."""

import os
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers.root import ROOT
from tools import environment

GIT = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com"]
THIS = sys.version_info[:2]


class TestPython:
    def find(self, folder: Path, *chosen: str) -> subprocess.CompletedProcess:
        """Run the script with the Pythons of ``folder`` alone on the path."""
        command = ["/bin/sh", str(ROOT / "tools" / "find_python.sh"), *chosen]
        return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True)

    def add(self, folder: Path, name: str, line: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)

    def test_a_shim_without_a_python_is_passed_over_and_the_path_is_of_no_environment(self, tmp_path):
        self.add(tmp_path, "python3.11", "exit 127")
        self.add(tmp_path, "python3.12", f'exec {sys.executable} "$@"')
        assert Path(self.find(tmp_path).stdout.strip()).is_relative_to(sys.base_prefix)

    def test_none_is_a_line(self, tmp_path):
        self.add(tmp_path, "python3", "echo")  # as of an older version
        done = self.find(tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        remedy = "This project runs on Python 3.11, 3.12 or 3.13: make setup PYTHON=PATH"
        assert done.stderr == f"error: python: none found. {remedy}\n"

    def test_the_one_that_is_asked_for_and_missing_is_not_replaced(self, tmp_path):
        self.add(tmp_path, "python3.11", f'exec {sys.executable} "$@"')
        assert self.find(tmp_path, "python3.9").stderr.startswith("error: python: python3.9. ")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An environment with pip, as `python -m venv` makes it. The tests change copies of it."""
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    environment.make(folder)
    return folder


class TestEnvironment:
    def test_a_whole_one_has_no_fault(self, whole):
        assert environment.fault(whole, None) == environment.fault(whole, THIS) == ""

    def test_one_without_pip(self, tmp_path):
        folder = tmp_path / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        assert environment.fault(folder, None) == "it has no pip"

    def test_one_whose_python_was_removed(self, tmp_path):
        folder = tmp_path / ".venv"
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(tmp_path / "gone")
        assert environment.fault(folder, None) == "it has no Python"

    def test_one_that_was_copied_or_renamed_with_its_folder(self, whole, tmp_path):
        folder = tmp_path / ".venv"
        shutil.copytree(whole, folder, symlinks=True)
        assert environment.fault(folder, None) == "it was moved, copied or renamed"

    def test_one_of_another_version_than_is_asked_for(self, whole):
        assert environment.fault(whole, (3, 9)) == f"its Python is {THIS[0]}.{THIS[1]}"

    def test_a_variable_for_another_python_does_not_matter(self, whole, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHONHOME", str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert environment.fault(whole, None) == ""

    @pytest.mark.parametrize("parts", [[], ["bin"], ["bin", "lib", "pyvenv.cfg", "anything"]], ids=str)
    def test_what_is_left_of_one_is_removed(self, tmp_path, parts):
        for part in parts:
            (tmp_path / "made" / part).mkdir(parents=True)
        (tmp_path / "made").mkdir(exist_ok=True)
        environment.remove(tmp_path / "made")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["thesis.tex", "bin/my-tool"])
    def test_a_folder_of_other_things_is_never_removed(self, tmp_path, capsys, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        for folder in (tmp_path, tmp_path / name):
            with pytest.raises(SystemExit):
                environment.remove(folder)
            assert f"error: setup: {folder} is no virtual environment. " in capsys.readouterr().err
        assert (tmp_path / name).exists()

    def test_a_link_is_removed_and_not_what_it_leads_to(self, whole, tmp_path):
        (tmp_path / ".venv").symlink_to(whole)
        environment.remove(tmp_path / ".venv")
        assert environment.fault(whole, None) == ""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with one small wheel."""
    folder = tmp_path_factory.mktemp("packages")
    info = "small-1.0.dist-info"
    with zipfile.ZipFile(folder / "small-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small.py", "#" * 300_000)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"small.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder


class TestInstall:
    @pytest.fixture
    def site(self, whole, tmp_path, monkeypatch):
        """The environment's folder of packages without the wheel's, and no settings of pip."""
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        (site,) = whole.glob("lib/python*/site-packages")
        yield site
        (site / "small.py").unlink(missing_ok=True)
        shutil.rmtree(site / "small-1.0.dist-info", ignore_errors=True)

    def test_settings_of_where_packages_go_do_not_matter_and_of_where_they_come_from_do(
        self, whole, packages, site, tmp_path, monkeypatch
    ):
        lines = ["[global]", "no-index = true", f"find-links = {packages}", "require-virtualenv = true", "user = true"]
        lines += ["[install]", f"target = {tmp_path / 'elsewhere'}", "require-hashes = true"]
        (tmp_path / "pip.conf").write_text("\n".join(lines))
        for name, value in {"USER": "1", "PREFIX": str(tmp_path), "DRY_RUN": "1", "PYTHON": "/nowhere"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        environment.install(whole, [["small"]])
        assert (site / "small.py").is_file()
        assert not (tmp_path / "elsewhere").exists()

    def test_without_a_network_it_says_so_and_the_next_call_goes_on(self, whole, packages, site, monkeypatch, capfd):
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("PIP_RETRIES", "1")
        with pytest.raises(SystemExit) as refused:
            environment.install(whole, [["small"]])
        assert refused.value.code == 2
        last = capfd.readouterr().err.splitlines()[-1]
        line = "error: setup: no network, or the package index does not answer. Once it does: make setup. It goes on from here"
        assert last == line
        monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        environment.install(whole, [["small"]])
        assert (site / "small.py").is_file()

    def test_on_a_full_disk_it_says_so_and_the_next_call_goes_on(self, whole, packages, site, monkeypatch, capfd):
        """The kernel refuses to let a file grow, as it does when the disk is full."""
        monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(SystemExit):
                environment.install(whole, [["small"]])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        line = "error: setup: the disk is full. Free space there or in TMPDIR, then: make setup. It goes on from here"
        assert capfd.readouterr().err.splitlines()[-1] == line
        environment.install(whole, [["small"]])
        assert (site / "small.py").stat().st_size == 300_000

    def test_a_package_that_was_cut_off_in_the_middle_is_installed_again(self, whole, packages, site, monkeypatch):
        monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        environment.install(whole, [["small"]])
        (site / "small.py").unlink()
        (site / "small-1.0.dist-info" / "INSTALLER").unlink()  # pip writes it last, when all else is there
        environment.install(whole, [["small"]])
        assert (site / "small.py").is_file()


class TestRepository:
    def run(self, folder: Path, **variables: str) -> str:
        command = [ROOT / "tools" / "repository.sh", Path(sys.executable).parent]
        done = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=True)
        return done.stderr

    @pytest.fixture
    def repository(self, tmp_path):
        """A repository with a commit, and a study in a subfolder."""
        folder = tmp_path / "repository"
        (folder / "study" / ".dvc").mkdir(parents=True)
        (folder / "study" / ".dvc" / "config").touch()
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Begin"]):
            subprocess.run([*GIT, *command], cwd=folder, check=True)
        return folder

    def test_a_folder_in_no_repository_becomes_one_wherever_a_variable_points(self, repository, tmp_path):
        (tmp_path / "new" / ".dvc").mkdir(parents=True)
        self.run(tmp_path / "new", GIT_DIR=str(repository / ".git"), GIT_CEILING_DIRECTORIES=str(tmp_path))
        assert (tmp_path / "new" / ".git").is_dir()

    def test_a_subfolder_of_a_repository_does_not(self, repository):
        self.run(repository / "study")
        assert [path.name for path in (repository / "study").iterdir()] == [".dvc"]

    def test_a_worktree_where_git_is_a_file_does_not(self, repository, tmp_path):
        subprocess.run([*GIT, "worktree", "add", "-q", str(tmp_path / "tree")], cwd=repository, check=True)
        self.run(tmp_path / "tree" / "study")
        assert (tmp_path / "tree" / ".git").is_file()
        assert not (tmp_path / "tree" / "study" / ".git").exists()

    def test_a_repository_that_git_refuses_is_left_alone(self, repository):
        head = repository / ".git" / "HEAD"
        head.write_text("broken")
        self.run(repository / "study", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
        assert head.read_text() == "broken"

    def test_a_subfolder_without_dvc_gets_its_own(self, repository):
        shutil.rmtree(repository / "study" / ".dvc")
        self.run(repository / "study")
        assert (repository / "study" / ".dvc" / "config").is_file()
        assert not (repository / ".dvc").exists()
