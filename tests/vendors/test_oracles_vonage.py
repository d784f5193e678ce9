"""Vonage's own client against our signature and our counterpart, over loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vendors.loopback import served
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import vonage
from vendors.sandbox.fate import claim_of
from vendors.sandbox.world import World

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-_", min_size=1, max_size=10).filter(lambda name: name != "sig")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
KEYS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=40)
METHODS = ["md5", "sha1", "sha256", "sha512"]


def auth(secret: str = "", signing: str = "", method: str = "md5") -> Any:
    theirs = pytest.importorskip("vonage_http_client.auth").Auth
    return theirs(
        api_key="abcd1234", api_secret=secret or None, signature_secret=signing or None, signature_method=method
    )


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(secret=KEYS, fields=st.dictionaries(NAMES, TEXTS, max_size=8), at=st.integers(1, 4 * 10**9))
def test_fields_are_signed_like_the_official_client_signs(
    method: str, secret: str, fields: dict[str, str], at: int
) -> None:
    whole = {**fields, "timestamp": str(at)}
    assert vonage.signature(whole, secret, method) == auth(signing=secret, method=method).sign_params(dict(whole))


@pytest.fixture
def world() -> World:
    pytest.importorskip("vonage_sms")
    return World(truth_with("vonage"), seed=3, epoch=EPOCH)


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with served(world.counterparts["wo"]) as address:
        yield address


def client(address: str, secret: str) -> Any:
    """The official HTTP client; it knows no http, so its session is told to."""
    http = pytest.importorskip("vonage_http_client.http_client")
    made = http.HttpClient(auth(secret), http.HttpClientOptions(rest_host=address))
    plain = made._session.request
    made._session.request = lambda method, url, **more: plain(method, url.replace("https://", "http://"), **more)
    return made


def test_the_official_client_sends_through_the_counterpart_and_reads_its_answer(world: World, address: str) -> None:
    sms = pytest.importorskip("vonage_sms")
    number = next(one.number for one in world.people.values() if one.phone)
    message = sms.SmsMessage(
        to=number[1:], from_="12025550144", text="【某某科技】您的验证码是1234", type="unicode", client_ref="r1",
        callback="https://inbox.example/push/wo/word/reports",
    )  # fmt: skip
    reply = sms.Sms(client(address, "sandbox-wo-secret")).send(message)
    (sending,) = world.accounts["wo"].sendings
    (part,) = reply.messages
    assert (part.message_id, part.status, part.client_ref) == (sending.key, "0", "r1")
    assert sending.text == "【某某科技】您的验证码是1234"
    with pytest.raises(sms.SmsError, match="error code 4: Bad Credentials"):
        sms.Sms(client(address, "another-secret")).send(message)


def test_the_official_client_reads_balance_and_prices(world: World, address: str) -> None:
    account = pytest.importorskip("vonage_account")
    subject = account.Account(client(address, "sandbox-wo-secret"))
    assert subject.get_balance().value > 0
    prices = subject.get_country_pricing(account.GetCountryPricingRequest(type="sms", country_code="CN"))
    assert prices.currency == "EUR" and float(prices.default_price) > 0 and prices.networks[0].mcc == "460"


@pytest.mark.parametrize("method", METHODS)
def test_the_counterparts_pushes_hold_before_the_official_check(world: World, method: str) -> None:
    account: Any = world.accounts["wo"]
    counterpart: Any = world.counterparts["wo"]
    account.options = {"sig_method": method, "sig_case": "upper"}
    counterpart._send({"to": next(one.number for one in world.people.values() if one.phone)[1:],
                       "from": "12025550144", "text": "a=b&c"})  # fmt: skip
    (push,) = counterpart.push_reports([claim_of(account.sendings[0])])
    fields = json.loads(push.body)
    assert auth(signing="sandbox-wo-signing", method=method).check_signature(fields)
