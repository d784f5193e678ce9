"""Time that leaps, time that nobody can set, and chance in streams."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from harness import clock
from harness.clock import Chance, LoopClock, RealClock, VirtualLoop, fresh_seed, real_nonce
from tests.harness.given import NOW, virtually


def test_a_week_passes_at_once():
    async def week() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        for _ in range(7):
            await asyncio.sleep(86_400)
        assert isinstance(loop, VirtualLoop)
        return loop.time(), loop.leaps

    assert virtually(week()) == (7 * 86_400, 7)


def test_a_deadlock_is_reported_instead_of_hanging():
    async def wait_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="simulation is stuck"):
        virtually(wait_for_nobody())


def test_timers_of_one_instant_fire_at_it_and_in_the_same_order_every_time():
    async def scene() -> list[tuple[int, float]]:
        fired: list[tuple[int, float]] = []
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_at(5.0, lambda number=number: fired.append((number, loop.time())))
        await asyncio.sleep(6)
        return fired

    first = virtually(scene())
    assert first == virtually(scene())
    assert {number for number, _ in first} == set(range(50))
    assert {at for _, at in first} == {5.0}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_every_timer_fires_at_its_own_instant_and_in_order(delays):
    async def scene() -> list[tuple[float, float]]:
        loop, fired = asyncio.get_running_loop(), []
        for delay in delays:
            loop.call_at(delay, lambda delay=delay: fired.append((delay, loop.time())))
        await asyncio.sleep(1e6 + 1)
        return fired

    fired = virtually(scene())
    assert sorted(due for due, _ in fired) == sorted(delays)
    assert [at for _, at in fired] == sorted(at for _, at in fired)
    assert all(at == pytest.approx(due, abs=1e-8) for due, at in fired)


def test_time_outs_and_retries_live_in_virtual_time():
    async def scene() -> float:
        async def fails() -> None:
            async with asyncio.timeout(30):
                await asyncio.sleep(3600)

        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(60), sleep=asyncio.sleep, reraise=True
        )
        with pytest.raises(TimeoutError):
            await tries(fails)
        return asyncio.get_running_loop().time()

    assert virtually(scene()) == pytest.approx(3 * 30 + 2 * 60)


def test_what_is_ready_runs_before_time_leaps():
    async def scene() -> float:
        for _ in range(100):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert virtually(scene(), begin=7.0) == 7.0


def test_wall_time_moves_with_the_loop():
    async def scene() -> datetime:
        here = LoopClock(NOW, asyncio.get_running_loop())
        await asyncio.sleep(90)
        return here.now()

    assert virtually(scene()) == NOW + timedelta(seconds=90)


class _Wall(datetime):
    """A wall clock that somebody sets."""

    shown = datetime(2026, 3, 2, tzinfo=UTC)

    @classmethod
    def now(cls, tz=None):
        return cls.shown


def test_a_jump_of_the_wall_clock_moves_no_stamp_and_is_told(monkeypatch):
    monkeypatch.setattr(clock, "datetime", _Wall)
    line = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: line[0])
    here = RealClock()
    line[0] += 5
    _Wall.shown += timedelta(hours=1, seconds=5)
    assert here.now() == datetime(2026, 3, 2, 0, 0, 5, tzinfo=UTC)
    assert here.drift() == pytest.approx(3600)


def test_real_stamps_are_aware_and_never_go_back():
    here = RealClock()
    stamps = [here.now() for _ in range(100)]
    assert stamps == sorted(stamps)
    assert all(stamp.tzinfo is UTC for stamp in stamps)


@given(st.integers(), st.text(), st.text())
def test_what_one_stream_draws_never_moves_another(seed, one, other):
    alone = Chance(seed).stream("a", other).random()
    chance = Chance(seed)
    drawn = [chance.stream("b", one).random() for _ in range(3)]
    assert chance.stream("a", other).random() == alone
    assert len(set(drawn)) == 1


def test_names_do_not_run_into_each_other():
    chance = Chance(1)
    assert chance.stream("ab", "c").random() != chance.stream("a", "bc").random()
    assert Chance(1).stream("a").random() != Chance(2).stream("a").random()


def test_nonces_repeat_with_their_seed_and_differ_without():
    first, again = Chance(3).nonces("x"), Chance(3).nonces("x")
    drawn = [first() for _ in range(5)]
    assert drawn == [again() for _ in range(5)]
    assert len(set(drawn)) == 5
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in [*drawn, real_nonce()])
    assert real_nonce() != real_nonce()
    assert 0 <= fresh_seed() < 2**31
