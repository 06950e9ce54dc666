"""Streams in which the truth is known -> how often alarms ring falsely, and how soon they ring rightly.

Run lengths are simulated draw by draw, by none of the equations that the charts are made with.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.bench.goals import Goal, at_least, at_most, stated
from router.statistics.cusum import Chart, chart, normal_arl, two_sided
from router.statistics.drift import LARGE, counted, quantile_interval, reference_of, shift

RUNS: Final = 10_000  # of a chart; the mean of run lengths, which are spread as an exponential is, is 1 % off then
WINDOWS: Final = 4_000
WITHIN: Final = 0.15
LONGEST_DELAY: Final = 350.0
CHARTS: Final = (  # accuracy, drop, answers between false alarms
    (0.9, 0.05, 10_000.0),
    (0.95, 0.05, 10_000.0),
    (0.85, 0.05, 10_000.0),
    (0.99, 0.05, 20_000.0),
    (0.7, 0.1, 5_000.0),
    (0.6, 0.2, 1_000.0),  # both steps are equally long, so that few sums are possible
    (0.97, 0.02, 3_000.0),
)
ALPHA: Final = 0.01
LIMIT: Final = 0.05  # seconds

Draw = np.random.Generator
Reals = NDArray[np.float64]


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return all figures."""
    chance = np.random.default_rng(seed)
    runs, windows = (RUNS // 10, WINDOWS // 10) if quick else (RUNS, WINDOWS)
    return [*_charts(chance, runs), *_normal(), *_drifts(chance, windows), *_quantiles(chance, windows)]


def _charts(chance: Draw, runs: int) -> Iterator[Goal]:
    for accuracy, drop, every in CHARTS:
        made = chart(accuracy, drop=drop, false_alarm_every=every)
        name = f"{accuracy:g}_drop_{drop:g}_every_{every:g}"
        found = _lengths(made, accuracy, chance, runs=runs)
        yield at_most(f"cusum_false_alarms_off_by_{name}", abs(float(found.mean()) / every - 1.0), WITHIN)
        delay = float(_lengths(made, accuracy - drop, chance, runs=runs).mean())
        if (accuracy, drop, every) == CHARTS[0]:
            yield at_most(f"cusum_delay_{name}", delay, LONGEST_DELAY)
        else:
            yield stated(f"cusum_delay_{name}", delay)


def _lengths(made: Chart, accuracy: float, chance: Draw, *, runs: int) -> Reals:
    """Return the lengths of so many runs, which go on side by side, from one wrong answer to the next."""
    limits = made.limit - (chance.random(runs) < made.low)
    sums, lengths, found = np.zeros(runs, np.int64), np.zeros(runs, np.int64), list[Reals]()
    while len(sums):
        gaps = chance.geometric(1.0 - accuracy, len(sums))
        lengths = lengths + gaps
        sums = np.maximum(0, sums - (gaps - 1) * made.down) + made.up
        rings = sums >= limits
        if rings.any():
            found.append(lengths[rings].astype(np.float64))
            sums, lengths, limits = sums[~rings], lengths[~rings], limits[~rings]
    return np.concatenate(found)


def _normal() -> Iterator[Goal]:
    """Yield how far the chain is from the published lengths of two-sided charts with k = 0.5."""
    for h, calm, shifted in ((4.0, 167.7, 8.38), (5.0, 465.4, 10.38)):
        length = two_sided(normal_arl(0.0, k=0.5, h=h), normal_arl(0.0, k=0.5, h=h))
        moved = two_sided(normal_arl(1.0, k=0.5, h=h), normal_arl(-1.0, k=0.5, h=h))
        yield at_most(f"cusum_normal_h{h:g}_off_by", max(abs(length / calm - 1), abs(moved / shifted - 1)), 0.001)


def _drifts(chance: Draw, runs: int) -> Iterator[Goal]:
    """Yield how often the index is significant where nothing has changed, and where something has."""
    allowed = ALPHA + 2 * float(np.sqrt(ALPHA * (1 - ALPHA) / runs)) + 0.002  # chi-square is a limit, not a law
    for name, n, m, levels in (("beta", 1_000, 1_000, 0), ("small", 300, 5_000, 0), ("ties", 1_000, 2_000, 20)):
        found = [_index(chance, 2.0, n=n, m=m, levels=levels) for _ in range(runs)]
        yield at_most(f"psi_false_positives_{name}", float(np.mean([each[0] for each in found])), allowed)
    found = [_index(chance, 2.3, n=1_000, m=1_000, levels=0) for _ in range(runs // 4)]
    yield at_least("psi_power_significant", float(np.mean([each[0] for each in found])), 0.6)
    yield stated("psi_power_above_0.1", float(np.mean([each[1] for each in found])))


def _index(chance: Draw, a: float, *, n: int, m: int, levels: int) -> tuple[bool, bool]:
    """Return whether a sample of Beta(a, 5) is significantly, and largely, other than one of Beta(2, 5).

    Args:
        levels: that values are rounded to; 0 leaves them.
    """
    was, now = chance.beta(2.0, 5.0, m), chance.beta(a, 5.0, n)
    if levels:
        was, now = np.round(was * levels) / levels, np.round(now * levels) / levels
    reference = reference_of(was.tolist())
    found = shift(reference, counted(np.array(reference.edges), now).tolist(), alpha=ALPHA)
    return found.is_significant, found.psi > LARGE


def _quantiles(chance: Draw, runs: int) -> Iterator[Goal]:
    """Yield how often two windows in a row ring, where the 99 % quantile is just what it may be."""
    rang = 0
    for _ in range(runs):
        windows = [quantile_interval(chance.exponential(LIMIT / np.log(100), 600), 0.99) for _ in range(2)]
        rang += all(each is not None and each[0] > LIMIT for each in windows)
    yield at_most("overhead_p99_false_alarms", rang / runs, 0.025**2 + 2 * float(np.sqrt(0.025**2 / runs)))
