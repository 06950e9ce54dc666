"""Tests of backends/history/tool_ids.py."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from backends.history.tool_ids import nine_characters, way_back

IDS = st.lists(st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9]{9}", fullmatch=True), max_size=12)


@settings(max_examples=60, deadline=None)
@given(IDS, st.text("abc09", max_size=70))
def test_each_id_has_its_own_that_is_taken_and_leads_back(ids: list[str], key: str) -> None:
    found = nine_characters(ids, key=key)
    assert found.keys() == set(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9]{9}", short) for short in found.values())
    assert len(set(found.values())) == len(found)
    back = way_back(found)
    assert {name: back.get(short.encode(), short) for name, short in found.items()} == {name: name for name in found}


def test_an_id_that_is_taken_as_it_is_stays_and_needs_no_way_back() -> None:
    found = nine_characters(["Ab3dE5gH9", "call_1"], key="")
    assert found["Ab3dE5gH9"] == "Ab3dE5gH9"
    assert list(way_back(found).values()) == ["call_1"]


def test_an_id_is_the_same_in_every_request_and_another_for_each_key() -> None:
    assert nine_characters(["call_1"], key="k") == {"call_1": nine_characters(["x", "call_1"], key="k")["call_1"]}
    assert nine_characters(["call_1"], key="k") != nine_characters(["call_1"], key="other")
    # what a prompt spells must outlive this process
    assert nine_characters(["call_1"], key="") == {"call_1": "Kv2x4DuQa"}


def test_an_id_whose_place_is_taken_gets_another_one() -> None:
    taken = nine_characters(["call_1"], key="")["call_1"]
    found = nine_characters([taken, "call_1"], key="")
    assert found[taken] == taken
    assert found["call_1"] != taken
