"""Long texts: several segments, all carriers, all vendors to the same phones."""

from __future__ import annotations

from collections import Counter

from tests.scenarios.evaluation import cases_of, contestant, visits_of


def test_every_text_has_several_segments():
    cases = cases_of("long_text")
    assert {case.drafts[0].content for case in cases} == {"long_notice"}
    assert all(case.drafts[0].segments > 1 for case in cases)


def test_messages_are_shared_evenly_by_carriers_and_vendors():
    counts = Counter((case.vendor, case.slices["carrier"]) for case in cases_of("long_text", {"messages": "15"}))
    assert set(counts.values()) == {5}
    assert len(counts) == 12


def test_a_vendor_without_the_template_is_left_out():
    cases = cases_of("long_text", contestants=[contestant("v0", lacks=["long_notice"]), contestant("v1")])
    assert {case.vendor for case in cases} == {"v1"}


def test_a_visit_holds_all_vendors():
    assert all(len(visit) == 4 for visit in visits_of(cases_of("long_text")).values())
