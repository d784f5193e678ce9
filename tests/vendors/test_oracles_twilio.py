"""Twilio's own client against our signature and our counterpart, over loopback."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vendors.loopback import served
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import twilio
from vendors.sandbox.world import World

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=40)
URLS = st.from_regex(r"https://[a-z]{1,8}\.example(:[1-9][0-9]{1,3})?/[a-zA-Z0-9/_-]{0,20}(\?[a-z]=[a-z0-9%]{0,9})?",
                     fullmatch=True)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(secret=KEYS, url=URLS, fields=st.dictionaries(TEXTS, TEXTS, max_size=8))
@pytest.mark.parametrize("name, digest", [("HMAC_SHA1", "sha1"), ("HMAC_SHA256", "sha256")])
def test_a_push_is_signed_like_the_official_client_signs(
    name: str, digest: str, secret: str, url: str, fields: dict[str, str]
) -> None:
    theirs = pytest.importorskip("twilio.request_validator").RequestValidator(secret)
    words = twilio.signed_words(url, list(fields.items()))
    assert twilio.push_signature(secret, words, digest) == theirs.compute_signature(url, fields, name)
    for called in twilio.with_and_without_port(url):
        signed = twilio.push_signature(secret, twilio.signed_words(called, list(fields.items())), digest)
        assert theirs.validate(url, fields, signed, name) or called != url


@pytest.mark.parametrize("header", ["", "key=a,algorithm=HMAC_SHA256", "algorithm=,x=y", " key = a , algorithm = X "])
def test_the_algorithm_is_read_like_the_official_client_reads_it(header: str) -> None:
    theirs = pytest.importorskip("twilio.request_validator").get_signature_algorithm
    assert twilio.algorithm(header) == theirs(header).upper()


class Client:
    """The official client, sent to the counterpart."""

    def __init__(self, address: str, token: str, account: Any) -> None:
        rest = pytest.importorskip("twilio.rest")
        http = pytest.importorskip("twilio.http.http_client").TwilioHttpClient

        class Redirected(http):
            def request(self, method: str, url: str, *rest: Any, **more: Any) -> Any:
                return super().request(
                    method, url.replace("https://api.twilio.com", f"http://{address}"), *rest, **more
                )

        self.sid = account.credentials["account_sid"]
        self.rest = rest.Client(self.sid, token, http_client=Redirected())


@pytest.fixture
def world() -> World:
    pytest.importorskip("twilio")
    return World(truth_with("twilio"), seed=3, epoch=EPOCH)


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with served(world.counterparts["tui"]) as address:
        yield address


def test_the_official_client_sends_through_the_counterpart_and_reads_its_answers(world: World, address: str) -> None:
    account = world.accounts["tui"]
    client = Client(address, account.credentials["auth_token"], account).rest
    number = next(one.number for one in world.people.values() if one.phone)
    sent = client.messages.create(
        to=number, from_=account.credentials["sender"], body="【某某科技】您的验证码是1234",
        status_callback="https://inbox.example/push/tui/word/reports",
    )  # fmt: skip
    assert sent.sid.startswith("SM") and sent.status == "queued" and sent.num_segments == "1"
    assert [sending.text for sending in account.sendings] == ["【某某科技】您的验证码是1234"]
    found = client.messages(sent.sid).fetch()
    assert found.body == sent.body and isinstance(found.date_created, datetime)
    listed = client.messages.list(to=number, date_sent_after=EPOCH, date_sent_before=EPOCH)
    assert [one.sid for one in listed] == [sent.sid]
    assert client.balance.fetch().currency == "USD"
    (usage,) = client.usage.records.daily.list(category="sms-outbound", start_date=EPOCH.date(), end_date=EPOCH.date())
    assert usage.count == "1"


def test_the_official_client_is_told_in_the_vendors_words_that_its_token_is_wrong(world: World, address: str) -> None:
    wrong = pytest.importorskip("twilio.base.exceptions").TwilioRestException
    client = Client(address, "another-token", world.accounts["tui"]).rest
    with pytest.raises(wrong) as raised:
        client.messages.create(to="+8613800001234", from_="+12025550123", body="x")
    assert (raised.value.status, raised.value.code) == (401, 20003)


def test_the_official_client_pages_through_the_counterpart(world: World, address: str) -> None:
    account = world.accounts["tui"]
    account.options = {"page_size": "2"}
    client = Client(address, account.credentials["auth_token"], account).rest
    number = next(one.number for one in world.people.values() if one.phone)
    for nth in range(5):
        client.messages.create(to=number, from_=account.credentials["sender"], body=f"【某某科技】第{nth}条")
    assert len(client.messages.list(to=number)) == 5


def test_the_counterparts_pushes_hold_before_the_official_validator(world: World) -> None:
    validator = pytest.importorskip("twilio.request_validator").RequestValidator
    account = world.accounts["tui"]
    counterpart: Any = world.counterparts["tui"]
    url = "https://inbox.example/push/tui/word/reports"
    push = counterpart._push({"MessageSid": "SM1", "MessageStatus": "sent", "To": "+8613800001234"}, url)
    fields = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+8613800001234"}
    assert validator(account.credentials["auth_token"]).validate(url, fields, push.headers["x-twilio-signature"])
