"""Tests router/replaying/targets.py: what a file may ask for, and what is refused with its reason."""

from pathlib import Path

import pytest

from router.config.faults import ConfigError
from router.config.policies import ThresholdOptions
from router.replaying.targets import Keeping, NotReplayable, Target, target_of


def target(tmp_path: Path, text: str, usual: str = "{}") -> Target:
    file, own = tmp_path / "other.yaml", tmp_path / "tandem.yaml"
    file.write_text(text, encoding="utf-8")
    own.write_text(usual, encoding="utf-8")
    return target_of(own, file, {})


def test_a_policy_takes_the_place_of_the_configured_one(tmp_path: Path) -> None:
    found = target(tmp_path, "policy: {use: threshold, threshold: 0.35}", "policy: {use: explicit, tier: large}")
    assert isinstance(found.config.policy, ThresholdOptions)
    assert (found.decides, found.reprices, found.keeps, found.says) == (True, False, None, "policy")


def test_what_the_file_leaves_out_stays_as_it_is_configured(tmp_path: Path) -> None:
    found = target(tmp_path, "prices: mine.yaml", "policy: {use: explicit, tier: large}")
    assert found.config.policy.use == "explicit"
    assert (found.decides, found.reprices) == (False, True)


@pytest.mark.parametrize(
    ("text", "usual", "was", "keeps"),
    [
        ("cache: {enabled: false}", "{}", 3_600.0, 0.0),
        ("cache: {ttl: 60}", "cache: {enabled: false}", 0.0, 60.0),
        ("cache: {ttl: 60}", "cache: {ttl: 7200, url: 'redis://127.0.0.1:1'}", 7_200.0, 60.0),
        ("cache: {enabled: true}", "{}", 3_600.0, 3_600.0),
    ],
)
def test_a_cache_can_be_switched_on_or_off_or_keep_for_longer(
    tmp_path: Path, text: str, usual: str, was: float, keeps: float
) -> None:
    found = target(tmp_path, text, usual)
    assert (found.was, found.keeps) == (Keeping(was), Keeping(keeps))
    assert found.warm_up == max(was, keeps)


@pytest.mark.parametrize(
    ("text", "usual", "words"),
    [
        ("cache: {sampled: true}", "{}", "which requests had a temperature is not in the ledger"),
        ("cache: {max_reply_bytes: 9}", "{}", "how many bytes replies had is not in the ledger"),
        ("cache: {semantic: {enabled: true}}", "{}", "which requests mean the same is not in the ledger"),
        ("cache: {ttl: 60, semantic: {enabled: true}}", "cache: {semantic: {enabled: true}}", "mean the same"),
    ],
)
def test_of_another_cache_what_the_ledger_cannot_tell_is_refused(
    tmp_path: Path, text: str, usual: str, words: str
) -> None:
    with pytest.raises(NotReplayable, match=words):
        target(tmp_path, text, usual)


def test_of_a_cascade_all_that_does_not_judge_otherwise_can_be_replayed(tmp_path: Path) -> None:
    usual = "policy: {use: cascade, wrong: 0.5, hold_tokens: 12}"
    assert target(tmp_path, "policy: {use: cascade, wrong: 0.2, easy: 0.1, hold_tokens: 12}", usual).decides
    with pytest.raises(NotReplayable, match=r"another second_sample, hold_tokens judges .* easy, hard, wrong"):
        target(tmp_path, "policy: {use: cascade, second_sample: false}", usual)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("classifier: {use: rules}", "classifier cannot be replayed; a file may say policy, prices, cache"),
        ("{}", "it says nothing"),
        ("policy: {use: cascade}", "a cascade judges Mini's replies, and the configured policy has none judged"),
    ],
)
def test_what_the_ledger_cannot_tell_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(NotReplayable, match=words):
        target(tmp_path, text)


def test_faults_of_the_file_are_named_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.yaml:1:37: policy\.threshold"):
        target(tmp_path, "policy: {use: threshold, threshold: 2}")
    with pytest.raises(ConfigError, match=r"other\.yaml:1:14: cache\.ttl"):
        target(tmp_path, "cache: {ttl: -60}")


def test_a_certified_policy_whose_file_is_not_there_is_said_to_be_just_that(tmp_path: Path) -> None:
    with pytest.raises(NotReplayable, match=r"policy\.file cannot be used") as refused:
        target(tmp_path, "policy: {use: certified, file: nowhere.json}")
    for words in ("No such file", "tandem calibrate", str(Path("nowhere.json").absolute()), "name where it is"):
        assert words in str(refused.value)
    assert "prompts" not in str(refused.value)
