"""A session as the hall's link: the protocols' events become news in the hall's own words.

What the links of one account share stands in its `Desk`: how ids are spelt, what codes mean, and the parts of long
replies, which may come by several links. Nothing here does I/O or keeps time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from harness.capabilities import Account, Capability, Mapped, NotOffered, NotYetWritten
from harness.domain import InboundMessage, Message, StatusReport
from harness.errors import VendorTrouble
from harness.link import Answered, Doubted, HandedOver, LoginRefused, News, Odd, Opened, Over, Sent, State, Unsent
from harness.text import is_gsm7
from vendors.carrier import session
from vendors.carrier.pdus import Codec, Malformed, Pdu, SequenceId
from vendors.carrier.reports import CarrierReport, Spelling, meaning, spellings
from vendors.carrier.session import Event, Full, NotOpen, Phase, Received, Session, Timings
from vendors.carrier.short_text import Alphabet, InboundPart, Joined, Joiner, Part, split_text

MOST_KNOWN: Final = 50_000  # ids of ours that a desk remembers

_STATES: Final = {Phase.NEW: State.OPENING, Phase.OPENING: State.OPENING, Phase.OPEN: State.OPEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One short message to one number, on any of the account's links."""

    part: Part
    sender: str
    number: str = field(repr=False)


class Sender(Protocol):
    """A side that submits."""

    @property
    def codec(self) -> Codec: ...
    def submit(self, part: Part, *, sender: str, number: str) -> tuple[Pdu, Mapping[str, Any]]: ...


@dataclass(slots=True, kw_only=True)
class Desk:
    """What an account's links share."""

    now: Callable[[], datetime]
    key: Callable[[bytes], str]  # an id as text
    reasons: Mapping[str, Mapped]  # of answers
    report_reasons: Mapping[str, Mapped]
    final: frozenset[str]  # codes of a refused login that trying again will not mend
    key_of: Callable[[SequenceId], bytes] | None = None  # the id, where it is our own sequence
    stamp_of: Callable[[bytes], datetime | None] = lambda _: None  # when an id was made, where it tells
    spelt_otherwise: bool = False  # reports may write ids in another base than answers
    reply_id: Callable[[Any], bytes] = lambda _: b""  # a deliver's own id, from its fields
    joiner: Joiner[tuple[Session, Received]] = field(default_factory=Joiner)
    known: dict[bytes, None] = field(default_factory=dict)  # ids we were given, the oldest first

    def knows(self, message_id: bytes) -> bool:
        """Whether an id is one of ours, in whatever spelling."""
        return any(form.lower().lstrip(b"0") in self.known for form in spellings(message_id).values())

    def learn(self, message_id: bytes) -> None:
        self.known[message_id.lower().lstrip(b"0")] = None
        if len(self.known) > MOST_KNOWN:
            del self.known[next(iter(self.known))]

    def report(self, report: CarrierReport) -> StatusReport:
        """A claim in our words; the codes stay as they came."""
        told = meaning(report, self.report_reasons)
        also: tuple[str, ...] = ()
        if self.spelt_otherwise:
            forms = spellings(report.message_id)
            others = [forms[rule] for rule in (Spelling.TO_HEX, Spelling.TO_DECIMAL) if rule in forms]
            also = tuple(dict.fromkeys(self.key(form) for form in (report.message_id.lower(), *others)))
        return StatusReport(
            vendor_message_id=self.key(report.message_id),
            state=told.state,
            reason=told.reason,
            code=report.code,
            claimed_at=report.done_at,
            number=report.number or None,
            segment=report.part or 1,
            also=also,
            submitted_at=report.submitted_at or self.stamp_of(report.message_id),
        )

    def joined(self, whole: Joined[tuple[Session, Received]]) -> HandedOver:
        """A reply, with the acknowledgement of all its parts."""
        tokens = whole.tokens
        first = tokens[0][1]
        told = self.reply_id(first.packet.values)
        digest = hashlib.sha256(f"{whole.number} {whole.text}".encode()).hexdigest()[:16]

        def acknowledge() -> None:
            for one, event in tokens:
                one.acknowledge(event)

        return HandedOver(
            acknowledge=acknowledge,
            frame=b"".join(event.frame for _, event in tokens),
            inbound=InboundMessage(
                number=whole.number,
                to=whole.to,
                text=whole.text,
                # SMPP gives a reply no id: the same words from the same phone within an hour are one reply, told twice.
                vendor_message_id=told.hex() if told else f"{self.now():%Y%m%d%H}-{digest}",
            ),
            why=f"{whole.missing} parts never came" if whole.missing else "",
        )

    def detail(self, code: str) -> str:
        line = self.reasons.get(code)
        return line.note if line else ""


class SessionLink:
    """A `harness.link.Link` over a session."""

    def __init__(self, side: Any, timings: Timings, desk: Desk) -> None:
        self.side, self._desk = side, desk
        self._session = Session(side, timings)

    @property
    def state(self) -> State:
        return _STATES.get(self._session.phase, State.OVER)

    @property
    def in_flight(self) -> int:
        return self._session.in_flight + self._session.waiting

    @property
    def is_full(self) -> bool:
        return self._session.is_half_full

    def begin(self, now: float) -> None:
        self._session.begin(now)

    def feed(self, data: bytes, now: float) -> Sequence[News]:
        return list(self._news(self._session.feed(data, now), now))

    def tick(self, now: float) -> Sequence[News]:
        late = [self._desk.joined(whole) for whole in self._desk.joiner.tick(now)]
        return [*self._news(self._session.tick(now), now), *late]

    def lost(self, why: str) -> Sequence[News]:
        return list(self._news(self._session.lost(why), 0.0))

    def leave(self, now: float) -> Sequence[News]:
        return list(self._news(self._session.leave(now), now))

    def next_timer(self) -> float | None:
        due = [at for at in (self._session.next_timer(), self._desk.joiner.next_timer()) if at is not None]
        return min(due, default=None)

    def bytes_to_send(self) -> bytes:
        return self._session.bytes_to_send()

    def submit(self, ticket: Any, part: Outgoing, now: float) -> Sent:
        """Send one part. Raises ValueError if it cannot be written, or if the link takes none now."""
        side: Sender = self.side
        try:
            pdu, values = side.submit(part.part, sender=part.sender, number=part.number)
            sequence = self._session.request(ticket, pdu, values, now)
            frame = side.codec.encode(pdu, sequence, values)
        except (Malformed, Full, NotOpen) as error:
            raise ValueError(str(error)) from error
        own = self._desk.key_of
        return Sent(frame, self._desk.key(own(sequence)) if own else "")

    def _news(self, events: Sequence[Event], now: float) -> Iterator[News]:
        for event in events:
            match event:
                case session.Answered():
                    yield self._answered(event)
                case Received():
                    yield from self._received(event, now)
                case session.LoggedIn(dialect=dialect, version=version):
                    yield Opened(detail=f"{dialect}{f', version 0x{version:02x}' if version is not None else ''}")
                case session.LoginRefused(code=code, why=why):
                    yield LoginRefused(code=code, why=why, is_final=code in self._desk.final)
                case session.Doubted(ticket=ticket, why=why):
                    yield Doubted(ticket=ticket, why=why)
                case session.Unsent(ticket=ticket, why=why):
                    yield Unsent(ticket=ticket, why=why)
                case session.Garbled(why=why, frame=frame):
                    yield Odd(why=why, frame=frame)
                case session.Strayed(packet=packet):
                    yield Odd(why=f"{packet.pdu.name} to nothing that was asked", frame=b"")
                case session.Ended(why=why, is_clean=is_clean):
                    yield Over(why=why, is_clean=is_clean)

    def _answered(self, event: session.Answered) -> Answered:
        taken = event.reason is None
        if taken and event.message_id and self._desk.spelt_otherwise:
            self._desk.learn(event.message_id)
        return Answered(
            ticket=event.ticket,
            code=event.code,
            message_id=self._desk.key(event.message_id) if taken and event.message_id else "",
            reason=event.reason,
            detail="" if taken else self._desk.detail(event.code),
            wait=event.wait,
            is_late=event.late,
            frame=event.frame,
        )

    def _received(self, event: Received, now: float) -> Iterator[HandedOver]:
        content = event.content
        match content:
            case CarrierReport():
                yield HandedOver(
                    acknowledge=lambda: self._session.acknowledge(event),
                    frame=event.frame,
                    report=self._desk.report(content),
                )
            case InboundPart():
                yield from map(self._desk.joined, self._desk.joiner.add(content, (self._session, event), now))
            case _:
                why = event.why or f"{event.packet.pdu.name} says nothing that we know of"
                acknowledge = lambda: self._session.acknowledge(event)  # noqa: E731
                yield HandedOver(acknowledge=acknowledge, frame=event.frame, why=why)


def checked(link: SessionLink) -> None:
    """Raises ValueError, without the value, if account or secret do not fit the protocol's login."""
    side = link.side
    pdu, values = side.login()
    try:
        side.codec.encode(pdu, side.numbers.next(()), values)
    except Malformed as error:
        raise ValueError(f"{error.place} {error.problem}") from None


# --- what adapters make of an account --------------------------------------------------------------------------------


def address(account: Account, port: int) -> tuple[str, int]:
    """Host and port of the account's gateway: options `host` and `port`, else the endpoint's.

    Raises ValueError if neither names a host, or the port is none.
    """
    named = urlsplit(account.endpoint or "")
    host = account.options.get("host") or named.hostname or ""
    if not host:
        raise ValueError("options.host is missing: the gateway's address, as you were given it")
    written = account.options.get("port") or str(named.port or port)
    return host, whole(written, "port", most=65535)


def whole(text: str, name: str, *, most: int = 1_000_000) -> int:
    """A whole number from 1 among the options. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise ValueError(f"options.{name} is {text!r}: write a whole number from 1 to {most}")
    return int(text)


def chosen(account: Account, name: str, choices: Mapping[str, Any]) -> Any:
    """What one of a few words stands for. Raises ValueError."""
    word = account.options[name]
    if word not in choices:
        raise ValueError(f"options.{name} is {word!r}: write one of {', '.join(choices)}")
    return choices[word]


def timings_of(account: Account, usual: Timings) -> Timings:
    """The account's window and patience; all else as the protocol recommends. Raises ValueError."""
    options = account.options
    keep_alive = usual.keep_alive
    if keep_alive is not None and "keep_alive_seconds" in options:
        keep_alive = float(whole(options["keep_alive_seconds"], "keep_alive_seconds"))
    return Timings(
        window=whole(options["window"], "window", most=10_000),
        answer=float(whole(options["answer_seconds"], "answer_seconds")),
        keep_alive=keep_alive,
        tries=usual.tries,
        login=usual.login,
        leave=usual.leave,
        idle_leave=usual.idle_leave,
        back_off=usual.back_off,
    )


def outgoing(message: Message, *, sender: str, number: str, plain: Alphabet) -> list[Outgoing]:
    """The short messages of a text: in the plain alphabet if that holds it, else in UCS-2. Raises VendorTrouble."""
    fits = is_gsm7(message.text) if plain is Alphabet.GSM7 else message.text.isascii()
    reference = int(hashlib.sha256(message.reference.encode()).hexdigest()[:2], 16)
    try:
        parts = split_text(message.text, plain if fits else Alphabet.UCS2, reference=reference)
    except ValueError as error:
        raise VendorTrouble(f"the text cannot be written: {error}", written=False, code="text") from error
    return [Outgoing(part=part, sender=sender, number=number) for part in parts]


_NOT_OVER_LINKS: Final = NotOffered("the protocol knows submits, reports and replies, and nothing else")
ABSENT: Final[Mapping[Capability, NotOffered | NotYetWritten]] = {
    **{capability: _NOT_OVER_LINKS for capability in Capability if capability is not Capability.SUBMITS},
    Capability.SUBMITS_IN_BULK: NotYetWritten("one submit may name up to 100 numbers; one a message tells more"),
    Capability.READS_PUSHES: NotOffered("reports and replies come over the link itself, not by HTTP"),
}
"""Why a gateway offers nothing beside submitting."""
