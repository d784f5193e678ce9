"""How much it takes to tell two vendors apart, and what the plan at hand can tell. Pure arithmetic.

For a wanted difference: messages, days, phone-days and money under the caps, or never; and the other way round.
Sections (§) are those of docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, exp, inf, log
from typing import Final

from scipy.special import ndtri, stdtrit

from harness.domain import Money
from harness.judge import stats

RHO: Final = 0.02  # correlation of one vendor's outcomes on one phone, where own history says nothing
LOG_SPREAD: Final = 0.8  # of one vendor's times, log scale (§4.2)
PHONE_SPREAD: Final = 0.15  # of a vendor's typical time from phone to phone, log scale
# The test takes the greatest of three estimates of its variance: so much more than the true one (calibration C18).
GREATEST_OF_THREE: Final = 1.15
LEAST_DAYS: Final = 7  # fewer see too little of outages


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Two vendors that should be told apart: arrival rates, and median times in seconds."""

    rates: tuple[float, float] = (0.98, 0.96)
    seconds: tuple[float, float] = (4.0, 6.0)
    power: float = 0.8
    alpha: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What there is to do it with, per carrier."""

    handsets: int
    vendors: int = 2
    per_phone_per_day: int = 8  # what a phone may get from all vendors together
    per_vendor_per_day: int | None = None  # a vendor's own cap a number and day, the least of all vendors
    price: Money | None = None  # of one message, the dearest vendor
    carriers: int = 3
    rho: float = RHO
    phone_spread: float = PHONE_SPREAD

    @property
    def each_per_day(self) -> int:
        """What one vendor may send one phone a day."""
        shared = self.per_phone_per_day // max(1, self.vendors)
        return shared if self.per_vendor_per_day is None else min(shared, self.per_vendor_per_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one question costs. `messages` None: never, with so few phones, whatever is sent; then `handsets` says how
    many there must be more than."""

    messages: int | None  # per vendor and carrier
    independent: int  # as many as it would take were all messages independent
    handsets: int  # the fewest with which some number of messages is enough
    days: int | None  # None: never, or the caps leave no room at all
    phone_days: int | None  # over all carriers
    money: Money | None  # over all vendors and carriers


def need_for_rates(wanted: Wanted, means: Means) -> Need:
    """Messages to tell two arrival rates apart (§4.2): never if K ≤ n₀·ρ.

    The formula's normal quantiles are widened to those of t with min(K, 8 blocks) - 1 degrees of freedom, and its
    variance to the one the test uses: together 56 % more messages than n.

    >>> need_for_rates(Wanted(), Means(handsets=20, rho=0.0)).independent
    1141
    >>> need_for_rates(Wanted(), Means(handsets=20, rho=0.02)).messages is None
    True
    """
    _check(means)
    first, second = wanted.rates
    plain = stats.messages_needed(first, second, handsets=means.handsets, power=wanted.power, alpha=wanted.alpha)
    assert plain is not None
    needed = stats.messages_needed(
        first, second, rho=means.rho, handsets=means.handsets, power=wanted.power, alpha=wanted.alpha
    )
    df = max(1, min(means.handsets, stats.BLOCKS) - 1)
    messages = (
        None if needed is None else ceil(needed * GREATEST_OF_THREE * (_reach(wanted, df) / _reach(wanted, inf)) ** 2)
    )
    least = stats.handsets_needed(first, second, rho=means.rho, power=wanted.power, alpha=wanted.alpha)
    return _cost(messages, plain, max(stats.LEAST_HANDSETS, least), means)


def need_for_seconds(wanted: Wanted, means: Means) -> Need:
    """Messages to tell two median times apart, by t on phones' mean log times (§4.2)."""
    _check(means)
    first, second = wanted.seconds
    if not (first > 0 and second > 0 and first != second):
        raise ValueError(f"need two different times above 0, got {wanted.seconds}")
    step = abs(log(first / second))
    plain = ceil(2 * LOG_SPREAD**2 * (_reach(wanted, inf) / step) ** 2)

    def messages(handsets: int) -> int | None:
        left = (step / _reach(wanted, handsets - 1)) ** 2 - 2 * means.phone_spread**2 / handsets
        return ceil(2 * LOG_SPREAD**2 / left) if left > 0 else None

    least = next(count for count in range(stats.LEAST_HANDSETS, 10**9) if messages(count) is not None)
    needed = messages(means.handsets) if means.handsets >= stats.LEAST_HANDSETS else None
    return _cost(None if needed is None else max(needed, means.handsets), plain, least, means)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tells:
    """The least a plan can tell apart with the wanted power. None: it tells nothing apart, however large."""

    rate: float | None  # the rate just told from the first wanted one, below it
    difference: float | None  # in shares
    ratio: float | None  # of median times, above 1


def tells(messages: int, means: Means, wanted: Wanted | None = None) -> Tells:
    """The smallest detectable differences with so many messages per vendor and carrier."""
    question = wanted or Wanted()
    first = max(question.rates)

    def rate_is_told(rate: float) -> bool:
        needed = need_for_rates(_with(question, rates=(first, rate)), means).messages
        return needed is not None and needed <= messages

    def ratio_is_told(step: float) -> bool:
        needed = need_for_seconds(_with(question, seconds=(1.0, exp(step))), means).messages
        return needed is not None and needed <= messages

    gap = _least(lambda step: rate_is_told(first - step), first - 1e-6) if messages > 0 else None
    step = _least(ratio_is_told, log(100.0)) if messages > 0 else None
    return Tells(rate=None if gap is None else first - gap, difference=gap, ratio=None if step is None else exp(step))


def _with(wanted: Wanted, **changes: tuple[float, float]) -> Wanted:
    rates, seconds = changes.get("rates", wanted.rates), changes.get("seconds", wanted.seconds)
    return Wanted(rates=rates, seconds=seconds, power=wanted.power, alpha=wanted.alpha)


def _least(is_told: Callable[[float], bool], most: float) -> float | None:
    """The least step that is told, by halving: what is told stays told when it grows."""
    if not is_told(most):
        return None
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        if middle > 0 and is_told(middle):
            high = middle
        else:
            low = middle
    return high


def _reach(wanted: Wanted, df: float) -> float:
    """t quantile of the test plus that of the power."""
    if df == inf:
        return float(ndtri(1 - wanted.alpha / 2) + ndtri(wanted.power))
    return float(stdtrit(df, 1 - wanted.alpha / 2) + stdtrit(df, wanted.power))


def _cost(messages: int | None, plain: int, handsets: int, means: Means) -> Need:
    days = phone_days = money = None
    if messages is not None:
        if means.each_per_day > 0:
            days = max(LEAST_DAYS, ceil(messages / (means.handsets * means.each_per_day)))
            phone_days = days * means.handsets * means.carriers
        if means.price is not None:
            amount = means.price.amount * Decimal(messages * means.vendors * means.carriers)
            money = Money(amount=amount, currency=means.price.currency)
    return Need(
        messages=messages, independent=plain, handsets=handsets, days=days, phone_days=phone_days, money=money
    )  # fmt: skip


def _check(means: Means) -> None:
    if means.handsets < 1 or means.vendors < 1 or means.carriers < 1 or not 0 <= means.rho < 1:
        raise ValueError(f"need handsets, vendors, carriers and a correlation in [0, 1), got {means}")
