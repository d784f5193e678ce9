"""Qiniu's own client against our signature and our counterpart, over loopback."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Purpose
from tests.vendors.loopback import served
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import qiniu
from vendors.sandbox.world import World

pytestmark = pytest.mark.filterwarnings(r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning")

KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=40)
PATHS = st.from_regex(r"/v1/[a-z/]{1,20}(\?[a-z]=[a-z0-9%]{0,9}(&[a-z]=[a-z0-9]{1,4})?)?", fullmatch=True)
KINDS = st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "application/octet-stream"])
BODIES = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=150, deadline=None)
@given(secret=KEYS, method=st.sampled_from(["GET", "POST"]), target=PATHS, kind=KINDS, body=BODIES,
       dates=st.dictionaries(st.sampled_from(["X-Qiniu-Date", "X-Qiniu-Aa", "X-Qiniu-Zz"]), KEYS))  # fmt: skip
def test_a_request_is_signed_like_the_official_client_signs(
    secret: str, method: str, target: str, kind: str, body: str, dates: dict[str, str]
) -> None:
    theirs = pytest.importorskip("qiniu").QiniuMacAuth("ak", secret)
    url = f"https://sms.qiniuapi.com{target}"
    wanted = theirs.token_of_request(method, "sms.qiniuapi.com", url, theirs.qiniu_headers(dates), kind, body)
    headers = {"host": "sms.qiniuapi.com", "content-type": kind, **{name.lower(): dates[name] for name in dates}}
    words = qiniu.string_to_sign(method, target, {k: v for k, v in headers.items() if v}, body.encode())
    assert f"ak:{qiniu.signature(secret, words)}" == wanted


@pytest.fixture
def world() -> World:
    pytest.importorskip("qiniu")
    world = World(truth_with("qiniu"), seed=3, epoch=EPOCH)
    world.accounts["niu"].options = {"stale": "accepted"}  # the client signs the real time of day
    world.file_template("niu", "T1", "验证码{code}", Purpose.VERIFICATION)
    return world


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with served(world.counterparts["niu"]) as address:
        yield address


def client(address: str, secret: str) -> Any:
    sdk = pytest.importorskip("qiniu")
    sms = sdk.Sms(sdk.QiniuMacAuth("sandbox-niu-key", secret))
    sms.server = f"http://{address}"
    return sms


def test_the_official_client_sends_files_and_asks_through_the_counterpart(world: World, address: str) -> None:
    sms = client(address, "sandbox-niu-secret")
    number = next(one.number[3:] for one in world.people.values() if one.phone)
    sent, info = sms.sendMessage("T1", [number], {"code": "1234"})
    assert info.status_code == 200 and sent["job_id"]
    assert [sending.text for sending in world.accounts["niu"].sendings] == ["【某某科技】验证码1234"]
    told, _ = sms.get_messages_info()
    assert [item["mobile"] for item in told["items"]] == [number]
    own, _ = sms.createSignature("新签名", "app")
    found, _ = sms.querySignature()
    assert own["signature_id"] in [item["id"] for item in found["items"]]
    filed = next(item["id"] for item in found["items"] if item["audit_status"] == "passed")
    template, _ = sms.createTemplate("n", "码${code}", "verification", "d", filed)
    listed, _ = sms.queryTemplate("reviewing")
    assert [item["id"] for item in listed["items"]] == [template["template_id"]]


def test_the_official_client_is_told_in_the_vendors_words_that_its_secret_is_wrong(world: World, address: str) -> None:
    _, info = client(address, "another-secret").sendMessage("T1", ["13800001234"], {"code": "1"})
    assert info.status_code == 401 and "BadToken" in info.text_body
