"""A new vendor's skeleton: it is written once, is sound Python and YAML, and is not done before somebody did it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from tests.vendors.newcomer import HOUSE, PLACES, skeleton
from tests.vendors.samples import IDS


def test_a_skeleton_is_sound_and_says_what_is_to_be_done(tmp_path: Path) -> None:
    written = skeleton("novel", tmp_path)
    assert len(written) == len(PLACES)
    for place in written:
        text = place.read_text(encoding="utf-8")
        assert "acme" not in text.lower()
        ast.parse(text) if place.suffix == ".py" else yaml.safe_load(text)
    to_do = [place.name for place in written if "TO DO" in place.read_text(encoding="utf-8")]
    assert {"submit.yaml", "push_reports.yaml"} <= set(to_do)


@pytest.mark.parametrize("id", ["Acme", "../x", "a-b", "reading", "carrier", "", "x" * 40])
def test_what_cannot_be_a_vendor_gets_no_skeleton(tmp_path: Path, id: str) -> None:
    with pytest.raises(ValueError, match="is no vendor id"):
        skeleton(id, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    first = skeleton("novel", tmp_path)[0]
    first.write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="there already"):
        skeleton("novel", tmp_path)
    assert first.read_text(encoding="utf-8") == "mine"


def test_no_vendor_has_anything_left_of_its_skeleton() -> None:
    for vendor in IDS:
        for place in PLACES.values():
            path = HOUSE / place.format(id=vendor)
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            left = [f"{path.relative_to(HOUSE)}: {line.strip()}" for line in lines if "TO DO" in line]
            assert not left, "\n".join(left)
