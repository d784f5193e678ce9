"""What the ranking promises: marks are fixed, flips are smallest, unknown is never zero, and one seed is one result."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judge import decisions

BOUNDED = settings(max_examples=80, deadline=None)
ARRIVAL = [(0.85, 0), (0.90, 20), (0.95, 60), (0.98, 90), (0.995, 100)]
REVIEW = [(300, 100), (900, 60), (1_800, 30), (3_600, 0)]


@st.composite
def problems(draw, least=2):
    vendors, criteria = draw(st.integers(least, 6)), draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.uniform(0, 100, (vendors, criteria)), rng.dirichlet(np.ones(criteria))


def test_the_examples_in_docstrings_hold():
    assert doctest.testmod(decisions).failed == 0


def test_value_functions_meet_their_knots_and_stay_flat_outside():
    assert decisions.value(ARRIVAL, [0.5, 0.85, 0.965, 1.0]).tolist() == pytest.approx([0, 0, 75, 100])
    assert decisions.value(REVIEW, [10, 300, 600, 9_999]).tolist() == pytest.approx([100, 100, 80, 0])


@pytest.mark.parametrize(
    "call, shown",
    [
        (lambda: decisions.value([(1, 0), (1, 100)], [1]), "rising"),
        (lambda: decisions.value([(0, 0), (1, 101)], [1]), "101"),
        (lambda: decisions.value(ARRIVAL, [np.nan]), "not measured"),
        (lambda: decisions.scores([[10, np.nan]], [1, 1]), "nan"),
        (lambda: decisions.scores([[10, 120]], [1, 1]), "120"),
        (lambda: decisions.scores([[10, 20]], [1, 1, 1]), "3 for 2"),
        (lambda: decisions.scores([[10, 20]], [-1, 2]), "-1"),
        (lambda: decisions.scores([[10, 20]], [0, 0]), "not all 0"),
        (lambda: decisions.possible_and_necessary([[50.0]], [[40.0]], [1]), "low <= high"),
        (lambda: decisions.smaa(np.zeros((0, 2, 2)), [1, 1], rng=np.random.default_rng(1)), r"\(0, 2, 2\)"),
        (lambda: decisions.smaa(np.zeros((3, 2, 2)), [1, 1], concentration=0, rng=np.random.default_rng(1)), "0"),
        (lambda: decisions.empirical_bayes_beta([1], [2]), "two or more"),
        (lambda: decisions.empirical_bayes_beta([3, 1], [2, 2]), "3"),
        (lambda: decisions.flip_distance([1, 2], [1, 2, 3], [1, 1]), r"\(3,\)"),
    ],
)
def test_a_wrong_argument_is_an_error_that_shows_it(call, shown):
    with pytest.raises(ValueError, match=shown):
        call()


@BOUNDED
@given(problem=problems(least=3), gone=st.integers(0, 5))
def test_dropping_a_vendor_never_changes_the_order_of_the_others(problem, gone):
    marks, weights = problem
    rest = np.delete(marks, gone % len(marks), axis=0)
    before = np.delete(decisions.scores(marks, weights), gone % len(marks))
    assert np.argsort(before).tolist() == np.argsort(decisions.scores(rest, weights)).tolist()


@BOUNDED
@given(problem=problems())
def test_moving_the_reported_weight_ties_the_two(problem):
    marks, weights = problem
    a, b = marks[:2]
    flip = decisions.flip_distance(a, b, weights)
    if flip is None:
        assert (a > b).all()
        return
    moved = np.array(flip.weights)
    assert moved.min() >= -1e-9 and moved.sum() == pytest.approx(1)
    assert (b - a) @ moved >= -1e-6
    assert np.abs(moved - weights).sum() / 2 == pytest.approx(flip.distance, abs=1e-7)
    assert flip.distance == 0 if b @ weights >= a @ weights else flip.distance > 0


@BOUNDED
@given(problem=problems(), seed=st.integers(0, 1_000))
def test_no_smaller_shift_of_weight_turns_the_ranking(problem, seed):
    marks, weights = problem
    a, b = marks[:2]
    flip = decisions.flip_distance(a, b, weights)
    if flip is None or flip.distance == 0:
        return
    rng = np.random.default_rng([seed, 1])
    for other in rng.dirichlet(np.ones(weights.size), 50):
        length = np.abs(other - weights).sum() / 2
        nearer = weights + (other - weights) * min(1.0, 0.99 * flip.distance / length)
        assert (b - a) @ nearer < 0


def test_the_example_of_the_specification_flips_at_the_two_most_different_criteria():
    flip = decisions.flip_distance([100, 50, 0], [0, 50, 100], [0.4, 0.3, 0.3])
    assert flip.distance == pytest.approx(0.05)


def test_rank_acceptability_sums_to_one_by_vendor_and_by_rank():
    rng = np.random.default_rng(1)
    found = decisions.smaa(rng.uniform(0, 100, (500, 4, 3)), [5, 3, 2], rng=rng)
    for table in (found.stated, found.varied):
        assert table.shape == (4, 4)
        assert table.sum(axis=0) == pytest.approx(1) and table.sum(axis=1) == pytest.approx(1)
    assert found.central.sum(axis=1) == pytest.approx(1)


def test_one_seed_gives_one_acceptability():
    draws = np.random.default_rng(1).uniform(0, 100, (300, 4, 3))
    one, two = (decisions.smaa(draws, [1, 1, 1], rng=np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one.varied, two.varied) and np.array_equal(one.central, two.central)


def test_without_doubt_in_the_data_stated_weights_leave_no_doubt_and_varied_ones_may():
    draws = np.broadcast_to(np.array([[80.0, 20.0], [20.0, 75.0]]), (2_000, 2, 2))
    found = decisions.smaa(draws, [0.5, 0.5], rng=np.random.default_rng(2))
    assert found.stated[0].tolist() == [1.0, 0.0]
    assert 0.5 < found.varied[0, 0] < 0.95
    assert found.central[0, 0] > 0.5 > found.central[1, 0]


def test_concentration_sets_how_far_weights_range():
    draws = np.broadcast_to(np.array([[80.0, 20.0], [20.0, 75.0]]), (2_000, 2, 2))
    loose, tight = (
        decisions.smaa(draws, [0.5, 0.5], concentration=c, rng=np.random.default_rng(2)).varied[0, 0]
        for c in (10, 10_000)
    )
    assert loose < 0.7 and tight > 0.98


def test_ties_are_shared_and_a_weight_of_zero_stays_zero():
    draws = np.full((4_000, 2, 3), 50.0)
    found = decisions.smaa(draws, [1, 1, 0], rng=np.random.default_rng(3))
    assert found.stated[0, 0] == pytest.approx(0.5, abs=0.04)
    assert (found.central[:, 2] == 0).all()


@BOUNDED
@given(problem=problems(), seed=st.integers(0, 1_000))
def test_the_true_winner_is_always_possible_and_no_other_is_ever_necessary(problem, seed):
    marks, weights = problem
    rng = np.random.default_rng(seed)
    empty = rng.random(marks.shape) < 0.2
    found = decisions.possible_and_necessary(np.where(empty, 0, marks), np.where(empty, 100, marks), weights)
    best = int(np.argmax(marks @ weights))
    assert best in found.possible
    assert found.necessary in (None, best)
    if found.necessary is not None:
        assert found.possible == (best,) and found.settling == ()
    for vendor, criterion in found.settling:
        assert empty[vendor, criterion]


def test_what_is_missing_is_a_span_and_the_cell_that_would_settle_it_is_named():
    low, high = [[80.0, 0.0], [70.0, 70.0]], [[80.0, 100.0], [70.0, 70.0]]
    found = decisions.possible_and_necessary(low, high, [0.5, 0.5])
    assert (found.low, found.high) == ((40.0, 70.0), (90.0, 70.0))
    assert found.possible == (0, 1) and found.necessary is None
    assert found.settling == ((0, 1),)
    settled = decisions.possible_and_necessary(low, high, [0.95, 0.05])
    assert settled.necessary == 0


def test_the_shared_prior_learns_how_much_cells_differ():
    rng = np.random.default_rng(4)
    n = np.full(400, 300.0)
    alike = decisions.empirical_bayes_beta(rng.binomial(300, 0.97, 400), n)
    apart = decisions.empirical_bayes_beta(rng.binomial(300, rng.beta(19.4, 0.6, 400)), n)
    assert apart.hits + apart.misses == pytest.approx(20, rel=0.35)
    assert apart.hits / (apart.hits + apart.misses) == pytest.approx(0.97, abs=0.01)
    assert alike.hits + alike.misses > 10 * (apart.hits + apart.misses)
    assert decisions.empirical_bayes_beta([5, 5], [5, 5]).misses > 0


def test_posterior_draws_lie_between_the_prior_and_the_data():
    prior = decisions.BetaPrior(hits=90, misses=10)
    draws = decisions.draw_shares([[1.0], [0.5]], [[100.0], [100.0]], prior, draws=4_000, rng=np.random.default_rng(5))
    assert draws.shape == (4_000, 2, 1)
    assert draws.mean(axis=0).ravel() == pytest.approx([0.95, 0.70], abs=0.01)
