"""Check git, DVC, its remote, and the iterations."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from wor import paths
from wor.doctor import reach
from wor.doctor.finding import Finding, fail, ok, short_path, warn
from wor.errors import UserError
from wor.iterations import registry
from wor.machine import environment
from wor.process import commands
from wor.process.commands import git
from wor.process.dead_locks import lock_owners
from wor.recording import record

DVC = Path(".dvc")
SECONDS = 10  # for the remote's answer; the start of DVC takes two
SECRET = re.compile(r"^(?!ask_).*(secret|password|token|access_key|account_key|customer_key|connection_string)")
PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@:]*:[^/@]+@")
LEVELS = {"repo": "", "local": "--local ", "global": "--global ", "system": "--system "}


def check_git() -> Iterator[Finding]:
    try:
        commands.head_commit()
    except UserError as error:
        in_repository = git("rev-parse", "--git-dir") is not None
        yield fail("commit" if in_repository else "git", str(error.value), error.remedy)
        if not in_repository:
            return
    else:
        state = environment.git_state()
        branch = (git("symbolic-ref", "--short", "-q", "HEAD") or "no branch").strip()
        changed = [line[3:] for line in (git("status", "--porcelain", "--untracked-files=no") or "").splitlines()]
        detail = f"{state['commit'][:12]} on {branch}"
        if state.get("dirty") and state["patch"] is None:
            yield warn("commit", f"{detail}; {state['reason']}", "git commit -am MESSAGE")
        elif changed:
            names = ", ".join(changed[:2]) + (f" and {len(changed) - 2} more" if len(changed) > 2 else "")
            yield ok("commit", f"{detail}; changed and not committed, an experiment includes it: {names}")
        else:
            yield ok("commit", f"{detail}; nothing uncommitted")
        untracked = [path for path in state["untracked"] if path.startswith(("wor/", "stages/", "data/"))][:3]
        if untracked:
            detail = f"{', '.join(untracked)}: not in git, and a run that uses it cannot be reproduced"
            yield warn("untracked", detail, f"git add {' '.join(untracked)}")
        reason = environment.committed_state(paths.PREREGISTRATION).get("reason") if paths.PREREGISTRATION.is_file() else None
        if reason == environment.SHALLOW:
            detail = f"{paths.PREREGISTRATION}: no iteration can say when it was registered; {reason}"
            yield warn("registration", detail, "git fetch --unshallow")
    if record.merge_in_progress():
        yield warn("merge", "a merge or rebase is in progress: `wor record` will not commit", "git status shows how to end it")
    if git("var", "GIT_COMMITTER_IDENT") is None:
        yield warn("identity", "git has no name and address for you: `wor record` will not commit", record.IDENTITY)
    else:
        yield ok("identity", "set")


def check_dvc() -> Iterator[Finding]:
    if not DVC.is_dir():
        yield fail("DVC", f"no {DVC} in this folder", "dvc init, or from the top of the repository: make setup")
        return
    from dvc.config import Config

    config = Config(str(DVC.absolute()))
    levels = {level: config.load_one(level) for level in config.LEVELS}
    yield ok("cache", short_path(commands.dvc_cache(Path.cwd())))
    kinds = config["cache"].get("type") or ["reflink", "copy"]  # DVC's default
    if links := [kind for kind in kinds if kind in ("hardlink", "symlink")]:
        level = next(name for name in reversed(config.LEVELS) if levels[name].get("cache", {}).get("type"))
        remedy = f"dvc config {LEVELS[level]}cache.type copy && dvc checkout --relink"
        detail = f"cache.type is {', '.join(kinds)}: writing to a {links[0]} changes the cache"
        if os.geteuid() == 0:
            yield fail("cache.type", f"{detail}, and nothing stops root from it", remedy)
        else:
            yield warn("cache.type", detail, remedy)
    else:
        yield ok("cache.type", ", ".join(kinds))
    if config["hydra"].get("enabled"):
        detail = "on: every `dvc exp run` rewrites params.yaml, and `exp apply` then resets parameters silently"
        level = next(name for name in reversed(config.LEVELS) if levels[name].get("hydra", {}).get("enabled"))
        yield fail("hydra", detail, f"dvc config {LEVELS[level]}hydra.enabled false")
    if config["core"].get("analytics") and not os.environ.get("DVC_NO_ANALYTICS"):
        yield warn("analytics", "DVC reports its use to its developers", "dvc config core.analytics false")
    yield from _secrets(levels["repo"].get("remote", {}))
    yield check_lock()
    if page := config["plots"].get("html_template"):
        if (DVC / page).is_file():
            yield ok("plots", f"{DVC / page} exists")
        else:
            yield warn("plots", f"{DVC / page} is missing: `dvc plots` fails", "python -m wor.figures.offline")


def _secrets(remotes: dict[str, dict]) -> Iterator[Finding]:
    """Report credentials in .dvc/config, which git publishes."""
    for name, settings in remotes.items():
        for key in settings:
            if SECRET.search(key):
                remedy = f"dvc remote modify --unset {name} {key} && dvc remote modify --local {name} {key} NEW"
                yield fail("credentials", f"{key} of remote {name} is in {DVC}/config, public to all who clone; renew it", remedy)
        if PASSWORD_IN_URL.search(str(settings.get("url", ""))):
            remedy = f"dvc remote modify {name} url URL && dvc remote modify --local {name} password NEW"
            detail = f"a password is in the url of remote {name} in {DVC}/config, public to all who clone; renew it"
            yield fail("credentials", detail, remedy)


def check_lock() -> Finding:
    """Report a run in progress, by the processes that DVC's locks name."""
    living, dead = lock_owners(Path())
    if living:
        pid, command = next(iter(living.items()))
        name = " ".join([Path(command.split()[0]).name, *command.split()[1:]])
        return warn("lock", f"a run is in progress: {name} (process {pid})", f"Wait for it, or end it: kill -INT {pid}")
    return ok("lock", "left by a run that was killed; `wor run` clears it" if dead else "free")


def check_remote() -> Iterator[Finding]:
    if not DVC.is_dir():
        return
    from dvc.config import Config

    config = Config(str(DVC.absolute()))
    name = config["core"].get("remote")
    if not name:
        remedy = "dvc remote add -d storage s3://BUCKET/study && git commit -m 'Add the remote' .dvc/config"
        yield warn("remote", "none is set: `dvc push` has no target", remedy)
        return
    if name not in config["remote"]:
        yield fail("remote", f"core.remote is {name}, and no remote has that name", f"dvc remote add {name} URL")
        return
    url = str(config["remote"][name].get("url", ""))
    where = f"{name} ({PASSWORD_IN_URL.sub('...@', url) if '://' in url else short_path(Path(url))})"
    other_url = f"dvc remote modify {name} url URL"
    try:
        state = json.loads(reach.ask_in_subprocess("remote", seconds=SECONDS))
    except TimeoutError:
        remedy = f"Check the network, or: {other_url}"
        yield warn("remote", f"{where}: no answer within {SECONDS} s, and a push would hang", remedy)
        return
    except commands.CommandFailed as failed:
        remedy = f"Check the network and the credentials in the environment, or: {other_url}"
        yield warn("remote", f"{where}: {failed.line}", remedy)
        return
    if state == "closed":
        yield warn("remote", f"{where}: cannot be written", f"Run chmod u+w on it, or: {other_url}")
    else:
        yield ok("remote", f"{where}: " + ("reached" if state == "files" else "reached, nothing pushed to it yet"))


def check_iterations() -> Iterator[Finding]:
    experiments = paths.experiments()
    local = registry.iteration_folders(experiments)
    rows = [registry.parse_row(row) for row in registry.read_rows(experiments)]  # raises for a faulty row
    missing = [path.stem for path in sorted(experiments.glob("iteration_*.dvc")) if not path.with_suffix("").is_dir()]
    detail = f"{len(local)} here, {len(rows)} in the registry"
    if waiting := [folder.name for folder in local.values() if not paths.pointer(folder).is_file()]:
        detail += f"; {len(waiting)} not recorded: wor record"
    if missing:
        detail += f"; {len(missing)} recorded and not here: dvc pull"
    yield ok("iterations", f"{detail}. To check that they are intact: wor verify --all" if local else detail)
