"""What is Tencent Cloud's own, beyond what holds for every vendor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.domain import Reason
from harness.errors import NoAnswer, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors.samples import CALLS, make, message

GOOD = {"PhoneNumber": "+8613800001234", "SerialNo": "5000:1", "ReportStatus": "SUCCESS", "Description": "DELIVRD"}


def queue(*items: Any) -> dict[str, Any]:
    return {"Response": {"PullSmsSendStatusSet": list(items), "RequestId": "r"}}


def status(**fields: Any) -> dict[str, Any]:
    return {"Response": {"SendStatusSet": [fields], "RequestId": "r"}}


def test_a_queue_is_emptied_until_a_page_is_not_full() -> None:
    talk = play(make("tencent").pull_reports())
    talk.answer(200, queue(*[GOOD] * 100)).answer(200, queue(*[GOOD] * 3))
    assert len(talk.outcome) == 103


def test_what_a_queue_gave_is_kept_when_a_later_page_fails() -> None:
    talk = play(make("tencent").pull_reports())
    talk.answer(200, queue(*[GOOD] * 100)).answer(502, content=b"<html>")
    assert len(talk.outcome) == 100


def test_what_a_queue_gave_is_kept_when_the_line_fails_in_between() -> None:
    flow = make("tencent").pull_reports()
    talk = play(flow).answer(200, queue(*[GOOD] * 100))
    assert not talk.is_over
    with pytest.raises(StopIteration) as done:
        flow.throw(NoAnswer("timed out"))
    assert len(done.value.value) == 100


def test_a_queue_that_fails_at_once_is_trouble() -> None:
    with pytest.raises(Unintelligible):
        play(make("tencent").pull_reports()).answer(502, content=b"<html>")


def test_an_unreadable_item_does_not_take_the_others_along() -> None:
    talk = play(make("tencent").pull_reports()).answer(200, queue(GOOD, {"SerialNo": "5000:2"}, 17))
    assert [report.vendor_message_id for report in talk.outcome] == ["5000:1"]


def test_a_page_of_which_nothing_can_be_read_is_trouble() -> None:
    with pytest.raises(Unintelligible, match="none of 2"):
        play(make("tencent").pull_reports()).answer(200, queue({}, 17))


def test_a_refused_number_stands_inside_a_call_that_went_well() -> None:
    body = status(
        SerialNo="", PhoneNumber="+8613800001234", Fee=0, Code="LimitExceeded.PhoneNumberDailyLimit", Message="m"
    )
    assert play(make("tencent").submit(message())).answer(200, body).outcome.reason is Reason.FREQUENCY_CAP


def test_a_disabled_application_stops_us_even_when_said_of_one_number() -> None:
    with pytest.raises(Unauthorised):
        play(make("tencent").submit(message())).answer(
            200, status(SerialNo="", Code="UnauthorizedOperation.SdkAppIdIsDisabled", Message="m")
        )


def test_two_states_for_one_number_cannot_be_read() -> None:
    body = {"Response": {"SendStatusSet": [{"Code": "Ok", "SerialNo": "1"}, {"Code": "Ok", "SerialNo": "2"}]}}
    with pytest.raises(Unintelligible):
        play(make("tencent").submit(message())).answer(200, body)


def test_parameters_go_by_position_in_template_order() -> None:
    request = play(make("tencent").submit(message({"parameters": {"b": "2", "a": "1"}}))).request
    assert request is not None
    assert json.loads(request.content)["TemplateParamSet"] == ["2", "1"]


@pytest.mark.parametrize("ticket", ["", "abc", "-1", "1.5", "１", "9" * 40])
def test_a_ticket_that_is_no_whole_number_is_not_asked_about(ticket: str) -> None:
    for method in ("query_template", "query_signature"):
        with pytest.raises(VendorTrouble) as raised:
            play(getattr(make("tencent"), method)(ticket))
        assert not raised.value.written


@pytest.mark.parametrize("option, value", [("proof_image", ""), ("qualification_id", ""), ("sign_type", "company")])
def test_filing_a_signature_needs_its_options(option: str, value: str) -> None:
    with pytest.raises(VendorTrouble, match=option) as raised:
        play(make("tencent", {"options": {option: value}}).submit_signature(**CALLS["submit_signature"]))
    assert not raised.value.written


def test_approved_but_not_yet_in_force_is_approved() -> None:
    body = {"Response": {"DescribeTemplateStatusSet": [{"TemplateId": 100, "StatusCode": 2, "ReviewReply": ""}]}}
    decision = play(make("tencent").query_template("100")).answer(200, body).outcome
    assert decision is not None and decision.verdict == "approved"


def test_every_day_of_a_span_is_asked_about_twice() -> None:
    talk = play(make("tencent").statistics(**CALLS["statistics"]))
    asked = []
    while not talk.is_over:
        assert talk.request is not None
        asked.append((talk.request.headers["x-tc-action"], json.loads(talk.request.content)["BeginTime"]))
        talk.answer(200, {"Response": {"SendStatusStatistics": {}, "CallbackStatusStatistics": {}}})
    assert asked == [
        ("SendStatusStatistics", "2026030100"),
        ("CallbackStatusStatistics", "2026030100"),
        ("SendStatusStatistics", "2026030200"),
        ("CallbackStatusStatistics", "2026030200"),
    ]
    assert [row.submitted for row in talk.outcome] == [None, None]


def test_a_package_without_its_size_makes_no_balance() -> None:
    body = {"Response": {"SmsPackagesStatisticsSet": [{"PackageAmount": 5}]}}
    with pytest.raises(Unintelligible):
        play(make("tencent").balance()).answer(200, body)
