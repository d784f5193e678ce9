"""The stopwatch itself: HTTP/1.1 for httpx over our own connections, because every ready client bends what we measure.

One call is one request on the wire: never re-sent, never redirected, never longer than its deadline, never larger
than its caps. Every failure says whether a byte of the request may have left, and when.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import select
import ssl
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

import httptools
import httpx

from harness.clock import monotonic

KEPT_BYTES: Final = 4096
"""How much of an answer an error carries."""

Origin = tuple[str, str, int]
"""Scheme, host, port."""


class Phase(StrEnum):
    """How far an exchange had come when it failed."""

    REQUEST = "request"  # being put into bytes
    POOL = "pool"
    CONNECT = "connect"  # name, TCP, and a TLS handshake that stalls
    TLS = "tls"
    WAIT = "wait"  # written, nothing back yet
    HEAD = "head"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Four instants of one exchange, in seconds on the loop's time line; `None` where it did not come to that.

    `first_byte` belongs to the final answer: a `100 Continue` does not stop the watch.
    """

    planned: float | None = None  # the caller's, from `request.extensions["planned"]`
    written: float | None = None  # the request was handed to the transport
    first_byte: float | None = None
    done: float | None = None

    @property
    def lag(self) -> float | None:
        """Our own lateness in seconds, written - planned. On a new connection it includes `connect_seconds`."""
        return None if self.written is None or self.planned is None else self.written - self.planned

    @property
    def answer_time(self) -> float | None:
        """The vendor's time in seconds, first byte - written."""
        return None if self.first_byte is None or self.written is None else self.first_byte - self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What a connection's handshake agreed on."""

    version: str  # "TLSv1.3"
    cipher: str
    certificate_sha256: str  # of the peer's certificate in DER, hex


class WireError(httpx.TransportError):
    """No usable answer. `written`: a byte of the request may have left, so it must not be sent again unasked."""

    written: ClassVar[bool] = False

    def __init__(self, detail: str, *, phase: Phase, stamps: Stamps, received: bytes = b"") -> None:
        super().__init__(detail)
        self.phase = phase
        self.stamps = stamps
        self.received = received  # the first 4 KiB of what came back


class NotWritten(WireError):
    """No connection: surely not sent, may be tried again."""


class Malformed(NotWritten):
    """The request itself cannot be put on a wire: surely not sent, and trying again is no use."""


class Unanswered(WireError):
    """Sent, but the connection or the time ended before an answer came: in doubt."""

    written = True


class Unreadable(WireError):
    """Sent, and what came back is no whole HTTP answer: in doubt."""

    written = True


class TooLarge(Unreadable):
    """Sent, and the answer passes the cap on its head or on its body, the latter counted inflated."""


class _Reply:
    """Reads one answer under the caps. Knows neither socket nor clock; whatever the bytes, it raises nothing."""

    def __init__(self, method: str, *, head_cap: int, body_cap: int) -> None:
        self._method, self._head_cap, self._body_cap = method, head_cap, body_cap
        self._parser: Any = httptools.HttpResponseParser(self)
        self._received = self._head_size = self.status = 0
        self._in_body = False
        self.begun = False  # a message began in the bytes fed last
        self.complete = self.surplus = self.keeps_alive = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.kept = b""
        self.version = self.reason_phrase = b""
        self.refusal: tuple[type[Unreadable], str] | None = None

    @property
    def phase(self) -> Phase:
        return Phase.BODY if self._in_body else Phase.HEAD if self._received else Phase.WAIT

    @property
    def over(self) -> bool:
        return self.complete or self.refusal is not None

    def feed(self, data: bytes) -> None:
        self.begun = False
        self._received += len(data)
        if len(self.kept) < KEPT_BYTES:
            self.kept += data[: KEPT_BYTES - len(self.kept)]
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # 101, or anything else that claims to
            self._refuse(Unreadable, "another protocol, which nobody asked for")
        except httptools.HttpParserError as error:
            self.surplus = True
            self._refuse(Unreadable, f"not HTTP: {error}")
        # A chunk of one byte needs five around it; whatever is beyond that is head, or padding without end.
        if self._received > self._head_cap + 6 * len(self.body):
            self._refuse(TooLarge, f"head or framing beyond {self._head_cap} bytes")

    def end(self) -> None:
        """The server closed its side: the end of a body without a length, a cut anywhere else."""
        names = {name.lower() for name, _ in self.headers}
        if self._in_body and not names & {b"content-length", b"transfer-encoding"}:
            self.complete = True
        self._refuse(Unreadable, f"cut short in its {self.phase}")

    def release(self) -> None:
        """Let go of the parser, which holds on to us: answers must not wait for the garbage collector."""
        self._parser = None

    def content(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body as httpx may have them: the body inflated, and the header that says otherwise gone.

        Raises:
            ValueError: a coding that was not asked for, or does not hold together.
            OverflowError: inflated beyond the cap.
        """
        coding = b"identity"
        for name, value in self.headers:
            match name.lower():
                case b"content-encoding":
                    coding = value.strip().lower() if coding == b"identity" else coding + b", " + value
                case b"transfer-encoding" if value.strip().lower() != b"chunked":
                    raise ValueError(f"transfer coding {value.decode('latin-1')!r}")
        if coding in (b"identity", b""):
            return self.headers, bytes(self.body)
        hidden = (b"content-encoding", b"content-length")
        kept = [(name, value) for name, value in self.headers if name.lower() not in hidden]
        return kept, _inflate(coding, bytes(self.body), self._body_cap) if self.body else b""

    def _refuse(self, kind: type[Unreadable], why: str) -> None:
        if not self.over:
            self.refusal = kind, why

    # httptools calls these. None may raise: it would come back wrapped beyond recognition.

    def on_message_begin(self) -> None:
        if self.complete:
            self.surplus = True
        else:
            self.begun = True

    def on_status(self, text: bytes) -> None:
        if not self.over:
            self.reason_phrase += text

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.over:
            return
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._head_cap:
            self._refuse(TooLarge, f"head beyond {self._head_cap} bytes")
        elif not self._in_body:  # trailers count and are dropped
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.over:
            return
        self.status = self._parser.get_status_code()
        if self.status < 100:
            self._refuse(Unreadable, f"status {self.status}")
        elif self.status >= 200:
            self._in_body = True
            self.version = b"HTTP/" + self._parser.get_http_version().encode()
            self.complete = self._method == "HEAD"  # the parser would wait for a body; such a connection is not kept

    def on_body(self, data: bytes) -> None:
        if self.over:
            return
        if len(self.body) + len(data) > self._body_cap:
            self._refuse(TooLarge, f"body beyond {self._body_cap} bytes")
        else:
            self.body += data

    def on_message_complete(self) -> None:
        if self.over:
            return
        if self._in_body:
            self.complete = True
            self.keeps_alive = self._parser.should_keep_alive()
        else:  # an interim answer: the next message is the one we wait for
            self.headers.clear()
            self.reason_phrase = b""


def _inflate(coding: bytes, data: bytes, cap: int) -> bytes:
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise ValueError(f"content coding {coding.decode('latin-1')!r}")
    # "deflate" should be zlib-wrapped; some servers send it bare. zlib's first byte has 8 in its low half.
    wrapped = coding != b"deflate" or data[0] & 15 == 8
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32 if wrapped else -zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(data, cap + 1)
    except zlib.error as error:
        raise ValueError(f"{coding.decode()}: {error}") from error
    if len(plain) > cap:
        raise OverflowError(f"body beyond {cap} bytes once inflated")
    if not inflater.eof or inflater.unused_data:
        raise ValueError(f"{coding.decode()}: cut short, or followed by something else")
    return plain


class _Exchange:
    """One request under way: its reply as far as it came, and the instants so far."""

    __slots__ = ("answered", "done", "first_byte", "planned", "reply", "written")

    def __init__(self, reply: _Reply, planned: float | None, written: float, answered: asyncio.Future[None]) -> None:
        self.reply, self.planned, self.written, self.answered = reply, planned, written, answered
        self.first_byte: float | None = None
        self.done: float | None = None

    @property
    def stamps(self) -> Stamps:
        return Stamps(planned=self.planned, written=self.written, first_byte=self.first_byte, done=self.done)

    def settle(self, at: float | None) -> None:
        """It is over, by an answer or a refusal read at `at`, or by neither."""
        self.done = at
        self.reply.release()
        if not self.answered.done():  # the caller may have been cancelled
            self.answered.set_result(None)


class _Connection(asyncio.Protocol):
    """One socket, one exchange at a time. Stamps are taken here, where bytes come and go."""

    def __init__(self, clock: Callable[[], float], living: set[_Connection]) -> None:
        self._clock, self._living = clock, living
        self._exchange: _Exchange | None = None
        self.idle_since = 0.0
        self.lost = False
        self.tls: Tls | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.gone = asyncio.get_running_loop().create_future()
        self._living.add(self)
        if secured := transport.get_extra_info("ssl_object"):
            certificate = secured.getpeercert(binary_form=True) or b""
            digest = hashlib.sha256(certificate).hexdigest()
            self.tls = Tls(version=secured.version(), cipher=secured.cipher()[0], certificate_sha256=digest)

    def data_received(self, data: bytes) -> None:
        at = self._clock()
        exchange = self._exchange
        if exchange is None or exchange.answered.done():
            self.abort()  # nobody asked, or more than was asked for
            return
        reply = exchange.reply
        reply.feed(data)
        if reply.begun:
            exchange.first_byte = at
        if reply.over:
            exchange.settle(at)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._living.discard(self)
        if not self.gone.done():
            self.gone.set_result(None)
        exchange = self._exchange
        if exchange is not None and not exchange.answered.done():
            if exc is None and exchange.reply.phase is not Phase.WAIT:
                exchange.reply.end()
            exchange.settle(self._clock() if exchange.reply.over else None)

    def begin(self, request: bytes, reply: _Reply, planned: float | None) -> _Exchange:
        """Hand the request to the transport. From here on it counts as sent."""
        written = self._clock()
        self._transport.write(request)
        answered = asyncio.get_running_loop().create_future()
        self._exchange = _Exchange(reply, planned, written, answered)
        return self._exchange

    def finish(self) -> bool:
        """End the exchange; whether the connection may serve another."""
        exchange, self._exchange = self._exchange, None
        reply = exchange.reply if exchange else None
        whole = reply is not None and reply.complete and reply.keeps_alive and not reply.surplus
        # An answer that came before the request had left leaves the rest of the request in the way.
        return whole and self.open and self._transport.get_write_buffer_size() == 0

    @property
    def open(self) -> bool:
        return not (self.lost or self._transport.is_closing())

    @property
    def quiet(self) -> bool:
        """Still open, and the server has neither closed nor said anything; asked of the kernel, as the loop may lag."""
        if not self.open:
            return False
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        if not self.lost:
            self._transport.abort()


class Wire(httpx.AsyncBaseTransport):
    """An httpx transport for one vendor: `httpx.AsyncClient(transport=Wire(), trust_env=False)`.

    Or without the client, which is cheaper, steadier, and keeps URLs out of httpx's log: `await
    wire.handle_async_request(request)`, then `await response.aread()`, which waits for nothing.

    Reads `request.extensions["planned"]` (seconds, loop time); httpx's own time-outs are not used. A response's
    extensions hold `stamps: Stamps`, `tls: Tls | None`, `connection_reused: bool`, `connect_seconds: float | None`
    (name, TCP and TLS, when a connection was made for it), `http_version` and `reason_phrase`.

    The deadline covers connecting, writing and the whole answer. No request waits for a free connection: beyond
    `max_connections` it is refused as NotWritten. TLS verifies by default and never falls back.

    Raises (from `handle_async_request`): WireError and nothing else.
    """

    def __init__(
        self,
        *,
        deadline_seconds: float = 30.0,
        connect_seconds: float = 10.0,
        idle_seconds: float = 20.0,
        header_cap: int = 64 * 1024,
        body_cap: int = 1024 * 1024,
        max_connections: int = 1024,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._deadline_seconds, self._connect_seconds = deadline_seconds, connect_seconds
        self._idle_seconds = idle_seconds
        self._header_cap, self._body_cap, self._max_connections = header_cap, body_cap, max_connections
        self._ssl_context, self._clock = ssl_context, clock
        self._idle: dict[Origin, deque[_Connection]] = {}
        self._living: set[_Connection] = set()
        self._opening = 0
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        clock = self._clock or clock_of(loop)
        deadline = loop.time() + self._deadline_seconds
        nothing = Stamps(planned=request.extensions.get("planned"))
        origin, payload = await _in_bytes(request, nothing)
        connection, connect_seconds = self._take_idle(origin, loop.time()), None
        if connection is None:
            began = clock()
            connection = await self._open(origin, deadline, nothing, clock)
            connect_seconds = clock() - began

        reply = _Reply(request.method, head_cap=self._header_cap, body_cap=self._body_cap)
        exchange = connection.begin(payload, reply, nothing.planned)
        timer = loop.call_at(deadline, exchange.settle, None)
        try:
            await exchange.answered
        finally:
            timer.cancel()
            self._give_back(origin, connection, loop.time())
        extensions = {
            "stamps": exchange.stamps,
            "tls": connection.tls,
            "connection_reused": connect_seconds is None,
            "connect_seconds": connect_seconds,
            "http_version": reply.version,
            "reason_phrase": reply.reason_phrase,
        }
        return _response(request, exchange, extensions)

    async def aclose(self) -> None:
        """Drop every connection; exchanges under way end as Unanswered."""
        self._closed = True
        self._idle.clear()
        gone = [connection.gone for connection in self._living]
        for connection in list(self._living):
            connection.abort()
        if gone:
            await asyncio.wait(gone, timeout=1.0)

    def _take_idle(self, origin: Origin, now: float) -> _Connection | None:
        """The connection used last, if one is still good. Nothing was written to those dropped here."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.idle_since + self._idle_seconds > now and connection.quiet:
                return connection
            connection.abort()
        return None

    def _give_back(self, origin: Origin, connection: _Connection, now: float) -> None:
        if not connection.finish() or self._closed:
            connection.abort()
            return
        connection.idle_since = now
        idle = self._idle.setdefault(origin, deque())
        idle.append(connection)
        while idle and (idle[0].lost or idle[0].idle_since + self._idle_seconds <= now):
            idle.popleft().abort()

    async def _open(self, origin: Origin, deadline: float, nothing: Stamps, clock: Callable[[], float]) -> _Connection:
        """A new connection, ready to be written to. Raises NotWritten."""
        scheme, host, port = origin
        place = f"{host}:{port}"
        self._make_room(place, nothing)
        loop = asyncio.get_running_loop()
        secure = scheme == "https"
        self._opening += 1
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._connect_seconds)):
                _, connection = await loop.create_connection(
                    lambda: _Connection(clock, self._living),
                    host,
                    port,
                    ssl=self._tls_context() if secure else None,
                    server_hostname=host if secure else None,
                )
        except TimeoutError as error:
            raise NotWritten(f"{place}: no connection in time", phase=Phase.CONNECT, stamps=nothing) from error
        except (OSError, ValueError, OverflowError) as error:
            cut = secure and isinstance(error, (ssl.SSLError, ConnectionResetError, ConnectionAbortedError))
            phase = Phase.TLS if cut else Phase.CONNECT
            raise NotWritten(f"{place}: {error}", phase=phase, stamps=nothing) from error
        finally:
            self._opening -= 1
        if not connection.open:
            raise NotWritten(f"{place}: closed before anything was written", phase=Phase.CONNECT, stamps=nothing)
        return connection

    def _make_room(self, place: str, nothing: Stamps) -> None:
        if len(self._living) + self._opening < self._max_connections:
            return
        for idle in self._idle.values():  # another host of the same vendor may keep connections it does not use
            if idle:
                spare = idle.popleft()
                self._living.discard(spare)
                spare.abort()
                return
        raise NotWritten(f"{place}: {self._max_connections} connections in use", phase=Phase.POOL, stamps=nothing)

    def _tls_context(self) -> ssl.SSLContext:
        if self._ssl_context is None:  # made when first needed: reading the certificates takes tens of milliseconds
            self._ssl_context = httpx.create_ssl_context(trust_env=False)
        return self._ssl_context


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """The loop's own clock, or the same time line read finely where the loop counts milliseconds (uvloop)."""
    return loop.time if isinstance(loop, asyncio.BaseEventLoop) else monotonic


async def _in_bytes(request: httpx.Request, nothing: Stamps) -> tuple[Origin, bytes]:
    """Where a request goes, and every byte of it (RFC 9112). Raises Malformed."""

    def malformed(why: str) -> Malformed:
        return Malformed(why, phase=Phase.REQUEST, stamps=nothing)

    try:
        body = request.content
    except httpx.RequestNotRead:
        body = await request.aread()
    url = request.url
    if url.scheme not in ("http", "https") or not url.host:
        raise malformed(f"scheme {url.scheme!r}, host {url.host!r}: want http or https and a host")
    length = str(len(body)).encode()
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii", "replace"), url.raw_path)]
    sized = not body
    for name, value in request.headers.raw:
        match name.lower():
            case b"transfer-encoding":
                continue  # the body is in hand, so its length is known
            case b"content-length" if value != length:
                raise malformed(f"content-length says {value.decode('latin-1')}, the body has {len(body)} bytes")
            case b"content-length":
                sized = True
        lines.append(name + b": " + value)
    if not sized:
        lines.append(b"Content-Length: " + length)
    head = b"\r\n".join(lines)
    if lines[0].count(b" ") != 2 or re.search(rb"[\r\n\0]", b"".join(lines)):
        raise malformed("a line break, a zero byte or a stray blank in the request's head")
    origin = url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
    return origin, head + b"\r\n\r\n" + body


def _response(request: httpx.Request, exchange: _Exchange, extensions: dict[str, Any]) -> httpx.Response:
    """What httpx gets to see. Raises Unanswered, Unreadable or TooLarge."""
    reply, stamps = exchange.reply, exchange.stamps
    if reply.refusal is not None:
        kind, why = reply.refusal
        raise kind(f"answer: {why}", phase=reply.phase, stamps=stamps, received=reply.kept)
    if not reply.complete:
        why = "no answer" if reply.phase is Phase.WAIT else "no whole answer"
        raise Unanswered(f"{why} before the end", phase=reply.phase, stamps=stamps, received=reply.kept)
    try:
        headers, body = reply.content()
        stream = httpx.ByteStream(body)
        response = httpx.Response(reply.status, headers=headers, stream=stream, request=request, extensions=extensions)
        if response.has_redirect_location:  # httpx parses it even when told not to follow
            request.url.join(response.headers["location"])
    except OverflowError as error:
        raise TooLarge(f"answer: {error}", phase=Phase.BODY, stamps=stamps, received=reply.kept) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise Unreadable(f"answer: {error}", phase=Phase.BODY, stamps=stamps, received=reply.kept) from error
    return response
