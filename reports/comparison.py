"""A comparison as JUnit XML: a suite for each vendor, a case for each primary line and for each that regressed.

Regressed is a failure. Inconclusive is *skipped* with what it would take to tell: neither a proof of the one nor of
the other, and CI systems show skipped cases without turning red.
"""

from __future__ import annotations

from xml.etree import ElementTree as xml

from harness.judge.compare import Comparison, Line
from harness.judge.result import Result
from harness.words import Words
from reports.junit import fit
from reports.months import Teller


def render(result: Result, words: Words, *, comparison: Comparison) -> bytes:
    """The XML, UTF-8."""
    teller = Teller(words, {label: info.name for label, info in result.vendors.items()}, result.measures)
    root = xml.Element("testsuites", name=fit(f"smsbench {result.run.evaluation}: month against month"))
    for vendor in comparison.vendors:
        lines = [one for one in comparison.lines if one.vendor == vendor.vendor]
        lines = [one for one in lines if one.family == "primary" or one.verdict == "regressed"]
        drifts = [one for one in comparison.drifts if one.vendor == vendor.vendor]
        refused = vendor.verdict == "not_comparable"
        suite = xml.SubElement(
            root,
            "testsuite",
            name=fit(teller.name(vendor.vendor)),
            tests=str(len(lines) + len(drifts) + refused),
            failures=str(sum(one.verdict == "regressed" for one in lines) + sum(one.alarm for one in drifts)),
            skipped=str(sum(one.verdict == "inconclusive" for one in lines) + refused),
            errors="0",
            timestamp=fit(result.run.began),
        )
        if refused:
            case = xml.SubElement(suite, "testcase", classname=fit(vendor.vendor), name="comparable")
            xml.SubElement(case, "skipped", message=fit(teller.note(vendor.summary)))
        for line in lines:
            _case(suite, teller, line)
        for drift in drifts:
            case = xml.SubElement(
                suite, "testcase", classname=fit(vendor.vendor), name=fit(f"drift {' '.join(drift.slice.values())}")
            )
            if drift.alarm:
                told = words("compare.drift_told", statistic=drift.statistic, threshold=drift.threshold, n=drift.months)
                xml.SubElement(case, "failure", message=fit(told))
    xml.indent(root)
    written: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _case(suite: xml.Element, teller: Teller, line: Line) -> None:
    name = " ".join([line.measure, *line.slice.values(), f"({line.against})"])
    case = xml.SubElement(suite, "testcase", classname=fit(line.vendor), name=fit(name))
    if line.verdict == "regressed":
        xml.SubElement(case, "failure", message=fit(teller.sentence(line)))
    elif line.verdict == "inconclusive":
        xml.SubElement(case, "skipped", message=fit(teller.note(line.note)))
