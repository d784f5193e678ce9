"""Carries an account's sessions over sockets: connects again, keeps the pace, stamps, records, and acknowledges.

What may have left is never sent again; what a gateway hands over is acknowledged only once it is in the ledger. A link
that breaks is opened again after 1 to 60 seconds, at random a little sooner or later; not if the account is refused.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from harness.capabilities import HoldsSession
from harness.clock import Clock
from harness.codec import plain_json
from harness.domain import Accepted, InboundMessage, InDoubt, Message, Outcome, Reason, Refused, ReportSource
from harness.errors import LedgerError, Throttled, Unauthorised, Unreachable, VendorTrouble
from harness.facts import Call, CallFailed, InboundReceived, PushRefused, SendSettled
from harness.ledger import Entry, Ledger
from harness.link import (
    Answered,
    Doubted,
    HandedOver,
    Link,
    LinkPlan,
    LoginRefused,
    News,
    Odd,
    Opened,
    Over,
    Sent,
    State,
    Unsent,
)
from harness.run.inbox import People, report_fact
from harness.run.lines import Carried, Limiter, Redactor
from harness.text import whole

PATIENCE: Final = 30.0  # seconds that a message waits for a link to send it
TRIES: Final = 4  # of one part, when the gateway says "too fast" or the link broke before it left
LOGIN: Final = 15.0  # seconds for a connection to stand
LONGEST_PAUSE: Final = 60.0
LEAVING: Final = 5.0
BATCH: Final = 500  # what is handed over, in one commit
MOST_TOLD: Final = 200  # oddities and losses of a link that are written down, in one run
MOST_PARTS: Final = 60  # of a message, recorded


class Network(Protocol):
    """The fourth door, for sockets: real ones, or those of a world in memory."""

    async def dial(self, make: Callable[[], asyncio.Protocol], plan: LinkPlan) -> asyncio.BaseTransport:
        """Connect. Raises OSError, or ValueError for what no connection can be made to."""

    async def listen(self, make: Callable[[], asyncio.Protocol], plan: LinkPlan) -> Listening:
        """Take connections. Raises OSError."""


class Listening(Protocol):
    def close(self) -> None: ...


class Sockets:
    """Real ones."""

    async def dial(self, make: Callable[[], asyncio.Protocol], plan: LinkPlan) -> asyncio.BaseTransport:
        context = ssl.create_default_context(cafile=plan.tls_ca or None) if plan.tls else None
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(make, plan.host, plan.port, ssl=context)
        return transport

    async def listen(self, make: Callable[[], asyncio.Protocol], plan: LinkPlan) -> Listening:
        return await asyncio.get_running_loop().create_server(make, plan.host, plan.port)


@dataclass(frozen=True, slots=True)
class About:
    """Which message of which case something is sent for."""

    case_id: str
    leg: int


@dataclass(slots=True, eq=False)
class _Part:
    """One part on its way: the ticket that a link gives back."""

    about: About | None
    siblings: list[_Part]  # all parts of the message, in order
    what: Any
    settled: asyncio.Future[Answered | Doubted | Unsent] | None = None
    answer: Answered | None = None
    doubt: str = ""
    was_taken: bool = False  # as an answer said, perhaps a late one
    message_id: str = ""
    written: float | None = None  # on the loop's line
    answered: float | None = None
    tries: int = 0
    frames: list[tuple[str, bytes]] = field(default_factory=list)


class Links:
    """One account's links to its gateway. Built, started, asked to carry, left."""

    def __init__(
        self,
        label: str,
        vendor: HoldsSession,
        *,
        ledger: Ledger,
        clock: Clock,
        network: Network,
        redactor: Redactor,
        people: People,
        chance: Callable[[], float],
        per_second: float,
    ) -> None:
        """`chance`: a number from 0 to 1, for pauses."""
        self._label, self._vendor, self._ledger, self._clock = label, vendor, ledger, clock
        self._network, self._redactor, self._people, self._chance = network, redactor, people, chance
        self._limiter = Limiter(per_second)
        self._plans = tuple(vendor.links())
        self._open: list[_Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()  # for room on a link, first come first served
        self._wanted = asyncio.Event()  # by links that are dialled on demand
        self._hurry = asyncio.Event()  # somebody waits for a link
        self._tasks: list[asyncio.Task[None]] = []
        self._doors: list[Listening] = []
        self._kept: deque[HandedOver] = deque()
        self._news = asyncio.Event()
        self._refused: LoginRefused | None = None
        self._is_leaving = False
        self._told = 0

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the doors that the gateway dials, and begin to dial. Raises OSError if a door is taken."""
        for plan in self._plans:
            if plan.listens:
                self._doors.append(await self._network.listen(partial(_Connection, self, plan), plan))
            else:
                name = f"link {plan.name} of {self._label}"
                self._tasks.append(asyncio.create_task(self._keep_open(plan), name=name))
        self._tasks.append(asyncio.create_task(self._keep(), name=f"what comes over the links of {self._label}"))

    async def leave(self) -> None:
        """Say goodbye on every link, and wait a little for it. What was handed over and is not kept, comes again."""
        self._is_leaving = True
        for door in self._doors:
            door.close()
        over = [one.over for one in self._open]
        for one in list(self._open):
            one.leave()
        if over:
            await asyncio.wait(over, timeout=LEAVING)
        for one in list(self._open):
            one.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_open(self, plan: LinkPlan) -> None:
        """One link that we dial, for as long as the run lasts."""
        pause = 1.0
        while self._goes_on():
            if plan.on_demand:
                await self._wanted.wait()
            made = _Connection(self, plan)
            try:
                async with asyncio.timeout(LOGIN):
                    await self._network.dial(made.itself, plan)
                await made.over
                why = made.why
            except (OSError, ValueError, TimeoutError) as error:
                why = f"no connection: {error or type(error).__name__}"
            except Exception as error:  # an adapter that stumbles is told, and takes no other link with it
                why = f"the adapter failed: {type(error).__name__}"
            if not self._goes_on():
                return
            if plan.on_demand and made.is_clean and made.was_of_use and not self._waiting:
                self._wanted.clear()  # left because there was nothing to do
                continue
            self._tell("link", Unreachable(f"{plan.name}: {why}"))
            pause = 1.0 if made.was_of_use else pause
            await self._pause(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _pause(self, seconds: float) -> None:
        """Before the next try; a message that waits for the link cuts it short, to a second or so."""
        jitter = 0.5 + self._chance()
        self._hurry.clear()
        await asyncio.sleep(min(1.0, seconds) * jitter)
        if seconds > 1.0 and not self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout((seconds - 1.0) * jitter):
                    await self._hurry.wait()

    def _goes_on(self) -> bool:
        return not self._is_leaving and self._refused is None

    # --- sending ----------------------------------------------------------------------------------------------------

    async def carry(
        self, message: Message, *, planned_at: datetime | None = None, about: About | None = None
    ) -> Carried[Outcome]:
        """Send a message: every part once, and again only what surely was not taken.

        Args:
            planned_at: the instant it was meant for; now, if not given.
            about: whose message it is, so that an answer that comes late can still settle it.
        """
        planned = planned_at or self._clock.now()
        loop = asyncio.get_running_loop()
        planned_line = loop.time() - (self._clock.now() - planned).total_seconds()
        parts: list[_Part] = []
        result: Outcome | None = None
        trouble: VendorTrouble | None = None
        try:
            wanted = self._vendor.parts(message)
            parts += [_Part(about, parts, what) for what in wanted]
            if len(parts) == 1:
                waited = await self._send(parts[0])
            else:
                waited = max(await asyncio.gather(*map(self._send, parts)))
            result = outcome_of(parts, self._refused)
        except VendorTrouble as error:
            trouble = error
            waited = 0.0
        call = self._call(parts, planned, planned_line + waited)
        return Carried(result=result, trouble=trouble, call=call, recording=self._recording(parts, trouble))

    async def _send(self, part: _Part) -> float:
        """One part, until it is answered, in doubt, or given up. Seconds that it waited for a link to stand."""
        loop, waited = asyncio.get_running_loop(), 0.0
        while part.tries < TRIES:
            await self._limiter.turn()
            began = loop.time()
            connection, was_up = await self._room()
            if connection is None:
                return waited
            waited += 0.0 if was_up else loop.time() - began
            part.tries += 1
            part.settled = loop.create_future()
            connection.submit(part)
            told = await part.settled
            if isinstance(told, Doubted):
                part.doubt, part.answered = told.why, None
                return waited
            if isinstance(told, Unsent):
                part.written = None
                continue
            part.answer, part.answered = told, loop.time()
            part.message_id = told.message_id or part.message_id
            part.was_taken = told.reason is None
            if told.reason is not Reason.THROTTLED:
                return waited
            await asyncio.sleep(told.wait or 1.0)
        return waited

    async def _room(self) -> tuple[_Connection | None, bool]:
        """A link with room in its window, and whether one was open at once; None: none came in time."""
        was_up = any(one.may_send for one in self._open)
        if not self._waiting and (found := self._with_room()) is not None:
            return found, True
        self._wanted.set()
        self._hurry.set()
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while self._refused is None:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                async with asyncio.timeout_at(deadline):
                    await turn
            except TimeoutError:
                return None, was_up
            finally:
                if turn in self._waiting:
                    self._waiting.remove(turn)
            if (found := self._with_room()) is not None:
                return found, was_up
        return None, was_up

    def _with_room(self) -> _Connection | None:
        return next((one for one in self._open if one.has_room), None)

    def make_way(self) -> None:
        """Let those go on that wait for room, as many as there is."""
        room = sum(one.plan.window - one.link.in_flight for one in self._open if one.has_room)
        while self._waiting and (room > 0 or self._refused is not None):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

    # --- news of a link ---------------------------------------------------------------------------------------------

    def take(self, connection: _Connection, news: Sequence[News]) -> None:
        """What a link told."""
        for one in news:
            match one:
                case Answered(ticket=_Part() as part):
                    connection.was_of_use = True
                    self._answered(part, one)
                case Doubted(ticket=_Part() as part) | Unsent(ticket=_Part() as part):
                    if part.settled is not None and not part.settled.done():
                        part.settled.set_result(one)
                case HandedOver():
                    connection.was_of_use = True
                    self._kept.append(one)
                    self._news.set()
                case Opened():
                    self._open.append(connection)
                case LoginRefused():
                    self._login_refused(connection.plan, one)
                case Odd(why=why, frame=frame):
                    self._odd(connection.plan, why, frame)
                case Over(why=why, is_clean=is_clean):
                    connection.why, connection.is_clean = why, is_clean
                    if connection in self._open:
                        self._open.remove(connection)
        if self._waiting:
            self.make_way()

    def _answered(self, part: _Part, answer: Answered) -> None:
        part.frames.append(("answer", answer.frame))
        if part.settled is not None and not part.settled.done():
            part.settled.set_result(answer)
        elif answer.is_late and answer.reason is None and part.about is not None:
            self._settle_late(part, part.about, answer)

    def _settle_late(self, part: _Part, about: About, answer: Answered) -> None:
        """An answer that came after all: once every part that was in doubt has one, the message was taken."""
        part.was_taken, part.message_id = True, answer.message_id or part.message_id
        if all(one.was_taken for one in part.siblings):
            ids = tuple(one.message_id for one in part.siblings)
            body = SendSettled(
                leg=about.leg, by="answer", vendor_message_id=ids[0], part_ids=ids if len(ids) > 1 else ()
            )
            recording = self._redacted({"late": self._hex(answer.frame)})
            self._post(Entry(body=body, at=self._clock.now(), case_id=about.case_id, recording=recording))

    def _login_refused(self, plan: LinkPlan, refused: LoginRefused) -> None:
        trouble = Unauthorised(f"{plan.name}: login refused: {refused.why}", code=refused.code)
        self._tell("login", trouble)
        if refused.is_final and not plan.listens:
            self._refused = refused

    def _odd(self, plan: LinkPlan, why: str, frame: bytes) -> None:
        self._told += 1
        if self._told <= MOST_TOLD:
            body = PushRefused(door=f"link/{self._label}/{plan.name}", why=self._redactor.text(why[:200]))
            recording = self._redacted({"frame": self._hex(frame)}) if frame else None
            self._post(Entry(body=body, at=self._clock.now(), recording=recording))

    def _tell(self, what: str, trouble: VendorTrouble) -> None:
        self._told += 1
        if self._told <= MOST_TOLD:
            body = CallFailed(
                what=what,
                trouble=trouble.kind,
                detail=self._redactor.text(trouble.detail),
                written=trouble.written,
                code=trouble.code,
            )
            self._post(Entry(body=body, at=self._clock.now()))

    def _post(self, entry: Entry) -> None:
        with suppress(LedgerError):  # whoever sends is told, and stops
            self._ledger.post(entry)

    # --- what is handed over ----------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """The durable fact first, then the acknowledgement; a commit for all that came meanwhile."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._kept:
                batch = [self._kept.popleft() for _ in range(min(BATCH, len(self._kept)))]
                try:
                    await self._ledger.append(*(entry for one in batch for entry in self._entries(one)))
                except LedgerError:
                    return  # nothing more is acknowledged: it comes again
                for one in batch:
                    one.acknowledge()
                for connection in list(self._open):
                    connection.flush()

    def _entries(self, one: HandedOver) -> Iterator[Entry]:
        now, door = self._clock.now(), f"link/{self._label}"
        recording = self._redacted({"frame": self._hex(one.frame)})
        if one.report is not None:
            body, key = report_fact(self._label, one.report, self._people, ReportSource.PUSHED)
            body = replace(body, also=one.report.also, submitted_at=one.report.submitted_at)
            yield Entry(body=body, at=now, dedupe=key, recording=recording)
        if one.inbound is not None:
            yield self._inbound(one.inbound, now, recording)
        if one.why:
            self._told += 1
            if self._told <= MOST_TOLD:
                refused = PushRefused(door=door, why=self._redactor.text(one.why[:200]))
                yield Entry(body=refused, at=now, recording=recording)

    def _inbound(self, reply: InboundMessage, now: datetime, recording: bytes) -> Entry:
        body = InboundReceived(
            vendor=self._label,
            recipient=self._people.of_number(reply.number),
            to=reply.to,
            text=self._redactor.text(reply.text),
            sent_at=reply.sent_at,
            source=ReportSource.PUSHED,
        )
        key = whole(f"inbound:{self._label}:{reply.vendor_message_id}")
        return Entry(body=body, at=now, dedupe=key, recording=recording)

    # --- stopwatch and recording ------------------------------------------------------------------------------------

    def _call(self, parts: Sequence[_Part], planned_at: datetime, planned: float) -> Call:
        written = min((part.written for part in parts if part.written is not None), default=None)
        done = [part.answered for part in parts]
        answered = max((at for at in done if at is not None), default=None) if None not in done else None
        took = None if written is None or answered is None else answered - written
        now, line = self._clock.now(), asyncio.get_running_loop().time()
        return Call(
            planned_at=planned_at,
            written_at=None if written is None else now - timedelta(seconds=line - written),
            lag=None if written is None else max(0.0, written - planned),
            wait=took,
            took=took,
            requests=sum(part.tries > 0 for part in parts),
            tries=max((part.tries for part in parts), default=1) or 1,
        )

    def _recording(self, parts: Sequence[_Part], trouble: VendorTrouble | None) -> bytes:
        noted: dict[str, Any] = {
            "link": self._label,
            "parts": [{name: self._hex(frame) for name, frame in part.frames} for part in parts[:MOST_PARTS]],
        }
        if trouble is not None:
            noted["trouble"] = {"kind": trouble.kind, "detail": trouble.detail}
        return self._redacted(noted)

    def _hex(self, frame: bytes) -> str:
        """A packet's bytes, numbers and secrets masked, as hexadecimal digits. Lengths may differ where one was."""
        return self._redactor.text(frame.decode("latin-1")).encode("latin-1", "replace").hex()

    def _redacted(self, noted: Mapping[str, Any]) -> bytes:
        return plain_json(noted).encode()


def outcome_of(parts: Sequence[_Part], refused: LoginRefused | None) -> Outcome:
    """What became of a message, from what became of its parts.

    Raises:
        Throttled, Unauthorised, Unreachable: nothing of it was taken.
    """
    ids = tuple(part.message_id for part in parts)
    answers = [part.answer for part in parts if part.answer is not None]
    taken = [answer for answer in answers if answer.reason is None]
    doubts = [part.doubt for part in parts if part.doubt]
    if len(taken) == len(parts):
        return Accepted(vendor_message_id=ids[0], segments=len(parts), part_ids=ids if len(parts) > 1 else ())
    if doubts:
        return InDoubt(why="no_answer", part_ids=ids if any(ids) else ())
    if said_no := next((answer for answer in answers if answer.reason is not None), None):
        if not taken and said_no.reason is Reason.THROTTLED:
            raise Throttled(said_no.detail or "too fast", code=said_no.code, retry_after=said_no.wait)
        if not taken and said_no.reason is Reason.AUTH:
            raise Unauthorised(said_no.detail or "refused", code=said_no.code)
        rest = f"; {len(taken)} of {len(parts)} parts were taken" if taken else ""
        return Refused(reason=said_no.reason or Reason.UNMAPPED, code=said_no.code, detail=said_no.detail + rest)
    if taken:  # the link went away between two parts, and stayed away
        return InDoubt(why="no_answer", part_ids=ids)
    if refused is not None:
        raise Unauthorised(f"login refused: {refused.why}", code=refused.code)
    raise Unreachable("no link to the gateway stands")


class _Connection(asyncio.Protocol):
    """One connection: moves bytes between a transport and a link."""

    def __init__(self, links: Links, plan: LinkPlan) -> None:
        self._links, self.plan = links, plan
        self.link: Link = plan.open()
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self.was_of_use = False  # something was answered or handed over
        self.why, self.is_clean = "lost", False
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._is_choked = self._is_paused = False

    @property
    def may_send(self) -> bool:
        return self.plan.sends and self.link.state is State.OPEN

    @property
    def has_room(self) -> bool:
        return self.may_send and not self._is_choked and self.link.in_flight < self.plan.window

    def submit(self, part: _Part) -> None:
        """Send a part now; what cannot be written is settled as unsent."""
        now = self._loop.time()
        try:
            sent: Sent = self.link.submit(part, part.what, now)
        except ValueError as error:
            assert part.settled is not None
            part.settled.set_result(Unsent(ticket=part, why=str(error)))
            return
        part.message_id = sent.message_id
        part.frames.append(("submit", sent.frame))
        self.flush()
        part.written = self._loop.time()

    def itself(self) -> _Connection:
        return self

    def leave(self) -> None:
        self._after(self.link.leave(self._loop.time()))

    def close(self) -> None:
        """At once, without another word."""
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Write what the link wants written; read on, or not, as it can take more."""
        transport = self._transport
        if transport is None:
            return
        if out := self.link.bytes_to_send():
            transport.write(out)
        is_full = self.link.is_full or self._is_choked  # who reads nothing is not read from either
        if is_full is not self._is_paused and not transport.is_closing():
            self._is_paused = is_full
            if is_full:
                transport.pause_reading()
            else:
                transport.resume_reading()
        self._set_alarm()

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.link.begin(self._loop.time())
        self._after(())

    def data_received(self, data: bytes) -> None:
        self._after(self.link.feed(data, self._loop.time()))

    def pause_writing(self) -> None:
        self._is_choked = True
        self.flush()

    def resume_writing(self) -> None:
        self._is_choked = False
        self.flush()
        self._links.make_way()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._links.take(self, self.link.lost(str(exc) if exc else "the gateway closed the connection"))
        self._transport = None
        if not self.over.done():
            self.over.set_result(None)

    # what follows from it

    def _after(self, news: Sequence[News]) -> None:
        if news:
            self._links.take(self, news)
        self.flush()
        if self.link.state is State.OVER and self._transport is not None and _is_last(news):
            self._transport.close()
            self._loop.call_later(LEAVING, self._transport.abort)  # a peer that reads nothing does not hold us

    def _set_alarm(self) -> None:
        due = self.link.next_timer()
        if self._alarm is not None:
            if due is not None and self._alarm.when() <= due and not self._alarm.cancelled():
                return  # it rings early, and is set anew
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            self._alarm = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._after(self.link.tick(self._loop.time()))


def _is_last(news: Sequence[News]) -> bool:
    return any(isinstance(one, Over) for one in news)
