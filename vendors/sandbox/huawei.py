"""Huawei Cloud's side of the wire: MSGSMS as its documents describe it (facts/vendors/huawei.md).

Two planes on one address: sending (X-WSSE or the app's own AK/SK) and managing (IAM AK/SK with X-Project-Id, or
X-Auth-Token). Credentials: `app_key`, `app_secret`, `sender` (the channel number of the first signature; the next
ones follow it); `access_key`, `access_secret`, `auth_token`, `project_id`, `app_id`, `sign_id` for managing, where the
app's own key serves if there is no other; `push_key`, `push_secret` if pushes are to be signed. Options: `stale:
accepted`, `caps: lifted`, `site: international`, `per_minute`, `per_day`, `same_content_59s`, `same_content_59min` (a
number or `lifted`), `qps` (sends), `parameter_length`, `templates: universal`, `refusals: submit`, `partial: E000510`,
`push_batch`, `report_types: number`, `push_address`, `mo_create_time: yes`.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx

from harness.domain import DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import Claim, Door, FiledTemplate, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    digest_id,
    filled,
    hear,
    is_over_rate,
    mainland,
    names_in,
    pairs,
    read_json,
    stamp,
    whole,
)

_SEND: Final = "/sms/batchSendSms/v1"
_SEND_DIFF: Final = "/sms/batchSendDiffSms/v1"
_MANAGED: Final = re.compile(r"/v2/([^/]+)/msgsms/(templates|signatures)(?:/([^/]+))?")
_JSON: Final = "application/json;charset=UTF-8"
_FORM: Final = "application/x-www-form-urlencoded"
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_FRESH: Final = timedelta(minutes=15)  # X-Sdk-Date
_FRESH_WSSE: Final = timedelta(hours=24)  # Created
_DAY: Final = 86_400.0
_MOST_NUMBERS: Final = 500
_MOST_REPORTS: Final = 50  # in one batch push
_MOST_VARIABLES: Final = 20

_SIGNED: Final = re.compile(r"SDK-HMAC-SHA256 +Access=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([0-9a-f]+)")
_ATTRIBUTE: Final = re.compile(r'(\w+)="([^"]*)"')
_MARKED: Final = re.compile(r"\$\{([0-9]+)\}")

# The numbers of the E0001xx family are from the vendor's page 'API错误码(发送短信)': they are about authentication,
# not about the format of parameters. E000104 to E000110 could not be read there and are not used.
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "000000": "Success",
    "E000000": "System error.",
    "E000001": "Authorization not contained in the HTTP header.",
    "E000002": "realm not contained in Authorization.",
    "E000003": "profile not contained in Authorization.",
    "E000004": "The value of realm in Authorization must be SDP.",
    "E000005": "The value of profile in Authorization must be UsernameToken.",
    "E000006": "The value of type in Authorization must be app_key.",
    "E000007": "type not contained in Authorization.",
    "E000008": "WSSE not contained in Authorization.",
    "E000020": "X-WSSE not contained in the HTTP header.",
    "E000021": "UserName not contained in X-WSSE.",
    "E000022": "Nonce not contained in X-WSSE.",
    "E000023": "Created not contained in X-WSSE.",
    "E000024": "PasswordDigest not contained in X-WSSE.",
    "E000045": "Authorization verification failed.",
    "E000101": "Authentication failed.",
    "E000102": "The app_key is invalid.",
    "E000112": "The subscriber status is frozen.",
    "E000503": "Parameter format error.",
    "E000510": "SMS sending failed, see status.",
    "E000620": "The app client ip is not in ip white list.",
    "E000623": "The number of SMS sent reaches the limit of the day.",
}
REQUEST_CODES: Final[Mapping[Reason, str]] = {
    Reason.BALANCE: "E000112",  # frozen, by arrears among others
    Reason.AUTH: "E000620",
    Reason.QUOTA: "E000623",
}
"""Refusals of a whole request."""
STATUSES: Final[Mapping[Reason, str]] = {
    Reason.THROTTLED: "E200015",
    Reason.SIGNATURE_NOT_APPROVED: "E200018",
    Reason.SIGNATURE_NOT_REGISTERED: "E200018",
    Reason.TEMPLATE_NOT_APPROVED: "E200030",
}
"""Refusals of one number in the answer; what stands nowhere is `_OTHER_STATUS`."""
_OTHER_STATUS: Final = "E200031"  # protocol check failed: as general as a status of one number gets
LATE_STATUSES: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "BLACK",
    Reason.OPTED_OUT: "TDBLACK",
    Reason.SENSITIVE_CONTENT: "KEYWORD",
    Reason.FREQUENCY_CAP: "LIMIT",
    Reason.INVALID_NUMBER: "MK:0001",
}
"""Refusals that come as a status report only: the message is taken first."""
_PLATFORM_CODES: Final = frozenset(
    ("MILIMIT", "LIMIT", "BEYONDN", "CTLIMIT", "KEYWORD", "BLACK", "TDBLACK", "TSBLACK", "MBBLACK")
)
_TYPES: Final = {
    "VERIFY_CODE_TYPE": Purpose.VERIFICATION,
    "NOTIFY_TYPE": Purpose.NOTIFICATION,
    "PROMOTION_TYPE": Purpose.MARKETING,
}
_TYPE_WORDS: Final = {purpose: word for word, purpose in _TYPES.items()}
_VARIABLES: Final[Mapping[str, str]] = {
    "CHARDIGIT": r"[0-9A-Za-z]{1,20}",
    "PHONE": r"[0-9]{4,15}",
    "DATETIME": r"[\s\S]{1,20}",
    "MONEY": r"[\s\S]{1,20}",
    "TEXT": r"[\s\S]{1,20}",
}
_CODE_WORDS: Final = ("验证码", "注册码", "校验码", "动态码")

Fields = Mapping[str, Any]


class _Refusal(Exception):
    """The send plane refuses the whole request."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class _ManagementRefusal(Exception):
    """The management plane or its gateway refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """One template with its values for some numbers, as the request has it."""

    numbers: tuple[str, ...]
    template: str
    values: tuple[str, ...]
    signature: str


class Counterpart:
    """Huawei Cloud SMS for one app."""

    push_retry: tuple[timedelta, ...] = ()  # no rule found

    filing: Final[Mapping[str, str]] = {"app_id": "sandbox-app"}

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "app_key")
        self._secret = credential(door.credentials, "app_secret")
        self._sender = credential(door.credentials, "sender", "channel", "from")
        if not self._sender.isdecimal():
            raise ValueError(f"{door.label}: the credential sender is a channel number, all digits")
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        # A report with a statusCallback goes alone; those without may share a push, each part counting as one.
        self.push_batch = int(door.options.get("push_batch", "1"))

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        try:
            if (managed := _MANAGED.fullmatch(heard.path)) is not None:
                return answer_json(200, self._manage(heard, *managed.groups()), content_type=_JSON)
            if heard.path.startswith("/v2/"):
                # Apps, files and the rest of the management plane: their shapes are not in the card.
                raise _ManagementRefusal(404, "MSGSMS.0002", "Invalid Parameter.")
            return answer_json(200, self._send(heard), content_type=_JSON)
        except _Refusal as refusal:
            error = {"code": refusal.code, "description": DESCRIPTIONS[refusal.code]}
            return answer_json(refusal.status, error, content_type=_JSON)
        except _ManagementRefusal as refusal:
            error = {"error_code": refusal.code, "error_msg": refusal.message}
            return answer_json(refusal.status, error, content_type=_JSON)

    def _admit_app(self, heard: Heard) -> None:
        authorization = heard.headers.get("authorization", "")
        if not authorization:
            raise _Refusal(400, "E000001")
        if authorization.startswith("SDK-HMAC-SHA256"):
            if (fault := self._fault(heard, self._key, self._secret)) is not None:
                raise _Refusal(401, fault)
        else:
            self._admit_wsse(authorization, heard.headers.get("x-wsse", ""))

    def _admit_wsse(self, authorization: str, token: str) -> None:
        if not authorization.startswith("WSSE "):
            raise _Refusal(400, "E000008")
        profile = dict(_ATTRIBUTE.findall(authorization))
        for name, right, missing, wrong in (
            ("realm", "SDP", "E000002", "E000004"),
            ("profile", "UsernameToken", "E000003", "E000005"),
            ("type", "Appkey", "E000007", "E000006"),
        ):
            if name not in profile:
                raise _Refusal(400, missing)
            if profile[name] != right:
                raise _Refusal(400, wrong)
        if not token:
            raise _Refusal(400, "E000020")
        own = dict(_ATTRIBUTE.findall(token))
        for name, missing in (
            ("Username", "E000021"),
            ("Nonce", "E000022"),
            ("Created", "E000023"),
            ("PasswordDigest", "E000024"),
        ):
            if not own.get(name):
                raise _Refusal(400, missing)
        if own["Username"] != self._key:
            raise _Refusal(401, "E000102")
        created = _instant(own["Created"], "%Y-%m-%dT%H:%M:%SZ")
        is_proper = token.startswith("UsernameToken ") and re.fullmatch(r"[0-9A-Za-z]{1,128}", own["Nonce"])
        # Nothing says that a nonce may be used only once, so it may be used again.
        if not is_proper or created is None or not self._is_fresh(created, _FRESH_WSSE):
            raise _Refusal(401, "E000101")
        digest = sha256(f"{own['Nonce']}{own['Created']}{self._secret}".encode("utf-8", "replace"))
        # The formula in the documents gives the digest itself, their sample its hexadecimal text: both are taken.
        rights = (b64encode(digest.hexdigest().encode()), b64encode(digest.digest()))
        given = own["PasswordDigest"].encode("utf-8", "replace")
        if not any(hmac.compare_digest(right, given) for right in rights):
            raise _Refusal(401, "E000101")

    def _fault(self, heard: Heard, key: str, secret: str) -> str | None:
        """What is wrong with an SDK-HMAC-SHA256 signature, as a code of the send plane; None if nothing is."""
        found = _SIGNED.fullmatch(heard.headers.get("authorization", ""))
        if found is None:
            return "E000101"
        access, listed, signature = found.groups()
        if access != key:
            return "E000102"
        at = _instant(heard.headers.get("x-sdk-date", ""), "%Y%m%dT%H%M%SZ")
        if at is None or not self._is_fresh(at, _FRESH):
            return "E000101"
        names = listed.split(";")
        duty = {"host", "x-sdk-date"} | ({"x-sdk-content-sha256"} & set(heard.headers))
        if not duty <= set(names) or any(name not in heard.headers for name in names):
            return "E000045"
        body = sha256(heard.body).hexdigest()
        payload = heard.headers.get("x-sdk-content-sha256", body)
        is_json = heard.headers.get("content-type", "").lower().startswith(("application/json", "application/bson"))
        if payload != body and (payload != _UNSIGNED or is_json):
            return "E000045"
        right = aksk_signature(
            secret,
            method=heard.method,
            path=heard.path,
            query=heard.query,
            headers={name: heard.headers[name] for name in names},
            payload=payload,
        )
        return None if hmac.compare_digest(right, signature) else "E000045"

    def _is_fresh(self, at: datetime, limit: timedelta) -> bool:
        return abs(self._door.now() - at) < limit or self._door.options.get("stale") == "accepted"

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, heard: Heard) -> dict[str, Any]:
        if heard.method != "POST" or heard.path not in (_SEND, _SEND_DIFF):
            raise _Refusal(404, "E000000")
        self._admit_app(heard)
        fields, contents = _single(heard) if heard.path == _SEND else _diff(heard)
        sender = fields.get("from")
        if not isinstance(sender, str) or not re.fullmatch(r"[0-9]{1,21}", sender):
            raise _Refusal(400, "E000503")
        callback, extend = fields.get("statusCallback"), fields.get("extend")
        if callback not in (None, "") and not re.match(r"https?://[^\s/]", str(callback)):
            raise _Refusal(400, "E000503")
        if extend is not None and not (isinstance(extend, str) and re.fullmatch(r"[^{}]{1,128}", extend)):
            raise _Refusal(400, "E000503")
        qps = self._door.options.get("qps")
        at = self._door.now().timestamp()
        is_late = is_over_rate(self._door.memory, "sends", at, None if qps is None else int(qps))
        return self._hand_over(contents, sender, str(callback or ""), extend, is_throttled=is_late)

    def _hand_over(
        self, contents: Sequence[_Content], sender: str, callback: str, extend: str | None, *, is_throttled: bool
    ) -> dict[str, Any]:
        """Every number has its own status; one code for all."""
        result: list[dict[str, Any]] = []
        seen: set[str] = set()
        taken = 0
        for content in contents:
            for written in content.numbers:
                key = self._new_key()
                number = mainland(written)
                status, total = "E200015" if is_throttled else "E200041", 1
                if not is_throttled and written not in seen:
                    status, total = self._submit(number, written, content, sender, key, extend, is_first=not taken)
                seen.add(written)
                if status == "000000":
                    taken += 1
                    if callback:
                        self._door.memory.setdefault("callbacks", {})[key] = callback
                result.append(
                    {
                        "originTo": written,
                        "createTime": _utc(self._door.now()),
                        "from": sender,
                        "smsMsgId": key,
                        "status": status,
                        "countryId": "CN",
                        "total": total,
                    }
                )
        # Which code a request gets of whose numbers some are refused is not said.
        is_partial = 0 < taken < len(result) and self._door.options.get("partial") == "E000510"
        code = "000000" if taken and not is_partial else "E000510"
        return {"code": code, "description": DESCRIPTIONS[code], "result": result}

    def _new_key(self) -> str:
        serial = counted(self._door.memory, "messages")
        return f"{digest_id(self._door.label, serial)}_{3_434_029 + serial}"

    def _submit(
        self,
        number: str | None,
        written: str,
        content: _Content,
        sender: str,
        key: str,
        extend: str | None,
        *,
        is_first: bool,
    ) -> tuple[str, int]:
        """The status of one number, and its parts."""
        if number is None:
            return _OTHER_STATUS, 1
        prepared = self._prepared(content, sender)
        if isinstance(prepared, str):
            return prepared, 1
        text, template = prepared
        over = self._over_cap(number, text, template.purpose)
        if over is not None:
            return self._refuse(over, written, key, extend), 1
        outcome = self._door.submit(
            Submission(
                number=number,
                text=text,
                purpose=template.purpose,
                template=template.id,
                reference=extend,
                key=key,
            )
        )
        if isinstance(outcome, Turned):
            if is_first and outcome.reason in REQUEST_CODES:
                raise _Refusal(403, REQUEST_CODES[outcome.reason])
            if outcome.reason in LATE_STATUSES:
                return self._refuse(LATE_STATUSES[outcome.reason], written, key, extend), 1
            return STATUSES.get(outcome.reason, _OTHER_STATUS), 1
        at = self._door.now().timestamp()
        self._sent.add((number,), at)
        self._sent.add((number, _short(text)), at)
        return "000000", outcome.segments

    def _refuse(self, status: str, written: str, key: str, extend: str | None) -> str:
        """Take a message only to report it refused, as the documents say; with `refusals: submit` say so at once.

        The report has to wait for a push of the world's: it leaves with the next one.
        """
        if self._door.options.get("refusals") == "submit":
            return status
        echoed = {} if extend is None else {"extend": extend, "to": written}
        row = {"sequence": "1", "total": "1", "source": "1", "smsMsgId": key, "status": status, **echoed}
        self._door.memory.setdefault("late", []).append(row)
        return "000000"

    def _prepared(self, content: _Content, sender: str) -> tuple[str, FiledTemplate] | str:
        """The text and its template, or the status that says why not."""
        found = self._template(content.template)
        if found is None or not found[0].approved:
            return "E200030"
        template, extra = found
        name = self._signature_of(sender)
        if name is None or not self._door.signatures.get(name):
            return "E200018"
        if extra.get("universal") or self._door.options.get("templates") == "universal":
            # Only universal templates look at the parameter, which must then name the channel's own signature.
            if content.signature != name:
                return "E200018"
        elif extra.get("signature", name) != name:
            return "E200018"
        names = names_in(template.text)
        numbered = all(variable.isdecimal() for variable in names)
        ordered = sorted(names, key=int) if numbered else list(names)
        longest = int(self._door.options.get("parameter_length", "20"))
        if len(ordered) != len(content.values) or not all(0 < len(value) <= longest for value in content.values):
            return "E200028"
        kinds: Mapping[str, str] = extra.get("kinds", {})
        values = dict(zip(ordered, content.values, strict=True))
        if any(not re.fullmatch(_VARIABLES[kinds[one]], value) for one, value in values.items() if one in kinds):
            return "E200029"
        return f"【{name}】{filled(template.text, values)}", template

    def _template(self, code: str) -> tuple[FiledTemplate, Mapping[str, Any]] | None:
        if (filed := self._door.templates.get(code)) is not None:
            return filed, {}
        for review in self._door.reviews(Subject.TEMPLATE):
            if review.extra.get("code") == code and review.verdict is ReviewVerdict.APPROVED:
                template = FiledTemplate(id=code, text=review.text, purpose=review.purpose)
                return template, review.extra
        return None

    def _over_cap(self, number: str, text: str, purpose: Purpose) -> str | None:
        """The status of a limit that this message would break."""
        at, options, content = self._door.now().timestamp(), self._door.options, (number, _short(text))
        is_international = options.get("site") == "international"
        if purpose is Purpose.MARKETING and not is_international:
            return None  # no figure is given for promotion
        per_minute = 15 if is_international else (2 if purpose is Purpose.VERIFICATION else 10)
        for name, default, count, status in (
            ("per_minute", per_minute, self._sent.after((number,), at - 60), "MILIMIT"),
            ("per_day", 50, self._sent.after((number,), at - _DAY), "LIMIT"),
            ("same_content_59s", 2 if is_international else None, self._sent.after(content, at - 59), "MILIMIT"),
            ("same_content_59min", 5 if is_international else None, self._sent.after(content, at - 3540), "LIMIT"),
        ):
            limit = cap(options, name, default)
            if limit is not None and count >= limit:
                return status
        return None

    # -- signatures and their channels ------------------------------------------------------------------------

    def _channels(self) -> dict[str, str]:
        """Every signature by its channel number: filed ones from `sender` on, reviewed ones once they are approved."""
        reviewed = {one.name: one for one in self._door.reviews(Subject.SIGNATURE)}
        filed = [name for name in self._door.signatures if name not in reviewed]
        channels = {self._channel(position): name for position, name in enumerate(filed)}
        for review in reviewed.values():
            if review.verdict is ReviewVerdict.APPROVED:
                channels[self._channel(1000 + review.number)] = review.name
        return channels

    def _channel(self, position: int) -> str:
        return self._sender if position == 0 else str(int(self._sender) + position)

    def _signature_of(self, channel: str) -> str | None:
        return self._channels().get(channel)

    # -- managing ---------------------------------------------------------------------------------------------

    def _manage(self, heard: Heard, project: str, kind: str, own: str | None) -> dict[str, Any]:
        self._admit_manager(heard, project)
        match heard.method, kind, own:
            case "POST", "templates", None:
                return self._add_template(_json_body(heard))
            case "GET", "templates", None:
                return _page(self._template_rows(), dict(pairs(heard.query)), ("template_id", "flow_status"))
            case "GET", "templates", str(number):
                return _found(self._template_rows(), number, "MSGSMS.0009", "Template does not exist.")
            case "POST", "signatures", None:
                return self._add_signature(_json_body(heard))
            case "GET", "signatures", None:
                return _page(self._signature_rows(), dict(pairs(heard.query)), ("signature_id", "status"))
            case "GET", "signatures", str(number):
                return _found(self._signature_rows(), number, "MSGSMS.0005", "Signature does not exist.")
        # Changing and deleting exist, but what they answer is not in the card.
        raise _ManagementRefusal(404, "MSGSMS.0002", "Invalid Parameter.")

    def _admit_manager(self, heard: Heard, project: str) -> None:
        credentials, wrong = self._door.credentials, "Incorrect IAM authentication information"
        if project != credentials.get("project_id", project):
            raise _ManagementRefusal(401, "APIGW.0301", f"{wrong}: project id mismatch")
        token = heard.headers.get("x-auth-token")
        if token is not None:
            if token != credentials.get("auth_token"):
                raise _ManagementRefusal(401, "APIGW.0301", f"{wrong}: decrypt token fail")
            return
        key = credential(credentials, "access_key", "access_key_id", "ak", "app_key")
        secret = credential(credentials, "access_secret", "access_key_secret", "secret_key", "sk", "app_secret")
        if heard.headers.get("x-project-id") != project or self._fault(heard, key, secret) is not None:
            raise _ManagementRefusal(401, "APIGW.0301", f"{wrong}: verify aksk signature fail")

    def _add_template(self, body: Fields) -> dict[str, Any]:
        self._check_app(body)
        name, content = _text(body, "template_name"), _text(body, "template_content")
        purpose = _TYPES.get(_text(body, "template_type"))
        is_universal = body.get("universal_template", 0) in (1, "1")
        status = body.get("flow_status", "Reviewing")
        if purpose is None or body.get("region", "cn") not in ("cn", "intl"):
            raise _invalid()
        if status not in ("Reviewing", "Pending") or body.get("brackets", "CN") not in ("CN", "GB"):
            raise _invalid()
        marks = _MARKED.findall(content)
        if len(set(marks)) > _MOST_VARIABLES:
            raise _invalid()
        has_code_word = any(word in content for word in _CODE_WORDS)
        if purpose is Purpose.VERIFICATION and (len(marks) != 1 or not has_code_word):
            raise _invalid()
        signature = None if is_universal else self._signature_by_id(_text(body, "sign_id"))
        extra = {
            "signature": signature,
            "universal": is_universal,
            "kinds": _kinds(body.get("variable_attributes", []), marks),
            "content": content,
            "app_id": body.get("app_id"),
            "sign_id": body.get("sign_id"),
            "region": body.get("region", "cn"),
        }
        extra = {key: value for key, value in extra.items() if value is not None}
        serial = counted(self._door.memory, "templates")
        extra |= {"id": _hex(self._door.label, "template", serial), "code": _hex(self._door.label, "code", serial)}
        if status == "Pending":
            draft = {"name": name, "purpose": purpose, "at": self._door.now(), **extra}
            self._door.memory.setdefault("drafts", []).append(draft)
        else:
            self._door.submit_review(
                subject=Subject.TEMPLATE,
                name=name,
                text=_MARKED.sub(r"{\1}", content),
                purpose=purpose,
                extra=extra,
            )
        return {"id": extra["id"], "template_name": name}

    def _template_rows(self) -> list[dict[str, Any]]:
        rows = [
            {
                "id": _hex(self._door.label, "filed", filed.id),
                "template_id": filed.id,
                "template_name": filed.id,
                "template_content": _numbered(filed.text),
                "template_type": _TYPE_WORDS[filed.purpose],
                "flow_status": "Adopted" if filed.approved else "Disable",
                "review_desc": "",
                "status": "Normal",
            }
            for filed in self._door.templates.values()
        ]
        for review in self._door.reviews(Subject.TEMPLATE):
            rows.append(_template_row(review))
        for draft in self._door.memory.get("drafts", []):
            row = {"id": draft["id"], "template_id": "", "template_name": draft["name"], "flow_status": "Pending"}
            rows.append({**row, "template_content": draft["content"], "create_time": stamp(draft["at"])})
        return rows

    def _add_signature(self, body: Fields) -> dict[str, Any]:
        self._check_app(body)
        name, kind = _text(body, "signature_name"), _text(body, "signature_type")
        if not 2 <= len(name) <= 16 or kind not in _TYPES:
            raise _invalid()
        if body.get("signature_source") not in (*range(6), *"012345") or body.get("is_involved_third") not in (
            "Yes",
            "No",
        ):
            raise _invalid()
        review = self._door.submit_review(
            subject=Subject.SIGNATURE,
            name=name,
            text=name,
            purpose=_TYPES[kind],
            extra={"app_id": body.get("app_id"), "type": kind},
        )
        row = self._signature_row(review)
        return {name: row[name] for name in ("id", "signature_id", "signature_name")}

    def _signature_rows(self) -> list[dict[str, Any]]:
        reviewed = {one.name: one for one in self._door.reviews(Subject.SIGNATURE)}
        channels = {name: channel for channel, name in self._channels().items()}
        rows = []
        for position, (name, approved) in enumerate(self._door.signatures.items()):
            if name in reviewed:
                continue
            own = self._door.credentials.get("sign_id") if position == 0 else None
            rows.append(
                {
                    "id": own or _hex(self._door.label, "signature", name),
                    "signature_id": _hex(self._door.label, "signature id", name),
                    "signature_name": name,
                    "status": "REVIEW_PASSED" if approved else "REVIEW_NOT_PASS",
                    "review_desc": "",
                    "channel_num": channels[name] if approved else "",
                }
            )
        return rows + [self._signature_row(review) for review in reviewed.values()]

    def _signature_row(self, review: Review) -> dict[str, Any]:
        words = {None: "PENDING_REVIEW", ReviewVerdict.APPROVED: "REVIEW_PASSED"}
        is_approved = review.verdict is ReviewVerdict.APPROVED
        return {
            "id": _hex(self._door.label, "signature review", review.number),
            "signature_id": _hex(self._door.label, "signature review id", review.number),
            "signature_name": review.name,
            "signature_type": review.extra.get("type"),
            "status": words.get(review.verdict, "REVIEW_NOT_PASS"),
            "review_desc": review.reason,
            "channel_num": self._channel(1000 + review.number) if is_approved else "",
        }

    def _signature_by_id(self, own: str) -> str:
        for row in self._signature_rows():
            if own in (row["id"], row["signature_id"]):
                return str(row["signature_name"])
        raise _ManagementRefusal(400, "MSGSMS.0005", "Signature does not exist.")

    def _check_app(self, body: Fields) -> None:
        app = _text(body, "app_id")
        if app != self._door.credentials.get("app_id", app):
            raise _ManagementRefusal(400, "MSGSMS.0076", "Message Application does not exist")

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """A form for a single part whose message had a statusCallback, else a JSON list.

        The documents push a long message part by part (`push_parts`). One push is all a world takes here, so its
        parts travel as the list that messages without a callback get.
        """
        if not claims:
            return None
        late: list[dict[str, str]] = self._door.memory.setdefault("late", [])
        rows = [row for claim in claims for row in self._rows(claim)]
        room = max(0, _MOST_REPORTS - len(rows))
        rows += late[:room]
        del late[:room]
        if len(rows) == 1 and claims[0].key in self._door.memory.get("callbacks", {}):
            return self._form(rows[0], self._door.memory["callbacks"][claims[0].key])
        if self._door.options.get("report_types") == "number":
            typed = [{**row, **{name: int(row[name]) for name in ("sequence", "total", "source")}} for row in rows]
        else:
            typed = [dict(row) for row in rows]
        body = json.dumps({"statusReportList": typed}, ensure_ascii=False).encode()
        address = self._door.options.get("push_address")
        return self._push(body, "application/json", f"{address}/reports" if address else None)

    def push_parts(self, claim: Claim) -> tuple[PushOut, ...]:
        """The forms of one message's report, one for each part, as its statusCallback gets them."""
        address = self._door.memory.get("callbacks", {}).get(claim.key)
        return tuple(self._form(row, address) for row in self._rows(claim))

    def _rows(self, claim: Claim) -> list[dict[str, str]]:
        status = "UNKNOWN" if claim.state is DeliveryState.UNKNOWN else claim.code
        # 1: made up by the platform, and then without a time; 2: from a service centre; 3: Huawei's own.
        source = "1" if status in _PLATFORM_CODES else ("3" if status.startswith("E2") else "2")
        rows = []
        for sequence in range(1, claim.segments + 1):
            row = {"sequence": str(sequence), "total": str(claim.segments)}
            if source != "1":
                row["updateTime"] = _utc(claim.claimed_at)
            row |= {"source": source, "smsMsgId": claim.key, "status": status}
            if claim.reference is not None:
                row |= {"extend": claim.reference, "to": claim.number}
            rows.append(row)
        return rows

    def push_reply(self, reply: Reply) -> PushOut | None:
        """One form; its smsMsgId has nothing to do with the message replied to."""
        channels = {name: channel for channel, name in self._channels().items()}
        row = {
            "from": reply.number,
            "to": channels.get(reply.signature, self._sender) + reply.extension,
            "body": reply.text,
            "smsMsgId": digest_id(f"{self._door.label} reply", reply.id),
        }
        if self._door.options.get("mo_create_time") == "yes":
            row["createTime"] = _utc(reply.sent_at)
        address = self._door.options.get("push_address")
        return self._form(row, f"{address}/inbound" if address else None)

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: reviews are asked for."""
        return None

    def _form(self, row: Mapping[str, str], address: str | None) -> PushOut:
        return self._push(urlencode(row, quote_via=quote).encode(), _FORM, address)

    def _push(self, body: bytes, content_type: str, address: str | None) -> PushOut:
        """A push, signed if the account has a push key and the address is known: host and path are signed too."""
        key, secret = (self._door.credentials.get(name) for name in ("push_key", "push_secret"))
        if not key or not secret or not address:
            return PushOut(body=body, content_type=content_type)
        parts = urlsplit(address)
        date = self._door.now().strftime("%Y%m%dT%H%M%SZ")
        headers = {"content-type": content_type, "host": parts.netloc, "x-sdk-date": date}
        signature = aksk_signature(
            secret,
            method="POST",
            path=parts.path or "/",
            query=parts.query.encode(),
            headers=headers,
            payload=sha256(body).hexdigest(),
        )
        authorization = f"SDK-HMAC-SHA256 Access={key}, SignedHeaders={';'.join(headers)}, Signature={signature}"
        return PushOut(
            body=body, content_type=content_type, headers={"X-Sdk-Date": date, "Authorization": authorization}
        )

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200: no other rule could be found."""
        return status == 200


def aksk_signature(
    secret: str, *, method: str, path: str, query: bytes, headers: Mapping[str, str], payload: str
) -> str:
    """The signature of an SDK-HMAC-SHA256 request. `headers`: the signed ones, lower-case, X-Sdk-Date among them."""
    uri = "/".join(quote(unquote(part), safe="") for part in path.split("/"))
    uri = uri if uri.endswith("/") else f"{uri}/"
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(pairs(query)))
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    canonical = "\n".join((method, uri, asked, lines, ";".join(names), payload))
    hashed = sha256(canonical.encode("utf-8", "replace")).hexdigest()
    to_sign = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{hashed}"
    return hmac.new(secret.encode(), to_sign.encode("utf-8", "replace"), sha256).hexdigest()


def _single(heard: Heard) -> tuple[Fields, list[_Content]]:
    if not heard.is_form:
        raise _Refusal(400, "E000000")
    fields = dict(pairs(heard.body))
    values: Any = []
    if fields.get("templateParas"):
        try:
            values = read_json(fields["templateParas"])
        except ValueError:
            raise _Refusal(400, "E000000") from None
    content = _content(fields.get("to", "").split(","), fields.get("templateId"), values, fields.get("signature"))
    return fields, [content]


def _diff(heard: Heard) -> tuple[Fields, list[_Content]]:
    if not heard.headers.get("content-type", "").lower().startswith("application/json") or len(heard.body) > 64 * 1024:
        raise _Refusal(400, "E000000")
    try:
        fields = read_json(heard.body)
    except ValueError:
        raise _Refusal(400, "E000000") from None
    listed = fields.get("smsContent") if isinstance(fields, dict) else None
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise _Refusal(400, "E000503")
    contents = [
        _content(one.get("to"), one.get("templateId"), one.get("templateParas") or [], one.get("signature"))
        for one in listed
    ]
    if sum(len(content.numbers) for content in contents) > _MOST_NUMBERS:
        raise _Refusal(400, "E000503")
    return fields, contents


def _content(numbers: Any, template: Any, values: Any, signature: Any) -> _Content:
    """One content of a request; one bad number spoils the whole list."""
    texts = [numbers, values]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in texts):
        raise _Refusal(400, "E000503")
    if not 0 < len(numbers) <= _MOST_NUMBERS or not all(re.fullmatch(r"[0-9+]{1,21}", one) for one in numbers):
        raise _Refusal(400, "E000503")
    if not isinstance(template, str) or not template or not isinstance(signature, str | None):
        raise _Refusal(400, "E000503")
    return _Content(numbers=tuple(numbers), template=template, values=tuple(values), signature=signature or "")


def _kinds(attributes: Any, marks: Sequence[str]) -> dict[str, str]:
    """The kind of each variable, by its number."""
    if not isinstance(attributes, list) or not all(isinstance(one, dict) for one in attributes):
        raise _invalid()
    kinds = {str(one.get("variable_index")): one.get("variable_type") for one in attributes}
    if not set(kinds) <= set(marks) or not all(isinstance(kind, str) and kind in _VARIABLES for kind in kinds.values()):
        raise _invalid()
    return {index: str(kind) for index, kind in kinds.items()}


def _template_row(review: Review) -> dict[str, Any]:
    words = {None: "Reviewing", ReviewVerdict.APPROVED: "Adopted"}
    return {
        "id": review.extra["id"],
        "template_id": review.extra["code"] if review.verdict is ReviewVerdict.APPROVED else "",
        "template_name": review.name,
        "template_content": review.extra["content"],
        "template_type": _TYPE_WORDS[review.purpose],
        "app_id": review.extra.get("app_id"),
        "sign_id": review.extra.get("sign_id"),
        "region": review.extra["region"],
        "flow_status": words.get(review.verdict, "Reject"),
        "review_desc": review.reason,
        "status": "Normal",
        "create_time": stamp(review.created_at),
        "update_time": stamp(review.decided_at if review.verdict and review.decided_at else review.created_at),
    }


def _page(rows: Sequence[dict[str, Any]], asked: Mapping[str, str], exact: Sequence[str]) -> dict[str, Any]:
    limit, offset = whole(asked.get("limit", "10"), 1, 100), whole(asked.get("offset", "0"), 0, 10**9)
    if limit is None or offset is None:
        raise _invalid()
    fitting = [row for row in rows if all(row.get(name) == asked[name] for name in exact if asked.get(name))]
    for name in ("template_name", "signature_name"):
        if asked.get(name):
            fitting = [row for row in fitting if asked[name] in str(row.get(name, ""))]
    return {"results": fitting[offset : offset + limit], "total": len(fitting)}


def _found(rows: Sequence[dict[str, Any]], own: str, code: str, message: str) -> dict[str, Any]:
    for row in rows:
        if row["id"] == own:
            return row
    raise _ManagementRefusal(404, code, message)


def _json_body(heard: Heard) -> Fields:
    try:
        body = read_json(heard.body)
    except ValueError:
        raise _invalid() from None
    if not isinstance(body, dict):
        raise _invalid()
    return body


def _text(body: Fields, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _invalid()
    return value


def _invalid() -> _ManagementRefusal:
    return _ManagementRefusal(400, "MSGSMS.0002", "Invalid Parameter.")


def _instant(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _numbered(text: str) -> str:
    """A template's {names} as the vendor writes them: ${1}, ${2}, …"""
    numbers = {name: f"${{{position}}}" for position, name in enumerate(names_in(text), 1)}
    return filled(text, numbers)


def _hex(*parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:32]


def _short(text: str) -> str:
    """What stands for a content in the tally."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
