"""The sandbox's world: people, phones and vendors with a known truth. It outlives every crash of the harness.

It keeps an agenda of absolute due times instead of loop timers, so it can be played on one loop after another: what
came due while nobody listened is lost or tried again, as that vendor or app would.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import importlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import count
from random import Random
from typing import Any, Final, Protocol

import httpx

from harness.domain import Purpose
from harness.text import new_token
from vendors.sandbox.account import Account, Refusal
from vendors.sandbox.door import (
    Claim,
    Counterpart,
    Door,
    FiledTemplate,
    PushOut,
    Reply,
    Review,
    Submission,
    pushes_of,
)
from vendors.sandbox.fate import LongRun, Sending, claim_of, long_run
from vendors.sandbox.people import SERVICE, forwarder_rows, panel_rows, people_of
from vendors.sandbox.phones import RETRY, Phone, Received
from vendors.sandbox.truth import App, FaultTruth, Mode, WorldTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A POST on its way to the harness's inbox. Not an httpx.Request: a week has thousands, and those are dear."""

    url: httpx.URL
    headers: Mapping[str, str]  # names in lower case
    content: bytes
    method: str = "POST"


class Heard(Protocol):
    """What the inbox said: an httpx.Response, or as much of one."""

    @property
    def status_code(self) -> int: ...

    @property
    def content(self) -> bytes: ...


Deliver = Callable[[Post], Awaitable[Heard]]
"""Carries a request of the world's to the harness's inbox."""

INBOX: Final = "http://inbox.sandbox"
PATIENCE_SECONDS: Final = 30.0  # a push or post without an answer counts as failed after this

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Fault(StrEnum):
    """What goes wrong with one request on a vendor's endpoint."""

    REFUSED = "refused"  # no connection
    ERROR = "error"  # HTTP 500, nothing taken
    SILENT = "silent"  # read and dropped
    SILENT_TAKEN = "silent_taken"  # read, carried out, and no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that really reached a vendor."""

    label: str
    at: datetime
    method: str
    path: str
    fault: Fault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One try to hand something to the harness's inbox. Signs of life are not logged."""

    url: str
    kind: str  # reports, inbound, reviews, sightings
    at: datetime
    tries: int  # this one included
    acknowledged: bool
    about: tuple[str, ...]  # keys of sendings, ids of replies or reviews, or the text a phone saw


@dataclass(slots=True, kw_only=True)
class WorldLog:
    """What really happened: the judge of at-most-once and of calibration."""

    calls: list[Call] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    lost: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # kind, about: given up after the last try


@dataclass(slots=True, kw_only=True)
class _Delivery:
    """Something on its way to the inbox, with its retry rule."""

    url: str
    kind: str
    body: bytes
    headers: Callable[[datetime], Mapping[str, str]]
    acknowledged: Callable[[int, bytes], bool]
    retry: Sequence[timedelta]
    method: str = "POST"
    label: str = ""
    load: Any = None  # goes by the link of that account's gateway
    about: tuple[str, ...] = ()
    done: Callable[[datetime], None] | None = None
    tries: int = 0
    tried_at: datetime | None = None


class World:
    """People, phones, vendors. `clock` is set by whoever plays it; `run` plays it until cancelled."""

    def __init__(
        self,
        truth: WorldTruth,
        *,
        seed: int,
        epoch: datetime,
        clock: Callable[[], datetime] | None = None,
        counterparts: Mapping[str, Callable[[Door], Counterpart]] | None = None,
    ) -> None:
        """`counterparts` by adapter id; what is not in it is imported by name from this package."""
        self.truth, self.seed, self.epoch = truth, seed, epoch
        self.clock: Callable[[], datetime] = clock or (lambda: epoch)
        self.inbox_url = INBOX
        self.log = WorldLog()
        self.people, self.phones = people_of(truth.panel, epoch, self.chance)
        self.accounts: dict[str, Account] = {}
        self.counterparts: dict[str, Counterpart] = {}
        for label, vendor in truth.vendors.items():
            account = Account(
                vendor, words=truth.words, people=self.people, epoch=epoch, now=self.now, chance=self.chance
            )
            account.on_sent = self._on_sent
            account.on_review = partial(self._on_review, label)
            account.on_push = partial(self._on_push, label)
            self.accounts[label] = account
            self.counterparts[label] = _counterpart(vendor.wire, counterparts or {})(account)
        self.gateways: dict[str, Any] = {
            label: counterpart.gateway(self, label)
            for label, counterpart in self.counterparts.items()
            if hasattr(counterpart, "gateway")
        }
        self.push_urls: dict[str, str] = {
            label: f"{INBOX}{self.push_path(label)}"
            for label, vendor in truth.vendors.items()
            if vendor.mode is Mode.PUSH
        }
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._serial = count()
        self._sms_ids = count(1)
        self._calls: Counter[str] = Counter()
        self._outboxes: dict[str, list[Sending]] = {}
        self._forwarded: Counter[tuple[str, str]] = Counter()
        self._urls: dict[str, httpx.URL] = {}
        self._in_flight: dict[int, _Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliver: Deliver | None = None
        self._broken: asyncio.Future[None] | None = None  # while it is played; done only by an act that raised
        self._is_idle = False  # played, and no act is just now
        self._alarm: asyncio.TimerHandle | None = None
        self._resumed_at = epoch
        self._began = False

    # What others ask --------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """True time, aware, UTC."""
        return self.clock()

    def chance(self, *name: object) -> Random:
        """A named stream of chance: what one stream draws never moves another."""
        digest = hashlib.sha256("\x1f".join(map(str, (self.seed, *name))).encode()).digest()
        return Random(int.from_bytes(digest[:16], "big"))

    @property
    def sendings(self) -> list[Sending]:
        """Every message a vendor took, vendor after vendor, each in time order."""
        return [sending for account in self.accounts.values() for sending in account.sendings]

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for account in self.accounts.values() for refusal in account.refusals]

    def open_inbox(self, url: str) -> None:
        """Tell the world where the inbox is: phones post to `<url>/sightings/<forwarder>`, vendors in push mode to
        `<url><push path>/<kind>`, kind being reports, inbound or reviews."""
        self.inbox_url = url.rstrip("/")
        self.push_urls = {label: f"{self.inbox_url}{self.push_path(label)}" for label in self.push_urls}

    def push_path(self, label: str) -> str:
        """Where an account's pushes go, as somebody would write it into the vendor's console."""
        return f"/push/{label}/{self.push_secret(label)}"

    def push_secret(self, label: str) -> str:
        """A made-up secret for an account's push path; the same in every world with these credentials."""
        words = "\x1f".join((label, *self.accounts[label].credentials.values()))
        return hashlib.sha256(f"push\x1f{words}".encode()).hexdigest()[:32]

    def opt_in(self, label: str, number: str) -> None:
        """The account's owner takes a number off its opt-out list, in the vendor's console."""
        self.accounts[label].opt_in(number)

    def sighting_url(self, forwarder: str) -> str:
        return f"{self.inbox_url}/sightings/{forwarder}"

    def file_template(self, label: str, template: str, text: str, purpose: Purpose, *, approved: bool = True) -> None:
        """File a template with an account, as if it had been reviewed before the world began."""
        self.accounts[label].file(FiledTemplate(id=template, text=text, purpose=purpose, approved=approved))

    def remember(self, label: str, submission: Submission, at: datetime) -> Sending:
        """Give an account a message of the past, for questions about old records."""
        return self.accounts[label].remember(submission, at)

    def control_sms(self, number: str, text: str, sender: str | None = None) -> None:
        """Let a phone receive an SMS that no vendor sent."""
        person = self.people[number]
        if person.phone:
            self._arrives(person.phone, sender or SERVICE[person.carrier], text, self.now(), is_control=True)

    def next_call(self, label: str) -> tuple[Fault | None, float]:
        """What goes wrong with this account's next request, and how many seconds its answer takes."""
        truth, nth = self.accounts[label].truth, self._calls[label]
        self._calls[label] += 1
        chance = self.chance("call", label, nth)
        return _fault(truth.faults, chance), truth.acknowledgement.draw(chance)

    def answer(self, label: str, request: httpx.Request, fault: Fault | None = None) -> httpx.Response:
        """The vendor's answer to a request whose body is read; with a silent fault, what it would have been."""
        call = Call(label=label, at=self.now(), method=request.method, path=request.url.path, fault=fault)
        self.log.calls.append(call)
        if fault in (Fault.ERROR, Fault.SILENT):
            return httpx.Response(500, text="Internal Server Error")
        self.accounts[label].settle()
        return self.counterparts[label].answer(request)

    def answer_phone(self, phone: str, request: httpx.Request) -> httpx.Response | None:
        """A phone's answer on its pull API; None: the phone is down, there is no connection."""
        at, target = self.now(), self.phones[phone]
        if target.down_at(at):
            return None
        answered = target.answer(request, at)
        for to, text in answered.sent:
            self.reply(target, to, text)
        if answered.exported:
            since, until = answered.exported
            for number, sms in enumerate(each for each in list(target.inbox) if since <= each.scts <= until):
                self._post(target, sms, at + timedelta(seconds=1 + number), event=2 + next(self._sms_ids))
        return answered.response

    def reply(self, phone: Phone, to: str, text: str) -> None:
        """A phone sends an SMS to a sender code; it reaches the vendor whose code it is, the latest to write first."""
        at = self.now()
        phone.outbox.append((at, to, text))
        owners = [account for account in self.accounts.values() if account.extension_of(to) is not None]
        if not owners:
            return
        account = max(owners, key=lambda each: each.last_sent_to(phone.number) or LONG_AGO)
        if heard := account.hears(phone.number, to, text, at):
            reply, due = heard
            self._schedule(due, lambda when: self._reply_due(account, reply, when))

    # What an evaluation must be told ----------------------------------------------------------------------------

    def panel_rows(self) -> list[dict[str, str]]:
        """One row per recipient, as text: the columns of recipients.csv."""
        return panel_rows(self.truth.panel, self.people.values())

    def forwarder_rows(self, phones_url: str | None = None) -> list[dict[str, str]]:
        """One row per forwarder, as text: see `people.forwarder_rows`."""
        return forwarder_rows(self.people.values(), phones_url)

    def truths(self, label: str, *, begin_hour: int = 9, end_hour: int = 20) -> LongRun:
        """A vendor's long-run truth over the Beijing hours [begin, end), outages aside."""
        ported = self.truth.panel.ported
        truth = self.accounts[label].truth
        return long_run(truth, ported_share=ported, begin_hour=begin_hour, end_hour=end_hour)

    # Playing the agenda -----------------------------------------------------------------------------------------

    async def run(self, deliver: Deliver) -> None:
        """Play what is due until cancelled. May be called again, on another loop, after the harness died."""
        self._deliver, self._tasks = deliver, set()
        self._resumed_at = self.now()
        for gateway in self.gateways.values():
            gateway.begin()
        self._begin()
        broken, self._in_flight = list(self._in_flight.values()), {}
        for delivery in broken:
            self._failed(delivery, delivery.tried_at or self._resumed_at)
        self._broken = asyncio.get_running_loop().create_future()
        try:
            self._play_due()
            await self._broken
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            raise
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._deliver = self._broken = self._alarm = None
            self._is_idle = False

    def _begin(self) -> None:
        if self._began:
            return
        self._began = True
        if self.truth.panel.heartbeat_minutes:
            self._schedule(self.epoch + self._beat, self._heartbeats)
        if self.truth.panel.controls_per_day:
            for phone in self.phones.values():
                self._next_control(phone, 0, self.epoch)

    def _play_due(self) -> None:
        """Play what is due and set an alarm for what comes next: a week has too many instants for a task to wake at."""
        now, broken = self.now(), self._broken
        assert broken is not None
        self._is_idle = False
        try:
            while self._agenda and self._agenda[0][0] <= now:
                due, _, act = heapq.heappop(self._agenda)
                act(due)
        except Exception as error:
            if not broken.done():
                broken.set_exception(error)
            return
        self._is_idle = True
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._agenda:
            wait = (self._agenda[0][0] - self.now()).total_seconds()
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, wait), self._play_due)

    def _schedule(self, due: datetime, act: Callable[[datetime], None]) -> None:
        is_next = not self._agenda or due < self._agenda[0][0]
        heapq.heappush(self._agenda, (due, next(self._serial), act))
        if is_next and self._is_idle:  # while acts are played the alarm waits until they are done
            self._set_alarm()

    # Vendors ----------------------------------------------------------------------------------------------------

    def _on_sent(self, sending: Sending) -> None:
        person = self.people.get(sending.number)
        if person and person.phone and sending.arrived_at is not None:
            self._schedule(sending.arrived_at, lambda due: self._sending_arrives(person.phone, sending, due))
            for copy in sending.copies:
                self._schedule(copy, lambda due: self._sending_arrives(person.phone, sending, due))
        if sending.report_at is None:
            return
        if sending.label in self.push_urls:
            self._schedule(sending.report_at, lambda due: self._report_due(sending, due))
        else:
            self.accounts[sending.label].enqueue_report(sending)

    def _sending_arrives(self, phone: Phone | None, sending: Sending, due: datetime) -> None:
        if phone:
            scts = sending.scts if due == sending.arrived_at else due
            self._arrives(phone, sending.sender, sending.seen_text, due, scts=scts)

    def _report_due(self, sending: Sending, due: datetime) -> None:
        """Reports due at one instant go out together, as many in a push as the vendor puts there."""
        outbox = self._outboxes.setdefault(sending.label, [])
        if not outbox:
            self._schedule(due, lambda when: self._flush(sending.label, when))
        outbox.append(sending)

    def _flush(self, label: str, due: datetime) -> None:
        counterpart, account = self.counterparts[label], self.accounts[label]
        outbox = self._outboxes.pop(label, [])
        for begin in range(0, len(outbox), counterpart.push_batch):
            batch = outbox[begin : begin + counterpart.push_batch]
            claims: list[Claim] = [claim_of(sending) for sending in batch]
            pushes = pushes_of(counterpart.push_reports(claims)) if label in self.push_urls else None
            if pushes is None:
                for sending in batch:
                    account.enqueue_report(sending)
                continue
            for push in pushes:
                held = [sending for sending in batch if not push.keys or sending.key in push.keys]
                about = tuple(f"{sending.key} {sending.number}" for sending in held)
                self._push(label, "reports", push, about, due, partial(_hand_over, held))

    def _reply_due(self, account: Account, reply: Reply, due: datetime) -> None:
        pushed = self.counterparts[account.label].push_reply(reply) if account.label in self.push_urls else None
        if pushed is None:
            account.enqueue_reply(reply, due)
        for push in pushes_of(pushed) or ():
            self._push(account.label, "inbound", push, (str(reply.id),), due)

    def _on_push(self, label: str, push: PushOut, kind: str, after: timedelta) -> None:
        if label in self.push_urls:
            self._schedule(self.now() + after, lambda due: self._push(label, kind, push, (), due))

    def _on_review(self, label: str, review: Review) -> None:
        if review.decided_at is not None:
            self._schedule(review.decided_at, lambda due: self._review_due(label, review, due))

    def _review_due(self, label: str, review: Review, due: datetime) -> None:
        pushed = self.counterparts[label].push_decision(review) if label in self.push_urls else None
        for push in pushes_of(pushed) or ():
            self._push(label, "reviews", push, (f"{review.subject} {review.number}",), due)

    def _push(
        self,
        label: str,
        kind: str,
        push: PushOut,
        about: tuple[str, ...],
        due: datetime,
        done: Callable[[datetime], None] | None = None,
    ) -> None:
        counterpart, headers = self.counterparts[label], {**push.headers, "content-type": push.content_type}
        url = push.url or f"{self.push_urls[label]}/{kind}"
        delivery = _Delivery(
            url=f"{url}?{push.query}" if push.query else url,
            kind=kind,
            body=push.body,
            headers=lambda at: headers,
            acknowledged=counterpart.acknowledged,
            retry=counterpart.push_retry if push.retry is None else push.retry,
            method=push.method,
            label=label,
            load=push.load,
            about=about,
            done=done,
        )
        self._try(delivery, due)

    # Phones -----------------------------------------------------------------------------------------------------

    def _arrives(
        self,
        phone: Phone,
        sender: str,
        text: str,
        at: datetime,
        *,
        scts: datetime | None = None,
        is_control: bool = False,
    ) -> None:
        """An SMS reaches a phone; its app forwards it, late, twice or never."""
        panel = self.truth.panel
        sms = Received(id=next(self._sms_ids), sender=sender, text=text, at=at, scts=scts or at, is_control=is_control)
        noticed = phone.receive(sms)
        nth = self._forwarded[phone.id, text]
        self._forwarded[phone.id, text] += 1
        chance = self.chance("forward", phone.id, text, nth)
        missed, standby, again = chance.random(), chance.random(), chance.random()
        delay = panel.forward_delay.draw(chance)
        if standby < panel.standby:
            delay += panel.standby_delay.draw(chance)
        if missed < panel.app_miss or not noticed or phone.down_at(at):
            return
        due = at + timedelta(seconds=delay)
        if down := phone.down_at(due):
            due = down.end + timedelta(seconds=delay)
        self._schedule(due, lambda when: self._post(phone, sms, when))
        if phone.app is App.SMSGATE and again < panel.app_repeat:
            # One SMS, two webhooks five seconds apart (handsets 4.2, duplicate trap).
            self._schedule(due + timedelta(seconds=5), lambda when: self._post(phone, sms, when, event=1))

    def _post(self, phone: Phone, sms: Received, due: datetime, event: int = 0) -> None:
        body = phone.post(sms, due, event)
        delivery = _Delivery(
            url=self.sighting_url(phone.id),
            kind="sightings",
            body=body,
            headers=lambda at: phone.headers(body, at),
            acknowledged=_is_success,
            retry=RETRY[phone.app],
            about=(sms.text,),
        )
        self._try(delivery, due)

    @property
    def _beat(self) -> timedelta:
        return timedelta(minutes=self.truth.panel.heartbeat_minutes)

    def _heartbeats(self, due: datetime) -> None:
        """All phones that give signs of life do so at one instant; what is missed is not tried again."""
        scheduled = self.truth.panel.smsforwarder_heartbeats
        if due >= self._resumed_at:
            for phone in self.phones.values():
                if (scheduled or phone.app is not App.SMSFORWARDER) and not phone.down_at(due):
                    self._heartbeat(phone, due)
        missed = max(0, (self._resumed_at - due) // self._beat)
        self._schedule(due + self._beat * (1 + missed), self._heartbeats)

    def _heartbeat(self, phone: Phone, due: datetime) -> None:
        body = phone.heartbeat(due)
        delivery = _Delivery(
            url=self.sighting_url(phone.id),
            kind="heartbeat",
            body=body,
            headers=lambda at: phone.headers(body, at),
            acknowledged=_is_success,
            retry=(),
        )
        self._try(delivery, due)

    def _next_control(self, phone: Phone, nth: int, after: datetime) -> None:
        chance = self.chance("control", phone.id, nth)
        due = after + timedelta(days=chance.expovariate(self.truth.panel.controls_per_day))
        text = f"尊敬的用户，您的本月账单已出，查询码{new_token(chance, digits=False)}。"

        def comes(when: datetime) -> None:
            if not phone.down_at(when):
                self._arrives(phone, SERVICE[phone.carrier], text, when, is_control=True)
            self._next_control(phone, nth + 1, when)

        self._schedule(due, comes)

    # Deliveries -------------------------------------------------------------------------------------------------

    def _try(self, delivery: _Delivery, due: datetime) -> None:
        """Try now; what was due before the harness was back had nobody to take it."""
        delivery.tries += 1
        if self._deliver is None or due < self._resumed_at:
            self._failed(delivery, due)
            return
        delivery.tried_at = self.now()
        number = next(self._serial)
        self._in_flight[number] = delivery
        task = asyncio.get_running_loop().create_task(self._attempt(number, delivery, self._deliver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, number: int, delivery: _Delivery, deliver: Deliver) -> None:
        at = delivery.tried_at or self.now()
        headers = {name.lower(): value for name, value in delivery.headers(at).items()}
        post = Post(url=self._url(delivery.url), headers=headers, content=delivery.body, method=delivery.method)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if delivery.load is not None:
                    took = await self.gateways[delivery.label].hand_over(delivery.load)
                else:
                    heard = await deliver(post)
                    took = delivery.acknowledged(heard.status_code, heard.content)
        except Exception:  # whatever breaks on the harness's side, the world goes on
            took = False
        self._in_flight.pop(number, None)
        if not took:
            self._failed(delivery, self.now())
            return
        self._note(delivery, at, acknowledged=True)
        if delivery.done:
            delivery.done(self.now())

    def _url(self, text: str) -> httpx.URL:
        """Parsed once: a week has some ten thousand posts to a hundred addresses."""
        if "?" in text:
            return httpx.URL(text)
        if text not in self._urls:
            self._urls[text] = httpx.URL(text)
        return self._urls[text]

    def _failed(self, delivery: _Delivery, at: datetime) -> None:
        self._note(delivery, at, acknowledged=False)
        if delivery.tries <= len(delivery.retry):
            self._schedule(at + delivery.retry[delivery.tries - 1], lambda due: self._try(delivery, due))
        elif delivery.kind != "heartbeat":
            self.log.lost.append((delivery.kind, delivery.about))

    def _note(self, delivery: _Delivery, at: datetime, *, acknowledged: bool) -> None:
        if delivery.kind == "heartbeat":
            return
        self.log.delivered.append(
            Delivered(
                url=delivery.url,
                kind=delivery.kind,
                at=at,
                tries=delivery.tries,
                acknowledged=acknowledged,
                about=delivery.about,
            )
        )


def _fault(faults: FaultTruth, chance: Random) -> Fault | None:
    luck, taken = chance.random(), chance.random()
    for share, fault in ((faults.refused, Fault.REFUSED), (faults.error, Fault.ERROR)):
        if luck < share:
            return fault
        luck -= share
    if luck < faults.no_answer:
        return Fault.SILENT_TAKEN if taken < faults.taken else Fault.SILENT
    return None


def _hand_over(batch: Sequence[Sending], at: datetime) -> None:
    for sending in batch:
        sending.handed_over_at = sending.handed_over_at or at


def _is_success(status: int, body: bytes) -> bool:
    return 200 <= status < 300


def _counterpart(wire: str, given: Mapping[str, Callable[[Door], Counterpart]]) -> Callable[[Door], Counterpart]:
    if wire in given:
        return given[wire]
    found: Callable[[Door], Counterpart] = importlib.import_module(f"vendors.sandbox.{wire}").Counterpart
    return found
