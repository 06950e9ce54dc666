"""Tenants by name -> what each may, and has used.

The wall clock is read once: a window of a budget ends so many seconds later, whatever the clock says by then.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Final

from router.base import UNLIMITED, Request, Tier
from router.guards.limits.base import Admitted, Allowance, Limits, Use

_NOBODY = Use("", Allowance(), Allowance())
FREE = Admitted(_NOBODY, 0, 0, deadline=inf, ends=inf, left=UNLIMITED, is_held=False, is_settled=True)
"""What a request is admitted with that no limit touches."""


class _Unlimited:
    """A `router.guards.limits.base.Limits` without any."""

    async def admit(self, request: Request, tiers: Sequence[Tier]) -> Admitted:  # noqa: ARG002 - nothing is asked
        return FREE


UNLIMITED_TENANTS: Final[Limits] = _Unlimited()
"""Where nobody has limits."""


class Tenants:
    """All tenants of one gateway; touched by the loop alone.

    Args:
        names: of all tenants that there are.
        workers: who have an equal part of everything each.
        clock: seconds, never going back.
        wall: seconds since 1970.

    Attributes:
        others: what a tenant may that `by_name` does not name.
        uses: None for a tenant without limits.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        others: Allowance,
        by_name: Mapping[str, Allowance],
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.clock, self._workers = clock, workers
        self.uses: dict[str, Use | None] = {}
        self._anchor = wall() - clock()
        self.revise(names, others=others, by_name=by_name)

    def __repr__(self) -> str:
        limited = [use for use in self.uses.values() if use is not None]
        running = sum(use.in_flight for use in limited)
        return f"<Tenants {len(limited)} of {len(self.uses)} limited, {running} in flight>"

    def revise(self, names: Iterable[str], *, others: Allowance, by_name: Mapping[str, Allowance]) -> list[Use]:
        """Take other limits; what was used stays used.

        Returns:
            those whose spending in the present window is to be read from the ledger.
        """
        self.others, unread = others, list[Use]()
        before, self.uses = self.uses, {}
        for name in names:
            allowance, use = by_name.get(name, others), before.get(name)
            is_read = use is not None and use.whole.budget is not None and use.whole.span is allowance.span
            if use is None or allowance.is_endless:
                use = self._new(name, allowance)
            else:
                use.drain(self.clock())
                use.whole, use.allowance = allowance, allowance.shared_by(self._workers)
            self.uses[name] = use
            if use is not None and allowance.budget is not None and not is_read:
                self.roll(use, self.clock())
                unread.append(use)
        return unread

    @property
    def are_endless(self) -> bool:
        """Tell whether nothing is limited."""
        return self.others.is_endless and all(use is None for use in self.uses.values())

    @property
    def have_budgets(self) -> bool:
        """Tell whether anybody's money is limited."""
        return bool(self.budgeted())

    def budgeted(self) -> list[Use]:
        """Return those whose money is limited, each in its present window."""
        now, found = self.clock(), list[Use]()
        for use in self.uses.values():
            if use is not None and use.whole.budget is not None:
                if now >= use.ends:
                    self.roll(use, now)
                found.append(use)
        return found

    def present(self, name: str) -> Use | None:
        """Return what a tenant has used in the present window of its budget; None where nothing is limited."""
        use, now = self.use_of(name), self.clock()
        if use is not None and now >= use.ends:
            self.roll(use, now)
        return use

    def use_of(self, name: str) -> Use | None:
        """Return what a tenant has used, None where nothing is limited; one that was not known has used nothing."""
        if name in self.uses:
            return self.uses[name]
        use = self.uses[name] = self._new(name, self.others)
        if use is not None:
            self.roll(use, self.clock())
        return use

    def roll(self, use: Use, now: float) -> None:
        """Begin the window that holds this moment: nothing has been spent in it."""
        begins, ends = use.whole.span.around(now + self._anchor)
        use.window, use.begins, use.ends = int(begins), begins - self._anchor, ends - self._anchor
        use.spent = use.elsewhere = 0

    def _new(self, name: str, allowance: Allowance) -> Use | None:
        if allowance.is_endless:
            return None
        return Use(name, allowance, allowance.shared_by(self._workers), at=self.clock())
