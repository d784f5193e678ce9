"""A month against the blessed one and the months before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Estimate
from harness.errors import ConfigError
from harness.judge import compare as comparing
from harness.judge import journeys, result, scoring, stats
from harness.judge.compare import Comparison, Line, comparable, compare, dump, find, learn, parse, slim
from harness.judge.criteria import parse_gate
from harness.judge.result import Result
from harness.words import LANGUAGES, Words
from tests.factory import Manner, everything
from tests.months import CARRIERS, changed, month

MOBILE = CARRIERS[0]
STEADY = {"ali": 0.98, "yun": 0.97}


def year(months: int, vendors: dict[str, float] | None = None, **more: object) -> list[Result]:
    return [month(number, vendors or STEADY, seed=5, **more) for number in range(1, months + 1)]  # type: ignore[arg-type]


def told(comparison: Comparison, vendor: str) -> str:
    return next(one.verdict for one in comparison.vendors if one.vendor == vendor)


def line(comparison: Comparison, vendor: str, measure: str, against: str = "recent", carrier: str = MOBILE) -> Line:
    return next(
        one for one in comparison.lines
        if (one.vendor, one.measure, one.against) == (vendor, measure, against)
        and one.slice.get("carrier", carrier) == carrier
    )  # fmt: skip


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_vendor_that_lost_four_points_on_one_carrier_regressed_and_the_line_says_where_and_how_much():
    past = year(6)
    rates = {carrier: 0.94 if carrier == MOBILE else 0.98 for carrier in CARRIERS}
    found = compare(month(7, {"ali": rates, "yun": 0.97}), past[0], past)
    assert (found.verdict, told(found, "ali"), told(found, "yun")) == ("regressed", "regressed", "not_regressed")
    lost = line(found, "ali", "arrival.rate")
    assert lost.verdict == "regressed" and lost.months == 6 and lost.family == "primary" and not lost.provisional
    assert lost.difference == pytest.approx(-0.04, abs=0.008)
    assert lost.low is not None and lost.high is not None and lost.low < lost.difference < lost.high < 0
    assert lost.p is not None and lost.p_adjusted is not None and lost.p <= lost.p_adjusted < (lost.level or 0)
    assert lost.n == 1800 and lost.n_eff == pytest.approx(900, rel=0.05)
    assert line(found, "ali", "arrival.rate", carrier=CARRIERS[1]).verdict == "not_regressed"
    summary = next(one.summary for one in found.vendors if one.vendor == "ali")
    assert summary.id == "compare.vendor.lost_arrival" and summary.values["carrier"] == MOBILE


def test_a_vendor_that_gained_is_named_better():
    found = compare(
        month(7, {"ali": 0.98}), month(1, {"ali": 0.9}), [month(n, {"ali": 0.9}, seed=2) for n in range(1, 7)]
    )
    gained = line(found, "ali", "arrival.rate")
    assert gained.better and gained.verdict == "not_regressed" and (gained.difference or 0) > 0.05


def test_few_messages_are_inconclusive_and_say_how_many_more():
    past = year(6, {"ali": 0.97}, n=300, deff=3.0)
    found = compare(month(7, {"ali": 0.97}, n=300, deff=3.0), past[0], past)
    assert found.verdict == "inconclusive"
    open_ones = [one for one in found.lines if one.family == "primary" and one.verdict == "inconclusive"]
    assert open_ones and any(one.more_messages and 10 < one.more_messages < 30_000 for one in open_ones)


def test_one_month_alone_is_provisional_and_three_are_not():
    blessed = month(1, STEADY)
    assert compare(month(2, STEADY), blessed).provisional
    assert not compare(month(4, STEADY), blessed, year(3)).provisional


def test_a_share_that_should_be_low_regresses_when_it_rises():
    past = year(6)
    risen = compare(month(7, STEADY, missing=0.08), past[0], past)
    assert line(risen, "ali", "missing_receipt.rate").verdict == "regressed"
    assert (line(risen, "ali", "missing_receipt.rate").difference or 0) == pytest.approx(0.06)
    fallen = compare(month(7, STEADY, missing=0.001), past[0], past)
    assert line(fallen, "ali", "missing_receipt.rate").better


def test_times_are_compared_as_ratios():
    past = year(6)
    slow = compare(month(7, STEADY, median=8.0), past[0], past)
    found = line(slow, "yun", "latency.p50")
    assert found.kind == "ratio" and found.verdict == "regressed" and found.difference == pytest.approx(2.0)
    assert found.low is not None and found.high is not None and 1 < found.low < 2 < found.high
    assert line(compare(month(7, STEADY, median=4.1), past[0], past), "yun", "latency.p50").verdict == "not_regressed"


def test_what_is_read_off_rather_than_sampled_has_no_p():
    found = compare(month(7, STEADY, kept_days=100.0), month(1, STEADY), year(6))
    fixed = next(one for one in found.lines if one.measure == "retention.days")
    assert (fixed.family, fixed.p, fixed.verdict, fixed.difference) == ("fixed", None, "regressed", -90.0)


def test_the_margin_is_the_contract_s():
    past = year(6)
    new = month(7, {"ali": 0.965, "yun": 0.97})
    strict, lenient = (compare(new, past[0], past, margin=margin) for margin in (0.005, 0.05))
    assert line(strict, "ali", "arrival.rate").verdict != "not_regressed"
    assert line(lenient, "ali", "arrival.rate").verdict in ("not_regressed", "regressed")
    assert strict.method["margin"] == 0.005


def test_a_slow_loss_since_the_blessed_month_is_drift_though_no_month_falls_far():
    rates = [0.985 - 0.0045 * number for number in range(12)]
    months = [month(number + 1, {"ali": rate}, n=3600) for number, rate in enumerate(rates)]
    found = compare(months[-1], months[0], months[:-1])
    assert all(one.alarm and one.since is not None and one.months == 12 for one in found.drifts)
    assert len(found.drifts) == 3 and found.verdict == "regressed"
    steady = year(12)
    assert not any(one.alarm for one in compare(steady[-1], steady[0], steady).drifts)


def test_a_new_blessing_starts_drift_afresh():
    months = year(12)
    assert {one.months for one in compare(months[-1], months[6], months).drifts} == {6}
    assert compare(months[-1], months[10], months).drifts == ()


# --- what must never matter ------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_past_months_does_not_matter(chance):
    past = year(8)
    shuffled = list(past)
    chance.shuffle(shuffled)
    new = month(9, {"ali": 0.96, "yun": 0.97})
    assert dump(compare(new, past[0], past)) == dump(compare(new, past[0], shuffled))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.5, 1.0), st.integers(0, 1000))
def test_adding_a_vendor_never_changes_another_s_lines(rate, seed):
    def months(*vendors: str) -> list[Result]:
        full = [month(n, {**STEADY, "third": rate}, seed=seed) for n in range(1, 8)]
        return [_only(one, vendors) for one in full]

    two, three = months("ali", "yun"), months("ali", "yun", "third")
    one, other = (compare(ms[-1], ms[0], ms) for ms in (two, three))
    assert one.lines == tuple(x for x in other.lines if x.vendor != "third")
    assert one.drifts == tuple(x for x in other.drifts if x.vendor != "third")
    assert one.vendors == tuple(x for x in other.vendors if x.vendor != "third")


def _only(whole: Result, vendors: tuple[str, ...]) -> Result:
    assert whole.provenance is not None
    kept = {name: info for name, info in whole.vendors.items() if name in vendors}
    cut = changed(
        whole, scenarios={name: one for name, one in whole.provenance.scenarios.items() if name in vendors},
        setups={name: one for name, one in whole.provenance.setups.items() if name in vendors},
    )  # fmt: skip
    return replace(
        cut, vendors=kept, findings=tuple(one for one in whole.findings if one.vendor in vendors),
        bases=tuple(one for one in whole.bases if one.vendor in vendors),
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.3, 1.0), min_size=1, max_size=3), st.integers(50, 3000), st.integers(0, 99), st.integers(0, 7)
)
def test_a_result_compared_with_itself_never_regressed(rates, n, seed, before):
    vendors = {f"v{place}": rate for place, rate in enumerate(rates)}
    new = month(8, vendors, n=n, seed=seed)
    found = compare(new, new, [new] * before)
    assert found.verdict in ("not_regressed", "inconclusive")
    assert all(one.difference == pytest.approx(1.0 if one.kind == "ratio" else 0.0) for one in found.lines)


def test_later_months_and_the_new_one_itself_are_no_past():
    months = year(12)
    assert compare(months[5], months[0], months) == compare(months[5], months[0], months[:5])


def test_a_slim_result_is_compared_like_the_whole():
    past = year(6, evidence=3, extra=5)  # type: ignore[arg-type]
    new = month(7, STEADY, evidence=3, extra=5)
    assert dump(compare(slim(new), slim(past[0]), [slim(one) for one in past])) == dump(compare(new, past[0], past))


# --- may they be compared? -------------------------------------------------------------------------------------------


def test_like_runs_differ_in_nothing():
    assert comparable(month(2, STEADY), month(1, STEADY)) == []


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("purposes", {"purposes": ("marketing",)}),
        ("hours", {"hours": "00:00-23:59"}),
        ("days", {"days": 3.0}),
        (f"handsets.{MOBILE}", {"handsets": {MOBILE: tuple(f"other{k}" for k in range(20))}}),
    ],
)
def test_runs_that_differ_in_what_matters_are_refused_with_what_differs(part, change):
    new, old = month(2, STEADY), changed(month(1, STEADY), **change)
    assert part in [one.part for one in comparable(new, old)]
    found = compare(new, old)
    assert found.verdict == "not_comparable" and found.lines == () and found.vendors == ()


def test_a_run_on_another_mode_or_horizon_is_refused():
    new, old = month(2, STEADY), month(1, STEADY)
    live = replace(old, run=replace(old.run, mode="live"))
    longer = replace(old, method={**old.method, "horizon_seconds": 60.0})
    assert [one.part for one in comparable(new, live)] == ["mode"]
    assert [one.part for one in comparable(new, longer)] == ["horizon_seconds"]


def test_a_few_numbers_rotated_are_borne_and_make_it_less_sure():
    new = month(7, STEADY)
    past = year(6)
    handsets = {carrier: tuple(f"{carrier}{k}" for k in range(4, 24)) for carrier in CARRIERS}
    rotated = changed(new, handsets=handsets)
    assert comparable(rotated, past[0]) == []
    sure, less = (line(compare(one, past[0], past), "ali", "arrival.rate") for one in (new, rotated))
    assert less.n_eff < sure.n_eff


@pytest.mark.parametrize("part", ["adapter", "standing", "endpoint", "signature"])
def test_a_vendor_set_up_otherwise_is_left_out_and_the_others_are_compared(part):
    past = year(6)
    new = month(7, STEADY)
    setups = {"ali": {"adapter": "acme", "standing": "verified", "endpoint": "e", part: "new"}}
    assert new.provenance is not None
    new = changed(new, setups={**new.provenance.setups, **setups})
    found = compare(new, past[0], past)
    assert (told(found, "ali"), told(found, "yun")) == ("not_comparable", "not_regressed")
    assert {one.vendor for one in found.lines} == {"yun"}
    assert [(one.part, one.vendor) for one in found.differs] == [(part, "ali")]


def test_a_plan_of_another_scale_is_not_comparable():
    past = year(6)
    assert {one.part for one in comparable(month(7, STEADY, n=4000), past[0])} == {"scenario.delivery"}
    assert comparable(month(7, STEADY, n=1600), past[0]) == []


def test_a_month_that_is_unlike_is_left_out_and_named():
    past = year(6)
    past[3] = changed(past[3], hours="00:00-23:59")
    found = compare(month(7, STEADY), past[0], past)
    assert [(one.run, one.part) for one in found.left_out] == [("r004", "hours")]
    assert line(found, "ali", "arrival.rate").months == 5


def test_a_document_from_before_provenance_is_refused_and_says_so():
    old = replace(month(1, STEADY), provenance=None)
    found = compare(month(2, STEADY), old)
    assert found.verdict == "not_comparable" and found.summary.values["part"] == "provenance"


# --- what history teaches --------------------------------------------------------------------------------------------


def test_history_teaches_from_twelve_cells_on():
    assert learn(year(1)) is None
    learned = learn(year(4))
    assert learned is not None and (learned.cells, learned.months) == (24, 4)
    assert learned.month_variance is not None and learned.month_df == 18


def test_what_is_learned_is_never_below_the_floors():
    learned = learn(year(6, deff=1.0))  # type: ignore[arg-type]
    assert learned is not None and learned.block_seen < stats.FLOORS.block
    assert (learned.block, learned.handset) == (stats.FLOORS.block, stats.FLOORS.handset)
    assert learned.floors().handset == stats.FLOORS.handset
    rough = learn(year(6, deff=12.0))  # type: ignore[arg-type]
    assert rough is not None and rough.block > stats.FLOORS.block and rough.floors().block == rough.block


def test_what_is_learned_stands_in_the_document_and_makes_one_month_surer():
    blessed, new = month(11, STEADY), month(12, STEADY)
    learned = learn(year(10))
    alone, taught = compare(new, blessed), compare(new, blessed, own=learned)
    assert taught.learned == learned and alone.learned is None
    assert parse(dump(taught)) == taught


# --- the document ----------------------------------------------------------------------------------------------------


def test_the_document_survives_writing_and_reading_and_is_the_same_each_time():
    past = year(6)
    found = compare(month(7, STEADY), past[0], past)
    assert parse(dump(found)) == found and dump(found) == dump(compare(month(7, STEADY), past[0], past))
    assert json.loads(comparing.json_schema())["title"] == "sms-vendor-comparison"


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"not json", b'{"schema": "other"}'])
def test_anything_else_is_refused_with_a_way_out(raw):
    with pytest.raises(ConfigError, match="smsbench compare"):
        parse(raw)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_note_has_words(language):
    words = Words(language)
    past = year(12)
    lost = month(13, {"ali": 0.9, "yun": 0.97}, median=9.0)
    cases = [
        compare(lost, past[0], past), compare(past[6], past[0], past), compare(month(2, STEADY, n=300), past[0], past),
        compare(month(2, {"other": 0.9}), past[0]), compare(month(2, STEADY), month(1, STEADY)),
        compare(month(7, STEADY, n=300, deff=3.0), month(1, STEADY, n=300), year(6, n=300)),
    ]  # fmt: skip
    for one in cases:
        for note in (one.summary, *(v.summary for v in one.vendors), *(x.note for x in one.lines)):
            assert words.fill(note.id, note.values)
        for verdict in (one.verdict, *(v.verdict for v in one.vendors)):
            assert f"comparison.{verdict}" in words


def test_a_gate_finds_its_line():
    past = year(6)
    found = compare(month(7, STEADY), past[0], past)
    one = find(found, "ali", "arrival.rate", {"carrier": MOBILE})
    assert one is not None and one.against == "blessed"
    assert find(found, "ali", "no.such", {}) is None


def test_judged_ledgers_can_be_compared_and_older_documents_can_be_read():
    manners = {"ali": Manner(arrives=0.97)}
    judged = [
        scoring.judge(journeys.read(everything(manners, each=90, phones=18, seed=n)), run_id=f"r{n}", ledger_digest="d")
        for n in (1, 2)
    ]  # fmt: skip
    new = replace(judged[1], run=replace(judged[1].run, began="2026-04-02T01:00:00Z"))
    found = compare(new, judged[0], judged)
    assert found.differs == () and {one.family for one in found.lines} >= {"primary", "secondary", "fixed"}
    assert all(isinstance(one.new, float) for one in found.lines)
    path = Path(__file__).parents[1] / "reports" / "results" / "1.0.json"
    old = result.parse(path.read_bytes())
    assert old.schema_version == result.SCHEMA_VERSION and old.provenance is None and old.bases == ()
    assert compare(judged[0], old).verdict == "not_comparable"


def test_a_percentile_that_was_not_reached_is_no_line():
    past = year(6)
    new = month(7, STEADY)
    gone = [
        replace(one, estimate=replace(one.estimate, value=None, high=None))
        if one.measure == "latency.p50" and isinstance(one.estimate, Estimate) else one
        for one in new.findings
    ]  # fmt: skip
    found = compare(replace(new, findings=tuple(gone)), past[0], past)
    assert not [one for one in found.lines if one.measure == "latency.p50"]


# --- gates on a change -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("compare(arrival.rate[carrier=china_mobile]) > -0.10", "pass"),
        ("compare(arrival.rate[carrier=china_mobile]) > -0.005", "fail"),
        ("compare(arrival.rate[carrier=china_mobile]) > -0.04", "unclear"),
        ("compare(arrival.rate[carrier=china_broadnet]) > -0.02", "not_shown"),
    ],
)
def test_a_gate_on_a_change_is_held_against_the_interval_of_the_change(text, verdict):
    fallen = month(4, {"ali": dict.fromkeys(CARRIERS, 0.98) | {MOBILE: 0.94}}, seed=5)
    comparison = compare(fallen, *year(1, {"ali": 0.98}), year(3, {"ali": 0.98}))
    (told,) = comparing.gate_verdicts(comparison, [parse_gate(text, "gates")])
    assert (told.vendor, told.verdict) == ("ali", verdict)


def test_other_gates_are_passed_by():
    first = month(1, STEADY, seed=5)
    assert comparing.gate_verdicts(compare(first, first), [parse_gate("arrival.rate >= 0.97", "gates")]) == ()
