"""Calibration through the whole pipe: worlds with random truths, each played by the engine and judged from its ledger.

Plan → engine → wire → ledger → journeys → findings, as for a real buyer; then every interval is held against the truth
the world was made from. Run by `python -m tests.pipe_calibration`; a part of it runs with the tests.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from math import exp, log
from pathlib import Path
from random import Random
from time import perf_counter, process_time

import numpy as np
from scipy.special import ndtri

from harness.config import load_evaluation
from harness.content import shipped_texts
from harness.domain import BEIJING, Carrier, Estimate, Scope
from harness.judge import journeys, scoring, stats
from harness.judge.journeys import Evidence
from harness.judge.result import Finding, Result
from harness.ledger.sqlite import SqliteLedger
from harness.run.play import play_in_memory, virtual_epoch
from tests.calibration import WRITTEN_TO, Row, rows_of_share, table
from tests.calibration_rows import may_write, seed_of_all, unmet
from vendors.sandbox.reviewers import decided_at
from vendors.sandbox.starter import write_files
from vendors.sandbox.truth import Honesty, VendorTruth, read_truth
from vendors.sandbox.world import World

SEED = seed_of_all(20260302)
BEGINS = datetime(2026, 3, 2, 9, 0, tzinfo=BEIJING)  # a Monday
WEEK_MINUTES = 7 * 24 * 60
CARRIERS = (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM)
WIRES: Mapping[str, Mapping[str, str]] = {
    "alibaba": {"access_key": "sandbox-key", "access_secret": "sandbox-secret"},
    "tencent": {"secret_id": "sandbox-id", "secret_key": "sandbox-secret", "sdk_app_id": '"1400000001"'},
    "yunpian": {"apikey": "00000000000000000000000000000001"},
}
MOST_ICC = 0.05
COVERAGE = 0.935
WIDTH = 1.6
MEASURES = {
    "arrival.rate": "arrival per carrier, any handset",
    "false_receipt.rate": "made-up receipts, of those claimed as delivered, per carrier",
    "latency.p50": "median arrival time of all accepted, per carrier",
    "review.time.p50": "median review time",
    "missing_receipt.rate": "missing receipts, of what arrived, per carrier",
}
BEGIN_MARK, END_MARK = "<!-- pipe -->", "<!-- /pipe -->"


# --- worlds ----------------------------------------------------------------------------------------------------------


def world_text(index: int) -> str:
    """The truth of the world of this number, as YAML: all that may differ is drawn at random."""
    rng = np.random.default_rng([SEED, index])
    wires = list(WIRES)
    vendors = [_vendor(rng, f"v{place}", wires[(index + place) % 3]) for place in range(2 if index % 3 == 2 else 1)]
    return f"world: w{index}\nwords: [秒批, 稳赚不赔, 工商银行]\nvendors:\n{''.join(vendors)}panel:\n{_panel(rng)}"


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(log(low), log(high))))


def _vendor(rng: np.random.Generator, label: str, wire: str) -> str:
    arrival = {carrier: round(1 - _log_uniform(rng, 0.005, 0.12), 4) for carrier in CARRIERS}
    latency = {
        carrier: f"{{median: {_log_uniform(rng, 2, 8):.2f}, sigma: {rng.uniform(0.4, 0.8):.2f}}}"
        for carrier in CARRIERS
    }
    share = round(rng.uniform(0.005, 0.08), 4) if rng.random() < 0.75 else 0.0
    kept_back = 1.0 if rng.random() < 0.7 else round(rng.uniform(0.3, 1.0), 3)
    kind = f"kind: share, share: {share}, kept_back: {kept_back}, " if share else ""
    office = ', hours: "09:00-18:00"' if rng.random() < 0.25 else ""
    outages = ""
    if rng.random() < 0.5:
        outages = (
            f"    random_outages: {{per_week: {rng.uniform(0.5, 3):.2f}, arrival: {rng.uniform(0, 0.5):.2f}, "
            f"minutes: {{median: {rng.uniform(20, 60):.0f}, sigma: 0.5}}}}\n"
        )
    lines = [
        f"  {label}:",
        f"    wire: {wire}",
        f"    credentials: {_flow(WIRES[wire])}",
        "    signatures: {某某科技: approved}",
        "    mode: push",
        f"    arrival: {_flow(arrival)}",
        f"    ported: {rng.uniform(0.97, 1):.3f}",
        f"    icc: {rng.uniform(0, MOST_ICC):.4f}",
        f"    latency: {_flow(latency)}",
        "    acknowledgement: {median: 0.15, sigma: 0.4}",
        f"    duplicates: {rng.uniform(0, 0.005):.4f}",
        f"    altered: {rng.uniform(0, 0.004):.4f}",
        f"    receipts: {{{kind}missing: {rng.uniform(0, 0.05):.4f}, delay: {{median: 2, sigma: 0.6}}}}",
        f"    review: {{minutes: {{median: {_log_uniform(rng, 3, 300):.2f}, sigma: {rng.uniform(0.3, 0.7):.2f}}}"
        f"{office}, recall: 0.9, false_alarm: 0.03}}",
        '    senders: "106900110011"',
        f"    faults: {{error: {rng.uniform(0, 0.003):.4f}, no_answer: {rng.uniform(0, 0.005):.4f}}}",
    ]
    return "\n".join(lines) + "\n" + outages


def _panel(rng: np.random.Generator) -> str:
    handsets = {carrier: int(rng.integers(10, 13)) for carrier in CARRIERS}
    down = ""
    if rng.random() < 0.25:
        day, kind = int(rng.integers(2, 7)), rng.choice(["off", "app"])
        down = f"  down:\n    - {{phones: 2, from: day {day} 08:00, to: day {day} 23:00, kind: {kind}}}\n"
    return (
        f"  handsets: {_flow(handsets)}\n"
        "  provinces: [Guangdong, Sichuan]\n"
        "  ported: 0.1\n"
        "  clock_offset_seconds: 12\n"
        "  clock_drift_ppm: 8\n"
        f"  apps: {_apps(rng)}\n"
        f"  app_miss: {rng.uniform(0, 0.01):.4f}\n"
        "  app_repeat: 0.02\n"
        "  forward_delay: {median: 1.1, sigma: 0.5}\n"
        "  standby: 0.002\n"
        "  standby_delay: {median: 900, sigma: 0.6}\n"
        "  heartbeat_minutes: 240\n"
        "  controls_per_day: 0\n"
        "  consent_by: calibration panel\n"
        "  consent_on: 2026-01-05\n" + down
    )


def _apps(rng: np.random.Generator) -> str:
    """Mostly the app that tells the phone's time; in a fifth of the panels only one that does not."""
    if rng.random() < 0.2:
        return "{smsgate: 1}"
    return f"{{smsforwarder: 6, smsgate: {rng.uniform(0, 4):.1f}, json: {rng.uniform(0, 1):.1f}}}"


def _flow(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


# --- truths ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierTruth:
    """What a vendor's findings on one carrier should come near in the long run, for any handset of such a panel.

    Outages are those of chance, so that the long run has its share of them.
    """

    arrival: float  # seen, intact and within the horizon, of accepted
    false_receipts: float  # never arrived, of those claimed as delivered
    latency_median: float  # seconds within which half of all accepted arrive
    missing_receipts: float


def in_outages(truth: VendorTruth) -> float:
    """The mean factor that random outages put on arrival: as many at once as a Poisson number, each with its factor."""
    outages = truth.random_outages
    if outages is None:
        return 1.0
    length = outages.minutes.median * exp(outages.minutes.sigma**2 / 2)
    return exp(-outages.per_week * length / WEEK_MINUTES * (1 - outages.arrival))


def made_up(truth: VendorTruth) -> tuple[float, float]:
    """Shares of all messages: with a made-up receipt, and never sent at all."""
    share = truth.receipts.share if truth.receipts.kind is Honesty.SHARE else 0.0
    return share, share * truth.receipts.kept_back


def truth_of(truth: VendorTruth, carrier: Carrier, ported: float) -> CarrierTruth:
    """Worked out from the world's settings. `ported`: the share of ported numbers on the panel."""
    claimed, kept_back = made_up(truth)
    sent = truth.arrival[carrier] * (1 - ported * (1 - truth.ported)) * in_outages(truth)
    arrived = sent * (1 - kept_back) * (1 - truth.altered)
    wrong = kept_back + (claimed - kept_back) * (1 - sent)
    spread = truth.latency[carrier]
    return CarrierTruth(
        arrival=arrived,
        false_receipts=wrong / (claimed + (1 - claimed) * sent),
        latency_median=spread.median * exp(spread.sigma * float(ndtri(0.5 / arrived))),
        missing_receipts=truth.receipts.missing,
    )


def review_truth(truth: VendorTruth, submitted: Sequence[float], chance: Random) -> float:
    """Median seconds of the world's review law, office hours included, for drafts handed in at these times."""
    if truth.review.hours is None:
        return truth.review.minutes.median * 60
    moments = [datetime.fromtimestamp(at, UTC) for at in submitted]
    took = [
        (decided_at(truth.review, moment, chance) - moment).total_seconds() for _ in range(400) for moment in moments
    ]
    return float(np.median(took))


def oracle_width(
    truth: VendorTruth, carrier: Carrier, ported: float, sent: np.ndarray, phone: np.ndarray, rng: np.random.Generator
) -> float:
    """Width of the normal interval of somebody who knows the true spread of the arrival rate: 2 · 1.96 · SD.

    The spread is that of the world's own law over new handsets and new outages, for messages sent at these times
    (seconds) to these handsets (numbered).
    """
    runs, handsets = 300, int(phone.max()) + 1
    mean, icc = truth.arrival[carrier], truth.icc
    weight = (1 - icc) / icc if icc else 0.0
    luck = rng.beta(mean * weight, (1 - mean) * weight, (runs, handsets)) if icc else np.full((runs, handsets), mean)
    luck = luck * np.where(rng.random((runs, handsets)) < ported, truth.ported, 1.0)
    chance = luck[:, phone] * (1 - made_up(truth)[1]) * (1 - truth.altered)
    if (outages := truth.random_outages) is not None:
        begin = virtual_epoch(BEGINS).timestamp()
        for run in range(runs):
            for _ in range(rng.poisson(outages.per_week)):
                start = begin + rng.uniform(0, WEEK_MINUTES * 60)
                length = outages.minutes.median * exp(outages.minutes.sigma * rng.standard_normal()) * 60
                chance[run, (sent >= start) & (sent < start + length)] *= outages.arrival
    return 2 * 1.96 * float((rng.random(chance.shape) < chance).mean(axis=1).std())


# --- one evaluation --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One finding held against its truth. `oracle`: width of the oracle's interval, for arrival."""

    world: int
    vendor: str
    wire: str
    carrier: str  # "" for the whole
    measure: str
    truth: float
    estimate: Estimate | None
    reason: str  # why there is no estimate, or no limit
    oracle: float | None = None

    @property
    def counts(self) -> bool:
        """Whether there is an interval with both ends."""
        return self.reason == ""

    @property
    def covers(self) -> bool:
        assert self.estimate is not None and self.estimate.low is not None and self.estimate.high is not None
        return self.estimate.low <= self.truth <= self.estimate.high

    @property
    def width(self) -> float:
        assert self.estimate is not None and self.estimate.low is not None and self.estimate.high is not None
        return self.estimate.high - self.estimate.low


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A world, what its run left behind, and what was found."""

    index: int
    world: World
    evidence: Evidence
    result: Result
    seconds: float  # CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much an evaluation asks of each vendor."""

    per_carrier: int = 300  # messages
    templates: int = 20  # drafts for review
    days: int = 7


WHOLE = Size()


def evaluate(index: int, size: Size = WHOLE) -> Judged:
    """Make the world of this number and send a whole evaluation through the pipe."""
    begun = process_time()
    epoch = virtual_epoch(BEGINS)
    world = World(read_truth(world_text(index), f"world-{index}.yaml"), seed=SEED + index, epoch=epoch)
    texts = {key: (one.text, one.purpose) for key, one in shipped_texts().items()}
    started = write_files(
        world,
        texts,
        scenarios=f"delivery: {{messages: {size.per_carrier * len(CARRIERS)}}}\n"
        f"review: {{templates: {size.templates}, signatures: 0}}",
        settings=f"seed: {SEED + index}\nbegins: {BEGINS:%Y-%m-%d %H:%M}\nlasts: {size.days} days\n"
        "silence: 9 h\nspend_limit: 2000 CNY",
    )
    with tempfile.TemporaryDirectory(prefix="pipe-") as name:
        folder = Path(name)
        for file, text in started.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        evaluation = load_evaluation(folder / "evaluation.yaml", started.environment)
        played = play_in_memory(evaluation, folder, out=folder, world=world)
        ledger = SqliteLedger(played.folder / "ledger.db", read_only=True)
        try:
            evidence = journeys.read(ledger.facts())
        finally:
            ledger.release()
    result = scoring.judge(evidence, run_id=played.run_id, ledger_digest="")
    return Judged(index=index, world=world, evidence=evidence, result=result, seconds=process_time() - begun)


def held(judged: Judged) -> Iterator[Held]:
    """Every finding that has a truth in this world, beside it."""
    findings = {
        (one.vendor, one.measure, tuple(sorted(one.slice.items()))): one
        for one in judged.result.findings
        if one.measure in MEASURES
    }
    ported = judged.world.truth.panel.ported
    for label, account in judged.world.accounts.items():
        for carrier in CARRIERS:
            truth = truth_of(account.truth, carrier, ported)
            by_carrier = {
                "arrival.rate": truth.arrival,
                "false_receipt.rate": truth.false_receipts,
                "latency.p50": truth.latency_median,
                "missing_receipt.rate": truth.missing_receipts,
            }
            oracle = _oracle(judged, label, carrier)
            for measure, value in by_carrier.items():
                finding = findings[label, measure, (("carrier", carrier.value),)]
                yield _held(judged, label, carrier, finding, value, oracle if measure == "arrival.rate" else None)
        reviews = judged.evidence.reviews
        submitted = reviews.loc[reviews["vendor"] == label, "submitted_at"].dropna()
        median = review_truth(account.truth, list(submitted), Random(SEED + judged.index))
        yield _held(judged, label, "", findings[label, "review.time.p50", ()], median, None)


def _held(judged: Judged, label: str, carrier: str, finding: Finding, truth: float, oracle: float | None) -> Held:
    estimate, reason = finding.estimate, finding.reason.id if finding.reason else ""
    if estimate is not None and (estimate.low is None or estimate.high is None or estimate.value is None):
        reason = "not reached"
    elif estimate is not None and finding.measure == "arrival.rate" and estimate.scope is not Scope.POPULATION:
        reason = f"scope {estimate.scope}"
    return Held(
        world=judged.index, vendor=label, wire=judged.world.accounts[label].truth.wire, carrier=str(carrier),
        measure=finding.measure, truth=truth, estimate=estimate, reason=reason, oracle=oracle,
    )  # fmt: skip


def _oracle(judged: Judged, label: str, carrier: Carrier) -> float:
    messages = judged.evidence.messages
    watched = messages[
        ((messages["vendor"] == label) & (messages["carrier"] == carrier.value)).to_numpy()
        & messages["watch"].isin(("arrived", "missing")).to_numpy()
    ]
    phone = np.unique(watched["phone"].to_numpy(), return_inverse=True)[1]
    rng = np.random.default_rng([SEED, judged.index, CARRIERS.index(carrier), *label.encode()])
    truth, ported = judged.world.accounts[label].truth, judged.world.truth.panel.ported
    return oracle_width(truth, carrier, ported, watched["sent_at"].to_numpy(), phone, rng)


def measure(index: int, size: Size = WHOLE) -> tuple[list[Held], float]:
    """All of a world's findings beside their truths, and the CPU seconds its evaluation took."""
    judged = evaluate(index, size)
    return list(held(judged)), judged.seconds


# --- goals -----------------------------------------------------------------------------------------------------------


def rows(found: Iterable[Held]) -> list[Row]:
    """The goals: coverage of each measure, and the width of arrival intervals against the oracle's."""
    listed = sorted(found, key=lambda one: list(MEASURES).index(one.measure))
    goals = []
    for number, (name, group) in enumerate(groupby(listed, key=lambda one: one.measure), 1):
        counted = [one for one in group if one.counts]
        covered = np.array([one.covers for one in counted], dtype=bool)
        if counted:
            goals.append(rows_of_share(f"P{number}", f"{MEASURES[name]}: covers the truth", covered, ">=", COVERAGE))
    ratio, error = width_ratio(listed)
    worlds = len({one.world for one in listed})
    goals.append(
        Row(
            goal=f"P{len(MEASURES) + 1}", setting="width of arrival intervals against the oracle's", measured=ratio,
            relation="<=", bound=WIDTH, error=error, runs=worlds,
        )
    )  # fmt: skip
    return goals


def width_ratio(found: Iterable[Held]) -> tuple[float, float]:
    """Mean width over the oracle's mean width, as in goal C3, and its standard error over worlds."""
    cells = [one for one in found if one.oracle is not None and one.counts]
    ours, theirs = np.array([one.width for one in cells]), np.array([one.oracle for one in cells])
    ratio = float(ours.sum() / theirs.sum())
    worlds = np.array([one.world for one in cells])
    rest = np.bincount(worlds, weights=ours - ratio * theirs)
    return ratio, float(np.sqrt((rest**2).sum()) / theirs.sum())


def by_luck(found: Sequence[Held]) -> str:
    """Width and coverage of arrival where a handset's share of the luck is below the floor of the method, and above."""
    icc = {
        (index, label): vendor.icc
        for index in {one.world for one in found}
        for label, vendor in read_truth(world_text(index), f"world-{index}.yaml").vendors.items()
    }
    told = []
    for name, low, high in (("below", 0.0, stats.FLOORS.handset), ("above", stats.FLOORS.handset, 1.0)):
        here = [one for one in found if one.oracle and one.counts and low <= icc[one.world, one.vendor] < high]
        if here:
            covered = np.mean([one.covers for one in here])
            told.append(f"{width_ratio(here)[0]:.2f} {name} it ({len(here)} cells, {covered:.1%} covered)")
    return (
        f"Arrival intervals allow for an ICC of {stats.FLOORS.handset}. Their width against the oracle's is\n"
        f"{' and '.join(told)}.\n"
    )


def counted_apart(found: Iterable[Held]) -> str:
    """What had no interval with both ends, and why."""
    apart = Counter((one.measure, one.reason) for one in found if not one.counts)
    if not apart:
        return "Every finding had an interval with both ends.\n"
    told = [f"{name}, {reason}: {count}" for (name, reason), count in sorted(apart.items())]
    return "Counted apart, for want of an interval with both ends: " + "; ".join(told) + ".\n"


PREFACE = """## Through the whole pipe

Written by `python -m tests.pipe_calibration --write`. {worlds} simulated evaluations with random truths, {vendors}
vendors in all: arrival .88–.995 by carrier, made-up receipts 0–8 %, missing ones 0–5 %, median arrival 2–8 s, median
review 3–300 min (a quarter only in office hours), intra-handset correlation (ICC) 0–{icc:g}, outages by chance in half,
ported numbers, altered texts, duplicates, failing endpoints, apps that miss messages, phones whose clocks are wrong by
some 12 s, panels whose app does not tell the phone's time, phones that are down for a day. Each is planned, sent over
one of three wires, written to a ledger, read back and judged as a real one: 10–12 handsets and {per} messages for each
of three carriers, {templates} drafts for review, seven days.

The truth is the long-run one for any handset of such a panel, outages included; for reviews the median of the
reviewers' law at the times of handing in. The oracle knows the true spread of each arrival rate and draws ±1.96 of it.

"""


def document(found: Sequence[Held]) -> str:
    """The section for docs/calibration.md, without marks."""
    worlds, vendors = len({one.world for one in found}), len({(one.world, one.vendor) for one in found})
    preface = PREFACE.format(
        worlds=worlds, vendors=vendors, per=WHOLE.per_carrier, templates=WHOLE.templates, icc=MOST_ICC
    )
    return preface + table(rows(found)) + "\n" + by_luck(found) + "\n" + counted_apart(found)


def write(section: str, path: Path = WRITTEN_TO) -> None:
    """Put the section between its marks, or at the end where there are none yet."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, _, rest = text.partition(BEGIN_MARK)
    after = rest.partition(END_MARK)[2]
    path.write_text(f"{before.rstrip()}\n\n{BEGIN_MARK}\n{section}{END_MARK}\n{after.lstrip()}", encoding="utf-8")


def measure_all(worlds: Sequence[int], workers: int) -> tuple[list[Held], list[float]]:
    """All worlds, on so many processes."""
    found, seconds = list[Held](), list[float]()
    with ProcessPoolExecutor(workers) as pool:
        for held_here, taken in pool.map(measure, worlds):
            found += held_here
            seconds.append(taken)
    return found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--write", action="store_true", help=f"renew the section in docs/{WRITTEN_TO.name}")
    asked = parser.parse_args()
    begun = perf_counter()
    found, seconds = measure_all(range(asked.worlds), asked.workers)
    section = document(found)
    print(section)
    print(f"CPU seconds a world: mean {np.mean(seconds):.1f}, most {max(seconds):.1f}; {perf_counter() - begun:.0f} s")
    if asked.write and may_write():
        write(section)
    if failed := unmet(rows(found)):
        raise SystemExit(f"{len(failed)} goals are not met")


if __name__ == "__main__":
    main()
