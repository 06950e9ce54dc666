"""router/listener.py: a refusal reaches a caller who is still sending, and nobody may send for ever behind it."""

import asyncio
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.router.conftest import House, Served

_LONG = b"x" * (8 << 20)
_POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
_KEY = "a-key-of-the-lingering-house"
_AUTHORISED = b"authorization: Bearer " + _KEY.encode() + b"\r\n"
_KEYED = {"keys": [{"tenant": "acme", "key": _KEY}], "server": {"max_body_bytes": 1 << 20}}
_LENGTH = b"content-length: %d\r\n\r\n" % len(_LONG)
_CHUNK = b"%x\r\n%b\r\n" % (1 << 16, b"x" * (1 << 16))
_SMALL = b'{"model":"mini","messages":[{"role":"user","content":"hi"}]}'

REFUSED = {
    "413 by its length": (413, _AUTHORISED + _LENGTH + _LONG),
    "413 in chunks": (413, _AUTHORISED + b"transfer-encoding: chunked\r\n\r\n" + _CHUNK * 128 + b"0\r\n\r\n"),
    "401": (401, _LENGTH + _LONG),
    "401 and close": (401, b"connection: close\r\n" + _LENGTH + _LONG),
    "400 within the body": (400, _AUTHORISED + b"transfer-encoding: chunked\r\n\r\n" + _CHUNK + b"zz\r\n" + _LONG),
    "431": (431, b"x: " + b"y" * 40_000 + b"\r\n" + _LENGTH + _LONG),
}


def port_of(house: House) -> int:
    return house.client.base_url.port or 0


def sent_whole_then_read(port: int, message: bytes) -> bytes:
    """Return the answer, as a caller finds it who sends everything before it looks."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as own:
        own.sendall(message)
        answer = b""
        while piece := own.recv(1 << 16):
            answer += piece
        return answer


@pytest.mark.parametrize("refused", REFUSED)
async def test_a_refusal_reaches_who_sends_all_of_a_long_body_first(refused: str, serve_house: Served) -> None:
    status, rest = REFUSED[refused]
    async with serve_house(**_KEYED) as house:
        for _ in range(3):
            answer = await asyncio.to_thread(sent_whole_then_read, port_of(house), _POST + rest)
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            assert answer.count(b"HTTP/1.1 ") == 1
            assert b"connection: close" in answer
            assert answer.endswith(b"}")
    assert house.rows() == []


async def test_httpx2_and_curl_read_refusals_of_long_bodies(serve_house: Served, tmp_path: Path) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {_KEY}"}
    body = tmp_path / "body"
    body.write_bytes(_LONG)
    curl = shutil.which("curl")
    async with serve_house(**_KEYED) as house:
        url = f"http://127.0.0.1:{port_of(house)}/v1/chat/completions"
        async with httpx2.AsyncClient(trust_env=False) as client:
            for _ in range(3):
                assert (await client.post(url, content=_LONG, headers=headers)).status_code == 413
                assert (await client.post(url, content=_LONG)).status_code == 401
        if curl is None:
            pytest.skip("curl is not on PATH")
        for expects in ("expect: 100-continue", "expect:"):  # which curl says by itself of long bodies, or not
            flags = ("-s", "--noproxy", "*", "-H", "content-type: application/json", "-H", expects)
            calling = await asyncio.create_subprocess_exec(
                curl, *flags, "--data-binary", f"@{body}", "-w", "%{http_code}", url, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await calling.communicate()
            assert said.endswith(b"401")
            assert b"error" in said


async def test_a_connection_is_kept_where_a_short_body_ends_behind_its_refusal(serve_house: Served) -> None:
    head = b"content-length: %d\r\n\r\n" % len(_SMALL)
    async with serve_house(**_KEYED) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(house))
        for key, status in ((b"", b"401"), (_AUTHORISED, b"200")):
            writer.write(_POST + key + head)
            await asyncio.sleep(0.05)
            writer.write(_SMALL)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 " + status)
            await reader.readexactly(int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            await asyncio.sleep(0.05)
        writer.close()


async def test_who_waits_for_a_continue_that_does_not_come_is_told_of_the_end(serve_house: Served) -> None:
    async with serve_house(**_KEYED) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(house))
        writer.write(_POST + b"expect: 100-continue\r\ncontent-length: 20\r\n\r\n")  # its next bytes need be no body
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer


def endless() -> Iterator[tuple[bytes, float]]:
    while True:
        yield b"x" * (1 << 16), 0.0


def dripping() -> Iterator[tuple[bytes, float]]:
    while True:
        yield b"x", 0.02


def steady() -> Iterator[tuple[bytes, float]]:
    while True:
        yield b"x" * 10_000, 0.02


@pytest.mark.parametrize(
    ("sending", "bounds"),
    [
        (endless, {"LINGER_BYTES": 1 << 20}),
        (dripping, {"LINGER_LOOK": 0.2}),
        (steady, {"LINGER_LOOK": 0.1, "LINGER_WITHIN": 0.3}),
    ],
)
async def test_nobody_sends_for_ever_behind_a_refusal(
    sending: object, bounds: dict[str, float], serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in bounds.items():
        monkeypatch.setattr(f"router.listener.{name}", bound)
    clock = asyncio.get_running_loop().time
    async with serve_house(**_KEYED) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(house))
        writer.write(_POST + _AUTHORISED + b"content-length: 999999999999\r\n\r\n")
        began, sent = clock(), 0
        assert (await reader.read(1 << 16)).startswith(b"HTTP/1.1 413 ")
        assert await reader.read() == b""  # told at once that nothing more comes
        assert clock() - began < 0.15
        with suppress(OSError):
            assert callable(sending)
            for piece, pause in sending():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
                sent += len(piece)
                assert clock() - began < 2
        writer.close()
    assert sent < 16 << 20


async def test_who_says_something_that_is_no_body_leaves_nothing_running(serve_house: Served) -> None:
    async with serve_house(**_KEYED) as house:
        house.mini.completion_hangs = True
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(house))
        writer.write(_POST + _AUTHORISED + b"content-length: %d\r\n\r\n" % len(_SMALL) + _SMALL)
        async with asyncio.timeout(5):
            while not house.mini.calls:
                await asyncio.sleep(0.01)
            writer.write(b"no HTTP at all\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            while not house.mini.closed_early:
                await asyncio.sleep(0.01)
        writer.close()
    assert [row["outcome"] for row in house.rows()] == ["hung_up"]
