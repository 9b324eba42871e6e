"""What can come of a case, and how a call in this process is judged."""

import traceback
from collections.abc import Callable
from typing import NamedTuple

from wor.errors import UserError

ACCEPTED, REFUSED = "accepted", "refused"
# What must not happen.
FAULTS = ("traceback", "wrong exit code", "several lines", "no remedy", "half-written", "silent acceptance")
LONGEST_LINE = 1000  # characters


class Outcome(NamedTuple):
    """What came of a case, and the words that tell more about a fault."""

    kind: str
    detail: str = ""


def judge(call: Callable[[], object], wrong: Callable[[object], str]) -> Outcome:
    """Return the outcome of a call. ``wrong`` says what is wrong with an accepted result, or ''."""
    try:
        result = call()
    except UserError as error:
        return judge_line(str(error), error)
    except Exception:
        return Outcome("traceback", traceback.format_exc()[-600:])
    reason = wrong(result)
    return Outcome("silent acceptance", reason) if reason else Outcome(ACCEPTED)


def judge_line(line: str, error: UserError | None = None) -> Outcome:
    """Return whether a refusal is one line that a person can read, with key, value and remedy."""
    if "\n" in line or len(line) > LONGEST_LINE:
        return Outcome("several lines", line[:600])
    parts = (error.key, str(error.value), error.remedy) if error else (line,)
    return Outcome(REFUSED, line) if all(part.strip() for part in parts) else Outcome("no remedy", line)
