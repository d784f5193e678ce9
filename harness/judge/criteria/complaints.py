"""Criterion 6: complaints 投诉处理: bad texts stopped and good ones not, refusals honoured, replies passed on.

What is stopped late, by a status report, counts as stopped: blocking tests wait for the report.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from harness.domain import Better, Estimate, Reason, Scope, State, Unit
from harness.dossier import DocumentKind
from harness.judge import stats
from harness.judge.criteria import Absent, Bools, By, Told, View, blocks_of, cases_of, measure
from harness.judge.criteria.encryption import number_on
from harness.judge.stats import NotEnough

LISTED: Final = (Reason.BLACKLISTED.value, Reason.OPTED_OUT.value)
FAILED: Final = ("undelivered", "expired", "rejected")

# Refusals that say nothing about the text.
NOT_ABOUT_TEXT: Final = frozenset(
    {
        Reason.BLACKLISTED.value,
        Reason.OPTED_OUT.value,
        Reason.FREQUENCY_CAP.value,
        Reason.INVALID_NUMBER.value,
        Reason.UNREACHABLE.value,
        Reason.OUT_OF_SERVICE.value,
        Reason.BALANCE.value,
        Reason.THROTTLED.value,
        Reason.QUOTA.value,
        Reason.HOURS.value,
        Reason.AUTH.value,
        Reason.ROUTING.value,
        Reason.VENDOR_FAULT.value,
        Reason.CARRIER_FAULT.value,
    }
)


def refusals(frame: pd.DataFrame) -> tuple[Bools, pd.Series[str]]:
    """Which messages were refused, at the door or by report, and why."""
    at_door = (frame["outcome"] == "refused").to_numpy()
    later = frame["report_state"].isin(FAILED).to_numpy() & frame["seen_at"].isna().to_numpy()
    reason = frame["reason"].where(at_door, frame["report_reason"]).fillna(Reason.UNMAPPED.value)
    return at_door | later, reason


def _filtered(view: View, *, faulty: bool) -> tuple[pd.DataFrame, Bools]:
    """Texts of the filter test with a clear fate, and which were stopped for what they say."""
    frame = view.messages[(view.messages["scenario"] == "content_filter").to_numpy()]
    frame = frame[((frame["fault"] != "") == faulty).to_numpy()]
    refused, reason = refusals(frame)
    stopped = refused & ~reason.isin(NOT_ABOUT_TEXT).to_numpy()
    passed = frame["seen_at"].notna().to_numpy() | (frame["report_state"] == "delivered").to_numpy()
    clear = stopped | passed
    return frame[clear], stopped[clear]


def _by_family(hits: Bools, frame: pd.DataFrame) -> Estimate | NotEnough:
    """A share with the family of texts as cluster: texts of one family stand or fall together."""
    families = frame["family"].where(frame["family"] != "", frame["content"])
    answer = stats.broadest_rate(hits.astype(float), pd.factorize(families)[0], blocks_of(frame))
    if isinstance(answer, NotEnough):
        return answer
    return replace(answer, handsets=None, scope=Scope.CASES)


@measure(
    "content_filter.recall", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("content_filter",),
    denominator="faulty_texts",
)  # fmt: skip
def recall(view: View) -> Told | NotEnough:
    """Share of deliberately faulty texts that were stopped."""
    frame, stopped = _filtered(view, faulty=True)
    return Told(answer=_by_family(stopped, frame), cases=cases_of(frame, ~stopped))


@measure(
    "content_filter.false_alarm", unit=Unit.SHARE, better=Better.LOWER, scenarios=("content_filter",),
    denominator="harmless_texts",
)  # fmt: skip
def false_alarm(view: View) -> Told | NotEnough:
    """Share of harmless texts that were stopped for what they say."""
    frame, stopped = _filtered(view, faulty=False)
    return Told(answer=_by_family(stopped, frame), cases=cases_of(frame, stopped))


# --- opting out ------------------------------------------------------------------------------------------------------


def after_reply(view: View) -> pd.DataFrame:
    """Messages sent after a phone's reply 退订, by case: `after` seconds, `refused` (listed), `leaked` (seen)."""
    frame = view.messages[((view.messages["scenario"] == "opt_out") & (view.messages["leg"] > 0)).to_numpy()]
    replied = view.replies.groupby("case_id")["at"].min()
    frame = frame[frame["case_id"].isin(replied.index).to_numpy()].copy()
    frame["after"] = frame["sent_at"] - frame["case_id"].map(replied)
    frame = frame[(frame["after"] > 0).to_numpy()]
    refused, reason = refusals(frame)
    frame["refused"] = refused & reason.isin(LISTED).to_numpy()
    frame["leaked"] = frame["seen_at"].notna()
    # Taken, claimed or not, and never seen by a phone that was alive: it was held back in silence.
    frame["held"] = frame["refused"] | (refused & ~frame["leaked"]) | ((frame["watch"] == "missing") & ~frame["leaked"])
    return frame


@measure("opt_out.honoured", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("opt_out",), denominator="opt_outs")
def honoured(view: View) -> Told | NotEnough:
    """Share of phones that got no more marketing after replying 退订, by the last message sent to each."""
    frame = after_reply(view)
    known = frame[(frame["leaked"] | frame["held"]).to_numpy()]
    last = known.sort_values("after").groupby("case_id").tail(1)
    kept = (~last["leaked"]).to_numpy()
    return Told(answer=stats.share(int(kept.sum()), len(last)), cases=cases_of(last, ~kept))


def _bracket(frame: pd.DataFrame, done: str, not_done: str) -> Told | NotEnough:
    """Median time after the reply until something holds, between the last message without and the first with it."""
    first = frame[frame[done].to_numpy()].groupby("case_id")["after"].min()
    last = frame[frame[not_done].to_numpy()].groupby("case_id")["after"].max()
    cases = frame["case_id"].drop_duplicates()
    if cases.empty:
        return NotEnough(reason="no_cases")
    right = cases.map(first).fillna(np.inf).to_numpy()
    left = np.minimum(cases.map(last).fillna(0.0).to_numpy(), right)
    low, high = float(np.median(left)), float(np.median(right))
    known = bool(np.isfinite(high))
    answer = Estimate(
        value=(low + high) / 2 if known else None, low=low, high=high if known else None, n=len(cases),
        n_eff=float(len(cases)), handsets=len(cases), days=None, method="bracket", scope=Scope.CASES,
    )  # fmt: skip
    order = np.argsort(-right, kind="stable")
    return Told(answer=answer, cases=list(cases.to_numpy()[order]))


@measure("opt_out.time", unit=Unit.SECONDS, better=Better.LOWER, scenarios=("opt_out",), denominator="opt_outs")
def opt_out_time(view: View) -> Told | NotEnough:
    """Median time from the reply 退订 until marketing stays away: between the last leak and the first held back."""
    return _bracket(after_reply(view), "held", "leaked")


@measure(
    "blacklist.update_time", unit=Unit.SECONDS, better=Better.LOWER, scenarios=("opt_out",), denominator="opt_outs"
)
def update_time(view: View) -> Told | NotEnough:
    """Median time from the reply 退订 until the vendor itself says that the number is on its list."""
    frame = after_reply(view)
    frame["unlisted"] = ~frame["refused"]
    return _bracket(frame, "refused", "unlisted")


@measure(
    "blacklist.blocked", unit=Unit.SHARE, better=Better.HIGHER, by=(By.EXPECT,), scenarios=("blacklist",),
    denominator="listed_numbers",
)  # fmt: skip
def blocked(view: View) -> Told | NotEnough:
    """Share of messages to blocked, opted-out or unused numbers that were refused, at the door or by report."""
    frame = view.messages[(view.messages["scenario"] == "blacklist").to_numpy()]
    frame = frame[frame["expect"].isin(("blocked", "opted_out", "invalid")).to_numpy()]
    refused, _ = refusals(frame)
    passed = frame["seen_at"].notna().to_numpy() | (frame["report_state"] == "delivered").to_numpy()
    clear = refused | passed
    frame, refused = frame[clear], refused[clear] & ~passed[clear]
    return Told(answer=stats.share(int(refused.sum()), len(frame)), cases=cases_of(frame, ~refused))


@measure("inbound.rate", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("opt_out",), denominator="replies_sent")
def inbound(view: View) -> Told | NotEnough:
    """Share of replies sent by phones that the vendor passed on to us."""
    frame = view.replies
    passed = frame["inbound_at"].notna().to_numpy()
    return Told(answer=stats.share(int(passed.sum()), len(frame)), cases=cases_of(frame, ~passed))


@measure("complaint_channel.hours", unit=Unit.COUNT, better=Better.LOWER, scenarios=())
def complaint_hours(view: View) -> Told | Absent:
    """Hours in which the vendor promises to answer a complaint, as attested."""
    told = number_on(view, DocumentKind.COMPLAINT_CHANNEL, "hours")
    if isinstance(told.answer, Absent) and told.answer.reason == "document_missing":
        return Absent(state=State.INSUFFICIENT, reason="document_missing", values=told.answer.values)
    return told
