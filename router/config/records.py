"""Where records and stored objects are kept, and for how long."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from router.config.options import Number, Options
from router.ledger.cubes import DAY
from router.ledger.place import LedgerPlace, PostgresPlace, SqlitePlace, is_address
from router.ledger.retention import Retention


class RecordOptions(Options):
    """For how long records are kept, wherever that is.

    Attributes:
        raw_days: days until a request's own rows are erased, by whole days; their sums stay. None: never.
        hour_days: days until sums of hours, and those of users and conversations, are erased; those of days stay.
            None: never.
        reply_keys: what names a request's kept reply is recorded also where nothing is kept, so that a cache can be
            replayed that there was not; where there is one it always is.
    """

    raw_days: Annotated[float, Field(ge=1, le=36_500), Number] | None = 30.0
    hour_days: Annotated[float, Field(ge=1, le=36_500), Number] | None = 400.0
    reply_keys: bool = False

    @property
    def retention(self) -> Retention:
        """Return the same in seconds."""
        raw, hours = (None if days is None else days * DAY for days in (self.raw_days, self.hour_days))
        return Retention(raw, hours)


class SqliteLedgerOptions(RecordOptions):
    """Records are kept in a file.

    Attributes:
        path: of the file; a relative one is below the working directory.
    """

    use: Literal["sqlite"] = "sqlite"
    path: Path = Path("tandem.db")

    @property
    def place(self) -> LedgerPlace:
        """Return where that is."""
        return SqlitePlace(self.path)


class PostgresLedgerOptions(RecordOptions):
    """Records are kept in PostgreSQL; needs the extra "postgres".

    Attributes:
        url: of a database of its own, such as "postgresql://tandem:${PASSWORD}@db:5432/tandem". Between it and the
            gateway may be nothing that shares connections, such as PgBouncer by transactions.
        path: what is no record is kept in files all the same, such as stored completions; they are named after this
            one, which is not made itself.
    """

    use: Literal["postgres"]
    url: SecretStr
    path: Path = Path("tandem.db")

    @field_validator("url")
    @classmethod
    def _names_a_database(cls, url: SecretStr) -> SecretStr:
        if not is_address(url.get_secret_value()):
            raise PydanticCustomError("ledger_url", "must be an address such as postgresql://user@host:5432/name")
        return url

    @property
    def place(self) -> LedgerPlace:
        """Return where that is."""
        return PostgresPlace(self.url.get_secret_value())


def _a_file_where_nothing_is_said(chosen: object) -> object:
    return {"use": "sqlite", **chosen} if isinstance(chosen, dict) else chosen


LedgerOptions = Annotated[
    SqliteLedgerOptions | PostgresLedgerOptions,
    Field(discriminator="use"),
    BeforeValidator(_a_file_where_nothing_is_said),
]


class StoredOptions(Options):
    """What callers have us store: completions and responses, with their text.

    Attributes:
        path: of the file, which several processes may share; None: beside the ledger, with -stored in its name.
        retention_days: days until an object is erased.
        max_bytes_per_tenant: what would be more is refused until something is deleted.
    """

    path: Path | None = None
    retention_days: Annotated[float, Field(gt=0, le=3_650), Number] = 30.0
    max_bytes_per_tenant: Annotated[int, Field(ge=1 << 20, le=1 << 40), Number] = 256 << 20

    def beside(self, ledger: Path) -> Path:
        """Return the file's path."""
        return self.path or ledger.with_name(f"{ledger.stem}-stored{ledger.suffix}")
