"""The loop: board → step → line → fact. Knows no vendor and no scenario by name, and remembers nothing of its own.

Resuming is reading the ledger and asking again. What may have left is never sent twice: the intent is durable before
the first byte, and an intent without an answer is in doubt for good, unless other evidence settles it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from harness import __version__
from harness.capabilities import HoldsSession, Submits
from harness.clock import Clock
from harness.config import Evaluation
from harness.domain import Case, Draft, InDoubt, Message, Outcome, Recipient
from harness.errors import VendorTrouble
from harness.facts import (
    Braked,
    CallFailed,
    CaseClosed,
    Fact,
    FactBody,
    Probe,
    Probed,
    Question,
    QuestionAnswered,
    QuestionAsked,
    Reply,
    RunEnded,
    RunResumed,
    SendIntended,
    SubmitAnswered,
    SubmitReview,
)
from harness.ledger import Entry, Ledger
from harness.matching import Matcher
from harness.run.board import Ask, Board, Close, Scenario, Send, Wait, fold
from harness.run.brakes import Brakes, Go, Hold, Stop
from harness.run.chores import Chores, Doubts
from harness.run.inbox import sighting_fact
from harness.run.lines import Carried, Line, Redactor
from harness.run.links import About, Links
from harness.run.questions import Asker, Told

LEAD: Final = timedelta(milliseconds=100)
"""An intent is committed this long before its planned instant, so that the disk never shows in the schedule."""
EARLIEST_RETURN: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Whom the engine works with, by account label."""

    vendors: Mapping[str, Any]
    lines: Mapping[str, Line]
    askers: Mapping[str, Asker]
    scenarios: Mapping[str, Scenario]
    links: Mapping[str, Links] = field(default_factory=dict)  # of those vendors that hold sessions


class Engine:
    """Carries out what the ledger says is planned and not yet done."""

    def __init__(
        self,
        *,
        evaluation: Evaluation,
        ledger: Ledger,
        clock: Clock,
        crew: Crew,
        recipients: Mapping[str, Recipient],
        redactor: Redactor,
        chores: Chores,
        doubts: Doubts,
        lead: timedelta = LEAD,
        listens: bool = False,
    ) -> None:
        self._evaluation, self._ledger, self._clock, self._crew = evaluation, ledger, clock, crew
        self._recipients, self._redactor, self._lead = recipients, redactor, lead
        self._listens = listens  # whether another process may write to the ledger too
        self._matcher, self._boards = Matcher(), dict[str, Board]()
        self._brakes = Brakes(evaluation, recipients)
        self._agenda: list[tuple[datetime, int, str]] = []
        self._waiting: dict[str, datetime] = {}  # case → when it is looked at next
        self._first_due: dict[tuple[str, int], datetime] = {}  # when a leg was first asked for
        self._ready: dict[str, None] = {}  # an ordered set: cases with news
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: datetime | None = None
        self._order = 0
        self._open = 0
        self._stopping: str | None = None
        self._failure: BaseException | None = None
        self._chores, self._doubts = chores, doubts

    @property
    def boards(self) -> Mapping[str, Board]:
        return self._boards

    def stop(self, because: str = "interrupted") -> None:
        """Send nothing more; finish what is on its way; end so that the run can be resumed."""
        self._stopping = self._stopping or because
        self._news.set()

    def leave_off(self, scenarios: Collection[str], because: str) -> int:
        """Close what these scenarios have not begun yet, and send none of it; how many cases that were."""
        left = 0
        for case_id, board in self._boards.items():
            begun = board.closed is not None or board.legs or case_id in self._busy
            if not begun and board.case.scenario in scenarios:
                self._begin(case_id, self._write(case_id, CaseClosed(because=because)))
                left += 1
        self._news.set()
        return left

    async def run(self) -> str:
        """Until every case is closed, or `stop`. Returns why it ended. Raises LedgerError if the ledger fails."""
        for fact in self._ledger.facts():
            self._take(fact)
        self._ledger.listen(self._hear)
        await self._resume()
        chores = self._chores.start()
        if self._listens:
            chores.append(asyncio.create_task(self._catch_up()))
        try:
            for case_id, board in self._boards.items():
                if board.closed is None:
                    self._look_at(case_id, board.case.due)
            await self._work()
            because = self._stopping or "done"
            await self._ledger.append(Entry(body=RunEnded(because=because), at=self._clock.now()))
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            for task in [*chores, *self._tasks]:
                task.cancel()
            await asyncio.gather(*chores, *self._tasks, return_exceptions=True)
        return because

    async def _catch_up(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._ledger.catch_up()

    # --- memory -----------------------------------------------------------------------------------------------------

    def _take(self, fact: Fact) -> list[str]:
        """Fold a fact in; the cases it is news for."""
        touched = []
        for case_id, news in self._matcher.route(fact):
            before = self._boards.get(case_id)
            after = fold(before, news, self._matcher)
            if after is None or after is before:
                continue
            self._boards[case_id] = after
            self._doubts.take(after)
            self._open += (after.closed is None) - (before is not None and before.closed is None)
            touched.append(case_id)
        self._brakes.learn(fact, self._matcher)
        return touched

    def _hear(self, fact: Fact) -> None:
        touched = [case_id for case_id in self._take(fact) if case_id not in self._busy]
        if touched:  # a busy case is looked at when its step is done
            self._ready.update(dict.fromkeys(touched))
            self._news.set()

    async def _resume(self) -> None:
        """Say of everything that was begun and not finished that it is in doubt. Nothing of it is done again."""
        entries: list[Entry] = []
        now = self._clock.now()
        began = False
        for case_id, board in self._boards.items():
            for leg, sent in board.legs.items():
                began = True
                if not sent.is_answered:
                    doubt = SubmitAnswered(leg=leg, outcome=InDoubt(why="interrupted"), call=None)
                    entries.append(Entry(body=doubt, at=now, case_id=case_id))
            for asked in board.asked:
                began = True
                if asked.answered_at is None:
                    body = CallFailed(
                        what=asked.question.kind,
                        trouble="interrupted",
                        detail="no answer before the stop",
                        written=True,
                    )
                    entries.append(Entry(body=body, at=now, case_id=case_id))
        if began:
            await self._ledger.append(Entry(body=RunResumed(software=__version__), at=now), *entries)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _look_at(self, case_id: str, when: datetime) -> None:
        if self._waiting.get(case_id) == when:
            return
        self._waiting[case_id] = when
        self._order += 1
        heapq.heappush(self._agenda, (when, self._order, case_id))

    async def _work(self) -> None:
        while self._failure is None:
            self._news.clear()
            self._advance_due()
            if self._stopping:
                await self._drain()
                break
            if self._open == 0 and not self._tasks:
                break
            if self._ready:
                continue
            await self._until_next()
        if self._failure is not None:
            raise self._failure

    def _advance_due(self) -> None:
        ready, self._ready = list(self._ready), {}
        horizon = self._clock.now() + self._lead
        while self._agenda and self._agenda[0][0] <= horizon:
            when, _, case_id = heapq.heappop(self._agenda)
            if self._waiting.get(case_id) == when:
                del self._waiting[case_id]
                ready.append(case_id)
        for case_id in ready:
            if case_id not in self._busy and self._boards[case_id].closed is None:
                self._advance(case_id)

    async def _until_next(self) -> None:
        if not self._agenda and not self._tasks and not self._listens:
            # Open cases, and nothing will ever wake them: a scenario's fault, told instead of hanging.
            raise RuntimeError(f"{self._open} cases are open and none waits for anything")
        self._set_alarm()
        await self._news.wait()

    def _set_alarm(self) -> None:
        """See to it that we are woken for the agenda's first entry; an alarm set for an earlier one does as well."""
        if not self._agenda or (self._alarm_at is not None and self._alarm_at <= self._agenda[0][0]):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._agenda[0][0]
        seconds = (self._alarm_at - self._lead - self._clock.now()).total_seconds()
        self._alarm = asyncio.get_running_loop().call_later(max(0.0, seconds), self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        self._news.set()

    async def _drain(self) -> None:
        """Let what is on its way come to its end."""
        while self._tasks and self._failure is None:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _advance(self, case_id: str) -> None:
        """Ask the case's scenario for the next step, and begin it."""
        board = self._boards[case_id]
        scenario = self._crew.scenarios[board.case.scenario]
        now = self._clock.now()
        step = scenario.next_step(board, max(now, self._planned(case_id, now)))
        match step:
            case Wait(until=until):
                self._look_at(case_id, max(until, now + EARLIEST_RETURN))
            case Close(because=because):
                self._begin(case_id, self._write(case_id, CaseClosed(because=because)))
            case Ask(question=question):
                if self._brakes.is_unauthorised(board.case.vendor) and not isinstance(question, Reply):
                    self._begin(case_id, self._write(case_id, CaseClosed(because="braked:unauthorised")))
                else:
                    self._begin(case_id, self._ask(board, question))
            case Send(leg=leg):
                self._send_or_brake(board, leg, now)
            case _:
                assert_never(step)

    def _planned(self, case_id: str, now: datetime) -> datetime:
        """The instant the case is looked at for: its due time, if we are early by no more than the lead."""
        due = self._boards[case_id].case.due
        return due if now < due <= now + self._lead else now

    def _send_or_brake(self, board: Board, leg: int, now: datetime) -> None:
        case = board.case
        if leg in board.legs:  # a scenario may not, and must not be able to
            raise RuntimeError(f"{case.scenario} wants to send leg {leg} of {case.id} twice")
        draft = case.drafts[leg]
        planned = self._planned(case.id, now) if leg == 0 else now
        first = self._first_due.setdefault((case.id, leg), case.due if leg == 0 else now)
        match self._brakes.check(case, draft, first, max(now, planned)):
            case Go(ceiling=ceiling):
                self._begin(
                    case.id, self._send(case, leg, draft, SendIntended(leg=leg, planned_at=planned, ceiling=ceiling))
                )
            case Hold(brake=brake, until=until):
                if board.braked != brake:
                    self._begin(case.id, self._write(case.id, Braked(brake=brake, until=until)))
                self._look_at(case.id, max(until, now + EARLIEST_RETURN))
            case Stop(brake=brake):
                closed = CaseClosed(because=f"braked:{brake}")
                self._begin(case.id, self._write(case.id, Braked(brake=brake, until=None), closed))

    def _begin(self, case_id: str, work: Any) -> None:
        self._busy.add(case_id)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finish(case_id, done))

    def _finish(self, case_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy.discard(case_id)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
        self._ready[case_id] = None
        self._news.set()

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _write(self, case_id: str, *bodies: FactBody) -> None:
        now = self._clock.now()
        await self._ledger.append(*(Entry(body=body, at=now, case_id=case_id) for body in bodies))

    async def _send(self, case: Case, leg: int, draft: Draft, intent: SendIntended) -> None:
        vendor, person = self._crew.vendors[case.vendor], self._recipients[case.recipient or ""]
        await self._ledger.append(Entry(body=intent, at=self._clock.now(), case_id=case.id))
        if (early := (intent.planned_at - self._clock.now()).total_seconds()) > 0:
            await asyncio.sleep(early)
        message = message_of(draft, person)
        if (links := self._crew.links.get(case.vendor)) is not None:
            carried = await links.carry(message, planned_at=intent.planned_at, about=About(case.id, leg))
        else:
            assert isinstance(vendor, Submits)
            carried = await self._crew.lines[case.vendor].carry(
                lambda: vendor.submit(message), planned_at=intent.planned_at
            )
        body = answer_of(leg, carried, self._redactor)
        entry = Entry(body=body, at=self._clock.now(), case_id=case.id, recording=carried.recording)
        await self._ledger.append(entry)

    async def _ask(self, board: Board, question: Question) -> None:
        case = board.case
        asked = Entry(body=QuestionAsked(question=question), at=self._clock.now(), case_id=case.id)
        if isinstance(question, SubmitReview | Reply):
            await self._ledger.append(asked)  # it has effects: durable before it is put
        else:
            self._ledger.post(asked)
        if isinstance(question, Probe) and isinstance(self._crew.vendors[case.vendor], HoldsSession):
            # Every probe speaks HTTP.
            told = Told(answer=Probed(what=question.what, taken=None, detail={"why": "a link, and no HTTP endpoint"}))
        else:
            told = await self._crew.askers[case.vendor].ask(board, question)
        now = self._clock.now()
        entries = []
        for sighting in told.sightings:
            body, key = sighting_fact(sighting, self._redactor)
            entries.append(Entry(body=body, at=now, dedupe=key, recording=told.recording))
        if told.answer is not None:
            answered = QuestionAnswered(question=question, answer=told.answer, call=told.call)
            entries.append(Entry(body=answered, at=now, case_id=case.id, recording=told.recording))
        else:
            trouble = told.trouble or VendorTrouble("no answer")
            failed = CallFailed(
                what=question.kind,
                trouble=trouble.kind,
                detail=self._redactor.text(trouble.detail),
                written=trouble.written,
                code=trouble.code,
                call=told.call,
            )
            entries.append(Entry(body=failed, at=now, case_id=case.id, recording=told.recording))
        await self._ledger.append(*entries)


def message_of(draft: Draft, person: Recipient) -> Message:
    """A draft with its recipient: what a vendor is handed."""
    return Message(
        to=person,
        purpose=draft.purpose,
        signature=draft.signature,
        template=draft.template,
        parameters=draft.parameters,
        text=draft.text,
        token=draft.token,
        reference=draft.reference,
        segments=draft.segments,
        content=draft.content,
    )


def answer_of(leg: int, carried: Carried[Outcome], redactor: Redactor) -> FactBody:
    """What a submit came to: an outcome; in doubt if it may have left; failed if it surely did not."""
    trouble = carried.trouble
    if trouble is None:
        assert carried.result is not None
        return SubmitAnswered(leg=leg, outcome=carried.result, call=carried.call)
    # "Too fast" and "I do not know you" are the vendor's own word that it took nothing.
    if trouble.written and trouble.kind not in ("throttled", "unauthorised"):
        return SubmitAnswered(leg=leg, outcome=InDoubt(why=trouble.kind), call=carried.call)
    return CallFailed(
        what="submit",
        leg=leg,
        trouble=trouble.kind,
        detail=redactor.text(trouble.detail),
        written=trouble.written,
        code=trouble.code,
        call=carried.call,
    )
