"""Tests of router/config/yaml_text.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.document import DocumentError, Place
from router.config.yaml_text import read_yaml

alphabet = st.text(alphabet="ab1:-?,.[]{}&*!|>'\"%@#~<\n\t \\\x00ä", max_size=60)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("''", ""),
        ("'80'", "80"),
        ("80", 80),
        ("-3", -3),
        ("010", 10),
        ("0.50", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("12:30:45", "12:30:45"),
        ("2026-01-31", "2026-01-31"),
        ("1.2.3", "1.2.3"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_words_mean_what_the_newer_yaml_says(text: str, value: object) -> None:
    assert read_yaml(f"a: {text}").values == {"a": value}


def test_each_key_and_each_value_has_its_place() -> None:
    document = read_yaml("a: 1\nb:\n  c: [x, {d: y}]\n")
    assert document.keys == {
        ("a",): Place(1, 1),
        ("b",): Place(2, 1),
        ("b", "c"): Place(3, 3),
        ("b", "c", 1, "d"): Place(3, 11),
    }
    assert document.starts[("b", "c", 0)] == Place(3, 7)
    assert document.starts[("b", "c", 1, "d")] == Place(3, 14)


def test_of_two_equal_keys_the_first_counts_and_the_second_is_noted() -> None:
    document = read_yaml("a: {b: 1}\na: {b: 2}")
    assert document.values == {"a": {"b": 1}}
    assert document.starts[("a", "b")] == Place(1, 8)
    assert [(note.place, note.steps) for note in document.notes] == [(Place(2, 1), ("a",))]


@given(st.dictionaries(st.text("abc", min_size=1), plain, max_size=5))
def test_plain_values_come_back_as_they_were_written(values: dict[str, object]) -> None:
    assert (
        read_yaml(repr(values).replace("True", "true").replace("False", "false").replace("None", "null")).values
        == values
    )


@given(alphabet)
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        place = read_yaml(text).place_of(())
    except DocumentError as error:
        place = error.note.place
    assert 1 <= place.line <= text.count("\n") + 2


@pytest.mark.parametrize("text", ["[" * 200_000, "a: " + "{a: " * 100_000, "- " * 100_000, "&a " * 1_000])
def test_deep_nesting_ends_at_once(text: str) -> None:
    with pytest.raises(DocumentError):
        read_yaml(text)


def test_many_values_end_at_the_limit() -> None:
    with pytest.raises(DocumentError, match="more than 10000 values"):
        read_yaml("a: [" + "1, " * 10_000 + "1]")
