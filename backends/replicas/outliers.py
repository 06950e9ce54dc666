"""How calls ended -> which replicas are in service: ejection of outliers, and the breaker of the last one.

A replica that failed several times in a row is out for a while, longer each time; then one call tries it, and what
becomes of that call decides. The last one in service is never ejected: it is only given a rest, of a second, where it
does not answer at all, so that callers are told at once. Pure: time is passed in.
"""

from collections.abc import Sequence
from typing import Final

from backends.base import (
    BackendError,
    ConnectFailed,
    DeadlineExceeded,
    FirstTokenTimeout,
    Overloaded,
    Rejected,
)
from backends.replicas.standing import Standing

AFTER: Final = 5
"""Failures in a row."""

OUT_FOR: Final = 30.0
"""Seconds, times the ejections one soon after the other."""

MOST_TIMES: Final = 10
"""By which that is multiplied at most: five minutes."""

REST: Final = 1.0
"""Seconds between two calls to a replica that does not answer, where no other is in service."""

COOL_DOWN: Final = 2.0
"""Seconds for which a replica without room is asked last, where it does not say for how long."""

PATIENCE: Final = 5.0
"""Seconds of silence from which on it is the replica's fault that a call's own time was over."""

UNWELL: Final = "health_check"
"""Why a replica was taken out whose health checks failed; else it is the name of the error."""

_SILENT: Final = (ConnectFailed, FirstTokenTimeout, DeadlineExceeded)


class Outliers:
    """What is known of a group of replicas, and who of them is in service.

    Args:
        standings: of all of them; changed here, and nowhere else where it concerns being in service.
        after: failures in a row that take a replica out.
        out_for: seconds, the first time.
    """

    def __init__(self, standings: Sequence[Standing], *, after: int = AFTER, out_for: float = OUT_FOR) -> None:
        self._standings = standings
        self._after, self._out_for = after, out_for

    def is_due(self, standing: Standing, now: float) -> bool:
        """Tell whether a replica that is out may be tried: by one call at a time."""
        return standing.out_until <= now and not standing.on_trial

    def may_be_last_hope(self, standing: Standing, now: float) -> bool:
        """Tell whether a replica that is out may be tried though it is not due, since there is no other."""
        return now - standing.tried_at >= REST

    def succeeded(self, standing: Standing, now: float, *, is_trial: bool) -> None:
        """Take a whole answer, or one of the replica's own 4xx."""
        if standing.is_out:
            if not is_trial:
                return  # it began before the replica went wrong
            standing.on_trial = False
            standing.out_until = 0.0
            standing.back_at, standing.is_warming = now, True
        standing.failures = 0

    def spoke(self, standing: Standing, now: float, *, is_trial: bool) -> None:
        """Take the first byte of a stream, which is all that was missing where there was silence."""
        if standing.is_silent and standing.failures:
            self.succeeded(standing, now, is_trial=is_trial)

    def failed(self, standing: Standing, error: BaseException, now: float, *, took: float, is_trial: bool) -> None:
        """Take an end that was no answer.

        Args:
            took: seconds of silence since the call was sent; 0.0 where it had begun to answer.
            is_trial: the replica was out when it was.
        """
        if isinstance(error, Rejected):
            self.succeeded(standing, now, is_trial=is_trial)
            return
        if is_trial:
            standing.on_trial = False
        if isinstance(error, Overloaded):
            self._cool(standing, error, now)
        elif _is_fault(error, took):
            standing.failed[type(error).__name__] += 1
            if is_trial or not standing.is_out:
                self._count(
                    standing, type(error).__name__, now, is_silent=isinstance(error, _SILENT), is_trial=is_trial
                )

    def looked(self, standing: Standing, now: float, *, is_well: bool, again_in: float) -> None:
        """Take what a health check said.

        A replica that was silent is tried by the next call once it is well, and by none while it is not. What else was
        wrong with it, a health check does not see.

        Args:
            again_in: seconds to the next one.
        """
        if is_well:
            if standing.is_silent and standing.is_out:
                standing.out_until = min(standing.out_until, now)
        elif standing.is_out:
            if standing.is_silent:
                standing.out_until = max(standing.out_until, now + again_in)
        else:
            self._count(standing, UNWELL, now, is_silent=True, is_trial=False)

    def _cool(self, standing: Standing, error: Overloaded, now: float) -> None:
        standing.failed[type(error).__name__] += 1
        standing.cool_until = now + (COOL_DOWN if error.retry_after is None else error.retry_after)
        if standing.is_out:
            standing.out_until = max(standing.out_until, standing.cool_until)

    def _count(self, standing: Standing, cause: str, now: float, *, is_silent: bool, is_trial: bool) -> None:
        standing.is_silent = is_silent
        standing.failures += 1
        if is_trial or standing.failures >= self._after:
            self._put_out(standing, cause, now, is_trial=is_trial)

    def _put_out(self, standing: Standing, cause: str, now: float, *, is_trial: bool) -> None:
        if any(each is not standing and not each.is_out and not each.is_draining for each in self._standings):
            before = self._out_for * min(standing.times_out, MOST_TIMES)
            is_anew = not is_trial and now - standing.back_at >= before
            standing.times_out = 1 if is_anew else standing.times_out + 1
            out_for = self._out_for * min(standing.times_out, MOST_TIMES)
        elif standing.is_silent:
            out_for = REST
        else:  # it answers, if badly, and there is no other
            standing.out_until = 0.0
            return
        if not standing.is_out:
            standing.ejected[cause] += 1
        if not is_trial:
            standing.tried_at = now
        standing.out_until = now + out_for


def _is_fault(error: BaseException, took: float) -> bool:
    if isinstance(error, DeadlineExceeded):
        return took >= PATIENCE
    return isinstance(error, BackendError)
