"""How many answers run and wait at once -> a place, or word of when to come again.

First come, first served: a request for several answers waits until as many places are free, and those behind it wait
with it. Used by one loop alone, so nothing here is locked.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from backends.engines.base import QueueFull

FIRST_GUESS: Final = 1.0
"""Seconds that an answer is taken to last until some have ended."""

WEIGHT: Final = 0.1
"""Of the latest answer in the mean of how long they last."""

LONGEST_RETRY: Final = 60.0
"""Seconds; nobody is sent away for longer."""


@dataclass(slots=True, eq=False)
class _Waiter:
    choices: int
    turn: asyncio.Future[None]


class Admission:
    """Places for answers.

    Args:
        places: answers that run at the same time.
        queue: answers that may wait.

    Attributes:
        running: answers that have a place.
        waiting: answers that wait for one.
        refused: requests that found the queue full.
    """

    def __init__(self, *, places: int, queue: int, clock: Callable[[], float]) -> None:
        self.running = self.waiting = self.refused = 0
        self._places = places
        self._queue = queue
        self._clock = clock
        self._mean = FIRST_GUESS
        self._waiters: deque[_Waiter] = deque()

    def __repr__(self) -> str:
        return f"<Admission: {self.running} running, {self.waiting} waiting>"

    def place(self, choices: int) -> "Place":
        """Return the way in and out of as many places, to be entered with `async with`."""
        return Place(self, choices)

    async def enter(self, choices: int) -> float:
        """Take places as soon as they are free and return when that was.

        Raises:
            QueueFull: too many wait already.
        """
        if not self._waiters and self.running + choices <= self._places:
            self.running += choices
            return self._clock()
        if self.waiting + choices > self._queue:
            self.refused += 1
            raise QueueFull(
                f"{self.running} answers run and {self.waiting} wait, of {self._queue} that may: try again later",
                retry_after=self.retry_after(),
            )
        await self._wait(_Waiter(choices, asyncio.get_running_loop().create_future()))
        return self._clock()

    def leave(self, choices: int, *, since: float) -> None:
        """Give places back; answers that took them `since` are over."""
        self._mean += WEIGHT * (self._clock() - since - self._mean)
        self._free(choices)

    def retry_after(self) -> float:
        """Return the seconds in which those who wait will have been served, by the mean of how long answers last."""
        return min(self._mean * max(self.waiting, 1) / self._places, LONGEST_RETRY)

    async def _wait(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)
        self.waiting += waiter.choices
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if not waiter.turn.cancelled():  # its turn had come in the same moment
                self._free(waiter.choices)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
                self.waiting -= waiter.choices
                self._let_in()  # those behind may need fewer places
            raise

    def _free(self, choices: int) -> None:
        self.running -= choices
        self._let_in()

    def _let_in(self) -> None:
        while self._waiters and self.running + self._waiters[0].choices <= self._places:
            waiter = self._waiters.popleft()
            self.waiting -= waiter.choices
            if not waiter.turn.cancelled():  # who left has not been told yet
                self.running += waiter.choices
                waiter.turn.set_result(None)


class Place:
    """Places that are held for as long as the block runs."""

    __slots__ = ("_admission", "_choices", "_since")

    def __init__(self, admission: Admission, choices: int) -> None:
        self._admission, self._choices = admission, choices

    async def __aenter__(self) -> Self:
        self._since = await self._admission.enter(self._choices)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self._choices, since=self._since)
