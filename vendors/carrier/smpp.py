"""SMPP 3.4: packets, status codes, receipts and both sides of a session.

Lengths, codes and deviations seen in the field: facts/protocols/smpp.md. `submit_multi` is left out on purpose: its one
id for many receivers makes receipts ambiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hmac import compare_digest
from typing import Any, Final, Literal

from harness.capabilities import Mapped
from harness.domain import Reason
from vendors.carrier.pdus import (
    RESPONSE,
    Codec,
    Counted,
    Header,
    Malformed,
    Number,
    Packet,
    Pdu,
    Terminated,
    Tlvs,
)
from vendors.carrier.reports import INTERIM, CarrierReport, read_receipt, receipt_pairs, receipt_time, stamp
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
from vendors.carrier.short_text import (
    Alphabet,
    InboundPart,
    Part,
    Piece,
    alphabet_of_data_coding,
    decode_text,
    fill_bits,
    split_header,
)

# The standard gives no values and no window; these are ours (smpp.md 5).
TIMINGS: Final = Timings(window=10, answer=30.0, keep_alive=30.0, tries=2, login=10.0)

VERSION: Final = 0x34
RINVMSGLEN, RINVCMDLEN, RINVCMDID, RINVBNDSTS, RALYBND = 0x01, 0x02, 0x03, 0x04, 0x05
RINVPASWD, RINVSYSID, RMSGQFUL, RTHROTTLED, RX_T_APPN = 0x0E, 0x0F, 0x14, 0x58, 0x64

REASONS: Final[Mapping[str, Mapped]] = {
    "0x01": Mapped(Reason.BAD_REQUEST, "documented", "INVMSGLEN"),
    "0x02": Mapped(Reason.BAD_REQUEST, "documented", "INVCMDLEN"),
    "0x03": Mapped(Reason.BAD_REQUEST, "documented", "INVCMDID"),
    "0x04": Mapped(Reason.BAD_REQUEST, "documented", "INVBNDSTS"),
    "0x05": Mapped(Reason.BAD_REQUEST, "documented", "ALYBND"),
    "0x06": Mapped(Reason.BAD_REQUEST, "documented", "INVPRTFLG"),
    "0x07": Mapped(Reason.BAD_REQUEST, "documented", "INVREGDLVFLG"),
    "0x08": Mapped(Reason.VENDOR_FAULT, "documented", "SYSERR"),
    "0x0A": Mapped(Reason.BAD_REQUEST, "documented", "INVSRCADR: sender not allowed"),
    "0x0B": Mapped(Reason.INVALID_NUMBER, "documented", "INVDSTADR"),
    "0x0C": Mapped(Reason.BAD_REQUEST, "documented", "INVMSGID"),
    "0x0D": Mapped(Reason.AUTH, "documented", "BINDFAIL"),
    "0x0E": Mapped(Reason.AUTH, "documented", "INVPASWD"),
    "0x0F": Mapped(Reason.AUTH, "documented", "INVSYSID"),
    "0x11": Mapped(Reason.VENDOR_FAULT, "documented", "CANCELFAIL"),
    "0x13": Mapped(Reason.VENDOR_FAULT, "documented", "REPLACEFAIL"),
    "0x14": Mapped(Reason.THROTTLED, "documented", "MSGQFUL"),
    "0x15": Mapped(Reason.BAD_REQUEST, "documented", "INVSERTYP"),
    **{
        code: Mapped(Reason.BAD_REQUEST, "documented", name)
        for code, name in {
            "0x33": "INVNUMDESTS",
            "0x34": "INVDLNAME",
            "0x40": "INVDESTFLAG",
            "0x42": "INVSUBREP",
            "0x43": "INVESMCLASS",
            "0x44": "CNTSUBDL",
            "0x48": "INVSRCTON",
            "0x49": "INVSRCNPI",
            "0x50": "INVDSTTON",
            "0x51": "INVDSTNPI",
            "0x53": "INVSYSTYP",
            "0x54": "INVREPFLAG",
            "0x55": "INVNUMMSGS",
            "0x61": "INVSCHED",
            "0x62": "INVEXPIRY",
            "0x63": "INVDFTMSGID",
            "0xC0": "INVOPTPARSTREAM",
            "0xC1": "OPTPARNOTALLWD",
            "0xC2": "INVPARLEN",
            "0xC3": "MISSINGOPTPARAM",
            "0xC4": "INVOPTPARAMVAL",
        }.items()
    },
    "0x45": Mapped(Reason.UNMAPPED, "inferred", "SUBMITFAIL: balance, content or route, never told which"),
    "0x58": Mapped(Reason.THROTTLED, "documented", "THROTTLED"),
    "0x64": Mapped(Reason.THROTTLED, "documented", "RX_T_APPN: please send again"),
    "0x65": Mapped(Reason.VENDOR_FAULT, "documented", "RX_P_APPN"),
    "0x66": Mapped(Reason.VENDOR_FAULT, "documented", "RX_R_APPN"),
    "0x67": Mapped(Reason.VENDOR_FAULT, "documented", "QUERYFAIL"),
    "0xFE": Mapped(Reason.VENDOR_FAULT, "documented", "DELIVERYFAILURE"),
    "0xFF": Mapped(Reason.UNMAPPED, "documented", "UNKNOWNERR"),
}


def code_of(status: int) -> str:
    """A command_status as the tables spell it.

    >>> code_of(0), code_of(0x58), code_of(0x410)
    ('0', '0x58', '0x410')
    """
    return f"0x{status:02X}" if status else "0"


# --- packets ---------------------------------------------------------------------------------------------------------

# Optional parameters
STATUS_TEXT, RECEIPTED_ID, SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER = 0x001D, 0x001E, 0x020C, 0x020E, 0x020F
SC_VERSION, NETWORK_ERROR, PAYLOAD, STATE = 0x0210, 0x0423, 0x0424, 0x0427

STATES: Final = {
    0: "SCHEDULED",
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
    9: "SKIPPED",
}


_SOURCE: Final = (Number("source_addr_ton"), Number("source_addr_npi"), Terminated("source_addr", 21))
_DEST: Final = (
    Number("dest_addr_ton", default=1),
    Number("dest_addr_npi", default=1),
    Terminated("destination_addr", 21),
)
_LONG_SOURCE: Final = (*_SOURCE[:2], Terminated("source_addr", 65))
_LONG_DEST: Final = (*_DEST[:2], Terminated("destination_addr", 65))
_BIND: Final = (
    Terminated("system_id", 16),
    Terminated("password", 65),  # the standard says 9; vendors give out longer ones
    Terminated("system_type", 13),
    Number("interface_version", default=VERSION),
    Number("addr_ton"),
    Number("addr_npi"),
    Terminated("address_range", 41),
)
_BIND_RESP: Final = (Terminated("system_id", 16), Tlvs())
_SM: Final = (
    Terminated("service_type", 6),
    *_SOURCE,
    *_DEST,
    Number("esm_class"),
    Number("protocol_id"),
    Number("priority_flag"),
    Terminated("schedule_delivery_time", 17, full=True),
    Terminated("validity_period", 17, full=True),
    Number("registered_delivery"),
    Number("replace_if_present_flag"),
    Number("data_coding"),
    Number("sm_default_msg_id"),
    Counted("short_message", most=254),
    Tlvs(),
)
_MESSAGE_ID: Final = Terminated("message_id", 65)

GENERIC_NACK: Final = Pdu("generic_nack", 0x80000000)
BIND_RECEIVER: Final = Pdu("bind_receiver", 0x00000001, _BIND)
BIND_TRANSMITTER: Final = Pdu("bind_transmitter", 0x00000002, _BIND)
BIND_TRANSCEIVER: Final = Pdu("bind_transceiver", 0x00000009, _BIND)
QUERY_SM: Final = Pdu("query_sm", 0x00000003, (_MESSAGE_ID, *_SOURCE))
SUBMIT_SM: Final = Pdu("submit_sm", 0x00000004, _SM)
SUBMIT_SM_RESP: Final = Pdu("submit_sm_resp", 0x80000004, (_MESSAGE_ID,), bare=True)
DELIVER_SM: Final = Pdu("deliver_sm", 0x00000005, _SM)
DELIVER_SM_RESP: Final = Pdu("deliver_sm_resp", 0x80000005, (_MESSAGE_ID,), bare=True)
UNBIND: Final = Pdu("unbind", 0x00000006)
ENQUIRE_LINK: Final = Pdu("enquire_link", 0x00000015)
DATA_SM: Final = Pdu(
    "data_sm",
    0x00000103,
    (
        Terminated("service_type", 6),
        *_LONG_SOURCE,
        *_LONG_DEST,
        Number("esm_class"),
        Number("registered_delivery"),
        Number("data_coding"),
        Tlvs(),
    ),
)
OUTBIND: Final = Pdu("outbind", 0x0000000B, (Terminated("system_id", 16), Terminated("password", 65)))
ALERT_NOTIFICATION: Final = Pdu(
    "alert_notification",
    0x00000102,
    (*_LONG_SOURCE, Number("esme_addr_ton"), Number("esme_addr_npi"), Terminated("esme_addr", 65), Tlvs()),
)

SMPP: Final = Codec(
    "SMPP",
    (
        GENERIC_NACK,
        BIND_RECEIVER,
        Pdu("bind_receiver_resp", 0x80000001, _BIND_RESP, bare=True),
        BIND_TRANSMITTER,
        Pdu("bind_transmitter_resp", 0x80000002, _BIND_RESP, bare=True),
        BIND_TRANSCEIVER,
        Pdu("bind_transceiver_resp", 0x80000009, _BIND_RESP, bare=True),
        QUERY_SM,
        Pdu(
            "query_sm_resp",
            0x80000003,
            (_MESSAGE_ID, Terminated("final_date", 17, full=True), Number("message_state"), Number("error_code")),
            bare=True,
        ),
        SUBMIT_SM,
        SUBMIT_SM_RESP,
        DELIVER_SM,
        DELIVER_SM_RESP,
        UNBIND,
        Pdu("unbind_resp", 0x80000006),
        Pdu(
            "replace_sm",
            0x00000007,
            (
                _MESSAGE_ID,
                *_SOURCE,
                Terminated("schedule_delivery_time", 17, full=True),
                Terminated("validity_period", 17, full=True),
                Number("registered_delivery"),
                Number("sm_default_msg_id"),
                Counted("short_message", most=254),
            ),
        ),
        Pdu("replace_sm_resp", 0x80000007),
        Pdu("cancel_sm", 0x00000008, (Terminated("service_type", 6), _MESSAGE_ID, *_SOURCE, *_DEST)),
        Pdu("cancel_sm_resp", 0x80000008),
        OUTBIND,
        ENQUIRE_LINK,
        Pdu("enquire_link_resp", 0x80000015),
        ALERT_NOTIFICATION,
        DATA_SM,
        Pdu("data_sm_resp", 0x80000103, (_MESSAGE_ID, Tlvs()), bare=True),
    ),
    words=4,
    most=70_000,  # message_payload may have 64 KiB
)


# --- receipts and replies --------------------------------------------------------------------------------------------


def read_deliver(
    packet: Packet, *, default: Alphabet = Alphabet.GSM7, knows: Callable[[bytes], bool] = lambda _: False
) -> CarrierReport | InboundPart:
    """A status report or a reply. `knows` tells ids that we were given: a receipt that does not say that it is one in
    esm_class is taken for one only with such an id. Raises Malformed for a receipt without any id."""
    kind = packet.values.esm_class & 0x3C
    if kind in (0x04, 0x20):
        return _report(packet, is_interim=kind == 0x20)
    if kind == 0:
        receipt = read_receipt(_receipt_text(packet))
        told = _identifier(packet, receipt or {})
        if told and knows(told) and (receipt or packet.tlv(STATE)):
            return _report(packet, is_interim=False)
    return _inbound(packet, default)


def _body(packet: Packet) -> bytes:
    body: bytes = getattr(packet.values, "short_message", b"") or packet.tlv(PAYLOAD) or b""
    return body


def _receipt_text(packet: Packet) -> str:
    return _body(packet).decode("utf-16-be" if packet.values.data_coding == 8 else "latin-1", "replace")


def _identifier(packet: Packet, receipt: Mapping[str, str]) -> bytes:
    if packet.values.tlvs and (told := packet.tlv(RECEIPTED_ID)) is not None:
        return told.partition(b"\0")[0]
    return receipt.get("id", "").encode("latin-1", "replace")


def _report(packet: Packet, *, is_interim: bool) -> CarrierReport:
    receipt = receipt_pairs(_receipt_text(packet))
    identifier = _identifier(packet, receipt)
    if not identifier:
        raise Malformed("deliver_sm receipt", _body(packet), "has no id")
    stat, err, number = receipt.get("stat", ""), receipt.get("err", ""), None
    if tlvs := packet.values.tlvs:
        told = dict(reversed(tlvs))  # of one told twice, the first counts
        state, network, number = told.get(STATE), told.get(NETWORK_ERROR), told.get(SAR_NUMBER)
        if not stat and state:
            stat = STATES.get(state[0], str(state[0]))
        if not err and network is not None and len(network) == 3:
            err = str(int.from_bytes(network[1:], "big"))
    return CarrierReport(
        message_id=identifier,
        stat=stat,
        err=err,
        submitted_at=receipt_time(receipt.get("submit date", "")),
        done_at=receipt_time(receipt.get("done date", "")),
        number=packet.values.source_addr.decode("latin-1"),
        part=number[0] if number else None,
        is_interim=is_interim or stat.upper() in INTERIM,
    )


def _inbound(packet: Packet, default: Alphabet) -> InboundPart:
    body, piece, alphabet = _body(packet), None, alphabet_of_data_coding(packet.values.data_coding, default)
    size = len(body)
    if packet.values.esm_class & 0x40:
        piece, body = split_header(body)
    if piece is None:
        piece = _sar(packet)
    return InboundPart(
        number=packet.values.source_addr.decode("latin-1"),
        to=packet.values.destination_addr.decode("latin-1"),
        text=decode_text(body, alphabet, fill=fill_bits(size - len(body))),
        piece=piece,
        body=body,
        alphabet=alphabet,
    )


def _sar(packet: Packet) -> Piece | None:
    told = [packet.tlv(tag) for tag in (SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER)]
    if any(each is None for each in told):
        return None
    reference, total, number = (int.from_bytes(each or b"", "big") for each in told)
    return Piece(reference, total, number) if 0 < number <= total < 256 else None


# --- sides of a session ----------------------------------------------------------------------------------------------

_TAKEN: Final = Reply({})
_CODINGS: Final = {
    Alphabet.GSM7: 0,
    Alphabet.GSM7_PACKED: 0,
    Alphabet.ASCII: 1,
    Alphabet.LATIN1: 3,
    Alphabet.BINARY: 4,
    Alphabet.UCS2: 8,
}
Mode = Literal["transmitter", "receiver", "transceiver"]
_BINDS: Final[Mapping[Mode, Pdu]] = {
    "transmitter": BIND_TRANSMITTER,
    "receiver": BIND_RECEIVER,
    "transceiver": BIND_TRANSCEIVER,
}
_MODES: Final[Mapping[Pdu, Mode]] = {pdu: mode for mode, pdu in _BINDS.items()}


def numbers(start: int) -> Numbers:
    """SMPP's sequence numbers; see `session.start_at`."""
    return Numbers(start=start, first=1, last=0x7FFFFFFF)


def _coding(alphabet: Alphabet) -> int:
    if alphabet not in _CODINGS:
        raise Malformed("data_coding", alphabet, "SMPP has no such alphabet")
    return _CODINGS[alphabet]


def _ton_npi(sender: str) -> tuple[int, int]:
    """Of a sender: a name, or a number or code as the server knows it."""
    return (0, 1) if sender.isascii() and sender.isdigit() else (5, 0)


def _message(part: Part) -> dict[str, Any]:
    return {
        "esm_class": 0x40 if part.has_header else 0,
        "data_coding": _coding(part.alphabet),
        "short_message": part.body,
    }


def in_sar(values: Mapping[str, Any], piece: Piece) -> dict[str, Any]:
    """A message's values with its part told in parameters instead of a header; both together are forbidden."""
    tlvs = (
        (SAR_REFERENCE, piece.reference.to_bytes(2, "big")),
        (SAR_TOTAL, bytes([piece.total])),
        (SAR_NUMBER, bytes([piece.number])),
    )
    body = split_header(values["short_message"])[1]
    return {**values, "esm_class": values["esm_class"] & ~0x40, "short_message": body, "tlvs": tlvs}


def in_payload(values: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """A message's values with its whole content in message_payload: the server cuts it."""
    return {**values, "esm_class": values["esm_class"] & ~0x40, "short_message": b"", "tlvs": ((PAYLOAD, body),)}


class Client:
    """Our side. `default`: what data_coding 0 means to this server. `knows`: see `read_deliver`."""

    codec = SMPP
    keep_alive, leave = ENQUIRE_LINK, UNBIND
    payload = frozenset({0x00000005, 0x00000103})

    def __init__(
        self,
        *,
        account: str,
        secret: str,
        numbers: Numbers,
        mode: Mode = "transceiver",
        system_type: str = "",
        default: Alphabet = Alphabet.GSM7,
        knows: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._account, self._secret, self._system_type = account.encode(), secret.encode(), system_type.encode()
        self._mode: Mode = mode
        self._default, self._knows = default, knows
        self.numbers = numbers
        self.may_send, self.may_receive = mode != "receiver", mode != "transmitter"

    def login(self) -> tuple[Pdu, dict[str, Any]]:
        values = {"system_id": self._account, "password": self._secret, "system_type": self._system_type}
        return _BINDS[self._mode], values

    def welcome(self, packet: Packet) -> LoggedIn | LoginRefused:
        if packet.status:
            line = REASONS.get(code_of(packet.status))
            return LoginRefused(code=code_of(packet.status), why=line.note if line else "")
        told = packet.tlv(SC_VERSION)
        return LoggedIn(version=told[0] if told else None, dialect="SMPP")

    def submit(
        self,
        part: Part,
        *,
        sender: str,
        number: str,
        report: bool = True,
        source: tuple[int, int] | None = None,
    ) -> tuple[Pdu, dict[str, Any]]:
        """One short message to one number (digits with the country code, no plus). `source`: its TON and NPI.

        Raises:
            Malformed: SMPP has no such alphabet.
        """
        ton, npi = source or _ton_npi(sender)
        values = {
            "source_addr_ton": ton,
            "source_addr_npi": npi,
            "source_addr": sender.encode(),
            "destination_addr": number.encode(),
            "registered_delivery": int(report),
            **_message(part),
        }
        return SUBMIT_SM, values

    def verdict(self, packet: Packet) -> Verdict:
        return _verdict(packet)

    def content(self, packet: Packet) -> CarrierReport | InboundPart:
        return read_deliver(packet, default=self._default, knows=self._knows)

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        return _TAKEN if not code else Reply({}, code)

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)


def _verdict(packet: Packet) -> Verdict:
    code = code_of(packet.status)
    if not packet.status:
        return Verdict(code, getattr(packet.values, "message_id", b"") or None, None)
    line = REASONS.get(code)
    return Verdict(code, None, Reason(line.reason) if line else Reason.UNMAPPED)


def _trouble(header: Header, trouble: Trouble) -> bytes | None:
    response = SMPP.pdus.get(header.command | RESPONSE)
    if trouble is Trouble.BAD_LENGTH:
        return SMPP.encode(GENERIC_NACK, 0, status=RINVCMDLEN)
    if trouble is Trouble.UNKNOWN_COMMAND:
        return SMPP.encode(GENERIC_NACK, header.sequence, status=RINVCMDID)
    if response is None or header.command >= RESPONSE:
        return b""  # outbind and alert_notification have no response
    is_bind = header.command in (0x00000001, 0x00000002, 0x00000009)
    status = {
        Trouble.BUSY: RMSGQFUL if header.command == SUBMIT_SM.command else RX_T_APPN,
        Trouble.MALFORMED: RINVCMDLEN,
        Trouble.BEFORE_LOGIN: RINVBNDSTS,
        Trouble.OUT_OF_PLACE: RALYBND if is_bind else RINVBNDSTS,
    }[trouble]
    return SMPP.encode(response, header.sequence, status=status)


class Gateway:
    """The centre's side, as the standard describes it. `secrets` by account; `default` as in `Client`."""

    codec = SMPP
    keep_alive, leave = ENQUIRE_LINK, UNBIND
    payload = frozenset({0x00000003, 0x00000004, 0x00000007, 0x00000008, 0x00000103})

    def __init__(
        self,
        *,
        secrets: Mapping[str, str],
        numbers: Numbers,
        system_id: str = "SMSC",
        default: Alphabet = Alphabet.GSM7,
    ) -> None:
        self._secrets, self._system_id, self._default = secrets, system_id.encode(), default
        self.numbers = numbers
        self.may_send = self.may_receive = True

    def admit(self, packet: Packet) -> Admission:
        mode = _MODES.get(packet.pdu)
        if mode is None:
            return Admission(None, LoginRefused(code=code_of(RINVBNDSTS), why=f"{packet.pdu.name} before bind"))
        account = packet.values.system_id.decode("latin-1")
        secret = self._secrets.get(account)
        status = 0
        if secret is None:
            status = RINVSYSID
        elif not compare_digest(secret.encode(), packet.values.password):
            status = RINVPASWD
        if status:
            return Admission(Reply({}, status), LoginRefused(code=code_of(status), why=REASONS[code_of(status)].note))
        self.may_send, self.may_receive = mode != "transmitter", mode != "receiver"
        reply = Reply({"system_id": self._system_id, "tlvs": ((SC_VERSION, bytes([VERSION])),)})
        return Admission(
            reply, LoggedIn(version=packet.values.interface_version, dialect=f"SMPP {mode}", account=account)
        )

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
        parameters: bool = True,
        text_id: bytes | None = None,
        is_interim: bool = False,
    ) -> tuple[Pdu, dict[str, Any]]:
        """A deliver_sm with a receipt. `parameters`: the id and the state in TLVs as well; `text_id`: another spelling
        of the id in the text."""
        text = (
            f"id:{(text_id or message_id).decode('latin-1')} sub:001 dlvrd:{'001' if stat == 'DELIVRD' else '000'} "
            f"submit date:{stamp(submitted_at).decode()} done date:{stamp(done_at).decode()} "
            f"stat:{stat} err:{err} text:"
        )
        state = next((code for code, name in STATES.items() if name == stat), 7)
        values = {
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": number.encode(),
            "dest_addr_ton": _ton_npi(sender)[0],
            "dest_addr_npi": _ton_npi(sender)[1],
            "destination_addr": sender.encode(),
            "esm_class": 0x20 if is_interim else 0x04,
            "short_message": text.encode("latin-1"),
            "tlvs": ((RECEIPTED_ID, message_id + b"\0"), (STATE, bytes([state]))) if parameters else (),
        }
        return DELIVER_SM, values

    def inbound(self, part: Part, *, number: str, to: str) -> tuple[Pdu, dict[str, Any]]:
        """A deliver_sm with a reply from a phone. Raises Malformed."""
        values = {
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": number.encode(),
            "dest_addr_ton": _ton_npi(to)[0],
            "dest_addr_npi": _ton_npi(to)[1],
            "destination_addr": to.encode(),
            **_message(part),
        }
        return DELIVER_SM, values

    def verdict(self, packet: Packet) -> Verdict:
        return _verdict(packet)

    def content(self, packet: Packet) -> Submission | None:
        if packet.pdu.command not in (0x00000004, 0x00000103):
            return None
        message = _inbound(packet, self._default)
        return Submission(
            numbers=(message.to,),
            sender=message.number,
            text=message.text,
            piece=message.piece,
            body=message.body,
            alphabet=message.alphabet,
            wants_report=bool(packet.values.registered_delivery & 0x03),
        )

    def reply(self, packet: Packet, code: int, message_id: bytes | None) -> Reply:
        if code or packet.pdu.command in (0x00000007, 0x00000008):
            return Reply({}, code)
        return Reply({"message_id": message_id or b""})

    def trouble(self, header: Header, trouble: Trouble) -> bytes | None:
        return _trouble(header, trouble)
