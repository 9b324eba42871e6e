"""Check whether this machine and this checkout can run the study, without changing anything.

A check yields findings. An error inside one becomes a finding too, and hides no other.
"""

from collections.abc import Callable, Iterable
from functools import partial

from wor.config import overrides
from wor.config.params import Params
from wor.doctor import data, hub, machine, repository, software
from wor.doctor.finding import Finding, fail, ok, warn
from wor.errors import UserError
from wor.pipeline import validation

__all__ = ["Finding", "examine", "run_check"]

Check = Callable[[], Iterable[Finding]]


def examine(profile: str = "") -> dict[str, list[Finding]]:
    """Return every finding by group, for the parameters with an overlay of profiles/."""
    settings: list[Params] = []
    parameters = run_check("params.yaml", partial(_parameters, profile, settings))
    groups: dict[str, dict[str, Check]] = {
        "Software": {
            "Python": software.check_python,
            "packages": software.check_packages,
            "code": software.check_code,
            "tools": software.check_tools,
            "environment": software.check_variables,
        },
        "Machine": {},
        "Study": {},
        "Repository": {
            "git": repository.check_git,
            "DVC": repository.check_dvc,
            "remote": repository.check_remote,
            "iterations": repository.check_iterations,
        },
    }
    if settings:
        (params,) = settings
        groups["Machine"] = {
            "load": partial(machine.check_load, params),  # before the other checks add to it
            "CPU": partial(machine.check_cpu, params),
            "GPU": partial(machine.check_gpu, params),
            "memory": partial(machine.check_memory, params),
            "disk": partial(machine.check_disk, params),
        }
        groups["Study"] = {
            "items": partial(data.check_lists, params),
            "sources": partial(data.check_sources, params),
            "weights": partial(data.check_weights, params),
            "hub": partial(hub.check_access, hub.hub_specs(params)),
        }
    findings = {  # sorted, as the machine's load must be measured first
        name: [finding for key, check in groups[name].items() for finding in run_check(key, check)] for name in sorted(groups)
    }
    findings["Study"] = parameters + findings["Study"]
    return {name: findings[name] for name in groups if findings[name]}


def run_check(name: str, check: Check) -> list[Finding]:
    """Return the findings of ``check``. If it raises, the last finding is the error."""
    findings = []
    try:
        for finding in check():
            findings.append(finding)
    except UserError as error:
        findings.append(fail(name, str(error.value) if error.key == name else f"{error.key}: {error.value}", error.remedy))
    except ModuleNotFoundError as error:
        findings.append(fail(name, f"{(error.name or '').split('.')[0]} is not installed", "make setup"))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        findings.append(fail(name, f"could not be checked: {type(error).__name__}: {text}", "Correct that, then: wor doctor"))
    return findings


def _parameters(profile: str, into: list[Params]) -> Iterable[Finding]:
    """Check params.yaml with the profile, and append the parameters to ``into``."""
    overlay = f" with profile {profile}" if profile else ""
    try:
        params = validation.check_run(overrides.collect_overrides(profile))
    except Exception:  # also a missing package
        yield warn(f"params{overlay}", "machine, data, weights and hub are not checked", "Correct the fault below first")
        raise
    into.append(params)
    yield ok("params.yaml", f"{', '.join(params.models)} on {', '.join(params.datasets)}{overlay}: no fault")
    deviations = validation.check_study(params)
    more = f" and {len(deviations) - 2} more" if len(deviations) > 2 else ""
    status = f"exploratory: {'; '.join(deviations[:2])}{more}" if deviations else "every registered parameter at its value"
    yield ok("prereg.yaml", status)
