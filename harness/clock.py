"""Two of the four doors: time and chance. Both have a real and a simulated side, chosen once, at the front door.

Under `VirtualLoop` nothing waits: when nothing is ready the clock leaps to the next timer, so a week takes seconds and
a deadlock is reported instead of hanging.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import random
import secrets
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVarTuple

Ts = TypeVarTuple("Ts")
FileDescriptorLike = Any  # an int or an object with `fileno`, as the selectors module takes it


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, aware, UTC."""


class RealClock:
    """Wall time read once and carried on by the monotonic clock: a jump of the wall clock moves no stamp of a run."""

    def __init__(self) -> None:
        self._wall, self._line = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._line)

    def drift(self) -> float:
        """How far the machine's wall clock has moved away from ours, in seconds: a jump is told, not followed."""
        return (datetime.now(UTC) - self.now()).total_seconds()


class LoopClock:
    """Wall time that moves with the running loop: `epoch + loop.time()`. For virtual loops."""

    def __init__(self, epoch: datetime, loop: asyncio.AbstractEventLoop) -> None:
        self._epoch, self._loop = epoch, loop
        self._at, self._now = 0.0, epoch

    def now(self) -> datetime:
        at = self._loop.time()
        if at != self._at:  # virtual time stands still while much happens
            self._at, self._now = at, self._epoch + timedelta(seconds=at)
        return self._now


class _Agenda(selectors.DefaultSelector):
    """The loop's timers, first come first served at equal times. Whenever the loop would wait, the clock moves instead.

    Asks the system only if somebody registered a real file beside the loop's own wake-up pipe.
    """

    def __init__(self, begin: float) -> None:
        super().__init__()
        self.now = begin
        self.leaps = 0
        self.files = -1
        self.timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.ready: deque[asyncio.Handle] = deque()  # the loop's own queue, once there is a loop
        self._order = itertools.count()

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        self.files += 1
        return super().register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        self.files -= 1
        return super().unregister(fileobj)

    def add(self, when: float, handle: asyncio.TimerHandle) -> None:
        heapq.heappush(self.timers, (when, next(self._order), handle))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.files > 0 and (events := super().select(0)):
            return events
        self.advance(leaping=timeout is None)
        return []

    def advance(self, *, leaping: bool) -> None:
        """Make ready what is due now; `leaping`: nothing is ready, so what comes next is due."""
        timers = self.timers
        if leaping:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise RuntimeError("simulation is stuck: every task waits, and no timer is set")
            if timers[0][0] > self.now:
                self.now = timers[0][0]
                self.leaps += 1
        while timers and timers[0][0] <= self.now:
            handle = heapq.heappop(timers)[2]
            if not handle.cancelled():
                self.ready.append(handle)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time leaps. `begin`: its first `time()`, in seconds.

    It keeps its timers itself: asyncio's own heap compares handles in Python and forgets their order at equal times.
    """

    def __init__(self, begin: float = 0.0) -> None:
        self._agenda = _Agenda(begin)
        super().__init__(self._agenda)
        self._agenda.ready = self.__dict__["_ready"]

    def time(self) -> float:
        return self._agenda.now

    def _run_once(self) -> None:
        """One turn, as asyncio's own takes it, without its second heap, its clock and its look for slow callbacks."""
        agenda, ready = self._agenda, self._agenda.ready
        leaping = not ready and not self.__dict__["_stopping"]
        if agenda.files > 0 and (events := selectors.DefaultSelector.select(agenda, 0)):
            self._process_events(events)  # type: ignore[attr-defined]
            leaping = False
        agenda.advance(leaping=leaping)
        for _ in range(len(ready)):  # what becomes ready meanwhile has its turn in the next
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._check_closed()  # type: ignore[attr-defined]
        handle = asyncio.Handle(callback, args, self, context)
        self._agenda.ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._agenda.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._agenda.add(when, handle)
        return handle

    @property
    def leaps(self) -> int:
        return self._agenda.leaps


def monotonic() -> float:
    """Seconds on the machine's monotonic clock, the line that real event loops run on."""
    return time.monotonic()


class Chance:
    """Named streams of chance from one seed: what one stream draws never moves another.

    >>> Chance(7).stream("plan").random() == Chance(7).stream("plan").random()
    True
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, *name: object) -> random.Random:
        digest = hashlib.sha256("\x1f".join(map(str, (self.seed, *name))).encode()).digest()
        return random.Random(int.from_bytes(digest[:16], "big"))

    def nonces(self, *name: object) -> Callable[[], str]:
        """A source of 32 lower-case hex digits that repeats for the same seed and name (simulation)."""
        stream = self.stream("nonce", *name)
        return lambda: f"{stream.getrandbits(128):032x}"


def real_nonce() -> str:
    """32 lower-case hex digits nobody can foresee (live runs)."""
    return secrets.token_hex(16)


def real_salt() -> bytes:
    """32 bytes nobody can foresee, for a new run's ledger."""
    return secrets.token_bytes(32)


def fresh_seed() -> int:
    """A seed for a run that names none; it is recorded in the plan."""
    return secrets.randbelow(2**31)
