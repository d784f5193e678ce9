"""What is Yuntongxun's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import DeliveryState, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import make, message
from tests.vendors.test_counterparts import ADVERT, CODE, NOTICE, REPLY, World, claim
from vendors import signing, yuntongxun
from vendors.sandbox import yuntongxun as counterpart
from vendors.sandbox.door import Turned

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the time is in UTC", yuntongxun, "stamp", lambda moment: f"{moment:%Y%m%d%H%M%S}"),
    ("the time is without its seconds", yuntongxun, "stamp",
     lambda moment, step=yuntongxun.stamp: step(moment)[:-2]),
    ("the token is left out", yuntongxun, "sig",
     lambda account, token, when, step=yuntongxun.sig: step(account, "", when)),
    ("account and token change places", yuntongxun, "sig",
     lambda account, token, when, step=yuntongxun.sig: step(token, account, when)),
    ("the time stands first", yuntongxun, "sig",
     lambda account, token, when, step=yuntongxun.sig: step(when, account, token)),
    ("the digest in small letters", yuntongxun, "sig",
     lambda *given, step=yuntongxun.sig: step(*given).lower()),
    ("the digest is of another kind", signing, "md5_hex", signing.sha1_hex),
    ("the header has no colon", yuntongxun, "authorization",
     lambda account, when: base64.b64encode(f"{account}{when}".encode()).decode()),
    ("the header says Basic", yuntongxun, "authorization",
     lambda account, when, step=yuntongxun.authorization: f"Basic {step(account, when)}"),
    ("hex instead of Base64", signing, "base64_text", bytes.hex),
]  # fmt: skip


# --- the adapter ------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=2, max_size=2),
    token=st.text("abcdef0123456789", min_size=1, max_size=32),
    seconds=st.integers(10**9, 4 * 10**9),
)
def test_the_counterpart_takes_what_the_adapter_signs_and_sends_what_was_meant(
    values: list[str], token: str, seconds: int
) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    world = Late(token)
    world.at = moment
    given = {"template": "2", "parameters": dict(zip("ab", values, strict=True))}
    talk = play(make("yuntongxun", {"now": moment.isoformat(), "secret": token}).submit(message(given)))
    reply = counterpart.Counterpart(world).answer(talk.request)
    own = talk.answer(200, content=reply.content).outcome.vendor_message_id
    (taken,) = world.taken
    assert taken.text == f"【测试签名】订单{values[0]}已发货，{values[1]}送达。"
    assert (taken.key, taken.reference, len(own)) == (own, "ref-1", 32)


@pytest.mark.parametrize("template", [None, "SMS_1", "", "1.5"])
def test_without_a_numbered_template_nothing_is_sent(template: str | None) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("yuntongxun").submit(message({"template": template})))
    assert not raised.value.written


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_of_a_reply_is_read(text: str) -> None:
    body = json.dumps({"Request": {"smsType": "0", "fromNum": "13800001234", "content": text}}).encode()
    assert [one.text for one in make("yuntongxun").read_push(samples.raw_push(body)).inbound] == [text]


def test_several_items_in_one_push_are_read_and_what_cannot_be_is_counted() -> None:
    row = {"smsType": "1", "content": "1", "status": "0", "deliverCode": "DELIVRD"}
    push = make("yuntongxun").read_push(samples.raw_push(json.dumps({"Request": [17, {"a": 1}, row]}).encode()))
    assert ([one.vendor_message_id for one in push.reports], push.unread) == (["1"], 2)


# --- the counterpart --------------------------------------------------------------------------------------------------


class Late(World):
    """A world whose templates have numbers, and which keeps what is pushed of the vendor's own accord."""

    def __init__(self, token: str = "token", **options: str) -> None:
        super().__init__({"account_sid": "sid", "auth_token": token, "app_id": "app-0001"}, **options)
        self.templates = {
            "1": replace(CODE, id="1"),
            "2": replace(NOTICE, id="2"),
            "3": replace(ADVERT, id="3"),
            "4": replace(CODE, id="4", approved=False),
        }
        self.pushed: list[Any] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        self.pushed.append(push)


def request_of(world: World, content: bytes, **changes: Any) -> httpx.Request:
    when = changes.get("when", f"{world.at + timedelta(hours=8):%Y%m%d%H%M%S}")
    sig = changes.get("sig", hashlib.md5(f"sidtoken{when}".encode()).hexdigest().upper())
    header = changes.get("header", base64.b64encode(f"sid:{when}".encode()).decode())
    path = changes.get("path", "/2013-12-26/Accounts/sid/SMS/TemplateSMS")
    return httpx.Request(
        changes.get("method", "POST"),
        f"https://app.cloopen.com:8883{path}?sig={sig}",
        headers={"authorization": header} if header else {},
        content=content,
    )


SENT = {"to": "13800138000", "appId": "app-0001", "templateId": "1", "datas": ["1234"]}


def ask(world: World, fields: Any = None, **changes: Any) -> Any:
    content = json.dumps({**SENT, **(fields or {})}).encode()
    body = counterpart.Counterpart(world).answer(request_of(world, changes.pop("content", content), **changes)).json()
    if body["statusCode"] == "000000":
        return body
    assert body == {"statusCode": body["statusCode"], "statusMsg": counterpart.WORDS[body["statusCode"]]}
    return body["statusCode"]


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"path": "/2013-12-26/Accounts/sid/SMS/Other"}, "111100"),
        ({"method": "GET"}, "111100"),
        ({"path": "/2013-12-26/Accounts/sad/SMS/TemplateSMS"}, "111141"),
        ({"header": ""}, "111101"),
        ({"header": "!"}, "111102"),
        ({"header": "/w=="}, "111102"),
        ({"header": "c2lk"}, "111103"),
        ({"header": base64.b64encode(b"sad:20240115163000").decode()}, "111107"),
        ({"when": "2024"}, "111113"),
        ({"when": "20241301000000"}, "111113"),
        ({"when": "20240113163000"}, "111106"),
        ({"sig": ""}, "111108"),
        ({"sig": "C4D55D6A6BB454365DCB491ECB2F1D7E"}, "111109"),
        ({"content": b""}, "160030"),
        ({"content": b"{"}, "160031"),
        ({"content": b"[]"}, "160031"),
    ],
)
def test_whatever_is_wrong_with_a_request_has_its_code(changes: dict[str, Any], code: str) -> None:
    assert ask(Late(), **changes) == code


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"appId": ""}, "111169"),
        ({"appId": "other"}, "111181"),
        ({"to": ""}, "160044"),
        ({"to": "123"}, "160042"),
        ({"to": "13800138000,13800138000"}, "160045"),
        ({"to": ",".join(f"138{n:08d}" for n in range(201))}, "160048"),
        ({"templateId": "one"}, "160057"),
        ({"templateId": True}, "160057"),
        ({"templateId": "9"}, "160032"),
        ({"templateId": "4"}, "160032"),
        ({"datas": None}, "160052"),
        ({"datas": [1234]}, "160052"),
        ({"datas": "1234"}, "160052"),
        ({"reqId": 5}, "160031"),
        ({"reqId": "x" * 33}, "160055"),
        ({"subAppend": "12345"}, "160065"),
    ],
)
def test_whatever_is_wrong_with_a_message_has_its_code(fields: dict[str, Any], code: str) -> None:
    assert ask(Late(), fields) == code


def test_an_old_stamp_is_taken_where_the_account_says_so() -> None:
    assert ask(Late(stale="accepted"), when="20200101000000")["statusCode"] == "000000"


def test_the_answer_can_be_spelt_as_in_the_xml_and_a_template_id_may_be_a_number() -> None:
    assert ask(Late(spelling="capital"), {"templateId": 1})["TemplateSMS"]["dateCreated"] == "20240115163000"


def test_without_a_signature_that_stands_nothing_goes() -> None:
    world = Late()
    world.signatures = {}
    assert ask(world) == "160019"


def test_one_reqid_is_taken_once_a_day() -> None:
    world = Late()
    assert ask(world, {"reqId": "a"})["statusCode"] == "000000"
    assert ask(world, {"reqId": "a"}) == "160054"
    world.at += timedelta(days=1)
    assert ask(world, {"reqId": "a"})["statusCode"] == "000000"
    world.options = {"duplicates": "accepted"}
    assert ask(world, {"reqId": "a"})["statusCode"] == "000000"


@pytest.mark.parametrize(
    "options, template, datas, code",
    [
        ({"per_minute": "1"}, "1", ["1"], "160038"),
        ({"per_day": "1"}, "1", ["1"], "160040"),
        ({"per_day": "1"}, "2", ["1", "2"], "160041"),
        ({"per_day": "1"}, "3", ["1"], "160039"),
        ({"same_content": "1"}, "3", ["1"], "160056"),
    ],
)
def test_each_cap_has_its_code(options: dict[str, str], template: str, datas: list[str], code: str) -> None:
    world = Late(**options)
    answers = [ask(world, {"templateId": template, "datas": datas}) for _ in range(2)]
    assert answers[1] == code
    lifted = Late(caps="lifted", **options)
    assert [ask(lifted)["statusCode"] for _ in range(2)] == ["000000"] * 2


@pytest.mark.parametrize(
    "reason, template, code",
    [
        (Reason.BLACKLISTED, "1", "160034"),
        (Reason.OPTED_OUT, "3", "160051"),
        (Reason.OPTED_OUT, "1", "160068"),
        (Reason.BALANCE, "1", "111142"),
        (Reason.ROUTING, "1", "160050"),
    ],
)
def test_what_the_world_refuses_has_the_vendors_code(reason: Reason, template: str, code: str) -> None:
    world = Late()
    world.turns["+8613800138000"] = Turned(reason=reason)
    assert ask(world, {"templateId": template}) == code


def test_what_becomes_of_one_of_several_numbers_is_told_in_its_report() -> None:
    world = Late()
    world.turns["+8613800138000"] = Turned(reason=Reason.BLACKLISTED)
    own = ask(world, {"to": "13800138000,13900000001"})["templateSMS"]["smsMessageSid"]
    assert [one.number for one in world.taken] == ["+8613900000001"]
    (report,) = make("yuntongxun").read_push(samples.raw_push(world.pushed[0].body)).reports
    assert (report.vendor_message_id, report.code, report.reason) == (own, "160034", Reason.BLACKLISTED)


def test_claims_and_replies_are_pushed_as_the_adapter_reads_them() -> None:
    side, vendor = counterpart.Counterpart(Late()), make("yuntongxun")
    claims = [claim("1"), claim("2", state=DeliveryState.UNDELIVERED, code="")]
    pushes = [*side.push_reports(claims), side.push_reply(REPLY)]
    read = [vendor.read_push(samples.raw_push(push.body)) for push in pushes]
    reports = [(one.vendor_message_id, one.code, one.reference) for push in read for one in push.reports]
    assert reports == [("1", "DELIVRD", "ours-1"), ("2", "UNDELIV", "ours-1")]
    assert [(one.text, one.to) for push in read for one in push.inbound] == [(REPLY.text, REPLY.extension)]
    assert side.push_decision(None) is None  # type: ignore[arg-type]
    assert side.acknowledged(200, b"") and not side.acknowledged(500, b"")


@settings(max_examples=100, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=40),
        st.dictionaries(
            st.sampled_from(["to", "appId", "templateId", "datas", "reqId", "subAppend"]),
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
            ),
        ).map(lambda fields: json.dumps({"appId": "app-0001", **fields}).encode()),
    ),
    header=st.one_of(st.none(), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)),
)
def test_any_request_gets_the_vendors_answer(content: bytes, header: str | None) -> None:
    changes = {} if header is None else {"header": header}
    assert ask(Late(), content=content, **changes) in counterpart.WORDS
