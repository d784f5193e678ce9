"""Two of the four doors: time and chance. Both have a real and a simulated side, chosen once, at the front door.

Under `VirtualLoop` nothing waits: when nothing is ready the clock leaps to the next timer, so a week takes seconds and
a deadlock is reported instead of hanging.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import selectors
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


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

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._loop.time())


class _LeapingSelector(selectors.DefaultSelector):
    """Whenever the loop would wait, move the clock instead."""

    def __init__(self, begin: float) -> None:
        super().__init__()
        self.now = begin
        self.leaps = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:  # something is ready: no need to ask the system, no real sockets live here
            return []
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("simulation is stuck: every task waits, and no timer is set")
        self.now += max(timeout, 0)
        self.leaps += 1
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time leaps. `begin`: its first `time()`, in seconds."""

    def __init__(self, begin: float = 0.0) -> None:
        self._leaping = _LeapingSelector(begin)
        super().__init__(self._leaping)
        # The loop fires timers up to one resolution early; without slack two stamps of one instant stay equal.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._leaping.now

    @property
    def leaps(self) -> int:
        return self._leaping.leaps


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


def fresh_seed() -> int:
    """A seed for a run that names none; it is recorded in the plan."""
    return secrets.randbelow(2**31)
