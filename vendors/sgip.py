"""中国联通 SGIP 1.2: a direct route over two connections: we dial the gateway to submit, it dials us with the reports.

It gives no message id: the twelve bytes of our own sequence are the key, so even a lost answer leaves the id known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from harness.capabilities import Account, Credential, Document, Manifest, Mapped, Pace, Standing, Tools
from harness.domain import BEIJING, Message
from harness.link import LinkPlan
from vendors.carrier import sgip as protocol
from vendors.carrier.link import ABSENT, Desk, Outgoing, SessionLink, address, checked, outgoing, timings_of, whole
from vendors.carrier.session import start_at
from vendors.carrier.short_text import Alphabet

REASONS: Final[Mapping[str, Mapped]] = protocol.REASONS
REPORT_REASONS: Final[Mapping[str, Mapped]] = protocol.REPORT_REASONS


class Vendor:
    """One account at a gateway. `source` is the access code 接入码 (SPNumber), `corp_id` the enterprise's code of five.

    `gateway_account` and `gateway_secret`: what the gateway logs in to us with; the same as ours, if not told.
    """

    manifest = Manifest(
        id="sgip",
        name={"zh-CN": "SGIP 直连", "en": "SGIP"},
        credentials=(
            Credential("account"),
            Credential("secret", secret=True),
            Credential("gateway_account", optional=True),
            Credential("gateway_secret", secret=True, optional=True),
        ),
        documents=(Document("中国联通 SGIP 1.2", date(2026, 3, 2)),),
        absent=ABSENT,
        standing=Standing.DOCUMENTED,
        endpoint=None,
        pace=Pace(per_second=1000.0),  # agreed account by account: `per_second` in the evaluation
        by_template=False,
        options={
            "host": "",
            "port": "8801",
            "listen": "127.0.0.1:8801",  # where the gateway dials us
            "node": "",  # as the carrier writes it: 3, area code, corp_id; made from these two, if not told
            "area": "010",
            "corp_id": "",
            "source": "",
            "service_type": "",
            "window": "32",
            "answer_seconds": "30",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._words: protocol.Words | None = None
        self._desk = Desk(
            now=tools.now,
            key=protocol.sequence_text,
            key_of=protocol.sequence_bytes,
            stamp_of=self._stamped,
            reasons=REASONS,
            report_reasons=REPORT_REASONS,
            final=frozenset(("1", "4")),
        )

    def links(self) -> Sequence[LinkPlan]:
        """The link that sends, and the one by which reports come. Raises ValueError for an option that cannot be."""
        host, port = address(self._account, 8801)
        here, _, door = self._account.options["listen"].rpartition(":")
        timings, words = timings_of(self._account, protocol.TIMINGS), self._sequences()
        checked(self._client(words))
        return (
            LinkPlan(
                name="main",
                host=host,
                port=port,
                open=lambda: self._client(words),
                window=timings.window,
                on_demand=True,
            ),
            LinkPlan(
                name="reports",
                host=here or "127.0.0.1",
                port=whole(door, "listen", most=65535),
                open=lambda: self._listener(words),
                listens=True,
                sends=False,
            ),
        )

    def parts(self, message: Message) -> Sequence[Outgoing]:
        """One submit for each part of the text."""
        number = message.to.number.removeprefix("+")  # every number has its 86, or error 6
        return outgoing(message, sender=self._account.options["source"], number=number, plain=Alphabet.ASCII)

    def _client(self, words: protocol.Words) -> SessionLink:
        client = protocol.Client(
            account=self._account.secret("account"),
            secret=self._account.secret("secret"),
            numbers=words,
            corp_id=self._account.options["corp_id"],
            service_type=self._account.options["service_type"],
        )
        return SessionLink(client, timings_of(self._account, protocol.TIMINGS), self._desk)

    def _listener(self, words: protocol.Words) -> SessionLink:
        credentials = self._account.credentials
        name = "gateway_account" if "gateway_account" in credentials else "account"
        secret = "gateway_secret" if "gateway_secret" in credentials else "secret"
        secrets = {self._account.secret(name): self._account.secret(secret)}
        listener = protocol.Listener(secrets=secrets, numbers=words)
        return SessionLink(listener, protocol.LISTENER_TIMINGS, self._desk)

    def _sequences(self) -> protocol.Words:
        """One source of sequences for all connections, begun where no earlier run can have been."""
        if self._words is None:
            options = self._account.options
            node = options["node"] or str(protocol.node_id(options["area"], whole(options["corp_id"], "corp_id")))
            self._words = protocol.Words(
                node=whole(node, "node", most=0xFFFFFFFF), now=self._tools.now, start=start_at(self._tools.now())
            )
        return self._words

    def _stamped(self, key: bytes) -> datetime | None:
        """When a sequence was made: its second word is MMDDHHMMSS in Beijing's time, without a year."""
        now = self._tools.now().astimezone(BEIJING)
        digits = protocol.sequence_text(key).split(":")[1].zfill(10)
        try:
            here = datetime.strptime(f"{now.year}{digits}", "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        except ValueError:
            return None
        return here if here <= now + timedelta(days=1) else None
