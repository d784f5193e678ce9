"""Two languages, the same ids and placeholders, and words for everything a report may have to name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capabilities import Capability, Standing
from harness.domain import Carrier, Money, Purpose, Reason, Scope, State, Subject, Unit
from harness.dossier import DocumentKind
from harness.errors import ConfigError
from harness.words import FORMS, LANGUAGES, Words, locale

HOUSE = Path(__file__).parents[1]
CHINESE, ENGLISH = Words("zh-CN"), Words("en")


def test_both_languages_have_the_same_ids():
    assert list(locale("zh-CN")) == list(locale("en"))


@pytest.mark.parametrize("id", locale("zh-CN"))
def test_both_languages_have_the_same_placeholders(id):
    ours, theirs = locale("zh-CN")[id], locale("en")[id]
    assert {p.partition(":")[0] for p in ours.placeholders} == {p.partition(":")[0] for p in theirs.placeholders}
    assert ours.text.strip() and theirs.text.strip()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_placeholder_is_formatted_only_in_known_ways(language):
    for id, entry in locale(language).items():
        for place in entry.placeholders:
            assert place.partition(":")[2] in FORMS | {""}, (language, id, place)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("vocabulary", "values"),
    [
        ("carrier", Carrier), ("purpose", Purpose), ("state", State), ("reason", Reason), ("scope", Scope),
        ("subject", Subject), ("document", DocumentKind), ("standing", Standing), ("capability", Capability),
        ("source", ("measured", "attested", "both", "none")),
        ("verdict", ("pass", "fail", "not_shown", "unclear")), ("ranking", ("ranked", "conditional", "excluded")),
    ],
)  # fmt: skip
def test_every_value_of_a_closed_set_has_words(language, vocabulary, values):
    words = Words(language)
    for value in values:
        assert f"{vocabulary}.{value}" in words, f"{vocabulary}.{value}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_measure_and_denominator_has_words(language):
    from harness.judge.criteria import CRITERIA, measures

    words = Words(language)
    for id, measure in measures().items():
        assert f"measure.{id}" in words, id
        assert f"measure.{id}.about" in words, id
        if measure.info.denominator:
            assert f"denominator.{measure.info.denominator}" in words, (id, measure.info.denominator)
    for criterion in CRITERIA:
        assert f"criterion.{criterion}" in words


@pytest.mark.parametrize("path", sorted((HOUSE / "harness" / "judge").rglob("*.py")), ids=lambda path: path.stem)
def test_every_sentence_the_judge_asks_for_is_there(path):
    for id in _message_ids(path):
        assert id in CHINESE or f"reason.{id}" in CHINESE, f"{path.name} speaks of {id!r}"


def _message_ids(path: Path) -> Iterator[str]:
    """Constants that a module hands to Note(id=…), NotEnough(reason=…) or Absent(reason=…)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "Note", "NotEnough", "Absent",
        ):  # fmt: skip
            for keyword in node.keywords:
                if keyword.arg in ("id", "reason") and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)


def test_an_id_that_is_missing_is_an_error_and_never_an_empty_place():
    with pytest.raises(KeyError):
        CHINESE("no.such.message")
    with pytest.raises(KeyError, match="weight"):
        ENGLISH("weight")


def test_a_language_that_is_not_there_names_those_that_are():
    with pytest.raises(ConfigError, match="zh-CN, en"):
        Words("fr")


def test_a_message_from_a_plug_in_is_shown_with_its_values():
    assert (
        ENGLISH.sentence("acme.odd", {"carrier": "china_unicom", "n": 3}) == "acme.odd: carrier = China Unicom, n = 3"
    )
    assert CHINESE.sentence("acme.odd", {}) == "acme.odd"


def test_a_word_of_a_vocabulary_is_translated_where_its_name_stands():
    assert CHINESE("reason.document_missing", document="licence") == "没有核对过的增值电信业务经营许可证"
    assert ENGLISH.name("carrier", "china_telecom") == "China Telecom"
    assert ENGLISH.name("carrier", "a_fifth_carrier") == "a_fifth_carrier"


def test_english_has_a_form_for_one():
    assert ENGLISH("basis.handsets", n=1) == "1 handset"
    assert ENGLISH("basis.handsets", n=1200) == "1,200 handsets"
    assert CHINESE("basis.handsets", n=1) == "1 部手机"


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.985, "98.5 %"), (1.0, "100 %"), (0.0, "0 %"), (0.9996, "99.96 %"), (0.999999, "99.99 %"), (0.00001, "0.01 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, written):
    assert CHINESE.share(share) == written


@given(st.floats(0, 1))
def test_a_share_says_all_or_nothing_only_when_it_is(share):
    assert (ENGLISH.share(share) == "100 %") == (share == 1.0)
    assert (ENGLISH.share(share) == "0 %") == (share == 0.0)


@pytest.mark.parametrize(
    ("low", "high", "unit", "written"),
    [
        (0.971, 0.992, Unit.SHARE, "97.1–99.2 %"),
        (3.2, 8.9, Unit.SECONDS, "3.2–8.9 s"),
        (30.0, 5400.0, Unit.SECONDS, "0.5–90 min"),
        (3.2, None, Unit.SECONDS, "3.2 s – not reached"),
        (0.0446, 0.0463, Unit.CNY, "0.0446–0.0463 CNY"),
        (30, 31, Unit.DAYS, "30–31 d"),
    ],
)
def test_an_interval_is_written_in_the_unit_of_its_measure(low, high, unit, written):
    assert ENGLISH.interval(low, high, unit) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.35, "0.35 秒"),
        (3.24, "3.2 秒"),
        (60, "1 分钟"),
        (90, "90 秒"),
        (270, "4.5 分钟"),
        (7200, "2 小时"),
        (604800, "7 天"),
    ],
)  # fmt: skip
def test_a_span_is_written_in_the_unit_that_suits_it(seconds, written):
    assert CHINESE.duration(seconds) == written


@given(st.floats(0, 1e9, allow_nan=False), st.sampled_from(list(Unit)), st.sampled_from(LANGUAGES))
def test_any_value_of_any_unit_can_be_written(value, unit, language):
    words = Words(language)
    for text in (words.value(value, unit), words.interval(value, value * 1.1, unit)):
        assert text and "nan" not in text and "None" not in text and "e+" not in text


def test_a_percentile_that_was_not_reached_says_so():
    assert CHINESE.value(None, Unit.SECONDS) == "未达到"
    assert CHINESE("gate.crosses") == "区间跨线"


def test_times_are_told_in_beijing_with_the_zone_written_out():
    at = datetime(2026, 3, 4, 16, 30, tzinfo=UTC)
    assert ENGLISH.moment(at) == "2026-03-05 00:30 (Beijing time, Asia/Shanghai)"
    assert ENGLISH.moment("2026-03-04T16:30:00+00:00") == ENGLISH.moment(at)
    assert ENGLISH.day("2026-03-04T16:30:00Z") == "2026-03-05"
    assert ENGLISH.bare_moment("yesterday") == "yesterday"


def test_money_keeps_its_currency_and_its_small_prices():
    assert CHINESE.money(Money(amount=Decimal("0.0450"))) == "0.045 元"
    assert ENGLISH.money(Decimal("12.5"), "USD") == "12.5 USD"
