"""What the described vendors' counterparts can do beyond what our descriptions ask, and their own noes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import md5
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from harness.domain import Reason
from harness.flow import play
from tests.vendors.test_conversations import Stage
from vendors.sandbox import ctyun
from vendors.sandbox.door import Turned

ONE, TWO = "13900001234", "13900001235"
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(request.param)
    yield made
    made.loop.close()


def of(vendor: str) -> Any:
    return pytest.mark.parametrize("stage", [vendor], indirect=True)


def ask(stage: Stage, path: str, content: bytes, headers: dict[str, str], method: str = "POST") -> Any:
    request = httpx.Request(method, f"https://x.sandbox{path}", content=content, headers=headers)
    reply = stage.world.counterparts[stage.label].answer(request)
    return reply.json() if reply.content[:1] == b"{" else reply.text


def account(stage: Stage) -> Any:
    return stage.world.accounts[stage.label]


def now(stage: Stage) -> str:
    return str(int(stage.world.now().timestamp()))


def hexed(text: str) -> str:
    return md5(text.encode()).hexdigest()


# --- Luosimao ---------------------------------------------------------------------------------------------------------


def luosimao(stage: Stage, path: str, **fields: str) -> Any:
    word = base64.b64encode(b"api:key-sandbox-luosimao-key").decode()
    return ask(stage, path, urlencode(fields).encode(), {**FORM, "authorization": f"Basic {word}"})


@of("luosimao")
def test_a_batch_of_luosimao_has_an_id_of_its_own(stage: Stage) -> None:
    text = "您的包裹已到服务点【某某科技】"
    body = luosimao(stage, "/v1/send_batch.json", mobile_list=f"{ONE},{TWO}", message=text, time="2026-03-02 12:00:00")
    assert body["error"] == 0 and body["batch_id"] and len(stage.world.sendings) == 2
    assert luosimao(stage, "/v1/send_batch.json", mobile_list="", message=text)["error"] == -40
    assert luosimao(stage, "/v1/send_batch.json", mobile_list=ONE, message=text, time="soon")["error"] == -30
    assert luosimao(stage, "/v1/send.json", mobile=ONE, message=" ")["error"] == -30
    assert "Not Found" in luosimao(stage, "/v1/nothing.json")


# --- Zhutong ----------------------------------------------------------------------------------------------------------


def zhutong(stage: Stage, path: str, **fields: Any) -> Any:
    stamp = now(stage)
    word = hexed(hexed("sandbox-zhutong-password") + stamp)
    body = {"username": "sandboxhy", "tKey": int(stamp), "password": word, **fields}
    return ask(stage, path, json.dumps(body).encode(), JSON)


@of("zhutong")
def test_zhutong_sends_by_template_with_each_ones_values(stage: Stage) -> None:
    template = stage.templates["login_code"]
    rows = [{"mobile": number, "tpContent": {"code": "123456"}} for number in (ONE, TWO)]
    sent = zhutong(stage, "/v2/sendSmsTp", tpId=template, signature="【某某科技】", records=rows)
    assert sent["code"] == 200 and len(stage.world.sendings) == 2
    for code, change in (
        (4014, {"tpId": "1"}),
        (4025, {"records": [{"mobile": ONE, "tpContent": {}}]}),
        (4027, {"records": rows * 101}),
        (9998, {"records": "all"}),
        (4023, {"signature": ""}),
    ):
        given = {"tpId": template, "signature": "【某某科技】", "records": rows, **change}
        assert zhutong(stage, "/v2/sendSmsTp", **given)["code"] == code


@of("zhutong")
def test_zhutong_has_a_code_for_every_way_to_ask_wrongly(stage: Stage) -> None:
    for code, change in (
        (4001, {"username": "x"}),
        (4002, {"password": ""}),
        (4008, {"tKey": "now"}),
        (4008, {"tKey": 1}),
    ):
        assert zhutong(stage, "/v2/balance", **change)["code"] == code
    assert zhutong(stage, "/v2/balance", password="0" * 32)["code"] == 4009
    assert ask(stage, "/v2/balance", b"", JSON, "GET")["code"] == 4029
    assert ask(stage, "/v2/balance", b"", FORM)["code"] == 4030
    assert zhutong(stage, "/v2/nothing")["code"] == 9999
    for path, code, fields in (
        ("/v2/sendSms", 4004, {"mobile": ""}),
        ("/v2/sendSms", 4026, {"mobile": ",".join([ONE] * 2001), "content": "【某某科技】a"}),
        ("/v2/sendSms", 4003, {"mobile": ONE, "content": ""}),
        ("/sms/v1/sign", 4023, {"sign": []}),
        ("/sms/v1/sign", 4023, {"sign": ["某某"]}),
        ("/sms/v1/sign/query", 4023, {"sign": "【没有】"}),
        ("/sms/v2/template", 4031, {"temContent": "a", "temType": 1}),
        ("/sms/v2/template", 4032, {"temName": "a", "temContent": "a", "temType": 9}),
        ("/sms/v2/template/query", 4014, {"temId": 1}),
    ):
        assert zhutong(stage, path, **fields)["code"] == code, path
    assert zhutong(stage, "/sms/v1/sign/query", sign="【某某科技】")["auditResult"] == 2


@of("zhutong")
def test_zhutong_refuses_at_once_what_it_has_a_code_for_and_takes_the_rest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reason, code in ((Reason.BALANCE, 4000), (Reason.BLACKLISTED, 200)):
        monkeypatch.setattr(account(stage), "submit", lambda submission, reason=reason: Turned(reason=reason))
        assert zhutong(stage, "/v2/sendSms", mobile=ONE, content="【某某科技】随便说说")["code"] == code


# --- ihuyi ------------------------------------------------------------------------------------------------------------


def ihuyi(stage: Stage, method: str, **fields: str) -> Any:
    return ask(stage, f"/webservice/sms.php?method={method}", urlencode(fields).encode(), FORM)


@of("ihuyi")
def test_ihuyi_takes_the_key_itself_and_answers_in_xml_unless_told(stage: Stage) -> None:
    known = {"account": "C00000001", "password": "sandbox-ihuyi-key"}
    assert "<code>2</code>" in ihuyi(stage, "GetNum", **known)
    assert ihuyi(stage, "GetNum", **known, format="json")["code"] == 2
    text = "您的登录验证码为123456，10分钟内有效，请勿转发。"
    for code, fields in (
        (405, {**known, "password": "x"}),
        (405, {**known, "account": "x"}),
        (401, {}),
        (402, {"account": "C00000001"}),
        (40501, {**known, "time": "1"}),
        (40502, {**known, "time": now(stage)}),
        (403, known),
        (404, {**known, "mobile": ONE}),
        (4072, {**known, "mobile": ONE, "content": "随便说说"}),
        (406, {**known, "mobile": "1", "content": text}),
    ):
        assert ihuyi(stage, "Submit", **fields, format="json")["code"] == code
    assert ihuyi(stage, "Nothing", **known, format="json")["code"] == 0


@of("ihuyi")
def test_ihuyi_counts_a_numbers_messages_a_second_and_a_day(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    counterpart = stage.world.counterparts[stage.label]
    message = stage.message(stage.people()[0])
    known = {"account": "C00000001", "password": "sandbox-ihuyi-key", "format": "json"}
    at = stage.world.now()

    def sent(seconds: int) -> Any:
        monkeypatch.setattr(account(stage), "now", lambda: at + timedelta(seconds=seconds))
        return ihuyi(stage, "Submit", **known, mobile=message.to.number[3:], content=message.text)["code"]

    assert [sent(0), sent(0), *(sent(10 * step) for step in range(1, 6))] == [2, 4080, 2, 2, 2, 2, 4085]
    counterpart._door.options = {"codes_per_day": "lifted", "per_number_per_day": "5"}
    assert sent(100) == 4082
    counterpart._door.options = {"caps": "lifted"}
    monkeypatch.setattr(account(stage), "submit", lambda submission: Turned(reason=Reason.BLACKLISTED))
    assert sent(110) == 4030


# --- CTYun, Uni SMS, 9tian: through our own descriptions, changed on the way -----------------------------------------


@of("ctyun")
def test_ctyun_knows_nobody_with_another_stamp_key_or_path(stage: Stage) -> None:
    request = play(stage.vendor.submit(stage.message(stage.people()[0]))).request
    assert request is not None
    right = dict(request.headers)
    for path, change in (
        ("/sms/api/v2", {}),
        ("/sms/api/v1", {"eop-authorization": "nonsense"}),
        ("/sms/api/v1", {"eop-date": "today"}),
        ("/sms/api/v1", {"ctyun-eop-request-id": "another"}),
    ):
        said = ask(stage, path, request.content, {**right, **change})
        assert said["code"] in ("NOT_FOUND", "UNAUTHORIZED")
    assert ask(stage, "/sms/api/v1", request.content, right)["code"] == "OK"


@of("ctyun")
def test_ctyun_understands_what_is_signed_or_says_that_it_does_not(stage: Stage) -> None:
    counterpart = stage.world.counterparts[stage.label]
    for body, code in (
        (b"{", "INVALID_JSON"),
        (b'{"action":"Other"}', "INVALID_ACTION"),
        (b'{"action":"SendSms","templateCode":"x"}', "INVALID_TEMPLATE"),
    ):
        with pytest.raises(ctyun._Refusal) as raised:
            request = httpx.Request("POST", "https://x.sandbox/sms/api/v1", content=body)
            counterpart._send(ctyun._params(ctyun.hear(request)))
        assert raised.value.code == code


def unisms(stage: Stage, **params: Any) -> Any:
    account(stage).options = {"mode": "simple"}
    path = "/?action=sms.message.send&accessKeyId=sandboxUniId"
    return ask(stage, path, json.dumps(params).encode(), JSON)


@of("unisms")
def test_uni_sms_takes_texts_as_well_and_many_numbers(stage: Stage) -> None:
    assert unisms(stage, to=[ONE, TWO], signature="某某科技", content="随便说说")["code"] == "0"
    assert unisms(stage, to=ONE, text="【某某科技】随便说说")["code"] == "0"
    assert len(stage.world.sendings) == 3
    template = stage.templates["login_code"]
    for params in (
        {"to": [], "content": "a", "signature": "某某科技"},
        {"to": ONE, "text": "没有签名"},
        {"to": ONE, "templateId": template, "templateData": [], "signature": "某某科技"},
    ):
        assert unisms(stage, **params)["code"] == "400"
    assert ask(stage, "/?action=sms.message.send&accessKeyId=sandboxUniId", b"{", JSON)["code"] == "400"
    assert ask(stage, "/?action=sms.message.send&accessKeyId=x", b"{}", JSON)["code"] == "401"
    account(stage).submit = lambda submission: Turned(reason=Reason.BLACKLISTED)
    assert unisms(stage, to=ONE, text="【某某科技】随便说说")["code"] == "400"


@of("ninetian")
def test_9tian_sends_to_many_and_tells_the_channel(stage: Stage) -> None:
    stamp = now(stage)
    known = {"cpid": "1001", "password": hexed(f"sandbox-ninetian-password_{stamp}_topsky"), "timestamp": stamp}

    def send(**fields: str) -> Any:
        given = {**known, "channelid": "7", "tele": ONE, "msg": "【某某科技】随便说说", **fields}
        return ask(stage, f"/houtai/sms.php?{urlencode(given, encoding='gbk')}", b"", {}, "GET")

    assert send(tele=f"{ONE},{TWO}").startswith("success:") and len(stage.world.sendings) == 2
    for code, fields in ((-3, {"channelid": ""}), (-4, {"tele": ""}), (-5, {"msg": " "}), (-1, {"password": ""})):
        assert send(**fields) == f"error:{code}"
    account(stage).submit = lambda submission: Turned(reason=Reason.HOURS)
    assert send() == "error:-11"
    assert "Not Found" in ask(stage, "/houtai/other.php", b"", {})
