"""One figure of a bench, and what it is to be."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure and what it should be.

    Attributes:
        at: "least" or "most" the goal; "stated" is a figure that is told as it is.
        goal: None where it is stated.
    """

    name: str
    value: float
    at: Literal["least", "most", "stated"]
    goal: float | None
    met: bool

    @property
    def wanted(self) -> str:
        """Return what it should be, in words."""
        return "-" if self.goal is None else f"at {self.at} {self.goal:g}"


def at_most(name: str, value: float, goal: float) -> Goal:
    """Return a figure that should be small."""
    return Goal(name, value, "most", goal, met=value <= goal)


def at_least(name: str, value: float, goal: float) -> Goal:
    """Return a figure that should be large."""
    return Goal(name, value, "least", goal, met=value >= goal)


def stated(name: str, value: float) -> Goal:
    """Return a figure that is told as it is."""
    return Goal(name, value, "stated", None, met=True)
