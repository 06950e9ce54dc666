"""Tests cache/blocking.py."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import pytest
import redis

from cache.addresses import Address, read_address
from cache.base import StoreAway
from cache.blocking import BlockingConnection, dial
from cache.connection import Fault
from cache.supervisor import PrivateRedis


def within(seconds: float) -> float:
    return time.monotonic() + seconds


@contextmanager
def odd_server(answer: Callable[[socket.socket], None]) -> Generator[Address]:
    """Yield the address of a server that lets everybody in and then answers as it likes."""

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"+PONG\r\n")
                connection.recv(4096)
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Address(host="127.0.0.1", port=listener.getsockname()[1])
    thread.join(5)


async def test_answers_come_in_the_order_of_their_commands(server: PrivateRedis) -> None:
    connection = dial(read_address(server.url), deadline=within(2))
    answers = connection.ask(
        [(b"SET", b"a", b"1"), (b"MGET", b"a", b"b"), (b"STRLEN", b"a"), (b"NONSENSE",)], deadline=within(2)
    )
    assert answers[:3] == [b"OK", [b"1", None], 1]
    assert isinstance(answers[3], Fault)
    assert "unknown command" in answers[3].text
    connection.close("done")
    assert connection.ask([(b"PING",)], deadline=within(2)) == []


async def test_it_enters_with_a_password_and_chooses_its_database(server: PrivateRedis, hand: redis.Redis) -> None:
    hand.config_set("requirepass", "open sesame")
    path = server.url.removeprefix("unix://")
    connection = dial(Address(path=path, password="open sesame", database=3), deadline=within(2))
    assert connection.ask([(b"SET", b"a", b"1")], deadline=within(2)) == [b"OK"]
    connection.close("done")
    with redis.Redis.from_url(server.url, password="open sesame", db=3) as inside:
        assert inside.get("a") == b"1"
    with pytest.raises(StoreAway, match="NOAUTH"):
        dial(Address(path=path), deadline=within(2))


async def test_a_megabyte_comes_whole(server: PrivateRedis) -> None:
    connection = dial(read_address(server.url), deadline=within(2))
    value = bytes(range(256)) * 20_000
    assert connection.ask([(b"SET", b"a", value), (b"GET", b"a")], deadline=within(5)) == [b"OK", value]
    connection.close("done")


def test_nobody_at_the_address_is_said(tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StoreAway, match="cannot be reached"):
        dial(Address(host="127.0.0.1", port=port), deadline=within(2))
    with pytest.raises(StoreAway, match="cannot be reached"):
        dial(Address(path=f"{tmp_path}/none"), deadline=within(2))


def test_a_server_that_drips_bytes_cannot_hold_a_caller_beyond_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"$1000\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.02)

    with odd_server(drip) as address:
        connection = dial(address, deadline=within(2))
        began = time.monotonic()
        assert connection.ask([(b"GET", b"a")], deadline=within(0.2)) == []
        assert 0.19 < time.monotonic() - began < 0.5
        assert connection.cause == "no answer in time"


def test_answers_that_came_in_time_count_though_others_did_not() -> None:
    def answer_half(connection: socket.socket) -> None:
        connection.sendall(b"$1\r\na\r\n$1\r\nb\r\n$10\r\nc")
        time.sleep(0.5)

    with odd_server(answer_half) as address:
        connection = dial(address, deadline=within(2))
        commands = [(b"GET", b"a"), (b"GET", b"b"), (b"GET", b"c")]
        assert connection.ask(commands, deadline=within(0.2)) == [b"a", b"b"]


@pytest.mark.parametrize(("said", "cause"), [(b"", "closed"), (b"HTTP/1.1 400 Bad Request\r\n", "Protocol")])
def test_a_server_that_hangs_up_or_speaks_another_protocol_ends_the_connection(said: bytes, cause: str) -> None:
    with odd_server(lambda connection: connection.sendall(said)) as address:
        connection: BlockingConnection = dial(address, deadline=within(2))
        assert connection.ask([(b"GET", b"a")], deadline=within(2)) == []
        assert cause in connection.cause
