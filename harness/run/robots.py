"""Posts the verdict where people read: a WeCom, DingTalk or Feishu group robot, or a plain webhook.

A robot that answers no, late or never is told and changes nothing: the verdict stands without it. What may have been
posted is not posted again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

from harness.clock import Clock
from harness.config import Robot
from harness.errors import Throttled, Unintelligible, VendorTrouble
from harness.flow import Flow
from harness.run.lines import Line, Redactor

DEADLINE: Final = 10.0  # seconds
SIGNATURE_HEADER: Final = "x-smsbench-signature"
MOST_BYTES: Final = {"wecom": 4096, "dingtalk": 18_000, "feishu": 28_000, "webhook": 64_000}  # of the text
"""WeCom: 4096 bytes of markdown; DingTalk and Feishu: 20 and 30 KB of body, with room for the rest of it."""
_TOO_FAST: Final = {"wecom": (45009,), "dingtalk": (130101, 410100), "feishu": (9499, 11232)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is posted: a title, a few lines, and for the plain webhook the same as values."""

    title: str
    lines: Sequence[str]
    values: Mapping[str, Any]


def post(robot: Robot, summary: Summary, at: datetime) -> Flow[None]:
    """Post once. Raises VendorTrouble if it was not taken, or nobody knows.

    Wire formats: WeCom 群机器人 (developer.work.weixin.qq.com, 91770), DingTalk 自定义机器人 (open.dingtalk.com,
    robot/send with sign), Feishu 自定义机器人 (open.feishu.cn, custom bot v2 with 签名校验).
    """
    text = _cut("\n".join(summary.lines), MOST_BYTES[robot.kind])
    url, headers = robot.url.reveal(), {"content-type": "application/json; charset=utf-8"}
    match robot.kind:
        case "wecom":
            body: dict[str, Any] = {"msgtype": "markdown", "markdown": {"content": _markdown(summary.title, text)}}
        case "dingtalk":
            body = {"msgtype": "markdown", "markdown": {"title": summary.title, "text": _markdown(summary.title, text)}}
            if robot.secret is not None:
                stamp = str(round(at.timestamp() * 1000))
                sign = quote_plus(dingtalk_sign(stamp, robot.secret.reveal()))
                url += f"{'&' if '?' in url else '?'}timestamp={stamp}&sign={sign}"
        case "feishu":
            body = {"msg_type": "text", "content": {"text": f"{summary.title}\n{text}"}}
            if robot.secret is not None:
                stamp = str(int(at.timestamp()))
                body = {"timestamp": stamp, "sign": feishu_sign(stamp, robot.secret.reveal()), **body}
        case _:
            body = {"title": summary.title, "text": text, **summary.values}
    raw = json.dumps(body, ensure_ascii=False).encode()
    if robot.kind == "webhook" and robot.secret is not None:
        digest = hmac.new(robot.secret.reveal().encode(), raw, hashlib.sha256).hexdigest()
        headers[SIGNATURE_HEADER] = f"sha256={digest}"
    reply = yield httpx.Request("POST", url, content=raw, headers=headers)
    _check(robot.kind, reply)


def dingtalk_sign(stamp: str, secret: str) -> str:
    """base64(HMAC-SHA256(secret, stamp + "\\n" + secret)); `stamp` in milliseconds. Percent-encoded in the URL."""
    digest = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
    return base64.b64encode(digest).decode()


def feishu_sign(stamp: str, secret: str) -> str:
    """base64(HMAC-SHA256(key = stamp + "\\n" + secret, of nothing)); `stamp` in seconds."""
    digest = hmac.digest(f"{stamp}\n{secret}".encode(), b"", "sha256")
    return base64.b64encode(digest).decode()


async def tell(
    robots: Sequence[Robot], summary: Summary, *, transport: httpx.AsyncBaseTransport, clock: Clock
) -> dict[str, str | None]:
    """Post to each; by its name the trouble it gave, without any secret, or None."""
    secrets = [one.reveal() for robot in robots for one in (robot.url, robot.secret) if one is not None]
    secrets += [re.split(r"[/=]", robot.url.reveal())[-1] for robot in robots]  # the key at the URL's end
    redactor = Redactor(secrets=secrets)
    troubles: dict[str, str | None] = {}
    for robot in robots:
        line = Line(transport, clock, redactor, per_second=1.0, deadline=DEADLINE, tries=2)
        carried = await line.carry(lambda robot=robot: post(robot, summary, clock.now()))  # type: ignore[misc]
        trouble = carried.trouble
        troubles[robot.name] = None if trouble is None else redactor.text(f"{trouble.kind}: {trouble.detail}")
    return troubles


def _check(kind: str, reply: httpx.Response) -> None:
    if kind == "webhook":
        if not reply.is_success:
            raise VendorTrouble(f"HTTP {reply.status_code}")
        return
    try:
        told = reply.json()
        code = told["code"] if "code" in told else told["StatusCode"] if "StatusCode" in told else told["errcode"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unintelligible(
            f"HTTP {reply.status_code}, and no answer of a {kind} robot", body=reply.content
        ) from error
    if code in _TOO_FAST[kind]:
        raise Throttled(f"{kind}: too fast ({code})", code=str(code))
    if code != 0 or not reply.is_success:
        words = told.get("errmsg") or told.get("msg") or told.get("StatusMessage") or ""
        raise VendorTrouble(f"{kind} refused it: {code} {words}"[:200], code=str(code))


def _markdown(title: str, text: str) -> str:
    """Both kinds of markdown need an empty line between paragraphs, or run them together."""
    return f"### {title}\n\n" + "\n\n".join(text.splitlines())


def _cut(text: str, most: int) -> str:
    """As many whole lines as fit; an ellipsis tells that there are more."""
    lines, size = list[str](), 200  # room for title and marks
    for line in text.splitlines():
        size += len(line.encode()) + 2
        if size > most:
            return "\n".join([*lines, "…"])
        lines.append(line)
    return "\n".join(lines)
