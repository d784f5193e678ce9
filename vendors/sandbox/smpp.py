"""An SMPP message centre in the sandbox, as mainland aggregators run one: the carrier's code stands in `err`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from harness.domain import DeliveryState, Reason
from vendors.carrier import smpp
from vendors.carrier.pdus import Pdu
from vendors.carrier.session import Received, Submission, Timings
from vendors.carrier.short_text import Part
from vendors.sandbox import gateway
from vendors.sandbox.door import Claim, Door, Reply

_CODES: Final = {Reason.THROTTLED: 0x58, Reason.INVALID_NUMBER: 0x0B, Reason.BAD_REQUEST: 0x01}
_SYSTEM, _FAILED = 0x08, 0x45
_STATS: Final = {
    DeliveryState.DELIVERED: "DELIVRD",
    DeliveryState.EXPIRED: "EXPIRED",
    DeliveryState.REJECTED: "REJECTD",
}
_FIRST: Final = 0x5A0000  # so that ids are six hexadecimal digits


def Counterpart(door: Door) -> gateway.Counterpart:
    """The centre's books for an account."""
    return gateway.Counterpart(door, _Wire)


class _Wire:
    ids_are_text = True
    garbage = bytes.fromhex("00000012 00000777 00000000 00000001 dead")  # no such command

    def __init__(self, door: Door) -> None:
        self._door, self._numbers = door, smpp.numbers(7)

    def host(self) -> tuple[Any, Timings]:
        return smpp.Gateway(secrets=gateway.secrets_of(self._door), numbers=self._numbers), smpp.TIMINGS

    def caller(self) -> None:
        return None

    def mint(self, at: datetime, submit: Received | None) -> bytes:
        return b"%x" % (_FIRST + gateway.serial_of(self._door))

    def spelt(self, message_id: bytes) -> str:
        return message_id.decode("ascii")

    def report(
        self, side: Any, claim: Claim, message_id: bytes, submission: Submission, done_at: datetime
    ) -> tuple[Pdu, Mapping[str, Any]]:
        found: tuple[Pdu, Mapping[str, Any]] = side.report(
            message_id=message_id,
            stat=_STATS.get(claim.state, "UNDELIV"),
            err="000" if claim.state is DeliveryState.DELIVERED else claim.code,
            number=submission.numbers[0],
            sender=submission.sender,
            submitted_at=claim.submitted_at,
            done_at=done_at,
        )
        return found

    def inbound(self, side: Any, part: Part, reply: Reply, message_id: bytes) -> tuple[Pdu, Mapping[str, Any]]:
        found: tuple[Pdu, Mapping[str, Any]] = side.inbound(part, number=reply.number.removeprefix("+"), to=reply.to)
        return found

    def code(self, reason: Reason | None) -> int:
        return _CODES.get(reason, _FAILED) if reason else _SYSTEM
