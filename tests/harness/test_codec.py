"""The border guard: every fact goes in and comes out the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import codec
from harness.codec import canonical_json, decode_body, encode_body, from_plain, schema_of, to_plain
from harness.domain import Money, Recipient
from harness.facts import CaseClosed, FactBody
from tests.harness.given import recipient

KINDS = get_args(FactBody)

# What a ledger may hold: aware times, text without half characters, plain JSON where a field is free.
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def shaped(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field as they can stand in a fact: small, and mappings that are plain dicts."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return st.one_of([shaped(one) for one in inner])
    if origin is tuple:
        return st.lists(shaped(inner[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(TEXT, shaped(inner[1]), max_size=2)
    if is_dataclass(hint):
        return st.deferred(lambda: made(hint))
    plain = {str: TEXT, float: st.floats(allow_nan=False, allow_infinity=False), int: st.integers(-(2**53), 2**53)}
    plain |= {datetime: st.datetimes(timezones=st.just(UTC)), Any: PLAIN}
    plain |= {Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=4, max_value=10**6)}
    return plain[hint] if hint in plain else st.from_type(hint)


def made(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: shaped(hint) for name, hint in get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_fact_comes_out_as_it_went_in(kind):
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(made(kind))
    def round_trip(body):
        raw = encode_body(body)
        again = decode_body(raw)
        assert again == body
        assert type(again) is kind
        assert encode_body(again) == raw, "the same body always has the same bytes: they are digested"

    round_trip()


def test_kinds_are_told_apart_by_a_tag_that_no_other_has():
    tags = [kind.__dataclass_fields__["kind"].default for kind in KINDS]
    assert len(set(tags)) == len(tags) == len(KINDS)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"kind":"no_such_fact"}',
        b'{"kind":"case_closed"}',
        b'{"kind":"case_closed","because":7}',
        b'{"kind":"case_closed","because":"x"',
        b'{"kind":"send_intended","leg":"zero","planned_at":"2026-03-02T00:00:00Z","ceiling":null}',
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_what_no_fact_can_be_is_refused(raw):
    with pytest.raises(ValueError):
        decode_body(raw)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(raw):
    with contextlib.suppress(ValueError):
        decode_body(raw)


def test_a_fact_of_a_later_version_with_one_more_key_can_still_be_read():
    assert decode_body(b'{"because":"done","kind":"case_closed","later":1}') == CaseClosed(because="done")


@given(st.text())
def test_half_a_character_never_stops_the_ledger(text):
    again = decode_body(encode_body(CaseClosed(because=text)))
    assert again == CaseClosed(because=text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def test_a_recipient_survives_json():
    person = recipient(tags={"age_band": "25-34"})
    assert from_plain(Recipient, json.loads(json.dumps(to_plain(person)))) == person


def test_what_is_wrong_is_told_with_its_path():
    with pytest.raises(ValueError, match=r"amount: .*currency: ") as caught:
        from_plain(Money, {"amount": "lots", "currency": 7})
    assert "pydantic.dev" not in str(caught.value)


@given(st.dictionaries(TEXT, PLAIN, max_size=4))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    turned = dict(reversed(list(value.items())))
    assert canonical_json(turned) == canonical_json(value)
    assert json.loads(canonical_json(value)) == value


def test_canonical_json_has_no_number_for_do_not_know():
    with pytest.raises(ValueError):
        canonical_json({"share": float("nan")})


def test_a_schema_names_every_field():
    assert set(schema_of(Money)["properties"]) == {"amount", "currency"}
    assert codec.schema_of(CaseClosed)["required"] == ["because"]
