"""How an experiment stands, and what may become of it. Pure; files are for `folder.py`.

    started -> widened, widened ... -> stopped

Nothing that was said is taken back: the definition stays as it was, a ramp is only widened, what has happened stays on
record, and what was stopped stays stopped.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from router.experiments.definition import Experiment


class NotAllowed(Exception):
    """What was asked does not fit how an experiment stands; the message says why and what would."""


class Ramp(Struct, frozen=True):
    """From a moment on, so much takes part.

    Attributes:
        at: seconds since 1970.
        share: a decimal fraction, as text.
    """

    at: float
    share: str


class Epoch(Struct, frozen=True):
    """From a moment on, arms have these weights.

    Attributes:
        at: seconds since 1970.
        weights: decimal fractions, as text, in the arms' order.
        why: what they rest on.
    """

    at: float
    weights: tuple[str, ...]
    why: str


class Stop(Struct, frozen=True):
    """The end.

    Attributes:
        at: seconds since 1970.
    """

    at: float
    why: str


class Standing(Struct, frozen=True):
    """How one experiment stands.

    Attributes:
        values: of its file; references to the environment are not filled in.
        digest: of the same, without the ramp, which may change.
        salt: of its assignments.
        started: seconds since 1970.
        ramps, epochs: from the first to the one that counts now.
        stopped: None while it runs.
    """

    id: str
    values: Mapping[str, Any]
    digest: str
    salt: str
    started: float
    ramps: tuple[Ramp, ...]
    epochs: tuple[Epoch, ...]
    stopped: Stop | None = None

    @property
    def ramp(self) -> Decimal:
        """Return the share of all units that takes part."""
        return Decimal(self.ramps[-1].share)

    @property
    def weights(self) -> tuple[Decimal, ...]:
        """Return the weights that count now."""
        return tuple(map(Decimal, self.epochs[-1].weights))


def digest_of(values: Mapping[str, Any]) -> str:
    """Return what is equal for equal definitions, however they were written."""
    said = {name: value for name, value in values.items() if name != "ramp"}
    said["order"] = list(values.get("arms", ()))  # the first one is the control where none is named
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:16]


def started(
    experiment: Experiment, values: Mapping[str, Any], *, salt: str, now: float, before: Standing | None = None
) -> Standing:
    """Return how an experiment stands that is to run as a file says; one that runs so is widened.

    Args:
        before: what has stood under its id; None where nothing has.

    Raises:
        NotAllowed: it was stopped, or another definition runs under its id.
    """
    if before is None:
        ramp, weights = str(experiment.ramp), tuple(map(str, experiment.weights))
        first = Epoch(now, weights, "the file")
        return Standing(experiment.id, values, digest_of(values), salt, now, (Ramp(now, ramp),), (first,))
    if before.stopped is not None:
        raise NotAllowed(f"{before.id} was stopped ({before.stopped.why}), for good; give the new one another id")
    if before.digest != digest_of(values):
        changed = sorted(
            name
            for name in {*before.values, *values} - {"ramp"}
            if before.values.get(name, ...) != values.get(name, ...)
        )
        what = ", ".join(changed) or "the order of the arms"
        raise NotAllowed(
            f"{before.id} runs, and the file changes {what}: what was measured so far would be of another experiment; "
            "stop it and give the new one another id"
        )
    return widened(before, experiment.ramp, now=now)


def widened(standing: Standing, share: Decimal, *, now: float) -> Standing:
    """Return the state in which more units take part, or as many as before.

    Raises:
        NotAllowed: it is stopped, or fewer would take part.
    """
    _refuse_stopped(standing)
    if not 0 < share <= 1:
        raise NotAllowed(f"a ramp of {share} is none: it must be above 0, and 1 at most")
    if share < standing.ramp:
        raise NotAllowed(
            f"the ramp of {standing.id} is {standing.ramp} and cannot narrow to {share}: units would leave their arms; "
            "stop it instead"
        )
    return standing if share == standing.ramp else replace(standing, ramps=(*standing.ramps, Ramp(now, str(share))))


def reweighed(standing: Standing, weights: tuple[Decimal, ...], *, now: float, why: str) -> Standing:
    """Return the state in which the next epoch begins.

    Raises:
        NotAllowed: it is stopped, or the weights do not sum to 1.
    """
    _refuse_stopped(standing)
    if sum(weights) != 1 or len(weights) != len(standing.weights):
        raise NotAllowed(f"weights of {standing.id} must be one for each arm, and sum to exactly 1")
    return replace(standing, epochs=(*standing.epochs, Epoch(now, tuple(map(str, weights)), why)))


def stopped(standing: Standing, *, now: float, why: str) -> Standing:
    """Return the last state.

    Raises:
        NotAllowed: it is stopped already.
    """
    _refuse_stopped(standing)
    return replace(standing, stopped=Stop(now, why))


def fault_of(standing: Standing) -> str:
    """Return why a state cannot be one that was written here; "" where it can."""
    arms = standing.values.get("arms")
    if not isinstance(arms, Mapping) or digest_of(standing.values) != standing.digest:
        return "its definition was changed in flight"
    if not standing.ramps or not standing.epochs:
        return "it has no ramp, or no weights"
    try:
        shares = [Decimal(ramp.share) for ramp in standing.ramps]
        weights = [[*map(Decimal, epoch.weights)] for epoch in standing.epochs]
    except InvalidOperation:
        return "a share or a weight is no number"
    if not all(share.is_finite() and 0 < share <= 1 for share in shares) or shares != sorted(shares):
        return "a ramp is none, or was narrowed"
    if any(len(each) != len(arms) or not all(map(_is_weight, each)) or sum(each) != 1 for each in weights):
        return "weights are not one for each arm, or do not sum to 1"
    return ""


def _is_weight(weight: Decimal) -> bool:
    return weight.is_finite() and 0 <= weight <= 1


def follows(before: Standing, after: Standing) -> str:
    """Return why one state cannot have come of another one; "" where it can."""
    if after.digest != before.digest or digest_of(after.values) != after.digest or after.salt != before.salt:
        return "its definition was changed in flight"
    if after.ramps[: len(before.ramps)] != before.ramps or after.epochs[: len(before.epochs)] != before.epochs:
        return "what has happened was changed"
    if after.ramp < before.ramp:
        return "its ramp was narrowed"
    return "it was stopped, and runs again" if before.stopped is not None and after.stopped is None else ""


def _refuse_stopped(standing: Standing) -> None:
    if standing.stopped is not None:
        raise NotAllowed(f"{standing.id} was stopped ({standing.stopped.why}), for good")
