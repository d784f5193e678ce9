"""Other people's SMPP reads our bytes, and we read theirs. Each test is skipped where its peer is not installed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vendors.carrier.links import NOON, NUMBER, SENDER, part
from vendors.carrier import smpp
from vendors.carrier.reports import CarrierReport
from vendors.carrier.session import Answered, Event, LoggedIn, Received, Session, Submission

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
small = st.integers(0, 255)
SUBMITS = st.fixed_dictionaries(
    {
        "source_addr": printable,
        "destination_addr": printable,
        "source_addr_ton": small,
        "source_addr_npi": small,
        "dest_addr_ton": small,
        "dest_addr_npi": small,
        "esm_class": st.sampled_from((0, 0x04, 0x40)),
        "protocol_id": small,
        "priority_flag": small,
        "registered_delivery": small,
        "replace_if_present_flag": small,
        "data_coding": st.sampled_from((0, 1, 3, 8)),
        "sm_default_msg_id": small,
        "short_message": st.binary(max_size=254),
    }
)
TEXTS = ("source_addr", "destination_addr")


def in_bytes(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.encode() if isinstance(value, str) else value for name, value in values.items()}


# --- smpp34 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pdu, kind", [(smpp.SUBMIT_SM, "SubmitSm"), (smpp.DELIVER_SM, "DeliverSm")])
@settings(max_examples=60)
@given(values=SUBMITS, sequence=st.integers(1, 2**31 - 1), tlv=st.binary(max_size=30))
def test_smpp34_reads_and_writes_the_same_bytes(pdu, kind, values, sequence, tlv):
    peer = pytest.importorskip("smpp34")
    theirs = getattr(peer, kind)(**values, tlvs=[peer.Tlv(0x1400, tlv)], sequence_number=sequence)
    ours = smpp.SMPP.encode(pdu, sequence, {**in_bytes(values), "tlvs": ((0x1400, tlv),)})
    assert theirs.encode() == ours
    packet = smpp.SMPP.decode(theirs.encode(), strict=True)
    assert {name: getattr(packet.values, name) for name in values} == in_bytes(values)
    read = peer.decode(ours)
    assert {name: getattr(read, name) for name in values} == values
    assert [(each.tag, each.value) for each in read.tlvs] == [(0x1400, tlv)]


class _Carried(asyncio.Protocol):
    """A session on a loopback socket; `on_event` decides what to do with what it says."""

    def __init__(self, session: Session, on_event: Any) -> None:
        self.session, self.on_event = session, on_event

    def connection_made(self, transport: Any) -> None:
        self.transport, self.loop = transport, asyncio.get_running_loop()
        self.session.begin(self.loop.time())
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.tell(self.session.feed(data, self.loop.time()))

    def connection_lost(self, error: Exception | None) -> None:
        self.tell(self.session.lost("closed"))

    def tell(self, events: list[Event]) -> None:
        for event in events:
            self.on_event(self, event)
        self.flush()

    def flush(self) -> None:
        if out := self.session.bytes_to_send():
            self.transport.write(out)


def test_smpp34_submits_to_our_gateway_and_takes_its_receipts():
    peer = pytest.importorskip("smpp34")
    gateway = smpp.Gateway(secrets={"esme1": "secret"}, numbers=smpp.numbers(0))
    taken: list[Submission] = []
    answers: list[Answered] = []

    def on_event(link: _Carried, event: Event) -> None:
        if isinstance(event, Received) and isinstance(event.content, Submission):
            taken.append(event.content)
            link.session.acknowledge(event, message_id=b"0A1B", code=0x58 if len(taken) == 2 else 0)
            receipt = gateway.report(
                message_id=b"0A1B", stat="DELIVRD", number=NUMBER, sender=SENDER, submitted_at=NOON, done_at=NOON
            )
            link.session.request("r", *receipt, link.loop.time())
        elif isinstance(event, Answered):
            answers.append(event)

    carried: list[_Carried] = []

    def accepted() -> _Carried:
        carried.append(_Carried(Session(gateway, smpp.TIMINGS), on_event))
        return carried[-1]

    async def talk() -> None:
        server = await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            smsc = await peer.Client(host, port, "esme1", "secret").connect()
            more = {"source_addr": SENDER, "data_coding": 8, "registered_delivery": 1}
            response = await smsc.submit_sm(NUMBER, "你好".encode("utf-16-be"), **more)
            assert (response.command_status, response.message_id) == (0, "0A1B")
            receipt = await smsc.next()
            assert receipt.esm_class == 0x04 and b"stat:DELIVRD" in receipt.short_message
            assert {each.tag: each.as_string() for each in receipt.tlvs}[0x001E] == "0A1B"
            refused = await smsc.submit_sm(NUMBER, b"hi", source_addr=SENDER)
            assert refused.command_status == smpp.RTHROTTLED
            await smsc.unbind()
            for one in carried:
                one.transport.close()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(talk(), 20))
    assert taken[0].text == "你好" and taken[0].numbers == (NUMBER,)
    assert answers and answers[0].reason is None


def test_our_client_submits_to_smpp34s_server_and_reads_its_receipt():
    peer = pytest.importorskip("smpp34")
    client = smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0))
    heard: list[Event] = []

    async def serve(server: Any) -> None:
        esme = await server.next()
        event = await server.next()
        assert event.short_message == "你好".encode("utf-16-be")
        event.accept("0A1B")
        text = b"id:0000002587 sub:001 dlvrd:001 submit date:2603021200 done date:2603021200 stat:DELIVRD err:000 text:"
        await esme.deliver_sm(SENDER, text, source_addr=NUMBER, esm_class=4)

    async def talk() -> None:
        done = asyncio.Event()

        def on_event(link: _Carried, event: Event) -> None:
            heard.append(event)
            if isinstance(event, LoggedIn):
                link.session.request("x", *client.submit(part(), sender=SENDER, number=NUMBER), link.loop.time())
            if isinstance(event, Received):
                link.session.acknowledge(event)
                done.set()

        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = peer.Server("127.0.0.1", port)
        await server.start()
        serving = asyncio.ensure_future(serve(server))
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: _Carried(Session(client, smpp.TIMINGS), on_event), "127.0.0.1", port
        )
        await done.wait()
        await serving
        transport.close()
        await server.stop()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(talk(), 20))
    answered = next(event for event in heard if isinstance(event, Answered))
    assert (answered.ticket, answered.message_id, answered.reason) == ("x", b"0A1B", None)
    received = next(event for event in heard if isinstance(event, Received))
    assert isinstance(received.content, CarrierReport) and received.content.stat == "DELIVRD"


# --- smpplib ---------------------------------------------------------------------------------------------------------


class _Numbering:
    """What smpplib asks of a client when it builds or reads a PDU."""

    sequence = 7

    def next_sequence(self) -> int:
        return 7


@pytest.mark.parametrize("name, pdu", [("submit_sm", smpp.SUBMIT_SM), ("deliver_sm", smpp.DELIVER_SM)])
@settings(max_examples=60)
@given(values=SUBMITS.filter(lambda values: values["short_message"]))
def test_smpplib_reads_and_writes_the_same_bytes(name, pdu, values):
    peer = pytest.importorskip("smpplib.smpp")
    client = _Numbering()
    theirs = peer.make_pdu(name, client=client, sequence=7, **values)
    ours = smpp.SMPP.encode(pdu, 7, in_bytes(values))
    assert theirs.generate() == ours
    read = peer.parse_pdu(ours, client=client)
    assert (read.sequence, read.short_message) == (7, values["short_message"])
    for text in TEXTS:
        assert (getattr(read, text) or b"").rstrip(b"\0") == values[text].encode()
    assert read.data_coding == values["data_coding"]


@pytest.mark.parametrize("name", ["bind_transceiver", "bind_transmitter", "bind_receiver"])
def test_smpplib_logs_in_with_the_same_bytes(name):
    peer = pytest.importorskip("smpplib.smpp")
    mode: Any = name.removeprefix("bind_")
    client = smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0), mode=mode)
    theirs = peer.make_pdu(name, client=_Numbering(), sequence=7, system_id="esme1", password="secret")
    packet = smpp.SMPP.decode(theirs.generate())
    pdu, values = client.login()
    assert packet.pdu is pdu
    assert (packet.values.system_id, packet.values.password) == (values["system_id"], values["password"])
    read = peer.parse_pdu(smpp.SMPP.encode(pdu, 7, values), client=_Numbering())
    assert read.system_id.rstrip(b"\0") == b"esme1"


@pytest.mark.parametrize("status", [0, 0x58])
def test_smpplib_reads_our_answers(status):
    peer = pytest.importorskip("smpplib.smpp")
    raw = smpp.SMPP.encode(smpp.SUBMIT_SM_RESP, 7, {} if status else {"message_id": b"0A1B"}, status=status)
    read = peer.parse_pdu(raw, client=_Numbering())
    assert (read.command, read.status, read.sequence) == ("submit_sm_resp", status, 7)
    if not status:
        assert read.message_id.rstrip(b"\0") == b"0A1B"
