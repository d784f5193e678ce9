"""Yuntongxun's own client against our signature and our counterpart, over loopback."""

from __future__ import annotations

import json
import string
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Purpose
from tests.vendors.loopback import served
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors.sandbox.world import World
from vendors.yuntongxun import authorization, sig, stamp

KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=32)
SAID = "_SmsSDK__build"  # their methods are private to the class


def client(address: str, account: Any, token: str) -> Any:
    """The official client, sent to the counterpart."""
    one = pytest.importorskip("ronglian_sms_sdk").SmsSDK(
        account.credentials["account_sid"], token, account.credentials["app_id"]
    )
    one.url = f"http://{address}"
    return one


@settings(max_examples=80, deadline=None)
@given(account=KEYS, token=KEYS, seconds=st.integers(10**9, 4 * 10**9))
def test_we_sign_like_the_official_client(account: str, token: str, seconds: int) -> None:
    one = pytest.importorskip("ronglian_sms_sdk").SmsSDK(account, token, "app")
    when = stamp(datetime.fromtimestamp(seconds, UTC))
    assert getattr(one, f"{SAID}Sign")(when) == sig(account, token, when)
    assert getattr(one, f"{SAID}Headers")(when)["Authorization"].decode() == authorization(account, when)


@pytest.fixture
def world() -> World:
    pytest.importorskip("ronglian_sms_sdk")
    world = World(truth_with("yuntongxun"), seed=3, epoch=EPOCH)
    world.file_template("ronglian", "600001", "您的验证码是{code}", Purpose.VERIFICATION)
    return world


@pytest.fixture
def address(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The client takes its machine's time for Beijing's: we let it be the world's."""
    beijing = time.gmtime(EPOCH.timestamp() + 8 * 3600)
    monkeypatch.setattr(time, "localtime", lambda *given: beijing)
    with served(world.counterparts["ronglian"]) as address:
        yield address


def test_the_official_client_sends_through_the_counterpart_and_reads_its_answers(world: World, address: str) -> None:
    account = world.accounts["ronglian"]
    one = client(address, account, account.credentials["auth_token"])
    number = next(one.number for one in world.people.values() if one.phone).removeprefix("+86")
    told = json.loads(one.sendMessage("600001", number, ("1234",)))
    assert told["statusCode"] == "000000" and len(told["templateSMS"]["smsMessageSid"]) == 32
    assert [sending.text for sending in account.sendings] == ["【某某科技】您的验证码是1234"]
    again = json.loads(one.sendMessage("600001", number, ("1234",)))
    assert again == {"statusCode": "160038", "statusMsg": "短信验证码发送过频繁"}


def test_the_official_client_is_told_in_the_vendors_words_that_its_token_is_wrong(world: World, address: str) -> None:
    told = json.loads(client(address, world.accounts["ronglian"], "another").sendMessage("1", "13800001234", ()))
    assert told == {"statusCode": "111109", "statusMsg": "请求地址Sig校验失败"}
