"""Calls -> replies of an engine that this process owns.

The engine is a child process; the way to it is HTTP, as to any other server. It is started by whoever opens the
gateway, or else by the first call.
"""

from typing import Final

from backends.base import Call, Reply
from backends.engines.process import EngineProcess
from backends.openai_http import OpenAIHttp

CONNECT_WITHIN: Final = 1.0
"""Seconds, on the loopback."""

FIRST_BYTE_WITHIN: Final = 60.0
"""Seconds; an engine without a free slot lets a call wait."""

IDLE_WITHIN: Final = 30.0
"""Seconds between two tokens."""


class LocalEngine:
    """A backend with its engine.

    Attributes:
        process: the engine; closed together with this.
    """

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self._http: OpenAIHttp | None = None

    def __repr__(self) -> str:
        return f"<LocalEngine {self.process!r}>"

    async def start(self) -> None:
        """Return once the engine answers; at once where it does already.

        Raises:
            EngineFailed: it does not; the text says why.
        """
        await self._opened()

    async def send(self, call: Call) -> Reply:
        """Return a reply as soon as the first byte of its body is there."""
        http = self._http or await self._opened()
        return await http.send(call)

    async def is_ready(self) -> bool:
        """Tell whether the engine runs and says that it is ready; starts nothing."""
        return self._http is not None and await self._http.is_ready()

    async def aclose(self) -> None:
        """Close the connections and end the engine."""
        if self._http is not None:
            await self._http.aclose()
        await self.process.aclose()

    async def _opened(self) -> OpenAIHttp:
        url = await self.process.start()
        if self._http is None:
            self._http = OpenAIHttp(
                (url,),
                api_key=None,
                connect_timeout=CONNECT_WITHIN,
                first_byte_timeout=FIRST_BYTE_WITHIN,
                idle_timeout=IDLE_WITHIN,
                sends_cache_salt=True,
            )
        return self._http
