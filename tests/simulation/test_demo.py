"""The demo tells the truth of its world: `smsbench demo`, played once as anybody would, and what its result says.

The truths stand in `vendors/sandbox/demo.yaml`; nothing here knows how they are found out.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from harness import cli, desk
from harness.domain import BEIJING, Carrier, Estimate, State
from harness.judge import journeys
from harness.judge.journeys import Evidence
from harness.judge.result import Outage, Result, Scorecard, parse
from harness.ledger.sqlite import SqliteLedger
from harness.registry import sandbox_file
from vendors.sandbox.fate import LongRun, long_run
from vendors.sandbox.truth import read_truth

HONEST, FAKES, BROKEN, EXPIRED = "haoxin", "jiahui", "lianduan", "guoqi"
CARRIERS = (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM)
DEAD_FROM = datetime(2026, 3, 4, 14, tzinfo=BEIJING)  # day 3 of a run that begins on 2 March
DEAD_UNTIL = datetime(2026, 3, 4, 17, tzinfo=BEIJING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    folder: Path  # of the run
    result: Result

    def estimate(self, vendor: str, measure: str, **slice: str) -> Estimate:
        (finding,) = (
            one
            for one in self.result.findings
            if (one.vendor, one.measure, dict(one.slice)) == (vendor, measure, slice)
        )
        assert finding.estimate is not None, finding.reason
        return finding.estimate

    def card(self, vendor: str) -> Scorecard:
        return next(card for card in self.result.scorecards if card.vendor == vendor)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Played once, however many workers the tests are shared among."""
    out = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        out = out.parent
    out /= "demo"
    with (out.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "exit").exists():
            code = cli.main(["demo", "--out", str(out)])
            (out / "exit").write_text(str(code), encoding="utf-8")
    assert (out / "exit").read_text(encoding="utf-8") == str(desk.FINE)
    (folder,) = (out / "runs").iterdir()
    return Demo(folder=folder, result=parse((folder / "result.json").read_bytes()))


@pytest.fixture(scope="module")
def evidence(demo: Demo) -> Evidence:
    ledger = SqliteLedger(demo.folder / "ledger.db", read_only=True)
    try:
        return journeys.read(ledger.facts())
    finally:
        ledger.release()


def truth_of(vendor: str) -> LongRun:
    world = read_truth(sandbox_file("demo.yaml"), "demo.yaml")
    return long_run(world.vendors[vendor], ported_share=world.panel.ported, begin_hour=9, end_hour=20)


def test_the_demo_sends_six_thousand_messages_to_twenty_handsets_of_each_carrier(demo, evidence):
    assert evidence.messages["intended_at"].notna().sum() >= 6_000
    for carrier in CARRIERS:
        assert demo.result.panel[f"handset.{carrier}"] >= 20


def test_the_honest_vendor_comes_first_and_nobody_shares_its_place(demo):
    first = [card.vendor for card in demo.result.scorecards if card.group == 1]
    assert first == [HONEST]
    card = demo.card(HONEST)
    assert card.standing == "ranked" and card.p_first is not None and card.p_first > 0.95
    others = [card.overall for card in demo.result.scorecards if card.vendor != HONEST and card.overall is not None]
    assert card.overall is not None and all(card.overall > other for other in others)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_made_up_receipts_are_found_within_their_interval_and_are_no_small_matter(demo, carrier):
    truth = truth_of(FAKES).false_receipts[carrier]
    whole, here = (
        demo.estimate(FAKES, "false_receipt.rate"),
        demo.estimate(FAKES, "false_receipt.rate", carrier=carrier),
    )
    for estimate in (whole, here):
        assert estimate.low is not None and estimate.high is not None
        assert estimate.low <= truth <= estimate.high
    assert whole.low is not None and whole.low > 0.01


@pytest.mark.parametrize("vendor", [HONEST, BROKEN, EXPIRED])
def test_nobody_is_accused_of_receipts_it_did_not_make_up(demo, vendor):
    estimate = demo.estimate(vendor, "false_receipt.rate")
    assert estimate.low is not None and estimate.low <= 0.001
    assert estimate.high is not None and estimate.high < 0.02


def _named(outage: Outage) -> tuple[datetime, datetime]:
    assert outage.ended is not None
    return datetime.fromisoformat(outage.began), datetime.fromisoformat(outage.ended)


def test_the_outage_is_named_with_its_hour_and_its_carrier(demo):
    worst = max(demo.result.outages, key=lambda outage: outage.missed)
    assert (worst.vendor, worst.carrier) == (BROKEN, Carrier.CHINA_UNICOM)
    began, ended = _named(worst)
    edge = timedelta(minutes=20)  # the last message before it and the first one after it bound it no closer
    assert DEAD_FROM - edge <= began < ended <= DEAD_UNTIL + edge
    assert ended - began >= timedelta(hours=2, minutes=30)
    assert worst.missed == worst.sent >= 10 and worst.evidence


def test_nobody_else_is_said_to_have_been_down(demo):
    others = [one for one in demo.result.outages if one.vendor != BROKEN]
    assert not [one for one in others if one.missed > 5], "three misses by chance may look like one, a dozen do not"
    assert not [one for one in others if one.vendor == HONEST]


def test_the_expired_licence_keeps_a_vendor_out_of_the_ranking(demo):
    card = demo.card(EXPIRED)
    assert card.standing == "excluded" and card.group is None and card.overall is None
    failed = [gate for gate in demo.result.gates if gate.vendor == EXPIRED and gate.verdict == "fail" and gate.legal]
    assert [gate.text for gate in failed] == ["licence.attested >= 1"]
    (paper,) = (one for one in demo.result.documents if (one.vendor, one.kind) == (EXPIRED, "licence"))
    assert paper.verdict == "expired"
    licences = {one.vendor: one.verdict for one in demo.result.documents if one.kind == "licence"}
    assert set(licences.values()) == {"valid", "expired"}


def test_who_ignores_opting_out_is_found_and_who_heeds_it_is_not_accused(demo):
    assert demo.estimate(EXPIRED, "opt_out.honoured").value == 0
    for vendor in (HONEST, BROKEN):
        assert demo.estimate(vendor, "opt_out.honoured").value == 1
    weak = {note.values.get("measure") for note in demo.card(EXPIRED).weaknesses}
    assert "opt_out.honoured" in weak


def test_the_arrival_rate_of_every_vendor_and_carrier_is_within_its_interval(demo):
    missed = []
    for vendor in (HONEST, FAKES, BROKEN, EXPIRED):
        truth = truth_of(vendor)
        for carrier in CARRIERS:
            if (vendor, carrier) == (BROKEN, Carrier.CHINA_UNICOM):
                continue  # its long run has no outage of three hours in it
            estimate = demo.estimate(vendor, "arrival.rate", carrier=carrier)
            assert estimate.low is not None and estimate.high is not None
            if not estimate.low <= truth.arrival[carrier] <= estimate.high:
                missed.append((vendor, carrier, truth.arrival[carrier], estimate))
    assert not missed


def test_every_finding_has_a_number_with_its_doubt_or_a_reason(demo):
    for finding in demo.result.findings:
        if finding.state in (State.MEASURED, State.ATTESTED):
            assert finding.estimate is not None and finding.estimate.n >= 1
        else:
            assert finding.estimate is None and finding.reason is not None


def _pages(folder: Path) -> Iterator[Path]:
    yield from folder.glob("report.*.html")
    yield from folder.glob("scorecard.*.html")


def test_the_reports_are_there_in_both_languages_and_say_nothing_undefined(demo):
    pages = {page.name: page.read_text(encoding="utf-8") for page in _pages(demo.folder)}
    assert {"report.zh-CN.html", "report.en.html", f"scorecard.{FAKES}.html", f"scorecard.{FAKES}.en.html"} <= set(
        pages
    )
    for name, page in pages.items():
        shown = unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL))
        found = re.search(r".{0,60}(\bNone\b|\bnan\b|\bNaN\b|\bundefined\b).{0,60}", shown)
        assert not found, (name, found[0])
    assert "好信" in pages["report.zh-CN.html"] and "Haoxin" in pages["report.en.html"]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_report_of_four_vendors_can_be_mailed(demo, language):
    assert (demo.folder / f"report.{language}.html").stat().st_size < 400_000
