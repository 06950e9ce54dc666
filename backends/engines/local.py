"""Calls -> replies of an engine that this process owns.

The engine is a child process; the way to it is HTTP, as to any other server. It is started by whoever opens the
gateway, or else by the first call.
"""

from collections.abc import Iterable
from typing import Final

from backends.base import Call, Reply
from backends.engines.process import EngineProcess
from backends.openai_http import Access, OpenAIHttp
from backends.pool import Spans
from backends.replicas.base import Figure
from backends.replicas.limits import Limited
from backends.replicas.options import LimitsOptions, Seconds
from backends.replicas.stack import limited_to

CONNECT_WITHIN: Final = 1.0
"""Seconds, on the loopback."""

FIRST_BYTE_WITHIN: Final = 60.0
"""Seconds; an engine without a free slot lets a call wait."""

IDLE_WITHIN: Final = 30.0
"""Seconds between two tokens."""

IN_FLIGHT: Final = 64
"""Calls at the same time: beyond twice as many, llama.cpp no longer answers when it is asked whether it is well."""

WAIT: Final = 10.0
"""Seconds that a call waits before it is refused."""


class EngineLimitsOptions(LimitsOptions):
    """How many calls an engine is sent at the same time, and who waits.

    Attributes:
        in_flight: None for 64, or as many as the engine computes at the same time.
        wait: seconds that one waits before it is refused.
    """

    wait: Seconds = WAIT


LIMITS: Final = EngineLimitsOptions(in_flight=IN_FLIGHT)
"""The engine has a queue of its own, which knows neither tenants nor deadlines; so it is not the one that fills up."""


class LocalEngine:
    """A backend with its engine.

    Args:
        limits: how many calls it is sent at the same time, and who waits.

    Attributes:
        process: the engine; closed together with this.
    """

    def __init__(self, process: EngineProcess, *, limits: LimitsOptions = LIMITS) -> None:
        self.process = process
        self._limits = limits
        self._http: Limited | None = None

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

    async def url(self) -> str:
        """Return the engine's base URL once it answers, for backends of other processes; see `client_of`.

        Raises:
            EngineFailed: it does not; the text says why.
        """
        return await self.process.start()

    async def aclose(self) -> None:
        """Close the connections and end the engine."""
        if self._http is not None:
            await self._http.aclose()
        await self.process.aclose()

    def figures(self) -> Iterable[Figure]:
        """Return what is counted of calls that are under way and of those that wait."""
        return () if self._http is None else self._http.figures()

    async def _opened(self) -> Limited:
        url = await self.process.start()
        if self._http is None:
            self._http = client_of(url, limits=self._limits)
        return self._http


def client_of(url: str, *, limits: LimitsOptions = LIMITS) -> Limited:
    """Return a backend over an engine that somebody else owns, by its base URL."""
    spans = Spans(connect=CONNECT_WITHIN, first_byte=FIRST_BYTE_WITHIN, idle=IDLE_WITHIN)
    return limited_to(OpenAIHttp(url, Access(spans=spans, sends_cache_salt=True)), limits)
