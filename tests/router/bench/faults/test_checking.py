"""Every fault in the books is found: router/bench/faults/checking.py, router/bench/faults/books.py."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from router.bench.faults.base import Asked, Books, Charge, End, Got, Kept, Leave, Leaving, Served
from router.bench.faults.books import entries, read_backend, read_ledger, summary
from router.bench.faults.checking import KINDS, check, counts
from router.bench.faults.playing import Call, completion, events, usage_of
from router.ledger.layout import SCHEMA

NAME = "f1-7"
USAGE = usage_of(NAME)
CALL = Call(NAME, "ok", stream=True, usage=USAGE)
ASKED = Asked(NAME, NAME, "acme", "mini", stream=True, large=("ok",), mini=("ok",))
STREAM = b"".join(events(CALL))
GOT = Got(ASKED, 200, {"x-request-id": NAME}, STREAM, End.WHOLE, 10.0, 10.1)
SERVED = Served(NAME, "mini", "ok", "whole", USAGE, 10.01, 10.09)
CHARGE = Charge("mini", "primary", USAGE[0] - USAGE[1], USAGE[1], USAGE[2], 100, "")
KEPT = Kept("req_1", NAME, "acme", "answered", 200, (CHARGE,))
ERROR = b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'
WHOLE = replace(ASKED, stream=False)


def books(*, got: Got = GOT, calls: tuple[Served, ...] = (SERVED,), kept: tuple[Kept, ...] = (KEPT,)) -> Books:
    return Books((got,), {NAME: calls}, {NAME: kept})


def failed(status: int, body: bytes = ERROR, asked: Asked = ASKED) -> Got:
    return replace(GOT, asked=asked, status=status, body=body)


def test_books_that_agree_have_nothing_in_them() -> None:
    assert check(books()) == ()
    whole = replace(GOT, asked=WHOLE, body=completion(replace(CALL, stream=False)))
    assert check(books(got=whole)) == ()
    estimated = replace(CHARGE, fresh=9_999, source="tokenizer")
    assert check(books(kept=(replace(KEPT, charges=(estimated,)),))) == (), "nobody told what it took"


BROKEN_STREAM = replace(GOT, body=STREAM[:300] + b"\n\ndata: " + ERROR + b"\n\n", end=End.CUT)
FAULTS: dict[str, tuple[str, Books]] = {
    "no record": ("lost", books(kept=())),
    "an open record": ("lost", books(kept=(replace(KEPT, outcome=None),))),
    "a call without a record": ("lost", books(got=failed(502), kept=())),
    "two records": ("duplicate", books(kept=(KEPT, replace(KEPT, id="req_2")))),
    "two charges for one call": ("duplicate", books(kept=(replace(KEPT, charges=(CHARGE, CHARGE)),))),
    "an answer that never ended": ("hung", books(got=replace(GOT, end=End.LATE))),
    "a stream without its end": ("truncated", books(got=replace(GOT, body=STREAM[:400]))),
    "a stream with a hole": ("truncated", books(got=replace(GOT, body=STREAM[:200] + STREAM[600:]))),
    "half a whole answer": ("garbled", books(got=replace(GOT, asked=WHOLE, body=b'{"choices":['))),
    "a 500": ("unplanned", books(got=failed(500), kept=(replace(KEPT, outcome="failed", status=500, charges=()),))),
    "a 404 of nobody": ("unplanned", books(got=failed(404))),
    "an error of another shape": ("unplanned", books(got=failed(502, b"Bad Gateway"))),
    "an error without its id": ("unplanned", books(got=replace(failed(502), headers={}))),
    "a 503 that does not say for how long": ("unplanned", books(got=failed(503))),
    "a 503 for a year": (
        "unplanned",
        books(got=replace(failed(503), headers={"x-request-id": NAME, "retry-after": "9" * 8})),
    ),
    "a connection that ended without a word": ("unplanned", books(got=replace(GOT, status=0, end=End.CUT))),
    "a stream cut without a word": ("unplanned", books(got=replace(GOT, body=STREAM[:400], end=End.CUT))),
    "an answer that no backend gave": ("unplanned", books(got=replace(GOT, asked=replace(ASKED, mini=("reset",))))),
    "another tenant's record": ("disagreements", books(kept=(replace(KEPT, tenant="rival"),))),
    "a good answer recorded as broken": ("disagreements", books(kept=(replace(KEPT, outcome="broken"),))),
    "a broken stream recorded as good": ("disagreements", books(got=BROKEN_STREAM)),
    "another status": ("disagreements", books(got=failed(502), kept=(replace(KEPT, status=504),))),
    "other tokens": ("disagreements", books(kept=(replace(KEPT, charges=(replace(CHARGE, output=9_999),)),))),
    "a call that no attempt tells of": ("disagreements", books(calls=(replace(SERVED, play="503"), SERVED))),
    "another's answer": ("foreign", books(got=replace(GOT, body=STREAM.replace(b"f1-7#", b"f1-9#")))),
    "a call that went on": (
        "not_let_go",
        books(
            got=replace(GOT, asked=replace(ASKED, leave=Leave(Leaving.RST)), end=End.LEFT),
            calls=(replace(SERVED, ended=13.0),),
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_under_its_name_and_told_with_its_books(name: str) -> None:
    kind, faulty = FAULTS[name]
    (finding,) = check(faulty)
    assert (finding.kind, finding.request) == (kind, NAME)
    assert finding.books == entries(NAME, faulty)
    assert counts([finding])[kind] == 1


def test_every_kind_has_a_fault_that_shows_it() -> None:
    assert {kind for kind, _ in FAULTS.values()} == KINDS.keys()


def test_one_key_that_was_answered_by_two_calls_is_a_duplicate() -> None:
    first = replace(GOT, asked=replace(ASKED, key="k"))
    name = "f1-8"
    second = replace(
        GOT,
        asked=replace(ASKED, id=name, key="k"),
        body=b"".join(events(Call(name, "ok", stream=True, usage=USAGE))),
    )
    both = Books(
        (first, second),
        {NAME: (SERVED,), name: (replace(SERVED, id=name),)},
        {NAME: (KEPT,), name: (replace(KEPT, caller_id=name),)},
    )
    assert [finding.kind for finding in check(both)] == ["duplicate", "duplicate"]
    headers = {"x-request-id": name, "idempotent-replayed": "true"}
    replayed = Books((first, replace(second, body=STREAM, headers=headers)), {NAME: (SERVED,)}, {NAME: (KEPT,)})
    assert check(replayed) == ()
    unmarked = replace(replayed, client=(first, replace(second, body=STREAM)))
    assert [finding.kind for finding in check(unmarked)] == ["lost"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: books(got=replace(GOT, status=0, body=b"", end=End.CUT), kept=()),
        lambda: books(got=replace(GOT, body=STREAM[:400], end=End.CUT), kept=(replace(KEPT, outcome="interrupted"),)),
        lambda: books(kept=(replace(KEPT, outcome="interrupted", charges=()),)),
    ],
)
def test_what_a_kill_explains_is_no_fault_and_at_another_time_it_is(change: Callable[[], Books]) -> None:
    assert check(change(), kills=((10.05, 11.0),)) == ()
    assert check(change(), kills=((50.0, 51.0),)) != ()


def test_a_kill_excuses_no_answer_without_a_record() -> None:
    assert [finding.kind for finding in check(books(kept=()), kills=((10.05, 11.0),))] == ["lost"]


def test_a_call_of_a_backend_that_was_killed_has_no_end(tmp_path: Path) -> None:
    book = tmp_path / "book.jsonl"
    begin = {"process": 1, "call": 1, "began": 1.0, "id": NAME, "tier": "mini", "play": "ok", "stream": True}
    end = {"process": 1, "call": 1, "ended": 2.0, "how": "whole", "usage": [1, 0, 2]}
    other = {**begin, "process": 2, "began": 3.0}
    book.write_text("\n".join(map(json.dumps, (begin, end, other))) + "\n")
    (first, second) = read_backend(book)[NAME]
    assert (first.how, first.ended, first.usage) == ("whole", 2.0, (1, 0, 2))
    assert (second.how, second.ended, second.usage) == ("", None, None)
    assert read_backend(tmp_path / "none") == {}


def test_the_ledger_is_read_from_outside_with_its_attempts(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.executescript(SCHEMA)
        connection.execute(
            "INSERT INTO requests"
            " (id, caller_id, tenant, model, stream, started, tier, reason, policy, arm, propensity)"
            " VALUES ('req_1', ?, 'acme', 'mini', 1, 0, 'mini', 'asked', 'p', '', 1)",
            (NAME,),
        )
        connection.execute(
            "INSERT INTO attempts (request_id, position, kind, tier, model, replica, fresh_input, cached_input, output,"
            " cost, price_version, error, usage_source)"
            " VALUES ('req_1', 0, 'primary', 'mini', 'm', 'r', 1, 2, 3, 4, 'v', '', 'provider')"
        )
    connection.close()
    (kept,) = read_ledger(tmp_path / "ledger.db")[NAME]
    assert kept == Kept("req_1", NAME, "acme", None, None, (Charge("mini", "primary", 1, 2, 3, 4, "", "provider"),))


def test_the_summary_counts_each_book() -> None:
    said = summary(books())
    assert said["client"] == {"asked": 1, "by_end": {"whole": 1}, "by_status": {"200": 1}, "hits": 0}
    assert said["backend"] == {"calls": 1, "by_end": {"whole": 1}, "by_play": {"ok": 1}}
    assert isinstance(said["ledger"], dict)
    assert said["ledger"]["cost_nano_usd"] == 100
