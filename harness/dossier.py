"""Documents that people checked: licence, code certificate, ISO 27001, contract. Shown apart from what was measured.

An attestation names who checked, when, and the SHA-256 of the file; without these it does not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from harness.errors import Complaint, ConfigError
from harness.plain_yaml import Located, Path, Plain
from harness.sla import read_terms


class DocumentKind(StrEnum):
    LICENCE = "licence"  # 增值电信业务经营许可证
    CODE_CERTIFICATE = "code_certificate"  # 电信网码号资源使用证书: the 1069 code
    ISO27001 = "iso27001"
    DJBH = "djbh"  # 等保: level of protection
    CONTRACT_RETENTION = "contract_retention"  # the contract's clause on how long records are kept
    COMPLAINT_CHANNEL = "complaint_channel"
    CONTRACT_SLA = "contract_sla"  # the contract's delivery clause: formula, threshold, what it pays


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """One paper of one vendor, as a person found it."""

    vendor: str  # label in the evaluation
    kind: DocumentKind
    number: str = ""
    holder: str = ""
    scope: str = ""
    issuer: str = ""
    valid_until: date | None = None
    checked_by: str = ""
    checked_on: date | None = None
    file_digest: str = ""  # SHA-256, hex
    values: Mapping[str, str] = field(default_factory=dict)  # e.g. {"days": "200"}, {"level": "3"}

    @property
    def counts(self) -> bool:
        """Whether somebody answers for it: who, when, and which file."""
        digest_is_whole = re.fullmatch(r"[0-9a-f]{64}", self.file_digest) is not None
        return bool(self.checked_by) and self.checked_on is not None and digest_is_whole

    def verdict(self, on: date) -> Literal["valid", "expired", "not_counted"]:
        if not self.counts:
            return "not_counted"
        return "expired" if self.valid_until is not None and self.valid_until < on else "valid"


_FIELDS = frozenset(
    {"number", "holder", "scope", "issuer", "valid_until", "checked_by", "checked_on", "file_digest", "values"}
)


def read_dossier(located: Located, labels: frozenset[str]) -> tuple[Attestation, ...]:
    """Attestations from a file `vendor → kind → fields`. Raises ConfigError with everything that is wrong."""
    complaints: list[Complaint] = []
    papers: list[Attestation] = []
    plain = _mapping(located, (), located.value, complaints)
    for vendor, kinds in plain.items():
        if vendor not in labels:
            complaints.append(
                Complaint(
                    place=located.place((vendor,)),
                    problem=f"{vendor!r} is no vendor of the evaluation",
                    way_out=f"Use one of {', '.join(sorted(labels))}.",
                )
            )
            continue
        for kind, fields in _mapping(located, (vendor,), kinds, complaints).items():
            path = (vendor, kind)
            try:
                papers.append(_read(vendor, kind, fields))
            except (ValueError, TypeError) as error:
                complaints.append(
                    Complaint(
                        place=located.place(path),
                        problem=f"cannot be read: {error}",
                        way_out=f"Kinds are {', '.join(DocumentKind)}; fields are {', '.join(sorted(_FIELDS))}; "
                        "dates are written 2027-06-30.",
                    )
                )
    if complaints:
        raise ConfigError(complaints)
    return tuple(papers)


def _mapping(located: Located, path: Path, value: Plain, complaints: list[Complaint]) -> dict[str, Plain]:
    if isinstance(value, dict):
        return value
    if value != "":  # a vendor or a file with nothing in it has no papers
        problem = "got a list" if isinstance(value, list) else f"got {value[:60]!r}"
        way_out = "Write  vendor: {kind: {number: …, checked_by: …}}."
        complaints.append(Complaint(place=located.place(path), problem=problem, way_out=way_out))
    return {}


def _read(vendor: str, kind: str, fields: object) -> Attestation:
    if not isinstance(fields, dict):
        raise TypeError("not a mapping")
    if unknown := sorted(set(fields) - _FIELDS):
        raise ValueError(f"unknown field {unknown[0]!r}")

    def day(name: str) -> date | None:
        return date.fromisoformat(str(fields[name])) if fields.get(name) else None

    values = fields.get("values") or {}
    if not isinstance(values, dict):
        raise TypeError("values is not a mapping")
    if DocumentKind(kind) is DocumentKind.CONTRACT_SLA:
        read_terms({str(key): str(value) for key, value in values.items()})  # raises ValueError for what it cannot be
    return Attestation(
        vendor=vendor,
        kind=DocumentKind(kind),
        number=str(fields.get("number", "")),
        holder=str(fields.get("holder", "")),
        scope=str(fields.get("scope", "")),
        issuer=str(fields.get("issuer", "")),
        valid_until=day("valid_until"),
        checked_by=str(fields.get("checked_by", "")),
        checked_on=day("checked_on"),
        file_digest=str(fields.get("file_digest", "")),
        values={str(key): str(value) for key, value in values.items()},
    )
