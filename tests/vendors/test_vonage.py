"""What is Vonage's own, beyond what holds for every vendor."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, PushRefused, Tools
from harness.domain import DeliveryState, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import NOON, make, message
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import signing, vonage
from vendors.sandbox.door import Claim, PushOut, Reply, Turned
from vendors.sandbox.fate import claim_of
from vendors.sandbox.world import World

VECTOR = {
    "api_key": "abcd",
    "from": "AcmeInc",
    "text": "a=b&c",
    "timestamp": "1700000000",
    "to": "447700900000",
}

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("key and secret change places", vonage, "basic", lambda key, secret, step=vonage.basic: step(secret, key)),
    ("hex instead of Base64", signing, "base64_text", bytes.hex),
    ("values are not cleaned", vonage, "cleaned", lambda value: value),
    ("ampersands only are cleaned", vonage, "cleaned", lambda value: value.replace("&", "_")),
    ("fields are not sorted", vonage, "string_to_sign",
     lambda fields: "".join(f"&{name}={vonage.cleaned(fields[name])}" for name in fields if name != "sig")),
    ("the first ampersand is missing", vonage, "string_to_sign",
     lambda fields, step=vonage.string_to_sign: step(fields)[1:]),
    ("sig itself is signed", vonage, "string_to_sign",
     lambda fields: "".join(f"&{name}={vonage.cleaned(fields[name])}" for name in sorted(fields))),
    ("an HMAC in place of the plain MD5", vonage, "signature",
     lambda fields, secret, method, step=vonage.signature: step(fields, secret, method.removesuffix("hash"))),
    ("always the plain MD5", vonage, "signature",
     lambda fields, secret, method, step=vonage.signature: step(fields, secret, "md5hash")),
    ("the secret is left out", vonage, "signature",
     lambda fields, secret, method, step=vonage.signature: step(fields, "", method)),
    ("the HMAC's key and text change places", signing, "hmac_hex",
     lambda key, data, digest: hmac.new(data, key, digest).hexdigest()),
    ("MD5 is SHA-1", signing, "md5_hex", lambda data: hashlib.sha1(data).hexdigest()),
    ("every digest matches", signing, "matches", lambda expected, given: True),
]  # fmt: skip


# --- the signature ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, wanted",
    [
        ("md5hash", "8024499e7045c54ae6b055ba79f2ffaf"),
        ("sha256", "a599a47b1715d8ace628f80d984e57d9789d85b65353c6ab7d6e4b15b5b8caf4"),
    ],
)
def test_the_vectors_of_the_card_are_met(method: str, wanted: str) -> None:
    assert vonage.signature(VECTOR, "sec", method) == wanted
    assert vonage.signature({**VECTOR, "sig": "x"}, "sec", method) == wanted


@pytest.mark.parametrize(
    "options", [{"auth": "token"}, {"auth": "signature", "sig_method": "sha3"}], ids=["auth", "sig_method"]
)
def test_an_unknown_way_to_be_known_is_not_tried(options: dict[str, str]) -> None:
    with pytest.raises(VendorTrouble, match="option") as raised:
        play(make("vonage", {"options": options}).submit(message()))
    assert not raised.value.written


def bare(**options: str) -> Any:
    """An account without a signature secret and without a URL of ours."""
    account = Account(
        label="vo", credentials={"api_key": "k", "api_secret": "s", "sender": "12025550144"}, options=options
    )
    return vonage.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))


def test_without_its_secret_nothing_is_signed_and_no_push_is_proven() -> None:
    with pytest.raises(VendorTrouble, match="signature_secret"):
        play(bare(auth="signature").submit(message()))
    body = json.dumps({"messageId": "1", "msisdn": "8613800001234", "status": "unknown"}).encode()
    push = bare().read_push(samples.raw_push(body))
    assert not push.authenticated and push.reports[0].state is DeliveryState.UNKNOWN
    assert push.reports[0].code == "unknown" and push.reports[0].reason is Reason.UNMAPPED


@settings(max_examples=60, deadline=None)
@given(
    change=st.sampled_from(["status", "msisdn", "messageId", "err-code", "timestamp", "nonce"]), to=st.text(max_size=9)
)
def test_whatever_is_changed_in_a_signed_push_is_noticed(change: str, to: str) -> None:
    case = next(one for one in samples.pushes("vonage") if one["name"] == "delivered, as JSON")
    fields = json.loads(case["body"])
    if fields[change] != to:
        with pytest.raises(PushRefused):
            make("vonage").read_push(samples.raw_push(json.dumps({**fields, change: to}).encode()))


# --- what is sent -----------------------------------------------------------------------------------------------------


def sent(vendor: Any, **given: Any) -> dict[str, str]:
    request = play(vendor.submit(message(given))).request
    return {name: values[0] for name, values in parse_qs(request.content.decode()).items()}


def test_a_text_says_in_which_letters_it_is_and_a_reference_too_long_stays_behind() -> None:
    plain = sent(bare(), text="code 1234", reference="r" * 101)
    assert plain["type"] == "text" and "client-ref" not in plain and "callback" not in plain
    assert sent(bare(), text="码 1234")["type"] == "unicode"


def test_a_callback_too_long_for_the_field_is_left_to_the_console() -> None:
    vendor = make("vonage", {"push_url": f"https://inbox.example/push/vo/{'x' * 80}"})
    assert "callback" not in sent(vendor)


@pytest.mark.parametrize("parts", [[1], "x", [{"status": None}], [{"status": "0"}]])
def test_parts_that_cannot_be_read_leave_the_message_in_doubt(parts: Any) -> None:
    with pytest.raises(VendorTrouble):
        play(make("vonage").submit(message())).answer(200, {"messages": parts})


def test_prices_are_told_once_a_second() -> None:
    assert vonage.Vendor.manifest.pace.apart == {"pricing": 1.0}


# --- the counterpart --------------------------------------------------------------------------------------------------

CALLBACK = "https://inbox.example/push/wo/word/reports"
BASIC = "Basic " + base64.b64encode(b"abcd1234:sandbox-wo-secret").decode()


class Desk:
    """The counterpart, and ways to ask it."""

    def __init__(self, **options: str) -> None:
        self.world = World(truth_with("vonage"), seed=3, epoch=EPOCH)
        self.account = self.world.accounts["wo"]
        self.account.options = {**self.account.options, **options}
        self.counterpart: Any = self.world.counterparts["wo"]
        self.number = next(one.number for one in self.world.people.values() if one.phone)

    def ask(self, target: str, *, auth: str = BASIC, method: str = "GET") -> httpx.Response:
        request = httpx.Request(method, f"https://wo.sandbox{target}", headers={"authorization": auth})
        reply: httpx.Response = self.counterpart.answer(request)
        return reply

    def post(self, fields: dict[str, str], auth: str = "") -> dict[str, Any]:
        headers = {"content-type": "application/x-www-form-urlencoded", **({"authorization": auth} if auth else {})}
        request = httpx.Request("POST", "https://wo.sandbox/sms/json", headers=headers, content=urlencode(fields))
        told: dict[str, Any] = self.counterpart.answer(request).json()
        assert told["message-count"] == str(len(told["messages"]))
        return dict(told["messages"][0])

    def fields(self, **changes: str) -> dict[str, str]:
        whole = {"to": self.number[1:], "from": "12025550144", "text": "【某某科技】验证码1234", "type": "unicode"}
        return {name: value for name, value in {**whole, **changes}.items() if value}

    def send(self, auth: str = BASIC, **changes: str) -> dict[str, Any]:
        return self.post(self.fields(**changes), auth)

    def claim(self) -> Claim:
        return claim_of(self.account.sendings[-1])

    def read(self, push: PushOut, at: datetime = EPOCH) -> Any:
        method = self.account.options.get("sig_method", "md5hash")
        account = Account(
            label="wo", credentials=dict(self.account.credentials), options={"sig_method": method}, push_url=CALLBACK
        )
        vendor = vonage.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
        return vendor.read_push(samples.raw_push(push.body, method=push.method, query=push.query, now=at))


@pytest.mark.parametrize(
    "changes, status",
    [
        ({"to": ""}, "2"),
        ({"from": ""}, "2"),
        ({"text": ""}, "2"),
        ({"to": "13800001234"}, "3"),
        ({"to": "447700900000"}, "3"),
        ({"from": "Other"}, "15"),
        ({"type": "voice"}, "3"),
        ({"text": "字" * 3201}, "12"),
        ({"client-ref": "r" * 101}, "3"),
        ({"callback": "ftp://x"}, "23"),
        ({"callback": "https://x/" + "y" * 100}, "23"),
    ],
)
def test_the_counterpart_refuses_what_its_definition_refuses(changes: dict[str, str], status: str) -> None:
    assert Desk().send(**changes)["status"] == status


@pytest.mark.parametrize("auth", ["", "Basic", "Basic ???", "Basic eDp5", "Bearer x"])
def test_the_counterpart_knows_nobody_else(auth: str) -> None:
    desk = Desk()
    assert desk.send(auth=auth)["status"] == "4"
    assert desk.ask("/account/get-balance", auth=auth or "Basic").status_code == 401


def test_key_and_secret_may_come_as_fields_unless_the_account_wants_a_signature() -> None:
    known = {"api_key": "abcd1234", "api_secret": "sandbox-wo-secret"}
    assert Desk().send(auth="", **known)["status"] == "0"
    assert Desk(auth="signature").send(auth="", **known)["status"] == "14"


@pytest.mark.parametrize("method", ["md5hash", "md5", "sha512"])
def test_a_signed_message_is_known_by_its_signature(method: str) -> None:
    desk = Desk(sig_method=method, auth="signature")
    fields = desk.fields(api_key="abcd1234", timestamp=str(int(EPOCH.timestamp())))
    words = "".join(f"&{name}={fields[name]}" for name in sorted(fields))
    secret = b"sandbox-wo-signing"
    if method == "md5hash":
        made = hashlib.md5(words.encode() + secret).hexdigest()
    else:
        made = hmac.new(secret, words.encode(), method).hexdigest()
    assert desk.post({**fields, "sig": made.upper()})["status"] == "0"
    assert desk.post({**fields, "sig": made[1:]})["status"] == "14"
    assert desk.post({**fields, "sig": made, "timestamp": "1700000000"})["status"] == "14"
    assert desk.post({**fields, "sig": made, "api_key": "other"})["status"] == "4"


def test_a_text_not_said_to_be_unicode_arrives_as_question_marks() -> None:
    desk = Desk()
    desk.send(type="text", text="验证码 1234")
    assert desk.account.sendings[-1].text == "??? 1234"


def test_a_long_text_has_a_part_an_id_and_a_report_for_each() -> None:
    desk = Desk()
    desk.send(text="【某某科技】" + "长" * 100, callback=CALLBACK, **{"client-ref": "r1"})
    pushes = desk.counterpart.push_reports([desk.claim()])
    reports = [desk.read(push).reports[0] for push in pushes]
    assert len(reports) == desk.account.sendings[-1].segments == 2
    assert {push.url for push in pushes} == {CALLBACK} and {report.reference for report in reports} == {"r1"}
    assert len({report.vendor_message_id for report in reports}) == 2
    desk.account.options = {"parts": "first"}
    assert len(desk.counterpart.push_reports([desk.claim()])) == 1


@pytest.mark.parametrize("push", ["json", "form", "get"])
@pytest.mark.parametrize("method", ["md5hash", "sha256"])
def test_a_push_is_proven_however_the_account_has_it(push: str, method: str) -> None:
    desk = Desk(push=push, sig_method=method, sig_case="upper")
    desk.send()
    (pushed,) = desk.counterpart.push_reports([desk.claim()])
    assert desk.read(pushed).authenticated
    reply = Reply(id=1, number=desk.number, to="1", extension="", text="好 R&1=2", sent_at=EPOCH, signature="")
    told = desk.read(desk.counterpart.push_reply(reply))
    assert told.authenticated and told.inbound[0].text == "好 R&1=2"
    with pytest.raises(PushRefused, match="stale"):
        desk.read(pushed, EPOCH + timedelta(days=2))


def test_without_a_signature_secret_pushes_are_not_signed() -> None:
    desk = Desk()
    desk.account.credentials = {k: v for k, v in desk.account.credentials.items() if k != "signature_secret"}
    desk.counterpart = type(desk.counterpart)(desk.account)
    desk.send(callback=CALLBACK)
    (push,) = desk.counterpart.push_reports([desk.claim()])
    assert "sig" not in json.loads(push.body) and not desk.read(push).authenticated
    reply = Reply(id=1, number=desk.number, to="1", extension="", text=" ", sent_at=EPOCH, signature="")
    assert desk.counterpart.push_reply(reply).url == "https://inbox.example/push/wo/word/inbound"
    fields = desk.fields(api_key="abcd1234", timestamp=str(int(EPOCH.timestamp())), sig="x")
    assert desk.post(fields)["status"] == "14"


@pytest.mark.parametrize(
    "state, reason, told",
    [
        (DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER, ("failed", "9")),
        (DeliveryState.EXPIRED, Reason.UNREACHABLE, ("expired", "12")),
        (DeliveryState.REJECTED, Reason.SENSITIVE_CONTENT, ("rejected", "6")),
        (DeliveryState.UNDELIVERED, None, ("failed", "99")),
        (DeliveryState.UNKNOWN, None, ("unknown", "1")),
    ],
)
def test_failures_have_the_vendors_codes(state: DeliveryState, reason: Reason | None, told: tuple[str, str]) -> None:
    desk = Desk()
    desk.send()
    (push,) = desk.counterpart.push_reports([replace(desk.claim(), state=state, reason=reason)])
    fields = json.loads(push.body)
    assert (fields["status"], fields["err-code"]) == told


@pytest.mark.parametrize("reason, status", [(Reason.BALANCE, "9"), (Reason.OPTED_OUT, "7"), (Reason.HOURS, "6")])
def test_the_worlds_refusals_have_the_vendors_statuses(
    reason: Reason, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.account, "submit", lambda submission: Turned(reason=reason))
    assert desk.send()["status"] == status


def test_calls_are_counted_a_second_if_told_to_and_other_paths_are_not_there() -> None:
    desk = Desk(qps="1")
    assert desk.send()["status"] == "0"
    assert desk.send()["status"] == "1"
    assert desk.ask("/sms/xml").status_code == desk.ask("/account/get-balance", method="POST").status_code == 404
    assert desk.ask("/account/get-pricing/outbound/sms?country=XX").status_code == 404


@pytest.mark.parametrize("prefix, network", [("138", "46000"), ("130", "46001"), ("133", "46003"), ("192", "46015")])
def test_the_network_is_told_by_the_numbers_prefix(prefix: str, network: str) -> None:
    reply = Desk().send(to=f"86{prefix}00001234")
    assert reply["network"] == network
