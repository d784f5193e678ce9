"""A known answer fails as soon as one step of a signature is done wrongly: tests that cannot fail prove nothing."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from harness.capabilities import PushRefused
from tests.vendors import samples
from vendors import alibaba, huawei, montnets, signing, submail, tencent, yunpian


def _loose(text: str) -> str:
    return quote(text, safe="~/")


def _unsorted_query(query: Any) -> str:
    return "&".join(f"{name}={signing.percent(value)}" for name, value in reversed(list(query.items())))


def _without_host(headers: Any) -> str:
    return ";".join(sorted(set(headers) - {"host"}))


def _no_line_end(headers: Any) -> str:
    return "\n".join(f"{name}:{headers[name]}" for name in sorted(headers))


def _swapped(step: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    return lambda key, data: step(data, key)


def _sha512(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha512).digest()


def _sha1_hex(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _plain_key(secret: str, moment: Any) -> bytes:
    return f"TC3{secret}".encode()


def _unsorted_values(fields: Any, apikey: str) -> str:
    values = [str(fields[name]) for name in sorted(fields, reverse=True) if name != "_sign"]
    return signing.md5_hex(",".join([*values, apikey]).encode())


def _without_key(fields: Any, apikey: str) -> str:
    return signing.md5_hex(",".join(str(fields[name]) for name in sorted(fields) if name != "_sign").encode())


def _unsorted_pairs(fields: Any, unsigned: Any = frozenset()) -> str:
    return "&".join(f"{name}={value}" for name, value in fields.items() if name not in {"signature", "tag", *unsigned})


def _tag_included(fields: Any, unsigned: Any = frozenset()) -> str:
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name not in {"signature", *unsigned})


def _encoded_pairs(fields: Any, unsigned: Any = frozenset()) -> str:
    left_out = {"signature", "tag", *unsigned}
    return "&".join(f"{name}={quote(fields[name])}" for name in sorted(fields) if name not in left_out)


def _upper_md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest().upper()


def _after(step: Callable[..., str], change: Callable[[str], str]) -> Callable[..., str]:
    return lambda *arguments: change(step(*arguments))


MUTATIONS: list[tuple[str, str, Any, str, Any]] = [
    ("alibaba", "spaces become plus signs, strokes stay", signing, "percent", _loose),
    ("alibaba", "form encoding of JSON", signing, "percent", lambda text: quote_plus(text, safe='":{}')),
    ("alibaba", "parameters are not sorted", alibaba, "canonical_query", _unsorted_query),
    ("alibaba", "headers end without a line end", alibaba, "canonical_headers", _no_line_end),
    ("alibaba", "the host is not signed", alibaba, "signed_names", _without_host),
    ("alibaba", "the body's digest is of another kind", signing, "sha256_hex", _sha1_hex),
    ("alibaba", "digests in capitals", signing, "sha256_hex", lambda data: hashlib.sha256(data).hexdigest().upper()),
    ("alibaba", "the HMAC's key and text change places", signing, "hmac_sha256", _swapped(signing.hmac_sha256)),
    ("alibaba", "the HMAC is of another kind", signing, "hmac_sha256", _sha512),
    ("alibaba", "the request is signed in small letters", alibaba, "canonical_request",
     _after(alibaba.canonical_request, str.lower)),
    ("alibaba", "V1: key and text change places", signing, "hmac_sha1", _swapped(signing.hmac_sha1)),
    ("alibaba", "V1: the key lacks its ampersand", signing, "hmac_sha1",
     lambda key, data: hmac.new(key.rstrip(b"&"), data, hashlib.sha1).digest()),
    ("alibaba", "V1: hex instead of Base64", signing, "base64_text", bytes.hex),
    ("alibaba", "V1: another verb is signed", alibaba, "rpc_signature",
     lambda method, parameters, secret, step=alibaba.rpc_signature: step("GET", parameters, secret)),
    ("tencent", "the body's digest is of another kind", signing, "sha256_hex", _sha1_hex),
    ("tencent", "the HMAC's key and text change places", signing, "hmac_sha256", _swapped(signing.hmac_sha256)),
    ("tencent", "the HMAC is of another kind", signing, "hmac_sha256", _sha512),
    ("tencent", "the key is not derived", tencent, "signing_key", _plain_key),
    ("tencent", "the key lacks its prefix", tencent, "signing_key",
     lambda secret, moment, step=tencent.signing_key: step(secret[3:], moment)),
    ("tencent", "the scope lacks its end", tencent, "scope", _after(tencent.scope, lambda text: text[:-12])),
    ("tencent", "one header more is signed", tencent, "canonical_request",
     _after(tencent.canonical_request, lambda text: text.replace("content-type;host", "content-type;host;date"))),
    ("tencent", "the blank line after the headers is missing", tencent, "canonical_request",
     _after(tencent.canonical_request, lambda text: text.replace("\n\ncontent-type;host", "\ncontent-type;host"))),
    ("tencent", "the time is left out", tencent, "string_to_sign",
     _after(tencent.string_to_sign, lambda text: text.replace("1705307400", ""))),
    ("yunpian", "values in the wrong order", yunpian, "reply_signature", _unsorted_values),
    ("yunpian", "the apikey is left out", yunpian, "reply_signature", _without_key),
    ("yunpian", "the digest is of another kind", signing, "md5_hex", _sha1_hex),
    ("yunpian", "the digest in capitals", signing, "md5_hex", lambda data: hashlib.md5(data).hexdigest().upper()),
    ("yunpian", "every digest matches", signing, "matches", lambda expected, given: True),
    ("yunpian", "texts of a bulk are encoded once only", yunpian, "quote_plus", lambda text: text),
    ("huawei", "WSSE: the raw digest in place of its hex", huawei, "password_digest",
     lambda nonce, created, secret, form, step=huawei.password_digest: step(nonce, created, secret, "raw")),
    ("huawei", "WSSE: the hex in place of the raw digest", huawei, "password_digest",
     lambda nonce, created, secret, form, step=huawei.password_digest: step(nonce, created, secret)),
    ("huawei", "WSSE: nonce and time change places", huawei, "password_digest",
     lambda nonce, created, *rest, step=huawei.password_digest: step(created, nonce, *rest)),
    ("huawei", "WSSE: the secret is left out", huawei, "password_digest",
     lambda nonce, created, secret, form, step=huawei.password_digest: step(nonce, created, "", form)),
    ("huawei", "WSSE: hex instead of Base64", signing, "base64_text", bytes.hex),
    ("huawei", "the digest is of another kind", signing, "sha256_hex", _sha1_hex),
    ("huawei", "digests in capitals", signing, "sha256_hex", lambda data: hashlib.sha256(data).hexdigest().upper()),
    ("huawei", "the HMAC's key and text change places", signing, "hmac_sha256", _swapped(signing.hmac_sha256)),
    ("huawei", "the HMAC is of another kind", signing, "hmac_sha256", _sha512),
    ("huawei", "the signed path ends without a stroke", huawei, "canonical_path", lambda path: path),
    ("huawei", "headers end without a line end", huawei, "canonical_headers", _no_line_end),
    ("huawei", "the host is not signed", huawei, "signed_names", _without_host),
    ("huawei", "the body of a form is signed", huawei, "payload", lambda headers, body: signing.sha256_hex(body)),
    ("huawei", "the body of JSON is not signed", huawei, "payload", lambda headers, body: "UNSIGNED-PAYLOAD"),
    ("huawei", "the request is signed in small letters", huawei, "canonical_request",
     _after(huawei.canonical_request, str.lower)),
    ("huawei", "another verb is signed", huawei, "canonical_request",
     lambda method, *rest, step=huawei.canonical_request: step("PUT", *rest)),
    ("submail", "parameters are not sorted", submail, "string_to_sign", _unsorted_pairs),
    ("submail", "the tag is signed", submail, "string_to_sign", _tag_included),
    ("submail", "values are encoded before they are signed", submail, "string_to_sign", _encoded_pairs),
    ("submail", "long parameters stay in the second version", submail, "string_to_sign",
     lambda fields, unsigned=None, step=submail.string_to_sign: step(fields)),
    ("submail", "id and key stand in front only", submail, "signature",
     lambda appid, appkey, words, sign_type: signing.md5_hex(f"{appid}{appkey}{words}".encode())),
    ("submail", "key and id change places", submail, "signature",
     lambda appid, appkey, *rest, step=submail.signature: step(appkey, appid, *rest)),
    ("submail", "MD5 is SHA1", signing, "md5_hex", _sha1_hex),
    ("submail", "SHA1 is MD5", signing, "sha1_hex", signing.md5_hex),
    ("submail", "the digest in capitals", signing, "md5_hex", _upper_md5),
    ("submail", "hook: key and token change places", submail, "hook_signature",
     lambda token, key, step=submail.hook_signature: step(key, token)),
    ("submail", "hook: the key is left out", submail, "hook_signature",
     lambda token, key: signing.md5_hex(token.encode())),
    ("submail", "every digest matches", signing, "matches", lambda expected, given: True),
    ("montnets", "the stamp is in UTC", montnets, "stamp", lambda moment: f"{moment:%m%d%H%M%S}"),
    ("montnets", "the fixed string is left out", montnets, "_FIXED", ""),
    ("montnets", "the account in small letters", montnets, "password",
     lambda userid, secret, when, digest="md5": signing.md5_hex(f"{userid.lower()}00000000{secret}{when}".encode())),
    ("montnets", "the stamp stands before the password", montnets, "password",
     lambda userid, secret, when, digest="md5", step=montnets.password: step(userid, when, secret, digest)),
    ("montnets", "the digest is of another kind", signing, "md5_hex", _sha1_hex),
    ("montnets", "SHA256 is of another kind", signing, "sha256_hex", _sha1_hex),
    ("montnets", "the digest in capitals", signing, "md5_hex", _upper_md5),
    ("montnets", "every digest matches", signing, "matches", lambda expected, given: True),
    ("montnets", "texts are not encoded within their field", montnets, "escaped", lambda text: text),
    ("montnets", "spaces become plus signs", montnets, "escaped", quote_plus),
]  # fmt: skip


def described_mutations() -> list[tuple[str, str, Any, str, Any]]:
    """Those of the shipped descriptions: another description in place of the right one."""
    found: list[tuple[str, str, Any, str, Any]] = import_module("tests.vendors.test_declarative_shipped").MUTATIONS
    return found


def _own(vendor: str) -> list[tuple[str, str, Any, str, Any]]:
    """The mutations that stand in the vendor's own test: `MUTATIONS`, each (what, place, name, wrong)."""
    if vendor in samples.DESCRIBED:
        return [one for one in described_mutations() if one[0] == vendor]
    if find_spec(f"tests.vendors.test_{vendor}") is None:
        return []
    own = getattr(import_module(f"tests.vendors.test_{vendor}"), "MUTATIONS", [])
    return [(vendor, *mutation) for mutation in own]


MUTATIONS += [mutation for vendor in samples.IDS for mutation in _own(vendor)]


def all_known_answers_hold(vendor: str) -> bool:
    """Whether every first request and every push still is what the fixtures say."""
    try:
        for case in samples.talks(vendor):
            samples.compare(samples.start(vendor, case).request, case["exchanges"][0].get("request", {}))
        for case in samples.pushes(vendor):
            try:
                push = samples.make(vendor, case).read_push(samples.push_request(case))
                assert "push" in case
                assert push.authenticated is case["push"].get("authenticated", False)
            except PushRefused:
                assert "refused" in case
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("vendor", samples.IDS)
def test_known_answers_hold_when_nothing_is_changed(vendor: str) -> None:
    assert all_known_answers_hold(vendor)


@pytest.mark.parametrize("vendor", samples.IDS)
def test_every_vendor_has_its_mutations(vendor: str) -> None:
    assert any(mutation[0] == vendor for mutation in MUTATIONS), f"write MUTATIONS in tests/vendors/test_{vendor}.py"


@pytest.mark.parametrize(
    "vendor, place, name, wrong",
    [(vendor, place, name, wrong) for vendor, _, place, name, wrong in MUTATIONS],
    ids=[f"{vendor}: {what}" for vendor, what, *_ in MUTATIONS],
)
def test_a_wrong_step_breaks_a_known_answer(
    vendor: str, place: Any, name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, wrong)
    assert not all_known_answers_hold(vendor)
