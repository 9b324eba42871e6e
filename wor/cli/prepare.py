"""Commands before a run: can it run, with what, for how long, on which items."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from wor.cli import complete
from wor.cli.shared import AsJson, Profile, Settings, print_json
from wor.config import overrides, params
from wor.errors import UserError
from wor.pipeline import validation
from wor.report import terminal


def doctor(profile: Profile = "", as_json: AsJson = False) -> None:
    """Say whether this machine and this checkout can run the study, and change nothing.

    Exit 1 when something fails.

    Example: wor doctor --profile full
    """
    from wor.doctor import examine  # with what it looks at, which no other command waits for

    found = examine(profile)
    fails = any(one.status == "fail" for group in found.values() for one in group)
    if as_json:
        lines = [{"group": group, **asdict(one)} for group, several in found.items() for one in several]
        print_json({"status": "fail" if fails else "ok", "checks": lines})
    else:
        terminal.show_findings(found)
    if fails:
        raise SystemExit(1)


def check(set_: Settings = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Check params.yaml, the frozen lists and prereg.yaml, and run nothing.

    Exit 2 names the first fault and what to do about it.

    Example: wor check -S temperature=0.7
    """
    checked = validation.check_run(overrides.parse_settings(set_))
    departures = validation.check_study(checked)
    kind = "exploratory" if departures else "confirmatory"
    found = {"models": checked.models, "datasets": checked.datasets, "kind": kind, "departures": departures}
    if as_json:
        print_json(found)
    else:
        terminal.show_check(found)


def plan(profile: Profile = "", set_: Settings = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Say what a run would do: stages, items, tokens, FLOPs, time, memory, disk, downloads, and what DVC has already.

    Measures this machine for some 20 seconds first. Runs nothing but check and ids, converts a package's weights if need
    be, and downloads nothing.

    Example: wor plan --profile full
    """
    changes = overrides.collect_overrides(profile, set_)
    checked = validation.check_run(changes)
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported; what isn't in its cache is planned as a download
    from wor.plan.plan import make_plan  # with torch and dvc, which no other command waits for

    found = make_plan(checked, changes)
    if as_json:
        print_json({**asdict(found), "seconds": found.seconds})
    else:
        terminal.show_plan(checked, found)


def freeze(
    dataset: Annotated[str, typer.Argument(help="A name under dataset_specs.", autocompletion=complete.datasets)],
    n: Annotated[int, typer.Option(help="How many items.", min=1)],
) -> None:
    """Draw a frozen list for a dataset. Never overwrites one.

    Example: wor freeze my-questions --n 400
    """
    from wor.data import frozen

    settings = params.load_params()
    if dataset not in settings.dataset_specs:
        raise UserError("dataset", repr(dataset), f"dataset_specs has {', '.join(settings.dataset_specs)}")
    typer.echo(f"{n} items frozen in {frozen.freeze(dataset, settings.spec(dataset), n, settings.seed)}")
