"""Does a vendor stop what it must, and only that? Faulty and harmless texts to our own phones, or to its word check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from random import Random
from typing import ClassVar

from harness.capabilities import Capability
from harness.content import SampleText
from harness.domain import Case, Purpose, Recipient
from harness.facts import CheckContent
from harness.run.board import Board, Brief, Contestant, Step
from scenarios.timetable import by_carrier, handsets, moments, orders, spacing_of, stretches, visit
from scenarios.waiting import ask_once, follow


class ContentFilter:
    """Settings: `messages` of each vendor (each text once), `spacing` (75 s).

    A vendor that sends by template and has none on file for a text is asked by its word check, if it has one.
    Marketing texts, faulty ones too, go to testers only. Task: fault, family; text, where the word check is asked.
    """

    id: ClassVar[str] = "content_filter"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        samples = [*brief.samples("faulty"), *brief.samples("harmless")]
        chance.shuffle(samples)
        spacing, phones = spacing_of(brief), handsets(brief)
        if not samples or not brief.contestants or not phones:
            return
        chance.shuffle(phones)
        phones = by_carrier(phones)
        count = brief.number("messages", len(samples))
        length = spacing * len(brief.contestants)
        starts = moments(stretches(brief, tail=length), count, chance.random(), apart=length)
        turns = orders(tuple(one.label for one in brief.contestants), chance)
        for number, start in enumerate(starts):
            sample, order = samples[number % len(samples)], next(turns)
            senders = {one.label for one in brief.contestants if sample.id in one.contents}
            if (phone := _phone(phones, sample, number)) is not None:
                sending = [(label, sample.id) for label in order if label in senders]
                task = {"fault": sample.fault, "family": sample.family}
                name = f"{self.id}-{number:04d}"
                yield from visit(brief, self.id, name, phone, start, sending, spacing, task)
            checkers = [one for one in brief.contestants if one.label not in senders]
            yield from self._checks(brief, sample, checkers, phones[0], start)

    def _checks(
        self, brief: Brief, sample: SampleText, checkers: Sequence[Contestant], phone: Recipient, start: datetime
    ) -> Iterator[Case]:
        for contestant in checkers:
            if Capability.CHECKS_CONTENT in contestant.capabilities:
                text = brief.draft(contestant.label, sample.id, phone).text  # filled and signed; it goes to no phone
                task = {"fault": sample.fault, "family": sample.family, "text": text}
                yield brief.case(self.id, contestant.label, start, task=task)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Ask the word check once; or send, and wait for the report too: refusals may come late."""
        if (text := board.case.task.get("text")) is not None:
            return ask_once(board, now, CheckContent(text=text))
        return follow(board, now)


def _phone(phones: Sequence[Recipient], sample: SampleText, turn: int) -> Recipient | None:
    fitting = [one for one in phones if one.tester or sample.purpose is not Purpose.MARKETING]
    return fitting[turn % len(fitting)] if fitting else None
