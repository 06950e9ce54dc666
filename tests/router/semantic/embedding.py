"""Embeddings backends: one that gives everything one vector, and one whose vectors tell texts apart."""

from collections.abc import AsyncGenerator
from functools import cache

import msgspec
from pydantic import BaseModel, ConfigDict

from backends.base import Call, Reply
from classifier.meaning.reader import StaticReader
from classifier.meaning.vectors import load


class ConstantBackend:
    """A model that tells nothing."""

    async def send(self, call: Call) -> Reply:
        """Answer any text."""
        return Reply(self._chunks(), "application/json", "constant:1")

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        yield b'{"object":"list","data":[{"index":0,"embed'
        yield b'ding":[0.1,0.2,0.3]}],"usage":{"prompt_tokens":1,"total_tokens":1}}'

    async def is_ready(self) -> bool:
        """Tell that it is."""
        return True

    async def aclose(self) -> None:
        """Do nothing."""


class ConstantOptions(BaseModel):
    """`use: tests.router.semantic.embedding:ConstantOptions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    model: str
    price: str

    def build(self) -> ConstantBackend:
        """Return the backend."""
        return ConstantBackend()


class MeaningBackend(ConstantBackend):
    """A model whose vectors are those of the words that ship; each text takes five tokens."""

    async def send(self, call: Call) -> Reply:
        """Answer any text."""
        return Reply(self._told(msgspec.json.decode(call.body)["input"]), "application/json", "meaning:1")

    async def _told(self, text: str) -> AsyncGenerator[bytes, None]:
        meaning = _reader().read_now(text)
        vector = [1.0] if meaning is None else meaning.vector.tolist()
        yield msgspec.json.encode({"data": [{"embedding": vector}], "usage": {"prompt_tokens": 5, "total_tokens": 5}})


class MeaningOptions(ConstantOptions):
    """`use: tests.router.semantic.embedding:MeaningOptions`."""

    def build(self) -> MeaningBackend:
        """Return the backend."""
        return MeaningBackend()


@cache
def _reader() -> StaticReader:
    return StaticReader(load())
