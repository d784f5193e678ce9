"""Criterion 4: how fast and how well the vendor reviews content 内容审核响应速度.

Three clocks hide in the word: review of signatures and templates (`review.time`, `review.within_5_min`), filing with
carriers (not visible to us), and the review in line at send time (`review.inline_within_5_min`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.domain import Better, Estimate, Unit
from harness.judge import stats
from harness.judge.criteria import By, Floats, Told, View, measure, rate_of
from harness.judge.stats import NotEnough

FIVE_MINUTES: Final = 300.0
_EMPTY_WORDS: Final = re.compile(
    r"[\W\d_]+|审核|不通过|未通过|不合规|不合格|不符合|规范|要求|驳回|拒绝|失败|模板|签名|短信|内容|您的|请|修改|重新|提交|后|"
    r"rejected|refused|failed?|not|approved|invalid|template|signature|content|error|your|the|is|was|please",
    re.IGNORECASE,
)


def says_what(reason: str) -> bool:
    """Whether a rejection says what to change: something is left once words that fit every rejection are gone.

    >>> says_what("审核不通过，请修改后重新提交"), says_what("营销短信缺少退订方式")
    (False, True)
    """
    return len(_EMPTY_WORDS.sub("", reason)) >= 2


def handed_in(view: View) -> pd.DataFrame:
    """Reviews that were handed in, with `seconds` to the decision or watched so far, and `decided`."""
    frame = view.reviews[view.reviews["submitted_at"].notna()].copy()
    end = frame["decided_at"].fillna(frame["refused_at"])
    frame["decided"] = end.notna()
    watched = frame["closed_at"].fillna(view.run.ended_at)
    frame["seconds"] = (end.fillna(watched) - frame["submitted_at"]).clip(lower=0.0)
    frame["is_rejected"] = (frame["verdict"] == "rejected") | (frame["verdict"].isna() & frame["refused_at"].notna())
    return frame


def _times(frame: pd.DataFrame) -> tuple[Floats, NDArray[np.bool_]]:
    return frame["seconds"].to_numpy(), frame["decided"].to_numpy()


def _slowest(frame: pd.DataFrame) -> list[str]:
    return list(frame.sort_values(["decided", "seconds"], ascending=[True, False])["case_id"])


def _turnaround(view: View, q: float) -> Told | NotEnough:
    """The decision's time, as seen; its lower limit from the look before it, where a decision was asked for."""
    frame = handed_in(view)
    seconds, decided = _times(frame)
    answer = stats.turnaround(seconds, decided, q)
    if isinstance(answer, Estimate) and answer.low is not None:
        before = (frame["not_before"] - frame["submitted_at"]).where(frame["decided"]).to_numpy()
        earliest = np.fmin(seconds, np.where(np.isnan(before), seconds, np.maximum(before, 0.0)))
        sooner = stats.turnaround(earliest, decided, q)
        if isinstance(sooner, Estimate) and sooner.low is not None:
            answer = replace(answer, low=min(answer.low, sooner.low))
    return Told(answer=answer, cases=_slowest(frame))


@measure("review.time.p50", unit=Unit.SECONDS, better=Better.LOWER, by=(By.SUBJECT,), scenarios=("review",))
def median(view: View) -> Told | NotEnough:
    """Median time to a decision on a signature or template; undecided ones count as open."""
    return _turnaround(view, 0.5)


@measure("review.time.p90", unit=Unit.SECONDS, better=Better.LOWER, by=(By.SUBJECT,), scenarios=("review",))
def slow_tenth(view: View) -> Told | NotEnough:
    """Time by which nine of ten signatures or templates are decided."""
    return _turnaround(view, 0.9)


@measure(
    "review.within_5_min", unit=Unit.SHARE, better=Better.HIGHER, by=(By.SUBJECT,), scenarios=("review",),
    denominator="reviews",
)  # fmt: skip
def within_five_minutes(view: View) -> Told | NotEnough:
    """Share of signatures and templates decided within five minutes."""
    frame = handed_in(view)
    return Told(answer=stats.decided_within(*_times(frame), FIVE_MINUTES), cases=_slowest(frame))


@measure(
    "review.inline_within_5_min", unit=Unit.SHARE, better=Better.HIGHER, by=(By.CARRIER, By.PURPOSE),
    denominator="accepted",
)  # fmt: skip
def inline(view: View) -> Told | NotEnough:
    """Share of accepted compliant messages that were seen or reported within five minutes: not held for reading."""
    frame = view.accepted
    first = frame[["arrived_at", "reported_at"]].min(axis=1) - frame["sent_at"]
    frame = frame[(first.notna() | (frame["followed_for"] >= FIVE_MINUTES)).to_numpy()]
    in_time = (first.loc[frame.index] <= FIVE_MINUTES).to_numpy()
    return Told(answer=rate_of(in_time, frame), cases=list(frame["case_id"][~in_time]))


@measure("review.feedback", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("review",), denominator="rejections")
def feedback(view: View) -> Told | NotEnough:
    """Share of rejections that say what to change."""
    frame = handed_in(view)
    rejected = frame[frame["is_rejected"]]
    told = np.array([says_what(reason or "") for reason in rejected["reason"]], dtype=bool)
    return Told(answer=_share(told), cases=[*rejected["case_id"][~told], *rejected["case_id"][told]])


@measure(
    "review.correctness", unit=Unit.SHARE, better=Better.HIGHER, by=(By.SUBJECT,), scenarios=("review",),
    denominator="decided",
)  # fmt: skip
def correctness(view: View) -> Told | NotEnough:
    """Share of decisions that are right: faulty drafts rejected, compliant ones approved."""
    frame = handed_in(view)
    decided = frame[frame["decided"]]
    right = ((decided["fault"] != "") == decided["is_rejected"]).to_numpy()
    return Told(answer=_share(right), cases=[*decided["case_id"][~right], *decided["case_id"][right]])


def _share(hits: NDArray[np.bool_]) -> Estimate | NotEnough:
    return stats.share(int(hits.sum()), len(hits))
