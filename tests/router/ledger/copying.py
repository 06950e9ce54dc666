"""A ledger in a file -> the same ledger elsewhere, row by row."""

from pathlib import Path

from router.ledger.engines.base import Shape
from router.ledger.engines.opening import engine_of
from router.ledger.place import LedgerPlace, SqlitePlace, reading
from router.ledger.tables import METADATA


def copied(path: Path, place: LedgerPlace) -> LedgerPlace:
    """Return where the copy is: `place`, which is an empty ledger, or the file itself where that is one."""
    if isinstance(place, SqlitePlace):
        return SqlitePlace(path)
    engine = engine_of(place)
    with reading(path) as opened, engine.transaction():
        for name, table in METADATA.tables.items():
            columns = tuple(column.name for column in table.columns)
            rows = [tuple(row[column] for column in columns) for row in opened.rows(f"SELECT * FROM {name}")]  # noqa: S608 - names of ours
            if name != "marks":
                engine.insert(Shape(name, columns), rows)
    engine.close()
    return place
