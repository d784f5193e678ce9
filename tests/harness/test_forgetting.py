"""Numbers whose time is over leave the ledgers of live runs, and nothing else does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import cli, desk
from harness.domain import Recipient
from harness.errors import ConfigError
from harness.facts import CasePlanned, RunBegan, RunEnded, SendIntended
from harness.forgetting import Expired, forget_expired
from harness.ledger import Entry
from harness.ledger.sqlite import SqliteLedger
from tests.harness.given import EVALUATION, NOW, case, evaluation, later, recipient

PEOPLE = (recipient("p1", "+8613800001234"), recipient("p2", "+8618600001235"), recipient("p3", "+8619900001236"))


def began(mode: str, **more: Any) -> RunBegan:
    return RunBegan(
        evaluation="monthly",
        mode=mode,
        seed=1,
        software="0",
        evaluation_digest="",
        plan_digest="",
        vendors={},
        panel={},
        settings={"lasts_seconds": 7 * 86400.0, **more},
    )


def run(
    runs: Path, name: str = "r1", *, mode: str = "live", sent: dict[str, datetime] | None = None, done: bool = True,
    people: tuple[Recipient, ...] = PEOPLE, **more: Any,
) -> Path:  # fmt: skip
    """A run that began at NOW and sent one message to each of `sent` at its time."""
    sent = {"p1": later(days=1), "p2": later(days=7)} if sent is None else sent
    entries = [Entry(body=began(mode, **more), at=NOW)]
    for number, (person, at) in enumerate(sent.items()):
        id = f"c{number}"
        entries.append(Entry(body=CasePlanned(case=case(id, recipient=person)), at=NOW, case_id=id))
        entries.append(Entry(body=SendIntended(leg=0, planned_at=at, ceiling=None), at=at, case_id=id))
    if done:
        entries.append(Entry(body=RunEnded(because="done"), at=later(days=7)))
    folder = runs / name
    folder.mkdir(parents=True)

    async def write() -> None:
        ledger = SqliteLedger(folder / "ledger.db", run_id=name, inline=True, durable=False)
        ledger.put_recipients(people)
        await ledger.append(*entries)
        await ledger.close()

    asyncio.run(write())
    return folder


def left(folder: Path) -> set[str]:
    ledger = SqliteLedger(folder / "ledger.db", read_only=True)
    try:
        ledger.verify()
        return set(ledger.recipients())
    finally:
        ledger.release()


def test_a_number_is_deleted_180_days_after_the_last_message_to_it(tmp_path):
    folder = run(tmp_path)
    assert forget_expired(tmp_path, later(days=180) - timedelta(seconds=1)) == []
    assert forget_expired(tmp_path, later(days=180)) == [
        Expired(run="r1", recipients=("p3",))
    ]  # nothing was sent to it
    assert forget_expired(tmp_path, later(days=181)) == [Expired(run="r1", recipients=("p1",))]
    assert left(folder) == {"p2"}
    assert forget_expired(tmp_path, later(days=187)) == [Expired(run="r1", recipients=("p2",))]
    assert left(folder) == set() and forget_expired(tmp_path, later(days=999)) == []
    for file in folder.iterdir():
        assert b"00001234" not in file.read_bytes() and b"00001235" not in file.read_bytes(), file.name


def test_the_run_says_how_long_and_a_shorter_time_may_be_asked_for_but_no_longer_one(tmp_path):
    folder = run(tmp_path, keep_numbers_seconds=30 * 86400.0)
    assert forget_expired(tmp_path, later(days=29)) == []
    assert forget_expired(tmp_path, later(days=31), at_most=timedelta(days=365)) != []
    assert left(folder) == {"p2"}
    assert forget_expired(tmp_path, later(days=12), at_most=timedelta(days=5)) != []
    assert left(folder) == set()


def test_a_run_that_was_cut_off_keeps_its_numbers_until_the_end_it_was_planned_to_have(tmp_path):
    folder = run(tmp_path, sent={}, done=False)
    assert forget_expired(tmp_path, later(days=186)) == []
    assert len(forget_expired(tmp_path, later(days=187))[0].recipients) == 3
    assert left(folder) == set()


def test_sandbox_runs_are_passed_over(tmp_path):
    folder = run(tmp_path, mode="sandbox")
    assert forget_expired(tmp_path, later(days=999)) == [] and len(left(folder)) == 3


def test_a_ledger_that_is_damaged_or_in_use_is_told_and_hides_no_other(tmp_path):
    (tmp_path / "r0").mkdir()
    (tmp_path / "r0" / "ledger.db").write_bytes(b"no ledger at all, and longer than a header of SQLite's" * 9)
    used, free = run(tmp_path, "r1"), run(tmp_path, "r2")
    holding = SqliteLedger(used / "ledger.db", inline=True, exclusive=True)
    done = forget_expired(tmp_path, later(days=400))
    holding.release()
    assert [(one.run, one.trouble is not None, len(one.recipients)) for one in done] == [
        ("r0", True, 0), ("r1", True, 0), ("r2", False, 3)
    ]  # fmt: skip
    assert len(left(used)) == 3 and left(free) == set()


def test_a_row_that_cannot_be_read_is_told_without_its_number_and_stops_nothing(tmp_path):
    torn, free = run(tmp_path, "r1"), run(tmp_path, "r2")
    with closing(sqlite3.connect(torn / "ledger.db")) as db:
        db.execute("UPDATE recipients SET body = '{\"number\": \"+8613800001234\"}' WHERE id = 'p1'")
        db.commit()
    one, other = forget_expired(tmp_path, later(days=400))
    assert one.trouble is not None and "0000" not in one.trouble and not one.recipients
    assert len(other.recipients) == 3 and left(free) == set()


@given(
    days=st.dictionaries(st.sampled_from(["p1", "p2", "p3"]), st.floats(0, 7), max_size=3),
    keep=st.floats(0.1, 400),
    after=st.floats(0, 500),
)
@settings(max_examples=25, deadline=None)
def test_nobody_loses_a_number_too_early_and_nobody_keeps_one_too_long(tmp_path_factory, days, keep, after):
    runs = tmp_path_factory.mktemp("runs")
    sent = {person: later(days=day) for person, day in days.items()}
    folder = run(runs, sent=sent, keep_numbers_seconds=keep * 86400.0)
    now = later(days=after)
    forget_expired(runs, now)
    assert left(folder) == {
        person.id for person in PEOPLE if sent.get(person.id, NOW) + timedelta(seconds=keep * 86400.0) > now
    }


def test_ops_delete_what_is_over_with_one_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = run(tmp_path / "runs", keep_numbers_seconds=86400.0)  # long over by today's clock
    assert cli.main(["forget", "--expired", "--language", "en"]) == desk.FINE
    assert capsys.readouterr().out == "r1: 3 numbers were kept long enough and are deleted\n"
    assert left(folder) == set()
    assert cli.main(["forget", "--expired", "--keep", "soon"]) == desk.CHANGE_SOMETHING
    assert "90 days" in capsys.readouterr().err
    assert cli.main(["forget"]) == desk.CHANGE_SOMETHING
    assert cli.main(["forget", "p1", "--expired"]) == desk.CHANGE_SOMETHING


@pytest.mark.parametrize("written", ["180", "0 days", "for ever"])
def test_a_time_that_is_none_is_found_by_check(tmp_path, written):
    with pytest.raises(ConfigError, match="keep_numbers"):
        evaluation(tmp_path, f"{EVALUATION}\nkeep_numbers: {written}\n")
