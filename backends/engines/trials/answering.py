"""A loaded model and prompts -> the tokens of greedy answers, in a batch, behind prefixes or drafted.

The engine's own scheduler, asked without a server: texts would not tell two tokens apart that spell the same.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backends.engines.base import EngineError
from backends.engines.torch_engine.answers import Event, Failed, Job
from backends.engines.torch_engine.base import Drafter, Loaded, Prefixes, PrefixKv
from backends.engines.torch_engine.batch_trial import generated
from backends.engines.torch_engine.batching import Batcher
from backends.engines.torch_engine.sampling import Sampling
from backends.engines.torch_engine.wanted import Wanted
from backends.engines.trials.base import Equality

_WITHIN: Final = 300.0
"""Seconds for one answer, on however busy a machine."""


@dataclass(frozen=True, slots=True)
class Way:
    """How prompts are answered.

    Attributes:
        places: answers at the same time.
        prefixes: kept by another process; None has everything computed.
        salt: whose prefixes.
    """

    places: int
    prefixes: Prefixes | None = None
    salt: str = ""
    drafter: Drafter | None = None


class Answering:
    """Answers prompts in one way; whoever made it closes it.

    Attributes:
        cached: tokens of prompts that were not computed.
    """

    def __init__(self, loaded: Loaded, way: Way) -> None:
        self.cached = 0
        self._way = way
        self._tokens: dict[Job, list[int]] = {}
        self._failed: list[EngineError] = []
        self._ended = threading.Semaphore(0)
        self._batcher = Batcher(
            loaded, places=way.places, max_wait=0.0, deliver=self._take, prefixes=way.prefixes, drafter=way.drafter
        )
        self._batcher.start()

    def answer(self, prompts: Sequence[Sequence[int]], *, limit: int) -> list[list[int]]:
        """Return the tokens of each answer; all are asked for at the same time.

        Raises:
            EngineError: one could not be computed.
        """
        jobs = [self._job(prompt, limit) for prompt in prompts]
        self._tokens = {job: [] for job in jobs}
        for job in jobs:
            self._batcher.submit(job)
        for _ in jobs:
            if not self._ended.acquire(timeout=_WITHIN):
                raise EngineError(f"no answer within {_WITHIN:g} s: try again on a machine that is less busy")
        if self._failed:
            raise self._failed[0]
        self.cached += sum(job.cached for job in jobs)
        return [self._tokens[job] for job in jobs]

    def drafted(self) -> int:
        """Return how many drafted tokens were verified so far."""
        return self._batcher.load().drafted_tokens

    def accepted(self) -> int:
        """Return how many of them were right."""
        return self._batcher.load().accepted_tokens

    def close(self) -> None:
        """End the thread that computes."""
        self._batcher.close()

    def _job(self, prompt: Sequence[int], limit: int) -> Job:
        wanted = Wanted(
            prompt=list(prompt), begins=True, limit=limit, sampling=Sampling(logprobs=0), stops=(), ignores_end=False
        )
        return Job(wanted, adapter="", salt=self._way.salt, choices=1, prefix=self._found(prompt))

    def _found(self, prompt: Sequence[int]) -> PrefixKv | None:
        prefixes = self._way.prefixes
        return None if prefixes is None else prefixes.find(prompt, adapter="", salt=self._way.salt)

    def _take(self, told: list[tuple[Job, Event]]) -> None:
        for job, event in told:
            if isinstance(event, Failed):
                self._failed.append(event.error)
                self._ended.release()
                continue
            self._tokens[job] += [chosen.token for chosen in event.chosen]
            if event.finish:
                self._ended.release()


def truths(loaded: Loaded, prompts: Sequence[Sequence[int]], *, limit: int) -> list[list[int]]:
    """Return what `generate()` answers to each."""
    return [generated(loaded, prompt, limit) for prompt in prompts]


def equality(
    answers: Sequence[Sequence[int]], truth: Sequence[Sequence[int]], *, model: str, mode: str, used: int
) -> Equality:
    """Return how many answers are the true ones; where the mode had no part in any, none counts."""
    equal = sum(list(answer) == list(true) for answer, true in zip(answers, truth, strict=True))
    return Equality(model, mode, answers=len(answers), equal=equal if used else 0, used=used)
