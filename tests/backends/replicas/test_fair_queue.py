"""Tests backends/replicas/fair_queue.py."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from backends.replicas.fair_queue import FairQueue

Item = tuple[str, int]


def filled(*tenants: str, weights: dict[str, int] | None = None, priority: int = 0) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue(weights)
    for number, tenant in enumerate(tenants):
        queue.push((tenant, number), tenant=tenant, priority=priority)
    return queue


def all_of(queue: FairQueue[Item]) -> list[Item]:
    return [queue.pop() for _ in range(len(queue))]


def names(items: list[Item]) -> str:
    return "".join(tenant for tenant, _ in items)


def test_tenants_take_turns_however_many_of_one_wait() -> None:
    assert names(all_of(filled(*"aaaaaabb"))) == "ababaaaa"


def test_a_tenant_has_as_many_turns_as_its_weight() -> None:
    assert names(all_of(filled(*"aaaabbbb", weights={"a": 3}))) == "aaababbb"


def test_within_a_tenant_the_first_is_the_first() -> None:
    assert all_of(filled(*"aaa")) == [("a", 0), ("a", 1), ("a", 2)]


def test_the_urgent_go_before_all_others() -> None:
    queue = filled(*"aab")
    queue.push(("c", 9), tenant="c", priority=1)
    queue.push(("d", 9), tenant="d", priority=-1)
    assert names(all_of(queue)) == "cabad"


def test_who_waits_no_longer_is_taken_out_once() -> None:
    queue = filled(*"aab")
    assert queue.discard(("a", 0), tenant="a", priority=0)
    assert not queue.discard(("a", 0), tenant="a", priority=0)
    assert not queue.discard(("a", 1), tenant="x", priority=0)
    assert not queue.discard(("a", 1), tenant="a", priority=3)
    assert queue.discard(("b", 2), tenant="b", priority=0)
    assert (list(queue), len(queue)) == ([("a", 1)], 1)


def test_the_last_of_the_longest_line_makes_place() -> None:
    assert filled(*"aaab").displaced_by(tenant="c", priority=0) == ("a", 2)
    assert filled(*"aaab").displaced_by(tenant="b", priority=0) == ("a", 2)
    assert filled(*"aaab").displaced_by(tenant="a", priority=0) is None, "its own line is the longest"
    assert filled(*"ab").displaced_by(tenant="c", priority=0) is None, "no line is longer than its own would be"
    assert filled(*"aaabb", weights={"a": 4}).displaced_by(tenant="c", priority=0) == ("b", 4)


def test_the_least_urgent_makes_place_and_never_for_one_that_is_less_urgent() -> None:
    queue = filled(*"aaa", priority=1)
    queue.push(("b", 9), tenant="b", priority=0)
    assert queue.displaced_by(tenant="a", priority=-1) is None
    assert queue.displaced_by(tenant="a", priority=1) == ("b", 9)
    assert queue.displaced_by(tenant="b", priority=0) is None
    assert FairQueue[Item]().displaced_by(tenant="b", priority=0) is None


waiting = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-1, 1)), max_size=60)


@given(waiting, st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4)), st.lists(st.integers(0, 3), max_size=80))
def test_nobody_is_lost_and_nobody_comes_twice(
    waiting: list[tuple[str, int]], weights: dict[str, int], acts: list[int]
) -> None:
    queue: FairQueue[tuple[str, int, int]] = FairQueue(weights)
    inside: set[tuple[str, int, int]] = set()
    todo = [(tenant, priority, number) for number, (tenant, priority) in enumerate(waiting)]
    for act in acts:
        if act < 2 and todo:
            item = todo.pop()
            queue.push(item, tenant=item[0], priority=item[1])
            inside.add(item)
        elif act == 2 and inside:
            item = queue.pop()
            inside.remove(item)
            assert item[1] >= max((each[1] for each in inside), default=item[1])
        elif inside:
            gone = queue.displaced_by(tenant="e", priority=0)
            if gone is not None:
                inside.remove(gone)
                assert gone[1] == min(each[1] for each in {*inside, gone})
        assert (set(queue), len(queue)) == (inside, len(inside))


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=90),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
)
def test_in_each_round_a_tenant_that_still_waits_had_its_turns(tenants: list[str], weights: dict[str, int]) -> None:
    queue = filled(*tenants, weights=weights)
    served: Counter[str] = Counter()
    left = Counter(tenants)
    for tenant, _ in all_of(queue):
        served[tenant] += 1
        left[tenant] -= 1
        for one in left:
            for other in left:
                if left[one] and left[other]:
                    rounds = abs(served[one] / weights.get(one, 1) - served[other] / weights.get(other, 1))
                    assert rounds <= 1.0
