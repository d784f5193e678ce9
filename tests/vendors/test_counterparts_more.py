"""The counterparts of Huawei, SUBMAIL and Montnets hold to the vendors' documents."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import md5, sha1, sha256
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.domain import BEIJING, Carrier, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from tests.vendors.loopback import served
from tests.vendors.test_counterparts import CARD_TIME, PHONE, REPLY, World, claim
from vendors.sandbox import huawei, montnets, submail
from vendors.sandbox.door import Counts, PushOut, Turned
from vendors.sandbox.truth import read_truth

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
APP_KEY, APP_SECRET = "c8RWg3ggEcyd4D3p94bf3Y7x1Ile", "q4Ii87Bh00000000000000000000000"
SENDER = "8823040504797"
NONCE, CREATED = "66C92B11FF8A425FB8D4CCFE0ED9ED1F", "2024-01-15T08:30:00Z"
HEX_DIGEST = "OTJhNWJjZGUyNTFkMjYwNTM5MWVmYWUyMDQwYzhiNDAwZDMwMDY0ZWVlM2NmY2YzYjQ1ZTg4ODQxM2JiNjhjZA=="
RAW_DIGEST = "kqW83iUdJgU5HvriBAyLQA0wBk7uPPzztF6IhBO7aM0="
AKSK = "9909819aef1942f1ab41964c2f3e7985756b1926daa5bed52b3dc9465fcf19fd"
HOST = "smsapi.cn-north-4.myhuaweicloud.com:443"


def fields(push: PushOut | None) -> dict[str, str]:
    assert push is not None and push.content_type.startswith("application/x-www-form-urlencoded")
    return dict(parse_qsl(push.body.decode(), keep_blank_values=True))


# -- Huawei ---------------------------------------------------------------------------------------------------


def hua(**options: str) -> tuple[World, huawei.Counterpart]:
    world = World({"app_key": APP_KEY, "app_secret": APP_SECRET, "sender": SENDER, "project_id": "proj123"}, **options)
    return world, huawei.Counterpart(world)


HUA_FORM = {"from": SENDER, "to": "+8613800138000", "templateId": "SMS_154950909", "templateParas": '["1234"]'}


def wsse(
    form: Mapping[str, str] | None = None, *, digest: str = HEX_DIGEST, profile: str = "", token: str = ""
) -> httpx.Request:
    """A send authenticated by X-WSSE with the card's vector."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": profile or 'WSSE realm="SDP",profile="UsernameToken",type="Appkey"',
        "X-WSSE": token
        or f'UsernameToken Username="{APP_KEY}",PasswordDigest="{digest}",Nonce="{NONCE}",Created="{CREATED}"',
    }
    body = urlencode(form or HUA_FORM).encode()
    return httpx.Request("POST", f"https://{HOST}/sms/batchSendSms/v1", headers=headers, content=body)


def aksk(
    world: World,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    query: str = "",
    key: str = APP_KEY,
    secret: str = APP_SECRET,
    content_type: str = "application/json",
    payload: str = "",
    **headers: str,
) -> httpx.Request:
    """A request signed here once more, by the card."""
    signed = {
        "content-type": content_type,
        "host": HOST,
        "x-sdk-date": world.at.strftime("%Y%m%dT%H%M%SZ"),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    if payload:
        signed["x-sdk-content-sha256"] = payload
    names = sorted(signed)
    canonical = "\n".join(
        [
            method,
            f"{path}/",
            "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(parse_qsl(query))),
            "".join(f"{name}:{signed[name]}\n" for name in names),
            ";".join(names),
            payload or sha256(body).hexdigest(),
        ]
    )
    to_sign = f"SDK-HMAC-SHA256\n{signed['x-sdk-date']}\n{sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), sha256).hexdigest()
    authorization = f"SDK-HMAC-SHA256 Access={key}, SignedHeaders={';'.join(names)}, Signature={signature}"
    url = f"https://{HOST}{path}{'?' if query else ''}{query}"
    return httpx.Request(method, url, headers={**signed, "Authorization": authorization}, content=body)


def send_hua(counterpart: huawei.Counterpart, **changes: str) -> dict[str, Any]:
    reply = counterpart.answer(wsse({**HUA_FORM, **changes}))
    return {"http": reply.status_code, **reply.json()}


def hua_again(world: World, counterpart: huawei.Counterpart, **changes: str) -> dict[str, Any]:
    """A send at the world's own time."""
    body = urlencode({**HUA_FORM, **changes}).encode()
    kind = "application/x-www-form-urlencoded"
    request = aksk(world, "POST", "/sms/batchSendSms/v1", body, content_type=kind, payload="UNSIGNED-PAYLOAD")
    return counterpart.answer(request).json()


@pytest.mark.parametrize("digest", [HEX_DIGEST, RAW_DIGEST])
def test_huawei_takes_both_readings_of_the_wsse_formula(digest: str):
    world, counterpart = hua()
    body = counterpart.answer(wsse(digest=digest)).json()
    (row,) = body["result"]
    assert (body["code"], body["description"], row["status"]) == ("000000", "Success", "000000")
    assert (row["originTo"], row["from"], row["countryId"], row["total"]) == (PHONE, SENDER, "CN", 1)
    assert row["createTime"] == "2024-01-15T08:30:00Z" and row["smsMsgId"].count("_") == 1
    assert world.taken[0].text == "【测试签名】您的验证码是1234，请勿告诉他人。"


def vector(**changes: str) -> httpx.Request:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Host": HOST,
        "X-Sdk-Date": "20240115T083000Z",
        "X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD",
        "Authorization": (
            f"SDK-HMAC-SHA256 Access={APP_KEY}, SignedHeaders=content-type;host;x-sdk-content-sha256;x-sdk-date, "
            f"Signature={AKSK}"
        ),
    }
    path, method = changes.pop("path", "/sms/batchSendSms/v1"), changes.pop("method", "POST")
    return httpx.Request(
        method, f"https://{HOST}{path}", headers={**headers, **changes}, content=urlencode(HUA_FORM).encode()
    )


def test_huawei_takes_the_aksk_vector_whatever_the_form_says():
    world, counterpart = hua()
    assert counterpart.answer(vector()).json()["code"] == "000000"
    assert len(world.taken) == 1


@pytest.mark.parametrize(
    "change, status, code",
    [
        ({"X-Sdk-Date": "20240115T083001Z"}, 401, "E000045"),
        ({"Host": "other.myhuaweicloud.com"}, 401, "E000045"),
        ({"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, 401, "E000045"),
        ({"X-Sdk-Content-Sha256": "0" * 64}, 401, "E000045"),
        ({"path": "/sms/batchSendSms/v1?a=1"}, 401, "E000045"),
        ({"path": "/sms/batchSendDiffSms/v1"}, 401, "E000045"),
        ({"X-Sdk-Date": "20240115T081459Z"}, 401, "E000101"),
        ({"Authorization": f"SDK-HMAC-SHA256 Access=x, SignedHeaders=host, Signature={AKSK}"}, 401, "E000102"),
        ({"Authorization": ""}, 400, "E000001"),
        ({"Authorization": "Basic abc"}, 400, "E000008"),
        ({"path": "/sms/else/v1"}, 404, "E000000"),
        ({"method": "GET"}, 404, "E000000"),
    ],
)
def test_huawei_refuses_a_signed_request_tampered_with_anywhere(change: dict[str, str], status: int, code: str):
    world, counterpart = hua()
    reply = counterpart.answer(vector(**change))
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert not world.taken


def test_huawei_lets_no_signed_json_body_go_unsigned():
    world, counterpart = hua()
    body = json.dumps({"from": SENDER, "smsContent": []}).encode()
    request = aksk(world, "POST", "/sms/batchSendDiffSms/v1", body, payload="UNSIGNED-PAYLOAD")
    assert counterpart.answer(request).json()["code"] == "E000045"


@pytest.mark.parametrize(
    "profile, token, status, code",
    [
        ('WSSE profile="UsernameToken",type="Appkey"', "", 400, "E000002"),
        ('WSSE realm="SDP",type="Appkey"', "", 400, "E000003"),
        ('WSSE realm="X",profile="UsernameToken",type="Appkey"', "", 400, "E000004"),
        ('WSSE realm="SDP",profile="X",type="Appkey"', "", 400, "E000005"),
        ('WSSE realm="SDP",profile="UsernameToken",type="X"', "", 400, "E000006"),
        ('WSSE realm="SDP",profile="UsernameToken"', "", 400, "E000007"),
        ("", "UsernameToken x", 400, "E000021"),
        ("", f'UsernameToken Username="{APP_KEY}"', 400, "E000022"),
        ("", f'UsernameToken Username="{APP_KEY}",Nonce="1"', 400, "E000023"),
        ("", f'UsernameToken Username="{APP_KEY}",Nonce="1",Created="{CREATED}"', 400, "E000024"),
        ("", f'UsernameToken Username="x",Nonce="1",Created="{CREATED}",PasswordDigest="x"', 401, "E000102"),
        ("", f'UsernameToken Username="{APP_KEY}",Nonce="1",Created="{CREATED}",PasswordDigest="x"', 401, "E000101"),
        ("", f'UsernameToken Username="{APP_KEY}",Nonce="1",Created="now",PasswordDigest="x"', 401, "E000101"),
    ],
)
def test_huawei_names_what_is_wrong_with_wsse(profile: str, token: str, status: int, code: str):
    _, counterpart = hua()
    reply = counterpart.answer(wsse(profile=profile, token=token))
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_huawei_allows_wsse_a_day_of_skew():
    world, counterpart = hua()
    for hours, status in ((23, 200), (24, 401), (-24, 401)):
        world.at = CARD_TIME + timedelta(hours=hours)
        assert counterpart.answer(wsse()).status_code == status
    world, lax = hua(stale="accepted")
    world.at += timedelta(days=9)
    assert lax.answer(wsse()).status_code == 200


@pytest.mark.parametrize(
    "change, code",
    [
        ({"from": ""}, "E000503"),
        ({"from": "1" * 22}, "E000503"),
        ({"to": ""}, "E000503"),
        ({"to": "+8613800138000,abc"}, "E000503"),
        ({"to": ",".join(f"+86138{n:08d}" for n in range(501))}, "E000503"),
        ({"templateId": ""}, "E000503"),
        ({"templateParas": "["}, "E000000"),
        ({"templateParas": '{"a":1}'}, "E000503"),
        ({"templateParas": "[1234]"}, "E000503"),
        ({"statusCallback": "ftp://x"}, "E000503"),
        ({"extend": ""}, "E000503"),
        ({"extend": "{1}"}, "E000503"),
        ({"extend": "x" * 129}, "E000503"),
    ],
)
def test_huawei_refuses_a_whole_request_that_is_wrong(change: dict[str, str], code: str):
    world, counterpart = hua()
    body = send_hua(counterpart, **change)
    assert (body["http"], body["code"]) == (400, code) and not world.taken


@pytest.mark.parametrize(
    "change, status",
    [
        ({"templateId": "SMS_404"}, "E200030"),
        ({"templateId": "SMS_3"}, "E200030"),
        ({"templateParas": "[]"}, "E200028"),
        ({"templateParas": '["1","2"]'}, "E200028"),
        ({"templateParas": json.dumps(["1" * 21])}, "E200028"),
        ({"from": "1069"}, "E200018"),
        ({"from": str(int(SENDER) + 1)}, "E200018"),  # the channel of the signature that is not approved
        ({"to": "+861380013"}, "E200031"),
    ],
)
def test_huawei_refuses_single_numbers_by_status(change: dict[str, str], status: str):
    world, counterpart = hua()
    body = send_hua(counterpart, **change)
    assert (body["http"], body["code"], body["result"][0]["status"]) == (200, "E000510", status)
    assert not world.taken


def test_huawei_gives_each_number_its_own_id_and_finds_doubles():
    world, counterpart = hua()
    body = send_hua(counterpart, to="+8613800138000,+8613800138001,+8613800138000")
    assert [row["status"] for row in body["result"]] == ["000000", "000000", "E200041"]
    assert body["code"] == "000000" and len({row["smsMsgId"] for row in body["result"]}) == 3
    assert [one.key for one in world.taken] == [row["smsMsgId"] for row in body["result"][:2]]
    _, other = hua(partial="E000510")
    assert send_hua(other, to="+8613800138000,+8613800138000")["code"] == "E000510"


def test_huawei_sends_different_contents_in_one_call():
    world, counterpart = hua()
    contents = [
        {"to": [PHONE], "templateId": "SMS_154950909", "templateParas": ["1"]},
        {"to": ["+8613900000000"], "templateId": "SMS_1", "templateParas": ["7", "明天"]},
    ]
    body = json.dumps({"from": SENDER, "smsContent": contents, "extend": "x1"}).encode()
    reply = counterpart.answer(aksk(world, "POST", "/sms/batchSendDiffSms/v1", body)).json()
    assert [row["status"] for row in reply["result"]] == ["000000"] * 2
    assert [one.text[6:] for one in world.taken] == ["您的验证码是1，请勿告诉他人。", "订单7已发货，明天送达。"]
    assert {one.reference for one in world.taken} == {"x1"}
    for broken in (b"[]", b"{", b'{"from":"1","smsContent":[3]}', b'{"from":"1","smsContent":[{"to":"x"}]}'):
        code = counterpart.answer(aksk(world, "POST", "/sms/batchSendDiffSms/v1", broken)).json()["code"]
        assert code in ("E000000", "E000503")


def test_huawei_wants_the_signature_named_for_universal_templates_only():
    _, counterpart = hua(templates="universal")
    assert send_hua(counterpart)["result"][0]["status"] == "E200018"
    assert send_hua(counterpart, signature="测试签名")["code"] == "000000"
    _, counterpart = hua()
    assert send_hua(counterpart, signature="什么都行")["code"] == "000000"


@pytest.mark.parametrize("reason", list(Reason))
def test_huawei_puts_every_no_of_the_world_into_its_own_words(reason: Reason):
    world, counterpart = hua()
    world.turns[PHONE] = Turned(reason=reason)
    body = send_hua(counterpart)
    if reason in huawei.REQUEST_CODES:
        assert (body["http"], body["code"]) == (403, huawei.REQUEST_CODES[reason])
    elif reason in huawei.LATE_STATUSES:
        assert body["code"] == "000000"
        pushed = counterpart.push_reports([claim("other")])
        rows = json.loads(pushed.body)["statusReportList"]
        late = next(row for row in rows if row["smsMsgId"] == body["result"][0]["smsMsgId"])
        assert (late["status"], late["source"]) == (huawei.LATE_STATUSES[reason], "1")
        assert "updateTime" not in late
    else:
        status = huawei.STATUSES.get(reason, "E200031")
        assert (body["code"], body["result"][0]["status"]) == ("E000510", status)


def test_huawei_says_no_at_once_where_the_account_is_set_so():
    world, counterpart = hua(refusals="submit")
    world.turns[PHONE] = Turned(reason=Reason.BLACKLISTED)
    assert send_hua(counterpart)["result"][0]["status"] == "BLACK"


def test_huawei_caps_codes_at_two_a_minute_and_fifty_a_day():
    world, counterpart = hua(refusals="submit")
    told = []
    for second in (0, 59, 59.5, 60):
        world.at = CARD_TIME + timedelta(seconds=second)
        told.append(hua_again(world, counterpart)["result"][0]["status"])
    assert told == ["000000", "000000", "MILIMIT", "000000"]
    for minute in range(2, 49):
        world.at = CARD_TIME + timedelta(minutes=minute)
        assert hua_again(world, counterpart)["code"] == "000000"
    world.at = CARD_TIME + timedelta(hours=23)
    assert hua_again(world, counterpart)["result"][0]["status"] == "LIMIT"
    world.at = CARD_TIME + timedelta(hours=24)
    assert hua_again(world, counterpart)["code"] == "000000"


def test_huawei_caps_follow_purpose_site_and_options():
    notice = {"templateId": "SMS_1", "templateParas": '["1","2"]'}
    _, counterpart = hua(refusals="submit")
    assert [send_hua(counterpart, **notice)["code"] for _ in range(11)] == ["000000"] * 10 + ["E000510"]
    _, counterpart = hua(refusals="submit", site="international")
    told = [send_hua(counterpart, templateParas=f'["{n}"]')["result"][0]["status"] for n in (1, 1, 1, 2)]
    assert told == ["000000", "000000", "MILIMIT", "000000"]
    _, counterpart = hua(caps="lifted")
    assert {send_hua(counterpart)["code"] for _ in range(60)} == {"000000"}


def test_huawei_throttles_over_its_rate():
    _, counterpart = hua(qps="1", caps="lifted")
    assert [send_hua(counterpart)["result"][0]["status"] for _ in range(2)] == ["000000", "E200015"]


def test_huawei_pushes_a_form_to_a_callback_and_a_list_without_one():
    _, counterpart = hua()
    with_callback = send_hua(counterpart, statusCallback="https://inbox.example/cb", extend="ours-1")["result"][0]
    one = replace(claim(with_callback["smsMsgId"]), segments=1)
    assert fields(counterpart.push_reports([one])) == {
        "sequence": "1",
        "total": "1",
        "updateTime": "2024-01-15T08:30:04Z",
        "source": "2",
        "smsMsgId": with_callback["smsMsgId"],
        "status": "DELIVRD",
        "extend": "ours-1",
        "to": PHONE,
    }
    plain = replace(one, key="other", reference=None)
    push = counterpart.push_reports([plain])
    assert push.content_type == "application/json"
    (row,) = json.loads(push.body)["statusReportList"]
    assert row["smsMsgId"] == "other" and not {"extend", "to"} & set(row)


def test_huawei_reports_a_long_message_part_by_part():
    _, counterpart = hua()
    key = send_hua(counterpart, statusCallback="https://inbox.example/cb")["result"][0]["smsMsgId"]
    parts = [fields(push) for push in counterpart.push_parts(claim(key))]
    assert [(part["sequence"], part["total"], part["smsMsgId"]) for part in parts] == [("1", "2", key), ("2", "2", key)]
    rows = json.loads(counterpart.push_reports([claim(key)]).body)["statusReportList"]
    assert [row["sequence"] for row in rows] == ["1", "2"]
    _, counterpart = hua(report_types="number")
    rows = json.loads(counterpart.push_reports([claim("k")]).body)["statusReportList"]
    assert [(row["sequence"], row["total"], row["source"]) for row in rows] == [(1, 2, 2), (2, 2, 2)]


def test_huawei_signs_pushes_when_it_has_a_push_key():
    world, _ = hua(push_address="https://inbox.example/push/acme")
    world.credentials = {**world.credentials, "push_key": "pk", "push_secret": "ps"}
    counterpart = huawei.Counterpart(world)
    push = counterpart.push_reply(REPLY)
    assert fields(push)["to"].endswith(REPLY.extension)
    headers = f"content-type:{push.content_type}\nhost:inbox.example\nx-sdk-date:20240115T083000Z\n"
    canonical = f"POST\n/push/acme/inbound/\n\n{headers}\ncontent-type;host;x-sdk-date\n{sha256(push.body).hexdigest()}"
    to_sign = f"SDK-HMAC-SHA256\n20240115T083000Z\n{sha256(canonical.encode()).hexdigest()}"
    right = hmac.new(b"ps", to_sign.encode(), sha256).hexdigest()
    assert push.headers["Authorization"].endswith(f"Signature={right}")
    assert push.headers["X-Sdk-Date"] == "20240115T083000Z"


def test_huawei_pushes_replies_with_the_channel_and_its_extension():
    _, counterpart = hua(mo_create_time="yes")
    row = fields(counterpart.push_reply(REPLY))
    assert (row["from"], row["to"], row["body"]) == ("+8615200001314", f"{SENDER}8888", "退订")
    assert row["createTime"] == "2024-01-15T08:30:00Z" and len(row["smsMsgId"]) == 36
    assert "createTime" not in fields(hua()[1].push_reply(REPLY))


def test_huawei_takes_http_200_for_an_acknowledgement_and_never_tries_again():
    _, counterpart = hua()
    assert counterpart.acknowledged(200, b"") and not counterpart.acknowledged(202, b"")
    assert counterpart.push_retry == () and counterpart.push_reports([]) is None


def manage(world: World, counterpart: huawei.Counterpart, method: str, path: str, **more: Any) -> httpx.Response:
    body = json.dumps(more["body"]).encode() if "body" in more else b""
    request = aksk(
        world, method, f"/v2/proj123/msgsms/{path}", body, query=more.get("query", ""), x_project_id="proj123"
    )
    return counterpart.answer(request)


HUA_TEMPLATE = {
    "app_id": "app1",
    "region": "cn",
    "template_content": "您的验证码是${1}，请勿泄露。",
    "template_name": "t1",
    "template_type": "VERIFY_CODE_TYPE",
    "variable_attributes": [{"variable_index": 1, "variable_type": "CHARDIGIT"}],
    "flow_status": "Reviewing",
}


def test_huawei_reviews_a_template_and_then_sends_by_it():
    world, counterpart = hua()
    signatures = manage(world, counterpart, "GET", "signatures", query="signature_name=%E6%B5%8B%E8%AF%95").json()
    (filed,) = signatures["results"]
    assert (filed["status"], filed["channel_num"]) == ("REVIEW_PASSED", SENDER)
    made = manage(world, counterpart, "POST", "templates", body={**HUA_TEMPLATE, "sign_id": filed["id"]}).json()
    assert made["template_name"] == "t1"
    row = manage(world, counterpart, "GET", f"templates/{made['id']}").json()
    assert (row["flow_status"], row["template_id"]) == ("Reviewing", "")
    world.at += timedelta(minutes=40)
    world.decide(1, ReviewVerdict.APPROVED)
    row = manage(world, counterpart, "GET", f"templates/{made['id']}").json()
    assert (row["flow_status"], row["create_time"], row["update_time"]) == (
        "Adopted",
        "2024-01-15 16:30:00",
        "2024-01-15 17:10:00",
    )
    assert hua_again(world, counterpart, templateId=row["template_id"])["code"] == "000000"
    assert world.taken[0].text == "【测试签名】您的验证码是1234，请勿泄露。"
    wrong = hua_again(world, counterpart, templateId=row["template_id"], templateParas='["-"]')
    assert wrong["result"][0]["status"] == "E200029"
    listed = manage(world, counterpart, "GET", "templates", query="flow_status=Adopted&limit=2&offset=1").json()
    assert listed["total"] == 4 and len(listed["results"]) == 2


def test_huawei_gives_a_reviewed_signature_its_own_channel():
    world, counterpart = hua()
    body = {
        "app_id": "app1",
        "signature_name": "某某科技",
        "signature_type": "VERIFY_CODE_TYPE",
        "signature_source": 0,
        "is_involved_third": "No",
    }
    made = manage(world, counterpart, "POST", "signatures", body=body).json()
    assert set(made) == {"id", "signature_id", "signature_name"}
    assert manage(world, counterpart, "GET", f"signatures/{made['id']}").json()["status"] == "PENDING_REVIEW"
    world.decide(1, ReviewVerdict.APPROVED)
    world.signatures["某某科技"] = True  # as the world's account does
    row = manage(world, counterpart, "GET", f"signatures/{made['id']}").json()
    assert row["status"] == "REVIEW_PASSED"
    assert hua_again(world, counterpart, **{"from": row["channel_num"]})["code"] == "000000"
    assert world.taken[0].text.startswith("【某某科技】")
    world.decide(1, ReviewVerdict.REJECTED, "资料不全")
    row = manage(world, counterpart, "GET", f"signatures/{made['id']}").json()
    assert (row["status"], row["review_desc"], row["channel_num"]) == ("REVIEW_NOT_PASS", "资料不全", "")


@pytest.mark.parametrize(
    "change",
    [
        {"template_type": "OTHER"},
        {"template_content": "没有变量的验证码"},
        {"template_content": "数字是${1}"},
        {"template_content": ""},
        {"region": "mars"},
        {"app_id": 3},
        {"flow_status": "Adopted"},
        {"variable_attributes": [{"variable_index": 2, "variable_type": "TEXT"}]},
        {"variable_attributes": "x"},
    ],
)
def test_huawei_refuses_templates_against_its_rules(change: dict[str, Any]):
    world, counterpart = hua()
    body = {**HUA_TEMPLATE, "universal_template": 1, **change}
    reply = manage(world, counterpart, "POST", "templates", body=body)
    assert (reply.status_code, reply.json()["error_code"]) == (400, "MSGSMS.0002")
    assert not world.open


def test_huawei_guards_its_management_by_project_key_and_token():
    world, counterpart = hua()
    path = "/v2/proj123/msgsms/templates"
    for request in (
        aksk(world, "GET", path),
        aksk(world, "GET", path, x_project_id="other"),
        aksk(world, "GET", path, x_project_id="proj123", secret="wrong"),
        aksk(world, "GET", path.replace("proj123", "other"), x_project_id="other"),
        httpx.Request("GET", f"https://{HOST}{path}", headers={"X-Auth-Token": "wrong"}),
    ):
        reply = counterpart.answer(request)
        assert (reply.status_code, reply.json()["error_code"]) == (401, "APIGW.0301")
    world.credentials = {**world.credentials, "auth_token": "t", "access_key": "ak", "access_secret": "sk"}
    token = httpx.Request("GET", f"https://{HOST}{path}", headers={"X-Auth-Token": "t"})
    assert counterpart.answer(token).status_code == 200
    own = aksk(world, "GET", path, x_project_id="proj123", key="ak", secret="sk")
    assert counterpart.answer(own).status_code == 200


def test_huawei_keeps_a_pending_template_as_a_draft():
    world, counterpart = hua()
    body = {**HUA_TEMPLATE, "universal_template": 1, "flow_status": "Pending"}
    own = manage(world, counterpart, "POST", "templates", body=body).json()["id"]
    assert manage(world, counterpart, "GET", f"templates/{own}").json()["flow_status"] == "Pending"
    assert not world.open
    assert manage(world, counterpart, "DELETE", f"templates/{own}").status_code == 404  # its answer is not known
    assert manage(world, counterpart, "GET", "apps").json()["error_code"] == "MSGSMS.0002"


def test_huaweis_own_sdk_is_content():
    sdk = pytest.importorskip("huaweicloudsdksmsapi.v1")
    credentials = pytest.importorskip("huaweicloudsdksmsapi.v1.smsapi_credentials")
    world, counterpart = hua(stale="accepted")
    with served(counterpart) as address:
        builder = sdk.SMSApiClient.new_builder()
        client = builder.with_credentials(credentials.SMSApiCredentials(APP_KEY, APP_SECRET))
        client = client.with_endpoint(f"http://{address}").build()
        body = sdk.BatchSendSmsRequestBody(
            _from=SENDER, to="+8613800138000", template_id="SMS_154950909", template_paras='["1234"]'
        )
        assert client.batch_send_sms(sdk.BatchSendSmsRequest(body=body)).code == "000000"
    assert len(world.taken) == 1


# -- SUBMAIL --------------------------------------------------------------------------------------------------

APPID, APPKEY = "10001", "appkey"
SUB_TEXT = "【测试签名】您的验证码是1234，请勿告诉他人。"
SUB_AT = datetime.fromtimestamp(1_700_000_000, UTC)


def sub(**options: str) -> tuple[World, submail.Counterpart]:
    world = World({"appid": APPID, "appkey": APPKEY, "subhook_key": "subkey"}, **options)
    return world, submail.Counterpart(world)


def ask_sub(counterpart: submail.Counterpart, path: str, method: str = "POST", **params: str) -> Any:
    every = {"appid": APPID, "signature": APPKEY, **params}
    url = f"https://api-v4.mysubmail.com/{path}"
    if method == "GET":
        return counterpart.answer(httpx.Request("GET", url, params=every)).json()
    return counterpart.answer(httpx.Request(method, url, data=every)).json()


def sub_signed(path: str, kind: str, at: int, **params: str) -> dict[str, str]:
    """Parameters signed here once more, by the card."""
    every = {"appid": APPID, "sign_type": kind, "timestamp": str(at), **params}
    left_out = {"signature", "tag"} | ({"content", "vars", "multi"} if every.get("sign_version") == "2" else set())
    joined = "&".join(f"{name}={every[name]}" for name in sorted(every) if name not in left_out)
    hashed = {"md5": md5, "sha1": sha1}[kind](f"{APPID}{APPKEY}{joined}{APPID}{APPKEY}".encode())
    return {**every, "signature": hashed.hexdigest()}


@pytest.mark.parametrize(
    "extra, signature",
    [({}, "f445c63133aca7867fcf8c943b0b8219"), ({"sign_version": "2"}, "f8e0f80e6fdbd12ecb1deeb871e3bdfc")],
)
def test_submail_takes_the_cards_vectors_and_refuses_them_changed(extra: dict[str, str], signature: str):
    world, counterpart = sub()
    world.at = SUB_AT
    params = {
        "to": "13800000000",
        "content": "【TEST】code 1234",
        "sign_type": "md5",
        "timestamp": "1700000000",
        "signature": signature,
        **extra,
    }
    body = ask_sub(counterpart, "sms/send", **params)
    assert body["code"] == "409"  # past the signature: the text matches no template yet
    assert ask_sub(counterpart, "sms/send", **params, tag="never signed")["code"] == "409"
    for changed in ({"to": "13800000001"}, {"timestamp": "1700000001"}, {"more": "x"}, {"signature": signature[::-1]}):
        assert ask_sub(counterpart, "sms/send", **{**params, **changed})["code"] == "108"
    longer = ask_sub(counterpart, "sms/send", **{**params, "content": "【TEST】code 9999"})
    assert longer["code"] == ("409" if extra else "108")


@pytest.mark.parametrize("kind", ["md5", "sha1"])
def test_submail_takes_both_digests_within_six_seconds(kind: str):
    world, counterpart = sub()
    told = counterpart.answer(httpx.Request("GET", "https://x/service/timestamp.json")).json()
    assert told == {"timestamp": int(CARD_TIME.timestamp())}
    for seconds, code in ((0, None), (6, None), (7, "152"), (-7, "152")):
        params = sub_signed("sms/send", kind, told["timestamp"] - seconds, to="13800138000", content=SUB_TEXT)
        assert ask_sub(counterpart, "sms/send", **params).get("code") == code
    params = sub_signed("sms/send", kind, 1, to="13800138000", content=SUB_TEXT)
    assert "send_id" in ask_sub(sub(stale="accepted")[1], "sms/send", **params)
    assert ask_sub(counterpart, "sms/send", **{**params, "timestamp": "now"})["code"] == "151"
    assert len(world.taken) == 2


@pytest.mark.parametrize(
    "params, code",
    [
        ({"appid": "1"}, "101"),
        ({"signature": ""}, "111"),
        ({"signature": "wrong"}, "109"),
        ({"sign_type": "sha256"}, "107"),
        ({"to": ""}, "251"),
        ({"to": "1380013800"}, "251"),
        ({"content": ""}, "403"),
        ({"content": "没有签名"}, "401"),
        ({"content": "【测试签名】"}, "403"),
        ({"content": f"【{'长' * 41}】文"}, "402"),
        ({"content": "【测试签名】" + "长" * 995}, "404"),
        ({"tag": "x" * 33}, "310"),
        ({"content": "【测试签名】已撤销1"}, "420"),
    ],
)
def test_submail_checks_what_it_is_given(params: dict[str, str], code: str):
    world, counterpart = sub()
    body = ask_sub(counterpart, "sms/send", **{"to": "13800138000", "content": SUB_TEXT, **params})
    assert (body["status"], body["code"]) == ("error", code) and body["msg"]
    assert not world.taken


def test_submail_reads_forms_json_multipart_and_queries_alike():
    world, counterpart = sub()
    every = {"appid": APPID, "signature": APPKEY, "to": "13800138000", "content": SUB_TEXT}
    url = "https://api-v4.mysubmail.com/sms/send.json"
    requests = [
        httpx.Request("GET", url, params=every),
        httpx.Request("POST", url, data=every),
        httpx.Request("POST", url, json={**every, "appid": int(APPID)}),
        httpx.Request("POST", url, files={name: (None, value) for name, value in every.items()}),
    ]
    for request in requests:
        request.read()
        body = counterpart.answer(request).json()
        assert body["status"] == "success" and body["fee"] == 1 and len(body["send_id"]) == 32
    assert {one.text for one in world.taken} == {SUB_TEXT}
    broken = httpx.Request("POST", url, content=b"{", headers={"Content-Type": "application/json"})
    assert counterpart.answer(broken).json()["code"] == "307"


def test_submail_files_an_unknown_text_for_review_and_then_lets_it_pass():
    world, counterpart = sub()
    text = {"to": "13800138000", "content": "【新公司】您好，取货码为 8848，请及时取件。"}
    assert ask_sub(counterpart, "sms/send", **text)["code"] == "409"
    again = {**text, "content": "【新公司】您好，取货码为 9527，请及时取件。"}
    assert ask_sub(counterpart, "sms/send", **again)["code"] == "409"
    assert len(world.open) == 1
    accepted = world.decide(1, ReviewVerdict.APPROVED)
    assert ask_sub(counterpart, "sms/send", **again)["status"] == "success"
    assert fields(counterpart.push_decision(accepted))["events"] == "template_accept"
    world.decide(1, ReviewVerdict.REJECTED, "签名不符")
    assert ask_sub(counterpart, "sms/send", **again)["code"] == "420"


def test_submail_matches_texts_with_many_variables_in_no_time():
    world, counterpart = sub()
    many = "".join(f"@var(v{n}) " for n in range(60)) + "完"
    draft = {"sms_signature": "【测试签名】", "sms_content": many[:500]}
    assert ask_sub(counterpart, "sms/template", **draft)["status"] == "success"
    world.decide(1, ReviewVerdict.APPROVED)
    body = ask_sub(counterpart, "sms/send", to="13800138000", content="【测试签名】" + "a " * 400)
    assert body["code"] == "409"


def test_submail_sends_by_project_to_one_to_many_and_to_each():
    world, counterpart = sub()
    one = ask_sub(counterpart, "sms/xsend", to="13800138000", project="SMS_154950909", vars='{"code":1234}')
    assert one["status"] == "success" and world.taken[0].text == SUB_TEXT
    each = ask_sub(
        counterpart,
        "sms/multixsend",
        project="SMS_154950909",
        multi='[{"to":"13800138000","vars":{"code":"7"}},{"to":"1"},{"to":"13800138001","vars":{"code":"8"}}]',
    )
    assert [row["status"] for row in each] == ["success", "error", "success"]
    assert each[1]["code"] in (251, 307) and each[2]["to"] == "13800138001"
    free = ask_sub(
        counterpart,
        "sms/multisend",
        content="【测试签名】您的验证码是@var(code)，请勿告诉他人。",
        multi='[{"to":"13800138000","vars":{"code":"7"}}]',
    )
    assert free[0]["status"] == "success"
    batch = ask_sub(counterpart, "sms/batchsend", to="13800138000,13800138001,2", content=SUB_TEXT)
    assert (batch["status"], batch["total_fee"], len(batch["responses"])) == ("success", 2, 3)
    assert batch["responses"][2]["status"] == "error" and batch["responses"][2]["code"] == 251
    assert len({one.key for one in world.taken}) == 6
    listed = ask_sub(counterpart, "sms/log", sendlist=batch["batchlist"])
    assert {row["to"] for row in listed["data"]} == {"13800138000", "13800138001"}


@pytest.mark.parametrize(
    "path, params, code",
    [
        ("sms/xsend", {}, "305"),
        ("sms/xsend", {"project": "none"}, "306"),
        ("sms/xsend", {"project": "SMS_3"}, "420"),
        ("sms/xsend", {"project": "SMS_154950909"}, "307"),
        ("sms/xsend", {"project": "SMS_154950909", "vars": "{"}, "307"),
        ("sms/xsend", {"project": "SMS_154950909", "vars": '{"code":{}}'}, "307"),
        ("sms/multisend", {"content": SUB_TEXT}, "410"),
        ("sms/multisend", {"content": SUB_TEXT, "multi": "[3]"}, "307"),
        ("sms/multisend", {"content": SUB_TEXT, "multi": "[]"}, "410"),
        ("sms/batchsend", {"to": ",".join(["13800138000"] * 10001), "content": SUB_TEXT}, "251"),
        ("sms/unionsend", {}, "119"),
        ("sms/send.xml", {}, "119"),
    ],
)
def test_submail_refuses_wrong_projects_values_and_paths(path: str, params: dict[str, str], code: str):
    _, counterpart = sub()
    assert ask_sub(counterpart, path, **{"to": "13800138000", **params})["code"] == code


@pytest.mark.parametrize("reason", list(Reason))
def test_submail_puts_every_no_of_the_world_into_its_own_words(reason: Reason):
    world, counterpart = sub()
    world.turns[PHONE] = Turned(reason=reason, words=("发票",))
    body = ask_sub(counterpart, "sms/send", to="13800138000", content=SUB_TEXT)
    assert body["code"] == str(submail.REFUSALS.get(reason, 119))
    assert ("发票" in body["msg"]) == (reason is Reason.SENSITIVE_CONTENT)


def test_submail_words_its_errors_as_the_account_is_set():
    _, counterpart = sub(codes="number", error_status="400")
    request = httpx.Request("POST", "https://x/sms/send", data={"appid": "1"})
    reply = counterpart.answer(request)
    assert (reply.status_code, reply.json()["code"]) == (400, 101)


def test_submail_caps_only_where_the_account_has_figures():
    _, counterpart = sub()
    params = {"to": "13800138000", "content": SUB_TEXT}
    assert {ask_sub(counterpart, "sms/send", **params)["status"] for _ in range(30)} == {"success"}
    world, counterpart = sub(per_minute="2", same_content_per_day="3")
    told = []
    for second in (0, 1, 2, 60, 61, 62):
        world.at = CARD_TIME + timedelta(seconds=second)
        told.append(ask_sub(counterpart, "sms/send", **params).get("code"))
    assert told == [None, None, "115", None, "408", "408"]
    _, counterpart = sub(per_minute="1", caps="lifted")
    assert [ask_sub(counterpart, "sms/send", **params)["status"] for _ in range(3)] == ["success"] * 3
    _, counterpart = sub(qps="1")
    assert [ask_sub(counterpart, "balance/sms").get("code") for _ in range(2)] == [None, "119"]


def test_submail_keeps_lists_that_stop_messages():
    _, counterpart = sub(blacklist_book="Bk1")
    params = {"to": "13800138000", "content": SUB_TEXT}

    def sent() -> str | None:
        return ask_sub(counterpart, "sms/send", **params).get("code")

    assert ask_sub(counterpart, "addressbook/sms/unsubscribe.json", address="13800138000") == {"status": "success"}
    assert sent() == "253"
    ask_sub(counterpart, "addressbook/sms/subscribe", address="13800138000")
    assert sent() is None
    ask_sub(counterpart, "addressbook/sms/subscribe", address="13800138000", target="Bk1")
    assert sent() == "114"
    ask_sub(counterpart, "addressbook/sms/unsubscribe", address="13800138000", target="Bk1")
    assert sent() is None
    assert ask_sub(counterpart, "addressbook/sms/unsubscribe", address="x")["code"] == "251"


def test_submail_reviews_templates_through_one_path():
    world, counterpart = sub()
    draft = {"sms_title": "题", "sms_signature": "【测试签名】", "sms_content": "取货码 @var(code)，今日有效"}
    own = ask_sub(counterpart, "sms/template", **draft)["template_id"]
    assert len(own) == 6 and world.open[0].text == "取货码 {code}，今日有效"

    def row() -> dict[str, Any]:
        (one,) = ask_sub(counterpart, "sms/template", "GET", template_id=own)["templates"]
        return one

    assert (row()["template_status"], row()["sms_content"]) == ("1", draft["sms_content"])
    world.decide(1, ReviewVerdict.REJECTED, "请补充")
    assert (row()["template_status"], row()["template_reject_reson"]) == ("3", "请补充")
    refused = fields(counterpart.push_decision(world.open[0]))
    assert (refused["events"], refused["template_id"], refused["reason"]) == ("template_reject", own, "请补充")
    changed = {**draft, "template_id": own, "sms_content": "取货码 @var(code)，明日有效"}
    assert ask_sub(counterpart, "sms/template", "PUT", **changed) == {"status": "success"}
    accepted = world.decide(2, ReviewVerdict.APPROVED)
    assert (row()["template_status"], row()["sms_content"]) == ("2", changed["sms_content"])
    assert fields(counterpart.push_decision(accepted))["template_id"] == own
    params = {"to": "13800138000", "project": own, "vars": '{"code":"8"}'}
    assert ask_sub(counterpart, "sms/xsend", **params)["status"] == "success"
    listed = ask_sub(counterpart, "sms/template", "GET")
    assert (listed["start_row"], listed["end_row"], listed["templates"][0]["template_id"]) == (1, 5, own)
    assert ask_sub(counterpart, "sms/template", "DELETE", template_id=own) == {"status": "success"}
    assert ask_sub(counterpart, "sms/xsend", **params)["code"] == "306"
    assert ask_sub(counterpart, "sms/template", "GET", template_id=own)["code"] == "418"


@pytest.mark.parametrize(
    "method, params, code",
    [
        ("POST", {"sms_signature": "测试"}, "411"),
        ("POST", {"sms_signature": "【一】"}, "413"),
        ("POST", {"sms_content": ""}, "414"),
        ("POST", {"sms_content": "长" * 501}, "415"),
        ("POST", {"sms_title": "长" * 65}, "416"),
        ("PUT", {}, "417"),
        ("DELETE", {"template_id": "none"}, "418"),
    ],
)
def test_submail_refuses_templates_against_its_rules(method: str, params: dict[str, str], code: str):
    _, counterpart = sub()
    draft = {"sms_signature": "【测试签名】", "sms_content": "取货码"}
    assert ask_sub(counterpart, "sms/template", method, **{**draft, **params})["code"] == code


def test_submail_reviews_signatures():
    world, counterpart = sub()
    assert ask_sub(counterpart, "sms/appextend", sms_signature="【某某科技】") == {"status": "success"}
    rows = {row["smsSignature"]: row["status"] for row in ask_sub(counterpart, "sms/appextend", "GET")["smsSignature"]}
    assert rows == {"【测试签名】": "1", "【未批签名】": "2", "【腾讯云】": "1", "【某某科技】": "0"}
    world.decide(1, ReviewVerdict.APPROVED)
    assert ask_sub(counterpart, "sms/appextend", "GET")["smsSignature"][-1]["status"] == "1"
    assert counterpart.push_decision(world.open[0]) is None
    assert ask_sub(counterpart, "sms/appextend", "GET", target_appid="2")["code"] == "101"


def test_submail_answers_records_from_its_cache_for_a_minute():
    world, counterpart = sub()
    ask_sub(counterpart, "sms/send", to="13800138000", content=SUB_TEXT)
    first = ask_sub(counterpart, "sms/log")
    (row,) = first["data"]
    assert (row["to"], row["status"], row["report_state"], row["fee"]) == ("13800138000", "delivered", "DELIVRD", 1)
    assert (row["sms_signature"], row["mobile_type"]) == ("【测试签名】", "中国移动")
    assert (row["send_at"], row["report_at"]) == (int(CARD_TIME.timestamp()), int(CARD_TIME.timestamp()) + 3)
    ask_sub(counterpart, "sms/send", to="13800138000", content=SUB_TEXT)
    world.at += timedelta(seconds=59)
    assert ask_sub(counterpart, "sms/log", rows="1") == first
    world.at += timedelta(seconds=1)
    page = ask_sub(counterpart, "sms/log", rows="1", offset="1")
    assert (page["total"], page["offset"], page["results"]) == (2, 1, 1)
    world.at += timedelta(minutes=2)
    assert ask_sub(counterpart, "sms/log", status="dropped")["total"] == 0
    world.at += timedelta(minutes=2)
    assert ask_sub(counterpart, "sms/log", start_date="x")["code"] == "151"


def test_submail_tells_replies_statistics_and_balance():
    world, counterpart = sub()
    ask_sub(counterpart, "sms/send", to="15200001314", content=SUB_TEXT)
    world.answers = [REPLY]
    told = ask_sub(counterpart, "sms/mo")
    assert told["mo"] == [
        {"appid": APPID, "from": "15200001314", "content": "退订", "reply_at": int(CARD_TIME.timestamp())}
    ]
    begin, end = int(CARD_TIME.timestamp()) - 3600, int(CARD_TIME.timestamp()) + 3600
    report = ask_sub(counterpart, "sms/reports", start_date=str(begin), end_date=str(end))
    assert report["overview"]["request"] == 1 and report["overview"]["deliveryed"] == 1
    assert set(report["overview"]["operators"]) == {"china_mobile", "china_unicom", "china_telecom"}
    assert report["timeline"] == [
        {"date": "2024-01-15", "report": {"request": 1, "deliveryed": 1, "dropped": 0, "fee": 1}}
    ]
    balance = ask_sub(counterpart, "balance/sms")
    assert balance == {"status": "success", "balance": "999", "transactional_balance": "999"}


def test_submail_counts_by_carrier():
    world, counterpart = sub()
    counts = Counts(
        since=CARD_TIME,
        until=CARD_TIME,
        submitted=5,
        segments=6,
        delivered=4,
        undelivered=1,
        unreported=0,
        fee=Decimal(1),
        by_reason={Reason.INVALID_NUMBER: 1},
        by_carrier={Carrier.CHINA_UNICOM: 3},
    )
    world.counts = lambda since, until: counts
    overview = ask_sub(counterpart, "sms/reports")["overview"]
    assert overview["operators"]["china_unicom"] == 3
    assert overview["dropped_reason_analysis"] == {"空号/停机/关机": 1}


@pytest.mark.parametrize(
    "state, code, event, more",
    [
        (DeliveryState.DELIVERED, "DELIVRD", "delivered", {"operator": "中国移动"}),
        (DeliveryState.UNDELIVERED, "MK:0001", "dropped", {"report": "MK:0001"}),
        (DeliveryState.EXPIRED, "EXPIRED", "dropped", {"report": "EXPIRED"}),
        (DeliveryState.UNKNOWN, "", "unknown", {}),
    ],
)
def test_submail_pushes_one_signed_event(state: DeliveryState, code: str, event: str, more: dict[str, str]):
    _, counterpart = sub()
    row = fields(counterpart.push_reports([claim("ab" * 16, state=state, code=code)]))
    assert row["events"] == event and more.items() <= row.items()
    assert (row["address"], row["send_id"], row["tag"], row["app"]) == ("13800138000", "ab" * 16, "ours-1", APPID)
    assert row["timestamp"] == str(int(CARD_TIME.timestamp()) + 4)
    assert row["signature"] == md5(f"{row['token']}subkey".encode()).hexdigest() and len(row["token"]) == 32
    assert counterpart.push_batch == 1 and counterpart.push_retry == ()
    assert counterpart.acknowledged(200, b"") and not counterpart.acknowledged(500, b"")


def test_submail_signs_hooks_as_the_card_says():
    assert submail.hook_signature("067ef7e2f286a9a56eabb07dc9657852", "subkey") == "e91128288e151818b67c7a7c6f08dbe1"


def test_submail_pushes_in_the_form_the_account_is_set_to():
    _, counterpart = sub(subhook="json", spelling="unkown")
    body = json.loads(counterpart.push_reports([claim("k", state=DeliveryState.UNKNOWN)]).body)
    assert (body["events"], body["app"], type(body["timestamp"])) == ("unkown", 10001, int)
    _, counterpart = sub(subhook="multipart")
    push = counterpart.push_reply(REPLY)
    boundary = push.content_type.partition("boundary=")[2]
    assert push.body.count(boundary.encode()) >= 7 and 'name="content"\r\n\r\n退订\r\n'.encode() in push.body
    row = fields(sub()[1].push_reply(REPLY))
    assert (row["events"], row["content"], row["address"]) == ("mo", "退订", "15200001314") and "send_id" not in row


# -- Montnets -------------------------------------------------------------------------------------------------

USER, PASSWORD = "J10003", "111111"
MON_TEXT = "您的验证码是1234"


def mon(**options: str) -> tuple[World, montnets.Counterpart]:
    world = World({"userid": USER, "pwd": PASSWORD, "apikey": "a" * 32, "spno": "1000457"}, **options)
    return world, montnets.Counterpart(world)


def mon_auth(at: str = "0803192020", password: str = PASSWORD) -> dict[str, str]:
    return {
        "userid": USER,
        "pwd": md5(f"{USER}00000000{password}{at}".encode()).hexdigest(),
        "timestamp": at,
    }


def ask_mon(counterpart: montnets.Counterpart, function: str, **params: Any) -> dict[str, Any]:
    body = {**({} if "apikey" in params else mon_auth()), **params}
    reply = counterpart.answer(httpx.Request("POST", f"http://1.2.3.4:8901/sms/v2/std/{function}", json=body))
    assert reply.status_code == 200
    return reply.json()


def test_montnets_takes_the_vendors_vector():
    world, counterpart = mon()
    assert mon_auth()["pwd"] == "26dad7f364507df18f3841cc9c4ff94d"
    content = quote(MON_TEXT)
    body = ask_mon(counterpart, "send_single", mobile="13800138000", content=content, custid="c-1", exno="0006")
    assert (body["result"], unquote(body["desc"]), body["custid"]) == (0, "成功", "c-1")
    assert body["desc"] == "%e6%88%90%e5%8a%9f"
    (one,) = world.taken
    assert (one.text, one.key, one.reference, one.extension) == (
        f"【测试签名】{MON_TEXT}",
        str(body["msgid"]),
        "c-1",
        "0006",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"pwd": "26dad7f364507df18f3841cc9c4ff94e"},
        {"timestamp": "0803192021"},
        {"timestamp": "1303192020"},
        {"timestamp": ""},
        {"userid": "J10004"},
        {"pwd": PASSWORD},
        {"apikey": "b" * 32},
        {"pwd": "26dad7f364507df18f3841cc9c4ff94d".upper()},
    ],
)
def test_montnets_refuses_wrong_credentials(change: dict[str, str]):
    world, counterpart = mon()
    body = ask_mon(counterpart, "send_single", **{**mon_auth(), "mobile": "13800138000", "content": "x", **change})
    assert (body["result"], body["msgid"]) == (-100001, 0) and unquote(body["desc"]).startswith("鉴权")
    assert not world.taken


@pytest.mark.parametrize("mode", ["sha256", "sm3", "plain"])
def test_montnets_takes_the_mode_of_the_account_and_no_other(mode: str):
    try:
        right = montnets.password_digest(mode, USER, PASSWORD, "0803192020")
    except ValueError:
        pytest.skip("this machine's OpenSSL has no SM3")
    _, counterpart = mon(auth=mode)
    if mode == "sha256":
        assert right == sha256(f"{USER}00000000{PASSWORD}0803192020".encode()).hexdigest()
    own = {"pwd": right} if mode == "plain" else {"pwd": right, "timestamp": "0803192020"}
    assert ask_mon(counterpart, "get_balance", **{**own, "userid": USER})["result"] == 0
    assert ask_mon(counterpart, "get_balance")["result"] == -100001


def test_montnets_takes_an_apikey_alone():
    _, counterpart = mon()
    assert ask_mon(counterpart, "get_balance", apikey="a" * 32)["result"] == 0
    world = World({"apikey": "k"})
    assert ask_mon(montnets.Counterpart(world), "get_balance", apikey="k")["result"] == 0
    assert ask_mon(montnets.Counterpart(world), "get_balance")["result"] == -100001
    with pytest.raises(ValueError, match="auth"):
        mon(auth="rot13")


def test_montnets_takes_both_spellings_forms_and_queries():
    world, counterpart = mon()
    every = {**mon_auth(), "mobile": "13800138000", "content": quote(MON_TEXT)}
    for function, request in (
        ("single_send", {"data": every}),
        ("send_single", {"data": every}),
        ("send_single", {"json": every}),
    ):
        answer = counterpart.answer(httpx.Request("POST", f"http://1.2.3.4/sms/v2/std/{function}", **request))
        assert answer.json()["result"] == 0
    got = httpx.Request("GET", "http://1.2.3.4/sms/v2/std/send_single", params=every)
    assert counterpart.answer(got).json()["result"] == 0
    assert {one.text for one in world.taken} == {f"【测试签名】{MON_TEXT}"}
    xml = httpx.Request("POST", "http://1.2.3.4/sms/v2/std/send_single", headers={"Content-Type": "text/xml"})
    assert counterpart.answer(xml).json()["result"] == -100100


@pytest.mark.parametrize(
    "function, params, code",
    [
        ("send_single", {"mobile": ""}, 100012),
        ("send_single", {"mobile": "1380013800x"}, 100012),
        ("send_single", {"mobile": "13800138000,13800138001"}, 100014),
        ("send_batch", {"mobile": ",".join(["13800138000"] * 1001)}, 100014),
        ("send_single", {"content": ""}, 100106),
        ("send_single", {"content": "%20"}, 100106),
        ("send_single", {"content": "%ff%fe"}, 100091),
        ("send_single", {"content": "x" * 991}, 100011),
        ("send_single", {"custid": "a b"}, 100004),
        ("send_single", {"exdata": "x" * 65}, 100004),
        ("send_single", {"svrtype": "x" * 33}, 100252),
        ("send_single", {"exno": "1234567"}, 100004),
        ("send_multi", {"multimt": "["}, 100091),
        ("send_multi", {"multimt": [3]}, 100091),
        ("send_multi", {"multimt": [{}] * 501}, 100014),
        ("send_mixed", {"mobile": "13800138000,13800138001", "content": "a"}, 100060),
        ("send_template", {"tmplid": "404"}, 100058),
        ("send_template", {"tmplid": "SMS_3"}, 100502),
        ("send_template", {"tmplid": "SMS_154950909", "content": quote("P2=1")}, 100059),
        ("get_rpt", {"retsize": "x"}, 100091),
        ("send_pigeon", {}, 100070),
    ],
)
def test_montnets_checks_what_it_is_given(function: str, params: dict[str, Any], code: int):
    world, counterpart = mon()
    every = {"mobile": "13800138000", "content": quote(MON_TEXT), **params}
    assert ask_mon(counterpart, function, **every)["result"] == -code
    assert not world.taken
    assert ask_mon(mon(codes="positive")[1], function, **every)["result"] == code


def test_montnets_numbers_a_batch_from_one_msgid_that_may_be_negative():
    world, counterpart = mon()
    first = ask_mon(counterpart, "send_batch", mobile="13800138000,13800138001,13800138002", content="a")["msgid"]
    second = ask_mon(counterpart, "send_single", mobile="13800138000", content="b")["msgid"]
    assert [int(one.key) for one in world.taken] == [first, first + 1, first + 2, second]
    assert first > 2**53 and second < -(2**53)
    _, counterpart = mon(msgid="positive")
    assert all(ask_mon(counterpart, "send_single", mobile="13800138000", content="b")["msgid"] > 0 for _ in "12")


def test_montnets_sends_multi_mixed_and_by_template():
    world, counterpart = mon()
    rows = [
        {"mobile": "13800138000", "content": quote("一"), "custid": "c1"},
        {"mobile": "13800138001", "content": quote("【腾讯云】二"), "custid": "c2"},
    ]
    assert ask_mon(counterpart, "send_multi", multimt=rows)["result"] == 0
    assert ask_mon(counterpart, "send_multi", multimt=json.dumps(rows))["result"] == 0
    assert [(one.text, one.reference) for one in world.taken[:2]] == [("【测试签名】一", "c1"), ("【腾讯云】二", "c2")]
    mixed = {"mobile": "13800138000,13800138001", "content": f"{quote('三,')},{quote('四')}"}
    assert ask_mon(counterpart, "send_mixed", **mixed)["result"] == 0
    assert [one.text for one in world.taken[4:]] == ["【测试签名】三,", "【测试签名】四"]
    content = quote("P1=" + quote("A&B") + "&P2=" + quote("明天"))
    assert ask_mon(counterpart, "send_template", tmplid="SMS_1", mobile="13800138000", content=content)["result"] == 0
    assert world.taken[-1].text == "【测试签名】订单A&B已发货，明天送达。"


@pytest.mark.parametrize("reason", list(Reason))
def test_montnets_puts_every_no_of_the_world_into_an_answer_or_a_report(reason: Reason):
    world, counterpart = mon()
    world.turns[PHONE] = Turned(reason=reason)
    body = ask_mon(counterpart, "send_single", mobile="13800138000", content="a", custid="c1")
    if reason in montnets.REFUSALS:
        assert body["result"] == -montnets.REFUSALS[reason]
        assert ask_mon(counterpart, "get_rpt")["rpts"] == []
    else:
        assert body["result"] == 0
        (row,) = ask_mon(counterpart, "get_rpt")["rpts"]
        assert (row["msgid"], row["custid"], row["mobile"]) == (body["msgid"], "c1", "13800138000")
        assert row["status"] != 0 and row["errcode"] in ("REJECTD", "UNDELIV")


def test_montnets_reports_bad_numbers_and_foreign_signatures_later():
    world, counterpart = mon()
    assert ask_mon(counterpart, "send_batch", mobile="12345,0012025550100", content="a")["result"] == 0
    assert ask_mon(counterpart, "send_single", mobile="13800138000", content=quote("【未批签名】a"))["result"] == 0
    rows = ask_mon(counterpart, "get_rpt")["rpts"]
    assert [row["errcode"] for row in rows] == ["UNDELIV", "UNDELIV", "REJECTD"] and not world.taken


def test_montnets_hands_out_reports_part_by_part_each_once():
    world, counterpart = mon()
    params = {"mobile": "13800138000", "content": "a", "custid": "ours-1", "exno": "06", "exdata": "e"}
    key = ask_mon(counterpart, "send_single", **params)["msgid"]
    world.queue = [
        claim(str(key)),
        replace(claim(str(key + 1), state=DeliveryState.UNDELIVERED, code="MK:0001"), segments=1),
    ]
    first = ask_mon(counterpart, "get_rpt", retsize=1)["rpts"]
    assert first == [
        {
            "msgid": key,
            "custid": "ours-1",
            "pknum": 1,
            "pktotal": 2,
            "mobile": "13800138000",
            "countrycode": 86,
            "spno": "100045706",
            "exno": "06",
            "stime": "2024-01-15 16:30:00",
            "rtime": "2024-01-15 16:30:04",
            "status": 0,
            "errcode": "DELIVRD",
            "errdesc": "success",
            "exdata": "e",
            "smstype": "0",
            "rpttype": "1",
        }
    ]
    second, third = ask_mon(counterpart, "get_rpt", retsize=500)["rpts"]
    assert (second["msgid"], second["pknum"]) == (key + 17_179_869_184, 2)
    assert (third["msgid"], third["errcode"]) == (key + 1, "MK:0001") and third["status"] != 0
    assert ask_mon(counterpart, "get_rpt")["rpts"] == []


def test_montnets_pulls_replies_and_tells_its_balance():
    world, counterpart = mon()
    world.answers = [REPLY, replace(REPLY, text="长" * 71)]
    rows = ask_mon(counterpart, "get_mo", retsize="2")["mos"]
    assert (unquote(rows[0]["content"]), rows[0]["mobile"], rows[0]["exno"]) == ("退订", "15200001314", "8888")
    assert (rows[1]["pknum"], rows[1]["pktotal"], len(unquote(rows[1]["content"]))) == (1, 2, 67)
    assert [row["pknum"] for row in ask_mon(counterpart, "get_mo")["mos"]] == [2]
    assert ask_mon(counterpart, "get_balance")["balance"] == 999
    _, counterpart = mon(qps="1")
    assert [ask_mon(counterpart, "get_balance")["result"] for _ in range(2)] == [0, -100056]


def test_montnets_pushes_reports_authenticated_as_requests_are():
    world, counterpart = mon()
    row = fields(counterpart.push_reports([claim("-9223372036854775808")]))
    at = world.at.astimezone(BEIJING).strftime("%m%d%H%M%S")
    assert (row["cmd"], row["timestamp"], row["userid"]) == ("RPT_REQ", at, USER)
    assert row["pwd"] == mon_auth(at)["pwd"]
    reports = json.loads(row["rpts"])
    assert [one["msgid"] for one in reports] == [-(2**63), -(2**63) + 17_179_869_184]
    good = json.dumps({"cmd": "RPT_RESP", "seqid": int(row["seqid"]), "result": 0}).encode()
    assert counterpart.acknowledged(200, good)
    for status, body in (
        (500, good),
        (200, b""),
        (200, b"0"),
        (200, good.replace(b": 0", b": -1")),
        (200, good.replace(row["seqid"].encode(), b"9999")),
        (200, good.replace(b"RPT_RESP", b"RPT_REQ")),
    ):
        assert not counterpart.acknowledged(status, body)


def test_montnets_pushes_replies_and_json_too():
    _, counterpart = mon()
    row = fields(counterpart.push_reply(REPLY))
    (reply,) = json.loads(row["mos"])
    assert (row["cmd"], unquote(reply["content"]), reply["rtime"]) == ("MO_REQ", "退订", "2024-01-15 16:30:00")
    _, counterpart = mon(push_format="json")
    body = json.loads(counterpart.push_reports([claim("5")] * counterpart.push_batch).body)
    assert body["rpts"][0]["msgid"] == 5 and len(body["rpts"]) <= 500
    assert counterpart.push_reports([]) is None


def test_only_templates_of_submail_are_pushed_when_decided():
    for make in (hua, mon):
        world, counterpart = make()
        review = world.submit_review(
            subject=Subject.TEMPLATE, name="x", text="x", purpose=Purpose.NOTIFICATION, extra={}
        )
        assert counterpart.push_decision(world.decide(review.number, ReviewVerdict.APPROVED)) is None


# -- all ------------------------------------------------------------------------------------------------------

WORDS = st.text(max_size=12) | st.sampled_from(
    ["13800138000", "+8613800138000", "SMS_154950909", "SMS_1", "[]", "{}", "0", "1", "-1", "【测试签名】x", SUB_TEXT]
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    "/sms/batchSendSms/v1",
    "/sms/batchSendDiffSms/v1",
    "/v2/proj123/msgsms/templates",
    "/v2/proj123/msgsms/signatures/x",
    "/sms/send",
    "/sms/v2/std/send_single",
    "/",
]


@SETTINGS
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.sampled_from(PATHS) | st.text(max_size=20).map("/{}".format),
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "X-WSSE", "X-Sdk-Date", "Content-Type", "X-Auth-Token", "X-Project-Id"]),
        st.sampled_from(
            [
                "SDK-HMAC-SHA256 Access=a, SignedHeaders=host;x-sdk-date, Signature=0",
                'WSSE realm="SDP",profile="UsernameToken",type="Appkey"',
                f'UsernameToken Username="{APP_KEY}",PasswordDigest="é",Nonce="1",Created="{CREATED}"',
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "99999999T999999Z",
                "é",
                "",
            ]
        ),
    ),
    body=st.binary(max_size=200),
)
def test_no_garbage_makes_a_counterpart_raise(method: str, path: str, headers: dict[str, str], body: bytes):
    url = f"https://vendor.example.invalid{quote(path, safe='/?&=%')}"
    wire = [(name, value.encode()) for name, value in headers.items()]
    for make in (hua, sub, mon):
        _, counterpart = make()
        told = counterpart.answer(httpx.Request(method, url, headers=wire, content=body)).json()
        assert told.get("code") or told.get("error_code") or told["result"] < 0
        assert counterpart.acknowledged(200, body) in (True, False)


@SETTINGS
@given(form=st.dictionaries(st.sampled_from([*HUA_FORM, "statusCallback", "extend", "signature"]), WORDS, max_size=8))
def test_huawei_answers_any_send_in_its_own_shape(form: dict[str, str]):
    _, counterpart = hua()
    body = send_hua(counterpart, **form)
    assert body["code"] in huawei.DESCRIPTIONS and body["description"]


@SETTINGS
@given(body=JSONS, path=st.sampled_from(["/sms/batchSendDiffSms/v1", *PATHS[2:4]]))
def test_huawei_answers_any_json_in_its_own_shape(body: Any, path: str):
    world, counterpart = hua()
    raw = json.dumps(body).encode("utf-8", "surrogatepass")
    told = counterpart.answer(aksk(world, "POST", path, raw, x_project_id="proj123")).json()
    assert told.get("code") in huawei.DESCRIPTIONS or told["error_code"].startswith("MSGSMS.")


HUA_CONTENT = st.fixed_dictionaries(
    {},
    optional={"to": JSONS | st.lists(WORDS), "templateId": WORDS, "templateParas": JSONS, "signature": JSONS},
)
HUA_DRAFT = st.fixed_dictionaries(
    {},
    optional={
        name: WORDS | JSONS
        for name in (*HUA_TEMPLATE, "sign_id", "universal_template", "signature_name", "signature_type")
    },
)


@SETTINGS
@given(contents=st.lists(HUA_CONTENT, max_size=3), draft=HUA_DRAFT, extend=JSONS)
def test_huawei_answers_nearly_right_json_in_its_own_shape(contents: list[Any], draft: dict[str, Any], extend: Any):
    world, counterpart = hua()
    body = json.dumps({"from": SENDER, "smsContent": contents, "extend": extend}).encode()
    told = counterpart.answer(aksk(world, "POST", "/sms/batchSendDiffSms/v1", body)).json()
    assert told["code"] in huawei.DESCRIPTIONS
    for path in ("templates", "signatures"):
        told = manage(world, counterpart, "POST", path, body={**HUA_TEMPLATE, **draft}).json()
        assert "id" in told or told["error_code"].startswith("MSGSMS.")


SUB_NAMES = [
    "to", "content", "tag", "project", "vars", "multi", "template_id", "sms_title", "sms_signature", "sms_content",
    "offset", "rows", "start_date", "end_date", "from", "send_id", "sendlist", "status", "address", "target",
]  # fmt: skip


@SETTINGS
@given(
    act=st.sampled_from(sorted(submail.ACTIONS)),
    params=st.dictionaries(
        st.sampled_from(SUB_NAMES), WORDS | JSONS.map(json.dumps) | st.integers(0, 10**12).map(str), max_size=12
    ),
)
def test_submail_answers_any_parameters_in_its_own_shape(act: tuple[str, str], params: dict[str, str]):
    _, counterpart = sub()
    body = ask_sub(counterpart, act[1][1:], act[0], **params)
    for row in body if isinstance(body, list) else [body]:
        assert row["status"] == "success" or int(row["code"]) in submail.CODES


MON_NAMES = ["mobile", "content", "custid", "exno", "exdata", "svrtype", "tmplid", "multimt", "retsize"]


@SETTINGS
@given(
    function=st.sampled_from(sorted(montnets.ACTIONS)),
    params=st.dictionaries(st.sampled_from(MON_NAMES), WORDS | JSONS, max_size=9),
)
def test_montnets_answers_any_parameters_in_its_own_shape(function: str, params: dict[str, Any]):
    _, counterpart = mon()
    body = ask_mon(counterpart, function, **params)
    assert body["result"] == 0 or -body["result"] in montnets.CODES


def test_the_same_requests_get_the_same_answers():
    def story() -> list[Any]:
        told: list[Any] = []
        _, counterpart = hua()
        told += [send_hua(counterpart), counterpart.push_reports([claim("k")])]
        _, other = sub()
        told += [ask_sub(other, "sms/send", to="13800138000", content=SUB_TEXT), other.push_reports([claim("k")])]
        _, third = mon()
        told += [ask_mon(third, "send_single", mobile="13800138000", content="a"), third.push_reports([claim("7")])]
        return told

    assert story() == story()


def test_the_world_for_conversations_can_be_read_and_opened(request: pytest.FixtureRequest):
    path = request.path.parent / "more_world.yaml"
    truth = read_truth(path.read_text(encoding="utf-8"), path.name)
    assert {one.wire for one in truth.vendors.values()} == {"huawei", "submail", "montnets"}
    for one in truth.vendors.values():
        module = {"huawei": huawei, "submail": submail, "montnets": montnets}[one.wire]
        world = World(one.credentials, **one.options)
        assert module.Counterpart(world).push_batch >= 1


def test_the_digests_of_the_card_are_what_this_file_computes():
    raw = sha256(f"{NONCE}{CREATED}{APP_SECRET}".encode())
    assert b64encode(raw.digest()).decode() == RAW_DIGEST
    assert b64encode(raw.hexdigest().encode()).decode() == HEX_DIGEST
