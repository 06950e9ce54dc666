"""Tests of router/config/models.py and of its parts.

What they hold in common is router/config/options.py; the parts are router/config/access.py, router/config/server.py,
router/config/tiers.py, router/config/policies.py, router/config/records.py, router/config/learning.py and
router/config/telling.py.
"""

import hashlib

import pytest
from pydantic import ValidationError

from backends.engines.options import LocalOptions
from router.base import Tier
from router.config.models import Config
from router.config.policies import ExplicitOptions, ThresholdOptions
from router.config.server import ServerOptions

KEY = "tk-0123456789abcdef"


def config(**parts: object) -> Config:
    return Config.model_validate(parts)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_on_loopback_no_key_is_needed(host: str) -> None:
    assert config(server={"host": host}).keyring == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "tandem.example", "localhost.example", "127.1"])
def test_elsewhere_a_key_is_needed(host: str) -> None:
    with pytest.raises(ValidationError, match="needs keys"):
        config(server={"host": host})
    with pytest.raises(ValidationError, match="needs keys"):
        config(server={"host": host}, keys=[])
    assert config(server={"host": host}, keys=[{"tenant": "shop", "key": KEY}]).keyring


def test_a_key_and_its_digest_are_the_same_key() -> None:
    digest = hashlib.sha256(KEY.encode())
    by_key = config(keys=[{"tenant": "shop", "key": KEY}])
    by_digest = config(keys=[{"tenant": "shop", "sha256": digest.hexdigest().upper()}])
    assert by_key.keyring == by_digest.keyring == {digest.digest(): "shop"}


def test_one_tenant_may_have_two_keys_but_one_key_no_two_tenants() -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    two = config(keys=[{"tenant": "shop", "key": KEY}, {"tenant": "shop", "key": KEY + "-next"}])
    assert list(two.keyring.values()) == ["shop", "shop"]
    with pytest.raises(ValidationError, match=r"is the same key as keys\[0\]"):
        config(keys=[{"tenant": "shop", "key": KEY}, {"tenant": "desk", "sha256": digest}])


@pytest.mark.parametrize("key", ["", "short", "schlüssel-schlüssel", "a key with some blanks", "tk-0123456789abcdef\n"])
def test_a_key_that_nobody_could_send_or_anybody_guess_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="must be 16 or more"):
        config(keys=[{"tenant": "shop", "key": key}])


@pytest.mark.parametrize("tenant", ["", "a b", "-a", "a" * 65, "a\n", "a/b", "ä"])
def test_a_tenant_has_a_plain_name(tenant: str) -> None:
    with pytest.raises(ValidationError, match="tenant"):
        config(keys=[{"tenant": tenant, "key": KEY}])


def test_a_tier_of_which_nothing_is_said_is_the_shipped_model() -> None:
    only_mini = config(backends={"mini": {"use": "local", "name": "mine", "weights": "mine.gguf"}})
    assert isinstance(only_mini.backends.large, LocalOptions)
    assert only_mini.backends.large == config().backends.large
    assert only_mini.backends.mini.model == "mine"


def test_a_local_tier_without_a_name_is_the_shipped_model_of_the_tier() -> None:
    said = config(backends={"large": {"use": "local", "slots": 2}, "mini": {"use": "local"}})
    assert (said.backends.large.model, said.backends.mini.model) == ("desk-large", "desk-mini")
    assert (said.backends.large.price, said.backends.mini.price) == ("desk-large", "desk-mini")


def test_the_default_policy_takes_the_threshold_of_the_weights() -> None:
    assert config().policy == ThresholdOptions(use="threshold", threshold=None, default_tier=Tier.LARGE)
    assert config(policy={"use": "explicit", "tier": "mini"}).policy == ExplicitOptions(use="explicit", tier=Tier.MINI)


def test_nothing_can_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().server.port = 1


def test_a_version_is_that_of_the_choices_and_not_of_their_notation() -> None:
    plain = config()
    assert len(plain.version) == 12
    assert config(server={"port": 8080}).version == plain.version
    assert config(server={"port": 8081}).version != plain.version
    assert (
        plain.model_copy(update={"server": ServerOptions(port=8081)}).version == config(server={"port": 8081}).version
    )
    assert config(policy={"use": "threshold", "threshold": 0.5}).version != plain.version


def test_a_version_that_callers_see_says_nothing_about_secrets() -> None:
    one = config(keys=[{"tenant": "shop", "key": KEY}], cache={"url": "redis://:one@redis:6379/0"})
    two = config(keys=[{"tenant": "shop", "sha256": "ab" * 32}], cache={"url": "redis://:two@redis:6379/0"})
    assert one.version == two.version
    assert (
        one.version != config(keys=[{"tenant": "desk", "key": KEY}], cache={"url": "redis://:one@redis:6379/0"}).version
    )


def test_nothing_is_learnt_unless_it_is_asked_for() -> None:
    learning = config().learning
    assert learning.shares == {Tier.MINI: 0.0, Tier.LARGE: 0.0}
    assert learning.registry is None
    assert config(learning={"shadow": 0.02}).learning.shares == {Tier.MINI: 0.02, Tier.LARGE: 0.0}


@pytest.mark.parametrize(
    "learning",
    [
        {"shadow": 1.1},
        {"shadow": -0.1},
        {"shadow": True},
        {"concurrency": 0},
        {"max_per_minute": 0},
        {"retention_days": 0},
        {"cost_weight": 0},
        {"cost_weight": 2},
        {"shadows": 0.1},
    ],
)
def test_what_cannot_be_learnt_is_refused(learning: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(learning))):
        config(learning=learning)


@pytest.mark.parametrize(("use", "passes"), [("linear", True), ("rules", False), ("off", False)])
def test_versions_need_a_classifier_with_weights(use: str, passes: bool) -> None:  # noqa: FBT001
    parts = {"classifier": {"use": use}, "learning": {"registry": "versions"}}
    if passes:
        assert config(**parts).learning.registry is not None
    else:
        with pytest.raises(ValidationError, match="needs a classifier with weights"):
            config(**parts)


def test_models_that_are_not_shipped_are_scored_by_general_weights() -> None:
    other = {"use": "openai_http", "urls": ["http://127.0.0.1:9/v1"], "model": "m", "price": "mini"}
    assert Config().classifier.weights is None
    assert Config.model_validate({"backends": {"mini": {"use": "local"}}}).classifier.weights is None
    found = Config.model_validate({"backends": {"large": other}}).classifier
    assert (found.use, str(found.weights)) == ("linear", "general")
    named = {"backends": {"large": other}, "classifier": {"weights": "own.json"}}
    assert str(Config.model_validate(named).classifier.weights) == "own.json"
    rules = {"backends": {"large": other}, "classifier": {"use": "rules"}}
    assert Config.model_validate(rules).classifier.weights is None
