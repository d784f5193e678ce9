"""The PDF: one page a scorecard, fonts embedded, outline, page numbers, Chinese that can be searched, no box ever."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from pypdf import PdfReader

from harness.judge.result import GateVerdict, Note
from harness.words import LANGUAGES, Words
from reports import pdf
from tests.reports.sample import APEX, BEACON, QINGLUAN, WANLI, sample

SAMPLE = sample()
needs_browser = pytest.mark.skipif(pdf.browser() is None, reason="no chromium, chrome or edge in PATH")


def read(raw: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(raw), strict=True)


def text_of(pages) -> str:
    return re.sub(r"\s+", "", "".join(page.extract_text() for page in pages))


def titles(items):
    for item in items:
        yield from titles(item) if isinstance(item, list) else [item.title]


def without_a_file(reader: PdfReader) -> list[str]:
    """Fonts of the first pages that are not embedded."""
    found = []
    for page in reader.pages[:4]:
        for font in page["/Resources"].get("/Font", {}).values():
            font = font.get_object()
            inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
            descriptor = inner.get("/FontDescriptor", {})
            files = {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor.get_object() if descriptor else {})
            if not files and font["/Subtype"] != "/Type3":
                found.append(str(font.get("/BaseFont")))
    return found


@needs_browser
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_is_a4_with_outline_page_numbers_embedded_fonts_and_text_that_can_be_searched(language):
    words = Words(language)
    reader = read(pdf.render(SAMPLE, words))
    last = len(reader.pages)
    assert 8 <= last <= 40
    assert {(round(page.mediabox.width), round(page.mediabox.height)) for page in reader.pages} == {(595, 842)}
    assert f"1/{last}" in text_of(reader.pages[:1]) and f"{last}/{last}" in text_of(reader.pages[-1:])
    wanted = ("title.verdict", "title.scores", "title.gates", "title.sla", "title.method", "title.glossary")
    assert {words(id) for id in wanted} <= set(titles(reader.outline))
    assert without_a_file(reader) == []
    text = text_of(reader.pages[:4])
    assert not re.search(r"[\u2e80-\u2fdf]", text), "radicals stand where characters should"
    if language == "zh-CN":
        assert all(word in text for word in ("门限", "无法判定", "到达率", "手机", "结论"))


@needs_browser
@pytest.mark.parametrize(("vendor", "language"), [(APEX, "zh-CN"), (QINGLUAN, "en"), (WANLI, "en")])
def test_a_scorecard_is_exactly_one_page(vendor, language):
    reader = read(pdf.render(SAMPLE, Words(language), vendor=vendor))
    assert len(reader.pages) == 1
    assert (round(reader.pages[0].mediabox.width), round(reader.pages[0].mediabox.height)) == (595, 842)


@needs_browser
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_scorecard_with_many_gates_and_a_long_name_is_still_one_page(language):
    lines = tuple(
        GateVerdict(
            id=f"g{n}", vendor=BEACON, text=f"arrival.rate[carrier=china_mobile] >= 0.{n + 10}", verdict="unclear",
            reason=Note(id="gate.crosses", values={"measure": "arrival.rate", "value": 0.5, "low": 0.4, "high": 0.6}),
        )
        for n in range(30)
    )  # fmt: skip
    name = {
        "zh-CN": "某某省某某信息科技发展股份有限公司北京分公司",
        "en": "A Very Long Information Technology Name Ltd",
    }
    vendors = {**SAMPLE.vendors, BEACON: replace(SAMPLE.vendors[BEACON], name=name)}
    crowded = replace(SAMPLE, gates=(*SAMPLE.gates, *lines), vendors=vendors)
    reader = read(pdf.render(crowded, Words(language), vendor=BEACON))
    assert len(reader.pages) == 1


@needs_browser
def test_a_machine_without_a_chinese_font_gets_an_error_that_names_the_package(tmp_path, monkeypatch):
    conf = tmp_path / "fonts.conf"
    conf.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>/usr/share/fonts/truetype/dejavu</dir><cachedir>{tmp_path}</cachedir></fontconfig>"
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(conf))
    with pytest.raises(pdf.CannotPrint, match="fonts-noto-cjk"):
        pdf.render(SAMPLE, Words("zh-CN"), vendor=APEX)


@pytest.mark.parametrize(("language", "told"), [("en", "none was found"), ("zh-CN", "本机未找到")])
def test_a_machine_without_a_browser_gets_an_error_that_names_the_package(monkeypatch, language, told):
    monkeypatch.setattr(pdf, "browser", lambda: None)
    with pytest.raises(pdf.CannotPrint, match=told) as error:
        pdf.render(SAMPLE, Words(language), vendor=APEX)
    assert "chromium" in str(error.value)


def test_a_browser_that_prints_nothing_is_told_with_its_last_words(monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho the disk is full >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(pdf, "browser", lambda: str(broken))
    with pytest.raises(pdf.CannotPrint, match="the disk is full"):
        pdf.printed(b"<p>x</p>", Words("en"))


def test_the_characters_of_a_page_are_those_a_reader_sees():
    page = "<head><title>页</title><style>/* 样 */</style></head><nav>航</nav><p title='隐'>文<b>字</b></p>".encode()
    assert pdf.ideographs(page) == {"文", "字"}


@pytest.mark.parametrize(
    ("radical", "character"), [("⾼", "高"), ("⻔", "门"), ("⽆", "无"), ("a门", "a门"), ("⻚", "页")]
)
def test_a_radical_is_told_as_the_character_it_looks_like(radical, character):
    assert pdf.plain(radical) == character


def test_a_pdf_that_is_not_built_as_expected_is_left_as_it_is():
    raw = b"%PDF-1.7\nno table here\nstartxref\n5\n%%EOF\n"
    assert pdf._searchable(raw, list(pdf._tables(raw))) == raw
