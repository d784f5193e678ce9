"""The memory of the house: an append-only list of facts, chained by digest, one file a run.

What `append` returned from is on the disk. Nothing is ever changed or removed, except a person's number on request,
and numbers stand in one table that no fact repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from harness.domain import Recipient
from harness.facts import Fact, FactBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A fact on its way into the ledger. `recording`: the redacted exchange it rests on, kept beside it."""

    body: FactBody
    at: datetime
    case_id: str | None = None
    dedupe: str | None = None  # a second entry with the same key is dropped: a repeat changes nothing
    recording: bytes | None = None
    spare: bool = False  # written only if everything else of its append is a repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain: how many facts, and the digest that covers them all."""

    seq: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A fact in its place in the chain: digest = SHA-256(the one before + SHA-256(salt + content))."""

    fact: Fact
    content: bytes  # all columns of the fact, as they are digested
    salt: bytes | None  # None: a ledger from before salts; then digest = SHA-256(the one before + content)
    digest: bytes


Listener = Callable[[Fact], None]


class Ledger(Protocol):
    """What every store promises.

    All writing methods raise LedgerError once a write has failed: the ledger is dead until it is opened again.
    """

    run_id: str

    async def append(self, *entries: Entry) -> Sequence[Fact | None]:
        """Write, and return when it is durable: the facts in order, None for a repeat."""

    def post(self, *entries: Entry) -> None:
        """Write with the next group, without waiting. A failure shows at the next `append`."""

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every fact this process appends, after its commit, in order."""

    async def catch_up(self) -> int:
        """Hand the listeners what another process has appended meanwhile; how many facts that were."""

    def facts(self, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Fact]:
        """Facts with seq > `after`, in order; only of some kinds, if named."""

    def recording(self, digest: str) -> bytes:
        """A recorded exchange by its digest. Raises LedgerError if there is none or it does not fit its digest."""

    def head(self) -> Head: ...

    def chain(self) -> Iterator[Link]:
        """Every fact with its link, in order: for handing some out in a way that others can check."""

    def verify(self) -> Head:
        """Recompute the chain and every recording's digest. Raises LedgerError naming the first fact that fails."""

    def put_recipients(self, recipients: Sequence[Recipient]) -> None: ...

    def recipients(self) -> dict[str, Recipient]: ...

    def forget(self, recipient: str) -> bool:
        """Delete a person's number. Whether there was one."""

    def count(self) -> dict[str, int]:
        """How many facts of each kind."""

    async def close(self) -> None: ...
