"""A hit by meaning -> now and then the backend's own reply, and whether both agree.

Drawn by chance alone. The backend is asked once the caller has the kept reply, as a task that nobody waits for; where
too many run already the check is left out. What it costs is an attempt beside the request.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from backends.base import Broken
from router.base import Request, Tier
from router.learning.grading import grade
from router.learning.second_calls import SecondCalls
from router.learning.shadows import MINUTE, text_of
from router.routes import Routes
from router.samples import sample_of

if TYPE_CHECKING:  # numpy is loaded only where something needs it
    from cache.semantic.base import Look
    from cache.semantic.semantic import Semantic

AT_ONCE: Final = 4
A_MINUTE: Final = 60

_log = logging.getLogger(__name__)


class Rechecks:
    """Asks again, and tells the semantic cache what came of it."""

    def __init__(self, semantic: "Semantic", routes: Routes, calls: SecondCalls) -> None:
        self._semantic, self._routes, self._calls = semantic, routes, calls
        self._running: set[asyncio.Task[None]] = set()
        self._minute, self._begun = 0.0, 0

    def served(self, request: Request, look: "Look") -> None:
        """Begin a check, where chance says so and there is room; call it when the caller has the whole reply."""
        if not self._semantic.draws() or len(self._running) >= AT_ONCE:
            return
        now = time.monotonic()
        if now - self._minute >= MINUTE:
            self._minute, self._begun = now, 0
        if self._begun >= A_MINUTE:
            return
        self._begun += 1
        task = asyncio.create_task(self._check(request, look), name="semantic check")
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Cancel the checks that run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a check of the semantic cache ended in a mistake of the program", exc_info=task.exception())

    async def _check(self, request: Request, look: "Look") -> None:
        assert look.found is not None  # noqa: S101 - nothing else was served
        kept = look.found.reply
        body = await self._calls.ask(self._routes.by_tier[Tier(kept.tier)], request)
        agreed = None if body is None else await asyncio.to_thread(_agree, request, kept.body, body)
        self._semantic.verified(look, agreed=agreed)


def _agree(request: Request, kept: bytes, fresh: bytes) -> bool | None:
    """Tell whether the kept reply says what the backend says now; None where that cannot be told."""
    try:
        said, says = text_of(kept, stream=request.stream), sample_of(fresh).text
    except Broken:
        return None
    found = grade(request.prompt, large=says, mini=said)
    return None if found is None else found.weak_score > 0
