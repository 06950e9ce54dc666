"""What is wrong with a configuration, and where.

    ConfigError    faults    the file cannot be used; nothing was changed

No message ever quotes a value: a value may be a secret.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing to mend; faults sort in the order in which the file is read.

    Attributes:
        file: as it was named; "" where there is none.
        line: from 1.
        column: from 1.
        path: such as "backends.large.urls[0]"; "" for the file as a whole.
        message: the fact, in lower case.
        suggestion: what to do; "" where the message says it.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        """Return "file:line:column: path: message; suggestion"."""
        said = "; ".join(part for part in (self.message, self.suggestion) if part)
        where = f"{self.file}:{self.line}:{self.column}" if self.file else ""
        return ": ".join(part for part in (where, self.path, said) if part)


class ConfigError(Exception):
    """A configuration that cannot be used.

    Attributes:
        faults: all of them, in the file's order.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
