"""A file of a few keys over the gateway's configuration -> the configuration that is replayed.

    policy: {use: threshold, threshold: 0.35}
    prices: cheaper.yaml
    cache: {ttl: 600}

Each key takes the place of the configured one as a whole. What the ledger cannot tell of is refused here, with the
reason: another verifier judges replies, another classifier reads prompts, a semantic cache compares them, and the
ledger keeps no text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from cache.options import CacheOptions
from classifier.base import WeightsError
from router.config.models import Config
from router.config.policies import CascadeOptions, CertifiedOptions
from router.config.reading import read_chosen

KEYS: Final = ("policy", "prices", "cache")

_JUDGING: Final = ("verifier", "second_sample", "second_instruction", "ask_logprobs", "hold_tokens", "hold_seconds")
"""What P(wrong) hangs on, of the options of a cascade."""


class NotReplayable(Exception):
    """The ledger cannot tell; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How replies are kept.

    Attributes:
        ttl: seconds; 0.0 where none are.
        by_meaning: they are given to requests that mean the same, too.
    """

    ttl: float = 0.0
    by_meaning: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for.

    Attributes:
        config: what would have been configured.
        decides: by another policy; else every request goes where it went.
        reprices: calls are priced anew, by its price book.
        says: the keys of the file, in words.
        was, keeps: how replies are kept that the log is of, and would have been; the latter None where that is no
            question, so that whatever was answered from the cache still is.
    """

    config: Config
    decides: bool
    reprices: bool
    says: str
    was: Keeping = Keeping()
    keeps: Keeping | None = None

    @property
    def warm_up(self) -> float:
        """Return for how long before a span a log has to be read, so that caches are as full as they were, seconds."""
        return 0.0 if self.keeps is None else max(self.was.ttl, self.keeps.ttl)


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
        _refuse_other_judgement(own.config, config.policy)
    if isinstance(config.policy, CertifiedOptions) and "policy" in asked.values:
        _refuse_unreadable(config.policy.file)
    if config.classifier != own.config.classifier:
        raise NotReplayable("other scores than the logged ones need the prompts, and the ledger keeps none")
    return Target(
        config,
        decides="policy" in asked.values,
        reprices="prices" in asked.values,
        says=", ".join(asked.values),
        was=_keeping(own.config.cache),
        keeps=_other_keeping(own.config.cache, config.cache) if "cache" in asked.values else None,
    )


def _refuse_unreadable(file: Path) -> None:
    """Refuse a certified policy whose file cannot be read: nobody knows then which scores it is of.

    Raises:
        NotReplayable: it cannot.
    """
    from classifier.calibrating.calibrated import load  # noqa: PLC0415 - loads numpy

    try:
        load(file)
    except WeightsError as error:
        raise NotReplayable(
            f"its policy.file cannot be used: {error}; it is looked for at {file.absolute()}: name where it is, or"
            " make it there"
        ) from error


def _refuse_other_judgement(own: Config, asked: CascadeOptions) -> None:
    """Refuse a cascade whose P(wrong) the ledger does not hold.

    Raises:
        NotReplayable: it does not.
    """
    if not isinstance(own.policy, CascadeOptions):
        raise NotReplayable(
            "a cascade judges Mini's replies, and the configured policy has none judged; run it as an experiment, or"
            " name with --config what the gateway ran with when a cascade did"
        )
    other = [name for name in _JUDGING if getattr(own.policy, name) != getattr(asked, name)]
    if other:
        raise NotReplayable(
            f"another {', '.join(other)} judges Mini's replies otherwise, and the ledger keeps none; of a cascade easy,"
            " hard, wrong, default_tier and affinity can be replayed"
        )


def _keeping(options: CacheOptions) -> Keeping:
    return Keeping(options.ttl, options.semantic.enabled) if options.enabled else Keeping()


def _other_keeping(own: CacheOptions, asked: CacheOptions) -> Keeping:
    """Return how replies would have been kept.

    Raises:
        NotReplayable: the ledger does not know who would have got them.
    """
    found = _keeping(asked)
    if not asked.enabled:
        return found
    if asked.sampled != own.sampled:
        raise NotReplayable(
            "which requests had a temperature is not in the ledger, and with another cache.sampled others have a reply"
            " key; configure it, with ledger.reply_keys, for a while"
        )
    if asked.max_reply_bytes != own.max_reply_bytes:
        raise NotReplayable("how many bytes replies had is not in the ledger; replay with the same max_reply_bytes")
    if found.by_meaning and (asked.semantic != own.semantic or found != _keeping(own)):
        raise NotReplayable(
            "which requests mean the same is not in the ledger; replay a cache whose semantic is off, or run it"
        )
    return found
