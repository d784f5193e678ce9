"""The test texts and the rules that tell compliant from faulty ones."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from harness.content import (
    LIST_AGES_AFTER_DAYS,
    RULES,
    TOKEN_VARIABLE,
    faults_of,
    has_marketing_form,
    read_texts,
    read_words,
    shipped_texts,
    shipped_words,
)
from harness.domain import Purpose
from harness.errors import ConfigError
from harness.plain_yaml import locate
from harness.text import billed_segments, fill, signed, variables

TEXTS = shipped_texts()
WORDS = shipped_words()


def rules_broken(body: str, purpose: Purpose = Purpose.MARKETING, signature: str = "") -> list[str]:
    return [fault.rule for fault in faults_of(body, purpose, WORDS, signature=signature)]


@pytest.mark.parametrize("sample", [one for one in TEXTS.values() if one.kind == "faulty"], ids=lambda one: one.id)
def test_a_faulty_text_breaks_exactly_the_rule_it_says(sample):
    assert rules_broken(sample.text, sample.purpose) == [sample.fault]


@pytest.mark.parametrize("sample", [one for one in TEXTS.values() if one.kind != "faulty"], ids=lambda one: one.id)
def test_a_compliant_or_harmless_text_breaks_none(sample):
    assert rules_broken(sample.text, sample.purpose) == []
    assert sample.fault == ""


def test_every_rule_is_broken_by_some_text():
    assert {one.fault for one in TEXTS.values()} - {""} == set(RULES)


def test_every_purpose_has_compliant_texts():
    found = {one.purpose for one in TEXTS.values() if one.kind == "compliant" and not one.is_long}
    assert found == set(Purpose)


@pytest.mark.parametrize(
    "sample",
    [one for one in TEXTS.values() if one.kind == "compliant" and one.purpose is Purpose.MARKETING],
    ids=lambda one: one.id,
)
def test_a_compliant_marketing_text_has_scene_value_and_response(sample):
    assert has_marketing_form(sample)
    assert 5 <= len(sample.scene) <= 8


def test_a_text_without_one_of_the_three_parts_has_not_the_form():
    from dataclasses import replace

    whole = TEXTS["weekend_offer"]
    assert not has_marketing_form(replace(whole, scene=""))
    assert not has_marketing_form(replace(whole, response="回复了解更多"))
    assert not has_marketing_form(replace(whole, scene="周末"))
    assert not has_marketing_form(replace(whole, scene=whole.response, response=whole.scene))


@pytest.mark.parametrize("sample", TEXTS.values(), ids=lambda one: one.id)
def test_a_text_fits_and_takes_a_token(sample):
    assert variables(sample.text) == (TOKEN_VARIABLE,)
    whole = signed(fill(sample.text, {TOKEN_VARIABLE: "BCD234"}), "某某科技")
    assert (billed_segments(whole) > 1) == sample.is_long


def test_every_fault_comes_with_a_harmless_look_alike():
    assert [one for one in TEXTS.values() if one.kind == "harmless"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("装修资金，年化利率（单利）12%。拒收请回复R", []),
        ("装修资金，年化利率(单利)24％。拒收请回复R", []),
        ("装修资金，年化利率（单利）24.1%。拒收请回复R", ["rate_too_high"]),
        ("装修资金，年化36%。拒收请回复R", ["rate_unlabelled"]),
        ("装修资金，日息 0.05%。拒收请回复R", ["rate_unlabelled"]),
        ("年化利率（单利）12%，折合月息1%。拒收请回复R", ["rate_unlabelled"]),
        ("满200元立减30元，拒收请回复R。", []),
        ("满200元立减30元，拒收请回复R！ ", []),
        ("拒收请回复R，满200元立减30元", ["no_opt_out"]),
        ("满30%返券。拒收请回复R", []),
    ],
)
def test_rates_and_ways_out_are_read_closely(body, expected):
    assert rules_broken(body) == expected


def test_a_bank_that_signs_as_itself_does_not_pose():
    body = "招商银行提醒您，兑换号{code}。"
    assert rules_broken(body, Purpose.NOTIFICATION) == ["poses_as_bank"]
    assert rules_broken(body, Purpose.NOTIFICATION, signature="招商银行") == []


def test_a_verification_code_needs_no_way_out():
    assert rules_broken("您的验证码是{code}", Purpose.VERIFICATION) == []


def test_a_word_list_ages():
    assert not WORDS.is_stale(WORDS.dated + timedelta(days=LIST_AGES_AFTER_DAYS))
    assert WORDS.is_stale(WORDS.dated + timedelta(days=LIST_AGES_AFTER_DAYS + 1))


def test_a_word_list_of_ones_own_is_read():
    words = read_words(locate("dated: 2026-03-01\nmisleading: [好运来]\n", "words.yaml"))
    assert words.dated == date(2026, 3, 1)
    assert words.found("misleading", "祝您好运来到") == ("好运来",)
    assert words.found("nothing", "祝您好运来到") == ()


@pytest.mark.parametrize("text", ["misleading: [a]", "dated: soon", "- a", "dated: [2026-03-01]"])
def test_a_word_list_without_its_date_is_refused(text):
    with pytest.raises(ConfigError, match="dated: 2026-11-20"):
        read_words(locate(text, "words.yaml"))


def test_every_text_that_is_wrong_is_named():
    text = """\
compliant:
  a: {purpose: verification, text: 没有变量}
  b: {purpose: gossip, text: "{code}"}
  c: [x]
  d: {purpose: marketing}
invented: {}
"""
    with pytest.raises(ConfigError) as caught:
        read_texts(locate(text, "texts.yaml"))
    places = [complaint.place for complaint in caught.value.complaints]
    assert places == [
        "texts.yaml, line 2: compliant.a",
        "texts.yaml, line 3: compliant.b",
        "texts.yaml, line 4: compliant.c",
        "texts.yaml, line 5: compliant.d",
        "texts.yaml, line 6: invented",
    ]
