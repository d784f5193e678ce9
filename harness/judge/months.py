"""Month against months: changes of shares and times, slow drift, and what own history teaches. Plain arithmetic.

Shares are compared on the arcsine scale, times on the log scale, where their spread does not hang on their size.
Sections (§) are those of docs/statistics.md. Leading axes are free, so that simulations judge many worlds at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]

MARGIN: Final = 0.02  # a loss of less is no regression (§5.3)
# Levels are one-sided, and of families: a loss is what one looks for (§5.2).
PRIMARY_LEVEL: Final = 0.03  # over the carriers' arrival rates
SECONDARY_LEVEL: Final = 0.01  # over all the rest; over the primary ones against the blessed month; over improvements
MOST_MONTHS: Final = 6
LEAST_MONTHS: Final = 3  # fewer: provisional
SAMPLING_PART: Final = 0.8  # the month variance is never taken as less than this part of the sampling variance
ALLOWANCE: Final = 0.5  # CUSUM's k (§5.4)
DRIFT_LEVEL: Final = 0.05  # a year without drift alarms with this probability
BORROWED_DF: Final = 6.0  # what the dispersion of a vendor's other measures is worth for one measure's month variance
LEAST_CELLS: Final = 12  # from fewer nothing is learned (§1.3)


# --- scales ----------------------------------------------------------------------------------------------------------


def arcsine(hits: ArrayLike, n: ArrayLike) -> Floats:
    """2·arcsin√((x + 3/8) / (n + 3/4)): a share on a scale on which its variance is 1/n (§5.2). Effective counts.

    >>> arcsine(50, 100).round(4).item()
    1.5708
    """
    counts, trials = np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if not ((counts >= 0) & (counts <= trials * (1 + 1e-9)) & (trials > 0)).all():
        raise ValueError(f"need 0 <= hits <= trials and some trials, got {hits!r} of {n!r}")
    return np.asarray(2 * np.arcsin(np.sqrt(np.minimum((counts + 0.375) / (trials + 0.75), 1.0))), dtype=np.float64)


def arcsine_variance(n: ArrayLike) -> Floats:
    """Sampling variance of `arcsine`."""
    return np.asarray(1 / (np.asarray(n, dtype=np.float64) + 0.5), dtype=np.float64)


# --- the spread of months --------------------------------------------------------------------------------------------


class Pooled(NamedTuple):
    """A variance with the degrees of freedom it is known by."""

    variance: Floats
    df: float


def month_variance(cells: Sequence[ArrayLike]) -> Pooled | None:
    """Variance between months, pooled over cells (§5.2); each cell is (…, months). None: no cell has two months."""
    total, df = np.zeros(()), 0
    for cell in cells:
        months = np.asarray(cell, dtype=np.float64)
        if months.shape[-1] > 1:
            total = total + ((months - months.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
            df += months.shape[-1] - 1
    return Pooled(np.asarray(total / df), float(df)) if df else None


def successive_variance(cells: Sequence[ArrayLike]) -> Pooled | None:
    """The same from differences of one month to the next: a lasting shift adds to one of them only (von Neumann)."""
    total, steps = np.zeros(()), 0
    for cell in cells:
        months = np.asarray(cell, dtype=np.float64)
        if months.shape[-1] > 1:
            total = total + (np.diff(months, axis=-1) ** 2).sum(axis=-1) / 2
            steps += months.shape[-1] - 1
    return Pooled(np.asarray(total / steps), steps * 2 / 3) if steps else None


def moderated(own: Pooled | None, prior: ArrayLike | None, *, worth: float = BORROWED_DF) -> Pooled | None:
    """A measure's month variance, steadied by a prior one worth `worth` degrees of freedom (§5.2).

    Three carriers and six months alone leave a −2 points loss found in 60 % of cases where this finds it in 78 %.
    """
    if own is None or prior is None:
        return own
    df = own.df + worth
    variance = (own.df * own.variance + worth * np.asarray(prior, dtype=np.float64)) / df
    return Pooled(np.asarray(variance, dtype=np.float64), df)


class Change(NamedTuple):
    """New minus the mean of months before, on the scale of comparison."""

    gap: Floats
    error: Floats
    df: float
    lean: Floats  # (v_new - v_before) / (v_new + v_before): which of the two the doubt is more about


def change(
    new: ArrayLike,
    past: ArrayLike,
    new_sampling: ArrayLike,
    past_sampling: ArrayLike,
    *,
    between: Pooled | None,
    df: float,
    part: float = SAMPLING_PART,
) -> Change:
    """How far a month is from the mean of those before it, and how sure that is (§5.2).

    `past` and `past_sampling` (variances) are (…, months). A month's variance is the pooled one between months or, if
    that is more, a `part` of the sampling variance; without any the sampling variance itself with `df`.
    """
    months = np.asarray(past, dtype=np.float64)
    gap = np.asarray(new, dtype=np.float64) - months.mean(axis=-1)
    own, others = np.asarray(new_sampling, dtype=np.float64), np.asarray(past_sampling, dtype=np.float64)
    if between is None:
        others = others.mean(axis=-1) / months.shape[-1]
        return Change(gap, np.sqrt(own + others), df, np.asarray((own - others) / (own + others)))
    sampled = others.mean(axis=-1)  # what of the spread between months is sampling; the new month has its own
    own = np.maximum(between.variance - sampled + own, part * own)
    others = np.maximum(between.variance, part * sampled) / months.shape[-1]
    return Change(gap, np.sqrt(own + others), between.df, np.asarray((own - others) / (own + others)))


def p_fallen(found: Change) -> Floats:
    """One-sided, of "it did not fall"."""
    return np.asarray(stdtr(found.df, found.gap / found.error), dtype=np.float64)


def p_risen(found: Change) -> Floats:
    """One-sided, of "it did not rise"."""
    return np.asarray(stdtr(found.df, -found.gap / found.error), dtype=np.float64)


def reach(found: Change, level: float, *, one_sided: bool = False) -> Floats:
    """How far the limits lie from the gap."""
    tail = (1 - level) / (1 if one_sided else 2)
    return np.asarray(-stdtrit(found.df, tail) * found.error, dtype=np.float64)


def share_limit(new: ArrayLike, found: Change, step: ArrayLike) -> Floats:
    """The difference of shares were `step` the true one on the arcsine scale.

    sin²(a) − sin²(b) = sin(a + b)·sin(a − b); a and b are those most likely then: what `step` and the gap seen differ
    by is shared out by how sure the new month and those before are.
    """
    steps = np.asarray(step, dtype=np.float64)
    middle = np.asarray(new, dtype=np.float64) - found.gap / 2 - found.lean * (found.gap - steps) / 2
    return np.asarray(np.sin(np.clip(middle, 0.0, np.pi)) * np.sin(steps / 2), dtype=np.float64)


# --- slow drift ------------------------------------------------------------------------------------------------------


def recursive_residuals(months: ArrayLike) -> Floats:
    """(x_t − mean of those before) / √(1 + 1/(t − 1)) for t = 2 …, over the last axis (§5.4).

    >>> recursive_residuals([1.0, 1.0, 1.0, 4.0]).round(2).tolist()
    [0.0, 0.0, 2.6]
    """
    x = np.asarray(months, dtype=np.float64)
    before = np.arange(1, x.shape[-1])
    means = np.cumsum(x, axis=-1)[..., :-1] / before
    return np.asarray((x[..., 1:] - means) / np.sqrt(1 + 1 / before), dtype=np.float64)


def month_sd(spread: Pooled, sampling: ArrayLike) -> Floats:
    """One month's standard deviation for `cusum`: never under four fifths of the sampling variance.

    Widened by √(df / (df − 1)): a spread learned from few months is as often too small as too large.
    """
    variance = np.maximum(spread.variance, SAMPLING_PART * np.asarray(sampling, dtype=np.float64))
    return np.asarray(np.sqrt(variance * spread.df / max(spread.df - 1, 1.0)), dtype=np.float64)


def cusum(months: ArrayLike, scale: ArrayLike, *, allowance: float = ALLOWANCE) -> Floats:
    """One-sided CUSUM of falling values by month from the second on, over the last axis (§5.4).

    `scale` is one month's standard deviation.
    """
    steps = -recursive_residuals(months) / np.asarray(scale, dtype=np.float64)[..., None]
    out, sum_ = np.empty_like(steps), np.zeros(steps.shape[:-1])
    for place in range(steps.shape[-1]):
        sum_ = np.maximum(0.0, sum_ + steps[..., place] - allowance)
        out[..., place] = sum_
    return out


# By months: the threshold that a series without drift passes at some time with probability .05, .05/2, … .05/5.
# Simulated with `simulated_threshold` (400,000 series each); tests/harness/test_months.py does some again.
_THRESHOLDS: Final[Mapping[int, tuple[float, ...]]] = {
    2: (1.15, 1.46, 1.63, 1.74, 1.84),
    3: (1.63, 1.98, 2.18, 2.31, 2.41),
    4: (1.97, 2.37, 2.57, 2.72, 2.86),
    6: (2.45, 2.91, 3.15, 3.36, 3.48),
    8: (2.80, 3.30, 3.57, 3.77, 3.96),
    10: (3.06, 3.60, 3.90, 4.12, 4.28),
    12: (3.28, 3.83, 4.18, 4.38, 4.57),
    15: (3.55, 4.13, 4.47, 4.70, 4.88),
    18: (3.76, 4.35, 4.72, 4.94, 5.16),
    24: (4.08, 4.71, 5.08, 5.35, 5.53),
    36: (4.54, 5.20, 5.57, 5.84, 6.09),
}


def cusum_threshold(months: int, *, series: int = 1) -> float:
    """CUSUM's threshold for so many months and so many series looked at together, 5 % in all (§5.4).

    Read off a simulated table, straight lines between its months; beyond its end, by the last line.
    """
    if months < 2 or series < 1:
        raise ValueError(f"need two months and a series, got {months} and {series}")
    rows = sorted(_THRESHOLDS)
    column = min(series, len(_THRESHOLDS[rows[0]])) - 1
    values = [_THRESHOLDS[row][column] for row in rows]
    if months > rows[-1]:
        slope = (values[-1] - values[-2]) / (rows[-1] - rows[-2])
        return values[-1] + slope * (months - rows[-1])
    return float(np.interp(months, rows, values))


def simulated_threshold(months: int, alarm: float, rng: np.random.Generator, *, runs: int = 400_000) -> float:
    """The threshold that a share `alarm` of null series of so many months passes."""
    highest = np.zeros(0)
    for _ in range(max(1, runs // 50_000)):
        found = cusum(rng.standard_normal((min(runs, 50_000), months)), np.ones(min(runs, 50_000)))
        highest = np.append(highest, found.max(axis=-1))
    return float(np.quantile(highest, 1 - alarm))
