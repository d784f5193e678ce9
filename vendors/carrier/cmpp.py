"""China Mobile's CMPP 2.0 and 3.0: packets, login digest, status reports and both sides of a session.

Lengths, codes and deviations seen in the field: facts/protocols/cmpp.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hmac import compare_digest
from struct import Struct
from typing import Any, Final, Literal

from harness.capabilities import Mapped
from harness.domain import BEIJING, Reason
from vendors.carrier.pdus import (
    Codec,
    Counted,
    Field,
    Header,
    Listed,
    Malformed,
    Number,
    Octets,
    Packet,
    Padded,
    Pdu,
)
from vendors.carrier.reports import CarrierReport, receipt_time, stamp
from vendors.carrier.session import (
    Admission,
    LoggedIn,
    LoginRefused,
    Numbers,
    Reply,
    Submission,
    Timings,
    Trouble,
    Verdict,
)
from vendors.carrier.short_text import Alphabet, InboundPart, Part, alphabet_of_msg_fmt, decode_text, split_header

V2, V3 = 0x20, 0x30
TIMINGS: Final = Timings(keep_alive=180.0, answer=60.0, tries=3, window=16)

REASONS: Final[Mapping[str, Mapped]] = {
    # Result of SUBMIT_RESP and DELIVER_RESP (cmpp.md 3)
    "1": Mapped(Reason.BAD_REQUEST, "documented", "structure: perhaps the other dialect"),
    "2": Mapped(Reason.BAD_REQUEST, "documented", "command"),
    "3": Mapped(Reason.BAD_REQUEST, "documented", "sequence used twice"),
    "4": Mapped(Reason.BAD_REQUEST, "documented", "length"),
    "5": Mapped(Reason.BAD_REQUEST, "documented", "fee code of the account"),
    "6": Mapped(Reason.BAD_REQUEST, "documented", "content too long"),
    "7": Mapped(Reason.BAD_REQUEST, "documented", "service code of the account"),
    "8": Mapped(Reason.THROTTLED, "documented", "flow control"),
    "9": Mapped(Reason.ROUTING, "documented", "3.0: the gateway does not serve the number; 2.0: other"),
    "10": Mapped(Reason.BAD_REQUEST, "documented", "Src_Id"),
    "11": Mapped(Reason.BAD_REQUEST, "documented", "Msg_src"),
    "12": Mapped(Reason.BAD_REQUEST, "documented", "Fee_terminal_Id"),
    "13": Mapped(Reason.INVALID_NUMBER, "documented", "Dest_terminal_Id"),
}
STRUCTURE, FLOW = 1, 8  # the two that a side answers by itself: unreadable, and no room
_LOGIN: Final = {1: "structure", 2: "source address", 3: "digest", 4: "version too high"}


# --- packets ---------------------------------------------------------------------------------------------------------


def _head(name: str, command: int, *fields: Field, **more: Any) -> Pdu:
    return Pdu(name, command, fields, **more)


def _connect_resp(status: int) -> tuple[Field, ...]:
    return (Number("status", status), Octets("authenticator_ismg", 16), Number("version"))


def _answer(result: int) -> tuple[Field, ...]:
    return (Octets("msg_id", 8), Number("result", result))


def _submit(number: int) -> tuple[Field, ...]:
    pseudonym = number == 32
    return (
        Octets("msg_id", 8),
        Number("pk_total", default=1),
        Number("pk_number", default=1),
        Number("registered_delivery", default=1),
        Number("msg_level"),
        Padded("service_id", 10),
        Number("fee_user_type", default=2),
        Padded("fee_terminal_id", number),
        *((Number("fee_terminal_type"),) if pseudonym else ()),
        Number("tp_pid"),
        Number("tp_udhi"),
        Number("msg_fmt"),
        Padded("msg_src", 6),
        Padded("fee_type", 2, b"01"),
        Padded("fee_code", 6, b"000000"),
        Padded("valid_time", 17),
        Padded("at_time", 17),
        Padded("src_id", 21),
        Listed("dest_terminal_id", number),
        *((Number("dest_terminal_type"),) if pseudonym else ()),
        Counted("msg_content"),
        Padded("link_id", 20) if pseudonym else Octets("reserve", 8),
    )


def _deliver(number: int) -> tuple[Field, ...]:
    pseudonym = number == 32
    return (
        Octets("msg_id", 8),
        Padded("dest_id", 21),
        Padded("service_id", 10),
        Number("tp_pid"),
        Number("tp_udhi"),
        Number("msg_fmt"),
        Padded("src_terminal_id", number),
        *((Number("src_terminal_type"),) if pseudonym else ()),
        Number("registered_delivery"),
        Counted("msg_content"),
        Padded("link_id", 20) if pseudonym else Octets("reserve", 8),
    )


_COUNTERS: Final = ("mt_tlmsg", "mt_tlusr", "mt_scs", "mt_wt", "mt_fl", "mo_scs", "mo_wt", "mo_fl")
_DAY: Final = (Padded("time", 8), Number("query_type"), Padded("query_code", 10))

CONNECT: Final = _head(
    "CONNECT",
    0x00000001,
    Padded("source_addr", 6),
    Octets("authenticator_source", 16),
    Number("version", default=V3),
    Number("timestamp", 4),
)
TERMINATE, TERMINATE_RESP = _head("TERMINATE", 0x00000002), _head("TERMINATE_RESP", 0x80000002)
QUERY: Final = _head("QUERY", 0x00000006, *_DAY, Octets("reserve", 8))
QUERY_RESP: Final = _head("QUERY_RESP", 0x80000006, *_DAY, *(Number(name, 4) for name in _COUNTERS))
CANCEL: Final = _head("CANCEL", 0x00000007, Octets("msg_id", 8))
ACTIVE_TEST: Final = _head("ACTIVE_TEST", 0x00000008)
ACTIVE_TEST_RESP: Final = _head("ACTIVE_TEST_RESP", 0x80000008, Number("reserved"), bare=True)


def _codec(number: int, status: int) -> Codec:
    """A dialect's codec; an answer of the other dialect's length is read as that one's."""
    other = 1 if status == 4 else 4

    def answer(name: str, command: int, fields: Callable[[int], tuple[Field, ...]], size: int) -> Pdu:
        return Pdu(name, command, fields(status), also=((size + other, Pdu(name, command, fields(other))),))

    return Codec(
        f"CMPP {'3.0' if status == 4 else '2.0'}",
        (
            CONNECT,
            answer("CONNECT_RESP", 0x80000001, _connect_resp, 29),
            TERMINATE,
            TERMINATE_RESP,
            _head("SUBMIT", 0x00000004, *_submit(number)),
            answer("SUBMIT_RESP", 0x80000004, _answer, 20),
            _head("DELIVER", 0x00000005, *_deliver(number)),
            answer("DELIVER_RESP", 0x80000005, _answer, 20),
            QUERY,
            QUERY_RESP,
            CANCEL,
            answer("CANCEL_RESP", 0x80000007, lambda size: (Number("success_id", size),), 12),
            ACTIVE_TEST,
            ACTIVE_TEST_RESP,
        ),
    )


CMPP2, CMPP3 = _codec(21, 1), _codec(32, 4)


def codec_of(version: int) -> Codec:
    """The codec of a version byte; 2.1 keeps 2.0's sizes."""
    return CMPP3 if version >= V3 else CMPP2


# --- digests and ids -------------------------------------------------------------------------------------------------


def timestamp(at: datetime) -> int:
    """MMDDHHMMSS in Beijing's time, as a decimal integer."""
    return int(at.astimezone(BEIJING).strftime("%m%d%H%M%S"))


def authenticator_source(account: bytes, secret: bytes, stamped: int, *, padded: bool = False) -> bytes:
    """MD5 of the account, nine NULs, the secret and the stamp's ten digits. `padded`: the account filled to six."""
    name = account.ljust(6, b"\0") if padded else account
    return hashlib.md5(name + bytes(9) + secret + b"%010d" % stamped, usedforsecurity=False).digest()


def authenticator_ismg(status: int, authenticator: bytes, secret: bytes, *, width: int) -> bytes:
    """MD5 of the status (one byte or four: makers differ), the client's digest and the secret."""
    return hashlib.md5(status.to_bytes(width, "big") + authenticator + secret, usedforsecurity=False).digest()


_ID: Final = Struct(">Q")


def message_id(at: datetime, gateway: int, serial: int) -> bytes:
    """A Msg_Id as a gateway makes it: month to second in Beijing's time, its code, and a serial that wraps.

    >>> from datetime import UTC
    >>> message_id(datetime(2026, 5, 25, 2, 30, tzinfo=UTC), 1001, 1).hex()
    '5ca9e00003e90001'
    """
    here = at.astimezone(BEIJING)
    clock = here.month << 22 | here.day << 17 | here.hour << 12 | here.minute << 6 | here.second
    return _ID.pack(clock << 38 | (gateway & 0x3FFFFF) << 16 | serial & 0xFFFF)


# --- status reports --------------------------------------------------------------------------------------------------

_REPORT: Final = tuple(
    Pdu(
        "report",
        0,
        (
            Octets("msg_id", 8),
            Padded("stat", 7),
            Padded("submit_time", 10),
            Padded("done_time", 10),
            Padded("dest_terminal_id", size),
            Number("smsc_sequence", 4),
        ),
    )
    for size in (21, 32)
)


def write_report(version: int, **values: Any) -> bytes:
    """The content of a report: 60 bytes, 71 in 3.0. Raises Malformed."""
    return _REPORT[version >= V3].write(values)


def read_report(content: bytes) -> CarrierReport:
    """A report from its content; its length tells the dialect, not the session's version. Raises Malformed."""
    table = _REPORT[len(content) >= 71]
    values = table.read(content, 0)
    stat = values.stat.decode("latin-1").strip()
    return CarrierReport(
        message_id=values.msg_id,
        stat=stat,
        submitted_at=receipt_time(values.submit_time.decode("latin-1")),
        done_at=receipt_time(values.done_time.decode("latin-1")),
        number=values.dest_terminal_id.decode("latin-1").strip(),
        is_interim=stat.upper() == "ACCEPTD",
    )


# --- sides of a session ----------------------------------------------------------------------------------------------

_FORMATS: Final = {Alphabet.ASCII: 0, Alphabet.BINARY: 4, Alphabet.UCS2: 8, Alphabet.GB: 15}


def numbers(start: int) -> Numbers:
    """CMPP's sequence numbers; see `session.start_at`."""
    return Numbers(start=start, first=1, last=0xFFFFFFFF)


class Client:
    """The enterprise's side 企业侧. `secret` never leaves it. `version` is what it asks for; the answer decides.

    `padded`: hash the account filled to six characters, as one maker does.
    """

    may_send = may_receive = True
    keep_alive, leave = ACTIVE_TEST, TERMINATE
    payload = frozenset({0x00000005})

    def __init__(
        self,
        *,
        account: str,
        secret: str,
        now: Callable[[], datetime],
        numbers: Numbers,
        version: int = V3,
        padded: bool = False,
        service_id: str = "",
        fee: Mapping[str, Any] | None = None,
    ) -> None:
        self._account, self._secret, self._now = account.encode(), secret.encode(), now
        self._version, self._padded, self._service, self._fee = version, padded, service_id.encode(), dict(fee or {})
        self.codec = codec_of(version)
        self.numbers = numbers
        self._sent = b""
        self.digest_matched: Literal["one", "four", "none"] | None = None

    def login(self) -> tuple[Pdu, dict[str, Any]]:
        stamped = timestamp(self._now())
        self._sent = authenticator_source(self._account, self._secret, stamped, padded=self._padded)
        values = {
            "source_addr": self._account,
            "authenticator_source": self._sent,
            "version": self._version,
            "timestamp": stamped,
        }
        return CONNECT, values

    def welcome(self, packet: Packet) -> LoggedIn | LoginRefused:
        status, version = packet.values.status, packet.values.version
        if status:
            why = _LOGIN.get(status, "other")
            return LoginRefused(code=str(status), why=f"{why}; the gateway speaks 0x{version:02x}")
        # The response's own form is the dialect that this gateway speaks, whatever was asked for.
        form = packet.pdu.fields[0]
        self.codec = CMPP3 if isinstance(form, Number) and form.size == 4 else CMPP2
        told = packet.values.authenticator_ismg
        self.digest_matched = "none"  # told, never a reason to part: makers differ in what they hash
        for name, width in (("one", 1), ("four", 4)):
            if compare_digest(told, authenticator_ismg(0, self._sent, self._secret, width=width)):
                self.digest_matched = "one" if name == "one" else "four"
        return LoggedIn(version=version, dialect=self.codec.name)

    def submit(self, part: Part, *, sender: str, number: str, report: bool = True) -> tuple[Pdu, dict[str, Any]]:
        """One short message to one number. Raises Malformed."""
        if part.alphabet not in _FORMATS:
            raise Malformed("SUBMIT.msg_fmt", part.alphabet, "CMPP has no such alphabet")
        values = {
            "pk_total": part.total,
            "pk_number": part.number,
            "registered_delivery": int(report),
            "service_id": self._service,
            "tp_udhi": int(part.has_header),
            "msg_fmt": _FORMATS[part.alphabet],
            "msg_src": self._account,
            "src_id": sender.encode(),
            "dest_terminal_id": (number.encode(),),
            "msg_content": part.body,
            **self._fee,
        }
        return self.codec.pdus[0x00000004], values

    def verdict(self, packet: Packet) -> Verdict:
        values = packet.values
        result = getattr(values, "result", None)
        if result is None:
            result = getattr(values, "success_id", 0)
        reason = Reason(REASONS[str(result)].reason) if str(result) in REASONS else Reason.UNMAPPED
        return Verdict(code=str(result), message_id=getattr(values, "msg_id", None), reason=reason if result else None)

    def content(self, packet: Packet) -> CarrierReport | InboundPart:
        values = packet.values
        if values.registered_delivery:
            return read_report(values.msg_content)
        return _inbound(values)

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return Reply({"msg_id": packet.values.msg_id, "result": code})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(self.codec, header, trouble)


def _inbound(values: Any) -> InboundPart:
    body, piece = values.msg_content, None
    if values.tp_udhi & 0x41:  # 0x40: gateways pass SMPP's esm_class through
        piece, body = split_header(body)
    alphabet = alphabet_of_msg_fmt(values.msg_fmt)
    return InboundPart(
        number=values.src_terminal_id.decode("latin-1").strip(),
        to=values.dest_id.decode("latin-1").strip(),
        text=decode_text(body, alphabet),
        piece=piece,
        body=body,
        alphabet=alphabet,
    )


def _trouble(codec: Codec, header: Header, trouble: Trouble) -> bytes | None:
    """What CMPP answers to a request that is not carried out; None: nothing that the protocol knows of."""
    if header.command not in (0x00000004, 0x00000005):
        return None
    code = {Trouble.BUSY: FLOW, Trouble.MALFORMED: STRUCTURE}.get(trouble)
    if code is None:
        return None
    return codec.encode(codec.pdus[header.command | 0x80000000], header.sequence, {"result": code})


class Gateway:
    """The carrier's side 网关侧, as the standard describes it. `secrets` by account.

    `speaks`: the highest version. Both ways of hashing a short account are accepted.
    """

    may_send = may_receive = True
    keep_alive, leave = ACTIVE_TEST, TERMINATE
    payload = frozenset({0x00000004, 0x00000006, 0x00000007})

    def __init__(self, *, secrets: Mapping[str, str], numbers: Numbers, speaks: int = V3) -> None:
        self._secrets, self._speaks = secrets, speaks
        self.codec = codec_of(speaks)
        self.numbers = numbers

    def admit(self, packet: Packet) -> Admission:
        if packet.pdu is not CONNECT:
            return Admission(None, LoginRefused(code="", why=f"{packet.pdu.name} before login"))
        values = packet.values
        account, version = values.source_addr.decode("latin-1"), values.version
        if version <= self._speaks:
            self.codec = codec_of(version)
        status = self._judge(account, values)
        secret = self._secrets.get(account, "").encode()
        width = 4 if self.codec is CMPP3 else 1
        digest = bytes(16)
        if not status:
            digest = authenticator_ismg(0, values.authenticator_source, secret, width=width)
        reply = Reply({"status": status, "authenticator_ismg": digest, "version": self._speaks})
        if status:
            return Admission(reply, LoginRefused(code=str(status), why=_LOGIN[status]))
        return Admission(reply, LoggedIn(version=version, dialect=self.codec.name, account=account))

    def _judge(self, account: str, values: Any) -> int:
        if values.version > self._speaks:
            return 4
        if account not in self._secrets:
            return 2
        secret, told = self._secrets[account].encode(), values.authenticator_source
        right = [
            authenticator_source(account.encode("latin-1"), secret, values.timestamp, padded=padded)
            for padded in (False, True)
        ]
        return 0 if any([compare_digest(told, each) for each in right]) else 3

    def report(
        self,
        *,
        message_id: bytes,
        stat: str,
        number: str,
        sender: str,
        submitted_at: datetime,
        done_at: datetime,
        own_id: bytes | None = None,
    ) -> tuple[Pdu, dict[str, Any]]:
        """A DELIVER with a status report. `own_id`: the deliver's own, if not the submit's. Raises Malformed."""
        content = write_report(
            V3 if self.codec is CMPP3 else V2,
            msg_id=message_id,
            stat=stat.encode(),
            submit_time=stamp(submitted_at),
            done_time=stamp(done_at),
            dest_terminal_id=number.encode(),
        )
        values = {
            "msg_id": own_id or message_id,
            "dest_id": sender.encode(),
            "src_terminal_id": number.encode(),
            "registered_delivery": 1,
            "msg_content": content,
        }
        return self.codec.pdus[0x00000005], values

    def inbound(self, part: Part, *, message_id: bytes, number: str, to: str) -> tuple[Pdu, dict[str, Any]]:
        """A DELIVER with a reply from a phone. Raises Malformed."""
        values = {
            "msg_id": message_id,
            "dest_id": to.encode(),
            "src_terminal_id": number.encode(),
            "tp_udhi": int(part.has_header),
            "msg_fmt": _FORMATS[part.alphabet],
            "msg_content": part.body,
        }
        return self.codec.pdus[0x00000005], values

    def verdict(self, packet: Packet) -> Verdict:
        result = getattr(packet.values, "result", 0)
        return Verdict(code=str(result), message_id=None, reason=_busy(result, FLOW))

    def content(self, packet: Packet) -> Submission | None:
        if packet.pdu.command != 0x00000004:
            return None
        values = packet.values
        numbers: Sequence[bytes] = values.dest_terminal_id
        body, piece = values.msg_content, None
        if values.tp_udhi & 1:
            piece, body = split_header(body)
        alphabet = alphabet_of_msg_fmt(values.msg_fmt)
        return Submission(
            numbers=tuple(each.decode("latin-1") for each in numbers),
            sender=values.src_id.decode("latin-1"),
            text=decode_text(body, alphabet),
            piece=piece,
            body=body,
            alphabet=alphabet,
            wants_report=values.registered_delivery == 1,
        )

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        match packet.pdu.command:
            case 0x00000004:
                return Reply({"msg_id": message_id or bytes(8), "result": code})
            case 0x00000007:
                return Reply({"success_id": code})
            case _:
                return Reply({name: getattr(packet.values, name) for name in ("time", "query_type", "query_code")})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(self.codec, header, trouble)


def _busy(result: int, flow: int) -> Reason | None:
    return None if not result else Reason.THROTTLED if result == flow else Reason.UNMAPPED
