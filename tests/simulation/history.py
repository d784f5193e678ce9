"""The history checker: what must hold between our ledger and the world's own log, whatever was done to us meanwhile.

`check` raises with every broken invariant by its name, I1 to I10 of docs and of the fault catalogue. The vendors' and
phones' own log is the judge: what really reached them, what they were really answered.

Not to be seen in one history: I6 (see `outcome`, compared over permutations), the wall clock's jumps of I7 (see
test_determinism), the reports' side of I9 (needs a result: `check_result`), and I10 (needs two runs).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_to_bytes

from harness.codec import encode_body, to_plain
from harness.domain import Accepted, Case, DeliveryState, InDoubt, Recipient, Refused
from harness.facts import (
    CallFailed,
    CaseClosed,
    CasePlanned,
    Fact,
    PushArrived,
    QuestionAnswered,
    ReportReceived,
    RunEnded,
    SendIntended,
    SendSettled,
    SightingReceived,
    SubmitAnswered,
)
from harness.judge.result import Result
from harness.matching import Matcher
from harness.run.board import Board, fold
from tests.simulation.worlds import Post, Stage
from vendors.sandbox.account import Refusal
from vendors.sandbox.fate import Sending
from vendors.sandbox.world import Delivered

SIGNATURE = "【某某科技】"
DELIVERED = DeliveryState.DELIVERED
TRAFFIC = ("delivery", "soak")  # what a funnel counts; the rest has measures of its own
ROUNDING = timedelta(microseconds=2)  # the ledger keeps whole microseconds


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Both sides of a run: what we wrote down, and what the world knows."""

    facts: Sequence[Fact]
    recordings: Mapping[str, bytes]
    recipients: Mapping[str, Recipient]
    sendings: Sequence[Sending]
    refusals: Sequence[Refusal]
    delivered: Sequence[Delivered]
    posts: Sequence[Post]
    secrets: frozenset[str]

    @property
    def cases(self) -> dict[str, Case]:
        return {fact.body.case.id: fact.body.case for fact in self.facts if isinstance(fact.body, CasePlanned)}

    @property
    def ended(self) -> bool:
        return any(isinstance(fact.body, RunEnded) and fact.body.because == "done" for fact in self.facts)


Leg = tuple[str, int]


def history_of(stage: Stage) -> History:
    """The history of a stage, as far as it has come."""
    return History(
        facts=stage.facts(),
        recordings=stage.recordings(),
        recipients={one.id: one for one in stage.evaluation.recipients},
        sendings=stage.world.sendings,
        refusals=stage.world.refusals,
        delivered=stage.world.log.delivered,
        posts=stage.posts,
        secrets=stage.secrets,
    )


def check(history: History) -> None:
    """Raises Broken with all that is broken."""
    if broken := list(violations(history)):
        raise Broken("\n".join(broken[:20]))


def violations(history: History) -> Iterator[str]:
    for invariant in (_i1, _i2, _i3, _i4, _i5, _i7, _i8, _cases, _i9):
        for told in invariant(history):
            yield f"{invariant.__name__.strip('_').upper()}: {told}"


def intents(history: History) -> dict[Leg, Fact]:
    return {(str(fact.case_id), fact.body.leg): fact for fact in history.facts if isinstance(fact.body, SendIntended)}


def answers(history: History) -> dict[Leg, list[SubmitAnswered | CallFailed]]:
    """What each message came to, as written down at first."""
    found: dict[Leg, list[SubmitAnswered | CallFailed]] = {}
    for fact in history.facts:
        match fact.body:
            case SubmitAnswered(leg=leg) as body:
                found.setdefault((str(fact.case_id), leg), []).append(body)
            case CallFailed(what="submit", leg=int(leg)) as body:
                found.setdefault((str(fact.case_id), leg), []).append(body)
    return found


def in_doubt(history: History) -> frozenset[Leg]:
    """Messages whose answer never came, whatever was found out of them later."""
    return frozenset(
        leg
        for leg, bodies in answers(history).items()
        if any(isinstance(body, SubmitAnswered) and isinstance(body.outcome, InDoubt) for body in bodies)
    )


def references(history: History) -> dict[str, Leg]:
    return {draft.reference: (case.id, leg) for case in history.cases.values() for leg, draft in enumerate(case.drafts)}


# --- what left ------------------------------------------------------------------------------------------------------


def _i1(history: History) -> Iterator[str]:
    """No message on the wire without an earlier durable intent."""
    planned, intended = references(history), intents(history)
    for one in (*history.sendings, *history.refusals):
        leg = planned.get(one.reference or "")
        if leg is None:
            yield f"{one.label} got a message that no plan knows: {one.reference}"
        elif leg not in intended:
            yield f"{one.label} got {leg} without an intent"
        elif intended[leg].at > one.at + ROUNDING:
            yield f"{one.label} got {leg} at {one.at}, its intent is of {intended[leg].at}"
        elif history.cases[leg[0]].vendor != one.label:
            yield f"{one.label} got {leg}, meant for {history.cases[leg[0]].vendor}"


def _i2(history: History) -> Iterator[str]:
    """Each intent reaches the wire at most once. A refused message may be sent again only where nothing was taken."""
    taken = Counter((one.label, one.reference) for one in history.sendings)
    for (label, reference), times in taken.items():
        if times > 1:
            yield f"{label} took {reference} {times} times"
    for one in history.refusals:
        if one.reason != "throttled" and (one.label, one.reference) in taken:
            yield f"{one.label} refused {one.reference} ({one.reason}) and took it as well"
    texts = Counter((one.label, one.number, one.text) for one in history.sendings)
    for (label, _, text), times in texts.items():
        if times > 1:
            yield f"{label} took one text {times} times: {text}"
    for leg, times in Counter(
        (fact.case_id, fact.body.leg) for fact in history.facts if isinstance(fact.body, SendIntended)
    ).items():
        if times > 1:
            yield f"{leg} was intended {times} times"


# --- what came in ---------------------------------------------------------------------------------------------------


def _i3(history: History) -> Iterator[str]:
    """Whatever was acknowledged has its fact in the ledger."""
    ids = {one.number[-11:]: one.id for one in history.recipients.values()}
    reports = {
        (fact.body.vendor, fact.body.vendor_message_id, fact.body.recipient)
        for fact in history.facts
        if isinstance(fact.body, ReportReceived)
    }
    seen = {(fact.body.forwarder, fact.body.text) for fact in history.facts if isinstance(fact.body, SightingReceived)}
    for one in history.delivered:
        if not one.acknowledged:
            continue
        owner = one.url.split("/")[4]
        if one.kind == "reports":
            for about in one.about:
                key, number = about.split(" ")
                if (owner, key, ids.get(number[-11:])) not in reports:
                    yield f"{owner}'s report on {key} was acknowledged at {one.at} and is nowhere"
        elif one.kind == "sightings" and one.about[0].startswith(SIGNATURE) and (owner, one.about[0]) not in seen:
            yield f"{owner}'s sighting was acknowledged at {one.at} and is nowhere: {one.about[0]}"


KEPT_OF_A_POST = (
    "push_arrived",
    "push_refused",
    "report_received",
    "inbound_received",
    "review_decision_received",
    "sighting_received",
    "heartbeat_received",
)


def _i4(history: History) -> Iterator[str]:
    """Every post that was answered 2xx and is kept can be read again, and notes the digest of just those bytes.

    The body is kept with numbers and secrets masked; its digest is that of the bytes as they came.
    """
    noted: set[tuple[str, str]] = set()
    for digest, recording in history.recordings.items():
        if hashlib.sha256(recording).hexdigest() != digest:
            yield f"the recording {digest} reads differently"
    for fact in history.facts:
        if fact.evidence is not None and fact.evidence not in history.recordings:
            yield f"fact {fact.seq} ({fact.body.kind}) rests on a recording that is gone"
        if fact.body.kind not in KEPT_OF_A_POST or fact.evidence is None:
            continue
        post = json.loads(history.recordings[fact.evidence])
        if "body_sha256" not in post:  # pulled, not pushed
            continue
        path = post.get("path", "")
        noted.add((path, post["body_sha256"]))
        if isinstance(fact.body, PushArrived) and path.strip("/") != fact.body.door:
            yield f"fact {fact.seq} came by {fact.body.door}, its recording by {path}"
    for one in history.posts:
        ours = one.path.startswith("/push/") or SIGNATURE.encode() in _spelt_out(one.body)
        path = re.sub(r"(?<=/)[0-9a-f]{32}(?=/|$)", "•••", one.path)  # the secret word of a push URL
        if one.status == 200 and ours and (path, hashlib.sha256(one.body).hexdigest()) not in noted:
            yield f"a post to {one.path} at {one.at} was answered 200 and its bytes are not on record"


def _spelt_out(body: bytes) -> bytes:
    """A body with its escapes resolved, for looking something up in it."""
    plain = unquote_to_bytes(body.replace(b"+", b" "))
    return re.sub(rb"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)).encode("utf-8", "ignore"), plain)


def _i5(history: History) -> Iterator[str]:
    """The ledger's counts are the world's own, and what is unknown is accounted for one by one."""
    planned, told = references(history), answers(history)
    taken = {planned[one.reference]: one for one in history.sendings if one.reference in planned}
    refused = {planned[one.reference] for one in history.refusals if one.reference in planned}
    for leg, bodies in told.items():
        for body in bodies:
            match body:
                case SubmitAnswered(outcome=Accepted(vendor_message_id=theirs)):
                    if leg not in taken:
                        yield f"{leg} is written down as accepted; the vendor never took it"
                    elif taken[leg].key != theirs:
                        yield f"{leg} has the id {theirs}; the vendor's is {taken[leg].key}"
                case SubmitAnswered(outcome=Refused()):
                    if leg not in refused or leg in taken:
                        yield f"{leg} is written down as refused; the vendor says otherwise"
                case CallFailed():
                    if leg in taken:
                        yield f"{leg} is written down as not taken ({body.trouble}); the vendor took it"
                case _:
                    pass  # in doubt: either is right
    if history.ended:
        for leg in taken.keys() | refused:
            if leg not in told:
                yield f"{leg} reached a vendor and the ledger says nothing of it"
    by_key = {(one.label, one.key): one for one in history.sendings}
    for fact in history.facts:
        match fact.body:
            case ReportReceived(vendor=vendor, vendor_message_id=theirs, state=state):
                one = by_key.get((vendor, theirs))
                # How a wire words a failure is the vendor's business; what is claimed delivered must be so claimed.
                if one is None or (one.state == DELIVERED) is not (state == DELIVERED):
                    yield f"fact {fact.seq}: a report that {vendor} never made ({theirs}: {state})"
            case SendSettled(leg=leg, vendor_message_id=theirs):
                one = taken.get((str(fact.case_id), leg))
                if one is None or (theirs and one.key != theirs):
                    yield f"fact {fact.seq}: settled {fact.case_id}/{leg} as sent, the vendor does not know it"
            case SightingReceived(text=text):
                arrived = any(one.arrived_at is not None and one.seen_text == text for one in history.sendings)
                if not arrived and text.startswith(SIGNATURE):
                    yield f"fact {fact.seq}: a sighting of what never arrived"
            case _:
                pass
    reports = Counter(
        (one.body.vendor, one.body.vendor_message_id, one.body.segment, one.body.state, one.body.code)
        for one in history.facts
        if isinstance(one.body, ReportReceived)
    )
    for key, times in reports.items():
        if times > 1:
            yield f"the report {key} counts {times} times"


# --- times ----------------------------------------------------------------------------------------------------------


def _i7(history: History) -> Iterator[str]:
    """No time runs backwards."""
    before = None
    for number, fact in enumerate(history.facts, 1):
        if fact.seq != number:
            yield f"fact {fact.seq} stands at place {number}"
        if before is not None and fact.at < before - timedelta(minutes=1):  # a post bears the instant it was received
            yield f"fact {fact.seq} is earlier than the one before it by {before - fact.at}"
        before = fact.at
        call = getattr(fact.body, "call", None)
        if isinstance(fact.body, SubmitAnswered | CallFailed | QuestionAnswered) and call is not None:
            for name in ("lag", "wait", "took"):
                value = getattr(call, name)
                if value is not None and value < -1e-6:
                    yield f"fact {fact.seq}: {name} is {value}"
            if call.wait is not None and call.took is not None and call.took < call.wait - 1e-6:
                yield f"fact {fact.seq}: done before the first byte"


# --- people's numbers and secrets -----------------------------------------------------------------------------------

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")


def leaks(texts: Mapping[str, bytes], *, numbers: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Which of some texts hold a full number or a secret, plain, percent-encoded, escaped or in base64."""
    words = [*(number[-11:] for number in numbers), *(one for one in secrets if len(one) >= 4)]
    if not words:
        return []
    pattern = re.compile(b"|".join(re.escape(word.encode()) for word in sorted(words, key=len, reverse=True)))
    found = []
    for name, text in texts.items():
        for spelling in _spellings(text):
            if hit := pattern.search(spelling):
                at = max(0, hit.start() - 60)
                found.append(
                    f"{name}: {hit[0].decode()} in …{spelling[at : hit.end() + 20].decode('utf-8', 'replace')}…"
                )
                break
    return found


def _spellings(text: bytes) -> Iterator[bytes]:
    yield text
    plain = _spelt_out(text)
    if plain != text:
        yield plain
    for one in _BASE64.findall(plain):
        for raw in (one, one.replace(b"-", b"+").replace(b"_", b"/")):
            try:
                yield base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
            except ValueError:
                continue


def _i8(history: History) -> Iterator[str]:
    """No full number and no secret in facts and recordings; numbers stand in the table of recipients alone."""
    texts = {f"fact {fact.seq} ({fact.body.kind})": encode_body(fact.body) for fact in history.facts}
    texts |= {f"key of fact {fact.seq}": fact.dedupe.encode() for fact in history.facts if fact.dedupe}
    texts |= {f"recording {digest[:8]}": body for digest, body in history.recordings.items()}
    yield from leaks(texts, numbers=(one.number for one in history.recipients.values()), secrets=history.secrets)


# --- cases ----------------------------------------------------------------------------------------------------------


def _cases(history: History) -> Iterator[str]:
    """Every case is planned once and closed once; every intended send ends as accepted, refused, failed or in doubt."""
    closed = Counter(fact.case_id for fact in history.facts if isinstance(fact.body, CaseClosed))
    planned = Counter(fact.case_id for fact in history.facts if isinstance(fact.body, CasePlanned))
    for case_id, times in planned.items():
        if times != 1:
            yield f"{case_id} is planned {times} times"
        if closed[case_id] > 1 or (history.ended and closed[case_id] != 1):
            yield f"{case_id} is closed {closed[case_id]} times"
    told = answers(history)
    for leg in intents(history):
        if len(told.get(leg, ())) > 1 or (history.ended and leg not in told):
            yield f"{leg} was intended and has {len(told.get(leg, ()))} answers"


# --- what a result says of it ---------------------------------------------------------------------------------------


def _i9(history: History) -> Iterator[str]:
    """What is unknown at the end is in doubt by name: see `check_result` for what the report says of it."""
    settled = {(str(fact.case_id), fact.body.leg) for fact in history.facts if isinstance(fact.body, SendSettled)}
    for leg in settled - in_doubt(history):
        yield f"{leg} was settled and never in doubt"


def doubt_left(history: History) -> frozenset[Leg]:
    """Messages in doubt that no record, report or sighting has settled."""
    boards = outcome(history.facts)
    return frozenset(leg for leg in in_doubt(history) if not boards[leg[0]]["legs"][leg[1]]["taken"])


def check_result(history: History, result: Result) -> None:
    """I9: doubt is counted in the open, by vendor. Raises Broken."""
    left = [history.cases[case_id] for case_id, _ in doubt_left(history)]
    expected = Counter(case.vendor for case in left)
    ordinary = Counter(case.vendor for case in left if case.scenario in TRAFFIC)
    told = {one.vendor: one.in_doubt for one in result.funnels if one.carrier is None}
    warned = {str(one.values["vendor"]): one.values["n"] for one in result.warnings if one.id == "warning.in_doubt"}
    for vendor in result.vendors:
        if told.get(vendor, 0) != ordinary[vendor] or warned.get(vendor, 0) != expected[vendor]:
            raise Broken(
                f"I9: {vendor} has {expected[vendor]} messages in doubt, the funnel says {told.get(vendor, 0)}, "
                f"the warning {warned.get(vendor, 0)}"
            )


# --- I6 -------------------------------------------------------------------------------------------------------------


def outcome(facts: Iterable[Fact]) -> dict[str, dict[str, Any]]:
    """What the boards say once all facts are in, without the order in which news came."""
    matcher, boards = Matcher(), dict[str, Board]()
    for fact in facts:
        for case_id, news in matcher.route(fact):
            after = fold(boards.get(case_id), news, matcher)
            if after is not None:
                boards[case_id] = after
    return {case_id: _without_order(board) for case_id, board in boards.items()}


def _without_order(board: Board) -> dict[str, Any]:
    legs = {
        number: {
            "outcome": to_plain(sent.outcome),
            "failed": sent.failed,
            "taken": sent.is_taken,
            "arrived": sent.has_arrived,
            "state": sent.final_report.state if sent.final_report else None,
            "reports": sorted(repr(to_plain(one)) for one in sent.reports),
            "sightings": sorted(repr(to_plain(one)) for one in sent.sightings),
        }
        for number, sent in board.legs.items()
    }
    return {
        "legs": legs,
        "inbound": sorted(repr(to_plain(one)) for _, one in board.inbound),
        "decision": to_plain(board.decision),
        "closed": board.closed,
    }
