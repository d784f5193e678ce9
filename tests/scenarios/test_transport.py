"""Probes of the endpoint: each kind once for each vendor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from harness.facts import Probe, Probed
from harness.registry import scenario
from harness.run.board import Ask, Close
from tests.scenarios.boards import after, asked, board
from tests.scenarios.evaluation import cases_of

CASE = cases_of("transport")[0]
step = scenario("transport").next_step


def test_each_vendor_is_probed_once_in_each_way_and_nothing_is_sent():
    cases = cases_of("transport")
    assert Counter((case.vendor, case.task["what"]) for case in cases) == {
        (f"v{number}", what): 1
        for number in range(4)
        for what in ("tls", "plain_http", "replay", "stale", "forged_signature")
    }
    assert not any(case.drafts for case in cases)


def test_a_probe_is_made_once():
    question = Probe(what="tls")
    assert step(board(CASE), CASE.due) == Ask(question)
    told = board(CASE, questions=(asked(CASE, question, Probed(what="tls", taken=None)),))
    assert step(told, after(CASE, seconds=1)) == Close("answered")


def test_an_unknown_probe_is_not_made():
    assert step(board(replace(CASE, task={"what": "flood"})), CASE.due) == Close("no_probe")
