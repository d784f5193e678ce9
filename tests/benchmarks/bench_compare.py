"""How long it takes to compare a month with two years of others, ten vendors each, and how much memory.

`python -m tests.benchmarks.bench_compare` compares in a process of its own. Goals: 3 s of CPU, 300 MB.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from harness.judge.compare import compare, dump, learn, slim
from tests.months import month

MONTHS, VENDORS = 24, 10


def work() -> None:
    """Prints: lines, seconds of CPU to compare, seconds to learn, peak of memory in MB."""
    vendors = {f"v{number}": 0.95 + 0.004 * number for number in range(VENDORS)}
    months = [slim(month(number, vendors, seed=1, extra=230)) for number in range(1, MONTHS + 1)]
    began = time.process_time()
    found = compare(months[-1], months[0], months[:-1])
    done = time.process_time()
    learn(months)
    learned = time.process_time()
    assert dump(found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(len(found.lines), f"{done - began:.2f} {learned - done:.2f} {peak:.0f}")


def main() -> int:
    command = [sys.executable, "-m", "tests.benchmarks.bench_compare", "work"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    lines, seconds, learning, peak = int(told[0]), *map(float, told[1:])
    print(
        f"{MONTHS} months × {VENDORS} vendors, {lines} lines: {seconds:.2f} s of CPU (goal 3), {peak:.0f} MB (goal 300)"
    )
    print(f"learning from them: {learning:.2f} s")
    return 0 if seconds < 3 and peak < 300 else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        raise SystemExit(main())
