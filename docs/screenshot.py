"""Renders a result and photographs the top of its report: `python docs/screenshot.py [result.json] [en|zh-CN]`.

Without a result it takes the tests' sample. Needs Chromium in PATH; writes docs/report.png.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOUSE))

from harness.judge.result import Result, parse  # noqa: E402
from harness.words import Words  # noqa: E402
from reports import html  # noqa: E402

WIDTH, HEIGHT = 1280, 1720


def main(arguments: list[str]) -> None:
    language = next((a for a in arguments if a in ("en", "zh-CN")), "zh-CN")
    path = next((Path(a) for a in arguments if a.endswith(".json")), None)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no chromium, chromium-browser or google-chrome in PATH")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_bytes(html.render(_result(path), Words(language)))
        subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--hide-scrollbars", f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}",
                f"--screenshot={HOUSE / 'docs' / 'report.png'}", page.as_uri(),
            ],
            check=True, timeout=60, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _result(path: Path | None) -> Result:
    if path is not None:
        return parse(path.read_bytes(), path.name)
    from tests.reports.sample import sample

    return sample()


if __name__ == "__main__":
    main(sys.argv[1:])
