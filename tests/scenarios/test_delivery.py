"""The delivery plan: same phones, same minutes, counterbalanced order, spread over phones, days and hours."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.domain import BEIJING, Case, campaign_window
from scenarios.timetable import deal, moments, orders, stretches, williams
from tests.scenarios.evaluation import briefing, cases_of, contestant, evaluation, gaps_per_phone, visits_of


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return cases_of("delivery", {"messages": "320"})


@given(st.integers(1, 9))
def test_in_a_williams_design_each_is_everywhere_and_follows_everyone_equally_often(size: int):
    rows = williams(size)
    assert all(sorted(row) == list(range(size)) for row in rows)
    for place in range(size):
        assert len(set(Counter(row[place] for row in rows).values())) == 1
    follows = Counter(pair for row in rows for pair in pairwise(row))
    assert len(follows) == size * (size - 1)
    assert len(set(follows.values())) <= 1


@given(st.integers(0, 200), st.lists(st.tuples(st.floats(0.1, 9), st.integers(0, 30)), max_size=9))
def test_dealing_gives_out_all_that_there_is_room_for(total: int, boxes: list[tuple[float, int]]):
    weights, rooms = [weight for weight, _ in boxes], [room for _, room in boxes]
    counts = deal(total, weights, rooms)
    assert sum(counts) == min(total, sum(rooms))
    assert all(count <= room for count, room in zip(counts, rooms, strict=True))


@given(st.integers(0, 60), st.floats(0, 1, exclude_max=True), st.integers(0, 3600))
def test_moments_lie_within_the_hours_and_as_far_apart_as_asked(count: int, phase: float, apart: int):
    hours = stretches(briefing("delivery"))
    found = moments(hours, count, phase, apart=timedelta(seconds=apart))
    assert len(found) <= count
    assert all(any(one.begin <= moment < one.end for one in hours) for moment in found)
    assert all(later - earlier >= timedelta(seconds=apart) for earlier, later in pairwise(found))


def test_each_vendor_gets_the_wanted_number_of_messages(cases: list[Case]):
    assert Counter(case.vendor for case in cases) == {f"v{number}": 320 for number in range(4)}


def test_in_a_visit_all_vendors_send_the_same_text_to_the_same_phone_within_minutes(cases: list[Case]):
    for visit in visits_of(cases).values():
        assert sorted(case.vendor for case in visit) == ["v0", "v1", "v2", "v3"]
        assert len({case.recipient for case in visit}) == 1
        assert len({(case.drafts[0].purpose, case.drafts[0].content) for case in visit}) == 1
        assert visit[-1].due - visit[0].due == 3 * timedelta(seconds=75)


def test_every_vendor_meets_the_same_phones_and_all_of_them_alike(cases: list[Case]):
    met = Counter((case.vendor, case.recipient) for case in cases)
    assert len(met) == 4 * 9
    assert max(met.values()) - min(met.values()) <= 1


def test_each_vendor_is_first_and_last_equally_often(cases: list[Case]):
    for place in range(4):
        counts = Counter(visit[place].vendor for visit in visits_of(cases).values())
        # Purposes keep orders of their own, each of which may end within a design.
        assert max(counts.values()) - min(counts.values()) <= 3


def test_each_vendor_is_at_each_place_for_each_phone(cases: list[Case]):
    places = Counter((case.recipient, case.vendor) for visit in visits_of(cases).values() for case in visit[:1])
    assert len(places) == 9 * 4


def test_orders_of_three_vendors_are_counterbalanced_too():
    firsts = [next(row) for row in [orders(("a", "b", "c"), Random(1))] for _ in range(60)]
    assert Counter(row[0] for row in firsts) == {"a": 20, "b": 20, "c": 20}
    assert Counter(pair for row in firsts for pair in pairwise(row)) == Counter(
        {(one, two): 20 for one in "abc" for two in "abc" if one != two}
    )


def test_visits_are_spread_evenly_over_days_and_hours(cases: list[Case]):
    days = Counter(case.due.astimezone(BEIJING).date() for case in cases)
    assert len(days) == 7
    assert max(days.values()) <= 1.1 * min(days.values())
    hours = Counter(case.due.astimezone(BEIJING).hour for case in cases)
    assert set(hours) == set(range(9, 21))
    assert min(hours[hour] for hour in range(9, 20)) > 0.5 * max(hours.values())


def test_purposes_do_not_fall_in_step_with_the_hour_of_day(cases: list[Case]):
    early = Counter(case.slices["purpose"] for case in cases if case.due.astimezone(BEIJING).hour < 15)
    late = Counter(case.slices["purpose"] for case in cases if case.due.astimezone(BEIJING).hour >= 15)
    for purpose in ("verification", "notification"):
        share = early[purpose] / (early[purpose] + late[purpose])
        assert 0.35 < share < 0.65


def test_phones_are_staggered(cases: list[Case]):
    starts = sorted(visit[0].due for visit in visits_of(cases).values())
    same = sum(later == earlier for earlier, later in pairwise(starts))
    assert same < 0.05 * len(starts)


def test_a_phone_is_not_met_at_the_same_minutes_every_day(cases: list[Case]):
    for phone in ("phone-3", "phone-7"):
        firsts = {}
        for case in sorted((case for case in cases if case.recipient == phone), key=lambda case: case.due):
            local = case.due.astimezone(BEIJING)
            firsts.setdefault(local.date(), local.hour * 60 + local.minute)
        assert max(firsts.values()) - min(firsts.values()) > 45


def test_marketing_goes_to_testers_and_first_into_campaign_windows(cases: list[Case]):
    marketing = [case for case in cases if case.slices["purpose"] == "marketing"]
    assert {case.recipient for case in marketing} <= {"phone-0", "phone-1", "phone-2"}
    visits = [visit[0] for visit in visits_of(marketing).values()]
    inside = sum(campaign_window(case.due) is not None for case in visits)
    others = [case for case in cases if case.recipient in {"phone-0", "phone-1", "phone-2"}]
    free = sum(campaign_window(visit[0].due) is not None for visit in visits_of(others).values())
    assert inside == min(free, len(visits)) > 0
    assert 0.25 < len(marketing) / len(others) < 0.42


def test_two_vendors_may_send_one_visit_of_marketing_to_people_who_are_no_testers():
    cases = cases_of("delivery", {"messages": "300"}, within=evaluation(vendors=2, testers=0))
    visits = visits_of([case for case in cases if case.slices["purpose"] == "marketing"])
    assert len(visits) == 9
    assert set(Counter(visit[0].recipient for visit in visits.values()).values()) == {1}


def test_no_phone_gets_more_than_its_share_a_day_and_the_plan_shrinks_to_what_fits():
    cases = cases_of("delivery", {"messages": "5000"})
    counts = Counter((case.vendor, case.recipient, case.due.astimezone(BEIJING).date()) for case in cases)
    assert max(counts.values()) == 7  # 70 % of 40 a day, shared by four vendors
    asked = cases_of("delivery", {"messages": "5000", "per_phone_per_day": "9"})
    counts = Counter((case.vendor, case.recipient, case.due.astimezone(BEIJING).date()) for case in asked)
    assert set(counts.values()) == {9}


def test_a_vendor_without_marketing_texts_sits_marketing_out_and_the_others_go_on():
    poor = contestant("v0", lacks=["weekend_offer", "member_offer"])
    cases = cases_of("delivery", {"messages": "200"}, contestants=[poor, contestant("v1"), contestant("v2")])
    for visit in visits_of(cases).values():
        marketing = visit[0].slices["purpose"] == "marketing"
        assert {case.vendor for case in visit} == ({"v1", "v2"} if marketing else {"v0", "v1", "v2"})


def test_a_text_that_all_have_is_preferred_and_without_one_each_sends_its_own():
    one = contestant("v0", lacks=["login_code"])
    cases = cases_of("delivery", {"messages": "50"}, contestants=[one, contestant("v1")])
    codes = {case.drafts[0].content for case in cases if case.slices["purpose"] == "verification"}
    assert codes == {"payment_code"}
    other = contestant("v1", lacks=["payment_code"])
    cases = cases_of("delivery", {"messages": "50"}, contestants=[one, other])
    codes = {(case.vendor, case.drafts[0].content) for case in cases if case.slices["purpose"] == "verification"}
    assert codes == {("v0", "payment_code"), ("v1", "login_code")}


def test_the_part_of_the_run_and_the_spacing_can_be_set_but_never_below_a_minute():
    cases = cases_of("delivery", {"messages": "60", "over": "2 days", "spacing": "5 s"})
    assert {case.due.astimezone(BEIJING).day for case in cases} == {2, 3}
    assert min(gaps_per_phone(cases)) == timedelta(seconds=60)


def test_seven_thousand_cases_are_made_in_good_time():
    within = evaluation(phones=40, testers=20)
    begun = process_time()
    assert len(cases_of("delivery", {"messages": "1750"}, within=within)) == 7000
    assert process_time() - begun < 1.5
