"""Tests backends/engines/llama_server/pulse.py: when the thread that computes counts as stuck."""

from dataclasses import dataclass

from backends.engines.llama_server.figures import Figures
from backends.engines.llama_server.pulse import LAP, LAPS, STUCK_AFTER, Pulse

SMALL, LARGE = 1_000_000, 40_000_000_000


@dataclass
class Clock:
    """Seconds that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_silence_counts_from_the_oldest_look_that_was_not_answered() -> None:
    clock = Clock()
    pulse = Pulse(SMALL, clock=clock)
    clock.now += 1000  # nobody looked
    assert not pulse.is_stuck
    pulse.look()
    clock.now += STUCK_AFTER - 1
    pulse.look()
    assert pulse.is_awaited
    assert not pulse.is_stuck
    clock.now += 2
    assert pulse.is_stuck
    pulse.answer(Figures())
    assert not pulse.is_stuck
    assert not pulse.is_awaited


def test_a_slow_model_gets_the_time_of_some_laps() -> None:
    clock = Clock()
    for size, figures, patience in (
        (SMALL, Figures(), STUCK_AFTER),
        (LARGE, Figures(), LAPS * LAP * 4.0),
        (LARGE, Figures(computed=10, compute_seconds=0.1), LAPS * LAP * 4.0),  # too few to tell
        (LARGE, Figures(computed=1000, compute_seconds=10.0), LAPS * LAP * 0.01),
        (SMALL, Figures(computed=1000, compute_seconds=10.0), LAPS * LAP * 0.01),
        (LARGE, Figures(computed=1000, compute_seconds=0.1), STUCK_AFTER),
    ):
        pulse = Pulse(size, clock=clock)
        pulse.answer(figures)
        pulse.look()
        clock.now += patience * 0.99
        assert not pulse.is_stuck
        clock.now += patience * 0.02
        assert pulse.is_stuck
