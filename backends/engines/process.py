"""Engine options -> a child process that answers, and is started again when it ends.

The owner starts and closes it. The child listens on a free port of its own choice and keeps that port over restarts,
so whoever has the address can go on using it. What the child answers is not looked at here, but for its health.
"""

import asyncio
import fcntl
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from backends.base import ConnectFailed
from backends.engines.engine_options import SIGNING_KEY, STORE_URL, EngineOptions, Kind

START_WITHIN: Final[Mapping[Kind, float]] = {"llama_cpp": 20.0, "transformers": 180.0}
"""Seconds until a started engine must answer; torch alone takes several to load."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at its health."""

LOOK_WITHIN: Final = 1.5
"""Seconds for one look."""

MISSES: Final = 2
"""Looks in a row without a sign of life after which it is taken for wedged and killed: 2 to 8 seconds."""

FIRST_PAUSE: Final = 0.1
"""Seconds before an engine is started again; each further time twice as many."""

LONGEST_PAUSE: Final = 5.0
"""Seconds that it grows to."""

STEADY_AFTER: Final = 30.0
"""Seconds of life after which the pause is the first one again."""

STOP_WITHIN: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""

MAX_OUTPUT: Final = 1024 * 1024
"""Bytes of its output that are kept on disk."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_TAIL: Final = 2000  # bytes of output in an error message
_log = logging.getLogger(__name__)


class EngineFailed(ConnectFailed):
    """The engine does not run; nothing was sent to it."""


class EngineProcess:
    """One engine in a process of its own.

    Attributes:
        restarts: how often it was started again.
    """

    def __init__(self, options: EngineOptions, *, start_within: float | None = None) -> None:
        self.restarts = 0
        self._options = options
        self._start_within = START_WITHIN[options.engine] if start_within is None else start_within
        self._url = ""
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._output: int | None = None  # descriptor of a file
        self._lock = asyncio.Lock()
        self._not_before = 0.0
        self._answers = False
        self._closed = False

    def __repr__(self) -> str:
        state = f"process {self.pid}" if self.is_running else "down"
        return f"<EngineProcess {self._options.name}: {state}, {self.restarts} restarts>"

    @property
    def is_running(self) -> bool:
        """Tell whether the process lives and answered when it was last looked at."""
        return self._answers and self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Return the process's number, None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> str:
        """Start it once, however many ask, and return its base URL, such as "http://127.0.0.1:8101/v1".

        Raises:
            EngineFailed: it ended, or did not answer in time; its last words are in the text. For five seconds
                after that no further process is tried.
        """
        async with self._lock:
            if self._closed:
                raise EngineFailed(f"engine {self._options.name} was closed")
            if self._watch is None:
                await self._launch_first()
        return self._url

    async def aclose(self) -> None:
        """End it: SIGTERM, and SIGKILL where that was not enough."""
        self._closed = True
        async with self._lock:
            watch, self._watch = self._watch, None
            if watch is not None:
                watch.cancel()
                await asyncio.wait({watch})
            await self._end()
            if self._output is not None:
                os.close(self._output)
                self._output = None

    async def _launch_first(self) -> None:
        clock = asyncio.get_running_loop().time
        if clock() < self._not_before:
            raise EngineFailed(self._last_words())
        try:
            await self._launch()
        except EngineFailed:
            self._not_before = clock() + LONGEST_PAUSE  # bad weights stay bad: not a process for each request
            raise
        self._watch = asyncio.create_task(self._keep_alive())

    async def _launch(self) -> None:
        """Start a process and wait until it answers."""
        url = ""
        try:
            async with asyncio.timeout(self._start_within):
                url = await self._spawn()
        except OSError as error:  # a TimeoutError is one
            raise EngineFailed(self._last_words()) from error
        finally:
            if not url:
                await self._end()
        if not url:
            raise EngineFailed(self._last_words())
        self._url = f"{url}/v1"
        self._options = replace(self._options, port=urlsplit(url).port or 0)
        self._answers = True

    async def _spawn(self) -> str:
        """Start a process and return the address that it tells; "" where it ended without."""
        if self._output is None:
            self._output = _nameless_file()
        os.truncate(self._output, 0)
        reading, writing = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder we happen to stand in is no place for its modules
                "-m",
                "backends.engines.server",
                *_arguments(self._options, ready_fd=writing),
                stdin=DEVNULL,
                stdout=self._output,  # a file and no pipe: nobody need read for the engine to go on
                stderr=self._output,
                env=_environment(self._options),
                pass_fds=(writing,),
                start_new_session=True,  # Ctrl-C is for the gateway, which lets it finish its answers first
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)  # the child has its own; where it dies, reading ends
        return await _read_all(reading)

    async def _keep_alive(self) -> None:
        pause, clock = FIRST_PAUSE, asyncio.get_running_loop().time
        while True:
            started = clock()
            await self._until_it_ends()
            if clock() - started > STEADY_AFTER:
                pause = FIRST_PAUSE
            while True:
                _log.warning("engine ended, starting it again in %.1f s: %s", pause, self._last_words())
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                try:
                    await self._launch()
                except EngineFailed:
                    continue
                self.restarts += 1
                break

    async def _until_it_ends(self) -> None:
        """Return once the process is gone; one that does not answer any more is killed."""
        process = self._process
        if process is None:
            return
        misses, ticks = 0, _cpu_ticks(process.pid)
        while misses < MISSES:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LOOK_EVERY)
                break
            told = await self._look()
            self._answers = told == _Health.WELL
            before, ticks = ticks, _cpu_ticks(process.pid)
            is_flooded = told == _Health.SILENT and ticks > before  # it computes: killing it would make things worse
            misses = 0 if self._answers or is_flooded else misses + 1
            self._cut_output()
        self._answers = False
        if process.returncode is None:
            _log.warning("engine %s does not answer, killing it", self._options.name)
            _tell(process, signal.SIGKILL)
            await process.wait()

    async def _look(self) -> "_Health":
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                reader, writer = await asyncio.open_connection(self._options.host, self._options.port)
                try:
                    writer.write(b"GET /health HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n")
                    told = await reader.readline()
                finally:
                    writer.close()
        except OSError:  # a TimeoutError is one
            return _Health.SILENT
        return _Health.WELL if b" 200 " in told else _Health.UNWELL if told else _Health.SILENT

    async def _end(self) -> None:
        self._answers = False
        process = self._process
        if process is None or process.returncode is not None:
            return
        _tell(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            _tell(process, signal.SIGKILL)
        await process.wait()

    def _cut_output(self) -> None:
        if self._output is not None and os.fstat(self._output).st_size > MAX_OUTPUT:
            os.truncate(self._output, 0)

    def _last_words(self) -> str:
        process, output = self._process, self._output
        words = b""
        if output is not None:
            words = os.pread(output, _TAIL, max(0, os.fstat(output).st_size - _TAIL)).strip()
        how = "did not start" if process is None else f"ended with code {process.returncode}"
        return f"engine {self._options.name} {how}: {words.decode(errors='replace') or 'it wrote nothing'}"


class _Health(StrEnum):
    """What a look at an engine tells; one that calls itself unwell computes nothing, however busy it is."""

    WELL = "well"
    UNWELL = "unwell"
    SILENT = "silent"


def _nameless_file() -> int:
    """Return a descriptor of a file that is gone with its last descriptor, however its owner ends."""
    descriptor, path = tempfile.mkstemp(prefix="tandem-engine-")
    Path(path).unlink()
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)  # what is written after a cut stands at the front
    return descriptor


def _cpu_ticks(pid: int) -> int:
    """Return the processor time that a process has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)


def _arguments(options: EngineOptions, *, ready_fd: int) -> list[str]:
    arguments: dict[str, object] = {
        "--model": _absolute(options.model),
        "--name": options.name,
        "--engine": options.engine,
        "--host": options.host,
        "--port": options.port,
        "--threads": options.threads,
        "--slots": options.slots,
        "--context": options.context,
        "--gpu-layers": options.gpu_layers,
        "--quantise": options.quantise,
        "--max-batch-size": options.max_batch_size,
        "--max-wait": options.max_wait,
        "--queue": options.queue,
        "--cache-type": options.cache_type,
        "--kv-store": options.kv_store,
        "--die-with-parent": os.getpid(),
        "--ready-fd": ready_fd,
    }
    if options.draft is not None:
        arguments["--draft"] = _absolute(options.draft)
    adapters = [f"--lora={name}={_absolute(path)}" for name, path in options.adapters.items()]
    return [*(f"{name}={value}" for name, value in arguments.items()), *adapters]


def _absolute(path: Path) -> Path:
    """Return a path that holds from any folder; what is not there may be a name on the hub."""
    return path.absolute() if path.exists() else path


def _environment(options: EngineOptions) -> dict[str, str]:
    path = os.pathsep.join((str(_ROOT), os.environ.get("PYTHONPATH", "")))
    own = {STORE_URL: options.kv_url, SIGNING_KEY: options.kv_secret}  # on a command line everybody would read them
    return {**os.environ, "PYTHONPATH": path, **{name: value for name, value in own.items() if value}}


async def _read_all(descriptor: int) -> str:
    """Return what comes through a pipe until its writer closes it; closes the reading end."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        return (await reader.read()).decode()
    finally:
        transport.close()


def _tell(process: Process, number: signal.Signals) -> None:
    """Send a signal past `Popen`, which would collect an ended child itself and so lose its exit code."""
    with suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(process.pid, number)
