"""The months' folder: whole files only, nothing guessed, and whatever is wrong with it is named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import history as store
from harness.errors import ConfigError
from harness.history import History, month_of
from harness.judge.result import Result, dump
from harness.monthly import compared, judged, trend
from tests.months import CARRIERS, changed, month

AT = datetime(2027, 1, 1, tzinfo=UTC)
STEADY = {"ali": 0.98, "yun": 0.97}


def result(number: int, **more: object) -> Result:
    return month(number, more.pop("vendors", STEADY), seed=5, **more)  # type: ignore[arg-type]


def filled(folder: Path, *numbers: int) -> History:
    history = History(folder)
    for number in numbers:
        history.add(dump(result(number)), at=AT)
    return history


def test_what_was_added_is_there_again_byte_for_byte(tmp_path):
    raw = dump(result(1))
    kept = History(tmp_path).add(raw, at=AT)
    again = History(tmp_path)
    assert again.kept == [kept]
    assert (kept.month, kept.run) == ("2024-01", "r001")
    assert dump(again.result(kept)) == raw


def test_adding_the_same_result_again_changes_nothing(tmp_path):
    history = filled(tmp_path, 1)
    before = (tmp_path / "history.json").read_bytes()
    history.add(dump(result(1)), at=AT + timedelta(days=3))
    assert (tmp_path / "history.json").read_bytes() == before


def test_a_run_scored_anew_takes_its_old_place(tmp_path):
    history = filled(tmp_path, 1, 2)
    anew = dump(replace(result(1), warnings=()))
    other = json.loads(anew)
    other["run"]["software"] = "0.2"
    kept = history.add(json.dumps(other).encode(), at=AT)
    assert [one.run for one in history.kept] == ["r001", "r002"]
    assert history.result(kept).run.software == "0.2"


def test_a_result_edited_by_hand_is_told_and_no_verdict_is_made_of_it(tmp_path):
    history = filled(tmp_path, 1, 2)
    history.bless("r001", by="ops", at=AT)
    path = tmp_path / "results" / "r001.json"
    path.write_bytes(path.read_bytes().replace(b'"ali"', b'"alj"', 1))
    with pytest.raises(ConfigError, match="was changed after it was kept"):
        judged(History(tmp_path), dump(result(3)), at=AT)
    with pytest.raises(ConfigError, match="was changed"):
        history.bless("r001", by="ops", at=AT)


def test_a_result_that_is_gone_is_told_with_the_way_to_bring_it_back(tmp_path):
    history = filled(tmp_path, 1)
    (tmp_path / "results" / "r001.json").unlink()
    with pytest.raises(ConfigError, match="--add"):
        history.result(history.kept[0])
    history.add(dump(result(1)), at=AT)
    assert history.result(history.kept[0]).run.id == "r001"


def test_a_baseline_of_another_evaluation_is_none(tmp_path):
    other = result(1)
    other = replace(other, run=replace(other.run, id="x001", evaluation="another"))
    history = filled(tmp_path, 1, 2)
    history.add(dump(other), at=AT)
    history.bless("x001", by="ops", at=AT)
    assert history.blessed("monthly") is None
    assert history.blessed("another").run == "x001"
    assert judged(history, dump(result(2)), at=AT).comparison is None


def test_blessing_an_unknown_run_names_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match="r001"):
        filled(tmp_path, 1).bless("r777", by="ops", at=AT)


def test_blessing_again_moves_the_baseline_and_keeps_the_record(tmp_path):
    history = filled(tmp_path, 1, 2)
    history.bless("r001", by="ops", at=AT)
    history.bless("r002", by="buyer", at=AT)
    history.bless("r002", by="buyer", at=AT)
    again = History(tmp_path)
    assert again.blessed("monthly").run == "r002"
    assert [one.by for one in again.blessings] == ["ops", "buyer"]


def test_a_missing_month_is_named_and_not_filled(tmp_path):
    history = filled(tmp_path, 1, 2, 5)
    assert history.missing("monthly") == ["2024-03", "2024-04"]
    assert [one.month for one in history.months("monthly")] == ["2024-01", "2024-02", "2024-05"]
    assert [event.month for event in trend(history, "monthly").events if event.kind == "missing"] == [
        "2024-03",
        "2024-04",
    ]


def again_in(number: int, day: int) -> Result:
    one = result(number)
    return replace(one, run=replace(one.run, id=f"{one.run.id}b", began=one.run.began.replace("-05T", f"-{day:02d}T")))


def test_a_month_run_twice_is_named_and_the_later_or_the_blessed_run_counts(tmp_path):
    history = filled(tmp_path, 1, 2)
    history.add(dump(again_in(2, 9)), at=AT)
    assert history.twice("monthly") == ["2024-02"]
    assert [one.run for one in history.months("monthly")] == ["r001", "r002b"]
    history.bless("r002", by="ops", at=AT)
    assert [one.run for one in history.months("monthly")] == ["r001", "r002"]


def test_a_run_that_is_yet_to_come_or_ended_before_it_began_is_refused_and_nothing_is_kept(tmp_path):
    history = History(tmp_path)
    with pytest.raises(ConfigError, match="clock"):
        history.add(dump(result(1)), at=datetime(2023, 1, 1, tzinfo=UTC))
    one = result(1)
    with pytest.raises(ConfigError, match="before it began"):
        history.add(dump(replace(one, run=replace(one.run, ended="2023-12-31T00:00:00Z"))), at=AT)
    assert list(History(tmp_path).kept) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"format": "smsbench history", "version": 99}', b"\xff\xfe"])
def test_an_index_that_cannot_be_read_is_told_and_left_as_it_is(tmp_path, body):
    filled(tmp_path, 1)
    (tmp_path / "history.json").write_bytes(body)
    with pytest.raises(ConfigError, match=r"history\.json"):
        History(tmp_path)
    assert (tmp_path / "history.json").read_bytes() == body


def test_a_result_without_an_entry_is_named_as_a_stray(tmp_path):
    history = filled(tmp_path, 1)
    (tmp_path / "results" / "lost.json").write_bytes(b"{}")
    assert [path.name for path in history.strays()] == ["lost.json"]


class Killed(BaseException):
    pass


@settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(nth=st.integers(0, 11), step=st.sampled_from(("open", "fsync", "replace")))
def test_killed_at_any_write_the_folder_is_as_it_was_or_as_it_is_to_be(tmp_path_factory, monkeypatch, nth, step):
    folder = tmp_path_factory.mktemp("history")
    calls = 0

    def dies(real):
        def call(*args, **more):
            nonlocal calls
            calls += 1
            if calls > nth:
                raise Killed
            return real(*args, **more)

        return call

    with monkeypatch.context() as patch:
        target = {"open": (Path, "open"), "fsync": (store.os, "fsync"), "replace": (Path, "replace")}[step]
        patch.setattr(*target, dies(getattr(*target)))
        try:
            history = filled(folder, 1, 2)
            history.bless("r001", by="ops", at=AT)
            judged(history, dump(result(3)), at=AT)
        except Killed:
            pass
    after = History(folder)
    for one in after.kept:
        after.result(one)
    again = filled(folder, 1, 2)
    again.bless("r001", by="ops", at=AT)
    told = judged(again, dump(result(3)), at=AT)
    whole = filled(tmp_path_factory.mktemp("whole"), 1, 2)
    whole.bless("r001", by="ops", at=AT)
    assert told.comparison == judged(whole, dump(result(3)), at=AT).comparison


def test_a_month_is_compared_with_those_before_it_and_not_with_those_after(tmp_path):
    history = filled(tmp_path, 1, 2, 3, 4)
    history.bless("r001", by="ops", at=AT)
    kept = history.find("r003")
    comparison = compared(history, kept, history.result(kept))
    assert comparison.vendors[0].months == ("r001", "r002")


def test_the_history_is_in_beijing_months():
    assert month_of(datetime(2026, 2, 28, 16, 0, tzinfo=UTC)) == "2026-03"
    assert month_of(datetime(2026, 2, 28, 15, 59, tzinfo=UTC)) == "2026-02"


def test_the_line_of_months_has_a_point_a_month_and_says_what_changed_and_what_regressed(tmp_path):
    history = filled(tmp_path, 1, 2, 3)
    history.bless("r001", by="ops", at=AT)
    for number in (2, 3):
        judged(history, dump(result(number)), at=AT)
    fallen = changed(
        result(4, vendors={"ali": dict.fromkeys(CARRIERS, 0.98) | {CARRIERS[2]: 0.90}, "yun": 0.97}), days=7.5
    )
    judged(history, dump(fallen), at=AT)
    other = changed(result(5), purposes=("marketing",))
    judged(history, dump(other), at=AT)
    line = trend(history, "monthly")
    assert line.months == ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05")
    assert all(len(track.points) == 5 for track in line.tracks)
    kinds = {(event.month, event.kind, event.vendor) for event in line.events}
    assert ("2024-01", "blessed", None) in kinds
    assert ("2024-04", "regressed", "ali") in kinds
    assert ("2024-05", "changed", None) in kinds
    assert not [event for event in line.events if event.kind == "regressed" and event.vendor == "yun"]
