"""What the statistics promise: known values, agreement with other implementations, and refusals with a reason."""

from __future__ import annotations

import doctest
from itertools import pairwise
from math import inf, isfinite, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm
from scipy.stats import t as student
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from harness.domain import Estimate, Scope
from harness.judge import stats
from harness.judge.stats import NotEnough

BOUNDED = settings(max_examples=60, deadline=None)


@st.composite
def cells(draw, least_handsets=5, most_handsets=12):
    """Outcomes of messages with their handsets and blocks; at least 5 handsets and 4 blocks."""
    handsets = draw(st.integers(least_handsets, most_handsets))
    each = draw(st.integers(4, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.random(handsets * each) < draw(st.floats(0, 1))
    return y.astype(float), np.repeat(np.arange(handsets), each), np.tile(np.arange(each), handsets) % 8


def survival(seed, n=200, cut=True):
    rng = np.random.default_rng(seed)
    happens = np.round(rng.lognormal(1.4, 0.9, n), 1) + 0.1
    kind = np.where(rng.random(n) < 0.9, 1, 2)
    watched = np.where(rng.random(n) < 0.3, rng.uniform(0, 20, n), 100.0) if cut else np.full(n, 1_000.0)
    event = np.where(happens <= watched, kind, 0)
    return np.minimum(happens, watched), event, np.arange(n) % 10, (np.arange(n) // 10) % 8


def measured(answer):
    assert isinstance(answer, Estimate), answer
    return answer


def refused(answer, reason):
    assert isinstance(answer, NotEnough), answer
    assert answer.reason == reason
    return answer


def test_the_examples_in_docstrings_hold():
    assert doctest.testmod(stats).failed == 0


# --- plain counts


@BOUNDED
@given(trials=st.integers(1, 2_000), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_and_clopper_pearson_agree_with_scipy(trials, share, level):
    hits = round(share * trials)
    test = binomtest(hits, trials)
    wilson = test.proportion_ci(level, method="wilson")
    exact = test.proportion_ci(level, method="exact")
    assert stats.wilson(hits, trials, level=level) == pytest.approx((wilson.low, wilson.high), abs=1e-9)
    assert stats.clopper_pearson(hits, trials, level=level) == pytest.approx((exact.low, exact.high), abs=1e-9)


@BOUNDED
@given(trials=st.floats(0.5, 500), share=st.floats(0.01, 0.99))
def test_fractional_counts_are_taken_as_statsmodels_takes_them(trials, share):
    theirs = proportion_confint(share * trials, trials, method="wilson")
    assert stats.wilson(share * trials, trials) == pytest.approx(theirs, abs=1e-9)


def test_a_one_sided_limit_puts_all_doubt_on_one_side():
    assert stats.clopper_pearson(3, 100, one_sided=True).low == pytest.approx(beta.ppf(0.05, 3, 98))
    assert stats.clopper_pearson(3, 100, one_sided=True).low > stats.clopper_pearson(3, 100).low


@pytest.mark.parametrize("n, limit", [(29, 0.098), (59, 0.050), (149, 0.020), (299, 0.010)])
def test_a_clean_record_proves_only_so_much(n, limit):
    assert stats.zero_upper_limit(n) == pytest.approx(limit, abs=0.0006)
    assert stats.zero_upper_limit(n) == pytest.approx(stats.clopper_pearson(0, n, one_sided=True).high)


def test_counts_of_outages_have_exact_limits():
    assert stats.garwood(10) == pytest.approx((4.795, 18.39), abs=0.005)


def test_a_share_of_no_cases_is_no_share():
    refused(stats.share(0, 0), "no_cases")
    assert measured(stats.share(19, 20)).low == pytest.approx(0.764, abs=0.001)


@pytest.mark.parametrize(
    "call, shown",
    [
        (lambda: stats.wilson(5, 3), "5/3"),
        (lambda: stats.wilson(0, 0), "0/0"),
        (lambda: stats.wilson(1, 3, level=1.5), "1.5"),
        (lambda: stats.zero_upper_limit(0), "0"),
        (lambda: stats.rate([0.5, 2.0], [1, 2], [1, 2]), "2.0"),
        (lambda: stats.rate([0.5, float("nan")], [1, 2], [1, 2]), "nan"),
        (lambda: stats.rate([1, 0], [1], [1, 2]), r"\(1,\)"),
        (lambda: stats.rate([1, 0], [1, 2], [1, 2], scope=Scope.VENDOR), "vendor"),
        (lambda: stats.incidence_curve([1], [7]), "7"),
        (lambda: stats.percentile_of_all_sent(1.0, [1], [1], [1], [1], followed_up=None), "1.0"),
        (lambda: stats.turnbull([3], [2], 1), "3"),
        (lambda: stats.offset_from_exchanges([1], [2], [3], [4, 5]), "2"),
        (lambda: stats.messages_needed(0.9, 0.9, handsets=5), "0.9"),
        (lambda: stats.exceeds([1], None, 1.0), "1.0"),
        (lambda: stats.post_stratified([1], [2], [1.0]), "2"),
        (lambda: stats.dispersion_test([3], [2], np.random.default_rng(1)), "3"),
        (lambda: stats.time_blocks([5], 0, 4), "5"),
    ],
)
def test_a_wrong_argument_is_an_error_that_shows_it(call, shown):
    with pytest.raises(ValueError, match=shown):
        call()


# --- shares of clustered messages


def test_the_rate_follows_the_formula_of_the_specification():
    rng = np.random.default_rng(3)
    y, h, b = (rng.random(120) < 0.9).astype(float), rng.integers(0, 6, 120), rng.integers(0, 5, 120)
    n, p, e = 120, y.mean(), y - y.mean()
    v_h = 6 / 5 * sum(e[h == k].sum() ** 2 for k in range(6)) / n**2
    v_t = 5 / 4 * sum(e[b == k].sum() ** 2 for k in range(5)) / n**2
    v = max(v_h + v_t - (e**2).sum() / n**2, v_h, v_t)
    m_h, m_b = (sum((x == k).sum() ** 2 for k in range(6)) / n for x in (h, b))
    z = norm.ppf(0.975)
    seen = max(v / (p * (1 - p) / n), 1) * (student.ppf(0.975, 4) / z) ** 2
    floor = (1 + (m_h - 1) * 0.05 + (m_b - 1) * 0.01) * (student.ppf(0.975, 20) / z) ** 2
    n_eff = n / max(seen, floor)
    found = measured(stats.rate(y, h, b))
    assert (found.value, found.n_eff, found.n, found.handsets) == pytest.approx((p, n_eff, n, 6))
    assert (found.low, found.high) == pytest.approx(proportion_confint(p * n_eff, n_eff, method="wilson"))
    panel = measured(stats.rate(y, h, b, scope=Scope.PANEL))
    deff = max(v_t / (p * (1 - p) / n), 1 + (m_b - 1) * 0.02, 1)
    assert panel.n_eff == pytest.approx(n / deff * (norm.ppf(0.975) / student.ppf(0.975, 4)) ** 2)
    assert measured(stats.rate(y, h, b, scope=Scope.WINDOW)).n_eff == pytest.approx(n)


@BOUNDED
@given(cell=cells(), seed=st.integers(0, 1_000))
def test_neither_the_order_of_messages_nor_the_names_of_handsets_matter(cell, seed):
    y, handset, block = cell
    order = np.random.default_rng(seed).permutation(y.size)
    names = np.array([f"h{9 - number}" for number in handset])
    one, two = measured(stats.rate(y, handset, block)), measured(stats.rate(y[order], names[order], block[order]))
    assert (one.value, one.low, one.high, one.n_eff) == pytest.approx((two.value, two.low, two.high, two.n_eff))


@BOUNDED
@given(cell=cells())
def test_an_interval_holds_its_value_and_mirrors_when_hits_become_misses(cell):
    y, handset, block = cell
    found, mirrored = measured(stats.rate(y, handset, block)), measured(stats.rate(1 - y, handset, block))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)
    assert found.high - found.low > 0
    assert found.n_eff < found.n


@BOUNDED
@given(cell=cells())
def test_clustered_messages_never_say_more_than_independent_ones(cell):
    y, handset, block = cell
    assert (
        measured(stats.rate(y, handset, block)).n_eff <= measured(stats.rate(y, handset, block, scope=Scope.WINDOW)).n
    )


def test_a_bad_handset_widens_the_interval():
    handset, block = np.repeat(np.arange(10), 30), np.tile(np.arange(30), 10) % 8
    spread, bunched = np.ones(300), np.ones(300)
    spread[::20] = 0
    bunched[:15] = 0
    wide, narrow = measured(stats.rate(bunched, handset, block)), measured(stats.rate(spread, handset, block))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_a_cell_without_a_failure_is_not_certain():
    found = measured(stats.rate(np.ones(300), np.arange(300) % 10, np.arange(300) % 8))
    assert found.value == found.high == 1.0
    assert found.low < 0.98


def test_too_few_handsets_or_blocks_are_refused_with_their_number():
    y = np.ones(40)
    answer = refused(stats.rate(y, np.arange(40) % 4, np.arange(40) % 8), "few_handsets")
    assert answer.values == {"handsets": 4, "needed": 5}
    answer = refused(stats.rate(y, np.arange(40) % 8, np.arange(40) % 3), "few_blocks")
    assert answer.values == {"blocks": 3, "needed": 4}
    refused(stats.rate(y, np.arange(40) % 8, np.arange(40) % 3, scope=Scope.PANEL), "few_blocks")
    refused(stats.rate([], [], []), "no_messages")


def test_the_broadest_population_the_data_can_bear_is_named():
    y = np.ones(40)
    few_handsets = stats.broadest_rate(y, np.arange(40) % 4, np.arange(40) % 8)
    assert measured(few_handsets).scope is Scope.PANEL
    assert measured(stats.broadest_rate(y, np.arange(40) % 4, np.zeros(40))).scope is Scope.WINDOW
    assert measured(stats.broadest_rate(y, np.arange(40) % 8, np.arange(40) % 5)).scope is Scope.POPULATION
    refused(stats.broadest_rate([], [], []), "no_messages")


def test_less_than_a_day_is_this_window_whatever_was_asked():
    y, handset, block = np.ones(40), np.arange(40) % 8, np.arange(40) % 5
    assert measured(stats.rate(y, handset, block, days=0.9)).scope is Scope.WINDOW
    assert measured(stats.rate(y, handset, block, days=7)).scope is Scope.POPULATION


@BOUNDED
@given(times=st.lists(st.floats(0, 1e6), min_size=1, max_size=50), blocks=st.integers(1, 12))
def test_every_moment_of_a_window_has_a_block_and_later_ones_no_earlier_block(times, blocks):
    index = stats.time_blocks(sorted(times), 0, 1e6, blocks=blocks)
    assert index.min() >= 0 and index.max() < blocks
    assert (np.diff(index) >= 0).all()


@BOUNDED
@given(cell=cells())
def test_the_jackknife_of_a_mean_is_the_formula_when_handsets_send_equally(cell):
    y, handset, _ = cell
    block = handset % 5  # blocks of different size differ a little; handsets do not
    jackknifed = measured(stats.jackknifed(lambda use: float(y[use].mean()), handset, block, method="mean"))
    plain = measured(stats.rate(y, handset, block))
    assert jackknifed.value == pytest.approx(plain.value)
    assert jackknifed.n_eff == pytest.approx(plain.n_eff, rel=0.7)
    assert (jackknifed.low, jackknifed.high) == pytest.approx((plain.low, plain.high), abs=0.15)


# --- time to arrival


@pytest.mark.parametrize("seed", range(5))
def test_cumulative_incidence_agrees_with_statsmodels(seed):
    time, event, _, _ = survival(seed)
    with np.errstate(all="ignore"):  # theirs divides by zero in standard errors not used here
        theirs = CumIncidenceRight(time, event)
    for at in (1.0, 5.0, 10.0, 19.0):
        index = np.searchsorted(theirs.times, at, side="right") - 1
        assert stats.cumulative_incidence(time, event, at)[0] == pytest.approx(theirs.cinc[0][index], abs=1e-12)


@BOUNDED
@given(seed=st.integers(0, 10_000))
def test_a_curve_rises_and_what_it_reaches_it_has(seed):
    time, event, _, _ = survival(seed, n=60)
    curve = stats.incidence_curve(time, event)
    assert (np.diff(curve.times) > 0).all() and (np.diff(curve.shares) > 0).all()
    assert 0 < curve.shares[-1] <= 1
    half = curve.reach(0.5)
    assert half is None or curve.at(half) >= 0.5 - 1e-9 > curve.at(half - 0.01) - 1e-9
    assert curve.at(-1) == 0.0 and curve.reach(1.01) is None


@BOUNDED
@given(seed=st.integers(0, 10_000), t=st.floats(0.5, 50))
def test_when_all_are_watched_long_enough_arrival_within_t_is_the_plain_rate(seed, t):
    time, event, handset, block = survival(seed, cut=False)
    within = stats.arrived_within(time, event, t, handset, block, followed_up=None)
    assert within == stats.rate((time <= t) & (event == 1), handset, block)


def test_cut_off_messages_neither_count_as_lost_nor_vanish():
    time, event, handset, block = survival(1, n=300)
    found = measured(stats.arrived_within(time, event, 10, handset, block, followed_up=20))
    as_lost = float(((time <= 10) & (event == 1)).mean())
    assert found.value > as_lost
    assert found.n == 300 and found.method == "aalen-johansen"


def test_no_share_is_given_beyond_the_planned_watch():
    time, event, handset, block = survival(1)
    answer = refused(stats.arrived_within(time, event, 60, handset, block, followed_up=30), "follow_up_too_short")
    assert answer.values == {"asked": 60, "followed_up": 30}


def test_a_percentile_that_is_never_reached_is_none_and_so_is_its_upper_limit():
    time, event, handset, block = survival(2, cut=False)
    found = measured(stats.percentile_of_all_sent(0.95, time, event, handset, block, followed_up=100))
    assert found.value is None and found.high is None
    assert measured(stats.percentile_of_all_sent(0.5, time, event, handset, block, followed_up=0.2)).value is None


def test_the_median_of_all_sent_is_later_than_that_of_the_arrived():
    time, event, handset, block = survival(2, cut=False)
    every = measured(stats.percentile_of_all_sent(0.5, time, event, handset, block, followed_up=100))
    arrived = measured(stats.percentile_given_arrival(0.5, time, event, handset, block))
    assert arrived.value == pytest.approx(float(np.quantile(time[event == 1], 0.5, method="inverted_cdf")))
    assert every.value > arrived.value
    assert every.low < every.value < every.high
    assert (every.method, arrived.method) == ("woodruff-all-sent", "woodruff-given-arrival")


def test_a_cell_where_nothing_arrived_has_no_percentile_and_no_crash():
    time, handset, block = np.full(40, 30.0), np.arange(40) % 8, np.arange(40) % 5
    found = measured(stats.percentile_of_all_sent(0.5, time, np.zeros(40, dtype=int), handset, block, followed_up=30))
    assert found.value is None and found.high is None and found.low is None
    refused(stats.percentile_given_arrival(0.5, time, np.zeros(40, dtype=int), handset, block), "no_messages")


def test_turnbull_with_exact_brackets_is_the_plain_share():
    right = np.arange(1.0, 11.0)
    assert stats.turnbull(right - 1e-6, right, [3, 7.5, 10]).tolist() == pytest.approx([0.3, 0.7, 1.0])


@BOUNDED
@given(seed=st.integers(0, 10_000))
def test_turnbull_is_a_distribution_that_only_rises(seed):
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 10, 30).astype(float)
    right = np.where(rng.random(30) < 0.2, inf, left + rng.integers(1, 6, 30))
    shares = stats.turnbull(left, right, np.linspace(0, 20, 41))
    assert (np.diff(shares) >= -1e-9).all() and shares[0] >= 0 and shares[-1] <= 1 + 1e-9


def test_turnbull_has_no_less_likelihood_than_any_other_distribution_tried():
    rng = np.random.default_rng(4)
    left = rng.integers(0, 6, 40).astype(float)
    right = left + rng.integers(1, 4, 40)

    def likelihood(curve):
        return np.log(np.maximum([curve(r) - curve(x) for x, r in zip(left, right, strict=True)], 1e-300)).sum()

    curve = stats.turnbull_curve(left, right)
    best = likelihood(lambda t: curve.at(t))
    for _ in range(200):
        mass = np.concatenate(([0], np.cumsum(rng.dirichlet(np.ones(9)))))
        assert likelihood(lambda t, mass=mass: mass[min(int(t), 9)]) <= best + 1e-3


def test_polled_reports_have_an_interval_too():
    rng = np.random.default_rng(5)
    time, phase = rng.lognormal(1.4, 0.9, 120), rng.uniform(0, 2, 120)
    right = phase + np.maximum(0, np.ceil((time - phase) / 2)) * 2
    left = np.maximum(0, right - 2)
    found = measured(stats.reported_within(left, right, 5, np.arange(120) % 6, np.arange(120) % 5))
    assert found.method == "turnbull"
    assert found.low < (time <= 5).mean() < found.high


# --- clocks


@BOUNDED
@given(
    offset=st.floats(-1e4, 1e4),
    delays=st.lists(st.tuples(st.floats(0.001, 5), st.floats(0.001, 5)), min_size=1, max_size=20),
)
def test_the_true_offset_is_never_further_off_than_the_bound(offset, delays):
    asked = np.arange(len(delays)) * 10.0
    up, down = np.array(delays).T
    found = stats.offset_from_exchanges(asked, asked + up + offset, asked + up + offset, asked + up + down)
    assert isinstance(found, stats.ClockOffset)
    assert abs(found.offset - offset) <= found.bound + 1e-6
    assert found.bound == pytest.approx((up + down).min() / 2, abs=1e-6)


def test_an_old_exchange_counts_less_the_more_the_clock_drifts():
    asked, trips = np.array([0.0, 3_600.0]), np.array([0.1, 0.2])
    stamps = (asked, asked + trips / 2, asked + trips / 2, asked + trips)
    still = stats.offset_from_exchanges(*stamps, at=3_600.0, drift_ppm=0)
    drifting = stats.offset_from_exchanges(*stamps, at=3_600.0, drift_ppm=20)
    assert still.bound == pytest.approx(0.05)
    assert drifting.bound == pytest.approx(0.1, abs=1e-4)


def test_stamps_that_contradict_each_other_are_no_offset():
    refused(stats.offset_from_exchanges([], [], [], []), "no_clock_exchange")
    refused(stats.offset_from_exchanges([1.0], [5.0], [9.0], [2.0]), "clock_jumped")
    refused(stats.causal_bounds([0.0, 0.0], [10.0, 99.0], [1.0, 1.0]), "clock_jumped")
    refused(stats.causal_bounds([], [], []), "no_messages")


@BOUNDED
@given(offset=st.floats(-100, 100), seed=st.integers(0, 1_000))
def test_cause_comes_before_effect_on_any_clock(offset, seed):
    rng = np.random.default_rng(seed)
    sent = rng.uniform(0, 100, 20)
    seen = sent + rng.exponential(4, 20)
    found = stats.causal_bounds(sent, seen + offset, seen + rng.exponential(1, 20))
    assert isinstance(found, stats.ClockOffset)
    assert abs(found.offset - offset) <= found.bound + 1e-9


def test_an_uncertain_clock_widens_arrival_within_t_and_then_withholds_it():
    time, event, handset, block = survival(3, cut=False)
    sharp, wide = (
        measured(stats.within_with_clock_bound(time, event, 5, bound, handset, block, followed_up=60))
        for bound in (0.0, 0.25)
    )
    assert sharp.value == wide.value
    assert wide.low <= sharp.low and wide.high >= sharp.high and wide != sharp
    answer = stats.within_with_clock_bound(time, event, 5, 0.3, handset, block, followed_up=60)
    assert refused(answer, "clock_bound_too_wide").values == {"bound": 0.3, "allowed": 0.25}


# --- claims held against sightings


def test_the_post_stratified_rate_weighs_what_each_claim_turned_out_to_be_worth():
    claims = np.array(["delivered"] * 900 + ["none"] * 100)
    verified = np.array(["delivered"] * 90 + ["none"] * 10)
    arrived = np.array([1] * 81 + [0] * 9 + [1] * 5 + [0] * 5)
    found = measured(stats.post_stratified(claims, verified, arrived))
    assert found.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)
    soft = np.array([(81.5 / 91), (5.5 / 11)])
    variance = 0.81 * soft[0] * (1 - soft[0]) / 90 + 0.01 * soft[1] * (1 - soft[1]) / 10
    variance += (0.9 * (0.9 - found.value) ** 2 + 0.1 * (0.5 - found.value) ** 2) / 1_000
    assert found.n_eff == pytest.approx(found.value * (1 - found.value) / variance)


def test_verifying_everything_gives_the_plain_share():
    rng = np.random.default_rng(1)
    claims, arrived = rng.integers(0, 3, 400), rng.random(400) < 0.9
    found = measured(stats.post_stratified(claims, claims, arrived))
    assert found.value == pytest.approx(arrived.mean())
    plain = stats.wilson(int(arrived.sum()), 400)
    assert (found.low, found.high) == pytest.approx(plain, abs=0.01)


def test_clustered_handsets_widen_the_post_stratified_rate():
    rng = np.random.default_rng(1)
    claims, handset = np.ones(1_000, dtype=int), np.arange(300) % 10
    arrived = rng.random(300) < np.where(handset == 3, 0.5, 0.99)
    plain = measured(stats.post_stratified(claims, claims[:300], arrived))
    clustered = measured(stats.post_stratified(claims, claims[:300], arrived, handset))
    assert clustered.value == plain.value
    assert clustered.high - clustered.low > 2 * (plain.high - plain.low)
    assert (clustered.handsets, plain.handsets) == (10, None)
    refused(stats.post_stratified(claims, claims[:300], arrived, handset % 4), "few_handsets")


def test_a_common_claim_nobody_verified_is_refused_and_a_rare_one_leaves_room():
    claims = np.array([1] * 90 + [0] * 10)
    refused(stats.post_stratified(claims, [1, 1], [1, 1]), "claims_not_verified")
    rare = measured(stats.post_stratified(np.array([1] * 990 + [0] * 10), [1] * 100, [1] * 100))
    assert rare.value == pytest.approx(0.995) and rare.low < 0.99
    refused(stats.post_stratified([], [], []), "no_messages")


def test_false_receipts_are_corrected_by_what_the_app_misses():
    handset = np.arange(300) % 20
    unseen, missed = np.arange(300) < 21, np.arange(300) < 6  # 7 % unseen, 2 % of controls missed
    found = measured(stats.false_receipts(unseen, handset, missed, handset))
    assert found.value == pytest.approx((0.07 - 0.02) / 0.98)
    assert 0 <= found.low < found.value < found.high
    honest = measured(stats.false_receipts(missed, handset, missed, handset))
    assert honest.value == 0.0 and honest.low == 0.0 and honest.high > 0


def test_without_controls_nobody_is_accused():
    refused(stats.false_receipts([1, 0], None, [], None), "no_controls")
    refused(stats.false_receipts([], None, [0], None), "no_messages")
    refused(stats.false_receipts([1, 0], None, [1, 1], None), "controls_all_missed")
    refused(stats.false_receipts([1, 0], [1, 2], [0, 0], [1, 2]), "few_handsets")


@pytest.mark.parametrize("n, critical", [(150, 5), (300, 7)])
def test_the_critical_count_of_false_receipts_is_that_of_the_exact_test(n, critical):
    def marks(hits):
        return np.arange(n) < hits

    assert stats.exceeds(marks(critical), None, 0.01) is True
    assert stats.exceeds(marks(critical - 1), None, 0.01) is False


def test_one_deaf_handset_accuses_nobody():
    handset = np.arange(300) % 10
    bunched = (handset == 0) & (np.arange(300) < 90)
    assert stats.exceeds(bunched, None, 0.01) is True
    assert stats.exceeds(bunched, handset, 0.01) is False
    refused(stats.exceeds([], None, 0.01), "no_messages")
    refused(stats.exceeds([1, 0], [1, 2], 0.01), "few_handsets")


def test_receipts_before_arrival_count_only_beyond_the_clock_bound():
    seen = np.array([10.0, 10.0, 10.0, 10.0])
    found = stats.early_reports([9.0, 9.4, 9.6, 11.0], seen, 0.5)
    assert isinstance(found, stats.EarlyReports)
    assert (found.early, found.n, found.flagged) == (2, 4, False)
    assert stats.early_reports([1.0, 1.0, 1.0], [5.0, 5.0, 5.0], 0.5).flagged
    refused(stats.early_reports([], [], 0.5), "no_messages")


def test_missing_receipts_are_counted_among_arrived_messages_only():
    arrived = np.arange(80) % 2 == 0
    reported = np.arange(80) % 4 == 0
    found = measured(stats.missing_receipts(arrived, reported, np.arange(80) // 2 % 8, np.arange(80) // 2 % 5))
    assert (found.value, found.n) == (0.5, 40)


# --- stability


def test_hours_that_differ_are_noticed_and_equal_ones_are_not():
    rng = np.random.default_rng(2)
    trials = np.full(48, 12)
    hits = trials.copy()
    assert stats.dispersion_test(hits, trials, rng) == 1.0
    hits[::6] -= 1
    assert stats.dispersion_test(hits, trials, rng) > 0.2
    hits[7] = 2
    assert stats.dispersion_test(hits, trials, rng) < 0.01
    refused(stats.dispersion_test([3], [4], rng), "few_hours")


def test_one_seed_gives_one_p_value():
    hits, trials = np.array([9, 10, 7, 10] * 6), np.full(24, 10)
    one, two = (stats.dispersion_test(hits, trials, np.random.default_rng(8)) for _ in range(2))
    assert one == two


def test_the_worst_hour_is_shrunk_and_bad_hours_are_worse_than_the_mean():
    trials = np.full(168, 12)
    hits = np.random.default_rng(3).binomial(12, 0.98, 168)
    found = stats.beta_binomial_hours(hits, trials)
    assert isinstance(found, stats.HourEffects)
    assert found.worst > (hits / trials).min() + 0.05
    assert hits[found.worst_index] == hits.min()
    assert found.bad_hour.low < found.bad_hour.value < found.bad_hour.high < 1
    assert 0 < found.clustering.low < found.clustering.high < 0.2
    refused(stats.beta_binomial_hours([5], [5]), "few_hours")


@pytest.mark.parametrize("hits", [0, 4])
def test_hours_without_any_failure_or_any_arrival_do_not_crash(hits):
    found = stats.beta_binomial_hours(np.full(24, hits), np.full(24, 4))
    assert isinstance(found, stats.HourEffects)
    assert isfinite(found.bad_hour.value) and 0 <= found.bad_hour.low <= found.bad_hour.high <= 1


def test_availability_counts_rounds_and_a_long_outage_is_one_piece_of_evidence():
    times = np.arange(7 * 96) * 900.0
    hits = np.full(times.size, 3)
    clean = measured(stats.availability(times, hits, np.full(times.size, 3)))
    assert clean.value == clean.high == 1.0 and clean.low < 0.97
    assert clean.days == pytest.approx(7)
    hits[100:120] = 0
    hits[105] = 3  # one round came through: the outage goes on
    long = measured(stats.availability(times, hits, np.full(times.size, 3)))
    assert long.value == pytest.approx(1 - 20 / times.size)
    assert long.n_eff < clean.n_eff
    refused(stats.availability(times[:200], hits[:200], np.full(200, 3)), "few_days")
    refused(stats.availability([], [], []), "few_days")


def test_outages_are_runs_of_misses_close_in_time():
    times = np.array([0.0, 600, 1_200, 5_000, 9_000, 10_000, 10_700, 10_800, 12_000])
    found = stats.outages(times, np.ones(9))
    assert found == [
        stats.Outage(start=0.0, end=1_200.0, misses=3),
        stats.Outage(start=9_000.0, end=12_000.0, misses=5),
    ]
    assert stats.outages([0, 900, 1_800], [1, 1, 1]) == []  # 30 min apart is outside the half-open window
    assert stats.outages([], []) == []


@BOUNDED
@given(seed=st.integers(0, 10_000))
def test_outages_never_overlap_and_each_has_its_misses_inside(seed):
    rng = np.random.default_rng(seed)
    times, missed = rng.uniform(0, 40_000, 60), rng.random(60) < 0.5
    found = stats.outages(times, missed)
    for outage in found:
        inside = missed & (times >= outage.start) & (times <= outage.end)
        assert inside.sum() == outage.misses >= 3
    assert all(one.end < two.start for one, two in pairwise(found))


# --- reviews


@pytest.mark.parametrize("seed", range(4))
def test_review_times_agree_with_kaplan_meier_of_statsmodels(seed):
    rng = np.random.default_rng(seed)
    seconds, decided = np.round(rng.exponential(600, 30)) + 1, rng.random(30) < 0.8
    theirs = SurvfuncRight(seconds, decided)
    index = np.searchsorted(theirs.surv_times, 300, side="right") - 1
    found = measured(stats.decided_within(seconds, decided, 300))
    assert found.value == pytest.approx(1 - theirs.surv_prob[index])
    if 0 < found.value < 1:
        variance = theirs.surv_prob_se[index] ** 2
        assert found.n_eff == pytest.approx(min(30, found.value * (1 - found.value) / variance))
    half = measured(stats.turnaround(seconds, decided, 0.5))
    assert half.value == pytest.approx(theirs.quantile(0.5))


def test_the_share_within_five_minutes_of_decided_tickets_is_plain_wilson():
    found = measured(stats.decided_within([60.0] * 19 + [900.0], [1] * 20, 300))
    assert (found.low, found.high) == pytest.approx((0.764, 0.991), abs=0.001)
    assert found.method == "wilson"


def test_tickets_still_open_leave_a_slow_percentile_unreached():
    found = measured(stats.turnaround([60.0] * 10 + [7_200.0] * 10, [1] * 10 + [0] * 10, 0.9))
    assert found.value is None and found.high is None
    refused(stats.turnaround([], [], 0.5), "no_cases")
    refused(stats.decided_within([], [], 300), "no_cases")


# --- differences


def test_a_paired_difference_follows_the_formula():
    rng = np.random.default_rng(6)
    a, b = (rng.random(200) < 0.98).astype(float), (rng.random(200) < 0.9).astype(float)
    h, t = np.arange(200) % 10, np.arange(200) // 10 % 8
    d = a - b
    e = d - d.mean()
    v_h = 10 / 9 * sum(e[h == k].sum() ** 2 for k in range(10)) / 200**2
    v_t = 8 / 7 * sum(e[t == k].sum() ** 2 for k in range(8)) / 200**2
    v = max(v_h + v_t - (e**2).sum() / 200**2, v_h, v_t)
    found = stats.paired_difference(a, b, h, t)
    assert isinstance(found, stats.Difference)
    assert found.value == pytest.approx(d.mean()) and found.df == 7
    assert found.p == pytest.approx(2 * student.sf(abs(d.mean()) / sqrt(v), 7))
    assert found.high - found.low == pytest.approx(2 * student.ppf(0.975, 7) * sqrt(v))
    panel = stats.paired_difference(a, b, h, t, scope=Scope.PANEL)
    assert panel.high - panel.low == pytest.approx(2 * student.ppf(0.975, 7) * sqrt(v_t))


@BOUNDED
@given(cell=cells(), seed=st.integers(0, 1_000))
def test_swapping_vendors_turns_the_sign_and_nothing_else(cell, seed):
    y, handset, block = cell
    other = (np.random.default_rng(seed).random(y.size) < 0.8).astype(float)
    one, two = stats.paired_difference(y, other, handset, block), stats.paired_difference(other, y, handset, block)
    assert (one.value, one.low, one.high, one.p) == pytest.approx((-two.value, -two.high, -two.low, two.p))
    assert (one.p < 0.05) == (not one.low <= 0 <= one.high)


def test_pairs_that_all_agree_are_not_certain():
    found = stats.paired_difference(np.ones(40), np.ones(40), np.arange(40) % 8, np.arange(40) % 5)
    assert found.p == 1.0 and found.low < 0 < found.high
    refused(stats.paired_difference([1], [0], [1], [1]), "few_handsets")


@BOUNDED
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(p_values):
    assert stats.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize(
    "p1, p2, n0", [(0.98, 0.96, 1141), (0.99, 0.97, 769), (0.98, 0.97, 3826), (0.98, 0.93, 269), (0.95, 0.90, 435)]
)
def test_the_planner_gives_the_known_numbers(p1, p2, n0):
    assert stats.messages_needed(p1, p2, handsets=10) == pytest.approx(n0, abs=1)


@pytest.mark.parametrize("rho, handsets, n", [(0.01, 20, 2629), (0.02, 40, 2603), (0.02, 80, 1564), (0.05, 80, 3777)])
def test_handsets_that_differ_ask_for_more_messages(rho, handsets, n):
    assert stats.messages_needed(0.98, 0.96, rho=rho, handsets=handsets) == pytest.approx(n, abs=3)


@BOUNDED
@given(rho=st.floats(0.001, 0.2), handsets=st.integers(1, 300))
def test_with_too_few_handsets_no_number_of_messages_is_enough(rho, handsets):
    needed = stats.handsets_needed(0.98, 0.96, rho=rho)
    assert (stats.messages_needed(0.98, 0.96, rho=rho, handsets=handsets) is None) == (handsets < needed)
