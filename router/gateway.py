"""Configuration -> a running pipeline: the one place where what was chosen is opened.

Owners close: what is opened here is closed here, last first.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from backends.base import Backend
from backends.optional import start
from cache.options import open_replies
from router.alerts.base import Alert
from router.arms import open_walks
from router.base import Tier, Unavailable
from router.config.models import Config
from router.endpoints.wire import new_id
from router.guards.keys import Keys
from router.ledger.ids import maker_of
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.ledger.prices import PriceBook, utc_today
from router.ledger.served_prices import keep_prices
from router.metrics.counters import Metrics
from router.model_names import ModelNames
from router.pipeline import Pipeline
from router.resources.shared import Resources, open_resources
from router.stored.base import ObjectStore
from router.stored.first_answers import FirstAnswers
from router.stored.runs import Runs
from router.stored.sqlite_objects import SqliteObjects
from router.tracing.base import Spans
from router.tracing.opening import open_tracing
from router.walks import common_of, open_backends, open_walk, read_parts, vectors_walk

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
    runs: Runs
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
    parts = await asyncio.to_thread(read_parts, config)  # off the loop: another gateway may be answering on it
    async with AsyncExitStack() as owned:
        if resources is None:
            ledger = config.ledger
            resources = await owned.enter_async_context(open_resources(ledger.place, retention=ledger.retention))
        spans = await owned.enter_async_context(open_tracing(config.tracing))
        objects, first_answers, runs = _open_stores(config, owned)
        replies = await owned.enter_async_context(open_replies(config.cache, await resources.shared(config.cache)))
        backends = await open_backends(config, resources, replies, spans, owned)
        embedder = await _open_embedder(config, owned)
        await resources.quotas.revise(
            config,
            worker=maker_of(new_id()),
            workers=1 if resources.inherited is None else config.server.processes,
            redis_url=replies.url,
        )
        await resources.alerts.revise(config.alerts, source=maker_of(new_id()))
        await asyncio.to_thread(_keep_prices, config, parts.prices)
        common = common_of(config, parts, resources, backends, replies, spans)
        usual = await open_walk(common, replies, embedder, owned)
        pipeline = await owned.enter_async_context(open_walks(usual, common, resources, replies, spans))
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
            runs=runs,
            spans=spans,
            names=model_names_of(config),
            embeddings=vectors_walk(common, embedder),
            firing=resources.alerts.firing,
        )


def _keep_prices(config: Config, prices: PriceBook) -> None:
    """Keep what is served with in the ledger, and tell of rows that the book has lost; whatever fails, it goes on."""
    try:
        changes = keep_prices(config.ledger.place, prices.rows, names=config.price_names, today=utc_today())
    except (LedgerUnreadable, Unavailable) as error:
        _log.warning("the prices that are served with are not kept: %s", error)
        return
    for change in changes:
        _log.warning("the price book, line %d: %s", change.line, change.words)


def _open_stores(config: Config, owned: AsyncExitStack) -> tuple[ObjectStore, FirstAnswers, Runs]:
    """Open what is stored for callers, the answers that are given again, and who makes which, beside the ledger."""
    ledger = config.ledger.path
    stored = config.stored.beside(ledger)
    objects = SqliteObjects(
        stored,
        retention=config.stored.retention_days * A_DAY,
        max_per_tenant=config.stored.max_bytes_per_tenant,
    )
    owned.push_async_callback(objects.aclose)
    first_answers = FirstAnswers(ledger.with_name(f"{ledger.stem}-answers.db"))
    owned.push_async_callback(first_answers.aclose)
    runs = Runs(stored.with_name(f"{stored.stem}-runs.db"))
    owned.push_async_callback(runs.aclose)
    return objects, first_answers, runs


async def _open_embedder(config: Config, owned: AsyncExitStack) -> Backend | None:
    """Start what embeds; None where nothing does."""
    if config.backends.embeddings is None:
        return None
    embedder = config.backends.embeddings.build()
    owned.push_async_callback(embedder.aclose)
    await start(embedder)
    return embedder


def model_names_of(config: Config) -> ModelNames:
    """Return the models that callers may name."""
    embedder = config.backends.embeddings
    return ModelNames(config.models.aliases, embedding=None if embedder is None else [embedder.model])
