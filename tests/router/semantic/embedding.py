"""An embeddings backend that gives everything one vector."""

from collections.abc import AsyncGenerator

from pydantic import BaseModel, ConfigDict

from backends.base import Call, Reply


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
