"""Deletes the phone numbers of runs whose time is over: nobody keeps a tester's number longer than was said.

A number stands in one table of a run's ledger and nowhere else, so a run without its numbers says all it ever said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from harness.config import KEEP_NUMBERS
from harness.errors import LedgerError
from harness.facts import CasePlanned, RunBegan, RunEnded, SendIntended
from harness.ledger.sqlite import UNREADABLE, SqliteLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """One run's numbers that were deleted, by recipient's id; or why none of it could be looked at."""

    run: str
    recipients: tuple[str, ...] = ()
    trouble: str | None = None


def forget_expired(runs: Path, now: datetime, *, at_most: timedelta | None = None) -> list[Expired]:
    """Delete every number in a folder of live runs whose last message is longer ago than its run allows.

    Args:
        runs: the folder that holds the runs' folders.
        at_most: keep none longer than this, whatever its run's evaluation said.

    Sandbox runs are passed over: their numbers are invented and their time is their own. A ledger that cannot be read,
    or that another process is writing, is told and left as it is.
    """
    done: list[Expired] = []
    for path in sorted(runs.glob("*/ledger.db")):
        try:
            gone = _forget(path, now, at_most)
        except LedgerError as error:
            done.append(Expired(run=path.parent.name, trouble=str(error)))
            continue
        except UNREADABLE as error:  # its words may quote what it could not read: a number
            done.append(Expired(run=path.parent.name, trouble=f"cannot be read ({type(error).__name__})"))
            continue
        if gone:
            done.append(Expired(run=path.parent.name, recipients=gone))
    return done


def _forget(path: Path, now: datetime, at_most: timedelta | None) -> tuple[str, ...]:
    due = _due(path, now, at_most)
    if not due:
        return ()
    ledger = SqliteLedger(path, inline=True, exclusive=True)
    try:
        return tuple(recipient for recipient in due if ledger.forget(recipient))
    finally:
        ledger.release()


def _due(path: Path, now: datetime, at_most: timedelta | None) -> Sequence[str]:
    """The recipients of a run whose time is over."""
    ledger = SqliteLedger(path, read_only=True)
    try:
        began = next(ledger.facts(kinds={"run_began"}), None)
        if began is None or not isinstance(began.body, RunBegan) or began.body.mode != "live":
            return ()
        settings = began.body.settings
        keep = timedelta(seconds=settings.get("keep_numbers_seconds", KEEP_NUMBERS.total_seconds()))
        keep = keep if at_most is None else min(keep, at_most)
        people = ledger.recipients()
        if not people or began.at + keep > now:  # no message is older than its run
            return ()
        # A run that was cut off may be taken up again until the end it was planned to have.
        end = began.at + timedelta(seconds=settings.get("lasts_seconds", 0.0))
        last = dict.fromkeys(people, began.at)
        whose: dict[str, str] = {}
        for fact in ledger.facts(kinds={"case_planned", "send_intended", "run_ended"}):
            match fact.body:
                case CasePlanned(case=case) if case.recipient is not None:
                    whose[case.id] = case.recipient
                case SendIntended() if (person := whose.get(fact.case_id or "")) in last:
                    last[person] = max(last[person], fact.at)
                case RunEnded(because="done"):
                    end = began.at
        return [person for person, at in sorted(last.items()) if max(at, end) + keep <= now]
    finally:
        ledger.release()
