"""The history checker is itself checked: each planted fault breaks the invariant that was made for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from harness.capabilities import Acknowledgement
from harness.facts import CaseClosed, ReportReceived, SendIntended, SubmitAnswered
from harness.ledger import Entry
from harness.run import engine, inbox, lines
from tests.simulation.history import History, history_of, violations
from tests.simulation.worlds import CALM, TROUBLE, Plug, Scene, Stage


def broken_invariants(history: History) -> set[str]:
    return {told.split(":")[0] for told in violations(history)}


def after_crashes(folder: Any, scene: Scene, side: str, commits: range) -> set[str]:
    """What is broken after a crash at any of some commits and a resumed run."""
    broken: set[str] = set()
    for n in commits:
        stage = Stage(folder / f"{n}", scene, 5)
        assert stage.play(Plug(n, side)) is None
        stage.play()
        broken |= broken_invariants(history_of(stage))
    return broken


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> History:
    stage = Stage(tmp_path_factory.mktemp("sound"), TROUBLE, 5)
    stage.play()
    history = history_of(stage)
    assert broken_invariants(history) == set()
    return history


def test_sending_before_the_intent_is_durable_is_found(tmp_path, monkeypatch):
    async def hasty(self: Any, case: Any, leg: int, draft: Any, intent: SendIntended) -> None:
        vendor, person = self._crew.vendors[case.vendor], self._recipients[case.recipient]
        message = engine.message_of(draft, person)
        carried = await self._crew.lines[case.vendor].carry(lambda: vendor.submit(message))
        now = self._clock.now()
        answer = engine.answer_of(leg, carried, self._redactor)
        bodies = (intent, answer)
        await self._ledger.append(*(Entry(body=body, at=now, case_id=case.id) for body in bodies))

    monkeypatch.setattr(engine.Engine, "_send", hasty)
    assert {"I1", "I2"} <= after_crashes(tmp_path, CALM, "before", range(2, 12))


def test_sending_again_after_silence_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_is_safe_again", lambda error, attempt: True)
    broken: set[str] = set()
    for seed in range(6):
        stage = Stage(tmp_path / str(seed), TROUBLE, seed)
        stage.play()
        broken |= broken_invariants(history_of(stage))
    assert "I2" in broken


def test_acknowledging_before_the_commit_is_found(tmp_path, monkeypatch):
    class Hasty:
        def __init__(self, ledger: Any) -> None:
            self.ledger = ledger

        async def append(self, *entries: Entry) -> None:
            self.ledger.post(*entries)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.ledger, name)

    init = inbox.Inbox.__init__

    def hasty(self: Any, ledger: Any, *args: Any, **more: Any) -> None:
        init(self, Hasty(ledger), *args, **more)

    monkeypatch.setattr(inbox.Inbox, "__init__", hasty)
    assert "I3" in after_crashes(tmp_path, CALM, "before", range(2, 30))


def test_swallowing_a_report_that_cannot_be_read_is_found(tmp_path, monkeypatch):
    read = inbox.Inbox._read_push

    def forgetful(self: Any, label: str, door: str, request: Any) -> Any:
        bodies, answer = read(self, label, door, request)
        return ([], answer) if label == "cheap" else (bodies, answer)

    monkeypatch.setattr(inbox.Inbox, "_read_push", forgetful)
    stage = Stage(tmp_path, CALM, 5)
    stage.play()
    assert "I3" in broken_invariants(history_of(stage))


def test_answering_200_without_keeping_the_bytes_is_found(tmp_path, monkeypatch):
    post = inbox.Inbox.post

    async def deaf(self: Any, request: Any) -> Any:
        if "/push/third" in request.path:
            return Acknowledgement(status=200, body=b'{"result":0,"errmsg":"OK"}')
        return await post(self, request)

    monkeypatch.setattr(inbox.Inbox, "post", deaf)
    stage = Stage(tmp_path, CALM, 5)
    stage.play()
    assert {"I3", "I4"} <= broken_invariants(history_of(stage))


def test_an_unredacted_record_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(lines.Redactor, "text", lambda self, text: text)
    stage = Stage(tmp_path, CALM, 5)
    stage.play()
    assert broken_invariants(history_of(stage)) == {"I8"}


def test_a_recording_that_reads_differently_is_found(sound):
    digest = next(iter(sound.recordings))
    assert "I4" in broken_invariants(replace(sound, recordings={**sound.recordings, digest: b"{}"}))


def without(history: History, kind: type) -> History:
    """The history with the first fact of a kind left out, and the rest moved up."""
    first = next(fact for fact in history.facts if isinstance(fact.body, kind))
    rest = [fact for fact in history.facts if fact is not first]
    return replace(history, facts=[replace(fact, seq=n) for n, fact in enumerate(rest, 1)])


@pytest.mark.parametrize(
    "kind, broken", [(SendIntended, "I1"), (SubmitAnswered, "I5"), (ReportReceived, "I3"), (CaseClosed, "CASES")]
)
def test_a_fact_that_is_missing_is_found(sound, kind, broken):
    assert broken in broken_invariants(without(sound, kind))


@pytest.mark.parametrize("kind, broken", [(SendIntended, "I2"), (ReportReceived, "I5"), (CaseClosed, "CASES")])
def test_a_fact_that_counts_twice_is_found(sound, kind, broken):
    first = next(fact for fact in sound.facts if isinstance(fact.body, kind))
    twice = [*sound.facts, replace(first, seq=len(sound.facts) + 1)]
    assert broken in broken_invariants(replace(sound, facts=twice))


def test_a_report_or_message_that_nobody_made_is_found(sound):
    assert "I5" in broken_invariants(replace(sound, sendings=sound.sendings[1:]))
    assert "I2" in broken_invariants(replace(sound, sendings=[*sound.sendings, sound.sendings[0]]))


def test_a_time_that_runs_backwards_is_found(sound):
    last = sound.facts[-1]
    moved = [*sound.facts[:-1], replace(last, at=last.at - timedelta(hours=20))]
    assert "I7" in broken_invariants(replace(sound, facts=moved))
    answered = next(fact for fact in sound.facts if isinstance(fact.body, SubmitAnswered) and fact.body.call)
    early = replace(answered.body, call=replace(answered.body.call, wait=-0.5))
    facts = [replace(fact, body=early) if fact is answered else fact for fact in sound.facts]
    assert "I7" in broken_invariants(replace(sound, facts=facts))
