"""Qiniu's side of the wire: its SMS interface as its documents describe it (facts/vendors/qiniu.md).

Sends by template; a template is bound to a signature, or each message names one. Errors are HTTP 4xx with `error`,
`message`, `request_id`. Caps on one number are told in reports only, and no figures are documented, so by default there
are none but one marketing message in 24 hours. Options: `same_content` (in five minutes), `per_number_per_day`,
`marketing_per_day`, `caps: lifted`, `stale: accepted` (X-Qiniu-Date), `records: go` (fields as the Go client has them).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from harness.domain import DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import Claim, Door, Kept, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    digest_id,
    filled,
    has_link,
    hear,
    mainland,
    names_in,
    national,
    pairs,
    read_json,
    whole,
)

_JSON: Final = "application/json"
_FRESH: Final = timedelta(minutes=15)
_FIVE_MINUTES: Final = 300.0
_DAY: Final = 86_400.0
_FIRST_ID: Final = 1_136_198_341_632_512_000  # ids have 19 digits
_FILED_AT: Final = 1_640_995_200  # what an account has from the start was filed on 2022-01-01
_LONGEST_SIGNATURE: Final = 8
_MOST_RECORDS: Final = 200
_SOURCES: Final = frozenset(
    ["enterprises_and_institutions", "website", "app", "public_number_or_small_program", "store_name", "trade_name"]
)
_KINDS: Final = {
    "verification": Purpose.VERIFICATION,
    "notification": Purpose.NOTIFICATION,
    "marketing": Purpose.MARKETING,
}
_STATES: Final = {DeliveryState.DELIVERED: "success", DeliveryState.UNKNOWN: "sending"}

ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "BadToken": (401, "Your authorization token is invalid"),
    "InvalidQueryValue": (400, "The query value is invalid."),
    "MalformedJSON": (400, "The JSON you provided was not well-formed."),
    "NotFoundError": (404, "Not found."),
    "AccountBalanceNotEnough": (403, "Your account balance is not enough."),
    "FreezedUserError": (403, "Your account is frozen."),
    "ServerInternalError": (500, "We encountered an internal error. Please try again."),
}
REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BALANCE: "AccountBalanceNotEnough",
    Reason.AUTH: "FreezedUserError",
    Reason.VENDOR_FAULT: "ServerInternalError",
}
"""What has no word of its own at once is taken, and told in a report."""
REPORTED: Final[Mapping[Reason, str]] = {
    Reason.INVALID_NUMBER: "1",
    Reason.BLACKLISTED: "10",
    Reason.OPTED_OUT: "601",
    Reason.FREQUENCY_CAP: "17",
    Reason.SENSITIVE_CONTENT: "XA:0004",
}
_REPORTED_OTHERWISE: Final = "11"
_SOON: Final = timedelta(seconds=2)

Params = Mapping[str, Any]


class _Refusal(Exception):
    """A request refused with one of the vendor's words."""

    def __init__(self, word: str, detail: str = "") -> None:
        super().__init__(word)
        self.word, self.detail = word, detail or ERRORS[word][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """A template with the signature it is bound to, if it is."""

    id: str
    name: str
    text: str
    purpose: Purpose
    status: str
    reason: str = ""
    signature: str | None = None
    filed_at: int = _FILED_AT
    decided_at: int = _FILED_AT


class Counterpart:
    """Qiniu for one account."""

    push_batch = 100
    push_retry = (timedelta(minutes=1), timedelta(minutes=3), timedelta(minutes=6))  # "within 10 minutes"

    template = "11361983{:011d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "access_key")
        self._secret = credential(door.credentials, "secret_key", "access_secret")
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        request_id = digest_id(self._door.label, counted(self._door.memory, "requests"))[:16]
        named = {"X-Reqid": request_id}  # without it the vendor's own client believes no answer
        try:
            self._admit(heard)
            return answer_json(200, self._act(heard), content_type=_JSON, headers=named)
        except _Refusal as refusal:
            status = ERRORS[refusal.word][0]
            body = {"error": refusal.word, "message": refusal.detail, "request_id": request_id}
            return answer_json(status, body, content_type=_JSON, headers=named)

    def _admit(self, heard: Heard) -> None:
        word, _, token = heard.headers.get("authorization", "").partition(" ")
        key, _, given = token.partition(":")
        if word != "Qiniu" or key != self._key:
            raise _Refusal("BadToken")
        target = heard.path + (f"?{heard.query.decode('latin-1')}" if heard.query else "")
        kind = heard.headers.get("content-type", "")
        lines = [f"{heard.method} {target}", f"Host: {heard.headers.get('host', '')}"]
        lines += [f"Content-Type: {kind}"] if kind else []
        own = sorted(name for name in heard.headers if name.startswith("x-qiniu-"))
        lines += [f"{'-'.join(part.capitalize() for part in name.split('-'))}: {heard.headers[name]}" for name in own]
        body = heard.body if kind and kind != "application/octet-stream" else b""
        signed = "\n".join(lines).encode("latin-1", "replace") + b"\n\n" + body
        mac = hmac.new(self._secret.encode(), signed, hashlib.sha1).digest()
        right = (base64.urlsafe_b64encode(mac).decode(), base64.b64encode(mac).decode())  # clients use either
        if not any(hmac.compare_digest(one.encode(), given.encode("utf-8", "replace")) for one in right):
            raise _Refusal("BadToken")
        self._check_date(heard.headers.get("x-qiniu-date"))

    def _check_date(self, written: str | None) -> None:
        """X-Qiniu-Date may be absent; where it is there, it is near to now."""
        if written is None or self._door.options.get("stale") == "accepted":
            return
        try:
            at = datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise _Refusal("BadToken", "X-Qiniu-Date is malformed") from None
        if abs(self._door.now() - at) > _FRESH:
            raise _Refusal("BadToken", "X-Qiniu-Date is out of range")

    def _act(self, heard: Heard) -> dict[str, Any]:
        act = ACTIONS.get((heard.method, heard.path))
        if act is None:
            raise _Refusal("NotFoundError")
        if heard.method == "GET":
            return act(self, dict(pairs(heard.query)))
        try:
            params = read_json(heard.body)
        except ValueError:
            raise _Refusal("MalformedJSON") from None
        if not isinstance(params, dict):
            raise _Refusal("MalformedJSON")
        return act(self, params)

    # -- sending ----------------------------------------------------------------------------------------------

    def _send_single(self, params: Params) -> dict[str, Any]:
        text, template = self._rendered(params)
        return {"message_id": self._send_one(_word(params, "mobile"), text, template, _seq(params))}

    def _send(self, params: Params) -> dict[str, Any]:
        text, template = self._rendered(params)
        mobiles = params.get("mobiles")
        if not isinstance(mobiles, list) or not mobiles or not all(mainland(str(one)) for one in mobiles):
            raise _Refusal("InvalidQueryValue", "mobiles is invalid")
        job = str(_FIRST_ID + 10**9 + counted(self._door.memory, "jobs"))
        for mobile in mobiles:
            key = self._send_one(str(mobile), text, template, _seq(params))
            self._door.memory.setdefault("jobs of", {})[key] = job
        return {"job_id": job}

    def _send_one(self, mobile: str, text: str, template: _Template, seq: str | None) -> str:
        number = mainland(mobile)
        if number is None:
            raise _Refusal("InvalidQueryValue", "mobile is invalid")
        key = str(_FIRST_ID + counted(self._door.memory, "messages"))
        if (code := self._capped(number, text, template.purpose)) is not None:
            self._fail_later(key, number, code, seq)
            return key
        outcome = self._door.submit(
            Submission(number=number, text=text, purpose=template.purpose, template=template.id, reference=seq, key=key)
        )
        if isinstance(outcome, Turned):
            if outcome.reason in REFUSALS:
                raise _Refusal(REFUSALS[outcome.reason])
            self._fail_later(key, number, REPORTED.get(outcome.reason, _REPORTED_OTHERWISE), seq)
            return key
        at = self._door.now().timestamp()
        self._sent.add((number,), at)
        self._sent.add((number, _short(text)), at)
        if template.purpose is Purpose.MARKETING:
            self._sent.add((number, "marketing"), at)
        return key

    def _capped(self, number: str, text: str, purpose: Purpose) -> str | None:
        """The report's code for one message too many."""
        at, options = self._door.now().timestamp(), self._door.options
        same = self._sent.after((number, _short(text)), at - _FIVE_MINUTES)
        day = self._sent.after((number,), at - _DAY)
        marketing = self._sent.after((number, "marketing"), at - _DAY) if purpose is Purpose.MARKETING else -1
        for name, default, count, code in (
            ("marketing_per_day", 1, marketing, "908"),
            ("same_content", None, same, "8"),
            ("per_number_per_day", None, day, "17"),
        ):
            limit = cap(options, name, default)
            if limit is not None and count >= limit:
                return code
        return None

    def _fail_later(self, key: str, number: str, code: str, seq: str | None) -> None:
        """Taken, never sent, and told so in a report."""
        item: dict[str, Any] = {"mobile": national(number), "message_id": key, "status": "FAILED", "error": code}
        item["delivrd_at"] = int(self._door.now().timestamp())
        if seq:
            item["seq"] = seq
        self._door.push_later(_push([item]), "reports", _SOON)

    def _rendered(self, params: Params) -> tuple[str, _Template]:
        template = self._templates().get(_word(params, "template_id"))
        if template is None:
            raise _Refusal("NotFoundError", "template not found")
        if template.status != "passed":
            raise _Refusal("InvalidQueryValue", "template is not passed")
        wanted = params.get("signature_id")
        if wanted is not None:
            signature = next((one for one in self._signatures() if one["id"] == str(wanted)), None)
        else:
            signature = next((one for one in self._signatures() if _is_bound(one, template)), None)
        if signature is None or signature["audit_status"] != "passed":
            raise _Refusal("InvalidQueryValue", "signature is not passed")
        values = params.get("parameters", {})
        if not isinstance(values, dict) or any(isinstance(value, dict | list) for value in values.values()):
            raise _Refusal("MalformedJSON")
        texts = {name: str(value) for name, value in values.items()}
        if any(name not in texts for name in names_in(template.text)) or any(map(has_link, texts.values())):
            raise _Refusal("InvalidQueryValue", "parameters is invalid")
        return f"【{signature['signature']}】{filled(template.text, texts)}", template

    # -- signatures and templates -----------------------------------------------------------------------------

    def _signatures(self) -> list[dict[str, Any]]:
        """Those that the account has from the start, then those handed in, each the latest of its text."""
        reviewed = {review.text: review for review in self._door.reviews(Subject.SIGNATURE)}
        rows = [
            _signature_row(str(_FIRST_ID - 1 - place), name, "passed" if approved else "rejected")
            for place, (name, approved) in enumerate(self._door.signatures.items())
            if name not in reviewed
        ]
        for review in self._door.reviews(Subject.SIGNATURE):
            rows.append(
                {
                    **_signature_row(_review_id(review.number), review.text, _status(review)),
                    "source": review.extra["source"],
                    **_review_fields(review),
                }
            )
        return rows

    def _templates(self) -> dict[str, _Template]:
        found = {
            filed.id: _Template(
                id=filed.id,
                name=filed.id,
                text=filed.text,
                purpose=filed.purpose,
                status="passed" if filed.approved else "rejected",
            )
            for filed in self._door.templates.values()
        }
        for review in self._door.reviews(Subject.TEMPLATE):
            fields = _review_fields(review)
            found[_review_id(review.number)] = _Template(
                id=_review_id(review.number),
                name=review.name,
                text=review.text,
                purpose=review.purpose,
                status=_status(review),
                reason=fields["reject_reason"],
                signature=review.extra["signature_id"],
                filed_at=fields["created_at"],
                decided_at=fields["updated_at"],
            )
        return found

    def _add_signature(self, params: Params) -> dict[str, Any]:
        name, source = _word(params, "signature"), _word(params, "source")
        if len(name) > _LONGEST_SIGNATURE or source not in _SOURCES:
            raise _Refusal("InvalidQueryValue", "signature or source is invalid")
        review = self._door.submit_review(
            subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra={"source": source}
        )
        return {"signature_id": _review_id(review.number)}

    def _add_template(self, params: Params) -> dict[str, Any]:
        name, text, kind = (_word(params, each) for each in ("name", "template", "type"))
        _word(params, "description")
        signature = next((one for one in self._signatures() if one["id"] == _word(params, "signature_id")), None)
        if kind not in _KINDS or signature is None or signature["audit_status"] != "passed":
            raise _Refusal("InvalidQueryValue", "type or signature_id is invalid")
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=name,
            text=text.replace("${", "{"),
            purpose=_KINDS[kind],
            extra={"signature_id": signature["id"]},
        )
        return {"template_id": _review_id(review.number)}

    def _list_signatures(self, params: Params) -> dict[str, Any]:
        return _paged(self._signatures(), params)

    def _list_templates(self, params: Params) -> dict[str, Any]:
        words = {purpose: kind for kind, purpose in _KINDS.items()}
        texts = {one["id"]: one["signature"] for one in self._signatures()}
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "template": one.text.replace("{", "${"),
                "audit_status": one.status,
                "reject_reason": one.reason,
                "type": words[one.purpose],
                "signature_id": one.signature or "",
                "signature_text": texts.get(one.signature or "", ""),
                "created_at": one.filed_at,
                "updated_at": one.decided_at,
            }
            for one in self._templates().values()
        ]
        return _paged(rows, params)

    # -- records ----------------------------------------------------------------------------------------------

    def _messages(self, params: Params) -> dict[str, Any]:
        """Of one number or of all, the latest first."""
        page, size = (
            whole(params.get("page") or "1", 1, 10**6),
            whole(params.get("page_size") or "20", 1, _MOST_RECORDS),
        )
        start, end = (
            whole(params.get(name) or default, 0, 10**11) for name, default in (("start", "0"), ("end", "9" * 10))
        )
        if page is None or size is None or start is None or end is None:
            raise _Refusal("InvalidQueryValue")
        number = mainland(params["mobile"]) if params.get("mobile") else None
        if params.get("mobile") and number is None:
            raise _Refusal("InvalidQueryValue", "mobile is invalid")
        since, until = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end + 1, UTC)
        rows = [self._record(kept) for kept in reversed(self._door.records(number, since, until))]
        for name in ("job_id", "message_id", "status", "type"):
            if params.get(name):
                rows = [row for row in rows if row[name] == params[name]]
        return {"page": page, "page_size": size, "items": rows[(page - 1) * size : page * size]}

    def _record(self, kept: Kept) -> dict[str, Any]:
        template = self._templates().get(kept.template or "")
        words = {purpose: kind for kind, purpose in _KINDS.items()}
        go = self._door.options.get("records") == "go"
        row: dict[str, Any] = {
            "message_id": kept.key,
            "job_id": self._door.memory.get("jobs of", {}).get(kept.key, ""),
            "mobile": national(kept.number),
            "content": kept.text,
            "status": _STATES.get(kept.state, "failed"),
            "type": words[template.purpose] if template else "",
            "error": kept.code if kept.state not in _STATES else "",
            "count": kept.segments,
            "createat" if go else "created_at": int(kept.submitted_at.timestamp()),
        }
        if kept.state is DeliveryState.DELIVERED and kept.claimed_at is not None:
            row["delivrat" if go else "delivrd_at"] = int(kept.claimed_at.timestamp())
        return row

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        items = []
        for claim in claims:
            is_delivered = claim.state is DeliveryState.DELIVERED
            item: dict[str, Any] = {
                "mobile": national(claim.number),
                "message_id": claim.key,
                "status": "DELIVRD" if is_delivered else "FAILED",
                "delivrd_at": int(claim.claimed_at.timestamp()),
            }
            if not is_delivered:
                item["error"] = claim.code
            if claim.reference:
                item["seq"] = claim.reference
            if job := self._door.memory.get("jobs of", {}).get(claim.key):
                item["job_id"] = job
            items.append(item)
        return _push(items)

    def push_reply(self, reply: Reply) -> PushOut | None:
        return _push(
            [
                {
                    "mobile": national(reply.number),
                    "content": reply.text,
                    "time": int(reply.sent_at.timestamp()),
                    "dest_code": reply.to,
                }
            ]
        )

    def push_decision(self, review: Review) -> None:
        """No decision is pushed."""

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200


ACTIONS: Final[Mapping[tuple[str, str], Callable[[Counterpart, Params], dict[str, Any]]]] = {
    ("POST", "/v1/message"): Counterpart._send,
    ("POST", "/v1/message/single"): Counterpart._send_single,
    ("GET", "/v1/messages"): Counterpart._messages,
    ("POST", "/v1/signature"): Counterpart._add_signature,
    ("GET", "/v1/signature"): Counterpart._list_signatures,
    ("POST", "/v1/template"): Counterpart._add_template,
    ("GET", "/v1/template"): Counterpart._list_templates,
}
"""Not here: changing and deleting, messages abroad, whole texts."""


def _word(params: Params, name: str) -> str:
    """A text that has to be there."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise _Refusal("InvalidQueryValue", f"{name} is invalid")
    return value


def _seq(params: Params) -> str | None:
    value = params.get("seq")
    return value if isinstance(value, str) and value else None


def _is_bound(signature: Mapping[str, Any], template: _Template) -> bool:
    """Whether a template goes out with this signature; one from the account's start goes with any that stands."""
    if template.signature is not None:
        return bool(signature["id"] == template.signature)
    return bool(signature["audit_status"] == "passed")


def _signature_row(own: str, name: str, status: str) -> dict[str, Any]:
    return {
        "id": own,
        "signature": name,
        "source": "enterprises_and_institutions",
        "audit_status": status,
        "reject_reason": "",
        "created_at": _FILED_AT,
        "updated_at": _FILED_AT,
    }


def _review_id(number: int) -> str:
    return str(_FIRST_ID + 2 * 10**9 + number)


def _status(review: Review) -> str:
    return {None: "reviewing", ReviewVerdict.APPROVED: "passed"}.get(review.verdict, "rejected")


def _review_fields(review: Review) -> dict[str, Any]:
    return {
        "reject_reason": review.reason if review.verdict is ReviewVerdict.REJECTED else "",
        "created_at": int(review.created_at.timestamp()),
        "updated_at": int((review.decided_at or review.created_at).timestamp()),
    }


def _paged(rows: Sequence[dict[str, Any]], params: Params) -> dict[str, Any]:
    wanted = params.get("audit_status")
    among = [row for row in rows if wanted in (None, "", row["audit_status"])]
    page, size = whole(params.get("page") or "1", 1, 10**6), whole(params.get("page_size") or "20", 1, 10**6)
    if page is None or size is None:
        raise _Refusal("InvalidQueryValue")
    return {"items": among[(page - 1) * size : page * size], "total": len(among), "page": page, "page_size": size}


def _push(items: Sequence[Mapping[str, Any]]) -> PushOut:
    body = json.dumps({"items": items}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return PushOut(body=body, content_type=_JSON)


def _short(text: str) -> str:
    """What stands for a text in the tally."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
