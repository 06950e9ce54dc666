"""Text -> vector, through the configured embeddings backend.

A backend that is away, slow or answers something else gives no vector, and so costs a look-up and never a request.
What it took is an attempt of the request that asked, where the book has a price for it.

Source: OpenAI API reference, "Embeddings".
"""

import itertools
import logging
import time
from contextlib import aclosing
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from backends.base import BackendError, Call, Reply, Usage
from backends.sse import read_reply
from router.account import was_refused
from router.base import Attempt
from router.ledger.money import cost
from router.routes import Route
from router.semantic.spending import spend

WITHIN: Final = 0.25
"""Seconds for one vector; who waits longer is better served by the model itself."""

_BYTES_A_TOKEN: Final = 4  # of text, where the backend told of none; more than English needs
_KIND: Final = "classifier"
_LONGEST: Final = 1 << 18  # bytes of an answer
_LOGGED_EVERY: Final = 60.0  # seconds


class _Vector(Struct):
    embedding: Annotated[list[float], Meta(min_length=1, max_length=16_384)]


class _Answer(Struct):
    data: Annotated[list[_Vector], Meta(min_length=1, max_length=1)]


_read: Final = msgspec.json.Decoder(_Answer).decode
_log = logging.getLogger(__name__)


class BackendEmbedder:
    """A `classifier.meaning.base.Embedder`.

    Args:
        route: the model; its backend stays the caller's.

    Attributes:
        source: tells vectors of one model from those of another.
    """

    def __init__(self, route: Route) -> None:
        self.source = f"embeddings:{route.model}"
        self._route = route
        self._numbers = itertools.count(1)
        self._logged_at = float("-inf")

    async def embed(self, text: str) -> NDArray[np.float32] | None:
        """Return the vector; None where none came in time."""
        call = Call(
            path="/embeddings",
            body=msgspec.json.encode({"model": self._route.model, "input": text, "encoding_format": "float"}),
            stream=False,
            deadline=time.monotonic() + WITHIN,
            request_id=f"meaning-{next(self._numbers)}",
        )
        try:
            reply = await self._route.backend.send(call)
        except BackendError as error:
            self._spend(text, None, None, error)
            self._log(error)
            return None
        body, failure = b"", None
        try:
            body = await _read_whole(reply)
            return np.array(_read(body).data[0].embedding, np.float32)
        except (BackendError, msgspec.DecodeError) as error:
            failure = error
            self._log(error)
            return None
        finally:
            self._spend(text, reply, read_reply(body).usage, failure)

    def _spend(self, text: str, reply: Reply | None, usage: Usage | None, error: Exception | None) -> None:
        """Note what it took; where nobody told, the text's bytes say about how many tokens they were."""
        price = self._route.price
        if price is None or (error is not None and was_refused(error)):
            return
        told = usage or Usage(len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN, None, 0)
        spend(
            Attempt(
                kind=_KIND,
                tier=self._route.tier,
                model=self._route.model,
                replica="" if reply is None else reply.replica,
                usage=told,
                cost=cost(price, told),
                price_version=price.version,
                error="" if error is None else type(error).__name__,
                usage_source="tokenizer" if usage is None else "provider",
            )
        )

    def _log(self, error: Exception) -> None:
        if time.monotonic() - self._logged_at > _LOGGED_EVERY:
            self._logged_at = time.monotonic()
            _log.warning("no vector for the semantic cache: %s", error)


async def _read_whole(reply: Reply) -> bytes:
    parts, length = list[bytes](), 0
    async with aclosing(reply.chunks):
        async for part in reply.chunks:
            parts.append(part)
            length += len(part)
            if length > _LONGEST:
                break
    return b"".join(parts)
