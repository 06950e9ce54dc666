"""What units brought before the experiment -> the same difference with less noise.

Much of what differs between units differed before anybody was assigned. What a unit brought then cannot depend on its
arm, so taking away the part of it that predicts the outcome moves no difference, and shrinks its variance by the
square of their correlation.

Source: Deng, Xu, Kohavi and Walker 2013, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", section 3.
"""

from dataclasses import dataclass, replace

import numpy as np

from router.statistics.ratios import Ratio, Reals, unrounded


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Both arms, adjusted.

    Attributes:
        slope: by which earlier figures were weighted.
        spared: share of the variance that is gone, 0.0 to 1.0.
    """

    treated: Ratio
    control: Ratio
    slope: float
    spared: float


def adjusted(treated: Ratio, control: Ratio, parts: tuple[Reals, Reals], earlier: tuple[Reals, Reals]) -> Adjusted:
    """Return the ratios of both arms without what earlier figures predict.

    Args:
        parts: of the treated arm and the control: what each unit adds to its ratio, around 0; see `parts_of`.
        earlier: likewise of the time before, around 0 over both arms together; 0 for units that were not there.
    """
    together, before = np.concatenate(parts), np.concatenate(earlier)
    before = before - before.mean() if len(before) else before
    square = float(before @ before)
    if square == 0.0:
        return Adjusted(treated, control, 0.0, 0.0)
    slope = float(together @ before) / square
    split = len(parts[0])
    left = unrounded(together - slope * before, np.abs(together).max())
    variance = float(together @ together)
    arms = [
        _shifted(arm, left[rows], slope * float(before[rows].mean()))
        for arm, rows in ((treated, slice(None, split)), (control, slice(split, None)))
    ]
    return Adjusted(arms[0], arms[1], slope, 0.0 if variance == 0 else 1 - float(left @ left) / variance)


def _shifted(arm: Ratio, left: Reals, by: float) -> Ratio:
    around = (left - left.mean()) * arm.weight
    return replace(
        arm,
        value=arm.value - by,
        spread=np.asarray(np.square(around).sum() / (len(around) - 1)),
        third=np.asarray((around**3).mean()),
        fourth=np.asarray((around**4).mean()),
    )
