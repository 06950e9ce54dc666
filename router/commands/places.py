"""Options of a command line -> where the ledger is, and what is told where it cannot be read."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from router.commands.errors import CommandFailed
from router.config.reading import read_config
from router.ledger.damage import damage_in
from router.ledger.place import LedgerPlace, LedgerUnreadable, PostgresPlace, SqlitePlace, is_address

_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError)
"""What is raised over a value that cannot be."""


def place_of(ledger: str | None, config: Path | None, *, must_be: bool = True) -> LedgerPlace:
    """Return where the ledger is.

    Args:
        ledger: a path, or the address of a database; None takes what the configuration names.
        must_be: a file has to be there already.

    Raises:
        CommandFailed: there is no such file.
        ConfigError: the configuration cannot be used.
    """
    if ledger is None:
        place = read_config(config).ledger.place
    else:
        place = PostgresPlace(ledger) if is_address(ledger) else SqlitePlace(Path(ledger))
    if must_be and isinstance(place, SqlitePlace) and not place.path.is_file():
        raise CommandFailed("there is no ledger", where=str(place), advice="name one with --ledger")
    return place


@contextmanager
def telling(place: LedgerPlace, *, option: str = "--ledger") -> Generator[None, None, None]:
    """Run the block that reads a ledger and works out what it tells.

    Raises:
        CommandFailed: the ledger cannot be read, or it holds what no gateway has written: says which row that is.
    """
    try:
        yield
    except LedgerUnreadable as error:
        raise CommandFailed(str(error), where=str(place), advice=f"name a ledger with {option}") from error
    except _BROKEN as error:
        try:
            damage = damage_in(place)
        except LedgerUnreadable as unreadable:
            damage = str(unreadable)
        if damage is None:
            raise  # it is of something else
        advice = "mend or remove it, or restore the ledger from a copy"
        raise CommandFailed(damage, where=str(place), advice=advice) from error
