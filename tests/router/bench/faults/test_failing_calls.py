"""Tests `router/bench/faults/failing_calls.py`: real files and real sockets."""

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from router.bench.faults.failing_calls import WAYS, Calls, Seam, connect_untouched, failing

FULL, DONE = (next(way for way in WAYS if way.name == name) for name in ("disk full", "i/o error when done"))
RESET, SENT = (next(way for way in WAYS if way.name == name) for name in ("reset", "reset when done"))


def numbers_in(file: Path) -> list[int]:
    with closing(connect_untouched(file)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM kept")]


def keep(connection: sqlite3.Connection, number: int) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO kept VALUES (?)", (number,))


def test_the_chosen_call_of_a_file_fails_once_and_its_transaction_is_undone(tmp_path: Path) -> None:
    calls = Calls({})
    with failing(calls), closing(sqlite3.connect(tmp_path / "kept.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE kept (number)")
        calls.begin()
        keep(connection, 0)
        counted = calls.end()[Seam.FILE]
        assert counted == 3  # it begins, it inserts, it commits
        for number in range(1, counted + 1):
            calls.begin(FULL, Seam.FILE, number)
            with pytest.raises(sqlite3.OperationalError, match="full"):
                keep(connection, number)
            keep(connection, 10 * number)
            calls.end()
    assert numbers_in(tmp_path / "kept.db") == [0, 10, 20, 30]


def test_a_commit_can_fail_that_was_made(tmp_path: Path) -> None:
    calls = Calls({})
    with failing(calls), closing(sqlite3.connect(tmp_path / "kept.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE kept (number)")
        calls.begin(DONE, Seam.FILE, 3)
        with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
            keep(connection, 1)
    assert numbers_in(tmp_path / "kept.db") == [1]


def test_calls_to_the_chosen_server_fail_and_no_others() -> None:
    before = {name: getattr(socket.socket, name) for name in ("connect", "send", "recv")}
    with socket.create_server(("127.0.0.1", 0)) as redis, socket.create_server(("127.0.0.1", 0)) as other:
        calls = Calls({redis.getsockname()[1]: Seam.REDIS})
        with failing(calls):
            for way, number, what in ((RESET, 1, _connects), (RESET, 2, _sends), (SENT, 2, _sends)):
                calls.begin(way, Seam.REDIS, number)
                what(other)()
                with pytest.raises(ConnectionResetError):
                    what(redis)()
                assert calls.end() == {Seam.REDIS: number}
            assert _last_heard(redis) == b"word"  # it was carried out all the same
    assert {name: getattr(socket.socket, name) for name in before} == before


def _connects(server: socket.socket) -> Callable[[], None]:
    def connect() -> None:
        with socket.socket() as own:
            own.connect(server.getsockname())

    return connect


def _sends(server: socket.socket) -> Callable[[], None]:
    def send() -> None:
        with socket.socket() as own:
            own.connect(server.getsockname())
            own.send(b"word")

    return send


def _last_heard(server: socket.socket) -> bytes:
    server.settimeout(0.1)
    heard = b""
    try:
        while True:
            taken, _ = server.accept()
            with taken:
                heard = taken.recv(10)
    except TimeoutError:
        return heard
