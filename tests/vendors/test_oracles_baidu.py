"""Our side of Baidu's wire, and its counterpart, against the vendor's own client."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.flow import play
from tests.vendors import samples
from tests.vendors.loopback import served
from tests.vendors.test_counterparts import World
from vendors.sandbox import baidu as counterpart

pytestmark = pytest.mark.filterwarnings(
    r"ignore:datetime.datetime.utc\w+\(\) is deprecated:DeprecationWarning",
    "ignore::SyntaxWarning",
    "ignore::DeprecationWarning:baidubce.*",
    "ignore::DeprecationWarning:future.*",
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=40)
MOMENTS = st.integers(10**9, 4 * 10**9)
PORTS = st.sampled_from(["", ":80", ":8080"])
KEY, SECRET = "fakeaccesskeyid000000000000000", "fakesecretaccesskey00000000000"


def theirs(request: httpx.Request, seconds: int, secret: str) -> str:
    """The Authorization header that the official client gives our request."""
    sms = pytest.importorskip("baidubce.services.sms.sms_client").SmsClient
    credentials = pytest.importorskip("baidubce.auth.bce_credentials").BceCredentials(KEY, secret)
    names = ("host", "content-type", "content-length", "x-bce-date")
    headers = {name.encode(): request.headers[name].encode() for name in names if name in request.headers}
    query = {name.encode(): value.encode() for name, value in request.url.params.multi_items()}
    path = request.url.raw_path.partition(b"?")[0]
    signed: bytes = sms._bce_sms_sign(credentials, request.method.encode(), path, headers, query, seconds)
    return signed.decode()


def made(seconds: int, secret: str, port: str) -> Any:
    now = datetime.fromtimestamp(seconds, UTC).isoformat()
    return samples.make("baidu", {"now": now, "secret": secret, "endpoint": f"http://sms.example{port}"})


@settings(max_examples=60, deadline=None)
@given(value=TEXTS, reference=TEXTS, seconds=MOMENTS, secret=KEYS, port=PORTS)
def test_a_send_is_signed_like_the_official_client(
    value: str, reference: str, seconds: int, secret: str, port: str
) -> None:
    message = samples.message({"parameters": {"code": value}, "reference": reference})
    request = play(made(seconds, secret, port).submit(message)).request
    assert request is not None and request.headers["authorization"] == theirs(request, seconds, secret)


@settings(max_examples=60, deadline=None)
@given(number=TEXTS, seconds=MOMENTS, secret=KEYS, port=PORTS)
def test_a_question_is_signed_like_the_official_client(number: str, seconds: int, secret: str, port: str) -> None:
    vendor = made(seconds, secret, port)
    for flow in (
        vendor.is_blocked(number),
        vendor.unblock(number),
        vendor.statistics(*[date(2026, 3, 1)] * 2),
    ):
        request = play(flow).request
        assert request is not None and request.headers["authorization"] == theirs(request, seconds, secret)


def client(host: str, secret: str = SECRET) -> Any:
    """The official client, over loopback, without trying again."""
    module = pytest.importorskip("baidubce.services.sms.sms_client")
    configuration = pytest.importorskip("baidubce.bce_client_configuration").BceClientConfiguration
    credentials = pytest.importorskip("baidubce.auth.bce_credentials").BceCredentials(KEY, secret)
    return module.SmsClient(configuration(credentials=credentials, endpoint=f"http://{host}"))


def world() -> World:
    credentials = {"access_key": KEY, "secret_key": SECRET, "signature_id": "s1", "user_id": "u1"}
    return World(credentials, stale="accepted")


def send(host: str, secret: str = SECRET, **changes: str) -> Any:
    fields = {"signature_id": "s1", "template_id": "SMS_154950909", "mobile": "13800138000,123", **changes}
    return client(host, secret).send_message(content_var_dict={"code": "1234"}, custom="c1", **fields)


def test_the_official_client_sends_through_the_counterpart_and_reads_the_answer() -> None:
    pytest.importorskip("baidubce")
    door = world()
    with served(counterpart.Counterpart(door)) as host:
        told = send(host)
    assert [(row.code, row.mobile) for row in told.data] == [("1000", "13800138000"), ("4503", "123")]
    assert [(one.key, one.reference) for one in door.taken] == [(told.data[0].message_id, "c1")]


@pytest.mark.parametrize(
    "secret, changes, code",
    [("another", {}, "6002"), (SECRET, {"template_id": "no"}, "4602"), (SECRET, {"mobile": "1"}, "4503")],
)
def test_the_official_client_raises_the_vendors_own_error(secret: str, changes: dict[str, str], code: str) -> None:
    errors = pytest.importorskip("baidubce.exception")
    door = world()
    with served(counterpart.Counterpart(door)) as host, pytest.raises(errors.BceHttpClientError) as raised:
        send(host, secret, **changes)
    assert raised.value.code == code and not door.taken


def test_the_official_client_files_asks_counts_and_reads_packages() -> None:
    pytest.importorskip("baidubce")
    with served(counterpart.Counterpart(world())) as host:
        mine = client(host)
        made_template = mine.create_template("n", "码${code}", "CommonNotice", "DOMESTIC", "d")
        told = mine.get_template_detail(made_template.template_id)
        assert (told.status, told.content) == ("SUBMITTED", "码${code}")
        own = mine.create_signature("新签名", "Else", country_type="DOMESTIC").signature_id
        assert mine.get_signature_detail(own).status == "SUBMITTED"
        rows = mine.list_statistics("2024-01-14", "2024-01-15").statistics_results
        assert len(rows) == 3
        assert mine.get_prepaid_packages("u1", country_type="DOMESTIC").total_count == 1
