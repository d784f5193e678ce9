"""What is true in a sandbox world: read from YAML into frozen values; an error names place, value and way out.

Shares are between 0 and 1, spreads are log-normal in seconds, times of day are Beijing time. `demo.yaml` is an example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from math import exp
from random import Random
from typing import Final, TypeVar

from harness.domain import BEIJING, Carrier, Purpose
from harness.plain_yaml import Located, Plain, locate
from vendors.sandbox.door import FiledTemplate

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class TruthError(ValueError):
    """A truth that cannot be read: where, what stands there, and the way out."""


class Mode(StrEnum):
    """How a vendor hands over reports and replies."""

    PUSH = "push"
    PULL = "pull"


class Honesty(StrEnum):
    """For which traffic a vendor makes receipts up (the four kinds of false receipts)."""

    HONEST = "honest"
    ALL = "all"
    ALL_BUT_KNOWN = "all_but_known"  # known test numbers get honest ones
    BULK = "bulk"  # only when much is sent in a short time
    SHARE = "share"  # a random share


class Where(StrEnum):
    """Where a vendor says no: in its answer, or only in the status report."""

    SUBMIT = "submit"
    REPORT = "report"
    NOWHERE = "nowhere"  # it does not look at all


class BilledOn(StrEnum):
    ACCEPTED = "accepted"
    DELIVERED = "delivered"  # what is reported undelivered is paid back


class App(StrEnum):
    """The forwarding app on a test phone (facts: handsets)."""

    SMSFORWARDER = "smsforwarder"
    SMSGATE = "smsgate"
    JSON = "json"  # any JSON webhook


class DownKind(StrEnum):
    OFF = "off"  # the phone is switched off: the service centre keeps its messages until it is back
    APP = "app"  # the phone receives, its app is dead: nothing is forwarded, nothing answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A log-normal time in seconds. `sigma` 0: always the median."""

    median: float
    sigma: float = 0.0

    def draw(self, chance: Random) -> float:
        return self.median * exp(self.sigma * chance.gauss(0.0, 1.0)) if self.sigma else self.median


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A Beijing wall time counted from the epoch's Beijing day, which is day 1."""

    day: int
    minute: int

    def after(self, epoch: datetime) -> datetime:
        first = epoch.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
        return first + timedelta(days=self.day - 1, minutes=self.minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A band of the Beijing day, [begin, end) in minutes from midnight, with what it does to messages."""

    begin: int
    end: int
    carrier: Carrier | None = None
    arrival: float = 1.0  # factor on the share that arrives
    slower: float = 1.0  # factor on the time it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stretch in which a carrier's route is bad or dead. `arrival`: factor on the share that arrives."""

    begin: Moment
    end: Moment
    carrier: Carrier | None = None
    arrival: float = 0.0
    slower: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomOutages:
    """Outages nobody planned: Poisson per carrier, log-normal in length."""

    per_week: float
    minutes: Spread
    arrival: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptTruth:
    kind: Honesty = Honesty.HONEST
    share: float = 0.0  # of the traffic with made-up receipts, kind `share` only
    kept_back: float = 0.0  # of messages with a made-up receipt, how many are never sent at all
    known: frozenset[str] = frozenset()  # numbers the vendor knows for test numbers
    bulk_above: int = 50  # this many messages …
    bulk_seconds: float = 60.0  # … in this time are "bulk"
    made_up_after: Spread = Spread(median=4.0, sigma=0.4)  # a made-up receipt's stamp, after the submit
    missing: float = 0.0  # of all messages: no receipt ever
    early: float = 0.0  # of honest "delivered" receipts: stamped before the message arrived
    delay: Spread = Spread(median=2.0, sigma=0.5)  # from the stamp to the report
    failure: Spread = Spread(median=45.0, sigma=0.8)  # from the submit to the stamp of an honest "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewTruth:
    minutes: Spread = Spread(median=60.0, sigma=0.5)
    hours: tuple[int, int] | None = None  # minutes of the Beijing day in which reviewers work; None: always
    recall: float = 1.0  # of faulty drafts, rejected
    false_alarm: float = 0.0  # of compliant drafts, rejected
    feedback: float = 1.0  # of rejections, telling what to change


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTruth:
    """The content filter at sending time. `words`: the vendor's own list; empty means the world's."""

    words: tuple[str, ...] = ()
    where: Where = Where.SUBMIT
    recall: float = 1.0  # of texts with a sensitive word, stopped
    false_alarm: float = 0.0  # of clean texts, stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class BlacklistTruth:
    where: Where = Where.SUBMIT
    enforced: float = 1.0  # of blocked numbers, how many the vendor really has on its list
    invalid: Where = Where.REPORT  # where an invalid number is told


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutTruth:
    honoured: bool = True
    where: Where = Where.SUBMIT
    delay_minutes: float = 5.0
    words: tuple[str, ...] = ("T", "TD", "R", "N", "退订", "拒收")
    back: tuple[str, ...] = ("TT", "START", "恢复", "恢复订阅")  # what a phone replies to be off the list again


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTruth:
    """What goes wrong on the vendor's own endpoint, as shares of its requests."""

    refused: float = 0.0  # no connection at all
    error: float = 0.0  # HTTP 500, nothing taken
    no_answer: float = 0.0  # the request is read, no answer comes
    taken: float = 0.5  # of those without an answer, how many were carried out all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorTruth:
    """One account with one vendor."""

    label: str
    wire: str  # adapter id: names the counterpart
    name: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    signatures: Mapping[str, bool]
    templates: Mapping[str, FiledTemplate]
    mode: Mode
    price: Decimal
    balance: Decimal
    options: Mapping[str, str]
    arrival: Mapping[Carrier, float]
    ported: float  # factor on arrival for numbers that changed their carrier
    icc: float  # how much a vendor's luck sticks to a handset: correlation of two messages to the same phone
    hours: tuple[Hours, ...]
    outages: tuple[Outage, ...]
    random_outages: RandomOutages | None
    latency: Mapping[Carrier, Spread]  # submit to arrival
    acknowledgement: Spread  # request to answer
    duplicates: float
    altered: float
    receipts: ReceiptTruth
    review: ReviewTruth
    words: WordTruth
    blacklist: BlacklistTruth
    opt_out: OptOutTruth
    replies: float  # share of phones' replies that reach the customer
    reply_delay: Spread
    retention_days: int
    kept: float  # share of records kept at all within that time
    senders: Mapping[Carrier, str]
    billed_on: BilledOn
    overbilled: float  # share of messages billed with one segment too many
    pace: float  # messages a second the account may send; 0: no limit
    marketing_hours: tuple[int, int] | None
    faults: FaultTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """A stretch in which some phones are down. `phones`: how many of each carrier, the first ones."""

    begin: Moment
    end: Moment
    kind: DownKind = DownKind.OFF
    carrier: Carrier | None = None
    phones: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelTruth:
    """The people and their phones."""

    handsets: Mapping[Carrier, int]
    invalid: int
    unreachable: int
    blocked: int
    spare: int
    testers: float
    provinces: tuple[str, ...]
    ported: float
    clock_offset_seconds: float  # standard deviation over phones
    clock_drift_ppm: float  # standard deviation over phones
    apps: Mapping[App, float]  # weights
    app_miss: float  # share of messages the app never forwards though the phone has them
    app_repeat: float  # share of messages smsgate posts twice under two event ids
    forward_delay: Spread
    standby: float  # share of messages forwarded only when the phone wakes
    standby_delay: Spread
    heartbeat_minutes: float  # 0: no signs of life
    smsforwarder_heartbeats: bool  # whether that app posts them too, by a scheduled task
    controls_per_day: float  # SMS from other senders, seen on the phone: they tell how much the app misses
    down: tuple[Down, ...]
    consent_by: str
    consent_on: date
    cap_per_day: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldTruth:
    name: str
    words: tuple[str, ...]  # sensitive words, for every vendor without a list of its own
    vendors: Mapping[str, VendorTruth]
    panel: PanelTruth


def read_truth(text: str, name: str) -> WorldTruth:
    """Read a truth. Raises TruthError, or the YAML reader's ConfigError where the text is no YAML."""
    top = _Part(locate(text, name), ())
    truth = WorldTruth(
        name=top.text("world", "sandbox"),
        words=top.texts("words", ()),
        vendors={part.path[-1]: _vendor(part) for part in top.part("vendors").parts()},
        panel=_panel(top.part("panel")),
    )
    if not truth.vendors:
        raise top.wrong(("vendors",), "no vendor stands there", "Describe at least one, as demo.yaml does.")
    top.end()
    return truth


def _vendor(part: _Part) -> VendorTruth:
    label = part.path[-1]
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", label):
        raise part.wrong((), f"got the label {label!r}", "Use small letters, digits and hyphens: it is a host name.")
    wire = part.text("wire")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", wire):
        raise part.wrong(("wire",), f"got {wire!r}", "Name an adapter, such as alibaba.")
    truth = VendorTruth(
        label=label,
        wire=wire,
        name=part.mapping("name", {"en": label}),
        credentials=part.mapping("credentials", {}),
        signatures=_signatures(part),
        templates={each.path[-1]: _template(each) for each in part.part("templates").parts()},
        mode=part.choice("mode", Mode, Mode.PUSH),
        price=part.money("price", "0.045"),
        balance=part.money("balance", "10000"),
        options=part.mapping("options", {}),
        arrival=part.by_carrier("arrival", _Part.share_here, 0.98),
        ported=part.number("ported", 1.0),
        icc=part.share("icc", 0.0),
        hours=tuple(_hours(each) for each in part.items("hours")),
        outages=tuple(_outage(each) for each in part.items("outages")),
        random_outages=_random_outages(part.part("random_outages")),
        latency=part.by_carrier("latency", _Part.spread_here, Spread(median=3.0, sigma=0.5)),
        acknowledgement=part.spread("acknowledgement", Spread(median=0.12, sigma=0.3)),
        duplicates=part.share("duplicates", 0.0),
        altered=part.share("altered", 0.0),
        receipts=_receipts(part.part("receipts")),
        review=_review(part.part("review")),
        words=_words(part.part("words")),
        blacklist=_blacklist(part.part("blacklist")),
        opt_out=_opt_out(part.part("opt_out")),
        replies=part.share("replies", 1.0),
        reply_delay=part.spread("reply_delay", Spread(median=5.0, sigma=0.5)),
        retention_days=part.whole("retention_days", 180),
        kept=part.share("kept", 1.0),
        senders=part.by_carrier("senders", _Part.sender_here, "10690000"),
        billed_on=part.choice("billed_on", BilledOn, BilledOn.ACCEPTED),
        overbilled=part.share("overbilled", 0.0),
        pace=part.number("pace", 0.0),
        marketing_hours=part.band("marketing_hours"),
        faults=_faults(part.part("faults")),
    )
    part.end()
    return truth


def _signatures(part: _Part) -> Mapping[str, bool]:
    return {name: value == "approved" for name, value in part.mapping("signatures", {}).items()}


def _template(part: _Part) -> FiledTemplate:
    template = FiledTemplate(
        id=part.path[-1],
        text=part.text("text"),
        purpose=part.choice("purpose", Purpose, Purpose.NOTIFICATION),
        approved=part.yes("approved", default=True),
    )
    part.end()
    return template


def _hours(part: _Part) -> Hours:
    hours = Hours(
        begin=part.minute("from"),
        end=part.minute("to"),
        carrier=part.carrier("carrier"),
        arrival=part.number("arrival", 1.0),
        slower=part.number("slower", 1.0),
    )
    part.end()
    return hours


def _outage(part: _Part) -> Outage:
    outage = Outage(
        begin=part.moment("from"),
        end=part.moment("to"),
        carrier=part.carrier("carrier"),
        arrival=part.number("arrival", 0.0),
        slower=part.number("slower", 1.0),
    )
    part.end()
    return outage


def _random_outages(part: _Part) -> RandomOutages | None:
    if part.is_absent:
        return None
    outages = RandomOutages(
        per_week=part.number("per_week", 0.0),
        minutes=part.spread("minutes", Spread(median=20.0, sigma=0.5)),
        arrival=part.number("arrival", 0.0),
    )
    part.end()
    return outages


def _receipts(part: _Part) -> ReceiptTruth:
    plain = ReceiptTruth()
    receipts = ReceiptTruth(
        kind=part.choice("kind", Honesty, plain.kind),
        share=part.share("share", plain.share),
        kept_back=part.share("kept_back", plain.kept_back),
        known=frozenset(part.texts("known", ())),
        bulk_above=part.whole("bulk_above", plain.bulk_above),
        bulk_seconds=part.number("bulk_seconds", plain.bulk_seconds),
        made_up_after=part.spread("made_up_after", plain.made_up_after),
        missing=part.share("missing", plain.missing),
        early=part.share("early", plain.early),
        delay=part.spread("delay", plain.delay),
        failure=part.spread("failure", plain.failure),
    )
    if (receipts.kind is Honesty.SHARE) != (receipts.share > 0):
        raise part.wrong(("share",), f"got {receipts.share} for {receipts.kind}", "Kind share, and no other, has one.")
    part.end()
    return receipts


def _review(part: _Part) -> ReviewTruth:
    plain = ReviewTruth()
    review = ReviewTruth(
        minutes=part.spread("minutes", plain.minutes),
        hours=part.band("hours"),
        recall=part.share("recall", plain.recall),
        false_alarm=part.share("false_alarm", plain.false_alarm),
        feedback=part.share("feedback", plain.feedback),
    )
    part.end()
    return review


def _words(part: _Part) -> WordTruth:
    words = WordTruth(
        words=part.texts("words", ()),
        where=part.choice("where", Where, Where.SUBMIT),
        recall=part.share("recall", 1.0),
        false_alarm=part.share("false_alarm", 0.0),
    )
    part.end()
    return words


def _blacklist(part: _Part) -> BlacklistTruth:
    blacklist = BlacklistTruth(
        where=part.choice("where", Where, Where.SUBMIT),
        enforced=part.share("enforced", 1.0),
        invalid=part.choice("invalid", Where, Where.REPORT),
    )
    part.end()
    return blacklist


def _opt_out(part: _Part) -> OptOutTruth:
    plain = OptOutTruth()
    opt_out = OptOutTruth(
        honoured=part.yes("honoured", default=True),
        where=part.choice("where", Where, Where.SUBMIT),
        delay_minutes=part.number("delay_minutes", plain.delay_minutes),
        words=part.texts("words", plain.words),
        back=part.texts("back", plain.back),
    )
    part.end()
    return opt_out


def _faults(part: _Part) -> FaultTruth:
    faults = FaultTruth(
        refused=part.share("refused", 0.0),
        error=part.share("error", 0.0),
        no_answer=part.share("no_answer", 0.0),
        taken=part.share("taken", 0.5),
    )
    part.end()
    return faults


def _panel(part: _Part) -> PanelTruth:
    counts = part.mapping("handsets", {})
    panel = PanelTruth(
        handsets={carrier: part.counted(counts, carrier) for carrier in Carrier if carrier in counts},
        invalid=part.whole("invalid", 0),
        unreachable=part.whole("unreachable", 0),
        blocked=part.whole("blocked", 0),
        spare=part.whole("spare", 0),
        testers=part.share("testers", 1.0),
        provinces=part.texts("provinces", ("Guangdong", "Zhejiang", "Sichuan", "Beijing")),
        ported=part.share("ported", 0.0),
        clock_offset_seconds=part.number("clock_offset_seconds", 0.0),
        clock_drift_ppm=part.number("clock_drift_ppm", 0.0),
        apps=_apps(part.part("apps")),
        app_miss=part.share("app_miss", 0.0),
        app_repeat=part.share("app_repeat", 0.0),
        forward_delay=part.spread("forward_delay", Spread(median=1.0, sigma=0.4)),
        standby=part.share("standby", 0.0),
        standby_delay=part.spread("standby_delay", Spread(median=1800.0, sigma=0.6)),
        heartbeat_minutes=part.number("heartbeat_minutes", 2.0),
        smsforwarder_heartbeats=part.yes("smsforwarder_heartbeats", default=False),
        controls_per_day=part.number("controls_per_day", 0.0),
        down=tuple(_down(each) for each in part.items("down")),
        consent_by=part.text("consent_by", "sandbox"),
        consent_on=part.day("consent_on", date(2026, 1, 5)),
        cap_per_day=part.whole("cap_per_day", 0) or None,
    )
    if unknown := set(counts) - set(Carrier):
        raise part.wrong(("handsets",), f"got {', '.join(sorted(unknown))}", f"Carriers are {', '.join(Carrier)}.")
    part.end()
    return panel


def _apps(part: _Part) -> Mapping[App, float]:
    weights = {app: part.number(app, 0.0) for app in App}
    part.end()
    return {app: weight for app, weight in weights.items() if weight > 0} or {App.SMSFORWARDER: 1.0}


def _down(part: _Part) -> Down:
    down = Down(
        begin=part.moment("from"),
        end=part.moment("to"),
        kind=part.choice("kind", DownKind, DownKind.OFF),
        carrier=part.carrier("carrier"),
        phones=part.whole("phones", 1),
    )
    part.end()
    return down


_MOMENT: Final = re.compile(r"day (\d{1,3}) (\d{2}):(\d{2})")
_BAND: Final = re.compile(r"(\d{2}:\d{2})-(\d{2}:\d{2})")


class _Part:
    """One mapping or scalar of the document: reads it key by key and knows which keys nobody asked for."""

    def __init__(self, document: Located, path: tuple[str, ...], value: Plain | None = None, *, absent: bool = False):
        self.document, self.path, self.is_absent = document, path, absent
        self.value: Plain = document.value if value is None else value
        self._asked: set[str] = set()

    def wrong(self, below: tuple[str, ...], problem: str, way_out: str) -> TruthError:
        return TruthError(f"{self.document.place((*self.path, *below))}\n  {problem}\n  {way_out}")

    def _get(self, key: str) -> Plain | None:
        self._asked.add(key)
        if not isinstance(self.value, dict):
            raise self.wrong((), f"got {self.value!r}", "Write a mapping, key: value.")
        return self.value.get(key)

    def end(self) -> None:
        """Raise if a key stands there that nobody asked for."""
        if isinstance(self.value, dict) and (unknown := sorted(set(self.value) - self._asked)):
            raise self.wrong((unknown[0],), "nobody knows this key", f"Keys here are {', '.join(sorted(self._asked))}.")

    def part(self, key: str) -> _Part:
        value = self._get(key)
        return _Part(self.document, (*self.path, key), {} if value is None else value, absent=value is None)

    def parts(self) -> list[_Part]:
        """One part for each key, whatever the keys are."""
        if not isinstance(self.value, dict):
            raise self.wrong((), f"got {self.value!r}", "Write a mapping, key: value.")
        self._asked.update(self.value)
        return [_Part(self.document, (*self.path, key), value) for key, value in self.value.items()]

    def items(self, key: str) -> list[_Part]:
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong((key,), f"got {value!r}", "Write a list, one item a line, each with a leading hyphen.")
        return [_Part(self.document, (*self.path, key, str(index)), item) for index, item in enumerate(value)]

    def _scalar(self, key: str) -> str | None:
        value = self._get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong((key,), f"got {value!r}", "Write one plain value.")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._scalar(key)
        if value is None:
            value = default
        if value is None:
            raise self.wrong((), f"{key} is missing", f"Write  {key}: …")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong((key,), f"got {value!r}", "Write a list of plain values, [like, this].")
        return tuple(str(item) for item in value)

    def mapping(self, key: str, default: Mapping[str, str]) -> dict[str, str]:
        value = self._get(key)
        if value is None:
            return dict(default)
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self.wrong((key,), f"got {value!r}", "Write a mapping of plain values, {like: this}.")
        return {name: str(item) for name, item in value.items()}

    def number(self, key: str, default: float) -> float:
        value = self._scalar(key)
        return default if value is None else self._number((key,), value)

    def _number(self, below: tuple[str, ...], value: str) -> float:
        if not re.fullmatch(r"\d+(\.\d+)?", value):
            raise self.wrong(below, f"got {value!r}", "Write a number that is not negative, such as 2.5.")
        return float(value)

    def whole(self, key: str, default: int) -> int:
        value = self._scalar(key)
        if value is None:
            return default
        if not re.fullmatch(r"\d{1,9}", value):
            raise self.wrong((key,), f"got {value!r}", "Write a whole number.")
        return int(value)

    def counted(self, counts: Mapping[str, str], carrier: Carrier) -> int:
        value = counts[carrier]
        if not re.fullmatch(r"\d{1,4}", value):
            raise self.wrong(("handsets", carrier), f"got {value!r}", "Write how many, at most 9999.")
        return int(value)

    def share(self, key: str, default: float) -> float:
        value = self._scalar(key)
        return default if value is None else self._share((key,), value)

    def _share(self, below: tuple[str, ...], value: str) -> float:
        share = self._number(below, value)
        if share > 1:
            raise self.wrong(below, f"got {value!r}", "Write a share between 0 and 1.")
        return share

    def share_here(self) -> float:
        return self._share((), self._text_here())

    def sender_here(self) -> str:
        value = self._text_here()
        if not re.fullmatch(r"\d{3,20}", value):
            raise self.wrong((), f"got {value!r}", "Write a sender code of 3 to 20 digits.")
        return value

    def _text_here(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong((), f"got {self.value!r}", "Write one plain value.")
        return self.value

    def spread(self, key: str, default: Spread) -> Spread:
        part = self.part(key)
        return default if part.is_absent else part.spread_here()

    def spread_here(self) -> Spread:
        """A plain number is a fixed time; a mapping has median and sigma."""
        if isinstance(self.value, str):
            return Spread(median=self._number((), self.value))
        spread = Spread(median=self._number(("median",), self.text("median")), sigma=self.number("sigma", 0.0))
        self.end()
        return spread

    def by_carrier(self, key: str, read: Callable[[_Part], T], default: T) -> Mapping[Carrier, T]:
        """One value for all, or one per carrier. Broadnet rides on China Mobile's network, so it takes its value."""
        part = self.part(key)
        if part.is_absent:
            return dict.fromkeys(Carrier, default)
        if not isinstance(part.value, dict) or not set(part.value) & set(Carrier):
            return dict.fromkeys(Carrier, read(part))
        given = {carrier: read(part.part(carrier)) for carrier in Carrier if carrier in part.value}
        for carrier in (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM):
            if carrier not in given:
                raise part.wrong((), f"{carrier} is missing", "Give one value for all, or one for each carrier.")
        part._asked.update(given)
        part.end()
        return {carrier: given.get(carrier, given[Carrier.CHINA_MOBILE]) for carrier in Carrier}

    def choice(self, key: str, kind: type[E], default: E) -> E:
        value = self._scalar(key)
        if value is None:
            return default
        if value not in set(kind):
            raise self.wrong((key,), f"got {value!r}", f"Write one of {', '.join(kind)}.")
        return kind(value)

    def carrier(self, key: str) -> Carrier | None:
        value = self._scalar(key)
        return None if value is None else self.choice(key, Carrier, Carrier.CHINA_MOBILE)

    def yes(self, key: str, *, default: bool) -> bool:
        value = self._scalar(key)
        if value is None:
            return default
        if value not in ("yes", "no"):
            raise self.wrong((key,), f"got {value!r}", "Write yes or no.")
        return value == "yes"

    def money(self, key: str, default: str) -> Decimal:
        value = self.text(key, default)
        try:
            return Decimal(value)
        except InvalidOperation:
            raise self.wrong((key,), f"got {value!r}", "Write an amount in CNY, such as 0.045.") from None

    def day(self, key: str, default: date) -> date:
        value = self._scalar(key)
        try:
            return default if value is None else date.fromisoformat(value)
        except ValueError:
            raise self.wrong((key,), f"got {value!r}", "Write a day, such as 2026-01-05.") from None

    def moment(self, key: str) -> Moment:
        value = self.text(key)
        found = _MOMENT.fullmatch(value)
        if not found or int(found[2]) > 24 or int(found[3]) > 59 or int(found[1]) < 1:
            raise self.wrong((key,), f"got {value!r}", "Write a day from 1 and a Beijing time, such as day 2 14:00.")
        return Moment(day=int(found[1]), minute=int(found[2]) * 60 + int(found[3]))

    def minute(self, key: str) -> int:
        return self._minute((key,), self.text(key))

    def _minute(self, below: tuple[str, ...], value: str) -> int:
        found = re.fullmatch(r"(\d{2}):(\d{2})", value)
        if not found or int(found[1]) > 24 or int(found[2]) > 59:
            raise self.wrong(below, f"got {value!r}", "Write a Beijing time of day, such as 09:30.")
        return int(found[1]) * 60 + int(found[2])

    def band(self, key: str) -> tuple[int, int] | None:
        value = self._scalar(key)
        if value is None:
            return None
        found = _BAND.fullmatch(value)
        if not found:
            raise self.wrong((key,), f"got {value!r}", "Write Beijing hours, such as 09:00-20:00.")
        return self._minute((key,), found[1]), self._minute((key,), found[2])
