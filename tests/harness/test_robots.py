"""Robots of group chats: their wire, their signatures, and that none of them can change a verdict."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import RealClock
from harness.config import Robot
from harness.domain import Secret
from harness.errors import Throttled, Unintelligible, VendorTrouble
from harness.flow import Talk
from harness.run import robots
from harness.run.robots import Summary, post, tell
from harness.run.wire import Wire

AT = datetime(2026, 3, 2, 2, 0, 0, 123000, tzinfo=UTC)
SUMMARY = Summary(
    title="退步 · 月检 2026-07", lines=["好信在中国电信的到达率下降 4.1 个百分点", "第二行"], values={"exit_code": 1}
)
YES = {
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"code": 0, "msg": "success"},
}
URLS = {
    "wecom": "https://qyapi.example/cgi-bin/webhook/send?key=693a91f6-7xxx",
    "dingtalk": "https://oapi.example/robot/send?access_token=abcdef0123",
    "feishu": "https://open.example/open-apis/bot/v2/hook/aaaa-bbbb",
    "webhook": "https://ops.example/hooks/smsbench",
}


def robot(kind: str, secret: str | None = None, url: str | None = None) -> Robot:
    return Robot(name=kind, kind=kind, url=Secret(url or URLS[kind]), secret=None if secret is None else Secret(secret))


def sent(kind: str, secret: str | None = None, summary: Summary = SUMMARY) -> tuple[httpx.Request, dict[str, Any]]:
    talk = Talk(post(robot(kind, secret), summary, AT))
    assert talk.request is not None
    return talk.request, json.loads(talk.request.content)


def test_wecom_gets_markdown_under_its_key():
    request, body = sent("wecom")
    assert (request.method, str(request.url)) == ("POST", URLS["wecom"])
    assert body["msgtype"] == "markdown"
    assert body["markdown"]["content"].startswith("### 退步 · 月检 2026-07\n\n好信在中国电信")


def test_dingtalk_is_signed_over_time_stamp_and_secret_in_the_query():
    request, body = sent("dingtalk", "SECabc")
    query = parse_qs(urlsplit(str(request.url)).query)
    assert query["access_token"] == ["abcdef0123"]
    assert query["timestamp"] == [str(round(AT.timestamp() * 1000))]
    expected = hmac.new(b"SECabc", f"{query['timestamp'][0]}\nSECabc".encode(), hashlib.sha256).digest()
    assert base64.b64decode(query["sign"][0]) == expected
    assert body["markdown"]["title"] == SUMMARY.title


def test_dingtalks_signature_survives_its_query_whatever_characters_it_has():
    for place in range(200):
        talk = Talk(post(robot("dingtalk", f"SEC{place}"), SUMMARY, AT))
        raw = talk.request.url.raw_path.decode()
        sign = unquote(raw.rpartition("sign=")[2])
        assert "+" not in raw.rpartition("sign=")[2]
        assert base64.b64encode(base64.b64decode(sign, validate=True)).decode() == sign


def test_feishu_is_signed_with_time_stamp_and_secret_as_the_key_in_the_body():
    _, body = sent("feishu", "demo")
    assert body["timestamp"] == str(int(AT.timestamp()))
    expected = hmac.new(f"{body['timestamp']}\ndemo".encode(), b"", hashlib.sha256).digest()
    assert base64.b64decode(body["sign"]) == expected
    assert body["msg_type"] == "text" and SUMMARY.title in body["content"]["text"]


def test_unsigned_robots_get_no_signature():
    assert "sign" not in str(sent("dingtalk")[0].url)
    assert "sign" not in sent("feishu")[1]


def test_a_plain_webhook_gets_the_values_and_a_signature_over_the_very_bytes():
    request, body = sent("webhook", "s3cret")
    assert body["exit_code"] == 1 and body["title"] == SUMMARY.title
    digest = hmac.new(b"s3cret", request.content, hashlib.sha256).hexdigest()
    assert request.headers[robots.SIGNATURE_HEADER] == f"sha256={digest}"


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu"])
def test_a_long_summary_is_cut_at_a_line_within_the_robots_limit(kind):
    summary = Summary(title="t", lines=[f"第 {n} 行 " + "长" * 40 for n in range(2000)], values={})
    request, body = sent(kind, summary=summary)
    text = json.dumps(body, ensure_ascii=False)
    assert "…" in text
    if kind == "wecom":
        assert len(body["markdown"]["content"].encode()) <= 4096
    assert len(request.content) <= 30_000


@pytest.mark.parametrize("kind", YES)
def test_a_yes_is_a_yes(kind):
    assert Talk(post(robot(kind), SUMMARY, AT)).answer(200, YES[kind]).is_over


def test_feishus_older_yes_counts_as_well():
    assert Talk(post(robot("feishu"), SUMMARY, AT)).answer(200, {"StatusCode": 0, "StatusMessage": "success"}).is_over


@pytest.mark.parametrize(
    ("kind", "reply", "error"),
    [
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, VendorTrouble),
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, Throttled),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, VendorTrouble),
        ("feishu", {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}, VendorTrouble),
        ("feishu", {"data": 1}, Unintelligible),
    ],
)
def test_a_no_is_trouble_with_the_robots_own_words(kind, reply, error):
    with pytest.raises(error):
        Talk(post(robot(kind), SUMMARY, AT)).answer(200, reply)


@given(kind=st.sampled_from(sorted(URLS)), status=st.integers(200, 599), body=st.binary(max_size=200))
def test_whatever_is_answered_ends_in_a_yes_or_in_trouble(kind, status, body):
    with contextlib.suppress(VendorTrouble):
        assert Talk(post(robot(kind), SUMMARY, AT)).answer(status, content=body).is_over


# --- over loopback ---------------------------------------------------------------------------------------------------


async def receiving(
    answer: Callable[[bytes], bytes | None], kinds: list[Robot]
) -> tuple[dict[str, str | None], list[bytes]]:
    """Post to a local receiver that answers what it is told to, or never; what came of it, and what it got."""
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(
                next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1]
            )
            got.append(head + await reader.readexactly(length))
            if (reply := answer(got[-1])) is None:
                await asyncio.sleep(60)
            else:
                writer.write(reply)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    here = [
        Robot(
            name=one.name,
            kind=one.kind,
            url=Secret(f"http://127.0.0.1:{port}/hook?key=k3y-{one.kind}"),
            secret=one.secret,
        )
        for one in kinds
    ]
    wire = Wire()
    try:
        return await tell(here, SUMMARY, transport=wire, clock=RealClock()), got
    finally:
        await wire.aclose()
        server.close()


def http(body: dict[str, Any], status: str = "200 OK") -> bytes:
    raw = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\nconnection: close"
    return f"{head}\r\n\r\n".encode() + raw


def test_each_robot_is_told_once(monkeypatch):
    answers = iter([http(YES["wecom"]), http(YES["dingtalk"]), http(YES["feishu"]), http({}, "204 No Content")])
    told, got = asyncio.run(
        receiving(lambda _: next(answers), [robot(kind) for kind in ("wecom", "dingtalk", "feishu", "webhook")])
    )
    assert told == {"wecom": None, "dingtalk": None, "feishu": None, "webhook": None}
    assert len(got) == 4


def test_a_robot_that_answers_500_is_told_and_not_posted_to_again():
    told, got = asyncio.run(receiving(lambda _: http({"e": 1}, "500 Internal Server Error"), [robot("webhook")]))
    assert "500" in str(told["webhook"]) and len(got) == 1


def test_a_robot_that_never_answers_is_given_up_and_not_posted_to_again(monkeypatch):
    monkeypatch.setattr(robots, "DEADLINE", 0.3)
    told, got = asyncio.run(receiving(lambda _: None, [robot("wecom")]))
    assert str(told["wecom"]).startswith("no_answer") and len(got) == 1


def test_a_robot_that_is_not_there_is_told_without_its_key():
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}/hook?key=verysecretkey"

    async def play() -> dict[str, str | None]:
        wire = Wire()
        try:
            return await tell([robot("wecom", url=url)], SUMMARY, transport=wire, clock=RealClock())
        finally:
            await wire.aclose()

    told = str(asyncio.run(play())["wecom"])
    assert told.startswith("unreachable") and "verysecretkey" not in told
