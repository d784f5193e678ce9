"""Huawei's own client against the counterpart, and its signatures against ours."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.capabilities import Account, Tools
from harness.domain import Secret
from tests.vendors.loopback import served
from tests.vendors.test_counterparts_more import APP_KEY, APP_SECRET, SENDER, hua
from vendors.huawei import Vendor

FIXED = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30)
MOMENTS = st.integers(1_577_836_800, 2_051_222_400).map(lambda second: datetime.fromtimestamp(second, UTC))
KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", min_size=4, max_size=40)


def vendor(moment: datetime, secret: str, project: str = "proj123") -> Vendor:
    credentials = {"app_key": "app", "app_secret": Secret(secret), "sender": SENDER, "project_id": project}
    credentials |= {"access_key": "AK0001", "secret_key": Secret(secret)}
    options = {**Vendor.manifest.options, "auth": "aksk"}
    account = Account(label="hua", credentials=credentials, signature="某某科技", options=options)
    return Vendor(account, Tools(now=lambda: moment, nonce=lambda: "0" * 32))


def official(request: httpx.Request, key: str, secret: str) -> str:
    """The Authorization header that the official signer gives the same request."""
    sdk = pytest.importorskip("huaweicloudsdkcore.sdk_request")
    signer = pytest.importorskip("huaweicloudsdkcore.signer.signer")
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    for name in ("content-length", "accept", "accept-encoding", "connection", "user-agent"):
        headers.pop(name, None)
    headers = {{"content-type": "Content-Type"}.get(name, name): value for name, value in headers.items()}
    headers.pop("x-sdk-content-sha256", None)  # the signer decides on it by itself
    asked = sdk.SdkRequest(
        method=request.method,
        schema="https",
        host=request.url.host,
        resource_path=request.url.path,
        query_params=list(request.url.params.multi_items()),
        header_params=headers,
        body=request.content,
    )
    signed = signer.Signer(SimpleNamespace(ak=key, sk=secret)).sign(asked)
    return str(signed.header_params["Authorization"])


@FIXED
@given(moment=MOMENTS, secret=KEYS, words=st.dictionaries(KEYS, WORDS, max_size=4))
def test_a_send_is_signed_like_the_official_client_signs_it(moment, secret, words):
    request = vendor(moment, secret)._send(
        "/sms/batchSendSms/v1", "application/x-www-form-urlencoded", urlencode(words).encode() or b"a=1"
    )
    assert request.headers["x-sdk-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert request.headers["authorization"] == official(request, "app", secret)


@FIXED
@given(moment=MOMENTS, secret=KEYS, name=WORDS, query=st.dictionaries(st.sampled_from(("limit", "sign_name")), KEYS))
def test_a_question_about_templates_is_signed_like_the_official_client_signs_it(moment, secret, name, query):
    one = vendor(moment, secret)
    asked = one._manage("POST", "templates", {"template_name": name})
    assert asked.headers["authorization"] == official(asked, "AK0001", secret)
    joined = "&".join(f"{key}={httpx.QueryParams({key: value})[key]}" for key, value in sorted(query.items()))
    plain = one._manage("GET", "templates", query=joined if joined.replace("=", "").replace("&", "").isalnum() else "")
    assert plain.headers["authorization"] == official(plain, "AK0001", secret)


def sent_by_the_kit(secret: str) -> tuple[object, object]:
    sdk = pytest.importorskip("huaweicloudsdksmsapi.v1")
    credentials = pytest.importorskip("huaweicloudsdksmsapi.v1.smsapi_credentials")
    world, counterpart = hua(stale="accepted")
    with served(counterpart) as address:
        builder = sdk.SMSApiClient.new_builder().with_credentials(credentials.SMSApiCredentials(APP_KEY, secret))
        client = builder.with_endpoint(f"http://{address}").build()
        body = sdk.BatchSendSmsRequestBody(
            _from=SENDER, to="+8613800138000", template_id="SMS_154950909", template_paras='["1234"]'
        )
        return client.batch_send_sms(sdk.BatchSendSmsRequest(body=body)), world


def test_the_official_client_sends_and_reads_the_id_it_expects():
    answer, world = sent_by_the_kit(APP_SECRET)
    assert answer.code == "000000" and answer.result[0].sms_msg_id
    assert len(world.taken) == 1


def test_a_wrong_secret_gets_the_vendors_own_error_through_the_official_client():
    errors = pytest.importorskip("huaweicloudsdkcore.exceptions.exceptions")
    with pytest.raises(errors.ClientRequestException) as refused:
        sent_by_the_kit(APP_SECRET[::-1])
    assert refused.value.status_code == 401
    assert "E00010" in str(refused.value) or "E000045" in str(refused.value)
