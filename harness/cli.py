"""The verbs, and the only place where run and judge meet. Chooses the four doors; everything else is handed them.

Exit codes: 0 fine · 1 a gate failed · 2 a person must change something · 3 evidence insufficient · 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness import __version__, registry
from harness.bundle import verify_bundle, write_bundle
from harness.capabilities import Capability, Manifest, Mapped, ReadsPushes, capabilities_of
from harness.clock import RealClock, monotonic
from harness.codec import to_plain
from harness.config import Evaluation, load_evaluation, span
from harness.content import faults_of, shipped_texts
from harness.desk import (
    CHANGE_SOMETHING,
    FINE,
    INTERRUPTED,
    RUNS,
    code_of,
    contest_of,
    judge_run,
    latest_run,
    load,
    open_ledger,
    print_json,
    print_verdict,
    result_of,
    run_folder,
    save,
    save_forms,
    texts_by_id,
    words_of,
    write_files,
    wrong,
)
from harness.domain import BEIJING
from harness.early import early_rule
from harness.errors import Complaint, ConfigError, HarnessError, LedgerError
from harness.facts import RunEnded
from harness.forgetting import Expired, forget_expired
from harness.history import History, Kept, month_of, write_whole
from harness.judge import compare as comparing
from harness.judge.criteria import parse_gates, read_criteria
from harness.judge.planner import Wanted
from harness.judge.result import Result, dump, parse
from harness.ledger.sqlite import SqliteLedger
from harness.matching import Matcher
from harness.monthly import (
    Month,
    judged,
    lines_of,
    post_verdict,
    set_aside,
    standing_of,
    trend,
    write_forms,
)
from harness.outlook import outlook_of, plan_lines, plan_plain
from harness.run.house import Contest
from harness.run.lines import Line, Redactor
from harness.run.play import (
    Played,
    in_memory,
    plan_of,
    play_for_real,
    play_in_memory,
    sandbox_begins,
    seed_of,
    virtual_epoch,
)
from harness.run.progress import Progress
from harness.run.questions import harmless_question
from harness.run.wire import Wire
from harness.words import LANGUAGES, Words

HISTORY: Final = Path("history")
DEMO_SEED: Final = 20260302
MONTHS_SEED: Final = 20260304  # chosen: with others an unchanged month may show something, as it does in life
MONTHS_SETTINGS: Final = """
language: zh-CN
seed: {seed}
begins: {begins}
lasts: 7 days
silence: 12 h
spend_limit: 5000 CNY
"""
MONTHS_SCENARIOS: Final = "delivery: {messages: 2000}"
DEMO_SETTINGS: Final = f"""
language: zh-CN
seed: {DEMO_SEED}
begins: 2026-03-02 09:00
lasts: 7 days
silence: 12 h
spend_limit: 2000 CNY
gates:
  - arrival.rate >= 0.95
  - false_receipt.rate <= 0.02
  - latency.p95 <= 60 s
"""
DEMO_SCENARIOS: Final = """
delivery: {messages: 1450, over: 7 days}
long_text: {messages: 12}
review: {templates: 8}
content_filter: {}
blacklist: {messages: 22}
opt_out: {}
retention: {}
statistics: {}
transport: {}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `smsbench`. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "verb"):
        parser.print_help()
        return CHANGE_SOMETHING
    try:
        code: int = options.verb(options)
    except ConfigError as error:
        _complain(error)
        return CHANGE_SOMETHING
    except HarnessError as error:
        print(f"smsbench: {error}", file=sys.stderr)
        return CHANGE_SOMETHING
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FINE
    return code


def _complain(error: ConfigError) -> None:
    for complaint in error.complaints:
        print(f"{complaint}\n", file=sys.stderr)
    n = len(error.complaints)
    print(f"smsbench: {n} thing{'s' if n != 1 else ''} to change; nothing was sent.", file=sys.stderr)


# --- the verbs ------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smsbench", description="Tells which SMS gateway vendor (短信平台) deserves the contract."
    )
    parser.add_argument("--version", action="version", version=f"smsbench {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], about: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=about, description=about, parents=parents)
        one.set_defaults(verb=run)
        one.add_argument("--language", choices=LANGUAGES, help="language of what is told (default: the evaluation's)")
        return one

    def evaluation(one: argparse.ArgumentParser) -> None:
        one.add_argument("evaluation", nargs="?", default="evaluation.yaml", type=Path, help="default: evaluation.yaml")
        one.add_argument("--env", type=Path, metavar="FILE", help="NAME=value lines to add to the environment")

    def of_run(one: argparse.ArgumentParser) -> None:
        one.add_argument(
            "run", type=Path, nargs="?", help="a run's folder, or its ledger (default: the latest in runs/)"
        )

    demo = verb("demo", _demo, "the whole way in the sandbox: plan, run, score, report; needs nothing")
    demo.add_argument("--out", type=Path, default=Path("smsbench-demo"), help="folder for all files (smsbench-demo)")
    demo.add_argument("--seed", type=int, help="another world (default: one that shows what there is to show)")
    demo.add_argument("--months", type=int, metavar="N", help="the same month after month, up to 12, with a history")
    init = verb("init", _init, "write a commented evaluation to start from")
    init.add_argument("folder", type=Path, nargs="?", default=Path())
    vendors = verb("vendors", _vendors, "what vendors there are, what each can do, and why something is absent")
    vendors.add_argument(
        "what",
        nargs="*",
        metavar="ID",
        help="one vendor; `codes ID` prints its code table, `new NAME` writes a description to begin with",
    )
    vendors.add_argument("--json", action="store_true")
    verb("texts", _texts, "the test texts, to be filed with vendors as templates").add_argument(
        "--json", action="store_true"
    )
    check = verb("check", _check, "read everything, resolve secrets, and ask each vendor for something harmless")
    evaluation(check)
    check.add_argument("--offline", action="store_true", help="ask no vendor")
    plan = verb("plan", _plan, "show cases, timetable, cost ceiling and statistical power")
    evaluation(plan)
    plan.add_argument("--json", action="store_true")
    plan.add_argument("--rates", default="98:96", metavar="98:96", help="arrival rates to be told apart, per cent")
    plan.add_argument("--seconds", default="4:6", metavar="4:6", help="median arrival times to be told apart")
    run = verb("run", _run, "carry out the plan; asks first in live mode")
    evaluation(run)
    run.add_argument("--out", type=Path, default=RUNS, help="folder of runs (runs)")
    run.add_argument("--resume", metavar="RUN", nargs="?", const="", help="go on with a run (default: the latest)")
    run.add_argument("--yes", action="store_true", help="do not ask before sending in live mode")
    run.add_argument("--no-report", action="store_true", help="stop after the ledger")
    status = verb("status", _status, "where a run stands, while it runs or after")
    of_run(status)
    status.add_argument("--json", action="store_true")
    receive = verb("receive", _receive, "the inbox alone, for late reports")
    evaluation(receive)
    receive.add_argument("--run", required=True, metavar="RUN", help="the run that late reports belong to")
    receive.add_argument("--out", type=Path, default=RUNS)
    score = verb("score", _score, "ledger → result.json")
    of_run(score)
    score.add_argument("--criteria", type=Path, help="other criteria than the run's own")
    report = verb("report", _report, "result.json → HTML, scorecards, gates.xml, findings.csv")
    report.add_argument("result", type=Path, nargs="?", help="a result.json, or a run's folder (default: the latest)")
    report.add_argument("--out", type=Path, help="folder for the files (default: beside the result)")
    report.add_argument("--pdf", action="store_true", help="also report and scorecards as PDF (needs a Chromium)")
    report.add_argument("--xlsx", action="store_true", help="also a workbook, with the cases if the ledger is there")
    verify = verb("verify", _verify, "check a ledger, its recordings and its result, or an evidence bundle (.zip)")
    of_run(verify)
    history_of = argparse.ArgumentParser(add_help=False)
    history_of.add_argument(
        "--history", type=Path, default=HISTORY, metavar="FOLDER", help="folder of months (history)"
    )
    monthly = verb("monthly", _monthly, "run or resume this month, compare it, tell it: for cron", history_of)
    evaluation(monthly)
    monthly.add_argument("--out", type=Path, default=RUNS, help="folder of runs (runs)")
    monthly.add_argument("--yes", action="store_true", help="do not ask before sending in live mode")
    bless = verb("bless", _bless, "make a result the baseline of its evaluation", history_of)
    bless.add_argument("run", help="a run in the history, or a run's folder or result.json to add and bless")
    bless.add_argument("--by", help="who answers for it (default: the user of this machine)")
    compare = verb("compare", _compare, "a result against its baseline and the months before", history_of)
    compare.add_argument("result", help="a run in the history, or a run's folder or result.json")
    compare.add_argument("baseline", type=Path, nargs="?", help="compare with this result alone, not with the history")
    compare.add_argument("--margin", type=float, help="loss of a share that the contract bears (0.02)")
    history = verb("history", _history, "the months and their page", history_of)
    history.add_argument("--add", type=Path, action="append", default=[], help="keep a run's result (may be repeated)")
    history.add_argument("--json", action="store_true")
    evidence = verb("evidence", _evidence, "the facts and raw exchanges behind a vendor's marks, as one file for it")
    evidence.add_argument("vendor", help="the account's label")
    of_run(evidence)
    evidence.add_argument(
        "--measure", action="append", default=[], help="only the cases behind this measure (may be repeated)"
    )
    evidence.add_argument("--out", type=Path, help="the file (default: evidence.<vendor>.zip in the run's folder)")
    show = verb("show", _show, "the facts and raw exchanges behind a case")
    show.add_argument("case", help="a case's id, as the report names it")
    of_run(show)
    show.add_argument("--json", action="store_true")
    forget = verb("forget", _forget, "delete a person's number from a run, or all whose time is over; no fact changes")
    forget.add_argument("recipient", nargs="?", help="the recipient's id")
    of_run(forget)
    forget.add_argument("--expired", action="store_true", help="from all live runs: numbers kept longer than allowed")
    forget.add_argument("--keep", metavar="TIME", help="with --expired: keep none longer, such as  90 days")
    forget.add_argument("--out", type=Path, default=RUNS, help="with --expired: folder of runs (runs)")
    sandbox = verb("sandbox", _sandbox, "open the simulated vendors on local ports, and write an evaluation for them")
    sandbox.add_argument("folder", type=Path, nargs="?", default=Path("smsbench-sandbox"))
    sandbox.add_argument("--world", type=Path, help="a world's truth (default: the demo's)")
    sandbox.add_argument("--port", type=int, default=8031, help="first port; one a vendor, one for all phones (8031)")
    sandbox.add_argument("--inbox", default="127.0.0.1:8025", help="where the run will listen (127.0.0.1:8025)")
    sandbox.add_argument("--seed", type=int, default=DEMO_SEED)
    return parser


def _demo_months(options: argparse.Namespace, words: Words) -> int:
    """Months of three simulated vendors, the first made the baseline; one of them loses 4 points from the fifth on."""
    if not 1 <= options.months <= 12:
        raise wrong("--months", f"got {options.months}", "Write a number from 1 to 12.")
    out, months = options.out, registry.sandbox("months")
    seed = MONTHS_SEED if options.seed is None else options.seed
    truth = registry.sandbox("truth").read_truth(registry.sandbox_file("months.yaml"), "months.yaml")
    history = History(out / "history")
    print(words("cli.demo.begin", vendors=len(truth.vendors), folder=str(out)))
    for number in range(1, options.months + 1):
        begins = months.begins_of_month(number)
        world = registry.sandbox("world").World(truth, seed=seed, epoch=months.EPOCH.astimezone(UTC))
        settings = MONTHS_SETTINGS.format(seed=months.seed_of_month(seed, number), begins=f"{begins:%Y-%m-%d %H:%M}")
        started = registry.sandbox("starter").write_files(
            world,
            texts_by_id(),
            scenarios=MONTHS_SCENARIOS,
            settings=settings,
            dossier=registry.sandbox_file("months-dossier.yaml"),
        )
        write_files(out, started.files)
        evaluation = load_evaluation(out / "evaluation.yaml", started.environment)
        progress = Progress(sys.stderr, monotonic, words)
        folder = play_in_memory(evaluation, out, out=out / "runs", world=world, listen=progress.hear).folder
        progress.finish()
        result = judge_run(folder)
        save(result, folder, (words.language,))
        raw, ended = (folder / "result.json").read_bytes(), _ended(result)
        if number == 1:
            history.bless(history.add(raw, at=ended).run, by="smsbench demo", at=ended)
        told = judged(history, raw, at=ended)
        code = words("cli.history.blessed") if number == 1 else words("cli.demo.code", code=told.code)
        first, *rest = lines_of(told, words)
        print(f"{first}  [{code}]")
        if told.comparison is not None and told.comparison.verdict == "regressed":
            for line in rest:
                print(f"  {line}")
        written = write_forms(told, history, folder, LANGUAGES)
    for path in written:
        if path.suffix == ".html":
            print(words("monthly.history_at", path=str(path)))
    print(words("cli.demo.simulated"))
    return FINE


def _demo(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    if options.months is not None:
        return _demo_months(options, words)
    options.seed = DEMO_SEED if options.seed is None else options.seed
    out: Path = options.out
    begins = datetime(2026, 3, 2, 9, 0, tzinfo=BEIJING)
    truth = registry.sandbox("truth").read_truth(registry.sandbox_file("demo.yaml"), "demo.yaml")
    world = registry.sandbox("world").World(truth, seed=options.seed, epoch=virtual_epoch(begins))
    settings = DEMO_SETTINGS.replace(f"seed: {DEMO_SEED}", f"seed: {options.seed}")
    started = registry.sandbox("starter").write_files(
        world,
        texts_by_id(),
        scenarios=DEMO_SCENARIOS,
        settings=settings,
        dossier=registry.sandbox_file("demo-dossier.yaml"),
    )
    write_files(out, started.files)
    evaluation = load_evaluation(out / "evaluation.yaml", started.environment)
    print(words("cli.demo.begin", vendors=len(evaluation.vendors), folder=str(out)))
    progress = Progress(sys.stderr, monotonic, words)
    played = play_in_memory(evaluation, out, out=out / "runs", world=world, listen=progress.hear, is_watched=False)
    progress.finish()
    result = judge_run(played.folder)
    save(result, played.folder, LANGUAGES)
    print_verdict(result, words)
    print(words("cli.report.at", path=str(played.folder / "report.zh-CN.html")))
    print(words("cli.demo.simulated"))
    return FINE


def _init(options: argparse.Namespace) -> int:
    folder: Path = options.folder
    written = []
    for name in ("evaluation.yaml", "recipients.csv", "forwarders.yaml", "dossier.yaml"):
        path = folder / name
        if path.exists():
            raise ConfigError(
                [
                    Complaint(
                        place=str(path), problem="is there already", way_out="Name another folder, or move it away."
                    )
                ]
            )
        written.append((path, registry.starter_file(name)))
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in written:
        path.write_text(text, encoding="utf-8")
        print(path)
    return FINE


def _vendors(options: argparse.Namespace) -> int:
    words, what = Words(options.language or "en"), list(options.what)
    if what[:1] == ["codes"]:
        return _codes(what[1:], options)
    if what[:1] == ["new"]:
        return _new_vendor(what[1:])
    own = {one: registry.vendor_class(one).manifest for one in what if one.endswith(registry.DESCRIPTIONS)}
    found = {**registry.vendor_manifests(), **own}
    chosen = {key: value for key, value in found.items() if not what or key in what}
    if what and not chosen:
        registry.vendor_class(what[0])  # raises, naming near ones
    if options.json:
        print(
            json.dumps(
                {key: _manifest_plain(key, value) for key, value in chosen.items()}, ensure_ascii=False, indent=1
            )
        )
        return FINE
    for key, manifest in chosen.items():
        if isinstance(manifest, registry.Broken):
            print(f"{key}: {words('cli.vendors.broken', error=manifest.error)}")
            continue
        can = sorted(capabilities_of_id(key))
        print(f"{key}  {manifest.name.get(words.language, key)}  [{words.name('standing', manifest.standing)}]")
        print(f"  {words('cli.vendors.can', what=words.listed(words.name('capability', one) for one in can))}")
        for capability, why in sorted(manifest.absent.items()):
            kind = words("cli.vendors.not_offered" if why.kind == "not_offered" else "cli.vendors.not_yet_written")
            print(f"  {words.name('capability', capability)}: {kind} – {why.because}")
    return FINE


def capabilities_of_id(vendor: str) -> frozenset[Capability]:
    """What an adapter can do, without an account."""
    kind = registry.vendor_class(vendor)
    return capabilities_of(object.__new__(kind))


def _manifest_plain(key: str, manifest: Manifest | registry.Broken) -> dict[str, Any]:
    if isinstance(manifest, registry.Broken):
        return {"broken": manifest.error}
    return {
        "name": dict(manifest.name),
        "standing": manifest.standing,
        "capabilities": sorted(capabilities_of_id(key)),
        "absent": {one: {"kind": why.kind, "because": why.because} for one, why in sorted(manifest.absent.items())},
        "credentials": [one.name for one in manifest.credentials],
        "options": dict(manifest.options),
        "by_template": manifest.by_template,
    }


def _new_vendor(what: Sequence[str]) -> int:
    """Write a commented description to begin with, into this folder. Nothing that is there is written over."""
    if len(what) != 1:
        raise wrong("vendors new", "names no vendor", "vendors new acme")
    text, path = registry.description_skeleton(what[0]), Path(f"{what[0]}.yaml")
    if path.exists():
        raise wrong(str(path), "is there already", "Choose another name.")
    path.write_text(text, encoding="utf-8")
    print(path)
    return FINE


def _codes(what: Sequence[str], options: argparse.Namespace) -> int:
    if len(what) != 1:
        raise ConfigError(
            [Complaint(place="vendors codes", problem="names no vendor", way_out="vendors codes alibaba")]
        )
    module = registry.vendor_module(what[0])
    documents = "; ".join(f"{one.title} ({one.read_on})" for one in registry.vendor_class(what[0]).manifest.documents)
    rows: list[tuple[str, str, str, str, str, str]] = []
    for where in ("REASONS", "REPORT_REASONS"):
        table: Mapping[str, Mapped] = getattr(module, where, {})
        side = "submit" if where == "REASONS" else "report"
        rows += [
            (side, str(code), str(one.reason), one.confidence, one.note, one.source) for code, one in table.items()
        ]
    if options.json:
        keys = ("where", "code", "reason", "confidence", "note", "source")
        print_json([dict(zip(keys, (*row[:5], row[5] or documents), strict=True)) for row in rows])
        return FINE
    print(documents)  # the source of every line that names no other
    for row in rows:
        print("  ".join(one.ljust(width) for one, width in zip(row, (7, 52, 24, 12, 0, 0), strict=True)).rstrip())
    return FINE


def _texts(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    samples = shipped_texts().values()
    if options.json:
        print_json([to_plain(one) for one in samples])
        return FINE
    for one in samples:
        kind = words.name("fault", one.fault) if one.fault else words.name("text_kind", one.kind)
        print(f"{one.id}  [{words.name('purpose', one.purpose)}] {kind}\n  {one.text}")
    return FINE


def _check(options: argparse.Namespace) -> int:
    evaluation = load(options)
    words = words_of(options, evaluation)
    contest = contest_of(evaluation)
    complaints = list(_later_complaints(evaluation))
    if complaints:
        raise ConfigError(complaints)
    clock = RealClock()
    begins = evaluation.begins or clock.now()
    plan = plan_of(evaluation, contest, seed=evaluation.seed or 0, begins=begins)
    print(
        words(
            "cli.check.read", recipients=len(evaluation.recipients), vendors=len(evaluation.vendors), n=len(plan.cases)
        )
    )
    if evaluation.words.is_stale(clock.now().astimezone(BEIJING).date()):
        print(words("cli.check.stale_words", dated_date=evaluation.words.dated.isoformat()))
    if evaluation.mode == "live":
        for label, vendor in contest.vendors.items():
            if isinstance(vendor, ReadsPushes):
                print(words("cli.check.push", label=label, url=contest.accounts[label].push_url or ""))
    if options.offline or in_memory(evaluation):
        return FINE
    answers = asyncio.run(_ask_all(evaluation, contest, clock))
    for label, trouble in answers.items():
        print(f"{label}: {trouble or words('cli.check.answers')}")
    return CHANGE_SOMETHING if any(answers.values()) else FINE


def _later_complaints(evaluation: Evaluation) -> Iterable[Complaint]:
    """What only a judge can find wrong: criteria and gates."""
    try:
        if evaluation.criteria is not None:
            read_criteria(evaluation.criteria)
    except ConfigError as error:
        yield from error.complaints
    try:
        parse_gates(evaluation.gates, evaluation.located.place(("gates",)))
    except ConfigError as error:
        yield from error.complaints
    for sample in shipped_texts().values():
        if sample.kind == "compliant" and (faults := faults_of(sample.text, sample.purpose, evaluation.words)):
            yield Complaint(
                place=f"test text {sample.id}",
                problem=f"breaks the rule {faults[0].rule} by {faults[0].found!r} under the word list of "
                f"{evaluation.words.dated}",
                way_out="Use another word list, or leave the text's template out of the evaluation.",
            )


async def _ask_all(evaluation: Evaluation, contest: Contest, clock: RealClock) -> dict[str, str | None]:
    """Ask each vendor for something harmless; the trouble it gave, or None."""
    transport = Wire()
    answers: dict[str, str | None] = {}
    try:
        for label, vendor in contest.vendors.items():
            question = harmless_question(vendor, clock.now())
            if question is None:
                answers[label] = None
                continue
            carried = await Line(transport, clock, Redactor(), per_second=10.0, deadline=10.0).carry(question)
            trouble = carried.trouble
            answers[label] = f"{trouble.kind}: {Redactor().text(trouble.detail)}" if trouble else None
    finally:
        await transport.aclose()
    return answers


def _plan(options: argparse.Namespace) -> int:
    evaluation = load(options)
    words = words_of(options, evaluation)
    contest = contest_of(evaluation)
    seed = seed_of(evaluation)
    begins = evaluation.begins or RealClock().now()
    plan = plan_of(evaluation, contest, seed=seed, begins=begins)
    outlook = outlook_of(plan, evaluation, contest, wanted_of(options))
    if options.json:
        print_json(plan_plain(outlook))
        return FINE
    for line in plan_lines(outlook, words):
        print(line)
    return FINE


def wanted_of(options: argparse.Namespace) -> Wanted:
    """The differences a person wants to tell: 98:96 (per cent) and 4:6 (seconds). Raises ConfigError."""

    def pair(name: str, text: str, factor: float) -> tuple[float, float]:
        found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text)
        one, other = (float(found[1]) * factor, float(found[2]) * factor) if found else (0.0, 0.0)
        if one == other or min(one, other) <= 0 or (factor < 1 and max(one, other) >= 1):
            example = "98:96" if factor < 1 else "4:6"
            raise wrong(name, f"got {text!r}", f"Write two different ones:  {name} {example}")
        return one, other

    return Wanted(rates=pair("--rates", options.rates, 0.01), seconds=pair("--seconds", options.seconds, 1.0))


def _run(options: argparse.Namespace) -> int:
    evaluation = load(options)
    words = words_of(options, evaluation)
    complaints = list(_later_complaints(evaluation))
    if complaints:
        raise ConfigError(complaints)
    progress = Progress(sys.stderr, monotonic, words)
    out: Path = options.out
    _forget_expired(evaluation, out, words)
    if in_memory(evaluation):
        if options.resume is not None:
            way_out = "Run it again (the same seed gives the same run), or use `smsbench sandbox`."
            raise wrong("--resume", "a sandbox in memory ends with its process", way_out)
        played = play_in_memory(evaluation, options.evaluation.parent, out=out, listen=progress.hear, early=early_rule)
    else:
        played = _run_for_real(evaluation, options, words, progress)
    progress.finish()
    if played.because == "interrupted":
        print(words("cli.run.interrupted", run=played.run_id))
        return INTERRUPTED
    if options.no_report:
        print(played.folder)
        return FINE
    result = judge_run(played.folder)
    save(result, played.folder, (words.language,))
    print_verdict(result, words)
    print(words("cli.report.at", path=str(played.folder / f"report.{words.language}.html")))
    return code_of(result)


def _run_for_real(evaluation: Evaluation, options: argparse.Namespace, words: Words, progress: Progress) -> Played:
    run_id = None
    if options.resume is not None:
        run_id = options.resume or latest_run(options.out).name
        progress_from(options.out / run_id, progress)
    elif evaluation.mode == "live" and not options.yes:
        contest = contest_of(evaluation)
        plan = plan_of(evaluation, contest, seed=seed_of(evaluation), begins=evaluation.begins or RealClock().now())
        for line in plan_lines(outlook_of(plan, evaluation, contest, Wanted()), words):
            print(line)
        if input(words("cli.run.ask") + " ").strip().lower() not in ("yes", "y", "是"):
            raise ConfigError(
                [Complaint(place="run", problem="was not confirmed", way_out="Answer yes, or use --yes.")]
            )
    return asyncio.run(
        play_for_real(evaluation, out=options.out, run_id=run_id, listen=progress.hear, early=early_rule)
    )


def progress_from(folder: Path, progress: Progress) -> None:
    """Show what a run has done so far before it goes on."""
    ledger = open_ledger(folder)
    for fact in ledger.facts():
        progress.count(fact)
    ledger.release()


def _status(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    folder = run_folder(options.run)
    ledger = open_ledger(folder)
    progress = Progress(sys.stdout, monotonic, words)
    ended: str | None = None
    for fact in ledger.facts():
        progress.count(fact)
        if isinstance(fact.body, RunEnded):
            ended = fact.body.because
    head, counts = ledger.head(), ledger.count()
    if options.json:
        told = {
            "run": ledger.run_id,
            "facts": head.seq,
            "digest": head.digest,
            "ended": ended,
            "vendors": {label: _count_plain(count) for label, count in progress.counts.items()},
            "kinds": counts,
        }
        print_json(told)
    else:
        print(words("cli.status.run", run=ledger.run_id, facts=head.seq, ended=ended or words("cli.status.open")))
        for line in progress.lines()[:-1]:
            print(line)
    ledger.release()
    return FINE


def _count_plain(count: Any) -> dict[str, int]:
    return {
        name: getattr(count, name)
        for name in ("planned", "closed", "sent", "accepted", "refused", "in_doubt", "failed")
    }


def _receive(options: argparse.Namespace) -> int:
    evaluation = load(options)
    words = words_of(options, evaluation)
    print(words("cli.receive.listening", address=evaluation.inbox.listen), file=sys.stderr)
    asyncio.run(play_for_real(evaluation, out=options.out, run_id=options.run, receive_only=True))
    return FINE


def _score(options: argparse.Namespace) -> int:
    folder = run_folder(options.run)
    result = judge_run(folder, options.criteria)
    (folder / "result.json").write_bytes(dump(result))
    words = Words(options.language or "zh-CN")
    print_verdict(result, words)
    print(folder / "result.json")
    return code_of(result)


def _report(options: argparse.Namespace) -> int:
    path: Path = options.result or latest_run(RUNS)
    path = path / "result.json" if path.is_dir() else path
    result = result_of(path)
    folder, languages = options.out or path.parent, (options.language,) if options.language else LANGUAGES
    written = save(result, folder, languages)
    try:
        written += save_forms(result, folder, languages, ledger=path.parent, pdf=options.pdf, xlsx=options.xlsx)
    except RuntimeError as error:  # no browser, or no font: the error says which package
        for one in written:
            print(one)
        raise wrong("--pdf", str(error), "The other files are there.") from error
    for one in written:
        print(one)
    return FINE


def _verify(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    if options.run is not None and (options.run.suffix == ".zip" or zipfile.is_zipfile(options.run)):
        return _verify_bundle(options.run, words)
    folder = run_folder(options.run)
    ledger = open_ledger(folder)
    head = ledger.verify()
    ledger.release()
    path = folder / "result.json"
    if path.is_file():
        told = parse(path.read_bytes(), path.name).run
        if (told.ledger_facts, told.ledger_digest) != (head.seq, head.digest):
            raise LedgerError(
                f"{path}: rests on {told.ledger_facts} facts ending in {told.ledger_digest[:12]}, the ledger has "
                f"{head.seq} ending in {head.digest[:12]}. Score it again, or look for who changed it."
            )
    print(words("cli.verify.fine", facts=head.seq, digest=head.digest))
    return FINE


def _verify_bundle(path: Path, words: Words) -> int:
    manifest = verify_bundle(path).manifest
    told = {key: manifest[key] for key in ("vendor", "run", "facts", "cases", "recordings", "withheld")}
    print(
        words.fill("cli.verify.bundle", {**told, "all": manifest["ledger_facts"], "digest": manifest["ledger_digest"]})
    )
    return FINE


def _monthly(options: argparse.Namespace) -> int:
    evaluation = load(options)
    words = words_of(options, evaluation)
    if complaints := list(_later_complaints(evaluation)):
        raise ConfigError(complaints)
    history, clock, out = History(options.history), RealClock(), options.out
    _forget_expired(evaluation, out, words)
    sandbox = in_memory(evaluation)
    month = month_of(sandbox_begins(evaluation) if sandbox else evaluation.begins or clock.now())
    standing = standing_of(out, evaluation.name, month)
    folder = standing.folder
    if folder is not None and standing.done:
        _aside(words("monthly.done_already", run=folder.name))
    elif sandbox:
        if folder is not None:
            _aside(words("monthly.set_aside", path=str(set_aside(folder))))
        progress = Progress(sys.stderr, monotonic, words)
        folder = play_in_memory(
            evaluation, options.evaluation.parent, out=out, listen=progress.hear, early=early_rule
        ).folder
        progress.finish()
    else:
        options.resume = None if folder is None else folder.name
        if folder is not None:
            _aside(words("monthly.resumed", run=folder.name))
        progress = Progress(sys.stderr, monotonic, words)
        played = _run_for_real(evaluation, options, words, progress)
        progress.finish()
        if played.because == "interrupted":
            print(words("cli.run.interrupted", run=played.run_id))
            return INTERRUPTED
        folder = played.folder
    result = judge_run(folder)
    save(result, folder, (words.language,))
    told = judged(
        history,
        (folder / "result.json").read_bytes(),
        at=max(clock.now(), _ended(result)),
        gates=parse_gates(evaluation.gates, "gates"),
    )
    _tell_month(told, history, folder, words, (words.language,))
    if evaluation.robots:
        for robot, trouble in post_verdict(evaluation.robots, told, words, transport=Wire(), clock=clock).items():
            id = "monthly.posted" if trouble is None else "monthly.not_posted"
            _aside(words(id, robot=robot, trouble=trouble or ""))
    return told.code


def _ended(result: Result) -> datetime:
    """A sandbox's time is its own: what it calls the end of the run may be yet to come here."""
    return datetime.fromisoformat(result.run.ended or result.run.began)


def _tell_month(told: Month, history: History, folder: Path, words: Words, languages: Sequence[str]) -> None:
    for line in lines_of(told, words):
        print(line)
    written = write_forms(told, history, folder, languages)
    print(words("monthly.report_at", path=str(folder / f"report.{words.language}.html")))
    for path in written:
        if path.suffix == ".html":
            print(words("monthly.history_at", path=str(path)))


def _aside(text: str) -> None:
    """Beside the verdict, which comes first on standard output."""
    print(text, file=sys.stderr)


def _raw_of(history: History, named: str) -> tuple[bytes, str]:
    """A result document by the run's name in the history, its folder, or its file."""
    for one in history.kept:
        if one.run == named:
            history.result(one)
            return (history.folder / "results" / f"{named}.json").read_bytes(), named
    path = Path(named)
    path = path / "result.json" if path.is_dir() else path
    if not path.is_file():
        if (RUNS / named / "result.json").is_file():
            path = RUNS / named / "result.json"
        else:
            history.find(named)
    return path.read_bytes(), str(path)


def _bless(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    history, now = History(options.history), RealClock().now()
    raw, name = _raw_of(history, options.run)
    result = parse(raw, name)
    kept = history.add(raw, at=max(now, _ended(result)), name=name)
    blessing = history.bless(kept.run, by=options.by or getpass.getuser(), at=now)
    print(words("cli.bless.done", run=kept.run, evaluation=kept.evaluation, by=blessing.by))
    return FINE


def _compare(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    history, now = History(options.history), RealClock().now()
    raw, name = _raw_of(history, options.result)
    result = parse(raw, name)
    if options.baseline is not None:
        more = {} if options.margin is None else {"margin": options.margin}
        comparison = comparing.compare(result, result_of(options.baseline), **more)
        kept = Kept(
            run=result.run.id, evaluation=result.run.evaluation, began=result.run.began, digest="", added_at="",
            month=month_of(datetime.fromisoformat(result.run.began)),
        )  # fmt: skip
        told = Month(kept=kept, result=result, comparison=comparison)
        for line in lines_of(told, words):
            print(line)
        return told.code
    told = judged(history, raw, at=max(now, _ended(result)), margin=options.margin)
    for line in lines_of(told, words):
        print(line)
    for path in write_forms(told, history, history.folder / "comparisons", (words.language,)):
        print(words("monthly.history_at" if path.suffix == ".html" else "cli.compare.wrote", path=str(path)))
    return told.code


def _history(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    history, now = History(options.history), RealClock().now()
    for path in options.add:
        raw, name = _raw_of(history, str(path))
        kept = history.add(raw, at=max(now, _ended(parse(raw, name))), name=name)
        print(words("cli.history.added", run=kept.run, month=kept.month), file=sys.stderr)
    if options.json:
        print_json(
            {"kept": [to_plain(one) for one in history.kept], "blessings": [to_plain(one) for one in history.blessings]}
        )
        return FINE
    if not history.kept:
        print(words("cli.history.empty", folder=str(history.folder)))
        return FINE
    for evaluation in history.evaluations:
        print(evaluation)
        baseline = history.blessed(evaluation)
        for one in history.months(evaluation):
            mark = words("cli.history.blessed") if one == baseline else ""
            print("  " + words("cli.history.row", month=one.month, run=one.run, mark=mark).rstrip())
        for id, found in (
            ("cli.history.twice", history.twice(evaluation)),
            ("cli.history.missing", history.missing(evaluation)),
        ):
            for month in found:
                print("  " + words(id, month=month))
        line = trend(history, evaluation)
        measures = history.result(history.months(evaluation)[-1]).measures
        several = len(history.evaluations) > 1
        for language in (words.language,) if options.language else LANGUAGES:
            name = f"history.{safe_name(evaluation)}.{language}.html" if several else f"history.{language}.html"
            write_whole(history.folder / name, registry.renderer("history")(line, Words(language), measures=measures))
            print("  " + words("monthly.history_at", path=str(history.folder / name)))
    for path in history.strays():
        print(words("cli.history.stray", path=str(path)))
    return FINE


def safe_name(text: str) -> str:
    """A name as part of a file's name."""
    return "-".join(re.findall(r"\w+", text)) or "evaluation"


def _evidence(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    folder = run_folder(options.run)
    result = result_of(folder)
    ledger = open_ledger(folder)
    try:
        raw = write_bundle(ledger, result, options.vendor, options.measure)
    finally:
        ledger.release()
    path: Path = options.out or folder / f"evidence.{options.vendor}.zip"
    path.write_bytes(raw)
    print(words("cli.evidence.written", path=str(path), mb=round(len(raw) / 1e6, 1)))
    return FINE


def _show(options: argparse.Namespace) -> int:
    folder = run_folder(options.run)
    ledger = open_ledger(folder)
    matcher, told = Matcher(), []
    for fact in ledger.facts():
        if any(case_id == options.case for case_id, _ in matcher.route(fact)) or fact.case_id == options.case:
            exchange = json.loads(ledger.recording(fact.evidence)) if fact.evidence else None
            told.append({**to_plain(fact), "exchange": exchange})
    ledger.release()
    if not told:
        raise wrong(options.case, "is no case of this run", "See the report, or `smsbench status`.")
    if options.json:
        print_json(told)
        return FINE
    for one in told:
        print(f"#{one['seq']} {one['at']} {one['body']['kind']}")
        print(f"  {json.dumps({k: v for k, v in one['body'].items() if k != 'kind'}, ensure_ascii=False)}")
        if one["exchange"] is not None:
            print(f"  {one['evidence'][:12]}: {json.dumps(one['exchange'], ensure_ascii=False)}")
    return FINE


def _forget(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    if options.expired:
        if options.recipient is not None:
            raise wrong(options.recipient, "stands beside --expired", "Name a recipient, or give --expired.")
        try:
            keep = span(options.keep) if options.keep is not None else None
        except ValueError as error:
            raise wrong("--keep", str(error), "Write it like  90 days.") from error
        done = forget_expired(options.out, RealClock().now(), at_most=keep)
        for line in _expired_lines(done, words):
            print(line)
        return CHANGE_SOMETHING if any(one.trouble for one in done) else FINE
    if options.recipient is None:
        raise wrong("forget", "names nobody", "Name a recipient, or give --expired.")
    folder = run_folder(options.run)
    ledger = SqliteLedger(folder / "ledger.db", exclusive=True)
    gone = ledger.forget(options.recipient)
    asyncio.run(ledger.close())
    print(words("cli.forget.done" if gone else "cli.forget.unknown", recipient=options.recipient))
    return FINE if gone else CHANGE_SOMETHING


def _expired_lines(done: Iterable[Expired], words: Words) -> Iterator[str]:
    for one in done:
        if one.trouble is not None:
            yield words("cli.forget.trouble", run=one.run, trouble=one.trouble)
        else:
            yield words("cli.forget.expired", run=one.run, n=len(one.recipients))


def _forget_expired(evaluation: Evaluation, out: Path, words: Words) -> None:
    """Before a run: what earlier ones may not keep any longer."""
    if evaluation.mode == "live":
        for line in _expired_lines(forget_expired(out, RealClock().now(), at_most=evaluation.keep_numbers), words):
            _aside(line)


def _sandbox(options: argparse.Namespace) -> int:
    words = Words(options.language or "zh-CN")
    clock = RealClock()
    truth_module = registry.sandbox("truth")
    if options.world:
        truth = truth_module.read_truth(options.world.read_text(encoding="utf-8"), options.world.name)
    else:
        truth = truth_module.read_truth(registry.sandbox_file("demo.yaml"), "demo.yaml")
    world = registry.sandbox("world").World(truth, seed=options.seed, epoch=virtual_epoch(clock.now()))
    asyncio.run(_serve(world, options, clock, words))
    return FINE


async def _serve(world: Any, options: argparse.Namespace, clock: RealClock, words: Words) -> None:
    names = [*world.accounts, "phones"]
    ports = {name: options.port + number if options.port else 0 for number, name in enumerate(names)}
    serving = await registry.sandbox("server").serve(
        world, clock=clock.now, ports=ports, inbox_url=f"http://{options.inbox}"
    )
    settings = (
        f"language: zh-CN\nseed: {options.seed}\nlasts: 1 h\nspend_limit: 200 CNY\ninbox: {{listen: {options.inbox}}}"
    )
    started = registry.sandbox("starter").write_files(
        world,
        texts_by_id(),
        scenarios="delivery: {messages: 50, over: 30 min}\ntransport: {}",
        settings=settings,
        endpoints=serving.addresses,
        dossier="" if options.world else registry.sandbox_file("demo-dossier.yaml"),
    )
    lines = "".join(f"{name}={value}\n" for name, value in started.environment.items())
    write_files(options.folder, {**started.files, "sandbox.env": lines})
    for name, address in serving.addresses.items():
        print(f"{name}  {address}")
    print(words("cli.sandbox.ready", folder=str(options.folder)), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await serving.close()
