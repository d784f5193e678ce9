"""What is Alibaba Cloud's own, beyond what holds for every vendor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.domain import Accepted, DeliveryState, InDoubt, Reason
from harness.errors import Throttled, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, make, message

ROW = {"PhoneNum": "13800001234", "SendDate": "2026-03-01 12:00:00", "SendStatus": 3, "ErrCode": "DELIVERED"}


def page(rows: int, total: Any) -> dict[str, Any]:
    return {"Code": "OK", "TotalCount": total, "SmsSendDetailDTOs": {"SmsSendDetailDTO": [ROW] * rows}}


def records() -> Any:
    return play(make("alibaba").find_records(**CALLS["find_records"]))


def test_records_are_asked_for_page_by_page() -> None:
    talk = records()
    pages = []
    for rows in (50, 50, 7):
        pages.append(talk.request.url.params["CurrentPage"])
        talk.answer(200, page(rows, "107"))
    assert pages == ["1", "2", "3"]
    assert len(talk.outcome) == 107


def test_a_full_last_page_needs_no_further_question() -> None:
    assert len(records().answer(200, page(50, 50)).outcome) == 50


def test_pages_go_on_where_no_total_is_told() -> None:
    assert not records().answer(200, page(50, None)).is_over


def test_pages_without_an_end_are_trouble() -> None:
    talk = records()
    with pytest.raises(VendorTrouble, match="pages"):
        while not talk.is_over:
            talk.answer(200, page(50, 10**9))


def test_one_unreadable_record_spoils_the_answer() -> None:
    body = page(2, 2)
    body["SmsSendDetailDTOs"]["SmsSendDetailDTO"].append({"SendStatus": 3})
    with pytest.raises(VendorTrouble, match="1 of 3"):
        records().answer(200, body)


def test_a_bulk_carries_no_reference_since_it_would_be_the_same_for_all() -> None:
    request = play(make("alibaba").submit_bulk([message(), message()])).request
    assert request is not None
    assert "OutId" not in str(request.url) + request.content.decode()


@pytest.mark.parametrize(
    "messages",
    [[message()] * 101, [message(), message({"template": "101"})], [message({"template": None})]],
    ids=["too many", "two templates", "no template"],
)
def test_a_bulk_that_one_request_cannot_hold_is_not_sent(messages: Any) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("alibaba").submit_bulk(messages))
    assert not raised.value.written


def test_an_empty_bulk_asks_nothing() -> None:
    assert play(make("alibaba").submit_bulk([])).outcome == ()


def test_a_message_without_template_is_not_sent() -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("alibaba").submit(message({"template": None})))
    assert not raised.value.written


def test_filing_a_signature_needs_a_qualification() -> None:
    with pytest.raises(VendorTrouble, match="qualification_id") as raised:
        play(make("alibaba", {"options": {"qualification_id": ""}}).submit_signature(**CALLS["submit_signature"]))
    assert not raised.value.written


@pytest.mark.parametrize("header, seconds", [("2000", 2.0), ("0", None), ("soon", None), ("-1", None)])
def test_the_wait_that_a_throttle_names_is_read_if_it_is_one(header: str, seconds: float | None) -> None:
    talk = play(make("alibaba").submit(message()))
    with pytest.raises(Throttled) as raised:
        talk.answer(429, {"Code": "Throttling.Api", "Message": "m"}, headers={"x-acs-retry-after": header})
    assert raised.value.retry_after == seconds


def test_a_bulk_has_one_id_for_all() -> None:
    outcomes = play(make("alibaba").submit_bulk([message()] * 3)).answer(200, {"Code": "OK", "BizId": "1^0"}).outcome
    assert outcomes == (Accepted(vendor_message_id="1^0"),) * 3
    assert not any(isinstance(outcome, InDoubt) for outcome in outcomes)


def pushed(*items: dict[str, Any], path: str = "/push/x") -> Any:
    return make("alibaba").read_push(samples.raw_push(json.dumps(items).encode(), path))


def test_one_push_may_mix_its_kinds() -> None:
    push = pushed(
        {"biz_id": "1", "phone_number": "13800001234", "success": True, "err_code": "DELIVERED"},
        {"phone_number": "13800001234", "content": "T", "dest_code": "01"},
        {"template_code": "SMS_1", "template_status": "rejected", "reason": "r"},
        {"sign_name": "某某", "sign_status": "approved"},
    )
    assert (len(push.reports), len(push.inbound), len(push.decisions), push.unread) == (1, 1, 2, 0)


def test_a_signature_push_of_unknown_shape_is_counted_where_the_path_says_what_it_is() -> None:
    push = pushed({"sign_name": "某某", "sign_scene": "s"}, path="/push/x/reviews")
    assert (push.decisions, push.unread) == ((), 1)


@pytest.mark.parametrize(
    "code, state, reason",
    [
        ("EXPIRED", DeliveryState.EXPIRED, Reason.UNREACHABLE),
        ("REJECTD", DeliveryState.REJECTED, Reason.UNMAPPED),
        ("UNDELIV", DeliveryState.UNDELIVERED, Reason.UNMAPPED),
        ("isv.SMS_CONTENT_ILLEGAL", DeliveryState.REJECTED, Reason.SENSITIVE_CONTENT),
        ("DB:0141", DeliveryState.UNDELIVERED, Reason.BLACKLISTED),
        ("db0141_006", DeliveryState.UNDELIVERED, Reason.BLACKLISTED),
    ],
)
def test_a_failed_report_keeps_its_code_and_says_what_it_can(code: str, state: DeliveryState, reason: Reason) -> None:
    (report,) = pushed({"biz_id": "1", "phone_number": "13800001234", "success": False, "err_code": code}).reports
    assert (report.code, report.state, report.reason) == (code, state, reason)


def test_half_a_character_in_a_reply_is_replaced_not_kept() -> None:
    body = b'[{"phone_number":"13800001234","content":"ok \\ud83d","dest_code":"1"}]'
    (reply,) = make("alibaba").read_push(samples.raw_push(body)).inbound
    assert reply.text == "ok �"
