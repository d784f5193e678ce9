"""What is Huawei Cloud's own, beyond what holds for every vendor."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, PushRefused, PushRequest, Tools
from harness.domain import Accepted, DeliveryState, InDoubt, Reason
from harness.errors import Throttled, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, NOON, make, message
from vendors import huawei

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
ACCOUNT = samples.load("huawei", "account")["credentials"]
REPORT = {"smsMsgId": "a_1", "total": 1, "sequence": 1, "status": "DELIVRD", "source": 2}


# --- the signature, against the vendor's own client -------------------------------------------------------------------


def test_the_vector_of_the_official_client_with_a_port_in_the_host() -> None:
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": "smsapi.cn-north-4.myhuaweicloud.com:443",
        "x-sdk-date": "20240115T083000Z",
        "x-sdk-content-sha256": "UNSIGNED-PAYLOAD",
    }
    request = huawei.canonical_request(
        "POST", "/sms/batchSendSms/v1", "", headers, huawei.payload(headers, b"from=1&to=2")
    )
    assert (
        hashlib.sha256(request.encode()).hexdigest()
        == "9c324a2646ab71b199f435f46a583c7a9d92b131d0afb6be57139175ecc36060"
    )
    assert huawei.authorization(ACCOUNT["app_key"], ACCOUNT["app_secret"], headers, request) == (
        "SDK-HMAC-SHA256 Access=c8RWg3ggEcyd4D3p94bf3Y7x1Ile, "
        "SignedHeaders=content-type;host;x-sdk-content-sha256;x-sdk-date, "
        "Signature=9909819aef1942f1ab41964c2f3e7985756b1926daa5bed52b3dc9465fcf19fd"
    )


def test_the_captured_request_of_the_official_client_which_signs_its_own_name() -> None:
    headers = {
        "user-agent": "huaweicloud-usdk-python/3.0; os/Linux##1_SMP_PREEMPT_DYNAMIC_@0#x86_64 python/3.11.7 "
        "impl/CPython; app/33530cf0-cf90-4ae4-9169-ff15c0fb4585",
        "content-type": "application/x-www-form-urlencoded",
        "x-sdk-content-sha256": "UNSIGNED-PAYLOAD",
        "x-sdk-date": "20240115T083000Z",
        "host": "127.0.0.1:36667",
    }
    request = huawei.canonical_request("POST", "/sms/batchSendSms/v1", "", headers, huawei.payload(headers, b""))
    assert huawei.authorization(ACCOUNT["app_key"], ACCOUNT["app_secret"], headers, request) == (
        "SDK-HMAC-SHA256 Access=c8RWg3ggEcyd4D3p94bf3Y7x1Ile, "
        "SignedHeaders=content-type;host;user-agent;x-sdk-content-sha256;x-sdk-date, "
        "Signature=92cfce893329958e413c90b260e2a9ecb5bdd98ff394493cb49bb32cff89d584"
    )


def test_the_form_is_that_of_the_captured_request() -> None:
    case = {"options": {"universal_templates": "1"}, "push_url": "http://127.0.0.1:9/cb"}
    sent = play(
        make("huawei", case).submit(
            message(
                {
                    "number": "+8613800138000",
                    "signature": "华为云短信测试",
                    "template": "8ff55eac1d0b478ab3c06c3c6a492300",
                    "parameters": {"code": "1234"},
                    "reference": "x1",
                }
            )
        )
    ).request
    assert sent is not None
    assert sent.content.decode().replace("%2Fcb%2Freports", "%2Fcb") == (
        "from=8823040504797&to=%2B8613800138000&templateId=8ff55eac1d0b478ab3c06c3c6a492300"
        "&templateParas=%5B%221234%22%5D&statusCallback=http%3A%2F%2F127.0.0.1%3A9%2Fcb&extend=x1"
        "&signature=%E5%8D%8E%E4%B8%BA%E4%BA%91%E7%9F%AD%E4%BF%A1%E6%B5%8B%E8%AF%95"
    )


# --- sending ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(values=st.lists(TEXTS, min_size=1, max_size=4))
def test_parameters_go_by_position_and_come_out_as_they_went_in(values: list[str]) -> None:
    parameters = {f"p{place}": value for place, value in enumerate(values)}
    single = play(make("huawei").submit(message({"parameters": parameters}))).request
    bulk = play(make("huawei").submit_bulk([message({"parameters": parameters})])).request
    assert single is not None and bulk is not None
    assert json.loads(parse_qs(single.content.decode())["templateParas"][0]) == values
    assert json.loads(bulk.content)["smsContent"][0]["templateParas"] == values


def test_a_number_that_a_bulk_does_not_tell_about_is_in_doubt() -> None:
    messages = CALLS["submit_bulk"]["messages"]
    result = [{"originTo": "+8613900001234", "smsMsgId": "a", "status": "000000", "total": 1}]
    first, second = play(make("huawei").submit_bulk(messages)).answer(200, {"code": "000000", "result": result}).outcome
    assert isinstance(first, InDoubt)
    assert second == Accepted(vendor_message_id="a", segments=1)


def test_a_number_that_is_throttled_within_a_bulk_does_not_undo_the_others() -> None:
    messages = CALLS["submit_bulk"]["messages"]
    result = [
        {"originTo": "+8613800001234", "smsMsgId": "a", "status": "000000", "total": 1},
        {"originTo": "+8613900001234", "smsMsgId": "", "status": "E200015"},
    ]
    _, second = play(make("huawei").submit_bulk(messages)).answer(200, {"code": "E000510", "result": result}).outcome
    assert (second.reason, second.code) == (Reason.THROTTLED, "E200015")


@pytest.mark.parametrize(
    "messages",
    [
        [message()] * 501,
        [message(), message({"template": None})],
        [message({"parameters": {"p": "字" * 12_000}})],
    ],
    ids=["too many", "no template", "too long"],
)
def test_a_bulk_that_one_request_cannot_hold_is_not_sent(messages: Any) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("huawei").submit_bulk(messages))
    assert not raised.value.written


def test_an_empty_bulk_asks_nothing() -> None:
    assert play(make("huawei").submit_bulk([])).outcome == ()


def test_a_message_without_template_is_not_sent() -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("huawei").submit(message({"template": None})))
    assert not raised.value.written


def test_an_unknown_way_to_sign_is_not_tried() -> None:
    with pytest.raises(VendorTrouble, match="auth") as raised:
        play(make("huawei", {"options": {"auth": "token"}}).submit(message()))
    assert not raised.value.written


def test_a_gateway_that_is_too_busy_to_give_a_code_is_heard() -> None:
    with pytest.raises(Throttled):
        play(make("huawei").submit(message())).answer(429, {"message": "slow down"})


# --- templates and signatures -----------------------------------------------------------------------------------------


def bare_account(**changes: Any) -> Any:
    """A vendor without the key pair of IAM."""
    account = Account(label="hw", credentials={"app_key": "k", "app_secret": "s", "sender": "1"})
    return huawei.Vendor(replace(account, **changes), Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))


def test_reviews_need_the_key_pair_of_iam_and_sending_does_not() -> None:
    assert play(bare_account().submit(message())).request is not None
    with pytest.raises(VendorTrouble, match="access_key") as raised:
        play(bare_account().query_template("t"))
    assert not raised.value.written


def test_filing_a_template_names_the_option_that_is_missing() -> None:
    with pytest.raises(VendorTrouble, match="app_id") as raised:
        play(make("huawei", {"options": {"app_id": ""}}).submit_template(**CALLS["submit_template"]))
    assert not raised.value.written


def test_a_signature_that_the_account_has_not_is_missed_before_a_template_is_filed() -> None:
    talk = play(make("huawei", {"options": {"sign_id": ""}}).submit_template(**CALLS["submit_template"]))
    with pytest.raises(VendorTrouble, match="sign_id") as raised:
        talk.answer(200, {"results": [17, {"id": "s-1", "signature_name": "别的"}], "total": 1})
    assert not raised.value.written


@pytest.mark.parametrize(
    "endpoint, management, host",
    [
        (None, None, "msgsms.cn-north-4.myhuaweicloud.com"),
        ("https://smsapi.cn-south-1.myhuaweicloud.com:443", None, "msgsms.cn-south-1.myhuaweicloud.com"),
        ("http://127.0.0.1:8080", None, "127.0.0.1:8080"),
        ("https://api.rtc.example:10443", "https://msgsms.example/", "msgsms.example"),
    ],
)
def test_templates_are_asked_for_at_the_other_host(endpoint: str | None, management: str | None, host: str) -> None:
    further = {"management": management} if management else {}
    request = play(make("huawei", {"endpoint": endpoint, "endpoints": further}).query_template("t")).request
    assert request is not None
    assert request.headers["host"] == request.url.netloc.decode() == host


def test_a_ticket_cannot_change_what_is_asked() -> None:
    request = play(make("huawei").query_template("../apps?x=1")).request
    assert request is not None
    assert request.url.raw_path == b"/v2/proj123/msgsms/templates/..%2Fapps%3Fx%3D1"


# --- pushes -----------------------------------------------------------------------------------------------------------


def pushed(body: dict[str, Any]) -> Any:
    return make("huawei").read_push(samples.raw_push(json.dumps(body).encode()))


def test_good_reports_count_although_others_cannot_be_read() -> None:
    push = pushed({"statusReportList": [17, {"hello": 1}, REPORT]})
    assert [report.vendor_message_id for report in push.reports] == ["a_1"]
    assert push.unread == 2


@pytest.mark.parametrize(
    "status, source, state, reason",
    [
        ("DELIVRD", "2", DeliveryState.DELIVERED, None),
        ("EXPIRED", "1", DeliveryState.EXPIRED, Reason.UNREACHABLE),
        ("UNDELIV", "2", DeliveryState.UNDELIVERED, Reason.UNMAPPED),
        ("UNDELIV", "3", DeliveryState.REJECTED, Reason.UNMAPPED),
        ("E200018", "2", DeliveryState.REJECTED, Reason.BAD_REQUEST),
        ("UNKNOWN", "2", DeliveryState.UNKNOWN, Reason.UNMAPPED),
        ("MBBLACK", "2", DeliveryState.UNDELIVERED, Reason.BLACKLISTED),
        ("DB:0141", "2", DeliveryState.UNDELIVERED, Reason.BLACKLISTED),
    ],
)
def test_a_report_says_what_became_of_a_message(
    status: str, source: str, state: DeliveryState, reason: Reason | None
) -> None:
    (report,) = pushed({"statusReportList": [{**REPORT, "status": status, "source": source}]}).reports
    assert (report.code, report.state, report.reason) == (status, state, reason)


def signed_push(**changes: Any) -> PushRequest:
    """A push signed with the fixture's push key, some of it changed afterwards."""
    body = urlencode(REPORT).encode()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": "inbox.example",
        "x-sdk-date": f"{NOON:%Y%m%dT%H%M%SZ}",
    }
    request = huawei.canonical_request("POST", "/push/hw/reports", "a=1&b=2", headers, hashlib.sha256(body).hexdigest())
    proof = huawei.authorization(ACCOUNT["push_key"], ACCOUNT["push_secret"], headers, request)
    push = PushRequest(
        method="POST",
        path="/push/hw/reports",
        query="b=2&a=1",
        headers={**headers, "authorization": proof, "accept": "*/*"},
        body=body,
        received_at=NOON + timedelta(minutes=14),
    )
    return replace(push, **changes)


def read_proven(push: PushRequest) -> Any:
    return make("huawei", {"options": {"push_auth": "aksk"}}).read_push(push)


def test_a_signed_push_proves_itself() -> None:
    push = read_proven(signed_push())
    assert push.authenticated and len(push.reports) == 1


def test_a_push_whose_body_is_announced_as_unsigned_proves_itself_by_its_headers() -> None:
    headers = {"host": "inbox.example", "x-sdk-date": f"{NOON:%Y%m%dT%H%M%SZ}"}
    headers["x-sdk-content-sha256"] = "UNSIGNED-PAYLOAD"
    request = huawei.canonical_request("POST", "/push/hw/reports", "", headers, "UNSIGNED-PAYLOAD")
    proof = huawei.authorization(ACCOUNT["push_key"], ACCOUNT["push_secret"], headers, request)
    assert read_proven(signed_push(query="", headers={**headers, "authorization": proof})).authenticated


@pytest.mark.parametrize(
    "changes",
    [
        {"body": urlencode({**REPORT, "status": "UNDELIV"}).encode()},
        {"path": "/push/hw/inbound"},
        {"query": ""},
        {"method": "PUT"},
        {"received_at": NOON + timedelta(minutes=16)},
        {"received_at": NOON - timedelta(minutes=16)},
        {"headers": {}},
        {"headers": {**signed_push().headers, "host": "other.example"}},
        {"headers": {**signed_push().headers, "x-sdk-date": "yesterday"}},
        {"headers": {**signed_push().headers, "authorization": "SDK-HMAC-SHA256 Access=a, SignedHeaders=host"}},
        {
            "headers": {
                **signed_push().headers,
                "authorization": signed_push().headers["authorization"].replace("FAKEPUSHKEY", "REALPUSHKEY"),
            }
        },
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_push_that_does_not_prove_itself_is_refused_where_proof_is_wanted(changes: Any) -> None:
    with pytest.raises(PushRefused):
        read_proven(signed_push(**changes))


def test_without_a_push_key_no_push_can_prove_itself() -> None:
    with pytest.raises(PushRefused):
        bare_account(options={"push_auth": "aksk"}).read_push(signed_push())


def test_a_push_is_never_taken_as_proven_where_no_proof_is_wanted() -> None:
    assert not make("huawei").read_push(signed_push()).authenticated
