"""What the fault backend plays, and how its answers are read.

router/bench/faults/playing.py, router/bench/faults/plays.py, router/bench/faults/seen.py
"""

from itertools import islice

import pytest

from router.bench.faults.base import Asked, End, Got
from router.bench.faults.playing import PIECES, Act, Call, completion, cut_payload, events, steps_of, usage_of
from router.bench.faults.plays import PLAYS, Effect, effect_of, may_be_complete, statuses_of
from router.bench.faults.seen import Seen, read

MODES = [(play, stream) for play in PLAYS for stream in (True, False)]


def call(play: str, *, stream: bool) -> Call:
    return Call("f1-7", play, stream, usage_of("f1-7"))


def got(body: bytes, *, stream: bool, status: int = 200) -> Got:
    asked = Asked("f1-7", "f1-7", "acme", "mini", stream, ("ok",), ("ok",))
    return Got(asked, status, {}, body, End.WHOLE, 0.0, 0.0)


@pytest.mark.parametrize(("play", "stream"), MODES)
def test_every_play_has_its_steps_and_they_are_the_same_each_time(play: str, stream: bool) -> None:  # noqa: FBT001
    steps = list(islice(steps_of(call(play, stream=stream)), 100))
    assert steps
    assert steps == list(islice(steps_of(call(play, stream=stream)), 100))
    effect = effect_of(play, stream=stream)
    head = b"".join(step for step in steps if isinstance(step, bytes))
    assert (effect is not Effect.GOOD) or head.startswith(b"HTTP/1.1 ")
    assert not (effect is Effect.GOOD and play != "twice" and {Act.RESET, Act.CLOSE, Act.HANG} & set(steps))


def test_a_whole_answer_says_whose_it_is_what_it_took_and_that_it_is_complete() -> None:
    whole = completion(call("ok", stream=False))
    stream = b"".join(events(call("ok", stream=True)))
    for body, streamed in ((whole, False), (stream, True)):
        assert read(got(body, stream=streamed)) == Seen("f1-7", is_complete=True, usage=usage_of("f1-7"))


@pytest.mark.parametrize("missing", range(PIECES + 3))
def test_a_stream_without_any_one_of_its_events_but_usage_is_not_complete(missing: int) -> None:
    parts = events(call("ok", stream=True))
    seen = read(got(b"".join([*parts[:missing], *parts[missing + 1 :]]), stream=True))
    is_usage = missing == PIECES + 1
    assert seen.is_complete is is_usage


def test_a_stream_of_two_calls_is_not_complete() -> None:
    mine, other = events(call("ok", stream=True)), events(Call("f1-8", "ok", stream=True, usage=usage_of("f1-8")))
    assert not read(got(b"".join([*mine[:4], *other[4:]]), stream=True)).is_complete


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"<html>", b'{"choices":[]}', b'{"choices":[{}]}'])
def test_what_is_no_answer_is_read_as_none(body: bytes) -> None:
    assert not read(got(body, stream=False)).is_complete
    assert not read(got(body, stream=True)).is_complete


def test_an_error_has_a_code_and_a_shape() -> None:
    ours = b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'
    assert read(got(ours, stream=False, status=502)) == Seen("", is_complete=False, error="c")
    assert not read(got(b'{"error":{"code":"c"}}', stream=False, status=502)).has_shape
    assert read(got(b"data: " + ours + b"\n\n", stream=True)).error == "c"


@pytest.mark.parametrize("at", [1, 200, 3_000])
def test_a_cut_comes_after_so_many_bytes_of_about_four_kilobytes(at: int) -> None:
    one = Call("cut-0001", f"cut@{at}", stream=True, usage=usage_of("x"))
    first = next(step for step in steps_of(one) if isinstance(step, bytes))
    assert first.endswith(b"\r\n\r\n%x\r\n%b\r\n" % (at, cut_payload(one)[:at]))
    assert 3_500 < len(cut_payload(one)) < 4_500


def test_what_a_caller_may_see_follows_from_the_plays() -> None:
    assert statuses_of(("ok",), stream=True) == {200}
    assert statuses_of(("404", "ok"), stream=False) == {404, 200}
    assert statuses_of(("reset",), stream=True) == {502, 503, 504}
    assert 200 in statuses_of(("cut",), stream=True)
    assert 200 not in statuses_of(("cut",), stream=False)
    assert may_be_complete(("cut", "ok"), stream=True)
    assert not may_be_complete(("cut", "no-done"), stream=True)
