"""Plays a run from its first fact to its last: in memory under virtual time, or over real sockets in real time."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import uvicorn

from harness import registry
from harness.capabilities import PushRequest
from harness.clock import Chance, Clock, LoopClock, RealClock, VirtualLoop, fresh_seed, real_nonce, real_salt
from harness.config import Evaluation
from harness.content import shipped_texts
from harness.domain import BEIJING
from harness.errors import Complaint, ConfigError, LedgerError
from harness.facts import CasePlanned, Fact
from harness.ledger.sqlite import SqliteLedger
from harness.run.engine import Engine
from harness.run.house import Contest, House, Surroundings, build, first_facts, load_scenarios, open_contest
from harness.run.inbox import Inbox
from harness.run.plan import STOPPABLE, Looks, Plan, looks_of, make_plan
from harness.run.questions import probe_real, probe_simulated
from harness.run.wire import Wire

Listener = Callable[[Fact], None]
STOPPED_EARLY = "stopped_early"
UNWATCHED_TURNS = 256  # of the loop, a commit of the ledger; a commit for each costs a twentieth of a simulation


class Rule(Protocol):
    """Whether a run may be left off at a look (1 …), from all facts so far."""

    @property
    def looks(self) -> Looks: ...

    def may_stop(self, facts: Sequence[Fact], look: int) -> bool: ...


MakeRule = Callable[[Looks], Rule]


def _looking(
    early: MakeRule | None, evaluation: Evaluation, ledger: SqliteLedger, engine: Engine, clock: Clock, *, aside: bool
) -> list[asyncio.Task[None]]:
    """The task that takes the looks, if the evaluation wants any. They follow from the cases in the ledger."""
    if early is None or evaluation.stop != "early":
        return []
    planned = (fact.body for fact in ledger.facts(kinds={"case_planned"}))
    looks = looks_of((body.case for body in planned if isinstance(body, CasePlanned)), evaluation.horizon)
    return [] if looks is None else [asyncio.create_task(_look(early(looks), ledger, engine, clock, aside=aside))]


async def _look(rule: Rule, ledger: SqliteLedger, engine: Engine, clock: Clock, *, aside: bool) -> None:
    """Take the planned looks; leave off at the first that says so. `aside`: reckon in a thread, so nobody waits."""
    for look, at in enumerate(rule.looks.at[:-1], start=1):
        await asyncio.sleep(max(0.0, (at - clock.now()).total_seconds()))
        facts = list(ledger.facts())
        stops = await asyncio.to_thread(rule.may_stop, facts, look) if aside else rule.may_stop(facts, look)
        if stops:
            engine.leave_off(STOPPABLE, STOPPED_EARLY)
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a run ended. `because`: done, interrupted, …"""

    run_id: str
    because: str
    folder: Path


def seed_of(evaluation: Evaluation) -> int:
    return evaluation.seed if evaluation.seed is not None else fresh_seed()


def plan_of(evaluation: Evaluation, contest: Contest, *, seed: int, begins: datetime) -> Plan:
    return make_plan(evaluation, contest.vendors, load_scenarios(evaluation), seed=seed, begins=begins)


def name_of(evaluation: Evaluation, plan: Plan, begins: datetime) -> str:
    """The run's id: when it begins, and a piece of what it does."""
    return f"{begins.astimezone(BEIJING):%Y%m%d-%H%M}-{plan.digest[:6]}"


def in_memory(evaluation: Evaluation) -> bool:
    """Whether an evaluation is played against a simulated world in this process: a sandbox without endpoints."""
    return evaluation.mode == "sandbox" and all(
        one.endpoint is None and "host" not in one.options for one in evaluation.vendors.values()
    )


# --- in memory ------------------------------------------------------------------------------------------------------


def sandbox_world(evaluation: Evaluation, folder: Path, *, seed: int, epoch: datetime) -> Any:
    """The world an evaluation's sandbox vendors live in. Templates the evaluation names are on file there."""
    truth = registry.sandbox("truth")
    if evaluation.world is not None:
        path = folder / evaluation.world
        told = truth.read_truth(path.read_text(encoding="utf-8"), path.name)
    else:
        told = truth.read_truth(registry.sandbox_file("demo.yaml"), "demo.yaml")
    world = registry.sandbox("world").World(told, seed=seed, epoch=epoch)
    texts = shipped_texts()
    for label, account in evaluation.vendors.items():
        if label in world.accounts:
            for content, template in account.templates.items():
                world.file_template(label, template, texts[content].text, texts[content].purpose)
    return world


def sandbox_begins(evaluation: Evaluation) -> datetime:
    """When a run in memory begins, in its own time."""
    return evaluation.begins or datetime(2026, 3, 2, 9, 0, tzinfo=BEIJING).astimezone(UTC)


def virtual_epoch(begins: datetime) -> datetime:
    """Midnight in Beijing before a run begins: day 1 of its world."""
    local = begins.astimezone(BEIJING)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def play_in_memory(
    evaluation: Evaluation,
    folder: Path,
    *,
    out: Path,
    listen: Listener | None = None,
    world: Any = None,
    plug: Callable[[str, int], None] | None = None,
    on_disk: bool = True,
    seed: int | None = None,
    on_ready: Callable[[House], None] | None = None,
    early: MakeRule | None = None,
    is_watched: bool = True,
) -> Played:
    """Plan and play a whole run against the simulated world, in virtual time.

    Args:
        folder: of the evaluation's files.
        out: where the run's folder is made.
        world: a world that lived before (crash tests); None makes a new one.
        plug: for crash tests, see SqliteLedger.
        early: makes the rule by which the run is left off early, if the evaluation wants that.
        is_watched: others may look at the ledger while it is written, or go on with it after a kill.
    """
    seed = seed_of(evaluation) if seed is None else seed
    begins = sandbox_begins(evaluation)
    epoch = virtual_epoch(begins)
    world = world or sandbox_world(evaluation, folder, seed=seed, epoch=epoch)
    begin = max(0.0, (world.now() - epoch).total_seconds())
    loop = VirtualLoop(begin)
    clock = LoopClock(epoch, loop)
    chance = Chance(seed)
    try:
        contest = open_contest(evaluation, clock=clock, nonce=chance.nonces(f"run from {begin}"))
        plan = plan_of(evaluation, contest, seed=seed, begins=begins)
    except ConfigError:
        loop.close()
        raise
    run_id = name_of(evaluation, plan, begins)
    run_folder = out / run_id
    run_folder.mkdir(parents=True, exist_ok=True)
    path = str(run_folder / "ledger.db") if on_disk else ":memory:"
    ledger = SqliteLedger(
        path,
        run_id=run_id,
        inline=True,
        durable=False,
        plug=plug,
        exclusive=on_disk,
        salt=chance.stream("salt").randbytes(32),
        turns_a_commit=1 if is_watched and on_disk else UNWATCHED_TURNS,
    )
    # A run makes many long-lived objects and no cycles to speak of: looking for some takes a third of the time.
    gc.freeze()
    gc.disable()
    try:
        because = loop.run_until_complete(
            _play_virtual(evaluation, contest, plan, ledger, world, clock, epoch, listen, on_ready, early)
        )
    finally:
        gc.enable()
        gc.unfreeze()
        ledger.release()
        _close(loop)
    return Played(run_id=run_id, because=because, folder=run_folder)


async def _play_virtual(
    evaluation: Evaluation,
    contest: Contest,
    plan: Plan,
    ledger: SqliteLedger,
    world: Any,
    clock: LoopClock,
    epoch: datetime,
    listen: Listener | None,
    on_ready: Callable[[House], None] | None,
    early: MakeRule | None,
) -> str:
    world.clock = clock.now
    if listen is not None:
        ledger.listen(listen)
    if ledger.head().seq == 0:
        ledger.put_recipients(evaluation.recipients)
        await ledger.append(*first_facts(evaluation, contest, plan, clock.now()))
    transport = registry.sandbox("server").WorldTransport(world)
    house = build(
        evaluation,
        contest,
        ledger,
        Surroundings(
            clock=clock,
            transport=transport,
            nonce=contest.tools.nonce,
            probe_tls=lambda url, version: probe_simulated(transport, url, version),
            lead=timedelta(0),
            network=registry.sandbox("gateway").Switchboard(world),
        ),
    )
    if on_ready is not None:
        on_ready(house)
    playing = asyncio.create_task(world.run(lambda post: _hand_over(house.inbox, clock, post)))
    looking = _looking(early, evaluation, ledger, house.engine, clock, aside=False)
    try:
        await house.open()
        because = await house.engine.run()
        await house.leave()
    finally:
        for task in (playing, *looking):
            task.cancel()
        await asyncio.gather(playing, *looking, return_exceptions=True)
    await ledger.close()
    return because


@dataclass(frozen=True, slots=True)
class _Heard:
    """As much of a response as the world looks at."""

    status_code: int
    content: bytes


async def _hand_over(inbox: Inbox, clock: LoopClock, post: Any) -> _Heard:
    """The world's post, straight to the inbox: the same door without a socket."""
    url: httpx.URL = post.url
    answer = await inbox.post(
        PushRequest(
            method=post.method,
            path=url.path,
            query=url.query.decode(),
            headers=post.headers,
            body=post.content,
            received_at=clock.now(),
        )
    )
    return _Heard(answer.status, answer.body)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Let what an interrupt or a pulled plug left behind unwind. The ledger is closed by then and takes no more."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


# --- real time ------------------------------------------------------------------------------------------------------


async def play_for_real(
    evaluation: Evaluation,
    *,
    out: Path,
    run_id: str | None = None,
    listen: Listener | None = None,
    receive_only: bool = False,
    early: MakeRule | None = None,
) -> Played:
    """Plan and play a run, or resume one, over real sockets.

    Args:
        out: the folder of runs.
        run_id: of a run to be resumed; None begins a new one.
        receive_only: only the inbox, for late reports.
        early: makes the rule by which the run is left off early, if the evaluation wants that.
    """
    clock = RealClock()
    contest = open_contest(evaluation, clock=clock, nonce=real_nonce)
    fresh = run_id is None
    plan: Plan | None = None
    if fresh:
        begins = max(clock.now(), evaluation.begins or clock.now())
        plan = plan_of(evaluation, contest, seed=seed_of(evaluation), begins=begins)
        run_id = name_of(evaluation, plan, begins)
    folder = out / str(run_id)
    # A new run listens before it writes: one that cannot would leave a ledger that nobody ever began.
    door = _bind(evaluation.inbox.listen) if fresh else None
    if fresh:
        folder.mkdir(parents=True, exist_ok=True)
    elif not (folder / "ledger.db").is_file():
        raise LedgerError(f"{folder.name}: there is no run of that name in {out.name}. See `smsbench status`.")
    ledger = SqliteLedger(
        folder / "ledger.db", run_id=run_id if fresh else None, exclusive=not receive_only, salt=real_salt()
    )
    transport = Wire()
    if listen is not None:
        ledger.listen(listen)
    try:
        if plan is not None:
            ledger.put_recipients(evaluation.recipients)
            await ledger.append(*first_facts(evaluation, contest, plan, clock.now()))
        surroundings = Surroundings(
            clock=clock, transport=transport, nonce=real_nonce, probe_tls=probe_real, listens=True
        )
        house = build(evaluation, contest, ledger, surroundings)
        door = door or _bind(evaluation.inbox.listen)
        looking = [] if receive_only else _looking(early, evaluation, ledger, house.engine, clock, aside=True)
        try:
            because = await _with_inbox(door, house, receive_only=receive_only)
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
    finally:
        if door is not None:
            door.close()
        await ledger.close()
        await transport.aclose()
    return Played(run_id=ledger.run_id, because=because, folder=folder)


async def _with_inbox(door: socket.socket, house: House, *, receive_only: bool) -> str:
    config = uvicorn.Config(house.inbox.app, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve([door]))
    stopped = asyncio.Event()

    def stop() -> None:
        house.engine.stop()
        stopped.set()

    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop)
    try:
        await _open_links(house, is_second=receive_only)
        if receive_only:
            await stopped.wait()
            return "interrupted"
        return await house.engine.run()
    finally:
        await house.leave()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(one)
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


async def _open_links(house: House, *, is_second: bool) -> None:
    """Raises ConfigError if an address that a gateway dials is taken, unless by the first process of this run."""
    for label, links in house.links.items():
        try:
            await links.start()
        except OSError as error:
            if is_second:
                continue
            place = f"vendors.{label}: options.listen"
            way_out = "Is another run using it? Choose another address under  options: {listen: …}"
            raise ConfigError([Complaint(place=place, problem=str(error), way_out=way_out)]) from error


def _bind(listen: str) -> socket.socket:
    """The inbox's socket; connections wait in it until the server takes them. Raises ConfigError."""
    host, _, port = listen.rpartition(":")
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((host, int(port)))
    except OSError as error:
        one.close()
        way_out = "Is another run using it? Choose another address under  inbox: {listen: …}"
        raise ConfigError([Complaint(place="inbox.listen", problem=f"{listen}: {error}", way_out=way_out)]) from error
    one.listen(1024)
    one.setblocking(False)
    return one
