"""The sandbox's reviewers: what they would find wrong in a draft, how well they look, and when they are done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from harness.domain import BEIJING, Purpose, ReviewVerdict, Subject
from vendors.sandbox.truth import ReviewTruth

OPT_OUT: Final = re.compile(r"退订|拒收")
_CONTACT: Final = re.compile(r"https?://|www\.|加微信|加QQ|[Qq][Qq][::]?\d{5,}|微信号")
_THROWAWAY: Final = re.compile(r"测试|test", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\{[^{}]*\}|\$\{[^{}]*\}|#[^#]+#")
_LABELS: Final = ("年化利率（单利）", "年化利率(单利)")
_RATE: Final = re.compile(
    r"(年化利率（单利）|年化利率\(单利\)|年化利率|月息|日息|利率|费率)\D{0,6}(\d+(?:\.\d+)?)[%％]"
)
_HIGHEST_RATE: Final = 24.0  # percent a year, simple interest


def faults_of(text: str, purpose: Purpose, subject: Subject, words: Sequence[str]) -> tuple[str, ...]:
    """What a strict reviewer would find wrong in a draft, in Chinese, most telling first; empty: compliant."""
    if subject is Subject.SIGNATURE:
        return ("签名含测试字样，请使用已报备的企业或品牌名称",) if _THROWAWAY.search(text) or not text.strip() else ()
    found = [f"模板含敏感词“{word}”，请删除" for word in words if word in text]
    if _CONTACT.search(text):
        found.append("模板含链接或个人联系方式，请删除")
    if purpose is Purpose.MARKETING and not OPT_OUT.search(text):
        found.append("营销模板缺少退订方式，请在末尾加“拒收请回复R”")
    for label, rate in _RATE.findall(text):
        if label not in _LABELS:
            found.append("利率未按“年化利率（单利）”标明，请改正")
        elif float(rate) > _HIGHEST_RATE:
            found.append("年化利率超过24%，请删除")
    bare = _VARIABLE.sub("", text)
    if len(re.sub(r"\W", "", bare)) < 4:
        found.append("模板变量过多，请补充固定文字")
    return tuple(found)


def judged(truth: ReviewTruth, faults: Sequence[str], chance: Random) -> tuple[ReviewVerdict, str]:
    """A verdict and its reason in the vendor's words, for a draft with these faults."""
    luck, feedback = chance.random(), chance.random()
    if luck >= (truth.recall if faults else truth.false_alarm):
        return ReviewVerdict.APPROVED, ""
    if feedback >= truth.feedback:
        return ReviewVerdict.REJECTED, "审核不通过"
    return ReviewVerdict.REJECTED, faults[0] if faults else "模板内容与所选用途不符，请补充使用场景"


def decided_at(truth: ReviewTruth, created: datetime, chance: Random) -> datetime:
    """When a draft handed in then is decided: a review's time runs only while reviewers work."""
    left = timedelta(seconds=truth.minutes.draw(chance) * 60)
    if truth.hours is None:
        return created + left
    begin, end = (timedelta(minutes=minute) for minute in truth.hours)
    day = created.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        opens, closes = max(created, day + begin), day + end
        if opens < closes:
            if opens + left <= closes:
                return (opens + left).astimezone(created.tzinfo)
            left -= closes - opens
        day += timedelta(days=1)
