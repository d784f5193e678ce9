"""The soak's beat: even, over all carriers, all vendors alike, within what phones may get."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta

from harness.domain import BEIJING
from tests.scenarios.evaluation import cases_of, evaluation, visits_of

MANY = evaluation(phones=60)


def test_each_beat_has_one_message_a_carrier_from_each_vendor():
    cases = cases_of("soak", within=MANY)
    rounds = defaultdict(list)
    for case in cases:
        rounds[case.visit.rsplit("-", 1)[0]].append(case)
    for beat in rounds.values():
        assert Counter((case.vendor, case.slices["carrier"]) for case in beat) == {
            (f"v{number}", carrier): 1
            for number in range(4)
            for carrier in ("china_mobile", "china_unicom", "china_telecom")
        }
    assert len(rounds) == 7 * 22


def test_the_beat_is_every_half_hour_unless_set():
    for setting, every in (({}, 30), ({"every": "60 min"}, 60)):
        dues = sorted({case.due for case in cases_of("soak", setting, within=MANY) if case.visit.endswith("-0")})
        assert timedelta(minutes=every / 4) == dues[1] - dues[0]


def test_vendors_take_turns_within_the_beat_and_at_being_first():
    firsts = Counter(visit[0].vendor for visit in visits_of(cases_of("soak", within=MANY)).values())
    assert len(firsts) == 4
    assert max(firsts.values()) - min(firsts.values()) <= 3 * 3


def test_with_one_message_a_beat_carriers_take_turns():
    cases = cases_of("soak", {"per_round": "1"}, within=MANY)
    alone = sum(case.visit.endswith("-0") for case in cases)
    assert alone > 0.8 * len(cases)
    counts = Counter(case.slices["carrier"] for case in cases)
    assert len(counts) == 3
    assert max(counts.values()) - min(counts.values()) <= 7 * 4


def test_where_phones_are_few_the_beat_thins_evenly_instead_of_ending_at_noon():
    cases = cases_of("soak", within=evaluation(phones=3))
    counts = Counter((case.vendor, case.recipient, case.due.astimezone(BEIJING).date()) for case in cases)
    assert max(counts.values()) == 2  # a fifth of 40 a day, shared by four vendors
    late = sum(case.due.astimezone(BEIJING).hour >= 15 for case in cases)
    assert 0.3 < late / len(cases) < 0.7
    rounds = Counter(case.visit.rsplit("-", 1)[0] for case in cases)
    assert max(rounds.values()) <= 3 * 4


def test_all_messages_are_notices_to_phones_in_turn():
    cases = cases_of("soak", within=MANY)
    assert {case.slices["purpose"] for case in cases} == {"notification"}
    phones = Counter(case.recipient for case in cases)
    assert len(phones) == 60
    assert max(phones.values()) - min(phones.values()) <= 2 * 4
