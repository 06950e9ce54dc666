"""Quality options -> what looks at replies while the gateway runs, and what compares both tiers' replies.

Owners close: the thread and the judge's backend end with the block.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from backends.optional import start
from router.base import Ledger, Price, Tier
from router.config.learning import QualityOptions
from router.ledger.usage_estimates import UsageEstimates
from router.metrics.counters import Metrics
from router.quality.assessor import Assessor, Budget
from router.quality.comparisons import Comparisons, Judge
from router.routes import Route


@dataclass(frozen=True, slots=True)
class Looking:
    """What looks at replies.

    Attributes:
        assessor: told of each whole reply; None where that is switched off.
        comparisons: told of each pair of replies to a sampled request.
    """

    assessor: Assessor | None
    comparisons: Comparisons


@asynccontextmanager
async def open_quality(
    options: QualityOptions,
    *,
    grader: str,
    price_of: Callable[[str], Price | None],
    ledger: Ledger,
    metrics: Metrics,
    estimates: UsageEstimates | None = None,
) -> AsyncGenerator[Looking, None]:
    """Yield what looks at replies; the ledger stays open for as long.

    Args:
        grader: "name@version" of what compares answers by rule.
        price_of: today's price of an entry in the price book.
        estimates: tells what a judge's reply took whose backend did not.

    Raises:
        BackendError: the judge's backend could not be started.
    """
    async with AsyncExitStack() as owned:
        judge = await _open_judge(options, price_of, owned)
        comparisons = Comparisons(judge, grader=grader, ledger=ledger, metrics=metrics, estimates=estimates)
        if judge is not None:
            words = "Sampled pairs of replies by what the judge made of them"
            metrics.watch("tandem_judged_pairs", words, "result", comparisons.results)
        assessor = None
        if options.assess:
            budget = Budget(share=options.cpu_share, waiting=options.waiting)
            loop = asyncio.get_running_loop()
            assessor = Assessor(budget, ledger=ledger, loop=loop, is_compared=comparisons.is_compared)
            owned.push_async_callback(assessor.aclose)
            metrics.watch("tandem_assessed_replies", "Replies to be assessed, by result", "result", assessor.results)
            words = "Assessed replies by tier and flag"
            metrics.watch("tandem_flagged_replies", words, ("tier", "flag"), assessor.flags)
        yield Looking(assessor, comparisons)


async def _open_judge(
    options: QualityOptions, price_of: Callable[[str], Price | None], owned: AsyncExitStack
) -> Judge | None:
    chosen = options.judge
    if chosen is None:
        return None
    backend = chosen.backend.build()
    owned.push_async_callback(backend.aclose)
    await start(backend)
    # No tier's model: it is told as Large's where a tier must be named.
    route = Route(Tier.LARGE, chosen.backend.model, backend, lambda: price_of(chosen.backend.price))
    return Judge(route, share=chosen.share, max_per_minute=chosen.max_per_minute, timeout=chosen.timeout)
