"""Evaluation + scenarios + seed → cases: what will be asked of whom, when, and what it may cost at most.

Pure and repeatable: the same evaluation and seed give the same plan, case for case. Nothing is sent here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from harness import text
from harness.capabilities import Capability, Manifest, capabilities_of
from harness.clock import Chance
from harness.codec import canonical_json, to_plain
from harness.config import Evaluation, duration
from harness.content import TOKEN_VARIABLE, SampleText, shipped_texts
from harness.domain import (
    BEIJING,
    Case,
    Draft,
    Hours,
    Money,
    Purpose,
    Recipient,
    RecipientKind,
    ReviewDraft,
    campaign_window,
)
from harness.errors import Complaint, ConfigError
from harness.facts import CaseSkipped
from harness.run.board import Contestant, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done. `ceiling`: the most it may cost; `messages`: the most that may be sent, by vendor."""

    seed: int
    cases: tuple[Case, ...]
    skipped: tuple[CaseSkipped, ...]
    ceiling: Mapping[str, Money | None]  # by vendor; None: no price agreed
    messages: Mapping[str, int]
    digest: str

    @property
    def total_ceiling(self) -> Money:
        known = [money.amount for money in self.ceiling.values() if money]
        return Money(amount=sum(known, Decimal(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """When a run may be left off early, planned beforehand.

    `planned`: visits (pairs of any two vendors) by carrier; `at`: the looks, the last of them when everything is in.
    """

    planned: Mapping[str, int]
    at: tuple[datetime, ...]


LOOKS: Final = 5
LEAST_HANDSETS: Final = 5  # a carrier with fewer is not looked at: there is nothing to say of it
STOPPABLE: Final = frozenset({"delivery"})  # scenarios whose visits compare vendors


def looks_of(cases: Iterable[Case], horizon: timedelta) -> Looks | None:
    """Five looks, each when its fifth of every carrier's visits has been watched to its horizon; None: no visits."""
    visits: dict[str, dict[str, datetime]] = {}
    phones: dict[str, set[str]] = {}
    for case in cases:
        carrier = case.slices.get("carrier")
        if case.visit and carrier and case.scenario in STOPPABLE and case.slices.get("kind") == RecipientKind.HANDSET:
            of_carrier = visits.setdefault(carrier, {})
            of_carrier[case.visit] = max(case.due, of_carrier.get(case.visit, case.due))
            phones.setdefault(carrier, set()).add(case.recipient or "")
    ends = {
        carrier: sorted(found.values())
        for carrier, found in sorted(visits.items())
        if len(phones[carrier]) >= LEAST_HANDSETS
    }
    if not ends:
        return None
    at = tuple(
        max(found[-(-len(found) * look // LOOKS) - 1] for found in ends.values()) + horizon
        for look in range(1, LOOKS + 1)
    )
    return Looks(planned={carrier: len(found) for carrier, found in ends.items()}, at=at)


def hour_band(moment: datetime) -> str:
    """The hour of day in Beijing: "09"."""
    return f"{moment.astimezone(BEIJING).hour:02d}"


@dataclass(slots=True)
class Briefing:
    """What one scenario makes its cases from. See `harness.run.board.Brief`."""

    evaluation: Evaluation
    contestants: Sequence[Contestant]
    settings: Mapping[str, str]
    begins: datetime
    scenario: str
    chance: Random
    tokens: dict[str, set[str]] = field(default_factory=dict)  # shared by all scenarios: unique per recipient
    references: set[str] = field(default_factory=set)

    @property
    def recipients(self) -> Sequence[Recipient]:
        return self.evaluation.recipients

    @property
    def span(self) -> timedelta:
        return self.evaluation.lasts

    @property
    def hours(self) -> Hours:
        return self.evaluation.hours

    @property
    def purposes(self) -> Sequence[Purpose]:
        return self.evaluation.purposes

    @property
    def horizon(self) -> timedelta:
        return self.evaluation.horizon

    @property
    def report_horizon(self) -> timedelta:
        return self.evaluation.report_horizon

    @property
    def gap(self) -> timedelta:
        return self.evaluation.caps.gap

    @property
    def per_day(self) -> int:
        return self.evaluation.caps.per_day

    def number(self, name: str, default: int) -> int:
        raw = self.settings.get(name)
        if raw is None:
            return default
        if not re.fullmatch(r"[0-9]{1,7}", raw):
            raise self._wrong(name, raw, f"Write a whole number below ten million, or leave it out for {default}.")
        return int(raw)

    def duration(self, name: str, default: timedelta) -> timedelta:
        raw = self.settings.get(name)
        try:
            return default if raw is None else duration(raw)
        except ValueError as error:
            raise self._wrong(name, str(raw), str(error)) from error

    def _wrong(self, name: str, raw: str, way_out: str) -> ConfigError:
        place = self.evaluation.located.place(("scenarios", self.scenario, name))
        return ConfigError([Complaint(place=place, problem=f"got {raw!r}", way_out=way_out)])

    def texts(self, purpose: Purpose) -> Sequence[str]:
        samples = shipped_texts().values()
        return [one.id for one in samples if one.kind == "compliant" and one.purpose is purpose and not one.is_long]

    def sample(self, content: str) -> SampleText:
        return shipped_texts()[content]

    def samples(self, kind: str) -> Sequence[SampleText]:
        return [one for one in shipped_texts().values() if one.kind == kind]

    def draft(self, vendor: str, content: str, recipient: Recipient) -> Draft:
        sample, account = shipped_texts()[content], self.evaluation.vendors[vendor]
        token = self._token(recipient, digits=sample.purpose is Purpose.VERIFICATION)
        body = text.signed(text.fill(sample.text, {TOKEN_VARIABLE: token}), account.signature)
        return Draft(
            purpose=sample.purpose,
            signature=account.signature,
            template=account.templates.get(content),
            parameters={TOKEN_VARIABLE: token},
            text=body,
            token=token,
            reference=self._reference(),
            segments=text.billed_segments(body),
            content=content,
        )

    def _token(self, recipient: Recipient, *, digits: bool) -> str:
        taken = self.tokens.setdefault(recipient.id, set())
        while (token := text.new_token(self.chance, digits=digits)) in taken:
            continue
        taken.add(token)
        return token

    def _reference(self) -> str:
        while (reference := f"s{self.chance.getrandbits(56):014x}") in self.references:
            continue
        self.references.add(reference)
        return reference

    def case(
        self,
        scenario: str,
        vendor: str,
        due: datetime,
        *,
        recipient: Recipient | None = None,
        drafts: Sequence[Draft] = (),
        visit: str = "",
        task: Mapping[str, str] | None = None,
        review: ReviewDraft | None = None,
    ) -> Case:
        slices = {"hour_band": hour_band(due)}
        if window := campaign_window(due):
            slices["campaign_window"] = window
        if recipient is not None:
            slices |= {
                "carrier": recipient.carrier.value,
                "ported": "yes" if recipient.is_ported else "no",
                "kind": recipient.kind.value,
            }
            if recipient.province:
                slices["province"] = recipient.province
            slices |= {f"tag.{key}": value for key, value in sorted(recipient.tags.items())}
        if drafts:
            slices["purpose"] = drafts[0].purpose.value
        return Case(
            id="",
            vendor=vendor,
            scenario=scenario,
            due=due,
            recipient=recipient.id if recipient else None,
            drafts=tuple(drafts),
            review=review,
            slices=slices,
            visit=visit,
            task=dict(task or {}),
        )

    def within_hours(self, moment: datetime) -> datetime:
        return next_allowed(moment, self.hours)


def next_allowed(moment: datetime, hours: Hours) -> datetime:
    """The moment, or the next begin of the hours after it."""
    local = moment.astimezone(BEIJING)
    if local.time() < hours.begin:
        return local.replace(hour=hours.begin.hour, minute=hours.begin.minute, second=0, microsecond=0)
    if local.time() >= hours.end:
        tomorrow = local + timedelta(days=1)
        return tomorrow.replace(hour=hours.begin.hour, minute=hours.begin.minute, second=0, microsecond=0)
    return moment


def contestants(evaluation: Evaluation, vendors: Mapping[str, Any]) -> list[Contestant]:
    """The vendors as scenarios may know them."""
    result = []
    for label, vendor in vendors.items():
        manifest: Manifest = vendor.manifest
        account = evaluation.vendors[label]
        contents = frozenset(account.templates) if manifest.by_template else frozenset(shipped_texts())
        result.append(
            Contestant(
                label=label,
                capabilities=capabilities_of(vendor),
                by_template=manifest.by_template,
                contents=contents,
            )
        )
    return result


def make_plan(
    evaluation: Evaluation,
    vendors: Mapping[str, Any],
    scenarios: Mapping[str, Scenario],
    *,
    seed: int,
    begins: datetime,
) -> Plan:
    """The plan of an evaluation.

    Args:
        vendors: label → vendor object.
        scenarios: those the evaluation names, in its order.
        seed: of all chance in the plan.
        begins: first instant, UTC.

    Raises:
        ConfigError: a scenario's setting makes no sense, or the plan breaks a limit.
    """
    field_of = contestants(evaluation, vendors)
    chance = Chance(seed)
    tokens: dict[str, set[str]] = {}
    references: set[str] = set()
    cases: list[Case] = []
    skipped: list[CaseSkipped] = []
    for name, settings in evaluation.scenarios.items():
        scenario = scenarios[name]
        able = []
        for contestant in field_of:
            if missing := scenario.needs - contestant.capabilities:
                skipped.append(_skip(name, contestant.label, missing, vendors[contestant.label].manifest))
            else:
                able.append(contestant)
        briefing = Briefing(
            evaluation=evaluation,
            contestants=able,
            settings=settings,
            begins=begins,
            scenario=name,
            chance=chance.stream("drafts", name),
            tokens=tokens,
            references=references,
        )
        cases += scenario.cases(briefing, chance.stream("scenario", name))
    cases.sort(key=lambda case: (case.due, case.scenario, case.vendor, case.recipient or ""))
    numbered = tuple(replace(case, id=f"c{number:06d}") for number, case in enumerate(cases, 1))
    return _sum_up(evaluation, seed, numbered, skipped)


def _skip(scenario: str, label: str, missing: frozenset[Capability], manifest: Manifest) -> CaseSkipped:
    first = min(missing)
    absence = manifest.absent.get(first)
    because = {"kind": absence.kind, "because": absence.because} if absence else {"kind": "unknown", "because": ""}
    return CaseSkipped(vendor=label, scenario=scenario, missing=tuple(sorted(missing)), because=because)


def _sum_up(evaluation: Evaluation, seed: int, cases: tuple[Case, ...], skipped: list[CaseSkipped]) -> Plan:
    messages = {label: 0 for label in evaluation.vendors}
    segments = {label: 0 for label in evaluation.vendors}
    for case in cases:
        messages[case.vendor] += len(case.drafts)
        segments[case.vendor] += sum(draft.segments for draft in case.drafts)
    ceiling: dict[str, Money | None] = {}
    for label, account in evaluation.vendors.items():
        price = account.price
        ceiling[label] = Money(amount=price.amount * segments[label], currency=price.currency) if price else None
    digest = hashlib.sha256(canonical_json([to_plain(case) for case in cases])).hexdigest()
    plan = Plan(seed=seed, cases=cases, skipped=tuple(skipped), ceiling=ceiling, messages=messages, digest=digest)
    complaints = list(_over_limits(evaluation, plan))
    if complaints:
        raise ConfigError(complaints)
    return plan


def _over_limits(evaluation: Evaluation, plan: Plan) -> Iterator[Complaint]:
    total = sum(plan.messages.values())
    if total > evaluation.message_limit:
        yield Complaint(
            place=evaluation.located.place(("message_limit",)),
            problem=f"the plan has {total} messages, the limit is {evaluation.message_limit}",
            way_out="Raise message_limit, or plan fewer messages.",
        )
    if plan.total_ceiling.amount > evaluation.spend_limit.amount:
        yield Complaint(
            place=evaluation.located.place(("spend_limit",)),
            problem=f"the plan may cost {plan.total_ceiling.amount} CNY, the limit is {evaluation.spend_limit.amount}",
            way_out="Raise spend_limit, or plan fewer messages.",
        )
