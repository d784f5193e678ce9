"""One plan with vendors of every kind: each speaks its own wire, and all end in one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import desk, registry
from harness.config import load_evaluation
from harness.content import shipped_texts
from harness.facts import Fact, PushRefused, ReportReceived, SubmitAnswered
from harness.judge.result import Result
from harness.ledger.sqlite import SqliteLedger
from harness.run.play import play_in_memory, virtual_epoch
from tests.simulation.worlds import BEGINS, PANEL
from vendors.sandbox.starter import write_files
from vendors.sandbox.truth import read_truth
from vendors.sandbox.world import World

HOUSE = Path(__file__).parents[2]
FIXTURES = HOUSE / "tests" / "vendors" / "fixtures"
OWN = ("volcengine", "baidu", "chuanglan", "netease", "qiniu", "twilio", "ucloud", "luosimao", "zhutong")
"""Vendors whose account in the world stands beside their fixtures; two of them are described, not coded."""
SEED = 7


@dataclass(frozen=True)
class Whole:
    facts: list[Fact]
    result: Result
    pages: dict[str, str]


def as_text(source: str) -> Any:
    """YAML in which every scalar is text, as the world reads it."""
    return yaml.load(source, Loader=yaml.BaseLoader)


def truth_text() -> str:
    """The demo's vendors, the small world's, and those of the fixtures, all well-behaved enough to be told apart."""
    vendors = dict(as_text(registry.sandbox_file("demo.yaml"))["vendors"])
    vendors = {label: vendors[label] for label in ("haoxin", "jiahui", "lianduan")}
    vendors |= as_text((HOUSE / "tests/vendors/more_world.yaml").read_text(encoding="utf-8"))["vendors"]
    for id in OWN:
        vendors |= as_text((FIXTURES / id / "world.yaml").read_text(encoding="utf-8"))
    for one in vendors.values():
        one["options"] = {**(one.get("options") or {}), "caps": "lifted"}
        one["signatures"] = {"某某科技": "approved"}
        one.setdefault("mode", "push")
    panel = as_text(PANEL) | {"apps": {"smsgate": 1, "json": 1}}
    return yaml.safe_dump({"world": "many", "vendors": vendors, "panel": panel, "words": ["秒批"]}, allow_unicode=True)


def known_only(evaluation: str) -> str:
    """An evaluation without what only the other side of an account knows (ids that a customer never sends)."""
    plain = as_text(evaluation)
    for one in plain["vendors"].values():
        manifest = registry.vendor_class(one["use"]).manifest
        known = {credential.name for credential in manifest.credentials}
        one["account"] = {name: value for name, value in one["account"].items() if name in known}
        if one.get("options"):
            one["options"] = {name: value for name, value in one["options"].items() if name in manifest.options}
    return yaml.safe_dump(plain, allow_unicode=True, sort_keys=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Whole:
    folder = tmp_path_factory.mktemp("many")
    world = World(read_truth(truth_text(), "many.yaml"), seed=SEED, epoch=virtual_epoch(BEGINS))
    texts = {one.id: (one.text, one.purpose) for one in shipped_texts().values()}
    files = write_files(
        world,
        texts,
        scenarios="delivery: {messages: 12, over: 12 h}\nreview: {templates: 1}\nretention: {}\nstatistics: {}",
        settings=f"language: zh-CN\nbegins: 2026-03-02 09:00\nlasts: 2 days\nseed: {SEED}\nspend_limit: 900 CNY\n"
        "caps: {per_day: 200}\n",
    )
    for name, text in files.files.items():
        (folder / name).write_text(known_only(text) if name == "evaluation.yaml" else text, encoding="utf-8")
    evaluation = load_evaluation(folder / "evaluation.yaml", files.environment)
    played = play_in_memory(evaluation, folder, out=folder / "runs", world=world)
    assert played.because == "done"
    result = desk.judge_run(played.folder)
    desk.save(result, played.folder, ("zh-CN",))
    ledger = SqliteLedger(played.folder / "ledger.db", read_only=True)
    facts = list(ledger.facts())
    ledger.release()
    pages = {path.name: path.read_text(encoding="utf-8") for path in played.folder.glob("*.html")}
    return Whole(facts=facts, result=result, pages=pages)


def test_fifteen_vendors_on_their_own_wires_end_in_one_report(whole):
    adapters = {info.adapter for info in whole.result.vendors.values()}
    assert len(adapters) >= 15
    assert {card.vendor for card in whole.result.scorecards} == set(whole.result.vendors)
    report = whole.pages["report.zh-CN.html"]
    for label, info in whole.result.vendors.items():
        assert (info.name.get("zh-CN") or label) in report
        assert f"scorecard.{label}.html" in whole.pages


def test_every_one_of_them_took_messages_and_its_claims_and_sightings_found_them(whole):
    for funnel in whole.result.funnels:
        if funnel.carrier is None:
            assert funnel.accepted >= 8, funnel
            assert funnel.arrived >= 6, funnel


def test_those_that_push_reports_had_them_matched_and_none_refused(whole):
    pushed = {fact.body.vendor for fact in whole.facts if isinstance(fact.body, ReportReceived)}
    silent = {"luosimao", "zhutong"}  # their documents tell no format of a report
    told = {label for label, info in whole.result.vendors.items() if info.adapter not in silent}
    assert told <= pushed
    assert not [fact.body for fact in whole.facts if isinstance(fact.body, PushRefused)]


def test_no_answer_was_left_unread(whole):
    doubts = [
        fact.body.outcome.why
        for fact in whole.facts
        if isinstance(fact.body, SubmitAnswered) and fact.body.outcome.kind == "in_doubt"
    ]
    assert "unintelligible" not in doubts
