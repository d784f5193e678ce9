"""What a calibration goal answers with: a measured figure against its bound."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from harness.domain import Estimate


def seed_of_all(usual: int) -> int:
    """The seed of all goals; CALIBRATION_SEED in the environment gives other worlds than those a method was made on.

    With other worlds a run may print what it finds and must not renew docs/calibration.md: see `may_write`.
    """
    return int(os.environ.get("CALIBRATION_SEED", usual))


def may_write() -> bool:
    return "CALIBRATION_SEED" not in os.environ


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured figure against its bound. `error` is the Monte-Carlo standard error of the figure."""

    goal: str
    setting: str
    measured: float
    relation: str  # ">=", "<=", "<" or ">"
    bound: float
    error: float
    runs: int

    @property
    def ok(self) -> bool:
        return self.holds(0)

    def holds(self, errors: float) -> bool:
        """Whether the figure meets its bound, give or take so many standard errors."""
        slack = errors * self.error
        match self.relation:
            case ">=":
                return self.measured >= self.bound - slack - 1e-12
            case ">":
                return self.measured > self.bound - slack
            case "<=":
                return self.measured <= self.bound + slack + 1e-12
            case "<":
                return self.measured < self.bound + slack
        raise ValueError(f"no such relation: {self.relation!r}")


def unmet(rows: Iterable[Row]) -> list[Row]:
    """Rows that miss their bound. Other worlds than the usual ones may do so by chance: by two standard errors."""
    return [row for row in rows if not row.holds(0 if may_write() else 2)]


def rows_of_share(goal: str, setting: str, hits: np.ndarray, relation: str, bound: float) -> Row:
    """A row for a share of runs."""
    spread = max(bound * (1 - bound), 0.25 / len(hits))
    return Row(
        goal=goal, setting=setting, measured=float(np.mean(hits)), relation=relation, bound=bound,
        error=sqrt(spread / len(hits)), runs=len(hits),
    )  # fmt: skip


def certain(goal: str, setting: str, truth: bool) -> Row:
    """A row for something that either is so or is not."""
    return Row(goal=goal, setting=setting, measured=float(truth), relation=">=", bound=1.0, error=0.0, runs=1)


def covers(estimate: object, truth: float) -> bool:
    assert isinstance(estimate, Estimate), estimate
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= truth <= estimate.high
