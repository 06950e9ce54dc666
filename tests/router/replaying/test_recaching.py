"""Tests router/replaying/recaching.py, router/replaying/caching.py, router/replaying/hits.py.

Likewise router/replaying/columns.py, which they share.
"""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from router.base import Tier
from router.config.models import Config
from router.guards.large_share import CAPPED
from router.ledger.replays import LoggedCall, LoggedRequest
from router.replaying.caching import SimulatedCache
from router.replaying.columns import Cached, Outcome, Reward
from router.replaying.hits import Hits, hits_of
from router.replaying.recaching import Pair, Recacher, fate_of
from router.replaying.report import Replay, replayed
from router.replaying.targets import Keeping, NotReplayable, Target
from router.replaying.worth import Refused
from router.single_flight import PATIENCE
from router.statistics.estimates import Estimate

MINE, OTHER = "a" * 10, "b" * 10  # processes
BEGIN = 1_000.0
One = Callable[..., LoggedRequest]


@pytest.fixture
def one(logged_as: Callable[..., LoggedRequest]) -> One:
    """Return what makes requests that take a second and 60,000 nano-USD."""
    usual = logged_as()._replace(reply_key="k", finish="stop", duration=1.0, overhead=0.0, is_stream=True)
    kept = {"outcome": "kept", "source": "cache", "cache": "exact", "spent": 0, "calls": (), "first_byte": 0.01}

    def request(at: float, *, hit: bool = False, process: str = MINE, **changes: object) -> LoggedRequest:
        began = BEGIN + at
        identifier = f"req_{int(began * 1_000):012x}{process}{0:06x}"
        first = {"first_byte": 0.5, "duration": 0.01 if hit else 1.0}
        return usual._replace(id=identifier, started=began, **{**first, **(kept if hit else {}), **changes})  # type: ignore[arg-type]  # fields, by name

    return request


def pairs_of(log: list[LoggedRequest], was: float, asked: float) -> tuple[Recacher, list[Pair]]:
    recacher = Recacher(Keeping(was), Keeping(asked))
    return recacher, list(recacher.pairs(log, since=0.0))


def hits(log: list[LoggedRequest], was: float, asked: float) -> list[bool]:
    return [pair.is_hit for pair in pairs_of(log, was, asked)[1]]


def replay(log: list[LoggedRequest], was: float, asked: float, *, since: float = 0.0) -> Replay:
    target = Target(Config(), False, False, "cache", was=Keeping(was), keeps=Keeping(asked))  # noqa: FBT003 - what it is not
    return replayed(log, target, reward=Reward.LABELS, since=since)


def test_a_reply_is_kept_from_when_it_was_whole_until_its_time_is_over(one: One) -> None:
    log = [one(0.0), one(5.0), one(10.9), one(11.1), one(13.0, reply_key="other"), one(13.0, reply_key="")]
    assert hits(log, 0.0, 10.0) == [False, True, True, False, False, False]


def test_who_comes_while_an_equal_request_is_answered_gets_its_reply_when_that_is_whole(one: One) -> None:
    _, (_, second, elsewhere) = pairs_of([one(0.0), one(0.4), one(0.5, process=OTHER)], 0.0, 10.0)
    assert second.is_hit
    assert second.first_byte == pytest.approx(0.6)
    assert not elsewhere.is_hit  # that process does not know, and the store has nothing yet


def test_a_reply_that_is_nobody_elses_sends_those_who_wait_on_alone(one: One) -> None:
    log = [one(0.0, finish="length"), one(0.4), one(0.5), one(3.0)]
    _, pairs = pairs_of(log, 0.0, 10.0)
    assert [pair.is_hit for pair in pairs] == [False, False, False, True]
    assert pairs[1].first_byte == pytest.approx(0.5 + 0.6)


def test_where_the_first_fails_the_next_one_asks_for_all(one: One) -> None:
    log = [one(0.0, outcome="broken"), one(0.4), one(0.5)]
    assert hits(log, 0.0, 10.0) == [False, False, True]


def test_nobody_waits_for_longer_than_is_waited(one: One) -> None:
    log = [one(0.0, duration=100.0), one(1.0), one(2.0), one(PATIENCE + 3.0)]
    assert hits(log, 0.0, 500.0) == [False, False, True, True]


@pytest.mark.parametrize(
    ("changes", "fate"),
    [
        ({}, "kept"),
        ({"finish": "tool_calls"}, "alone"),
        ({"finish": ""}, "alone"),
        ({"reason": "default"}, "alone"),
        ({"reason": CAPPED}, "alone"),
        ({"calls": (LoggedCall("failover", Tier.MINI, "", 1, None, ""),)}, "alone"),
        ({"verify": 0.5, "p_wrong": 0.4}, "kept"),
        ({"verify": 0.5, "p_wrong": 0.5}, "alone"),
        ({"verify": 0.5}, "alone"),
        ({"verify": 0.5, "p_wrong": 0.9, "source": "large"}, "kept"),
        ({"outcome": "hung_up"}, "next"),
    ],
)
def test_replies_that_a_gateway_does_not_keep_are_not_kept(one: One, changes: dict[str, object], fate: str) -> None:
    assert fate_of(one(0.0, **changes)) == fate


def test_a_hit_that_is_none_any_more_is_answered_as_its_first_request_was(one: One) -> None:
    log = [one(0.0, unit="x"), one(5.0, hit=True, unit="y"), one(6.0, hit=True)]
    _, (_, second, third) = pairs_of(log, 100.0, 1.0)
    assert second.now is not None
    assert (second.now.unit, second.now.started, second.first_byte) == ("y", BEGIN + 5.0, 0.5)
    assert (second.now.propensity, second.now.sampled, second.was_hit, second.is_hit) == (1.0, 0.0, True, False)
    assert third.is_hit  # of the second one's reply, which was whole then
    found = replay(log, 100.0, 1.0)
    assert isinstance(found.cost, Estimate)
    assert (found.was, found.cost.value) == (60_000, 120_000)


def test_a_cache_that_answers_more_frees_what_was_paid(one: One) -> None:
    found = replay([one(0.0), one(5.0), one(50.0)], 0.0, 20.0)
    assert isinstance(found.cost, Estimate)
    assert (found.was, found.cost.value, found.decided, found.large_share) == (180_000, 120_000, 3, 0.0)
    assert found.cache is not None
    assert (found.cache.logged, found.cache.hits, found.cache.keyed) == (0, 1, 3)
    assert found.cache.share == Refused("1 hits, and 100 are needed for an interval")


def test_requests_before_the_span_only_fill_the_cache(one: One) -> None:
    found = replay([one(0.0), one(5.0)], 0.0, 20.0, since=BEGIN + 3.0)
    assert (found.requests, found.was) == (1, 60_000)
    assert found.cache is not None
    assert found.cache.hits == 1


def test_a_log_without_keys_is_refused(one: One) -> None:
    log = [one(float(number), reply_key="", config="1") for number in range(10)]
    log += [one(100.0 + number, config="2") for number in range(30)]
    for answered, refused in ((log[10:], False), (log, True)):
        recacher, _ = pairs_of(answered, 0.0, 10.0)
        if not refused:
            recacher.refuse()
            continue
        with pytest.raises(NotReplayable, match="of 40 requests 10 came while no reply key was recorded"):
            recacher.refuse()


def test_a_log_of_another_cache_than_the_configured_one_is_refused(one: One) -> None:
    log = [one(0.0), one(50.0, hit=True), one(51.0, hit=True)]
    recacher, _ = pairs_of(log, 10.0, 5.0)
    assert recacher.differing == 2
    with pytest.raises(NotReplayable, match="treats 2 of 3 requests otherwise than the log's did"):
        recacher.refuse()
    pairs_of(log, 60.0, 5.0)[0].refuse()


def test_the_very_same_cache_answers_whom_it_answered_to_the_nano(one: One) -> None:
    in_time = [one(5.0 + number / 100, hit=True) for number in range(40)]
    found = replay([one(0.0), *in_time, one(10.05, hit=True)], 9.0, 9.0)  # the last one by a clock of Redis's own
    assert isinstance(found.cost, Estimate)
    assert isinstance(found.cache, Hits)
    assert (found.cost.value, found.cache.hits, found.cache.logged) == (found.was, 41, 41)
    assert "the log's own cache, replayed, treats 1 of 42 requests otherwise" in found.doubts


def test_kept_replies_of_unknown_age_stay_and_are_refused_where_they_are_many(one: One) -> None:
    recacher, pairs = pairs_of([one(0.0, hit=True), one(1.0, reply_key="x")], 10.0, 5.0)
    assert (pairs[0].is_hit, recacher.strangers) == (True, 1)
    with pytest.raises(NotReplayable, match="of 2 requests 1 got kept replies of which the ledger does not know since"):
        recacher.refuse()


def test_hits_by_meaning_are_counted_and_priced_by_tokens_without_a_cache(one: One) -> None:
    log = [one(0.0), one(5.0, hit=True, cache="semantic", reply_key="alike", baseline=90)]
    recacher, (_, alike) = pairs_of(log, 10.0, 0.0)
    assert (recacher.by_meaning, alike.now, alike.is_hit) == (1, None, False)
    kept = Recacher(Keeping(10.0, by_meaning=True), Keeping(10.0, by_meaning=True))
    log += [one(5.005, hit=True, reply_key="alike")]  # has waited for the one before
    assert [pair.is_hit for pair in kept.pairs(log, since=0.0)] == [False, True, True]
    found = replay(log[:2], 10.0, 0.0)
    assert "1 kept replies were to requests that only meant the same, which keys do not tell" in found.doubts


def test_ids_of_another_shape_and_odd_times_break_nothing(one: One) -> None:
    log = [one(0.0)._replace(id="odd"), one(1.0)._replace(id="req_what"), one(0.5, duration=None, overhead=None)]
    assert len(hits(log, 0.0, 10.0)) == 3


def test_what_is_over_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.replaying.caching._SWEEP", 4)
    cache = SimulatedCache(10.0)
    for number in range(12):
        met = cache.meet(f"{number}", "", number * 6.0)
        cache.answer(f"{number}", "", met, end=number * 6.0 + 1.0, fate="kept")
    assert len(cache._kept) <= 6
    assert len(cache._flights) <= 5


def outcomes(users: int) -> list[Outcome]:
    rng = random.Random(5)
    found = list[Outcome]()
    for _ in range(1_200):
        key, is_hit = rng.randrange(40), rng.random() < 0.5
        found.append(
            Outcome(
                user=rng.randrange(users),
                key=key,
                was_hit=False,
                is_hit=is_hit,
                was=10.0,
                spent=0.0 if is_hit else 10.0,
                was_first=0.5,
                first=0.1 if is_hit else 0.5,
            )
        )
    return found


def test_share_saving_and_time_have_intervals_by_users_and_few_users_are_refused() -> None:
    found = hits_of(Cached(outcomes(50), keyed=1_200, again=0, differing=0, by_meaning=0, strangers=0))
    assert isinstance(found.share, Estimate)
    assert isinstance(found.saved, Estimate)
    assert isinstance(found.first_byte, Estimate)
    for each, truth in ((found.share, 0.5), (found.saved, 0.5), (found.first_byte, 0.3)):
        assert each.low < truth < each.high
        assert 0.01 < each.half_width < 0.05
    assert found.saved.value == pytest.approx(found.hits / found.requests)
    assert 0.25 < found.of_most_asked < 0.4
    assert "of the hits are of the 10 questions" in found.words()[1]
    few = hits_of(Cached(outcomes(4), keyed=1_200, again=0, differing=0, by_meaning=0, strangers=0))
    assert isinstance(few.saved, Refused)
    assert few.saved.why.startswith("the hits are of as few users as")
    assert few.as_json()["share"] == {"refused": few.saved.why}


def test_longer_kept_replies_never_answer_less(one: One) -> None:
    rng = random.Random(9)
    at, log = 0.0, list[LoggedRequest]()
    for _ in range(150):
        at += rng.expovariate(0.8)
        log.append(one(at, reply_key=str(rng.randrange(12)), process=rng.choice([MINE, OTHER])))
    counts = [sum(hits(log, 0.0, ttl)) for ttl in (0.0, 1.0, 5.0, 20.0, 100.0)]
    assert counts[0] == 0
    assert all(less <= more for less, more in pairwise(counts))
