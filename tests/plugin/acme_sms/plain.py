"""A renderer from outside."""

from __future__ import annotations

from typing import Any


def render(result: Any, words: Any) -> bytes:
    return b"plain"
