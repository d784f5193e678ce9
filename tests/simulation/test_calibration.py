"""Intervals hold through the whole pipe: ten smaller worlds with random truths, played and judged as real runs are.

A bound may be missed by three Monte-Carlo errors, not by more. The full measurement of 200 worlds is
`python -m tests.pipe_calibration`; its figures stand in docs/calibration.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.domain import Carrier, Estimate, Scope
from tests import calibration, pipe_calibration
from tests.pipe_calibration import Held
from vendors.sandbox.fate import long_run
from vendors.sandbox.truth import read_truth

WORLDS = 10
SMALL = pipe_calibration.Size(per_carrier=84, templates=8, days=4)
ERRORS = 3.0


@pytest.fixture(scope="module")
def found() -> list[Held]:
    return [one for index in range(WORLDS) for one in pipe_calibration.measure(index, SMALL)[0]]


def test_intervals_cover_the_truths_of_worlds_they_know_nothing_of(found):
    rows = pipe_calibration.rows(found)
    missed = [row for row in rows if not row.holds(ERRORS)]
    assert len(rows) == len(pipe_calibration.MEASURES) + 1
    assert not missed, calibration.table(missed)


def test_nearly_every_finding_has_an_interval_with_both_ends(found):
    counted = {name: [one.counts for one in found if one.measure == name] for name in pipe_calibration.MEASURES}
    assert all(len(counts) >= WORLDS and np.mean(counts) >= 0.95 for counts in counted.values()), counted


@pytest.mark.parametrize("name", ["latency.p50", "review.time.p50"])
def test_held_against_another_worlds_truth_the_same_intervals_fail(found, name):
    counted = [one for one in found if one.measure == name and one.counts]
    half = len(counted) // 2
    others = [one.truth for one in (*counted[half:], *counted[:half])]
    swapped = [replace(one, truth=truth) for one, truth in zip(counted, others, strict=True)]
    assert np.mean([one.covers for one in swapped]) < 0.8


def test_estimates_are_not_off_to_one_side(found):
    for name, most in {"arrival.rate": 0.02, "missing_receipt.rate": 0.02, "false_receipt.rate": 0.02}.items():
        off = [one.estimate.value - one.truth for one in found if one.measure == name and one.counts and one.estimate]
        assert abs(float(np.mean(off))) < most, name


def test_the_truths_held_against_are_those_the_world_states_of_itself():
    world = read_truth(pipe_calibration.world_text(4), "world.yaml")
    for vendor in world.vendors.values():
        plain = replace(vendor, altered=0.0, random_outages=None)
        stated = long_run(plain, ported_share=world.panel.ported, begin_hour=9, end_hour=20)
        for carrier in pipe_calibration.CARRIERS:
            ours = pipe_calibration.truth_of(plain, carrier, world.panel.ported)
            assert ours.arrival == pytest.approx(stated.arrival[carrier])
            assert ours.false_receipts == pytest.approx(stated.false_receipts[carrier])


def test_outages_and_altered_texts_take_their_share_of_the_long_run():
    texts = (pipe_calibration.world_text(index) for index in range(40))
    world = next(read_truth(text, "world.yaml") for text in texts if "random_outages" in text)
    vendor = next(one for one in world.vendors.values() if one.random_outages)
    assert 0.97 < pipe_calibration.in_outages(vendor) < 1
    calm = replace(vendor, altered=0.0, random_outages=None)
    carrier = Carrier.CHINA_MOBILE
    troubled = pipe_calibration.truth_of(vendor, carrier, 0.1)
    assert troubled.arrival < pipe_calibration.truth_of(calm, carrier, 0.1).arrival


def _made_up(index: int, low: float, high: float) -> Held:
    estimate = Estimate(
        value=(low + high) / 2, low=low, high=high, n=300, n_eff=100.0, handsets=10, days=7.0, method="made up",
        scope=Scope.POPULATION, level=0.95,
    )  # fmt: skip
    return Held(
        world=index, vendor="v0", wire="alibaba", carrier="china_mobile", measure="arrival.rate", truth=0.95,
        estimate=estimate, reason="", oracle=0.04,
    )  # fmt: skip


def test_intervals_that_cover_too_seldom_or_are_too_wide_are_noticed():
    seldom = [_made_up(index, *((0.93, 0.97) if index % 5 else (0.96, 0.99))) for index in range(200)]
    coverage, width = pipe_calibration.rows(seldom)
    assert coverage.measured == 0.8 and not coverage.holds(ERRORS)
    assert width.ok and width.measured < 1.1
    wide = [_made_up(index, 0.9, 0.99) for index in range(200)]
    coverage, width = pipe_calibration.rows(wide)
    assert coverage.ok and not width.holds(ERRORS)


def test_the_section_is_renewed_in_its_place(tmp_path):
    path = tmp_path / "calibration.md"
    path.write_text("# Calibration\n\n| a |\n", encoding="utf-8")
    pipe_calibration.write("first\n", path)
    pipe_calibration.write("second\n", path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Calibration\n\n| a |\n") and text.count(pipe_calibration.BEGIN_MARK) == 1
    assert "second" in text and "first" not in text
