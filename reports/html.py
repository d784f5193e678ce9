"""One self-contained HTML page."""

from __future__ import annotations

from harness.judge.result import Result
from harness.words import Words


def render(result: Result, words: Words) -> bytes:
    raise NotImplementedError
