"""Stopping early: at looks planned beforehand, whether the vendors are told apart well enough to send no more.

Stands beside the front door: the looks are the plan's, the verdict the judge's. It remembers nothing: what earlier
looks said follows from the facts of that time, so a run that was killed and resumed stops where it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.facts import Fact
from harness.judge import journeys
from harness.judge.stopping import Decision, decide, may_stop
from harness.run.plan import Looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """The rule of one run. `looks`: see `harness.run.plan.looks_of`."""

    looks: Looks

    def may_stop(self, facts: Sequence[Fact], look: int) -> bool:
        """Whether at the look of this number (1 …) every two vendors are decided on every carrier."""
        decisions: tuple[Decision, ...] = ()
        for at in self.looks.at[:look]:
            evidence = journeys.read(fact for fact in facts if fact.at <= at)
            decisions = decide(evidence, planned=self.looks.planned, taken=decisions)
        return may_stop(decisions)[0]


def early_rule(looks: Looks) -> Early:
    """The rule for a run's looks."""
    return Early(looks=looks)
