"""The result document: all a report may read. Ids and numbers, no sentences but what people wrote.

It has its own schema and version: whoever holds it can draw it in any clothing and language, today or in years.
Older versions are upgraded step by step, never rejected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.codec import from_plain, schema_of, to_plain
from harness.domain import Better, Carrier, Estimate, Money, Purpose, State, Unit
from harness.errors import Complaint, ConfigError

SCHEMA: Final = "sms-vendor-evaluation"
SCHEMA_VERSION: Final = "1.1"

Slice = Mapping[str, str]
"""Which part of the traffic: {"carrier": "china_mobile"}, {"carrier": …, "purpose": …}; empty is all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence to be: a message id of the locales and its values."""

    id: str
    values: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    id: str
    evaluation: str
    mode: str  # sandbox | live
    seed: int
    began: str  # ISO 8601, UTC
    ended: str | None
    because: str | None  # why it ended
    software: str
    evaluation_digest: str
    plan_digest: str
    ledger_facts: int
    ledger_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorInfo:
    adapter: str
    name: Mapping[str, str]  # language → name
    standing: str
    capabilities: tuple[str, ...]
    absent: Mapping[str, Mapping[str, str]]
    price: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureInfo:
    """What a measure is: its words stand in the locales under `measure.<id>`."""

    unit: Unit
    better: Better
    criterion: str
    kpi: str | None = None  # name in ITU-T E.804 / ETSI TS 102 250-2, where it has one
    denominator: str | None = None  # submitted | accepted | valid_numbers | delivered | …: never a bare rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One measure of one vendor on one slice: a state always, an estimate where measured, a reason where not."""

    vendor: str
    measure: str
    slice: Slice
    state: State
    estimate: Estimate | None = None
    reason: Note | None = None
    evidence: tuple[str, ...] = ()  # case ids; at most 200, the telling ones first
    evidence_count: int = 0  # how many there are in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A measure's part in a criterion: weight, and a scale of straight lines between anchor points (value, score)."""

    measure: str
    weight: float
    scale: tuple[tuple[float, float], ...]
    slice: Slice = field(default_factory=dict)
    per: str | None = None  # "carrier": the member is the mean over that slice's values
    when_absent: Literal["range", "floor"] = "range"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    id: str
    weight: float  # of 100
    members: tuple[Member, ...]
    gates: tuple[str, ...] = ()  # ids of its gates


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberScore:
    """How a member came to its score. `low`/`high`: the score's band; `score` None: no point, only the band."""

    measure: str
    slice: Slice
    weight: float
    score: float | None
    low: float
    high: float
    state: State
    source: Literal["measured", "attested", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A vendor's mark on one criterion, 0–100. Missing evidence widens the band to its whole range; it is never 0."""

    criterion: str
    score: float | None
    low: float
    high: float
    state: State
    source: Literal["measured", "attested", "both", "none"]
    reason: Note
    members: tuple[MemberScore, ...]
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """A pass/fail line. `not_shown`: the evidence is missing. `unclear`: the interval crosses the line."""

    id: str
    vendor: str
    text: str  # "arrival.rate >= 0.97", or the id of a legal gate
    verdict: Literal["pass", "fail", "not_shown", "unclear"]
    reason: Note
    legal: bool = False  # licence, code certificate, retention …: a fail takes the vendor out of the ranking
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    vendor: str
    standing: Literal["ranked", "conditional", "excluded"]  # excluded: a gate failed; conditional: a gate is not shown
    marks: tuple[Mark, ...]
    overall: float | None
    low: float
    high: float
    group: int | None  # 1 is the first group; vendors of one group are not distinguishable; None: excluded
    p_first: float | None  # probability of being first, stated weights
    p_first_any_weights: float | None  # the same with weights around the stated ones
    possible_winner: bool
    necessary_winner: bool
    verdict: Note  # the one sentence
    strengths: tuple[Note, ...] = ()
    weaknesses: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The smallest change of weights (points of 100 moved) that would put `challenger` before `leader`."""

    leader: str
    challenger: str
    moved: float | None  # None: no change of weights does it
    changes: Mapping[str, float]  # criterion → points of weight, + and -


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """How many messages came how far. `carrier` None: all."""

    vendor: str
    carrier: Carrier | None
    submitted: int
    accepted: int
    in_doubt: int
    reported: int  # any final status report
    delivered: int  # claimed
    watched: int  # accepted ones to a handset that was alive
    arrived: int  # seen, of the watched
    replies_sent: int
    replied: int  # replies that reached us, of those sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Arrived within t seconds, of all sent: steps (t, share), with the band at the same t."""

    vendor: str
    carrier: Carrier | None
    purpose: Purpose | None
    points: tuple[tuple[float, float], ...]
    n: int
    horizon: float  # seconds watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One bar of a series: what, and its estimate (None: nothing to say there)."""

    key: str  # "09", "2026-03-04T14", "1069…"
    estimate: Estimate | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A measure along something: hour of day, hour of the run, day, sender."""

    vendor: str
    measure: str
    along: Literal["hour_of_day", "hour", "day", "sender"]
    carrier: Carrier | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    vendor: str
    carrier: Carrier | None
    began: str  # ISO 8601, UTC
    ended: str | None  # None: open at the end of the run
    missed: int
    sent: int
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewEntry:
    """One review: what was handed in and how long it took. `minutes` None: open at the end."""

    vendor: str
    case: str
    subject: str
    fault: str | None  # None: a compliant one
    submitted: str
    minutes: float | None
    open_for: float  # minutes watched, when undecided
    verdict: str | None
    reason: str  # the vendor's words
    says_what: bool | None  # whether a rejection says what to change; None: not rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCount:
    """How often a vendor's code was seen, and what it was taken to mean."""

    vendor: str
    where: Literal["submit", "report"]
    code: str
    reason: str
    count: int
    carrier: Carrier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A paper that a person checked, as it stood at the end of the run."""

    vendor: str
    kind: str  # licence | code_certificate | iso27001 | djbh | contract_retention | complaint_channel
    number: str
    holder: str
    scope: str
    valid_until: str | None
    checked_by: str
    checked_on: str
    file_digest: str
    verdict: Literal["valid", "expired", "missing", "not_counted"]
    reason: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What two results must have alike to be compared, part by part. Since 1.1."""

    scenarios: Mapping[str, Mapping[str, int]]  # vendor → scenario → cases planned
    purposes: tuple[str, ...]
    days: float  # how long the run was to last
    hours: str
    handsets: Mapping[str, tuple[str, ...]]  # carrier → digests of its handsets, each of id and day of joining
    setups: Mapping[str, Mapping[str, str]]  # vendor → part → value, or digest of it: adapter, standing, endpoint, …


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The counts behind one share of one vendor on one slice, before any floor or t: what months are compared on.

    A deff is the estimated variance over that of independent messages (statistics.md 1.3); None: all alike, so
    nothing to see clustering by. Since 1.1.
    """

    vendor: str
    measure: str
    slice: Slice
    hits: float
    n: int
    handsets: int
    blocks: int
    per_handset: float  # message-weighted messages a handset
    per_block: float
    handset_deff: float | None
    block_deff: float | None
    deff: float | None  # two-way


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two vendors on the same phones in the same minutes, on one slice. Since 1.1.

    For `arrival.rate` the difference is first minus second in shares; for `latency.p50` it is the ratio of typical
    times, first over second. The interval is of this line alone; `verdict` heeds how many were looked at (Holm).
    """

    first: str
    second: str
    measure: str
    slice: Slice
    state: State
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0  # pairs
    handsets: int = 0
    df: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    level: float = 0.95
    verdict: Literal["first", "second", "not_distinguishable", "not_shown"] = "not_shown"  # whom it speaks for
    reason: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where a vendor stood in the visits it shared with others: 0 always first, 1 always last. Since 1.1."""

    vendor: str
    place: float
    low: float
    high: float
    visits: int
    balanced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaValue:
    """A contract's formula on our traffic, by one kind of evidence, and what the clause would pay on it. Since 1.1."""

    basis: Literal["reports", "handsets"]
    state: State
    verdict: Literal["met", "missed", "unclear", "unknown"]
    estimate: Estimate | None = None
    reason: Note | None = None
    due: float | None = None  # of the month's fee; None: the contract pays nothing, or it cannot be told
    due_low: float | None = None
    due_high: float | None = None
    evidence: tuple[str, ...] = ()  # cases that are not good, at most 200
    evidence_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaClause:
    """A vendor's delivery clause and what was measured by it. `reason`: why it could not be read. Since 1.1."""

    vendor: str
    contract: str  # its number
    counts: str = ""  # delivered | not_failed
    of: str = ""  # submitted | accepted
    threshold: float | None = None
    within: float | None = None  # seconds; None: at any time
    exclude: tuple[str, ...] = ()  # reasons
    tiers: tuple[tuple[float, float], ...] = ()  # (below this share, this part of the fee is owed)
    per_point: float | None = None
    most: float | None = None
    fee: Money | None = None
    void_if: tuple[str, ...] = ()
    void_seen: tuple[str, ...] = ()  # those of them that our own phones saw
    counted: int = 0  # messages in the contract's denominator
    excluded: int = 0  # left out by the contract's exclusions
    contradicted: int = 0  # of these, to phones that were alive
    values: tuple[SlaValue, ...] = ()
    reason: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    run: RunInfo
    vendors: Mapping[str, VendorInfo]
    measures: Mapping[str, MeasureInfo]
    findings: tuple[Finding, ...]
    criteria: tuple[Criterion, ...]
    scorecards: tuple[Scorecard, ...]
    gates: tuple[GateVerdict, ...]
    flips: tuple[Flip, ...]
    funnels: tuple[Funnel, ...]
    curves: tuple[Curve, ...]
    series: tuple[Series, ...]
    outages: tuple[Outage, ...]
    reviews: tuple[ReviewEntry, ...]
    codes: tuple[CodeCount, ...]
    documents: tuple[Document, ...]
    skipped: tuple[Finding, ...]  # what was not planned because the vendor does not offer it
    warnings: tuple[Note, ...]
    method: Mapping[str, str | int | float]  # constants that the numbers rest on: level, blocks, floors, horizon …
    panel: Mapping[str, int]  # handsets per carrier, ported, invalid, …
    provenance: Provenance | None = None  # None: judged before 1.1; judge its ledger again to compare it
    bases: tuple[Basis, ...] = ()
    pairs: tuple[Pair, ...] = ()
    turns: tuple[Turn, ...] = ()
    sla: tuple[SlaClause, ...] = ()  # delivery clauses of contracts; since 1.1
    schema: str = SCHEMA
    schema_version: str = SCHEMA_VERSION


# --- reading and writing --------------------------------------------------------------------------------------------

_LADDER: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""Major version → the step that makes it the next one. Empty as long as there is one version."""


def dump(result: Result) -> bytes:
    """The document as UTF-8 JSON: same result, same bytes."""
    plain = to_plain(result)
    ordered = {
        key: plain[key] for key in ("schema", "schema_version", *(k for k in plain if not k.startswith("schema")))
    }
    return (json.dumps(ordered, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def parse(raw: bytes, name: str = "result.json") -> Result:
    """Read a document of this or an older version, as one of this version. Raises ConfigError for anything else."""
    try:
        plain = json.loads(raw)
        schema = plain["schema"]
        version = str(plain["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(name, f"is no result document ({error})") from error
    if schema != SCHEMA:
        raise _unreadable(name, f"has the schema {schema!r}, expected {SCHEMA!r}")
    if version == "1.0":  # 1.1 only added; what was not written down stays unknown
        plain["schema_version"] = version = "1.1"
    while (major := version.split(".")[0]) != SCHEMA_VERSION.split(".")[0]:
        if major not in _LADDER:
            raise _unreadable(name, f"has the schema version {version}, newer than {SCHEMA_VERSION}")
        plain = _LADDER[major](plain)
        version = str(plain["schema_version"])
    try:
        return from_plain(Result, plain)
    except ValueError as error:
        raise _unreadable(name, str(error)[:500]) from error


def _unreadable(name: str, problem: str) -> ConfigError:
    return ConfigError(
        [Complaint(place=name, problem=problem, way_out="Make it again with `smsbench score` from the run's ledger.")]
    )


def json_schema() -> bytes:
    """The published schema, as it stands in reports/schema/."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema_of(Result)}
    return (json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
