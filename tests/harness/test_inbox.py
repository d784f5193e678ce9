"""The receiver: the durable fact first, then the acknowledgement."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capabilities import Acknowledgement, Push, PushRefused, PushRequest
from harness.config import Forwarder, network
from harness.domain import (
    DeliveryState,
    InboundMessage,
    Reason,
    ReviewDecision,
    ReviewVerdict,
    Secret,
    StatusReport,
    Subject,
)
from harness.errors import LedgerError
from harness.facts import Fact, ReportReceived, SightingReceived
from harness.ledger.sqlite import SqliteLedger
from harness.run.inbox import LARGEST_PUSH, LONGEST_BACKLOG, Inbox, People, PushDoor
from harness.run.lines import Redactor
from tests.harness.given import NOW, loop_clock, memory_ledger, push, recipient, virtually
from tests.harness.test_handsets import gate, template

SECRET = "vendor-secret-key"


def report(id: str = "m1", **more: Any) -> StatusReport:
    return StatusReport(**{
        "vendor_message_id": id, "state": DeliveryState.DELIVERED, "reason": None, "code": "DELIVRD",
        "number": "13800001234", **more,
    })  # fmt: skip


class Pushing:
    """A vendor whose pushes say what the test says."""

    def __init__(self, says: Push | BaseException | Callable[[PushRequest], Push]) -> None:
        self.says = says

    def read_push(self, request: PushRequest) -> Push:
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says if isinstance(self.says, Push) else self.says(request)


GOOD = Push(acknowledgement=Acknowledgement(body=b'{"code":0}'), reports=(report(),))


class Scene:
    def __init__(self, says: Any = GOOD, ledger: Any = None, door: PushDoor | None = None) -> None:
        self.ledger = ledger or memory_ledger()
        person = recipient(forwarder="f1")
        self.inbox = Inbox(
            self.ledger,
            loop_clock(),
            vendors={"ali": Pushing(says), "mute": object()},
            forwarders={app: Forwarder(id=app, app=kind, secret=Secret("phone-secret")) for app, kind in (
                ("f1", "smsforwarder"), ("f2", "smsgate"), ("f9", "smsgate"))},
            people=People(
                {"p1": person, "p2": recipient("p2", "+8618600001235", forwarder="f2")},
                signatures=frozenset({"某某科技"}),
                tokens={"p1": frozenset({"BCD234"})},
            ),
            redactor=Redactor(secrets=[SECRET], numbers=[person.number, "+8618600001235"]),
            doors={"ali": door} if door else None,
        )  # fmt: skip

    async def post(self, path: str = "/push/ali/reports", body: bytes = b"{}", **headers: str) -> Acknowledgement:
        return await self.inbox.post(push(path, body, **headers))

    @property
    def facts(self) -> list[Fact]:
        return list(self.ledger.facts())

    @property
    def kinds(self) -> list[str]:
        return [fact.body.kind for fact in self.facts]


def scene(work: Callable[[Scene], Coroutine[Any, Any, Any]], *args: Any, **more: Any) -> Any:
    async def play() -> Any:
        return await work(Scene(*args, **more))

    return virtually(play())


async def asgi(
    inbox: Inbox,
    path: str,
    *chunks: bytes,
    headers: dict[str, str] | None = None,
    cut: bool = False,
    method: str = "POST",
) -> tuple[int, dict[str, str], bytes]:
    """A request through the ASGI door: status, headers, body."""
    messages = [{"type": "http.request", "body": one, "more_body": True} for one in chunks]
    messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False})
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        told.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"a=%3D", "root_path": "", "scheme": "http",
        "http_version": "1.1", "server": ("127.0.0.1", 8025), "client": ("127.0.0.1", 9),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }  # fmt: skip
    await inbox.app(scope, receive, send)
    start = told[0]
    body = b"".join(one.get("body", b"") for one in told[1:])
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body


# --- first the fact, then the answer --------------------------------------------------------------------------------


def test_a_push_is_journalled_read_and_acknowledged_in_the_vendors_words():
    async def work(it: Scene) -> None:
        answer = await it.post(body=b'{"raw":1}')
        assert (answer.status, answer.body) == (200, b'{"code":0}')
        assert it.kinds == ["report_received"]
        (told,) = it.facts
        assert json.loads(it.ledger.recording(told.evidence))["body"] == '{"raw":1}'
        assert json.loads(it.ledger.recording(told.evidence))["path"] == "/push/ali/reports"
        assert told.body.recipient == "p1"

    scene(work)


def test_nothing_is_acknowledged_before_it_is_durable(tmp_path):
    order: list[str] = []

    class Slow(SqliteLedger):
        async def append(self, *entries: Any) -> Any:
            result = await super().append(*entries)
            await asyncio.sleep(5)
            order.append("durable")
            return result

    async def play() -> None:
        it = Scene(ledger=Slow(":memory:", run_id="r1", inline=True, durable=False))
        status, _, _ = await asgi(it.inbox, "/push/ali/reports", b"{}")
        order.append(str(status))

    virtually(play())
    assert order == ["durable", "200"]


def test_a_ledger_that_cannot_be_written_is_told_as_503_and_later_so():
    async def work(it: Scene) -> None:
        async def fails(*entries: Any) -> None:
            raise LedgerError("disk full")

        it.ledger.append = fails
        status, headers, _ = await asgi(it.inbox, "/push/ali/reports", b"{}")
        assert status == 503
        assert headers["retry-after"] == "30"

    scene(work)


def test_a_full_backlog_is_told_as_503_before_anything_is_read():
    class Full:
        run_id, backlog = "r1", LONGEST_BACKLOG + 1

    async def work(it: Scene) -> None:
        status, headers, _ = await asgi(it.inbox, "/push/ali/reports", b"{}")
        assert (status, headers["retry-after"]) == (503, "30")
        assert (await asgi(it.inbox, "/health", method="GET"))[0] == 503

    scene(work, ledger=Full())


def test_a_real_server_serves_the_inbox(tmp_path):
    """The very way a live run does it: uvicorn guesses an application's interface, and must guess right."""

    async def play() -> None:
        it = Scene(ledger=SqliteLedger(tmp_path / "ledger.db", run_id="r1", durable=False))
        door = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(it.inbox.app, log_level="error", access_log=False, lifespan="off"))
        serving = asyncio.create_task(server.serve([door]))
        try:
            async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
                address = f"http://127.0.0.1:{door.getsockname()[1]}"
                assert (await client.post(f"{address}/push/ali/reports", content=b"{}")).json() == {"code": 0}
                assert (await client.get(f"{address}/health")).json() == {"status": "ok"}
        finally:
            server.should_exit = True
            await serving
            await it.ledger.close()

    asyncio.run(play())
    ledger = SqliteLedger(tmp_path / "ledger.db", read_only=True)
    assert ledger.count() == {"report_received": 1}
    ledger.release()


# --- repeats --------------------------------------------------------------------------------------------------------


def test_a_report_pushed_again_is_one_report_and_its_repeats_are_on_record():
    async def work(it: Scene) -> None:
        for _ in range(50):
            assert (await it.post()).status == 200
        assert it.kinds.count("report_received") == 1
        assert it.kinds.count("push_arrived") == 49
        assert {fact.body.door for fact in it.facts if fact.body.kind == "push_arrived"} == {"push/ali/reports"}

    scene(work)


@pytest.mark.parametrize(
    "other",
    [
        {"state": DeliveryState.UNDELIVERED, "reason": Reason.UNREACHABLE, "code": "UNDELIV"},
        {"code": "DELIVERED"},
        {"segment": 2},
        {"number": "18600001235"},
        {"vendor_message_id": "m2"},
    ],
)
def test_a_report_that_says_something_else_is_another(other):
    async def work(it: Scene) -> None:
        await it.post()
        assert it.kinds.count("report_received") == 2

    scene(work, replace(GOOD, reports=(report(), replace(report(), **other), replace(report(), **other))))


def test_replies_and_decisions_are_kept_once():
    reply = InboundMessage(number="+86 138 0000 1234", to="1069000000", text="R，来自13800001234")
    decision = ReviewDecision(ticket="t", subject=Subject.TEMPLATE, verdict=ReviewVerdict.APPROVED)

    async def work(it: Scene) -> None:
        await it.post()
        await it.post()
        assert it.kinds.count("inbound_received") == it.kinds.count("review_decision_received") == 1
        inbound = next(fact for fact in it.facts if fact.body.kind == "inbound_received")
        assert inbound.body.recipient == "p1"
        assert "13800001234" not in repr(inbound), "neither in its text nor in its key"

    scene(work, replace(GOOD, reports=(), inbound=(reply,), decisions=(decision,)))


def test_items_that_could_not_be_read_are_counted():
    async def work(it: Scene) -> None:
        assert (await it.post()).status == 200
        assert it.facts[-1].body.why == "3 items unread"

    scene(work, replace(GOOD, unread=3))


def test_a_strangers_number_becomes_no_recipient_and_is_not_kept():
    async def work(it: Scene) -> None:
        await it.post(body=b'{"to":"19912345678"}')
        told = it.facts[-1]
        assert told.body.recipient is None
        assert "19912345678" not in repr(told)
        assert b"19912345678" not in it.ledger.recording(told.evidence)

    scene(work, replace(GOOD, reports=(report(number="19912345678"),)))


# --- what must change nothing ---------------------------------------------------------------------------------------


def test_a_forged_push_is_answered_as_its_vendor_asks_kept_and_changes_nothing():
    async def work(it: Scene) -> None:
        answer = await it.post(body=b"forged")
        assert (answer.status, answer.body) == (403, b"no")
        assert it.kinds == ["push_refused"]
        assert it.facts[-1].body.why == "wrongly signed"
        assert b"forged" in it.ledger.recording(it.facts[-1].evidence)

    scene(work, PushRefused("wrongly signed", Acknowledgement(status=403, body=b"no")))


STUMBLES = [ValueError, KeyError, IndexError, AssertionError, RecursionError, LookupError, OverflowError, RuntimeError]


@pytest.mark.parametrize("kind", STUMBLES, ids=lambda kind: kind.__name__)
def test_an_adapter_that_stumbles_loses_nothing_and_is_told_again_later(kind):
    async def work(it: Scene) -> None:
        answer = await it.post(body=b"odd")
        assert answer.status == 500, "the vendor keeps it and sends it again"
        assert it.kinds == ["push_refused"]
        assert it.facts[-1].body.why == f"the adapter could not read it: {kind.__name__}"
        assert b"odd" in it.ledger.recording(it.facts[0].evidence)

    scene(work, kind("stumbled"))


def test_reports_made_wrongly_are_the_adapters_stumbling_too():
    async def work(it: Scene) -> None:
        assert (await it.post()).status == 500
        assert it.kinds == ["push_refused"]

    scene(work, replace(GOOD, reports=(report(number=13800001234),)))


def test_half_a_character_in_a_report_is_no_poison():
    async def work(it: Scene) -> None:
        for _ in range(2):
            assert (await it.post()).status == 200
        assert it.kinds.count("report_received") == 2
        assert it.kinds.count("inbound_received") == 1

    odd = InboundMessage(number="13800001234", to="1069", text="好\ud83d", vendor_message_id="i\udc00")
    scene(work, replace(GOOD, reports=(report("m\ud800"), report("m2")), inbound=(odd,)))


WORD = "word-0123456789abcdef"
DOOR = PushDoor(word=WORD)
SIGNED = replace(GOOD, authenticated=True)


def changed(it: Scene) -> list[str]:
    return [kind for kind in it.kinds if kind not in ("push_arrived", "push_refused")]


@pytest.mark.parametrize("path", ["/push/ali/reports", "/push/ali/word-0123456789abcdee/reports", "/push/ali"])
def test_an_unsigned_push_by_another_path_than_the_secret_one_is_refused_and_changes_nothing(path):
    async def work(it: Scene) -> None:
        assert (await it.post(path)).status == 403
        assert changed(it) == []
        refusal = next(fact.body for fact in it.facts if fact.body.kind == "push_refused")
        assert "secret path" in refusal.why

    scene(work, door=DOOR)


@pytest.mark.parametrize("path", [f"/push/ali/{WORD}/reports", f"/push/ali/{WORD}", f"/push/ali/{WORD}/reports/"])
def test_an_unsigned_push_by_the_secret_path_counts_and_the_word_is_kept_nowhere(path):
    async def work(it: Scene) -> None:
        assert (await it.post(path)).status == 200
        assert changed(it) == ["report_received"]
        for fact in it.facts:
            assert WORD not in repr(fact)
            assert fact.evidence is None or WORD.encode() not in it.ledger.recording(fact.evidence)

    scene(work, door=DOOR)


def test_a_signed_push_needs_no_secret_path():
    async def work(it: Scene) -> None:
        assert (await it.post()).status == 200
        assert changed(it) == ["report_received"]

    scene(work, SIGNED, door=DOOR)


def test_a_push_that_says_nothing_is_answered_without_proof():
    echo = Push(acknowledgement=Acknowledgement(body=b"12345678", content_type="text/plain"))

    async def work(it: Scene) -> None:
        assert (await it.post()).body == b"12345678"
        assert changed(it) == []

    scene(work, echo, door=DOOR)


@pytest.mark.parametrize(
    ("remote", "status"),
    [
        ("203.0.113.9", 200), ("::ffff:203.0.113.9", 200), ("198.51.100.7", 200), ("198.51.100.8", 403), (None, 403),
        ("unix:", 403), ("2001:db8::1", 403),
    ],
)  # fmt: skip
def test_a_push_from_an_address_that_is_not_on_the_list_is_refused_although_it_is_signed(remote, status):
    door = PushDoor(word=WORD, networks=(network("203.0.113.0/24"), network("198.51.100.7")))

    async def work(it: Scene) -> None:
        answer = await it.inbox.post(replace(push("/push/ali/reports", b"{}"), remote=remote))
        assert (answer.status, changed(it)) == (status, ["report_received"] if status == 200 else [])

    scene(work, SIGNED, door=door)


def test_the_address_of_a_push_is_that_of_its_socket():
    seen = []

    def says(request: PushRequest) -> Push:
        seen.append(request.remote)
        return GOOD

    async def work(it: Scene) -> None:
        await asgi(it.inbox, "/push/ali/reports", b"{}")

    scene(work, says)
    assert seen == ["127.0.0.1"]


def test_a_signature_that_covers_no_body_may_come_again_with_its_own_body_only():
    async def work(it: Scene) -> None:
        assert (await it.post(body=b"one")).status == 200
        assert (await it.post(body=b"one")).status == 200  # the vendor tries again
        assert (await it.post(body=b"two")).status == 403
        assert changed(it) == ["report_received"]
        assert it.kinds.count("push_refused") == 1

    def says(request: PushRequest) -> Push:
        return replace(SIGNED, once="token-1", reports=(report(request.body.decode()),))

    scene(work, says, door=DOOR)


@pytest.mark.parametrize("path", ["/push/nobody/reports", "/push/mute", "/push/", "/sightings/f8", "/sightings/f9"])
def test_a_door_that_is_none_is_404(path):
    async def work(it: Scene) -> None:
        status, _, body = await asgi(it.inbox, path, b"{}")
        assert status == 404
        assert json.loads(body) == {"error": "no such door"}
        assert it.kinds[-1] == "push_refused"

    scene(work)


def test_a_body_beyond_the_cap_is_413_and_a_cut_one_is_not_read():
    async def work(it: Scene) -> None:
        half = b"x" * (LARGEST_PUSH // 2 + 1)
        assert (await asgi(it.inbox, "/push/ali/reports", half, half))[0] == 413
        assert (await asgi(it.inbox, "/push/ali/reports", b"{", cut=True))[0] == 413
        assert it.facts == []
        assert (await asgi(it.inbox, "/push/ali/reports", b"x" * (LARGEST_PUSH // 2), b"x"))[0] == 200

    scene(work)


def test_other_paths_lead_to_the_welcome_and_the_health():
    async def work(it: Scene) -> None:
        status, _, body = await asgi(it.inbox, "/", method="GET")
        assert (status, json.loads(body)["run"]) == (200, "r1")
        assert (await asgi(it.inbox, "/health", method="GET"))[0] == 200
        assert (await asgi(it.inbox, "/elsewhere", method="GET"))[0] == 404
        assert it.facts == []

    scene(work)


# --- what is kept, and how ------------------------------------------------------------------------------------------


def test_the_journal_holds_no_secret_and_no_number():
    async def work(it: Scene) -> None:
        await it.post(
            "/push/ali/13800001234",
            f'{{"to":"+8613800001234","key":"{SECRET}"}}'.encode(),
            authorization=f"Bearer {SECRET}",
        )
        kept = it.ledger.recording(it.facts[0].evidence) + repr(it.facts).encode()
        assert b"13800001234" not in kept
        assert SECRET.encode() not in kept

    scene(work)


@pytest.mark.parametrize(
    "body",
    [
        "短信已送达13800001234".encode("gbk"),
        "短信已送达13800001234".encode("utf-16"),
        b"\xff\xfe\x00odd",
        b"\xef\xbb\xbf{}",
        b"\x00" * 7,
    ],
)
def test_a_body_in_a_wrong_encoding_is_kept_first(body):
    async def work(it: Scene) -> None:
        assert (await it.post(body=body)).status == 500
        kept = json.loads(it.ledger.recording(it.facts[0].evidence))
        assert kept["body_sha256"]
        assert "body" in kept or "body_base64" in kept

    scene(work, UnicodeDecodeError("utf-8", b"", 0, 1, "odd"))


# --- phones ---------------------------------------------------------------------------------------------------------

OURS, THEIRS = "【某某科技】您的登录验证码是123456。", "妈妈：晚上回家吃饭吗"


def test_a_message_of_ours_is_a_sighting_with_its_journal():
    async def work(it: Scene) -> None:
        answer = await it.inbox.post(template(text=OURS))
        assert answer.status == 200
        assert it.kinds == ["sighting_received"]
        assert it.facts[0].body.recipient == "p1"

    scene(work)


def test_a_token_of_ours_is_enough_where_the_signature_was_lost():
    async def work(it: Scene) -> None:
        await it.inbox.post(template(text="您的取件码BCD234"))
        assert it.kinds == ["sighting_received"]

    scene(work)


def test_what_is_not_ours_is_a_sign_of_life_and_its_text_is_not_kept():
    async def work(it: Scene) -> None:
        for one in (template(text=THEIRS), gate({"messageId": "M", "message": THEIRS, "sender": "1"})):
            path = "/sightings/f1" if "forwarded_at_ms" in one.body.decode() else "/sightings/f2"
            assert (await it.inbox.post(replace(one, path=path))).status == 200
        assert it.kinds == ["heartbeat_received", "heartbeat_received"]
        rows = list(it.ledger._db.execute("SELECT * FROM facts")) + list(
            it.ledger._db.execute("SELECT * FROM recordings")
        )
        assert len(rows) == 2, "and no recording"
        assert "妈妈" not in repr(rows)
        assert "吃饭".encode() not in repr(rows).encode()

    scene(work)


def test_a_refused_post_to_a_phones_door_leaves_no_text():
    async def work(it: Scene) -> None:
        assert (await it.inbox.post(template(text=THEIRS, signature="forged"))).status == 403
        assert it.kinds == ["push_refused"]
        assert it.facts[0].evidence is None

    scene(work)


def test_the_same_post_again_is_a_retry_and_another_body_with_its_signature_a_forgery():
    async def work(it: Scene) -> None:
        assert (await it.inbox.post(template(text=OURS))).status == 200
        assert (await it.inbox.post(template(text=OURS))).status == 200
        assert (await it.inbox.post(template(text=OURS.replace("1", "2")))).status == 403
        assert it.kinds.count("sighting_received") == 1
        assert it.facts[-1].body.why == "replayed"

    scene(work)


# --- numbers in all spellings, reports in any order -----------------------------------------------------------------


@pytest.mark.parametrize("written", ["13800001234", "8613800001234", "+8613800001234", "0086 138-0000-1234"])
def test_a_number_is_known_however_a_vendor_writes_it(written):
    people = People({"p1": recipient()})
    assert people.of_number(written) == "p1"
    assert people.of_number("19912345678") is people.of_number(None) is people.of_number("junk") is None


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(DeliveryState)), max_size=20), st.randoms())
def test_pushes_in_any_order_and_number_leave_the_same_reports(told, chance):
    def pushed(order: list[tuple[int, DeliveryState]]) -> set[tuple[str, str]]:
        says = iter([replace(GOOD, reports=(report(f"m{n}", state=state, code=state),)) for n, state in order])

        async def work(it: Scene) -> list[Fact]:
            for _ in order:
                await it.post()
            return it.facts

        facts = scene(work, lambda request: next(says))
        bodies = [fact.body for fact in facts if isinstance(fact.body, ReportReceived)]
        assert len(bodies) == len(set(told))
        return {(body.vendor_message_id, body.state) for body in bodies}

    shuffled = told * 2
    chance.shuffle(shuffled)
    assert pushed(told) == pushed(shuffled)


def test_facts_carry_our_own_time_of_arrival():
    async def work(it: Scene) -> None:
        await it.inbox.post(template(text=OURS))
        sighting = it.facts[0].body
        assert isinstance(sighting, SightingReceived)
        assert sighting.received_at == it.facts[0].at == NOW

    scene(work)
