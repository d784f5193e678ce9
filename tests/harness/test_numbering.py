"""Mainland mobile numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.domain import Carrier
from harness.numbering import NotMobile, parse_mobile

MOBILE, UNICOM, TELECOM, BROADNET = Carrier


@pytest.mark.parametrize(
    "written",
    [
        "13800001234",
        "138 0000 1234",
        "138-0000-1234",
        "+8613800001234",
        "8613800001234",
        "008613800001234",
        "+86 138 0000 1234",
        "１３８００００１２３４",
        " 13800001234 ",
        "013800001234",
        "1795113800001234",
    ],
)
def test_a_number_is_read_however_it_is_written(written):
    assert parse_mobile(written) == ("+8613800001234", MOBILE)


@pytest.mark.parametrize(
    ("prefixes", "carrier"),
    [
        ("1340 135 139 147 150 172 178 195 197 198 1703 1705 1706 165", MOBILE),
        ("130 132 155 166 175 176 186 196 167 171 1704 1707 1708 1709", UNICOM),
        ("133 153 173 177 189 190 191 193 199 1700 1701 1702 162", TELECOM),
        ("192", BROADNET),
    ],
)
def test_a_prefix_was_allotted_to_its_carrier(prefixes, carrier):
    for prefix in prefixes.split():
        assert parse_mobile(f"{prefix:0<7}1234") == (f"+86{prefix:0<7}1234", carrier), prefix


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "no phone number"),
        ("hello", "no phone number"),
        ("1380000123", "no mainland mobile"),
        ("138000012345", "no mainland mobile"),
        ("1064800001234", "no mainland mobile"),
        ("10086", "no mainland mobile"),
        ("106900001234", "no mainland mobile"),
        ("01088886666", "no mainland mobile"),
        ("12800001234", "no mainland mobile"),
        ("+85260001234", "no mainland mobile"),
        ("+14155550123", "no mainland mobile"),
        ("14000001234", "machine"),
        ("14600001234", "machine"),
        ("14800001234", "machine"),
        ("14900001234", "machine"),
        ("14100001234", "machine"),
        ("14400001234", "machine"),
        ("13490001234", "satellite"),
        ("15400001234", "not in an allotted"),
        ("14200001234", "not in an allotted"),
    ],
)
def test_what_may_not_be_a_test_recipient_is_refused_with_its_reason(written, why):
    with pytest.raises(NotMobile, match=why):
        parse_mobile(written)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_refused(written):
    try:
        number, _ = parse_mobile(written)
    except NotMobile as error:
        assert str(error)
    else:
        assert number.startswith("+861")
        assert len(number) == 14


@given(st.integers(0, 9999))
def test_a_refusal_never_repeats_the_number(last):
    with pytest.raises(NotMobile) as caught:
        parse_mobile(f"1280000{last:04d}")
    assert not any(character.isdigit() for character in str(caught.value))
