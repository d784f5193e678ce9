"""A vendor's method is a conversation: a generator that yields requests, is sent responses, and returns what they mean.

It does no I/O and keeps no time, so a test hands the replies in and the hall carries it over any line.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

import httpx

from harness.errors import Unintelligible

T = TypeVar("T")

Flow = Generator[httpx.Request, httpx.Response, T]
"""`reply = yield request`, as often as needed, then `return` the result."""


class Talk(Generic[T]):
    """Plays a flow against replies given by hand: the driver for tests and for reading recorded exchanges."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._outcome: list[T] = []
        self.request: httpx.Request | None = None
        try:
            self.request = next(flow)
        except StopIteration as done:
            self._outcome.append(done.value)

    def answer(
        self,
        status: int,
        body: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Talk[T]:
        """Hand in the next reply: `body` as JSON, or `content` as raw bytes. Raises what the flow raises."""
        if self._outcome:
            raise ValueError("the conversation is over: it has an outcome")
        raw = content if content is not None else json.dumps(body).encode()
        reply = httpx.Response(
            status, content=raw, headers={"content-type": "application/json", **(headers or {})}, request=self.request
        )
        try:
            self.request = self._flow.send(reply)
        except StopIteration as done:
            self.request = None
            self._outcome.append(done.value)
        return self

    @property
    def is_over(self) -> bool:
        return bool(self._outcome)

    @property
    def outcome(self) -> T:
        if not self._outcome:
            raise ValueError(f"the conversation goes on: it waits for an answer to {self.request!r}")
        return self._outcome[0]


def play(flow: Flow[T]) -> Talk[T]:
    """Start a conversation by hand: `talk.request` is the first request, `talk.answer(...)` replies."""
    return Talk(flow)


def read_json(reply: httpx.Response) -> Any:
    """The reply's JSON, whatever its status says.

    Raises:
        Unintelligible: not JSON, not UTF-8, nested too deep, or a number beyond what Python reads.
    """
    try:
        return json.loads(reply.content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unintelligible(f"HTTP {reply.status_code}, not JSON: {error}", body=reply.content) from error


def read_object(reply: httpx.Response) -> dict[str, Any]:
    """The reply's JSON object. Raises Unintelligible for anything else."""
    body = read_json(reply)
    if not isinstance(body, dict):
        raise Unintelligible(
            f"HTTP {reply.status_code}: expected a JSON object, got {type(body).__name__}", body=reply.content
        )
    return body
