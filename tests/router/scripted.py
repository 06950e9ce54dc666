"""A backend that answers from a script, chosen by configuration like any other kind."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from backends.base import BackendError, Call, Lost, Reply
from backends.capabilities import Capabilities

COMPLETION = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":2}}}'
)
_HEAD = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":['
_USAGE = b'{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":2}}'
EVENTS = (
    _HEAD + b'{"index":0,"delta":{"role":"assistant","content":"hel"},"finish_reason":null}]}\n\n',
    _HEAD + b'{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n',
    _HEAD + b'],"usage":' + _USAGE + b"}\n\n",
    b"data: [DONE]\n\n",
)


@dataclass
class Script:
    """What one tier does next, and what it was asked.

    Attributes:
        events: of a stream; a number is a silence of as many seconds.
        begins_after: seconds of silence before anything is answered.
        second: plays for second samples, whose request ids end in "-2"; None plays this one.
        before: who was asked in vain before each reply.
    """

    failures: list[BackendError] = field(default_factory=list)
    completion: bytes = COMPLETION
    events: tuple[bytes | float, ...] = EVENTS
    breaks_with: BackendError | None = None
    hangs: bool = False  # after what was played
    completion_hangs: bool = False  # instead of an unstreamed answer
    calls: list[Call] = field(default_factory=list)
    closed_early: int = 0
    begins_after: float = 0.0
    second: "Script | None" = None
    before: tuple[Lost, ...] = ()

    def body(self) -> dict[str, object]:
        """Return the last call's body."""
        body: dict[str, object] = msgspec.json.decode(self.calls[-1].body)
        return body


SCRIPTS: dict[str, Script] = {}


@dataclass
class ScriptedBackend:
    """Plays the script of its tier."""

    tier: str

    async def send(self, call: Call) -> Reply:
        script = SCRIPTS[self.tier]
        if script.second is not None and call.request_id.endswith("-2"):
            script = script.second
        script.calls.append(call)
        await asyncio.sleep(script.begins_after)
        if script.failures:
            raise script.failures.pop(0)
        media_type = "text/event-stream" if call.stream else "application/json"
        return Reply(self._chunks(script, call), media_type, "scripted:1", script.before)

    async def _chunks(self, script: Script, call: Call) -> AsyncGenerator[bytes, None]:
        whole = False
        try:
            if script.completion_hangs and not call.stream:
                await asyncio.Event().wait()
            for part in script.events if call.stream else (script.completion,):
                if isinstance(part, bytes):
                    yield part
                await asyncio.sleep(0 if isinstance(part, bytes) else part)
            if script.hangs:
                await asyncio.Event().wait()
            if script.breaks_with is not None:
                raise script.breaks_with
            whole = True
        finally:
            script.closed_early += not whole

    async def is_ready(self) -> bool:
        return not SCRIPTS[self.tier].failures

    async def aclose(self) -> None:
        pass


class ScriptedOptions(BaseModel):
    """`use: tests.router.scripted:ScriptedOptions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    tier: Literal["large", "mini"]
    model: str
    price: str

    def build(self) -> ScriptedBackend:
        """Return the backend, with a fresh script."""
        SCRIPTS[self.tier] = Script()
        return ScriptedBackend(self.tier)


class CapableOptions(ScriptedOptions):
    """`use: tests.router.scripted:CapableOptions`: one that says what it can."""

    capabilities: Capabilities = Capabilities()
