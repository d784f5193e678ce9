"""Goals C16–C27 and C31: pairs of vendors, plans, early stopping, months, drift and rankings (statistics.md §10).

Each is a function as in `tests.calibration`; worlds of pairs and months are drawn here, many runs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from scipy.stats import binomtest

from harness.domain import Estimate, Scope
from harness.judge import decisions, months, planner, stats, stopping
from harness.judge.compare import compare
from tests import calibration_world as world
from tests import months as made
from tests.calibration_rows import Row, certain, covers, rows_of_share

# --- two vendors on the same phones at the same times ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Outcomes of two vendors by (run, pair)."""

    a: np.ndarray
    b: np.ndarray
    times: np.ndarray
    handset: np.ndarray  # (pair,)
    order: np.ndarray  # (run, pair): True where A came first


def paired(
    rng, runs, *, p_a, p_b, handsets, each, shared=0.0, own=0.0, outage=0.0, carrier_outage=0.0, window=world.WEEK,
    order_effect=0.0, counterbalanced=True,
):  # fmt: skip
    """`shared`: spread that both vendors have in common on a phone (correlation); `own`: that of vendor × phone.

    Outages hit one vendor each, carrier outages both. `order_effect` is what the second message of a pair loses.
    """
    handset = np.repeat(np.arange(handsets), each)
    rounds = np.tile(np.arange(each), handsets)
    times = (rounds + rng.random((runs, handsets * each))) * (window / each)
    trouble = world.handset_rates(rng, runs, handsets, 0.99, shared)[:, handset] / 0.99 if shared else 1.0
    both_down = world.in_outage(rng, times, share=carrier_outage, length=2_400.0, window=window)
    order = (
        rng.permuted(np.tile(np.arange(handsets * each) % 2 == 0, (runs, 1)), axis=1) if counterbalanced
        else np.ones((runs, handsets * each), dtype=bool)
    )  # fmt: skip
    found = []
    for mean, second in ((p_a, ~order), (p_b, order)):
        share = world.affordable(mean, outage)
        kept = 1 - (1 - world.REACH_IN_OUTAGE) * share
        rates = world.handset_rates(rng, runs, handsets, min(1.0, mean / kept), own)[:, handset]
        down = world.in_outage(rng, times, share=share, length=2_400.0, window=window) | both_down
        chance = rates * trouble * np.where(down, world.REACH_IN_OUTAGE, 1.0) - order_effect * second
        found.append((rng.random(chance.shape) < chance).astype(float))
    return Paired(a=found[0], b=found[1], times=times, handset=handset, order=order)


def differences(sent: Paired, scope: Scope = Scope.POPULATION, window: float = world.WEEK) -> list[stats.Difference]:
    found = []
    for a, b, times in zip(sent.a, sent.b, sent.times, strict=True):
        one = stats.paired_difference(a, b, sent.handset, stats.time_blocks(times, 0, window), scope=scope)
        assert isinstance(one, stats.Difference), one
        found.append(one)
    return found


SIX_WORLDS: dict[str, dict[str, float]] = {
    "independent": {},
    "shared trouble": {"shared": 0.05, "carrier_outage": 0.005},
    "outages 1 %": {"outage": 0.01},
    "vendor × handset ρ .02": {"own": 0.02},
    "vendor × handset ρ .05": {"own": 0.05},
    "both": {"own": 0.02, "outage": 0.01},
}


def c16(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Size of the paired test, and of McNemar's."""
    for name, what in SIX_WORLDS.items():
        worst = None
        for handsets, each in ((5, 60), (10, 100), (20, 50)):
            sent = paired(rng, runs, p_a=0.97, p_b=0.97, handsets=handsets, each=each, **what)
            hits = np.array([one.p < 0.05 for one in differences(sent)])
            if worst is None or hits.mean() > worst[1].mean():
                worst = (f"{handsets}×{each}", hits)
            if name == "vendor × handset ρ .02" and handsets == 10:
                teeth = _mcnemar(sent) < 0.05
        assert worst is not None
        setting = f"paired two-way t, equal vendors, {name}: worst of 3 ({worst[0]})"
        yield rows_of_share("C16", setting, worst[1], "<=", 0.065)
    yield rows_of_share("C16", "McNemar, vendor × handset ρ .02, 10×100 (teeth)", teeth, ">", 0.15)


def _mcnemar(sent: Paired) -> np.ndarray:
    plus, minus = ((sent.a > sent.b).sum(axis=1), (sent.a < sent.b).sum(axis=1))
    return np.array([
        binomtest(int(up), int(up + down)).pvalue if up + down else 1.0 for up, down in zip(plus, minus, strict=True)
    ])  # fmt: skip


def c17(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """The interval of a difference in 25 settings."""
    least = max(40, runs // 2)
    worlds = [{}, {"shared": 0.05}, {"outage": 0.01}, {"own": 0.02}, {"own": 0.02, "outage": 0.01}]
    covered = []
    for what in worlds:
        for handsets, each in ((5, 60), (10, 30), (10, 100), (20, 15), (20, 50)):
            sent = paired(rng, least, p_a=0.98, p_b=0.96, handsets=handsets, each=each, **what)
            hits = np.array([one.low <= 0.02 <= one.high for one in differences(sent)])
            covered.append((f"{handsets}×{each}, {_told(what)}", hits))
    worst = min(covered, key=lambda one: one[1].mean())
    yield rows_of_share("C17", f"difference interval, 98 v 96: worst of 25 ({worst[0]})", worst[1], ">=", 0.94)
    whole = np.concatenate([hits for _, hits in covered])
    yield rows_of_share("C17", "difference interval, 98 v 96: mean of 25", whole, ">=", 0.95)


def _told(what: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in what.items()) or "independent"


def c18(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Power, and what the planner says of it."""
    sent = paired(rng, runs, p_a=0.98, p_b=0.96, handsets=20, each=90)
    hits = np.array([one.p < 0.05 for one in differences(sent)])
    yield rows_of_share("C18", "98 v 96, 1,800 messages on 20 handsets, ρ 0: found", hits, ">=", 0.80)
    need = planner.need_for_rates(planner.Wanted(), planner.Means(handsets=20, rho=0.0))
    assert need.messages is not None
    each = -(-need.messages // 20)
    sent = paired(rng, runs, p_a=0.98, p_b=0.96, handsets=20, each=each)
    hits = np.array([one.p < 0.05 for one in differences(sent)])
    yield rows_of_share("C18", f"the same with the {need.messages:,} messages planned: found", hits, ">=", 0.80)
    yield certain("C18", "n₀(98, 96) is 1,141", abs(need.independent - 1_141) <= 1)
    n0 = stats._independent_messages(0.98, 0.96, 0.8, 0.05)
    right = [
        (planner.need_for_rates(planner.Wanted(), planner.Means(handsets=k, rho=rho)).messages is None)
        == (k <= n0 * rho)
        for rho in (0.0, 0.005, 0.01, 0.02, 0.05) for k in range(1, 121)
    ]  # fmt: skip
    yield certain("C18", "never, if and only if K ≤ n₀·ρ, for 600 plans", all(right))


def c19(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Median times of 4 and 6 seconds."""
    for median, relation, bound in ((6.0, ">=", 0.80), (4.0, "<=", 0.07)):
        shift = rng.normal(0, 0.15, (2, runs, 20))
        handset = np.repeat(np.arange(20), 6)
        taken = [
            np.exp(log(middle) + by[:, handset] + 0.8 * rng.standard_normal((runs, 120)))
            for middle, by in zip((4.0, median), shift, strict=True)
        ]
        found = [stats.paired_times(a, b, handset) for a, b in zip(*taken, strict=True)]
        hits = np.array([isinstance(one, stats.Difference) and one.p < 0.05 for one in found])
        yield rows_of_share("C19", f"median 4 v {median:g} s, 20×6, handset SD .15: found", hits, relation, bound)


def c20(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Whoever comes second loses a point."""
    for counterbalanced in (True, False):
        sent = paired(
            rng, runs, p_a=0.97, p_b=0.97, handsets=40, each=60, order_effect=0.01, counterbalanced=counterbalanced
        )
        found = differences(sent)
        hits = np.array([one.p < 0.05 for one in found])
        if not counterbalanced:
            yield rows_of_share("C20", "fixed order: a false winner (teeth)", hits, ">", 0.20)
            continue
        values = np.array([one.value for one in found])
        yield Row(
            goal="C20", setting="counterbalanced order, order effect 1 point: bias", measured=abs(float(values.mean())),
            relation="<", bound=0.0015, error=float(values.std()) / sqrt(runs), runs=runs,
        )  # fmt: skip
        yield rows_of_share("C20", "counterbalanced order: a false winner", hits, "<=", 0.05)


def c21(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Five looks."""
    for name, what, p_b in (
        ("independent, equal", {}, 0.97), ("outages 1 %, equal", {"outage": 0.01}, 0.97), ("98 v 96", {}, 0.96),
        ("98 v 90", {}, 0.90), ("true difference 2 points", {}, 0.96),
    ):  # fmt: skip
        p_a = 0.97 if p_b == 0.97 else 0.98
        sent = paired(rng, runs, p_a=p_a, p_b=p_b, handsets=20, each=90, **what)
        ends = [_stopped(*one) for one in zip(sent.a, sent.b, sent.times, strict=True)]
        different = np.array([one.why == "different" for one in ends])
        if name.endswith("equal"):
            yield rows_of_share("C21", f"five looks, {name}: a false difference", different, "<=", 0.05)
        elif name == "98 v 90":
            used = np.array([one.pairs / 1_800 for one in ends])
            yield Row(
                goal="C21", setting=f"five looks, {name}: messages of the maximum, mean", measured=float(used.mean()),
                relation="<=", bound=0.5, error=float(used.std()) / sqrt(runs), runs=runs,
            )  # fmt: skip
        elif name == "98 v 96":
            yield rows_of_share("C21", f"five looks, {name}: found", different, ">=", 0.80)
        else:
            missed = np.array([one.why == "no_material_difference" for one in ends])
            yield rows_of_share("C21", "a difference of 2 points called immaterial", missed, "<=", 0.05)


def _stopped(a: np.ndarray, b: np.ndarray, times: np.ndarray) -> stopping.Look:
    order = np.argsort(times, kind="stable")
    a, b, times = a[order], b[order], times[order]
    taken = 0
    for n in stopping.looks_at(a.size):
        seen = stopping.look(a[:n], b[:n], times[:n], planned=a.size, taken=taken)
        taken = seen.look
        if seen.stop:
            return seen
    raise AssertionError("the last look ends it")


def c22(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Four equal vendors on three carriers: 18 comparisons, Holm."""
    runs = max(40, runs // 3)
    p = np.ones((runs, 18))
    column = 0
    for _ in range(3):
        # Vendors a and b of `paired`, twice, on one timetable: two worlds of the same kind share their times.
        one = paired(rng, runs, p_a=0.97, p_b=0.97, handsets=20, each=30, own=0.02, outage=0.01)
        other = _further(rng, one)
        four = [one.a, one.b, *other]
        for first in range(4):
            for second in range(first + 1, 4):
                pair = Paired(a=four[first], b=four[second], times=one.times, handset=one.handset, order=one.order)
                p[:, column] = [found.p for found in differences(pair)]
                column += 1
    hits = (stats.holm(p) < 0.05).any(axis=1)
    yield rows_of_share("C22", "18 null comparisons, ρ .02 and outages: any by Holm", hits, "<=", 0.05)


def _further(rng: np.random.Generator, sent: Paired) -> list[np.ndarray]:
    """Two more vendors at the same times."""
    runs, found = sent.a.shape[0], []
    handsets = int(sent.handset.max()) + 1
    share = world.affordable(0.97, 0.01)
    kept = 1 - (1 - world.REACH_IN_OUTAGE) * share
    for _ in range(2):
        rates = world.handset_rates(rng, runs, handsets, 0.97 / kept, 0.02)[:, sent.handset]
        down = world.in_outage(rng, sent.times, share=share, length=2_400.0, window=world.WEEK)
        found.append((rng.random(rates.shape) < rates * np.where(down, world.REACH_IN_OUTAGE, 1.0)).astype(float))
    return found


# --- month against month ---------------------------------------------------------------------------------------------

RATES = (0.98, 0.97, 0.99, 0.95, 0.96, 0.75, 0.90, 0.97, 0.985, 0.97)  # ten measures on three carriers each
NATURAL = (0.0, 0.003, 0.005)  # SD from month to month, in shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """What a month's comparison says, by (run, …)."""

    regressed: np.ndarray  # (run, 30): arrival's three first
    better: np.ndarray
    not_regressed: np.ndarray  # (run, 3)


def year(rng, runs, *, n, deff, natural, before, drop=0.0, uneven=False):
    """Months judged as `harness.judge.compare` does, on cell totals: three carriers × ten measures, the first falling.

    The first month is the blessed one. `uneven`: arrival varies from month to month, nothing else does.
    """
    n_eff = n / deff
    points = []
    for place, mean in enumerate(RATES):
        spread = natural if not uneven or place == 0 else 0.0
        rates = np.clip(mean + spread * rng.standard_normal((runs, 3, before + 1)), 0, 1)
        if place == 0:
            rates[:, 0, -1] = np.clip(rates[:, 0, -1] - drop, 0, 1)
        points.append(months.arcsine(rng.binomial(round(n_eff), rates), round(n_eff)))
    sampling = float(months.arcsine_variance(round(n_eff)))
    pools = [months.month_variance([f[:, c, :-1] for c in range(3)]) for f in points]
    spread = np.mean([pool.variance for pool in pools if pool is not None], axis=0) if before > 1 else None
    prior = None if spread is None else np.maximum(spread / sampling, months.SAMPLING_PART) * sampling
    fallen, risen, lowest = [], [], []
    for against in ("recent", "blessed")[: 1 if before == 1 else 2]:
        for f, pool in zip(points, pools, strict=True):
            own = months.moderated(pool, prior)
            between = None if own is None else months.Pooled(own.variance[:, None], own.df)
            past = f[..., :-1] if against == "recent" else f[..., :1]
            one = months.change(
                f[..., -1], past, np.full(f.shape[:2], sampling), np.full(past.shape, sampling), between=between,
                df=21.0 * (before + 1),
            )  # fmt: skip
            fallen.append(months.p_fallen(one))
            risen.append(months.p_risen(one))
            one = months.change(
                f[..., -1], past, np.full(f.shape[:2], sampling), np.full(past.shape, sampling), between=between,
                df=21.0 * (before + 1), part=1.0,
            )  # fmt: skip
            lowest.append(months.share_limit(f[..., -1], one, one.gap - months.reach(one, 0.95, one_sided=True)))
    regressed, better = np.zeros((runs, 30), dtype=bool), np.zeros((runs, 30), dtype=bool)
    for number in range(len(fallen) // 10):
        part = fallen[10 * number : 10 * number + 10]
        level = months.PRIMARY_LEVEL if number == 0 else months.SECONDARY_LEVEL
        regressed[:, :3] |= stats.holm(part[0]) < level
        regressed[:, 3:] |= stats.holm(np.concatenate(part[1:], axis=1)) < months.SECONDARY_LEVEL
        rose = np.concatenate(risen[10 * number : 10 * number + 10], axis=1)
        better |= stats.holm(rose) < months.SECONDARY_LEVEL
    return Months(regressed=regressed, better=better, not_regressed=~regressed[:, :3] & (lowest[0] > -months.MARGIN))


def c23(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """False alarms and power of the monthly comparison."""
    for n in (1_000, 1_800):
        for natural in NATURAL:
            found = year(rng, runs, n=n, deff=2, natural=natural, before=6)
            setting = f"n {n:,}, month SD {natural * 100:.1f} points, 6 months"
            yield rows_of_share(
                "C23", f"any of 30 measures regressed, {setting}", found.regressed.any(axis=1), "<=", 0.06
            )
            either = found.regressed.any(axis=1) | found.better.any(axis=1)
            yield rows_of_share("C23", f"any regressed or better, {setting}", either, "<=", 0.07)
    found = year(rng, runs, n=1_800, deff=2, natural=0.005, before=6, uneven=True)
    setting = "month SD .5 points in arrival alone"
    yield rows_of_share("C23", f"any of 30 measures regressed, {setting}", found.regressed.any(axis=1), "<=", 0.06)
    for natural in NATURAL:
        found = year(rng, runs, n=1_800, deff=2, natural=natural, before=6, drop=0.04)
        setting = f"n 1,800, month SD {natural * 100:.1f} points"
        yield rows_of_share("C23", f"loss of 4 points found, {setting}", found.regressed[:, 0], ">=", 0.90)
    found = year(rng, runs, n=1_800, deff=2, natural=0.0, before=6, drop=0.02)
    yield rows_of_share("C23", "loss of 2 points found, n 1,800, month SD 0", found.regressed[:, 0], ">=", 0.75)
    yield from _by_documents(runs, rng)


def _by_documents(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """The same through `compare` and its documents: one vendor, six months before, the first of them blessed."""
    for drop, relation, bound in ((0.0, "<=", 0.06), (0.02, ">=", 0.75)):
        found = []
        for _ in range(max(30, runs // 4)):
            seed = int(rng.integers(2**31))
            past = [made.month(number, {"a": 0.98}, seed=seed) for number in range(1, 7)]
            rates = {carrier: 0.98 - drop * (carrier == made.CARRIERS[0]) for carrier in made.CARRIERS}
            told = compare(made.month(7, {"a": rates}, seed=seed), past[0], past)
            found.append(any(line.verdict == "regressed" for line in told.lines if drop == 0 or line.slice == FIRST))
        what = f"loss of {drop * 100:g} points found" if drop else "no loss, anything regressed"
        yield rows_of_share("C23", f"result documents, n 1,800, deff 2: {what}", np.array(found), relation, bound)


FIRST = {"carrier": made.CARRIERS[0]}


def c24(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Three verdicts."""
    for n, deff in ((1_000, 2), (1_800, 2), (3_600, 2)):
        found = year(rng, runs, n=n, deff=deff, natural=0.0, before=6, drop=0.02)
        setting = f'true loss 2 points called "not regressed", n {n:,}'
        yield rows_of_share("C24", setting, found.not_regressed[:, 0], "<=", 0.065)
    found = year(rng, runs, n=1_800, deff=2, natural=0.0, before=6)
    yield rows_of_share("C24", "no loss, n 1,800: not regressed", found.not_regressed[:, 0], ">=", 0.85)
    found = year(rng, runs, n=300, deff=3, natural=0.0, before=6)
    rest = ~found.not_regressed[:, 0] & ~found.regressed[:, 0]
    yield rows_of_share("C24", "no loss, n 300, deff 3: inconclusive", rest, ">", 0.5)


def c25(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """CUSUM over a year, judged each month; the months' SD is learned from three carriers."""
    for n, deff, natural, drop, relation, bound in (
        (1_000, 3, 0.0, 0.0, "<=", 0.065), (1_800, 2, 0.005, 0.0, "<=", 0.065), (1_000, 3, 0.0, 0.02, ">=", 0.88),
    ):  # fmt: skip
        n_eff = round(n / deff)
        rates = np.clip(0.98 + natural * rng.standard_normal((runs, 3, 12)), 0, 1)
        rates[:, 0, 6:] -= drop
        f = months.arcsine(rng.binomial(n_eff, rates), n_eff)
        spread = months.successive_variance([f[:, c] for c in range(3)])
        assert spread is not None
        scale = months.month_sd(spread, 1 / (n_eff + 0.5))
        for series in (1, 3):
            if series == 3 and drop:
                continue
            sums = np.stack([months.cusum(f[:, c], scale) for c in range(series)], axis=1)
            alarms = (sums > months.cusum_threshold(12, series=series)).any(axis=(1, 2))
            what = f"loss of {drop * 100:g} points from month 7" if drop else "no loss"
            yield rows_of_share(
                "C25", f"{series} carrier(s), 12 months, n {n:,}, deff {deff}, month SD {natural:g}, {what}: alarm",
                alarms, relation, bound,
            )  # fmt: skip


# --- rankings --------------------------------------------------------------------------------------------------------


def c26(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Who else takes part changes nothing; who fails a gate is ranked by no weights."""
    kept, never = [], []
    for _ in range(max(100, runs // 2)):
        vendors, criteria = int(rng.integers(4, 9)), int(rng.integers(3, 8))
        metrics, weights = rng.uniform(0.8, 1.0, (vendors, criteria)), rng.dirichlet(np.ones(criteria))
        marks = decisions.value([(0.85, 0), (0.90, 20), (0.95, 60), (0.98, 90), (0.995, 100)], metrics)
        order = np.argsort(-decisions.scores(marks, weights), kind="stable")
        gone = int(rng.integers(vendors))
        left = np.delete(np.arange(vendors), gone)
        again = left[np.argsort(-decisions.scores(marks[left], weights), kind="stable")]
        kept.append(np.array_equal(order[order != gone], again))
    yield rows_of_share("C26", "removing or adding a vendor keeps the order of the rest", np.array(kept), ">=", 1.0)
    result = _gated()
    for _ in range(max(5, runs // 2)):
        never.append(result(rng.dirichlet(np.ones(2)) * 100))
    yield rows_of_share("C26", "a vendor that fails a gate is ranked by no weights", np.array(never), ">=", 1.0)


def _gated():
    """A judged ledger with a vendor that is best in all it is measured by, and fails a gate."""
    from harness.judge import journeys, scoring
    from harness.judge.criteria import Criteria, parse_gate, standard_criteria
    from tests.factory import Manner, everything

    evidence = journeys.read(everything({"best": Manner(arrives=0.97), "other": Manner(arrives=0.9)}, each=60))
    taken = scoring._Taken.of(evidence)
    gate = parse_gate("arrival.rate >= 99.9 %", "here")
    standard = {one.id: one for one in standard_criteria().criteria}

    def never(weights: np.ndarray) -> bool:
        from dataclasses import replace

        chosen = tuple(
            replace(standard[id], weight=float(weight))
            for id, weight in zip(("arrival", "review"), weights, strict=True)
        )
        criteria = Criteria(criteria=chosen, gates=())
        verdicts = [scoring._gate_verdict(gate, "best", taken)]
        cards = {vendor: scoring._Card.of(vendor, criteria, taken, evidence) for vendor in evidence.vendors}
        failed = [replace(verdicts[0], verdict="fail")]
        told, _ = scoring._ranked(cards, failed, criteria, evidence, taken)
        best = next(one for one in told if one.vendor == "best")
        return best.standing == "excluded" and best.group is None and best.overall is None and best.p_first is None

    return never


def c27(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Whether "probably the best" is right as often as it says: five vendors, three carriers, arrival alone."""
    worlds = 3 * runs
    said: dict[str, list[float]] = {"n_eff, shrunk": [], "naive n (teeth)": []}
    right: list[bool] = []
    for _ in range(worlds):
        p = rng.beta(0.96 * 60, 0.04 * 60, (5, 3))
        truth = p.mean(axis=1)
        hits = rng.binomial(75, p)  # 300 messages of deff 4
        share = (hits / 75).ravel()
        prior = decisions.empirical_bayes_beta(hits.ravel(), np.full(15, 75.0))
        flat = decisions.BetaPrior(hits=0.5, misses=0.5)
        for name, n, law in (("n_eff, shrunk", 75.0, prior), ("naive n (teeth)", 300.0, flat)):
            drawn = decisions.draw_shares(share, np.full(15, n), law, draws=400, rng=rng).reshape(-1, 5, 3).mean(axis=2)
            first = np.bincount(drawn.argmax(axis=1), minlength=5) / drawn.shape[0]
            said[name] += first.tolist()
        right += [place == int(truth.argmax()) for place in range(5)]
    true = np.array(right)
    for name, statements in said.items():
        told = np.array(statements)
        bins = np.clip((told * 10).astype(int), 0, 9)
        least = min(200, worlds // 4)
        gaps = [
            (abs(float(told[bins == b].mean() - true[bins == b].mean())), int((bins == b).sum()))
            for b in range(10) if (bins == b).sum() >= least
        ]  # fmt: skip
        gap, count = max(gaps)
        relation, bound = ("<=", 0.06) if "shrunk" in name else (">", 0.10)
        yield Row(
            goal="C27", setting=f"P(first) said against true, worst bin, {name}", measured=gap, relation=relation,
            bound=bound, error=0.5 / sqrt(count), runs=worlds,
        )  # fmt: skip


# --- known numbers and fresh ones ------------------------------------------------------------------------------------


def c31(runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """A vendor that treats known numbers better: the interval of the gap, false charges, and the power it says."""
    for gap, rho in ((0.0, 0.02), (0.0, 0.05), (0.03, 0.02), (0.10, 0.02)):
        covered, charged, powers = [], [], []
        known = world.send(rng, runs, p=0.97, handsets=20, each=60, rho=rho, outage=0.005)
        fresh = world.send(rng, runs, p=0.97 - gap, handsets=10, each=60, rho=rho, outage=0.005)
        for one in range(runs):
            found = [
                stats.rate(part.y[one], part.handset, stats.time_blocks(part.times[one], 0, world.WEEK))
                for part in (known, fresh)
            ]
            assert isinstance(found[0], Estimate) and isinstance(found[1], Estimate)
            answer = stats.difference_of_rates(found[0], found[1])
            covered.append(covers(answer, gap))
            charged.append(answer.low is not None and answer.low > 0)
            powers.append(stats.detectable_gap(found[0], found[1]))
        setting = f"known less fresh, gap {gap * 100:g} points, 20 and 10 handsets × 60, ρ {rho}"
        yield rows_of_share("C31", f"{setting}: interval", np.array(covered), ">=", 0.94)
        if gap == 0:
            yield rows_of_share("C31", f"{setting}: charged", np.array(charged), "<=", 0.05)
        if gap == 0.10:
            yield rows_of_share("C31", f"{setting}: found", np.array(charged), ">=", 0.80)
            said = float(np.mean(powers))
            yield Row(
                goal="C31", setting=f"{setting}: gap said to be detectable, mean", measured=said, relation="<=",
                bound=0.10, error=float(np.std(powers)) / sqrt(runs), runs=runs,
            )  # fmt: skip
