"""A contract's delivery clause as data: formula, threshold, what it leaves out, and what is owed below the threshold.

Read from texts, as they stand in the dossier; the arithmetic of compensation is here and nowhere else. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, TypeVar

from harness.domain import Money, Reason


class Counts(StrEnum):
    """What the contract counts as good."""

    DELIVERED = "delivered"  # a status report says so
    NOT_FAILED = "not_failed"  # no status report and no refusal says the contrary


class Of(StrEnum):
    """Of what it is a share, before anything is left out."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"


class Void(StrEnum):
    """What makes the whole clause void, as vendors write it."""

    TRI_NETWORK_CODE = "tri_network_code"  # 三网合一码号: the very code that buyers ask for
    FIXED_CODE = "fixed_code"
    CODE_EXTENSION = "code_extension"
    CARRIER_CONTROL = "carrier_control"  # orders of carriers or authorities
    SENSITIVE_CONTENT = "sensitive_content"
    UNANNOUNCED_VOLUME = "unannounced_volume"


FORMULAS: Final[Mapping[str, tuple[Counts, Of]]] = {
    "delivered / submitted": (Counts.DELIVERED, Of.SUBMITTED),
    "delivered / accepted": (Counts.DELIVERED, Of.ACCEPTED),
    "1 - failed / submitted": (Counts.NOT_FAILED, Of.SUBMITTED),
    "1 - failed / accepted": (Counts.NOT_FAILED, Of.ACCEPTED),
}
FIELDS: Final = ("formula", "threshold", "within", "exclude", "tiers", "per_point", "most", "monthly_fee", "void_if")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One delivery clause. Shares from 0 to 1; what is owed is a share of the month's fee."""

    counts: Counts
    of: Of
    threshold: float
    within: float | None = None  # seconds in which it must be good; None: at any time
    exclude: tuple[Reason, ...] = ()  # messages with such a reason count on neither side
    tiers: tuple[tuple[float, float], ...] = ()  # (below this share, this is owed), highest share first
    per_point: float | None = None  # owed for each percentage point below the threshold, in proportion
    most: float | None = None  # never more than this
    fee: Money | None = None  # the month's
    void_if: tuple[Void, ...] = ()

    @property
    def pays(self) -> bool:
        """Whether the contract promises any compensation."""
        return bool(self.tiers) or self.per_point is not None

    def due(self, share: float) -> float:
        """What is owed at a share, of the month's fee.

        >>> paid = "95 % -> 10 %, 90 % -> 30 %"
        >>> terms = read_terms({"formula": "1 - failed / accepted", "threshold": "95 %", "tiers": paid})
        >>> terms.due(0.95), terms.due(0.93), terms.due(0.7)
        (0.0, 0.1, 0.3)
        """
        if share >= self.threshold:
            return 0.0
        owed = max((part for below, part in self.tiers if share < below), default=0.0)
        if self.per_point is not None:
            owed += self.per_point * (self.threshold - share) * 100
        return min(owed, 1.0 if self.most is None else self.most)


def read_terms(values: Mapping[str, str]) -> Terms:
    """A clause from texts: {"formula": "1 - failed / accepted", "threshold": "95 %", "exclude": "unreachable", …}.

    Raises ValueError that names the field, what it got and what it takes.
    """
    if unknown := sorted(set(values) - set(FIELDS)):
        raise ValueError(f"{unknown[0]}: there is no such term; terms are {', '.join(FIELDS)}")
    if missing := [name for name in ("formula", "threshold") if not values.get(name)]:
        raise ValueError(f"{missing[0]}: is missing")
    formula = " ".join(values["formula"].split())
    if formula not in FORMULAS:
        raise ValueError(f"formula: got {formula!r}; it is one of {'; '.join(FORMULAS)}")
    counts, of = FORMULAS[formula]
    return Terms(
        counts=counts,
        of=of,
        threshold=_share("threshold", values["threshold"]),
        within=_seconds(values["within"]) if values.get("within") else None,
        exclude=tuple(_word("exclude", Reason, word) for word in _listed(values.get("exclude", ""))),
        tiers=_tiers(values.get("tiers", "")),
        per_point=_share("per_point", values["per_point"]) if values.get("per_point") else None,
        most=_share("most", values["most"]) if values.get("most") else None,
        fee=_money(values["monthly_fee"]) if values.get("monthly_fee") else None,
        void_if=tuple(_word("void_if", Void, word) for word in _listed(values.get("void_if", ""))),
    )


def _listed(text: str) -> list[str]:
    return [part for part in re.split(r"[,，、]\s*", text.strip()) if part]


Word = TypeVar("Word", bound=StrEnum)


def _word(field: str, kind: type[Word], text: str) -> Word:
    try:
        return kind(text.strip())
    except ValueError:
        raise ValueError(f"{field}: got {text.strip()!r}; it takes {', '.join(kind)}") from None


def _share(field: str, text: str) -> float:
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else 2.0
    if not 0 <= share <= 1:
        raise ValueError(f"{field}: got {text!r}; it takes a share such as 95 %")
    return share


_SECONDS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)", text.strip())
    if found is None or not float(found[1]):
        raise ValueError(f"within: got {text!r}; it takes a time such as 60 s")
    return float(found[1]) * _SECONDS[found[2]]


def _tiers(text: str) -> tuple[tuple[float, float], ...]:
    tiers = []
    for part in _listed(text):
        below, arrow, owed = re.sub("→|⇒", "->", part).partition("->")
        if not arrow:
            raise ValueError(f"tiers: got {part!r}; it takes steps such as 95 % -> 10 %, 90 % -> 30 %")
        tiers.append((_share("tiers", below), _share("tiers", owed)))
    return tuple(sorted(tiers, reverse=True))


def _money(text: str) -> Money:
    amount, _, currency = text.strip().partition(" ")
    try:
        fee = Decimal(amount)
    except InvalidOperation:
        fee = Decimal(-1)
    if not (fee.is_finite() and fee > 0):
        raise ValueError(f"monthly_fee: got {text!r}; it takes an amount such as 10000 CNY")
    return Money(amount=fee, currency=currency.strip() or "CNY")
