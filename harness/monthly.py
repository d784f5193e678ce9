"""Month after month in one command: run or resume this month's evaluation, judge it, compare it, tell it.

Whatever is interrupted is taken up where it stopped: the run by its ledger, the history by whole files, and the
verdict follows from these two. Run again, it sends nothing twice and says the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx

from harness import registry
from harness.clock import Clock
from harness.config import Robot
from harness.desk import CHANGE_SOMETHING, FINE, GATE_FAILED, INSUFFICIENT, open_ledger
from harness.facts import RunBegan, RunEnded
from harness.history import History, Kept, month_of, write_whole
from harness.judge import compare as comparing
from harness.judge.compare import Comparison
from harness.judge.criteria import Gate
from harness.judge.result import GateVerdict, Result
from harness.judge.trend import Trend, trend_of
from harness.run.robots import Summary, tell
from harness.words import Words

COMPARISONS: Final = "comparisons"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a month's run stands. `folder` None: it has not begun."""

    folder: Path | None
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month with its verdict. `comparison` None: no baseline is blessed."""

    kept: Kept
    result: Result
    comparison: Comparison | None
    changes: tuple[GateVerdict, ...] = ()  # gates on the change since the baseline

    @property
    def gates(self) -> tuple[GateVerdict, ...]:
        """The result's own gates and those on the change since the baseline."""
        return (*self.result.gates, *self.changes)

    @property
    def code(self) -> int:
        """0 no regression · 1 regressed or a gate failed · 2 a person must change something · 3 inconclusive."""
        verdicts = {gate.verdict for gate in self.gates}
        told = self.comparison.verdict if self.comparison is not None else None
        if told == "regressed" or "fail" in verdicts:
            return GATE_FAILED
        if told == "not_comparable":
            return CHANGE_SOMETHING
        if told != "not_regressed" or verdicts & {"unclear", "not_shown"}:
            return INSUFFICIENT
        return FINE


def standing_of(out: Path, evaluation: str, month: str) -> Standing:
    """The run of an evaluation in a month, among the folders of runs: the one that began last.

    Raises LedgerError for a run that cannot be read.
    """
    found: list[tuple[datetime, Path, bool]] = []
    for path in sorted(out.glob("*/ledger.db")):
        ledger = open_ledger(path.parent)
        try:
            began: datetime | None = None
            done = False
            for fact in ledger.facts(kinds={"run_began", "run_resumed", "run_ended"}):
                match fact.body:
                    case RunBegan(evaluation=name) if name == evaluation and month_of(fact.at) == month:
                        began = fact.at
                    case RunEnded(because=because):
                        done = because == "done"
                    case _:
                        done = False  # it was taken up again
        finally:
            ledger.release()
        if began is not None:
            found.append((began, path.parent, done))
    if not found:
        return Standing(folder=None, done=False)
    _, folder, done = max(found, key=lambda one: (one[0], one[1].name))
    return Standing(folder=folder, done=done)


def set_aside(folder: Path) -> Path:
    """Move a sandbox run that died with its world out of the way. Nothing of it is lost, and nothing can go on."""
    place = folder.parent / ".cut"
    place.mkdir(parents=True, exist_ok=True)
    number = 1 + sum(1 for _ in place.glob(f"{folder.name}-*"))
    return folder.rename(place / f"{folder.name}-{number}")


def judged(
    history: History, raw: bytes, *, at: datetime, margin: float | None = None, gates: Iterable[Gate] = ()
) -> Month:
    """Keep a result, and compare it with the blessed one and the months before it.

    `gates`: the evaluation's; those on a change are held against the comparison.
    Raises ConfigError for a history that cannot be trusted: no verdict is made up from what is left of it.
    """
    kept = history.add(raw, at=at)
    result = history.result(kept)
    comparison = compared(history, kept, result, margin=margin)
    if comparison is not None:
        write_whole(history.folder / COMPARISONS / f"{kept.run}.json", comparing.dump(comparison))
    changes = () if comparison is None else comparing.gate_verdicts(comparison, gates)
    return Month(kept=kept, result=result, comparison=comparison, changes=changes)


def compared(history: History, kept: Kept, result: Result, *, margin: float | None = None) -> Comparison | None:
    """A kept result against its baseline and the months before it; None: no baseline, or it is the baseline."""
    baseline = history.blessed(kept.evaluation)
    if baseline is None:
        return None
    earlier = [
        one for one in history.months(kept.evaluation) if (one.began, one.run) < (kept.began, kept.run) and one != kept
    ]
    past = [comparing.slim(history.result(one)) for one in earlier]
    blessed = result if baseline.run == kept.run else comparing.slim(history.result(baseline))
    more = {} if margin is None else {"margin": margin}
    return comparing.compare(result, blessed, past, comparing.learn(past), **more)


def trend(history: History, evaluation: str) -> Trend:
    """All months of an evaluation on a line. Raises ConfigError if it has none, or one of them cannot be trusted."""
    kept = history.months(evaluation)
    comparisons: dict[str, Comparison] = {}
    for one in kept:
        path = history.folder / COMPARISONS / f"{one.run}.json"
        if path.is_file():
            comparisons[one.run] = comparing.parse(path.read_bytes(), path.name)
    return trend_of(
        [(one.month, history.result(one)) for one in kept],
        comparisons=comparisons,
        blessings=[(one.run, one.by) for one in history.blessings if one.evaluation == evaluation],
        twice=history.twice(evaluation),
        missing=history.missing(evaluation),
    )


def write_forms(month: Month, history: History, folder: Path, languages: Iterable[str]) -> list[Path]:
    """The comparison beside the run's report, and the history page in the history's folder; the files written."""
    line = trend(history, month.kept.evaluation)
    files: dict[Path, bytes] = {}
    tongues = [Words(language) for language in languages]
    for words in tongues:
        page = registry.renderer("history")(line, words, measures=month.result.measures)
        files[history.folder / f"history.{words.language}.html"] = page
    if month.comparison is not None:  # for machines: in one language
        made = registry.renderer("comparison")(month.result, tongues[0], comparison=month.comparison)
        files[folder / "comparison.xml"] = made
        files[folder / "comparison.json"] = comparing.dump(month.comparison)
    for path, body in files.items():
        write_whole(path, body)
    return list(files)


def lines_of(month: Month, words: Words) -> Sequence[str]:
    """The verdict in words: one line first, then what it rests on."""
    told = registry.renderer("month")(
        month.result, words, month=month.kept.month, comparison=month.comparison, changes=month.changes
    )
    return told.decode().splitlines()


def post_verdict(
    robots: Sequence[Robot], month: Month, words: Words, *, transport: httpx.AsyncBaseTransport, clock: Clock
) -> Mapping[str, str | None]:
    """Post the verdict to each robot; by its name the trouble it gave, or None. Never raises for a robot's sake."""
    first, *rest = lines_of(month, words)
    values = {
        "evaluation": month.kept.evaluation,
        "month": month.kept.month,
        "run": month.kept.run,
        "verdict": month.comparison.verdict if month.comparison else "no_baseline",
        "gates_failed": sum(gate.verdict == "fail" for gate in month.gates),
        "exit_code": month.code,
    }

    async def post() -> Mapping[str, str | None]:
        try:
            return await tell(robots, Summary(title=first, lines=rest, values=values), transport=transport, clock=clock)
        finally:
            await transport.aclose()

    return asyncio.run(post())
