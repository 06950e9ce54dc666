"""What each row adds to an error, and whose row it is -> the value with its interval, as sizes allow.

Rows of one user resemble each other; users do not. Where a few users have most of the rows, three things go wrong that
more rows never mend: the large ones pull the value towards themselves, so that the error looks small; the error rests
on few parts, so that its own size is uncertain; and its skewness is that of whichever cluster is the largest. How much
so follows from the sizes, under a model in which a row has a variance of its own and shares another one with its
cluster, each as large as the rows show it to be: two figures of all rows, which no luck with one cluster moves far.

Source: Bell and McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage samples", for
bias and degrees of freedom from such a model; Imbens and Kolesar 2016, "Robust standard errors in small samples", for
one whose two variances are those of the rows; Satterthwaite 1946 as in `router.statistics.estimates`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.estimates import LEVEL, Estimate, Sizes, estimated
from router.statistics.tails import NO_TAIL, unseen

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]

_ROUNDING: Final = 1e-12  # of the sum of shares
_ALL: Final = 1.0 - 1e-9  # of that sum: where one cluster has it, nothing is known of how clusters differ


def of_rows(
    value: float,
    rows: Reals,
    shares: Reals,
    clusters: Whole,
    *,
    level: float = LEVEL,
    index: float | None = None,
) -> Estimate:
    """Return a value with its interval.

    Args:
        rows: shape (n,), what each row adds to the error of a mean, or of a ratio of sums; their sum is 0.
        shares: shape (n,), each row's share in what the mean is of, 0.0 or more; their sum is 1.
        clusters: shape (n,), from 0 without gaps.
        index: of the tail of what a row may add, of which the largest may not have been seen; None where it is bounded.

    Raises:
        ValueError: there are fewer than two clusters.
    """
    own = np.bincount(clusters, rows).astype(np.float64)
    tail = NO_TAIL if index is None else unseen(rows, index=index)
    return estimated(value, own, level=level, sizes=sizes_of(rows, shares, clusters), tail=tail)


def sizes_of(rows: Reals, shares: Reals, clusters: Whole) -> Sizes | None:
    """Return what the clusters' sizes do to the error; None where nothing varies, or one has everything."""
    sums = (np.bincount(clusters, each) for each in (rows, shares, np.square(rows), np.square(shares)))
    own, share, alone, lone = (each.astype(np.float64) for each in sums)
    held = share > 0.0
    if share.max() > _ALL:
        return None
    share, lone = share[held], lone[held]
    single, common = _variances(own[held], share, alone[held], lone)
    return _sizes(share, single * lone / np.square(share) + common) if single + common > 0.0 else None


def _variances(own: Reals, share: Reals, alone: Reals, lone: Reals) -> tuple[float, float]:
    """Return the variance that a row has alone, and the one that it shares with its cluster.

    Two rows of one cluster have no more in common than the latter, so it is the mean of their products; and pairs are
    weighed so that the largest cluster does not decide alone. That all rows sum up to 0 makes products too small, by as
    much as the variance of the sum.

    Args:
        own, share: shape (m,), sums by cluster.
        alone, lone: shape (m,), sums of their squares, row by row.
    """
    pairs = float(((np.square(own) - alone) / share).sum() + np.square(own).sum())
    of_pairs = float((share - lone / share).sum())
    common = max(0.0, pairs / of_pairs) if of_pairs > _ROUNDING else 0.0
    return max(float(alone.sum() / lone.sum()) - common, 0.0), common


def _sizes(share: Reals, spread: Reals) -> Sizes:
    """Return what follows for clusters whose means are normal, with the variances `spread`.

    Around the value, the means of two of them have the covariance s_g [g = k] - (a_g + a_k - S), with s the spread,
    a = share s, and S the sum of share^2 s, which is the variance of the value. What is measured is the sum of share^2
    times the square of each: its mean is the trace of share^2 times that matrix, and its variance twice the trace of
    the square of it. Both are written out in sums over clusters, of which there may be many.
    """
    weights = np.square(share)
    pulls = share * spread
    variance = float(share @ pulls)
    off = 2.0 * pulls - variance
    mean = float(weights @ (spread - off))
    total, first, second = float(weights.sum()), float(weights @ pulls), float(weights @ np.square(pulls))
    square = float(np.square(weights) @ (np.square(spread) - 2.0 * spread * off))
    square += 2.0 * second * total + (variance * total) ** 2 + 2.0 * first**2 - 4.0 * variance * first * total
    sixths = float(np.square(share * pulls) @ (share * pulls)) / variance**3
    skewness = max(sixths**0.5 - 1.0 / len(share), 0.0)
    return Sizes(variance / mean, mean**2 / square, 15.0**0.5 * skewness)
