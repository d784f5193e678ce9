"""What is Twilio's own, beyond what holds for every vendor."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import pytest

from harness.capabilities import Account, PushRefused, Tools
from harness.domain import DeliveryState, Reason
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import NOON, make, message
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import signing, twilio
from vendors.sandbox.door import Claim, Reply, Turned
from vendors.sandbox.fate import claim_of
from vendors.sandbox.world import World

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("user and password change places", twilio, "basic", lambda user, word, step=twilio.basic: step(word, user)),
    ("hex instead of Base64", signing, "base64_text", bytes.hex),
    ("fields are not sorted", twilio, "signed_words", lambda url, fields: url + "".join(a + b for a, b in fields)),
    ("the URL is left out", twilio, "signed_words", lambda url, fields, step=twilio.signed_words: step("", fields)),
    ("fields are parted", twilio, "signed_words",
     lambda url, fields: url + "&".join(f"{a}={b}" for a, b in sorted(set(fields)))),
    ("values only", twilio, "signed_words", lambda url, fields: url + "".join(b for _, b in sorted(set(fields)))),
    ("the HMAC's key and text change places", signing, "hmac_hex",
     lambda key, data, digest: hmac.new(data, key, digest).hexdigest()),
    ("the HMAC is always SHA-1", signing, "hmac_hex",
     lambda key, data, digest: hmac.new(key, data, "sha1").hexdigest()),
    ("a digest in place of an HMAC", signing, "hmac_hex",
     lambda key, data, digest: hashlib.new(digest, key + data).hexdigest()),
    ("the algorithm is not looked at", twilio, "algorithm", lambda settings: "HMAC_SHA1"),
    ("the port is not tried", twilio, "with_and_without_port", lambda url: (url,)),
    ("every digest matches", signing, "matches", lambda expected, given: True),
]  # fmt: skip


# --- the signature ----------------------------------------------------------------------------------------------------


def test_the_published_vector_is_met() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    words = twilio.signed_words(url, list(fields.items()))
    assert twilio.push_signature("12345", words) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_a_field_that_comes_twice_is_signed_once_for_each_value() -> None:
    assert twilio.signed_words("u", [("b", "2"), ("a", "1"), ("b", "2"), ("b", "1")]) == "ua1b1b2"


@pytest.mark.parametrize(
    "url, others",
    [
        ("https://a.example/x?y=1:2", {"https://a.example/x?y=1:2", "https://a.example:443/x?y=1:2"}),
        ("https://a.example:8443/x", {"https://a.example:8443/x", "https://a.example/x", "https://a.example:443/x"}),
        ("http://a.example?z", {"http://a.example?z", "http://a.example:80?z"}),
    ],
)
def test_a_url_is_tried_with_and_without_its_port(url: str, others: set[str]) -> None:
    assert set(twilio.with_and_without_port(url)) == others


@pytest.mark.parametrize("settings", ["", "key=k", "algorithm=", " , "])
def test_without_an_algorithm_it_is_the_old_one(settings: str) -> None:
    assert twilio.algorithm(settings) == "HMAC_SHA1"


def without(*names: str) -> Any:
    """The fixture's account without some of its credentials."""
    credentials = {k: v for k, v in samples.load("twilio", "account")["credentials"].items() if k not in names}
    account = Account(label="tw", credentials=credentials, push_url="https://inbox.example/push/tw-test/word")
    return twilio.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))


def test_a_push_signed_with_a_key_that_we_do_not_hold_is_refused() -> None:
    case = next(one for one in samples.pushes("twilio") if "SHA-256" in one["name"])
    with pytest.raises(PushRefused, match="no key"):
        without("webhook_secret").read_push(samples.push_request(case))


def test_an_api_key_that_is_not_there_sends_nothing() -> None:
    account = Account(label="tw", credentials={"account_sid": "A", "auth_token": "t", "sender": "+1"},
                      options={"auth": "key"})  # fmt: skip
    vendor = twilio.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
    with pytest.raises(VendorTrouble, match="key_sid") as raised:
        play(vendor.submit(message()))
    assert not raised.value.written


# --- sending, asking --------------------------------------------------------------------------------------------------


def service(sender: str) -> Any:
    account = Account(label="tw", credentials={"account_sid": "AC1", "auth_token": "t", "sender": sender})
    return twilio.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))


def test_a_messaging_service_is_named_as_such() -> None:
    vendor = service("MG" + "0" * 32)
    request = play(vendor.submit(message())).request
    assert request is not None
    fields = parse_qs(request.content.decode())
    assert fields["MessagingServiceSid"] == ["MG" + "0" * 32] and "From" not in fields
    asked = play(vendor.pull_inbound()).request
    assert asked is not None and "To=" not in str(asked.url)


def test_a_text_beyond_the_limit_is_not_sent() -> None:
    with pytest.raises(VendorTrouble, match="1600") as raised:
        play(make("twilio").submit(message({"text": "字" * 1601})))
    assert not raised.value.written


@pytest.mark.parametrize("row", [{"sid": "SM1"}, {"to": "+8613800001234"}, {"sid": "SM1", "to": "x", "body": []}])
def test_a_record_that_cannot_be_read_is_an_answer_that_cannot(row: dict[str, Any]) -> None:
    talk = play(make("twilio").find_records("+8613800001234", NOON.date()))
    with pytest.raises(VendorTrouble):
        talk.answer(200, {"messages": [row]})


# --- the carrier's minute ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone, written, read",
    [
        ("nearest", "2603020400", NOON),
        ("nearest", "2603021200", NOON),
        ("nearest", "2603020800", None),  # four hours from both: it is neither
        ("nearest", "", None),
        ("utc", "2603021200", NOON + timedelta(hours=8)),
        ("beijing", "2603021200", NOON),
    ],
)
def test_the_minute_without_a_zone_is_read_as_the_option_says(zone: str, written: str, read: datetime | None) -> None:
    assert twilio.done_at({"RawDlrDoneDate": written}, zone, NOON) == read


def test_a_push_too_long_is_refused() -> None:
    with pytest.raises(PushRefused):
        make("twilio").read_push(samples.raw_push(b"a=" + b"x" * (2 << 20)))


# --- the counterpart --------------------------------------------------------------------------------------------------

HOME = "https://tui.sandbox/2010-04-01/Accounts/AC5a0db0c5a0db0c5a0db0c5a0db0c5a0d"
CALLBACK = "https://inbox.example/push/tui/word/reports"


class Desk:
    """The counterpart and a way to ask it."""

    def __init__(self, **options: str) -> None:
        self.world = World(truth_with("twilio"), seed=3, epoch=EPOCH)
        self.account = self.world.accounts["tui"]
        self.account.options = {**self.account.options, **options}
        self.counterpart: Any = self.world.counterparts["tui"]
        self.number = next(one.number for one in self.world.people.values() if one.phone)

    def ask(
        self, path: str, fields: dict[str, str] | None = None, *, method: str = "", auth: str | None = None
    ) -> httpx.Response:
        sid, token = self.account.credentials["account_sid"], self.account.credentials["auth_token"]
        headers = {"authorization": twilio.basic(sid, token) if auth is None else auth}
        if fields is None:
            return self.counterpart.answer(httpx.Request(method or "GET", f"{HOME}/{path}", headers=headers))
        headers["content-type"] = "application/x-www-form-urlencoded"
        request = httpx.Request(method or "POST", f"{HOME}/{path}", headers=headers, content=urlencode(fields))
        return self.counterpart.answer(request)

    def send(self, **changes: str) -> httpx.Response:
        fields = {"To": self.number, "From": "+12025550123", "Body": "【某某科技】您的验证码是1234", **changes}
        return self.ask("Messages.json", {name: value for name, value in fields.items() if value})

    def claim(self, key: str) -> Claim:
        (sending,) = self.account.sendings
        assert sending.key == key
        return claim_of(sending)


def code_of(reply: httpx.Response) -> int:
    return int(reply.json()["code"])


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"From": "+12025550199"}, 21606),
        ({"Body": "字" * 1601}, 21617),
        ({"StatusCallback": "ftp://x"}, 21609),
        ({"To": "13800001234"}, 21211),
        ({"To": "+861"}, 21211),
        ({"To": "+8612345678"}, 21211),
        ({"To": "+85290001234"}, 21408),
    ],
)
def test_the_counterpart_refuses_what_its_documents_refuse(changes: dict[str, str], code: int) -> None:
    reply = Desk().send(**changes)
    assert (reply.status_code, code_of(reply)) == (400, code)


@pytest.mark.parametrize("auth", ["", "Basic", "Basic ???", "Bearer x", twilio.basic("AC1", "x"), twilio.basic("", "")])
def test_the_counterpart_knows_nobody_else(auth: str) -> None:
    reply = Desk().ask("Balance.json", auth=auth)
    assert (reply.status_code, code_of(reply)) == (401, 20003)


def test_the_counterpart_knows_an_api_key() -> None:
    desk = Desk()
    desk.account.credentials = {**desk.account.credentials, "key_sid": "SK1", "key_secret": "s"}
    assert desk.ask("Balance.json", auth=twilio.basic("SK1", "s")).status_code == 200


@pytest.mark.parametrize("path, method", [("Calls.json", "GET"), ("Balance.json", "POST"), ("../x", "GET")])
def test_the_counterpart_has_no_other_resource(path: str, method: str) -> None:
    assert code_of(Desk().ask(path, method=method)) == 20404


def test_a_message_is_found_by_its_id_and_no_other_is() -> None:
    desk = Desk()
    sid = desk.send().json()["sid"]
    assert desk.ask(f"Messages/{sid}.json").json()["sid"] == sid
    assert code_of(desk.ask(f"Messages/SM{'0' * 32}.json")) == 20404
    assert code_of(desk.ask(f"Messages/{sid}.json", method="DELETE")) == 20404


def test_who_replied_stop_gets_nothing_more() -> None:
    desk = Desk()
    desk.account.opt_out(desk.number)
    assert code_of(desk.send()) == 21610


def test_the_counterpart_counts_calls_a_second_if_told_to() -> None:
    desk = Desk(qps="1")
    assert desk.send().status_code == 201
    assert (reply := desk.send()).status_code == 429 and code_of(reply) == 20429


def test_pages_lead_from_one_to_the_next() -> None:
    desk = Desk(page_size="1")
    first, second = desk.send().json()["sid"], desk.send(Body="【某某科技】另一条").json()["sid"]
    page = desk.ask("Messages.json?" + urlencode({"To": desk.number, "DateSent": "2026-03-02", "PageSize": "9"})).json()
    assert page["page_size"] == 1 and page["next_page_uri"]
    last = desk.ask(
        page["next_page_uri"].partition("/Messages.json")[1][1:] + page["next_page_uri"].partition(".json")[2]
    )
    assert {page["messages"][0]["sid"], last.json()["messages"][0]["sid"]} == {first, second}
    assert last.json()["next_page_uri"] is None and last.json()["previous_page_uri"]
    assert not desk.ask("Messages.json?DateSent=2026-03-01").json()["messages"]


def test_usage_of_another_category_is_none() -> None:
    desk = Desk()
    assert desk.ask("Usage/Records/Daily.json?Category=calls&StartDate=x").json()["usage_records"] == []
    assert len(desk.ask("Usage/Records/Daily.json").json()["usage_records"]) == 1


@pytest.mark.parametrize(
    "options, extra",
    [({}, {}), ({"port": "shown"}, {}), ({"signing": "HMAC_SHA256"}, {"webhook_secret": "w"}),
     ({"done_zone": "beijing"}, {})],
)  # fmt: skip
def test_a_push_to_the_url_of_its_message_is_proven(options: dict[str, str], extra: dict[str, str]) -> None:
    desk = Desk(**options)
    desk.account.credentials = {**desk.account.credentials, **extra}
    sid = desk.send(StatusCallback=CALLBACK).json()["sid"]
    push = desk.counterpart.push_reports([desk.claim(sid)])
    account = Account(
        label="tui", credentials=dict(desk.account.credentials), push_url="https://inbox.example/push/tui/word"
    )
    vendor = twilio.Vendor(account, Tools(now=lambda: NOON, nonce=lambda: samples.NONCE))
    request = samples.raw_push(
        push.body, "/push/tui/word/reports", headers=push.headers, now=datetime(2026, 3, 2, 1, 1, tzinfo=UTC)
    )
    read = vendor.read_push(request)
    assert push.url == CALLBACK and read.authenticated
    (report,) = read.reports
    assert report.vendor_message_id == sid and report.claimed_at == datetime(2026, 3, 2, 1, tzinfo=UTC)


def test_failures_have_the_vendors_codes() -> None:

    desk = Desk()
    claim = desk.claim(desk.send().json()["sid"])
    told = {
        state: parse_qs(desk.counterpart.push_reports([replace(claim, state=state, reason=reason)]).body.decode())
        for state, reason in (
            (DeliveryState.REJECTED, Reason.SENSITIVE_CONTENT),
            (DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER),
            (DeliveryState.EXPIRED, None),
            (DeliveryState.UNKNOWN, None),
        )
    }
    codes = {(fields["MessageStatus"][0], fields.get("ErrorCode", [""])[0]) for fields in told.values()}
    assert codes == {("failed", "30007"), ("undelivered", "30005"), ("undelivered", "30008"), ("sent", "")}
    assert desk.counterpart.push_reports([]) is None


def test_a_reply_is_pushed_beside_the_last_named_url_and_says_what_the_platform_made_of_it() -> None:

    desk = Desk()
    desk.send(StatusCallback=CALLBACK)
    reply = Reply(id=1, number=desk.number, to="1", extension="", text=" stop", sent_at=NOON, signature="")
    push = desk.counterpart.push_reply(reply)
    assert push.url == "https://inbox.example/push/tui/word/inbound"
    assert parse_qs(push.body.decode())["OptOutType"] == ["STOP"]
    assert desk.ask("Messages.json").json()["messages"][0]["direction"] == "inbound"


def test_a_service_shows_itself_in_place_of_a_number() -> None:
    desk = Desk()
    sid = "MG" + "a" * 32
    desk.account.credentials = {**desk.account.credentials, "sender": sid}
    desk.counterpart = type(desk.counterpart)(desk.account)
    body = desk.send(From="", MessagingServiceSid=sid).json()
    assert (body["from"], body["messaging_service_sid"]) == (None, sid)


@pytest.mark.parametrize("reason, code", [(Reason.BALANCE, 20005), (Reason.THROTTLED, 20429), (Reason.HOURS, 21612)])
def test_the_worlds_refusals_have_the_vendors_codes(reason: Reason, code: int, monkeypatch: pytest.MonkeyPatch) -> None:

    desk = Desk()
    monkeypatch.setattr(desk.account, "submit", lambda submission: Turned(reason=reason))
    assert code_of(desk.send()) == code
