"""Verbs as ops type them: what they print, what they write, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli, desk
from harness.judge.result import dump
from tests.reports.sample_months import FALLEN, MONTHS, result_of_month
from tests.simulation.worlds import RICH, Stage


@pytest.fixture
def months(tmp_path, monkeypatch) -> Path:
    """A folder with the results of seven months, none of them kept yet."""
    monkeypatch.chdir(tmp_path)
    for number in range(1, MONTHS + 1):
        folder = tmp_path / "runs" / f"r{number:03d}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_bytes(dump(result_of_month(number)))
    return tmp_path


def test_results_are_added_blessed_compared_and_listed(months, capsys):
    assert cli.main(["compare", "r002", "--language", "en"]) == desk.INSUFFICIENT
    assert "no baseline" in capsys.readouterr().out.splitlines()[0]
    assert cli.main(["bless", "runs/r001", "--by", "buyer", "--language", "en"]) == desk.FINE
    assert "buyer" in capsys.readouterr().out
    added = [part for number in range(1, MONTHS) for part in ("--add", f"runs/r{number:03d}")]
    assert cli.main(["history", *added, "--language", "en"]) == desk.FINE
    listed = capsys.readouterr().out
    assert "2024-01  r001  baseline" in listed and "2024-06  r006" in listed
    assert (months / "history" / "history.en.html").is_file()
    assert cli.main(["compare", "runs/r007", "--language", "en"]) == desk.GATE_FAILED
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("regressed") and any("China Telecom" in line and "points" in line for line in rest)
    assert cli.main(["history", "--json"]) == desk.FINE
    told = json.loads(capsys.readouterr().out)
    assert len(told["kept"]) == MONTHS and told["blessings"][0]["by"] == "buyer"


def test_two_results_are_compared_without_a_history(months, capsys):
    code = cli.main(["compare", "runs/r005", "runs/r001", "--language", "en"])
    assert code == desk.GATE_FAILED and "regressed" in capsys.readouterr().out.splitlines()[0]
    assert not (months / "history" / "history.json").exists()
    assert FALLEN in {card.vendor for card in result_of_month(5).scorecards}


def test_runs_that_are_unlike_are_refused_with_what_differs(months, capsys):
    assert cli.main(["compare", "runs/r006", "runs/r001", "--language", "en"]) in (
        desk.CHANGE_SOMETHING,
        desk.GATE_FAILED,
    )
    assert "the length" in capsys.readouterr().out


def test_a_run_nobody_knows_is_told(months, capsys):
    assert cli.main(["bless", "r777"]) == desk.CHANGE_SOMETHING
    assert "r777" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Stage:
    return Stage(tmp_path_factory.mktemp("verbs"), RICH, 5)


def plan(stage: Stage, *more: str, settings: str = "") -> int:
    path = stage.folder / "evaluation.yaml"
    text = path.read_text(encoding="utf-8")
    secrets = "".join(f"{name}={value}\n" for name, value in stage.started.environment.items())
    (stage.folder / "all.env").write_text(secrets, encoding="utf-8")
    changed = stage.folder / "changed.yaml"
    changed.write_text(text.replace("mode: sandbox", f"mode: sandbox\n{settings}", 1), encoding="utf-8")
    return cli.main(["plan", str(changed), "--env", str(stage.folder / "all.env"), "--language", "en", *more])


def test_a_plan_says_what_it_can_tell_and_that_few_phones_tell_nothing(stage, capsys):
    assert plan(stage) == desk.FINE
    told = capsys.readouterr().out
    assert "What this plan can tell apart" in told
    assert "China Unicom" in told and "give no statement about the carrier at all" in told


def test_a_plan_that_may_stop_early_says_when_it_looks(stage, capsys):
    assert plan(stage, settings="stop: early") == desk.FINE
    capsys.readouterr()
    assert plan(stage, "--json", settings="stop: early") == desk.FINE
    told = json.loads(capsys.readouterr().out)
    assert told["looks"] == []  # too few phones on every carrier: there is nothing to look at
    assert told["power"]["wanted"]["rates"] == [0.98, 0.96]


@pytest.mark.parametrize("wrong", ["98:98", "98", "0:50", "101:99", "a:b"])
def test_a_difference_that_is_none_is_told_with_the_way_out(stage, capsys, wrong):
    assert plan(stage, "--rates", wrong) == desk.CHANGE_SOMETHING
    assert "--rates 98:96" in capsys.readouterr().err


def test_a_report_has_a_workbook_with_the_cases_where_the_ledger_is(stage, capsys):
    assert stage.play() is not None
    assert cli.main(["score", str(stage.run_folder)]) in (desk.INSUFFICIENT, desk.GATE_FAILED)
    capsys.readouterr()
    assert cli.main(["report", str(stage.run_folder), "--xlsx", "--language", "en"]) == desk.FINE
    written = Path(capsys.readouterr().out.splitlines()[-1])
    assert written.name == "report.en.xlsx" and written.read_bytes().startswith(b"PK")


def test_a_machine_that_cannot_print_keeps_the_other_files_and_says_what_to_install(stage, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert cli.main(["report", str(stage.run_folder), "--pdf", "--language", "en"]) == desk.CHANGE_SOMETHING
    told = capsys.readouterr()
    assert "report.en.html" in told.out and "chromium" in told.err.lower()


def test_a_description_is_begun_once_and_never_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["vendors", "new", "acme"]) == desk.FINE
    begun = (tmp_path / "acme.yaml").read_text(encoding="utf-8")
    assert cli.main(["vendors", "new", "acme"]) == desk.CHANGE_SOMETHING
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "acme.yaml").read_text(encoding="utf-8") == begun


@pytest.mark.parametrize("months", ["0", "13"])
def test_the_demo_plays_no_impossible_number_of_months(months, tmp_path, capsys):
    assert cli.main(["demo", "--months", months, "--out", str(tmp_path)]) == desk.CHANGE_SOMETHING
    assert "from 1 to 12" in capsys.readouterr().err


def test_init_writes_files_that_check_reads_and_never_writes_over_any(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init"]) == desk.FINE
    written = {name: (tmp_path / name).read_bytes() for name in capsys.readouterr().out.split()}
    assert written.keys() == {"evaluation.yaml", "recipients.csv", "forwarders.yaml", "dossier.yaml"}
    assert cli.main(["check", "--offline", "--language", "en"]) == desk.CHANGE_SOMETHING
    told = capsys.readouterr().err
    assert "vendors.ali-main.account.access_key" in told and "export ALI_KEY=" in told  # all of it at once
    assert "recipients.csv, line 2: number" in told and "nothing was sent" in told
    assert cli.main(["init"]) == desk.CHANGE_SOMETHING
    assert "is there already" in capsys.readouterr().err
    assert written == {name: (tmp_path / name).read_bytes() for name in written}


@pytest.mark.parametrize(("language", "said"), [("zh-CN", "故意：缺退订方式"), ("en", "on purpose: no opt-out")])
def test_the_test_texts_are_listed_with_what_is_wrong_with_them_on_purpose(capsys, language, said):
    assert cli.main(["texts", "--language", language]) == desk.FINE
    listed = capsys.readouterr().out
    assert said in listed and "{code}" in listed and "harmless\n" not in listed
    assert cli.main(["texts", "--json"]) == desk.FINE
    told = json.loads(capsys.readouterr().out)
    assert {one["kind"] for one in told} == {"compliant", "faulty", "harmless"}
    assert len(told) * 2 == len(listed.splitlines())
