"""What an experiment file may say.

    id: mini-int8
    unit: user
    arms:
      usual: {weight: 0.5}
      int8: {weight: 0.5, backends: {mini: {model: mini-int8}}}
    complex_from: 0.6
    margin: 0.02

Whatever decides how figures are read later (margin, alpha, guard-rails, metrics) stands here, and so before any figure
is seen. Reads no file.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from router.base import Tier
from router.config.options import Options
from router.config.policies import PolicyOptions

Unit = Literal["tenant", "user", "conversation"]
Quality = Literal["resolution", "agreement", "checks", "thumbs"]
Reward = Literal["resolution", "agreement", "checks", "thumbs", "cost"]
Metric = Literal["large_share", "empty", "truncated", "mean_overhead"]

MOST_ARMS: Final = 16
LONGEST_TEXT: Final = 20_000  # characters of a prompt's addition

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$"


def _a_number(value: object) -> object:
    """Refuse true and false, which are whole numbers to the language and slips in a file."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "must be a number")
    return value


_Number = BeforeValidator(_a_number)
Part = Annotated[float, Field(gt=0, lt=1), _Number]
Exactly = Annotated[Decimal, Field(gt=0, le=1, decimal_places=12), _Number]
"""A decimal fraction as it is written: 0.1 is a tenth. With more places, sums would be rounded."""


class Prompt(Options):
    """What is added to the system prompt; a request without one gets it as its own.

    Attributes:
        prefix: stands before it.
        suffix: stands behind it.
    """

    prefix: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    suffix: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""


class Arm(Options):
    """One way to answer: the configuration of the gateway, but for what is said here.

    Attributes:
        weight: share of the units that it gets, above 0.
        threshold: of the policy `threshold`; in place of `policy`.
        policy: as in the configuration.
        backends: of a tier, what differs: another model, quantisation, batching; keys that are not named stay as they
            are configured, but where `use` is named, nothing does.
        prompt: what is added to the system prompt.
    """

    weight: Exactly
    threshold: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    policy: PolicyOptions | None = None
    backends: Mapping[Tier, Mapping[str, Any]] = Field(default_factory=dict)
    prompt: Prompt | None = None

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if self.threshold is not None and self.policy is not None:
            raise PydanticCustomError("two_policies", "must have either threshold or policy")
        return self


class GuardRails(Options):
    """By how much a figure may be worse than in the control; beyond it the experiment is to be stopped.

    Attributes:
        overhead_p99: seconds of the gateway's own.
        errors, refusals, repetitions: shares, as differences: 0.01 is a percentage point.
    """

    overhead_p99: Annotated[float, Field(gt=0, le=60), _Number] = 0.01
    errors: Part = 0.01
    refusals: Part = 0.01
    repetitions: Part = 0.01


class Experiment(Options):
    """One experiment.

    Attributes:
        id: stands in records; may be used once.
        unit: who stays in one arm; requests that name none get the usual way.
        arms: by name, two or more, with weights that sum to exactly 1.
        control: the arm that others are compared with; None is the first.
        quality: what must not fall: conversations resolved, agreement with Large's replies, checks that replies pass,
            or thumbs up. The last three are of all requests, resolution is of complex conversations alone.
        complex_from: a conversation is complex whose first request has at least this score.
        margin: by which quality may be lower than in the control, as a difference.
        alpha: with which a difference that is none may be claimed, at any look.
        metrics: that are told beside, with p-values for all of them together.
        minimum: units of all arms before anything is decided.
        maximum: units of all arms, from which on nothing is waited for.
        ramp: share of all units that takes part, above 0; can only be widened.
        allocation: "fixed" keeps the weights; "thompson" moves them to the arm that is likely best.
        floor: share of units below which no arm falls then.
        every: seconds between two moves.
        reward: what is best then; of cost, less is.
    """

    id: Annotated[str, Field(pattern=_NAME)]
    unit: Unit
    arms: Annotated[dict[Annotated[str, Field(pattern=_NAME)], Arm], Field(min_length=2, max_length=MOST_ARMS)]
    control: str | None = None
    quality: Quality = "resolution"
    complex_from: Annotated[float, Field(ge=0, le=1), _Number] | None = None
    margin: Part
    alpha: Annotated[float, Field(gt=0, le=0.2), _Number] = 0.05
    guard_rails: GuardRails = GuardRails()
    metrics: tuple[Metric, ...] = ()
    minimum: Annotated[int, Field(ge=2), _Number] = 400
    maximum: Annotated[int, Field(ge=100), _Number] = 50_000
    ramp: Exactly = Decimal(1)
    allocation: Literal["fixed", "thompson"] = "fixed"
    floor: Annotated[Decimal, Field(ge=Decimal("0.01"), le=Decimal("0.2")), _Number] = Decimal("0.05")
    every: Annotated[float, Field(ge=10, le=604_800), _Number] = 3_600.0
    reward: Reward = "cost"

    @property
    def controls(self) -> str:
        """Return the name of the arm that others are compared with."""
        return self.control or next(iter(self.arms))

    @property
    def treated(self) -> tuple[str, ...]:
        """Return the names of the others."""
        return tuple(name for name in self.arms if name != self.controls)

    @property
    def weights(self) -> tuple[Decimal, ...]:
        """Return the weights that the file gives, in the arms' order."""
        return tuple(arm.weight for arm in self.arms.values())

    @model_validator(mode="after")
    def _weights_are_whole(self) -> Self:
        total = sum(self.weights, Decimal(0))
        if total != 1:
            raise PydanticCustomError(
                "weights",
                "must have weights that sum to exactly 1, and they sum to {total}",
                {"total": f"{total.normalize():f}", "at": ("arms",)},
            )
        return self

    @model_validator(mode="after")
    def _agreement_is_with_one_large(self) -> Self:
        """Refuse to compare arms by how far Mini agrees with Large where they do not have the same one."""
        rules = {"quality": self.quality, "reward": self.reward if self.allocation == "thompson" else ""}
        other = next((name for name, arm in self.arms.items() if Tier.LARGE in arm.backends), None)
        for key, rule in rules.items():
            if rule == "agreement" and other is not None:
                fault = (
                    "cannot be agreement where the arm {name} has another large: a worse one is easier to agree with"
                )
                raise PydanticCustomError("agreement", fault, {"name": other, "at": (key,)})
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.control is not None and self.control not in self.arms:
            known = ", ".join(self.arms)
            fault = "is the name of no arm; known are {known}"
            raise PydanticCustomError("control", fault, {"known": known, "at": ("control",)})
        if self.quality == "resolution" and self.complex_from is None:
            fault = "is missing; say from which score on a conversation is complex, or choose another quality"
            raise PydanticCustomError("complex_from", fault, {"at": ("complex_from",)})
        if self.minimum > self.maximum:
            raise PydanticCustomError("units", "must not be above maximum", {"at": ("minimum",)})
        if self.allocation == "thompson" and self.floor * len(self.arms) >= 1:
            raise PydanticCustomError("floor", "leaves nothing to move: make it smaller", {"at": ("floor",)})
        return self
