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
from cache.supervisor import PrivateRedis, find_binary

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
    """

    # A URL may hold a password, so no error quotes what was given.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = True
    url: str | None = Field(default=None, repr=False)
    ttl: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    max_reply_bytes: int = Field(default=MAX_BYTES, gt=0)
    sampled: bool = False
    secret: SecretStr | None = Field(default=None, min_length=16)

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


@asynccontextmanager
async def open_replies(options: CacheOptions) -> AsyncGenerator[OpenReplies]:
    """Yield what the options choose; closes the store, then the private server, when the block ends."""
    secret = options.secret.get_secret_value().encode() if options.secret else secrets.token_bytes(_SECRET_BYTES)
    key_secret = blake2b(secret, digest_size=_SECRET_BYTES, person=b"tandem-keys-1").digest()
    if not options.enabled:
        yield OpenReplies(None, key_secret, "off", None)
        return
    async with AsyncExitStack() as owned:
        store, kind, url = await _open_store(options, owned)
        replies = Replies(store, secret, ttl=options.ttl, max_bytes=options.max_reply_bytes)
        yield OpenReplies(replies, key_secret, kind, store, url)


async def _open_store(options: CacheOptions, owned: AsyncExitStack) -> tuple[Store, Kind, str | None]:
    kind: Kind = "redis"
    url = options.url
    if url is None:
        kind, url = "private redis", await _start_private(owned)
    if url is None:
        memory = MemoryStore(_MEMORY_BYTES)
        owned.push_async_callback(memory.aclose)
        return memory, "memory", None
    store = RedisStore(url)
    owned.push_async_callback(store.aclose)
    await store.ready(_READY_SECONDS)  # when it is not, the store has said so and goes on trying
    return store, kind, url


async def _start_private(owned: AsyncExitStack) -> str | None:
    binary = find_binary()
    if binary is None:
        _log.info("no redis-server found: replies are kept in this process")
        return None
    try:
        return (await owned.enter_async_context(PrivateRedis(binary))).url
    except StoreAway as error:
        _log.warning("replies are kept in this process: %s", error)
        return None
