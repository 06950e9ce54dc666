"""Tests backends/engines/serving/listening.py and backends/engines/opening.py in processes of their own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = """
import asyncio, sys, threading, time
from pathlib import Path
from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions
from backends.engines.serving import listening
from backends.engines.server import run
from tests.backends.engines.serving.scripted import ScriptedEngine

class Engine(ScriptedEngine):
    async def start(self):
        {start}
    async def aclose(self):
        {close}

class Store:
    def __init__(self, url, *, secret):
        print("store", url, secret.decode(), flush=True)
    def gauges(self):
        return {{"kv_hits": 3.0}}
    def close(self):
        print("store closed", flush=True)

if __name__ == "__main__":
    sys.modules["stores"] = sys.modules["__main__"]
    listening.open_engine = lambda options, store: Engine()
    from backends.engines import server
    server.check_model = lambda options: None
    sys.exit(run(EngineOptions(model=Path("x"), name="desk", port=int(sys.argv[1]), **{options})))
"""
ADDRESS = "desk answers on http://127.0.0.1:"


@contextmanager
def running(
    *,
    start: str = "pass",
    close: str = "pass",
    port: int = 0,
    environment: dict[str, str] | None = None,
    **options: object,
) -> Iterator["subprocess.Popen[str]"]:
    program = PROGRAM.format(start=start, close=close, options=options)
    command = [sys.executable, "-c", program, str(port)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def get(port: int, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def loading_status(port: int) -> tuple[int, str]:
    for _ in range(1000):
        try:
            return get(port, "/health")
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("it did not listen in 10 s")


def test_it_listens_before_it_has_loaded_and_says_where_when_it_has() -> None:
    port = free_port()
    with running(start="await asyncio.sleep(1.0)", port=port) as process:
        assert loading_status(port) == (503, '{"status":"loading"}')
        assert line_of(process) == f"{ADDRESS}{port}/v1"
        assert get(port, "/health") == (200, '{"status":"ok"}')
        assert json.loads(get(port, "/v1/models")[1])["data"][0]["id"] == "desk"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_closes_the_engine_and_ends_with_code_0(ending: signal.Signals) -> None:
    with running(close="print('engine closed', flush=True)") as process:
        assert line_of(process).startswith(ADDRESS)
        process.send_signal(ending)
        assert process.wait(5) == 0
        assert line_of(process) == "engine closed"


@pytest.mark.parametrize(
    ("start", "close"),
    [
        ("await asyncio.sleep(30)", "pass"),
        ("await asyncio.to_thread(time.sleep, 30)", "pass"),
        ("pass", "await asyncio.sleep(30)"),
        ("threading.Thread(target=time.sleep, args=(30,)).start()", "pass"),
    ],
)
def test_nothing_that_is_under_way_keeps_it_from_ending(start: str, close: str) -> None:
    port = free_port()
    with running(start=start, close=close, port=port) as process:
        loading_status(port)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert time.monotonic() - asked < 1.8  # its owner kills it after two seconds


def test_a_model_that_is_refused_while_it_loads_ends_with_code_3_and_its_reason() -> None:
    with running(start="raise ModelRefused('the tokenizer is of another model: give its own')") as process:
        _, told = process.communicate(timeout=10)
        assert process.returncode == 3
        assert told == "the tokenizer is of another model: give its own\n"


def test_an_engine_whose_library_is_missing_says_what_to_install() -> None:
    with running(start="import torch_of_another_kind") as process:
        _, told = process.communicate(timeout=10)
        assert process.returncode == 3
        assert "wants torch_of_another_kind, which is not installed: install tandem-gateway[local]" in told


def test_a_port_that_is_taken_ends_with_code_4() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with running(port=taken.getsockname()[1]) as process:
            _, told = process.communicate(timeout=10)
        assert process.returncode == 4
        assert "Address already in use" in told


def test_a_store_is_opened_with_its_secret_and_closed() -> None:
    environment = {"TANDEM_KV_SECRET": "s3cret"}
    with running(environment=environment, kv_store="stores:Store", kv_url="redis://here") as process:
        assert line_of(process) == "store redis://here s3cret"
        port = int(line_of(process).removeprefix(ADDRESS).removesuffix("/v1"))
        assert 'tandem_engine_kv_hits{model_name="desk"} 3.0' in get(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        assert line_of(process) == "store closed"
        assert process.wait(5) == 0


@pytest.mark.parametrize(
    ("store", "secret", "words"),
    [
        ("stores:Store", "", "TANDEM_KV_SECRET is not set"),
        ("stores:Other", "s", "cannot find 'stores:Other'"),
        ("nowhere.at_all:Store", "s", "cannot find 'nowhere.at_all:Store'"),
        ("stores", "s", "cannot find 'stores'"),
    ],
)
def test_a_store_that_cannot_be_opened_ends_with_code_5(store: str, secret: str, words: str) -> None:
    with running(environment={"TANDEM_KV_SECRET": secret}, kv_store=store) as process:
        _, told = process.communicate(timeout=10)
        assert process.returncode == 5
        assert words in told
