"""Tenants whose last request found every backend full -> requests that are refused at the door.

What is refused after it was read, scored and recorded costs nearly as much as what is answered, so that an overload
would leave less room for answers the greater it is. So whoever was refused for lack of room is refused unread for a
moment: too short for the backends' queues to run dry meanwhile. That holds for a tenant's own requests alone, so that
none shuts out another.
"""

import time
from collections.abc import Callable
from typing import Final

from router.base import Tier, Unavailable

SHUT_FOR: Final = 0.02
"""Seconds; a queue that is full lasts longer than this."""

RETRY_AFTER: Final = 1.0
"""Seconds that those who are refused are asked to stay away."""


class Overload:
    """Who is refused at the door; touched by the loop alone.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}  # by tenant, of whom the configuration names all

    def admit(self, tenant: str) -> None:
        """Let a tenant's request in.

        Raises:
            Unavailable: a moment ago there was no room for another one of the same tenant.
        """
        if not self._until:
            return
        until = self._until.get(tenant)
        if until is None:
            return
        if self._clock() < until:
            raise Unavailable("every backend is full", code="overloaded", retry_after=RETRY_AFTER)
        del self._until[tenant]

    def note(self, tenant: str, wanted: Tier | None) -> None:
        """Take note of a request for which no backend had room; one that would go to one tier alone says little."""
        if wanted is None:
            self._until[tenant] = self._clock() + SHUT_FOR
