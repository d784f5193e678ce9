"""Steps that several verbs share: finding a run, reading an evaluation, judging, saving, and what a verdict's code is.

Together with `cli` and `monthly` the only place where run and judge meet.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from harness import registry
from harness.clock import RealClock, real_nonce
from harness.config import Evaluation, load_evaluation, process_environment
from harness.content import shipped_texts
from harness.domain import Purpose
from harness.errors import Complaint, ConfigError
from harness.judge import journeys, scoring
from harness.judge.criteria import read_criteria
from harness.judge.result import Result, dump, parse
from harness.ledger.sqlite import SqliteLedger
from harness.plain_yaml import locate
from harness.run.house import Contest, open_contest
from harness.words import Words

FINE, GATE_FAILED, CHANGE_SOMETHING, INSUFFICIENT, INTERRUPTED = 0, 1, 2, 3, 130
RUNS: Final = Path("runs")


def wrong(place: str, problem: str, way_out: str) -> ConfigError:
    return ConfigError([Complaint(place=place, problem=problem, way_out=way_out)])


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def texts_by_id() -> dict[str, tuple[str, Purpose]]:
    return {key: (one.text, one.purpose) for key, one in shipped_texts().items()}


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def load(options: argparse.Namespace) -> Evaluation:
    environment = process_environment()
    if options.env is not None:
        for line in options.env.read_text(encoding="utf-8").splitlines():
            name, separator, value = line.partition("=")
            if separator and not name.lstrip().startswith("#"):
                environment[name.strip().removeprefix("export ").strip()] = value.strip()
    return load_evaluation(options.evaluation, environment)


def words_of(options: argparse.Namespace, evaluation: Evaluation) -> Words:
    return Words(options.language or evaluation.language)


def contest_of(evaluation: Evaluation) -> Contest:
    return open_contest(evaluation, clock=RealClock(), nonce=real_nonce)


def latest_run(out: Path) -> Path:
    runs = sorted(path.parent for path in out.glob("*/ledger.db"))
    if not runs:
        way_out = "Begin one with `smsbench run`, or name its folder."
        raise wrong(str(out), "there is no run", way_out)
    return max(runs, key=lambda folder: (folder / "ledger.db").stat().st_mtime)


def run_folder(named: Path | None) -> Path:
    if named is None:
        return latest_run(RUNS)
    if named.is_file():
        return named.parent
    return named if (named / "ledger.db").is_file() or not (RUNS / named).is_dir() else RUNS / named


def result_of(path: Path) -> Result:
    """The result at a path, or in a run's folder. Raises ConfigError."""
    path = path / "result.json" if path.is_dir() else path
    if not path.is_file():
        raise wrong(str(path), "there is no result", "Make it with `smsbench score`.")
    return parse(path.read_bytes(), path.name)


def open_ledger(folder: Path) -> SqliteLedger:
    return SqliteLedger(folder / "ledger.db", read_only=True)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Short work on much data makes no cycles to speak of: looking for some takes a fifth of its time."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@uncollected()
def judge_run(folder: Path, criteria: Path | None = None) -> Result:
    chosen = read_criteria(locate(criteria.read_text(encoding="utf-8"), criteria.name)) if criteria else None
    ledger = open_ledger(folder)
    try:
        head = ledger.head()
        evidence = journeys.read(ledger.facts())
        return scoring.judge(evidence, chosen, run_id=ledger.run_id, ledger_digest=head.digest)
    finally:
        ledger.release()


@uncollected()
def save(result: Result, folder: Path, languages: Iterable[str]) -> list[Path]:
    """Write the document and its clothes; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "result.json"]
    written[0].write_bytes(dump(result))
    for language in languages:
        words = Words(language)
        pages = {f"report.{language}.html": registry.renderer("html")(result, words)}
        for label in result.vendors:
            name = f"scorecard.{label}.html" if language == "zh-CN" else f"scorecard.{label}.{language}.html"
            pages[name] = registry.renderer("scorecard")(result, words, vendor=label)
        pages["gates.xml"] = registry.renderer("junit")(result, words)
        pages["findings.csv"] = registry.renderer("csv")(result, words)
        for name, page in pages.items():
            path = folder / name
            path.write_bytes(page)
            if path not in written:
                written.append(path)
    return written


def save_forms(
    result: Result, folder: Path, languages: Iterable[str], *, ledger: Path, pdf: bool, xlsx: bool
) -> list[Path]:
    """The forms that take longer: PDF and workbook; the files written.

    `ledger`: the run's folder; where its ledger is, the workbook has its cases. Raises RuntimeError where a PDF cannot
    be drawn right: it says which package is missing.
    """
    written = []
    cases = None
    if xlsx and (ledger / "ledger.db").is_file():
        reading = open_ledger(ledger)
        try:
            cases = journeys.read(reading.facts()).messages
        finally:
            reading.release()
    for language in languages:
        words = Words(language)
        if xlsx:
            path = folder / f"report.{language}.xlsx"
            path.write_bytes(registry.renderer("xlsx")(result, words, cases=cases))
            written.append(path)
        if pdf:
            path = folder / f"report.{language}.pdf"
            path.write_bytes(registry.renderer("pdf")(result, words))
            written.append(path)
            for label in result.vendors:
                path = folder / f"scorecard.{label}.{language}.pdf"
                path.write_bytes(registry.renderer("pdf")(result, words, vendor=label))
                written.append(path)
    return written


def print_verdict(result: Result, words: Words) -> None:
    sys.stdout.write(registry.renderer("verdict")(result, words).decode())


def code_of(result: Result) -> int:
    verdicts = {gate.verdict for gate in result.gates}
    if "fail" in verdicts:
        return GATE_FAILED
    return INSUFFICIENT if verdicts & {"unclear", "not_shown"} else FINE
