"""Calls to one replica -> replies, and what they tell of it: how busy it is, how fast, whether it is well.

A stream counts as under way until it ends, and is judged by its end; the word of a replica that was silent counts from
its first byte. Chooses nothing and tries nothing again.
"""

from functools import partial
from time import monotonic

from backends.base import Backend, BackendError, Call, Reply
from backends.replicas.endings import Followed
from backends.replicas.outliers import Outliers
from backends.replicas.standing import Standing


class Watched:
    """One replica.

    Args:
        server: closed with this.
        standing: what is known of the replica; written here and by `outliers`.
        outliers: takes how calls ended.
    """

    def __init__(self, server: Backend, standing: Standing, outliers: Outliers) -> None:
        self.standing = standing
        self._server, self._outliers = server, outliers

    def __repr__(self) -> str:
        standing = self.standing
        return f"<Watched {standing.name}: {standing.in_flight} in flight, {standing.state(monotonic())}>"

    async def send(self, call: Call) -> Reply:
        """Return the replica's reply.

        Raises:
            BackendError: as the server does; it bears the replica's name.
        """
        standing = self.standing
        trial = standing.tried_at if standing.out_until else 0.0
        standing.in_flight += 1
        began = monotonic()
        try:
            reply = await self._server.send(call)
        except BaseException as error:
            standing.in_flight -= 1
            self._note(error, began, is_trial=self._decides(trial))
            raise
        standing.answered += 1
        if standing.latency is not None or standing.failures or trial:
            self._hear(began, is_trial=self._decides(trial), is_whole=not call.stream)
        if not call.stream:
            standing.in_flight -= 1
            return reply
        chunks = Followed(reply.chunks, partial(self._ended, trial))
        return Reply(chunks, reply.media_type, reply.replica, reply.before)

    async def is_ready(self) -> bool:
        """Ask the server; never raises."""
        return await self._server.is_ready()

    async def aclose(self) -> None:
        """Close the server."""
        await self._server.aclose()

    def _hear(self, began: float, *, is_trial: bool, is_whole: bool) -> None:
        standing, now = self.standing, monotonic()
        if standing.latency is not None:
            standing.latency.observe(now - began, now)
        if is_whole:
            self._outliers.succeeded(standing, now, is_trial=is_trial)
        else:
            self._outliers.spoke(standing, now, is_trial=is_trial)

    def _note(self, error: BaseException, began: float, *, is_trial: bool) -> None:
        standing, now = self.standing, monotonic()
        if isinstance(error, BackendError):
            error.replica = standing.name
        elif standing.latency is not None:
            standing.latency.at_least(now - began, now)  # whoever left, or was faster, knows that much
        self._outliers.failed(standing, error, now, took=now - began, is_trial=is_trial)

    def _ended(self, trial: float, error: BaseException | None) -> None:
        standing, now = self.standing, monotonic()
        standing.in_flight -= 1
        if error is None:
            if standing.failures:
                self._outliers.succeeded(standing, now, is_trial=self._decides(trial))
        else:
            self._outliers.failed(standing, error, now, took=0.0, is_trial=self._decides(trial))

    def _decides(self, trial: float) -> bool:
        """Tell whether a call that was sent as a trial is still the one that is waited for."""
        return trial > 0.0 and self.standing.is_out and trial == self.standing.tried_at
