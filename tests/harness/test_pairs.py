"""Vendors two by two on the same phones in the same minutes."""

from __future__ import annotations

from functools import cache

import pytest

from harness.domain import State
from harness.judge import journeys, scoring
from harness.judge.pairs import pairs, turns
from harness.judge.result import Pair, dump, parse
from tests.factory import CARRIERS, Manner, Scene


def scene(manners: dict[str, Manner], *, each: int = 720, phones: int = 18) -> journeys.Evidence:
    made = Scene(manners, phones=phones, days=6, seed=3)
    made.beat(6 * 86_400 + 8000, every=200)
    made.deliver(manners, each=each)
    return journeys.read(made.end())


@cache
def three() -> journeys.Evidence:
    slow = Manner(arrives=0.97, median_seconds=12.0)
    poor = Manner(arrives=0.97, by_carrier={CARRIERS[1]: 0.70})
    return scene({"plain": Manner(arrives=0.97), "slow": slow, "poor": poor})


def line(found: tuple[Pair, ...], first: str, second: str, measure: str, carrier: str | None = None) -> Pair:
    slice = {} if carrier is None else {"carrier": carrier}
    return next(
        p for p in found if (p.first, p.second, p.measure, dict(p.slice)) == (first, second, measure, slice)
    )  # fmt: skip


def test_the_report_can_say_who_arrives_more_often_on_which_carrier_and_by_how_much():
    found = line(pairs(three()), "plain", "poor", "arrival.rate", "china_unicom")
    assert found.verdict == "first" and found.state is State.MEASURED
    assert found.difference == pytest.approx(0.27, abs=0.08)
    assert found.low is not None and found.high is not None and 0 < found.low < 0.27 < found.high
    assert line(pairs(three()), "plain", "poor", "arrival.rate", "china_mobile").verdict == "not_distinguishable"


def test_a_slower_vendor_is_told_by_the_ratio_of_times():
    found = line(pairs(three()), "plain", "slow", "latency.p50")
    assert found.verdict == "first" and found.difference == pytest.approx(1 / 3, rel=0.2)
    assert line(pairs(three()), "plain", "slow", "arrival.rate").verdict == "not_distinguishable"


def test_the_adjusted_p_is_never_less_than_the_plain_one():
    for one in pairs(three()):
        assert one.p is not None and one.p_adjusted is not None and one.p_adjusted >= one.p


def test_a_pair_s_figures_do_not_hang_on_who_else_takes_part():
    two = line(
        pairs(scene({"plain": Manner(arrives=0.97), "slow": Manner(arrives=0.9)})), "plain", "slow", "arrival.rate"
    )
    frame = three().messages
    assert two.n > 0
    alone = journeys.Evidence(
        **{
            name: getattr(three(), name) if name != "messages" else frame[(frame["vendor"] != "slow").to_numpy()]
            for name in journeys.Evidence.__dataclass_fields__
        }
    )
    one, other = (line(pairs(e), "plain", "poor", "arrival.rate", "china_unicom") for e in (three(), alone))
    assert (one.difference, one.low, one.high, one.n, one.p) == (
        other.difference,
        other.low,
        other.high,
        other.n,
        other.p,
    )


def test_few_pairs_or_few_phones_say_why():
    few = pairs(scene({"a": Manner(), "b": Manner()}, each=15, phones=15))
    assert {p.reason.id for p in few if p.reason} >= {"reason.few_pairs"}
    assert all(p.verdict == "not_shown" and p.difference is None for p in few if p.reason)
    narrow = line(
        pairs(scene({"a": Manner(), "b": Manner()}, each=240, phones=6)), "a", "b", "arrival.rate", "china_mobile"
    )
    assert narrow.reason is not None and narrow.reason.id == "reason.few_handsets"


def test_random_order_is_balanced_and_a_fixed_one_is_not():
    assert all(one.balanced for one in turns(three())) and len(turns(three())) == 3
    fixed = Scene(("a", "b"), phones=15, days=5)
    for number in range(60):
        for place, vendor in enumerate(("a", "b")):
            at = number * 5000 + 60 * place
            fixed.one(fixed.plan(vendor, fixed.phones[number % 15], at, visit=f"v{number}"), at, Manner(arrives=1))
    first, second = turns(journeys.read(fixed.end()))
    assert (first.place, second.place) == (0.0, 1.0) and not first.balanced and not second.balanced


def test_a_vendor_alone_has_no_pairs_and_no_turns():
    alone = scene({"a": Manner()}, each=60)
    assert pairs(alone) == () and turns(alone) == ()


def test_pairs_stand_in_the_result_and_survive_writing():
    judged = scoring.judge(three(), run_id="r", ledger_digest="d")
    assert judged.pairs == pairs(three()) and judged.turns == turns(three())
    assert parse(dump(judged)).pairs == judged.pairs
