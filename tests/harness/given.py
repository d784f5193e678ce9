"""What the hall's tests begin with: a case, a draft, a small evaluation, a ledger, and a loop whose time leaps."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from harness.capabilities import PushRequest
from harness.clock import LoopClock, VirtualLoop
from harness.config import Evaluation, load_evaluation
from harness.domain import Accepted, Carrier, Case, Consent, DeliveryState, Draft, Purpose, Recipient, ReportSource
from harness.facts import Fact, FactBody, ReportReceived, SightingReceived
from harness.ledger.sqlite import SqliteLedger
from harness.text import billed_segments

T = TypeVar("T")

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Beijing
NUMBER = "+8613800001234"


def later(**elapsed: float) -> datetime:
    return NOW + timedelta(**elapsed)


def recipient(id: str = "p1", number: str = NUMBER, **more: Any) -> Recipient:
    plain: dict[str, Any] = {
        "carrier": Carrier.CHINA_MOBILE,
        "consent": Consent(by="owner", on=date(2026, 1, 5)),
        "forwarder": f"f-{id}",
    }
    return Recipient(id=id, number=number, **{**plain, **more})


def draft(token: str = "BCD234", reference: str = "s1", purpose: Purpose = Purpose.VERIFICATION, **more: Any) -> Draft:
    body = more.pop("text", f"【某某科技】您的登录验证码是{token}。")
    plain: dict[str, Any] = {
        "signature": "某某科技",
        "template": None,
        "parameters": {"code": token},
        "segments": billed_segments(body),
    }
    return Draft(purpose=purpose, text=body, token=token, reference=reference, **{**plain, **more})


def case(id: str = "c1", vendor: str = "ali", *, drafts: tuple[Draft, ...] | None = None, **more: Any) -> Case:
    plain: dict[str, Any] = {"scenario": "delivery", "due": NOW, "recipient": "p1"}
    return Case(id=id, vendor=vendor, drafts=(draft(),) if drafts is None else drafts, **{**plain, **more})


def fact(body: FactBody, case_id: str | None = None, *, seq: int = 1, at: datetime = NOW, **more: Any) -> Fact:
    return Fact(seq=seq, at=at, case_id=case_id, body=body, **more)


def report(vendor_message_id: str = "m1", vendor: str = "ali", **more: Any) -> ReportReceived:
    plain: dict[str, Any] = {
        "recipient": None,
        "reference": None,
        "state": DeliveryState.DELIVERED,
        "reason": None,
        "code": "DELIVRD",
        "claimed_at": None,
        "billed_segments": None,
        "segment": 1,
        "source": ReportSource.PUSHED,
    }
    return ReportReceived(vendor=vendor, vendor_message_id=vendor_message_id, **{**plain, **more})


def sighting(
    text: str = "【某某科技】您的登录验证码是BCD234。", recipient: str = "p1", **more: Any
) -> SightingReceived:
    plain: dict[str, Any] = {
        "forwarder": f"f-{recipient}",
        "sender": "1069000000",
        "event_id": "e1",
        "scts": None,
        "handset_at": None,
        "forwarded_at": None,
        "received_at": NOW,
        "reconciled": False,
    }
    return SightingReceived(recipient=recipient, text=text, **{**plain, **more})


def accepted(id: str = "m1") -> Accepted:
    return Accepted(vendor_message_id=id)


def push(path: str, body: bytes = b"", *, received_at: datetime = NOW, **headers: str) -> PushRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PushRequest(method="POST", path=path, query="", headers=named, body=body, received_at=received_at)


# --- time that leaps ------------------------------------------------------------------------------------------------


def virtually(work: Coroutine[Any, Any, T], *, begin: float = 0.0) -> T:
    """Run under virtual time."""
    loop = VirtualLoop(begin)
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def loop_clock(epoch: datetime = NOW) -> LoopClock:
    return LoopClock(epoch, asyncio.get_running_loop())


def memory_ledger(**more: Any) -> SqliteLedger:
    return SqliteLedger(":memory:", run_id="r1", inline=True, durable=False, **more)


# --- an evaluation --------------------------------------------------------------------------------------------------

RECIPIENTS = """\
id,number,carrier,kind,consent_by,consent_on,forwarder,spare,tester,cap_per_day,age_band
p1,13800001234,china_mobile,handset,owner,2026-01-05,f1,no,no,,25-34
p2,18600001235,china_unicom,handset,owner,2026-01-05,f2,no,yes,3,35-44
p3,18900001236,china_telecom,handset,owner,2026-01-05,f3,yes,no,,
p4,13900001237,china_mobile,blocked,owner,2026-01-05,,no,no,,
"""
EVALUATION = """\
evaluation: check
mode: sandbox
begins: 2026-03-02 09:00
lasts: 3 days
recipients: recipients.csv
forwarders:
  f1: {app: smsforwarder, secret: $PHONE}
  f2: {app: smsgate, secret: $PHONE}
  f3: {app: json, secret: $PHONE, header: X-Phone, fields: {sender: from, text: body}}
vendors:
  ali:
    use: alibaba
    account: {access_key: $KEY, access_secret: $SECRET}
    signature: 某某科技
    price: 0.05 CNY
    templates: {login_code: SMS_000000001}
  yun:
    use: yunpian
    account: {apikey: $KEY}
    signature: 某某科技
    price: 0.04 CNY
scenarios:
  delivery: {messages: 12}
"""
ENVIRONMENT = {"KEY": "LTAI-example-key", "SECRET": "example-secret-value", "PHONE": "phone-secret"}


def write(folder: Path, evaluation: str = EVALUATION, recipients: str = RECIPIENTS, **files: str) -> Path:
    """Write an evaluation and its companions; `words_yaml` becomes words.yaml."""
    for name, text in {"evaluation.yaml": evaluation, "recipients.csv": recipients, **files}.items():
        (folder / name.replace("_yaml", ".yaml")).write_text(text, encoding="utf-8")
    return folder / "evaluation.yaml"


def evaluation(folder: Path, text: str = EVALUATION, environment: Mapping[str, str] | None = None) -> Evaluation:
    return load_evaluation(write(folder, text), ENVIRONMENT if environment is None else environment)
