"""Every kind of fact the ledger can hold. Past tense, frozen, and without a phone number or a secret.

Boards, journeys, findings, scores and progress are all worked out from these and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from harness.domain import (
    Balance,
    Carrier,
    Case,
    ContentVerdict,
    DeliveryState,
    Money,
    Outcome,
    Reason,
    RecipientKind,
    Refused,
    ReportSource,
    ReviewDecision,
    StatisticsRow,
    Subject,
    Ticket,
)

# --- questions a scenario may ask, and the answers ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitReview:
    """Hand the case's review draft in."""

    kind: Literal["submit_review"] = "submit_review"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryReview:
    subject: Subject
    ticket: str
    kind: Literal["query_review"] = "query_review"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContent:
    text: str
    kind: Literal["check_content"] = "check_content"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRecord:
    """Look one message of our own up in the vendor's records: by the vendor's id or our reference, on one day."""

    day: date  # Beijing
    vendor_message_id: str | None = None
    reference: str | None = None
    kind: Literal["find_record"] = "find_record"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskStatistics:
    first: date  # Beijing days, both included
    last: date
    kind: Literal["ask_statistics"] = "ask_statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskBalance:
    kind: Literal["ask_balance"] = "ask_balance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Try something on the vendor's endpoint with our own account: tls, plain_http, replay, stale, forged_signature."""

    what: str
    kind: Literal["probe"] = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Have the recipient's phone reply to the message of a leg."""

    leg: int
    text: str
    kind: Literal["reply"] = "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchInbox:
    """Ask the recipient's phone whether it holds the message of a leg."""

    leg: int
    kind: Literal["search_inbox"] = "search_inbox"


Question = (
    SubmitReview | QueryReview | CheckContent | FindRecord | AskStatistics | AskBalance | Probe | Reply | SearchInbox
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketGiven:
    ticket: Ticket
    kind: Literal["ticket_given"] = "ticket_given"


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidNo:
    refused: Refused
    kind: Literal["said_no"] = "said_no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    kind: Literal["undecided"] = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    decision: ReviewDecision
    kind: Literal["decided"] = "decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentChecked:
    verdict: ContentVerdict
    kind: Literal["content_checked"] = "content_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTold:
    """What the vendor's records say of our message. `fields`: which of sent_at, text, state, reported_at it holds."""

    found: bool
    records: int  # how many records the vendor gave for that number and day
    fields: tuple[str, ...] = ()
    vendor_message_id: str | None = None
    state: DeliveryState | None = None
    kind: Literal["record_told"] = "record_told"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsTold:
    rows: tuple[StatisticsRow, ...]
    kind: Literal["statistics_told"] = "statistics_told"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTold:
    balance: Balance
    kind: Literal["balance_told"] = "balance_told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a probe saw. `taken`: whether the vendor took what it should not; None: could not be told, see `detail`."""

    what: str
    taken: bool | None
    detail: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["probed"] = "probed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """The phone took the reply. `by_hand`: a person was asked to send it."""

    by_hand: bool
    kind: Literal["replied"] = "replied"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSearched:
    """The phone's own inbox was asked. `found`: it holds the message. Not being able to ask is a CallFailed."""

    found: bool
    kind: Literal["inbox_searched"] = "inbox_searched"


Answer = (
    TicketGiven
    | SaidNo
    | Undecided
    | Decided
    | ContentChecked
    | RecordTold
    | StatisticsTold
    | BalanceTold
    | Probed
    | Replied
    | InboxSearched
)


# --- what surrounds a run -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorEntry:
    """What the evaluation and the manifest say of one account, as far as a judge may need it."""

    adapter: str
    name: Mapping[str, str]
    standing: str
    capabilities: tuple[str, ...]
    absent: Mapping[str, Mapping[str, str]]  # capability → {"kind", "because"}
    price: Money | None = None  # agreed price of one billed segment
    endpoint: str = ""
    push_is_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panellist:
    """A recipient without its number."""

    masked: str
    carrier: Carrier
    kind: RecipientKind
    ported: bool
    province: str
    forwarder: str | None
    spare: bool
    tags: Mapping[str, str]
    since: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan:
    evaluation: str
    mode: str  # sandbox | live
    seed: int
    software: str
    evaluation_digest: str
    plan_digest: str
    vendors: Mapping[str, VendorEntry]
    panel: Mapping[str, Panellist]
    settings: Mapping[str, Any]  # the evaluation's plain settings a judge needs; see harness.config.Evaluation.settings
    kind: Literal["run_began"] = "run_began"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    software: str
    kind: Literal["run_resumed"] = "run_resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    because: str  # done | interrupted | spend_limit | message_limit
    kind: Literal["run_ended"] = "run_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePlanned:
    case: Case
    kind: Literal["case_planned"] = "case_planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSkipped:
    """A vendor lacks what a scenario needs, so nothing was planned."""

    vendor: str
    scenario: str
    missing: tuple[str, ...]
    because: Mapping[str, str]  # {"kind": "not_offered", "because": "console only"}
    kind: Literal["case_skipped"] = "case_skipped"


# --- what happened on the way out -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The stopwatch's record of one request and reply; the last one, where a flow took several.

    `written_at` is wall time; the rest are differences on the monotonic clock, in seconds.
    """

    planned_at: datetime
    written_at: datetime | None  # None: nothing was written
    lag: float | None  # written - planned: ours, not the vendor's
    wait: float | None  # first byte - written: the vendor's
    took: float | None  # done - written
    status: int | None = None
    requests: int = 1  # how many requests the flow took
    tries: int = 1  # how often it was begun; more than one only when nothing was written or the vendor said "too fast"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendIntended:
    """Durable before the first byte is written. `ceiling`: the most this may cost."""

    leg: int
    planned_at: datetime
    ceiling: Money | None
    kind: Literal["send_intended"] = "send_intended"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitAnswered:
    leg: int
    outcome: Outcome
    call: Call | None  # None: settled later, or after a crash
    kind: Literal["submit_answered"] = "submit_answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettled:
    """A send in doubt was settled by other evidence: the vendor's record, a status report, or a sighting."""

    leg: int
    by: str  # record | report | sighting | answer (one that came late)
    vendor_message_id: str | None
    part_ids: tuple[str, ...] = ()
    kind: Literal["send_settled"] = "send_settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed:
    """A vendor (or phone) did not answer sensibly. For a submit: nothing was taken, and it is not tried again."""

    what: str  # "submit" or the question's kind
    trouble: str  # VendorTrouble.kind
    detail: str
    written: bool
    leg: int | None = None
    code: str = ""
    call: Call | None = None
    kind: Literal["call_failed"] = "call_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked:
    """Durable before asking, so that what may have effects (a review handed in, a reply) is not repeated."""

    question: Question
    kind: Literal["question_asked"] = "question_asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAnswered:
    question: Question
    answer: Answer
    call: Call | None = None
    kind: Literal["question_answered"] = "question_answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Braked:
    """A brake of the engine held a step back, or closed the case: hours, recipient_cap, spend_limit, message_limit."""

    brake: str
    until: datetime | None  # None: the case was closed
    kind: Literal["braked"] = "braked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseClosed:
    because: str  # settled | horizon | braked:… | not_sent | …
    kind: Literal["case_closed"] = "case_closed"


# --- what reached us ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PushArrived:
    """A post that brought nothing new, journalled raw (by its evidence). What brings news is kept beside its facts."""

    door: str  # "push/ali-main/reports" or "sightings/phone-007"
    kind: Literal["push_arrived"] = "push_arrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRefused:
    """A post that changed nothing. `unread` items of an otherwise good push are told here too."""

    door: str
    why: str
    kind: Literal["push_refused"] = "push_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived:
    """A status report: a vendor's claim."""

    vendor: str
    vendor_message_id: str
    recipient: str | None  # id, where the report names a number of the panel
    reference: str | None
    state: DeliveryState
    reason: Reason | None
    code: str
    claimed_at: datetime | None
    billed_segments: int | None
    segment: int
    source: ReportSource
    not_before: datetime | None = None  # pulled ones: the last pull that did not give it
    also: tuple[str, ...] = ()  # other spellings of the id
    submitted_at: datetime | None = None  # the vendor's stamp of the submit
    kind: Literal["report_received"] = "report_received"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundReceived:
    """A phone's reply, as the vendor passed it on."""

    vendor: str
    recipient: str | None
    to: str
    text: str
    sent_at: datetime | None
    source: ReportSource
    kind: Literal["inbound_received"] = "inbound_received"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecisionReceived:
    vendor: str
    decision: ReviewDecision
    kind: Literal["review_decision_received"] = "review_decision_received"


@dataclass(frozen=True, slots=True, kw_only=True)
class SightingReceived:
    """A message that a handset saw. Four clocks, never mixed."""

    forwarder: str
    recipient: str
    sender: str
    text: str
    event_id: str
    scts: datetime | None
    handset_at: datetime | None
    forwarded_at: datetime | None
    received_at: datetime
    reconciled: bool
    kind: Literal["sighting_received"] = "sighting_received"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReceived:
    """A sign of life of a forwarder. With all four times it is a clock exchange: ours, theirs, theirs, ours."""

    forwarder: str
    asked_at: datetime | None  # ours, sent
    phone_at: datetime | None  # the phone's clock
    received_at: datetime  # ours
    kind: Literal["heartbeat_received"] = "heartbeat_received"


FactBody = (
    RunBegan
    | RunResumed
    | RunEnded
    | CasePlanned
    | CaseSkipped
    | SendIntended
    | SubmitAnswered
    | SendSettled
    | CallFailed
    | QuestionAsked
    | QuestionAnswered
    | Braked
    | CaseClosed
    | PushArrived
    | PushRefused
    | ReportReceived
    | InboundReceived
    | ReviewDecisionReceived
    | SightingReceived
    | HeartbeatReceived
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the ledger."""

    seq: int
    at: datetime  # our clock, UTC, when it was appended
    case_id: str | None
    body: FactBody
    dedupe: str | None = None
    evidence: str | None = None  # SHA-256 of the recorded, redacted exchange
