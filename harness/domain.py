"""The nouns: what an evaluation of SMS vendors is about. Plain frozen values, no behaviour beyond reading them.

Words are those of GLOSSARY.md. `delivered` is a vendor's claim, `arrived` is what a handset saw; the two never mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

BEIJING: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China keeps one zone without daylight saving; vendors' stamps without a zone are in it."""


class Carrier(StrEnum):
    """Who serves a number 运营商."""

    CHINA_MOBILE = "china_mobile"
    CHINA_UNICOM = "china_unicom"
    CHINA_TELECOM = "china_telecom"
    CHINA_BROADNET = "china_broadnet"


class Purpose(StrEnum):
    """What a message is for 短信用途."""

    VERIFICATION = "verification"
    NOTIFICATION = "notification"
    MARKETING = "marketing"


class RecipientKind(StrEnum):
    """What is known about a number before anything is sent to it."""

    HANDSET = "handset"  # a consenting test phone that forwards what it receives
    INVALID = "invalid"  # 空号: consenting by its owner, the buyer, but out of use
    BLOCKED = "blocked"  # on the vendor's or a carrier's blacklist, and known to be
    OPTED_OUT = "opted_out"  # its owner replied 退订
    UNREACHABLE = "unreachable"  # switched off on purpose


class DeliveryState(StrEnum):
    """What a status report claims."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        return self is not DeliveryState.UNKNOWN


class Reason(StrEnum):
    """Why a vendor or carrier said no, in one vocabulary for all; the vendor's own code is always kept beside it."""

    BLACKLISTED = "blacklisted"
    OPTED_OUT = "opted_out"
    SENSITIVE_CONTENT = "sensitive_content"
    FREQUENCY_CAP = "frequency_cap"
    SIGNATURE_NOT_APPROVED = "signature_not_approved"
    SIGNATURE_NOT_REGISTERED = "signature_not_registered"
    TEMPLATE_NOT_APPROVED = "template_not_approved"
    INVALID_NUMBER = "invalid_number"
    UNREACHABLE = "unreachable"  # powered off, out of coverage, memory full
    OUT_OF_SERVICE = "out_of_service"  # suspended line
    BALANCE = "balance"
    THROTTLED = "throttled"
    QUOTA = "quota"
    HOURS = "hours"  # marketing outside the hours a vendor or carrier allows
    AUTH = "auth"
    BAD_REQUEST = "bad_request"
    ROUTING = "routing"
    VENDOR_FAULT = "vendor_fault"
    CARRIER_FAULT = "carrier_fault"
    UNMAPPED = "unmapped"  # a code no table knows: the code is shown, nothing is guessed


class ReportSource(StrEnum):
    PUSHED = "pushed"
    PULLED = "pulled"


class Subject(StrEnum):
    """What is reviewed 审核对象."""

    SIGNATURE = "signature"
    TEMPLATE = "template"


class ReviewVerdict(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A credential. Not a string, so that nothing prints, logs or serialises it by accident."""

    _value: str

    def __repr__(self) -> str:
        return "•••"

    __str__ = __repr__

    def reveal(self) -> str:
        """The plain value, for the one place that signs with it."""
        return self._value


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Times of day, Beijing, between which something may be sent: [begin, end)."""

    begin: time
    end: time


CAMPAIGN_WINDOWS: Final = (
    ("workday_morning", range(5), time(10), time(11, 30)),
    ("friday_afternoon", (4,), time(16), time(17, 30)),
)
"""When marketing is mostly sent: name, days of the week (Monday 0), and times of day in Beijing, [begin, end)."""


def campaign_window(moment: datetime) -> str | None:
    """The name of the campaign window that an instant lies in."""
    local = moment.astimezone(BEIJING)
    clock = local.time()
    for name, days, begin, end in CAMPAIGN_WINDOWS:
        if local.weekday() in days and begin <= clock < end:
            return name
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount with its currency (ISO 4217)."""

    amount: Decimal
    currency: str = "CNY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Who agreed to receive test messages on a number, and when (PIPL art. 13, 14)."""

    by: str
    on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A number that agreed to be tested. `number` never leaves the process except to a vendor's endpoint."""

    id: str
    number: str = field(repr=False)  # E.164, "+86…"
    carrier: Carrier  # who serves it now
    allotted_carrier: Carrier | None = None  # whom its prefix was allotted to; differs after porting 携号转网
    province: str = ""
    kind: RecipientKind = RecipientKind.HANDSET
    consent: Consent | None = None
    forwarder: str | None = None  # id of the forwarder in the evaluation, for handsets
    spare: bool = False  # may be put on a vendor's list by an opt-out test
    tester: bool = False  # agreed to more than the usual two marketing messages a month
    cap_per_day: int | None = None  # the recipient's own cap; None: the evaluation's
    since: date | None = None  # when the number joined the panel
    tags: Mapping[str, str] = field(default_factory=dict)  # free columns: age band, city, …; slices

    @property
    def is_ported(self) -> bool:
        return self.allotted_carrier is not None and self.allotted_carrier is not self.carrier

    @property
    def masked(self) -> str:
        return mask(self.number)


def mask(number: str) -> str:
    """A number as reports may show it: first three and last two digits of the national part.

    >>> mask("+8613800001234")
    '138******34'
    """
    national = number.removeprefix("+86")
    return (
        f"{national[:3]}{'*' * max(0, len(national) - 5)}{national[-2:]}" if len(national) > 5 else "*" * len(national)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message without its recipient: what may be stored in a fact."""

    purpose: Purpose
    signature: str  # without brackets
    template: str | None  # the vendor's own template id, where the vendor sends by template
    parameters: Mapping[str, str]  # template variables by name, in template order
    text: str  # whole text with 【signature】 as a handset should show it
    token: str  # short unique code inside the text
    reference: str  # our id, passed to the vendor where it takes one
    segments: int
    content: str = ""  # id of the test text in `harness/content`


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Draft):
    """A draft and the recipient it goes to: what a vendor adapter is handed."""

    to: Recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question put to one vendor, mostly about one recipient. Holds no number and no credential."""

    id: str  # "c000017"
    vendor: str  # the account's label in the evaluation
    scenario: str
    due: datetime
    recipient: str | None = None  # id
    drafts: tuple[Draft, ...] = ()  # what it may send, by leg: leg 0 first; most cases have one
    review: ReviewDraft | None = None  # what it hands in for review
    slices: Mapping[str, str] = field(default_factory=dict)  # carrier, purpose, hour_band, campaign_window, tag.…
    visit: str = ""  # cases of one visit meet the same phone within minutes, one for each vendor: pairs
    task: Mapping[str, str] = field(default_factory=dict)  # the scenario's own settings for this case


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The vendor took the message."""

    vendor_message_id: str
    segments: int | None = None  # as billed by the vendor's answer; None: not told
    fee: Money | None = None
    part_ids: tuple[str, ...] = ()  # where every part of a long message has an id of its own: all of them, in order
    kind: Literal["accepted"] = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The vendor said no in its immediate answer. Data, not an error."""

    reason: Reason
    code: str  # theirs, untouched
    detail: str = ""
    kind: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Asked, and no answer that tells: it may have left, so it is never sent again."""

    why: str
    part_ids: tuple[str, ...] = ()  # ids known all the same, by part; "" where one is not known
    kind: Literal["in_doubt"] = "in_doubt"


Outcome = Accepted | Refused | InDoubt


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What a vendor claims became of a message. A claim, not a sighting."""

    vendor_message_id: str
    state: DeliveryState
    reason: Reason | None  # None when delivered
    code: str  # theirs, untouched: "DELIVRD", "MK:0012"
    claimed_at: datetime | None = None  # the vendor's own stamp of the event
    number: str | None = field(
        default=None, repr=False
    )  # as the vendor wrote it; replaced by the recipient's id in facts
    reference: str | None = None  # our id, where the vendor echoes it
    billed_segments: int | None = None
    segment: int = 1
    detail: str = ""
    also: tuple[str, ...] = ()  # other spellings of the id: gateways write one id in two bases
    submitted_at: datetime | None = None  # the vendor's own stamp of the submit, perhaps in whole minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """A reply from a phone 上行, as the vendor passed it on."""

    number: str = field(repr=False)
    to: str  # the access code or extension it was sent to, as the vendor wrote it
    text: str
    sent_at: datetime | None = None
    vendor_message_id: str = ""  # the vendor's id of the reply, for telling repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A message that a handset saw. Four times, never mixed: design 2.20, facts/handsets.md 4.3."""

    forwarder: str
    recipient: str  # id
    sender: str
    text: str
    event_id: str  # what tells repeats of one SMS apart: the app's message id, or a digest
    scts: datetime | None = None  # service centre's clock, whole seconds
    handset_at: datetime | None = None  # phone's clock at reception
    forwarded_at: datetime | None = None  # phone's clock at forwarding
    received_at: datetime | None = None  # our clock
    reconciled: bool = False  # found by asking the phone's own inbox, not pushed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDraft:
    """A signature or template handed to a vendor for review."""

    subject: Subject
    name: str
    text: str  # signature without brackets, or template with {name} variables
    purpose: Purpose
    variables: Mapping[str, str] = field(default_factory=dict)  # name → example value
    remark: str = ""
    signature: str = ""  # the filed signature a template goes with


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a vendor gives back for a review, to ask about it later."""

    subject: Subject
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecision:
    ticket: str
    subject: Subject
    verdict: ReviewVerdict
    reason: str = ""  # the vendor's words
    claimed_at: datetime | None = None
    name: str = ""  # where the vendor's push carries no ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A vendor's own record of one message it sent for us."""

    number: str = field(repr=False)
    sent_at: datetime | None
    vendor_message_id: str | None = None
    reference: str | None = None
    state: DeliveryState = DeliveryState.UNKNOWN
    code: str = ""
    text: str | None = None
    reported_at: datetime | None = None
    fee: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsRow:
    """A vendor's own count for a span. A claim."""

    since: datetime
    until: datetime
    carrier: Carrier | None  # None: the vendor does not split by carrier
    submitted: int | None = None  # messages
    billed_segments: int | None = None
    delivered: int | None = None
    undelivered: int | None = None
    unreported: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    money: Money | None = None
    messages: int | None = None  # what is left in prepaid packages


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentVerdict:
    """What a vendor's own word check says of a text, without sending it."""

    blocked: bool
    words: tuple[str, ...] = ()


class State(StrEnum):
    """What kind of answer a finding is. There is no number for "don't know"."""

    MEASURED = "measured"
    INSUFFICIENT = "insufficient"
    NOT_OFFERED = "not_offered"
    ATTESTED = "attested"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"


class Unit(StrEnum):
    SHARE = "share"  # 0–1
    SECONDS = "seconds"
    DAYS = "days"
    COUNT = "count"
    CNY = "cny"
    PER_HOUR = "per_hour"
    RATIO = "ratio"


class Better(StrEnum):
    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Scope(StrEnum):
    """Which population a number speaks of (statistics.md 0.3)."""

    POPULATION = "population"  # any handset, long run
    PANEL = "panel"  # these handsets, long run
    WINDOW = "window"  # these handsets, this window (under 24 h)
    CASES = "cases"  # just the cases counted, e.g. reviews or probes
    VENDOR = "vendor"  # a property of the endpoint, probed once or a few times


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its doubt. `value` or a limit is None only where it is *not reached* (a percentile of all sent)."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_eff: float
    handsets: int | None
    days: float | None
    method: str
    scope: Scope
    level: float = 0.95
