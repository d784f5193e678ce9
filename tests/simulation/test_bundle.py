"""An evidence bundle: the vendor sees all that is held against it, proves it by itself, and sees nothing of others."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import cli, desk
from harness.bundle import verify_bundle, write_bundle
from harness.domain import Case
from harness.errors import ConfigError
from harness.facts import CasePlanned
from harness.judge.result import Result
from harness.ledger.sqlite import SqliteLedger
from tests.simulation.history import leaks
from tests.simulation.worlds import RICH, Stage

VENDOR = "cheap"


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("bundle"), RICH, 5)
    assert stage.play() is not None
    desk.save(desk.judge_run(stage.run_folder), stage.run_folder, ("en",))
    return stage


@pytest.fixture(scope="module")
def result(stage) -> Result:
    return desk.result_of(stage.run_folder)


def bundle_of(stage: Stage, result: Result, vendor: str = VENDOR, *measures: str) -> bytes:
    ledger = SqliteLedger(stage.ledger_path, read_only=True)
    try:
        return write_bundle(ledger, result, vendor, measures)
    finally:
        ledger.release()


def cases_of(stage: Stage) -> list[Case]:
    return [fact.body.case for fact in stage.facts() if isinstance(fact.body, CasePlanned)]


@pytest.fixture(scope="module")
def raw(stage, result) -> bytes:
    return bundle_of(stage, result)


@pytest.fixture
def file(tmp_path, raw) -> Path:
    path = tmp_path / "evidence.zip"
    path.write_bytes(raw)
    return path


def test_a_bundle_verifies_in_another_directory_and_names_the_reports_own_digest(stage, result, tmp_path, capsys):
    shutil.copy(stage.run_folder / "ledger.db", tmp_path / "ledger.db")
    shutil.copy(stage.run_folder / "result.json", tmp_path / "result.json")
    assert cli.main(["evidence", VENDOR, str(tmp_path)]) == desk.FINE
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "theirs.zip"
    shutil.move(tmp_path / f"evidence.{VENDOR}.zip", moved)
    capsys.readouterr()
    assert cli.main(["verify", str(moved), "--language", "en"]) == desk.FINE
    assert result.run.ledger_digest in capsys.readouterr().out


def test_every_fact_of_the_vendors_cases_is_in_it_and_rests_on_the_very_bytes(stage, file):
    contents = verify_bundle(file)
    held = {fact["seq"] for fact in contents.facts}
    cases = {one.id for one in cases_of(stage) if one.vendor == VENDOR}
    assert {fact.seq for fact in stage.facts() if fact.case_id in cases} <= held
    assert {"send_intended", "submit_answered", "report_received", "sighting_received", "case_closed"} <= {
        fact["kind"] for fact in contents.facts
    }
    for fact in contents.facts:
        if fact["evidence"] in contents.recordings:
            assert hashlib.sha256(contents.recordings[fact["evidence"]]).hexdigest() == fact["evidence"]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_and_it_does_not_verify(tmp_path_factory, raw, place, flip):
    changed = bytearray(raw)
    changed[int(place * len(raw))] ^= flip
    path = tmp_path_factory.mktemp("forged") / "evidence.zip"
    path.write_bytes(changed)
    with pytest.raises(ConfigError) as error:
        verify_bundle(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("member", ["facts.jsonl", "chain.bin", "manifest.json", "withheld.json", "README.txt"])
def test_a_member_made_anew_does_not_verify(tmp_path, raw, member):
    """Whoever packs it again, with right check sums and all, still has to meet the ledger's digest."""
    with zipfile.ZipFile(io.BytesIO(raw)) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    match member:
        case "facts.jsonl":
            lines = members[member].splitlines(keepends=True)
            members[member] = b"".join(lines[:-1])
        case "chain.bin":
            members[member] = members[member][:-32] + b"\0" * 32
        case "manifest.json":
            plain = json.loads(members[member])
            members[member] = json.dumps({**plain, "facts": plain["facts"] - 1}).encode()
        case "withheld.json":
            members[member] = json.dumps({"0" * 64: "x"}).encode()
        case _:
            members[member] += b"!"
    path = tmp_path / "evidence.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, body in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            new.writestr(info, body)
    with pytest.raises(ConfigError, match=r"changed|missing|facts"):
        verify_bundle(path)


def test_no_number_no_secret_and_no_other_vendor_is_in_it(stage, raw):
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    assert leaks(members, numbers=stage.numbers, secrets=stage.secrets) == []
    other = {case.id for case in cases_of(stage) if case.vendor != VENDOR}
    tokens = {draft.token for case in cases_of(stage) if case.vendor != VENDOR for draft in case.drafts}
    words = b"\n".join(body for name, body in members.items() if name not in ("chain.bin", "README.txt"))
    assert not [case for case in other if f'"{case}"'.encode() in words]
    # Six digits may come about by chance; six letters and digits hardly.
    assert not [token for token in tokens if not token.isdigit() and token.encode() in words]
    accounts = {case.vendor for case in cases_of(stage)} - {VENDOR}
    assert accounts
    for account in accounts:
        assert f"/push/{account}".encode() not in words
        assert f'"vendor":"{account}"'.encode() not in words


def test_a_bundle_on_one_measure_holds_the_cases_its_findings_name_and_no_more(stage, result, raw):
    measure = "false_receipt.rate"
    named = {case for one in result.findings if (one.vendor, one.measure) == (VENDOR, measure) for case in one.evidence}
    small = bundle_of(stage, result, VENDOR, measure)
    with zipfile.ZipFile(io.BytesIO(small)) as file:
        held = {json.loads(line)["case_id"] for line in file.read("facts.jsonl").splitlines()} - {None}
        told = json.loads(file.read("findings.json"))
    assert held == named
    assert {one["measure"] for one in told["findings"]} == {measure}
    assert len(small) < len(raw)


def test_the_same_ledger_gives_the_same_bundle_byte_for_byte(stage, result, raw):
    assert bundle_of(stage, result) == raw


def test_a_vendor_or_measure_that_is_not_there_is_named_with_what_is(stage, result):
    with pytest.raises(ConfigError, match="cheap"):
        bundle_of(stage, result, "nobody")
    with pytest.raises(ConfigError, match="no measure"):
        bundle_of(stage, result, VENDOR, "nothing.rate")


def test_a_result_that_rests_on_another_ledger_gives_no_bundle(stage, result):
    with pytest.raises(ConfigError, match="Score the run again"):
        bundle_of(stage, replace(result, run=replace(result.run, ledger_digest="0" * 64)))


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"no zip at all", b"\x00" * 1000])
def test_what_is_no_bundle_is_told_and_ends_with_2(tmp_path, body, capsys):
    path = tmp_path / "evidence.zip"
    path.write_bytes(body)
    assert cli.main(["verify", str(path)]) == desk.CHANGE_SOMETHING
    assert "no evidence bundle" in capsys.readouterr().err
