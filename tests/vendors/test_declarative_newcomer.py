"""A vendor nobody coded: described from the page, it sends, gets its reports and replies, and is scored.

ACME's description begins as `smsbench vendors new acme` writes it; its counterpart is here, from what ACME's document
would say: JSON, an HMAC over key, stamp and body, pushes signed over their body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import vendors
from harness import registry
from harness.capabilities import Capability, NotOffered, capabilities_of
from harness.config import load_evaluation
from harness.domain import DeliveryState, Purpose, State
from harness.facts import ReportReceived, SubmitAnswered
from harness.ledger.sqlite import SqliteLedger
from harness.run.play import play_in_memory, virtual_epoch
from tests.simulation.worlds import BEGINS, filed_texts, result_of
from vendors.declarative.expressions import FILTERS
from vendors.declarative.shapes import RESULTS
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.starter import write_files
from vendors.sandbox.truth import read_truth
from vendors.sandbox.wording import answer_json, counted, hear, mainland, read_json, stamp
from vendors.sandbox.world import World

WORLD = """
world: newcomer
words: [秒批]
vendors:
  acme-main:
    wire: acme
    name: {zh-CN: 某某短信, en: ACME}
    credentials: {key: K1, secret: sandbox-acme-secret}
    signatures: {某某科技: approved}
    mode: push
    price: 0.05
    arrival: 0.97
    latency: {median: 4, sigma: 0.5}
    receipts: {missing: 0.02, delay: {median: 2, sigma: 0.5}}
    senders: "106900330033"
panel:
  handsets: {china_mobile: 3, china_unicom: 2, china_telecom: 2}
  heartbeat_minutes: 0
  forward_delay: 1
"""


class Counterpart:
    """ACME for one account."""

    push_batch = 50
    push_retry = (timedelta(minutes=1),) * 3

    def __init__(self, door: Door) -> None:
        self._door, self._secret = door, door.credentials["secret"].encode()

    def _sign(self, words: bytes) -> str:
        return hmac.new(self._secret, words, hashlib.sha256).hexdigest()

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        signed = self._door.credentials["key"].encode() + heard.headers.get("x-stamp", "").encode() + heard.body
        if self._sign(signed) != heard.headers.get("x-sign"):
            return self._said({"code": 1, "message": "bad signature"})
        params = read_json(heard.body)
        if heard.path == "/v1/balance":
            return self._said({"code": 0, "balance": str(self._door.balance())})
        key, number = f"A{counted(self._door.memory, 'ids')}", mainland(params["to"])
        assert number is not None and heard.path == "/v1/send"
        taken = self._door.submit(
            Submission(
                number=number, text=params["text"], purpose=Purpose.NOTIFICATION, reference=params["ref"], key=key
            )
        )
        return self._said({"code": 2, "message": "no"} if isinstance(taken, Turned) else {"code": 0, "id": key})

    def _said(self, body: Any) -> httpx.Response:
        return answer_json(200, body, content_type="application/json")

    def _push(self, items: Any) -> PushOut:
        body = json.dumps(items, ensure_ascii=False).encode()
        return PushOut(body=body, content_type="application/json", headers={"X-Sign": self._sign(body)})

    def push_reports(self, claims: Sequence[Claim]) -> PushOut:
        return self._push(
            [
                {
                    "id": claim.key,
                    "status": claim.code,
                    "time": stamp(claim.claimed_at),
                    "to": claim.number.removeprefix("+86"),
                    "ref": claim.reference,
                }
                for claim in claims
            ]
        )

    def push_reply(self, reply: Reply) -> PushOut:
        number = reply.number.removeprefix("+86")
        return self._push([{"from": number, "code": reply.to, "text": reply.text, "time": stamp(reply.sent_at)}])

    def push_decision(self, review: Review) -> PushOut | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b'{"code":0}'


@pytest.fixture(scope="module")
def skeleton() -> str:
    return registry.description_skeleton("acme")


def test_a_skeleton_is_a_sound_description_under_its_new_name() -> None:
    text = registry.description_skeleton("novel")
    assert "vendor: novel" in text and "acme" not in text.lower()
    kind = registry._described(text, "novel.yaml").Vendor
    assert capabilities_of(object.__new__(kind)) == {
        Capability.SUBMITS,
        Capability.READS_PUSHES,
        Capability.TELLS_BALANCE,
    }
    assert isinstance(kind.manifest.absent[Capability.PULLS_REPORTS], NotOffered)


@pytest.mark.parametrize("name", ["Acme", "a-b", "../x", ""])
def test_what_cannot_be_a_vendor_gets_no_skeleton(name: str) -> None:
    with pytest.raises(registry.ConfigError, match="small letters"):
        registry.description_skeleton(name)


def test_a_described_vendor_sends_gets_its_reports_and_is_scored(tmp_path: Path, skeleton: str) -> None:
    (tmp_path / "acme.yaml").write_text(skeleton, encoding="utf-8")
    world = World(
        read_truth(WORLD, "newcomer.yaml"), seed=5, epoch=virtual_epoch(BEGINS), counterparts={"acme": Counterpart}
    )
    settings = "language: zh-CN\nbegins: 2026-03-02 09:00\nlasts: 2 days\nsilence: 12 h\nspend_limit: 500 CNY\nseed: 5"
    files = write_files(world, filed_texts(), scenarios="delivery: {messages: 48, over: 10 h}", settings=settings)
    for name, text in files.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    evaluation = load_evaluation(tmp_path / "evaluation.yaml", files.environment)
    own = replace(evaluation.vendors["acme-main"], use=str(tmp_path / "acme.yaml"))
    evaluation = replace(evaluation, vendors={"acme-main": own})
    played = play_in_memory(evaluation, tmp_path, out=tmp_path / "runs", world=world, seed=5)
    assert played.because == "done"

    ledger = SqliteLedger(played.folder / "ledger.db", read_only=True)
    facts = list(ledger.facts())
    ledger.release()
    accepted = [fact for fact in facts if isinstance(fact.body, SubmitAnswered)]
    reports = [fact.body for fact in facts if isinstance(fact.body, ReportReceived)]
    assert len(accepted) == 48 and len(reports) >= 40
    assert {report.vendor_message_id[0] for report in reports} == {"A"}
    assert any(report.state is DeliveryState.DELIVERED for report in reports)
    result = result_of(facts, played.folder / "ledger.db")
    (arrival,) = (one for one in result.findings if one.measure == "arrival.rate" and not one.slice)
    assert arrival.vendor == "acme-main" and arrival.state is State.MEASURED and arrival.estimate is not None
    assert arrival.estimate.n == 48
    (card,) = result.scorecards
    assert card.vendor == "acme-main"
    assert any(member.score is not None for mark in card.marks for member in mark.members)


def test_the_page_names_every_verb_and_every_part() -> None:
    page = (Path(vendors.__path__[0]) / "README.md").read_text(encoding="utf-8")
    section = page.partition("## A vendor without code")[2].partition("## Pitfalls")[0]
    named = set(re.findall(r"[a-z_][a-z_0-9]*", section))
    assert FILTERS.keys() - named == set()
    assert {*RESULTS["submit"], *RESULTS["balance"], "before", "limit", "rows", "record"} - named == set()
