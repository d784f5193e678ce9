"""The memory: append-only, chained, durable in groups, and forgetful of nothing but numbers."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Recipient
from harness.errors import LedgerError
from harness.facts import CaseClosed, CasePlanned, Fact, PushArrived, RunEnded
from harness.ledger import Entry
from harness.ledger.sqlite import LONGEST_QUEUE, SqliteLedger
from tests.harness.given import NOW, case, later, recipient, virtually

DRIVERS = {"thread": asyncio.run, "inline": virtually}


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def closed(because: str = "settled", **more: Any) -> Entry:
    return Entry(body=CaseClosed(because=because), at=NOW, case_id="c1", **more)


def using(
    path: Path, work: Callable[[SqliteLedger], Coroutine[Any, Any, Any]], *, driver: str = "thread", **more: Any
) -> Any:
    """Open a ledger, work with it under its driver, close it."""
    more.setdefault("durable", False)

    async def scene() -> Any:
        ledger = SqliteLedger(path, run_id=more.pop("run_id", "r1"), inline=driver == "inline", **more)
        try:
            return await work(ledger)
        finally:
            if driver == "inline":
                ledger.release()
            else:
                await ledger.close()

    return DRIVERS[driver](scene())


def reading(path: Path) -> closing[SqliteLedger]:
    ledger = SqliteLedger(path, read_only=True)
    return closing(_Releasing(ledger))  # type: ignore[type-var]


class _Releasing:
    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger, self.close = ledger, ledger.release

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def fill(path: Path, count: int = 5, driver: str = "thread") -> None:
    async def work(ledger: SqliteLedger) -> None:
        for number in range(count):
            await ledger.append(closed(f"reason {number}", recording=b"said %d" % number))

    using(path, work, driver=driver)


# --- writing --------------------------------------------------------------------------------------------------------


def test_what_append_returned_from_is_there_for_others(path, driver):
    async def work(ledger: SqliteLedger) -> None:
        (fact,) = await ledger.append(closed())
        assert fact.seq == 1
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT kind, case_id FROM facts").fetchall() == [("case_closed", "c1")]
        assert list(ledger.facts()) == [fact]

    using(path, work, driver=driver)


def test_facts_come_back_as_they_went_in(path, driver):
    entries = [
        Entry(body=CasePlanned(case=case()), at=NOW, case_id="c1"),
        Entry(body=PushArrived(door="push/ali/reports"), at=later(microseconds=1), recording="原文".encode()),
        Entry(body=RunEnded(because="done"), at=later(days=400), dedupe="end"),
    ]

    async def work(ledger: SqliteLedger) -> list[Fact | None]:
        return list(await ledger.append(*entries))

    written = using(path, work, driver=driver)
    with reading(path) as ledger:
        assert list(ledger.facts()) == written
        assert [fact.seq for fact in written] == [1, 2, 3]
        assert [fact.at for fact in written] == [entry.at for entry in entries]
        assert ledger.recording(written[1].evidence) == "原文".encode()
        assert list(ledger.facts(after=1, kinds={"run_ended", "case_planned"})) == written[2:]
        assert ledger.count() == {"case_planned": 1, "push_arrived": 1, "run_ended": 1}
        assert ledger.head() == ledger.verify()


def test_a_repeat_changes_nothing(path, driver):
    async def work(ledger: SqliteLedger) -> None:
        first = await ledger.append(closed(dedupe="k"), closed("other", dedupe="k"), closed())
        assert [fact and fact.seq for fact in first] == [1, None, 2]
        assert await ledger.append(closed(dedupe="k")) == [None]
        assert len(list(ledger.facts())) == 2

    using(path, work, driver=driver)


def test_many_who_wait_share_one_commit(path, driver):
    commits: list[int] = []

    async def work(ledger: SqliteLedger) -> None:
        await asyncio.gather(*(ledger.append(closed(str(number))) for number in range(400)))

    using(path, work, driver=driver, plug=lambda side, number: commits.append(number))
    assert max(commits) == 1 if driver == "inline" else max(commits) < 100
    with reading(path) as ledger:
        assert ledger.verify().seq == 400


def test_a_post_is_written_without_waiting_and_before_what_is_appended_after_it(path, driver):
    async def work(ledger: SqliteLedger) -> None:
        ledger.post(closed("posted"))
        await ledger.append(closed("appended"))
        assert [fact.body.because for fact in ledger.facts()] == ["posted", "appended"]
        ledger.post(closed("last"))
        await ledger.close()

    using(path, work, driver=driver)
    with reading(path) as ledger:
        assert ledger.head().seq == 3, "closing writes what is queued"


def test_listeners_hear_each_fact_once_in_order_and_after_its_commit(path, driver):
    heard: list[int] = []

    async def work(ledger: SqliteLedger) -> None:
        def hear(fact: Fact) -> None:
            with closing(sqlite3.connect(path)) as db:
                assert db.execute("SELECT count(*) FROM facts WHERE seq = ?", (fact.seq,)).fetchone() == (1,)
            heard.append(fact.seq)

        ledger.listen(hear)
        await asyncio.gather(*(ledger.append(closed(dedupe=str(number // 2))) for number in range(20)))

    using(path, work, driver=driver)
    assert heard == list(range(1, 11))


def test_both_drivers_write_the_same_bytes(tmp_path):
    for name in DRIVERS:
        fill(tmp_path / name, driver=name)
    rows = []
    for name in DRIVERS:
        with closing(sqlite3.connect(tmp_path / name)) as db:
            rows.append(
                db.execute("SELECT * FROM facts").fetchall() + db.execute("SELECT * FROM recordings").fetchall()
            )
    assert rows[0] == rows[1]
    assert len(rows[0]) == 10


def test_the_backlog_is_counted_and_worked_off(path):
    async def work(ledger: SqliteLedger) -> None:
        waiting = [asyncio.ensure_future(ledger.append(closed(), closed())) for _ in range(10)]
        await asyncio.sleep(0)
        assert 0 < ledger.backlog <= 20 < LONGEST_QUEUE
        await asyncio.gather(*waiting)
        assert ledger.backlog == 0

    using(path, work)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_poison_item_fails_alone(path, driver):
    async def work(ledger: SqliteLedger) -> None:
        poison = ledger.append(Entry(body=CaseClosed(because=object()), at=NOW))  # type: ignore[arg-type]
        results = await asyncio.gather(
            ledger.append(closed("a")), poison, ledger.append(closed("b")), return_exceptions=True
        )
        assert isinstance(results[1], ValueError)
        assert [fact.body.because for fact in ledger.facts()] == ["a", "b"]
        await ledger.append(closed("c"))

    using(path, work, driver=driver)


def test_half_a_character_in_a_vendors_words_stops_nothing(path, driver):
    async def work(ledger: SqliteLedger) -> None:
        await ledger.append(closed("\ud83d"))
        assert [fact.body.because for fact in ledger.facts()] == ["\ufffd"]

    using(path, work, driver=driver)


def test_a_disk_that_fails_stops_everything_and_loses_nothing(path, driver):
    def full(side: str, number: int) -> None:
        if number == 3 and side == "before":
            raise sqlite3.OperationalError("database or disk is full")

    async def work(ledger: SqliteLedger) -> None:
        await ledger.append(closed("a"))
        await ledger.append(closed("b"))
        with pytest.raises(LedgerError, match="disk is full"):
            await ledger.append(closed("c"))
        for _ in range(2):
            with pytest.raises(LedgerError, match="cannot be written any more"):
                await ledger.append(closed("d"))
        with pytest.raises(LedgerError):
            ledger.post(closed("e"))

    using(path, work, driver=driver, plug=full)
    with reading(path) as ledger:
        assert [fact.body.because for fact in ledger.facts()] == ["a", "b"]
        ledger.verify()
    fill(path, 1)  # and it goes on where it stood
    with reading(path) as ledger:
        assert ledger.verify().seq == 3


def test_a_failed_post_shows_at_the_next_append(path):
    def full(side: str, number: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def work(ledger: SqliteLedger) -> None:
        ledger.post(closed())
        with pytest.raises(LedgerError, match="disk I/O error"):
            await ledger.append(closed())

    using(path, work, plug=full)


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_pulled_plug_leaves_whole_groups(path, side):
    def plug(at: str, number: int) -> None:
        if (at, number) == (side, 2):
            raise SystemExit("plug pulled")

    async def work(ledger: SqliteLedger) -> None:
        await ledger.append(closed("a"))
        await ledger.append(closed("b"), closed("c"))

    with pytest.raises(SystemExit):
        using(path, work, driver="inline", plug=plug)
    with reading(path) as ledger:
        assert ledger.verify().seq == (1 if side == "before" else 3)


# --- what cannot be done --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE facts SET body = x'7b7d' WHERE seq = 1",
        "DELETE FROM facts WHERE seq = 1",
        "DELETE FROM facts",
        "UPDATE recordings SET body = x''",
        "DELETE FROM recordings",
    ],
)
def test_nothing_is_changed_or_removed(path, statement):
    fill(path)
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)


TAMPERED = {
    "a changed fact": (
        "UPDATE facts SET body = CAST(replace(CAST(body AS TEXT), 'reason 2', 'reason 9') AS BLOB) WHERE seq = 3",
        "fact 3",
    ),
    "a changed time": ("UPDATE facts SET at = at + 1 WHERE seq = 2", "fact 2"),
    "a changed case": ("UPDATE facts SET case_id = 'c2' WHERE seq = 4", "fact 4"),
    "a changed key": ("UPDATE facts SET dedupe = 'x' WHERE seq = 4", "fact 4"),
    "a changed kind": ("UPDATE facts SET kind = 'run_ended' WHERE seq = 5", "fact 5"),
    "a missing fact": ("DELETE FROM facts WHERE seq = 2", "fact 2 is missing"),
    "swapped facts": ("UPDATE facts SET body = (SELECT body FROM facts WHERE seq = 1) WHERE seq = 2", "fact 2"),
    "an unreadable fact": ("UPDATE facts SET body = x'ff' WHERE seq = 1", "fact 1"),
    "a changed recording": ("UPDATE recordings SET body = x'789c030000000001' WHERE id = 1", "recording"),
    "a missing recording": ("DELETE FROM recordings WHERE id = 3", "there is no recording"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_shows(path, what):
    fill(path)
    statement, told = TAMPERED[what]
    with closing(sqlite3.connect(path)) as db:
        for trigger in ("facts_stay", "facts_remain", "recordings_stay", "recordings_remain"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(statement)
        db.commit()
    with reading(path) as ledger, pytest.raises(LedgerError, match=told):
        ledger.verify()


def test_a_cut_tail_shows_against_the_head_that_was_written_down(path):
    fill(path)
    with reading(path) as ledger:
        head = ledger.verify()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER facts_remain")
        db.execute("DELETE FROM facts WHERE seq = 5")
        db.commit()
    with reading(path) as ledger:
        assert ledger.verify() != head


def test_a_file_that_is_damaged_or_none_is_refused(path):
    path.write_bytes(b"no database at all, just words " * 200)
    for more in ({"read_only": True}, {"run_id": "r1"}):
        with pytest.raises(LedgerError, match="not a readable ledger"):
            SqliteLedger(path, **more)


def test_bytes_overwritten_in_the_file_are_noticed(path):
    fill(path, 200)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(path.read_bytes())
    place = raw.index(b"reason 150")
    raw[place : place + 10] = b"reason 151"
    path.write_bytes(raw)
    with reading(path) as ledger, pytest.raises(LedgerError, match="fact 151"):
        ledger.verify()


def test_a_ledger_of_a_newer_version_is_refused(path):
    fill(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO migrations VALUES ('0099 from the future')")
        db.commit()
    with pytest.raises(LedgerError, match=r"newer smsbench \(0099 from the future\)"):
        SqliteLedger(path, run_id="r1")


def test_a_ledger_holds_one_run(path):
    fill(path)
    with pytest.raises(LedgerError, match="holds the run r1, not r2"):
        SqliteLedger(path, run_id="r2")
    with pytest.raises(LedgerError, match="there is no run in it"):
        SqliteLedger(path.with_name("empty.db"))


def test_who_only_reads_needs_a_ledger_and_changes_nothing(path):
    with pytest.raises(LedgerError, match="there is no ledger"):
        SqliteLedger(path, read_only=True)
    assert not path.exists()
    fill(path)
    before = path.read_bytes()
    with reading(path) as ledger:
        assert ledger.run_id == "r1"
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            ledger.put_recipients([recipient()])
    assert path.read_bytes() == before


def test_two_who_carry_out_one_run_are_one_too_many(path):
    first = SqliteLedger(path, run_id="r1", inline=True, exclusive=True)
    with pytest.raises(LedgerError, match="another process is carrying out this run"):
        SqliteLedger(path, run_id="r1", inline=True, exclusive=True)
    beside = SqliteLedger(path, run_id="r1", inline=True)  # the inbox alone may stand beside a run
    beside.release()
    first.release()
    SqliteLedger(path, run_id="r1", inline=True, exclusive=True).release()


# --- two processes --------------------------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from harness.facts import CaseClosed
from harness.ledger import Entry
from harness.ledger.sqlite import SqliteLedger

async def main(path, name, count):
    ledger = SqliteLedger(path, run_id="r1", durable=False)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        at = datetime(2026, 3, 2, tzinfo=UTC)
        entry = Entry(body=CaseClosed(because=f"{name} {number}"), at=at, dedupe=f"{name}{number}")
        shared = Entry(body=CaseClosed(because="both"), at=at, dedupe=f"both {number}")
        await ledger.append(entry, shared)
    await ledger.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def test_two_processes_append_to_one_chain(path):
    fill(path, 1)
    root = Path(__file__).resolve().parent.parent.parent
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, "100"],
            cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in "ab"
    ]  # fmt: skip
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.wait(30) for writer in writers] == [0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    with reading(path) as ledger:
        assert ledger.verify().seq == 1 + 3 * 100
        told = [fact.body.because for fact in ledger.facts()]
        for name in "ab":
            assert [one for one in told if one.startswith(f"{name} ")] == [f"{name} {number}" for number in range(100)]


def test_what_another_process_wrote_is_heard_once_and_in_order(path):
    async def work(ledger: SqliteLedger) -> None:
        heard: list[str] = []
        ledger.listen(lambda fact: heard.append(f"{fact.seq} {fact.body.because}"))
        await ledger.append(closed("ours"))
        await asyncio.to_thread(using, path, lambda other: other.append(closed("theirs"), closed("theirs too")))
        assert heard == ["1 ours"]
        assert await ledger.catch_up() == 2
        assert await ledger.catch_up() == 0
        await asyncio.to_thread(using, path, lambda other: other.append(closed("more")))
        await ledger.append(closed("ours again"))
        assert heard == ["1 ours", "2 theirs", "3 theirs too", "4 more", "5 ours again"]

    using(path, work)


# --- people ---------------------------------------------------------------------------------------------------------


def test_recipients_come_back_whole(path):
    people = [recipient("p1", tags={"age_band": "25-34"}), recipient("p2", "+8618600001235", tester=True)]

    async def work(ledger: SqliteLedger) -> dict[str, Recipient]:
        ledger.put_recipients(people)
        return ledger.recipients()

    assert using(path, work) == {one.id: one for one in people}


def test_forgetting_takes_the_number_out_of_the_files_bytes_and_changes_no_fact(path):
    people = [recipient("p1", "+8613800001234"), recipient("p2", "+8618600001235")]

    async def work(ledger: SqliteLedger) -> None:
        ledger.put_recipients(people)
        await ledger.append(Entry(body=CasePlanned(case=case()), at=NOW, case_id="c1"))
        head = ledger.verify()
        assert ledger.forget("p1")
        assert not ledger.forget("p1")
        assert ledger.recipients().keys() == {"p2"}
        assert ledger.verify() == head
        for file in path.parent.glob("ledger.db*"):
            assert b"13800001234" not in file.read_bytes(), file.name
        assert b"18600001235" in path.read_bytes()

    using(path, work)


def test_no_number_stands_in_a_fact(path):
    async def work(ledger: SqliteLedger) -> None:
        ledger.put_recipients([recipient()])
        await ledger.append(Entry(body=CasePlanned(case=case()), at=NOW, case_id="c1"))

    using(path, work)
    with closing(sqlite3.connect(path)) as db:
        for table in ("facts", "recordings"):
            assert b"0000123" not in json.dumps(db.execute(f"SELECT * FROM {table}").fetchall(), default=repr).encode()


# --- by chance ------------------------------------------------------------------------------------------------------

ENTRIES = st.lists(
    st.builds(
        Entry,
        body=st.builds(CaseClosed, because=st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
        at=st.just(NOW),
        case_id=st.none() | st.sampled_from(["c1", "c2"]),
        dedupe=st.none() | st.sampled_from("abc"),
        recording=st.none() | st.binary(max_size=20),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(ENTRIES, st.integers(1, 4))
def test_whatever_is_appended_in_whatever_groups_the_chain_holds(entries, size):
    async def scene() -> None:
        ledger = SqliteLedger(":memory:", run_id="r1", inline=True, durable=False)
        try:
            written: list[Fact | None] = []
            for begin in range(0, len(entries), size):
                written += await ledger.append(*entries[begin : begin + size])
            kept = [fact for fact in written if fact is not None]
            assert list(ledger.facts()) == kept
            assert ledger.verify() == ledger.head()
            assert [fact.seq for fact in kept] == list(range(1, len(kept) + 1))
            keys = [entry.dedupe for entry in entries if entry.dedupe is not None]
            assert len(kept) == len(entries) - (len(keys) - len(set(keys)))
            for fact, entry in zip(written, entries, strict=True):
                if fact is not None and entry.recording is not None:
                    assert ledger.recording(fact.evidence) == entry.recording
        finally:
            ledger.release()

    virtually(scene())


def test_a_ledger_from_before_salts_is_read_verified_and_continued(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteLedger(path, run_id="r1", inline=True, durable=False).release()
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE run DROP COLUMN salt")
    db.execute("DELETE FROM migrations WHERE name LIKE '0002%'")
    db.commit()
    db.close()
    SqliteLedger(path, read_only=True).release()  # reading adds nothing
    again = SqliteLedger(path, inline=True, durable=False)
    virtually(again.append(Entry(body=RunEnded(because="done"), at=NOW)))
    assert again.verify().seq == 1
    again.release()
    assert SqliteLedger(path, read_only=True).verify().seq == 1


def test_another_salt_breaks_the_chain(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path, run_id="r1", inline=True, durable=False, salt=b"s" * 32)
    virtually(ledger.append(Entry(body=RunEnded(because="done"), at=NOW)))
    ledger.release()
    db = sqlite3.connect(path)
    db.execute("UPDATE run SET salt = ?", (b"t" * 32,))
    db.commit()
    db.close()
    with pytest.raises(LedgerError, match="fact 1"):
        SqliteLedger(path, read_only=True).verify()


def test_equal_facts_in_two_runs_have_digests_that_tell_nothing_of_each_other(tmp_path):
    heads = set()
    for name in ("a", "b"):
        ledger = SqliteLedger(tmp_path / name, run_id="r1", inline=True, durable=False, salt=name.encode() * 32)
        virtually(ledger.append(Entry(body=RunEnded(because="done"), at=NOW)))
        heads.add(ledger.head().digest)
        ledger.release()
    assert len(heads) == 2


@pytest.mark.parametrize(
    "recording", [b'{"a":1}', b"[" + b"1," * 2000 + b"1]", b"", b"\x78\x01plain", "原文".encode() * 800]
)
def test_every_recording_is_read_as_it_was_written(tmp_path, recording):
    ledger = SqliteLedger(tmp_path / "l", run_id="r1", inline=True, durable=False)
    entry = Entry(body=PushArrived(door="push/ali/reports"), at=NOW, recording=recording)
    (fact,) = virtually(ledger.append(entry))
    assert ledger.recording(fact.evidence) == recording
    ledger.verify()


def test_a_spare_entry_is_written_only_if_all_others_of_its_append_are_repeats(tmp_path):
    ledger = SqliteLedger(tmp_path / "l", run_id="r1", inline=True, durable=False)
    told = Entry(body=RunEnded(because="done"), at=NOW, dedupe="once")
    spare = Entry(body=PushArrived(door="push/ali/reports"), at=NOW, recording=b"{}", spare=True)
    first = virtually(ledger.append(told, spare))
    again = virtually(ledger.append(told, spare))
    alone = virtually(ledger.append(spare))
    assert [fact is not None for fact in (*first, *again, *alone)] == [True, False, False, True, True]
    ledger.verify()


@given(keys=st.lists(st.one_of(st.none(), st.integers(0, 90)), max_size=300), sizes=st.lists(st.integers(1, 150)))
@settings(max_examples=40, deadline=None)
def test_many_entries_at_once_are_kept_as_one_after_the_other_would_be(keys, sizes):
    entries = [
        closed(f"reason {nth}", dedupe=None if key is None else f"k{key}" * bool(key), recording=b"said %d" % nth)
        for nth, key in enumerate(keys)
    ]
    heads = []
    for together in (True, False):
        ledger = SqliteLedger(":memory:", run_id="r1", inline=True, durable=False)
        left, seqs = list(entries), []
        for size in [*sizes, len(entries)] if together else [1] * len(entries):
            some, left = left[:size], left[size:]
            seqs += [fact and fact.seq for fact in virtually(ledger.append(*some))]
        heads.append((seqs, ledger.verify(), [fact.evidence for fact in ledger.facts()]))
        ledger.release()
    assert heads[0] == heads[1]


def test_turns_that_share_a_commit_are_all_there_once_the_ledger_is_closed(path):
    async def scene() -> None:
        ledger = SqliteLedger(path, run_id="r1", inline=True, durable=False, turns_a_commit=3)
        for nth in range(7):
            (fact,) = await ledger.append(closed(dedupe=f"k{nth}"))
            assert fact.seq == nth + 1
            assert await ledger.append(closed(dedupe=f"k{nth}")) == [None]  # its own are seen at once
        with reading(path) as beside:
            assert beside.head().seq == 6
        await ledger.close()

    virtually(scene())
    with reading(path) as ledger:
        assert ledger.verify().seq == 7


def test_a_kill_loses_whole_turns_from_the_end_and_leaves_a_sound_chain(path):
    ledger = SqliteLedger(path, run_id="r1", inline=True, durable=False, turns_a_commit=3)
    for nth in range(8):
        virtually(ledger.append(closed(f"first {nth}"), closed(f"second {nth}")))
    ledger.release()  # lets go without writing, as a killed process does
    with reading(path) as ledger:
        assert ledger.verify().seq == 12
