"""Suites, models and margins -> a certificate.

What decides the questions, margins included, is fixed by a digest before the first is asked. Knows no command line.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from router import __version__
from router.certificate import FORMAT, VERSION, Certificate, Slice
from router.certifying.base import CertifyingError, Plan, Suite
from router.certifying.examining import Examination
from router.certifying.judging import ALPHA, Judged, Ruling, rule
from router.certifying.results import Results
from router.certifying.saving import answers_of

CORRECTION: Final = "Holm"

SHOWN_LOST: Final = 3
"""Cases that a slice shows of those that the candidate lost."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be certified.

    Attributes:
        plans: of each suite, by its name.
        everything: slices that speak for all requests, beside those that do anyway.
        config: version of the configuration.
        results: the file in which answers are kept on the way, or a folder that gets one for each run; None keeps them
            in memory alone.
    """

    suites: Sequence[Suite]
    plans: Mapping[str, Sequence[Plan]]
    everything: Collection[str]
    config: str
    results: Path | None

    def digest(self, examination: Examination) -> str:
        """Return what is equal where the same is asked of the same models, and judged by the same margins."""
        said = {
            "models": [msgspec.to_builtins(each.identity) for each in (examination.incumbent, examination.candidate)],
            "seed": examination.seed,
            "count": examination.count,
            "margins": examination.margins,
            "data": {suite.name: suite.data for suite in self.suites},
            "private": {plan.name: plan.is_private for plan in in_order(self.plans)},
            "program": __version__,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def in_order(plans: Mapping[str, Sequence[Plan]]) -> list[Plan]:
    """Return the slices of all suites."""
    return [plan for each in plans.values() for plan in each]


def margins_of(plans: Sequence[Plan], chosen: Mapping[str, float]) -> dict[str, float]:
    """Return the margin of each slice.

    Raises:
        CertifyingError: one is of no slice.
    """
    names = {plan.name for plan in plans}
    for name in chosen:
        if name not in names:
            raise CertifyingError(f"there is no slice {name}; there are {', '.join(sorted(names))}")
    return {plan.name: chosen.get(plan.name, plan.margin) for plan in plans}


async def issue(
    wanted: Wanted, examination: Examination, *, keep: Callable[[Certificate], None] | None = None
) -> Certificate:
    """Ask, judge and return what was found.

    Args:
        keep: saves it; only then are the answers that were kept on the way removed. None leaves them.

    Raises:
        CertifyingError: a model does not answer at all, or the file of results cannot be used.
    """
    run = wanted.digest(examination)
    with Results(None if wanted.results is None else answers_of(run, wanted.results), run) as results:
        judged = await examination.run(in_order(wanted.plans), results)
    certificate = _certificate(wanted, examination, judged)
    if keep is not None:
        keep(certificate)
        results.remove()
    return certificate


def _certificate(wanted: Wanted, examination: Examination, judged: Sequence[Judged]) -> Certificate:
    suite_of = {plan.name: suite for suite, each in wanted.plans.items() for plan in each}
    return Certificate(
        format=FORMAT,
        version=VERSION,
        made=time.time(),
        program=__version__,
        config=wanted.config,
        seed=examination.seed,
        alpha=ALPHA,
        correction=CORRECTION,
        incumbent=examination.incumbent.identity,
        candidate=examination.candidate.identity,
        data={suite.name: suite.data for suite in wanted.suites},
        slices=tuple(_slice(ruling, suite_of, wanted.everything) for ruling in rule(judged)),
    )


def _slice(ruling: Ruling, suite_of: Mapping[str, str], everything: Collection[str]) -> Slice:
    judged, name = ruling.judged, ruling.judged.plan.name
    guards = judged.plan.guards
    lost = sorted(
        (each.lost for each in judged.marked if each.lost is not None),
        key=lambda each: (each.candidate - each.incumbent, each.case),
    )
    tokens = [each.tokens for each in judged.marked if each.tokens]
    return Slice(
        name=name,
        suite=suite_of[name],
        cases=len(judged.marked),
        tokens=round(statistics.median(tokens)) if tokens else 0,
        margin=judged.margin,
        measured=judged.measured,
        adjusted=ruling.adjusted,
        verdict=ruling.verdict,
        why=ruling.why,
        needed=ruling.needed,
        guards=msgspec.structs.replace(guards, everything=True) if name in everything else guards,
        lost=tuple(lost[:SHOWN_LOST]),
    )
