"""What becomes of a message in truth, and what is claimed of it: one vendor's luck, routes and receipts.

All chance comes from the stream of the message, or of the handset or week it meets, so that a message's fate does not
depend on what else was sent before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from harness.domain import BEIJING, Carrier, DeliveryState, Purpose, Reason, RecipientKind
from harness.text import billed_segments
from vendors.sandbox.door import Claim, Kept, Submission
from vendors.sandbox.people import Person
from vendors.sandbox.reviewers import OPT_OUT
from vendors.sandbox.truth import DownKind, Honesty, VendorTruth

VALIDITY: Final = timedelta(hours=48)  # how long a service centre keeps a message for a phone that is off

# Carriers' codes by why a message did not arrive (facts: cmpp.md 8).
CODES: Final[Mapping[Reason, Mapping[Carrier, str]]] = {
    Reason.INVALID_NUMBER: {Carrier.CHINA_UNICOM: "CB:0001", Carrier.CHINA_TELECOM: "DB:0100"},
    Reason.UNREACHABLE: {Carrier.CHINA_UNICOM: "MK:0024", Carrier.CHINA_TELECOM: "MC:0055"},
    Reason.BLACKLISTED: {Carrier.CHINA_UNICOM: "MBBLACK", Carrier.CHINA_TELECOM: "DB:0144"},
    Reason.OPTED_OUT: {},
    Reason.SENSITIVE_CONTENT: {},
    Reason.CARRIER_FAULT: {Carrier.CHINA_UNICOM: "IB:0054", Carrier.CHINA_TELECOM: "MA:0054"},
}
PLAIN_CODES: Final[Mapping[Reason, str]] = {
    Reason.INVALID_NUMBER: "MK:0001",
    Reason.UNREACHABLE: "MI:0024",
    Reason.BLACKLISTED: "MB:1077",
    Reason.OPTED_OUT: "TDBLACK",
    Reason.SENSITIVE_CONTENT: "ID:0076",
    Reason.CARRIER_FAULT: "IA:0054",
}
STATES: Final[Mapping[Reason, DeliveryState]] = {
    Reason.UNREACHABLE: DeliveryState.EXPIRED,
    Reason.SENSITIVE_CONTENT: DeliveryState.REJECTED,
}
"""What an honest status report claims for a message that did not arrive; UNDELIVERED where nothing stands here."""


@dataclass(slots=True, kw_only=True)
class Sending:
    """A message a vendor took, with its truth. `state` None: no status report, ever."""

    label: str
    key: str
    number: str = field(repr=False)
    carrier: Carrier | None
    purpose: Purpose
    text: str
    template: str | None
    reference: str | None
    sender: str
    at: datetime
    segments: int
    fee: Decimal
    scts: datetime
    arrived_at: datetime | None = None
    copies: tuple[datetime, ...] = ()  # network duplicates
    seen_text: str = ""  # as a phone shows it
    lost: Reason | None = None  # why it did not arrive
    is_made_up: bool = False  # the status report was invented
    is_kept_back: bool = False  # never sent at all
    state: DeliveryState | None = None
    code: str = ""
    claimed_at: datetime | None = None
    report_at: datetime | None = None
    is_kept: bool = True  # the vendor keeps a record of it
    is_refunded: bool = False
    handed_over_at: datetime | None = None  # when the customer got the report

    @property
    def is_altered(self) -> bool:
        return self.arrived_at is not None and self.seen_text != self.text

    @property
    def is_false(self) -> bool:
        """Whether a "delivered" is claimed of a message that never arrived."""
        return self.state is DeliveryState.DELIVERED and self.arrived_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of true time in which a carrier's route is not itself."""

    begin: datetime
    end: datetime
    carrier: Carrier | None
    arrival: float
    slower: float


class Fates:
    """Decides about the messages of one account."""

    def __init__(
        self, truth: VendorTruth, *, people: Mapping[str, Person], epoch: datetime, chance: Callable[..., Random]
    ) -> None:
        self._truth, self._people, self._epoch, self._chance = truth, people, epoch, chance
        self._periods = self._planned_periods()
        self._random_weeks: dict[tuple[Carrier, int], tuple[Period, ...]] = {}
        self._luck: dict[str, float] = {}
        self._recent: deque[datetime] = deque()

    def of(self, submission: Submission, at: datetime, chance: Random, late: Reason | None) -> Sending:
        """Decide all about a message taken at a time. `late`: why the vendor itself stops it, told only later."""
        person = self._people.get(submission.number)
        carrier = person.carrier if person else None
        segments = billed_segments(submission.text) + (1 if chance.random() < self._truth.overbilled else 0)
        sending = Sending(
            label=self._truth.label,
            key=submission.key,
            number=submission.number,
            carrier=carrier,
            purpose=submission.purpose,
            text=submission.text,
            template=submission.template,
            reference=submission.reference,
            sender=self._truth.senders[carrier or Carrier.CHINA_MOBILE] + submission.extension,
            at=at,
            segments=segments,
            fee=self._truth.price * segments,
            scts=at,
            seen_text=submission.text,
            is_kept=chance.random() < self._truth.kept,
        )
        self._decide_receipt_kind(sending, at, chance)
        self._decide_arrival(sending, person, late, chance)
        self._decide_report(sending, chance)
        return sending

    def _decide_receipt_kind(self, sending: Sending, at: datetime, chance: Random) -> None:
        """Whether this message's receipt is invented, by the four kinds, and whether it is sent at all."""
        receipts, luck, keep = self._truth.receipts, chance.random(), chance.random()
        match receipts.kind:
            case Honesty.HONEST:
                made_up = False
            case Honesty.ALL:
                made_up = True
            case Honesty.ALL_BUT_KNOWN:
                made_up = sending.number not in receipts.known
            case Honesty.BULK:
                made_up = self._in_bulk(at)
            case Honesty.SHARE:
                made_up = luck < receipts.share
        sending.is_made_up = made_up
        sending.is_kept_back = made_up and keep < receipts.kept_back

    def _in_bulk(self, at: datetime) -> bool:
        span = timedelta(seconds=self._truth.receipts.bulk_seconds)
        self._recent.append(at)
        while self._recent and at - self._recent[0] > span:
            self._recent.popleft()
        return len(self._recent) > self._truth.receipts.bulk_above

    def _decide_arrival(self, sending: Sending, person: Person | None, late: Reason | None, chance: Random) -> None:
        truth = self._truth
        luck, duplicate, alter, gap = chance.random(), chance.random(), chance.random(), chance.uniform(3.0, 40.0)
        sending.lost = _lost_at_once(person) or late
        if person is None or sending.lost or sending.is_kept_back:
            return
        share, slower = self._route(person, sending.at)
        seconds = truth.latency[person.carrier].draw(chance) * slower
        if luck >= share:
            sending.lost = Reason.CARRIER_FAULT
            return
        arrived = sending.at + timedelta(seconds=seconds)
        sending.scts = sending.at + timedelta(seconds=seconds * 0.6)
        off = person.phone.down_at(arrived) if person.phone else None
        if off and off.kind is DownKind.OFF:
            arrived = off.end + timedelta(seconds=gap)
        if arrived - sending.at > VALIDITY:
            sending.lost = Reason.UNREACHABLE
            return
        sending.arrived_at = arrived
        if duplicate < truth.duplicates:
            sending.copies = (arrived + timedelta(seconds=gap),)
        if alter < truth.altered:
            sending.seen_text = _altered(sending.text)

    def _route(self, person: Person, at: datetime) -> tuple[float, float]:
        """The share that arrives and how much slower it is, for a person at a time."""
        share, slower = self._handset_share(person), 1.0
        if person.carrier is not person.allotted_carrier:
            share *= self._truth.ported
        for band in self._truth.hours:
            if band.carrier in (None, person.carrier) and within((band.begin, band.end), at):
                share, slower = share * band.arrival, slower * band.slower
        for period in (*self._periods, *self._random_periods(person.carrier, at)):
            if period.carrier in (None, person.carrier) and period.begin <= at < period.end:
                share, slower = share * period.arrival, slower * period.slower
        return share, slower

    def _handset_share(self, person: Person) -> float:
        """Beta-distributed over handsets around the carrier's mean: two messages to one phone correlate by icc."""
        mean, icc = self._truth.arrival[person.carrier], self._truth.icc
        if not icc or not 0 < mean < 1:
            return mean
        if person.number not in self._luck:
            weight = (1 - icc) / icc
            chance = self._chance("handset", self._truth.label, person.number)
            self._luck[person.number] = chance.betavariate(mean * weight, (1 - mean) * weight)
        return self._luck[person.number]

    def _planned_periods(self) -> tuple[Period, ...]:
        return tuple(
            Period(
                begin=outage.begin.after(self._epoch),
                end=outage.end.after(self._epoch),
                carrier=outage.carrier,
                arrival=outage.arrival,
                slower=outage.slower,
            )
            for outage in self._truth.outages
        )

    def _random_periods(self, carrier: Carrier, at: datetime) -> tuple[Period, ...]:
        truth = self._truth.random_outages
        if truth is None:
            return ()
        week = (at - self._epoch) // timedelta(days=7)
        if (carrier, week) not in self._random_weeks:
            chance, begin = (
                self._chance("outages", self._truth.label, carrier, week),
                self._epoch + timedelta(days=7 * week),
            )
            periods, day = list[Period](), 0.0
            while truth.per_week > 0 and (day := day + chance.expovariate(truth.per_week / 7)) < 7:
                start = begin + timedelta(days=day)
                end = start + timedelta(minutes=truth.minutes.draw(chance))
                periods.append(Period(begin=start, end=end, carrier=carrier, arrival=truth.arrival, slower=1.0))
            self._random_weeks[carrier, week] = tuple(periods)
        return self._random_weeks[carrier, week]

    def _decide_report(self, sending: Sending, chance: Random) -> None:
        receipts = self._truth.receipts
        missing, early, share = chance.random(), chance.random(), chance.uniform(0.1, 0.7)
        made_up, failure = receipts.made_up_after.draw(chance), receipts.failure.draw(chance)
        delay = timedelta(seconds=receipts.delay.draw(chance))
        if sending.is_made_up:
            sending.state, sending.code = DeliveryState.DELIVERED, "DELIVRD"
            sending.claimed_at = sending.at + timedelta(seconds=made_up)
        elif sending.arrived_at is not None:
            sending.state, sending.code = DeliveryState.DELIVERED, "DELIVRD"
            sending.claimed_at = sending.arrived_at
            if early < receipts.early:
                sending.claimed_at = sending.at + share * (sending.arrived_at - sending.at)
        elif sending.lost is not None:
            sending.state = STATES.get(sending.lost, DeliveryState.UNDELIVERED)
            sending.code = code_of(sending.lost, sending.carrier)
            # A service centre tries a phone that is off for a while before it gives up.
            tried = 10.0 if sending.lost is Reason.UNREACHABLE else 1.0
            sending.claimed_at = sending.at + timedelta(seconds=failure * tried)
        if missing < receipts.missing or sending.claimed_at is None:
            sending.state, sending.claimed_at = None, None
            return
        sending.report_at = sending.claimed_at + delay


def code_of(lost: Reason, carrier: Carrier | None) -> str:
    """The carrier's code for a message that did not arrive."""
    plain = PLAIN_CODES[lost]
    return CODES[lost].get(carrier, plain) if carrier else plain


def claim_of(sending: Sending) -> Claim:
    """The status report of a message that has one."""
    if sending.state is None or sending.claimed_at is None:
        raise ValueError(f"{sending.label} never reports on {sending.key}")
    return Claim(
        key=sending.key,
        number=sending.number,
        state=sending.state,
        reason=None if sending.state is DeliveryState.DELIVERED else sending.lost,
        code=sending.code,
        submitted_at=sending.at,
        claimed_at=sending.claimed_at,
        segments=sending.segments,
        reference=sending.reference,
        text=sending.text,
        template=sending.template,
    )


def kept_of(sending: Sending, now: datetime) -> Kept:
    known = sending.state is not None and sending.report_at is not None and sending.report_at <= now
    return Kept(
        key=sending.key,
        number=sending.number,
        text=sending.text,
        template=sending.template,
        reference=sending.reference,
        submitted_at=sending.at,
        state=sending.state if known and sending.state else DeliveryState.UNKNOWN,
        code=sending.code if known else "",
        claimed_at=sending.claimed_at if known else None,
        segments=sending.segments,
        fee=Decimal(0) if sending.is_refunded else sending.fee,
    )


def _lost_at_once(person: Person | None) -> Reason | None:
    """Why a number cannot be reached, whatever the route does."""
    if person is None or person.kind is RecipientKind.INVALID:
        return Reason.INVALID_NUMBER
    return Reason.UNREACHABLE if person.kind is RecipientKind.UNREACHABLE else None


def within(band: tuple[int, int], at: datetime) -> bool:
    """Whether a time lies in a band of the Beijing day, in minutes; a band may pass midnight."""
    local = at.astimezone(BEIJING)
    minute = local.hour * 60 + local.minute
    begin, end = band
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def _altered(text: str) -> str:
    """A text as some routes change it: with words of their own at the end."""
    return f"{text}回T退订" if not OPT_OUT.search(text) else text.replace("，", ",", 1) + "。"


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """A vendor's truth in the long run, outages aside: what estimates should come near."""

    arrival: Mapping[Carrier, float]
    false_receipts: Mapping[Carrier, float]  # of "delivered" claims on handsets, those that never arrived
    missing_receipts: float
    latency_median_seconds: Mapping[Carrier, float]
    review_median_minutes: float
    duplicates: float
    altered: float


def long_run(truth: VendorTruth, *, ported_share: float, begin_hour: int, end_hour: int) -> LongRun:
    """A vendor's truth over the Beijing hours [begin, end), outages aside. Bulk is taken not to happen."""
    receipts = truth.receipts
    made_up = {Honesty.ALL: 1.0, Honesty.ALL_BUT_KNOWN: 1.0, Honesty.SHARE: receipts.share}.get(receipts.kind, 0.0)
    kept_back = made_up * receipts.kept_back
    ported = 1 - ported_share * (1 - truth.ported)
    arrival, false = dict[Carrier, float](), dict[Carrier, float]()
    for carrier in Carrier:
        minutes = range(begin_hour * 60, end_hour * 60)
        bands = [band for band in truth.hours if band.carrier in (None, carrier)]
        factor = 0.0
        for minute in minutes:
            here = 1.0
            for band in bands:
                here *= band.arrival if band.begin <= minute < band.end else 1.0
            factor += here / len(minutes)
        sent = truth.arrival[carrier] * factor * ported
        arrival[carrier] = sent * (1 - kept_back)
        wrong = kept_back + (made_up - kept_back) * (1 - sent)
        right = arrival[carrier]
        false[carrier] = wrong / (wrong + right) if wrong + right else 0.0
    return LongRun(
        arrival=arrival,
        false_receipts=false,
        missing_receipts=receipts.missing,
        latency_median_seconds={carrier: spread.median for carrier, spread in truth.latency.items()},
        review_median_minutes=truth.review.minutes.median,
        duplicates=truth.duplicates,
        altered=truth.altered,
    )
