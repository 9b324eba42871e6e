"""The one error that a user sees: a line that names the key, the value and the remedy."""


class UserError(Exception):
    """Bad input or a refused environment. Shown as one line, without a traceback; exit code 2.

    Parameters
    ----------
    key : what is wrong: a parameter's dotted name, a file, an item.
    value : what was found there.
    remedy : what to do about it, as an imperative clause.
    """

    exit_code = 2

    def __init__(self, key: object, value: object, remedy: str):
        self.key, self.value, self.remedy = str(key), value, remedy
        super().__init__(" ".join(f"{self.key}: {value}. {remedy}".split()))

    def __reduce__(self) -> tuple:
        """Let a worker's error cross processes. Exception's own would pass the line as ``key``."""
        return type(self), (self.key, self.value, self.remedy)
