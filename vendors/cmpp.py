"""中国移动 CMPP 2.0 and 3.0: a direct route, or an aggregator's, over a link that stays open.

One account, one link: submits go out, status reports and replies come in. Sends whole texts, one submit a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from harness.capabilities import Account, Credential, Document, Manifest, Mapped, Pace, Standing, Tools
from harness.domain import Message
from harness.link import LinkPlan
from vendors.carrier import cmpp as protocol
from vendors.carrier.link import ABSENT, Desk, Outgoing, SessionLink, address, checked, chosen, outgoing, timings_of
from vendors.carrier.session import start_at
from vendors.carrier.short_text import Alphabet

REASONS: Final[Mapping[str, Mapped]] = protocol.REASONS
REPORT_REASONS: Final[Mapping[str, Mapped]] = {}  # a report's stat is a carrier's code: `carrier_codes`

_VERSIONS: Final = {"3.0": protocol.V3, "2.0": protocol.V2}


class Vendor:
    """One account at a gateway. `secret` is 共享密钥; `source` the access code 接入码 (1069…) with its extension."""

    manifest = Manifest(
        id="cmpp",
        name={"zh-CN": "CMPP 直连", "en": "CMPP"},
        credentials=(Credential("account"), Credential("secret", secret=True)),
        documents=(Document("中国移动 CMPP 3.0 (QB-A-044-2017 and its forerunners)", date(2026, 3, 2)),),
        absent=ABSENT,
        standing=Standing.DOCUMENTED,
        endpoint=None,
        pace=Pace(per_second=1000.0),  # agreed account by account: `per_second` in the evaluation
        by_template=False,
        options={
            "host": "",
            "port": "7890",
            "version": "3.0",
            "source": "",
            "service_id": "",
            "window": "16",
            "answer_seconds": "60",
            "keep_alive_seconds": "180",
            "digest": "plain",
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
            final=frozenset(("2", "3", "4")),  # of CONNECT_RESP: account, digest, version
            reply_id=lambda values: values.msg_id,
        )

    def links(self) -> Sequence[LinkPlan]:
        """The one link. Raises ValueError for an option that cannot be."""
        host, port = address(self._account, 7890)
        timings = timings_of(self._account, protocol.TIMINGS)
        version = chosen(self._account, "version", _VERSIONS)
        padded = chosen(self._account, "digest", {"plain": False, "padded": True})

        def new() -> SessionLink:
            client = protocol.Client(
                account=self._account.secret("account"),
                secret=self._account.secret("secret"),
                now=self._tools.now,
                numbers=self._numbers,
                version=version,
                padded=padded,
                service_id=self._account.options["service_id"],
            )
            return SessionLink(client, timings, self._desk)

        checked(new())
        return (LinkPlan(name="main", host=host, port=port, open=new, window=timings.window),)

    def parts(self, message: Message) -> Sequence[Outgoing]:
        """One submit for each part of the text."""
        number = message.to.number.removeprefix("+86")
        return outgoing(message, sender=self._account.options["source"], number=number, plain=Alphabet.ASCII)
