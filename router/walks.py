"""What was chosen and opened -> walks: the usual one, and that of vectors.

A walk is a `router.pipeline.Pipeline`; what it shares with others is put together once.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from backends.base import Backend
from backends.optional import start
from cache.options import OpenReplies
from classifier.base import Classifier
from router.account import Books
from router.base import Ledger, Tier
from router.cascade import Cascade
from router.certificate import Gate
from router.config.kinds import capabilities_of, has_replicas
from router.config.models import Config
from router.config.policies import CascadeOptions, CertifiedOptions
from router.deciding import cascade_of, chosen_of, gate_of, gives_way, policy_of, stays
from router.eligibility import Eligibility
from router.endpoints.embeddings import TIER as EMBEDDINGS
from router.endpoints.embeddings import embeddings_pipeline
from router.guards.large_share import LargeShare
from router.learning.grading import GRADER
from router.learning.opening import Throne, enthrone, open_learning
from router.learning.second_calls import SecondCalls
from router.ledger.prices import PriceBook
from router.ledger.prices import load as load_prices
from router.ledger.usage_estimates import UsageEstimates
from router.logs.request_lines import LoggedLedger
from router.metrics.counters import Metrics
from router.pipeline import Pipeline
from router.policies.paced import Paced
from router.policies.promise import Chosen
from router.policies.sticky import Sticky
from router.prefix_affinity import PrefixAffinity
from router.quality.opening import open_quality
from router.quotas import Quotas, longest_answer
from router.reply_keys import KeyOf, who_answers
from router.resources.shared import Resources
from router.routes import Route, Routes
from router.semantic.opening import open_semantic_replies
from router.single_flight import SingleFlight
from router.tracing.base import Spans
from router.tracing.wrappers import TracedBackend, TracedLedger

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What was read from files that the configuration names; nothing of it has to be closed.

    Attributes:
        throne: who scores, and what may come after; None where there is no registry of versions.
        chosen: the policy, with what it promises.
    """

    prices: PriceBook
    throne: Throne | None
    classifier: Classifier | None
    chosen: Chosen
    cascade: Cascade | None
    gate: Gate | None


def read_parts(config: Config) -> Parts:
    """Read them; see `router.gateway.open_gateway` for what it raises."""
    throne = enthrone(config.learning, config.classifier, partial(policy_of, config))
    classifier = config.classifier.build() if throne is None else throne.champion
    return Parts(
        prices=load_prices(config.prices),
        throne=throne,
        classifier=classifier,
        chosen=chosen_of(config, classifier) if throne is None else Chosen(throne.champion.policy),
        cascade=cascade_of(config),
        gate=gate_of(config),
    )


@dataclass(frozen=True, slots=True)
class Common:
    """What the walk of texts and that of vectors both need.

    Attributes:
        sticky: the policy with what staying with a tier is worth; None where nothing is.
        paced: the policy that gives way to tenants' budgets; None where nobody's does.
    """

    config: Config
    parts: Parts
    quotas: Quotas
    books: Books
    routes: Routes
    sticky: Sticky | None
    paced: Paced | None
    affinity: PrefixAffinity
    large_share: LargeShare


def common_of(
    config: Config,
    parts: Parts,
    resources: Resources,
    backends: Mapping[Tier, Backend],
    replies: OpenReplies,
    spans: Spans | None,
) -> Common:
    """Put together what walks share."""
    ledger: Ledger = LoggedLedger(resources.alerts.watched(resources.ledger), tells_all=config.logs.requests)
    routes = routes_of(config, backends, parts.prices)
    paced = gives_way(parts.chosen, resources.quotas)
    sticky = stays(paced or parts.chosen.policy, config.policy, routes)
    looks = sticky is not None or any(map(has_replicas, config.backends.by_tier.values()))
    affinity = PrefixAffinity(replies.key_secret, looks=looks)
    books = Books(
        ledger=ledger if spans is None else TracedLedger(ledger),
        metrics=Metrics(None if replies.replies is None else replies.replies.stats, affinity.stats, backends),
        learn=affinity.learn,
        estimates=UsageEstimates(),
        config=config.version,
    )
    return Common(
        config=config,
        parts=parts,
        quotas=resources.quotas,
        books=books,
        routes=routes,
        sticky=sticky,
        paced=paced,
        affinity=affinity,
        large_share=large_share_of(config),
    )


def routes_of(config: Config, backends: Mapping[Tier, Backend], prices: PriceBook) -> Routes:
    """Return both tiers' routes; a model without a price is told."""
    routes = {
        tier: Route(tier, each.model, backends[tier], partial(prices.price_of, each.price))
        for tier, each in config.backends.by_tier.items()
    }
    for tier, route in routes.items():
        if route.price is None:
            _log.warning("the price book has no price for %s: its costs stay unknown", tier)
    return Routes(routes, uncertified=config.certificate is not None and config.certificate.failover)


def large_share_of(config: Config) -> LargeShare:
    """Return what watches how much of their traffic tenants send to Large."""
    share = config.large_share
    return LargeShare(
        usual=share.usual,
        margin=share.margin,
        window=share.window,
        caps=bool(config.keys) if share.cap is None else share.cap,
        verify=config.policy.wrong if isinstance(config.policy, CascadeOptions) else None,
    )


async def open_walk(common: Common, replies: OpenReplies, embedder: Backend | None, owned: AsyncExitStack) -> Pipeline:
    """Open what learns and what finds replies by meaning, and put the walk of texts together."""
    config, parts, routes, metrics = common.config, common.parts, common.routes, common.books.metrics
    options, within, promise = config.backends, config.server.request_timeout, parts.chosen.promise
    looking = await owned.enter_async_context(
        open_quality(
            config.quality,
            grader=GRADER,
            price_of=parts.prices.price_of,
            ledger=common.books.ledger,
            metrics=metrics,
            estimates=common.books.estimates,
        )
    )
    calls = SecondCalls(
        common.books.ledger, metrics, timeout=within, tell=metrics.shadow, estimates=common.books.estimates
    )
    shadows = await owned.enter_async_context(
        open_learning(
            config.learning,
            routes=routes,
            calls=calls,
            promise=promise,
            throne=parts.throne,
            compare=looking.comparisons.compare,
        )
    )
    key_of = key_maker_of(config, parts, replies)
    semantic = await owned.enter_async_context(
        open_semantic_replies(
            config.cache,
            replies,
            key_of=key_of,
            embedding=_embedding_route(common, embedder),
            routes=routes,
            calls=calls,
        )
    )
    if semantic is not None:
        metrics.semantic_figures = semantic.stats
    flights = SingleFlight()
    metrics.watch("tandem_equal_requests", "Requests that could share one reply", "result", flights.results)
    capabilities = {tier: capabilities_of(each) for tier, each in options.by_tier.items()}
    eligibility = Eligibility(capabilities, parts.gate)
    if parts.gate is not None:
        words = "Requests that Mini was not certified for"
        metrics.watch("tandem_uncertified_requests", words, "slice", eligibility.uncertified)
    return Pipeline(
        eligibility=eligibility,
        large_share=common.large_share,
        classifier=parts.classifier,
        policy=common.sticky or common.paced or parts.chosen.policy,
        replies=replies.replies,
        key_of=key_of,
        affinity=common.affinity,
        routes=routes,
        books=common.books,
        cascade=parts.cascade,
        note=None if promise is None else promise.note,
        shadows=shadows,
        semantic=semantic,
        limits=common.quotas.limits(
            lambda tier: routes.by_tier[tier].price,
            Tier,
            answer=longest_answer(config.limits.answer_tokens, capabilities.values()),
            cascades=parts.cascade is not None,
        ),
        flights=flights,
        paced=common.paced,
        assess=looking.assessor,
        names_replies=config.ledger.reply_keys,
    )


def key_maker_of(config: Config, parts: Parts, replies: OpenReplies) -> KeyOf:
    """Return what names a request's kept reply."""
    scorer = parts.classifier if parts.throne is None else None
    return KeyOf(
        replies.key_secret,
        who=who_answers(config.backends.by_tier, scorer, parts.cascade, parts.gate),
        champion=None if parts.throne is None else parts.throne.champion,
        heeds_quality=isinstance(config.policy, CertifiedOptions),
    )


def vectors_walk(common: Common, embedder: Backend | None) -> Pipeline | None:
    """Return the walk of vectors; None where nothing embeds."""
    options = common.config.backends.embeddings
    if options is None or embedder is None:
        return None
    price_of = partial(common.parts.prices.price_of, options.price)
    return embeddings_pipeline(
        embedder,
        model=options.model,
        price_of=price_of,
        books=common.books,
        affinity=common.affinity,
        large_share=common.large_share,
        limits=common.quotas.limits(lambda _tier: price_of(), Tier, answer=0),
    )


def _embedding_route(common: Common, embedder: Backend | None) -> Route | None:
    options = common.config.backends.embeddings
    if options is None or embedder is None:
        return None
    return Route(EMBEDDINGS, options.model, embedder, partial(common.parts.prices.price_of, options.price))


async def open_backends(
    config: Config, resources: Resources, replies: OpenReplies, spans: Spans | None, owned: AsyncExitStack
) -> Mapping[Tier, Backend]:
    """Start both tiers at the same time."""
    options = config.backends.by_tier
    backends: dict[Tier, Backend] = {}
    for tier, each in options.items():
        backends[tier] = backend = resources.backend(each, url=replies.url, secret=replies.key_secret)
        owned.push_async_callback(backend.aclose)
    await asyncio.gather(*map(start, backends.values()))
    if spans is None:
        return backends
    return {tier: TracedBackend(backend, tier, options[tier].model) for tier, backend in backends.items()}
