"""A PostgreSQL of our own, on a socket in a folder of its own, gone with the block; for benches and tests.

Its disk is not waited for: what is measured and tested is not the disk.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

from router.ledger.place import PostgresPlace

_OPTIONS: Final = "-c fsync=off -c full_page_writes=off -c listen_addresses= -c max_connections=50"
_PROGRAMS: Final = ("initdb", "pg_ctl")
_OTHERS: Final = ("postgres", "nobody")  # whom it runs as where we are root: it refuses to run as root
_WITHIN: Final = 60.0  # seconds that a program may take


def why_not() -> str:
    """Return why there can be none here; "" where there can."""
    if not all(map(shutil.which, _PROGRAMS)):
        return "PostgreSQL is not installed"
    if find_spec("psycopg") is None:
        return "psycopg is not installed; it comes with the extra postgres"
    return "" if os.getuid() or _other() is not None else "PostgreSQL does not run as root, and there is nobody else"


class PrivatePostgres:
    """One server.

    Args:
        folder: belongs to whom it runs as; sockets, data and its log are in it.
        user: whom it runs as; None is who we are.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder, self._user, self._numbers = folder, user, count()

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql://tandem@/{name}?host={self.folder}"

    def create(self, template: str = "template0") -> PostgresPlace:
        """Return a new database, as another one is."""
        name = f"ledger_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return PostgresPlace(self.url(name))

    def run(self, statement: str) -> None:
        """Have the server do something that concerns all databases."""
        from router.ledger.engines.postgres import connected_to  # noqa: PLC0415  (an extra)

        with connected_to(PostgresPlace(self.url("postgres")), name="bench") as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Return when it answers."""
        log = str(self.folder / "log")
        self.call("pg_ctl", "start", "-w", "-t", "30", "-l", log, "-o", f"{_OPTIONS} -k {self.folder}")

    def stop(self) -> None:
        """End it at once, as a power cut would."""
        self.call("pg_ctl", "stop", "-w", "-t", "30", "-m", "immediate")

    def call(self, program: str, *arguments: str) -> None:
        """Run one of its programs on its data."""
        subprocess.run(
            [shutil.which(program) or program, *arguments, "-D", str(self.folder / "data")],
            user=self._user,
            extra_groups=None if self._user is None else [],
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=_WITHIN,
        )


@contextmanager
def running_postgres() -> Iterator[PrivatePostgres]:
    """Yield a server; `why_not` is asked before."""
    user = None if os.getuid() else _other()
    folder = Path(tempfile.mkdtemp(prefix="tandem-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = PrivatePostgres(folder, user)
        server.call("initdb", "--no-sync", "-A", "trust", "-U", "tandem", "-E", "UTF8", "--locale=C")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _OTHERS if name in known), None)
