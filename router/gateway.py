"""Configuration -> a running pipeline: the one place where what was chosen is opened.

Owners close: what is opened here is closed here, last first.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from backends.base import Backend
from backends.optional import start
from cache.options import OpenReplies, open_replies
from classifier.base import Classifier
from router.account import Books
from router.alerts.base import Alert
from router.base import Ledger, Policy, Tier
from router.cascade import Cascade
from router.certificate import Gate
from router.config.faults import ConfigError, Fault
from router.config.kinds import capabilities_of, has_replicas
from router.config.models import CascadeOptions, CertifiedOptions, Config
from router.deciding import cascade_of, gate_of, gives_way, policy_of, stays
from router.eligibility import Eligibility
from router.endpoints.embeddings import TIER as EMBEDDINGS
from router.endpoints.embeddings import embeddings_pipeline
from router.endpoints.wire import new_id
from router.experiments.folder import Folder
from router.experiments.overrides import Plan
from router.experiments.running import open_experiments
from router.experiments.scored import Scored
from router.experiments.standing import Standing
from router.guards.keys import Keys
from router.guards.large_share import LargeShare
from router.learning.grading import GRADER
from router.learning.opening import Throne, enthrone, open_learning
from router.learning.second_calls import SecondCalls
from router.ledger.holding import maker_of
from router.ledger.place import LedgerPlace
from router.ledger.prices import PriceBook
from router.ledger.prices import load as load_prices
from router.ledger.usage_estimates import UsageEstimates
from router.logs.request_lines import LoggedLedger
from router.metrics.counters import Metrics
from router.model_names import ModelNames
from router.pipeline import Pipeline
from router.policies.paced import Paced
from router.policies.sticky import Sticky
from router.prefix_affinity import PrefixAffinity
from router.quality.opening import open_quality
from router.quotas import Quotas, longest_answer
from router.reply_keys import KeyOf, who_answers
from router.resources.engines import engine_key, is_engine
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
        firing: tells which alerts fire now.
    """

    config: Config
    pipeline: Pipeline
    keys: Keys
    metrics: Metrics
    backends: Mapping[Tier, Backend]
    cache_kind: str
    ledger_place: LedgerPlace
    prices: PriceBook
    objects: ObjectStore
    first_answers: FirstAnswers
    spans: Spans | None
    names: ModelNames
    embeddings: Pipeline | None
    firing: Callable[[], Sequence[Alert]]


@asynccontextmanager
async def open_gateway(config: Config, resources: Resources | None = None) -> AsyncGenerator[Gateway, None]:
    """Yield a gateway that is ready to answer; close everything when the block ends.

    Args:
        resources: stay the caller's; None opens some for this gateway alone.

    Raises:
        Unavailable: the ledger is in use or cannot be written.
        WeightsError: the classifier's weights cannot be used.
        ConfigError: the policy's promise was not certified, or the certificate is of other models.
        RegistryError: the registry of its versions cannot be used.
        BackendError: a backend of our own could not be started.
        PriceBookError: the price book cannot be used.
    """
    parts = await asyncio.to_thread(_read_parts, config)  # off the loop: another gateway may be answering on it
    async with AsyncExitStack() as owned:
        if resources is None:
            ledger = config.ledger
            resources = await owned.enter_async_context(open_resources(ledger.place, retention=ledger.retention))
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
        await resources.alerts.revise(config.alerts, source=maker_of(new_id()))
        common = _common(config, parts, resources, backends, replies, spans)
        usual = await _open_pipeline(common, replies, embedder, owned)
        folder = Folder(config.experiments.beside(config.ledger.path))
        open_arm = partial(_open_arm, usual, common, resources, replies, spans)
        reweigh = partial(_reweigh, folder, config)
        experiments = await owned.enter_async_context(open_experiments(folder, config, open_arm, reweigh=reweigh))
        pipeline = replace(usual, experiments=experiments)
        yield Gateway(
            config=config,
            pipeline=pipeline,
            keys=Keys(config.keyring),
            metrics=common.books.metrics,
            backends=backends,
            cache_kind=replies.kind,
            ledger_place=config.ledger.place,
            prices=parts.prices,
            objects=objects,
            first_answers=first_answers,
            spans=spans,
            names=model_names_of(config),
            embeddings=_embeddings(common, embedder),
            firing=resources.alerts.firing,
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
    gate: Gate | None


def _read_parts(config: Config) -> _Parts:
    throne = enthrone(config.learning, config.classifier, partial(policy_of, config))
    classifier = config.classifier.build() if throne is None else throne.champion
    return _Parts(
        prices=load_prices(config.prices),
        throne=throne,
        classifier=classifier,
        policy=policy_of(config, classifier) if throne is None else throne.champion.policy,
        cascade=cascade_of(config),
        gate=gate_of(config),
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
        paced: the policy that gives way to tenants' budgets; None where nobody's does.
    """

    config: Config
    parts: _Parts
    quotas: Quotas
    books: Books
    routes: Routes
    sticky: Sticky | None
    paced: Paced | None
    affinity: PrefixAffinity
    large_share: LargeShare


def _common(
    config: Config,
    parts: _Parts,
    resources: Resources,
    backends: Mapping[Tier, Backend],
    replies: OpenReplies,
    spans: Spans | None,
) -> _Common:
    ledger: Ledger = LoggedLedger(resources.alerts.watched(resources.ledger), tells_all=config.logs.requests)
    routes = _routes(config, backends, parts.prices)
    paced = gives_way(parts.policy, resources.quotas)
    sticky = stays(paced or parts.policy, config.policy, routes)
    looks = sticky is not None or any(map(has_replicas, config.backends.by_tier.values()))
    affinity = PrefixAffinity(replies.key_secret, looks=looks)
    books = Books(
        ledger=ledger if spans is None else TracedLedger(ledger),
        metrics=Metrics(None if replies.replies is None else replies.replies.stats, affinity.stats, backends),
        learn=affinity.learn,
        estimates=UsageEstimates(),
        config=config.version,
    )
    return _Common(
        config=config,
        parts=parts,
        quotas=resources.quotas,
        books=books,
        routes=routes,
        sticky=sticky,
        paced=paced,
        affinity=affinity,
        large_share=_large_share(config),
    )


def _large_share(config: Config) -> LargeShare:
    share = config.large_share
    return LargeShare(
        usual=share.usual,
        margin=share.margin,
        window=share.window,
        caps=bool(config.keys) if share.cap is None else share.cap,
        verify=config.policy.wrong if isinstance(config.policy, CascadeOptions) else None,
    )


def _routes(config: Config, backends: Mapping[Tier, Backend], prices: PriceBook) -> Routes:
    routes = {
        tier: Route(tier, each.model, backends[tier], partial(prices.price_of, each.price))
        for tier, each in config.backends.by_tier.items()
    }
    for tier, route in routes.items():
        if route.price is None:
            _log.warning("the price book has no price for %s: its costs stay unknown", tier)
    return Routes(routes, uncertified=config.certificate is not None and config.certificate.failover)


async def _open_pipeline(
    common: _Common, replies: OpenReplies, embedder: Backend | None, owned: AsyncExitStack
) -> Pipeline:
    """Open what learns and what finds replies by meaning, and put the walk of texts together."""
    config, parts, routes, metrics = common.config, common.parts, common.routes, common.books.metrics
    options, within = config.backends, config.server.request_timeout
    looking = await owned.enter_async_context(
        open_quality(
            config.quality, grader=GRADER, price_of=parts.prices.price_of, ledger=common.books.ledger, metrics=metrics
        )
    )
    shadows = await owned.enter_async_context(
        open_learning(
            config.learning,
            routes=routes,
            ledger=common.books.ledger,
            metrics=metrics,
            policy=parts.policy,
            throne=parts.throne,
            call_within=within,
            compare=looking.comparisons.compare,
        )
    )
    key_of = _key_of(config, parts, replies)
    semantic = await owned.enter_async_context(
        open_semantic_replies(
            config.cache,
            replies,
            key_of=key_of,
            embedding=_embedding_route(common, embedder),
            routes=routes,
            calls=SecondCalls(common.books.ledger, metrics, timeout=within, tell=metrics.shadow),
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
        policy=common.sticky or common.paced or parts.policy,
        replies=replies.replies,
        key_of=key_of,
        affinity=common.affinity,
        routes=routes,
        books=common.books,
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
        paced=common.paced,
        assess=None if looking.assessor is None else looking.assessor.tell,
    )


@asynccontextmanager
async def _open_arm(
    usual: Pipeline, common: _Common, resources: Resources, replies: OpenReplies, spans: Spans | None, chosen: Config
) -> AsyncGenerator[Pipeline, None]:
    """Yield the walk of one arm of an experiment: the usual one, but for what its configuration changes.

    Shadow calls stay with the models that are configured: what they teach is of those.

    Raises:
        ConfigError: the arm wants an engine that this process cannot start, or a promise that was not certified.
        BackendError: a backend of our own could not be started.
    """
    parts = await asyncio.to_thread(_parts_of_arm, common, chosen)
    async with AsyncExitStack() as owned:
        routes, is_usual = common.routes, chosen.backends == common.config.backends
        if not is_usual:
            _refuse_new_engines(chosen, resources)
            backends = await _open_backends(chosen, resources, replies, spans, owned)
            routes = _routes(chosen, backends, common.parts.prices)
        capabilities = {tier: capabilities_of(each) for tier, each in chosen.backends.by_tier.items()}
        yield replace(
            usual,
            eligibility=Eligibility(capabilities, parts.gate),
            large_share=_large_share(chosen),  # its own: arms must not use up each other's share
            policy=Scored(stays(parts.policy, chosen.policy, routes) or parts.policy),
            key_of=_key_of(chosen, parts, replies),
            routes=routes,
            cascade=parts.cascade,
            note=getattr(parts.policy, "note", None),
            shadows=usual.shadows if is_usual else None,
            limits=common.quotas.limits(
                lambda tier: routes.by_tier[tier].price,
                Tier,
                answer=longest_answer(chosen.limits.answer_tokens, capabilities.values()),
                cascades=parts.cascade is not None,
            ),
        )


def _key_of(config: Config, parts: _Parts, replies: OpenReplies) -> KeyOf:
    scorer = parts.classifier if parts.throne is None else None
    return KeyOf(
        replies.key_secret,
        who=who_answers(config.backends.by_tier, scorer, parts.cascade, parts.gate),
        champion=None if parts.throne is None else parts.throne.champion,
        heeds_quality=isinstance(config.policy, CertifiedOptions),
    )


def _parts_of_arm(common: _Common, chosen: Config) -> _Parts:
    usual = common.parts
    same_policy = chosen.policy == common.config.policy
    return replace(
        usual,
        policy=usual.policy if same_policy else policy_of(chosen, usual.classifier),
        cascade=cascade_of(chosen),
        gate=gate_of(chosen),
    )


def _refuse_new_engines(chosen: Config, resources: Resources) -> None:
    """Refuse engines of our own that the parent of this process has not started.

    Raises:
        ConfigError: there is one.
    """
    if resources.inherited is None:
        return
    for tier, options in chosen.backends.by_tier.items():
        if is_engine(options) and engine_key(options) not in resources.inherited.engines:
            where = f"backends.{tier}"
            said = "an engine of our own that only an arm wants needs one process; set server.workers to 1, or serve it"
            raise ConfigError((Fault("", 1, 1, where, said),))


def _reweigh(folder: Folder, config: Config, plan: Plan, standing: Standing) -> None:
    from router.experiments.bandit import reweigh  # noqa: PLC0415  (loads numpy)
    from router.quality.fates import fates_of  # noqa: PLC0415  (likewise)

    reweigh(folder, config.ledger.place, partial(fates_of, config), plan, standing)


def _embedding_route(common: _Common, embedder: Backend | None) -> Route | None:
    options = common.config.backends.embeddings
    if options is None or embedder is None:
        return None
    return Route(EMBEDDINGS, options.model, embedder, partial(common.parts.prices.price_of, options.price))


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
        books=common.books,
        affinity=common.affinity,
        large_share=common.large_share,
        limits=common.quotas.limits(lambda _tier: price_of(), Tier, answer=0),
    )


def model_names_of(config: Config) -> ModelNames:
    """Return the models that callers may name."""
    embedder = config.backends.embeddings
    return ModelNames(config.models.aliases, embedding=None if embedder is None else [embedder.model])
