"""What is SUBMAIL's own, beyond what holds for every vendor."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, PushRefused, PushRequest, Tools
from harness.domain import Accepted, DeliveryState, InDoubt, Reason
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, NOON, make, message
from vendors import submail

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
TOKEN = "067ef7e2f286a9a56eabb07dc9657852"
PROOF = {"token": TOKEN, "signature": "e91128288e151818b67c7a7c6f08dbe1"}
EVENT = {"events": "delivered", "address": "13800001234", "send_id": "s1", "timestamp": "1415014855", **PROOF}


def fields_of(request: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.content.decode(), keep_blank_values=True).items()}


# --- the signature ----------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(text=TEXTS, tag=st.text("abc123", max_size=40))
def test_what_is_signed_is_the_text_itself_and_never_the_tag(text: str, tag: str) -> None:
    sent = fields_of(play(make("submail").submit(message({"text": text, "reference": tag}))).request)
    assert sent["content"] == text
    assert sent.get("tag", "") == (tag if len(tag) <= 32 else "")
    words = "&".join(f"{name}={sent[name]}" for name in ("appid", "content", "sign_type", "timestamp", "to"))
    assert sent["signature"] == submail.signature("10001", "appkey", words, "md5")


def test_an_unknown_way_to_sign_is_not_tried() -> None:
    with pytest.raises(VendorTrouble, match="sign_type") as raised:
        play(make("submail", {"options": {"sign_type": "sha256"}}).submit(message()))
    assert not raised.value.written


@pytest.mark.parametrize("method", ["query_template", "block"])
def test_the_vendors_clock_is_that_of_the_host_that_is_asked(method: str) -> None:
    talk = play(getattr(make("submail", {"options": {"clock": "vendor"}}), method)(**CALLS[method]))
    asked = talk.request
    talk.answer(200, {"timestamp": 1700000003})
    assert asked is not None and talk.request is not None
    assert (asked.url.host, asked.url.path) == (talk.request.url.host, "/service/timestamp")
    assert "timestamp=1700000003" in str(talk.request.url) + talk.request.content.decode()


# --- bulks ------------------------------------------------------------------------------------------------------------


def test_a_bulk_carries_no_tag_since_it_would_be_the_same_for_all() -> None:
    request = play(make("submail").submit_bulk(CALLS["submit_bulk"]["messages"])).request
    assert request is not None and "tag=" not in request.content.decode()


@pytest.mark.parametrize(
    "messages",
    [
        [message()] * 51,
        [message({"template": None}), message({"template": None, "text": "b"})],
        [message(), message({"template": "101", "text": "b"})],
    ],
    ids=["too many", "no template", "two templates"],
)
def test_a_bulk_that_one_request_cannot_hold_is_not_sent(messages: Any) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("submail").submit_bulk(messages))
    assert not raised.value.written


def test_an_empty_bulk_asks_nothing() -> None:
    assert play(make("submail").submit_bulk([])).outcome == ()


def test_outcomes_that_name_their_numbers_may_come_in_any_order_and_be_too_few() -> None:
    items = [{"status": "success", "to": "13900001234", "send_id": "b", "fee": 1}]
    first, second = play(make("submail").submit_bulk(CALLS["submit_bulk"]["messages"])).answer(200, items).outcome
    assert isinstance(first, InDoubt)
    assert second == Accepted(vendor_message_id="b", segments=1)


@pytest.mark.parametrize(
    "items",
    [
        [{"status": "success", "send_id": "a", "fee": 1}],
        [{"status": "success", "send_id": "a", "fee": 1}] * 3,
        [{"status": "success", "send_id": "a"}, {"status": "success"}],
        [],
    ],
    ids=["too few", "too many", "one unreadable", "none"],
)
def test_outcomes_without_numbers_must_be_as_many_as_the_messages(items: Any) -> None:
    with pytest.raises(Unintelligible):
        play(make("submail").submit_bulk(CALLS["submit_bulk"]["messages"])).answer(200, items)


# --- questions --------------------------------------------------------------------------------------------------------


def test_records_of_a_number_written_with_its_country_are_ours() -> None:
    row = {"sendID": "a", "to": "8613800001234", "status": "delivered", "report_state": "DELIVRD"}
    body = {"status": "success", "data": [row, {**row, "to": "138****1234"}]}
    assert len(play(make("submail").find_records(**CALLS["find_records"])).answer(200, body).outcome) == 2


def test_statistics_without_carriers_are_statistics() -> None:
    body = {"status": "success", "overview": {"request": 0, "operators": []}, "timeline": []}
    assert play(make("submail").statistics(**CALLS["statistics"])).answer(200, body).outcome == ()


def test_a_balance_of_one_kind_is_enough() -> None:
    assert play(make("submail").balance()).answer(200, {"status": "success", "balance": "5"}).outcome.messages == 5


@pytest.mark.parametrize("endpoint, host", [(None, "api.mysubmail.com"), ("http://127.0.0.1:8080", "127.0.0.1")])
def test_the_opt_out_list_is_kept_at_the_older_interface(endpoint: str | None, host: str) -> None:
    request = play(make("submail", {"endpoint": endpoint}).block("+8613800001234")).request
    assert request is not None and request.url.host == host


# --- pushes -----------------------------------------------------------------------------------------------------------


def pushed(body: bytes, *, query: str = "", kind: str = "", method: str = "POST") -> Any:
    headers = {"content-type": kind} if kind else {}
    return make("submail").read_push(
        PushRequest(method=method, path="/push/x", query=query, headers=headers, body=body, received_at=NOON)
    )


def multipart(fields: dict[str, str], boundary: str = "xYz") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def test_an_event_is_the_same_however_the_console_writes_it() -> None:
    event = {**EVENT, "operator": "中国移动", "location": "上海 上海"}
    told = [
        pushed(json.dumps(event).encode()),
        pushed(json.dumps({**event, "timestamp": 1415014855}).encode()),
        pushed(urlencode(event).encode()),
        pushed(b"", query=urlencode(event), method="GET"),
        pushed(multipart(event), kind="multipart/form-data; boundary=xYz"),
    ]
    assert {push.reports for push in told} == {told[0].reports}
    assert len(told[0].reports) == 1 and all(push.authenticated for push in told)


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200), cut=st.integers(0, 400), boundary=st.sampled_from(["xYz", "", '"', "a b", "é"]))
def test_any_multipart_is_read_or_refused(body: bytes, cut: int, boundary: str) -> None:
    whole = multipart(EVENT)
    for content in (body, whole[:cut] + body + whole[cut:], b"--xYz\r\n" + body + b"\r\n--xYz--"):
        try:
            pushed(content, kind=f"multipart/form-data; boundary={boundary}")
        except PushRefused as refusal:
            assert refusal.acknowledgement.status == 400


@settings(max_examples=60, deadline=None)
@given(token=TEXTS, key=st.text("abc", min_size=1))
def test_an_event_proven_with_another_key_or_token_is_refused(token: str, key: str) -> None:
    forged = [{**EVENT, "token": token, "signature": submail.hook_signature(token, f"{key}x")}]
    if token != TOKEN:
        forged.append({**EVENT, "token": token})
    for event in forged:
        with pytest.raises(PushRefused, match="signature"):
            pushed(json.dumps(event).encode())


@pytest.mark.parametrize("proof", [None, "", 0, ["x"], {"a": 1}])
def test_a_proof_that_is_none_is_refused(proof: Any) -> None:
    with pytest.raises(PushRefused):
        pushed(json.dumps({**EVENT, "signature": proof}).encode())


def test_without_the_hooks_key_events_are_read_but_not_proven() -> None:
    account = Account(label="sm", credentials={"appid": "1", "appkey": "k"})
    vendor = submail.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
    push = vendor.read_push(samples.raw_push(json.dumps(EVENT).encode()))
    assert len(push.reports) == 1 and not push.authenticated


def test_several_events_at_once_are_none_of_theirs() -> None:
    with pytest.raises(PushRefused):
        pushed(json.dumps([EVENT, EVENT]).encode())


@pytest.mark.parametrize(
    "report, state, reason",
    [
        ("EXPIRED", DeliveryState.EXPIRED, Reason.UNREACHABLE),
        ("REJECTD", DeliveryState.REJECTED, Reason.UNMAPPED),
        ("mk:0012", DeliveryState.UNDELIVERED, Reason.UNREACHABLE),
        ("MK:0001", DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER),
        ("MA:0001", DeliveryState.UNDELIVERED, Reason.SENSITIVE_CONTENT),
        ("unsubscribe", DeliveryState.UNDELIVERED, Reason.OPTED_OUT),
        ("", DeliveryState.UNDELIVERED, Reason.UNMAPPED),
    ],
)
def test_a_failed_report_keeps_its_code_and_says_what_it_can(report: str, state: DeliveryState, reason: Reason) -> None:
    (told,) = pushed(json.dumps({**EVENT, "events": "dropped", "report": report}).encode()).reports
    assert (told.code, told.state, told.reason) == (report or "dropped", state, reason)


def test_a_reply_pulled_twice_says_the_same_both_times() -> None:
    def replies(later: timedelta) -> Any:
        case = {"now": (NOON + later).isoformat()}
        row = {"appid": "1", "from": "13800001234", "content": "T", "reply_at": 1653026354}
        return play(make("submail", case).pull_inbound()).answer(200, {"status": "success", "mo": [row]}).outcome

    assert replies(timedelta()) == replies(timedelta(minutes=5))


def test_one_unreadable_reply_does_not_hide_the_others() -> None:
    row = {"from": "13800001234", "content": "T", "reply_at": 1653026354}
    talk = play(make("submail").pull_inbound())
    assert len(talk.answer(200, {"status": "success", "mo": [17, {}, row]}).outcome) == 1
    with pytest.raises(Unintelligible):
        play(make("submail").pull_inbound()).answer(200, {"status": "success", "mo": [17]})
