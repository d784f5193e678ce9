"""Criterion 5: does it arrive, how fast, and is the vendor's word good 到达率实时监测; all by carrier.

`delivered` is what the vendor claims, `arrived` what a phone saw; every share names its denominator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from harness.domain import BEIJING, Better, Estimate, Reason, Scope, State, Unit
from harness.judge import stats
from harness.judge.criteria import (
    EVERYWHERE,
    TRAFFIC,
    Absent,
    Bools,
    By,
    Floats,
    Taking,
    Told,
    View,
    blocks_of,
    cases_of,
    days_of,
    exactly,
    measure,
    rate_of,
)
from harness.judge.journeys import HORIZON
from harness.judge.stats import NotEnough

REPORT_HORIZON: Final = 86_400.0  # seconds, where the run's settings say nothing
GREATEST_CLOCK_PART: Final = 0.05  # of the time asked for: 0.25 s for "within 5 s" (statistics.md 2.4)
LEAST_CONTROLS: Final = 20
FRESH_DAYS: Final = 21  # a number that joined in these days before the run was in no earlier monthly one
SCTS_GRAIN: Final = 1.0  # seconds; service centres stamp whole ones

# Refusals that are ours to answer for: not counted among valid numbers and sound requests.
OUR_FAULT: Final = frozenset(
    {
        Reason.BAD_REQUEST.value,
        Reason.BALANCE.value,
        Reason.AUTH.value,
        Reason.QUOTA.value,
        Reason.FREQUENCY_CAP.value,
        Reason.SIGNATURE_NOT_APPROVED.value,
        Reason.TEMPLATE_NOT_APPROVED.value,
        Reason.INVALID_NUMBER.value,
        Reason.OUT_OF_SERVICE.value,
        Reason.BLACKLISTED.value,
        Reason.OPTED_OUT.value,
    }
)
FAILED: Final = ("undelivered", "expired", "rejected")


def _mask(frame: pd.DataFrame, column: str, value: object) -> Bools:
    return np.asarray(frame[column] == value, dtype=bool)


# --- shares, each with its denominator -------------------------------------------------------------------------------


def widened(answer: Estimate | NotEnough, known: int, unknown: int) -> Estimate | NotEnough:
    """The limits a share could have, were those of unknown fate all misses, or all hits."""
    if isinstance(answer, NotEnough) or not unknown or answer.low is None or answer.high is None:
        return answer
    every = known + unknown
    return replace(
        answer, low=answer.low * known / every, high=(answer.high * known + unknown) / every,
        method=f"{answer.method}+unknown",
    )  # fmt: skip


@measure(
    "arrival.rate", unit=Unit.SHARE, better=Better.HIGHER, by=EVERYWHERE, denominator="accepted",
    kpi="SMS completion ratio (1 - completion failure ratio)",
)  # fmt: skip
def arrival_rate(view: View) -> Told | NotEnough:
    """Share of accepted messages that a phone saw, intact and within the horizon."""
    frame = view.watched
    arrived = _mask(frame, "watch", "arrived")
    answer = widened(rate_of(arrived, frame), len(frame), view.unknown)
    return Told(answer=answer, cases=cases_of(frame, ~arrived))


@measure("arrival.panel", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="accepted")
def arrival_panel(view: View) -> Told | NotEnough:
    """The same for these very phones in the long run: narrower, and no promise for others."""
    frame = view.watched
    if frame.empty:
        return NotEnough(reason="no_messages")
    arrived = _mask(frame, "watch", "arrived")
    answer = stats.rate(arrived, frame["phone"].to_numpy(), blocks_of(frame), scope=Scope.PANEL, days=days_of(frame))
    return Told(answer=widened(answer, len(frame), view.unknown), cases=cases_of(frame[~arrived]))


def _of(view: View, denominator: str) -> pd.DataFrame:
    """Ordinary messages submitted, accepted, or valid: submitted ones less those refused through our own fault."""
    match denominator:
        case "accepted":
            return view.accepted
        case "valid_numbers":
            return view.traffic[~(_mask(view.traffic, "outcome", "refused") & view.traffic["reason"].isin(OUR_FAULT))]
    return view.traffic


def _arrival_of(view: View, denominator: str) -> Told | NotEnough:
    """Arrival with refusals counted as misses; void and unknown ones left out as for `arrival.rate`."""
    frame = _of(view, denominator)
    refused = _mask(frame, "outcome", "refused")
    frame = frame[refused | frame["watch"].isin(("arrived", "missing"))]
    arrived = _mask(frame, "watch", "arrived")
    answer = widened(rate_of(arrived, frame), len(frame), view.unknown)
    return Told(answer=answer, cases=cases_of(frame[~arrived]))


@measure("arrival.of_submitted", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="submitted")
def arrival_of_submitted(view: View) -> Told | NotEnough:
    """Share of submitted messages that a phone saw: a refusal is an attempt."""
    return _arrival_of(view, "submitted")


@measure("arrival.of_valid", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="valid_numbers")
def arrival_of_valid(view: View) -> Told | NotEnough:
    """Share seen of submitted messages less those refused through our own fault: as vendors' SLAs count."""
    return _arrival_of(view, "valid_numbers")


@measure(
    "acceptance.rate", unit=Unit.SHARE, better=Better.HIGHER, by=EVERYWHERE, denominator="submitted",
    kpi="1 - SMS service non-accessibility",
)  # fmt: skip
def acceptance(view: View) -> Told | NotEnough:
    """Share of submitted messages that the vendor took."""
    frame = view.traffic
    accepted = _mask(frame, "outcome", "accepted")
    return Told(answer=rate_of(accepted, frame), cases=cases_of(frame[~accepted]))


@measure("acceptance.of_valid", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="valid_numbers")
def acceptance_of_valid(view: View) -> Told | NotEnough:
    """Share taken of submitted messages less those refused through our own fault."""
    frame = _of(view, "valid_numbers")
    accepted = _mask(frame, "outcome", "accepted")
    return Told(answer=rate_of(accepted, frame), cases=cases_of(frame[~accepted]))


def _delivery_of(view: View, denominator: str) -> Told | NotEnough:
    frame = _of(view, denominator)
    frame = frame[_mask(frame, "outcome", "refused") | frame["report_state"].notna() | _report_is_due(view, frame)]
    delivered = _mask(frame, "report_state", "delivered")
    return Told(answer=rate_of(delivered, frame), cases=cases_of(frame[~delivered]))


def _report_is_due(view: View, frame: pd.DataFrame) -> Bools:
    """Whether a report should be here by now."""
    horizon = view.run.seconds("report_horizon_seconds", REPORT_HORIZON)
    closed = frame["because"].isin(("settled", "horizon"))
    return np.asarray((frame["followed_for"] >= horizon) | closed, dtype=bool)


@measure("delivery.rate", unit=Unit.SHARE, better=Better.HIGHER, by=EVERYWHERE, denominator="accepted")
def delivery(view: View) -> Told | NotEnough:
    """Share of accepted messages that the vendor claims to have delivered."""
    return _delivery_of(view, "accepted")


@measure("delivery.of_submitted", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="submitted")
def delivery_of_submitted(view: View) -> Told | NotEnough:
    """Share of submitted messages that the vendor claims to have delivered."""
    return _delivery_of(view, "submitted")


@measure("delivery.of_valid", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="valid_numbers")
def delivery_of_valid(view: View) -> Told | NotEnough:
    """Share claimed as delivered of submitted messages less those refused through our own fault."""
    return _delivery_of(view, "valid_numbers")


@measure("altered.rate", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER,), denominator="seen")
def altered(view: View) -> Told | NotEnough:
    """Share of seen messages whose text is not the one sent."""
    seen = view.accepted[view.accepted["sighting"].notna().to_numpy()]
    changed = _mask(seen, "sighting", "altered")
    return Told(answer=rate_of(changed, seen), cases=cases_of(seen[changed]))


@measure("long_text.arrival", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("long_text",), denominator="accepted")
def long_text(view: View) -> Told | NotEnough:
    """Share of accepted messages of several segments that arrived whole."""
    frame = view.sent(("long_text",))
    frame = frame[frame["watch"].isin(("arrived", "missing")).to_numpy()]
    arrived = _mask(frame, "watch", "arrived")
    return Told(answer=rate_of(arrived, frame), cases=cases_of(frame, ~arrived))


# --- are known numbers treated better? -------------------------------------------------------------------------------


@measure("arrival.fresh_difference", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER,), denominator="accepted")
def fresh_difference(view: View) -> Told | NotEnough:
    """Arrival on numbers the vendor has met in earlier months less that on fresh ones: above 0, it knows our phones.

    Phones differ of themselves, so both shares are clustered by phone; limits by MOVER.
    """
    found = _known_and_fresh(view)
    if isinstance(found, NotEnough):
        return found
    known, fresh, cases = found
    return Told(answer=stats.difference_of_rates(known, fresh, days=days_of(view.watched)), cases=cases)


@measure("arrival.fresh_detectable", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER,), denominator="accepted")
def fresh_detectable(view: View) -> Told | NotEnough:
    """The gap between known and fresh numbers that would be found in four of five cases: its power."""
    found = _known_and_fresh(view)
    if isinstance(found, NotEnough):
        return found
    known, fresh, _ = found
    gap = stats.detectable_gap(known, fresh)
    return Told(answer=exactly(gap, n=known.n + fresh.n, method="power", scope=Scope.PANEL))


def _known_and_fresh(view: View) -> tuple[Estimate, Estimate, list[str]] | NotEnough:
    """Arrival on known and on fresh numbers, and the fresh ones' misses. Fresh: joined in the weeks before the run."""
    frame = view.watched
    line = datetime.fromtimestamp(view.run.began_at, UTC).astimezone(BEIJING).date() - timedelta(days=FRESH_DAYS)
    since = {id: person.since for id, person in view.run.began.panel.items()}
    if not any(since.values()):
        return NotEnough(reason="no_joining_days")
    joined = frame["recipient"].map(lambda id: since.get(str(id)))
    # Who has no day of joining was there before days were written down.
    is_fresh = np.array([day is not None and day >= line for day in joined], dtype=bool)
    groups = []
    for part in (frame[~is_fresh], frame[is_fresh]):
        phones = int(part["phone"].nunique())
        if phones < stats.LEAST_HANDSETS:
            few = {"handsets": phones, "needed": stats.LEAST_HANDSETS}
            return NotEnough(reason="few_known_or_fresh", values=few)
        answer = rate_of(_mask(part, "watch", "arrived"), part)
        if isinstance(answer, NotEnough):
            return answer
        groups.append(answer)
    fresh = frame[is_fresh]
    return groups[0], groups[1], list(cases_of(fresh[_mask(fresh, "watch", "missing")]))


# --- is the vendor's word good? --------------------------------------------------------------------------------------


def _claim_of(frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    failed = frame["report_state"].isin(FAILED).to_numpy()
    delivered = _mask(frame, "report_state", "delivered")
    return np.where(delivered, "delivered", np.where(failed, "failed", "none")).astype(object)


@measure("arrival.corrected", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER,), denominator="accepted")
def corrected(view: View) -> Told | NotEnough:
    """Arrival rate of all accepted messages from the vendor's claims, corrected by what phones saw of a part."""
    everything, watched = view.accepted, view.watched
    if watched.empty:
        return NotEnough(reason="no_messages")
    claims, verified = _claim_of(everything).astype(str), _claim_of(watched).astype(str)
    arrived = _mask(watched, "watch", "arrived")
    answer = stats.post_stratified(
        claims, verified, arrived, watched["phone"].to_numpy(), claims_handset=everything["phone"].to_numpy(),
        days=days_of(everything),
    )  # fmt: skip
    return Told(answer=answer)


def claimed_and_watched(view: View) -> tuple[pd.DataFrame, Bools]:
    """Messages claimed as delivered whose phone was alive, and which of them the phone never saw.

    Only phones that would show a missing message count: one that is heard of only when something arrives would add
    true claims and no false ones.
    """
    tells = view.watched["tells"].to_numpy().astype(bool)
    frame = view.watched[_mask(view.watched, "report_state", "delivered") & tells]
    return frame, _mask(frame, "watch", "missing") & frame["seen_at"].isna().to_numpy()


@measure(
    "false_receipt.rate", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER, By.PURPOSE), denominator="delivered"
)
def false_receipts(view: View) -> Told | NotEnough:
    """Share of "delivered" claims that are false: the phone was alive and never had the message.

    Where the phone's own inbox was asked, that settles it; phones that could not be asked are left out if enough
    remain. Else the app may have lost it: the same phones' misses of another vendor's messages, of the one that lost
    fewest, are taken off. Those may be made up as well, so the upper limit is the one without correction.
    """
    frame, unseen = claimed_and_watched(view)
    if frame.empty:
        return NotEnough(reason="no_messages")
    cases = cases_of(frame[unseen])
    settled = ~frame["phone"].isin(frame["phone"][unseen & ~_mask(frame, "searched", False)].unique()).to_numpy()
    phones = frame["phone"][settled].nunique()
    if settled.all() or (phones >= stats.LEAST_HANDSETS and settled.sum() * 2 >= len(frame)):
        return Told(answer=rate_of(unseen[settled], frame[settled]), cases=cases)
    missed, by_phone = _controls(view, frame)
    answer = stats.false_receipts(
        unseen.astype(float), frame["phone"].to_numpy(), missed.astype(float), by_phone, days=days_of(frame)
    )
    plain = rate_of(unseen, frame)
    if isinstance(answer, Estimate) and isinstance(plain, Estimate) and answer.high is not None:
        answer = replace(answer, high=max(answer.high, plain.high or 0.0))
    return Told(answer=answer, cases=cases)


def _controls(view: View, frame: pd.DataFrame) -> tuple[Bools, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """What the same phones missed of another vendor's "delivered" messages, of the vendor they missed least of."""
    others = view.others
    keep = others["scenario"].isin(TRAFFIC) & others["watch"].isin(("arrived", "missing"))
    others = others[keep & (others["report_state"] == "delivered") & others["phone"].isin(frame["phone"].unique())]
    missed = others["watch"] == "missing"
    shares = missed.groupby(others["vendor"].astype(str)).agg(["mean", "size"])
    shares = shares[shares["size"] >= LEAST_CONTROLS]
    if shares.empty:
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)
    chosen = (others["vendor"] == shares["mean"].idxmin()).to_numpy()
    return missed.to_numpy()[chosen], others["phone"].to_numpy()[chosen]


@measure(
    "impossible_receipt.rate", unit=Unit.SHARE, better=Better.LOWER, scenarios=("blacklist",), denominator="accepted"
)
def impossible_receipts(view: View) -> Told | NotEnough:
    """Share of messages to numbers out of use or switched off that the vendor claims to have delivered."""
    frame = view.messages[view.messages["expect"].isin(("invalid", "unreachable")).to_numpy()]
    frame = frame[_mask(frame, "outcome", "accepted")]
    frame = frame[frame["report_state"].notna().to_numpy() | _report_is_due(view, frame)]
    claimed = _mask(frame, "report_state", "delivered")
    return Told(answer=stats.share(int(claimed.sum()), len(frame)), cases=cases_of(frame[claimed]))


@measure(
    "missing_receipt.rate", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER,), denominator="arrived",
    kpi="SMS receive confirmation failure ratio",
)  # fmt: skip
def missing_receipts(view: View) -> Told | NotEnough:
    """Share of arrived messages without a final report by its deadline."""
    frame = view.watched[_mask(view.watched, "watch", "arrived")]
    frame = frame[frame["report_state"].notna().to_numpy() | _report_is_due(view, frame)]
    if frame.empty:
        return NotEnough(reason="no_messages")
    reported = frame["report_state"].notna().to_numpy()
    answer = stats.missing_receipts(
        np.ones(len(frame), dtype=bool), reported, frame["phone"].to_numpy(), blocks_of(frame), days=days_of(frame)
    )
    if isinstance(answer, NotEnough):
        answer = rate_of(~reported, frame)
    return Told(answer=answer, cases=cases_of(frame[~reported]))


@measure("early_receipt.rate", unit=Unit.SHARE, better=Better.LOWER, by=(By.CARRIER,), denominator="delivered")
def early_receipts(view: View) -> Told | NotEnough:
    """Share of "delivered" reports that reached us before the phone had the message, beyond what clocks may err.

    Proof of a receipt made up without knowing, even where the message arrived. Both ends are on our clock.
    """
    frame = view.watched
    frame = frame[_mask(frame, "report_state", "delivered") & _mask(frame, "clock", "handset")]
    if frame.empty:
        return NotEnough(reason="no_clock_exchange")
    latest = frame["reported_at"] + frame["clock_bound"] + frame["clock_grain"]
    early = (latest < frame["arrived_at"]).to_numpy()
    return Told(answer=rate_of(early, frame), cases=cases_of(frame[early]))


# --- times -----------------------------------------------------------------------------------------------------------


def arrival_times(view: View) -> tuple[pd.DataFrame, Floats, np.ndarray[tuple[int], np.dtype[np.int64]], float]:
    """Messages fit for arrival times; seconds and event codes for `stats`; and the horizon."""
    frame, horizon = view.timed, view.run.seconds("horizon_seconds", HORIZON)
    arrived = _mask(frame, "watch", "arrived")
    seconds = np.where(arrived, frame["arrived_at"] - frame["sent_at"], horizon)
    return frame, seconds, np.where(arrived, stats.ARRIVED, stats.OPEN), horizon


def earliest(frame: pd.DataFrame, seconds: Floats) -> Floats:
    """The least that each message can have taken, in seconds.

    Where only our own clock saw it, the app's forwarding is in the time. Then the service centre's stamp says how much
    had passed at least: its clock is nobody's we know, so it is taken to be as far ahead as cause and effect allow.
    """
    bounded = _mask(frame, "clock", "received") & _mask(frame, "watch", "arrived")
    if not bounded.any():
        return seconds
    passed = frame["scts"] - frame["sent_at"]
    ahead = passed.groupby(frame["carrier"], observed=True).transform("min")
    least = (passed - ahead - SCTS_GRAIN).fillna(0.0).clip(lower=0.0).to_numpy()
    return np.where(bounded, np.minimum(least, seconds), seconds)


def _between(early: Estimate, late: Estimate, method: str) -> Estimate:
    """What lies between two estimates of one thing, taken from the earliest and from the latest moments."""
    middle = late.value
    if early.value is not None and late.value is not None:
        middle = (early.value + late.value) / 2
    return replace(late, value=middle, low=early.low, method=f"{late.method}+{method}")


def _latency(view: View, q: float) -> Told | NotEnough:
    frame, seconds, events, horizon = arrival_times(view)
    if frame.empty:
        return NotEnough(reason="no_messages")
    scope, phone, blocks, days = _scope(frame), frame["phone"].to_numpy(), blocks_of(frame), days_of(frame)

    def percentile(taken: Floats) -> Estimate | NotEnough:
        return stats.percentile_of_all_sent(
            q, taken, events, phone, blocks, followed_up=horizon, scope=scope, days=days
        )

    answer, least = percentile(seconds), earliest(frame, seconds)
    if isinstance(answer, Estimate) and least is not seconds:
        early = percentile(least)
        assert isinstance(early, Estimate)
        answer = _between(early, answer, "forwarding")
    return Told(answer=_with_clock(answer, frame), cases=_slowest(frame, seconds))


def _with_clock(answer: Estimate | NotEnough, frame: pd.DataFrame) -> Estimate | NotEnough:
    """A percentile's limits, moved out by what the phones' clocks may err (weighted by messages, 95 %)."""
    bounds = frame["clock_bound"].dropna().to_numpy()
    if isinstance(answer, NotEnough) or not bounds.size or not (bound := float(np.quantile(bounds, 0.95))):
        return answer
    low = None if answer.low is None else max(0.0, answer.low - bound)
    return replace(
        answer, low=low, high=None if answer.high is None else answer.high + bound, method=f"{answer.method}+clock"
    )


def _slowest(frame: pd.DataFrame, seconds: Floats) -> list[str]:
    return list(frame["case_id"].to_numpy()[np.argsort(-seconds, kind="stable")[:200]])


def _within(view: View, t: float) -> Told | NotEnough:
    frame, seconds, events, horizon = arrival_times(view)
    if frame.empty:
        return NotEnough(reason="no_messages")
    # A phone whose clock is not known well enough for this question is left out, with all it saw or missed.
    bounds = frame.groupby("phone")["clock_bound"].max()
    good = frame["phone"].isin(bounds.index[~(bounds > GREATEST_CLOCK_PART * t)]).to_numpy()
    if good.sum() * 2 < len(frame):
        worst = float(bounds.max())
        return NotEnough(reason="clock_bound_too_wide", values={"bound": worst, "allowed": GREATEST_CLOCK_PART * t})
    frame, seconds, events = frame[good], seconds[good], events[good]
    bound = float(frame["clock_bound"].max()) if frame["clock_bound"].notna().any() else 0.0
    scope, phone, blocks, days = _scope(frame), frame["phone"].to_numpy(), blocks_of(frame), days_of(frame)

    def within(taken: Floats) -> Estimate | NotEnough:
        return stats.within_with_clock_bound(
            taken, events, t, bound, phone, blocks, followed_up=horizon, scope=scope, days=days
        )

    answer, least = within(seconds), earliest(frame, seconds)
    if isinstance(answer, Estimate) and least is not seconds:
        early = within(least)
        assert isinstance(early, Estimate)
        answer = replace(_between(early, answer, "forwarding"), low=answer.low, high=early.high)
    return Told(answer=answer, cases=_slowest(frame, seconds))


def _acceptance_time(view: View, q: float) -> Told | NotEnough:
    """Time from the request's first byte to the answer's first byte, of all submitted."""
    frame = view.traffic
    answered = frame["wait"].notna().to_numpy()
    seconds = frame["wait"].fillna(frame["answered_at"] - frame["sent_at"]).to_numpy()
    known = ~np.isnan(seconds)
    frame, answered, seconds = frame[known], answered[known], seconds[known]
    if not answered.any():
        return NotEnough(reason="no_messages")
    lag = float(np.nanquantile(np.append(frame["lag"].to_numpy(), 0.0), 0.95))
    if lag > max(0.1, float(np.median(seconds[answered]))):
        return NotEnough(reason="own_lag", values={"lag_seconds": lag})
    answer = stats.percentile_of_all_sent(
        q, seconds, np.where(answered, stats.ARRIVED, stats.OPEN), frame["phone"].to_numpy(), blocks_of(frame),
        followed_up=None, scope=_scope(frame), days=days_of(frame),
    )  # fmt: skip
    return Told(answer=answer, cases=_slowest(frame, seconds))


def _scope(frame: pd.DataFrame) -> Scope:
    """The broadest population a table of messages can speak of."""
    blocks = len(np.unique(blocks_of(frame)))
    if blocks < stats.LEAST_BLOCKS:
        return Scope.WINDOW
    return Scope.POPULATION if frame["phone"].nunique() >= stats.LEAST_HANDSETS else Scope.PANEL


def _report_time(view: View, q: float) -> Told | NotEnough:
    """Time from sending to the first final report reaching us, of all accepted.

    Pulled reports came somewhere between two pulls: the limits are those of the earlier and of the later end.
    """
    frame, horizon = view.accepted, view.run.seconds("report_horizon_seconds", REPORT_HORIZON)
    if frame.empty:
        return NotEnough(reason="no_messages")
    reported = frame["reported_at"].notna().to_numpy()
    sent = frame["sent_at"].to_numpy()
    watched = np.minimum(frame["followed_for"].to_numpy(), horizon)
    latest = np.where(reported, frame["reported_at"].to_numpy() - sent, watched)
    before = np.maximum(frame["report_not_before"].to_numpy(), sent) - sent
    pulled = reported & ~np.isnan(before)
    events = np.where(reported, stats.ARRIVED, stats.OPEN)
    phone, blocks, scope, days = frame["phone"].to_numpy(), blocks_of(frame), _scope(frame), days_of(frame)

    def percentile(seconds: Floats) -> Estimate | NotEnough:
        return stats.percentile_of_all_sent(
            q, np.maximum(seconds, 0.0), events, phone, blocks, followed_up=horizon, scope=scope, days=days
        )

    late = percentile(latest)
    cases = _slowest(frame, latest)
    if isinstance(late, NotEnough) or not pulled.any():
        return Told(answer=late, cases=cases)
    early = percentile(np.where(pulled, before, latest))
    assert isinstance(early, Estimate)
    return Told(answer=_between(early, late, "polled"), cases=cases)


def _at(answer: Callable[[View, float], Told | NotEnough], x: float) -> Taking:
    def take(view: View) -> Told | NotEnough:
        return answer(view, x)

    return take


_BY: Final = (By.CARRIER, By.PURPOSE, By.CAMPAIGN)

for _q, _name in ((0.50, "p50"), (0.90, "p90"), (0.95, "p95"), (0.99, "p99")):
    measure(
        f"latency.{_name}", unit=Unit.SECONDS, better=Better.LOWER, by=_BY, denominator="accepted",
        kpi="SMS end-to-end delivery time",
    )(_at(_latency, _q))  # fmt: skip
    measure(
        f"acceptance_time.{_name}", unit=Unit.SECONDS, better=Better.LOWER, denominator="submitted",
        kpi="SMS access delay",
    )(_at(_acceptance_time, _q))  # fmt: skip
    measure(
        f"report_time.{_name}", unit=Unit.SECONDS, better=Better.LOWER, by=(By.CARRIER,), denominator="accepted",
        kpi="SMS receive confirmation time",
    )(_at(_report_time, _q))  # fmt: skip
for _t in (5, 10, 60):
    measure(f"latency.within_{_t}_s", unit=Unit.SHARE, better=Better.HIGHER, by=_BY, denominator="accepted")(
        _at(_within, float(_t))
    )


# --- the vendor's own figures ----------------------------------------------------------------------------------------


def _own_counts(view: View) -> pd.DataFrame:
    """The vendor's rows beside our own counts of the same span and carrier: columns `theirs`, `ours`, `case_id`."""
    rows = view.statistics[view.statistics["since"].notna().to_numpy()]
    accepted = view.messages[(view.messages["outcome"] == "accepted").to_numpy()]
    sent, carrier = accepted["sent_at"].to_numpy(), accepted["carrier"].astype(object).to_numpy()
    pairs = []
    claimed = (accepted["report_state"] == "delivered").to_numpy()
    for row in rows.to_dict("records"):
        inside = (sent >= row["since"]) & (sent < row["until"])
        if row["carrier"] is not None:
            inside &= carrier == row["carrier"]
        for theirs, ours in ((row["submitted"], inside.sum()), (row["delivered"], (inside & claimed).sum())):
            if not np.isnan(theirs) and (theirs or ours):
                pairs.append({"theirs": float(theirs), "ours": float(ours), "case_id": row["case_id"]})
    return pd.DataFrame(pairs, columns=["theirs", "ours", "case_id"])


@measure(
    "statistics.accuracy", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("statistics",), denominator="own_counts"
)
def statistics_accuracy(view: View) -> Told | NotEnough:
    """How well the vendor's own counts agree with ours: 1 less the share by which they differ, over all rows.

    The limits are the worst and the best row.
    """
    pairs = _own_counts(view)
    if pairs.empty:
        return NotEnough(reason="no_cases")
    rows = pairs[["theirs", "ours"]].min(axis=1) / pairs[["theirs", "ours"]].max(axis=1)
    gap = float((pairs["theirs"] - pairs["ours"]).abs().sum())
    value = max(0.0, 1 - gap / float(pairs["ours"].sum())) if pairs["ours"].sum() else 0.0
    answer = exactly(
        value, n=len(pairs), low=min(value, float(rows.min())), high=max(value, float(rows.max())), method="counts",
        scope=Scope.CASES,
    )  # fmt: skip
    return Told(answer=answer, cases=list(dict.fromkeys(pairs["case_id"])))


@measure("statistics.per_carrier", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("statistics",))
def statistics_per_carrier(view: View) -> Told | NotEnough:
    """Whether the vendor gives its figures by carrier."""
    rows = view.statistics[view.statistics["since"].notna().to_numpy()]
    if rows.empty:
        return NotEnough(reason="no_cases")
    split = float(rows["carrier"].notna().any())
    return Told(answer=exactly(split, n=len(rows), method="counts"), cases=list(dict.fromkeys(rows["case_id"])))


@measure("statistics.freshness", unit=Unit.SECONDS, better=Better.LOWER, scenarios=("statistics",))
def statistics_freshness(view: View) -> Told | NotEnough | Absent:
    """How old the vendor's newest figure is when asked: from the end of the last span that has any count."""
    asked = view.statistics
    if asked.empty:
        return NotEnough(reason="no_cases")
    filled = asked[(asked["submitted"].fillna(0) + asked["delivered"].fillna(0) > 0).to_numpy()]
    if filled.empty:
        return Absent(state=State.INSUFFICIENT, reason="statistics_empty")
    ages = (filled["at"] - filled["until"]).clip(lower=0.0).groupby(filled["case_id"]).min()
    answer = exactly(
        float(ages.median()), n=len(ages), low=float(ages.min()), high=float(ages.max()), method="counts",
        scope=Scope.CASES,
    )  # fmt: skip
    return Told(answer=answer, cases=list(ages.index))
