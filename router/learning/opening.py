"""Learning options -> what learns while the gateway runs: shadows, contests, and the erasing of old text.

Owners close: every task that is begun here ends with the block.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from classifier.base import Classifier, ClassifierError
from classifier.options import ClassifierOptions, weights_path
from router.base import Ledger, Policy, Tier
from router.config.faults import ConfigError
from router.config.learning import LearningOptions
from router.learning.challenger import Contests
from router.learning.champion import Champion, Contender
from router.learning.losses import large_cost
from router.learning.registry import Registry, RegistryError
from router.learning.second_calls import SecondCalls
from router.learning.shadows import Compare, Lesson, Sampling, Shadows
from router.policies.promise import Promise
from router.routes import Routes

DAY = 86_400.0  # seconds
FORGET_EVERY = 3_600.0  # seconds

PolicyOf = Callable[[Classifier], Policy]


@dataclass(frozen=True, slots=True)
class Throne:
    """A registry and the champion that it names.

    Attributes:
        contender_of: version -> what would serve.
    """

    registry: Registry
    champion: Champion
    contender_of: Callable[[str], Contender]


def enthrone(options: LearningOptions, named: ClassifierOptions, policy_of: PolicyOf) -> Throne | None:
    """Return the champion that the registry names, None where there is no registry.

    Where nothing serves yet, what the configuration names is the first.

    Raises:
        ClassifierError: the weights cannot be used.
        RegistryError: the registry cannot be used.
    """
    if options.registry is None:
        return None
    if named.use not in ("linear", "encoder"):
        raise ClassifierError(f"a classifier of the kind {named.use} has no weights, so it has no versions")
    registry = Registry(options.registry)
    standing = registry.begin(weights_path(named.weights), named.use, now=time.time())

    def contender_of(version: str) -> Contender:
        classifier = registry.load(version)
        try:
            return Contender(version, classifier, policy_of(classifier))
        except ConfigError as error:  # such as a promise that was certified for another version's scores
            raise RegistryError(f"the policy cannot decide by the scores of {version}: {error}") from error

    return Throne(registry, Champion(contender_of(standing.champion)), contender_of)


@asynccontextmanager
async def open_learning(
    options: LearningOptions,
    *,
    routes: Routes,
    calls: SecondCalls,
    promise: Promise | None,
    throne: Throne | None,
    compare: Compare | None = None,
) -> AsyncGenerator[Shadows | None, None]:
    """Yield what samples requests, None where nothing is sampled.

    Args:
        calls: asks the other tier; labels go into the same ledger.
        promise: told of losses; None where the policy promises nothing.
        compare: told of each pair of replies.
    """
    async with AsyncExitStack() as owned:
        await owned.enter_async_context(_running(_forget(calls.ledger, options.retention_days * DAY)))
        contests = None
        if throne is not None:
            tiers = routes.by_tier
            contests = Contests(
                throne.registry,
                throne.champion,
                contender_of=throne.contender_of,
                shares=options.shares,
                large_cost=large_cost(options.cost_weight, large=tiers[Tier.LARGE].price, mini=tiers[Tier.MINI].price),
            )
            await owned.enter_async_context(_running(contests.follow()))
        if not any(options.shares.values()):
            yield None
            return
        shadows = Shadows(
            Sampling(
                shares=options.shares,
                seed=options.seed,
                concurrency=options.concurrency,
                max_per_minute=options.max_per_minute,
                keep_text=options.keep_text,
            ),
            routes=routes,
            calls=calls,
            learn=partial(_learn, None if promise is None else promise.observe_loss, contests),
            compare=compare,
        )
        owned.push_async_callback(shadows.aclose)
        yield shadows


async def _learn(
    observe_loss: Callable[[float, float], None] | None, contests: Contests | None, lesson: Lesson
) -> None:
    """Give a lesson to the policy and to the contest.

    The policy hears of Mini's requests alone, each sampled with the same probability: of what their callers lost, less
    than nothing where Mini's reply was better.
    """
    score = lesson.decision.score
    if observe_loss is not None and score is not None and lesson.decision.tier is Tier.MINI:
        signed = lesson.grade.strong_score - lesson.grade.weak_score
        observe_loss(score.value, signed if lesson.answered is Tier.MINI else 0.0)
    if contests is not None:
        await contests.judge(lesson)


async def _forget(ledger: Ledger, age: float) -> None:
    """Have text erased that is older than `age` seconds, now and then, until cancelled."""
    while True:
        ledger.forget(time.time() - age)
        await asyncio.sleep(FORGET_EVERY)


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncGenerator[None, None]:
    """Keep work going for as long as the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
