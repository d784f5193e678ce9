"""One account with one sandbox vendor: its books, its lists, its reviews, and what becomes of a message in truth.

It is the `Door` a counterpart is given. All chance comes from streams named by what it decides about, so a message's
fate does not depend on what else was sent before it.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from math import ceil
from random import Random
from typing import Any, Final

from harness.domain import BEIJING, Carrier, DeliveryState, Purpose, Reason, RecipientKind, ReviewVerdict, Subject
from harness.text import billed_segments, split_signature
from vendors.sandbox.door import Claim, Counts, FiledTemplate, Kept, Reply, Review, Submission, Taken, Turned
from vendors.sandbox.phones import Phone
from vendors.sandbox.truth import BilledOn, DownKind, Honesty, VendorTruth, Where

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

_OPT_OUT: Final = re.compile(r"退订|拒收")
_CONTACT: Final = re.compile(r"https?://|www\.|加微信|加QQ|[Qq][Qq][::]?\d{5,}|微信号")
_THROWAWAY: Final = re.compile(r"测试|test", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\{[^{}]*\}|\$\{[^{}]*\}|#[^#]+#")
_LABELS: Final = ("年化利率（单利）", "年化利率(单利)")
_RATE: Final = re.compile(
    r"(年化利率（单利）|年化利率\(单利\)|年化利率|月息|日息|利率|费率)\D{0,6}(\d+(?:\.\d+)?)[%％]"
)
_HIGHEST_RATE: Final = 24.0  # percent a year, simple interest


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone, or nobody, behind a number."""

    id: str
    number: str = field(repr=False)  # E.164
    carrier: Carrier
    allotted_carrier: Carrier
    kind: RecipientKind
    province: str
    phone: Phone | None = None
    spare: bool = False
    tester: bool = False


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
class Refusal:
    """A message a vendor turned down at once."""

    label: str
    number: str = field(repr=False)
    text: str
    reference: str | None
    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of true time in which a carrier's route is not itself."""

    begin: datetime
    end: datetime
    carrier: Carrier | None
    arrival: float
    slower: float


def faults_of(text: str, purpose: Purpose, subject: Subject, words: Sequence[str]) -> tuple[str, ...]:
    """What a strict reviewer would find wrong in a draft, in Chinese, most telling first; empty: compliant."""
    if subject is Subject.SIGNATURE:
        return ("签名含测试字样，请使用已报备的企业或品牌名称",) if _THROWAWAY.search(text) or not text.strip() else ()
    found = [f"模板含敏感词“{word}”，请删除" for word in words if word in text]
    if _CONTACT.search(text):
        found.append("模板含链接或个人联系方式，请删除")
    if purpose is Purpose.MARKETING and not _OPT_OUT.search(text):
        found.append("营销模板缺少退订方式，请在末尾加“拒收请回复R”")
    for label, rate in _RATE.findall(text):
        if label not in _LABELS:
            found.append("利率未按“年化利率（单利）”标明，请改正")
        elif float(rate) > _HIGHEST_RATE:
            found.append("年化利率超过24%，请删除")
    bare = _VARIABLE.sub("", text)
    if len(re.sub(r"\W", "", bare)) < 4:
        found.append("模板变量过多，请补充固定文字")
    return tuple(found)


class Account:
    """The door of one account. What the world adds to `Door` stands in the second half."""

    def __init__(
        self,
        truth: VendorTruth,
        *,
        words: Sequence[str],
        people: Mapping[str, Person],
        epoch: datetime,
        now: Callable[[], datetime],
        chance: Callable[..., Random],
    ) -> None:
        self.truth, self.label = truth, truth.label
        self.credentials, self.options = truth.credentials, truth.options
        self._templates, self._signatures = dict(truth.templates), dict(truth.signatures)
        self.templates: Mapping[str, FiledTemplate] = self._templates
        self.signatures: Mapping[str, bool] = self._signatures
        self.memory: MutableMapping[str, Any] = {}
        self.sendings: list[Sending] = []
        self.refusals: list[Refusal] = []
        self.on_sent: Callable[[Sending], None] = self.enqueue_report
        self.on_review: Callable[[Review], None] = lambda review: None
        self._words = truth.words.words or tuple(words)
        self._people, self._epoch, self.now, self._chance = people, epoch, now, chance
        self._periods = self._planned_periods()
        self._random_weeks: dict[tuple[Carrier, int], tuple[Period, ...]] = {}
        self._luck: dict[str, float] = {}
        self._repeats: Counter[tuple[str, str]] = Counter()
        self._recent: deque[datetime] = deque()
        self._by_number: dict[str, list[Sending]] = {}
        self._spent = Decimal(0)
        self._refunds: list[tuple[datetime, int, Sending]] = []
        self._reports: list[tuple[datetime, int, Sending]] = []
        self._serial = count()
        self._reviews: list[Review] = []
        self._undecided: list[Review] = []
        self._replies: list[tuple[datetime, Reply]] = []  # when it is on record, in order
        self._reply_queue: list[tuple[datetime, int, Reply]] = []
        self._opted_out: dict[str, datetime] = {}

    # Door -------------------------------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> Taken | Turned:
        now = self.now()
        nth = self._repeats[submission.number, submission.text]
        self._repeats[submission.number, submission.text] += 1
        chance = self._chance("message", self.label, submission.number, submission.text, nth)
        if turned := self._turned(submission, now, chance):
            self.refusals.append(
                Refusal(
                    label=self.label,
                    number=submission.number,
                    text=submission.text,
                    reference=submission.reference,
                    at=now,
                    reason=turned.reason,
                )
            )
            return turned
        sending = self._taken(submission, now, chance)
        self._book(sending)
        self.on_sent(sending)
        return Taken(segments=sending.segments, fee=sending.fee)

    def take_reports(self, limit: int) -> Sequence[Claim]:
        now, claims = self.now(), list[Claim]()
        while self._reports and len(claims) < limit and self._reports[0][0] <= now:
            sending = heapq.heappop(self._reports)[2]
            sending.handed_over_at = now
            claims.append(claim_of(sending))
        return claims

    def take_replies(self, limit: int) -> Sequence[Reply]:
        now, taken = self.now(), list[Reply]()
        while self._reply_queue and len(taken) < limit and self._reply_queue[0][0] <= now:
            taken.append(heapq.heappop(self._reply_queue)[2])
        return taken

    def replies(self, number: str, since: datetime, until: datetime) -> Sequence[Reply]:
        now = self.now()
        return [
            reply
            for known_at, reply in self._replies
            if known_at <= now and reply.number == number and since <= reply.sent_at < until
        ]

    def submit_review(
        self, *, subject: Subject, name: str, text: str, purpose: Purpose, extra: Mapping[str, Any]
    ) -> Review:
        now = self.now()
        same = [each for each in self._reviews if (each.subject, each.name, each.text) == (subject, name, text)]
        chance = self._chance("review", self.label, subject, name, text, len(same))
        verdict, reason = self._judged(text, purpose, subject, chance)
        review = Review(
            number=len(self._reviews) + 1,
            subject=subject,
            name=name,
            text=text,
            purpose=purpose,
            created_at=now,
            verdict=verdict,
            reason=reason,
            decided_at=self._decided_at(now, chance),
            extra=dict(extra),
        )
        self._reviews.append(review)
        if subject is Subject.SIGNATURE:
            self._undecided.append(review)
        self.on_review(review)
        return self._as_known(review)

    def review(self, subject: Subject, number: int) -> Review | None:
        if not 1 <= number <= len(self._reviews) or self._reviews[number - 1].subject is not subject:
            return None
        return self._as_known(self._reviews[number - 1])

    def reviews(self, subject: Subject) -> Sequence[Review]:
        return [self._as_known(review) for review in self._reviews if review.subject is subject]

    def records(self, number: str | None, since: datetime, until: datetime) -> Sequence[Kept]:
        now = self.now()
        oldest = max(since, now - timedelta(days=self.truth.retention_days))
        among = self.sendings if number is None else self._by_number.get(number, [])
        begin, end = bisect_left(among, oldest, key=_at), bisect_left(among, until, key=_at)
        return [_kept(sending, now) for sending in among[begin:end] if sending.is_kept]

    def counts(self, since: datetime, until: datetime) -> Counts:
        now = self.now()
        among = self.sendings[bisect_left(self.sendings, since, key=_at) : bisect_left(self.sendings, until, key=_at)]
        known = [_kept(sending, now) for sending in among]
        reasons = Counter(
            sending.lost
            for sending, kept in zip(among, known, strict=True)
            if sending.lost and kept.state not in (DeliveryState.DELIVERED, DeliveryState.UNKNOWN)
        )
        states = Counter(kept.state for kept in known)
        delivered, unreported = states[DeliveryState.DELIVERED], states[DeliveryState.UNKNOWN]
        return Counts(
            since=since,
            until=until,
            submitted=len(known),
            segments=sum(kept.segments for kept in known),
            delivered=delivered,
            undelivered=len(known) - delivered - unreported,
            unreported=unreported,
            fee=sum((kept.fee for kept in known), Decimal(0)),
            by_reason=dict(reasons),
            by_carrier=dict(Counter(sending.carrier for sending in among if sending.carrier)),
        )

    def balance(self) -> Decimal:
        now = self.now()
        while self._refunds and self._refunds[0][0] <= now:
            sending = heapq.heappop(self._refunds)[2]
            sending.is_refunded = True
            self._spent -= sending.fee
        return self.truth.balance - self._spent

    def blocked_words(self, text: str) -> tuple[str, ...]:
        return tuple(word for word in self._words if word in text)

    # For the world ----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """File the signatures whose review is over by now. To be called before a request is answered."""
        if not self._undecided:
            return
        now = self.now()
        for review in [each for each in self._undecided if each.decided_at and each.decided_at <= now]:
            self._undecided.remove(review)
            self._signatures[review.text] = review.verdict is ReviewVerdict.APPROVED

    def file(self, template: FiledTemplate) -> None:
        """Put a template into the account, as if it had been reviewed long ago."""
        self._templates[template.id] = template

    def enqueue_report(self, sending: Sending) -> None:
        """Keep a report for pulling."""
        if sending.report_at is not None:
            heapq.heappush(self._reports, (sending.report_at, next(self._serial), sending))

    def enqueue_reply(self, reply: Reply, due: datetime) -> None:
        """Keep a reply for pulling."""
        heapq.heappush(self._reply_queue, (due, next(self._serial), reply))

    def remember(self, submission: Submission, at: datetime) -> Sending:
        """Put a message of the past into the books, as if it had been sent then. Nothing is pushed for it."""
        sending = self._taken(submission, at, self._chance("past", self.label, submission.number, submission.text))
        self._book(sending)
        return sending

    def hears(self, number: str, to: str, text: str, at: datetime) -> tuple[Reply, datetime] | None:
        """A phone's reply reaches the vendor: the reply and when the customer may have it; None if it is lost."""
        chance = self._chance("reply", self.label, number, text, len(self._replies))
        last = self._by_number.get(number, [])
        signature = split_signature(last[-1].text)[0] if last else None
        reply = Reply(
            id=len(self._replies) + 1,
            number=number,
            to=to,
            extension=self.extension_of(to) or "",
            text=text,
            sent_at=at,
            signature=signature or "",
        )
        if self.truth.opt_out.honoured and text.strip().upper() in self.truth.opt_out.words:
            self._opted_out.setdefault(number, at + timedelta(minutes=self.truth.opt_out.delay_minutes))
        if chance.random() >= self.truth.replies:
            return None
        due = at + timedelta(seconds=self.truth.reply_delay.draw(chance))
        self._replies.append((due, reply))
        return reply, due

    def extension_of(self, to: str) -> str | None:
        """What follows this account's sender code in a number a phone wrote to; None if it is not its code."""
        fitting = [sender for sender in self.truth.senders.values() if to.startswith(sender)]
        return to[len(max(fitting, key=len)) :] if fitting else None

    def last_sent_to(self, number: str) -> datetime | None:
        sent = self._by_number.get(number)
        return sent[-1].at if sent else None

    # What becomes of a message ----------------------------------------------------------------------------------

    def _turned(self, submission: Submission, now: datetime, chance: Random) -> Turned | None:
        """The vendor's own refusals, in the order in which vendors look."""
        truth, marketing = self.truth, submission.purpose is Purpose.MARKETING
        if truth.pace and self._too_fast(now):
            return Turned(reason=Reason.THROTTLED)
        if self.balance() <= 0:
            return Turned(reason=Reason.BALANCE)
        if marketing and truth.marketing_hours and not _within(truth.marketing_hours, now):
            return Turned(reason=Reason.HOURS)
        person = self._people.get(submission.number)
        if truth.blacklist.invalid is Where.SUBMIT and (person is None or person.kind is RecipientKind.INVALID):
            return Turned(reason=Reason.INVALID_NUMBER)
        if truth.blacklist.where is Where.SUBMIT and self._is_listed(person):
            return Turned(reason=Reason.BLACKLISTED)
        if truth.opt_out.where is Where.SUBMIT and marketing and self._is_opted_out(submission.number, now):
            return Turned(reason=Reason.OPTED_OUT)
        stopped = self._stopped_words(submission.text, chance)
        if truth.words.where is Where.SUBMIT and stopped is not None:
            return Turned(reason=Reason.SENSITIVE_CONTENT, words=stopped)
        return None

    def _too_fast(self, now: datetime) -> bool:
        """Whether a second's allowance is used up. Refused tries do not count."""
        recent = [sending for sending in self.sendings[-ceil(self.truth.pace) :] if now - sending.at < _SECOND]
        return len(recent) >= self.truth.pace

    def _is_listed(self, person: Person | None) -> bool:
        if person is None or person.kind is not RecipientKind.BLOCKED:
            return False
        return self._chance("listed", self.label, person.number).random() < self.truth.blacklist.enforced

    def _is_opted_out(self, number: str, now: datetime) -> bool:
        since = self._opted_out.get(number)
        return since is not None and since <= now

    def _stopped_words(self, text: str, chance: Random) -> tuple[str, ...] | None:
        """The words that stop a text; an empty tuple is a false alarm, None lets it pass."""
        found, luck = self.blocked_words(text), chance.random()
        if found:
            return found if luck < self.truth.words.recall else None
        return () if luck < self.truth.words.false_alarm else None

    def _taken(self, submission: Submission, at: datetime, chance: Random) -> Sending:
        person = self._people.get(submission.number)
        carrier = person.carrier if person else None
        segments = billed_segments(submission.text) + (1 if chance.random() < self.truth.overbilled else 0)
        sending = Sending(
            label=self.label,
            key=submission.key,
            number=submission.number,
            carrier=carrier,
            purpose=submission.purpose,
            text=submission.text,
            template=submission.template,
            reference=submission.reference,
            sender=self.truth.senders[carrier or Carrier.CHINA_MOBILE] + submission.extension,
            at=at,
            segments=segments,
            fee=self.truth.price * segments,
            scts=at,
            seen_text=submission.text,
            is_kept=chance.random() < self.truth.kept,
        )
        self._decide_receipt_kind(sending, at, chance)
        self._decide_arrival(sending, person, chance)
        self._decide_report(sending, chance)
        return sending

    def _decide_receipt_kind(self, sending: Sending, at: datetime, chance: Random) -> None:
        """Whether this message's receipt is invented, by the four kinds, and whether it is sent at all."""
        receipts, luck, keep = self.truth.receipts, chance.random(), chance.random()
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
        span = timedelta(seconds=self.truth.receipts.bulk_seconds)
        self._recent.append(at)
        while self._recent and at - self._recent[0] > span:
            self._recent.popleft()
        return len(self._recent) > self.truth.receipts.bulk_above

    def _decide_arrival(self, sending: Sending, person: Person | None, chance: Random) -> None:
        truth = self.truth
        luck, duplicate, alter, gap = chance.random(), chance.random(), chance.random(), chance.uniform(3.0, 40.0)
        sending.lost = self._lost_at_once(sending, person, chance)
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

    def _lost_at_once(self, sending: Sending, person: Person | None, chance: Random) -> Reason | None:
        """Why a message cannot arrive, whatever the route does; the vendor's late refusals among it."""
        truth = self.truth
        if person is None or person.kind is RecipientKind.INVALID:
            return Reason.INVALID_NUMBER
        if person.kind is RecipientKind.UNREACHABLE:
            return Reason.UNREACHABLE
        if truth.blacklist.where is Where.REPORT and self._is_listed(person):
            return Reason.BLACKLISTED
        marketing = sending.purpose is Purpose.MARKETING
        if truth.opt_out.where is Where.REPORT and marketing and self._is_opted_out(sending.number, sending.at):
            return Reason.OPTED_OUT
        if truth.words.where is Where.REPORT and self._stopped_words(sending.text, chance) is not None:
            return Reason.SENSITIVE_CONTENT
        return None

    def _route(self, person: Person, at: datetime) -> tuple[float, float]:
        """The share that arrives and how much slower it is, for a person at a time."""
        share, slower = self._handset_share(person), 1.0
        if person.carrier is not person.allotted_carrier:
            share *= self.truth.ported
        for band in self.truth.hours:
            if band.carrier in (None, person.carrier) and _within((band.begin, band.end), at):
                share, slower = share * band.arrival, slower * band.slower
        for period in (*self._periods, *self._random_periods(person.carrier, at)):
            if period.carrier in (None, person.carrier) and period.begin <= at < period.end:
                share, slower = share * period.arrival, slower * period.slower
        return share, slower

    def _handset_share(self, person: Person) -> float:
        """Beta-distributed over handsets around the carrier's mean: two messages to one phone correlate by icc."""
        mean, icc = self.truth.arrival[person.carrier], self.truth.icc
        if not icc or not 0 < mean < 1:
            return mean
        if person.number not in self._luck:
            weight = (1 - icc) / icc
            chance = self._chance("handset", self.label, person.number)
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
            for outage in self.truth.outages
        )

    def _random_periods(self, carrier: Carrier, at: datetime) -> tuple[Period, ...]:
        truth = self.truth.random_outages
        if truth is None:
            return ()
        week = (at - self._epoch) // timedelta(days=7)
        if (carrier, week) not in self._random_weeks:
            chance, begin = self._chance("outages", self.label, carrier, week), self._epoch + timedelta(days=7 * week)
            periods, day = list[Period](), 0.0
            while truth.per_week > 0 and (day := day + chance.expovariate(truth.per_week / 7)) < 7:
                start = begin + timedelta(days=day)
                end = start + timedelta(minutes=truth.minutes.draw(chance))
                periods.append(Period(begin=start, end=end, carrier=carrier, arrival=truth.arrival, slower=1.0))
            self._random_weeks[carrier, week] = tuple(periods)
        return self._random_weeks[carrier, week]

    def _decide_report(self, sending: Sending, chance: Random) -> None:
        receipts = self.truth.receipts
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

    def _book(self, sending: Sending) -> None:
        self._spent += sending.fee
        for books in (self.sendings, self._by_number.setdefault(sending.number, [])):
            if books and sending.at < books[-1].at:
                insort(books, sending, key=_at)
            else:
                books.append(sending)
        refunded = self.truth.billed_on is BilledOn.DELIVERED and sending.state is not DeliveryState.DELIVERED
        if refunded and sending.report_at is not None:
            heapq.heappush(self._refunds, (sending.report_at, next(self._serial), sending))

    # Reviews ----------------------------------------------------------------------------------------------------

    def _judged(self, text: str, purpose: Purpose, subject: Subject, chance: Random) -> tuple[ReviewVerdict, str]:
        truth, luck, feedback = self.truth.review, chance.random(), chance.random()
        faults = faults_of(text, purpose, subject, self._words)
        if luck >= (truth.recall if faults else truth.false_alarm):
            return ReviewVerdict.APPROVED, ""
        if feedback >= truth.feedback:
            return ReviewVerdict.REJECTED, "审核不通过"
        return ReviewVerdict.REJECTED, faults[0] if faults else "模板内容与所选用途不符，请补充使用场景"

    def _decided_at(self, now: datetime, chance: Random) -> datetime:
        """The review's time runs only while reviewers work."""
        left = timedelta(seconds=self.truth.review.minutes.draw(chance) * 60)
        if self.truth.review.hours is None:
            return now + left
        begin, end = (timedelta(minutes=minute) for minute in self.truth.review.hours)
        day = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            opens, closes = max(now, day + begin), day + end
            if opens < closes:
                if opens + left <= closes:
                    return (opens + left).astimezone(now.tzinfo)
                left -= closes - opens
            day += timedelta(days=1)

    def _as_known(self, review: Review) -> Review:
        if review.decided_at is not None and review.decided_at <= self.now():
            return review
        return replace(review, verdict=None, reason="", decided_at=None)


_SECOND: Final = timedelta(seconds=1)


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


def _kept(sending: Sending, now: datetime) -> Kept:
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


def _at(sending: Sending) -> datetime:
    return sending.at


def _within(band: tuple[int, int], at: datetime) -> bool:
    local = at.astimezone(BEIJING)
    minute = local.hour * 60 + local.minute
    begin, end = band
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def _altered(text: str) -> str:
    """A text as some routes change it: with words of their own at the end."""
    return f"{text}回T退订" if not _OPT_OUT.search(text) else text.replace("，", ",", 1) + "。"
