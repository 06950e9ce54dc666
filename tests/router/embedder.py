"""A scripted backend that embeds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from tests.router.scripted import SCRIPTS, Script, ScriptedBackend

VECTORS = (
    b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]}],"model":"up",'
    b'"usage":{"prompt_tokens":7,"total_tokens":7}}'
)
NAME = "embeddings"


class EmbedderOptions(BaseModel):
    """`use: tests.router.embedder:EmbedderOptions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    model: str = "bge-m3"
    price: str = "desk-mini"
    tier: Literal["embeddings"] = "embeddings"

    def build(self) -> ScriptedBackend:
        """Return the backend, with a fresh script."""
        SCRIPTS[NAME] = Script(completion=VECTORS)
        return ScriptedBackend(self.tier)
