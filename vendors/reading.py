"""What the adapters share: hosts, fields, stamps, code tables, pages, pushes. No vendor's name stands here.

Whatever stands in a reply, reading it gives a plain value or raises a VendorTrouble, and a full phone number never
gets into a detail.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import httpx

from harness.capabilities import Account, Acknowledgement, Manifest, Mapped, Push, PushRequest
from harness.domain import (
    BEIJING,
    Accepted,
    InboundMessage,
    InDoubt,
    Message,
    Outcome,
    Reason,
    Refused,
    ReviewDecision,
    StatusReport,
    mask,
)
from harness.errors import Throttled, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import Flow

T = TypeVar("T")

PUSH_LIMIT: Final = 1 << 20  # bytes; the largest documented push is 100 items
PAGE_LIMIT: Final = 50  # pages of one answer; a vendor whose pages never end is in trouble
_COUNT_LIMIT: Final = 10**18  # what fits into any store
PUSH_KINDS: Final = ("reports", "inbound", "reviews")

# --- hosts -----------------------------------------------------------------------------------------------------------


def base(account: Account, manifest: Manifest, name: str | None = None) -> str:
    """The base URL of the vendor, or of its further host `name`, without a stroke at its end.

    What the account names for this host comes first. An account that names its one endpoint only (a sandbox, a proxy)
    is asked there for everything; otherwise the manifest's own holds.

    Raises:
        VendorTrouble: nobody names one; nothing has left.
    """
    if name is None:
        found = account.endpoint or manifest.endpoint
    else:
        found = account.endpoints.get(name) or account.endpoint or manifest.endpoints.get(name)
    if not found:
        raise not_sent(f"{manifest.id} gives every account a host of its own: name it as endpoint")
    return str(found).rstrip("/")


# --- fields ----------------------------------------------------------------------------------------------------------


def text(body: Mapping[str, Any], key: str, default: str = "") -> str:
    """A scalar field as text, whether written as string or number; absent or null gives the default.

    Halves of surrogate pairs, which a vendor that cuts texts leaves behind, become U+FFFD: no store takes them.

    Raises:
        Unintelligible: an object or a list stands there.
    """
    match body.get(key):
        case None:
            return default
        case str() as words:
            return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case bool() as flag:
            return "true" if flag else "false"
        case int() | float() as number:
            return str(number)
        case other:
            raise Unintelligible(f"{key} is a {type(other).__name__}, expected text")


def identifier(body: Mapping[str, Any], key: str) -> str:
    """An id as text. Whole numbers of any size keep every digit.

    Raises:
        Unintelligible: it is missing, empty, endless, or neither text nor a whole number.
    """
    value = body.get(key)
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int)
        or not 0 < len(found := text(body, key).strip()) <= 256
    ):
        raise Unintelligible(f"{key} is missing or not an id")
    return found


def count(body: Mapping[str, Any], key: str) -> int | None:
    """A whole number from 0, written as number or text; None where it is missing or is something else."""
    value = body.get(key)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value < _COUNT_LIMIT else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def amount(body: Mapping[str, Any], key: str) -> Decimal | None:
    """A sum, written as number or text; None where it is missing or is something else."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < 10**12 and found.as_tuple().exponent >= -12 else None  # type: ignore[operator]


def child(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object inside an object. Raises Unintelligible if there is none."""
    value = body.get(key)
    if not isinstance(value, dict):
        raise Unintelligible(f"{key} is missing or not an object")
    return value


def rows(body: Mapping[str, Any], key: str) -> list[Any]:
    """A list inside an object; absent or null is an empty list. Raises Unintelligible for anything else."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unintelligible(f"{key} is not a list")
    return value


def readable(items: Iterable[object], read: Callable[[dict[str, Any]], T]) -> tuple[list[T], int]:
    """What can be read of some items, and how many cannot."""
    found: list[T] = []
    unread = 0
    for item in items:
        try:
            if not isinstance(item, dict):
                raise Unintelligible("not an object")
            found.append(read(item))
        except Unintelligible:
            unread += 1
    return found, unread


def all_readable(items: Iterable[object], read: Callable[[dict[str, Any]], T], reply: httpx.Response) -> list[T]:
    """Every item read. Raises Unintelligible if a single one cannot be: half an answer to a question is none."""
    found, unread = readable(items, read)
    if unread:
        raise Unintelligible(f"{unread} of {unread + len(found)} rows cannot be read", body=reply.content)
    return found


# --- numbers and times -----------------------------------------------------------------------------------------------

_NUMBER: Final = re.compile(r"(?<![0-9])(?:\+?86)?(1[3-9][0-9]{9})(?![0-9])")
_STAMP: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})")


def national(number: str) -> str:
    """A mainland number without +86; any other number as it is.

    >>> national("+8613800001234"), national("+85290001234")
    ('13800001234', '+85290001234')
    """
    return number.removeprefix("+86")


def masked(words: str) -> str:
    """A vendor's words with every mainland mobile number in them masked.

    >>> masked("13800001234 is not served")
    '138******34 is not served'
    """
    return _NUMBER.sub(lambda found: mask(found[1]), words)


_ESCAPED: Final = re.compile(r"(?:[A-Za-z0-9._~*+-]|%[0-9A-Fa-f]{2})*")


def unescaped(words: str) -> str:
    """A text that a vendor url-encodes (UTF-8) within its field; one that shows it is not encoded stays as it is.

    >>> unescaped("%e6%88%90%E5%8A%9F"), unescaped("成功 100%"), unescaped("a+b%20c")
    ('成功', '成功 100%', 'a b c')
    """
    return unquote_plus(words) if _ESCAPED.fullmatch(words) else words


def beijing(body: Mapping[str, Any], key: str) -> datetime | None:
    """A "yyyy-MM-dd HH:mm:ss" in Beijing time, as UTC; None where it is missing or no time."""
    value = body.get(key)
    if not isinstance(value, str) or not (found := _STAMP.match(value)):
        return None
    try:
        return datetime(*(int(part) for part in found.groups()), tzinfo=BEIJING).astimezone(UTC)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None


def unix(body: Mapping[str, Any], key: str) -> datetime | None:
    """Seconds since 1970, as UTC; None where it is missing, nought or no time."""
    seconds = count(body, key)
    return datetime.fromtimestamp(seconds, UTC) if seconds and seconds < 253_402_300_800 else None


def milliseconds(body: Mapping[str, Any], key: str) -> datetime | None:
    """Milliseconds since 1970, written as number or text, as UTC; None where it is missing, nought or no time."""
    told = count(body, key)
    if not told or told >= 253_402_300_800_000:
        return None
    return datetime.fromtimestamp(told // 1000, UTC) + timedelta(milliseconds=told % 1000)


def stamped(body: Mapping[str, Any], key: str, pattern: str, zone: tzinfo = BEIJING) -> datetime | None:
    """A stamp of digits by its strptime pattern, as UTC; None where it is missing or no time.

    >>> stamped({"at": "1704101038"}, "at", "%y%m%d%H%M")
    datetime.datetime(2017, 4, 10, 2, 38, tzinfo=datetime.timezone.utc)
    """
    value = body.get(key)
    written = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(written, str) or len(written) > 40 or not written.isascii():
        return None
    try:
        return datetime.strptime(written, pattern).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def mail_date(body: Mapping[str, Any], key: str) -> datetime | None:
    """A date as in mail (RFC 2822), as UTC; None where it is missing or no time.

    >>> mail_date({"at": "Thu, 30 Jul 2015 20:12:31 +0000"}, "at")
    datetime.datetime(2015, 7, 30, 20, 12, 31, tzinfo=datetime.timezone.utc)
    """
    value = body.get(key)
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def utc(body: Mapping[str, Any], key: str) -> datetime | None:
    """A "yyyy-MM-ddTHH:mm:ssZ"; None where it is missing or no time in UTC."""
    value = body.get(key)
    if not isinstance(value, str) or not value.endswith("Z") or not (found := _STAMP.fullmatch(value[:-1])):
        return None
    try:
        return datetime(*(int(part) for part in found.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def midnight(day: date) -> datetime:
    """When a day begins in Beijing, as UTC."""
    return datetime.combine(day, time(), BEIJING).astimezone(UTC)


def calendar_day(body: Mapping[str, Any], key: str) -> date:
    """A "yyyyMMdd". Raises Unintelligible for anything else."""
    written = text(body, key)
    try:
        if not re.fullmatch(r"[0-9]{8}", written) or (day := date.fromisoformat(written)).year not in range(1970, 9999):
            raise ValueError(written)
    except ValueError as error:
        raise Unintelligible(f"{key} is no day") from error
    return day


def days(first: date, last: date) -> list[date]:
    """Every day of a span, both ends included."""
    return [first + timedelta(days=passed) for passed in range((last - first).days + 1)]


# --- code tables -----------------------------------------------------------------------------------------------------

_UNMAPPED: Final = Mapped(Reason.UNMAPPED, "inferred")


def mapped(code: str, table: Mapping[str, Mapped]) -> Mapped:
    """A code's line; for a dotted code that is not in the table, its family's ("Throttling" for "Throttling.User")."""
    family = code
    while family not in table and "." in family:
        family = family.rpartition(".")[0]
    return table.get(family, _UNMAPPED)


def no(code: str, detail: str, table: Mapping[str, Mapped]) -> Refused:
    """A vendor's no, as data."""
    return Refused(reason=Reason(mapped(code, table).reason), code=code, detail=masked(detail))


def refused(code: str, detail: str, table: Mapping[str, Mapped], *, retry_after: float | None = None) -> Refused:
    """A vendor's no to a whole request, as data, unless it is about ourselves.

    Raises:
        Throttled: the table says that we were too fast. `retry_after` in seconds.
        Unauthorised: the table says that our credentials were refused.
    """
    answer = no(code, detail, table)
    if answer.reason is Reason.THROTTLED:
        raise Throttled(f"{code}: {answer.detail}", code=code, retry_after=retry_after)
    if answer.reason is Reason.AUTH:
        raise Unauthorised(f"{code}: {answer.detail}", code=code)
    return answer


def denied(code: str, detail: str, table: Mapping[str, Mapped], *, retry_after: float | None = None) -> VendorTrouble:
    """A vendor's no to a question, to be raised. Raises Throttled and Unauthorised itself."""
    answer = refused(code, detail, table, retry_after=retry_after)
    return VendorTrouble(f"{code}: {answer.detail}", code=code)


def not_sent(why: str) -> VendorTrouble:
    """What keeps us from asking at all: nothing has left."""
    return VendorTrouble(why, written=False)


def check_bulk(messages: Sequence[object], limit: int) -> None:
    """Raises VendorTrouble, with nothing written, if one request cannot hold so many messages."""
    if len(messages) > limit:
        raise not_sent(f"one request holds at most {limit} messages, got {len(messages)}")


def by_number(
    messages: Sequence[Message], items: Iterable[object], key: str, read: Callable[[dict[str, Any]], Outcome]
) -> tuple[Outcome, ...]:
    """Outcomes in the order of the messages, from items that name their number under `key`; silence is InDoubt.

    Raises:
        Unintelligible: not a single item can be read.
    """
    pairs, _ = readable(items, lambda item: (national(identifier(item, key)), read(item)))
    if not pairs:
        raise Unintelligible("no number's outcome can be read")
    told: dict[str, list[Outcome]] = {}
    for number, outcome in pairs:
        told.setdefault(number, []).append(outcome)
    silent = InDoubt(why="the reply does not tell about this number")
    return tuple(
        waiting.pop(0) if (waiting := told.get(national(message.to.number))) else silent for message in messages
    )


def in_order(messages: Sequence[Message], ids: Sequence[object]) -> tuple[Outcome, ...]:
    """Outcomes from ids that stand in the order of the messages; an id that is none leaves its message in doubt.

    Raises:
        Unintelligible: there are not as many ids as messages, so that none can be told whose it is.
    """
    if len(ids) != len(messages):
        raise Unintelligible(f"{len(ids)} ids for {len(messages)} messages")
    found: list[Outcome] = []
    for one in ids:
        try:
            found.append(Accepted(vendor_message_id=identifier({"id": one}, "id")))
        except Unintelligible:
            found.append(InDoubt(why="the reply does not tell about this number"))
    return tuple(found)


# --- pages and queues ------------------------------------------------------------------------------------------------


def paged(
    request: Callable[[int], httpx.Request],
    page: Callable[[httpx.Response], tuple[list[Any], int | None]],
    read: Callable[[dict[str, Any]], T],
    *,
    page_size: int,
) -> Flow[Sequence[T]]:
    """Ask for page 1, 2, … until one is not full, or the told total is reached.

    `page` takes a reply apart into its rows and the vendor's total, if told.

    Raises:
        Unintelligible: a row cannot be read.
        VendorTrouble: the pages do not end.
    """
    found: list[T] = []
    for number in range(1, PAGE_LIMIT + 1):
        reply = yield request(number)
        items, total = page(reply)
        found += all_readable(items, read, reply)
        if len(items) < page_size or (total is not None and len(found) >= total):
            return tuple(found)
    raise VendorTrouble(f"more than {PAGE_LIMIT} pages")


def followed(
    first: httpx.Request,
    page: Callable[[httpx.Response], tuple[list[Any], httpx.Request | None]],
    read: Callable[[dict[str, Any]], T],
) -> Flow[Sequence[T]]:
    """Ask for a page, then for the one it names, until one names none.

    `page` takes a reply apart into its rows and the request for the next page. A link in a reply is a path: join it to
    our own base, so that no reply sends us and our credentials elsewhere.

    Raises:
        Unintelligible: a row cannot be read.
        VendorTrouble: the pages do not end.
    """
    found: list[T] = []
    request: httpx.Request | None = first
    for _ in range(PAGE_LIMIT):
        if request is None:
            return tuple(found)
        reply = yield request
        items, request = page(reply)
        found += all_readable(items, read, reply)
    if request is None:
        return tuple(found)
    raise VendorTrouble(f"more than {PAGE_LIMIT} pages")


def drain(
    request: Callable[[], httpx.Request],
    page: Callable[[httpx.Response], list[Any]],
    read: Callable[[dict[str, Any]], T],
    *,
    page_size: int,
) -> Flow[Sequence[T]]:
    """Empty a queue whose reading is destructive, page by page.

    Trouble after the first page ends the reading but keeps what was taken, since the vendor will not give it twice.
    An item that cannot be read is left out; the recorded exchange still holds it.
    """
    taken: list[T] = []
    for _ in range(PAGE_LIMIT):
        try:
            reply = yield request()
            items = page(reply)
            found, unread = readable(items, read)
            if unread and not found:
                raise Unintelligible(f"none of {unread} items can be read", body=reply.content)
        except VendorTrouble:
            if taken:
                break
            raise
        taken += found
        if len(items) < page_size:
            break
    return tuple(taken)


# --- pushes ----------------------------------------------------------------------------------------------------------

Pushed = StatusReport | InboundMessage | ReviewDecision
Reader = Callable[[dict[str, Any]], Pushed | None]  # None: understood, and nothing to tell, e.g. "still in review"


def push_kind(path: str) -> str | None:
    """The kind of push that a path announces by its last part, if it does."""
    last = path.rstrip("/").rpartition("/")[2]
    return last if last in PUSH_KINDS else None


def door(push_url: str, kind: str) -> str:
    """Our own URL for one kind of push.

    >>> door("https://inbox.example/push/main", "reviews"), door("https://inbox.example/push/main/reports", "reviews")
    ('https://inbox.example/push/main/reviews', 'https://inbox.example/push/main/reviews')
    """
    base = push_url.rstrip("/")
    return f"{base.rpartition('/')[0] if push_kind(base) else base}/{kind}"


def parse(raw: bytes | str) -> Any:
    """The JSON of a push. Raises ValueError for whatever is none: too long, too deep, cut, not UTF-8."""
    if len(raw) > PUSH_LIMIT:
        raise ValueError(f"longer than {PUSH_LIMIT} bytes")
    try:
        return json.loads(raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def form(raw: bytes | str, charset: str = "utf-8") -> dict[str, str]:
    """The fields of a pushed form or query. Raises ValueError for whatever is none: too long, too many, not decodable.

    `charset`: what the percent escapes stand for, e.g. "gb18030" where the vendor writes GBK.
    """
    if len(raw) > PUSH_LIMIT:
        raise ValueError(f"longer than {PUSH_LIMIT} bytes")
    written = raw.decode(charset) if isinstance(raw, bytes) else raw
    return dict(parse_qsl(written, keep_blank_values=True, encoding=charset, errors="strict", max_num_fields=64))


def pushed(request: PushRequest, charset: str = "utf-8") -> Any:
    """What a push holds, whichever way it came: the query of a GET, JSON, JSON in Base64, or a form.

    A dict of texts for query and form; whatever the JSON is otherwise. The body tells, not the content type: consoles
    are set to one and vendors send the other.

    Raises:
        ValueError: none of these.
    """
    body = request.body.strip()
    if request.method == "GET" or (not body and request.query):
        return form(request.query, charset)
    if body[:1] in (b"{", b"["):
        return parse(body)
    if b"=" not in body.rstrip(b"="):  # a form has a "=" inside, Base64 at its end only
        return parse(base64.b64decode(body, validate=True))
    return form(body, charset)


def called_url(push_url: str | None, request: PushRequest) -> str:
    """The URL as the vendor called it, for signatures over it: our own public address, path and query as they came.

    Behind a proxy the inbox sees another host than the vendor, so the host is that of our own push URL.

    >>> from datetime import UTC, datetime
    >>> got = PushRequest(method="POST", path="/push/a/reports", query="b=1", headers={"host": "10.0.0.1"}, body=b"",
    ...                   received_at=datetime(2026, 3, 2, tzinfo=UTC))
    >>> called_url("https://inbox.example/push/a", got)
    'https://inbox.example/push/a/reports?b=1'
    """
    ours = urlsplit(push_url or f"http://{request.headers.get('host', '')}")
    return f"{ours.scheme}://{ours.netloc}{request.path}{'?' if request.query else ''}{request.query}"


def check_fresh(made: datetime | None, now: datetime, within: timedelta = timedelta(hours=36)) -> None:
    """Refuse a push whose signed stamp is missing or too far from now, either way.

    `within` has to be longer than the vendor tries again with the first stamp, or an outage of ours loses reports.

    Raises:
        ValueError: it is stale, or from the future.
    """
    if made is None or abs(now - made) > within:
        raise ValueError("stale: its signed time is missing or too far from now")


def sort_push(
    items: Sequence[object],
    reader: Callable[[dict[str, Any]], Reader | None],
    acknowledgement: Acknowledgement,
    *,
    authenticated: bool = False,
    once: str | None = None,
) -> Push:
    """Read a push's items, each by the reader that its shape calls for; what cannot be read is counted.

    Raises:
        ValueError: there are items, and none of them has a shape that this vendor sends.
    """
    shaped = [(item, reader(item)) if isinstance(item, dict) else (item, None) for item in items]
    if shaped and not any(read for _, read in shaped):
        raise ValueError("nothing of a known shape in it")
    found: list[Pushed] = []
    unread = 0
    for item, read in shaped:
        kept, lost = readable([item], read) if read else ([], 1)
        found += [value for value in kept if value is not None]
        unread += lost
    return Push(
        acknowledgement=acknowledgement,
        reports=tuple(value for value in found if isinstance(value, StatusReport)),
        inbound=tuple(value for value in found if isinstance(value, InboundMessage)),
        decisions=tuple(value for value in found if isinstance(value, ReviewDecision)),
        unread=unread,
        authenticated=authenticated,
        once=once,
    )


# --- writing ---------------------------------------------------------------------------------------------------------


def multipart(fields: Mapping[str, str], files: Mapping[str, tuple[str, str, bytes]], mark: str) -> tuple[str, bytes]:
    """A multipart form (RFC 7578): its content type and body. `files`: field → name, content type, bytes.

    `mark` parts the fields; a nonce of the tools', so that the same tools give the same bytes.
    """
    head = 'Content-Disposition: form-data; name="{}"'
    parts = [f"{head.format(name)}\r\n\r\n{value}".encode() for name, value in fields.items()]
    for name, (file, kind, content) in files.items():
        parts.append(f'{head.format(name)}; filename="{file}"\r\nContent-Type: {kind}\r\n\r\n'.encode() + content)
    line = f"--{mark}".encode()
    body = b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"
    return f"multipart/form-data; boundary={mark}", body
