"""A link to a gateway as the hall knows it: bytes in, news out, and nothing of any protocol.

A vendor that holds sessions says which links it needs; each connection gets a `Link` of its own, a machine without
I/O that is handed the time. What a gateway hands over is acknowledged only once it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from harness.domain import InboundMessage, Reason, StatusReport


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """One of an account's links. `open` makes the machine for a new connection."""

    name: str  # "main", "reports"
    host: str
    port: int
    open: Callable[[], Link] = field(repr=False)
    tls: bool = False
    tls_ca: str = ""  # file of the certificates to trust; empty: those of the system
    listens: bool = False  # the gateway dials us: `host` and `port` are ours
    sends: bool = True
    on_demand: bool = False  # dialled when there is something to send, and left when idle
    window: int = 16  # parts without an answer


# --- news ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Logged in. `detail`: what the gateway said of itself."""

    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused:
    """`is_final`: the account or what we ask for is wrong, and trying again will not mend it."""

    code: str
    why: str
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A part's answer. `reason` None: taken."""

    ticket: Any
    code: str
    message_id: str
    reason: Reason | None
    detail: str = ""
    wait: float | None = None  # seconds to hold back, after "too fast"
    is_late: bool = False  # it had been given up as in doubt before
    frame: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """A part went out, and no answer tells: it may have been taken."""

    ticket: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """A part surely did not leave."""

    ticket: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """The gateway handed something over; `acknowledge` once it is kept. `why`: what could not be read of it."""

    acknowledge: Callable[[], object] = field(repr=False)
    frame: bytes
    report: StatusReport | None = None
    inbound: InboundMessage | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A packet that could not be read, or was out of place; the link goes on."""

    why: str
    frame: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The link is over: the last news. `is_clean`: one side said goodbye."""

    why: str
    is_clean: bool


News = Opened | LoginRefused | Answered | Doubted | Unsent | HandedOver | Odd | Over


class Sent(NamedTuple):
    """A part on its way. `message_id`: the id it will have, where we choose it ourselves; else empty."""

    frame: bytes
    message_id: str = ""


class State(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    OVER = "over"


class Link(Protocol):
    """One connection. `now` is seconds on any line that never runs back.

    After each call: write `bytes_to_send`, call `tick` at `next_timer`, and read no more while `is_full`.
    """

    @property
    def state(self) -> State: ...
    @property
    def in_flight(self) -> int:
        """Parts without an answer."""

    @property
    def is_full(self) -> bool: ...

    def begin(self, now: float) -> None: ...
    def feed(self, data: bytes, now: float) -> Sequence[News]: ...
    def tick(self, now: float) -> Sequence[News]: ...
    def lost(self, why: str) -> Sequence[News]: ...
    def leave(self, now: float) -> Sequence[News]: ...
    def next_timer(self) -> float | None: ...
    def bytes_to_send(self) -> bytes: ...

    def submit(self, ticket: Any, part: Any, now: float) -> Sent:
        """Send one part. Raises ValueError if it cannot be written."""
