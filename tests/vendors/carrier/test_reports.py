"""Status reports in all their spellings become one value, and a claim with a reason that says how sure it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.domain import DeliveryState, Reason
from vendors.carrier import cmpp, reports, sgip, smgp, smpp
from vendors.carrier.pdus import Malformed, Packet
from vendors.carrier.reports import CarrierReport, Spelling, meaning, read_receipt, receipt_time, same_id, spellings
from vendors.carrier.short_text import InboundPart

KEY = b"0A1B"


def told(stat: str, err: str = "", **more: bool) -> CarrierReport:
    return CarrierReport(message_id=KEY, stat=stat, err=err, **more)


# --- SMPP's text -----------------------------------------------------------------------------------------------------

STANDARD = "id:0000002587 sub:001 dlvrd:001 submit date:2405251030 done date:2405251031 stat:DELIVRD err:000 text:hi"


@pytest.mark.parametrize(
    "text, wanted",
    [
        (STANDARD, {"id": "0000002587", "stat": "DELIVRD", "err": "000", "text": "hi", "sub": "001"}),
        (STANDARD.replace("text:", "Text:"), {"text": "hi"}),
        (STANDARD.replace(" sub:001 dlvrd:001", ""), {"id": "0000002587", "stat": "DELIVRD"}),
        (STANDARD.replace(" text:hi", ""), {"err": "000"}),
        (STANDARD.replace("err:000", "err:0"), {"err": "0"}),
        (STANDARD.replace("err:000", "err:MK:0001"), {"err": "MK:0001"}),
        (STANDARD.replace("2405251030", "240525103015"), {"submit date": "240525103015"}),
        (STANDARD.replace("2405251030", "180711070003912+"), {"submit date": "180711070003912+"}),
        (STANDARD.replace("0000002587", "f" * 32), {"id": "f" * 32}),
        (STANDARD.replace("hi", "id:77 stat:UNDELIV"), {"id": "0000002587", "text": "id:77 stat:UNDELIV"}),
        (STANDARD.replace("submit date", "submit_date"), {"submit date": "2405251030"}),
        ("stat:EXPIRED err:004", {"stat": "EXPIRED"}),
    ],
)
def test_a_receipts_text_is_read_with_all_its_deviations(text, wanted):
    found = read_receipt(text)
    assert found is not None and {key: found[key] for key in wanted} == wanted


@given(text=st.from_regex(reports._USUAL, fullmatch=True))
def test_the_usual_form_is_read_at_once_as_it_would_be_piece_by_piece(text):
    at_once = reports.receipt_pairs(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "_USUAL", re.compile("(?!)"))
        assert reports.receipt_pairs(text) == at_once


@pytest.mark.parametrize("text", ["", "T", "退订", "my id: none", "hello", "id:7"])
def test_a_reply_from_a_phone_is_no_receipt(text):
    assert read_receipt(text) is None


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_is_no_receipt(text):
    read_receipt(text)
    receipt_time(text)


@pytest.mark.parametrize(
    "digits, at",
    [
        ("2405251030", datetime(2024, 5, 25, 2, 30, tzinfo=UTC)),
        ("240525103015", datetime(2024, 5, 25, 2, 30, 15, tzinfo=UTC)),
        ("20240525103015", datetime(2024, 5, 25, 2, 30, 15, tzinfo=UTC)),
        ("2413251030", None),
        ("24052", None),
        ("", None),
    ],
)
def test_stamps_are_beijings_or_nothing(digits, at):
    assert receipt_time(digits) == at


# --- SMPP's delivers -------------------------------------------------------------------------------------------------


def deliver(text: str, esm_class: int = 0x04, tlvs: tuple[tuple[int, bytes], ...] = (), **more: int) -> Packet:
    values = {"source_addr": b"8613800001234", "esm_class": esm_class, "short_message": text.encode(), **more}
    return smpp.SMPP.decode(smpp.SMPP.encode(smpp.DELIVER_SM, 1, {**values, "tlvs": tlvs}))


def test_the_parameter_goes_before_the_texts_id_and_its_state_stands_in_for_a_stat():
    report = smpp.read_deliver(deliver("err:001", tlvs=((0x001E, b"0A1B\0"), (0x0427, b"\x05"))))
    assert isinstance(report, CarrierReport)
    assert (report.message_id, report.stat, report.err) == (b"0A1B", "UNDELIV", "001")


def test_a_receipt_without_a_text_is_read_from_its_parameters():
    tlvs = ((0x001E, b"0A1B"), (0x0427, b"\x03"), (0x0423, b"\x03\x00\x0c"))
    report = smpp.read_deliver(deliver("", tlvs=tlvs))
    assert isinstance(report, CarrierReport)
    assert (report.message_id, report.stat, report.err, report.code) == (b"0A1B", "EXPIRED", "12", "EXPIRED_12")


def test_a_receipt_in_the_payload_or_in_wide_characters_is_read():
    for packet in (
        deliver("", tlvs=((0x0424, STANDARD.encode()),)),
        smpp.SMPP.decode(
            smpp.SMPP.encode(
                smpp.DELIVER_SM,
                1,
                {"esm_class": 4, "data_coding": 8, "short_message": STANDARD.encode("utf-16-be")},
            )
        ),
    ):
        report = smpp.read_deliver(packet)
        assert isinstance(report, CarrierReport) and report.message_id == b"0000002587"


@pytest.mark.parametrize("esm_class", [0x04, 0x44, 0x07])
def test_a_receipt_is_told_by_its_class_whatever_other_bits_are_set(esm_class):
    assert isinstance(smpp.read_deliver(deliver(STANDARD, esm_class)), CarrierReport)


def test_a_receipt_that_does_not_say_so_is_taken_only_for_an_id_that_we_were_given():
    packet = deliver(STANDARD, 0)
    assert isinstance(smpp.read_deliver(packet), InboundPart)
    assert isinstance(smpp.read_deliver(packet, knows=lambda key: key == b"0000002587"), CarrierReport)
    assert isinstance(smpp.read_deliver(packet, knows=lambda key: key == b"1"), InboundPart)


def test_an_intermediate_notice_leaves_the_message_open():
    report = smpp.read_deliver(deliver(STANDARD.replace("DELIVRD", "ENROUTE"), 0x20))
    assert isinstance(report, CarrierReport) and report.is_interim
    assert meaning(report).state is DeliveryState.UNKNOWN


def test_a_receipt_without_any_id_cannot_be_read():
    with pytest.raises(Malformed, match="no id"):
        smpp.read_deliver(deliver("stat:DELIVRD err:000"))


@given(text=st.binary(max_size=254), esm_class=st.integers(0, 255), data_coding=st.integers(0, 255))
def test_any_deliver_is_read_or_refused(text, esm_class, data_coding):
    values = {"esm_class": esm_class, "data_coding": data_coding, "short_message": text}
    packet = smpp.SMPP.decode(smpp.SMPP.encode(smpp.DELIVER_SM, 1, values))
    try:
        found = smpp.read_deliver(packet)
    except Malformed:
        assert esm_class & 0x3C in (0x04, 0x20)
    else:
        assert isinstance(found, CarrierReport | InboundPart)


@given(content=st.binary(max_size=150))
def test_any_content_of_a_report_is_read_or_refused(content):
    for read in (cmpp.read_report, smgp.read_report):
        try:
            assert isinstance(read(content), CarrierReport)
        except Malformed as error:
            assert error.place


def test_a_long_message_is_told_in_parameters_or_whole_as_well_as_in_headers():
    packet = deliver("hi", 0, tlvs=((0x020C, b"\x12\x34"), (0x020E, b"\x02"), (0x020F, b"\x01")))
    part = smpp.read_deliver(packet)
    assert isinstance(part, InboundPart) and part.piece == (0x1234, 2, 1)
    whole = smpp.read_deliver(deliver("", 0, tlvs=((0x0424, b"a" * 500),)))
    assert isinstance(whole, InboundPart) and whole.text == "a" * 500
    nonsense = smpp.read_deliver(deliver("hi", 0, tlvs=((0x020C, b"\x12\x34"), (0x020E, b"\x02"), (0x020F, b"\x03"))))
    assert isinstance(nonsense, InboundPart) and nonsense.piece is None


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "submitted, reported, rule",
    [
        (b"0A1B", b"0A1B", Spelling.AS_IS),
        (b"0A1B", b"0a1b", Spelling.FOLDED),
        (b"0A1B", b"A1B", Spelling.UNPADDED),
        (b"0A1B", b"0000002587", Spelling.TO_HEX),
        (b"33E95179", b"870928761", Spelling.TO_HEX),
        (b"0000002587", b"a1b", Spelling.TO_DECIMAL),
        (b"00B8BE19", b"B8BE19", Spelling.UNPADDED),
        (b"0221067780", b"221067780", Spelling.UNPADDED),
        (b"0A1B", b"2588", None),
        (b"7f3c-99", b"7F3C-99", Spelling.FOLDED),
        (b"0", b"000", Spelling.UNPADDED),
    ],
)
def test_two_ids_are_the_same_by_the_first_rule_that_fits(submitted, reported, rule):
    assert same_id(submitted, reported) is rule


def test_a_rule_that_was_learnt_is_the_only_one_allowed():
    assert same_id(b"0A1B", b"0000002587", by=Spelling.TO_HEX) is Spelling.TO_HEX
    assert same_id(b"0A1B", b"0000002587", by=Spelling.UNPADDED) is None


@given(number=st.integers(0, 2**64), width=st.integers(0, 20))
def test_an_id_is_found_again_in_every_spelling(number, width):
    for submitted, reported in (
        (b"%X" % number, b"%0*d" % (width, number)),
        (b"%0*d" % (width, number), b"%x" % number),
        (b"%0*x" % (width, number), b"%X" % number),
    ):
        assert same_id(submitted, reported) is not None


@given(raw=st.binary(max_size=70))
def test_any_id_has_spellings(raw):
    assert spellings(raw)[Spelling.AS_IS] == raw
    assert same_id(raw, raw) is Spelling.AS_IS


# --- what they mean --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "report, state, reason, confidence",
    [
        (told("DELIVRD", "000"), DeliveryState.DELIVERED, None, "documented"),
        (told("delivrd"), DeliveryState.DELIVERED, None, "documented"),
        (told("ACCEPTD"), DeliveryState.UNKNOWN, None, "documented"),
        (told("ENROUTE"), DeliveryState.UNKNOWN, None, "documented"),
        (told("ML:0001"), DeliveryState.UNKNOWN, None, "documented"),
        (told("EXPIRED"), DeliveryState.EXPIRED, Reason.UNREACHABLE, "copied"),
        (told("MK:0001"), DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER, "documented"),
        (told("MK0001"), DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER, "documented"),
        (told("MI:0024"), DeliveryState.EXPIRED, Reason.UNREACHABLE, "copied"),
        (told("MN:0059"), DeliveryState.REJECTED, Reason.UNREACHABLE, "copied"),
        (told("MX:0012"), DeliveryState.UNDELIVERED, Reason.OPTED_OUT, "documented"),
        (told("MB:1077"), DeliveryState.UNDELIVERED, Reason.BLACKLISTED, "documented"),
        (told("MA:0054"), DeliveryState.UNDELIVERED, Reason.CARRIER_FAULT, "inferred"),
        (told("MK:0012"), DeliveryState.UNDELIVERED, Reason.UNMAPPED, None),
        (told("REJECTD"), DeliveryState.REJECTED, Reason.UNMAPPED, None),
        (told("UNKNOWN"), DeliveryState.UNKNOWN, Reason.UNMAPPED, None),
    ],
)
def test_a_stat_means_a_state_and_a_reason_with_its_confidence(report, state, reason, confidence):
    found = meaning(report)
    assert (found.state, found.reason, found.confidence) == (state, reason, confidence)


@pytest.mark.parametrize(
    "stat, err, reason",
    [
        ("EXPIRED", "001", Reason.UNREACHABLE),
        ("UNDELIV", "005", Reason.BLACKLISTED),
        ("UNDELIV", "003", Reason.INVALID_NUMBER),
        ("UNDELIV", "601", Reason.UNMAPPED),  # read as blacklist by one platform, as out of service by another
        ("UNKNOWN", "999", Reason.UNMAPPED),
    ],
)
def test_telecoms_err_says_more_than_its_stat(stat, err, reason):
    report = told(stat, err)
    assert meaning(report, smgp.REPORT_REASONS).reason is reason
    assert report.code == f"{stat}_{err}"


@pytest.mark.parametrize(
    "state, code, wanted, reason",
    [
        (0, 0, DeliveryState.DELIVERED, None),
        (1, 0, DeliveryState.UNKNOWN, None),
        (2, 29, DeliveryState.UNDELIVERED, Reason.INVALID_NUMBER),
        (2, 69, DeliveryState.UNDELIVERED, Reason.BLACKLISTED),
        (2, 182, DeliveryState.UNDELIVERED, Reason.UNMAPPED),
        (2, 88, DeliveryState.UNDELIVERED, Reason.UNMAPPED),  # coverage here, flow control there
    ],
)
def test_unicoms_bare_codes_are_read_only_where_sources_agree(state, code, wanted, reason):
    values = {"submit_sequence": bytes(12), "user_number": b"8613800001234", "state": state, "error_code": code}
    report = sgip.read_report(sgip.REPORT.record(**{**sgip.REPORT.defaults, **values}))
    found = meaning(report, sgip.REPORT_REASONS)
    assert (found.state, found.reason) == (wanted, reason)
    assert report.code == (f"{state}_{code}" if code else str(state))
