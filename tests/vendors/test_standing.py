"""What an adapter claims of itself is checked: a standing needs what it stands for."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from harness.capabilities import Standing
from tests.vendors.samples import FIXTURES, IDS, MODULES


@pytest.mark.parametrize("vendor", IDS)
def test_a_standing_has_its_proof(vendor):
    standing = MODULES[vendor].Vendor.manifest.standing
    assert MODULES[vendor].REASONS, "documented: a code table"
    if standing is not Standing.DOCUMENTED:
        assert find_spec(f"vendors.sandbox.{vendor}") is not None, "sandboxed: a counterpart to talk with"
        assert (FIXTURES / vendor / "submit.yaml").is_file(), "sandboxed: known answers"
    if standing in (Standing.RECORDED, Standing.VERIFIED):
        assert (FIXTURES / vendor / "recordings").is_dir(), "recorded: redacted exchanges with the real vendor"
    if standing is Standing.VERIFIED:  # date, document revision and result digest of a live run
        assert (FIXTURES / vendor / "live.yaml").is_file(), (
            "verified: date, document revision and result digest of a live run"
        )
