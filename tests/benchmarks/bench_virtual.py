"""How fast simulated time passes: tasks on the virtual loop, and the whole pipe, against a bare heapq loop.

`python -m tests.benchmarks.bench_virtual` prints a Markdown table of messages simulated per second of CPU. A message is
a send, its answer and its report. The bare loop knows nothing but a heap and callbacks: the limit of plain Python.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import registry
from harness.clock import VirtualLoop
from harness.config import load_evaluation, moment
from harness.content import shipped_texts
from harness.facts import Fact, SendIntended
from harness.run.play import play_in_memory, virtual_epoch

MESSAGES = 20_000
PIPE_MESSAGES = 2_000
SPREAD = 7 * 86_400.0


def bare(messages: int) -> int:
    """A heap of callbacks."""
    chance, agenda, order, reports = random.Random(1), list[tuple[float, int, Callable[[float], None]]](), 0, 0

    def later(at: float, call: Callable[[float], None]) -> None:
        nonlocal order
        order += 1
        heapq.heappush(agenda, (at, order, call))

    def send(at: float) -> None:
        later(at + chance.expovariate(10), answered)

    def answered(at: float) -> None:
        later(at + chance.expovariate(0.2), reported)

    def reported(at: float) -> None:
        nonlocal reports
        reports += 1

    for _ in range(messages):
        later(chance.random() * SPREAD, send)
    while agenda:
        at, _, call = heapq.heappop(agenda)
        call(at)
    return reports


def callbacks(messages: int) -> int:
    """The same on the virtual loop, with its timers."""
    chance, loop, reports = random.Random(1), VirtualLoop(), 0
    done = loop.create_future()

    def send() -> None:
        loop.call_later(chance.expovariate(10), answered)

    def answered() -> None:
        loop.call_later(chance.expovariate(0.2), reported)

    def reported() -> None:
        nonlocal reports
        reports += 1
        if reports == messages:
            done.set_result(None)

    for _ in range(messages):
        loop.call_later(chance.random() * SPREAD, send)
    loop.run_until_complete(done)
    loop.close()
    return reports


def tasks(messages: int) -> int:
    """A task a message on the virtual loop: how code that waits is really written."""
    chance, loop, reports = random.Random(1), VirtualLoop(), 0

    async def message() -> None:
        nonlocal reports
        await asyncio.sleep(chance.random() * SPREAD)
        await asyncio.sleep(chance.expovariate(10))
        await asyncio.sleep(chance.expovariate(0.2))
        reports += 1

    async def everything() -> None:
        await asyncio.gather(*(message() for _ in range(messages)))

    loop.run_until_complete(everything())
    loop.close()
    return reports


def pipe(messages: int) -> int:
    """A whole sandbox run: plan, engine, ledger, adapters, signatures, simulated vendors, pushes, sightings."""
    sent = 0

    def hear(fact: Fact) -> None:
        nonlocal sent
        sent += isinstance(fact.body, SendIntended)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = registry.sandbox("truth").read_truth(registry.sandbox_file("demo.yaml"), "demo.yaml")
        begins = "2026-03-02 09:00"
        world = registry.sandbox("world").World(truth, seed=1, epoch=virtual_epoch(moment(begins)))
        texts = {one.id: (one.text, one.purpose) for one in shipped_texts().values()}
        files = registry.sandbox("starter").write_files(
            world,
            texts,
            scenarios=f"delivery: {{messages: {messages // 4}}}",
            settings=f"begins: {begins}\nlasts: 7 days\nsilence: 24 h\nseed: 1\n"
            "message_limit: 100000\nspend_limit: 100000 CNY",
        )
        for file, text in files.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        evaluation = load_evaluation(folder / "evaluation.yaml", files.environment)
        play_in_memory(evaluation, folder, out=folder / "runs", world=world, listen=hear)
    return sent


def rate(scene: Callable[[int], int], messages: int, rounds: int = 3) -> float:
    """Messages per second of CPU: the best of some rounds, for the others had company."""
    best = 0.0
    for _ in range(rounds):
        gc.collect()
        gc.disable()  # as every simulated run does
        try:
            began = time.process_time()
            count = scene(messages)
            best = max(best, count / (time.process_time() - began))
        finally:
            gc.enable()
    return best


def main() -> None:
    print("\n### Simulated messages per second of CPU\n\n| | messages/s | of the bare loop | goal |\n|---|---|---|---|")
    limit = 0.0
    for name, scene, messages, rounds, goal in (
        ("bare heapq loop, callbacks", bare, MESSAGES, 3, "–"),
        ("virtual loop, callbacks", callbacks, MESSAGES, 3, "0.25"),
        ("virtual loop, a task a message", tasks, MESSAGES, 3, "0.1"),
        ("the whole pipe", pipe, PIPE_MESSAGES, 1, "–"),
    ):
        found = rate(scene, messages, rounds)
        limit = limit or found
        print(f"| {name} | {found:,.0f} | {found / limit:.4f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
