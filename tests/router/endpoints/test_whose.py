"""Tests of router/endpoints/whose.py."""

import json

import pytest
from msgspec import Raw

from router.base import BadRequest
from router.endpoints.whose import LONGEST, conversation_of, digest_of, user_of


def fields(**values: object) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in values.items()}


def test_a_user_has_one_digest_that_does_not_tell_the_name() -> None:
    digest = user_of(fields(user="alice@example.org"), "acme")
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")
    assert digest == user_of(fields(user="alice@example.org"), "acme")
    assert "alice" not in digest


def test_the_same_name_at_two_tenants_gives_two_digests() -> None:
    assert user_of(fields(user="alice"), "acme") != user_of(fields(user="alice"), "globex")
    assert digest_of(b"alice", "acme", "user") != digest_of(b"alice", "acme", "conversation")


def test_the_newer_field_goes_before_the_older_one() -> None:
    both = user_of(fields(user="old", safety_identifier="new"), "acme")
    assert both == user_of(fields(safety_identifier="new"), "acme")


@pytest.mark.parametrize("value", [None, 7, ["alice"], "", "x" * (LONGEST + 1)])
def test_what_is_no_name_is_nobody(value: object) -> None:
    assert user_of(fields(user=value), "acme") == ""


def test_nobody_is_named_where_nothing_is_said() -> None:
    assert user_of({}, "acme") == ""
    assert conversation_of({}, {}, "acme") == ""


def test_a_conversation_is_named_by_header_or_metadata() -> None:
    by_header = conversation_of({b"x-tandem-conversation": b" c1 "}, {}, "acme")
    by_metadata = conversation_of({}, fields(metadata={"conversation_id": "c1"}), "acme")
    assert by_header == by_metadata != ""
    assert (
        conversation_of({b"x-tandem-conversation": b"c2"}, fields(metadata={"conversation_id": "c1"}), "acme")
        != by_header
    )


@pytest.mark.parametrize("metadata", [None, [], {"conversation_id": 7}, {"other": "x"}])
def test_metadata_without_a_conversation_name_none(metadata: object) -> None:
    assert conversation_of({}, fields(metadata=metadata), "acme") == ""


def test_a_header_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadRequest, match="longer than 512 bytes"):
        conversation_of({b"x-tandem-conversation": b"x" * (LONGEST + 1)}, {}, "acme")
