"""The words of the engines' bench: everything that was measured on one device.

No figure has a goal here, and nothing is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from msgspec.structs import replace

from backends.engines.trials.base import Compared, Device, Equality, Modes, Prefixed, Served, Shrinking, Written

TORCH: Final = "transformers"


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured.

    Attributes:
        device: the accelerator; None is the CPU.
        models: of random weights.
        prefixes: one for each model, length and engine, all processes together.
        large: models too large to be asked in float32 on a CPU, with what was found of them; only on an accelerator.
        costs: CPU and wall seconds of each trial by its name, loading included.
    """

    device: Device | None
    models: tuple[Written, ...]
    modes: Modes
    served: tuple[Served, ...]
    prefixes: tuple[Prefixed, ...]
    shrinking: Shrinking
    large: "Large | None" = None
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def cells(self) -> list[Equality]:
        """Return all that was compared with `generate()`."""
        return [*self.modes.cells, *(each.answers for each in self.prefixes if each.answers is not None)]


@dataclass(frozen=True, slots=True)
class Large:
    """A model as large as the accelerator is for, of random weights in 16 bits.

    Attributes:
        served, packed: as it is, and with its weights in 8 bits.
        prefixes: of several lengths, fetched however long that took.
    """

    model: Written
    served: Served
    packed: Served
    prefixes: tuple[Prefixed, ...]


def pooled(found: Sequence[Prefixed]) -> tuple[Prefixed, ...]:
    """Return what several processes found as one, by engine, model and length."""

    def name(each: Prefixed) -> tuple[str, str, int]:
        return each.engine, each.kind, each.tokens

    return tuple(_as_one(list(group)) for _, group in groupby(sorted(found, key=name), key=name))


def _as_one(found: list[Prefixed]) -> Prefixed:
    answers = [each.answers for each in found if each.answers is not None]
    differences = [each.logit_difference for each in found if each.logit_difference is not None]
    return replace(
        found[0],
        prompts=sum(each.prompts for each in found),
        found=sum(each.found for each in found),
        first=_joined([each.first for each in found]),
        whole=_joined([each.whole for each in found]),
        logit_difference=max(differences, default=None),
        other_tenant=sum(each.other_tenant for each in found),
        answers=_added(answers) if answers else None,
    )


def _joined(compared: list[Compared]) -> Compared:
    return Compared(
        tuple(reading for each in compared for reading in each.plain),
        tuple(reading for each in compared for reading in each.better),
        work=compared[0].work,
    )


def _added(cells: list[Equality]) -> Equality:
    """Return one cell; a process in which nothing was found still counts its answers."""
    return replace(
        cells[0],
        answers=sum(cell.answers for cell in cells),
        equal=sum(cell.equal for cell in cells),
        used=sum(cell.used for cell in cells),
    )
