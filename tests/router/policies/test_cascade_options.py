"""What a file says of a cascade: router/config/models.py, router/deciding.py."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from classifier.rules import RulesClassifier
from router.base import Tier
from router.cascade import ANEW
from router.config.models import Config
from router.config.policies import CascadeOptions
from router.deciding import cascade_of, policy_of
from router.policies.cascade import Zones
from tests.router.verifying import ScriptedVerifier


class _Suggests(RulesClassifier):
    """A classifier whose weights suggest this threshold."""

    threshold = 0.4


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path | None, bool]]:
    """Return which verifiers were loaded; none of them is read here."""
    asked = list[tuple[Path | None, bool]]()

    def load(weights: Path | None, *, is_shipped: bool) -> ScriptedVerifier:
        asked.append((weights, is_shipped))
        return ScriptedVerifier()

    monkeypatch.setattr("router.deciding.load_verifier", load)
    return asked


def config(mini: dict[str, Any] | None = None, **policy: Any) -> Config:
    """Return a configuration with a cascade."""
    backends: dict[str, Any] = {} if mini is None else {"mini": mini}
    return Config.model_validate({"policy": {"use": "cascade", **policy}, "backends": backends})


def zones(**policy: Any) -> tuple[float, float]:
    """Return where the zone between begins and ends, at a suggested threshold of .4."""
    chosen = policy_of(config(**policy), _Suggests())
    assert isinstance(chosen, Zones)
    return chosen.easy, chosen.hard


def test_zones_lie_around_the_threshold_of_the_weights_where_none_are_named() -> None:
    assert zones() == (0.2, 0.7)
    assert zones(easy=0.1, hard=0.3) == (0.1, 0.3)
    assert zones(easy=0.9) == (0.9, 0.9)
    assert zones(hard=0.1) == (0.1, 0.1)
    assert policy_of(config(default_tier="mini"), None).version == "cascade@0.25/0.75/0.5/mini"


def test_a_local_mini_tells_log_probabilities_and_is_told_nothing_else(_asked: list[object]) -> None:  # noqa: PT019
    local = cascade_of(config())
    assert local is not None
    assert (local.asks_logprobs, local.instruction, local.second_sample) == (True, "", False)
    assert (local.hold_tokens, local.hold_seconds) == (24, 0.5)
    http: dict[str, Any] = {"use": "openai_http", "urls": ["http://h/v1"], "model": "m", "price": "p"}
    remote = cascade_of(config(http, verifier="mine.json"))
    assert remote is not None
    assert (remote.asks_logprobs, remote.instruction, remote.second_sample) == (False, ANEW, True)
    assert _asked == [(None, True), (Path("mine.json"), False)]


def test_what_is_said_goes_first() -> None:
    said = cascade_of(config(ask_logprobs=False, second_instruction="Count.", second_sample=False, hold_tokens=3))
    assert said is not None
    assert (said.asks_logprobs, said.instruction, said.second_sample, said.hold_tokens) == (False, "Count.", False, 3)
    both = cascade_of(config(ask_logprobs=True, second_sample=True))
    assert both is not None
    assert (both.asks_logprobs, both.second_sample) == (True, True)


def test_other_policies_have_no_cascade() -> None:
    assert cascade_of(Config()) is None


@pytest.mark.parametrize(
    "policy",
    [{"easy": 0.6, "hard": 0.5}, {"wrong": 1.1}, {"wrong": True}, {"hold_tokens": 0}, {"hold_seconds": 0}, {"hold": 1}],
)
def test_what_makes_no_sense_is_a_fault(policy: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CascadeOptions.model_validate({"use": "cascade", **policy})


def test_default_tier_is_large() -> None:
    assert CascadeOptions(use="cascade").default_tier is Tier.LARGE
