"""What is Chuanglan's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, Tools
from harness.domain import Accepted, DeliveryState, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, NOON, make, message
from tests.vendors.test_counterparts import PHONE, REPLY, World, claim
from vendors import chuanglan, signing
from vendors.sandbox import chuanglan as counterpart
from vendors.sandbox.door import Turned

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the password is left out", chuanglan, "signed_in", lambda account, password, fields: {
        "account": account, **fields}),
    ("account and password change places", chuanglan, "signed_in",
     lambda account, password, fields, step=chuanglan.signed_in: step(password, account, fields)),
    ("no report is asked for", chuanglan, "_WITH_REPORT", {}),
    ("variables are spelt otherwise", chuanglan, "_VARIABLE", "{s}"),
    ("push: the receiver does not count", chuanglan, "is_theirs",
     lambda item, receiver, password, step=chuanglan.is_theirs: step(
         {**item, "receiver": receiver}, receiver, password)),
    ("push: the password does not count", chuanglan, "is_theirs",
     lambda item, receiver, password, step=chuanglan.is_theirs: step({**item, "pswd": password}, receiver, password)),
    ("push: every word matches", signing, "matches", lambda expected, given: True),
]  # fmt: skip


def test_the_digests_of_the_interfaces_that_are_not_written_yet_are_those_of_their_documents() -> None:
    """Generation 2 and signatureAdd: for whoever writes them, the vectors of the card."""
    assert signing.sha1_hex(b"secretnonce1231700000000").upper() == "D8F433ADC37BA88A9E831CE4B6DECE5815D2E060"
    assert hashlib.md5(b"userpass1700000000").hexdigest() == "08b454cf0d4f4c15a76bc3618ae89551"


# --- the adapter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages",
    [
        [message()] * 1001,
        [message(), message({"text": "没有签名"})],
        [message(), message({"text": "【别的】您的验证码是1234"})],
        [message(), message({"text": "【某某科技】您的验证码是12,4", "parameters": {"code": "12,4"}})],
        [message(), message({"text": "【某某科技】", "parameters": {"code": ""}})],
        [message({"text": "1" * n, "parameters": {f"v{at}": "1" for at in range(n)}}) for n in (21, 22)],
    ],
    ids=["too many", "no signature", "two signatures", "a comma in a value", "nothing", "too many variables"],
)
def test_a_bulk_that_one_request_cannot_hold_is_not_sent(messages: Any) -> None:
    with pytest.raises(VendorTrouble) as raised:
        play(make("chuanglan").submit_bulk(messages))
    assert not raised.value.written


def test_an_empty_bulk_asks_nothing() -> None:
    assert play(make("chuanglan").submit_bulk([])).outcome == ()


VALUES = st.text(st.characters(codec="utf-8", exclude_characters=",;{}$"), min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4, unique=True))
def test_the_counterpart_makes_of_a_bulk_the_texts_that_were_meant(values: list[tuple[str, str]]) -> None:
    messages = [
        message({"text": f"【测试签名】码：{code}，店：{shop}。", "parameters": {"code": code, "shop": shop}})
        for code, shop in values
    ]
    world = World({"account": "N6000001", "password": "123456"})
    talk = play(make("chuanglan").submit_bulk(messages))
    reply = counterpart.Counterpart(world).answer(talk.request)
    outcomes = talk.answer(200, content=reply.content).outcome
    assert all(isinstance(one, Accepted) for one in outcomes)
    assert [one.text for one in world.taken] == [one.text for one in messages]


def test_without_the_consoles_words_pushes_are_read_but_not_proven() -> None:
    account = Account(label="cl", credentials={"account": "a", "password": "p"}, endpoint="https://x.example")
    vendor = chuanglan.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
    push = vendor.read_push(samples.raw_push(b'{"msgid":"1","mobile":"1","status":"DELIVRD"}'))
    assert len(push.reports) == 1 and not push.authenticated


def test_a_password_alone_is_enough_where_the_console_has_no_receiver() -> None:
    credentials = {"account": "a", "password": "p", "push_password": "w"}
    account = Account(label="cl", credentials=credentials, endpoint="https://x.example")
    vendor = chuanglan.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
    push = vendor.read_push(samples.raw_push(b'{"msgid":"1","mobile":"1","status":"DELIVRD","pswd":"w"}'))
    assert push.authenticated


# --- the counterpart --------------------------------------------------------------------------------------------------


class Late(World):
    """A world that keeps what is pushed of the vendor's own accord."""

    def __init__(self, **options: str) -> None:
        words = {"push_receiver": "admin", "push_password": "12345"}
        super().__init__({"account": "N1", "password": "p1", **words}, **options)
        self.pushed: list[Any] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        assert kind == "reports"
        self.pushed.append(push)


def ask(world: World, path: str, method: str = "POST", kind: str = "application/json", **fields: Any) -> Any:
    body = json.dumps({"account": "N1", "password": "p1", **fields}).encode()
    request = httpx.Request(method, f"https://h.example{path}", headers={"content-type": kind}, content=body)
    return counterpart.Counterpart(world).answer(request).json()


SEND = {"msg": "【测试签名】您的验证码是1234，请勿告诉他人。", "phone": "13800138000", "report": "true"}


def send(world: World, **changes: Any) -> Any:
    return ask(world, "/msg/v1/send/json", **{**SEND, **changes})


@pytest.mark.parametrize(
    "changes, wanted",
    [
        ({"account": "x"}, "101"),
        ({"password": "x"}, "102"),
        ({"password": 1}, "102"),
        ({"msg": ""}, "106"),
        ({"msg": "【测试签名】" + "长" * 536}, "106"),
        ({"msg": "没有签名"}, "116"),
        ({"msg": "在后面【测试签名】"}, "116"),
        ({"msg": "【未批签名】a"}, "116"),
        ({"msg": "【测试签名】已撤销1"}, "125"),
        ({"msg": 5}, "130"),
        ({"phone": "123"}, "107"),
        ({"phone": ",".join(["13800138000"] * 1001)}, "108"),
        ({"extend": "12345"}, "113"),
        ({"sendtime": "now"}, "127"),
        ({"report": "yes"}, "130"),
    ],
)
def test_what_is_wrong_with_a_request_has_its_own_code(changes: Any, wanted: str) -> None:
    told = send(Late(), **changes)
    assert told["code"] == wanted and told["errorMsg"] == counterpart.CODES[int(wanted)]


def test_paths_methods_and_bodies_that_are_none_are_refused() -> None:
    assert ask(Late(), "/msg/nothing")["code"] == ask(Late(), "/msg/send/json", "PUT")["code"] == "118"
    assert ask(Late(), "/msg/send/json", kind="text/plain")["code"] == "129"
    for body in (b"[]", b"{", b"\xff"):
        request = httpx.Request(
            "POST", "https://h.example/msg/send/json", headers={"content-type": "application/json"}, content=body
        )
        assert counterpart.Counterpart(Late()).answer(request).json()["code"] == "129"


def test_both_paths_take_a_message_and_its_template_tells_what_it_is_for() -> None:
    world = Late(codes="number")
    for path in ("/msg/send/json", "/msg/v1/send/json"):
        told = ask(world, path, **{**SEND, "uid": "u1", "extend": "12"})
        assert told["code"] == 0 and told["msgId"].startswith("240115163000") and len(told["msgId"]) == 17
    assert [(one.template, one.purpose, one.reference, one.extension) for one in world.taken] == [
        ("SMS_154950909", "verification", "u1", "12")
    ] * 2
    send(world, msg="【测试签名】上新，退订回T")
    send(world, msg="【测试签名】你好")
    assert [one.purpose for one in world.taken[2:]] == ["marketing", "notification"]
    assert send(Late(templates="white"), msg="【测试签名】你好")["code"] == "124"


def test_no_report_is_made_unless_it_is_asked_for() -> None:
    world = Late()
    told = send(world, report="false")
    silent = replace(claim(told["msgId"]), number=PHONE)
    assert counterpart.Counterpart(world).push_reports([silent]) is None
    world.queue = [silent, claim("other")]
    assert [row["msgId"] for row in ask(world, "/msg/pull/report", count="100")["result"]] == ["other"]
    world.turns[PHONE] = Turned(reason=Reason.BLACKLISTED)
    send(world, report="false")
    assert not world.pushed


@pytest.mark.parametrize(
    "reason, wanted", [(Reason.SENSITIVE_CONTENT, "105"), (Reason.BALANCE, "109"), (Reason.ROUTING, "104")]
)
def test_the_worlds_refusals_have_codes(reason: Reason, wanted: str) -> None:
    world = Late()
    world.turns[PHONE] = Turned(reason=reason)
    assert send(world)["code"] == wanted


def test_a_number_on_a_list_is_taken_and_reported_in_words_of_the_vendor() -> None:
    world = Late()
    world.turns[PHONE] = Turned(reason=Reason.OPTED_OUT)
    assert send(world, uid="u1")["code"] == "0"
    (push,) = world.pushed
    (told,) = make("chuanglan").read_push(samples.raw_push(b"", method="GET", query=push.query)).reports
    assert (told.code, told.reason, told.reference) == ("MBBLACK", Reason.BLACKLISTED, "u1")


def test_caps_and_speed_are_kept_where_the_account_has_them() -> None:
    world = Late(per_minute="1", qps="3")
    assert [send(world)["code"] for _ in range(4)] == ["0", "120", "120", "103"]


def test_a_send_with_variables_counts_what_it_could_not_send() -> None:
    world = Late()
    fields = {"msg": "【测试签名】您的验证码是{$var}，请勿告诉他人。", "report": "true"}
    told = ask(world, "/msg/variable/json", **fields, params="13800138000,1;123,2;13900001234")
    assert (told["code"], told["successNum"], told["failNum"]) == ("0", "1", "2")
    assert ask(world, "/msg/variable/json", **fields, params="123,2")["code"] == "107"
    assert ask(world, "/msg/variable/json", **fields, params="")["code"] == "114"
    many = {**fields, "msg": "【测试签名】" + "{$var}" * 21}
    assert ask(world, "/msg/variable/json", **many, params="13800138000,1")["code"] == "114"


def test_queues_give_each_thing_once_and_say_no_in_words() -> None:
    world = Late()
    world.queue = [replace(claim("a"), reference="u1"), claim("b", state=DeliveryState.UNDELIVERED, code="MK:0001")]
    rows = ask(world, "/msg/pull/report", count="100")["result"]
    assert [(row["msgId"], row["status"], row["uid"]) for row in rows] == [
        ("a", "DELIVRD", "u1"), ("b", "MK:0001", "ours-1"),
    ]  # fmt: skip
    world.answers = [REPLY]
    (row,) = ask(world, "/msg/pull/mo", count="20")["result"]
    assert (row["messageContent"], row["moTime"]) == ("退订", "2401151630")
    assert ask(world, "/msg/pull/mo")["result"] == []
    assert ask(world, "/msg/pull/mo", count="500") == {"ret": 1, "error": "请求参数错误"}
    assert ask(world, "/msg/pull/mo", password="x") == {"ret": 1, "error": "密码错"}


def test_the_balance_is_a_text_with_a_code_that_is_a_number() -> None:
    told = ask(Late(), "/msg/balance/json")
    assert (told["balance"], told["code"]) == ("999", 0)


@pytest.mark.parametrize("kind", ["get", "json"])
@pytest.mark.parametrize(
    "number, carrier", [("+8613800138000", "中国移动"), ("+8613300001234", "中国电信"), ("+8613000001234", "中国联通")]
)
def test_a_report_is_read_whichever_way_it_is_pushed(kind: str, number: str, carrier: str) -> None:
    world = Late(push=kind)
    push = counterpart.Counterpart(world).push_reports([replace(claim("17"), number=number)])
    assert (push.method, push.retry) == (("GET", None) if kind == "get" else ("POST", (timedelta(minutes=1),) * 2))
    got = samples.raw_push(push.body, method=push.method, query=push.query)
    read = make("chuanglan").read_push(got)
    (told,) = read.reports
    assert read.authenticated and (told.vendor_message_id, told.billed_segments, told.reference) == ("17", 2, "ours-1")
    assert told.detail == (carrier if kind == "json" else "短信发送成功")
    assert told.claimed_at == (claim("").claimed_at if kind == "json" else world.at)  # by GET in whole minutes


def test_a_long_reply_comes_in_parts_that_can_be_told_apart() -> None:
    mine = counterpart.Counterpart(Late())
    pushes = mine.push_reply(replace(REPLY, text="好" * 70))
    heads = [parse_qs(push.query)["emshead"][0] for push in pushes]
    assert heads == ["9,2,1", "9,2,2"]
    (short,) = mine.push_reply(REPLY)
    (told,) = make("chuanglan").read_push(samples.raw_push(b"", method="GET", query=short.query)).inbound
    assert (told.text, told.to, told.vendor_message_id) == ("退订", "106900008888", "")
    (empty,) = mine.push_reply(replace(REPLY, text=""))
    assert make("chuanglan").read_push(samples.raw_push(b"", method="GET", query=empty.query)).inbound[0].text == ""
    assert mine.push_decision(None) is None
    assert mine.acknowledged(200, b"") and not mine.acknowledged(500, b"")


def test_a_list_and_a_carriers_silence_are_told_in_reports() -> None:
    mine = counterpart.Counterpart(Late())
    for change, wanted in ((Reason.BLACKLISTED, "MBBLACK"), (Reason.CARRIER_FAULT, "UNKNOWN")):
        undone = replace(claim("1", state=DeliveryState.UNDELIVERED, code=""), reason=change)
        assert f"&status={wanted}&" in mine.push_reports([undone]).query


def test_texts_that_have_only_their_signature_in_common_are_one_variable_behind_it() -> None:
    request = play(make("chuanglan").submit_bulk(CALLS["submit_bulk"]["messages"])).request
    told = json.loads(request.content)
    assert told["msg"] == "【某某科技】{$var}"
    assert told["params"] == "13800001234,您的验证码是1234;13900001234,另一条"


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["1", "13800138000"]))
FIELDS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_anything_by_a_known_account_gets_an_answer_of_the_vendors(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(counterpart.ACTIONS)))
    keys = st.sampled_from([*SEND, "params", "count", "uid", "extend", "sendtime"])
    drawn = data.draw(st.dictionaries(keys, FIELDS, max_size=6))
    told = ask(Late(), path, **{**SEND, "params": "13800138000", **drawn})
    assert told.keys() & {"code", "ret"}
