"""A pattern or a schema, and a text -> whether it fits, or that this takes too long.

Some patterns take longer on some texts than anybody can wait, and nothing stops one within its process: a handler of a
signal waits for it, and so does every other thread. So patterns that users write are tried in a process of their own,
which the kernel ends when its time is over; the next one to be tried gets another.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from router.certifying.base import CertifyingError, PatternTooSlow
from router.certifying.suites.schemas import misfit

WITHIN: Final = 2.0
"""Seconds for one pattern on one text; what can be used at all takes a thousandth of it."""

Wanted = str | Mapping[str, Any]
"""A regular expression, which is looked for, or a JSON Schema, which a text of JSON has to fit."""


class Matcher:
    """Tries patterns; use as a context manager. Threads take turns."""

    def __init__(self, *, within: float = WITHIN) -> None:
        self._within = within
        self._process: subprocess.Popen[bytes] | None = None
        self._slow: set[str] = set()
        self._turn = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process, if one runs."""
        with self._turn:
            self._end()

    def fits(self, wanted: Wanted, text: str) -> bool:
        """Tell whether a text is as it is wanted.

        Raises:
            PatternTooSlow: that takes longer than it may, on this text or on one before.
            CertifyingError: the process cannot be started, or ends by itself.
        """
        named = json.dumps(wanted, sort_keys=True)
        with self._turn:
            if named in self._slow:
                raise self._too_slow(named)
            said = self._ask(json.dumps([wanted, text]).encode())
            if said:
                return said == b"1\n"
            ended = self._end()
        if ended != -signal.SIGALRM:
            raise CertifyingError(f"the process that tries patterns ended with {ended}")
        self._slow.add(named)
        raise self._too_slow(named)

    def _too_slow(self, named: str) -> PatternTooSlow:
        return PatternTooSlow(f"{named} takes longer than {self._within:g} s on a text")

    def _ask(self, line: bytes) -> bytes:
        """Return what the process says; nothing where it ended before it could."""
        if self._process is None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101 - likewise
        try:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return b""
        return process.stdout.readline()

    def _started(self) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "router.certifying.matching", str(self._within)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        except OSError as error:
            raise CertifyingError(f"no process can be started to try patterns: {error.strerror or error}") from error

    def _end(self) -> int:
        """Return with which code the process ended; 0 where none ran."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.communicate()  # closes what it reads from, at which it ends; its alarm bounds the wait
        return process.returncode


def main(within: float) -> None:
    """Answer lines of JSON, a pair of what is wanted and a text, with 1 or 0 each, until there are no more."""
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, within)  # nobody handles it, so that the kernel ends this process
        wanted, text = json.loads(line)
        fits = re.search(wanted, text) is not None if isinstance(wanted, str) else _is_of(wanted, text)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        sys.stdout.write("1\n" if fits else "0\n")
        sys.stdout.flush()


def _is_of(schema: Mapping[str, Any], text: str) -> bool:
    return not misfit(json.loads(text), schema)


if __name__ == "__main__":
    main(float(sys.argv[1]))
