"""Tests router/semantic/embeddings.py and router/semantic/spending.py."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import msgspec
import pytest

from backends.base import BackendError, Call, ConnectFailed, IdleTimeout, Reply, Usage
from router.base import Attempt, Price, Tier
from router.routes import Route
from router.semantic.embeddings import WITHIN, BackendEmbedder
from router.semantic.spending import noting
from tests.router.semantic.embedding import ConstantBackend


class Told(ConstantBackend):
    """Says what it was told to, or fails."""

    def __init__(self, said: bytes | BackendError) -> None:
        self.said = said
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        """Answer, or fail."""
        self.calls.append(call)
        if isinstance(self.said, BackendError):
            raise self.said
        return await super().send(call)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        assert isinstance(self.said, bytes)
        yield self.said


PRICE = Price("e5", "v1", 20_000, 20_000, 0)


def embedder_of(backend: Told, price: Price | None = PRICE) -> BackendEmbedder:
    return BackendEmbedder(Route(Tier.MINI, "e5", backend, lambda: price))


async def test_a_text_becomes_the_backends_vector() -> None:
    backend = Told(b'{"data":[{"embedding":[1,2.5,-3]}]}')
    embedder = embedder_of(backend)
    vector = await embedder.embed("hello")
    assert vector is not None
    assert vector.tolist() == [1.0, 2.5, -3.0]
    assert embedder.source == "embeddings:e5"
    (call,) = backend.calls
    assert call.path == "/embeddings"
    assert msgspec.json.decode(call.body) == {"model": "e5", "input": "hello", "encoding_format": "float"}
    assert call.deadline <= asyncio.get_running_loop().time() + WITHIN + 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}",
        b'{"data":[]}',
        b'{"data":[{"embedding":[]}]}',
        b'{"data":[{"embedding":"AAAA"}]}',
        b'{"data":[{"embedding":[1]},{"embedding":[2]}]}',
        b"x" * (1 << 20),
        ConnectFailed("refused"),
    ],
)
async def test_anything_else_is_no_vector_and_one_log_line(
    said: bytes | ConnectFailed, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = embedder_of(Told(said))
    with caplog.at_level(logging.WARNING):
        assert [await embedder.embed("hello") for _ in range(3)] == [None] * 3
    assert caplog.text.count("no vector") == 1


async def spent_on(said: bytes | BackendError, price: Price | None = PRICE) -> list[Attempt]:
    noted: list[Attempt] = []
    with noting(noted):
        await embedder_of(Told(said), price).embed("four by four")
    await embedder_of(Told(said), price).embed("of no request")
    return noted


async def test_what_a_vector_takes_is_an_attempt_of_the_request_that_asked() -> None:
    (attempt,) = await spent_on(b'{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":5,"total_tokens":5}}')
    assert (attempt.kind, attempt.model, attempt.replica, attempt.error) == ("classifier", "e5", "constant:1", "")
    assert (attempt.usage, attempt.usage_source, attempt.cost) == (Usage(5, None, 0), "provider", 100)
    assert attempt.price_version == "v1"


async def test_where_nobody_told_its_tokens_are_estimated_and_what_was_refused_is_free() -> None:
    (attempt,) = await spent_on(b'{"data":[{"embedding":[1]}]}')
    assert (attempt.usage, attempt.usage_source, attempt.cost) == (Usage(3, None, 0), "tokenizer", 60)
    (broken,) = await spent_on(b"{")
    assert (broken.error, broken.cost) == ("DecodeError", 60)
    (late,) = await spent_on(IdleTimeout("late"))
    assert (late.error, late.replica, late.usage_source) == ("IdleTimeout", "", "tokenizer")
    assert await spent_on(ConnectFailed("refused")) == []
    assert await spent_on(b'{"data":[{"embedding":[1]}]}', price=None) == []
