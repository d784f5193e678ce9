"""A run's messages as a person reads them: one row a message, in words, with reasons where something did not happen.

Recipients are ids of the run's own list, never numbers; what looks like a phone number all the same is masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from harness.words import Words
from reports.figures import Desk

BEIJING_SECONDS: Final = 8 * 3600
DAY: Final = 86_400.0
EPOCH: Final = 25_569.0  # days from the spreadsheet's first day to 1970-01-01
FORMS: Final = {
    "sent": "moment", "wait": "seconds", "report_time": "seconds", "arrival_time": "seconds"
}  # fmt: skip
"""Columns of numbers and how they are written; all others are text."""
_NUMBER: Final = re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)")

Cells = Sequence[str | float]


def columns(frame: pd.DataFrame, words: Words, desk: Desk) -> Mapping[str, Cells]:
    """Cells by column, in order. `frame`: `messages` of harness.judge.journeys.Evidence; times in seconds, UTC."""
    outcome, watch = _list(frame, "outcome"), _list(frame, "watch")
    reported = _list(frame, "report_state")
    sent, not_sent = _list(frame, "sent_at"), words("case.not_sent")
    why_unseen = [
        words(f"case.watch.{w}") if w in WATCHES else words("case.not_taken" if o != "accepted" else "case.not_watched")
        for w, o in zip(watch, outcome, strict=True)
    ]
    no_report = words("case.no_report")
    return {
        "id": [
            str(id) if not leg else f"{id}/{int(leg) + 1}"  # the second message of a case and so on
            for id, leg in zip(_list(frame, "case_id"), _list(frame, "leg"), strict=True)
        ],
        "vendor": _named(frame, "vendor", lambda label: desk.party(label).name, words),
        "scenario": _named(frame, "scenario", lambda id: words.name("scenario", id), words),
        "recipient": _named(frame, "recipient", masked, words),
        "carrier": _named(frame, "carrier", lambda id: words.name("carrier", id), words),
        "purpose": _named(frame, "purpose", lambda id: words.name("purpose", id), words),
        "sent": [not_sent if _none(x) else EPOCH + (x + BEIJING_SECONDS) / DAY for x in sent],
        "outcome": _named(frame, "outcome", lambda id: words.name("case.outcome", id), words),
        "wait": _or(_list(frame, "wait"), [words("case.no_answer")] * len(frame)),
        "reason": _reasons(frame, words),
        "report": [no_report if _none(x) else words.name("case.report", str(x)) for x in reported],
        "report_time": _or(_spans(frame, "reported_at"), [no_report] * len(frame)),
        "seen": why_unseen,
        "arrival_time": _or(_spans(frame, "arrived_at"), why_unseen),
        "sender": _named(frame, "sender", masked, words, "case.no_sender"),
    }


WATCHES: Final = ("arrived", "missing", "void", "unknown")


def masked(text: str) -> str:
    """A text with the middle of every mainland phone number hidden: 138****1234."""
    return _NUMBER.sub(r"\1****\2", text)


def _none(x: Any) -> bool:
    return x is None or x != x or x == ""


def _list(frame: pd.DataFrame, column: str) -> list[Any]:
    """A column as plain values, None where nothing is known."""
    if column not in frame.columns:
        return [None] * len(frame)
    return [None if one is pd.NA or one is pd.NaT or one != one else one for one in frame[column].tolist()]


def _named(
    frame: pd.DataFrame, column: str, name: Callable[[str], str], words: Words, nothing: str = "unknown"
) -> list[str]:
    """A column of words or ids, each looked up once."""
    known: dict[Any, str] = {}
    cells = []
    for one in _list(frame, column):
        if one not in known:
            known[one] = words(nothing) if _none(one) else name(str(one))
        cells.append(known[one])
    return cells


def _or(numbers: Sequence[Any], reasons: Sequence[str]) -> list[str | float]:
    return [reason if _none(x) else float(x) for x, reason in zip(numbers, reasons, strict=True)]


def _spans(frame: pd.DataFrame, column: str) -> list[float | None]:
    """Seconds from sending to a time."""
    pairs = zip(_list(frame, "sent_at"), _list(frame, column), strict=True)
    return [None if _none(begin) or _none(end) else round(end - begin, 3) for begin, end in pairs]


def _reasons(frame: pd.DataFrame, words: Words) -> list[str]:
    """Why something was refused or failed, ours with the vendor's code; a plain dash of words where nothing was."""
    columns = ("reason", "code", "report_reason", "report_code")
    known: dict[tuple[Any, ...], str] = {}
    cells = []
    for key in zip(*(_list(frame, column) for column in columns), strict=True):
        if key not in known:
            ours = next((one for one in (key[0], key[2]) if not _none(one)), None)
            code = next((str(one) for one in (key[1], key[3]) if not _none(one)), "")
            told = words("xlsx.nothing") if ours is None else words.name("reason", str(ours))
            known[key] = f"{told} ({code})" if ours is not None and code else told
        cells.append(known[key])
    return cells
