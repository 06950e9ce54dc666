"""What is known of an experiment: the words between who works it out and who says what follows from it."""

from dataclasses import dataclass

from router.experiments.definition import Experiment
from router.ledger.experiments import Exposed
from router.statistics.comparing import Difference
from router.statistics.non_inferiority import NonInferiority
from router.statistics.ratios import Ratio


@dataclass(frozen=True, slots=True)
class Filling:
    """Whether arms hold as many units as planned.

    Attributes:
        units: by arm.
        planned: weights.
        p_one_look: chi-square, right for one look at the planned end alone.
        p_always: right at every look.
        is_mismatch: the arms are not filled as planned; None where weights move, and nothing is planned.
    """

    units: dict[str, int]
    planned: tuple[float, ...]
    p_one_look: float
    p_always: float
    is_mismatch: bool | None


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure of a treated arm beside the control's.

    Attributes:
        treated, control: nan where there is nothing yet.
        found: their difference.
        p: always valid; adjusted for all metrics that are told beside.
    """

    name: str
    treated: float
    control: float
    found: Difference
    p: float = 1.0


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guard-rail.

    Attributes:
        value: by how much the treated arm is worse.
        low, high: of that, at every look.
        limit: by how much it may be.
        is_kept: surely not worse by the limit.
        is_broken: surely worse by more.
    """

    name: str
    value: float
    low: float
    high: float
    limit: float

    @property
    def is_kept(self) -> bool:
        """Tell whether it is surely kept."""
        return self.high < self.limit

    @property
    def is_broken(self) -> bool:
        """Tell whether it is surely broken."""
        return self.low > self.limit


@dataclass(frozen=True, slots=True)
class ArmFindings:
    """What is known of one treated arm.

    Attributes:
        quality: beside the control's; None where nothing is known of one of them.
        treated_quality, control_quality: with `total`, of how many; nan and 0 likewise.
        cost: nano-USD per request, beside the control's.
        spared: share of the variance of cost that the days before have explained.
    """

    name: str
    quality: NonInferiority
    treated_quality: Ratio
    control_quality: Ratio
    cost: Compared
    spared: float
    guards: tuple[Guarded, ...]
    metrics: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of an experiment.

    Attributes:
        units: of all arms.
        unpriced: share of requests whose cost nobody knows.
    """

    experiment: Experiment
    filling: Filling
    arms: tuple[ArmFindings, ...]
    units: int
    requests: int
    unpriced: float
    seen: Exposed
