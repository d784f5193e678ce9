"""How long a browser needs to draw the report, against its own page without pictures and a table of all findings.

`python -m tests.benchmarks.bench_report [result.json]`: each page is opened several times in one headless Chromium, in
turn; told are the medians of what the browser worked (its main thread, from opening to the first picture), and of the
time to the first paint. Without a result it takes the tests' sample. Goal: at most 1.3 times the table. That has
all findings of the document, more than the report shows; so the report without its pictures is told as well.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from html import escape
from pathlib import Path
from statistics import median

from harness.judge.result import Result, parse
from harness.words import Words
from reports import html
from reports.figures import Desk
from tests.reports.sample import sample
from tests.reports.test_browser import Browser

TIMES = 9
GOAL = 1.3
HEADS = ("vendor", "measure", "slice", "value", "low", "n", "reason", "evidence")
PAINT = "JSON.stringify(performance.getEntriesByType('paint').map(one => [one.name, one.startTime]))"


def only_a_table(result: Result, words: Words) -> bytes:
    """Every finding of the document as a row of text, in the report's own style."""
    desk, page = Desk(result, words), html.render(result, words).decode()
    style = page[page.index("<style>") : page.index("</style>")]
    rows = []
    for finding in result.findings:
        told = desk.figure(finding)
        assert told is not None
        cells = (
            desk.party(finding.vendor).name, desk.measure(finding.measure), desk.slice(finding.slice), told.value,
            told.interval, told.basis, told.reason, told.evidence,
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{escape(words(f'head.{id}'))}</th>" for id in HEADS)
    return (
        f'<!DOCTYPE html><html lang="{words.language}"><head><meta charset="utf-8">{style}</style></head><body><main>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></main></body></html>"
    ).encode()


def without_pictures(page: bytes) -> bytes:
    """The report with its tables and texts alone: the findings it shows, and no more."""
    return re.sub(rb"<svg\b.*?</svg>", b"", page, flags=re.DOTALL)


def drawn(browser: Browser, path: Path) -> tuple[float, float]:
    """Milliseconds the main thread worked until the page stood, and until its first paint."""
    browser.ask("Page.navigate", url="about:blank")
    before = worked(browser)
    browser.open(path, 1280)
    browser.ask("Page.captureScreenshot", format="jpeg", quality=10)
    paints = dict(json.loads(browser.value(PAINT)))
    return worked(browser) - before, paints["first-contentful-paint"]


def worked(browser: Browser) -> float:
    metrics = {one["name"]: one["value"] for one in browser.ask("Performance.getMetrics")["metrics"]}
    return 1000 * float(metrics["TaskDuration"])


def main(path: Path | None) -> None:
    result, words = sample() if path is None else parse(path.read_bytes(), path.name), Words("zh-CN")
    print("\n### Drawing the report in a browser\n")
    print("| page | bytes | worked, ms | first paint, ms |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = html.render(result, words)
        pages = {"report": page, "without pictures": without_pictures(page), "table": only_a_table(result, words)}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in pages}
        browser = Browser(Path(folder) / "profile")
        try:
            browser.begin()
            browser.ask("Performance.enable")
            for name, page in pages.items():
                (Path(folder) / f"{name}.html").write_bytes(page)
                drawn(browser, Path(folder) / f"{name}.html")  # once for nothing: fonts and caches
            for _ in range(TIMES):
                for name, taken in took.items():
                    taken.append(drawn(browser, Path(folder) / f"{name}.html"))
        finally:
            browser.close()
    work = {name: median(one[0] for one in taken) for name, taken in took.items()}
    paint = {name: median(one[1] for one in taken) for name, taken in took.items()}
    for name, page in pages.items():
        print(f"| {name} | {len(page):,} | {work[name]:.0f} | {paint[name]:.0f} |")
    for name in ("without pictures", "table"):
        pairs = list(zip(took["report"], took[name], strict=True))
        ratio = [median(a[place] / b[place] for a, b in pairs) for place in (0, 1)]
        goal = f" (goal ≤ {GOAL})" if name == "table" else ""
        print(f"| report / {name}{goal} | | {ratio[0]:.2f} | {ratio[1]:.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
