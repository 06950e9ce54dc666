"""router/ledger/writer.py, router/ledger/posting.py: what users did about an answer."""

import asyncio

from router.base import Signal, Unavailable
from router.ledger.place import LedgerPlace, reading
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_rollup import intent


def signal(name: str, *, tenant: str = "acme", kind: str = "thumb", value: float = 1.0) -> Signal:
    return Signal(name, tenant, 5.0, kind, value)


async def test_a_signal_finds_the_tenant_s_own_request_and_the_last_of_a_kind_stands(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    asked = intent(0)
    ledger.open(asked)
    found = await asyncio.gather(
        ledger.signal(signal(asked.id)),
        ledger.signal(signal(asked.id, value=0.0)),
        ledger.signal(signal(asked.id, kind="edit", value=0.5)),
        ledger.signal(signal(asked.id, tenant="rival")),
        ledger.signal(signal("")),
    )
    assert list(found) == [asked.id, asked.id, asked.id, None, None]
    await ledger.aclose()
    with reading(place) as opened:
        rows = list(opened.rows("SELECT kind, value, repeats, source, request_id FROM signals ORDER BY kind"))
    assert rows == [
        {"kind": "edit", "value": 0.5, "repeats": 0, "source": "user", "request_id": asked.id},
        {"kind": "thumb", "value": 0.0, "repeats": 1, "source": "user", "request_id": asked.id},
    ]


async def test_one_signal_that_cannot_be_held_fails_alone(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    asked = intent(0)
    await ledger.open(asked)
    odd = Signal(asked.id, "acme", 5.0, "\ud800", 1.0)
    told = await asyncio.gather(
        ledger.signal(signal(asked.id)), ledger.signal(odd), ledger.signal(signal("no")), return_exceptions=True
    )
    await ledger.aclose()
    assert (told[0], told[2]) == (asked.id, None)
    assert isinstance(told[1], Unavailable)
    with reading(place) as opened:
        assert opened.one("SELECT count(*) AS n FROM signals") == {"n": 1}
