"""What forwarding apps post, and how phones are asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capabilities import PushRefused, PushRequest
from harness.config import Forwarder
from harness.domain import BEIJING, Secret, Sighting
from harness.errors import Unauthorised, Unintelligible, VendorTrouble
from harness.flow import play
from harness.run.handsets import (
    LARGEST_POST,
    Seen,
    ask_clock,
    can_be_asked,
    read_post,
    search_inbox,
    send_reply,
    smsforwarder_sign,
)
from tests.harness.given import NOW, later, push

SECRET = "phone-secret"
TEXT = "【某某科技】您的登录验证码是123456。"
MILLIS = int(NOW.timestamp() * 1000)


def phone(app: str, **more: Any) -> Forwarder:
    return Forwarder(id="f1", app=app, secret=Secret(SECRET), api="http://127.0.0.1:5000", **more)


FORWARDER, GATE = phone("smsforwarder"), phone("smsgate", username="sms", password=Secret("pw"))
GENERIC = phone(
    "json",
    header="x-phone-secret",
    time_format="iso",
    fields={"sender": "sms.from", "text": "sms.body", "handset_at": "at", "event_id": "id", "heartbeat": "beat"},
)


def refused(forwarder: Forwarder, request: PushRequest) -> tuple[str, int]:
    with pytest.raises(PushRefused) as caught:
        read_post(forwarder, "p1", request)
    return caught.value.why, caught.value.acknowledgement.status


def seen(forwarder: Forwarder, request: PushRequest) -> Sighting:
    (sighting,) = read_post(forwarder, "p1", request).sightings
    assert (sighting.forwarder, sighting.recipient) == ("f1", "p1")
    return sighting


# --- SmsForwarder ---------------------------------------------------------------------------------------------------


def sign(stamp: int | str, secret: str = SECRET) -> str:
    """By the book (facts: handsets 4.1), not by our own code."""
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    return quote(base64.b64encode(digest).decode(), safe="")


def template(stamp: int | str = MILLIS, *, signature: str | None = None, received_at: datetime = NOW, **changes: Any):
    fields = {
        "from": "1069000000",
        "text": TEXT,
        "received_at": "2026-03-02 09:59:58",
        "forwarded_at_ms": str(stamp),
        "sign": sign(stamp) if signature is None else signature,
        **changes,
    }
    return push("/sightings/f1", json.dumps(fields).encode(), received_at=received_at, content_type="application/json")


def test_the_suggested_template_is_read():
    one = seen(FORWARDER, template())
    assert (one.sender, one.text) == ("1069000000", TEXT)
    assert one.handset_at == datetime(2026, 3, 2, 9, 59, 58, tzinfo=BEIJING)
    assert one.forwarded_at == NOW
    assert one.received_at == NOW
    assert one.scts is None


def test_the_default_form_post_is_read():
    body = urlencode({"from": "1069000000", "content": TEXT, "timestamp": MILLIS, "sign": sign(MILLIS)}).encode()
    one = seen(FORWARDER, push("/sightings/f1", body, content_type="application/x-www-form-urlencoded; charset=UTF-8"))
    assert one.text == TEXT
    assert one.handset_at is None


def test_the_signature_is_taken_raw_and_unquoted():
    plain = smsforwarder_sign(str(MILLIS), SECRET)
    assert quote(plain, safe="") == sign(MILLIS)
    assert seen(FORWARDER, template(signature=plain)) == seen(FORWARDER, template(signature=sign(MILLIS)))


@pytest.mark.parametrize("signature", ["", "x", sign(MILLIS, "another"), sign(MILLIS + 1), "€", "\ud800"])
def test_what_is_not_signed_with_our_secret_is_refused(signature):
    why, status = refused(FORWARDER, template(signature=signature))
    assert status == 403
    assert why == ("wrongly signed" if signature else "unsigned")


@pytest.mark.parametrize("seconds", [-601, 601, 86_400])
def test_a_stale_stamp_is_refused(seconds):
    assert refused(FORWARDER, template(received_at=later(seconds=seconds))) == ("stale", 403)


@pytest.mark.parametrize("seconds", [-600, 0, 600])
def test_the_apps_own_tolerance_is_ours(seconds):
    assert seen(FORWARDER, template(received_at=later(seconds=seconds)))


@pytest.mark.parametrize("stamp", ["", "soon", "9" * 30, "-1", "٣"])
def test_a_stamp_that_is_none_is_stale(stamp):
    assert refused(FORWARDER, template(stamp)) == ("stale", 403)


def test_repeats_of_one_message_are_one_and_two_messages_are_two():
    first, later_on = seen(FORWARDER, template()), seen(FORWARDER, template(MILLIS + 5000))
    assert first.event_id == later_on.event_id
    assert seen(FORWARDER, template(received_at=NOW, text=TEXT + "!")).event_id != first.event_id
    assert seen(FORWARDER, template(**{"received_at": NOW, "from": "1069"})).event_id != first.event_id


def test_a_signature_is_a_key_that_tells_replays_apart():
    assert (
        read_post(FORWARDER, "p1", template()).replay_key != read_post(FORWARDER, "p1", template(MILLIS + 1)).replay_key
    )
    assert (
        read_post(FORWARDER, "p1", template()).replay_key == read_post(FORWARDER, "p1", template(text="x")).replay_key
    )


@pytest.mark.parametrize("changes", [{"from": ""}, {"text": ""}, {"text": ["x"]}, {"from": {"a": 1}}, {"text": True}])
def test_a_signed_post_without_sender_or_text_is_unreadable(changes):
    assert refused(FORWARDER, template(**changes)) == ("unreadable", 400)


def test_half_an_emoji_is_still_a_message():
    one = seen(FORWARDER, template(text="码123456\ud83d"))
    assert one.text == "码123456\ufffd"


# --- android-sms-gateway --------------------------------------------------------------------------------------------


def gate(
    payload: Any = None, *, event: str = "sms:received", stamp: str | None = None, key: str = SECRET, **envelope: Any
):
    payload = payload if payload is not None else {
        "messageId": "M1", "message": TEXT, "sender": "1069000000", "receivedAt": "2026-03-02T09:59:57.000+08:00"
    }  # fmt: skip
    whole = {"deviceId": "D", "event": event, "id": "E1", "webhookId": "W", "payload": payload, **envelope}
    body = json.dumps(whole).encode()
    stamp = str(int(NOW.timestamp())) if stamp is None else stamp
    signature = hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    return push("/sightings/f1", body, x_timestamp=stamp, x_signature=signature)


def test_the_service_centres_stamp_is_not_taken_for_an_arrival():
    one = seen(GATE, gate())
    assert one.scts == datetime(2026, 3, 2, 1, 59, 57, tzinfo=UTC)
    assert one.handset_at is None
    assert one.forwarded_at == NOW


def test_two_webhooks_for_one_message_are_one_message():
    assert seen(GATE, gate()).event_id == seen(GATE, gate(id="E2")).event_id
    assert seen(GATE, gate()).event_id != seen(GATE, gate(deviceId="other")).event_id


def test_the_older_field_for_the_sender_is_read_too():
    assert seen(GATE, gate({"messageId": "M", "message": TEXT, "phoneNumber": "1069"})).sender == "1069"


def test_any_other_event_is_a_sign_of_life():
    told = read_post(GATE, "p1", gate(event="system:ping"))
    assert told.sightings == ()
    assert told.heartbeat.phone_at == NOW


def test_a_changed_body_is_found_out():
    good = gate()
    forged = PushRequest(
        method="POST", path=good.path, query="", headers=good.headers, received_at=NOW,
        body=good.body.replace(b"123456", b"654321"),
    )  # fmt: skip
    assert refused(GATE, forged) == ("wrongly signed", 403)
    assert refused(GATE, push("/sightings/f1", good.body)) == ("unsigned", 403)
    assert refused(GATE, gate(key="another")) == ("wrongly signed", 403)


@pytest.mark.parametrize("stamp", ["0", str(int(NOW.timestamp()) - 301), str(int(NOW.timestamp()) + 301), "", "x", "²"])
def test_a_stale_attempt_is_refused(stamp):
    assert refused(GATE, gate(stamp=stamp)) == ("stale", 403)


@pytest.mark.parametrize("payload", ["x", [], {}, {"message": "", "sender": "1"}, {"message": ["x"], "sender": "1"}])
def test_a_signed_envelope_with_nothing_in_it_is_unreadable(payload):
    assert refused(GATE, gate(payload)) == ("unreadable", 400)


# --- any JSON -------------------------------------------------------------------------------------------------------


def generic(body: Any, secret: str = SECRET) -> PushRequest:
    return push("/sightings/f1", json.dumps(body).encode(), x_phone_secret=secret)


MESSAGE = {"sms": {"from": "1069", "body": TEXT}, "at": "2026-03-02T09:59:58+08:00", "id": 7}


def test_a_described_post_is_read_by_its_paths():
    one = seen(GENERIC, generic(MESSAGE))
    assert (one.sender, one.text) == ("1069", TEXT)
    assert one.handset_at == datetime(2026, 3, 2, 1, 59, 58, tzinfo=UTC)
    assert one.event_id == seen(GENERIC, generic({**MESSAGE, "more": 1})).event_id
    assert one.event_id != seen(GENERIC, generic({**MESSAGE, "id": 8})).event_id


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("iso", "2026-03-02T02:00:00Z"),
        ("iso", "2026-03-02 10:00:00"),
        ("seconds", str(MILLIS // 1000)),
        ("milliseconds", str(MILLIS)),
        ("%d.%m.%Y %H:%M", "02.03.2026 10:00"),
    ],
)
def test_a_time_is_read_as_the_evaluation_says(pattern, written):
    forwarder = phone("json", header=GENERIC.header, fields=GENERIC.fields, time_format=pattern)
    assert seen(forwarder, generic({**MESSAGE, "at": written})).handset_at == NOW


@pytest.mark.parametrize("pattern", ["iso", "seconds", "milliseconds", "%Y-%m-%d"])
@pytest.mark.parametrize("written", ["", "soon", "0001-01-01", "9" * 25, "²", None])
def test_a_time_that_is_none_is_unknown_and_no_crash(pattern, written):
    forwarder = phone("json", header=GENERIC.header, fields=GENERIC.fields, time_format=pattern)
    assert seen(forwarder, generic({**MESSAGE, "at": written})).handset_at in (None, datetime(1, 1, 1, tzinfo=UTC))


def test_without_the_secret_nobody_is_believed():
    assert refused(GENERIC, generic(MESSAGE, secret="")) == ("unsigned", 403)
    assert refused(GENERIC, generic(MESSAGE, secret="guess")) == ("wrongly signed", 403)
    assert refused(GENERIC, generic(MESSAGE, secret="ä")) == ("wrongly signed", 403)


def test_a_described_heartbeat_is_a_sign_of_life():
    told = read_post(GENERIC, "p1", generic({"beat": "2026-03-02T10:00:00"}))
    assert told.heartbeat.phone_at == NOW
    assert told.sightings == ()
    assert refused(GENERIC, generic({"nothing": 1})) == ("unreadable", 400)


# --- garbage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forwarder", [FORWARDER, GATE, GENERIC], ids=lambda one: one.app)
def test_a_post_that_is_too_large_is_refused_unread(forwarder):
    assert refused(forwarder, push("/sightings/f1", b"x" * (LARGEST_POST + 1))) == ("too large", 413)


@pytest.mark.parametrize("forwarder", [FORWARDER, GATE, GENERIC], ids=lambda one: one.app)
@given(
    body=st.binary(max_size=60) | st.sampled_from([b"[" * 50_000, b"\xff\xfe{\x00}\x00", b'{"a":' + b"9" * 5000 + b"}"])
)
def test_any_bytes_are_read_or_refused(forwarder, body):
    stamp = str(int(NOW.timestamp()))
    signature = hmac.new(SECRET.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    request = push("/sightings/f1", body, x_timestamp=stamp, x_signature=signature, x_phone_secret=SECRET)
    try:
        assert isinstance(read_post(forwarder, "p1", request), Seen)
    except PushRefused as error:
        assert error.acknowledgement.status in (400, 403)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(JSON, JSON, JSON)
def test_any_signed_values_are_a_sighting_or_refused_and_can_be_stored(sender, text, when):
    requests = [
        (FORWARDER, template(**{"from": sender, "text": text, "received_at": NOW})),
        (GATE, gate({"sender": sender, "message": text, "messageId": when, "receivedAt": when})),
        (GENERIC, generic({"sms": {"from": sender, "body": text}, "at": when, "id": when})),
    ]
    for forwarder, request in requests:
        try:
            told = read_post(forwarder, "p1", request)
        except PushRefused:
            continue
        for one in told.sightings:
            (one.sender + one.text + one.event_id).encode()


# --- asking a phone -------------------------------------------------------------------------------------------------


def test_only_apps_with_a_server_of_their_own_can_be_asked():
    assert can_be_asked(FORWARDER)
    assert can_be_asked(GATE)
    assert not can_be_asked(GENERIC)
    assert not can_be_asked(None)
    assert not can_be_asked(Forwarder(id="f", app="smsforwarder", secret=Secret("s")))


def test_smsforwarders_inbox_is_searched_with_a_signed_question():
    talk = play(search_inbox(FORWARDER, "123456", NOW, later(hours=-1)))
    assert str(talk.request.url) == "http://127.0.0.1:5000/sms/query"
    asked = json.loads(talk.request.content)
    assert asked["data"]["keyword"] == "123456"
    assert asked["timestamp"] == MILLIS
    assert asked["sign"] == sign(MILLIS)
    rows = [{"number": "1069", "content": TEXT, "date": MILLIS}, {"content": "no date"}, "junk"]
    (found,) = talk.answer(200, {"code": 200, "data": rows}).outcome
    assert (found.sender, found.text, found.at, found.is_scts) == ("1069", TEXT, NOW, False)


def test_the_gateways_inbox_is_searched_with_a_password():
    talk = play(search_inbox(GATE, "123456", NOW, later(hours=-1)))
    assert talk.request.headers["authorization"] == "Basic " + base64.b64encode(b"sms:pw").decode()
    assert "from=2026-03-02T01%3A00%3A00%2B00%3A00" in str(talk.request.url)
    rows = [
        {"sender": "1069", "contentPreview": TEXT, "createdAt": "2026-03-02T02:00:00Z"},
        {"sender": "1069", "contentPreview": "another", "createdAt": "2026-03-02T02:00:00Z"},
        {"sender": "1069", "contentPreview": TEXT},
        {"sender": "1069", "createdAt": "2026-03-02T02:00:00Z"},
        7,
    ]
    (found,) = talk.answer(200, rows).outcome
    assert (found.sender, found.at, found.is_scts) == ("1069", NOW, True)


@pytest.mark.parametrize("rows", [None, {}, "x", 7])
def test_an_inbox_that_is_no_list_holds_nothing(rows):
    assert play(search_inbox(GATE, "", NOW, NOW)).answer(200, rows).outcome == []


def test_a_phone_that_says_no_is_trouble():
    with pytest.raises(VendorTrouble, match="sign error") as caught:
        play(search_inbox(FORWARDER, "x", NOW, NOW)).answer(200, {"code": 500, "msg": "sign error"})
    assert caught.value.code == "500"
    for flow in (search_inbox(GATE, "x", NOW, NOW), send_reply(GATE, "1069", "R", NOW)):
        with pytest.raises(Unauthorised):
            play(flow).answer(401, {})
    with pytest.raises(Unintelligible):
        play(search_inbox(FORWARDER, "x", NOW, NOW)).answer(200, content=b"<html>")
    with pytest.raises(VendorTrouble, match="HTTP 500"):
        play(send_reply(GATE, "1069", "R", NOW)).answer(500, {})


def test_a_phone_can_be_told_to_reply():
    talk = play(send_reply(FORWARDER, "1069000000", "R", NOW))
    assert json.loads(talk.request.content)["data"] == {
        "sim_slot": 1,
        "phone_numbers": "1069000000",
        "msg_content": "R",
    }
    assert talk.answer(200, {"code": 200}).is_over
    talk = play(send_reply(GATE, "1069000000", "R", NOW))
    assert json.loads(talk.request.content) == {"textMessage": {"text": "R"}, "phoneNumbers": ["1069000000"]}
    assert talk.answer(202, {}).is_over


def test_a_phones_clock_is_asked():
    talk = play(ask_clock(FORWARDER, NOW))
    assert talk.answer(200, {"code": 200, "timestamp": MILLIS + 1500}).outcome == NOW + timedelta(seconds=1.5)
    assert play(ask_clock(FORWARDER, NOW)).answer(200, {"code": 200}).outcome is None
    assert play(ask_clock(GATE, NOW)).answer(200, {}).outcome is None
