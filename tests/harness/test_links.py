"""Links over sockets: both sides on loopback, in real time; and what a hostile or merely odd gateway can do to them."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.capabilities import Account, Tools
from harness.clock import Chance, LoopClock, RealClock, VirtualLoop
from harness.domain import Accepted, InDoubt, Message, Purpose, Reason, Recipient, Refused, Secret
from harness.errors import Throttled, Unauthorised, Unreachable
from harness.facts import (
    CallFailed,
    CasePlanned,
    InboundReceived,
    ReportReceived,
    SendIntended,
    SendSettled,
    SubmitAnswered,
)
from harness.ledger.sqlite import SqliteLedger
from harness.matching import Matcher
from harness.registry import vendor_class
from harness.run.board import fold
from harness.run.inbox import People
from harness.run.lines import Redactor
from harness.run.links import About, Links, Sockets
from harness.text import billed_segments, signed
from tests.harness.given import case, draft, fact
from tests.harness.test_wire import Authority
from tests.simulation.carriers import GATEWAYS, gateway
from tests.vendors.carrier.links import NOON
from vendors.carrier import smpp
from vendors.sandbox.door import Turned
from vendors.sandbox.gateway import Switchboard
from vendors.sandbox.server import serve
from vendors.sandbox.truth import read_truth
from vendors.sandbox.world import World

SIGNATURE = "某某科技"
PANEL = {"handsets": {"china_mobile": 3, "china_unicom": 2, "china_telecom": 2}, "apps": {"json": 1}}
PANEL |= {"provinces": ["Guangdong"], "consent_by": "links panel", "consent_on": "2026-01-05"}
each_protocol = pytest.mark.parametrize("label", GATEWAYS)


def world_of(*truths: str, epoch: Any = NOON) -> World:
    text = "world: links\nvendors:\n" + "".join(truths) + yaml.safe_dump({"panel": PANEL})
    return World(read_truth(text, "links.yaml"), seed=5, epoch=epoch)


class Stand:
    """An account's links, a ledger, and the world they lead to."""

    def __init__(
        self, world: World, label: str, clock: Any, ledger: SqliteLedger, network: Any, **options: str
    ) -> None:
        truth = world.accounts[label].truth
        kind = vendor_class(truth.wire)
        told = {"source": next(iter(truth.senders.values())), **options}
        told |= {"corp_id": "12345"} if truth.wire == "sgip" else {}
        told |= {"version": truth.options["version"]} if "version" in truth.options else {}
        account = Account(
            label=label,
            credentials={name: Secret(value) for name, value in truth.credentials.items()},
            endpoint=f"https://{label}.sandbox",
            signature=SIGNATURE,
            options={**kind.manifest.options, **told},
        )
        self.world, self.label, self.ledger = world, label, ledger
        self.people = {
            person.id: Recipient(id=person.id, number=person.number, carrier=person.carrier)
            for person in world.people.values()
        }
        self.links = Links(
            label,
            kind(account, Tools(now=clock.now, nonce=Chance(1).nonces("links"))),
            ledger=ledger,
            clock=clock,
            network=network,
            redactor=Redactor(numbers=[one.number for one in self.people.values()]),
            people=People(self.people),
            chance=lambda: 0.5,
            per_second=2000.0,
        )

    def message(self, number: int, text: str = "您的验证码是{}，请勿告诉他人。") -> Message:
        person = list(self.people.values())[number % len(self.people)]
        body = signed(text.format(100000 + number), SIGNATURE)
        return Message(
            to=person,
            purpose=Purpose.NOTIFICATION,
            signature=SIGNATURE,
            template=None,
            parameters={},
            text=body,
            token=str(100000 + number),
            reference=f"s{number}",
            segments=billed_segments(body),
        )

    def reports(self) -> list[ReportReceived]:
        return [fact.body for fact in self.ledger.facts() if isinstance(fact.body, ReportReceived)]


def virtually(scene: Callable[[Stand], Coroutine[Any, Any, None]], label: str, options: str = "", **told: str) -> None:
    """Play a scene in memory, in virtual time."""
    loop = VirtualLoop()
    clock = LoopClock(NOON, loop)
    world = world_of(gateway(label, options))
    world.clock = clock.now
    ledger = SqliteLedger(":memory:", run_id="links", inline=True, durable=False, salt=b"0" * 32)

    async def whole() -> None:
        stand = Stand(world, label, clock, ledger, Switchboard(world), **told)

        async def nobody(post: Any) -> Any:
            raise OSError("no inbox")

        playing = asyncio.create_task(world.run(nobody))
        await stand.links.start()
        try:
            await scene(stand)
            await stand.links.leave()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)

    loop.run_until_complete(whole())
    ledger.release()
    loop.close()


# --- long messages ---------------------------------------------------------------------------------------------------

TEN_PARTS = "尊敬的客户，" + "这是一条很长的通知，用来查看长短信能否完整到达并按条计费。" * 22


@each_protocol
def test_a_message_of_ten_parts_arrives_whole_is_billed_as_ten_and_delivered_only_with_the_tenth_report(label):
    async def scene(stand: Stand) -> None:
        message = stand.message(3, TEN_PARTS[:650] + "{}")
        assert message.segments == 10
        carried = await stand.links.carry(message)
        outcome = carried.result
        assert isinstance(outcome, Accepted) and outcome.segments == 10 and len(set(outcome.part_ids)) == 10
        assert carried.call.requests == 10
        (sending,) = stand.world.sendings
        assert sending.text == message.text and sending.segments == 10
        await asyncio.sleep(600)
        reports = [fact for fact in stand.ledger.facts() if isinstance(fact.body, ReportReceived)]
        assert len(reports) == 10 and {fact.body.vendor_message_id for fact in reports} == set(outcome.part_ids)
        _delivered_with_the_last(outcome, reports)

    virtually(scene, label)


def _delivered_with_the_last(outcome: Accepted, reports: list[Any]) -> None:
    recipient = reports[0].body.recipient
    planned = case("c1", reports[0].body.vendor, drafts=(draft(),), recipient=recipient)
    board, matcher = None, Matcher()
    told = [
        fact(CasePlanned(case=planned), "c1"),
        fact(SendIntended(leg=0, planned_at=planned.due, ceiling=None), "c1"),
        fact(SubmitAnswered(leg=0, outcome=outcome, call=None), "c1"),
        *reports,
    ]
    for number, one in enumerate(told, 1):
        for _, news in matcher.route(one):
            board = fold(board, news, matcher)
        if number < len(told):
            assert board.legs.get(0) is None or board.legs[0].final_report is None
    assert board.legs[0].final_report.state == "delivered"


# --- what else a gateway may do --------------------------------------------------------------------------------------


@each_protocol
def test_a_reply_in_several_parts_is_one_reply(label):
    words = "我想退订这些短信，" * 12

    async def scene(stand: Stand) -> None:
        await stand.links.carry(stand.message(1))
        await asyncio.sleep(60)
        person = list(stand.people.values())[1]
        phone = next(one for one in stand.world.phones.values() if one.number == person.number)
        stand.world.reply(phone, stand.world.accounts[stand.label].truth.senders["china_mobile"], words)
        await asyncio.sleep(60)
        (reply,) = (fact.body for fact in stand.ledger.facts() if isinstance(fact.body, InboundReceived))
        assert (reply.text, reply.recipient) == (words, person.id)

    virtually(scene, label)


@pytest.mark.parametrize("label", ["cmpp2", "smpp", "smgp"])
def test_an_answer_that_comes_late_settles_what_was_in_doubt(label):
    async def scene(stand: Stand) -> None:
        carried = await stand.links.carry(stand.message(1), about=About("c1", 0))
        assert carried.result == InDoubt(why="no_answer")
        await asyncio.sleep(30)
        (settled,) = (fact for fact in stand.ledger.facts() if isinstance(fact.body, SendSettled))
        assert settled.case_id == "c1" and settled.body.by == "answer"
        assert settled.body.vendor_message_id == stand.world.sendings[0].key
        assert len(stand.world.sendings) == 1

    virtually(scene, label, 'reports_first: "yes"', answer_seconds="10")


def test_the_id_of_a_lost_answer_is_known_where_it_is_our_own_sequence():
    async def scene(stand: Stand) -> None:
        carried = await stand.links.carry(stand.message(1), about=About("c1", 0))
        assert isinstance(carried.result, InDoubt)
        assert carried.result.part_ids == (stand.world.sendings[0].key,)

    virtually(scene, "sgip", 'reports_first: "yes"', answer_seconds="10")


@each_protocol
def test_too_fast_is_tried_again_and_in_the_end_told(label):
    async def scene(stand: Stand) -> None:
        carried = await stand.links.carry(stand.message(1))
        assert isinstance(carried.trouble, Throttled) and carried.trouble.code
        assert carried.call.tries == 4 and stand.world.sendings == []

    virtually(scene, label, "throttle_every: 1")


@each_protocol
def test_a_refused_login_is_trouble_with_nothing_written_and_nobody_knocks_again(label):
    async def scene(stand: Stand) -> None:
        carried = await stand.links.carry(stand.message(1))
        assert isinstance(carried.trouble, Unauthorised) and carried.call.written_at is None
        await asyncio.sleep(3600)
        told = [fact.body for fact in stand.ledger.facts() if isinstance(fact.body, CallFailed)]
        assert [one.what for one in told] == ["login"]

    virtually(scene, label, 'refuses_login: "yes"')


def test_a_gateway_that_is_not_there_is_unreachable_and_is_tried_more_and_more_seldom():
    async def scene(stand: Stand) -> None:
        carried = await stand.links.carry(stand.message(1))
        assert isinstance(carried.trouble, Unreachable) and not carried.trouble.written
        await asyncio.sleep(3600)
        knocks = [fact for fact in stand.ledger.facts() if isinstance(fact.body, CallFailed)]
        assert 60 < len(knocks) < 110
        gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(knocks)]
        assert max(gaps) <= 61

    virtually(scene, "cmpp3", host="nobody.sandbox")


def test_a_no_is_data_with_its_code():
    async def scene(stand: Stand) -> None:
        stand.world.accounts["cmpp3"].submit = lambda submission: _turned(Reason.INVALID_NUMBER)
        carried = await stand.links.carry(stand.message(1))
        assert isinstance(carried.result, Refused)
        assert (carried.result.reason, carried.result.code) == (Reason.INVALID_NUMBER, "13")

    virtually(scene, "cmpp3")


def _turned(reason: Reason) -> Any:
    return Turned(reason=reason)


# --- over sockets ----------------------------------------------------------------------------------------------------


def for_real(tmp_path: Path, scene: Callable[[Any, RealClock, SqliteLedger], Coroutine[Any, Any, None]]) -> None:
    clock = RealClock()
    ledger = SqliteLedger(tmp_path / "ledger.db", run_id="links", durable=False, salt=b"0" * 32)

    async def whole() -> None:
        async with asyncio.timeout(20):
            try:
                await scene(asyncio.get_running_loop(), clock, ledger)
            finally:
                await ledger.close()

    asyncio.run(whole())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("label, wrong", [*((label, "") for label in GATEWAYS), ("cmpp3", 'cut_every: "50"')])
def test_over_sockets_every_message_is_answered_and_reported_once(label, wrong, tmp_path):
    here = f"127.0.0.1:{free_port()}"

    async def scene(loop: Any, clock: RealClock, ledger: SqliteLedger) -> None:
        options = ", ".join(one for one in (f'dials: "{here}"', wrong) if one)
        world = world_of(gateway(label, options, quick=True), epoch=clock.now())
        serving = await serve(world, clock=clock.now, inbox_url="http://127.0.0.1:9")
        host, _, port = serving.addresses[label].partition("://")[2].rpartition(":")
        listen = {"listen": here} if label == "sgip" else {}
        stand = Stand(world, label, clock, ledger, Sockets(), host=host, port=port, **listen)
        await stand.links.start()
        try:
            carried = await asyncio.gather(*(stand.links.carry(stand.message(number)) for number in range(40)))
            outcomes = [one.result for one in carried]
            assert sum(isinstance(one, Accepted) for one in outcomes) >= (30 if wrong else 40)
            assert len(world.sendings) == len({one.text for one in world.sendings})
            due = {sending.key for sending in world.sendings if sending.report_at}
            while {one.vendor_message_id for one in stand.reports()} != due:
                await asyncio.sleep(0.05)
            assert len(stand.reports()) == len(due)
        finally:
            await stand.links.leave()
            await serving.close()

    for_real(tmp_path, scene)


@pytest.mark.parametrize("trusted", [True, False])
def test_smpp_goes_over_tls_to_a_gateway_whose_certificate_is_trusted_and_to_no_other(trusted, tmp_path):
    pytest.importorskip("cryptography")
    authority = Authority(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)

    async def scene(loop: Any, clock: RealClock, ledger: SqliteLedger) -> None:
        world = world_of(gateway("smpp", quick=True), epoch=clock.now())
        tls = authority.server(trusted=trusted)
        serving = await serve(world, clock=clock.now, inbox_url="http://127.0.0.1:9", tls=tls)
        assert serving.addresses["smpp"].startswith("tls://")
        port = serving.addresses["smpp"].rpartition(":")[2]
        ca = str(tmp_path / "ca.pem")
        stand = Stand(world, "smpp", clock, ledger, Sockets(), host="127.0.0.1", port=port, tls="on", tls_ca=ca)
        await stand.links.start()
        try:
            if trusted:
                carried = await stand.links.carry(stand.message(1))
                assert isinstance(carried.result, Accepted)
            else:
                while not any(isinstance(fact.body, CallFailed) for fact in ledger.facts()):
                    await asyncio.sleep(0.02)
                assert world.sendings == [] and world.gateways["smpp"].connections == []
        finally:
            await stand.links.leave()
            await serving.close()

    for_real(tmp_path, scene)


class Flood(asyncio.Protocol):
    """A gateway that lets in, and then writes what it was told to, whatever is read of it."""

    def __init__(self, packets: bytes, *, reads: bool) -> None:
        self.packets, self.reads, self.acknowledged = packets, reads, 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        at = 0
        while len(data) - at >= 16:
            size, command = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")
            self.acknowledged += command == 0x80000005
            if command == 9:
                self.transport.write(smpp.SMPP.encode(smpp.SMPP.pdus[0x80000009], _sequence(data), {}))
                self.transport.write(self.packets)
                if not self.reads:
                    self.transport.pause_reading()
            at += size


def _sequence(data: bytes) -> int:
    return int.from_bytes(data[12:16], "big")


def _reports(count: int) -> bytes:
    centre = smpp.Gateway(secrets={}, numbers=smpp.numbers(0))
    packets = []
    for number in range(count):
        pdu, values = centre.report(
            message_id=b"%06x" % number,
            stat="DELIVRD",
            number="8613800001234",
            sender="1069",
            submitted_at=NOON,
            done_at=NOON,
        )
        packets.append(smpp.SMPP.encode(pdu, number + 1, values))
    return b"".join(packets)


@pytest.mark.parametrize("reads", [True, False])
def test_ten_thousand_reports_at_once_are_kept_and_memory_is_bounded_even_if_nobody_reads_our_answers(reads, tmp_path):
    async def scene(loop: Any, clock: RealClock, ledger: SqliteLedger) -> None:
        flood = Flood(_reports(10_000), reads=reads)
        server = await loop.create_server(lambda: flood, "127.0.0.1", 0)
        world = world_of(gateway("smpp", quick=True), epoch=clock.now())
        port = str(server.sockets[0].getsockname()[1])
        stand = Stand(world, "smpp", clock, ledger, Sockets(), host="127.0.0.1", port=port)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        most = 0
        await stand.links.start()
        kept = 0
        deadline = loop.time() + 8
        while kept < 10_000 and loop.time() < deadline:
            await asyncio.sleep(0.05)
            most = max(most, len(stand.links._kept))
            kept = ledger.count().get("report_received", 0)
        assert kept == 10_000
        while reads and flood.acknowledged < 10_000:
            await asyncio.sleep(0.02)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert most <= 4_000 and grown < 80, (most, grown)
        flood.transport.abort()
        await stand.links.leave()
        server.close()

    for_real(tmp_path, scene)


def test_a_gateway_of_cmpp_3_0_takes_a_customer_of_2_0():
    async def scene(stand: Stand) -> None:
        carried = await stand.links.carry(stand.message(1))
        assert isinstance(carried.result, Accepted)

    virtually(scene, "cmpp3", version="2.0")
