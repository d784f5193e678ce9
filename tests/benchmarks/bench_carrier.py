"""Holds the carriers' codecs and a session against smpplib, smpp34 and node-smpp, in one run on one machine.

`python -m tests.benchmarks.bench_carrier` prints Markdown tables in about half a minute. Read the ratios, not the
absolutes; with reports, only ours keeps them before it acknowledges them. A peer that is not installed is left out.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vendors.carrier import cmpp, smpp
from vendors.carrier.pdus import Packet
from vendors.carrier.session import Answered, LoggedIn, Received, Session, Timings
from vendors.carrier.short_text import Alphabet, split_text

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

NEW_LOOP: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop if uvloop else asyncio.new_event_loop
TEXT = "【某科技】您的验证码是123456，五分钟内有效。"
NUMBER, SENDER = "8613800001234", "1069000012"
(PART,) = split_text(TEXT, Alphabet.UCS2, reference=0)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def _peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


SMPP34, SMPPLIB = _peer("smpp34"), _peer("smpplib.smpp")


# --- codecs: one submit written, and read with five of its fields ----------------------------------------------------


def _ours() -> Callable[[], Any]:
    client = smpp.Client(account="a", secret="b", numbers=smpp.numbers(0))
    pdu, values = client.submit(PART, sender=SENDER, number=NUMBER)
    encode, decode = smpp.SMPP.encode, smpp.SMPP.decode

    def both() -> Any:
        read = decode(encode(pdu, 7, values)).values
        return (
            read.source_addr,
            read.destination_addr,
            read.short_message,
            read.data_coding,
            read.esm_class,
        )

    return both


def _cmpp(version: int) -> Callable[[], Any]:
    client = cmpp.Client(account="901234", secret="b", now=lambda: NOON, numbers=cmpp.numbers(0), version=version)
    pdu, values = client.submit(PART, sender=SENDER, number=NUMBER)
    encode, decode = client.codec.encode, client.codec.decode

    def both() -> Any:
        read = decode(encode(pdu, 7, values)).values
        return read.src_id, read.dest_terminal_id, read.msg_content, read.msg_fmt, read.tp_udhi

    return both


def _smpp34() -> Callable[[], Any]:
    build, decode = SMPP34.SubmitSm, SMPP34.decode

    def both() -> Any:
        raw = build(
            SENDER,
            NUMBER,
            PART.body,
            source_addr_npi=1,
            dest_addr_ton=1,
            dest_addr_npi=1,
            registered_delivery=1,
            data_coding=8,
            sequence_number=7,
        ).encode()
        read = decode(raw)
        return read.source_addr, read.destination_addr, read.short_message, read.data_coding, read.esm_class

    return both


class _Numbering:
    sequence = 7

    def next_sequence(self) -> int:
        return 7


def _smpplib() -> Callable[[], Any]:
    client = _Numbering()

    def both() -> Any:
        raw = SMPPLIB.make_pdu(
            "submit_sm",
            client=client,
            sequence=7,
            source_addr=SENDER,
            source_addr_npi=1,
            destination_addr=NUMBER,
            dest_addr_ton=1,
            dest_addr_npi=1,
            registered_delivery=1,
            data_coding=8,
            esm_class=0,
            short_message=PART.body,
        ).generate()
        read = SMPPLIB.parse_pdu(raw, client=client)
        return read.source_addr, read.destination_addr, read.short_message, read.data_coding, read.esm_class

    return both


def codecs(rounds: int = 15) -> dict[str, float]:
    """Submits written and read a second of CPU, by codec: the best of interleaved rounds, least disturbed by others."""
    contestants = {"ours, SMPP": _ours(), "ours, CMPP 2.0": _cmpp(cmpp.V2), "ours, CMPP 3.0": _cmpp(cmpp.V3)}
    if SMPP34:
        contestants["smpp34"] = _smpp34()
    if SMPPLIB:
        contestants["smpplib"] = _smpplib()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    gc.disable()
    for _ in range(rounds):
        for name, both in contestants.items():
            count = 500 if name == "smpplib" else 5000
            begin = time.process_time()
            for _ in range(count):
                both()
            taken[name].append(count / (time.process_time() - begin))
    gc.enable()
    return {name: max(rates) for name, rates in taken.items()}


# --- sessions: against one server in a process of its own ------------------------------------------------------------

_HEAD = struct.Struct(">IIII")
# smpp34 leaves Nagle's algorithm on: behind its acknowledgements, which nothing answers, its submits wait 40 ms for a
# delayed ACK, and a second brings 16 × 23 of them. A server that acknowledges at once shows the client's own speed.
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_RECEIPT = smpp.Gateway(secrets={}, numbers=smpp.numbers(0)).report(
    message_id=b"0A1B", stat="DELIVRD", number=NUMBER, sender=SENDER, submitted_at=NOON, done_at=NOON
)


class _Centre(asyncio.Protocol):
    """Answers every submit at once, by bare struct; and hands over a receipt for each, if asked at login."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.rest, self.receipts, self.serial = transport, b"", False, 0
        self.receipt = smpp.SMPP.encode(_RECEIPT[0], 0, _RECEIPT[1])[16:]
        self.socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        if self.receipts and _QUICK_ACK is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)  # holds for a while only
        data = self.rest + data
        at, out = 0, []
        while len(data) - at >= 16:
            length, command, _, sequence = _HEAD.unpack_from(data, at)
            if len(data) - at < length:
                break
            if command == 4:
                out.append(_HEAD.pack(21, 0x80000004, 0, sequence) + b"0A1B\0")
                if self.receipts:
                    self.serial += 1
                    out.append(_HEAD.pack(16 + len(self.receipt), 5, 0, self.serial) + self.receipt)
            elif command == 9:
                self.receipts = data[at + 16 : at + 24] == b"receipts"
                out.append(_HEAD.pack(20, 0x80000009, 0, sequence) + b"SIM\0")
            elif command in (0x15, 6):
                out.append(_HEAD.pack(16, command | 0x80000000, 0, sequence))
            at += length
        self.rest = data[at:]
        self.transport.write(b"".join(out))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Centre, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)


class _Sender(asyncio.Protocol):
    """Our session on a socket: keeps the window full until `count` are answered; commits before it acknowledges."""

    def __init__(self, session: Session, client: smpp.Client, count: int, ledger: Any) -> None:
        self.session, self.client, self.count, self.ledger = session, client, count, ledger
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.sent = self.answered = 0
        self.kept: list[Received] = []
        self.acknowledged = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.session.begin(self.loop.time())
        transport.write(self.session.bytes_to_send())

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        for event in self.session.feed(data, now):
            if type(event) is Answered:
                self.answered += 1
                self.submit(now)
            elif type(event) is Received:
                if not self.kept:
                    self.loop.call_later(0.002, self.commit)
                self.kept.append(event)
                if self.session.is_half_full:
                    self.transport.pause_reading()
            elif isinstance(event, LoggedIn):
                self.began = time.perf_counter()
                for _ in range(self.session._timings.window):
                    self.submit(now)
        self.flush()

    def submit(self, now: float) -> None:
        if self.sent < self.count:
            self.sent += 1
            pdu, values = self.client.submit(PART, sender=SENDER, number=NUMBER)
            self.session.request(self.sent, pdu, values, now)

    def commit(self) -> None:
        """A group commit in a thread, as the ledger's: all that came since the last one, with one sync of the disk."""
        group, self.kept = self.kept, []
        durable = self.loop.run_in_executor(None, _keep, self.ledger, [event.packet for event in group])
        durable.add_done_callback(lambda _: self.acknowledge(group))

    def acknowledge(self, group: list[Received]) -> None:
        for event in group:
            self.session.acknowledge(event)
        self.acknowledged += len(group)
        self.transport.resume_reading()
        self.flush()

    def flush(self) -> None:
        if out := self.session.bytes_to_send():
            self.transport.write(out)
        if self.answered == self.count and not self.done.done() and self.acknowledged in (0, self.count):
            self.took = time.perf_counter() - self.began
            self.done.set_result(None)


def _keep(ledger: int, packets: list[Packet]) -> None:
    os.write(ledger, b"".join([packet.values.short_message for packet in packets]))
    os.fdatasync(ledger)


async def _run_ours(port: int, window: int, count: int, *, receipts: bool) -> float:
    account = "receipts" if receipts else "plain"
    client = smpp.Client(account=account, secret="b", numbers=smpp.numbers(0))
    session = Session(client, Timings(window=window, answer=30.0))
    with tempfile.NamedTemporaryFile() as ledger:
        sender = _Sender(session, client, count, ledger.fileno())
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: sender, "127.0.0.1", port)
        await sender.done
        transport.close()
    return count / sender.took


async def _run_smpp34(port: int, window: int, count: int, *, receipts: bool) -> float:
    """With reports as well; but its core acknowledges them before anybody has read them, let alone kept them."""
    account = "receipts" if receipts else "plain"
    client = SMPP34.Client("127.0.0.1", port, account, "b", window_size=window, inbound_capacity=count)
    smsc = await client.connect()
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await smsc.submit_sm(NUMBER, PART.body, source_addr=SENDER, data_coding=8, registered_delivery=1)

    async def reader() -> None:
        for _ in range(count if receipts else 0):
            report = await smsc.next()
            assert report.short_message.startswith(b"id:")

    begin = time.perf_counter()
    await asyncio.gather(reader(), *(worker() for _ in range(window)))
    took = time.perf_counter() - begin
    await smsc.unbind()
    return count / took


_NODE = """
const smpp = require('smpp');
const [port, window_, count, account, sender, number, body] = process.argv.slice(1);
const message = Buffer.from(body, 'hex');
const session = smpp.connect({host: '127.0.0.1', port: +port, noDelay: true});
let sent = 0, answered = 0, reported = 0, began;
const over = () => {
  if (answered == count && (account == 'plain' || reported == count)) {
    console.log(count / (Number(process.hrtime.bigint() - began) / 1e9));
    process.exit(0);
  }
};
const submit = () => {
  if (sent >= count) return;
  sent++;
  session.submit_sm({source_addr: sender, source_addr_npi: 1, destination_addr: number, dest_addr_ton: 1,
    dest_addr_npi: 1, registered_delivery: 1, data_coding: 8, short_message: message},
    () => { answered++; submit(); over(); });
};
session.on('deliver_sm', pdu => { session.send(pdu.response()); reported++; over(); });
session.on('connect', () => session.bind_transceiver({system_id: account, password: 'b'}, () => {
  began = process.hrtime.bigint();
  for (let i = 0; i < +window_; i++) submit();
}));
"""


async def _run_node(port: int, window: int, count: int, *, receipts: bool) -> float:
    account = "receipts" if receipts else "plain"
    given = [str(port), str(window), str(count), account, SENDER, NUMBER, PART.body.hex()]
    node = await asyncio.create_subprocess_exec("node", "-e", _NODE, *given, stdout=asyncio.subprocess.PIPE)
    try:
        told, _ = await node.communicate()
    finally:
        if node.returncode is None:
            node.kill()
    return float(told)


def _has_node() -> bool:
    """Whether node finds its package smpp: by NODE_PATH."""
    try:
        return subprocess.run(["node", "-e", "require('smpp')"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def _contest(port: int, window: int, *, has_node: bool) -> dict[str, Callable[[], Coroutine[Any, Any, float]]]:
    contest: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
        "ours": lambda: _run_ours(port, window, 20_000, receipts=False),
        "ours with reports": lambda: _run_ours(port, window, 20_000, receipts=True),
    }
    if SMPP34:
        contest["smpp34"] = lambda: _run_smpp34(port, window, 4_000, receipts=False)
        contest["smpp34 with reports"] = lambda: _run_smpp34(port, window, 4_000, receipts=True)
    if has_node:
        contest["node-smpp"] = lambda: _run_node(port, window, 20_000, receipts=False)
        contest["node-smpp with reports"] = lambda: _run_node(port, window, 20_000, receipts=True)
    return contest


def sessions(rounds: int = 2) -> dict[str, float]:
    """Submits answered a second, by client and window: medians over interleaved rounds."""
    here = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.benchmarks.bench_carrier", "serve"]
    taken: dict[str, list[float]] = {}
    has_node = _has_node()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            for _ in range(rounds):
                for window in (16, 256):
                    for name, run in _contest(port, window, has_node=has_node).items():
                        with asyncio.Runner(loop_factory=NEW_LOOP) as runner:
                            rate = runner.run(asyncio.wait_for(run(), 30))
                        taken.setdefault(f"{name}, window {window}", []).append(rate)
        finally:
            server.kill()
    return {name: statistics.median(rates) for name, rates in taken.items()}


def main() -> None:
    found = codecs()
    print("| submit written and read | a second | of smpp34 | of smpplib |\n|---|---|---|---|")
    for name, rate in found.items():
        ratios = [f"{rate / found[peer]:.2f}" if peer in found else "–" for peer in ("smpp34", "smpplib")]
        print(f"| {name} | {rate:,.0f} | {' | '.join(ratios)} |")
    print("\n| session over loopback | submits a second | of smpp34 | of node-smpp |\n|---|---|---|---|")
    rates = sessions()
    for name, rate in rates.items():
        kind = name[name.index(" with") if " with" in name else name.index(",") :]  # like is held against like
        peers = [rates.get(f"{peer}{kind}") for peer in ("smpp34", "node-smpp")]
        print(f"| {name} | {rate:,.0f} | {' | '.join(f'{rate / peer:.2f}' if peer else '–' for peer in peers)} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        with asyncio.Runner(loop_factory=NEW_LOOP) as _runner:
            _runner.run(serve())
    else:
        main()
