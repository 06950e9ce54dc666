"""Requests -> their arms, as the folder of experiments says it now.

The folder is looked at once a second; what has changed there counts from the next request on, in each process for
itself. An experiment is taken whole or not at all, and goes on where its file is damaged or away. Of several that run,
a unit takes part in the first that takes it.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Generic, TypeVar

from msgspec.structs import replace

from backends.base import BackendError
from classifier.base import ClassifierError
from router.base import Assignment, GatewayError, Request
from router.config.document import Document
from router.config.faults import ConfigError
from router.config.models import Config
from router.experiments.assignment import Assigner
from router.experiments.definition import Experiment
from router.experiments.folder import Folder, Marks, begun_at
from router.experiments.overrides import NotPlanned, Plan, planned
from router.experiments.prompts import Rewrite, rewriting
from router.experiments.standing import Standing, follows

LOOK_EVERY: Final = 1.0  # seconds

Walk = TypeVar("Walk")
"""What answers requests of an arm; made by whoever opens experiments."""

Reweigh = Callable[[Plan, Standing], None]
"""Begins the next epoch in the folder, where it is time and nobody else has; runs in a thread."""

_REFUSALS: Final = (BackendError, ClassifierError, ConfigError, GatewayError, NotPlanned, OSError)
_UNIT_OF: Final[Mapping[str, Callable[[Request], str]]] = {
    name: attrgetter(name) for name in ("tenant", "user", "conversation")
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Arm(Generic[Walk]):
    """One arm of an experiment that runs.

    Attributes:
        rewrite: changes the fields; None where the prompt stays.
    """

    name: str
    propensity: float
    walk: Walk
    rewrite: Rewrite | None


@dataclass(frozen=True, slots=True)
class _Running(Generic[Walk]):
    """An experiment that takes part in answering.

    Attributes:
        owned: closes what was opened for its arms.
    """

    standing: Standing
    plan: Plan
    assigner: Assigner
    unit_of: Callable[[Request], str]
    arms: tuple[_Arm[Walk], ...]
    owned: AsyncExitStack


class Experiments(Generic[Walk]):
    """What runs now; touched by the loop alone.

    Args:
        config: of the gateway, over which arms lay what they say.
        open_arm: opens what answers requests of an arm with this configuration.
        reweigh: None where weights never move.
        linger: seconds that requests of an experiment may still take when it is stopped.
    """

    def __init__(
        self,
        folder: Folder,
        config: Config,
        open_arm: Callable[[Config], AbstractAsyncContextManager[Walk]],
        *,
        reweigh: Reweigh | None = None,
        linger: float = 600.0,
    ) -> None:
        self._folder, self._config, self._open_arm = folder, config, open_arm
        self._reweigh, self._linger = reweigh, linger
        self._running: tuple[_Running[Walk], ...] = ()
        self._seen: dict[str, Standing] = {}
        self._marks: Marks | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Experiments {', '.join(each.standing.id for each in self._running) or 'none'}>"

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the experiments that run."""
        return tuple(each.standing.id for each in self._running)

    def assign(self, request: Request, usual: Walk) -> tuple[Request, Walk]:
        """Return the request as its arm has it, and what answers it; both as they are where it takes no part."""
        for running in self._running:
            unit = running.unit_of(request)
            if not unit:
                continue
            number = running.assigner.arm(unit)
            if number < 0:
                continue
            arm = running.arms[number]
            assignment = Assignment(running.standing.id, arm.name, unit, arm.propensity)
            if arm.rewrite is None:
                return replace(request, assignment=assignment), arm.walk
            return replace(request, assignment=assignment, fields=arm.rewrite(request.fields)), arm.walk
        return request, usual

    async def look(self) -> None:
        """Take what has changed in the folder; never raises for what stands there."""
        marks = await asyncio.to_thread(self._folder.marks)
        if marks == self._marks:
            return
        self._marks = marks
        standings, faults = await asyncio.to_thread(self._folder.readable)
        for fault in faults:
            _log.error("an experiment goes on as it was: %s", fault)
        before = {each.standing.id: each for each in self._running}
        running = [await self._as_it_stands(each, before.get(each.id)) for each in standings]
        running += self._untold(before, standings, is_said=bool(faults))
        going_on = (each for each in running if each is not None)
        self._running = tuple(sorted(going_on, key=lambda each: begun_at(each.standing)))
        kept = {id(each.owned) for each in self._running}
        for each in before.values():
            if id(each.owned) not in kept:
                _log.info("experiment %s: ends here", each.standing.id)
                self._ending.add(task := asyncio.create_task(self._end(each.owned)))
                task.add_done_callback(self._ending.discard)

    async def follow(self) -> None:
        """Look again and again, and move weights where it is time, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()
            if self._reweigh is None:
                continue
            for each in self._running:
                if is_due(each.plan.experiment, each.standing, now=time.time()):
                    await asyncio.to_thread(self._reweigh, each.plan, each.standing)

    async def aclose(self) -> None:
        """Close what was opened for arms."""
        for task in tuple(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        running, self._running = self._running, ()
        for each in running:
            await each.owned.aclose()

    def _untold(
        self, before: Mapping[str, _Running[Walk]], standings: Sequence[Standing], *, is_said: bool
    ) -> Iterator[_Running[Walk]]:
        """Yield those that run of which nothing stands any more: only a stop that can be read ends one.

        Args:
            is_said: something of the folder cannot be read, which was told.
        """
        told = {each.id for each in standings}
        for each in before.values():
            if each.standing.id in told:
                continue
            if not is_said:
                _log.error("experiment %s: goes on as it was, since its file is gone", each.standing.id)
            yield each

    async def _as_it_stands(self, standing: Standing, before: _Running[Walk] | None) -> _Running[Walk] | None:
        """Return the experiment as it is to run; None where it does not."""
        known = self._seen.get(standing.id)
        why = "" if known is None else follows(known, standing)
        if why:
            _log.error("experiment %s goes on as it was: %s", standing.id, why)
            return before
        if standing == known:
            return before
        self._seen[standing.id] = standing
        if standing.stopped is not None:
            return None
        if before is not None:
            return self._moved(before, standing)
        return await self._opened(standing)

    def _moved(self, before: _Running[Walk], standing: Standing) -> _Running[Walk]:
        arms = [
            _Arm(arm.name, float(weight), arm.walk, arm.rewrite)
            for arm, weight in zip(before.arms, standing.weights, strict=True)
        ]
        assigner = assigner_of(before.plan, standing)
        return _Running(standing, before.plan, assigner, before.unit_of, tuple(arms), before.owned)

    async def _opened(self, standing: Standing) -> _Running[Walk] | None:
        owned = AsyncExitStack()
        try:
            plan = planned(Document(standing.values), self._config, os.environ)
            walks = [
                await owned.enter_async_context(self._open_arm(plan.configs[name])) for name in plan.experiment.arms
            ]
        except Exception as error:  # noqa: BLE001 - a kind from outside may raise anything; requests go the usual way
            await owned.aclose()
            said = error if isinstance(error, _REFUSALS) else f"an arm cannot be opened: {type(error).__name__}"
            _log.error("experiment %s is not taken: %s", standing.id, said)
            return None
        except asyncio.CancelledError:
            await owned.aclose()
            raise
        arms = [
            _Arm(name, float(weight), walk, rewriting(arm.prompt))
            for (name, arm), weight, walk in zip(plan.experiment.arms.items(), standing.weights, walks, strict=True)
        ]
        _log.info("experiment %s: runs, with %s of all units", standing.id, standing.ramp)
        unit_of = _UNIT_OF[plan.experiment.unit]
        return _Running(standing, plan, assigner_of(plan, standing), unit_of, tuple(arms), owned)

    async def _end(self, owned: AsyncExitStack) -> None:
        """Close an experiment's arms when no request of theirs can be left."""
        try:
            await asyncio.sleep(self._linger)
        finally:
            await owned.aclose()


def assigner_of(plan: Plan, standing: Standing) -> Assigner:
    """Return what assigns units as an experiment stands."""
    moves = plan.experiment.allocation == "thompson"
    name = f"{standing.id}#{len(standing.epochs)}" if moves else standing.id
    return Assigner(standing.salt, name, standing.weights, standing.ramp)


def is_due(experiment: Experiment, standing: Standing, *, now: float) -> bool:
    """Tell whether the next epoch should begin."""
    if experiment.allocation != "thompson" or standing.stopped is not None:
        return False
    return now >= standing.epochs[-1].at + experiment.every


@asynccontextmanager
async def open_experiments(
    folder: Folder,
    config: Config,
    open_arm: Callable[[Config], AbstractAsyncContextManager[Walk]],
    *,
    reweigh: Reweigh | None = None,
) -> AsyncGenerator[Experiments[Walk], None]:
    """Yield what assigns requests; it has looked once, and goes on looking while the block runs."""
    linger = config.server.request_timeout
    experiments = Experiments(folder, config, open_arm, reweigh=reweigh, linger=linger)
    await experiments.look()
    task = asyncio.create_task(experiments.follow())
    try:
        yield experiments
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await experiments.aclose()
