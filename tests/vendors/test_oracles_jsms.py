"""JSMS's own client against our requests and our counterpart, over loopback."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Purpose
from tests.vendors.loopback import served
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors.jsms import basic
from vendors.sandbox.world import World

KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=24)


def client(address: str, key: str, secret: str) -> Any:
    """The official client, sent to the counterpart."""
    one = pytest.importorskip("jsms").Jsms(key, secret)
    one.BASE_URL = f"http://{address}/v1/"
    return one


@pytest.fixture
def world() -> World:
    pytest.importorskip("jsms")
    world = World(truth_with("jsms"), seed=3, epoch=EPOCH)
    world.file_template("jiguang", "900001", "您的验证码是{code}", Purpose.VERIFICATION)
    return world


@pytest.fixture
def ours(world: World) -> Iterator[Any]:
    given = world.accounts["jiguang"].credentials
    with served(world.counterparts["jiguang"]) as address:
        yield client(address, given["app_key"], given["master_secret"])


@settings(max_examples=60, deadline=None)
@given(key=KEYS, secret=KEYS)
def test_we_are_known_as_the_official_client_is(key: str, secret: str) -> None:
    one = client("127.0.0.1:9", key, secret)
    requests = pytest.importorskip("requests")
    prepared = one.session.prepare_request(requests.Request("GET", "http://127.0.0.1:9/v1/accounts/app"))
    assert prepared.headers["Authorization"] == basic(key, secret)


def test_the_official_client_sends_through_the_counterpart_and_reads_its_answers(world: World, ours: Any) -> None:
    number = next(one.number for one in world.people.values() if one.phone).removeprefix("+86")
    assert ours.send_teml(number, 900001, {"code": "1234"}) == {"msg_id": "288193860303"}
    assert [sending.text for sending in world.accounts["jiguang"].sendings] == ["【某某科技】您的验证码是1234"]
    assert ours.send_teml("123", 900001, {"code": "1"})["error"]["code"] == 50006
    assert ours.send_teml(number, 900001, {"code": "1"})["error"] == {"code": 50009, "message": "out of freq"}
    assert ours.app_balance()["app_balance"] > 0


def test_the_official_client_hands_in_a_signature_and_asks_about_it(ours: Any) -> None:
    own = ours.create_sign("新签名", type=1, remark="登录")["sign_id"]
    assert ours.show_sign(str(own)) == {
        "sign_id": own, "sign": "新签名", "status": 0, "is_default": 0, "use_status": 0,
    }  # fmt: skip


def test_the_official_client_has_a_code_made_and_checked(world: World, ours: Any) -> None:
    number = next(one.number for one in world.people.values() if one.phone).removeprefix("+86")
    own = ours.send_code(number, 900001)["msg_id"]
    code = world.accounts["jiguang"].sendings[0].text.rpartition("是")[2]
    assert ours.verify_code(own, "x")["error"]["code"] == 50010
    assert ours.verify_code(own, code) == {"is_valid": True}


def test_the_official_client_is_told_in_the_vendors_words_that_its_secret_is_wrong(world: World) -> None:
    with served(world.counterparts["jiguang"]) as address:
        told = client(address, "sandbox-jiguang-key", "another").send_teml("13800001234", 900001, {"code": "1"})
    assert json.dumps(told) == '{"error": {"code": 50002, "message": "auth failed"}}'
