"""Make the virtual environment, or complete it: ``python tools/environment.py FOLDER``

It does nothing where the environment is complete. One that is half made, moved, copied or broken is
made again. A set-up that broke off goes on. This runs before any package is installed.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SUPPORTED = ((3, 11), (3, 13))
INPUTS = ("requirements.txt", "requirements-data.txt", "constraints.txt", "pyproject.toml")
DONE = ".installed"
# Settings of pip that say where packages come from. Others say where they go, or which are allowed.
SOURCES = (
    "index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "proxy", "cert", "client-cert", "timeout",
    "default-timeout", "retries", "cache-dir", "no-cache-dir", "keyring-provider", "use-feature", "use-deprecated",
)  # fmt: skip
FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large")
AWAY = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|ProxyError"
    r"|Connection (refused|reset|aborted)|Network is unreachable|Max retries exceeded|SSLError|IncompleteRead|Could not fetch URL"
)


def refuse(value: str, remedy: str) -> None:
    """End with one line."""
    print(f"error: setup: {value}. {remedy}", file=sys.stderr)
    raise SystemExit(2)


def clean_environment() -> dict[str, str]:
    """Return os.environ without what would show pip packages or a home of another Python."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "PIP_PYTHON")}


def fault(folder: Path, version: tuple[int, int] | None) -> str:
    """Return why an environment can't be used, or an empty text. ``version``: the one to have."""
    python, pip = folder / "bin" / "python", folder / "bin" / "pip"
    command = [python, "-I", "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    except OSError:
        return "it has no Python"
    if done.returncode:
        return "its Python does not run"
    found = tuple(map(int, done.stdout.split()))
    if found != version if version else not SUPPORTED[0] <= found <= SUPPORTED[1]:
        return f"its Python is {'.'.join(map(str, found))}"
    if not any(_is_whole(info) for info in _installed(folder) if info.name.startswith("pip-")):
        return "it has no pip"
    # Scripts begin with their environment's path. Those of a copy would run the first one's code.
    if not pip.is_file() or f"{folder}/bin/" not in pip.read_text(encoding="utf-8", errors="replace")[:1000]:
        return "it was moved, copied or renamed"
    return ""


def remove(folder: Path) -> None:
    """Remove an environment, and nothing else that a name may have been misspelt for."""
    if folder.is_symlink():
        folder.unlink()
        return
    parts = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    scripts = {path.name for path in folder.glob("bin/*")}
    is_begun = parts <= {"bin", "include", "lib", "lib64"} and all(name.startswith(("python", "pip")) for name in scripts)
    if "pyvenv.cfg" not in parts and not is_begun:
        refuse(f"{folder} is no virtual environment", "Give another folder: make setup VENV=FOLDER")
    shutil.rmtree(folder)


def make(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True, env=clean_environment())
    if done.returncode:
        words = done.stdout + done.stderr
        if FULL.search(words):
            refuse("the disk is full", "Free space, then: make setup")
        if "ensurepip" in words:
            version = ".".join(map(str, sys.version_info[:2]))
            refuse(f"Python {version} has no venv", f"apt-get install python{version}-venv, or: make setup PYTHON=PATH")
        refuse((words.strip().splitlines() or ["no environment could be made"])[-1], "Mend that, then: make setup")


def pip_environment(python: Path) -> dict[str, str]:
    """Return the environment of pip, with the user's SOURCES and none of their other settings."""
    names = {f"PIP_{source.upper().replace('-', '_')}": source for source in SOURCES}
    env = {name: value for name, value in clean_environment().items() if not name.startswith("PIP_")}
    files = {name: value for name, value in os.environ.items() if name == "PIP_CONFIG_FILE"}
    # A setting `user` would also make this command list the user's file alone.
    command, listing = [python, "-m", "pip", "config", "list"], {**env, **files, "PIP_USER": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=listing)
    if done.returncode:
        refuse((done.stderr.strip().splitlines() or ["pip does not run"])[-1], "Mend pip's settings: pip config debug")
    listed = dict(line.split("=", 1) for line in done.stdout.splitlines())
    for name, source in names.items():  # a later place takes precedence
        for place in ("global", "install"):
            if f"{place}.{source}" in listed:
                env[name] = ast.literal_eval(listed[f"{place}.{source}"])
        if name in os.environ:
            env[name] = os.environ[name]
    return {**env, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def install(folder: Path, steps: list[list[str]]) -> None:
    """Run ``pip install`` with the arguments of each step."""
    for info in _installed(folder):
        if not _is_whole(info):  # pip would take it for installed
            shutil.rmtree(info)
    python = folder / "bin" / "python"
    env = pip_environment(python)
    for step in steps:
        command = [python, "-m", "pip", "install", "--quiet", *step]
        words = ""
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
            for line in process.stderr or ():
                words += line
                print(line, end="", file=sys.stderr)
        if process.returncode:
            if FULL.search(words):
                refuse("the disk is full", "Free space there or in TMPDIR, then: make setup. It goes on from here")
            if AWAY.search(words):
                refuse("no network, or the package index does not answer", "Once it does: make setup. It goes on from here")
            refuse(f"pip could not install {step[-1]}", "See its output above, then: make setup")


def _installed(folder: Path) -> list[Path]:
    return list(folder.glob("lib/python*/site-packages/*.dist-info"))


def _is_whole(info: Path) -> bool:
    """Whether a package was installed to its end, where pip writes this file."""
    return (info / "INSTALLER").is_file()


def all_steps() -> list[list[str]]:
    torch = next(line for line in Path("requirements.txt").read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    return [
        [torch],  # alone and first: the largest download is kept whatever happens to the others
        ["-r", "requirements.txt"],
        ["--no-deps", "-r", "requirements-data.txt"],
        ["--no-deps", "--no-build-isolation", "-e", "."],
    ]


def stamp(folder: Path) -> str:
    """Return what a complete environment was made for."""
    digest = hashlib.sha256(b"".join(Path(name).read_bytes() for name in INPUTS)).hexdigest()
    return f"{folder}\n{digest}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--exactly", action="store_true", help="the environment is to have this Python's version")
    parser.add_argument("--add", metavar="FILE", help="install these requirements too")
    options = parser.parse_args()
    folder = Path(options.folder).absolute()
    done = folder / DONE
    version = sys.version_info[:2] if options.exactly else None
    if (folder.is_symlink() or folder.exists()) and (why := fault(folder, version)):
        print(f"{options.folder}: {why}. It is made again.", flush=True)
        remove(folder)
    if not folder.exists():
        print(f"Making {options.folder} with Python {'.'.join(map(str, sys.version_info[:3]))}", flush=True)
        make(folder)
    if not done.is_file() or done.read_text(encoding="utf-8") != stamp(folder):
        print("Installing torch and all other packages: about two minutes, or more on a slow network", flush=True)
        install(folder, all_steps())
        done.write_text(stamp(folder), encoding="utf-8")
    if options.add:
        install(folder, [["-r", options.add]])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        sys.exit(130)
