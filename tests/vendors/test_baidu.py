"""What is Baidu's own, beyond what holds for every vendor: both sides of the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, PushRefused, Tools
from harness.domain import DeliveryState, Reason, Refused, ReviewVerdict
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, NOON, make, message
from tests.vendors.test_counterparts import PHONE, REPLY, World, claim
from vendors import baidu, signing
from vendors.sandbox import baidu as counterpart
from vendors.sandbox.door import Turned

KEY, SECRET = "fakeaccesskeyid000000000000000", "fakesecretaccesskey00000000000"


def _after(step: Any, change: Any) -> Any:
    return lambda *arguments: change(step(*arguments))


def _plain_values(headers: Any) -> str:
    return "\n".join(sorted(f"{name}:{headers[name]}" for name in headers))


def _raw_key(secret: str, words: str) -> Any:
    class Raw(str):
        def encode(self, *_: Any) -> bytes:
            return hmac.new(secret.encode(), words.encode(), hashlib.sha256).digest()

    return Raw()


MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("the prefix lacks its expiry", baidu, "prefix", _after(baidu.prefix, lambda text: text[:-5])),
    ("the stamp is in Beijing's time", baidu, "prefix",
     lambda key, moment, step=baidu.prefix: step(key, moment + timedelta(hours=8))),
    ("the query is not encoded", baidu, "canonical_query", lambda query: "&".join(
        sorted(f"{name}={value}".replace(" ", "%20") for name, value in query.items()))),
    ("the query is not sorted", baidu, "canonical_query", lambda query: "&".join(
        sorted((f"{signing.percent(name)}={signing.percent(value)}" for name, value in query.items()), reverse=True))),
    ("values of headers are not encoded", baidu, "canonical_headers", _plain_values),
    ("headers end with a line end", baidu, "canonical_headers",
     _after(baidu.canonical_headers, lambda text: f"{text}\n")),
    ("another verb is signed", baidu, "canonical_request",
     lambda method, *rest, step=baidu.canonical_request: step("PUT", *rest)),
    ("the path is not signed", baidu, "canonical_request",
     lambda method, path, *rest, step=baidu.canonical_request: step(method, "/", *rest)),
    ("the key is not derived", baidu, "signing_key", lambda secret, words: secret),
    ("the key is its raw bytes", baidu, "signing_key", _raw_key),
    ("fewer headers are signed", baidu, "_CONTENT_TYPE", ""),
    ("the HMAC's key and text change places", signing, "hmac_sha256",
     lambda key, data, step=signing.hmac_sha256: step(data, key)),
    ("push: the token is left out", baidu, "push_signature",
     lambda token, stamp, body, step=baidu.push_signature: step("", stamp, body)),
    ("push: token and stamp change places", baidu, "push_signature",
     lambda token, stamp, body, step=baidu.push_signature: step(stamp, token, body)),
    ("push: the body is left out", baidu, "push_signature",
     lambda token, stamp, body, step=baidu.push_signature: step(token, stamp, b"")),
    ("push: the digest is of another kind", signing, "md5_hex", lambda data: hashlib.sha1(data).hexdigest()),
    ("push: every digest matches", signing, "matches", lambda expected, given: True),
]  # fmt: skip


# --- the adapter ------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=30),
    ticket=st.text(st.characters(codec="utf-8", exclude_characters="./"), min_size=1, max_size=20),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    seconds=st.integers(10**9, 4 * 10**9),
)
def test_the_counterpart_takes_what_the_adapter_signs_whatever_is_in_it(
    text: str, ticket: str, secret: str, seconds: int
) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    vendor = make("baidu", {"now": moment.isoformat(), "secret": secret})
    world = World({"access_key": KEY, "secret_key": secret})
    world.at = moment
    for flow in (vendor.query_template(ticket), vendor.submit(message({"parameters": {"code": text}}))):
        told = counterpart.Counterpart(world).answer(play(flow).request).json()
        assert told["code"] in ("4602", "6006")  # past the signature


def test_a_message_without_a_template_or_with_another_signature_is_not_sent() -> None:
    for changes in ({"template": None}, {"signature": "别的"}):
        with pytest.raises(VendorTrouble) as raised:
            play(make("baidu").submit(message(changes)))
        assert not raised.value.written


def plain(**credentials: str) -> Any:
    """An account with the least it needs."""
    needed = {"access_key": "a", "secret_key": "s", "signature_id": "i", **credentials}
    return baidu.Vendor(Account(label="bd", credentials=needed), Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))


def test_without_a_token_pushes_are_read_but_not_proven_and_without_a_user_nothing_tells_what_is_left() -> None:
    push = plain().read_push(samples.raw_push(b'{"code":"0","messageId":"a","mobile":"1"}'))
    assert len(push.reports) == 1 and not push.authenticated
    with pytest.raises(VendorTrouble, match="user_id") as raised:
        play(plain().balance())
    assert not raised.value.written


def test_a_path_of_the_endpoint_is_kept_and_signed() -> None:
    request = play(make("baidu", {"endpoint": "http://127.0.0.1:1/proxy/"}).query_template("t")).request
    assert request is not None and request.url.path == "/proxy/sms/v3/template/t"


def test_what_is_well_signed_but_long_gone_is_stale_whatever_it_holds() -> None:
    body = b"[" * 1000
    headers = {"timestamp": "1", "signature": baidu.push_signature("faketoken", "1", body)}
    with pytest.raises(PushRefused, match="stale"):
        make("baidu").read_push(samples.raw_push(body, headers=headers))


# --- the counterpart --------------------------------------------------------------------------------------------------


class Late(World):
    """A world that keeps what is pushed of the vendor's own accord."""

    def __init__(self, **options: str) -> None:
        credentials = {"access_key": KEY, "secret_key": SECRET, "signature_id": "s1", "user_id": "u1"}
        super().__init__(credentials, **options)
        self.pushed: list[dict[str, Any]] = []

    def push_later(self, push: Any, kind: str, after: timedelta) -> None:
        assert kind == "reports"
        self.pushed.append(json.loads(push.body))


def request_of(world: World, method: str, path: str, query: Any = (), body: bytes = b"", **changes: str) -> Any:
    """A request signed here once more, by the card: the host and the time."""
    stamp = changes.get("stamp", world.at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    written = "&".join(sorted(f"{signing.percent(name)}={signing.percent(str(value))}" for name, value in query))
    begin = f"bce-auth-v1/{changes.get('key', KEY)}/{stamp}/1800"
    key = hmac.new(changes.get("secret", SECRET).encode(), begin.encode(), hashlib.sha256).hexdigest()
    lines = f"host:h.example\nx-bce-date:{signing.percent(stamp)}"
    canonical = f"{method}\n{path}\n{written}\n{lines}"
    names = changes.get("names", "host;x-bce-date")
    signature = hmac.new(key.encode(), canonical.encode(), hashlib.sha256).hexdigest()
    headers = {"host": "h.example", "x-bce-date": stamp, "authorization": f"{begin}/{names}/{signature}"}
    return httpx.Request(method, f"https://h.example{path}?{written}", headers=headers, content=body or None)


def ask(world: World, method: str, path: str, query: Any = (), **fields: Any) -> Any:
    body = json.dumps(fields).encode() if fields else b""
    reply = counterpart.Counterpart(world).answer(request_of(world, method, path, query, body))
    return {"http": reply.status_code, **(reply.json() if reply.content else {})}


SEND = {"mobile": "13800138000", "template": "SMS_154950909", "signatureId": "s1", "contentVar": {"code": "1234"}}


def send(world: World, query: Any = (), **changes: Any) -> Any:
    return ask(world, "POST", "/api/v3/sendSms", query, **{**SEND, **changes})


@pytest.mark.parametrize(
    "changes, wanted, status",
    [
        ({"secret": "x"}, "SignatureDoesNotMatch", 400),
        ({"key": "x"}, "InvalidAccessKeyId", 403),
        ({"stamp": "2024-01-15T07:30:00Z"}, "RequestExpired", 400),
        ({"stamp": "2024-01-15T09:30:00Z"}, "RequestExpired", 400),
        ({"stamp": "2024-13-15T09:30:00Z"}, "InvalidHTTPAuthHeader", 400),
        ({"stamp": "now"}, "InvalidHTTPAuthHeader", 400),
        ({"names": "x-bce-date"}, "SignatureDoesNotMatch", 400),
        ({"names": "host;x-bce-date;content-md5"}, "SignatureDoesNotMatch", 400),
    ],
)
def test_what_is_wrong_with_a_proof_has_the_platforms_code_and_the_sends_own(
    changes: Any, wanted: str, status: int
) -> None:
    world = Late()
    reply = counterpart.Counterpart(world).answer(request_of(world, "GET", "/sms/v3/blacklist", **changes))
    assert (reply.status_code, reply.json()["code"]) == (status, wanted)
    sent = request_of(world, "POST", "/api/v3/sendSms", body=json.dumps(SEND).encode(), **changes)
    reply = counterpart.Counterpart(world).answer(sent)
    assert (reply.status_code, reply.json()["code"]) == (403, "6002")


def test_no_proof_is_no_access_and_the_usual_headers_count_where_none_are_named() -> None:
    world = Late()
    request = request_of(world, "GET", "/sms/v3/blacklist", names="")
    assert counterpart.Counterpart(world).answer(request).status_code == 200
    del request.headers["authorization"]
    assert counterpart.Counterpart(world).answer(request).json()["code"] == "AccessDenied"
    old = request_of(Late(stale="accepted"), "GET", "/sms/v3/blacklist", stamp="2020-01-15T07:30:00Z")
    assert counterpart.Counterpart(Late(stale="accepted")).answer(old).status_code == 200


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_vectors_of_the_card_are_taken_by_the_counterpart(number: int) -> None:
    case = samples.load("baidu", "submit")[number]
    told = counterpart.Counterpart(Late()).answer(samples.start("baidu", case).request).json()
    assert told["code"] == "6006"  # past the signature: this world has not filed that id


@pytest.mark.parametrize(
    "changes, wanted",
    [
        ({"mobile": ""}, "4502"),
        ({"mobile": 5}, "4501"),
        ({"mobile": "123"}, "4503"),
        ({"mobile": "+85290001234"}, "4609"),
        ({"mobile": ",".join(["13800138000"] * 201)}, "4511"),
        ({"template": "no"}, "4602"),
        ({"template": "SMS_3"}, "4607"),
        ({"signatureId": "no"}, "6006"),
        ({"contentVar": {}}, "4605"),
        ({"contentVar": None}, "4605"),
        ({"contentVar": {"code": 1}}, "4501"),
        ({"contentVar": {"code": "【x】"}}, "4608"),
        ({"contentVar": {"code": "x" * 600}}, "4508"),
    ],
)
def test_what_is_wrong_with_a_message_is_said_at_once(changes: Any, wanted: str) -> None:
    told = send(Late(), **changes)
    assert (told["http"], told["code"]) == (200, wanted) and told["message"]


def test_each_of_several_numbers_has_its_own_outcome() -> None:
    world = Late()
    told = send(world, mobile="13800138000,123", custom="c1", userExtId="7")
    assert [row["code"] for row in told["data"]] == ["1000", "4503"]
    assert told["data"][0]["messageId"].endswith("_13800138000")
    assert (world.taken[0].reference, world.taken[0].extension) == ("c1", "7")
    assert world.taken[0].text == "【测试签名】您的验证码是1234，请勿告诉他人。"


def test_the_same_token_gets_the_same_answer_and_one_message() -> None:
    world = Late()
    first, second = (send(world, [("clientToken", "t")]) for _ in range(2))
    assert first == second and len(world.taken) == 1


def test_the_fourth_message_in_a_minute_is_capped_in_its_report_or_at_once() -> None:
    world = Late()
    assert [send(world)["code"] for _ in range(4)] == ["1000"] * 4
    assert [one["carrierCode"] for one in world.pushed] == ["B:00019"]
    world.at += timedelta(seconds=61)
    send(world)
    assert len(world.taken) == 4
    sooner = Late(cap_code="6015", per_minute="1")
    assert [send(sooner)["code"] for _ in range(2)] == ["1000", "6015"]


@pytest.mark.parametrize(
    "reason, at_once, late",
    [
        (Reason.BLACKLISTED, "4641", ""),
        (Reason.BALANCE, "6012", ""),
        (Reason.SENSITIVE_CONTENT, "1000", "B:00011"),
        (Reason.HOURS, "1000", "B:00017"),
    ],
)
def test_the_worlds_refusals_come_at_once_or_in_a_report(reason: Reason, at_once: str, late: str) -> None:
    world = Late()
    world.turns[PHONE] = Turned(reason=reason)
    assert send(world)["code"] == at_once
    assert [one["carrierCode"] for one in world.pushed] == ([late] if late else [])


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
def test_a_body_that_is_none_gets_the_vendors_own_error(body: bytes) -> None:
    world = Late()
    for path, wanted in (("/api/v3/sendSms", "4501"), ("/sms/v3/template", "MalformedJSON")):
        told = counterpart.Counterpart(world).answer(request_of(world, "POST", path, body=body)).json()
        assert told["code"] == wanted


def test_paths_that_are_none_are_said_to_be_none() -> None:
    for method, path in (("GET", "/"), ("PUT", "/sms/v3/template"), ("GET", "/sms/v3/records"), ("GET", "/template")):
        assert ask(Late(), method, path)["code"] == "InvalidURI"


@pytest.mark.parametrize("approved_as", ["READY", "APPROVED"])
def test_templates_and_signatures_are_reviewed_and_used_once_approved(approved_as: str) -> None:
    world = Late(approved_as=approved_as)
    fields = {"name": "n", "content": "码${code}", "smsType": "CommonNotice", "countryType": "DOMESTIC"}
    made = ask(world, "POST", "/sms/v3/template", **fields)
    assert (made["templateId"], made["status"]) == ("sms-tmpl-R0000001", "SUBMITTED")
    sign = {"content": "新签名", "contentType": "Else", "countryType": "DOMESTIC"}
    own = ask(world, "POST", "/sms/v3/signatureApply", **sign)["signatureId"]
    assert ask(world, "GET", f"/sms/v3/signatureApply/{own}")["status"] == "SUBMITTED"
    assert send(world, template=made["templateId"])["code"] == "4607" and send(world, signatureId=own)["code"] == "6006"
    world.decide(1, ReviewVerdict.APPROVED)
    world.decide(2, ReviewVerdict.REJECTED, "资质不符")
    told = ask(world, "GET", "/sms/v3/template/sms-tmpl-R0000001")
    assert (told["status"], told["content"]) == (approved_as, "码${code}")
    assert send(world, template=made["templateId"])["code"] == "1000"
    told = ask(world, "GET", f"/sms/v3/signatureApply/{own}")
    assert (told["status"], told["review"]) == ("REJECTED", "资质不符")
    world.signatures = {**world.signatures, "新签名": True}
    assert send(world, signatureId=own)["code"] == "1000" and world.taken[-1].text.startswith("【新签名】")
    assert ask(world, "GET", "/sms/v3/template/no")["code"] == "4602"
    assert ask(world, "GET", "/sms/v3/signatureApply/no")["code"] == "6006"
    for wrong in ({"smsType": "x"}, {"content": ""}, {"countryType": "MOON"}):
        assert ask(world, "POST", "/sms/v3/template", **{**fields, **wrong})["code"] == "InappropriateJSON"
    for wrong in ({"contentType": "x"}, {"countryType": "MOON"}):
        assert ask(world, "POST", "/sms/v3/signatureApply", **{**sign, **wrong})["code"] == "InappropriateJSON"


def test_a_number_on_the_accounts_list_is_refused_with_the_lists_own_code() -> None:
    world = Late()
    entry = {"phone": "13800138000", "countryType": "DOMESTIC"}
    signed = {"type": "SignatureBlack", "signatureIdStr": "s1", "smsType": "CommonVcode"}
    assert ask(world, "POST", "/sms/v3/blacklist", **entry, **signed)["http"] == 200
    assert send(world)["code"] == "4642"
    ask(world, "POST", "/sms/v3/blacklist", **{**entry, "phone": "13800138000,13900001234"}, type="MerchantBlack")
    assert send(world, mobile="13900001234")["code"] == "4643"
    rows = ask(world, "GET", "/sms/v3/blacklist", [("phone", "13800138000"), ("pageNo", "1"), ("pageSize", "9")])
    assert (rows["totalCount"], len(rows["blacklists"])) == (2, 2)
    assert ask(world, "GET", "/sms/v3/blacklist", [("signatureIdStr", "s1")])["totalCount"] == 1
    assert ask(world, "DELETE", "/sms/v3/blacklist/delete", [("phones", "13800138000")])["http"] == 200
    assert send(world)["code"] == "1000"
    other = {**signed, "signatureIdStr": "of-nobody"}
    ask(world, "POST", "/sms/v3/blacklist", **entry, **other)
    assert send(world)["code"] == "1000"
    for wrong, code in (
        ({"type": "x"}, "4501"),
        ({"type": "SignatureBlack"}, "4502"),
        ({"type": "MerchantBlack", "phone": "1"}, "4503"),
    ):
        assert ask(world, "POST", "/sms/v3/blacklist", **{**entry, **wrong})["code"] == code
    assert ask(world, "DELETE", "/sms/v3/blacklist/delete")["code"] == "4502"
    assert ask(world, "GET", "/sms/v3/blacklist", [("pageNo", "0")])["code"] == "4501"


def test_statistics_are_texts_with_the_sum_first_under_either_name() -> None:
    query = [
        ("startTime", "2024-01-14 00:00:00"), ("endTime", "2024-01-15 23:59:59"),
        ("smsType", "all"), ("dimension", "day"), ("countryType", "domestic"),
    ]  # fmt: skip
    for key in ("statisticsResults", "data"):
        world = Late(summary_key=key)
        send(world)
        rows = ask(world, "GET", "/sms/v3/summary", query)[key]
        assert [(row["datetime"], row["submitCount"]) for row in rows] == [
            ("合计", "1"), ("2024-01-14", "0"), ("2024-01-15", "1"),
        ]  # fmt: skip
        assert all(isinstance(value, str) for row in rows for value in row.values())
    for wrong in (("dimension", "month"), ("startTime", "x"), ("endTime", "2020-01-01 00:00:00")):
        assert (
            ask(Late(), "GET", "/sms/v3/summary", [*(one for one in query if one[0] != wrong[0]), wrong])["code"]
            == "4501"
        )


def test_packages_are_told_to_their_owner() -> None:
    rows = ask(Late(), "GET", "/sms/v3/prepay/u1", [("packageStatus", "RUNNING")])
    assert rows["prepaidPackages"][0]["remainingCapacity"] == "999"
    assert ask(Late(), "GET", "/sms/v3/prepay/u1", [("packageStatus", "EXPIRED")])["totalCount"] == 0
    assert ask(Late(), "GET", "/sms/v3/prepay/u2")["code"] == "AccessDenied"


def test_pushes_prove_themselves_by_the_token_and_by_the_users_id_if_there_is_none() -> None:
    world = Late()
    mine = counterpart.Counterpart(world)
    claims = [claim("a_13800138000"), replace(claim("b", state=DeliveryState.UNDELIVERED), reason=Reason.BLACKLISTED)]
    read = []
    for push in [mine.push_reports([one]) for one in claims] + [mine.push_reply(REPLY)]:
        got = samples.raw_push(push.body, headers={k.lower(): v for k, v in push.headers.items()}, now=world.at)
        read.append(plain(push_token="u1").read_push(got))
        with pytest.raises(PushRefused, match="signature"):
            plain(push_token="other").read_push(got)
    assert all(push.authenticated for push in read)
    assert [(one.code, one.reason) for push in read for one in push.reports] == [
        ("DELIVRD", None), ("B:00033", Reason.BLACKLISTED),
    ]  # fmt: skip
    assert [(one.text, one.to) for push in read for one in push.inbound] == [("退订", "8888")]
    assert mine.push_reports([]) is None and mine.push_decision(None) is None
    assert mine.acknowledged(200, b"") and not mine.acknowledged(201, b"")


def test_a_signature_that_the_vendor_does_not_know_is_refused_as_such() -> None:
    talk = play(make("baidu").submit(CALLS["submit"]["message"])).answer(200, {"code": "6006", "message": "m"})
    assert talk.outcome == Refused(reason=Reason.SIGNATURE_NOT_APPROVED, code="6006", detail="m")


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["1", "13800138000"]))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
PLACES = [("POST", "/api/v3/sendSms")] + [
    (method, f"/sms/v3/{function}{own}") for method, function in counterpart.ACTIONS for own in ("", "/u1", "/delete")
]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_anything_well_signed_gets_an_answer_of_the_vendors(data: st.DataObject) -> None:
    method, path = data.draw(st.sampled_from(PLACES))
    keys = st.sampled_from([*SEND, "type", "phone", "phones", "startTime", "endTime", "pageNo", "content", "smsType"])
    drawn = data.draw(st.dictionaries(keys, VALUES, max_size=6))
    body = json.dumps({**SEND, **drawn}).encode() if method == "POST" else b""
    query = [(key, str(value)) for key, value in drawn.items()]
    reply = counterpart.Counterpart(Late()).answer(request_of(Late(), method, path, query, body))
    assert reply.status_code in (200, 400, 403) and (not reply.content or isinstance(reply.json(), dict))
