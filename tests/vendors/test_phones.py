"""The test phones post and answer as their forwarding apps do (facts: handsets), and get things wrong as they do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capabilities import PushRequest
from harness.config import Forwarder
from harness.domain import BEIJING, Carrier, Secret
from harness.run.handsets import read_post
from tests.vendors.test_world import near, until
from tests.vendors.tiny_world import EPOCH, Inbox, handsets, play, submit, tiny_world
from vendors.sandbox.phones import JSON_HEADER, Phone, Received, smsforwarder_sign
from vendors.sandbox.truth import App
from vendors.sandbox.world import World

LATER = EPOCH + timedelta(hours=2)


def phone(app: App, **changed: Any) -> Phone:
    plain = {"id": "phone-r001", "number": "+8613800001000", "carrier": Carrier.CHINA_MOBILE, "app": app}
    return Phone(**{**plain, "secret": "s3cret", "password": "pa55", "epoch": EPOCH, **changed})


def sms(serial: int = 1, *, at: datetime = LATER, text: str = "【某某科技】您的验证码123456") -> Received:
    return Received(id=serial, sender="106900001234", text=text, at=at, scts=at - timedelta(seconds=3))


def sign(stamp: str, secret: str) -> str:
    """The card's formula, written down anew: base64(HMAC-SHA256(secret, stamp LF secret)), before URL encoding."""
    message = (stamp + "\n" + secret).encode()
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


# SmsForwarder ---------------------------------------------------------------------------------------------------------


def test_smsforwarder_posts_the_suggested_template_with_the_phones_own_wrong_clock():
    one = phone(App.SMSFORWARDER, offset_seconds=-40.0, drift_ppm=100.0)  # 100 ppm of two hours is 0.72 s
    seen = sms(at=LATER + timedelta(milliseconds=300))
    body = json.loads(one.post(seen, LATER + timedelta(seconds=5)))
    assert list(body) == ["from", "text", "sim", "device", "received_at", "forwarded_at_ms", "sign", "app"]
    assert (body["from"], body["text"]) == (seen.sender, seen.text)
    assert body["received_at"] == "2026-03-02 10:59:21"  # Beijing, whole seconds
    forwarded = datetime.fromtimestamp(int(body["forwarded_at_ms"]) / 1000, UTC)
    assert forwarded == LATER + timedelta(seconds=5 - 40, milliseconds=720)
    assert unquote(body["sign"]) == sign(body["forwarded_at_ms"], "s3cret")
    assert "%3D" in body["sign"]  # still URL-encoded once, as the app leaves it


def test_smsforwarder_repeats_a_post_byte_for_byte():
    world = tiny_world()
    inbox = Inbox(world)
    inbox.failing = lambda request: "sightings" in str(request.url) and world.now() < EPOCH + timedelta(seconds=20)

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(300)

    play(world, story, inbox.deliver)
    tries = [(at, request.content) for at, request in inbox.tried if "sightings" in str(request.url)]
    assert [(at - EPOCH).total_seconds() for at, _ in tries] == [4.0, 14.0, 34.0]
    assert len({content for _, content in tries}) == 1


def ask(one: Phone, path: str, data: object, *, at: datetime = LATER, secret: str = "s3cret", stamp: int | None = None):
    stamp = stamp if stamp is not None else round(at.timestamp() * 1000)
    body = {"data": data, "timestamp": stamp, "sign": smsforwarder_sign(str(stamp), secret)}
    return one.answer(httpx.Request("POST", f"http://{one.host}:5000{path}", json=body), at)


def test_smsforwarders_inbox_is_searched_by_keyword_newest_first():
    one = phone(App.SMSFORWARDER, offset_seconds=3.0)
    for serial, text in enumerate(["first ABC", "second", "third ABC"]):
        one.receive(sms(serial, text=text, at=LATER + timedelta(seconds=serial)))
    found = ask(one, "/sms/query", {"type": 1, "page_num": 1, "page_size": 10, "keyword": "ABC"}).response
    body = found.json()
    assert (found.status_code, body["code"], body["msg"]) == (200, 200, "success")
    assert unquote(body["sign"]) == sign(str(body["timestamp"]), "s3cret")
    assert [row["content"] for row in body["data"]] == ["third ABC", "first ABC"]
    row = body["data"][0]
    assert set(row) == {"name", "number", "content", "date", "type", "sim_id", "sub_id"}
    assert row["date"] == round((LATER + timedelta(seconds=2 + 3)).timestamp() * 1000)  # the phone's clock
    second = ask(one, "/sms/query", {"type": 1, "page_num": 2, "page_size": 2, "keyword": ""}).response.json()
    assert [row["content"] for row in second["data"]] == ["first ABC"]


@pytest.mark.parametrize(
    "changed, message",
    [({"secret": "wrong"}, "sign verify failed"), ({"stamp": 1}, "timestamp verify failed")],
)
def test_smsforwarder_refuses_a_wrong_sign_and_a_stale_time(changed, message):
    answer = ask(phone(App.SMSFORWARDER), "/sms/query", {"type": 1}, **changed).response
    assert answer.status_code == 500
    assert answer.json()["msg"] == message
    assert "data" not in answer.json()


def test_smsforwarder_tells_its_battery_and_what_its_server_offers():
    one = phone(App.SMSFORWARDER)
    assert ask(one, "/battery/query", {}).response.json()["data"]["level"] == "86%"
    assert ask(one, "/config/query", {}).response.json()["data"]["enable_api_sms_query"] is True
    assert ask(one, "/nothing", {}).response.status_code == 404


def test_smsforwarder_sends_an_sms_to_each_number():
    answered = ask(
        phone(App.SMSFORWARDER), "/sms/send", {"sim_slot": 1, "phone_numbers": "10690001;10690002", "msg_content": "R"}
    )
    assert answered.response.json()["data"] == "success"
    assert answered.sent == (("10690001", "R"), ("10690002", "R"))


# android-sms-gateway --------------------------------------------------------------------------------------------------


def test_smsgate_posts_its_envelope_with_the_service_centres_time():
    one = phone(App.SMSGATE, offset_seconds=600.0)
    seen = sms(at=LATER)
    body = json.loads(one.post(seen, LATER + timedelta(seconds=9)))
    assert set(body) == {"deviceId", "event", "id", "payload", "webhookId"}
    assert (body["deviceId"], body["event"]) == ("phone-r001", "sms:received")
    assert len(body["id"]) == 21
    assert body["payload"]["receivedAt"] == "2026-03-02T10:59:57.000+08:00"  # not the phone's clock
    assert body["payload"]["sender"] == body["payload"]["phoneNumber"] == seen.sender
    assert body["payload"]["message"] == seen.text


def test_smsgate_signs_the_body_at_every_attempt_anew():
    world = tiny_world(panel={"apps": {"smsgate": "1"}, "clock_offset_seconds": "30"})
    inbox, first = Inbox(world), handsets(world)[0]
    inbox.failing = lambda request: "sightings" in str(request.url) and world.now() < EPOCH + timedelta(seconds=30)

    async def story() -> None:
        submit(world.accounts["acme"], first, 1)
        await until(300)

    play(world, story, inbox.deliver)
    tries = [(at, request) for at, request in inbox.tried if "sightings" in str(request.url)]
    assert [(at - EPOCH).total_seconds() for at, _ in tries] == [4.0, 14.0, 34.0]
    assert len({request.content for _, request in tries}) == 1
    assert first.phone is not None
    for at, request in tries:
        stamp = request.headers["x-timestamp"]
        expected = hmac.new(first.phone.secret.encode(), request.content + stamp.encode(), hashlib.sha256).hexdigest()
        assert request.headers["x-signature"] == expected
        assert int(stamp) == int(first.phone.clock(at).timestamp())


def test_smsgate_may_post_one_sms_twice_under_two_event_ids():
    world = tiny_world(panel={"apps": {"smsgate": "1"}, "app_repeat": "1"})
    inbox = Inbox(world)

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(60)

    play(world, story, inbox.deliver)
    one, two = inbox.bodies("sightings")
    assert one["payload"] == two["payload"]
    assert one["id"] != two["id"]


def test_smsgate_swallows_a_repeat_within_one_service_centre_second_and_others_do_not():
    for app, noticed in ((App.SMSGATE, False), (App.SMSFORWARDER, True)):
        one = phone(app)
        assert one.receive(sms(1)) is True
        assert one.receive(sms(2)) is noticed
        assert one.receive(sms(3, at=LATER + timedelta(seconds=2))) is True
        assert len(one.inbox) == 3


def basic(one: Phone) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"sms:{one.password}".encode()).decode()}


@pytest.mark.parametrize("body", [{"message": "T"}, {"textMessage": {"text": "T"}}])
@pytest.mark.parametrize("path", ["/message", "/messages"])
def test_smsgate_takes_an_sms_to_send_with_the_right_password_only(body: dict[str, object], path: str):
    one = phone(App.SMSGATE)
    url, whole = f"http://{one.host}:8080{path}", {**body, "phoneNumbers": ["106900001234"]}
    answered = one.answer(httpx.Request("POST", url, json=whole, headers=basic(one)), LATER)
    assert answered.response.status_code == 202
    assert answered.response.json()["state"] == "Pending"
    assert answered.sent == (("106900001234", "T"),)
    refused = one.answer(httpx.Request("POST", url, json=whole, headers={"authorization": "Basic eDp5"}), LATER)
    assert (refused.response.status_code, refused.sent) == (401, ())


def test_smsgate_lists_its_inbox_page_by_page_with_the_total():
    one = phone(App.SMSGATE)
    for serial in range(5):
        one.receive(sms(serial, text=f"text {serial}", at=LATER + timedelta(seconds=serial)))
    url = f"http://{one.host}:8080/inbox?type=SMS&limit=2&offset=1"
    answer = one.answer(httpx.Request("GET", url, headers=basic(one)), LATER + timedelta(minutes=1)).response
    assert answer.headers["X-Total-Count"] == "5"
    assert [row["contentPreview"] for row in answer.json()] == ["text 3", "text 2"]
    assert answer.json()[0]["createdAt"] == "2026-03-02T11:00:00.000+08:00"
    url = f"http://{one.host}:8080/inbox?limit=0"
    assert one.answer(httpx.Request("GET", url, headers=basic(one)), LATER).response.status_code == 400


def test_smsgate_posts_a_period_again_when_told_to_export_it():
    world = tiny_world(panel={"apps": {"smsgate": "1"}, "app_miss": "1"})
    inbox, first = Inbox(world), handsets(world)[0]
    assert first.phone is not None
    one = first.phone

    async def story() -> None:
        submit(world.accounts["acme"], first, 1)
        await until(60)
        assert inbox.bodies("sightings") == []  # the app missed it
        period = {"since": EPOCH.isoformat(), "until": (EPOCH + timedelta(hours=1)).isoformat()}
        url = f"http://{one.host}:8080/messages/inbox/export"
        answer = world.answer_phone(one.id, httpx.Request("POST", url, json=period, headers=basic(one)))
        assert answer is not None
        assert answer.status_code == 202
        await until(120)

    play(world, story, inbox.deliver)
    assert [body["payload"]["message"] for body in inbox.bodies("sightings")] == [world.sendings[0].text]


def test_smsgates_health_needs_no_password():
    answer = phone(App.SMSGATE).answer(httpx.Request("GET", "http://phone-r001.sandbox:8080/health"), LATER)
    assert answer.response.json()["status"] == "pass"


# All apps -------------------------------------------------------------------------------------------------------------


def test_the_plain_json_webhook_carries_its_secret_in_a_header():
    one = phone(App.JSON, offset_seconds=2.0)
    body = one.post(sms(), LATER + timedelta(seconds=1))
    assert one.headers(body, LATER)[JSON_HEADER] == "s3cret"
    fields = json.loads(body)
    assert fields["event"] == "sms"
    assert datetime.fromisoformat(fields["received_at"]) == LATER + timedelta(seconds=2)
    assert datetime.fromisoformat(fields["forwarded_at"]) == LATER + timedelta(seconds=3)


@pytest.mark.parametrize("app", list(App))
def test_the_hall_reads_what_the_phones_post(app: App):
    """The two sides of each app's format were written apart, from the same card."""
    world = tiny_world(panel={"apps": {app.value: "1"}, "heartbeat_minutes": "2", "handsets": {"china_mobile": 1}})
    inbox = Inbox(world)

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(130)

    play(world, story, inbox.deliver)
    row = world.forwarder_rows()[0]
    fields = dict(pair.split(": ") for pair in row["fields"].split(", ")) if row["fields"] else {}
    forwarder = Forwarder(
        id=row["id"], app=row["app"], secret=Secret(row["secret"]), fields=fields, header=row["header"]
    )
    posts = [(at, request) for at, request in inbox.taken if "sightings" in str(request.url)]
    seen = [
        read_post(
            forwarder,
            row["recipient"],
            PushRequest(
                method="POST",
                path=request.url.path,
                query="",
                headers=dict(request.headers),
                body=request.content,
                received_at=at,
            ),
        )
        for at, request in posts
    ]
    assert [sighting.text for each in seen for sighting in each.sightings] == [world.sendings[0].text]
    assert seen[0].sightings[0].sender == world.sendings[0].sender
    assert seen[0].sightings[0].forwarded_at is not None
    assert len([each for each in seen if each.heartbeat and not each.sightings]) == (app is not App.SMSFORWARDER)


@pytest.mark.parametrize("app", list(App))
@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=st.sampled_from(["/", "/sms/query", "/sms/send", "/message", "/messages", "/inbox", "/inbox/refresh", "/x"]),
    query=st.dictionaries(st.sampled_from(["limit", "offset", "from", "to"]), st.text(max_size=8)),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["data", "sim_slot", "phone_numbers", "phoneNumbers", "textMessage", "since"]),
                    inner,
                    max_size=4,
                ),
            ),
        ),
    ),
    known=st.booleans(),
)
def test_no_request_makes_a_phone_raise(app, method, path, query, body, known):
    one = phone(app)
    one.receive(sms())
    stamp = round(LATER.timestamp() * 1000)
    if app is App.SMSFORWARDER and known and not isinstance(body, bytes):
        body = {"data": body, "timestamp": stamp, "sign": smsforwarder_sign(str(stamp), one.secret)}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = httpx.URL(f"http://{one.host}{path}", params=query)
    request = httpx.Request(method, url, content=content, headers=basic(one) if known else {})
    assert one.answer(request, LATER).response.status_code in {200, 202, 400, 401, 404, 405, 500}


def test_messages_the_app_misses_lie_in_the_inbox_all_the_same():
    world = tiny_world(panel={"app_miss": "0.2", "handsets": {"china_mobile": 5}})
    inbox = Inbox(world)

    async def story() -> None:
        for serial in range(500):
            submit(world.accounts["acme"], handsets(world)[serial % 5], serial)
            await asyncio.sleep(20)
        await asyncio.sleep(60)

    play(world, story, inbox.deliver)
    assert sum(len(one.inbox) for one in world.phones.values()) == 500
    assert near(1 - len(inbox.bodies("sightings")) / 500, 0.2, 500)


def test_network_duplicates_and_altered_texts_are_seen_on_the_phone():
    world = tiny_world({"duplicates": "1", "altered": "1"})
    inbox = Inbox(world)

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(300)

    play(world, story, inbox.deliver)
    (sending,) = world.sendings
    texts = [body["text"] for body in inbox.bodies("sightings")]
    assert texts == [sending.seen_text] * 2
    assert texts[0] != sending.text
    assert "000001" in texts[0]  # still to be told by its token


def test_a_phone_that_is_off_gets_its_messages_when_it_is_on_again_and_answers_nobody_meanwhile():
    down = {"from": "day 1 09:00", "to": "day 1 10:00", "kind": "off"}
    world = tiny_world(panel={"down": [down]})
    inbox, person = Inbox(world), handsets(world)[0]
    assert person.phone is not None
    name = person.phone.id

    async def story() -> None:
        submit(world.accounts["acme"], person, 1)
        await until(1800)
        assert world.answer_phone(name, httpx.Request("POST", "http://x/sms/query")) is None
        await until(4000)
        assert world.answer_phone(name, httpx.Request("POST", "http://x/sms/query")) is not None

    play(world, story, inbox.deliver)
    (arrived,) = [at for at, request in inbox.taken if name in str(request.url)]
    assert EPOCH + timedelta(hours=1) < arrived < EPOCH + timedelta(hours=1, minutes=1)
    assert world.sendings[0].claimed_at == world.sendings[0].arrived_at  # an honest report waits as well


def test_a_phone_with_a_dead_app_receives_and_stays_silent():
    down = {"from": "day 1 09:00", "to": "day 1 10:00", "kind": "app"}
    world = tiny_world(panel={"down": [down]})
    inbox, person = Inbox(world), handsets(world)[0]

    async def story() -> None:
        submit(world.accounts["acme"], person, 1)
        await until(7200)

    play(world, story, inbox.deliver)
    assert person.phone is not None
    assert [each.at for each in person.phone.inbox] == [EPOCH + timedelta(seconds=3)]
    assert inbox.bodies("sightings") == []


@pytest.mark.parametrize("app", list(App))
def test_phones_give_signs_of_life_and_a_dead_one_gives_none(app: App):
    down = {"from": "day 1 09:10", "to": "day 1 09:30", "phones": "1"}
    beats_at = {"heartbeat_minutes": "2", "smsforwarder_heartbeats": "yes"}
    world = tiny_world(panel={**beats_at, "apps": {app.value: "1"}, "down": [down], "handsets": {"china_mobile": 2}})
    inbox = Inbox(world)
    play(world, lambda: until(3599), inbox.deliver)
    dead, alive = (person.phone.id for person in handsets(world) if person.phone)
    beats = {name: [at for at, request in inbox.taken if name in str(request.url)] for name in (dead, alive)}
    assert [(at - EPOCH).total_seconds() for at in beats[alive]] == [120.0 * n for n in range(1, 30)]
    assert len(beats[dead]) == 29 - 10
    first = json.loads(inbox.taken[0][1].content)
    assert first.get("event") in ("system:ping", "ping") or first["from"] == "heartbeat"


def test_smsforwarder_phones_post_no_signs_of_life_unless_told_to():
    world = tiny_world(panel={"heartbeat_minutes": "2", "handsets": {"china_mobile": 2}})
    inbox = Inbox(world)
    play(world, lambda: until(3599), inbox.deliver)
    assert inbox.tried == []


def test_missed_signs_of_life_are_not_made_up_for_after_a_crash():
    world = tiny_world(panel={"heartbeat_minutes": "2", "apps": {"json": "1"}, "handsets": {"china_mobile": 1}})
    play(world, lambda: until(130), Inbox(world).deliver)
    inbox = Inbox(world)
    play(world, lambda: until(1330), inbox.deliver, begin=1000)
    assert [(at - EPOCH).total_seconds() for at, _ in inbox.taken] == [1080.0, 1200.0, 1320.0]


def test_control_sms_reach_phones_from_their_carriers_and_not_from_a_vendor():
    world = tiny_world(panel={"controls_per_day": "4", "handsets": {"china_mobile": 5, "china_telecom": 5}})
    inbox = Inbox(world)
    play(world, lambda: until(3 * 86_400), inbox.deliver)
    seen = [received for one in world.phones.values() for received in one.inbox]
    assert near(len(seen) / 200, 120 / 200, 200)
    assert {received.sender for received in seen} == {"10086", "10000"}
    assert all(received.is_control for received in seen)
    assert len(inbox.bodies("sightings")) == len(seen) - sum(
        received.at > EPOCH + timedelta(seconds=3 * 86_400 - 1) for received in seen
    )
    assert not world.sendings


def test_a_control_sms_can_be_sent_by_hand():
    world = tiny_world()
    inbox = Inbox(world)

    async def story() -> None:
        world.control_sms(handsets(world)[0].number, "查询码 BCDFGH")
        await until(30)

    play(world, story, inbox.deliver)
    assert [body["text"] for body in inbox.bodies("sightings")] == ["查询码 BCDFGH"]


def test_a_reply_reaches_the_vendor_whose_code_it_was_sent_to():
    vendors = {"acme": {"senders": "10690001"}, "best": {"senders": "10690002"}}
    world = tiny_world(vendors=vendors)
    inbox, person = Inbox(world), handsets(world)[0]

    async def story() -> None:
        submit(world.accounts["acme"], person, 1)
        submit(world.accounts["best"], person, 2)
        await until(60)
        assert person.phone is not None
        stamp = round(world.now().timestamp() * 1000)
        data = {"sim_slot": 1, "phone_numbers": "1069000277", "msg_content": "TD"}
        body = {"data": data, "timestamp": stamp, "sign": smsforwarder_sign(str(stamp), person.phone.secret)}
        world.answer_phone(person.phone.id, httpx.Request("POST", "http://x/sms/send", json=body))
        await until(120)

    play(world, story, inbox.deliver)
    assert inbox.bodies(f"{world.push_urls['acme']}/inbound") == []
    assert inbox.bodies(f"{world.push_urls['best']}/inbound") == [
        {"from": person.number, "text": "TD", "extension": "77"}
    ]
    span = (EPOCH, EPOCH + timedelta(days=1))
    assert [reply.text for reply in world.accounts["best"].replies(person.number, *span)] == ["TD"]
    assert world.accounts["best"].replies(person.number, *span)[0].signature == "某某科技"


def test_as_many_replies_reach_the_customer_as_the_truth_says():
    world = tiny_world({"replies": "0.8", "mode": "pull"})
    person = handsets(world)[0]

    async def story() -> None:
        submit(world.accounts["acme"], person, 1)
        for serial in range(400):
            assert person.phone is not None
            world.reply(person.phone, "10690000", f"答复{serial}")
        await until(600)

    play(world, story, Inbox(world).deliver)
    assert near(len(world.accounts["acme"].take_replies(1000)) / 400, 0.8, 400)


def test_clocks_are_wrong_by_as_much_as_the_truth_says():
    world: World = tiny_world(
        panel={"handsets": {"china_mobile": 400}, "clock_offset_seconds": "10", "clock_drift_ppm": "5"}
    )
    offsets = sorted(one.offset_seconds for one in world.phones.values())
    assert abs(offsets[200]) < 2
    assert offsets[340] == pytest.approx(10, rel=0.3)
    drifts = sorted(one.drift_ppm for one in world.phones.values())
    assert drifts[340] == pytest.approx(5, rel=0.3)
    one = next(iter(world.phones.values()))
    assert one.clock(LATER).astimezone(BEIJING) != LATER
