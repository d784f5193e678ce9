"""SMPP 3.4: the world's protocol, spoken by aggregators and by platforms abroad, over a link that stays open, with TLS.

One account, one link: submits go out, status reports and replies come in. Sends whole texts, one submit a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from harness.capabilities import Account, Credential, Document, Manifest, Mapped, Pace, Standing, Tools
from harness.domain import Message
from harness.link import LinkPlan
from vendors.carrier import smpp as protocol
from vendors.carrier.link import ABSENT, Desk, Outgoing, SessionLink, address, checked, chosen, outgoing, timings_of
from vendors.carrier.session import start_at
from vendors.carrier.short_text import Alphabet

REASONS: Final[Mapping[str, Mapped]] = protocol.REASONS
REPORT_REASONS: Final[Mapping[str, Mapped]] = {}  # a receipt's stat and err are a carrier's: `carrier_codes`

_DEFAULTS: Final = {"gsm7": Alphabet.GSM7, "ascii": Alphabet.ASCII, "latin1": Alphabet.LATIN1}


class Vendor:
    """One account at a message centre. `source` is what the message comes from: a number, a code or a name."""

    manifest = Manifest(
        id="smpp",
        name={"zh-CN": "SMPP 直连", "en": "SMPP"},
        credentials=(Credential("account"), Credential("secret", secret=True)),
        documents=(Document("SMPP Protocol Specification v3.4, issue 1.2", date(2026, 3, 2)),),
        absent=ABSENT,
        standing=Standing.DOCUMENTED,
        endpoint=None,
        pace=Pace(per_second=1000.0),  # agreed account by account: `per_second` in the evaluation
        by_template=False,
        options={
            "host": "",
            "port": "2775",
            "tls": "off",
            "tls_ca": "",
            "source": "",
            "system_type": "",
            "default_alphabet": "gsm7",
            "window": "10",
            "answer_seconds": "30",
            "keep_alive_seconds": "30",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._numbers = protocol.numbers(start_at(tools.now()))
        self._desk = Desk(
            now=tools.now,
            key=lambda theirs: theirs.decode("latin-1"),
            reasons=REASONS,
            report_reasons=REPORT_REASONS,
            final=frozenset(("0x0D", "0x0E", "0x0F")),
            spelt_otherwise=True,
        )

    def links(self) -> Sequence[LinkPlan]:
        """The one link. Raises ValueError for an option that cannot be."""
        host, port = address(self._account, 2775)
        timings, options = timings_of(self._account, protocol.TIMINGS), self._account.options
        default = chosen(self._account, "default_alphabet", _DEFAULTS)
        tls = chosen(self._account, "tls", {"off": False, "on": True})

        def new() -> SessionLink:
            client = protocol.Client(
                account=self._account.secret("account"),
                secret=self._account.secret("secret"),
                numbers=self._numbers,
                system_type=options["system_type"],
                default=default,
                knows=self._desk.knows,
            )
            return SessionLink(client, timings, self._desk)

        checked(new())
        plan = LinkPlan(
            name="main", host=host, port=port, open=new, window=timings.window, tls=tls, tls_ca=options["tls_ca"]
        )
        return (plan,)

    def parts(self, message: Message) -> Sequence[Outgoing]:
        """One submit for each part of the text."""
        number, source = message.to.number.removeprefix("+"), self._account.options["source"]
        plain = Alphabet.GSM7 if self._account.options["default_alphabet"] == "gsm7" else Alphabet.ASCII
        return outgoing(message, sender=source, number=number, plain=plain)
