"""Progress is drawn from facts and nothing else."""

from __future__ import annotations

import io

from harness.domain import InDoubt, Reason, Refused
from harness.facts import CallFailed, CaseClosed, CasePlanned, SendIntended, SubmitAnswered
from harness.run.progress import Progress
from tests.harness.given import NOW, accepted, case, fact, sighting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def words(key: str, **values: object) -> str:
    return f"{key} " + " ".join(f"{name}={value}" for name, value in values.items())


def told(progress: Progress, *, cases: int = 4) -> None:
    outcomes = [accepted(), Refused(reason=Reason.BALANCE, code="E"), InDoubt(why="x")]
    for number in range(cases):
        one = case(f"c{number}", ("ali", "yunpian")[number % 2])
        progress.hear(fact(CasePlanned(case=one), one.id))
    for number, outcome in enumerate(outcomes):
        progress.hear(fact(SendIntended(leg=0, planned_at=NOW, ceiling=None), f"c{number}"))
        progress.hear(fact(SubmitAnswered(leg=0, outcome=outcome, call=None), f"c{number}"))
        progress.hear(fact(CaseClosed(because="settled"), f"c{number}"))
    progress.hear(fact(CallFailed(what="submit", trouble="unreachable", detail="", written=False, leg=0), "c3"))
    progress.hear(fact(sighting()))


def test_cases_are_counted_by_vendor():
    progress = Progress(io.StringIO(), Watch(), words)
    told(progress)
    ali, yunpian = progress.counts["ali"], progress.counts["yunpian"]
    assert (ali.planned, ali.closed, ali.sent, ali.accepted, ali.in_doubt) == (2, 2, 2, 1, 1)
    assert (yunpian.planned, yunpian.closed, yunpian.refused, yunpian.failed) == (2, 1, 1, 1)


def test_on_a_terminal_the_picture_is_drawn_in_place_and_not_too_often():
    out, watch = Terminal(), Watch()
    progress = Progress(out, watch, words)
    told(progress)
    assert out.getvalue() == "", "nothing is drawn within the first fifth of a second"
    watch.now += 0.2
    told(progress)
    assert out.getvalue().count("cli.progress.whole") == 1
    watch.now += 0.2
    told(progress)
    assert "\x1b[3F\x1b[J" in out.getvalue()


def test_without_a_terminal_a_plain_line_comes_now_and_then():
    out, watch = io.StringIO(), Watch()
    progress = Progress(out, watch, words)
    for _ in range(100):
        watch.now += 1.0
        progress.hear(fact(CasePlanned(case=case()), "c1"))
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert all(line.startswith("cli.progress.whole") for line in lines)
    assert "\x1b" not in out.getvalue()


def test_the_whole_says_how_far_and_how_long():
    watch = Watch()
    progress = Progress(io.StringIO(), watch, words)
    told(progress)
    watch.now += 60
    bars = progress.lines()
    assert bars[0].startswith("ali     " + "█" * 24 + " 100%")
    assert bars[1].startswith("yunpian " + "█" * 12 + "·" * 12 + "  50%")
    assert "closed=3 planned=4 sent=3 rate=0.1 left=0:20 at=2026-03-02 10:00" in bars[2]


def test_before_anything_is_closed_nobody_knows_how_long():
    watch = Watch()
    progress = Progress(io.StringIO(), watch, words)
    assert "left=–" in progress.lines()[0]
    watch.now += 5
    progress.count(fact(CasePlanned(case=case()), "c1"))
    assert "left=–" in progress.lines()[-1]
    assert "rate=0.0" in progress.lines()[-1]


def test_the_last_picture_is_the_end():
    out = Terminal()
    progress = Progress(out, Watch(), words)
    told(progress)
    progress.finish()
    assert "closed=3 planned=4" in out.getvalue()
