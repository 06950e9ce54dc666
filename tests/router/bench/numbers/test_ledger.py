"""router/bench/numbers/ledger.py: what the writer takes is measured, and its sums are right."""

import pytest

from router.bench.numbers import ledger


def test_the_writer_is_measured_and_its_sums_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "REQUESTS", 5_000)
    monkeypatch.setattr(ledger, "why_not", lambda: "a server is for the whole bench")
    found = {goal.name: goal for goal in ledger.goals(seed=3, quick=True)}
    assert found["requests a second with attempt and sums, SQLite"].goal == 5_000
    assert found["accounting in batches, us of CPU a request, SQLite"].value > 1
    assert found["sums that are not those of their rows, SQLite"].met
    assert all(goal.value > 0 for name, goal in found.items() if not name.startswith("sums"))
