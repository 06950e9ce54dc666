"""A backend -> what it may do beside answering: be started, and count.

A kind from outside need do neither; a wrapper does what the backend within it does.
"""

from collections.abc import Awaitable, Callable, Iterable

from backends.base import Backend
from backends.replicas.base import Figure


async def start(backend: Backend) -> None:
    """Start what is a process of our own; a backend elsewhere needs no start.

    Raises:
        BackendError: it could not be started.
    """
    begin: Callable[[], Awaitable[None]] | None = getattr(backend, "start", None)
    if begin is not None:
        await begin()


def figures_of(backend: Backend | None) -> Iterable[Figure]:
    """Return what a backend counts; nothing where it does not, or where there is none yet."""
    tell: Callable[[], Iterable[Figure]] = getattr(backend, "figures", tuple)
    return tell()
