"""How a question is put, to whom, and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, ClassVar

import httpx
import pytest

from harness.capabilities import Account, Tools
from harness.config import Forwarder
from harness.domain import (
    Balance,
    Case,
    ContentVerdict,
    DeliveryState,
    Purpose,
    Reason,
    Record,
    Refused,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    Secret,
    StatisticsRow,
    Subject,
    Ticket,
)
from harness.errors import Throttled, Unauthorised
from harness.facts import (
    AskBalance,
    AskStatistics,
    BalanceTold,
    CheckContent,
    ContentChecked,
    Decided,
    FindRecord,
    InboxSearched,
    Probe,
    Probed,
    QueryReview,
    Question,
    RecordTold,
    Replied,
    Reply,
    SaidNo,
    SearchInbox,
    StatisticsTold,
    SubmitReview,
    TicketGiven,
    Undecided,
)
from harness.run.board import Board, Sent
from harness.run.lines import Line, Redactor
from harness.run.questions import Asker, Told, harmless_question, probe_simulated
from tests.harness.given import NOW, NUMBER, case, later, loop_clock, recipient, sighting, virtually
from tests.harness.test_lines import Far

DAY = date(2026, 3, 2)
DECISION = ReviewDecision(ticket="t1", subject=Subject.TEMPLATE, verdict=ReviewVerdict.APPROVED)
ROW = StatisticsRow(since=NOW, until=later(days=1), carrier=None, submitted=7)


class Able:
    """A vendor that answers what it is told to, and remembers how it was made."""

    says: Any = None
    made: ClassVar[list[tuple[Account, Tools]]] = []
    asked: ClassVar[list[Any]] = []

    class manifest:
        endpoint = "https://sms.acme.example:443"

    def __init__(self, account: Account, tools: Tools) -> None:
        self.account, self.tools = account, tools
        type(self).made.append((account, tools))

    def _ask(self, *what: Any) -> Any:
        type(self).asked.append(what)
        endpoint = self.account.endpoint or "https://sms.acme.example"
        stamp = f"{self.tools.now().isoformat()}/{self.tools.nonce()}/{self.account.secret('key')}"
        yield httpx.Request("POST", f"{endpoint}/{what[0]}", content=stamp.encode())
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def submit_template(self, draft: ReviewDraft) -> Any:
        return self._ask("submit_template", draft)

    def query_template(self, ticket: str) -> Any:
        return self._ask("query_template", ticket)

    def check_content(self, text: str) -> Any:
        return self._ask("check_content", text)

    def find_records(self, number: str, day: date) -> Any:
        return self._ask("find_records", number, day)

    def statistics(self, first: date, last: date) -> Any:
        return self._ask("statistics", first, last)

    def balance(self) -> Any:
        return self._ask("balance")


class Unable:
    class manifest:
        endpoint = "https://sms.acme.example"


PHONES = {
    "f1": Forwarder(id="f1", app="smsforwarder", secret=Secret("s"), api="http://127.0.0.1:5000"),
    "f2": Forwarder(id="f2", app="json", secret=Secret("s"), header="h"),
    "f3": Forwarder(id="f3", app="smsgate", secret=Secret("s"), api="http://127.0.0.1:5001"),
}


def ask(
    question: Question,
    says: Any = None,
    *,
    vendor: type = Able,
    board: Board | None = None,
    far: Far | None = None,
    phone: Far | None = None,
    forwarder: str = "f1",
    tls: Mapping[str, str] | None = None,
) -> Told:
    Able.says, Able.made, Able.asked = says, [], []
    account = Account(label="ali", credentials={"key": Secret("abcd1234")})
    counter = iter(range(1000))

    async def scene() -> Told:
        clock, redactor = loop_clock(), Redactor(secrets=["abcd1234"])
        tools = Tools(now=clock.now, nonce=lambda: f"{next(counter):032x}")
        made = vendor(account, tools) if vendor is Able else vendor()

        async def handshake(url: str, version: str) -> Mapping[str, str]:
            return {"handshake": (tls or {}).get(version, "refused"), "cipher": version}

        asker = Asker(
            made,
            Line(far or Far(httpx.Response(200, json={}), seconds=0.01), clock, redactor, per_second=1000.0),
            account=account,
            make=vendor,
            tools=tools,
            clock=clock,
            phones=Line(phone or Far(httpx.Response(200, json={"code": 200})), clock, redactor, per_second=1000.0),
            forwarders=PHONES,
            recipients={"p1": recipient(forwarder=forwarder)},
            probe_tls=handshake,
        )
        return await asker.ask(board or Board(case=case()), question)

    return virtually(scene())


def reviewing(subject: Subject = Subject.TEMPLATE) -> Board:
    review = ReviewDraft(subject=subject, name="n", text="码{code}", purpose=Purpose.VERIFICATION)
    one = case(drafts=(), recipient=None)
    return Board(case=Case(**{**{f: getattr(one, f) for f in one.__dataclass_fields__}, "review": review}))


# --- the vendor -----------------------------------------------------------------------------------------------------

NO = Refused(reason=Reason.TEMPLATE_NOT_APPROVED, code="E7")
ANSWERS: list[tuple[Question, Any, Any]] = [
    (QueryReview(subject=Subject.TEMPLATE, ticket="t1"), None, Undecided()),
    (QueryReview(subject=Subject.TEMPLATE, ticket="t1"), DECISION, Decided(decision=DECISION)),
    (CheckContent(text="x"), ContentVerdict(blocked=True), ContentChecked(verdict=ContentVerdict(blocked=True))),
    (AskStatistics(first=DAY, last=DAY), [ROW], StatisticsTold(rows=(ROW,))),
    (AskBalance(), Balance(messages=3), BalanceTold(balance=Balance(messages=3))),
    (FindRecord(day=DAY), [], RecordTold(found=False, records=0)),
]


@pytest.mark.parametrize(("question", "says", "answer"), ANSWERS, ids=lambda one: getattr(one, "kind", ""))
def test_a_question_is_put_and_its_answer_read(question, says, answer):
    told = ask(question, says)
    assert told.answer == answer
    assert told.trouble is None
    assert told.call.requests == 1
    assert b"abcd1234" not in told.recording


def test_a_review_is_handed_in_and_gets_a_ticket_or_a_no():
    ticket = Ticket(subject=Subject.TEMPLATE, id="t1")
    assert ask(SubmitReview(), ticket, board=reviewing()).answer == TicketGiven(ticket=ticket)
    assert Able.asked[0][1].name == "n"
    assert ask(SubmitReview(), NO, board=reviewing()).answer == SaidNo(refused=NO)


@pytest.mark.parametrize("question", [question for question, _, _ in ANSWERS], ids=lambda one: one.kind)
def test_trouble_is_an_answer_too(question):
    told = ask(question, Unauthorised("who are you"))
    assert told.answer is None
    assert told.trouble.kind == "unauthorised"
    assert told.recording


@pytest.mark.parametrize("question", [question for question, _, _ in ANSWERS], ids=lambda one: one.kind)
def test_what_a_vendor_has_not_is_told_without_asking(question):
    far = Far(httpx.Response(200, json={}))
    told = ask(question, vendor=Unable, far=far)
    assert told.answer is None
    assert told.trouble.detail.startswith("the vendor has no ")
    assert not told.trouble.written
    assert far.asked == []


def test_a_signature_is_not_handed_to_who_reviews_templates_only():
    assert "reviews_signatures" in ask(SubmitReview(), board=reviewing(Subject.SIGNATURE)).trouble.detail
    assert ask(SubmitReview(), board=Board(case=case())).trouble is not None


def test_records_are_asked_for_by_number_and_day():
    ask(FindRecord(day=DAY), [])
    assert Able.asked == [("find_records", NUMBER, DAY)]


def record(**more: Any) -> Record:
    return Record(**{"number": NUMBER, "sent_at": NOW, **more})


@pytest.mark.parametrize(
    ("question", "records", "found"),
    [
        (FindRecord(day=DAY, vendor_message_id="m1"), [record(vendor_message_id="m1")], True),
        (FindRecord(day=DAY, vendor_message_id="m1"), [record(vendor_message_id="m2", text="码BCD234")], False),
        (FindRecord(day=DAY, reference="s1"), [record(reference="s1")], True),
        (FindRecord(day=DAY, reference="s1"), [record(reference="s2", text="码BCD234")], False),
        (FindRecord(day=DAY, reference="s1"), [record(text="您的码BCD234")], True),
        (FindRecord(day=DAY, reference="s9"), [record(text="您的码BCD234")], False),
        (FindRecord(day=DAY), [record(text="您的码XYZ789")], False),
        (FindRecord(day=DAY), [record(text="x"), record(text="码BCD234")], True),
    ],
)
def test_a_record_is_ours_by_id_by_reference_or_by_token(question, records, found):
    answer = ask(question, records).answer
    assert (answer.found, answer.records) == (found, len(records))


def test_what_a_record_holds_is_told():
    full = record(vendor_message_id="m1", text="码", state=DeliveryState.DELIVERED, reported_at=NOW)
    answer = ask(FindRecord(day=DAY, vendor_message_id="m1"), [full]).answer
    assert answer.fields == ("sent_at", "text", "state", "reported_at")
    bare = ask(FindRecord(day=DAY, vendor_message_id="m1"), [record(sent_at=None, vendor_message_id="m1")]).answer
    assert bare.fields == ()


# --- the phone ------------------------------------------------------------------------------------------------------


def seen_board() -> Board:
    return Board(case=case(), legs={0: Sent(intended_at=NOW, sightings=(sighting(sender="106912"),))})


def test_a_phone_replies_to_who_wrote_to_it():
    phone = Far(httpx.Response(200, json={"code": 200}))
    assert ask(Reply(leg=0, text="R"), board=seen_board(), phone=phone).answer == Replied(by_hand=False)
    sent = json.loads(phone.asked[0].content)["data"]
    assert (sent["phone_numbers"], sent["msg_content"]) == ("106912", "R")


def test_a_phone_that_cannot_be_asked_replies_by_hand():
    assert ask(Reply(leg=0, text="R"), board=seen_board(), forwarder="f2").answer == Replied(by_hand=True)


def test_without_a_sighting_there_is_nothing_to_reply_to():
    assert "no sighting" in ask(Reply(leg=0, text="R")).trouble.detail
    assert "no sighting" in ask(Reply(leg=3, text="R"), board=seen_board()).trouble.detail


def inbox(*texts: str) -> Far:
    rows = [{"number": "1069", "content": text, "date": int(NOW.timestamp() * 1000)} for text in texts]
    return Far(httpx.Response(200, json={"code": 200, "data": rows}))


def test_a_message_that_the_phone_holds_is_a_sighting_found_later():
    told = ask(SearchInbox(leg=0), phone=inbox("您的码BCD234", "别的BCD2345", "另外"))
    assert told.answer == InboxSearched(found=True)
    (found,) = told.sightings
    assert found.reconciled
    assert (found.recipient, found.text, found.handset_at, found.scts) == ("p1", "您的码BCD234", NOW, None)
    assert found.forwarded_at is None


def test_the_gateways_inbox_tells_the_service_centres_time():
    rows = [{"sender": "1069", "contentPreview": "您的码BCD234", "createdAt": NOW.isoformat()}]
    told = ask(SearchInbox(leg=0), phone=Far(httpx.Response(200, json=rows)), forwarder="f3")
    assert (told.sightings[0].scts, told.sightings[0].handset_at) == (NOW, None)


def test_a_phone_without_the_message_says_so():
    told = ask(SearchInbox(leg=0), phone=inbox("另外"))
    assert (told.answer, told.sightings) == (InboxSearched(found=False), ())


def test_a_phone_that_cannot_be_asked_or_does_not_answer_leaves_it_unknown():
    assert ask(SearchInbox(leg=0), forwarder="f2").answer is None
    dead = Far(httpx.ConnectError("no route"))
    told = ask(SearchInbox(leg=0), phone=dead)
    assert (told.answer, told.trouble.kind) == (None, "unreachable")


# --- the endpoint ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tls", "taken"),
    [
        ({"TLSv1.3": "done", "TLSv1.2": "done"}, False),
        ({"TLSv1.2": "done", "TLSv1": "done"}, True),
        ({"TLSv1.3": "done", "TLSv1.1": "unable", "TLSv1": "unable"}, None),
        ({"TLSv1.1": "done"}, None),  # nothing modern answers: the endpoint itself may be away
        ({}, None),
    ],
)
def test_the_lowest_tls_version_taken_is_told(tls, taken):
    answer = ask(Probe(what="tls"), tls=tls).answer
    assert answer.taken is taken
    assert answer.detail["TLSv1.3"] == tls.get("TLSv1.3", "refused")
    assert answer.detail["cipher"] == "TLSv1.3"


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        (Balance(messages=1), True),
        (Unauthorised("wrong"), False),
        (Throttled("slow", code="E9"), False),
        (ValueError("odd"), None),
    ],
)
@pytest.mark.parametrize("what", ["stale", "forged_signature", "plain_http"])
def test_a_probe_is_taken_if_the_vendor_answers_as_if_nothing_were_wrong(what, says, taken):
    assert ask(Probe(what=what), says).answer == Probed(what=what, taken=taken, detail=_detail(says))


def _detail(says: Any) -> dict[str, str]:
    if not isinstance(says, Exception):
        return {}
    return {"trouble": getattr(says, "kind", "unintelligible"), "code": getattr(says, "code", "")}


def said(far: Far) -> list[list[str]]:
    return [request.content.decode().split("/") for request in far.asked]


def test_a_stale_request_is_an_hour_old_and_otherwise_right():
    far = Far(httpx.Response(200, json={}))
    ask(Probe(what="stale"), Balance(), far=far)
    ((stamp, _, key),) = said(far)
    assert (stamp, key) == (later(hours=-1).isoformat(), "abcd1234")


def test_a_forged_request_is_signed_with_another_key():
    far = Far(httpx.Response(200, json={}))
    ask(Probe(what="forged_signature"), Balance(), far=far)
    ((_, _, key),) = said(far)
    assert key != "abcd1234"
    assert len(key) == 8


def test_a_replay_is_the_same_request_twice():
    far = Far(httpx.Response(200, json={}))
    assert ask(Probe(what="replay"), Balance(), far=far).answer.taken is True
    first, second = said(far)
    assert first == second
    assert ask(Probe(what="replay"), Unauthorised("no")).answer is None, (
        "if the first is refused the second says nothing"
    )


def test_plain_http_is_asked_on_port_80():
    far = Far(httpx.Response(200, json={}))
    ask(Probe(what="plain_http"), Balance(), far=far)
    assert str(far.asked[0].url).startswith("http://sms.acme.example/")
    refused = Far(httpx.ConnectError("refused"))
    assert ask(Probe(what="plain_http"), Balance(), far=refused).answer.taken is False


def test_with_nothing_harmless_to_ask_nothing_is_probed():
    make: Callable[..., Any] = Unable
    assert harmless_question(make(), NOW) is None
    assert ask(Probe(what="forged"), vendor=Unable).answer is None


def test_a_simulated_handshake_says_what_both_sides_take():
    async def scene() -> list[Mapping[str, str]]:
        refused = Far(httpx.ConnectError("version"))
        return [await probe_simulated(refused, "http://127.0.0.1:1", "TLSv1"), await _done()]

    async def _done() -> Mapping[str, str]:
        async def answer(request: httpx.Request) -> httpx.Response:
            assert request.url.scheme == "https"
            return httpx.Response(200, extensions={"tls_version": request.extensions["tls_maximum"]})

        return await probe_simulated(httpx.MockTransport(answer), "http://127.0.0.1:1", "TLSv1.2")

    assert virtually(scene()) == [
        {"handshake": "refused", "why": "version"},
        {"handshake": "done", "version": "TLSv1.2"},
    ]
