"""Configuration -> a running pipeline: the one place where what was chosen is opened.

Owners close: what is opened here is closed here, last first.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backends.base import Backend
from cache.keys import reply_key
from cache.options import open_replies
from classifier.base import Classifier, Prompt
from router.base import Policy, Request, Tier
from router.config.kinds import BackendOptions
from router.config.models import Config, ExplicitOptions
from router.guards.keys import Keys
from router.ledger.prices import load as load_prices
from router.ledger.sqlite import SqliteLedger
from router.metrics import Metrics
from router.pipeline import Pipeline
from router.policies.explicit import Explicit
from router.policies.threshold import Threshold
from router.routes import Route, Routes

_log = logging.getLogger(__name__)
UNKNOWN_THRESHOLD = 0.5  # where nothing scores, the threshold is never asked


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the endpoints need.

    Attributes:
        cache_kind: what keeps replies, in words.
    """

    config: Config
    pipeline: Pipeline
    keys: Keys
    metrics: Metrics
    backends: Mapping[Tier, Backend]
    cache_kind: str
    ledger_path: Path


@asynccontextmanager
async def open_gateway(config: Config) -> AsyncGenerator[Gateway, None]:
    """Yield a gateway that is ready to answer; close everything when the block ends.

    Raises:
        Unavailable: the ledger is in use or cannot be written.
        WeightsError: the classifier's weights cannot be used.
        BackendError: a backend of our own could not be started.
        PriceBookError: the price book cannot be used.
    """
    prices = load_prices(config.prices)
    classifier = config.classifier.build()
    policy = policy_of(config, classifier)
    async with AsyncExitStack() as owned:
        ledger = SqliteLedger(config.ledger.path, loop=asyncio.get_running_loop())
        owned.push_async_callback(ledger.aclose)
        options = config.backends.by_tier
        backends: dict[Tier, Backend] = {tier: each.build() for tier, each in options.items()}
        for backend in backends.values():
            owned.push_async_callback(backend.aclose)
        opened = await owned.enter_async_context(open_replies(config.cache))
        await asyncio.gather(*(_start(backend) for backend in backends.values()))
        metrics = Metrics(None if opened.replies is None else opened.replies.stats)
        routes = Routes(
            {
                tier: Route(tier, each.model, backends[tier], partial(prices.price_of, each.price))
                for tier, each in options.items()
            }
        )
        for tier, route in routes.by_tier.items():
            if route.price is None:
                _log.warning("the price book has no price for %s: its costs stay unknown", tier)
        pipeline = Pipeline(
            classifier=classifier,
            policy=policy,
            replies=opened.replies,
            key_of=_KeyOf(opened.key_secret, who=_who(options, classifier)),
            routes=routes,
            ledger=ledger,
            metrics=metrics,
        )
        yield Gateway(
            config=config,
            pipeline=pipeline,
            keys=Keys(config.keyring),
            metrics=metrics,
            backends=backends,
            cache_kind=opened.kind,
            ledger_path=config.ledger.path,
        )


def policy_of(config: Config, classifier: Classifier | None) -> Policy:
    """Return what the file chose; the threshold is that of the weights where the file names none."""
    chosen = config.policy
    if isinstance(chosen, ExplicitOptions):
        return Explicit(chosen.tier)
    threshold = chosen.threshold
    if threshold is None:
        threshold = UNKNOWN_THRESHOLD if classifier is None else classifier.threshold
    return Threshold(threshold, chosen.default_tier)


@dataclass(frozen=True, slots=True)
class _KeyOf:
    """Request and policy version -> the key of its kept reply.

    Attributes:
        who: scores and answers; with other models or weights, what was kept before is not found any more.
    """

    secret: bytes
    who: str

    def __call__(self, request: Request, policy: str) -> bytes:
        fields = [(name, bytes(value)) for name, value in request.fields.items()]
        return reply_key(
            self.secret,
            tenant=request.tenant,
            path=request.path,
            fields=fields,
            policy=f"{policy} {self.who}",
            tier=request.wanted or "",
        )


def _who(options: Mapping[Tier, BackendOptions], classifier: Classifier | None) -> str:
    scorer = "" if classifier is None else classifier.score(Prompt(())).source
    return " ".join([scorer, *(f"{tier}={each.model}" for tier, each in options.items())])


async def _start(backend: Backend) -> None:
    """Start what is a process of our own; a backend elsewhere needs no start."""
    start = getattr(backend, "start", None)
    if start is not None:
        await start()
