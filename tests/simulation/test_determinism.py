"""The same seed gives the same bytes; and whoever changes one byte of what was written down is found out.

Here too: what a history alone cannot show of I6 (order of news), I7 (jumps of the wall clock), I8 (what is printed).
"""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import cli, clock, desk
from harness.errors import HarnessError, LedgerError
from harness.facts import Fact, InboundReceived, ReportReceived, SendIntended, SightingReceived
from harness.judge import journeys
from harness.judge.result import dump
from harness.ledger import sqlite as store
from harness.ledger.sqlite import SqliteLedger
from harness.matching import Matcher
from tests.simulation.history import check, check_result, history_of, leaks, outcome
from tests.simulation.worlds import RICH, TROUBLE, Plug, Stage

MANY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A whole run with every scenario, scored and reported as the command does it."""
    stage = Stage(tmp_path_factory.mktemp("rich"), RICH, 5)
    assert stage.play() is not None
    result = desk.judge_run(stage.run_folder)
    desk.save(result, stage.run_folder, ("zh-CN", "en"))
    return stage


# --- the same again -------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_ledger_and_the_same_result(rich, tmp_path):
    again = Stage(tmp_path, RICH, 5)
    assert again.play() is not None
    assert again.rows() == rich.rows()
    assert again.recordings() == rich.recordings()
    assert dump(desk.judge_run(again.run_folder)) == (rich.run_folder / "result.json").read_bytes()


def test_another_seed_gives_another_ledger(tmp_path):
    heads = set()
    for seed in (5, 6):
        stage = Stage(tmp_path / str(seed), TROUBLE, seed)
        stage.play()
        heads.add(stage.rows()[-1][-1])
    assert len(heads) == 2


def test_the_same_seed_and_the_same_crash_give_the_same_ledger(tmp_path):
    rows = []
    for name in ("one", "two"):
        stage = Stage(tmp_path / name, TROUBLE, 5)
        assert stage.play(Plug(61, "after")) is None
        assert stage.play() is not None
        rows.append(stage.rows())
    assert rows[0] == rows[1]


def test_a_run_with_every_scenario_keeps_all_invariants(rich):
    history = history_of(rich)
    check(history)
    check_result(history, rich.result())


# --- verify ---------------------------------------------------------------------------------------------------------


def verify(folder: Path) -> int:
    return cli.main(["verify", str(folder)])


def test_verify_passes_on_an_untouched_run(rich, capsys):
    assert verify(rich.run_folder) == desk.FINE
    assert f"{len(rich.rows()):,}" in capsys.readouterr().out


class Forger:
    """Changes a copy of a run as somebody with the file in hand could."""

    def __init__(self, run_folder: Path, folder: Path) -> None:
        self.original, self.folder = run_folder, folder
        self.path = folder / "ledger.db"

    def forge(self, change: Callable[[sqlite3.Connection], Any]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name in ("ledger.db", "ledger.db-wal", "result.json"):
            if (self.original / name).exists():
                shutil.copy(self.original / name, self.folder / name)
        db = sqlite3.connect(self.path)
        for trigger in ("facts_stay", "facts_remain", "recordings_stay", "recordings_remain"):
            db.execute(f"DROP TRIGGER {trigger}")
        change(db)
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()

    def verify(self) -> None:
        ledger = SqliteLedger(self.path, read_only=True)
        try:
            ledger.verify()
        finally:
            ledger.release()


@pytest.fixture(scope="module")
def forger(rich: Stage, tmp_path_factory: pytest.TempPathFactory) -> Forger:
    return Forger(rich.run_folder, tmp_path_factory.mktemp("forged") / "run")


def test_an_untouched_copy_verifies(forger):
    forger.forge(lambda db: None)
    forger.verify()


def changed(value: Any, place: int, flip: int) -> Any:
    """The value with one bit of it turned over; what was nothing becomes something."""
    match value:
        case None:
            return "x"
        case int():
            return value ^ (1 << (place % 40))
        case bytes():
            raw = bytearray(value)
            raw[place % len(raw)] ^= flip
            return bytes(raw)
        case str():
            at = place % len(value)
            return value[:at] + chr(ord(value[at]) ^ (flip & 0x1F or 1)) + value[at + 1 :]
    raise TypeError(value)


@MANY
@given(
    column=st.sampled_from(("body", "kind", "case_id", "at", "digest", "dedupe", "evidence", "seq")),
    which=st.integers(0, 10_000),
    place=st.integers(0, 10_000),
    flip=st.integers(1, 255),
)
def test_a_changed_byte_of_any_fact_is_found(forger, rich, column, which, place, flip):
    names = ("seq", "at", "kind", "case_id", "dedupe", "evidence", "body", "digest")
    rows = rich.rows()
    row = rows[which % len(rows)]
    value = changed(row[names.index(column)], place, flip)

    def change(db: sqlite3.Connection) -> None:
        db.execute("DROP INDEX facts_dedupe")
        db.execute(f"UPDATE OR REPLACE facts SET {column} = ? WHERE seq = ?", (value, row[0]))

    forger.forge(change)
    with pytest.raises(LedgerError) as error:
        forger.verify()
    assert str(forger.path) in str(error.value)


@settings(MANY, max_examples=25)
@given(which=st.integers(0, 10_000), place=st.integers(0, 100_000), flip=st.integers(1, 255), packed=st.booleans())
def test_a_changed_byte_of_any_recording_is_found(forger, rich, which, place, flip, packed):
    recordings = sorted(rich.recordings().items())
    digest, plain = recordings[which % len(recordings)]
    body = zlib.compress(plain, 1) if packed else changed(plain, place, flip)
    body = changed(body, place, flip) if packed else zlib.compress(body)
    forger.forge(lambda db: db.execute("UPDATE recordings SET body = ? WHERE digest = ?", (body, digest)))
    with pytest.raises(LedgerError, match=digest):
        forger.verify()


@settings(MANY, max_examples=15)
@given(which=st.integers(0, 10_000), how=st.sampled_from(("delete", "add", "swap", "repeat")))
def test_a_missing_an_added_or_a_moved_fact_is_found(forger, rich, which, how):
    total = len(rich.rows())
    seq = 1 + which % (total - 2)

    def change(db: sqlite3.Connection) -> None:
        match how:
            case "delete":
                db.execute("DELETE FROM facts WHERE seq = ?", (seq,))
            case "add":
                db.execute(
                    "INSERT INTO facts SELECT ?, at, kind, case_id, NULL, NULL, body, digest FROM facts WHERE seq = ?",
                    (total + 1, seq),
                )
            case "swap":
                for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
                    db.execute("UPDATE facts SET seq = ? WHERE seq = ?", (new, old))
            case _:
                db.execute("UPDATE facts SET seq = seq + 1000000 WHERE seq > ?", (seq,))
                db.execute(
                    "INSERT INTO facts SELECT ?, at, kind, case_id, NULL, NULL, body, digest FROM facts WHERE seq = ?",
                    (seq + 1, seq),
                )
                db.execute("UPDATE facts SET seq = seq - 999999 WHERE seq > 1000000")

    forger.forge(change)
    with pytest.raises(LedgerError):
        forger.verify()


def test_a_recording_that_is_gone_is_found(forger, rich):
    digest = next(iter(rich.recordings()))
    forger.forge(lambda db: db.execute("DELETE FROM recordings WHERE digest = ?", (digest,)))
    with pytest.raises(LedgerError, match=digest):
        forger.verify()


def test_facts_cut_off_at_the_end_show_against_the_result(forger, capsys):
    """A shorter chain is whole in itself; the head in the result document is what gives it away."""
    forger.forge(lambda db: db.execute("DELETE FROM facts WHERE seq = (SELECT max(seq) FROM facts)"))
    forger.verify()
    assert verify(forger.folder) == desk.CHANGE_SOMETHING
    assert "rests on" in capsys.readouterr().err


def test_a_result_of_another_ledger_does_not_verify(forger, rich, capsys):
    forger.forge(lambda db: None)
    path = forger.folder / "result.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["run"]["ledger_digest"] = "0" * 64
    path.write_text(json.dumps(told), encoding="utf-8")
    assert verify(forger.folder) == desk.CHANGE_SOMETHING
    assert "rests on" in capsys.readouterr().err


def test_the_triggers_refuse_what_a_forger_must_first_take_away(rich, tmp_path):
    copy = tmp_path / "ledger.db"
    shutil.copy(rich.ledger_path, copy)
    db = sqlite3.connect(copy)
    for statement in (
        "UPDATE facts SET at = 0 WHERE seq = 1",
        "DELETE FROM facts WHERE seq = 1",
        "UPDATE recordings SET body = x'00'",
        "DELETE FROM recordings",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()


# --- I6: news may come in any order ---------------------------------------------------------------------------------

NEWS = (ReportReceived, SightingReceived, InboundReceived)


@settings(MANY, max_examples=15)
@given(seed=st.integers(0, 2**32), repeats=st.integers(0, 20))
def test_reports_sightings_and_replies_in_any_order_and_number_give_the_same_boards(rich, seed, repeats):
    facts, chance = rich.facts(), Random(seed)
    mixed = shuffled(facts, chance)
    assert outcome(mixed) == outcome(facts)
    news = [fact for fact in facts if isinstance(fact.body, NEWS)]
    again = journeys.read([*mixed, *chance.sample(news, repeats)]).messages
    pd.testing.assert_frame_equal(sorted_table(again), sorted_table(journeys.read(facts).messages))


def shuffled(facts: list[Fact], chance: Random) -> list[Fact]:
    """The facts with all news at other places: among themselves, before their answers, after the end.

    No news comes before what caused it: a report or sighting after its intent, an inbound after the reply.
    """
    matcher = Matcher()
    for fact in facts:
        matcher.learn(fact)
    rest = [fact for fact in facts if not isinstance(fact.body, NEWS)]
    intended = {(one.case_id, one.body.leg): n for n, one in enumerate(rest) if isinstance(one.body, SendIntended)}
    places: dict[int, list[Fact]] = {}
    for fact in facts:
        if not isinstance(fact.body, NEWS):
            continue
        leg = None if isinstance(fact.body, InboundReceived) else matcher.leg_of(fact.body)
        if leg is not None:
            earliest = intended[leg.case_id, leg.leg] + 1
        else:  # an inbound, or a report on a message whose id nobody told us
            earliest = next((n for n, one in enumerate(rest) if one.seq > fact.seq), len(rest))
        places.setdefault(chance.randint(earliest, len(rest)), []).append(fact)
    mixed: list[Fact] = []
    for n in range(len(rest) + 1):
        batch = places.get(n, [])
        chance.shuffle(batch)
        mixed += [*batch, *rest[n : n + 1]]
    return mixed


def sorted_table(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["case_id", "leg"]).reset_index(drop=True)


@settings(MANY, max_examples=10)
@given(share=st.floats(0, 1))
def test_any_beginning_of_a_ledger_folds_without_a_word(rich, share):
    facts = rich.facts()
    part = facts[: 1 + int(share * (len(facts) - 1))]
    boards = outcome(part)
    assert boards.keys() <= outcome(facts).keys()
    assert len(journeys.read(part).messages) <= len(journeys.read(facts).messages)


# --- I7: the wall clock ---------------------------------------------------------------------------------------------


def test_a_jump_of_the_wall_clock_moves_no_stamp_of_a_run(monkeypatch):
    wall, line = [datetime(2026, 3, 2, 1, tzinfo=UTC)], [1000.0]

    class Wall(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return wall[0]

    monkeypatch.setattr(clock, "datetime", Wall)
    monkeypatch.setattr(clock.time, "monotonic", lambda: line[0])
    real = clock.RealClock()
    began = real.now()
    stamps = []
    for jump in (3600, -7200, 0.5, -30 * 86400):
        line[0] += 2.0
        wall[0] += timedelta(seconds=2.0 + jump)
        stamps.append((real.now() - began).total_seconds())
    assert stamps == [2.0, 4.0, 6.0, 8.0]
    assert real.drift() == pytest.approx(3600 - 7200 + 0.5 - 30 * 86400)


# --- I8: canaries ---------------------------------------------------------------------------------------------------


def test_no_number_and_no_secret_stands_in_any_file_of_a_run_but_the_table_of_recipients(rich):
    written = {str(path.name): path.read_bytes() for path in rich.run_folder.iterdir() if "ledger" not in path.name}
    assert {"result.json", "report.zh-CN.html", "scorecard.cheap.html", "gates.xml", "findings.csv"} <= written.keys()
    assert leaks(written, numbers=rich.numbers, secrets=rich.secrets) == []
    db = sqlite3.connect(rich.ledger_path)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = set()
    for table in tables:
        for n, row in enumerate(db.execute(f"SELECT * FROM {table}")):
            cells = b" ".join(
                store._restored(cell) if table == "recordings" and isinstance(cell, bytes) else str(cell).encode()
                for cell in row
            )
            if leaks({f"{table} {n}": cells}, numbers=rich.numbers, secrets=rich.secrets):
                found.add(table)
    db.close()
    assert found == {"recipients"}


def test_the_canaries_would_be_found(rich):
    number, secret = min(rich.numbers), "canary-honest-secret"
    planted = {
        "plain": f"to {number}".encode(),
        "percent": f"%22%2B86{number}%22".encode(),
        "escaped": f'"\\u0031{number[1:]}"'.encode(),
        "base64": b"Basic c21zOmNhbmFyeS1ob25lc3Qtc2VjcmV0",
        "secret": secret.encode(),
    }
    assert len(leaks(planted, numbers=rich.numbers, secrets=rich.secrets)) == len(planted)


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], bytes]]:
    """All that was logged at any level, printed or complained about."""
    caplog.set_level(logging.DEBUG)

    def all_of_it() -> bytes:
        told = capsys.readouterr()
        return "\n".join([caplog.text, told.out, told.err]).encode()

    yield all_of_it


def test_nothing_that_is_said_aloud_holds_a_number_or_a_secret(spoken, tmp_path):
    stage = Stage(tmp_path, RICH, 7)
    stage.play()
    assert cli.main(["score", str(stage.run_folder)]) == desk.INSUFFICIENT  # seven phones settle no legal gate
    assert cli.main(["report", str(stage.run_folder)]) == desk.FINE
    for verb in ("status", "verify"):
        assert cli.main([verb, str(stage.run_folder)]) == desk.FINE
    for case in list(history_of(stage).cases)[::7]:
        assert cli.main(["show", case, str(stage.run_folder)]) == desk.FINE
    told = spoken()
    assert len(told) > 20_000
    assert leaks({"spoken": told}, numbers=stage.numbers, secrets=stage.secrets) == []


def test_complaints_and_objects_shown_hold_no_secret_and_no_number(rich):
    texts = {
        "evaluation": repr(rich.evaluation.vendors).encode(),
        "forwarders": repr(rich.evaluation.forwarders).encode(),
        "world": repr(rich.world.sendings[:50]).encode(),
    }
    assert leaks(texts, numbers=rich.numbers, secrets=rich.secrets) == []
    with pytest.raises(HarnessError) as error:
        SqliteLedger(rich.folder / "nowhere.db", read_only=True)
    assert leaks({"error": str(error.value).encode()}, numbers=rich.numbers, secrets=rich.secrets) == []
