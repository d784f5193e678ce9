"""What was measured, held against the vendor's contract: the contract's own formula, by its reports and by our phones.

Shows what the clause would pay on this traffic, as an interval; where the evidence cannot tell, it says so. A test's
messages are a sample of no month's bill, so this is an argument for a claim and never the claim itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import numpy as np

from harness.domain import Estimate, State
from harness.judge import stats
from harness.judge.criteria import Bools, Frame, Told, View, cases_of, rate_of
from harness.judge.criteria.arrival import FAILED, widened
from harness.judge.criteria.licence import tri_network
from harness.judge.journeys import Run
from harness.judge.picture import MOST_EVIDENCE
from harness.judge.result import Note, SlaClause, SlaValue
from harness.sla import Counts, Of, Terms, Void, read_terms

KIND: Final = "contract_sla"  # the dossier's entry whose `values` are the terms
HALF: Final = 0.5  # of the sightings from one 1069 code on all three carriers: the vendor sends from such a code


def clauses(run: Run, whole: Mapping[str, View]) -> Iterator[SlaClause]:
    """The delivery clause of each vendor whose dossier has one. `whole`: vendor → its view of all traffic."""
    for paper in run.began.settings.get("dossier") or ():
        if paper.get("kind") == KIND and (view := whole.get(str(paper.get("vendor")))) is not None:
            yield clause(paper, view)


def clause(paper: Mapping[str, Any], view: View) -> SlaClause:
    """One clause, held against a vendor's view. One that cannot be read is told with what is wrong."""
    vendor, contract = str(paper["vendor"]), str(paper.get("number") or "")
    try:
        terms = read_terms({str(key): str(value) for key, value in (paper.get("values") or {}).items()})
    except ValueError as error:
        return SlaClause(
            vendor=vendor, contract=contract, reason=Note(id="sla.unreadable", values={"problem": str(error)})
        )
    frame = _counted(view, terms)
    left_out = _left_out(frame, terms)
    alive = frame["watch"].isin(("arrived", "missing")).to_numpy()
    void_seen = tuple(one.value for one in terms.void_if if one is Void.TRI_NETWORK_CODE and _one_code(view))
    return SlaClause(
        vendor=vendor, contract=contract, counts=terms.counts.value, of=terms.of.value, threshold=terms.threshold,
        within=terms.within, exclude=tuple(one.value for one in terms.exclude), tiers=terms.tiers,
        per_point=terms.per_point, most=terms.most, fee=terms.fee, void_if=tuple(one.value for one in terms.void_if),
        void_seen=void_seen, counted=int((~left_out).sum()), excluded=int(left_out.sum()),
        contradicted=int((left_out & alive).sum()),
        values=(_by_reports(frame[~left_out], terms), _by_phones(frame, terms, view.unknown)),
    )  # fmt: skip


def _counted(view: View, terms: Terms) -> Frame:
    return view.traffic if terms.of is Of.SUBMITTED else view.accepted


def _left_out(frame: Frame, terms: Terms) -> Bools:
    """Messages that the contract counts on neither side: refused or reported with one of its reasons."""
    words = [one.value for one in terms.exclude]
    refused = ((frame["outcome"] == "refused") & frame["reason"].isin(words)).to_numpy(dtype=bool)
    failed = (frame["report_state"].isin(FAILED) & frame["report_reason"].isin(words)).to_numpy(dtype=bool)
    return np.asarray(refused | failed, dtype=bool)


def _in_time(frame: Frame, column: str, within: float | None) -> Bools:
    if within is None:
        return np.ones(len(frame), dtype=bool)
    took = (frame[column] - frame["sent_at"]).to_numpy(dtype=float)
    return np.asarray(took <= within, dtype=bool)  # a comparison with "not known" is no


def _by_reports(frame: Frame, terms: Terms) -> SlaValue:
    """The contract's formula on the vendor's status reports, as they reached us."""
    refused = (frame["outcome"] == "refused").to_numpy(dtype=bool)
    delivered = (frame["report_state"] == "delivered").to_numpy(dtype=bool)
    in_time = _in_time(frame, "reported_at", terms.within)
    if terms.counts is Counts.DELIVERED:
        good = ~refused & delivered & in_time
    else:
        failed = frame["report_state"].isin(FAILED).to_numpy(dtype=bool)
        good = ~refused & ~failed & (in_time | ~delivered)  # late is a failure only where the contract sets a time
    return _value("reports", rate_of(good, frame) if len(frame) else stats.NotEnough(reason="no_messages"), terms,
                  cases_of(frame[~good]))  # fmt: skip


def _by_phones(frame: Frame, terms: Terms, unknown: int) -> SlaValue:
    """The same on what phones saw. A report's reason leaves nothing out here: these phones were alive."""
    refused = (frame["outcome"] == "refused").to_numpy(dtype=bool)
    excused = refused & frame["reason"].isin([one.value for one in terms.exclude]).to_numpy(dtype=bool)
    told = refused | frame["watch"].isin(("arrived", "missing")).to_numpy(dtype=bool)
    kept = frame[told & ~excused]
    good = (kept["watch"] == "arrived").to_numpy(dtype=bool) & _in_time(kept, "arrived_at", terms.within)
    if not len(kept):
        return _value("handsets", stats.NotEnough(reason="no_messages"), terms, ())
    answer = widened(rate_of(good, kept), len(kept), unknown)
    return _value("handsets", answer, terms, cases_of(kept[~good]))


def _value(
    basis: Literal["reports", "handsets"], answer: Estimate | stats.NotEnough, terms: Terms, cases: Any
) -> SlaValue:
    if isinstance(answer, stats.NotEnough):
        reason = Note(id=f"reason.{answer.reason}", values=dict(answer.values))
        return SlaValue(basis=basis, state=State.INSUFFICIENT, verdict="unknown", reason=reason)
    named = tuple(dict.fromkeys(str(case) for case in cases))
    low, high = answer.low, answer.high
    verdict: Literal["met", "missed", "unclear", "unknown"] = "unclear"
    if low is not None and low >= terms.threshold:
        verdict = "met"
    elif high is not None and high < terms.threshold:
        verdict = "missed"
    pays = terms.pays
    return SlaValue(
        basis=basis, state=State.MEASURED, estimate=answer, verdict=verdict,
        due=terms.due(answer.value) if pays and answer.value is not None else None,
        due_low=terms.due(high) if pays and high is not None else None,
        due_high=terms.due(low) if pays and low is not None else None,
        evidence=named[:MOST_EVIDENCE], evidence_count=len(named),
    )  # fmt: skip


def _one_code(view: View) -> bool:
    """Whether the phones saw that the vendor sends from one 1069 code on all three carriers."""
    told = tri_network(view)
    answer = told.answer if isinstance(told, Told) else told
    return isinstance(answer, Estimate) and answer.value is not None and answer.value >= HALF
