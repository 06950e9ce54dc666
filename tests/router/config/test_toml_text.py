"""Tests of router/config/toml_text.py."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.document import DocumentError, Place, Steps
from router.config.toml_text import read_toml

EVERY_NOTATION = """\
# a comment with = and [brackets]
title = "a \\" b # no comment"   # one = more
path = 'C:\\dir'
"quoted key" = 1
dotted.a.b = 2
dotted . c = 3
day = 1979-05-27 07:32:00
when = 1979-05-27T07:32:00Z
half = -0.5e-3
long = \"\"\"
not = a key
[not.a.table] \\\"\"\" ""\"\"\"
raw = '''
no = 1
''''
empty = \"\"\"\"\"\"
list = [ 1, 'two', # three
  [3, {deep = true}],
]
table = {x = 1, y.z = [2], "w" = {}}

[one]
a = 1
[ one . two ]
b = 2
[[rows]]
c = 3
[rows.inner]
d = 4
[[rows.more]]
e = 5
[[rows.more]]
e = 6
[[rows]]
c = 7
"""

alphabet = st.text(alphabet="ab1=.[]{},'\"\\#\n\t -:\x00ä", max_size=40)


def steps_in(value: object, steps: Steps = ()) -> Iterator[Steps]:
    """Give the way to each value, containers too."""
    if steps:
        yield steps
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield from steps_in(inner, (*steps, step))


def test_every_notation_is_stepped_through_and_every_value_has_its_place() -> None:
    document = read_toml(EVERY_NOTATION)
    assert document.values == tomllib.loads(EVERY_NOTATION)
    assert set(steps_in(document.values)) == set(document.starts) - {()} == set(document.keys)


@pytest.mark.parametrize(
    ("steps", "key", "start"),
    [
        (("title",), Place(2, 1), Place(2, 9)),
        (("dotted", "a", "b"), Place(5, 1), Place(5, 14)),
        (("list", 2, 1, "deep"), Place(18, 8), Place(18, 15)),
        (("table", "y", "z", 0), Place(20, 24), Place(20, 24)),
        (("one", "two", "b"), Place(25, 1), Place(25, 5)),
        (("rows", 0, "inner", "d"), Place(29, 1), Place(29, 5)),
        (("rows", 0, "more", 1, "e"), Place(33, 1), Place(33, 5)),
        (("rows", 1, "c"), Place(35, 1), Place(35, 5)),
    ],
)
def test_a_place_is_exact(steps: Steps, key: Place, start: Place) -> None:
    document = read_toml(EVERY_NOTATION)
    lines = EVERY_NOTATION.splitlines()
    assert (document.keys[steps], document.starts[steps]) == (key, start), lines[start.line - 1]


@given(alphabet)
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        document = read_toml(text)
    except DocumentError as error:
        place, found = error.note.place, set[Steps]()
    else:
        place, found = document.place_of(()), set(steps_in(document.values)) - set(document.starts)
    assert 1 <= place.line <= text.count("\n") + 1
    assert not found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\na = 2", "given twice"),
        ("[a]\n[a]", "given twice"),
        ("a = {b = 1, b = 2}", "given twice"),
        ("a = [1]\n[[a]]", "given twice"),
        ("a = nope", "not TOML: invalid value"),
        ("a = 'open", "not TOML: expected"),
        ("a" + ".a" * 40 + " = 1", "nested deeper than 32"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_toml(text)
