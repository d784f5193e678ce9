"""What is Volcengine's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, make, message
from tests.vendors.test_counterparts import PHONE, REPLY, World, claim
from vendors import signing, volcengine
from vendors.sandbox import volcengine as counterpart
from vendors.sandbox.door import Turned

KEY, SECRET = "AKLTfakefakefakefakefakefakefake00", "RmFrZVNlY3JldEtleUZvclRlc3RzMDAwMDAwMDAwMA=="


def _sha1_hex(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _sha512(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha512).digest()


def _unsorted(query: Any) -> str:
    return "&".join(f"{name}={signing.percent(query[name])}" for name in sorted(query, reverse=True))


def _prefixed(secret: str, moment: datetime, region: str, step: Any = volcengine.signing_key) -> Any:
    return step(f"VOLC{secret}", moment, region)


def _after(step: Any, change: Any) -> Any:
    return lambda *arguments: change(step(*arguments))


MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the query is not sorted", volcengine, "canonical_query", _unsorted),
    ("the query is encoded in small letters", volcengine, "canonical_query",
     _after(volcengine.canonical_query, str.lower)),
    ("a usual port is signed", volcengine, "signed_host", lambda host: host),
    ("every port is left out", volcengine, "signed_host", lambda host: host.partition(":")[0]),
    ("headers end without a line end", volcengine, "canonical_headers",
     _after(volcengine.canonical_headers, lambda text: text.rstrip("\n"))),
    ("headers are not sorted", volcengine, "canonical_headers", lambda headers: "".join(
        f"{name}:{headers[name]}\n" for name in sorted(headers, reverse=True))),
    ("another verb is signed", volcengine, "canonical_request",
     lambda method, *rest, step=volcengine.canonical_request: step("PUT", *rest)),
    ("the body is not signed", volcengine, "canonical_request",
     lambda method, query, headers, body, step=volcengine.canonical_request: step(method, query, headers, b"")),
    ("the scope lacks its end", volcengine, "scope", _after(volcengine.scope, lambda text: text[:-8])),
    ("the time is left out", volcengine, "string_to_sign",
     _after(volcengine.string_to_sign, lambda text: text.replace("20240115T083000Z", ""))),
    ("the key has a prefix", volcengine, "signing_key", _prefixed),
    ("the key is not derived", volcengine, "signing_key", lambda secret, moment, region: secret.encode()),
    ("the body's digest is of another kind", signing, "sha256_hex", _sha1_hex),
    ("the HMAC's key and text change places", signing, "hmac_sha256",
     lambda key, data, step=signing.hmac_sha256: step(data, key)),
    ("the HMAC is of another kind", signing, "hmac_sha256", _sha512),
]  # fmt: skip


# --- the adapter ------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=30),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    seconds=st.integers(10**9, 4 * 10**9),
)
def test_the_counterpart_takes_what_the_adapter_signs_whatever_is_in_it(text: str, secret: str, seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    vendor = make("volcengine", {"now": moment.isoformat(), "secret": secret})
    world = World({"access_key": KEY, "secret_key": secret, "sms_account": "7a0f1b2c"})
    world.at = moment
    for flow in (vendor.query_template(text or "x"), vendor.submit(message({"parameters": {"code": text}}))):
        told = counterpart.Counterpart(world).answer(play(flow).request).json()["ResponseMetadata"]
        assert told.get("Error", {}).get("Code") in (None, "RE:0004")  # past the signature


@pytest.mark.parametrize(
    "messages",
    [
        [message()] * 201,
        [message(), message({"template": "101"})],
        [message(), message({"signature": "别的"})],
        [message({"template": None})],
    ],
    ids=["too many", "two templates", "two signatures", "no template"],
)
def test_a_bulk_that_one_request_cannot_hold_is_not_sent(messages: Any) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("volcengine").submit_bulk(messages))
    assert not raised.value.written


def test_an_empty_bulk_asks_nothing_and_a_full_one_carries_no_tag() -> None:
    assert play(make("volcengine").submit_bulk([])).outcome == ()
    request = play(make("volcengine").submit_bulk(CALLS["submit_bulk"]["messages"])).request
    assert request is not None and b"Tag" not in request.content


def test_ids_that_are_not_as_many_as_the_messages_tell_nothing() -> None:
    talk = play(make("volcengine").submit_bulk(CALLS["submit_bulk"]["messages"]))
    with pytest.raises(Unintelligible):
        talk.answer(200, {"ResponseMetadata": {}, "Result": {"MessageID": ["a"]}})


@pytest.mark.parametrize("options", [{"proof_image": ""}, {"sign_purpose": "own"}])
def test_a_signature_without_its_papers_is_not_handed_in(options: Any) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("volcengine", {"options": options}).submit_signature(**CALLS["submit_signature"]))
    assert not raised.value.written


def test_a_second_page_of_records_is_asked_for() -> None:
    row = {"status": 3, "errorCode": "0", "phoneNumber": "138", "messageId": "m"}
    talk = play(make("volcengine").find_records(**CALLS["find_records"]))
    talk.answer(200, {"ResponseMetadata": {}, "Result": {"sendDetailsResults": [row] * 15, "total": 16}})
    assert json.loads(talk.request.content)["pageIndex"] == 2
    talk.answer(200, {"ResponseMetadata": {}, "Result": {"sendDetailsResults": [row], "total": 16}})
    assert len(talk.outcome) == 16


# --- the counterpart --------------------------------------------------------------------------------------------------


class Late(World):
    """A world that keeps what is pushed of the vendor's own accord."""

    def __init__(self, **options: str) -> None:
        super().__init__({"access_key": KEY, "secret_key": SECRET, "sms_account": "7a0f1b2c"}, **options)
        self.pushed: list[dict[str, Any]] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        assert kind == "reports"
        self.pushed += json.loads(push.body)


def ask(world: World, action: str, method: str = "POST", version: str = "", **fields: Any) -> Any:
    """An answer to a call signed here once more, by the card."""
    versions = {"SendSms": "2020-01-01", "SendBatchSms": "2021-01-01"}
    query = {"Action": action, "Version": version or versions.get(action, "2021-01-11")}
    body = b"" if method == "GET" else json.dumps(fields).encode()
    query |= fields if method == "GET" else {}
    reply = counterpart.Counterpart(world).answer(request_of(world, method, query, body))
    return {"http": reply.status_code, **reply.json()}


def request_of(world: World, method: str, query: Any, body: bytes, **changes: str) -> httpx.Request:
    stamp = changes.get("stamp", world.at.strftime("%Y%m%dT%H%M%SZ"))
    written = "&".join(f"{name}={signing.percent(str(query[name]))}" for name in sorted(query))
    headers = {"host": "h.example", "x-content-sha256": hashlib.sha256(body).hexdigest(), "x-date": stamp}
    lines = "".join(f"{name}:{headers[name]}\n" for name in headers)
    canonical = "\n".join((method, "/", written, lines, ";".join(headers), headers["x-content-sha256"]))
    scope = f"{stamp[:8]}/cn-north-1/{changes.get('service', 'volcSMS')}/request"
    words = f"HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = changes.get("secret", SECRET).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, words.encode(), hashlib.sha256).hexdigest()
    credential = f"{changes.get('key', KEY)}/{scope}"
    authorization = f"HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(headers)}, Signature={signature}"
    url = f"https://h.example{changes.get('path', '/')}?{written}"
    return httpx.Request(method, url, headers={**headers, "authorization": authorization}, content=body)


def code(told: Any) -> str:
    return told["ResponseMetadata"].get("Error", {}).get("Code", "")


SEND = {
    "SmsAccount": "7a0f1b2c",
    "Sign": "测试签名",
    "TemplateID": "SMS_154950909",
    "TemplateParam": '{"code": "1234"}',
    "PhoneNumbers": "13800138000",
    "Tag": "t1",
}


@pytest.mark.parametrize(
    "changes, wanted, status",
    [
        ({"secret": "other"}, "SignatureDoesNotMatch", 401),
        ({"key": "other"}, "InvalidAccessKey", 401),
        ({"service": "vod"}, "ServiceNotFound", 404),
        ({"stamp": "20240115T063000Z"}, "InvalidTimestamp", 400),
        ({"stamp": "20241315T063000Z"}, "InvalidTimestamp", 400),
        ({"stamp": "yesterday"}, "MissingRequestInfo", 400),
        ({"path": "/v1"}, "MissingParameter", 400),
    ],
)
def test_what_the_gateway_stops_has_its_own_code_and_status(changes: Any, wanted: str, status: int) -> None:
    query = {"Action": "SendSms", "Version": "2020-01-01"}
    request = request_of(Late(), "POST", query, json.dumps(SEND).encode(), **changes)
    reply = counterpart.Counterpart(Late()).answer(request)
    assert (reply.status_code, code(reply.json())) == (status, wanted)


def test_a_call_without_proof_or_with_a_header_missing_is_stopped() -> None:
    world, query = Late(), {"Action": "SendSms", "Version": "2020-01-01"}
    request = request_of(world, "POST", query, b"{}")
    del request.headers["x-content-sha256"]
    assert code(counterpart.Counterpart(world).answer(request).json()) == "SignatureDoesNotMatch"
    del request.headers["authorization"]
    assert code(counterpart.Counterpart(world).answer(request).json()) == "MissingAuthenticationToken"
    assert code(ask(world, "Conversion")) == code(ask(world, "SendSms", "GET")) == "InvalidActionOrVersion"
    assert code(ask(world, "SendSms", version="2021-01-11")) == "InvalidActionOrVersion"


def test_an_old_stamp_is_taken_where_the_account_says_so_and_speed_is_limited_where_it_says_so() -> None:
    world, query = Late(stale="accepted", qps="1"), {"Action": "SendSms", "Version": "2020-01-01"}
    request = request_of(world, "POST", query, json.dumps(SEND).encode(), stamp="20240115T063000Z")
    assert code(counterpart.Counterpart(world).answer(request).json()) == ""
    assert ask(world, "SendSms", **SEND)["http"] == 429


def test_the_vector_of_the_card_is_taken_by_the_counterpart() -> None:
    case = samples.load("volcengine", "submit")[0]
    told = counterpart.Counterpart(Late()).answer(samples.start("volcengine", case).request).json()
    assert code(told) == "RE:0004"  # past the signature: this world has not filed that name


@pytest.mark.parametrize(
    "changes, wanted",
    [
        ({"SmsAccount": "x"}, "RE:0003"),
        ({"Sign": "未批签名"}, "RE:0004"),
        ({"TemplateID": "SMS_3"}, "RE:0005"),
        ({"TemplateID": "no"}, "RE:0005"),
        ({"PhoneNumbers": "123"}, "RE:0006"),
        ({"PhoneNumbers": "+85290001234"}, "RE:0011"),
        ({"PhoneNumbers": ""}, "RE:0009"),
        ({"PhoneNumbers": ",".join(["13800138000"] * 201)}, "RE:0009"),
        ({"PhoneNumbers": 13800138000}, "RE:0009"),
        ({"TemplateParam": "{"}, "RE:0009"),
        ({"TemplateParam": '{"code": 1}'}, "RE:0009"),
        ({"TemplateParam": {"code": "1"}}, "RE:0009"),
    ],
)
def test_what_is_wrong_with_a_whole_request_is_said_at_once(changes: Any, wanted: str) -> None:
    told = ask(Late(), "SendSms", **{**SEND, **changes})
    assert (told["http"], code(told), told["Result"]) == (200, wanted, None)


def test_several_numbers_get_an_id_each_and_what_is_wrong_with_one_comes_in_its_report() -> None:
    world = Late()
    told = ask(world, "SendSms", **{**SEND, "PhoneNumbers": "13800138000,123"})
    first, second = told["Result"]["MessageID"]
    assert [one.key for one in world.taken] == [first] and world.taken[0].reference == "t1"
    assert [(one["message_id"], one["status_code"], one["ext"]) for one in world.pushed] == [(second, "NE:0100", "t1")]
    ask(world, "SendSms", **{**SEND, "TemplateParam": ""})
    assert world.pushed[-1]["status_code"] == "CE:0300"


def test_a_batch_has_parameters_of_its_own_for_each_number() -> None:
    world = Late()
    rows = [{"PhoneNumber": "13800138000", "TemplateParam": '{"code": "1"}'}, {"PhoneNumber": "13900001234"}]
    told = ask(world, "SendBatchSms", **{**SEND, "Messages": rows})
    assert len(told["Result"]["MessageID"]) == 2 and world.taken[0].text == "【测试签名】您的验证码是1，请勿告诉他人。"
    assert code(ask(world, "SendBatchSms", **{**SEND, "Messages": "x"})) == "RE:0009"


def test_a_cap_and_the_hours_are_told_in_reports_and_stand_in_the_records() -> None:
    world = Late(per_minute="1")
    for _ in range(2):
        ask(world, "SendSms", **SEND)
    world.at = world.at.replace(hour=14)  # 22:00 in Beijing
    ask(world, "SendSms", **{**SEND, "TemplateID": "SMS_2", "TemplateParam": '{"shop": "a"}'})
    assert [one["status_code"] for one in world.pushed] == ["CR:0202", "CR:0203"]
    details = {"subAccount": "7a0f1b2c", "phoneNumber": "13800138000", "sendDate": "20240115"}
    told = ask(world, "GetSmsSendDetails", **details, pageIndex=1, pageSize=15)["Result"]
    rows = told["sendDetailsResults"]
    assert [(row["status"], row["errorCode"]) for row in rows] == [(3, "0"), (2, "CR:0202"), (2, "CR:0203")]
    one = ask(world, "GetSmsSendDetails", **details, messageId=rows[1]["messageId"], pageIndex=1, pageSize=15)
    assert one["Result"]["total"] == 1
    for changes in ({"phoneNumber": "1"}, {"sendDate": "x"}, {"pageSize": 0}, {"subAccount": "x"}):
        whole = {**details, "pageIndex": 1, "pageSize": 15, **changes}
        assert code(ask(world, "GetSmsSendDetails", **whole)).startswith("RE:")


@pytest.mark.parametrize(
    "reason, at_once, late",
    [
        (Reason.BALANCE, "RE:0010", ""),
        (Reason.THROTTLED, "FlowLimitExceeded", ""),
        (Reason.BLACKLISTED, "", "CR:0201"),
        (Reason.SENSITIVE_CONTENT, "", "CR:0200"),
        (Reason.UNMAPPED, "", "UN:0900"),
    ],
)
def test_the_worlds_refusals_come_at_once_or_in_a_report(reason: Reason, at_once: str, late: str) -> None:
    world = Late(refusal_status="400")
    world.turns[PHONE] = Turned(reason=reason)
    told = ask(world, "SendSms", **SEND)
    assert code(told) == at_once and [one["status_code"] for one in world.pushed] == ([late] if late else [])
    assert told["http"] == {"RE:0010": 400, "FlowLimitExceeded": 429}.get(at_once, 200)


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_body_that_is_none_gets_the_vendors_own_error(body: bytes) -> None:
    world = Late()
    request = request_of(world, "POST", {"Action": "SendSms", "Version": "2020-01-01"}, body)
    assert code(counterpart.Counterpart(world).answer(request).json()) == "RE:0009"


def test_templates_are_taken_in_both_spellings_listed_and_used_once_approved() -> None:
    world = Late()
    small = {"subAccount": "7a0f1b2c", "area": "cn", "channelType": "CN_NTC", "name": "n", "content": "码${code}"}
    capital = {name[0].upper() + name[1:]: value for name, value in small.items()}
    own = [ask(world, "ApplySmsTemplate", **fields)["Result"]["templateId"] for fields in (small, capital)]
    assert world.open[0].text == "码{code}" and own == ["ST_90000001", "ST_90000002"]
    query = {"subAccount": "7a0f1b2c", "templateId": own[0], "pageIndex": 1, "pageSize": 10}
    (row,) = ask(world, "GetSmsTemplateAndOrderList", "GET", **query)["Result"]["list"]
    assert (row["status"], row["isOrder"], row["content"]) == (1, True, "码${code}")
    assert code(ask(world, "SendSms", **{**SEND, "TemplateID": own[0]})) == "RE:0005"
    everything = ask(world, "GetSmsTemplateAndOrderList", "GET", **{**query, "templateId": ""})
    assert everything["Result"]["total"] == 2 + len(world.templates)
    assert code(ask(world, "ApplySmsTemplate", **{**small, "channelType": "X"})) == "RE:0012"
    assert code(ask(world, "ApplySmsTemplate", **{**small, "area": "moon"})) == "RE:0009"


def test_signatures_are_filed_with_papers_and_listed_with_those_of_old() -> None:
    world = Late()
    papers = [{"fileType": 0, "fileContent": "aQ==", "fileSuffix": "png"}]
    fields = {"subAccount": "7a0f1b2c", "content": "新签名", "source": "s", "purpose": 1, "uploadFileList": papers}
    assert ask(world, "ApplySmsSignature", **fields)["Result"]["status"] == 1
    query = {"subAccount": "7a0f1b2c", "pageIndex": 1, "pageSize": 10}
    rows = ask(world, "GetSignatureAndOrderList", "GET", **query)["Result"]["list"]
    assert {row["content"]: row["status"] for row in rows} == {"新签名": 1, "测试签名": 3, "未批签名": 2, "腾讯云": 3}
    one = ask(world, "GetSignatureAndOrderList", "GET", **query, signature="新签名")
    assert one["Result"]["total"] == 1
    for changes in ({"content": "x"}, {"uploadFileList": "x"}, {"uploadFileList": [{}]}, {"purpose": 3}):
        assert code(ask(world, "ApplySmsSignature", **{**fields, **changes})) == "RE:0009"


@pytest.mark.parametrize("shape", ["object", "list", "second"])
@pytest.mark.parametrize("verdict", [ReviewVerdict.APPROVED, ReviewVerdict.REJECTED])
def test_a_decision_is_read_whichever_shape_it_has(shape: str, verdict: ReviewVerdict) -> None:
    world = Late(audit_push=shape)
    world.signatures = {"火山测试": True}
    review = world.submit_review(
        subject=Subject.TEMPLATE, name="n", text="t", purpose=Purpose.NOTIFICATION, extra={"content": "t"}
    )
    mine = counterpart.Counterpart(world)
    assert mine.push_decision(review) is None  # still open
    done = replace(review, verdict=verdict, reason="r", decided_at=world.at)
    push = make("volcengine").read_push(samples.raw_push(mine.push_decision(done).body))
    (told,) = push.decisions
    assert (told.ticket, told.verdict, told.claimed_at) == ("ST_90000001", verdict, world.at)
    assert told.reason == ("" if verdict is ReviewVerdict.APPROVED else "r")
    assert mine.push_decision(replace(done, subject=Subject.SIGNATURE)) is None


def test_reports_and_replies_are_read_as_they_are_pushed() -> None:
    mine = counterpart.Counterpart(Late())
    claims = [
        claim("a"),
        replace(claim("b", state=DeliveryState.UNDELIVERED), reason=Reason.BLACKLISTED),
        replace(claim("c", state=DeliveryState.UNDELIVERED), reason=None),
    ]
    read = make("volcengine").read_push(samples.raw_push(mine.push_reports(claims).body)).reports
    assert [(one.vendor_message_id, one.code, one.reason) for one in read] == [
        ("a", "0", None), ("b", "CR:0201", Reason.BLACKLISTED), ("c", "UN:0900", Reason.UNMAPPED),
    ]  # fmt: skip
    (reply,) = make("volcengine").read_push(samples.raw_push(mine.push_reply(REPLY).body)).inbound
    assert (reply.text, reply.to) == (REPLY.text, REPLY.to)
    assert mine.push_reports([]) is None
    assert mine.acknowledged(200, b"anything") and not mine.acknowledged(204, b"")


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["1", "13800138000"]))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_anything_well_signed_gets_an_answer_of_the_vendors(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(counterpart.ACTIONS)))
    action = counterpart.ACTIONS[name]
    keys = st.sampled_from([*SEND, "Messages", "subAccount", "content", "pageIndex", "phoneNumber", "uploadFileList"])
    fields = {**SEND, "subAccount": "7a0f1b2c", **data.draw(st.dictionaries(keys, VALUES, max_size=6))}
    query = {"Action": name, "Version": action.version}
    if action.method == "GET":
        query |= {key: str(value) for key, value in fields.items()}
    body = b"" if action.method == "GET" else json.dumps(fields).encode()
    reply = counterpart.Counterpart(Late()).answer(request_of(Late(), action.method, query, body))
    assert reply.status_code == 200 and "ResponseMetadata" in reply.json()
