"""Whatever write the power goes at, before or after its commit: a resumed run sends nothing twice and loses nothing.

The world outlives the harness and is the judge (`history.check`); the vendors' books say what really left.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import LedgerError
from harness.facts import Braked, Fact, RunEnded, RunResumed
from harness.judge import journeys
from harness.judge.result import Result
from harness.ledger import Entry
from tests.simulation.history import KEPT_OF_A_POST, History, Leg, check, check_result, history_of, in_doubt, intents
from tests.simulation.worlds import CALM, RICH, TROUBLE, Plug, Scene, Stage, result_of

SIDES = ("before", "after")
FIRST_WRITES = 60
AS_FIXED = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def crash(stage: Stage, n: int, side: str, *, rest: float = 0.0) -> list[tuple[object, ...]]:
    """Let the stage's run die at its n-th commit of this life; the rows that outlived it."""
    assert stage.play(Plug(n, side)) is None
    if rest:
        stage.rest(rest)
    return stage.rows()


def resume(stage: Stage, survived: list[tuple[object, ...]]) -> History:
    """Play on to the end, and see that all that must hold does."""
    played = stage.play()
    assert played is not None and played.because == "done"
    assert stage.rows()[: len(survived)] == survived, "a fact changed or vanished"
    history = history_of(stage)
    check(history)
    assert history.ended
    return history


@cache
def whole(scene: Scene, seed: int) -> tuple[History, int]:
    """An uninterrupted run, and how many commits it takes."""
    commits = 0

    def counting(side: str, n: int) -> None:
        nonlocal commits
        commits = n

    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), scene, seed)
        assert stage.play(counting) is not None
        history = history_of(stage)
    check(history)
    return history, commits


# --- every write ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_run_survives_a_crash_at_each_of_its_first_writes(side, tmp_path):
    _, commits = whole(TROUBLE, 5)
    assert commits > FIRST_WRITES
    doubtful = 0
    for n in range(1, FIRST_WRITES + 1):
        stage = Stage(tmp_path / f"{n}", TROUBLE, 5)
        history = resume(stage, crash(stage, n, side))
        doubtful += len(in_doubt(history))
    assert doubtful > FIRST_WRITES  # sends were really caught on their way


@AS_FIXED
@given(seed=st.integers(0, 5), share=st.floats(0, 1), side=st.sampled_from(SIDES), rest=st.sampled_from((0.0, 3.0)))
def test_a_run_survives_a_crash_anywhere(seed, share, side, rest):
    _, commits = whole(TROUBLE, seed)
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), TROUBLE, seed)
        survived = crash(stage, 1 + int(share * (commits - 1)), side, rest=rest)
        resume(stage, survived)


@settings(AS_FIXED, max_examples=6)
@given(seed=st.integers(0, 2), share=st.floats(0, 1), side=st.sampled_from(SIDES))
def test_a_run_with_every_scenario_survives_a_crash_anywhere(seed, share, side):
    _, commits = whole(RICH, seed)
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), RICH, seed)
        history = resume(stage, crash(stage, 1 + int(share * (commits - 1)), side))
        asked = effects(history)
        assert len(set(asked)) == len(asked), "something with effects was asked twice"


def effects(history: History) -> list[tuple[str | None, str]]:
    """What was handed in or replied, as far as it may be done once only."""
    return [
        (fact.case_id, repr(fact.body.question))
        for fact in history.facts
        if fact.body.kind == "question_asked" and fact.body.question.kind in ("submit_review", "reply")
    ]


@settings(AS_FIXED, max_examples=15)
@given(
    seed=st.integers(0, 3),
    deaths=st.lists(st.tuples(st.integers(1, 50), st.sampled_from(SIDES)), min_size=2, max_size=4),
    rest=st.sampled_from((0.0, 40.0, 700.0)),
)
def test_a_run_survives_crash_upon_crash(seed, deaths, rest):
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), TROUBLE, seed)
        survived: list[tuple[object, ...]] = []
        for n, side in deaths:
            if stage.play(Plug(n, side)) is not None:
                break
            now = stage.rows()
            assert now[: len(survived)] == survived
            survived = now
            stage.rest(rest)
        resume(stage, survived)


# --- what the inbox was about to say --------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_push_that_was_not_acknowledged_is_not_lost_and_counts_once(side, tmp_path):
    """Died over a post: before the commit the vendor tries again; after it too, and the repeat changes nothing."""
    died = 0
    for n in pushes_of(CALM, 3)[:8]:
        stage = Stage(tmp_path / f"{n}", CALM, 3)
        survived = crash(stage, n, side)
        lost = [post for post in stage.posts if post.status is None]
        history = resume(stage, survived)
        if not lost:
            continue
        died += 1
        again = [post for post in stage.posts if post.path == lost[0].path and post.at > lost[0].at]
        retried = [post for post in again if post.status == 200 and core(post.body) == core(lost[0].body)]
        assert retried or "third" in lost[0].path  # Tencent promises no second try
        assert not in_doubt(history)
    assert died >= 5


def core(body: bytes) -> bytes:
    """A post without what its sender renews at each try."""
    return body[:120]


def pushes_of(scene: Scene, seed: int) -> list[int]:
    """At which commits of an uninterrupted run the inbox writes."""
    found, known = list[int](), 0

    def watching(side: str, n: int) -> None:
        nonlocal known
        if side == "after":
            fresh, known = stage.rows()[known:], len(stage.rows())
            if any(kind in KEPT_OF_A_POST for _, _, kind, *_ in fresh):
                found.append(n)

    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), scene, seed)
        assert stage.play(watching) is not None
    return found


# --- and the result -------------------------------------------------------------------------------------------------

TOLD = [
    "outcome",
    "reason",
    "code",
    "report_state",
    "report_code",
    "claimed_at",
    "handset_at",
    "scts",
    "sighting",
    "sender",
    "watch",
    "copies",
    "because",
    "written_at",
    "reported_at",
    "seen_at",
]


@settings(AS_FIXED, max_examples=10)
@given(seed=st.integers(0, 3), share=st.floats(0, 1), side=st.sampled_from(SIDES))
def test_the_result_equals_that_of_an_uninterrupted_run_apart_from_what_the_crash_touched(seed, share, side):
    """Apart from sends in doubt, and posts that were under way and came later: both are known one by one."""
    reference, commits = whole(CALM, seed)
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), CALM, seed)
        history = resume(stage, crash(stage, 1 + int(share * (commits - 1)), side))
    touched = touched_by_the_crash(history)
    assert len(touched) <= 4  # one instant of the run
    mine, theirs = without(history.facts, touched), without(reference.facts, touched)
    pd.testing.assert_frame_equal(table(mine), table(theirs))
    assert judged(result_of(mine)) == judged(result_of(theirs))


def touched_by_the_crash(history: History) -> set[str]:
    """Cases with a send in doubt, or whose report or sighting had to be posted again."""
    cases = {case_id for case_id, _ in in_doubt(history)}
    again = [one for one in history.delivered if not one.acknowledged]
    for one in history.sendings:
        leg: Leg | None = next(
            ((case.id, 0) for case in history.cases.values() if case.drafts[0].reference == one.reference), None
        )
        if leg and any(f"{one.key} {one.number}" in post.about or one.seen_text in post.about for post in again):
            cases.add(leg[0])
    return cases


def without(facts: list[Fact], cases: set[str]) -> list[Fact]:
    """A run as if some cases had never been planned; their reports and sightings are orphans, which count nowhere."""
    return [
        fact
        for fact in facts
        if fact.case_id not in cases and not isinstance(fact.body, RunResumed) and fact.body.kind != "push_arrived"
    ]


def table(facts: list[Fact]) -> pd.DataFrame:
    frame = journeys.read(facts).messages
    return frame.sort_values(["case_id", "leg"]).reset_index(drop=True)[["case_id", "vendor", *TOLD]]


def judged(result: Result) -> tuple[object, ...]:
    return result.findings, result.scorecards, result.funnels, result.gates, result.curves


@pytest.mark.parametrize("scene, n", [(TROUBLE, 70), (RICH, 400)])
def test_messages_in_doubt_are_counted_in_the_open(scene, n, tmp_path):
    stage = Stage(tmp_path, scene, 5)
    history = resume(stage, crash(stage, n, "after"))
    assert in_doubt(history)
    check_result(history, stage.result())


# --- the dead ledger ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_after_the_plug_the_ledger_takes_nothing_more(side, tmp_path):
    """`finally` blocks still run after a pulled plug; a real crash would have run none, so none may write."""
    stage = Stage(tmp_path, TROUBLE, 5)
    ledgers = []
    assert stage.play(Plug(40, side), lambda house: ledgers.append(house.engine._ledger)) is None
    rows = stage.rows()
    (ledger,) = ledgers

    async def tidy_up() -> None:
        entry = Entry(body=RunEnded(because="done"), at=stage.world.now())
        with pytest.raises(LedgerError, match="cannot be written any more"):
            ledger.post(entry)
        with pytest.raises(LedgerError, match="cannot be written any more"):
            await ledger.append(entry)

    asyncio.run(tidy_up())
    assert stage.rows() == rows
    assert not [row for row in rows if row[2] == "run_ended"]


def test_a_run_that_is_over_can_be_played_again_and_sends_nothing(tmp_path):
    stage = Stage(tmp_path, TROUBLE, 5)
    assert stage.play() is not None
    taken, refused, rows = len(stage.world.sendings), len(stage.world.refusals), stage.rows()
    assert stage.play() is not None
    assert (len(stage.world.sendings), len(stage.world.refusals)) == (taken, refused)
    assert stage.rows()[: len(rows)] == rows
    check(history_of(stage))


def test_slots_missed_while_the_harness_was_down_are_skipped_and_not_sent_in_a_burst(tmp_path):
    stage = Stage(tmp_path, TROUBLE, 5)
    survived = crash(stage, 40, "after", rest=3 * 3600)
    back_at = stage.world.now()
    history = resume(stage, survived)
    skipped = [fact for fact in history.facts if isinstance(fact.body, Braked) and fact.body.brake == "late"]
    assert len(skipped) >= 5
    assert all(history.cases[str(fact.case_id)].due < back_at for fact in skipped)
    assert not {(str(fact.case_id), 0) for fact in skipped} & intents(history).keys()
    assert [fact.body.because for fact in history.facts if isinstance(fact.body, RunEnded)] == ["done"]


def test_skipped_slots_are_told_in_the_result(tmp_path):
    stage = Stage(tmp_path, TROUBLE, 5)
    resume(stage, crash(stage, 40, "after", rest=3 * 3600))
    skipped = sum(isinstance(fact.body, Braked) for fact in stage.facts())
    told = [note for note in stage.result().warnings if "skipped" in note.id or "not_sent" in note.id]
    assert skipped and sum(int(note.values["n"]) for note in told) == skipped
