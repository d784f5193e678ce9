"""What stands at the end of a report: what was not measured, codes, documents, method, panel, digests, words.

Tables and lists only; every cell is made here, so that templates have nothing to work out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.domain import State
from harness.judge.result import CodeCount, Finding
from reports.figures import Desk, Table

GLOSSARY: Final = (
    "arrived", "delivered", "accepted", "false_receipt", "interval", "n", "n_eff", "band", "unknown", "measured",
    "attested", "gate", "scope", "group", "in_doubt", "handset",
)  # fmt: skip


class Appendix:
    """The appendices of one result."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.result, self.words = desk, desk.result, desk.words

    def missing(self) -> Table | None:
        """What was not measured and why, one row for each vendor, state and reason."""
        told = (State.MEASURED, State.ATTESTED)
        grouped: dict[tuple[str, str, str], list[str]] = {}
        seen: set[tuple[str, str, frozenset[tuple[str, str]]]] = set()
        for finding in (*self.result.skipped, *self.result.findings):
            key = (finding.vendor, finding.measure, frozenset(finding.slice.items()))
            if finding.state in told or key in seen:
                continue
            seen.add(key)
            row = (finding.vendor, self.words.name("state", finding.state), self.desk.note(finding.reason))
            grouped.setdefault(row, []).append(self._named(finding))
        place = {party.label: party.place for party in self.desk.parties}
        rows = tuple(
            (self.desk.party(vendor), state, reason or self.words("reason.untold"), self._some(whats))
            for (vendor, state, reason), whats in sorted(grouped.items(), key=lambda g: (place.get(g[0][0], 99), g[0]))
        )
        return self.desk.table(("vendor", "state", "reason", "what"), rows) if rows else None

    def _named(self, finding: Finding) -> str:
        name = self.words.name("measure", finding.measure)
        return f"{name} ({self.desk.slice(finding.slice)})" if finding.slice else name

    def _some(self, whats: Sequence[str], most: int = 8) -> str:
        listed = self.words.listed(whats[:most])
        return listed if len(whats) <= most else self.words("and_more", listed=listed, n=len(whats) - most)

    def codes(self) -> Table | None:
        """A row a code, with its counts by carrier; codes that no table knows first."""
        words = self.words
        grouped: dict[tuple[str, str, str, str], list[CodeCount]] = {}
        for one in self.result.codes:
            grouped.setdefault((one.vendor, one.where, one.code, one.reason), []).append(one)

        def order(codes: list[CodeCount]) -> tuple[int, bool, int, str]:
            first = codes[0]
            most = max(code.count for code in codes)
            return self.desk.party(first.vendor).place, first.reason != "unmapped", -most, first.code

        rows = tuple(
            (
                self.desk.party(codes[0].vendor),
                words(f"where.{codes[0].where}"),
                codes[0].code,
                words.name("reason", codes[0].reason),
                words.listed(f"{self.desk.carrier(code.carrier)} {words.count(code.count)}" for code in codes),
            )
            for codes in sorted(grouped.values(), key=order)
        )
        return self.desk.table(("vendor", "where", "code", "taken_as", "count"), rows) if rows else None

    def documents(self) -> Table | None:
        words = self.words
        rows = tuple(
            (
                self.desk.party(paper.vendor),
                words.name("document", paper.kind),
                words.name("paper_verdict", paper.verdict)
                + (f" · {self.desk.note(paper.reason)}" if paper.reason else ""),
                paper.number or words("none_given"),
                paper.holder or words("none_given"),
                paper.valid_until or words("none_given"),
                words.listed(part for part in (paper.checked_by, paper.checked_on) if part) or words("none_given"),
                f"{paper.file_digest[:12]}…" if paper.file_digest else words("none_given"),
            )
            for paper in sorted(self.result.documents, key=lambda p: self.desk.party(p.vendor).place)
        )
        heads = ("vendor", "document", "paper_verdict", "number", "holder", "valid_until", "checked", "file_digest")
        return self.desk.table(heads, rows) if rows else None

    def method(self) -> list[tuple[str, str]]:
        return [
            (self.words.name("method", key), self._constant(key, value)) for key, value in self.result.method.items()
        ]

    def _constant(self, key: str, value: str | int | float) -> str:
        if isinstance(value, str):
            return self.words.name("method", value)
        if key.endswith("seconds"):
            return self.words.duration(value)
        if key.endswith("minutes"):
            return self.words.minutes(value)
        return self.words.share(value) if key in ("level", "distinct_probability") else self.words.number(value)

    def panel(self) -> list[tuple[str, str]]:
        return [(self._panel_name(key), self.words.count(count)) for key, count in self.result.panel.items()]

    def _panel_name(self, key: str) -> str:
        if f"panel.{key}" in self.words:
            return self.words(f"panel.{key}")
        head, _, tail = key.partition(".")
        if not tail:
            return self.words.name("carrier", key)
        return f"{self.words.name('panel', head)} · {self.words.name('carrier', tail)}"

    def digests(self) -> list[tuple[str, str]]:
        run, words = self.result.run, self.words
        return [
            (words("run.evaluation_digest"), run.evaluation_digest),
            (words("run.plan_digest"), run.plan_digest),
            (words("run.ledger_digest"), run.ledger_digest),
            (words("run.ledger_facts"), words.count(run.ledger_facts)),
            (words("run.seed"), str(run.seed)),
        ]

    def warnings(self) -> list[str]:
        return [self.desk.note(note) for note in self.result.warnings]

    def glossary(self) -> list[tuple[str, str]]:
        return [(self.words(f"glossary.{term}"), self.words(f"glossary.{term}.about")) for term in GLOSSARY]

    def standings(self) -> Table:
        """Each vendor's adapter: how far it is proven, what it can do, and what it lacks and why."""
        words = self.words
        rows = tuple(
            (
                self.desk.party(label),
                words("adapter.standing", standing=info.standing),
                words.listed(words.name("capability", name) for name in info.capabilities),
                words.listed(
                    words(
                        "absent", capability=name, kind=words.name("absent_kind", why.get("kind", "")),
                        because=why.get("because", "") or words("reason.untold"),
                    )
                    for name, why in info.absent.items()
                ) or words("none_given"),
            )
            for label, info in self.result.vendors.items()
        )  # fmt: skip
        return self.desk.table(("vendor", "standing", "capabilities", "absent"), rows)
