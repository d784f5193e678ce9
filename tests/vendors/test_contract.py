"""What holds for every vendor alike. Found by scanning `vendors/`: a new adapter is held to it without a word here."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.capabilities import (
    PROTOCOLS,
    Account,
    Capability,
    Mapped,
    NotOffered,
    NotYetWritten,
    Push,
    PushRefused,
    Standing,
    capabilities_of,
)
from harness.domain import Accepted, InDoubt, Reason, Refused
from harness.errors import VendorTrouble
from harness.flow import Talk, play
from tests.vendors import samples
from tests.vendors.samples import CALLS, IDS, MODULES, make
from vendors.carrier_codes import CARRIER_CODES, report_reason
from vendors.reading import PAGE_LIMIT, base, mapped

each_vendor = pytest.mark.parametrize("vendor", IDS)


def cases_of(kind: Any) -> Any:
    """One parameter a fixture, named by it."""
    found = [(vendor, case) for vendor in IDS for case in kind(vendor)]
    return pytest.mark.parametrize("vendor, case", found, ids=[f"{vendor}: {case['name']}" for vendor, case in found])


def methods_of(vendor: str) -> list[str]:
    """The methods that are conversations, by the protocols a vendor satisfies."""
    protocols = [PROTOCOLS[capability] for capability in capabilities_of(make(vendor))]
    return sorted(name for protocol in protocols for name in _declared(protocol) if name != "read_push")


def _declared(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if inspect.isfunction(value) and not name.startswith("_")]


every_method = pytest.mark.parametrize(
    "vendor, method", [(vendor, method) for vendor in IDS for method in methods_of(vendor)]
)
every_vendor_with_hosts = pytest.mark.parametrize(
    "vendor", [vendor for vendor in IDS if MODULES[vendor].Vendor.manifest.endpoints]
)
every_pusher = pytest.mark.parametrize(
    "vendor", [vendor for vendor in IDS if Capability.READS_PUSHES in capabilities_of(make(vendor))]
)


# --- known answers ---------------------------------------------------------------------------------------------------


@cases_of(samples.talks)
def test_a_known_conversation_goes_as_written(vendor: str, case: dict[str, Any]) -> None:
    talk = samples.start(vendor, case)
    *before, last = case["exchanges"]
    for exchange in before:
        samples.compare(talk.request, exchange.get("request", {}))
        samples.answer(talk, exchange["reply"])
    samples.compare(talk.request, last.get("request", {}))
    if "trouble" not in case:
        assert samples.answer(talk, last["reply"]).outcome == samples.expected(case["outcome"])
        return
    with pytest.raises(VendorTrouble) as raised:
        samples.answer(talk, last["reply"])
    told = {name: getattr(raised.value, name) for name in case["trouble"]}
    assert told == case["trouble"]


@cases_of(samples.pushes)
def test_a_known_push_is_read_as_written(vendor: str, case: dict[str, Any]) -> None:
    request = samples.push_request(case)
    if "refused" in case:
        with pytest.raises(PushRefused) as raised:
            make(vendor, case).read_push(request)
        answer = raised.value.acknowledgement
        assert {"status": answer.status, "body": answer.body.decode()} == case["refused"]
        return
    push = make(vendor, case).read_push(request)
    assert {"status": push.acknowledgement.status, "body": push.acknowledgement.body.decode()} == case["answer"]
    wanted, nouns = (
        case["push"],
        {"reports": "StatusReport", "inbound": "InboundMessage", "decisions": "ReviewDecision"},
    )
    for kind, noun in nouns.items():
        assert getattr(push, kind) == samples.expected([{noun: item} for item in wanted.get(kind, [])]), kind
    assert push.unread == wanted.get("unread", 0)
    assert push.authenticated is wanted.get("authenticated", False)


@each_vendor
def test_the_code_table_says_what_the_documents_say(vendor: str) -> None:
    module, codes = MODULES[vendor], samples.load(vendor, "codes")
    assert {code: mapped(code, module.REASONS).reason for code in codes["submit"]} == codes["submit"]
    tables = (module.REPORT_REASONS, module.REASONS)
    assert {code: report_reason(code, *tables) for code in codes["report"]} == codes["report"]
    unseen = [code for code in module.REASONS if not any(seen.startswith(code) for seen in codes["submit"])]
    assert not unseen, "lines that no fixture confirms"


# --- what a vendor says of itself ------------------------------------------------------------------------------------


@each_vendor
def test_every_capability_is_there_or_explained_but_never_both(vendor: str) -> None:
    present, absent = capabilities_of(make(vendor)), MODULES[vendor].Vendor.manifest.absent
    assert present | absent.keys() == set(Capability)
    assert not present & absent.keys()
    assert all(isinstance(why, NotOffered | NotYetWritten) and len(why.because) > 10 for why in absent.values())


@each_vendor
def test_methods_are_called_as_their_protocols_say(vendor: str) -> None:
    subject = make(vendor)
    for capability in capabilities_of(subject):
        for name in _declared(PROTOCOLS[capability]):
            wanted = list(inspect.signature(getattr(PROTOCOLS[capability], name)).parameters.values())[1:]
            actual = list(inspect.signature(getattr(subject, name)).parameters.values())
            assert [(p.name, p.kind, p.default) for p in actual] == [(p.name, p.kind, p.default) for p in wanted], name


@each_vendor
def test_the_manifest_is_whole(vendor: str) -> None:
    manifest = MODULES[vendor].Vendor.manifest
    assert manifest.id == vendor
    assert manifest.name.keys() >= {"zh-CN", "en"}
    assert manifest.documents
    addresses = [*manifest.endpoints.values(), *([manifest.endpoint] if manifest.endpoint is not None else [])]
    account = samples.load(vendor, "account")
    assert all(address.startswith("https://") for address in addresses) is not account.get("plain_http", False)
    assert manifest.standing in Standing
    assert any(credential.secret for credential in manifest.credentials)
    assert manifest.endpoint or account["endpoint"], "an account that names its own host"
    assert account.get("endpoints", {}).keys() <= manifest.endpoints.keys()
    assert account["credentials"].keys() == {credential.name for credential in manifest.credentials}
    assert account.get("options", {}).keys() <= manifest.options.keys()


@each_vendor
def test_code_tables_hold_reasons_with_their_confidence(vendor: str) -> None:
    for table in (MODULES[vendor].REASONS, MODULES[vendor].REPORT_REASONS, CARRIER_CODES):
        for code, line in table.items():
            assert isinstance(code, str) and isinstance(line, Mapped)
            assert line.reason in Reason
            assert line.confidence in {"documented", "copied", "inferred"}


@each_vendor
@settings(deadline=None)
@given(code=st.text("abcXYZ0123456789.:-", min_size=12, max_size=30))
def test_a_code_that_no_table_knows_is_unmapped(vendor: str, code: str) -> None:
    assert mapped(f"no{code}", MODULES[vendor].REASONS).reason is Reason.UNMAPPED
    assert report_reason(f"no{code}", MODULES[vendor].REPORT_REASONS) is Reason.UNMAPPED


# --- whatever a vendor replies ---------------------------------------------------------------------------------------

WORDS = sorted(
    # The vendors' own words, so that replies get past the first look.
    {
        "OK", "Ok", "SUCCESS", "FAIL", "CHECKING", "100", "0", "1", "-5", "-1", "AuthFailure.X", "Throttling.User",
        "13800001234", "+8613800001234", "2026-03-01 12:00:00", "20260301", "DELIVRD", "MK:0001", "isv.NEW", "9" * 30,
        "\ud83d", "【100】",
    }
)  # fmt: skip


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in _keys(item)}
    return {key for item in value for key in _keys(item)} if isinstance(value, list) else set()


def _known_json(vendor: str) -> list[Any]:
    replies = [step["reply"].get("json") for case in samples.talks(vendor) for step in case["exchanges"]]
    bodies = [case["body"] for case in samples.pushes(vendor) if case.get("body", "a")[:1] in ("[", "{")]
    packed = [packed for case in samples.pushes(vendor) for packed in case.get("form", {}).values()]
    return replies + [json.loads(text) for text in bodies + packed if text[:1] in ("[", "{")]


KEYS = {vendor: sorted(_keys(_known_json(vendor))) for vendor in IDS}

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=12),
)


@cache
def trees(vendor: str) -> st.SearchStrategy[Any]:
    """JSON with the vendor's own field names."""
    keys = st.sampled_from(KEYS[vendor] or WORDS)  # some have no JSON at all
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=8)),
        max_leaves=24,
    )


@st.composite
def bent(draw: Any, original: Any) -> Any:
    """A value that once was right, with some of it dropped or replaced."""
    if draw(st.integers(0, 9)) == 0:
        return draw(LEAVES)
    if isinstance(original, dict):
        kept = {key: value for key, value in original.items() if draw(st.integers(0, 9))}
        return {key: draw(bent(value)) for key, value in kept.items()}
    if isinstance(original, list):
        return [draw(bent(item)) for item in original for _ in range(draw(st.integers(0, 2)))]
    if isinstance(original, str) and not draw(st.integers(0, 5)):
        return original + "\ud83d"  # half an emoji, where a vendor cut the text
    return original


NONSENSE = [
    b"",
    b"\xff\xfe\x00",
    "短信".encode("gbk"),
    '{"code": 0, "msg": "发送成功"}'.encode("gbk"),
    b"<html><body>502 Bad Gateway</body></html>",
    b'{"Code": "OK", "Code": "OK", "code": 0, "code": 0}',
    b'{"Code": "OK", "BizId',
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"9" * 10_000,
    b'{"code": ' + b"9" * 5_000 + b"}",
    b'{"code": 0, "sid": NaN, "fee": Infinity, "Response": {"SendStatusSet": [{"Code": "Ok", "SerialNo": NaN}]}}',
    b"null",
    b"[]",
    b"{}",
    b"[[[]]]",
    b"true",
    b'"OK"',
]


def settled(talk: Talk[Any], status: int, content: bytes) -> Any:
    """The outcome of a conversation in which every reply is the same; None for a VendorTrouble."""
    try:
        for _ in range(PAGE_LIMIT + 1):
            if talk.is_over:
                return talk.outcome
            talk.answer(status, content=content)
    except VendorTrouble as trouble:
        str(trouble), repr(trouble)
        return None
    raise AssertionError("the conversation does not end")


def check_outcome(method: str, outcome: Any) -> None:
    """What every outcome must be, whatever led to it."""
    for words in samples.strings(outcome):
        words.encode()  # no store takes half a surrogate pair
    if outcome is not None and method == "submit":
        assert isinstance(outcome, Accepted | Refused | InDoubt)
        assert not isinstance(outcome, Accepted) or outcome.vendor_message_id
    if outcome is not None and method == "submit_bulk":
        assert len(outcome) == len(CALLS["submit_bulk"]["messages"])


def ask(vendor: str, method: str) -> Talk[Any]:
    return play(getattr(make(vendor), method)(**CALLS[method]))


@every_method
@pytest.mark.parametrize("status", [200, 400, 500])
def test_nonsense_gives_an_outcome_or_trouble(vendor: str, method: str, status: int) -> None:
    for content in NONSENSE:
        check_outcome(method, settled(ask(vendor, method), status, content))


@every_method
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_reply_gives_an_outcome_or_trouble(vendor: str, method: str, data: st.DataObject) -> None:
    right = [
        step["reply"]["json"] for case in samples.talks(vendor) if case["call"] == method for step in case["exchanges"]
        if "json" in step["reply"]
    ]  # fmt: skip
    reply = data.draw(st.one_of(trees(vendor), *(bent(one) for one in right)))
    content = json.dumps(reply, ensure_ascii=True).encode()
    if data.draw(st.integers(0, 9)) == 0:
        content = content[: data.draw(st.integers(0, len(content)))]
    outcome = settled(ask(vendor, method), data.draw(st.sampled_from([200, 200, 400, 500])), content)
    check_outcome(method, outcome)


@pytest.mark.parametrize("vendor", IDS)
@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failing_server_never_looks_like_an_acceptance(vendor: str, status: int) -> None:
    for case in samples.load(vendor, "submit"):
        if isinstance(case.get("outcome"), dict) and "Accepted" in case["outcome"]:
            *before, last = case["exchanges"]
            talk = samples.start(vendor, case)
            for exchange in before:  # a token or the vendor's clock
                samples.answer(talk, exchange["reply"])
            with pytest.raises(VendorTrouble):
                talk.answer(status, content=samples.content_of(last["reply"]), headers=last["reply"].get("headers"))


# --- whatever is pushed ----------------------------------------------------------------------------------------------


def read(vendor: str, body: bytes, path: str = "/push/x/reports", *, now: datetime = samples.NOON) -> Push | None:
    """The push as read; None if it was refused with an answer."""
    try:
        push = make(vendor).read_push(samples.raw_push(body, path, now=now))
    except PushRefused as refusal:
        assert refusal.acknowledgement.status >= 400
        return None
    for words in samples.strings([push.reports, push.inbound, push.decisions]):
        words.encode()
    return push  # type: ignore[no-any-return]


@every_pusher
def test_bombs_and_nonsense_are_refused(vendor: str) -> None:
    for body in [
        *NONSENSE,
        b"a=" + b"x" * (2 << 20),
        b"&".join([b"a=b"] * 5000),
        b"a=%C4%E3",
        b" " * (2 << 20) + b"[]",
    ]:
        push = read(vendor, body)
        assert push is None or not (push.reports or push.inbound or push.decisions)


@every_pusher
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_push_is_read_or_refused(vendor: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(samples.pushes(vendor)))
    right = samples.push_request(case).body
    tree = data.draw(trees(vendor))
    cut = data.draw(st.integers(0, len(right)))
    body = data.draw(
        st.sampled_from([right[:cut], right[cut:], right[:cut] + b"\xff" + right[cut:], json.dumps(tree).encode()])
    )
    read(
        vendor,
        body,
        data.draw(st.sampled_from(["/push/x/reports", "/push/x/inbound", "/push/x/reviews", "/push/x", ""])),
        now=samples.push_request(case).received_at,
    )


@every_pusher
def test_good_items_count_although_others_cannot_be_read(vendor: str) -> None:
    counted = 0
    for case in samples.pushes(vendor):
        body = samples.push_request(case).body
        if "push" in case and case["push"].get("reports") and body.startswith(b"["):
            whole = read(vendor, body)
            mixed = read(vendor, json.dumps([17, {"hello": 1}, *json.loads(body)]).encode())
            assert whole is not None and mixed is not None
            assert (mixed.reports, mixed.unread) == (whole.reports, whole.unread + 2)
            counted += 1
    if not counted:
        pytest.skip(f"{vendor} pushes no bare list: its own test says it for its own wrapping")


@every_pusher
def test_a_signed_push_proves_nothing_under_another_secret_and_one_that_signs_has_both_kinds(vendor: str) -> None:
    cases = samples.pushes(vendor)
    proven = [case for case in cases if case.get("push", {}).get("authenticated")]
    if MODULES[vendor].Vendor.manifest.push_is_signed:
        assert proven, "a push whose signature is right"
        assert any("refused" in case for case in cases), "a push whose signature is wrong"
    for case in proven:
        with pytest.raises(PushRefused):
            make(vendor, {**case, "secret": "another-secret"}).read_push(samples.push_request(case))


# --- what must not leak, and what must repeat ------------------------------------------------------------------------


SECRET = "Not-to-be-seen-0123456789"


@every_method
def test_secrets_and_full_numbers_are_in_no_outcome_error_or_repr(vendor: str, method: str) -> None:
    subject = make(vendor, {"secret": SECRET})
    words = "+8613800001234 8613800001234 13800001234"
    for reply in (
        {"Code": "isv.X", "Message": words},
        {"Response": {"Error": {"Code": "X.Y", "Message": words}}},
        {"code": 99, "msg": words, "detail": words},
        {"Response": {"SendStatusSet": [{"Code": "X.Y", "Message": words, "PhoneNumber": "+8613800001234"}]}},
        words,
    ):
        talk = play(getattr(subject, method)(**CALLS[method]))
        try:
            talk.answer(400, reply)
            shown = [repr(talk.outcome), *samples.strings(talk.outcome)] if talk.is_over else []
        except VendorTrouble as trouble:
            shown = [str(trouble), repr(trouble), trouble.detail]
        for told in [*shown, repr(subject), repr(subject.manifest), repr(vars(subject))]:
            assert "13800001234" not in told
            assert SECRET not in told


@every_method
def test_a_secret_is_sent_only_where_the_manifest_says_so(vendor: str, method: str) -> None:
    request = play(getattr(make(vendor, {"secret": SECRET}), method)(**CALLS[method])).request
    assert request is not None
    assert (SECRET in str(samples.written(request))) is MODULES[vendor].Vendor.manifest.sends_secret


@every_method
def test_an_account_that_names_no_host_is_told_so_and_nothing_leaves(vendor: str, method: str) -> None:
    if MODULES[vendor].Vendor.manifest.endpoint is not None:
        pytest.skip(f"{vendor} has a host of its own")
    with pytest.raises(VendorTrouble, match="endpoint") as raised:
        play(getattr(make(vendor, {"endpoint": None}), method)(**CALLS[method]))
    assert not raised.value.written


@every_vendor_with_hosts
def test_a_further_host_is_the_manifests_the_accounts_or_the_one_endpoint(vendor: str) -> None:
    manifest, name = MODULES[vendor].Vendor.manifest, next(iter(MODULES[vendor].Vendor.manifest.endpoints))
    plain = Account(label="x", credentials={}, endpoint=None)
    assert base(plain, manifest, name) == manifest.endpoints[name].rstrip("/")
    assert base(replace(plain, endpoint="http://127.0.0.1:1/"), manifest, name) == "http://127.0.0.1:1"
    own = replace(plain, endpoint="http://127.0.0.1:1", endpoints={name: "https://other.example/"})
    assert base(own, manifest, name) == "https://other.example"


@every_method
def test_same_tools_same_bytes(vendor: str, method: str) -> None:
    first, second = ask(vendor, method).request, ask(vendor, method).request
    assert first is not None and second is not None
    assert samples.written(first) == samples.written(second)


@every_method
def test_requests_go_to_the_endpoint_that_the_account_names(vendor: str, method: str) -> None:
    subject = make(vendor, {"endpoint": "http://127.0.0.1:8080"})
    request = play(getattr(subject, method)(**CALLS[method])).request
    assert isinstance(request, httpx.Request)
    assert (request.url.scheme, request.url.host, request.url.port) == ("http", "127.0.0.1", 8080)
    assert request.headers["host"] == "127.0.0.1:8080"
