"""Cache options -> what finds kept replies by meaning, for the pipeline; None where it is switched off.

Loads numpy and the vectors of words only where it is switched on. Owners close: the checks, then the cache, before the
store.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cache.base import KeptReply
from cache.options import CacheOptions, OpenReplies
from cache.redis_store import RedisStore
from cache.semantic.figures import SemanticStats
from router.base import Attempt, Request
from router.learning.second_calls import SecondCalls
from router.routes import Route, Routes
from router.semantic.asked import asked_of
from router.semantic.rechecks import Rechecks
from router.semantic.spending import noting

if TYPE_CHECKING:  # numpy is loaded only where something needs it
    from cache.semantic.base import Look, Reader
    from cache.semantic.semantic import Semantic


@dataclass(frozen=True, slots=True)
class SemanticReplies:
    """Kept replies by meaning, as the pipeline uses them.

    Attributes:
        key_of: the request without its text, and the policy's version, to 32 bytes that stand for its partition.
        rechecks: asks again after some hits; None where none is to be verified.
    """

    semantic: "Semantic"
    key_of: Callable[[Request, str], bytes]
    rechecks: Rechecks | None

    async def look(self, request: Request, policy: str, noted: list[Attempt] | None = None) -> "Look | None":
        """Return what was found and what it takes to keep the reply; None where the request is none to look up.

        Args:
            noted: takes the attempts of models that were asked for it; None where nobody counts.
        """
        asked = asked_of(request)
        if asked is None:
            return None
        with noting(noted):
            return await self.semantic.look(self.key_of(asked.rest, policy), asked.text)

    def keep(self, look: "Look", reply: KeptReply) -> None:
        """Hand over the reply to what was looked up; never raises."""
        self.semantic.keep(look, reply)

    def served(self, request: Request, look: "Look") -> None:
        """Take note that the caller has the kept reply that was found; never raises."""
        if self.rechecks is not None:
            self.rechecks.served(request, look)

    def stats(self) -> SemanticStats:
        """Return the figures as they are now."""
        return self.semantic.stats()


@asynccontextmanager
async def open_semantic_replies(
    options: CacheOptions,
    opened: OpenReplies,
    *,
    key_of: Callable[[Request, str], bytes],
    embedding: Route | None,
    routes: Routes,
    calls: SecondCalls,
) -> AsyncGenerator[SemanticReplies | None]:
    """Yield what finds replies by meaning; None where it is off, or where nothing is kept.

    Args:
        opened: the store that it shares with exact replies.
        embedding: gives vectors, where the options say so; its backend stays the caller's.
        routes, calls: for hits that are to be verified.

    Raises:
        WeightsError: the vectors of words cannot be used.
    """
    if not options.semantic.enabled or opened.store is None:
        yield None
        return
    from cache.semantic.semantic import open_semantic  # noqa: PLC0415  (loads numpy)
    from cache.semantic.shared_index import SharedIndex  # noqa: PLC0415  (likewise)

    chosen = options.semantic
    reader, calibrated = _reader(options, embedding)
    index = None
    if isinstance(opened.store, RedisStore):
        index = SharedIndex(opened.store, secret=opened.key_secret, source=reader.source, ttl=chosen.ttl)
    semantic = open_semantic(
        chosen,
        opened.store,
        reader,
        secret=opened.key_secret,
        threshold=calibrated if chosen.threshold is None else chosen.threshold,
        max_reply_bytes=options.max_reply_bytes,
        index=index,
    )
    async with AsyncExitStack() as owned:
        owned.push_async_callback(semantic.aclose)
        await semantic.check()
        rechecks = Rechecks(semantic, routes, calls) if chosen.verify else None
        if rechecks is not None:
            owned.push_async_callback(rechecks.aclose)
        yield SemanticReplies(semantic, key_of, rechecks)


def _reader(options: CacheOptions, embedding: Route | None) -> tuple["Reader", float]:
    """Return what reads texts, and the threshold that was calibrated for it."""
    from classifier.meaning.base import EQUAL  # noqa: PLC0415  (loads numpy)
    from classifier.meaning.reader import EmbeddedReader, StaticReader  # noqa: PLC0415  (likewise)
    from classifier.meaning.vectors import load  # noqa: PLC0415  (likewise)

    vocabulary = load()
    if not options.semantic.embeddings or embedding is None:
        return StaticReader(vocabulary), vocabulary.threshold(options.semantic.false_hits)
    from router.semantic.embeddings import BackendEmbedder  # noqa: PLC0415  (likewise)

    return EmbeddedReader(vocabulary, BackendEmbedder(embedding)), EQUAL
