"""The shipped vocabulary, read once."""

import pytest

from classifier.meaning.reader import StaticReader
from classifier.meaning.vectors import Vocabulary, load


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Return the words that ship."""
    return load()


@pytest.fixture(scope="session")
def reader(vocabulary: Vocabulary) -> StaticReader:
    """Return what reads with them."""
    return StaticReader(vocabulary)
