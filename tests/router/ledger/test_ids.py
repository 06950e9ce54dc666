"""Tests router/ledger/ids.py."""

import time

from router.endpoints.wire import new_id
from router.ledger.ids import first_id, made_at, maker_of

NOW = 1_800_000_000.0


def test_ids_sort_as_their_times_do() -> None:
    assert first_id(NOW) < f"{first_id(NOW)}0" < first_id(NOW + 0.001)
    assert first_id(-5.0) == "req_000000000000"


def test_an_id_tells_when_it_was_made_and_by_which_process() -> None:
    one, other = new_id(), new_id()
    assert abs((made_at(one) or 0.0) - time.time()) < 5.0
    assert maker_of(one) == maker_of(other)
    assert first_id(NOW - 1.0) < first_id(NOW)
    assert made_at(first_id(NOW)) == NOW
    assert made_at("chatcmpl-1") is made_at("req_of_somebody_else") is None
