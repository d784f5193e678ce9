"""Direct routes are evaluated exactly as HTTP vendors are, and whatever a gateway does wrong changes no verdict."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.facts import CallFailed, PushRefused, ReportReceived, SendIntended, SubmitAnswered
from harness.judge import journeys
from tests.simulation.carriers import GATEWAYS, LABELS, known, scene, verdicts
from tests.simulation.history import check, in_doubt
from tests.simulation.worlds import Plug, Stage

SEED = 3


def played(folder: Path, options: str = "", **more: str) -> Stage:
    stage = Stage(folder, scene(options, **more), SEED)
    done = stage.play()
    assert done is not None and done.because == "done"
    return stage


@cache
def calm() -> pd.DataFrame:
    """What is said when nothing goes wrong."""
    with TemporaryDirectory() as folder:
        return verdicts(played(Path(folder)))


def test_one_plan_with_one_http_vendor_and_five_direct_routes_ends_in_one_report(tmp_path):
    stage = played(tmp_path)
    check(known(stage))
    result = stage.result()
    assert list(result.vendors) == list(LABELS)
    measured = {
        label: {one.measure for one in result.findings if one.vendor == label and one.state == "measured"}
        for label in LABELS
    }
    assert measured["honest"] and all(measured[label] >= measured["honest"] for label in GATEWAYS), measured
    marks = {card.vendor: {mark.criterion: mark.state for mark in card.marks} for card in result.scorecards}
    assert all(marks[label]["arrival"] == marks["honest"]["arrival"] for label in LABELS)


FAULTS = (
    'cut_every: "50"',  # in the middle of a packet
    'cut_every: "9"',
    'misnumber_every: "5"',
    'throttle_every: "3"',
    'reports_first: "yes"',
    'repeats: "yes"',
    'is_mute: "yes"',
    "report_ids: decimal",
    "report_ids: padded",
    "report_ids: upper",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_gateway_does_wrong_nothing_is_sent_twice_and_no_verdict_changes(fault, tmp_path):
    stage = played(tmp_path, fault)
    taken = Counter((one.label, one.text) for one in stage.world.sendings)
    assert max(taken.values()) == 1
    assert verdicts(stage).equals(calm())
    reported = Counter(
        (one.body.vendor, one.body.vendor_message_id, one.body.state, one.body.code)
        for one in stage.facts()
        if isinstance(one.body, ReportReceived)
    )
    assert max(reported.values()) == 1


def test_a_link_that_is_cut_is_told_and_what_was_on_it_is_in_doubt_until_its_report_settles_it(tmp_path):
    stage = played(tmp_path, 'cut_every: "9"', scenarios="delivery: {messages: 40, over: 10 h}")
    history = known(stage)
    doubted = in_doubt(history)
    assert doubted, "some answers are lost in a cut"
    losses = [one.body for one in history.facts if isinstance(one.body, CallFailed) and one.body.what == "link"]
    assert losses and all(one.trouble == "unreachable" and not one.written for one in losses)
    messages = journeys.read(history.facts).messages.set_index(["case_id", "leg"])
    reported = messages.loc[list(doubted)]
    settled = reported[reported["report_state"].notna()]
    assert len(settled) and (settled["outcome"] == "accepted").all() and (settled["settled_by"] == "report").all()


def test_silence_is_doubt_and_what_the_gateway_took_all_the_same_is_settled_by_its_report(tmp_path):
    stage = played(tmp_path, faults="faults: {refused: 0.05, error: 0.05, no_answer: 0.3, taken: 0.5}")
    history = known(stage)
    taken = {(one.label, one.reference) for one in history.sendings}
    assert max(Counter(taken).values()) == 1
    messages = journeys.read(history.facts).messages
    drafts = {
        (case.id, leg): draft.reference for case in history.cases.values() for leg, draft in enumerate(case.drafts)
    }
    for row in messages.itertuples():
        if row.vendor in GATEWAYS and row.settled_by == "report":
            assert (row.vendor, drafts[row.case_id, row.leg]) in taken
        if row.vendor in GATEWAYS and row.outcome == "refused":
            assert (row.vendor, drafts[row.case_id, row.leg]) not in taken
    assert (messages["settled_by"] == "report").sum() >= 3
    assert (messages["outcome"] == "in_doubt").sum() >= 3, "what was never taken stays in doubt"


def test_a_refused_login_stops_that_vendor_alone_and_says_what_the_gateway_said(tmp_path):
    stage = played(tmp_path, 'refuses_login: "yes"')
    facts = stage.facts()
    refused = {one.body.code for one in facts if isinstance(one.body, CallFailed) and one.body.what == "login"}
    assert refused == {"3", "0x0E", "1", "21"}
    sent = Counter(one.label for one in stage.world.sendings)
    assert set(sent) == {"honest"}
    tries = Counter(stage.evaluation.name for one in facts if isinstance(one.body, SendIntended))
    assert sum(tries.values()) < 10 + 2 * len(GATEWAYS)


def test_garbage_is_kept_and_told_and_the_link_goes_on_or_comes_back(tmp_path):
    stage = played(tmp_path, 'garbage_every: "7"')
    facts = stage.facts()
    odd = [one for one in facts if isinstance(one.body, PushRefused)]
    assert {one.body.door.split("/")[1] for one in odd} >= {"smpp"}
    assert all(one.evidence is not None for one in odd if "no table" in one.body.why)
    taken = Counter((one.label, one.text) for one in stage.world.sendings)
    assert max(taken.values()) == 1


def test_no_number_and_no_secret_is_in_facts_or_recordings_of_links(tmp_path):
    history = known(played(tmp_path))
    secrets = frozenset(f"canary-{label}" for label in GATEWAYS)
    numbers = {one.number[-11:] for one in history.recipients.values()}
    hexed = [b"".join(bytes.fromhex(part) for part in _frames(body)) for body in history.recordings.values()]
    assert any(hexed)
    for raw in hexed:
        assert not any(secret.encode() in raw for secret in secrets)
        assert not any(number.encode() in raw for number in numbers)


def _frames(recording: bytes) -> list[str]:
    noted = json.loads(recording)
    if not isinstance(noted, dict):
        return []  # an exchange over HTTP
    if "frame" in noted:
        return [noted["frame"]]
    return [frame for part in noted.get("parts", []) for frame in part.values()]


@settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(n=st.integers(3, 120), side=st.sampled_from(["before", "after"]), rest=st.sampled_from([0.0, 30.0, 3600.0]))
def test_whatever_write_the_power_goes_at_nothing_goes_over_a_link_twice(n, side, rest):
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), scene(), SEED)
        assert stage.play(Plug(n, side)) is None
        survived = stage.rows()
        if rest:
            stage.rest(rest)
        done = stage.play()
        assert done is not None and done.because == "done"
        assert stage.rows()[: len(survived)] == survived
        check(known(stage))


def test_the_same_seed_gives_the_same_run(tmp_path):
    one, other = (played(tmp_path / name, 'cut_every: "20"') for name in ("one", "other"))
    assert one.rows() == other.rows()


def test_a_report_that_tells_a_code_keeps_it_raw_and_gets_a_reason(tmp_path):
    lossy = scene(scenarios="delivery: {messages: 30, over: 10 h}")
    stage = Stage(tmp_path, replace(lossy, vendors=lossy.vendors.replace("arrival: 0.95", "arrival: 0.6")), SEED)
    assert stage.play() is not None
    failed = [
        one.body
        for one in stage.facts()
        if isinstance(one.body, ReportReceived) and one.body.state != "delivered" and one.body.vendor in GATEWAYS
    ]
    assert {one.vendor for one in failed} == set(GATEWAYS)
    assert all(one.code and one.reason is not None for one in failed)
    assert {one.code for one in failed if one.vendor == "sgip"} == {"2_22"}
    assert all(isinstance(one.body.outcome.vendor_message_id, str) for one in stage.facts() if _accepted(one))


def _accepted(fact) -> bool:
    return isinstance(fact.body, SubmitAnswered) and fact.body.outcome.kind == "accepted"
