"""The keyhole: built-in parts by name, outside packages by entry point, broken ones told by name."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from harness import registry
from harness.capabilities import Account, Capability, Manifest, Tools, capabilities_of
from harness.config import SCENARIOS
from harness.domain import Accepted, Message, Secret
from harness.errors import ConfigError
from harness.flow import play
from tests.harness.given import NOW, draft, recipient

PLUGIN = Path(__file__).resolve().parent.parent / "plugin"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The little package, as if installed: its path is known, and its own metadata announces it."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = EntryPoints(
        EntryPoint(name, value, group)
        for group, named in project["entry-points"].items()
        for name, value in named.items()
    )
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))
    yield
    for name in [name for name in sys.modules if name.startswith("acme_sms")]:
        del sys.modules[name]


def test_every_adapter_of_the_folder_is_there_under_its_own_id():
    manifests = registry.vendor_manifests()
    assert {"alibaba", "tencent", "yunpian"} <= manifests.keys()
    for name, manifest in manifests.items():
        assert isinstance(manifest, Manifest), f"{name} is broken: {manifest}"
        assert manifest.id == name
        assert registry.vendor_class(name).manifest is manifest


def test_what_is_no_adapter_is_not_offered_as_one():
    assert not {"signing", "reading", "carrier_codes", "sandbox"} & registry.vendor_manifests().keys()
    with pytest.raises(ConfigError, match="has no manifest"):
        registry.vendor_class("signing")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_that_an_evaluation_may_name_is_there(name):
    scenario = registry.scenario(name)
    assert scenario.id == name
    assert scenario.needs <= frozenset(Capability)


def test_a_misspelt_adapter_is_told_with_its_near_one():
    with pytest.raises(ConfigError, match="Did you mean alibaba"):
        registry.vendor_class("alibabba")


@pytest.mark.parametrize("name", ["../vendors/alibaba", "alibaba.Vendor", "os", "", "sandbox.world", "__init__"])
def test_a_name_never_reaches_beyond_its_folder(name):
    for load in (registry.vendor_class, registry.scenario, registry.renderer):
        with pytest.raises(ConfigError):
            load(name)


def test_a_misspelt_scenario_or_renderer_is_told():
    with pytest.raises(ConfigError, match="there is no 'delivry' in scenarios"):
        registry.scenario("delivry")
    with pytest.raises(ConfigError, match="Use html"):
        registry.renderer("docx")


@pytest.mark.usefixtures("plugin")
def test_a_vendor_from_outside_is_found_and_speaks():
    kind = registry.vendor_class("acme")
    assert registry.vendor_manifests()["acme"] is kind.manifest
    vendor = kind(
        Account(label="acme-main", credentials={"key": Secret("k")}), Tools(now=lambda: NOW, nonce=lambda: "0" * 32)
    )
    assert capabilities_of(vendor) == {Capability.SUBMITS}
    one = draft()
    fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
    assert play(vendor.submit(Message(to=recipient(), **fields))).answer(200, {"id": 7}).outcome == Accepted(
        vendor_message_id="7"
    )
    assert registry.vendor_module("acme").__name__ == "acme_sms.vendor"


@pytest.mark.usefixtures("plugin")
def test_a_scenario_and_a_renderer_from_outside_are_found():
    assert registry.scenario("greeting").id == "greeting"
    assert registry.renderer("plain")(None, None) == b"plain"


@pytest.mark.usefixtures("plugin")
def test_a_broken_plug_in_is_told_by_name_and_hides_nobody_else():
    manifests = registry.vendor_manifests()
    assert manifests["broken"] == registry.Broken("broken", "RuntimeError: needs the moon in the seventh house")
    assert isinstance(manifests["alibaba"], Manifest)


@pytest.mark.usefixtures("plugin")
def test_a_broken_plug_in_stops_only_who_uses_it():
    with pytest.raises(ConfigError, match="use: broken\n  needs the moon in the seventh house"):
        registry.vendor_class("broken")
    assert registry.vendor_class("alibaba")


@pytest.mark.usefixtures("plugin")
def test_an_entry_point_to_nothing_is_told_too(monkeypatch):
    point = EntryPoint("ghost", "acme_sms.vendor:Ghost", "sms_harness.vendors")
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    assert "Ghost" in registry.vendor_manifests()["ghost"].error


def test_the_files_that_ship_can_be_read():
    assert "vendors:" in registry.starter_file("evaluation.yaml")
    assert "world:" in registry.sandbox_file("demo.yaml")
    assert registry.sandbox("world").World
