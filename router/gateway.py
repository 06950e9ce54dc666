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
from backends.capabilities import Capabilities
from backends.engines.options import SHIPPED
from cache.keys import reply_key
from cache.options import open_replies
from classifier.base import Classifier, Prompt, Verifier, WeightsError
from router.base import Ledger, Policy, Request, Tier
from router.cascade import ANEW, Cascade
from router.config.faults import ConfigError, Fault
from router.config.kinds import BackendOptions
from router.config.models import CascadeOptions, CertifiedOptions, Config, ExplicitOptions, PolicyOptions
from router.eligibility import Eligibility
from router.endpoints.embeddings import embeddings_pipeline
from router.endpoints.wire import new_id
from router.guards.keys import Keys
from router.guards.large_share import LargeShare
from router.learning.champion import Champion
from router.learning.opening import Throne, enthrone, open_learning
from router.learning.second_calls import SecondCalls
from router.ledger.holding import maker_of
from router.ledger.prices import PriceBook
from router.ledger.prices import load as load_prices
from router.logs.request_lines import LoggedLedger
from router.metrics.counters import Metrics
from router.model_names import ModelNames
from router.pipeline import Pipeline
from router.policies.cascade import Zones
from router.policies.explicit import Explicit
from router.policies.sticky import Sticky, may_save
from router.policies.threshold import Threshold
from router.prefix_affinity import PrefixAffinity
from router.quotas import longest_answer
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

_log = logging.getLogger(__name__)
A_DAY = 86_400.0  # seconds
UNKNOWN_THRESHOLD = 0.5  # where nothing scores, the threshold is never asked


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
    # Off the loop: another gateway may be answering on it. Files are read here, and nothing else.
    prices, throne, classifier, policy, cascade = await asyncio.to_thread(_read_parts, config)
    async with AsyncExitStack() as owned:
        if resources is None:
            resources = await owned.enter_async_context(open_resources(config.ledger.path))
        ledger: Ledger = LoggedLedger(resources.ledger, tells_all=config.logs.requests)
        spans = await owned.enter_async_context(open_tracing(config.tracing))
        if spans is not None:
            ledger = TracedLedger(ledger)
        objects = SqliteObjects(
            config.stored.beside(config.ledger.path),
            retention=config.stored.retention_days * A_DAY,
            max_per_tenant=config.stored.max_bytes_per_tenant,
        )
        owned.push_async_callback(objects.aclose)
        first_answers = FirstAnswers(config.ledger.path.with_name(f"{config.ledger.path.stem}-answers.db"))
        owned.push_async_callback(first_answers.aclose)
        options = config.backends.by_tier
        opened = await owned.enter_async_context(open_replies(config.cache, await resources.shared(config.cache)))
        backends = {
            tier: resources.backend(each, url=opened.url, secret=opened.key_secret) for tier, each in options.items()
        }
        for backend in backends.values():
            owned.push_async_callback(backend.aclose)
        await asyncio.gather(*(_start(backend) for backend in backends.values()))
        if spans is not None:
            backends = {tier: TracedBackend(each, tier, options[tier].model) for tier, each in backends.items()}
        routes = Routes(
            {
                tier: Route(tier, each.model, backends[tier], partial(prices.price_of, each.price))
                for tier, each in options.items()
            }
        )
        stays = _may_stay(config.policy, routes)
        affinity = PrefixAffinity(opened.key_secret, looks=stays or _has_replicas(options))
        metrics = Metrics(None if opened.replies is None else opened.replies.stats, affinity.stats, backends)
        for tier, route in routes.by_tier.items():
            if route.price is None:
                _log.warning("the price book has no price for %s: its costs stay unknown", tier)
        shadows = await owned.enter_async_context(
            open_learning(
                config.learning,
                routes=routes,
                ledger=ledger,
                metrics=metrics,
                policy=policy,
                throne=throne,
                call_within=config.server.request_timeout,
            )
        )
        key_of = _KeyOf(
            opened.key_secret,
            who=_who(options, classifier if throne is None else None, cascade),
            champion=None if throne is None else throne.champion,
            heeds_quality=isinstance(config.policy, CertifiedOptions),
        )
        embedder, embedding = config.backends.embeddings, None
        if embedder is not None:
            embedding = embedder.build()
            owned.push_async_callback(embedding.aclose)
            await _start(embedding)
        semantic = await owned.enter_async_context(
            open_semantic_replies(
                config.cache,
                opened,
                key_of=key_of,
                embedding=embedding,
                embedding_model="" if embedder is None else embedder.model,
                routes=routes,
                calls=SecondCalls(ledger, metrics, timeout=config.server.request_timeout, tell=metrics.shadow),
            )
        )
        if semantic is not None:
            metrics.semantic_figures = semantic.stats
        await resources.quotas.revise(
            config,
            worker=maker_of(new_id()),
            workers=1 if resources.inherited is None else config.server.workers,
            redis_url=opened.url,
        )
        capabilities = {tier: getattr(each, "capabilities", Capabilities()) for tier, each in options.items()}
        limits = resources.quotas.limits(
            lambda tier: routes.by_tier[tier].price,
            Tier,
            answer=longest_answer(config.limits.answer_tokens, capabilities.values()),
            cascades=cascade is not None,
        )
        flights = SingleFlight()
        metrics.watch("tandem_equal_requests", "Requests that could share one reply", "result", flights.results)
        share = config.large_share
        pipeline = Pipeline(
            eligibility=Eligibility(capabilities),
            large_share=LargeShare(
                usual=share.usual,
                margin=share.margin,
                window=share.window,
                caps=bool(config.keys) if share.cap is None else share.cap,
                verify=config.policy.wrong if isinstance(config.policy, CascadeOptions) else None,
            ),
            classifier=classifier,
            policy=_sticky(policy, routes) if stays else policy,
            replies=opened.replies,
            key_of=key_of,
            affinity=affinity,
            routes=routes,
            ledger=ledger,
            metrics=metrics,
            cascade=cascade,
            note=getattr(policy, "note", None),
            shadows=shadows,
            semantic=semantic,
            limits=limits,
            flights=flights,
        )
        embeddings = None
        if embedder is not None and embedding is not None:
            embeddings = embeddings_pipeline(
                embedding,
                model=embedder.model,
                price_of=partial(prices.price_of, embedder.price),
                ledger=ledger,
                metrics=metrics,
                affinity=affinity,
                large_share=pipeline.large_share,
                limits=resources.quotas.limits(lambda _tier: prices.price_of(embedder.price), Tier, answer=0),
            )
        yield Gateway(
            config=config,
            pipeline=pipeline,
            keys=Keys(config.keyring),
            metrics=metrics,
            backends=backends,
            cache_kind=opened.kind,
            ledger_path=config.ledger.path,
            objects=objects,
            first_answers=first_answers,
            spans=spans,
            names=model_names_of(config),
            embeddings=embeddings,
        )


def _read_parts(config: Config) -> tuple[PriceBook, Throne | None, Classifier | None, Policy, Cascade | None]:
    """Return what is read from files that the configuration names."""
    prices = load_prices(config.prices)
    throne = enthrone(config.learning, config.classifier, partial(policy_of, config))
    classifier = config.classifier.build() if throne is None else throne.champion
    policy = policy_of(config, classifier) if throne is None else throne.champion.policy
    return prices, throne, classifier, policy, cascade_of(config)


def model_names_of(config: Config) -> ModelNames:
    """Return the models that callers may name."""
    embedder = config.backends.embeddings
    return ModelNames(config.models.aliases, embedding=None if embedder is None else [embedder.model])


def _may_stay(chosen: PolicyOptions, routes: Routes) -> bool:
    """Tell whether it can pay to stay with Large for the KV that it holds: prices are looked at once, at the start."""
    if not getattr(chosen, "affinity", False):
        return False
    large, mini = routes.by_tier[Tier.LARGE], routes.by_tier[Tier.MINI]
    return isinstance(chosen, CascadeOptions) or may_save(large.price, mini.price)


def _has_replicas(options: Mapping[Tier, BackendOptions]) -> bool:
    return any(len(getattr(each, "urls", ())) > 1 for each in options.values())


def _sticky(policy: Policy, routes: Routes) -> Sticky:
    large, mini = routes.by_tier[Tier.LARGE], routes.by_tier[Tier.MINI]
    return Sticky(policy, large.price_of, mini.price_of)


def policy_of(config: Config, classifier: Classifier | None) -> Policy:
    """Return what the file chose; the threshold is that of the weights where the file names none.

    Raises:
        ConfigError: what it is to promise was not certified, or not for the scores of this classifier.
    """
    chosen = config.policy
    if isinstance(chosen, ExplicitOptions):
        return Explicit(chosen.tier)
    if isinstance(chosen, CertifiedOptions):
        try:
            return _certified(chosen, classifier)
        except WeightsError as error:
            raise ConfigError((Fault("", 1, 1, "policy.file", str(error)),)) from error
    suggested = UNKNOWN_THRESHOLD if classifier is None else classifier.threshold
    if isinstance(chosen, CascadeOptions):
        hard = (suggested + 1) / 2 if chosen.hard is None else chosen.hard
        easy = min(suggested / 2, hard) if chosen.easy is None else chosen.easy
        return Zones(easy, max(easy, hard), chosen.wrong, chosen.default_tier)
    return Threshold(suggested if chosen.threshold is None else chosen.threshold, chosen.default_tier)


def _certified(chosen: CertifiedOptions, classifier: Classifier | None) -> Policy:
    from classifier.calibrating.calibrated import load  # noqa: PLC0415  (numpy is loaded only where something needs it)
    from router.policies.certified import Certified  # noqa: PLC0415  (likewise)

    overlay = load(chosen.file)
    scorer = "nothing" if classifier is None else classifier.score(Prompt(())).source
    if scorer != overlay.scorer:
        raise WeightsError(f"{chosen.file}: certifies scores of {overlay.scorer}, and {scorer} gives them here")
    try:
        return Certified(
            overlay, loss=chosen.loss, confidence=chosen.confidence, default=chosen.default_tier, tell=_log.warning
        )
    except WeightsError as error:
        raise WeightsError(f"{chosen.file}: {error}") from error


def cascade_of(config: Config) -> Cascade | None:
    """Return what answers where a reply of Mini is verified; None where the policy never asks for it.

    Raises:
        WeightsError: the verifier's weights cannot be used.
    """
    chosen = config.policy
    if not isinstance(chosen, CascadeOptions):
        return None
    mini = config.backends.mini
    is_ours = mini.use == "local"
    instruction = "" if is_ours else ANEW
    asks_logprobs = is_ours if chosen.ask_logprobs is None else chosen.ask_logprobs
    return Cascade(
        verifier=load_verifier(chosen.verifier, is_shipped=is_ours and getattr(mini, "name", "") in SHIPPED),
        second_sample=not asks_logprobs if chosen.second_sample is None else chosen.second_sample,
        instruction=instruction if chosen.second_instruction is None else chosen.second_instruction,
        hold_tokens=chosen.hold_tokens,
        hold_seconds=chosen.hold_seconds,
        asks_logprobs=asks_logprobs,
    )


def load_verifier(weights: Path | None, *, is_shipped: bool) -> Verifier:
    """Return the verifier with these weights; None means shipped ones, which know the models that are shipped."""
    from classifier import verify  # noqa: PLC0415  (loaded only where something is verified)

    if weights is not None:
        return verify.load(weights)
    return verify.load(verify.SHIPPED, name=verify.DESK if is_shipped else verify.GENERAL)


@dataclass(frozen=True, slots=True)
class _KeyOf:
    """Request and policy version -> the key of its kept reply.

    Attributes:
        who: scores and answers; with other models or weights, what was kept before is not found any more.
        champion: scores, and may be exchanged; None where `who` says it.
        heeds_quality: the policy keeps promises; what was kept for one of them is never given for another.
    """

    secret: bytes
    who: str
    champion: Champion | None = None
    heeds_quality: bool = False

    def __call__(self, request: Request, policy: str) -> bytes:
        quality = f" quality={request.quality}" if self.heeds_quality and request.quality is not None else ""
        lean = f" lean={request.lean}" if request.lean else ""  # of an alias it could change
        fields = [(name, bytes(value)) for name, value in request.fields.items()]
        return reply_key(
            self.secret,
            tenant=request.tenant,
            path=request.path,
            fields=fields,
            policy=f"{policy}{quality}{lean} {'' if self.champion is None else self.champion.source}{self.who}",
            tier=request.wanted or "",
        )


def _who(options: Mapping[Tier, BackendOptions], classifier: Classifier | None, cascade: Cascade | None = None) -> str:
    scorer = "" if classifier is None else classifier.score(Prompt(())).source
    verifier = () if cascade is None else (cascade.verifier.source,)
    return " ".join([scorer, *verifier, *(f"{tier}={each.model}" for tier, each in options.items())])


async def _start(backend: Backend) -> None:
    """Start what is a process of our own; a backend elsewhere needs no start."""
    start = getattr(backend, "start", None)
    if start is not None:
        await start()
