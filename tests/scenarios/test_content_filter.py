"""Faulty and harmless texts: sent where a template is on file, else put to the word check."""

from __future__ import annotations

from harness.capabilities import Capability
from harness.content import shipped_texts
from harness.facts import CheckContent
from harness.registry import scenario
from harness.run.board import Ask, Close, Wait
from tests.scenarios.boards import after, asked, board
from tests.scenarios.evaluation import cases_of, contestant, evaluation

TEXTS = {key: one for key, one in shipped_texts().items() if one.kind in ("faulty", "harmless")}
FILED = [key for key, one in shipped_texts().items() if one.kind == "compliant"]
STRANGER = contestant("v0", lacks=list(TEXTS))


def test_each_faulty_and_harmless_text_is_sent_once_and_says_what_is_wrong_with_it():
    cases = [case for case in cases_of("content_filter") if case.vendor == "v0"]
    assert sorted(case.drafts[0].content for case in cases) == sorted(TEXTS)
    for case in cases:
        text = TEXTS[case.drafts[0].content]
        assert (case.task["fault"], case.task["family"]) == (text.fault, text.family)


def test_marketing_texts_go_to_testers_only():
    testers = {one.id for one in evaluation().recipients if one.tester}
    for case in cases_of("content_filter"):
        assert case.slices["purpose"] != "marketing" or case.recipient in testers
    none = cases_of("content_filter", within=evaluation(testers=0))
    assert {case.slices["purpose"] for case in none} == {"notification"}


def test_without_a_template_the_word_check_is_asked_and_nothing_is_sent():
    cases = cases_of("content_filter", contestants=[STRANGER])
    assert len(cases) == len(TEXTS)
    case = cases[0]
    assert not case.drafts
    assert "【某某科技】" in case.task["text"]
    assert "{code}" not in case.task["text"]
    question = CheckContent(text=case.task["text"])
    step = scenario("content_filter").next_step
    assert step(board(case), after(case, seconds=-1)) == Wait(case.due)
    assert step(board(case), case.due) == Ask(question)
    failed = board(case, questions=(asked(case, question, failed="no_answer"),))
    assert step(failed, after(case, seconds=2)) == Close("failed")


def test_without_template_and_word_check_there_is_no_case():
    can = frozenset({Capability.SUBMITS})
    assert cases_of("content_filter", contestants=[contestant("v0", lacks=list(TEXTS), can=can)]) == []


def test_more_messages_go_round_the_texts_again():
    cases = cases_of("content_filter", {"messages": "24"}, contestants=[contestant("v0")])
    assert len(cases) == 24
