"""Loaded model -> tokens per second alone and in a batch, and whether answers stay what they would be alone.

For measuring: the scheduler without tokenizing, HTTP or an event loop around it.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from backends.engines.torch_engine.answers import Event, Failed, Job
from backends.engines.torch_engine.base import Drafter, Loaded, Prefixes
from backends.engines.torch_engine.batching import Batcher
from backends.engines.torch_engine.sampling import Sampling
from backends.engines.torch_engine.wanted import Wanted


@dataclass(frozen=True, slots=True)
class BatchTrial:
    """What batching gives and costs.

    Attributes:
        alone: tokens per second, one answer after the other.
        together: tokens per second, all of a batch at once.
        first: seconds to an answer's first token, alone.
        whole: seconds to its last one.
        equal: answers in a batch that are those of `generate()`, token for token.
        answers: of how many.
    """

    alone: float
    together: float
    first: float
    whole: float
    equal: int
    answers: int

    @property
    def ratio(self) -> float:
        """Return how many times more tokens a batch gives in a second."""
        return self.together / self.alone

    @property
    def first_over_whole(self) -> float:
        """Return the share of a whole answer's time after which a stream begins."""
        return self.first / self.whole


class Runner:
    """Has prompts answered greedily, and waits for them.

    Args:
        places: answers that are computed at the same time.
    """

    def __init__(
        self, loaded: Loaded, *, places: int, prefixes: Prefixes | None = None, drafter: Drafter | None = None
    ) -> None:
        self._batcher = Batcher(
            loaded, places=places, max_wait=0.0, deliver=self._take, prefixes=prefixes, drafter=drafter
        )
        self._runs: dict[Job, _Run] = {}
        self._batcher.start()

    def run(self, prompts: Sequence[Sequence[int]], *, limit: int, to_the_end: bool = False) -> list["_Run"]:
        """Return what became of each prompt.

        Args:
            limit: tokens of one answer.
            to_the_end: that is, of the limit, whether or not the model ends before.

        Raises:
            EngineError: one could not be answered.
        """
        runs = []
        for prompt in prompts:
            job = Job(_wanted(prompt, limit, to_the_end=to_the_end), adapter="", salt="", choices=1, prefix=None)
            run = self._runs[job] = _Run(time.perf_counter())
            runs.append(run)
            self._batcher.submit(job)
        for run in runs:
            run.ended.wait()
            if run.failed is not None:
                raise run.failed.error
        return runs

    def close(self) -> None:
        """End the thread that computes."""
        self._batcher.close()

    def _take(self, told: list[tuple[Job, Event]]) -> None:
        now = time.perf_counter()
        for job, event in told:
            self._runs[job].take(event, now)


@dataclass(slots=True)
class _Run:
    """One answer: its tokens, and seconds on the clock when it began, had a token, and ended."""

    began: float
    first: float = 0.0
    last: float = 0.0
    tokens: list[int] = field(default_factory=list)
    failed: Failed | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def take(self, event: Event, now: float) -> None:
        if isinstance(event, Failed):
            self.failed = event
            self.ended.set()
            return
        self.first, self.last = self.first or now, now
        self.tokens.extend(chosen.token for chosen in event.chosen)
        if event.finish:
            self.ended.set()


def batch_trial(loaded: Loaded, prompts: Sequence[Sequence[int]], *, limit: int, repeats: int = 3) -> BatchTrial:
    """Return what batching as many prompts as are given does; each way the best of some tries.

    Args:
        limit: tokens of one answer.
    """
    runner = Runner(loaded, places=len(prompts))
    try:
        answers = [run.tokens for run in runner.run(prompts, limit=limit)]
        alone, together, first, whole = 0.0, 0.0, float("inf"), float("inf")
        for _ in range(repeats):
            runs = [runner.run([prompt], limit=limit, to_the_end=True)[0] for prompt in prompts[:4]]
            alone = max(alone, limit * len(runs) / (runs[-1].last - runs[0].began))
            first = min(first, *(run.first - run.began for run in runs))
            whole = min(whole, *(run.last - run.began for run in runs))
            runs = runner.run(prompts, limit=limit, to_the_end=True)
            together = max(together, limit * len(runs) / (max(run.last for run in runs) - runs[0].began))
    finally:
        runner.close()
    equal = sum(answer == generated(loaded, prompt, limit) for answer, prompt in zip(answers, prompts, strict=True))
    return BatchTrial(alone, together, first, whole, equal, len(prompts))


def generated(loaded: Loaded, prompt: Sequence[int], limit: int) -> list[int]:
    """Return what transformers' own `generate()` answers, greedily and alone."""
    with torch.inference_mode():
        ids = torch.tensor([list(prompt)], device=loaded.device)
        whole = loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=sorted(loaded.ends),
            pad_token_id=min(loaded.ends, default=0),
        )
    tokens: list[int] = whole[0, len(prompt) :].tolist()
    return tokens


def _wanted(prompt: Sequence[int], limit: int, *, to_the_end: bool) -> Wanted:
    told = Sampling(logprobs=None if to_the_end else 0)  # a run that is timed tells no tokens
    return Wanted(prompt=list(prompt), begins=True, limit=limit, sampling=told, stops=(), ignores_end=to_the_end)
