"""What is Emay's own, beyond what holds for every vendor: both sides of the wire, by both interfaces."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Accepted, Purpose, Reason, RecipientKind
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, make, message
from tests.vendors.test_conversations import SIGNATURE, Stage
from tests.vendors.test_counterparts import REPLY, World, claim
from vendors import emay, signing
from vendors.sandbox import emay as counterpart
from vendors.sandbox.door import Turned

KEY = "0123456789abcdef"
SECURE = {"options": {"interface": "secure"}}
BOTH = pytest.mark.parametrize("interface", ["secure", "simple"])
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("simple: the time is in UTC", emay, "stamp", lambda moment: f"{moment:%Y%m%d%H%M%S}"),
    ("simple: the key is left out", emay, "sign", lambda account, key, when, step=emay.sign: step(account, "", when)),
    ("simple: account and key change places", emay, "sign",
     lambda account, key, when, step=emay.sign: step(key, account, when)),
    ("simple: the time stands first", emay, "sign",
     lambda account, key, when, step=emay.sign: step(when, account, key)),
    ("simple: the digest is of another kind", signing, "md5_hex", signing.sha1_hex),
    ("simple: the digest in capitals", signing, "md5_hex", lambda data: hashlib.md5(data).hexdigest().upper()),
    ("simple: the text is not encoded within its field", emay, "quote_plus", lambda text: text),
    ("secure: the time is in seconds", emay, "milliseconds", lambda moment: int(moment.timestamp())),
    ("secure: the body is not closed", emay, "closed", lambda key, data: data),
    ("secure: it is closed with the wrong key", emay, "closed",
     lambda key, data, step=emay.closed: step(key[::-1], data)),
    ("secure: whole blocks get no padding", signing, "aes_ecb",
     lambda key, data, step=signing.aes_ecb: step(key, data)[:-16]),
    ("secure: it is packed though the header does not say so", emay, "packed",
     lambda data, is_packed: gzip.compress(data, mtime=0)),
    ("secure: it is closed before it is written as Base64", emay, "closed",
     lambda key, data, step=emay.closed: base64.b64encode(step(key, data))),
]  # fmt: skip


# --- the adapter ------------------------------------------------------------------------------------------------------


def test_a_body_is_closed_as_in_the_card() -> None:
    card = "647Pwy9ASC28j+hMZWmtgK6Zy8cOlcDTLX1E9fn76f50Uecq6+Oz/REcoUgzX1Zv"
    assert base64.b64encode(emay.closed(KEY, b'{"mobile":"13800000000","content":"hi"}')).decode() == card


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=200), is_packed=st.booleans())
def test_what_is_closed_can_be_opened_and_with_another_key_it_is_trouble_or_something_else(
    data: bytes, is_packed: bool
) -> None:
    if not is_packed and data.startswith(b"\x1f\x8b"):
        return
    whole = emay.closed(KEY, emay.packed(data, is_packed))
    assert emay.opened(KEY, whole) == data
    with contextlib.suppress(ValueError):
        assert emay.opened(KEY[::-1], whole) != data


def test_a_packed_answer_that_would_not_end_is_refused() -> None:
    bomb = emay.closed(KEY, gzip.compress(b"0" * ((1 << 24) + 1)))
    with pytest.raises(ValueError, match="longer"):
        emay.opened(KEY, bomb)


def test_a_packed_body_holds_the_message() -> None:
    options = {"interface": "secure", "gzip": "1"}
    request = play(make("emay", {"options": options}).submit(message())).request
    assert request is not None
    plain = signing.aes_ecb_opened(KEY.encode(), request.content)
    told = json.loads(zlib.decompress(plain, wbits=31))
    assert (told["mobile"], told["customSmsId"], told["requestValidPeriod"]) == ("13800001234", "ref-1", 30)


@pytest.mark.parametrize("key", ["", "short", "k" * 32, "键" * 16])
@pytest.mark.parametrize("method", ["submit", "submit_bulk", "pull_reports", "pull_inbound", "balance"])
def test_a_key_that_cannot_close_anything_sends_nothing(method: str, key: str) -> None:
    with pytest.raises(VendorTrouble, match="16") as raised:
        play(getattr(make("emay", {**SECURE, "secret": key}), method)(**CALLS[method]))
    assert not raised.value.written and (not key or key not in str(raised.value))


@pytest.mark.parametrize("method", ["submit", "submit_bulk", "pull_reports", "pull_inbound", "balance"])
def test_the_secure_interface_sends_no_key_and_goes_to_the_accounts_host(method: str) -> None:
    case = {**SECURE, "endpoint": "http://127.0.0.1:8080/"}
    request = play(getattr(make("emay", case), method)(**CALLS[method])).request
    assert request is not None and KEY not in str(samples.written(request))
    assert str(request.url).startswith("http://127.0.0.1:8080/inter/")


def test_a_bulk_is_not_too_long_may_be_empty_and_has_a_number_once_in_the_simple_interface() -> None:
    for messages in ([message()] * 501, [message(), message()]):
        with pytest.raises(VendorTrouble) as raised:
            play(make("emay").submit_bulk(messages))
        assert not raised.value.written
    assert play(make("emay").submit_bulk([])).outcome == ()


# --- both sides -------------------------------------------------------------------------------------------------------


def world_of(**options: str) -> World:
    return World({"app_id": "appid", "secret_key": KEY}, **options)


def asked(world: World, interface: str, method: str, *given: Any, **options: str) -> Any:
    """What the adapter makes of the counterpart's answer."""
    case = {"now": world.at.isoformat(), "options": {"interface": interface, **options}}
    talk = play(getattr(make("emay", case), method)(*given))
    while talk.request is not None:
        reply = counterpart.Counterpart(world).answer(talk.request)
        talk.answer(reply.status_code, content=reply.content, headers=dict(reply.headers))
    return talk.outcome


@BOTH
@settings(max_examples=40, deadline=None)
@given(text=TEXTS, packed=st.sampled_from(["0", "1"]))
def test_any_text_goes_over_the_wire_as_it_is(interface: str, text: str, packed: str) -> None:
    world = world_of()
    given = message({"text": f"【测试签名】{text}", "number": "+8613800138000"})
    outcome = asked(world, interface, "submit", given, gzip=packed, extended_code="01")
    (taken,) = world.taken
    assert (taken.text, taken.key, taken.extension) == (f"【测试签名】{text}", outcome.vendor_message_id, "01")
    assert taken.reference == "ref-1"


@BOTH
def test_a_bulk_has_its_ids_by_number(interface: str) -> None:
    world = world_of()
    given = [message({"text": "【测试签名】甲", "number": "+8613800138000"}),
             message({"text": "【测试签名】乙", "number": "+8613900000001"})]  # fmt: skip
    outcomes = asked(world, interface, "submit_bulk", given)
    assert [one.key for one in world.taken] == [one.vendor_message_id for one in outcomes]
    assert [one.text[-1] for one in world.taken] == ["甲", "乙"]


@BOTH
@pytest.mark.parametrize("stamps", ["", "digits"])
def test_reports_and_replies_are_pulled_once(interface: str, stamps: str) -> None:
    world = world_of(stamps=stamps)
    world.queue, world.answers = [claim("1")], [REPLY]
    (report,) = asked(world, interface, "pull_reports")
    assert (report.vendor_message_id, report.reference, report.claimed_at) == ("1", "ours-1", claim("1").claimed_at)
    (reply,) = asked(world, interface, "pull_inbound")
    assert (reply.text, reply.to, reply.sent_at) == (REPLY.text, REPLY.extension, REPLY.sent_at)
    world.options = {"empty": "nothing"}
    assert asked(world, interface, "pull_reports") == asked(world, interface, "pull_inbound") == ()


@BOTH
@pytest.mark.parametrize(
    "reason, told",
    [
        (Reason.BLACKLISTED, Reason.BLACKLISTED),
        (Reason.OPTED_OUT, Reason.OPTED_OUT),
        (Reason.SENSITIVE_CONTENT, Reason.SENSITIVE_CONTENT),
        (Reason.ROUTING, Reason.UNMAPPED),
    ],
)
def test_what_has_no_code_at_once_waits_in_the_queue(interface: str, reason: Reason, told: Reason) -> None:
    world = world_of()
    world.turns["+8613800138000"] = Turned(reason=reason)
    given = message({"text": "【测试签名】甲", "number": "+8613800138000"})
    own = asked(world, interface, "submit", given).vendor_message_id
    assert asked(world, interface, "pull_reports") == ()
    world.at += timedelta(seconds=3)
    (report,) = asked(world, interface, "pull_reports")
    assert (report.vendor_message_id, report.reason) == (own, told)
    assert asked(world, interface, "pull_reports") == ()


@BOTH
@pytest.mark.parametrize(
    "reason, code", [(Reason.BALANCE, "ERROR_BALANCE"), (Reason.INVALID_NUMBER, "ERROR_MOBILE_ERROR")]
)
def test_what_has_a_code_is_refused_at_once(interface: str, reason: Reason, code: str) -> None:
    world = world_of()
    world.turns["+8613800138000"] = Turned(reason=reason)
    given = message({"text": "【测试签名】甲", "number": "+8613800138000"})
    assert asked(world, interface, "submit", given).code == code


def test_a_signature_that_is_not_approved_and_a_cap_are_told_in_reports() -> None:
    world = world_of(per_day="1")
    for text in ("【未批签名】甲", "乙", "丙"):
        given = message({"text": text, "number": "+8613800138000"})
        assert isinstance(asked(world, "simple", "submit", given), Accepted)
    assert [one.text for one in world.taken] == ["【测试签名】乙"]
    world.at += timedelta(seconds=3)
    assert [report.code for report in asked(world, "simple", "pull_reports")] == ["SIGFAIL", "LIMIT"]


def test_the_purpose_is_read_from_the_text() -> None:
    world = world_of()
    for text in ("【测试签名】验证码1", "【测试签名】上新，拒收请回复R", "【测试签名】到了"):
        asked(world, "simple", "submit", message({"text": text, "number": "+8613800138000"}))
    assert [one.purpose for one in world.taken] == [Purpose.VERIFICATION, Purpose.MARKETING, Purpose.NOTIFICATION]


def test_a_reply_from_a_phone_is_pulled() -> None:
    stage = Stage("emay", pull=True)

    async def scene(stage: Stage) -> None:
        repliers = set()
        for one in stage.people()[:4]:
            await stage.ask(lambda one=one: stage.vendor.submit(stage.message(one)))
            await asyncio.sleep(600)
            assert one.phone is not None
            for sms in one.phone.inbox:
                if SIGNATURE in sms.text:
                    stage.world.reply(one.phone, sms.sender, "R")
                    repliers.add(one.number[-11:])
                    break
        await asyncio.sleep(3600)
        inbound = await stage.ask(stage.vendor.pull_inbound)
        assert inbound and {reply.text for reply in inbound} == {"R"}
        assert {reply.number for reply in inbound} <= repliers
        assert not await stage.ask(stage.vendor.pull_inbound)

    stage.play(scene)


def test_a_blocked_number_is_told_in_the_report_that_is_pulled() -> None:
    stage = Stage("emay", pull=True)

    async def scene(stage: Stage) -> None:
        people = stage.people(RecipientKind.BLOCKED)
        for person in people:
            sent = stage.message(person, "parcel_notice", "7KQ2MX")
            assert isinstance(await stage.ask(lambda sent=sent: stage.vendor.submit(sent)), Accepted)
        await asyncio.sleep(7200)
        reports = await stage.ask(stage.vendor.pull_reports)
        assert sum(report.reason is not None for report in reports) >= len(people) // 3

    stage.play(scene)


# --- the counterpart --------------------------------------------------------------------------------------------------


def secure(world: World, call: str, fields: Any, **changes: Any) -> Any:
    """The code, and the answer if it says yes."""
    now = int(world.at.timestamp() * 1000)
    whole = {"requestTime": now, "requestValidPeriod": 30, **fields} if isinstance(fields, dict) else fields
    content = changes.get("content", signing.aes_ecb(KEY.encode(), json.dumps(whole).encode()))
    headers = {"appId": changes.get("app", "appid"), "encode": "UTF-8", **changes.get("headers", {})}
    reply = counterpart.Counterpart(world).answer(
        httpx.Request("POST", f"http://bjmtn.b2m.cn/inter/{call}", headers=headers, content=content)
    )
    if reply.headers["result"] != "SUCCESS":
        assert reply.content == b"" and reply.headers["result"] in counterpart.CODES
        return reply.headers["result"]
    return json.loads(emay.opened(KEY, reply.content))


def simple(world: World, call: str, method: str = "POST", **fields: str) -> Any:
    when = fields.pop("timestamp", f"{world.at + timedelta(hours=8):%Y%m%d%H%M%S}")
    sign = hashlib.md5(f"appid{KEY}{when}".encode()).hexdigest()
    form = urlencode({"appId": "appid", "timestamp": when, "sign": sign, **fields})
    url, is_get = f"http://bjmtn.b2m.cn/simpleinter/{call}", method == "GET"
    request = httpx.Request(method, f"{url}?{form}" if is_get else url, content=b"" if is_get else form.encode())
    body = counterpart.Counterpart(world).answer(request).json()
    return body["data"] if body["code"] == "SUCCESS" else body["code"]


SENT = {"mobile": "13800138000", "content": "【测试签名】甲"}


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"app": "other"}, "ERROR_APPID"),
        ({"content": b"x" * 16}, "ERROR_ENCRYPTION"),
        ({"content": b""}, "ERROR_ENCRYPTION"),
        ({"headers": {"gzip": "on"}}, "ERROR_ENCRYPTION"),
        ({"content": signing.aes_ecb(KEY.encode(), b"hello")}, "ERROR_PARAMS"),
        ({"content": signing.aes_ecb(KEY.encode(), b"[]")}, "ERROR_PARAMS"),
    ],
)
def test_whatever_is_wrong_with_a_closed_request_has_its_code(changes: Any, code: str) -> None:
    assert secure(world_of(), "sendSingleSMS", SENT, **changes) == code


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"requestTime": 1_705_307_369_000}, "ERROR_REQUEST_NO_VALID"),
        ({"requestTime": 1_705_309_400_000}, "ERROR_REQUEST_NO_VALID"),
        ({"requestTime": "now"}, "ERROR_PARAMS"),
        ({"requestValidPeriod": None}, "ERROR_PARAMS"),
        ({"mobile": ""}, "ERROR_MOBILE_EMPTY"),
        ({"mobile": 5}, "ERROR_PARAMS"),
        ({"mobile": "123"}, "ERROR_MOBILE_ERROR"),
        ({"content": ""}, "ERROR_CONTENT_EMPTY"),
        ({"content": "长" * 1001}, "ERROR_LONG_CONTENT"),
        ({"customSmsId": "x" * 65}, "ERROR_CUSTOM_SMSID"),
        ({"extendedCode": "a"}, "ERROR_EXTENDED_CODE"),
    ],
)
def test_whatever_is_wrong_with_a_message_has_its_code(fields: Any, code: str) -> None:
    assert secure(world_of(), "sendSingleSMS", {**SENT, **fields}) == code


def test_one_text_goes_to_a_list_of_numbers() -> None:
    world = world_of()
    rows = secure(world, "sendBatchOnlySMS", {"mobiles": ["13800138000", "13900000001"], "content": "【测试签名】甲"})
    assert [row["mobile"] for row in rows] == ["13800138000", "13900000001"]
    rows = secure(world, "sendBatchSMS", {"smses": [{"mobile": "13800138000", "customSmsId": "a"}], "content": "乙"})
    assert [row["customSmsId"] for row in rows] == ["a"]
    assert secure(world, "sendBatchOnlySMS", {"mobiles": "13800138000"}) == "ERROR_PARAMS"
    assert secure(world, "sendPersonalitySMS", {"smses": ["x"]}) == "ERROR_PARAMS"
    assert secure(world, "sendPersonalitySMS", {"smses": []}) == "ERROR_MOBILE_EMPTY"
    assert secure(world, "sendPersonalitySMS", {"smses": [SENT] * 501}) == "ERROR_MOBILE_NUMBER"


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"appId": "other"}, "ERROR_APPID"),
        ({"timestamp": "2024"}, "ERROR_TIMESTAMP"),
        ({"timestamp": "20241301000000"}, "ERROR_TIMESTAMP"),
        ({"timestamp": "20240115160000"}, "ERROR_TIMESTAMP"),
        ({"sign": "x"}, "ERROR_SIGN"),
        ({"mobiles": ""}, "ERROR_MOBILE_EMPTY"),
    ],
)
def test_whatever_is_wrong_with_a_form_has_its_code(fields: dict[str, str], code: str) -> None:
    sent = {"mobiles": "13800138000", "content": quote_plus("【测试签名】甲"), **fields}
    assert simple(world_of(), "sendSMS", **sent) == code


def test_the_simple_interface_is_asked_by_get_too_and_tells_what_is_left() -> None:
    world = world_of()
    assert simple(world, "getBalance", "GET")["balance"] > 0
    assert simple(world, "getReport", "GET", number="501") == "ERROR_MOBILE_NUMBER"
    assert simple(world, "getReport", number="x") == "ERROR_PARAMS"
    assert simple(world, "getReport") == []


def test_a_rate_is_kept_where_the_account_has_one() -> None:
    world = world_of(per_second="1")
    assert [simple(world, "getMo"), simple(world, "getMo")] == [[], "ERROR_OVER_SPEED"]
    assert secure(world, "getMo", {}) == "ERROR_OVER_SPEED"


def test_what_is_no_call_of_theirs_is_not_there_and_nothing_is_pushed() -> None:
    side = counterpart.Counterpart(world_of())
    for method, path in (
        ("POST", "/inter/other"),
        ("GET", "/inter/getMo"),
        ("POST", "/"),
        ("PUT", "/simpleinter/getMo"),
    ):
        assert side.answer(httpx.Request(method, f"http://bjmtn.b2m.cn{path}")).status_code == 404
    assert side.push_reports([]) is side.push_reply(REPLY) is side.push_decision(None) is None  # type: ignore[arg-type]
    assert side.acknowledged(200, b"")


@settings(max_examples=60, deadline=None)
@given(
    call=st.sampled_from(sorted(counterpart.CLOSED)),
    fields=st.dictionaries(
        st.sampled_from(["mobile", "mobiles", "smses", "content", "customSmsId", "extendedCode", "number"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6)),
            lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.just("mobile"), inner, max_size=1)),
            max_leaves=4,
        ),
        max_size=4,
    ),
)
def test_any_closed_request_gets_the_vendors_answer(call: str, fields: dict[str, Any]) -> None:
    secure(world_of(), call, fields)


@settings(max_examples=60, deadline=None)
@given(call=st.sampled_from(sorted(counterpart.SIMPLE)), content=st.binary(max_size=60))
def test_any_form_gets_the_vendors_answer(call: str, content: bytes) -> None:
    request = httpx.Request("POST", f"http://bjmtn.b2m.cn/simpleinter/{call}", content=content)
    assert counterpart.Counterpart(world_of()).answer(request).json()["code"] in counterpart.CODES


def test_the_day_of_the_samples_is_the_worlds() -> None:
    """The stamps of the forms above are near to the small world's time, or they would say something else."""
    assert world_of().at == datetime(2024, 1, 15, 8, 30, tzinfo=UTC)
