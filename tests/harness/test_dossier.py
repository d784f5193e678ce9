"""Papers that people checked."""

from __future__ import annotations

from datetime import date

import pytest

from harness.dossier import Attestation, DocumentKind, read_dossier
from harness.errors import ConfigError
from harness.plain_yaml import locate

DIGEST = "ab" * 32
WHOLE = f"""\
ali:
  licence:
    number: B2-20200000
    holder: 示例公司
    valid_until: 2027-06-30
    checked_by: 采购部
    checked_on: 2026-02-24
    file_digest: {DIGEST}
  contract_retention: {{values: {{days: 200}}}}
"""


def read(text: str) -> tuple[Attestation, ...]:
    return read_dossier(locate(text, "dossier.yaml"), frozenset({"ali", "yun"}))


def wrong(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert all(complaint.way_out for complaint in caught.value.complaints)
    return [f"{one.place}: {one.problem}" for one in caught.value.complaints]


def test_a_paper_is_read_as_written():
    licence, contract = read(WHOLE)
    assert (licence.vendor, licence.kind, licence.number) == ("ali", DocumentKind.LICENCE, "B2-20200000")
    assert licence.valid_until == date(2027, 6, 30)
    assert contract.values == {"days": "200"}


def test_a_paper_is_valid_to_the_end_of_its_last_day():
    licence, _ = read(WHOLE)
    assert licence.verdict(date(2027, 6, 30)) == "valid"
    assert licence.verdict(date(2027, 7, 1)) == "expired"


@pytest.mark.parametrize("field", ["checked_by", "checked_on", "file_digest"])
def test_a_paper_that_nobody_answers_for_does_not_count(field):
    text = "\n".join(line for line in WHOLE.splitlines() if f"{field}:" not in line)
    licence, _ = read(text)
    assert licence.verdict(date(2026, 3, 1)) == "not_counted"


@pytest.mark.parametrize("digest", ["ab" * 31, "AB" * 32, "zz" * 32, DIGEST + "\\n"])
def test_half_a_digest_is_none(digest):
    licence, _ = read(WHOLE.replace(DIGEST, f'"{digest}"'))
    assert not licence.counts


def test_everything_that_is_wrong_is_told_at_once():
    told = wrong(
        "nobody: {licence: {}}\n"
        "ali:\n"
        "  passport: {number: 1}\n"
        "  licence: {nummer: 1}\n"
        "  iso27001: {valid_until: tomorrow}\n"
        "  djbh: {values: [3]}\n"
        "  code_certificate: x\n"
        "yun: none\n"
    )
    assert [one.partition(":")[0] for one in told] == [f"dossier.yaml, line {n}" for n in (1, 3, 4, 5, 6, 7, 8)]
    assert "nobody" in told[0]
    assert "unknown field 'nummer'" in told[2]


def test_a_list_is_no_dossier():
    assert "got a list" in wrong("- licence\n")[0]


def test_an_empty_dossier_holds_no_papers():
    assert read("") == ()
    assert read("ali:\n") == ()
