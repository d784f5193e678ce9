"""A CMPP gateway in the sandbox. The account's option `version` says what it speaks: 3.0, or 2.0 and nothing newer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from harness.domain import Reason
from vendors.carrier import cmpp
from vendors.carrier.pdus import Pdu
from vendors.carrier.session import Received, Submission, Timings
from vendors.carrier.short_text import Part
from vendors.sandbox import gateway
from vendors.sandbox.door import Claim, Door, Reply

_CODES: Final = {Reason.THROTTLED: 8, Reason.INVALID_NUMBER: 13, Reason.BAD_REQUEST: 1}
_OTHER: Final = 9


def Counterpart(door: Door) -> gateway.Counterpart:
    """The gateway's books for an account."""
    return gateway.Counterpart(door, _Wire)


class _Wire:
    ids_are_text = False
    garbage = bytes.fromhex("0000000e 0000000b 00000001 dead")  # no such command

    def __init__(self, door: Door) -> None:
        self._door, self._numbers = door, cmpp.numbers(7)
        self._speaks = cmpp.V2 if door.options.get("version") == "2.0" else cmpp.V3

    def host(self) -> tuple[Any, Timings]:
        side = cmpp.Gateway(secrets=gateway.secrets_of(self._door), numbers=self._numbers, speaks=self._speaks)
        return side, cmpp.TIMINGS

    def caller(self) -> None:
        return None

    def mint(self, at: datetime, submit: Received | None) -> bytes:
        return cmpp.message_id(at, 1069, gateway.serial_of(self._door))

    def spelt(self, message_id: bytes) -> str:
        return message_id.hex()

    def report(
        self, side: Any, claim: Claim, message_id: bytes, submission: Submission, done_at: datetime
    ) -> tuple[Pdu, Mapping[str, Any]]:
        found: tuple[Pdu, Mapping[str, Any]] = side.report(
            message_id=message_id,
            stat=claim.code[:7],
            number=submission.numbers[0],
            sender=submission.sender,
            submitted_at=claim.submitted_at,
            done_at=done_at,
        )
        return found

    def inbound(self, side: Any, part: Part, reply: Reply, message_id: bytes) -> tuple[Pdu, Mapping[str, Any]]:
        number = reply.number.removeprefix("+")
        found: tuple[Pdu, Mapping[str, Any]] = side.inbound(part, message_id=message_id, number=number, to=reply.to)
        return found

    def code(self, reason: Reason | None) -> int:
        return _CODES.get(reason, _OTHER) if reason else _OTHER
