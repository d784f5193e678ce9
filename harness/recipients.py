"""`recipients.csv`: the people who agreed to receive test messages, read line by line with every complaint at once.

What a complaint says of a number is masked.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

from harness.domain import Carrier, Consent, Recipient, RecipientKind, mask
from harness.errors import Complaint
from harness.numbering import NotMobile, parse_mobile

E = TypeVar("E", bound=StrEnum)

_COLUMNS: Final = (
    "id",
    "number",
    "carrier",
    "allotted_carrier",
    "province",
    "kind",
    "consent_by",
    "consent_on",
    "forwarder",
    "spare",
    "tester",
    "cap_per_day",
    "since",
)
_SAMPLE: Final = re.compile(r"\+861\d\d0000\d{4}")
_NUMBER: Final = re.compile(r"(1[3-9]\d)[ -]?\d{4}[ -]?\d{2}(\d{2})")


def mask_numbers(text: str) -> str:
    """A text in which whatever may be a mobile number is masked.

    >>> mask_numbers("got 'r1 138 0000 1234'")
    "got 'r1 138******34'"
    """
    return _NUMBER.sub(r"\1******\2", text)


def yes_no(text: str) -> bool:
    """ "yes" or "no". Raises ValueError."""
    if text.strip().lower() not in ("yes", "no", ""):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.strip().lower() == "yes"


def whole(text: str) -> int:
    """A whole number above 0. Raises ValueError."""
    if not re.fullmatch(r"\d{1,12}", text.strip()) or int(text) == 0:
        raise ValueError(f"{text!r} is no whole number above 0")
    return int(text)


def read_recipients(
    text: str, name: str, *, forwarders: frozenset[str], live: bool
) -> tuple[tuple[Recipient, ...], list[Complaint]]:
    """Recipients from CSV, and everything that is wrong. Columns that are not ours are tags: slices of their own."""
    complaints: list[Complaint] = []
    reader = csv.DictReader(io.StringIO(text))
    try:
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        place = f"{name}, line {reader.line_num}"
        return (), [Complaint(place=place, problem=str(error), way_out="Mend the quotes there, or save it anew.")]
    for column in ("id", "number", "carrier", "consent_by", "consent_on"):
        if column not in columns:
            way_out = f"Columns are {', '.join(_COLUMNS)}, and tags of your own."
            complaints.append(Complaint(place=f"{name}, line 1", problem=f"lacks the column {column}", way_out=way_out))
    for column in {column: None for column in columns if columns.count(column) > 1}:
        problem = f"has the column {column!r} twice" if column else "has columns without a name"
        complaints.append(Complaint(place=f"{name}, line 1", problem=problem, way_out="Remove one of the two."))
    tags = [column for column in columns if column not in _COLUMNS]
    for column in tags:
        if near := difflib.get_close_matches(column, _COLUMNS, 1, 0.85):
            problem, way_out = f"the column {column!r} is no column of ours", f"Did you mean {near[0]}?"
            complaints.append(Complaint(place=f"{name}, line 1", problem=problem, way_out=way_out))
    if complaints:
        return (), complaints
    recipients: dict[str, Recipient] = {}
    numbers: dict[str, int] = {}
    phones: dict[str, str] = {}
    for line, row in rows:
        person, wrong = _Row(name, line, row).read(tags, forwarders, live=live)
        complaints += wrong
        if person is None:
            continue
        if person.id in recipients or person.number in numbers:
            what = "id" if person.id in recipients else "number"
            problem = f"the {what} of {person.id} ({person.masked}) stands here a second time"
            complaints.append(
                Complaint(place=f"{name}, line {line}", problem=problem, way_out="Remove one of the two.")
            )
            continue
        if person.forwarder in phones:
            # A post names its forwarder and nothing else: two recipients behind one could not be told apart.
            problem = f"the forwarder {person.forwarder} of {person.id} serves {phones[person.forwarder]} already"
            way_out = "Give each handset a forwarder of its own."
            complaints.append(Complaint(place=f"{name}, line {line}: forwarder", problem=problem, way_out=way_out))
        elif person.forwarder is not None:
            phones[person.forwarder] = person.id
        recipients[person.id], numbers[person.number] = person, line
    return tuple(recipients.values()), complaints


class _Row:
    """One line of recipients.csv. What it says of a number in a complaint is masked."""

    def __init__(self, name: str, line: int, row: Mapping[str | None, Any]) -> None:
        self.name, self.line = name, line
        self.row = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
        self.complaints: list[Complaint] = []
        if None in row:
            self.complain("", "has more values than columns", "Quote values that contain a comma.")

    def complain(self, column: str, problem: str, way_out: str) -> None:
        place = f"{self.name}, line {self.line}" + (f": {column}" if column else "")
        # Values that slipped into the wrong column may be numbers.
        self.complaints.append(Complaint(place=place, problem=mask_numbers(problem), way_out=way_out))

    def read(
        self, tags: Sequence[str], forwarders: frozenset[str], *, live: bool
    ) -> tuple[Recipient | None, list[Complaint]]:
        number, allotted = self._number(live=live)
        kind = self._choice("kind", RecipientKind, RecipientKind.HANDSET)
        forwarder = self.row.get("forwarder") or None
        if forwarder is not None and forwarder not in forwarders:
            self.complain("forwarder", f"got {forwarder!r}", "Name one of the evaluation's forwarders.")
        if forwarder is None and kind is RecipientKind.HANDSET:
            self.complain("forwarder", "is missing", "A handset needs the forwarder that reports what it saw.")
        if not self.row.get("id"):
            self.complain("id", "is missing", "Give each recipient a short id; reports show it, not the number.")
        elif not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", self.row["id"]) or _NUMBER.search(self.row["id"]):
            way_out = "Use a short name of letters, digits, dots and hyphens, not the number: reports show it."
            self.complain("id", f"got {self.row['id'][:40]!r}", way_out)
        consent_on = self._day("consent_on")
        if not self.row.get("consent_by") or consent_on is None:
            self.complain(
                "consent_by",
                "there is no consent on file",
                "Nothing is sent without it: who agreed (consent_by), when.",
            )
        cap = self._parsed("cap_per_day", whole)
        person = None
        if number is not None and not self.complaints and consent_on is not None:
            person = Recipient(
                id=self.row["id"],
                number=number,
                carrier=self._choice("carrier", Carrier, allotted),
                allotted_carrier=self._choice("allotted_carrier", Carrier, allotted),
                province=self.row.get("province", ""),
                kind=kind,
                consent=Consent(by=self.row["consent_by"], on=consent_on),
                forwarder=forwarder,
                spare=bool(self._parsed("spare", yes_no)),
                tester=bool(self._parsed("tester", yes_no)),
                cap_per_day=cap,
                since=self._day("since"),
                tags={tag: self.row[tag] for tag in tags if self.row.get(tag)},
            )
        else:
            self._choice("carrier", Carrier, allotted)
        return (None if self.complaints else person), self.complaints

    def _number(self, *, live: bool) -> tuple[str | None, Carrier | None]:
        raw = self.row.get("number", "")
        try:
            number, carrier = parse_mobile(raw)
        except NotMobile as error:
            way_out = "Write a mainland mobile number, e.g. 138…, eleven digits."
            self.complain("number", f"{mask(raw)!r} {error}", way_out)
            return None, None
        if live and _SAMPLE.fullmatch(number):
            self.complain("number", f"{mask(number)!r} is a sample number", "Live runs need real, consenting numbers.")
            return None, None
        return number, carrier

    def _choice(self, column: str, kind: type[E], default: E | None) -> E:
        value = self.row.get(column, "")
        if not value and default is not None:
            return default
        if value not in set(kind):
            near = difflib.get_close_matches(value, list(kind), 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            self.complain(column, f"got {value!r}", f"Write one of {', '.join(kind)}.{hint}")
            return next(iter(kind))
        return kind(value)

    def _parsed(self, column: str, parse: Callable[[str], Any]) -> Any:
        value = self.row.get(column, "")
        if not value:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.complain(column, str(error), "Mend the value, or leave it empty.")
            return None

    def _day(self, column: str) -> date | None:
        day: date | None = self._parsed(column, date.fromisoformat)
        return day
