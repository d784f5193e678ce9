"""Our signatures against the vendors' own clients, for inputs that nobody thought of."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.flow import play
from tests.vendors import samples
from vendors import alibaba, tencent

pytestmark = pytest.mark.filterwarnings(
    # The clients' own habits, not ours.
    r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning",
    r"ignore:pkg_resources is deprecated:UserWarning",
)

NAMES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=40)
MOMENTS = st.integers(10**9, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
MESSAGES = st.fixed_dictionaries(
    {
        "number": st.from_regex(r"\+861[3-9]0000[0-9]{5}", fullmatch=True),
        "signature": TEXTS,
        "template": NAMES,
        "parameters": st.dictionaries(NAMES, TEXTS, max_size=4),
        "reference": TEXTS,
    }
)


def sent(vendor: str, method: str, moment: datetime, secret: str, options: dict[str, str], **arguments: Any) -> Any:
    """The request of one call with a secret, at a moment."""
    case = {"now": moment.isoformat(), "secret": secret, "options": options}
    return play(getattr(samples.make(vendor, case), method)(**arguments)).request


# --- Alibaba ---------------------------------------------------------------------------------------------------------


def alibaba_client() -> Any:
    return pytest.importorskip("alibabacloud_tea_openapi.utils").Utils


@settings(max_examples=60, deadline=None)
@given(given_message=MESSAGES, moment=MOMENTS, secret=KEYS)
def test_alibaba_v3_signs_like_the_official_client(given_message: Any, moment: datetime, secret: str) -> None:
    request = sent("alibaba", "submit", moment, secret, {}, message=samples.message(given_message))
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    theirs = SimpleNamespace(
        method=request.method,
        pathname=request.url.path,
        query=dict(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
        headers={name: request.headers[name] for name in names},
    )
    digest, key = (
        request.headers["x-acs-content-sha256"],
        samples.load("alibaba", "account")["credentials"]["access_key"],
    )
    wanted = alibaba_client().get_authorization(theirs, "ACS3-HMAC-SHA256", digest, key, secret)
    assert request.headers["authorization"] == wanted


@settings(max_examples=60, deadline=None)
@given(given_messages=st.lists(MESSAGES, min_size=1, max_size=4), moment=MOMENTS, secret=KEYS)
def test_alibaba_v3_signs_forms_too(given_messages: Any, moment: datetime, secret: str) -> None:
    messages = [samples.message({**one, "template": "SMS_1"}) for one in given_messages]
    request = sent("alibaba", "submit_bulk", moment, secret, {}, messages=messages)
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert "content-type" in names
    theirs = SimpleNamespace(
        method="POST",
        pathname="/",
        query={"TemplateCode": "SMS_1"},
        headers={name: request.headers[name] for name in names},
    )
    client = alibaba_client()
    digest = client.hash(request.content, "ACS3-HMAC-SHA256").hex()
    key = samples.load("alibaba", "account")["credentials"]["access_key"]
    assert request.headers["authorization"] == client.get_authorization(theirs, "ACS3-HMAC-SHA256", digest, key, secret)


@settings(max_examples=60, deadline=None)
@given(given_messages=st.lists(MESSAGES, min_size=1, max_size=3), moment=MOMENTS, secret=KEYS)
def test_alibaba_v1_signs_like_the_official_client(given_messages: Any, moment: datetime, secret: str) -> None:
    messages = [samples.message({**one, "template": "SMS_1"}) for one in given_messages]
    for method, arguments in (("submit", {"message": messages[0]}), ("submit_bulk", {"messages": messages})):
        request = sent("alibaba", method, moment, secret, {"signing": "v1"}, **arguments)
        parameters = dict(parse_qsl(f"{request.url.query.decode()}&{request.content.decode()}", keep_blank_values=True))
        signature = parameters.pop("Signature")
        assert signature == alibaba_client().get_rpcsignature(parameters, "POST", secret)


@settings(max_examples=100, deadline=None)
@given(parameters=st.dictionaries(TEXTS, TEXTS, max_size=6), secret=TEXTS)
def test_alibaba_rpc_signature_holds_for_any_parameters(parameters: dict[str, str], secret: str) -> None:
    assert alibaba.rpc_signature("POST", parameters, secret) == alibaba_client().get_rpcsignature(
        parameters, "POST", secret
    )


# --- Tencent ---------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(secret=KEYS, moment=MOMENTS, words=TEXTS)
def test_tencent_derives_its_key_like_the_official_client(secret: str, moment: datetime, words: str) -> None:
    sign = pytest.importorskip("tencentcloud.common.sign").Sign
    to_sign = tencent.string_to_sign(moment, words)
    ours = tencent.authorization("id", secret, moment, words).partition("Signature=")[2]
    assert ours == sign.sign_tc3(secret, f"{moment:%Y-%m-%d}", "sms", to_sign)


@settings(max_examples=60, deadline=None)
@given(given_message=MESSAGES, moment=MOMENTS, secret=KEYS)
def test_tencent_sends_the_bytes_of_the_official_client(given_message: Any, moment: datetime, secret: str) -> None:
    common = pytest.importorskip("tencentcloud.common.abstract_client")
    credential = pytest.importorskip("tencentcloud.common.credential")
    client_module = pytest.importorskip("tencentcloud.sms.v20210111.sms_client")
    internal = pytest.importorskip("tencentcloud.common.http.request").RequestInternal

    request = sent("tencent", "submit", moment, secret, {}, message=samples.message(given_message))
    account = samples.load("tencent", "account")["credentials"]
    client = client_module.SmsClient(credential.Credential(account["secret_id"], secret), "ap-guangzhou")
    theirs = internal("sms.tencentcloudapi.com", "POST", "/", header={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "time", SimpleNamespace(time=moment.timestamp))
        client._build_req_inter("SendSms", json.loads(request.content), theirs)
    assert request.content.decode() == theirs.data
    for name in (
        "Authorization",
        "Content-Type",
        "Host",
        "X-TC-Action",
        "X-TC-Timestamp",
        "X-TC-Version",
        "X-TC-Region",
    ):
        assert request.headers[name] == theirs.header[name], name
