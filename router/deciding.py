"""Configuration -> what decides: the policy, the cascade that verifies replies of Mini, the gate of what it may do."""

import logging
from pathlib import Path
from typing import Final

from backends.engines.options import SHIPPED
from backends.identities import identity_of
from classifier.base import Classifier, Prompt, Verifier, WeightsError
from router.base import Policy, Tier
from router.cascade import ANEW, Cascade
from router.certificate import CertificateError, Gate, Identity, open_gate
from router.config.faults import ConfigError, Fault
from router.config.models import Config
from router.config.policies import CascadeOptions, CertifiedOptions, ExplicitOptions, PolicyOptions
from router.eligibility import token_bounds
from router.policies.cascade import Zones
from router.policies.explicit import Explicit
from router.policies.paced import Paced
from router.policies.promise import Chosen
from router.policies.sticky import Sticky, may_save
from router.policies.threshold import Threshold
from router.quotas import Quotas
from router.routes import Routes

UNKNOWN_THRESHOLD: Final = 0.5
"""Where nothing scores, the threshold is never asked."""

_log = logging.getLogger(__name__)


def policy_of(config: Config, classifier: Classifier | None) -> Policy:
    """Return the policy that the file chose; see `chosen_of`."""
    return chosen_of(config, classifier).policy


def chosen_of(config: Config, classifier: Classifier | None) -> Chosen:
    """Return what the file chose; the threshold is that of the weights where the file names none.

    Raises:
        ConfigError: what it is to promise was not certified, or not for the scores of this classifier.
    """
    chosen = config.policy
    if isinstance(chosen, ExplicitOptions):
        return Chosen(Explicit(chosen.tier))
    if isinstance(chosen, CertifiedOptions):
        try:
            return _certified(chosen, classifier)
        except WeightsError as error:
            raise ConfigError((Fault("", 1, 1, "policy.file", str(error)),)) from error
    suggested = UNKNOWN_THRESHOLD if classifier is None else classifier.threshold
    if isinstance(chosen, CascadeOptions):
        hard = (suggested + 1) / 2 if chosen.hard is None else chosen.hard
        easy = min(suggested / 2, hard) if chosen.easy is None else chosen.easy
        return Chosen(Zones(easy, max(easy, hard), chosen.wrong, chosen.default_tier))
    return Chosen(Threshold(suggested if chosen.threshold is None else chosen.threshold, chosen.default_tier))


def _certified(chosen: CertifiedOptions, classifier: Classifier | None) -> Chosen:
    from classifier.calibrating.calibrated import load  # noqa: PLC0415  (numpy is loaded only where something needs it)
    from router.policies.certified import Certified  # noqa: PLC0415  (likewise)

    overlay = load(chosen.file)
    scorer = "nothing" if classifier is None else classifier.score(Prompt(())).source
    if scorer != overlay.scorer:
        raise WeightsError(f"{chosen.file}: certifies scores of {overlay.scorer}, and {scorer} gives them here")
    try:
        certified = Certified(
            overlay, loss=chosen.loss, confidence=chosen.confidence, default=chosen.default_tier, tell=_log.warning
        )
    except WeightsError as error:
        raise WeightsError(f"{chosen.file}: {error}") from error
    return Chosen(certified, certified)


def cascade_of(config: Config) -> Cascade | None:
    """Return what answers where a reply of Mini is verified; None where the policy never asks for it.

    Raises:
        WeightsError: the verifier's weights cannot be used.
    """
    chosen = config.policy
    if not isinstance(chosen, CascadeOptions):
        return None
    mini = config.backends.mini
    is_ours, is_shipped = mini.use == "local", mini.use == "local" and mini.name in SHIPPED
    instruction = "" if is_ours else ANEW
    asks_logprobs = is_ours if chosen.ask_logprobs is None else chosen.ask_logprobs
    return Cascade(
        verifier=load_verifier(chosen.verifier, is_shipped=is_shipped),
        second_sample=not asks_logprobs if chosen.second_sample is None else chosen.second_sample,
        instruction=instruction if chosen.second_instruction is None else chosen.second_instruction,
        hold_tokens=chosen.hold_tokens,
        hold_seconds=chosen.hold_seconds,
        asks_logprobs=asks_logprobs,
    )


def gives_way(chosen: Chosen, quotas: Quotas) -> Paced | None:
    """Return the policy whose threshold gives way to tenants' budgets; None where nobody's does."""
    if not quotas.paces:
        return None
    return Paced(chosen.policy, quotas.pace_of, None if chosen.promise is None else chosen.promise.curve)


def load_verifier(weights: Path | None, *, is_shipped: bool) -> Verifier:
    """Return the verifier with these weights; None means shipped ones, which know the models that are shipped."""
    from classifier import verify  # noqa: PLC0415  (loaded only where something is verified)

    if weights is not None:
        return verify.load(weights)
    return verify.load(verify.SHIPPED, name=verify.DESK if is_shipped else verify.GENERAL)


def serving_of(config: Config) -> dict[Tier, Identity]:
    """Return which models answer.

    Raises:
        OSError: weights cannot be read.
    """
    return {tier: Identity(tier, *identity_of(options)) for tier, options in config.backends.by_tier.items()}


def gate_of(config: Config) -> Gate | None:
    """Return what keeps requests from Mini that it was not certified for; None where nothing is to be certified.

    Raises:
        ConfigError: the certificate cannot be read, or is of other models.
    """
    chosen = config.certificate
    if chosen is None:
        return None
    try:
        gate, warning = open_gate(
            chosen.file,
            serving_of(config),
            max_age=chosen.max_age_days,
            most_tokens=lambda request: token_bounds(request)[1],
        )
    except (CertificateError, OSError) as error:
        raise ConfigError((Fault("", 1, 1, "certificate", str(error)),)) from error
    if warning:
        _log.warning("%s; until then large answers where the choice is ours", warning)
    return gate


def stays(policy: Policy, chosen: PolicyOptions, routes: Routes) -> Sticky | None:
    """Return the policy with what staying with Large is worth, who holds a conversation's KV; None where nothing is.

    Prices are looked at once, at the start.
    """
    large, mini = routes.by_tier[Tier.LARGE], routes.by_tier[Tier.MINI]
    if not chosen.affinity or not (isinstance(chosen, CascadeOptions) or may_save(large.price, mini.price)):
        return None
    return Sticky(policy, large.price_of, mini.price_of)
