"""What is Qiniu's own, beyond what holds for every vendor."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from harness.domain import DeliveryState, Purpose, Reason, ReviewDraft, ReviewVerdict, Subject
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors.samples import make, message
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import qiniu, signing
from vendors.sandbox.door import Reply, Turned
from vendors.sandbox.fate import claim_of
from vendors.sandbox.world import World


def _words(change: Any) -> Any:
    """The string to sign, changed."""
    return lambda *arguments, step=qiniu.string_to_sign: change(step(*arguments))


MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the HMAC's key and text change places", signing, "hmac_sha1",
     lambda key, data: hmac.new(data, key, hashlib.sha1).digest()),
    ("the HMAC is of another kind", signing, "hmac_sha1",
     lambda key, data: hmac.new(key, data, hashlib.sha256).digest()),
    ("always the plain alphabet", signing, "base64_url", signing.base64_text),
    ("never the plain alphabet", signing, "base64_text", signing.base64_url),
    ("the padding is cut off", signing, "base64_url",
     lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")),
    ("own headers are not signed", qiniu, "own_headers", lambda headers: ""),
    ("own headers in small letters", qiniu, "own_headers",
     lambda headers, step=qiniu.own_headers: step(headers).lower()),
    ("the body is not signed", qiniu, "signed_body", lambda kind, body: b""),
    ("another verb is signed", qiniu, "string_to_sign", _words(lambda words: words.replace(b"POST ", b"PUT "))),
    ("the host is not signed", qiniu, "string_to_sign",
     _words(lambda words: words.replace(b"\nHost: sms.qiniuapi.com", b""))),
    ("the content type is not signed", qiniu, "string_to_sign",
     _words(lambda words: words.replace(b"\nContent-Type: application/json", b""))),
    ("the blank line is missing", qiniu, "string_to_sign", _words(lambda words: words.replace(b"\n\n", b"\n"))),
    ("the query is not signed", qiniu, "string_to_sign",
     lambda method, target, *rest, step=qiniu.string_to_sign: step(method, target.partition("?")[0], *rest)),
]  # fmt: skip


# --- the signature ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own, wanted",
    [({"x-qiniu-date": "20240101T120000Z"}, "JqLh0yS7lkFnIM_tu-HgJcUpGew="), ({}, "oBTKwHYbsWrnMd-fSrPvmkjArCk=")],
)
def test_the_vectors_of_the_card_are_met(own: dict[str, str], wanted: str) -> None:
    body = b'{"template_id":"1","mobiles":["13800000000"],"parameters":{"code":"1234"}}'
    headers = {"host": "sms.qiniuapi.com", "content-type": "application/json", **own}
    assert qiniu.signature("sk", qiniu.string_to_sign("POST", "/v1/message", headers, body)) == wanted


def test_a_stream_and_a_body_without_its_type_are_not_signed() -> None:
    host = {"host": "h"}
    assert qiniu.string_to_sign("POST", "/", host, b"x") == b"POST /\nHost: h\n\n"
    stream = {**host, "content-type": "application/octet-stream"}
    assert qiniu.string_to_sign("POST", "/", stream, b"x").endswith(b"stream\n\n")


def test_the_host_is_signed_with_its_port() -> None:
    request = play(make("qiniu", {"endpoint": "http://127.0.0.1:8080"}).submit(message())).request
    assert request is not None and request.headers["host"] == "127.0.0.1:8080"
    headers = {name: request.headers[name] for name in ("host", "content-type", "x-qiniu-date")}
    words = qiniu.string_to_sign("POST", "/v1/message/single", headers, request.content)
    assert request.headers["authorization"] == f"Qiniu ak:{qiniu.signature('sk', words)}"


def test_a_message_without_a_template_is_not_sent() -> None:
    with pytest.raises(VendorTrouble, match="template") as raised:
        play(make("qiniu").submit(message({"template": None})))
    assert not raised.value.written


def test_the_signature_of_a_message_is_looked_up_by_its_text() -> None:
    talk = play(make("qiniu", {"options": {"signature_in_message": "1"}}).submit(message()))
    talk.answer(200, {"items": [{"id": "77", "signature": "某某科技", "audit_status": "passed"}], "total": 1})
    assert talk.request is not None and json.loads(talk.request.content)["signature_id"] == "77"


def test_signatures_are_looked_for_on_every_page() -> None:
    rows = [{"id": str(nth), "signature": f"n{nth}", "audit_status": "passed"} for nth in range(20)]
    talk = play(make("qiniu").query_signature("99"))
    talk.answer(200, {"items": rows, "total": 21})
    assert talk.request is not None and "page=2" in str(talk.request.url)
    talk.answer(200, {"items": [{"id": "99", "audit_status": "reviewing"}], "total": 21})
    assert talk.outcome is None


# --- the counterpart --------------------------------------------------------------------------------------------------

TEMPLATE = "1136198300000000001"


class Desk:
    """The counterpart, and ways to ask it with signatures made here."""

    def __init__(self, **options: str) -> None:
        self.world = World(truth_with("qiniu"), seed=3, epoch=EPOCH)
        self.account = self.world.accounts["niu"]
        self.account.options = {**self.account.options, **options}
        self.counterpart: Any = self.world.counterparts["niu"]
        self.number = next(one.number for one in self.world.people.values() if one.phone)
        self.world.file_template("niu", TEMPLATE, "验证码{code}，请勿告诉他人。", Purpose.VERIFICATION)
        self.world.file_template("niu", "M", "今日优惠{code}，拒收请回复R", Purpose.MARKETING)
        self.world.file_template("niu", "R", "旧{code}", Purpose.NOTIFICATION, approved=False)
        self.pushed: list[Any] = []
        self.account.on_push = lambda push, kind, after: self.pushed.append(json.loads(push.body)["items"][0])

    def ask(self, method: str, target: str, body: bytes = b"", **changes: str) -> httpx.Response:
        kind = "application/json" if method == "POST" else "application/x-www-form-urlencoded"
        headers = {"host": "niu.sandbox", "content-type": kind, "x-qiniu-date": f"{EPOCH:%Y%m%dT%H%M%SZ}", **changes}
        lines = f"{method} {target}\nHost: {headers['host']}\nContent-Type: {kind}\n"
        lines += f"X-Qiniu-Date: {headers['x-qiniu-date']}\n\n"
        mac = hmac.new(b"sandbox-niu-secret", lines.encode() + body, hashlib.sha1).digest()
        headers.setdefault("authorization", f"Qiniu sandbox-niu-key:{base64.urlsafe_b64encode(mac).decode()}")
        request = httpx.Request(method, f"https://niu.sandbox{target}", headers=headers, content=body)
        return self.counterpart.answer(request)

    def post(self, target: str, **fields: Any) -> httpx.Response:
        return self.ask("POST", target, json.dumps(fields).encode())

    def send(self, **changes: Any) -> httpx.Response:
        fields = {"template_id": TEMPLATE, "mobile": self.number[3:], "parameters": {"code": "1234"}, **changes}
        return self.post("/v1/message/single", **fields)


def test_the_counterpart_says_no_to_a_wrong_signature_and_to_a_wrong_date() -> None:
    desk = Desk()
    for changes in (
        {"authorization": "Qiniu sandbox-niu-key:x"},
        {"authorization": "Qiniu other:x"},
        {"authorization": ""},
        {"x-qiniu-date": "20260302T000000Z"},
        {"x-qiniu-date": "now"},
    ):
        reply = desk.ask("GET", "/v1/signature", **changes)
        assert (reply.status_code, reply.json()["error"]) == (401, "BadToken")
    assert Desk(stale="accepted").ask("GET", "/v1/signature", **{"x-qiniu-date": "20200101T000000Z"}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a":NaN}'])
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    assert Desk().ask("POST", "/v1/message", body).json()["error"] == "MalformedJSON"


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"template_id": "x"}, "NotFoundError"),
        ({"template_id": 1}, "InvalidQueryValue"),
        ({"template_id": "R"}, "InvalidQueryValue"),
        ({"signature_id": "1"}, "InvalidQueryValue"),
        ({"mobile": "1380000"}, "InvalidQueryValue"),
        ({"mobile": ""}, "InvalidQueryValue"),
        ({"parameters": {}}, "InvalidQueryValue"),
        ({"parameters": {"code": "http://x.example"}}, "InvalidQueryValue"),
        ({"parameters": {"code": ["1"]}}, "MalformedJSON"),
        ({"parameters": "1"}, "MalformedJSON"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused(changes: dict[str, Any], word: str) -> None:
    reply = Desk().send(**changes)
    assert reply.json()["error"] == word and reply.is_client_error


def test_a_bulk_has_one_job_for_all_its_numbers_and_its_records_name_it() -> None:
    desk = Desk()
    numbers = [one.number[3:] for one in desk.world.people.values() if one.phone][:2]
    job = desk.post("/v1/message", template_id=TEMPLATE, mobiles=numbers, parameters={"code": 1}).json()["job_id"]
    rows = desk.ask("GET", f"/v1/messages?job_id={job}").json()["items"]
    assert {row["mobile"] for row in rows} == set(numbers)
    (claim, _) = [claim_of(sending) for sending in desk.account.sendings]
    assert json.loads(desk.counterpart.push_reports([claim]).body)["items"][0]["job_id"] == job
    for mobiles in ([], "13800001234", ["x"]):
        reply = desk.post("/v1/message", template_id=TEMPLATE, mobiles=mobiles, parameters={"code": 1})
        assert reply.json()["error"] == "InvalidQueryValue"


def test_caps_are_told_in_reports_and_each_by_its_code() -> None:
    desk = Desk(per_number_per_day="4")
    for nth in range(4):
        assert desk.send(seq="s", parameters={"code": "1234" if nth < 3 else "9"}).status_code == 200
    assert desk.pushed == []
    desk.send(seq="s")
    desk.send(parameters={"code": "77"})
    desk.send(template_id="M")
    assert [(item["error"], item.get("seq")) for item in desk.pushed] == [("8", "s"), ("17", None), ("17", None)]
    other = Desk()
    other.send(template_id="M")
    other.send(template_id="M", parameters={"code": "2"})
    assert [item["error"] for item in other.pushed] == ["908"]
    free = Desk(caps="lifted")
    for _ in range(5):
        free.send()
    assert free.pushed == []


@pytest.mark.parametrize(
    "reason, word, code",
    [(Reason.BALANCE, "AccountBalanceNotEnough", None), (Reason.VENDOR_FAULT, "ServerInternalError", None),
     (Reason.BLACKLISTED, None, "10"), (Reason.HOURS, None, "11")],
)  # fmt: skip
def test_the_worlds_refusals_have_a_word_or_come_in_a_report(
    reason: Reason, word: str | None, code: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.account, "submit", lambda submission: Turned(reason=reason))
    assert desk.send().json().get("error") == word
    assert [item["error"] for item in desk.pushed] == ([code] if code else [])


@pytest.mark.parametrize("fields", ["", "go"])
def test_records_are_asked_by_number_state_and_page(fields: str) -> None:
    desk = Desk(records=fields)
    for nth in range(3):
        desk.send(parameters={"code": str(nth)})
    every = desk.ask("GET", f"/v1/messages?mobile={desk.number[3:]}&page_size=2&page=2").json()
    assert len(every["items"]) == 1 and ("createat" in every["items"][0]) is (fields == "go")
    assert desk.ask("GET", "/v1/messages?status=failed&type=verification").json()["items"] == []
    for bad in ("page=0", "page_size=201", "start=x", "mobile=1"):
        assert desk.ask("GET", f"/v1/messages?{bad}").json()["error"] == "InvalidQueryValue"
    assert desk.ask("GET", "/v1/nothing").json()["error"] == "NotFoundError"


def test_reviews_are_refused_for_what_is_wrong_with_them() -> None:
    desk = Desk()
    app = {"signature": "新签名", "source": "app"}
    for wrong in ({"signature": "一二三四五六七八九"}, {"source": "x"}, {"signature": ""}):
        assert desk.post("/v1/signature", **{**app, **wrong}).json()["error"] == "InvalidQueryValue"
    own = desk.post("/v1/signature", **app).json()["signature_id"]
    filed = desk.ask("GET", "/v1/signature?audit_status=passed").json()["items"][0]["id"]
    draft = {"name": "n", "template": "码${code}", "type": "verification", "description": "d", "signature_id": filed}
    for wrong in ({"type": "x"}, {"signature_id": "0"}, {"signature_id": own}, {"description": ""}):
        assert desk.post("/v1/template", **{**draft, **wrong}).json()["error"] == "InvalidQueryValue"
    template = desk.post("/v1/template", **draft).json()["template_id"]
    rows = desk.ask("GET", "/v1/template?audit_status=reviewing").json()["items"]
    assert [(row["id"], row["template"], row["signature_text"]) for row in rows] == [
        (template, "码${code}", "某某科技")
    ]
    assert desk.ask("GET", "/v1/template?page=x").json()["error"] == "InvalidQueryValue"
    assert desk.send(template_id=template).json()["error"] == "InvalidQueryValue"


def test_a_template_that_is_bound_goes_out_with_its_signature_and_no_other() -> None:
    desk = Desk()
    filed = desk.ask("GET", "/v1/signature").json()["items"][0]["id"]
    draft = {"name": "n", "template": "码${code}", "type": "verification", "description": "d", "signature_id": filed}
    template = desk.post("/v1/template", **draft).json()["template_id"]
    review = desk.account._reviews[-1]
    desk.account._reviews[-1] = replace(review, verdict=ReviewVerdict.APPROVED, decided_at=EPOCH)
    assert desk.send(template_id=template).json()["message_id"]
    assert desk.account.sendings[-1].text == "【某某科技】码1234"
    assert desk.send(signature_id=filed).json()["message_id"]
    assert desk.account.sendings[-1].text == "【某某科技】验证码1234，请勿告诉他人。"


def test_failures_keep_the_carriers_code_and_replies_their_own_code() -> None:
    desk = Desk()
    desk.send(seq="s1")
    claim = claim_of(desk.account.sendings[0])
    failed = replace(claim, state=DeliveryState.UNDELIVERED, code="MK:0001")
    (item,) = json.loads(desk.counterpart.push_reports([failed]).body)["items"]
    assert (item["status"], item["error"], item["seq"]) == ("FAILED", "MK:0001", "s1")
    reply = Reply(id=1, number=desk.number, to="106910880088", extension="", text="TD", sent_at=EPOCH, signature="")
    (item,) = json.loads(desk.counterpart.push_reply(reply).body)["items"]
    assert (item["content"], item["dest_code"]) == ("TD", "106910880088")


def test_a_signature_is_told_by_adapter_and_counterpart_alike() -> None:
    desk, vendor = Desk(), make("qiniu", {"options": {"signature_id": "5"}})
    draft = ReviewDraft(subject=Subject.TEMPLATE, name="n", text="码{a}和{b}", purpose=Purpose.MARKETING, remark="r")
    request = play(vendor.submit_template(draft)).request
    assert request is not None
    assert json.loads(request.content) == {
        "name": "n", "template": "码${a}和${b}", "type": "marketing", "description": "r", "signature_id": "5",
    }  # fmt: skip
    assert desk.ask("GET", "/v1/signature").json()["items"][0]["signature"] == "某某科技"
