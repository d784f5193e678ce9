"""A description, read and checked: what stands in `vendors/described/<id>.yaml`, every expression compiled once.

A mistake is told with its line and what was expected there; all of them at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

from harness.capabilities import (
    Acknowledgement,
    Capability,
    Credential,
    Document,
    Manifest,
    Mapped,
    NotOffered,
    NotYetWritten,
    Pace,
    Standing,
)
from harness.domain import Reason
from harness.errors import Complaint, ConfigError
from harness.plain_yaml import Located, Path, locate
from vendors.declarative.expressions import Expression
from vendors.declarative.shapes import (
    CAPABILITY,
    CARRIERS,
    EVERYWHERE,
    ITEMS,
    ITEMS_NEED,
    NEEDED,
    PAIRED,
    RESULTS,
    SEEN_BY,
    STATES,
    VERDICTS,
    Again,
    Before,
    Choice,
    Description,
    Each,
    Fields,
    Hears,
    Operation,
    Proof,
    Pushes,
    Reader,
    Rows,
    Sends,
)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def describe(text: str, name: str) -> Description:
    """Read a description. `name`: the file, for messages. Raises ConfigError with every complaint found."""
    complaints: list[Complaint] = []
    located = locate(text, name)
    if not isinstance(located.value, dict):
        raise ConfigError([Complaint(place=name, problem="is no mapping", way_out="Begin with  vendor: acme")])
    found = _Reading(_Part(located, (), located.value, complaints)).whole()
    if complaints:
        raise ConfigError(sorted(complaints, key=lambda one: _line(one.place)))
    assert found is not None
    return found


def _line(place: str) -> int:
    found = re.search(r"line (\d+)", place)
    return int(found[1]) if found else 0


# --- reading it ------------------------------------------------------------------------------------------------------


class _Part:
    """A mapping of the description. Remembers which keys were asked for; `finish` complains of the others."""

    def __init__(self, located: Located, path: Path, values: Mapping[str, Any], complaints: list[Complaint]) -> None:
        self.located, self.path, self.values, self.complaints = located, path, values, complaints
        self.asked: set[str] = set()

    def complain(self, key: str | tuple[str, ...], problem: str, way_out: str) -> None:
        path = (*self.path, *((key,) if isinstance(key, str) else key))
        self.complaints.append(Complaint(place=self.located.place(path), problem=problem, way_out=way_out))

    def where(self, key: str) -> str:
        return self.located.place((*self.path, key))

    def has(self, key: str) -> bool:
        return key in self.values

    def raw(self, key: str) -> Any:
        self.asked.add(key)
        return self.values.get(key)

    def text(self, key: str, default: str | None = "", way_out: str = "Write it.") -> str:
        """A text. Without a default it is needed."""
        value = self.raw(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            problem = "is missing" if value is None else f"is a {_called(value)}, expected a text"
            self.complain(key, problem, way_out)
            return default or ""
        return value

    def chosen(self, key: str, among: Mapping[str, T], default: str | None) -> T:
        said = self.text(key, default, f"Write one of {', '.join(among)}.")
        if said not in among:
            if said or self.has(key):
                near = difflib.get_close_matches(said, among, 1)
                hint = f"Did you mean {near[0]}?" if near else f"Write one of {', '.join(among)}."
                self.complain(key, f"is {said!r}", hint)
            return next(iter(among.values()))
        return among[said]

    def flag(self, key: str, default: bool = False) -> bool:
        return self.chosen(key, {"true": True, "false": False}, "true" if default else "false")

    def parsed(self, key: str, parse: Callable[[str], T], default: T, expected: str) -> T:
        if not self.has(key):
            return default
        said = self.text(key, "")
        try:
            return parse(said)
        except ValueError:
            self.complain(key, f"is {said!r}", f"Write {expected}.")
            return default

    def part(self, key: str) -> _Part:
        value = self.raw(key)
        if value is not None and not isinstance(value, dict):
            self.complain(key, f"is a {_called(value)}, expected a mapping", "Write  name: value  lines below it.")
        return _Part(self.located, (*self.path, key), value if isinstance(value, dict) else {}, self.complaints)

    def parts(self, key: str) -> Iterator[tuple[str, _Part]]:
        whole = self.part(key)
        for name in whole.values:
            yield name, whole.part(name)

    def listed(self, key: str) -> list[_Part]:
        """A list of mappings; one mapping is a list of one."""
        value = self.raw(key)
        if value is None:
            return []
        if isinstance(value, dict):
            return [self.part(key)]
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.complain(key, f"is a {_called(value)}, expected a list of mappings", "Write  - name: value  lines.")
            return []
        path = (*self.path, key)
        return [_Part(self.located, (*path, str(at)), one, self.complaints) for at, one in enumerate(value)]

    def words(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.complain(key, f"is a {_called(value)}, expected a list of names", "Write  [one, two].")
            return ()
        return tuple(value)

    def expression(self, key: str, known: frozenset[str], needed: str = "") -> Expression | None:
        value = self.raw(key)
        if value is None:
            if needed:
                self.complain(key, "is missing", needed)
            return None
        return self.compiled(key, value, known)

    def compiled(self, key: str | tuple[str, ...], value: Any, known: frozenset[str]) -> Expression | None:
        path = (*self.path, *((key,) if isinstance(key, str) else key))
        if not isinstance(value, str):
            self.complain(key, f"is a {_called(value)}, expected an expression", "Write one, such as  message.text")
            return None
        try:
            return Expression(value, self.located.place(path), known)
        except ValueError as error:
            self.complain(key, str(error), 'vendors/README.md, "A vendor without code", lists names and verbs.')
            return None

    def expressions(self, key: str, known: frozenset[str]) -> dict[str, Expression]:
        part = self.part(key)
        found = {name: part.expression(name, known) for name in part.values}
        return {name: one for name, one in found.items() if one is not None}

    def finish(self) -> None:
        for key in self.values.keys() - self.asked:
            near = difflib.get_close_matches(key, self.asked, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Here stand {', '.join(sorted(self.asked))}."
            self.complain(key, "is not known here", hint)


def _called(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "list" if isinstance(value, list) else "text"


class _Reading:
    """From the whole document to a description."""

    def __init__(self, top: _Part) -> None:
        self.top = top
        self.common = top.part("every_request")
        self.again: dict[str, Again] = {}

    def whole(self) -> Description | None:
        top = self.top
        codes = top.part("codes")
        reasons, report_reasons = self._codes(codes, "submit"), self._codes(codes, "report")
        codes.finish()
        items = {kind: self._item(kind) for kind in ITEMS if top.has(kind)}
        operations = {name: one for name in SEEN_BY if top.has(name) and (one := self._operation(name))}
        pushes = self._pushes(top.part("pushes"), items) if top.has("pushes") else None
        self._check_pairs(operations, items)
        manifest = self._manifest(pushes is not None)
        for key in ("let", "query", "headers", "form", "json"):
            self.common.raw(key)
        self.common.finish()
        top.finish()
        if manifest is None:
            return None
        return Description(
            manifest=manifest,
            reasons=reasons,
            report_reasons=report_reasons,
            again=self.again,
            operations=operations,
            items=items,
            pushes=pushes,
        )

    # -- what it says of itself --

    def _manifest(self, reads_pushes: bool) -> Manifest | None:
        top = self.top
        id = top.text("vendor", None, "Write its id in small letters:  vendor: acme")
        if id and not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", id):
            top.complain("vendor", f"is {id!r}", "Small letters, digits and underscores, such as acme.")
        named = top.raw("name")
        name = {"zh-CN": named, "en": named} if isinstance(named, str) else {**(named or {"zh-CN": id, "en": id})}
        credentials = []
        kinds = {"plain": (False, False), "secret": (True, False), "optional": (False, True)}
        kinds["optional secret"] = (True, True)
        account = top.part("account")
        for one in account.values:
            secret, optional = account.chosen(one, kinds, None)
            credentials.append(Credential(one, secret=secret, optional=optional))
        if not credentials:
            top.complain("account", "names no credential", "Write  account: {apikey: secret}")
        pace = top.part("pace")
        manifest = Manifest(
            id=id,
            name={key: str(value) for key, value in name.items()},
            credentials=tuple(credentials),
            documents=tuple(self._documents()),
            absent=self._absent(reads_pushes),
            standing=top.chosen("standing", {one.value: one for one in Standing}, "documented"),
            endpoint=self._address(top, "endpoint"),
            endpoints={key: self._address(part, key) or "" for part in [top.part("endpoints")] for key in part.values},
            pace=Pace(
                per_second=pace.parsed("per_second", _positive, 10.0, "a number of requests, such as 10"),
                burst=pace.parsed("burst", int, 1, "a whole number"),
                same_number_seconds=pace.parsed("same_number_seconds", int, 60, "whole seconds"),
                per_number_per_day=pace.parsed("per_number_per_day", int, 10, "a whole number"),
                apart={
                    key: part.parsed(key, _positive, 1.0, "seconds")
                    for part in [pace.part("apart")]
                    for key in part.values
                },
            ),
            by_template=top.chosen("sends", {"text": False, "template": True}, None),
            push_is_signed=top.flag("push_is_signed"),
            sends_secret=top.flag("sends_secret"),
            options={key: top.part("options").text(key) for key in top.part("options").values},
        )
        pace.finish()
        return manifest

    def _address(self, part: _Part, key: str) -> str | None:
        address = part.text(key, "")
        if address and not re.match(r"https?://[^/\s]+", address):
            part.complain(key, f"is {address!r}", "Write a web address:  https://sms.example.com")
        return address.rstrip("/") or None

    def _documents(self) -> Iterator[Document]:
        for one in self.top.listed("documents"):
            day = one.parsed("read_on", date.fromisoformat, date(1970, 1, 1), "a day, such as 2026-03-02")
            yield Document(one.text("title", None, "Name what was read."), day)
            one.finish()

    def _absent(self, reads_pushes: bool) -> dict[Capability, NotOffered | NotYetWritten]:
        """What is described is there; of everything else the description says why not, or nobody has looked."""
        kinds: Mapping[str, type[NotOffered | NotYetWritten]] = {
            "not_offered": NotOffered,
            "not_yet_written": NotYetWritten,
        }
        said: dict[Capability, NotOffered | NotYetWritten] = {}
        there = {capability for name in SEEN_BY if self.top.has(name) for capability in (CAPABILITY[name],)}
        if reads_pushes:
            there.add(Capability.READS_PUSHES)
        for name, part in self.top.parts("absent"):
            near = difflib.get_close_matches(name, [one.value for one in Capability], 1)
            if name not in [one.value for one in Capability]:
                self.top.complain(("absent", name), "is no capability", f"Did you mean {near[0]}?" if near else "")
                continue
            kind = next((kind for kind in kinds if part.has(kind)), "not_yet_written")
            said[Capability(name)] = kinds[kind](part.text(kind, None, "Write  not_offered: why  or  not_yet_written:"))
            if name in there:
                self.top.complain(("absent", name), "is there and absent", "Remove one of the two.")
            part.finish()
        rest = NotYetWritten("the description says nothing of it")
        return {one: said.get(one, rest) for one in Capability if one not in there}

    def _codes(self, codes: _Part, key: str) -> dict[str, Mapped]:
        reasons, found = {one.value: one for one in Reason}, {}
        confidences = {one: one for one in ("documented", "copied", "inferred")}
        whole = codes.part(key)
        for code in whole.values:
            if isinstance(whole.values[code], str):
                found[code] = Mapped(whole.chosen(code, reasons, None))
                continue
            part = whole.part(code)
            again = Again(
                when=part.chosen("again", {one: one for one in ("never", "later", "fresh")}, "never"),
                after=part.parsed("after", _positive, 0.0, "seconds") or None,
            )
            if again.when != "never":
                self.again[code] = again
            said = {"never": "", "later": "may be made again later", "fresh": "may be made again with a new stamp"}
            wait = f" (after {again.after:g} s)" if again.after else ""
            note = "; ".join(one for one in (part.text("note"), said[again.when] + wait) if one)
            reason = part.chosen("reason", reasons, None)
            confidence = part.chosen("confidence", confidences, "documented")
            found[code] = Mapped(reason, confidence, note, part.text("source"))
            part.finish()
        return found

    # -- operations --

    def _operation(self, name: str) -> Operation | None:
        part, seen = self.top.part(name), EVERYWHERE | SEEN_BY[name]
        before: list[Before] = []
        for called, one in part.parts("before"):
            if (found := self._before(called, one, seen)) is not None:
                before.append(found)
            seen |= {called}
        sends = [self._sends(one, seen) for one in part.listed("request")]
        if not sends:
            part.complain("request", "is missing", "Write  request: {path: /v1/send, form: {…}}")
        for request, given in zip(sends[:-1], part.listed("request"), strict=False):
            if request.when is None:
                given.complain("when", "is missing", "Of several requests all but the last say when they are meant.")
        hearing = part.part("reply")
        worked_out = frozenset.intersection(*(frozenset(one.let) for one in sends)) if sends else frozenset()
        hears, after = self._hears(hearing, (seen | worked_out) - {"nonce"})
        rows = self._rows(hearing, name, after) if hearing.has("rows") else None
        if name in ("pull_reports", "pull_inbound", "find_records") and rows is None:
            hearing.complain("rows", "is missing", "Say where the list stands:  rows: reply.data")
        for_result = after | ({"item"} if rows else set()) | ({"message"} if name == "submit_bulk" else set())
        giving = part.part("record") if name == "find_records" else hearing
        result: dict[str, Expression | Choice] = {}
        for key in RESULTS[name]:
            if (value := self._value(giving, key, frozenset(for_result))) is not None:
                result[key] = value
        for key in NEEDED.get(name, ()):
            if not giving.has(key):
                giving.complain(key, "is missing", f"Say where the reply has it:  {key}: reply.{key}")
        giving.finish()
        limit = part.parsed("limit", int, 1, "how many messages one request may hold, such as 100")
        if giving is not hearing:
            hearing.finish()
        part.finish()
        if hears is None or not sends:
            return None
        return Operation(
            name=name, before=tuple(before), sends=tuple(sends), hears=hears, rows=rows, result=result, limit=limit
        )

    def _before(self, name: str, part: _Part, seen: frozenset[str]) -> Before | None:
        requests, when = part.listed("request"), part.expression("when", seen)
        sends = self._sends(requests[0], seen | {"page"}) if requests else None
        hearing = part.part("reply")
        hears, after = self._hears(hearing, seen - {"nonce"})
        rows = self._rows(hearing, name, after) if hearing.has("rows") else None
        take = hearing.expression(
            "take", after | ({"item"} if rows else set()), "Say what of the reply is kept:  take: reply.token"
        )
        hearing.finish()
        part.finish()
        if sends is None or hears is None or take is None:
            return None
        return Before(name=name, when=when, rows=rows, sends=sends, hears=hears, take=take)

    def _value(self, part: _Part, key: str, known: frozenset[str]) -> Expression | Choice | None:
        """An expression, or for states, verdicts and carriers a choice."""
        tables: Mapping[str, Mapping[str, Any]] = {"state": STATES, "verdict": VERDICTS, "carrier": CARRIERS}
        if key not in tables:
            return part.expression(key, known)
        if not part.has(key):
            return None
        choice = part.part(key)
        of = choice.expression("of", known, f"Say where it stands:  of: item.{key}")
        listed = choice.part("is")
        table = {word: listed.chosen(word, tables[key], None) for word in listed.values}
        if not table:
            choice.complain("is", "is missing", f"Say what their words mean:  is: {{OK: {next(iter(tables[key]))}}}")
        choice.finish()
        return None if of is None else Choice(of, table)

    def _sends(self, part: _Part, seen: frozenset[str]) -> Sends:
        """A request: `every_request` first, then its own, then what is worked out over both."""
        known, let = seen, dict[str, Expression]()
        for source in (self.common, part):
            letting = source.part("let")
            for name in letting.values:
                if (one := letting.expression(name, known)) is not None:
                    let[name] = one
                known |= {name}
        kind = next((one for one in ("form", "json", "base64_json") if part.has(one)), "none")
        query = {**self._fields(self.common, "query", known), **self._fields(part, "query", known)}
        shared = self._fields(self.common, "json" if kind == "base64_json" else kind, known) if kind != "none" else {}
        fields = {**shared, **(self._fields(part, kind, known) if kind != "none" else {})}
        over = known | {"query", "fields"}
        adding = part.part("add")
        add: dict[str, Mapping[str, Expression]] = {}
        for where in ("query", "fields"):
            if adding.has(where):
                add[where] = adding.expressions(where, over)
        adding.finish()
        last = over | {"body", "body_text", "method", "path", "target", "host", "content_type"}
        headers = {**self.common.expressions("headers", last), **part.expressions("headers", last)}
        path = self._path(part, known)
        every = list(_expressions([let, query, fields, headers, add, path]))
        sends = Sends(
            when=part.expression("when", known),
            let=let,
            host=part.text("host", "") or None,
            method=part.text("method", "GET" if kind == "none" else "POST"),
            path=path,
            query=query,
            kind=kind,
            fields=fields,
            headers=headers,
            add=add,
            numbers=frozenset(part.words("numbers")),
            charset=part.parsed("charset", _charset, "utf-8", "a charset, such as gbk"),
            spaces=part.chosen("spaces", {"plus": "plus", "percent": "percent"}, "plus"),
            spaced_json=part.flag("spaced_json"),
            apart=part.text("apart", "") or None,
            draws=any("nonce" in one.names for one in every),
            pages=any("page" in one.names for one in every),
        )
        part.finish()
        return sends

    def _path(self, part: _Part, known: frozenset[str]) -> tuple[str | Expression, ...]:
        path = part.text("path", None, "Write it from the host on:  path: /v1/send")
        if path and not path.startswith("/"):
            part.complain("path", f"is {path!r}", "Begin with a stroke.")
        found: list[str | Expression] = []
        for at, piece in enumerate(re.split(r"\{([^{}]*)\}", path)):
            if at % 2 == 0:
                found.append(piece)
            elif (one := part.compiled("path", piece, known)) is not None:
                found.append(one)
        return tuple(found)

    def _fields(self, part: _Part, key: str, known: frozenset[str]) -> dict[str, Fields]:
        inner = part.part(key)
        found = {name: self._field(inner, (name,), inner.raw(name), known) for name in inner.values}
        return {name: one for name, one in found.items() if one is not None}

    def _field(self, part: _Part, path: tuple[str, ...], value: Any, known: frozenset[str]) -> Fields | None:
        if isinstance(value, dict):
            if value.keys() == {"each", "item"}:
                over = part.compiled((*path, "each"), value["each"], known)
                item = self._field(part, (*path, "item"), value["item"], known | {"item"})
                return None if over is None or item is None else Each(over, item)
            inner = {name: self._field(part, (*path, name), one, known) for name, one in value.items()}
            return {name: one for name, one in inner.items() if one is not None}
        if isinstance(value, list):
            listed = [self._field(part, (*path, str(at)), one, known) for at, one in enumerate(value)]
            return [one for one in listed if one is not None]
        return part.compiled(path, value, known)

    def _hears(self, part: _Part, seen: frozenset[str]) -> tuple[Hears | None, frozenset[str]]:
        known = seen | {"reply", "status", "headers"}
        kind = part.chosen("kind", {one: one for one in ("json", "text", "xml")}, "json")
        pattern = None
        if kind == "text":
            pattern = part.parsed("pattern", _pattern, re.compile(""), "a regular expression with named groups")
            if not pattern.groupindex:
                part.complain("pattern", "names no group", r"Name what is read:  (?P<code>[0-9]+)")
        ok = part.expression("ok", known, "Say when the answer is a yes:  ok: reply.code == '0'")
        hears = None if ok is None else Hears(
            kind=kind,
            pattern=pattern,
            charset=part.parsed("charset", _charset, "utf-8", "a charset, such as gbk"),
            ok=ok,
            code=part.expression("code", known),
            detail=part.expression("detail", known),
            unauthorised=part.expression("unauthorised", known),
            throttled=part.expression("throttled", known),
        )  # fmt: skip
        return hears, known

    def _rows(self, part: _Part, name: str, known: frozenset[str]) -> Rows | None:
        inner = part.part("rows") if isinstance(part.raw("rows"), dict) else _Part(
            part.located, part.path, {"of": part.raw("rows")}, part.complaints
        )  # fmt: skip
        item = known | {"item"} | ({"message"} if name == "submit_bulk" else set())
        of = inner.expression("of", known, "Say where the list stands:  of: reply.data")
        rows = None if of is None else Rows(
            of=of,
            page_size=inner.parsed("page_size", int, 100, "how many rows a full page has"),
            total=inner.expression("total", known),
            match=inner.expression("match", item),
            number=inner.expression("number", item),
            ok=inner.expression("ok", item),
            code=inner.expression("code", item),
            detail=inner.expression("detail", item),
        )  # fmt: skip
        inner.finish()
        return rows

    def _item(self, kind: str) -> dict[str, Expression | Choice]:
        part, known = self.top.part(kind), frozenset({"item", "option"})
        found: dict[str, Expression | Choice] = {}
        for key in ITEMS[kind]:
            if (one := self._value(part, key, known)) is not None:
                found[key] = one
        for key in ITEMS_NEED[kind]:
            if not part.has(key):
                part.complain(key, "is missing", f"Say where it stands:  {key}: item.{key}")
        part.finish()
        return found

    # -- pushes --

    def _pushes(self, part: _Part, items: Mapping[str, Any]) -> Pushes:
        known = EVERYWHERE - {"nonce"} | {"body", "query", "headers", "path", "method", "url", "whole"}
        readers = []
        for one in part.listed("read"):
            kind = one.chosen("as", {name: name for name in (*ITEMS, "nothing")}, None)
            if kind in ITEMS and kind not in items:
                one.complain("as", f"is {kind}, which is described nowhere", f"Write  {kind}:  on the left margin.")
            proofs = [self._proof(proof, known | {"item"}) for proof in one.listed("proof")]
            readers.append(
                Reader(
                    kind=kind,
                    when=one.expression("when", known | {"item"}),
                    proof=next((proof for proof in proofs if proof is not None), None),
                    subject=one.chosen("subject", {"template": "template", "signature": "signature"}, "template"),
                )
            )
            one.finish()
        if not readers:
            part.complain("read", "is missing", "Say what is read:  read: [{as: report}]")
        challenge = part.part("challenge")
        asked = challenge.expression("when", known), challenge.expression("answer", known)
        challenge.finish()
        answer, refusal = part.part("taken"), part.part("refused")
        said = answer.expression("says", known) or answer.text("body", "")
        pushes = Pushes(
            charset=part.parsed("charset", _charset, "utf-8", "a charset, such as gbk"),
            json_in=part.words("json_in"),
            twice=part.flag("twice"),
            items=part.expression("items", known),
            proof=tuple(found for proof in part.listed("proof") if (found := self._proof(proof, known)) is not None),
            challenge=None if asked[0] is None or asked[1] is None else (asked[0], asked[1]),
            readers=tuple(readers),
            taken=(
                answer.parsed("status", int, 200, "an HTTP status"),
                answer.text("type", "text/plain"),
                said,
            ),
            refused=Acknowledgement(
                status=refusal.parsed("status", int, 400, "an HTTP status from 400"),
                body=refusal.text("body", "").encode(),
                content_type=refusal.text("type", "text/plain"),
            ),
        )
        if pushes.refused.status < 400:
            refusal.complain("status", f"is {pushes.refused.status}", "A refusal has an HTTP status from 400.")
        for one in (answer, refusal, part):
            one.finish()
        return pushes

    def _proof(self, part: _Part, known: frozenset[str]) -> Proof | None:
        expect = part.expression("expect", known, "Say what the right signature is.")
        given = part.expression("given", known, "Say where the given signature stands.")
        proof = None if expect is None or given is None else Proof(
            expect=expect,
            given=given,
            any_case=part.flag("any_case"),
            fresh=part.expression("fresh", known),
            once=part.expression("once", known),
            when=part.expression("when", known),
        )  # fmt: skip
        part.finish()
        return proof

    def _check_pairs(self, operations: Mapping[str, Operation], items: Mapping[str, Any]) -> None:
        top = self.top
        for left, right in PAIRED:
            if top.has(left) != top.has(right):
                there, missing = (left, right) if top.has(left) else (right, left)
                top.complain(there, f"is there without {missing}", f"Describe {missing} too.")
        for name, kind in (
            ("pull_reports", "report"),
            ("pull_inbound", "inbound"),
            ("query_signature", "decision"),
            ("query_template", "decision"),
        ):
            if name in operations and kind not in items:
                top.complain(name, f"needs to know what a {kind} is", f"Write  {kind}:  on the left margin.")


def _expressions(tree: Any) -> Iterator[Expression]:
    if isinstance(tree, Expression):
        yield tree
    elif isinstance(tree, Each):
        yield tree.over
        yield from _expressions(tree.item)
    elif isinstance(tree, Mapping):
        for one in tree.values():
            yield from _expressions(one)
    elif isinstance(tree, list | tuple):
        for one in tree:
            yield from _expressions(one)


def _positive(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text) or float(text) == 0:
        raise ValueError(text)
    return float(text)


def _charset(text: str) -> str:
    try:
        "".encode(text)
    except LookupError as error:
        raise ValueError(text) from error
    return text


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(text) from error
