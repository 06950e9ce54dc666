"""Plans and two models -> marks of both, many cases at the same time.

All slices go on side by side, `FIRST` cases of each at a time. Between two rounds a slice that cannot come to pass is
given up, and what one of the models surely cannot serve is not asked at all.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any, Final

from router.certificate import Lost
from router.certifying.asking import Model, ask
from router.certifying.base import SHOWN, Case, Mark, Plan, Said
from router.certifying.judging import FIRST, Judged, Marked, is_hopeless, judge
from router.certifying.results import Results

AT_ONCE: Final = 8
"""Cases that are asked at the same time, of both models."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is asked of whom.

    Attributes:
        margins: of slices, by name; all are named.
        count: cases of each slice, or as many as there are.
        within: seconds for one answer.
        tell: told of each case, with its slice.
    """

    incumbent: Model
    candidate: Model
    margins: dict[str, float]
    seed: int
    count: int
    within: float
    at_once: int = AT_ONCE
    tell: Callable[[str], None] = lambda _slice: None

    async def run(self, plans: Sequence[Plan], results: Results) -> list[Judged]:
        """Return what was found of each slice, in their order.

        Raises:
            NoAnswer: a model does not answer at all; what was answered before is in the file.
        """
        under_way = [_UnderWay(plan, plan.cases(self.seed, self.count), cannot=self._cannot(plan)) for plan in plans]
        while live := [each for each in under_way if not (each.cannot or each.is_done)]:
            rounds = [(each, list(islice(each.cases, FIRST))) for each in live]
            for each, cases in rounds:
                each.is_done = len(cases) < FIRST
            # One of each slice after the other: long and short ones are under way together.
            turns = zip_longest(*([(each, case) for case in cases] for each, cases in rounds))
            await self._ask_all((job for turn in turns for job in turn if job is not None), results)
            for each in live:
                if not each.is_done and is_hopeless(each.plan, each.in_order, margin=self._margin(each.plan)):
                    each.is_done = each.is_given_up = True
        return [
            judge(
                each.plan,
                each.in_order,
                margin=self._margin(each.plan),
                is_given_up=each.is_given_up,
                cannot=each.cannot,
            )
            for each in under_way
        ]

    def _margin(self, plan: Plan) -> float:
        return self.margins[plan.name]

    def _cannot(self, plan: Plan) -> str:
        """Return why a slice need not be asked; "" where it has to be."""
        for model in (self.candidate, self.incumbent):
            lacking = [name for name in plan.features if not getattr(model.can, name)]
            if lacking:
                return f"{model.identity.tier} lacks {' and '.join(lacking)}"
            room = model.can.context_tokens
            if room is not None and room <= plan.tokens:
                return f"{model.identity.tier} has room for {room:,} tokens, and {plan.tokens:,} or more are asked"
        return ""

    async def _ask_all(self, jobs: "Iterator[_Job]", results: Results) -> None:
        async def work() -> None:
            for under_way, case in jobs:
                name = under_way.plan.name
                marked = results.known.get((name, case.id))
                if marked is None:
                    marked = await self._marked(under_way.plan, case)
                    results.keep(marked)
                under_way.marked[case.id] = marked
                self.tell(name)

        workers = [asyncio.create_task(work()) for _ in range(self.at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _marked(self, plan: Plan, case: Case) -> Marked:
        """Ask both models one case."""
        again = case.bodies if case.check is None else ()  # whose first reply is what is wanted
        first, second = await asyncio.gather(
            _ask_each(self.incumbent, (*case.bodies, *again), within=self.within),
            _ask_each(self.candidate, case.bodies, within=self.within),
        )
        marks = await asyncio.to_thread(_marks, case, first, second)  # some patterns take their time
        refusal = next((each.refusal for each in (*second, *first) if each.refusal), "")
        return Marked(
            slice=plan.name,
            case=case.id,
            gold=case.gold,
            incumbent=marks[0],
            candidate=marks[1],
            refusal=refusal,
            tokens=second[-1].tokens,
            lost=_lost(plan, case, marks, (first[0], second[0])) if marks[1].score < marks[0].score else None,
        )


async def _ask_each(model: Model, bodies: Iterable[Mapping[str, Any]], *, within: float) -> list[Said]:
    """Ask one after the other, so that as many are under way as cases are."""
    return [await ask(model, body, within=within) for body in bodies]


@dataclass(eq=False, slots=True)
class _UnderWay:
    """A slice that is being asked; `marked` by case."""

    plan: Plan
    cases: Iterator[Case]
    cannot: str
    marked: dict[str, Marked] = field(default_factory=dict)
    is_done: bool = False
    is_given_up: bool = False

    @property
    def in_order(self) -> list[Marked]:
        """Return the marks by case, so that what is found does not depend on who was faster."""
        return [self.marked[name] for name in sorted(self.marked)]


_Job = tuple[_UnderWay, Case]


def _marks(case: Case, first: Sequence[Said], second: Sequence[Said]) -> tuple[Mark, Mark]:
    """Return what both models' replies are worth; nothing where one was refused."""
    if case.check is not None:
        marks = [Mark(0.0) if any(each.refusal for each in said) else case.check(said) for said in (first, second)]
        return marks[0], marks[1]
    wanted, *replies = first[0], first[-1], second[-1]
    assert case.agrees is not None  # noqa: S101 - a case has one of the two
    found = [Mark(0.0) if wanted.refusal or each.refusal else case.agrees(wanted, each) for each in replies]
    return found[0], found[1]


def _lost(plan: Plan, case: Case, marks: tuple[Mark, Mark], said: tuple[Said, Said]) -> Lost:
    shows = not plan.is_private
    return Lost(
        case=case.id,
        incumbent=marks[0].score,
        candidate=marks[1].score,
        asked=case.asked if shows else "",
        wanted=case.wanted[:SHOWN] if shows else "",
        incumbent_said=_shown(said[0]) if shows else "",
        candidate_said=_shown(said[1]) if shows else "",
    )


def _shown(said: Said) -> str:
    """Return the beginning of a reply, for a report."""
    calls = " ".join(f"{name} {arguments}" for name, arguments in said.calls)
    return " ".join(filter(None, (said.refusal or said.text.strip(), calls)))[:SHOWN]
