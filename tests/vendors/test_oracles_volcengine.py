"""Our side of Volcengine's wire, and its counterpart, against the vendor's own client."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.flow import play
from tests.vendors import samples
from tests.vendors.loopback import served
from tests.vendors.test_counterparts import World
from vendors.sandbox import volcengine as counterpart

pytestmark = pytest.mark.filterwarnings(
    r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning", "ignore::SyntaxWarning"
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
KEYS = st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=40)
MOMENTS = st.integers(10**9, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
KEY, SECRET = "AKLTfakefakefakefakefakefakefake00", "RmFrZVNlY3JldEtleUZvclRlc3RzMDAwMDAwMDAwMA=="
BODY = {
    "SmsAccount": "7a0f1b2c",
    "Sign": "测试签名",
    "TemplateID": "SMS_154950909",
    "TemplateParam": '{"code": "1234"}',
    "PhoneNumbers": "13800138000,13900001234",
    "Tag": "t1",
}


def theirs(request: httpx.Request, moment: datetime, secret: str) -> str:
    """The Authorization header that the official client gives our request."""
    signer = pytest.importorskip("volcenginesdkcore.signv4")
    headers = {"Host": request.headers["host"]}
    if "content-type" in request.headers:
        headers["Content-Type"] = request.headers["content-type"]
    frozen = SimpleNamespace(datetime=SimpleNamespace(utcnow=lambda: moment))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signer, "datetime", frozen)
        signer.SignerV4.sign(
            "/", request.method, headers, request.content.decode(), None, dict(request.url.params.multi_items()),
            KEY, secret, "cn-north-1", "volcSMS",
        )  # fmt: skip
    return headers["Authorization"]


@settings(max_examples=60, deadline=None)
@given(signature=TEXTS, value=TEXTS, reference=TEXTS, moment=MOMENTS, secret=KEYS)
def test_a_send_is_signed_like_the_official_client(
    signature: str, value: str, reference: str, moment: datetime, secret: str
) -> None:
    vendor = samples.make("volcengine", {"now": moment.isoformat(), "secret": secret})
    message = samples.message({"signature": signature, "parameters": {"code": value}, "reference": reference})
    request = play(vendor.submit(message)).request
    assert request is not None and request.headers["authorization"] == theirs(request, moment, secret)


@settings(max_examples=60, deadline=None)
@given(ticket=TEXTS, moment=MOMENTS, secret=KEYS, port=st.sampled_from(["", ":80", ":443", ":8080"]))
def test_a_question_is_signed_like_the_official_client(ticket: str, moment: datetime, secret: str, port: str) -> None:
    case = {"now": moment.isoformat(), "secret": secret, "endpoint": f"http://sms.example{port}"}
    request = play(samples.make("volcengine", case).query_signature(ticket)).request
    assert request is not None and request.headers["authorization"] == theirs(request, moment, secret)


def call(host: str, secret: str, body: dict[str, str]) -> Any:
    """SendSms through the official client, over loopback."""
    core = pytest.importorskip("volcenginesdkcore")
    universal = pytest.importorskip("volcenginesdkcore.universal")
    configuration = core.Configuration()
    configuration.ak, configuration.sk, configuration.region = KEY, secret, "cn-north-1"
    configuration.host, configuration.scheme = host, "http"
    info = universal.UniversalInfo(
        method="POST", service="volcSMS", version="2020-01-01", action="SendSms", content_type="application/json"
    )
    return universal.UniversalApi(core.ApiClient(configuration)).do_call(info, body)


def test_the_official_client_sends_through_the_counterpart_and_reads_the_answer() -> None:
    pytest.importorskip("volcenginesdkcore")
    world = World({"access_key": KEY, "secret_key": SECRET, "sms_account": "7a0f1b2c"}, stale="accepted")
    with served(counterpart.Counterpart(world)) as host:
        result = call(host, SECRET, BODY)
    ids = result["MessageID"] if isinstance(result, dict) else json.loads(result)["MessageID"]
    assert [one.key for one in world.taken] == list(ids) and len(ids) == 2
    assert world.taken[0].reference == "t1"


@pytest.mark.parametrize(
    "secret, changes, code",
    [("another", {}, "SignatureDoesNotMatch"), (SECRET, {"Sign": "未批签名"}, "RE:0004")],
)
def test_the_official_client_raises_the_vendors_own_error(secret: str, changes: dict[str, str], code: str) -> None:
    rest = pytest.importorskip("volcenginesdkcore.rest")
    world = World({"access_key": KEY, "secret_key": SECRET, "sms_account": "7a0f1b2c"}, stale="accepted")
    with served(counterpart.Counterpart(world)) as host, pytest.raises(rest.ApiException) as raised:
        call(host, secret, {**BODY, **changes})
    assert code in str(raised.value)
    assert not world.taken
