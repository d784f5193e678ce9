"""The simulated world of docs/statistics.md §0: handsets that differ, outages that come and go, apps that miss.

Everything is drawn for many runs at once: the first axis of each array is the run. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HOUR = 3_600.0
DAY = 86_400.0
WEEK = 7 * DAY
REACH_IN_OUTAGE = 0.3  # share of arrivals that still get through


def handset_rates(rng, runs, handsets, mean, rho):
    """Rates of handsets, Beta with this mean and intra-class correlation."""
    if rho == 0:
        return np.full((runs, handsets), mean)
    return rng.beta(mean * (1 - rho) / rho, (1 - mean) * (1 - rho) / rho, size=(runs, handsets))


def in_outage(rng, times, *, share, length, window):
    """Whether each time falls into an outage: two-state Markov, stationary; `times` is (runs, n) inside [0, window]."""
    runs = times.shape[0]
    if share <= 0:
        return np.zeros(times.shape, dtype=bool)
    up = length * (1 - share) / share
    pairs = int(window / (up + length) * 2 + 12)
    spells = np.empty((runs, 2 * pairs))
    spells[:, 0::2] = rng.exponential(up, (runs, pairs))
    spells[:, 1::2] = rng.exponential(length, (runs, pairs))
    spells[rng.random(runs) < share, 0] = 0.0  # memoryless: an outage under way at the start
    ends = np.minimum(np.cumsum(spells, axis=1), window * 1.5)
    span = 2 * window  # sets the runs apart so that one search serves all
    offsets = np.arange(runs)[:, None] * span
    changes = np.searchsorted((ends + offsets).ravel(), (times + offsets).ravel(), side="right").reshape(times.shape)
    return (changes - np.arange(runs)[:, None] * 2 * pairs) % 2 == 1


def affordable(p, share):
    """The outage share, cut so that outages alone take at most four fifths of what a rate of `p` may lose."""
    return min(share, 0.8 * (1 - p) / (1 - REACH_IN_OUTAGE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Messages of one vendor: arrived or not, by (run, message)."""

    y: np.ndarray
    times: np.ndarray
    handset: np.ndarray  # (message,)
    panel_rate: np.ndarray  # (run,): the long-run rate of just these handsets


def send(rng, runs, *, p, handsets, each, rho=0.0, outage=0.0, length=2_400.0, window=WEEK):
    """Staggered rounds to every handset; the long-run rate over all handsets and times is exactly `p`."""
    share = affordable(p, outage)
    kept = 1 - (1 - REACH_IN_OUTAGE) * share
    rates = handset_rates(rng, runs, handsets, p / kept, rho)
    handset = np.repeat(np.arange(handsets), each)
    rounds = np.tile(np.arange(each), handsets)
    times = (rounds + rng.random((runs, handsets * each))) * (window / each)
    down = in_outage(rng, times, share=share, length=length, window=window)
    chance = rates[:, handset] * np.where(down, REACH_IN_OUTAGE, 1.0)
    return Sent(y=rng.random(chance.shape) < chance, times=times, handset=handset, panel_rate=rates.mean(axis=1) * kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds to arrival (1), explicit failure (2) or the end of watching (0), by (run, message)."""

    time: np.ndarray
    event: np.ndarray
    handset: np.ndarray


def latencies(rng, runs, *, handsets, each, spread=0.0, cut=0.4, horizon=300.0):
    """93 % arrive (lognormal, median 4 s, σ .9), 5 % fail openly, 2 % are lost; a share `cut` is watched briefly."""
    handset = np.repeat(np.arange(handsets), each)
    shift = rng.normal(0, spread, (runs, handsets))[:, handset] if spread else 0.0
    size = (runs, handsets * each)
    fate = rng.random(size)
    arrival = np.exp(np.log(4) + shift + 0.9 * rng.standard_normal(size))
    failure = rng.uniform(1, 30, size)
    happens = np.where(fate < 0.93, arrival, np.where(fate < 0.98, failure, np.inf))
    watched = np.where(rng.random(size) < cut, rng.uniform(0, 60, size), horizon)
    kind = np.where(fate < 0.93, 1, 2)
    return Latencies(time=np.minimum(happens, watched), event=np.where(happens <= watched, kind, 0), handset=handset)


def claims(rng, size, *, arrived, theta, fake, missing):
    """What a vendor says of messages: 1 delivered, 2 failed, 0 nothing. `fake` is the share of all messages."""
    lost = 1 - theta
    faked = min(fake, 0.9 * lost) / lost
    draw = rng.random(size)
    of_arrived = np.where(draw < missing, 0, 1)
    of_lost = np.where(draw < faked, 1, np.where(draw < faked + 0.7 * (1 - faked), 2, 0))
    return np.where(arrived, of_arrived, of_lost)
