"""The test texts (compliant, deliberately faulty, harmless look-alikes) and the rules that tell them apart, as data.

The rules hold for everything we send; only the faulty set breaks them, one at a time, to test reviews and filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Final

from harness import text
from harness.domain import Purpose
from harness.errors import Complaint, ConfigError
from harness.plain_yaml import Located, locate

LIST_AGES_AFTER_DAYS: Final = 7
TOKEN_VARIABLE: Final = "code"
RATE_LIMIT_PERCENT: Final = 24.0

_RATE: Final = re.compile(
    r"(年化利率（单利）|年化利率\(单利\)|年化|年利率|月息|日息|利率|费率)[^0-9]{0,6}(\d+(?:\.\d+)?)[%％]"
)
_LABELS: Final = frozenset({"年化利率（单利）", "年化利率(单利)"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleText:
    """One test text. `fault` is "" for a text that breaks no rule."""

    id: str
    purpose: Purpose
    text: str  # with {code}, without signature
    name: str = ""
    fault: str = ""
    family: str = ""  # texts of one family say nearly the same
    scene: str = ""  # marketing: Scene–Core value–Response
    value: str = ""
    response: str = ""
    is_long: bool = False
    kind: str = "compliant"  # compliant | faulty | harmless


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    dated: date
    words: Mapping[str, tuple[str, ...]]  # misleading, bank, regulator, opt_out

    def found(self, kind: str, within: str) -> tuple[str, ...]:
        return tuple(word for word in self.words.get(kind, ()) if word in within)

    def is_stale(self, today: date) -> bool:
        return (today - self.dated).days > LIST_AGES_AFTER_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule a text breaks: its id, and what in the text breaks it."""

    rule: str
    found: str


def _no_opt_out(body: str, purpose: Purpose, signature: str, words: WordList) -> str | None:
    if purpose is not Purpose.MARKETING:
        return None
    squeezed = re.sub(r"[\s，。,.！!]", "", body)
    return None if any(squeezed.endswith(way) for way in words.words.get("opt_out", ())) else body[-12:]


def _rate_unlabelled(body: str, purpose: Purpose, signature: str, words: WordList) -> str | None:
    return next((found[0] for found in _RATE.finditer(body) if found[1] not in _LABELS), None)


def _rate_too_high(body: str, purpose: Purpose, signature: str, words: WordList) -> str | None:
    labelled = (found for found in _RATE.finditer(body) if found[1] in _LABELS)
    return next((found[0] for found in labelled if float(found[2]) > RATE_LIMIT_PERCENT), None)


def _misleading(body: str, purpose: Purpose, signature: str, words: WordList) -> str | None:
    return next(iter(words.found("misleading", body)), None)


def _poses_as(kind: str) -> Callable[[str, Purpose, str, WordList], str | None]:
    def rule(body: str, purpose: Purpose, signature: str, words: WordList) -> str | None:
        return next((word for word in words.found(kind, body) if word not in signature), None)

    return rule


RULES: Final[Mapping[str, Callable[[str, Purpose, str, WordList], str | None]]] = {
    "no_opt_out": _no_opt_out,  # marketing carries a way to refuse (MIIT order 31 of 2015)
    "rate_unlabelled": _rate_unlabelled,  # a rate stated is the yearly one, and says so
    "rate_too_high": _rate_too_high,  # and at most 24 %
    "misleading_claim": _misleading,
    "poses_as_bank": _poses_as("bank"),  # nobody poses as a bank …
    "poses_as_regulator": _poses_as("regulator"),  # … or a regulator
}


def faults_of(body: str, purpose: Purpose, words: WordList, *, signature: str = "") -> tuple[Fault, ...]:
    """Which rules a text (without signature) breaks, in the rules' order."""
    checked = ((rule, check(body, purpose, signature, words)) for rule, check in RULES.items())
    return tuple(Fault(rule=rule, found=found) for rule, found in checked if found is not None)


def has_marketing_form(sample: SampleText) -> bool:
    """Whether a marketing text is in Scene–Core value–Response form, its scene 5–8 characters long."""
    parts = (sample.scene, sample.value, sample.response)
    places = [sample.text.find(part) for part in parts]
    return all(parts) and 5 <= len(sample.scene) <= 8 and -1 not in places and places == sorted(places)


def read_words(located: Located) -> WordList:
    """A word list from its file. Raises ConfigError."""
    plain = located.value
    if not isinstance(plain, dict) or not isinstance(plain.get("dated"), str):
        raise ConfigError([Complaint(place=located.name, problem="has no date", way_out="Write  dated: 2026-11-20")])
    try:
        dated = date.fromisoformat(str(plain["dated"]))
    except ValueError as error:
        raise ConfigError(
            [Complaint(place=located.place(("dated",)), problem=str(error), way_out="Write  dated: 2026-11-20")]
        ) from error
    lists = {key: tuple(map(str, value)) for key, value in plain.items() if isinstance(value, list)}
    return WordList(dated=dated, words=lists)


def read_texts(located: Located) -> Mapping[str, SampleText]:
    """Test texts from their file. Raises ConfigError naming every text that is wrong."""
    plain, complaints = located.value, []
    result: dict[str, SampleText] = {}
    assert isinstance(plain, dict)
    for kind, texts in plain.items():
        if kind not in ("compliant", "faulty", "harmless") or not isinstance(texts, dict):
            complaints.append(
                Complaint(
                    place=located.place((kind,)),
                    problem="is no group of texts",
                    way_out="Use compliant, faulty or harmless, each a mapping of ids.",
                )
            )
            continue
        for key, fields in texts.items():
            try:
                result[key] = _sample(kind, key, fields)
            except (KeyError, ValueError, TypeError) as error:
                complaints.append(
                    Complaint(
                        place=located.place((kind, key)),
                        problem=f"cannot be read: {error}",
                        way_out="Give purpose and text with {code}; faulty ones also fault and family.",
                    )
                )
    if complaints:
        raise ConfigError(complaints)
    return result


def _sample(kind: str, key: str, fields: object) -> SampleText:
    if not isinstance(fields, dict):
        raise TypeError("not a mapping")
    body = str(fields["text"])
    if text.variables(body) != (TOKEN_VARIABLE,):
        raise ValueError(f"needs exactly the variable {{{TOKEN_VARIABLE}}}")
    return SampleText(
        id=key,
        kind=kind,
        purpose=Purpose(fields["purpose"]),
        text=body,
        name=str(fields.get("name", key)),
        fault=str(fields.get("fault", "")),
        family=str(fields.get("family", key)),
        scene=str(fields.get("scene", "")),
        value=str(fields.get("value", "")),
        response=str(fields.get("response", "")),
        is_long=fields.get("long") == "yes",
    )


@cache
def shipped_texts() -> Mapping[str, SampleText]:
    """The test texts that ship with the project."""
    return read_texts(_shipped("texts.yaml"))


@cache
def shipped_words() -> WordList:
    return read_words(_shipped("words.yaml"))


def _shipped(name: str) -> Located:
    return locate(resources.files("harness").joinpath("texts", name).read_text(encoding="utf-8"), name, shipped=True)
