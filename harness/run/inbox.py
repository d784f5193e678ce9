"""Where vendors' pushes and phones' sightings reach us: the durable fact first, then the acknowledgement.

A post is journalled raw before it is read, so no reading error can lose a report; its facts and the journal go into
one commit. Forged, stale and replayed posts are refused, kept, and change nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from harness import text
from harness.capabilities import Acknowledgement, Push, PushRefused, PushRequest, ReadsPushes
from harness.clock import Clock
from harness.codec import plain_json
from harness.config import Forwarder, Network
from harness.domain import Recipient, ReportSource, Sighting, StatusReport
from harness.errors import LedgerError
from harness.facts import (
    FactBody,
    HeartbeatReceived,
    InboundReceived,
    PushArrived,
    ReportReceived,
    ReviewDecisionReceived,
    SightingReceived,
)
from harness.facts import PushRefused as PushWasRefused
from harness.ledger import Entry, Ledger
from harness.matching import tokens_in
from harness.numbering import NotMobile, parse_mobile
from harness.run.handsets import read_post
from harness.run.lines import Redactor

LARGEST_PUSH: Final = 2 * 1024 * 1024
LONGEST_BACKLOG: Final = 20_000  # entries waiting for the disk; beyond it we say 503
REPLAYS_REMEMBERED: Final = 20_000
DOORS_REMEMBERED: Final = 1_000

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class People:
    """Whose numbers are whose: how a number in a vendor's report becomes a recipient's id."""

    recipients: Mapping[str, Recipient]
    signatures: frozenset[str] = frozenset()  # of the evaluation's accounts
    tokens: Mapping[str, frozenset[str]] = field(default_factory=dict)  # recipient → tokens of the plan
    _by_number: dict[str, str] = field(default_factory=dict)
    _by_forwarder: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.recipients.values():
            self._by_number[one.number] = one.id
            if one.forwarder:
                self._by_forwarder[one.forwarder] = one.id

    def of_number(self, number: str | None) -> str | None:
        """The recipient of a number in whatever form a vendor writes it; None for a stranger's."""
        if not number:
            return None
        if found := self._by_number.get(number):
            return found
        try:
            return self._by_number.get(parse_mobile(number)[0])
        except NotMobile:
            return None

    def of_forwarder(self, forwarder: str) -> str | None:
        return self._by_forwarder.get(forwarder)

    def is_ours(self, recipient: str, text: str) -> bool:
        """Whether a message seen is one of our own: it bears a signature or a token of ours.

        Whatever else comes to a test phone is its owner's business: it is a sign of life and is not kept.
        """
        if any(f"【{signature}】" in text for signature in self.signatures):
            return True
        known = self.tokens.get(recipient, frozenset())
        return any(token in known for token in tokens_in(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushDoor:
    """What a push to one account must show, unless the vendor signs it."""

    word: str  # the secret part of the path: /push/<label>/<word>/…
    networks: tuple[Network, ...] = ()  # signed or not, it must come from one of these; empty: from anywhere

    def is_known(self, path: str) -> bool:
        """Whether a path holds the word."""
        return any(hmac.compare_digest(self.word.encode(), part.encode()) for part in path.split("/"))

    def is_from(self, remote: str | None) -> bool:
        """Whether a push comes from an address on the list."""
        if not self.networks:
            return True
        try:
            address = ipaddress.ip_address(remote or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self.networks)


class Inbox:
    """The receiver. `app` is an ASGI application; `post` is the same door without a socket."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        vendors: Mapping[str, Any],
        forwarders: Mapping[str, Forwarder],
        people: People,
        redactor: Redactor,
        of_vendors: Redactor | None = None,
        doors: Mapping[str, PushDoor] | None = None,
    ) -> None:
        """`of_vendors`: what pushes are redacted with, if not with all that `redactor` knows. `doors`: label → what its
        pushes must show; a label that is not in it takes any push that its vendor can read."""
        self._ledger, self._clock = ledger, clock
        self._vendors, self._forwarders, self._people, self._redactor = vendors, forwarders, people, redactor
        # Asked once: to ask a run-time protocol costs as much as reading a push.
        self._readers = {label: vendor for label, vendor in vendors.items() if isinstance(vendor, ReadsPushes)}
        self._of_vendors = of_vendors or redactor
        self._doors = doors or {}
        self._named: dict[str, str] = {}  # path → the door's name
        self._used: OrderedDict[str, str] = OrderedDict()  # replay key → digest of the body it came with
        self._admin = Starlette(routes=[Route("/", self._welcome), Route("/health", self._health)])

    # --- the ASGI door ----------------------------------------------------------------------------------------------

    @property
    def app(self) -> App:
        """The ASGI application. A plain function: uvicorn takes a bound method for the interface of another age."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(scope, receive, send)

        return app

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raw ASGI on the hot path, Starlette for the rest."""
        if scope["type"] != "http" or not scope["path"].startswith(("/push/", "/sightings/")):
            await self._admin(scope, receive, send)
            return
        body, whole = await _read_body(receive)
        if not whole:
            answer = Acknowledgement(status=413, body=b'{"error":"too large"}')
        else:
            answer = await self.post(
                PushRequest(
                    method=scope["method"],
                    path=scope["path"],
                    query=scope.get("query_string", b"").decode("latin-1"),
                    headers={
                        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
                    },
                    body=body,
                    received_at=self._clock.now(),
                    remote=(scope.get("client") or (None,))[0],
                )
            )
        headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
        if answer.status == 503:
            headers.append((b"retry-after", b"30"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _welcome(self, request: Request) -> Response:
        return JSONResponse({"inbox": "smsbench", "run": self._ledger.run_id})

    async def _health(self, request: Request) -> Response:
        full = self._is_full()
        return JSONResponse({"status": "full" if full else "ok"}, status_code=503 if full else 200)

    def _is_full(self) -> bool:
        return getattr(self._ledger, "backlog", 0) > LONGEST_BACKLOG

    # --- one post ---------------------------------------------------------------------------------------------------

    async def post(self, request: PushRequest) -> Acknowledgement:
        """Take a post in. What it answers with 2xx is durable."""
        if self._is_full():
            return Acknowledgement(status=503, body=b'{"error":"busy"}')
        kind, _, rest = request.path.strip("/").partition("/")
        door = self._named.get(request.path) or self._name(request.path, kind, rest)
        try:
            if kind == "push":
                bodies, answer = self._read_push(rest.split("/")[0], door, request)
            else:
                bodies, answer = self._read_sightings(rest.split("/")[0], request)
        except PushRefused as refused:
            bodies, answer = [(PushWasRefused(door=door, why=refused.why), None)], refused.acknowledgement
        # What is not ours is a sign of life only, and its text is not kept; nor is a post to a door that is not there
        # (anybody could fill the disk), or a refused one to a phone's.
        known = kind == "push" and rest.split("/")[0] in self._vendors
        whole = known or any(isinstance(body, SightingReceived) for body, _ in bodies)
        try:
            await self._ledger.append(*self._entries(door, request, bodies, whole=whole))
        except LedgerError:
            return Acknowledgement(status=503, body=b'{"error":"cannot store"}')
        return answer

    def _name(self, path: str, kind: str, rest: str) -> str:
        """A door without numbers, secrets and its secret word. Most posts come to a few doors, so it is remembered."""
        name = self._redactor.text(self._wordless(f"{kind}/{rest}")[:120]).encode("utf-8", "replace").decode()
        if len(self._named) < DOORS_REMEMBERED:
            self._named[path] = name
        return name

    def _entries(
        self, door: str, request: PushRequest, bodies: list[tuple[FactBody, str | None]], *, whole: bool
    ) -> Iterator[Entry]:
        recording = self._journal(request) if whole else None
        for body, dedupe in bodies:
            yield Entry(body=body, at=request.received_at, dedupe=dedupe, recording=recording)
        if whole:  # a post that brought nothing new is kept all the same
            yield Entry(body=PushArrived(door=door), at=request.received_at, recording=recording, spare=True)

    def _wordless(self, path: str) -> str:
        """A path without the secret word of the door it leads to."""
        ours = self._doors.get(path.strip("/").partition("/")[2].partition("/")[0])
        return path.replace(ours.word, "•••") if ours else path

    def _journal(self, request: PushRequest) -> bytes:
        """The post as it came, numbers and secrets redacted; bytes that are no text are kept as base64."""
        noted: dict[str, Any] = {
            "method": request.method,
            "path": self._wordless(request.path),
            "query": request.query,
            "headers": dict(request.headers),
        }
        redactor = self._of_vendors if request.path.startswith("/push/") else self._redactor
        try:
            noted["body"] = request.body.decode()
        except UnicodeDecodeError:
            # Masked as Latin-1, so that a number in a wrongly encoded body does not get through either.
            masked = redactor.text(request.body.decode("latin-1")).encode("latin-1", "replace")
            noted["body_base64"] = base64.b64encode(masked).decode()
        post = redactor.text(plain_json(noted))
        # Past the redactor: one digest in a hundred holds eleven digits like a number's; a masked one proves nothing.
        return f'{{"body_sha256":"{hashlib.sha256(request.body).hexdigest()}",{post[1:]}'.encode()

    # --- vendors ----------------------------------------------------------------------------------------------------

    def _read_push(
        self, label: str, door: str, request: PushRequest
    ) -> tuple[list[tuple[FactBody, str | None]], Acknowledgement]:
        vendor = self._readers.get(label)
        if vendor is None:
            raise PushRefused("no such door", Acknowledgement(status=404, body=b'{"error":"no such door"}'))
        ours = self._doors.get(label)
        try:
            if ours is not None and not ours.is_from(request.remote):
                raise PushRefused("from an address that is not on the list", _FORBIDDEN)
            push: Push = vendor.read_push(request)
            says = bool(push.reports or push.inbound or push.decisions or push.unread)
            if ours is not None and says and not (push.authenticated or ours.is_known(request.path)):
                raise PushRefused("neither signed nor by the account's secret path", _FORBIDDEN)
            if push.once:
                self._refuse_again(f"push:{label}:{push.once}", request.query.encode() + b"\n" + request.body)
            return self._push_facts(label, door, push), push.acknowledgement
        except PushRefused:
            raise
        except Exception as error:
            # The adapter stumbled: kept raw, told, and answered as not received, so that the vendor sends it again.
            raise PushRefused(
                f"the adapter could not read it: {type(error).__name__}", Acknowledgement(status=500, body=b"{}")
            ) from error

    def _push_facts(self, label: str, door: str, push: Push) -> list[tuple[FactBody, str | None]]:
        bodies: list[tuple[FactBody, str | None]] = [
            report_fact(label, report, self._people, ReportSource.PUSHED) for report in push.reports
        ]
        for reply in push.inbound:
            body = InboundReceived(
                vendor=label,
                recipient=self._people.of_number(reply.number),
                to=reply.to,
                text=self._redactor.text(reply.text),
                sent_at=reply.sent_at,
                source=ReportSource.PUSHED,
            )
            key = reply.vendor_message_id or f"{body.recipient}:{body.text}:{reply.sent_at}"
            bodies.append((body, text.whole(f"inbound:{label}:{key}")))
        for decision in push.decisions:
            key = f"decision:{label}:{decision.subject}:{decision.ticket or decision.name}:{decision.verdict}"
            bodies.append((ReviewDecisionReceived(vendor=label, decision=decision), text.whole(key)))
        if push.unread:
            bodies.append((PushWasRefused(door=door, why=f"{push.unread} items unread"), None))
        return bodies

    # --- phones -----------------------------------------------------------------------------------------------------

    def _read_sightings(
        self, forwarder_id: str, request: PushRequest
    ) -> tuple[list[tuple[FactBody, str | None]], Acknowledgement]:
        forwarder, recipient = self._forwarders.get(forwarder_id), self._people.of_forwarder(forwarder_id)
        if forwarder is None or recipient is None:
            raise PushRefused("no such door", Acknowledgement(status=404, body=b'{"error":"no such door"}'))
        seen = read_post(forwarder, recipient, request)
        if seen.replay_key:
            self._refuse_again(f"{forwarder_id}:{seen.replay_key}", request.body)
        bodies: list[tuple[FactBody, str | None]] = []
        heartbeat = seen.heartbeat
        for one in seen.sightings:
            if self._people.is_ours(recipient, one.text):
                bodies.append(sighting_fact(one, self._redactor))
            else:
                heartbeat = HeartbeatReceived(
                    forwarder=forwarder_id, asked_at=None, phone_at=one.forwarded_at, received_at=request.received_at
                )
        if heartbeat is not None:
            bodies.append((heartbeat, None))
        return bodies, Acknowledgement(body=b'{"code":200,"msg":"success"}')

    def _refuse_again(self, key: str, content: bytes) -> None:
        """A signature that does not cover the body may come again with the same body (a retry), never with another."""
        digest = hashlib.sha256(content).hexdigest()
        if self._used.setdefault(key, digest) != digest:
            raise PushRefused("replayed", _FORBIDDEN)
        while len(self._used) > REPLAYS_REMEMBERED:
            self._used.popitem(last=False)


_FORBIDDEN: Final = Acknowledgement(status=403, body=b'{"error":"refused"}')


def report_fact(
    label: str, report: StatusReport, people: People, source: ReportSource, *, not_before: Any = None
) -> tuple[ReportReceived, str]:
    """A status report as a fact, and the key that makes its repeats harmless."""
    recipient = people.of_number(report.number)
    body = ReportReceived(
        vendor=label,
        vendor_message_id=report.vendor_message_id,
        recipient=recipient,
        reference=report.reference,
        state=report.state,
        reason=report.reason,
        code=report.code,
        claimed_at=report.claimed_at,
        billed_segments=report.billed_segments,
        segment=report.segment,
        source=source,
        not_before=not_before,
    )
    # Pushed and pulled copies of one report are one report; a contradicting one (other state or code) is another.
    key = (label, report.vendor_message_id, recipient or "", report.segment, report.state, report.code)
    return body, text.whole("report:" + ":".join(map(str, key)))


def sighting_fact(sighting: Sighting, redactor: Redactor) -> tuple[SightingReceived, str]:
    """A sighting as a fact, and the key that makes its repeats harmless."""
    assert sighting.received_at is not None
    body = SightingReceived(
        forwarder=sighting.forwarder,
        recipient=sighting.recipient,
        sender=redactor.text(sighting.sender),
        text=redactor.text(sighting.text),
        event_id=sighting.event_id,
        scts=sighting.scts,
        handset_at=sighting.handset_at,
        forwarded_at=sighting.forwarded_at,
        received_at=sighting.received_at,
        reconciled=sighting.reconciled,
    )
    return body, f"sighting:{sighting.forwarder}:{sighting.event_id}"


async def _read_body(receive: Receive) -> tuple[bytes, bool]:
    """The request's body, and whether it is whole: reading stops at the cap."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", False
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LARGEST_PUSH:
            return b"", False
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks), True
