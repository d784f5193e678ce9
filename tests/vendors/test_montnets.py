"""What is Montnets' own, beyond what holds for every vendor."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, PushRefused, Tools
from harness.domain import Accepted, DeliveryState, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import NOON, make, message
from vendors import montnets
from vendors.montnets import PART_STEP, moved, password

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
INT64 = st.integers(-(2**63), 2**63 - 1)
REPORT = {
    "msgid": 17,
    "custid": "ref-1",
    "pknum": 1,
    "pktotal": 1,
    "mobile": "13800001234",
    "rtime": "2016-08-04 17:38:59",
    "status": 0,
    "errcode": "DELIVRD",
}
SOON = datetime(2016, 8, 3, 11, 21, tzinfo=UTC)  # after the stamp of the document's sample
PROOF = {"userid": "J10003", "pwd": "26dad7f364507df18f3841cc9c4ff94d", "timestamp": "0803192020"}


def pushed(*items: Any, **changes: Any) -> Any:
    body = {**PROOF, "cmd": "RPT_REQ", "seqid": 1, "rpts": list(items), **changes}
    return make("montnets").read_push(samples.raw_push(json.dumps(body).encode(), now=SOON))


# --- the password -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment, digits",
    [
        (datetime(2016, 8, 3, 11, 20, 20, tzinfo=UTC), "0803192020"),
        (datetime(2025, 12, 31, 16, 0, 9, tzinfo=UTC), "0101000009"),
    ],
)
def test_the_stamp_is_beijings(moment: datetime, digits: str) -> None:
    assert montnets.stamp(moment) == digits


def test_the_vector_of_the_document_whatever_the_letters_of_the_account() -> None:
    assert {password(userid, "111111", "0803192020") for userid in ("J10003", "j10003")} == {PROOF["pwd"]}


@pytest.mark.parametrize("auth, why", [("sm3", "auth"), ("", "auth")])
def test_an_unknown_way_to_prove_ourselves_is_not_tried(auth: str, why: str) -> None:
    with pytest.raises(VendorTrouble, match=why) as raised:
        play(make("montnets", {"options": {"auth": auth}}).submit(message()))
    assert not raised.value.written


def test_an_apikey_that_the_account_lacks_is_missed() -> None:
    account = Account(label="mw", credentials={"userid": "J1", "pwd": "p"}, options={"auth": "apikey"})
    vendor = montnets.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
    with pytest.raises(VendorTrouble, match="apikey") as raised:
        play(vendor.balance())
    assert not raised.value.written


# --- texts ------------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_a_text_is_encoded_once_in_json_and_twice_in_a_form(text: str) -> None:
    as_json = play(make("montnets").submit(message({"text": text}))).request
    as_form = play(make("montnets", {"options": {"body": "form"}}).submit(message({"text": text}))).request
    assert as_json is not None and as_form is not None
    assert unquote(json.loads(as_json.content)["content"], errors="strict") == text
    (once,) = parse_qs(as_form.content.decode(), keep_blank_values=True)["content"]
    assert unquote(once, errors="strict") == text


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, lower=st.booleans(), plus=st.booleans(), shape=st.sampled_from(["json", "form", "bare"]))
def test_any_text_of_a_reply_comes_out_as_it_went_in(text: str, lower: bool, plus: bool, shape: str) -> None:
    written = quote_plus(text) if plus else quote(text, safe="")
    if lower:
        written = "".join(part.lower() if place % 2 else part for place, part in _parts(written))
    item = {"msgid": 1, "mobile": "13800001234", "spno": "1", "rtime": "2016-08-04 17:38:59", "content": written}
    fields = {**PROOF, "cmd": "MO_REQ", "seqid": "1003"}
    bodies = {
        "json": json.dumps({**fields, "mos": [item]}),
        "form": urlencode({**fields, "mos": json.dumps([item])}),
        "bare": f"{urlencode(fields)}&mos={json.dumps([item])}",  # as the document shows it
    }
    (reply,) = make("montnets").read_push(samples.raw_push(bodies[shape].encode(), now=SOON)).inbound
    assert reply.text == text


def _parts(written: str) -> list[tuple[int, str]]:
    """Letters at even places, escapes at odd ones."""
    parts: list[tuple[int, str]] = []
    place = 0
    while place < len(written):
        width = 3 if written[place] == "%" else 1
        parts.append((int(width == 3), written[place : place + width]))
        place += width
    return parts


def test_a_reference_that_the_vendor_would_refuse_stays_here() -> None:
    for reference in ("", "with space", "引用", "a" * 65):
        request = play(make("montnets").submit(message({"reference": reference}))).request
        assert request is not None and "custid" not in json.loads(request.content)


# --- ids --------------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(msgid=INT64, part=st.integers(1, 10))
def test_every_part_of_a_message_leads_back_to_its_id(msgid: int, part: int) -> None:
    told = moved(str(msgid), (part - 1) * PART_STEP)
    assert -(2**63) <= int(told) < 2**63
    assert moved(told, -(part - 1) * PART_STEP) == str(msgid)


@settings(max_examples=60, deadline=None)
@given(msgid=INT64.filter(bool))
def test_any_id_of_64_bits_is_kept_to_the_last_digit(msgid: int) -> None:
    body = {"result": 0, "desc": "", "msgid": msgid, "custid": ""}
    assert play(make("montnets").submit(message())).answer(200, body).outcome == Accepted(vendor_message_id=str(msgid))
    (report,) = pushed({**REPORT, "msgid": msgid}).reports
    assert report.vendor_message_id == str(msgid)


def test_the_messages_of_a_bulk_are_numbered_from_the_first() -> None:
    talk = play(make("montnets").submit_bulk([message()] * 3))
    outcomes = talk.answer(200, {"result": 0, "desc": "", "msgid": -41, "custid": ""}).outcome
    assert [outcome.vendor_message_id for outcome in outcomes] == ["-41", "-40", "-39"]


def test_too_many_for_one_bulk_are_not_sent() -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("montnets").submit_bulk([message()] * 501))
    assert not raised.value.written


def test_an_empty_bulk_asks_nothing() -> None:
    assert play(make("montnets").submit_bulk([])).outcome == ()


# --- queues -----------------------------------------------------------------------------------------------------------


def test_a_queue_is_read_until_a_page_is_not_full() -> None:
    talk = play(make("montnets").pull_reports())
    talk.answer(200, {"result": 0, "desc": "", "rpts": [REPORT] * 500})
    assert not talk.is_over
    assert len(talk.answer(200, {"result": 0, "desc": "", "rpts": [REPORT]}).outcome) == 501


def test_what_a_queue_gave_is_kept_when_the_next_page_fails() -> None:
    talk = play(make("montnets").pull_reports())
    talk.answer(200, {"result": 0, "desc": "", "rpts": [REPORT] * 500})
    assert len(talk.answer(200, {"result": -100999, "desc": "x", "rpts": ""}).outcome) == 500


# --- pushes -----------------------------------------------------------------------------------------------------------


def test_good_reports_count_although_others_cannot_be_read() -> None:
    push = pushed(17, {"hello": 1}, REPORT)
    assert [report.vendor_message_id for report in push.reports] == ["17"]
    assert push.unread == 2


@pytest.mark.parametrize("seqid", [0, 1004, -(2**62), "77"])
def test_the_acknowledgement_repeats_the_pushs_own_number(seqid: Any) -> None:
    answer = pushed(REPORT, seqid=seqid).acknowledgement
    assert json.loads(answer.body) == {"cmd": "RPT_RESP", "seqid": int(seqid), "result": 0}


@pytest.mark.parametrize("seqid", [None, "x", "9" * 30, 1.5])
def test_a_number_that_is_none_is_answered_with_nought(seqid: Any) -> None:
    assert json.loads(pushed(REPORT, seqid=seqid).acknowledgement.body)["seqid"] == 0


@settings(max_examples=60, deadline=None)
@given(pwd=TEXTS, when=st.text("0123456789", max_size=10))
def test_a_push_with_another_password_or_stamp_is_refused(pwd: str, when: str) -> None:
    forged: list[dict[str, str]] = [{"pwd": password("J10003", f"x{pwd}", "0803192020")}]
    if when != PROOF["timestamp"]:
        forged.append({"timestamp": when})
    for changes in forged:
        with pytest.raises(PushRefused) as raised:
            pushed(REPORT, **changes)
        assert json.loads(raised.value.acknowledgement.body)["result"] == 100001


@pytest.mark.parametrize("rpts", ["not json", {"a": 1}, 17, "[" * 5000, '{"a":1}'])
def test_arrays_that_are_none_are_refused(rpts: Any) -> None:
    with pytest.raises(PushRefused):
        pushed(rpts=rpts)


def test_an_array_as_json_text_within_json_is_read() -> None:
    assert len(pushed(rpts=json.dumps([REPORT])).reports) == 1


def test_a_push_with_nothing_in_it_is_acknowledged() -> None:
    push = pushed()
    assert (push.reports, push.unread, push.acknowledgement.status) == ((), 0, 200)


@pytest.mark.parametrize(
    "errcode, state, reason",
    [
        ("EXPIRED", DeliveryState.EXPIRED, Reason.UNREACHABLE),
        ("REJECTD", DeliveryState.REJECTED, Reason.UNMAPPED),
        ("UNDELIV", DeliveryState.UNDELIVERED, Reason.UNMAPPED),
        ("DB:0141", DeliveryState.UNDELIVERED, Reason.BLACKLISTED),
        ("MX:0003", DeliveryState.UNDELIVERED, Reason.FREQUENCY_CAP),
    ],
)
def test_refusals_come_late_and_keep_their_code(errcode: str, state: DeliveryState, reason: Reason) -> None:
    (report,) = pushed({**REPORT, "status": 1, "errcode": errcode}).reports
    assert (report.code, report.state, report.reason) == (errcode, state, reason)


def test_a_report_without_a_status_is_not_guessed_to_be_delivered() -> None:
    push = pushed({**REPORT, "status": None})
    assert (push.reports, push.unread) == ((), 1)
