"""Results of months made by hand: shares of carriers with their bases, quickly, for what compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.domain import Better, Carrier, Estimate, Scope, State, Unit
from harness.judge import stats
from harness.judge.result import Basis, Finding, MeasureInfo, Provenance, Result, RunInfo, VendorInfo

CARRIERS = (Carrier.CHINA_MOBILE.value, Carrier.CHINA_UNICOM.value, Carrier.CHINA_TELECOM.value)
MEASURES = {
    "arrival.rate": MeasureInfo(unit=Unit.SHARE, better=Better.HIGHER, criterion="arrival"),
    "acceptance.rate": MeasureInfo(unit=Unit.SHARE, better=Better.HIGHER, criterion="stability"),
    "missing_receipt.rate": MeasureInfo(unit=Unit.SHARE, better=Better.LOWER, criterion="arrival"),
    "latency.p50": MeasureInfo(unit=Unit.SECONDS, better=Better.LOWER, criterion="arrival"),
    "retention.days": MeasureInfo(unit=Unit.DAYS, better=Better.HIGHER, criterion="retention"),
}


def share(value: float, n_eff: float, n: int, **more: Any) -> Estimate:
    low, high = stats.wilson(value * n_eff, n_eff)
    plain = {"handsets": 20, "days": 7.0, "method": "wilson-n_eff", "scope": Scope.POPULATION}
    return Estimate(value=value, low=low, high=high, n=n, n_eff=n_eff, **{**plain, **more})


def seconds(value: float, n: int) -> Estimate:
    reach = np.exp(2.5 / np.sqrt(n))
    return Estimate(
        value=value, low=value / reach, high=value * reach, n=n, n_eff=float(n), handsets=20, days=7.0,
        method="woodruff-all-sent", scope=Scope.POPULATION,
    )  # fmt: skip


def days(value: float) -> Estimate:
    return Estimate(
        value=value, low=value, high=value, n=1, n_eff=1.0, handsets=None, days=None, method="counts",
        scope=Scope.VENDOR,
    )  # fmt: skip


def month(
    number: int,
    vendors: Mapping[str, Mapping[str, float] | float],
    *,
    n: int = 1800,
    deff: float = 2.0,
    seed: int | None = None,
    median: float = 4.0,
    missing: float = 0.02,
    kept_days: float = 190.0,
    evidence: int = 0,
    extra: int = 0,
) -> Result:
    """A month of vendors with true arrival rates by carrier; what is seen is drawn if there is a `seed`.

    `evidence`: case ids a finding; `extra`: findings by hour and the like that nobody compares.
    """
    rng = None if seed is None else np.random.default_rng([seed, number])
    findings: list[Finding] = []
    bases: list[Basis] = []
    cases = tuple(f"c{place:06d}" for place in range(evidence))
    for vendor, rates in vendors.items():

        def told(measure: str, estimate: Estimate, *, vendor: str = vendor, **slice: str) -> Finding:
            return Finding(
                vendor=vendor, measure=measure, slice=slice, state=State.MEASURED, estimate=estimate, evidence=cases
            )  # fmt: skip

        for carrier in CARRIERS:
            true = rates if isinstance(rates, float | int) else rates[carrier]
            n_eff = round(n / deff)
            seen = true if rng is None else rng.binomial(n_eff, true) / n_eff
            findings.append(told("arrival.rate", share(seen, n / 6, n), carrier=carrier))
            bases.append(
                Basis(
                    vendor=vendor,
                    measure="arrival.rate",
                    slice={"carrier": carrier},
                    hits=seen * n,
                    n=n,
                    handsets=20,
                    blocks=8,
                    per_handset=n / 20,
                    per_block=n / 8,
                    handset_deff=1.5,
                    block_deff=deff,
                    deff=deff + 0.5,
                )
            )
            findings.append(told("acceptance.rate", share(0.999, n / 3, n), carrier=carrier))
            findings.append(told("missing_receipt.rate", share(missing, n / 3, n), carrier=carrier))
            findings.append(told("latency.p50", seconds(median, n), carrier=carrier))
        findings.append(told("retention.days", days(kept_days)))
        findings += [told("arrival.rate", share(0.97, 50.0, 90), hour_band=f"{place}") for place in range(extra)]
    setups = {vendor: {"adapter": "acme", "standing": "verified", "endpoint": "e"} for vendor in vendors}
    return Result(
        run=RunInfo(
            id=f"r{number:03d}", evaluation="monthly", mode="sandbox", seed=1, ended=None, because="done", software="0",
            began=f"{2024 + (number - 1) // 12}-{(number - 1) % 12 + 1:02d}-05T01:00:00Z", evaluation_digest="e",
            plan_digest="p", ledger_facts=1, ledger_digest="d",
        ),
        vendors={
            vendor: VendorInfo(adapter="acme", name={"en": vendor}, standing="verified", capabilities=(), absent={})
            for vendor in vendors
        },
        measures=MEASURES, findings=tuple(findings), criteria=(), scorecards=(), gates=(), flips=(), funnels=(),
        curves=(), series=(), outages=(), reviews=(), codes=(), documents=(), skipped=(), warnings=(),
        method={"horizon_seconds": 3600.0, "report_horizon_seconds": 86_400.0}, panel={}, bases=tuple(bases),
        provenance=Provenance(
            scenarios={vendor: {"delivery": 3 * n} for vendor in vendors}, purposes=("verification",), days=7.0,
            hours="09:00-20:30", handsets={carrier: tuple(f"{carrier}{k}" for k in range(20)) for carrier in CARRIERS},
            setups=setups,
        ),
    )  # fmt: skip


def changed(result: Result, **parts: Any) -> Result:
    """The same month with parts of its provenance changed."""
    assert result.provenance is not None
    return replace(result, provenance=replace(result.provenance, **parts))
