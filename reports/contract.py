"""Delivery clauses of contracts beside what was measured: the clause in words, the values, and what would be owed.

A clause that cannot be read, or compensation that cannot be told, says why; nothing is filled in for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.domain import Money, Unit
from harness.judge.result import SlaClause, SlaValue
from reports.figures import Desk, Party, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause as a page shows it. Without `values` there is only the reason why it could not be read."""

    party: Party
    contract: str
    terms: tuple[tuple[str, str], ...]  # name, text
    values: Table | None
    remarks: tuple[str, ...]
    reason: str


HEADS: Final = ("sla.basis", "sla.value", "sla.interval", "sla.n", "sla.verdict", "sla.due", "evidence")


class Contract:
    """The clauses of one result."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.words = desk, desk.words

    def clauses(self) -> list[Clause]:
        """In the order of the vendors."""
        return [
            self._clause(one) for one in sorted(self.desk.result.sla, key=lambda c: self.desk.party(c.vendor).place)
        ]

    def _clause(self, one: SlaClause) -> Clause:
        desk, words = self.desk, self.words
        rows = tuple(self._row(one, value) for value in one.values)
        return Clause(
            party=desk.party(one.vendor),
            contract=one.contract or words("none_given"),
            terms=() if one.reason else tuple(self._terms(one)),
            values=desk.table(HEADS, rows) if rows else None,
            remarks=() if one.reason else tuple(self._remarks(one)),
            reason=desk.note(one.reason),
        )

    def _terms(self, one: SlaClause) -> list[tuple[str, str]]:
        words = self.words
        told = [(words("sla.formula"), words(f"sla.formula.{one.counts}.{one.of}"))]
        if one.threshold is not None:
            told.append((words("sla.threshold"), f"≥ {words.share(one.threshold)}"))
        told.append((words("sla.within"), words("sla.any_time") if one.within is None else words.duration(one.within)))
        told.append((words("sla.exclude"), self._listed("reason", one.exclude) or words("sla.none")))
        told.append((words("sla.pays"), self._pays(one)))
        if one.fee is not None:
            told.append((words("sla.fee"), words.money(one.fee)))
        told.append((words("sla.void_if"), self._listed("sla.void", one.void_if) or words("sla.none")))
        return told

    def _listed(self, vocabulary: str, ids: tuple[str, ...]) -> str:
        return self.words.listed(self.words.name(vocabulary, id) for id in ids)

    def _pays(self, one: SlaClause) -> str:
        words = self.words
        parts = [words("sla.tier", below_share=below, part_share=part) for below, part in one.tiers]
        if one.per_point is not None:
            parts.append(words("sla.per_point", part_share=one.per_point))
        if one.most is not None:
            parts.append(words("sla.most", part_share=one.most))
        return words.listed(parts) or words("sla.pays_nothing")

    def _row(self, one: SlaClause, value: SlaValue) -> tuple[str, ...]:
        desk, words, estimate = self.desk, self.words, value.estimate
        basis = words(f"sla.basis.{value.basis}")
        verdict = words(f"sla.verdict.{value.verdict}")
        evidence = desk.evidence(value.evidence, value.evidence_count) or words("sla.none")
        if estimate is None:
            told = words.name("state", value.state)
            return basis, told, desk.note(value.reason), "0", verdict, words("sla.due.untold"), evidence
        interval = words.interval(estimate.low, estimate.high, Unit.SHARE)
        due = self.due(one, value)
        return basis, words.value(estimate.value, Unit.SHARE), interval, words.count(estimate.n), verdict, due, evidence

    def due(self, one: SlaClause, value: SlaValue) -> str:
        """What the clause would pay on this traffic: a share of the fee, in money where the fee is known."""
        words = self.words
        if not one.tiers and one.per_point is None:
            return words("sla.pays_nothing")
        if one.void_seen:
            return words("sla.due.void", what=self._listed("sla.void", one.void_seen))
        if value.due is None or value.due_low is None or value.due_high is None:
            return words("sla.due.untold")
        if value.due_low == value.due_high:
            return words("sla.due.none") if value.due == 0 else self._part(one.fee, value.due)
        low, high = self._part(one.fee, value.due_low), self._part(one.fee, value.due_high)
        return words("sla.due.between", low=low, high=high, point=self._part(one.fee, value.due))

    def _part(self, fee: Money | None, part: float) -> str:
        share = self.words.share(part)
        if fee is None or not part:
            return share
        return f"{share} ({self.words.money(float(fee.amount) * part, fee.currency)})"

    def _remarks(self, one: SlaClause) -> list[str]:
        words = self.words
        told = [words("sla.counted", counted_count=one.counted, excluded_count=one.excluded)]
        if one.contradicted:
            told.append(words("sla.contradicted", n=one.contradicted))
        if one.void_seen:
            told.append(words("sla.void_seen", what=self._listed("sla.void", one.void_seen)))
        return told
