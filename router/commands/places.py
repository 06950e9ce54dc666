"""Options of a command line -> where the ledger is."""

from pathlib import Path

from router.commands.errors import CommandFailed
from router.config.reading import read_config
from router.ledger.place import LedgerPlace, PostgresPlace, SqlitePlace, is_address


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
