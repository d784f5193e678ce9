"""Stopping early: at planned looks, by the judge's word, after a crash as without one, and told in the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from harness.early import early_rule
from harness.facts import CaseClosed, CasePlanned, RunBegan, SendIntended
from harness.run.plan import LOOKS
from tests.simulation.history import check, history_of
from tests.simulation.worlds import PANEL, SETTINGS, VENDORS, PlugPulled, Scene, Stage

TWO = VENDORS[: VENDORS.index("  third:")]
PHONES = PANEL.replace(
    "china_mobile: 3, china_unicom: 2, china_telecom: 2", "china_mobile: 6, china_unicom: 6, china_telecom: 6"
)
APART = Scene(
    vendors=TWO.replace("arrival: 0.9\n", "arrival: 0.6\n"),
    panel=PHONES + "  apps: {smsgate: 1, json: 1}\n",
    settings=SETTINGS.replace("1 day", "3 days") + "stop: early\nmessage_limit: 5000\n",
    scenarios="delivery: {messages: 300, over: 3 days}",
)
ALIKE = replace(APART, vendors=TWO.replace("arrival: 0.9\n", "arrival: 0.96\n"))


def played(folder: Path, scene: Scene, **more: object) -> Stage:
    stage = Stage(folder, scene, 5)
    stage.early = early_rule
    stage.play(**more)
    return stage


def left(stage: Stage) -> list[str]:
    return [fact.case_id for fact in stage.facts() if fact.body == CaseClosed(because="stopped_early")]


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> Stage:
    return played(tmp_path_factory.mktemp("apart"), APART)


def test_vendors_that_differ_are_told_apart_early_and_the_rest_is_never_sent(apart):
    facts = apart.facts()
    cases = [fact.body.case for fact in facts if isinstance(fact.body, CasePlanned)]
    unsent = set(left(apart))
    sent = {fact.case_id for fact in facts if isinstance(fact.body, SendIntended)}
    assert len(cases) // 10 <= len(unsent) <= len(cases) * (LOOKS - 1) // LOOKS
    assert not unsent & sent
    check(history_of(apart))


def test_the_looks_stand_in_the_first_fact_and_the_run_stopped_at_one_of_them(apart):
    facts = apart.facts()
    (began,) = [fact.body for fact in facts if isinstance(fact.body, RunBegan)]
    looks = [datetime.fromisoformat(one) for one in began.settings["looks"]]
    assert len(looks) == LOOKS and looks == sorted(looks)
    stopped = {fact.at for fact in facts if fact.body == CaseClosed(because="stopped_early")}
    assert len(stopped) == 1 and stopped <= set(looks[:-1])


def test_the_result_says_at_which_look_and_what_was_saved(apart):
    (note,) = [one for one in apart.result().warnings if one.id == "warning.stopped_early"]
    assert note.values["n"] == len(left(apart))
    assert 1 <= note.values["look"] < note.values["looks"] == LOOKS
    assert 0 < note.values["of_share"] < 1


def test_vendors_that_are_alike_are_sent_to_the_end(tmp_path):
    stage = played(tmp_path, ALIKE)
    assert left(stage) == []
    assert not [one for one in stage.result().warnings if one.id == "warning.stopped_early"]


def test_an_evaluation_that_does_not_ask_for_it_is_never_left_off(tmp_path):
    stage = played(tmp_path, replace(APART, settings=APART.settings.replace("stop: early\n", "")))
    assert left(stage) == []


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_run_that_dies_while_it_leaves_off_goes_on_leaving_off(tmp_path, apart, side):
    at = next(fact.at for fact in apart.facts() if fact.body == CaseClosed(because="stopped_early"))
    stage = Stage(tmp_path, APART, 5)
    stage.early = early_rule

    def pulled(when: str, n: int) -> None:
        if when == side and stage.world.now() >= at:
            raise PlugPulled(f"{side} the commit that leaves off")

    assert stage.play(pulled) is None
    assert stage.play() is not None
    assert set(left(stage)) == set(left(apart))
    check(history_of(stage))
