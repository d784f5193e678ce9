"""Other people's software at the other end of a real connection. Skipped by name where it is not installed.

node-smpp is found by `node` (NODE_PATH), Kannel by `bearerbox` and `smsbox`, Wireshark's dissectors by `tshark`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from harness.capabilities import (
    Account,
    Acknowledgement,
    Credential,
    Document,
    Manifest,
    Pace,
    Push,
    PushRequest,
    Standing,
    Tools,
)
from harness.clock import RealClock
from harness.domain import Accepted, DeliveryState, Message, Outcome, Reason, Refused, Secret, StatusReport
from harness.facts import CasePlanned, ReportReceived, SubmitAnswered
from harness.flow import Flow
from harness.ledger.sqlite import SqliteLedger
from harness.matching import Matcher
from harness.run.inbox import Inbox, People
from harness.run.lines import Line, Redactor
from harness.run.links import Sockets
from harness.run.wire import Wire
from tests.harness.given import case, draft, fact
from tests.harness.test_links import SIGNATURE, Stand, free_port, world_of
from tests.simulation.carriers import gateway
from tests.vendors.carrier.links import NOON, NUMBER, SENDER, part
from vendors.carrier import cmpp, smpp
from vendors.carrier.short_text import Alphabet, split_text
from vendors.sandbox.server import serve

PATIENCE = 30.0


def needs_node_smpp() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    found = subprocess.run(["node", "-e", "require('smpp')"], capture_output=True, check=False, timeout=PATIENCE)
    if found.returncode:
        pytest.skip("node-smpp is not installed")


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, PATIENCE))


class Program:
    """A program of a peer's, ended with the block. `lines`: what it prints, line by line."""

    def __init__(self, *command: str) -> None:
        self._command = command

    async def __aenter__(self) -> Program:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()  # reads to the end, so that nothing is left open

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()


async def until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return


# --- node-smpp -------------------------------------------------------------------------------------------------------

NODE_SERVER = """
const smpp = require('smpp'), port = Number(process.argv[1]);
let serial = 0x5a0000;
const server = smpp.createServer((session) => {
  session.on('error', () => {});
  session.on('bind_transceiver', (pdu) => session.send(pdu.response({ system_id: 'node' })));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => { session.send(pdu.response()); session.close(); });
  session.on('submit_sm', (pdu) => {
    const id = ++serial;
    console.log(JSON.stringify({ to: pdu.destination_addr, text: pdu.short_message.message }));
    session.send(pdu.response({ message_id: id.toString(16) }));
    session.deliver_sm({
      esm_class: 4, source_addr: pdu.destination_addr, destination_addr: pdu.source_addr,
      short_message: `id:${String(id).padStart(10, '0')} sub:001 dlvrd:001 submit date:2603021200 ` +
        'done date:2603021200 stat:DELIVRD err:000 text:',
    }, () => {});
  });
});
server.listen(port, '127.0.0.1', () => console.log('ready'));
"""


def test_node_smpp_as_server_takes_our_submits_and_its_decimal_receipts_find_their_messages(tmp_path):
    needs_node_smpp()
    port = free_port()

    async def scene() -> None:
        clock = RealClock()
        ledger = SqliteLedger(tmp_path / "ledger.db", run_id="peer", durable=False, salt=b"0" * 32)
        async with Program("node", "-e", NODE_SERVER, str(port)) as node:
            assert (await node.line()).strip() == "ready"
            world = world_of(gateway("smpp"), epoch=clock.now())  # its people only
            stand = Stand(world, "smpp", clock, ledger, Sockets(), host="127.0.0.1", port=str(port))
            await stand.links.start()
            messages = [stand.message(number) for number in range(7)]
            carried = await asyncio.gather(*(stand.links.carry(one) for one in messages))
            outcomes = [one.result for one in carried]
            assert all(isinstance(one, Accepted) for one in outcomes)
            read = [json.loads(await node.line()) for _ in messages]
            assert sorted(one["text"] for one in read) == sorted(one.text for one in messages)
            while len(stand.reports()) < 7:
                await asyncio.sleep(0.02)
            await stand.links.leave()
            check_matched(messages, outcomes, ledger)
        await ledger.close()

    play(scene())


def check_matched(messages: list[Any], outcomes: list[Any], ledger: SqliteLedger) -> None:
    matcher = Matcher()
    for number, (message, outcome) in enumerate(zip(messages, outcomes, strict=True)):
        planned = case(f"c{number}", "smpp", drafts=(draft(reference=f"s{number}"),), recipient=message.to.id)
        matcher.learn(fact(CasePlanned(case=planned), planned.id))
        matcher.learn(fact(SubmitAnswered(leg=0, outcome=outcome, call=None), planned.id))
    reports = [one for one in ledger.facts() if isinstance(one.body, ReportReceived)]
    assert {where for one in reports for where, _ in matcher.route(one)} == {f"c{number}" for number in range(7)}
    assert not matcher.orphans


NODE_CLIENT = """
const smpp = require('smpp'), [port, to, text] = process.argv.slice(1);
const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` }, () => {
  session.bind_transceiver({ system_id: 'esme1', password: 'canary-smpp' }, (bound) => {
    console.log(JSON.stringify({ bound: bound.command_status }));
    session.submit_sm({ destination_addr: to, source_addr: '1069', registered_delivery: 1,
      data_coding: 8, short_message: { message: Buffer.from(text, 'utf16le').swap16() } }, (pdu) => {
      console.log(JSON.stringify({ status: pdu.command_status, id: pdu.message_id }));
    });
  });
});
session.on('error', () => {});
session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  console.log(JSON.stringify({ receipt: pdu.short_message.message.toString(), id: pdu.receipted_message_id }));
});
"""


def test_node_smpp_as_client_submits_to_our_gateway_and_gets_its_report():
    needs_node_smpp()

    async def scene() -> None:
        clock = RealClock()
        world = world_of(gateway("smpp", quick=True).replace("arrival: 0.95", "arrival: 1"), epoch=clock.now())
        serving = await serve(world, clock=clock.now, inbox_url="http://127.0.0.1:9")
        port = serving.addresses["smpp"].rpartition(":")[2]
        person = next(iter(world.people.values()))
        text = f"【{SIGNATURE}】来自节点的问候"
        async with Program("node", "-e", NODE_CLIENT, port, person.number[1:], text) as node:
            assert json.loads(await node.line()) == {"bound": 0}
            answer = json.loads(await node.line())
            receipt = json.loads(await node.line())
        assert answer["status"] == 0 and receipt["receipt"].startswith(f"id:{answer['id']} ")
        assert "stat:DELIVRD" in receipt["receipt"]
        (sending,) = world.sendings
        assert (sending.text, sending.number) == (text, person.number)
        while sending.handed_over_at is None:
            await asyncio.sleep(0.02)
        await serving.close()

    play(scene())


# --- Kannel ----------------------------------------------------------------------------------------------------------


def kannel_files(folder: Path, smsc: str) -> tuple[Path, int]:
    """A configuration, and the port at which messages are handed in."""
    admin, box, sending = free_port(), free_port(), free_port()
    path = folder / "kannel.conf"
    path.write_text(
        f"""group = core
admin-port = {admin}
admin-password = bar
smsbox-port = {box}
box-allow-ip = 127.0.0.1
dlr-storage = internal

{smsc}
group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sending}

group = sendsms-user
username = tester
password = foobar
max-messages = 10
concatenation = true

group = sms-service
keyword = default
max-messages = 0
text = "x"
""",
        encoding="utf-8",
    )
    return path, sending


class Callbacks:
    """What Kannel calls, one query a call."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self) -> tuple[asyncio.Server, str]:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heard.put_nowait(urlsplit(head.split(b" ")[1].decode()).query)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/dlr"


async def ask(port: int, path: str) -> str:
    """One GET, by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode("latin-1")


def test_kannel_as_smpp_client_submits_a_long_message_to_our_gateway_and_hears_of_every_part(tmp_path):
    needs("bearerbox", "smsbox")

    async def scene() -> None:
        clock = RealClock()
        truth = gateway("smpp", quick=True).replace("arrival: 0.95", "arrival: 1")
        # Kannel keeps to the standard's eight characters of a password, and cuts a longer one without a word.
        world = world_of(truth.replace("canary-smpp", "kangaroo"), epoch=clock.now())
        serving = await serve(world, clock=clock.now, inbox_url="http://127.0.0.1:9")
        port = serving.addresses["smpp"].rpartition(":")[2]
        smsc = (
            f"group = smsc\nsmsc = smpp\nhost = 127.0.0.1\nport = {port}\ntransceiver-mode = true\n"
            'smsc-username = esme1\nsmsc-password = kangaroo\nsystem-type = ""\n'
        )
        path, sending = kannel_files(tmp_path, smsc)
        calls = Callbacks()
        server, url = await calls.serve()
        person = next(iter(world.people.values()))
        text = f"【{SIGNATURE}】" + "来自袋鼠的一条长短信。" * 10
        async with Program("bearerbox", "-v", "4", str(path)):
            await until_open(int(path.read_text().split("smsbox-port = ")[1].split()[0]))
            async with Program("smsbox", "-v", "4", str(path)):
                await until_open(sending)
                while not world.gateways["smpp"].connections:
                    await asyncio.sleep(0.05)
                query = (
                    f"/cgi-bin/sendsms?username=tester&password=foobar&from=1069&to={quote(person.number)}&coding=2"
                    f"&charset=UTF-8&text={quote(text)}&dlr-mask=3&dlr-url={quote(url + '?state=%d')}"
                )
                assert "202" in (await ask(sending, query)).splitlines()[0]
                heard = [await calls.heard.get()]
                (one,) = world.sendings
                while one.handed_over_at is None:
                    await asyncio.sleep(0.02)
        assert (one.text, one.number) == (text, person.number)
        assert heard == ["state=1"]
        server.close()
        await serving.close()

    play(scene())


class KannelVendor:
    """Kannel's own HTTP interface, as far as this test needs it."""

    manifest = Manifest(
        id="kannel",
        name={"zh-CN": "Kannel", "en": "Kannel"},
        credentials=(Credential("password", secret=True),),
        documents=(Document("Kannel 1.4.5 User's Guide", NOON.date()),),
        absent={},
        standing=Standing.DOCUMENTED,
        endpoint=None,
        pace=Pace(per_second=50.0),
        by_template=False,
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account = account

    def submit(self, message: Message) -> Flow[Outcome]:
        query = {
            "username": "tester",
            "password": self._account.secret("password"),
            "from": "1069",
            "to": message.to.number,
            "coding": "2",
            "charset": "UTF-8",
            "text": message.text,
            "dlr-mask": "3",
            "dlr-url": f"{self._account.push_url}/reports?id={message.reference}&state=%d&to=%p",
        }
        reply = yield httpx.Request("GET", f"{self._account.endpoint}/cgi-bin/sendsms", params=query)
        if reply.status_code != 202:
            return Refused(reason=Reason.UNMAPPED, code=str(reply.status_code), detail=reply.text[:80])
        return Accepted(vendor_message_id=message.reference)

    def read_push(self, request: PushRequest) -> Push:
        told = dict(parse_qsl(request.query))
        delivered = told["state"] == "1"
        report = StatusReport(
            vendor_message_id=told["id"],
            state=DeliveryState.DELIVERED if delivered else DeliveryState.UNDELIVERED,
            reason=None if delivered else Reason.UNMAPPED,
            code=told["state"],
            number=told["to"].strip(),
        )
        return Push(acknowledgement=Acknowledgement(), reports=(report,))


def test_kannel_as_http_vendor_over_its_fakesmsc_calls_our_inbox_with_every_report(tmp_path):
    needs("bearerbox", "smsbox", "fakesmsc")

    async def scene() -> None:
        clock, smsc = RealClock(), free_port()
        path, sending = kannel_files(
            tmp_path, f"group = smsc\nsmsc = fake\nsmsc-id = fake\nport = {smsc}\nconnect-allow-ip = 127.0.0.1\n"
        )
        ledger = SqliteLedger(tmp_path / "ledger.db", run_id="peer", durable=False, salt=b"0" * 32)
        stand = Stand(world_of(gateway("smpp")), "smpp", clock, ledger, Sockets())  # its people and messages only
        calls = Callbacks()
        server, url = await calls.serve()
        account = Account(
            label="kannel",
            credentials={"password": Secret("foobar")},
            endpoint=f"http://127.0.0.1:{sending}",
            push_url=url.replace("/dlr", "/push/kannel"),
        )
        vendor = KannelVendor(account, Tools(now=clock.now, nonce=lambda: "0" * 32))
        people = People(stand.people)
        inbox = Inbox(ledger, clock, vendors={"kannel": vendor}, forwarders={}, people=people, redactor=Redactor())
        async with Program("bearerbox", "-v", "4", str(path)):
            await until_open(int(path.read_text().split("smsbox-port = ")[1].split()[0]))
            async with Program("fakesmsc", "-r", str(smsc), "-m", "0", "x"), Program("smsbox", "-v", "4", str(path)):
                await until_open(sending)
                wire = Wire()
                line = Line(wire, clock, Redactor(secrets=["foobar"]), per_second=50.0)
                messages = [stand.message(number) for number in range(5)]
                carried = [await line.carry(lambda one=one: vendor.submit(one)) for one in messages]
                assert all(isinstance(one.result, Accepted) for one in carried), [one.trouble for one in carried]
                for _ in messages:
                    query = await calls.heard.get()
                    request = PushRequest(
                        method="GET",
                        path="/push/kannel/reports",
                        query=query,
                        headers={},
                        body=b"",
                        received_at=clock.now(),
                    )
                    assert (await inbox.post(request)).status == 200
                await wire.aclose()
        reports = stand.reports()
        assert {one.vendor_message_id for one in reports} == {one.reference for one in messages}
        assert {one.recipient for one in reports} == {one.to.id for one in messages}
        assert {one.state for one in reports} == {DeliveryState.DELIVERED}
        server.close()
        await ledger.close()

    play(scene())


# --- Wireshark's dissectors ------------------------------------------------------------------------------------------


def capture(packets: list[bytes], port: int) -> bytes:
    """A capture file (libpcap, raw IP) with one TCP segment a packet, to a port."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    sequence = 1
    for number, packet in enumerate(packets):
        tcp = struct.pack(">HHIIBBHHH", 40000, port, sequence, 1, 5 << 4, 0x18, 65535, 0, 0)
        total = 20 + len(tcp) + len(packet)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, number, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
        frame = ip + tcp + packet
        out.append(struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame)
        sequence += len(packet)
    return b"".join(out)


def dissected(packets: list[bytes], port: int, protocol: str, tmp_path: Path) -> str:
    """What tshark makes of some packets, in full."""
    path = tmp_path / "packets.pcap"
    path.write_bytes(capture(packets, port))
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = ["tshark", "-r", str(path), "-d", f"tcp.port=={port},{protocol}", "-V", "-o", "tcp.check_checksum:FALSE"]
    found = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=PATIENCE)
    return found.stdout.decode("utf-8", "replace")


LONG = split_text("这是一条长短信。" * 20, Alphabet.UCS2, reference=7)


def test_tshark_reads_our_cmpp_3_0_packets_without_a_malformed_mark(tmp_path):
    needs("tshark")
    client = cmpp.Client(account="901234", secret="abc", now=lambda: NOON, numbers=cmpp.numbers(0))
    centre = cmpp.Gateway(secrets={}, numbers=cmpp.numbers(0))
    report = centre.report(
        message_id=b"\x01" * 8, stat="DELIVRD", number=NUMBER, sender=SENDER, submitted_at=NOON, done_at=NOON
    )
    asked = [client.login(), *(client.submit(one, sender=SENDER, number=NUMBER) for one in (part(), *LONG)), report]
    packets = [cmpp.CMPP3.encode(pdu, number, values) for number, (pdu, values) in enumerate(asked, 1)]
    packets += [cmpp.CMPP3.encode(pdu, 9, {}) for pdu in (cmpp.ACTIVE_TEST, cmpp.TERMINATE)]
    packets.append(cmpp.CMPP3.encode(cmpp.CMPP3.pdus[0x80000004], 2, {"msg_id": b"\x01" * 8, "result": 0}))
    told = dissected(packets, 7890, "cmpp", tmp_path)
    assert told.count("China Mobile Point to Point Protocol") >= len(packets)
    assert "alformed" not in told
    assert SENDER in told and NUMBER in told


def test_tshark_reads_our_smpp_packets_without_a_malformed_mark(tmp_path):
    needs("tshark")
    client = smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0))
    centre = smpp.Gateway(secrets={}, numbers=smpp.numbers(0))
    report = centre.report(
        message_id=b"0A1B", stat="DELIVRD", number=NUMBER, sender=SENDER, submitted_at=NOON, done_at=NOON
    )
    asked = [client.login(), *(client.submit(one, sender=SENDER, number=NUMBER) for one in (part(), *LONG)), report]
    packets = [smpp.SMPP.encode(pdu, number, values) for number, (pdu, values) in enumerate(asked, 1)]
    packets += [smpp.SMPP.encode(pdu, 9, {}) for pdu in (smpp.ENQUIRE_LINK, smpp.UNBIND)]
    packets.append(smpp.SMPP.encode(smpp.SUBMIT_SM_RESP, 2, {"message_id": b"0A1B"}))
    told = dissected(packets, 2775, "smpp", tmp_path)
    assert told.count("Short Message Peer to Peer") >= len(packets)
    assert "alformed" not in told
    assert SENDER in told and NUMBER in told
