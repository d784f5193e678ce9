"""Early stopping: five looks, never a winner among equals by looking often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judge import journeys, stopping
from harness.judge.stopping import decide, level, look, looks_at, may_stop
from tests.factory import Manner, Scene

TIMES = np.arange(1800.0) * 300


def outcomes(seed: int, *rates: float, n: int = 1800) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.random(n) < rate).astype(float) for rate in rates]


def test_the_levels_are_those_of_o_brien_and_fleming():
    assert [level(k) for k in range(1, 6)] == pytest.approx([5e-6, 0.0013, 0.0085, 0.0226, 0.0413], rel=0.04)


def test_a_great_difference_stops_early_and_says_what_it_saved():
    a, b = outcomes(1, 0.98, 0.80)
    seen = look(a[:720], b[:720], TIMES[:720], planned=1800)
    assert seen.stop and seen.why == "different" and seen.saved == 1080 and seen.look == 2
    assert seen.difference == pytest.approx(0.18, abs=0.05)


def test_equals_go_on_and_are_found_alike_in_the_end():
    a, b = outcomes(2, 0.99, 0.99)
    early = look(a[:360], b[:360], TIMES[:360], planned=1800)
    assert not early.stop and early.why == "go_on" and early.saved == 0
    last = look(a, b, TIMES, planned=1800, taken=4)
    assert last.stop and last.why in ("no_material_difference", "complete")


def test_a_look_is_taken_once_and_only_when_it_is_due():
    a, b = outcomes(3, 0.98, 0.5)
    before = look(a[:359], b[:359], TIMES[:359], planned=1800)
    assert (before.look, before.stop, before.p) == (0, False, None)
    again = look(a[:500], b[:500], TIMES[:500], planned=1800, taken=1)
    assert not again.stop and again.p is None
    assert look(a[:360], b[:360], TIMES[:360], planned=1800).stop


def test_an_outage_of_one_vendor_is_no_difference_that_lasts():
    a, b = outcomes(4, 0.98, 0.98)
    b[700:790] = 0  # a twentieth of the time, all at once
    assert look(a[:1080], b[:1080], TIMES[:1080], planned=1800, taken=2).why == "go_on"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_in_which_pairs_are_handed_in_does_not_matter(seed, chance):
    a, b = outcomes(seed, 0.95, 0.90, n=400)
    order = list(range(400))
    chance.shuffle(order)
    assert look(a, b, TIMES[:400], planned=1000) == look(a[order], b[order], TIMES[:400][order], planned=1000)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_who_is_called_first_only_turns_the_sign(seed):
    a, b = outcomes(seed, 0.95, 0.85, n=400)
    one, other = look(a, b, TIMES[:400], planned=1000), look(b, a, TIMES[:400], planned=1000)
    assert (one.stop, one.why) == (other.stop, other.why)
    assert one.difference == pytest.approx(-(other.difference or 0.0))


def test_pairs_that_all_agree_are_no_proof():
    ones = np.ones(360)
    seen = look(ones, ones, TIMES[:360], planned=1800)
    assert seen.p == pytest.approx(1.0) and not seen.stop


def test_pairs_and_times_must_match():
    with pytest.raises(ValueError, match="need pairs"):
        look([1, 0], [1], [0, 1], planned=10)
    with pytest.raises(ValueError, match="looks are"):
        level(6)


def test_a_run_may_stop_when_every_pair_on_every_carrier_is_decided():
    scene = Scene(("good", "bad"), phones=15, days=5)
    scene.beat(5 * 86_400 + 8000, every=200)
    scene.deliver({"good": Manner(arrives=0.99), "bad": Manner(arrives=0.2)}, each=600)
    evidence = journeys.read(scene.end())
    decisions = decide(evidence, planned=300)
    assert {one.carrier for one in decisions} == {"china_mobile", "china_unicom", "china_telecom"}
    done, saved = may_stop(decisions)
    assert done and saved == 100
    assert decide(evidence, planned=300, taken=decisions) == decisions
    assert may_stop(()) == (False, 0)
    assert not may_stop(decide(evidence, planned=100_000))[0]


def test_looks_stand_at_each_fifth():
    assert looks_at(1000) == (200, 400, 600, 800, 1000) and stopping.LOOKS == 5
