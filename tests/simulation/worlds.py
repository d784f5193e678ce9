"""Small worlds for the simulation tests, and a stage on which a run can be played, killed, and played on.

A stage keeps the world and the folder; every `play` is one life of the harness. The world outlives them all.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from harness.config import Evaluation, load_evaluation
from harness.content import shipped_texts
from harness.domain import BEIJING, Purpose
from harness.facts import Fact
from harness.judge import journeys, scoring
from harness.judge.result import Result
from harness.ledger.sqlite import SqliteLedger
from harness.run.house import House
from harness.run.play import MakeRule, Played, play_in_memory, virtual_epoch
from vendors.sandbox.starter import write_files
from vendors.sandbox.truth import WorldTruth, read_truth
from vendors.sandbox.world import World

BEGINS = datetime(2026, 3, 2, 9, 0, tzinfo=BEIJING)

# Without caps: a vendor that refuses the same text twice would hide that it was sent twice.
VENDORS = """
  honest:
    wire: alibaba
    name: {zh-CN: 诚, en: Honest}
    credentials: {access_key: canary-honest-key, access_secret: canary-honest-secret}
    signatures: {某某科技: approved}
    mode: push
    price: 0.045
    arrival: 0.98
    latency: {median: 3, sigma: 0.4}
    acknowledgement: 0.12
    receipts: {missing: 0.02, delay: {median: 2, sigma: 0.4}}
    review: {minutes: {median: 40, sigma: 0.3}, recall: 1, feedback: 1}
    senders: "106900110011"
    options: {caps: lifted}
    HONEST_FAULTS
  cheap:
    wire: yunpian
    name: {zh-CN: 廉, en: Cheap}
    credentials: {apikey: 0000000000000000000000canary0001}
    signatures: {某某科技: approved}
    mode: push
    price: 0.028
    arrival: 0.9
    latency: {median: 6, sigma: 0.5}
    acknowledgement: 0.2
    receipts: {kind: share, share: 0.3, kept_back: 1, delay: {median: 4, sigma: 0.5}}
    review: {minutes: {median: 25, sigma: 0.5}, recall: 0.6, feedback: 0.5}
    senders: "1065750022"
    options: {caps: lifted}
    CHEAP_FAULTS
  third:
    wire: tencent
    name: {zh-CN: 三, en: Third}
    credentials: {secret_id: canary-third-id, secret_key: canary-third-secret, sdk_app_id: "1487650001"}
    signatures: {某某科技: approved}
    mode: push
    price: 0.05
    arrival: 0.97
    latency: {median: 4, sigma: 0.5}
    acknowledgement: 0.15
    receipts: {missing: 0.02, delay: {median: 2, sigma: 0.5}}
    review: {minutes: {median: 60, sigma: 0.5}, recall: 0.9, feedback: 0.6}
    senders: "106900330033"
    options: {caps: lifted}
    THIRD_FAULTS
"""

PANEL = """
  handsets: {china_mobile: 3, china_unicom: 2, china_telecom: 2}
  provinces: [Guangdong]
  clock_offset_seconds: 4
  app_repeat: 0.1
  forward_delay: {median: 1, sigma: 0.4}
  heartbeat_minutes: 0
  consent_by: simulation panel
  consent_on: 2026-01-05
"""

SETTINGS = """
language: zh-CN
begins: 2026-03-02 09:00
lasts: 1 day
silence: 12 h
spend_limit: 500 CNY
"""

TROUBLED = "faults: {refused: 0.04, error: 0.04, no_answer: 0.12, taken: 0.5}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a world is made from. All YAML."""

    vendors: str = VENDORS
    panel: str = PANEL + "  apps: {smsforwarder: 3, smsgate: 2, json: 2}\n"
    settings: str = SETTINGS
    scenarios: str = "delivery: {messages: 8, over: 6 h}"
    faults: str = ""

    def truth(self) -> str:
        vendors = self.vendors
        for name in ("HONEST", "CHEAP", "THIRD"):
            vendors = vendors.replace(f"{name}_FAULTS", self.faults)
        return f"world: simulation\nwords: [秒批, 稳赚不赔, 工商银行]\nvendors:\n{vendors}\npanel:\n{self.panel}"


TROUBLE = Scene(faults=TROUBLED)
"""Two dozen messages a life can be lost in: connections refused, errors, silence with and without effect."""

CALM = Scene(panel=PANEL + "  apps: {smsgate: 1, json: 1}\n")
"""Nothing goes wrong by itself, so whatever differs after a crash is the crash's doing."""

RICH = Scene(
    panel=PANEL
    + "  invalid: 2\n  unreachable: 1\n  blocked: 2\n  spare: 2\n  apps: {smsforwarder: 4, smsgate: 2, json: 1}\n"
    + "  controls_per_day: 2\n",
    settings=SETTINGS.replace("1 day", "2 days"),
    scenarios="delivery: {messages: 6, over: 6 h}\nlong_text: {messages: 2}\nreview: {templates: 2}\n"
    "content_filter: {}\nblacklist: {messages: 4}\nopt_out: {}\nretention: {}\nstatistics: {}\ntransport: {}",
    faults="faults: {no_answer: 0.02}",
)
"""Every scenario once: reviews, replies, questions, probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post of the world's to the inbox, and what it was answered; None: the harness died over it."""

    path: str
    body: bytes
    at: datetime
    status: int | None


class PlugPulled(SystemExit):
    """The power is gone. A SystemExit, because asyncio lets that out at once."""


@dataclass(slots=True)
class Plug:
    """Pulls itself at the n-th commit, before or after it."""

    n: int
    side: str

    def __call__(self, side: str, n: int) -> None:
        if n >= self.n and side == self.side:
            raise PlugPulled(f"{side} commit {n}")


class Stage:
    """A world with its evaluation, in a folder. `posts`: what the world posted; `lives`: of the harness."""

    def __init__(self, folder: Path, scene: Scene, seed: int) -> None:
        self.folder, self.scene, self.seed = folder, scene, seed
        self.posts: list[Post] = []
        self.lives = 0
        self.early: MakeRule | None = None
        self.played: Played | None = None
        self.world = World(_truth(scene), seed=self.seed, epoch=virtual_epoch(BEGINS))
        settings = f"{self.scene.settings}\nseed: {self.seed}"
        self.started = write_files(self.world, filed_texts(), scenarios=self.scene.scenarios, settings=settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.started.files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        self.evaluation = _evaluation(scene, seed, self.folder, self.started.environment)
        overhear(self.world, self.posts)

    def __repr__(self) -> str:
        return f"Stage({self.folder.name}, seed={self.seed}, lives={self.lives})"

    @property
    def ledger_path(self) -> Path:
        (path,) = (self.folder / "runs").glob("*/ledger.db")
        return path

    @property
    def run_folder(self) -> Path:
        return self.ledger_path.parent

    def play(
        self, plug: Callable[[str, int], None] | None = None, on_ready: Callable[[House], None] | None = None
    ) -> Played | None:
        """One life of the harness, to the run's end or to the pulled plug (None)."""
        self.lives += 1
        try:
            self.played = play_in_memory(
                self.evaluation,
                self.folder,
                out=self.folder / "runs",
                world=self.world,
                plug=plug,
                seed=self.seed,
                on_ready=on_ready,
                early=self.early,
            )
        except PlugPulled:
            return None
        finally:
            assert gc.isenabled()
        return self.played

    def rest(self, seconds: float) -> None:
        """Nobody listens for so long, and the world goes on."""
        later = self.world.now() + timedelta(seconds=seconds)
        self.world.clock = lambda: later

    def facts(self) -> list[Fact]:
        ledger = SqliteLedger(self.ledger_path, read_only=True)
        try:
            return list(ledger.facts())
        finally:
            ledger.release()

    def rows(self) -> list[tuple[Any, ...]]:
        """Every row of facts as it stands in the file, digests included."""
        ledger = SqliteLedger(self.ledger_path, read_only=True)
        try:
            return ledger._reader.execute("SELECT * FROM facts ORDER BY seq").fetchall()
        finally:
            ledger.release()

    def recordings(self) -> dict[str, bytes]:
        ledger = SqliteLedger(self.ledger_path, read_only=True)
        try:
            digests = [one for (one,) in ledger._reader.execute("SELECT digest FROM recordings ORDER BY digest")]
            return {digest: ledger.recording(digest) for digest in digests}
        finally:
            ledger.release()

    def result(self) -> Result:
        return result_of(self.facts(), self.ledger_path)

    @property
    def numbers(self) -> frozenset[str]:
        """Every number of the panel, eleven digits."""
        return frozenset(number[-11:] for number in self.world.people)

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset(value for value in self.started.environment.values())


@cache
def _truth(scene: Scene) -> WorldTruth:
    return read_truth(scene.truth(), "simulation.yaml")


_EVALUATIONS: dict[tuple[Scene, int], Evaluation] = {}


def _evaluation(scene: Scene, seed: int, folder: Path, environment: Mapping[str, str]) -> Evaluation:
    """Read once: reading YAML takes longer than playing the run."""
    if (scene, seed) not in _EVALUATIONS:
        _EVALUATIONS[scene, seed] = load_evaluation(folder / "evaluation.yaml", environment)
    return _EVALUATIONS[scene, seed]


def result_of(facts: list[Fact], path: Path | None = None) -> Result:
    """What a judge makes of some facts; with the head of the ledger at `path`, if given."""
    digest = ""
    if path is not None:
        ledger = SqliteLedger(path, read_only=True)
        digest = ledger.head().digest
        ledger.release()
    return scoring.judge(journeys.read(facts), run_id="simulation", ledger_digest=digest)


def overhear(world: World, posts: list[Post]) -> None:
    """Keep what a world posts, byte for byte: its own log keeps only what it was about."""
    run = world.run

    async def overheard(deliver: Callable[[httpx.Request], Any]) -> None:
        async def carry(request: httpx.Request) -> httpx.Response:
            at, status = world.now(), None
            try:
                response = await deliver(request)
                status = response.status_code
                return response
            finally:
                posts.append(Post(path=request.url.path, body=request.content, at=at, status=status))

        await run(carry)

    world.run = overheard


def filed_texts() -> dict[str, tuple[str, Purpose]]:
    return {key: (one.text, one.purpose) for key, one in shipped_texts().items()}
