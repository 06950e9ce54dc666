"""One connection -> requests asked one after the other, and counted.

It knows HTTP/1.1 as far as the gateway and the upstream of the bench speak it, and judges an answer by its status, its
length and, in a stream, by its number of events and its end.
"""

import asyncio
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from router.bench.upstream import ASKS_FOR_USAGE, CHUNKS, finals

MARK = "{{counter}}"
CONNECTIONS = 64
SECONDS = 5.0
_STAMP_LENGTH = 24
_OK = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send.

    Attributes:
        body: JSON text; the mark in it becomes another text in each request.
        seconds: how long new requests are begun.
        streams: of each connection, in place of `seconds`; 0 for whole answers.
        chunks: with text that each stream should hold.
        headers: lines of the head, beside those that every request has.
    """

    url: str
    body: str
    key: str = ""
    connections: int = CONNECTIONS
    seconds: float = SECONDS
    streams: int = 0
    chunks: int = CHUNKS
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came back.

    Attributes:
        sent: requests that were written.
        answered: of these, with any HTTP status.
        requests: of these, right and whole.
        errors: everything else, refused connections too.
        seconds: from the first connection to the last answer.
        p50: seconds a right answer took; 0.0 where there was none.
        p99: likewise.
        events: server-sent events that came.
        events_expected: that the requests sent should have brought.
        first_error: in words; "" when all went well.
    """

    sent: int
    answered: int
    requests: int
    errors: int
    seconds: float
    p50: float
    p99: float
    events: int
    events_expected: int
    first_error: str


class Tally:
    """Counts of one run; hands out bodies that are all different."""

    def __init__(self, plan: Plan) -> None:
        target = urlsplit(plan.url)
        before, mark, after = plan.body.partition(MARK)
        if not mark:
            raise ValueError(
                f"no {MARK} in the body: equal requests would be answered from the cache; put it in the prompt"
            )
        self.host, self.port = target.hostname or "127.0.0.1", target.port or 80
        self.plan = plan
        length = len(before.encode()) + _STAMP_LENGTH + len(after.encode())
        path = f"{target.path or '/'}?{target.query}" if target.query else target.path or "/"
        head = f"POST {path} HTTP/1.1\r\nhost: {target.netloc}\r\ncontent-type: application/json\r\n"
        head += f"authorization: Bearer {plan.key}\r\n" if plan.key else ""
        head += "".join(f"{header}\r\n" for header in plan.headers)
        self._before = f"{head}content-length: {length}\r\n\r\n{before}".encode()
        self._after = after.encode()
        self._run = time.time_ns()
        self.events_each = plan.chunks + finals(include_usage=bool(ASKS_FOR_USAGE.search(plan.body.encode())))
        self.sent = self.answered = self.right = self.errors = self.events = 0
        self.first_error = ""
        self.waits = array("d")
        self.until = time.perf_counter() + plan.seconds

    def request(self) -> bytes:
        """Return the next request, unlike all before it, in this run and others."""
        self.sent += 1
        return self._before + b"%016x%08d" % (self._run, self.sent) + self._after

    def fail(self, message: str) -> None:
        """Count something that went wrong."""
        self.errors += 1
        self.first_error = self.first_error or message

    def result(self, seconds: float) -> Result:
        """Return the counts of the whole run."""
        waits = sorted(self.waits)
        return Result(
            sent=self.sent,
            answered=self.answered,
            requests=self.right,
            errors=self.errors,
            seconds=round(seconds, 3),
            p50=round(quantile(waits, 0.50), 6),
            p99=round(quantile(waits, 0.99), 6),
            events=self.events,
            events_expected=self.events_each * self.sent if self.plan.streams else 0,
            first_error=self.first_error,
        )


class Caller(asyncio.Protocol):
    """One connection that asks again and again.

    Attributes:
        finished: set when it will ask no more.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._received = b""
        self._status = 0  # of the answer that is being read; 0 between answers
        self._chunked = False
        self._left = 0  # bytes of the body that are still to come, where its length was told
        self._body = b""
        self._asked = 0
        self._waiting = False
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the answer that was still to come."""
        if self._waiting:
            self._waiting = False
            self._tally.fail(f"connection lost while waiting: {exc or 'closed by the other side'}")
        self._finish()

    def data_received(self, data: bytes) -> None:
        """Read on in the answer; ask again when it is whole."""
        self._received = self._received + data if self._received else data
        while self._waiting and self._received:
            if not self._status:
                if not self._read_head():
                    return
            elif self._chunked:
                if not self._read_frame():
                    return
            else:
                self._left -= len(self._received)
                self._body, self._received = self._body + self._received, b""
            if self._status and not self._chunked and self._left <= 0:
                self._settle()

    def _read_head(self) -> bool:
        """Take the status line and the headers; tell whether they were whole."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._received[:end].lower()
        self._status = int(head[9:12])
        self._chunked = b"transfer-encoding: chunked" in head
        at = head.find(b"\r\ncontent-length:")
        self._left = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        self._received, self._body = self._received[end + 4 :], b""
        return True

    def _read_frame(self) -> bool:
        """Take one piece of a chunked body; tell whether it was whole."""
        line = self._received.find(b"\r\n")
        if line < 0:
            return False
        size = int(self._received[:line].split(b";")[0], 16)
        end = line + 2 + size
        if len(self._received) < end + 2:
            return False
        self._body += self._received[line + 2 : end]
        self._received = self._received[end + 2 :]
        if not size:
            self._chunked, self._left = False, 0
        return True

    def _settle(self) -> None:
        """Judge the whole answer and ask again."""
        tally = self._tally
        status, self._status, self._waiting = self._status, 0, False
        tally.answered += 1
        events = self._body.count(b"\n\n") if tally.plan.streams else 0
        tally.events += events
        if status != _OK:
            tally.fail(f"status {status}: {self._body[:200].decode(errors='replace')}")
        elif tally.plan.streams and (events != tally.events_each or not self._body.endswith(b"data: [DONE]\n\n")):
            tally.fail(f"a stream of {events} events in place of {tally.events_each}, ending in {self._body[-40:]!r}")
        else:
            tally.right += 1
            tally.waits.append(time.perf_counter() - self._began)
        self._ask()

    def _ask(self) -> None:
        """Send the next request, or finish."""
        plan = self._tally.plan
        if self._asked >= plan.streams if plan.streams else time.perf_counter() >= self._tally.until:
            self._finish()
            return
        self._asked += 1
        self._waiting = True
        self._began = time.perf_counter()
        self._transport.write(self._tally.request())

    def close(self) -> None:
        """Ask no more."""
        self._waiting = False
        self._finish()

    def _finish(self) -> None:
        """Say that no more will be asked."""
        if not self.finished.done():
            self.finished.set_result(None)
            self._transport.close()


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of them lies; 0.0 of none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
