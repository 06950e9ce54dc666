"""Tests router/certifying/matching.py, in the process that it starts."""

import os
import time

import pytest

from router.certifying.base import CertifyingError, PatternTooSlow
from router.certifying.matching import Matcher

ENDLESS = "^(a+)+$"
REPLY = "a" * 40 + "!"


def test_patterns_are_looked_for_and_schemas_fitted() -> None:
    with Matcher() as matcher:
        assert matcher.fits("b.d", "abcde")
        assert not matcher.fits("^b", "abcde")
        assert matcher.fits("\ud83d", "a\ud83d\n")  # half of a pair, as a reply may have it
        assert matcher.fits({"required": ["a"]}, '{"a": 1}')
        assert not matcher.fits({"required": ["a"]}, '{"b": 1}')
        assert matcher.fits({"pattern": "^a$"}, '"a"')


def test_what_takes_too_long_is_ended_and_not_tried_again_and_others_are() -> None:
    with Matcher(within=0.1) as matcher:
        began = time.monotonic()
        for wanted, text in ((ENDLESS, REPLY), ({"pattern": ENDLESS}, f'"{REPLY}"')):
            with pytest.raises(PatternTooSlow, match="takes longer than"):
                matcher.fits(wanted, text)
        tried = time.monotonic()
        assert 0.2 <= tried - began < 5.0
        for _ in range(3):
            with pytest.raises(PatternTooSlow, match="takes longer than"):
                matcher.fits(ENDLESS, "")
        assert time.monotonic() - tried < 0.1
        assert matcher.fits("^a", REPLY)


def test_time_counts_for_each_anew() -> None:
    with Matcher(within=0.3) as matcher:
        assert matcher.fits("a", "a")
        time.sleep(0.35)
        assert matcher.fits("a", "a")


def test_a_process_that_ends_by_itself_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with Matcher() as matcher:
        assert matcher.fits("a", "a")
        assert matcher._process is not None
        os.kill(matcher._process.pid, 9)
        with pytest.raises(CertifyingError, match="that tries patterns ended with -9"):
            matcher.fits("a", "a")
        assert matcher.fits("a", "a")  # in another one
    monkeypatch.setattr("sys.executable", "/none")
    with Matcher() as matcher, pytest.raises(CertifyingError, match="no process can be started to try patterns"):
        matcher.fits("a", "a")


def test_nothing_is_left_of_it() -> None:
    with Matcher() as matcher:
        matcher.fits("a", "a")
        process = matcher._process
    assert process is not None
    assert process.returncode == 0
