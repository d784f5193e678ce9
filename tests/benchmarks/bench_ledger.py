"""What a durable intent before every send costs the send loop, against the same loop without, in one run.

`python -m tests.benchmarks.bench_ledger` prints a Markdown table. Goals: at least 0.7 at 32 in flight, 0.9 at 256.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from harness.clock import RealClock
from harness.facts import SendIntended
from harness.flow import Flow
from harness.ledger import Entry
from harness.ledger.sqlite import SqliteLedger
from harness.run.lines import Line, Redactor
from harness.run.wire import Wire
from tests.benchmarks.bench_wire import BODY, FAST_LOOP, run

SECONDS, ROUNDS = 1.0, 5
PLANNED = datetime(2026, 3, 2, tzinfo=UTC)


async def loop_rate(port: int, in_flight: int, ledger: SqliteLedger | None) -> float:
    """Sends per second over a line, each with its pace, stopwatch, recording and redaction."""
    wire, clock = Wire(), RealClock()
    line = Line(wire, clock, Redactor(secrets=["not-in-there"]), per_second=1e9)
    url, sent = f"http://127.0.0.1:{port}/now", 0

    def flow() -> Flow[int]:
        reply = yield httpx.Request("POST", url, content=BODY)
        return reply.status_code

    async def work(end: float) -> None:
        nonlocal sent
        while time.monotonic() < end:
            if ledger is not None:
                intent = SendIntended(leg=0, planned_at=PLANNED, ceiling=None)
                await ledger.append(Entry(body=intent, at=clock.now(), case_id="c000001"))
            carried = await line.carry(flow)
            assert carried.result == 200, carried.trouble
            sent += 1

    await asyncio.gather(*(line.carry(flow) for _ in range(in_flight)))  # connections first
    began = time.monotonic()
    await asyncio.gather(*(work(began + SECONDS) for _ in range(in_flight)))
    rate = sent / (time.monotonic() - began)
    await wire.aclose()
    return rate


async def compare(port: int, in_flight: int, folder: str) -> tuple[float, float, float]:
    """Median rates without and with intents, taking turns, and the median of the rounds' ratios."""
    without, with_intents = [], []
    ledger = SqliteLedger(Path(folder) / f"{in_flight}.db", run_id="bench")
    for _ in range(ROUNDS):
        without.append(await loop_rate(port, in_flight, None))
        with_intents.append(await loop_rate(port, in_flight, ledger))
    await ledger.close()
    ratios = [durable / plain for durable, plain in zip(with_intents, without, strict=True)]
    return statistics.median(without), statistics.median(with_intents), statistics.median(ratios)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    command = [sys.executable, "-m", "tests.benchmarks.bench_wire", "--serve"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline().split()[0])
            if len(cores) > 1:
                os.sched_setaffinity(server.pid, {cores[-1]})
            gc.freeze()
            print("\n### The send loop with durable intents, full sync, against the same loop without\n")
            print("| in flight | without | with | ratio | goal |\n|---|---|---|---|---|")
            for in_flight, goal in ((32, 0.7), (256, 0.9)):
                plain, durable, ratio = run(lambda n=in_flight: compare(port, n, folder), FAST_LOOP)
                print(f"| {in_flight} | {plain:,.0f}/s | {durable:,.0f}/s | {ratio:.2f} | {goal} |", flush=True)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
