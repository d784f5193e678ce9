"""Evaluation, scenarios and seed make the plan, and always the same one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from harness import registry
from harness.capabilities import Account, Capability, NotOffered, Tools
from harness.config import Evaluation, load_evaluation
from harness.domain import BEIJING, Hours, Money, Purpose, campaign_window
from harness.errors import ConfigError
from harness.run.plan import Briefing, Plan, hour_band, make_plan, next_allowed
from tests.harness.given import ENVIRONMENT, EVALUATION, NOW, evaluation, write

BEGINS = NOW.replace(hour=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluation(tmp_path_factory.mktemp("evaluation"))


def vendors_of(whole: Evaluation):
    tools = Tools(now=lambda: NOW, nonce=lambda: "0" * 32)
    return {
        label: registry.vendor_class(one.use)(
            Account(label=label, credentials=one.credentials, signature=one.signature), tools
        )
        for label, one in whole.vendors.items()
    }


def planned(whole: Evaluation, *, seed: int = 1, **changes) -> Plan:
    whole = replace(whole, **changes)
    scenarios = {name: registry.scenario(name) for name in whole.scenarios}
    return make_plan(whole, vendors_of(whole), scenarios, seed=seed, begins=BEGINS)


EVERYTHING = {
    "delivery": {"messages": "30"},
    "review": {},
    "blacklist": {"messages": "4"},
    "retention": {},
    "transport": {},
    "long_text": {"messages": "3"},
}


def test_the_same_seed_gives_the_same_plan_case_for_case(whole):
    first, again = planned(whole, scenarios=EVERYTHING), planned(whole, scenarios=EVERYTHING)
    assert first == again
    assert first.digest == again.digest
    assert planned(whole, scenarios=EVERYTHING, seed=2).digest != first.digest


def test_a_scenario_more_moves_no_token_of_the_others(whole):
    alone = planned(whole, scenarios={"delivery": {"messages": "30"}})
    beside = planned(whole, scenarios={"review": {}, **EVERYTHING})
    drafts = {draft.reference: draft for case in beside.cases for draft in case.drafts}
    same = [draft for case in alone.cases for draft in case.drafts if drafts.get(draft.reference) == draft]
    assert len(same) == sum(len(case.drafts) for case in alone.cases)


def test_cases_are_numbered_in_the_order_they_are_due(whole):
    plan = planned(whole, scenarios=EVERYTHING)
    assert [case.due for case in plan.cases] == sorted(case.due for case in plan.cases)
    assert [case.id for case in plan.cases] == [f"c{number:06d}" for number in range(1, len(plan.cases) + 1)]


def test_tokens_and_references_are_unique_where_they_must_be(whole):
    plan = planned(whole, scenarios=EVERYTHING)
    drafts = [(case, draft) for case in plan.cases for draft in case.drafts]
    assert len({draft.reference for _, draft in drafts}) == len(drafts)
    assert len({(case.recipient, draft.token) for case, draft in drafts}) == len(drafts)
    for case, draft in drafts:
        assert draft.token in draft.text
        assert draft.text.startswith("【某某科技】")
        assert draft.token.isdigit() == (draft.purpose is Purpose.VERIFICATION), case


def test_a_plan_holds_no_number_and_no_secret(whole):
    text = repr(planned(whole, scenarios=EVERYTHING))
    assert not re.search(r"1[3-9]\d0000\d{4}", text)
    assert not any(value in text for value in ENVIRONMENT.values())


def test_slices_say_where_a_case_belongs(whole):
    plan = planned(whole, scenarios={"delivery": {"messages": "40"}})
    people = {one.id: one for one in whole.recipients}
    for case in plan.cases:
        person = people[case.recipient]
        assert case.slices["carrier"] == person.carrier
        assert case.slices["ported"] == "no"
        assert case.slices["purpose"] == case.drafts[0].purpose
        assert case.slices["hour_band"] == f"{case.due.astimezone(BEIJING).hour:02d}"
        assert case.slices.get("campaign_window") == campaign_window(case.due)
        assert case.slices.get("tag.age_band") == person.tags.get("age_band")


@pytest.mark.parametrize(
    ("moment", "window"),
    [
        ("2026-03-02 10:00", "workday_morning"),
        ("2026-03-02 11:29", "workday_morning"),
        ("2026-03-02 09:59", None),
        ("2026-03-02 11:30", None),
        ("2026-03-07 10:30", None),  # a Saturday
        ("2026-03-06 16:00", "friday_afternoon"),
        ("2026-03-05 16:00", None),  # a Thursday
        ("2026-03-06 17:30", None),
    ],
)
def test_campaign_windows_are_workday_mornings_and_friday_afternoons_in_beijing(moment, window):
    local = datetime.fromisoformat(moment).replace(tzinfo=BEIJING)
    assert campaign_window(local) == window
    assert hour_band(local) == moment[11:13]


class Mute:
    """A vendor that sends, and can do nothing else."""

    def __init__(self, manifest) -> None:
        absent = {one: NotOffered(f"no {one} here") for one in Capability if one is not Capability.SUBMITS}
        self.manifest = replace(manifest, absent=absent)

    def submit(self, message):
        yield


def test_a_vendor_that_lacks_what_a_scenario_needs_is_skipped_with_its_reason(whole):
    names = ("delivery", "statistics", "retention", "review")
    whole = replace(whole, scenarios={name: {} for name in names})
    vendors = vendors_of(whole)
    vendors["ali"] = Mute(vendors["ali"].manifest)
    scenarios = {name: registry.scenario(name) for name in names}
    plan = make_plan(whole, vendors, scenarios, seed=1, begins=BEGINS)
    lacking = [name for name in names if scenarios[name].needs - {Capability.SUBMITS}]
    assert lacking, "some scenario needs more than sending, or this test says nothing"
    assert [one.scenario for one in plan.skipped if one.vendor == "ali"] == lacking
    for one in plan.skipped:
        assert set(one.missing) == scenarios[one.scenario].needs - {Capability.SUBMITS}
        assert one.because == {"kind": "not_offered", "because": f"no {one.missing[0]} here"}
    assert not {case.scenario for case in plan.cases if case.vendor == "ali"} & set(lacking)


def test_the_ceiling_is_the_most_it_may_cost(whole):
    plan = planned(whole)
    for label, account in whole.vendors.items():
        drafts = [draft for case in plan.cases if case.vendor == label for draft in case.drafts]
        assert plan.messages[label] == len(drafts)
        assert plan.ceiling[label] == Money(amount=account.price.amount * sum(draft.segments for draft in drafts))
    assert plan.total_ceiling.amount == sum(money.amount for money in plan.ceiling.values())


def test_without_a_price_there_is_no_ceiling_rather_than_none_to_pay(whole):
    accounts = {label: replace(one, price=None) for label, one in whole.vendors.items()}
    assert set(planned(whole, vendors=accounts).ceiling.values()) == {None}


def test_a_plan_over_its_limits_is_refused_with_figures(whole):
    with pytest.raises(ConfigError) as caught:
        planned(whole, message_limit=3, spend_limit=Money(amount=Decimal("0.01")))
    told = str(caught.value)
    assert "messages, the limit is 3" in told
    assert "CNY, the limit is 0.01" in told
    assert len(caught.value.complaints) == 2


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "²", "99999999999", ""])
def test_a_number_that_is_none_is_refused_with_its_line(tmp_path, value):
    text = EVALUATION.replace("{messages: 12}", f"{{messages: '{value}'}}")
    whole = load_evaluation(write(tmp_path, text), ENVIRONMENT)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "messages" in one)
    with pytest.raises(ConfigError, match=f"line {line}: scenarios.delivery.messages"):
        planned(whole)


@pytest.mark.parametrize("value", ["soon", "3", "99999999999999 days"])
def test_a_duration_that_is_none_is_refused(whole, value):
    brief = Briefing(
        evaluation=whole, contestants=[], settings={"over": value}, begins=BEGINS, scenario="delivery", chance=Random(1)
    )
    with pytest.raises(ConfigError, match=r"scenarios\.delivery\.over"):
        brief.duration("over", whole.lasts)


@hypothesis_given(st.integers(0, 365 * 86_400 - 1), st.times(), st.times())
def test_the_next_allowed_moment_is_within_hours_and_never_earlier(second, one, other):
    begin, end = sorted([one.replace(second=0, microsecond=0), other.replace(second=0, microsecond=0)])
    if begin == end:
        return
    moment = BEGINS.astimezone(BEIJING) + timedelta(seconds=second)
    allowed = next_allowed(moment, Hours(begin=begin, end=end))
    assert allowed >= moment
    assert begin <= allowed.astimezone(BEIJING).time() < end
    assert (allowed - moment).days < 1
    assert next_allowed(allowed, Hours(begin=begin, end=end)) == allowed


def test_the_plan_of_starting_files_can_be_made(tmp_path: Path):
    """What a newcomer begins with makes a plan, once its numbers and secrets are their own."""
    for name in ("evaluation.yaml", "recipients.csv", "forwarders.yaml", "dossier.yaml"):
        text = registry.starter_file(name).replace("mode: live ", "mode: sandbox ")
        (tmp_path / name).write_text(text, encoding="utf-8")
    names = "ALI_KEY ALI_SECRET YUNPIAN_KEY PHONE_001_SECRET PHONE_002_SECRET PHONE_002_PASSWORD PHONE_003_SECRET"
    whole = load_evaluation(tmp_path / "evaluation.yaml", dict.fromkeys(names.split(), "value"))
    try:
        plan = planned(whole)
    except ConfigError as error:  # two or three phones take no six hundred messages: it says so
        assert all(one.place.startswith("evaluation.yaml, line") for one in error.complaints)
    else:
        assert plan.cases
