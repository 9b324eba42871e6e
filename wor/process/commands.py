"""Run git, dvc and other commands as child processes. No other module starts any."""

import functools
import os
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

from wor.errors import UserError
from wor.process import interrupt

INTERRUPTED = interrupt.EXIT_CODE


# Who commits, how git connects, and its settings. Any other GIT_* names a repository or changes
# what git prints. Hooks, `git rebase --exec` and direnv set them, perhaps for another repository.
_GIT_KEPT = re.compile(
    r"GIT_(AUTHOR_|COMMITTER_|CONFIG_|SSH|SSL_|HTTP_|PROXY_|ASKPASS|TERMINAL_PROMPT|ALLOW_PROTOCOL"
    r"|EXEC_PATH|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|LFS_|TRACE|CURL_)"
)
# Where other code, another project, or another language and encoding would come from.
_DROPPED = re.compile(r"PYTHON(HOME|PATH|SAFEPATH|IOENCODING|OPTIMIZE)|DVC_(ROOT|STAGE|EXP_NAME|EXP_BASELINE_REV)|LC_.*|LANGUAGE")


def names_repository(variable: str) -> bool:
    """Whether a variable may point git to another repository, or change what it prints."""
    return variable.startswith("GIT_") and not _GIT_KEPT.match(variable)


def child_environment(python: Path = Path(sys.executable), **extra: str) -> dict[str, str]:
    """Return the environment of every child, with the folder of ``python`` first on PATH.

    It is os.environ without what would lead the child to another repository, project or package,
    and with one language and encoding, so that git's words and all files read the same anywhere.
    """
    inherited = {name: value for name, value in os.environ.items() if not _DROPPED.fullmatch(name) and not names_repository(name)}
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**inherited, "PATH": path, "LANG": "C.UTF-8", "PYTHONUTF8": "1", **extra}


def dvc_command(*arguments: str) -> list[str]:
    """Return the command line of dvc with ``arguments``."""
    executable = shutil.which("dvc", path=child_environment()["PATH"])
    if executable is None:
        raise UserError("dvc", "not found", "Install the requirements: pip install -r requirements.txt")
    return [executable, *arguments]


def quiet_dvc_command(*arguments: str) -> list[str]:
    """Return the same through `wor.process.quiet_dvc`, which ends with this process."""
    dvc_command()
    return [sys.executable, "-m", "wor.process.quiet_dvc", str(os.getpid()), *arguments]


@functools.cache
def dvc_cache(project: Path) -> Path:
    """Return DVC's cache of the project. Cached, because dvc takes almost a second to answer."""
    return project / run_captured(dvc_command("cache", "dir"), where=project).strip()


def git(*arguments: str, where: Path | None = None) -> str | None:
    """Return what git prints, or None where it fails or isn't installed."""
    try:
        return run_captured(["git", "-c", "core.quotePath=false", *arguments], where=where)  # names as they are
    except (OSError, CommandFailed, UnicodeDecodeError):
        return None


def head_commit(where: Path | None = None) -> str:
    """Return the hash of HEAD. Raises UserError, in git's own words where it refuses the folder."""
    try:
        run_captured(["git", "rev-parse", "--git-dir"], where=where)
    except FileNotFoundError:
        raise UserError("git", "not found", "Install git: apt-get install git") from None
    except CommandFailed as failed:
        if "(or any" in failed.line:
            remedy = "git init && git add -A && git commit -m Begin"
            raise UserError("git", "this folder is in no repository", remedy) from None
        # For a repository that another user owns, git says which command allows it.
        allow = next((line for line in failed.lines if "--add safe.directory" in line), "")
        raise UserError("git", failed.line.removeprefix("fatal: "), allow or "Mend that, then try again") from None
    commit = git("rev-parse", "--verify", "--quiet", "HEAD", where=where)
    if commit is None:
        raise UserError("git", "no commit here, and an experiment starts from one", "git add -A && git commit -m Begin")
    return commit.strip()


class CommandFailed(Exception):  # noqa: N818 - callers decide whether it is an error
    """A command failed. ``line`` is the last error line of its output, or the last of ``lines``."""

    def __init__(self, command: list[str], code: int, output: str):
        self.lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("hint:")]
        errors = [line for line in self.lines if line.lower().startswith(("fatal:", "error:"))]
        self.line = (errors or self.lines or [f"exit code {code}"])[-1]
        super().__init__(f"{' '.join(command)}: {self.line}")


def run_captured(
    command: list[str],
    where: Path | None = None,
    env: dict[str, str] | None = None,
    text: str = "",
    seconds: float | None = None,
) -> str:
    """Return what ``command`` prints, given ``text``. Raises CommandFailed.

    After ``seconds`` raises TimeoutError.
    """
    # Bytes in and out, as text=True would change the line ends of a patch.
    try:
        result = subprocess.run(
            command, cwd=where, env=env or child_environment(), input=text.encode(), capture_output=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    if result.returncode:
        raise CommandFailed(command, result.returncode, (result.stderr or result.stdout).decode("utf-8", "replace"))
    return result.stdout.decode("utf-8")


def run_interactive(
    command: list[str],
    where: Path | None = None,
    env: dict[str, str] | None = None,
    stdout: IO | None = None,
    patience: float = 10,
    listens: bool = False,
) -> int:
    """Run ``command`` on this terminal and return its exit code, or INTERRUPTED after Ctrl-C.

    Ctrl-C reaches the child too, which cleans up; after ``patience`` seconds it is killed with its
    descendants. ``listens``: the child starts with SIGINT blocked and unblocks it when it is ready.
    """
    with interrupt.waiting_for_child():
        process = None
        try:
            with interrupt.deferred() if listens else nullcontext():
                process = subprocess.Popen(command, cwd=where, env=env or child_environment(), stdout=stdout)
        except KeyboardInterrupt:
            if process is None:
                raise
        while True:
            try:
                code = process.wait(patience if interrupt.was_interrupted() else None)
                return INTERRUPTED if interrupt.was_interrupted() else code
            except KeyboardInterrupt:
                continue
            except subprocess.TimeoutExpired:
                _kill_tree(process.pid)


def _kill_tree(pid: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [*root.children(recursive=True), root]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
