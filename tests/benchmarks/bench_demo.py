"""What the demo costs a newcomer's machine: CPU and memory of `python -m harness demo`, the whole way.

`python -m tests.benchmarks.bench_demo` prints a Markdown table. Goals: at most 20 s of CPU and less than 400 MB.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "harness", "demo", "--out", folder], capture_output=True, text=True, timeout=300
        )
        took = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"the demo ended with {done.returncode}:\n{done.stderr[-2000:]}")
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print("\n### The demo\n\n| | measured | goal |\n|---|---|---|")
    print(f"| CPU | {cpu:.1f} s | 20 s |")
    print(f"| peak memory | {peak:.0f} MB | 400 MB |")
    print(f"| by the wall clock, on whatever else ran beside | {took:.1f} s | – |")


if __name__ == "__main__":
    main()
