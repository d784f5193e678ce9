"""Carries a vendor's flow over HTTP: pace, retry of what surely was not taken, recording, redaction.

Every vendor is timed, paced, retried and recorded here and nowhere else. The only place where httpx carries anything
and the only tenacity. It calls the transport itself: a client's own layer costs as much as all of ours, and logs URLs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import httpx
import tenacity

from harness.capabilities import HARMLESS, SPACED
from harness.clock import Clock
from harness.codec import plain_json
from harness.errors import NoAnswer, Throttled, Unintelligible, Unreachable, VendorTrouble
from harness.facts import Call
from harness.flow import Flow

T = TypeVar("T")

RECORDED_BODY: Final = 16_384  # bytes of a body kept in a recording
DEADLINE: Final = 30.0  # seconds for one request, all told
_NUMBER: Final = re.compile(r"1[3-9][0-9]{9}(?![0-9])")
"""The eleven digits of a mainland mobile number, known or not; what stands before them decides: see `_BEFORE`."""
_BEFORE: Final = re.compile(r"(?s)(?:|.*[^0-9]|.*%[0-9A-Fa-f]{2}|.*00)(?:86)?")
"""What may stand before a number: nothing, no digit, an escape such as %22, and a country code in any spelling."""
_LONG_DIGITS: Final = re.compile(r"[0-9]{12,}")
_BASIC: Final = re.compile(r'(?i)(?<=")basic [A-Za-z0-9+/=]+(?=")')  # a header: name and password, only in base64
MOST_REQUESTS: Final = 60  # of one flow: paging ends somewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried(Generic[T]):
    """What came of a flow: a result or trouble, the stopwatch's record, and the redacted exchange."""

    result: T | None
    trouble: VendorTrouble | None
    call: Call
    recording: bytes


@dataclass(slots=True)
class Redactor:
    """Takes secrets and phone numbers out of what is recorded, in every spelling that goes over a wire."""

    secrets: Iterable[str] = ()
    numbers: Iterable[str] = ()  # E.164, of the panel: masked even inside longer runs of digits
    _blocks: re.Pattern[str] = _LONG_DIGITS
    _pieces: dict[str, set[str]] = field(default_factory=dict)  # piece of a word → the words it is a piece of
    _known: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        words: set[str] = set()
        for secret in self.secrets:
            if len(secret) >= 4:
                words |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        self._known = frozenset(number[-11:] for number in self.numbers)
        # A hundred words are too many to look for each in every text. A text is cut into blocks of half the shortest
        # word: whatever word stands in it, wherever it begins, one block lies wholly inside, and gives it away.
        size = (min(map(len, words), default=1) + 1) // 2
        self._blocks = re.compile(f".{{{size}}}", re.DOTALL)
        for word in words:
            for at in range(size):
                self._pieces.setdefault(word[at : at + size], set()).add(word)

    def text(self, text: str) -> str:
        if self._pieces and (found := self._pieces.keys() & self._blocks.findall(text)):
            for word in sorted({word for piece in found for word in self._pieces[piece]}, key=_longest_first):
                text = text.replace(word, "•••")
        if "asic " in text or "ASIC " in text:
            text = _BASIC.sub("Basic •••", text)
        return _LONG_DIGITS.sub(self._long_digits, _NUMBER.sub(self._number, text))

    def _number(self, found: re.Match[str]) -> str:
        number = found[0]
        before = found.string[max(0, found.start() - 7) : found.start()]
        if number in self._known or _BEFORE.fullmatch(before):
            return f"{number[:3]}******{number[-2:]}"
        return number

    def _long_digits(self, found: re.Match[str]) -> str:
        digits = found[0]
        for begin in range(len(digits) - 10):
            if (one := digits[begin : begin + 11]) in self._known:
                digits = digits.replace(one, f"{one[:3]}******{one[-2:]}")
                break
        return digits


def _longest_first(word: str) -> tuple[int, str]:
    return -len(word), word


class Limiter:
    """A vendor's pace: at most `per_second`, evenly, with no burst after a pause."""

    def __init__(self, per_second: float) -> None:
        self._gap, self._next = 1.0 / per_second, 0.0

    async def turn(self) -> None:
        """Wait for our turn."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await asyncio.sleep(at - now)


class Line:
    """One account's line to its vendor."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        clock: Clock,
        redactor: Redactor,
        *,
        per_second: float,
        deadline: float = DEADLINE,
        tries: int = 4,
    ) -> None:
        self._transport, self._clock, self._redactor = transport, clock, redactor
        self._limiter = Limiter(per_second)
        self._apart: dict[str, Limiter] = {}  # kind of request → its own, beside the account's
        self._deadline, self._tries = deadline, tries

    async def carry(
        self, begin: Callable[[], Flow[T]], *, planned_at: datetime | None = None, again: bool = True
    ) -> Carried[T]:
        """Play a flow to its end.

        It is begun again only when nothing was written, or the vendor itself answered "too fast" and so took nothing,
        or nothing but requests marked harmless was; and only if `again`. Trouble with a harmless request, before any
        other, is trouble with nothing written.

        Args:
            begin: makes the flow; called once a try, so that each has its own time and nonce.
            planned_at: the instant the first request was meant for; now, if not given.
            again: whether a second try is allowed at all.
        """
        attempt = _Attempt(self, planned_at or self._clock.now())
        result: T | None = None
        trouble: VendorTrouble | None = None
        try:
            result = await attempt.run(begin)
        except VendorTrouble as error:
            trouble = error
        if trouble is not None and again and _is_safe_again(trouble, attempt):
            await asyncio.sleep(_pause(trouble, 1))
            try:
                result, trouble = await self._retrying(attempt)(attempt.run, begin), None
            except VendorTrouble as error:
                trouble = error
        return Carried(result=result, trouble=trouble, call=attempt.call(), recording=attempt.recording())

    def _retrying(self, attempt: _Attempt) -> tenacity.AsyncRetrying:
        """The second try and those after it."""
        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: _is_safe_again(error, attempt)),
            stop=tenacity.stop_after_attempt(self._tries - 1),
            wait=lambda state: _pause(state.outcome.exception() if state.outcome else None, state.attempt_number + 1),
            sleep=asyncio.sleep,
            reraise=True,
        )

    async def exchange(self, request: httpx.Request, planned: float) -> httpx.Response:
        """One request, one reply. Raises Unreachable, NoAnswer or Unintelligible."""
        request.extensions["planned"] = planned
        try:
            async with asyncio.timeout(self._deadline + 1.0):  # the wire has its own deadline; this one is the belt
                reply = await self._transport.handle_async_request(request)
                await reply.aread()
                return reply
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {self._deadline:g} s") from error
        except httpx.HTTPError as error:
            raise _translated(error) from error

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def redactor(self) -> Redactor:
        return self._redactor

    async def turn(self, request: httpx.Request) -> None:
        """Wait for our turn: that of the request's kind, if it is marked, then the account's."""
        if (mark := request.extensions.get(SPACED)) is not None:
            kind, seconds = mark
            await self._apart.setdefault(kind, Limiter(1.0 / seconds)).turn()
        await self._limiter.turn()


class _Attempt:
    """The tries of one flow: keeps the stopwatch's record and what was said."""

    def __init__(self, line: Line, planned_at: datetime) -> None:
        self.line, self.planned_at = line, planned_at
        self.tries = 0
        self.requests = 0  # of the latest try
        self.effects = 0  # those of them that are not marked harmless
        self.is_harmless = False  # the latest one
        self.exchanges: list[dict[str, Any]] = []
        self.last: Call | None = None
        self.last_body = b""  # the beginning of the latest reply, for trouble that could not keep it

    async def run(self, begin: Callable[[], Flow[T]]) -> T:
        self.tries += 1
        self.requests = self.effects = 0
        flow: Flow[T] | None = None
        try:
            flow = begin()
            request = next(flow)
            while True:
                try:
                    reply = await self._exchange(request)
                except VendorTrouble as trouble:
                    request = flow.throw(trouble)  # a flow that pages may keep what it has; others let it through
                else:
                    request = flow.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result
        except VendorTrouble as trouble:
            if isinstance(trouble, Unintelligible) and not trouble.body:
                trouble.body = self.last_body
            if not self.effects:
                trouble.written = False  # nothing but harmless requests left
            raise
        except Exception as error:
            # An adapter that stumbles is our fault; what it stumbled over may have left: trouble, never a crash.
            if self.effects == 0:
                raise VendorTrouble(f"the adapter failed: {type(error).__name__}: {error}", written=False) from error
            why = f"the adapter could not read the reply: {type(error).__name__}: {error}"
            raise Unintelligible(why, body=self.last_body) from error
        finally:
            if isinstance(flow, Generator):
                flow.close()

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        if self.requests >= MOST_REQUESTS:
            raise Unintelligible(f"the flow wanted more than {MOST_REQUESTS} requests")
        loop, first = asyncio.get_running_loop(), self.requests == 0
        # The pace is kept before the planned instant counts as late: waiting our turn is lag, and shown as such.
        now = loop.time()
        planned = now - (self.line.clock.now() - self.planned_at).total_seconds() if first and self.tries == 1 else now
        await self.line.turn(request)
        self.requests += 1
        self.is_harmless = bool(request.extensions.get(HARMLESS))
        self.effects += not self.is_harmless
        try:
            reply = await self.line.exchange(request, planned)
        except VendorTrouble as error:
            self._note(request, None, error, planned)
            raise
        self._note(request, reply, None, planned)
        self.last_body = reply.content[:4096]
        return reply

    def _note(
        self, request: httpx.Request, reply: httpx.Response | None, error: VendorTrouble | None, planned: float
    ) -> None:
        cause = error.__cause__ if error else None
        stamps = (reply.extensions.get("stamps") if reply else None) or getattr(cause, "stamps", None)
        loop_now, now = asyncio.get_running_loop().time(), self.line.clock.now()
        written = getattr(stamps, "written", None)
        first_byte, done = getattr(stamps, "first_byte", None), getattr(stamps, "done", None)
        self.last = Call(
            planned_at=self.planned_at,
            written_at=None if written is None else now - timedelta(seconds=loop_now - written),
            # Opening a connection is not our lateness.
            lag=None if written is None else written - planned - self._connecting(reply),
            wait=None if written is None or first_byte is None else first_byte - written,
            took=None if written is None or done is None else done - written,
            status=reply.status_code if reply else None,
            requests=self.requests,
            tries=self.tries,
        )
        self.exchanges.append(_recorded(request, reply, error))

    @staticmethod
    def _connecting(reply: httpx.Response | None) -> float:
        return float((reply.extensions.get("connect_seconds") if reply else None) or 0.0)

    def call(self) -> Call:
        if self.last is None:
            return Call(
                planned_at=self.planned_at,
                written_at=None,
                lag=None,
                wait=None,
                took=None,
                requests=0,
                tries=self.tries,
            )
        return self.last if self.last.tries == self.tries else replace(self.last, tries=self.tries)

    def recording(self) -> bytes:
        """The exchanges as JSON, redacted as a whole, so that nothing in them is forgotten."""
        return self.line.redactor.text(plain_json(self.exchanges)).encode()


def _is_safe_again(error: BaseException, attempt: _Attempt) -> bool:
    if attempt.effects > (not attempt.is_harmless):
        return False  # an earlier request of the flow may have had its effect
    lost = (NoAnswer,) if attempt.is_harmless else ()
    return isinstance(error, (Unreachable, Throttled, *lost))


def _pause(error: BaseException | None, tries: int) -> float:
    """Seconds before the next try: what the vendor asked for, or 0.5, 1, 2 … up to 20."""
    if isinstance(error, Throttled) and error.retry_after is not None:
        return min(60.0, max(0.1, error.retry_after))
    return float(min(20.0, 0.5 * 2 ** (tries - 1)))


def _translated(error: httpx.HTTPError) -> VendorTrouble:
    """A wire's error in our own tree. Without the wire's word that nothing was written, it may have left."""
    written = getattr(error, "written", not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout))
    detail = f"{type(error).__name__}: {error}"
    if not written:
        return Unreachable(detail)
    received = getattr(error, "received", b"")
    if received or isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError):
        return Unintelligible(detail, body=received)
    return NoAnswer(detail)


# Of httpx's headers `items()` is one pass; asking for each by its name is one pass a header.


def _recorded(request: httpx.Request, reply: httpx.Response | None, error: VendorTrouble | None) -> dict[str, Any]:
    noted: dict[str, Any] = {
        "request": {
            "method": request.method,
            "url": str(request.url),
            "headers": dict(request.headers.items()),
            "body": _body(request.content),
        }
    }
    if reply is not None:
        noted["reply"] = {
            "status": reply.status_code,
            "headers": dict(reply.headers.items()),
            "body": _body(reply.content),
        }
    if error is not None:
        noted["trouble"] = {"kind": error.kind, "detail": error.detail}
        if isinstance(error, Unintelligible) and error.body:
            noted["trouble"]["body"] = _body(error.body)
    return noted


def _body(raw: bytes) -> str:
    return raw[:RECORDED_BODY].decode("utf-8", "replace")
