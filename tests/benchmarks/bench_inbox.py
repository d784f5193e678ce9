"""Durable before acknowledged: single reports through the inbox, with three stores behind it.

`python -m tests.benchmarks.bench_inbox` prints a Markdown table: the ledger with its group commit, an append-only file
with group fdatasync (the limit), and a commit for every request. Goals: 0.7 of the first, 4 times the second. The
inbox is called in this process, so that only the store differs; and once over uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import uvicorn

from harness.capabilities import Acknowledgement, Push, PushRequest
from harness.clock import RealClock
from harness.codec import encode_body
from harness.domain import DeliveryState, StatusReport
from harness.facts import Fact
from harness.ledger import Entry
from harness.ledger import sqlite as store
from harness.ledger.sqlite import SqliteLedger
from harness.run.inbox import Inbox, People
from harness.run.lines import Redactor
from tests.benchmarks.bench_wire import FAST_LOOP, run

CONNECTIONS, SECONDS, ROUNDS = 64, 1.0, 5


class Reading:
    """A vendor whose push is a JSON object with one report."""

    def read_push(self, request: PushRequest) -> Push:
        item = json.loads(request.body)
        report = StatusReport(
            vendor_message_id=item["id"], state=DeliveryState.DELIVERED, reason=None, code=item["code"]
        )
        return Push(acknowledgement=Acknowledgement(body=b'{"code":0}'), reports=(report,))


class AppendFile:
    """What a store can do at best: lines at the end of a file, one fdatasync for whatever is waiting."""

    run_id, backlog = "bench", 0

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    async def append(self, *entries: Entry) -> Sequence[Fact | None]:
        raw = b"".join(encode_body(entry.body) + b"\t" + (entry.recording or b"") + b"\n" for entry in entries)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put((raw, future))
        await future
        return []

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            items, last = [item], False
            while not self._queue.empty() and len(items) < store.LARGEST_GROUP and not last:
                if (more := self._queue.get()) is None:
                    last = True
                else:
                    items.append(more)
            self._file.write(b"".join(raw for raw, _ in items))
            os.fdatasync(self._file.fileno())
            self._loop.call_soon_threadsafe(lambda done=items: [future.set_result(None) for _, future in done])
            if last:
                return

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._file.close()


def inbox_of(ledger: Any) -> Inbox:
    return Inbox(
        ledger, RealClock(), vendors={"ali": Reading()}, forwarders={}, people=People({}), redactor=Redactor()
    )  # fmt: skip


def body_of(number: int) -> bytes:
    return b'{"id":"m%012d","code":"DELIVRD","to":"13800001234","at":"2026-03-02 10:00:00"}' % number


async def in_process(inbox: Inbox, numbers: Any) -> float:
    """Acknowledged posts per second, with so many at a time."""
    app, done = inbox.app, 0

    async def work(end: float) -> None:
        nonlocal done
        while time.monotonic() < end:
            body = body_of(next(numbers))

            async def receive(body: bytes = body) -> Any:
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: Any) -> None:
                assert message.get("status", 200) == 200

            headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
            scope = {"type": "http", "method": "POST", "path": "/push/ali/reports", "headers": headers}
            await app(scope, receive, send)
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(work(began + SECONDS) for _ in range(CONNECTIONS)))
    return done / (time.monotonic() - began)


async def over_uvicorn(inbox: Inbox, numbers: Any) -> float:
    """The same through a real server and real connections, client and server in this one process."""
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(inbox.app, log_level="error", access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve([sock]))
    port, done = sock.getsockname()[1], 0
    while not server.started:
        await asyncio.sleep(0.01)

    async def work(end: float) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            body = body_of(next(numbers))
            writer.write(
                b"POST /push/ali/reports HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"code":0}'))
            done += 1
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(work(began + SECONDS) for _ in range(CONNECTIONS)))
    rate = done / (time.monotonic() - began)
    server.should_exit = True
    await serving
    return rate


async def measured(name: str, folder: Path, place: Any, numbers: Any) -> float:
    path = folder / f"{name}-{next(numbers)}"
    largest = store.LARGEST_GROUP
    if name == "each":
        store.LARGEST_GROUP = 1  # type: ignore[misc]
    ledger: Any = AppendFile(path) if name == "file" else SqliteLedger(path, run_id="bench")
    try:
        rate: float = await place(inbox_of(ledger), numbers)
        return rate
    finally:
        await ledger.close()
        store.LARGEST_GROUP = largest  # type: ignore[misc]


def main() -> None:
    numbers = count()
    print("\n### Single reports durable before they are acknowledged, 64 at a time: reports per second\n")
    print("| | append-only file | ledger, group commit | commit a request | of the file | goal | of each | goal |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for title, place in (("in this process", in_process), ("over uvicorn", over_uvicorn)):
            rounds: list[dict[str, float]] = []
            for _ in range(ROUNDS if place is in_process else 3):
                rounds.append(
                    {
                        one: run(lambda one=one, place=place: measured(one, Path(name), place, numbers), FAST_LOOP)
                        for one in ("file", "group", "each")
                    }
                )
            rates = {one: statistics.median(found[one] for found in rounds) for one in rounds[0]}
            of_file = statistics.median(found["group"] / found["file"] for found in rounds)
            of_each = statistics.median(found["group"] / found["each"] for found in rounds)
            cells = " | ".join(f"{rates[one]:,.0f}" for one in ("file", "group", "each"))
            print(f"| {title} | {cells} | {of_file:.2f} | 0.7 | {of_each:.1f}x | 4x |", flush=True)


if __name__ == "__main__":
    main()
