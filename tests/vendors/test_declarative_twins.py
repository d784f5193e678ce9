"""A vendor that is coded and described: both write the same bytes and read the same replies and pushes."""

from __future__ import annotations

import importlib.util
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import registry
from harness.capabilities import Account, PushRefused, Tools, capabilities_of
from harness.domain import Purpose, Secret
from harness.errors import VendorTrouble
from harness.flow import Talk, play
from tests.vendors import samples
from tests.vendors.samples import CALLS
from tests.vendors.test_contract import NONSENSE, bent, methods_of, trees

TWINS = [name for name in registry.described_names() if importlib.util.find_spec(f"vendors.{name}")]
EXPECTED = ("yunpian", "netease", "qiniu")
each_twin = pytest.mark.parametrize("vendor", TWINS)
every_method = pytest.mark.parametrize(
    "vendor, method", [(vendor, method) for vendor in TWINS for method in methods_of(vendor)]
)
MAKE = samples.make
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


def described(vendor: str, case: dict[str, Any] | None = None) -> Any:
    """The described one on the same account as `samples.make`'s coded one."""
    coded = MAKE(vendor, case)
    account: Account = coded._account
    tools: Tools = coded._tools
    return registry.described(vendor).Vendor(account, tools)


def written(talk: Talk[Any]) -> dict[str, Any] | None:
    return None if talk.request is None else samples.written(talk.request)


def heard(talk: Talk[Any], replies: list[tuple[int, bytes]]) -> tuple[list[Any], Any]:
    """Every request of a conversation, and its end: an outcome, or the kind and code of the trouble."""
    requests = [written(talk)]
    try:
        for status, content in replies:
            if talk.is_over:
                break
            talk.answer(status, content=content)
            requests.append(written(talk))
    except VendorTrouble as trouble:
        kind = trouble.kind if trouble.kind in ("throttled", "unauthorised") else "trouble"
        return requests, (kind, trouble.code)
    return requests, talk.outcome if talk.is_over else None


@pytest.mark.parametrize("vendor", EXPECTED)
def test_these_are_coded_and_described(vendor: str) -> None:
    if importlib.util.find_spec(f"vendors.{vendor}") is None:
        pytest.skip(f"{vendor} is not coded yet")
    assert vendor in TWINS


@each_twin
def test_both_can_do_the_same_and_say_the_same_of_themselves(vendor: str) -> None:
    coded, told = samples.MODULES[vendor], registry.described(vendor)
    assert capabilities_of(object.__new__(coded.Vendor)) == capabilities_of(object.__new__(told.Vendor))
    for name in ("id", "name", "credentials", "endpoint", "by_template", "options", "sends_secret", "push_is_signed"):
        assert getattr(coded.Vendor.manifest, name) == getattr(told.Vendor.manifest, name), name
    assert {code: line.reason for code, line in coded.REASONS.items()} == {
        code: line.reason for code, line in told.REASONS.items()
    }
    assert {code: line.reason for code, line in coded.REPORT_REASONS.items()} == {
        code: line.reason for code, line in told.REPORT_REASONS.items()
    }


@each_twin
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_message_is_the_same_bytes(vendor: str, data: st.DataObject) -> None:
    def message() -> Any:
        return samples.message(
            {
                "number": f"+86138{data.draw(st.integers(0, 99_999_999)):08d}",
                "text": f"【某某科技】{data.draw(TEXTS)}",
                "template": data.draw(st.text("0123456789", min_size=1, max_size=12)),
                "parameters": data.draw(st.dictionaries(st.text("abcdef", min_size=1, max_size=5), TEXTS, max_size=3)),
                "reference": data.draw(st.sampled_from(["", "ref-1", "a b&c"])),
                "purpose": data.draw(st.sampled_from(list(Purpose))),
            }
        )

    case = {"push_url": data.draw(st.sampled_from([None, "https://inbox.example/push/x/word"]))}
    one, several = message(), [message() for _ in range(data.draw(st.integers(1, 4)))]
    coded, told = samples.make(vendor, case), described(vendor, case)
    assert written(play(coded.submit(one))) == written(play(told.submit(one)))
    if hasattr(coded, "submit_bulk"):
        assert heard(play(coded.submit_bulk(several)), []) == heard(play(told.submit_bulk(several)), [])


@every_method
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_reply_is_read_the_same(vendor: str, method: str, data: st.DataObject) -> None:
    right = [
        step["reply"]["json"]
        for case in samples.talks(vendor)
        if case["call"] == method
        for step in case["exchanges"]
        if "json" in step["reply"]
    ]
    replies = []
    for _ in range(2):
        body = data.draw(st.one_of(*(bent(one) for one in right), *(st.just(one) for one in right), trees(vendor)))
        statuses = [200] if isinstance(body, list) else [200, 200, 400]  # a list with an error's status is no answer
        replies.append((data.draw(st.sampled_from(statuses)), json.dumps(body).encode()))
    coded, told = samples.make(vendor), described(vendor)
    first = heard(play(getattr(coded, method)(**CALLS[method])), replies)
    assert heard(play(getattr(told, method)(**CALLS[method])), replies) == first


@each_twin
def test_every_known_conversation_goes_the_same_way(vendor: str) -> None:
    for case in samples.talks(vendor):
        replies = [(step["reply"].get("status", 200), samples.content_of(step["reply"])) for step in case["exchanges"]]
        coded = samples.start(vendor, case)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(samples, "make", described)
            told = samples.start(vendor, case)
        assert heard(told, replies) == heard(coded, replies), case["name"]


def read(vendor: Any, request: Any) -> Any:
    try:
        push = vendor.read_push(request)
    except PushRefused as refused:
        return refused.acknowledgement.status, refused.acknowledgement.body
    told = (push.reports, push.inbound, push.decisions, push.unread, push.authenticated, push.once)
    return (*told, push.acknowledgement.status, push.acknowledgement.body)


@each_twin
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_push_is_read_the_same(vendor: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(samples.pushes(vendor)))
    request = samples.push_request(case)
    if data.draw(st.booleans()):
        if "form" in case and (packed := [name for name, value in case["form"].items() if value[:1] in ("[", "{")]):
            value = data.draw(bent(json.loads(case["form"][packed[0]])))
            request = samples.raw_push(urlencode({packed[0]: json.dumps(value)}).encode(), case["path"])
        elif case.get("body", "")[:1] in ("[", "{"):
            body = json.dumps(data.draw(bent(json.loads(case["body"])))).encode()
            request = samples.raw_push(body, case["path"], headers=dict(request.headers), now=request.received_at)
    assert read(described(vendor, case), request) == read(samples.make(vendor, case), request)


@each_twin
def test_bombs_and_nonsense_are_refused(vendor: str) -> None:
    for body in [*NONSENSE, b"a=" + b"x" * (2 << 20), b"&".join([b"a=b"] * 5000), b"a=%C4%E3"]:
        for method in ("POST", "GET"):
            try:
                push = described(vendor).read_push(samples.raw_push(body, method=method))
            except PushRefused as refusal:
                assert refusal.acknowledgement.status >= 400
                continue
            assert not (push.reports or push.inbound or push.decisions)


def test_another_secret_is_another_proof() -> None:
    case = next(case for case in samples.pushes("yunpian") if case.get("push", {}).get("authenticated"))
    vendor = described("yunpian", {**case, "secret": Secret("x").reveal()})
    with pytest.raises(PushRefused, match="signature does not match"):
        vendor.read_push(samples.push_request(case))
