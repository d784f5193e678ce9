"""Criterion 7: how long the vendor keeps records of what it sent 发送记录存储周期.

Five months is the rule of 2004 for messages, six months what the buyer asks and network logs need; both are shown.
"""

from __future__ import annotations

import numpy as np

from harness.domain import Better, Estimate, Scope, Unit
from harness.dossier import DocumentKind
from harness.judge import stats
from harness.judge.criteria import Told, View, measure
from harness.judge.criteria.encryption import number_on
from harness.judge.stats import NotEnough

FIELDS = ("sent_at", "text", "state", "reported_at")


@measure("retention.contract", unit=Unit.DAYS, better=Better.HIGHER, scenarios=())
def contract(view: View) -> Told:
    """Days that the contract promises to keep records."""
    return number_on(view, DocumentKind.CONTRACT_RETENTION, "days")


@measure("retention.days", unit=Unit.DAYS, better=Better.HIGHER, scenarios=("retention",))
def days(view: View) -> Told | NotEnough:
    """How far back the vendor's interface gives records: between the oldest found and the youngest not found."""
    asked = view.records[view.records["age_days"].notna()]
    if asked.empty:
        return NotEnough(reason="no_cases")
    found = asked["found"].astype(bool)
    oldest = float(asked["age_days"][found].max()) if found.any() else 0.0
    gone = asked["age_days"][~found & (asked["age_days"] > oldest)]
    answer = Estimate(
        value=oldest, low=oldest, high=float(gone.min()) if len(gone) else None, n=len(asked), n_eff=float(len(asked)),
        handsets=None, days=None, method="bracket", scope=Scope.CASES,
    )  # fmt: skip
    return Told(answer=answer, cases=[*asked["case_id"][~found], *asked["case_id"][found]])


@measure("record.found", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("retention",), denominator="records_asked")
def found(view: View) -> Told | NotEnough:
    """Share of our messages that the vendor's records hold, of those no older than the oldest it has."""
    asked = view.records[view.records["age_days"].notna()]
    hits = asked["found"].astype(bool)
    oldest = asked["age_days"][hits].max() if hits.any() else None
    inside = asked[asked["age_days"] <= oldest] if oldest is not None else asked
    kept = inside["found"].astype(bool)
    return Told(answer=stats.share(int(kept.sum()), len(inside)), cases=list(inside["case_id"][~kept]))


@measure(
    "record.completeness", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("retention",), denominator="records_found"
)
def completeness(view: View) -> Told | NotEnough:
    """Share of found records that hold all of: time sent, text, state, time of the report."""
    found = view.records[view.records["found"].astype(bool)]
    whole = np.array([set(FIELDS) <= set(fields or ()) for fields in found["fields"]], dtype=bool)
    return Told(answer=stats.share(int(whole.sum()), len(whole)), cases=list(found["case_id"][~whole]))
