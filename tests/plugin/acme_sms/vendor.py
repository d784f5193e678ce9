"""A vendor that takes everything: the least an adapter from outside can be."""

from __future__ import annotations

from datetime import date

import httpx

from harness.capabilities import (
    Account,
    Capability,
    Credential,
    Document,
    Manifest,
    NotOffered,
    Pace,
    Standing,
    Tools,
)
from harness.domain import Accepted, Message, Outcome
from harness.flow import Flow, read_object


class Acme:
    manifest = Manifest(
        id="acme",
        name={"en": "Acme", "zh-CN": "顶点"},
        credentials=(Credential("key", secret=True),),
        documents=(Document("HTTP interface", date(2026, 2, 1)),),
        absent={one: NotOffered("a toy") for one in Capability if one is not Capability.SUBMITS},
        standing=Standing.DOCUMENTED,
        endpoint="https://sms.acme.example",
        pace=Pace(per_second=5),
        by_template=False,
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools

    def submit(self, message: Message) -> Flow[Outcome]:
        reply = yield httpx.Request("POST", f"{self.manifest.endpoint}/send", json={"to": message.to.number})
        return Accepted(vendor_message_id=str(read_object(reply)["id"]))
