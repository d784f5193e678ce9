"""How soon does a vendor honour an opt-out 退订? A spare phone replies R, and later marketing must not reach it.

The phone ends up on the vendor's list: only spare ones are used, and they stay spare.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import Case, Purpose, Recipient, RecipientKind
from harness.facts import Replied, Reply
from harness.run.board import Ask, Board, Brief, Close, Step, Wait
from scenarios.timetable import MINUTE, allowed_from, moments, spacing_of, spans, stretches, texts_of
from scenarios.waiting import ARRIVED, PATIENCE, arrival, follow, soonest, waits

AFTER: Final = "10 min, 2 h, 24 h"
HAND_PATIENCE: Final = timedelta(hours=4)


class OptOut:
    """Settings: `after` the reply (10 min, 2 h, 24 h). Task: after_seconds of legs 1 and on, hours.

    A phone of a person who is no tester gets two marketing messages and serves one vendor only.
    """

    id: ClassVar[str] = "opt_out"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """Spare phones dealt out to vendors; with fewer phones than vendors, testers' phones serve several."""
        texts = texts_of(brief, Purpose.MARKETING)
        spares = [one for one in brief.recipients if one.spare and one.kind is RecipientKind.HANDSET]
        afters = [after for after in spans(brief, "after", AFTER) if after < brief.span]
        hours = stretches(brief)[:1]
        if not texts or not spares or not afters or not hours:
            return
        chance.shuffle(spares)
        labels = list(texts)
        chance.shuffle(labels)
        pairs = _pairs(labels, spares)
        # All begin in the first part of the first day, so that the last leg still falls into the run.
        gap = max(spacing_of(brief), 2 * MINUTE)
        starts = moments(hours, max(len(pairs), hours[0].length // gap), 0.0)
        for (label, phone), start in zip(pairs, starts, strict=False):
            chosen = afters if phone.tester else afters[-1:]
            contents = [texts[label][leg % len(texts[label])] for leg in range(len(chosen) + 1)]
            task = waits(brief, phone) | {
                "after_seconds": ",".join(str(int(after.total_seconds())) for after in chosen),
                "hours_begin": f"{brief.hours.begin:%H:%M}",
                "hours_end": f"{brief.hours.end:%H:%M}",
            }
            drafts = [brief.draft(label, content, phone) for content in contents]
            yield brief.case(self.id, label, start, recipient=phone, drafts=drafts, task=task)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Send marketing; once it is seen reply R, once; then send the other legs, all of them, and follow each."""
        reply = board.last_asked("reply")
        if reply is None:
            step = arrival(board, now)
            return Ask(Reply(leg=0, text="R")) if step == Close(ARRIVED) else step
        replied_at = _replied_at(board)
        if replied_at is None:
            if reply.failed is not None:
                return Close("reply_failed")
            patience = reply.asked_at + (PATIENCE if reply.answer is None else HAND_PATIENCE)
            return Wait(patience) if now < patience else Close("reply_unseen")
        dues = _dues(board, replied_at)
        return soonest(follow(board, now, leg, due) for leg, due in enumerate(dues, 1)) or Close("settled")


def _pairs(labels: list[str], spares: list[Recipient]) -> list[tuple[str, Recipient]]:
    """Vendors and phones, phones of their own as far as they go round."""
    if len(spares) >= len(labels):
        rounds = len(spares) // len(labels)  # the same number for each
        return [(labels[place % len(labels)], phone) for place, phone in enumerate(spares[: rounds * len(labels)])]
    pairs = []
    for place, label in enumerate(labels):
        phone = spares[place % len(spares)]
        if place < len(spares) or phone.tester:
            pairs.append((label, phone))
    return pairs


def _replied_at(board: Board) -> datetime | None:
    """When the phone took the reply, or the vendor passed it on; None: not known to have left.

    A reply by hand leaves when its owner finds the time, so only the vendor's passing it on tells.
    """
    known = [at for at, _ in board.inbound]
    for one in board.asked:
        if isinstance(one.answer, Replied) and not one.answer.by_hand and one.answered_at is not None:
            known.append(one.answered_at)
    return min(known, default=None)


def _dues(board: Board, replied_at: datetime) -> list[datetime]:
    """When each later leg is due: its time after the reply, moved into the hours."""
    task = board.case.task
    afters = [int(part) for part in task.get("after_seconds", "").split(",") if part.isdecimal() and len(part) < 9]
    begin, end = _clock(task.get("hours_begin", ""), time(9)), _clock(task.get("hours_end", ""), time(20, 30))
    return [allowed_from(replied_at + timedelta(seconds=after), begin, end) for after in afters]


def _clock(text: str, default: time) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        return default
