"""What can be chosen about keeping replies -> replies, ready for use.

Fails open: a server that is away, or that cannot be started, costs hits and never a request.
"""

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from cache.addresses import read_address
from cache.base import Store, StoreAway
from cache.memory import MemoryStore
from cache.redis_store import RedisStore
from cache.replies import MAX_BYTES, Replies
from cache.semantic.options import SemanticOptions
from cache.steady_redis import SteadyRedis
from cache.supervisor import find_binary

Kind = Literal["redis", "private redis", "memory", "off"]

_READY_SECONDS: Final = 1.0  # after which we start without the server and go on trying
_MEMORY_BYTES: Final = 64 << 20
_SECRET_BYTES: Final = 32

_log = logging.getLogger(__name__)


class CacheOptions(BaseModel):
    """Keys of the config file below `cache`.

    Attributes:
        url: of a Redis, as `redis://`, `rediss://` or `unix://`; None starts a private server.
        ttl: seconds that a reply is kept.
        max_reply_bytes: a longer reply is not kept.
        sampled: keep answers to requests with a temperature above 0 too (where none is said it is 1).
        secret: hides keys and proves values. None makes one for each process: right for a private server; processes
            that share a Redis need one in common, or each finds only what it kept itself.
        semantic: kept replies to questions that mean the same; off unless switched on.
    """

    # A URL may hold a password, so no error quotes what was given.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = True
    url: str | None = Field(default=None, repr=False)
    ttl: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    max_reply_bytes: int = Field(default=MAX_BYTES, gt=0)
    sampled: bool = False
    secret: SecretStr | None = Field(default=None, min_length=16)
    semantic: SemanticOptions = SemanticOptions()

    @field_validator("url")
    @classmethod
    def _names_a_server(cls, url: str | None) -> str | None:
        if url is not None:
            read_address(url)
        return url


@dataclass(frozen=True, slots=True)
class OpenReplies:
    """Replies that can be used until the block ends that opened them.

    Attributes:
        replies: None where keeping replies is switched off.
        key_secret: for `cache.keys.reply_key`.
        kind: what they are kept in, to be announced.
        store: what they are kept in, for its counters; None where switched off.
        url: of the Redis that they are kept in; None where it is none.
    """

    replies: Replies | None
    key_secret: bytes = field(repr=False)
    kind: Kind
    store: Store | None
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all who keep replies together have in common, where the options do not say it.

    Attributes:
        secret: of at least 16 bytes.
        private_url: of a private server that somebody else owns; None where there is none.
        server: that server, where this process has started it.
    """

    secret: bytes = field(repr=False)
    private_url: str | None = None
    server: SteadyRedis | None = None

    def url_for(self, options: CacheOptions) -> str | None:
        """Return where a Redis is; None where replies are kept in none."""
        return (options.url or self.private_url) if options.enabled else None

    def secret_for(self, options: CacheOptions) -> bytes:
        """Return the options' own secret, or else that which all have in common."""
        return self.secret if options.secret is None else options.secret.get_secret_value().encode()

    def key_secret_for(self, options: CacheOptions) -> bytes:
        """Return the secret for `cache.keys.reply_key`."""
        return blake2b(self.secret_for(options), digest_size=_SECRET_BYTES, person=b"tandem-keys-1").digest()


@asynccontextmanager
async def open_shared(options: CacheOptions) -> AsyncGenerator[Shared]:
    """Yield a new secret and, where the options want one and it can be had, a private server for the block."""
    async with AsyncExitStack() as owned:
        is_private = options.enabled and options.url is None
        server = await _start_private(owned) if is_private else None
        yield Shared(secrets.token_bytes(_SECRET_BYTES), server.server.url if server else None, server)


@asynccontextmanager
async def open_replies(options: CacheOptions, shared: Shared | None = None) -> AsyncGenerator[OpenReplies]:
    """Yield what the options choose; closes the store when the block ends.

    Args:
        shared: stays the caller's; None opens it for the block alone.
    """
    async with AsyncExitStack() as owned:
        if shared is None:
            shared = await owned.enter_async_context(open_shared(options))
        secret, key_secret = shared.secret_for(options), shared.key_secret_for(options)
        if not options.enabled:
            yield OpenReplies(None, key_secret, "off", None)
            return
        store, kind, url = await _open_store(options, shared, owned)
        replies = Replies(store, secret, ttl=options.ttl, max_bytes=options.max_reply_bytes)
        yield OpenReplies(replies, key_secret, kind, store, url)


async def _open_store(options: CacheOptions, shared: Shared, owned: AsyncExitStack) -> tuple[Store, Kind, str | None]:
    kind: Kind = "redis" if options.url is not None else "private redis"
    url = shared.url_for(options)
    if url is None:
        memory = MemoryStore(_MEMORY_BYTES)
        owned.push_async_callback(memory.aclose)
        return memory, "memory", None
    store = RedisStore(url)
    owned.push_async_callback(store.aclose)
    await store.ready(_READY_SECONDS)  # when it is not, the store has said so and goes on trying
    return store, kind, url


async def _start_private(owned: AsyncExitStack) -> SteadyRedis | None:
    binary = find_binary()
    if binary is None:
        _log.info("no redis-server found: replies are kept in this process")
        return None
    try:
        return await owned.enter_async_context(SteadyRedis(binary))
    except StoreAway as error:
        _log.warning("replies are kept in this process: %s", error)
        return None
