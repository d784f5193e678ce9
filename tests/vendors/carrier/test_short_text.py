"""Alphabets, parts and joining: nothing is cut in two, nothing that came in parts is mixed up, nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import text as house
from vendors.carrier.short_text import (
    GSM7_TABLE,
    Alphabet,
    InboundPart,
    Joiner,
    Piece,
    Unencodable,
    alphabet_of_data_coding,
    alphabet_of_msg_fmt,
    capacity,
    decode_text,
    encode_text,
    fill_bits,
    header,
    pack_septets,
    split_header,
    split_text,
    unpack_septets,
)

GSM7_CHARACTERS = GSM7_TABLE.replace("\x1b", "") + "^{}\\[~]|€\f"
HAN = st.text(st.sampled_from("您的验证码是测试abc123，。【】"), max_size=300)
TEXTS = {
    Alphabet.ASCII: st.text(st.characters(max_codepoint=126), max_size=400),
    Alphabet.GSM7: st.text(st.sampled_from(GSM7_CHARACTERS), max_size=400),
    Alphabet.GSM7_PACKED: st.text(st.sampled_from(GSM7_CHARACTERS), max_size=400),
    Alphabet.LATIN1: st.text(st.characters(max_codepoint=255), max_size=400),
    Alphabet.UCS2: st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | HAN,
    Alphabet.GB: HAN,
}
each_alphabet = pytest.mark.parametrize("alphabet", TEXTS)


@pytest.mark.parametrize(
    "character, code",
    [("Ç", 0x09), ("¤", 0x24), ("§", 0x5F), ("¿", 0x60), ("à", 0x7F), ("@", 0), ("_", 0x11), ("Δ", 0x10)],
)
def test_the_default_alphabet_is_the_standards(character, code):
    assert encode_text(character, Alphabet.GSM7) == bytes([code])


@pytest.mark.parametrize(
    "character, code", list(zip("\f^{}\\[~]|€", bytes.fromhex("0a1428292f3c3d3e4065"), strict=True))
)
def test_the_extension_is_the_standards(character, code):
    assert encode_text(character, Alphabet.GSM7) == bytes([0x1B, code])


def test_the_house_and_this_module_know_the_same_alphabet():
    assert len(GSM7_TABLE) == 128
    assert all(house.is_gsm7(character) for character in GSM7_CHARACTERS)
    assert not house.is_gsm7("ç") and not house.is_gsm7("\x1b")
    with pytest.raises(Unencodable, match="ç"):
        encode_text("ç", Alphabet.GSM7)


@pytest.mark.parametrize(
    "raw, text", [(b"\x1b\x1b", " "), (b"\x1b\x41", "A"), (b"\x1b", " "), (b"\x1b\x65", "€"), (b"\x80", "\ufffd")]
)
def test_an_escape_that_leads_nowhere_shows_the_default_character_or_a_blank(raw, text):
    assert decode_text(raw, Alphabet.GSM7) == text


@given(septets=st.binary(max_size=200).map(lambda raw: bytes(each & 0x7F for each in raw)), fill=st.integers(0, 6))
def test_packed_septets_come_back_by_their_count(septets, fill):
    packed = pack_septets(septets, fill=fill)
    assert unpack_septets(packed, len(septets), fill=fill) == septets
    assert len(packed) == (7 * len(septets) + fill + 7) // 8


def test_seven_septets_read_without_a_count_do_not_grow_an_at_sign():
    assert decode_text(pack_septets(b"hello12"), Alphabet.GSM7_PACKED) == "hello12"


@pytest.mark.parametrize(
    "text, alphabet, parts",
    [
        ("测" * 70, Alphabet.UCS2, 1),
        ("测" * 71, Alphabet.UCS2, 2),
        ("测" * 134, Alphabet.UCS2, 2),
        ("测" * 135, Alphabet.UCS2, 3),
        ("测" * 201, Alphabet.UCS2, 3),
        ("测" * 202, Alphabet.UCS2, 4),
        ("测" * 70, Alphabet.GB, 1),
        ("测" * 71, Alphabet.GB, 2),
        ("a" * 159, Alphabet.ASCII, 1),
        ("a" * 161, Alphabet.ASCII, 2),
        ("a" * 160, Alphabet.GSM7, 1),
        ("a" * 161, Alphabet.GSM7, 2),
        ("a" * 306, Alphabet.GSM7_PACKED, 2),
        ("a" * 307, Alphabet.GSM7_PACKED, 3),
    ],
)
def test_a_text_needs_as_many_parts_as_the_standard_says(text, alphabet, parts):
    assert len(split_text(text, alphabet, reference=1)) == parts
    if alphabet in (Alphabet.UCS2, Alphabet.GSM7):
        assert parts == house.segments(text)


@pytest.mark.parametrize(
    "alphabet, single, narrow, wide",
    [
        (Alphabet.GSM7, 160, 153, 152),
        (Alphabet.GSM7_PACKED, 160, 153, 152),
        (Alphabet.BINARY, 140, 134, 133),
        (Alphabet.UCS2, 140, 134, 132),
    ],
)
def test_the_room_in_a_message_is_the_standards(alphabet, single, narrow, wide):
    assert (capacity(alphabet), capacity(alphabet, wide=False), capacity(alphabet, wide=True)) == (single, narrow, wide)


def test_no_pair_and_no_escape_is_cut_in_two():
    first, second = split_text("测" * 66 + "😀" + "测" * 5, Alphabet.UCS2, reference=1)
    assert len(first.body) == 6 + 132
    assert second.body[6:].decode("utf-16-be").startswith("😀")
    first, second = split_text("a" * 152 + "€" * 8, Alphabet.GSM7, reference=1)
    assert len(first.body) == 6 + 152 and second.body[6:8] == b"\x1b\x65"


@each_alphabet
@given(data=st.data(), wide=st.booleans())
def test_the_parts_of_a_text_join_to_the_text(alphabet, data, wide):
    text = data.draw(TEXTS[alphabet])
    parts = split_text(text, alphabet, reference=data.draw(st.integers(0, 255)), wide=wide)
    joiner: Joiner[int] = Joiner()
    found = []
    for token in data.draw(st.permutations(range(len(parts)))):
        part = parts[token]
        size, body, piece = len(part.body), part.body, None
        assert size <= (160 if alphabet in (Alphabet.GSM7, Alphabet.ASCII) else 140)
        if part.has_header:
            piece, body = split_header(part.body)
            assert piece == part.piece
        front = size - len(body)
        count = None
        if alphabet is Alphabet.GSM7_PACKED:  # the count travels in the length field of the air interface
            count = len(encode_text(text, Alphabet.GSM7)) if not part.has_header else None
        decoded = decode_text(body, alphabet, septets=count, fill=fill_bits(front))
        told = InboundPart(number="1", to="2", text=decoded, piece=piece, body=body, alphabet=alphabet)
        found += joiner.add(told, token, 0.0)
    (joined,) = found
    if alphabet is Alphabet.GSM7_PACKED:
        assert joined.text.rstrip("@") == text.rstrip("@") or len(parts) > 1  # a spare septet may read as @
    else:
        assert joined.text == text
    assert sorted(joined.tokens) == list(range(len(parts))) and joined.missing == 0


@given(body=st.binary(max_size=200), alphabet=st.sampled_from(list(Alphabet)))
def test_whatever_comes_is_text_and_a_broken_header_stays_where_it_is(body, alphabet):
    piece, rest = split_header(body)
    assert body.endswith(rest)
    assert piece is None or 0 < piece.number <= piece.total
    decode_text(rest, alphabet)


@pytest.mark.parametrize(
    "raw, piece, rest",
    [
        ("0500032a0201" + "61", Piece(0x2A, 2, 1), b"a"),
        ("06080412340201" + "61", Piece(0x1234, 2, 1), b"a"),
        ("0b05041583000000032a0202" + "61", Piece(0x2A, 2, 2), b"a"),  # ports before it
        ("0500032a0200" + "61", None, b"a"),  # number 0: ignored, but still a header
        ("0500032a0203" + "61", None, b"a"),  # the third of two
        ("0500032a0001" + "61", None, b"a"),
        ("0570010061", None, b"\x05\x70\x01\x00\x61"),  # claims more than there is: no header at all
        ("", None, b""),
    ],
)
def test_headers_are_walked_and_nonsense_in_them_is_ignored(raw, piece, rest):
    assert split_header(bytes.fromhex(raw)) == (piece, rest)


def test_headers_have_the_standards_bytes():
    assert header(Piece(0x2A, 2, 1)).hex() == "0500032a0201"
    assert header(Piece(0x1234, 2, 1), wide=True).hex() == "06080412340201"
    with pytest.raises(ValueError, match="256"):
        split_text("测" * 71, Alphabet.UCS2, reference=256)
    assert split_text("测" * 71, Alphabet.UCS2, reference=256, wide=True)[0].body[3:5] == b"\x01\x00"


@pytest.mark.parametrize(
    "msg_fmt, alphabet",
    [(0, "ascii"), (8, "ucs2"), (9, "ucs2"), (0x18, "ucs2"), (15, "gb"), (4, "binary"), (3, "binary"), (246, "binary")],
)
def test_formats_mean_their_alphabets(msg_fmt, alphabet):
    assert alphabet_of_msg_fmt(msg_fmt) == alphabet


@pytest.mark.parametrize(
    "data_coding, alphabet", [(0, "latin1"), (1, "ascii"), (3, "latin1"), (8, "ucs2"), (4, "binary"), (0xF0, "latin1")]
)
def test_codings_mean_their_alphabets_and_zero_what_the_server_says(data_coding, alphabet):
    assert alphabet_of_data_coding(data_coding, Alphabet.LATIN1) == alphabet


@given(value=st.integers(0, 255))
def test_every_format_byte_means_something(value):
    assert alphabet_of_msg_fmt(value) in Alphabet
    assert alphabet_of_data_coding(value) in Alphabet


# --- joining ---------------------------------------------------------------------------------------------------------


def part(number: int, total: int = 3, *, reference: int = 1, sender: str = "13800001234") -> InboundPart:
    text = "甲乙丙"[number - 1]
    return InboundPart(
        number=sender,
        to="1069",
        text=text,
        piece=Piece(reference, total, number),
        body=text.encode("utf-16-be"),
    )


def test_parts_of_different_phones_and_references_do_not_mix():
    joiner: Joiner[str] = Joiner()
    assert joiner.add(part(1), "a", 0.0) == []
    assert joiner.add(part(2, sender="13900001234"), "b", 0.0) == []
    assert joiner.add(part(2, reference=2), "c", 0.0) == []
    assert joiner.add(part(3), "d", 0.0) == []
    (joined,) = joiner.add(part(2), "e", 0.0)
    assert (joined.text, joined.tokens) == ("甲乙丙", ("a", "d", "e"))
    assert len(joiner) == 2


def test_a_part_that_comes_twice_counts_once_and_keeps_both_tokens():
    joiner: Joiner[str] = Joiner()
    joiner.add(part(1, 2), "first", 0.0)
    joiner.add(part(1, 2), "again", 0.0)
    (joined,) = joiner.add(part(2, 2), "last", 0.0)
    assert (joined.text, joined.tokens) == ("甲乙", ("first", "again", "last"))


def test_what_stays_incomplete_is_given_out_in_time_with_what_is_missing():
    joiner: Joiner[str] = Joiner(patience=300.0)
    joiner.add(part(3), "c", 10.0)
    assert joiner.next_timer() == 310.0
    assert joiner.tick(309.0) == []
    (joined,) = joiner.tick(310.0)
    assert (joined.text, joined.missing, joined.tokens) == ("丙", 2, ("c",))
    assert joiner.next_timer() is None


def test_a_flood_of_unfinished_texts_is_bounded_and_loses_no_token():
    joiner: Joiner[int] = Joiner(most=10)
    given_out = [joined for token in range(50) for joined in joiner.add(part(1, reference=token), token, 0.0)]
    assert len(joiner) == 10
    assert [joined.tokens for joined in given_out] == [(token,) for token in range(40)]
    repeated = [joined for token in range(100) for joined in joiner.add(part(1, reference=7777), token, 0.0)]
    assert all(len(joined.tokens) <= 13 for joined in repeated)


def test_a_character_cut_in_two_by_its_sender_is_whole_again():
    raw = "😀".encode("utf-16-be")
    joiner: Joiner[int] = Joiner()
    found = []
    for number, body in enumerate((raw[:2], raw[2:]), 1):
        text = decode_text(body, Alphabet.UCS2)
        one = InboundPart(number="1", to="2", text=text, piece=Piece(1, 2, number), body=body)
        found += joiner.add(one, number, 0.0)
    assert found[0].text == "😀"
