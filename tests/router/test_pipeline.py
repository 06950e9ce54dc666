"""What a request meets and what is kept of it, in process.

router/pipeline.py, router/dispatch.py, router/relay.py, router/account.py, router/routes.py, router/gateway.py,
router/policies/threshold.py, router/policies/explicit.py, router/metrics/counters.py, router/endpoints/chat.py,
router/endpoints/headers.py, router/endpoints/decisions.py
"""

import asyncio
import json

import httpx2
import msgspec
import pytest

from backends.base import (
    BackendError,
    Broken,
    ConnectFailed,
    DeadlineExceeded,
    Overloaded,
    Rejected,
    StreamBroken,
    Usage,
)
from router.base import Tier
from router.endpoints.wire import read_chat
from router.ledger.money import cost as cost_of
from router.ledger.prices import load
from router.reply_keys import KeyOf, who_answers
from tests.router.conftest import House, OpenHouse, Row, Served, chat
from tests.router.scripted import COMPLETION, EVENTS, ScriptedOptions

CHAT = "/v1/chat/completions"


def attempts_of(row: Row) -> list[Row]:
    """Return a request's attempts."""
    attempts = row["attempts"]
    assert isinstance(attempts, list)
    return attempts


async def test_the_named_tier_answers_and_the_record_says_so(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, json=chat(model="large"), headers={"x-request-id": "mine"})
    assert answer.content == COMPLETION
    assert answer.headers["x-tandem-tier"] == "large"
    assert answer.headers["x-tandem-model"] == "big"
    assert answer.headers["x-tandem-reason"] == "asked"
    assert answer.headers["x-request-id"] == "mine"
    (row,) = house.rows()
    assert (row["caller_id"], row["tier"], row["outcome"], row["status"]) == ("mine", "large", "answered", 200)


async def test_the_score_chooses_the_tier(open_house: OpenHouse) -> None:
    for threshold, tier in ((0.0, "large"), (1.0, "mini")):
        async with open_house(policy={"use": "threshold", "threshold": threshold}) as house:
            answer = await house.client.post(CHAT, json=chat())
        assert answer.headers["x-tandem-tier"] == tier
        assert answer.headers["x-tandem-reason"] == "score"
        assert 0 <= float(answer.headers["x-tandem-score"]) <= 1
        assert float(answer.headers["x-tandem-threshold"]) == threshold


async def test_without_a_score_the_default_tier_answers(open_house: OpenHouse) -> None:
    async with open_house(classifier={"use": "off"}) as house:
        answer = await house.client.post(CHAT, json=chat())
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "default")


async def test_the_body_reaches_the_backend_as_it_came_but_for_the_model(open_house: OpenHouse) -> None:
    body = b'{"seed": 1.0, "model":"mini","messages": [ {"role":"user","content":"\\u00e9"} ],"guided":{"b":1,"a":[ ]}}'
    async with open_house() as house:
        await house.client.post(CHAT, content=body, headers={"content-type": "application/json"})
        (call,) = house.mini.calls
    assert call.body == body.replace(b'"mini"', b'"small"').replace(b'"seed": 1.0, ', b'"seed":1.0,').replace(
        b'"messages": [', b'"messages":['
    )


async def test_cost_and_baseline_are_those_of_the_price_book(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, json=chat(model="mini"))
    (row,) = house.rows()
    book = load(None)
    mini, large = book.price_of("desk-mini"), book.price_of("desk-large")
    assert mini is not None
    assert large is not None
    (attempt,) = attempts_of(row)
    assert (attempt["fresh_input"], attempt["cached_input"], attempt["output"]) == (8, 2, 4)
    expected = 8 * mini.fresh_input + 2 * mini.cached_input + 4 * mini.output
    assert row["cost"] == attempt["cost"] == expected // 1000
    assert row["baseline"] == 10 * expected // 1000
    assert float(answer.headers["x-tandem-cost-usd"]) == pytest.approx(expected // 1000 / 1e9)
    assert cost_of(large, Usage(8, 2, 4)) == row["baseline"]


async def test_a_stream_passes_unchanged_but_for_the_usage_that_nobody_asked_for(open_house: OpenHouse) -> None:
    async with open_house() as house:
        plain = await house.client.post(CHAT, json=chat(stream=True))
        asked = await house.client.post(CHAT, json=chat(stream=True, stream_options={"include_usage": True}))
        assert house.mini.body()["stream_options"] == {"include_usage": True}
    assert plain.content == EVENTS[0] + EVENTS[1] + EVENTS[3]
    assert asked.content == b"".join(EVENTS)
    assert plain.headers["content-type"].startswith("text/event-stream")
    assert house.rows()[0]["cost"] is not None
    assert len({row["cost"] for row in house.rows()}) == 1


async def test_a_stream_and_a_whole_answer_of_one_request_cost_the_same(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await house.client.post(CHAT, json=chat(model="large"))
        await house.client.post(CHAT, json=chat(model="large", stream=True))
    first, second = house.rows()
    assert first["cost"] == second["cost"]
    assert first["cost"]


async def test_a_refusal_holds_no_frames_which_would_hold_it(open_house: OpenHouse) -> None:
    failures = [ConnectFailed("away"), ConnectFailed("away")]
    async with open_house() as house:
        house.large.failures.append(failures[0])
        house.mini.failures.append(failures[1])
        await house.client.post("/v1/chat/completions", json=chat())
    assert [each.__traceback__ for each in failures] == [None, None]


async def test_stream_options_of_the_caller_are_kept_when_usage_is_added(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await house.client.post(
            CHAT, json=chat(model="mini", stream=True, stream_options={"include_obfuscation": False})
        )
        assert house.mini.body()["stream_options"] == {"include_obfuscation": False, "include_usage": True}


async def test_a_failed_tier_is_stood_in_for_where_the_choice_was_ours(open_house: OpenHouse) -> None:
    async with open_house(policy={"use": "explicit", "tier": "mini"}) as house:
        house.mini.failures.append(ConnectFailed("refused"))
        answer = await house.client.post(CHAT, json=chat())
    assert answer.status_code == 200
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "failover")
    assert answer.headers["x-tandem-stood-in"] == "mini"
    (row,) = house.rows()
    assert [attempt["error"] for attempt in attempts_of(row)] == ["ConnectFailed", ""]
    assert [attempt["kind"] for attempt in attempts_of(row)] == ["primary", "failover"]


async def test_an_answer_of_mini_in_the_place_of_large_is_disclosed_and_counted(open_house: OpenHouse) -> None:
    async with open_house(policy={"use": "explicit", "tier": "large"}) as house:
        house.large.failures.append(Overloaded("full"))
        degraded = await house.client.post(CHAT, json=chat())
        as_decided = await house.client.post(CHAT, json=chat())
        metrics = (await house.client.get("/metrics")).text
    assert (degraded.headers["x-tandem-tier"], degraded.headers["x-tandem-degraded"]) == ("mini", "large")
    assert "x-tandem-degraded" not in as_decided.headers
    assert 'tandem_failovers_total{by="mini",of="large"} 1.0' in metrics


async def test_a_tier_that_was_asked_for_is_not_exchanged(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.failures.append(ConnectFailed("refused"))
        answer = await house.client.post(CHAT, json=chat(model="mini"))
        assert not house.large.calls
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_away")
    (row,) = house.rows()
    assert (row["outcome"], row["status"], row["error"]) == ("failed", 503, "RoutesFailed")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Overloaded("full", retry_after=7), 503, "overloaded"),
        (DeadlineExceeded("late"), 504, "upstream_timeout"),
        (ConnectFailed("refused"), 503, "upstream_away"),
        (Broken("half an answer"), 502, "upstream_error"),
    ],
)
async def test_what_all_routes_fail_with_decides_the_status(
    failure: BackendError, status: int, code: str, open_house: OpenHouse
) -> None:
    async with open_house() as house:
        house.large.failures.append(failure)
        answer = await house.client.post(CHAT, json=chat(model="large"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("retry-after") == {"overloaded": "7", "upstream_away": "1"}.get(code)


async def test_a_rejection_reaches_the_caller_as_it_came(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.failures.append(Rejected(422, b'{"error":"no"}', "application/json"))
        answer = await house.client.post(CHAT, json=chat(model="mini"))
    assert (answer.status_code, answer.content) == (422, b'{"error":"no"}')
    (row,) = house.rows()
    assert (row["outcome"], row["cost"]) == ("rejected", 0)


async def stream_until_it_ends(house: House) -> tuple[bytes, bool]:
    """Return the bytes of a stream, and whether its body ended as HTTP says a whole body ends."""
    got = b""
    try:
        async with house.client.stream("POST", CHAT, json=chat(model="mini", stream=True)) as answer:
            async for part in answer.aiter_bytes():
                got += part
    except httpx2.RemoteProtocolError:
        return got, False
    return got, True


async def test_a_broken_stream_ends_with_an_error_event_and_an_aborted_body(serve_house: Served) -> None:
    async with serve_house() as house:
        house.mini.events = EVENTS[:1]
        house.mini.breaks_with = StreamBroken("cut")
        got, is_whole = await stream_until_it_ends(house)
    assert not is_whole
    assert got.startswith(EVENTS[0])
    last = got.split(b"\n\n")[-2]
    assert msgspec.json.decode(last.removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    assert b"[DONE]" not in got
    (row,) = house.rows()
    assert (row["outcome"], row["error"]) == ("broken", "StreamBroken")
    assert attempts_of(row)[0]["usage_source"] == "tokenizer"  # nobody told, and it is not free
    assert row["cost"]


@pytest.mark.parametrize("events", [EVENTS[:2], (EVENTS[0], EVENTS[3])], ids=["no DONE", "no finish reason"])
async def test_a_stream_without_its_end_counts_as_broken(events: tuple[bytes, ...], serve_house: Served) -> None:
    async with serve_house() as house:
        house.mini.events = events
        got, is_whole = await stream_until_it_ends(house)
    assert b'"error"' in got
    assert b"[DONE]" not in got  # where clients stop reading
    assert not is_whole
    assert house.rows()[0]["outcome"] == "broken"


async def test_half_an_event_at_the_end_does_not_swallow_the_error_behind_it(serve_house: Served) -> None:
    async with serve_house() as house:
        house.mini.events = (EVENTS[0], EVENTS[1][:40])
        got, is_whole = await stream_until_it_ends(house)
    assert not is_whole
    assert msgspec.json.decode(got.split(b"\n\n")[1].removeprefix(b"data: "))["error"]["code"] == "upstream_error"


@pytest.mark.parametrize("page", [b"<html></html>", b"[]", b"null", b"data: {}\n\n", b" "])
async def test_a_whole_answer_that_is_no_object_moves_on(page: bytes, open_house: OpenHouse) -> None:
    async with open_house(policy={"use": "explicit", "tier": "mini"}) as house:
        house.mini.completion = page
        house.large.completion = b" \n" + house.large.completion
        answer = await house.client.post(CHAT, json=chat())
    assert (answer.status_code, answer.headers["x-tandem-tier"]) == (200, "large")
    assert answer.json()["choices"]


async def test_a_reply_that_breaks_before_its_first_byte_moves_on(open_house: OpenHouse) -> None:
    async with open_house(policy={"use": "explicit", "tier": "mini"}) as house:
        house.mini.events = ()
        house.mini.breaks_with = StreamBroken("cut")
        answer = await house.client.post(CHAT, json=chat(stream=True))
    assert answer.headers["x-tandem-tier"] == "large"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_is_recorded_and_the_backend_is_let_go(stream: bool, serve_house: Served) -> None:  # noqa: FBT001
    async with serve_house() as house:
        house.mini.hangs = True
        house.mini.completion_hangs = True
        asking = asyncio.create_task(house.client.post(CHAT, json=chat(model="mini", stream=stream)))
        while not house.mini.calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for _ in range(100):
            if house.mini.closed_early:
                break
            await asyncio.sleep(0.01)
        assert house.mini.closed_early == 1
    (row,) = house.rows()
    assert row["outcome"] == "hung_up"
    assert (row["cost"] is None) is not stream  # unknown where no usage came, and not free
    assert len(attempts_of(row)) == 1


TOOL_CALL = COMPLETION.replace(b'"content":"hello"', b'"content":null,"tool_calls": [{"id":"t"}]')
EMPTY_CALLS = COMPLETION.replace(b'"content":"hello"', b'"content":"hello","tool_calls":[]')
CUT_SHORT = COMPLETION.replace(b'"stop"', b'"length"')


@pytest.mark.parametrize(
    ("completion", "second"),
    [(COMPLETION, "hit"), (EMPTY_CALLS, "hit"), (TOOL_CALL, "miss"), (CUT_SHORT, "miss")],
    ids=["plain", "no tool calls", "a tool call", "cut short"],
)
async def test_only_whole_plain_answers_are_kept(completion: bytes, second: str, open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}) as house:
        house.mini.completion = completion
        first = await house.client.post(CHAT, json=chat(model="mini", temperature=0))
        assert first.headers["x-tandem-cache"] == "miss"
        again = await house.client.post(CHAT, json=chat(model="mini", temperature=0))
        assert again.headers["x-tandem-cache"] == second
        assert again.content == completion
        figures = (await house.client.get("/metrics")).text
        assert f'tandem_cache_lookups_total{{result="{"hits" if second == "hit" else "misses"}"}}' in figures
    assert house.rows()[-1]["outcome"] == ("kept" if second == "hit" else "answered")


async def test_a_makeshift_answer_is_not_kept(open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}, policy={"use": "explicit", "tier": "large"}) as house:
        house.large.failures.append(ConnectFailed("refused"))
        first = await house.client.post(CHAT, json=chat(temperature=0))
        assert first.headers["x-tandem-reason"] == "failover"
        again = await house.client.post(CHAT, json=chat(temperature=0))
    assert (again.headers["x-tandem-cache"], again.headers["x-tandem-tier"]) == ("miss", "large")


async def test_an_answer_without_a_score_is_not_kept_for_when_there_is_one(open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}) as house:
        answers = [await house.client.post(CHAT, json=chat(" ", temperature=0)) for _ in range(2)]
    told = [(answer.headers["x-tandem-reason"], answer.headers["x-tandem-cache"]) for answer in answers]
    assert told == [("default", "miss")] * 2


async def test_a_stream_that_breaks_before_its_first_event_is_an_error_answer(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.events = (EVENTS[0][:20],)
        house.mini.breaks_with = StreamBroken("cut")
        answer = await house.client.post(CHAT, json=chat(model="mini", stream=True))
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    (row,) = house.rows()
    assert (row["outcome"], row["status"], len(attempts_of(row))) == ("broken", 502, 1)


async def test_every_outcome_leaves_exactly_one_closed_record(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for index in range(50):
            house.mini.failures = [ConnectFailed("x")] if index % 3 == 0 else []
            await house.client.post(CHAT, json=chat(model="mini", stream=index % 2 == 0))
    rows = house.rows()
    assert len(rows) == 50
    assert {row["outcome"] for row in rows} == {"answered", "failed"}


async def test_a_decision_can_be_asked_for_without_an_answer(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post("/v1/route", json=chat())
        assert answer.json()["tier"] in ("large", "mini")
        assert answer.json()["threshold"] == 0.5
        assert not house.large.calls
        assert not house.mini.calls
    assert house.rows() == []


async def test_the_head_of_a_stream_states_no_cost_that_is_not_known_yet(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(CHAT, json=chat(stream=True))
    assert answer.status_code == 200
    assert "x-tandem-cost-usd" not in answer.headers
    assert house.rows()[0]["cost"]


async def test_an_unpriced_model_is_counted_and_never_free(open_house: OpenHouse) -> None:
    kind = "tests.router.scripted:ScriptedOptions"
    backends = {tier: {"use": kind, "tier": tier, "model": "x", "price": "nobody knows"} for tier in ("large", "mini")}
    async with open_house(backends=backends) as house:
        answer = await house.client.post(CHAT, json=chat())
        figures = (await house.client.get("/metrics")).text
    assert "x-tandem-cost-usd" not in answer.headers
    assert house.rows()[0]["cost"] is None
    assert "tandem_unpriced_attempts_total 1.0" in figures


@pytest.mark.parametrize(("failure", "cost"), [(Broken("no HTTP"), None), (Broken("500", status=500), 0)])
async def test_only_a_refusal_is_free_and_a_garbled_answer_is_unknown(
    failure: BackendError, cost: int | None, open_house: OpenHouse
) -> None:
    async with open_house() as house:
        house.mini.failures.append(failure)
        await house.client.post(CHAT, json=chat(model="mini"))
    assert house.rows()[0]["cost"] == cost


def test_another_model_finds_nothing_that_was_kept_before() -> None:
    kind, found = "tests.router.scripted:ScriptedOptions", set[bytes]()
    body = json.dumps(chat()).encode()
    asked = read_chat(body, {}, tenant="acme", received=0.0, timeout=1.0, keep_sampled=True)
    for model in ("one", "two"):
        options = {tier: ScriptedOptions(use=kind, tier=tier.value, model=model, price="p") for tier in Tier}
        found.add(KeyOf(b"s" * 32, who=who_answers(options, None))(asked, "policy@1"))  # type: ignore[arg-type]
    assert len(found) == 2


async def test_calls_say_who_holds_the_conversation_where_somebody_heeds_it(open_house: OpenHouse) -> None:
    said = [{"role": "user", "content": "hello"}]
    later = [*said, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "and now?"}]
    for policy, holders in (({"use": "cascade"}, ["", "scripted:1"]), ({"use": "threshold"}, ["", ""])):
        async with open_house(policy=policy) as house:
            for messages in (said, later):
                await house.client.post(CHAT, json={"model": "large", "messages": messages})
            figures = (await house.client.get("/metrics")).text
        assert [call.holder for call in house.large.calls[-2:]] == holders
        assert f'tandem_prefix_lookups_total{{result="hits",tier="large"}} {float(holders[1] != "")}' in figures


async def test_each_tenant_has_a_salt_that_no_other_has(open_house: OpenHouse) -> None:
    keys = [{"tenant": name, "key": f"the-key-of-all-{name}"} for name in ("acme", "umbrella")]
    async with open_house(keys=keys) as house:
        for name in ("acme", "umbrella", "acme"):
            headers = {"authorization": f"Bearer the-key-of-all-{name}"}
            await house.client.post(CHAT, json=chat(model="large"), headers=headers)
    one, other, again = [call.salt for call in house.large.calls[-3:]]
    assert one == again != other
    assert "acme" not in one
