"""The words of tracing: a span, and who makes spans. No I/O happens here.

TracingAway     what makes spans is not installed
"""

from collections.abc import Mapping
from typing import Protocol


class TracingAway(Exception):
    """The packages that make spans are not installed; the message says what to do."""


class Span(Protocol):
    """One stretch of work in a trace."""

    @property
    def traceparent(self) -> str:
        """Return its place in the trace, as W3C's header of that name has it."""
        ...

    def name(self, name: str) -> None:
        """Give it another name."""
        ...

    def tell(self, attributes: Mapping[str, object]) -> None:
        """Add attributes; those that are None are left out."""
        ...

    def fail(self, kind: str) -> None:
        """Say that it failed, and with what kind of error; "" where that is known to be none of ours."""
        ...

    def end(self, at: int = 0) -> None:
        """Hand it over; `at` in nanoseconds since 1970, 0 for now."""
        ...


class Spans(Protocol):
    """Makes spans and sends them to whoever gathers them."""

    def request(self, name: str, headers: Mapping[str, str]) -> Span:
        """Return the span of a request, in the trace that its headers tell of or in a new one."""
        ...

    def call(self, name: str, within: Span) -> Span:
        """Return the span of a call to somebody else."""
        ...

    def close(self) -> None:
        """Send what has not been sent; may take as long as the other side wants."""
        ...
