"""Known bytes: every worked packet, digest and id of the fact cards, read and written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vendors.carrier import cmpp, sgip, smgp, smpp
from vendors.carrier.pdus import Codec
from vendors.carrier.short_text import Alphabet, Part, Piece, split_text

MAY = datetime(2026, 5, 25, 2, 30, tzinfo=UTC)  # 10:30 in Beijing


def roundabout(codec: Codec, raw: bytes, **wanted: object) -> dict[str, object]:
    """Strictly read, equal where told, and written again to the same bytes."""
    packet = codec.decode(raw, strict=True)
    assert {name: getattr(packet.values, name) for name in wanted} == wanted
    assert codec.encode(packet.pdu, packet.sequence, packet.values._asdict(), status=packet.status) == raw
    return dict(packet.values._asdict())


# --- CMPP ------------------------------------------------------------------------------------------------------------

CONNECT = bytes.fromhex("0000002700000001000000013930313233348fcef451df6cde36933bd930b927afdd301f4c6f98")


def test_the_cmpp_login_is_the_cards():
    client = cmpp.Client(account="901234", secret="1234", now=lambda: MAY, numbers=cmpp.numbers(0))
    pdu, values = client.login()
    assert cmpp.CMPP3.encode(pdu, 1, values) == CONNECT
    assert len(CONNECT) == 39
    roundabout(cmpp.CMPP3, CONNECT, source_addr=b"901234", version=0x30, timestamp=525103000)


@pytest.mark.parametrize(
    "width, digest", [(1, "2a5f02082587fbf8cb8f8ff6b3fc417f"), (4, "eb43170894cd3ace2b71e4a887299644")]
)
def test_both_cmpp_answers_to_a_login_are_the_cards(width, digest):
    source = bytes.fromhex("8fcef451df6cde36933bd930b927afdd")
    assert cmpp.authenticator_ismg(0, source, b"1234", width=width).hex() == digest


@pytest.mark.parametrize(
    "padded, digest", [(False, "7485eb3cbfb097d486767c041f975990"), (True, "2574135f4b1eaaae9a87fdc302b9e696")]
)
def test_a_short_cmpp_account_hashes_bare_or_padded(padded, digest):
    assert cmpp.authenticator_source(b"12345", b"1234", 525103000, padded=padded).hex() == digest


def test_a_cmpp_message_id_is_the_cards():
    assert cmpp.message_id(MAY, 1001, 1).hex() == "5ca9e00003e90001"


@pytest.mark.parametrize(
    "name, values, two, three",
    [
        ("CONNECT_RESP", {}, 30, 33),
        ("SUBMIT", {"dest_terminal_id": (b"13800001234",), "msg_content": b"test"}, 163, 199),
        ("SUBMIT", {"dest_terminal_id": (b"1",) * 3, "msg_content": b"test!"}, 138 + 63 + 5, 163 + 96 + 5),
        ("SUBMIT_RESP", {}, 21, 24),
        ("DELIVER", {"msg_content": b"abc"}, 88, 112),
        ("DELIVER_RESP", {}, 21, 24),
        ("QUERY", {}, 39, 39),
        ("QUERY_RESP", {}, 63, 63),
        ("CANCEL", {}, 20, 20),
        ("CANCEL_RESP", {}, 13, 16),
        ("ACTIVE_TEST", {}, 12, 12),
        ("ACTIVE_TEST_RESP", {}, 13, 13),
        ("TERMINATE_RESP", {}, 12, 12),
    ],
)
def test_cmpp_packets_have_the_cards_lengths(name, values, two, three):
    for codec, size in ((cmpp.CMPP2, two), (cmpp.CMPP3, three)):
        pdu = next(pdu for pdu in codec.pdus.values() if pdu.name == name)
        assert len(codec.encode(pdu, 1, values)) == size


@pytest.mark.parametrize(
    "codec, at",
    [
        (cmpp.CMPP2, {"fee": 35, "fmt": 58, "source": 107, "count": 128, "number": 129, "length": 150}),
        (cmpp.CMPP3, {"fee": 35, "fmt": 70, "source": 119, "count": 140, "number": 141, "length": 174}),
    ],
)
def test_cmpp_fields_stand_where_the_card_puts_them(codec, at):
    values = {
        "fee_terminal_id": b"13800000001",
        "msg_fmt": 8,
        "src_id": b"106900",
        "dest_terminal_id": (b"13800001234",),
        "msg_content": b"\x4f\x60",
    }
    raw = codec.encode(codec.pdus[4], 7, values)
    assert raw[at["fee"] :][:11] == b"13800000001"
    assert (raw[at["fmt"]], raw[at["count"]], raw[at["length"]]) == (8, 1, 2)
    assert raw[at["source"] :][:7] == b"106900\0"
    assert raw[at["number"] :][:12] == b"13800001234\0"


@pytest.mark.parametrize("version, size", [(0x20, 60), (0x30, 71)])
def test_a_cmpp_report_is_read_by_its_length_whatever_the_version(version, size):
    content = cmpp.write_report(
        version,
        msg_id=bytes.fromhex("c8a9e00003e90001"),  # above 2^63, as from August on
        stat=b"DELIVRD",
        submit_time=b"2605251030",
        done_time=b"2605251031",
        dest_terminal_id=b"13800001234",
        smsc_sequence=7,
    )
    assert len(content) == size
    report = cmpp.read_report(content)
    assert (report.message_id.hex(), report.stat, report.number) == ("c8a9e00003e90001", "DELIVRD", "13800001234")
    assert (report.submitted_at, report.done_at) == (MAY, datetime(2026, 5, 25, 2, 31, tzinfo=UTC))


# --- SMPP ------------------------------------------------------------------------------------------------------------

BIND = bytes.fromhex("0000002200000009000000000000000165736d653100736563726574000034000000")
BIND_RESP = bytes.fromhex("0000001980000009000000000000000153494d000210000134")
SUBMIT_SM = bytes.fromhex(
    "0000003600000004000000000000000200050041434d450001013836313338303031333830303000000000000001000800044f60597d"
)
RECEIPT = bytes.fromhex(
    "000000ad0000000500000000000000070001013836313338303031333830303000050041434d45000400000000000000006669643a30303030"
    "303032353837207375623a30303120646c7672643a303031207375626d697420646174653a3234303532353130333020646f6e652064617465"
    "3a3234303532353130333120737461743a44454c49565244206572723a30303020746578743a001e0005304131420004270001020423000303"
    "0000"
)


def test_an_smpp_login_is_the_cards():
    client = smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0))
    pdu, values = client.login()
    assert smpp.SMPP.encode(pdu, 1, values) == BIND
    roundabout(smpp.SMPP, BIND, system_id=b"esme1", password=b"secret", interface_version=0x34)
    roundabout(smpp.SMPP, BIND_RESP, system_id=b"SIM", tlvs=((0x0210, b"\x34"),))


def test_an_smpp_submit_is_the_cards():
    client = smpp.Client(account="esme1", secret="secret", numbers=smpp.numbers(0))
    (part,) = split_text("你好", Alphabet.UCS2, reference=0)
    pdu, values = client.submit(part, sender="ACME", number="8613800138000")
    assert smpp.SMPP.encode(pdu, 2, values) == SUBMIT_SM
    roundabout(smpp.SMPP, SUBMIT_SM, source_addr=b"ACME", short_message="你好".encode("utf-16-be"))


@pytest.mark.parametrize(
    "raw, name, status",
    [
        ("000000158000000400000000000000023041314200", "submit_sm_resp", 0),
        ("00000010800000040000005800000003", "submit_sm_resp", 0x58),
        ("0000001180000005000000000000000700", "deliver_sm_resp", 0),
        ("00000010000000150000000000000004", "enquire_link", 0),
        ("00000010800000150000000000000004", "enquire_link_resp", 0),
    ],
)
def test_the_other_smpp_packets_are_the_cards(raw, name, status):
    packet = smpp.SMPP.decode(bytes.fromhex(raw), strict=True)
    assert (packet.pdu.name, packet.status) == (name, status)
    values = {} if status else packet.values._asdict()
    assert smpp.SMPP.encode(packet.pdu, packet.sequence, values, status=status).hex() == raw


def test_an_smpp_receipt_is_the_cards():
    roundabout(smpp.SMPP, RECEIPT)
    report = smpp.read_deliver(smpp.SMPP.decode(RECEIPT))
    assert report.message_id == b"0A1B"  # the parameter, not the text's decimal
    assert (report.stat, report.err, report.number) == ("DELIVRD", "000", "8613800138000")


# --- SGIP ------------------------------------------------------------------------------------------------------------

NOVEMBER = datetime(2026, 11, 20, 12, 32, 25, tzinfo=UTC)  # 20:32:25 in Beijing
SGIP_BIND = bytes.fromhex(
    "0000003d00000001b36924b942c4f1d90000000701" + "737075736572" + "00" * 10 + "737070617373" + "00" * 10 + "00" * 8
)


def test_an_sgip_login_is_the_cards():
    words = sgip.Words(node=sgip.node_id("010", 12345), now=lambda: NOVEMBER, start=7)
    client = sgip.Client(account="spuser", secret="sppass", numbers=words, corp_id="12345")
    pdu, values = client.login()
    assert sgip.SGIP.encode(pdu, words.next(()), values) == SGIP_BIND
    roundabout(sgip.SGIP, SGIP_BIND, login_name=b"spuser", login_password=b"sppass", login_type=1)


@pytest.mark.parametrize(
    "name, values, size",
    [
        ("SUBMIT", {"user_number": (b"8613800001234",)}, 164),
        ("DELIVER", {"message_content": b"abcd"}, 81),
        ("REPORT", {}, 64),
        ("SUBMIT_RESP", {}, 29),
        ("UNBIND_RESP", {}, 20),
        ("USERRPT", {}, 71),
        ("TRACE", {}, 61),
        ("TRACE_RESP", {"nodes": ({},)}, 68),
    ],
)
def test_sgip_packets_have_the_cards_lengths(name, values, size):
    pdu = next(pdu for pdu in sgip.SGIP.pdus.values() if pdu.name == name)
    assert len(sgip.SGIP.encode(pdu, (1, 2, 3), values)) == size


# --- SMGP ------------------------------------------------------------------------------------------------------------

LOGIN = bytes.fromhex("0000002a00000001000000013132333435363738d0ab4de351059a4370d4300bf1738a540211f0e54030")
PLAIN = bytes.fromhex(
    "00000097000000020000000206010200000000000000000000303030303030303030303030303008000000000000000000000000000000"
    "00000000000000000000000000000000000000313036353930303030310000000000000000000000000000000000000000000000000000"
    "00000000000001313338303031333830303000000000000000000000044f60597d0000000000000000"
)
FIRST = bytes.fromhex(
    "000000ac000000020000000306010200000000000000000000303030303030303030303030303008000000000000000000000000000000"
    "00000000000000000000000000000000000000313036353930303030310000000000000000000000000000000000000000000000000000"
    "000000000000013133383030313338303030000000000000000000000a0500032a02014f60597d00000000000000000002000101000900"
    "0102000a000101"
)


def test_an_smgp_login_is_the_cards():
    march = datetime(2026, 2, 28, 19, 0, tzinfo=UTC)  # 03-01 03:00 in Beijing
    client = smgp.Client(account="12345678", secret="abc", now=lambda: march, numbers=smgp.numbers(0))
    assert smgp.timestamp(march) == 301030000
    assert smgp.authenticator_client(b"12345678", b"abc", 301000000).hex() == "d0ab4de351059a4370d4300bf1738a54"
    assert client.login()[1]["login_mode"] == 2
    values = roundabout(smgp.SMGP, LOGIN, client_id=b"12345678", timestamp=301000000, client_version=0x30)
    assert smgp.SMGP.encode(smgp.LOGIN, 1, values) == LOGIN


@pytest.mark.parametrize(
    "width, digest", [(4, "b19bf03169e459625156c317d4119177"), (1, "6e3669e9da1f69fae3f2eb797a2535c6")]
)
def test_both_smgp_answers_to_a_login_are_the_cards(width, digest):
    source = bytes.fromhex("d0ab4de351059a4370d4300bf1738a54")
    assert smgp.authenticator_server(0, source, b"abc", width=width).hex() == digest


def test_an_smgp_submit_response_keeps_an_id_with_nuls():
    raw = bytes.fromhex("0000001a80000002000000020100610116170001234500000000")
    roundabout(smgp.SMGP, raw, msg_id=bytes.fromhex("01006101161700012345"), status=0)
    at = datetime(2024, 1, 16, 9, 0, tzinfo=UTC)
    assert smgp.message_id("010061", at, 12345).hex() == "01006101161700012345"


def test_an_smgp_submit_is_the_cards_plain_and_in_parts():
    client = smgp.Client(account="12345678", secret="abc", now=lambda: MAY, numbers=smgp.numbers(0))
    (part,) = split_text("你好", Alphabet.UCS2, reference=0)
    pdu, values = client.submit(part, sender="1065900001", number="13800138000")
    assert smgp.SMGP.encode(pdu, 2, values) == PLAIN
    assert (len(PLAIN), PLAIN[39], PLAIN[116], PLAIN[138]) == (151, 8, 1, 4)
    roundabout(smgp.SMGP, PLAIN)
    roundabout(smgp.SMGP, FIRST, tlvs=((2, b"\x01"), (9, b"\x02"), (10, b"\x01")))
    piece = Part(
        body=bytes.fromhex("0500032a02014f60597d"),
        alphabet=Alphabet.UCS2,
        piece=Piece(reference=0x2A, total=2, number=1),
    )
    pdu, values = client.submit(piece, sender="1065900001", number="13800138000")
    assert smgp.SMGP.encode(pdu, 3, values) == FIRST


REPORT = bytes.fromhex(
    "69643a01006101161700012345207375623a30303120646c7672643a303031207375626d697420646174653a32343031313631373030"
    "20646f6e6520646174653a3234303131363137303120737461743a44454c49565244206572723a30303020746578743a" + "00" * 20
)


def test_an_smgp_report_is_read_by_position():
    assert len(REPORT) == 122
    report = smgp.read_report(REPORT)
    assert report.message_id.hex() == "01006101161700012345"
    assert (report.stat, report.err) == ("DELIVRD", "000")
    assert report.done_at == datetime(2024, 1, 16, 9, 1, tzinfo=UTC)
    at = datetime(2024, 1, 16, 9, 0, tzinfo=UTC)
    written = smgp.write_report(
        message_id=report.message_id, stat="DELIVRD", err="000", submitted_at=at, done_at=at.replace(minute=1)
    )
    assert written == REPORT
    assert len(smgp.SMGP.encode(smgp.DELIVER, 1, {"is_report": 1, "msg_content": REPORT})) == 211


@pytest.mark.parametrize("labels", [(b"submit_date", b"done_date"), (b"Submit date", b"Done date")])
@pytest.mark.parametrize("key", ["20203a20207375623a20", "003a2000000000000000", "01006101161700012345"])
def test_an_smgp_report_is_read_whatever_its_labels_and_its_id(labels, key):
    raw = REPORT.replace(b"submit date", labels[0]).replace(b"done date", labels[1])
    raw = raw[:3] + bytes.fromhex(key) + raw[13:]
    assert smgp.read_report(raw).message_id.hex() == key
    assert smgp.read_report(raw[:96]).stat == "DELIVRD"


def test_an_smgp_report_may_have_its_id_in_hex_digits():
    raw = REPORT[:3] + b"01006101161700012345" + REPORT[13:]
    assert smgp.read_report(raw) == smgp.read_report(REPORT)
