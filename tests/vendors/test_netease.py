"""What is NetEase's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import PushRefused
from harness.domain import Accepted, DeliveryState, Purpose, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import make, message
from tests.vendors.test_counterparts import ADVERT, CODE, NOTICE, PHONE, REPLY, World, claim
from vendors import netease, signing
from vendors.sandbox import netease as counterpart
from vendors.sandbox.door import Turned

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the time is in milliseconds", netease, "current", lambda moment: str(int(moment.timestamp() * 1000))),
    ("the secret is left out", netease, "checksum",
     lambda secret, word, when, step=netease.checksum: step("", word, when)),
    ("nonce and time change places", netease, "checksum",
     lambda secret, word, when, step=netease.checksum: step(secret, when, word)),
    ("the secret stands last", netease, "checksum",
     lambda secret, word, when, step=netease.checksum: step(word, when, secret)),
    ("the digest in capitals", signing, "sha1_hex", lambda data: hashlib.sha1(data).hexdigest().upper()),
    ("the digest is of another kind", signing, "sha1_hex", signing.md5_hex),
    ("push: the body's digest is a SHA1", netease, "body_digest", lambda body: hashlib.sha1(body).hexdigest()),
    ("push: the body's digest does not count", netease, "body_digest",
     lambda body: type("Any", (str,), {"encode": lambda self: b""})()),
    ("push: every digest matches", signing, "matches", lambda expected, given: True),
]  # fmt: skip


# --- the adapter ------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    values=st.dictionaries(st.sampled_from(["order", "day"]), st.text(st.characters(codec="utf-8"), max_size=20)),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    seconds=st.integers(10**9, 4 * 10**9),
    form=st.sampled_from(["map", "list"]),
)
def test_the_counterpart_takes_what_the_adapter_signs_and_sends_what_was_meant(
    values: dict[str, str], secret: str, seconds: int, form: str
) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    case = {"now": moment.isoformat(), "secret": secret, "options": {"parameters": form}}
    world = Late({"app_key": "app-key-0001", "app_secret": secret})
    world.at = moment
    whole = {"order": "", "day": "", **values}
    sent = message({"template": "2", "parameters": whole, "purpose": Purpose.NOTIFICATION})
    talk = play(make("netease", case).submit(sent))
    reply = counterpart.Counterpart(world).answer(talk.request)
    assert isinstance(talk.answer(200, content=reply.content).outcome, Accepted)
    assert world.taken[0].text == f"【测试签名】订单{whole['order']}已发货，{whole['day']}送达。"


def test_a_message_without_a_template_and_a_code_with_more_than_itself_are_not_sent() -> None:
    older = {"options": {"parameters": "list"}}
    for case, changes in ((None, {"template": None}), (older, {"parameters": {"code": "1", "more": "2"}})):
        with pytest.raises(VendorTrouble) as raised:
            play(make("netease", case).submit(message(changes)))
        assert not raised.value.written


def test_the_counterpart_takes_the_vector_of_the_card() -> None:
    case = samples.load("netease", "submit")[0]
    world = Late({"app_key": "app-key-0001", "app_secret": "secret"})
    world.at = datetime.fromtimestamp(1700000000, UTC)
    told = counterpart.Counterpart(world).answer(samples.start("netease", case).request).json()
    assert told["code"] == 404  # past the checksum: this world has no such template


# --- the counterpart --------------------------------------------------------------------------------------------------


class Late(World):
    """A world whose templates have numbers, and which keeps what is pushed of the vendor's own accord."""

    def __init__(self, credentials: Any = None, **options: str) -> None:
        super().__init__(credentials or {"app_key": "k", "app_secret": "s"}, **options)
        self.templates = {
            "1": replace(CODE, id="1"),
            "2": replace(NOTICE, id="2"),
            "3": replace(ADVERT, id="3"),
            "4": replace(CODE, id="4", approved=False),
        }
        self.pushed: list[Any] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        assert kind == "reports"
        self.pushed.append(push)


def request_of(world: World, function: str, fields: Any, method: str = "POST", **changes: str) -> httpx.Request:
    when, nonce = changes.get("when", str(int(world.at.timestamp()))), changes.get("nonce", "n1")
    words = f"{changes.get('secret', 's')}{nonce}{when}"
    headers = {
        "content-type": changes.get("kind", "application/x-www-form-urlencoded;charset=utf-8"),
        "AppKey": changes.get("key", "k"),
        "Nonce": nonce,
        "CurTime": when,
        "CheckSum": changes.get("checksum", hashlib.sha1(words.encode()).hexdigest()),
    }
    url = f"https://h.example/sms/{function}.action"
    return httpx.Request(method, url, headers=headers, content=urlencode(fields).encode())


def ask(world: World, function: str, **fields: Any) -> Any:
    reply = counterpart.Counterpart(world).answer(request_of(world, function, fields))
    assert reply.status_code == 200
    return reply.json()


CODE_FIELDS = {"mobile": "13800138000", "templateid": "1", "paramMap": '{"code":"1234"}'}
NOTICE_FIELDS = {"mobiles": '["13800138000"]', "templateid": "2", "paramMap": '{"order":"A","day":"今天"}'}


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "x"},
        {"key": "x"},
        {"nonce": "n" * 129},
        {"nonce": ""},
        {"when": "now"},
        {"when": "1"},
        {"checksum": hashlib.sha1(b"sn11705307400").hexdigest().upper()},
    ],
)
def test_whatever_is_wrong_with_the_headers_is_said_in_the_same_words(changes: dict[str, str]) -> None:
    world = Late()
    reply = counterpart.Counterpart(world).answer(request_of(world, "sendcode", CODE_FIELDS, **changes))
    assert (reply.status_code, reply.json()) == (200, {"desc": "bad http header", "code": 414})


def test_an_old_stamp_is_taken_where_the_account_says_so() -> None:
    world = Late(stale="accepted")
    assert (
        counterpart.Counterpart(world).answer(request_of(world, "sendcode", CODE_FIELDS, when="1")).json()["code"]
        == 200
    )


def test_functions_that_are_none_and_bodies_that_are_no_forms_are_refused() -> None:
    world = Late()
    assert ask(world, "sendnothing")["code"] == 404
    assert counterpart.Counterpart(world).answer(request_of(world, "sendcode", {}, "GET")).json()["code"] == 404
    wrong = request_of(world, "sendcode", CODE_FIELDS, kind="application/json")
    assert counterpart.Counterpart(world).answer(wrong).json()["code"] == 400


def test_a_code_is_ours_or_made_by_the_vendor_and_can_be_checked() -> None:
    world = Late()
    assert ask(world, "sendcode", **CODE_FIELDS) == {"code": 200, "msg": "1491", "obj": "1234"}
    assert world.taken[0].text == "【测试签名】您的验证码是1234，请勿告诉他人。"
    made = ask(world, "sendcode", mobile="13800138000", templateid="1", codeLen="6")
    assert len(made["obj"]) == 6 and made["obj"] in world.taken[1].text
    assert ask(world, "verifycode", mobile="13800138000", code=made["obj"])["code"] == 200
    assert ask(world, "verifycode", mobile="13800138000", code="0")["code"] == 413
    assert ask(world, "verifycode", mobile="13800138000")["code"] == 413
    assert ask(world, "sendcode", mobile="13800138000", templateid="1", authCode="77")["obj"] == "77"


def test_a_send_by_template_has_one_id_for_all_and_its_state_can_be_asked_again_and_again() -> None:
    world = Late()
    told = ask(world, "sendtemplate", **{**NOTICE_FIELDS, "mobiles": '["13800138000","+8613900001234"]'})
    assert told == {"code": 200, "msg": "sendid", "obj": 1491}
    assert [one.key for one in world.taken] == ["1491"] * 2
    for _ in range(2):
        rows = ask(world, "querystatus", sendid="1491")["obj"]
        assert [(row["status"], row["mobile"]) for row in rows] == [(1, "13800138000"), (1, "13900001234")]
    assert ask(world, "querystatus", sendid="1")["code"] == 414


@pytest.mark.parametrize(
    "function, changes, wanted",
    [
        ("sendcode", {"templateid": "2"}, 404),
        ("sendtemplate", {"templateid": "1"}, 404),
        ("sendcode", {"templateid": "4"}, 404),
        ("sendcode", {"templateid": "x"}, 414),
        ("sendcode", {"mobile": "123"}, 414),
        ("sendcode", {"mobile": "+1-5550001234"}, 416),
        ("sendcode", {"codeLen": "3"}, 414),
        ("sendcode", {"paramMap": "{"}, 414),
        ("sendcode", {"paramMap": '{"code":1}'}, 414),
        ("sendcode", {"paramMap": '{"other":"1"}'}, 414),
        ("sendtemplate", {"mobiles": "13800138000"}, 414),
        ("sendtemplate", {"mobiles": "["}, 414),
        ("sendtemplate", {"mobiles": "[13800138000]"}, 414),
        ("sendtemplate", {"mobiles": json.dumps(["13800138000"] * 101)}, 414),
        ("sendtemplate", {"params": '["a"]'}, 414),
        ("sendtemplate", {"params": "["}, 414),
        ("sendtemplate", {"params": '["a",1]'}, 414),
    ],
)
def test_what_is_wrong_with_a_send_has_its_code(function: str, changes: dict[str, str], wanted: int) -> None:
    fields = CODE_FIELDS if function == "sendcode" else NOTICE_FIELDS
    assert ask(Late(), function, **{**fields, **changes})["code"] == wanted


def test_without_a_signature_that_stands_nothing_is_sent() -> None:
    world = Late()
    world.signatures = {"未批签名": False}
    assert ask(world, "sendcode", **CODE_FIELDS)["code"] == 403


@pytest.mark.parametrize(
    "reason, wanted, state",
    [
        (Reason.SENSITIVE_CONTENT, 601, 3),
        (Reason.OPTED_OUT, 412, 2),
        (Reason.BALANCE, 403, 2),
        (Reason.ROUTING, 500, 2),
    ],
)
def test_the_worlds_refusals_have_codes_and_states(reason: Reason, wanted: int, state: int) -> None:
    world = Late()
    world.turns[PHONE] = Turned(reason=reason)
    assert ask(world, "sendtemplate", **NOTICE_FIELDS)["code"] == wanted
    assert ask(world, "querystatus", sendid="1491")["obj"][0]["status"] == state


def read(push: Any, world: World) -> Any:
    headers = {name.lower(): value for name, value in push.headers.items()}
    return make("netease", {"secret": "s"}).read_push(samples.raw_push(push.body, headers=headers, now=world.at))


def test_a_number_on_a_list_is_taken_and_reported() -> None:
    world = Late()
    world.turns[PHONE] = Turned(reason=Reason.BLACKLISTED)
    assert ask(world, "sendtemplate", **NOTICE_FIELDS)["code"] == 200
    (told,) = read(world.pushed[0], world).reports
    assert (told.vendor_message_id, told.code, told.reason) == ("1491", "MBBLACK", Reason.BLACKLISTED)


def test_caps_a_day_are_kept_and_more_where_the_account_has_them() -> None:
    world = Late()
    assert [ask(world, "sendcode", **CODE_FIELDS)["code"] for _ in range(26)] == [200] * 25 + [416]
    world.at += timedelta(days=1)
    assert ask(world, "sendcode", **CODE_FIELDS)["code"] == 200
    assert [ask(sooner, "sendcode", **CODE_FIELDS)["code"] for sooner in [Late(per_minute="1")] * 2] == [200, 416]


@pytest.mark.parametrize("options", [{}, {"event_type": "number"}, {"curtime": "milliseconds"}])
def test_reports_and_replies_are_read_however_they_are_written(options: dict[str, str]) -> None:
    world = Late(**options)
    mine = counterpart.Counterpart(world)
    claims = [
        replace(claim("1491"), template="2"),
        replace(claim("1492", state=DeliveryState.EXPIRED, code=""), template=None),
    ]
    reports = read(mine.push_reports(claims), world).reports
    assert [(one.vendor_message_id, one.code, one.billed_segments, one.detail) for one in reports] == [
        ("1491", "DELIVRD", 2, ""), ("1492", "UNDELIV", 2, "消息接收超时"),
    ]  # fmt: skip
    assert reports[0].claimed_at == claims[0].claimed_at
    push = mine.push_reply(REPLY)
    assert [one.text for one in read(push, world).inbound] == ["退订"]
    with pytest.raises(PushRefused):
        make("netease", {"secret": "other"}).read_push(
            samples.raw_push(push.body, headers={k.lower(): v for k, v in push.headers.items()}, now=world.at)
        )
    assert mine.push_reports([]) is None and mine.push_decision(None) is None
    assert mine.acknowledged(200, b"") and not mine.acknowledged(302, b"")


def test_an_older_application_gets_no_replies_unless_it_asks_for_them() -> None:
    world = Late()
    older = {"mobiles": '["15200001314"]', "templateid": "2", "params": '["A","今天"]'}
    for more, wanted in (({}, True), ({"needUp": "true"}, False)):
        ask(world, "sendtemplate", **older, **more)
        assert (counterpart.Counterpart(world).push_reply(REPLY) is None) is wanted


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_anything_well_signed_gets_an_answer_of_the_vendors(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(counterpart.ACTIONS)))
    keys = st.sampled_from([*CODE_FIELDS, *NOTICE_FIELDS, "params", "authCode", "codeLen", "code", "sendid", "needUp"])
    values = st.one_of(
        st.text(max_size=8), st.sampled_from(["1", "2", "null", "[]", "[[]]", "{}", '{"a":[]}', '["13800138000"]'])
    )
    drawn = data.draw(st.dictionaries(keys, values, max_size=6))
    function = path.removeprefix("/sms/").removesuffix(".action")
    assert isinstance(ask(Late(), function, **{**CODE_FIELDS, **drawn})["code"], int)
