"""One account with one sandbox vendor: its books, its lists, its reviews. It is the `Door` a counterpart is given.

What becomes of a message is decided in `fate`; here it is only refused, or taken and written down.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from math import ceil
from random import Random
from typing import Any, Final

from harness.domain import DeliveryState, Purpose, Reason, RecipientKind, ReviewVerdict, Subject
from harness.text import split_signature
from vendors.sandbox.door import Claim, Counts, FiledTemplate, Kept, PushOut, Reply, Review, Submission, Taken, Turned
from vendors.sandbox.fate import Fates, Sending, claim_of, kept_of, within
from vendors.sandbox.people import Person
from vendors.sandbox.reviewers import decided_at, faults_of, judged
from vendors.sandbox.truth import BilledOn, VendorTruth, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message a vendor turned down at once."""

    label: str
    number: str = field(repr=False)
    text: str
    reference: str | None
    at: datetime
    reason: Reason


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
        self.on_push: Callable[[PushOut, str, timedelta], None] = lambda push, kind, after: None
        self._words = truth.words.words or tuple(words)
        self._people, self.now, self._chance = people, now, chance
        self._fates = Fates(truth, people=people, epoch=epoch, chance=chance)
        self._repeats: Counter[tuple[str, str]] = Counter()
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
        sending = self._fates.of(submission, now, chance, self._late_refusal(submission, now, chance))
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
        verdict, reason = judged(self.truth.review, faults_of(text, purpose, subject, self._words), chance)
        review = Review(
            number=len(self._reviews) + 1,
            subject=subject,
            name=name,
            text=text,
            purpose=purpose,
            created_at=now,
            verdict=verdict,
            reason=reason,
            decided_at=decided_at(self.truth.review, now, chance),
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
        return [kept_of(sending, now) for sending in among[begin:end] if sending.is_kept]

    def counts(self, since: datetime, until: datetime) -> Counts:
        now = self.now()
        among = self.sendings[bisect_left(self.sendings, since, key=_at) : bisect_left(self.sendings, until, key=_at)]
        known = [kept_of(sending, now) for sending in among]
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

    def opted_out(self) -> Mapping[str, datetime]:
        now = self.now()
        return {number: since for number, since in self._opted_out.items() if since <= now}

    def opt_out(self, number: str) -> None:
        self._opted_out[number] = self.now()

    def opt_in(self, number: str) -> None:
        self._opted_out.pop(number, None)

    def push_later(self, push: PushOut, kind: str, after: timedelta) -> None:
        self.on_push(push, kind, after)

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
        chance = self._chance("past", self.label, submission.number, submission.text)
        sending = self._fates.of(submission, at, chance, None)
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
        elif text.strip().upper() in self.truth.opt_out.back:
            self._opted_out.pop(number, None)
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

    # Its own refusals and books ---------------------------------------------------------------------------------

    def _turned(self, submission: Submission, now: datetime, chance: Random) -> Turned | None:
        """The vendor's own refusals, in the order in which vendors look."""
        truth, marketing = self.truth, submission.purpose is Purpose.MARKETING
        if truth.pace and self._too_fast(now):
            return Turned(reason=Reason.THROTTLED)
        if self.balance() <= 0:
            return Turned(reason=Reason.BALANCE)
        if marketing and truth.marketing_hours and not within(truth.marketing_hours, now):
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

    def _late_refusal(self, submission: Submission, now: datetime, chance: Random) -> Reason | None:
        """Why the vendor stops a message it has taken, and says so only in the status report."""
        truth, marketing = self.truth, submission.purpose is Purpose.MARKETING
        if truth.blacklist.where is Where.REPORT and self._is_listed(self._people.get(submission.number)):
            return Reason.BLACKLISTED
        if truth.opt_out.where is Where.REPORT and marketing and self._is_opted_out(submission.number, now):
            return Reason.OPTED_OUT
        if truth.words.where is Where.REPORT and self._stopped_words(submission.text, chance) is not None:
            return Reason.SENSITIVE_CONTENT
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

    def _as_known(self, review: Review) -> Review:
        if review.decided_at is not None and review.decided_at <= self.now():
            return review
        return replace(review, verdict=None, reason="", decided_at=None)


_SECOND: Final = timedelta(seconds=1)


def _at(sending: Sending) -> datetime:
    return sending.at
