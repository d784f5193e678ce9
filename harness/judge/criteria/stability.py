"""Criterion 2: channel stability 通道稳定性: bad hours, outages, availability, copies.

A vendor that is good on average and deaf for an hour loses that hour's customers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from harness.domain import Better, Estimate, Scope, Unit
from harness.judge import stats
from harness.judge.criteria import By, Told, View, by_hour, cases_of, days_of, measure, rate_of
from harness.judge.stats import NotEnough

WEEK_DAYS: Final = 7.0
WINDOW: Final = 1_800.0  # seconds in which misses make an outage (statistics.md 7)
ROUND_SECONDS: Final = (900.0, 1_800.0, 3_600.0, 7_200.0)
LEAST_ROUND: Final = 3  # messages, or one miss would be an outage


@measure("stability.bad_hour", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="accepted")
def bad_hour(view: View) -> Told | NotEnough:
    """Arrival rate of the 5 %-quantile hour: 19 of 20 hours are better. The raw worst hour would mislead."""
    effects = view.hours
    if isinstance(effects, NotEnough):
        return effects
    return Told(answer=effects.bad_hour, cases=cases_of(view.watched, view.watched["watch"] == "missing"))


@measure("stability.clustering", unit=Unit.RATIO, better=Better.LOWER, denominator="accepted")
def clustering(view: View) -> Told | NotEnough:
    """How much the hours differ beyond chance (overdispersion): correlation of outcomes within an hour."""
    effects = view.hours
    return effects if isinstance(effects, NotEnough) else Told(answer=effects.clustering)


@measure("stability.acceptance_bad_hour", unit=Unit.SHARE, better=Better.HIGHER, denominator="submitted")
def acceptance_bad_hour(view: View) -> Told | NotEnough:
    """Acceptance rate of the 5 %-quantile hour."""
    frame = view.traffic
    if frame.empty:
        return NotEnough(reason="no_messages")
    accepted = (frame["outcome"] == "accepted").to_numpy()
    effects = stats.beta_binomial_hours(*by_hour(frame, accepted), days=days_of(frame))
    return (
        effects if isinstance(effects, NotEnough) else Told(answer=effects.bad_hour, cases=cases_of(frame, ~accepted))
    )


@measure("stability.availability", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="time")
def availability(view: View) -> Told | NotEnough:
    """Share of time without outage, from rounds of messages; a round is down when half or more of it misses."""
    frame = view.watched
    if frame.empty:
        return NotEnough(reason="no_messages")
    missing = (frame["watch"] == "missing").to_numpy()
    sent = frame["sent_at"].to_numpy()
    for width in ROUND_SECONDS:
        rounds, index = np.unique(np.floor(sent / width), return_inverse=True)
        trials = np.bincount(index).astype(float)
        if np.median(trials) >= LEAST_ROUND:
            break
    hits = np.bincount(index, weights=(~missing).astype(float))
    answer = stats.availability(rounds * width, hits, trials, handsets=int(frame["phone"].nunique()))
    return Told(answer=answer, cases=cases_of(frame, missing))


def outages_of(frame: pd.DataFrame) -> list[stats.Outage]:
    """Stretches in which three or more, and at least half, of the messages watched were missed.

    An outage reaches from the first to the last of misses without an arrival between; what a vendor that misses so
    many would show by chance somewhere in the run is none.
    """
    if frame.empty:
        return []
    ordered = frame.sort_values("sent_at")
    sent, missed = ordered["sent_at"].to_numpy(), (ordered["watch"] == "missing").to_numpy()
    first = np.searchsorted(sent, sent - WINDOW / 2, side="left")
    last = np.searchsorted(sent, sent + WINDOW / 2, side="right")
    misses = np.concatenate(([0], np.cumsum(missed)))
    # Busy hours have three misses by chance; an outage is where half or more around a message is gone.
    is_dense = (misses[last] - misses[first]) * 2 >= last - first
    found: list[stats.Outage] = []
    for one in stats.outages(sent, missed & is_dense, window=WINDOW):
        begin, end = int(np.searchsorted(sent, one.start)), int(np.searchsorted(sent, one.end, side="right")) - 1
        while begin > 0 and missed[begin - 1]:
            begin -= 1
        while end + 1 < len(sent) and missed[end + 1]:
            end += 1
        n, lost = end - begin + 1, int(missed[begin : end + 1].sum())
        # Over all places where it could have happened, level 95 % (Bonferroni).
        level = 1 - 0.05 * n / len(sent)
        if stats.clopper_pearson(lost, n, level=min(level, 1 - 1e-12), one_sided=True).low <= missed.mean():
            continue
        wide = stats.Outage(start=float(sent[begin]), end=float(sent[end]), misses=lost)
        if not found or wide.start > found[-1].end:
            found.append(wide)
    return found


@measure("stability.outages", unit=Unit.COUNT, better=Better.LOWER, by=(By.CARRIER,), denominator="week")
def outages(view: View) -> Told | NotEnough:
    """Outages a week, by Garwood's interval."""
    frame = view.watched
    days = days_of(frame)
    if days is None or days < 1:
        return NotEnough(reason="few_days", values={"days": days or 0.0, "needed": 1})
    sent = np.sort(frame["sent_at"].to_numpy())
    around = np.searchsorted(sent, sent + WINDOW / 2, side="right") - np.searchsorted(sent, sent - WINDOW / 2)
    if np.median(around) < LEAST_ROUND:
        return NotEnough(reason="too_sparse", values={"messages": float(np.median(around)), "needed": LEAST_ROUND})
    found = outages_of(frame)
    low, high = stats.garwood(len(found))
    scale = WEEK_DAYS / days
    sent = frame["sent_at"].to_numpy()
    inside = np.zeros(len(frame), dtype=bool)
    for one in found:
        inside |= (sent >= one.start) & (sent <= one.end)
    answer = Estimate(
        value=len(found) * scale, low=low * scale, high=high * scale, n=len(frame), n_eff=float(len(frame)),
        handsets=int(frame["phone"].nunique()), days=days, method="garwood", scope=Scope.PANEL,
    )  # fmt: skip
    return Told(answer=answer, cases=cases_of(frame[inside]))


@measure("duplicate.rate", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER,), denominator="arrived")
def duplicates(view: View) -> Told | NotEnough:
    """Share of arrived messages of which the phone got more than one copy."""
    seen = view.accepted[view.accepted["copies"] > 0]
    twice = (seen["copies"] > 1).to_numpy()
    return Told(answer=rate_of(twice, seen), cases=cases_of(seen[twice]))
