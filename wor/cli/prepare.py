"""Commands before a run: whether it can run, with what, for how long, and on which items."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from wor.cli import complete
from wor.cli.shared import AsJson, Profile, Settings, print_json
from wor.config import overrides, params
from wor.data import frozen
from wor.errors import UserError
from wor.pipeline import validation
from wor.report import terminal


def doctor(profile: Profile = "", as_json: AsJson = False) -> None:
    """Check whether this machine and this checkout can run the study. Changes nothing.

    Exit 1 when something fails.

    Example: wor doctor --profile full
    """
    from wor.doctor import examine  # heavy libraries, which no other command needs

    groups = examine(profile)
    fails = any(finding.status == "fail" for findings in groups.values() for finding in findings)
    if as_json:
        checks = [{"group": group, **asdict(finding)} for group, findings in groups.items() for finding in findings]
        print_json({"status": "fail" if fails else "ok", "checks": checks})
    else:
        from wor.doctor.show import show_findings

        show_findings(groups)
    if fails:
        raise SystemExit(1)


def check(set_: Settings = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Check parameters, registration, frozen lists, your own rows and models, and run nothing.

    Exit 2 names the first fault and what to do about it.

    Example: wor check -S temperature=0.7
    """
    settings = validation.check_run(overrides.parse_settings(set_))
    departures = validation.check_study(settings)
    validation.check_models(settings, settings.models)
    frozen.require_local_items(settings)
    kind = "exploratory" if departures else "confirmatory"
    result = {"models": settings.models, "datasets": settings.datasets, "kind": kind, "departures": departures}
    if as_json:
        print_json(result)
    else:
        terminal.show_check(result)


def plan(profile: Profile = "", set_: Settings = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Print what a run would take: items, tokens, FLOPs, time, memory, disk, downloads, per stage.

    Measures this machine first. Runs nothing but check and ids, converts a package's weights if
    needed, and downloads nothing.

    Example: wor plan --profile full
    """
    changes = overrides.collect_overrides(profile, set_)
    settings = validation.check_run(changes)
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bar of whatever converts a package's weights
    os.environ["HF_HUB_OFFLINE"] = "1"  # the library reads it at import; what isn't in its cache is planned as a download
    from wor.plan.plan import make_plan  # torch and dvc, which few commands need

    planned = make_plan(settings, changes)
    if as_json:
        print_json({**asdict(planned), "seconds": planned.seconds})
    else:
        from wor.plan.show import show_plan

        show_plan(settings, planned)


def freeze(
    dataset: Annotated[str, typer.Argument(help="A name under dataset_specs.", autocompletion=complete.datasets)],
    n: Annotated[int, typer.Option(help="How many items.", min=1)],
) -> None:
    """Draw a frozen list for a dataset. Never overwrites one.

    Example: wor freeze my-questions --n 400
    """
    settings = params.load_params()
    if dataset not in settings.dataset_specs:
        raise UserError("dataset", repr(dataset), f"dataset_specs has {', '.join(settings.dataset_specs)}")
    typer.echo(f"{n} items frozen in {frozen.freeze(dataset, settings.spec(dataset), n, settings.seed)}")
