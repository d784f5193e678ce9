"""What a session promises, with both of its sides and no network: nothing twice, nothing lost, nothing unsaid."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain import Reason
from tests.vendors.carrier.links import NOON, NUMBER, PROTOCOLS, SENDER, Link, link, part, report, words
from vendors.carrier import cmpp, session, sgip, smgp, smpp
from vendors.carrier.pdus import Malformed
from vendors.carrier.reports import CarrierReport
from vendors.carrier.session import (
    Answered,
    Doubted,
    Ended,
    Full,
    Garbled,
    LoggedIn,
    LoginRefused,
    NotOpen,
    Numbers,
    Phase,
    Received,
    Session,
    Strayed,
    Submission,
    Timings,
    Unsent,
    start_at,
)
from vendors.carrier.short_text import Alphabet, InboundPart, split_text

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
each_carrier = pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "sgip"])  # reports inband
ID = {"cmpp2": b"\x01" * 8, "cmpp3": b"\x01" * 8, "smpp": b"0A1B", "smgp": b"\x01" * 10}


# --- login -----------------------------------------------------------------------------------------------------------


@each_protocol
def test_a_login_with_the_right_secret_is_let_in(protocol):
    both = link(protocol)
    both.ours.begin(0.0)
    both.theirs.begin(0.0)
    both.carry()
    (ours,), (theirs,) = both.heard, both.seen
    assert isinstance(ours, LoggedIn) and isinstance(theirs, LoggedIn)
    assert theirs.account in ("901234", "esme1", "spuser", "12345678")
    assert getattr(both.client, "digest_matched", "one") in ("one", "four")


@each_protocol
def test_a_login_with_the_wrong_secret_is_refused_with_a_code_and_the_link_ends(protocol):
    both = link(protocol)
    both.gateway._secrets = {account: "another" for account in both.gateway._secrets}
    both.ours.begin(0.0)
    both.theirs.begin(0.0)
    both.carry()
    refused, ended = both.heard
    assert isinstance(refused, LoginRefused) and refused.code not in ("", "0")
    assert isinstance(ended, Ended) and not ended.is_clean
    with pytest.raises(NotOpen):
        both.submit("a")


@each_protocol
def test_a_login_that_nobody_answers_ends_the_link(protocol):
    both = link(protocol)
    both.ours.begin(0.0)
    both.tick(9.9)
    assert both.heard == []
    both.tick(0.2)
    (ended,) = both.heard
    assert ended == Ended(why="no answer to login", is_clean=False)


@each_protocol
def test_a_gateway_waits_for_a_login_only_so_long(protocol):
    both = link(protocol)
    both.theirs.begin(0.0)
    assert both.theirs.next_timer() == 10.0
    (ended,) = both.theirs.tick(10.0)
    assert ended == Ended(why="nobody logged in", is_clean=False)


@each_protocol
def test_a_submit_before_login_is_turned_away(protocol):
    both = link(protocol)
    both.theirs.begin(0.0)
    pdu, values = both.client.submit(part(), sender=SENDER, number=NUMBER)
    raw = both.client.codec.encode(pdu, (1, 2, 3) if protocol == "sgip" else 1, values)
    events = both.theirs.feed(raw, 0.0)
    assert not any(isinstance(event, Received) for event in events)
    if protocol == "smpp":
        assert smpp.SMPP.decode(both.theirs.bytes_to_send()).status == smpp.RINVBNDSTS
    elif protocol == "sgip":
        assert sgip.SGIP.decode(both.theirs.bytes_to_send()).values.result == 1
    else:
        assert isinstance(events[-1], Ended) and not events[-1].is_clean


def test_a_cmpp_client_speaks_the_dialect_of_the_answer():
    both = link("cmpp3")
    both.gateway._speaks, both.gateway.codec = cmpp.V2, cmpp.CMPP2
    both.ours.begin(0.0)
    both.theirs.begin(0.0)
    both.carry()
    assert both.heard[0] == LoginRefused(code="4", why="version too high; the gateway speaks 0x20")
    lenient = link("cmpp3")
    lenient.ours.begin(0.0)
    raw = cmpp.CMPP2.encode(cmpp.CMPP2.pdus[0x80000001], 1, {"version": 0x20})
    (logged_in,) = lenient.ours.feed(raw, 0.0)
    assert logged_in == LoggedIn(version=0x20, dialect="CMPP 2.0")
    assert lenient.client.codec is cmpp.CMPP2


def test_a_short_cmpp_account_may_log_in_either_way():
    for padded in (False, True):
        client = cmpp.Client(
            account="123", secret="s", now=lambda: NOON, numbers=cmpp.numbers(0), version=cmpp.V2, padded=padded
        )
        gateway = cmpp.Gateway(secrets={"123": "s"}, numbers=cmpp.numbers(0))
        Link(Session(client, cmpp.TIMINGS), Session(gateway, cmpp.TIMINGS), client, gateway).open()


@pytest.mark.parametrize("mode", ["transmitter", "receiver", "transceiver"])
def test_an_smpp_bind_allows_what_its_kind_says(mode):
    client = smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0), mode=mode)
    gateway = smpp.Gateway(secrets={"esme1": "secret"}, numbers=smpp.numbers(0))
    both = Link(Session(client, smpp.TIMINGS), Session(gateway, smpp.TIMINGS), client, gateway).open()
    if mode == "receiver":
        with pytest.raises(NotOpen, match="only receives"):
            both.submit("a")
        raw = smpp.SMPP.encode(*[client.submit(part(), sender=SENDER, number=NUMBER)[0], 9, {}])
        (event,) = both.theirs.feed(raw, 0.0)
        assert isinstance(event, Garbled)
        assert smpp.SMPP.decode(both.theirs.bytes_to_send()).status == smpp.RINVBNDSTS
    else:
        both.submit("a")
    if mode == "transmitter":
        with pytest.raises(NotOpen):
            both.theirs.request("r", *report("smpp", gateway, b"1"), 0.0)


# --- submitting ------------------------------------------------------------------------------------------------------


@each_protocol
def test_a_submit_reaches_the_gateway_and_its_answer_comes_back(protocol):
    both = link(protocol).open()
    sequence = both.submit("first")
    both.carry()
    (taken,) = both.seen
    assert isinstance(taken, Received) and isinstance(taken.content, Submission)
    assert (taken.content.text, taken.content.sender, taken.content.numbers) == ("你好", SENDER, (NUMBER,))
    assert taken.content.wants_report
    assert both.theirs.acknowledge(taken, message_id=ID.get(protocol))
    both.carry()
    (answered,) = both.of(Answered)
    assert (answered.ticket, answered.reason, answered.late, answered.sequence) == ("first", None, False, sequence)
    assert answered.message_id == (sgip.sequence_bytes(sequence) if protocol == "sgip" else ID[protocol])
    assert both.ours.in_flight == 0


@each_protocol
def test_the_window_is_kept_and_what_waits_goes_out_as_answers_come(protocol):
    both = link(protocol, Timings(window=3)).open()
    for ticket in range(8):
        both.submit(str(ticket))
    both.carry()
    assert (len(both.seen), both.ours.in_flight, both.ours.waiting) == (3, 3, 5)
    most = 0
    for _ in range(8):
        most = max(most, both.ours.in_flight)
        owed = both.seen.pop(0)
        assert isinstance(owed, Received)
        both.theirs.acknowledge(owed, message_id=ID.get(protocol))
        both.carry()
    assert most == 3
    assert [event.ticket for event in both.of(Answered)] == [str(ticket) for ticket in range(8)]


def test_a_queue_beyond_the_window_is_bounded(monkeypatch):
    monkeypatch.setattr(session, "MOST_WAITING", 5)
    both = link("cmpp3", Timings(window=1)).open()
    for ticket in range(6):
        both.submit(str(ticket))
    with pytest.raises(Full):
        both.submit("one too many")


@pytest.mark.parametrize(
    "protocol, code", [("cmpp2", 8), ("cmpp3", 8), ("smpp", 0x58), ("smpp", 0x14), ("sgip", 88), ("smgp", 1)]
)
def test_too_fast_is_told_with_a_pause_that_grows_until_something_is_taken(protocol, code):
    both = link(protocol).open()
    waits = []
    for answer in (code, code, code, 0, code):
        both.submit("x")
        both.carry()
        owed = both.seen.pop()
        assert isinstance(owed, Received)
        both.theirs.acknowledge(owed, code=answer)
        both.carry()
        waits.append((both.of(Answered)[-1].reason, both.of(Answered)[-1].wait))
    slow = Reason.THROTTLED
    assert waits == [(slow, 1.0), (slow, 2.0), (slow, 4.0), (None, None), (slow, 1.0)]


@each_protocol
def test_a_refusal_keeps_the_code_and_an_unknown_one_is_not_guessed(protocol):
    both = link(protocol).open()
    both.submit("x")
    both.carry()
    (owed,) = both.seen
    assert isinstance(owed, Received)
    both.theirs.acknowledge(owed, code=0xC8)  # in the space of vendors' own codes, or unknown
    both.carry()
    (answered,) = both.of(Answered)
    assert (answered.reason, answered.code) == (Reason.UNMAPPED, "0xC8" if protocol == "smpp" else "200")


@each_protocol
def test_a_submit_without_an_answer_is_in_doubt_and_never_sent_again(protocol):
    both = link(protocol, Timings(answer=60.0)).open()
    sequence = both.submit("lost")
    assert both.ours.bytes_to_send()
    both.tick(59.0)
    assert both.of(Doubted) == []
    both.tick(2.0)
    assert both.of(Doubted) == [Doubted(ticket="lost", why="no answer within 60 s", sequence=sequence)]
    assert both.ours.in_flight == 0 and both.ours.bytes_to_send() == b""
    both.tick(600.0)
    assert len(both.of(Doubted)) == 1


@each_protocol
def test_an_answer_that_comes_too_late_still_settles_the_doubt(protocol):
    both = link(protocol, Timings(answer=5.0)).open()
    both.submit("slow")
    both.seen += both.theirs.feed(both.ours.bytes_to_send(), 0.0)
    both.tick(6.0)
    (owed,) = both.seen
    assert isinstance(owed, Received)
    both.theirs.acknowledge(owed, message_id=ID.get(protocol))
    both.carry()
    (answered,) = both.of(Answered)
    assert (answered.ticket, answered.late, answered.reason) == ("slow", True, None)


@each_protocol
def test_a_broken_connection_leaves_all_in_flight_in_doubt_at_once_and_gives_back_what_waited(protocol):
    both = link(protocol, Timings(window=2)).open()
    for ticket in "abcd":
        both.submit(ticket)
    events = both.ours.lost("connection reset")
    assert [event.ticket for event in events if isinstance(event, Doubted)] == ["a", "b"]
    assert [event.ticket for event in events if isinstance(event, Unsent)] == ["c", "d"]
    assert events[-1] == Ended(why="connection reset", is_clean=False)
    assert both.ours.lost("again") == [] and both.ours.next_timer() is None


@each_protocol
def test_an_answer_given_twice_or_to_nothing_changes_nothing(protocol):
    both = link(protocol).open()
    both.submit("once")
    both.carry()
    (owed,) = both.seen
    assert isinstance(owed, Received)
    both.theirs.acknowledge(owed, message_id=ID.get(protocol))
    raw = both.theirs.bytes_to_send()
    (first,) = both.ours.feed(raw, 0.0)
    (second,) = both.ours.feed(raw, 0.0)
    assert isinstance(first, Answered) and isinstance(second, Strayed)
    assert both.ours.phase is Phase.OPEN and both.ours.in_flight == 0


def test_an_answer_of_another_kind_settles_nothing():
    both = link("cmpp3").open()
    sequence = both.submit("x")
    raw = cmpp.CMPP3.encode(cmpp.CMPP3.pdus[0x80000005], sequence, {})
    (event,) = both.ours.feed(raw, 0.0)
    assert isinstance(event, Strayed) and both.ours.in_flight == 1


def test_an_answer_that_cannot_be_read_leaves_its_submit_in_doubt():
    both = link("cmpp3").open()
    sequence = both.submit("x")
    raw = (18).to_bytes(4, "big") + (0x80000004).to_bytes(4, "big") + sequence.to_bytes(4, "big") + bytes(6)
    garbled, doubted = both.ours.feed(raw, 0.0)
    assert isinstance(garbled, Garbled) and isinstance(doubted, Doubted) and doubted.ticket == "x"


# --- sequence numbers ------------------------------------------------------------------------------------------------


def test_sequence_numbers_go_round_past_those_in_flight():
    both = link("smpp", Timings(window=4), numbers=Numbers(start=0, first=1, last=5)).open()
    used = [both.submit(str(ticket)) for ticket in range(4)]
    assert used == [2, 3, 4, 5]  # 1 was the login
    both.seen += both.theirs.feed(both.ours.bytes_to_send(), 0.0)
    third = both.seen[2]
    assert isinstance(third, Received)
    both.theirs.acknowledge(third, message_id=b"1")
    both.carry()
    assert both.submit("next") == 1
    assert [event.ticket for event in both.of(Answered)] == ["2"]


def test_links_of_one_account_share_their_numbers():
    numbers = smpp.numbers(0)
    one, two = link("smpp", numbers=numbers), link("smpp", numbers=numbers)
    one.open()
    two.open()
    assert len({one.submit("a"), two.submit("b"), one.submit("c")}) == 3


@given(seconds=st.integers(1, 86_400), rate=st.integers(1, 999))
def test_a_run_begun_later_reuses_no_number_of_an_earlier_one(seconds, rate):
    first = smpp.numbers(start_at(NOON)).next(())
    latest = first + rate * seconds - 1  # what the earlier run used last, asking so often a second
    later = smpp.numbers(start_at(NOON + timedelta(seconds=seconds))).next(())
    assert (later - latest) % (2**31 - 1) < 2**30, "begun behind what is in flight"
    assert later != latest


def test_an_sgip_sequence_holds_node_time_and_counter_and_goes_round():
    numbers = words(start=0xFFFFFFFF)
    assert [numbers.next(()) for _ in range(2)] == [(3010012345, 302120000, 0xFFFFFFFF), (3010012345, 302120000, 0)]


# --- what the peer hands over ----------------------------------------------------------------------------------------


@each_carrier
def test_a_status_report_is_read_and_acknowledged_only_when_told(protocol):
    both = link(protocol).open()
    both.theirs.request("r", *report(protocol, both.gateway, ID[protocol], "UNDELIV"), 0.0)
    both.carry()
    (received,) = both.of(Received)
    assert isinstance(received.content, CarrierReport)
    assert (received.content.message_id, received.content.stat) == (ID[protocol], "UNDELIV")
    assert received.content.number == NUMBER
    assert both.theirs.in_flight == 1 and both.ours.owed == 1
    both.tick(10.0)
    both.carry()
    assert both.theirs.in_flight == 1, "something was acknowledged by itself"
    assert both.ours.acknowledge(received)
    assert not both.ours.acknowledge(received)
    both.carry()
    assert both.theirs.in_flight == 0 and both.ours.owed == 0
    (answered,) = [event for event in both.seen if isinstance(event, Answered)]
    assert (answered.ticket, answered.reason) == ("r", None)


@each_carrier
def test_a_report_before_the_submits_answer_is_handed_on_at_once(protocol):
    both = link(protocol).open()
    both.submit("a")
    both.carry()
    both.theirs.request("r", *report(protocol, both.gateway, ID[protocol]), 0.0)
    both.carry()
    assert len(both.of(Received)) == 1 and both.of(Answered) == []


@each_carrier
def test_a_reply_from_a_phone_comes_with_its_text_and_its_piece(protocol):
    both = link(protocol).open()
    more = {"smpp": {}, "smgp": {"message_id": b"\x02" * 10, "at": NOON}}.get(protocol, {"message_id": b"\x02" * 8})
    for each in split_text("退" * 71, Alphabet.UCS2, reference=9):
        both.theirs.request("mo", *both.gateway.inbound(each, number=NUMBER, to=SENDER, **more), 0.0)
    both.carry()
    contents = [event.content for event in both.of(Received)]
    assert all(isinstance(each, InboundPart) for each in contents)
    assert [each.text for each in contents] == ["退" * 67, "退" * 4]
    assert [each.piece for each in contents] == [(9, 2, 1), (9, 2, 2)]
    assert {(each.number, each.to) for each in contents} == {(NUMBER, SENDER)}


def test_a_report_that_cannot_be_read_is_handed_on_and_can_be_acknowledged():
    both = link("cmpp3").open()
    values = {"msg_id": b"\x07" * 8, "registered_delivery": 1, "msg_content": b"nonsense"}
    both.theirs.request("r", cmpp.CMPP3.pdus[5], values, 0.0)
    both.carry()
    (received,) = both.of(Received)
    assert received.content is None and "report.stat" in received.why
    both.ours.acknowledge(received)
    both.carry()
    assert both.theirs.in_flight == 0


def test_a_long_report_on_a_cmpp_2_link_is_read():
    both = link("cmpp2").open()
    content = cmpp.write_report(cmpp.V3, msg_id=b"\x07" * 8, stat=b"DELIVRD", dest_terminal_id=NUMBER.encode())
    both.theirs.request("r", cmpp.CMPP2.pdus[5], {"registered_delivery": 1, "msg_content": content}, 0.0)
    both.carry()
    assert both.of(Received)[0].content.number == NUMBER


def test_an_sgip_gateway_dials_us_for_reports_and_replies():
    caller = sgip.Caller(account="smg", secret="ours", numbers=words(1010000))
    listener = sgip.Listener(secrets={"smg": "ours"}, numbers=words())
    calling, listening = Session(caller, sgip.TIMINGS), Session(listener, sgip.LISTENER_TIMINGS)
    both = Link(ours=calling, theirs=listening, client=caller, gateway=listener).open()
    key = sgip.sequence_bytes((3010012345, 302120000, 7))
    calling.request("r", *caller.report(message_id=key, number=NUMBER, state=2, error_code=29), 0.0)
    calling.request("mo", *caller.inbound(part("退订"), number=NUMBER, to=SENDER), 0.0)
    both.carry()
    told, said = both.seen
    assert isinstance(told, Received) and isinstance(told.content, CarrierReport)
    assert (told.content.message_id, told.content.code, told.content.number) == (key, "2_29", NUMBER)
    assert isinstance(said, Received) and isinstance(said.content, InboundPart) and said.content.text == "退订"
    assert calling.in_flight == 2
    for event in (told, said):
        listening.acknowledge(event)
    both.carry()
    assert [event.reason for event in both.of(Answered)] == [None, None]
    with pytest.raises(NotOpen):
        listening.request("x", *caller.report(message_id=key, number=NUMBER, state=0), 0.0)


def test_an_sgip_listener_lets_in_only_the_gateway():
    client = sgip.Client(account="smg", secret="ours", numbers=words(), corp_id="1")  # login type 1
    listener = sgip.Listener(secrets={"smg": "ours"}, numbers=words())
    both = Link(Session(client, sgip.TIMINGS), Session(listener, sgip.LISTENER_TIMINGS), client, listener)
    both.ours.begin(0.0)
    both.theirs.begin(0.0)
    both.carry()
    assert both.heard[0] == LoginRefused(code="4", why="login type")


def test_a_report_on_the_connection_that_we_dialled_is_taken_too():
    both = link("sgip").open()
    caller = sgip.Caller(account="", secret="", numbers=words())
    both.theirs.request("r", *caller.report(message_id=bytes(12), number=NUMBER, state=0), 0.0)
    both.carry()
    assert both.of(Received)[0].content.stat == "0"


@each_carrier
def test_reports_beyond_what_may_wait_are_turned_away_as_busy(protocol, monkeypatch):
    monkeypatch.setattr(session, "MOST_OWED", 3)
    both = link(protocol, Timings(window=100)).open()
    for each in range(5):
        both.theirs.request(each, *report(protocol, both.gateway, ID[protocol]), 0.0)
    both.carry()
    assert both.ours.is_full and both.ours.owed == 3
    turned_away = [event for event in both.seen if isinstance(event, Answered)]
    assert [(event.ticket, event.reason) for event in turned_away] == [(3, Reason.THROTTLED), (4, Reason.THROTTLED)]
    for event in both.of(Received):
        both.ours.acknowledge(event)
    assert not both.ours.is_full


# --- keeping alive ---------------------------------------------------------------------------------------------------


@each_carrier
def test_a_silent_link_is_tested_and_an_answer_is_enough(protocol):
    both = link(protocol).open()
    quiet = both.ours.next_timer()
    assert quiet == {"smpp": 30.0}.get(protocol, 180.0)
    both.tick(quiet)
    both.carry()
    assert both.heard == [] and both.seen == [] and both.ours.phase is Phase.OPEN
    assert both.ours.next_timer() == 2 * quiet


@each_carrier
def test_a_link_that_answers_no_test_is_given_up_after_so_many(protocol):
    both = link(protocol, Timings(keep_alive=180.0, answer=60.0, tries=3)).open()
    both.submit("x")
    both.tick(180.0 + 3 * 60.0)
    raw = both.ours.bytes_to_send()
    test = both.client.codec.encode(both.client.keep_alive, 0)[4:8]
    assert raw.count(both.client.codec.encode(both.client.keep_alive, 0)[:8]) == 3, test
    assert [type(event) for event in both.heard] == [Doubted, Ended]
    assert both.heard[-1] == Ended(why="3 tests of the link went unanswered", is_clean=False)


def test_a_cmpp_test_may_be_answered_without_its_byte():
    both = link("cmpp3", Timings(keep_alive=10.0, answer=5.0)).open()
    both.tick(10.0)
    asked = cmpp.CMPP3.decode(both.ours.bytes_to_send())
    both.ours.feed(bytes.fromhex("0000000c80000008") + int(asked.sequence).to_bytes(4, "big"), both.now)
    both.tick(9.0)
    assert both.ours.phase is Phase.OPEN


def test_an_sgip_link_with_nothing_to_do_leaves_by_itself():
    both = link("sgip").open()
    both.submit("a")
    both.carry()
    both.tick(29.0)
    assert both.ours.phase is Phase.OPEN  # an answer is still due
    both.theirs.acknowledge(both.seen.pop())
    both.carry()
    both.tick(30.0)
    assert both.ours.phase is Phase.LEAVING
    both.carry()
    assert both.heard[-1] == Ended(why="left", is_clean=True)
    assert both.seen[-1] == Ended(why="the peer left", is_clean=True)


# --- saying goodbye --------------------------------------------------------------------------------------------------


@each_protocol
def test_leaving_waits_for_the_answers_that_are_due_and_gives_back_what_waited(protocol):
    both = link(protocol, Timings(window=2)).open()
    for ticket in "abc":
        both.submit(ticket)
    both.carry()
    assert both.ours.leave(0.0) == [Unsent(ticket="c", why="leaving")]
    with pytest.raises(NotOpen):
        both.submit("d")
    both.carry()
    assert both.ours.phase is Phase.LEAVING
    for event in both.seen[:2]:
        assert isinstance(event, Received)
        both.theirs.acknowledge(event, message_id=ID.get(protocol))
    both.carry()
    assert [event.ticket for event in both.of(Answered)] == ["a", "b"]
    assert both.heard[-1] == Ended(why="left", is_clean=True)
    assert both.seen[-1] == Ended(why="the peer left", is_clean=True)


@each_protocol
def test_a_goodbye_that_nobody_answers_ends_all_the_same(protocol):
    both = link(protocol).open()
    both.ours.leave(0.0)
    both.tick(11.0)
    assert both.heard[-1] == Ended(why="no answer to leave", is_clean=False)


@each_protocol
def test_a_peer_that_leaves_in_mid_window_is_answered_and_leaves_doubts(protocol):
    both = link(protocol, Timings(window=2)).open()
    for ticket in "abc":
        both.submit(ticket)
    both.ours.bytes_to_send()
    leave = both.gateway.codec.encode(both.gateway.leave, (1, 2, 3) if protocol == "sgip" else 77)
    events = both.ours.feed(leave, 0.0)
    assert [type(event) for event in events] == [Doubted, Doubted, Unsent, Ended]
    assert events[-1] == Ended(why="the peer left", is_clean=True)
    answer = both.client.codec.decode(both.ours.bytes_to_send())
    assert (answer.pdu.command, answer.sequence) == (
        both.client.leave.command | 0x80000000,
        (1, 2, 3) if protocol == "sgip" else 77,
    )


# --- a hostile peer --------------------------------------------------------------------------------------------------


@each_protocol
@pytest.mark.parametrize("length", [0, 11, 2**32 - 1])
def test_a_length_that_makes_no_sense_ends_the_link_with_a_reason(protocol, length):
    both = link(protocol).open()
    both.submit("x")
    both.ours.bytes_to_send()
    events = both.ours.feed(length.to_bytes(4, "big") * 4, 0.0)
    assert isinstance(events[0], Doubted)
    assert isinstance(events[-1], Ended) and str(length) in events[-1].why
    if protocol == "smpp":
        nack = smpp.SMPP.decode(both.ours.bytes_to_send())
        assert (nack.pdu, nack.status) == (smpp.GENERIC_NACK, smpp.RINVCMDLEN)


@each_protocol
def test_a_command_that_no_table_knows_is_answered_as_the_protocol_says_or_ends_the_link(protocol):
    both = link(protocol).open()
    size = both.client.codec.header_size
    raw = size.to_bytes(4, "big") + (0x7777).to_bytes(4, "big") + b"\0" * (size - 12) + (9).to_bytes(4, "big")
    events = both.ours.feed(raw, 0.0)
    if protocol == "smpp":
        nack = smpp.SMPP.decode(both.ours.bytes_to_send())
        assert (nack.pdu, nack.status, nack.sequence) == (smpp.GENERIC_NACK, smpp.RINVCMDID, 9)
    elif protocol == "sgip":
        answer = both.ours.bytes_to_send()
        assert answer[4:8] == (0x80007777).to_bytes(4, "big") and answer[20] == 7
    else:
        assert isinstance(events[-1], Ended) and str(0x7777) in events[-1].why


def test_a_generic_nack_refuses_the_request_it_names():
    both = link("smpp").open()
    sequence = both.submit("x")
    (answered,) = both.ours.feed(smpp.SMPP.encode(smpp.GENERIC_NACK, sequence, status=3), 0.0)
    assert (answered.ticket, answered.code, answered.reason) == ("x", "0x03", Reason.BAD_REQUEST)


@pytest.mark.parametrize("pdu", [smpp.OUTBIND, smpp.ALERT_NOTIFICATION], ids=lambda pdu: pdu.name)
def test_smpp_requests_without_a_response_get_none(pdu):
    both = link("smpp").open()
    (event,) = both.ours.feed(smpp.SMPP.encode(pdu, 5), 0.0)
    assert isinstance(event, Garbled) and both.ours.bytes_to_send() == b""
    assert both.ours.phase is Phase.OPEN


@each_protocol
def test_a_second_login_is_not_obeyed(protocol):
    both = link(protocol).open()
    pdu, values = both.client.login()
    raw = both.client.codec.encode(pdu, (9, 9, 9) if protocol == "sgip" else 99, values)
    events = both.theirs.feed(raw, 0.0)
    assert not any(isinstance(event, LoggedIn) for event in events)
    if protocol == "smpp":
        assert smpp.SMPP.decode(both.theirs.bytes_to_send()).status == smpp.RALYBND


@each_protocol
@settings(max_examples=60)
@given(data=st.data())
def test_whatever_the_peer_sends_the_session_survives_or_ends_and_accounts_for_every_submit(protocol, data):
    both = link(protocol, replace(PROTOCOLS[protocol]()[2], window=4)).open()
    tickets = [str(each) for each in range(6)]
    for ticket in tickets:
        both.submit(ticket)
    both.seen += both.theirs.feed(both.ours.bytes_to_send(), 0.0)
    stream = bytearray()
    for event in list(both.seen):
        assert isinstance(event, Received)
        both.theirs.acknowledge(event, message_id=ID.get(protocol))
    stream += both.theirs.bytes_to_send()
    for _ in range(data.draw(st.integers(0, 3))):  # bend it
        at = data.draw(st.integers(0, len(stream)))
        stream[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    cut = data.draw(st.integers(0, len(stream)))
    for chunk in (bytes(stream[:cut]), bytes(stream[cut:])):
        both.heard += both.ours.feed(chunk, 1.0)
        both.ours.bytes_to_send()
    both.heard += both.ours.lost("the end")
    told = [event.ticket for event in both.heard if isinstance(event, Answered | Doubted | Unsent)]
    assert sorted(set(told)) == tickets
    assert both.ours.in_flight == both.ours.waiting == both.ours.owed == 0
    assert [type(event) for event in both.heard].count(Ended) == 1


@each_protocol
def test_a_message_that_cannot_be_written_is_refused_before_anything_is_sent(protocol):
    both = link(protocol).open()
    with pytest.raises(Malformed):
        both.ours.request("x", *both.client.submit(part(), sender="1" * 22, number=NUMBER), 0.0)
    assert both.ours.in_flight == 0 and both.ours.bytes_to_send() == b""


def test_an_smgp_digest_that_does_not_fit_is_told_and_no_reason_to_part():
    both = link("smgp")
    both.ours.begin(0.0)
    both.ours.bytes_to_send()
    (event,) = both.ours.feed(smgp.SMGP.encode(smgp.LOGIN_RESP, 1, {"server_version": 0x30}), 0.0)
    assert isinstance(event, LoggedIn) and both.client.digest_matched == "none"
