"""The request at hand -> the list of what was asked for it of models beside those that answer.

Whoever asks such a model is handed a text and no request; the task that it runs in knows whose it is.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from router.base import Attempt

_noted: ContextVar[list[Attempt] | None] = ContextVar("noted", default=None)


@contextmanager
def noting(attempts: list[Attempt] | None) -> Generator[None, None, None]:
    """Have what is spent from here on in this task added to a list; None where nobody counts."""
    token = _noted.set(attempts)
    try:
        yield
    finally:
        _noted.reset(token)


def spend(attempt: Attempt) -> None:
    """Add an attempt to the list of the request at hand, where it has one."""
    attempts = _noted.get()
    if attempts is not None:
        attempts.append(attempt)
