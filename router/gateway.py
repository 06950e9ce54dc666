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
from typing import Final

from backends.base import Backend
from backends.optional import start
from cache.options import OpenReplies, open_replies
from classifier.base import Classifier
from router.base import Ledger, Policy, Tier
from router.cascade import Cascade
from router.config.kinds import capabilities_of, has_replicas
from router.config.models import CascadeOptions, CertifiedOptions, Config
from router.deciding import cascade_of, policy_of, stays
from router.eligibility import Eligibility
from router.endpoints.embeddings import embeddings_pipeline
from router.endpoints.wire import new_id
from router.guards.keys import Keys
from router.guards.large_share import LargeShare
from router.learning.opening import Throne, enthrone, open_learning
from router.learning.second_calls import SecondCalls
from router.ledger.holding import maker_of
from router.ledger.prices import PriceBook
from router.ledger.prices import load as load_prices
from router.logs.request_lines import LoggedLedger
from router.metrics.counters import Metrics
from router.model_names import ModelNames
from router.pipeline import Pipeline
from router.policies.sticky import Sticky
from router.prefix_affinity import PrefixAffinity
from router.quotas import Quotas, longest_answer
from router.reply_keys import KeyOf, who_answers
from router.resources.shared import Resources, open_resources
from router.routes import Route, Routes
from router.semantic.opening import open_semantic_replies
from router.single_flight import SingleFlight
from router.stored.base import ObjectStore
from router.stored.first_answers import FirstAnswers
from router.stored.sqlite_objects import SqliteObjects
from router.tracing.base import Spans
from router.tracing.opening import open_tracing
from router.tracing.wrappers import TracedBackend, TracedLedger

A_DAY: Final = 86_400.0  # seconds

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the endpoints need.

    Attributes:
        cache_kind: what keeps replies, in words.
        spans: what makes them; None where tracing is off.
        embeddings: the walk of what asks for vectors; None where nothing embeds.
    """

    config: Config
    pipeline: Pipeline
    keys: Keys
    metrics: Metrics
    backends: Mapping[Tier, Backend]
    cache_kind: str
    ledger_path: Path
    objects: ObjectStore
    first_answers: FirstAnswers
    spans: Spans | None
    names: ModelNames
    embeddings: Pipeline | None


@asynccontextmanager
async def open_gateway(config: Config, resources: Resources | None = None) -> AsyncGenerator[Gateway, None]:
    """Yield a gateway that is ready to answer; close everything when the block ends.

    Args:
        resources: stay the caller's; None opens some for this gateway alone.

    Raises:
        Unavailable: the ledger is in use or cannot be written.
        WeightsError: the classifier's weights cannot be used.
        ConfigError: the policy's promise was not certified.
        RegistryError: the registry of its versions cannot be used.
        BackendError: a backend of our own could not be started.
        PriceBookError: the price book cannot be used.
    """
    parts = await asyncio.to_thread(_read_parts, config)  # off the loop: another gateway may be answering on it
    async with AsyncExitStack() as owned:
        if resources is None:
            resources = await owned.enter_async_context(open_resources(config.ledger.path))
        spans = await owned.enter_async_context(open_tracing(config.tracing))
        objects, first_answers = _open_stores(config, owned)
        replies = await owned.enter_async_context(open_replies(config.cache, await resources.shared(config.cache)))
        backends = await _open_backends(config, resources, replies, spans, owned)
        embedder = await _open_embedder(config, owned)
        await resources.quotas.revise(
            config,
            worker=maker_of(new_id()),
            workers=1 if resources.inherited is None else config.server.processes,
            redis_url=replies.url,
        )
        common = _common(config, parts, resources, backends, replies, spans)
        pipeline = await _open_pipeline(common, replies, embedder, owned)
        yield Gateway(
            config=config,
            pipeline=pipeline,
            keys=Keys(config.keyring),
            metrics=common.metrics,
            backends=backends,
            cache_kind=replies.kind,
            ledger_path=config.ledger.path,
            objects=objects,
            first_answers=first_answers,
            spans=spans,
            names=model_names_of(config),
            embeddings=_embeddings(common, embedder),
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What was read from files that the configuration names; nothing of it has to be closed.

    Attributes:
        throne: who scores, and what may come after; None where there is no registry of versions.
    """

    prices: PriceBook
    throne: Throne | None
    classifier: Classifier | None
    policy: Policy
    cascade: Cascade | None


def _read_parts(config: Config) -> _Parts:
    throne = enthrone(config.learning, config.classifier, partial(policy_of, config))
    classifier = config.classifier.build() if throne is None else throne.champion
    return _Parts(
        prices=load_prices(config.prices),
        throne=throne,
        classifier=classifier,
        policy=policy_of(config, classifier) if throne is None else throne.champion.policy,
        cascade=cascade_of(config),
    )


def _open_stores(config: Config, owned: AsyncExitStack) -> tuple[ObjectStore, FirstAnswers]:
    """Open what is stored for callers, and the answers that are given again, beside the ledger."""
    ledger = config.ledger.path
    objects = SqliteObjects(
        config.stored.beside(ledger),
        retention=config.stored.retention_days * A_DAY,
        max_per_tenant=config.stored.max_bytes_per_tenant,
    )
    owned.push_async_callback(objects.aclose)
    first_answers = FirstAnswers(ledger.with_name(f"{ledger.stem}-answers.db"))
    owned.push_async_callback(first_answers.aclose)
    return objects, first_answers


async def _open_backends(
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


async def _open_embedder(config: Config, owned: AsyncExitStack) -> Backend | None:
    """Start what embeds; None where nothing does."""
    if config.backends.embeddings is None:
        return None
    embedder = config.backends.embeddings.build()
    owned.push_async_callback(embedder.aclose)
    await start(embedder)
    return embedder


@dataclass(frozen=True, slots=True)
class _Common:
    """What the walk of texts and that of vectors both need.

    Attributes:
        sticky: the policy with what staying with a tier is worth; None where nothing is.
    """

    config: Config
    parts: _Parts
    quotas: Quotas
    ledger: Ledger
    routes: Routes
    sticky: Sticky | None
    affinity: PrefixAffinity
    metrics: Metrics
    large_share: LargeShare


def _common(
    config: Config,
    parts: _Parts,
    resources: Resources,
    backends: Mapping[Tier, Backend],
    replies: OpenReplies,
    spans: Spans | None,
) -> _Common:
    ledger: Ledger = LoggedLedger(resources.ledger, tells_all=config.logs.requests)
    routes = _routes(config, backends, parts.prices)
    sticky = stays(parts.policy, config.policy, routes)
    looks = sticky is not None or any(map(has_replicas, config.backends.by_tier.values()))
    affinity = PrefixAffinity(replies.key_secret, looks=looks)
    share = config.large_share
    return _Common(
        config=config,
        parts=parts,
        quotas=resources.quotas,
        ledger=ledger if spans is None else TracedLedger(ledger),
        routes=routes,
        sticky=sticky,
        affinity=affinity,
        metrics=Metrics(None if replies.replies is None else replies.replies.stats, affinity.stats, backends),
        large_share=LargeShare(
            usual=share.usual,
            margin=share.margin,
            window=share.window,
            caps=bool(config.keys) if share.cap is None else share.cap,
            verify=config.policy.wrong if isinstance(config.policy, CascadeOptions) else None,
        ),
    )


def _routes(config: Config, backends: Mapping[Tier, Backend], prices: PriceBook) -> Routes:
    routes = {
        tier: Route(tier, each.model, backends[tier], partial(prices.price_of, each.price))
        for tier, each in config.backends.by_tier.items()
    }
    for tier, route in routes.items():
        if route.price is None:
            _log.warning("the price book has no price for %s: its costs stay unknown", tier)
    return Routes(routes)


async def _open_pipeline(
    common: _Common, replies: OpenReplies, embedder: Backend | None, owned: AsyncExitStack
) -> Pipeline:
    """Open what learns and what finds replies by meaning, and put the walk of texts together."""
    config, parts, routes, metrics = common.config, common.parts, common.routes, common.metrics
    options, within = config.backends, config.server.request_timeout
    shadows = await owned.enter_async_context(
        open_learning(
            config.learning,
            routes=routes,
            ledger=common.ledger,
            metrics=metrics,
            policy=parts.policy,
            throne=parts.throne,
            call_within=within,
        )
    )
    key_of = KeyOf(
        replies.key_secret,
        who=who_answers(options.by_tier, parts.classifier if parts.throne is None else None, parts.cascade),
        champion=None if parts.throne is None else parts.throne.champion,
        heeds_quality=isinstance(config.policy, CertifiedOptions),
    )
    semantic = await owned.enter_async_context(
        open_semantic_replies(
            config.cache,
            replies,
            key_of=key_of,
            embedding=embedder,
            embedding_model="" if options.embeddings is None else options.embeddings.model,
            routes=routes,
            calls=SecondCalls(common.ledger, metrics, timeout=within, tell=metrics.shadow),
        )
    )
    if semantic is not None:
        metrics.semantic_figures = semantic.stats
    flights = SingleFlight()
    metrics.watch("tandem_equal_requests", "Requests that could share one reply", "result", flights.results)
    capabilities = {tier: capabilities_of(each) for tier, each in options.by_tier.items()}
    return Pipeline(
        eligibility=Eligibility(capabilities),
        large_share=common.large_share,
        classifier=parts.classifier,
        policy=common.sticky or parts.policy,
        replies=replies.replies,
        key_of=key_of,
        affinity=common.affinity,
        routes=routes,
        ledger=common.ledger,
        metrics=metrics,
        cascade=parts.cascade,
        note=getattr(parts.policy, "note", None),
        shadows=shadows,
        semantic=semantic,
        limits=common.quotas.limits(
            lambda tier: routes.by_tier[tier].price,
            Tier,
            answer=longest_answer(config.limits.answer_tokens, capabilities.values()),
            cascades=parts.cascade is not None,
        ),
        flights=flights,
    )


def _embeddings(common: _Common, embedder: Backend | None) -> Pipeline | None:
    """Return the walk of vectors; None where nothing embeds."""
    options = common.config.backends.embeddings
    if options is None or embedder is None:
        return None
    price_of = partial(common.parts.prices.price_of, options.price)
    return embeddings_pipeline(
        embedder,
        model=options.model,
        price_of=price_of,
        ledger=common.ledger,
        metrics=common.metrics,
        affinity=common.affinity,
        large_share=common.large_share,
        limits=common.quotas.limits(lambda _tier: price_of(), Tier, answer=0),
    )


def model_names_of(config: Config) -> ModelNames:
    """Return the models that callers may name."""
    embedder = config.backends.embeddings
    return ModelNames(config.models.aliases, embedding=None if embedder is None else [embedder.model])
