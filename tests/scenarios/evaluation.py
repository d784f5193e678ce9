"""A small evaluation to make cases from: phones of three carriers, testers, spares, numbers to leave alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from harness import registry
from harness.capabilities import Capability
from harness.config import Evaluation, load_evaluation
from harness.content import shipped_texts
from harness.domain import BEIJING, Case
from harness.run.board import Contestant
from harness.run.plan import Briefing

BEGINS = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # a Monday, 09:00 in Beijing
CARRIERS = ("china_mobile", "china_unicom", "china_telecom")
IDS = (
    "delivery",
    "soak",
    "long_text",
    "review",
    "content_filter",
    "blacklist",
    "opt_out",
    "retention",
    "statistics",
    "transport",
)


@cache
def evaluation(
    *,
    phones: int = 9,
    testers: int = 3,
    spares: int = 4,
    lasts: str = "7 days",
    hours: str = "09:00-20:30",
    purposes: str = "verification, notification, marketing",
    vendors: int = 4,
) -> Evaluation:
    rows = ["id,number,carrier,kind,consent_by,consent_on,forwarder,spare,tester"]
    forwarders = []

    def person(name: str, kind: str = "handset", *, spare: bool = False, tester: bool = False) -> None:
        place = len(rows)
        forwarder = f"fwd-{name}" if kind == "handset" else ""
        if forwarder:
            forwarders.append(f"  {forwarder}: {{app: smsforwarder, secret: $S}}")
        flags = f"{'yes' if spare else 'no'},{'yes' if tester else 'no'}"
        carrier = CARRIERS[place % 3]
        rows.append(f"{name},1380000{place:04d},{carrier},{kind},owner,2026-01-05,{forwarder},{flags}")

    for number in range(phones):
        person(f"phone-{number}", tester=number < testers)
    for number in range(spares):
        person(f"spare-{number}", spare=True, tester=number % 2 == 0)
    for kind in ("blocked", "invalid", "opted_out", "unreachable"):
        person(f"{kind}-1", kind)
        person(f"{kind}-2", kind, tester=True)
    accounts = "\n".join(
        f"  v{number}: {{use: acme, signature: 某某科技, account: {{key: $S}}, price: 0.04 CNY}}"
        for number in range(vendors)
    )
    text = "\n".join(
        [
            "evaluation: check",
            "begins: 2026-03-02 09:00",
            f"lasts: {lasts}",
            f"hours: {hours}",
            f"purposes: [{purposes}]",
            "recipients: recipients.csv",
            "forwarders:",
            *forwarders,
            "vendors:",
            accounts,
            "scenarios:",
            "  delivery: {messages: 10}",
        ]
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recipients.csv").write_text("\n".join(rows), encoding="utf-8")
        (folder / "evaluation.yaml").write_text(text, encoding="utf-8")
        return load_evaluation(folder / "evaluation.yaml", {"S": "x"})


def contestant(label: str, *, lacks: Sequence[str] = (), can: frozenset[Capability] | None = None) -> Contestant:
    return Contestant(
        label=label,
        capabilities=frozenset(Capability) if can is None else can,
        by_template=bool(lacks),
        contents=frozenset(shipped_texts()) - set(lacks),
    )


def briefing(
    scenario: str,
    settings: Mapping[str, str] | None = None,
    *,
    within: Evaluation | None = None,
    contestants: Sequence[Contestant] | None = None,
    seed: int = 1,
) -> Briefing:
    within = within or evaluation()
    return Briefing(
        evaluation=within,
        contestants=[contestant(label) for label in within.vendors] if contestants is None else contestants,
        settings=settings or {},
        begins=within.begins or BEGINS,
        scenario=scenario,
        chance=Random(seed),
    )


def cases_of(scenario: str, settings: Mapping[str, str] | None = None, *, seed: int = 1, **more: object) -> list[Case]:
    brief = briefing(scenario, settings, seed=seed, **more)  # type: ignore[arg-type]
    return list(registry.scenario(scenario).cases(brief, Random(seed)))


def visits_of(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases by visit, each visit in order of time."""
    visits = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.due):
        visits[case.visit].append(case)
    return visits


def in_hours(moment: datetime, begin: time = time(9), end: time = time(20, 30)) -> bool:
    return begin <= moment.astimezone(BEIJING).time() < end


def gaps_per_phone(cases: Sequence[Case]) -> list[timedelta]:
    """Times between one message and the next to the same phone, all vendors together."""
    times = defaultdict(list)
    for case in cases:
        times[case.recipient].append(case.due)
    gaps = []
    for moments in times.values():
        moments.sort()
        gaps += [later - earlier for earlier, later in pairwise(moments)]
    return gaps
