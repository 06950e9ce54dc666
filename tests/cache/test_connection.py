"""Tests cache/connection.py against a real redis-server."""

import asyncio
import gc
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import uvloop

from cache.addresses import Address, read_address
from cache.base import StoreAway
from cache.connection import Answer, Connection, Fault, Tally, connect
from cache.supervisor import PrivateRedis


async def open_connection(server: PrivateRedis) -> Connection:
    """Try as a store would: on a busy machine a PING may be slower than its budget."""
    for _ in range(10):
        with suppress(StoreAway):
            return await connect(read_address(server.url), Tally())
    pytest.fail("no connection after ten attempts")


async def close(connection: Connection) -> None:
    connection.abort("the test is over")
    await connection.lost


async def test_commands_of_one_turn_leave_in_one_write(server: PrivateRedis) -> None:
    connection = await open_connection(server)
    transport = connection._transport
    assert transport is not None
    before = len(connection._writes)
    answers = await asyncio.gather(*(connection.ask(b"ECHO", b"%d" % i) for i in range(100)))
    assert answers == [b"%d" % i for i in range(100)]
    assert len(connection._writes) == before + 1
    await close(connection)


@pytest.mark.usefixtures("true_budget")
async def test_one_timer_watches_all_calls_and_rests_without_any(server: PrivateRedis) -> None:
    connection = await open_connection(server)
    for _ in range(200):
        if connection._sweeper is None:
            break
        await asyncio.sleep(0.01)
    assert connection._sweeper is None
    assert not connection._writes
    calls: list[asyncio.Future[Answer]] = []
    timers: list[asyncio.TimerHandle | None] = []
    for _ in range(3):
        calls.append(connection.ask(b"PING"))
        await asyncio.sleep(0)
        timers.append(connection._sweeper)
    assert timers[0] is timers[1] is timers[2] is not None
    await asyncio.gather(*calls)
    await close(connection)


async def test_cancelled_calls_never_shift_the_answers_of_others(server: PrivateRedis) -> None:
    connection = await open_connection(server)
    dice = random.Random(7)
    wrong = cancelled = 0

    async def call(i: int) -> None:
        nonlocal wrong
        wrong += await connection.ask(b"ECHO", b"%d" % i) != b"%d" % i

    for start in range(0, 20_000, 200):
        calls = [asyncio.create_task(call(i)) for i in range(start, start + 200)]
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        for each in calls:
            if dice.random() < 0.5:
                cancelled += each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert cancelled > 5_000
    assert wrong == 0
    assert await connection.ask(b"ECHO", b"end") == b"end"
    await close(connection)


@pytest.mark.usefixtures("true_budget")
async def test_an_answer_that_comes_too_late_is_dropped(server: PrivateRedis) -> None:
    assert server.pid
    connection = await open_connection(server)
    os.kill(server.pid, signal.SIGSTOP)
    late = await connection.ask(b"ECHO", b"late")
    os.kill(server.pid, signal.SIGCONT)
    assert isinstance(late, Fault)
    assert connection.usable
    assert await asyncio.gather(*(connection.ask(b"ECHO", b"%d" % i) for i in range(4))) == [b"0", b"1", b"2", b"3"]
    await close(connection)


async def test_who_waits_for_the_last_answers_is_told_when_none_can_come(server: PrivateRedis) -> None:
    assert server.pid
    connection = await open_connection(server)
    os.kill(server.pid, signal.SIGSTOP)
    connection.tell(b"PING")
    waiting = asyncio.create_task(connection.drain())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.wait_for(waiting, 1)
    await connection.lost


async def test_five_failures_in_a_row_end_a_connection_and_one_answer_begins_anew(server: PrivateRedis) -> None:
    connection = await open_connection(server)
    for _ in range(3):
        await asyncio.gather(*(connection.ask(b"NONSENSE") for _ in range(4)))
        assert await connection.ask(b"PING") == b"PONG"
    for _ in range(5):
        assert connection.usable
        await connection.ask(b"NONSENSE")
    assert not connection.usable
    assert "5 calls failed in a row" in await connection.lost


async def test_an_ended_connection_answers_at_once_with_its_cause(server: PrivateRedis) -> None:
    connection = await open_connection(server)
    outstanding = connection.ask(b"PING")
    connection.abort("enough")
    assert await connection.ask(b"PING") == Fault("enough")
    connection.tell(b"PING")
    assert await outstanding == Fault("enough")
    assert await connection.lost == "enough"


async def test_who_speaks_another_language_is_left() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(StoreAway, match="redis protocol"):
            await connect(Address(host="127.0.0.1", port=port), Tally())


def certificate_in(folder: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH to make a certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = [openssl, "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


async def test_tls_is_spoken_with_a_server_that_proves_its_name_and_no_other(
    server: PrivateRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = certificate_in(tmp_path)
    proof = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proof.load_cert_chain(certificate, key)

    async def unwrap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(read_address(server.url).path)
        try:
            while data := await reader.read(4096):
                inner_writer.write(data)
                writer.write(await inner_reader.read(4096))
        finally:  # also where the test has ended
            inner_writer.close()
            writer.close()

    listener = await asyncio.start_server(unwrap, "127.0.0.1", 0, ssl=proof)
    async with listener:
        address = read_address(f"rediss://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        with pytest.raises(StoreAway, match="certificate verify failed"):
            await connect(address, Tally())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        connection = await connect(address, Tally())
        assert await connection.ask(b"ECHO", b"x") == b"x"
        await close(connection)


async def test_a_cancelled_opening_leaves_no_connection_behind(server: PrivateRedis, hand: redis.Redis) -> None:
    hand.ping()
    for turns in range(6):
        opening = asyncio.create_task(open_connection(server))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if not opening.cancelled():
            await close(opening.result())
    gc.collect()  # a socket that was left open would warn here
    await asyncio.sleep(0.02)
    clients = hand.client_list()
    assert isinstance(clients, list)
    assert len(clients) == 1


@pytest.mark.usefixtures("true_budget")
def test_a_loop_that_stood_still_blames_no_server(server: PrivateRedis) -> None:
    async def main() -> tuple[object, int]:
        assert server.pid
        pid = server.pid
        tally = Tally()
        connection = await connect(read_address(server.url), tally)
        # While the loop reads something else it stands still; the answer comes, and then uvloop runs timers first.
        inbox, outbox = socket.socketpair()
        loop = asyncio.get_running_loop()

        def stand_still() -> None:
            loop.remove_reader(inbox)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.09)

        with inbox, outbox:
            os.kill(pid, signal.SIGSTOP)
            call = connection.ask(b"PING")
            loop.add_reader(inbox, stand_still)
            await asyncio.sleep(0.01)
            outbox.send(b"x")
            answer = await call
        await close(connection)
        return answer, tally.timeouts

    assert uvloop.run(main()) == (b"PONG", 0)
