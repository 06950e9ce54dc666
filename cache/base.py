"""The words of remembering. No I/O.

CacheError                   a miss for whoever asked; never a failed request
  StoreAway                  the store cannot be reached, or was too slow
"""

from typing import Protocol

from msgspec import Struct


class CacheError(Exception):
    """The cache could not be used."""


class StoreAway(CacheError):
    """The store did not answer within its budget."""


class Store(Protocol):
    """Bytes by key, with a time to live."""

    async def get(self, key: bytes) -> bytes | None:
        """Return the value, or None when there is none.

        Raises:
            StoreAway: no answer in time; the caller goes on without.
        """
        ...

    def set(self, key: bytes, value: bytes, *, ttl: float) -> None:
        """Keep the value for `ttl` seconds; handed over at once, written when possible, never raises."""
        ...

    async def aclose(self) -> None:
        """Flush what was handed over, within a second, and close."""
        ...


class KeptReply(Struct, frozen=True):
    """A complete 2xx reply, exactly as it went to its first caller.

    Attributes:
        body: the bytes of the whole body; for a stream all its events.
        media_type: its content type.
        tier: which tier made it.
        model: the model's name in the price book.
        fresh_input, cached_input, output: tokens it took, as in a backend's usage; None: unknown.
    """

    body: bytes
    media_type: str
    tier: str
    model: str
    fresh_input: int | None
    cached_input: int | None
    output: int | None
