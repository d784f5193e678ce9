"""YAML in which every scalar is text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.plain_yaml import MOST_BYTES, load, locate


def wrong(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, "evaluation.yaml")
    (complaint,) = caught.value.complaints
    assert complaint.way_out
    return f"{complaint.place}: {complaint.problem}"


@pytest.mark.parametrize(
    "scalar", ["12:30", "010", "on", "yes", "1.10", "1e3", "0x1F", "null", "~", "2026-03-02", "+86"]
)
def test_a_scalar_comes_through_as_typed(scalar):
    assert load(f"key: {scalar}", "f.yaml") == {"key": scalar}
    assert load(f"- {scalar}", "f.yaml") == [scalar]
    assert load(f"{scalar}: x", "f.yaml") == {scalar: "x"}


def test_an_empty_value_is_empty_text_and_an_empty_document_an_empty_mapping():
    assert load("key:", "f.yaml") == {"key": ""}
    assert load("# nothing\n", "f.yaml") == {}


def test_a_key_written_twice_is_found_with_both_lines():
    told = wrong("vendors:\n  a: 1\n  b: 2\n  a: 3\n")
    assert "line 4" in told
    assert "'a' stands here and on line 2" in told


def test_lines_are_known_by_path():
    located = locate("a: 1\nb:\n  c:\n    - x\n    - y: z\n", "f.yaml")
    assert located.place(("b", "c", "1", "y")) == "f.yaml, line 5: b.c.1.y"
    assert located.place(("b", "missing")) == "f.yaml, line 2: b.missing"
    assert located.place(()) == "f.yaml, line 1"


def test_aliases_that_multiply_are_refused_quickly():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    assert "more than" in wrong(bomb)


def test_an_alias_of_itself_is_refused():
    assert "too deep" in wrong("a: &a [*a]")


def test_deep_nesting_is_refused():
    assert "too deep" in wrong("[" * 60 + "]" * 60)
    assert "too deep" in wrong("[" * 1100 + "]" * 1100)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!mine x"])
def test_tags_are_refused(tag):
    assert "tag" in wrong(f"a: {tag}")


def test_what_is_no_yaml_is_told_with_its_line():
    assert wrong("a: 1\nb: [1\nc: 2\n").startswith("evaluation.yaml, line ")
    assert "expected a single document" in wrong("a: 1\n---\nb: 2\n")
    assert wrong("a: \x07")
    assert "undefined alias" in wrong("a: *nobody")
    assert "no plain text" in wrong("{[a]: b}") or "not plain text" in wrong("{[a]: b}")


def test_a_file_that_is_too_large_is_refused_before_it_is_read():
    assert "larger than" in wrong("# " + "x" * MOST_BYTES)


def test_a_merge_key_is_a_key_like_any_other():
    assert load("a: &x {b: 1}\nc: {<<: *x}", "f.yaml") == {"a": {"b": "1"}, "c": {"<<": {"b": "1"}}}


@given(st.text(max_size=60))
def test_any_text_is_read_or_complained_about(text):
    try:
        load(text.encode("utf-8", "replace").decode(), "f.yaml")
    except ConfigError as error:
        assert error.complaints[0].place.startswith("f.yaml, line ")
