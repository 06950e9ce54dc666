"""Why a command ended -> exit code, words, JSON.

CommandError                 exit_code
  CommandFailed                1   what was asked could not be done
  BadUsage                     2   an argument cannot be understood
  BadConfiguration  faults     3   the configuration file cannot be used
  BackendAway       ready      4   a backend does not answer
"""

from dataclasses import asdict
from typing import ClassVar

from router.config.faults import Fault


class CommandError(Exception):
    """A command cannot go on.

    Attributes:
        what: the fact, lower case.
        where: file, option or address; "" where there is none.
        advice: what to do; "" where there is nothing.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", advice: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.advice = what, where, advice

    def __str__(self) -> str:
        """Return "what (where): advice"."""
        where = f" ({self.where})" if self.where else ""
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.what}{where}{advice}"

    def as_json(self) -> dict[str, object]:
        """Return the object that stands under "error" on standard output."""
        return {
            "message": self.what,
            "where": self.where or None,
            "advice": self.advice or None,
            "exit_code": self.exit_code,
        }


class CommandFailed(CommandError):
    """What was asked could not be done."""


class BadUsage(CommandError):
    """An argument cannot be understood."""

    exit_code = 2


class BadConfiguration(CommandError):
    """The configuration cannot be used; says all its faults at once, a line each, as editors read them."""

    exit_code = 3

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        many = f"{len(faults)} faults" if len(faults) > 1 else "one fault"
        super().__init__(f"the configuration has {many}")
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join([self.what, *map(str, self.faults)])

    def as_json(self) -> dict[str, object]:
        """Return the object that stands under "error", with a list of the faults."""
        return {**super().as_json(), "faults": [asdict(fault) for fault in self.faults]}


class BackendAway(CommandError):
    """A backend does not answer.

    Attributes:
        ready: for each tier whether its backend is ready; None where they were not all asked.
    """

    exit_code = 4

    def __init__(self, what: str, *, where: str = "", advice: str = "", ready: dict[str, bool] | None = None) -> None:
        super().__init__(what, where=where, advice=advice)
        self.ready = ready

    def as_json(self) -> dict[str, object]:
        """Return the object that stands under "error", with what each backend said."""
        return super().as_json() if self.ready is None else {**super().as_json(), "ready": self.ready}
