"""The sandbox's truth holds: in the long run, message by message, and across crashes of the harness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import median, pvariance
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.content import shipped_texts
from harness.domain import BEIJING, Carrier, DeliveryState, Purpose, Reason, RecipientKind, ReviewVerdict, Subject
from tests.vendors.tiny_world import EPOCH, Counterpart, Inbox, handsets, play, review, submit, tiny_world, truth_text
from vendors.sandbox.door import Claim, PushOut, Reply, Submission, Taken, Turned
from vendors.sandbox.fate import Sending
from vendors.sandbox.people import Person
from vendors.sandbox.reviewers import faults_of
from vendors.sandbox.truth import TruthError, WorldTruth, read_truth
from vendors.sandbox.world import World

DEMO = Path("vendors/sandbox/demo.yaml")


def at_hand(world: World, seconds: float = 0.0) -> World:
    """Set a world's clock by hand, for what needs no loop."""
    world.clock = lambda: EPOCH + timedelta(seconds=seconds)
    return world


def sent_many(world: World, label: str, n: int, *, gap: float = 7.0) -> Sequence[Sending]:
    account, people = world.accounts[label], handsets(world)
    for serial in range(n):
        at_hand(world, serial * gap)
        submit(account, people[serial % len(people)], serial)
    return account.sendings


def near(share: float, truth: float, n: int) -> bool:
    """Within four standard errors and half a message."""
    return abs(share - truth) <= 4 * sqrt(max(truth * (1 - truth), 1e-9) / n) + 0.5 / n


# What the truth says, in the long run ---------------------------------------------------------------------------------


def test_messages_arrive_as_often_as_the_truth_says_on_every_carrier():
    arrival = {"china_mobile": "0.99", "china_unicom": "0.9", "china_telecom": "0.95"}
    panel = {"handsets": {"china_mobile": 5, "china_unicom": 5, "china_telecom": 5, "china_broadnet": 5}}
    world = tiny_world({"arrival": arrival}, panel)
    sent = sent_many(world, "acme", 8000)
    for carrier in Carrier:
        here = [sending.arrived_at is not None for sending in sent if sending.carrier is carrier]
        assert near(sum(here) / len(here), world.truths("acme").arrival[carrier], len(here)), carrier


def test_hours_and_ported_numbers_lower_arrival_as_the_truth_says():
    band = {"from": "09:00", "to": "10:00", "arrival": "0.5", "slower": "2"}
    world = tiny_world({"hours": [band], "ported": "0.6"}, {"handsets": {"china_mobile": 200}, "ported": "0.5"})
    sent = sent_many(world, "acme", 7000, gap=1.0)
    early = [sending for sending in sent if sending.at < EPOCH + timedelta(hours=1)]
    late = [sending for sending in sent if sending.at >= EPOCH + timedelta(hours=1)]
    ported = {person.number for person in handsets(world) if person.carrier is not person.allotted_carrier}
    for among, factor in ((early, 0.5), (late, 1.0)):
        for there, truth in ((True, 0.6 * factor), (False, factor)):
            arrived = [sending.arrived_at is not None for sending in among if (sending.number in ported) is there]
            assert near(sum(arrived) / len(arrived), truth, len(arrived))
    assert 60 < len(ported) < 140
    seen = [(sending.arrived_at - sending.at).total_seconds() for sending in early if sending.arrived_at]
    assert seen == [6.0] * len(seen)
    assert world.truths("acme", begin_hour=9, end_hour=11).arrival[Carrier.CHINA_MOBILE] == pytest.approx(0.75 * 0.8)


def test_latency_is_log_normal_around_its_median():
    sent = sent_many(tiny_world({"latency": {"median": "4", "sigma": "0.8"}}), "acme", 4000)
    seconds = [(sending.arrived_at - sending.at).total_seconds() for sending in sent if sending.arrived_at]
    assert median(seconds) == pytest.approx(4, rel=0.06)
    assert sorted(seconds)[int(0.84 * len(seconds))] == pytest.approx(4 * 2.2255, rel=0.1)


@pytest.mark.parametrize("icc", ["0", "0.2"])
def test_luck_sticks_to_a_handset_only_as_far_as_the_icc_says(icc: str):
    world = tiny_world({"arrival": "0.8", "icc": icc}, {"handsets": {"china_mobile": 60}})
    arrived: dict[str, list[int]] = {}
    for sending in sent_many(world, "acme", 6000):
        arrived.setdefault(sending.number, []).append(sending.arrived_at is not None)
    between = pvariance([sum(each) / len(each) for each in arrived.values()])
    expected = 0.8 * 0.2 * (float(icc) + (1 - float(icc)) / 100)
    assert expected / 2 < between < expected * 2


def test_a_share_of_kept_back_messages_shows_as_false_receipts():
    world = tiny_world({"arrival": "0.95", "receipts": {"kind": "share", "share": "0.06", "kept_back": "1"}})
    sent = sent_many(world, "acme", 8000)
    claimed = [sending for sending in sent if sending.state is DeliveryState.DELIVERED]
    truth = world.truths("acme")
    assert near(
        sum(sending.is_false for sending in claimed) / len(claimed),
        truth.false_receipts[Carrier.CHINA_MOBILE],
        len(claimed),
    )
    assert near(
        sum(sending.arrived_at is not None for sending in sent) / len(sent),
        truth.arrival[Carrier.CHINA_MOBILE],
        len(sent),
    )
    assert truth.false_receipts[Carrier.CHINA_MOBILE] == pytest.approx(0.06 / (0.06 + 0.94 * 0.95))


def test_honest_receipts_are_never_false_and_never_early():
    sent = sent_many(tiny_world({"arrival": "0.7"}), "acme", 500)
    assert not any(sending.is_false or sending.is_made_up for sending in sent)
    assert all(sending.claimed_at >= sending.arrived_at for sending in sent if sending.arrived_at)
    assert {sending.state for sending in sent} == {DeliveryState.DELIVERED, DeliveryState.UNDELIVERED}


def test_receipts_for_all_traffic_claim_delivery_whatever_happened():
    sent = sent_many(tiny_world({"arrival": "0.5", "receipts": {"kind": "all"}}), "acme", 200)
    assert all(sending.state is DeliveryState.DELIVERED and sending.is_made_up for sending in sent)
    assert 60 < sum(sending.is_false for sending in sent) < 140


def test_known_test_numbers_get_honest_receipts_where_all_others_are_made_up():
    known = handsets(tiny_world())[0].number
    receipts = {"kind": "all_but_known", "known": [known], "kept_back": "1"}
    for sending in sent_many(tiny_world({"receipts": receipts}), "acme", 100):
        assert sending.is_made_up is (sending.number != known)
        assert (sending.arrived_at is not None) is (sending.number == known)


def test_bulk_receipts_are_made_up_only_in_bulk():
    receipts = {"kind": "bulk", "bulk_above": 20, "bulk_seconds": 60}
    assert not any(s.is_made_up for s in sent_many(tiny_world({"receipts": receipts}), "acme", 60, gap=10))
    burst = sent_many(tiny_world({"receipts": receipts}), "acme", 60, gap=0.1)
    assert [sending.is_made_up for sending in burst] == [False] * 20 + [True] * 40


def test_missing_and_early_receipts_come_as_often_as_the_truth_says():
    sent = sent_many(tiny_world({"receipts": {"missing": "0.1", "early": "0.2"}}), "acme", 3000)
    assert near(sum(sending.state is None for sending in sent) / 3000, 0.1, 3000)
    told = [sending for sending in sent if sending.claimed_at and sending.arrived_at]
    assert near(sum(sending.claimed_at < sending.arrived_at for sending in told) / len(told), 0.2, len(told))
    assert all(sending.claimed_at > sending.at for sending in told)


def test_duplicates_and_altered_texts_come_as_often_as_the_truth_says():
    sent = sent_many(tiny_world({"duplicates": "0.1", "altered": "0.05"}), "acme", 3000)
    assert near(sum(bool(sending.copies) for sending in sent) / 3000, 0.1, 3000)
    assert near(sum(sending.is_altered for sending in sent) / 3000, 0.05, 3000)


def test_an_outage_stops_its_carrier_for_its_time_and_nothing_else():
    outage = {"carrier": "china_unicom", "from": "day 1 10:00", "to": "day 1 11:00", "arrival": "0"}
    panel = {"handsets": {"china_mobile": 3, "china_unicom": 3}}
    for sending in sent_many(tiny_world({"outages": [outage]}, panel), "acme", 1200, gap=9):
        local = sending.at.astimezone(BEIJING)
        out = sending.carrier is Carrier.CHINA_UNICOM and local.hour == 10
        assert (sending.arrived_at is None) is out
        assert (sending.lost is Reason.CARRIER_FAULT) is out


def test_outages_nobody_planned_happen_as_often_as_the_truth_says():
    outages = {"per_week": "20", "minutes": "30", "arrival": "0"}
    sent = sent_many(tiny_world({"random_outages": outages}), "acme", 5000, gap=600)
    lost = sum(sending.arrived_at is None for sending in sent) / len(sent)
    assert lost == pytest.approx(20 * 30 / (7 * 24 * 60), rel=0.35)


# Chance -------------------------------------------------------------------------------------------------------------


def fates(world: World, label: str) -> set[tuple[object, ...]]:
    return {
        (sending.number, sending.text, sending.arrived_at and sending.arrived_at - sending.at, sending.state)
        for sending in world.accounts[label].sendings
    }


def test_a_messages_fate_does_not_depend_on_what_else_was_sent_before_it():
    vendors = {"acme": {"arrival": "0.8", "latency": {"median": "3", "sigma": "1"}}, "best": {"arrival": "0.9"}}
    one, other = (world_with(vendors) for _ in range(2))
    people = handsets(one)
    for serial in range(200):
        submit(one.accounts["acme"], people[serial % 10], serial)
        submit(one.accounts["best"], people[serial % 10], serial)
    for serial in reversed(range(200)):
        submit(other.accounts["best"], people[serial % 10], serial)
    for serial in range(199, -1, -1):
        submit(other.accounts["acme"], people[serial % 10], serial)
    assert fates(one, "acme") == fates(other, "acme")
    assert fates(one, "best") == fates(other, "best")


def world_with(vendors: dict[str, dict[str, object]], seed: int = 1) -> World:
    return at_hand(tiny_world(vendors=vendors, seed=seed))


def test_the_same_seed_makes_the_same_world_and_another_seed_another():
    vendor = {"arrival": "0.7", "latency": {"median": "3", "sigma": "1"}}
    worlds = [world_with({"acme": vendor}, seed) for seed in (1, 1, 2)]
    for world in worlds:
        sent_many(world, "acme", 100)
    assert fates(worlds[0], "acme") == fates(worlds[1], "acme") != fates(worlds[2], "acme")
    assert worlds[0].panel_rows() == worlds[1].panel_rows() != worlds[2].panel_rows()
    assert worlds[0].forwarder_rows() == worlds[1].forwarder_rows() != worlds[2].forwarder_rows()


# Refusals and lists ---------------------------------------------------------------------------------------------------


def special(world: World, kind: RecipientKind):
    return next(person for person in world.people.values() if person.kind is kind)


SPECIALS = {"invalid": 1, "unreachable": 1, "blocked": 1}


@pytest.mark.parametrize(
    "kind, blacklist, expected",
    [
        (RecipientKind.INVALID, {}, (DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER, "MK:0001")),
        (RecipientKind.INVALID, {"invalid": "submit"}, Reason.INVALID_NUMBER),
        (RecipientKind.UNREACHABLE, {}, (DeliveryState.EXPIRED, Reason.UNREACHABLE, "MI:0024")),
        (RecipientKind.BLOCKED, {"where": "submit"}, Reason.BLACKLISTED),
        (RecipientKind.BLOCKED, {"where": "report"}, (DeliveryState.UNDELIVERED, Reason.BLACKLISTED, "MB:1077")),
        (RecipientKind.BLOCKED, {"where": "nowhere"}, (DeliveryState.DELIVERED, None, "DELIVRD")),
        (RecipientKind.BLOCKED, {"enforced": "0"}, (DeliveryState.DELIVERED, None, "DELIVRD")),
    ],
)
def test_special_numbers_are_refused_where_the_truth_says(kind, blacklist, expected):
    world = at_hand(tiny_world({"blacklist": blacklist}, SPECIALS))
    outcome = submit(world.accounts["acme"], special(world, kind), 1)
    if isinstance(expected, Reason):
        assert outcome == Turned(reason=expected)
        assert [refusal.reason for refusal in world.refusals] == [expected]
        return
    assert isinstance(outcome, Taken)
    (sending,) = world.sendings
    assert (sending.state, sending.lost, sending.code) == expected


def test_a_number_nobody_has_is_invalid():
    world = at_hand(tiny_world())
    world.accounts["acme"].submit(
        Submission(number="+8613900009999", text="【某某科技】x", purpose=Purpose.NOTIFICATION, key="1")
    )
    assert world.sendings[0].lost is Reason.INVALID_NUMBER


def test_sensitive_words_are_refused_at_once_or_late_and_only_as_often_as_the_filter_is_good():
    text = "【某某科技】本期产品稳赚不赔{}"
    for where, share in (("submit", 1.0), ("submit", 0.7), ("report", 0.6), ("nowhere", 0.0)):
        words = {"where": where, "recall": str(share)}
        world = at_hand(tiny_world({"words": words}, words=["稳赚不赔"]))
        account, person = world.accounts["acme"], handsets(world)[0]
        outcomes = [submit(account, person, n, text=text.format(n)) for n in range(400)]
        refused = sum(isinstance(outcome, Turned) for outcome in outcomes)
        rejected = sum(sending.state is DeliveryState.REJECTED for sending in world.sendings)
        assert near((refused + rejected) / 400, share, 400)
        assert (refused == 0) is (where != "submit")
        assert (rejected == 0) is (where != "report")
    assert account.blocked_words(text) == ("稳赚不赔",)


def test_a_filter_may_stop_clean_texts():
    world = tiny_world({"words": {"false_alarm": "0.1"}}, words=["稳赚不赔"])
    sent_many(world, "acme", 1000)
    assert near(len(world.refusals) / 1000, 0.1, 1000)


@pytest.mark.parametrize(
    "opt_out, expected",
    [
        ({"honoured": "yes", "delay_minutes": "10"}, [False, False, True]),
        ({"honoured": "no"}, [False, False, False]),
    ],
)
def test_an_opt_out_holds_for_marketing_after_the_vendors_delay(opt_out, expected):
    world = tiny_world({"opt_out": opt_out})
    account, person = world.accounts["acme"], handsets(world)[0]
    turned = []
    for minute in (0, 5, 15):
        at_hand(world, minute * 60)
        outcome = submit(
            account, person, minute, purpose=Purpose.MARKETING, text=f"【某某科技】券{minute}，拒收请回复R"
        )
        turned.append(isinstance(outcome, Turned))
        if minute == 0:
            account.hears(person.number, world.sendings[0].sender, "r ", world.now())
    assert turned == expected
    assert isinstance(submit(account, person, 99), Taken)  # verification codes still come


def test_marketing_outside_the_vendors_hours_and_an_empty_account_are_refused():
    world = at_hand(tiny_world({"marketing_hours": "10:00-12:00", "balance": "0.09", "price": "0.045"}))
    account, person = world.accounts["acme"], handsets(world)[0]
    assert submit(account, person, 0, purpose=Purpose.MARKETING) == Turned(reason=Reason.HOURS)
    outcomes = [submit(account, person, serial) for serial in (1, 2, 3)]
    assert outcomes[2] == Turned(reason=Reason.BALANCE)
    assert account.balance() == Decimal("0.000")


def test_the_pace_is_kept_by_the_second():
    world = tiny_world({"pace": "3"})
    account, person = world.accounts["acme"], handsets(world)[0]
    taken = []
    for tenth in range(25):
        at_hand(world, tenth / 10)
        taken.append(isinstance(submit(account, person, tenth), Taken))
    assert taken == ([True] * 3 + [False] * 7) * 2 + [True] * 3 + [False] * 2


# Books ----------------------------------------------------------------------------------------------------------------


def test_records_live_as_long_as_the_vendor_keeps_them():
    world = at_hand(tiny_world({"retention_days": "30"}))
    account, person = world.accounts["acme"], handsets(world)[0]
    for days in (60, 31, 29, 1):
        old = Submission(number=person.number, text=f"【某某科技】{days}", purpose=Purpose.NOTIFICATION, key=str(days))
        world.remember("acme", old, EPOCH - timedelta(days=days))
    kept = account.records(person.number, EPOCH - timedelta(days=365), EPOCH)
    assert [record.key for record in kept] == ["29", "1"]
    assert kept[0].state is DeliveryState.DELIVERED
    assert account.records(None, EPOCH - timedelta(days=2), EPOCH) == kept[1:]


def test_a_record_knows_a_report_only_once_it_is_due():
    world = at_hand(tiny_world())
    account = world.accounts["acme"]
    submit(account, handsets(world)[0], 1)
    look = lambda: account.records(None, EPOCH, EPOCH + timedelta(days=1))[0]  # noqa: E731
    assert (look().state, look().claimed_at) == (DeliveryState.UNKNOWN, None)
    at_hand(world, 4)
    assert look().state is DeliveryState.UNKNOWN  # arrived after 3 s, but the report takes 2 more
    at_hand(world, 5)
    assert (look().state, look().claimed_at) == (DeliveryState.DELIVERED, EPOCH + timedelta(seconds=3))


def test_the_vendors_counts_agree_with_its_records():
    world = tiny_world({"arrival": "0.7", "receipts": {"missing": "0.1"}})
    sent = sent_many(world, "acme", 300)
    at_hand(world, 86_000)
    counts = world.accounts["acme"].counts(EPOCH, EPOCH + timedelta(days=1))
    assert counts.submitted == 300 == counts.delivered + counts.undelivered + counts.unreported
    assert counts.delivered == sum(sending.state is DeliveryState.DELIVERED for sending in sent)
    assert counts.by_reason == {Reason.CARRIER_FAULT: counts.undelivered}
    assert counts.by_carrier == {Carrier.CHINA_MOBILE: 300}


@pytest.mark.parametrize("billed_on", ["accepted", "delivered"])
def test_undelivered_messages_are_paid_back_only_where_delivery_is_billed(billed_on: str):
    world = tiny_world({"arrival": "0.5", "billed_on": billed_on, "price": "0.05", "balance": "100"})
    sent = sent_many(world, "acme", 200)
    at_hand(world, 86_000)
    billed = 200 if billed_on == "accepted" else sum(sending.state is DeliveryState.DELIVERED for sending in sent)
    assert world.accounts["acme"].balance() == 100 - billed * Decimal("0.05")
    kept = world.accounts["acme"].records(None, EPOCH, EPOCH + timedelta(days=1))
    assert sum(record.fee for record in kept) == billed * Decimal("0.05")


def test_a_share_of_messages_is_billed_one_segment_too_many():
    world = tiny_world({"overbilled": "0.1"})
    sent = sent_many(world, "acme", 2000)
    assert near(sum(sending.segments == 2 for sending in sent) / 2000, 0.1, 2000)


# Reviews --------------------------------------------------------------------------------------------------------------


def test_a_review_stays_open_until_it_is_decided():
    world = at_hand(tiny_world({"review": {"minutes": "10"}}))
    account = world.accounts["acme"]
    ticket = review(account, "您的取件码{code}，请及时领取。")
    assert (ticket.number, ticket.verdict, ticket.decided_at) == (1, None, None)
    at_hand(world, 599)
    assert account.review(Subject.TEMPLATE, 1).verdict is None
    at_hand(world, 600)
    decided = account.review(Subject.TEMPLATE, 1)
    assert (decided.verdict, decided.decided_at) == (ReviewVerdict.APPROVED, EPOCH + timedelta(minutes=10))
    assert account.review(Subject.SIGNATURE, 1) is None
    assert account.review(Subject.TEMPLATE, 2) is None


def test_an_approved_signature_is_filed_once_its_review_is_over():
    world = at_hand(tiny_world({"review": {"minutes": "10"}}))
    account = world.accounts["acme"]
    account.submit_review(subject=Subject.SIGNATURE, name="x", text="某某商城", purpose=Purpose.NOTIFICATION, extra={})
    account.settle()
    assert "某某商城" not in account.signatures
    at_hand(world, 601)
    account.settle()
    assert account.signatures["某某商城"] is True


def test_reviewers_find_faults_as_well_as_the_truth_says():
    world = at_hand(tiny_world({"review": {"recall": "0.8", "false_alarm": "0.1", "feedback": "0.5", "minutes": "1"}}))
    account = world.accounts["acme"]
    for number in range(500):
        review(account, "本期产品优惠，凭券码{code}到店", purpose=Purpose.MARKETING, name=f"bad {number}")
        review(account, "您的取件码{code}，请及时领取。", name=f"good {number}")
    at_hand(world, 3600)
    decided = account.reviews(Subject.TEMPLATE)
    bad = [each for each in decided if each.name.startswith("bad")]
    good = [each for each in decided if each.name.startswith("good")]
    rejected = [each for each in bad if each.verdict is ReviewVerdict.REJECTED]
    assert near(len(rejected) / 500, 0.8, 500)
    assert near(sum(each.verdict is ReviewVerdict.REJECTED for each in good) / 500, 0.1, 500)
    assert near(sum("退订" in each.reason for each in rejected) / len(rejected), 0.5, len(rejected))


@given(
    hours=st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda band: band[0] < band[1]),
    minutes=st.floats(0.1, 5000),
    created=st.integers(0, 14 * 86_400),
)
def test_reviews_are_decided_in_office_hours_after_the_reviewers_own_time(hours, minutes, created):
    begin, end = hours
    world = tiny_world({"review": {"minutes": f"{minutes:.4f}", "hours": f"{begin:02d}:00-{end:02d}:00"}})
    at_hand(world, created)
    review(world.accounts["acme"], "您的取件码{code}，请及时领取。")
    at_hand(world, 400 * 86_400)
    decided = world.accounts["acme"].review(Subject.TEMPLATE, 1)
    local = decided.decided_at.astimezone(BEIJING)
    assert begin <= local.hour + local.minute / 60 <= end or (end == 24 and local.hour == 0)
    taken = (decided.decided_at - decided.created_at).total_seconds() / 60
    assert taken >= minutes - 0.01
    days = minutes / ((end - begin) * 60) + 2
    assert taken <= days * 1440


def test_the_shipped_texts_are_judged_as_they_are_meant():
    words = read_truth(DEMO.read_text(encoding="utf-8"), "demo.yaml").words
    for text in shipped_texts().values():
        faults = faults_of(text.text, text.purpose, Subject.TEMPLATE, words)
        assert bool(faults) is (text.kind == "faulty"), (text.id, faults)


# Pushes ---------------------------------------------------------------------------------------------------------------


async def until(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(seconds - loop.time())


def test_reports_are_pushed_when_they_are_due_and_batched_as_the_vendor_does():
    world = tiny_world()
    inbox = Inbox(world)

    async def story() -> None:
        for serial in range(3):
            submit(world.accounts["acme"], handsets(world)[serial], serial)
        await until(60)

    play(world, story, inbox.deliver)
    pushes = [(at, request) for at, request in inbox.taken if "/push/" in str(request.url)]
    assert [(at - EPOCH).total_seconds() for at, _ in pushes] == [5.0, 5.0]
    assert {str(request.url) for _, request in pushes} == {f"http://inbox.sandbox{world.push_path('acme')}/reports"}
    assert [[item["id"] for item in body] for body in inbox.bodies("reports")] == [["0", "1"], ["2"]]
    assert all(sending.handed_over_at == EPOCH + timedelta(seconds=5) for sending in world.sendings)


def test_a_push_without_acknowledgement_is_tried_again_by_the_vendors_rule_with_the_same_body():
    world = tiny_world()
    inbox = Inbox(world)
    inbox.failing = lambda request: "/push/" in str(request.url) and world.now() < EPOCH + timedelta(minutes=3)

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(3600)

    play(world, story, inbox.deliver)
    tries = [(at, request) for at, request in inbox.tried if "/push/" in str(request.url)]
    assert [(at - EPOCH).total_seconds() for at, _ in tries] == [5.0, 65.0, 365.0]
    assert len({request.content for _, request in tries}) == 1
    assert [note.acknowledged for note in world.log.delivered if note.kind == "reports"] == [False, False, True]


@pytest.mark.parametrize("breakage", ["wrong answer", "exception", "silence"])
def test_a_push_is_given_up_after_the_last_try_and_the_world_goes_on(breakage: str):
    world = tiny_world()

    async def deliver(request: httpx.Request) -> httpx.Response:
        if breakage == "exception":
            raise RuntimeError("the harness is broken")
        if breakage == "silence":
            await asyncio.sleep(10_000)
        return httpx.Response(200, content=b"what?")

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(3600)

    play(world, story, deliver)
    assert ("reports", (f"1 {handsets(world)[0].number}",)) in world.log.lost
    assert world.sendings[0].handed_over_at is None


def test_an_account_set_to_pull_keeps_its_reports_until_they_are_asked_for():
    world = tiny_world({"mode": "pull"})
    inbox = Inbox(world)
    account = world.accounts["acme"]
    asked: list[list[str]] = []

    async def story() -> None:
        for serial in range(5):
            submit(account, handsets(world)[serial], serial)
        for second in (4, 6, 7, 8):
            await until(second)
            asked.append([claim.key for claim in account.take_reports(3)])

    play(world, story, inbox.deliver)
    assert asked == [[], ["0", "1", "2"], ["3", "4"], []]
    assert not inbox.bodies("/push/")


class Talkative(Counterpart):
    """A vendor with a push a claim, a rule of its own for replies, and a state before the last one."""

    def push_reports(self, claims: Sequence[Claim]) -> Sequence[PushOut]:
        return [
            PushOut(body=b"", content_type="text/plain", method="GET", query=f"id={one.key}", keys=frozenset({one.key}))
            for one in claims
        ]

    def push_reply(self, reply: Reply) -> Sequence[PushOut]:
        halves = (reply.text[:1], reply.text[1:])
        retry = (timedelta(seconds=10),)
        return [PushOut(body=half.encode(), content_type="text/plain", retry=retry) for half in halves]

    def answer(self, request: httpx.Request) -> httpx.Response:
        early = PushOut(body=b"queued", content_type="text/plain", url="http://inbox.sandbox/push/acme/called-back")
        self.door.push_later(early, "reports", timedelta(seconds=2))
        return super().answer(request)


def talkative(vendor: Mapping[str, Any] | None = None) -> World:
    truth = read_truth(truth_text(vendor), "tiny.yaml")
    return World(truth, seed=1, epoch=EPOCH, counterparts={"tiny": Talkative})


def test_a_vendor_may_push_each_claim_by_itself_and_by_another_method():
    world = talkative()
    inbox = Inbox(world)
    inbox.failing = lambda post: str(post.url).endswith("id=1") and world.now() < EPOCH + timedelta(seconds=30)

    async def story() -> None:
        for serial in range(2):
            submit(world.accounts["acme"], handsets(world)[serial], serial)
        await until(120)

    play(world, story, inbox.deliver)
    assert [(post.method, post.url.query) for _, post in inbox.taken if "reports" in post.url.path] == [
        ("GET", b"id=0"),
        ("GET", b"id=1"),
    ]
    handed = [(sending.handed_over_at - EPOCH).total_seconds() for sending in world.sendings]
    assert handed == [5.0, 65.0], "a claim is handed over when its own push is acknowledged"


def test_replies_have_a_retry_rule_of_their_own_and_may_come_in_parts():
    world = talkative()
    inbox = Inbox(world)
    inbox.failing = lambda post: "inbound" in post.url.path

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(60)
        world.reply(handsets(world)[0].phone, world.sendings[0].sender, "TD")
        await until(600)

    play(world, story, inbox.deliver)
    tried = [post.content for _, post in inbox.tried if "inbound" in post.url.path]
    assert sorted(tried) == [b"D", b"D", b"T", b"T"]
    assert [kind for kind, _ in world.log.lost] == ["inbound", "inbound"]


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_counterpart_may_start_a_push_by_itself_at_the_address_the_customer_named(mode):
    world = talkative({"mode": mode})
    inbox = Inbox(world)

    async def story() -> None:
        body = json.dumps({"to": handsets(world)[0].number, "text": "【某某科技】您的验证码000001"}).encode()
        world.answer("acme", httpx.Request("POST", "http://x/send", content=body))
        await until(60)

    play(world, story, inbox.deliver)
    came = [(at - EPOCH).total_seconds() for at, post in inbox.taken if post.url.path == "/push/acme/called-back"]
    assert came == ([2.0] if mode == "push" else [])


def test_a_number_comes_off_the_opt_out_list_by_its_reply_or_in_the_console():
    world = tiny_world({"opt_out": {"delay_minutes": "0"}})
    account, (one, two) = world.accounts["acme"], handsets(world)[:2]

    def turned(person: Person, serial: int) -> bool:
        text = f"【某某科技】券{serial}，拒收请回复R"
        return isinstance(submit(account, person, serial, purpose=Purpose.MARKETING, text=text), Turned)

    assert not turned(one, 1) and not turned(two, 2)
    for person in (one, two):
        account.hears(person.number, world.sendings[0].sender, "R", world.now())
    assert turned(one, 3) and turned(two, 4)
    assert account.opted_out().keys() == {one.number, two.number}
    account.hears(one.number, world.sendings[0].sender, "恢复", world.now())
    world.opt_in("acme", two.number)
    assert not turned(one, 5) and not turned(two, 6)
    account.opt_out(one.number)
    assert turned(one, 7)


def test_without_an_address_to_push_to_reports_wait_for_pulls():
    world = tiny_world()
    del world.push_urls["acme"]

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(60)

    play(world, story, Inbox(world).deliver)
    assert [claim.key for claim in world.accounts["acme"].take_reports(10)] == ["1"]


def test_a_decision_is_pushed_when_it_is_made():
    world = tiny_world({"review": {"minutes": "30"}})
    inbox = Inbox(world)

    async def story() -> None:
        review(world.accounts["acme"], "您的取件码{code}，请及时领取。")
        await until(7200)

    play(world, story, inbox.deliver)
    assert inbox.bodies("reviews") == [{"number": 1, "verdict": "approved"}]
    assert inbox.taken[0][0] == EPOCH + timedelta(minutes=30)


# Crashes --------------------------------------------------------------------------------------------------------------


class Plug(SystemExit):
    """Pulls the harness's plug: asyncio lets it out at once."""


def crash(world: World, seconds: float, deliver) -> None:
    """Play from 0 with one message sent at once, and lose the loop at a second."""

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(seconds)
        raise Plug

    with pytest.raises(Plug):
        play(world, story, deliver)


async def an_hour_more() -> None:
    await asyncio.sleep(3600)


def test_what_came_due_while_the_harness_was_down_is_tried_again_by_the_vendors_rule():
    world = tiny_world({"latency": "20"})
    crash(world, 10, Inbox(world).deliver)  # report due at 22 s, tried again at 82 s and 382 s
    inbox = Inbox(world)
    play(world, an_hour_more, inbox.deliver, begin=90)
    pushes = [at for at, request in inbox.tried if "/push/" in str(request.url)]
    assert [(at - EPOCH).total_seconds() for at in pushes] == [382.0]
    assert not world.log.lost


def test_what_came_due_while_the_harness_was_down_for_long_is_lost():
    world = tiny_world({"latency": "20"})
    crash(world, 10, Inbox(world).deliver)
    inbox = Inbox(world)
    play(world, an_hour_more, inbox.deliver, begin=1000)
    assert not inbox.bodies("/push/")
    assert [kind for kind, _ in world.log.lost if kind == "reports"] == ["reports"]


def test_a_phone_that_received_while_the_harness_was_down_posts_later():
    world = tiny_world({"latency": "20"}, {"apps": {"smsgate": "1"}})
    crash(world, 10, Inbox(world).deliver)
    inbox = Inbox(world)
    play(world, an_hour_more, inbox.deliver, begin=200)
    (sighting,) = inbox.bodies("sightings")
    assert sighting["payload"]["message"] == world.sendings[0].text
    # 21 s after the epoch, then 10, 20, 40, 80, 160 s later: the first try after 200 s is the one at 331 s
    assert [(at - EPOCH).total_seconds() for at, request in inbox.taken if "sight" in str(request.url)] == [331.0]


def test_a_push_that_was_under_way_when_the_plug_was_pulled_counts_as_failed():
    world = tiny_world()

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(20)
        raise AssertionError("never gets here")

    crash(world, 10, hang)
    inbox = Inbox(world)
    play(world, an_hour_more, inbox.deliver, begin=11)
    assert [(at - EPOCH).total_seconds() for at, request in inbox.taken if "/push/" in str(request.url)] == [65.0]


def test_an_inbox_that_pulls_its_own_plug_gets_the_same_push_again():
    world = tiny_world()
    seen: list[bytes] = []

    async def deliver(request: httpx.Request) -> httpx.Response:
        if "/push/" in str(request.url):
            seen.append(request.content)
            raise Plug
        return httpx.Response(200)

    async def story() -> None:
        submit(world.accounts["acme"], handsets(world)[0], 1)
        await until(60)

    with pytest.raises(Plug):
        play(world, story, deliver)
    inbox = Inbox(world)
    play(world, an_hour_more, inbox.deliver, begin=6)
    assert [json.dumps(body).encode() for body in inbox.bodies("/push/")] == seen


def test_crashes_do_not_change_what_becomes_of_messages():
    def whole(stops: Sequence[float]) -> set[tuple[object, ...]]:
        world = tiny_world({"arrival": "0.8", "latency": {"median": "5", "sigma": "1"}})
        for begin, end in pairwise((0.0, *stops, 3000.0)):

            async def story(begin: float = begin, end: float = end) -> None:
                for serial in range(int(begin / 10), int(end / 10)):
                    await until(max(serial * 10, begin))
                    submit(world.accounts["acme"], handsets(world)[serial % 10], serial)
                await until(end)

            play(world, story, Inbox(world).deliver, begin=begin)
        return fates(world, "acme")

    assert whole(()) == whole((400, 1000, 1010))


# The truth file -------------------------------------------------------------------------------------------------------


def demo() -> WorldTruth:
    return read_truth(DEMO.read_text(encoding="utf-8"), "demo.yaml")


def test_the_demo_world_has_four_vendors_and_a_panel_on_four_carriers():
    world = World(demo(), seed=1, epoch=EPOCH)
    assert list(world.accounts) == ["haoxin", "jiahui", "lianduan", "guoqi"]
    rows = world.panel_rows()
    assert len(rows) == 64 + 8 + 6 + 8 + 8
    assert sum(row["kind"] == "handset" for row in rows) == len(world.forwarder_rows()) == 72
    assert sum(row["spare"] == "yes" for row in rows) == 8
    assert all(row["number"][6:10] == "0000" and len(row["number"]) == 14 for row in rows)
    assert world.truths("haoxin").false_receipts[Carrier.CHINA_MOBILE] == 0
    assert world.truths("jiahui").false_receipts[Carrier.CHINA_MOBILE] == pytest.approx(0.06, abs=0.005)
    assert world.truths("lianduan").review_median_minutes > 300


@pytest.mark.parametrize(
    "before, after, place, words",
    [
        ("wire: tiny", "wiring: tiny", "vendors.acme", "wire is missing"),
        ("arrival: '1'", "arrival: '1.5'", "vendors.acme.arrival", "share between 0 and 1"),
        ("arrival: '1'", "arrival: {china_mobile: '1'}", "vendors.acme.arrival", "china_unicom is missing"),
        ("mode: push", "mode: shove", "vendors.acme.mode", "push, pull"),
        ("latency: '3'", "latency: {median: '3', sigmar: '1'}", "vendors.acme.latency.sigmar", "nobody knows this key"),
        ("latency: '3'", "latency: fast", "vendors.acme.latency", "'fast'"),
        ("latency: '3'", "pase: '3'", "vendors.acme.pase", "pace"),
        ("china_mobile: 10", "china_mobil: 10", "panel.handsets", "china_mobil"),
        ("mode: push", "outages: [{from: tomorrow, to: day 2 10:00}]", "vendors.acme.outages.0.from", "day 2 14:00"),
        ("mode: push", "marketing_hours: 9-12", "vendors.acme.marketing_hours", "09:00-20:00"),
        ("delay: '2'", "share: '0.5'", "vendors.acme.receipts.share", "Kind share"),
        ("acme:", "Acme_1:", "vendors.Acme_1", "small letters"),
    ],
)
def test_a_wrong_truth_is_told_with_place_value_and_way_out(before, after, place, words):
    text = truth_text()
    assert before in text
    with pytest.raises(TruthError) as error:
        read_truth(text.replace(before, after), "tiny.yaml")
    first, *rest = str(error.value).split("\n")
    assert first.startswith("tiny.yaml, line ")
    assert first.endswith(place)
    assert words in " ".join(rest)
