"""Tests cache/circuit.py."""

import pytest

from cache.circuit import Circuit


def pauses(circuit: Circuit, *, failures: int, now: float) -> list[float]:
    """Return how long each pause is, when the server fails at once after each."""
    found: list[float] = []
    for _ in range(failures):
        circuit.fail("refused", now)
        found.append(circuit.until_probe(now))
        now += found[-1]
    return found


def test_it_opens_at_the_first_failure_and_says_so_once() -> None:
    circuit = Circuit()
    assert not circuit.is_open
    assert circuit.fail("refused", 0.0)
    assert not circuit.fail("refused", 0.1)
    assert circuit.is_open
    assert circuit.cause == "refused"
    assert circuit.close()
    assert not circuit.close()
    assert not circuit.is_open


def test_pauses_between_probes_double_up_to_five_seconds() -> None:
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pauses(Circuit(), failures=8, now=100.0) == pytest.approx(expected)


def test_a_server_that_answers_probes_and_then_fails_is_asked_ever_more_seldom() -> None:
    circuit = Circuit()
    circuit.fail("slow", 0.0)
    circuit.close()
    circuit.fail("slow", 0.2)
    assert circuit.until_probe(0.2) == pytest.approx(0.2)


def test_after_a_calm_time_a_failure_is_forgotten() -> None:
    circuit = Circuit()
    pauses(circuit, failures=8, now=0.0)
    circuit.close()
    circuit.fail("refused", 60.0)
    assert circuit.until_probe(60.0) == pytest.approx(0.1)
    assert circuit.until_probe(61.0) == 0.0
