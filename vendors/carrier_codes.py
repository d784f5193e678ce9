"""Carriers' report codes as they come through every vendor, mapped to our reasons, each with how sure we are.

Only codes on which published tables agree; codes read differently by different vendors (MK:0012, MK:0013, MK:0000,
MA:0001, MN:0001, BEYONDN) belong in the table of the vendor that explains them. Sources: facts/protocols/cmpp.md 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from harness.capabilities import Mapped
from harness.domain import Carrier, DeliveryState, Reason

_SURVEY: Final = "published code tables of several vendors that agree (CMPP 3.0 for the shape)"
_SGIP: Final = "China Unicom SGIP 1.3 (2009), error codes"
_SMGP: Final = "China Telecom SMGP 3.0.3 (2008), 6.2.63.2"


def _lines(reason: Reason, confidence: str, codes: str, note: str = "", source: str = _SURVEY) -> dict[str, Mapped]:
    return {code: Mapped(reason, confidence, note, source) for code in codes.split()}


def _of(carrier: Carrier, source: str, *lines: tuple[Reason, str, str, str]) -> dict[tuple[Carrier, str], Mapped]:
    return {(carrier, code): Mapped(reason, sure, note, source) for reason, sure, code, note in lines}


CARRIER_CODES: Final[Mapping[str, Mapped]] = {
    # the person complained, is on a carrier's list, or opted out
    **_lines(Reason.BLACKLISTED, "documented", "MB:1077 DB:0141 DB:0144 DB:0164 MBBLACK BLACK TDBLACK TSBLACK W-BLACK"),
    **_lines(Reason.BLACKLISTED, "documented", "MX:0007 MX:0009 MX:0011 MX:0013 HIGRISK BWLIST"),
    **_lines(Reason.BLACKLISTED, "documented", "PUBLOKD BLOCKED CR:0201"),
    **_lines(Reason.OPTED_OUT, "documented", "MX:0012 TUIDING", "the opt-out list"),
    **_lines(Reason.BLACKLISTED, "copied", "DB:0139 ID:0069"),
    # words
    **_lines(Reason.SENSITIVE_CONTENT, "copied", "ID:0076 IA:0076 IB:0076 KEYWORD KEYWORDS TC:0007 CR:0200"),
    **_lines(Reason.SENSITIVE_CONTENT, "copied", "XA:0004 XA:0005 MX:0004 MX:0006"),
    **_lines(Reason.SENSITIVE_CONTENT, "inferred", "MK:0014 MK:0115"),
    # too many messages for this person
    **_lines(Reason.FREQUENCY_CAP, "documented", "MILIMIT LIMIT CTLIMIT BEYONDM BEYONDH BEYONDD MX:0003 TE:0003"),
    **_lines(Reason.FREQUENCY_CAP, "documented", "CR:0202 XA:0100 DB:0142 MA:0022"),
    # the vendor was too fast for the carrier's gateway: its doing, not the person's
    **_lines(Reason.VENDOR_FAULT, "copied", "IB:0008 MI:0061 MI:0062 CR:0206", "flow control at the carrier's gateway"),
    # off, out of coverage, memory full, phone at fault
    **_lines(Reason.UNREACHABLE, "copied", "EXPIRED MI:0024 MK:0023 MK:0024 MK:0008 MK:0009 MC:0055 MN:0059"),
    **_lines(Reason.UNREACHABLE, "copied", "MI:0042 MI:0076 MI:0082"),
    **_lines(
        Reason.UNREACHABLE, "copied", "MK:0017 MB:1031 MI:0022 MI:0099 MI:0208 MK:0015", "the phone, or it is full"
    ),
    # no such number
    **_lines(Reason.INVALID_NUMBER, "documented", "MK:0001", "the home register does not know it"),
    **_lines(Reason.INVALID_NUMBER, "inferred", "CB:0001 CB:0053 DB:0100 DB:0101 MI:0073 MI:0210"),
    # suspended or in arrears
    **_lines(Reason.OUT_OF_SERVICE, "copied", "DB:0102 DB:0103 MK:0005 MI:0013 CB:0007"),
    # the signature is not filed with the carrier (a carrier often answers with another code instead)
    **_lines(Reason.SIGNATURE_NOT_REGISTERED, "documented", "XA:0003 XA:0002 SC:0018 CR:0215 CR:0212 MX:0005 EM:0102"),
    **_lines(Reason.SIGNATURE_NOT_REGISTERED, "documented", "SIGNBLOCKED SIGFAIL QM_FAIL NOSEND"),
    # routes
    **_lines(Reason.ROUTING, "copied", "NP:1243 MH:0007 NE:0106 -9000", "ported number"),
    **_lines(Reason.ROUTING, "inferred", "MA:0033 -8704", "the region is shut"),
    **_lines(Reason.ROUTING, "documented", "NOROUTE IA:0072 IB:0072 ID:0072"),
}

CARRIER_OWN: Final[Mapping[tuple[Carrier, str], Mapped]] = {
    # Bare numbers mean one thing at one carrier and another elsewhere, so they count only where the carrier is known.
    # What the carriers' own documents and a second source say differently (Unicom 8, 10, 12, 24, 88; Telecom 601 and
    # most of 6xx to 8xx) is left out.
    **_of(
        Carrier.CHINA_UNICOM,
        _SGIP,
        (Reason.ROUTING, "documented", "21", "the destination cannot be reached"),
        (Reason.ROUTING, "documented", "22", "a wrong route"),
        (Reason.ROUTING, "documented", "23", "no route"),
        (Reason.UNREACHABLE, "documented", "25", "off or out of coverage"),
        (Reason.UNREACHABLE, "documented", "26", "memory full"),
        (Reason.UNREACHABLE, "documented", "27", "a phone without SMS"),
        (Reason.UNREACHABLE, "documented", "28", "the phone failed to receive"),
        (Reason.INVALID_NUMBER, "documented", "29", "unknown user"),
        (Reason.UNREACHABLE, "inferred", "31", "illegal device"),
        (Reason.VENDOR_FAULT, "inferred", "33", "too many a second, or the service centre's queue is full"),
        (Reason.BLACKLISTED, "copied", "69", "two vendors agree; not in the carrier's document"),
    ),
    **_of(
        Carrier.CHINA_TELECOM,
        _SMGP,
        (Reason.UNREACHABLE, "documented", "001", "not reachable"),
        (Reason.UNREACHABLE, "documented", "002", "busy"),
        (Reason.INVALID_NUMBER, "inferred", "003", "终端无此部件号: no such number, as we read it"),
        (Reason.INVALID_NUMBER, "inferred", "004", "illegal user"),
        (Reason.BLACKLISTED, "documented", "005", "on the blacklist"),
        (Reason.CARRIER_FAULT, "documented", "006", "system error"),
        (Reason.UNREACHABLE, "documented", "007", "memory full"),
        (Reason.UNREACHABLE, "documented", "008", "a phone without SMS"),
        (Reason.CARRIER_FAULT, "documented", "009", "data error"),
        (Reason.CARRIER_FAULT, "documented", "010", "data lost"),
    ),
}
"""Codes by the carrier whose they are. A vendor that relays them bare says so in its own table, if it means others."""

_FAMILIES: Final[Mapping[str, Mapped]] = {
    # Who failed, and how (CMPP 3.0, table 1): A no answer, B error answer, C no report. Not the person, anyway.
    **_lines(Reason.CARRIER_FAULT, "inferred", "IA IB IC MA MC CA DA", "by its first two letters"),
}

_BARE: Final = re.compile(r"(?:[A-Z]{6,7}_)?([0-9]{1,4})")
_NUMBERED: Final = re.compile(r"([A-Z]{1,3})[:_-]?([0-9]{1,5})(?:_[0-9]{1,4})?")


def normalised(code: str) -> str:
    """A code as the table spells it: upper case, "MK:0001" for MK0001, MK00001, MK:1 and MK:0001_006.

    >>> normalised("mk00001"), normalised("MK:0001_006"), normalised("DELIVRD\\0")
    ('MK:0001', 'MK:0001', 'DELIVRD')
    """
    plain = code.strip("\0 \t\r\n").upper()
    found = _NUMBERED.fullmatch(plain)
    return f"{found[1]}:{int(found[2]):04d}" if found else plain


def _spellings(code: str) -> Iterator[str]:
    yield code
    yield normalised(code)


def _own(code: str, carrier: Carrier | None) -> Mapped | None:
    """The carrier's own line for a bare number, however many noughts stand before it ("STAT_err" counts by its err)."""
    found = _BARE.fullmatch(code.strip("\0 \t\r\n"))
    if found is None or carrier is None:
        return None
    width = 3 if carrier is Carrier.CHINA_TELECOM else 1
    return CARRIER_OWN.get((carrier, f"{int(found[1]):0{width}d}"))


def report_reason(code: str, *tables: Mapping[str, Mapped], carrier: Carrier | None = None) -> Reason:
    """Why a message was not delivered: the vendor's own tables first, then the carrier's, the carriers', the family.

    `carrier`: whose code it is, where the vendor tells with the report.

    A vendor's table names a family by its beginning and a colon ("MK:" for MK:0012, mk_12). What no table knows is
    Reason.UNMAPPED.
    """
    for spelling in _spellings(code):
        for table in tables:
            if spelling in table:
                return Reason(table[spelling].reason)
    if line := _own(code, carrier):
        return Reason(line.reason)
    for spelling in _spellings(code):
        if spelling in CARRIER_CODES:
            return Reason(CARRIER_CODES[spelling].reason)
    beginning = re.split("[:_]", normalised(code), maxsplit=1)
    for table in tables:
        if len(beginning) == 2 and (line := table.get(f"{beginning[0]}:")):
            return Reason(line.reason)
    family = _FAMILIES.get(normalised(code).partition(":")[0])
    return Reason(family.reason) if family else Reason.UNMAPPED


_STATES: Final[Mapping[str, DeliveryState]] = {
    "EXPIRED": DeliveryState.EXPIRED,
    "REJECTD": DeliveryState.REJECTED,
}


def failed_state(code: str) -> DeliveryState:
    """What a failed report's code says beyond "not delivered": it expired, or was turned away."""
    return _STATES.get(normalised(code), DeliveryState.UNDELIVERED)
