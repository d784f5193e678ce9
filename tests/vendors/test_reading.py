"""Reading fields, stamps, codes and pages, whatever stands there."""

from __future__ import annotations

import base64
import doctest
import email
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capabilities import Mapped
from harness.domain import BEIJING, Accepted, Carrier, DeliveryState, InDoubt, Reason
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors.samples import message, raw_push
from vendors import carrier_codes, reading, signing

ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)


@pytest.mark.parametrize("module", [carrier_codes, reading, signing])
def test_examples_in_the_documentation_hold(module: Any) -> None:
    results = doctest.testmod(module)
    assert results.attempted and not results.failed


@given(value=ANYTHING)
def test_lenient_readers_never_fail(value: Any) -> None:
    body = {"a": value}
    number, total = reading.count(body, "a"), reading.amount(body, "a")
    assert number is None or 0 <= number < 10**18
    assert total is None or total.is_finite()
    for stamp in (reading.beijing(body, "a"), reading.unix(body, "a")):
        assert stamp is None or stamp.tzinfo is UTC


@given(value=ANYTHING)
def test_strict_readers_give_text_or_say_that_they_cannot(value: Any) -> None:
    for read in (reading.text, reading.identifier):
        try:
            read({"a": value}, "a").encode()
        except Unintelligible:
            assert not isinstance(value, str) or read is reading.identifier


@given(number=st.integers(0, 2**200))
def test_an_id_keeps_every_digit(number: int) -> None:
    assert reading.identifier({"a": number}, "a") == str(number) == reading.identifier({"a": str(number)}, "a")


@given(moment=st.datetimes(datetime(1970, 1, 2), datetime(9990, 1, 1)))  # noqa: DTZ001
def test_a_stamp_without_zone_is_beijings(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert reading.beijing({"a": f"{moment:%Y-%m-%d %H:%M:%S}"}, "a") == moment.replace(tzinfo=BEIJING)


@pytest.mark.parametrize(
    "stamp", ["", "2026-02-30 00:00:00", "0001-01-01 00:00:00", "2026-03-01", "２０26-03-01 00:00:00"]
)
def test_what_is_no_stamp_is_not_told(stamp: str) -> None:
    assert reading.beijing({"a": stamp}, "a") is None


@pytest.mark.parametrize("day", ["", "2026-03-01", "20260230", "00010101", "99991231", "202603"])
def test_what_is_no_day_cannot_be_read(day: str) -> None:
    with pytest.raises(Unintelligible):
        reading.calendar_day({"a": day}, "a")


def test_a_day_begins_at_midnight_in_beijing() -> None:
    assert reading.midnight(date(2026, 3, 1)) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert reading.days(date(2026, 2, 27), date(2026, 3, 1))[-1] - date(2026, 2, 27) == timedelta(days=2)
    assert reading.days(date(2026, 3, 2), date(2026, 3, 1)) == []


@pytest.mark.parametrize(
    "words, shown",
    [
        ("号码13800001234无效", "号码138******34无效"),
        ("+8613800001234", "138******34"),
        ("8613800001234,13900001234", "138******34,139******34"),
        (
            "id 113800001234 and 5000:1045710669157053657849499619",
            "id 113800001234 and 5000:1045710669157053657849499619",
        ),
        ("10690000123", "10690000123"),
    ],
)
def test_only_mobile_numbers_are_masked_in_a_vendors_words(words: str, shown: str) -> None:
    assert reading.masked(words) == shown


def test_a_dotted_code_falls_back_to_its_family_and_never_to_another() -> None:
    table = {"A": Mapped(Reason.AUTH), "A.B": Mapped(Reason.QUOTA)}
    assert [reading.mapped(code, table).reason for code in ("A.B.C", "A.B", "A.X", "A", "AX", "B.A", "")] == [
        Reason.QUOTA, Reason.QUOTA, Reason.AUTH, Reason.AUTH, Reason.UNMAPPED, Reason.UNMAPPED, Reason.UNMAPPED,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "code, reason",
    [
        ("MK:0001", Reason.INVALID_NUMBER),
        ("mk0001", Reason.INVALID_NUMBER),
        ("MK00001", Reason.INVALID_NUMBER),
        ("MK:0001_006", Reason.INVALID_NUMBER),
        ("ID:0076", Reason.SENSITIVE_CONTENT),
        ("IB:0008", Reason.VENDOR_FAULT),
        ("IB:0999", Reason.CARRIER_FAULT),
        ("CA:0001", Reason.CARRIER_FAULT),
        ("NP:1243", Reason.ROUTING),
        ("XA:0003", Reason.SIGNATURE_NOT_REGISTERED),
        ("DB:0103", Reason.OUT_OF_SERVICE),
        ("MK:0012", Reason.UNMAPPED),  # sources differ
        ("2:12", Reason.UNMAPPED),
        ("UNKNOWN", Reason.UNMAPPED),
        ("", Reason.UNMAPPED),
    ],
)
def test_carriers_codes_are_read_in_all_their_spellings(code: str, reason: Reason) -> None:
    assert carrier_codes.report_reason(code) is reason


@pytest.mark.parametrize(
    "code, carrier, reason",
    [
        ("29", Carrier.CHINA_UNICOM, Reason.INVALID_NUMBER),
        ("029", Carrier.CHINA_UNICOM, Reason.INVALID_NUMBER),
        ("69", Carrier.CHINA_UNICOM, Reason.BLACKLISTED),
        ("69", Carrier.CHINA_TELECOM, Reason.UNMAPPED),
        ("69", None, Reason.UNMAPPED),
        ("005", Carrier.CHINA_TELECOM, Reason.BLACKLISTED),
        ("5", Carrier.CHINA_TELECOM, Reason.BLACKLISTED),
        ("UNDELIV_005", Carrier.CHINA_TELECOM, Reason.BLACKLISTED),
        ("601", Carrier.CHINA_TELECOM, Reason.UNMAPPED),  # sources differ
        ("12", Carrier.CHINA_UNICOM, Reason.UNMAPPED),  # sources differ
        ("MK:0001", Carrier.CHINA_MOBILE, Reason.INVALID_NUMBER),
    ],
)
def test_a_bare_number_counts_by_the_carrier_whose_it_is(code: str, carrier: Carrier | None, reason: Reason) -> None:
    assert carrier_codes.report_reason(code, carrier=carrier) is reason


def test_a_vendors_own_reading_wins_over_the_carriers() -> None:
    own = {"69": Mapped(Reason.ROUTING)}
    assert carrier_codes.report_reason("69", own, carrier=Carrier.CHINA_UNICOM) is Reason.ROUTING


def test_every_line_of_the_carriers_has_its_source() -> None:
    for line in (*carrier_codes.CARRIER_CODES.values(), *carrier_codes.CARRIER_OWN.values()):
        assert line.source


def test_a_vendors_own_reading_of_a_code_wins() -> None:
    own = {"MK:0001": Mapped(Reason.UNREACHABLE)}
    assert carrier_codes.report_reason("mk0001", own) is Reason.UNREACHABLE


@given(code=st.text())
def test_any_code_has_a_reason_and_a_failed_state(code: str) -> None:
    assert carrier_codes.report_reason(code) in Reason
    assert carrier_codes.failed_state(code) is not DeliveryState.DELIVERED


def test_codes_are_listed_as_they_are_looked_up() -> None:
    for code in carrier_codes.CARRIER_CODES:
        assert carrier_codes.normalised(code) == code


# --- ciphers and digests ---------------------------------------------------------------------------------------------


def test_aes_gives_the_standards_block() -> None:
    """FIPS 197, appendix C.1."""
    key, plain = bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")
    assert signing.aes_ecb(key, plain)[:16].hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_aes_gives_the_vector_of_the_fact_card() -> None:
    """facts/vendors/emay.md: made with another implementation."""
    closed = signing.aes_ecb(b"0123456789abcdef", b'{"mobile":"13800000000","content":"hi"}')
    assert signing.base64_text(closed) == "647Pwy9ASC28j+hMZWmtgK6Zy8cOlcDTLX1E9fn76f50Uecq6+Oz/REcoUgzX1Zv"


@given(key=st.binary(min_size=16, max_size=16), data=st.binary(max_size=70))
def test_what_aes_closed_it_opens(key: bytes, data: bytes) -> None:
    assert signing.aes_ecb_opened(key, signing.aes_ecb(key, data)) == data


@given(data=st.binary(max_size=64))
def test_what_aes_did_not_close_is_refused_or_gives_bytes(data: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(signing.aes_ecb_opened(b"k" * 16, data), bytes)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        signing.aes_ecb(b"short", b"")


def test_base64_for_urls_keeps_its_padding() -> None:
    assert signing.base64_url(b"\xfb\xff") == "-_8="


def test_an_hmac_goes_by_its_digests_name() -> None:
    """RFC 2202 and RFC 4231, second test case each."""
    key, data = b"Jefe", b"what do ya want for nothing?"
    assert signing.hmac_hex(key, data, "md5") == "750c783e6ab0b503eaa86e310a5db738"
    assert signing.hmac_hex(key, data, "sha1") == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"


# --- more stamps, pushes, pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, pattern, expected",
    [
        ("1704101038", "%y%m%d%H%M", datetime(2017, 4, 10, 2, 38, tzinfo=UTC)),
        (20240101120000, "%Y%m%d%H%M%S", datetime(2024, 1, 1, 4, 0, tzinfo=UTC)),
        ("0001010000", "%Y%m%d%H", None),
        ("１７０４１０１０３８", "%y%m%d%H%M", None),
        (True, "%Y", None),
        (None, "%Y", None),
    ],
)
def test_a_stamp_of_digits_is_read_by_its_pattern_or_is_none(value: Any, pattern: str, expected: Any) -> None:
    assert reading.stamped({"at": value}, "at", pattern) == expected


@given(value=st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=45)))
def test_no_stamp_makes_a_reader_fall(value: Any) -> None:
    body = {"at": value}
    for found in (
        reading.milliseconds(body, "at"),
        reading.mail_date(body, "at"),
        reading.stamped(body, "at", "%Y%m%d%H%M%S"),
    ):
        assert found is None or found.tzinfo is UTC


def test_milliseconds_keep_their_thousandths() -> None:
    assert reading.milliseconds({"at": "1669171012444"}, "at") == datetime(2022, 11, 23, 2, 36, 52, 444000, tzinfo=UTC)


PLAIN = {"mobile": "13800001234", "text": "回复 TD"}
WAYS = {
    "query": raw_push(b"", method="GET", query="mobile=13800001234&text=%E5%9B%9E%E5%A4%8D+TD"),
    "form": raw_push(b"mobile=13800001234&text=%E5%9B%9E%E5%A4%8D+TD"),
    "json": raw_push(json.dumps(PLAIN).encode()),
    "base64": raw_push(base64.b64encode(json.dumps(PLAIN).encode())),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_push_is_opened_whichever_way_it_comes(way: str) -> None:
    assert reading.pushed(WAYS[way]) == PLAIN


def test_a_form_in_gbk_is_read_by_its_charset() -> None:
    assert reading.pushed(raw_push(b"text=%D3%DA"), "gb18030") == {"text": "于"}
    with pytest.raises(ValueError):
        reading.pushed(raw_push(b"text=%D3%DA"))


@given(body=st.binary(max_size=80))
def test_a_push_that_is_none_is_a_value_error(body: bytes) -> None:
    with suppress(ValueError):
        reading.pushed(raw_push(body))


@pytest.mark.parametrize("hours, is_fresh", [(0, True), (35, True), (-35, True), (37, False), (-37, False)])
def test_a_signed_stamp_too_far_from_now_is_stale(hours: int, is_fresh: bool) -> None:
    now = datetime(2026, 3, 2, 4, tzinfo=UTC)
    if is_fresh:
        reading.check_fresh(now - timedelta(hours=hours), now)
        return
    with pytest.raises(ValueError, match="stale"):
        reading.check_fresh(now - timedelta(hours=hours), now)


def test_a_push_without_its_stamp_is_stale() -> None:
    with pytest.raises(ValueError, match="stale"):
        reading.check_fresh(None, datetime(2026, 3, 2, tzinfo=UTC))


def test_ids_in_the_order_of_the_messages_keep_every_digit() -> None:
    ids = ["a-1", 2**63, None]
    first, second, third = reading.in_order([message()] * 3, ids)
    assert (first, second) == (Accepted(vendor_message_id="a-1"), Accepted(vendor_message_id=str(2**63)))
    assert isinstance(third, InDoubt)
    with pytest.raises(Unintelligible, match="2 ids for 3"):
        reading.in_order([message()] * 3, ids[:2])


def _numbered(reply: httpx.Response) -> tuple[list[Any], httpx.Request | None]:
    body = reply.json()
    return body["rows"], httpx.Request("GET", f"http://x{body['next']}") if body["next"] else None


def test_pages_are_followed_until_one_names_no_other() -> None:
    talk = play(reading.followed(httpx.Request("GET", "http://x/1"), _numbered, lambda row: row["id"]))
    talk.answer(200, {"rows": [{"id": 1}], "next": "/2"})
    assert talk.request is not None and talk.request.url.path == "/2"
    assert talk.answer(200, {"rows": [{"id": 2}], "next": None}).outcome == (1, 2)


def test_pages_that_do_not_end_are_trouble() -> None:
    talk = play(reading.followed(httpx.Request("GET", "http://x/1"), _numbered, lambda row: row["id"]))
    with pytest.raises(VendorTrouble, match="pages"):
        for _ in range(reading.PAGE_LIMIT + 1):
            talk.answer(200, {"rows": [{"id": 1}], "next": "/2"})


def test_a_multipart_form_is_read_back_by_another_reader() -> None:
    kind, body = reading.multipart({"sign": "某某"}, {"image": ("a.png", "image/png", b"\x89\r\n")}, "mark")
    read = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part for part in read.get_payload()}  # type: ignore[union-attr]
    assert parts["sign"].get_payload(decode=True).decode() == "某某"
    assert (parts["image"].get_filename(), parts["image"].get_content_type()) == ("a.png", "image/png")
