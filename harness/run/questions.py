"""How a scenario's question is put: to the vendor over its line, to the phone over its own, or to the endpoint."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

import httpx

from harness.capabilities import (
    Account,
    ChecksContent,
    FindsRecords,
    ReviewsSignatures,
    ReviewsTemplates,
    TellsBalance,
    TellsStatistics,
    Tools,
)
from harness.clock import Clock
from harness.config import Forwarder
from harness.domain import (
    Case,
    DeliveryState,
    Recipient,
    Record,
    Refused,
    ReviewDecision,
    Secret,
    Sighting,
    Subject,
    Ticket,
)
from harness.errors import Unauthorised, VendorTrouble
from harness.facts import (
    Answer,
    AskBalance,
    AskStatistics,
    BalanceTold,
    Call,
    CheckContent,
    ContentChecked,
    Decided,
    FindRecord,
    InboxSearched,
    Probe,
    Probed,
    QueryReview,
    Question,
    RecordTold,
    Replied,
    Reply,
    SaidNo,
    SearchInbox,
    StatisticsTold,
    SubmitReview,
    TicketGiven,
    Undecided,
)
from harness.flow import Flow
from harness.matching import tokens_in
from harness.run.board import Board
from harness.run.handsets import can_be_asked, search_inbox, send_reply
from harness.run.lines import Carried, Line
from harness.run.probes import probe_tls

STALE_BY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a question: an answer or trouble, the exchange, and messages found on the way."""

    answer: Answer | None
    trouble: VendorTrouble | None = None
    call: Call | None = None
    recording: bytes | None = None
    sightings: tuple[Sighting, ...] = ()


_VERSIONS: Final = {
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1": ssl.TLSVersion.TLSv1,
}

TlsProbing = Callable[[str, str], Awaitable[Mapping[str, str]]]
"""(base URL, highest TLS version offered) → what the handshake gave: handshake, version, cipher, verified …"""


class Asker:
    """Puts questions for one account."""

    def __init__(
        self,
        vendor: Any,
        line: Line,
        *,
        account: Account,
        make: Callable[[Account, Tools], Any],
        tools: Tools,
        clock: Clock,
        phones: Line,
        forwarders: Mapping[str, Forwarder],
        recipients: Mapping[str, Recipient],
        probe_tls: TlsProbing,
    ) -> None:
        self._vendor, self._line, self._account, self._make, self._tools = vendor, line, account, make, tools
        self._clock, self._phones, self._forwarders, self._recipients = clock, phones, forwarders, recipients
        self._probe_tls = probe_tls

    async def ask(self, board: Board, question: Question) -> Told:
        """Put the question and read the answer. Whatever goes wrong at the far end is trouble in the answer."""
        match question:
            case SubmitReview():
                return await self._submit_review(board.case)
            case QueryReview(subject=subject, ticket=ticket):
                return await self._query_review(subject, ticket)
            case CheckContent(text=text):
                return await self._check_content(text)
            case FindRecord():
                return await self._find_record(board.case, question)
            case AskStatistics(first=first, last=last):
                if not isinstance(vendor := self._vendor, TellsStatistics):
                    return _not_offered("tells_statistics")
                rows = await self._line.carry(lambda: vendor.statistics(first, last))
                return _told(rows, lambda found: StatisticsTold(rows=tuple(found)))
            case AskBalance():
                if not isinstance(vendor := self._vendor, TellsBalance):
                    return _not_offered("tells_balance")
                return _told(await self._line.carry(vendor.balance), lambda found: BalanceTold(balance=found))
            case Probe(what=what):
                return await self._probe(what)
            case Reply(leg=leg, text=text):
                return await self._reply(board, leg, text)
            case SearchInbox(leg=leg):
                return await self._search_inbox(board, leg)
        assert_never(question)

    # --- the vendor -------------------------------------------------------------------------------------------------

    async def _submit_review(self, case: Case) -> Told:
        draft, vendor = case.review, self._vendor
        if draft is None:
            return _not_offered("no draft in the case")
        flow: Callable[[], Flow[Ticket | Refused]]
        if draft.subject is Subject.TEMPLATE and isinstance(vendor, ReviewsTemplates):
            flow = lambda: vendor.submit_template(draft)  # noqa: E731 (narrowed just above)
        elif draft.subject is Subject.SIGNATURE and isinstance(vendor, ReviewsSignatures):
            flow = lambda: vendor.submit_signature(draft)  # noqa: E731
        else:
            return _not_offered(f"reviews_{draft.subject}s")

        def read(found: Ticket | Refused) -> Answer:
            return TicketGiven(ticket=found) if isinstance(found, Ticket) else SaidNo(refused=found)

        return _told(await self._line.carry(flow), read)

    async def _query_review(self, subject: Subject, ticket: str) -> Told:
        vendor = self._vendor
        flow: Callable[[], Flow[ReviewDecision | None]]
        if subject is Subject.TEMPLATE and isinstance(vendor, ReviewsTemplates):
            flow = lambda: vendor.query_template(ticket)  # noqa: E731
        elif subject is Subject.SIGNATURE and isinstance(vendor, ReviewsSignatures):
            flow = lambda: vendor.query_signature(ticket)  # noqa: E731
        else:
            return _not_offered(f"reviews_{subject}s")
        return _told(await self._line.carry(flow), lambda found: Decided(decision=found) if found else Undecided())

    async def _check_content(self, text: str) -> Told:
        if not isinstance(vendor := self._vendor, ChecksContent):
            return _not_offered("checks_content")
        return _told(
            await self._line.carry(lambda: vendor.check_content(text)), lambda found: ContentChecked(verdict=found)
        )

    async def _find_record(self, case: Case, question: FindRecord) -> Told:
        vendor, person = self._vendor, self._recipients.get(case.recipient or "")
        if not isinstance(vendor, FindsRecords) or person is None:
            return _not_offered("finds_records")
        carried = await self._line.carry(lambda: vendor.find_records(person.number, question.day))
        tokens = {draft.token for draft in case.drafts if question.reference in (None, draft.reference)}
        return _told(carried, lambda records: record_told(records, question, tokens))

    # --- the phone --------------------------------------------------------------------------------------------------

    async def _reply(self, board: Board, leg: int, text: str) -> Told:
        person = self._recipients.get(board.case.recipient or "")
        forwarder = self._forwarders.get(person.forwarder or "") if person else None
        sent = board.sent(leg)
        sender = sent.sightings[0].sender if sent and sent.sightings else None
        if sender is None:
            return _failed(VendorTrouble("there is no sighting to reply to", written=False))
        if not can_be_asked(forwarder):
            # Nobody but its owner can make this phone reply: `smsbench status` says so, and the inbound shows it.
            return Told(answer=Replied(by_hand=True))
        assert forwarder is not None
        carried = await self._phones.carry(lambda: send_reply(forwarder, sender, text, self._clock.now()), again=True)
        return _told(carried, lambda _: Replied(by_hand=False), empty=True)

    async def _search_inbox(self, board: Board, leg: int) -> Told:
        person = self._recipients.get(board.case.recipient or "")
        forwarder = self._forwarders.get(person.forwarder or "") if person else None
        if person is None or not can_be_asked(forwarder):
            return _failed(VendorTrouble("this phone cannot be asked", written=False))
        assert forwarder is not None
        draft = board.case.drafts[leg]
        since = board.case.due - timedelta(minutes=10)
        carried = await self._phones.carry(
            lambda: search_inbox(forwarder, draft.token, self._clock.now(), since), again=True
        )
        if carried.trouble is not None:
            return _told(carried, lambda _: InboxSearched(found=False))
        found = [one for one in carried.result or () if draft.token in tokens_in(one.text)]
        now = self._clock.now()
        sightings = tuple(
            Sighting(
                forwarder=forwarder.id,
                recipient=person.id,
                sender=one.sender,
                text=one.text,
                event_id=f"found:{draft.token}:{number}",
                scts=one.at if one.is_scts else None,
                handset_at=None if one.is_scts else one.at,
                received_at=now,
                reconciled=True,
            )
            for number, one in enumerate(found)
        )
        told = _told(carried, lambda _: InboxSearched(found=bool(found)), empty=True)
        return replace(told, sightings=sightings)

    # --- the endpoint -----------------------------------------------------------------------------------------------

    async def _probe(self, what: str) -> Told:
        match what:
            case "tls":
                return await self._probe_versions()
            case "plain_http":
                return await self._probe_plain_http()
            case "replay":
                return await self._probe_replay()
            case "stale":
                late = replace(self._tools, now=lambda: self._clock.now() - STALE_BY)
                return await self._harmless("stale", self._make(self._account, late))
            case "forged_signature":
                forged = {
                    name: Secret(_forged(value.reveal())) if isinstance(value, Secret) else value
                    for name, value in self._account.credentials.items()
                }
                account = replace(self._account, credentials=forged)
                return await self._harmless("forged_signature", self._make(account, self._tools))
        return _failed(VendorTrouble(f"there is no probe {what!r}", written=False))

    def _endpoint(self) -> str:
        return self._account.endpoint or str(self._vendor.manifest.endpoint)

    async def _probe_versions(self) -> Told:
        """The lowest TLS version the endpoint takes: `taken` says whether it takes one below 1.2."""
        seen: dict[str, str] = {}
        for version in ("TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1"):
            result = await self._probe_tls(self._endpoint(), version)
            seen[version] = result.get("handshake", "")
            if version == "TLSv1.3":
                seen |= {key: value for key, value in result.items() if key != "handshake"}
        old = {seen["TLSv1.1"], seen["TLSv1"]}
        taken = True if "done" in old else (None if old <= {"unable", "unreachable", "timed_out"} else False)
        if seen["TLSv1.3"] != "done" and seen["TLSv1.2"] != "done":
            taken = None
        return Told(answer=Probed(what="tls", taken=taken, detail=seen))

    async def _probe_plain_http(self) -> Told:
        parts = urlsplit(self._endpoint())
        plain = parts._replace(scheme="http", netloc=parts.netloc.removesuffix(":443")).geturl()
        return await self._harmless("plain_http", self._make(replace(self._account, endpoint=plain), self._tools))

    async def _probe_replay(self) -> Told:
        """The same signed request twice: the second one should be refused."""
        question = harmless_question(self._vendor, self._clock.now())
        if question is None:
            return Told(answer=Probed(what="replay", taken=None, detail={"why": "nothing harmless to ask"}))
        moment, nonce = self._clock.now(), self._tools.nonce()
        frozen = self._make(self._account, replace(self._tools, now=lambda: moment, nonce=lambda: nonce))
        question = harmless_question(frozen, moment)
        assert question is not None
        first = await self._line.carry(question, again=False)
        if first.trouble is not None:  # the first was not taken either: the second would say nothing
            return _told(first, lambda _: Probed(what="replay", taken=None))
        return self._verdict("replay", await self._line.carry(question, again=False))

    async def _harmless(self, what: str, vendor: Any) -> Told:
        question = harmless_question(vendor, self._clock.now())
        if question is None:
            return Told(answer=Probed(what=what, taken=None, detail={"why": "nothing harmless to ask"}))
        return self._verdict(what, await self._line.carry(question, again=False))

    def _verdict(self, what: str, carried: Carried[Any]) -> Told:
        """Taken, if the vendor answered as if nothing were wrong; not taken, if it said no or hung up."""
        trouble = carried.trouble
        detail = {"trouble": trouble.kind, "code": trouble.code} if trouble else {}
        taken: bool | None = trouble is None
        if trouble is not None:
            said_no = isinstance(trouble, Unauthorised) or bool(trouble.code) or trouble.kind == "unreachable"
            taken = False if said_no else None
        answer = Probed(what=what, taken=taken, detail=detail)
        return Told(answer=answer, call=carried.call, recording=carried.recording)


def harmless_question(vendor: Any, now: datetime) -> Callable[[], Flow[Any]] | None:
    """Something a vendor can be asked that changes nothing and costs nothing; None if it offers no such thing."""
    if isinstance(vendor, TellsBalance):
        return vendor.balance
    yesterday = (now - timedelta(days=1)).date()
    if isinstance(vendor, TellsStatistics):
        return lambda: vendor.statistics(yesterday, yesterday)
    if isinstance(vendor, ReviewsTemplates):
        return lambda: vendor.query_template("0")
    return None


def _forged(secret: str) -> str:
    return secret[::-1] if secret != secret[::-1] else f"x{secret}"


def record_told(records: Any, question: FindRecord, tokens: set[str]) -> RecordTold:
    """What a vendor's records say of our message: matched by its id, by our reference, or by the token in the text."""

    def is_ours(record: Record) -> bool:
        if question.vendor_message_id and record.vendor_message_id:
            return record.vendor_message_id == question.vendor_message_id
        if question.reference and record.reference:
            return record.reference == question.reference
        return record.text is not None and bool(tokens & set(tokens_in(record.text)))

    ours = next((record for record in records if is_ours(record)), None)
    if ours is None:
        return RecordTold(found=False, records=len(records))
    held = {
        "sent_at": ours.sent_at is not None,
        "text": bool(ours.text),
        "state": ours.state is not DeliveryState.UNKNOWN,
        "reported_at": ours.reported_at is not None,
    }
    return RecordTold(
        found=True,
        records=len(records),
        fields=tuple(name for name, there in held.items() if there),
        vendor_message_id=ours.vendor_message_id,
        state=ours.state,
    )


def _told(carried: Carried[Any], read: Callable[[Any], Answer], *, empty: bool = False) -> Told:
    if carried.trouble is not None:
        return Told(answer=None, trouble=carried.trouble, call=carried.call, recording=carried.recording)
    answer = read(None if empty else carried.result)
    return Told(answer=answer, call=carried.call, recording=carried.recording)


def _failed(trouble: VendorTrouble) -> Told:
    return Told(answer=None, trouble=trouble)


def _not_offered(what: str) -> Told:
    return _failed(VendorTrouble(f"the vendor has no {what}", written=False))


async def probe_simulated(transport: httpx.AsyncBaseTransport, url: str, maximum: str) -> Mapping[str, str]:
    """The sandbox's handshake: the simulated far end says which version both sides take."""
    request = httpx.Request("GET", url.replace("http://", "https://"), extensions={"tls_maximum": maximum})
    try:
        response = await transport.handle_async_request(request)
    except httpx.HTTPError as error:
        return {"handshake": "refused", "why": str(error)}
    return {"handshake": "done", "version": str(response.extensions.get("tls_version"))}


async def probe_real(url: str, maximum: str) -> Mapping[str, str]:
    """A real handshake with the endpoint, offering nothing above `maximum`. No request is sent."""
    parts = urlsplit(url)
    version = _VERSIONS[maximum]
    probe = await probe_tls(parts.hostname or "", parts.port or 443, minimum=version, maximum=version)
    seen = {"handshake": probe.handshake.value, "version": probe.version, "cipher": probe.cipher, "why": probe.why}
    if probe.verified is not None:
        seen["verified"] = "yes" if probe.verified else "no"
    if probe.certificate is not None:
        seen["not_after"] = probe.certificate.not_after.date().isoformat()
        seen["issuer"] = probe.certificate.issuer
    return {key: value for key, value in seen.items() if value is not None}
