"""What months look like: the line for a terminal, JUnit, and the history page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from harness.history import History
from harness.monthly import Month, lines_of, trend, write_forms
from harness.words import LANGUAGES, Words
from reports import history as page
from tests.reports.sample_months import FALLEN, MONTHS, history_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def told(folder) -> tuple[History, Month]:
    return history_in(folder)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_line_is_the_verdict_and_the_loss_stands_below_with_its_interval(told, language):
    first, *rest = lines_of(told[1], Words(language))
    words = Words(language)
    assert first.startswith(words("comparison.regressed")) and "2024-07" in first
    whole = "\n".join(rest)
    assert words.name("carrier", "china_telecom") in whole
    assert words("points_of_share", x="").strip() in whole and "95 %" in whole


def test_a_month_without_a_baseline_says_how_to_bless_one(told):
    month = Month(kept=told[1].kept, result=told[1].result, comparison=None)
    assert "smsbench bless" in lines_of(month, Words("en"))[0]
    assert month.code == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_every_vendor_every_month_and_what_happened(told, language):
    history, month = told
    line = trend(history, month.kept.evaluation)
    html = page.render(line, Words(language), measures=month.result.measures).decode()
    words = Words(language)
    for kind in ("blessed", "regressed", "changed"):
        assert words.name("event.kind", kind) in html
    assert html.count('class="ring"') == 2  # months 5 and 7; the sixth could not be compared
    assert html.count("<svg") >= len(line.vendors) * 4
    assert "采购部 &lt;张三&gt;" in html and "<张三>" not in html
    assert "<script" not in html and "nan" not in html.lower().replace("nancy", "")
    assert len(html) < 150_000


def test_a_month_that_cannot_tell_is_hatched_and_no_line_is_drawn_across_it(told):
    history, month = told
    view = page.View(trend(history, month.kept.evaluation), Words("en"), month.result.measures)
    (overall,) = [track for track in view.trend.tracks if track.kind == "overall" and track.vendor != FALLEN][:1]
    assert overall.points[2].value is None
    picture = str(view._picture(overall, 0, "x", small=False))
    assert 'class="unknown"' in picture
    (curve,) = [part for part in picture.split("<path") if "curve" in part]
    assert curve.count("M") == MONTHS - 1 - 2  # six steps, less the two at the month that is not known


def test_junit_fails_for_what_regressed_and_skips_what_cannot_be_told(told, tmp_path):
    history, month = told
    write_forms(month, history, tmp_path, ("en",))
    root = xml.fromstring((tmp_path / "comparison.xml").read_bytes())
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed and all("china_telecom" in str(name) for name in failed)
    for suite in root:
        counts = {kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "skipped")}
        assert (int(suite.get("failures", 0)), int(suite.get("skipped", 0))) == (counts["failure"], counts["skipped"])
