"""The words of remembering. No I/O.

CacheError                   a miss for whoever asked; never a failed request
  StoreAway                  the store cannot be reached, or was too slow
"""

from typing import Final, Protocol

from msgspec import Struct

KV_STORE: Final = "cache.kv_blocks:open_store"
"""What opens a store for prefix KV, by name: an engine is another process, and knows nothing of caches."""


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


class PrefixKeys(Struct, frozen=True):
    """Names of the beginnings of one conversation that may be met again, shortest first.

    Attributes:
        salt: of whom alone may find them.
        names: of each beginning; the last one is of the whole conversation.
        sizes: characters of each.
    """

    salt: str
    names: tuple[int, ...]
    sizes: tuple[int, ...]


class Holding(Struct, frozen=True):
    """What one model's replicas likely hold of a conversation's KV.

    Attributes:
        depth: how many of its keys were found, counted from the shortest; 0 for none.
        replica: who holds the longest beginning that is known; "" where nobody does, or several do.
        share: of the prompt, that is likely not computed again there, 0.0 to 1.0.
        tokens: of the prompt, that are likely billed as cached; 0 as long as no reports have shown that any are.
        prompt_tokens: of the whole prompt, an estimate; 0 where nothing is known.
    """

    depth: int = 0
    replica: str = ""
    share: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0


NOTHING_HELD = Holding()
