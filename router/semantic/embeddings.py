"""Text -> vector, through the configured embeddings backend.

A backend that is away, slow or answers something else gives no vector, and so costs a look-up and never a request.

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

from backends.base import Backend, BackendError, Call

WITHIN: Final = 0.25
"""Seconds for one vector; who waits longer is better served by the model itself."""

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
        backend: stays the caller's.
        model: its name there.

    Attributes:
        source: tells vectors of one model from those of another.
    """

    def __init__(self, backend: Backend, *, model: str) -> None:
        self.source = f"embeddings:{model}"
        self._backend, self._model = backend, model
        self._numbers = itertools.count(1)
        self._logged_at = float("-inf")

    async def embed(self, text: str) -> NDArray[np.float32] | None:
        """Return the vector; None where none came in time."""
        call = Call(
            path="/embeddings",
            body=msgspec.json.encode({"model": self._model, "input": text, "encoding_format": "float"}),
            stream=False,
            deadline=time.monotonic() + WITHIN,
            request_id=f"meaning-{next(self._numbers)}",
        )
        try:
            return np.array(_read(await self._body(call)).data[0].embedding, np.float32)
        except (BackendError, msgspec.DecodeError) as error:
            if time.monotonic() - self._logged_at > _LOGGED_EVERY:
                self._logged_at = time.monotonic()
                _log.warning("no vector for the semantic cache: %s", error)
            return None

    async def _body(self, call: Call) -> bytes:
        reply = await self._backend.send(call)
        parts, length = list[bytes](), 0
        async with aclosing(reply.chunks):
            async for part in reply.chunks:
                parts.append(part)
                length += len(part)
                if length > _LONGEST:
                    break
        return b"".join(parts)
