"""China Unicom's SGIP 1.2: packets, sequence of three words, reports and the four sides of its two connections.

We dial the gateway to submit (`Client`, `Gateway`), it dials us for reports and replies (`Caller`, `Listener`). It
gives no message id: the twelve bytes of our own sequence are the key. Source: facts/protocols/sgip.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from hmac import compare_digest
from struct import Struct
from typing import Any, Final

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
    Repeated,
    SequenceId,
)
from vendors.carrier.reports import CarrierReport
from vendors.carrier.session import Admission, LoggedIn, LoginRefused, Reply, Submission, Timings, Trouble, Verdict
from vendors.carrier.short_text import Alphabet, InboundPart, Part, alphabet_of_msg_fmt, decode_text, split_header

# No test of the link exists; whoever is done leaves, and a server may close after 60 s (sgip.md 1).
TIMINGS: Final = Timings(window=32, answer=30.0, keep_alive=None, idle_leave=30.0)
LISTENER_TIMINGS: Final = Timings(window=32, answer=30.0, keep_alive=None)

REASONS: Final[Mapping[str, Mapped]] = {
    # Result of responses (sgip.md 5); Huawei-built gateways use another, colliding family
    "1": Mapped(Reason.AUTH, "documented", "bad login"),
    "2": Mapped(Reason.BAD_REQUEST, "documented", "double login"),
    "3": Mapped(Reason.QUOTA, "documented", "too many connections"),
    "4": Mapped(Reason.AUTH, "documented", "login type"),
    "5": Mapped(Reason.BAD_REQUEST, "documented", "parameter format"),
    "6": Mapped(Reason.INVALID_NUMBER, "documented", "bad number, or without 86"),
    "7": Mapped(Reason.BAD_REQUEST, "documented", "command"),
    "8": Mapped(Reason.BAD_REQUEST, "documented", "length; flow control at some makers"),
    "9": Mapped(Reason.BAD_REQUEST, "documented", "sequence used twice"),
    "11": Mapped(Reason.THROTTLED, "documented", "node busy"),
    "21": Mapped(Reason.ROUTING, "documented", "node unreachable"),
    "22": Mapped(Reason.ROUTING, "documented", "route wrong"),
    "23": Mapped(Reason.ROUTING, "documented", "no route"),
    "33": Mapped(Reason.THROTTLED, "documented", "queue full, or too many a second"),
    "34": Mapped(Reason.THROTTLED, "documented", "logins too frequent"),
    "88": Mapped(Reason.THROTTLED, "copied", "flow control of Huawei-built gateways"),
    "182": Mapped(Reason.QUOTA, "documented", "daily volume"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    # ErrorCode of a report with State 2. A bare code has no universal meaning: only those on which sources agree.
    "21": Mapped(Reason.ROUTING, "documented", "destination unreachable"),
    "22": Mapped(Reason.ROUTING, "documented", "route wrong"),
    "23": Mapped(Reason.ROUTING, "documented", "no route"),
    "25": Mapped(Reason.UNREACHABLE, "documented", "off, or no coverage"),
    "26": Mapped(Reason.UNREACHABLE, "documented", "memory full"),
    "27": Mapped(Reason.UNREACHABLE, "documented", "no SMS on this handset"),
    "28": Mapped(Reason.UNREACHABLE, "documented", "handset error"),
    "29": Mapped(Reason.INVALID_NUMBER, "documented", "unknown user"),
    "30": Mapped(Reason.UNREACHABLE, "documented", "function not provided"),
    "31": Mapped(Reason.UNREACHABLE, "documented", "illegal device"),
    "69": Mapped(Reason.BLACKLISTED, "copied", "blacklist"),
}
_BAD_LOGIN, _DOUBLE_LOGIN, _LOGIN_TYPE, _FORMAT, _COMMAND, _BUSY = 1, 2, 4, 5, 7, 11


# --- packets ---------------------------------------------------------------------------------------------------------

_RESERVE: Final = Octets("reserve", 8)
_RESULT: Final[tuple[Field, ...]] = (Number("result"), _RESERVE)
_SUBMITTED: Final = Octets("submit_sequence", 12)


def _result(name: str, command: int) -> Pdu:
    return Pdu(name, command, _RESULT)


BIND: Final = Pdu(
    "BIND",
    0x00000001,
    (Number("login_type", default=1), Padded("login_name", 16), Padded("login_password", 16), _RESERVE),
)
UNBIND: Final = Pdu("UNBIND", 0x00000002)
SUBMIT: Final = Pdu(
    "SUBMIT",
    0x00000003,
    (
        Padded("sp_number", 21),
        Padded("charge_number", 21, b"0" * 21),  # 21 zeros: we pay
        Listed("user_number", 21),
        Padded("corp_id", 5),
        Padded("service_type", 10),
        Number("fee_type", default=1),
        Padded("fee_value", 6, b"0"),
        Padded("given_value", 6, b"0"),
        Number("agent_flag"),
        Number("more_late_to_mt_flag", default=2),
        Number("priority"),
        Padded("expire_time", 16),
        Padded("schedule_time", 16),
        Number("report_flag", default=1),  # the protocol's own default, 0, reports failures alone
        Number("tp_pid"),
        Number("tp_udhi"),
        Number("message_coding"),
        Number("message_type"),
        Counted("message_content", width=4, most=2048),
        _RESERVE,
    ),
)
DELIVER: Final = Pdu(
    "DELIVER",
    0x00000004,
    (
        Padded("user_number", 21),
        Padded("sp_number", 21),
        Number("tp_pid"),
        Number("tp_udhi"),
        Number("message_coding"),
        Counted("message_content", width=4, most=2048),
        _RESERVE,
    ),
)
REPORT: Final = Pdu(
    "REPORT",
    0x00000005,
    (
        _SUBMITTED,
        Number("report_type"),
        Padded("user_number", 21),
        Number("state"),
        Number("error_code"),
        _RESERVE,
    ),
)
USERRPT: Final = Pdu(
    "USERRPT", 0x00000011, (Padded("sp_number", 21), Padded("user_number", 21), Number("user_condition"), _RESERVE)
)
TRACE: Final = Pdu("TRACE", 0x00001000, (_SUBMITTED, Padded("user_number", 21), _RESERVE))
TRACE_RESP: Final = Pdu(
    "TRACE_RESP",
    0x80001000,
    (
        Repeated(
            "nodes", (Number("result"), Padded("node_id", 6), Padded("receive_time", 16), Padded("send_time", 16))
        ),
        _RESERVE,
    ),
)

SGIP: Final = Codec(
    "SGIP",
    (
        BIND,
        _result("BIND_RESP", 0x80000001),
        UNBIND,
        Pdu("UNBIND_RESP", 0x80000002),
        SUBMIT,
        _result("SUBMIT_RESP", 0x80000003),
        DELIVER,
        _result("DELIVER_RESP", 0x80000004),
        REPORT,
        _result("REPORT_RESP", 0x80000005),
        USERRPT,
        _result("USERRPT_RESP", 0x80000011),
        TRACE,
        TRACE_RESP,
    ),
    words=5,
)


# --- the sequence of three words -------------------------------------------------------------------------------------

_WORDS: Final = Struct(">III")


def node_id(area: str, corp: int) -> int:
    """An enterprise's node: 3, the area code padded right to four digits, its code of five.

    >>> node_id("010", 12345), node_id("0755", 12345)
    (3010012345, 3075512345)
    """
    return int(f"3{area:0<4}{corp:05d}")


def sequence_bytes(sequence: SequenceId) -> bytes:
    """A sequence as it stands in a report: the key between submit and report."""
    return _WORDS.pack(*sequence) if isinstance(sequence, tuple) else bytes(12)


def sequence_text(key: bytes) -> str:
    """A key as others print it: node:time:counter."""
    return ":".join(str(word) for word in _WORDS.unpack(key))


class Words:
    """Sequences of one node: its id, Beijing's time of the asking, and a counter that goes round."""

    __slots__ = ("_counter", "_node", "_now")

    def __init__(self, *, node: int, now: Callable[[], datetime], start: int = 0) -> None:
        self._node, self._now, self._counter = node, now, start % 0x100000000

    def next(self, taken: Collection[SequenceId]) -> tuple[int, int, int]:
        """The next sequence that nobody waits on."""
        stamped = int(self._now().astimezone(BEIJING).strftime("%m%d%H%M%S"))
        while True:
            words = (self._node, stamped, self._counter)
            self._counter = (self._counter + 1) % 0x100000000
            if words not in taken:
                return words


# --- reports and replies ---------------------------------------------------------------------------------------------


def read_report(values: Any) -> CarrierReport:
    """A REPORT's fields. `stat` is its State in digits, `err` its ErrorCode, unsigned."""
    state = values.state
    return CarrierReport(
        message_id=values.submit_sequence,
        stat=str(state),
        err=str(values.error_code),
        number=values.user_number.decode("latin-1").strip(),
        is_interim=state == 1,
    )


def _inbound(values: Any, *, number: str, to: str) -> InboundPart:
    body, piece = values.message_content, None
    if values.tp_udhi & 0x41:
        piece, body = split_header(body)
    alphabet = alphabet_of_msg_fmt(values.message_coding)
    return InboundPart(
        number=number, to=to, text=decode_text(body, alphabet), piece=piece, body=body, alphabet=alphabet
    )


def _text(values: Any, name: str) -> str:
    text: str = getattr(values, name).decode("latin-1").strip()
    return text


# --- sides of the sessions -------------------------------------------------------------------------------------------

_FORMATS: Final = {Alphabet.ASCII: 0, Alphabet.BINARY: 4, Alphabet.UCS2: 8, Alphabet.GB: 15}
_HANDED_TO_US: Final = frozenset({DELIVER.command, REPORT.command, USERRPT.command})


def _login(login_type: int, name: str, password: str) -> tuple[Pdu, dict[str, Any]]:
    values = {"login_type": login_type, "login_name": name.encode(), "login_password": password.encode()}
    return BIND, values


def _welcome(packet: Packet) -> LoggedIn | LoginRefused:
    result = packet.values.result
    if result:
        line = REASONS.get(str(result))
        return LoginRefused(code=str(result), why=line.note if line else "")
    return LoggedIn(dialect="SGIP 1.2")


def _verdict(packet: Packet) -> Verdict:
    result = getattr(packet.values, "result", 0)
    line = REASONS.get(str(result))
    reason = (Reason(line.reason) if line else Reason.UNMAPPED) if result else None
    return Verdict(str(result), sequence_bytes(packet.sequence), reason)


def _handed_over(packet: Packet) -> CarrierReport | InboundPart | None:
    values = packet.values
    if packet.pdu is REPORT:
        return read_report(values)
    if packet.pdu is DELIVER:
        return _inbound(values, number=_text(values, "user_number"), to=_text(values, "sp_number"))
    return None


def _trouble(header: Header, trouble: Trouble) -> bytes | None:
    """Every request has a Result; what has no place in a response ends the link."""
    if trouble is Trouble.BAD_LENGTH or header.command == UNBIND.command:
        return None
    is_bind = header.command == BIND.command
    code = {
        Trouble.BUSY: _BUSY,
        Trouble.MALFORMED: _FORMAT,
        Trouble.UNKNOWN_COMMAND: _COMMAND,
        Trouble.BEFORE_LOGIN: _BAD_LOGIN,
        Trouble.OUT_OF_PLACE: _DOUBLE_LOGIN if is_bind else _COMMAND,
    }[trouble]
    return SGIP.encode(_result("RESP", header.command | RESPONSE), header.sequence, {"result": code})


def _admit(packet: Packet, login_type: int, secrets: Mapping[str, str]) -> Admission:
    if packet.pdu is not BIND:
        return Admission(None, LoginRefused(code="1", why=f"{packet.pdu.name} before BIND"))
    values, code = packet.values, 0
    name = values.login_name.decode("latin-1")
    if values.login_type != login_type:
        code = _LOGIN_TYPE
    elif name not in secrets or not compare_digest(secrets[name].encode(), values.login_password):
        code = _BAD_LOGIN
    if code:
        return Admission(Reply({"result": code}), LoginRefused(code=str(code), why=REASONS[str(code)].note))
    return Admission(Reply({"result": 0}), LoggedIn(dialect="SGIP 1.2", account=name))


class Client:
    """Our side of the connection that we dial: submits. Reports that come on it all the same are taken."""

    codec = SGIP
    may_send = may_receive = True
    keep_alive, leave = None, UNBIND
    payload = _HANDED_TO_US

    def __init__(
        self, *, account: str, secret: str, numbers: Words, corp_id: str, service_type: str = "", login_type: int = 1
    ) -> None:
        self._account, self._secret, self._login_type = account, secret, login_type
        self._corp, self._service = corp_id.encode(), service_type.encode()
        self.numbers = numbers

    def login(self) -> tuple[Pdu, dict[str, Any]]:
        return _login(self._login_type, self._account, self._secret)

    def welcome(self, packet: Packet) -> LoggedIn | LoginRefused:
        return _welcome(packet)

    def submit(self, part: Part, *, sender: str, number: str, report: bool = True) -> tuple[Pdu, dict[str, Any]]:
        """One short message to one number: digits that begin with 86. Raises Malformed."""
        if part.alphabet not in _FORMATS:
            raise Malformed("SUBMIT.message_coding", part.alphabet, "SGIP has no such alphabet")
        values = {
            "sp_number": sender.encode(),
            "user_number": (number.encode(),),
            "corp_id": self._corp,
            "service_type": self._service,
            "report_flag": 1 if report else 2,
            "tp_udhi": int(part.has_header),
            "message_coding": _FORMATS[part.alphabet],
            "message_content": part.body,
        }
        return SUBMIT, values

    def verdict(self, packet: Packet) -> Verdict:
        return _verdict(packet)

    def content(self, packet: Packet) -> CarrierReport | InboundPart | None:
        return _handed_over(packet)

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return Reply({"result": code})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)


class Listener:
    """Our side of the connection that the gateway dials: reports and replies. `secrets`: what we gave the gateway."""

    codec = SGIP
    may_send, may_receive = False, True
    keep_alive, leave = None, UNBIND
    payload = _HANDED_TO_US

    def __init__(self, *, secrets: Mapping[str, str], numbers: Words) -> None:
        self._secrets, self.numbers = secrets, numbers

    def admit(self, packet: Packet) -> Admission:
        return _admit(packet, 2, self._secrets)

    def verdict(self, packet: Packet) -> Verdict:
        return _verdict(packet)

    def content(self, packet: Packet) -> CarrierReport | InboundPart | None:
        return _handed_over(packet)

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return Reply({"result": code})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)


class Gateway:
    """The gateway's side of the connection that an enterprise dials: takes submits."""

    codec = SGIP
    may_send, may_receive = True, True
    keep_alive, leave = None, UNBIND
    payload = frozenset({SUBMIT.command, TRACE.command})

    def __init__(self, *, secrets: Mapping[str, str], numbers: Words) -> None:
        self._secrets, self.numbers = secrets, numbers

    def admit(self, packet: Packet) -> Admission:
        return _admit(packet, 1, self._secrets)

    def verdict(self, packet: Packet) -> Verdict:
        return _verdict(packet)

    def content(self, packet: Packet) -> Submission | None:
        if packet.pdu is not SUBMIT:
            return None
        values = packet.values
        numbers = tuple(each.decode("latin-1") for each in values.user_number)
        message = _inbound(values, number="", to="")
        return Submission(
            numbers=numbers,
            sender=_text(values, "sp_number"),
            text=message.text,
            piece=message.piece,
            body=message.body,
            alphabet=message.alphabet,
            wants_report=values.report_flag in (0, 1),
        )

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return Reply({} if packet.pdu is TRACE else {"result": code})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)


class Caller:
    """The gateway's side of the connection that it dials: hands over reports and replies, login type 2."""

    codec = SGIP
    may_send, may_receive = True, False
    keep_alive, leave = None, UNBIND
    payload: frozenset[int] = frozenset()

    def __init__(self, *, account: str, secret: str, numbers: Words) -> None:
        self._account, self._secret, self.numbers = account, secret, numbers

    def login(self) -> tuple[Pdu, dict[str, Any]]:
        return _login(2, self._account, self._secret)

    def welcome(self, packet: Packet) -> LoggedIn | LoginRefused:
        return _welcome(packet)

    def report(self, *, message_id: bytes, number: str, state: int, error_code: int = 0) -> tuple[Pdu, dict[str, Any]]:
        """A REPORT on the submit whose sequence `message_id` is."""
        values = {
            "submit_sequence": message_id,
            "user_number": number.encode(),
            "state": state,
            "error_code": error_code,
        }
        return REPORT, values

    def inbound(self, part: Part, *, number: str, to: str) -> tuple[Pdu, dict[str, Any]]:
        """A DELIVER with a reply from a phone."""
        values = {
            "user_number": number.encode(),
            "sp_number": to.encode(),
            "tp_udhi": int(part.has_header),
            "message_coding": _FORMATS[part.alphabet],
            "message_content": part.body,
        }
        return DELIVER, values

    def verdict(self, packet: Packet) -> Verdict:
        return _verdict(packet)

    def content(self, packet: Packet) -> None:
        return None

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return Reply({"result": code})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)
