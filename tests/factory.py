"""Makes plausible ledgers of facts quickly, with a truth that is known: what the judge is tested on.

A `Scene` is a run being written: a panel of phones, vendors with their manners, and facts in ledger order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from harness.codec import to_plain
from harness.domain import (
    Accepted,
    Carrier,
    Case,
    ContentVerdict,
    DeliveryState,
    Draft,
    InDoubt,
    Money,
    Outcome,
    Purpose,
    Reason,
    RecipientKind,
    Refused,
    ReportSource,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    StatisticsRow,
    Subject,
    Ticket,
)
from harness.dossier import Attestation, DocumentKind
from harness.facts import (
    AskStatistics,
    Call,
    CaseClosed,
    CasePlanned,
    CheckContent,
    ContentChecked,
    Fact,
    FactBody,
    FindRecord,
    HeartbeatReceived,
    InboundReceived,
    InboxSearched,
    Panellist,
    Probe,
    Probed,
    QuestionAnswered,
    RecordTold,
    Replied,
    Reply,
    ReportReceived,
    ReviewDecisionReceived,
    RunBegan,
    RunEnded,
    SearchInbox,
    SendIntended,
    SightingReceived,
    StatisticsTold,
    SubmitAnswered,
    SubmitReview,
    TicketGiven,
    VendorEntry,
)
from harness.text import TOKEN_ALPHABET, billed_segments

BEGIN = datetime(2026, 3, 2, 1, tzinfo=UTC)
CARRIERS = (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM)
CAPABILITIES = ("submits", "reads_pushes", "finds_records", "reviews_templates", "tells_statistics")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a vendor behaves: the truth."""

    arrives: float = 0.97
    refuses: float = 0.0
    doubt: float = 0.0
    false_receipts: float = 0.0  # of what did not arrive, claimed as delivered all the same
    missing_receipts: float = 0.0
    early_receipts: float = 0.0
    altered: float = 0.0
    twice: float = 0.0
    median_seconds: float = 4.0
    senders: Mapping[Carrier, str] = field(default_factory=dict)
    by_carrier: Mapping[Carrier, float] = field(default_factory=dict)
    down: tuple[float, float] | None = None  # hours of the run in which nothing arrives


def entry(**changes: Any) -> VendorEntry:
    plain = VendorEntry(
        adapter="acme", name={"zh-CN": "顶点短信", "en": "Acme SMS"}, standing="sandboxed", capabilities=CAPABILITIES,
        absent={}, price=Money(amount=Decimal("0.05")), push_is_signed=True,
    )  # fmt: skip
    return replace(plain, **changes)


def paper(vendor: str, kind: DocumentKind, **changes: Any) -> Attestation:
    whole = Attestation(
        vendor=vendor, kind=kind, number="A2.B1-20200001", holder="顶点", valid_until=date(2028, 1, 1),
        checked_by="王", checked_on=date(2026, 2, 1), file_digest="ab" * 32,
    )  # fmt: skip
    return replace(whole, **changes)


def all_papers(vendor: str) -> list[Attestation]:
    values = {DocumentKind.CONTRACT_RETENTION: {"days": "200"}, DocumentKind.COMPLAINT_CHANNEL: {"hours": "2"}}
    values[DocumentKind.DJBH] = {"level": "3"}
    return [paper(vendor, kind, values=values.get(kind, {})) for kind in DocumentKind]


class Scene:
    """A run being written. `facts` is its ledger so far; times are seconds after BEGIN."""

    def __init__(
        self,
        vendors: Iterable[str] = ("ali",),
        *,
        phones: int = 8,
        days: float = 5,
        seed: int = 1,
        papers: Iterable[Attestation] | None = None,
        settings: Mapping[str, Any] | None = None,
        entries: Mapping[str, VendorEntry] | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.vendors, self.days = tuple(vendors), days
        self.facts: list[Fact] = []
        self.cases = 0
        self.phones = [f"p{number:02d}" for number in range(phones)]
        self.carrier = {phone: CARRIERS[number % 3] for number, phone in enumerate(self.phones)}
        panel = {phone: self._panellist(phone) for phone in self.phones}
        for kind in (RecipientKind.INVALID, RecipientKind.BLOCKED, RecipientKind.UNREACHABLE):
            panel[f"x-{kind.value}"] = replace(panel[self.phones[0]], kind=kind, forwarder=None)
        if papers is None:
            papers = [one for vendor in self.vendors for one in all_papers(vendor)]
        plain = {
            "horizon_seconds": 3600.0, "report_horizon_seconds": 7200.0, "silence_seconds": 240.0, "criteria": None,
            "gates": [], "dossier": [to_plain(one) for one in papers],
        }  # fmt: skip
        self.add(
            0,
            RunBegan(
                evaluation="monthly", mode="sandbox", seed=seed, software="0", evaluation_digest="e", plan_digest="p",
                vendors={vendor: (entries or {}).get(vendor, entry()) for vendor in self.vendors}, panel=panel,
                settings={**plain, **(settings or {})},
            ),
        )  # fmt: skip

    def _panellist(self, phone: str) -> Panellist:
        return Panellist(
            masked="138******34", carrier=self.carrier[phone], kind=RecipientKind.HANDSET, ported=False,
            province="上海", forwarder=f"f-{phone}", spare=False, tags={},
        )  # fmt: skip

    def at(self, seconds: float) -> datetime:
        return BEGIN + timedelta(seconds=seconds)

    def add(self, seconds: float, body: FactBody, case_id: str | None = None) -> Fact:
        fact = Fact(seq=len(self.facts) + 1, at=self.at(seconds), case_id=case_id, body=body)
        self.facts.append(fact)
        return fact

    def end(self, seconds: float | None = None, because: str = "done") -> list[Fact]:
        """The facts in the order of their time, closed by RunEnded."""
        last = max((fact.at for fact in self.facts), default=BEGIN)
        self.add((last - BEGIN).total_seconds() + 8000 if seconds is None else seconds, RunEnded(because=because))
        ordered = sorted(self.facts, key=lambda fact: (fact.at, fact.seq))
        return [replace(fact, seq=number) for number, fact in enumerate(ordered, 1)]

    # Single steps.

    def plan(
        self,
        vendor: str,
        phone: str | None,
        due: float,
        *,
        scenario: str = "delivery",
        legs: int = 1,
        text: str = "【顶点】您的验证码为{code}，5分钟内有效。",
        purpose: Purpose = Purpose.VERIFICATION,
        task: Mapping[str, str] | None = None,
        visit: str = "",
        review: ReviewDraft | None = None,
        slices: Mapping[str, str] | None = None,
    ) -> Case:
        self.cases += 1
        number = f"c{self.cases:06d}"
        drafts = []
        for leg in range(legs if review is None and phone is not None else 0):
            token = self._token()
            body = text.replace("{code}", token)
            drafts.append(
                Draft(
                    purpose=purpose,
                    signature="顶点",
                    template=None,
                    parameters={"code": token},
                    text=body,
                    token=token,
                    reference=f"{number}-{leg}",
                    segments=billed_segments(body),
                    content="verification_1",
                )
            )
        known = {"carrier": self.carrier[phone].value, "purpose": purpose.value} if phone in self.carrier else {}
        case = Case(
            id=number, vendor=vendor, scenario=scenario, due=self.at(due), recipient=phone, drafts=tuple(drafts),
            review=review, slices={**known, **(slices or {})}, visit=visit, task=task or {},
        )  # fmt: skip
        self.add(0, CasePlanned(case=case), number)
        return case

    def _token(self) -> str:
        return "".join(self.chance.choice(TOKEN_ALPHABET) for _ in range(6))

    def send(
        self,
        case: Case,
        at: float,
        outcome: Outcome | None = None,
        *,
        leg: int = 0,
        wait: float = 0.2,
        lag: float = 0.0,
    ) -> str:
        """Submit a leg; the vendor's id of the message."""
        self.add(at, SendIntended(leg=leg, planned_at=self.at(at), ceiling=None), case.id)
        call = Call(planned_at=self.at(at), written_at=self.at(at), lag=lag, wait=wait, took=wait, status=200)
        outcome = outcome or Accepted(vendor_message_id=f"m-{case.id}-{leg}")
        self.add(at + wait, SubmitAnswered(leg=leg, outcome=outcome, call=call), case.id)
        return f"m-{case.id}-{leg}"

    def report(
        self, case: Case, at: float, state: DeliveryState = DeliveryState.DELIVERED, *, leg: int = 0, **changes: Any
    ) -> Fact:
        failed = state is not DeliveryState.DELIVERED
        plain = ReportReceived(
            vendor=case.vendor, vendor_message_id=f"m-{case.id}-{leg}", recipient=case.recipient, reference=None,
            state=state, reason=Reason.CARRIER_FAULT if failed else None, code="UNDELIV" if failed else "DELIVRD",
            claimed_at=self.at(at), billed_segments=1, segment=1, source=ReportSource.PUSHED,
        )  # fmt: skip
        return self.add(at, replace(plain, **changes))

    def sight(
        self, case: Case, at: float, *, leg: int = 0, delay: float = 0.5, clock: float = 0.0, **changes: Any
    ) -> Fact:
        """The phone saw a leg `at` (true time) and forwards it `delay` later; its clock runs `clock` ahead."""
        assert case.recipient is not None
        plain = SightingReceived(
            forwarder=f"f-{case.recipient}", recipient=case.recipient, sender="1069123401", text=case.drafts[leg].text,
            event_id=f"e-{case.id}-{leg}", scts=None, handset_at=self.at(at + clock),
            forwarded_at=self.at(at + clock + delay / 2), received_at=self.at(at + delay), reconciled=False,
        )  # fmt: skip
        return self.add(at + delay, replace(plain, **changes))

    def search(self, case: Case, at: float, *, found: bool, leg: int = 0) -> None:
        self.add(at, QuestionAnswered(question=SearchInbox(leg=leg), answer=InboxSearched(found=found)), case.id)

    def close(self, case: Case, at: float, because: str = "horizon") -> None:
        self.add(at, CaseClosed(because=because), case.id)

    def beat(
        self, until: float, *, every: float = 120.0, begin: float = 0.0, clock: float = 0.0, trip: float = 0.1
    ) -> None:
        """Heartbeats of every phone, each a clock exchange."""
        for phone in self.phones:
            self.beat_of(phone, until, every=every, begin=begin, clock=clock, trip=trip)

    def beat_of(
        self,
        phone: str,
        until: float,
        *,
        every: float = 120.0,
        begin: float = 0.0,
        clock: float = 0.0,
        trip: float = 0.1,
    ) -> None:
        at = begin
        while at <= until:
            self.add(
                at + trip,
                HeartbeatReceived(
                    forwarder=f"f-{phone}", asked_at=self.at(at), phone_at=self.at(at + trip / 2 + clock),
                    received_at=self.at(at + trip),
                ),
            )  # fmt: skip
            at += every

    # Whole parts.

    def deliver(
        self, manners: Mapping[str, Manner], *, each: int = 200, scenario: str = "delivery", searches: bool = True
    ) -> None:
        """Messages of every vendor to every phone in shared visits over the days, behaving as told."""
        span = self.days * 86_400
        for number in range(each):
            phone = self.phones[number % len(self.phones)]
            base = span * number / each
            order = list(manners)
            self.chance.shuffle(order)
            for place, vendor in enumerate(order):
                case = self.plan(
                    vendor, phone, base, scenario=scenario, visit=f"v{number}",
                    purpose=(Purpose.VERIFICATION, Purpose.NOTIFICATION)[number // len(self.phones) % 2],
                )  # fmt: skip
                self.one(case, base + 60 * place, manners[vendor], searches=searches)

    def one(self, case: Case, at: float, manner: Manner, *, searches: bool = True) -> None:
        """One message from submit to close."""
        chance, carrier = self.chance, self.carrier[case.recipient or ""]
        if chance.random() < manner.refuses:
            self.send(case, at, Refused(reason=Reason.VENDOR_FAULT, code="E9"))
            return self.close(case, at + 1, "settled")
        if chance.random() < manner.doubt:
            self.send(case, at, InDoubt(why="no_answer"))
            return self.close(case, at + 3600, "horizon")
        self.send(case, at)
        is_down = manner.down is not None and manner.down[0] <= at / 3600 < manner.down[1]
        arrives = not is_down and chance.random() < manner.by_carrier.get(carrier, manner.arrives)
        took = min(3000.0, manner.median_seconds * chance.lognormvariate(0, 0.6))
        if arrives:
            text = case.drafts[0].text + ("！" if chance.random() < manner.altered else "")
            sender = manner.senders.get(carrier, "10691234")
            self.sight(case, at + took, text=text, sender=sender + "01")
            if chance.random() < manner.twice:
                self.sight(case, at + took + 5, text=text, sender=sender + "01", event_id=f"e2-{case.id}")
        elif searches:
            self.search(case, at + 3600, found=False)
        if chance.random() >= manner.missing_receipts:
            if arrives:
                early = chance.random() < manner.early_receipts
                self.report(case, at + 0.3 if early else at + took + 1)
            elif chance.random() < manner.false_receipts:
                self.report(case, at + took + 1)
            else:
                self.report(case, at + 30, DeliveryState.UNDELIVERED, billed_segments=0)
        self.close(case, at + (took + 2 if arrives else 3601), "settled" if arrives else "horizon")
        return None

    def review(
        self,
        vendor: str,
        at: float,
        *,
        minutes: float | None,
        fault: str = "",
        rejected: bool = False,
        reason: str = "",
    ) -> Case:
        """A template handed in, and decided after some minutes, or never."""
        draft = ReviewDraft(
            subject=Subject.TEMPLATE, name=f"t{at:.0f}", text="您的验证码为{code}", purpose=Purpose.VERIFICATION
        )
        case = self.plan(vendor, None, at, scenario="review", review=draft, task={"fault": fault, "family": fault})
        ticket = Ticket(subject=Subject.TEMPLATE, id=f"k-{case.id}")
        self.add(at, QuestionAnswered(question=SubmitReview(), answer=TicketGiven(ticket=ticket)), case.id)
        if minutes is None:
            self.close(case, at + 86_400, "horizon")
            return case
        verdict = ReviewVerdict.REJECTED if rejected else ReviewVerdict.APPROVED
        decision = ReviewDecision(ticket=ticket.id, subject=Subject.TEMPLATE, verdict=verdict, reason=reason)
        self.add(at + minutes * 60, ReviewDecisionReceived(vendor=vendor, decision=decision))
        self.close(case, at + minutes * 60 + 1, "settled")
        return case

    def probe(self, vendor: str, what: str, taken: bool | None, **detail: str) -> Case:
        case = self.plan(vendor, None, 10, scenario="transport")
        self.add(
            20,
            QuestionAnswered(question=Probe(what=what), answer=Probed(what=what, taken=taken, detail=detail)),
            case.id,
        )
        return case

    def record(self, vendor: str, age_days: int, *, found: bool, fields: tuple[str, ...] = ()) -> Case:
        case = self.plan(vendor, self.phones[0], 10, scenario="retention", task={"age_days": str(age_days)}, legs=0)
        told = RecordTold(found=found, records=int(found), fields=fields)
        self.add(30, QuestionAnswered(question=FindRecord(day=date(2026, 3, 1)), answer=told), case.id)
        return case

    def statistics(self, vendor: str, at: float, rows: Iterable[StatisticsRow]) -> Case:
        case = self.plan(vendor, None, at, scenario="statistics")
        question = AskStatistics(first=date(2026, 3, 2), last=date(2026, 3, 2))
        self.add(at, QuestionAnswered(question=question, answer=StatisticsTold(rows=tuple(rows))), case.id)
        return case

    def own_counts(self, vendor: str, *, factor: float = 1.0, by_carrier: bool = True) -> list[StatisticsRow]:
        """What an honest vendor would say of the first days, times a factor."""
        vendors = {f.body.case.id: f.body.case for f in self.facts if isinstance(f.body, CasePlanned)}
        until = 86_400 * max(1, int(self.days))
        counts: dict[Carrier | None, int] = {}
        for fact in self.facts:
            if not isinstance(fact.body, SubmitAnswered) or not isinstance(fact.body.outcome, Accepted):
                continue
            case = vendors[fact.case_id or ""]
            if case.vendor == vendor and fact.at < self.at(until):
                carrier = self.carrier.get(case.recipient or "", Carrier.CHINA_MOBILE) if by_carrier else None
                counts[carrier] = counts.get(carrier, 0) + 1
        return [
            StatisticsRow(
                since=self.at(0), until=self.at(until), carrier=carrier, submitted=round(count * factor), delivered=None
            )
            for carrier, count in counts.items()
        ]

    def check_content(self, vendor: str, *, fault: str, blocked: bool) -> None:
        case = self.plan(vendor, None, 10, scenario="content_filter", task={"fault": fault, "family": fault})
        answer = ContentChecked(verdict=ContentVerdict(blocked=blocked))
        self.add(20, QuestionAnswered(question=CheckContent(text="…"), answer=answer), case.id)

    def opt_out(self, vendor: str, phone: str, at: float, *, leaks: int, legs: int = 4, passes_on: bool = True) -> Case:
        """A phone replies after leg 0; the first `leaks` later legs still reach it, the others are refused."""
        case = self.plan(vendor, phone, at, scenario="opt_out", legs=legs, purpose=Purpose.MARKETING)
        self.send(case, at)
        self.sight(case, at + 3)
        reply = Reply(leg=0, text="R")
        self.add(at + 60, QuestionAnswered(question=reply, answer=Replied(by_hand=False)), case.id)
        if passes_on:
            body = InboundReceived(
                vendor=vendor, recipient=phone, to="1069123401", text="R", sent_at=None, source=ReportSource.PUSHED
            )
            self.add(at + 62, body)
        for leg in range(1, legs):
            moment = at + 60 + 600 * leg
            if leg <= leaks:
                self.send(case, moment, leg=leg)
                self.sight(case, moment + 3, leg=leg)
            else:
                self.send(case, moment, Refused(reason=Reason.OPTED_OUT, code="1015"), leg=leg)
        self.close(case, at + 60 + 600 * legs, "settled")
        return case

    def filter(self, vendor: str, at: float, *, fault: str, family: str, stopped: bool) -> Case:
        """A text of the filter test, refused for what it says or passed to the phone."""
        phone = self.phones[self.cases % len(self.phones)]
        case = self.plan(vendor, phone, at, scenario="content_filter", task={"fault": fault, "family": family})
        if stopped:
            self.send(case, at, Refused(reason=Reason.SENSITIVE_CONTENT, code="W1"))
        else:
            self.send(case, at)
            self.sight(case, at + 3)
        self.close(case, at + 10, "settled")
        return case

    def listed(self, vendor: str, at: float, expect: str, *, blocked: bool, late: bool = False) -> Case:
        """A message to a number that should not get it: refused at the door, late by report, or claimed delivered."""
        case = self.plan(vendor, f"x-{expect}", at, scenario="blacklist", task={"expect": expect})
        reason = Reason.INVALID_NUMBER if expect == "invalid" else Reason.BLACKLISTED
        if blocked and not late:
            self.send(case, at, Refused(reason=reason, code="1011"))
        else:
            self.send(case, at)
            if blocked:
                self.report(case, at + 20, DeliveryState.REJECTED, reason=reason, code="MK:0011")
            else:
                self.report(case, at + 20)
        self.close(case, at + 30, "settled")
        return case


def everything(
    manners: Mapping[str, Manner], *, each: int = 240, phones: int = 9, days: float = 5, **more: Any
) -> list[Fact]:
    """A ledger in which every criterion has something to go by, for each vendor."""
    scene = Scene(manners, phones=phones, days=days, **more)
    scene.beat(days * 86_400 + 8000, every=200)
    scene.deliver(manners, each=each)
    for vendor in manners:
        for what in ("tls", "plain_http", "replay", "stale", "forged_signature"):
            scene.probe(vendor, what, False)
        for number in range(12):
            fault = "no_opt_out" if number % 3 == 0 else ""
            scene.review(
                vendor, 100 + number, minutes=3 + number % 4, fault=fault, rejected=bool(fault), reason="缺少退订方式"
            )
            scene.filter(vendor, 9000 + 60 * number, fault=fault, family=f"{fault}{number % 4}", stopped=bool(fault))
            scene.listed(vendor, 20_000 + 60 * number, ("blocked", "invalid", "unreachable")[number % 3], blocked=True)
        for number, phone in enumerate(scene.phones[:4]):
            scene.opt_out(vendor, phone, 40_000 + 5000 * number, leaks=0)
        for age in (1, 10, 25):
            scene.record(vendor, age, found=True, fields=("sent_at", "text", "state", "reported_at"))
        scene.record(vendor, 40, found=False)
    return scene.end()
