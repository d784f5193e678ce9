"""Beside the seven: what an arrived message costs, and whether the bill is right. Without a mark by default.

Fees are what the vendor's answers say; where they say nothing, billed segments at the agreed price.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from harness.domain import Better, Estimate, Unit
from harness.judge import stats
from harness.judge.criteria import Floats, Told, View, cases_of, days_of, measure, rate_of
from harness.judge.stats import NotEnough

BILLED = ("delivery", "soak", "long_text")


def billed_of(frame: pd.DataFrame) -> Floats:
    """Segments the vendor bills for each message: as the report says, else as the answer said; else missing."""
    return frame["billed_segments"].fillna(frame["fee_segments"]).to_numpy()


@measure("cost.per_arrived", unit=Unit.CNY, better=Better.LOWER, denominator="arrived")
def per_arrived(view: View) -> Told | NotEnough:
    """What was paid for each message that arrived."""
    frame = view.watched
    price = view.entry.price
    agreed = float(price.amount) if price is not None and price.currency == "CNY" else np.nan
    billed = np.where(np.isnan(billed_of(frame)), frame["due_segments"].to_numpy(), billed_of(frame))
    fees = np.where(frame["fee"].notna(), frame["fee"].to_numpy(), billed * agreed)
    known = ~np.isnan(fees)
    if not known.any():
        return NotEnough(reason="no_price" if len(frame) else "no_messages")
    rate = rate_of((frame["watch"] == "arrived").to_numpy(), frame)
    if isinstance(rate, NotEnough):
        return rate
    if not rate.value or rate.high is None:
        return NotEnough(reason="none_arrived")
    mean = float(fees[known].mean())
    answer: Estimate = replace(
        rate, value=mean / rate.value, low=mean / rate.high, high=mean / rate.low if rate.low else None,
        method="fee / arrival",
    )  # fmt: skip
    return Told(answer=answer, cases=cases_of(frame[(frame["watch"] == "missing").to_numpy()]))


@measure("billing.accuracy", unit=Unit.SHARE, better=Better.HIGHER, scenarios=BILLED, denominator="billed")
def accuracy(view: View) -> Told | NotEnough:
    """Share of billed messages whose segments are those the text needs: 70 or 67 characters each."""
    frame = view.sent(BILLED)
    frame = frame[(frame["outcome"] == "accepted").to_numpy()]
    billed = billed_of(frame)
    # A failed message billed as 0 is a refund, told elsewhere.
    known = ~np.isnan(billed) & ((billed > 0) | (frame["report_state"] == "delivered").to_numpy())
    frame, billed = frame[known], billed[known]
    right = billed == frame["due_segments"].to_numpy()
    return Told(answer=rate_of(right, frame), cases=cases_of(frame[~right]))


@measure("refund.rate", unit=Unit.SHARE, better=Better.HIGHER, denominator="undelivered")
def refunds(view: View) -> Told | NotEnough:
    """Share of messages reported as failed that the vendor bills as nothing.

    A vendor that writes the size of every message into its reports says nothing of refunds by that.
    """
    frame = view.accepted
    failed = frame[frame["report_state"].isin(("undelivered", "expired", "rejected")).to_numpy()]
    failed = failed[failed["billed_segments"].notna().to_numpy()]
    free = (failed["billed_segments"] == 0).to_numpy()
    days = days_of(failed)
    if days is None or not free.any():
        return NotEnough(reason="billing_untold")
    answer = stats.broadest_rate(free, failed["phone"].to_numpy(), np.zeros(len(failed)), days=days)
    return Told(answer=answer, cases=cases_of(failed[~free]))
