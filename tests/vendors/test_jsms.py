"""What is JSMS's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import PushRefused
from harness.domain import DeliveryState, Reason, ReviewVerdict
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import make, message
from tests.vendors.test_counterparts import ADVERT, CODE, NOTICE, REPLY, World, claim
from vendors import jsms, signing
from vendors.sandbox import jsms as counterpart
from vendors.sandbox.door import Turned

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("key and secret change places", jsms, "basic", lambda key, secret, step=jsms.basic: step(secret, key)),
    ("the secret alone", jsms, "basic", lambda key, secret: f"Basic {base64.b64encode(secret.encode()).decode()}"),
    ("hex instead of Base64", signing, "base64_text", bytes.hex),
    ("push: the secret is left out", jsms, "signed_words",
     lambda key, secret, nonce, when, step=jsms.signed_words: step(key, "", nonce, when)),
    ("push: the key is left out", jsms, "signed_words",
     lambda key, secret, nonce, when, step=jsms.signed_words: step("", secret, nonce, when)),
    ("push: nonce and time change places", jsms, "signed_words",
     lambda key, secret, nonce, when, step=jsms.signed_words: step(key, secret, when, nonce)),
    ("push: values without their names", jsms, "signed_words", lambda *values: "".join(values)),
    ("push: names in small letters", jsms, "signed_words",
     lambda *values, step=jsms.signed_words: step(*values).replace("appKey", "appkey")),
    ("push: the time in seconds", jsms, "signed_words",
     lambda key, secret, nonce, when, step=jsms.signed_words: step(key, secret, nonce, when[:-3])),
    ("push: the digest is of another kind", signing, "sha1_hex", signing.md5_hex),
    ("push: the digest in capitals", signing, "sha1_hex", lambda data: hashlib.sha1(data).hexdigest().upper()),
    ("push: every digest matches", signing, "matches", lambda expected, given: True),
]  # fmt: skip


# --- the adapter ------------------------------------------------------------------------------------------------------


def pushed(kind: str, data: Any, nonce: str = "1", when: int = 1_700_000_000_000, secret: str = "ms") -> Any:
    words = f"appKey=ak&appMasterSecret={secret}&nonce={nonce}&timestamp={when}"
    fields = {"nonce": nonce, "timestamp": when, "signature": hashlib.sha1(words.encode()).hexdigest()}
    body = urlencode({**fields, "type": kind, "data": data if isinstance(data, str) else json.dumps(data)})
    return make("jsms").read_push(samples.raw_push(body.encode(), now=datetime.fromtimestamp(when / 1000, UTC)))


@settings(max_examples=80, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40), nonce=st.integers(-(2**63), 2**63 - 1))
def test_any_text_of_a_proven_reply_is_read_and_its_nonce_counts_once(text: str, nonce: int) -> None:
    push = pushed("SMS_REPLY", {"phone": "13800001234", "replyTime": 1, "content": text}, str(nonce))
    assert [reply.text for reply in push.inbound] == [text]
    assert (push.authenticated, push.once) == (True, str(nonce))


@settings(max_examples=40, deadline=None)
@given(secret=st.text("abcdef0123456789", max_size=24))
def test_a_push_proven_with_another_secret_is_refused(secret: str) -> None:
    with pytest.raises(PushRefused, match="signature"):
        pushed("SMS_REPLY", {"phone": "13800001234", "content": "T"}, secret=f"x{secret}")


def test_good_items_count_although_others_cannot_be_read() -> None:
    row = {"msgId": "1", "phone": "13800001234", "receiveTime": 1, "status": 4001}
    push = pushed("SMS_REPORT", [17, {"hello": 1}, row])
    assert ([report.vendor_message_id for report in push.reports], push.unread) == (["1"], 2)


@pytest.mark.parametrize("template", [None, "SMS_1", "", "1.5", "9" * 19])
def test_without_a_numbered_template_nothing_is_sent(template: str | None) -> None:
    for flow in (make("jsms").submit, lambda one: make("jsms").submit_bulk([one, one])):
        with pytest.raises(VendorTrouble) as raised:
            play(flow(message({"template": template})))
        assert not raised.value.written


def test_a_bulk_has_one_template_at_most_a_thousand_numbers_and_may_be_empty() -> None:
    for messages in ([message(), message({"template": "101"})], [message()] * 1001):
        with pytest.raises(VendorTrouble) as raised:
            play(make("jsms").submit_bulk(messages))
        assert not raised.value.written
    assert play(make("jsms").submit_bulk([])).outcome == ()


def test_a_full_page_of_reports_is_followed_by_a_further_question() -> None:
    row = {"msgId": "1", "phone": "13800001234", "receiveTime": 1, "status": 4001}
    talk = play(make("jsms").pull_reports()).answer(200, [row] * 500)
    assert not talk.is_over
    assert len(talk.answer(200, [row]).outcome) == 501


@pytest.mark.parametrize("status, reply", [(200, {}), (200, []), (500, []), (403, {"error": "x"})])
def test_a_question_without_a_readable_answer_is_trouble(status: int, reply: Any) -> None:
    with pytest.raises(Unintelligible):
        play(make("jsms").balance()).answer(status, reply)


# --- the counterpart --------------------------------------------------------------------------------------------------


class Late(World):
    """A world whose templates have numbers, and which keeps what is pushed of the vendor's own accord."""

    def __init__(self, credentials: Any = None, **options: str) -> None:
        super().__init__(credentials or {"app_key": "ak", "master_secret": "ms"}, **{"url_check": "none", **options})
        self.templates = {
            "1": replace(CODE, id="1"),
            "2": replace(NOTICE, id="2"),
            "3": replace(ADVERT, id="3"),
            "4": replace(CODE, id="4", approved=False),
        }
        self.pushed: list[Any] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        self.pushed.append(push)


def request_of(method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Request:
    told = {"authorization": "Basic YWs6bXM=", "content-type": "application/json", **headers}
    return httpx.Request(
        method,
        f"https://api.sms.jpush.cn{path}",
        headers={name.replace("_", "-"): value for name, value in told.items() if value},
        content=content,
    )


def ask(world: World, path: str, fields: Any = None, method: str = "", **headers: str) -> Any:
    content = b"" if fields is None else json.dumps(fields).encode()
    method = method or ("GET" if fields is None else "POST")
    reply = counterpart.Counterpart(world).answer(request_of(method, path, content, **headers))
    body = reply.json()
    if isinstance(body, dict) and "error" in body:
        assert reply.status_code == counterpart.ERRORS[body["error"]["code"]][0]
        return body["error"]["code"]
    assert reply.status_code == 200
    return body


SENT = {"mobile": "13800138000", "temp_id": 1, "temp_para": {"code": "1234"}}


def test_a_message_goes_by_its_template_with_the_default_signature_or_another() -> None:
    world = Late()
    assert ask(world, "/v1/messages", SENT) == {"msg_id": "288193860303"}
    assert world.taken[0].text == "【测试签名】您的验证码是1234，请勿告诉他人。"
    assert ask(world, "/v1/messages", {**SENT, "sign_id": 3}, content_type="") == {"msg_id": "288193860304"}
    assert world.taken[1].text.startswith("【腾讯云】")
    assert ask(world, "/v1/messages", {**SENT, "sign_id": 2}) == 50102
    world.signatures = {}
    assert ask(world, "/v1/messages", SENT) == 50046


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"mobile": ""}, 50004),
        ({"mobile": "123"}, 50006),
        ({"temp_id": None}, 50005),
        ({"temp_id": "1"}, 50013),
        ({"temp_id": True}, 50013),
        ({"temp_id": 99}, 50013),
        ({"temp_id": 4}, 50021),
        ({"temp_para": None}, 50022),
        ({"temp_para": []}, 50044),
        ({"temp_para": {"code": 1234}}, 50044),
    ],
)
def test_whatever_is_wrong_with_a_message_has_its_code(changes: Any, code: int) -> None:
    assert ask(Late(), "/v1/messages", {**SENT, **changes}) == code


def test_requests_that_are_none_have_their_codes() -> None:
    world = Late()
    assert ask(world, "/v1/messages", SENT, authorization="") == 50001
    assert ask(world, "/v1/messages", SENT, authorization="Basic YWs6bXQ=") == 50002
    assert ask(world, "/v1/nothing", SENT) == 50016
    assert ask(world, "/v1/messages") == 50018
    assert ask(world, "/v1/messages", method="POST") == 50003
    assert ask(world, "/v1/messages", SENT, content_type="text/xml") == 50017
    assert ask(world, "/v1/sign", SENT) == 50017
    assert ask(world, "/v1/messages", [1]) == 50007
    garbled = counterpart.Counterpart(world).answer(request_of("POST", "/v1/messages", b"{"))
    assert garbled.json()["error"]["code"] == 50007


def test_a_number_takes_as_many_messages_as_the_account_says() -> None:
    world = Late(per_minute="1", per_day="2")
    assert [ask(world, "/v1/messages", SENT) for _ in range(2)][1] == 50009
    world.at += timedelta(minutes=2)
    assert "msg_id" in ask(world, "/v1/messages", SENT)
    world.at += timedelta(minutes=2)
    assert ask(world, "/v1/messages", SENT) == 50009
    assert "msg_id" in ask(Late(per_minute="0", caps="lifted"), "/v1/messages", SENT)


def test_a_code_is_made_by_the_vendor_and_checked_once() -> None:
    world = Late(codes="own")
    assert ask(world, "/v1/messages", SENT) == 50025
    own = ask(world, "/v1/codes", {"mobile": "13800138000", "temp_id": 1})["msg_id"]
    (code,) = [part for part in re.findall(r"[0-9]+", world.taken[0].text) if len(part) == 6]
    assert ask(world, f"/v1/codes/{own}/valid", {"code": "x"}) == 50010
    assert ask(world, f"/v1/codes/{own}/valid", {"a": 1}) == 50015
    assert ask(world, f"/v1/codes/{own}/valid", {"code": code}) == {"is_valid": True}
    assert ask(world, f"/v1/codes/{own}/valid", {"code": code}) == 50012
    assert ask(world, "/v1/codes/1/valid", {"code": code}) == 50026
    assert ask(world, "/v1/codes", {"mobile": "13800138000", "temp_id": 2}) == 50025


@pytest.mark.parametrize("failures", ["", "apart"])
def test_a_bulk_tells_of_every_number_and_the_adapter_reads_both_ways_of_it(failures: str) -> None:
    world = Late(failures=failures)
    messages = [
        message({"number": number, "template": "1", "parameters": {"code": code}})
        for number, code in (("+8613800138000", "1"), ("+8613900000001", "2"), ("+85200001234", "3"))
    ]
    world.turns["+8613900000001"] = Turned(reason=Reason.OPTED_OUT)
    talk = play(make("jsms").submit_bulk(messages))
    reply = counterpart.Counterpart(world).answer(talk.request)
    first, second, third = talk.answer(200, content=reply.content).outcome
    assert first.vendor_message_id == "288193860303"
    assert [one.code for one in (second, third)] == ["50024", "50006"]
    assert (len(world.taken), reply.json()["failure_count"]) == (1, 2)


def test_a_bulk_needs_recipients_and_not_too_many() -> None:
    assert ask(Late(), "/v1/messages/batch", {"temp_id": 1}) == 50030
    assert ask(Late(), "/v1/messages/batch", {"temp_id": 1, "recipients": [{}] * 1001}) == 50031
    told = ask(Late(), "/v1/messages/batch", {"temp_id": 1, "recipients": [17]})
    assert told["recipients"][0]["error_code"] == "50004"


@pytest.mark.parametrize("reason, code", [(Reason.BALANCE, 50014), (Reason.VENDOR_FAULT, 50019)])
def test_what_the_world_refuses_has_the_vendors_code(reason: Reason, code: int) -> None:
    world = Late()
    world.turns["+8613800138000"] = Turned(reason=reason)
    assert ask(world, "/v1/messages", SENT) == code


def test_what_has_no_code_at_once_is_told_in_a_report() -> None:
    world = Late()
    for reason, status in ((Reason.BLACKLISTED, "4002"), (Reason.ROUTING, "4100")):
        world.turns["+8613800138000"] = Turned(reason=reason)
        own = ask(world, "/v1/messages", SENT)["msg_id"]
        push = make("jsms").read_push(samples.raw_push(world.pushed[-1].body, now=world.at))
        assert [(one.vendor_message_id, one.code) for one in push.reports] == [(own, status)]


def test_claims_replies_and_decisions_are_pushed_as_the_adapter_reads_them() -> None:
    world = Late()
    vendor, side = make("jsms"), counterpart.Counterpart(world)
    claims = [claim("1"), claim("2", state=DeliveryState.UNDELIVERED)]
    pushes = [*side.push_reports(claims), side.push_reply(REPLY)]
    read = [vendor.read_push(samples.raw_push(push.body, now=world.at)) for push in pushes]
    assert [report.code for push in read for report in push.reports] == ["4001", "4003"]
    assert [reply.text for push in read for reply in push.inbound] == [REPLY.text]
    assert len({push.once for push in read}) == 3
    own = ask(world, "/v1/templates", {"template": "订单{{order}}已发货", "type": 2})["temp_id"]
    assert side.push_decision(world.open[0]) is None
    push = side.push_decision(world.decide(1, ReviewVerdict.REJECTED, "缺少说明"))
    (decision,) = vendor.read_push(samples.raw_push(push.body, now=world.at)).decisions
    assert (decision.ticket, decision.verdict, decision.reason) == (str(own), ReviewVerdict.REJECTED, "缺少说明")


def test_a_template_handed_in_can_be_sent_when_it_has_passed() -> None:
    world = Late()
    own = ask(world, "/v1/templates", {"template": "码{{code}}有效", "type": 1, "ttl": 60, "remark": "r"})["temp_id"]
    sent = {**SENT, "temp_id": own}
    assert ask(world, "/v1/messages", sent) == 50020
    world.decide(1, ReviewVerdict.REJECTED)
    assert ask(world, "/v1/messages", sent) == 50021
    world.decide(1, ReviewVerdict.APPROVED)
    assert "msg_id" in ask(world, "/v1/messages", sent)
    assert ask(world, f"/v1/templates/{own}")["status"] == 1
    assert ask(world, "/v1/templates/1") == 50013


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"template": ""}, 50042),
        ({"type": 4}, 50025),
        ({"template": "长" * 351}, 50043),
        ({"template": "【签】x"}, 50052),
        ({"template": "{{验证}}"}, 50044),
        ({"template": "{{code}}{{more}}", "type": 1, "ttl": 1}, 50044),
        ({"template": "{{code}}", "type": 1}, 50041),
        ({"remark": "x" * 501}, 50045),
        ({"template": "博彩"}, 50037),
    ],
)
def test_whatever_is_wrong_with_a_template_has_its_code(changes: Any, code: int) -> None:
    world = Late()
    world.blocked_words = lambda text: ("博彩",) if "博彩" in text else ()  # type: ignore[method-assign]
    assert ask(world, "/v1/templates", {"template": "订单", "type": 2, **changes}) == code


def hand_in(world: World, text: str, options: Any = None, remark: str = "") -> Any:
    draft = samples.draft({"subject": "signature", "name": "n", "text": text, "purpose": "verification"})
    talk = play(make("jsms", {"options": options or {}}).submit_signature(replace(draft, remark=remark)))
    reply = counterpart.Counterpart(world).answer(talk.request)
    return talk.answer(reply.status_code, content=reply.content).outcome


def test_one_signature_is_reviewed_at_a_time() -> None:
    world = Late()
    assert hand_in(world, "某某科技", remark="登录").id == "37583"
    assert hand_in(world, "别的科技").code == "50103"
    world.options = {**world.options, "signatures": "many"}
    assert hand_in(world, "别的科技").id == "37584"
    assert hand_in(world, "x").code == "50104"
    assert hand_in(world, "某某", {"signature_type": "9"}).code == "50007"
    assert hand_in(world, "某某", remark="x" * 501).code == "50045"
    world.decide(1, ReviewVerdict.APPROVED)
    assert ask(world, "/v1/sign/37583")["is_default"] == 1
    assert ask(world, "/v1/sign/1")["sign"] == "测试签名"
    assert ask(world, "/v1/sign/9") == 50102


def test_a_form_that_is_none_holds_no_signature() -> None:
    for content in (b"x", b"--b\r\n\r\nx\r\n--b--", b"\xff" * 9):
        reply = counterpart.Counterpart(Late()).answer(
            request_of("POST", "/v1/sign", content, content_type="multipart/form-data; boundary=b")
        )
        assert reply.json()["error"]["code"] == 50104


def test_queues_are_asked_once_in_five_seconds() -> None:
    world = Late()
    world.queue, world.answers = [claim("1")], [REPLY]
    assert ask(world, "/v1/report")[0]["status"] == 4001
    assert ask(world, "/v1/reply")[0]["content"] == REPLY.text
    assert ask(world, "/v1/report") == 50009
    world.at += timedelta(seconds=5)
    assert ask(world, "/v1/report") == []


def test_the_url_is_checked_once_and_the_adapter_echoes_the_word() -> None:
    world = Late(url_check="yes")
    for _ in range(2):
        ask(world, "/v1/accounts/app")
    (check,) = world.pushed
    request = samples.raw_push(check.body, method=check.method, query=check.query)
    echoed = make("jsms").read_push(request).acknowledgement
    assert check.query == f"echostr={echoed.body.decode()}" and len(echoed.body) == 8
    assert counterpart.Counterpart(world).acknowledged(echoed.status, echoed.body)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST"]),
    path=st.sampled_from(
        ["/v1/messages", "/v1/messages/batch", "/v1/codes", "/v1/codes/1/valid", "/v1/templates", "/v1/sign", "/v1/x"]
    ),
    kind=st.sampled_from(["application/json", "multipart/form-data; boundary=b", "multipart/form-data", "x"]),
    content=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["mobile", "temp_id", "temp_para", "recipients", "sign_id", "template", "type",
                                     "ttl", "remark", "code"]), inner, max_size=6),
            ),
            max_leaves=12,
        ).map(lambda tree: json.dumps(tree).encode()),
    ),
)  # fmt: skip
def test_any_request_gets_the_vendors_answer(method: str, path: str, kind: str, content: bytes) -> None:
    reply = counterpart.Counterpart(Late()).answer(request_of(method, path, content, content_type=kind))
    body = reply.json()
    assert reply.status_code == 200 or body["error"]["code"] in counterpart.ERRORS
