"""Tests router/alerts/watch.py, router/alerts/watching.py and router/alerts/opening.py."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

from msgspec.structs import replace
from prometheus_client.core import Metric

from router.alerts.opening import Alerts
from router.alerts.watch import MOST, Watch
from router.alerts.watching import watch_of
from router.base import Intent, Label, Ledger, Record
from router.config.alerts import AlertsOptions
from router.guards.limits.base import Allowance, Use
from router.wrapped_ledger import WrappedLedger
from tests.router.alerts.happenings import label, place, settled

BUDGET = Allowance(budget=100)


class Kept(WrappedLedger):
    """Keeps nothing but what it was handed."""

    def __init__(self) -> None:
        self.handed: list[Intent | Record | Label] = []

    def open(self, intent: Intent) -> Awaitable[None]:
        self.handed.append(intent)
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def settle(self, record: Record) -> None:
        self.handed.append(record)

    def label(self, label: Label) -> None:
        self.handed.append(label)


class Idle(WrappedLedger):
    """The cheapest ledger there is."""

    def __init__(self) -> None:
        self.ready = asyncio.get_running_loop().create_future()

    def open(self, intent: Intent) -> Awaitable[None]:
        return self.ready

    def settle(self, record: Record) -> None:
        """Keep nothing."""


def watch(tmp_path: Path, uses: Sequence[Use] = (), **more: object) -> Watch:
    options = AlertsOptions.model_validate(more)
    return watch_of(options, memory=tmp_path / "alerts.json", source="w1", budgets=lambda: uses)


async def put(ledger: Ledger, *, tenant: str = "shop", status: int = 200) -> None:
    intent, record = settled(tenant=tenant, status=status)
    await ledger.open(intent)
    ledger.settle(record)


def figures(watched: Watch | Alerts) -> dict[tuple[str, str], float]:
    metrics: list[Metric] = list(watched.collect())
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for metric in metrics
        for sample in metric.samples
    }


async def test_everything_is_handed_on_and_seen(tmp_path: Path) -> None:
    watched, kept = watch(tmp_path), Kept()
    ledger = watched.watched(kept)
    await put(ledger)
    ledger.label(label(1.0))
    assert [type(each) for each in kept.handed] == [Intent, Record, Label]
    assert len(watched._settled) == len(watched._labels) == 1
    await watched.look()
    assert not watched._settled
    assert not watched._labels
    ledger.settle(replace(settled()[1], intent=None))  # a record without an intent is handed on, and shows nothing
    assert not watched._settled
    await watched.aclose()


async def test_what_fires_is_counted_told_and_ends(tmp_path: Path) -> None:
    use = Use("shop", BUDGET, BUDGET, spent=95)
    async with place() as taker:
        watched = watch(tmp_path, [use], webhook={"url": taker.url})
        now = 1_800_000_000.0
        watched._wall = lambda: now
        await watched.look()
        (alert,) = watched.firing()
        assert (alert.kind, alert.labels) == ("budget_spent", (("tenant", "shop"),))
        assert figures(watched)["tandem_alert_state", "budget_spent"] == 1.0
        now += 14_460.0
        await watched.look()  # told again, since it fires for long
        use.spent, now = 0, now + 60.0
        await watched.look()
        assert watched.firing() == ()
        await watched.aclose()
    assert [body["status"] for body in taker.bodies] == ["firing", "firing", "resolved"]
    found = figures(watched)
    assert found["tandem_alert_state", "budget_spent"] == 0.0
    assert found["tandem_alerts_fired_total", "budget_spent"] == 1.0
    assert found["tandem_alert_deliveries_total", "delivered"] == 3.0


async def test_a_drop_of_accuracy_goes_all_the_way(tmp_path: Path) -> None:
    watched = watch(tmp_path, accuracy=0.9)
    for _ in range(40):
        watched.hear(label(0.0))
    await watched.look()
    assert [alert.kind for alert in watched.firing()] == ["accuracy_drop"]
    await watched.aclose()


async def test_what_was_learnt_is_saved_at_the_end(tmp_path: Path) -> None:
    watched = watch(tmp_path, drift_reference=100)
    for _ in range(100):
        watched.see(settled())
    await watched.look()
    await watched.aclose()
    assert "tenant=shop" in (tmp_path / "alerts.json").read_text()


async def test_what_is_too_much_is_not_looked_at_and_counted(tmp_path: Path) -> None:
    watched, one = watch(tmp_path), settled()
    watched._settled.extend([one] * MOST)
    watched.see(one)
    assert figures(watched)["tandem_alerts_unseen_requests_total", ""] == 1.0
    watched._settled.clear()
    await watched.aclose()


async def test_seeing_a_request_takes_less_than_two_microseconds(tmp_path: Path) -> None:
    watched, kept, rounds = watch(tmp_path), Idle(), 20_000
    ledger = watched.watched(kept)
    intent, record = settled()
    alone = together = float("inf")
    for _ in range(3):
        for each in (kept, ledger):
            watched._settled.clear()
            begun = time.process_time()
            for _ in range(rounds):
                each.open(intent)
                each.settle(record)
            spent = (time.process_time() - begun) / rounds
            alone, together = (min(alone, spent), together) if each is kept else (alone, min(together, spent))
    assert together - alone < 2e-6
    await watched.aclose()


async def test_a_configuration_that_leaves_the_options_leaves_what_was_counted(tmp_path: Path) -> None:
    use = Use("shop", BUDGET, BUDGET, spent=95)
    alerts = Alerts(tmp_path / "ledger.db", lambda: [use])
    assert alerts.watched(kept := Kept()) is kept
    assert alerts.firing() == ()
    await alerts.revise(AlertsOptions(), source="w1")
    assert alerts._watch is not None
    await alerts._watch.look()
    await alerts.revise(AlertsOptions(), source="w1")
    assert [alert.kind for alert in alerts.firing()] == ["budget_spent"]
    await alerts.revise(AlertsOptions(budget_share=0.99), source="w1")
    assert alerts.firing() == ()
    await alerts.revise(AlertsOptions(enabled=False), source="w1")
    assert figures(alerts) == {}
    await alerts.aclose()
