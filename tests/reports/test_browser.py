"""The report in a real browser: silent console, nothing asked of the network, nothing wider than the screen, A4 pages.

Chromium is spoken to over its own pipe, so no port is opened; without Chromium these tests are skipped by name.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.monthly import trend
from harness.words import LANGUAGES, Words
from reports import history as history_page
from reports import html, scorecard
from tests.reports.sample import VENDORS, WANLI, sample
from tests.reports.sample_months import history_in

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome in PATH")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 20.0  # seconds for one answer


class Browser:
    """One headless Chromium with one page. Every event it reports is kept."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        shell = 'exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null'  # it reads from descriptor 3 and writes to 4
        self.process = subprocess.Popen(
            ["sh", "-c", shell, "sh", CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.events: list[dict[str, Any]] = []
        self._left, self._number = b"", 0
        self._session: str | None = None

    def begin(self) -> None:
        pages = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        call = {"id": self._number, "method": method, "params": params}
        os.write(self._in, json.dumps(call | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._out], [], [], PATIENCE)
            chunk = os.read(self._out, 1 << 20) if ready else b""
            assert chunk, "the browser went away"
            self._left += chunk
        first, _, self._left = self._left.partition(b"\0")
        return dict(json.loads(first))

    def open(self, path: Path, width: int, height: int = 900) -> None:
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        with self.process:  # closes both ends and waits
            self.process.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    try:
        opened.begin()
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module", params=LANGUAGES)
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, words, result = tmp_path_factory.mktemp("pages"), Words(request.param), sample()
    made = {"report": html.render(result, words)}
    made |= {vendor: scorecard.render(result, words, vendor=vendor) for vendor in VENDORS}
    history, month = history_in(folder / "history")
    line = trend(history, month.kept.evaluation)
    made["history"] = history_page.render(line, words, measures=month.result.measures)
    for name, page in made.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: folder / f"{name}.html" for name in made}


STICKING_OUT = """JSON.stringify([...document.querySelectorAll('body *')]
  .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .filter(one => !one.closest('.scroll'))
  .slice(0, 5).map(one => one.outerHTML.slice(0, 120)))"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report", WANLI, "history"])
def test_nothing_is_wider_than_the_screen(browser, pages, name, width):
    browser.open(pages[name], width)
    wide = browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    assert json.loads(browser.value(STICKING_OUT)) == []


@pytest.mark.parametrize("name", ["report", WANLI, "history"])
def test_the_console_is_silent_and_nothing_leaves_the_page(browser, pages, name):
    browser.open(pages[name], 1280)
    browser.ask("Page.captureScreenshot", format="jpeg", quality=10)  # so that everything in sight was really drawn
    methods = [event.get("method") for event in browser.events]
    assert not {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"} & set(methods)
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert asked == [pages[name].as_uri()]


def test_the_page_can_run_no_script(browser, pages):
    browser.open(pages["report"], 1280)
    browser.value(
        "document.body.appendChild(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert browser.value("window.ran === undefined") is True


def test_the_report_prints_on_a4(browser, pages):
    browser.open(pages["report"], 1280)
    sizes = _pages_of(_printed(browser))
    assert 8 <= len(sizes) <= 40
    assert set(sizes) == {(595, 842)}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_scorecard_is_one_page_of_a4(browser, pages, vendor):
    browser.open(pages[vendor], 1280)
    assert _pages_of(_printed(browser)) == [(595, 842)]


def _printed(browser: Browser) -> bytes:
    return base64.b64decode(browser.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])


def _pages_of(pdf: bytes) -> list[tuple[int, int]]:
    """Width and height of each page, in points."""
    boxes = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)", pdf)
    return [(round(float(width)), round(float(height))) for width, height in boxes]
