"""A plan before it is carried out: what it costs at most, what it can tell apart, and what it would take to tell more.

Stands beside the front door: the plan is the run's, the arithmetic the judge's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.codec import to_plain
from harness.config import Evaluation
from harness.domain import RecipientKind
from harness.judge.planner import Means, Need, Tells, Wanted, need_for_rates, need_for_seconds, tells
from harness.judge.stats import LEAST_HANDSETS
from harness.run.house import Contest
from harness.run.plan import Plan, looks_of
from harness.words import Value, Words

COUNTED = ("delivery", "soak")  # scenarios whose messages speak of arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """One carrier. `needs` None: so few handsets give no statement about the carrier at all."""

    carrier: str
    handsets: int
    messages: int  # per vendor, the least of all vendors
    rates: Need | None
    seconds: Need | None
    now: Tells | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A plan with what it can tell."""

    plan: Plan
    wanted: Wanted
    powers: tuple[Power, ...]
    looks: tuple[datetime, ...] = ()  # at which it may stop early


def outlook_of(plan: Plan, evaluation: Evaluation, contest: Contest, wanted: Wanted) -> Outlook:
    """What a plan can tell, under the caps of the evaluation and of each vendor."""
    paces = {
        label: evaluation.vendors[label].per_number_per_day or vendor.manifest.pace.per_number_per_day
        for label, vendor in contest.vendors.items()
    }
    looks = looks_of(plan.cases, evaluation.horizon) if evaluation.stop == "early" else None
    return Outlook(
        plan=plan,
        wanted=wanted,
        powers=tuple(power_of(plan, evaluation, wanted, paces=paces)),
        looks=looks.at if looks else (),
    )


def power_of(plan: Plan, evaluation: Evaluation, wanted: Wanted, *, paces: Mapping[str, int]) -> list[Power]:
    """Each carrier of the plan. `paces`: label → what that vendor lets a number have a day."""
    sent: dict[str, dict[str, int]] = {}
    phones: dict[str, set[str]] = {}
    for case in plan.cases:
        carrier = case.slices.get("carrier")
        if carrier is None or case.slices.get("kind") != RecipientKind.HANDSET or case.scenario not in COUNTED:
            continue
        counts = sent.setdefault(carrier, {})
        counts[case.vendor] = counts.get(case.vendor, 0) + len(case.drafts)
        phones.setdefault(carrier, set()).add(case.recipient or "")
    prices = [one.price for one in evaluation.vendors.values() if one.price is not None]
    found = []
    for carrier in sorted(sent, key=lambda one: -len(phones[one])):
        handsets, messages = len(phones[carrier]), min(sent[carrier].values())
        if handsets < LEAST_HANDSETS:
            found.append(
                Power(carrier=carrier, handsets=handsets, messages=messages, rates=None, seconds=None, now=None)
            )
            continue
        means = Means(
            handsets=handsets,
            vendors=len(evaluation.vendors),
            per_phone_per_day=evaluation.caps.per_day,
            per_vendor_per_day=min(paces.values()) if paces else None,
            price=max(prices, key=lambda money: money.amount) if len(prices) == len(evaluation.vendors) else None,
            carriers=1,
        )
        found.append(
            Power(
                carrier=carrier,
                handsets=handsets,
                messages=messages,
                rates=need_for_rates(wanted, means),
                seconds=need_for_seconds(wanted, means),
                now=tells(messages, means, wanted),
            )
        )
    return found


def plan_plain(outlook: Outlook) -> dict[str, Any]:
    """A plan as plain values, for --json."""
    plan = outlook.plan
    by_scenario: dict[str, int] = {}
    for case in plan.cases:
        by_scenario[case.scenario] = by_scenario.get(case.scenario, 0) + 1
    return {
        "seed": plan.seed,
        "digest": plan.digest,
        "cases": len(plan.cases),
        "by_scenario": by_scenario,
        "messages": dict(plan.messages),
        "ceiling": {label: str(money.amount) if money else None for label, money in plan.ceiling.items()},
        "first": plan.cases[0].due.isoformat() if plan.cases else None,
        "last": plan.cases[-1].due.isoformat() if plan.cases else None,
        "skipped": [to_plain(one) for one in plan.skipped],
        "looks": [at.isoformat() for at in outlook.looks],
        "power": {"wanted": to_plain(outlook.wanted), "carriers": [to_plain(one) for one in outlook.powers]},
    }


def plan_lines(outlook: Outlook, words: Words) -> Iterator[str]:
    """A plan for a person: cases, timetable, cost ceiling, what it can tell apart, and what was left out."""
    plan, told = outlook.plan, plan_plain(outlook)
    if plan.cases:
        first, last = words.bare_moment(plan.cases[0].due), words.moment(plan.cases[-1].due)
        yield words("cli.plan.whole", n=len(plan.cases), first=first, last=last)
    for scenario, n in told["by_scenario"].items():
        yield f"  {words.name('scenario', scenario)}: {n}"
    for label, messages in plan.messages.items():
        money = plan.ceiling[label]
        cost = words.money(money.amount, money.currency) if money else words("unknown")
        yield words("cli.plan.vendor", label=label, messages=messages, cost=cost)
    if outlook.looks:
        times = words.listed(words.bare_moment(at) for at in outlook.looks)
        yield words("power.looks", n=len(outlook.looks), times=times)
    if outlook.powers:
        yield words("power.title")
    yield from lines(outlook.powers, outlook.wanted, words)
    for skipped in plan.skipped:
        yield words(
            "cli.plan.skipped", vendor=skipped.vendor, scenario=skipped.scenario, why=skipped.because["because"]
        )


def lines(powers: Sequence[Power], wanted: Wanted, words: Words) -> Iterator[str]:
    """In sentences: what this plan tells apart, then what the wanted differences take."""
    for one in powers:
        about: dict[str, Value] = {"carrier": one.carrier, "messages": one.messages, "handsets": one.handsets}
        if one.now is None or one.rates is None or one.seconds is None:
            yield "  " + words.fill("power.too_few", {**about, "least": LEAST_HANDSETS})
            continue
        better = max(wanted.rates)
        if one.now.rate is None:
            yield "  " + words.fill("power.tells_nothing", {**about, "better_share": better})
        else:
            told = {**about, "better_share": better, "worse_share": one.now.rate, "ratio": one.now.ratio}
            yield "  " + words.fill("power.tells" if one.now.ratio is not None else "power.tells_rates", told)
        first, second = sorted(wanted.rates, reverse=True)
        yield from _need(one.rates, one, words, "rates", {"first_share": first, "second_share": second})
        quick, slow = sorted(wanted.seconds)
        yield from _need(one.seconds, one, words, "seconds", {"first_seconds": quick, "second_seconds": slow})


def _need(need: Need, power: Power, words: Words, kind: str, values: dict[str, Value]) -> Iterator[str]:
    if need.messages is None:
        yield "    " + words.fill(f"power.{kind}.never", {**values, "handsets": need.handsets})
        return
    if need.messages <= power.messages:
        yield "    " + words.fill(f"power.{kind}.enough", {**values, "needed": need.messages})
        return
    money = words("unknown") if need.money is None else words.money(need.money)
    told: dict[str, Value] = {
        **values, "needed": need.messages, "days_count": need.days, "phone_days_count": need.phone_days, "money": money,
    }  # fmt: skip
    yield "    " + words.fill(f"power.{kind}.takes" if need.days is not None else f"power.{kind}.no_room", told)
