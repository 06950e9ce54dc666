"""Tests backends/optional.py."""

from backends.optional import figures_of, start
from backends.replicas.base import Figure


class Plain:
    """Neither starts nor counts, as a kind from outside may."""


class Whole:
    """Does both."""

    def __init__(self) -> None:
        self.started = 0

    async def start(self) -> None:
        self.started += 1

    def figures(self) -> list[Figure]:
        return [Figure("starts", "How often it was started", (), {(): self.started})]


async def test_what_can_be_started_is_and_its_counts_are_told() -> None:
    backend = Whole()
    await start(backend)  # type: ignore[arg-type]  # answers nothing
    (figure,) = figures_of(backend)  # type: ignore[arg-type]  # likewise
    assert figure.counts == {(): 1}


async def test_a_backend_that_can_do_neither_is_left_alone() -> None:
    await start(Plain())  # type: ignore[arg-type]  # answers nothing
    assert list(figures_of(Plain())) == list(figures_of(None)) == []  # type: ignore[arg-type]  # likewise
