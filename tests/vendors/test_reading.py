"""Reading fields, stamps, codes and pages, whatever stands there."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capabilities import Mapped
from harness.domain import BEIJING, DeliveryState, Reason
from harness.errors import Unintelligible
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
