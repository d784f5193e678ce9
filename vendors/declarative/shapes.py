"""The shapes of a description: what its parts are once they are read, and which names each part may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.capabilities import Acknowledgement, Capability, Manifest, Mapped
from harness.domain import Carrier, DeliveryState, ReviewVerdict
from vendors.declarative.expressions import Expression

EVERYWHERE: Final = frozenset({"account", "option", "signature", "push", "now", "nonce"})
SEEN_BY: Final[Mapping[str, frozenset[str]]] = {
    "submit": frozenset({"message"}),
    "submit_bulk": frozenset({"messages"}),
    "pull_reports": frozenset(),
    "pull_inbound": frozenset(),
    "submit_signature": frozenset({"draft"}),
    "query_signature": frozenset({"ticket", "page"}),
    "submit_template": frozenset({"draft"}),
    "query_template": frozenset({"ticket", "page"}),
    "find_records": frozenset({"number", "national", "day", "page"}),
    "statistics": frozenset({"day"}),
    "balance": frozenset(),
    "prices": frozenset(),
    "check_content": frozenset({"text"}),
    "is_blocked": frozenset({"number", "national"}),
    "block": frozenset({"number", "national"}),
    "unblock": frozenset({"number", "national"}),
}
"""Operation → what its expressions may name beside `EVERYWHERE`."""
RESULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "submit": ("id", "segments", "fee", "currency"),
    "submit_bulk": ("id", "segments", "fee", "currency"),
    "pull_reports": (),
    "pull_inbound": (),
    "submit_signature": ("ticket",),
    "query_signature": (),
    "submit_template": ("ticket",),
    "query_template": (),
    "find_records": ("number", "sent_at", "id", "reference", "state", "code", "text", "reported_at", "fee", "currency"),
    "statistics": ("submitted", "billed", "delivered", "undelivered", "unreported"),
    "balance": ("money", "messages", "currency"),
    "prices": ("price", "currency"),
    "check_content": ("blocked", "words"),
    "is_blocked": ("blocked",),
    "block": (),
    "unblock": (),
}
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "submit": ("id",), "submit_bulk": ("id",), "submit_signature": ("ticket",), "submit_template": ("ticket",),
    "find_records": ("number",), "prices": ("price",), "check_content": ("blocked",), "is_blocked": ("blocked",),
}  # fmt: skip
PAIRED: Final = (
    ("submit_signature", "query_signature"),
    ("submit_template", "query_template"),
    ("block", "unblock"),
)
ITEMS: Final[Mapping[str, tuple[str, ...]]] = {
    "report": (
        "id",
        "state",
        "code",
        "at",
        "submitted_at",
        "number",
        "reference",
        "billed",
        "segment",
        "detail",
        "carrier",
    ),
    "inbound": ("number", "to", "text", "at", "id"),
    "decision": ("ticket", "verdict", "reason", "at", "name"),
}
ITEMS_NEED: Final = {"report": ("id", "state"), "inbound": ("number", "text"), "decision": ("verdict",)}
CAPABILITY: Final[Mapping[str, Capability]] = {
    "submit": Capability.SUBMITS,
    "submit_bulk": Capability.SUBMITS_IN_BULK,
    "pull_reports": Capability.PULLS_REPORTS,
    "pull_inbound": Capability.PULLS_INBOUND,
    "submit_signature": Capability.REVIEWS_SIGNATURES,
    "query_signature": Capability.REVIEWS_SIGNATURES,
    "submit_template": Capability.REVIEWS_TEMPLATES,
    "query_template": Capability.REVIEWS_TEMPLATES,
    "find_records": Capability.FINDS_RECORDS,
    "statistics": Capability.TELLS_STATISTICS,
    "balance": Capability.TELLS_BALANCE,
    "prices": Capability.TELLS_PRICES,
    "check_content": Capability.CHECKS_CONTENT,
    "is_blocked": Capability.CHECKS_BLACKLIST,
    "block": Capability.EDITS_BLACKLIST,
    "unblock": Capability.EDITS_BLACKLIST,
}

STATES: Final[Mapping[str, DeliveryState | None]] = {
    **{state.value: state for state in DeliveryState},
    "failed": None,  # expired, rejected or undelivered, as its code says
}
VERDICTS: Final[Mapping[str, ReviewVerdict | None]] = {
    **{verdict.value: verdict for verdict in ReviewVerdict},
    "open": None,
}
CARRIERS: Final[Mapping[str, Carrier]] = {carrier.value: carrier for carrier in Carrier}


@dataclass(frozen=True, slots=True)
class Choice:
    """A word of theirs as one of ours: `of`, the words in `table`, and "*" for all others."""

    of: Expression
    table: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Each:
    """A list in a body: `item` written once for each of `over`."""

    over: Expression
    item: Fields


Fields = Expression | Each | Mapping[str, "Fields"] | Sequence["Fields"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sends:
    """A request, as it is built."""

    when: Expression | None
    let: Mapping[str, Expression]
    host: str | None
    method: str
    path: tuple[str | Expression, ...]
    query: Mapping[str, Fields]
    kind: str  # none | form | json | base64_json
    fields: Mapping[str, Fields]
    headers: Mapping[str, Expression]
    add: Mapping[str, Mapping[str, Expression]]  # query | fields → what is worked out over the rest
    numbers: frozenset[str]
    charset: str
    spaces: str  # plus | percent
    spaced_json: bool
    apart: str | None
    draws: bool  # a nonce
    pages: bool  # asked for page by page


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A request for a token, the vendor's clock or an id, and what of its reply is kept under which name.

    With rows: of the row that matches, page by page if the request names a page.
    """

    name: str
    when: Expression | None
    rows: Rows | None
    sends: Sends
    hears: Hears
    take: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Hears:
    """A reply, as it is read."""

    kind: str  # json | text | xml
    pattern: re.Pattern[str] | None
    charset: str
    ok: Expression
    code: Expression | None
    detail: Expression | None
    unauthorised: Expression | None  # a no that is about who we are, whatever its code says otherwise
    throttled: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A list in a reply: of outcomes, records, queue items, reviews."""

    of: Expression
    page_size: int
    total: Expression | None
    match: Expression | None
    number: Expression | None
    ok: Expression | None
    code: Expression | None
    detail: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of a vendor."""

    name: str
    before: tuple[Before, ...]
    sends: tuple[Sends, ...]  # the first whose `when` holds
    hears: Hears
    rows: Rows | None
    result: Mapping[str, Expression | Choice]
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A signature over a push or an item: equal, whatever the capitals if told; fresh; once."""

    expect: Expression
    given: Expression
    any_case: bool
    fresh: Expression | None
    once: Expression | None
    when: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How one kind of pushed item is known and read."""

    kind: str  # report | inbound | decision | nothing
    when: Expression | None
    proof: Proof | None
    subject: str  # of decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """What the vendor posts to us."""

    charset: str
    json_in: tuple[str, ...]
    twice: bool  # some of that is encoded once more than the form does
    items: Expression | None
    proof: tuple[Proof, ...]
    challenge: tuple[Expression, Expression] | None  # when, and what is echoed
    readers: tuple[Reader, ...]
    taken: tuple[int, str, Expression | str]
    refused: Acknowledgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """When a refused request may be made again, by the vendor's own words."""

    when: str  # never | later | fresh
    after: float | None = None  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A vendor, described."""

    manifest: Manifest
    reasons: Mapping[str, Mapped]
    report_reasons: Mapping[str, Mapped]
    again: Mapping[str, Again]
    operations: Mapping[str, Operation]
    items: Mapping[str, Mapping[str, Expression | Choice]]
    pushes: Pushes | None
