"""A configuration file -> all its faults, or a word that there are none.

Reads what the gateway reads when it starts: weights, calibration, verifier, registry, price book; creates nothing. With
`--live` also asks each backend whether it is ready, which starts the models of our own for a moment.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from typer import Option

from backends.base import BackendError
from classifier.base import Classifier, ClassifierError, WeightsError
from router.commands.errors import BackendAway, BadConfiguration
from router.config.faults import ConfigError, Fault
from router.config.kinds import BackendOptions
from router.config.models import CertifiedOptions, Config
from router.config.reading import placed, read_config
from router.gateway import cascade_of, policy_of
from router.learning.registry import Registry, RegistryError
from router.ledger.prices import PriceBookError
from router.ledger.prices import load as load_prices

_SECONDS = 30.0  # for one backend to start and to say that it is ready


def check(
    *,
    config: Annotated[Path | None, Option(help="The file; else the built-in configuration.")] = None,
    live: Annotated[bool, Option("--live", help="Ask the backends, too; exit 4 if one does not answer.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read the file and what it names; exit 3 where it cannot be used."""
    chosen = read_config(config)
    if faults := [*_faults_of_scoring(chosen), *_faults_of_files(chosen)]:
        raise BadConfiguration(placed(config, faults))
    ready = asyncio.run(_ready(chosen)) if live else {}
    name = str(config or "the built-in configuration")
    if away := [tier for tier, ok in ready.items() if not ok]:
        what = f"no answer from {' and '.join(away)}"
        raise BackendAway(what, where=name, advice="start it, or mend its urls", ready=ready)
    remarks = unpriced(chosen)
    if as_json:
        said = {"config": None if config is None else name, "faults": [], "remarks": remarks, "ready": ready or None}
        print(json.dumps(said))
    else:
        print("\n".join([f"{name}: in order", *remarks, *(f"{tier}: ready" for tier in ready)]))


def _faults_of_scoring(chosen: Config) -> list[Fault]:
    """Return what is wrong with what scores, and with the policy that decides by it."""
    try:
        policy_of(chosen, _scorer(chosen))
    except ConfigError as error:
        return [*error.faults]
    return []


def _scorer(chosen: Config) -> Classifier | None:
    """Return what would score: the registry's champion, or what the file names.

    Raises:
        ConfigError: it cannot be used.
    """
    options, policy, folder = chosen.classifier, chosen.policy, chosen.learning.registry
    key = "learning.registry"
    try:
        standing = None if folder is None else Registry(folder).look()
        if folder is not None and standing is not None:
            return Registry(folder).load(standing.champion)
        key = "classifier.weights"
        classifier = options.model_copy(update={"calibration": None}).build()
        if options.calibration is None:
            return classifier
        is_policys = isinstance(policy, CertifiedOptions) and policy.file == options.calibration
        key = "policy.file" if is_policys else "classifier.calibration"
        return options.build()
    except (ClassifierError, RegistryError) as error:
        raise ConfigError((Fault("", 1, 1, key, str(error)),)) from error


def _faults_of_files(chosen: Config) -> Iterator[Fault]:
    """Yield what is wrong with other files that a configuration names."""
    try:
        cascade_of(chosen)
    except WeightsError as error:
        yield Fault("", 1, 1, "policy.verifier", str(error))
    try:
        load_prices(chosen.prices)
    except PriceBookError as error:
        yield Fault("", 1, 1, "prices", str(error))


def unpriced(chosen: Config) -> list[str]:
    """Return a sentence for each backend whose price is in no book; that is allowed, but seldom meant."""
    book = load_prices(chosen.prices)
    return [
        f"backends.{tier}.price: the price book has no {each.price!r}, so its costs stay unknown"
        for tier, each in chosen.backends.by_tier.items()
        if book.price_of(each.price) is None
    ]


async def _ready(chosen: Config) -> dict[str, bool]:
    options = chosen.backends.by_tier
    answers = await asyncio.gather(*(_is_ready(each) for each in options.values()))
    return {tier.value: ok for tier, ok in zip(options, answers, strict=True)}


async def _is_ready(options: BackendOptions) -> bool:
    backend = options.build()
    try:
        async with asyncio.timeout(_SECONDS):
            if start := getattr(backend, "start", None):
                await start()
            return await backend.is_ready()
    except (BackendError, TimeoutError):
        return False
    finally:
        await backend.aclose()
