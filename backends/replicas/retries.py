"""A call that a replica failed -> the same call to another one, where that may help and does not pile up load.

Only before the first byte, only what may be repeated, never at a replica that has failed the call. Retries under way
are a bounded share of the first tries, so that they cannot double the load of replicas that fail for lack of room.
Free are those away from a replica that is out of service: they put the load where it would have gone in any case.
"""

from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Final

from msgspec.structs import replace

from backends.base import (
    Backend,
    BackendError,
    Broken,
    Call,
    ConnectFailed,
    Lost,
    Reply,
    StreamBroken,
)
from backends.replicas.base import Figure, Group, counted

MORE: Final = 2
"""Tries after the first; those that are free, or after which no time was lost, are not counted."""

SHARE: Final = 0.2
"""Retries under way for each first try."""

LEAST: Final = 4
"""Retries that may be under way however few calls are; as many as it takes to find out that a replica is gone."""

REFUSED_KEY: Final = (401, 403)


class Retried:
    """A backend that asks another replica.

    Args:
        backend: holds the group; closed with this.
        group: what is known of the replicas.
        more: tries after the first; those that are free, or after which no time was lost, are not counted.
        share: retries under way for each first try.
        least: retries that may be under way however few calls are.
    """

    def __init__(
        self, backend: Backend, *, group: Group, more: int = MORE, share: float = SHARE, least: int = LEAST
    ) -> None:
        self._backend, self._group = backend, group
        self._more, self._share, self._least = more, share, least
        self._under_way = 0
        self._retried: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Retried: {self._under_way} retries under way, {self._backend!r}>"

    async def send(self, call: Call) -> Reply:
        """Return the first reply that begins.

        Raises:
            BackendError: what the last replica failed with; it tells of those before.
        """
        try:
            return await self._backend.send(call)
        except BackendError as error:
            return await self._elsewhere(call, error)

    async def is_ready(self) -> bool:
        """Ask the backend; never raises."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    def figures(self) -> Iterator[Figure]:
        """Yield what is counted here."""
        for name, words, counts in (
            ("retries", "Calls that went to another replica, by what the one before failed with", self._retried),
            ("retries_refused", "Calls that did not, since too many did, by the same", self._refused),
        ):
            yield counted(name, words, counts, by="cause")

    async def _elsewhere(self, call: Call, error: BackendError) -> Reply:
        spent = 0
        while _may_help(error) and monotonic() < call.deadline:
            is_free = isinstance(error, ConnectFailed) or self._group.is_out(error.replica)
            if not is_free:
                spent += 1
                if spent > self._more or not self._affords_one():
                    self._refused[type(error).__name__] += 1
                    break
            lost = (*error.before, Lost(error.replica, error))
            try:
                reply = await self._again(call, error, lost, is_free=is_free)
            except BackendError as another:
                if not another.replica:  # nobody was asked: there is none left, or none that has room
                    break
                another.before = (*lost, *another.before)
                error = another
            else:
                return replace(reply, before=(*lost, *reply.before))
        raise error

    async def _again(self, call: Call, error: BackendError, lost: tuple[Lost, ...], *, is_free: bool) -> Reply:
        self._retried[type(error).__name__] += 1
        self._under_way += not is_free
        try:
            return await self._backend.send(replace(call, avoid=(*call.avoid, *(each.replica for each in lost))))
        finally:
            self._under_way -= not is_free

    def _affords_one(self) -> bool:
        first_tries = self._group.active - self._under_way
        return self._under_way + 1 <= max(self._least, self._share * first_tries)


def _may_help(error: BackendError) -> bool:
    """Tell whether another replica may answer; all of them would refuse the gateway's own key."""
    if not error.replica or (isinstance(error, Broken) and error.status in REFUSED_KEY):
        return False
    return error.retryable or isinstance(error, StreamBroken)
