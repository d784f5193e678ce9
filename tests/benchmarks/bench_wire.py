"""Holds the stopwatch against plain httpx and a bare-socket client, in one run against one server process.

`python -m tests.benchmarks.bench_wire` prints Markdown tables in about a minute. Read the ratios, not the absolutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import numpy as np

from harness.run.wire import Wire

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

FAST_LOOP: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop if uvloop else asyncio.SelectorEventLoop
BODY = b'{"phone":"13800001234","sign":"\xe6\x9f\x90\xe7\xa7\x91\xe6\x8a\x80","template":"T1","params":["123456"]}'
PERIOD, FROZEN, SLOW = 4.0, 0.8, 0.2
FLOOR, MEAN = 0.020, 0.030  # a vendor takes 20 ms + Exp(30 ms)


# The vendor: a process of its own


class _Server(asyncio.Protocol):
    """Answers with its own stamps: when it read, when it wrote (CLOCK_MONOTONIC, which all processes share)."""

    chance = random.Random(20260301)
    began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        read = time.monotonic()
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length or 0):
            return
        self.buffer = b""
        path = head.split(b" ", 2)[1]
        if path == b"/now":
            self.answer(read)
            return
        delay = FLOOR + self.chance.expovariate(1 / MEAN)
        if path == b"/freezing":
            offset = (read - _Server.began) % PERIOD
            delay += max(0.0, FROZEN - offset)
        self.loop.call_later(delay, self.answer, read)

    def answer(self, read: float) -> None:
        body = b"%.7f %.7f" % (read, time.monotonic())
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, backlog=2048)
    _Server.began = time.monotonic()
    print(server.sockets[0].getsockname()[1], _Server.began, flush=True)
    async with asyncio.timeout(180):  # never outlives its bench
        await asyncio.to_thread(sys.stdin.read)  # until the bench goes


# The clients


class _Bare(asyncio.Protocol):
    """As little as can hold a stopwatch: what the wire is compared with."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def ask(self, payload: bytes) -> asyncio.Future[bytes]:
        self.answered = asyncio.get_running_loop().create_future()
        self.written = time.monotonic()
        self.transport.write(payload)
        return self.answered

    def data_received(self, data: bytes) -> None:
        self.first_byte = time.monotonic()
        self.answered.set_result(data)


class BareClient:
    def __init__(self, port: int) -> None:
        self.port, self.idle = port, deque[_Bare]()

    async def __call__(self, path: str, planned: float) -> tuple[float, float, str]:
        if self.idle:
            line = self.idle.pop()
        else:
            _, line = await asyncio.get_running_loop().create_connection(_Bare, "127.0.0.1", self.port)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(BODY)}\r\n\r\n"
        data = await line.ask(head.encode() + BODY)
        self.idle.append(line)
        return line.written, line.first_byte, data.partition(b"\r\n\r\n")[2].decode()

    async def aclose(self) -> None:
        for line in self.idle:
            line.transport.abort()
        await asyncio.sleep(0)


class WireAlone:
    """The wire without httpx's client around it."""

    def __init__(self, port: int) -> None:
        self.url, self.wire = f"http://127.0.0.1:{port}", Wire()

    async def __call__(self, path: str, planned: float) -> tuple[float, float, str]:
        request = httpx.Request("POST", self.url + path, content=BODY, extensions={"planned": planned})
        reply = await self.wire.handle_async_request(request)
        await reply.aread()
        stamps = reply.extensions["stamps"]
        return stamps.written, stamps.first_byte, reply.text

    async def aclose(self) -> None:
        await self.wire.aclose()


class HttpxClient:
    """Plain httpx, stamped around the call; or httpx on the wire, stamped within."""

    def __init__(self, port: int, *, wire: bool = False, limits: httpx.Limits | None = None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        transport = Wire() if wire else httpx.AsyncHTTPTransport(limits=limits or httpx.Limits(), trust_env=False)
        self.client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=30.0)

    async def __call__(self, path: str, planned: float) -> tuple[float, float, str]:
        began = time.monotonic()
        reply = await self.client.post(self.url + path, content=BODY, extensions={"planned": planned})
        if stamps := reply.extensions.get("stamps"):
            return stamps.written, stamps.first_byte, reply.text
        return began, time.monotonic(), reply.text

    async def aclose(self) -> None:
        await self.client.aclose()


Client = Callable[[str, float], Awaitable[tuple[float, float, str]]]


async def closed_loop(client: Client, path: str, in_flight: int, seconds: float) -> tuple[float, list[float]]:
    """Answers per second, and each call's time as its worker sees it."""
    times: list[float] = []
    end = time.monotonic() + seconds

    async def work() -> None:
        while (began := time.monotonic()) < end:
            await client(path, began)
            times.append(time.monotonic() - began)

    began = time.monotonic()
    workers = [asyncio.ensure_future(work()) for _ in range(in_flight)]
    await asyncio.wait(workers, timeout=seconds + 0.5)
    rate = len(times) / (time.monotonic() - began)
    for worker in workers:
        worker.cancel()
    with contextlib.suppress(Exception):
        await asyncio.gather(*workers, return_exceptions=True)
    return rate, times


async def open_loop(client: Client, path: str, rate: float, seconds: float, seed: int) -> dict[str, np.ndarray]:
    """Poisson sends at planned instants.

    Arrays in seconds: the stamps' `error`, `total` from the plan to the answer, own `lag`, `vendor` by its own stamps.
    """
    chance = random.Random(seed)
    rows: list[tuple[float, float, float, float]] = []
    loop = asyncio.get_running_loop()

    async def send(planned: float) -> None:
        written, first_byte, text = await client(path, planned)
        read, wrote = map(float, text.split())
        rows.append(((first_byte - written) - (wrote - read), first_byte - planned, written - planned, wrote - read))

    planned = begin = time.monotonic() + 0.05
    tasks = []
    while (planned := planned + chance.expovariate(rate)) < begin + seconds:
        await asyncio.sleep(planned - time.monotonic() if planned > time.monotonic() else 0)
        tasks.append(loop.create_task(send(planned)))
    await asyncio.gather(*tasks)
    error, total, lag, vendor = np.array(rows).T
    return {"error": error, "total": total, "lag": lag, "vendor": vendor}


def run(scene: Callable[[], Awaitable[Any]], loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Any:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(scene())  # type: ignore[arg-type]


async def with_client(make: Callable[[], Any], use: Callable[[Any], Awaitable[Any]]) -> Any:
    client = make()
    try:
        return await use(client)
    finally:
        await client.aclose()


# The three tables


def throughput(port: int) -> None:
    raised = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    clients: list[tuple[str, Callable[[], Any], Any]] = [
        ("httpx, limits raised", lambda: HttpxClient(port, limits=raised), asyncio.SelectorEventLoop),
        ("wire, stdlib loop", lambda: HttpxClient(port, wire=True), asyncio.SelectorEventLoop),
        ("wire, uvloop", lambda: HttpxClient(port, wire=True), FAST_LOOP),
        ("wire without httpx's client, uvloop", lambda: WireAlone(port), FAST_LOOP),
        ("bare protocol, uvloop", lambda: BareClient(port), FAST_LOOP),
    ]
    print("\n### Throughput, closed loop: answers per second (ratio to httpx with limits raised)\n")
    print("| client | 1 in flight | 32 | 256 |\n|---|---|---|---|")
    rates = {
        name: [
            run(lambda make=make, n=n: with_client(make, lambda c: closed_loop(c, "/now", n, 0.8)), factory)[0]
            for n in (1, 32, 256)
        ]
        for name, make, factory in clients
    }
    plain = rates["httpx, limits raised"]
    for name, row in rates.items():
        cells = (
            f"{rate:,.0f} ({rate / base:.1f}x)" if base else f"{rate:,.0f}"
            for rate, base in zip(row, plain, strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def stamp_error(port: int) -> None:
    """Clients take turns, so that a noisy second hits all; each figure is the median of its rounds."""
    print("\n### Stamp error against the server's own stamps, open loop, uvloop: p50 / p99 in ms (ratio to bare)\n")
    print(
        "| msg/s | bare protocol | wire | wire without httpx's client | httpx, default limits |\n|---|---|---|---|---|"
    )
    makers: dict[str, Callable[[], Any]] = {
        "bare": lambda: BareClient(port),
        "wire": lambda: HttpxClient(port, wire=True),
        "alone": lambda: WireAlone(port),
        "httpx": lambda: HttpxClient(port),
    }
    for rate, seconds, rounds in ((50, 4.0, 1), (200, 1.0, 3), (800, 0.8, 3)):
        found: dict[str, list[np.ndarray]] = {name: [] for name in makers}

        async def turn(name: str, seed: int, rate: float = rate, seconds: float = seconds) -> np.ndarray:
            seen = await with_client(
                makers[name], partial(open_loop, path="/slow", rate=rate, seconds=seconds, seed=seed)
            )
            return np.quantile(seen["error"] * 1000, [0.5, 0.99])

        async def together() -> dict[str, list[np.ndarray]]:
            found = await asyncio.gather(*(turn(name, 1) for name in makers))
            return {name: [quantiles] for name, quantiles in zip(makers, found, strict=True)}

        if rate == 50:  # so little load that all may run at once
            found = run(together, FAST_LOOP)
        else:
            for seed in range(rounds):
                for name in makers:
                    # At 800/s httpx queues in its pool and never catches up; elsewhere once is enough.
                    if name != "httpx" or (rate < 800 and seed == 0):
                        found[name].append(run(partial(turn, name, seed), FAST_LOOP))
        medians = {name: np.median(rows, axis=0) for name, rows in found.items() if rows}
        base = medians["bare"]
        cells = [
            f"{p50:.3f} / {p99:.2f} ({p50 / base[0]:.1f}x / {p99 / base[1]:.1f}x)" for p50, p99 in medians.values()
        ]
        print(f"| {rate} | {' | '.join(cells + ['-'] * (len(makers) - len(cells)))} |", flush=True)


def true_share() -> float:
    """The share above `SLOW` that a vendor frozen at the start of every period really has, by integration."""

    def longer(wait: float) -> float:
        return 1.0 if SLOW - wait <= FLOOR else math.exp(-(SLOW - wait - FLOOR) / MEAN)

    steps = 10_000
    frozen = sum(longer(FROZEN * (step + 0.5) / steps) for step in range(steps)) / steps
    return (FROZEN * frozen + (PERIOD - FROZEN) * longer(0.0)) / PERIOD


def stall(port: int, began: float) -> None:
    async def scene() -> dict[str, Any]:
        calm = HttpxClient(port, wire=True)
        alone = await open_loop(calm, "/slow", 100, 3.0, 1)
        clients = [HttpxClient(port, wire=True) for _ in range(3)]
        into_period = (time.monotonic() + 0.05 - began) % PERIOD
        await asyncio.sleep(PERIOD - into_period)
        opened, beside, (_, closed) = await asyncio.gather(
            open_loop(clients[0], "/freezing", 100, 2 * PERIOD, 2),
            open_loop(clients[1], "/slow", 100, 2 * PERIOD, 3),
            closed_loop(clients[2], "/freezing", 4, 2 * PERIOD),
        )
        for client in (calm, *clients):
            await client.aclose()
        return {"alone": alone, "opened": opened, "beside": beside, "closed": np.array(closed)}

    seen = run(scene, FAST_LOOP)
    truth = true_share()
    opened, closed = float(np.mean(seen["opened"]["total"] > SLOW)), float(np.mean(seen["closed"] > SLOW))
    print(f"\n### A vendor frozen {FROZEN} s in every {PERIOD:.0f} s: share of answers over {SLOW * 1000:.0f} ms\n")
    print("| seen by | share | of the truth |\n|---|---|---|")
    print(f"| truth, by arithmetic | {truth:.1%} | 1.00 |")
    itself = float(np.mean(seen["opened"]["vendor"] > SLOW))
    print(f"| the vendor itself, in this run's open loop | {itself:.1%} | {itself / truth:.2f} |")
    print(f"| open loop, 100 msg/s, from the planned instant | {opened:.1%} | {opened / truth:.2f} |")
    print(f"| closed loop, 4 workers | {closed:.1%} | {closed / truth:.2f} |")
    print("\n| another vendor, 100 msg/s: own lag | p50 ms | p99 ms |\n|---|---|---|")
    for name, key in (("alone", "alone"), ("beside the frozen one", "beside")):
        p50, p99 = np.quantile(seen[key]["lag"] * 1000, [0.5, 0.99])
        print(f"| {name} | {p50:.2f} | {p99:.2f} |", flush=True)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    command = [sys.executable, "-m", "tests.benchmarks.bench_wire", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port, began = server.stdout.readline().split()
            if len(cores) > 1:
                os.sched_setaffinity(server.pid, {cores[-1]})
                os.sched_setaffinity(0, {cores[0]})
            gc.freeze()  # numpy's and httpx's modules are no garbage; collecting among them costs milliseconds
            print(f"Python {sys.version.split()[0]}, httpx {httpx.__version__}, uvloop {'yes' if uvloop else 'no'}")
            throughput(int(port))
            stamp_error(int(port))
            stall(int(port), float(began))
        finally:
            server.kill()


if __name__ == "__main__":
    if "--serve" in sys.argv:
        with contextlib.suppress(TimeoutError):
            run(serve, FAST_LOOP)
    else:
        main()
