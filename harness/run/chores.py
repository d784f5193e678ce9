"""What runs beside the cases, a task for each vendor or phone: pulling reports, settling doubt, signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from harness.capabilities import FindsRecords, PullsInbound, PullsReports
from harness.clock import Clock
from harness.config import Evaluation, Forwarder
from harness.domain import BEIJING, InDoubt, Recipient, ReportSource
from harness.facts import CallFailed, FindRecord, HeartbeatReceived, InboundReceived, SendSettled
from harness.ledger import Entry, Ledger
from harness.matching import Leg
from harness.run.board import Board
from harness.run.handsets import ask_clock, can_be_asked
from harness.run.inbox import People, report_fact
from harness.run.lines import Line, Redactor
from harness.run.questions import record_told
from harness.text import whole

SETTLE_AFTER: Final = (timedelta(minutes=2), timedelta(minutes=30), timedelta(hours=6))
"""When a send in doubt is looked up in the vendor's records, counted from the intent."""


class Chores:
    """Runs until cancelled. Every chore survives trouble: it is written down and the next turn comes."""

    def __init__(
        self,
        *,
        evaluation: Evaluation,
        ledger: Ledger,
        clock: Clock,
        vendors: Mapping[str, Any],
        lines: Mapping[str, Line],
        phones: Line,
        people: People,
        recipients: Mapping[str, Recipient],
        redactor: Redactor,
        doubts: Doubts,
    ) -> None:
        self._evaluation, self._ledger, self._clock = evaluation, ledger, clock
        self._vendors, self._lines, self._phones = vendors, lines, phones
        self._people, self._recipients, self._redactor = people, recipients, redactor
        self._doubts = doubts

    def start(self) -> list[asyncio.Task[None]]:
        tasks = []
        for label, vendor in self._vendors.items():
            if self._evaluation.vendors[label].reports in ("pull", "both"):
                if isinstance(vendor, PullsReports):
                    tasks.append(asyncio.create_task(self._pull_reports(label, vendor), name=f"reports of {label}"))
                if isinstance(vendor, PullsInbound):
                    tasks.append(asyncio.create_task(self._pull_inbound(label, vendor), name=f"inbound of {label}"))
            if isinstance(vendor, FindsRecords):
                tasks.append(asyncio.create_task(self._settle(label, vendor), name=f"doubt at {label}"))
        for forwarder in self._evaluation.forwarders.values():
            # The app that posts no heartbeat of its own is asked; the answer is a clock exchange as well.
            if can_be_asked(forwarder) and forwarder.app == "smsforwarder":
                tasks.append(asyncio.create_task(self._listen_to(forwarder), name=f"life of {forwarder.id}"))
        return tasks

    async def _pull_reports(self, label: str, vendor: PullsReports) -> None:
        last: datetime | None = None
        every = self._evaluation.pull_every.total_seconds()
        while True:
            await asyncio.sleep(every)
            began = self._clock.now()
            carried = await self._lines[label].carry(vendor.pull_reports, again=False)
            if carried.trouble is not None:
                await self._failed("pull_reports", carried.trouble, carried.recording)
                continue
            entries = []
            for report in carried.result or ():
                body, key = report_fact(label, report, self._people, ReportSource.PULLED, not_before=last)
                entries.append(Entry(body=body, at=self._clock.now(), dedupe=key, recording=carried.recording))
            if entries:
                await self._ledger.append(*entries)
            last = began

    async def _pull_inbound(self, label: str, vendor: PullsInbound) -> None:
        every = self._evaluation.pull_every.total_seconds()
        while True:
            await asyncio.sleep(every)
            carried = await self._lines[label].carry(vendor.pull_inbound, again=False)
            if carried.trouble is not None:
                await self._failed("pull_inbound", carried.trouble, carried.recording)
                continue
            entries = []
            for reply in carried.result or ():
                body = InboundReceived(
                    vendor=label,
                    recipient=self._people.of_number(reply.number),
                    to=reply.to,
                    text=self._redactor.text(reply.text),
                    sent_at=reply.sent_at,
                    source=ReportSource.PULLED,
                )
                key = reply.vendor_message_id or f"{body.recipient}:{body.text}:{reply.sent_at}"
                dedupe = whole(f"inbound:{label}:{key}")
                entries.append(Entry(body=body, at=self._clock.now(), dedupe=dedupe, recording=carried.recording))
            if entries:
                await self._ledger.append(*entries)

    async def _settle(self, label: str, vendor: FindsRecords) -> None:
        """Look sends in doubt up in the vendor's own records. Never sends anything."""
        turns: dict[Leg, int] = {}
        while True:
            due = [(at, leg) for leg in self._doubts.of(label) if (at := self._due(leg, turns)) is not None]
            if not due:
                await self._doubts.wait_for_more(label)
                continue
            at, leg = min(due)
            await asyncio.sleep(max(0.0, (at - self._clock.now()).total_seconds()))
            turns[leg] = turns.get(leg, 0) + 1
            if (doubt := self._doubts.get(leg)) is not None:
                await self._settle_one(label, vendor, doubt, leg.leg)

    def _due(self, leg: Leg, turns: Mapping[Leg, int]) -> datetime | None:
        board, turn = self._doubts.get(leg), turns.get(leg, 0)
        if board is None or turn >= len(SETTLE_AFTER):
            return None
        return board.legs[leg.leg].intended_at + SETTLE_AFTER[turn]

    async def _settle_one(self, label: str, vendor: FindsRecords, board: Board, leg: int) -> None:
        sent, person = board.legs[leg], self._recipients.get(board.case.recipient or "")
        if person is None:
            return
        day, draft = sent.intended_at.astimezone(BEIJING).date(), board.case.drafts[leg]
        carried = await self._lines[label].carry(lambda: vendor.find_records(person.number, day))
        if carried.trouble is not None:
            await self._failed("find_record", carried.trouble, carried.recording)
            return
        told = record_told(carried.result or (), FindRecord(day=day, reference=draft.reference), {draft.token})
        if told.found:
            body = SendSettled(leg=leg, by="record", vendor_message_id=told.vendor_message_id)
            entry = Entry(body=body, at=self._clock.now(), case_id=board.case.id, recording=carried.recording)
            await self._ledger.append(entry)

    async def _listen_to(self, forwarder: Forwarder) -> None:
        every = self._evaluation.silence.total_seconds() * 0.45
        while True:
            asked_at = self._clock.now()
            carried = await self._phones.carry(lambda: ask_clock(forwarder, self._clock.now()), again=False)
            if carried.trouble is None:
                body = HeartbeatReceived(
                    forwarder=forwarder.id,
                    asked_at=asked_at,
                    phone_at=carried.result,
                    received_at=self._clock.now(),
                )
                self._ledger.post(Entry(body=body, at=self._clock.now()))
            await asyncio.sleep(every)

    async def _failed(self, what: str, trouble: Any, recording: bytes) -> None:
        body = CallFailed(
            what=what, trouble=trouble.kind, detail=self._redactor.text(trouble.detail), written=trouble.written
        )
        await self._ledger.append(Entry(body=body, at=self._clock.now(), recording=recording))


class Doubts:
    """Sends whose outcome is still unknown, kept up with every board."""

    def __init__(self) -> None:
        self._boards: dict[Leg, Board] = {}
        self._more: dict[str, asyncio.Event] = {}

    def take(self, board: Board) -> None:
        """Look at a board that changed."""
        for number, sent in board.legs.items():
            leg = Leg(board.case.id, number)
            if isinstance(sent.outcome, InDoubt) and not sent.is_taken:
                self._boards[leg] = board
                self._more.setdefault(board.case.vendor, asyncio.Event()).set()
            else:
                self._boards.pop(leg, None)

    def of(self, vendor: str) -> list[Leg]:
        return [leg for leg, board in self._boards.items() if board.case.vendor == vendor]

    def get(self, leg: Leg) -> Board | None:
        return self._boards.get(leg)

    async def wait_for_more(self, vendor: str) -> None:
        event = self._more.setdefault(vendor, asyncio.Event())
        event.clear()
        await event.wait()
