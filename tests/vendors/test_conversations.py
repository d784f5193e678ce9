"""Every vendor talks with its counterpart through every capability it has. Both were written apart, from the card."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from harness.capabilities import Account, Capability, Push, PushRequest, Tools, capabilities_of
from harness.clock import Chance, LoopClock, VirtualLoop
from harness.content import shipped_texts
from harness.domain import (
    Accepted,
    DeliveryState,
    Message,
    Purpose,
    Reason,
    Recipient,
    RecipientKind,
    Refused,
    ReviewDraft,
    ReviewVerdict,
    Secret,
    Subject,
    Ticket,
)
from harness.errors import Unauthorised
from harness.registry import sandbox_file
from harness.run.lines import Carried, Line, Redactor
from harness.text import billed_segments, fill, signed
from tests.vendors import samples
from tests.vendors.samples import IDS, MODULES
from vendors.sandbox.door import Counterpart, filing_of, template_id
from vendors.sandbox.people import Person
from vendors.sandbox.server import WorldTransport
from vendors.sandbox.truth import WorldTruth, read_truth
from vendors.sandbox.world import Post, World

EPOCH = datetime(2026, 3, 2, 1, tzinfo=UTC)  # Monday 09:00 in Beijing
SIGNATURE = "某某科技"
MORE = (Path(__file__).parent / "more_world.yaml").read_text(encoding="utf-8")
TRUTHS = (read_truth(sandbox_file("demo.yaml"), "demo.yaml"), read_truth(MORE, "more_world.yaml"))
CALLED_OTHERWISE = {"secret_key": "access_secret"}  # in the world's accounts


def truth_with(vendor: str) -> WorldTruth:
    """A world with an account of this vendor: the demo's, the small one, or the small one's people with the account
    that `fixtures/<id>/world.yaml` describes."""
    if own := samples.load(vendor, "world"):
        text = yaml.safe_dump({**yaml.safe_load(MORE), "vendors": own}, allow_unicode=True, sort_keys=False)
        return read_truth(text, f"{vendor}/world.yaml")
    return next(one for one in TRUTHS if any(account.wire == vendor for account in one.vendors.values()))


class Stage:
    """A vendor, its counterpart in a world, and the line between them, under virtual time."""

    def __init__(self, vendor: str, *, pull: bool = False, forged: bool = False) -> None:
        truth = truth_with(vendor)
        self.label = next(label for label, one in truth.vendors.items() if one.wire == vendor)
        self.loop = VirtualLoop()
        self.clock = LoopClock(EPOCH, self.loop)
        self.world = World(truth, seed=3, epoch=EPOCH, clock=self.clock.now)
        self.templates = {}
        for number, (name, text) in enumerate(shipped_texts().items(), 1):
            self.templates[name] = template_id(self.world.counterparts[self.label], number)
            self.world.file_template(self.label, self.templates[name], text.text, text.purpose)
        if pull:
            del self.world.push_urls[self.label]
        account = self.world.accounts[self.label]
        self.vendor = MODULES[vendor].Vendor(
            Account(
                label=self.label,
                credentials={
                    one.name: Secret(value[::-1] if forged else value)
                    for one in MODULES[vendor].Vendor.manifest.credentials
                    if (
                        value := account.credentials.get(
                            one.name, account.credentials.get(CALLED_OTHERWISE.get(one.name, ""))
                        )
                    )
                },
                endpoint=f"https://{self.label}.sandbox",
                signature=SIGNATURE,
                options={**MODULES[vendor].Vendor.manifest.options, **filing_of(self.world.counterparts[self.label])},
            ),
            Tools(now=self.clock.now, nonce=Chance(1).nonces("conversation")),
        )
        self.line = Line(WorldTransport(self.world), self.clock, Redactor(), per_second=50.0)
        self.pushes: list[PushRequest] = []

    def people(self, kind: RecipientKind = RecipientKind.HANDSET) -> list[Person]:
        return [one for one in self.world.people.values() if one.kind is kind]

    def message(self, person: Person, content: str = "login_code", token: str = "482913") -> Message:
        sample = shipped_texts()[content]
        text = signed(fill(sample.text, {"code": token}), SIGNATURE)
        return Message(
            to=Recipient(id=person.id, number=person.number, carrier=person.carrier),
            purpose=sample.purpose,
            signature=SIGNATURE,
            template=self.templates[content],
            parameters={"code": token},
            text=text,
            token=token,
            reference=f"s{token}",
            segments=billed_segments(text),
            content=content,
        )

    async def ask(self, begin: Callable[[], Any]) -> Any:
        carried: Carried[Any] = await self.line.carry(begin, again=False)
        if carried.trouble is not None:
            raise carried.trouble
        return carried.result

    async def receive(self, request: Post) -> httpx.Response:
        """Take the world's post in as the inbox would."""
        if "/push/" not in request.url.path:
            return httpx.Response(200, json={})
        push = PushRequest(
            method=request.method,
            path=request.url.path,
            query=request.url.query.decode(),
            headers=dict(request.headers),
            body=request.content,
            received_at=self.clock.now(),
        )
        self.pushes.append(push)
        read = self.vendor.read_push(push)
        return httpx.Response(
            read.acknowledgement.status,
            content=read.acknowledgement.body,
            headers={"content-type": read.acknowledgement.content_type},
        )

    def play(self, scene: Callable[[Stage], Awaitable[None]]) -> None:
        async def whole() -> None:
            world = asyncio.create_task(self.world.run(self.receive))
            try:
                await scene(self)
            finally:
                world.cancel()
                await asyncio.gather(world, return_exceptions=True)

        try:
            self.loop.run_until_complete(whole())
        finally:
            self.loop.close()

    def read(self) -> Iterator[Push]:
        return (self.vendor.read_push(push) for push in self.pushes)


def needs(vendor: str, capability: Capability) -> None:
    if capability not in capabilities_of(object.__new__(MODULES[vendor].Vendor)):
        pytest.skip(f"{vendor} does not offer {capability}")


every_vendor = pytest.mark.parametrize("vendor", IDS)


@every_vendor
def test_a_message_is_accepted_and_its_report_comes_by_push(vendor: str) -> None:
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        accepted = {}
        for person in stage.people()[:12]:
            outcome = await stage.ask(lambda person=person: stage.vendor.submit(stage.message(person)))
            assert isinstance(outcome, Accepted) and outcome.vendor_message_id
            accepted[outcome.vendor_message_id] = person.number[-11:]
        await asyncio.sleep(3600)
        if Capability.READS_PUSHES not in capabilities_of(stage.vendor):  # all that can be seen of it from outside
            assert len(accepted) == len(stage.world.sendings) == 12
            return
        reports = [report for push in stage.read() for report in push.reports]
        told = {report.vendor_message_id: (report.number or "")[-11:] for report in reports}
        assert len(told) >= 9 and told.items() <= accepted.items()
        assert all(report.state is not DeliveryState.UNKNOWN and report.claimed_at for report in reports)
        assert stage.world.log.delivered and all(one.acknowledged for one in stage.world.log.delivered)

    stage.play(scene)


@every_vendor
def test_reports_can_be_pulled_and_each_is_given_once(vendor: str) -> None:
    needs(vendor, Capability.PULLS_REPORTS)
    stage = Stage(vendor, pull=True)

    async def scene(stage: Stage) -> None:
        ids = set()
        for person in stage.people()[:8]:
            outcome = await stage.ask(lambda person=person: stage.vendor.submit(stage.message(person)))
            ids.add(outcome.vendor_message_id)
        await asyncio.sleep(3600)
        first = await stage.ask(stage.vendor.pull_reports)
        second = await stage.ask(stage.vendor.pull_reports)
        assert {report.vendor_message_id for report in first} <= ids and len(first) >= 5
        assert list(second) == []

    stage.play(scene)


@every_vendor
def test_a_wrong_secret_is_the_vendors_own_error(vendor: str) -> None:
    stage = Stage(vendor, forged=True)

    async def scene(stage: Stage) -> None:
        with pytest.raises(Unauthorised) as caught:
            await stage.ask(lambda: stage.vendor.submit(stage.message(stage.people()[0])))
        assert caught.value.code

    stage.play(scene)


@every_vendor
def test_a_blocked_number_is_refused_at_once_or_in_the_report(vendor: str) -> None:
    if not samples.load(vendor, "account").get("tells_blocked", True):
        pytest.skip(f"{vendor} tells it in reports alone, and no source describes those")
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        refused = 0
        for person in stage.people(RecipientKind.BLOCKED):
            message = stage.message(person, "parcel_notice", "7KQ2MX")
            outcome = await stage.ask(lambda message=message: stage.vendor.submit(message))
            refused += isinstance(outcome, Refused) and bool(outcome.code)
        await asyncio.sleep(7200)
        reports = [report for push in stage.read() for report in push.reports]
        late = sum(report.state is not DeliveryState.DELIVERED and bool(report.code) for report in reports)
        assert refused + late >= len(stage.people(RecipientKind.BLOCKED)) // 3

    stage.play(scene)


@every_vendor
def test_the_second_code_within_a_minute_meets_the_frequency_cap(vendor: str) -> None:
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        person = stage.people()[0]
        message = stage.message(person)
        outcomes = [await stage.ask(lambda: stage.vendor.submit(message)) for _ in range(8)]
        assert isinstance(outcomes[0], Accepted)
        reasons = {one.reason for one in outcomes if isinstance(one, Refused)}
        await asyncio.sleep(7200)
        reasons |= {report.reason for push in stage.read() for report in push.reports if report.reason}
        if samples.load(vendor, "account").get("caps", True):
            assert Reason.FREQUENCY_CAP in reasons

    stage.play(scene)


@every_vendor
def test_several_messages_go_in_one_request(vendor: str) -> None:
    needs(vendor, Capability.SUBMITS_IN_BULK)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        messages = [stage.message(person, token=f"{482900 + n}") for n, person in enumerate(stage.people()[:5])]
        outcomes = await stage.ask(lambda: stage.vendor.submit_bulk(messages))
        assert [type(one) for one in outcomes] == [Accepted] * 5
        assert len(stage.world.log.calls) == 1
        assert len(stage.world.sendings) == 5

    stage.play(scene)


@every_vendor
def test_a_reply_comes_by_push_and_by_pull(vendor: str) -> None:
    if not {Capability.READS_PUSHES, Capability.PULLS_INBOUND} & capabilities_of(
        object.__new__(MODULES[vendor].Vendor)
    ):
        pytest.skip(f"{vendor} passes no replies on that we know of")
    for pull in (False, True):
        if pull and Capability.PULLS_INBOUND not in capabilities_of(object.__new__(MODULES[vendor].Vendor)):
            continue
        if not pull and Capability.READS_PUSHES not in capabilities_of(object.__new__(MODULES[vendor].Vendor)):
            continue
        stage = Stage(vendor, pull=pull)

        async def scene(stage: Stage, pull: bool = pull) -> None:
            repliers = set()
            for one in stage.people()[:4]:
                await stage.ask(lambda one=one: stage.vendor.submit(stage.message(one)))
                await asyncio.sleep(600)
                assert one.phone is not None
                for sms in one.phone.inbox:
                    if SIGNATURE in sms.text:
                        stage.world.reply(one.phone, sms.sender, "R")
                        repliers.add(one.number[-11:])
                        break
            await asyncio.sleep(3600)
            if pull:
                inbound = list(await stage.ask(stage.vendor.pull_inbound))
            else:
                inbound = [reply for push in stage.read() for reply in push.inbound]
            assert inbound and all(reply.text == "R" for reply in inbound)
            assert {reply.number[-11:] for reply in inbound} <= repliers

        stage.play(scene)


@every_vendor
def test_a_template_is_reviewed_and_decided(vendor: str) -> None:
    needs(vendor, Capability.REVIEWS_TEMPLATES)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        draft = ReviewDraft(
            subject=Subject.TEMPLATE,
            name="取件通知",
            text="您的包裹已到服务点，取件码{code}，请在今天20点前领取。",
            purpose=Purpose.NOTIFICATION,
            variables={"code": "7KQ2MX"},
            remark="取件提醒",
            signature=SIGNATURE,
        )
        ticket = await stage.ask(lambda: stage.vendor.submit_template(draft))
        assert isinstance(ticket, Ticket) and ticket.id
        assert await stage.ask(lambda: stage.vendor.query_template(ticket.id)) is None
        await asyncio.sleep(timedelta(days=4).total_seconds())
        decision = await stage.ask(lambda: stage.vendor.query_template(ticket.id))
        assert decision is not None and decision.verdict in ReviewVerdict
        pushed = [one for push in stage.read() for one in push.decisions]
        assert all(one.verdict is decision.verdict for one in pushed)

    stage.play(scene)


@every_vendor
def test_a_signature_is_reviewed_and_decided(vendor: str) -> None:
    needs(vendor, Capability.REVIEWS_SIGNATURES)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        draft = ReviewDraft(subject=Subject.SIGNATURE, name="新签名", text="新签名", purpose=Purpose.NOTIFICATION)
        ticket = await stage.ask(lambda: stage.vendor.submit_signature(draft))
        assert isinstance(ticket, Ticket)
        assert await stage.ask(lambda: stage.vendor.query_signature(ticket.id)) is None
        await asyncio.sleep(timedelta(days=10).total_seconds())
        assert await stage.ask(lambda: stage.vendor.query_signature(ticket.id)) is not None

    stage.play(scene)


@every_vendor
def test_the_vendors_records_hold_what_was_sent(vendor: str) -> None:
    needs(vendor, Capability.FINDS_RECORDS)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        person = stage.people()[0]
        outcome = await stage.ask(lambda: stage.vendor.submit(stage.message(person)))
        await asyncio.sleep(3600)
        records = await stage.ask(lambda: stage.vendor.find_records(person.number, date(2026, 3, 2)))
        assert len(records) <= 1
        for record in records:
            told = record.vendor_message_id == outcome.vendor_message_id or record.reference == "s482913"
            assert told or "482913" in (record.text or "")
        await asyncio.sleep(120)  # some repeat an answer that is asked for again within a minute
        assert not await stage.ask(lambda: stage.vendor.find_records(person.number, date(2026, 3, 1)))

    stage.play(scene)


@every_vendor
def test_the_vendors_own_statistics_count_what_was_sent(vendor: str) -> None:
    needs(vendor, Capability.TELLS_STATISTICS)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        for person in stage.people()[:6]:
            await stage.ask(lambda person=person: stage.vendor.submit(stage.message(person)))
        await asyncio.sleep(timedelta(days=1, hours=2).total_seconds())
        rows = await stage.ask(lambda: stage.vendor.statistics(date(2026, 3, 2), date(2026, 3, 2)))
        whole = [row for row in rows if row.carrier is None] or rows
        counted = [row.submitted if row.submitted is not None else row.billed_segments for row in whole]
        assert sum(one or 0 for one in counted) in (5, 6)

    stage.play(scene)


@every_vendor
def test_the_balance_is_told(vendor: str) -> None:
    needs(vendor, Capability.TELLS_BALANCE)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        balance = await stage.ask(stage.vendor.balance)
        assert balance.money or balance.messages

    stage.play(scene)


@every_vendor
def test_the_word_check_stops_a_sensitive_word_only(vendor: str) -> None:
    needs(vendor, Capability.CHECKS_CONTENT)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        bad = await stage.ask(lambda: stage.vendor.check_content("资金周转，申请即秒批到账"))
        good = await stage.ask(lambda: stage.vendor.check_content("您的包裹已到服务点"))
        assert bad.blocked and bad.words and not good.blocked

    stage.play(scene)


@every_vendor
def test_a_number_is_put_on_the_vendors_list_and_taken_off_again(vendor: str) -> None:
    needs(vendor, Capability.EDITS_BLACKLIST)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        number = stage.people()[0].number
        assert await stage.ask(lambda: stage.vendor.block(number)) is None
        assert await stage.ask(lambda: stage.vendor.unblock(number)) is None

    stage.play(scene)


@every_vendor
def test_the_vendors_list_can_be_asked_about_a_number(vendor: str) -> None:
    needs(vendor, Capability.CHECKS_BLACKLIST)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        number = stage.people()[0].number
        assert await stage.ask(lambda: stage.vendor.is_blocked(number)) is False
        if Capability.EDITS_BLACKLIST in capabilities_of(stage.vendor):
            await stage.ask(lambda: stage.vendor.block(number))
            assert await stage.ask(lambda: stage.vendor.is_blocked(number)) is True
            outcome = await stage.ask(lambda: stage.vendor.submit(stage.message(stage.people()[0])))
            await asyncio.sleep(3600)
            states = {report.state for push in stage.read() for report in push.reports}
            assert isinstance(outcome, Refused) or (states and DeliveryState.DELIVERED not in states)
            await stage.ask(lambda: stage.vendor.unblock(number))
            assert await stage.ask(lambda: stage.vendor.is_blocked(number)) is False

    stage.play(scene)


@every_vendor
def test_the_price_of_a_segment_is_told(vendor: str) -> None:
    needs(vendor, Capability.TELLS_PRICES)
    stage = Stage(vendor)

    async def scene(stage: Stage) -> None:
        price = await stage.ask(stage.vendor.prices)
        assert price.amount > 0 and price.currency

    stage.play(scene)


def test_every_capability_has_a_conversation() -> None:
    """A capability that some vendor claims and no test above talks through would show here."""
    talked = {
        Capability.SUBMITS,
        Capability.SUBMITS_IN_BULK,
        Capability.READS_PUSHES,
        Capability.PULLS_REPORTS,
        Capability.PULLS_INBOUND,
        Capability.REVIEWS_SIGNATURES,
        Capability.REVIEWS_TEMPLATES,
        Capability.FINDS_RECORDS,
        Capability.TELLS_STATISTICS,
        Capability.TELLS_BALANCE,
        Capability.TELLS_PRICES,
        Capability.CHECKS_CONTENT,
        Capability.CHECKS_BLACKLIST,
        Capability.EDITS_BLACKLIST,
    }
    for vendor in IDS:
        assert capabilities_of(object.__new__(MODULES[vendor].Vendor)) <= talked


def test_every_vendor_has_a_counterpart() -> None:
    for vendor in IDS:
        module = __import__(f"vendors.sandbox.{vendor}", fromlist=["Counterpart"])
        kind: type[Counterpart] = module.Counterpart
        assert callable(kind)
