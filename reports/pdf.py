"""The report, or one vendor's scorecard, as PDF: A4, fonts embedded, outline, page numbers, searchable Chinese.

Printed from the report's own HTML by a headless Chromium, which alone draws our pictures right (a library would need
system libraries as well). It writes to a temporary folder and needs no network. No box ever stands for a character.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.judge.result import Result
from harness.words import Words
from reports import html, scorecard

NAMES: Final = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge",
)  # fmt: skip
PLACES: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
    "C:/Program Files/Microsoft/Edge/Application/msedge.exe",
)
FLAGS: Final = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--generate-pdf-document-outline", "--no-pdf-header-footer",
)  # fmt: skip
PATIENCE: Final = 60.0  # seconds for one document
ZOOMS: Final = (1, 0.93, 0.86, 0.8)  # of a scorecard, until it is one page: long names and many gates need it
_PAGE: Final = re.compile(rb"/Type /Page\b")
SHOWN: Final = 12  # characters named when fonts lack some


class CannotPrint(RuntimeError):
    """There is no browser, it gave no PDF, or no font for what must be written. Says which package to install."""


def render(result: Result, words: Words, *, vendor: str | None = None) -> bytes:
    """The whole report; with `vendor`, that vendor's scorecard, one page.

    Raises CannotPrint, and KeyError when the document holds no scorecard of that vendor.
    """
    if vendor is None:
        return printed(html.render(result, words), words)
    made = scorecard.render(result, words, vendor=vendor)
    for zoom in ZOOMS:
        smaller = f"<style>@media print{{main{{zoom:{zoom}}}}}</style></head>".encode()
        pdf = printed(made.replace(b"</head>", smaller, 1), words)
        if len(_PAGE.findall(pdf)) == 1:
            break
    return pdf


def printed(page: bytes, words: Words) -> bytes:
    """A page of ours as PDF. Raises CannotPrint."""
    pdf = _from_browser(page, words)
    tables = list(_tables(pdf))
    drawn = {char for table in tables for text in table.texts.values() for char in plain(text)}
    if missing := sorted(ideographs(page) - drawn):
        raise CannotPrint(words("pdf.no_font", n=len(missing), characters="".join(missing[:SHOWN])))
    return _searchable(pdf, tables)


# --- the browser -----------------------------------------------------------------------------------------------------


def browser() -> str | None:
    """Where a Chromium, Chrome or Edge is; None: there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or next((place for place in PLACES if Path(place).is_file()), None)


def _from_browser(page: bytes, words: Words) -> bytes:
    program = browser()
    if program is None:
        raise CannotPrint(words("pdf.no_browser"))
    # The browser's own sandbox cannot be had as root, and in many containers not at all. The page has no script and
    # may load nothing, so a second try without it risks little.
    tries: Sequence[tuple[str, ...]] = ((), ("--no-sandbox",))
    if sys.platform != "win32" and os.geteuid() == 0:
        tries = tries[1:]
    told = ""
    for more in tries:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            (folder / "page.html").write_bytes(page)
            told = _run([program, *FLAGS, *more], folder)
            if (folder / "page.pdf").is_file():
                return (folder / "page.pdf").read_bytes()
    raise CannotPrint(words("pdf.failed", browser=program, told=told or words("reason.untold")))


def _run(command: Sequence[str], folder: Path) -> str:
    """Print page.html to page.pdf in a folder; the browser's last words."""
    own = [f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={folder / 'page.pdf'}"]
    page = (folder / "page.html").as_uri()
    try:
        done = subprocess.run([*command, *own, page], capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:300]
    return done.stderr.decode(errors="replace").strip()[-300:]


# --- what was drawn --------------------------------------------------------------------------------------------------

_UNSEEN: Final = re.compile(r"<(style|head|nav|script)\b.*?</\1>|<[^>]*>", re.DOTALL)
"""The parts of a page that do not stand on paper."""


def ideographs(page: bytes) -> set[str]:
    """The Chinese characters of a page's text."""
    return set(re.findall(r"[\u3400-\u4dbf\u4e00-\u9fff]", _UNSEEN.sub("", page.decode())))


@dataclass(frozen=True, slots=True)
class _Table:
    """A font's ToUnicode table: its object's number, and the text of each code (hex digits)."""

    number: int
    texts: Mapping[str, str]


_STREAM: Final = re.compile(rb"(?<!\d)(\d+) 0 obj\s*<<[^>]*?>>\s*stream\r?\n")
_ONE: Final = re.compile(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]*)>")
_RANGE: Final = re.compile(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*(<[0-9A-Fa-f]*>|\[[^\]]*\])")


def _tables(pdf: bytes) -> Iterator[_Table]:
    """Every ToUnicode table of a PDF (ISO 32000-1, 9.10.3). A glyph that is missing from all fonts is in none."""
    for match in _STREAM.finditer(pdf):
        raw = pdf[match.end() : pdf.find(b"endstream", match.end())]
        try:
            text = zlib.decompressobj().decompress(raw).decode("latin-1")
        except zlib.error:
            continue
        if "begincmap" in text:
            yield _Table(int(match[1]), dict(_pairs(text)))


def _pairs(cmap: str) -> Iterator[tuple[str, str]]:
    for block in re.findall(r"beginbfchar(.*?)endbfchar", cmap, re.DOTALL):
        for code, target in _ONE.findall(block):
            yield code, _text(target)
    for block in re.findall(r"beginbfrange(.*?)endbfrange", cmap, re.DOTALL):
        for first, last, targets in _RANGE.findall(block):
            listed = re.findall(r"<([0-9A-Fa-f]*)>", targets)
            for step in range(int(last, 16) - int(first, 16) + 1):
                code = f"{int(first, 16) + step:0{len(first)}X}"
                if targets.startswith("["):
                    yield code, _text(listed[step]) if step < len(listed) else ""
                else:
                    text = _text(listed[0])
                    yield code, text[:-1] + chr(ord(text[-1]) + step) if text else ""


def _text(hexes: str) -> str:
    return bytes.fromhex(hexes).decode("utf-16-be", errors="replace")


# --- Chinese that can be searched ------------------------------------------------------------------------------------

_RADICALS: Final = str.maketrans(
    "⺠⺡⺩⺬⺮⺯⺶⺷⺻⺼⻁⻄⻅⻆⻉⻋⻒⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻨⻩⻬⻮⻰",
    "民氵王示竹糹羊羊聿肉虎西见角贝车镸长门青韦页风飞食马骨鬼鱼鸟麦黄齐齿龙",
)
"""Radicals without a compatibility mapping of their own that fonts draw with a character's glyph."""


def plain(text: str) -> str:
    """A text with radicals as the characters they look like: ⾼ → 高, ⻔ → 门.

    Noto and Source Han draw both with one glyph, and the browser names it by the first of them; whoever searches the
    PDF for the character would not find it.
    """
    return "".join(
        unicodedata.normalize("NFKC", char).translate(_RADICALS) if "\u2e80" <= char <= "\u2fdf" else char
        for char in text
    )


def _searchable(pdf: bytes, tables: Sequence[_Table]) -> bytes:
    """The same PDF with an update (ISO 32000-1, 7.5.6) in which tables name characters instead of radicals."""
    start = re.search(rb"startxref\s+(\d+)\s+%%EOF\s*$", pdf)
    trailer = pdf.rfind(b"trailer")
    changed = [one for one in tables if any(plain(text) != text for text in one.texts.values())]
    if start is None or trailer < 0 or not changed or pdf[int(start[1]) : int(start[1]) + 4] != b"xref":
        return pdf
    out, places = bytearray(pdf.rstrip() + b"\n"), []
    for table in changed:
        packed = zlib.compress(_cmap({code: plain(text) for code, text in table.texts.items()}).encode())
        places.append((table.number, len(out)))
        head = b"%d 0 obj\n<</Filter /FlateDecode\n/Length %d>> stream\n" % (table.number, len(packed))
        out += head + packed + b"\nendstream\nendobj\n"
    at = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n" + b"".join(b"%d 1\n%010d 00000 n \n" % one for one in sorted(places))
    kept = pdf[trailer + len(b"trailer") : start.start()].strip().removesuffix(b">>")
    out += b"trailer\n%b\n/Prev %b>>\nstartxref\n%d\n%%%%EOF\n" % (kept, start[1], at)
    return bytes(out)


def _cmap(texts: Mapping[str, str]) -> str:
    """A ToUnicode table in blocks of a hundred, as readers want them."""
    width = len(next(iter(texts), "0000"))
    rows = [f"<{code}> <{text.encode('utf-16-be').hex().upper()}>" for code, text in texts.items()]
    blocks = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    body = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<{'0' * width}> <{'F' * width}>\nendcodespacerange\n{body}"
        "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    )
