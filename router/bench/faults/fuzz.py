"""Generated requests over HTTP -> those that the gateway failed at: an error 500, a wrong shape, or no answer in time.

A request whose framing was damaged may leave the gateway waiting for the rest; it must answer or close within the time
that a head and a body have. Those that are waited for do not hold up the others.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from router.bench.faults.base import OK, Finding, Report
from router.bench.faults.generating import request
from router.bench.faults.house import KEYS, House, get, open_house
from router.bench.faults.mixed import CALLERS
from router.bench.goals import at_most

PATIENT: Final = 512  # connections that may wait at once
WITHIN: Final = 5.0 + 10.0 + 1.0  # seconds: a head's, a body's, and one more
_SOON: Final = 0.5  # seconds in which nearly all are answered
_SHOWN: Final = 20
_ERROR: Final = {"message", "type", "param", "code"}
_INTERIM: Final = range(100, 200)
_PLANNED: Final = frozenset((502, 503, 504))


@dataclass
class Tally:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: str, number: int, what: str, sent: bytes) -> None:
        """Note one that is wrong."""
        self.findings.append(Finding(kind, str(number), what, (repr(sent[:2_000]),)))


async def run_fuzz(*, seed: int, requests: int, say: Callable[[str], None]) -> Report:
    """Send so many; every answer must be planned.

    Raises:
        BenchError: a part did not come up; see `router.bench.companions`.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-fuzz-") as folder:
        async with open_house(Path(folder)) as house:
            began = time.monotonic()
            tally = await send_all(house, seed=seed, requests=requests, say=say)
            seconds = time.monotonic() - began
            status, _ = await get(house.port, "/healthz")
            traces = house.log.read_text(encoding="utf-8", errors="replace").count("Traceback")
    kinds = Counter(finding.kind for finding in tally.findings)
    goals = [at_most(kind, kinds[kind], 0) for kind in ("errors_500", "hung", "shapeless")]
    goals += [at_most("tracebacks", traces, 0), at_most("ended", int(status != OK), 0)]
    books: dict[str, object] = {"statuses": {str(code): count for code, count in sorted(tally.statuses.items())}}
    details = {"requests": requests, "seconds": round(seconds, 1)}
    return Report(seed, tuple(goals), tuple(tally.findings[:_SHOWN]), books, details)


async def send_all(
    house: House, *, seed: int, requests: int, say: Callable[[str], None], outwaits: bool = True
) -> Tally:
    """Send them by many callers at once; without `outwaits`, those that are not answered soon are left."""
    tally = Tally()
    numbers = iter(range(requests))
    waiting = asyncio.Semaphore(PATIENT)
    key = KEYS["acme"]
    async with asyncio.TaskGroup() as tasks:

        async def work() -> None:
            for number in numbers:
                sent = request(seed, number).replace(b"{key}", key.encode())
                exchange = _Exchange(number, sent, tally)
                await exchange.begin(house.port)
                if not outwaits:
                    exchange.close()
                elif not exchange.is_over:
                    await waiting.acquire()
                    tasks.create_task(_outwait(exchange, waiting))
                if number and number % 20_000 == 0:
                    say(f"{number} of {requests}")

        for _ in range(CALLERS):
            tasks.create_task(work())
    return tally


async def _outwait(exchange: "_Exchange", waiting: asyncio.Semaphore) -> None:
    try:
        await exchange.end()
    finally:
        waiting.release()


class _Exchange:
    """One request on a connection of its own; all answers that come are read."""

    def __init__(self, number: int, sent: bytes, tally: Tally) -> None:
        self._number, self._sent, self._tally = number, sent, tally
        self._received = bytearray()
        self._writer: asyncio.StreamWriter | None = None
        self.is_over = False

    async def begin(self, port: int) -> None:
        """Send, and wait a little for an answer."""
        self._began = time.monotonic()
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
            self._writer.write(self._sent)
        except OSError as error:
            self._tally.find("hung", self._number, f"no connection: {error}", self._sent)
            self.is_over = True
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SOON):
                await self._read()

    async def end(self) -> None:
        """Wait as long as a head and a body may take; nothing may be open then."""
        try:
            async with asyncio.timeout(WITHIN - (time.monotonic() - self._began)):
                await self._read()
        except TimeoutError:
            self._tally.find("hung", self._number, f"open after {WITHIN:g} s", self._sent)
            self.close()

    async def _read(self) -> None:
        while not self.is_over:
            try:
                data = await self._reader.read(1 << 16)
            except OSError:
                data = b""
            self._received += data
            if not data or self._is_whole():
                self._judge()
                self.close()

    def _is_whole(self) -> bool:
        """Tell whether the first final answer is here; a stream is, by its last chunk."""
        _, head, body = self._final()
        length = head.find(b"\r\ncontent-length: ")
        if length >= 0:
            return len(body) >= int(head[length + 18 :].split(b"\r\n")[0])
        return body.endswith(b"0\r\n\r\n")

    def _final(self) -> tuple[int, bytes, bytes]:
        """Return status, head and body of the first answer that is not interim; 0 while there is none."""
        rest = bytes(self._received)
        while rest:
            head, blank, rest = rest.partition(b"\r\n\r\n")
            status = int(head[9:12]) if blank and head.startswith(b"HTTP/1.") and head[9:12].isdigit() else 0
            if status not in _INTERIM:
                return status, head.lower() + b"\r\n", rest
        return 0, b"", b""

    def _judge(self) -> None:
        status, _, body = self._final()
        self._tally.statuses[status] += 1
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PLANNED:
            self._tally.find("errors_500", self._number, f"status {status}: {body[:300]!r}", self._sent)
        elif status >= HTTPStatus.BAD_REQUEST and not _has_shape(body):
            self._tally.find("shapeless", self._number, f"status {status}: {body[:300]!r}", self._sent)

    def close(self) -> None:
        """Leave the connection."""
        self.is_over = True
        if self._writer is not None:
            self._writer.close()


def _has_shape(body: bytes) -> bool:
    """Tell whether it is an error object: ours, or that of the messages endpoint."""
    try:
        said = json.loads(body)
        return set(said["error"]) == _ERROR or said.get("type") == "error"
    except (ValueError, KeyError, TypeError, AttributeError):
        return not body  # of a HEAD request
