"""The stopwatch against hostile vendors on loopback. What the vendor read is the judge of what was sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from httptools import HttpResponseParser
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.run.probes import Handshake, probe_tls, read_certificate
from harness.run.wire import Malformed, NotWritten, Phase, Stamps, TooLarge, Unanswered, Unreadable, Wire, WireError

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

zipped = partial(gzip.compress, mtime=0)  # the same bytes whenever tests are collected
LOOPS: list[Any] = [pytest.param(asyncio.SelectorEventLoop, id="stdlib")]
if uvloop is not None:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
MEGABYTE = 1024 * 1024

Behaviour = Callable[["Vendor", asyncio.StreamWriter, int], Awaitable[None]]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[Any]], Any]]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


class Vendor:
    """A raw server. `behave` is called once a request is read, with the request's number on its connection."""

    def __init__(self, behave: Behaviour | None, *, tls: ssl.SSLContext | None = None) -> None:
        self.behave, self.tls = behave, tls
        self.log: list[bytes] = []
        self.connections = self.ended = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Vendor:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls, limit=MEGABYTE)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/send"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            if self.behave is None:
                return
            nth = 0
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                size = int(length[0].split(b":")[1]) if length else 0
                self.log.append(head + await reader.readexactly(size if size <= MEGABYTE else 0))
                nth += 1
                await self.behave(self, writer, nth)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ssl.SSLError):
            pass
        finally:
            self.ended += 1
            writer.transport.abort()


def replies(*answers: bytes, then_close: bool = False) -> Behaviour:
    async def behave(vendor: Vendor, writer: asyncio.StreamWriter, nth: int) -> None:
        writer.write(answers[min(nth, len(answers)) - 1])
        await writer.drain()
        if then_close:
            writer.close()
            await asyncio.sleep(0.05)

    return behave


async def hangs(vendor: Vendor, writer: asyncio.StreamWriter, nth: int) -> None:
    await asyncio.sleep(60)


@contextlib.asynccontextmanager
async def line(behave: Behaviour | None, **options: Any) -> AsyncIterator[tuple[Vendor, httpx.AsyncClient]]:
    tls = options.pop("tls", None)
    options = {"deadline_seconds": 5.0} | options
    async with (
        Vendor(behave, tls=tls) as vendor,
        httpx.AsyncClient(transport=Wire(**options), trust_env=False) as client,
    ):
        yield vendor, client


async def trouble(call: Awaitable[httpx.Response]) -> WireError:
    with pytest.raises(WireError) as caught:
        await call
    return caught.value


# What httpx promises stays true


def test_an_ordinary_exchange_gives_the_answer_and_its_stamps(run):
    async def scene():
        async with line(
            replies(b"HTTP/1.1 202 Fine\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\n\xe5\x8f\x91!")
        ) as (
            vendor,
            client,
        ):
            planned = asyncio.get_running_loop().time()
            reply = await client.post(vendor.url, json={"a": 1}, extensions={"planned": planned})
        assert (reply.status_code, reply.reason_phrase, reply.http_version) == (202, "Fine", "HTTP/1.1")
        assert reply.text == "发!"
        assert reply.headers.get_list("x-a") == ["1", "2"]
        assert reply.elapsed > timedelta(0)
        stamps = reply.extensions["stamps"]
        assert stamps.planned == planned
        assert planned - 0.002 <= stamps.written < stamps.first_byte <= stamps.done
        assert stamps.lag == stamps.written - planned
        assert stamps.answer_time == stamps.first_byte - stamps.written
        assert vendor.log[0].startswith(b"POST /send HTTP/1.1\r\n")
        assert vendor.log[0].endswith(b'\r\n\r\n{"a":1}')

    run(scene())


def test_stamps_are_finer_than_the_millisecond_that_uvloop_counts(run):
    async def scene():
        async with line(replies(OK)) as (vendor, client):
            written = [(await client.get(vendor.url)).extensions["stamps"].written for _ in range(5)]
        assert any(abs(instant * 1000 - round(instant * 1000)) > 1e-3 for instant in written)

    run(scene())


def test_a_clock_handed_in_is_the_one_that_stamps(run):
    ticks = iter(range(100))

    async def scene():
        async with line(replies(OK), clock=lambda: float(next(ticks))) as (vendor, client):
            await client.get(vendor.url)
            reply = await client.get(vendor.url)
        stamps = reply.extensions["stamps"]
        assert stamps.answer_time == 1.0
        assert stamps.lag is None

    run(scene())


def test_only_what_the_request_holds_goes_out(run):
    async def scene():
        async with line(replies(OK)) as (vendor, _):
            request = httpx.Request("POST", vendor.url, content=b"x=1", headers={"X-Sign": "abc"})
            async with Wire() as wire:
                reply = await wire.handle_async_request(request)
            assert await reply.aread() == b"OK"
            assert reply.request is request
        head, body = vendor.log[0].split(b"\r\n\r\n")
        names = {row.split(b":")[0].lower() for row in head.split(b"\r\n")[1:]}
        assert names == {b"host", b"content-length", b"x-sign"}
        assert body == b"x=1"

    run(scene())


def test_a_body_made_by_a_generator_is_sent_with_its_length(run):
    async def parts():
        yield b"one"
        yield b"two"

    async def scene():
        async with line(replies(OK)) as (vendor, client):
            await client.post(vendor.url, content=parts())
        assert vendor.log[0].endswith(b"\r\n\r\nonetwo")
        assert b"transfer-encoding" not in vendor.log[0].lower()

    run(scene())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 None\r\n\r\n", b""),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + OK, b"OK"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + zipped(b"small"),
            b"small",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n\r\n" + zlib.compress(b"small"),
            b"small",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n\r\n"
            + zlib.compress(b"small", wbits=-15),
            b"small",
        ),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx", b"x"),
    ],
)
def test_every_lawful_shape_of_answer_is_read_once(run, answer, body):
    async def scene():
        async with line(replies(answer, then_close=True)) as (vendor, client):
            reply = await client.post(vendor.url, content=b"x")
        assert reply.content == body
        assert len(vendor.log) == 1
        assert "content-encoding" not in reply.headers

    run(scene())


def test_an_interim_answer_does_not_stop_the_watch(run):
    async def behave(vendor, writer, nth):
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.write(OK)

    async def scene():
        async with line(behave) as (vendor, client):
            reply = await client.post(vendor.url, content=b"x")
        assert reply.extensions["stamps"].answer_time > 0.09
        assert "link" not in reply.headers
        assert reply.reason_phrase == "OK"

    run(scene())


def test_an_answer_to_head_has_no_body_whatever_its_length_says(run):
    async def scene():
        async with line(replies(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as (vendor, client):
            assert (await client.head(vendor.url)).content == b""
            assert (await client.head(vendor.url)).extensions["connection_reused"] is False

    run(scene())


# Connections


def test_a_kept_connection_serves_one_after_the_other_and_concurrency_opens_more(run):
    async def behave(vendor, writer, nth):
        await asyncio.sleep(0.02)
        writer.write(OK)

    async def scene():
        async with line(behave) as (vendor, client):
            first = await client.get(vendor.url)
            second = await client.get(vendor.url)
            assert vendor.connections == 1
            assert [r.extensions["connection_reused"] for r in (first, second)] == [False, True]
            assert first.extensions["connect_seconds"] > 0
            assert second.extensions["connect_seconds"] is None
            await asyncio.gather(*(client.get(vendor.url) for _ in range(5)))
            assert vendor.connections == 5

    run(scene())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        OK + OK,  # bytes nobody asked for: the next request must not read them as its answer
        OK + b"\x00",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(run, answer):
    async def scene():
        async with line(replies(answer)) as (vendor, client):
            for _ in range(2):
                reply = await client.get(vendor.url)
                assert reply.content == b"OK"
                assert reply.extensions["connection_reused"] is False
        assert len(vendor.log) == 2

    run(scene())


def test_bytes_that_come_while_idle_end_the_connection(run):
    async def behave(vendor, writer, nth):
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")

    async def scene():
        async with line(behave) as (vendor, client):
            await client.get(vendor.url)
            await asyncio.sleep(0.06)
            reply = await client.get(vendor.url)
        assert reply.content == b"OK"
        assert reply.extensions["connection_reused"] is False

    run(scene())


def test_a_kept_connection_closed_while_idle_costs_nothing(run):
    async def scene():
        async with line(replies(OK, then_close=True)) as (vendor, client):
            await client.post(vendor.url, content=b"1")
            await asyncio.sleep(0.02)
            reply = await client.post(vendor.url, content=b"2")
        assert reply.extensions["connection_reused"] is False
        assert [request[-1:] for request in vendor.log] == [b"1", b"2"]

    run(scene())


@pytest.mark.skipif(not hasattr(__import__("select"), "poll"), reason="the kernel cannot be asked here")
def test_a_close_the_loop_has_not_yet_heard_of_is_seen_before_writing(run):
    read: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5)

    def serve() -> None:
        for _ in range(2):
            peer, _address = server.accept()
            with peer:
                read.append(peer.recv(65536))
                peer.sendall(OK)

    thread = threading.Thread(target=serve)
    thread.start()

    async def scene():
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        async with httpx.AsyncClient(transport=Wire(deadline_seconds=5), trust_env=False) as client:
            await client.get(url)
            time.sleep(0.05)  # the loop is busy elsewhere, and cannot hear
            reply = await client.get(url)
        assert reply.extensions["connection_reused"] is False

    run(scene())
    thread.join()
    server.close()
    assert len(read) == 2


def test_a_connection_idle_for_too_long_is_replaced(run):
    async def scene():
        async with line(replies(OK), idle_seconds=0.03) as (vendor, client):
            await client.get(vendor.url)
            await asyncio.sleep(0.06)
            await client.get(vendor.url)
        assert vendor.connections == 2

    run(scene())


def test_no_idle_time_means_a_connection_for_every_request(run):
    async def scene():
        async with line(replies(OK), idle_seconds=0.0) as (vendor, client):
            for _ in range(3):
                await client.get(vendor.url)
        assert vendor.connections == 3

    run(scene())


def test_beyond_the_cap_a_request_is_refused_at_once_rather_than_queued(run):
    async def scene():
        async with line(hangs, max_connections=2, deadline_seconds=0.3) as (vendor, client):
            waiting = [asyncio.ensure_future(trouble(client.get(vendor.url))) for _ in range(2)]
            await asyncio.sleep(0.05)
            began = time.perf_counter()
            refused = await trouble(client.get(vendor.url))
            assert time.perf_counter() - began < 0.1
            assert isinstance(refused, NotWritten)
            assert refused.phase is Phase.POOL
            assert [error.written for error in await asyncio.gather(*waiting)] == [True, True]
            assert len(vendor.log) == 2

    run(scene())


def test_connections_idle_at_another_host_make_room(run):
    async def scene():
        async with line(replies(OK), max_connections=1) as (vendor, client), Vendor(replies(OK)) as other:
            assert (await client.get(vendor.url)).content == b"OK"
            assert (await client.get(other.url)).content == b"OK"

    run(scene())


def test_a_cancelled_call_leaves_no_half_used_connection_behind(run):
    async def behave(vendor, writer, nth):
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % len(vendor.log))

    async def scene():
        async with line(behave) as (vendor, client):
            call = asyncio.ensure_future(client.get(vendor.url))
            await asyncio.sleep(0.02)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            reply = await client.get(vendor.url)
        assert reply.content == b"2"
        assert vendor.connections == 2

    run(scene())


def test_closing_the_wire_ends_what_is_under_way_as_in_doubt(run):
    async def scene():
        wire = Wire()
        async with Vendor(hangs) as vendor:
            call = asyncio.ensure_future(trouble(wire.handle_async_request(httpx.Request("GET", vendor.url))))
            while not vendor.log:
                await asyncio.sleep(0.005)
            await wire.aclose()
            assert isinstance(await call, Unanswered)

    run(scene())


def test_a_connection_that_opens_while_the_wire_closes_does_not_stay(run):
    async def scene():
        async with Vendor(replies(OK)) as vendor:
            wire = Wire()
            call = asyncio.ensure_future(wire.handle_async_request(httpx.Request("GET", vendor.url)))
            await asyncio.sleep(0)
            await wire.aclose()
            await asyncio.wait([call])
            await asyncio.sleep(0.05)
            assert vendor.ended == vendor.connections

    run(scene())


def test_answers_do_not_wait_for_the_garbage_collector(run):
    async def scene():
        async with Vendor(replies(OK)) as vendor, Wire() as wire:
            for _ in range(20):
                await wire.handle_async_request(httpx.Request("GET", vendor.url))
            return sum(type(thing) is HttpResponseParser for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        assert run(scene()) <= 1
    finally:
        gc.enable()


# Never twice (N2)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_vendor_that_closes_after_reading_gets_the_message_once(run, method, kept, how):
    async def behave(vendor, writer, nth):
        if kept and nth == 1:
            writer.write(OK)
            return
        if how == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def scene():
        async with line(behave) as (vendor, client):
            if kept:
                await client.request(method, vendor.url)
            error = await trouble(client.request(method, vendor.url))
        assert isinstance(error, Unanswered)
        assert error.written
        assert error.phase is Phase.WAIT
        assert error.stamps.written is not None
        assert error.stamps.done is None
        assert len(vendor.log) == 1 + kept
        assert vendor.connections == 1

    run(scene())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(run, status):
    async def scene():
        answer = b"HTTP/1.1 %d Gone\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status
        async with line(replies(answer)) as (vendor, client):
            reply = await client.post(vendor.url, content=b"x")
        assert reply.status_code == status
        assert len(vendor.log) == 1

    run(scene())


def test_an_answer_before_the_request_has_left_counts_and_the_connection_does_not(run):
    async def behave(vendor, writer, nth):
        if len(vendor.log) > 1:
            writer.write(OK)
            return
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(60)

    async def scene():
        async with line(behave) as (vendor, client):
            # The vendor reads no body that claims more than a megabyte, so most of this one stays with us.
            reply = await client.post(vendor.url, content=bytes(32 * MEGABYTE))
            assert reply.status_code == 413
            assert (await client.get(vendor.url)).extensions["connection_reused"] is False

    run(scene())


# Surely not sent (N3)


def test_a_refused_connection_is_surely_not_sent(run):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def scene():
        async with httpx.AsyncClient(transport=Wire(), trust_env=False) as client:
            error = await trouble(client.post(f"http://127.0.0.1:{port}/", extensions={"planned": 1.5}))
        assert isinstance(error, NotWritten)
        assert not error.written
        assert error.phase is Phase.CONNECT
        assert error.stamps == Stamps(planned=1.5)

    run(scene())


def test_an_unknown_name_is_surely_not_sent():
    async def scene():
        loop = asyncio.get_running_loop()

        async def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        loop.getaddrinfo = unknown  # type: ignore[method-assign, assignment]
        async with httpx.AsyncClient(transport=Wire(), trust_env=False) as client:
            error = await trouble(client.get("http://vendor.invalid/"))
        assert isinstance(error, NotWritten)
        assert "vendor.invalid:80" in str(error)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(scene())


def test_a_connection_that_does_not_come_in_time_is_surely_not_sent(run):
    # A full backlog: the kernel lets further connections wait.
    with socket.socket() as server, contextlib.ExitStack() as fillers:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(server.getsockname())

        async def scene():
            async with httpx.AsyncClient(transport=Wire(connect_seconds=0.2), trust_env=False) as client:
                error = await trouble(client.get(f"http://127.0.0.1:{server.getsockname()[1]}/"))
            assert isinstance(error, NotWritten)
            assert error.phase is Phase.CONNECT

        run(scene())


def test_a_vendor_that_closes_before_reading_has_read_nothing(run):
    async def scene():
        async with line(None) as (vendor, client):
            error = await trouble(client.post(vendor.url, content=b"x"))
        # Either we saw the close in time, or bytes had left: both are true, "answered" would not be.
        assert isinstance(error, NotWritten | Unanswered)
        assert error.written == (error.stamps.written is not None)
        assert vendor.connections == 1

    run(scene())


@pytest.mark.parametrize(
    "request_",
    [
        lambda url: httpx.Request("POST", url, headers=[(b"X-A", b"1\r\nX-B: 2")]),
        lambda url: httpx.Request("POST", url, headers=[(b"X-A\n", b"1")]),
        lambda url: httpx.Request("POST", url, headers=[(b"X-A", b"\0")]),
        lambda url: httpx.Request("GET / HTTP/1.1\r\nX:", url),
        lambda url: httpx.Request("GET x", url),
        lambda url: httpx.Request("POST", url, content=b"abc", headers={"Content-Length": "2"}),
        lambda url: httpx.Request("GET", "ftp://127.0.0.1/"),
    ],
)
def test_a_request_that_would_bend_the_wire_is_not_written(run, request_):
    async def scene():
        async with line(replies(OK)) as (vendor, _), Wire() as wire:
            error = await trouble(wire.handle_async_request(request_(vendor.url)))
        assert isinstance(error, Malformed)
        assert not error.written
        assert vendor.connections == 0

    run(scene())


# Slow, large and broken answers (N6, N7, N8)


@pytest.mark.parametrize(
    ("first", "phase"),
    [(b"", Phase.WAIT), (b"HTTP/1.1 200 OK\r\nX-", Phase.HEAD), (b"HTTP/1.1 200 OK\r\n\r\n", Phase.BODY)],
)
def test_a_trickle_ends_at_the_deadline(run, first, phase):
    async def behave(vendor, writer, nth):
        writer.write(first)
        while True:
            await asyncio.sleep(0.02)
            if phase is not Phase.WAIT:
                writer.write(b"a")

    async def scene():
        async with line(behave, deadline_seconds=0.3) as (vendor, client):
            began = time.perf_counter()
            error = await trouble(client.post(vendor.url, content=b"x"))
            assert 0.25 < time.perf_counter() - began < 0.6
        assert isinstance(error, Unanswered)
        assert error.phase is phase
        assert (error.stamps.first_byte is None) == (phase is Phase.WAIT)
        assert error.received.startswith(first)

    run(scene())


def endless(head: bytes, unit: bytes) -> Behaviour:
    async def behave(vendor: Vendor, writer: asyncio.StreamWriter, nth: int) -> None:
        writer.write(head)
        for _ in range(300 * MEGABYTE // len(unit)):
            writer.write(unit)
            await writer.drain()

    return behave


BOMB = gzip.compress(bytes(64 * MEGABYTE))


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)), id="endless body"),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nContent-Length: 314572800\r\n\r\n", bytes(65536)), id="300 MB declared"
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n" + bytes(1024) + b"\r\n"),
            id="endless chunks",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 999 + b"\r\na\r\n"),
            id="chunk extensions",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 999), id="trailers"
        ),
        pytest.param(endless(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536), id="one header without end"),
        pytest.param(endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000), id="headers without end"),
        pytest.param(endless(b"HTTP/1.1 200 ", b"a" * 65536), id="reason without end"),
        pytest.param(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), id="interim flood"),
        pytest.param(endless(b"", b"\r\n" * 10000), id="blank lines"),
        pytest.param(replies(b"HTTP/1.1 200 OK\r\nX: " + bytes(5 * MEGABYTE)), id="5 MB header of zeros"),
        pytest.param(
            replies(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
            id="gzip bomb",
        ),
    ],
)
def test_an_answer_without_measure_is_cut_off_in_little_memory(run, behave):
    async def scene():
        async with line(behave) as (vendor, client):
            tracemalloc.start()
            error = await trouble(client.post(vendor.url, content=b"x"))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert isinstance(error, Unreadable)
        assert isinstance(error, TooLarge) or "not HTTP" in str(error)
        assert error.written
        assert len(error.received) <= 4096
        assert peak < 12 * MEGABYTE
        assert len(vendor.log) == 1

    run(scene())


@pytest.mark.parametrize("size", [100, 101])
def test_the_body_cap_is_exact_and_counts_inflated_bytes(run, size):
    packed = gzip.compress(bytes(size))
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed,
    ]

    async def scene():
        for answer in answers:
            async with line(replies(answer), body_cap=100) as (vendor, client):
                if size == 100:
                    assert len((await client.get(vendor.url)).content) == 100
                else:
                    assert isinstance(await trouble(client.get(vendor.url)), TooLarge)

    run(scene())


def test_the_head_cap_counts_the_head_alone_however_the_bytes_arrive(run):
    def answer(size: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\nX: " + b"a" * size + b"\r\n\r\n" + bytes(9000)

    async def scene():
        async with line(replies(answer(100), answer(200)), header_cap=200) as (vendor, client):
            assert len((await client.get(vendor.url)).content) == 9000
            assert isinstance(await trouble(client.get(vendor.url)), TooLarge)

    run(scene())


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03\x01 this is no HTTP",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n" + OK,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nPRI",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
        chunked(b"zz\r\nabc\r\n"),
        chunked(b"3\r\nabcd\r\n0\r\n\r\n"),
        chunked(b"-1\r\nabc\r\n0\r\n\r\n"),
        chunked(b"ffffffffffffffffff\r\n"),
        chunked(b"3\r\nabc\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + zipped(b"whole")[:15],
        b"HTTP/1.1 302 Found\r\nLocation: http://[::\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_read_is_in_doubt_and_keeps_its_bytes(run, answer):
    async def scene():
        async with line(replies(answer, then_close=True)) as (vendor, client):
            error = await trouble(client.post(vendor.url, content=b"x"))
        assert isinstance(error, Unreadable)
        assert error.written
        assert error.received == answer
        assert error.stamps.written is not None
        assert error.stamps.first_byte is not None
        assert len(vendor.log) == 1

    run(scene())


def test_a_body_longer_than_its_length_is_cut_to_it_and_the_rest_reaches_nobody(run):
    async def scene():
        async with line(replies(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKOK", OK)) as (vendor, client):
            assert (await client.get(vendor.url)).content == b"OK"
            assert (await client.get(vendor.url)).content == b"OK"
        assert vendor.connections == 2

    run(scene())


# A wild reply ends as a response or as a typed error, and as nothing else.

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 101 Up\r\n",
        b"HTTP/1.1 204 No\r\n", b"HTTP/1.1 302 Found\r\n", b"HTTP/2 999 \xff\r\n", b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: deflate\r\n", b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: x\r\n",
        b"Set-Cookie: a=b; expires=\xff\r\n", b"Content-Type: text/html; charset=\xfe\r\n", b"Location: //[\r\n",
        b"Location: \xe5\xff\r\n", b"\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", zipped(b"abc"),
        zlib.compress(b"abc"), b" folded\r\n", b": \r\n", b"\0", b"\n",
    ]
)  # fmt: skip
WILD = st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join) | st.binary(max_size=200)


@pytest.fixture(scope="module")
def arena() -> Iterator[Callable[..., None]]:
    """A vendor that answers with the bytes it is told to, in the pieces it is told to, over and over."""
    state: dict[str, Any] = {}

    async def behave(vendor: Vendor, writer: asyncio.StreamWriter, nth: int) -> None:
        for start, stop in pairwise(state["cuts"]):
            writer.write(state["answer"][start:stop])
            await asyncio.sleep(0)
        writer.write_eof()

    async def exchange(method: str) -> None:
        async with line(behave, deadline_seconds=2.0) as (vendor, client):
            try:
                reply = await client.request(method, vendor.url, content=b"x")
            except WireError as error:
                assert error.written
                assert error.stamps.written is not None
                assert state["answer"].startswith(error.received)
            else:
                assert 200 <= reply.status_code <= 999
                assert reply.content is not None
                assert reply.extensions["stamps"].done is not None
            assert len(vendor.log) == 1

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:

        def play(method: str, answer: bytes, cuts: list[int]) -> None:
            state.update(answer=answer, cuts=[0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)])
            runner.run(exchange(method))

        yield play


@settings(max_examples=250, deadline=None)
@given(method=st.sampled_from(["GET", "POST", "HEAD"]), answer=WILD, cuts=st.lists(st.integers(0, 400), max_size=4))
def test_any_bytes_end_as_a_response_or_a_typed_error(arena, method, answer, cuts):
    arena(method, answer, cuts)


# TLS (N9)


class Authority:
    """A certificate authority of this test's own."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign("our authority", self.key, authority=True)

    def sign(
        self, name: str, key: Any, *, days: tuple[int, int] = (-2, 2), host: str = "127.0.0.1", authority: bool = False
    ) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        def named(text: str) -> Any:
            return x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "某某科技"),
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, text),
                ]
            )

        now = datetime.now(UTC).replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("our authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())

    def server(self, name: str = "vendor", *, trusted: bool = True, **options: Any) -> ssl.SSLContext:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        signer = self if trusted else Authority(self.folder)
        pem = signer.sign(name, key, **options).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / "server.pem"
        path.write_bytes(private + pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    @property
    def pem(self) -> bytes:
        from cryptography.hazmat.primitives import serialization

        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.pem.decode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    pytest.importorskip("cryptography")
    return Authority(tmp_path_factory.mktemp("tls"))


def test_a_tls_exchange_says_what_was_agreed_on(run, authority):
    async def scene():
        async with line(replies(OK), tls=authority.server(), ssl_context=authority.trust) as (vendor, client):
            first = await client.post(vendor.url, content=b"x")
            second = await client.post(vendor.url, content=b"x")
        tls = first.extensions["tls"]
        assert tls.version == "TLSv1.3"
        assert tls.cipher.startswith("TLS_")
        assert len(tls.certificate_sha256) == 64
        assert second.extensions["tls"] == tls
        assert second.extensions["connection_reused"] is True

    run(scene())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"days": (-9, -1)}, id="expired"),
        pytest.param({"days": (1, 9)}, id="not yet"),
        pytest.param({"host": "127.0.0.2"}, id="wrong name"),
        pytest.param({"trusted": False}, id="unknown authority"),
    ],
)
def test_a_certificate_that_does_not_verify_means_nothing_was_written(run, authority, options):
    async def scene():
        async with line(replies(OK), tls=authority.server(**options), ssl_context=authority.trust) as (vendor, client):
            error = await trouble(client.post(vendor.url, content=b"x"))
        assert isinstance(error, NotWritten)
        assert error.phase is Phase.TLS
        assert vendor.log == []

    run(scene())


def test_verification_is_on_when_nothing_is_said(run, authority):
    async def scene():
        async with line(replies(OK), tls=authority.server()) as (vendor, client):
            assert (await trouble(client.get(vendor.url))).phase is Phase.TLS
        assert vendor.log == []

    run(scene())


def test_a_vendor_without_tls_is_never_spoken_to_in_plain(run, authority):
    read: list[bytes] = []

    async def scene():
        async def serve(reader, writer):
            read.append(await reader.read(65536))
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with httpx.AsyncClient(transport=Wire(ssl_context=authority.trust), trust_env=False) as client:
            error = await trouble(client.post(url, content=b"the message"))
        server.close()
        assert isinstance(error, NotWritten)
        assert error.phase is Phase.TLS

    run(scene())
    assert len(read) == 1
    assert b"the message" not in read[0]


def test_a_handshake_that_stalls_ends_in_time_and_nothing_was_written(run, authority):
    async def scene():
        options = {"connect_seconds": 0.2, "ssl_context": authority.trust}
        async with line(hangs) as (vendor, _), httpx.AsyncClient(transport=Wire(**options), trust_env=False) as client:
            error = await trouble(client.post(vendor.url.replace("http:", "https:"), content=b"x"))
        assert isinstance(error, NotWritten)

    run(scene())


def test_a_connection_cut_within_a_record_is_in_doubt(run, authority):
    async def behave(vendor, writer, nth):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\npart")
        await asyncio.sleep(0.02)
        raw = writer.get_extra_info("socket").fileno()
        with socket.fromfd(raw, socket.AF_INET, socket.SOCK_STREAM) as beneath:
            beneath.send(b"\x17\x03\x03\x00\x50 half a record")
        await asyncio.sleep(0.02)
        writer.transport.abort()

    async def scene():
        async with line(behave, tls=authority.server(), ssl_context=authority.trust) as (vendor, client):
            error = await trouble(client.post(vendor.url, content=b"x"))
        assert isinstance(error, Unreadable | Unanswered)
        assert error.written
        assert error.phase is Phase.BODY
        assert len(vendor.log) == 1

    run(scene())


def versions(lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> dict[str, ssl.TLSVersion]:
    return {"minimum": lowest, "maximum": highest}


def test_a_probe_tells_version_cipher_and_certificate_and_sends_no_request(run, authority):
    async def scene():
        async with Vendor(replies(OK), tls=authority.server("短信 vendor")) as vendor:
            probe = await probe_tls("127.0.0.1", vendor.port, trust=authority.pem)
            older = await probe_tls(
                "127.0.0.1",
                vendor.port,
                trust=authority.pem,
                **versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
            )
        assert (probe.handshake, probe.version, probe.verified, probe.why) == (Handshake.DONE, "TLSv1.3", True, None)
        assert older.version == "TLSv1.2"
        assert probe.certificate.subject == "O=某某科技, CN=短信 vendor"
        assert probe.certificate.issuer == "O=某某科技, CN=our authority"
        assert timedelta(days=1) < probe.certificate.not_after - datetime.now(UTC) < timedelta(days=3)
        assert probe.seconds > 0
        assert vendor.log == []

    run(scene())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"days": (-9, -1)}, "expired"),
        ({"host": "127.0.0.2"}, "mismatch"),
        ({"trusted": False}, "certificate"),
    ],
)
def test_a_probe_says_why_a_certificate_does_not_verify_and_shows_it(run, authority, options, why):
    async def scene():
        async with Vendor(replies(OK), tls=authority.server(**options)) as vendor:
            probe = await probe_tls("127.0.0.1", vendor.port, trust=authority.pem)
        assert probe.handshake is Handshake.DONE
        assert probe.verified is False
        assert why in probe.why
        assert probe.certificate.subject.endswith("CN=vendor")

    run(scene())


def test_a_probe_tells_a_version_refused_from_a_vendor_out_of_reach(run, authority):
    async def scene():
        context = authority.server()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        async with Vendor(replies(OK), tls=context) as vendor:
            old = await probe_tls("127.0.0.1", vendor.port, **versions(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1))
            middle = await probe_tls(
                "127.0.0.1", vendor.port, **versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
            )
        gone = await probe_tls("127.0.0.1", vendor.port)
        async with Vendor(None) as vendor:
            closed = await probe_tls("127.0.0.1", vendor.port)
        async with Vendor(hangs) as vendor:
            silent = await probe_tls("127.0.0.1", vendor.port, timeout_seconds=0.2)
        assert old.handshake in (Handshake.REFUSED, Handshake.UNABLE)
        assert middle.handshake is Handshake.REFUSED
        assert gone.handshake is Handshake.UNREACHABLE
        assert closed.handshake is Handshake.REFUSED
        assert silent.handshake is Handshake.TIMED_OUT

    run(scene())


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 255))
def test_a_certificate_that_does_not_read_is_none(authority, noise, place, octet):
    from cryptography.hazmat.primitives import serialization

    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    assert read_certificate(noise) is None
    bent = bytearray(der)
    bent[place % len(der)] = octet
    read_certificate(bytes(bent))  # whatever it says, it raises nothing
    assert read_certificate(der[: place % len(der)]) is None
