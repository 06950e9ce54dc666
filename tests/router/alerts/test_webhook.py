"""Tests router/alerts/webhook.py and router/alerts/payload.py, against a real server."""

import asyncio
import json
from contextlib import suppress
from datetime import datetime

import pytest

from router.alerts.base import Alert
from router.alerts.payload import payload_of
from router.alerts.webhook import MOST, TRIES, Webhook
from router.config.alerts import WebhookOptions
from tests.router.alerts.happenings import Place, place

FIRED = Alert("budget_spent", (("tenant", "shop"),), 1_800_000_000.0, "95 of 100", "runbook.md#budget-spent")
OTHER = Alert("budget_spent", (("tenant", "desk"),), 1_800_000_001.0, "91 of 100", "runbook.md#budget-spent")
ENDED = Alert("error_rate", (), 1_800_000_000.0, "0 of 9", "runbook.md#error-rate", ended=1_800_000_060.5)


def webhook(taker: Place | str, *, secret: str | None = None, pause: float = 0.001) -> Webhook:
    url = taker if isinstance(taker, str) else taker.url
    options = WebhookOptions.model_validate({"url": url, "secret": secret, "timeout": 1.0})
    return Webhook(options, source="w1", pause=pause)


async def until(found: Webhook, count: int) -> None:
    async with asyncio.timeout(5):
        while found.results.total() < count:
            await asyncio.sleep(0.005)


def test_the_body_is_that_of_alertmanager() -> None:
    body = json.loads(payload_of([FIRED, OTHER], source="w1"))
    assert set(body) == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"),
        *("commonAnnotations", "externalURL", "alerts"),
    }
    assert (body["version"], body["status"], len(body["alerts"])) == ("4", "firing", 2)
    first, second = body["alerts"]
    assert first["labels"] == {
        "alertname": "budget_spent",
        "severity": "warning",
        "source": "w1",
        "tenant": "shop",
    }
    assert first["annotations"]["runbook_url"] == "runbook.md#budget-spent"
    assert first["annotations"]["description"] == "95 of 100"
    assert datetime.fromisoformat(first["startsAt"]).timestamp() == FIRED.since
    assert first["endsAt"] == "0001-01-01T00:00:00Z"
    assert first["fingerprint"] != second["fingerprint"]
    assert first["fingerprint"] != json.loads(payload_of([FIRED], source="w2"))["alerts"][0]["fingerprint"]


async def test_alerts_are_posted_in_groups_with_the_secret() -> None:
    async with place() as taker:
        found = webhook(taker, secret="an-invented-secret")
        found.tell([FIRED, ENDED, OTHER])
        await until(found, 3)
        await found.aclose()
    assert [(body["status"], len(body["alerts"])) for body in taker.bodies] == [("firing", 2), ("resolved", 1)]
    assert taker.bodies[1]["alerts"][0]["endsAt"] == "2027-01-15T08:01:00.500Z"
    assert set(taker.secrets) == {"Bearer an-invented-secret"}
    assert found.results["delivered"] == 3


async def test_what_may_pass_is_tried_again_and_what_will_not_is_not() -> None:
    async with place(503, 429, 200, 400) as taker:
        found = webhook(taker)
        found.tell([FIRED])
        await until(found, 1)
        found.tell([ENDED])
        await until(found, 2)
        await found.aclose()
    assert len(taker.bodies) == 4
    assert (found.results["delivered"], found.results["refused"]) == (1, 1)


async def test_what_nobody_takes_is_given_up_and_counted() -> None:
    async with place(*[500] * TRIES) as taker:
        found = webhook(taker)
        found.tell([FIRED])
        await until(found, 1)
        await found.aclose()
    assert len(taker.bodies) == TRIES
    assert found.results["failed"] == 1


async def test_handing_over_never_waits_and_what_is_too_much_is_dropped() -> None:
    found = webhook("http://127.0.0.1:9/", pause=60.0)
    for _ in range(MOST + 3):
        found.tell([FIRED])
    assert found.results["dropped"] == 3
    async with asyncio.timeout(4):  # though each could be tried for minutes
        await found.aclose()
    assert found.results["delivered"] == 0


async def test_a_redirect_is_not_followed() -> None:
    async with place(307) as taker:
        found = webhook(taker)
        found.tell([FIRED])
        await until(found, 1)
        await found.aclose()
    assert (found.results["refused"], len(taker.bodies)) == (1, 1)


@pytest.mark.parametrize(("at_once", "result"), [(99, "delivered"), (1, "failed")])
async def test_an_answer_without_end_and_one_that_drips_hold_nothing_up(at_once: int, result: str) -> None:
    async def told(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n"
        with suppress(ConnectionError):
            for at in range(0, len(head), at_once):
                writer.write(head[at : at + at_once])
                await asyncio.sleep(0.02)
                await writer.drain()
            while True:
                writer.write(b" " * 65_536)
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()
        ended.release()

    ended = asyncio.Semaphore(0)
    server = await asyncio.start_server(told, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    found = Webhook(WebhookOptions(url=url, timeout=0.05), source="w1", pause=0.001)
    found.tell([FIRED])
    await until(found, 1)
    await found.aclose()
    server.close()
    for _ in range(1 if result == "delivered" else TRIES):
        await ended.acquire()
    assert found.results[result] == 1


async def test_an_address_that_is_none_after_all_ends_no_telling() -> None:
    found = webhook("http://1.2.3.999/")
    found.tell([FIRED])
    await until(found, 1)
    await found.aclose()
    assert found.results["failed"] == 1


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "http://", "a", "http://a b/", "http://a:x/"])
def test_only_addresses_of_the_web_are_posted_to(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        WebhookOptions.model_validate({"url": url})
