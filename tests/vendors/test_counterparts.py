"""The sandbox counterparts hold to the vendors' documents, and the vendors' own SDKs are content with them."""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha1, sha256
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.domain import DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from harness.text import billed_segments
from tests.vendors.loopback import served
from vendors.sandbox import alibaba, tencent, yunpian
from vendors.sandbox.door import (
    Claim,
    Counts,
    FiledTemplate,
    Kept,
    Reply,
    Review,
    Submission,
    Taken,
    Turned,
)

CARD_TIME = datetime(2024, 1, 15, 8, 30, tzinfo=UTC)
PHONE = "+8613800138000"
KEY, SECRET = "LTAI5tFakeKeyId000000000", "FakeAccessKeySecret0000000000a"
SECRET_ID, SECRET_KEY = "AKIDfakefakefakefakefakefakefake0000", "FakeSecretKey00000000000000000000"
APIKEY = "00000000000000000000000000000000"
CODE = FiledTemplate(id="SMS_154950909", text="您的验证码是{code}，请勿告诉他人。", purpose=Purpose.VERIFICATION)
NOTICE = FiledTemplate(id="SMS_1", text="订单{order}已发货，{day}送达。", purpose=Purpose.NOTIFICATION)
ADVERT = FiledTemplate(id="SMS_2", text="{shop}上新，拒收请回复R", purpose=Purpose.MARKETING)
PULLED = FiledTemplate(id="SMS_3", text="已撤销{code}", purpose=Purpose.VERIFICATION, approved=False)


class World:
    """A small world behind a door: takes everything, unless told to turn it down."""

    def __init__(self, credentials: Mapping[str, str], **options: str) -> None:
        self.label = "account"
        self.credentials = credentials
        self.signatures = {"测试签名": True, "未批签名": False, "腾讯云": True}
        self.templates = {one.id: one for one in (CODE, NOTICE, ADVERT, PULLED)}
        self.options = options
        self.memory: dict[str, Any] = {}
        self.at = CARD_TIME
        self.turns: dict[str, Turned] = {}
        self.taken: list[Submission] = []
        self.kept: list[Kept] = []
        self.open: list[Review] = []
        self.queue: list[Claim] = []
        self.answers: list[Reply] = []

    def now(self) -> datetime:
        return self.at

    def submit(self, submission: Submission) -> Taken | Turned:
        if submission.number in self.turns:
            return self.turns[submission.number]
        self.taken.append(submission)
        segments = billed_segments(submission.text)
        fee = Decimal("0.05") * segments
        self.kept.append(
            Kept(
                key=submission.key,
                number=submission.number,
                text=submission.text,
                template=submission.template,
                reference=submission.reference,
                submitted_at=self.at,
                state=DeliveryState.DELIVERED,
                code="DELIVRD",
                claimed_at=self.at + timedelta(seconds=3),
                segments=segments,
                fee=fee,
            )
        )
        return Taken(segments=segments, fee=fee)

    def take_reports(self, limit: int) -> Sequence[Claim]:
        out, self.queue = self.queue[:limit], self.queue[limit:]
        return out

    def take_replies(self, limit: int) -> Sequence[Reply]:
        out, self.answers = self.answers[:limit], self.answers[limit:]
        return out

    def replies(self, number: str, since: datetime, until: datetime) -> Sequence[Reply]:
        return [one for one in self.answers if one.number == number and since <= one.sent_at < until]

    def submit_review(
        self, *, subject: Subject, name: str, text: str, purpose: Purpose, extra: Mapping[str, Any]
    ) -> Review:
        review = Review(
            number=len(self.open) + 1,
            subject=subject,
            name=name,
            text=text,
            purpose=purpose,
            created_at=self.at,
            verdict=None,
            reason="",
            decided_at=None,
            extra=extra,
        )
        self.open.append(review)
        return review

    def decide(self, number: int, verdict: ReviewVerdict, reason: str = "") -> Review:
        review = replace(self.open[number - 1], verdict=verdict, reason=reason, decided_at=self.at)
        self.open[number - 1] = review
        return review

    def review(self, subject: Subject, number: int) -> Review | None:
        return next((one for one in self.open if one.subject is subject and one.number == number), None)

    def reviews(self, subject: Subject) -> Sequence[Review]:
        return [one for one in self.open if one.subject is subject]

    def records(self, number: str | None, since: datetime, until: datetime) -> Sequence[Kept]:
        return [one for one in self.kept if number in (None, one.number) and since <= one.submitted_at < until]

    def counts(self, since: datetime, until: datetime) -> Counts:
        kept = self.records(None, since, until)
        return Counts(
            since=since,
            until=until,
            submitted=len(kept),
            segments=sum(one.segments for one in kept),
            delivered=len(kept),
            undelivered=0,
            unreported=0,
            fee=sum((one.fee for one in kept), Decimal(0)),
            by_reason={Reason.BLACKLISTED: 2, Reason.UNREACHABLE: 1},
        )

    def balance(self) -> Decimal:
        return Decimal("49.95")

    def blocked_words(self, text: str) -> tuple[str, ...]:
        return ("发票",) if "发票" in text else ()


def claim(key: str, *, state: DeliveryState = DeliveryState.DELIVERED, code: str = "DELIVRD") -> Claim:
    return Claim(
        key=key,
        number=PHONE,
        state=state,
        reason=None if state is DeliveryState.DELIVERED else Reason.UNREACHABLE,
        code=code,
        submitted_at=CARD_TIME,
        claimed_at=CARD_TIME + timedelta(seconds=4),
        segments=2,
        reference="ours-1",
        text="【测试签名】…",
        template="SMS_154950909",
    )


REPLY = Reply(
    id=9,
    number="+8615200001314",
    to="106900008888",
    extension="8888",
    text="退订",
    sent_at=CARD_TIME,
    signature="云片网",
)


# -- Alibaba --------------------------------------------------------------------------------------------------


def ali(**options: str) -> tuple[World, alibaba.Counterpart]:
    world = World({"access_key": KEY, "access_secret": SECRET}, **options)
    return world, alibaba.Counterpart(world)


def card_request(**changes: str) -> httpx.Request:
    """The request of the documents' test vector, with the signature they give."""
    headers = {
        "host": "dysmsapi.aliyuncs.com",
        "x-acs-action": "SendSms",
        "x-acs-version": "2017-05-25",
        "x-acs-date": "2024-01-15T08:30:00Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Authorization": (
            f"ACS3-HMAC-SHA256 Credential={KEY},SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
            "x-acs-signature-nonce;x-acs-version,"
            "Signature=9d4cd588e57a23add0ee3197ac41db417ffd453566ff3de9bd82c0b63fef46c5"
        ),
    }
    headers |= {name: value for name, value in changes.items() if name in headers}
    query = changes.get(
        "query",
        "PhoneNumbers=13800138000&SignName=%E6%B5%8B%E8%AF%95%E7%AD%BE%E5%90%8D&TemplateCode=SMS_154950909"
        "&TemplateParam=%7B%22code%22%3A%221234%22%7D",
    )
    body = changes.get("body", "").encode()
    method = changes.get("method", "POST")
    return httpx.Request(method, f"https://dysmsapi.aliyuncs.com/?{query}", headers=headers, content=body)


def ali_v1(world: World, action: str, *, secret: str = SECRET, nonce: str = "", **params: str) -> httpx.Request:
    world.memory["test nonce"] = world.memory.get("test nonce", 0) + 1
    every = params | {
        "AccessKeyId": KEY,
        "Action": action,
        "Format": "JSON",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": nonce or f"n{world.memory['test nonce']}",
        "SignatureVersion": "1.0",
        "Timestamp": world.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Version": "2017-05-25",
    }
    joined = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(every.items()))
    to_sign = "GET&%2F&" + quote(joined, safe="")
    every["Signature"] = b64encode(hmac.new(f"{secret}&".encode(), to_sign.encode(), sha1).digest()).decode()
    return httpx.Request("GET", f"https://dysmsapi.aliyuncs.com/?{urlencode(every, quote_via=quote)}")


def ask_ali(world: World, counterpart: alibaba.Counterpart, action: str, **params: str) -> dict[str, Any]:
    return counterpart.answer(ali_v1(world, action, **params)).json()


def send_code(world: World, counterpart: alibaba.Counterpart, **changes: str) -> dict[str, Any]:
    params = {
        "PhoneNumbers": "13800138000",
        "SignName": "测试签名",
        "TemplateCode": "SMS_154950909",
        "TemplateParam": '{"code":"1234"}',
    }
    return ask_ali(world, counterpart, "SendSms", **(params | changes))


def test_alibaba_takes_the_documents_v3_vector():
    world, counterpart = ali()
    reply = counterpart.answer(card_request())
    body = reply.json()
    assert (reply.status_code, body["Code"], body["Message"]) == (200, "OK", "OK")
    assert body["BizId"].endswith("^0") and body["BizId"][:-2].isdigit()
    assert world.taken[0].text == "【测试签名】您的验证码是1234，请勿告诉他人。"
    assert (world.taken[0].number, world.taken[0].purpose) == (PHONE, Purpose.VERIFICATION)


def test_alibaba_takes_the_documents_v1_vector():
    world, counterpart = ali()
    params = {
        "AccessKeyId": KEY,
        "Action": "SendSms",
        "Format": "json",
        "PhoneNumbers": "13800138000",
        "SignName": "测试签名",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3156853299f313e23d1673dc12e1703d",
        "SignatureVersion": "1.0",
        "TemplateCode": "SMS_154950909",
        "TemplateParam": '{"code":"1234"}',
        "Timestamp": "2024-01-15T08:30:00Z",
        "Version": "2017-05-25",
        "Signature": "GVwepQfXh7J//+eGw+dvXR/I/CA=",
    }
    reply = counterpart.answer(httpx.Request("POST", "https://dysmsapi.aliyuncs.com/", data=params))
    assert reply.json()["Code"] == "OK"
    assert len(world.taken) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"x-acs-action": "QuerySendDetails"},
        {"host": "elsewhere.aliyuncs.com"},
        {"x-acs-date": "2024-01-15T08:30:01Z"},
        {"x-acs-signature-nonce": "another"},
        {"x-acs-content-sha256": "0" * 64},
        {"body": "PhoneNumbers=13900000000"},
        {"method": "GET"},
        {"query": "PhoneNumbers=13900000000&SignName=x&TemplateCode=SMS_154950909"},
    ],
)
def test_alibaba_refuses_a_request_tampered_with_anywhere(change: dict[str, str]):
    world, counterpart = ali()
    reply = counterpart.answer(card_request(**change))
    assert (reply.status_code, reply.json()["Code"]) == (400, "SignatureDoesNotMatch")
    assert not world.taken


def test_alibaba_refuses_a_replay_unless_the_account_allows_it():
    _, counterpart = ali()
    counterpart.answer(card_request())
    reply = counterpart.answer(card_request())
    assert (reply.status_code, reply.json()["Code"]) == (400, "SignatureNonceUsed")
    _, lax = ali(replay="accepted", caps="lifted")
    assert [lax.answer(card_request()).json()["Code"] for _ in range(2)] == ["OK", "OK"]


def test_alibaba_refuses_a_stale_request_unless_the_account_allows_it():
    world, counterpart = ali()
    world.at += timedelta(minutes=16)
    reply = counterpart.answer(card_request())
    assert (reply.status_code, reply.json()["Code"]) == (400, "InvalidTimeStamp.Expired")
    world, lax = ali(stale="accepted")
    world.at += timedelta(hours=5)
    assert lax.answer(card_request()).json()["Code"] == "OK"


def test_alibaba_tells_an_unknown_key_from_a_wrong_secret():
    world, counterpart = ali()
    assert counterpart.answer(ali_v1(world, "SendSms", secret="wrong")).status_code == 400
    request = card_request(Authorization=card_request().headers["authorization"].replace(KEY, "LTAIother"))
    reply = counterpart.answer(request)
    assert (reply.status_code, reply.json()["Code"]) == (404, "InvalidAccessKeyId.NotFound")
    assert set(reply.json()) == {"RequestId", "HostId", "Code", "Message", "Recommend"}


def test_alibaba_refuses_headers_that_should_be_signed_and_are_not():
    _, counterpart = ali()
    request = card_request()
    request.headers["x-acs-security-token"] = "slipped in"
    assert counterpart.answer(request).json()["Code"] == "IncompleteSignature"


@pytest.mark.parametrize(
    "changes, status, code",
    [
        ({"PhoneNumbers": ""}, 400, "MissingPhoneNumbers"),
        ({"PhoneNumbers": "1380013800"}, 200, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"PhoneNumbers": ",".join(f"138{n:08d}" for n in range(1001))}, 200, "isv.MOBILE_COUNT_OVER_LIMIT"),
        ({"SignName": "没有的"}, 200, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"SignName": "未批签名"}, 200, "isv.SIGN_STATE_ILLEGAL"),
        ({"TemplateCode": "SMS_404"}, 200, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"TemplateCode": "SMS_3"}, 200, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"TemplateParam": "{"}, 200, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParam": '{"code":1234}'}, 200, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParam": "{}"}, 200, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"TemplateParam": '{"code":"https://a.b"}'}, 200, "isv.PARAM_NOT_SUPPORT_URL"),
        ({"TemplateParam": '{"code":"' + "1" * 36 + '"}'}, 200, "isv.PARAM_LENGTH_LIMIT"),
        ({"SmsUpExtendCode": "a1"}, 200, "isv.EXTEND_CODE_ERROR"),
    ],
)
def test_alibaba_checks_what_it_is_given(changes: dict[str, str], status: int, code: str):
    world, counterpart = ali()
    params = {"PhoneNumbers": "13800138000", "SignName": "测试签名", "TemplateCode": "SMS_154950909"}
    request = ali_v1(world, "SendSms", **(params | {"TemplateParam": '{"code":"1"}'} | changes))
    reply = counterpart.answer(request)
    assert (reply.status_code, reply.json()["Code"]) == (status, code)
    assert not world.taken and "BizId" not in reply.json()


@pytest.mark.parametrize("reason, code", alibaba.REFUSALS.items())
def test_alibaba_puts_the_worlds_no_into_its_own_words(reason: Reason, code: str):
    world, counterpart = ali()
    world.turns[PHONE] = Turned(reason=reason)
    body = send_code(world, counterpart)
    assert body["Code"] == code and body["Message"]


def test_alibaba_codes_are_capped_by_natural_minute_and_hour_and_by_rolling_day():
    world, counterpart = ali()
    world.at = datetime(2024, 1, 15, 8, 0, 50, tzinfo=UTC)
    assert send_code(world, counterpart)["Code"] == "OK"
    world.at += timedelta(seconds=9)
    assert send_code(world, counterpart)["Message"] == "触发分钟级流控Permits:1"
    world.at += timedelta(seconds=1)  # 8:01:00, the next natural minute, ten seconds after the first
    assert send_code(world, counterpart)["Code"] == "OK"
    for minute in (2, 3, 4):
        world.at = datetime(2024, 1, 15, 8, minute, tzinfo=UTC)
        assert send_code(world, counterpart)["Code"] == "OK"
    world.at = datetime(2024, 1, 15, 8, 59, 59, tzinfo=UTC)
    assert send_code(world, counterpart)["Message"] == "触发小时级流控Permits:5"
    for minute in range(5):
        world.at = datetime(2024, 1, 15, 9, minute, tzinfo=UTC)
        assert send_code(world, counterpart)["Code"] == "OK"
    world.at = datetime(2024, 1, 16, 8, 0, 49, tzinfo=UTC)
    assert send_code(world, counterpart)["Message"] == "触发天级流控Permits:10"
    world.at = datetime(2024, 1, 16, 8, 0, 50, tzinfo=UTC)
    assert send_code(world, counterpart)["Code"] == "OK"


def test_alibaba_caps_can_be_changed_and_lifted():
    world, counterpart = ali(per_minute="2")
    assert [send_code(world, counterpart)["Code"] for _ in range(3)] == ["OK", "OK", "isv.BUSINESS_LIMIT_CONTROL"]
    world, counterpart = ali(caps="lifted")
    assert {send_code(world, counterpart)["Code"] for _ in range(60)} == {"OK"}


def test_alibaba_notices_go_fifty_times_a_day():
    world, counterpart = ali()
    params = {"TemplateCode": "SMS_1", "TemplateParam": '{"order":"1","day":"明天"}'}
    assert {send_code(world, counterpart, **params)["Code"] for _ in range(50)} == {"OK"}
    assert send_code(world, counterpart, **params)["Message"] == "触发天级流控Permits:50"


def test_alibaba_throttles_over_its_rate():
    world, counterpart = ali(qps="1", caps="lifted")
    send_code(world, counterpart)
    reply = counterpart.answer(ali_v1(world, "SendSms"))
    assert reply.status_code == 429 and reply.json()["Code"] == "Throttling.User"
    assert int(reply.headers["x-acs-retry-after"]) > 0


def test_alibaba_gives_one_biz_id_to_a_whole_batch_and_reports_the_refused_late():
    world, counterpart = ali()
    world.turns["+8613800000002"] = Turned(reason=Reason.BLACKLISTED)
    body = ask_ali(
        world,
        counterpart,
        "SendBatchSms",
        PhoneNumberJson='["13800000001","13800000002"]',
        SignNameJson='["测试签名","测试签名"]',
        TemplateCode="SMS_154950909",
        TemplateParamJson='[{"code":"1"},{"code":"2"}]',
    )
    assert body["Code"] == "OK"
    push = counterpart.push_reports([claim(world.taken[0].key)])
    assert push is not None
    items = json.loads(push.body)
    assert {item["biz_id"] for item in items} == {body["BizId"]}
    assert [(item["phone_number"], item["success"]) for item in items][1] == ("13800000002", False)
    uneven = ask_ali(
        world,
        counterpart,
        "SendBatchSms",
        PhoneNumberJson='["13800000001"]',
        SignNameJson='["测试签名","测试签名"]',
        TemplateCode="SMS_154950909",
    )
    assert uneven["Code"] == "isv.INVALID_PARAMETERS"


def test_alibaba_pages_its_records_and_keeps_thirty_days():
    world, counterpart = ali(caps="lifted")
    for _ in range(3):
        send_code(world, counterpart, OutId="ours")
    params = {"PhoneNumber": "13800138000", "SendDate": "20240115", "PageSize": "2", "CurrentPage": "2"}
    body = ask_ali(world, counterpart, "QuerySendDetails", **params)
    assert body["TotalCount"] == 3
    (row,) = body["SmsSendDetailDTOs"]["SmsSendDetailDTO"]
    assert row == {
        "SendDate": "2024-01-15 16:30:00",
        "SendStatus": 3,
        "ReceiveDate": "2024-01-15 16:30:03",
        "ErrCode": "DELIVERED",
        "TemplateCode": "SMS_154950909",
        "Content": "【测试签名】您的验证码是1234，请勿告诉他人。",
        "PhoneNum": "13800138000",
        "OutId": "ours",
    }
    for bad in ({"SendDate": "20231215"}, {"SendDate": "20240230"}, {"PageSize": "51"}, {"CurrentPage": "0"}):
        assert ask_ali(world, counterpart, "QuerySendDetails", **(params | bad))["Code"] == "isv.INVALID_PARAMETERS"


def test_alibaba_reviews_a_template_and_then_sends_by_it():
    world, counterpart = ali()
    created = ask_ali(
        world,
        counterpart,
        "CreateSmsTemplate",
        TemplateName="登录",
        TemplateContent="登录码${Code}",
        TemplateType="0",
        RelatedSignName="测试签名",
        TemplateRule='{"Code":"characterWithNumber"}',
    )
    code = created["TemplateCode"]
    assert ask_ali(world, counterpart, "GetSmsTemplate", TemplateCode=code)["TemplateStatus"] == "0"
    sending = {"TemplateCode": code, "TemplateParam": '{"Code":"77"}'}
    assert send_code(world, counterpart, **sending)["Code"] == "isv.SMS_TEMPLATE_ILLEGAL"
    world.at += timedelta(hours=1)
    review = world.decide(1, ReviewVerdict.APPROVED)
    told = ask_ali(world, counterpart, "GetSmsTemplate", TemplateCode=code)
    assert (told["TemplateStatus"], told["AuditInfo"]["AuditDate"]) == ("1", "2024-01-15 17:30:00")
    assert told["TemplateContent"] == "登录码${Code}"
    assert send_code(world, counterpart, **sending)["Code"] == "OK"
    assert world.taken[0].text == "【测试签名】登录码77"
    push = counterpart.push_decision(review)
    assert push is not None
    (item,) = json.loads(push.body)
    assert (item["template_code"], item["template_status"], item["orderId"]) == (code, "approved", created["OrderId"])
    listed = ask_ali(world, counterpart, "QuerySmsTemplateList", PageIndex="1", PageSize="50")["SmsTemplateList"]
    own = next(row for row in listed if row["TemplateCode"] == code)
    assert (own["AuditStatus"], own["TemplateType"], own["OuterTemplateType"]) == ("AUDIT_STATE_PASS", 2, 0)
    ask_ali(world, counterpart, "DeleteSmsTemplate", TemplateCode=code)
    assert ask_ali(world, counterpart, "GetSmsTemplate", TemplateCode=code)["Code"] == "isv.SMS_TEMPLATE_ILLEGAL"


def test_alibaba_files_an_approved_signature_carrier_by_carrier():
    world, counterpart = ali()
    params = {"SignName": "新签名", "SignSource": "0", "SignType": "1", "QualificationId": "1"}
    assert ask_ali(world, counterpart, "CreateSmsSign", **params)["Code"] == "OK"
    world.decide(1, ReviewVerdict.APPROVED)
    world.at += timedelta(days=6)
    body = ask_ali(world, counterpart, "GetSmsSign", SignName="新签名")
    states = {row["OperatorCode"]: row["RegisterStatus"] for row in body["SignIspRegisterDetailList"]}
    assert body["SignStatus"] == 1
    assert states == {"mobile": 3, "unicom": -1, "telecom": -1}
    assert send_code(world, counterpart, SignName="新签名")["Code"] == "OK"


def test_alibaba_pushes_strings_but_for_success():
    _, counterpart = ali()
    push = counterpart.push_reports([claim("12345^0", state=DeliveryState.UNDELIVERED, code="MK:0001")])
    assert push is not None and push.content_type.startswith("application/json")
    (item,) = json.loads(push.body)
    assert item == {
        "phone_number": "13800138000",
        "send_time": "2024-01-15 16:30:00",
        "report_time": "2024-01-15 16:30:04",
        "success": False,
        "err_code": "MK:0001",
        "err_msg": "用户接收失败",
        "sms_size": "2",
        "biz_id": "12345^0",
        "out_id": "ours-1",
    }
    (up,) = json.loads(counterpart.push_reply(REPLY).body)
    assert up["content"] == "退订" and isinstance(up["sequence_id"], str)
    assert counterpart.push_retry == (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=10))


def test_alibaba_only_looks_whether_the_code_is_a_number():
    _, counterpart = ali()
    assert counterpart.acknowledged(200, b'{"code":0}') and counterpart.acknowledged(200, b'{"code":7}')
    for status, body in ((500, b'{"code":0}'), (200, b'{"code":"0"}'), (200, b'{"code":true}'), (200, b"ok")):
        assert not counterpart.acknowledged(status, body)


# -- Tencent --------------------------------------------------------------------------------------------------


def ten(**options: str) -> tuple[World, tencent.Counterpart]:
    world = World({"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "sdk_app_id": "1400006666"}, **options)
    card = FiledTemplate(
        id="1110", text="{code}为您的登录验证码，请于{minutes}分钟内填写。", purpose=Purpose.VERIFICATION
    )
    advert = FiledTemplate(id="1112", text="{shop}上新，拒收请回复R", purpose=Purpose.MARKETING)
    world.templates = {"1110": card, "1112": advert, "1113": replace(card, id="1113", approved=False)}
    return world, tencent.Counterpart(world)


TENCENT_BODY = (
    rb'{"PhoneNumberSet": ["+8613800138000"], "SmsSdkAppId": "1400006666", "TemplateId": "1110", '
    rb'"SignName": "\u817e\u8baf\u4e91", "TemplateParamSet": ["1234", "5"], "SessionContext": "test"}'
)
TENCENT_SIGNATURE = "23b18196cff803ef164fd09885b8cbc545b354ce02846effd4eb20d1ea621158"


def ten_request(
    action: str = "SendSms", body: bytes = TENCENT_BODY, signature: str = TENCENT_SIGNATURE, **changes: str
) -> httpx.Request:
    headers = {
        "Host": "sms.tencentcloudapi.com",
        "Content-Type": "application/json",
        "X-TC-Action": action,
        "X-TC-Version": "2021-01-11",
        "X-TC-Region": "ap-guangzhou",
        "X-TC-Timestamp": "1705307400",
        "Authorization": (
            f"TC3-HMAC-SHA256 Credential={SECRET_ID}/2024-01-15/sms/tc3_request, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        ),
    }
    return httpx.Request("POST", "https://sms.tencentcloudapi.com/", headers=headers | changes, content=body)


def ask_ten(world: World, counterpart: tencent.Counterpart, action: str, **params: Any) -> dict[str, Any]:
    body = json.dumps(params).encode()
    at = int(world.at.timestamp())
    day = world.at.strftime("%Y-%m-%d")
    payload = sha256(body).hexdigest()
    canonical = (
        "POST\n/\n\ncontent-type:application/json\nhost:sms.tencentcloudapi.com\n\ncontent-type;host\n" + payload
    )
    to_sign = f"TC3-HMAC-SHA256\n{at}\n{day}/sms/tc3_request\n{sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{SECRET_KEY}".encode()
    for part in (day, "sms", "tc3_request"):
        key = hmac.new(key, part.encode(), sha256).digest()
    signature = hmac.new(key, to_sign.encode(), sha256).hexdigest()
    request = ten_request(action, body, signature)
    request.headers["X-TC-Timestamp"] = str(at)
    request.headers["Authorization"] = request.headers["Authorization"].replace("2024-01-15", day)
    reply = counterpart.answer(request)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    return reply.json()["Response"]


def ten_send(world: World, counterpart: tencent.Counterpart, **changes: Any) -> dict[str, Any]:
    params: dict[str, Any] = {
        "PhoneNumberSet": [PHONE],
        "SmsSdkAppId": "1400006666",
        "TemplateId": "1110",
        "SignName": "腾讯云",
        "TemplateParamSet": ["1234", "5"],
    }
    return ask_ten(world, counterpart, "SendSms", **(params | changes))


def test_tencent_takes_the_documents_vector():
    world, counterpart = ten()
    reply = counterpart.answer(ten_request())
    (status,) = reply.json()["Response"]["SendStatusSet"]
    assert (status["Code"], status["Message"], status["Fee"]) == ("Ok", "send success", 1)
    assert (status["SessionContext"], status["IsoCode"]) == ("test", "CN")
    assert status["SerialNo"].startswith("5000:") and len(status["SerialNo"]) == 33
    assert world.taken[0].text == "【腾讯云】1234为您的登录验证码，请于5分钟内填写。"


@pytest.mark.parametrize(
    "change, code",
    [
        ({"body": TENCENT_BODY + b" "}, "AuthFailure.SignatureFailure"),
        ({"Host": "other.tencentcloudapi.com"}, "AuthFailure.SignatureFailure"),
        ({"Content-Type": "application/json; charset=utf-8"}, "AuthFailure.SignatureFailure"),
        ({"X-TC-Timestamp": "1705307401"}, "AuthFailure.SignatureFailure"),
        ({"signature": "0" * 64}, "AuthFailure.SignatureFailure"),
        ({"X-TC-Timestamp": "1705307000"}, "AuthFailure.SignatureExpire"),
        ({"Authorization": "Basic abc"}, "AuthFailure.InvalidAuthorization"),
        ({"X-TC-Version": "2019-07-11"}, "NoSuchVersion"),
        ({"action": "Fly"}, "InvalidAction"),
    ],
)
def test_tencent_refuses_what_was_tampered_with(change: dict[str, Any], code: str):
    world, counterpart = ten()
    reply = counterpart.answer(ten_request(**change))
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json()["Response"]["Error"]["Code"] == code
    assert not world.taken


def test_tencent_allows_five_minutes_of_skew():
    world, counterpart = ten()
    world.at = CARD_TIME + timedelta(seconds=300)
    assert "SendStatusSet" in counterpart.answer(ten_request()).json()["Response"]
    world.at = CARD_TIME + timedelta(seconds=301)
    assert "Error" in counterpart.answer(ten_request()).json()["Response"]


@pytest.mark.parametrize(
    "change, code",
    [
        ({"PhoneNumberSet": []}, "MissingParameter.EmptyPhoneNumberSet"),
        ({"PhoneNumberSet": [PHONE] * 201}, "LimitExceeded.PhoneNumberCountLimit"),
        ({"PhoneNumberSet": PHONE}, "InvalidParameter"),
        (
            {"PhoneNumberSet": [PHONE, "+12025550100"]},
            "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber",
        ),
        ({"SmsSdkAppId": "1"}, "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
        ({"TemplateId": 1110}, "InvalidParameter"),
        ({"TemplateId": ""}, "MissingParameter"),
        ({"Colour": "red"}, "UnknownParameter"),
    ],
)
def test_tencent_refuses_a_whole_call_that_is_wrong(change: dict[str, Any], code: str):
    assert ten_send(*ten(), **change)["Error"]["Code"] == code


@pytest.mark.parametrize(
    "change, code",
    [
        ({"PhoneNumberSet": ["+861380013800"]}, "InvalidParameterValue.IncorrectPhoneNumber"),
        ({"TemplateId": "404"}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        ({"TemplateId": "1113"}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        ({"SignName": "没有的"}, "FailedOperation.SignatureIncorrectOrUnapproved"),
        ({"SignName": ""}, "FailedOperation.MissingSignature"),
        ({"TemplateParamSet": ["1"]}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        ({"TemplateParamSet": ["12a4", "5"]}, "InvalidParameterValue.TemplateParameterFormatError"),
        (
            {"TemplateId": "1112", "TemplateParamSet": ["七个字太长了吧"]},
            "InvalidParameterValue.TemplateParameterLengthLimit",
        ),
    ],
)
def test_tencent_refuses_single_numbers_inside_the_set(change: dict[str, Any], code: str):
    (status,) = ten_send(*ten(), **change)["SendStatusSet"]
    assert (status["Code"], status["SerialNo"], status["Fee"]) == (code, "", 0)


@pytest.mark.parametrize("reason, code", tencent.REFUSALS.items())
def test_tencent_puts_the_worlds_no_into_its_own_words(reason: Reason, code: str):
    world, counterpart = ten()
    world.turns[PHONE] = Turned(reason=reason)
    assert ten_send(world, counterpart)["SendStatusSet"][0]["Code"] == code


def test_tencent_caps_same_content_by_half_minutes_and_a_number_by_natural_days():
    world, counterpart = ten()
    codes = []
    for second in (0, 29, 30):
        world.at = CARD_TIME + timedelta(seconds=second)
        codes.append(ten_send(world, counterpart)["SendStatusSet"][0]["Code"])
    assert codes == ["Ok", "LimitExceeded.PhoneNumberThirtySecondLimit", "Ok"]
    for number in range(8):
        body = ten_send(world, counterpart, TemplateParamSet=[str(number), "5"])
        assert body["SendStatusSet"][0]["Code"] == "Ok"
    eleventh = {"TemplateParamSet": ["99", "5"]}
    world.at = datetime(2024, 1, 15, 15, 59, 59, tzinfo=UTC)  # one second to midnight in Beijing
    assert ten_send(world, counterpart, **eleventh)["SendStatusSet"][0]["Code"] == "LimitExceeded.PhoneNumberDailyLimit"
    world.at += timedelta(seconds=1)
    assert ten_send(world, counterpart, **eleventh)["SendStatusSet"][0]["Code"] == "Ok"


def test_tencent_sends_marketing_from_eight_to_ten_only():
    world, counterpart = ten(caps="lifted")
    advert = {"TemplateId": "1112", "TemplateParamSet": ["小店"]}
    codes = {}
    for hour in (7, 8, 21, 22):
        world.at = datetime(2024, 1, 15, (hour - 8) % 24, tzinfo=UTC)
        codes[hour] = ten_send(world, counterpart, **advert)["SendStatusSet"][0]["Code"]
    late = "FailedOperation.MarketingSendTimeConstraint"
    assert codes == {7: late, 8: "Ok", 21: "Ok", 22: late}


def test_tencent_gives_reports_by_number_for_seven_days():
    world, counterpart = ten()
    ten_send(world, counterpart, SessionContext="ours")
    at = int(CARD_TIME.timestamp())
    params = {"BeginTime": at - 60, "EndTime": at + 60, "Offset": 0, "Limit": 10}
    params |= {"PhoneNumber": PHONE, "SmsSdkAppId": "1400006666"}
    (row,) = ask_ten(world, counterpart, "PullSmsSendStatusByPhoneNumber", **params)["PullSmsSendStatusSet"]
    assert (row["UserReceiveTime"], row["ReportStatus"], row["SerialNo"]) == (at + 3, "SUCCESS", world.taken[0].key)
    old = params | {"BeginTime": at - 8 * 86400}
    error = ask_ten(world, counterpart, "PullSmsSendStatusByPhoneNumber", **old)["Error"]
    assert error["Code"] == "InvalidParameterValue.BeginTimeVerifyFail"
    world.queue = [claim("5000:1"), claim("5000:2")]
    pull = {"Limit": 1, "SmsSdkAppId": "1400006666"}
    keys = [ask_ten(world, counterpart, "PullSmsSendStatus", **pull)["PullSmsSendStatusSet"] for _ in range(3)]
    assert [[row["SerialNo"] for row in rows] for rows in keys] == [["5000:1"], ["5000:2"], []]


def test_tencent_reviews_templates_by_status_codes():
    world, counterpart = ten()
    asked = {"TemplateName": "登录", "TemplateContent": "登录码{1}", "SmsType": 3, "International": 0, "Remark": "r"}
    template_id = ask_ten(world, counterpart, "AddSmsTemplate", **asked)["AddTemplateStatus"]["TemplateId"]
    listing = {"International": 0, "TemplateIdSet": [int(template_id)]}

    def state() -> tuple[int, str]:
        (row,) = ask_ten(world, counterpart, "DescribeSmsTemplateList", **listing)["DescribeTemplateStatusSet"]
        return row["StatusCode"], row["ReviewReply"]

    assert state() == (1, "")
    world.decide(1, ReviewVerdict.REJECTED, "含变量过多")
    assert state() == (-1, "含变量过多")
    world.decide(1, ReviewVerdict.APPROVED)
    assert state()[0] == 0
    body = ten_send(world, counterpart, TemplateId=template_id, TemplateParamSet=["42"])
    assert (body["SendStatusSet"][0]["Code"], world.taken[0].text) == ("Ok", "【腾讯云】登录码42")
    assert counterpart.push_decision(world.open[0]) is None
    wrong = ask_ten(world, counterpart, "AddSmsTemplate", **(asked | {"SmsType": 1}))["Error"]["Code"]
    assert wrong == "InvalidParameterValue.MarketingTemplateWithoutUnsubscribe"
    ask_ten(world, counterpart, "DeleteSmsTemplate", TemplateId=int(template_id))
    assert ask_ten(world, counterpart, "DescribeSmsTemplateList", **listing)["DescribeTemplateStatusSet"] == []


def test_tencent_pushes_an_array_of_strings_and_a_reply_object():
    _, counterpart = ten()
    push = counterpart.push_reports([claim("5000:1", state=DeliveryState.UNDELIVERED, code="002")])
    assert push is not None
    (item,) = json.loads(push.body)
    assert all(isinstance(value, str) for value in item.values())
    assert (item["mobile"], item["report_status"], item["errmsg"], item["user_receive_time"]) == (
        "13800138000",
        "FAIL",
        "002",
        "2024-01-15 16:30:04",
    )
    up = json.loads(counterpart.push_reply(REPLY).body)
    assert up == {
        "extend": "8888",
        "mobile": "15200001314",
        "nationcode": "86",
        "sign": "云片网",
        "text": "退订",
        "time": int(CARD_TIME.timestamp()),
    }
    assert counterpart.acknowledged(200, b'{"result":0,"errmsg":"OK"}')
    assert not counterpart.acknowledged(200, b'{"result":1}') and not counterpart.acknowledged(503, b'{"result":0}')


# -- Yunpian --------------------------------------------------------------------------------------------------


def yun(**options: str) -> tuple[World, yunpian.Counterpart]:
    world = World({"apikey": APIKEY}, **options)
    world.templates = {
        "101": replace(CODE, id="101"),
        "102": FiledTemplate(id="102", text="{anything}", purpose=Purpose.MARKETING),
        "103": replace(PULLED, id="103"),
    }
    return world, yunpian.Counterpart(world)


def ask_yun(counterpart: yunpian.Counterpart, path: str, **params: str) -> httpx.Response:
    fields = {"apikey": APIKEY} | params
    return counterpart.answer(httpx.Request("POST", f"https://sms.yunpian.com/v2/{path}.json", data=fields))


CODE_TEXT = "【测试签名】您的验证码是1234，请勿告诉他人。"


def test_yunpian_sends_a_text_by_the_most_literal_template_it_matches():
    world, counterpart = yun()
    reply = ask_yun(counterpart, "sms/single_send", mobile="13800138000", text=CODE_TEXT, uid="ours")
    body = reply.json()
    assert reply.status_code == 200
    assert body == {
        "code": 0,
        "msg": "发送成功",
        "count": 1,
        "fee": 0.05,
        "unit": "RMB",
        "mobile": "13800138000",
        "sid": body["sid"],
    }
    assert body["sid"] > 2**31
    (taken,) = world.taken
    assert (taken.template, taken.purpose, taken.reference) == ("101", Purpose.VERIFICATION, "ours")


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"apikey": ""}, 1),
        ({"apikey": "f" * 32}, -1),
        ({"mobile": ""}, 1),
        ({"mobile": "123"}, 2),
        ({"mobile": "+12025550100"}, 20),
        ({"text": "没有签名"}, 16),
        ({"text": "【没有的】您的验证码是1，请勿告诉他人。"}, 15),
        ({"text": "【未批签名】您的验证码是1，请勿告诉他人。"}, 18),
        ({"text": "【测试签名】谁也不认识的话"}, 5),
        ({"text": "【测试签名】已撤销1"}, 7),
        ({"uid": "x" * 257}, 2),
    ],
)
def test_yunpian_errors_are_http_400_with_a_code(changes: dict[str, str], code: int):
    world, counterpart = yun()
    del world.templates["102"]
    reply = ask_yun(counterpart, "sms/single_send", **({"mobile": "13800138000", "text": CODE_TEXT} | changes))
    body = reply.json()
    assert (reply.status_code, body["http_status_code"], body["code"]) == (400, 400, code)
    assert body["msg"] and body["detail"]


def test_yunpian_knows_neither_get_nor_unknown_paths():
    _, counterpart = yun()
    assert counterpart.answer(httpx.Request("GET", "https://x/v2/user/get.json")).json()["code"] == 11
    assert ask_yun(counterpart, "sms/fly").json()["code"] == -2


def test_yunpian_says_which_word_is_blocked():
    world, counterpart = yun()
    world.turns[PHONE] = Turned(reason=Reason.SENSITIVE_CONTENT, words=("发票",))
    body = ask_yun(counterpart, "sms/single_send", mobile="13800138000", text=CODE_TEXT).json()
    assert (body["code"], body["msg"], body["detail"]) == (4, "关键词屏蔽", "关键词 发票 为屏蔽词，不允许发送")
    assert ask_yun(counterpart, "sms/get_black_word", text="代开发票").json() == ["发票"]


def test_yunpian_caps_same_content_and_numbers():
    world, counterpart = yun(per_number_per_hour="4", per_number_per_day="5")

    def send(second: float, text: str = CODE_TEXT) -> int:
        world.at = CARD_TIME + timedelta(seconds=second)
        return ask_yun(counterpart, "sms/single_send", mobile="13800138000", text=text).json()["code"]

    assert [send(0), send(29.9), send(30), send(60)] == [0, 8, 0, 0]
    assert [send(90), send(300)] == [9, 0]
    other = CODE_TEXT.replace("1234", "5678")
    assert send(301, other) == 22
    assert send(3661, other) == 0
    assert send(7300, CODE_TEXT) == 17
    assert send(86400, CODE_TEXT) == 0


def test_yunpian_gives_every_number_of_a_batch_its_own_result():
    world, counterpart = yun()
    world.turns["+8613800000002"] = Turned(reason=Reason.BLACKLISTED)
    numbers = "13800000001,13800000002,13800000003"
    body = ask_yun(counterpart, "sms/batch_send", mobile=numbers, text=CODE_TEXT).json()
    assert (body["total_count"], body["total_fee"], body["unit"]) == (2, "0.1000", "RMB")
    assert [row["code"] for row in body["data"]] == [0, 10, 0]
    texts = ",".join(quote(CODE_TEXT.replace("1234", code)) for code in ("1,1", "22"))
    two = ask_yun(counterpart, "sms/multi_send", mobile="13800000004,13800000005", text=texts).json()
    assert [row["code"] for row in two["data"]] == [0, 0]
    assert "1,1" in world.taken[-2].text and "22" in world.taken[-1].text
    uneven = ask_yun(counterpart, "sms/multi_send", mobile="13800000004", text=texts)
    assert uneven.json()["code"] == 2


def test_yunpian_sends_by_template_with_values_encoded_twice():
    world, counterpart = yun()
    value = f"{quote('#code#')}={quote('12&4')}"
    body = ask_yun(counterpart, "sms/tpl_single_send", mobile="13800138000", tpl_id="101", tpl_value=value).json()
    assert body["code"] == 0
    assert world.taken[0].text == "【测试签名】您的验证码是12&4，请勿告诉他人。"
    missing = ask_yun(counterpart, "sms/tpl_batch_send", mobile="13800138000", tpl_id="101", tpl_value="x=1")
    assert missing.json()["code"] == 2
    unknown = ask_yun(counterpart, "sms/tpl_batch_send", mobile="13800138000", tpl_id="9", tpl_value=value)
    assert unknown.json()["code"] == 5


def test_yunpian_tells_records_counts_fees_and_balance():
    world, counterpart = yun()
    ask_yun(counterpart, "sms/single_send", mobile="13800138000", text=CODE_TEXT)
    span = {"start_time": "2024-01-15 00:00:00", "end_time": "2024-01-16 00:00:00"}
    (row,) = ask_yun(counterpart, "sms/get_record", mobile="13800138000", **span).json()
    assert isinstance(row["sid"], str) and row["send_time"] == "2024-01-15 16:30:00"
    assert (row["report_status"], row["fee"]) == ("SUCCESS", 0.05)
    assert ask_yun(counterpart, "sms/count", **span).json() == {"total": 1}
    assert ask_yun(counterpart, "sms/get_total_fee", date="2024-01-15").json()["code"] == 2
    world.at += timedelta(days=1)
    fees = ask_yun(counterpart, "sms/get_total_fee", date="2024-01-15").json()
    assert fees == {
        "totalCount": 1,
        "totalFee": "0.050",
        "totalSuccessCount": 1,
        "totalFailedCount": 0,
        "totalUnknownCount": 0,
    }
    assert ask_yun(counterpart, "user/get").json()["balance"] == 49.95


def test_yunpian_reviews_templates_and_sends_by_them():
    world, counterpart = yun()
    world.templates = {}
    content = "【测试签名】登录码#code#"
    told = ask_yun(
        counterpart, "tpl/add", tpl_content=content, tpl_type="1", website="http://a.cn", apply_description="登录"
    ).json()
    assert (told["check_status"], told["tpl_content"]) == ("CHECKING", content)
    send = {"mobile": "13800138000", "text": "【测试签名】登录码9"}
    assert ask_yun(counterpart, "sms/single_send", **send).json()["code"] == 7
    review = world.decide(1, ReviewVerdict.APPROVED)
    assert ask_yun(counterpart, "tpl/get", tpl_id=str(told["tpl_id"])).json()["check_status"] == "SUCCESS"
    assert ask_yun(counterpart, "sms/single_send", **send).json()["code"] == 0
    push = counterpart.push_decision(review)
    assert push is not None
    assert parse_qs(push.body.decode())["check_status"] == ["SUCCESS"]
    newer = ask_yun(counterpart, "tpl/update", tpl_id=str(told["tpl_id"]), tpl_content="【测试签名】新码#code#").json()
    assert (newer["tpl_id"], newer["check_status"]) == (told["tpl_id"], "CHECKING")
    assert len(ask_yun(counterpart, "tpl/get").json()) == 1
    ask_yun(counterpart, "tpl/del", tpl_id=str(told["tpl_id"]))
    assert ask_yun(counterpart, "tpl/get").json() == []
    assert ask_yun(counterpart, "tpl/get_default").json()[0]["tpl_id"] == 1


def test_yunpian_reviews_signatures():
    world, counterpart = yun()
    told = ask_yun(counterpart, "sign/add", sign="新品牌", website="http://a.cn").json()
    assert (told["code"], told["sign"]["apply_state"], told["sign"]["sign"]) == (0, "CHECKING", "【新品牌】")
    renamed = ask_yun(counterpart, "sign/update", old_sign="新品牌", sign="新品牌二")
    assert renamed.json()["code"] == 0
    world.decide(1, ReviewVerdict.APPROVED)
    found = ask_yun(counterpart, "sign/get", sign="【新品牌】").json()
    assert (found["total"], found["sign"][0]["check_status"]) == (1, "SUCCESS")
    assert ask_yun(counterpart, "sign/get", sign="品牌").json()["total"] == 2
    assert ask_yun(counterpart, "sign/update", old_sign="新品牌", sign="x品牌").json()["code"] == 18


def test_yunpian_signs_a_reply_as_the_documents_vector_does():
    fields = {
        "base_extend": "8888",
        "extend": "01",
        "id": "2a70c6bb4f2845da816ea1bfe5732747",
        "mobile": "15205201314",
        "reply_time": "2014-03-17 22:55:21",
        "text": "收到了，谢谢！",
    }
    assert yunpian.reply_signature(fields, "0000") == "393d079e0a00912335adfe46f4a2e10f"


def test_yunpian_pushes_json_inside_a_form_field():
    world, counterpart = yun()
    push = counterpart.push_reports([claim("15065268376", state=DeliveryState.UNDELIVERED, code="DB:0103")])
    assert push is not None and push.content_type.startswith("application/x-www-form-urlencoded")
    (item,) = json.loads(parse_qs(push.body.decode())["sms_status"][0])
    assert item == {
        "sid": 15065268376,
        "uid": "ours-1",
        "user_receive_time": "2024-01-15 16:30:04",
        "error_msg": "DB:0103",
        "mobile": "13800138000",
        "report_status": "FAIL",
    }
    up = json.loads(parse_qs(counterpart.push_reply(REPLY).body.decode())["sms_reply"][0])
    signature = up.pop("_sign")
    assert signature == yunpian.reply_signature(up, APIKEY)
    world.options["push_encoding"] = "double"
    twice = counterpart.push_reports([claim("15065268376")])
    assert twice is not None
    assert json.loads(unquote(parse_qs(twice.body.decode())["sms_status"][0]))[0]["error_msg"] == ""
    assert counterpart.acknowledged(200, b"SUCCESS") and counterpart.acknowledged(200, b"0")
    assert not counterpart.acknowledged(200, b"success") and not counterpart.acknowledged(500, b"SUCCESS")


def test_yunpian_gives_queued_reports_and_replies_once():
    world, counterpart = yun()
    world.queue, world.answers = [claim("15065268376")], [REPLY]
    span = {"start_time": "2024-01-15 00:00:00", "end_time": "2024-01-16 00:00:00", "page_num": "1", "page_size": "9"}
    assert len(ask_yun(counterpart, "sms/get_reply", mobile="15200001314", **span).json()) == 1
    assert [len(ask_yun(counterpart, "sms/pull_status").json()) for _ in range(2)] == [1, 0]
    (reply,) = ask_yun(counterpart, "sms/pull_reply").json()
    assert reply["_sign"] is None and reply["text"] == "退订"
    assert ask_yun(counterpart, "sms/pull_status", page_size="101").json()["code"] == 2


# -- all of them ----------------------------------------------------------------------------------------------

WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["13800138000", "【测试签名】", "测试签名", "SMS_1", "1110", "{}", "[]", "20240115", "0", "1", "-1"]
    ),
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "X"]),
    path=st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-acs-action", "x-acs-date", "content-type", "x-tc-timestamp", "host"]),
        st.sampled_from(
            [
                "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;x,Signature=f",
                f"TC3-HMAC-SHA256 Credential={SECRET_ID}/2024-01-15/sms/tc3_request, SignedHeaders=content-type;host, "
                f"Signature={'0' * 64}",
                "application/x-www-form-urlencoded",
                "99999999999999999999",
                "é",
                "",
            ]
        ),
    ),
    body=st.binary(max_size=200),
)
def test_no_garbage_makes_a_counterpart_raise(method: str, path: str, headers: dict[str, str], body: bytes):
    url = f"https://vendor.example.invalid/{quote(path, safe='/?&=%')}"
    wire = [(name, value.encode("utf-8")) for name, value in headers.items()]
    for make in (ali, ten, yun):
        _, counterpart = make()
        reply = counterpart.answer(httpx.Request(method, url, headers=wire, content=body))
        told = reply.json()
        assert told.get("Code") or told.get("code") or told["Response"]["Error"]["Code"]


ALI_NAMES = [
    "PhoneNumbers", "SignName", "TemplateCode", "TemplateParam", "OutId", "PhoneNumberJson", "SignNameJson", "SignType",
    "TemplateParamJson", "SmsUpExtendCodeJson", "PhoneNumber", "SendDate", "PageSize", "CurrentPage", "PageIndex",
    "StartDate", "EndDate", "IsGlobe", "TemplateName", "TemplateContent", "TemplateType", "RelatedSignName",
    "TemplateRule", "SignSource", "QualificationId",
]  # fmt: skip


@SETTINGS
@given(
    action=st.sampled_from(sorted(alibaba.ACTIONS)),
    params=st.dictionaries(st.sampled_from(ALI_NAMES), WORDS | JSONS.map(json.dumps), max_size=12),
)
def test_alibaba_answers_any_parameters_in_its_own_shape(action: str, params: dict[str, str]):
    world, counterpart = ali()
    body = ask_ali(world, counterpart, action, **params)
    assert isinstance(body["Code"], str) and body["Code"] != "SignatureDoesNotMatch" and body["RequestId"]


@SETTINGS
@given(data=st.data(), action=st.sampled_from(sorted(tencent.ACTIONS)))
def test_tencent_answers_any_parameters_in_its_own_shape(data: st.DataObject, action: str):
    by_type = {
        "String": WORDS,
        "Integer": st.integers() | st.integers(0, 3),
        "Array of String": st.lists(WORDS, max_size=3),
        "Array of Integer": st.lists(st.integers(), max_size=3),
    }
    takes = tencent.ACTIONS[action].takes
    params = {name: data.draw(by_type[kind] | JSONS if name else JSONS) for name, kind in takes.items()}
    if data.draw(st.booleans()):
        params |= {"SmsSdkAppId": "1400006666"} if "SmsSdkAppId" in takes else {}
    world, counterpart = ten()
    body = ask_ten(world, counterpart, action, **params)
    assert body["RequestId"]


YUN_NAMES = [
    "mobile", "text", "uid", "extend", "register", "tpl_id", "tpl_value", "page_size", "page_num", "start_time",
    "end_time", "date", "type", "tpl_content", "tpl_type", "notify_type", "website", "apply_description", "sign",
    "old_sign",
]  # fmt: skip


@SETTINGS
@given(
    path=st.sampled_from(sorted(yunpian.ACTIONS)),
    params=st.dictionaries(
        st.sampled_from(YUN_NAMES),
        WORDS | st.sampled_from([CODE_TEXT, "2024-01-15 00:00:00", "9999-12-31 23:59:59", "0001-01-01 00:00:00"]),
        max_size=12,
    ),
)
def test_yunpian_answers_any_parameters_in_its_own_shape(path: str, params: dict[str, str]):
    _, counterpart = yun()
    reply = ask_yun(counterpart, path.removeprefix("/v2/").removesuffix(".json"), **params)
    body = reply.json()
    if reply.status_code == 400:
        assert body["code"] in yunpian.CODES and body["detail"]
    else:
        assert reply.status_code == 200


@pytest.mark.parametrize("make", [ali, ten, yun])
def test_the_same_requests_get_the_same_answers(make: Callable[[], tuple[World, Any]]):
    def story() -> list[bytes]:
        _, counterpart = make()
        if make is ali:
            requests = [card_request(), card_request()]
        elif make is ten:
            requests = [ten_request(), ten_request()]
        else:
            fields = {"apikey": APIKEY, "mobile": "13800138000", "text": CODE_TEXT}
            requests = [httpx.Request("POST", "https://x/v2/sms/single_send.json", data=fields)] * 2
        return [counterpart.answer(request).content for request in requests]

    assert story() == story()


@pytest.mark.parametrize("make", [ali, ten, yun])
def test_a_send_is_answered_well_under_a_millisecond(make: Callable[..., tuple[World, Any]]):
    world, counterpart = make(caps="lifted", replay="accepted")
    if make is ali:
        request = card_request()
    elif make is ten:
        request = ten_request()
    else:
        fields = {"apikey": APIKEY, "mobile": "13800138000", "text": CODE_TEXT}
        request = httpx.Request("POST", "https://x/v2/sms/single_send.json", data=fields)
        request.read()
    best = min(_seconds(counterpart, request) for _ in range(5))
    assert len(world.taken) == 500
    assert best < 0.001, f"{best * 1e3:.3f} ms a send"


def _seconds(counterpart: Any, request: httpx.Request) -> float:
    began = time.perf_counter()
    for _ in range(100):
        counterpart.answer(request)
    return (time.perf_counter() - began) / 100


# -- the vendors' own SDKs ------------------------------------------------------------------------------------

# On Python 3.12 and later the SDKs call what is deprecated there (datetime.utcnow and the like).
third_party = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """SDKs heed proxies in the environment; loopback needs none."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@third_party
@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("algorithm", [None, "v2"])
def test_the_alibaba_sdk_is_content(algorithm: str | None):
    models = pytest.importorskip("alibabacloud_dysmsapi20170525.models")
    client_module = pytest.importorskip("alibabacloud_dysmsapi20170525.client")
    config_module = pytest.importorskip("alibabacloud_tea_openapi.utils_models")
    exceptions = pytest.importorskip("alibabacloud_tea_openapi.exceptions")
    world, counterpart = ali()
    world.at = datetime.now(UTC)
    with served(counterpart) as address:

        def client(secret: str = SECRET) -> Any:
            config = config_module.Config(
                access_key_id=KEY, access_key_secret=secret, endpoint=address, protocol="HTTP"
            )
            if algorithm:
                config.signature_algorithm = algorithm
            return client_module.Client(config)

        def send(number: str, **changes: str) -> Any:
            fields = {"sign_name": "测试签名", "template_code": "SMS_154950909", "template_param": '{"code":"1234"}'}
            request = models.SendSmsRequest(phone_numbers=number, out_id="ours-1", **(fields | changes))
            return client().send_sms(request).body

        sent = send("13800138000")
        assert (sent.code, sent.message) == ("OK", "OK") and sent.biz_id == world.taken[0].key
        assert world.taken[0].reference == "ours-1"
        world.turns["+8613800000002"] = Turned(reason=Reason.OPTED_OUT)
        assert send("13800000002").code == "isv.CUSTOMER_REFUSED"
        assert send("13800138000").code == "isv.BUSINESS_LIMIT_CONTROL"
        assert send("13800000003", template_code="SMS_404").code == "isv.SMS_TEMPLATE_ILLEGAL"
        with pytest.raises(exceptions.ClientException) as wrong:
            client("wrong").send_sms(models.SendSmsRequest(phone_numbers="13800138000"))
        assert (wrong.value.code, wrong.value.status_code) == ("SignatureDoesNotMatch", 400)

        batch = client().send_batch_sms(
            models.SendBatchSmsRequest(
                phone_number_json='["13800000004","13800000005"]',
                sign_name_json='["测试签名","测试签名"]',
                template_code="SMS_154950909",
                template_param_json='[{"code":"1"},{"code":"2"}]',
            )
        )
        assert batch.body.code == "OK" and [one.key for one in world.taken[-2:]] == [batch.body.biz_id] * 2

        today = world.at.astimezone(alibaba.BEIJING).strftime("%Y%m%d")
        details = client().query_send_details(
            models.QuerySendDetailsRequest(phone_number="13800138000", send_date=today, page_size=10, current_page=1)
        )
        (row,) = details.body.sms_send_detail_dtos.sms_send_detail_dto
        assert (row.send_status, row.err_code, row.out_id) == (3, "DELIVERED", "ours-1")
        statistics = client().query_send_statistics(
            models.QuerySendStatisticsRequest(start_date=today, end_date=today, is_globe=1, page_index=1, page_size=10)
        )
        (day,) = statistics.body.data.target_list
        assert (day.send_date, day.total_count, day.responded_success_count) == (today, 3, 3)

        made = client().create_sms_template(
            models.CreateSmsTemplateRequest(
                template_name="登录",
                template_content="登录码${code}",
                template_type=0,
                related_sign_name="测试签名",
                template_rule='{"code":"characterWithNumber"}',
            )
        )
        world.decide(1, ReviewVerdict.REJECTED, "请补充使用场景")
        told = client().get_sms_template(models.GetSmsTemplateRequest(template_code=made.body.template_code))
        assert (told.body.template_status, told.body.audit_info.reject_info) == ("2", "请补充使用场景")
        listed = client().query_sms_template_list(models.QuerySmsTemplateListRequest(page_index=1, page_size=10))
        assert "AUDIT_STATE_NOT_PASS" in {one.audit_status for one in listed.body.sms_template_list}
        gone = client().delete_sms_template(models.DeleteSmsTemplateRequest(template_code=made.body.template_code))
        assert gone.body.code == "OK"
        filed = client().create_sms_sign(
            models.CreateSmsSignRequest(
                sign_name="新签名", sign_source=0, sign_type=1, third_party=False, qualification_id=1
            )
        )
        assert filed.body.code == "OK"
        signature = client().get_sms_sign(models.GetSmsSignRequest(sign_name="测试签名"))
        assert {one.register_status for one in signature.body.sign_isp_register_detail_list} == {3}


@third_party
@pytest.mark.usefixtures("direct")
def test_the_tencent_sdk_is_content():
    models = pytest.importorskip("tencentcloud.sms.v20210111.models")
    client_module = pytest.importorskip("tencentcloud.sms.v20210111.sms_client")
    credential_module = pytest.importorskip("tencentcloud.common.credential")
    profile = pytest.importorskip("tencentcloud.common.profile.client_profile")
    http_profile = pytest.importorskip("tencentcloud.common.profile.http_profile")
    exception = pytest.importorskip("tencentcloud.common.exception.tencent_cloud_sdk_exception")
    world, counterpart = ten()
    world.at = datetime.now(UTC)
    with served(counterpart) as address:

        def ask(name: str, key: str = SECRET_KEY, **fields: Any) -> Any:
            http = http_profile.HttpProfile(protocol="http", endpoint=address, reqMethod="POST", reqTimeout=5)
            client = client_module.SmsClient(
                credential_module.Credential(SECRET_ID, key), "ap-guangzhou", profile.ClientProfile(httpProfile=http)
            )
            request = getattr(models, f"{name}Request")()
            request.from_json_string(json.dumps(fields))
            return getattr(client, name)(request)

        app = {"SmsSdkAppId": "1400006666"}
        sending = app | {"TemplateId": "1110", "SignName": "腾讯云", "TemplateParamSet": ["1234", "5"]}

        def send(number: str, **changes: Any) -> Any:
            (status,) = ask("SendSms", **(sending | {"PhoneNumberSet": [number]} | changes)).SendStatusSet
            return status

        sent = send(PHONE, SessionContext="ours")
        assert (sent.Code, sent.SerialNo, sent.Fee) == ("Ok", world.taken[0].key, 1)
        assert send(PHONE).Code == "LimitExceeded.PhoneNumberThirtySecondLimit"
        world.turns["+8613800000002"] = Turned(reason=Reason.BLACKLISTED)
        assert send("+8613800000002").Code == "FailedOperation.PhoneNumberInBlacklist"
        assert send("+8613800000003", TemplateId="404").Code == "FailedOperation.TemplateIncorrectOrUnapproved"
        with pytest.raises(exception.TencentCloudSDKException) as wrong:
            ask("SendSms", key="wrong", **(sending | {"PhoneNumberSet": [PHONE]}))
        assert wrong.value.code == "AuthFailure.SignatureFailure"

        at = int(world.at.timestamp())
        span = app | {"BeginTime": at - 60, "EndTime": at + 60, "Offset": 0, "Limit": 10, "PhoneNumber": PHONE}
        (report,) = ask("PullSmsSendStatusByPhoneNumber", **span).PullSmsSendStatusSet
        assert (report.SerialNo, report.ReportStatus, report.SessionContext) == (sent.SerialNo, "SUCCESS", "ours")
        assert ask("PullSmsSendStatus", Limit=10, **app).PullSmsSendStatusSet == []
        world.answers = [replace(REPLY, number=PHONE, sent_at=world.at)]
        (reply,) = ask("PullSmsReplyStatusByPhoneNumber", **span).PullSmsReplyStatusSet
        assert (reply.ReplyContent, reply.ReplyTime) == ("退订", at)
        (reply,) = ask("PullSmsReplyStatus", Limit=10, **app).PullSmsReplyStatusSet
        assert reply.ExtendCode == "8888"

        day = world.at.astimezone(alibaba.BEIJING).strftime("%Y%m%d")
        hours = app | {"BeginTime": f"{day}00", "EndTime": f"{day}23", "Limit": 0, "Offset": 0}
        if world.at.astimezone(alibaba.BEIJING).hour < 23:
            assert ask("SendStatusStatistics", **hours).SendStatusStatistics.RequestSuccessCount == 1
        callbacks = ask("CallbackStatusStatistics", **hours).CallbackStatusStatistics
        assert (callbacks.BlackListCount, callbacks.ShutdownErrorCount) == (2, 1)
        (package,) = ask("SmsPackagesStatistics", **(hours | {"Limit": 10})).SmsPackagesStatisticsSet
        assert (package.PackageAmount, package.CurrentUsage) == (1000, 1)

        made = ask(
            "AddSmsTemplate", TemplateName="登录", TemplateContent="登录码{1}", SmsType=3, International=0, Remark="r"
        )
        template_id = int(made.AddTemplateStatus.TemplateId)
        world.decide(1, ReviewVerdict.REJECTED, "请补充场景")
        listed = ask("DescribeSmsTemplateList", International=0, TemplateIdSet=[template_id])
        (row,) = listed.DescribeTemplateStatusSet
        assert (row.StatusCode, row.ReviewReply) == (-1, "请补充场景")
        assert ask("DeleteSmsTemplate", TemplateId=template_id).DeleteTemplateStatus.DeleteStatus
        filing = {"SignName": "新签名", "SignType": 0, "DocumentType": 0, "International": 0, "SignPurpose": 0}
        signature = ask("AddSmsSign", QualificationId=1, **filing).AddSignStatus.SignId
        (row,) = ask("DescribeSmsSignList", International=0, SignIdSet=[signature]).DescribeSignListStatusSet
        assert (row.SignName, row.StatusCode) == ("新签名", 1)
        (info,) = ask("DescribePhoneNumberInfo", PhoneNumberSet=["13800138000"]).PhoneNumberInfoSet
        assert (info.PhoneNumber, info.IsoCode, info.Code) == (PHONE, "CN", "Ok")
