"""The one error that a user sees: a line that names the key, the value and the remedy."""

LONGEST = 400  # characters of a key or value that a line shows


class UserError(Exception):
    """Bad input or a refused environment. Shown as one line, without a traceback; exit code 2.

    A long value is cut, and what a terminal would obey (an escape) is shown as it is written.

    Parameters
    ----------
    key : what is wrong: a parameter's dotted name, a file, an item.
    value : what was found there.
    remedy : what to do about it, as an imperative clause.
    """

    exit_code = 2

    def __init__(self, key: object, value: object, remedy: str):
        self.key, self.value, self.remedy = str(key), value, remedy
        super().__init__(_one_line(f"{_cut(self.key)}: {_cut(str(value))}. {remedy}"))

    def __reduce__(self) -> tuple:
        """Let a worker's error cross processes. Exception's own would pass the line as ``key``."""
        return type(self), (self.key, self.value, self.remedy)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
