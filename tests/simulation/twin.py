"""The simulator's twin in numpy: a plan and a world's truth → the table of messages that the real pipe would leave.

All of a month is drawn at once, by the rules of `vendors.sandbox.fate` and `world` and as `journeys` would read it, so
that months can be judged by the hundred. Order of rows aside, `test_twin` tells the two apart only where it should.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import exp, log
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from harness.clock import Chance
from harness.config import Evaluation, load_evaluation
from harness.content import shipped_texts
from harness.domain import BEIJING, Carrier, Reason, RecipientKind
from harness.facts import Fact, RunEnded
from harness.judge import journeys
from harness.judge.journeys import AROUND, DRIFT_PPM, GREATEST_BOUND, HOUR, Evidence
from harness.ledger import Entry
from harness.ledger.sqlite import SqliteLedger
from harness.run.house import first_facts, open_contest
from harness.run.play import plan_of, play_in_memory, virtual_epoch
from vendors.sandbox.fate import CODES, PLAIN_CODES, VALIDITY, within
from vendors.sandbox.people import Person
from vendors.sandbox.phones import Phone, Stretch
from vendors.sandbox.starter import write_files
from vendors.sandbox.truth import App, DownKind, Honesty, Mode, Spread, VendorTruth, WorldTruth
from vendors.sandbox.world import World

Array = np.ndarray[Any, Any]
Columns = dict[str, Array]

APPS: Final = (App.SMSFORWARDER, App.JSON, App.SMSGATE)  # rows stand in this order: each app's are one slice
POLLS_PER_SILENCE: Final = 0.45  # how often phones are asked for their clock (harness/run/chores.py)


class NoTwin(ValueError):
    """A world or plan with something in it that the twin does not draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a month asks of each vendor."""

    messages: int
    days: int = 7


def world_of(truth: WorldTruth, *, seed: int, epoch: datetime) -> World:
    """A world with this truth; the same seed and epoch make the same people, phones and luck of handsets."""
    return World(truth, seed=seed, epoch=epoch.astimezone(UTC))


def evaluation_of(world: World, *, seed: int, begins: datetime, size: Size) -> Evaluation:
    """An evaluation of every vendor of a world: delivery and nothing else."""
    texts = {key: (one.text, one.purpose) for key, one in shipped_texts().items()}
    started = write_files(
        world,
        texts,
        scenarios=f"delivery: {{messages: {size.messages}}}",
        settings=f"seed: {seed}\nbegins: {begins:%Y-%m-%d %H:%M}\nlasts: {size.days} days\nsilence: 12 h\n"
        "spend_limit: 20000 CNY\nmessage_limit: 200000",
    )
    with tempfile.TemporaryDirectory(prefix="twin-") as name:
        for file, text in started.files.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        return load_evaluation(Path(name) / "evaluation.yaml", started.environment)


def piped(world: World, evaluation: Evaluation) -> Evidence:
    """The evidence that the real pipe leaves: engine, wire, ledger."""
    with tempfile.TemporaryDirectory(prefix="piped-") as name:
        played = play_in_memory(evaluation, Path(name), out=Path(name), world=world)
        ledger = SqliteLedger(played.folder / "ledger.db", read_only=True)
        try:
            return journeys.read(ledger.facts())
        finally:
            ledger.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A month's plan in a world, ready to be drawn: what chance does not touch. A row is a message, by app and phone.

    `table`: the messages before anything happened, as `journeys` reads the plan. Times are seconds since the epoch;
    medians are logarithms.
    """

    world: World
    evidence: Evidence
    table: pd.DataFrame
    sent: Array
    vendors: tuple[tuple[VendorTruth, Array], ...]  # with their rows
    people: tuple[Person, ...]  # by number of phone
    phone: Array
    carrier: Array  # place in `Carrier`
    apps: Mapping[App, slice]
    phones_of: Mapping[App, Array]  # where each phone of the app begins
    luck: Array  # share that arrives, of this handset with this vendor, hours and ported numbers counted
    latency: tuple[Array, Array]
    wait: tuple[Array, Array]
    report_delay: tuple[Array, Array]
    routes: Mapping[tuple[int, Carrier | None], tuple[Array, Array]]  # place of vendor, carrier → rows, times in order
    downs: tuple[tuple[int, Stretch], ...]  # phone by number, and when it is down
    bulk: Array  # whether its vendor would see bulk
    offset: Array  # of the phone's clock at `sent`, in seconds
    known_offset: Array  # as the harness learns it by asking; missing where it cannot
    known_bound: Array
    alive: Array
    horizon: float
    report_horizon: float

    def __len__(self) -> int:
        return len(self.sent)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A clock that shows one time."""

    at: datetime

    def now(self) -> datetime:
        return self.at


# --- what chance does not touch --------------------------------------------------------------------------------------


def course_of(world: World, evaluation: Evaluation, *, seed: int) -> Course:
    """The plan of an evaluation in its world. Raises NoTwin for what only the real pipe can play."""
    begins = evaluation.begins
    assert begins is not None
    clock = _Stopped(begins)
    contest = open_contest(evaluation, clock=clock, nonce=Chance(seed).nonces("twin"))
    plan = plan_of(evaluation, contest, seed=seed, begins=begins)
    if any(case.scenario != "delivery" for case in plan.cases):
        raise NoTwin("the twin plays nothing but delivery")
    last = max(case.due for case in plan.cases) + evaluation.report_horizon
    # A run in memory begins with its virtual day.
    began = virtual_epoch(begins)
    entries = [*first_facts(evaluation, contest, plan, began), Entry(body=RunEnded(because="done"), at=last)]
    evidence = journeys.read(
        Fact(seq=number, at=one.at, body=one.body, case_id=one.case_id) for number, one in enumerate(entries, 1)
    )
    due = {case.id: case.due.timestamp() for case in plan.cases}
    persons = {person.id: person for person in world.people.values()}
    return _course(world, evaluation, evidence, due, persons)


def _course(
    world: World, evaluation: Evaluation, evidence: Evidence, due: Mapping[str, float], persons: Mapping[str, Person]
) -> Course:
    for label in evidence.vendors:
        _check(world.accounts[label].truth, world)
    table = evidence.messages
    apps = np.array([APPS.index(persons[id].phone.app) for id in table["recipient"]])  # type: ignore[union-attr]
    sent = np.array([due[id] for id in table["case_id"]])
    order = np.lexsort((sent, table["phone"].to_numpy(), apps))
    table, sent, apps = table.iloc[order].reset_index(drop=True), sent[order], apps[order]
    table["phone"] = pd.factorize(table["recipient"])[0]
    people = tuple(persons[id] for id in table["recipient"].unique())
    phone = table["phone"].to_numpy()
    labels = table["vendor"].astype(str).to_numpy()
    vendors = tuple((world.accounts[label].truth, np.flatnonzero(labels == label)) for label in evidence.vendors)
    begins = np.flatnonzero(np.append(True, phone[1:] != phone[:-1]))
    slices = {app: slice(*np.searchsorted(apps, (place, place + 1)).tolist()) for place, app in enumerate(APPS)}
    phones_of = {app: begins[(begins >= part.start) & (begins < part.stop)] - part.start
                 for app, part in slices.items()}  # fmt: skip
    carrier = np.array([list(Carrier).index(person.carrier) for person in people])[phone]
    offset, known, bound = _clocks(world, evaluation, evidence, people, phone, sent)
    report_horizon = max(evaluation.horizon, evaluation.report_horizon).total_seconds()
    return Course(
        world=world, evidence=evidence, table=table, sent=sent, vendors=vendors, people=people, phone=phone,
        carrier=carrier, apps=slices, phones_of=phones_of, luck=_luck(world, vendors, people, phone, sent),
        latency=_spreads(vendors, people, phone, len(sent), sent), wait=_same(vendors, "acknowledgement", len(sent)),
        report_delay=_same(vendors, "delay", len(sent)), routes=_routes(vendors, carrier, sent),
        downs=tuple((number, one) for number, person in enumerate(people) for one in _phone(person).down),
        bulk=_bulk(vendors, sent), offset=offset, known_offset=known,
        known_bound=bound, alive=_alive(world, evaluation, evidence, people, phone, sent),
        horizon=evaluation.horizon.total_seconds(), report_horizon=report_horizon,
    )  # fmt: skip


def _check(truth: VendorTruth, world: World) -> None:
    faults = truth.faults
    if faults.refused or faults.error or faults.no_answer:
        raise NoTwin(f"{truth.label}: the twin knows no failing endpoints")
    if truth.mode is not Mode.PUSH:
        raise NoTwin(f"{truth.label}: the twin's reports are pushed")
    if truth.words.false_alarm or truth.pace:
        raise NoTwin(f"{truth.label}: the twin's vendors take every ordinary message")
    if not world.truth.panel.heartbeat_minutes:
        raise NoTwin("the twin's phones give signs of life")


def _luck(
    world: World, vendors: tuple[tuple[VendorTruth, Array], ...], people: tuple[Person, ...], phone: Array, sent: Array
) -> Array:
    """The same luck of handsets as in the real world, times what ported numbers and hours of the day do."""
    luck = np.ones(len(sent))
    for truth, rows in vendors:
        fates = world.accounts[truth.label]._fates
        ported = [truth.ported if one.carrier is not one.allotted_carrier else 1.0 for one in people]
        by_phone = np.array([fates._handset_share(one) for one in people]) * np.array(ported)
        luck[rows] = by_phone[phone[rows]]
        for band in truth.hours:
            at = [within((band.begin, band.end), datetime.fromtimestamp(one, UTC)) for one in sent[rows]]
            here = np.array(at) & _on(people, phone[rows], band.carrier)
            luck[rows[here]] *= band.arrival
    return luck


def _routes(
    vendors: tuple[tuple[VendorTruth, Array], ...], carrier: Array, sent: Array
) -> dict[tuple[int, Carrier | None], tuple[Array, Array]]:
    routes: dict[tuple[int, Carrier | None], tuple[Array, Array]] = {}
    for place, (_, rows) in enumerate(vendors):
        for one in (None, *Carrier):
            here = rows if one is None else rows[carrier[rows] == list(Carrier).index(one)]
            here = here[np.argsort(sent[here], kind="stable")]
            routes[place, one] = here, sent[here]
    return routes


def _on(people: tuple[Person, ...], phone: Array, carrier: Carrier | None) -> Array:
    if carrier is None:
        return np.ones(len(phone), dtype=bool)
    return np.array([one.carrier is carrier for one in people])[phone]


def _spreads(
    vendors: tuple[tuple[VendorTruth, Array], ...], people: tuple[Person, ...], phone: Array, n: int, sent: Array
) -> tuple[Array, Array]:
    median, sigma = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for truth, rows in vendors:
        spreads = [truth.latency[one.carrier] for one in people]
        median[rows] = np.log([one.median for one in spreads])[phone[rows]]
        sigma[rows] = np.array([one.sigma for one in spreads])[phone[rows]]
        for band in truth.hours:
            if band.slower != 1:
                at = [within((band.begin, band.end), datetime.fromtimestamp(one, UTC)) for one in sent[rows]]
                median[rows[np.array(at) & _on(people, phone[rows], band.carrier)]] += log(band.slower)
    return median, sigma


def _same(vendors: tuple[tuple[VendorTruth, Array], ...], name: str, n: int) -> tuple[Array, Array]:
    median, sigma = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for truth, rows in vendors:
        spread: Spread = getattr(truth, name) if name != "delay" else truth.receipts.delay
        median[rows], sigma[rows] = log(spread.median), spread.sigma
    return median, sigma


def _bulk(vendors: tuple[tuple[VendorTruth, Array], ...], sent: Array) -> Array:
    """A vendor sees bulk where more than so many of its messages came within the last seconds, this one counted."""
    bulk = np.zeros(len(sent), dtype=bool)
    for truth, rows in vendors:
        if truth.receipts.kind is Honesty.BULK:
            order = rows[np.argsort(sent[rows], kind="stable")]
            at = sent[order]
            first = np.searchsorted(at, at - truth.receipts.bulk_seconds, side="left")
            bulk[order] = np.arange(1, len(at) + 1) - first > truth.receipts.bulk_above
    return bulk


def _clocks(
    world: World, evaluation: Evaluation, evidence: Evidence, people: tuple[Person, ...], phone: Array, sent: Array
) -> tuple[Array, Array, Array]:
    """Each message's phone clock against ours: the truth, what asking the phone tells, and how sure that is."""
    epoch = world.epoch.timestamp()
    phones = [_phone(one) for one in people]
    shift, drift = (np.array([getattr(one, name) for one in phones]) for name in ("offset_seconds", "drift_ppm"))
    offset = shift[phone] + (sent - epoch) * drift[phone] * 1e-6
    # An app is asked for its clock every so often; one that is not tells nothing, and one that is down gives no answer.
    known, bound = np.full(len(sent), np.nan), np.full(len(sent), np.nan)
    middle = (np.floor(sent / HOUR) + 0.5) * HOUR
    for number, one in enumerate(phones):
        polls = np.array(_polls(evaluation, evidence, one))
        if one.app is App.SMSFORWARDER and polls.size:
            rows = np.flatnonzero(phone == number)
            away = np.abs(polls[:, None] - middle[rows])
            nearest = polls[away.argmin(axis=0)]
            known[rows] = shift[number] + (nearest - epoch) * drift[number] * 1e-6
            bound[rows] = (away.min(axis=0) + HOUR / 2) * DRIFT_PPM * 1e-6
    return offset, known, bound


def _polls(evaluation: Evaluation, evidence: Evidence, phone: Phone) -> list[float]:
    """When a phone is asked for its clock and answers."""
    every = evaluation.silence.total_seconds() * POLLS_PER_SILENCE
    at = np.arange(evidence.run.began_at, evidence.run.ended_at, every).tolist()
    return [one for one in at if not phone.down_at(datetime.fromtimestamp(one, UTC))]


def _phone(person: Person) -> Phone:
    if person.phone is None or person.kind is not RecipientKind.HANDSET:
        raise NoTwin(f"{person.id} has no phone to watch")
    return person.phone


def _alive(
    world: World, evaluation: Evaluation, evidence: Evidence, people: tuple[Person, ...], phone: Array, sent: Array
) -> Array:
    """Whether each phone gave signs of life around each send, by the rule of `journeys`."""
    begins, ends, silence = evidence.run.began_at, evidence.run.ended_at, evaluation.silence.total_seconds()
    beats: dict[str, list[tuple[float, float | None, float | None]]] = {}
    for person in people:
        one = _phone(person)
        if one.app is App.SMSFORWARDER and not world.truth.panel.smsforwarder_heartbeats:
            at = _polls(evaluation, evidence, one)
        else:
            every = world.truth.panel.heartbeat_minutes * 60
            first = world.epoch.timestamp() + every * np.ceil((begins - world.epoch.timestamp()) / every)
            at = np.arange(first, ends, every).tolist()
        beats[one.id] = [(t, None, None) for t in at if not one.down_at(datetime.fromtimestamp(t, UTC))]
    span, alive = min(evaluation.horizon.total_seconds(), AROUND), np.ones(len(sent), dtype=bool)
    place = {_phone(person).id: number for number, person in enumerate(people)}
    for forwarder, quiet in journeys._silences(beats, silence).groupby("forwarder", sort=False):
        rows = np.flatnonzero(phone == place[str(forwarder)])
        began, ended = quiet["began"].to_numpy(), quiet["ended"].to_numpy()
        following = np.searchsorted(ended, sent[rows], side="right")
        alive[rows] = np.append(began, np.inf)[following] >= np.minimum(sent[rows] + span, ends)
    return alive


# --- what chance does ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month as it was drawn. Times in seconds since the epoch, missing where nothing happened; sets of rows."""

    sent: Array
    wait: Array
    arrived: Array  # in truth
    seen: Array  # told by the app; missing: never
    handset: Array  # the phone's own stamp, on its own clock
    reported: Array
    claimed: Array
    lost: Array  # rows that did not arrive: no route
    made_up: Array  # rows with an invented receipt
    silent: Array  # rows without any report
    altered: Array
    copied: Array
    found: Array  # rows that the phone had when it was asked, at the horizon, for want of a sighting
    not_found: Array


def draw(course: Course, rng: np.random.Generator, *, weeks: int = 0) -> Month:
    """One month of a course, so many weeks after its own; handsets keep their luck, all else is drawn anew.

    Raises NoTwin where phones are down in the course's own month: that would be another course.
    """
    if weeks and course.downs:
        raise NoTwin("phones that are down make a month that no other is like")
    n, sent = len(course), course.sent + weeks * 7 * 86_400.0
    took = _times(rng, course.latency)
    missed, made_up, kept_back, silent, early, altered, copied = _marks(course, rng)
    gone = rng.random(n, dtype=np.float32) >= _odds(course, rng, sent, took)
    gone[kept_back] = True
    arrived = sent + took
    off = _switched_off(course, rng, sent, arrived)
    gone |= off > VALIDITY.total_seconds()
    arrived[gone] = np.nan
    seen, handset = _sightings(course, rng, arrived, missed)
    claimed, reported = _reports(course, rng, sent, arrived, gone, made_up, silent, early)
    unseen = np.flatnonzero(~(seen <= sent + course.horizon))
    asked = _can_be_asked(course, unseen, sent[unseen] + course.horizon)
    has = arrived[asked] <= sent[asked] + course.horizon
    return Month(
        sent=sent, wait=_times(rng, course.wait), arrived=arrived, seen=seen, handset=handset, reported=reported,
        claimed=claimed, lost=np.flatnonzero(gone), made_up=made_up, silent=silent,
        altered=altered[~gone[altered]], copied=copied[~gone[copied]], found=asked[has], not_found=asked[~has],
    )  # fmt: skip


def _times(rng: np.random.Generator, spread: tuple[Array, Array]) -> Array:
    """Log-normal times in seconds."""
    drawn = rng.standard_normal(len(spread[0]), dtype=np.float32)
    drawn *= spread[1]
    drawn += spread[0]
    return np.exp(drawn, out=drawn)


def _some(rng: np.random.Generator, rows: Array, share: float) -> Array:
    """Each row with this probability, each by itself."""
    if share <= 0:
        return rows[:0]
    if share >= 1:
        return rows
    return rows[rng.choice(len(rows), rng.binomial(len(rows), share), replace=False, shuffle=False)]


def _marks(course: Course, rng: np.random.Generator) -> tuple[Array, ...]:
    """Rows the app misses; with a made-up receipt; never sent; never reported; stamped early; altered; copied."""
    told: list[list[Array]] = [[] for _ in range(6)]
    for truth, rows in course.vendors:
        receipts = truth.receipts
        match receipts.kind:
            case Honesty.HONEST:
                made_up = rows[:0]
            case Honesty.ALL:
                made_up = rows
            case Honesty.ALL_BUT_KNOWN:
                known = np.array([one.number in receipts.known for one in course.people])
                made_up = rows[~known[course.phone[rows]]]
            case Honesty.BULK:
                made_up = rows[course.bulk[rows]]
            case Honesty.SHARE:
                made_up = _some(rng, rows, receipts.share)
        shares = (receipts.missing, receipts.early, truth.altered, truth.duplicates)
        drawn = [made_up, _some(rng, made_up, receipts.kept_back), *(_some(rng, rows, share) for share in shares)]
        for place, one in zip(told, drawn, strict=True):
            place.append(one)
    missed = _some(rng, np.arange(len(course)), course.world.truth.panel.app_miss)
    return missed, *(np.concatenate(one) for one in told)


def _odds(course: Course, rng: np.random.Generator, sent: Array, took: Array) -> Array:
    """The share that arrives by message; times in a period of trouble are stretched in place."""
    odds, shift = course.luck.copy(), float(sent[0] - course.sent[0])
    for place, (truth, _) in enumerate(course.vendors):
        for begin, end, carrier, arrival, slower in _periods(course, truth, rng, sent):
            rows, at = course.routes[place, carrier]
            here = rows[slice(*np.searchsorted(at, (begin - shift, end - shift)))]
            odds[here] *= arrival
            took[here] *= slower
    return odds


def _periods(
    course: Course, truth: VendorTruth, rng: np.random.Generator, sent: Array
) -> Iterator[tuple[float, float, Carrier | None, float, float]]:
    epoch = course.world.epoch
    for one in truth.outages:
        yield (one.begin.after(epoch).timestamp(), one.end.after(epoch).timestamp(), one.carrier, one.arrival,
               one.slower)  # fmt: skip
    if (often := truth.random_outages) is None:
        return
    # By week of the world, as there: an outage ends with its week at the latest.
    week, start = 7 * 86_400.0, epoch.timestamp()
    for number in range(int((sent.min() - start) // week), int((sent.max() - start) // week) + 1):
        for carrier in Carrier:
            for at in rng.uniform(0, week, rng.poisson(often.per_week)):
                begin = start + number * week + at
                length = often.minutes.median * exp(often.minutes.sigma * rng.standard_normal()) * 60
                yield begin, min(begin + length, start + (number + 1) * week), carrier, often.arrival, 1.0


def _switched_off(course: Course, rng: np.random.Generator, sent: Array, arrived: Array) -> Array:
    """Messages to a phone that is off come when it is back, moved in place. Returns what each took, in seconds."""
    for number, stretch in course.downs:
        if stretch.kind is DownKind.OFF:
            begin, end = stretch.begin.timestamp(), stretch.end.timestamp()
            here = np.flatnonzero((course.phone == number) & (arrived >= begin) & (arrived < end))
            arrived[here] = end + rng.uniform(3.0, 40.0, here.size)
    return arrived - sent


def _sightings(course: Course, rng: np.random.Generator, arrived: Array, missed: Array) -> tuple[Array, Array]:
    """When the harness heard of each message from its phone, and the phone's own stamp."""
    panel, n = course.world.truth.panel, len(course)
    forward = rng.standard_normal(n, dtype=np.float32)
    forward *= np.float32(panel.forward_delay.sigma)
    forward += np.float32(log(panel.forward_delay.median))
    np.exp(forward, out=forward)
    asleep = _some(rng, np.arange(n), panel.standby)
    forward[asleep] += np.array([panel.standby_delay.median]) * np.exp(
        panel.standby_delay.sigma * rng.standard_normal(asleep.size)
    )
    seen = arrived + forward
    seen[missed] = np.nan
    for number, stretch in course.downs:
        begin, end = stretch.begin.timestamp(), stretch.end.timestamp()
        here = np.flatnonzero(course.phone == number)
        seen[here[(arrived[here] >= begin) & (arrived[here] < end)]] = np.nan
        late = here[(seen[here] >= begin) & (seen[here] < end)]
        seen[late] = end + forward[late]
    handset = np.full(n, np.nan)
    whole, exact = course.apps[App.SMSFORWARDER], course.apps[App.JSON]
    np.floor(arrived[whole] + course.offset[whole], out=handset[whole])
    handset[exact] = arrived[exact] + course.offset[exact]
    return seen, handset


def _reports(
    course: Course,
    rng: np.random.Generator,
    sent: Array,
    arrived: Array,
    gone: Array,
    made_up: Array,
    silent: Array,
    early: Array,
) -> tuple[Array, Array]:
    """What each report claims for a time, and when it reaches the harness."""
    claimed = arrived.copy()
    early = early[~gone[early]]
    claimed[early] = sent[early] + rng.uniform(0.1, 0.7, early.size) * (arrived[early] - sent[early])
    lost = np.flatnonzero(gone)
    by_vendor = np.empty(len(course), dtype=np.int8)
    for number, (_, rows) in enumerate(course.vendors):
        by_vendor[rows] = number
    for rows, name in ((lost, "failure"), (made_up, "made_up_after")):
        spreads: list[Spread] = [getattr(truth.receipts, name) for truth, _ in course.vendors]
        median = np.array([one.median for one in spreads])[by_vendor[rows]]
        sigma = np.array([one.sigma for one in spreads])[by_vendor[rows]]
        claimed[rows] = sent[rows] + median * np.exp(sigma * rng.standard_normal(rows.size))
    claimed[silent] = np.nan
    return claimed, claimed + _times(rng, course.report_delay)


def _can_be_asked(course: Course, rows: Array, at: Array) -> Array:
    """The rows whose phone's own inbox can be asked at a time: its app has a way, and it is not down."""
    mute = course.apps[App.JSON]
    keep = (rows < mute.start) | (rows >= mute.stop)
    for number, stretch in course.downs:
        down = (at >= stretch.begin.timestamp()) & (at < stretch.end.timestamp())
        keep &= ~(down & (course.phone[rows] == number))
    return rows[keep]


# --- as journeys read it ---------------------------------------------------------------------------------------------


def messages(course: Course, month: Month) -> pd.DataFrame:
    """The month as the table of `journeys.Evidence.messages`, with its columns and types."""
    columns = {name: course.table[name] for name in course.table.columns}
    columns |= _sent_columns(course, month) | _claim_columns(course, month) | _sighting_columns(course, month)
    columns |= _watch_columns(course, month, columns)
    texts = {name: pd.Series(one, dtype=object) for name, one in columns.items() if one.dtype == object}
    return pd.DataFrame(columns | texts, copy=False)


def evidence(course: Course, month: Month) -> Evidence:
    """The whole evidence of a month, with no other facts than its messages."""
    shift = float(month.sent[0] - course.sent[0])
    plain = course.evidence
    run = replace(plain.run, began_at=plain.run.began_at + shift, ended_at=plain.run.ended_at + shift, because="done")
    return replace(plain, run=run, messages=messages(course, month))


def _all(n: int, value: object) -> Array:
    column = np.empty(n, dtype=object)
    column[:] = value
    return column


def _sent_columns(course: Course, month: Month) -> Columns:
    n = len(course)
    accepted = pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index(["accepted"], dtype=object))
    times = {name: month.sent for name in ("planned_at", "intended_at", "written_at", "sent_at")}
    return times | {
        "answered_at": month.sent + month.wait, "lag": np.zeros(n), "wait": month.wait.astype(np.float64),
        "tries": np.ones(n), "outcome": accepted, "fee_segments": np.ones(n),
        "followed_for": course.evidence.run.ended_at - course.sent, "alive": course.alive.astype(object),
    }  # fmt: skip


def _claim_columns(course: Course, month: Month) -> Columns:
    n = len(course)
    state, reason, code, source = _all(n, "delivered"), _all(n, None), _all(n, "DELIVRD"), _all(n, "pushed")
    honest = np.ones(n, dtype=bool)
    honest[month.made_up] = False
    failed = month.lost[honest[month.lost]]
    state[failed], reason[failed] = "undelivered", Reason.CARRIER_FAULT.value
    plain, own = PLAIN_CODES[Reason.CARRIER_FAULT], CODES[Reason.CARRIER_FAULT]
    codes = np.array([own.get(one, plain) for one in Carrier], dtype=object)
    code[failed] = codes[course.carrier[failed]]
    for column in (state, reason, code, source):
        column[month.silent] = None
    return {
        "report_state": state, "report_reason": reason, "report_code": code, "report_source": source,
        "claimed_at": np.floor(month.claimed), "reported_at": month.reported,
    }  # fmt: skip


def _sighting_columns(course: Course, month: Month) -> Columns:
    n = len(course)
    seen, handset = month.seen.copy(), month.handset.copy()
    heard = ~np.isnan(seen)
    handset[~heard] = np.nan
    copies = heard.astype(np.int64)
    copies[month.copied[heard[month.copied]]] += 1
    # What its phone had, told at the horizon; what the app forwards later still goes before.
    told = month.found[~heard[month.found]]
    reconciled = np.zeros(n, dtype=bool)
    reconciled[told] = True
    copies[told] = 1
    seen[told] = month.sent[told] + course.horizon
    exact = told[told < course.apps[App.SMSFORWARDER].stop]
    handset[exact] = month.arrived[exact] + course.offset[exact]
    sighting = _all(n, "intact")
    sighting[month.altered] = "altered"
    sighting[np.isnan(seen)] = None
    stamped = np.full(n, np.nan)
    others = course.apps[App.JSON].start
    stamped[others:] = np.floor(month.sent[others:] + 0.6 * (month.arrived[others:] - month.sent[others:]))
    stamped[np.isnan(seen)] = np.nan
    searched = _all(n, None)
    searched[month.found], searched[month.not_found] = True, False
    return {
        "seen_at": seen, "handset_at": handset, "scts": stamped, "reconciled": reconciled, "copies": copies,
        "sighting": sighting, "searched": searched,
    }  # fmt: skip


def _watch_columns(course: Course, month: Month, columns: Mapping[str, Any]) -> Columns:
    """Times on our clock and what is known of each message: the rules of `journeys`, for what can happen here."""
    n, sent, seen = len(course), month.sent, columns["seen_at"]
    offset, bound = course.known_offset.copy(), course.known_bound.copy()
    _causal(course, month, columns, offset, bound)
    grain = _grain(course, columns)
    heard = ~np.isnan(seen)
    ours = np.clip(columns["handset_at"] + grain - offset, sent, np.where(heard, seen, np.inf))
    by_handset, asked = heard & ~np.isnan(ours), columns["reconciled"]
    clock = _all(n, "handset")
    clock[~by_handset] = "received"
    clock[asked & ~by_handset] = "interval"
    clock[~heard] = None
    arrived = np.where(by_handset, ours, np.where(heard & ~asked, seen, np.nan))
    found = np.zeros(n, dtype=bool)
    found[month.found] = True
    late = (arrived - sent > course.horizon) & ~found
    altered = np.zeros(n, dtype=bool)
    altered[month.altered] = True
    told = course.alive | late | (altered & heard)
    told[month.not_found] = True
    watch = _all(n, "arrived")
    miss = ~heard | late | altered
    watch[miss] = "unknown"
    watch[miss & told] = "missing"
    watch[~course.alive] = "void"
    reported = ~np.isnan(month.reported)
    because = _all(n, "settled")
    because[~reported | ~(heard & (seen - sent <= course.horizon) | found)] = "horizon"
    asked_ever = np.zeros(len(course.people), dtype=bool)
    asked_ever[course.phone[np.concatenate([month.found, month.not_found])]] = True
    bounds = np.where(by_handset, bound, np.where(heard & ~asked, 0.0, np.nan))
    return {
        "clock": clock, "clock_grain": np.where(by_handset, grain, 0.0), "arrived_at": arrived, "clock_bound": bounds,
        "watch": watch, "because": because, "tells": course.alive | asked_ever[course.phone],
        "closed_at": sent + np.where(reported, course.horizon, course.report_horizon),
    }  # fmt: skip


def _causal(course: Course, month: Month, columns: Mapping[str, Any], offset: Array, bound: Array) -> None:
    """Phones that exchange no times but stamp: their clocks from cause and effect, phone by phone, in place."""
    part, first = course.apps[App.JSON], course.phones_of[App.JSON]
    if not first.size:
        return
    stamp = columns["handset_at"][part]
    pushed = ~np.isnan(stamp)
    least = np.maximum.reduceat(np.where(pushed, stamp - columns["seen_at"][part], -np.inf), first)
    most = np.minimum.reduceat(np.where(pushed, stamp - month.sent[part], np.inf), first)
    size = np.diff(np.append(first, part.stop - part.start))
    # A clock that drifted past what cause and effect allow, or that is hardly known, tells nothing.
    told = (least <= most) & ((most - least) / 2 <= GREATEST_BOUND)
    offset[part] = np.repeat(np.where(told, (least + most) / 2, np.nan), size)
    bound[part] = np.repeat(np.where(told, (most - least) / 2, np.nan), size)


def _grain(course: Course, columns: Mapping[str, Any]) -> Array:
    """Half a second on phones whose stamps are whole seconds; what an inbox was asked for has finer ones."""
    part, first = course.apps[App.SMSFORWARDER], course.phones_of[App.SMSFORWARDER]
    grain = np.zeros(len(course))
    if first.size:
        stamped = ~np.isnan(columns["handset_at"][part])
        fine = np.add.reduceat(columns["reconciled"][part] & stamped, first, dtype=np.int64)
        many = np.maximum(np.add.reduceat(stamped, first, dtype=np.int64), 1)
        size = np.diff(np.append(first, part.stop - part.start))
        grain[part] = np.repeat(np.where(1 - fine / many > 0.95, 0.5, 0.0), size)
    return grain


def whole_weeks(later: datetime, first: datetime) -> int:
    """How many weeks lie between two beginnings. Raises ValueError if they differ in weekday or time of day."""
    apart = later.astimezone(BEIJING) - first.astimezone(BEIJING)
    if apart % timedelta(weeks=1):
        raise ValueError(f"months begin whole weeks apart, got {apart}")
    return apart // timedelta(weeks=1)
