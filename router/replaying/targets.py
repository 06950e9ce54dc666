"""A file of a few keys over the gateway's configuration -> the configuration that is replayed.

    policy: {use: threshold, threshold: 0.35}
    prices: cheaper.yaml
    cache: {enabled: false}

Each key takes the place of the configured one as a whole. What the ledger cannot tell of is refused here, with the
reason: a cascade judges replies, another classifier reads prompts, another cache compares them, and the ledger keeps
no text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from router.config.models import CascadeOptions, Config
from router.config.reading import read_chosen

KEYS: Final = ("policy", "prices", "cache")


class NotReplayable(Exception):
    """The ledger cannot tell; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for.

    Attributes:
        config: what would have been configured.
        decides: by another policy; else every request goes where it went.
        reprices: calls are priced anew, by its price book.
        uncached: nothing would have been answered from the cache.
        says: the keys of the file, in words.
    """

    config: Config
    decides: bool
    reprices: bool
    uncached: bool
    says: str


def target_of(usual: Path | None, file: Path, env: Mapping[str, str]) -> Target:
    """Return what a file asks for.

    Args:
        usual: the gateway's own configuration file; None is the built-in one.
        env: what ${NAME} is filled from.

    Raises:
        ConfigError: one of the files cannot be used.
        NotReplayable: the ledger cannot tell what that would have done.
    """
    own, asked = read_chosen(usual, env), read_chosen(file, env)
    others = sorted(set(asked.values) - set(KEYS))
    if others:
        raise NotReplayable(f"{', '.join(others)} cannot be replayed; a file may say {', '.join(KEYS)}")
    if not asked.values:
        raise NotReplayable(f"it says nothing; it may say {', '.join(KEYS)}")
    try:
        config = Config.model_validate({**own.values, **asked.values})
    except ValidationError as error:  # not kept as a cause: it holds the text, and with it secrets
        places = ", ".join(sorted({".".join(map(str, each["loc"][:2])) for each in error.errors()}))
        raise NotReplayable(f"it does not go with the configuration, at {places}") from None
    if isinstance(config.policy, CascadeOptions) and "policy" in asked.values:
        raise NotReplayable("a cascade judges Mini's replies, and the ledger keeps none; run it as an experiment")
    if config.classifier != own.config.classifier:
        raise NotReplayable("other scores than the logged ones need the prompts, and the ledger keeps none")
    return Target(
        config,
        decides="policy" in asked.values,
        reprices="prices" in asked.values,
        uncached=_uncached(own.config, config) if "cache" in asked.values else False,
        says=", ".join(asked.values),
    )


def _uncached(own: Config, asked: Config) -> bool:
    """Tell whether the cache is switched off; another change of it cannot be replayed."""
    if own.cache.enabled and not asked.cache.enabled:
        return True
    if own.cache == asked.cache or not (own.cache.enabled or asked.cache.enabled):
        return False
    if not own.cache.enabled:
        raise NotReplayable("which requests were equal is not in the ledger; a cache can be replayed off, not on")
    raise NotReplayable(
        "how old a kept reply was is not in the ledger; a cache can be replayed off, which bounds what another ttl does"
    )
