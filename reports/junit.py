"""The gates as JUnit XML, one test case for each gate and vendor, so that any CI can show the monthly check.

A gate that fails is a failure. One that is unclear or not shown is *skipped* with its reason: it is neither a proof of
passing nor of failing, and CI systems show skipped cases without turning red. The exit code of the CLI says more.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree as xml

from harness.judge.result import GateVerdict, Result
from harness.words import Words
from reports.figures import Desk

_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def render(result: Result, words: Words) -> bytes:
    """A suite for each vendor, with the run's identity as properties."""
    desk = Desk(result, words)
    root = xml.Element("testsuites", name=fit(f"smsbench {result.run.evaluation}"))
    for party in desk.parties:
        gates = [gate for gate in result.gates if gate.vendor == party.label]
        suite = xml.SubElement(
            root,
            "testsuite",
            name=fit(party.name),
            tests=str(len(gates)),
            failures=str(sum(gate.verdict == "fail" for gate in gates)),
            skipped=str(sum(gate.verdict in ("unclear", "not_shown") for gate in gates)),
            errors="0",
            timestamp=fit(result.run.began),
        )
        properties = xml.SubElement(suite, "properties")
        for name in ("id", "mode", "evaluation_digest", "ledger_digest"):
            xml.SubElement(properties, "property", name=f"run.{name}", value=fit(getattr(result.run, name)))
        for gate in gates:
            _case(suite, desk, gate)
    xml.indent(root)
    written: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _case(suite: xml.Element, desk: Desk, gate: GateVerdict) -> None:
    case = xml.SubElement(suite, "testcase", classname=fit(gate.vendor), name=fit(gate.text))
    said = f"{desk.words.name('verdict', gate.verdict)}: {desk.note(gate.reason)}"
    if gate.verdict != "pass":
        told = xml.SubElement(case, "failure" if gate.verdict == "fail" else "skipped", message=fit(said))
        told.text = fit(" ".join(gate.evidence)) or None


def fit(text: str) -> str:
    """Text that XML can hold: what it cannot becomes U+FFFD."""
    return _UNFIT.sub("�", text)
