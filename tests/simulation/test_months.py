"""Month after month: a world that does not change raises few alarms, a loss on one carrier is found and named.

A fast part of `python -m tests.monthly_calibration`, with smaller months of the twin. A bound may be missed by three
Monte-Carlo errors, not by more.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from harness.domain import BEIJING
from harness.judge import compare, scoring
from harness.plain_yaml import locate
from harness.registry import sandbox_file
from tests import monthly_calibration as monthly
from tests.simulation import twin
from tests.simulation.twin import Size
from vendors.sandbox.fate import Fates
from vendors.sandbox.months import EPOCH, FIRST, begins_of_month, seed_of_month
from vendors.sandbox.truth import read_truth

SMALL = Size(messages=2_400, days=8)
ERRORS = 3.0
WORLDS = range(3)
MONTH = 5


@pytest.fixture(scope="module")
def steady() -> list[monthly.Told]:
    truth = monthly.truth_of(0.985)
    return [one for world in WORLDS for one in monthly.unchanged(world, truth=truth, months=6, size=SMALL)]


@pytest.fixture(scope="module")
def sunk() -> list[monthly.Told]:
    truth = monthly.truth_of(0.985)
    return [one for world in WORLDS for one in monthly.lost(world, truth=truth, month=MONTH, size=SMALL)]


def test_a_world_that_does_not_change_raises_few_alarms(steady):
    rows = list(monthly.unchanged_rows("M", "small", steady))
    assert rows and all(row.holds(ERRORS) for row in rows), rows


def test_a_loss_of_four_points_is_found_and_vendor_and_carrier_are_named(sunk):
    found, before = monthly.lost_rows("M", "small", sunk, MONTH)
    assert found.measured >= 0.75 and before.holds(ERRORS), (found, before)


def test_what_is_judged_for_comparing_is_what_the_whole_judge_says():
    course = monthly.course_of(monthly.truth_of(0.97), 3, Size(messages=600))
    evidence = monthly.twin.evidence(course, twin.draw(course, monthly.np.random.default_rng(3)))
    part, whole = monthly.judged(evidence, "m"), scoring.judge(evidence, run_id="m", ledger_digest="")
    told = {(one.measure, tuple(one.slice.items())): one.estimate for one in compare.slim(whole).findings}
    assert all(told[one.measure, tuple(one.slice.items())] == one.estimate for one in part.findings)
    assert (part.bases, part.provenance, part.run, part.method) == (
        whole.bases, whole.provenance, whole.run, whole.method
    )  # fmt: skip
    wanted = {key for key in told if list(dict(key[1])) in ([], ["carrier"]) and key[0] not in compare._LEFT_OUT}
    assert wanted <= {(one.measure, tuple(one.slice.items())) for one in part.findings}


# --- the half year of vendors/sandbox/months.yaml --------------------------------------------------------------------


def test_months_begin_on_first_mondays_and_whole_weeks_apart():
    begins = [begins_of_month(month) for month in range(1, 25)]
    assert begins[0] == FIRST and all(one.weekday() == 0 and one.day <= 7 and one.hour == 9 for one in begins)
    assert [(one.year, one.month) for one in begins] == [(2026 + (n + 2) // 12, (n + 2) % 12 + 1) for n in range(24)]
    assert all((one - FIRST) % timedelta(weeks=1) == timedelta(0) for one in begins)
    with pytest.raises(ValueError, match="count from 1"):
        begins_of_month(0)
    assert seed_of_month(7, 3) == 9


def test_the_half_year_loses_four_points_on_one_carrier_from_the_fifth_month_on():
    truth = read_truth(sandbox_file("months.yaml"), "months.yaml")
    world = twin.world_of(truth, seed=1, epoch=EPOCH)
    shares = {}
    for label, account in world.accounts.items():
        fates: Fates = account._fates
        for month in range(1, 7):
            at = begins_of_month(month).astimezone(BEIJING)
            for person in world.people.values():
                of_handset = fates._handset_share(person)
                ported = account.truth.ported if person.carrier is not person.allotted_carrier else 1.0
                factor = fates._route(person, at)[0] / of_handset / ported
                shares.setdefault((label, str(person.carrier), month), []).append(factor)
    for (label, carrier, month), factors in shares.items():
        lost = (label, carrier) == ("yuanhang", "china_telecom") and month >= 5
        wanted = 0.956 / 0.996 if lost else 1.0
        assert all(abs(one - wanted) < 1e-4 for one in factors), (label, carrier, month)


def test_its_papers_are_in_order():
    truth = read_truth(sandbox_file("months.yaml"), "months.yaml")
    papers = locate(sandbox_file("months-dossier.yaml"), "months-dossier.yaml").value
    assert set(papers) == set(truth.vendors)
    for of_vendor in papers.values():
        assert {"licence", "code_certificate", "contract_retention"} <= set(of_vendor)
