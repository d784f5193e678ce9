"""Lets the sandbox's world answer: in memory, in whatever time the loop keeps, or on real loopback ports.

`<label>.sandbox` is an account's endpoint, `<phone id>.sandbox` a phone's pull API. Both ways share every answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import httptools
import httpx

from vendors.sandbox.gateway import open_gateway
from vendors.sandbox.world import Fault, Post, World

DOMAIN: Final = ".sandbox"
SILENCE_SECONDS: Final = 30.0  # how long a vendor that will not answer keeps the line open
MOST_HEAD_BYTES: Final = 64 * 1024
MOST_BODY_BYTES: Final = 1024 * 1024
IDLE_SECONDS: Final = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Four instants of an exchange, in seconds on the loop's time line; None where it did not come to that."""

    planned: float | None = None
    written: float | None = None
    first_byte: float | None = None
    done: float | None = None

    @property
    def lag(self) -> float | None:
        """The caller's own lateness in seconds, written - planned."""
        return None if self.written is None or self.planned is None else self.written - self.planned

    @property
    def answer_time(self) -> float | None:
        """The vendor's time in seconds, first byte - written."""
        return None if self.first_byte is None or self.written is None else self.first_byte - self.written


class NoConnection(httpx.ConnectError):
    """Nobody took the connection: surely nothing was written."""

    written = False

    def __init__(self, detail: str, *, stamps: Stamps, request: httpx.Request | None = None) -> None:
        super().__init__(detail, request=request)
        self.stamps, self.received = stamps, b""


class Silence(httpx.ReadTimeout):
    """The request was read and no answer came: it may have been carried out."""

    written = True

    def __init__(self, detail: str, *, stamps: Stamps, request: httpx.Request | None = None) -> None:
        super().__init__(detail, request=request)
        self.stamps, self.received = stamps, b""


class WorldTransport(httpx.AsyncBaseTransport):
    """An httpx transport whose far end is the world.

    A request may carry extensions: `planned` (seconds on the loop's line) and `tls_maximum` ("TLSv1.1": the highest
    version offered). A response carries `stamps: Stamps` and `tls_version` (None over plain HTTP). Raises
    NoConnection and Silence, both with `written`.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        loop = asyncio.get_running_loop()
        planned = request.extensions.get("planned")
        name = request.url.host.removesuffix(DOMAIN)
        nothing = Stamps(planned=planned)
        if name in self._world.phones:
            written = loop.time()
            response = self._world.answer_phone(name, request)
            if response is None:
                raise NoConnection(f"{name} is down", stamps=nothing, request=request)
            version = None
        elif name in self._world.accounts:
            version = self._handshake(name, request, nothing)
            written = loop.time()
            response = await self._vendor(name, request, Stamps(planned=planned, written=written))
        else:
            raise NoConnection(f"no host {request.url.host} in this world", stamps=nothing, request=request)
        now = loop.time()
        response.extensions["stamps"] = Stamps(planned=planned, written=written, first_byte=now, done=now)
        response.extensions["tls_version"] = version
        return response

    def _handshake(self, label: str, request: httpx.Request, stamps: Stamps) -> str | None:
        """The TLS version both sides take, by the account's options `tls_min`, `tls_max` and `plain_http`."""
        options = self._world.accounts[label].options
        if request.url.scheme == "http":
            if options.get("plain_http", "accepted") == "refused":
                raise NoConnection(f"{label} takes no plain HTTP", stamps=stamps, request=request)
            return None
        lowest, highest = options.get("tls_min", "TLSv1.2"), options.get("tls_max", "TLSv1.3")
        offered = str(request.extensions.get("tls_maximum", "TLSv1.3"))
        agreed = min(offered, highest)  # "TLSv1" < "TLSv1.1" < "TLSv1.2" < "TLSv1.3"
        if agreed < lowest:
            raise NoConnection(f"{label} takes nothing below {lowest}", stamps=stamps, request=request)
        return agreed

    async def _vendor(self, label: str, request: httpx.Request, stamps: Stamps) -> httpx.Response:
        fault, seconds = self._world.next_call(label)
        if fault is Fault.REFUSED:
            nothing = Stamps(planned=stamps.planned)
            raise NoConnection(f"{label} refused the connection", stamps=nothing, request=request)
        response = self._world.answer(label, request, fault)
        if fault in (Fault.SILENT, Fault.SILENT_TAKEN):
            await asyncio.sleep(_patience(request))
            raise Silence(f"{label} did not answer", stamps=stamps, request=request)
        await asyncio.sleep(seconds)
        return response


def _patience(request: httpx.Request) -> float:
    """What the caller's own time-out allows, if it set one."""
    timeout = request.extensions.get("timeout")
    read = timeout.get("read") if isinstance(timeout, Mapping) else None
    return float(read) if isinstance(read, int | float) else SILENCE_SECONDS


# Real ports -----------------------------------------------------------------------------------------------------------

Answer = Callable[[httpx.Request], Awaitable[httpx.Response | None]]
"""Answers a whole request; None closes the connection without a word."""


@dataclass(slots=True, kw_only=True)
class Serving:
    """A world on real ports. `addresses`: label → base URL, and "phones" → base URL of all phones."""

    world: World
    addresses: Mapping[str, str]
    _servers: list[asyncio.Server] = field(repr=False)
    _playing: asyncio.Task[None] = field(repr=False)
    _client: httpx.AsyncClient = field(repr=False)
    _connections: set[asyncio.Task[None]] = field(repr=False)

    async def close(self) -> None:
        """Stop listening and playing. The world itself stays as it is."""
        for server in self._servers:
            server.close()
        for task in (self._playing, *self._connections):
            task.cancel()
        for gateway in self.world.gateways.values():
            await gateway.close()
        await asyncio.gather(self._playing, *self._connections, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        await self._client.aclose()


async def serve(
    world: World,
    *,
    clock: Callable[[], datetime],
    ports: Mapping[str, int] | None = None,
    inbox_url: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Serving:
    """Open one loopback port for each account and one for all phones, and play the world in real time.

    `clock`: wall time, aware, UTC. `ports`: label or "phones" → port; what is missing gets a free one. `inbox_url`:
    where pushes and sightings go; None leaves the world's own. Phones are told apart by the first part of the path.
    A gateway's address is its port's too, tcp:// or tls://. Raises OSError if a port is taken.
    """
    world.clock = clock
    if inbox_url is not None:
        world.open_inbox(inbox_url)
    answers: dict[str, Answer] = {
        label: _vendor_answer(world, label) for label in world.accounts if label not in world.gateways
    }
    answers["phones"] = _phone_answer(world)
    addresses, servers = dict[str, str](), list[asyncio.Server]()
    connections: set[asyncio.Task[None]] = set()
    try:
        for name in world.gateways:
            server, addresses[name] = await open_gateway(world, name, (ports or {}).get(name, 0), tls=tls)
            servers.append(server)
        for name, answer in answers.items():
            port = (ports or {}).get(name, 0)
            server = await asyncio.start_server(_connection(answer, connections), "127.0.0.1", port, ssl=tls)
            servers.append(server)
            scheme = "https" if tls else "http"
            addresses[name] = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    except OSError:
        for server in servers:
            server.close()
        raise
    client = httpx.AsyncClient(trust_env=False, timeout=SILENCE_SECONDS)

    async def deliver(post: Post) -> httpx.Response:
        return await client.request(post.method, post.url, headers=dict(post.headers), content=post.content)

    playing = asyncio.get_running_loop().create_task(world.run(deliver))
    return Serving(
        world=world,
        addresses=addresses,
        _servers=servers,
        _playing=playing,
        _client=client,
        _connections=connections,
    )


def _vendor_answer(world: World, label: str) -> Answer:
    async def answer(request: httpx.Request) -> httpx.Response | None:
        fault, seconds = world.next_call(label)
        if fault is Fault.REFUSED:  # the connection already stands; closing it unread is as near as we come
            return None
        response = world.answer(label, request, fault)
        silent = fault in (Fault.SILENT, Fault.SILENT_TAKEN)
        await asyncio.sleep(SILENCE_SECONDS if silent else seconds)
        return None if silent else response

    return answer


def _phone_answer(world: World) -> Answer:
    async def answer(request: httpx.Request) -> httpx.Response | None:
        name = request.url.path.split("/")[1]
        if name not in world.phones:
            return httpx.Response(404, json={"message": "no such phone"})
        return world.answer_phone(name, request)

    return answer


class _Incoming:
    """Collects one request after another from the bytes of a connection (httptools' callbacks)."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.whole: list[httpx.Request] = []
        self.keep_alive = True
        self.head_bytes = 0
        self.in_head = True
        self.expects_continue = False
        self._begin()

    def _begin(self) -> None:
        self._url, self._headers, self._body = b"", list[tuple[bytes, bytes]](), bytearray()

    def on_message_begin(self) -> None:
        self.in_head = True
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.in_head, self.head_bytes = False, 0
        self.keep_alive = self.parser.should_keep_alive()
        self.expects_continue = any(
            name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self._headers
        )

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > MOST_BODY_BYTES:
            raise ValueError("body is too large")

    def on_message_complete(self) -> None:
        host = dict((name.lower(), value) for name, value in self._headers).get(b"host", b"127.0.0.1")
        url = httpx.URL(f"http://{host.decode('latin-1')}").join(self._url.decode("latin-1"))
        method = self.parser.get_method().decode()
        self.whole.append(httpx.Request(method, url, headers=self._headers, content=bytes(self._body)))


def _connection(
    answer: Answer, connections: set[asyncio.Task[None]]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            connections.add(task)
        try:
            await _talk(reader, writer, answer)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            pass  # the other side went away
        except asyncio.CancelledError:
            # We are being closed. Python 3.11's stream server asks a cancelled task for its exception and logs a crash.
            pass
        finally:
            if task is not None:
                connections.discard(task)
            writer.close()

    return talk


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    """HTTP/1.1 on one connection, one request at a time."""
    incoming = _Incoming()
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            data = await reader.read(64 * 1024)
        if not data:
            return
        incoming.head_bytes += len(data) if incoming.in_head else 0
        try:
            if incoming.head_bytes > MOST_HEAD_BYTES:
                raise ValueError("head is too large")
            incoming.parser.feed_data(data)
        except (httptools.HttpParserError, httpx.InvalidURL, ValueError):
            writer.write(_in_bytes(httpx.Response(400, text="Bad Request"), method="GET", keep_alive=False))
            await writer.drain()
            return
        if incoming.expects_continue and not incoming.whole:
            incoming.expects_continue = False
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while incoming.whole:
            request = incoming.whole.pop(0)
            response = await answer(request)
            if response is None:
                return
            writer.write(_in_bytes(response, method=request.method, keep_alive=incoming.keep_alive))
            await writer.drain()
            if not incoming.keep_alive:
                return


def _in_bytes(response: httpx.Response, *, method: str, keep_alive: bool) -> bytes:
    """A whole answer with its length; hop-by-hop headers are ours."""
    body = response.content
    ours = {b"content-length", b"transfer-encoding", b"connection"}
    lines = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}".encode("latin-1", "replace")]
    lines += [name + b": " + value for name, value in response.headers.raw if name.lower() not in ours]
    lines.append(b"content-length: " + str(len(body)).encode())
    lines.append(b"connection: " + (b"keep-alive" if keep_alive else b"close"))
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    return head if method == "HEAD" or response.status_code in (204, 304) else head + body
