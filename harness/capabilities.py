"""What a vendor may be able to do: one small protocol a capability, and the manifest in which it explains the rest.

A capability is a method that is there. What is not there must be said in `Manifest.absent`, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, runtime_checkable

import httpx

from harness.domain import (
    Balance,
    ContentVerdict,
    InboundMessage,
    Message,
    Money,
    Outcome,
    Record,
    Refused,
    ReviewDecision,
    ReviewDraft,
    Secret,
    StatisticsRow,
    StatusReport,
    Ticket,
)
from harness.flow import Flow
from harness.link import LinkPlan


class Capability(StrEnum):
    SUBMITS = "submits"
    SUBMITS_IN_BULK = "submits_in_bulk"
    READS_PUSHES = "reads_pushes"
    PULLS_REPORTS = "pulls_reports"
    PULLS_INBOUND = "pulls_inbound"
    REVIEWS_SIGNATURES = "reviews_signatures"
    REVIEWS_TEMPLATES = "reviews_templates"
    FINDS_RECORDS = "finds_records"
    TELLS_STATISTICS = "tells_statistics"
    TELLS_BALANCE = "tells_balance"
    TELLS_PRICES = "tells_prices"
    CHECKS_CONTENT = "checks_content"
    CHECKS_BLACKLIST = "checks_blacklist"
    EDITS_BLACKLIST = "edits_blacklist"


@runtime_checkable
class Submits(Protocol):
    def submit(self, message: Message) -> Flow[Outcome]:
        """Hand one message over."""


@runtime_checkable
class HoldsSession(Protocol):
    """The other way to submit: over links to a gateway that stay open. Reports and replies come over them too."""

    manifest: Manifest

    def links(self) -> Sequence[LinkPlan]:
        """The account's links, of which at least one sends."""

    def parts(self, message: Message) -> Sequence[Any]:
        """What `Link.submit` takes: one for each short message that the text needs. Raises VendorTrouble."""


@runtime_checkable
class SubmitsInBulk(Protocol):
    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """Hand several over in one request; outcomes in the order of the messages."""


@runtime_checkable
class ReadsPushes(Protocol):
    def read_push(self, request: PushRequest) -> Push:
        """Read what the vendor posted to us. Raises PushRefused for what must change nothing."""


@runtime_checkable
class PullsReports(Protocol):
    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        """Empty the vendor's queue of status reports. A destructive read: what it gives must be kept."""


@runtime_checkable
class PullsInbound(Protocol):
    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        """Empty the vendor's queue of replies. A destructive read."""


@runtime_checkable
class ReviewsSignatures(Protocol):
    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]: ...

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        """The decision, or None while it is open. A vendor that keys by name has the name as its ticket."""


@runtime_checkable
class ReviewsTemplates(Protocol):
    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]: ...

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]: ...


@runtime_checkable
class FindsRecords(Protocol):
    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        """The vendor's records of one number (E.164) on one Beijing day. Settles sends in doubt; probes retention."""


@runtime_checkable
class TellsStatistics(Protocol):
    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """The vendor's own counts for whole Beijing days, both ends included."""


@runtime_checkable
class TellsBalance(Protocol):
    def balance(self) -> Flow[Balance]: ...


@runtime_checkable
class TellsPrices(Protocol):
    def prices(self) -> Flow[Money]:
        """Price of one billed segment to a mainland number."""


@runtime_checkable
class ChecksContent(Protocol):
    def check_content(self, text: str) -> Flow[ContentVerdict]:
        """Ask the vendor's word check about a text, without sending it."""


@runtime_checkable
class ChecksBlacklist(Protocol):
    def is_blocked(self, number: str) -> Flow[bool]: ...


@runtime_checkable
class EditsBlacklist(Protocol):
    def block(self, number: str) -> Flow[None]: ...

    def unblock(self, number: str) -> Flow[None]: ...


PROTOCOLS: Final[Mapping[Capability, type]] = {
    Capability.SUBMITS: Submits,
    Capability.SUBMITS_IN_BULK: SubmitsInBulk,
    Capability.READS_PUSHES: ReadsPushes,
    Capability.PULLS_REPORTS: PullsReports,
    Capability.PULLS_INBOUND: PullsInbound,
    Capability.REVIEWS_SIGNATURES: ReviewsSignatures,
    Capability.REVIEWS_TEMPLATES: ReviewsTemplates,
    Capability.FINDS_RECORDS: FindsRecords,
    Capability.TELLS_STATISTICS: TellsStatistics,
    Capability.TELLS_BALANCE: TellsBalance,
    Capability.TELLS_PRICES: TellsPrices,
    Capability.CHECKS_CONTENT: ChecksContent,
    Capability.CHECKS_BLACKLIST: ChecksBlacklist,
    Capability.EDITS_BLACKLIST: EditsBlacklist,
}


def capabilities_of(vendor: object) -> frozenset[Capability]:
    """What a vendor can do: which of the protocols it satisfies. A session submits, and hands reports over."""
    found = {capability for capability, protocol in PROTOCOLS.items() if isinstance(vendor, protocol)}
    return frozenset(found | {Capability.SUBMITS} if isinstance(vendor, HoldsSession) else found)


# --- what a flow says of its requests --------------------------------------------------------------------------------

HARMLESS: Final = "harmless"
SPACED: Final = "spaced"


def harmless(request: httpx.Request) -> httpx.Request:
    """Mark a request that changes nothing at the vendor: a token or its clock fetched before the real request.

    When it is lost or throttled, nothing was sent: the flow is begun again, and if that fails too, it surely failed.
    """
    request.extensions[HARMLESS] = True
    return request


def spaced(request: httpx.Request, pace: Pace, kind: str) -> httpx.Request:
    """Mark a request of a kind that the vendor wants apart: at least `pace.apart[kind]` seconds between two of them."""
    if kind in pace.apart:
        request.extensions[SPACED] = (kind, pace.apart[kind])
    return request


# --- pushes: the vendor calls us -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """A request that reached the inbox, raw: verifying needs the bytes as they came."""

    method: str
    path: str
    query: str  # raw, without "?"
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    received_at: datetime
    remote: str | None = None  # the address it came from; None where there was no socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What the vendor wants to hear."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What a vendor's push says, and how to acknowledge it. `unread` counts items that could not be understood.

    A push that says nothing, such as the check of a URL that wants a word echoed, changes nothing and needs no proof.
    """

    acknowledgement: Acknowledgement
    reports: tuple[StatusReport, ...] = ()
    inbound: tuple[InboundMessage, ...] = ()
    decisions: tuple[ReviewDecision, ...] = ()
    unread: int = 0
    authenticated: bool = False  # True: the push proved that it comes from the vendor
    once: str | None = None  # a token or nonce whose signature does not cover the body: no other body may bear it


class PushRefused(Exception):
    """A push that must change nothing: garbage, forged, stale. Carries the answer the vendor's rules ask for."""

    def __init__(self, why: str, acknowledgement: Acknowledgement) -> None:
        super().__init__(why)
        self.why, self.acknowledgement = why, acknowledgement


# --- how a vendor is made, and what it says of itself ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account at a vendor, as the evaluation describes it."""

    label: str  # the name in the evaluation, e.g. "ali-main"
    credentials: Mapping[str, str | Secret]  # by Credential.name
    endpoint: str | None = None  # base URL; None: the vendor's own
    endpoints: Mapping[str, str] = field(default_factory=dict)  # further hosts by name, as in Manifest.endpoints
    signature: str = ""  # our filed signature, without brackets
    options: Mapping[str, str] = field(default_factory=dict)
    push_url: str | None = None  # where this account's pushes reach us, when the vendor takes it per call

    def secret(self, name: str) -> str:
        """A credential in plain text, for signing. Raises KeyError if the evaluation gives none."""
        value = self.credentials[name]
        return value.reveal() if isinstance(value, Secret) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """A vendor's only sources of time and chance: same tools, same bytes."""

    now: Callable[[], datetime]  # aware, UTC
    nonce: Callable[[], str]  # 32 lower-case hex digits


class Standing(StrEnum):
    """How far an adapter itself is proven. Claimed in the manifest, checked by tests."""

    DOCUMENTED = "documented"
    SANDBOXED = "sandboxed"
    RECORDED = "recorded"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class NotOffered:
    """The vendor has no such interface."""

    because: str
    kind: str = "not_offered"


@dataclass(frozen=True, slots=True)
class NotYetWritten:
    """The vendor may have it; we do not."""

    because: str
    kind: str = "not_yet_written"


@dataclass(frozen=True, slots=True)
class Credential:
    name: str
    secret: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    read_on: date


@dataclass(frozen=True, slots=True)
class Mapped:
    """One line of a vendor's code table: our reason, how sure we are, and where the line comes from."""

    reason: Any  # harness.domain.Reason
    confidence: str = "documented"  # documented | copied | inferred
    note: str = ""
    source: str = ""  # where the line was read; empty: in the manifest's documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a vendor takes of us: requests per second for the account, and per recipient for one vendor."""

    per_second: float
    burst: int = 1
    same_number_seconds: int = 60  # least time between two messages to one number
    per_number_per_day: int = 10
    apart: Mapping[str, float] = field(default_factory=dict)  # kind of request → least seconds between two: `spaced`


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    id: str
    name: Mapping[str, str]  # language → name
    credentials: tuple[Credential, ...]
    documents: tuple[Document, ...]
    absent: Mapping[Capability, NotOffered | NotYetWritten]
    standing: Standing
    endpoint: str | None  # the vendor's own base URL; None: every account has its own, and must name it
    pace: Pace
    by_template: bool  # True: the vendor sends by template id and parameters; False: by whole text
    push_is_signed: bool = False
    sends_secret: bool = False  # True: known by the secret itself, in plain words, in every request
    endpoints: Mapping[str, str] = field(default_factory=dict)  # further hosts of the vendor: name → base URL
    options: Mapping[str, str] = field(default_factory=dict)  # option → its default


class Vendor(Protocol):
    """The least a vendor class is: `Vendor(account, tools)` with a manifest. Everything else is a capability."""

    manifest: Manifest

    def __init__(self, account: Account, tools: Tools) -> None: ...
