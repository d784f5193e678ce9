"""A link to a gateway as a state machine without I/O: bytes in, events out; time is handed in.

Serves both sides of all four protocols; what differs stands in each protocol's `Client` and `Gateway`. It promises:
nothing is sent twice; a submit whose answer never came ends as `Doubted`, one that never left as `Unsent`; nothing the
peer hands over is acknowledged before `acknowledge` is called; memory is bounded whatever the peer does.

Whoever carries it calls `begin` once connected, `feed` for what was read, `tick` at `next_timer`, `lost` when the
connection broke, writes `bytes_to_send` after each of these, reads no more while `is_half_full`, and closes on `Ended`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from harness.domain import Reason
from vendors.carrier.pdus import RESPONSE, Codec, Framer, Header, Malformed, Packet, Pdu, SequenceId, UnknownCommand
from vendors.carrier.reports import CarrierReport
from vendors.carrier.short_text import Alphabet, InboundPart, Piece

Ticket = Any
"""Whatever the caller knows a request by."""

MOST_WAITING: Final = 10_000  # submits that wait for room in the window
MOST_OWED: Final = (
    4_000  # one reading of 256 KiB may bring 1,500 reports at once; of the peer's requests, not yet acknowledged
)
MOST_REMEMBERED: Final = 4_096  # requests in doubt whose late answer would still be understood
LONGEST_WAIT: Final = 32.0  # seconds of back-off


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds, and how often. The standards call them recommendations; every one may be set."""

    window: int = 16  # unanswered requests of ours
    answer: float = 60.0  # patience for an answer
    keep_alive: float | None = None  # silence after which the link is tested
    tries: int = 3  # tests without an answer before the link is given up
    login: float = 10.0
    leave: float = 10.0
    idle_leave: float | None = None  # leave when there was nothing to do for so long
    back_off: float = 1.0  # first pause after "too fast"; doubled up to 32 s while it goes on


# --- events ----------------------------------------------------------------------------------------------------------


class Answered(NamedTuple):
    """A request of ours was answered. `reason` None: taken. `wait`: seconds to hold back, after "too fast".

    `late`: it had been given up as in doubt before.
    """

    ticket: Ticket
    code: str
    message_id: bytes | None
    reason: Reason | None
    wait: float | None
    late: bool
    sequence: SequenceId
    frame: bytes = b""


class Received(NamedTuple):
    """The peer handed something over: acknowledge it once it is kept. `content` None: `why` tells what is wrong."""

    packet: Packet
    content: CarrierReport | InboundPart | Submission | None
    serial: int
    why: str = ""
    frame: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    version: int | None = None
    dialect: str = ""
    account: str = ""  # told on the gateway's side


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused:
    code: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """It went out, and no answer tells: it may have been carried out, so it is never sent again."""

    ticket: Ticket
    why: str
    sequence: SequenceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """It still waited for room in the window: surely not sent."""

    ticket: Ticket
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled:
    """A whole packet that could not be read, or was out of place; the link goes on."""

    why: str
    frame: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Strayed:
    """A response to nothing that we asked, or to something answered before."""

    packet: Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The link is over; `is_clean`: one side said goodbye. The last event of a session."""

    why: str
    is_clean: bool


Event = LoggedIn | LoginRefused | Answered | Doubted | Unsent | Received | Garbled | Strayed | Ended


# --- what a protocol tells -------------------------------------------------------------------------------------------


class Trouble(StrEnum):
    """Why a request of the peer is not carried out."""

    BUSY = "busy"
    MALFORMED = "malformed"
    UNKNOWN_COMMAND = "unknown_command"
    BAD_LENGTH = "bad_length"
    BEFORE_LOGIN = "before_login"
    OUT_OF_PLACE = "out_of_place"


class Reply(NamedTuple):
    """A response's fields, and SMPP's status."""

    values: Mapping[str, Any]
    status: int = 0


class Verdict(NamedTuple):
    """What a response says. `reason` None: yes."""

    code: str
    message_id: bytes | None
    reason: Reason | None


class Admission(NamedTuple):
    """What a gateway answers to a login. `reply` None: it just closes."""

    reply: Reply | None
    outcome: LoggedIn | LoginRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submit as a gateway reads it."""

    numbers: tuple[str, ...]
    sender: str
    text: str
    piece: Piece | None
    body: bytes  # without its header
    alphabet: Alphabet
    wants_report: bool


class Numbering(Protocol):
    def next(self, taken: Collection[SequenceId]) -> SequenceId:
        """A sequence number that nobody waits on."""


class Side(Protocol):
    """One side of a protocol: what a session asks of it."""

    @property
    def codec(self) -> Codec: ...
    @property
    def numbers(self) -> Numbering: ...
    @property
    def may_send(self) -> bool:
        """Whether this login may submit (or deliver, from the gateway)."""

    @property
    def may_receive(self) -> bool: ...
    @property
    def keep_alive(self) -> Pdu | None: ...
    @property
    def leave(self) -> Pdu: ...
    @property
    def payload(self) -> frozenset[int]:
        """Commands of the peer's requests that become `Received`."""

    def verdict(self, packet: Packet) -> Verdict: ...
    def content(self, packet: Packet) -> CarrierReport | InboundPart | Submission | None:
        """Raises Malformed."""

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply: ...
    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        """The packet to answer with; empty: nothing, carry on; None: the protocol knows no answer, so part."""


@runtime_checkable
class Greeter(Protocol):
    """The side that logs in."""

    def login(self) -> tuple[Pdu, Mapping[str, Any]]: ...
    def welcome(self, packet: Packet) -> LoggedIn | LoginRefused: ...


@runtime_checkable
class Host(Protocol):
    """The side that lets in."""

    def admit(self, packet: Packet) -> Admission: ...


class Numbers:
    """Sequence numbers first … last, going up by one and round. One for each account: links share it."""

    __slots__ = ("_first", "_last", "_next")

    def __init__(self, *, start: int, first: int = 1, last: int = 0x7FFFFFFF) -> None:
        self._first, self._last = first, last
        self._next = first + start % (last - first + 1)

    def next(self, taken: Collection[SequenceId]) -> int:
        """The next number that nobody waits on."""
        while True:
            number = self._next
            self._next = number + 1 if number < self._last else self._first
            if number not in taken:
                return number


def start_at(at: datetime) -> int:
    """Where to start counting so that a run begun later reuses none of the numbers that an earlier one has in flight.

    A thousand numbers a second: a run that asked less often than that has not come so far. Round after 24 days.
    """
    return int(at.timestamp() * 1000)


# --- the machine -----------------------------------------------------------------------------------------------------


class Full(Exception):
    """Too many requests wait already."""


class NotOpen(Exception):
    """Nobody is logged in, or not any more."""


class Phase(StrEnum):
    NEW = "new"
    OPENING = "opening"
    OPEN = "open"
    LEAVING = "leaving"
    ENDED = "ended"


class _Control(StrEnum):
    LOGIN = "login"
    TEST = "test"
    LEAVE = "leave"


@dataclass(slots=True)
class _Asked:
    """A request of the session's own: login, test, leave."""

    what: _Control
    command: int
    deadline: float
    frame: bytes
    tries: int = 1


class Session:
    """One connection. `now` is seconds on any line that never runs back. Not for threads."""

    def __init__(self, side: Side, timings: Timings) -> None:
        self._side, self._timings = side, timings
        self._greeter = side if isinstance(side, Greeter) else None
        self._host = side if isinstance(side, Host) else None
        self._framer = Framer(side.codec)
        self._out: list[bytes] = []
        self._asked: dict[SequenceId, tuple[Ticket, float, int]] = {}  # in the order of their deadlines
        self._waiting: deque[tuple[Ticket, SequenceId, int, bytes]] = deque()
        self._queued: set[SequenceId] = set()
        self._doubted: dict[SequenceId, tuple[Ticket, int]] = {}
        self._control: dict[SequenceId, _Asked] = {}
        self._owed: dict[int, Packet] = {}
        self._serial = 0
        self._throttles = 0
        self._heard = self._busy = 0.0
        self._login_by: float | None = None
        self.phase = Phase.NEW

    # what the caller sees

    @property
    def is_full(self) -> bool:
        """Too much is unacknowledged: read no more for now; what comes all the same is turned away as "busy"."""
        return len(self._owed) >= MOST_OWED

    @property
    def is_half_full(self) -> bool:
        """Time to stop reading: what has been read already still finds room."""
        return 2 * len(self._owed) >= MOST_OWED

    @property
    def in_flight(self) -> int:
        """Requests without an answer."""
        return len(self._asked)

    @property
    def waiting(self) -> int:
        """Requests that wait for room in the window."""
        return len(self._waiting)

    @property
    def owed(self) -> int:
        """The peer's requests that are not acknowledged."""
        return len(self._owed)

    def bytes_to_send(self) -> bytes:
        """What is to be written now; each byte is given once."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    # what the caller does

    def begin(self, now: float) -> None:
        """The connection stands: log in, or wait for a login."""
        self._heard = self._busy = now
        self.phase = Phase.OPENING
        if self._greeter is None:
            self._login_by = now + self._timings.login
            return
        pdu, values = self._greeter.login()
        self._ask(_Control.LOGIN, pdu, values, now + self._timings.login)

    def request(self, ticket: Ticket, pdu: Pdu, values: Mapping[str, Any], now: float) -> SequenceId:
        """Send a request, or let it wait for room in the window. Gives its sequence number, for the ledger.

        Raises:
            Malformed: the values cannot be written.
            NotOpen: not logged in, logged in for receiving only, or leaving.
            Full: too many wait.
        """
        if self.phase is not Phase.OPEN or not self._side.may_send:
            raise NotOpen(f"the link is {self.phase}" if self._side.may_send else "the link only receives")
        if len(self._waiting) >= MOST_WAITING:
            raise Full(f"{MOST_WAITING} requests wait already")
        sequence = self._next_sequence()
        frame = self._side.codec.encode(pdu, sequence, values)
        if self._waiting or len(self._asked) >= self._timings.window:
            self._waiting.append((ticket, sequence, pdu.command, frame))
            self._queued.add(sequence)
        else:
            self._asked[sequence] = (ticket, now + self._timings.answer, pdu.command)
            self._out.append(frame)
            self._busy = now
        return sequence

    def acknowledge(self, event: Received, *, code: int = 0, message_id: bytes | None = None) -> bool:
        """Answer what the peer handed over. False: it was answered before, or the link is over."""
        packet = self._owed.pop(event.serial, None)
        if packet is None or self.phase is Phase.ENDED:
            return False
        reply, codec = self._side.reply(packet, code, message_id), self._side.codec
        pdu = codec.response_to(packet.pdu)
        self._out.append(codec.encode(pdu, packet.sequence, reply.values, status=reply.status))
        return True

    def leave(self, now: float) -> list[Event]:
        """Send nothing more, wait for the answers that are due, say goodbye. What waited is given back."""
        events: list[Event] = []
        if self.phase in (Phase.NEW, Phase.OPENING):
            self._end("left before login", events, is_clean=True)
        elif self.phase is Phase.OPEN:
            self.phase = Phase.LEAVING
            self._give_back("leaving", events)
            self._go_on(now)
        return events

    def lost(self, why: str) -> list[Event]:
        """The connection broke."""
        events: list[Event] = []
        self._end(why, events, is_clean=False)
        return events

    def feed(self, data: bytes, now: float) -> list[Event]:
        """What the bytes mean."""
        events: list[Event] = []
        for frame in self._framer.feed(data):
            if self.phase is Phase.ENDED:
                return events
            self._heard = now
            self._take(frame, now, events)
        broken = self._framer.broken
        if broken is not None and self.phase is not Phase.ENDED:
            self._out.append(self._side.trouble(Header(0, 0), Trouble.BAD_LENGTH) or b"")
            self._end(str(broken), events, is_clean=False)
        if self._waiting or self.phase is Phase.LEAVING:
            self._go_on(now)
        return events

    def next_timer(self) -> float | None:
        """When `tick` is to be called next, if nothing comes before."""
        if self.phase in (Phase.NEW, Phase.ENDED):
            return None
        due = [asked.deadline for asked in self._control.values()]
        if self._asked:
            due.append(next(iter(self._asked.values()))[1])
        if self._login_by is not None:
            due.append(self._login_by)
        if self.phase is Phase.OPEN:
            if self._timings.keep_alive is not None and self._side.keep_alive and not self._control:
                due.append(self._heard + self._timings.keep_alive)
            if self._timings.idle_leave is not None and self._is_idle():
                due.append(max(self._heard, self._busy) + self._timings.idle_leave)
        return min(due, default=None)

    def tick(self, now: float) -> list[Event]:
        """What the passing of time brings."""
        events: list[Event] = []
        if self.phase in (Phase.NEW, Phase.ENDED):
            return events
        while self._asked:
            sequence, (ticket, deadline, command) = next(iter(self._asked.items()))
            if deadline > now:
                break
            del self._asked[sequence]
            self._doubt(sequence, ticket, command, f"no answer within {self._timings.answer:g} s", events)
        for sequence, asked in list(self._control.items()):
            if asked.deadline <= now:
                self._overdue(sequence, asked, now, events)
        if self._login_by is not None and now >= self._login_by:
            self._end("nobody logged in", events, is_clean=False)
        if self.phase is Phase.OPEN:
            self._look_after(now, events)
        self._go_on(now)
        return events

    # what the peer sends

    def _take(self, frame: bytes, now: float, events: list[Event]) -> None:
        try:
            packet = self._side.codec.decode(frame)
        except Malformed as error:
            self._take_unreadable(frame, error, events)
            return
        if packet.pdu.command >= RESPONSE:
            self._take_response(packet, frame, events)
        else:
            self._take_request(packet, frame, now, events)

    def _take_response(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        sequence, command = packet.sequence, packet.pdu.command
        asked = self._asked.get(sequence)
        if asked is not None and command in (asked[2] | RESPONSE, RESPONSE):
            del self._asked[sequence]
            self._answer(packet, frame, asked[0], events, late=False)
            return
        control = self._control.get(sequence)
        if control is not None and command in (control.command | RESPONSE, RESPONSE):
            del self._control[sequence]
            self._settle(control, packet, events)
            return
        doubted = self._doubted.get(sequence)
        if doubted is not None and command in (doubted[1] | RESPONSE, RESPONSE):
            del self._doubted[sequence]
            self._answer(packet, frame, doubted[0], events, late=True)
            return
        events.append(Strayed(packet=packet))

    def _answer(self, packet: Packet, frame: bytes, ticket: Ticket, events: list[Event], *, late: bool) -> None:
        code, message_id, reason = self._side.verdict(packet)
        wait = None
        if reason is None:
            self._throttles = 0
        elif reason is Reason.THROTTLED:
            wait = min(LONGEST_WAIT, self._timings.back_off * 2**self._throttles)
            self._throttles = min(self._throttles + 1, 10)
        events.append(Answered(ticket, code, message_id, reason, wait, late, packet.sequence, frame))

    def _settle(self, control: _Asked, packet: Packet, events: list[Event]) -> None:
        """An answer to the session's own request."""
        if control.what is _Control.LEAVE:
            self._end("left", events, is_clean=True)
        elif control.what is _Control.LOGIN and self._greeter is not None:
            if packet.pdu.command == RESPONSE:
                outcome: LoggedIn | LoginRefused = LoginRefused(code=str(packet.status), why=packet.pdu.name)
            else:
                outcome = self._greeter.welcome(packet)
            self._enter(outcome, events)

    def _enter(self, outcome: LoggedIn | LoginRefused, events: list[Event]) -> None:
        events.append(outcome)
        self._login_by = None
        if isinstance(outcome, LoggedIn):
            self.phase = Phase.OPEN
        else:
            self._end(f"login refused: {outcome.code} {outcome.why}", events, is_clean=False)

    def _take_request(self, packet: Packet, frame: bytes, now: float, events: list[Event]) -> None:
        side, pdu = self._side, packet.pdu
        if side.keep_alive is not None and pdu.command == side.keep_alive.command:
            self._respond(packet, {})
        elif pdu.command == side.leave.command:
            self._respond(packet, {})
            self._end("the peer left", events, is_clean=True)
        elif self.phase is Phase.OPENING:
            if self._host is not None:
                self._let_in(self._host, packet, frame, events)
            else:
                self._turn_away(frame, Trouble.BEFORE_LOGIN, f"{pdu.name} before login", events)
        elif pdu.command not in side.payload or not side.may_receive:
            self._turn_away(frame, Trouble.OUT_OF_PLACE, f"{pdu.name} is out of place", events)
        elif self.is_full:
            self._turn_away(frame, Trouble.BUSY, f"{MOST_OWED} requests wait to be acknowledged", events)
        else:
            self._serial += 1
            self._busy = now
            self._owed[self._serial] = packet
            try:
                events.append(Received(packet, side.content(packet), self._serial, "", frame))
            except Malformed as error:
                events.append(Received(packet, None, self._serial, str(error), frame))

    def _let_in(self, host: Host, packet: Packet, frame: bytes, events: list[Event]) -> None:
        admission = host.admit(packet)
        if admission.reply is None:
            self._turn_away(frame, Trouble.BEFORE_LOGIN, f"{packet.pdu.name} before login", events)
            return
        self._respond(packet, admission.reply.values, admission.reply.status)
        self._enter(admission.outcome, events)

    def _take_unreadable(self, frame: bytes, error: Malformed, events: list[Event]) -> None:
        header = self._side.codec.header(frame)
        if header.command < RESPONSE:
            trouble = Trouble.UNKNOWN_COMMAND if isinstance(error, UnknownCommand) else Trouble.MALFORMED
            if self.phase is Phase.OPENING and trouble is Trouble.MALFORMED:
                trouble = Trouble.BEFORE_LOGIN
            self._turn_away(frame, trouble, str(error), events)
            return
        events.append(Garbled(why=str(error), frame=frame))
        asked = self._asked.get(header.sequence)
        if asked is not None and header.command == asked[2] | RESPONSE:
            del self._asked[header.sequence]
            self._doubt(header.sequence, asked[0], asked[2], f"the answer cannot be read: {error}", events)
        control = self._control.get(header.sequence)
        if control is not None and header.command == control.command | RESPONSE:
            del self._control[header.sequence]
            if control.what is not _Control.TEST:  # a test is answered by whatever comes back
                self._end(f"the answer cannot be read: {error}", events, is_clean=False)

    def _turn_away(self, frame: bytes, trouble: Trouble, why: str, events: list[Event]) -> None:
        answer = self._side.trouble(self._side.codec.header(frame), trouble)
        if answer is None:
            self._end(why, events, is_clean=False)
            return
        self._out.append(answer)
        events.append(Garbled(why=why, frame=frame))

    # what the session does of itself

    def _respond(self, packet: Packet, values: Mapping[str, Any], status: int = 0) -> None:
        codec = self._side.codec
        self._out.append(codec.encode(codec.response_to(packet.pdu), packet.sequence, values, status=status))

    def _next_sequence(self) -> SequenceId:
        """A number under which nothing of ours is open: matters once the numbers have gone round."""
        while True:
            sequence: SequenceId = self._side.numbers.next(self._asked)
            if sequence not in self._control and sequence not in self._queued:
                return sequence

    def _ask(self, what: _Control, pdu: Pdu, values: Mapping[str, Any], deadline: float) -> None:
        sequence = self._next_sequence()
        frame = self._side.codec.encode(pdu, sequence, values)
        self._control[sequence] = _Asked(what, pdu.command, deadline, frame)
        self._out.append(frame)

    def _go_on(self, now: float) -> None:
        """Fill the window; or say goodbye once nothing is in flight any more."""
        if self.phase is Phase.OPEN:
            while self._waiting and len(self._asked) < self._timings.window:
                ticket, sequence, command, frame = self._waiting.popleft()
                self._queued.discard(sequence)
                self._asked[sequence] = (ticket, now + self._timings.answer, command)
                self._out.append(frame)
                self._busy = now
        elif self.phase is Phase.LEAVING and not self._asked:
            is_said = any(asked.what is _Control.LEAVE for asked in self._control.values())
            if not is_said:
                self._ask(_Control.LEAVE, self._side.leave, {}, now + self._timings.leave)

    def _overdue(self, sequence: SequenceId, asked: _Asked, now: float, events: list[Event]) -> None:
        if asked.what is _Control.TEST and asked.tries < self._timings.tries:
            asked.tries += 1
            asked.deadline = now + self._timings.answer
            self._out.append(asked.frame)  # a repeat has the same sequence number
            return
        del self._control[sequence]
        if asked.what is _Control.TEST:
            self._end(f"{asked.tries} tests of the link went unanswered", events, is_clean=False)
        else:
            self._end(f"no answer to {asked.what}", events, is_clean=False)

    def _look_after(self, now: float, events: list[Event]) -> None:
        timings, test = self._timings, self._side.keep_alive
        if timings.idle_leave is not None and self._is_idle() and now >= self._since() + timings.idle_leave:
            events += self.leave(now)
        elif timings.keep_alive is None or test is None or self._control:
            return
        elif now >= self._heard + timings.keep_alive:
            self._ask(_Control.TEST, test, {}, now + timings.answer)

    def _since(self) -> float:
        return max(self._heard, self._busy)

    def _is_idle(self) -> bool:
        return not (self._asked or self._waiting or self._owed or self._control)

    def _doubt(self, sequence: SequenceId, ticket: Ticket, command: int, why: str, events: list[Event]) -> None:
        self._doubted[sequence] = (ticket, command)
        if len(self._doubted) > MOST_REMEMBERED:
            del self._doubted[next(iter(self._doubted))]
        events.append(Doubted(ticket=ticket, why=why, sequence=sequence))

    def _give_back(self, why: str, events: list[Event]) -> None:
        events.extend(Unsent(ticket=ticket, why=why) for ticket, *_ in self._waiting)
        self._waiting.clear()
        self._queued.clear()

    def _end(self, why: str, events: list[Event], *, is_clean: bool) -> None:
        if self.phase is Phase.ENDED:
            return
        self.phase = Phase.ENDED
        events.extend(
            Doubted(ticket=ticket, why=why, sequence=sequence) for sequence, (ticket, *_) in self._asked.items()
        )
        self._give_back(why, events)
        self._asked.clear()
        self._control.clear()
        self._owed.clear()
        self._doubted.clear()
        self._login_by = None
        events.append(Ended(why=why, is_clean=is_clean))
