"""Huawei Cloud Message & SMS 华为云短信: forms and JSON, known by X-WSSE, or signed SDK-HMAC-SHA256 (`auth: aksk`).

Sends by template with parameters by position, one smsMsgId a number; every part of a long message has its own report.
Templates and signatures are another interface at another host, with a key pair of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from harness.capabilities import (
    Account,
    Acknowledgement,
    Capability,
    Credential,
    Document,
    Manifest,
    Mapped,
    NotOffered,
    NotYetWritten,
    Pace,
    Push,
    PushRefused,
    PushRequest,
    Standing,
    Tools,
)
from harness.domain import (
    Accepted,
    DeliveryState,
    InboundMessage,
    Message,
    Outcome,
    Purpose,
    Reason,
    Refused,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Throttled, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import Flow, read_object
from harness.text import fill, variables
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "E000000": Mapped(Reason.VENDOR_FAULT, note="系统异常; also where they cannot parse what we sent"),
    "E000001": Mapped(Reason.AUTH, note="no Authorization"),
    "E000002": Mapped(Reason.AUTH, note="no realm"),
    "E000003": Mapped(Reason.AUTH, note="no profile"),
    "E000004": Mapped(Reason.AUTH, note="realm is not SDP"),
    "E000005": Mapped(Reason.AUTH, note="profile is not UsernameToken"),
    "E000006": Mapped(Reason.AUTH, note="type is not Appkey"),
    "E000007": Mapped(Reason.AUTH, note="no type"),
    "E000008": Mapped(Reason.AUTH, note="no WSSE"),
    "E000020": Mapped(Reason.AUTH, note="no X-WSSE"),
    "E000021": Mapped(Reason.AUTH, note="no Username"),
    "E000022": Mapped(Reason.AUTH, note="no Nonce"),
    "E000023": Mapped(Reason.AUTH, note="no Created"),
    "E000024": Mapped(Reason.AUTH, "inferred", "no PasswordDigest"),
    "E000025": Mapped(Reason.AUTH, "inferred", "E000025 to E000029: wrong name, form, digest, or stale nonce"),
    "E000026": Mapped(Reason.AUTH, "inferred"),
    "E000027": Mapped(Reason.AUTH, "inferred"),
    "E000028": Mapped(Reason.AUTH, "inferred"),
    "E000029": Mapped(Reason.AUTH, "inferred"),
    "E000045": Mapped(Reason.AUTH, note="the signature of `auth: aksk`"),
    # One copy calls this family a matter of parameters; their own page says what each is for, as far as it was read.
    "E000101": Mapped(Reason.AUTH, note="鉴权失败"),
    "E000102": Mapped(Reason.AUTH, note="app_key"),
    "E000103": Mapped(Reason.AUTH, "inferred"),
    "E000104": Mapped(Reason.AUTH, "inferred"),
    "E000105": Mapped(Reason.AUTH, "inferred"),
    "E000106": Mapped(Reason.AUTH, "inferred"),
    "E000107": Mapped(Reason.AUTH, "inferred"),
    "E000108": Mapped(Reason.AUTH, "inferred"),
    "E000109": Mapped(Reason.AUTH, note="the user is not active"),
    "E000110": Mapped(Reason.AUTH, note="our clock is wrong"),
    "E000111": Mapped(Reason.AUTH, note="name or password"),
    "E000112": Mapped(Reason.AUTH, note="the user is frozen: for arrears, or for what was sent"),
    "E000503": Mapped(Reason.BAD_REQUEST, note="a parameter is malformed"),
    "E000510": Mapped(Reason.UNMAPPED, note="sending failed: the number's own status says why"),
    "E000620": Mapped(Reason.AUTH, note="our address is not allowed"),
    "E000623": Mapped(Reason.QUOTA, "inferred", "a limit a day"),
    # The status of a number, in the answer or in its report.
    "E200015": Mapped(Reason.THROTTLED, "inferred", "too many are waiting: may be tried again"),
    "E200018": Mapped(Reason.BAD_REQUEST, note="the channel (from) is not the application's"),
    "E200020": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="the signature is not the channel's"),
    "E200027": Mapped(Reason.ROUTING, note="no route for the application"),
    "E200028": Mapped(Reason.BAD_REQUEST, note="the template's variables"),
    "E200029": Mapped(Reason.TEMPLATE_NOT_APPROVED, "inferred", "the template's type"),
    "E200030": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="the template is not active"),
    "E200031": Mapped(Reason.UNMAPPED, note="a check of the protocol failed: which, is not said"),
    "E200033": Mapped(Reason.TEMPLATE_NOT_APPROVED, "inferred", "the template's type"),
    "E200041": Mapped(Reason.BAD_REQUEST, note="a number twice in one request"),
    # Templates and signatures.
    "MSGSMS.0001": Mapped(Reason.VENDOR_FAULT),
    "MSGSMS.0002": Mapped(Reason.BAD_REQUEST),
    "MSGSMS.0003": Mapped(Reason.AUTH),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "MILIMIT": Mapped(Reason.FREQUENCY_CAP, note="a minute"),
    "LIMIT": Mapped(Reason.FREQUENCY_CAP, note="a day"),
    "BEYONDN": Mapped(Reason.FREQUENCY_CAP, note="号码达到下发限制"),
    "CTLIMIT": Mapped(Reason.FREQUENCY_CAP, note="a day"),
    "KEYWORD": Mapped(Reason.SENSITIVE_CONTENT),
    "BLACK": Mapped(Reason.BLACKLISTED, note="blacklisted, opted out or complained"),
    "TDBLACK": Mapped(Reason.BLACKLISTED, note="blacklisted, opted out or complained"),
    "TSBLACK": Mapped(Reason.BLACKLISTED, note="blacklisted, opted out or complained"),
    "MBBLACK": Mapped(Reason.BLACKLISTED, note="blacklisted, opted out or complained"),
}
"""Codes of suppliers as this vendor explains them; failures on its own side reuse REASONS."""

BULK_LIMIT: Final = 500  # numbers; and the whole request is at most 64 KiB
_BULK_BYTES: Final = 64 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_SIGNATURES: Final = 100  # of one list; an account has at most 200
_SKEW: Final = timedelta(minutes=15)
_DONE: Final = "000000"
_SEE_STATUS: Final = "E000510"
_KINDS: Final = {
    Purpose.VERIFICATION: "VERIFY_CODE_TYPE",
    Purpose.NOTIFICATION: "NOTIFY_TYPE",
    Purpose.MARKETING: "PROMOTION_TYPE",
}
_VARIABLES: Final = {Purpose.VERIFICATION: "CHARDIGIT"}  # all others are TEXT
_TEMPLATE_VERDICTS: Final = {
    "Pending": None,
    "Reviewing": None,
    "SignReviewing": None,
    "Adopted": ReviewVerdict.APPROVED,
    "Adopted_inactive": ReviewVerdict.APPROVED,
    "Reject": ReviewVerdict.REJECTED,
}
_SIGNATURE_VERDICTS: Final = {
    "PENDING_REVIEW": None,
    "PROCESSING": None,  # the words passed, papers and channel come next
    "PENDING_QUALIFICATION_REVIEW": None,
    "REVIEW_NOT_PASS": ReviewVerdict.REJECTED,
    "REVIEW_PASSED": ReviewVerdict.APPROVED,
    "REVIEW_PROCESSING_COMPLETED": ReviewVerdict.APPROVED,
    # Approved; how its filing with the carriers goes is another matter.
    "REAL_NAME_REGISTRATING": ReviewVerdict.APPROVED,
    "REVIEW_PASSED_QUALIFICATION_PROCESSING": ReviewVerdict.APPROVED,
    "REVIEW_PASSED_REAL_NAME_REGISTRATING": ReviewVerdict.APPROVED,
    "REVIEW_PASSED_REAL_NAME_REGISTRATE_FAIL": ReviewVerdict.APPROVED,
}
_STATES: Final = {
    "DELIVRD": DeliveryState.DELIVERED,
    "ACCEPTD": DeliveryState.UNKNOWN,
    "UNKNOWN": DeliveryState.UNKNOWN,
}
_AUTHORIZATION: Final = re.compile(r"SDK-HMAC-SHA256 Access=([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})")
# What they want to hear is not documented.
_TAKEN: Final = Acknowledgement(body=b"{}")
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b"{}")


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def password_digest(nonce: str, created: str, secret: str, form: str = "hex") -> str:
    """X-WSSE's digest: Base64 of a SHA-256 in hex, as in the vendor's sample, or of its 32 bytes (`raw`)."""
    digest = signing.sha256_hex(f"{nonce}{created}{secret}".encode())
    return signing.base64_text(bytes.fromhex(digest) if form == "raw" else digest.encode())


def wsse(key: str, secret: str, nonce: str, created: str, form: str = "hex") -> dict[str, str]:
    """The two headers of X-WSSE."""
    digest = password_digest(nonce, created, secret, form)
    return {
        "authorization": 'WSSE realm="SDP",profile="UsernameToken",type="Appkey"',
        "x-wsse": f'UsernameToken Username="{key}",PasswordDigest="{digest}",Nonce="{nonce}",Created="{created}"',
    }


def canonical_path(path: str) -> str:
    """The path, each part percent-encoded, and with a stroke at its end that the request has not."""
    parts = "/".join(signing.percent(part) for part in path.split("/"))
    return parts if parts.endswith("/") else f"{parts}/"


def canonical_headers(headers: Mapping[str, str]) -> str:
    """One "name:value" line a header, sorted, each line ended."""
    return "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))


def signed_names(headers: Mapping[str, str]) -> str:
    """The signed headers' names, sorted."""
    return ";".join(sorted(headers))


def payload(headers: Mapping[str, str], body: bytes) -> str:
    """The body's digest, or the word that says it is not signed, where a header announces that."""
    return _UNSIGNED if headers.get("x-sdk-content-sha256") == _UNSIGNED else signing.sha256_hex(body)


def canonical_request(method: str, path: str, query: str, headers: Mapping[str, str], digest: str) -> str:
    """The six parts: method, path, sorted query, headers, their names, the body's digest."""
    parts = (method, canonical_path(path), query, canonical_headers(headers), signed_names(headers), digest)
    return "\n".join(parts)


def authorization(key: str, secret: str, headers: Mapping[str, str], request: str) -> str:
    """The Authorization header; the secret itself is the HMAC key, nothing is derived from it."""
    to_sign = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{signing.sha256_hex(request.encode())}"
    signature = signing.hmac_sha256(secret.encode(), to_sign.encode()).hex()
    return f"SDK-HMAC-SHA256 Access={key}, SignedHeaders={signed_names(headers)}, Signature={signature}"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Vendor:
    """One application (app_key) at Huawei Cloud Message & SMS."""

    manifest = Manifest(
        id="huawei",
        name={"zh-CN": "华为云短信", "en": "Huawei Cloud SMS"},
        credentials=(
            Credential("app_key"),
            Credential("app_secret", secret=True),
            Credential("sender"),  # the channel number of the signature: `from`
            Credential("access_key", optional=True),  # of IAM: templates and signatures only
            Credential("secret_key", secret=True, optional=True),
            Credential("project_id", optional=True),
            Credential("push_key", optional=True),  # for `push_auth: aksk`
            Credential("push_secret", secret=True, optional=True),
        ),
        documents=(
            Document("MSGSMS: batchSendSms, batchSendDiffSms, 认证鉴权, 接收状态报告, 接收上行短信", date(2026, 3, 2)),
            Document("MSGSMS v2: templates and signatures; 错误码", date(2026, 3, 2)),
            Document("产品售卖策略变更通知: no new customers since 2025-01-10", date(2026, 3, 2)),
        ),
        absent={
            Capability.PULLS_REPORTS: NotOffered("reports are pushed only"),
            Capability.PULLS_INBOUND: NotOffered("replies are pushed only"),
            Capability.FINDS_RECORDS: NotOffered("records are shown in the console only, for 90 days"),
            Capability.TELLS_STATISTICS: NotOffered("statistics are shown in the console only"),
            Capability.TELLS_BALANCE: NotYetWritten("told by the billing product (BSS), not by the SMS interface"),
            Capability.TELLS_PRICES: NotYetWritten("told by the billing product (BSS), not by the SMS interface"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("the blacklist is shown in the console only"),
            Capability.EDITS_BLACKLIST: NotOffered("a number is taken off the list by a request in the console only"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://smsapi.cn-north-4.myhuaweicloud.com",
        endpoints={"management": "https://msgsms.cn-north-4.myhuaweicloud.com"},
        # 500 numbers a second are recommended; one number gets two codes a minute and 50 messages a day.
        pace=Pace(per_second=500, burst=50, same_number_seconds=30, per_number_per_day=50),
        by_template=True,
        push_is_signed=True,  # if the console is told to
        options={
            "auth": "wsse",  # or aksk
            "wsse_digest": "hex",  # or raw: the document's formula and its sample differ
            "universal_templates": "0",  # 1: templates for any signature, which then goes along with each message
            "push_auth": "none",  # or aksk, when 推送AK/SK is switched on in the console
            "app_id": "",  # the rest is needed to file templates or signatures
            "sign_id": "",  # looked up by the signature's name, if it is not told
            "signature_source": "0",
            "qualification_id": "",
            "file_id": "",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = httpx.URL(reading.base(account, self.manifest))
        # Both interfaces have a host a region, told apart by its first word; any other host is taken for both.
        beside = reading.base(account, self.manifest, "management").replace("://smsapi.", "://msgsms.")
        self._management = httpx.URL(beside)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        if message.template is None:
            raise reading.not_sent("Huawei Cloud sends by template, and this message names none")
        fields = {"from": self._sender, "to": message.to.number, "templateId": message.template}
        if message.parameters:
            fields["templateParas"] = _compact(list(message.parameters.values()))
        fields |= self._callback()
        if message.reference:
            fields["extend"] = message.reference
        if self._universal:
            fields["signature"] = message.signature
        reply = yield self._send("/sms/batchSendSms/v1", _FORM, urlencode(fields).encode("ascii"))
        body, code = _answer(reply)
        match _results(body, code):
            case [dict() as entry]:
                outcome = _outcome(entry)
                return _refused(outcome.code, outcome.detail) if isinstance(outcome, Refused) else outcome
            case []:
                return _refused(code, _words(body))
        raise Unintelligible("expected the status of one number", body=reply.content)

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """No extend: one would stand for all, and every report would carry the same reference."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        if any(message.template is None for message in messages):
            raise reading.not_sent("Huawei Cloud sends by template, and a message names none")
        fields = {"from": self._sender, **self._callback(), "smsContent": [self._entry(one) for one in messages]}
        written = json.dumps(fields).encode("ascii")
        if len(written) > _BULK_BYTES:
            raise reading.not_sent(f"one request holds at most {_BULK_BYTES} bytes, got {len(written)}")
        reply = yield self._send("/sms/batchSendDiffSms/v1", "application/json", written)
        body, code = _answer(reply)
        if results := _results(body, code):
            return reading.by_number(messages, results, "originTo", _outcome)
        return (_refused(code, _words(body)),) * len(messages)

    def _entry(self, message: Message) -> dict[str, object]:
        entry: dict[str, object] = {"to": [message.to.number], "templateId": message.template}
        if message.parameters:
            entry["templateParas"] = list(message.parameters.values())
        if self._universal:
            entry["signature"] = message.signature
        return entry

    def _callback(self) -> dict[str, str]:
        return {"statusCallback": reading.door(self._account.push_url, "reports")} if self._account.push_url else {}

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        source = self._options["signature_source"]
        fields = {
            "app_id": self._needed("app_id"),
            "signature_name": draft.text,
            "signature_type": _KINDS[draft.purpose],
            "signature_source": int(source) if re.fullmatch(r"[0-5]", source) else source,
            "is_involved_third": "No",
        }
        fields |= {name: self._options[name] for name in ("qualification_id", "file_id") if self._options[name]}
        if draft.remark:
            fields["apply_desc"] = draft.remark
        reply = yield self._manage("POST", "signatures", fields)
        return _ticket(reply, Subject.SIGNATURE, draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._manage("GET", f"signatures/{signing.percent(ticket)}")
        return _decision(reply, Subject.SIGNATURE, ticket, "status", _SIGNATURE_VERDICTS)

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        app, sign = self._needed("app_id"), (yield from self._sign_id(draft.signature or self._account.signature))
        names = variables(draft.text)
        kind = _VARIABLES.get(draft.purpose, "TEXT")
        positions = {name: f"${{{place}}}" for place, name in enumerate(names, start=1)}
        fields: dict[str, object] = {
            "app_id": app,
            "region": "cn",
            "sign_id": sign,
            "template_name": draft.name,
            "template_content": fill(draft.text, positions),
            "template_type": _KINDS[draft.purpose],
            "universal_template": 1 if self._universal else 0,
            "variable_attributes": [
                {"variable_index": place, "variable_type": kind} for place in range(1, len(names) + 1)
            ],
            "flow_status": "Reviewing",
        }
        if draft.remark:
            fields["template_desc"] = draft.remark
        reply = yield self._manage("POST", "templates", fields)
        return _ticket(reply, Subject.TEMPLATE, draft.name)

    def _sign_id(self, name: str) -> Flow[str]:
        """The vendor's id of a filed signature: the account's option, or looked up by the signature's name."""
        if self._options["sign_id"]:
            return self._options["sign_id"]
        reply = yield self._manage("GET", "signatures", query=f"limit={_SIGNATURES}&offset=0")
        body, code = _answer(reply)
        if code != _DONE:
            raise reading.denied(code, _words(body), REASONS)
        for item in reading.rows(body, "results"):
            if isinstance(item, dict) and reading.text(item, "signature_name") == name:
                return reading.identifier(item, "id")
        raise reading.not_sent("the signature is none of the account's: name its id in the option sign_id")

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._manage("GET", f"templates/{signing.percent(ticket)}")
        return _decision(reply, Subject.TEMPLATE, ticket, "flow_status", _TEMPLATE_VERDICTS)

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """Reports and replies as forms, or reports as a JSON list; signed if the console is told to."""
        try:
            signed = self._options["push_auth"] == "aksk"
            if signed and not self._is_proven(request):
                raise ValueError("Authorization does not match")
            return reading.sort_push(_items(request.body), _reader, _TAKEN, authenticated=signed)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _is_proven(self, request: PushRequest) -> bool:
        """Whether a push carries our push key's signature, made within a quarter of an hour."""
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if not found or not self._account.credentials.keys() >= {"push_key", "push_secret"}:
            return False
        headers = {name: request.headers[name] for name in found[2].split(";") if name in request.headers}
        if "x-sdk-date" not in headers or not _is_fresh(headers["x-sdk-date"], request.received_at):
            return False
        key, secret = self._account.secret("push_key"), self._account.secret("push_secret")
        digest = payload(request.headers, request.body)
        query = "&".join(sorted(request.query.split("&")))
        whole = canonical_request(request.method, request.path, query, headers, digest)
        ours = authorization(key, secret, headers, whole).rpartition("=")[2]
        return signing.matches(ours, found[3]) and found[1] == key

    # --- the wire ---

    @property
    def _sender(self) -> str:
        return self._account.secret("sender")

    @property
    def _universal(self) -> bool:
        return self._options["universal_templates"] == "1"

    def _needed(self, option: str) -> str:
        if not (value := self._options[option]):
            raise reading.not_sent(f"filing this needs the option {option}")
        return value

    def _send(self, path: str, kind: str, body: bytes) -> httpx.Request:
        url = self._url.copy_with(path=path)
        key, secret = self._account.secret("app_key"), self._account.secret("app_secret")
        headers = {"content-type": kind, "host": url.netloc.decode("ascii")}
        match self._options["auth"]:
            case "wsse":
                created = f"{self._tools.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
                headers |= wsse(key, secret, self._tools.nonce(), created, self._options["wsse_digest"])
            case "aksk":
                headers = self._signed("POST", url, headers, body, key, secret)
            case other:
                raise reading.not_sent(f"option auth is {other!r}, neither wsse nor aksk")
        return httpx.Request("POST", url, headers=headers, content=body)

    def _manage(
        self, method: str, what: str, fields: Mapping[str, object] | None = None, *, query: str = ""
    ) -> httpx.Request:
        """A request about templates or signatures, signed with the key pair of IAM."""
        for name in ("access_key", "secret_key", "project_id"):
            if name not in self._account.credentials:
                raise reading.not_sent(f"templates and signatures need the credential {name}")
        project = self._account.secret("project_id")
        path = f"/v2/{signing.percent(project)}/msgsms/{what}{f'?{query}' if query else ''}"
        url = self._management.copy_with(raw_path=path.encode("ascii"))
        body = b"" if fields is None else json.dumps(fields).encode("ascii")
        headers = {"host": url.netloc.decode("ascii"), "x-project-id": project}
        if fields is not None:
            headers["content-type"] = "application/json"
        key, secret = self._account.secret("access_key"), self._account.secret("secret_key")
        return httpx.Request(method, url, headers=self._signed(method, url, headers, body, key, secret), content=body)

    def _signed(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes, key: str, secret: str
    ) -> dict[str, str]:
        """The headers, all of them signed; the body of a form is not, as in the vendor's own client."""
        whole = {**headers, "x-sdk-date": f"{self._tools.now().astimezone(UTC):%Y%m%dT%H%M%SZ}"}
        if whole.get("content-type") == _FORM:
            whole["x-sdk-content-sha256"] = _UNSIGNED
        request = canonical_request(method, url.path, url.query.decode("ascii"), whole, payload(whole, body))
        return {**whole, "authorization": authorization(key, secret, whole, request)}


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _answer(reply: httpx.Response) -> tuple[dict[str, Any], str]:
    """The body and its code, which the interface for templates calls error_code and leaves out if all is well."""
    body = read_object(reply)
    code = reading.text(body, "code") or reading.text(body, "error_code")
    if (reply.is_error and code in ("", _DONE)) or (not code and not body.keys() & {"id", "results"}):
        raise _by_status(reply, body) or Unintelligible(
            f"HTTP {reply.status_code}: neither a result nor a readable no", body=reply.content
        )
    return body, code or _DONE


def _by_status(reply: httpx.Response, body: Mapping[str, Any]) -> VendorTrouble | None:
    """What the HTTP status says, where no code does."""
    match reply.status_code:
        case 401:
            return Unauthorised("HTTP 401", code="HTTP 401")
        case 429:
            return Throttled("HTTP 429", code="HTTP 429")
        case _:
            return None


def _words(body: Mapping[str, Any]) -> str:
    return reading.text(body, "description") or reading.text(body, "error_msg")


def _refused(code: str, words: str) -> Refused:
    return reading.refused(code, words, REASONS)


def _results(body: Mapping[str, Any], code: str) -> list[Any]:
    """The numbers' own outcomes. Raises Unintelligible for a yes without any."""
    found = reading.rows(body, "result") if code in (_DONE, _SEE_STATUS) else []
    if code == _DONE and not found:
        raise Unintelligible("code is 000000, but no number has an outcome")
    return found


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    if (status := reading.identifier(entry, "status")) != _DONE:
        return reading.no(status, "", REASONS)
    # `total` is 0 in one of the document's own samples.
    return Accepted(
        vendor_message_id=reading.identifier(entry, "smsMsgId"), segments=reading.count(entry, "total") or None
    )


def _ticket(reply: httpx.Response, subject: Subject, name: str) -> Ticket | Refused:
    body, code = _answer(reply)
    if code != _DONE:
        return _refused(code, _words(body))
    return Ticket(subject=subject, id=reading.identifier(body, "id"), name=name)


def _decision(
    reply: httpx.Response, subject: Subject, ticket: str, key: str, verdicts: Mapping[str, ReviewVerdict | None]
) -> ReviewDecision | None:
    body, code = _answer(reply)
    if code != _DONE:
        raise reading.denied(code, _words(body), REASONS)
    status = reading.text(body, key)
    if status not in verdicts:  # "TO_BE_ACTIVATED", "Disable": matters of another kind
        raise VendorTrouble(f"{key} is {status!r}: neither open nor decided", code=status)
    if (verdict := verdicts[status]) is None:
        return None
    return ReviewDecision(
        ticket=ticket,
        subject=subject,
        verdict=verdict,
        reason=reading.text(body, "review_desc"),
        claimed_at=reading.beijing(body, "update_time"),
    )


def _is_fresh(stamp: str, now: datetime) -> bool:
    try:
        made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(now - made) <= _SKEW


def _items(body: bytes) -> list[Any]:
    """The items of a push. Raises ValueError or Unintelligible for what is none."""
    if body.lstrip()[:1] != b"{":
        return [reading.form(body)]
    told = reading.parse(body)
    if "statusReportList" not in told:
        raise ValueError("JSON without statusReportList")
    return reading.rows(told, "statusReportList")


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if "status" in item and "smsMsgId" in item:
        return _report
    return _inbound if item.keys() >= {"from", "body"} else None


def _report(item: dict[str, Any]) -> StatusReport:
    """The report of one part. The number is told only where we sent our reference."""
    code = reading.identifier(item, "status")
    state = _STATES.get(code) or failed_state(code)
    # Made by the platform (source 3) or with a code of its own: before any carrier.
    if state is DeliveryState.UNDELIVERED and (reading.text(item, "source") == "3" or code.startswith("E200")):
        state = DeliveryState.REJECTED
    return StatusReport(
        vendor_message_id=reading.identifier(item, "smsMsgId"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS, REASONS),
        code=code,
        claimed_at=reading.utc(item, "updateTime"),
        number=reading.text(item, "to") or None,
        reference=reading.text(item, "extend") or None,
        billed_segments=reading.count(item, "total") or None,
        segment=reading.count(item, "sequence") or 1,
        detail=reading.masked(reading.text(item, "statusDesc")),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "from"),
        to=reading.text(item, "to"),
        text=reading.text(item, "body"),
        sent_at=reading.utc(item, "createTime"),
        vendor_message_id=reading.text(item, "smsMsgId"),
    )
