"""The words between what is written into a ledger and the engine that keeps it.

An engine knows its own SQL and none of the tables: what it writes comes with its shape. All of it is blocking and
belongs to one thread at a time.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

Row = tuple[object, ...]

NUL: Final = "\0"
"""The one character that PostgreSQL holds in no text; no id has it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of one table, as they are handed over.

    Attributes:
        columns: in the order of a row; what is left out takes its default.
        keys: how many of them, the first ones, are the table's key.
        clash: what becomes of a row whose key is there already: an error, nothing, it takes the other one's place, or
            its numbers are added to the other one's.
    """

    table: str
    columns: tuple[str, ...]
    keys: int = 1
    clash: Literal["error", "keep", "replace", "add"] = "error"


class Engine(Protocol):
    """One connection that writes."""

    errors: tuple[type[Exception], ...]
    """What its methods raise, for values that cannot be held as well."""

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction: committed at the end of the block, undone where the block raises."""
        ...

    def insert(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Write rows; returns how many were, which are fewer where those are kept that were there."""
        ...

    def settle(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Change rows by their key where `outcome` is NULL; returns how many that were."""
        ...

    def among(self, statement: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, if any, in which `{among}` stands for "is one of these ids"."""
        ...

    def run(self, statement: str, parameters: Mapping[str, object]) -> tuple[list[tuple[Any, ...]], int]:
        """Return rows of a statement, its parameters written as `:name`, and how many rows it has changed."""
        ...

    def is_passing(self, error: Exception) -> bool:
        """Tell whether the same may be written later: the place is to blame, not a value."""
        ...

    def is_collision(self, error: Exception) -> bool:
        """Tell whether the same may be written at once: another writer was in the way."""
        ...

    def erasing(self) -> AbstractContextManager[None]:
        """See to it that what is erased inside the block leaves no bytes behind, as far as the engine can do that."""
        ...

    def fold(self) -> bool:
        """Drop what a log still holds of what was erased; tells whether nothing of it is left."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
