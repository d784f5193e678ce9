"""What is the shipped descriptions' own, beyond what holds for every vendor, and their mutations."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any

import httpx
import pytest

from harness import registry
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import DESCRIBED, MODULES, make, message
from tests.vendors.test_conversations import Stage

# Vendor → what is wrong, what stands in the description, and what stands there instead.
STEPS: dict[str, list[tuple[str, str, str]]] = {
    "luosimao": [
        ("the user is left out", "'Basic ' ~ ('api:key-' ~ account.apikey)|base64", "'Basic ' ~ account.apikey|base64"),
        ("the other alphabet is not told from none", "account.apikey)|base64", "account.apikey)|sha1|base64"),
        ("the signature stays in front", "if option.place == 'end'", "if option.place == 'front'"),
    ],
    "zhutong": [
        ("the inner digest is left out", "((account.password|md5|hex) ~ stamp)", "(account.password ~ stamp)"),
        ("the digest is of another kind", "stamp)|md5|hex", "stamp)|sha1|hex"),
        ("the stamp is in milliseconds", "now|unix", "now|unix_ms"),
        ("the stamp is a text", "numbers: [tKey]", "numbers: []"),
    ],
    "ihuyi": [
        ("key and account change places", "(account.account ~ account.apikey ~", "(account.apikey ~ account.account ~"),
        ("the text is left out", "message.national ~ words ~ stamp", "message.national ~ stamp"),
        ("the digest is of another kind", "words ~ stamp)|md5|hex", "words ~ stamp)|sha1|hex"),
    ],
    "ctyun": [
        ("a key of the chain is left out", "hmac(account.access_key|hmac(stamp|hmac(account.secret_key)))",
         "hmac(stamp|hmac(account.secret_key))"),
        ("the body is not signed", "(body|sha256|hex)", "(''|sha256|hex)"),
        ("a line of the string is missing", r"'\n\n\n'", r"'\n\n'"),
        ("hex instead of Base64", "|hmac(key)|base64)", "|hmac(key)|hex)"),
        ("the stamp is in UTC", "if option.clock == 'beijing'", "if option.clock == 'utc'"),
    ],
    "unisms": [
        ("the pairs are not encoded", "encode='form')|hmac(account.access_key_secret)|base64",
         "encode='')|hmac('x')|base64"),
        ("the digest is of another kind", "|hmac(account.access_key_secret)|hex",
         "|hmac(account.access_key_secret, 'sha1')|hex"),
        ("the unit is another", "if option.unit == 'seconds'", "if option.unit == 'milliseconds'"),
    ],
    "ninetian": [
        ("the fixed end is left out", "~ '_topsky')", ")"),
        ("the digest is of another kind", "'_topsky')|md5|hex", "'_topsky')|sha1|hex"),
        ("the text is in UTF-8", "charset: gbk", "charset: utf-8"),
    ],
}  # fmt: skip


def text_of(vendor: str) -> str:
    return resources.files("vendors").joinpath("described", f"{vendor}.yaml").read_text(encoding="utf-8")


def wrong_step(vendor: str, old: str, new: str) -> Any:
    text = text_of(vendor)
    assert old in text, old
    return registry._described(text.replace(old, new), f"{vendor}.yaml").Vendor


MUTATIONS = [
    (vendor, what, MODULES[vendor], "Vendor", wrong_step(vendor, old, new))
    for vendor, steps in STEPS.items()
    for what, old, new in steps
]
"""As in test_mutations.py, which tries them."""


@pytest.mark.parametrize("vendor", DESCRIBED)
def test_every_description_has_its_mutations(vendor: str) -> None:
    assert STEPS[vendor]


@pytest.mark.parametrize("vendor", [vendor for vendor in DESCRIBED if not MODULES[vendor].Vendor.manifest.by_template])
def test_any_character_goes_out_or_is_said_not_to(vendor: str) -> None:
    for text in ("【某某科技】&=+%#?/\\\"'<>{}\n\t", "【某某科技】😀", "【某某科技】ア€ß"):
        try:
            request = play(make(vendor).submit(message({"text": text}))).request
        except VendorTrouble as trouble:
            assert not trouble.written and "gbk" in trouble.detail
            continue
        assert isinstance(request, httpx.Request)


@pytest.mark.parametrize("vendor", DESCRIBED)
def test_garbage_gets_the_vendors_own_no_from_the_counterpart(vendor: str) -> None:
    stage = Stage(vendor)
    counterpart = stage.world.counterparts[stage.label]
    for method, url, content, kind in (
        ("GET", "https://x.sandbox/", b"", ""),
        ("POST", "https://x.sandbox/v1/send.json", b"\xff=\xff", "application/x-www-form-urlencoded"),
        ("POST", "https://x.sandbox/v2/sendSms", b"[]", "application/json"),
        ("POST", "https://x.sandbox/v2/sendSms", b"{", "application/json"),
        (
            "POST",
            "https://x.sandbox/webservice/sms.php?method=Submit",
            b"account=",
            "application/x-www-form-urlencoded",
        ),
        ("POST", "https://x.sandbox/webservice/sms.php?method=Nothing", b"", "application/x-www-form-urlencoded"),
        ("POST", "https://x.sandbox/sms/api/v1", b"{}", "application/json"),
        ("POST", "https://x.sandbox/?action=sms.message.send", b"{}", "application/json"),
        ("GET", "https://x.sandbox/houtai/sms.php?msg=%80", b"", ""),
    ):
        headers = {"content-type": kind} if kind else {}
        reply = counterpart.answer(httpx.Request(method, url, content=content, headers=headers))
        assert b"success" not in reply.content.lower() and b'"error":0' not in reply.content
    assert not stage.world.sendings
    assert not counterpart.push_reports([]) and counterpart.acknowledged(204, b"")
    stage.loop.close()


NOES = [
    ("luosimao", {"text": "没有签名"}, "-32"),
    ("luosimao", {"text": "【没有】报备"}, "-34"),
    ("luosimao", {"text": "【某某科技】" + "长" * 300}, "-33"),
    ("luosimao", {"number": "+85200001234", "text": "【某某科技】a"}, "-40"),
    ("zhutong", {"text": "没有签名"}, "4023"),
    ("zhutong", {"number": "+85200001234", "text": "【某某科技】a"}, "4004"),
    ("ihuyi", {"text": "【某某科技】没有这个模板"}, "4072"),
    ("ihuyi", {"text": "【没有】报备"}, "4075"),
    ("ihuyi", {"text": "【某某科技】" + "长" * 500}, "4073"),
    ("ihuyi", {"number": "+85200001234", "text": "【某某科技】a"}, "406"),
    ("ctyun", {"template": "SMS0"}, "INVALID_TEMPLATE"),
    ("ctyun", {"signature": "没有"}, "INVALID_SIGNATURE"),
    ("ctyun", {"parameters": {}}, "INVALID_PARAMETER"),
    ("ctyun", {"number": "+85200001234"}, "INVALID_NUMBER"),
    ("unisms", {"template": "pub_0"}, "400"),
    ("unisms", {"signature": "没有"}, "400"),
    ("unisms", {"parameters": {}}, "400"),
    ("unisms", {"number": "+85200001234"}, "400"),
    ("ninetian", {"text": "没有签名"}, "-8"),
    ("ninetian", {"text": "【没有】报备"}, "-9"),
    ("ninetian", {"number": "+85200001234", "text": "【某某科技】a"}, "-4"),
]


@pytest.mark.parametrize("vendor, change, code", NOES, ids=[f"{vendor}: {code}" for vendor, _, code in NOES])
def test_a_message_that_cannot_go_has_its_code(vendor: str, change: dict[str, Any], code: str) -> None:
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        template = stage.templates["login_code"]
        one = message({"signature": "某某科技", "template": template, "text": "【某某科技】a", **change})
        outcome = await stage.ask(lambda: stage.vendor.submit(one))
        assert outcome.code == code and not stage.world.sendings

    stage.play(scene)


@pytest.mark.parametrize("vendor", DESCRIBED)
def test_a_stamp_that_is_too_old_is_refused_by_the_counterpart(vendor: str) -> None:
    if vendor == "luosimao":
        pytest.skip("luosimao signs no stamp")
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        request = play(stage.vendor.submit(stage.message(stage.people()[0]))).request
        assert request is not None
        await asyncio.sleep(4000)
        reply = stage.world.counterparts[stage.label].answer(request)
        assert any(code in reply.text for code in ("4008", "40501", "UNAUTHORIZED", "invalid timestamp", "error:-12"))

    stage.play(scene)


def test_an_empty_bulk_asks_nothing_and_one_too_large_is_not_sent() -> None:
    assert play(make("zhutong").submit_bulk([])).outcome == ()
    with pytest.raises(VendorTrouble) as raised:
        play(make("zhutong").submit_bulk([message()] * 2001))
    assert not raised.value.written


def test_what_a_vendor_says_of_making_it_again_stands_in_its_table() -> None:
    module = MODULES["ihuyi"]
    assert module.AGAIN["40501"].when == "fresh" and module.AGAIN["4080"].after == 1
    assert "4030" not in module.AGAIN
    assert "after 60 s" in MODULES["luosimao"].REASONS["-42"].note


def test_the_suite_holds_described_vendors_and_coded_ones_alike() -> None:
    assert set(DESCRIBED) == {"ctyun", "ihuyi", "luosimao", "ninetian", "unisms", "zhutong"}
    assert set(samples.IDS) == set(DESCRIBED) | set(samples.CODED)
