"""How fast one core builds and signs a submit and reads its reply, for every HTTP vendor, coded or described.

`python -m tests.benchmarks.bench_vendors` prints a Markdown table in about ten seconds. The goals: 4,000 conversations
a second for coded vendors, 1,000 for described ones. httpx's own making of request and reply counts as well.
"""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from harness import registry
from harness.flow import play
from tests.vendors import samples

GOALS: Final = {"coded": 4000, "described": 1000}
SECONDS: Final = 0.25
ROUNDS: Final = 3


def known(vendor: str) -> dict[str, Any]:
    """A known conversation in which one message is accepted at the first request."""
    return next(
        case
        for case in samples.load(vendor, "submit")
        if case["call"] == "submit" and len(case["exchanges"]) == 1 and "Accepted" in (case.get("outcome") or {})
    )


def rate(subject: Any, case: dict[str, Any]) -> float:
    """Conversations per second of CPU: the best of some rounds."""
    reply = case["exchanges"][0]["reply"]
    content, headers = samples.content_of(reply), {"content-type": "application/json", **reply.get("headers", {})}
    message, best = samples.message(case.get("message")), 0.0
    assert play(subject.submit(message)).answer(200, content=content, headers=headers).is_over
    for _ in range(ROUNDS):
        began, done = time.process_time(), 0
        while time.process_time() - began < SECONDS:
            for _ in range(50):
                flow = subject.submit(message)
                request = next(flow)
                try:
                    flow.send(httpx.Response(200, content=content, headers=headers, request=request))
                except StopIteration:
                    done += 1
        best = max(best, done / (time.process_time() - began))
    return best


def rows() -> list[tuple[str, str, float]]:
    """Vendor, coded or described, conversations per second. A vendor that is both has two rows."""
    found = []
    for vendor in samples.IDS:
        case = known(vendor)
        coded = samples.make(vendor, case)
        kind = "described" if vendor in samples.DESCRIBED else "coded"
        found.append((vendor, kind, rate(coded, case)))
        if kind == "coded" and vendor in registry.described_names():
            told = registry.described(vendor).Vendor(coded._account, coded._tools)
            found.append((vendor, "described", rate(told, case)))
    return found


def main() -> None:
    print("\n### Submits built, signed and read per second of one core\n")
    print("| vendor | | per second | goal |\n|---|---|---|---|")
    for vendor, kind, found in rows():
        goal = f"{GOALS[kind]:,}{'' if found >= GOALS[kind] else ' missed'}"
        print(f"| {vendor} | {kind} | {found:,.0f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
