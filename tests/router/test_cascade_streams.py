"""Mini first, verified, then Large, for streams: router/cascade.py, router/held.py, router/relay.py."""

import time
from typing import Any

import pytest

from backends.base import Broken, ConnectFailed, Overloaded, StreamBroken
from tests.router.conftest import House, OpenHouse, Served, chat
from tests.router.scripted import EVENTS
from tests.router.verifying import (
    BETWEEN,
    CHAT,
    DONE,
    JUDGE,
    ScriptedVerifier,
    attempts_of,
    second_of,
    text_of,
    told,
    words,
)

STREAM = {**BETWEEN, "hold_tokens": 3}
LARGE = words(5)


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> ScriptedVerifier:
    """Return the verifier that every house of a test asks."""
    scripted = ScriptedVerifier()
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: scripted)
    return scripted


async def test_a_stream_that_fits_into_the_hold_is_judged_whole(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.25
    async with open_house(policy=STREAM) as house:
        answer = await house.client.post(CHAT, json=chat(stream=True))
    assert answer.content == EVENTS[0] + EVENTS[1] + EVENTS[3]
    assert (answer.headers["x-tandem-reason"], answer.headers["x-tandem-verify"]) == ("verified", "0.2500")
    ((_, replies),) = verifier.seen
    assert [(reply.text, reply.finish_reason) for reply in replies] == [("hello", "stop")] * 2
    (row,) = house.rows()
    assert told(row) == [JUDGE, ("primary", "mini", "")]
    assert (row["outcome"], row["p_wrong"]) == ("answered", 0.25)


async def test_of_a_long_stream_the_first_tokens_are_judged_and_the_rest_follows_in_order(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=STREAM) as house:
        second = second_of(house)
        second.begins_after = 60.0
        house.mini.events = words(9)
        answer = await house.client.post(CHAT, json=chat(stream=True))
    assert answer.content == b"".join(words(9)).replace(DONE[0], b"")
    ((_, replies),) = verifier.seen
    assert [(reply.text, reply.finish_reason) for reply in replies] == [("w0 w1 w2 ", None)]
    (row,) = house.rows()
    assert told(row) == [JUDGE, ("primary", "mini", "")]
    judge = attempts_of(row)[0]
    assert (judge["fresh_input"], judge["output"]) == (10, 0)


async def first_byte_after(house: House, **more: Any) -> tuple[float, bytes]:
    """Return the seconds until the first piece of a stream, and all of it."""
    begun, pieces = time.monotonic(), list[bytes]()
    first = 0.0
    async with house.client.stream("POST", CHAT, json=chat(stream=True, **more)) as answer:
        async for piece in answer.aiter_bytes():
            first = first or time.monotonic() - begun
            pieces.append(piece)
    return first, b"".join(pieces)


async def test_a_stream_is_held_no_longer_than_configured(serve_house: Served, verifier: ScriptedVerifier) -> None:
    nine = words(9)
    async with serve_house(policy=STREAM) as house:
        second_of(house).hangs = True
        house.mini.events = (*nine[:2], 0.6, *nine[2:])
        first, content = await first_byte_after(house)
    assert 0.25 < first < 0.55  # of the 0.3 configured; Mini is silent for longer
    assert content == b"".join(nine).replace(DONE[0], b"")
    assert verifier.seen[0][1][0].text == "w0 w1 "
    (row,) = house.rows()
    assert told(row) == [JUDGE, ("primary", "mini", "")]
    assert row["outcome"] == "answered"


async def test_a_stream_whose_next_piece_ends_it_is_whole(serve_house: Served, verifier: ScriptedVerifier) -> None:
    three = words(2)
    async with serve_house(policy={**STREAM, "second_sample": False}) as house:
        house.mini.events = (three[0], 0.5, b"".join(three[1:]))
        _, content = await first_byte_after(house, stream_options={"include_usage": True})
    assert content == b"".join(three)
    assert house.rows()[0]["outcome"] == "answered"


async def test_a_mini_that_is_silent_is_let_out_unverified_or_not_at_all(
    serve_house: Served, verifier: ScriptedVerifier
) -> None:
    """Where nothing came, the score is all that there is: the rules give .12 to this prompt."""
    for wrong, reason, tier in ((0.5, "unverified", "mini"), (0.1, "escalated", "large")):
        async with serve_house(policy={**STREAM, "wrong": wrong}, cache={"enabled": True}) as house:
            house.mini.begins_after = 0.5
            house.large.events = LARGE
            for _ in range(2):
                begun = time.monotonic()
                answer = await house.client.post(CHAT, json=chat(stream=True, temperature=0))
                if tier == "large" and answer.headers["x-tandem-cache"] == "miss":
                    assert time.monotonic() - begun < 0.48
            assert not verifier.seen
            figures = (await house.client.get("/metrics")).text
        # An unverified reply is not kept; one that was escalated is.
        assert answer.headers["x-tandem-reason"] == (reason if tier == "mini" else "kept")
        assert answer.headers["x-tandem-tier"] == tier
        assert ("x-tandem-verify" in answer.headers) is False
        row = house.rows()[0]
        assert row["p_wrong"] == (None if tier == "mini" else pytest.approx(0.1192, abs=1e-4))
        assert f'verdict="{reason}"' in figures
        house.ledger.unlink()


async def test_a_stream_that_is_likely_wrong_is_cut_at_the_backend(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    async with open_house(policy=STREAM) as house:
        second = second_of(house)
        second.events, second.hangs = words(1, ends=False), True
        house.mini.events = words(9)
        house.large.events = LARGE
        answer = await house.client.post(CHAT, json=chat(stream=True))
        assert (house.mini.closed_early, second.closed_early) == (1, 1)
    assert answer.content == b"".join(LARGE).replace(DONE[0], b"")
    names = ("tier", "reason", "verify")
    assert [answer.headers[f"x-tandem-{name}"] for name in names] == ["large", "escalated", "0.9000"]
    (row,) = house.rows()
    assert told(row) == [JUDGE, ("escalation", "mini", ""), ("primary", "large", "")]
    judge, escalation, _ = attempts_of(row)
    # Three tokens were heard, and Large tells that the prompt has ten.
    assert (escalation["fresh_input"], escalation["cached_input"], escalation["output"]) == (10, None, 3)
    assert (judge["fresh_input"], judge["output"]) == (10, 1)
    assert row["cost"] is not None


async def test_tokens_of_a_prompt_that_nobody_told_are_guessed(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    async with open_house(policy={**STREAM, "second_sample": False}) as house:
        house.mini.events = words(9)
        house.large.events = (*LARGE[:-2], LARGE[-1])  # without usage
        await house.client.post(CHAT, json=chat("x" * 400, stream=True))
    escalation = attempts_of(house.rows()[0])[0]
    assert isinstance(escalation["fresh_input"], int)
    assert 100 < escalation["fresh_input"] < 115


async def test_log_probabilities_are_taken_out_before_and_after_the_hold(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy={**STREAM, "ask_logprobs": True}) as house:
        second_of(house)
        house.mini.events = words(9, logprob=-0.5)
        ours = await house.client.post(CHAT, json=chat(stream=True))
        theirs = await house.client.post(CHAT, json=chat(stream=True, logprobs=True))
    assert ours.content == b"".join(words(9)).replace(DONE[0], b"")
    assert theirs.content == b"".join(words(9, logprob=-0.5)).replace(DONE[0], b"")
    assert verifier.seen[0][1][0].logprobs == (-0.5,) * 3


@pytest.mark.parametrize(
    "events",
    [words(2, ends=False), (), (*words(1, ends=False), b'data: {"error":{"message":"x"}}\n\n'), (b'{"choices":[]}',)],
    ids=["cut", "nothing", "an error event", "no events"],
)
async def test_a_mini_that_breaks_inside_the_hold_is_stood_in_for(
    events: tuple[bytes, ...], open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=STREAM) as house:
        second_of(house)
        house.mini.events = events
        house.large.events = LARGE
        answer = await house.client.post(CHAT, json=chat(stream=True))
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "failover")
    assert text_of(answer.content) == "w0 w1 w2 w3 w4 "
    kinds = told(house.rows()[0])
    assert kinds[0] == ("primary", "mini", "StreamBroken")
    assert kinds[-1] == ("failover", "large", "")
    assert not verifier.seen


async def test_a_mini_that_tells_of_an_error_and_stays_is_let_go(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy={**STREAM, "second_sample": False, "hold_seconds": 30.0}) as house:
        house.mini.events, house.mini.hangs = (b'data: {"error":{"message":"x"}}\n\n',), True
        answer = await house.client.post(CHAT, json=chat(stream=True))
        assert house.mini.closed_early == 1
    assert answer.headers["x-tandem-reason"] == "failover"


async def test_a_mini_that_breaks_after_the_hold_is_not_moved(serve_house: Served, verifier: ScriptedVerifier) -> None:
    async with serve_house(policy=STREAM) as house:
        second_of(house)
        house.mini.events, house.mini.breaks_with = words(6, ends=False), StreamBroken("cut")
        with pytest.raises(Exception, match="incomplete chunked read"):
            await first_byte_after(house)
        assert not house.large.calls
    (row,) = house.rows()
    assert (row["outcome"], row["error"], row["p_wrong"]) == ("broken", "StreamBroken", 0.0)
    assert told(row)[-1] == ("primary", "mini", "StreamBroken")


async def test_where_large_cannot_take_over_a_whole_held_stream_is_an_answer(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    async with open_house(policy=STREAM) as house:
        house.large.failures = [Broken("x", status=500)]
        answer = await house.client.post(CHAT, json=chat(stream=True))
        assert len(house.mini.calls) == 2  # the reply and the sample
    assert answer.content == EVENTS[0] + EVENTS[1] + EVENTS[3]
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("mini", "escalation_failed")
    assert told(house.rows()[0]) == [JUDGE, ("primary", "large", "Broken"), ("failover", "mini", "")]


async def test_where_large_cannot_take_over_mini_is_asked_again_for_a_stream_that_was_cut(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    async with open_house(policy={**STREAM, "second_sample": False}, cache={"enabled": True}) as house:
        house.mini.events = words(9)
        house.large.failures = [ConnectFailed("x")]
        answer = await house.client.post(CHAT, json=chat(stream=True, temperature=0))
        again = await house.client.post(CHAT, json=chat(stream=True, temperature=0))
    assert text_of(answer.content) == "".join(f"w{number} " for number in range(9))
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("mini", "escalation_failed")
    assert again.headers["x-tandem-cache"] == "miss"
    kinds = told(house.rows()[0])
    assert kinds == [("escalation", "mini", ""), ("primary", "large", "ConnectFailed"), ("failover", "mini", "")]


async def test_when_nobody_is_left_the_caller_is_told(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    verifier.p = 0.9
    async with open_house(policy={**STREAM, "second_sample": False}) as house:
        house.mini.events = words(9)
        house.large.failures = [ConnectFailed("x")]
        verifier.then = lambda: house.mini.failures.append(Overloaded("full"))
        answer = await house.client.post(CHAT, json=chat(stream=True))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_away")
    kinds = told(house.rows()[0])
    assert kinds == [
        ("escalation", "mini", ""),
        ("primary", "large", "ConnectFailed"),
        ("failover", "mini", "Overloaded"),
    ]
    assert house.rows()[0]["outcome"] == "failed"
