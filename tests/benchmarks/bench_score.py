"""How long a judgement of a million facts takes, and how much memory: ledger → journeys → result.

`python -m tests.benchmarks.bench_score [facts]` writes a ledger of made-up facts and judges it in a process of its own.
Goals: a million in less than 30 s of CPU and less than 2 GB.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from harness.clock import VirtualLoop
from harness.facts import Fact, FactBody, RunEnded
from harness.judge import journeys, scoring
from harness.ledger import Entry
from harness.ledger.sqlite import SqliteLedger
from tests.factory import Manner, Scene

VENDORS = ("ali", "tencent", "yunpian", "four", "five", "six")
FACTS_A_MESSAGE = 6.0  # planned, intended, answered, reported, seen, closed, as good as all of them
GROUP = 5_000


class Streaming(Scene):
    """A scene that keeps nothing: facts go to the ledger in groups."""

    def __init__(self, ledger: SqliteLedger, loop: asyncio.AbstractEventLoop, days: float) -> None:
        self.ledger, self.loop, self.waiting, self.count = ledger, loop, list[Entry](), 0
        super().__init__(VENDORS, phones=30, days=days)

    def add(self, seconds: float, body: FactBody, case_id: str | None = None) -> Fact:
        self.count += 1
        at: datetime = self.at(seconds)
        self.waiting.append(Entry(body=body, at=at, case_id=case_id))
        if len(self.waiting) >= GROUP:
            self.flush()
        return Fact(seq=self.count, at=at, case_id=case_id, body=body)

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        if waiting:
            self.loop.run_until_complete(self.ledger.append(*waiting))


def make(path: Path, facts: int) -> None:
    """A month of deliveries and heartbeats: about so many facts."""
    loop, days = VirtualLoop(), 30.0
    ledger = SqliteLedger(path, run_id="bench", inline=True, durable=False)
    scene = Streaming(ledger, loop, days)
    scene.beat(days * 86_400, every=30 * days * 86_400 / (0.2 * facts))
    each = int(0.8 * facts / FACTS_A_MESSAGE / len(VENDORS))
    scene.deliver({vendor: Manner() for vendor in VENDORS}, each=each)
    scene.add(days * 86_400 + 9000, RunEnded(because="done"))
    scene.flush()
    ledger.release()
    loop.close()


def judge(path: Path) -> None:
    """Prints: facts, seconds of CPU to read, to judge, and the peak of memory in MB."""
    began = time.process_time()
    ledger = SqliteLedger(path, read_only=True)
    evidence = journeys.read(ledger.facts())
    read = time.process_time()
    result = scoring.judge(evidence, run_id="bench", ledger_digest=ledger.head().digest)
    done = time.process_time()
    assert len(result.scorecards) == len(VENDORS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(ledger.head().seq, f"{read - began:.2f} {done - read:.2f} {peak:.0f}")
    ledger.release()


def main(facts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        command = [sys.executable, "-m", "tests.benchmarks.bench_score"]
        subprocess.run([*command, "--make", str(path), str(facts)], check=True, timeout=300)
        said = subprocess.run(
            [*command, "--judge", str(path)], check=True, timeout=300, capture_output=True, text=True
        ).stdout
    count, read, judged, peak = said.split()
    whole = float(read) + float(judged)
    print("\n### Judging: seconds of CPU and peak memory\n")
    print("| facts | read and folded | judged | together | goal | peak | goal |\n|---|---|---|---|---|---|---|")
    scaled = f"{30 * int(count) / 1e6:.0f} s"
    print(f"| {int(count):,} | {read} s | {judged} s | {whole:.1f} s | {scaled} | {int(peak):,} MB | 2,000 MB |")


if __name__ == "__main__":
    if "--make" in sys.argv:
        make(Path(sys.argv[2]), int(sys.argv[3]))
    elif "--judge" in sys.argv:
        judge(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
