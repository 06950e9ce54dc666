"""Tests router/semantic/embeddings.py."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import msgspec
import pytest

from backends.base import Call, ConnectFailed, Reply
from router.semantic.embeddings import WITHIN, BackendEmbedder
from tests.router.semantic.embedding import ConstantBackend


class Told(ConstantBackend):
    """Says what it was told to, or fails."""

    def __init__(self, said: bytes | ConnectFailed) -> None:
        self.said = said
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        """Answer, or fail."""
        self.calls.append(call)
        if isinstance(self.said, ConnectFailed):
            raise self.said
        return await super().send(call)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        assert isinstance(self.said, bytes)
        yield self.said


async def test_a_text_becomes_the_backends_vector() -> None:
    backend = Told(b'{"data":[{"embedding":[1,2.5,-3]}]}')
    embedder = BackendEmbedder(backend, model="e5")
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
    embedder = BackendEmbedder(Told(said), model="e5")
    with caplog.at_level(logging.WARNING):
        assert [await embedder.embed("hello") for _ in range(3)] == [None] * 3
    assert caplog.text.count("no vector") == 1
