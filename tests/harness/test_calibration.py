"""Every calibration goal, at a fraction of the runs: a bound may be missed by three Monte-Carlo errors, not by more.

The full measurement is `python -m tests.calibration` (`make calibrate`).
"""

from __future__ import annotations

import pytest

from tests import calibration

RUNS = 150
ERRORS = 3.0


@pytest.mark.parametrize("goal", sorted(calibration.GOALS))
def test_intervals_and_decisions_keep_their_word_in_a_world_whose_truth_is_known(goal):
    rows, _ = calibration.measure(goal, RUNS)
    missed = [row for row in rows if not row.holds(ERRORS)]
    assert rows and not missed, calibration.table(missed)


def test_a_goal_missed_by_more_than_chance_is_noticed():
    row = calibration.Row(
        goal="C1", setting="made up", measured=0.80, relation=">=", bound=0.935, error=0.02, runs=RUNS
    )
    assert not row.ok and not row.holds(ERRORS)
    assert "**fails**" in calibration.table([row])


def test_the_same_seed_measures_the_same():
    assert calibration.measure("C4", 50)[0] == calibration.measure("C4", 50)[0]
