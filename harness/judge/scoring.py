"""Findings → marks → scorecards. See the module of the same name being completed."""

from __future__ import annotations

from harness.judge.criteria import Criteria, Gate
from harness.judge.journeys import Evidence
from harness.judge.result import Result


def judge(
    evidence: Evidence,
    criteria: Criteria | None = None,
    gates: tuple[Gate, ...] | None = None,
    *,
    run_id: str,
    ledger_digest: str,
) -> Result:
    """Work the result out. None: the evaluation's own criteria and gates, as its first fact has them."""
    raise NotImplementedError
