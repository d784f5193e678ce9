"""中国电信 SMGP 3.0: a direct route over a link that stays open.

One account, one link: submits go out, status reports and replies come in. Sends whole texts, one submit a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from harness.capabilities import Account, Credential, Document, Manifest, Mapped, Pace, Standing, Tools
from harness.domain import Message
from harness.link import LinkPlan
from vendors.carrier import smgp as protocol
from vendors.carrier.link import ABSENT, Desk, Outgoing, SessionLink, address, checked, outgoing, timings_of
from vendors.carrier.session import start_at
from vendors.carrier.short_text import Alphabet

REASONS: Final[Mapping[str, Mapped]] = protocol.REASONS
REPORT_REASONS: Final[Mapping[str, Mapped]] = protocol.REPORT_REASONS


class Vendor:
    """One account at a gateway. `source` is the access code 接入码 with its extension; `msg_src` the SP's own code."""

    manifest = Manifest(
        id="smgp",
        name={"zh-CN": "SMGP 直连", "en": "SMGP"},
        credentials=(Credential("account"), Credential("secret", secret=True)),
        documents=(Document("中国电信 SMGP 3.0.3", date(2026, 3, 2)),),
        absent=ABSENT,
        standing=Standing.DOCUMENTED,
        endpoint=None,
        pace=Pace(per_second=1000.0),  # agreed account by account: `per_second` in the evaluation
        by_template=False,
        options={
            "host": "",
            "port": "8890",
            "source": "",
            "service_id": "",
            "msg_src": "",
            "window": "16",
            "answer_seconds": "60",
            "keep_alive_seconds": "180",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._numbers = protocol.numbers(start_at(tools.now()))
        self._desk = Desk(
            now=tools.now,
            key=bytes.hex,
            reasons=REASONS,
            report_reasons=REPORT_REASONS,
            final=frozenset(("20", "21", "22")),
            reply_id=lambda values: values.msg_id,
        )

    def links(self) -> Sequence[LinkPlan]:
        """The one link. Raises ValueError for an option that cannot be."""
        host, port = address(self._account, 8890)
        timings = timings_of(self._account, protocol.TIMINGS)

        def new() -> SessionLink:
            client = protocol.Client(
                account=self._account.secret("account"),
                secret=self._account.secret("secret"),
                now=self._tools.now,
                numbers=self._numbers,
                service_id=self._account.options["service_id"],
                msg_src=self._account.options["msg_src"],
            )
            return SessionLink(client, timings, self._desk)

        checked(new())
        return (LinkPlan(name="main", host=host, port=port, open=new, window=timings.window),)

    def parts(self, message: Message) -> Sequence[Outgoing]:
        """One submit for each part of the text."""
        number = message.to.number.removeprefix("+86")
        return outgoing(message, sender=self._account.options["source"], number=number, plain=Alphabet.ASCII)
