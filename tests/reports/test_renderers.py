"""Every clothing of every result document: whole, honest about what is not known, and safe to open."""

from __future__ import annotations

import csv as spreadsheet
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import jsonschema
import pytest

from harness.domain import Carrier, Scope, State
from harness.judge import compare
from harness.judge.result import Finding, Note, Result, VendorInfo, dump, json_schema, parse
from harness.words import LANGUAGES, Words
from reports import appendix, charts, csv, figures, html, junit, panels, schema_file, scorecard
from reports.figures import Desk
from tests.reports.sample import APEX, BEACON, QINGLUAN, VENDORS, WANLI, sample, wilson
from tests.reports.sample_months import history_in

RESULTS = sorted((Path(__file__).parent / "results").glob("*.json"))
SAMPLE = sample()
MOST_BYTES = 400_000  # for four vendors
ACTIVE = {"script", "iframe", "object", "embed", "img", "link", "base", "form"}
FORBIDDEN = re.compile(r"\b(None|nan|NaN|undefined|Undefined)\b")


def documents() -> list[Any]:
    kept = [pytest.param(path, id=path.stem) for path in RESULTS]
    return [pytest.param(None, id="sample"), *kept]


def read(path: Path | None) -> Result:
    return SAMPLE if path is None else parse(path.read_bytes(), path.name)


def clothings(result: Result, words: Words) -> dict[str, str]:
    made = {
        "html": html.render(result, words).decode(),
        "junit": junit.render(result, words).decode(),
        "csv": csv.render(result, words).decode("utf-8-sig"),
    }
    for card in result.scorecards:
        made[f"scorecard {card.vendor}"] = scorecard.render(result, words, vendor=card.vendor).decode()
    return made


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attributes)))
        self.links += [value or "" for name, value in attributes if name in ("href", "src", "xlink:href", "action")]
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open[-1:]):
            self.text.append(data)

    @property
    def told(self) -> str:
        return " ".join(" ".join(self.text).split())


# --- whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", documents())
def test_no_clothing_of_any_result_speaks_of_none(path, language):
    for kind, text in clothings(read(path), Words(language)).items():
        found = FORBIDDEN.search(text)
        assert not found, f"{kind}: …{text[max(0, found.start() - 80) : found.end() + 40]}…"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", documents())
def test_a_page_asks_nothing_of_the_network_and_runs_nothing(path, language):
    for kind, text in clothings(read(path), Words(language)).items():
        if kind in ("csv", "junit"):
            continue
        page = Page(text)
        assert "default-src 'none'; style-src 'unsafe-inline'" in text
        assert not {"script", "iframe", "object", "embed", "img", "link", "base", "form"} & {
            tag for tag, _ in page.elements
        }
        assert all(link.startswith("#") for link in page.links)
        assert "@import" not in text and set(re.findall(r"url\(([^)]*)\)", text)) <= {"#hatch"}


def test_the_document_survives_its_own_writing():
    again = parse(dump(SAMPLE))
    assert html.render(again, Words("en")) == html.render(SAMPLE, Words("en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_four_vendors_fit_in_four_hundred_kilobytes(language):
    assert len(html.render(SAMPLE, Words(language))) < MOST_BYTES


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_says_things_in_the_agreed_order(language):
    page = html.render(SAMPLE, Words(language)).decode()
    marks = ["banner", "verdict", "scores", "gates", *(f"c-{c.id}" for c in SAMPLE.criteria), "missing", "codes"]
    marks += ["documents", "method", "evidence", "warnings", "glossary"]
    places = [page.index('class="banner"'), *(page.index(f'<section id="{mark}"') for mark in marks[1:])]
    assert places == sorted(places)


def test_a_live_run_carries_no_sandbox_banner():
    live = replace(SAMPLE, run=replace(SAMPLE.run, mode="live"))
    assert 'class="banner"' in html.render(SAMPLE, Words("en")).decode()
    assert 'class="banner"' not in html.render(live, Words("en")).decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_result_of_nothing_can_be_drawn(language):
    bare = replace(
        SAMPLE, findings=(), criteria=(), scorecards=(), gates=(), flips=(), funnels=(), curves=(), series=(),
        outages=(), reviews=(), codes=(), documents=(), skipped=(), warnings=(), method={}, panel={},
    )  # fmt: skip
    for text in clothings(bare, Words(language)).values():
        assert not FORBIDDEN.search(text)


def test_a_run_that_has_not_ended_and_a_vendor_without_a_scorecard_can_be_drawn():
    half = replace(SAMPLE, run=replace(SAMPLE.run, ended=None), scorecards=SAMPLE.scorecards[:2])
    page = Page(html.render(half, Words("en")).decode()).told
    assert "not ended" in page and "Wanlitong" in page


# --- honest ----------------------------------------------------------------------------------------------------------


def test_every_value_stands_with_its_interval_and_its_n():
    desk = Desk(SAMPLE, Words("en"))
    finding = desk.finding(APEX, "arrival.rate", {"carrier": "china_mobile"})
    figure = desk.figure(finding, (0.9, 1.0))
    assert figure is not None and finding is not None and finding.estimate is not None
    assert figure.value == "99.4 %" and figure.interval == "96.6–99.9 %"
    assert figure.basis == "n 420 · effective n 162 · 10 handsets · 7 d · any handset, long run"
    page = Page(html.render(SAMPLE, Words("en")).decode()).told
    assert f"{figure.value} {figure.interval} {figure.basis}" in page


def test_missing_evidence_is_hatched_and_never_a_zero():
    view = html.View(Desk(SAMPLE, Words("en")))
    mark = next(m for c in SAMPLE.scorecards if c.vendor == QINGLUAN for m in c.marks if m.criterion == "review")
    cell = view.mark_of(QINGLUAN, mark)
    assert cell.score == "" and cell.band == "band 0–100"
    assert 'class="unknown"' in cell.picture and "#m" not in cell.picture  # no vendor's marker anywhere on the ruler


def test_a_finding_without_a_number_shows_its_state_and_its_reason():
    figure = Desk(SAMPLE, Words("en")).figure(
        Finding(
            vendor=WANLI,
            measure="arrival.rate",
            slice={},
            state=State.INSUFFICIENT,
            reason=Note(id="reason.no_messages"),
        ),
        (0.0, 1.0),
    )
    assert figure is not None and not figure.known
    assert (figure.value, figure.reason, figure.interval) == ("insufficient evidence", "no messages to go by", "")
    assert figure.picture is not None and "unknown" in figure.picture and "<use" not in figure.picture


def test_a_percentile_that_was_not_reached_is_told_and_drawn_open_to_the_right():
    page = Page(html.render(SAMPLE, Words("en")).decode()).told
    assert "not reached 48 s – not reached" in page
    picture = charts.interval(charts.Bar(None, 48.0, None), 0, 0, 60)
    assert "arrow" in picture and "<use" not in picture


def test_an_excluded_vendor_is_shown_and_said_to_be_out():
    page = Page(html.render(SAMPLE, Words("en")).decode()).told
    assert "Not recommended: Beacon." in page
    assert "Beacon is not recommended" in page


def test_vendors_that_cannot_be_told_apart_are_not_ranked_by_a_decimal():
    page = Page(html.render(SAMPLE, Words("en")).decode()).told
    assert "Group 1: Apex SMS, Qingluan, which the evidence cannot tell apart." in page
    assert "No change of weights puts Wanlitong before Apex SMS." in page


def test_what_was_not_measured_is_listed_with_its_reason():
    table = appendix.Appendix(Desk(SAMPLE, Words("en"))).missing()
    assert table is not None
    told = [[cell if isinstance(cell, str) else cell.name for cell in row] for row in table.rows]
    assert ["Beacon", "not offered", "the vendor has no pushes", "pushes authenticated"] in told


def test_codes_that_no_table_knows_are_shown_as_they_came():
    page = Page(html.render(SAMPLE, Words("zh-CN")).decode()).told
    assert "E-SIGN-77 未收录的代码" in page


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("arrival.rate >= 0.97", "arrival rate ≥ 97.0 %"),
        ("arrival.rate[carrier=china_mobile] >= 95%", "arrival rate (China Mobile) ≥ 95 %"),
        ("latency.p99 <= 60 s", "arrival time, p99 ≤ 1 min"),
        ("retention.contract >= 150 days", "days promised by contract ≥ 150 d"),
        ("compare(arrival.rate) > -0.02", "change of arrival rate since the baseline > -0.02"),
        ("licence.attested >= 1", "licence valid"),
        ("licence", "valid value-added telecom licence"),
        ("what a plug-in wrote", "what a plug-in wrote"),
    ],
)
def test_a_gate_is_told_in_words(text, title):
    assert figures.gate_title(Desk(SAMPLE, Words("en")), text) == title


def test_two_accounts_of_one_vendor_are_told_apart_by_their_labels():
    info = SAMPLE.vendors[APEX]
    twins = replace(SAMPLE, vendors={**SAMPLE.vendors, QINGLUAN: info})
    names = [party.name for party in Desk(twins, Words("en")).parties]
    assert names[:2] == ["Apex SMS (apex)", "Apex SMS (qingluan)"]


def test_a_scorecard_of_a_vendor_that_is_not_there_says_so():
    with pytest.raises(KeyError, match="nobody"):
        scorecard.render(SAMPLE, Words("en"), vendor="nobody")


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_scorecard_names_marks_gates_papers_and_what_is_unknown(vendor):
    page = Page(scorecard.render(SAMPLE, Words("en"), vendor=vendor).decode()).told
    for title in ("Marks", "Gates", "By carrier", "Strengths", "Weaknesses", "Attested", "Unknown", "adapter:"):
        assert title in page


# --- safe ------------------------------------------------------------------------------------------------------------

HOSTILE = (
    "</script><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    '" onmouseover="alert(1)" x="',
    "' onload='alert(1)",
    "javascript:alert(1)",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "]]><a href='javascript:alert(1)'>x</a>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;\x00\x0b",
)


def poisoned(result: Result, text: str) -> Result:
    """The same document with a hostile text in every place where a vendor or a person writes one."""
    vendors = {
        label: VendorInfo(
            adapter=text, name={"zh-CN": f"{text}{label}", "en": f"{text}{label}"}, standing=text,
            capabilities=info.capabilities, absent={text: {"kind": text, "because": text}}, price=info.price,
        )
        for label, info in result.vendors.items()
    }  # fmt: skip
    note = Note(id=text, values={"x": text})
    return replace(
        result,
        run=replace(result.run, evaluation=text, id=text, software=text, because=text),
        vendors=vendors,
        codes=tuple(replace(code, code=text, reason=text) for code in result.codes),
        reviews=tuple(replace(one, reason=text, case=text) for one in result.reviews),
        documents=tuple(
            replace(paper, holder=text, number=text, checked_by=text, scope=text, reason=note)
            for paper in result.documents
        ),
        gates=tuple(replace(gate, text=f"{text}{gate.id}", reason=note) for gate in result.gates),
        warnings=(note,) * len(result.warnings),
        scorecards=tuple(replace(c, verdict=note, strengths=(note,), weaknesses=(note,)) for c in result.scorecards),
        method={text: text},
        panel={text: 1},
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_changes_no_element_of_a_page(text):
    words = Words("en")
    hostile, harmless = poisoned(SAMPLE, text), poisoned(SAMPLE, "Harmless text ")
    for kind in ("html", f"scorecard {APEX}"):
        dangerous = Page(clothings(hostile, words)[kind])
        assert dangerous.elements == Page(clothings(harmless, words)[kind]).elements
        assert all(link.startswith("#") for link in dangerous.links)
        assert not [name for _, names in dangerous.elements for name in names if name.startswith("on")]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_leaves_junit_well_formed(text):
    tree = xml.fromstring(junit.render(poisoned(SAMPLE, text), Words("en")))
    assert len(tree.findall(".//testcase")) == len(SAMPLE.gates)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\u3000@"])
def test_no_text_in_the_csv_can_be_taken_for_a_formula(start):
    text = f"{start}HYPERLINK(1)"
    hostile = replace(
        poisoned(SAMPLE, text),
        findings=tuple(replace(f, reason=Note(id=text), evidence=(text,)) for f in SAMPLE.findings),
    )
    rows = list(spreadsheet.DictReader(io.StringIO(csv.render(hostile, Words("en")).decode("utf-8-sig"), newline="")))
    assert len(rows) == len(SAMPLE.findings)
    for row in rows:
        assert row["vendor_name"].startswith("'") and row["reason"].startswith("'") and row["evidence"].startswith("'")


def test_numbers_in_the_csv_stay_numbers_and_what_is_unknown_stays_empty():
    raw = csv.render(SAMPLE, Words("zh-CN"))
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(spreadsheet.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    for row, finding in zip(rows, SAMPLE.findings, strict=True):
        estimate = finding.estimate
        assert row["state"] == finding.state.value
        assert (row["value"] == "") == (estimate is None or estimate.value is None)
        if estimate is not None and estimate.value is not None:
            assert float(row["value"]) == estimate.value and int(row["n"]) == estimate.n
    assert csv.defused(-0.5) == -0.5


# --- gates for CI ----------------------------------------------------------------------------------------------------


def test_junit_has_a_case_for_each_gate_and_vendor_and_red_only_for_a_fail():
    tree = xml.fromstring(junit.render(SAMPLE, Words("en")))
    assert len(tree.findall(".//testcase")) == len(SAMPLE.gates)
    assert len(tree.findall(".//failure")) == sum(gate.verdict == "fail" for gate in SAMPLE.gates) == 3
    assert (
        len(tree.findall(".//skipped")) == sum(gate.verdict in ("unclear", "not_shown") for gate in SAMPLE.gates) == 4
    )
    failure = tree.find(f".//testcase[@classname='{BEACON}']/failure")
    assert failure is not None and failure.get("message") == "fail: the whole interval is on the wrong side"


# --- schema ----------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_the_code_s_own():
    anew = "write it anew with `python -m reports.schema_file`"
    assert schema_file.PATH.read_bytes() == json_schema(), anew
    assert schema_file.COMPARISON_PATH.read_bytes() == compare.json_schema(), anew


def test_a_comparison_fits_its_published_schema(tmp_path):
    _, month = history_in(tmp_path)
    schema = json.loads(schema_file.COMPARISON_PATH.read_bytes())
    jsonschema.Draft202012Validator(schema).validate(json.loads(compare.dump(month.comparison)))


@pytest.mark.parametrize("path", documents())
def test_every_result_fits_the_published_schema(path):
    plain = json.loads(dump(SAMPLE) if path is None else path.read_bytes())
    jsonschema.Draft202012Validator(json.loads(schema_file.PATH.read_bytes())).validate(plain)


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lows", "highs", "ends"),
    [
        ([0.96], [0.99], (0.95, 1.0)), ([0.93], [0.99], (0.9, 1.0)), ([0.6], [0.9], (0.5, 1.0)),
        ([0.0], [0.04], (0.0, 0.05)), ([0.0], [0.9], (0.0, 1.0)), ([], [], (0.0, 1.0)),
    ],
)  # fmt: skip
def test_an_axis_has_round_ends_that_hold_all_it_shows(lows, highs, ends):
    assert charts.share_ends(lows, highs) == ends


def test_an_interval_beyond_its_axis_runs_out_with_an_arrow_and_stays_inside_the_picture():
    picture = charts.interval(charts.Bar(0.99, 0.2, 1.0), 0, 0.9, 1.0)
    assert "arrow" in picture
    assert all(0 <= float(x) <= charts.BAR for x in re.findall(r' x="([-\d.]+)"', picture))


def test_a_curve_of_a_thousand_steps_stays_small():
    points = [(1 + i / 10, i / 1000) for i in range(1000)]
    ticks = charts.ticks((1.0, 600.0), str)
    picture = charts.curves([(0, points, 600.0)], ticks, charts.ticks((0.0, 1.0), str), [], "curve")
    assert len(picture) < 6000


def test_an_hour_with_too_few_messages_is_hatched_and_one_without_any_is_empty():
    ticks = charts.ticks((9, 12), str)
    assert 'class="unknown"' in charts.strip(["03-02"], {(0, 9): None}, [], ticks, "strip")
    assert "<path" not in charts.strip(["03-02"], {}, [], ticks, "strip")


def test_an_outage_over_midnight_is_cut_into_days():
    days = panels._beijing("2026-03-04T00").date()
    pieces = list(panels._pieces("2026-03-04T15:00:00+00:00", "2026-03-04T17:30:00+00:00", days, 3))
    assert pieces == [(0, 23.0, 24.0), (1, 0.0, 1.5)]


def test_more_vendors_than_colours_are_still_drawn():
    crowd = {f"v{i}": replace(SAMPLE.vendors[APEX], name={"en": f"Vendor {i}"}) for i in range(12)}
    estimate = wilson(0.9, 10, 10, handsets=3, scope=Scope.WINDOW)
    findings = tuple(
        Finding(vendor=v, measure="arrival.rate", slice={"carrier": c.value}, state=State.MEASURED, estimate=estimate)
        for v in crowd
        for c in Carrier
    )
    page = Page(html.render(replace(SAMPLE, vendors=crowd, findings=findings, scorecards=()), Words("en")).decode())
    assert "Vendor 11" in page.told and "China Broadnet" in page.told
