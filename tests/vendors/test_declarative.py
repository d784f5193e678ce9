"""What a description may say, what becomes of a mistake in it, and that nothing leads out of it."""

# ruff: noqa: E501 - descriptions of one line are easier to read in one line
from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import registry
from harness.capabilities import HARMLESS, SPACED, Account, Capability, PushRefused, Tools, capabilities_of
from harness.domain import Accepted, DeliveryState, Refused, Secret
from harness.errors import ConfigError, Throttled, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import play
from tests.vendors import samples
from tests.vendors.samples import CALLS, NONCE, NOON, message
from vendors.declarative import module
from vendors.declarative.expressions import FILTERS, Expression, Unsaid

HEAD = """vendor: acme
endpoint: https://sms.acme.example
sends: text
account: {key: plain, secret: secret}
"""
SUBMIT = """submit:
  request: {path: /send, form: {to: message.national}}
  reply: {ok: reply.ok, code: reply.code, detail: reply.msg, id: reply.id}
"""


def vendor(text: str, **options: str) -> Any:
    made = module(HEAD + text, "acme.yaml").Vendor
    credentials = {"key": "k", "secret": Secret("s")}
    account = Account(label="x", credentials=credentials, options=options, push_url="https://inbox.example/push/x/w")
    return made(account, Tools(now=lambda: NOON, nonce=lambda: NONCE))


def asked(text: str, **options: str) -> Any:
    return play(vendor(text, **options).submit(message())).request


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        module(text, "acme.yaml")
    return [str(one) for one in raised.value.complaints]


def value(source: str, **scope: Any) -> Any:
    return Expression(source, "here", frozenset(scope))(dict(scope))


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("submit:\n  request: {path: /x, form: {to: mesage.national}}\n", ["line 6", "did you mean message?"]),
    ("submit:\n  request:\n    path: /x\n    form:\n      a: hello\n", ["line 9", "\"'hello'\""]),
    ("submit:\n  request:\n    path: /x\n    form:\n      a: message.text|md6\n", ["line 9", "did you mean md5?"]),
    ("submit:\n  request:\n    path: /x\n    form:\n      a: message.text.upper()\n", ["line 9", "holds a call"]),
    ("submit:\n  request:\n    path: /x\n    form:\n      a: (message.text\n", ["line 9", "is no expression"]),
    ("submit:\n  request:\n    path: /x\n    form:\n      a: message.text is texty\n", ["line 9", "did you mean text?"]),
    ("submit:\n  request:\n    path: x\n", ["line 7", "Begin with a stroke"]),
    ("submit:\n  request: {path: /x}\n  reply: {ok: 'true', code: reply.code}\n", ["line 7", "id: reply.id"]),
    ("submit:\n  request: {path: /x}\n  reply: {id: reply.id}\n", ["line 7", "reply.code == '0'"]),
    ("submit:\n  request: {path: /x}\n  reply: {ok: 'true', id: reply.id}\n  replies: 1\n", ["line 8", "Did you mean reply"]),
    ("submit:\n  reply: {ok: 'true', id: reply.id}\n", ["request", "path: /v1/send"]),
    ("submit:\n  request:\n    - {path: /a}\n    - {path: /b}\n  reply: {ok: 'true', id: reply.id}\n",
     ["line 7", "when they are meant"]),
    ("codes:\n  submit:\n    '1': blacklsted\n", ["line 7", "Did you mean blacklisted?"]),
    ("codes:\n  submit:\n    '1': {reason: auth, again: sometimes}\n", ["line 7", "never, later, fresh"]),
    ("absent:\n  pulls_report: {not_offered: x}\n", ["line 6", "Did you mean pulls_reports?"]),
    ("pace: {per_second: fast}\n", ["line 5", "a number of requests"]),
    ("documents: [{title: x, read_on: yesterday}]\n", ["line 5", "a day"]),
    ("query_template:\n  request: {path: /x}\n  reply: {ok: 'true'}\n", ["line 5", "without submit_template"]),
    ("pushes: {read: [{as: report}]}\n", ["line 5", "described nowhere"]),
    ("report: {id: item.id}\n", ["line 5", "state"]),
    ("report: {id: item.id, state: {of: item.s, is: {A: deliverd}}}\n", ["line 5", "Did you mean delivered?"]),
    ("pushes: {read: [{as: nothing}], refused: {status: '200'}}\n", ["line 5", "from 400"]),
    ("balance:\n  request: {path: /b}\n  reply: {kind: text, ok: reply.a, pattern: '('}\n", ["line 7", "regular expression"]),
    ("balance:\n  request: {path: /b}\n  reply: {kind: text, ok: reply.a, pattern: 'a'}\n", ["line 7", "names no group"]),
    ("pull_reports:\n  request: {path: /b}\n  reply: {ok: 'true'}\n", ["rows: reply.data", "on the left margin"]),
    ("submit: now\n", ["line 5", "expected a mapping"]),
    ("standing: proven\n", ["line 5", "documented, sandboxed"]),
    ("options: [a]\n", ["line 5", "expected a mapping"]),
    ("colour: red\n", ["line 5", "is not known here"]),
    ("account: {a: secret}\n", ["line 5", "stands here and on line 4"]),
]  # fmt: skip


@pytest.mark.parametrize("text, told", MISTAKES, ids=[text.strip().replace("\n", " ")[:60] for text, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_what_was_expected(text: str, told: list[str]) -> None:
    found = "\n".join(complaints(HEAD + text))
    assert all(words in found for words in told), found


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    found = complaints("vendor: Acme!\nsends: smoke\naccount: {}\nendpoint: nowhere\n")
    lines = [int(one.split("line ")[1].split(":")[0]) for one in found if "line" in one]
    assert len(found) == 4 and lines == sorted(lines)


def test_a_description_that_is_no_mapping_is_told() -> None:
    assert "Begin with" in complaints("- a\n")[0]


def test_a_name_that_is_missing_in_a_message_is_told_before_anything_is_sent() -> None:
    with pytest.raises(VendorTrouble, match=r"line 6.*there is no nationl") as raised:
        asked(SUBMIT.replace("message.national", "message.nationl"))
    assert not raised.value.written


# --- no way out -------------------------------------------------------------------------------------------------------

ESCAPES = [
    "message.__class__", "message['__class__']", "message.text.__class__.__mro__", "message|attr('__class__')",
    "''.__class__", "().__class__.__base__.__subclasses__()", "message.items()", "cycler.__init__.__globals__",
    "lipsum", "self", "namespace()", "range(9)", "'%s' % message", "'a' * 1000000000", "9 ** 9 ** 9", "loop",
    "message.text.format(message)", "{}.__class__", "[].append(1)", "message if message else self._TemplateReference__context",
]  # fmt: skip


@pytest.mark.parametrize("source", ESCAPES)
def test_nothing_leads_out(source: str) -> None:
    try:
        found = value(source, message={"text": "t"})
    except (ValueError, Unsaid):
        return
    raise AssertionError(f"{source} gave {found!r}")


@settings(max_examples=200, deadline=None)
@given(
    verb=st.sampled_from(sorted(FILTERS)),
    stranger=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
        max_leaves=6,
    ),
)
def test_a_verb_over_anything_gives_a_value_or_says_that_there_is_none(verb: str, stranger: Any) -> None:
    try:
        value(f"it|{verb}", it=stranger)
    except (Unsaid, VendorTrouble) as error:
        assert "here" in str(error) or isinstance(error, VendorTrouble)


def test_an_error_quotes_no_value() -> None:
    with pytest.raises(Unsaid) as raised:
        value("secret|from_unix|unix ~ secret.x", secret="very-secret")
    assert "very-secret" not in str(raised.value)


def test_what_is_too_long_or_too_deep_is_no_expression() -> None:
    for source in ("(" * 900 + "1" + ")" * 900, "'a'" + " ~ 'a'" * 400):
        with pytest.raises(ValueError, match=r"too deep|longer than"):
            value(source, x=1)


# --- verbs ------------------------------------------------------------------------------------------------------------

SPOKEN = [
    ("f|sorted_pairs(without=['b'])", "a=1 2&c=ü"),
    ("f|sorted_pairs(encode='form')", "a=1+2&b=&c=%C3%BC"),
    ("f|sorted_pairs(encode='percent')", "a=1%202&b=&c=%C3%BC"),
    ("f|sorted_pairs('', '')", "a1 2bcü"),
    ("f|sorted_pairs(prefix='&', separator='', values_only=true)", "&1 2&&ü"),
    ("{'n': ['x', 'y'], 'm': 1}|flat|json", '{"n.0":"x","n.1":"y","m":1}'),
    ("{'n': ['x']}|flat(1)|json", '{"n.1":"x"}'),
    ("{'a': 'ü'}|json(ascii=true, spaced=true)", '{"a": "\\u00fc"}'),
    ("'ü'|encoded('gbk')|base64", "qLk="),
    ("'a?'|sha1|base64url", base64.urlsafe_b64encode(hashlib.sha1(b"a?").digest()).decode()),
    ("'YQ=='|unbase64|hex", "61"),
    ("'k'|hmac('s')|hex", hmac.new(b"s", b"k", "sha256").hexdigest()),
    ("'测 /'|percent", "%E6%B5%8B%20%2F"),
    ("'测'|percent('gbk')", "%B2%E2"),
    ("'测 '|form", "%E6%B5%8B+"),
    ("t|unix", "1772424000"), ("t|unix_ms", "1772424000000"), ("t|beijing('%Y%m%d%H%M%S')", "20260302120000"),
    ("t|utc('%Y-%m-%dT%H:%M:%SZ')", "2026-03-02T04:00:00Z"), ("d|begins|unix", "1772294400"), ("d|ends|unix", "1772380799"),
    ("'ab'|upper ~ 'AB'|lower ~ ' x '|trim", "ABabx"),
    ("'abc'[1:] ~ 'abc'|length", "bc3"),
    ("'某'|bracketed ~ '【某】a'|unsigned ~ '【某】a'|bare ~ '【某】a'|signature_last ~ 'b'|signed('某')", "【某】a某a【某】【某】b"),
    ("'码{code}'|marked('#', '#')", "码#code#"),
    ("'+8613800001234'|national ~ ' 13800001234'|masked", "13800001234 138******34"),
    ("nonce|uuid", "01234567-89ab-cdef-0123-456789abcdef"),
    ("[{'a': 'x'}, {'a': 'x'}]|each('a')|distinct|joined(',')", "x"),
    ("['a b', 'c']|all('percent')|joined(',')", "a%20b,c"),
    ("['', 'a', 'b']|words ~ ['z']|first", "a bz"),
    ("'x'|among({'x': 'y'}) ~ 'q'|among({'x': 'y'}, 'other')", "yother"),
    ("'ok 42'|match('ok ([0-9]+)')", "42"),
    ("missing|default('none')|replace('n', 'N')", "NoNe"),
    ("{'a': '1 ', 'c': 2}|values|joined('')", "1 2"),
    ("(2 + 1 - 1) ~ 'x'", "2x"),
    ("true if f|has('zz', 'a') and not 'a'|starts('b') else false", True),
    ("'%E6%88%90'|unescaped", "成"),
]  # fmt: skip


@pytest.mark.parametrize("source, wanted", SPOKEN, ids=[source for source, _ in SPOKEN])
def test_the_verbs_say_what_the_page_says(source: str, wanted: Any) -> None:
    scope = {"f": {"a": "1 2", "c": "ü", "b": None}, "t": NOON, "d": date(2026, 3, 1), "nonce": NONCE, "missing": None}
    assert value(source, **scope) == wanted


@pytest.mark.parametrize(
    "source",
    ["'1772424000'|from_unix", "1772424000000|from_unix_ms", "'2026-03-02 12:00:00'|from_beijing",
     "'2026-03-02T04:00:00Z'|from_utc", "'2603021200'|from_digits('%y%m%d%H%M')",
     "'2603020400'|from_digits('%y%m%d%H%M', 'utc')", "'Mon, 02 Mar 2026 04:00:00 +0000'|from_mail"],
)  # fmt: skip
def test_stamps_come_in_many_ways(source: str) -> None:
    assert value(source, x=1) == NOON


def test_what_is_not_there_is_never_written_as_none() -> None:
    for source in ("'a' ~ it", "'a' ~ it.b", "it|md5|hex ~ (it|md5)"):
        with pytest.raises(Unsaid):
            value(source, it=None)


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_field_of_json_is_text_unless_it_is_listed_and_null_is_left_out() -> None:
    reply = "reply: {ok: 'true', id: reply.id}"
    text = "submit:\n  request:\n    path: /x\n    numbers: [n, m]\n    json:\n      n: now|unix\n      t: now|unix\n" \
        "      gone: none\n      yes: true\n      deep: {m: [\"'1'\", \"'2'\"], p: message.parameters}\n  " + reply  # fmt: skip
    assert json.loads(asked(text).content) == {
        "n": 1772424000, "t": "1772424000", "yes": True, "deep": {"m": [1, 2], "p": {"code": "1234"}},
    }  # fmt: skip
    with pytest.raises(VendorTrouble, match="no whole number"):
        asked(text.replace("n: now|unix", "n: message.text"))


def test_a_query_a_path_and_a_body_are_each_encoded_in_their_own_way() -> None:
    request = asked(
        "submit:\n  request:\n    path: /v1/{message.reference}/x\n    spaces: percent\n    query: {q: \"'a b&c'\"}\n"
        "    form: {f: \"'ü +'\"}\n  reply: {ok: 'true', id: reply.id}"
    )
    assert str(request.url) == "https://sms.acme.example/v1/ref-1/x?q=a%20b%26c"
    assert request.content == b"f=%C3%BC%20%2B" and request.method == "POST"


def test_a_whole_body_may_go_as_base64_and_be_signed_in_a_header() -> None:
    request = asked(
        "submit:\n  request:\n    path: /x\n    base64_json: {a: \"'b'\"}\n    headers: {x-s: body|md5|hex, x-t: target}\n"
        "  reply: {ok: 'true', id: reply.id}"
    )
    assert request.content == b"eyJhIjoiYiJ9"
    assert request.headers["x-s"] == hashlib.md5(b"eyJhIjoiYiJ9").hexdigest()
    assert request.headers["x-t"] == "/x"


def test_what_is_worked_out_over_the_fields_is_added_behind_them() -> None:
    request = asked(
        "every_request: {form: {k: account.key}}\n"
        "submit:\n  request:\n    path: /x\n    form: {b: \"'2'\", a: \"'1'\"}\n"
        "    add: {fields: {sign: (fields|sorted_pairs ~ account.secret)|md5|hex}}\n  reply: {ok: 'true', id: reply.id}"
    )
    assert request.content.decode().startswith("k=k&b=2&a=1&sign=" + value("'a=1&b=2&k=ks'|md5|hex", x=1))


def test_raw_bytes_and_lists_do_not_get_into_a_form_or_json() -> None:
    for kind, field in (("form", "message.text|md5"), ("form", "message.parameters"), ("json", "message.text|md5")):
        with pytest.raises(VendorTrouble) as raised:
            asked(f"submit:\n  request: {{path: /x, {kind}: {{a: {field}}}}}\n  reply: {{ok: 'true', id: reply.id}}")
        assert not raised.value.written


def test_a_token_is_fetched_before_and_its_request_is_harmless() -> None:
    text = (
        "submit:\n  before:\n    token:\n      request: {path: /token, form: {k: account.key}}\n"
        "      reply: {ok: reply.t is defined, take: reply.t, code: reply.c}\n"
        "  request: {path: /send, headers: {x-token: token}, form: {}}\n  reply: {ok: 'true', id: reply.id}\n"
    )
    talk = play(vendor(text).submit(message()))
    assert talk.request is not None and talk.request.extensions[HARMLESS]
    talk.answer(200, {"t": "T"})
    assert talk.request is not None and talk.request.headers["x-token"] == "T"
    assert HARMLESS not in talk.request.extensions
    assert talk.answer(200, {"id": 7}).outcome == Accepted(vendor_message_id="7")
    with pytest.raises(VendorTrouble):
        play(vendor(text).submit(message())).answer(200, {"c": "no"})


def test_questions_of_a_kind_are_kept_apart_and_a_further_host_is_asked() -> None:
    text = (
        "endpoints: {old: https://old.acme.example}\npace: {apart: {balance: 30}}\n"
        "balance:\n  request: {host: old, path: /b, apart: balance}\n  reply: {ok: 'true', messages: reply.n, money: reply.m}\n"
    )
    talk = play(vendor(text).balance())
    assert talk.request is not None and talk.request.extensions[SPACED] == ("balance", 30.0)
    assert talk.request.url.host == "old.acme.example"
    assert talk.answer(200, {"n": 3, "m": "1.5"}).outcome.messages == 3
    with pytest.raises(Unintelligible):
        play(vendor(text).balance()).answer(200, {"n": "many"})


def test_the_request_that_is_meant_is_chosen_by_its_condition() -> None:
    text = (
        "options: {way: a}\nsubmit:\n  request:\n    - {when: option.way == 'a', path: /a}\n"
        "    - {when: option.way == 'b', path: /b}\n  reply: {ok: 'true', id: reply.id}\n"
    )
    assert asked(text).url.path == "/a" and asked(text, way="b").url.path == "/b"
    with pytest.raises(VendorTrouble, match="none of its requests"):
        asked(text, way="c")


# --- replies ----------------------------------------------------------------------------------------------------------


def answered(status: int, body: Any, more: str = "") -> Any:
    return play(vendor(SUBMIT + more).submit(message())).answer(status, body).outcome


def test_a_no_is_what_its_code_says_and_what_may_be_made_again_is_told() -> None:
    codes = (
        "codes:\n  submit:\n    '1': blacklisted\n    '2': {reason: throttled, again: later, after: 3}\n"
        "    '3': {reason: auth, again: fresh}\n    '4': auth\n    HTTP 429: throttled\n"
    )
    no = {"ok": False, "msg": "m 13800001234"}
    assert answered(200, {**no, "code": 1}, codes) == Refused(reason="blacklisted", code="1", detail="m 138******34")  # type: ignore[arg-type]
    for code, kind, after in (("2", Throttled, 3.0), ("3", Throttled, 0.0), ("4", Unauthorised, None)):
        with pytest.raises(kind) as raised:
            answered(200, {**no, "code": code}, codes)
        assert getattr(raised.value, "retry_after", None) == after
    with pytest.raises(Throttled):
        answered(429, {**no, "code": "9"}, codes)
    with pytest.raises(Unintelligible):
        answered(200, {"ok": False}, codes)


def test_a_reply_in_xml_is_its_innermost_elements() -> None:
    text = "balance:\n  request: {path: /b}\n  reply: {kind: xml, ok: reply.code == '2', messages: reply.num}\n"
    body = b"<?xml version='1.0'?><R a='b'><code>2</code><num> 7 </num><num>8</num></R>"
    assert play(vendor(text).balance()).answer(200, content=body).outcome.messages == 7
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaa">]><code>&a;</code>'
    with pytest.raises(VendorTrouble):
        play(vendor(text).balance()).answer(200, content=bomb)


def test_lists_are_tickets_numbers_and_prices_as_described() -> None:
    text = (
        "prices:\n  request: {path: /p}\n  reply: {ok: 'true', price: reply.p, currency: reply.c}\n"
        "is_blocked:\n  request: {path: /x, query: {n: national}}\n  reply: {ok: 'true', blocked: reply.b}\n"
        "block:\n  request: {path: /x, form: {n: number}}\n  reply: {ok: reply.ok, code: reply.code}\n"
        "unblock:\n  request: {path: /x, form: {n: number}}\n  reply: {ok: reply.ok, code: reply.code}\n"
    )
    made = vendor(text)
    assert capabilities_of(made) == {Capability.TELLS_PRICES, Capability.CHECKS_BLACKLIST, Capability.EDITS_BLACKLIST}
    assert play(made.prices()).answer(200, {"p": "0.05", "c": "USD"}).outcome.currency == "USD"
    with pytest.raises(Unintelligible):
        play(made.prices()).answer(200, {"p": "0.05", "c": "dollars"})
    assert play(made.is_blocked("+8613800001234")).answer(200, {"b": True}).outcome is True
    assert play(made.block("+8613800001234")).answer(200, {"ok": 1}).outcome is None
    with pytest.raises(VendorTrouble):
        play(made.unblock("+8613800001234")).answer(200, {"ok": 0, "code": 5})
    words = "check_content:\n  request: {path: /x}\n  reply: {ok: 'true', blocked: reply.b, words: reply.w}\n"
    with pytest.raises(Unintelligible):
        play(vendor(words).check_content("t")).answer(200, {"b": True, "w": 3})


# --- pushes -----------------------------------------------------------------------------------------------------------

ITEM = (
    "report:\n  id: item.id\n  state: {of: item.s, is: {D: delivered, '*': failed}}\n  code: item.s\n  segment: item.part\n"
    "  billed: item.fee\n  carrier: {of: item.net, is: {CM: china_mobile}}\ninbound: {number: item.from, text: item.words}\n"
)


def test_a_push_is_proven_fresh_and_used_once() -> None:
    text = ITEM + (
        "pushes:\n  items: whole.list\n  read: [{as: report, when: item|has('s')}, {as: nothing, when: item|has('ping')}]\n"
        "  proof:\n    expect: (account.secret ~ headers.stamp)|md5|hex|upper\n    given: headers.sign\n    any_case: 'true'\n"
        "    fresh: headers.stamp|from_unix\n    once: headers.sign\n  taken: {says: \"{'code': 0, 'n': whole.n}|json\"}\n"
    )
    body = json.dumps({"n": 7, "list": [{"id": 1, "s": "D"}, {"id": 2, "s": "X", "part": 2, "net": "CM"}, {"ping": 1}]})
    sign = value("('s' ~ stamp)|md5|hex", stamp="1772424000")
    headers = {"stamp": "1772424000", "sign": sign}
    push = vendor(text).read_push(samples.raw_push(body.encode(), headers=headers))
    assert [one.state for one in push.reports] == [DeliveryState.DELIVERED, DeliveryState.UNDELIVERED]
    assert (push.authenticated, push.once, push.unread) == (True, sign, 0)
    assert push.acknowledgement.body == b'{"code":0,"n":7}'
    for wrong, when in ({"sign": "x"}, NOON), ({}, datetime(2026, 3, 5, tzinfo=UTC)):
        with pytest.raises(PushRefused) as raised:
            vendor(text).read_push(samples.raw_push(body.encode(), headers={**headers, **wrong}, now=when))
        assert raised.value.acknowledgement.status == 400
    with pytest.raises(PushRefused, match="no list"):
        vendor(text).read_push(samples.raw_push(b'{"list": 5}', headers=headers))


def test_a_challenge_is_echoed_and_lines_of_text_are_read() -> None:
    text = ITEM + ("pushes:\n  challenge: {when: query.echo is defined, answer: query.echo}\n  read: [{as: inbound}]\n")
    push = vendor(text).read_push(samples.raw_push(b"", query="echo=abc", method="GET"))
    assert push.acknowledgement.body == b"abc" and not push.authenticated
    got = vendor(text).read_push(samples.raw_push(b"from=13800001234&words=%E5%A5%BD"))
    assert [one.text for one in got.inbound] == ["好"]


def test_items_may_be_lines_of_a_text_and_one_that_is_cut_is_counted() -> None:
    text = ITEM + "pushes: {items: \"whole.list|lines(';', ',', ['id', 's'])\", read: [{as: report}]}\n"
    push = vendor(text).read_push(samples.raw_push(b"list=7,D;8,X;9;"))
    assert [(one.vendor_message_id, one.code) for one in push.reports] == [("7", "D"), ("8", "X")]
    assert push.unread == 1
    text = ITEM + (
        "pull_reports:\n  request: {path: /q}\n  reply:\n    kind: text\n    pattern: '(?P<all>[^!]*)|(?P<no>!)'\n"
        "    ok: reply.no is not defined\n    code: reply.no\n"
        "    rows: {of: \"reply.all|lines('|', ',', ['id', 's'])\", page_size: 2}\n"
    )
    talk = play(vendor(text).pull_reports()).answer(200, content=b"1,D|2,X").answer(200, content=b"3,D")
    assert [one.vendor_message_id for one in talk.outcome] == ["1", "2", "3"]
    with pytest.raises(VendorTrouble):
        play(vendor(text).pull_reports()).answer(200, content=b"!")


def test_a_field_may_hold_json_and_a_body_that_is_too_long_is_refused() -> None:
    text = ITEM + "pushes: {json_in: [data], read: [{as: inbound}]}\n"
    push = vendor(text).read_push(samples.raw_push(b'data={"from":"13800001234","words":"R"}'))
    assert push.inbound[0].text == "R"
    for body in (b"x" * (2 << 20), b"data=%5B", b"data=nothing"):
        with pytest.raises(PushRefused):
            vendor(text).read_push(samples.raw_push(body))


# --- where descriptions live ------------------------------------------------------------------------------------------


def test_shipped_descriptions_stand_among_the_vendors_with_their_reasons() -> None:
    manifests = registry.vendor_manifests()
    assert {"luosimao", "zhutong", "alibaba"} <= manifests.keys()
    assert registry.vendor_class("yunpian").__module__ == "vendors.yunpian", "what is coded comes first"
    assert registry.vendor_module("zhutong").REASONS["4004"].reason == "invalid_number"


def test_a_description_of_ones_own_is_used_by_its_path(tmp_path: Any) -> None:
    (tmp_path / "acme.yaml").write_text(HEAD + SUBMIT, encoding="utf-8")
    kind = registry.vendor_class("acme.yaml", tmp_path)
    assert kind is registry.vendor_class(str(tmp_path / "acme.yaml"))
    assert kind.manifest.id == "acme" and registry.vendor_module("acme.yaml", tmp_path).REASONS == {}
    with pytest.raises(ConfigError, match=r"use: .*nowhere.yaml\n  No such file"):
        registry.vendor_class("nowhere.yaml", tmp_path)
    (tmp_path / "wrong.yaml").write_text(HEAD + "colour: red\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"use: .*wrong.yaml\n  wrong.yaml, line 5: colour: is not known here"):
        registry.vendor_class("wrong.yaml", tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"vendor: \xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        registry.vendor_class("latin.yaml", tmp_path)


def test_a_broken_shipped_description_is_told_by_name_and_hides_nobody_else(monkeypatch: Any) -> None:
    monkeypatch.setattr(registry, "described_names", lambda: ["ghost"])
    monkeypatch.setattr(registry, "described", lambda name: module("vendor: ghost\n", "ghost.yaml"))
    manifests = registry.vendor_manifests()
    assert "account" in manifests["ghost"].error and "alibaba" in manifests


def test_every_capability_of_a_description_is_there_or_explained() -> None:
    made = vendor(SUBMIT)
    assert capabilities_of(made) | made.manifest.absent.keys() == set(Capability)
    assert not any(secret in repr(vars(made)) for secret in ("Secret('s')", "'s'"))
    assert CALLS.keys() >= {"submit"}
