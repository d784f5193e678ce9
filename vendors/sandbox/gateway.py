"""A carrier's gateway in the sandbox: sessions with customers on one side, an account's truth on the other.

Whatever the protocol: logs in, takes submits, joins parts, hands reports and replies over until they are acknowledged,
and does wrong what the account's options tell it to (see `Wrongs`). `Switchboard` joins both sides without sockets.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

import httpx

from harness.domain import Purpose, Reason
from vendors.carrier.pdus import Pdu
from vendors.carrier.session import (
    Answered,
    Doubted,
    Ended,
    Event,
    Full,
    LoggedIn,
    NotOpen,
    Phase,
    Received,
    Session,
    Submission,
    Timings,
    Unsent,
)
from vendors.carrier.short_text import Alphabet, Part, decode_text, split_text
from vendors.sandbox import door as doors
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Taken
from vendors.sandbox.world import Call, Fault, World

HAND_OVER_SECONDS: Final = 20.0  # how long a report waits for a link and its acknowledgement, in one try
RETRY: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 5, 10, 10, 30, 30, 60, 300, 300, 1800, 1800, 7200))
MOST_UNFINISHED: Final = 1000  # long messages of which parts are missing
CUT: Final = 9  # bytes of a packet that still leave when the connection is cut in its middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrongs:
    """What a gateway does wrong, by the account's options. `every` n: with each n-th packet that it would write."""

    cut_every: int = 0  # cuts the connection in the middle of the packet
    garbage_every: int = 0  # writes a packet of nonsense first
    misnumber_every: int = 0  # answers a submit under another sequence number
    throttle_every: int = 0  # refuses a submit as "too fast"
    refuses_login: bool = False
    is_mute: bool = False  # answers no test of the link
    reports_first: bool = False  # hands a report over before it answers the submit
    repeats: bool = False  # hands every report over twice
    report_ids: str = "as_is"  # decimal | padded | upper: how reports write the id

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Wrongs:
        """Those that an account's options switch on."""
        told: dict[str, Any] = {name: int(options[name]) for name in _EVERY if name in options}
        told |= {name: options[name] == "yes" for name in _WHETHER if name in options}
        return cls(**told, report_ids=options.get("report_ids", "as_is"))


_EVERY: Final = ("cut_every", "garbage_every", "misnumber_every", "throttle_every")
_WHETHER: Final = ("refuses_login", "is_mute", "reports_first", "repeats")


class Wire(Protocol):
    """What differs from protocol to protocol."""

    def host(self) -> tuple[Any, Timings]:
        """The side that lets customers in, new for each connection."""

    def caller(self) -> tuple[Any, Timings] | None:
        """The side that dials customers with reports; None: these go by the customer's own link."""

    def mint(self, at: datetime, submit: Received | None) -> bytes:
        """The id of a submit, or of something of the gateway's own."""

    def spelt(self, message_id: bytes) -> str:
        """An id as the customer knows it, in text."""

    def report(
        self, side: Any, claim: Claim, message_id: bytes, submission: Submission, done_at: datetime
    ) -> tuple[Pdu, Mapping[str, Any]]: ...
    def inbound(self, side: Any, part: Part, reply: Reply, message_id: bytes) -> tuple[Pdu, Mapping[str, Any]]: ...
    def code(self, reason: Reason | None) -> int:
        """What a submit is answered when it is turned down; None: for a fault of the gateway's own."""

    @property
    def garbage(self) -> bytes:
        """A whole packet that nobody can read."""

    @property
    def ids_are_text(self) -> bool:
        """Whether ids can be written in another base at all."""


@dataclass(slots=True)
class _Long:
    """A long message of which parts are here."""

    parts: dict[int, tuple[Submission, bytes]]
    total: int


@dataclass(slots=True)
class _Handed:
    """Something that waits for the customer's acknowledgement."""

    what: Any
    done: asyncio.Future[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartClaim:
    """A report on one part."""

    claim: Claim
    message_id: bytes
    submission: Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReply:
    """One part of a reply."""

    reply: Reply
    part: Part
    message_id: bytes


class Counterpart:
    """The gateway's books: what was taken, and which parts it came in. One an account; protocols give it their wire."""

    push_batch = 1
    push_retry = RETRY
    is_gateway = True

    def __init__(self, door: Door, wire: Callable[[Door], Wire]) -> None:
        self.door, self.wire = door, wire(door)
        self.wrongs = Wrongs.of(door.options)
        memory = door.memory
        self._taken: dict[str, list[tuple[bytes, Submission]]] = memory.setdefault("taken", {})  # by the world's key
        self._long: dict[Any, _Long] = memory.setdefault("long", {})

    def gateway(self, world: World, label: str) -> Gateway:
        """The gateway that plays these books."""
        return Gateway(world, label, self)

    def answer(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text="a gateway speaks no HTTP")

    def submit(self, submission: Submission, message_id: bytes) -> Reason | None:
        """Take one part; the last one of a message hands it to the world. Gives the reason of a refusal."""
        number = "+" + submission.numbers[0].removeprefix("+")
        number = number if number.startswith("+86") else f"+86{number[1:]}"
        if submission.piece is None or submission.piece.total == 1:
            return self._take(number, submission.text, [(message_id, submission)])
        piece = submission.piece
        key = (number, submission.sender, piece.reference, piece.total)
        while len(self._long) >= MOST_UNFINISHED:
            del self._long[next(iter(self._long))]
        long = self._long.setdefault(key, _Long({}, piece.total))
        long.parts[piece.number] = (submission, message_id)
        if len(long.parts) < long.total:
            return None
        del self._long[key]
        whole = [long.parts[number] for number in sorted(long.parts)]
        alphabet = whole[0][0].alphabet
        if alphabet in (Alphabet.UCS2, Alphabet.GB):
            text = decode_text(b"".join(part.body for part, _ in whole), alphabet)
        else:
            text = "".join(part.text for part, _ in whole)
        return self._take(number, text, [(message_id, part) for part, message_id in whole])

    def _take(self, number: str, text: str, parts: list[tuple[bytes, Submission]]) -> Reason | None:
        key = self.wire.spelt(parts[0][0])
        self._taken[key] = parts  # before the world has it: a report may be due at once
        taken = self.door.submit(doors.Submission(number=number, text=text, purpose=_purpose(self.door, text), key=key))
        if isinstance(taken, Taken):
            return None
        del self._taken[key]
        return taken.reason

    # what the world asks

    def push_reports(self, claims: Sequence[Claim]) -> Sequence[PushOut]:
        """One for each part, and again if it repeats itself."""
        (claim,) = claims
        parts = self._taken.get(claim.key, [])
        times = 2 if self.wrongs.repeats else 1
        return [
            PushOut(
                body=b"",
                content_type="",
                load=PartClaim(claim=claim, message_id=message_id, submission=submission),
                keys=frozenset({claim.key}),
            )
            for message_id, submission in parts
            for _ in range(times)
        ]

    def push_reply(self, reply: Reply) -> Sequence[PushOut]:
        plain = Alphabet.ASCII if reply.text.isascii() else Alphabet.UCS2
        at = self.door.now()
        return [
            PushOut(
                body=b"", content_type="", load=PartReply(reply=reply, part=part, message_id=self.wire.mint(at, None))
            )
            for part in split_text(reply.text, plain, reference=reply.id % 256)
        ]

    def push_decision(self, review: Any) -> None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300


def _purpose(door: Door, text: str) -> Purpose:
    """What a text is for, by the filed template it was made from; a gateway is not told."""
    known: dict[str, Purpose] = door.memory.setdefault("purposes", {})
    if not known:
        known |= {template.text.split("{")[0][:12]: template.purpose for template in door.templates.values()}
    body = text.partition("】")[2] or text
    return next((purpose for begin, purpose in known.items() if begin and body.startswith(begin)), Purpose.NOTIFICATION)


class Gateway:
    """One account's gateway as long as somebody plays the world: its connections, and what waits to be handed over."""

    def __init__(self, world: World, label: str, books: Counterpart) -> None:
        self.world, self.label, self.books = world, label, books
        self.written = 0  # packets, over all connections
        self.submits = 0
        self.connections: list[Connection] = []
        self.dial: Callable[[Callable[[], asyncio.Protocol]], Any] | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._came = asyncio.Event()

    def begin(self) -> None:
        """Begin anew, on the running loop: whoever was connected before is gone."""
        self.connections.clear()
        self._came, self._dialling = asyncio.Event(), None

    def protocol(self) -> Connection:
        """For a connection that a customer opened."""
        side, timings = self.books.wire.host()
        return Connection(self, side, timings)

    async def hand_over(self, load: Any) -> bool:
        """Hand something over; whether the customer acknowledged it in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HAND_OVER_SECONDS
        handed = _Handed(load, loop.create_future())
        try:
            async with asyncio.timeout_at(deadline):
                while (connection := self._receiver()) is None:
                    self._came.clear()
                    self._ring_up()
                    await self._came.wait()
                connection.hand_over(handed)
                return await handed.done
        except TimeoutError:
            return False

    def _receiver(self) -> Connection | None:
        return next((one for one in self.connections if one.may_deliver), None)

    def _ring_up(self) -> None:
        """Dial the customer, where the protocol wants that."""
        caller = self.books.wire.caller()
        if caller is None or self.dial is None or (self._dialling is not None and not self._dialling.done()):
            return
        self._dialling = asyncio.create_task(self._dial(*caller))

    async def _dial(self, side: Any, timings: Timings) -> None:
        assert self.dial is not None
        try:
            await self.dial(lambda: Connection(self, side, timings))
        except OSError:
            await asyncio.sleep(1.0)
            self._came.set()

    def came(self, connection: Connection) -> None:
        self.connections.append(connection)
        self._came.set()

    def went(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    async def close(self) -> None:
        """Hang up on everybody."""
        if self._dialling is not None:
            self._dialling.cancel()
        for one in list(self.connections):
            one.abort()


class Connection(asyncio.Protocol):
    """One connection, either way round."""

    def __init__(self, gateway: Gateway, side: Any, timings: Timings) -> None:
        self._gateway, self._side = gateway, side
        self._session = Session(side, timings)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._is_paused = self._is_choked = False

    @property
    def may_deliver(self) -> bool:
        return self._session.phase is Phase.OPEN and self._side.may_send and not self._is_choked

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def hand_over(self, handed: _Handed) -> None:
        """Send a report or a reply. Settled when it is acknowledged, or when it never will be."""
        wire, what = self._gateway.books.wire, handed.what
        if isinstance(what, PartClaim):
            spelling = self._gateway.books.wrongs.report_ids if wire.ids_are_text else "as_is"
            message_id = _in_other_words(what.message_id, spelling)
            pdu, values = wire.report(self._side, what.claim, message_id, what.submission, what.claim.claimed_at)
        else:
            pdu, values = wire.inbound(self._side, what.part, what.reply, what.message_id)
        try:
            self._session.request(handed, pdu, values, self._loop.time())
        except (Full, NotOpen):
            handed.done.set_result(False)
        self.flush()

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._session.begin(self._loop.time())
        self.flush()

    def data_received(self, data: bytes) -> None:
        wrongs = self._gateway.books.wrongs
        keep_alive = self._side.keep_alive
        if wrongs.is_mute and keep_alive is not None and data[4:8] == keep_alive.command.to_bytes(4, "big"):
            return
        self._take(self._session.feed(data, self._loop.time()))

    def pause_writing(self) -> None:
        self._is_choked = True
        self.flush()

    def resume_writing(self) -> None:
        self._is_choked = False
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for timer in (self._alarm, *self._timers):
            if timer is not None:
                timer.cancel()
        self._take(self._session.lost("the customer is gone"))
        self._gateway.went(self)

    # what follows from it

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case LoggedIn():
                    self._gateway.came(self)
                case Received(content=Submission() as submission):
                    self._submitted(event, submission)
                case Received():
                    self._session.acknowledge(event)
                case Answered(ticket=_Handed() as handed):
                    if not handed.done.done():
                        handed.done.set_result(event.reason is None)
                case Doubted(ticket=_Handed() as handed) | Unsent(ticket=_Handed() as handed):
                    if not handed.done.done():
                        handed.done.set_result(False)
                case Ended():
                    self._gateway.went(self)
                    self.flush()
                    if self._transport is not None:
                        self._transport.close()
        self.flush()

    def _submitted(self, event: Received, submission: Submission) -> None:
        gateway, world = self._gateway, self._gateway.world
        gateway.submits += 1
        fault, seconds = world.next_call(gateway.label)
        account, books = world.accounts[gateway.label], gateway.books
        world.log.calls.append(
            Call(label=gateway.label, at=world.now(), method=event.packet.pdu.name, path="", fault=fault)
        )
        if fault is Fault.REFUSED:
            self.abort()
            return
        wire, every = books.wire, books.wrongs.throttle_every
        if fault is Fault.ERROR or (every and gateway.submits % every == 0):
            reason = None if fault is Fault.ERROR else Reason.THROTTLED
            self._later(seconds, event, wire.code(reason), None)
            return
        if fault is Fault.SILENT:
            return
        account.settle()
        message_id = wire.mint(world.now(), event)
        refused = books.submit(submission, message_id)
        if fault is not Fault.SILENT_TAKEN:
            code = wire.code(refused) if refused is not None else 0
            wait = max(seconds, 20.0) if books.wrongs.reports_first else seconds
            self._later(wait, event, code, message_id)

    def _later(self, seconds: float, event: Received, code: int, message_id: bytes | None) -> None:
        def answer() -> None:
            self._timers.discard(timer)
            self._session.acknowledge(event, code=code, message_id=message_id)
            self.flush()

        timer = self._loop.call_later(seconds, answer)
        self._timers.add(timer)

    def flush(self) -> None:
        """Write what is to be written, and do wrong what is to be done wrong."""
        transport = self._transport
        if transport is None:
            return
        out = self._session.bytes_to_send()
        if out and not transport.is_closing():
            self._write(transport, out)
        is_full = self._session.is_half_full or self._is_choked
        if is_full is not self._is_paused and not transport.is_closing():
            self._is_paused = is_full
            (transport.pause_reading if is_full else transport.resume_reading)()
        self._set_alarm()

    def _write(self, transport: asyncio.Transport, out: bytes) -> None:
        gateway, wrongs = self._gateway, self._gateway.books.wrongs
        if not (wrongs.cut_every or wrongs.garbage_every or wrongs.misnumber_every):
            transport.write(out)
            return
        for packet in _packets(out):
            gateway.written += 1
            if wrongs.garbage_every and gateway.written % wrongs.garbage_every == 0:
                transport.write(gateway.books.wire.garbage)
            if wrongs.misnumber_every and packet[4] & 0x80 and gateway.written % wrongs.misnumber_every == 0:
                width = self._side.codec.header_size
                packet = packet[: width - 4] + bytes(byte ^ 0xFF for byte in packet[width - 4 : width]) + packet[width:]
            if wrongs.cut_every and gateway.written % wrongs.cut_every == 0:
                transport.write(packet[:CUT])
                self._take(self._session.lost("cut"))  # and so hangs up
                return
            transport.write(packet)

    def _set_alarm(self) -> None:
        due = self._session.next_timer()
        if self._alarm is not None:
            if due is not None and self._alarm.when() <= due and not self._alarm.cancelled():
                return
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            self._alarm = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._take(self._session.tick(self._loop.time()))


def _packets(out: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(out):
        size = int.from_bytes(out[at : at + 4], "big")
        found.append(out[at : at + size])
        at += size
    return found


def _in_other_words(message_id: bytes, how: str) -> bytes:
    """A text id as some gateways write it in reports."""
    match how:
        case "decimal":
            return b"%d" % int(message_id, 16)
        case "padded":
            return message_id.rjust(20, b"0")
        case "upper":
            return message_id.upper()
        case _:
            return message_id


# --- in memory -------------------------------------------------------------------------------------------------------


class Pipe(asyncio.Transport):
    """One end of a connection in memory: what is written here comes out there, in the loop's next turn."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol, self._loop = protocol, asyncio.get_running_loop()
        self.other: Pipe | None = None
        self._coming: list[bytes] = []
        self._is_reading, self._is_closing, self._is_scheduled = True, False, False

    def write(self, data: Any) -> None:
        if not self._is_closing and self.other is not None and data:
            self.other._come(bytes(data))

    def _come(self, data: bytes) -> None:
        self._coming.append(data)
        self._schedule()

    def _schedule(self) -> None:
        if self._is_reading and self._coming and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_scheduled = False
        if self._is_closing or not self._is_reading or not self._coming:
            return
        data, self._coming = b"".join(self._coming), []
        self._protocol.data_received(data)

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self._schedule()

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.call_soon(self._protocol.connection_lost, None)
        if self.other is not None:
            self._loop.call_soon(self.other._hear_end)

    def _hear_end(self) -> None:
        if self._is_closing:
            return
        if self._coming and self._is_reading:  # what was written before the end comes first
            self._deliver()
        self.abort()


def join(one: asyncio.Protocol, other: asyncio.Protocol) -> Pipe:
    """Two protocols back to back; gives the first one's end."""
    here, there = Pipe(one), Pipe(other)
    here.other, there.other = there, here
    one.connection_made(here)
    other.connection_made(there)
    return here


@dataclass(slots=True)
class _Door:
    switchboard: Switchboard
    key: tuple[str, int]

    def close(self) -> None:
        self.switchboard.listening.pop(self.key, None)


@dataclass(slots=True)
class Switchboard:
    """The network door of a world in memory: `<label>.sandbox` is an account's gateway."""

    world: World
    listening: dict[tuple[str, int], Callable[[], asyncio.Protocol]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for label, gateway in gateways(self.world).items():
            gateway.dial = partial(self._ring_up, label)

    async def dial(self, make: Callable[[], asyncio.Protocol], plan: Any) -> asyncio.BaseTransport:
        gateway = gateways(self.world).get(plan.host.removesuffix(".sandbox"))
        if gateway is None:
            raise ConnectionRefusedError(f"no gateway {plan.host} in this world")
        await asyncio.sleep(0)
        return join(make(), gateway.protocol())

    async def listen(self, make: Callable[[], asyncio.Protocol], plan: Any) -> _Door:
        key = (plan.host, plan.port)
        self.listening[key] = make
        return _Door(self, key)

    async def _ring_up(self, label: str, make: Callable[[], asyncio.Protocol]) -> None:
        host, _, port = dials(self.world, label).rpartition(":")
        theirs = self.listening.get((host, int(port)))
        if theirs is None:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        join(make(), theirs())


def dials(world: World, label: str) -> str:
    """Where an account's gateway dials its customer, host:port."""
    return world.accounts[label].options.get("dials", "127.0.0.1:8801")


def gateways(world: World) -> dict[str, Gateway]:
    """The gateways of a world, by account."""
    return dict(world.gateways)


async def open_gateway(
    world: World, label: str, port: int, *, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Server, str]:
    """Open an account's gateway on a loopback port. Raises OSError if it is taken."""
    loop, gateway = asyncio.get_running_loop(), gateways(world)[label]
    server = await loop.create_server(gateway.protocol, "127.0.0.1", port, ssl=tls)
    host, _, theirs = dials(world, label).rpartition(":")

    async def dial(make: Callable[[], asyncio.Protocol]) -> None:
        await loop.create_connection(make, host, int(theirs))

    gateway.dial = dial
    scheme = "tls" if tls else "tcp"
    return server, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# --- what wires share ------------------------------------------------------------------------------------------------


def secrets_of(door: Door) -> dict[str, str]:
    """Who is let in: the account, or nobody if it is to be refused."""
    wrong = door.options.get("refuses_login") == "yes"
    return {door.credentials["account"]: "another" if wrong else door.credentials["secret"]}


def serial_of(door: Door) -> int:
    """1, 2, 3 … for as long as the world lives."""
    number: int = door.memory.get("serial", 0) + 1
    door.memory["serial"] = number
    return number
