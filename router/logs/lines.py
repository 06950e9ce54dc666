"""Log records -> lines on standard error, written by a thread for which nobody waits.

A disk that is full, a pipe that nobody reads or that is closed costs lines, which are counted, and never a request.
Whatever is written is one line without control characters, and what looks like a key, an address or a number of
somebody's is left out.
"""

import json
import logging
import os
import select
import threading
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from router.logs.redaction import Redaction, escaped

Format = Literal["text", "json"]

STANDARD_ERROR: Final = 2
MOST: Final = 10_000  # lines that wait; what would be one more is dropped
LONGEST: Final = 3_500  # characters of a message: a line of up to 4,096 bytes reaches a pipe in one piece
WRITE_WITHIN: Final = 5.0  # seconds that a descriptor which does not block gets to take a line
CLOSE_WITHIN: Final = 0.5  # seconds that the last lines get

OURS: Final = ("router", "classifier", "cache", "backends")
FIELDS: Final = "fields"
"""The attribute of a log record with a function that returns its named values, which the writing thread calls."""


class LogWriter(logging.Handler, Collector):
    """Takes log records on any thread and writes them on its own.

    Attributes:
        dropped: lines that were not written.
    """

    def __init__(self, form: Format, redaction: Redaction, *, descriptor: int = STANDARD_ERROR) -> None:
        super().__init__()
        self.dropped = 0
        self._form, self._redaction, self._descriptor = form, redaction, descriptor
        self._waiting: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_until_closed, name="logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; returns at once."""
        if self._waiting.qsize() >= MOST:
            self.dropped += 1
        else:
            self._waiting.put(record)

    def close(self) -> None:
        """Write what waits, as far as that goes at once."""
        self._waiting.put(None)
        self._thread.join(CLOSE_WITHIN)
        super().close()

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        yield CounterMetricFamily("tandem_log_lines_dropped", "Log lines that were not written", value=self.dropped)

    def _write_until_closed(self) -> None:
        told, is_torn = 0, False
        while (record := self._waiting.get()) is not None:
            line = self._line(record)
            if not _write(self._descriptor, b"\n" + line if is_torn else line):
                self.dropped, is_torn = self.dropped + 1, True
                continue
            is_torn = False
            if self.dropped > told:
                told = self.dropped
                lost = {"name": __name__, "levelname": "WARNING", "msg": "%d lines dropped", "args": (told,)}
                _write(self._descriptor, self._line(logging.makeLogRecord(lost)))

    def _line(self, record: logging.LogRecord) -> bytes:
        """Return a record as it is written."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit its words
            message = str(record.msg)
        message = self._redaction.of(message[:LONGEST])
        named: Mapping[str, object] = getattr(record, FIELDS, dict)()
        fields = {name: self._plain(value) for name, value in named.items() if value is not None}
        trace = self._redaction.of(_trace(record))
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        if self._form == "json":
            said = {"time": when, "level": record.levelname.lower(), "logger": record.name, "message": message}
            return (json.dumps(said | fields | ({"trace": trace} if trace else {})) + "\n").encode()
        pairs = "".join(f" {name}={_value(value)}" for name, value in fields.items())
        lines = [f"{record.levelname} {record.name}: {escaped(message)}{pairs}", *map(escaped, trace.splitlines())]
        return ("\n".join(lines) + "\n").encode(errors="backslashreplace")

    def _plain(self, value: object) -> object:
        return self._redaction.of(value) if isinstance(value, str) else value


@contextmanager
def open_log(
    form: Format, level: str, *, requests: bool, secrets: Iterable[str], descriptor: int = STANDARD_ERROR
) -> Generator[LogWriter, None, None]:
    """Have all log records of this process told while the block runs.

    Args:
        level: of the least serious records of our own that are told; of other packages it is "warning".
        requests: one line for each request; where not, those that failed get one.
        secrets: words that never appear in a line.
    """
    root = logging.getLogger()
    before, levels = root.handlers[:], {name: logging.getLogger(name).level for name in (*OURS, "uvicorn.error")}
    log_writer = LogWriter(form, Redaction(secrets), descriptor=descriptor)
    root.handlers[:] = [log_writer]
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the application logs its own failures
    logging.getLogger("router.requests").setLevel(logging.INFO if requests else logging.WARNING)
    try:
        yield log_writer
    finally:
        root.handlers[:] = before
        for name, number in levels.items():
            logging.getLogger(name).setLevel(number)
        log_writer.close()


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "".join(traceback.format_exception(record.exc_info[1]))


def _value(value: object) -> str:
    """Return a value as it stands behind a name: in quotes where it would otherwise be taken for several."""
    if isinstance(value, str):
        return json.dumps(value) if not value or set(value) & set(' "=\\') else escaped(value)
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(descriptor: int, line: bytes) -> bool:
    """Tell whether a whole line could be written."""
    try:
        while line:
            try:
                line = line[os.write(descriptor, line) :]
            except BlockingIOError:  # whoever shares the descriptor has set it so
                if not select.select([], [descriptor], [], WRITE_WITHIN)[1]:
                    return False
    except (OSError, ValueError):
        return False
    return True
