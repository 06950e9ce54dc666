"""Tests router/statistics/off_policy.py: three estimators, and the gate before them."""

from dataclasses import replace

import numpy as np
import pytest

from router.statistics.off_policy import Evaluation, Log, Support, doubly_robust, evaluated, ips, snips, support_of


def log_of(*, rows: int = 4_000, chance: float = 0.1, seed: int = 1, right: float = 0.7) -> Log:
    """Return a log that did in half of its rows what the other policy does, and in the other half by chance."""
    rng = np.random.default_rng(seed)
    differs = np.arange(rows) % 2 == 0
    probabilities = np.where(differs, chance, 1.0 - chance)
    scores = rng.random(rows)
    rewards = (rng.random(rows) < right - 0.3 * scores).astype(float)
    features = np.stack([np.ones(rows), scores], axis=1)
    return Log(rewards, rng.random(rows) < probabilities, probabilities, features, np.arange(rows), differs)


def test_all_three_find_what_the_other_policy_is_worth() -> None:
    found = evaluated(log_of())
    assert isinstance(found, Evaluation)
    for estimate in (found.ips, found.snips, found.doubly_robust):
        assert estimate.low < 0.55 < estimate.high
    assert found.doubly_robust.half_width < found.ips.half_width


TWO_SEEN = Log(
    rewards=np.array([1.0, 0.0, 5.0, 5.0]),
    seen=np.array([True, True, False, False]),
    probabilities=np.array([0.5, 0.25, 0.5, 0.25]),
    features=np.ones((4, 1)),
    clusters=np.arange(4),
    differs=np.ones(4, dtype=bool),
)


def test_weights_are_one_over_the_probability_of_what_was_seen() -> None:
    """Two rows seen of four, by hand: (1 / 0.5 + 0 / 0.25) / 4, and that over the mean weight."""
    assert ips(TWO_SEEN).value == pytest.approx(0.5)
    assert snips(TWO_SEEN).value == pytest.approx(2.0 / 6.0)
    assert support_of(TWO_SEEN).effective == pytest.approx(36.0 / 20.0)


def test_errors_are_those_of_the_clusters_around_the_figure() -> None:
    """Weights 2 and 4 around 1/3: parts 4/3 and -4/3 of the sum 6, of which the value takes 29/45."""
    assert snips(TWO_SEEN).error == pytest.approx((2 * (4 / 3 / 6) ** 2 * 45 / 16) ** 0.5)
    assert ips(TWO_SEEN).error == pytest.approx(((1.5**2 + 3 * 0.5**2) / 16 * 4 / 3) ** 0.5)
    alike = replace(TWO_SEEN, rewards=np.where(TWO_SEEN.seen, 0.7, 5.0))
    assert snips(alike).error == pytest.approx(0.0, abs=1e-12), "whatever was seen was worth as much"


def test_few_actions_that_match_are_refused_with_both_numbers() -> None:
    found = evaluated(log_of(rows=1_000))
    assert isinstance(found, Support)
    assert found.refusal.startswith("where the policies part, the log saw ")
    assert found.matching < 100
    assert f"{found.matching} of the actions" in found.refusal


def test_few_outcomes_of_the_rarer_kind_are_refused() -> None:
    log = log_of()
    lucky = replace(log, rewards=np.ones(len(log.rewards)))
    lucky.rewards[np.flatnonzero(log.seen & log.differs)[:9]] = 0.0
    found = evaluated(lucky)
    assert isinstance(found, Support)
    assert "9 are on the rarer side, and 10 are needed" in found.refusal
    lucky.rewards[np.flatnonzero(log.seen & log.differs)[9]] = 0.0
    assert isinstance(evaluated(lucky), Evaluation)


def test_what_could_not_be_seen_is_refused() -> None:
    log = log_of()
    never = np.where(log.differs, 0.0, 1.0)
    found = evaluated(replace(log, probabilities=never, seen=~log.differs))
    assert isinstance(found, Support)
    assert "for 2,000 of the 2,000 requests where the policies part" in found.refusal


def test_probabilities_that_are_wrong_show_in_the_mean_weight() -> None:
    log = log_of()
    found = evaluated(replace(log, probabilities=log.probabilities / 2.0))
    assert isinstance(found, Support)
    assert found.mean_weight == pytest.approx(2.0, abs=0.3)
    assert "the logged probabilities are wrong" in found.refusal


def test_where_the_policies_agree_the_log_itself_is_the_answer() -> None:
    log = log_of()
    same = replace(
        log,
        differs=np.zeros(4_000, dtype=bool),
        seen=np.ones(4_000, dtype=bool),
        probabilities=np.ones(4_000),
    )
    found = evaluated(same)
    assert isinstance(found, Evaluation)
    assert found.ips.value == found.snips.value == pytest.approx(log.rewards.mean())
    assert found.doubly_robust.value == pytest.approx(log.rewards.mean())


def test_requests_of_one_user_count_as_one() -> None:
    log = log_of()
    rewards = np.repeat((np.arange(200) % 3 > 0).astype(float), 20)
    clustered = replace(log, rewards=rewards, clusters=np.repeat(np.arange(200), 20))
    assert ips(clustered).error > 1.5 * ips(replace(clustered, clusters=np.arange(4_000))).error


def test_an_empty_log_is_refused() -> None:
    none = np.zeros(0)
    log = Log(none, none.astype(bool), none, np.zeros((0, 2)), none.astype(int), none.astype(bool))
    found = evaluated(log)
    assert isinstance(found, Support)
    assert found.refusal == "no request of the log has an outcome that tells"


def test_logs_that_pass_the_gate_by_luck_alone_have_wider_intervals() -> None:
    log = log_of(rows=2_600, right=1.2)
    seen = np.flatnonzero(log.differs & log.seen)
    for failures, wider in ((10, 2**0.5), (20, 1.0), (40, 1.0)):
        rewards = np.ones(len(log.rewards))
        rewards[seen[:failures]] = 0.0
        given = replace(log, rewards=rewards)
        found = evaluated(given)
        assert isinstance(found, Evaluation)
        assert found.support.minority == failures
        assert found.ips.half_width == pytest.approx(wider * ips(given).half_width)


def test_logs_of_a_few_users_are_refused() -> None:
    log = log_of()
    clusters = np.where(np.arange(len(log.seen)) % 10 < 7, 0, np.arange(len(log.seen)) % 100)
    found = evaluated(replace(log, clusters=clusters))
    assert isinstance(found, Support)
    assert found.refusal.startswith("the requests are of as few users as 2.0 who ask alike often, and 8 are needed")


def test_rewards_beyond_their_bounds_have_a_tail_that_widens_the_interval() -> None:
    log = log_of()
    seconds = np.random.default_rng(4).pareto(1.8, len(log.rewards))
    unlucky = replace(log, rewards=np.minimum(seconds, np.sort(seconds[log.seen & log.differs])[-4]))
    assert unlucky.index is not None
    assert log.index is None
    assert replace(log, bounds=None).index is not None
    bounded = replace(unlucky, bounds=(0.0, float("inf")))
    for estimator in (ips, snips, doubly_robust):
        assert estimator(unlucky).half_width > 1.05 * estimator(bounded).half_width


def test_outcomes_that_may_have_no_mean_are_refused() -> None:
    log = log_of()
    seconds = np.random.default_rng(4).pareto(0.8, len(log.rewards))
    found = evaluated(replace(log, rewards=seconds))
    assert isinstance(found, Support)
    assert found.refusal.startswith(f"the largest outcomes reach out so far (tail index {found.index:.2f}, and 1 is")
    assert isinstance(evaluated(replace(log, rewards=seconds / seconds.max())), Evaluation), "bounded, as quality is"


def test_all_three_look_at_the_sizes_of_users() -> None:
    """One user has a third of the requests, and each of the others a 600th: a degree of freedom, not hundreds."""
    log = log_of()
    users = np.where(np.arange(4_000) % 3 == 0, 0, np.arange(4_000) % 400 + 1)
    clusters = np.unique(users, return_inverse=True)[1]
    liked = np.random.default_rng(6).random(int(clusters.max()) + 1)[clusters]
    alike = replace(log, rewards=liked, clusters=clusters)
    assert [each(alike).degrees < 2.0 for each in (ips, snips, doubly_robust)] == [True] * 3
