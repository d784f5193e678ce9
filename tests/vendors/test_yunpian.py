"""What is Yunpian's own, beyond what holds for every vendor."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, quote_plus, unquote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import PushRefused
from harness.domain import Reason
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, make, message
from vendors.yunpian import reply_signature

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
REPORT = {"sid": 2**62, "mobile": "13800001234", "report_status": "SUCCESS", "error_msg": ""}


def pushed(**form: str) -> Any:
    return make("yunpian").read_push(samples.raw_push(urlencode(form).encode()))


def proven(**fields: Any) -> dict[str, Any]:
    return {**fields, "_sign": reply_signature(fields, "0000")}


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=4, unique=True))
def test_texts_of_a_bulk_come_out_as_they_went_in(texts: list[str]) -> None:
    request = play(make("yunpian").submit_bulk([message({"text": text}) for text in texts])).request
    assert request is not None
    (field,) = parse_qs(request.content.decode(), keep_blank_values=True)["text"]
    assert [unquote_plus(text) for text in field.split(",")] == texts


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, twice=st.booleans())
def test_any_text_of_a_proven_reply_is_read_once_or_twice_encoded(text: str, twice: bool) -> None:
    packed = json.dumps(proven(id="1", mobile="13800001234", reply_time="2026-03-01 12:00:00", text=text))
    push = pushed(sms_reply=quote_plus(packed) if twice else packed)
    assert [reply.text for reply in push.inbound] == [text]
    assert push.authenticated


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, other=TEXTS, key=st.text("0123456789abcdef", min_size=1))
def test_a_reply_proven_for_another_text_or_key_is_refused(text: str, other: str, key: str) -> None:
    fields = {"id": "1", "mobile": "13800001234", "reply_time": "2026-03-01 12:00:00", "text": text}
    forged = [{**fields, "_sign": reply_signature(fields, f"1{key}")}]
    if other != text:
        forged.append({**proven(**fields), "text": other})
    for reply in forged:
        with pytest.raises(PushRefused, match="_sign"):
            pushed(sms_reply=json.dumps(reply))


def test_one_forged_reply_spoils_the_push() -> None:
    good = proven(id="1", mobile="13800001234", reply_time="2026-03-01 12:00:00", text="T")
    with pytest.raises(PushRefused):
        pushed(sms_reply=json.dumps([good, {**good, "text": "R"}]))


@pytest.mark.parametrize("_sign", [None, "", 0, "签名", ["x"], {"a": 1}])
def test_a_proof_that_is_none_is_refused(_sign: Any) -> None:
    with pytest.raises(PushRefused):
        pushed(sms_reply=json.dumps({"id": "1", "mobile": "1", "reply_time": "", "text": "T", "_sign": _sign}))


def test_reports_are_never_taken_as_proven() -> None:
    assert not pushed(sms_status=json.dumps([REPORT])).authenticated


def test_good_reports_count_although_others_cannot_be_read() -> None:
    push = pushed(sms_status=json.dumps([17, {"hello": 1}, REPORT]))
    assert [report.vendor_message_id for report in push.reports] == [str(2**62)]
    assert push.unread == 2


@pytest.mark.parametrize("field", ["%", "%5B%7B", "not json", "", "[" * 5000, "%5B" * 5000])
def test_a_field_that_holds_no_json_is_refused(field: str) -> None:
    with pytest.raises(PushRefused):
        pushed(sms_status=field)


def test_equal_numbers_in_a_bulk_get_their_outcomes_in_order() -> None:
    messages = [message({"text": "a"}), message({"text": "b"})]
    data = [{"code": 0, "sid": 1, "mobile": "13800001234"}, {"code": 8, "msg": "m", "mobile": "13800001234"}]
    first, second = play(make("yunpian").submit_bulk(messages)).answer(200, {"total_count": 1, "data": data}).outcome
    assert first.vendor_message_id == "1"
    assert second.reason is Reason.FREQUENCY_CAP


def test_a_number_that_is_throttled_within_a_bulk_does_not_undo_the_others() -> None:
    messages = [message({"text": "a"}), message({"number": "+8613900001234", "text": "b"})]
    data = [{"code": 0, "sid": 1, "mobile": "13800001234"}, {"code": -5, "msg": "m", "mobile": "13900001234"}]
    _, second = play(make("yunpian").submit_bulk(messages)).answer(200, {"total_count": 1, "data": data}).outcome
    assert (second.reason, second.code) == (Reason.THROTTLED, "-5")


def test_a_bulk_of_which_nothing_can_be_read_is_trouble() -> None:
    talk = play(make("yunpian").submit_bulk(CALLS["submit_bulk"]["messages"]))
    with pytest.raises(Unintelligible):
        talk.answer(200, {"total_count": 2, "data": [{"code": 0}]})


def test_too_many_for_one_bulk_are_not_sent() -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("yunpian").submit_bulk([message()] * 1001))
    assert not raised.value.written


def test_numbers_from_abroad_keep_their_plus_sign() -> None:
    request = play(make("yunpian").submit(message({"number": "+85200001234"}))).request
    assert request is not None
    assert parse_qs(request.content.decode())["mobile"] == ["+85200001234"]


@pytest.mark.parametrize("unit, currency", [("RMB", "CNY"), ("USD", "USD"), ("", "CNY")])
def test_a_fee_names_its_currency(unit: str, currency: str) -> None:
    body = {"code": 0, "sid": 1, "fee": "0.1", "unit": unit}
    outcome = play(make("yunpian").submit(message())).answer(200, body).outcome
    assert (str(outcome.fee.amount), outcome.fee.currency) == ("0.1", currency)


def test_a_fee_in_no_known_currency_is_not_told() -> None:
    body = {"code": 0, "sid": 1, "fee": "0.1", "unit": "points"}
    assert play(make("yunpian").submit(message())).answer(200, body).outcome.fee is None


def test_a_signature_that_is_not_there_is_trouble() -> None:
    body = {"code": 0, "total": 1, "sign": [{"sign": "【别的】", "check_status": "SUCCESS"}]}
    with pytest.raises(VendorTrouble, match="does not know"):
        play(make("yunpian").query_signature("某某科技")).answer(200, body)


def test_records_are_asked_for_until_a_page_is_not_full() -> None:
    row = {"sid": "1", "mobile": "13800001234", "report_status": "UNKNOWN"}
    talk = play(make("yunpian").find_records(**CALLS["find_records"]))
    assert len(talk.answer(200, [row] * 100).answer(200, []).outcome) == 100
