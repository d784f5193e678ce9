"""Vendors, disks and callers that mean harm: each ends as a typed fact, nothing leaves twice, and the run goes on."""

from __future__ import annotations

import asyncio
import hmac
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import cli, desk
from harness.capabilities import Account, Tools
from harness.clock import Chance, LoopClock, RealClock, VirtualLoop, real_nonce
from harness.domain import InDoubt, Secret
from harness.errors import LedgerError
from harness.facts import CallFailed, CaseClosed, SendIntended, SubmitAnswered
from harness.ledger.sqlite import SqliteLedger
from harness.run.engine import answer_of, message_of
from harness.run.house import House, Surroundings, build, open_contest
from harness.run.lines import Line, Redactor
from harness.run.play import plan_of
from harness.run.questions import probe_simulated
from harness.run.wire import Wire
from tests.simulation.history import check, history_of, in_doubt, outcome, violations
from tests.simulation.worlds import BEGINS, CALM, TROUBLE, Stage
from vendors.sandbox.phones import smsforwarder_sign
from vendors.sandbox.server import WorldTransport
from vendors.sandbox.world import Fault
from vendors.yunpian import Vendor as Yunpian

DEEP = b"[" * 10_000
OTHERS = frozenset({"honest", "third"})


def json_answer(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


ANSWERS: Mapping[str, Callable[[], httpx.Response]] = {
    "nothing": lambda: httpx.Response(200),
    "garbage": lambda: httpx.Response(200, content=b"\xff\xfe\x00\x9f" * 50),
    "a page": lambda: httpx.Response(200, html="<html><script>alert(1)</script>"),
    "half of it": lambda: httpx.Response(200, content=b'{"code": 0, "msg": "'),
    "deep": lambda: httpx.Response(200, content=DEEP),
    "huge": lambda: httpx.Response(200, content=b'{"code":0,"sid":"' + b"9" * 900_000 + b'"}'),
    "a list": lambda: json_answer([1, 2, 3]),
    "null": lambda: json_answer(None),
    "wrong types": lambda: json_answer({"code": {"a": 1}, "sid": [None], "count": "x", "fee": {}}),
    "no id": lambda: json_answer({"code": 0, "msg": "OK", "count": 1, "fee": 0.05}),
    "an empty id": lambda: json_answer({"code": 0, "sid": "", "count": 1}),
    "a number beyond all": lambda: httpx.Response(200, content=b'{"code":0,"sid":1,"count":1e999,"fee":NaN}'),
    "half a character": lambda: httpx.Response(200, content=b'{"code":987653,"msg":"\\ud800","detail":"\\udfff"}'),
    "an unknown code": lambda: json_answer({"code": 987654, "msg": "•", "detail": "\x1b[2J\r\n"}),
    "moved": lambda: httpx.Response(307, headers={"location": "https://cheap.sandbox/v2/sms/single_send.json"}),
    "moved for good": lambda: httpx.Response(301, headers={"location": "https://elsewhere.sandbox/"}),
    "broken": lambda: httpx.Response(500, text="Internal Server Error"),
    "bad gateway": lambda: httpx.Response(502, html="<h1>502</h1>"),
    "busy": lambda: httpx.Response(503, headers={"retry-after": "1"}),
    "gone": lambda: httpx.Response(404),
    "early": lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, content=b""),
}


LIES = ("a number beyond all", "half a character", "an unknown code")
"""Answers by the vendor's own grammar: what it then did not do is its lie, and no doubt of ours."""


def broken_off(kind: type[httpx.HTTPError]) -> Callable[[], httpx.Response]:
    def answer() -> httpx.Response:
        raise kind("cut")

    return answer


CUTS = {
    kind.__name__: broken_off(kind)
    for kind in (httpx.ReadError, httpx.ReadTimeout, httpx.WriteError, httpx.RemoteProtocolError, httpx.DecodingError)
}


# --- a vendor that answers nonsense, through the whole engine -------------------------------------------------------


@pytest.mark.parametrize("takes", [True, False], ids=["and takes it", "and takes nothing"])
@pytest.mark.parametrize("how", [*ANSWERS, *CUTS])
def test_a_hostile_vendor_is_asked_once_a_message_and_the_run_goes_on(how, takes, tmp_path):
    stage = Stage(tmp_path, CALM, 4)
    asked = make_hostile(stage, {**ANSWERS, **CUTS}[how], takes=takes)
    played = stage.play()
    assert played is not None and played.because == "done"
    history = history_of(stage)
    # What it took is never written down as not taken, and nothing left twice.
    assert [told for told in violations(history) if how not in LIES or not told.startswith("I5")] == []
    hostile = {case.id for case in history.cases.values() if case.vendor == "cheap"}
    submits = [fact for fact in history.facts if fact.case_id in hostile and is_answer(fact.body)]
    assert len(submits) == len(hostile) > 5
    if how != "busy":  # its own word that it took nothing: then it may be asked again
        assert set(asked.values()) == {1}
    assert {type(fact.body) for fact in history.facts if is_answer(fact.body)} <= {SubmitAnswered, CallFailed}
    if takes:
        assert {fact.case_id for fact in submits if isinstance(fact.body, SubmitAnswered)} == hostile
    others = [fact for fact in history.facts if isinstance(fact.body, CaseClosed) and fact.case_id not in hostile]
    assert len(others) == len(history.cases) - len(hostile)
    assert not {case for case, _ in in_doubt(history)} - hostile


def is_answer(body: object) -> bool:
    return isinstance(body, SubmitAnswered) or (isinstance(body, CallFailed) and body.what == "submit")


def make_hostile(stage: Stage, answer: Callable[[], httpx.Response], *, takes: bool) -> Counter[str]:
    """Let the vendor `cheap` answer every submit so; how often it was asked to send each text."""
    honest, asked = stage.world.answer, Counter[str]()

    def hostile(label: str, request: httpx.Request, fault: Fault | None = None) -> httpx.Response:
        if label != "cheap" or not request.url.path.endswith("send.json"):
            return honest(label, request, fault)
        asked[parse_qs(request.content.decode())["text"][0]] += 1
        if takes:
            honest(label, request, fault)
        return answer()

    stage.world.answer = hostile
    return asked


def test_a_vendor_that_never_answers_delays_nobody_else(tmp_path):
    stage = Stage(tmp_path, CALM, 4)
    next_call = stage.world.next_call
    stage.world.next_call = lambda label: (None, 1e7) if label == "cheap" else next_call(label)
    assert stage.play() is not None
    history = history_of(stage)
    check(history)
    for fact in history.facts:
        if isinstance(fact.body, SubmitAnswered) and fact.body.call is not None:
            if history.cases[str(fact.case_id)].vendor in OTHERS:
                assert fact.body.call.lag == 0.0
            else:
                assert isinstance(fact.body.outcome, InDoubt)


# --- the same on a real socket --------------------------------------------------------------------------------------


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


async def slow_loris(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nx-trickle: " + b"y" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n")
    for _ in range(4000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(400):  # 26 MB: "endless" beside the cap of one
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 20)


async def redirect(writer: asyncio.StreamWriter) -> None:
    host, port = writer.get_extra_info("sockname")[:2]
    writer.write(f"HTTP/1.1 307 Go\r\nlocation: http://{host}:{port}/again\r\ncontent-length: 0\r\n\r\n".encode())


async def close(writer: asyncio.StreamWriter) -> None:
    pass


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{"code":0')


async def two_answers(writer: asyncio.StreamWriter) -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    writer.write(one + one)


async def heads_only(writer: asyncio.StreamWriter) -> None:
    for _ in range(2000):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    "attack",
    [slow_loris, slow_body, endless, garbage, redirect, close, reset, half, two_answers, heads_only],
    ids=lambda attack: attack.__name__,
)
def test_a_hostile_vendor_on_a_real_socket_sees_one_request_and_leaves_a_doubt(attack, tmp_path):
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                requests.append(await read_request(reader))
                await attack(writer)
                await writer.drain()
                if attack is not redirect:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def story() -> tuple[Any, float]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire, clock = Wire(deadline_seconds=0.5), RealClock()
        vendor = yunpian_at(f"http://127.0.0.1:{port}", clock)
        line = Line(wire, clock, Redactor(), per_second=100.0, deadline=0.5)
        stage = Stage(tmp_path, CALM, 4)
        person = stage.evaluation.recipients[0]
        draft = plan_draft(stage)
        began = asyncio.get_running_loop().time()
        carried = await line.carry(lambda: vendor.submit(message_of(draft, person)))
        took = asyncio.get_running_loop().time() - began
        await asyncio.sleep(0.05)  # a second request, were there one, would come now
        await wire.aclose()
        server.close()
        await server.wait_closed()
        return answer_of(0, carried, Redactor()), took

    body, took = asyncio.run(story())
    assert isinstance(body, SubmitAnswered) and isinstance(body.outcome, InDoubt)
    assert body.outcome.why in ("no_answer", "unintelligible")
    assert len(requests) == 1
    assert took < 3.0


def yunpian_at(endpoint: str, clock: Any) -> Yunpian:
    account = Account(
        label="cheap",
        credentials={"apikey": Secret("0000000000000000000000canary0001")},
        endpoint=endpoint,
        signature="某某科技",
        options=dict(Yunpian.manifest.options),
        push_url="http://127.0.0.1:1/push/cheap",
    )
    return Yunpian(account, Tools(now=clock.now, nonce=real_nonce))


def plan_draft(stage: Stage) -> Any:
    contest = open_contest(stage.evaluation, clock=RealClock(), nonce=real_nonce)
    plan = plan_of(stage.evaluation, contest, seed=1, begins=BEGINS)
    return next(case.drafts[0] for case in plan.cases if case.vendor == "cheap")


# --- a disk that is full --------------------------------------------------------------------------------------------


def play_until_full(stage: Stage, plug: Callable[[str, int], None] | None, fill: Callable[[House], None]) -> None:
    with pytest.raises(LedgerError, match="cannot be written"):
        stage.play(plug, fill)


@pytest.mark.parametrize("room", [0, 1, 2, 3, 5, 8, 13, 16])
def test_on_a_full_disk_sending_stops_and_what_was_acknowledged_stays(room, tmp_path):
    """SQLite itself says that the disk is full: no more pages than it has, and a few."""
    stage = Stage(tmp_path, TROUBLE, 5)

    def fill(house: House) -> None:
        db = house.engine._ledger._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + room}")

    play_until_full(stage, None, fill)
    stopped_at = stage.world.now()
    ledger = SqliteLedger(stage.ledger_path, read_only=True)
    ledger.verify()
    ledger.release()
    check(history_of(stage))
    sent = len(stage.world.sendings)
    assert all(one.at <= stopped_at for one in stage.world.sendings)
    played = stage.play()
    assert played is not None and played.because == "done"
    check(history_of(stage))
    assert len(stage.world.sendings) > sent


@pytest.mark.parametrize("first", range(1, 80, 6))
def test_whichever_write_fails_nothing_is_sent_after_it_and_the_inbox_says_503(first, tmp_path):
    for n in range(first, first + 6):
        stage = Stage(tmp_path / f"{n}", TROUBLE, 5)
        failed_at: list[Any] = []

        def failing(side: str, number: int, n: int = n, stage: Stage = stage, failed_at: list[Any] = failed_at) -> None:
            if side == "before" and number >= n:
                failed_at.append(stage.world.now())
                raise sqlite3.OperationalError("disk I/O error")

        play_until_full(stage, failing, lambda house: None)
        intended = {fact.case_id for fact in stage.facts() if isinstance(fact.body, SendIntended)}
        planned = {case.drafts[0].reference: case.id for case in history_of(stage).cases.values()}
        left = [one for one in (*stage.world.sendings, *stage.world.refusals) if one.at > failed_at[0]]
        assert {planned[str(one.reference)] for one in left} <= intended  # only what was on its way already
        later = [post.status for post in stage.posts if post.at > failed_at[0] and post.status is not None]
        assert set(later) <= {503}
        check(history_of(stage))
        assert stage.play() is not None
        check(history_of(stage))


def test_a_full_disk_makes_the_inbox_answer_503_to_whoever_posts(tmp_path):
    """The write that fails is the inbox's own: it says 503, and the vendor's second try is taken after the repair."""
    refused = 0
    for n in range(10, 60):
        stage = Stage(tmp_path / f"{n}", CALM, 3)

        def failing(side: str, number: int, n: int = n) -> None:
            if side == "before" and number >= n:
                raise sqlite3.OperationalError("database or disk is full")

        play_until_full(stage, failing, lambda house: None)
        refused += any(post.status == 503 for post in stage.posts)
        if refused == 3:
            assert stage.play() is not None
            check(history_of(stage))
            return
    pytest.fail("no write of the inbox's own failed")


# --- a damaged file -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("finished"), CALM, 4)
    assert stage.play() is not None
    db = sqlite3.connect(stage.ledger_path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return stage


def open_and_verify(path: Path, *, read_only: bool) -> None:
    ledger = SqliteLedger(path, read_only=read_only, inline=True)
    try:
        ledger.verify()
    finally:
        ledger.release()


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: b"this is a text file, and not a short one either\n" * 400,
        lambda raw: raw[:100],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[: len(raw) // 2] + b"\x00" * (len(raw) - len(raw) // 2),
        lambda raw: b"\x00" * 4096 + raw[4096:],
        lambda raw: raw[:4096] + bytes(reversed(raw[4096:])),
    ],
    ids=["empty", "a text", "100 bytes", "half", "half zeros", "no head", "reversed"],
)
def test_a_damaged_ledger_is_told_by_name_and_with_a_way_out(finished, damage, read_only, tmp_path):
    path = tmp_path / "ledger.db"
    path.write_bytes(damage(finished.ledger_path.read_bytes()))
    with pytest.raises(LedgerError) as error:
        open_and_verify(path, read_only=read_only)
    assert str(path) in str(error.value)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 0.999), flip=st.integers(1, 255))
def test_a_ledger_with_a_flipped_or_missing_end_never_ends_in_anything_but_a_clear_error(
    finished, share, flip, tmp_path_factory
):
    raw = finished.ledger_path.read_bytes()
    at = int(share * len(raw))
    folder = tmp_path_factory.mktemp("damaged")
    for name, damaged in (
        ("cut.db", raw[:at]),
        ("flipped.db", raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]),
    ):
        path = folder / name
        path.write_bytes(damaged)
        try:
            open_and_verify(path, read_only=True)
        except LedgerError as error:
            assert str(path) in str(error)
        else:
            assert name == "flipped.db"  # a byte nobody uses


def test_the_command_tells_a_damaged_ledger_without_a_traceback(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished.run_folder, run)
    (run / "ledger.db").write_bytes(b"\x00" * 5000)
    for verb in ("verify", "status", "score"):
        assert cli.main([verb, str(run)]) == desk.CHANGE_SOMETHING
        assert "ledger.db" in capsys.readouterr().err


# --- callers at the inbox's door ------------------------------------------------------------------------------------


class Door:
    """An inbox of a run that has been played, open to whoever posts, in virtual time."""

    def __init__(self, stage: Stage, loop: VirtualLoop) -> None:
        begin = stage.world.now()
        self.stage, self.clock = stage, LoopClock(begin, loop)
        self.ledger = SqliteLedger(stage.ledger_path, inline=True, durable=False)
        contest = open_contest(stage.evaluation, clock=self.clock, nonce=Chance(1).nonces("door"))
        transport = WorldTransport(stage.world)
        surroundings = Surroundings(
            clock=self.clock,
            transport=transport,
            nonce=contest.tools.nonce,
            probe_tls=lambda url, version: probe_simulated(transport, url, version),
        )
        self.inbox = build(stage.evaluation, contest, self.ledger, surroundings).inbox

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None, *, pieces: int = 1, cut: bool = False
    ) -> tuple[int, bytes]:
        """Through the ASGI door, in so many pieces. `cut`: the caller hangs up before the end."""
        size = max(1, -(-len(body) // pieces))
        parts = [body[n : n + size] for n in range(0, len(body), size)] or [b""]
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": cut or n < len(parts) - 1}
            for n, part in enumerate(parts)
        ]
        if cut:
            messages.append({"type": "http.disconnect"})
        answered: list[Any] = []
        read = 0

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1
            return messages[read - 1]

        async def send(message: Any) -> None:
            answered.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        }
        await self.inbox.app(scope, receive, send)
        return answered[0]["status"], answered[1]["body"]


@pytest.fixture
def knock(finished: Stage, tmp_path: Path) -> Iterator[Callable[[Callable[[Door], Awaitable[None]]], list[Any]]]:
    """Run a story at the door of a copy of a finished run; gives the facts that it added."""

    def at_the_door(story: Callable[[Door], Awaitable[None]]) -> list[Any]:
        stage = Stage(tmp_path / "stage", CALM, 4)
        shutil.copytree(finished.folder / "runs", tmp_path / "stage" / "runs")
        stage.world.clock = finished.world.clock
        before = stage.facts()
        loop = VirtualLoop()
        door = Door(stage, loop)
        try:
            loop.run_until_complete(story(door))
        finally:
            door.ledger.release()
            loop.close()
        after = stage.facts()
        assert after[: len(before)] == before
        assert outcome(after) == outcome(before), "a hostile post changed what is known"
        return [(fact.body, fact.evidence) for fact in after[len(before) :]]

    yield at_the_door


JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

GARBAGE = {
    "nothing": b"",
    "bytes": b"\xff\xfe\x00\x01" * 100,
    "a text": "您好".encode(),
    "GBK": "【某某科技】您好".encode("gbk"),
    "an object": b'{"a": {"b": [1, 2, null]}}',
    "a number": b"1e999",
    "nothing known": b'[{"x": 1}, 7, null, "y"]',
    "deep lists": DEEP + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "keys twice": b'[{"sid": "1", "sid": "2"}]',
    "a form": b"a=1&b=%zz&c",
}


@pytest.mark.parametrize("label", ["honest", "cheap", "third"])
@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_at_a_vendors_door_is_kept_told_and_changes_nothing(knock, label, body):
    async def story(door: Door) -> None:
        status, _ = await door.post(f"/push/{label}/reports", body, JSON)
        assert status in (200, 400, 403, 500)

    added = knock(story)
    kinds = [body.kind for body, _ in added]
    assert len(kinds) == 1 and set(kinds) <= {"push_arrived", "push_refused"}
    if kinds == ["push_arrived"]:
        assert body in (b"[]",)  # an empty push says nothing, and that is all right
    assert all(evidence is not None for _, evidence in added)


def test_a_forged_reply_is_refused_and_kept(knock, finished):
    number = finished.evaluation.recipients[0].number[-11:]
    reply = {
        "id": "1",
        "mobile": number,
        "reply_time": "2026-03-02 11:00:00",
        "text": "T",
        "extend": "",
        "base_extend": "1065750022",
        "_sign": "0" * 32,
    }

    async def story(door: Door) -> None:
        status, answer = await door.post(
            "/push/cheap/inbound", urlencode({"sms_reply": json.dumps(reply)}).encode(), FORM
        )
        assert status != 200 or answer != b"SUCCESS"

    assert [body.kind for body, _ in knock(story)] == ["push_refused"]


def test_ten_megabytes_are_refused_while_they_come_and_a_hang_up_leaves_nothing(knock):
    async def story(door: Door) -> None:
        for path in ("/push/honest/reports", "/sightings/phone-r001"):
            assert (await door.post(path, b"x" * 10_000_000, JSON, pieces=100))[0] == 413
            assert (await door.post(path, b"[" * 100, JSON, pieces=3, cut=True))[0] == 413

    assert knock(story) == []


@pytest.mark.parametrize("path", ["/push/nobody/reports", "/push/", "/sightings/", "/sightings/phone-nobody"])
def test_a_door_that_is_none_is_404(knock, path):
    async def story(door: Door) -> None:
        assert (await door.post(path, b"{}", JSON))[0] == 404

    added = knock(story)
    assert {body.kind for body, _ in added} <= {"push_arrived", "push_refused"}
    assert added


def forwarders(stage: Stage, app: str) -> Any:
    found = [one for one in stage.evaluation.forwarders.values() if one.app == app]
    if not found:
        pytest.fail(f"the panel has no phone with {app}")
    return found[0]


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_at_a_phones_door_is_refused_and_its_text_is_not_kept(knock, finished, body):
    async def story(door: Door) -> None:
        for phone in finished.evaluation.forwarders:
            status, _ = await door.post(f"/sightings/{phone}", body, JSON)
            assert status in (400, 403)

    added = knock(story)
    assert [body.kind for body, _ in added] == ["push_refused"] * len(finished.evaluation.forwarders)
    assert all(evidence is None for _, evidence in added)


def test_a_forged_and_a_stale_sighting_are_refused(knock, finished):
    phone = forwarders(finished, "smsgate")
    text = next(one.seen_text for one in finished.world.sendings)
    body = json.dumps({"event": "sms:received", "id": "f", "deviceId": phone.id, "payload": {"message": text}}).encode()

    async def story(door: Door) -> None:
        now = int(door.clock.now().timestamp())
        good = hmac.digest(phone.secret.reveal().encode(), body + str(now - 4000).encode(), "sha256").hex()
        for stamp, sign in ((now, "0" * 64), (now, ""), (now - 4000, good)):
            headers = {**JSON, "x-timestamp": str(stamp), "x-signature": sign}
            assert (await door.post(f"/sightings/{phone.id}", body, headers))[0] == 403

    assert [body.why for body, _ in knock(story)] == ["wrongly signed", "unsigned", "stale"]


def test_a_signature_seen_once_does_not_carry_another_body(tmp_path):
    """SmsForwarder signs its time stamp only: whoever overhears one post could make up another."""
    stage = Stage(tmp_path, TROUBLE, 5)
    assert stage.play() is not None
    phone = forwarders(stage, "smsforwarder")
    text = next(one.seen_text for one in stage.world.sendings if one.arrived_at)
    loop = VirtualLoop()
    door = Door(stage, loop)

    def post_of(message: str) -> bytes:
        stamp = str(int(door.clock.now().timestamp() * 1000))
        sign = smsforwarder_sign(stamp, phone.secret.reveal())
        fields = {"from": "10690000", "text": message, "timestamp": stamp, "sign": sign}
        return json.dumps(fields).encode()

    async def story() -> None:
        first = post_of(f"{text} ")
        assert (await door.post(f"/sightings/{phone.id}", first, JSON))[0] == 200
        assert (await door.post(f"/sightings/{phone.id}", first, JSON))[0] == 200  # its own retry
        assert (await door.post(f"/sightings/{phone.id}", post_of(f"{text}  "), JSON))[0] == 403

    before = len(stage.facts())
    loop.run_until_complete(story())
    door.ledger.release()
    loop.close()
    kinds = [fact.body.kind for fact in stage.facts()[before:]]
    assert kinds == ["sighting_received", "push_arrived", "push_refused"]
    assert stage.facts()[-1].body.why == "replayed"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=300), path=st.text(max_size=40), header=st.text(st.characters(max_codepoint=255)))
def test_no_post_whatever_ends_in_anything_but_an_answer(door_of_one_run, body, path, header):
    door, loop = door_of_one_run
    for prefix in ("/push/", "/push/third/", "/sightings/", "/sightings/phone-r001"):
        status, _ = loop.run_until_complete(door.post(prefix + path, body, {"content-type": header}))
        assert status in (200, 400, 403, 404, 500)


@pytest.fixture(scope="module")
def door_of_one_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, VirtualLoop]]:
    stage = Stage(tmp_path_factory.mktemp("door"), CALM, 4)
    assert stage.play() is not None
    loop = VirtualLoop()
    door = Door(stage, loop)
    yield door, loop
    door.ledger.release()
    loop.close()
