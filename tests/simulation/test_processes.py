"""Real processes over real sockets: killed, started twice, interrupted, and once from end to end.

The sandbox's world lives in this process and outlives every harness; its books say what really left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from harness import cli, desk
from harness.clock import RealClock
from harness.config import load_evaluation
from harness.domain import BEIJING
from harness.facts import RunEnded, RunResumed
from harness.judge.result import Finding, Result, parse
from harness.ledger.sqlite import SqliteLedger
from harness.run.play import virtual_epoch
from tests.simulation.history import History, check, check_result, in_doubt, leaks
from tests.simulation.worlds import PANEL, SETTINGS, VENDORS, Post, Scene, Stage, filed_texts, overhear
from vendors.sandbox.server import Serving, serve
from vendors.sandbox.starter import write_files
from vendors.sandbox.truth import read_truth
from vendors.sandbox.world import World

HOUSE = Path(__file__).parents[2]
SEED = 11
PATIENCE = 60.0  # seconds for anything that is waited for

QUICK = (
    VENDORS[: VENDORS.index("  third:")]
    .replace("share: 0.3", "share: 0.5")
    .replace("arrival: 0.98", "arrival: 1")
    .replace("arrival: 0.9\n", "arrival: 1\n")
    .replace("latency: {median: 3, sigma: 0.4}", "latency: {median: 0.4, sigma: 0.3}")
    .replace("latency: {median: 6, sigma: 0.5}", "latency: {median: 0.6, sigma: 0.3}")
    .replace("delay: {median: 2, sigma: 0.4}", "delay: 0.3")
    .replace("kept_back: 1, delay: {median: 4, sigma: 0.5}", "kept_back: 1, made_up_after: 0.5, delay: 0.3")
)
"""Two vendors that do in a second what takes others ten; half of what `cheap` reports delivered was never sent."""


def scene(messages: int, seconds: int, handsets: str) -> Scene:
    panel = PANEL.replace("handsets: {china_mobile: 3, china_unicom: 2, china_telecom: 2}", f"handsets: {handsets}")
    panel = panel.replace("forward_delay: {median: 1, sigma: 0.4}", "forward_delay: 0.2")
    return Scene(
        vendors=QUICK,
        panel=panel + "  apps: {smsforwarder: 3, smsgate: 2}\n",
        settings=f"language: zh-CN\nlasts: {seconds + 4} s\nhours: 00:00-23:59\nsilence: 1 h\nspend_limit: 200 CNY\n"
        "purposes: [verification, notification]\ncaps: {gap: 1 s}\nhorizon: 5 s\nreport_horizon: 6 s\n",
        scenarios=f"delivery: {{messages: {messages}, over: {seconds + 4} s, spacing: 1 s, per_phone_per_day: 40}}",
    )


class Sandbox:
    """The world on real ports, in a thread of its own, with the files of an evaluation for it."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.folder, self.clock, self.posts = folder, RealClock(), list[Post]()
        truth = read_truth(scene.truth(), "processes.yaml")
        self.world = World(truth, seed=SEED, epoch=virtual_epoch(self.clock.now()))
        overhear(self.world, self.posts)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox")
        self._thread.start()
        inbox = f"127.0.0.1:{free_port()}"
        self.serving: Serving = self._do(serve(self.world, clock=self.clock.now, inbox_url=f"http://{inbox}"))
        started = write_files(
            self.world,
            filed_texts(),
            scenarios=scene.scenarios,
            settings=f"{scene.settings}\nseed: {SEED}\ninbox: {{listen: {inbox}}}",
            endpoints=self.serving.addresses,
        )
        self.environment = started.environment
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{name}={value}\n" for name, value in started.environment.items())
        for name, text in {**started.files, "sandbox.env": lines}.items():
            (folder / name).write_text(text, encoding="utf-8")

    def _do(self, work: object) -> object:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def close(self) -> None:
        self._do(self.serving.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def begin(self, *more: str, verb: str = "run") -> subprocess.Popen[bytes]:
        """`smsbench run`, or another verb, in a process of its own."""
        command = [sys.executable, "-m", "harness", verb, "evaluation.yaml", "--env", "sandbox.env", *more]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(HOUSE), "PYTHONUTF8": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=pipe, stderr=pipe)

    @property
    def run_folder(self) -> Path:
        (path,) = (self.folder / "runs").glob("*/ledger.db")
        return path.parent

    def history(self) -> History:
        ledger = SqliteLedger(self.run_folder / "ledger.db", read_only=True)
        facts = list(ledger.facts())
        digests = {fact.evidence for fact in facts if fact.evidence}
        recordings = {digest: ledger.recording(digest) for digest in digests}
        ledger.release()
        people = load_evaluation(self.folder / "evaluation.yaml", self.environment).recipients
        return History(
            facts=facts,
            recordings=recordings,
            recipients={one.id: one for one in people},
            sendings=self.world.sendings,
            refusals=self.world.refusals,
            delivered=self.world.log.delivered,
            posts=list(self.posts),
            secrets=frozenset(self.environment.values()),
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def sandbox(folder: Path, scene: Scene) -> Iterator[Sandbox]:
    one = Sandbox(folder, scene)
    try:
        yield one
    finally:
        one.close()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        if process.poll() is not None:
            pytest.fail(f"the run ended ({process.returncode}): {process.stderr.read().decode()}")
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Wait for a process of ours; its exit code and what it said."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(autouse=True)
def _not_at_midnight() -> None:
    """Nothing may be sent in the last minute of Beijing's day: runs of a minute must not end there."""
    now = datetime.now(BEIJING)
    if now.hour == 23 and now.minute >= 57:
        time.sleep((60 - now.minute) * 60 - now.second + 1)


def test_a_killed_run_goes_on_and_sends_nothing_twice(tmp_path):
    chance = Random(SEED)
    with sandbox(tmp_path, scene(26, 10, "{china_mobile: 3, china_unicom: 3, china_telecom: 3}")) as stage:
        process, marks = stage.begin("--no-report"), (6, 16, 28)
        kept: list[object] = []
        for mark in marks:
            wait_for(lambda mark=mark: len(stage.world.sendings) >= mark, process)
            time.sleep(chance.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            assert end(process)[0] == -signal.SIGKILL
            facts = list(stage.history().facts)
            assert facts[: len(kept)] == kept, "a fact changed or vanished"
            kept = facts
            process = stage.begin("--resume", "--no-report")
        code, _, err = end(process)
        assert code == desk.FINE, err
        history = stage.history()
    check(history)
    assert history.ended
    assert sum(isinstance(fact.body, RunResumed) for fact in history.facts) == len(marks)
    assert len(history.cases) == 52
    assert len(history.sendings) >= 30
    assert cli.main(["verify", str(stage.run_folder)]) == desk.FINE


def test_a_second_process_is_refused_and_an_interrupted_run_can_be_resumed(tmp_path):
    with sandbox(tmp_path, scene(10, 8, "{china_mobile: 2, china_unicom: 1}")) as stage:
        first = stage.begin("--no-report")
        wait_for(lambda: len(stage.world.sendings) >= 3, first)
        code, _, err = end(stage.begin("--resume", "--no-report"))
        assert code == desk.CHANGE_SOMETHING
        assert "another process is carrying out this run" in err and "Traceback" not in err
        fresh_code, _, err = end(stage.begin("--no-report"))  # another run, at the same inbox
        assert fresh_code == desk.CHANGE_SOMETHING
        assert "inbox" in err and "Traceback" not in err
        first.send_signal(signal.SIGINT)
        code, out, err = end(first)
        assert code == desk.INTERRUPTED, err
        assert stage.run_folder.name in out
        sent = len(stage.world.sendings)
        broken_off = stage.history()
        check(broken_off)
        assert not in_doubt(broken_off)  # what was on its way came to its end
        # News may still reach the inbox while it closes: the end is told once, not necessarily last.
        ends = [fact.body for fact in broken_off.facts if isinstance(fact.body, RunEnded)]
        assert ends == [RunEnded(because="interrupted")]
        late = receive_a_control_sms(stage)
        assert "heartbeat_received" in late and "send_intended" not in late
        assert len(stage.world.sendings) == sent
        code, _, err = end(stage.begin("--resume", "--no-report"))
        assert code == desk.FINE, err
        history = stage.history()
    check(history)
    assert history.ended and len(history.sendings) > sent


def receive_a_control_sms(stage: Sandbox) -> list[str]:
    """Let a phone forward an SMS that is not ours while only `smsbench receive` is there; kinds of facts it took in.

    Of such an SMS a sign of life is kept, and no text.
    """
    before = len(stage.history().facts)

    def kinds() -> list[str]:
        return [fact.body.kind for fact in list(stage.history().facts)[before:]]

    receiving = stage.begin("--run", stage.run_folder.name, verb="receive")
    host, port = stage.serving.world.inbox_url.removeprefix("http://").split(":")
    wait_for(lambda: is_open(host, int(port)), receiving)
    number = next(iter(person.number for person in stage.world.people.values() if person.phone))

    async def comes() -> None:
        stage.world.control_sms(number, "您的本月账单已出。")

    stage._do(comes())
    wait_for(lambda: "heartbeat_received" in kinds(), receiving)
    receiving.send_signal(signal.SIGINT)
    code, _, err = end(receiving)
    assert code == desk.FINE and "Traceback" not in err
    return kinds()


def is_open(host: str, port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((host, port)) == 0


def test_two_hundred_messages_over_real_sockets_tell_what_a_run_in_memory_tells(tmp_path):
    """Pushes and sightings included, in less than a minute; the made-up receipts are found in both."""
    real_time = scene(104, 21, "{china_mobile: 7, china_unicom: 7, china_telecom: 6}")
    began = time.monotonic()
    with sandbox(tmp_path / "real", real_time) as stage:
        code, out, err = end(stage.begin())
        took = time.monotonic() - began
        assert code == desk.INSUFFICIENT, err  # no papers are on file, so no legal gate is shown
        history, result = stage.history(), parse((stage.run_folder / "result.json").read_bytes())
        written = {path.name: path.read_bytes() for path in stage.run_folder.iterdir() if "ledger" not in path.name}
        numbers, secrets = stage.world.people, stage.environment.values()
    assert took < 60
    check(history)
    check_result(history, result)
    assert len(history.sendings) >= 200
    kinds = {one.kind for one in history.delivered if one.acknowledged}
    assert {"reports", "sightings"} <= kinds
    assert leaks({**written, "out": out.encode(), "err": err.encode()}, numbers=numbers, secrets=secrets) == []

    in_memory = Stage(tmp_path / "memory", replace(real_time, settings=SETTINGS, scenarios=DAY), SEED)
    assert in_memory.play() is not None
    same = in_memory.result()
    for one in (result, same):
        made_up, honest = finding(one, "cheap"), finding(one, "honest")
        assert made_up.estimate is not None and made_up.estimate.low > 0.2
        assert honest.estimate is None or honest.estimate.high < made_up.estimate.low
    assert ranking(result) == ranking(same) == ["honest", "cheap"]
    truth = in_memory.world.truths("cheap").false_receipts
    estimate = finding(same, "cheap").estimate
    assert estimate.low <= sum(truth.values()) / len(truth) <= estimate.high


DAY = "delivery: {messages: 100, over: 11 h}"


def finding(result: Result, vendor: str) -> Finding:
    """What is said of a vendor's made-up receipts, over all carriers."""
    return next(
        one for one in result.findings if one.vendor == vendor and one.measure == "false_receipt.rate" and not one.slice
    )


def ranking(result: Result) -> list[str]:
    return [card.vendor for card in sorted(result.scorecards, key=lambda card: -(card.high + card.low))]


def test_a_killed_month_goes_on_in_the_same_command_and_ends_in_the_same_verdict(tmp_path):
    """`smsbench monthly` killed while it sends, while it waits, and once it is done: one run, nothing twice."""
    with sandbox(tmp_path, scene(26, 8, "{china_mobile: 3, china_unicom: 3, china_telecom: 3}")) as stage:
        for mark in (5, 18):
            process = stage.begin(verb="monthly")
            wait_for(lambda mark=mark: len(stage.world.sendings) >= mark, process)
            process.send_signal(signal.SIGKILL)
            assert end(process)[0] == -signal.SIGKILL
        code, out, err = end(stage.begin(verb="monthly"))
        assert code == desk.INSUFFICIENT, err  # no baseline is blessed
        assert "没有基准" in out.splitlines()[0]
        history = stage.history()  # there is one run only
        check(history)
        sent = len(stage.world.sendings)
        assert "已完成" in err or "继续" in err
        again = end(stage.begin(verb="monthly"))
        assert (again[0], again[1].splitlines()[0]) == (code, out.splitlines()[0])
        assert "已完成" in again[2]
        assert len(stage.world.sendings) == sent
        run = stage.run_folder.name
        bless = [sys.executable, "-m", "harness", "bless", run, "--by", "ops"]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(HOUSE), "PYTHONUTF8": "1"}
        subprocess.run(bless, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=PATIENCE)
        code, out, err = end(stage.begin(verb="monthly"))
        assert code == desk.INSUFFICIENT, err  # twenty messages tell nothing apart, and are not taken for a regression
        assert "尚无定论" in out.splitlines()[0] or "未退步" in out.splitlines()[0]
        written = {path.name for path in (tmp_path / "history").rglob("*") if path.is_file()}
        assert {"history.json", f"{run}.json", "history.zh-CN.html"} <= written
        assert (
            leaks(
                {str(path): path.read_bytes() for path in (tmp_path / "history").rglob("*") if path.is_file()},
                numbers=frozenset(one.number for one in history.recipients.values()),
                secrets=history.secrets,
            )
            == []
        )
