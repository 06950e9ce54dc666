"""Tests router/policies/certified.py and router/policies/promise.py.

Also the header, cache key, file and start of a gateway that promises quality.
"""

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from classifier.base import Prompt, Score, WeightsError
from classifier.calibrating.calibrated import Level, Overlay, dump
from classifier.calibrating.guarantee import Count
from classifier.calibrating.maps import Calibration, Platt
from router.base import Request, Tier
from router.config.faults import ConfigError
from router.config.models import Config
from router.config.policies import CertifiedOptions
from router.deciding import policy_of
from router.gateway import open_gateway
from router.policies.certified import Certified
from tests.router.conftest import OpenHouse, chat, config_of

CHAT = "/v1/chat/completions"
SIMPLE, COMPLEX = "hello", "Compare both, and explain which one is cheaper, and why? How much is it until 2027?"


def level(loss: float, logit: float, confidence: float = 0.9) -> Level:
    return Level(loss, confidence, logit, 0.5, loss / 2, loss * 0.99, 4 * loss, 1_000)


def overlay(*levels: Level, count: Count = "lost") -> Overlay:
    """Return a file over the rules; without a word, thresholds are .269, .5 and .731."""
    chosen = levels or (level(0.05, 1.0), level(0.01, -1.0), level(0.02, 0.0))
    return Overlay("rules@1", "", Calibration(Platt(1.0, 0.0), {"shop": Platt(1.0, 1.0)}), count, chosen, {})


def request(*, quality: float | None = None, wanted: Tier | None = None, tenant: str = "") -> Request:
    prompt = Prompt((), tenant=tenant)
    return Request(
        id="r",
        caller_id="",
        tenant=tenant,
        path="/chat/completions",
        model="auto",
        wanted=wanted,
        prompt=prompt,
        stream=False,
        wants_usage=False,
        fields={},
        cacheable=True,
        received=0.0,
        deadline=1.0,
        quality=quality,
    )


def policy(*levels: Level, loss: float = 0.02, count: Count = "lost", told: list[str] | None = None) -> Certified:
    tell = [] if told is None else told
    return Certified(overlay(*levels, count=count), loss=loss, confidence=0.9, default=Tier.LARGE, tell=tell.append)


def tier(found: Certified, score: float, **more: float | str | None) -> tuple[str, str, float | None]:
    decision = found.decide(request(**more), Score(score, "s"))  # type: ignore[arg-type]  # named parts
    return decision.tier.value, decision.reason, decision.threshold and round(decision.threshold, 3)


# --- deciding --------------------------------------------------------------------------------------


def test_large_answers_from_the_certified_threshold_on() -> None:
    found = policy()
    assert tier(found, 0.49) == ("mini", "certified", 0.5)
    assert tier(found, 0.5) == ("large", "certified", 0.5)
    assert found.threshold == 0.5
    assert found.version == f"certified@{overlay().digest[:8]}/0.02"
    assert found.decide(request(), Score(0.1, "s")).policy == found.version


@pytest.mark.parametrize(
    ("quality", "threshold"),
    [(0.98, 0.5), (0.985, 0.269), (0.99, 0.269), (0.979, 0.5), (0.95, 0.731), (0.5, 0.731), (0.0, 0.731)],
)
def test_quality_picks_the_loosest_level_that_is_as_strict(quality: float, threshold: float) -> None:
    found = policy()
    assert tier(found, 0.1, quality=quality) == ("mini", "certified", threshold)
    decision = found.decide(request(quality=quality), Score(0.1, "s"))
    assert decision.policy.rpartition("/")[2] == {0.269: "0.01", 0.5: "0.02", 0.731: "0.05"}[threshold]


@pytest.mark.parametrize("quality", [0.991, 0.9999, 1.0])
def test_a_level_that_is_not_certified_is_all_large(quality: float) -> None:
    found = policy()
    assert not found.needs_score(request(quality=quality))
    assert tier(found, 0.0, quality=quality) == ("large", "uncertified", None)


def test_who_names_a_tier_gets_it_and_who_has_no_score_the_default() -> None:
    found = policy()
    assert not found.needs_score(request(wanted=Tier.MINI))
    assert found.decide(request(wanted=Tier.MINI), None).reason == "asked"
    assert found.needs_score(request())
    decision = found.decide(request(), None)
    assert (decision.tier, decision.reason) == (Tier.LARGE, "default")


def test_each_tenant_has_the_threshold_that_means_the_same() -> None:
    assert tier(policy(), 0.6, tenant="shop") == ("mini", "certified", 0.731)
    assert tier(policy(), 0.6, tenant="nobody") == ("large", "certified", 0.5)


def test_the_configured_loss_falls_to_the_next_stricter_level_or_is_refused() -> None:
    assert policy(loss=0.03).threshold == 0.5
    with pytest.raises(WeightsError, match=r"a loss of 0\.005 is not certified .* certified are: 0\.01, 0\.02"):
        policy(loss=0.005)
    with pytest.raises(WeightsError, match="certified are: none"):
        policy(level(0.02, 0.0, confidence=0.8))


def test_a_higher_confidence_will_do_and_a_lower_one_will_not() -> None:
    found = policy(level(0.02, 0.0, confidence=0.95), level(0.05, 1.0, confidence=0.8))
    assert tier(found, 0.1, quality=0.9) == ("mini", "certified", 0.5)


def test_other_files_levels_and_alarms_are_other_versions() -> None:
    versions = {policy().version, policy(loss=0.01).version, policy(level(0.02, 0.1)).version, rung(policy()).version}
    versions |= {policy(count="net").version, rung(policy(count="net")).version}
    assert len(versions) == 6


def test_a_net_promise_decides_alike_and_says_its_kind() -> None:
    found = policy(count="net")
    assert tier(found, 0.49) == ("mini", "certified", 0.5)
    assert tier(found, 0.1, quality=0.99) == ("mini", "certified", 0.269)
    assert found.version == f"certified-net@{overlay(count='net').digest[:8]}/0.02"


# --- the alarm -------------------------------------------------------------------------------------


def rung(found: Certified) -> Certified:
    """Return the policy after one more alarm."""
    before = found.version
    for _ in range(1_000):
        found.observe_loss(0.0, 1.0)
        if found.version != before:
            return found
    raise AssertionError("no alarm")


def test_an_alarm_steps_down_to_the_next_stricter_threshold_and_says_so() -> None:
    told: list[str] = []
    found = rung(policy(told=told))
    assert tier(found, 0.1) == ("mini", "alarm", 0.269)
    assert tier(found, 0.4) == ("large", "alarm", 0.269)
    assert tier(found, 0.4, quality=0.95) == ("mini", "alarm", 0.5)
    assert tier(found, 0.1, quality=0.99) == ("large", "alarm", None)
    assert len(told) == 1
    assert "above 0.02" in told[0]
    assert "a loss of 0.01" in told[0]


def test_when_no_stricter_threshold_is_left_everything_goes_to_large() -> None:
    told: list[str] = []
    found = rung(rung(policy(told=told)))
    assert tier(found, 0.0) == ("large", "alarm", None)
    assert not found.needs_score(request())
    assert found.threshold is None
    assert "everything goes to Large" in told[1]
    found.observe_loss(0.0, 1.0)
    assert len(told) == 2


def carry_out(found: Certified, score: float, *, quality: float | None = None) -> None:
    """Decide and note it."""
    asked = request(quality=quality)
    found.note(asked, found.decide(asked, Score(score, "s")))


def simulate(found: Certified, *, mean: float, sampled: int, gains: float = 0.0, seed: int = 0) -> int:
    """Return how many of Mini's losses, of half of the traffic, were sampled before an alarm; at most `sampled`.

    Args:
        mean: share of what is sampled in which Mini is worse, `gains` that in which it is better.
    """
    chance, before = np.random.default_rng(seed), found.version
    for count in range(sampled):
        for score in chance.random(20):  # decisions that are not sampled
            carry_out(found, float(score))
        score, drawn = float(chance.random() * 0.5), chance.random()
        found.observe_loss(score, 1.0 if drawn < mean else -1.0 if drawn < mean + gains else 0.0)
        if found.version != before:
            return count
    return sampled


def test_the_promise_is_of_all_requests_of_which_only_minis_are_sampled() -> None:
    assert simulate(policy(), mean=0.035, sampled=3_000) == 3_000  # .0175 of all requests
    assert simulate(policy(), mean=0.1, sampled=3_000) < 600  # .05 of all requests


def test_a_net_promise_is_broken_by_the_net_loss_alone() -> None:
    assert simulate(policy(count="net"), mean=0.08, gains=0.045, sampled=3_000) == 3_000  # .0175 of all, net
    told = list[str]()
    assert simulate(policy(count="net", told=told), mean=0.13, gains=0.03, sampled=3_000) < 1_500  # .05 of all, net
    assert "the mean net loss has risen above 0.02" in told[0]


def test_of_what_is_lost_gains_take_nothing_away() -> None:
    assert simulate(policy(), mean=0.08, gains=0.045, sampled=3_000) < 1_500
    assert simulate(policy(), mean=0.035, gains=0.5, sampled=3_000) == 3_000


def test_when_minis_share_grows_the_same_losses_break_the_promise() -> None:
    found = policy()
    for _ in range(10_000):
        carry_out(found, 0.1)
    chance, before = np.random.default_rng(0), found.version
    for _ in range(3_000):
        found.observe_loss(0.1, float(chance.random() < 0.035))  # as above, where the promise is kept
    assert found.version != before


def test_to_ask_for_a_decision_changes_nothing() -> None:
    asked, carried = policy(), policy()
    for _ in range(3_000):
        asked.decide(request(), Score(0.9, "s"))
        carry_out(carried, 0.9)
    assert asked._mini_share == policy()._mini_share
    assert carried._mini_share < 0.1 * asked._mini_share


def test_other_promises_have_no_part_in_the_share_of_mini() -> None:
    found = policy()
    for _ in range(1_000):
        carry_out(found, 0.01, quality=0.9)
        found.note(request(), found.decide(request(wanted=Tier.MINI), None))
    assert found._mini_share == policy()._mini_share


def test_who_asked_for_less_quality_bears_the_loss() -> None:
    found = policy()
    before = found.version
    for _ in range(1_000):
        found.observe_loss(0.6 + 0.14, 1.0)
    assert found.version == before


def test_a_fall_outlives_the_losses_that_were_under_way() -> None:
    found = rung(policy())
    before = found.version
    for _ in range(1_000):
        found.observe_loss(0.74, 1.0)  # decided under the looser threshold
    assert found.version == before


# --- a gateway -------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text(dump(overlay(level(0.02, -1.0), level(0.1, 4.0))))
    return path


def certified(file: Path, **more: object) -> dict[str, object]:
    return {"use": "certified", "file": str(file), **more}


async def test_a_gateway_keeps_the_configured_promise_and_the_headers(open_house: OpenHouse, file: Path) -> None:
    async with open_house(policy=certified(file)) as house:
        said = [
            (await house.client.post(CHAT, json=chat(text), headers=headers)).headers
            for text, headers in (
                (SIMPLE, {}),
                (COMPLEX, {}),
                (COMPLEX, {"x-tandem-quality": "0.9"}),
                (SIMPLE, {"x-tandem-quality": "0.999"}),
            )
        ]
        route = await house.client.post("/v1/route", json=chat(COMPLEX), headers={"x-tandem-quality": "0.9"})
    assert [(one["x-tandem-tier"], one["x-tandem-reason"]) for one in said] == [
        ("mini", "certified"),
        ("large", "certified"),
        ("mini", "certified"),
        ("large", "uncertified"),
    ]
    assert said[0]["x-tandem-threshold"] == "0.2689"
    assert said[0]["x-tandem-policy"].endswith("/0.02")
    assert said[2]["x-tandem-policy"].endswith("/0.1")
    assert (route.json()["tier"], route.json()["threshold"]) == ("mini", pytest.approx(0.982, abs=1e-3))
    assert [row["reason"] for row in house.rows()] == ["certified", "certified", "certified", "uncertified"]


@pytest.mark.parametrize("sent", ["", "98%", "1.01", "-0.1", "nan", "1e-3", "0,98", "0_9", "0.98, 0.9", "٠", "1.5"])
async def test_a_malformed_quality_is_refused(open_house: OpenHouse, sent: str) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, json=chat(), headers={b"x-tandem-quality": sent.encode()})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-tandem-quality"


async def test_a_policy_that_promises_nothing_passes_it_over(open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}) as house:
        for sent in (" 0.98 ", "1", "0", ".5", "1.0"):
            answer = await house.client.post(CHAT, json=chat(temperature=0), headers={"x-tandem-quality": sent})
            assert (answer.status_code, answer.headers["x-tandem-reason"] in ("score", "kept")) == (200, True)
    assert [row["outcome"] for row in house.rows()] == ["answered"] + 4 * ["kept"]


async def test_a_reply_kept_for_one_quality_is_never_given_for_another(open_house: OpenHouse, file: Path) -> None:
    async with open_house(policy=certified(file), cache={"enabled": True}) as house:
        caches = []
        for quality in ("0.9", "0.98", None, "0.9", "0.90", None):
            headers = {} if quality is None else {"x-tandem-quality": quality}
            answer = await house.client.post(CHAT, json=chat(COMPLEX, temperature=0), headers=headers)
            caches.append((answer.headers["x-tandem-tier"], answer.headers["x-tandem-cache"]))
    assert caches == [
        ("mini", "miss"),
        ("large", "miss"),
        ("large", "miss"),
        ("mini", "hit"),
        ("mini", "hit"),
        ("large", "hit"),
    ]


async def test_an_alarm_is_logged_and_what_was_kept_before_is_not_found(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_gateway(config_of(file.parent, policy=certified(file))) as gateway:
        pipeline, asked = gateway.pipeline, request(tenant="t")
        before = pipeline.key_of(asked, pipeline.policy.version)
        assert isinstance(pipeline.policy, Certified)
        with caplog.at_level(logging.WARNING):
            rung(pipeline.policy)
        assert pipeline.key_of(asked, pipeline.policy.version) != before
        assert pipeline.decide(asked).reason == "alarm"
    assert "everything goes to Large" in caplog.text


async def test_a_walk_tells_its_policy_what_it_promised_to_watch_and_no_other(file: Path) -> None:
    more = {
        "limits": {"default": {"budget_usd": 1.0, "budget_window": "day", "quality_floor": 0.5}},
        "learning": {"shadow": 0.1},
    }
    async with open_gateway(config_of(file.parent, policy=certified(file), **more)) as gateway:
        pipeline = gateway.pipeline
        assert pipeline.paced is not None
        assert pipeline.shadows is not None
        deciding = pipeline.paced.policy
        assert isinstance(deciding, Certified)
        assert (pipeline.note, pipeline.paced.curve) == (deciding.note, deciding.curve)
        assert isinstance(pipeline.shadows._learn, partial)
        assert pipeline.shadows._learn.args[0] == deciding.observe_loss
    async with open_gateway(config_of(file.parent, **more)) as gateway:
        assert gateway.pipeline.note is None
        assert gateway.pipeline.paced is not None
        assert gateway.pipeline.paced.curve is None


# --- the file --------------------------------------------------------------------------------------


def test_the_file_gives_the_scores_too(file: Path) -> None:
    config = config_of(file.parent, policy=certified(file))
    assert config.classifier.calibration == file
    classifier = config.classifier.build()
    assert classifier is not None
    assert policy_of(config, classifier).version.endswith("/0.02")
    options = config.policy
    assert isinstance(options, CertifiedOptions)
    assert (options.loss, options.confidence, options.default_tier) == (0.02, 0.9, Tier.LARGE)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"loss": 0.01}, "a loss of 0.01 is not certified"),
        ({"confidence": 0.95}, "certified are: none"),
    ],
)
def test_what_was_not_certified_cannot_be_promised(file: Path, more: dict[str, object], words: str) -> None:
    config = config_of(file.parent, policy=certified(file, **more))
    with pytest.raises(ConfigError, match=words) as found:
        policy_of(config, config.classifier.build())
    assert found.value.faults[0].path == "policy.file"
    assert str(file) in str(found.value)


async def test_other_weights_or_another_calibration_refuse_to_start(
    open_house: OpenHouse, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="belongs to"):
        async with open_house(policy=certified(file), classifier={"use": "linear"}):
            pass
    with pytest.raises(ConfigError, match="and nothing gives them here"):
        async with open_house(policy=certified(file), classifier={"use": "off"}):
            pass
    (tmp_path / "other.json").write_text(dump(overlay()))
    with pytest.raises(ConfigError, match="certifies scores of rules@1"):
        async with open_house(
            policy=certified(file), classifier={"use": "rules", "calibration": str(tmp_path / "other.json")}
        ):
            pass


@pytest.mark.parametrize(
    "policy",
    [
        {"use": "certified"},
        {"use": "certified", "file": "f", "loss": 0},
        {"use": "certified", "file": "f", "loss": 0.5},
        {"use": "certified", "file": "f", "loss": True},
        {"use": "certified", "file": "f", "confidence": 1},
        {"use": "certified", "file": 3},
    ],
)
def test_a_promise_that_means_nothing_is_a_fault(policy: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"policy": policy})


def test_a_calibration_and_exchanged_weights_exclude_each_other(file: Path) -> None:
    for parts in ({"policy": certified(file)}, {"classifier": {"calibration": str(file)}}):
        with pytest.raises(ValidationError, match="belongs to one version"):
            Config.model_validate({**parts, "learning": {"registry": "versions"}})
