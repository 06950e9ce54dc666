"""The input table byte for byte, directly and behind other servers, and what chance makes of it.

router/bench/faults/vectors.py, router/bench/faults/fuzz.py
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.bench.faults.fuzz import send_all
from router.bench.faults.house import KEYS, House, free_port, get
from router.bench.faults.vectors import VECTORS, Vector
from tests.faults.conftest import quiet

pytestmark = pytest.mark.asyncio(loop_scope="session")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")

NGINX = """
{user} daemon off; pid {folder}/pid; error_log {folder}/errors crit; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off; client_max_body_size 16m;
     client_body_timeout 1s; client_header_timeout 1s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port}; large_client_header_buffers 8 64k;
        location / {{
            proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header connection ""; proxy_buffering off;
        }}
    }}
}}
"""
USER = "user root;" if os.geteuid() == 0 else ""  # its workers must reach the folder of bodies
HAPROXY = """
global
    maxconn 512
    tune.bufsize 131072
defaults
    mode http
    timeout connect 2s
    timeout http-request 1s
    timeout client 2s
    timeout server 20s
frontend front
    bind 127.0.0.1:{port}
    default_backend gateway
backend gateway
    server one 127.0.0.1:{gateway}
"""
FRONTS = {"nginx": (NGINX, ("-p", "{folder}", "-c", "{file}")), "haproxy": (HAPROXY, ("-db", "-q", "-f", "{file}"))}
OWN = {400, 405, 408, 411, 413, 414, 415, 431, 501, 505}
"""Statuses with which a server in front may refuse by itself."""
HEADS = {"framing", "head size", "host and target", "upgrade", "auth", "size"}
"""Rows that a server in front may refuse, mend or pass on."""


async def answer_to(port: int, sent: bytes) -> tuple[int, str]:
    """Return the status and the error's code; 0 where the connection was closed without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(12):
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head.lower())
            body = await reader.readexactly(int(length[1])) if length else b""
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, ""
    finally:
        writer.close()
    try:
        return int(head[9:12]), json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return int(head[9:12]), ""


async def wrong_answers(port: int, judge: "Judge") -> list[str]:
    """Send all vectors; return those that are answered otherwise."""
    turn = asyncio.Semaphore(16)

    async def one(vector: Vector) -> str:
        async with turn:
            status, code = await answer_to(port, vector.bytes_for(KEYS["acme"]))
        return (
            ""
            if judge(vector, status, code)
            else f"{vector.row}: {vector.name}: {status} {code}, not {vector.statuses}"
        )

    return [wrong for wrong in await asyncio.gather(*map(one, VECTORS)) if wrong]


class Judge:
    """What is right, with or without a server in front."""

    def __init__(self, *, is_behind: bool) -> None:
        self._is_behind = is_behind

    def __call__(self, vector: Vector, status: int, code: str) -> bool:
        is_right = status in vector.statuses and vector.code in ("", code)
        if not self._is_behind or vector.row not in HEADS:
            return is_right
        return is_right or status in {0, 200, 401, 404} | OWN


async def test_every_vector_is_answered_as_the_table_says(house: House) -> None:
    assert await wrong_answers(house.port, Judge(is_behind=False)) == []
    assert (await get(house.port, "/healthz"))[0] == 200


@pytest.mark.parametrize("front", FRONTS)
async def test_behind_another_server_no_vector_is_an_error_of_ours(front: str, house: House, tmp_path: Path) -> None:
    if shutil.which(front) is None:
        pytest.skip(f"{front} is not on PATH")
    async with in_front(front, house.port, tmp_path) as port:
        assert await wrong_answers(port, Judge(is_behind=True)) == []
        assert (await get(port, "/healthz"))[0] == 200


@asynccontextmanager
async def in_front(front: str, gateway: int, folder: Path) -> AsyncGenerator[int]:
    """Run a server in front of the gateway; gives its port."""
    settings, flags = FRONTS[front]
    port, file = free_port(), folder / "settings"
    file.write_text(settings.format(folder=folder, port=port, gateway=gateway, user=USER))
    command = [front, *(flag.format(folder=folder, file=file) for flag in flags)]
    process = await asyncio.to_thread(
        subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(200):
            try:
                await get(port, "/healthz")
            except OSError:
                await asyncio.sleep(0.02)
            else:
                break
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield port
    finally:
        process.terminate()
        process.wait(5)
        if process.stderr is not None:
            process.stderr.close()


async def test_generated_requests_are_never_an_error_500_nor_hang(house: House) -> None:
    tally = await send_all(house, seed=1, requests=300, say=quiet, outwaits=False)
    assert tally.findings == []
    assert sum(tally.statuses.values()) > 280
    assert tally.statuses[200] > 5
    assert "Traceback" not in house.log.read_text()
