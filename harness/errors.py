"""What can go wrong, as a tree. A vendor saying no is data; a vendor not answering sensibly is trouble; both are kept.

HarnessError
├─ ConfigError            a person must change something; names the place, the value and the way out
├─ VendorTrouble          becomes a CallFailed fact; never ends a run
│  ├─ Unreachable         no connection, nothing written: surely not sent, may be tried again
│  ├─ NoAnswer            written, but no reply that tells: in doubt, never tried again by itself
│  ├─ Throttled           the vendor answered that we are too fast: not taken, may be tried again later
│  ├─ Unauthorised        credentials refused; stops that vendor's cases
│  └─ Unintelligible      a reply that cannot be read; keeps its first bytes
└─ LedgerError            the ledger cannot be written or trusted: stop sending at once
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class HarnessError(Exception):
    """Root of everything this project raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing a person must change: where, what stands there, and the way out."""

    place: str  # "evaluation.yaml, line 14: vendors.ali-main.account.access_secret"
    problem: str  # "got a literal value; secrets are read from the environment."
    way_out: str  # "Write  access_secret: $ALI_SECRET  and set that variable."

    def __str__(self) -> str:
        return f"{self.place}\n  {self.problem}\n  {self.way_out}"


class ConfigError(HarnessError):
    """A person must change something. Carries every complaint found, not just the first."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(str(complaint) for complaint in self.complaints))


class VendorTrouble(HarnessError):
    """A vendor did not answer sensibly. `written`: whether any byte of the request may have left."""

    kind = "trouble"

    def __init__(self, detail: str, *, written: bool = True, code: str = "") -> None:
        self.detail, self.written, self.code = detail, written, code
        super().__init__(detail)


class Unreachable(VendorTrouble):
    kind = "unreachable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, written=False)


class NoAnswer(VendorTrouble):
    kind = "no_answer"


class Throttled(VendorTrouble):
    """The vendor's own answer was "too fast": it did not take the request. `retry_after` in seconds, if told."""

    kind = "throttled"

    def __init__(self, detail: str, *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Unauthorised(VendorTrouble):
    """The vendor's own answer was "I do not know you": it did not take the request."""

    kind = "unauthorised"


class Unintelligible(VendorTrouble):
    """A reply that cannot be read. `body` holds its first 4 KiB."""

    kind = "unintelligible"

    def __init__(self, detail: str, *, body: bytes = b"") -> None:
        super().__init__(detail)
        self.body = body[:4096]


class LedgerError(HarnessError):
    """The ledger cannot be written, or does not hold together. Sending stops."""
