"""Tests classifier/meaning/reader.py with the shipped words and with an embedder of its own."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.meaning.base import EQUAL, Meaning
from classifier.meaning.reader import EmbeddedReader, StaticReader
from classifier.meaning.vectors import Vocabulary


class Letters:
    """Counts letters: an embedder that tells little."""

    source = "letters@1"

    def __init__(self, given: NDArray[np.float32] | None = None) -> None:
        self.given = given

    async def embed(self, text: str) -> NDArray[np.float32] | None:
        """Return a vector of 26."""
        if self.given is not None:
            return self.given if self.given.size else None
        return np.array([text.lower().count(chr(97 + place)) for place in range(26)], np.float32)


def read(reader: StaticReader, text: str) -> Meaning:
    meaning = reader.read_now(text)
    assert meaning is not None
    return meaning


@pytest.mark.parametrize(
    ("one", "near", "far"),
    [
        ("describe the trip to the garden", "describe the journey to the garden", "describe the bridge to the garden"),
        ("my couch is broken", "my sofa is broken", "my table is broken"),
        ("介绍美丽的花园", "介绍漂亮的花园", "介绍危险的花园"),
    ],
)
def test_synonyms_are_nearer_than_words_of_the_same_sort(reader: StaticReader, one: str, near: str, far: str) -> None:
    to_near = reader.similarity(read(reader, one), read(reader, near))
    assert to_near > reader.similarity(read(reader, one), read(reader, far)) + 0.1


def test_one_word_more_is_not_hidden_by_all_the_others(reader: StaticReader) -> None:
    one = "tell me about the history and architecture and gardens of the old castle near the river"
    other = f"{one} kitchen"
    first, second = read(reader, one), read(reader, other)
    assert float(first.vector @ second.vector) > 0.9
    assert reader.similarity(first, second) < 0.6


def test_the_same_words_in_another_order_are_no_match(reader: StaticReader) -> None:
    assert (
        reader.similarity(
            read(reader, "does the nurse trust the baker?"), read(reader, "does the baker trust the nurse?")
        )
        == 0.0
    )


def test_a_reading_holds_no_text(reader: StaticReader) -> None:
    meaning = read(reader, "my password is Tr0ub4dor and my name is Zarathustra")
    held = meaning.facts + meaning.words + meaning.vector.tobytes()
    assert b"ub4dor" not in held
    assert b"arathus" not in held


def test_vectors_have_length_one(reader: StaticReader) -> None:
    for text in ("a purple elephant", "Zarathustra", "法国的花园"):
        assert float(np.linalg.norm(read(reader, text).vector)) == pytest.approx(1.0, abs=1e-5)


async def test_another_model_s_vectors_stand_behind_the_same_guards(vocabulary: Vocabulary) -> None:
    reader = EmbeddedReader(vocabulary, Letters())
    assert reader.source == f"{vocabulary.source} letters@1"
    one, other = await reader.read("is the gate green?"), await reader.read("is the gate not green?")
    same = await reader.read("is the green gate?")
    again = await reader.read("hello, is the gate green?")
    assert one is not None
    assert other is not None
    assert again is not None
    assert same is not None
    assert reader.similarity(one, other) == 0.0
    assert reader.similarity(one, same) == 0.0
    assert 0.5 < reader.similarity(one, again) < EQUAL


@pytest.mark.parametrize("given", [[], [np.nan, 1.0], [0.0, 0.0], [np.inf, 1.0]])
async def test_a_vector_that_is_none_is_no_reading(vocabulary: Vocabulary, given: list[float]) -> None:
    reader = EmbeddedReader(vocabulary, Letters(np.array(given, np.float32)))
    assert await reader.read("is the gate green?") is None
    assert await reader.read("hello") is None


async def test_vectors_of_different_widths_do_not_compare(vocabulary: Vocabulary) -> None:
    narrow = await EmbeddedReader(vocabulary, Letters(np.ones(3, np.float32))).read("is the gate green?")
    wide = await EmbeddedReader(vocabulary, Letters()).read("is the gate green?")
    assert narrow is not None
    assert wide is not None
    assert EmbeddedReader(vocabulary, Letters()).similarity(narrow, wide) == 0.0


async def test_reading_a_question_takes_a_fraction_of_a_millisecond(reader: StaticReader) -> None:
    question = "Hello, could you please tell me how I can return the green lamp that I bought in Paris on Monday?"
    await reader.read(question)
    began = time.process_time()
    for _ in range(200):
        await reader.read(question)
    assert (time.process_time() - began) / 200 < 1e-3
