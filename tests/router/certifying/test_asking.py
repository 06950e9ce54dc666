"""Tests router/certifying/asking.py."""

import pytest

from backends.base import Broken, ConnectFailed, Overloaded, Rejected
from router.base import Tier
from router.certifying import asking
from router.certifying.asking import TRIES, Model, ask
from router.certifying.base import NoAnswer, Said, spoken
from tests.router.certifying.answering import Answering, Body, Brain, model

BODY = {"messages": spoken("why?"), "max_tokens": 3}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PAUSE", 0.0)


def saying(*said: object) -> Brain:
    """Return a brain that says one thing after the other."""
    left = list(said)
    return lambda _body: left.pop(0)


async def asked(one: Model) -> Said:
    return await ask(one, BODY, within=5.0)


async def test_a_request_is_sent_greedily_under_the_name_of_the_model() -> None:
    one = model(Tier.MINI, saying("because"))
    assert await asked(one) == Said("because", tokens=77)
    assert isinstance(one.backend, Answering)
    (body,) = one.backend.bodies
    assert body == {"temperature": 0, "messages": spoken("why?"), "max_tokens": 3, "model": "the-mini"}
    warm = model(Tier.MINI, lambda body: str(body["temperature"]))
    assert (await ask(warm, {**BODY, "temperature": 0.7}, within=5.0)).text == "0.7"


async def test_calls_of_tools_are_told_as_they_were_written() -> None:
    one = model(Tier.MINI, saying({"f": '{"a": 1'}))
    assert (await asked(one)).calls == (("f", '{"a": 1'),)


async def test_a_backend_without_room_or_with_a_mishap_is_asked_again() -> None:
    one = model(Tier.MINI, saying(Overloaded("full", retry_after=0.0), ConnectFailed("away"), Broken("odd"), "here"))
    assert (await asked(one)).text == "here"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refusal_of_the_request_is_an_answer(status: int) -> None:
    said = Rejected(status, b'{"error": {"message": "too long"}}', "application/json")
    assert (await asked(model(Tier.MINI, saying(said)))).refusal == f"mini refuses it: {status}, too long"
    bare = Rejected(status, b"<html>", "text/html")
    assert (await asked(model(Tier.MINI, saying(bare)))).refusal == f"mini refuses it: {status}"


async def test_a_wrong_key_and_a_model_that_never_answers_end_the_run() -> None:
    with pytest.raises(NoAnswer, match="mini refuses every request: mini refuses it: 401"):
        await asked(model(Tier.MINI, saying(Rejected(401, b"{}", "application/json"))))
    one = model(Tier.LARGE, saying(*[ConnectFailed("nobody there")] * TRIES))
    with pytest.raises(NoAnswer, match="large does not answer: nobody there"):
        await asked(one)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 7}}]}'])
async def test_what_is_no_answer_is_none(body: bytes) -> None:
    def brain(_body: Body) -> object:
        return body

    with pytest.raises(NoAnswer, match="does not answer: the backend answered"):
        await asked(model(Tier.MINI, brain))
