"""Tests of router/config/document.py."""

import pytest

from router.config.document import Document, Place, Steps, nameable, shown

DOCUMENT = Document(
    {}, keys={("a",): Place(2, 1)}, starts={(): Place(1, 1), ("a",): Place(2, 4), ("a", 0): Place(2, 5)}
)


def test_what_is_not_written_stands_where_the_nearest_around_it_stands() -> None:
    assert DOCUMENT.place_of(("a", 0, "b")) == Place(2, 5)
    assert DOCUMENT.place_of(("z", "y")) == Place(1, 1)
    assert DOCUMENT.key_place_of(("a",)) == Place(2, 1)
    assert DOCUMENT.key_place_of(("a", 0)) == Place(2, 5)
    assert Document({}).place_of(("a",)) == Place(1, 1)


@pytest.mark.parametrize(
    ("steps", "path"),
    [((), ""), (("a",), "a"), (("a", "b", 0, "c"), "a.b[0].c"), (("keys", 0, "sk-12345"), "keys[0]")],
)
def test_a_path_is_shown_as_people_write_it(steps: Steps, path: str) -> None:
    assert shown(steps) == path


@pytest.mark.parametrize("key", ["server", "max_body_bytes", "sha256", "connect-timeout"])
def test_a_name_may_be_repeated_in_a_message(key: str) -> None:
    assert nameable(key) == key


@pytest.mark.parametrize("key", ["", "sk-9f3c", "abc123def", "a" * 60, "p@ss", "two words", "1234", 7, None, "ключ"])
def test_what_may_be_a_secret_may_not(key: object) -> None:
    assert nameable(key) is None
