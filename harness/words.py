"""Message id and values → sentence, in the reader's language. The only place where words for people are made.

Both languages have the same ids and placeholders. A missing id is a KeyError, never an empty place in a report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final

from harness.domain import BEIJING, Money, Unit
from harness.errors import Complaint, ConfigError
from harness.plain_yaml import load

LANGUAGES: Final = ("zh-CN", "en")

Value = str | int | float | Decimal | None

VOCABULARIES: Final = (
    "carrier", "purpose", "criterion", "measure", "state", "reason", "unit", "document", "scope", "subject",
    "standing", "capability", "source", "verdict", "denominator", "because", "scenario", "hour_band", "part",
)  # fmt: skip
"""A text value whose placeholder is called like one of these is translated: carrier=china_mobile → 中国移动."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message: its text; `one`, the form for n = 1; and a note for the translator."""

    text: str
    one: str | None = None
    note: str = ""

    @property
    def placeholders(self) -> frozenset[str]:
        """Names and formats of its placeholders, over both forms: {"low:share", "n"}."""
        return frozenset(match[1] for form in (self.text, self.one or "") for match in _PLACE.finditer(form))


_PLACE: Final = re.compile(r"\{(\w+(?::\w+)?)\}")


@cache
def locale(language: str) -> Mapping[str, Entry]:
    """All messages of a language by id. Raises ConfigError for a language there is not."""
    if language not in LANGUAGES:
        way_out = f"Use one of: {', '.join(LANGUAGES)}."
        raise ConfigError([Complaint(place="language", problem=f"got {language!r}", way_out=way_out)])
    text = resources.files("harness").joinpath("locales", f"{language}.yaml").read_text("utf-8")
    document = load(text, f"{language}.yaml", shipped=True)
    if not isinstance(document, dict):
        raise _unreadable(language, "is no mapping of ids to texts")
    return {id: _entry(language, id, value) for id, value in document.items()}


def _entry(language: str, id: str, value: object) -> Entry:
    if isinstance(value, str):
        return Entry(text=value)
    if isinstance(value, dict) and "text" in value and set(value) <= {"text", "one", "note"}:
        one = value.get("one")
        return Entry(text=str(value["text"]), one=None if one is None else str(one), note=str(value.get("note", "")))
    raise _unreadable(language, f"{id} must be a text, or have the keys text, one, note")


def _unreadable(language: str, problem: str) -> ConfigError:
    return ConfigError([Complaint(place=f"locales/{language}.yaml", problem=problem, way_out="Mend the entry.")])


class Words:
    """One language's words: sentences, names of things, and the ways in which numbers are written."""

    def __init__(self, language: str) -> None:
        """`language` is one of LANGUAGES. Raises ConfigError otherwise."""
        self.language = language
        self._entries = locale(language)

    def __contains__(self, id: object) -> bool:
        return id in self._entries

    def __call__(self, id: str, /, **values: Value) -> str:
        """The sentence of a message. Raises KeyError for an id or a placeholder's value that is missing."""
        return self.fill(id, values)

    def fill(self, id: str, values: Mapping[str, Value]) -> str:
        """As a call, with the values in a mapping."""
        entry = self._entries[id]
        text = entry.one if entry.one is not None and values.get("n") == 1 else entry.text

        def put(match: re.Match[str]) -> str:
            name, _, form = match[1].partition(":")
            if name not in values:
                raise KeyError(f"message {id!r} needs a value for {name!r}")
            return self._formatted(name, form, values[name])

        return _PLACE.sub(put, text)

    def sentence(self, id: str, values: Mapping[str, Value]) -> str:
        """As `fill`, for messages from outside, such as a plug-in's: an unknown id is shown with its values."""
        try:
            return self.fill(id, values)
        except (KeyError, TypeError, ValueError):
            told = self.listed(f"{name} = {self._formatted(name, '', value)}" for name, value in values.items())
            return f"{id}: {told}" if told else id

    def name(self, vocabulary: str, word: str) -> str:
        """What a word of a vocabulary is called: ("carrier", "china_mobile"). An unknown word stands for itself."""
        entry = self._entries.get(f"{vocabulary}.{word}")
        return word if entry is None else entry.text

    def listed(self, items: Iterable[str]) -> str:
        """Several things in a row: 甲、乙 · A, B."""
        return self("list.separator").join(items)

    # --- numbers -----------------------------------------------------------------------------------------------------

    def number(self, x: float | Decimal, digits: int = 3) -> str:
        """A bare number with `digits` significant places at most, thousands grouped: 12,345 · 0.0452 · 1.5."""
        if isinstance(x, int):
            return self.count(x)
        size = abs(float(x))
        if size >= 10 ** (digits - 1):
            return f"{round(float(x)):,}"
        places = digits - 1
        while size and size < 1 and places < 8:
            size, places = size * 10, places + 1
        if abs(float(x)) >= 10:
            places -= 1
        return _trimmed(f"{float(x):,.{max(places, 0)}f}")

    def count(self, n: float) -> str:
        """A count, thousands grouped; one decimal where it is no whole number: 1,200 · 310.4."""
        return f"{n:,.0f}" if float(n).is_integer() or abs(n) >= 100 else f"{n:,.1f}"

    def share(self, x: float) -> str:
        """A share from 0 to 1 as per cent. What is not quite all or nothing is never written as 100 or 0 per cent."""
        return f"{_percent(x)} %"

    def points(self, x: float) -> str:
        """A mark or weight, from 0 to 100: 83 · 66.7."""
        return _trimmed(f"{x:.1f}")

    def duration(self, seconds: float) -> str:
        """A span in the unit that suits it: 0.35 s · 90 s · 4.5 min · 2.1 h · 3.4 d."""
        factor, unit = _suiting(abs(seconds))
        return self(f"span.{unit}", x=_plain(seconds / factor))

    def seconds(self, seconds: float) -> str:
        return self("span.seconds", x=_plain(seconds))

    def minutes(self, minutes: float) -> str:
        """A span given in minutes, in the unit that suits it."""
        return self.duration(minutes * 60)

    def hours(self, hours: float) -> str:
        return self("span.hours", x=_plain(hours))

    def days(self, days: float) -> str:
        return self("span.days", x=_plain(days))

    def money(self, amount: float | Decimal | Money, currency: str = "CNY") -> str:
        """An amount to four significant places: 0.0452 元 · CNY 0.0452."""
        if isinstance(amount, Money):
            return self.money(amount.amount, amount.currency)
        return self("money", amount=self.number(Decimal(str(amount)), 4), currency=self.name("currency", currency))

    def value(self, x: float | None, unit: Unit | str) -> str:
        """A measure's value in its unit. None: a percentile of all sent that was not reached."""
        if x is None:
            return self("not_reached")
        match Unit(unit):
            case Unit.SHARE:
                return self.share(x)
            case Unit.SECONDS:
                return self.duration(x)
            case Unit.DAYS:
                return self.days(x)
            case Unit.COUNT:
                return self.count(x)
            case Unit.CNY:
                return self.money(x)
            case Unit.PER_HOUR:
                return self("per_hour", x=self.number(x))
            case Unit.RATIO:
                return self.number(x)

    def interval(self, low: float | None, high: float | None, unit: Unit | str) -> str:
        """An interval in a measure's unit: 97.1–99.2 % · 3.2–8.9 s · 3.2 s – not reached."""
        if low is None or high is None:
            return f"{self.value(low, unit)} – {self.value(high, unit)}"
        match Unit(unit):
            case Unit.SHARE:
                return f"{_percent(low)}–{_percent(high)} %"
            case Unit.SECONDS:
                factor, name = _suiting(abs(high))
                if low and abs(low) * 20 < factor:  # 3 s – 2 h: one unit would hide the lower end
                    return f"{self.duration(low)} – {self.duration(high)}"
                return self(f"span.{name}", x=f"{_plain(low / factor)}–{_plain(high / factor)}")
            case Unit.DAYS:
                return self("span.days", x=f"{_plain(low)}–{_plain(high)}")
            case Unit.CNY:
                both = f"{self.number(Decimal(str(low)), 4)}–{self.number(Decimal(str(high)), 4)}"
                return self("money", amount=both, currency=self.name("currency", "CNY"))
            case Unit.PER_HOUR:
                return self("per_hour", x=f"{self.number(low)}–{self.number(high)}")
            case Unit.COUNT:
                return f"{self.count(low)}–{self.count(high)}"
            case Unit.RATIO:
                return f"{self.number(low)}–{self.number(high)}"

    # --- times -------------------------------------------------------------------------------------------------------

    def moment(self, at: datetime | str) -> str:
        """An instant in Beijing time with the zone written out. Text is ISO 8601; what cannot be read stands as is."""
        return self("moment", at=self.bare_moment(at))

    def bare_moment(self, at: datetime | str) -> str:
        """The same without the zone, for tables whose heading names it."""
        when = _aware(at)
        return str(at) if when is None else when.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M")

    def day(self, at: datetime | str) -> str:
        """The Beijing day of an instant: 2026-03-04."""
        when = _aware(at)
        return str(at) if when is None else when.astimezone(BEIJING).strftime("%Y-%m-%d")

    # --- placeholders ------------------------------------------------------------------------------------------------

    def _formatted(self, name: str, form: str, value: Value) -> str:
        if value is None:
            return self("unknown")
        if isinstance(value, str):
            vocabulary = form or name
            return self.name(vocabulary, value) if vocabulary in VOCABULARIES else _told(self, form, value)
        head, _, suffix = name.rpartition("_")
        if form or (head and suffix in FORMS - set(VOCABULARIES)):
            return self._forms()[form or suffix](value)
        return self.count(value) if isinstance(value, int) else self.number(value)

    def _forms(self) -> Mapping[str, Callable[..., str]]:
        return {
            "share": self.share, "points": self.points, "duration": self.duration, "seconds": self.seconds,
            "minutes": self.minutes, "days": self.days, "money": self.money, "count": self.count,
            "number": self.number, "hours": self.hours,
        }  # fmt: skip


def _told(words: Words, form: str, text: str) -> str:
    """A text under a placeholder: times of ISO 8601 are formatted, all else stands as it is."""
    return {"moment": words.moment, "day": words.day}.get(form, str)(text)


FORMS: Final = frozenset(
    {"share", "points", "duration", "seconds", "minutes", "days", "money", "count", "number", "moment", "day", "hours"}
    | set(VOCABULARIES)
)
"""What may stand behind the colon of a placeholder; a number whose name ends in _share, _seconds … needs no colon."""


_SPANS: Final = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))


def _suiting(seconds: float) -> tuple[float, str]:
    """Seconds in the unit that suits a span, and the unit's name."""
    for least, factor, name in _SPANS:
        if seconds >= least or (seconds and seconds % factor == 0):  # a round 60 s is 1 min; 90 s stay seconds
            return factor, name
    return 1.0, "seconds"


def _plain(x: float) -> str:
    size = abs(x)
    if size >= 100:
        return f"{x:,.0f}"
    return _trimmed(f"{x:.{1 if size >= 1 else 2 if size >= 0.01 or size == 0 else 4}f}")


def _percent(x: float) -> str:
    if x in (0.0, 1.0):
        return f"{x * 100:.0f}"
    for places in (1, 2):
        text = f"{x * 100:.{places}f}"
        if float(text) not in (0.0, 100.0):
            return text
    return "0.01" if x < 0.5 else "99.99"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _aware(at: datetime | str) -> datetime | None:
    try:
        when = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
