"""From marks to a ranking that says how sure it is: fixed value functions, weights, draws, flips and bounds.

Marks run from 0 to 100. What was not measured is the whole span [0, 100], never 0. Sections (§) are those of
docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

Floats = NDArray[np.float64]

DRAWS: Final = 10_000  # §9
CONCENTRATION: Final = 100.0  # a weight of .20 ranges over .13–.28 (§6.3)
GREATEST_PRIOR: Final = 1_000.0  # cases a prior may be worth at most


def value(knots: ArrayLike, x: ArrayLike) -> Floats:
    """Turn metrics into marks by a fixed piecewise-linear function (§6.1): `knots` are (metric, mark 0–100) rows.

    Fixed before any data, so a vendor's mark never depends on who else takes part. Flat outside the knots.

    >>> value([(0.85, 0), (0.90, 20), (0.95, 60)], [0.80, 0.925, 1.0]).round(6).tolist()
    [0.0, 40.0, 60.0]
    """
    table = np.asarray(knots, dtype=float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] != 2 or not (np.diff(table[:, 0]) > 0).all():
        raise ValueError(f"need two or more (metric, mark) knots by rising metric, got {knots!r}")
    _check_marks(table[:, 1])
    metrics = np.asarray(x, dtype=float)
    if np.isnan(metrics).any():
        raise ValueError("what was not measured has no mark; give it the bounds 0 and 100 instead")
    return np.asarray(np.interp(metrics, table[:, 0], table[:, 1]), dtype=np.float64)


def scores(marks: ArrayLike, weights: ArrayLike) -> Floats:
    """Weighted sums over the last axis (§6.1). Weights count in proportion.

    >>> scores([[100, 0], [50, 50]], [3, 1]).tolist()
    [75.0, 50.0]
    """
    table, share = np.asarray(marks, dtype=float), _weights(weights)
    _check_marks(table)
    if table.shape[-1] != share.size:
        raise ValueError(f"need one weight a mark, got {share.size} for {table.shape[-1]}")
    return np.asarray(table @ share, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The smallest shift of weight after which the second is not behind any more."""

    distance: float  # share of all weight that moves, 0–1
    weights: tuple[float, ...]


def flip_distance(values_a: ArrayLike, values_b: ArrayLike, weights: ArrayLike) -> Flip | None:
    """How little weight must move to turn a ranking: min ½‖w-w₀‖₁ with (v_B-v_A)·w ≥ 0, a linear program (§6.5).

    None: no weights turn it, A is better in everything. A that is not ahead needs no move.

    >>> round(flip_distance([100, 0], [0, 100], [0.6, 0.4]).distance, 6)
    0.1
    """
    first, second, stated = np.asarray(values_a, dtype=float), np.asarray(values_b, dtype=float), _weights(weights)
    _check_marks(first)
    _check_marks(second)
    if not first.shape == second.shape == stated.shape:
        raise ValueError(f"need a mark and a weight a criterion, got {first.shape}, {second.shape}, {stated.shape}")
    gain = second - first
    if float(gain @ stated) >= 0:
        return Flip(distance=0.0, weights=tuple(stated.tolist()))
    if float(gain.max()) < 0:
        return None
    # Unknowns: what each weight gains, then what it loses.
    size = stated.size
    answer = linprog(
        c=np.full(2 * size, 0.5),
        A_ub=-np.concatenate([gain, -gain])[None, :],
        b_ub=[float(gain @ stated)],
        A_eq=np.concatenate([np.ones(size), -np.ones(size)])[None, :],
        b_eq=[0.0],
        bounds=[(0.0, 1.0)] * size + [(0.0, float(weight)) for weight in stated],
    )
    if not answer.success or answer.x is None or answer.fun is None:
        raise ArithmeticError(f"the linear program failed: {answer.message}")
    moved = stated + answer.x[:size] - answer.x[size:]
    return Flip(distance=float(answer.fun), weights=tuple(moved.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptability:
    """How often each vendor takes each rank. Rows are vendors, columns ranks; rows and columns sum to 1."""

    stated: Floats  # stated weights: doubt of the data alone
    varied: Floats  # weights drawn around the stated: doubt of both
    central: (
        Floats  # mean of the drawn weights with which a vendor wins, a row each; the stated ones where it never does
    )


def smaa(
    draws: ArrayLike, weights: ArrayLike, *, concentration: float = CONCENTRATION, rng: np.random.Generator
) -> Acceptability:
    """SMAA-2: rank acceptability over draws of marks and of weights (§6.3).

    `draws` is marks 0–100 by (draw, vendor, criterion); weights are drawn from Dirichlet(concentration · stated).
    Ties are broken at random. 10,000 draws of 5 vendors take about 10 ms and are exact to .005.
    """
    marks, stated = np.asarray(draws, dtype=float), _weights(weights)
    if marks.ndim != 3 or not marks.size or marks.shape[2] != stated.size:
        raise ValueError(f"need marks by (draw, vendor, criterion), got {marks.shape} for {stated.size} weights")
    if concentration <= 0:
        raise ValueError(f"need a concentration above 0, got {concentration}")
    _check_marks(marks)
    drawn = np.zeros((marks.shape[0], stated.size))
    # A weight of zero stays zero; Dirichlet knows only positive ones.
    drawn[:, stated > 0] = rng.dirichlet(concentration * stated[stated > 0], size=marks.shape[0])
    by_stated = _ranks(marks @ stated, rng)
    by_drawn = _ranks(np.einsum("svj,sj->sv", marks, drawn), rng)
    winners = by_drawn == 0
    central = np.array([drawn[wins].mean(axis=0) if wins.any() else stated for wins in winners.T])
    return Acceptability(stated=_frequencies(by_stated), varied=_frequencies(by_drawn), central=central)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the missing evidence leaves open."""

    low: tuple[float, ...]  # least score of each vendor
    high: tuple[float, ...]
    possible: tuple[int, ...]  # vendors that may be first
    necessary: int | None  # the vendor that is first whatever the missing cells turn out to be
    settling: tuple[tuple[int, int], ...]  # (vendor, criterion) cells that, once measured, can settle it alone


def possible_and_necessary(low: ArrayLike, high: ArrayLike, weights: ArrayLike) -> Bounds:
    """Who may and who must be first, with marks known only as bounds (§6.4).

    `low` and `high` are marks by (vendor, criterion); a cell not measured is 0 and 100. Putting zero there instead
    names a wrong winner in 18 % of cases with one empty cell of 30.
    """
    least, most = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if least.ndim != 2 or least.shape != most.shape or not least.size or (least > most).any():
        raise ValueError(f"need low <= high by (vendor, criterion), got {low!r} and {high!r}")
    share = _weights(weights)
    bottom, top = scores(least, share), scores(most, share)
    settling: list[tuple[int, int]] = []
    winner = _must_win(bottom, top)
    if winner is None:
        for vendor, criterion in np.argwhere((most > least) & (share > 0)):
            span = share[criterion] * (most[vendor, criterion] - least[vendor, criterion])
            if any(_must_win(*filled) is not None for filled in _filled(bottom, top, int(vendor), float(span))):
                settling.append((int(vendor), int(criterion)))
    return Bounds(
        low=tuple(bottom.tolist()),
        high=tuple(top.tolist()),
        possible=tuple(np.flatnonzero(top >= bottom.max() - 1e-9).tolist()),
        necessary=winner,
        settling=tuple(settling),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaPrior:
    """A Beta distribution worth hits + misses cases."""

    hits: float
    misses: float


def empirical_bayes_beta(hits: ArrayLike, trials: ArrayLike) -> BetaPrior:
    """The Beta prior that many cells (vendors × carriers) share, fitted by moments (§6.3). Give *effective* counts.

    Picking the best of several needs this shrinkage: without it "93 % sure" is right in 78 %.
    """
    good, n = np.asarray(hits, dtype=float), np.asarray(trials, dtype=float)
    if good.ndim != 1 or good.shape != n.shape or good.size < 2:
        raise ValueError(f"need hits and trials of two or more cells, got {hits!r} of {trials!r}")
    if not ((good >= 0) & (good <= n) & (n > 0)).all():
        raise ValueError(f"need 0 <= hits <= trials and some trials in each, got {hits!r} of {trials!r}")
    mean = float((good.sum() + 0.5) / (n.sum() + 1))
    noise = mean * (1 - mean) * float((1 / n).mean())
    between = float((good / n).var(ddof=1)) - noise
    worth = GREATEST_PRIOR if between <= 0 else mean * (1 - mean) / between - 1
    worth = min(max(worth, 1.0), GREATEST_PRIOR)
    return BetaPrior(hits=mean * worth, misses=(1 - mean) * worth)


def draw_shares(
    shares: ArrayLike, n_eff: ArrayLike, prior: BetaPrior, *, draws: int = DRAWS, rng: np.random.Generator
) -> Floats:
    """Posterior draws of shares given their effective n, by (draw, cell) (§6.3)."""
    seen, n = np.asarray(shares, dtype=float), np.asarray(n_eff, dtype=float)
    if seen.shape != n.shape or not ((seen >= 0) & (seen <= 1) & (n > 0)).all():
        raise ValueError(f"need shares in 0…1 with an effective n each, got {shares!r} and {n_eff!r}")
    return rng.beta(prior.hits + seen * n, prior.misses + (1 - seen) * n, size=(draws, *seen.shape))


def _ranks(totals: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rank of each vendor in each draw, 0 first; equal totals in random order."""
    order = np.lexsort((rng.random(totals.shape), -totals.round(9)), axis=-1)
    return np.argsort(order, axis=-1)


def _frequencies(ranks: NDArray[np.intp]) -> Floats:
    """Shares by (vendor, rank)."""
    vendors = ranks.shape[1]
    return np.stack([np.bincount(column, minlength=vendors) / ranks.shape[0] for column in ranks.T])


def _must_win(bottom: Floats, top: Floats) -> int | None:
    best = int(np.argmax(bottom))
    return best if (np.delete(top, best) < bottom[best]).all() else None


def _filled(bottom: Floats, top: Floats, vendor: int, span: float) -> list[tuple[Floats, Floats]]:
    """Score bounds once one cell turns out best, and once worst."""
    best, worst = bottom.copy(), top.copy()
    best[vendor] += span
    worst[vendor] -= span
    return [(best, top), (bottom, worst)]


def _weights(weights: ArrayLike) -> Floats:
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim != 1 or not array.size or not (array >= 0).all() or not np.isfinite(array).all() or array.sum() <= 0:
        raise ValueError(f"need weights of 0 or more, not all 0, got {weights!r}")
    return np.asarray(array / array.sum(), dtype=np.float64)


def _check_marks(marks: Floats) -> None:
    if marks.size and not (marks.min() >= -1e-9 and marks.max() <= 100 + 1e-9):  # also refuses not-a-number
        raise ValueError(f"marks run from 0 to 100, got {marks.min()}…{marks.max()}")
