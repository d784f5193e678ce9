"""How fast the numpy twin draws months, against the bare heapq loop of `bench_virtual`, in one run.

`python -m tests.benchmarks.bench_twin` prints messages per second of CPU for a month of 16,200 messages: drawn, drawn
and made into the judge's table, and judged as far as `compare` reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from tests import monthly_calibration
from tests.benchmarks.bench_virtual import bare, rate
from tests.simulation import twin

GOAL = 30.0  # times the bare loop
ROUNDS = 5


def speed(work: Callable[[], object], messages: int, times: int) -> float:
    """Messages per second of CPU: the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        best = max(best, messages * times / (time.process_time() - began))
    return best


def main() -> int:
    limit = rate(bare, 20_000, 3)
    course = monthly_calibration.course_of(monthly_calibration.truth_of(0.98, 0.97, 0.96), 1, monthly_calibration.WHOLE)
    rng = np.random.default_rng(1)
    scenes: tuple[tuple[str, Callable[[], object], int], ...] = (
        ("the twin: a month drawn", lambda: twin.draw(course, rng), 50),
        ("the same, as the judge's table", lambda: twin.messages(course, twin.draw(course, rng)), 20),
        ("the same, judged for `compare`",
         lambda: monthly_calibration.judged(twin.evidence(course, twin.draw(course, rng)), "m"), 1),
    )  # fmt: skip
    print("\n### The twin, messages per second of CPU\n\n| | messages/s | of the bare loop | goal |\n|---|---|---|---|")
    print(f"| bare heapq loop, callbacks | {limit:,.0f} | 1.0 | – |")
    ratios = []
    for name, work, times in scenes:
        found = speed(work, len(course), times)
        ratios.append(found / limit)
        print(f"| {name} | {found:,.0f} | {found / limit:.1f} | {GOAL if len(ratios) == 1 else '–'} |", flush=True)
    return 0 if ratios[0] >= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())
