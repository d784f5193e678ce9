"""UCloud's own client against our signature and our counterpart, over loopback."""

from __future__ import annotations

import base64
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
from vendors import ucloud
from vendors.sandbox.world import World

NAMES = st.text(string.ascii_letters, min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
KEYS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(secret=KEYS, public=KEYS, fields=st.dictionaries(NAMES, st.one_of(TEXTS, st.lists(TEXTS, max_size=4))))
def test_a_request_is_signed_like_the_official_client_signs(secret: str, public: str, fields: dict[str, Any]) -> None:
    auth = pytest.importorskip("ucloud.core.auth")
    encoder = pytest.importorskip("ucloud.core.typesystem.encoder")
    ours = ucloud.flattened({**fields, "PublicKey": public})
    theirs = auth.Credential(public, secret).verify_ac(encoder.encode(fields))
    assert ucloud.signature(ours, secret) == theirs


@pytest.fixture
def world() -> World:
    pytest.importorskip("ucloud")
    world = World(truth_with("ucloud"), seed=3, epoch=EPOCH)
    world.file_template("you", "T1", "验证码{code}", Purpose.VERIFICATION)
    return world


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with served(world.counterparts["you"]) as address:
        yield address


def client(address: str, secret: str) -> Any:
    sdk = pytest.importorskip("ucloud.client")
    return sdk.Client(
        {
            "region": "cn-bj2",
            "project_id": "org-sandbox",
            "public_key": "sandbox-you-key",
            "private_key": secret,
            "base_url": f"http://{address}/",
        }
    ).usms()


def test_the_official_client_sends_files_and_asks_through_the_counterpart(world: World, address: str) -> None:
    usms = client(address, "sandbox-you-secret")
    number = next(one.number[3:] for one in world.people.values() if one.phone)
    sent = usms.send_usms_message(
        {"PhoneNumbers": [number], "TemplateId": "T1", "SigContent": "某某科技", "TemplateParams": ["1234"]}
    )
    assert [(one.key, one.text) for one in world.accounts["you"].sendings] == [
        (sent["SessionNo"], "【某某科技】验证码1234")
    ]
    (receipt,) = usms.get_usms_send_receipt({"SessionNoSet": [sent["SessionNo"]]})["Data"]
    assert receipt["ReceiptSet"][0]["Phone"] == number
    target = {"TemplateParams": ["5"], "Phone": number}
    content = [{"TemplateId": "T1", "SigContent": "某某科技", "Target": [target]}]
    packed = base64.b64encode(json.dumps(content).encode()).decode()
    assert usms.send_batch_usms_message({"TaskContent": packed})["SuccessCount"] == 1
    own = usms.create_usms_template({"Purpose": 1, "Template": "码{1}", "TemplateName": "t"})
    assert usms.query_usms_template({"TemplateId": own["TemplateId"]})["Data"]["Status"] == 1
    sign = usms.create_usms_signature(
        {"SigContent": "新签名", "SigType": 0, "SigPurpose": 0, "CertificateType": 0, "Description": "d"}
    )
    assert usms.query_usms_signature({"SigId": sign["SigId"]})["Data"]["SigContent"] == "新签名"
    told = usms.get_usms_send_statistics(
        {"Domestic": 1, "StartDate": "2026-03-02", "EndDate": "2026-03-02", "Page": 0, "NumPerPage": 10,
         "OrderBy": "SendDate", "OrderType": "asc"}
    )  # fmt: skip
    assert told["Data"][0]["Count"] == 2 and told["StatisticsData"]["SendCount"] == 2


def test_the_official_client_is_told_in_the_vendors_words_that_its_key_is_wrong(world: World, address: str) -> None:
    wrong = pytest.importorskip("ucloud.core.exc").RetCodeException
    with pytest.raises(wrong) as raised:
        client(address, "another-secret").query_usms_signature({"SigContent": "某某科技"})
    assert raised.value.code == 171
