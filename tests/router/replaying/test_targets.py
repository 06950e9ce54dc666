"""Tests router/replaying/targets.py: what a file may ask for, and what is refused with its reason."""

from pathlib import Path

import pytest

from router.config.faults import ConfigError
from router.config.models import ThresholdOptions
from router.replaying.targets import NotReplayable, Target, target_of


def target(tmp_path: Path, text: str, usual: str = "{}") -> Target:
    file, own = tmp_path / "other.yaml", tmp_path / "tandem.yaml"
    file.write_text(text, encoding="utf-8")
    own.write_text(usual, encoding="utf-8")
    return target_of(own, file, {})


def test_a_policy_takes_the_place_of_the_configured_one(tmp_path: Path) -> None:
    found = target(tmp_path, "policy: {use: threshold, threshold: 0.35}", "policy: {use: explicit, tier: large}")
    assert isinstance(found.config.policy, ThresholdOptions)
    assert (found.decides, found.reprices, found.uncached, found.says) == (True, False, False, "policy")


def test_what_the_file_leaves_out_stays_as_it_is_configured(tmp_path: Path) -> None:
    found = target(tmp_path, "prices: mine.yaml", "policy: {use: explicit, tier: large}")
    assert found.config.policy.use == "explicit"
    assert (found.decides, found.reprices) == (False, True)


def test_a_cache_can_be_switched_off_and_nothing_else(tmp_path: Path) -> None:
    assert target(tmp_path, "cache: {enabled: false}").uncached
    assert not target(tmp_path, "cache: {enabled: false}", "cache: {enabled: false}").uncached
    with pytest.raises(NotReplayable, match="which requests were equal is not in the ledger"):
        target(tmp_path, "cache: {ttl: 60}", "cache: {enabled: false}")
    with pytest.raises(NotReplayable, match="how old a kept reply was is not in the ledger"):
        target(tmp_path, "cache: {ttl: 60}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("classifier: {use: rules}", "classifier cannot be replayed; a file may say policy, prices, cache"),
        ("{}", "it says nothing"),
        ("policy: {use: cascade}", "a cascade judges Mini's replies"),
    ],
)
def test_what_the_ledger_cannot_tell_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(NotReplayable, match=words):
        target(tmp_path, text)


def test_faults_of_the_file_are_named_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.yaml:1:37: policy\.threshold"):
        target(tmp_path, "policy: {use: threshold, threshold: 2}")
