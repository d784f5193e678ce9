"""Two sessions joined without a network, and the same protocol on both: shared by the tests of sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vendors.carrier import cmpp, sgip, smgp, smpp
from vendors.carrier.session import Event, Numbers, Phase, Session, Timings
from vendors.carrier.short_text import Alphabet, Part, split_text

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NUMBER, SENDER = "8613800001234", "1069000012"


def part(text: str = "你好") -> Part:
    (only,) = split_text(text, Alphabet.UCS2, reference=0)
    return only


@dataclass
class Link:
    """A client and its gateway. `carry` moves bytes until nothing moves; events are kept for each side."""

    ours: Session
    theirs: Session
    client: Any
    gateway: Any
    heard: list[Event] = field(default_factory=list)  # by us
    seen: list[Event] = field(default_factory=list)  # by the gateway
    now: float = 0.0

    def open(self) -> Link:
        self.ours.begin(self.now)
        self.theirs.begin(self.now)
        self.carry()
        assert self.ours.phase is self.theirs.phase is Phase.OPEN
        self.heard.clear()
        self.seen.clear()
        return self

    def carry(self) -> None:
        while True:
            out = self.ours.bytes_to_send()
            self.seen += self.theirs.feed(out, self.now)
            back = self.theirs.bytes_to_send()
            self.heard += self.ours.feed(back, self.now)
            if not out and not back:
                return

    def submit(self, ticket: str) -> Any:
        return self.ours.request(ticket, *self.client.submit(part(), sender=SENDER, number=NUMBER), self.now)

    def tick(self, seconds: float) -> None:
        """Let time pass, step by step, for our side."""
        end = self.now + seconds
        while (due := self.ours.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.heard += self.ours.tick(self.now)
        self.now = end

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


def _cmpp(version: int) -> tuple[Any, Any, Timings]:
    return (
        cmpp.Client(account="901234", secret="1234", now=lambda: NOON, numbers=cmpp.numbers(0), version=version),
        cmpp.Gateway(secrets={"901234": "1234"}, numbers=cmpp.numbers(0)),
        cmpp.TIMINGS,
    )


def _smpp() -> tuple[Any, Any, Timings]:
    return (
        smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0)),
        smpp.Gateway(secrets={"esme1": "secret"}, numbers=smpp.numbers(0)),
        smpp.TIMINGS,
    )


def words(node: int = 3010012345, start: int = 0) -> sgip.Words:
    return sgip.Words(node=node, now=lambda: NOON, start=start)


def _sgip() -> tuple[Any, Any, Timings]:
    return (
        sgip.Client(account="spuser", secret="sppass", numbers=words(), corp_id="12345"),
        sgip.Gateway(secrets={"spuser": "sppass"}, numbers=words(1010000)),
        sgip.TIMINGS,
    )


def _smgp() -> tuple[Any, Any, Timings]:
    return (
        smgp.Client(account="12345678", secret="abc", now=lambda: NOON, numbers=smgp.numbers(0)),
        smgp.Gateway(secrets={"12345678": "abc"}, numbers=smgp.numbers(0)),
        smgp.TIMINGS,
    )


PROTOCOLS: dict[str, Callable[[], tuple[Any, Any, Timings]]] = {
    "cmpp2": lambda: _cmpp(cmpp.V2),
    "cmpp3": lambda: _cmpp(cmpp.V3),
    "smpp": _smpp,
    "sgip": _sgip,
    "smgp": _smgp,
}


def link(protocol: str, timings: Timings | None = None, *, numbers: Numbers | None = None) -> Link:
    """Both sides of a protocol, not yet logged in."""
    client, gateway, usual = PROTOCOLS[protocol]()
    if numbers is not None:
        client.numbers = numbers
    return Link(
        ours=Session(client, timings or usual),
        theirs=Session(gateway, timings or usual),
        client=client,
        gateway=gateway,
    )


def report(protocol: str, gateway: Any, message_id: bytes, stat: str = "DELIVRD") -> Any:
    """A status report as the gateway of a protocol hands it over."""
    return gateway.report(
        message_id=message_id, stat=stat, number=NUMBER, sender=SENDER, submitted_at=NOON, done_at=NOON
    )
