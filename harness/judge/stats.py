"""Intervals, survival, clocks, receipts and differences: plain functions on plain arrays.

Every number comes with an interval that stays honest for messages clustered by handset and hour, or not at all:
`NotEnough` says why. Sections (§) are those of docs/statistics.md; docs/calibration.md has the measured coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, inf, log, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, betaln, chdtri, ndtri, stdtr, stdtrit

from harness.domain import Estimate, Scope

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

LEVEL: Final = 0.95
BLOCKS: Final = 8  # equal time blocks of an observed window (§1.3)
LEAST_HANDSETS: Final = 5  # fewer say nothing about handsets not seen (§1.3)
LEAST_BLOCKS: Final = 4
DAY: Final = 86_400.0  # seconds
# Mean length of outages to be reckoned with. §7 names 40 min, but simulated with the true mean known: with 40 min taken
# and 90 or 180 true, coverage fell to 87 and 74 %. Two hours give the widths of §7: 8.2 points
# after 7 days, 2.5 after 28.
OUTAGE_LENGTH: Final = 7_200.0  # seconds
ARRIVED: Final = 1  # event codes of the survival functions
FAILED: Final = 2
OPEN: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEnough:
    """No answer, and why: a message id with its values, e.g. ``few_handsets`` {"handsets": 3, "needed": 5}."""

    reason: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Least intra-class correlations assumed, whatever a sample shows (§1.3, §9).

    With 5–20 handsets the bad one is usually not in the sample, so clustering cannot be read off it.
    """

    handset: float = 0.05
    block: float = 0.01
    panel_block: float = 0.02
    df: float = 20.0  # how well the population's floors are known, as if learned from 21 handsets


FLOORS: Final = Floors()


class Limits(NamedTuple):
    low: float
    high: float


# --- plain counts ----------------------------------------------------------------------------------------------------


def wilson(hits: float, trials: float, *, level: float = LEVEL) -> Limits:
    """Wilson's score interval of a share, two-sided; stays honest near 0 and 1 (§1.1). Counts may be fractional.

    >>> low, high = wilson(30, 30)
    >>> round(low, 3), high
    (0.886, 1.0)
    """
    _check_counts(hits, trials)
    return _wilson(hits / trials, trials, _z(level))


def clopper_pearson(hits: float, trials: float, *, level: float = LEVEL, one_sided: bool = False) -> Limits:
    """Clopper–Pearson's exact interval: covers at least `level`, always (§1.1). Counts may be fractional.

    With `one_sided` each limit alone holds with `level`.

    >>> round(clopper_pearson(0, 59, one_sided=True).high, 4)
    0.0495
    """
    _check_counts(hits, trials)
    tail = (1 - _checked_level(level)) / (1 if one_sided else 2)
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return Limits(low, high)


def zero_upper_limit(trials: int, *, level: float = LEVEL) -> float:
    """What a clean record proves: the one-sided upper limit of a share after no hit in `trials` (§8).

    >>> round(zero_upper_limit(299), 3)
    0.01
    """
    if trials < 1:
        raise ValueError(f"need some trials, got {trials}")
    return float(1 - (1 - _checked_level(level)) ** (1 / trials))


def garwood(count: int, *, level: float = LEVEL) -> Limits:
    """Garwood's exact interval of a Poisson mean, for counts of outages (§7).

    >>> low, high = garwood(0)
    >>> low, round(high, 2)
    (0.0, 3.69)
    """
    if count < 0:
        raise ValueError(f"need a count, got {count}")
    tail = (1 - _checked_level(level)) / 2
    low = float(chdtri(2 * count, 1 - tail)) / 2 if count else 0.0
    return Limits(low, float(chdtri(2 * count + 2, tail)) / 2)


def share(hits: int, trials: int, *, level: float = LEVEL, scope: Scope = Scope.CASES) -> Estimate | NotEnough:
    """Estimate a share of independent cases (probes, reviews, leaks) by Wilson's interval (§1.1)."""
    if trials == 0:
        return NotEnough(reason="no_cases")
    low, high = wilson(hits, trials, level=level)
    return Estimate(
        value=hits / trials, low=low, high=high, n=trials, n_eff=float(trials), handsets=None, days=None,
        method="wilson", scope=scope, level=level,
    )  # fmt: skip


# --- shares of clustered messages ------------------------------------------------------------------------------------


def time_blocks(
    times: ArrayLike, window_start: float | None = None, window_end: float | None = None, *, blocks: int = BLOCKS
) -> Indices:
    """Number the equal time block of each message, 0 … blocks-1 (§1.3). Times in seconds, same clock as the window.

    >>> time_blocks([0, 10, 79, 80], 0, 80).tolist()
    [0, 1, 7, 7]
    """
    seconds = _numbers("times", times)
    if blocks < 1:
        raise ValueError(f"need at least one block, got {blocks}")
    if not seconds.size:
        return np.zeros(0, dtype=np.intp)
    start = float(seconds.min()) if window_start is None else window_start
    end = float(seconds.max()) if window_end is None else window_end
    if start > seconds.min() or end < seconds.max():
        raise ValueError(f"times {seconds.min()}…{seconds.max()} lie outside the window {start}…{end}")
    if end == start:
        return np.zeros(seconds.size, dtype=np.intp)
    return np.minimum((seconds - start) / (end - start) * blocks, blocks - 1).astype(np.intp)


def rate(
    y: ArrayLike,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """Estimate a share of clustered messages: Wilson's interval on an effective n (§1.3).

    `y` holds 0/1 (or shares) for *all sent*; `handset` and `block` label the same messages (integers or strings). The
    variance is two-way, handset × time block, with correlation floors and a t quantile; `Scope.PANEL` speaks of these
    handsets only (blocks alone), `Scope.WINDOW` of just these messages (plain Wilson). A span under one of `days` is
    labelled `Scope.WINDOW`. Coverage 94.5 % at worst of 288 simulated worlds, where plain Wilson has 21 %.
    Word families in place of handsets serve filter tests (§8).
    """
    hits = _shares("y", y)
    layout = _layout(hits.size, handset, block)
    if refusal := _refusal(layout, scope):
        return refusal
    mean = float(hits.mean())
    rest = hits - mean
    return _settle(
        mean, layout, _variance(rest, layout.handset, layout.handsets), _variance(rest, layout.block, layout.blocks),
        float(rest @ rest) / hits.size**2, scope=scope, days=days, level=level, floors=floors, method="wilson-n_eff",
    )  # fmt: skip


def broadest_rate(
    y: ArrayLike,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """`rate` for the broadest population the data can bear: any handset, else this panel, else this window (§1.3)."""
    answer: Estimate | NotEnough = NotEnough(reason="no_messages")
    for scope in (Scope.POPULATION, Scope.PANEL, Scope.WINDOW):
        answer = rate(y, handset, block, scope=scope, days=days, level=level, floors=floors)
        if isinstance(answer, Estimate):
            return answer
    return answer


class Spread(NamedTuple):
    """A share's counts and how it spread over phones and time, before floors and t (see `result.Basis`)."""

    hits: float
    n: int
    handsets: int
    blocks: int
    per_handset: float
    per_block: float
    handset_deff: float | None
    block_deff: float | None
    deff: float | None


def spread(y: ArrayLike, handset: ArrayLike, block: ArrayLike) -> Spread:
    """How far a share is from one of independent messages: the estimated design effects of §1.3, without floors."""
    hits = _shares("y", y)
    layout = _layout(hits.size, handset, block)
    if not hits.size:
        raise ValueError("need some messages, got none")
    mean = float(hits.mean())
    rest = hits - mean
    plain = mean * (1 - mean) / hits.size
    by_handset = _variance(rest, layout.handset, layout.handsets)
    by_block = _variance(rest, layout.block, layout.blocks)
    both = max(by_handset + by_block - float(rest @ rest) / hits.size**2, by_handset, by_block)
    deffs = [None if plain <= 0 else one / plain for one in (by_handset, by_block, both)]
    return Spread(
        float(hits.sum()), hits.size, layout.handsets, layout.blocks, layout.per_handset, layout.per_block, *deffs
    )


class EffectiveWilson(NamedTuple):
    low: float
    high: float
    n_eff: float


def effective_wilson(
    share: float,
    variance: float,
    *,
    n: int,
    df: float = inf,
    least_deff: float = 1.0,
    least_df: float | None = None,
    level: float = LEVEL,
) -> EffectiveWilson:
    """Turn any estimated share with its variance into Wilson's interval on the effective n (§1.3, last step).

    n_eff = n / max(variance / (p(1-p)/n) · (t_df / z)², least_deff · (t_least_df / z)²). The floor has degrees of
    freedom of its own: it is an assumption, not an estimate from as few handsets as there are; None: the same `df`.

    >>> effective_wilson(0.5, 0.005, n=100).n_eff
    50.0
    """
    if not (0 <= share <= 1 and variance >= 0 and n > 0 and df > 0):
        raise ValueError(f"need a share, a variance, n and df > 0; got {share}, {variance}, {n}, {df}")
    z = _z(level)
    spread = share * (1 - share) / n
    seen = max(variance / spread if spread > 0 else 1.0, 1.0) * (_t(level, df) / z) ** 2
    floor = max(least_deff, 1.0) * (_t(level, df if least_df is None else least_df) / z) ** 2
    n_eff = n / max(seen, floor)
    return EffectiveWilson(*_wilson(share, n_eff, z), n_eff)


def jackknifed(
    estimator: Callable[[Bools], float],
    handset: ArrayLike,
    block: ArrayLike,
    *,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
    method: str,
) -> Estimate | NotEnough:
    """Give any estimator of a share the interval of §1.3, by leaving out one handset and one block at a time (§2.2).

    `estimator` gets a mask over the messages, True for those to use, and answers with a share.
    """
    handsets = np.asarray(handset)
    layout = _layout(handsets.shape[0], handset, block)
    if refusal := _refusal(layout, scope):
        return refusal
    whole = min(1.0, max(0.0, estimator(np.ones(layout.n, dtype=bool))))
    return _settle(
        whole, layout, _jackknife(estimator, whole, layout.handset, layout.handsets),
        _jackknife(estimator, whole, layout.block, layout.blocks), whole * (1 - whole) / layout.n,
        scope=scope, days=days, level=level, floors=floors, method=method,
    )  # fmt: skip


# --- time to arrival -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A share by time: steps at `times` (seconds, rising) up to `shares`; zero before the first."""

    times: Floats
    shares: Floats

    def at(self, seconds: float) -> float:
        """The share reached by then."""
        index = int(np.searchsorted(self.times, seconds, side="right"))
        return float(self.shares[index - 1]) if index else 0.0

    def reach(self, share: float) -> float | None:
        """When the share is first reached; None: not reached."""
        index = int(np.searchsorted(self.shares, share - 1e-12))
        return float(self.times[index]) if index < self.times.size else None


def incidence_curve(time: ArrayLike, event: ArrayLike) -> Curve:
    """Aalen–Johansen's cumulative incidence of arrival over *all sent* (§2.2).

    `time` is seconds since sending, to the event or, while open, to the end of watching; `event` is 1 arrived,
    2 explicitly failed, 0 open. One minus Kaplan–Meier, with failures taken as open, would be 4 points too high.

    >>> incidence_curve([1, 2, 3, 4], [1, 2, 1, 0]).shares.tolist()
    [0.25, 0.5]
    """
    seconds, events = _survival(time, event)
    return _incidence(seconds, events)


def cumulative_incidence(time: ArrayLike, event: ArrayLike, at: ArrayLike) -> Floats:
    """The shares of all sent that arrived within each of `at` seconds, by Aalen–Johansen (see `incidence_curve`)."""
    curve = incidence_curve(time, event)
    return np.array([curve.at(float(seconds)) for seconds in np.atleast_1d(np.asarray(at, dtype=float))])


def arrived_within(
    time: ArrayLike,
    event: ArrayLike,
    t: float,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    followed_up: float | None,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """Estimate the share of all sent that arrived within `t` seconds: Aalen–Johansen, handset jackknife (§2.2).

    `followed_up` is the shortest *planned* watch in seconds: beyond it no share is given; None vouches that it is
    long enough. When nothing was cut off before `t` this is `rate`, exactly. The i.i.d. interval covers 82 % where
    this one covers 97 %.
    """
    if followed_up is not None and t > followed_up:
        return NotEnough(reason="follow_up_too_short", values={"asked": t, "followed_up": followed_up})
    seconds, events = _survival(time, event)
    if not ((events == OPEN) & (seconds < t)).any():
        reached = (events == ARRIVED) & (seconds <= t)
        return rate(reached, handset, block, scope=scope, days=days, level=level, floors=floors)

    def share_within(use: Bools) -> float:
        return _incidence(seconds[use], events[use]).at(t)

    return jackknifed(
        share_within, handset, block, scope=scope, days=days, level=level, floors=floors, method="aalen-johansen"
    )


def percentile_of_all_sent(
    q: float,
    time: ArrayLike,
    event: ArrayLike,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    followed_up: float | None,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """Seconds by which a share `q` of *all sent* has arrived, by Woodruff's interval (§2.2).

    Wilson's limits of the share at the estimated percentile are read back on the curve. Value or limit None: *not
    reached* within `followed_up`, which is the normal answer where more than 1-q never arrive. Coverage 96–100 %.
    """
    _check_q(q)
    seconds, events = _survival(time, event)
    curve = _cut(_incidence(seconds, events), followed_up)
    value = curve.reach(q)
    last = float(curve.times[-1]) if curve.times.size else 0.0
    there = arrived_within(
        seconds, events, last if value is None else value, handset, block,
        followed_up=None, scope=scope, days=days, level=level, floors=floors,
    )  # fmt: skip
    return _woodruff(there, curve, q, value, "woodruff-all-sent")


def percentile_given_arrival(
    q: float,
    time: ArrayLike,
    event: ArrayLike,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """Seconds by which a share `q` of *those that arrived* had arrived, by Woodruff's interval (§2.2).

    Flatters a vendor that loses messages: show it only under this name, beside `percentile_of_all_sent`.
    """
    _check_q(q)
    seconds, events = _survival(time, event)
    arrived = events == ARRIVED
    curve = _incidence(seconds[arrived], events[arrived])
    value = curve.reach(q)
    reached = seconds[arrived] <= (0.0 if value is None else value)
    there = rate(
        reached, np.asarray(handset)[arrived], np.asarray(block)[arrived],
        scope=scope, days=days, level=level, floors=floors,
    )  # fmt: skip
    return _woodruff(there, curve, q, value, "woodruff-given-arrival")


def turnbull_curve(left: ArrayLike, right: ArrayLike, *, tolerance: float = 1e-7, steps: int = 2_000) -> Curve:
    """Turnbull's estimate of a share by time from polled reports, by expectation and maximisation (§2.3).

    The event of message i lies in (left, right] seconds: last poll without it, first poll with it; right is inf while
    there is none. Taking the poll as the event is up to 45 points wrong at 5 s. Mass is placed at the right ends of
    the innermost intervals; `turnbull` spreads it evenly over them.
    """
    _, ends, mass = _turnbull(left, right, tolerance, steps)
    known = np.isfinite(ends)
    return Curve(times=ends[known], shares=np.cumsum(mass[known]))


def turnbull(
    left: ArrayLike, right: ArrayLike, at: ArrayLike, *, tolerance: float = 1e-7, steps: int = 2_000
) -> Floats:
    """The shares with the event within each of `at` seconds, from polled reports (see `turnbull_curve`).

    >>> turnbull([0, 0, 5, 10], [5, 5, 10, np.inf], [5, 10]).round(2).tolist()
    [0.5, 0.75]
    """
    starts, ends, mass = _turnbull(left, right, tolerance, steps)
    asked = np.atleast_1d(np.asarray(at, dtype=float))
    length = np.where(np.isfinite(ends), np.maximum(ends - starts, 1e-9), inf)
    part = np.clip((asked[:, None] - starts) / length, 0.0, 1.0)
    part[asked[:, None] >= ends] = 1.0
    return np.asarray(part @ mass, dtype=np.float64)


def reported_within(
    left: ArrayLike,
    right: ArrayLike,
    t: float,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """Estimate the share of all sent with a report within `t` seconds, from polls, by Turnbull and jackknife (§2.3)."""
    lefts, rights = np.asarray(left, dtype=float), np.asarray(right, dtype=float)

    def share_within(use: Bools) -> float:
        return float(turnbull(lefts[use], rights[use], t, tolerance=1e-5)[0])

    return jackknifed(
        share_within, handset, block, scope=scope, days=days, level=level, floors=floors, method="turnbull"
    )


# --- clocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """The other clock minus ours, in seconds, and how far from it the truth can be at most."""

    offset: float
    bound: float


def offset_from_exchanges(
    t0: ArrayLike, t1: ArrayLike, t2: ArrayLike, t3: ArrayLike, *, at: float | None = None, drift_ppm: float = 0.0
) -> ClockOffset | NotEnough:
    """The offset of the answering clock against the asking one, from the quickest exchange (§2.4).

    Seconds: asked t0 and heard t3 on the asking clock, received t1 and answered t2 on the answering one. The error is
    at most half the round trip, always; medians over exchanges are five times worse. For a moment `at` (asking
    clock) each exchange's bound grows with its distance by `drift_ppm`, and the smallest is taken.

    >>> offset_from_exchanges([0.0], [5.1], [5.1], [0.2])
    ClockOffset(offset=5.0, bound=0.1)
    """
    asked, received, answered, heard = (_numbers(f"t{i}", v) for i, v in enumerate((t0, t1, t2, t3)))
    if not asked.size == received.size == answered.size == heard.size:
        raise ValueError(f"need four stamps an exchange, got {asked.size}/{received.size}/{answered.size}/{heard.size}")
    if not asked.size:
        return NotEnough(reason="no_clock_exchange")
    trip = (heard - asked) - (answered - received)
    if (heard < asked).any() or (answered < received).any() or (trip < 0).any():
        return NotEnough(reason="clock_jumped")
    away = np.zeros(asked.size) if at is None else np.abs((asked + heard) / 2 - at)
    bound = trip / 2 + away * drift_ppm * 1e-6
    best = int(np.argmin(bound))
    offset = ((received[best] - asked[best]) + (answered[best] - heard[best])) / 2
    return ClockOffset(offset=round(float(offset), 9), bound=round(float(bound[best]), 9))


def causal_bounds(send: ArrayLike, handset: ArrayLike, upload: ArrayLike) -> ClockOffset | NotEnough:
    """The offset of a handset's clock from cause and effect alone: sent before seen before uploaded (§2.4).

    Seconds: `send` and `upload` on our clock, `handset` on its own. max(handset - upload) ≤ offset ≤
    min(handset - send), always; about 0.25 s either way after 100 messages.

    >>> causal_bounds([0.0], [11.0], [2.0])
    ClockOffset(offset=10.0, bound=1.0)
    """
    sent, seen, uploaded = _numbers("send", send), _numbers("handset", handset), _numbers("upload", upload)
    if not sent.size == seen.size == uploaded.size:
        raise ValueError(f"need three stamps a message, got {sent.size}/{seen.size}/{uploaded.size}")
    if not sent.size:
        return NotEnough(reason="no_messages")
    least, most = float((seen - uploaded).max()), float((seen - sent).min())
    if least > most:
        return NotEnough(reason="clock_jumped", values={"least": least, "most": most})
    return ClockOffset(offset=(least + most) / 2, bound=(most - least) / 2)


def within_with_clock_bound(
    time: ArrayLike,
    event: ArrayLike,
    t: float,
    bound: float,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    followed_up: float | None,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
    greatest_bound: float = 0.05,
) -> Estimate | NotEnough:
    """`arrived_within` for stamps that may be off by ±`bound` seconds: F(t-bound) … F(t+bound), plus sampling (§2.4).

    Withheld where the bound exceeds `greatest_bound` of `t`: 0.25 s for "within 5 s".
    """
    if bound < 0:
        raise ValueError(f"need a clock bound of 0 s or more, got {bound}")
    if bound > greatest_bound * t + 1e-12:
        return NotEnough(reason="clock_bound_too_wide", values={"bound": bound, "allowed": greatest_bound * t})

    def within(seconds: float) -> Estimate | NotEnough:
        return arrived_within(
            time, event, seconds, handset, block,
            followed_up=followed_up, scope=scope, days=days, level=level, floors=floors,
        )  # fmt: skip

    middle = within(t)
    if isinstance(middle, NotEnough) or bound == 0:
        return middle
    early = within(t - bound)
    late = within(t + bound if followed_up is None else min(t + bound, followed_up))
    if isinstance(early, NotEnough) or isinstance(late, NotEnough):
        return NotEnough(reason="follow_up_too_short", values={"asked": t + bound})
    return replace(middle, low=early.low, high=late.high, method=f"{middle.method}+clock")


# --- claims held against sightings -----------------------------------------------------------------------------------


def post_stratified(
    claims: ArrayLike,
    verified_claims: ArrayLike,
    verified_arrived: ArrayLike,
    handset: ArrayLike | None = None,
    *,
    claims_handset: ArrayLike | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
    days: float | None = None,
    scope: Scope = Scope.POPULATION,
) -> Estimate | NotEnough:
    """Estimate the arrival rate of *all* messages from claims, corrected by a verified random part (§3.1).

    `claims` labels all messages by what the vendor said (delivered, failed, none …); `verified_claims`,
    `verified_arrived` (0/1) and `handset` speak of the verified ones. Σ_d P(d)·P(arrived | d); with handsets the
    variance is a leave-one-handset-out jackknife with the correlation floor, and t. Give `claims_handset` too where
    all messages went to few numbers, the same ones: then both parts are jackknifed together. Coverage 94.5 % at worst
    (96 % clustered), where taking claims for truth has 0 %. A claim never verified is taken as anything from 0 to 1,
    and refused if more than 5 % of messages carry it.
    """
    said, checked = np.asarray(claims), np.asarray(verified_claims)
    arrived = _shares("verified_arrived", verified_arrived)
    if checked.shape != arrived.shape:
        raise ValueError(f"need one claim a verified message, got {checked.size} for {arrived.size}")
    if not said.size or not arrived.size:
        return NotEnough(reason="no_messages", values={"messages": said.size, "verified": arrived.size})
    kinds, all_index = np.unique(said, return_inverse=True)
    if strange := set(np.unique(checked).tolist()) - set(kinds.tolist()):
        raise ValueError(f"verified messages carry claims no message has: {sorted(strange)!r}")
    claimed = _Claims(all_index=all_index, index=np.searchsorted(kinds, checked), arrived=arrived, kinds=kinds.size)
    weights, trials = claimed.weights(), claimed.trials()
    if (blind := float(weights[trials == 0].sum())) > 0.05:
        return NotEnough(reason="claims_not_verified", values={"share": blind})
    per_claim = claimed.rates()
    value = min(1.0, float(weights @ per_claim))
    soft = (per_claim * trials + 0.5) / (trials + 1)
    sampled = float((weights**2 * soft * (1 - soft) / np.maximum(trials, 1)).sum())
    variance = sampled + float((weights * (per_claim - value) ** 2).sum()) / said.size
    df, handsets = inf, None
    if handset is not None:
        layout = _layout(arrived.size, handset, np.zeros(arrived.size))
        if layout.handsets < LEAST_HANDSETS:
            return NotEnough(reason="few_handsets", values={"handsets": layout.handsets, "needed": LEAST_HANDSETS})
        variance = _clustered_claims(claimed, value, sampled, variance - sampled, handset, claims_handset, floors)
        df, handsets = layout.handsets - 1, layout.handsets
    certain = value if 0 < value < 1 else float(weights @ soft)
    z = _z(level)
    n_eff = min(float(said.size), certain * (1 - certain) / variance) * (z / _t(level, df)) ** 2
    low, high = _wilson(value, n_eff, z)
    return Estimate(
        value=value, low=low, high=high, n=said.size, n_eff=n_eff, handsets=handsets, days=days,
        method="post-stratified", scope=scope, level=level,
    )  # fmt: skip


def false_receipts(
    unseen: ArrayLike,
    handset: ArrayLike | None,
    control_missed: ArrayLike,
    control_handset: ArrayLike | None,
    *,
    level: float = LEVEL,
    floors: Floors = FLOORS,
    days: float | None = None,
    scope: Scope = Scope.POPULATION,
) -> Estimate | NotEnough:
    """Estimate the share of "delivered" claims that are false, corrected for handsets that miss messages (§3.2).

    `unseen` is 1 where a vendor says delivered and a handset proven alive saw nothing; `control_missed` is 1 where
    the same handsets missed a control message of another sender. f = (g-m)/(1-m); interval by MOVER on Wilson limits
    of effective counts. Uncorrected, an honest vendor is accused every time the forwarding app loses 2 %.
    """
    unseens, missed = _shares("unseen", unseen), _shares("control_missed", control_missed)
    if not unseens.size:
        return NotEnough(reason="no_messages")
    if not missed.size:
        return NotEnough(reason="no_controls")
    raw, app = _by_handset(unseens, handset, level, floors), _by_handset(missed, control_handset, level, floors)
    if isinstance(raw, NotEnough):
        return raw
    if isinstance(app, NotEnough):
        return app
    g, m = float(unseens.mean()), float(missed.mean())
    if m >= 1:
        return NotEnough(reason="controls_all_missed", values={"controls": missed.size})
    ratio = _mover_ratio(1 - g, Limits(1 - raw.high, 1 - raw.low), 1 - m, Limits(1 - app.high, 1 - app.low))
    handsets = None if handset is None else int(np.unique(np.asarray(handset)).size)
    return Estimate(
        value=min(1.0, max(0.0, (g - m) / (1 - m))),
        low=max(0.0, 1 - ratio.high), high=min(1.0, max(0.0, 1 - ratio.low)),
        n=unseens.size, n_eff=raw.n_eff, handsets=handsets, days=days, method="mover", scope=scope, level=level,
    )  # fmt: skip


def lower_limit(
    hits: ArrayLike, handset: ArrayLike | None = None, *, level: float = LEVEL, floors: Floors = FLOORS
) -> float | NotEnough:
    """One-sided lower limit of a share, by Clopper–Pearson on effective counts (§3.2).

    With handsets the counts are divided by the larger of the observed and the floored design effect, so that one
    deaf handset accuses nobody: the plain limit accuses an honest vendor in 11–13 %.
    """
    marks = _shares("hits", hits)
    if not marks.size:
        return NotEnough(reason="no_messages")
    deff = 1.0
    if handset is not None:
        layout = _layout(marks.size, handset, np.zeros(marks.size))
        if layout.handsets < LEAST_HANDSETS:
            return NotEnough(reason="few_handsets", values={"handsets": layout.handsets, "needed": LEAST_HANDSETS})
        deff = _handset_deff(marks, layout, floors)
    n_eff = marks.size / deff
    return clopper_pearson(float(marks.mean()) * n_eff, n_eff, level=level, one_sided=True).low


def exceeds(
    hits: ArrayLike,
    handset: ArrayLike | None,
    threshold: float,
    *,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> bool | NotEnough:
    """Whether a share is proven to exceed `threshold` (false receipts: 0.01) at a one-sided `level` (§3.2)."""
    if not 0 <= threshold < 1:
        raise ValueError(f"need a threshold in [0, 1), got {threshold}")
    limit = lower_limit(hits, handset, level=level, floors=floors)
    return limit if isinstance(limit, NotEnough) else limit > threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyReports:
    """Receipts stamped before the handset had the message: proof of stamping without knowing."""

    early: int
    n: int
    least: int  # early ones needed to say so

    @property
    def flagged(self) -> bool:
        return self.early >= self.least


def early_reports(
    report_times: ArrayLike, handset_times: ArrayLike, bound: float, *, least: int = 3
) -> EarlyReports | NotEnough:
    """Count "delivered" claims stamped before arrival by more than the clock `bound`, in seconds (§3.2).

    Stamps of the same messages on one clock. Cheap, and catches faking even for messages that arrived.
    """
    claimed, seen = _numbers("report_times", report_times), _numbers("handset_times", handset_times)
    if claimed.size != seen.size:
        raise ValueError(f"need two stamps a message, got {claimed.size} and {seen.size}")
    if bound < 0:
        raise ValueError(f"need a clock bound of 0 s or more, got {bound}")
    if not claimed.size:
        return NotEnough(reason="no_messages")
    return EarlyReports(early=int((claimed + bound < seen).sum()), n=claimed.size, least=least)


def missing_receipts(
    arrived: ArrayLike,
    reported: ArrayLike,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    scope: Scope = Scope.POPULATION,
    days: float | None = None,
    level: float = LEVEL,
    floors: Floors = FLOORS,
) -> Estimate | NotEnough:
    """Estimate the share of arrived messages without a final report by its deadline (§3.2), as `rate`."""
    seen = np.asarray(arrived, dtype=bool)
    silent = ~np.asarray(reported, dtype=bool)[seen]
    return rate(
        silent, np.asarray(handset)[seen], np.asarray(block)[seen], scope=scope, days=days, level=level, floors=floors
    )


# --- stability by hour -----------------------------------------------------------------------------------------------


def dispersion_test(
    hits: ArrayLike, trials: ArrayLike, rng: np.random.Generator, *, draws: int = 999
) -> float | NotEnough:
    """The p-value of "every hour has the same rate", by conditional Monte-Carlo (§7).

    Σ(x-mp)²/(mpq) against `draws` spreads of the same failures over the hours (multivariate hypergeometric).
    """
    arrived, sent = _hours(hits, trials)
    if arrived.size < 2:
        return NotEnough(reason="few_hours", values={"hours": arrived.size, "needed": 2})
    lost = (sent - arrived).astype(np.int64)
    total = int(lost.sum())
    if total == 0 or total == sent.sum():
        return 1.0
    expected = sent * (total / sent.sum())

    def spread(counts: Floats) -> Floats:
        return np.asarray(((counts - expected) ** 2 / sent).sum(axis=-1))

    drawn = rng.multivariate_hypergeometric(sent.astype(np.int64), total, size=draws, method="marginals")
    seen = float(spread(lost.astype(float)))
    return float((1 + (spread(drawn.astype(float)) >= seen * (1 - 1e-12)).sum()) / (draws + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class HourEffects:
    """How rates differ by hour."""

    bad_hour: Estimate  # the 5 %-quantile hour: 19 of 20 hours are better
    clustering: Estimate  # intra-hour correlation
    worst: float  # the worst hour seen, shrunk towards the others
    worst_index: int  # its place in the arrays given


def beta_binomial_hours(
    hits: ArrayLike,
    trials: ArrayLike,
    *,
    quantile: float = 0.05,
    level: float = LEVEL,
    days: float | None = None,
    scope: Scope = Scope.PANEL,
) -> HourEffects | NotEnough:
    """Estimate how bad a bad hour is: beta-binomial hours, grid posterior of mean and correlation (§7).

    Flat prior for the mean, Beta(1, 9) for the correlation. The raw worst hour would say 67 % where every hour truly
    is 98 %; this covers 94–98 % with 168 hours of 12.
    """
    arrived, sent = _hours(hits, trials)
    if arrived.size < 24:
        return NotEnough(reason="few_hours", values={"hours": arrived.size, "needed": 24})
    mu, rho, weight = _hour_posterior(arrived, sent)
    a, b = mu * (1 - rho) / rho, (1 - mu) * (1 - rho) / rho
    low_hours = np.asarray(betaincinv(a, b, quantile), dtype=np.float64)
    shrunk = ((arrived[:, None] + a) / (sent[:, None] + a + b)) @ weight
    worst = int(np.argmin(shrunk))

    def estimate(values: Floats) -> Estimate:
        tail = (1 - level) / 2
        low, middle, high = _weighted_quantiles(values, weight, (tail, 0.5, 1 - tail))
        return Estimate(
            value=middle, low=low, high=high, n=int(sent.sum()), n_eff=float(arrived.size), handsets=None, days=days,
            method="beta-binomial", scope=scope, level=level,
        )  # fmt: skip

    return HourEffects(
        bad_hour=estimate(low_hours), clustering=estimate(rho), worst=float(shrunk[worst]), worst_index=worst
    )


def availability(
    times: ArrayLike,
    hits: ArrayLike,
    trials: ArrayLike,
    *,
    outage_length: float = OUTAGE_LENGTH,
    level: float = LEVEL,
    handsets: int | None = None,
) -> Estimate | NotEnough:
    """Estimate the share of time without outage from regular rounds of messages, by day blocks (§7).

    `times` are the rounds' starts in seconds, `hits` arrived of `trials` in each. A round is down when half or more
    miss, or when it lies, with at most one other, between two such: outages let some messages through. Rounds in one
    outage are one piece of evidence, so n_eff is divided by at least outage length / round gap: the length-weighted
    mean of those seen, never under `outage_length` seconds, the mean length to be reckoned with; t over days.
    Coverage 97–99 % where outages are no longer than that; 91 % where they are 180 min and 120 are reckoned with.
    """
    start, (arrived, sent) = _numbers("times", times), _hours(hits, trials)
    if start.size != arrived.size:
        raise ValueError(f"need one time a round, got {start.size} for {arrived.size}")
    order = np.argsort(start)
    start, down = start[order], _joined((sent - arrived >= sent / 2)[order]).astype(float)
    day = np.floor((start - start[0]) / DAY).astype(np.intp) if start.size else np.zeros(0, dtype=np.intp)
    _, day = np.unique(day, return_inverse=True)
    days = int(day.max()) + 1 if day.size else 0
    if days < LEAST_BLOCKS:
        return NotEnough(reason="few_days", values={"days": days, "needed": LEAST_BLOCKS})
    gap = float(np.median(np.diff(start)))
    lengths = _run_lengths(down)
    # A compound Poisson of outages has the variance of Σ L²/Σ L rounds taken as one; stray rounds hardly move it.
    seen_outage = float(lengths @ lengths / lengths.sum()) * gap if lengths.size else 0.0
    up = 1 - float(down.mean())
    low, high, n_eff = effective_wilson(
        up, _variance(down - down.mean(), day, days), n=start.size, df=days - 1,
        least_deff=max(1.0, max(seen_outage, outage_length) / gap), level=level,
    )  # fmt: skip
    return Estimate(
        value=up, low=low, high=high, n=start.size, n_eff=n_eff, handsets=handsets,
        days=float((start[-1] - start[0] + gap) / DAY), method="day-blocks", scope=Scope.PANEL, level=level,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stretch with many misses: first and last miss, in the seconds given."""

    start: float
    end: float
    misses: int


def outages(times: ArrayLike, missed: ArrayLike, *, window: float = 1_800.0, least: int = 3) -> list[Outage]:
    """Find outages: `least` misses inside `window` seconds, overlapping ones joined (§7).

    `times` are seconds of sending, `missed` 0/1 of the same messages. The window is half-open, so that rounds every
    15 min put two rounds into 30 min, not three.

    >>> outages([0, 60, 120, 9000], [1, 1, 1, 1])
    [Outage(start=0.0, end=120.0, misses=3)]
    """
    seconds, lost = _numbers("times", times), _shares("missed", missed)
    if seconds.size != lost.size:
        raise ValueError(f"need one time a message, got {seconds.size} for {lost.size}")
    if least < 1:
        raise ValueError(f"need at least one miss, got {least}")
    misses = np.sort(seconds[lost > 0.5])
    found: list[tuple[int, int]] = []
    for first in range(misses.size - least + 1):
        last = first + least - 1
        if misses[last] - misses[first] >= window:
            continue
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return [Outage(start=float(misses[a]), end=float(misses[b]), misses=b - a + 1) for a, b in found]


# --- reviews ---------------------------------------------------------------------------------------------------------


def turnaround(seconds: ArrayLike, decided: ArrayLike, q: float, *, level: float = LEVEL) -> Estimate | NotEnough:
    """Seconds by which a share `q` of review tickets is decided: Kaplan–Meier, open tickets censored (§8).

    `seconds` runs to the decision (`decided` 1) or to the last look (0). Wilson limits on Greenwood's effective n are
    read back on the curve. Value or limit None: not reached.
    """
    _check_q(q)
    curve, moments = _kaplan_meier(seconds, decided)
    n = int(np.asarray(seconds).size)
    if n == 0:
        return NotEnough(reason="no_cases")
    value = curve.reach(q)
    last = float(curve.times[-1]) if curve.times.size else 0.0
    _, _, n_eff = _greenwood_wilson(curve, moments, last if value is None else value, n, level)
    low, high = _wilson(q, n_eff, _z(level))
    return Estimate(
        value=value, low=curve.reach(low), high=None if value is None else curve.reach(high), n=n, n_eff=n_eff,
        handsets=None, days=None, method="kaplan-meier", scope=Scope.CASES, level=level,
    )  # fmt: skip


def decided_within(seconds: ArrayLike, decided: ArrayLike, t: float, *, level: float = LEVEL) -> Estimate | NotEnough:
    """Estimate the share of review tickets decided within `t` seconds, by Wilson's interval (§8).

    Tickets still open before `t` are censored (Kaplan–Meier, Greenwood's effective n); without them it is plain Wilson.
    """
    curve, moments = _kaplan_meier(seconds, decided)
    n = int(np.asarray(seconds).size)
    if n == 0:
        return NotEnough(reason="no_cases")
    low, high, n_eff = _greenwood_wilson(curve, moments, t, n, level)
    return Estimate(
        value=min(1.0, curve.at(t)), low=low, high=high, n=n, n_eff=n_eff, handsets=None, days=None,
        method="wilson" if n_eff == n else "kaplan-meier", scope=Scope.CASES, level=level,
    )  # fmt: skip


# --- differences -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First minus second, with its interval and the two-sided p-value of "no difference"."""

    value: float
    low: float
    high: float
    p: float
    n: int  # pairs
    df: float
    handsets: int
    scope: Scope
    level: float = LEVEL


def paired_difference(
    y_a: ArrayLike,
    y_b: ArrayLike,
    handset: ArrayLike,
    block: ArrayLike,
    *,
    scope: Scope = Scope.POPULATION,
    level: float = LEVEL,
) -> Difference | NotEnough:
    """Compare two vendors on pairs (same handset, same minute): two-way variance, t (§4.1).

    `Scope.PANEL` speaks of these handsets only (blocks alone). Degrees of freedom by Satterthwaite. Type I error at
    most 4 % in all simulated worlds, where McNemar's test has 20–39 %.
    """
    first, second = _numbers("y_a", y_a), _numbers("y_b", y_b)
    if first.size != second.size:
        raise ValueError(f"need pairs, got {first.size} and {second.size}")
    if scope not in (Scope.POPULATION, Scope.PANEL):
        raise ValueError(f"a difference speaks of a population or a panel, got {scope}")
    layout = _layout(first.size, handset, block)
    if refusal := _refusal(layout, scope):
        return refusal
    gap = first - second
    mean = float(gap.mean())
    rest = gap - mean
    by_block = _variance(rest, layout.block, layout.blocks)
    if scope is Scope.PANEL:
        variance, df = by_block, float(layout.blocks - 1)
    else:
        by_handset = _variance(rest, layout.handset, layout.handsets)
        variance = max(by_handset + by_block - float(rest @ rest) / gap.size**2, by_handset, by_block)
        df = _satterthwaite(variance, by_handset, by_block, layout)
    # Pairs that all agree would give a zero width; one discordant pair is the least doubt.
    error = sqrt(variance) if variance > 1e-18 else 1 / gap.size
    reach = _t(level, df) * error
    return Difference(
        value=mean, low=mean - reach, high=mean + reach, p=float(2 * stdtr(df, -abs(mean) / error)),
        n=gap.size, df=float(df), handsets=layout.handsets, scope=scope, level=level,
    )  # fmt: skip


def difference_of_rates(first: Estimate, second: Estimate, *, days: float | None = None) -> Estimate:
    """First minus second, of groups that have no phone in common: MOVER on their own limits (Newcombe 1998, method 10).

    Both need a value and two limits. The difference runs from -1 to 1.
    """
    p, q = first.value, second.value
    (l1, u1), (l2, u2) = _ends_of(first), _ends_of(second)
    assert p is not None and q is not None
    return Estimate(
        value=p - q, low=p - q - sqrt((p - l1) ** 2 + (u2 - q) ** 2), high=p - q + sqrt((u1 - p) ** 2 + (q - l2) ** 2),
        n=first.n + second.n, n_eff=1 / (1 / first.n_eff + 1 / second.n_eff),
        handsets=(first.handsets or 0) + (second.handsets or 0) or None, days=days, method="mover-difference",
        scope=first.scope, level=first.level,
    )  # fmt: skip


def detectable_gap(first: Estimate, second: Estimate, *, power: float = 0.8) -> float:
    """The drop from the first rate that its group and the second's would show with this power, at their level.

    An effective n has the t quantile in it, so the normal one serves here.
    """
    p = first.value
    assert p is not None
    reach, low, high = _z(first.level), 0.0, max(p, 1e-6)
    power_reach = float(ndtri(power))

    def is_shown(gap: float) -> bool:
        q = p - gap
        mean = (p * first.n_eff + q * second.n_eff) / (first.n_eff + second.n_eff)
        null = sqrt(max(0.0, mean * (1 - mean)) * (1 / first.n_eff + 1 / second.n_eff))
        other = sqrt(max(0.0, p * (1 - p)) / first.n_eff + max(0.0, q * (1 - q)) / second.n_eff)
        return gap >= reach * null + power_reach * other

    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if is_shown(middle) else (middle, high)
    return high


def _ends_of(one: Estimate) -> Limits:
    if one.value is None or one.low is None or one.high is None:
        raise ValueError(f"need a share with two limits, got {one}")
    return Limits(one.low, one.high)


def paired_times(
    seconds_a: ArrayLike, seconds_b: ArrayLike, handset: ArrayLike, *, level: float = LEVEL
) -> Difference | NotEnough:
    """Compare how long two vendors take on pairs that both arrived: t on handset means of log a - log b (§4.2).

    `value` and limits are logs of the ratio a/b. Phones weigh alike, so phones that differ are what doubt there is.
    """
    first, second = _numbers("seconds_a", seconds_a), _numbers("seconds_b", seconds_b)
    phones, index = np.unique(np.asarray(handset), return_inverse=True)
    if first.size != second.size or first.size != index.size or (first <= 0).any() or (second <= 0).any():
        raise ValueError(f"need pairs of times above 0, each with a handset, got {first.size} and {second.size}")
    if phones.size < LEAST_HANDSETS:
        return NotEnough(reason="few_handsets", values={"handsets": int(phones.size), "needed": LEAST_HANDSETS})
    means = np.bincount(index, weights=np.log(first) - np.log(second)) / np.bincount(index)
    mean, df = float(means.mean()), float(phones.size - 1)
    error = max(float(means.std(ddof=1)) / sqrt(phones.size), 1e-9)
    reach = _t(level, df) * error
    return Difference(
        value=mean, low=mean - reach, high=mean + reach, p=float(2 * stdtr(df, -abs(mean) / error)), n=first.size,
        df=df, handsets=int(phones.size), scope=Scope.POPULATION, level=level,
    )  # fmt: skip


def holm(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p-values: reject those under α and at most a share α of families has a false one (§4.1).

    A family is the last axis; others are families of their own.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.size and not ((p >= 0) & (p <= 1)).all():  # also refuses not-a-number
        raise ValueError(f"p_values: need numbers in 0…1, got {p_values!r}")
    if not p.size:
        return p
    order = np.argsort(p, axis=-1)
    ranked = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    out = np.empty_like(p)
    np.put_along_axis(out, order, np.minimum(1.0, np.maximum.accumulate(ranked, axis=-1)), axis=-1)
    return out


def messages_needed(
    p1: float, p2: float, *, rho: float = 0.0, handsets: int, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Messages a vendor to tell two rates apart (two-sided `alpha`, `power`); None: never, with so few handsets (§4.2).

    `rho` is the correlation of one vendor's outcomes on one handset.

    >>> messages_needed(0.98, 0.96, handsets=20), messages_needed(0.98, 0.96, rho=0.02, handsets=20)
    (1141, None)
    """
    n0 = _independent_messages(p1, p2, power, alpha)
    if not 0 <= rho < 1 or handsets < 1:
        raise ValueError(f"need a correlation in [0, 1) and handsets, got {rho} and {handsets}")
    if handsets <= n0 * rho:
        return None
    return ceil(n0 * (1 - rho) / (1 - n0 * rho / handsets) - 1e-9)


def handsets_needed(p1: float, p2: float, *, rho: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest handsets with which some number of messages can tell two rates apart (§0.1, §4.2).

    >>> handsets_needed(0.98, 0.96, rho=0.02)
    23
    """
    if not 0 <= rho < 1:
        raise ValueError(f"need a correlation in [0, 1), got {rho}")
    return max(1, int(_independent_messages(p1, p2, power, alpha) * rho) + 1)


# --- the parts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    n: int
    handset: Indices
    block: Indices
    handsets: int
    blocks: int
    per_handset: float  # message-weighted messages a handset, m_h
    per_block: float


def _layout(n: int, handset: ArrayLike, block: ArrayLike) -> _Layout:
    labels, spans = np.asarray(handset), np.asarray(block)
    if labels.shape != (n,) or spans.shape != (n,):
        raise ValueError(f"need a handset and a block for each of {n} messages, got {labels.shape} and {spans.shape}")
    by_handset, handsets = _number(labels)
    by_block, blocks = _number(spans)
    sizes, lengths = np.bincount(by_handset).astype(float), np.bincount(by_block).astype(float)
    return _Layout(
        n=n, handset=by_handset, block=by_block, handsets=handsets, blocks=blocks,
        per_handset=float(sizes @ sizes) / n if n else 0.0, per_block=float(lengths @ lengths) / n if n else 0.0,
    )  # fmt: skip


def _number(labels: NDArray[np.generic]) -> tuple[Indices, int]:
    """Number labels 0 … k-1."""
    distinct, index = np.unique(labels, return_inverse=True)
    return index.astype(np.intp, copy=False), int(distinct.size)


def _refusal(layout: _Layout, scope: Scope) -> NotEnough | None:
    if layout.n == 0:
        return NotEnough(reason="no_messages")
    if scope not in (Scope.POPULATION, Scope.PANEL, Scope.WINDOW):
        raise ValueError(f"a rate speaks of a population, a panel or a window, got {scope}")
    if scope is Scope.POPULATION and layout.handsets < LEAST_HANDSETS:
        return NotEnough(reason="few_handsets", values={"handsets": layout.handsets, "needed": LEAST_HANDSETS})
    if scope is not Scope.WINDOW and layout.blocks < LEAST_BLOCKS:
        return NotEnough(reason="few_blocks", values={"blocks": layout.blocks, "needed": LEAST_BLOCKS})
    return None


def _settle(
    share: float,
    layout: _Layout,
    by_handset: float,
    by_block: float,
    by_message: float,
    *,
    scope: Scope,
    days: float | None,
    level: float,
    floors: Floors,
    method: str,
) -> Estimate:
    """The last step of §1.3, shared by all estimators of a share."""
    least_df: float | None = None
    match scope:
        case Scope.POPULATION:
            least_df = floors.df
            variance = max(by_handset + by_block - by_message, by_handset, by_block)
            floor = 1 + (layout.per_handset - 1) * floors.handset + (layout.per_block - 1) * floors.block
            df: float = min(layout.handsets, layout.blocks) - 1
        case Scope.PANEL:
            variance, floor, df = by_block, 1 + (layout.per_block - 1) * floors.panel_block, layout.blocks - 1
        case _:
            variance, floor, df = 0.0, 1.0, inf
    low, high, n_eff = effective_wilson(
        share, variance, n=layout.n, df=df, least_deff=floor, least_df=least_df, level=level
    )
    return Estimate(
        value=share, low=low, high=high, n=layout.n, n_eff=n_eff, handsets=layout.handsets, days=days, method=method,
        scope=Scope.WINDOW if days is not None and days < 1 else scope, level=level,
    )  # fmt: skip


def _variance(rest: Floats, group: Indices, groups: int) -> float:
    """K/(K-1) · Σ_k (Σ e)² / n² (§1.3); zero for a single group, which shows nothing."""
    if groups < 2:
        return 0.0
    sums = np.bincount(group, weights=rest, minlength=groups)
    return float(sums @ sums) / rest.size**2 * groups / (groups - 1)


def _satterthwaite(variance: float, by_handset: float, by_block: float, layout: _Layout) -> float:
    """Degrees of freedom of a two-way variance, between those of the scarcer kind of cluster and of both (§4.1)."""
    least, most = min(layout.handsets, layout.blocks) - 1, layout.handsets + layout.blocks - 2
    doubt = by_handset**2 / (layout.handsets - 1) + by_block**2 / (layout.blocks - 1)
    return float(min(max(variance**2 / doubt, least), most)) if doubt > 0 else float(least)


def _jackknife(estimator: Callable[[Bools], float], whole: float, group: Indices, groups: int) -> float:
    if groups < 2:
        return 0.0
    gaps = np.array([estimator(group != index) for index in range(groups)]) - whole
    return float(gaps @ gaps) * (groups - 1) / groups


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    """Claims of all messages, and of the verified ones with what was seen; claims numbered 0 … kinds-1."""

    all_index: Indices
    index: Indices
    arrived: Floats
    kinds: int

    def weights(self) -> Floats:
        return np.bincount(self.all_index, minlength=self.kinds) / self.all_index.size

    def trials(self) -> Floats:
        return np.bincount(self.index, minlength=self.kinds).astype(np.float64)

    def rates(self) -> Floats:
        """P(arrived | claim); a claim never verified takes the middle, 0.5."""
        trials = self.trials()
        hits = np.bincount(self.index, weights=self.arrived, minlength=self.kinds)
        return np.where(trials > 0, hits / np.maximum(trials, 1), 0.5)

    def total(self) -> float:
        return float(self.weights() @ self.rates())


def _clustered_claims(
    claims: _Claims,
    value: float,
    sampled: float,
    mixed: float,
    handset: ArrayLike,
    claims_handset: ArrayLike | None,
    floors: Floors,
) -> float:
    """Variance of Σ W_d p_d by leaving out one handset at a time, never under the floored one."""
    verified_on = np.asarray(handset)
    all_on = None if claims_handset is None else np.asarray(claims_handset)
    layout = _layout(claims.arrived.size, verified_on, np.zeros(claims.arrived.size))
    sampled_floor, mixed_floor = sampled * (1 + (layout.per_handset - 1) * floors.handset), mixed
    names = np.unique(verified_on)
    if all_on is not None:
        wide = _layout(claims.all_index.size, all_on, np.zeros(claims.all_index.size))
        mixed_floor *= 1 + (wide.per_handset - 1) * floors.handset
        names = np.union1d(names, all_on)
    left_out = 0.0
    for name in names:
        kept, kept_all = verified_on != name, slice(None) if all_on is None else all_on != name
        part = replace(
            claims, all_index=claims.all_index[kept_all], index=claims.index[kept], arrived=claims.arrived[kept]
        )
        left_out += (part.total() - value) ** 2
    left_out *= (names.size - 1) / names.size
    return max(left_out if all_on is not None else left_out + mixed, sampled_floor + mixed_floor)


def _handset_deff(marks: Floats, layout: _Layout, floors: Floors) -> float:
    mean = float(marks.mean())
    spread = mean * (1 - mean) / layout.n
    seen = _variance(marks - mean, layout.handset, layout.handsets) / spread if spread > 0 else 1.0
    return max(seen, 1 + (layout.per_handset - 1) * floors.handset, 1.0)


def _by_handset(marks: Floats, handset: ArrayLike | None, level: float, floors: Floors) -> EffectiveWilson | NotEnough:
    mean = float(marks.mean())
    if handset is None:
        return effective_wilson(mean, 0.0, n=marks.size, level=level)
    layout = _layout(marks.size, handset, np.zeros(marks.size))
    if layout.handsets < LEAST_HANDSETS:
        return NotEnough(reason="few_handsets", values={"handsets": layout.handsets, "needed": LEAST_HANDSETS})
    deff = _handset_deff(marks, layout, floors)
    return effective_wilson(mean, 0.0, n=marks.size, df=layout.handsets - 1, least_deff=deff, level=level)


def _mover_ratio(first: float, of_first: Limits, second: float, of_second: Limits) -> Limits:
    """MOVER's interval of a ratio of two independent estimates (Donner & Zou 2012)."""
    product = first * second
    (l1, u1), (l2, u2) = of_first, of_second

    def root(a: float, b: float) -> float:
        return sqrt(max(0.0, product**2 - a * b * (2 * first - a) * (2 * second - b)))

    low_divisor, high_divisor = u2 * (2 * second - u2), l2 * (2 * second - l2)
    low = (product - root(l1, u2)) / low_divisor if low_divisor > 0 else 0.0
    high = (product + root(u1, l2)) / high_divisor if high_divisor > 0 else inf
    return Limits(low, high)


def _incidence(seconds: Floats, events: NDArray[np.int64]) -> Curve:
    n = seconds.size
    order = np.argsort(seconds, kind="stable")
    ordered, kinds = seconds[order], events[order]
    # First of each run of ties; everyone from there on is at risk.
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if n else np.zeros(0, dtype=np.intp)
    at_risk = (n - first).astype(float)
    arrived = np.add.reduceat((kinds == ARRIVED).astype(float), first) if n else np.zeros(0)
    ended = np.add.reduceat((kinds != OPEN).astype(float), first) if n else np.zeros(0)
    left = np.cumprod(1 - ended / at_risk)
    before = np.concatenate(([1.0], left[:-1])) if n else left
    jumps = before * arrived / at_risk
    steps = arrived > 0
    return Curve(times=ordered[first][steps], shares=np.minimum(1.0, np.cumsum(jumps[steps])))


def _cut(curve: Curve, end: float | None) -> Curve:
    if end is None:
        return curve
    kept = curve.times <= end
    return Curve(times=curve.times[kept], shares=curve.shares[kept])


def _woodruff(
    there: Estimate | NotEnough, curve: Curve, q: float, value: float | None, method: str
) -> Estimate | NotEnough:
    if isinstance(there, NotEnough):
        return there
    low, high = _wilson(q, there.n_eff, _z(there.level))
    latest = None if value is None else curve.reach(high)
    return replace(there, value=value, low=curve.reach(low), high=latest, method=method)


def _turnbull(left: ArrayLike, right: ArrayLike, tolerance: float, steps: int) -> tuple[Floats, Floats, Floats]:
    """Starts, ends and masses of the innermost intervals."""
    lefts, rights = _numbers("left", left), np.asarray(right, dtype=float)
    if lefts.shape != rights.shape or not (lefts < rights).all():  # also refuses not-a-number
        raise ValueError(f"need left < right for each message, got {left!r} and {right!r}")
    if not lefts.size:
        raise ValueError("need some messages, got none")
    ends = np.unique(rights)
    # An innermost interval is a left end directly followed by a right end.
    starts = np.sort(lefts)[np.searchsorted(np.sort(lefts), ends, side="left") - 1]
    innermost = np.concatenate(([True], starts[1:] >= ends[:-1]))
    starts, ends = starts[innermost], ends[innermost]
    inside = ((lefts[:, None] <= starts) & (ends <= rights[:, None])).astype(float)
    mass = np.full(ends.size, 1 / ends.size)
    for _ in range(steps):
        better = mass * ((1 / (inside @ mass)) @ inside) / lefts.size
        moved = float(np.abs(better - mass).max())
        mass = better
        if moved < tolerance:
            break
    return starts, ends, mass


def _joined(down: Bools) -> Bools:
    """Down rounds, with holes of one or two rounds between them filled."""
    marks = np.flatnonzero(down)
    filled = down.copy()
    for first, second in pairwise(marks):
        if second - first <= 3:
            filled[first:second] = True
    return filled


def _run_lengths(down: Floats) -> Floats:
    """Lengths of the runs of ones."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0.0], down, [0.0]))))
    return (edges[1::2] - edges[0::2]).astype(np.float64)


def _hour_posterior(arrived: Floats, sent: Floats) -> tuple[Floats, Floats, Floats]:
    """Grid of (mean, correlation) with posterior weights, flattened."""
    n, middle = float(sent.sum()), (float(arrived.sum()) + 0.5) / (float(sent.sum()) + 1)
    centre = log(middle / (1 - middle))
    # Six standard errors at a correlation of 0.3 within hours of this size, with room for few failures.
    error = sqrt((1 + (float(sent @ sent) / n - 1) * 0.15) / (n * middle * (1 - middle)))
    logit = centre + np.linspace(-5, 5, 61) * min(error, 1.2)
    steps = 48
    rhos = 1 - (1 - (np.arange(steps) + 0.5) / steps) ** (1 / 9)  # equal parts of Beta(1, 9)
    mu, rho = (part.ravel() for part in np.meshgrid(1 / (1 + np.exp(-logit)), rhos, indexing="ij"))
    a, b = mu * (1 - rho) / rho, (1 - mu) * (1 - rho) / rho
    cells, counts = np.unique(np.stack([arrived, sent]), axis=1, return_counts=True)
    heights = np.log(mu * (1 - mu))  # the flat prior of the mean, on the logit grid
    heights = heights - float(counts.sum()) * betaln(a, b)
    for hit, trial, count in zip(cells[0], cells[1], counts, strict=True):
        heights = heights + count * betaln(a + hit, b + trial - hit)
    weight = np.exp(heights - heights.max())
    return mu, rho, weight / weight.sum()


def _weighted_quantiles(values: Floats, weight: Floats, at: tuple[float, ...]) -> tuple[float, ...]:
    order = np.argsort(values)
    ordered, mass = values[order], np.cumsum(weight[order])
    return tuple(float(ordered[min(int(np.searchsorted(mass, q)), ordered.size - 1)]) for q in at)


def _kaplan_meier(seconds: ArrayLike, decided: ArrayLike) -> tuple[Curve, Floats]:
    """The decided share by time, and Greenwood's Σ d/(Y(Y-d)) at its steps (inf where all are decided)."""
    ages, done = _numbers("seconds", seconds), np.asarray(decided, dtype=bool)
    if ages.shape != done.shape:
        raise ValueError(f"need one mark a ticket, got {done.size} for {ages.size}")
    times, counts = np.unique(ages[done], return_counts=True)
    ordered = np.sort(ages)
    at_risk = (ages.size - np.searchsorted(ordered, times, side="left")).astype(float)
    open_share = np.cumprod(1 - counts / at_risk)
    left = at_risk - counts
    terms = np.divide(counts, at_risk * left, out=np.full(times.size, inf), where=left > 0)
    return Curve(times=times, shares=1 - open_share), np.cumsum(terms)


def _greenwood_wilson(curve: Curve, moments: Floats, t: float, n: int, level: float) -> EffectiveWilson:
    index = int(np.searchsorted(curve.times, t, side="right"))
    done = min(1.0, float(curve.shares[index - 1])) if index else 0.0
    moment = float(moments[index - 1]) if index else 0.0
    variance = (1 - done) ** 2 * moment if 0 < done < 1 else 0.0
    return effective_wilson(done, variance * (1 - 1e-12), n=n, level=level)


def _independent_messages(p1: float, p2: float, power: float, alpha: float) -> float:
    if not (0 < p1 < 1 and 0 < p2 < 1 and p1 != p2 and 0 < power < 1 and 0 < alpha < 1):
        raise ValueError(f"need two different rates inside 0 and 1, power and alpha; got {p1}, {p2}, {power}, {alpha}")
    mean = (p1 + p2) / 2
    null = float(ndtri(1 - alpha / 2)) * sqrt(2 * mean * (1 - mean))
    other = float(ndtri(power)) * sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return ((null + other) / (p1 - p2)) ** 2


def _wilson(share: float, trials: float, z: float) -> Limits:
    weight = z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    reach = z * sqrt(max(0.0, share * (1 - share)) / trials + weight / (4 * trials)) / (1 + weight)
    low = 0.0 if share <= 0 else max(0.0, centre - reach)
    return Limits(low, 1.0 if share >= 1 else min(1.0, centre + reach))


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"need a level inside 0 and 1, got {level}")
    return level


def _z(level: float) -> float:
    return float(ndtri(0.5 + _checked_level(level) / 2))


def _t(level: float, df: float) -> float:
    return _z(level) if df == inf else float(stdtrit(df, 0.5 + _checked_level(level) / 2))


def _check_counts(hits: float, trials: float) -> None:
    if not (0 <= hits <= trials and trials > 0):
        raise ValueError(f"need 0 <= hits <= trials and some trials, got {hits}/{trials}")


def _check_q(q: float) -> None:
    if not 0 < q < 1:
        raise ValueError(f"need a share inside 0 and 1, got {q}")


def _numbers(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"{name}: need a flat list of finite numbers, got {values!r}")
    return array


def _shares(name: str, values: ArrayLike) -> Floats:
    array = _numbers(name, values)
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{name}: need numbers in 0…1, got {array.min()}…{array.max()}")
    return array


def _survival(time: ArrayLike, event: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    seconds, events = _numbers("time", time), np.asarray(event, dtype=np.int64)
    if seconds.shape != events.shape:
        raise ValueError(f"need one event a message, got {events.shape} for {seconds.shape}")
    if not np.isin(events, (OPEN, ARRIVED, FAILED)).all():
        raise ValueError(f"events are 0 open, 1 arrived, 2 failed; got {np.unique(events).tolist()}")
    return seconds, events


def _hours(hits: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    arrived, sent = _numbers("hits", hits), _numbers("trials", trials)
    if arrived.size != sent.size or (arrived < 0).any() or (arrived > sent).any() or (sent <= 0).any():
        raise ValueError(f"need 0 <= hits <= trials and some trials in each, got {hits!r} of {trials!r}")
    return arrived, sent
