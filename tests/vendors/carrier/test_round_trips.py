"""Every PDU of every table comes back as it was written; whatever else is read, raises Malformed and nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendors.carrier import cmpp, sgip, smgp, smpp
from vendors.carrier.pdus import (
    Codec,
    Counted,
    Field,
    Framer,
    Listed,
    Malformed,
    Number,
    Octets,
    Padded,
    Pdu,
    Repeated,
    Terminated,
)

CODECS = (cmpp.CMPP2, cmpp.CMPP3, smpp.SMPP, sgip.SGIP, smgp.SMGP)
EVERY = [(codec, pdu) for codec in CODECS for pdu in codec.pdus.values()]
each_pdu = pytest.mark.parametrize("codec, pdu", EVERY, ids=[f"{codec.name} {pdu.name}" for codec, pdu in EVERY])
each_codec = pytest.mark.parametrize("codec", CODECS, ids=[codec.name for codec in CODECS])

U32 = st.integers(0, 2**32 - 1)


def text(most: int, least: int = 0) -> st.SearchStrategy[bytes]:
    return st.lists(st.integers(1, 255), min_size=least, max_size=most).map(bytes)


def values_of(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({each.name: value_of(each) for each in fields})


def value_of(each: Field) -> st.SearchStrategy[Any]:
    match each:
        case Number():
            return st.integers(0, 256**each.size - 1)
        case Octets():
            return st.binary(min_size=each.size, max_size=each.size)
        case Padded():
            return text(each.size)
        case Terminated(full=True):
            return st.just(b"") | text(each.most - 1, each.most - 1)
        case Terminated():
            return text(each.most - 1)
        case Listed():
            return st.lists(text(each.size), max_size=4).map(tuple)
        case Counted():
            return st.binary(max_size=min(each.most, 300))
        case Repeated():
            return st.lists(values_of(each.fields), max_size=3).map(tuple)
        case _:
            return st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=20)), max_size=4).map(tuple)


def sequences(codec: Codec) -> st.SearchStrategy[Any]:
    return st.tuples(U32, U32, U32) if codec.words == 5 else U32


@each_pdu
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_written_is_read_again(codec: Codec, pdu: Pdu, data: st.DataObject) -> None:
    values, sequence = data.draw(values_of(pdu.fields)), data.draw(sequences(codec))
    status = data.draw(st.sampled_from((0, 0x58))) if codec.words == 4 else 0
    raw = codec.encode(pdu, sequence, values, status=status)
    assert int.from_bytes(raw[:4], "big") == len(raw)
    for strict in (True, False):
        packet = codec.decode(raw, strict=strict)
        if packet.pdu is pdu:  # an answer may happen to have the other dialect's length only if it is one
            assert packet == (pdu, sequence, pdu.record(**values), status)


@each_pdu
@settings(max_examples=40)
@given(data=st.data())
def test_a_packet_that_was_cut_or_bent_is_read_or_refused(codec: Codec, pdu: Pdu, data: st.DataObject) -> None:
    raw = bytearray(codec.encode(pdu, data.draw(sequences(codec)), data.draw(values_of(pdu.fields))))
    cut = data.draw(st.integers(0, len(raw)))
    bent = raw[:cut] + data.draw(st.binary(max_size=30))
    bent[:4] = len(bent).to_bytes(4, "big")
    for strict in (True, False):
        try:
            codec.decode(bytes(bent), strict=strict)
        except Malformed as error:
            assert error.place and error.problem


@each_codec
@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(codec: Codec, raw: bytes) -> None:
    for frame in (raw, (len(raw) + 4).to_bytes(4, "big") + raw):
        with contextlib.suppress(Malformed):
            codec.decode(frame)


@each_codec
@settings(max_examples=40)
@given(data=st.data())
def test_packets_are_cut_the_same_however_the_stream_was_split_or_glued(codec: Codec, data: st.DataObject) -> None:
    frames = [
        codec.encode(pdu, data.draw(sequences(codec)))
        for pdu in data.draw(st.lists(st.sampled_from(list(codec.pdus.values())), max_size=6))
    ]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    framer, found = Framer(codec), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[begin:end])
    assert found == frames
    assert framer.broken is None


@each_codec
@pytest.mark.parametrize("length", [0, 11, 2**32 - 1])
def test_a_length_that_makes_no_sense_ends_the_reading_but_keeps_what_stood_before(codec: Codec, length: int) -> None:
    pdu = next(pdu for pdu in codec.pdus.values() if not pdu.fields)
    good = codec.encode(pdu, (1, 2, 3) if codec.words == 5 else 7)
    framer = Framer(codec)
    assert framer.feed(good + length.to_bytes(4, "big") + b"rest") == [good]
    assert framer.broken is not None and framer.broken.value == length
    assert framer.feed(good) == []


@pytest.mark.parametrize(
    "codec, pdu, values, place",
    [
        (cmpp.CMPP3, "SUBMIT", {"src_id": b"1" * 22}, "SUBMIT.src_id"),
        (cmpp.CMPP3, "SUBMIT", {"src_id": b"1\x002"}, "SUBMIT.src_id"),
        (cmpp.CMPP3, "SUBMIT", {"src_id": "106900"}, "SUBMIT.src_id"),
        (cmpp.CMPP3, "SUBMIT", {"msg_fmt": 256}, "SUBMIT.msg_fmt"),
        (cmpp.CMPP3, "SUBMIT", {"msg_id": b"1"}, "SUBMIT.msg_id"),
        (cmpp.CMPP3, "SUBMIT", {"msg_content": b"1" * 256}, "SUBMIT.msg_content"),
        (cmpp.CMPP3, "SUBMIT", {"dest_terminal_id": (b"1" * 33,)}, "SUBMIT.dest_terminal_id"),
        (cmpp.CMPP3, "SUBMIT", {"dest_terminal_id": b"13800001234"}, "SUBMIT.dest_terminal_id"),
        (cmpp.CMPP3, "SUBMIT", {"colour": 1}, "SUBMIT"),
        (smpp.SMPP, "submit_sm", {"source_addr": b"1" * 21}, "submit_sm.source_addr"),
        (smpp.SMPP, "submit_sm", {"validity_period": b"1"}, "submit_sm.validity_period"),
        (smpp.SMPP, "submit_sm", {"esm_class": 300}, "submit_sm.esm_class"),
        (smpp.SMPP, "submit_sm", {"short_message": b"1" * 255}, "submit_sm.short_message"),
        (smpp.SMPP, "submit_sm", {"tlvs": ((1,),)}, "submit_sm.tlvs"),
        (sgip.SGIP, "TRACE_RESP", {"nodes": ({"node_id": b"1234567"},)}, "TRACE_RESP.nodes.node_id"),
    ],
)
def test_what_cannot_be_written_names_its_place(codec: Codec, pdu: str, values: dict[str, Any], place: str) -> None:
    table = next(each for each in codec.pdus.values() if each.name == pdu)
    with pytest.raises(Malformed) as raised:
        codec.encode(table, (1, 2, 3) if codec.words == 5 else 1, values)
    assert raised.value.place == place


def test_a_packet_cut_short_names_the_field_that_is_missing() -> None:
    raw = cmpp.CMPP3.encode(cmpp.CONNECT, 1, {"source_addr": b"901234"})[:30]
    with pytest.raises(Malformed, match=r"CONNECT\.authenticator_source"):
        cmpp.CMPP3.decode(len(raw).to_bytes(4, "big") + raw[4:])


# --- deviations that are known and read ------------------------------------------------------------------------------


def test_an_active_test_response_may_lack_its_byte() -> None:
    raw = bytes.fromhex("0000000c8000000800000001")
    assert cmpp.CMPP3.decode(raw).pdu is cmpp.ACTIVE_TEST_RESP
    with pytest.raises(Malformed):
        cmpp.CMPP3.decode(raw, strict=True)


@pytest.mark.parametrize("ours, theirs", [(cmpp.CMPP2, cmpp.CMPP3), (cmpp.CMPP3, cmpp.CMPP2)])
@pytest.mark.parametrize("command", [0x80000001, 0x80000004, 0x80000005, 0x80000007])
def test_an_answer_in_the_other_dialect_is_read_by_its_length(ours: Codec, theirs: Codec, command: int) -> None:
    name = theirs.pdus[command].fields[-1 if command != 0x80000001 else 0].name
    packet = ours.decode(theirs.encode(theirs.pdus[command], 5, {name: 4}))
    assert getattr(packet.values, name) == 4
    with pytest.raises(Malformed):
        ours.decode(theirs.encode(theirs.pdus[command], 5, {name: 4}), strict=True)


def test_an_smpp_error_comes_with_a_body_or_without() -> None:
    bare = smpp.SMPP.encode(smpp.SUBMIT_SM_RESP, 1, status=0x58)
    full = smpp.SMPP.encode(smpp.SUBMIT_SM_RESP, 1, {"message_id": b""}, status=0x58)
    assert (len(bare), len(full)) == (16, 17)
    assert smpp.SMPP.decode(bare).status == smpp.SMPP.decode(full).status == 0x58


def test_optional_parameters_before_a_cut_one_are_kept() -> None:
    raw = smpp.SMPP.encode(smpp.DELIVER_SM, 1, {"tlvs": ((0x001E, b"0A1B\0"), (0x0427, b"\x02"))})[:-1]
    raw = len(raw).to_bytes(4, "big") + raw[4:]
    assert smpp.SMPP.decode(raw).values.tlvs == ((0x001E, b"0A1B\0"),)
    with pytest.raises(Malformed, match="tlvs"):
        smpp.SMPP.decode(raw, strict=True)


def test_garbage_behind_a_padding_is_cut_off_unless_strict() -> None:
    raw = cmpp.CMPP3.encode(cmpp.CONNECT, 1, {"source_addr": b"9"}).replace(b"9\0\0", b"9\0x")
    assert cmpp.CMPP3.decode(raw).values.source_addr == b"9"
    with pytest.raises(Malformed, match="source_addr"):
        cmpp.CMPP3.decode(raw, strict=True)
