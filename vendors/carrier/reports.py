"""Status reports as the carriers' protocols carry them, read to one value, whatever their spelling.

The id is kept as raw bytes; `spellings` gives the forms under which two sides write the same one. Codes stay as they
came; what they mean is told with how sure we are. Sources: facts/protocols/smpp.md 4, cmpp.md 5 and 8, smgp.md 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from harness.capabilities import Mapped
from harness.domain import BEIJING, DeliveryState, Reason
from vendors.carrier_codes import CARRIER_CODES, normalised, report_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierReport:
    """A status report inside a deliver, or SGIP's own. A claim.

    `message_id`: as on the wire; binary in CMPP, SMGP and SGIP, text in SMPP. `stat` and `err` untouched, without
    padding. `part`: which part of a long message, where the report says so itself.
    """

    message_id: bytes
    stat: str
    err: str = ""
    submitted_at: datetime | None = None
    done_at: datetime | None = None
    number: str = field(default="", repr=False)
    part: int | None = None
    is_interim: bool = False  # an intermediate state: the message stays open

    @property
    def code(self) -> str:
        """Theirs in one piece: the stat, and the err behind it where it says more.

        >>> CarrierReport(message_id=b"1", stat="UNDELIV", err="012").code
        'UNDELIV_012'
        """
        return f"{self.stat}_{self.err}" if self.err.strip("0 ") else self.stat


# --- what it means ---------------------------------------------------------------------------------------------------

INTERIM: Final = frozenset({"ACCEPTD", "ENROUTE", "SCHEDULED", "ACCEPTED"})

_STATES: Final[Mapping[str, DeliveryState]] = {
    "DELIVRD": DeliveryState.DELIVERED,
    "DELIVERED": DeliveryState.DELIVERED,
    "EXPIRED": DeliveryState.EXPIRED,
    "REJECTD": DeliveryState.REJECTED,
    "UNDELIV": DeliveryState.UNDELIVERED,
    "DELETED": DeliveryState.UNDELIVERED,
    "UNKNOWN": DeliveryState.UNKNOWN,
    "SKIPPED": DeliveryState.UNDELIVERED,
    "0": DeliveryState.DELIVERED,  # SGIP's State
    # Two letters and digits: the centre's final state, and its own error (cmpp.md 8, [B1]).
    "MI": DeliveryState.EXPIRED,
    "MM": DeliveryState.UNKNOWN,
    "MN": DeliveryState.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a report claims, in our words. `confidence` as in code tables; None: no table knows the code."""

    state: DeliveryState
    reason: Reason | None  # None when delivered, or when it is not over
    confidence: str | None


def meaning(report: CarrierReport, *tables: Mapping[str, Mapped]) -> Meaning:
    """A report's state and reason, by the given tables first (by err or by code), then by the carriers' common one."""
    stat = normalised(report.stat)
    if report.is_interim or stat in INTERIM or stat.startswith("ML:"):
        return Meaning(state=DeliveryState.UNKNOWN, reason=None, confidence="documented")
    state = _STATES.get(stat) or _STATES.get(stat.partition(":")[0], DeliveryState.UNDELIVERED)
    if state is DeliveryState.DELIVERED:
        return Meaning(state=state, reason=None, confidence="documented")
    for code in _codes(report):
        for table in (*tables, CARRIER_CODES):
            if line := table.get(code):
                return Meaning(state=state, reason=Reason(line.reason), confidence=line.confidence)
    reason = report_reason(report.code, *tables)
    return Meaning(state=state, reason=reason, confidence=None if reason is Reason.UNMAPPED else "inferred")


def _codes(report: CarrierReport) -> Iterator[str]:
    """Spellings under which a table may know a report, the most telling first."""
    yield report.code
    if report.err.strip("0 "):
        yield report.err
        yield normalised(report.err)
    yield report.stat
    yield normalised(report.stat)


# --- ids -------------------------------------------------------------------------------------------------------------


class Spelling(StrEnum):
    """How an id in a report relates to the id in the response."""

    AS_IS = "as_is"
    FOLDED = "folded"  # letter case
    UNPADDED = "unpadded"  # zeros in front lost or added
    TO_HEX = "to_hex"  # decimal in the report, hexadecimal in the response
    TO_DECIMAL = "to_decimal"  # the other way round


def spellings(message_id: bytes) -> dict[Spelling, bytes]:
    """The forms under which the response may have written the id that a report gives, the likeliest first.

    >>> spellings(b"0000002587")[Spelling.TO_HEX], spellings(b"0A1B")[Spelling.TO_DECIMAL]
    (b'a1b', b'2587')
    """
    folded = message_id.lower()
    bare = folded.lstrip(b"0") or b"0"
    found = {Spelling.AS_IS: message_id, Spelling.FOLDED: folded, Spelling.UNPADDED: bare}
    if len(bare) <= 32 and re.fullmatch(rb"[0-9]+", bare):
        found[Spelling.TO_HEX] = b"%x" % int(bare)
    if len(bare) <= 32 and re.fullmatch(rb"[0-9a-f]+", bare):
        found[Spelling.TO_DECIMAL] = b"%d" % int(bare, 16)
    return found


def same_id(submitted: bytes, reported: bytes, *, by: Spelling | None = None) -> Spelling | None:
    """By which rule two ids are the same, if they are; `by` allows that rule alone.

    Converting blindly takes strangers for one: the caller accepts only if one open message fits, and its number too.
    """
    plain = submitted.lower().lstrip(b"0") or b"0"
    for rule, form in spellings(reported).items():
        wanted = {Spelling.AS_IS: submitted, Spelling.FOLDED: submitted.lower()}.get(rule, plain)
        if form == wanted and by in (None, rule):
            return rule
    return None


# --- SMPP's text -----------------------------------------------------------------------------------------------------

_KEY: Final = re.compile(r"(?i)(?<![a-z])(id|sub|dlvrd|submit[ _]date|done[ _]date|stat|err|text):")


_USUAL_KEYS: Final = ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err", "text")
_USUAL: Final = re.compile(
    r"id:([^\s\0:]+) sub:([0-9]+) dlvrd:([0-9]+) submit date:([0-9]+) done date:([0-9]+) stat:(\w+) err:(\w+) [Tt]ext:"
    r"((?![\0 \t\r\n])[^\0\t\r\n]*(?<![\0 \t\r\n]))?"
)
"""The standard's own form, which most gateways keep to: read at once."""


def receipt_pairs(text: str) -> dict[str, str]:
    """What stands under the keys that a receipt's text may have, by key in lower case; all else is passed over.

    >>> receipt_pairs("id:7 submit date:2405251030 stat:DELIVRD err:000 Text: a:b")
    {'id': '7', 'submit date': '2405251030', 'stat': 'DELIVRD', 'err': '000', 'text': 'a:b'}
    """
    if usual := _USUAL.fullmatch(text):
        return dict(zip(_USUAL_KEYS, usual.groups(""), strict=True))
    found: dict[str, str] = {}
    at, key = 0, ""
    for label in _KEY.finditer(text):
        if key:
            found.setdefault(key, text[at : label.start()].strip("\0 \t\r\n"))
        at, key = label.end(), label[1].lower().replace("_", " ")
        if key == "text":
            break
    if key:
        found.setdefault(key, text[at:].strip("\0 \t\r\n"))
    return found


def read_receipt(text: str) -> dict[str, str] | None:
    """The pairs of a text that nothing but itself calls a receipt. None: it is none."""
    found = receipt_pairs(text)
    return found if "stat" in found or ("id" in found and len(found) > 1) else None


@lru_cache(maxsize=4096)  # stamps are of a minute: thousands of reports share one
def receipt_time(digits: str) -> datetime | None:
    """A stamp of 10, 12 or 14 digits, or more behind: Beijing's time. None if it is none.

    >>> receipt_time("2405251030"), receipt_time("180711070003912+")
    (datetime.datetime(2024, 5, 25, 2, 30, tzinfo=datetime.timezone.utc), \
datetime.datetime(2018, 7, 10, 23, 0, 3, tzinfo=datetime.timezone.utc))
    """
    found = re.match(r"[0-9]{10,}", digits)
    if found is None:
        return None
    plain = found[0]
    if plain.startswith("20") and len(plain) == 14:
        plain = plain[2:]
    try:
        stamp = datetime(
            2000 + int(plain[:2]),
            int(plain[2:4]),
            int(plain[4:6]),
            int(plain[6:8]),
            int(plain[8:10]),
            int(plain[10:12]) if len(plain) >= 12 else 0,
            tzinfo=BEIJING,
        )
    except ValueError:
        return None
    return stamp.astimezone(UTC)


def stamp(at: datetime, *, seconds: bool = False) -> bytes:
    """YYMMDDhhmm[ss] in Beijing's time, as reports carry it."""
    return at.astimezone(BEIJING).strftime("%y%m%d%H%M%S" if seconds else "%y%m%d%H%M").encode()
