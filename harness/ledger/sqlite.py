"""The ledger in one SQLite file: WAL, full sync, group commit of whatever is queued, append-only by trigger.

Two drivers share the SQL: a writer thread for real runs; inline commits, one per turn of the loop, for virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import json
import queue
import sqlite3
import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.codec import decode_body, encode_body, from_plain, to_plain
from harness.domain import Recipient
from harness.errors import LedgerError
from harness.facts import Fact
from harness.ledger import Entry, Head, Link, Listener

LARGEST_GROUP: Final = 512
LARGEST_STATEMENT: Final = 64  # rows; as many prepared statements of each kind are kept
SHORT_RECORDING: Final = 1024  # bytes
LONGEST_QUEUE: Final = 20_000  # entries; beyond it the inbox answers 503
T = TypeVar("T")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BRACKETS: Final = (b"{", b"[")
_quoted: Final = json.encoder.encode_basestring
UNREADABLE: Final = (sqlite3.Error, ValueError, TypeError)
"""What reading a row raises that was changed or is damaged. Its words may quote the row."""
GENESIS: Final = hashlib.sha256(b"smsbench ledger 1").digest()

_MIGRATIONS: Final[Sequence[tuple[str, str]]] = (
    (
        "0001 facts, recordings, recipients",
        """
        CREATE TABLE run (id TEXT NOT NULL);
        CREATE TABLE facts (
            seq INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,          -- microseconds since 1970, UTC
            kind TEXT NOT NULL,
            case_id TEXT,
            dedupe TEXT,
            evidence TEXT,
            body BLOB NOT NULL,
            digest BLOB NOT NULL
        );
        CREATE UNIQUE INDEX facts_dedupe ON facts (dedupe) WHERE dedupe IS NOT NULL;
        -- No index on the digest: keeping one in random order costs more than one scan when recordings are read.
        CREATE TABLE recordings (id INTEGER PRIMARY KEY, digest TEXT NOT NULL, body BLOB NOT NULL);
        CREATE TABLE recipients (id TEXT PRIMARY KEY, body TEXT NOT NULL);
        CREATE TRIGGER facts_stay BEFORE UPDATE ON facts BEGIN SELECT RAISE(ABORT, 'facts are append-only'); END;
        CREATE TRIGGER facts_remain BEFORE DELETE ON facts BEGIN SELECT RAISE(ABORT, 'facts are append-only'); END;
        CREATE TRIGGER recordings_stay BEFORE UPDATE ON recordings
            BEGIN SELECT RAISE(ABORT, 'recordings are append-only'); END;
        CREATE TRIGGER recordings_remain BEFORE DELETE ON recordings
            BEGIN SELECT RAISE(ABORT, 'recordings are append-only'); END;
        """,
    ),
    ("0002 a run's salt", "ALTER TABLE run ADD COLUMN salt BLOB;"),
)


def micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


class _Group:
    """Entries that belong together: committed in one transaction, answered once."""

    __slots__ = ("entries", "facts", "future")

    def __init__(self, entries: Sequence[tuple[Entry, bytes]], future: asyncio.Future[Sequence[Fact | None]] | None):
        self.entries, self.future = entries, future
        self.facts: list[Fact | None] = []


class SqliteLedger:
    """See `harness.ledger.Ledger`.

    Args:
        path: the file; `":memory:"` only with `inline`.
        run_id: of a new ledger; None opens an existing one.
        inline: commit in the loop's own thread (virtual time) instead of a writer thread.
        durable: full sync at every commit. Off only in simulations, where a crash is no power cut.
        plug: called with ("before" | "after", n) around the n-th commit; crash tests raise from it.
        exclusive: refuse if another process holds the run.
        turns_a_commit: how many turns of the loop share a transaction. Above 1 only `inline`, and only where nothing
            looks at the file before `close`: others see nothing of an open transaction, and a kill loses it.
        salt: of a new run: what keeps digests of facts from being guessed; None takes one that is no secret.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        run_id: str | None = None,
        inline: bool = False,
        durable: bool = True,
        plug: Callable[[str, int], None] | None = None,
        exclusive: bool = False,
        read_only: bool = False,
        salt: bytes | None = None,
        turns_a_commit: int = 1,
    ) -> None:
        self.path = str(path)
        self._turns_a_commit, self._is_open = turns_a_commit, False  # `_is_open`: a transaction is
        self._inline, self._plug, self._read_only = inline, plug, read_only
        self._dead: BaseException | None = None
        self._listeners: list[Listener] = []
        self._commits = 0
        self._recorded: str | None = None  # the recording written last
        self._places: dict[str, int] = {}  # where recordings lie, as far as they were looked for
        self._lock_file = self._take_lock() if exclusive else None
        try:
            self._db = self._open(durable=durable, read_only=read_only)
            if not read_only:
                self._migrate()
            # Reading beside the writer thread must not see what it has not committed: a connection of its own.
            self._reader = self._db if inline or read_only else self._open(durable=durable, read_only=False)
            self.run_id = self._name_run(run_id, salt)
            self._salt = self._read_salt()
            self._seq, self._digest = self._last()
        except (sqlite3.Error, LedgerError) as error:
            if self._lock_file is not None:
                self._lock_file.close()
            if isinstance(error, LedgerError):
                raise
            raise LedgerError(f"{self.path}: not a readable ledger ({error}). Restore it from a copy.") from error
        self._heard = self._seq
        self._pending: list[_Group] = []
        self._queue: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._queued = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush_due = False
        self._closing = False
        self._thread: threading.Thread | None = None
        if not inline and not read_only:
            self._thread = threading.Thread(target=self._write_for_ever, name="ledger", daemon=True)
            self._thread.start()

    # --- opening ----------------------------------------------------------------------------------------------------

    def _take_lock(self) -> Any:
        lock = Path(self.path + ".lock").open("a")  # noqa: SIM115 (held as long as the ledger is)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise LedgerError(
                f"{self.path}: another process is carrying out this run. Wait for it, or look at `smsbench status`."
            ) from error
        return lock

    def _open(self, *, durable: bool, read_only: bool) -> sqlite3.Connection:
        if read_only and not Path(self.path).is_file():
            raise LedgerError(f"{self.path}: there is no ledger. Name the folder of a run that has begun.")
        db = sqlite3.connect(
            self.path,
            isolation_level=None,
            check_same_thread=False,
            timeout=30.0,
            cached_statements=4 * LARGEST_STATEMENT,
        )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        db.execute("PRAGMA cache_size = -65536")
        if not durable:  # simulations: checkpoint seldom, nothing else reads along
            db.execute("PRAGMA wal_autocheckpoint = 20000")
        if read_only:
            db.execute("PRAGMA query_only = ON")
        return db

    def _migrate(self) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
            done = {name for (name,) in db.execute("SELECT name FROM migrations")}
            if ahead := done - {name for name, _ in _MIGRATIONS}:
                raise LedgerError(f"{self.path}: written by a newer smsbench ({sorted(ahead)[0]}). Update smsbench.")
            for name, script in _MIGRATIONS:
                if name not in done:
                    for statement in _statements(script):
                        db.execute(statement)
                    db.execute("INSERT INTO migrations VALUES (?)", (name,))
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _read_salt(self) -> bytes | None:
        """None: a ledger from before salts, whose links are made without."""
        if "salt" not in {row[1] for row in self._db.execute("PRAGMA table_info(run)")}:
            return None
        salt = self._db.execute("SELECT salt FROM run").fetchone()[0]
        return None if salt is None else bytes(salt)

    def _name_run(self, run_id: str | None, salt: bytes | None) -> str:
        row = self._db.execute("SELECT id FROM run").fetchone()
        if row:
            if run_id is not None and run_id != row[0]:
                raise LedgerError(f"{self.path}: holds the run {row[0]}, not {run_id}.")
            return str(row[0])
        if run_id is None:
            raise LedgerError(f"{self.path}: there is no run in it. Name the folder of a run that has begun.")
        salt = salt or hashlib.sha256(run_id.encode()).digest()
        self._db.execute("INSERT INTO run (id, salt) VALUES (?, ?)", (run_id, salt))
        return run_id

    def _last(self) -> tuple[int, bytes]:
        row = self._db.execute("SELECT seq, digest FROM facts ORDER BY seq DESC LIMIT 1").fetchone()
        return (int(row[0]), bytes(row[1])) if row else (0, GENESIS)

    # --- writing ----------------------------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        """Entries queued and not yet committed."""
        return self._queued

    async def append(self, *entries: Entry) -> Sequence[Fact | None]:
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[Fact | None]] = self._loop.create_future()
        self._enqueue(entries, future)
        return await future

    def post(self, *entries: Entry) -> None:
        self._loop = asyncio.get_running_loop()
        self._enqueue(entries, None)

    def _enqueue(self, entries: Sequence[Entry], future: asyncio.Future[Sequence[Fact | None]] | None) -> None:
        if self._read_only:
            raise LedgerError(f"{self.path}: was opened for reading only.")
        if self._dead is not None or self._closing:
            raise LedgerError(f"{self.path}: cannot be written any more ({self._dead or 'closed'}).")
        # Encoding here and not in the writer: what cannot be encoded fails alone, at the one who made it. What is
        # spare is seldom written; it holds no text that cannot be encoded.
        for entry in entries:
            (entry.dedupe or "").encode()
            (entry.case_id or "").encode()
        group = _Group([(entry, b"" if entry.spare else encode_body(entry.body)) for entry in entries], future)
        self._queued += len(entries)
        if not self._inline:
            self._queue.put(group)
            return
        self._pending.append(group)
        if not self._flush_due:
            assert self._loop is not None
            self._flush_due = True
            self._loop.call_soon(self._flush_inline)

    def _flush_inline(self) -> None:
        self._flush_due = False
        groups, self._pending = self._pending, []
        if groups:
            self._settle(groups, self._commit(groups))

    def _write_for_ever(self) -> None:
        while (group := self._queue.get()) is not None:
            groups, size = [group], len(group.entries)
            stop = False
            while size < LARGEST_GROUP:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stop = True
                    break
                groups.append(more)
                size += len(more.entries)
            error = self._commit(groups)
            loop = self._loop
            if loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop closed while we wrote: nobody waits any more
                    loop.call_soon_threadsafe(self._settle, groups, error)
            if stop:
                return

    def _commit(self, groups: Sequence[_Group]) -> BaseException | None:
        if self._dead is not None:
            return self._dead
        self._commits += 1
        seq, digest = self._seq, self._digest
        try:
            if self._plug:
                self._plug("before", self._commits)
            if not self._is_open:
                self._db.execute("BEGIN IMMEDIATE")
                self._is_open = True
            if not self._inline:  # another process (receive beside run) may have written meanwhile
                seq, digest = self._last()
            seq, digest = self._write(groups, seq, digest)
            if self._commits % self._turns_a_commit == 0:
                self._end()
            self._seq, self._digest = seq, digest
            if self._plug:
                self._plug("after", self._commits)
        except sqlite3.Error as error:
            self._recorded = None
            # After a failed write or sync the handle is not trusted again (a later sync may lie).
            self._dead = LedgerError(
                f"{self.path}: cannot be written ({error}). Sending stops; nothing written is lost."
            )
            self._abandon()
            return self._dead
        except BaseException as plug:
            self._dead = plug
            self._abandon()
            if self._inline:
                raise
            return plug
        return None

    def _end(self) -> None:
        if self._is_open:
            self._db.execute("COMMIT")
            self._is_open = False

    def _abandon(self) -> None:
        self._is_open = False
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")

    def _write(self, groups: Sequence[_Group], seq: int, digest: bytes) -> tuple[int, bytes]:
        """Make facts of entries and put them into the file, many to a statement: each lets the other thread in."""
        facts: list[tuple[Any, ...]] = []
        recordings: list[tuple[Any, ...]] = []
        keys = {entry.dedupe for group in groups for entry, _ in group.entries if entry.dedupe is not None}
        known = self._known_keys(keys) if keys else keys
        recorded = self._recorded
        for group in groups:
            made: list[Fact | None] = []
            group.facts = made
            for entry, raw in group.entries:
                key = entry.dedupe
                if key in known or (entry.spare and any(made)):
                    made.append(None)
                    continue
                if key is not None:
                    known.add(key)
                body, recording = entry.body, entry.recording
                evidence = None if recording is None else hashlib.sha256(recording).hexdigest()
                at, seq = micros(entry.at), seq + 1
                raw = raw or encode_body(body)
                content = content_of(seq, at, body.kind, entry.case_id, key, evidence, raw)
                digest = link(digest, content, salt_of(self._salt, seq))
                facts.append((seq, at, body.kind, entry.case_id, key, evidence, raw, digest))
                if recording is not None and evidence != recorded:
                    recordings.append((evidence, _stored(recording)))
                    recorded = evidence  # a push and the reports in it share one recording
                made.append(Fact(seq=seq, at=entry.at, case_id=entry.case_id, body=body, dedupe=key, evidence=evidence))
        self._put("facts", "(?, ?, ?, ?, ?, ?, ?, ?)", facts)
        self._put("recordings", "(NULL, ?, ?)", recordings)
        self._recorded = recorded
        return seq, digest

    def _known_keys(self, keys: set[str]) -> set[str]:
        """Those of the keys that are in the file."""
        found: set[str] = set()
        for some in _pieces(list(keys)):
            found.update(row[0] for row in self._db.execute(_asking(len(some)), some))
        return found

    def _put(self, table: str, places: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for some in _pieces(rows):
            self._db.execute(_putting(table, places, len(some)), [value for row in some for value in row])

    def _settle(self, groups: Sequence[_Group], error: BaseException | None) -> None:
        self._queued -= sum(len(group.entries) for group in groups)
        for group in groups:
            if error is None:
                for fact in group.facts:
                    if fact is not None:
                        self._tell(fact)
            if group.future is not None and not group.future.done():
                if error is None:
                    group.future.set_result(group.facts)
                else:
                    group.future.set_exception(error)

    def _tell(self, fact: Fact) -> None:
        if fact.seq <= self._heard:
            return
        if fact.seq > self._heard + 1:  # another process wrote in between: hear that first
            for earlier in list(self.facts(self._heard)):
                if earlier.seq < fact.seq:
                    self._heard = earlier.seq
                    for listener in self._listeners:
                        listener(earlier)
        self._heard = fact.seq
        for listener in self._listeners:
            listener(fact)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def catch_up(self) -> int:
        fresh = list(self.facts(self._heard)) if self._queued == 0 else []
        for fact in fresh:
            self._tell(fact)
        return len(fresh)

    async def close(self) -> None:
        """Write what is queued, and let go of the file."""
        if self._closing:
            return
        if self._inline and self._dead is None:
            self._flush_inline()
            self._end()
        self._closing = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self.release()

    def release(self) -> None:
        """Let go of the file without writing: after a crash, or when only reading."""
        self._closing = True
        self._reader.close()
        self._db.close()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    # --- reading ----------------------------------------------------------------------------------------------------

    def facts(self, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Fact]:
        for seq, at, case_id, dedupe, evidence, body in self._rows(after, kinds):
            yield Fact(
                seq=seq,
                at=_EPOCH + timedelta(microseconds=at),
                case_id=case_id,
                body=decode_body(body),
                dedupe=dedupe,
                evidence=evidence,
            )

    def _rows(self, after: int, kinds: Collection[str] | None) -> Iterator[tuple[Any, ...]]:
        columns = "seq, at, case_id, dedupe, evidence, body"
        if kinds is None:
            cursor = self._reader.execute(f"SELECT {columns} FROM facts WHERE seq > ? ORDER BY seq", (after,))
        else:
            marks = ", ".join("?" * len(kinds))
            cursor = self._reader.execute(
                f"SELECT {columns} FROM facts WHERE seq > ? AND kind IN ({marks}) ORDER BY seq", (after, *sorted(kinds))
            )
        while rows := cursor.fetchmany(2048):
            yield from rows

    def recording(self, digest: str) -> bytes:
        if digest not in self._places:
            after = max(self._places.values(), default=0)
            rows = self._reader.execute("SELECT digest, id FROM recordings WHERE id > ? ORDER BY id", (after,))
            self._places.update(rows.fetchall())
        place = self._places.get(digest)
        row = self._reader.execute("SELECT body FROM recordings WHERE id = ?", (place,)).fetchone()
        if row is None:
            raise LedgerError(f"{self.path}: there is no recording {digest}.")
        try:
            body = _restored(row[0])
        except zlib.error as error:
            raise LedgerError(f"{self.path}: the recording {digest} is damaged ({error}).") from error
        if hashlib.sha256(body).hexdigest() != digest:
            raise LedgerError(f"{self.path}: the recording {digest} does not fit its digest: it was changed.")
        return body

    def head(self) -> Head:
        row = self._reader.execute("SELECT seq, digest FROM facts ORDER BY seq DESC LIMIT 1").fetchone()
        return Head(seq=row[0], digest=row[1].hex()) if row else Head(seq=0, digest=GENESIS.hex())

    def chain(self) -> Iterator[Link]:
        query = "SELECT seq, at, kind, case_id, dedupe, evidence, body, digest FROM facts ORDER BY seq"
        for seq, at, kind, case_id, dedupe, evidence, body, digest in self._reader.execute(query):
            moment = _EPOCH + timedelta(microseconds=at)
            fact = Fact(seq=seq, at=moment, case_id=case_id, body=decode_body(body), dedupe=dedupe, evidence=evidence)
            content = content_of(seq, at, kind, case_id, dedupe, evidence, body)
            yield Link(fact=fact, content=content, salt=salt_of(self._salt, seq), digest=bytes(digest))

    def verify(self) -> Head:
        try:
            if (verdict := self._reader.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise LedgerError(f"{self.path}: the file is damaged ({verdict}).")
            expected, digest = 0, GENESIS
            query = "SELECT seq, at, kind, case_id, dedupe, evidence, body, digest FROM facts ORDER BY seq"
            for seq, at, kind, case_id, dedupe, evidence, body, stored in self._reader.execute(query):
                expected += 1
                if seq != expected:
                    raise LedgerError(f"{self.path}: fact {expected} is missing.")
                content = content_of(seq, at, kind, case_id, dedupe, evidence, body)
                digest = link(digest, content, salt_of(self._salt, seq))
                if digest != stored:
                    raise LedgerError(f"{self.path}: fact {seq} ({kind}) does not fit the chain: it was changed.")
                if decode_body(body).kind != kind:
                    raise LedgerError(f"{self.path}: fact {seq} says {kind} and holds something else.")
            for (evidence,) in self._reader.execute("SELECT DISTINCT evidence FROM facts WHERE evidence IS NOT NULL"):
                self.recording(evidence)
        except UNREADABLE as error:
            raise LedgerError(f"{self.path}: cannot be read ({error}): it was changed or is damaged.") from error
        return Head(seq=expected, digest=digest.hex())

    def count(self) -> dict[str, int]:
        return dict(self._reader.execute("SELECT kind, count(*) FROM facts GROUP BY kind ORDER BY kind"))

    # --- people -----------------------------------------------------------------------------------------------------

    def put_recipients(self, recipients: Sequence[Recipient]) -> None:
        rows = [(one.id, json.dumps(to_plain(one), ensure_ascii=False)) for one in recipients]
        self._reader.execute("BEGIN IMMEDIATE")
        self._reader.executemany("INSERT OR REPLACE INTO recipients VALUES (?, ?)", rows)
        self._reader.execute("COMMIT")

    def recipients(self) -> dict[str, Recipient]:
        rows = self._reader.execute("SELECT id, body FROM recipients ORDER BY id").fetchall()
        return {key: from_plain(Recipient, json.loads(body)) for key, body in rows}

    def forget(self, recipient: str) -> bool:
        self._reader.execute("PRAGMA secure_delete = ON")
        gone = self._reader.execute("DELETE FROM recipients WHERE id = ?", (recipient,)).rowcount > 0
        self._reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone


def _pieces(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(rows), LARGEST_STATEMENT):
        yield rows[begin : begin + LARGEST_STATEMENT]


@functools.cache
def _asking(keys: int) -> str:
    return f"SELECT dedupe FROM facts WHERE dedupe IN ({', '.join('?' * keys)})"


@functools.cache
def _putting(table: str, places: str, rows: int) -> str:
    return f"INSERT INTO {table} VALUES {', '.join([places] * rows)}"


def _stored(recording: bytes) -> bytes:
    """A recording as it lies in the file. A short JSON text as it is: pressing it would cost more than all the rest.

    The two are told apart by the first byte: zlib's is never a bracket.
    """
    if len(recording) < SHORT_RECORDING and recording[:1] in _BRACKETS:
        return recording
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 12, 4)  # a window of 4 kB: 32 kB take longer to set up than to use
    return squeeze.compress(recording) + squeeze.flush()


def _restored(stored: bytes) -> bytes:
    return stored if stored[:1] in _BRACKETS else zlib.decompress(stored)


def content_of(
    seq: int, at: int, kind: str, case_id: str | None, dedupe: str | None, evidence: str | None, body: bytes
) -> bytes:
    """A fact's columns as the bytes that are digested."""
    told = f"{_told(kind)}, {_told(case_id)}, {_told(dedupe)}, {_told(evidence)}"
    line = f"[{seq}, {at}, {told}]".encode()  # what json.dumps writes, at a tenth of its price
    return b"%d:%b%b" % (len(line), line, body)


def _told(one: str | None) -> str:
    return "null" if one is None else _quoted(one)


def salt_of(salt: bytes | None, seq: int) -> bytes | None:
    """A fact's own salt. It can be shown with its fact without giving away any other's."""
    return None if salt is None else hashlib.sha256(salt + seq.to_bytes(8, "big")).digest()[:16]


def link(previous: bytes, content: bytes, salt: bytes | None) -> bytes:
    """The digest of a fact and, through the one before it, of all that came earlier.

    Made of the content's own digest, so that a chain can be checked where some facts are not shown.
    """
    if salt is None:
        return hashlib.sha256(previous + content).digest()
    return hashlib.sha256(previous + hashlib.sha256(salt + content).digest()).digest()


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
