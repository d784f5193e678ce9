"""The verdict as a terminal shows it."""

from __future__ import annotations

import pytest

from harness.words import LANGUAGES, Words
from reports import verdict
from tests.reports.sample import sample


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_vendor_has_one_line_and_the_excluded_stand_last(language):
    result = sample()
    lines = verdict.render(result, Words(language)).decode().splitlines()
    cards = lines[: len(result.scorecards)]
    groups = [line.split()[0] for line in cards]
    ranked = [place for place in groups if place != "×"]
    assert groups == ranked + ["×"] * (len(groups) - len(ranked))
    assert ranked == sorted(ranked) and len(ranked) < len(groups)
    assert len(lines) - len(cards) == sum(gate.verdict == "fail" for gate in result.gates)


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_line_up_whatever_their_script(language):
    lines = verdict.render(sample(), Words(language)).decode().splitlines()[: len(sample().scorecards)]
    assert len({verdict._width(line[: line.index("[")]) for line in lines}) == 1
    assert not any(word in line for line in lines for word in ("None", "nan", "undefined"))
