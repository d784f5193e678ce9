"""China Telecom's SMGP 3.0: packets, login digest, status reports by position, and both sides of a session.

Ids are ten binary bytes, NULs and all; whether a content has a header stands in an optional parameter. Lengths, codes
and deviations seen in the field: facts/protocols/smgp.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from hmac import compare_digest
from typing import Any, Final, Literal

from harness.capabilities import Mapped
from harness.domain import BEIJING, Reason
from vendors.carrier.pdus import (
    RESPONSE,
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
    Tlvs,
)
from vendors.carrier.reports import INTERIM, CarrierReport, receipt_time, stamp
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

VERSION: Final = 0x30
TIMINGS: Final = Timings(keep_alive=180.0, answer=60.0, tries=3, window=16)
_BUSY, _STRUCTURE = 1, 10

REASONS: Final[Mapping[str, Mapped]] = {
    # Status (smgp.md 3)
    "1": Mapped(Reason.THROTTLED, "documented", "system busy"),
    "2": Mapped(Reason.QUOTA, "documented", "too many connections"),
    "10": Mapped(Reason.BAD_REQUEST, "documented", "structure"),
    "11": Mapped(Reason.BAD_REQUEST, "documented", "command"),
    "12": Mapped(Reason.BAD_REQUEST, "documented", "sequence used twice"),
    "20": Mapped(Reason.AUTH, "documented", "address"),
    "21": Mapped(Reason.AUTH, "documented", "digest"),
    "22": Mapped(Reason.AUTH, "documented", "version too high"),
    **{str(code): Mapped(Reason.BAD_REQUEST, "documented", "a field of ours") for code in range(30, 47)},
    "47": Mapped(Reason.INVALID_NUMBER, "documented", "DestTermID"),
    "48": Mapped(Reason.BAD_REQUEST, "documented", "ChargeTermID"),
    "49": Mapped(Reason.BAD_REQUEST, "documented", "service code of the account"),
    "58": Mapped(Reason.ROUTING, "documented", "no route"),
    "73": Mapped(Reason.BAD_REQUEST, "documented", "MServiceID"),
    "74": Mapped(Reason.HOURS, "documented", "not at this time"),
    "75": Mapped(Reason.QUOTA, "documented", "daily volume"),
    "76": Mapped(Reason.AUTH, "documented", "account expired"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    # err of a report; 601 and its kind are read differently by different platforms
    "001": Mapped(Reason.UNREACHABLE, "documented", "not reachable"),
    "002": Mapped(Reason.UNREACHABLE, "documented", "busy"),
    "003": Mapped(Reason.INVALID_NUMBER, "inferred", "no such part number"),
    "004": Mapped(Reason.OUT_OF_SERVICE, "documented", "illegal user"),
    "005": Mapped(Reason.BLACKLISTED, "documented", "blacklist"),
    "006": Mapped(Reason.CARRIER_FAULT, "documented", "system error"),
    "007": Mapped(Reason.UNREACHABLE, "documented", "memory full"),
    "008": Mapped(Reason.UNREACHABLE, "documented", "no SMS on this handset"),
    "009": Mapped(Reason.CARRIER_FAULT, "documented", "data error"),
    "010": Mapped(Reason.CARRIER_FAULT, "documented", "data lost"),
}


# --- packets ---------------------------------------------------------------------------------------------------------

# Optional parameters
TP_PID, TP_UDHI, LINK_ID, PK_TOTAL, PK_NUMBER, MSG_SRC, MSERVICE_ID = 1, 2, 3, 9, 10, 0x10, 0x12

_ID: Final = Octets("msg_id", 10)
_RESERVE: Final = Octets("reserve", 8)
_ANSWER: Final[tuple[Field, ...]] = (_ID, Number("status", 4))
_DAY: Final = (Padded("query_time", 8), Number("query_type"), Padded("query_code", 10))
_COUNTERS: Final = ("mt_tlmsg", "mt_tlusr", "mt_scs", "mt_wt", "mt_fl", "mo_scs", "mo_wt", "mo_fl")

LOGIN: Final = Pdu(
    "Login",
    0x00000001,
    (
        Padded("client_id", 8),
        Octets("authenticator_client", 16),
        Number("login_mode", default=2),
        Number("timestamp", 4),
        Number("client_version", default=VERSION),
    ),
)
LOGIN_RESP: Final = Pdu(
    "Login_Resp", 0x80000001, (Number("status", 4), Octets("authenticator_server", 16), Number("server_version"))
)
SUBMIT: Final = Pdu(
    "Submit",
    0x00000002,
    (
        Number("msg_type", default=6),
        Number("need_report", default=1),
        Number("priority", default=2),
        Padded("service_id", 10),
        Padded("fee_type", 2, b"00"),
        Padded("fee_code", 6, b"000000"),
        Padded("fixed_fee", 6, b"000000"),
        Number("msg_format"),
        Padded("valid_time", 17),
        Padded("at_time", 17),
        Padded("src_term_id", 21),
        Padded("charge_term_id", 21),
        Listed("dest_term_id", 21),
        Counted("msg_content"),
        _RESERVE,
        Tlvs(),
    ),
)
DELIVER: Final = Pdu(
    "Deliver",
    0x00000003,
    (
        _ID,
        Number("is_report"),
        Number("msg_format"),
        Padded("recv_time", 14),
        Padded("src_term_id", 21),
        Padded("dest_term_id", 21),
        Counted("msg_content"),
        _RESERVE,
        Tlvs(),
    ),
)
ACTIVE_TEST: Final = Pdu("Active_Test", 0x00000004)
EXIT: Final = Pdu("Exit", 0x00000006)

SMGP: Final = Codec(
    "SMGP",
    (
        LOGIN,
        LOGIN_RESP,
        SUBMIT,
        Pdu("Submit_Resp", 0x80000002, _ANSWER),
        DELIVER,
        Pdu("Deliver_Resp", 0x80000003, _ANSWER),
        ACTIVE_TEST,
        Pdu("Active_Test_Resp", 0x80000004),
        EXIT,
        Pdu("Exit_Resp", 0x80000006),
        Pdu("Query", 0x00000007, _DAY),
        Pdu("Query_Resp", 0x80000007, (*_DAY, *(Number(name, 4) for name in _COUNTERS), _RESERVE)),
    ),
)


# --- digests and ids -------------------------------------------------------------------------------------------------


def timestamp(at: datetime) -> int:
    """MMDDHHMMSS in Beijing's time, as a decimal integer."""
    return int(at.astimezone(BEIJING).strftime("%m%d%H%M%S"))


def authenticator_client(account: bytes, secret: bytes, stamped: int) -> bytes:
    """MD5 of the account without padding, seven NULs, the secret and the stamp's ten digits."""
    return hashlib.md5(account + bytes(7) + secret + b"%010d" % stamped, usedforsecurity=False).digest()


def authenticator_server(status: int, authenticator: bytes, secret: bytes, *, width: int) -> bytes:
    """MD5 of the status (four bytes, or one: makers differ), the client's digest and the secret."""
    return hashlib.md5(status.to_bytes(width, "big") + authenticator + secret, usedforsecurity=False).digest()


def message_id(gateway: str, at: datetime, serial: int) -> bytes:
    """A MsgID as a gateway makes it: six digits of its own, MMDDHHMM in Beijing's time, six of a serial; two a byte.

    >>> from datetime import UTC
    >>> message_id("010061", datetime(2024, 1, 16, 9, 0, tzinfo=UTC), 12345).hex()
    '01006101161700012345'
    """
    return bytes.fromhex(f"{gateway:0>6}{at.astimezone(BEIJING):%m%d%H%M}{serial % 1_000_000:06d}")


# --- status reports --------------------------------------------------------------------------------------------------

# Where values stand: labels vary in spelling, never in length. The id is binary: nothing may search through it.
_PLACES: Final = {"submit date": (44, 10), "done date": (65, 10), "stat": (81, 7), "err": (93, 3)}
_LEAST: Final = 96


def read_report(content: bytes) -> CarrierReport:
    """A report from its content, by position. An id of 20 hex digits moves everything by ten.

    Raises:
        Malformed: too short, or not of this form.
    """
    key, shift = content[3:13], 0
    if content[13:14] != b" ":
        end = content.find(b" sub:", 13)
        if end < 0:
            raise Malformed("Deliver.msg_content", content, "is no report: nothing ends its id")
        key, shift = content[3:end], end - 13
        if re.fullmatch(rb"[0-9A-Fa-f]{20}", key):
            key = bytes.fromhex(key.decode("ascii"))
    if len(content) < _LEAST + shift:
        raise Malformed("Deliver.msg_content", content, f"is no report: shorter than {_LEAST + shift} bytes")
    told = {
        name: content[at + shift : at + shift + size].decode("latin-1").strip("\0 ")
        for name, (at, size) in _PLACES.items()
    }
    return CarrierReport(
        message_id=key,
        stat=told["stat"],
        err=told["err"],
        submitted_at=receipt_time(told["submit date"]),
        done_at=receipt_time(told["done date"]),
        is_interim=told["stat"].upper() in INTERIM,
    )


def write_report(
    *, message_id: bytes, stat: str, err: str, submitted_at: datetime, done_at: datetime, text: bytes = b""
) -> bytes:
    """A report's content as gateways write it: 122 bytes with fixed places."""
    delivered = b"001" if stat == "DELIVRD" else b"000"
    return b"id:%b sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:%b" % (
        message_id,
        delivered,
        stamp(submitted_at),
        stamp(done_at),
        stat.encode().ljust(7)[:7],
        err.encode().ljust(3)[:3],
        text[:20].ljust(20, b"\0"),
    )


# --- sides of a session ----------------------------------------------------------------------------------------------

_FORMATS: Final = {Alphabet.ASCII: 0, Alphabet.BINARY: 4, Alphabet.UCS2: 8, Alphabet.GB: 15}
Mode = Literal["send", "receive", "both"]
_MODES: Final[tuple[Mode, ...]] = ("send", "receive", "both")


def numbers(start: int) -> Numbers:
    """SMGP's sequence numbers; see `session.start_at`."""
    return Numbers(start=start, first=1, last=0xFFFFFFFF)


def _long(part: Part) -> tuple[tuple[int, bytes], ...]:
    """The parameters of a part of a long message, tags rising."""
    if part.piece is None:
        return ()
    return ((TP_UDHI, b"\x01"), (PK_TOTAL, bytes([part.total])), (PK_NUMBER, bytes([part.number])))


def _content(packet: Packet, *, number: str, to: str) -> InboundPart:
    body, piece = packet.values.msg_content, None
    flag = packet.tlv(TP_UDHI)
    if flag and flag[0] & 0x41:
        piece, body = split_header(body)
    alphabet = alphabet_of_msg_fmt(packet.values.msg_format)
    return InboundPart(
        number=number, to=to, text=decode_text(body, alphabet), piece=piece, body=body, alphabet=alphabet
    )


def _text(values: Any, name: str) -> str:
    text: str = getattr(values, name).decode("latin-1").strip()
    return text


def _trouble(header: Header, trouble: Trouble) -> bytes | None:
    """What SMGP answers to a request that is not carried out; None: nothing that the protocol knows of."""
    code = {Trouble.BUSY: _BUSY, Trouble.MALFORMED: _STRUCTURE}.get(trouble)
    if code is None or header.command not in (SUBMIT.command, DELIVER.command):
        return None
    return SMGP.encode(SMGP.pdus[header.command | RESPONSE], header.sequence, {"status": code})


class Client:
    """The enterprise's side 企业侧."""

    codec = SMGP
    keep_alive, leave = ACTIVE_TEST, EXIT
    payload = frozenset({DELIVER.command})

    def __init__(
        self,
        *,
        account: str,
        secret: str,
        now: Callable[[], datetime],
        numbers: Numbers,
        mode: Mode = "both",
        service_id: str = "",
        msg_src: str = "",
    ) -> None:
        self._account, self._secret, self._now = account.encode(), secret.encode(), now
        self._mode, self._service, self._msg_src = mode, service_id.encode(), msg_src.encode()
        self.numbers = numbers
        self.may_send, self.may_receive = mode != "receive", mode != "send"
        self._sent = b""
        self.digest_matched: Literal["one", "four", "none"] | None = None

    def login(self) -> tuple[Pdu, dict[str, Any]]:
        stamped = timestamp(self._now())  # once: digest and field must hold the same
        self._sent = authenticator_client(self._account, self._secret, stamped)
        values = {
            "client_id": self._account,
            "authenticator_client": self._sent,
            "login_mode": _MODES.index(self._mode),
            "timestamp": stamped,
        }
        return LOGIN, values

    def welcome(self, packet: Packet) -> LoggedIn | LoginRefused:
        status, version = packet.values.status, packet.values.server_version
        if status:
            line = REASONS.get(str(status))
            return LoginRefused(code=str(status), why=line.note if line else "")
        told = packet.values.authenticator_server
        self.digest_matched = "none"  # told, never a reason to part: makers differ in what they hash
        if compare_digest(told, authenticator_server(0, self._sent, self._secret, width=1)):
            self.digest_matched = "one"
        elif compare_digest(told, authenticator_server(0, self._sent, self._secret, width=4)):
            self.digest_matched = "four"
        return LoggedIn(version=version, dialect="SMGP 3.0")

    def submit(self, part: Part, *, sender: str, number: str, report: bool = True) -> tuple[Pdu, dict[str, Any]]:
        """One short message to one number. Raises Malformed."""
        if part.alphabet not in _FORMATS:
            raise Malformed("Submit.msg_format", part.alphabet, "SMGP has no such alphabet")
        source = ((MSG_SRC, self._msg_src.ljust(8, b"\0")),) if self._msg_src else ()
        values = {
            "need_report": int(report),
            "service_id": self._service,
            "msg_format": _FORMATS[part.alphabet],
            "src_term_id": sender.encode(),
            "dest_term_id": (number.encode(),),
            "msg_content": part.body,
            "tlvs": (*_long(part), *source),
        }
        return SUBMIT, values

    def verdict(self, packet: Packet) -> Verdict:
        status = packet.values.status
        line = REASONS.get(str(status))
        reason = (Reason(line.reason) if line else Reason.UNMAPPED) if status else None
        return Verdict(str(status), packet.values.msg_id, reason)

    def content(self, packet: Packet) -> CarrierReport | InboundPart:
        values = packet.values
        if values.is_report:
            report = read_report(values.msg_content)
            return CarrierReport(
                message_id=report.message_id,
                stat=report.stat,
                err=report.err,
                submitted_at=report.submitted_at,
                done_at=report.done_at,
                number=_text(values, "src_term_id"),
                is_interim=report.is_interim,
            )
        return _content(packet, number=_text(values, "src_term_id"), to=_text(values, "dest_term_id"))

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return Reply({"msg_id": packet.values.msg_id, "status": code})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)


class Gateway:
    """The carrier's side 网关侧, as the standard describes it. `secrets` by account."""

    codec = SMGP
    keep_alive, leave = ACTIVE_TEST, EXIT
    payload = frozenset({SUBMIT.command, 0x00000007})

    def __init__(self, *, secrets: Mapping[str, str], numbers: Numbers) -> None:
        self._secrets = secrets
        self.numbers = numbers
        self.may_send = self.may_receive = True

    def admit(self, packet: Packet) -> Admission:
        if packet.pdu is not LOGIN:
            return Admission(None, LoginRefused(code="", why=f"{packet.pdu.name} before Login"))
        values = packet.values
        account = values.client_id.decode("latin-1")
        secret, status = self._secrets.get(account, "").encode(), 0
        wanted = authenticator_client(values.client_id, secret, values.timestamp)
        if values.client_version > VERSION:
            status = 22
        elif account not in self._secrets or not compare_digest(wanted, values.authenticator_client):
            status = 21
        digest = bytes(16) if status else authenticator_server(0, values.authenticator_client, secret, width=4)
        reply = Reply({"status": status, "authenticator_server": digest, "server_version": VERSION})
        if status:
            return Admission(reply, LoginRefused(code=str(status), why=REASONS[str(status)].note))
        self.may_send, self.may_receive = values.login_mode != 0, values.login_mode != 1
        return Admission(reply, LoggedIn(version=values.client_version, dialect="SMGP 3.0", account=account))

    def report(
        self,
        *,
        message_id: bytes,
        stat: str,
        number: str,
        sender: str,
        submitted_at: datetime,
        done_at: datetime,
        err: str = "000",
        own_id: bytes | None = None,
    ) -> tuple[Pdu, dict[str, Any]]:
        """A Deliver with a status report. `own_id`: the deliver's own, where it is not the submit's."""
        content = write_report(message_id=message_id, stat=stat, err=err, submitted_at=submitted_at, done_at=done_at)
        values = {
            "msg_id": own_id or message_id,
            "is_report": 1,
            "recv_time": f"{done_at.astimezone(BEIJING):%Y%m%d%H%M%S}".encode(),
            "src_term_id": number.encode(),
            "dest_term_id": sender.encode(),
            "msg_content": content,
        }
        return DELIVER, values

    def inbound(
        self, part: Part, *, message_id: bytes, number: str, to: str, at: datetime
    ) -> tuple[Pdu, dict[str, Any]]:
        """A Deliver with a reply from a phone."""
        values = {
            "msg_id": message_id,
            "msg_format": _FORMATS[part.alphabet],
            "recv_time": f"{at.astimezone(BEIJING):%Y%m%d%H%M%S}".encode(),
            "src_term_id": number.encode(),
            "dest_term_id": to.encode(),
            "msg_content": part.body,
            "tlvs": _long(part)[:1],
        }
        return DELIVER, values

    def verdict(self, packet: Packet) -> Verdict:
        status = getattr(packet.values, "status", 0)
        reason = None if not status else Reason.THROTTLED if status == _BUSY else Reason.UNMAPPED
        return Verdict(str(status), None, reason)

    def content(self, packet: Packet) -> Submission | None:
        if packet.pdu is not SUBMIT:
            return None
        values = packet.values
        message = _content(packet, number="", to="")
        return Submission(
            numbers=tuple(each.decode("latin-1") for each in values.dest_term_id),
            sender=_text(values, "src_term_id"),
            text=message.text,
            piece=message.piece,
            body=message.body,
            alphabet=message.alphabet,
            wants_report=values.need_report == 1,
        )

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        if packet.pdu is SUBMIT:
            return Reply({"msg_id": message_id or bytes(10), "status": code})
        return Reply({name: getattr(packet.values, name) for name in ("query_time", "query_type", "query_code")})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)
