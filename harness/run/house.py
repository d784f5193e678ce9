"""Puts a run together: vendors, lines, askers, inbox, engine. The four doors are handed in from the front."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from harness import __version__, registry
from harness.capabilities import Account, HoldsSession, Manifest, Tools, capabilities_of
from harness.clock import Clock
from harness.config import Evaluation, VendorAccount
from harness.content import shipped_texts
from harness.domain import Recipient, Secret
from harness.errors import Complaint, ConfigError
from harness.facts import CasePlanned, Panellist, RunBegan, VendorEntry
from harness.ledger import Entry, Ledger
from harness.run.board import Scenario
from harness.run.chores import Chores, Doubts
from harness.run.engine import LEAD, Crew, Engine
from harness.run.inbox import Inbox, People, PushDoor
from harness.run.lines import Line, Redactor
from harness.run.links import Links, Network, Sockets
from harness.run.plan import Plan, looks_of
from harness.run.questions import Asker, TlsProbing


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The doors to the outside, real or simulated."""

    clock: Clock
    transport: httpx.AsyncBaseTransport
    nonce: Callable[[], str]
    probe_tls: TlsProbing
    lead: timedelta = LEAD
    listens: bool = False  # another process may write to the ledger
    network: Network = field(default_factory=Sockets)  # for links


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The vendors of an evaluation, made and checked."""

    accounts: Mapping[str, Account]
    vendors: Mapping[str, Any]
    tools: Tools

    def make(self, account: Account, tools: Tools) -> Any:
        return type(self.vendors[account.label])(account, tools)


def open_contest(evaluation: Evaluation, *, clock: Clock, nonce: Callable[[], str]) -> Contest:
    """Make every vendor of the evaluation. Raises ConfigError with every complaint found."""
    tools = Tools(now=clock.now, nonce=nonce)
    accounts: dict[str, Account] = {}
    vendors: dict[str, Any] = {}
    complaints: list[Complaint] = []
    for label, one in evaluation.vendors.items():
        try:
            kind = registry.vendor_class(one.use, evaluation.folder)
        except ConfigError as error:
            place = evaluation.located.place(("vendors", label, "use"))
            complaints += [Complaint(place=place, problem=c.problem, way_out=c.way_out) for c in error.complaints]
            continue
        complaints += _account_complaints(evaluation, one, kind.manifest)
        accounts[label] = Account(
            label=label,
            credentials=one.credentials,
            endpoint=one.endpoint or (f"https://{label}.sandbox" if evaluation.mode == "sandbox" else None),
            endpoints=one.endpoints,
            signature=one.signature,
            options={**kind.manifest.options, **one.options},
            push_url=f"{evaluation.inbox.url}/push/{label}/{one.push_word}",
        )
        if not complaints:
            vendors[label] = kind(accounts[label], tools)
            complaints += _link_complaints(evaluation, label, vendors[label])
    if complaints:
        raise ConfigError(complaints)
    return Contest(accounts=accounts, vendors=vendors, tools=tools)


def _link_complaints(evaluation: Evaluation, label: str, vendor: Any) -> Iterator[Complaint]:
    """What an account's links cannot be opened with."""
    if isinstance(vendor, HoldsSession):
        try:
            vendor.links()
        except ValueError as error:
            way_out = "Write what the gateway's operator gave you; docs/carrier.md has an example of each protocol."
            place = evaluation.located.place(("vendors", label, "options"))
            yield Complaint(place=place, problem=str(error), way_out=way_out)


def _account_complaints(evaluation: Evaluation, one: VendorAccount, manifest: Manifest) -> Iterator[Complaint]:
    def place(*path: str) -> str:
        return evaluation.located.place(("vendors", one.label, *path))

    wanted = {credential.name: credential for credential in manifest.credentials}
    for name, credential in wanted.items():
        if name not in one.credentials and not credential.optional:
            way_out = f"Write  {name}: ${name.upper()}  under account, and set that variable."
            yield Complaint(place=place("account", name), problem="is missing", way_out=way_out)
    for kind, given, known in (
        ("account", one.credentials, wanted),
        ("options", one.options, manifest.options),
        ("endpoints", one.endpoints, manifest.endpoints),
    ):
        for name in sorted(given.keys() - known.keys()):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"{manifest.id} knows {', '.join(known) or 'none'}."
            yield Complaint(place=place(kind, name), problem=f"is no {kind} of {manifest.id}", way_out=hint)
    if evaluation.mode == "live" and not (one.endpoint or manifest.endpoint or "host" in manifest.options):
        yield Complaint(
            place=place("endpoint"),
            problem=f"is missing, and {manifest.id} gives every account a host of its own",
            way_out="Write the address you were given:  endpoint: https://sms.example.com",
        )
    if manifest.by_template and not one.templates:
        texts = ", ".join(list(shipped_texts())[:3])
        yield Complaint(
            place=place("templates"),
            problem=f"is empty, and {manifest.id} sends by template only",
            way_out=f"Name the vendor's template id for each test text ({texts}, …): see `smsbench texts`.",
        )
    if evaluation.mode == "live" and one.price is None:
        way_out = "Write the agreed price of one billed segment, so that the spend limit can hold:  price: 0.045 CNY"
        yield Complaint(place=place("price"), problem="is missing", way_out=way_out)


def load_scenarios(evaluation: Evaluation) -> dict[str, Scenario]:
    """The scenarios the evaluation names. Raises ConfigError."""
    return {name: registry.scenario(name) for name in evaluation.scenarios}


def redactor_of(evaluation: Evaluation, *, phones: bool = True) -> Redactor:
    """Knows every secret and number of the evaluation; the phones' secrets only where phones speak.

    No vendor is ever handed a phone's secret, and looking for a hundred of them in every exchange takes its time.
    """
    values: list[str | Secret | None] = []
    for vendor in evaluation.vendors.values():
        values += (*vendor.credentials.values(), Secret(vendor.push_word))
    for forwarder in evaluation.forwarders.values() if phones else ():
        values += (forwarder.secret, forwarder.password)
    return Redactor(
        secrets=[value.reveal() for value in values if isinstance(value, Secret)],
        numbers=[one.number for one in evaluation.recipients],
    )


def first_facts(evaluation: Evaluation, contest: Contest, plan: Plan, at: datetime) -> Iterator[Entry]:
    """What a run begins with: who, what, and every case."""
    entries = {}
    for label, vendor in contest.vendors.items():
        manifest: Manifest = vendor.manifest
        entries[label] = VendorEntry(
            adapter=manifest.id,
            name={**manifest.name, **evaluation.vendors[label].name},
            standing=manifest.standing,
            capabilities=tuple(sorted(capabilities_of(vendor))),
            absent={key: {"kind": why.kind, "because": why.because} for key, why in sorted(manifest.absent.items())},
            price=evaluation.vendors[label].price,
            endpoint=_endpoint(contest, label),
            push_is_signed=manifest.push_is_signed,
        )
    looks: dict[str, Any] = {}
    if evaluation.stop == "early" and (found := looks_of(plan.cases, evaluation.horizon)) is not None:
        looks = {"looks": [one.isoformat() for one in found.at], "looks_planned": dict(found.planned)}
    began = RunBegan(
        evaluation=evaluation.name,
        mode=evaluation.mode,
        seed=plan.seed,
        software=__version__,
        evaluation_digest=evaluation.digest,
        plan_digest=plan.digest,
        vendors=entries,
        panel={one.id: panellist(one) for one in evaluation.recipients},
        settings={**evaluation.settings(), **looks},
    )
    yield Entry(body=began, at=at)
    for skipped in plan.skipped:
        yield Entry(body=skipped, at=at)
    for case in plan.cases:
        yield Entry(body=CasePlanned(case=case), at=at, case_id=case.id)


def _endpoint(contest: Contest, label: str) -> str:
    """Where a vendor is reached: a base URL, or its gateway's address."""
    vendor = contest.vendors[label]
    if isinstance(vendor, HoldsSession):
        plan = next(plan for plan in vendor.links() if plan.sends)
        return f"{'tls' if plan.tls else 'tcp'}://{plan.host}:{plan.port}"
    return contest.accounts[label].endpoint or vendor.manifest.endpoint or ""


def panellist(person: Recipient) -> Panellist:
    return Panellist(
        masked=person.masked,
        carrier=person.carrier,
        kind=person.kind,
        ported=person.is_ported,
        province=person.province,
        forwarder=person.forwarder,
        spare=person.spare,
        tags=person.tags,
        since=person.since,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A run, ready to go."""

    engine: Engine
    inbox: Inbox
    links: Mapping[str, Links] = field(default_factory=dict)

    async def open(self) -> None:
        """Open the links. Raises OSError if an address that a gateway dials is taken."""
        for one in self.links.values():
            await one.start()

    async def leave(self) -> None:
        """Say goodbye on every link."""
        await asyncio.gather(*(one.leave() for one in self.links.values()))


def build(evaluation: Evaluation, contest: Contest, ledger: Ledger, surroundings: Surroundings) -> House:
    """Wire a run. Recipients come from the ledger: whoever was forgotten there gets nothing."""
    recipients = ledger.recipients()
    redactor, people = redactor_of(evaluation), people_of(evaluation, recipients, ledger)
    of_vendors = redactor_of(evaluation, phones=False)
    lines = {
        label: _line(evaluation, label, vendor, surroundings, of_vendors) for label, vendor in contest.vendors.items()
    }
    phones = Line(surroundings.transport, surroundings.clock, redactor, per_second=1000.0)
    askers = {
        label: Asker(
            vendor,
            lines[label],
            account=contest.accounts[label],
            make=contest.make,
            tools=contest.tools,
            clock=surroundings.clock,
            phones=phones,
            forwarders=evaluation.forwarders,
            recipients=recipients,
            probe_tls=surroundings.probe_tls,
        )
        for label, vendor in contest.vendors.items()
    }

    links = {
        label: Links(
            label,
            vendor,
            ledger=ledger,
            clock=surroundings.clock,
            network=surroundings.network,
            redactor=of_vendors,
            people=people,
            chance=lambda: int(surroundings.nonce()[:8], 16) / 2**32,
            per_second=_pace(evaluation, label, vendor.manifest),
        )
        for label, vendor in contest.vendors.items()
        if isinstance(vendor, HoldsSession)
    }
    doubts = Doubts()
    chores = Chores(
        evaluation=evaluation,
        ledger=ledger,
        clock=surroundings.clock,
        vendors=contest.vendors,
        lines=lines,
        phones=phones,
        people=people,
        recipients=recipients,
        redactor=redactor,
        doubts=doubts,
    )
    engine = Engine(
        evaluation=evaluation,
        ledger=ledger,
        clock=surroundings.clock,
        crew=Crew(
            vendors=contest.vendors, lines=lines, askers=askers, scenarios=load_scenarios(evaluation), links=links
        ),
        recipients=recipients,
        redactor=redactor,
        chores=chores,
        doubts=doubts,
        lead=surroundings.lead,
        listens=surroundings.listens,
    )
    inbox = Inbox(
        ledger,
        surroundings.clock,
        vendors=contest.vendors,
        forwarders=evaluation.forwarders,
        people=people,
        redactor=redactor,
        of_vendors=of_vendors,
        doors={
            label: PushDoor(word=one.push_word, networks=one.push_from) for label, one in evaluation.vendors.items()
        },
    )
    return House(engine=engine, inbox=inbox, links=links)


def people_of(evaluation: Evaluation, recipients: Mapping[str, Recipient], ledger: Ledger) -> People:
    """Whose numbers and which messages are ours, as far as the plan in the ledger says."""
    tokens: dict[str, set[str]] = {}
    for fact in ledger.facts(kinds={"case_planned"}):
        if isinstance(fact.body, CasePlanned) and (recipient := fact.body.case.recipient) is not None:
            tokens.setdefault(recipient, set()).update(draft.token for draft in fact.body.case.drafts)
    return People(
        recipients,
        signatures=frozenset(one.signature for one in evaluation.vendors.values()),
        tokens={recipient: frozenset(known) for recipient, known in tokens.items()},
    )


def _line(evaluation: Evaluation, label: str, vendor: Any, surroundings: Surroundings, redactor: Redactor) -> Line:
    pace = _pace(evaluation, label, vendor.manifest)
    return Line(surroundings.transport, surroundings.clock, redactor, per_second=pace)


def _pace(evaluation: Evaluation, label: str, manifest: Manifest) -> float:
    """Requests, or parts over a link, a second."""
    return min(evaluation.vendors[label].per_second or manifest.pace.per_second, manifest.pace.per_second)
