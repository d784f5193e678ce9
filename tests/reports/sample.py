"""A rich, plausible result made by hand: four invented vendors and every section of the report filled.

Figures are drawn from a seeded generator and mean nothing; names are of no real company.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from math import exp, log, sqrt
from random import Random
from typing import Literal

from harness.domain import Better, Carrier, Estimate, Money, Purpose, Scope, State, Unit
from harness.judge.result import (
    Cell,
    CodeCount,
    Criterion,
    Curve,
    Document,
    Finding,
    Flip,
    Funnel,
    GateVerdict,
    Mark,
    MeasureInfo,
    Member,
    MemberScore,
    Note,
    Outage,
    Result,
    ReviewEntry,
    RunInfo,
    Scorecard,
    Series,
    SlaClause,
    SlaValue,
    VendorInfo,
)

APEX, QINGLUAN, WANLI, BEACON = VENDORS = ("apex", "qingluan", "wanli", "beacon")
NAMES = {
    APEX: {"zh-CN": "顶点短信", "en": "Apex SMS"},
    QINGLUAN: {"zh-CN": "青鸾云信", "en": "Qingluan"},
    WANLI: {"zh-CN": "万里通", "en": "Wanlitong"},
    BEACON: {"zh-CN": "小灯塔", "en": "Beacon"},
}
CARRIERS = (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM)
ARRIVAL = {APEX: 0.991, QINGLUAN: 0.986, WANLI: 0.944, BEACON: 0.968}
CLAIMED = {APEX: 0.993, QINGLUAN: 0.989, WANLI: 0.995, BEACON: 0.978}
MEDIAN = {APEX: 3.1, QINGLUAN: 4.2, WANLI: 6.4, BEACON: 8.8}
BEGAN = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAYS = 7
PER_CELL = 420
HORIZON = 600.0

_S, _H, _L, _N = Unit.SHARE, Better.HIGHER, Better.LOWER, Better.NEITHER
MEASURES: Mapping[str, MeasureInfo] = {
    id: MeasureInfo(unit=unit, better=better, criterion=criterion, kpi=kpi, denominator=denominator)
    for id, unit, better, criterion, denominator, kpi in (
        ("licence.attested", _S, _H, "licence", None, None),
        ("code_certificate.attested", _S, _H, "licence", None, None),
        ("sender.tri_network", _S, _H, "licence", "seen", None),
        ("stability.bad_hour", _S, _H, "stability", "accepted", None),
        ("stability.availability", _S, _H, "stability", "time", None),
        ("stability.outages", Unit.COUNT, _L, "stability", "week", None),
        ("duplicate.rate", _S, _L, "stability", "arrived", None),
        ("iso27001.attested", _S, _H, "encryption", None, None),
        ("tls.old_refused", _S, _H, "encryption", "probes", None),
        ("plain_http.refused", _S, _H, "encryption", "probes", None),
        ("replay.refused", _S, _H, "encryption", "probes", None),
        ("push.authenticated", _S, _H, "encryption", None, None),
        ("review.time.p50", Unit.SECONDS, _L, "review", None, None),
        ("review.within_5_min", _S, _H, "review", "reviews", None),
        ("review.feedback", _S, _H, "review", "rejections", None),
        ("review.correctness", _S, _H, "review", "decided", None),
        ("arrival.rate", _S, _H, "arrival", "accepted", "SMS completion failure ratio"),
        ("acceptance.rate", _S, _H, "arrival", "submitted", "SMS service non-accessibility"),
        ("delivery.rate", _S, _H, "arrival", "accepted", None),
        ("false_receipt.rate", _S, _L, "arrival", "delivered", None),
        ("missing_receipt.rate", _S, _L, "arrival", "arrived", "SMS receive confirmation failure ratio"),
        ("latency.p50", Unit.SECONDS, _L, "arrival", "accepted", "SMS end-to-end delivery time"),
        ("latency.p99", Unit.SECONDS, _L, "arrival", "accepted", "SMS end-to-end delivery time"),
        ("latency.within_60_s", _S, _H, "arrival", "accepted", None),
        ("content_filter.recall", _S, _H, "complaints", "faulty_texts", None),
        ("content_filter.false_alarm", _S, _L, "complaints", "harmless_texts", None),
        ("opt_out.honoured", _S, _H, "complaints", "opt_outs", None),
        ("inbound.rate", _S, _H, "complaints", "replies_sent", None),
        ("retention.contract", Unit.DAYS, _H, "retention", None, None),
        ("retention.days", Unit.DAYS, _H, "retention", None, None),
        ("record.completeness", _S, _H, "retention", "records_found", None),
        ("cost.per_arrived", Unit.CNY, _L, "cost", "arrived", None),
        ("billing.accuracy", _S, _H, "cost", "billed", None),
    )
}


def wilson(
    share: float, n: int, n_eff: float, *, handsets: int | None = 24, scope: Scope = Scope.POPULATION
) -> Estimate:
    z2 = 3.84
    centre = (share + z2 / n_eff / 2) / (1 + z2 / n_eff)
    reach = 1.96 * sqrt(share * (1 - share) / n_eff + z2 / (4 * n_eff**2)) / (1 + z2 / n_eff)
    return Estimate(
        value=share,
        low=max(0.0, centre - reach),
        high=min(1.0, centre + reach),
        n=n,
        n_eff=round(n_eff, 1),
        handsets=handsets,
        days=float(DAYS) if handsets else None,
        method="wilson-n_eff",
        scope=scope,
    )


def exact(value: float, *, n: int = 1, scope: Scope = Scope.VENDOR, method: str = "attested") -> Estimate:
    return Estimate(
        value=value, low=value, high=value, n=n, n_eff=float(n), handsets=None, days=None, method=method, scope=scope
    )


def spread(value: float, part: float, n: int, *, high: float | None = 0.0, handsets: int | None = 24) -> Estimate:
    return Estimate(
        value=value,
        low=value * (1 - part),
        high=value * (1 + part) if high == 0.0 else high,
        n=n,
        n_eff=n / 3,
        handsets=handsets,
        days=float(DAYS),
        method="aalen-johansen-jackknife",
        scope=Scope.PANEL,
    )


def sample() -> Result:
    """The document, the same at every call."""
    chance = Random(20260302)
    findings = _findings(chance)
    return Result(
        run=RunInfo(
            id="20260302-0900-3f9c",
            evaluation="2026-03 月度评测",
            mode="sandbox",
            seed=20260302,
            began=BEGAN.isoformat(),
            ended=(BEGAN + timedelta(days=DAYS)).isoformat(),
            because="done",
            software="smsbench 0.1.0",
            evaluation_digest=_digest("evaluation"),
            plan_digest=_digest("plan"),
            ledger_facts=61_482,
            ledger_digest=_digest("ledger"),
        ),
        vendors=_vendors(),
        measures=MEASURES,
        findings=findings,
        criteria=_criteria(),
        scorecards=_scorecards(),
        gates=_gates(),
        flips=_flips(),
        funnels=_funnels(),
        curves=_curves(chance),
        series=_series(chance),
        outages=_outages(),
        reviews=_reviews(chance),
        codes=_codes(),
        documents=_documents(),
        skipped=tuple(f for f in findings if f.state is State.NOT_OFFERED),
        sla=_sla(),
        warnings=(
            Note(id="warning.few_handsets", values={"carrier": "china_telecom", "n": 6, "needed": 8}),
            Note(id="warning.in_doubt", values={"vendor": APEX, "n": 2, "of_share": 0.0016}),
            Note(id="a_plugin_warning", values={"share": 0.25}),
        ),
        method={
            "level": 0.95,
            "blocks": 60,
            "least_handsets": 8,
            "floor_handset": 0.02,
            "horizon_seconds": 600,
            "report_horizon_seconds": 259200,
            "draws": 4000,
            "distinct_probability": 0.95,
            "open_drawn": "uniform",
        },
        panel={
            "handset": 24,
            "handset.china_mobile": 10,
            "handset.china_unicom": 8,
            "handset.china_telecom": 6,
            "ported": 3,
            "invalid": 12,
            "blocked": 6,
        },
    )


def _digest(of: str) -> str:
    return sha256(of.encode()).hexdigest()


def _vendors() -> dict[str, VendorInfo]:
    every = ("submits", "reads_pushes", "pulls_reports", "reviews_signatures", "reviews_templates", "finds_records")
    prices = {APEX: "0.0450", QINGLUAN: "0.0420", WANLI: "0.0320", BEACON: "0.0390"}
    return {
        vendor: VendorInfo(
            adapter=vendor,
            name=NAMES[vendor],
            standing="verified" if vendor == APEX else "sandboxed",
            capabilities=every if vendor != QINGLUAN else every[:3],
            absent={
                "checks_blacklist": {"kind": "not_offered", "because": "console only"},
                **(
                    {"reviews_templates": {"kind": "not_offered", "because": "console only"}}
                    if vendor == QINGLUAN
                    else {}
                ),
            },
            price=Money(amount=Decimal(prices[vendor])),
        )
        for vendor in VENDORS
    }


def _evidence(vendor: str, measure: str, n: int) -> tuple[str, ...]:
    start = int(sha256(f"{vendor}{measure}".encode()).hexdigest()[:6], 16) % 40_000
    return tuple(f"c{start + 7 * i:06d}" for i in range(min(n, 12)))


def _findings(chance: Random) -> tuple[Finding, ...]:
    found: list[Finding] = []

    def add(
        vendor: str,
        measure: str,
        estimate: Estimate | None,
        slice: Mapping[str, str] | None = None,
        *,
        state: State = State.MEASURED,
        reason: Note | None = None,
    ) -> None:
        count = estimate.n if estimate else 0
        found.append(
            Finding(
                vendor=vendor,
                measure=measure,
                slice=slice or {},
                state=state,
                estimate=estimate,
                reason=reason,
                evidence=_evidence(vendor, measure, count),
                evidence_count=count,
            )
        )

    def by_carrier(vendor: str, measure: str, share: float, of: int = PER_CELL, tilt: float = 0.35) -> None:
        add(vendor, measure, wilson(share, of * 3, of * 3 / 4.1))
        for place, carrier in enumerate(CARRIERS):
            there = min(1.0, max(0.0, share + (1 - place) * tilt * min(share, 1 - share)))
            add(vendor, measure, wilson(there, of, of / 2.6, handsets=10 - 2 * place), {"carrier": carrier.value})

    for vendor in VENDORS:
        bad = {APEX: 0.0, QINGLUAN: 0.002, WANLI: 0.051, BEACON: 0.011}[vendor]
        by_carrier(vendor, "arrival.rate", ARRIVAL[vendor])
        for purpose in Purpose:
            add(
                vendor,
                "arrival.rate",
                wilson(ARRIVAL[vendor] - 0.004 * len(purpose) / 10, PER_CELL, PER_CELL / 3),
                {"purpose": purpose.value},
            )
        by_carrier(vendor, "acceptance.rate", {APEX: 0.9995, QINGLUAN: 1.0, WANLI: 0.998, BEACON: 0.991}[vendor])
        by_carrier(vendor, "delivery.rate", CLAIMED[vendor])
        by_carrier(vendor, "false_receipt.rate", bad)
        by_carrier(vendor, "missing_receipt.rate", {APEX: 0.004, QINGLUAN: 0.012, WANLI: 0.003, BEACON: 0.05}[vendor])
        by_carrier(vendor, "duplicate.rate", 0.0012 if vendor != BEACON else 0.014)
        by_carrier(vendor, "latency.within_60_s", ARRIVAL[vendor] - 0.003 * MEDIAN[vendor])
        for carrier in (None, *CARRIERS):
            where = {"carrier": carrier.value} if carrier else {}
            slow = 1.0 + 0.2 * (CARRIERS.index(carrier) if carrier else 0)
            n = PER_CELL if carrier else 3 * PER_CELL
            add(vendor, "latency.p50", spread(MEDIAN[vendor] * slow, 0.08, n), where)
            if vendor == WANLI:
                lost = Estimate(
                    value=None,
                    low=48.0,
                    high=None,
                    n=n,
                    n_eff=n / 3,
                    handsets=10,
                    days=7.0,
                    method="aalen-johansen-jackknife",
                    scope=Scope.PANEL,
                )
                add(vendor, "latency.p99", lost, where)
            else:
                add(
                    vendor,
                    "latency.p99",
                    spread(MEDIAN[vendor] * 9, 0.3, n, high=None if vendor == BEACON else 0.0),
                    where,
                )
        by_carrier(
            vendor, "stability.availability", {APEX: 0.9994, QINGLUAN: 0.9988, WANLI: 0.971, BEACON: 0.995}[vendor]
        )
        by_carrier(vendor, "stability.bad_hour", ARRIVAL[vendor] - {WANLI: 0.17}.get(vendor, 0.012))
        add(
            vendor,
            "stability.outages",
            Estimate(
                value={WANLI: 3.0}.get(vendor, 0.0),
                low={WANLI: 0.6}.get(vendor, 0.0),
                high={WANLI: 8.8}.get(vendor, 3.7),
                n={WANLI: 3}.get(vendor, 0),
                n_eff=1.0,
                handsets=24,
                days=7.0,
                method="garwood",
                scope=Scope.PANEL,
            ),
        )
        attested = State.ATTESTED
        add(vendor, "licence.attested", exact(0.0 if vendor == BEACON else 1.0), state=attested)
        add(vendor, "code_certificate.attested", exact(1.0), state=attested)
        add(vendor, "sender.tri_network", wilson({QINGLUAN: 0.67}.get(vendor, 0.998), 1240, 300))
        if vendor == WANLI:
            missing = Note(id="reason.document_missing", values={"document": "iso27001"})
            add(vendor, "iso27001.attested", None, state=State.INSUFFICIENT, reason=missing)
        else:
            add(vendor, "iso27001.attested", exact(1.0), state=attested)
        add(vendor, "tls.old_refused", exact(0.0 if vendor == BEACON else 1.0, n=6, method="probe"))
        add(vendor, "plain_http.refused", exact(1.0 if vendor in (APEX, QINGLUAN) else 0.0, n=6, method="probe"))
        add(vendor, "replay.refused", exact(1.0 if vendor == APEX else 0.0, n=4, method="probe"))
        if vendor == BEACON:
            add(vendor, "push.authenticated", None, state=State.NOT_OFFERED, reason=Note(id="reason.no_pushes"))
        else:
            add(vendor, "push.authenticated", exact(1.0 if vendor == APEX else 0.0, method="documents"))
        if vendor == QINGLUAN:
            lacks = Note(id="reason.not_offered", values={"because": "console only"})
            for measure in ("review.time.p50", "review.within_5_min", "review.feedback", "review.correctness"):
                add(vendor, measure, None, state=State.NOT_OFFERED, reason=lacks)
        else:
            median = {APEX: 190.0, WANLI: 6300.0, BEACON: 2700.0}[vendor]
            for subject in (None, "signature", "template"):
                where = {"subject": subject} if subject else {}
                n = 6 if subject else 12
                add(vendor, "review.time.p50", spread(median, 0.7, n, handsets=None), where)
                add(
                    vendor,
                    "review.within_5_min",
                    wilson({APEX: 0.75}.get(vendor, 0.0), n, n, handsets=None, scope=Scope.CASES),
                    where,
                )
            add(
                vendor,
                "review.feedback",
                wilson({APEX: 1.0, WANLI: 0.25}.get(vendor, 0.5), 4, 4, handsets=None, scope=Scope.CASES),
            )
            add(
                vendor,
                "review.correctness",
                wilson({APEX: 1.0}.get(vendor, 0.8), 10, 10, handsets=None, scope=Scope.CASES),
            )
        add(
            vendor,
            "content_filter.recall",
            wilson({APEX: 0.9, WANLI: 0.4}.get(vendor, 0.75), 20, 20, handsets=None, scope=Scope.CASES),
        )
        add(
            vendor,
            "content_filter.false_alarm",
            wilson(0.05 if vendor != WANLI else 0.0, 40, 40, handsets=None, scope=Scope.CASES),
        )
        if vendor == BEACON:
            few = Note(id="reason.few_handsets", values={"handsets": 2, "needed": 4})
            add(vendor, "opt_out.honoured", None, state=State.INSUFFICIENT, reason=few)
        else:
            add(vendor, "opt_out.honoured", wilson({WANLI: 0.5}.get(vendor, 1.0), 4, 4, handsets=4, scope=Scope.CASES))
        add(vendor, "inbound.rate", wilson({BEACON: 0.6}.get(vendor, 0.98), 42, 30))
        add(vendor, "retention.contract", exact({APEX: 210.0, QINGLUAN: 180.0}.get(vendor, 90.0)), state=attested)
        window = {APEX: (30.0, 31.0), QINGLUAN: (3.0, 4.0), WANLI: (7.0, 14.0), BEACON: (60.0, 90.0)}[vendor]
        add(
            vendor,
            "retention.days",
            Estimate(
                value=window[0],
                low=window[0],
                high=window[1],
                n=18,
                n_eff=18,
                handsets=None,
                days=None,
                method="bracket",
                scope=Scope.VENDOR,
            ),
        )
        add(
            vendor,
            "record.completeness",
            wilson({APEX: 1.0}.get(vendor, 0.9), 30, 30, handsets=None, scope=Scope.CASES),
        )
        price = {APEX: 0.045, QINGLUAN: 0.042, WANLI: 0.032, BEACON: 0.039}[vendor] / ARRIVAL[vendor]
        add(vendor, "cost.per_arrived", spread(price, 0.012, 1260))
        add(vendor, "billing.accuracy", wilson(1.0 if vendor != WANLI else 0.93, 1260, 900, handsets=None))
    chance.random()
    return tuple(found)


_MEMBERS = {
    "licence": (("licence.attested", 2), ("code_certificate.attested", 2), ("sender.tri_network", 1)),
    "stability": (("stability.availability", 2), ("stability.bad_hour", 1), ("duplicate.rate", 1)),
    "encryption": (
        ("iso27001.attested", 2),
        ("tls.old_refused", 1),
        ("plain_http.refused", 1),
        ("replay.refused", 1),
        ("push.authenticated", 1),
    ),
    "review": (("review.time.p50", 1), ("review.within_5_min", 2), ("review.feedback", 1), ("review.correctness", 1)),
    "arrival": (("arrival.rate", 3), ("false_receipt.rate", 2), ("latency.within_60_s", 1)),
    "complaints": (
        ("content_filter.recall", 1),
        ("content_filter.false_alarm", 1),
        ("opt_out.honoured", 2),
        ("inbound.rate", 1),
    ),
    "retention": (("retention.contract", 2), ("retention.days", 2), ("record.completeness", 1)),
    "cost": (),
}
_SCALES = {
    "arrival.rate": ((0.9, 0.0), (0.95, 60.0), (0.99, 100.0)),
    "false_receipt.rate": ((0.0, 100.0), (0.01, 60.0), (0.05, 0.0)),
    "latency.within_60_s": ((0.8, 0.0), (0.95, 60.0), (0.99, 100.0)),
    "stability.availability": ((0.95, 0.0), (0.99, 60.0), (0.9995, 100.0)),
    "duplicate.rate": ((0.0, 100.0), (0.02, 0.0)),
    "review.time.p50": ((300.0, 100.0), (7200.0, 40.0), (86400.0, 0.0)),
    "retention.contract": ((30.0, 0.0), (180.0, 100.0)),
    "retention.days": ((0.0, 0.0), (180.0, 100.0)),
}


def _criteria() -> tuple[Criterion, ...]:
    weight = {"cost": 0.0, "arrival": 22.0, "stability": 18.0, "licence": 12.0}
    return tuple(
        Criterion(
            id=id,
            weight=weight.get(id, 12.0),
            members=tuple(
                Member(
                    measure=measure,
                    weight=float(points),
                    scale=_SCALES.get(measure, ((0.0, 0.0), (1.0, 100.0))),
                    per="carrier" if measure in ("arrival.rate", "false_receipt.rate") else None,
                    when_absent="floor" if measure == "review.time.p50" else "range",
                )
                for measure, points in members
            ),
            gates=("licence",) if id == "licence" else (),
        )
        for id, members in _MEMBERS.items()
    )


_MARKS: Mapping[str, Mapping[str, tuple[float | None, float, float, str]]] = {
    APEX: {
        "licence": (99.6, 98, 100, "both"),
        "stability": (96.2, 88, 99, "measured"),
        "encryption": (100.0, 100, 100, "both"),
        "review": (88.0, 71, 97, "measured"),
        "arrival": (98.1, 90, 100, "measured"),
        "complaints": (93.4, 78, 98, "measured"),
        "retention": (68.6, 66, 71, "both"),
    },
    QINGLUAN: {
        "licence": (93.4, 91, 95, "both"),
        "stability": (92.8, 83, 98, "measured"),
        "encryption": (66.7, 66.7, 66.7, "both"),
        "review": (None, 0, 100, "none"),
        "arrival": (93.7, 84, 98, "measured"),
        "complaints": (91.8, 77, 97, "measured"),
        "retention": (59.0, 57, 61, "both"),
    },
    WANLI: {
        "licence": (99.6, 98, 100, "both"),
        "stability": (31.4, 17, 49, "measured"),
        "encryption": (None, 16.7, 50, "measured"),
        "review": (28.2, 17, 45, "measured"),
        "arrival": (34.0, 24, 47, "measured"),
        "complaints": (67.1, 49, 82, "measured"),
        "retention": (35.8, 33, 41, "both"),
    },
    BEACON: {
        "licence": (59.6, 58, 60, "both"),
        "stability": (58.8, 45, 70, "measured"),
        "encryption": (33.3, 33.3, 33.3, "both"),
        "review": (41.5, 26, 58, "measured"),
        "arrival": (62.9, 52, 73, "measured"),
        "complaints": (None, 38, 79, "measured"),
        "retention": (51.3, 46, 60, "both"),
    },
}


def _marks(vendor: str) -> tuple[Mark, ...]:
    made = []
    for criterion, (score, low, high, source) in _MARKS[vendor].items():
        members = tuple(
            MemberScore(
                measure=measure,
                slice={},
                weight=float(points),
                score=score,
                low=float(low),
                high=float(high),
                state=State.MEASURED if source != "none" else State.NOT_OFFERED,
                source="none"
                if source == "none"
                else "attested"
                if "attested" in measure or "contract" in measure
                else "measured",
            )
            for measure, points in _MEMBERS[criterion]
        )
        why = Note(id="mark.complete", values={"n": len(members)})
        if score is None:
            gone = {"review": 4, "encryption": 1, "complaints": 1}[criterion]
            why = Note(
                id="mark.incomplete",
                values={"n": gone, "of": len(members), "measure": members[0].measure, "weight_share": 0.5},
            )
        made.append(
            Mark(
                criterion=criterion,
                score=score,
                low=float(low),
                high=float(high),
                state=State.MEASURED if score is not None else State.INSUFFICIENT,
                source=source,
                reason=why,  # type: ignore[arg-type]
                members=members,
                evidence=_evidence(vendor, criterion, 5),
            )
        )
    return tuple(made)


def _scorecards() -> tuple[Scorecard, ...]:
    def card(
        vendor: str,
        standing: str,
        overall: float | None,
        low: float,
        high: float,
        group: int | None,
        first: float | None,
        any_first: float | None,
        verdict: str,
        values: Mapping[str, object],
    ) -> Scorecard:
        return Scorecard(
            vendor=vendor,
            standing=standing,
            marks=_marks(vendor),
            overall=overall,
            low=low,
            high=high,
            group=group,  # type: ignore[arg-type]
            p_first=first,
            p_first_any_weights=any_first,
            possible_winner=group == 1,
            necessary_winner=False,
            verdict=Note(id=verdict, values={"vendor": vendor, **values}),  # type: ignore[dict-item]
            strengths=(
                _remark(vendor, "arrival.rate", ARRIVAL[vendor]),
                _remark(vendor, "billing.accuracy", 0.93 if vendor == WANLI else 1.0),
            ),
            weaknesses=(
                Note(id="remark.days", values={"measure": "retention.days", "value": 30.0}),
                Note(id="remark.not_offered", values={"measure": "push.authenticated"}),
            ),
        )

    iso = {"measure": "iso27001.attested", "gate": "iso27001.attested >= 1", "gates": 1}
    licence = {"measure": "licence.attested", "gate": "licence.attested >= 1", "gates": 1}
    return (
        card(APEX, "ranked", 92.6, 84.1, 95.7, 1, 0.81, 0.77, "verdict.level", {"others": 1, "p_first_share": 0.81}),
        card(
            QINGLUAN, "ranked", None, 70.9, 93.0, 1, 0.19, 0.22, "verdict.level", {"others": 1, "p_first_share": 0.19}
        ),
        card(
            WANLI,
            "conditional",
            None,
            32.1,
            58.0,
            2,
            0.0,
            0.001,
            "verdict.behind_conditional",
            {"group": 2, "leader": APEX} | iso,
        ),
        card(BEACON, "excluded", None, 42.0, 66.0, None, None, None, "verdict.excluded", licence),
    )


def _remark(vendor: str, measure: str, share: float) -> Note:
    estimate = wilson(share, 1260, 300)
    return Note(
        id="remark.share",
        values={
            "measure": measure,
            "value": share,
            "low": estimate.low or 0.0,
            "high": estimate.high or 1.0,
            "n": 1260,
        },
    )


def _gates() -> tuple[GateVerdict, ...]:
    share, lateness = {"threshold": 0.97}, {"measure": "latency.p99", "threshold": 60.0}
    arrival = {"measure": "arrival.rate", **share}
    told: Mapping[str, tuple[tuple[str, str, Mapping[str, str | float]], ...]] = {
        "licence.attested >= 1": tuple(_paper_gate("licence.attested", v != BEACON) for v in VENDORS),
        "iso27001.attested >= 1": tuple(
            ("not_shown", "reason.document_missing", {"document": "iso27001"})
            if v == WANLI
            else _paper_gate("iso27001.attested", True)
            for v in VENDORS
        ),
        "arrival.rate >= 0.97": (
            ("pass", "gate.clear", arrival | {"value": 0.991, "low": 0.973, "high": 0.997}),
            ("unclear", "gate.crosses", arrival | {"value": 0.986, "low": 0.966, "high": 0.994}),
            ("fail", "gate.beyond", arrival | {"value": 0.944, "low": 0.912, "high": 0.965}),
            ("unclear", "gate.crosses", arrival | {"value": 0.968, "low": 0.942, "high": 0.983}),
        ),
        "latency.p99 <= 60 s": (
            ("pass", "gate.clear", lateness | {"value": 27.9, "low": 19.5, "high": 36.3}),
            ("pass", "gate.clear", lateness | {"value": 37.8, "low": 26.5, "high": 49.1}),
            ("fail", "gate.beyond", lateness | {"low": 61.0}),
            ("unclear", "gate.crosses", lateness | {"value": 79.2, "low": 55.4}),
        ),
    }
    return tuple(
        GateVerdict(
            id=text,
            vendor=vendor,
            text=text,
            verdict=verdict,
            reason=Note(id=reason, values=values),  # type: ignore[arg-type]
            legal=text.startswith("licence"),
            evidence=_evidence(vendor, text, 3) if "attested" not in text else (),
        )
        for text, each in told.items()
        for vendor, (verdict, reason, values) in zip(VENDORS, each, strict=True)
    )


def _paper_gate(measure: str, valid: bool) -> tuple[str, str, Mapping[str, str | float]]:
    value = 1.0 if valid else 0.0
    values = {"measure": measure, "threshold": 1.0, "value": value, "low": value, "high": value, "n": 1}
    return "pass" if valid else "fail", "gate.clear" if valid else "gate.beyond", values


def _flips() -> tuple[Flip, ...]:
    return (
        Flip(
            leader=APEX, challenger=QINGLUAN, moved=14.5, changes={"licence": 14.5, "encryption": -9.0, "review": -5.5}
        ),
        Flip(leader=APEX, challenger=WANLI, moved=None, changes={}),
    )


def _funnels() -> tuple[Funnel, ...]:
    made = []
    for vendor in VENDORS:
        for carrier in (None, *CARRIERS):
            sent = PER_CELL if carrier else 3 * PER_CELL
            accepted = round(sent * {BEACON: 0.991}.get(vendor, 0.998))
            watched = round(accepted * 0.96)
            made.append(
                Funnel(
                    vendor=vendor,
                    carrier=carrier,
                    submitted=sent,
                    accepted=accepted,
                    in_doubt=2 if not carrier else 0,
                    reported=round(accepted * 0.995),
                    delivered=round(accepted * CLAIMED[vendor]),
                    watched=watched,
                    arrived=round(watched * ARRIVAL[vendor]),
                    replies_sent=14 if carrier else 42,
                    replied=round((14 if carrier else 42) * {BEACON: 0.6}.get(vendor, 0.98)),
                )
            )
    return tuple(made)


def _curves(chance: Random) -> tuple[Curve, ...]:
    made = []
    for vendor in VENDORS:
        for place, carrier in enumerate(CARRIERS):
            times = sorted(MEDIAN[vendor] * (1 + 0.2 * place) * exp(chance.gauss(0, 0.8)) for _ in range(PER_CELL))
            times = [t for t in times if t < HORIZON]
            points = tuple((round(t, 2), (i + 1) / PER_CELL * ARRIVAL[vendor]) for i, t in enumerate(times))
            made.append(Curve(vendor=vendor, carrier=carrier, purpose=None, points=points, n=PER_CELL, horizon=HORIZON))
    return tuple(made)


def _series(chance: Random) -> tuple[Series, ...]:
    made = []
    for vendor in VENDORS:
        for carrier in CARRIERS:
            codes = ["10690000" + ("8810" if vendor != QINGLUAN or carrier is CARRIERS[0] else "7702")]
            seen = tuple(Cell(key=code, estimate=None, n=410) for code in codes)
            made.append(Series(vendor=vendor, measure="sender.seen", along="sender", carrier=carrier, cells=seen))
            by_hour, along = [], []
            for hour in range(9, 21):
                rate = min(1.0, ARRIVAL[vendor] - 0.01 * abs(chance.gauss(0, 1)) - (0.02 if hour in (10, 20) else 0))
                by_hour.append(Cell(key=f"{hour:02d}", estimate=wilson(rate, 35, 30, handsets=10), n=35))
            for day in range(DAYS):
                for hour in range(9, 21):
                    down = vendor == WANLI and day == 3 and 13 <= hour < 17
                    rate = 0.2 if down else 1.0 if chance.random() < ARRIVAL[vendor] ** 4 else 0.8
                    key = f"2026-03-{2 + day:02d}T{hour:02d}"
                    empty = vendor == BEACON and day == 6 and hour > 15
                    along.append(
                        Cell(key=key, estimate=None if empty else wilson(rate, 5, 5, handsets=5), n=0 if empty else 5)
                    )
            made.append(
                Series(
                    vendor=vendor, measure="arrival.rate", along="hour_of_day", carrier=carrier, cells=tuple(by_hour)
                )
            )
            made.append(
                Series(vendor=vendor, measure="arrival.rate", along="hour", carrier=carrier, cells=tuple(along))
            )
    return tuple(made)


def _outages() -> tuple[Outage, ...]:
    began = datetime(2026, 3, 5, 5, 10, tzinfo=UTC)
    return (
        *(
            Outage(
                vendor=WANLI,
                carrier=carrier,
                began=began.isoformat(),
                ended=(began + timedelta(hours=3.6)).isoformat(),
                missed=16,
                sent=20,
                evidence=("c010233", "c010240"),
            )
            for carrier in CARRIERS
        ),
        Outage(
            vendor=BEACON,
            carrier=Carrier.CHINA_TELECOM,
            began="2026-03-08T11:20:00+00:00",
            ended=None,
            missed=4,
            sent=5,
            evidence=("c031002",),
        ),
    )


def _reviews(chance: Random) -> tuple[ReviewEntry, ...]:
    made = []
    for vendor, median in ((APEX, 3.2), (WANLI, 105.0), (BEACON, 45.0)):
        for i in range(12):
            faulty = i % 3 == 2
            is_open = vendor == WANLI and i in (4, 9)
            minutes = None if is_open else round(exp(log(median) + chance.gauss(0, 0.7)), 1)
            made.append(
                ReviewEntry(
                    vendor=vendor,
                    case=f"c09{VENDORS.index(vendor)}{i:03d}",
                    subject="signature" if i % 2 else "template",
                    fault="no_opt_out" if faulty else None,
                    submitted=(BEGAN + timedelta(hours=3 * i)).isoformat(),
                    minutes=minutes,
                    open_for=9000.0 if is_open else minutes or 0.0,
                    verdict=None if is_open else "rejected" if faulty else "approved",
                    reason="模板缺少退订方式，请补充“拒收请回复R”" if faulty and not is_open else "",
                    says_what=True if faulty and not is_open else None,
                )
            )
    return tuple(made)


def _codes() -> tuple[CodeCount, ...]:
    return (
        CodeCount(
            vendor=APEX, where="report", code="MK:0012", reason="frequency_cap", count=3, carrier=Carrier.CHINA_MOBILE
        ),
        CodeCount(vendor=APEX, where="submit", code="isv.BUSINESS_LIMIT", reason="frequency_cap", count=1),
        CodeCount(vendor=QINGLUAN, where="report", code="UNDELIV", reason="unreachable", count=9),
        CodeCount(
            vendor=WANLI, where="report", code="EX:9901", reason="unmapped", count=14, carrier=Carrier.CHINA_TELECOM
        ),
        CodeCount(vendor=BEACON, where="submit", code="E-SIGN-77", reason="unmapped", count=11),
    )


def _documents() -> tuple[Document, ...]:
    def paper(vendor: str, kind: str, until: str | None, verdict: str, reason: Note | None = None) -> Document:
        there = verdict != "missing"
        return Document(
            vendor=vendor,
            kind=kind,
            number=f"B2-2024{VENDORS.index(vendor)}017" if there else "",
            holder=NAMES[vendor]["zh-CN"] + "科技有限公司" if there else "",
            scope="全国" if there else "",
            valid_until=until,
            checked_by="采购部 李明" if there else "",
            checked_on="2026-02-26" if there else "",
            file_digest=_digest(vendor + kind) if there else "",
            verdict=verdict,
            reason=reason,  # type: ignore[arg-type]
        )

    papers = []
    for vendor in VENDORS:
        papers.append(
            paper(
                vendor,
                "licence",
                "2026-01-31" if vendor == BEACON else "2029-06-30",
                "expired" if vendor == BEACON else "valid",
            )
        )
        papers.append(paper(vendor, "code_certificate", "2028-12-31", "valid"))
        papers.append(
            paper(
                vendor, "iso27001", None if vendor == WANLI else "2027-09-14", "missing" if vendor == WANLI else "valid"
            )
        )
    return tuple(papers)


# --- contracts -------------------------------------------------------------------------------------------------------


def _sla() -> tuple[SlaClause, ...]:
    """A clause that is kept, one that voids itself, and one that nobody can read."""
    tencent = {
        "counts": "not_failed", "of": "accepted", "threshold": 0.95, "exclude": ("invalid_number", "unreachable"),
        "tiers": ((0.95, 0.1), (0.9, 0.3)), "fee": Money(amount=Decimal("12000")),
    }  # fmt: skip
    return (
        SlaClause(
            vendor=APEX, contract="DD-2026-01", counted=1240, excluded=18, contradicted=3, **tencent,
            values=(_sla_value("reports", 0.993, "met"), _sla_value("handsets", 0.951, "unclear")),
        ),
        SlaClause(
            vendor=WANLI, contract="WL-2026-88", counted=1238, void_if=("tri_network_code", "fixed_code"),
            void_seen=("tri_network_code",), within=60.0, **tencent,
            values=(
                _sla_value("reports", 0.995, "met"),
                SlaValue(
                    basis="handsets", state=State.INSUFFICIENT, verdict="unknown",
                    reason=Note(id="reason.no_messages"),
                ),
            ),
        ),
        SlaClause(
            vendor=QINGLUAN, contract="", reason=Note(id="sla.unreadable", values={"problem": "formula: is missing"})
        ),
    )  # fmt: skip


def _sla_value(basis: Literal["reports", "handsets"], share: float, verdict: Literal["met", "unclear"]) -> SlaValue:
    low = {"met": 0.0, "unclear": 0.1}[verdict]
    return SlaValue(
        basis=basis, state=State.MEASURED, verdict=verdict, estimate=wilson(share, 1240, 420.0, handsets=24),
        due=0.0, due_low=0.0, due_high=low, evidence=("c000017", "c000231"), evidence_count=9,
    )  # fmt: skip
