"""Tests router/learning/teaching.py: which conversations of a ledger are learnt from, and what Large says to them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec
import pytest

from backends.base import BackendError, Call, ConnectFailed, Overloaded, Rejected, Reply
from backends.engines.distilling.base import Example, ExamplesError, Message, Part
from classifier.base import Prompt, Turn
from router.base import Label, Tier
from router.learning import teaching
from router.learning.pairs import group_of
from router.learning.teaching import Kept, ask_large, cases_of, kept_conversations, says_the_same
from router.ledger.labels import RatedLabel
from router.ledger.writer import LedgerWriter


def prompt(text: str, *, tools: int = 0) -> Prompt:
    return Prompt((Turn("user", text),), tools=tools)


def label(number: int, said: Prompt | None, *, tenant: str = "acme", score: float = 0.2, **more: object) -> Label:
    text = None if said is None else msgspec.json.encode(said)
    answered = Tier(str(more.get("answered", "mini")))
    threshold = more.get("threshold", 0.5)
    assert threshold is None or isinstance(threshold, float)
    return Label(
        f"r{number:03}", tenant, 1000.0 + number, text, answered, 1.0, 0.0, score, "s@1", threshold, 0.02, "agreement@1"
    )


def ledger_of(path: Path, *labels: Label) -> Path:
    async def write() -> None:
        ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
        for each in labels:
            ledger.label(each)
        await ledger.aclose()

    asyncio.run(write())
    return path


def kept(*texts: str) -> list[Kept]:
    return [Kept(prompt(text), is_simple=False, group=group_of(prompt(text))) for text in texts]


class Large:
    """Answers each call by a function of its body."""

    def __init__(self, says: Callable[[dict[str, object]], bytes]) -> None:
        self.says, self.asked = says, list[dict[str, object]]()

    async def send(self, call: Call) -> Reply:
        body = json.loads(call.body)
        self.asked.append(body)
        said = self.says(body)

        async def chunks() -> AsyncGenerator[bytes, None]:
            yield said

        return Reply(chunks(), "application/json", "large:1")

    async def is_ready(self) -> bool:
        return True

    async def aclose(self) -> None:
        pass


def saying(text: str, *, reason: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def ask(large: Large, conversations: list[Kept]) -> teaching.Taught:
    return asyncio.run(ask_large(large, "big", conversations, asked=lambda _: None))


def test_a_conversation_is_asked_once_and_its_score_says_whether_it_is_simple(tmp_path: Path) -> None:
    path = ledger_of(
        tmp_path / "l.db",
        label(1, prompt("Hello")),
        label(2, prompt("Prove it"), score=0.7),
        label(3, prompt(" hello ")),
        label(4, prompt("Nobody decided"), score=0.6, threshold=None),
        label(5, None),
    )
    found, left_out = kept_conversations(path, most=10)
    assert {(one.prompt.turns[0].text.strip(), one.is_simple) for one in found} == {
        ("Nobody decided", False),
        ("hello", True),
        ("Prove it", False),
    }
    assert left_out == {"asked before": 1}
    newest, left_out = kept_conversations(path, most=1)
    assert [one.prompt.turns[0].text for one in newest] == ["Nobody decided"]
    assert left_out == {"more than wanted": 3}
    assert len(kept_conversations(path, most=10, since=1003.5)[0]) == 1


def test_what_no_adapter_should_learn_is_left_out(tmp_path: Path) -> None:
    turns = (Turn("user", "Look"), Turn("assistant", ""), Turn("user", "And?"))
    path = ledger_of(
        tmp_path / "l.db",
        label(1, prompt("Call it", tools=2)),
        label(2, Prompt(turns)),
        label(3, Prompt((Turn("user", "Hi"), Turn("assistant", "Hi")))),
        label(4, prompt("Fine")),
    )
    found, left_out = kept_conversations(path, most=10)
    assert [one.prompt.turns[0].text for one in found] == ["Fine"]
    assert left_out == {"with tools": 1, "not all text": 2}


@pytest.mark.parametrize(
    ("answered", "rating", "is_kept"), [("large", 0.0, False), ("large", 1.0, True), ("mini", 0.0, True)]
)
def test_an_answer_of_large_that_a_person_called_bad_is_not_learnt(
    answered: str, rating: float, *, is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated = RatedLabel(label(1, prompt("Hi"), answered=answered), rating)
    monkeypatch.setattr(teaching, "iter_labels", lambda *_args, **_more: iter([rated]))
    assert bool(kept_conversations(tmp_path, most=10)[0]) is is_kept


def test_text_of_two_tenants_is_mixed_only_where_both_are_named(tmp_path: Path) -> None:
    path = ledger_of(tmp_path / "l.db", label(1, prompt("Ours")), label(2, prompt("Theirs"), tenant="umbra"))
    with pytest.raises(ExamplesError, match="holds text of several tenants, acme, umbra"):
        kept_conversations(path, most=10)
    with pytest.raises(ExamplesError, match="holds no text of the tenant nemo; of acme, umbra it does"):
        kept_conversations(path, tenants=["acme", "nemo"], most=10)
    assert [one.prompt.turns[0].text for one in kept_conversations(path, tenants=["acme"], most=10)[0]] == ["Ours"]
    assert len(kept_conversations(path, tenants=["acme", "umbra"], most=10)[0]) == 2


def test_large_is_asked_greedily_and_its_whole_answers_are_learnt() -> None:
    large = Large(lambda _body: saying(" Forty. "))
    limited = Kept(Prompt((Turn("system", "Be brief."), Turn("user", "How many?")), max_tokens=9), True, "g")  # noqa: FBT003 - a field
    taught = ask(large, [limited])
    assert large.asked == [
        {
            "model": "big",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}],
            "temperature": 0,
            "max_tokens": 9,
        }
    ]
    messages = (Message("system", "Be brief."), Message("user", "How many?"))
    assert taught.examples == [Example(messages, "Forty.", is_simple=True, group="g")]
    assert [usage.output for usage in taught.usage] == [3]


def test_answers_that_are_none_are_left_out_and_counted() -> None:
    def says(body: dict[str, object]) -> bytes:
        messages = body["messages"]
        assert isinstance(messages, list)
        match messages[0]["content"]:
            case "long":
                return saying("and so on", reason="length")
            case "blank":
                return saying(" ")
            case "strange":
                return b"<html>"
            case "refused":
                raise Rejected(400, b"{}", "application/json")
            case _:
                return saying("Yes.")

    taught = ask(Large(says), kept("long", "blank", "strange", "refused", "fine", "fine too"))
    assert [example.answer for example in taught.examples] == ["Yes.", "Yes."]
    assert taught.left_out == {"cut short": 1, "no answer": 2, "refused by Large": 1}


def test_a_large_that_has_no_room_is_waited_for_and_one_that_is_gone_is_not() -> None:
    turns = iter([True, True, False])

    def busy(_body: dict[str, object]) -> bytes:
        if next(turns):
            raise Overloaded("full", retry_after=0.01)
        return saying("Yes.")

    assert len(ask(Large(busy), kept("one")).examples) == 1

    def gone(_body: dict[str, object]) -> bytes:
        raise ConnectFailed("nobody listens")

    with pytest.raises(ConnectFailed):
        ask(Large(gone), kept("one"))

    def full(_body: dict[str, object]) -> bytes:
        raise Overloaded("full", retry_after=0.0)

    with pytest.raises(BackendError, match="full"):
        ask(Large(full), kept("one"))


@pytest.mark.parametrize(
    ("large", "mini", "same"),
    [
        ("Alder Axe: shelf 7, supplier Farn.", "alder axe: shelf 7, supplier Farn", True),
        ("Alder Axe: shelf 7, supplier Farn.", "Alder Axe: shelf 7, supplier Pelt.", False),
        ("so " * 90 + "the answer is 42.", "It is 42.", True),
        ("so " * 90 + "the answer is 42.", "It is 41.", False),
        ("so " * 90 + "it goes.", "It goes.", None),
    ],
)
def test_a_short_answer_counts_word_for_word_and_a_long_one_by_what_it_says(
    large: str, mini: str, *, same: bool | None
) -> None:
    assert says_the_same(prompt("Well?"), large, mini) is same


def test_examples_become_an_examination_of_what_large_said() -> None:
    message = (Message("user", "Well?"),)
    simple, learnt = cases_of(
        [Example(message, "Yes.", is_simple=True, group="a"), Example(message, "No.", is_simple=False, group="b")]
    )
    assert (simple.part, learnt.part) == (Part.SIMPLE, Part.COMPLEX)
    assert (simple.is_right("yes"), learnt.is_right("yes")) == (True, False)
