"""What holds for every vendor that holds a session. Found by scanning `vendors/`, as for those that speak HTTP."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import vendors
from harness.capabilities import (
    Account,
    Capability,
    HoldsSession,
    Mapped,
    NotOffered,
    NotYetWritten,
    Submits,
    Tools,
    capabilities_of,
)
from harness.domain import Reason, Secret
from harness.errors import VendorTrouble
from tests.vendors import samples
from tests.vendors.carrier.links import NOON
from vendors.carrier.reports import CarrierReport
from vendors.carrier.short_text import Alphabet

MODULES = {
    path.stem: module
    for path in sorted(Path(vendors.__path__[0]).glob("*.py"))
    if hasattr(getattr(module := importlib.import_module(f"vendors.{path.stem}"), "Vendor", None), "links")
}
SECRET = "Not-2-b-seen"
each_vendor = pytest.mark.parametrize("vendor", MODULES)


def account_of(vendor: str, **options: str) -> Account:
    told = yaml.safe_load((samples.FIXTURES / vendor / "account.yaml").read_text(encoding="utf-8"))
    manifest = MODULES[vendor].Vendor.manifest
    secret = {one.name for one in manifest.credentials if one.secret}
    return Account(
        label=told["label"],
        credentials={name: Secret(SECRET) if name in secret else value for name, value in told["credentials"].items()},
        endpoint=told["endpoint"],
        signature=told["signature"],
        options={**manifest.options, **told["options"], **options},
    )


def make(vendor: str, **options: str) -> Any:
    return MODULES[vendor].Vendor(account_of(vendor, **options), Tools(now=lambda: NOON, nonce=lambda: "0" * 32))


def test_all_four_protocols_are_there():
    assert set(MODULES) == {"cmpp", "smpp", "sgip", "smgp"}


@each_vendor
def test_it_submits_by_holding_a_session_and_says_why_it_does_nothing_else(vendor):
    subject = make(vendor)
    assert isinstance(subject, HoldsSession) and not isinstance(subject, Submits)
    present, absent = capabilities_of(subject), subject.manifest.absent
    assert present == {Capability.SUBMITS} and present | absent.keys() == set(Capability)
    assert not present & absent.keys()
    assert all(isinstance(why, NotOffered | NotYetWritten) and len(why.because) > 10 for why in absent.values())


@each_vendor
def test_the_manifest_is_whole(vendor):
    manifest = make(vendor).manifest
    assert manifest.id == vendor and manifest.name.keys() >= {"zh-CN", "en"} and manifest.documents
    assert manifest.endpoint is None and {"host", "port", "source", "window"} <= manifest.options.keys()
    assert any(one.secret for one in manifest.credentials)
    for table in (MODULES[vendor].REASONS, MODULES[vendor].REPORT_REASONS):
        assert all(isinstance(line, Mapped) and line.reason in Reason for line in table.values())


@each_vendor
def test_one_of_its_links_sends_and_each_connection_gets_a_machine_of_its_own(vendor):
    plans = make(vendor).links()
    assert [plan.sends for plan in plans].count(True) == 1
    for plan in plans:
        assert plan.open() is not plan.open()
        link = plan.open()
        link.begin(0.0)
        assert bool(link.bytes_to_send()) is not plan.listens, "who dials says hello"


@each_vendor
def test_no_secret_is_in_what_it_shows_of_itself(vendor):
    subject = make(vendor)
    shown = [repr(subject), repr(subject.manifest), repr(vars(subject)), repr(subject.links())]
    assert not any(SECRET in one for one in shown)


WRONG = {
    "host": {"host": ""},
    "port": {"port": "70000"},
    "window": {"window": "many"},
    "answer_seconds": {"answer_seconds": "0"},
}


@each_vendor
@pytest.mark.parametrize("option", WRONG)
def test_an_option_that_cannot_be_is_named(vendor, option):
    subject = make(vendor, **WRONG[option])
    if option == "host":
        account = replace(account_of(vendor), endpoint=None)
        subject = MODULES[vendor].Vendor(account, Tools(now=lambda: NOON, nonce=lambda: "0" * 32))
    with pytest.raises(ValueError, match=option):
        subject.links()


@pytest.mark.parametrize(
    "vendor, option", [("cmpp", "version"), ("cmpp", "digest"), ("smpp", "tls"), ("smpp", "default_alphabet")]
)
def test_a_word_that_is_none_of_a_few_is_named_with_them(vendor, option):
    with pytest.raises(ValueError, match=f"options.{option} is 'x': write one of"):
        make(vendor, **{option: "x"}).links()


@each_vendor
def test_an_account_too_long_for_the_login_is_told_without_its_secret(vendor):
    account = account_of(vendor)
    longer = replace(account, credentials={**account.credentials, "account": "x" * 80})
    subject = MODULES[vendor].Vendor(longer, Tools(now=lambda: NOON, nonce=lambda: "0" * 32))
    with pytest.raises(ValueError, match="at most") as told:
        subject.links()
    assert SECRET not in str(told.value) and SECRET.encode().hex() not in str(told.value)


@each_vendor
def test_a_short_text_is_one_part_and_a_long_one_as_many_as_it_needs(vendor):
    subject = make(vendor)
    assert len(subject.parts(samples.message({"text": "【某某科技】您的验证码是1234"}))) == 1
    parts = subject.parts(samples.message({"text": "【某某科技】" + "好" * 664}))
    assert len(parts) == 10 and {one.part.alphabet for one in parts} == {Alphabet.UCS2}
    plain = subject.parts(samples.message({"text": "Your code is 1234"}))
    assert len(plain) == 1 and plain[0].part.alphabet in (Alphabet.ASCII, Alphabet.GSM7)
    with pytest.raises(VendorTrouble) as told:
        subject.parts(samples.message({"text": "好" * 20_000}))
    assert not told.value.written


@pytest.mark.parametrize("vendor, number", [("cmpp", "13800001234"), ("smgp", "13800001234")])
def test_the_home_protocols_take_eleven_digits(vendor, number):
    (part,) = make(vendor).parts(samples.message())
    assert part.number == number and number not in repr(part)


@pytest.mark.parametrize("vendor", ["sgip", "smpp"])
def test_the_others_take_the_country_code_without_a_plus(vendor):
    (part,) = make(vendor).parts(samples.message())
    assert part.number == "8613800001234"


def test_an_smpp_report_names_the_other_spellings_of_its_id():
    report = make("smpp")._desk.report(CarrierReport(message_id=b"0005898241", stat="DELIVRD", number="8613800001234"))
    assert report.vendor_message_id == "0005898241" and "5a0001" in report.also
    assert make("cmpp")._desk.report(CarrierReport(message_id=b"12345678", stat="DELIVRD")).also == ()


def test_an_sgip_sequence_tells_when_it_was_made():
    desk = make("sgip")._desk
    key = (3010012345).to_bytes(4, "big") + (302120000).to_bytes(4, "big") + (7).to_bytes(4, "big")
    assert desk.report(CarrierReport(message_id=key, stat="0")).submitted_at == NOON
    assert desk.report(CarrierReport(message_id=bytes(12), stat="0")).submitted_at is None
