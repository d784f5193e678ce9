"""How long the forms that procurement works in take: the report and a scorecard as PDF, a workbook of 50,000 cases.

`python -m tests.benchmarks.bench_forms [result.json]`; without a result it takes the tests' sample. Goals: the report
of four vendors as PDF under 10 s, a workbook of 50,000 cases under 6 s.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from harness.judge.result import parse
from harness.words import LANGUAGES, Words
from reports import html, pdf, xlsx
from tests.reports.sample import CARRIERS, VENDORS, sample

CASES = 50_000


def made_up(count: int) -> pd.DataFrame:
    """Messages with the columns that the sheet of cases shows."""
    chance = random.Random(1)
    sent = [1_772_400_000.0 + 12 * number for number in range(count)]
    arrives = [chance.random() < 0.97 for _ in range(count)]
    return pd.DataFrame(
        {
            "case_id": [f"c{number:06d}" for number in range(count)],
            "leg": 0,
            "vendor": [VENDORS[number % 4] for number in range(count)],
            "scenario": "delivery",
            "recipient": [f"r{number % 90:03d}" for number in range(count)],
            "carrier": [CARRIERS[number % 3].value for number in range(count)],
            "purpose": "verification",
            "sent_at": sent,
            "outcome": "accepted",
            "wait": [chance.uniform(0.05, 0.3) for _ in range(count)],
            "reason": None,
            "code": None,
            "report_reason": None,
            "report_code": [None if arrived else "MK:0012" for arrived in arrives],
            "report_state": ["delivered" if arrived else None for arrived in arrives],
            "reported_at": [at + 5 if arrived else None for at, arrived in zip(sent, arrives, strict=True)],
            "watch": ["arrived" if arrived else "missing" for arrived in arrives],
            "arrived_at": [at + 3 if arrived else None for at, arrived in zip(sent, arrives, strict=True)],
            "sender": ["106912340001" if arrived else None for arrived in arrives],
        }
    )


def took(work: Callable[[], bytes]) -> tuple[int, float]:
    began = time.perf_counter()
    return len(work()), time.perf_counter() - began


def main(path: Path | None) -> None:
    result = sample() if path is None else parse(path.read_bytes(), path.name)
    one, cases = next(iter(result.vendors)), made_up(CASES)
    print("\n### Forms\n\n| form | language | bytes | seconds | goal |\n|---|---|---|---|---|")
    for language in LANGUAGES:
        words = Words(language)
        forms: list[tuple[str, Callable[[], bytes], str]] = [
            ("report, HTML", lambda w=words: html.render(result, w), "–")
        ]
        if pdf.browser():
            forms += [
                ("report, PDF", lambda w=words: pdf.render(result, w), "10 s"),
                ("scorecard, PDF", lambda w=words: pdf.render(result, w, vendor=one), "–"),
            ]
        forms.append((f"workbook, {CASES:,} cases", lambda w=words: xlsx.render(result, w, cases=cases), "6 s"))
        for name, work, goal in forms:
            size, seconds = took(work)
            print(f"| {name} | {language} | {size:,} | {seconds:.1f} | {goal} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
