"""Bad input: everything wrong is found before anything is sent, with file, line, value and way out."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import config, registry
from harness.clock import RealClock
from harness.config import Evaluation, load_evaluation
from harness.domain import BEIJING, Carrier, Hours, Money, Purpose, Secret
from harness.errors import Complaint, ConfigError
from harness.run.house import Contest, open_contest
from tests.harness.given import ENVIRONMENT, EVALUATION, RECIPIENTS, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(folder: Path, text: str = EVALUATION, *, recipients: str = RECIPIENTS, **files: str) -> Evaluation:
    return load_evaluation(write(folder, text, recipients, **files), ENVIRONMENT)


def complaints(
    folder: Path, text: str = EVALUATION, *, recipients: str = RECIPIENTS, environment=ENVIRONMENT, **files: str
) -> list[Complaint]:
    with pytest.raises(ConfigError) as caught:
        load_evaluation(write(folder, text, recipients, **files), environment)
    for one in caught.value.complaints:
        assert re.match(r"[\w.-]+, line \d+", one.place), one.place
        assert one.problem, one
        assert one.way_out, one
        assert str(folder) not in str(one), "a path of this machine is nobody's business"
    return list(caught.value.complaints)


def only(folder: Path, text: str = EVALUATION, **more) -> str:
    (complaint,) = complaints(folder, text, **more)
    return str(complaint)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def swapped(before: str, after: str, text: str = EVALUATION) -> str:
    assert text.count(before) == 1, before
    return text.replace(before, after)


# --- what is right --------------------------------------------------------------------------------------------------


def test_a_good_evaluation_is_read_whole(folder):
    evaluation = load(folder)
    assert evaluation.name == "check"
    assert evaluation.begins == datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    assert evaluation.lasts == timedelta(days=3)
    assert evaluation.hours == Hours(begin=time(9), end=time(20, 30))
    assert [one.id for one in evaluation.recipients] == ["p1", "p2", "p3", "p4"]
    assert evaluation.recipients[0].tags == {"age_band": "25-34"}
    assert evaluation.recipients[0].allotted_carrier is Carrier.CHINA_MOBILE
    assert evaluation.forwarders["f3"].header == "x-phone"
    assert evaluation.vendors["ali"].price == Money(amount=Decimal("0.05"))
    assert evaluation.scenarios == {"delivery": {"messages": "12"}}
    assert evaluation.purposes == tuple(Purpose)
    assert evaluation.world is None


def test_secrets_come_from_the_environment_and_show_nowhere(folder):
    evaluation = load(folder)
    secret = evaluation.vendors["ali"].credentials["access_secret"]
    assert isinstance(secret, Secret)
    assert secret.reveal() == ENVIRONMENT["SECRET"]
    for value in ENVIRONMENT.values():
        assert value not in repr(evaluation)
        assert value not in str(evaluation.settings())


def test_numbers_show_nowhere(folder):
    evaluation = load(folder)
    assert "13800001234" not in repr(evaluation)
    assert "00001234" not in str(evaluation.settings())


def test_the_digest_follows_every_file_and_no_secret(folder):
    first = load(folder).digest
    assert load_evaluation(folder / "evaluation.yaml", {**ENVIRONMENT, "SECRET": "another"}).digest == first
    assert load(folder, EVALUATION + "# a remark\n").digest == first
    assert load(folder, swapped("3 days", "4 days")).digest != first
    assert load(folder, recipients=RECIPIENTS.replace("25-34", "24-34")).digest != first


def test_companions_may_stand_in_files_or_in_place(folder):
    dossier = "ali: {licence: {number: B2}}\n"
    in_place = load(folder, EVALUATION + f"dossier:\n  {dossier}")
    in_file = load(folder, EVALUATION + "dossier: dossier.yaml\n", dossier_yaml=dossier)
    assert in_place.dossier == in_file.dossier
    assert in_file.dossier[0].number == "B2"


def test_the_starting_files_are_complete_but_for_their_numbers(folder):
    for name in ("evaluation.yaml", "recipients.csv", "forwarders.yaml", "dossier.yaml"):
        (folder / name).write_text(registry.starter_file(name), encoding="utf-8")
    environment = {
        name: "value-of-it"
        for file in ("evaluation.yaml", "forwarders.yaml")
        for name in re.findall(r"\$([A-Z0-9_]+)", registry.starter_file(file))
    }
    with pytest.raises(ConfigError) as caught:
        load_evaluation(folder / "evaluation.yaml", environment)
    assert {one.place.partition(",")[0] for one in caught.value.complaints} == {"recipients.csv"}
    assert all("is a sample number" in one.problem for one in caught.value.complaints)


# --- YAML's traps ---------------------------------------------------------------------------------------------------


def test_yaml_traps_do_not_bite(folder):
    text = swapped("lasts: 3 days", "lasts: 3 days\nhours: 12:30-13:45")
    text = swapped("{messages: 12}", "{messages: 010, note: on}", text)
    text = swapped("SMS_000000001", "010", text)
    evaluation = load(folder, text)
    assert evaluation.hours == Hours(begin=time(12, 30), end=time(13, 45))
    assert evaluation.scenarios["delivery"] == {"messages": "010", "note": "on"}
    assert evaluation.vendors["ali"].templates == {"login_code": "010"}


def test_a_bomb_is_refused(folder):
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert "Aliases that multiply" in only(folder, EVALUATION + bomb)


def test_a_key_written_twice_is_told_with_both_lines(folder):
    text = EVALUATION + "mode: live\n"
    told = only(folder, text)
    assert f"line {line_of(text, 'mode: live')}" in told
    assert f"on line {line_of(text, 'mode: sandbox')}" in told


# --- everything at once ---------------------------------------------------------------------------------------------

WRONG = """\
evaluation: check
mode: lvie
language: fr
seed: many
begins: tomorrow
lasts: 3 fortnights
hours: 20:30-09:00
spend_limit: lots
message_limit: -1
horizon: 2 h
purposes: [gossip]
recipients: recipients.csv
caps: {per_dya: 3, gap: soon}
inbox: {listen: 8025, url: nowhere}
gates: arrival.rate >= 0.97
words: {dated: soon}
colour: red
forwarders:
  f1: {app: fax}
  f2: {app: smsgate}
  f3: {app: json, secret: literal, fields: {sender: from}}
vendors:
  Ali Main:
    use: alibaba
    account: {access_key: LTAI5literal, access_secret: $UNSET}
    signature: 【某某科技】
    price: cheap
    endpoint: ftp://sms.example.com
    reports: sometimes
    per_second: 0
    endpoints: {management: nowhere}
    push_secret: literal-secret-0123456789
    push_from: [203.0.113.0/24, 10.0.0.1/8]
    templates: {login_cod: SMS_1}
scenarios:
  delivry: {messages: 12}
"""
EXPECTED = {
    "mode": "Did you mean live?",
    "language": "got 'fr'",
    "seed": "Write a whole number",
    "begins": "2026-03-02 09:00",
    "lasts": "3 fortnights",
    "hours": "begins after it ends",
    "spend_limit": "200 CNY",
    "message_limit": "'-1'",
    "purposes": "got 'gossip'",
    "caps.per_dya": "Did you mean per_day?",
    "caps.gap": "'soon'",
    "inbox.listen": "got '8025'",
    "inbox.url": "'nowhere'",
    "gates": "Write a list",
    "dated": "dated: 2026-11-20",
    "colour": "unknown key",
    "f1.app": "got 'fax'",
    "f2": "has no secret",
    "f3.secret": "literal value",
    "f3.fields": "lacks sender or text",
    "vendors.Ali Main": "lower-case",
    "vendors.Ali Main.account.access_key": "ACCESS_KEY",
    "vendors.Ali Main.account.access_secret": "export UNSET=",
    "vendors.Ali Main.signature": "without the brackets",
    "vendors.Ali Main.price": "0.045 CNY",
    "vendors.Ali Main.endpoint": "ftp://sms.example.com",
    "vendors.Ali Main.reports": "got 'sometimes'",
    "vendors.Ali Main.per_second": "no number above 0",
    "vendors.Ali Main.endpoints.management": "web address",
    "vendors.Ali Main.push_secret": "$PUSH_SECRET",
    "vendors.Ali Main.push_from": "'10.0.0.1/8' is no address or network",
    "vendors.Ali Main.templates.login_cod": "Did you mean login_code?",
    "scenarios.delivry": "Did you mean delivery?",
    "horizon": "longer than report_horizon",
}


def test_all_that_is_wrong_is_found_at_once_where_it_stands(folder):
    found = complaints(folder, WRONG, recipients=RECIPIENTS + "p5,123,china_mobile,handset,owner,2026-01-05,f1,,,,\n")
    by_path = {one.place.partition(": ")[2]: one for one in found if one.place.startswith("evaluation.yaml")}
    for path, words in EXPECTED.items():
        assert path in by_path, f"nothing was said of {path}"
        assert words in str(by_path[path]), (path, str(by_path[path]))
        leaf = path.rpartition(".")[2]
        line = int(re.search(r"line (\d+)", by_path[path].place)[1])
        assert leaf in WRONG.splitlines()[line - 1], (path, line)
    assert any(one.place == "recipients.csv, line 6: number" for one in found)
    assert "LTAI5literal" not in "".join(map(str, found)), "a literal secret is not repeated"
    assert "literal-secret" not in "".join(map(str, found))


def test_complaints_come_in_the_order_of_the_files(folder):
    found = complaints(folder, WRONG, recipients=RECIPIENTS + "p5,123,china_mobile,handset,owner,2026-01-05,f1,,,,\n")
    places = [(one.place.partition(",")[0], int(re.search(r"line (\d+)", one.place)[1])) for one in found]
    assert places == sorted(places)


# --- one by one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("evaluation: check\n", "", "evaluation\n  is missing"),
        ("evaluation: check", "evaluation:", "evaluation\n  is missing"),
        ("recipients: recipients.csv", "recipients:", "recipients\n  is missing"),
        ("recipients: recipients.csv", "recipients: nobody.csv", "there is no such file"),
        ("recipients: recipients.csv", "recipients: [a.csv]", "got a list of 1"),
        ("lasts: 3 days", "lasts: 0 days", "no time at all"),
        ("lasts: 3 days", "lasts: 99999999999999 days", "longer than a calendar"),
        ("lasts: 3 days", "pull_every: 0 s", "no time at all"),
        ("lasts: 3 days", "begins_: x", "Did you mean begins?"),
        ("begins: 2026-03-02 09:00", "begins: 0001-01-01 00:00", "beyond the calendar"),
        ("lasts: 3 days", "hours: 09:00-09:00", "nothing could be sent"),
        ("lasts: 3 days", "hours: 25:00-26:00", "hour must be in"),
        ("lasts: 3 days", "hours: 9-20", "09:00-20:30"),
        ("lasts: 3 days", "purposes: []", "names no purpose"),
        ("lasts: 3 days", "purposes: {a: b}", "got a mapping of 1"),
        ("lasts: 3 days", "purposes: [[marketing]]", "got a list of 1"),
        ("lasts: 3 days", "spend_limit: NaN CNY", "is no amount"),
        ("lasts: 3 days", "spend_limit: -1 CNY", "is no amount"),
        ("lasts: 3 days", "spend_limit: 200", "is no amount"),
        ("lasts: 3 days", "message_limit: 1e3", "no whole number"),
        ("lasts: 3 days", "inbox: {listen: '127.0.0.1:99999'}", "127.0.0.1:99999"),
        ("lasts: 3 days", "dossier: [x]", "got a list of 1"),
        ("lasts: 3 days", "dossier:", "Name a YAML file"),
        ("lasts: 3 days", "dossier: {nobody: {}}", "no vendor of the evaluation"),
        ("lasts: 3 days", "criteria: mine.yaml", "there is no such file"),
        ("lasts: 3 days", "caps: 3", "Write a mapping here"),
        ("scenarios:\n  delivery: {messages: 12}", "scenarios: {}", "names no scenario"),
        ("{messages: 12}", "{messages: [1]}", "Write one plain value"),
        ("use: alibaba", "use:", "use\n  is missing"),
        ("{access_key: $KEY, access_secret: $SECRET}", "LTAI5literal", "got a literal value"),
        ("access_key: $KEY", "access_key: $", "is not set"),
        ("price: 0.05 CNY", "price: 0.05 USD", "the spend limit in CNY"),
        ("price: 0.05 CNY", "endpoint: http://", "no web address"),
        ("price: 0.05 CNY", "endpoint: https://user:pw@sms.example.com", "no web address"),
        ("templates: {login_code: SMS_000000001}", "templates: {login_code: [1]}", "Write one plain value"),
        ("templates: {login_code: SMS_000000001}", "template: {login_code: x}", "Did you mean templates?"),
    ],
)
def test_a_single_fault_is_the_only_one_told(folder, before, after, words):
    told = only(folder, swapped(before, after))
    assert words in told
    assert "LTAI5literal" not in told


def test_without_vendors_there_is_nothing_to_do(folder):
    text = EVALUATION[: EVALUATION.index("vendors:")] + "scenarios: {delivery: {}}\n"
    assert "names no vendor" in only(folder, text)


def test_a_missing_file_is_told(folder):
    with pytest.raises(ConfigError, match="there is no such file"):
        load_evaluation(folder / "evaluation.yaml", {})


def test_a_file_that_is_no_utf8_is_told(folder):
    write(folder)
    (folder / "evaluation.yaml").write_bytes("evaluation: 检查".encode("gbk"))
    with pytest.raises(ConfigError, match="Save it as UTF-8"):
        load_evaluation(folder / "evaluation.yaml", {})


def test_a_byte_order_mark_does_no_harm(folder):
    path = write(folder)
    for name in ("evaluation.yaml", "recipients.csv"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert load_evaluation(path, ENVIRONMENT).name == "check"


def test_every_unset_variable_is_named(folder):
    told = "\n".join(map(str, complaints(folder, environment={})))
    for name in ("KEY", "SECRET", "PHONE"):
        assert f"export {name}=" in told


def test_an_empty_variable_is_an_unset_one(folder):
    told = "\n".join(map(str, complaints(folder, environment={**ENVIRONMENT, "SECRET": ""})))
    assert "the variable SECRET is not set" in told


# --- live -----------------------------------------------------------------------------------------------------------

LIVE = swapped("mode: sandbox", "mode: live\nspend_limit: 100 CNY")
REAL = re.sub(r",(1\d\d)0000", r",\g<1>5000", RECIPIENTS)


def test_a_live_run_with_limit_prices_and_real_numbers_is_fine(folder):
    assert load(folder, LIVE, recipients=REAL).mode == "live"


def test_a_live_run_needs_a_spend_limit(folder):
    told = only(folder, swapped("spend_limit: 100 CNY\n", "", LIVE), recipients=REAL)
    assert "spend_limit" in told
    assert "is missing" in told


def test_a_live_run_needs_the_price_of_every_vendor(folder):
    found = complaints(folder, re.sub(r"    price: .*\n", "", LIVE), recipients=REAL)
    assert [one.place.partition(": ")[2] for one in found] == ["vendors.ali.price", "vendors.yun.price"]


def test_a_live_run_refuses_sample_numbers_masked(folder):
    found = complaints(folder, LIVE)
    assert [one.place for one in found] == [f"recipients.csv, line {n}: number" for n in (2, 3, 4, 5)]
    assert "'138******34' is a sample number" in found[0].problem


# --- recipients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "place", "words"),
    [
        ("13800001234", "12800001234", "line 2: number", "'128******34' is no mainland mobile number"),
        ("13800001234", "1380000123", "line 2: number", "138*****23"),
        ("13800001234", "", "line 2: number", "is no phone number"),
        ("13800001234", "14800001234", "line 2: number", "machine"),
        ("13800001234", "106900001234", "line 2: number", "no mainland mobile number"),
        ("p1,", ",", "line 2: id", "is missing"),
        ("p1,", "13800001234,", "line 2: id", "got '138******34'"),
        ("p1,", "../p1,", "line 2: id", "letters, digits"),
        ("china_unicom", "unicom", "line 3: carrier", "Did you mean china_unicom?"),
        ("china_mobile,blocked", "china_mobile,blokced", "line 5: kind", "Did you mean blocked?"),
        ("owner,2026-01-05,f1", ",2026-01-05,f1", "line 2: consent_by", "no consent on file"),
        ("owner,2026-01-05,f1", "owner,,f1", "line 2: consent_by", "no consent on file"),
        ("2026-01-05,f1,no", "2026-01-05,f9,no", "line 2: forwarder", "got 'f9'"),
        ("2026-01-05,f1,no", "2026-01-05,,no", "line 2: forwarder", "is missing"),
        ("2026-01-05,f2,no,yes,3", "2026-01-05,f2,no,perhaps,3", "line 3: tester", "'perhaps'"),
        ("2026-01-05,f2,no,yes,3", "2026-01-05,f2,no,yes,0", "line 3: cap_per_day", "above 0"),
        ("35-44", "35-44,more", "line 3", "more values than columns"),
        ("18600001235", "138 0000 1234", "line 3", "the number of p2 (138******34) stands here a second time"),
        ("p2,", "p1,", "line 3", "the id of p1"),
        ("2026-01-05,f2,no,yes", "2026-01-05,f1,no,yes", "line 3: forwarder", "serves p1 already"),
    ],
)
def test_a_fault_of_a_recipient_is_told_with_its_line_and_no_number(folder, before, after, place, words):
    assert RECIPIENTS.count(before) == 1
    found = complaints(folder, recipients=RECIPIENTS.replace(before, after))
    told = "\n".join(map(str, found))
    assert any(one.place == f"recipients.csv, {place}" for one in found), told
    assert words in told
    assert not re.search(r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}", told), "numbers are masked"


def test_consent_given_on_no_day_is_none(folder):
    found = complaints(folder, recipients=RECIPIENTS.replace("owner,2026-01-05,f1", "owner,in spring,f1"))
    assert {one.place for one in found} == {"recipients.csv, line 2: consent_on", "recipients.csv, line 2: consent_by"}


def test_shifted_columns_show_no_number(folder):
    found = complaints(folder, recipients=RECIPIENTS.replace("p1,13800001234", "p1,x,13800001234"))
    assert "1380000" not in "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("consent_by,", "", "lacks the column consent_by"),
        ("age_band", "cap_per_dya", "Did you mean cap_per_day?"),
        ("age_band", "id", "has the column 'id' twice"),
    ],
)
def test_a_wrong_column_is_told_before_any_row(folder, before, after, words):
    head, _, rows = RECIPIENTS.partition("\n")
    assert words in only(folder, recipients=f"{head.replace(before, after)}\n{rows}")


def test_an_empty_list_of_recipients_lacks_its_columns(folder):
    assert len(complaints(folder, recipients="")) == 5


def test_a_panel_without_a_handset_cannot_see_arrivals(folder):
    head, *_, blocked = RECIPIENTS.strip().splitlines()
    assert "holds no handset" in only(folder, recipients=f"{head}\n{blocked}\n")


def test_a_ported_number_is_known_by_its_two_carriers(folder):
    text = RECIPIENTS.replace("p2,18600001235,china_unicom", "p2,18600001235,china_mobile")
    person = load(folder, recipients=text).recipients[1]
    assert person.is_ported
    assert (person.carrier, person.allotted_carrier) == (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM)


# --- single values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90 s", 90),
        ("4 min", 240),
        ("4min", 240),
        ("1.5 h", 5400),
        ("3 days", 259_200),
        ("2 weeks", 1_209_600),
        ("250 ms", 0.25),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert config.duration(text).total_seconds() == seconds


@given(st.text(max_size=20) | st.from_regex(r"-?\d{0,30}(\.\d+)? ?(ms|s|min|h|days|weeks|x)?", fullmatch=True))
def test_any_text_is_a_value_or_refused_as_one(text):
    for parse in (
        config.duration,
        config.span,
        config.money,
        config.hours,
        config.moment,
        config.positive,
        config.whole,
        config.web_address,
    ):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)


@given(st.times(), st.times())
def test_hours_are_read_to_the_minute(one, other):
    begin, end = sorted([one.replace(second=0, microsecond=0), other.replace(second=0, microsecond=0)])
    if begin != end:
        assert config.hours(f"{begin:%H:%M}-{end:%H:%M}") == Hours(begin=begin, end=end)


def test_a_moment_without_a_zone_is_beijing_time():
    assert config.moment("2026-03-02 09:00") == datetime(2026, 3, 2, 9, tzinfo=BEIJING)
    assert config.moment("2026-03-02T09:00:00+00:00") == datetime(2026, 3, 2, 17, tzinfo=BEIJING)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_place_is_taken_or_complained_about(folder, data):
    """Whatever is put in place of a line's value, loading ends with an evaluation or with complaints."""
    lines = EVALUATION.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    value = data.draw(
        st.sampled_from(["", "[]", "[x]", "{}", "{a: b}", "$KEY", "-1", "0", "9" * 40, "'\u202e'", "138 0000 1234"])
    )
    key, colon, _ = lines[number].partition(":")
    lines[number] = f"{key}{colon} {value}"
    write(folder, "\n".join(lines))
    try:
        load_evaluation(folder / "evaluation.yaml", ENVIRONMENT)
    except ConfigError as error:
        assert "0000 1234" not in str(error)


# --- what only the adapter knows ------------------------------------------------------------------------------------


MONTNETS = """\
  meng:
    use: montnets
    account: {userid: $ALI_KEY, pwd: $ALI_SECRET}
    signature: 某某科技
    price: 0.04 CNY
"""


def contest_of(folder: Path, extra: str = "") -> Contest:
    text = EVALUATION.replace("vendors:\n", f"vendors:\n{MONTNETS}{extra}")
    environment = {**ENVIRONMENT, "ALI_KEY": "J10003", "ALI_SECRET": "a-password"}
    evaluation = replace(load_evaluation(write(folder, text), environment), mode="live")
    return open_contest(evaluation, clock=RealClock(), nonce=lambda: "0" * 32)


def test_an_account_whose_vendor_has_no_host_of_its_own_is_asked_for_one(folder):
    with pytest.raises(ConfigError, match="gives every account a host of its own"):
        contest_of(folder)


def test_a_push_url_holds_a_word_that_no_other_account_and_no_report_has(folder):
    contest = contest_of(folder, "    endpoint: https://sms.example.com\n")
    words = {label: account.push_url.rpartition("/")[2] for label, account in contest.accounts.items()}
    assert all(re.fullmatch("[0-9a-f]{32}", word) for word in words.values())
    assert len(set(words.values())) == len(words)


# --- robots and early stopping ---------------------------------------------------------------------------------------

ROBOTS = {**ENVIRONMENT, "ROBOT_URL": "https://oapi.example/robot/send?access_token=abc", "ROBOT_SECRET": "SEC123"}
NOTIFY = "notify:\n  team: {kind: dingtalk, url: $ROBOT_URL, secret: $ROBOT_SECRET}\n"


def test_robots_are_read_with_their_secrets_from_the_environment(folder):
    evaluation = load_evaluation(write(folder, EVALUATION + NOTIFY), ROBOTS)
    (robot,) = evaluation.robots
    assert (robot.name, robot.kind) == ("team", "dingtalk")
    assert robot.url.reveal().endswith("access_token=abc")
    assert "SEC123" not in repr(evaluation) and "access_token" not in repr(evaluation)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("kind: dingtalk", "kind: slack", "Write one of wecom"),
        ("url: $ROBOT_URL, ", "", "Whoever has it can post"),
        ("$ROBOT_URL", "https://oapi.example/x", "read from the environment"),
        ("$ROBOT_URL", "$ROBOT_SECRET", "is no web address"),
        ("kind: dingtalk", "kind: wecom", "no use to a WeCom robot"),
    ],
)
def test_a_robot_that_could_not_post_is_told_before_anything_is_sent(folder, before, after, words):
    assert words in only(folder, EVALUATION + swapped(before, after, NOTIFY), environment=ROBOTS)


def test_stopping_early_is_asked_for_and_stands_in_the_first_fact(folder):
    assert load(folder).stop == ""
    evaluation = load(folder, EVALUATION + "stop: early\n")
    assert evaluation.stop == evaluation.settings()["stop"] == "early"
    assert "stop" in only(folder, EVALUATION + "stop: soon\n")
