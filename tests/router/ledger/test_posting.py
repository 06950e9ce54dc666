"""Tests router/ledger/posting.py: how often a transaction is tried that an engine refuses."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from router.ledger.engines.sqlite import SqliteEngine, connected
from router.ledger.posting import TRIES, Batch, Poster


class Refused(Exception):
    """What the engine says."""


class Refusing(SqliteEngine):
    """Begins no transaction, for other writers' sake or for good."""

    errors: tuple[type[Exception], ...] = (Refused,)

    def __init__(self, *, collides: bool, after: int = TRIES) -> None:
        super().__init__(connected(Path(":memory:")))
        self.collides, self.after, self.tries = collides, after, 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.tries += 1
        if self.tries <= self.after:
            raise Refused
        yield

    def is_collision(self, error: Exception) -> bool:
        assert isinstance(error, Refused)
        return self.collides


@pytest.mark.parametrize(("collides", "tries"), [(True, TRIES), (False, 1)])
def test_only_what_others_are_in_the_way_of_is_tried_again(*, collides: bool, tries: int) -> None:
    with closing(Refusing(collides=collides)) as engine:
        with pytest.raises(Refused):
            Poster(engine).post(Batch())
        assert engine.tries == tries


def test_a_batch_is_posted_once_the_others_are_out_of_the_way() -> None:
    with closing(Refusing(collides=True, after=TRIES - 1)) as engine:
        Poster(engine).post(Batch())
        assert engine.tries == TRIES
