"""Facts become journeys by the rules of design 2.20: void, unknown, missing, arrived; in any order, told again."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.domain import Accepted, DeliveryState, InDoubt, Reason, Refused
from harness.facts import CallFailed, Fact, HeartbeatReceived, ReportReceived, SendSettled, SightingReceived
from harness.judge import journeys
from tests.factory import Manner, Scene, everything


def only(scene: Scene) -> pd.Series:
    messages = journeys.read(scene.end()).messages
    assert len(messages) == 1
    return messages.iloc[0]


@pytest.fixture
def scene() -> Scene:
    return Scene(phones=3, days=1)


def test_a_ledger_without_a_beginning_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="RunBegan"):
        journeys.read(scene.facts[1:])


def test_a_message_keeps_claim_and_sighting_apart(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100, wait=0.3)
    scene.sight(case, 104)
    scene.report(case, 106)
    row = only(scene)
    assert (row["outcome"], row["wait"], row["report_state"]) == ("accepted", pytest.approx(0.3), "delivered")
    assert (row["sighting"], row["watch"], row["sender"]) == ("intact", "arrived", "1069123401")
    assert row["reported_at"] - row["sent_at"] == pytest.approx(6)


def test_a_refusal_is_an_attempt_with_its_reason(scene: Scene) -> None:
    scene.send(scene.plan("ali", "p00", 100), 100, Refused(reason=Reason.BALANCE, code="E1"))
    row = only(scene)
    assert (row["outcome"], row["reason"], row["code"], row["watch"]) == ("refused", "balance", "E1", "")


def test_a_vendor_that_cannot_be_reached_refused_the_attempt(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.add(101, CallFailed(what="submit", trouble="unreachable", detail="", written=False, leg=0), case.id)
    row = only(scene)
    assert (row["outcome"], row["reason"]) == ("refused", "vendor_fault")


def test_what_was_never_tried_is_not_sent(scene: Scene) -> None:
    scene.plan("ali", "p00", 100)
    assert only(scene)["outcome"] == "not_sent"


def test_an_intent_without_an_answer_is_in_doubt(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.facts.pop()
    assert only(scene)["outcome"] == "in_doubt"


@pytest.mark.parametrize("proof", ["report", "sighting", "record", None])
def test_a_send_in_doubt_is_settled_by_evidence_and_by_nothing_else(scene: Scene, proof: str | None) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100, InDoubt(why="no_answer"))
    if proof == "report":
        scene.report(case, 110, reference=case.drafts[0].reference)
    if proof == "sighting":
        scene.sight(case, 110)
    if proof == "record":
        scene.add(120, SendSettled(leg=0, by="record", vendor_message_id="m-1"), case.id)
    row = only(scene)
    assert row["outcome"] == ("in_doubt" if proof is None else "accepted")
    assert row["settled_by"] == proof


def test_a_report_that_comes_before_the_answer_is_kept_for_its_message(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.report(case, 100.05)
    scene.send(case, 100, wait=0.3)
    row = only(scene)
    assert row["report_state"] == "delivered"
    assert row["reported_at"] < row["answered_at"]


def test_the_first_final_claim_counts_and_contradictions_are_counted(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.report(case, 105, DeliveryState.UNKNOWN)
    scene.report(case, 110, DeliveryState.UNDELIVERED)
    scene.report(case, 120, DeliveryState.DELIVERED)
    row = only(scene)
    assert (row["report_state"], row["contradicting"]) == ("undelivered", 1)


def test_a_message_of_two_segments_is_delivered_when_both_are(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.report(case, 110, segment=1)
    scene.report(case, 130, segment=2)
    row = only(scene)
    assert (row["report_state"], row["reported_at"] - row["sent_at"]) == ("delivered", pytest.approx(30))
    scene.report(case, 140, DeliveryState.UNDELIVERED, segment=3)
    assert only(scene)["report_state"] == "undelivered"


def test_an_altered_text_never_counts_as_arrived(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.sight(case, 104, text=case.drafts[0].text.replace("5分钟", "9分钟"))
    scene.close(case, 4000)
    row = only(scene)
    assert (row["sighting"], row["watch"]) == ("altered", "missing")


def test_a_signature_at_the_end_is_no_alteration(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.sight(case, 104, text=case.drafts[0].text.removeprefix("【顶点】") + "【顶点】\r\n")
    assert only(scene)["sighting"] == "intact"


def test_copies_are_counted_and_arrive_once(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.sight(case, 104)
    scene.sight(case, 104, delay=3)  # the app tells the same event twice
    scene.sight(case, 109, event_id="another")
    row = only(scene)
    assert (row["copies"], row["watch"]) == (2, "arrived")


def test_what_the_phone_pushed_and_its_inbox_holds_is_one_copy(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.sight(case, 104)
    scene.sight(case, 104, delay=4000, event_id="found:1", reconciled=True)
    row = only(scene)
    assert (row["copies"], bool(row["reconciled"])) == (1, False)


def test_a_message_found_by_asking_has_arrived_at_an_unknown_time(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.sight(case, 104, delay=3600, reconciled=True, handset_at=None)
    scene.search(case, 3704, found=True)
    row = only(scene)
    assert (row["watch"], row["clock"]) == ("arrived", "interval")
    assert np.isnan(row["arrived_at"])


def test_a_search_that_finds_it_is_enough(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.search(case, 3704, found=True)
    assert only(scene)["watch"] == "arrived"


def test_a_late_arrival_is_a_miss(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.search(case, 3700, found=False)
    scene.sight(case, 5000)
    scene.close(case, 3701)
    assert only(scene)["watch"] == "missing"


@pytest.mark.parametrize(
    ("beats", "searched", "watch"),
    [
        (None, None, "unknown"),  # the phone never gives signs of life, and nobody asked it
        (None, False, "missing"),
        ((0, 8000), None, "missing"),
        ((0, 8000), False, "missing"),
        ((2000, 8000), None, "void"),  # silent when the message was sent
        ((2000, 8000), False, "void"),
    ],
)
def test_a_missing_sighting_needs_proof_that_the_phone_could_tell(
    scene: Scene, beats: tuple[int, int] | None, searched: bool | None, watch: str
) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    if beats is not None:
        scene.beat_of("p00", beats[1], begin=beats[0])
    if searched is not None:
        scene.search(case, 3700, found=searched)
    scene.close(case, 3701)
    assert only(scene)["watch"] == watch


def test_a_phone_that_was_down_voids_what_it_saw_as_well_as_what_it_missed(scene: Scene) -> None:
    """Else the phone's silence would make a vendor look better than it is."""
    case = scene.plan("ali", "p00", 1000)
    scene.send(case, 1000)
    scene.sight(case, 1004)
    scene.beat_of("p00", 600)
    scene.beat_of("p00", 8000, begin=2000)
    assert only(scene)["watch"] == "void"


def test_a_message_still_open_at_the_end_is_unknown(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.beat_of("p00", 700)
    assert journeys.read(scene.end(800, because="interrupted")).messages.iloc[0]["watch"] == "unknown"


@pytest.mark.parametrize("clock", [-40.0, 0.0, 5.0])
def test_a_phones_clock_is_corrected_by_its_exchanges(scene: Scene, clock: float) -> None:
    scene.beat_of("p00", 8000, clock=clock, trip=0.2)
    case = scene.plan("ali", "p00", 1000)
    scene.send(case, 1000)
    scene.sight(case, 1004.25, delay=30, clock=clock)
    row = only(scene)
    assert row["clock"] == "handset"
    assert abs(row["arrived_at"] - row["sent_at"] - 4.25) <= row["clock_bound"] <= 0.2


def test_a_stamp_cut_to_whole_seconds_stands_for_the_middle_of_its_second(scene: Scene) -> None:
    scene.beat_of("p00", 8000, trip=0.1)
    for number in range(20):
        case = scene.plan("ali", "p00", 300 * number)
        scene.send(case, 300 * number)
        at = 300 * number + 3 + number / 20
        scene.sight(case, at, delay=9, handset_at=scene.at(int(at)))
    messages = journeys.read(scene.end()).messages
    assert (messages["clock_grain"] == 0.5).all()
    assert (messages["arrived_at"] - messages["sent_at"]).mean() == pytest.approx(3.5, abs=0.05)


def test_without_exchanges_cause_and_effect_bound_a_phones_clock(scene: Scene) -> None:
    for number in range(30):
        case = scene.plan("ali", "p00", 200 * number)
        scene.send(case, 200 * number)
        scene.sight(case, 200 * number + 1 + number % 7, delay=0.2 + number % 3, clock=12.0)
    messages = journeys.read(scene.end()).messages
    truth = 1 + np.arange(30) % 7
    assert (messages["clock"] == "handset").all()
    assert (abs(messages["arrived_at"] - messages["sent_at"] - truth) <= messages["clock_bound"] + 1e-6).all()


def test_without_a_phones_clock_our_own_is_used(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.send(case, 100)
    scene.sight(case, 104, delay=2, handset_at=None)
    row = only(scene)
    assert (row["clock"], row["arrived_at"] - row["sent_at"]) == ("received", pytest.approx(6))


def test_what_belongs_to_nothing_is_an_orphan(scene: Scene) -> None:
    case = scene.plan("ali", "p00", 100)
    scene.report(case, 50, vendor_message_id="nobody's")
    scene.sight(case, 60, text="【别家】您的验证码为000000")
    orphans = journeys.read(scene.end()).orphans
    assert sorted(orphans["kind"]) == ["report", "sighting"]


def test_a_vendors_id_used_twice_is_never_guessed(scene: Scene) -> None:
    for at in (100, 200):
        case = scene.plan("ali", "p00", at)
        scene.send(case, at, Accepted(vendor_message_id="same"))
    scene.report(case, 300, vendor_message_id="same")
    evidence = journeys.read(scene.end())
    assert evidence.messages["report_state"].isna().all()
    assert list(evidence.orphans["kind"]) == ["report"]


def test_reviews_carry_when_they_were_handed_in_and_decided() -> None:
    scene = Scene()
    scene.review("ali", 100, minutes=7, fault="no_opt_out", rejected=True, reason="缺少退订方式")
    scene.review("ali", 200, minutes=None)
    reviews = journeys.read(scene.end()).reviews
    assert reviews["decided_at"].iloc[0] - reviews["submitted_at"].iloc[0] == pytest.approx(420)
    assert (reviews["fault"].iloc[0], reviews["verdict"].iloc[0]) == ("no_opt_out", "rejected")
    assert np.isnan(reviews["decided_at"].iloc[1])


def test_replies_are_matched_with_what_the_vendor_passed_on() -> None:
    scene = Scene(phones=3)
    scene.opt_out("ali", "p00", 100, leaks=1)
    scene.opt_out("ali", "p01", 100, leaks=1, passes_on=False)
    replies = journeys.read(scene.end()).replies
    assert list(replies["inbound_at"].notna()) == [True, False]


LEDGER = everything({"ali": Manner(arrives=0.8, twice=0.2, altered=0.1), "small": Manner(arrives=0.7)}, each=24, days=1)


def _is_news(fact: Fact) -> bool:
    return isinstance(fact.body, ReportReceived | SightingReceived | HeartbeatReceived)


def _same(one: journeys.Evidence, other: journeys.Evidence) -> None:
    pd.testing.assert_frame_equal(one.messages, other.messages)
    pd.testing.assert_frame_equal(one.silences, other.silences)


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.integers(0, 10**6))
def test_the_order_in_which_news_comes_changes_nothing(seed: int) -> None:
    news = [fact for fact in LEDGER if _is_news(fact)]
    random.Random(seed).shuffle(news)
    places = iter(news)
    shuffled = [next(places) if _is_news(fact) else fact for fact in LEDGER]
    _same(journeys.read(LEDGER), journeys.read(shuffled))


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(st.integers(0, len(LEDGER) - 1), max_size=60))
def test_facts_told_again_change_nothing(places: list[int]) -> None:
    again = sorted({*places}, reverse=True)
    repeated = list(LEDGER)
    for place in again:
        if _is_news(LEDGER[place]) or LEDGER[place].body.kind in ("case_planned", "send_intended", "submit_answered"):
            repeated.insert(place + 1, LEDGER[place])
    _same(journeys.read(LEDGER), journeys.read(repeated))


def test_a_hundred_thousand_facts_take_seconds() -> None:
    from time import process_time

    many = [fact for fact in LEDGER if fact.body.kind == "heartbeat_received"]
    began = process_time()
    journeys.read([*LEDGER[:-1], *(many * (100_000 // len(many))), LEDGER[-1]])
    assert process_time() - began < 5
