"""Seven months of four vendors: one falls on China Telecom in the fifth, and the plan changes in the sixth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from harness.history import History
from harness.judge.result import Result, dump
from harness.monthly import Month, judged
from tests.months import CARRIERS, changed, month
from tests.reports.sample import QINGLUAN, VENDORS, sample

AT = datetime(2027, 1, 1, tzinfo=UTC)
FALLEN, MONTHS = QINGLUAN, 7


def result_of_month(number: int) -> Result:
    whole, chance = sample(), Random(number)
    rates = {vendor: dict.fromkeys(CARRIERS, 0.985 - 0.01 * place) for place, vendor in enumerate(VENDORS)}
    if number >= 5:
        rates[FALLEN][CARRIERS[2]] -= 0.05
    made = month(number, rates, seed=7, n=3000)
    cards = tuple(
        replace(card, overall=None if card.overall is None or number == 3 else card.overall + chance.uniform(-3, 3))
        for card in whole.scorecards
    )
    made = replace(
        made,
        vendors=whole.vendors,
        scorecards=cards,
        criteria=whole.criteria,
        measures={**whole.measures, **made.measures},
    )
    return changed(made, days=9.0) if number == 6 else made


def history_in(folder: Path) -> tuple[History, Month]:
    """The folder of these months, and the last of them."""
    history = History(folder)
    first = history.add(dump(result_of_month(1)), at=AT)
    history.bless(first.run, by="采购部 <张三>", at=AT)
    for number in range(1, MONTHS + 1):
        last = judged(history, dump(result_of_month(number)), at=AT)
    return history, last
