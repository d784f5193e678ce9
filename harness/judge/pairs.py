"""Vendors two by two: on the same phones, in the same minutes, so that what troubles both cancels out.

Who came first in such a visit is looked at as well: an order that is off would pass for a difference. Sections (§) are
those of docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from math import exp, sqrt
from typing import Final, Literal

import numpy as np
import pandas as pd

from harness.domain import Carrier, State
from harness.judge import stats
from harness.judge.criteria import TRAFFIC
from harness.judge.journeys import Evidence
from harness.judge.result import Note, Pair, Slice, Turn

Frame = pd.DataFrame
LEVEL: Final = 0.05  # over all pairs, carriers and measures (§4.1)
LEAST_PAIRS: Final = 20
GREATEST_GAP: Final = 0.1  # mean places further apart are not counterbalanced
LEAST_VISITS: Final = 40


def pairs(evidence: Evidence) -> tuple[Pair, ...]:
    """Each two vendors by carrier and on the whole: arrival in points, typical arrival time as a ratio (§4.1)."""
    visits = visits_of(evidence)
    lines: list[Pair] = []
    for first, second in combinations(evidence.vendors, 2):
        both = both_of(visits, first, second)
        for slice in _slices(evidence):
            part = both if not slice else both[(both["carrier"] == slice["carrier"]).to_numpy()]
            lines += [_arrival(first, second, slice, part), _times(first, second, slice, part)]
    return tuple(_adjusted(lines))


def _slices(evidence: Evidence) -> list[Slice]:
    there = {person.carrier for person in evidence.run.began.panel.values()}
    return [{}, *({"carrier": one.value} for one in Carrier if one in there)]


def visits_of(evidence: Evidence) -> Frame:
    """Accepted ordinary messages of visits, of which it is known whether they arrived; `took` in seconds."""
    frame = evidence.messages
    keep = frame["scenario"].isin(TRAFFIC) & (frame["visit"] != "") & (frame["outcome"] == "accepted")
    frame = frame[(keep & frame["watch"].isin(("arrived", "missing"))).to_numpy()]
    arrived = (frame["watch"] == "arrived").to_numpy()
    took = (frame["arrived_at"] - frame["sent_at"]).to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "visit": frame["visit"].to_numpy(), "phone": frame["phone"].to_numpy(),
            "vendor": frame["vendor"].astype(str).to_numpy(), "carrier": frame["carrier"].astype(str).to_numpy(),
            "sent_at": frame["sent_at"].to_numpy(), "arrived": arrived.astype(float),
            "took": np.where(arrived & (took > 0), took, np.nan), "clock": frame["clock"].astype(str).to_numpy(),
        }
    ).drop_duplicates(["visit", "phone", "vendor"])  # fmt: skip


def both_of(visits: Frame, first: str, second: str) -> Frame:
    """Visits in which both had a message whose fate is known."""
    ours, theirs = (visits[(visits["vendor"] == vendor).to_numpy()] for vendor in (first, second))
    return ours.merge(theirs.drop(columns="carrier"), on=["visit", "phone"], suffixes=("", "_other"))


def _arrival(first: str, second: str, slice: Slice, part: Frame) -> Pair:
    line = Pair(first=first, second=second, measure="arrival.rate", slice=slice, state=State.INSUFFICIENT)
    if len(part) < LEAST_PAIRS:
        return replace(line, reason=_few(len(part)))
    found = stats.paired_difference(
        part["arrived"].to_numpy(), part["arrived_other"].to_numpy(), part["phone"].to_numpy(),
        stats.time_blocks(part["sent_at"].to_numpy()),
    )  # fmt: skip
    if isinstance(found, stats.NotEnough):
        return replace(line, reason=Note(id=f"reason.{found.reason}", values=dict(found.values)))
    return replace(
        line, state=State.MEASURED, difference=found.value, low=max(-1.0, found.low), high=min(1.0, found.high),
        n=found.n, handsets=found.handsets, df=found.df, p=found.p,
    )  # fmt: skip


def _times(first: str, second: str, slice: Slice, part: Frame) -> Pair:
    """Ratio of times where both arrived. The phone's clock error cancels only where both were told by one clock."""
    line = Pair(first=first, second=second, measure="latency.p50", slice=slice, state=State.INSUFFICIENT)
    both = part["took"].notna() & part["took_other"].notna() & (part["clock"] == part["clock_other"])
    part = part[both.to_numpy()]
    if len(part) < LEAST_PAIRS:
        return replace(line, reason=_few(len(part)))
    found = stats.paired_times(part["took"].to_numpy(), part["took_other"].to_numpy(), part["phone"].to_numpy())
    if isinstance(found, stats.NotEnough):
        return replace(line, reason=Note(id=f"reason.{found.reason}", values=dict(found.values)))
    return replace(
        line, state=State.MEASURED, difference=exp(found.value), low=exp(found.low), high=exp(found.high), n=found.n,
        handsets=found.handsets, df=found.df, p=found.p,
    )  # fmt: skip


def _few(count: int) -> Note:
    return Note(id="reason.few_pairs", values={"pairs": count, "needed": LEAST_PAIRS})


def _adjusted(lines: Sequence[Pair]) -> Iterator[Pair]:
    """Holm over all that was looked at: arrival and times are two questions, each a family of its own."""
    adjusted: dict[int, float] = {}
    for measure in ("arrival.rate", "latency.p50"):
        tested = [(place, line.p) for place, line in enumerate(lines) if line.measure == measure and line.p is not None]
        adjusted |= dict(zip((place for place, _ in tested), stats.holm([p for _, p in tested]).tolist(), strict=True))
    for place, line in enumerate(lines):
        yield (
            replace(line, p_adjusted=adjusted[place], verdict=_verdict(line, adjusted[place]))
            if (place in adjusted)
            else line
        )


def _verdict(line: Pair, p: float) -> Literal["first", "second", "not_distinguishable"]:
    assert line.difference is not None
    if p >= LEVEL:
        return "not_distinguishable"
    ahead = line.difference > 0 if line.measure == "arrival.rate" else line.difference < 1
    return "first" if ahead else "second"


# --- who came first --------------------------------------------------------------------------------------------------


def turns(evidence: Evidence) -> tuple[Turn, ...]:
    """Each vendor's mean place in shared visits. Counterbalanced: no two further apart than a tenth, or than chance."""
    frame = evidence.messages
    frame = frame[((frame["visit"] != "") & frame["sent_at"].notna() & frame["scenario"].isin(TRAFFIC)).to_numpy()]
    if frame.empty or len(evidence.vendors) < 2:
        return ()
    ordered = frame.sort_values(["visit", "sent_at", "case_id"])
    size = ordered.groupby("visit")["case_id"].transform("size").to_numpy()
    shared = size > 1
    part = ordered.groupby("visit").cumcount().to_numpy()[shared] / (size[shared] - 1)
    vendors = ordered["vendor"].astype(str).to_numpy()[shared]
    found = []
    for vendor in evidence.vendors:
        places = part[vendors == vendor]
        if places.size >= LEAST_VISITS:
            reach = 1.96 * float(places.std(ddof=1)) / sqrt(places.size)
            found.append((vendor, float(places.mean()), reach, int(places.size)))
    whole = float(np.mean([place for _, place, _, _ in found])) if found else 0.5
    return tuple(
        Turn(
            vendor=vendor, place=place, low=max(0.0, place - reach), high=min(1.0, place + reach), visits=visits,
            balanced=abs(place - whole) <= max(GREATEST_GAP / 2, 1.5 * reach),
        )
        for vendor, place, reach, visits in found
    )  # fmt: skip
