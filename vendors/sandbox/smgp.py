"""An SMGP gateway in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from harness.domain import DeliveryState, Reason
from vendors.carrier import smgp
from vendors.carrier.pdus import Pdu
from vendors.carrier.session import Received, Submission, Timings
from vendors.carrier.short_text import Part
from vendors.sandbox import gateway
from vendors.sandbox.door import Claim, Door, Reply

_CODES: Final = {Reason.THROTTLED: 1, Reason.INVALID_NUMBER: 47, Reason.QUOTA: 75, Reason.HOURS: 74}
_STRUCTURE: Final = 10
_STATS: Final = {
    DeliveryState.DELIVERED: "DELIVRD",
    DeliveryState.EXPIRED: "EXPIRED",
    DeliveryState.REJECTED: "REJECTD",
}
_ERRS: Final = {Reason.INVALID_NUMBER: "003", Reason.UNREACHABLE: "001", Reason.BLACKLISTED: "005"}


def Counterpart(door: Door) -> gateway.Counterpart:
    """The gateway's books for an account."""
    return gateway.Counterpart(door, _Wire)


class _Wire:
    ids_are_text = False
    garbage = bytes.fromhex("0000000e 0000000b 00000001 dead")  # no such command

    def __init__(self, door: Door) -> None:
        self._door, self._numbers = door, smgp.numbers(7)

    def host(self) -> tuple[Any, Timings]:
        return smgp.Gateway(secrets=gateway.secrets_of(self._door), numbers=self._numbers), smgp.TIMINGS

    def caller(self) -> None:
        return None

    def mint(self, at: datetime, submit: Received | None) -> bytes:
        return smgp.message_id("010061", at, gateway.serial_of(self._door))

    def spelt(self, message_id: bytes) -> str:
        return message_id.hex()

    def report(
        self, side: Any, claim: Claim, message_id: bytes, submission: Submission, done_at: datetime
    ) -> tuple[Pdu, Mapping[str, Any]]:
        found: tuple[Pdu, Mapping[str, Any]] = side.report(
            message_id=message_id,
            stat=_STATS.get(claim.state, "UNDELIV"),
            err=_ERRS.get(claim.reason, "006") if claim.reason else "000",
            number=submission.numbers[0],
            sender=submission.sender,
            submitted_at=claim.submitted_at,
            done_at=done_at,
        )
        return found

    def inbound(self, side: Any, part: Part, reply: Reply, message_id: bytes) -> tuple[Pdu, Mapping[str, Any]]:
        number = reply.number.removeprefix("+")
        found: tuple[Pdu, Mapping[str, Any]] = side.inbound(
            part, message_id=message_id, number=number, to=reply.to, at=reply.sent_at
        )
        return found

    def code(self, reason: Reason | None) -> int:
        return _CODES.get(reason, _STRUCTURE) if reason else _STRUCTURE
