"""How fast and how rightly does a vendor review? Compliant and faulty templates, in working hours and outside them.

Nothing is handed in twice: what was asked and not answered may have been taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.content import SampleText
from harness.domain import BEIJING, Case, Purpose, Recipient, ReviewDraft, Subject
from harness.facts import QueryReview, SubmitReview
from harness.run.board import Ask, Board, Brief, Close, Step, Wait
from scenarios.waiting import PATIENCE, span

TEMPLATES: Final = 6
GIVE_UP: Final = timedelta(hours=48)
WORK_BEGINS, WORK_ENDS = time(9, 30), time(17, 30)
# Between two questions: a tenth of the review's age, so that every time is known to a tenth, whatever its size.
SHORTEST_GAP: Final = timedelta(seconds=20)
LONGEST_GAP: Final = timedelta(minutes=30)
# Neutral on purpose: a name must not tell the reviewer what is wrong with the text.
NAMES: Final = {Purpose.VERIFICATION: "验证码", Purpose.NOTIFICATION: "通知", Purpose.MARKETING: "推广"}
REMARK: Final = "发送给同意接收的用户"


class Review:
    """Settings: `templates` of each vendor (6), `signatures` (1), `give_up` (48 h). Task: fault, family, subject."""

    id: ClassVar[str] = "review"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.REVIEWS_TEMPLATES})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """Each text goes to all vendors at one time: compliant and faulty in turn, two by two in and off hours."""
        compliant, faulty = list(brief.samples("compliant")), list(brief.samples("faulty"))
        if not brief.recipients or not compliant:
            return
        chance.shuffle(compliant)
        chance.shuffle(faulty)
        count, signatures = brief.number("templates", TEMPLATES), brief.number("signatures", 1)
        dues = _dues(brief, count + signatures, chance)
        for number, due in enumerate(dues):
            if number >= count:
                yield from self._signatures(brief, due, compliant[0], f"{self.id}-{number:03d}")
                continue
            group = (faulty if number % 2 else compliant) or compliant
            sample = group[number // 2 % len(group)]
            for contestant in brief.contestants:
                draft = _draft(brief, contestant.label, sample, brief.recipients[0])
                yield self._case(brief, contestant.label, due, draft, sample, f"{self.id}-{number:03d}")

    def _signatures(self, brief: Brief, due: datetime, sample: SampleText, visit: str) -> Iterator[Case]:
        for contestant in brief.contestants:
            if Capability.REVIEWS_SIGNATURES in contestant.capabilities:
                ours = brief.draft(contestant.label, sample.id, brief.recipients[0]).signature
                draft = ReviewDraft(
                    subject=Subject.SIGNATURE, name=ours, text=ours, purpose=sample.purpose, remark=REMARK
                )
                yield self._case(brief, contestant.label, due, draft, None, visit)

    def _case(
        self, brief: Brief, label: str, due: datetime, draft: ReviewDraft, sample: SampleText | None, visit: str
    ) -> Case:
        task = {
            "subject": draft.subject.value,
            "fault": sample.fault if sample else "",
            "family": sample.family if sample else "",
            "give_up_seconds": str(int(brief.duration("give_up", GIVE_UP).total_seconds())),
        }
        return brief.case(self.id, label, due, review=draft, visit=visit, task=task)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Hand in once; ask for the decision ever less often until it is there, pushed or pulled, or we give up."""
        if board.decision is not None:
            return Close("decided")
        handed_in = board.last_asked("submit_review")
        if handed_in is None:
            return Ask(SubmitReview()) if now >= board.due else Wait(board.due)
        if board.ticket is None:
            if handed_in.failed is not None or handed_in.answer is not None:
                return Close("not_taken")
            patience = handed_in.asked_at + PATIENCE
            return Wait(patience) if now < patience else Close("in_doubt")
        since = handed_in.answered_at or handed_in.asked_at
        gives_up = since + span(board.case.task, "give_up_seconds", GIVE_UP)
        if now >= gives_up:
            return Close("undecided")
        asked = board.last_asked("query_review")
        last = asked.asked_at if asked else since
        if now >= (again := last + _gap(last - since)):
            return Ask(QueryReview(subject=board.ticket.subject, ticket=board.ticket.id))
        return Wait(min(again, gives_up))


def _gap(age: timedelta) -> timedelta:
    return min(max(SHORTEST_GAP, age / 10), LONGEST_GAP)


def _draft(brief: Brief, label: str, sample: SampleText, recipient: Recipient) -> ReviewDraft:
    """A template for review, with the token of a message of that text as its example and in its name."""
    message = brief.draft(label, sample.id, recipient)
    return ReviewDraft(
        subject=Subject.TEMPLATE,
        name=f"{NAMES[sample.purpose]}{message.token}",
        text=sample.text,
        purpose=sample.purpose,
        variables=message.parameters,
        remark=REMARK,
        signature=message.signature,
    )


def _dues(brief: Brief, count: int, chance: Random) -> list[datetime]:
    """Spread over the run but for the time a decision may take; every third and fourth falls outside working hours."""
    begins = brief.begins.astimezone(UTC)
    usable = brief.span - min(brief.duration("give_up", GIVE_UP), brief.span / 2)
    phase = chance.random()
    dues = []
    for number in range(count):
        due = begins + timedelta(seconds=usable * ((number + phase) / count) // timedelta(seconds=1))
        dues.append(_moved(due, begins + usable, working=number % 4 < 2))
    return dues


def _moved(due: datetime, latest: datetime, *, working: bool) -> datetime:
    """The next moment in (or outside) working hours, quarter by quarter; as it is, if there is none by `latest`."""
    moment = due
    while moment <= latest:
        local = moment.astimezone(BEIJING)
        if (local.weekday() < 5 and WORK_BEGINS <= local.time() < WORK_ENDS) is working:
            return moment
        moment += timedelta(minutes=15)
    return due
