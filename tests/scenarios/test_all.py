"""What every scenario keeps: whatever the board, it never raises, never sends twice, and comes to an end."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import registry
from harness.config import SCENARIOS
from harness.domain import Accepted, Case, DeliveryState, Hours, InDoubt, Purpose, ReportSource, Subject, Ticket
from harness.facts import (
    AskStatistics,
    FindRecord,
    InboundReceived,
    InboxSearched,
    Probed,
    QueryReview,
    RecordTold,
    Replied,
    Reply,
    ReportReceived,
    SaidNo,
    SearchInbox,
    SightingReceived,
    SubmitReview,
    TicketGiven,
    Undecided,
)
from harness.run.board import Asked, Board, Contestant, Sent
from scenarios import timetable
from tests.scenarios.driving import DECISION, KIND, REFUSED, SILENT, Drive, World, check_step
from tests.scenarios.evaluation import BEGINS, IDS, cases_of, contestant, evaluation, gaps_per_phone, in_hours

FOLDER = Path(timetable.__file__).parent
ALLOWED = ("harness.domain", "harness.facts", "harness.capabilities", "harness.content", "harness.text")
MAY_IMPORT = (*ALLOWED, "harness.run.board", "scenarios")

SAMPLES = {name: [replace(case, id=f"c{place}") for place, case in enumerate(cases_of(name))] for name in IDS}


@pytest.fixture(params=IDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_ten_are_those_an_evaluation_may_name():
    assert set(IDS) == set(SCENARIOS)
    for one in IDS:
        assert registry.scenario(one).id == one


def test_a_scenario_imports_nouns_and_the_board_only():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            for module in found:
                if module.split(".")[0] in ("harness", "scenarios", "vendors", "reports", "tests"):
                    assert module.startswith(MAY_IMPORT), (path.name, module)


# --- plans ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_cases_and_another_gives_others(name: str):
    assert cases_of(name, seed=5) == cases_of(name, seed=5)
    if name not in ("statistics", "transport"):
        assert cases_of(name, seed=5) != cases_of(name, seed=6)


def test_every_case_is_of_its_scenario_due_in_utc_and_within_the_run(name: str):
    ends = BEGINS + timedelta(days=8)  # statistics are asked for the morning after
    assert SAMPLES[name]
    for case in SAMPLES[name]:
        assert case.scenario == name
        assert case.due.utcoffset() == timedelta(0)
        assert BEGINS <= case.due < ends


def test_nothing_is_sent_outside_the_hours(name: str):
    for case in SAMPLES[name]:
        assert not case.drafts or in_hours(case.due)


def test_messages_of_one_scenario_to_one_phone_are_a_minute_apart(name: str):
    sending = [case for case in SAMPLES[name] if case.drafts]
    assert all(gap >= timedelta(seconds=60) for gap in gaps_per_phone(sending))


def test_spare_phones_are_for_opt_out_alone(name: str):
    spare = {one.id for one in evaluation().recipients if one.spare}
    if name != "opt_out":
        assert not [case for case in SAMPLES[name] if case.recipient in spare]


def test_people_who_are_no_testers_get_two_marketing_messages_at_most(name: str):
    testers = {one.id for one in evaluation().recipients if one.tester}
    for vendors in (1, 2, 4):
        within = evaluation(vendors=vendors)
        got: dict[str, int] = {}
        for case in cases_of(name, within=within):
            for draft in case.drafts:
                if draft.purpose is Purpose.MARKETING and case.recipient and case.recipient not in testers:
                    got[case.recipient] = got.get(case.recipient, 0) + 1
        assert max(got.values(), default=0) <= 2, (vendors, got)


def test_a_vendor_sends_only_texts_it_has(name: str):
    poor = contestant("v0", lacks=["login_code", "parcel_notice", "weekend_offer", "loan_instant"])
    for case in cases_of(name, contestants=[poor, contestant("v1")]):
        assert case.vendor == "v1" or not {draft.content for draft in case.drafts} - poor.contents


def test_without_contestants_or_phones_there_are_no_messages(name: str):
    assert cases_of(name, contestants=[]) == []
    bare = replace(evaluation(), recipients=())
    assert not [case for case in cases_of(name, within=bare) if case.drafts]


def test_a_vendor_without_any_text_is_left_out(name: str):
    empty = Contestant(label="v0", capabilities=contestant("v0").capabilities, by_template=True, contents=frozenset())
    assert not [case for case in cases_of(name, contestants=[empty]) if case.drafts]


@pytest.mark.parametrize("lasts", ["10 min", "1 h", "1 day"])
@pytest.mark.parametrize("hours", ["09:00-20:30", "09:00-09:06", "00:00-23:59"])
def test_short_runs_and_narrow_hours_still_keep_the_rules(name: str, lasts: str, hours: str):
    within = evaluation(phones=2, lasts=lasts, hours=hours)
    cases = [case for case in cases_of(name, within=within) if case.drafts]
    begin, end = within.hours.begin, within.hours.end
    assert all(in_hours(case.due, begin, end) for case in cases)
    assert all(gap >= timedelta(seconds=60) for gap in gaps_per_phone(cases))


@pytest.mark.parametrize(
    "sender", ["delivery", "soak", "long_text", "content_filter", "blacklist", "opt_out", "retention"]
)
def test_a_run_of_an_hour_is_long_enough_to_send_something(sender: str):
    assert [case for case in cases_of(sender, within=evaluation(lasts="61 min")) if case.drafts]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_wished_for_hours_gaps_and_the_marketing_rule_hold(name: str, data: st.DataObject):
    vendors = data.draw(st.integers(1, 6))
    within = evaluation(vendors=vendors, phones=6, testers=2)
    begin = data.draw(st.integers(0, 22))
    end = data.draw(st.integers(begin + 1, 23))
    people = data.draw(st.lists(st.sampled_from(within.recipients), unique_by=lambda one: one.id, max_size=18))
    within = replace(
        within,
        begins=BEGINS + timedelta(seconds=data.draw(st.integers(0, 86_400)), microseconds=7),
        lasts=timedelta(minutes=data.draw(st.integers(1, 40 * 1440))),
        hours=Hours(begin=time(begin), end=time(end, 30)),
        recipients=tuple(people),
    )
    wishes = {"messages": str(data.draw(st.integers(0, 400))), "spacing": f"{data.draw(st.integers(1, 600))} s"}
    cases = [case for case in cases_of(name, wishes, within=within, seed=data.draw(st.integers(0, 99))) if case.drafts]
    assert within.begins is not None
    assert all(within.begins <= case.due < within.begins + within.lasts for case in cases)
    assert all(in_hours(case.due, within.hours.begin, within.hours.end) for case in cases)
    assert all(gap >= timedelta(seconds=60) for gap in gaps_per_phone(cases))
    testers = {one.id for one in people if one.tester}
    marketing: dict[str, list[datetime]] = {}
    for case in cases:
        if case.recipient and case.recipient not in testers:
            marketing.setdefault(case.recipient, []).extend(
                case.due for draft in case.drafts if draft.purpose is Purpose.MARKETING
            )
    for dues in marketing.values():
        dues.sort()
        assert all(third - first >= timedelta(days=29) for first, third in zip(dues, dues[2:], strict=False))


# --- steps ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_in_a_world_of_chance_every_case_closes_and_nothing_is_done_twice(name: str, data: st.DataObject):
    shares = st.floats(0, 1)
    world = World(accepts=data.draw(shares), arrives=data.draw(shares), answers=data.draw(shares))
    case = data.draw(st.sampled_from(SAMPLES[name]))
    drive = Drive(registry.scenario(name), case, Random(data.draw(st.integers(0, 2**32))), world)
    drive.run()
    for (at, _), (later, _) in pairwise(drive.steps):
        assert later >= at


def test_in_a_silent_world_every_case_closes(name: str):
    for case in SAMPLES[name][:: max(1, len(SAMPLES[name]) // 20)]:
        Drive(registry.scenario(name), case, Random(1), SILENT).run()


def test_in_a_kind_world_every_case_comes_to_its_good_end(name: str):
    ends = {"review": "decided", "retention": "looked_up", "statistics": "answered", "transport": "answered"}
    for case in SAMPLES[name][:: max(1, len(SAMPLES[name]) // 20)]:
        because = Drive(registry.scenario(name), case, Random(1), KIND).run()
        assert because == ends.get(name, "settled")


def _sent() -> st.SearchStrategy[Sent]:
    times = st.datetimes(BEGINS.replace(tzinfo=None), timezones=st.just(BEGINS.tzinfo)).map(
        lambda at: BEGINS + (at - BEGINS) % timedelta(days=9)
    )
    report = st.sampled_from(list(DeliveryState)).map(
        lambda state: ReportReceived(
            vendor="v0", vendor_message_id="m", recipient=None, reference=None, state=state, reason=None, code="",
            claimed_at=None, billed_segments=None, segment=1, source=ReportSource.PULLED,
        )
    )  # fmt: skip
    sighting = SightingReceived(
        forwarder="f", recipient="p", sender="1069", text="", event_id="e", scts=None, handset_at=None,
        forwarded_at=None, received_at=BEGINS, reconciled=True,
    )  # fmt: skip
    outcomes = st.sampled_from([None, REFUSED, Accepted(vendor_message_id=""), InDoubt(why="")])
    return st.builds(
        Sent,
        intended_at=times,
        outcome=outcomes,
        written_at=st.none() | times,
        failed=st.sampled_from([None, "unreachable"]),
        reports=st.lists(report, max_size=2).map(tuple),
        sightings=st.sampled_from([(), (sighting,)]),
    )


QUESTIONS = [
    SubmitReview(),
    QueryReview(subject=Subject.TEMPLATE, ticket="t"),
    FindRecord(day=BEGINS.date()),
    AskStatistics(first=BEGINS.date(), last=BEGINS.date()),
    Reply(leg=0, text="R"),
    SearchInbox(leg=0),
    SearchInbox(leg=1),
]
ANSWERS = [
    None,
    TicketGiven(ticket=Ticket(subject=Subject.TEMPLATE, id="t")),
    SaidNo(refused=REFUSED),
    Undecided(),
    RecordTold(found=False, records=0),
    Probed(what="tls", taken=None),
    Replied(by_hand=True),
    Replied(by_hand=False),
    InboxSearched(found=True),
]
INBOUND = InboundReceived(vendor="v0", recipient=None, to="", text="R", sent_at=None, source=ReportSource.PUSHED)
MOMENTS = st.integers(-3600, 10 * 86_400).map(lambda seconds: BEGINS + timedelta(seconds=seconds))
TASKS = st.dictionaries(
    st.sampled_from(["horizon_seconds", "after_seconds", "ages_seconds", "hours_begin", "day", "what", "forwarder"]),
    st.sampled_from(["", "yes", "tls", "600", "999999999999", "-1", "x,,7", "09:00", "2026-03-02", "٣"]),
)


@st.composite
def boards(draw: st.DrawFn, case: Case) -> Board:
    if draw(st.booleans()):
        case = replace(case, task=draw(TASKS))
    if draw(st.booleans()):
        case = replace(case, drafts=case.drafts[:1])
    asked = st.builds(
        Asked,
        question=st.sampled_from(QUESTIONS),
        asked_at=MOMENTS,
        answer=st.sampled_from(ANSWERS),
        answered_at=st.none() | MOMENTS,
        failed=st.sampled_from([None, "no_answer"]),
    )
    return Board(
        case=case,
        legs=draw(st.dictionaries(st.integers(0, 3), _sent(), max_size=3)),
        asked=tuple(draw(st.lists(asked, max_size=4))),
        inbound=tuple(draw(st.lists(MOMENTS.map(lambda at: (at, INBOUND)), max_size=1))),
        decision=draw(st.sampled_from([None, None, DECISION])),
        ticket=draw(st.sampled_from([None, Ticket(subject=Subject.SIGNATURE, id="t")])),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_board_gets_a_step_that_keeps_the_rules(name: str, data: st.DataObject):
    case = data.draw(st.sampled_from(SAMPLES[name]))
    board, now = data.draw(boards(case)), data.draw(MOMENTS)
    check_step(board, now, registry.scenario(name).next_step(board, now))
