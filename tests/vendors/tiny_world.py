"""A small world for tests: a truth made from a few changed values, a counterpart in plain JSON, and an inbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import yaml

from harness.clock import LoopClock, VirtualLoop
from harness.domain import Purpose, Subject
from vendors.sandbox.account import Account
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Taken, Turned
from vendors.sandbox.people import Person
from vendors.sandbox.truth import read_truth
from vendors.sandbox.world import World

WRECKS: list[asyncio.Task[Any]] = []
"""What a pulled plug left unfinished: kept, so that no collector finishes it at some later moment."""

EPOCH = datetime(2026, 3, 2, 1, tzinfo=UTC)  # 09:00 in Beijing, a Monday


class Counterpart:
    """A vendor's wire as small as can be: POST /send and GET /reports."""

    push_batch = 2
    push_retry: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5))

    def __init__(self, door: Door) -> None:
        self.door = door

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/reports":
            return httpx.Response(200, json=[claim.key for claim in self.door.take_reports(100)])
        body = json.loads(request.content)
        self.door.memory["sent"] = key = self.door.memory.get("sent", 0) + 1
        outcome = self.door.submit(
            Submission(number=body["to"], text=body["text"], purpose=Purpose.VERIFICATION, key=str(key))
        )
        if isinstance(outcome, Turned):
            return httpx.Response(200, json={"refused": outcome.reason})
        return httpx.Response(200, json={"id": str(key), "fee": str(outcome.fee)})

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return _push([{"id": claim.key, "state": claim.state, "code": claim.code} for claim in claims])

    def push_reply(self, reply: Reply) -> PushOut | None:
        return _push({"from": reply.number, "text": reply.text, "extension": reply.extension})

    def push_decision(self, review: Review) -> PushOut | None:
        return _push({"number": review.number, "verdict": review.verdict})

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"OK"


def _push(body: object) -> PushOut:
    return PushOut(body=json.dumps(body).encode(), content_type="application/json")


def truth_text(
    vendor: Mapping[str, Any] | None = None,
    panel: Mapping[str, Any] | None = None,
    vendors: Mapping[str, Mapping[str, Any]] | None = None,
    **top: Any,
) -> str:
    """A truth as YAML: one vendor `acme`, or the given ones, and a panel of ten phones on China Mobile."""
    plain = {"wire": "tiny", "arrival": "1", "mode": "push", "latency": "3", "receipts": {"delay": "2"}}
    people = {"handsets": {"china_mobile": 10}, "heartbeat_minutes": 0, "forward_delay": 1}
    document = {
        "vendors": {label: {**plain, **given} for label, given in (vendors or {"acme": vendor or {}}).items()},
        "panel": {**people, **(panel or {})},
        **top,
    }
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))


def tiny_world(
    vendor: Mapping[str, Any] | None = None, panel: Mapping[str, Any] | None = None, *, seed: int = 1, **top: Any
) -> World:
    truth = read_truth(truth_text(vendor, panel, **top), "tiny.yaml")
    return World(truth, seed=seed, epoch=EPOCH, counterparts={"tiny": Counterpart})


def handsets(world: World) -> list[Person]:
    return [person for person in world.people.values() if person.phone]


def submit(
    account: Account, person: Person, serial: int | str, *, purpose: Purpose = Purpose.VERIFICATION, text: str = ""
) -> Taken | Turned:
    whole = text or f"【某某科技】您的验证码{serial:>06}，请勿告诉他人。"
    return account.submit(Submission(number=person.number, text=whole, purpose=purpose, key=str(serial)))


def review(account: Account, text: str, *, purpose: Purpose = Purpose.NOTIFICATION, name: str = "x") -> Review:
    return account.submit_review(subject=Subject.TEMPLATE, name=name, text=text, purpose=purpose, extra={})


class Inbox:
    """The harness's end: keeps what it takes, and can be made to fail."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.taken: list[tuple[datetime, httpx.Request]] = []
        self.tried: list[tuple[datetime, httpx.Request]] = []
        self.failing: Callable[[httpx.Request], bool] = lambda request: False

    async def deliver(self, request: httpx.Request) -> httpx.Response:
        self.tried.append((self.world.now(), request))
        if self.failing(request):
            return httpx.Response(503)
        self.taken.append((self.world.now(), request))
        return httpx.Response(200, content=b"OK")

    def bodies(self, part: str) -> list[Any]:
        return [json.loads(request.content) for _, request in self.taken if part in str(request.url)]


def play(
    world: World,
    story: Callable[[], Awaitable[None]],
    deliver: Callable[[httpx.Request], Awaitable[httpx.Response]],
    *,
    begin: float = 0.0,
) -> None:
    """Play the world and a story in virtual time, from `begin` seconds after the epoch until the story ends."""
    loop = VirtualLoop(begin)
    world.clock = LoopClock(EPOCH, loop).now

    async def both() -> None:
        playing = asyncio.ensure_future(world.run(deliver))
        await story()
        assert not playing.done(), playing.exception()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)

    try:
        loop.run_until_complete(both())
    finally:
        WRECKS.extend(asyncio.all_tasks(loop))
        loop.close()
