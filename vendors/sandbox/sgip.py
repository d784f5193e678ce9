"""An SGIP gateway in the sandbox: takes submits on one connection, and dials the customer with reports and replies.

The account's option `dials` is where to: host:port.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from harness.domain import DeliveryState, Reason
from vendors.carrier import sgip
from vendors.carrier.pdus import Pdu
from vendors.carrier.session import Received, Submission, Timings
from vendors.carrier.short_text import Part
from vendors.sandbox import gateway
from vendors.sandbox.door import Claim, Door, Reply

_CODES: Final = {Reason.THROTTLED: 33, Reason.INVALID_NUMBER: 6, Reason.QUOTA: 182}
_FORMAT, _UNREACHABLE = 5, 21
_ERRORS: Final = {Reason.INVALID_NUMBER: 29, Reason.UNREACHABLE: 25, Reason.BLACKLISTED: 69, Reason.CARRIER_FAULT: 22}
_HANGS_UP: Final = Timings(window=32, answer=30.0, keep_alive=None)  # the customer leaves, not the gateway
_CALLS: Final = Timings(window=32, answer=10.0, keep_alive=None, idle_leave=30.0)
NODE: Final = 3010099999


def Counterpart(door: Door) -> gateway.Counterpart:
    """The gateway's books for an account."""
    return gateway.Counterpart(door, _Wire)


class _Wire:
    ids_are_text = False
    garbage = bytes.fromhex("00000016 00000777 00000001 00000001 00000001 dead")  # no such command

    def __init__(self, door: Door) -> None:
        self._door = door
        self._words = sgip.Words(node=NODE, now=door.now)

    def host(self) -> tuple[Any, Timings]:
        side = sgip.Gateway(secrets=gateway.secrets_of(self._door), numbers=self._words)
        side.may_send = False  # reports never go by this connection
        return side, _HANGS_UP

    def caller(self) -> tuple[Any, Timings]:
        credentials = self._door.credentials
        side = sgip.Caller(
            account=credentials.get("gateway_account", credentials["account"]),
            secret=credentials.get("gateway_secret", credentials["secret"]),
            numbers=self._words,
        )
        return side, _CALLS

    def mint(self, at: datetime, submit: Received | None) -> bytes:
        return sgip.sequence_bytes(submit.packet.sequence if submit is not None else self._words.next(()))

    def spelt(self, message_id: bytes) -> str:
        return sgip.sequence_text(message_id)

    def report(
        self, side: Any, claim: Claim, message_id: bytes, submission: Submission, done_at: datetime
    ) -> tuple[Pdu, Mapping[str, Any]]:
        delivered = claim.state is DeliveryState.DELIVERED
        found: tuple[Pdu, Mapping[str, Any]] = side.report(
            message_id=message_id,
            number=submission.numbers[0],
            state=0 if delivered else 2,
            error_code=0 if claim.reason is None else _ERRORS.get(claim.reason, _UNREACHABLE),
        )
        return found

    def inbound(self, side: Any, part: Part, reply: Reply, message_id: bytes) -> tuple[Pdu, Mapping[str, Any]]:
        found: tuple[Pdu, Mapping[str, Any]] = side.inbound(part, number=reply.number.removeprefix("+"), to=reply.to)
        return found

    def code(self, reason: Reason | None) -> int:
        return _CODES.get(reason, _FORMAT) if reason else _UNREACHABLE
