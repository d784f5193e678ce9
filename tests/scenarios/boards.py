"""Boards by hand, for tests that tell one situation and the step that fits it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from harness.domain import Accepted, Case, DeliveryState, Outcome, Reason, ReportSource
from harness.facts import Answer, Question, ReportReceived, SightingReceived
from harness.run.board import Asked, Board, Sent

TAKEN = Accepted(vendor_message_id="m1")


def after(case: Case, **elapsed: float) -> Any:
    """So long after a case was due."""
    return case.due + timedelta(**elapsed)


def sent(
    case: Case, outcome: Outcome | None = TAKEN, *, seen: bool = False, state: DeliveryState | None = None
) -> Sent:
    """A leg written when the case was due."""
    report = ReportReceived(
        vendor=case.vendor, vendor_message_id="m1", recipient=None, reference=None,
        state=state or DeliveryState.UNKNOWN, reason=None if state is DeliveryState.DELIVERED else Reason.UNMAPPED,
        code="", claimed_at=None, billed_segments=None, segment=1, source=ReportSource.PUSHED,
    )  # fmt: skip
    sighting = SightingReceived(
        forwarder="f", recipient="p", sender="1069", text="", event_id="e", scts=None, handset_at=None,
        forwarded_at=None, received_at=case.due, reconciled=False,
    )  # fmt: skip
    return Sent(
        intended_at=case.due,
        written_at=case.due,
        answered_at=case.due,
        outcome=outcome,
        reports=(report,) if state else (),
        sightings=(sighting,) if seen else (),
    )


def asked(
    case: Case, question: Question, answer: Answer | None = None, failed: str | None = None, **at: float
) -> Asked:
    """A question asked so long after the case was due, answered at once if at all."""
    moment = after(case, **at)
    return Asked(
        question=question, asked_at=moment, answer=answer, failed=failed, answered_at=moment if answer else None
    )


def board(case: Case, *legs: Sent, questions: tuple[Asked, ...] = (), **more: Any) -> Board:
    return Board(case=case, legs=dict(enumerate(legs)), asked=questions, **more)
