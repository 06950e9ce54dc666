"""Tenants whose requests found every backend full -> requests that are refused at the door.

What is refused after it was read, scored and recorded costs more than what is answered, so that an overload would leave
less room for answers the greater it is. So a request that finds no room says how many of its tenant's do have some: no
more than these are let in, and one beyond them now and then, to learn whether there is more room by now. Requests are
counted and not time alone: a loop that is behind would find any span of time to be over, and let in whoever has come
meanwhile. It holds for a tenant's own requests alone, so that none shuts out another.
"""

import time
from collections.abc import Callable
from typing import Final

from router.base import Tier, Unavailable

TRY_EVERY: Final = 0.02
"""Seconds from one request beyond those that have room to the next."""

FORGET_AFTER: Final = 1.0
"""Seconds without a request that found no room, after which all are let in again."""

RETRY_AFTER: Final = 1.0
"""Seconds that those who are refused are asked to stay away."""


class Crowd:
    """One tenant's requests that were let in.

    Attributes:
        inside: of these, those that have not ended.
        most: how many there may be; None while there is room for all.
        tried, refused: when one was let in beyond these, and when one found no room; on the clock of `Overload`.
    """

    __slots__ = ("inside", "most", "refused", "tried")

    def __init__(self) -> None:
        self.inside = 0
        self.most: int | None = None
        self.tried = self.refused = 0.0

    def leave(self) -> None:
        """Take note that one of them has ended."""
        self.inside -= 1


class Overload:
    """Who is refused at the door; touched by the loop alone.

    Args:
        clock: seconds, never going back.

    Attributes:
        is_near: somebody has found no room, and not all are let in again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_near = False
        self._clock = clock
        self._crowds: dict[str, Crowd] = {}  # by tenant, of whom the configuration names all

    def enter(self, tenant: str) -> Crowd | None:
        """Let a tenant's request in and return the crowd that is to be told when it has ended; None without room."""
        crowd = self._crowds.get(tenant)
        if crowd is None:
            crowd = self._crowds[tenant] = Crowd()
        if crowd.most is not None and crowd.inside >= crowd.most:
            now = self._clock()
            if now < crowd.tried + TRY_EVERY:
                return None
            crowd.tried = now
            crowd.most = crowd.inside + 1
            if now >= crowd.refused + FORGET_AFTER:
                crowd.most = None
                self.is_near = any(each.most is not None for each in self._crowds.values())
        crowd.inside += 1
        return crowd

    def admit(self, tenant: str) -> None:
        """Refuse a request that would not be let in now; it does not enter.

        Raises:
            Unavailable: there is no room for another one of the same tenant.
        """
        crowd = self._crowds.get(tenant) if self.is_near else None
        if crowd is None or crowd.most is None or crowd.inside < crowd.most:
            return
        if self._clock() < crowd.tried + TRY_EVERY:
            raise full()

    def note(self, crowd: Crowd, wanted: Tier | None) -> None:
        """Take note of a request for which no backend had room; it has not left yet.

        One that would go to one tier alone says little.
        """
        if wanted is None:
            crowd.most = crowd.inside - 1
            crowd.tried = crowd.refused = self._clock()
            self.is_near = True


def full() -> Unavailable:
    """Return what those hear who are not let in."""
    return Unavailable("every backend is full", code="overloaded", retry_after=RETRY_AFTER)
