"""Which message a report, a sighting or a reply belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.domain import (
    Accepted,
    InDoubt,
    ReportSource,
    ReviewDecision,
    ReviewVerdict,
    Subject,
    Ticket,
)
from harness.facts import (
    CasePlanned,
    Fact,
    InboundReceived,
    QuestionAnswered,
    Replied,
    Reply,
    ReviewDecisionReceived,
    SendSettled,
    SubmitAnswered,
    SubmitReview,
    TicketGiven,
)
from harness.matching import Leg, Matcher, tokens_in
from tests.harness.given import accepted, case, draft, fact, report, sighting


def planned(*cases) -> list[Fact]:
    return [fact(CasePlanned(case=one), one.id) for one in cases]


def answered(case_id: str, theirs: str = "m1", leg: int = 0) -> Fact:
    return fact(SubmitAnswered(leg=leg, outcome=accepted(theirs), call=None), case_id)


def knowing(*facts: Fact) -> Matcher:
    matcher = Matcher()
    for one in facts:
        matcher.route(one)
    return matcher


ALI = case("c1", "ali", drafts=(draft("BCD234", "s1"), draft("DFG567", "s2")))
YUN = case("c2", "yun", drafts=(draft("GHJ289", "s3"),))
OTHER = case("c3", "ali", drafts=(draft("KMN345", "s4"),), recipient="p2")


def test_a_report_belongs_to_the_message_with_its_id():
    matcher = knowing(*planned(ALI, YUN), answered("c1", "m1"), answered("c1", "m2", leg=1))
    assert matcher.leg_of(report("m1")) == Leg("c1", 0)
    assert matcher.leg_of(report("m2")) == Leg("c1", 1)


def test_two_vendors_with_one_id_are_kept_apart():
    matcher = knowing(*planned(ALI, YUN), answered("c1", "7"), answered("c2", "7"))
    assert matcher.leg_of(report("7", "ali")) == Leg("c1", 0)
    assert matcher.leg_of(report("7", "yun")) == Leg("c2", 0)
    assert matcher.leg_of(report("7", "other")) is None


def test_a_report_before_the_answer_is_parked_and_joined():
    matcher = knowing(*planned(ALI))
    early = fact(report("m1"), seq=5)
    assert matcher.route(early) == []
    assert matcher.orphans == [early]
    answer = answered("c1")
    assert matcher.route(answer) == [("c1", answer), ("c1", early)]
    assert matcher.orphans == []


def test_a_report_that_is_parked_waits_for_its_own_vendor():
    matcher = knowing(*planned(ALI, YUN))
    early = fact(report("7", "yun"))
    matcher.route(early)
    assert matcher.route(answered("c1", "7")) == [("c1", answered("c1", "7"))]
    assert matcher.orphans == [early]


def test_our_reference_joins_a_report_whose_answer_never_came():
    matcher = knowing(*planned(ALI), fact(SubmitAnswered(leg=1, outcome=InDoubt(why="no_answer"), call=None), "c1"))
    assert matcher.leg_of(report("unheard-of", reference="s2")) == Leg("c1", 1)


def test_a_reference_of_another_vendors_message_is_no_proof():
    matcher = knowing(*planned(ALI, YUN))
    assert matcher.leg_of(report("x", "yun", reference="s1")) is None
    assert matcher.leg_of(report("x", "ali", reference="nonsense")) is None


def test_a_collision_is_kept_as_an_orphan_and_never_guessed():
    matcher = knowing(*planned(ALI, OTHER), answered("c1", "same"), answered("c3", "same"))
    one = fact(report("same"))
    assert matcher.route(one) == []
    assert matcher.orphans == [one]


def test_a_collision_is_resolved_by_what_tells_the_two_apart():
    matcher = knowing(*planned(ALI, OTHER), answered("c1", "same"), answered("c3", "same"))
    assert matcher.leg_of(report("same", recipient="p2")) == Leg("c3", 0)
    assert matcher.leg_of(report("same", reference="s1")) == Leg("c1", 0)


def test_a_report_for_somebody_else_is_not_ours_even_with_our_id():
    matcher = knowing(*planned(ALI), answered("c1", "m1"))
    assert matcher.leg_of(report("m1", recipient="p9")) is None


def test_a_settled_send_is_known_by_the_id_that_settled_it():
    matcher = knowing(*planned(ALI))
    early = fact(report("m9"))
    matcher.route(early)
    settled = fact(SendSettled(leg=0, by="record", vendor_message_id="m9"), "c1")
    assert matcher.route(settled) == [("c1", settled), ("c1", early)]


def test_an_answer_and_its_settling_are_one_message_and_no_collision():
    settled = fact(SendSettled(leg=0, by="report", vendor_message_id="m1"), "c1")
    matcher = knowing(*planned(ALI), answered("c1", "m1"), settled, settled)
    assert matcher.leg_of(report("m1")) == Leg("c1", 0)


def test_a_sighting_belongs_to_the_phones_own_token():
    matcher = knowing(*planned(ALI, YUN))
    assert matcher.leg_of(sighting("【某某科技】码DFG567，5分钟")) == Leg("c1", 1)
    assert matcher.leg_of(sighting("【某某科技】码GHJ289")) == Leg("c2", 0)
    assert matcher.leg_of(sighting("【某某科技】码DFG567", recipient="p2")) is None
    assert matcher.leg_of(sighting("【某某科技】没有码")) is None


def test_a_token_is_six_characters_standing_alone():
    assert list(tokens_in("码123456，或BCD234；不是1234567、12345、BCDF234，也不是ABCDEF")) == ["123456", "BCD234"]


def test_a_reply_belongs_to_the_case_that_asked_the_phone_last():
    ask = QuestionAnswered(question=Reply(leg=0, text="R"), answer=Replied(by_hand=False))
    reply = InboundReceived(vendor="ali", recipient="p1", to="1069", text="R", sent_at=None, source=ReportSource.PUSHED)
    matcher = knowing(*planned(ALI, OTHER))
    assert matcher.case_of(reply) is None
    matcher.route(fact(ask, "c1"))
    assert matcher.case_of(reply) == "c1"


def test_a_decision_belongs_to_its_ticket_or_its_name():
    ticket = Ticket(subject=Subject.TEMPLATE, id="t1", name="登录")
    given_one = fact(QuestionAnswered(question=SubmitReview(), answer=TicketGiven(ticket=ticket)), "c1")
    matcher = knowing(*planned(ALI), given_one)

    def decision(ticket: str, name: str = "", subject: Subject = Subject.TEMPLATE, vendor: str = "ali"):
        told = ReviewDecision(ticket=ticket, subject=subject, verdict=ReviewVerdict.APPROVED, name=name)
        return matcher.case_of(ReviewDecisionReceived(vendor=vendor, decision=told))

    assert decision("t1") == decision("", "登录") == "c1"
    assert decision("t2") is decision("t1", subject=Subject.SIGNATURE) is decision("t1", vendor="yun") is None


MESSAGES = [Leg("c1", 0), Leg("c1", 1), Leg("c2", 0), Leg("c3", 0)]
NEWS = [
    answered("c1", "m1"),
    answered("c1", "m2", leg=1),
    answered("c2", "m1"),
    answered("c3", "m3"),
    *(fact(report(f"m{n}", vendor), seq=10 + n) for n, vendor in ((1, "ali"), (2, "ali"), (1, "yun"), (3, "ali"))),
    fact(report("m3", reference="s4"), seq=20),
    fact(report("m2", recipient="p1"), seq=21),
    fact(report("stranger"), seq=22),
    fact(sighting("码BCD234"), seq=23),
]


@given(st.permutations(NEWS), st.lists(st.sampled_from(NEWS), max_size=5))
def test_the_order_of_facts_and_their_repeats_make_no_difference(order, again):
    """Every report comes out for its own case, sooner or later; the stranger stays an orphan."""
    matcher = knowing(*planned(ALI, YUN, OTHER))
    routed: dict[str, set[int]] = {}
    for one in [*order, *again]:
        for case_id, news in matcher.route(one):
            if not isinstance(news.body, SubmitAnswered):
                routed.setdefault(case_id, set()).add(NEWS.index(news))
    assert routed == {"c1": {4, 5, 9, 11}, "c2": {6}, "c3": {7, 8}}
    assert {one.body.vendor_message_id for one in matcher.orphans} == {"stranger"}
    assert isinstance(NEWS[0].body.outcome, Accepted)
