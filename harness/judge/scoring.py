"""Findings → marks → scorecards → the result document. Pure: same evidence, same document, byte for byte.

Gates come first and are no weights. What was not measured is a whole span of marks, never a zero, and vendors that
the evidence cannot tell apart stand in one group.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness import __version__
from harness.codec import canonical_json
from harness.domain import Carrier, Estimate, RecipientKind, State, Unit
from harness.judge import decisions, pairs, sla, stats
from harness.judge.criteria import (
    By,
    Criteria,
    Gate,
    Told,
    View,
    blocks_of,
    criteria_of,
    days_of,
    measures,
    parse_gate,
    parse_gates,
    take,
    views,
)
from harness.judge.criteria.arrival import REPORT_HORIZON
from harness.judge.criteria.stability import WINDOW
from harness.judge.journeys import AROUND, DRIFT_PPM, HORIZON, SILENCE, Evidence, moment
from harness.judge.picture import MOST_EVIDENCE, Picture
from harness.judge.result import (
    Basis,
    Criterion,
    Finding,
    Flip,
    GateVerdict,
    Mark,
    Member,
    MemberScore,
    Note,
    Provenance,
    Result,
    RunInfo,
    Scorecard,
    Slice,
    Turn,
    VendorInfo,
)

Floats = NDArray[np.float64]
Key = tuple[str, str, tuple[tuple[str, str], ...]]  # vendor, measure, slice

DISTINCT: Final = 0.95  # a vendor is told apart from the group above at this probability of being worse
STRONG: Final = 85.0
WEAK: Final = 60.0
MOST_NOTES: Final = 5
# Methods whose effective n says all there is to say of their doubt.
_BETA_METHODS: Final = frozenset({"wilson", "wilson-n_eff", "aalen-johansen", "kaplan-meier"})


def judge(
    evidence: Evidence,
    criteria: Criteria | None = None,
    gates: Sequence[Gate] | None = None,
    *,
    run_id: str,
    ledger_digest: str,
) -> Result:
    """Work the result out. None: the criteria and gates that the run's first fact has. Raises ConfigError.

    Gates that compare with a baseline are left to compare.
    """
    criteria = criteria or criteria_of(evidence.run)
    if gates is None:
        gates = parse_gates(evidence.run.began.settings.get("gates") or (), "gates")
    lines = [gate for gate in (*criteria.gates, *gates) if not gate.compares]
    taken = _Taken.of(evidence)
    verdicts = [_gate_verdict(gate, vendor, taken) for vendor in evidence.vendors for gate in lines]
    cards = {vendor: _Card.of(vendor, criteria, taken, evidence) for vendor in evidence.vendors}
    scorecards, flips = _ranked(cards, verdicts, criteria, evidence, taken)
    picture = Picture(evidence, taken.views)
    return Result(
        run=_run_info(evidence, run_id, ledger_digest),
        vendors={
            label: VendorInfo(
                adapter=entry.adapter, name=entry.name, standing=entry.standing, capabilities=entry.capabilities,
                absent=entry.absent, price=entry.price,
            )
            for label, entry in evidence.run.began.vendors.items()
        },
        measures={id: one.info for id, one in measures().items()},
        findings=tuple(taken.findings.values()),
        criteria=criteria.criteria,
        scorecards=scorecards,
        gates=tuple(verdicts),
        flips=flips,
        funnels=tuple(picture.funnels()),
        curves=tuple(picture.curves()),
        series=tuple(picture.series()),
        outages=tuple(picture.outages()),
        reviews=tuple(picture.reviews()),
        codes=tuple(picture.codes()),
        documents=tuple(picture.documents()),
        skipped=tuple(
            one
            for one in taken.findings.values()
            if one.reason is not None and one.reason.id in ("reason.not_offered", "reason.not_yet_written")
        ),
        warnings=tuple(_warnings(evidence, taken)),
        method=_method(evidence),
        panel=_panel(evidence),
        provenance=_provenance(evidence),
        bases=taken.bases,
        pairs=pairs.pairs(evidence),
        turns=pairs.turns(evidence),
        sla=tuple(sla.clauses(evidence.run, {name: taken.views[name, None] for name in evidence.vendors})),
    )  # fmt: skip


# --- findings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """Every measure of every vendor on every slice, and the views they were taken from."""

    findings: Mapping[Key, Finding]
    views: Mapping[tuple[str, str | None], View]  # (vendor, carrier or None)
    bases: tuple[Basis, ...]

    @classmethod
    def of(cls, evidence: Evidence) -> _Taken:
        findings: dict[Key, Finding] = {}
        kept: dict[tuple[str, str | None], View] = {}
        bases: list[Basis] = []
        for vendor in evidence.vendors:
            for by, view in views(evidence, vendor):
                bases += _bases(vendor, by, view)
                if by is None or by is By.CARRIER:
                    kept[vendor, view.slice.get("carrier")] = view
                for one in measures().values():
                    if by is None or by in one.by:
                        finding = _finding(vendor, one.id, view.slice, take(one, view))
                        findings[_key(vendor, one.id, view.slice)] = finding
        return cls(findings=findings, views=kept, bases=tuple(bases))

    def find(self, vendor: str, measure: str, slice: Slice) -> Finding | None:
        return self.findings.get(_key(vendor, measure, slice))


def _bases(vendor: str, by: By | None, view: View) -> Iterator[Basis]:
    """What later months are compared on: arrival on the whole, by carrier and by purpose."""
    frame = view.watched
    if by not in (None, By.CARRIER, By.PURPOSE) or frame.empty:
        return
    arrived = (frame["watch"] == "arrived").to_numpy()
    spread = stats.spread(arrived, frame["phone"].to_numpy(), blocks_of(frame))
    yield Basis(vendor=vendor, measure="arrival.rate", slice=dict(view.slice), **spread._asdict())


def _key(vendor: str, measure: str, slice: Slice) -> Key:
    return vendor, measure, tuple(sorted(slice.items()))


def _finding(vendor: str, measure: str, slice: Slice, told: Told) -> Finding:
    cases = list(dict.fromkeys(str(case) for case in told.cases))
    state, estimate, reason = State.INSUFFICIENT, None, None
    match told.answer:
        case Estimate():
            estimate, state = told.answer, State.ATTESTED if told.attested else State.MEASURED
        case stats.NotEnough(reason=why, values=values):
            reason = Note(id=f"reason.{why}", values=dict(values))
        case absent:
            state, reason = absent.state, Note(id=f"reason.{absent.reason}", values=dict(absent.values))
    return Finding(
        vendor=vendor, measure=measure, slice=dict(slice), state=state, estimate=estimate, reason=reason,
        evidence=tuple(cases[:MOST_EVIDENCE]), evidence_count=len(cases),
    )  # fmt: skip


# --- gates -----------------------------------------------------------------------------------------------------------


def _gate_verdict(gate: Gate, vendor: str, taken: _Taken) -> GateVerdict:
    finding = taken.find(vendor, gate.measure, gate.slice)
    values: dict[str, str | int | float] = {"measure": gate.measure, "threshold": gate.threshold}
    verdict: Literal["pass", "fail", "not_shown", "unclear"] = "not_shown"
    if finding is not None and finding.estimate is not None:
        verdict = _verdict(gate, finding.estimate)
        values |= _numbers(finding.estimate)
        said = {"pass": "clear", "fail": "beyond", "unclear": "crosses"}
        reason = Note(id=f"gate.{said[verdict]}", values=values)
    elif finding is not None and finding.reason is not None:
        reason = Note(id=finding.reason.id, values=finding.reason.values)
    else:
        reason = Note(id="reason.no_such_slice", values={"slice": ", ".join(f"{k}={v}" for k, v in gate.slice.items())})
    return GateVerdict(
        id=gate.text, vendor=vendor, text=gate.text, verdict=verdict, reason=reason, legal=gate.legal,
        evidence=finding.evidence if finding else (),
    )  # fmt: skip


def _verdict(gate: Gate, estimate: Estimate) -> Literal["pass", "fail", "unclear"]:
    low = -inf if estimate.low is None else estimate.low
    high = inf if estimate.high is None else estimate.high
    if estimate.value is None and estimate.low is None:
        low = inf  # not reached at all, whichever end
    line = gate.threshold
    match gate.relation:
        case ">=":
            passes, fails = low >= line, high < line
        case ">":
            passes, fails = low > line, high <= line
        case "<=":
            passes, fails = high <= line, low > line
        case "<":
            passes, fails = high < line, low >= line
    return "pass" if passes else "fail" if fails else "unclear"


def _numbers(estimate: Estimate) -> dict[str, float | int]:
    named = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: value for name, value in named.items() if value is not None} | {"n": estimate.n}


# --- marks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Score:
    """The score of one value, or of several: a point where known, draws of what is measured, and what is open."""

    point: float | None
    draws: Floats  # scores drawn, with what is open counted as 0
    shrunk: Floats  # the same with the prior that all cells share, for ranking
    open: float  # 0–100: how much of the score is not measured
    state: State
    source: Literal["measured", "attested", "none"]


def _combined(parts: Sequence[tuple[float, _Score]]) -> tuple[float | None, Floats, Floats, float]:
    """Weighted mean of scores: point, draws, shrunk draws and the open part. Weights count in proportion."""
    total = sum(weight for weight, _ in parts)
    draws = sum((weight / total * part.draws for weight, part in parts), np.zeros(decisions.DRAWS))
    shrunk = sum((weight / total * part.shrunk for weight, part in parts), np.zeros(decisions.DRAWS))
    is_open = sum(weight / total * part.open for weight, part in parts)
    points = [weight / total * part.point for weight, part in parts if part.point is not None]
    return sum(points) if len(points) == len(parts) else None, draws, shrunk, is_open


def _band(draws: Floats, is_open: float, point: float | None) -> tuple[float, float]:
    """95 % of the draws, widened by all that is open; never without its own point."""
    low, high = (float(end) for end in np.quantile(draws, (0.025, 0.975)))
    if point is not None:
        low, high = min(low, point), max(high, point)
    return max(0.0, low), min(100.0, high + is_open)


def _score_of(x: float | None, scale: Sequence[tuple[float, float]]) -> float:
    """A value's score; None is "not reached", beyond any value."""
    return scale[-1][1] if x is None else float(decisions.value(scale, x))


def _stream(seed: int, *name: str) -> np.random.Generator:
    """Chance of its own for each vendor and member, so that no vendor's draws hang on who else takes part."""
    return np.random.default_rng([seed % 2**32, zlib.crc32("\x1f".join(name).encode())])


_JEFFREYS: Final = decisions.BetaPrior(hits=0.5, misses=0.5)


def _cell_score(
    finding: Finding | None, member: Member, prior: decisions.BetaPrior | None, rng: np.random.Generator
) -> _Score:
    """The score of one finding on a member's scale."""
    nothing = np.zeros(decisions.DRAWS)
    state = finding.state if finding else State.INSUFFICIENT
    if finding is None or finding.estimate is None:
        if state is State.NOT_OFFERED and member.when_absent == "floor":
            floor = min(score for _, score in member.scale)
            flat = np.full(decisions.DRAWS, floor)
            return _Score(point=floor, draws=flat, shrunk=flat, open=0.0, state=state, source="none")
        return _Score(point=None, draws=nothing, shrunk=nothing, open=100.0, state=state, source="none")
    estimate = finding.estimate
    point = _score_of(estimate.value, member.scale)
    if estimate.method in _BETA_METHODS and estimate.value is not None and estimate.value <= 1:
        values = decisions.draw_shares([estimate.value], [estimate.n_eff], _JEFFREYS, rng=rng)[:, 0]
        draws = decisions.value(member.scale, values)
        shrunk = draws
        if prior is not None:
            values = decisions.draw_shares([estimate.value], [estimate.n_eff], prior, rng=rng)[:, 0]
            shrunk = decisions.value(member.scale, values)
    else:
        draws = shrunk = _two_sided(point, estimate, member, rng)
    source: Literal["measured", "attested"] = "attested" if state is State.ATTESTED else "measured"
    return _Score(point=point, draws=draws, shrunk=shrunk, open=0.0, state=state, source=source)


def _two_sided(point: float, estimate: Estimate, member: Member, rng: np.random.Generator) -> Floats:
    """Draws of a score from the scores of its interval's ends: half a normal curve to either side."""
    low = member.scale[0][1] if estimate.low is None and estimate.value is not None else None
    ends = (_score_of(estimate.low, member.scale) if low is None else low, _score_of(estimate.high, member.scale))
    least, most = min(*ends, point), max(*ends, point)
    z = rng.standard_normal(decisions.DRAWS)
    drawn = point + np.where(z > 0, z * (most - point), z * (point - least)) / 1.96
    return np.asarray(np.clip(drawn, 0.0, 100.0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A vendor's marks, with the draws behind them by criterion."""

    vendor: str
    marks: tuple[Mark, ...]
    draws: Floats  # (draw, criterion), what is open filled at random: for ranking
    overall: float | None
    low: float
    high: float
    middle: float  # the overall with what is open in the middle of its span: the order of the table

    @classmethod
    def of(cls, vendor: str, criteria: Criteria, taken: _Taken, evidence: Evidence) -> _Card:
        carriers = _carriers(evidence)
        weighted = [one for one in criteria.criteria if one.members]
        seed = evidence.run.began.seed
        marks, columns, parts = [], [], []
        for criterion in weighted:
            members = [_member_score(vendor, one, taken, carriers, evidence, seed) for one in criterion.members]
            point, draws, shrunk, is_open = _combined(
                [(member.weight, score) for member, score in zip(criterion.members, members, strict=True)]
            )
            marks.append(_mark(criterion, members, point, _band(draws, is_open, point), taken, vendor))
            filled = shrunk + is_open * _stream(seed, vendor, criterion.id, "open").random(decisions.DRAWS)
            columns.append(np.clip(filled, 0.0, 100.0))
            state = State.MEASURED
            whole = _Score(point=point, draws=draws, shrunk=shrunk, open=is_open, state=state, source="measured")
            parts.append((criterion.weight, whole))
        overall, draws, _, is_open = _combined(parts)
        low, high = _band(draws, is_open, overall)
        middle = sum(w * (p.point if p.point is not None else _middle(p)) for w, p in parts) / sum(w for w, _ in parts)
        return cls(
            vendor=vendor, marks=tuple(marks), draws=np.stack(columns, axis=1), overall=overall, low=low, high=high,
            middle=middle,
        )  # fmt: skip


def _middle(part: _Score) -> float:
    return float(part.draws.mean()) + part.open / 2


def _carriers(evidence: Evidence) -> tuple[str, ...]:
    """Carriers that have a handset in the panel."""
    panel = evidence.run.began.panel.values()
    found = {person.carrier.value for person in panel if person.kind is RecipientKind.HANDSET}
    return tuple(carrier.value for carrier in Carrier if carrier.value in found)


def _member_score(
    vendor: str, member: Member, taken: _Taken, carriers: Sequence[str], evidence: Evidence, seed: int
) -> _Score:
    slices: list[Slice] = [dict(member.slice)]
    prior = None
    if member.per is not None and carriers:
        slices = [{**member.slice, "carrier": carrier} for carrier in carriers]
        prior = _shared_prior(member.measure, slices, taken, evidence.vendors)
    cells = [
        _cell_score(
            taken.find(vendor, member.measure, slice), member, prior,
            _stream(seed, vendor, member.measure, *map(str, sorted(slice.items()))),
        )
        for slice in slices
    ]  # fmt: skip
    if len(cells) == 1:
        return cells[0]
    point, draws, shrunk, is_open = _combined([(1.0, cell) for cell in cells])
    states = [cell.state for cell in cells]
    state = next((one for one in states if one is not State.MEASURED), State.MEASURED)
    source: Literal["measured", "attested", "none"] = next(
        (cell.source for cell in cells if cell.source != "none"), "none"
    )
    return _Score(point=point, draws=draws, shrunk=shrunk, open=is_open, state=state, source=source)


def _shared_prior(
    measure: str, slices: Sequence[Slice], taken: _Taken, vendors: Sequence[str]
) -> decisions.BetaPrior | None:
    """The prior that all vendors × carriers of a share have in common; picking the best of many needs it."""
    if measures()[measure].info.unit is not Unit.SHARE:
        return None
    found = [taken.find(vendor, measure, slice) for vendor in vendors for slice in slices]
    known = [one.estimate for one in found if one is not None and one.estimate is not None]
    usable = [one for one in known if one.value is not None and one.method in _BETA_METHODS and one.n_eff > 0]
    if len(usable) < 2:
        return None
    shares = np.array([one.value for one in usable], dtype=float)
    trials = np.array([one.n_eff for one in usable], dtype=float)
    return decisions.empirical_bayes_beta(shares * trials, trials)


def _mark(
    criterion: Criterion,
    members: Sequence[_Score],
    point: float | None,
    band: tuple[float, float],
    taken: _Taken,
    vendor: str,
) -> Mark:
    scores = tuple(_told_score(member, score) for member, score in zip(criterion.members, members, strict=True))
    sources = {score.source for score in members} - {"none"}
    source: Literal["measured", "attested", "both", "none"] = "none"
    if sources:
        source = "both" if len(sources) > 1 else "attested" if "attested" in sources else "measured"
    missing = [score for score in scores if score.score is None]
    floors = [score for score in scores if score.score is not None and score.source == "none"]
    if missing:
        state = State.INSUFFICIENT
        weight = sum(score.weight for score in missing) / sum(score.weight for score in scores)
        reason = Note(
            id="mark.incomplete",
            values={"n": len(missing), "of": len(scores), "measure": missing[0].measure, "weight_share": weight},
        )
    elif floors:
        state = State.NOT_OFFERED if len(floors) == len(scores) else State.MEASURED
        reason = Note(id="mark.floor", values={"n": len(floors), "of": len(scores), "measure": floors[0].measure})
    else:
        state = State.ATTESTED if source == "attested" else State.MEASURED
        reason = Note(id="mark.complete", values={"n": len(scores)})
    return Mark(
        criterion=criterion.id, score=point, low=band[0], high=band[1], state=state, source=source, reason=reason,
        members=scores, evidence=_mark_evidence(criterion, scores, taken, vendor),
    )  # fmt: skip


def _told_score(member: Member, score: _Score) -> MemberScore:
    low, high = _band(score.draws, score.open, score.point)
    return MemberScore(
        measure=member.measure, slice=dict(member.slice), weight=member.weight, score=score.point, low=low, high=high,
        state=score.state, source=score.source,
    )  # fmt: skip


def _mark_evidence(criterion: Criterion, scores: Sequence[MemberScore], taken: _Taken, vendor: str) -> tuple[str, ...]:
    """A few telling cases of the members that cost the most."""
    costly = sorted(scores, key=lambda one: -one.weight * (100 - (one.score if one.score is not None else 100)))
    cases: list[str] = []
    for one in costly[:3]:
        finding = taken.find(vendor, one.measure, one.slice)
        cases += finding.evidence[:5] if finding else ()
    return tuple(dict.fromkeys(cases))


# --- ranking ---------------------------------------------------------------------------------------------------------


def _ranked(
    cards: Mapping[str, _Card],
    verdicts: Sequence[GateVerdict],
    criteria: Criteria,
    evidence: Evidence,
    taken: _Taken,
) -> tuple[tuple[Scorecard, ...], tuple[Flip, ...]]:
    """Scorecards in order: the ranked by overall, then those a gate has excluded; and what would turn the order."""
    failed = {one.vendor for one in verdicts if one.verdict == "fail"}
    running = sorted((card for vendor, card in cards.items() if vendor not in failed), key=lambda one: -one.middle)
    out = [card for vendor, card in sorted(cards.items()) if vendor in failed]
    weights = np.array([one.weight for one in criteria.criteria if one.members])
    names = [one.id for one in criteria.criteria if one.members]
    places = _Places.of(running, weights, evidence.run.began.seed)
    flips = tuple(_flips(running, weights, names))
    done = [
        _scorecard(card, places, [one for one in verdicts if one.vendor == card.vendor], taken, criteria)
        for card in (*running, *out)
    ]
    return tuple(done), flips


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Who stands where among the vendors that no gate excludes."""

    order: tuple[str, ...]
    group: Mapping[str, int]
    p_first: Mapping[str, float]
    p_first_any: Mapping[str, float]
    possible: frozenset[str]
    necessary: str | None

    @classmethod
    def of(cls, running: Sequence[_Card], weights: Floats, seed: int) -> _Places:
        if not running:
            return cls(order=(), group={}, p_first={}, p_first_any={}, possible=frozenset(), necessary=None)
        draws = np.stack([card.draws for card in running], axis=1)
        accepted = decisions.smaa(draws, weights, rng=_stream(seed, "smaa"))
        totals = decisions.scores(draws, weights)
        group: dict[str, int] = {}
        best, current = 0, 1
        for place, card in enumerate(running):
            if place and float((totals[:, best] > totals[:, place]).mean()) >= DISTINCT:
                best, current = place, current + 1
            group[card.vendor] = current
        bounds = decisions.possible_and_necessary(
            [[mark.low for mark in card.marks] for card in running],
            [[mark.high for mark in card.marks] for card in running],
            weights,
        )
        names = [card.vendor for card in running]
        return cls(
            order=tuple(names),
            group=group,
            p_first=dict(zip(names, accepted.stated[:, 0].tolist(), strict=True)),
            p_first_any=dict(zip(names, accepted.varied[:, 0].tolist(), strict=True)),
            possible=frozenset(names[place] for place in bounds.possible),
            necessary=None if bounds.necessary is None else names[bounds.necessary],
        )


def _flips(running: Sequence[_Card], weights: Floats, names: Sequence[str]) -> Iterator[Flip]:
    """What change of weights would put each other vendor first."""
    if len(running) < 2:
        return
    stated = weights / weights.sum()
    leader, points = running[0], [_points(card) for card in running]
    for card, own in zip(running[1:], points[1:], strict=True):
        found = None
        # In nothing ahead of the leader: no weights put it in front, a tie is the most they could do.
        if max(one - other for one, other in zip(own, points[0], strict=True)) > 1e-9:
            found = decisions.flip_distance(points[0], own, weights)
        changes = {}
        if found is not None:
            moved = (np.array(found.weights) - stated) * 100
            changes = {name: round(float(by), 6) for name, by in zip(names, moved, strict=True) if abs(by) > 1e-6}
        yield Flip(
            leader=leader.vendor, challenger=card.vendor, moved=None if found is None else found.distance * 100,
            changes=changes,
        )  # fmt: skip


def _points(card: _Card) -> list[float]:
    return [mark.score if mark.score is not None else (mark.low + mark.high) / 2 for mark in card.marks]


def _scorecard(
    card: _Card, places: _Places, gates: Sequence[GateVerdict], taken: _Taken, criteria: Criteria
) -> Scorecard:
    failed = [gate for gate in gates if gate.verdict == "fail"]
    open_gates = [gate for gate in gates if gate.verdict in ("not_shown", "unclear")]
    standing: Literal["ranked", "conditional", "excluded"] = "ranked"
    if failed:
        standing = "excluded"
    elif any(gate.legal or gate.verdict == "not_shown" for gate in open_gates):
        standing = "conditional"
    strengths, weaknesses = _remarks(card, taken, criteria)
    return Scorecard(
        vendor=card.vendor,
        standing=standing,
        marks=card.marks,
        overall=None if failed else card.overall,
        low=card.low,
        high=card.high,
        group=places.group.get(card.vendor),
        p_first=places.p_first.get(card.vendor),
        p_first_any_weights=places.p_first_any.get(card.vendor),
        possible_winner=card.vendor in places.possible,
        necessary_winner=card.vendor == places.necessary,
        verdict=_sentence(card, places, failed, open_gates if standing == "conditional" else []),
        strengths=strengths,
        weaknesses=weaknesses,
    )


def _sentence(card: _Card, places: _Places, failed: Sequence[GateVerdict], open_gates: Sequence[GateVerdict]) -> Note:
    """The one sentence on a vendor."""
    values: dict[str, str | int | float] = {"vendor": card.vendor, "low": card.low, "high": card.high}
    if failed:
        legal = sorted(failed, key=lambda gate: not gate.legal)
        return Note(id="verdict.excluded", values=values | _named(legal[0]) | {"gates": len(failed)})
    group = places.group[card.vendor]
    fellows = sum(one == group for one in places.group.values())
    values |= {"group": group, "p_first_share": places.p_first[card.vendor], "others": fellows - 1}
    if len(places.order) == 1:
        kind = "alone"
    elif group == 1:
        kind = "first" if fellows == 1 else "level"
    else:
        kind, values = "behind", values | {"leader": places.order[0]}
    if open_gates:
        return Note(
            id=f"verdict.{kind}_conditional",
            values=values | _named(open_gates[0]) | {"gates": len(open_gates)},
        )
    return Note(id=f"verdict.{kind}", values=values)


def _named(gate: GateVerdict) -> dict[str, str]:
    """A gate as a sentence may name it: as written, and the measure it is on."""
    return {"gate": gate.text, "measure": parse_gate(gate.text, "gate").measure}


def _remarks(card: _Card, taken: _Taken, criteria: Criteria) -> tuple[tuple[Note, ...], tuple[Note, ...]]:
    """What speaks for and against a vendor, by how much it moves the overall."""
    weight_of = {one.id: one.weight for one in criteria.criteria}
    strong: list[tuple[float, Note]] = []
    weak: list[tuple[float, Note]] = []
    for mark in card.marks:
        total = sum(one.weight for one in mark.members)
        for one in mark.members:
            if one.score is None:
                continue
            stake = weight_of[mark.criterion] * one.weight / total
            note = _remark(card.vendor, mark.criterion, one, taken)
            if one.source == "none":
                weak.append((stake * 100, Note(id="remark.not_offered", values=note.values)))
            elif one.source == "measured" and one.score >= STRONG and one.low >= WEAK:
                strong.append((stake * one.score, note))
            elif one.score < WEAK:
                weak.append((stake * (100 - one.score), note))
    weak += _worst_carriers(card.vendor, taken)

    def first(notes: list[tuple[float, Note]]) -> tuple[Note, ...]:
        return tuple(note for _, note in sorted(notes, key=lambda item: -item[0])[:MOST_NOTES])

    return first(strong), first(weak)


def _remark(vendor: str, criterion: str, one: MemberScore, taken: _Taken) -> Note:
    values: dict[str, str | int | float] = {"measure": one.measure, "criterion": criterion, "score": one.score or 0.0}
    finding = taken.find(vendor, one.measure, one.slice)
    if finding is not None and finding.estimate is not None:
        values |= _numbers(finding.estimate)
        if finding.estimate.value is None:
            return Note(id="remark.not_reached", values=values)
        # One sentence a unit, so that the words can say seconds, days or per cent.
        return Note(id=f"remark.{measures()[one.measure].info.unit.value}", values=values)
    return Note(id="remark.score", values=values)


def _worst_carriers(vendor: str, taken: _Taken) -> Iterator[tuple[float, Note]]:
    """Carriers on which fewer messages arrive than on the whole, beyond doubt."""
    whole = taken.find(vendor, "arrival.rate", {})
    if whole is None or whole.estimate is None or whole.estimate.low is None:
        return
    for carrier in Carrier:
        found = taken.find(vendor, "arrival.rate", {"carrier": carrier.value})
        if found is None or (one := found.estimate) is None or one.high is None or one.value is None:
            continue
        if whole.estimate.value is not None and one.high < whole.estimate.value:
            values = {"measure": "arrival.rate", "carrier": carrier.value} | _numbers(one)
            yield 500 * (whole.estimate.value - one.value), Note(id="remark.carrier", values=values)


# --- warnings and method ---------------------------------------------------------------------------------------------


def _warnings(evidence: Evidence, taken: _Taken) -> Iterator[Note]:
    run = evidence.run
    if run.began.mode == "sandbox":
        yield Note(id="warning.sandbox")
    if run.because is None:
        yield Note(id="warning.unfinished")
    elif run.because != "done":
        yield Note(id="warning.ended_early", values={"because": run.because})
    panel = _panel(evidence)
    for carrier in Carrier:
        handsets = panel.get(f"handset.{carrier.value}", 0)
        if 0 < handsets < stats.LEAST_HANDSETS:
            yield Note(
                id="warning.few_handsets",
                values={"carrier": carrier.value, "n": handsets, "needed": stats.LEAST_HANDSETS},
            )
    for vendor in evidence.vendors:
        yield from _vendor_warnings(vendor, taken.views[vendor, None])
        yield from _fresh_warning(vendor, taken)
    counts = Counter(zip(evidence.orphans["kind"], evidence.orphans["vendor"].fillna(""), strict=True))
    for (kind, vendor), count in sorted(counts.items()):
        yield Note(id=f"warning.orphan_{kind}", values={"vendor": vendor, "n": count})
    if len(evidence.refused_pushes):
        yield Note(id="warning.refused_pushes", values={"n": len(evidence.refused_pushes)})
    yield from _order_warning(pairs.turns(evidence))
    yield from _early_note(evidence)


def _early_note(evidence: Evidence) -> Iterator[Note]:
    """Whether the run was left off at one of its planned looks: when, and what that saved."""
    left = evidence.messages[(evidence.messages["because"] == "stopped_early").to_numpy()]
    if not len(left):
        return
    at = float(left["closed_at"].min())
    looks = evidence.run.began.settings.get("looks") or []
    number = sum(datetime.fromisoformat(one).timestamp() <= at + 1.0 for one in looks)
    sent = int((evidence.messages["outcome"] != "not_sent").sum())
    yield Note(
        id="warning.stopped_early",
        values={
            "at": datetime.fromtimestamp(at, UTC).isoformat(),
            "look": number,
            "looks": len(looks),
            "n": len(left),
            "of_share": len(left) / (len(left) + sent),
        },
    )


def _vendor_warnings(vendor: str, view: View) -> Iterator[Note]:
    values: dict[str, str | int | float] = {"vendor": vendor}
    sent = view.messages[view.messages["outcome"].isin(("accepted", "refused", "in_doubt")).to_numpy()]
    if doubt := int((sent["outcome"] == "in_doubt").sum()):
        yield Note(id="warning.in_doubt", values=values | {"n": doubt, "of_share": doubt / len(sent)})
    braked = view.messages["because"].astype(str).str.startswith("braked:").to_numpy()
    if skipped := int((braked & (view.messages["outcome"] == "not_sent").to_numpy()).sum()):
        yield Note(id="warning.skipped_slots", values=values | {"n": skipped, "of_share": skipped / len(view.messages)})
    lags = view.traffic["lag"].dropna().to_numpy()
    waits = view.traffic["wait"].dropna().to_numpy()
    if lags.size and waits.size and (lag := float(np.quantile(lags, 0.95))) > max(0.1, float(np.median(waits))):
        yield Note(id="warning.own_lag", values=values | {"lag_seconds": lag})
    watch = view.accepted["watch"]
    for kind in ("void", "unknown"):
        if count := int((watch == kind).sum()):
            yield Note(id=f"warning.{kind}", values=values | {"n": count, "of_share": count / len(watch)})
    failures = view.failures
    if unreachable := int(((failures["what"] == "submit") & (failures["trouble"] == "unreachable")).sum()):
        yield Note(id="warning.unreachable", values=values | {"n": unreachable})
    days = days_of(view.traffic)
    if days is not None and days < 1:
        yield Note(id="warning.short_window", values=values | {"hours": days * 24})
    if len(view.watched) and view.watched["phone"].nunique() < stats.LEAST_HANDSETS:
        yield Note(id="warning.panel_only", values=values | {"n": int(view.watched["phone"].nunique())})
    for name, column in (("contradicting", "contradicting"), ("copies", "copies")):
        over = int((view.accepted[column] > (0 if name == "contradicting" else 1)).sum())
        if over:
            yield Note(id=f"warning.{name}", values=values | {"n": over})


def _order_warning(turns: Sequence[Turn]) -> Iterator[Note]:
    """Whether one vendor mostly came first on a shared phone: an order effect would look like a difference."""
    if all(one.balanced for one in turns):
        return
    early, late = min(turns, key=lambda one: one.place), max(turns, key=lambda one: one.place)
    values: dict[str, str | int | float] = {"early": early.vendor, "late": late.vendor}
    values["gap_share"] = late.place - early.place
    yield Note(id="warning.order", values=values)


def _fresh_warning(vendor: str, taken: _Taken) -> Iterator[Note]:
    """Whether a vendor treats the numbers it knows better than fresh ones: then no figure here holds for customers."""
    found = taken.find(vendor, "arrival.fresh_difference", {})
    if found is not None and (one := found.estimate) is not None and one.low is not None and one.low > 0:
        gap = one.value or 0.0
        yield Note(id="warning.fresh_worse", values={"vendor": vendor, "gap_share": gap, "least_share": one.low})


def _method(evidence: Evidence) -> dict[str, str | int | float]:
    run = evidence.run
    return {
        "level": stats.LEVEL,
        "blocks": stats.BLOCKS,
        "least_handsets": stats.LEAST_HANDSETS,
        "least_blocks": stats.LEAST_BLOCKS,
        "floor_handset": stats.FLOORS.handset,
        "floor_block": stats.FLOORS.block,
        "floor_panel_block": stats.FLOORS.panel_block,
        "horizon_seconds": run.seconds("horizon_seconds", HORIZON),
        "report_horizon_seconds": run.seconds("report_horizon_seconds", REPORT_HORIZON),
        "silence_seconds": run.seconds("silence_seconds", SILENCE),
        "alive_seconds": AROUND,
        "clock_drift_ppm": DRIFT_PPM,
        "outage_window_seconds": WINDOW,
        "draws": decisions.DRAWS,
        "weight_concentration": decisions.CONCENTRATION,
        "distinct_probability": DISTINCT,
        "open_drawn": "uniform",
        "judged_by": __version__,
    }


def _provenance(evidence: Evidence) -> Provenance:
    """What another run must have alike to be compared with this one."""
    began = evidence.run.began
    settings = began.settings
    handsets: dict[str, list[str]] = {}
    for id, person in sorted(began.panel.items()):
        if person.kind is RecipientKind.HANDSET:
            joined = None if person.since is None else person.since.isoformat()
            handsets.setdefault(person.carrier.value, []).append(_digest([id, joined])[:12])
    planned: dict[str, Counter[str]] = {vendor: Counter() for vendor in evidence.vendors}
    first = evidence.messages[~evidence.messages["case_id"].duplicated().to_numpy()]
    for vendor, scenario in zip(first["vendor"].astype(str), first["scenario"].astype(str), strict=True):
        planned[vendor][scenario] += 1
    told = settings.get("setups") or {}  # label → part → digest: signature, options, templates
    setups = {
        label: {
            "adapter": entry.adapter, "standing": entry.standing, "endpoint": _digest(entry.endpoint)[:12],
            **{str(part): str(value) for part, value in (told.get(label) or {}).items()},
        }
        for label, entry in began.vendors.items()
    }  # fmt: skip
    return Provenance(
        scenarios=planned, purposes=tuple(str(one) for one in settings.get("purposes") or ()),
        days=evidence.run.seconds("lasts_seconds", 0.0) / stats.DAY, hours=str(settings.get("hours") or ""),
        handsets={carrier: tuple(sorted(found)) for carrier, found in sorted(handsets.items())}, setups=setups,
    )  # fmt: skip


def _digest(value: object) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _panel(evidence: Evidence) -> dict[str, int]:
    """How many recipients there are: by kind, handsets by carrier, ported ones."""
    counts: Counter[str] = Counter()
    for person in evidence.run.began.panel.values():
        counts[person.kind.value] += 1
        if person.kind is RecipientKind.HANDSET:
            counts[f"handset.{person.carrier.value}"] += 1
            counts["ported"] += person.ported
    return dict(sorted(counts.items()))


def _run_info(evidence: Evidence, run_id: str, ledger_digest: str) -> RunInfo:
    run, began = evidence.run, evidence.run.began
    return RunInfo(
        id=run_id, evaluation=began.evaluation, mode=began.mode, seed=began.seed, began=moment(run.began_at),
        ended=None if run.because is None else moment(run.ended_at), because=run.because, software=began.software,
        evaluation_digest=began.evaluation_digest, plan_digest=began.plan_digest, ledger_facts=run.facts,
        ledger_digest=ledger_digest,
    )  # fmt: skip
