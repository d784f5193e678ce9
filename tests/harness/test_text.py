"""What fits in one SMS."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import text
from harness.matching import tokens_in

ANY = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("body", "expected"),
    [("您" * 70, 1), ("您" * 71, 2), ("您" * 134, 2), ("您" * 135, 3), ("a" * 160, 1), ("a" * 161, 2), ("a" * 307, 3)],
)
def test_segments_follow_the_gsm_rules(body, expected):
    assert text.segments(body) == expected


def test_platforms_bill_latin_text_as_if_it_were_chinese():
    assert text.segments("a" * 160) == 1
    assert text.billed_segments("a" * 160) == 3


def test_extension_characters_count_twice():
    assert text.units("[€]") == 6
    assert text.units("[您]") == 3


def test_a_character_beyond_the_basic_plane_counts_two_units():
    assert text.units("😀") == 2
    assert text.billed_segments("😀" * 35) == 1
    assert text.billed_segments("😀" * 36) == 2


def test_an_empty_text_is_still_one_segment():
    assert text.segments("") == text.billed_segments("") == 1


@given(ANY)
def test_a_longer_text_never_needs_fewer_segments(body):
    assert text.billed_segments(body + "您") >= text.billed_segments(body) >= 1
    assert text.billed_segments(body) >= text.units(body) // 160 if text.is_gsm7(body) else True


@given(
    st.text(alphabet=st.characters(exclude_characters="【】", exclude_categories=["Cs"]), min_size=1),
    st.text(alphabet=st.characters(exclude_characters="【】", exclude_categories=["Cs"])),
)
def test_a_signature_comes_off_as_it_was_put_on(signature, body):
    assert text.split_signature(text.signed(body, signature)) == (signature, body)


def test_a_signature_at_the_end_is_found_too():
    assert text.split_signature("验证码123456【某某科技】") == ("某某科技", "验证码123456")
    assert text.split_signature("验证码123456") == (None, "验证码123456")


def test_a_template_is_substitution_and_never_an_expression():
    hostile = "{{ ''.__class__ }} {code} {0} {code!r} {code.__class__}"
    assert text.variables(hostile) == ("code",)
    assert text.fill(hostile, {"code": "{code}"}) == "{{ ''.__class__ }} {code} {0} {code!r} {code.__class__}"


def test_a_missing_parameter_is_told():
    with pytest.raises(KeyError, match="code"):
        text.fill("验证码{code}", {})


@given(st.integers(), st.booleans())
def test_a_token_is_found_in_a_text_that_holds_it(seed, digits):
    token = text.new_token(Random(seed), digits=digits)
    assert len(token) == text.TOKEN_LENGTH
    assert token.isdigit() if digits else set(token) <= set(text.TOKEN_ALPHABET)
    assert token in tokens_in(f"您的验证码是{token}，5分钟内有效")


def test_tokens_that_could_be_misread_are_not_made():
    assert not set("01ILOAEU") & set(text.TOKEN_ALPHABET)


@given(st.text())
def test_a_whole_text_can_be_stored_and_a_storable_one_stays(body):
    kept = text.whole(body)
    assert kept.encode().decode() == kept
    assert text.whole(kept) == kept
    if not any(0xD800 <= ord(one) < 0xE000 for one in body):
        assert kept == body


def test_line_ends_and_blanks_at_the_ends_make_no_difference():
    assert text.normalised(" 您好\r\n再见 \n") == "您好\n再见"
