"""An evidence bundle: what stands behind a vendor's marks, as one file that the vendor can check by itself.

It holds that vendor's facts and redacted exchanges; of every other fact only a salted digest, so that the ledger's
whole chain can be recomputed and nothing of anybody else be read. One changed byte anywhere, and it does not verify.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.codec import canonical_json, to_plain
from harness.errors import Complaint, ConfigError
from harness.facts import (
    CallFailed,
    CasePlanned,
    CaseSkipped,
    HeartbeatReceived,
    InboundReceived,
    PushArrived,
    PushRefused,
    QuestionAnswered,
    ReportReceived,
    ReviewDecisionReceived,
    RunBegan,
    SearchInbox,
)
from harness.judge.result import Result
from harness.ledger import Ledger, Link
from harness.ledger.sqlite import GENESIS, content_of
from harness.matching import Matcher, tokens_in

FORMAT: Final = "smsbench evidence"
VERSION: Final = 1
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # of every member: equal bundles are equal byte for byte
_ESCAPE: Final = re.compile(r"\\u[0-9a-fA-F]{4}")
_COLUMNS: Final = ("seq", "at", "kind", "case_id", "dedupe", "evidence", "body", "salt")
README: Final = """\
smsbench 证据包 / evidence bundle

manifest.json   哪一次测试、哪一家服务商、账本（ledger）的事实条数与末端摘要。
                Which run, which vendor, the ledger's length and the digest it ends in.
findings.json   报告中对该服务商的全部结论。 All that the report says of this vendor.
facts.jsonl     与该服务商有关的事实，一行一条。 The facts that concern this vendor, one a line.
chain.bin       其余每条事实的摘要，各 32 字节，按序号排列；不含内容。
                Of every other fact its digest, 32 bytes each, in order; nothing of what it says.
recordings/     原始报文，已去除号码与密钥，以 SHA-256 命名。
                The raw exchanges without numbers and secrets, named by their SHA-256.
withheld.json   未附上的报文及原因（含同一手机上其他短信的内容）。
                Exchanges that are not enclosed, and why: they show other messages on the same phone.

校验 / To check:  smsbench verify <this file>

不用 smsbench 也可校验。设 D0 = SHA-256("smsbench ledger 1")，对第 n 条事实：
Without smsbench: let D0 = SHA-256("smsbench ledger 1"), and for fact n:

    line    = json([seq, at, kind, case_id, dedupe, evidence])      ", " 分隔 / separated by ", "
    content = str(len(line 的字节数 / bytes of line)) + ":" + line + body
    inner   = SHA-256(salt + content)          或取自 chain.bin / or taken from chain.bin
    Dn      = SHA-256(Dn-1 + inner)

末端 Dn 必须等于 manifest.json 与报告所载的账本摘要；每份报文的 SHA-256 必须等于其文件名与事实的 evidence。
The last Dn must equal the ledger's digest in manifest.json and in the report; each exchange's SHA-256 must equal its
file name and the `evidence` of its facts.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a bundle that verified holds."""

    manifest: Mapping[str, Any]
    findings: Mapping[str, Any]
    facts: tuple[Mapping[str, Any], ...]
    recordings: Mapping[str, bytes]
    withheld: Mapping[str, str]


@dataclass(slots=True)
class _Chosen:
    """Which facts go in, found out in one pass, because a report may come before the answer it belongs to."""

    vendor: str
    only: frozenset[str] | None  # cases; None: all of the vendor's
    cases: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    seqs: set[int] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)  # tokens of other vendors' messages
    searched: set[str] = field(default_factory=set)  # recordings of whole inboxes of phones

    def take(self, link: Link, matcher: Matcher, forwarders: Mapping[str, str]) -> None:
        fact = link.fact
        routed = matcher.route(fact)
        body = fact.body
        match body:
            case CasePlanned(case=case):
                if case.vendor != self.vendor:
                    self.foreign |= {draft.token for draft in case.drafts}
                elif self.only is None or case.id in self.only:
                    self.cases.add(case.id)
                    self.phones |= {forwarders[case.recipient or ""]} if case.recipient in forwarders else set()
            case QuestionAnswered(question=SearchInbox()) | CallFailed(what="search_inbox"):
                self.searched.add(fact.evidence or "")
            case ReportReceived(vendor=self.vendor) | InboundReceived(vendor=self.vendor):
                self._whole(fact.seq)
            case ReviewDecisionReceived(vendor=self.vendor) | CaseSkipped(vendor=self.vendor):
                self._whole(fact.seq)
            case PushArrived(door=door) | PushRefused(door=door):
                if door.split("/")[:2] == ["push", self.vendor]:
                    self._whole(fact.seq)
            case HeartbeatReceived(forwarder=forwarder):
                if forwarder in self.phones:
                    self.seqs.add(fact.seq)
            case _:
                pass
        self.seqs |= {news.seq for case_id, news in routed if case_id in self.cases}

    def _whole(self, seq: int) -> None:
        """What is the vendor's and belongs to no case yet: only where all of the vendor's is wanted."""
        if self.only is None:
            self.seqs.add(seq)


def write_bundle(ledger: Ledger, result: Result, vendor: str, measures: Sequence[str] = ()) -> bytes:
    """The bundle's bytes: always the same for the same ledger, result, vendor and measures.

    Args:
        measures: only the cases that findings, gates and marks on these measures name; none: all of the vendor's.

    Raises ConfigError for a vendor or measure that the result does not know, LedgerError if the ledger is damaged.
    """
    head = ledger.verify()
    if (head.seq, head.digest) != (result.run.ledger_facts, result.run.ledger_digest):
        raise _wrong("result.json", "does not rest on this ledger as it is now", "Score the run again first.")
    if vendor not in result.vendors:
        known = ", ".join(sorted(result.vendors))
        raise _wrong(vendor, "is no vendor of this run", f"It has {known}.")
    for measure in measures:
        if measure not in result.measures:
            raise _wrong(measure, "is no measure of this result", "See findings.csv for their names.")
    findings = _findings(result, vendor, measures)
    only = frozenset(_cases_named(findings)) if measures else None
    chosen, matcher, forwarders = _Chosen(vendor=vendor, only=only), Matcher(), dict[str, str]()
    for link in ledger.chain():
        if isinstance(link.fact.body, RunBegan):
            forwarders = {key: one.forwarder for key, one in link.fact.body.panel.items() if one.forwarder}
        chosen.take(link, matcher, forwarders)
    lines, others, recordings, withheld = list[bytes](), bytearray(), dict[str, bytes](), dict[str, str]()
    for link in ledger.chain():
        if link.fact.seq not in chosen.seqs:
            others += _inner(link.salt, link.content)
            continue
        lines.append(canonical_json(_line_of(link)))
        evidence = link.fact.evidence
        if evidence is not None and evidence not in recordings and evidence not in withheld:
            recording = ledger.recording(evidence)
            if evidence in chosen.searched:
                withheld[evidence] = "the whole inbox of a phone"
            elif not chosen.foreign.isdisjoint(tokens_in(_ESCAPE.sub(" ", recording.decode("utf-8", "replace")))):
                withheld[evidence] = "shows a message sent through another vendor"
            else:
                recordings[evidence] = recording
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "run": result.run.id,
        "evaluation": result.run.evaluation,
        "software": result.run.software,
        "vendor": vendor,
        "measures": sorted(measures),
        "ledger_facts": head.seq,
        "ledger_digest": head.digest,
        "facts": len(lines),
        "cases": len(chosen.cases),
        "recordings": len(recordings),
        "withheld": len(withheld),
    }
    members = {
        "README.txt": README.encode(),
        "manifest.json": canonical_json(manifest),
        "findings.json": canonical_json(findings),
        "facts.jsonl": b"".join(line + b"\n" for line in lines),
        "chain.bin": bytes(others),
        "withheld.json": canonical_json(withheld),
        **{f"recordings/{digest}.json": body for digest, body in sorted(recordings.items())},
    }
    return _packed(members)


def verify_bundle(path: Path) -> Contents:
    """Check a bundle to the last byte. Raises ConfigError naming what does not fit."""
    raw = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as file:
            members = {name: file.read(name) for name in file.namelist()}
        contents = _checked(members, str(path))
    except ConfigError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        problem = f"is no evidence bundle, or was changed ({type(error).__name__}: {error})"
        raise _wrong(str(path), problem, "Ask for it again.") from error
    if _packed(members) != raw:  # not only what it says, also how: nothing may hide between the members
        raise _wrong(str(path), "was changed after it was made", "Ask for it again.")
    return contents


def _checked(members: Mapping[str, bytes], path: str) -> Contents:
    manifest = json.loads(members["manifest.json"])
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        raise _wrong(path, f"is no evidence bundle of version {VERSION}", "Update smsbench, or ask for it again.")
    facts = [json.loads(line) for line in members["facts.jsonl"].splitlines()]
    withheld = json.loads(members["withheld.json"])
    recordings = {
        name.removeprefix("recordings/").removesuffix(".json"): body
        for name, body in members.items()
        if name.startswith("recordings/")
    }
    for digest, body in recordings.items():
        if hashlib.sha256(body).hexdigest() != digest:
            raise _wrong(path, f"the exchange {digest[:12]} was changed", "Ask for it again.")
    for fact in facts:
        evidence = fact["evidence"]
        if evidence is not None and evidence not in recordings and evidence not in withheld:
            raise _wrong(path, f"the exchange of fact {fact['seq']} is missing", "Ask for it again.")
    if recordings.keys() - {fact["evidence"] for fact in facts}:
        raise _wrong(path, "holds an exchange that no fact rests on", "Ask for it again.")
    end = _end_of_chain(facts, members["chain.bin"], int(manifest["ledger_facts"]), path)
    if end != manifest["ledger_digest"]:
        problem = f"its facts end in {end[:12]}, the ledger in {manifest['ledger_digest'][:12]}: a fact was changed"
        raise _wrong(path, problem, "Ask for it again.")
    counts = (manifest["facts"], manifest["recordings"], manifest["withheld"])
    if counts != (len(facts), len(recordings), len(withheld)) or members["README.txt"] != README.encode():
        raise _wrong(path, "was changed after it was made", "Ask for it again.")
    return Contents(
        manifest=manifest,
        findings=json.loads(members["findings.json"]),
        facts=tuple(facts),
        recordings=recordings,
        withheld=withheld,
    )


def _end_of_chain(facts: Sequence[Mapping[str, Any]], others: bytes, total: int, path: str) -> str:
    shown = {int(fact["seq"]): fact for fact in facts}
    if len(shown) != len(facts) or len(facts) * 32 + len(others) != total * 32:
        raise _wrong(path, f"has {len(facts) + len(others) // 32} facts, the ledger {total}", "Ask for it again.")
    digest, place = GENESIS, 0
    for seq in range(1, total + 1):
        if (fact := shown.get(seq)) is not None:
            inner = _inner(bytes.fromhex(fact["salt"]), _content_of(fact))
        else:
            inner, place = others[place : place + 32], place + 32
        digest = hashlib.sha256(digest + inner).digest()
    return digest.hex()


def _line_of(link: Link) -> dict[str, Any]:
    fact = link.fact
    if link.salt is None:
        raise _wrong("ledger.db", "was written before evidence bundles were possible", "Hand over its report instead.")
    head, _, rest = link.content.partition(b":")
    line = json.loads(rest[: int(head)])
    body = rest[int(head) :].decode()
    return dict(zip(_COLUMNS, (*line, body, link.salt.hex()), strict=True)) | {"when": fact.at.isoformat()}


def _content_of(fact: Mapping[str, Any]) -> bytes:
    return content_of(
        fact["seq"], fact["at"], fact["kind"], fact["case_id"], fact["dedupe"], fact["evidence"], fact["body"].encode()
    )


def _inner(salt: bytes | None, content: bytes) -> bytes:
    return hashlib.sha256((salt or b"") + content).digest()


def _findings(result: Result, vendor: str, measures: Sequence[str]) -> dict[str, Any]:
    """All that a result says of one vendor, and nothing that it says of another."""
    plain = to_plain(result)
    about = {
        name: [one for one in rows if one["vendor"] == vendor]
        for name, rows in plain.items()
        if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "vendor" in rows[0]
    }
    if measures:
        about = {
            name: [one for one in rows if one.get("measure", measures[0]) in measures] for name, rows in about.items()
        }
    others = {other for other in result.vendors if other != vendor}
    others |= {name for other in others for name in result.vendors[other].name.values()}
    return {
        **_without(about, others),
        "vendor": plain["vendors"][vendor],
        "criteria": plain["criteria"],
        "measures": {key: one for key, one in plain["measures"].items() if not measures or key in measures},
        "method": plain["method"],
    }


def _without(plain: Any, others: set[str]) -> Any:
    """Plain values in which sentences that name another vendor have lost their values."""
    match plain:
        case {"id": id, "values": dict(values)} if not others.isdisjoint(map(str, values.values())):
            return {"id": id, "values": {}}
        case dict():
            return {key: _without(value, others) for key, value in plain.items()}
        case list():
            return [_without(value, others) for value in plain]
    return plain


def _cases_named(findings: Mapping[str, Any]) -> Iterator[str]:
    """The cases that the kept findings name as their evidence."""
    for one in findings.get("findings", ()):
        yield from one["evidence"]
    wanted = set(findings["measures"])
    for one in findings.get("gates", ()):
        if one["text"].split(" ")[0] in wanted:
            yield from one["evidence"]


def _packed(members: Mapping[str, bytes]) -> bytes:
    """A zip whose bytes follow from its contents: not compressed, because compressors differ."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, body in members.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16
            file.writestr(info, body)
    return out.getvalue()


def _wrong(place: str, problem: str, way_out: str) -> ConfigError:
    return ConfigError([Complaint(place=place, problem=problem, way_out=way_out)])
