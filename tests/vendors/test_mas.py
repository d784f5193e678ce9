"""What is Mobile Cloud MAS's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import DeliveryState, Purpose, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import make, message
from tests.vendors.test_counterparts import CODE, NOTICE, REPLY, World, claim
from vendors import mas, signing
from vendors.sandbox import mas as counterpart
from vendors.sandbox.door import Turned

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the group is left out", mas, "mac", lambda group, *rest, step=mas.mac: step("", *rest)),
    ("the account is left out", mas, "mac", lambda group, ap, *rest, step=mas.mac: step(group, "", *rest)),
    ("the secret is left out", mas, "mac", lambda group, ap, secret, *rest, step=mas.mac: step(group, ap, "", *rest)),
    ("the secret stands last", mas, "mac",
     lambda group, ap, secret, *rest, step=mas.mac: step(group, ap, "", *rest, secret)),
    ("account and group change places", mas, "mac", lambda group, ap, *rest, step=mas.mac: step(ap, group, *rest)),
    ("the numbers are not signed", mas, "mac",
     lambda group, ap, secret, *rest, step=mas.mac: step(group, ap, secret, *rest[1:])),
    ("the extension is not signed", mas, "mac",
     lambda group, ap, secret, *rest, step=mas.mac: step(group, ap, secret, *rest[:-1])),
    ("the fields are parted", mas, "mac",
     lambda *words: hashlib.md5("|".join(words).encode()).hexdigest()),
    ("quotes of parameters are escaped before they are signed", mas, "mac",
     lambda *words, step=mas.mac: step(*[word.replace('"', '\\"') for word in words])),
    ("the digest is of another kind", signing, "md5_hex", signing.sha1_hex),
    ("the digest in capitals", signing, "md5_hex", lambda data: hashlib.md5(data).hexdigest().upper()),
    ("the body is not in Base64", mas, "closed", lambda body: json.dumps(body).encode()),
    ("the Base64 is in quotes", mas, "closed", lambda body, step=mas.closed: b'"' + step(body) + b'"'),
]  # fmt: skip


def test_the_mac_is_the_cards() -> None:
    assert mas.mac("EC", "ap", "secret", "13800000000", "hello", "sign1", "") == "e1e96855a94e09e13aeb0804e9a2c2ae"


# --- both sides -------------------------------------------------------------------------------------------------------


class Late(World):
    """A world whose templates have numbers, and which keeps what is pushed of the vendor's own accord."""

    def __init__(self, **options: str) -> None:
        super().__init__({"ec_name": "EC", "ap_id": "ap", "secret_key": "secret", "sign": "sign1"}, **options)
        self.templates = {
            "1": replace(CODE, id="1"),
            "2": replace(NOTICE, id="2"),
            "4": replace(CODE, id="4", approved=False),
        }
        self.pushed: list[Any] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        self.pushed.append(push)


def sent(world: World, given: dict[str, Any], **options: str) -> Any:
    """What the adapter makes of the counterpart's answer."""
    talk = play(make("mas", {"options": options}).submit(message({"number": "+8613800138000", **given})))
    reply = counterpart.Counterpart(world).answer(talk.request)
    return talk.answer(reply.status_code, content=reply.content).outcome


@settings(max_examples=80, deadline=None)
@given(
    text=TEXTS,
    secret=st.sampled_from(["omitted", "empty", "value"]),
    in_text=st.sampled_from(["0", "1"]),
    spelling=st.sampled_from(["msgGroup", "mgsGroup"]),
)
def test_any_text_goes_over_the_wire_as_it_is(text: str, secret: str, in_text: str, spelling: str) -> None:
    world = Late(group=spelling)
    options = {"secret_in_body": secret, "signature_in_text": in_text, "add_serial": "01"}
    outcome = sent(world, {"text": f"【测试签名】{text}"}, **options)
    (taken,) = world.taken
    assert (taken.text, taken.key, taken.extension) == (f"【测试签名】{text}", outcome.vendor_message_id, "01")


@settings(max_examples=40, deadline=None)
@given(values=st.lists(TEXTS, min_size=2, max_size=2))
def test_parameters_go_over_the_wire_as_they_are(values: list[str]) -> None:
    world = Late()
    sent(world, {"template": "2", "parameters": dict(zip("ab", values, strict=True))}, interface="template")
    (taken,) = world.taken
    assert (taken.text, taken.template) == (f"【测试签名】订单{values[0]}已发货，{values[1]}送达。", "2")


def test_an_account_of_templates_sends_nothing_without_one() -> None:
    with pytest.raises(VendorTrouble) as raised:
        sent(Late(), {"template": None}, interface="template")
    assert not raised.value.written


@pytest.mark.parametrize("pushes", ["", "base64", "form"])
@pytest.mark.parametrize("numbers", ["", "list"])
def test_claims_and_replies_are_pushed_as_the_adapter_reads_them(pushes: str, numbers: str) -> None:
    side, vendor = counterpart.Counterpart(Late(pushes=pushes, numbers=numbers)), make("mas")
    claims = [claim("1"), claim("2", state=DeliveryState.UNDELIVERED, code="MK:0001"),
              claim("3", state=DeliveryState.UNDELIVERED, code="")]  # fmt: skip
    out = [*side.push_reports(claims), side.push_reply(REPLY)]
    read = [vendor.read_push(samples.raw_push(push.body)) for push in out]
    reports = [report for push in read for report in push.reports]
    assert [(one.vendor_message_id, one.code) for one in reports] == [
        ("1", "DELIVRD"),
        ("2", "MK:0001"),
        ("3", "UNDELIV"),
    ]
    assert {one.number for one in reports} == {"13800138000"} and reports[0].claimed_at == claims[0].claimed_at
    assert [(one.text, one.to) for push in read for one in push.inbound] == [(REPLY.text, REPLY.extension)]
    assert side.push_decision(None) is None  # type: ignore[arg-type]
    assert side.acknowledged(200, b"") and not side.acknowledged(400, b"")


@pytest.mark.parametrize(
    "reason, told",
    [
        (Reason.BLACKLISTED, Reason.BLACKLISTED),
        (Reason.SENSITIVE_CONTENT, Reason.SENSITIVE_CONTENT),
        (Reason.BALANCE, Reason.UNMAPPED),
    ],
)
def test_what_is_not_sent_is_told_in_a_report(reason: Reason, told: Reason) -> None:
    world = Late()
    world.turns["+8613800138000"] = Turned(reason=reason)
    own = sent(world, {}).vendor_message_id
    (report,) = make("mas").read_push(samples.raw_push(world.pushed[0].body)).reports
    assert (report.vendor_message_id, report.reason) == (own, told)


def test_a_cap_is_told_in_a_report() -> None:
    world = Late(per_day="1")
    sent(world, {}), sent(world, {})
    (report,) = make("mas").read_push(samples.raw_push(world.pushed[0].body)).reports
    assert (report.reason, len(world.taken)) == (Reason.FREQUENCY_CAP, 1)


def test_the_purpose_is_read_from_the_text_or_the_template() -> None:
    world = Late()
    for text in ("验证码1", "上新，拒收请回复R", "到了"):
        sent(world, {"text": text})
    sent(world, {"template": "1", "parameters": {"code": "1"}}, interface="template")
    assert [one.purpose for one in world.taken] == [
        Purpose.VERIFICATION, Purpose.MARKETING, Purpose.NOTIFICATION, Purpose.VERIFICATION,
    ]  # fmt: skip


# --- the counterpart --------------------------------------------------------------------------------------------------

SIGNED = ("mobiles", "content", "sign", "addSerial")
SENT = {"ecName": "EC", "apId": "ap", "mobiles": "13800138000", "content": "到了", "sign": "sign1", "addSerial": ""}
BY_TEMPLATE = {"ecName": "EC", "apId": "ap", "mobiles": "13800138000", "templateId": "1", "params": '["1"]',
               "sign": "sign1", "addSerial": ""}  # fmt: skip


def ask(world: World, fields: Any, path: str = "/sms/norsubmit", content: bytes | None = None) -> str:
    names = SIGNED if path == "/sms/norsubmit" else ("templateId", "mobiles", "params", "sign", "addSerial")
    words = "ECapsecret" + "".join(str(fields.get(name, "")) for name in names)
    whole = {"mac": hashlib.md5(words.encode()).hexdigest(), **fields}
    body = base64.b64encode(json.dumps(whole).encode()) if content is None else content
    reply = counterpart.Counterpart(world).answer(
        httpx.Request("POST", f"http://112.35.1.155:1992{path}", content=body)
    )
    told = reply.json()
    assert told["success"] is (told["rspcod"] == "success") is bool(told["msgGroup"])
    return str(told["rspcod"])


@pytest.mark.parametrize(
    "changes, code",
    [
        ({}, "success"),
        ({"secretKey": "secret"}, "success"),
        ({"secretKey": "other"}, "InvalidUsrOrPwd"),
        ({"ecName": "other"}, "InvalidUsrOrPwd"),
        ({"apId": "other"}, "InvalidUsrOrPwd"),
        ({"mac": "e1e96855a94e09e13aeb0804e9a2c2ae"}, "IllegalMac"),
        ({"mac": ""}, "IllegalMac"),
        ({"mobiles": "123"}, "InvalidMobile"),
        ({"mobiles": ""}, "InvalidMobile"),
        ({"mobiles": ",".join(["13800138000"] * 5001)}, "TooManyMobiles"),
        ({"sign": "other"}, "IllegalSignId"),
        ({"content": ""}, "InvalidMessage"),
        ({"addSerial": "x"}, "InvalidMessage"),
        ({"content": 5}, "InvalidMessage"),
    ],
)
def test_whatever_is_wrong_with_a_text_has_its_word(changes: Any, code: str) -> None:
    assert ask(Late(), {**SENT, **changes}) == code


@pytest.mark.parametrize(
    "changes, code",
    [
        ({}, "success"),
        ({"templateId": "9"}, "InvalidMessage"),
        ({"templateId": "4"}, "InvalidMessage"),
        ({"params": "x"}, "InvalidMessage"),
        ({"params": "{}"}, "InvalidMessage"),
        ({"params": "[]"}, "InvalidMessage"),
        ({"params": "[1]"}, "InvalidMessage"),
    ],
)
def test_whatever_is_wrong_with_a_template_has_its_word(changes: Any, code: str) -> None:
    assert ask(Late(), {**BY_TEMPLATE, **changes}, "/sms/tmpsubmit") == code


@pytest.mark.parametrize("content", [b"", b"!", b"e30", base64.b64encode(b"[]"), base64.b64encode(b"\xff"), b"{}"])
def test_a_body_that_is_no_json_in_base64_is_refused(content: bytes) -> None:
    assert ask(Late(), SENT, content=content) == "InvalidMessage"


def test_a_signature_that_is_not_approved_is_not_found() -> None:
    world = Late()
    world.signatures = {"未批签名": False}
    assert ask(world, SENT) == "NoSignId"


def test_several_numbers_have_one_id() -> None:
    world = Late()
    assert ask(world, {**SENT, "mobiles": "13800138000,13900000001"}) == "success"
    assert len({one.key for one in world.taken}) == 1 and len(world.taken) == 2


def test_what_is_no_interface_of_theirs_is_not_there() -> None:
    side = counterpart.Counterpart(Late())
    for method, path in (("GET", "/sms/norsubmit"), ("POST", "/sms/other")):
        assert side.answer(httpx.Request(method, f"http://112.35.1.155:1992{path}")).status_code == 404


@settings(max_examples=60, deadline=None)
@given(
    fields=st.dictionaries(
        st.sampled_from([*SIGNED, "secretKey", "mac", "templateId", "params"]),
        st.one_of(st.none(), st.integers(), st.text(max_size=6)),
    ),
    path=st.sampled_from(["/sms/norsubmit", "/sms/tmpsubmit"]),
)
def test_any_request_gets_the_vendors_answer(fields: dict[str, Any], path: str) -> None:
    content = base64.b64encode(json.dumps({**SENT, **fields}).encode())
    assert ask(Late(), SENT, path, content) in counterpart.CODES | {"success"}
