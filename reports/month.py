"""A month's verdict as plain text: the one-line verdict first, then each vendor, then what regressed, then the gates.

For a terminal, a cron mail, and the robots of group chats.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.compare import Comparison
from harness.judge.result import GateVerdict, Result
from harness.judge.trend import worst_lines
from harness.words import Words
from reports.figures import Desk, gate_title
from reports.months import Teller


def render(
    result: Result,
    words: Words,
    *,
    month: str,
    comparison: Comparison | None,
    changes: Sequence[GateVerdict] = (),
    most: int = 8,
) -> bytes:
    """The lines, UTF-8. `comparison` None: no baseline is blessed. `changes`: gates on the change since it."""
    teller = Teller(words, {label: info.name for label, info in result.vendors.items()}, result.measures)
    sentence = words("monthly.no_baseline") if comparison is None else teller.note(comparison.summary)
    failed = [gate for gate in (*result.gates, *changes) if gate.verdict == "fail"]
    verdict = teller.verdict(comparison)
    if failed and (comparison is None or comparison.verdict != "regressed"):
        verdict = words("monthly.gate_failed", n=len(failed))
    lines = [words("monthly.line", verdict=verdict, evaluation=result.run.evaluation, month=month, sentence=sentence)]
    if comparison is not None:
        if comparison.provisional:
            lines.append(words("comparison.provisional"))
        lines += [teller.note(one.summary) for one in comparison.vendors]
        shown = [line for line in worst_lines(comparison, most) if line.verdict == "regressed"]
        lines += [f"  {teller.sentence(line)}" for line in shown]
        lines += [
            words("monthly.differs", part=teller.part(one.part), old=one.old, new=one.new) for one in comparison.differs
        ]
    desk = Desk(result, words)
    for gate in failed:
        lines.append(words("cli.gate.failed", vendor=teller.name(gate.vendor), gate=gate_title(desk, gate.text)))
    return ("\n".join(lines) + "\n").encode()
