"""Tests of `backends/engines/torch_engine/batching.py`.

And of what it stands on: `backends/engines/torch_engine/answers.py`, `backends/engines/torch_engine/lanes.py`,
`backends/engines/torch_engine/forwards.py`, and of `backends/engines/torch_engine/batch_trial.py`.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from backends.engines.base import EngineError  # noqa: E402 - what follows needs torch
from backends.engines.torch_engine.answers import Event, Failed, Grown, Job  # noqa: E402
from backends.engines.torch_engine.base import Export, Loaded, OutOfMemory, PrefixKv  # noqa: E402
from backends.engines.torch_engine.batch_trial import Runner, batch_trial, generated  # noqa: E402
from backends.engines.torch_engine.batching import Batcher  # noqa: E402
from backends.engines.torch_engine.forwards import Forwards  # noqa: E402
from backends.engines.torch_engine.lanes import Pace  # noqa: E402
from backends.engines.torch_engine.sampling import Sampling  # noqa: E402
from backends.engines.torch_engine.wanted import Wanted  # noqa: E402

DEADLINE = 20.0


class Watched:
    """A batcher, and all that it told."""

    def __init__(self, loaded: Loaded, **changes: Any) -> None:
        self.events: dict[Job, list[Event]] = {}
        self.order: list[Job] = []
        self._changed = threading.Condition()
        settings: dict[str, Any] = {"places": 4, "max_wait": 0.0, **changes}
        self.batcher = Batcher(loaded, deliver=self._take, **settings)

    def _take(self, told: list[tuple[Job, Event]]) -> None:
        with self._changed:
            for job, event in told:
                self.events[job].append(event)
                if isinstance(event, Grown) and event.finish:
                    self.order.append(job)
            self._changed.notify_all()

    def submit(self, job: Job) -> Job:
        self.events[job] = []
        self.batcher.submit(job)
        return job

    def wait(self, enough: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(enough, timeout=DEADLINE)

    def ended(self, job: Job) -> bool:
        told = self.events[job]
        finished = sum(isinstance(event, Grown) and bool(event.finish) for event in told)
        return finished == job.choices or any(isinstance(event, Failed) for event in told)

    def tokens(self, job: Job, choice: int = 0) -> list[int]:
        self.wait(lambda: self.ended(job))
        return [
            chosen.token
            for event in self.events[job]
            if isinstance(event, Grown) and event.choice == choice
            for chosen in event.chosen
        ]

    def failure(self, job: Job) -> EngineError:
        self.wait(lambda: self.ended(job))
        last = self.events[job][-1]
        assert isinstance(last, Failed)
        return last.error


@contextmanager
def watched(loaded: Loaded, *, started: bool = True, **changes: Any) -> Iterator[Watched]:
    one = Watched(loaded, **changes)
    if started:
        one.batcher.start()
    yield one
    one.batcher.close()


def job_of(prompt: Sequence[int], *, limit: int = 12, choices: int = 1, **settings: Any) -> Job:
    named = {name: settings.pop(name) for name in ("adapter", "salt", "prefix") if name in settings}
    sampling = Sampling(**{"logprobs": 0, **settings})
    wanted = Wanted(prompt=list(prompt), begins=True, limit=limit, sampling=sampling, stops=(), ignores_end=True)
    return Job(wanted, **{"adapter": "", "salt": "", "prefix": None, **named}, choices=choices)


def prompts_of(count: int, *, seed: int = 1, longest: int = 90) -> list[list[int]]:
    chance = random.Random(seed)
    return [[chance.randrange(3, 320) for _ in range(chance.randrange(2, longest))] for _ in range(count)]


def test_answers_in_a_batch_are_those_of_generate_token_for_token(loaded: Loaded) -> None:
    prompts = prompts_of(16)
    runner = Runner(loaded, places=7)  # so that answers come and go while others run
    runs = runner.run(prompts, limit=20)
    runner.close()
    assert [run.tokens for run in runs] == [generated(loaded, prompt, 20) for prompt in prompts]


def test_sixteen_together_give_five_times_the_tokens_of_one(models: dict[str, Loaded]) -> None:
    trial = batch_trial(models["mixtral"], prompts_of(16, longest=24), limit=32, repeats=2)
    assert trial.equal == trial.answers == 16
    assert trial.ratio >= 5
    assert trial.first_over_whole <= 0.35


def test_a_short_prompt_overtakes_a_long_one_which_is_computed_in_pieces(loaded: Loaded) -> None:
    long, short, third = ((prompts_of(1, seed=seed, longest=30)[0] * 600)[:600] for seed in (3, 4, 5))
    with watched(loaded, places=4, started=False) as one:
        one.batcher._pace = Steady(32)
        jobs = [one.submit(job_of(prompt, limit=6)) for prompt in (long, short[:40], third[:300])]
        one.batcher.start()
        answers = [one.tokens(job) for job in jobs]
        assert answers == [generated(loaded, prompt, 6) for prompt in (long, short[:40], third[:300])]
        ended = [one.order.index(job) for job in jobs]
        assert ended[1] < ended[2] < ended[0]
        assert one.batcher.gauges()["forwards_total"] > 940 / 32


def test_pieces_take_about_as_long_on_slow_machines_as_on_fast_ones() -> None:
    slow, fast = Pace(), Pace()
    for _ in range(12):
        slow.learn(slow.piece, slow.piece / 200)
        fast.learn(fast.piece, fast.piece / 20_000)
    assert slow.piece == pytest.approx(20, abs=2)  # a tenth of a second
    assert fast.piece == pytest.approx(2000, rel=0.02)
    fast.learn(10, 5.0)  # one short prompt says nothing
    assert fast.piece == pytest.approx(2000, rel=0.02)


def test_choices_share_the_computed_prompt_and_differ_by_chance(models: dict[str, Loaded]) -> None:
    prompt = prompts_of(1, seed=4)[0]
    with watched(models["mistral"], places=3) as one:
        job = one.submit(job_of(prompt, choices=5, temperature=1.0, seed=11))
        answers = [tuple(one.tokens(job, choice)) for choice in range(5)]
        assert len(set(answers)) == 5
        assert one.batcher.load().prompt_tokens == len(prompt)
        again = one.submit(job_of(prompt, choices=5, temperature=1.0, seed=11))
        assert [tuple(one.tokens(again, choice)) for choice in range(5)] == answers


def test_a_seed_gives_the_same_answer_alone_and_in_company(models: dict[str, Loaded]) -> None:
    first, *others = prompts_of(6, seed=5)
    with watched(models["mixtral"], places=6) as one:
        alone = one.tokens(one.submit(job_of(first, temperature=0.8, top_p=0.9, seed=3)))
        company = [one.submit(job_of(other, temperature=1.3, limit=30)) for other in others]
        assert one.tokens(one.submit(job_of(first, temperature=0.8, top_p=0.9, seed=3))) == alone
        assert all(one.tokens(job) for job in company)


def test_a_cancelled_job_frees_its_place_within_a_second(models: dict[str, Loaded]) -> None:
    with watched(models["mistral"], places=1) as one:
        endless = one.submit(job_of([5, 6], limit=900))
        next_one = one.submit(job_of([7, 8], limit=3))
        one.wait(lambda: one.events[endless])
        one.batcher.cancel(endless)
        assert one.tokens(next_one) == generated(models["mistral"], [7, 8], 3)
        assert len(one.events[endless]) < 800
        assert one.batcher.load().running == 0


def test_the_first_job_waits_for_company_where_that_is_wanted(models: dict[str, Loaded]) -> None:
    with watched(models["mistral"], places=2, max_wait=5.0) as one:
        first = one.submit(job_of([5, 6], limit=2))
        second = one.submit(job_of([7, 8], limit=2))
        assert one.tokens(first)
        assert one.tokens(second)
        assert one.batcher.gauges()["batch_occupancy"] == 1.0


def test_a_prefix_that_was_found_is_not_computed_again(loaded: Loaded) -> None:
    prompt = prompts_of(1, seed=6, longest=90)[0] * 3
    kept: list[PrefixKv] = []
    with watched(loaded, places=2, prefixes=Keeping(kept)) as one:
        plain = one.tokens(one.submit(job_of(prompt)))
        job = one.submit(job_of(prompt, prefix=kept[0]))
        assert one.tokens(job) == plain
        assert job.cached == kept[0].tokens == len(prompt) - 1
        assert one.batcher.load().cached_tokens == len(prompt) - 1


def test_a_prefix_of_another_shape_is_computed_instead(models: dict[str, Loaded]) -> None:
    prompt = prompts_of(1, seed=7)[0]
    wrong = torch.zeros(2, 4, 99)
    with watched(models["mistral"]) as one:
        job = one.submit(job_of(prompt, prefix=PrefixKv(4, ((wrong, wrong),) * 2)))
        assert one.tokens(job) == generated(models["mistral"], prompt, 12)
        assert job.cached == 0


def test_a_draft_changes_no_token_however_good_it_is(loaded: Loaded) -> None:
    prompt = prompts_of(1, seed=8)[0]
    truth = generated(loaded, prompt, 24)
    for right in (0, 2, 5):
        drafter = Guessing([*prompt, *truth], right=right)
        with watched(loaded, places=2, drafter=drafter) as one:
            assert one.tokens(one.submit(job_of(prompt, limit=24))) == truth
            assert one.batcher.load().drafted_tokens == drafter.proposed > 0
            assert one.batcher.load().accepted_tokens == drafter.accepted
        assert (drafter.accepted > 0) is (right > 0)


def test_a_draft_changes_no_token_of_an_answer_with_a_seed(models: dict[str, Loaded]) -> None:
    prompt = prompts_of(1, seed=9)[0]
    settings: dict[str, Any] = {"temperature": 0.9, "seed": 4, "frequency": 0.5, "limit": 20}
    with watched(models["mixtral"]) as one:
        truth = one.tokens(one.submit(job_of(prompt, **settings)))
    drafter = Guessing([*prompt, *truth], right=3)
    with watched(models["mixtral"], drafter=drafter) as one:
        assert one.tokens(one.submit(job_of(prompt, **settings))) == truth
    assert drafter.accepted > 0


def test_without_memory_one_job_fails_and_the_engine_goes_on(
    models: dict[str, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Forwards.compute

    def short(self: Forwards, cache: Any, rows: list[int], ids: Any, **rest: Any) -> Any:
        if len(rows) > 2:
            raise torch.OutOfMemoryError("tried to allocate 2 GiB")
        return compute(self, cache, rows, ids, **rest)

    monkeypatch.setattr(Forwards, "compute", short)
    prompts = prompts_of(3, seed=10)
    with watched(models["mistral"], places=4, started=False) as one:
        one.batcher._pace = Steady(1000)  # all three at once
        jobs = [one.submit(job_of(prompt)) for prompt in prompts]
        one.batcher.start()
        error = one.failure(jobs[2])
        assert isinstance(error, OutOfMemory)
        assert "no memory is left" in str(error)
        assert [one.tokens(job) for job in jobs[:2]] == [generated(models["mistral"], p, 12) for p in prompts[:2]]
        assert one.tokens(one.submit(job_of(prompts[2]))) == generated(models["mistral"], prompts[2], 12)


def test_what_is_no_number_ends_its_own_answer_alone(models: dict[str, Loaded]) -> None:
    nothing = torch.full((2, 60, 12), float("nan"))
    with watched(models["mistral"], places=2, started=False) as one:
        sound = one.submit(job_of([5] * 70, limit=60))
        spoilt = one.submit(job_of([5] * 61, prefix=PrefixKv(60, ((nothing, nothing),) * 2)))
        later = one.submit(job_of([9, 8]))  # takes the spoilt one's row, beside one that is longer
        one.batcher.start()
        assert "not numbers" in str(one.failure(spoilt))
        assert one.tokens(later) == generated(models["mistral"], [9, 8], 12)
        assert len(one.tokens(sound)) == 60


def test_any_other_fault_is_told_and_the_next_job_is_computed(
    models: dict[str, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, faults = Forwards.compute, iter([True])

    def broken(self: Forwards, *given: Any, **rest: Any) -> Any:
        if next(faults, False):
            raise ValueError("a shape is wrong")
        return compute(self, *given, **rest)

    monkeypatch.setattr(Forwards, "compute", broken)
    with watched(models["mistral"]) as one:
        assert "ValueError: a shape is wrong" in str(one.failure(one.submit(job_of([5, 6]))))
        assert len(one.tokens(one.submit(job_of([5, 6])))) == 12


def test_closing_tells_all_who_wait(models: dict[str, Loaded]) -> None:
    with watched(models["mistral"], places=1) as one:
        jobs = [one.submit(job_of([5, 6], limit=1000)) for _ in range(3)]
    assert all("ending" in str(one.failure(job)) for job in jobs)
    with pytest.raises(EngineError, match="ending"):
        one.batcher.submit(job_of([5, 6]))


def test_answers_of_two_adapters_never_share_a_forward(models: dict[str, Loaded]) -> None:
    adapters = Switching()
    prompts = prompts_of(2, seed=12)
    with watched(models["mistral"], places=4, adapters=adapters) as one:
        jobs = [one.submit(job_of(prompt, adapter=name)) for prompt, name in zip(prompts, ("", "terse"), strict=True)]
        assert [one.tokens(job) for job in jobs] == [generated(models["mistral"], prompt, 12) for prompt in prompts]
    assert set(adapters.entered) == {"", "terse"}
    assert adapters.current is None


class Steady(Pace):
    """Pieces that are always as long."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self._tokens = tokens

    def learn(self, tokens: int, seconds: float) -> None:
        pass


class Keeping:
    """Prefixes that keep every prompt but its last token, and find nothing."""

    def __init__(self, kept: list[PrefixKv]) -> None:
        self._kept = kept

    def find(self, prompt: Sequence[int], *, adapter: str, salt: str) -> PrefixKv | None:
        return None

    def keep(
        self, ids: Sequence[int], *, adapter: str, salt: str, export: Export, computed: int, seconds: float
    ) -> None:
        if computed:
            layers = tuple((keys.clone(), values.clone()) for keys, values in export(0, len(ids) - 1))
            self._kept.append(PrefixKv(len(ids) - 1, layers))

    def gauges(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


class Guessing:
    """A drafter that knows the text, and is wrong after some tokens."""

    def __init__(self, text: list[int], *, right: int) -> None:
        self._text, self._right = text, right
        self.proposed = self.accepted = 0

    def propose(self, ids: Sequence[int], *, at_most: int) -> Sequence[int]:
        known = self._text[len(ids) : len(ids) + self._right]
        wrong = (self._text[len(ids) + self._right] + 1) % 320 if len(ids) + self._right < len(self._text) else 3
        return [*known, wrong][:at_most]

    def settle(self, *, proposed: int, accepted: int, seconds: float) -> None:
        self.proposed += proposed
        self.accepted += accepted

    def gauges(self) -> dict[str, float]:
        return {}


class Switching:
    """Adapters that change nothing, and notice when two are wanted at once."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.current: str | None = None

    def names(self) -> frozenset[str]:
        return frozenset({"terse"})

    @contextmanager
    def applied(self, adapter: str) -> Iterator[None]:
        assert self.current is None
        self.current = adapter
        self.entered.append(adapter)
        yield
        self.current = None

    def gauges(self) -> dict[str, float]:
        return {}
