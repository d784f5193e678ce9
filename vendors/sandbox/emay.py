"""Emay's side of the wire, from the vendor's documents and not from the adapter, best by somebody else.

Credentials: `key`, `secret`. Options: one for each point on which the documents are silent or differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import httpx

from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review


class Counterpart:
    """Emay for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()  # after each failed try, wait this long

    def __init__(self, door: Door) -> None:
        self._door = door

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Check the signature with code of its own, then self._door.submit(...). Garbage gets the vendor's error."""
        raise NotImplementedError("TO DO: vendors/sandbox/emay.py, answer()")

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | Sequence[PushOut] | None:
        return None

    def push_reply(self, reply: Reply) -> PushOut | Sequence[PushOut] | None:
        return None

    def push_decision(self, review: Review) -> PushOut | Sequence[PushOut] | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200
