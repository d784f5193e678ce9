"""Month against month, in plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judge import months


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.999), st.integers(200, 20_000))
def test_a_step_on_the_arcsine_scale_is_the_difference_of_the_two_shares(p, q, n):
    f, g = months.arcsine(p * n, n), months.arcsine(q * n, n)
    found = months.change(f, [g], 0.001, [0.001], between=None, df=50)
    assert months.share_limit(f, found, found.gap).item() == pytest.approx(p - q, abs=2 / n)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_past_months_does_not_matter(past, chance):
    shuffled = list(past)
    chance.shuffle(shuffled)
    one, other = (
        months.change(0.5, p, 0.01, [0.01] * len(p), between=months.month_variance([p]), df=9) for p in (past, shuffled)
    )
    assert one.gap == pytest.approx(other.gap) and one.error == pytest.approx(other.error)


def test_months_that_differ_by_nature_make_a_month_surer_of_nothing():
    calm = months.change(2.6, [2.7] * 6, 1e-3, [1e-3] * 6, between=months.Pooled(np.asarray(1e-4), 15), df=9)
    wild = months.change(2.6, [2.7] * 6, 1e-3, [1e-3] * 6, between=months.Pooled(np.asarray(1e-2), 15), df=9)
    assert months.p_fallen(calm) < 0.01 < months.p_fallen(wild)


def test_the_sampling_variance_is_a_floor():
    found = months.change(2.6, [2.7] * 6, 1e-3, [1e-3] * 6, between=months.Pooled(np.asarray(0.0), 15), df=9)
    assert found.error**2 == pytest.approx(0.8e-3 * (1 + 1 / 6))


def test_a_lasting_shift_hardly_widens_the_spread_from_month_to_month():
    path = np.array([0.0] * 6 + [1.0] * 6) + np.tile([0.1, -0.1], 6)
    plain, successive = months.month_variance([path]), months.successive_variance([path])
    assert plain is not None and successive is not None
    assert successive.variance < plain.variance / 2


def test_one_month_alone_says_nothing_of_the_spread():
    assert months.month_variance([[0.3], [0.4]]) is None
    assert months.successive_variance([[0.3]]) is None


def test_a_fall_month_after_month_is_drift_and_a_rise_is_not():
    falling = months.cusum(np.linspace(0, -6, 12), np.asarray(1.0))
    rising = months.cusum(np.linspace(0, 6, 12), np.asarray(1.0))
    assert falling[-1] > months.cusum_threshold(12) and rising.max() == 0


@pytest.mark.parametrize("count", [6, 12, 24])
@pytest.mark.parametrize("series", [1, 3])
def test_the_table_of_thresholds_is_what_simulation_gives(count, series):
    rng = np.random.default_rng(5)
    found = months.simulated_threshold(count, months.DRIFT_LEVEL / series, rng, runs=60_000)
    assert months.cusum_threshold(count, series=series) == pytest.approx(found, abs=0.12)


@given(st.integers(2, 60), st.integers(1, 6))
def test_more_months_and_more_series_ask_for_more(count, series):
    assert months.cusum_threshold(count + 1, series=series) >= months.cusum_threshold(count, series=series)
    assert months.cusum_threshold(count, series=series + 1) >= months.cusum_threshold(count, series=series)


@pytest.mark.parametrize(("count", "series"), [(1, 1), (12, 0)])
def test_a_threshold_needs_months_and_a_series(count, series):
    with pytest.raises(ValueError, match="need two months"):
        months.cusum_threshold(count, series=series)


def test_a_share_needs_trials():
    with pytest.raises(ValueError, match="need 0 <= hits"):
        months.arcsine(3, 2)
