"""Tests backends/engines/process.py with real engines that are really killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from backends.base import ConnectFailed
from backends.engines import process
from backends.engines.engine_options import EngineOptions
from backends.engines.process import EngineFailed, EngineProcess

PARENT = """
import asyncio, sys
from pathlib import Path
from backends.engines.engine_options import EngineOptions
from backends.engines.process import EngineProcess

async def main():
    engine = EngineProcess(EngineOptions(model=Path(sys.argv[1]), name="desk-mini"))
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(30)

asyncio.run(main())
"""


@pytest.fixture
async def engine(weights: Path) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(EngineOptions(model=weights, name="desk-mini"))
    yield engine
    await engine.aclose()


async def eventually(condition: Callable[[], bool], *, within: float = 10.0) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, f"still not so after {within} s"
        await asyncio.sleep(0.002)


async def until(engine: EngineProcess, *, running: bool, restarts: int = 0) -> None:
    await eventually(lambda: engine.is_running is running and engine.restarts >= restarts)


def pid_of(engine: EngineProcess) -> int:
    assert engine.pid is not None
    return engine.pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def status_of_health(url: str) -> bytes:
    host, _, port = url.removeprefix("http://").removesuffix("/v1").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


async def test_it_answers_once_started_however_many_ask(engine: EngineProcess) -> None:
    urls = await asyncio.gather(*(engine.start() for _ in range(5)))
    assert len(set(urls)) == 1
    assert b" 200 " in await status_of_health(urls[0])
    assert engine.is_running
    assert repr(engine) == f"<EngineProcess desk-mini: process {engine.pid}, 0 restarts>"


async def test_a_killed_engine_is_back_within_ten_seconds_at_the_same_address(engine: EngineProcess) -> None:
    url = await engine.start()
    for restarts in (1, 2):
        os.kill(pid_of(engine), signal.SIGKILL)
        await until(engine, running=False)
        await until(engine, running=True, restarts=restarts)
        assert b" 200 " in await status_of_health(url)
    assert engine.restarts == 2
    assert await engine.start() == url


async def test_a_wedged_engine_is_replaced(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOOK_EVERY", 0.2)
    monkeypatch.setattr(process, "LOOK_WITHIN", 0.2)
    url = await engine.start()
    wedged = pid_of(engine)
    os.kill(wedged, signal.SIGSTOP)
    await until(engine, running=False)
    await until(engine, running=True, restarts=1)
    assert not is_alive(wedged)
    assert b" 200 " in await status_of_health(url)


async def test_an_engine_that_is_not_heard_but_computes_is_left_to_its_work(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(process, "LOOK_WITHIN", 0.3)
    url = await engine.start()
    pid, port = engine.pid, int(url.removesuffix("/v1").rpartition(":")[2])
    body = b'{"prompt": "<s>", "ignore_eos": true, "max_tokens": 1000, "stream": true}'
    message = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with ExitStack() as callers, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: who looks there hears nothing
        engine._options = replace(engine._options, port=silent.getsockname()[1])
        for _ in range(100):
            callers.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(message)
        await until(engine, running=False)
        await asyncio.sleep(1.5)
        assert (engine.pid, engine.restarts) == (pid, 0)


async def test_an_engine_whose_port_was_taken_comes_back_when_it_is_free(engine: EngineProcess) -> None:
    url = await engine.start()
    port = int(url.removesuffix("/v1").rpartition(":")[2])
    os.kill(pid_of(engine), signal.SIGKILL)
    await until(engine, running=False)
    with socket.create_server(("127.0.0.1", port)):
        await asyncio.sleep(0.4)
        assert not engine.is_running
    await until(engine, running=True, restarts=1)


async def test_closing_ends_the_process_and_starting_again_is_refused(engine: EngineProcess) -> None:
    await engine.start()
    pid = pid_of(engine)
    await engine.aclose()
    assert not is_alive(pid)
    assert not engine.is_running
    with pytest.raises(EngineFailed, match="engine desk-mini was closed"):
        await engine.start()


async def test_closing_ends_even_a_wedged_process(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_WITHIN", 0.2)
    await engine.start()
    pid = pid_of(engine)
    os.kill(pid, signal.SIGSTOP)
    await engine.aclose()
    assert not is_alive(pid)


def test_a_killed_parent_leaves_no_engine(weights: Path, root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", PARENT, str(weights)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        asyncio.run(eventually(lambda: not is_alive(pid), within=2))


async def test_weights_that_cannot_be_served_fail_with_the_reason(broken_weights: Path) -> None:
    engine = EngineProcess(EngineOptions(model=broken_weights, name="torn"))
    with pytest.raises(EngineFailed, match=r"engine torn ended with code 3: .*is cut short by") as failure:
        await engine.start()
    assert isinstance(failure.value, ConnectFailed)
    tried = engine._process
    with pytest.raises(EngineFailed, match="is cut short by"):
        await engine.start()
    assert engine._process is tried  # no process for each caller
    await engine.aclose()


async def test_an_engine_that_is_not_ready_in_time_is_ended(weights: Path) -> None:
    engine = EngineProcess(EngineOptions(model=weights, name="desk-mini"), start_within=0.02)
    with pytest.raises(EngineFailed, match="engine desk-mini "):
        await engine.start()
    assert engine.pid is None
    await engine.aclose()


async def test_a_start_that_is_given_up_leaves_no_process(engine: EngineProcess) -> None:
    starting = asyncio.create_task(engine.start())
    await eventually(lambda: engine._process is not None)
    pid = pid_of(engine)
    starting.cancel()
    await asyncio.wait({starting})
    assert not is_alive(pid)
    assert await engine.start()


async def test_what_the_engine_writes_is_kept_small(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(process, "LOOK_WITHIN", 0.05)
    await engine.start()
    assert engine._output is not None
    os.write(engine._output, b"x" * (process.MAX_OUTPUT + 1))
    output = engine._output
    await eventually(lambda: os.fstat(output).st_size == 0)
    os.write(engine._output, b"at the front")
    assert os.pread(engine._output, 100, 0) == b"at the front"


def test_it_works_on_uvloop_and_from_any_folder(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "__init__.py").write_text("raise ImportError('the wrong folder')")
    monkeypatch.chdir(tmp_path)

    async def once() -> None:
        engine = EngineProcess(EngineOptions(model=weights, name="desk-mini"))
        url = await engine.start()
        os.kill(pid_of(engine), signal.SIGKILL)
        await until(engine, running=False)
        await until(engine, running=True, restarts=1)
        assert b" 200 " in await status_of_health(url)
        await engine.aclose()

    uvloop.run(once())


async def test_every_choice_is_handed_on_and_no_password_is_on_a_command_line(weights: Path, tmp_path: Path) -> None:
    options = EngineOptions(
        model=weights,
        name="m",
        draft=weights,
        adapters={"polite": tmp_path},
        queue=7,
        kv_store="cache.kv_blocks:open_store",
        kv_url="redis://:secret@here",
    )
    arguments = process._arguments(options, ready_fd=5)
    assert {f"--draft={weights}", f"--lora=polite={tmp_path}", "--queue=7", "--engine=llama_cpp"} <= set(arguments)
    assert "--kv-store=cache.kv_blocks:open_store" in arguments
    assert not any("secret" in argument for argument in arguments)
    assert process._environment(options)["TANDEM_KV_URL"] == "redis://:secret@here"


async def test_an_engine_whose_front_lives_but_computes_no_more_is_replaced(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOOK_EVERY", 0.2)
    monkeypatch.setattr(process, "LOOK_WITHIN", 0.2)
    url = await engine.start()
    front = pid_of(engine)

    async def unwell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(unwell, "127.0.0.1", 0)
    port = engine._options.port
    engine._options = replace(engine._options, port=server.sockets[0].getsockname()[1])
    await eventually(lambda: engine.pid != front)
    engine._options = replace(engine._options, port=port)
    server.close()
    await until(engine, running=True, restarts=1)
    assert b" 200 " in await status_of_health(await engine.start())
    assert url


async def test_an_engine_that_calls_itself_unwell_is_replaced_however_busy_it_is(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOOK_EVERY", 0.2)
    monkeypatch.setattr(process, "_cpu_ticks", lambda _pid: time.monotonic_ns())  # it computes all the time
    await engine.start()
    stuck = pid_of(engine)

    async def unwell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(unwell, "127.0.0.1", 0) as server:
        port = engine._options.port
        engine._options = replace(engine._options, port=server.sockets[0].getsockname()[1])
        await eventually(lambda: engine.pid != stuck)
        engine._options = replace(engine._options, port=port)
    await until(engine, running=True, restarts=1)
