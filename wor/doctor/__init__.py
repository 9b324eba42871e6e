"""`wor doctor`: whether this machine and this checkout can run the study, line by line. Looks, and changes nothing.

A check is a generator of findings. A fault inside one becomes a finding too, so that what is broken hides nothing
else; see `examine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from wor.config import overrides
from wor.config.params import Params
from wor.doctor import data, hub, machine, repository, software
from wor.doctor.finding import Finding, fail, ok, warn
from wor.errors import UserError
from wor.pipeline import validation

__all__ = ["Finding", "examine", "look"]

Check = Callable[[], Iterable[Finding]]


def examine(profile: str = "") -> dict[str, list[Finding]]:
    """Every finding, by group. ``profile``: an overlay of profiles/ to hold the machine against."""
    settings: list[Params] = []
    parameters = run_check("params.yaml", partial(_parameters, profile, settings))
    groups: dict[str, dict[str, Check]] = {
        "Software": {
            "Python": software.python,
            "packages": software.packages,
            "code": software.code,
            "tools": software.tools,
            "environment": software.variables,
        },
        "Machine": {},
        "Study": {},
        "Repository": {
            "git": repository.git_state,
            "DVC": repository.dvc_state,
            "remote": repository.remote,
            "iterations": repository.iterations,
        },
    }
    if settings:
        (params,) = settings
        groups["Machine"] = {
            "load": partial(machine.load, params),  # before anything here adds to it
            "CPU": partial(machine.cpu, params),
            "GPU": partial(machine.gpu, params),
            "memory": partial(machine.memory, params),
            "disk": partial(machine.disk, params),
        }
        groups["Study"] = {
            "items": partial(data.check_lists, params),
            "sources": partial(data.check_sources, params),
            "weights": partial(data.check_weights, params),
            "hub": partial(hub.check_access, hub.hub_specs(params)),
        }
    # In another order than shown: the machine's load first.
    found = {
        name: [finding for key, check in groups[name].items() for finding in run_check(key, check)] for name in sorted(groups)
    }
    found["Study"] = parameters + found["Study"]
    return {name: found[name] for name in groups if found[name]}


def run_check(name: str, check: Check) -> list[Finding]:
    """What ``check`` finds; its own fault as a last finding called ``name``, whatever it is."""
    found = []
    try:
        for finding in check():
            found.append(finding)
    except UserError as error:
        found.append(fail(name, str(error.value) if error.key == name else f"{error.key}: {error.value}", error.remedy))
    except ModuleNotFoundError as error:
        found.append(fail(name, f"{(error.name or '').split('.')[0]} is not installed", "make setup"))
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        found.append(fail(name, f"could not be looked at: {type(error).__name__}: {said}", "Mend that, then: wor doctor"))
    return found


def _parameters(profile: str, into: list[Params]) -> Iterable[Finding]:
    """Check params.yaml with the profile, and leave the parameters in ``into`` for the checks that follow."""
    overlay = f" with profile {profile}" if profile else ""
    try:
        params = validation.check_run(overrides.collect_overrides(profile))
    except Exception:  # also a package that is not there
        yield warn(f"params{overlay}", "machine, data, weights and hub are not looked at", "Mend the fault below first")
        raise
    into.append(params)
    yield ok("params.yaml", f"{', '.join(params.models)} on {', '.join(params.datasets)}{overlay}: no fault")
    departures = validation.check_study(params)
    more = f" and {len(departures) - 2} more" if len(departures) > 2 else ""
    standing = f"exploratory: {'; '.join(departures[:2])}{more}" if departures else "every registered parameter at its value"
    yield ok("prereg.yaml", standing)
