"""What the result shows beside the marks: funnels, curves, series, outages, reviews, codes and papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.domain import Carrier, Estimate, Purpose, RecipientKind, Scope
from harness.dossier import DocumentKind
from harness.judge import stats
from harness.judge.criteria import (
    TRAFFIC,
    View,
    dossier_of,
)
from harness.judge.criteria.arrival import arrival_times
from harness.judge.criteria.licence import CODE_DIGITS
from harness.judge.criteria.review import handed_in, says_what
from harness.judge.criteria.stability import outages_of
from harness.judge.journeys import Evidence, Frame, moment
from harness.judge.result import (
    Cell,
    CodeCount,
    Curve,
    Document,
    Funnel,
    Note,
    Outage,
    ReviewEntry,
    Series,
)

MOST_EVIDENCE: Final = 200
CURVE_POINTS: Final = 80
BEIJING_SECONDS: Final = 8 * 3600


@dataclass(frozen=True, slots=True)
class Picture:
    """Funnels, curves, series, outages, reviews, codes and papers."""

    evidence: Evidence
    slices: Mapping[tuple[str, str | None], View]  # vendor and carrier, None: all of its traffic

    def _views(self) -> Iterator[tuple[str, Carrier | None, View]]:
        for (vendor, carrier), view in self.slices.items():
            yield vendor, Carrier(carrier) if carrier else None, view

    def funnels(self) -> Iterator[Funnel]:
        for vendor, carrier, view in self._views():
            frame = view.messages
            keep = frame["scenario"].isin(TRAFFIC) & (frame["kind"] == RecipientKind.HANDSET.value)
            doubt = int((keep & (frame["outcome"] == "in_doubt")).sum())
            replies = view.replies
            if carrier is not None:
                panel = view.run.began.panel
                on = [(p := panel.get(one)) is not None and p.carrier is carrier for one in replies["recipient"]]
                replies = replies[np.array(on, dtype=bool)]
            yield Funnel(
                vendor=vendor, carrier=carrier, submitted=len(view.traffic) + doubt, accepted=len(view.accepted),
                in_doubt=doubt, reported=int(view.accepted["report_state"].notna().sum()),
                delivered=int((view.accepted["report_state"] == "delivered").sum()), watched=len(view.watched),
                arrived=int((view.watched["watch"] == "arrived").sum()), replies_sent=len(replies),
                replied=int(replies["inbound_at"].notna().sum()),
            )  # fmt: skip

    def curves(self) -> Iterator[Curve]:
        for vendor, carrier, view in self._views():
            frame, seconds, events, horizon = arrival_times(view)
            purposes: list[str | None] = [None, *(sorted(frame["purpose"].unique()) if carrier is None else ())]
            for purpose in purposes:
                part = np.ones(len(frame), bool) if purpose is None else (frame["purpose"] == purpose).to_numpy()
                if not part.any():
                    continue
                curve = stats.incidence_curve(seconds[part], events[part])
                yield Curve(
                    vendor=vendor, carrier=carrier, purpose=Purpose(purpose) if purpose else None,
                    points=_thinned(curve), n=int(part.sum()), horizon=horizon,
                )  # fmt: skip

    def series(self) -> Iterator[Series]:
        for vendor, carrier, view in self._views():
            watched, traffic = view.watched, view.traffic
            arrived = (watched["watch"] == "arrived").to_numpy()
            accepted = (traffic["outcome"] == "accepted").to_numpy()
            yield _along(vendor, "arrival.rate", "hour_of_day", carrier, watched, arrived)
            if carrier is None:
                yield _along(vendor, "arrival.rate", "hour", carrier, watched, arrived)
                yield _along(vendor, "arrival.rate", "day", carrier, watched, arrived)
                yield _along(vendor, "acceptance.rate", "hour_of_day", carrier, traffic, accepted)
                yield _along(vendor, "acceptance.rate", "day", carrier, traffic, accepted)
            yield _senders(vendor, carrier, view)

    def outages(self) -> Iterator[Outage]:
        for vendor, carrier, view in self._views():
            frame = view.watched
            sent = frame["sent_at"].to_numpy()
            for one in outages_of(frame):
                inside = (sent >= one.start) & (sent <= one.end)
                missed = inside & (frame["watch"] == "missing").to_numpy()
                yield Outage(
                    vendor=vendor, carrier=carrier, began=moment(one.start),
                    ended=None if one.end >= sent.max() else moment(one.end), missed=int(missed.sum()),
                    sent=int(inside.sum()), evidence=tuple(frame["case_id"][missed][:MOST_EVIDENCE]),
                )  # fmt: skip

    def reviews(self) -> Iterator[ReviewEntry]:
        for vendor, carrier, view in self._views():
            if carrier is not None:
                continue
            for row in handed_in(view).to_dict("records"):
                verdict = row["verdict"] or ("refused" if row["decided"] else None)
                words = str(row["reason"] or "")
                yield ReviewEntry(
                    vendor=vendor, case=str(row["case_id"]), subject=str(row["subject"]), fault=row["fault"] or None,
                    submitted=moment(row["submitted_at"]), minutes=row["seconds"] / 60 if row["decided"] else None,
                    open_for=row["seconds"] / 60, verdict=verdict, reason=words,
                    says_what=says_what(words) if row["is_rejected"] else None,
                )  # fmt: skip

    def codes(self) -> Iterator[CodeCount]:
        for vendor, carrier, view in self._views():
            if carrier is not None:
                continue
            frame = view.messages
            refused = frame[(frame["outcome"] == "refused").to_numpy()]
            counts = Counter(zip(refused["code"].fillna(""), refused["reason"].fillna("unmapped"), strict=True))
            for (code, reason), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                yield CodeCount(vendor=vendor, where="submit", code=code, reason=reason, count=count)
            told = frame[frame["report_code"].notna().to_numpy()]
            reasons = told["report_reason"].fillna(told["report_state"])
            by = Counter(zip(told["report_code"], reasons, told["carrier"].astype(object).fillna(""), strict=True))
            for (code, reason, on), count in sorted(by.items(), key=lambda item: (-item[1], item[0])):
                yield CodeCount(
                    vendor=vendor, where="report", code=code, reason=reason, count=count,
                    carrier=Carrier(on) if on else None,
                )  # fmt: skip

    def documents(self) -> Iterator[Document]:
        papers = dossier_of(self.evidence.run)
        for vendor, carrier, view in self._views():
            if carrier is not None:
                continue
            for paper in (one for one in papers if one.vendor == vendor):
                verdict = paper.verdict(view.on)
                yield Document(
                    vendor=vendor, kind=paper.kind.value, number=paper.number, holder=paper.holder, scope=paper.scope,
                    valid_until=paper.valid_until.isoformat() if paper.valid_until else None,
                    checked_by=paper.checked_by, checked_on=paper.checked_on.isoformat() if paper.checked_on else "",
                    file_digest=paper.file_digest, verdict=verdict, reason=_paper_reason(verdict, paper.kind.value),
                )  # fmt: skip
            for kind in DocumentKind:
                if kind not in view.papers:
                    yield Document(
                        vendor=vendor, kind=kind.value, number="", holder="", scope="", valid_until=None,
                        checked_by="", checked_on="", file_digest="", verdict="missing",
                        reason=_paper_reason("missing", kind.value),
                    )  # fmt: skip


def _paper_reason(verdict: str, kind: str) -> Note | None:
    return None if verdict == "valid" else Note(id=f"reason.document_{verdict}", values={"document": kind})


def _thinned(curve: stats.Curve) -> tuple[tuple[float, float], ...]:
    """At most CURVE_POINTS steps of a curve, spread over its rise."""
    size = curve.times.size
    if not size:
        return ()
    picked = np.unique(np.linspace(0, size - 1, min(size, CURVE_POINTS)).round().astype(int))
    return tuple((round(float(curve.times[i]), 3), round(float(curve.shares[i]), 6)) for i in picked)


def _along(
    vendor: str,
    measure: str,
    along: Literal["hour_of_day", "hour", "day"],
    carrier: Carrier | None,
    frame: Frame,
    hit: NDArray[np.bool_],
) -> Series:
    """A share hour by hour or day by day, Beijing time; plain Wilson intervals, of just these messages."""
    beijing = frame["sent_at"].to_numpy() + BEIJING_SECONDS
    unit = 86_400 if along == "day" else 3_600
    index = np.floor(beijing / unit).astype(np.int64)
    if along == "hour_of_day":
        index %= 24
    keys, place = np.unique(index, return_inverse=True)
    trials, hits = np.bincount(place), np.bincount(place, weights=hit.astype(float))
    cells = []
    for key, n, good in zip(keys.tolist(), trials.tolist(), hits.tolist(), strict=True):
        estimate = stats.share(int(good), int(n), scope=Scope.WINDOW)
        label = f"{key:02d}" if along == "hour_of_day" else moment(float(key) * unit)[: 10 if along == "day" else 13]
        cells.append(Cell(key=label, estimate=estimate if isinstance(estimate, Estimate) else None, n=int(n)))
    return Series(vendor=vendor, measure=measure, along=along, carrier=carrier, cells=tuple(cells))


def _senders(vendor: str, carrier: Carrier | None, view: View) -> Series:
    """Which codes the phones saw, by their first digits: the share of sightings of each of the ten commonest."""
    senders = view.accepted["sender"].dropna().str[:CODE_DIGITS]
    counts = senders.value_counts()
    cells = []
    for sender, count in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:10]:
        estimate = stats.share(int(count), len(senders))
        cells.append(Cell(key=str(sender), estimate=estimate if isinstance(estimate, Estimate) else None, n=int(count)))
    return Series(vendor=vendor, measure="sender.tri_network", along="sender", carrier=carrier, cells=tuple(cells))
