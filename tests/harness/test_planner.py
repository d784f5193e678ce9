"""What it takes to tell two vendors apart."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Money
from harness.judge import planner
from harness.judge.planner import Means, Wanted, need_for_rates, need_for_seconds, tells


@pytest.mark.parametrize(
    ("rates", "n0"), [((0.98, 0.96), 1141), ((0.99, 0.97), 769), ((0.98, 0.97), 3826), ((0.98, 0.93), 269)]
)
def test_independent_messages_are_those_of_the_formula(rates, n0):
    assert need_for_rates(Wanted(rates=rates), Means(handsets=40, rho=0.0)).independent == pytest.approx(n0, abs=1)


@pytest.mark.parametrize(("handsets", "never"), [(22, True), (23, False), (57, False)])
def test_too_few_phones_never_tell_however_much_is_sent(handsets, never):
    need = need_for_rates(Wanted(), Means(handsets=handsets, rho=0.02))
    assert (need.messages is None) is never and need.handsets == 23
    assert (need.days is None) is never and (need.phone_days is None) is never


def test_cost_follows_from_caps_and_price():
    means = Means(handsets=40, vendors=4, per_phone_per_day=8, price=Money(amount=Decimal("0.05")), rho=0.0)
    need = need_for_rates(Wanted(), means)
    assert need.messages is not None
    assert means.each_per_day == 2
    assert need.days == -(-need.messages // 80) and need.phone_days == need.days * 120
    assert need.money == Money(amount=Decimal("0.05") * need.messages * 12)


def test_a_plan_lasts_a_week_at_least():
    assert need_for_rates(Wanted(rates=(0.98, 0.7)), Means(handsets=100, rho=0.0)).days == planner.LEAST_DAYS


def test_caps_that_leave_no_room_give_no_days():
    need = need_for_rates(Wanted(), Means(handsets=40, vendors=9, per_phone_per_day=8, rho=0.0))
    assert need.messages is not None and need.days is None and need.phone_days is None


def test_a_vendor_s_own_cap_binds():
    assert Means(handsets=20, vendors=2, per_phone_per_day=20, per_vendor_per_day=3).each_per_day == 3


def test_times_need_fewer_messages_than_rates():
    rates, seconds = need_for_rates(Wanted(), Means(handsets=40)), need_for_seconds(Wanted(), Means(handsets=40))
    assert rates.messages is not None and seconds.messages is not None and seconds.messages < rates.messages / 5


def test_phones_of_which_each_has_its_own_speed_never_tell_times_that_are_close():
    close = Wanted(seconds=(4.0, 4.1))
    need = need_for_seconds(close, Means(handsets=10))
    assert need.messages is None and need.handsets > 10
    assert need_for_seconds(close, Means(handsets=need.handsets)).messages is not None
    assert need_for_seconds(close, Means(handsets=need.handsets - 1)).messages is None


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 120), st.integers(100, 5000), st.sampled_from([0.0, 0.005, 0.02]))
def test_what_a_plan_tells_is_what_it_needs(handsets, messages, rho):
    means = Means(handsets=handsets, rho=rho)
    found = tells(messages, means)
    if found.rate is not None:
        need = need_for_rates(Wanted(rates=(0.98, found.rate)), means)
        assert need.messages is not None and need.messages <= messages
        closer = need_for_rates(Wanted(rates=(0.98, found.rate + 0.001)), means)
        assert closer.messages is None or closer.messages >= messages
    if found.ratio is not None:
        need = need_for_seconds(Wanted(seconds=(1.0, found.ratio)), means)
        assert need.messages is not None and need.messages <= messages


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 80), st.integers(100, 3000))
def test_more_messages_never_tell_less(handsets, messages):
    few, many = (tells(n, Means(handsets=handsets)).difference for n in (messages, 2 * messages))
    assert few is None or (many is not None and many <= few + 1e-9)


def test_no_messages_tell_nothing():
    assert tells(0, Means(handsets=20)) == planner.Tells(rate=None, difference=None, ratio=None)


@pytest.mark.parametrize("means", [Means(handsets=0), Means(handsets=5, rho=1.0), Means(handsets=5, vendors=0)])
def test_means_that_are_none_are_refused(means):
    with pytest.raises(ValueError, match="need handsets"):
        need_for_rates(Wanted(), means)
