"""`evaluation.yaml` and its companions → an `Evaluation`: the one place where a person's words become values.

Everything wrong is found before anything is sent, all at once, each with file, line, value and way out. Secrets come
from the environment and from nowhere else; a literal one is an error.
"""

from __future__ import annotations

import difflib
import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from harness import content
from harness.codec import canonical_json, to_plain
from harness.domain import BEIJING, Hours, Money, Purpose, Recipient, RecipientKind, Secret
from harness.dossier import Attestation, read_dossier
from harness.errors import Complaint, ConfigError
from harness.plain_yaml import Located, Plain, locate
from harness.plain_yaml import Path as KeyPath
from harness.recipients import mask_numbers, read_recipients, whole

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SCENARIOS: Final = (
    "delivery",
    "soak",
    "long_text",
    "review",
    "content_filter",
    "blacklist",
    "opt_out",
    "retention",
    "statistics",
    "transport",
)
LANGUAGES: Final = ("zh-CN", "en")
APPS: Final = ("smsforwarder", "smsgate", "json")
KEEP_NUMBERS: Final = timedelta(days=180)
ROBOTS: Final = ("wecom", "dingtalk", "feishu", "webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What one person's phone may get, over all vendors."""

    per_day: int = 40
    gap: timedelta = timedelta(seconds=60)  # least time between two messages to one phone
    marketing_per_month: int = 2  # unless the recipient is marked as a tester


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarder:
    """A phone's forwarding app, as the inbox and the hall reach it."""

    id: str
    app: str  # smsforwarder | smsgate | json
    secret: Secret | None = None
    api: str | None = None  # base URL of the app's own server on the phone, for asking its inbox
    username: str = ""
    password: Secret | None = None
    fields: Mapping[str, str] = field(default_factory=dict)  # json: our field → path in the post
    header: str = ""  # json: the header that carries the secret
    time_format: str = "iso"  # json: iso | seconds | milliseconds | a strptime pattern in Beijing time


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorAccount:
    """One contestant: an account at a vendor."""

    label: str
    name: Mapping[str, str]  # language → what reports call it; empty: the adapter's own name
    use: str  # adapter id, or a path to a description
    credentials: Mapping[str, Secret | str]
    signature: str
    endpoint: str | None
    price: Money | None
    templates: Mapping[str, str]  # test text → the vendor's template id
    reports: str  # push | pull | both
    per_second: float | None
    per_number_per_day: int | None
    options: Mapping[str, str]
    line: int
    endpoints: Mapping[str, str] = field(default_factory=dict)  # further hosts by name, as the adapter calls them
    push_secret: Secret | None = None  # None: made from the account's credentials
    push_from: tuple[Network, ...] = ()  # where its pushes come from; empty: anywhere

    def setup(self) -> dict[str, str]:
        """Digests of what a month must have alike to be compared with another: no secret is in them."""
        parts = {"signature": self.signature, "options": dict(self.options), "templates": dict(self.templates)}
        return {part: hashlib.sha256(canonical_json(value)).hexdigest()[:16] for part, value in parts.items()}

    @property
    def push_word(self) -> str:
        """The secret part of the account's push URLs: `<inbox url>/push/<label>/<push word>`.

        The one configured, or made from the label and the account's credentials: the same in every run, so that a
        console keeps it, known before the first, and, unlike the seed, in no report.
        """
        if self.push_secret is not None:
            return self.push_secret.reveal()
        values = (
            value.reveal() if isinstance(value, Secret) else value for _, value in sorted(self.credentials.items())
        )
        return hmac.new("\x1f".join(values).encode(), f"push {self.label}".encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Robot:
    """Where the monthly verdict is posted. The URL is a secret itself: whoever has it can post."""

    name: str  # in the evaluation
    kind: str  # wecom | dingtalk | feishu | webhook
    url: Secret
    secret: Secret | None = None  # signs the post, where the kind has that


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    listen: str = "127.0.0.1:8025"
    url: str = "http://127.0.0.1:8025"  # where vendors and phones reach us from outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything a run needs to know, resolved."""

    name: str
    mode: str  # sandbox | live
    language: str
    seed: int | None
    begins: datetime | None  # None: now
    lasts: timedelta
    stop: str  # "early": leave off when the vendors are told apart, at looks planned beforehand; "": never
    hours: Hours
    purposes: tuple[Purpose, ...]
    recipients: tuple[Recipient, ...]
    forwarders: Mapping[str, Forwarder]
    vendors: Mapping[str, VendorAccount]
    scenarios: Mapping[str, Mapping[str, str]]
    caps: Caps
    spend_limit: Money
    message_limit: int
    horizon: timedelta
    report_horizon: timedelta
    silence: timedelta
    pull_every: timedelta
    keep_numbers: timedelta  # after the last message to a number; then it is deleted from a live run's ledger
    inbox: Inbox
    robots: tuple[Robot, ...]
    criteria: Located | None  # None: the standard ones
    gates: tuple[str, ...]
    dossier: tuple[Attestation, ...]
    words: content.WordList
    world: str | None  # sandbox: file of the world, None: the demo's
    digest: str  # of everything above that was read from files, without secrets
    located: Located
    folder: Path  # of evaluation.yaml; what it names is found from there

    def settings(self) -> dict[str, Any]:
        """What a judge needs, as plain values without a number or a secret: stored in the run's first fact."""
        return {
            "horizon_seconds": self.horizon.total_seconds(),
            "report_horizon_seconds": self.report_horizon.total_seconds(),
            "silence_seconds": self.silence.total_seconds(),
            "hours": f"{self.hours.begin:%H:%M}-{self.hours.end:%H:%M}",
            "lasts_seconds": self.lasts.total_seconds(),
            "language": self.language,
            "criteria": self.criteria.value if self.criteria else None,
            "gates": list(self.gates),
            "dossier": [to_plain(paper) for paper in self.dossier],
            "purposes": list(self.purposes),
            "words_dated": self.words.dated.isoformat(),
            "spend_limit": to_plain(self.spend_limit),
            "message_limit": self.message_limit,
            "caps_per_day": self.caps.per_day,
            "stop": self.stop,
            "keep_numbers_seconds": self.keep_numbers.total_seconds(),
            "setups": {label: one.setup() for label, one in self.vendors.items()},
        }


# --- single values --------------------------------------------------------------------------------------------------

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|seconds?|min|minutes?|h|hours?|d|days?|weeks?)$")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> timedelta:
    """ "90 s", "3 days", "4 min" as a time span. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write it like  90 s,  4 min,  3 days")
    unit = "ms" if found[2] == "ms" else found[2][0]
    try:
        return timedelta(seconds=float(found[1]) * _SECONDS[unit])
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than a calendar") from error


def span(text: str) -> timedelta:
    """A duration above 0. Raises ValueError."""
    value = duration(text)
    if not value:
        raise ValueError(f"{text!r} is no time at all")
    return value


def money(text: str) -> Money:
    """ "200 CNY" as money. Raises ValueError."""
    amount, _, currency = text.strip().partition(" ")
    try:
        value = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no amount; write it like  200 CNY") from error
    if not value.is_finite() or value < 0 or not re.fullmatch(r"[A-Z]{3}", currency):
        raise ValueError(f"{text!r} is no amount; write it like  200 CNY")
    return Money(amount=value, currency=currency)


def hours(text: str) -> Hours:
    """ "09:00-20:30" as hours. Raises ValueError."""
    found = re.fullmatch(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)", text.strip())
    if not found:
        raise ValueError(f"{text!r} are no hours; write them like  09:00-20:30")
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begin >= end:
        raise ValueError(f"{text!r} begins after it ends; nothing could be sent")
    return Hours(begin=begin, end=end)


def moment(text: str) -> datetime:
    """ "2026-03-02 09:00" (Beijing) or an ISO time with its zone, in UTC. Raises ValueError."""
    value = datetime.fromisoformat(text.strip())
    try:
        return (value if value.tzinfo else value.replace(tzinfo=BEIJING)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond the calendar") from error


def web_address(text: str) -> str:
    """A base URL with http or https and a host, without a trailing slash. Raises ValueError."""
    if not re.fullmatch(r"https?://[^\s/?#@]+[^\s?#@]*", text.strip()):
        raise ValueError(f"{text!r} is no web address; write it like  https://sms.example.com")
    return text.strip().rstrip("/")


def network(text: str) -> Network:
    """ "203.0.113.0/24" or a single address as a network. Raises ValueError."""
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is no address or network; write it like  203.0.113.0/24") from error


def positive(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()) or float(text) == 0:
        raise ValueError(f"{text!r} is no number above 0")
    return float(text)


class _Section:
    """A mapping of the document: takes values out one by one and complains about what is wrong or left over."""

    def __init__(self, located: Located, path: KeyPath, value: Plain | None, complaints: list[Complaint]) -> None:
        self.located, self.path, self.complaints = located, path, complaints
        self.values: dict[str, Plain] = value if isinstance(value, dict) else {}
        self.known: set[str] = set()
        if value is not None and not isinstance(value, dict):
            # What stands where credentials belong may be one.
            shown = "a literal value" if path[-1:] == ("account",) else _shown(value)
            self.complain((), f"got {shown}", "Write a mapping here: one `key: value` a line.")

    def complain(self, path: KeyPath, problem: str, way_out: str) -> None:
        place = self.located.place((*self.path, *path))
        self.complaints.append(Complaint(place=place, problem=problem, way_out=way_out))

    def raw(self, key: str) -> Plain | None:
        self.known.add(key)
        return self.values.get(key)

    def text(self, key: str, default: str | None = None, *, way_out: str = "Write one plain value.") -> str:
        value = self.raw(key)
        if isinstance(value, str) and (value or default is not None):
            return value
        if value == "":
            value = None
        if value is not None:
            self.complain((key,), f"got {_shown(value)}", way_out)
        elif default is None:
            self.complain((key,), "is missing", way_out)
        return default or ""

    def parsed(self, key: str, parse: Callable[[str], Any], default: Any, way_out: str = "") -> Any:
        value = self.raw(key)
        if value is None:
            return default
        try:
            if not isinstance(value, str):
                raise ValueError(f"got {_shown(value)}")
            return parse(value)
        except ValueError as error:
            self.complain((key,), str(error), way_out or f"Leave it out for {default!r}, or mend the value.")
            return default

    def choice(self, key: str, choices: Sequence[str], default: str | None) -> str:
        value = self.text(key, default, way_out=f"Write one of {', '.join(choices)}.")
        if value not in choices and (value or default is not None):
            near = difflib.get_close_matches(value, choices, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            self.complain((key,), f"got {value!r}", f"Write one of {', '.join(choices)}.{hint}")
            return default or choices[0]
        return value

    def section(self, key: str) -> _Section:
        return _Section(self.located, (*self.path, key), self.raw(key), self.complaints)

    def items(self) -> Iterable[tuple[str, _Section]]:
        for key, value in self.values.items():
            self.known.add(key)
            yield key, _Section(self.located, (*self.path, key), value, self.complaints)

    def texts(self) -> dict[str, str]:
        """All of the mapping as texts."""
        for key, value in self.values.items():
            self.known.add(key)
            if not isinstance(value, str):
                self.complain((key,), f"got {_shown(value)}", "Write one plain value.")
        return {key: value for key, value in self.values.items() if isinstance(value, str)}

    def finish(self) -> None:
        """Complain about keys nobody asked for."""
        for key in (key for key in self.values if key not in self.known):
            near = difflib.get_close_matches(key, self.known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(self.known))}."
            self.complain((key,), "is an unknown key", hint)


def _shown(value: Plain) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "…")
    return f"a list of {len(value)}" if isinstance(value, list) else f"a mapping of {len(value)}"


# --- the whole ------------------------------------------------------------------------------------------------------


def load_evaluation(path: Path, environment: Mapping[str, str] | None = None) -> Evaluation:
    """Read an evaluation and the files it names.

    Args:
        path: of evaluation.yaml; companions are found relative to it.
        environment: where `$NAMES` are looked up; None: the process's environment.

    Raises:
        ConfigError: with every complaint found, in the order of the files.
    """
    located = locate(_read(path), path.name)
    if environment is None:
        environment = os.environ
    return _Loader(path.parent, located, environment).load()


def process_environment() -> dict[str, str]:
    """A copy of the process's environment."""
    return dict(os.environ)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        way_out = "Make one with `smsbench init`, or name the right file."
        raise ConfigError([Complaint(place=path.name, problem="there is no such file", way_out=way_out)]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [Complaint(place=path.name, problem=str(error), way_out="Save it as UTF-8 where it can be read.")]
        ) from error


class _Loader:
    def __init__(self, folder: Path, located: Located, environment: Mapping[str, str]) -> None:
        self.folder, self.located, self.environment = folder, located, environment
        self.complaints: list[Complaint] = []
        self.files: dict[str, str] = {}

    def load(self) -> Evaluation:
        top = _Section(self.located, (), self.located.value, self.complaints)
        mode = top.choice("mode", ("sandbox", "live"), "sandbox")
        vendors = self._vendors(top.section("vendors"))
        forwarders = self._forwarders(top)
        recipients = self._recipients(top, forwarders, mode)
        evaluation = Evaluation(
            name=top.text("evaluation", way_out="Give the evaluation a name:  evaluation: 2026-03 monthly check"),
            mode=mode,
            language=top.choice("language", LANGUAGES, "zh-CN"),
            seed=top.parsed("seed", lambda text: int(text), None, "Write a whole number, or leave it out."),
            begins=top.parsed("begins", moment, None, "Write it like  2026-03-02 09:00  (Beijing)."),
            lasts=top.parsed("lasts", span, timedelta(days=7)),
            stop=top.choice("stop", ("", "early"), ""),
            hours=top.parsed("hours", hours, Hours(begin=time(9), end=time(20, 30)), "Write them like  09:00-20:30."),
            purposes=self._purposes(top),
            recipients=recipients,
            forwarders=forwarders,
            vendors=vendors,
            scenarios=self._scenarios(top.section("scenarios")),
            caps=self._caps(top.section("caps")),
            spend_limit=self._spend_limit(top, mode),
            message_limit=top.parsed("message_limit", whole, 20_000),
            horizon=top.parsed("horizon", span, timedelta(minutes=10)),
            report_horizon=top.parsed("report_horizon", span, timedelta(hours=1)),
            silence=top.parsed("silence", span, timedelta(minutes=4)),
            pull_every=top.parsed("pull_every", span, timedelta(seconds=30)),
            keep_numbers=top.parsed("keep_numbers", span, KEEP_NUMBERS, "Write it like  180 days."),
            inbox=self._inbox(top.section("inbox")),
            robots=self._robots(top.section("notify")),
            criteria=self._criteria(top),
            gates=self._gates(top),
            dossier=self._dossier(top, frozenset(vendors)),
            words=self._words(top),
            world=top.text("world", "") or None,
            digest="",
            located=self.located,
            folder=self.folder,
        )
        self._check_whole(top, evaluation)
        top.finish()
        if self.complaints:
            masked = (replace(one, problem=mask_numbers(one.problem)) for one in self.complaints)
            raise ConfigError(sorted(masked, key=self._where))
        files = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(self.files.items())}
        digest = hashlib.sha256(canonical_json([self.located.value, files])).hexdigest()
        return replace(evaluation, digest=digest)

    def _where(self, complaint: Complaint) -> tuple[int, int]:
        """Where a complaint's place stands: the evaluation first, then the files in the order they were read."""
        name, _, rest = complaint.place.partition(", line ")
        files = [self.located.name, *self.files]
        line = re.match(r"\d+", rest)
        return files.index(name) if name in files else len(files), int(line[0]) if line else 0

    def _companion(self, top: _Section, key: str, default: str | None = None) -> Located | None:
        """Another YAML file that the evaluation names, or a mapping written in place."""
        value = top.raw(key)
        if value is None and default is None:
            return None
        if isinstance(value, dict):
            lines = {path[1:]: line for path, line in self.located.lines.items() if path[:1] == (key,)}
            return Located(self.located.name, value, lines)
        if isinstance(value, list) or value == "":
            top.complain((key,), f"got {_shown(value)}", "Name a YAML file, or write a mapping in place.")
            return None
        try:
            name = value if isinstance(value, str) else str(default)
            text = _read(self.folder / name)
            self.files[name] = text
            return locate(text, name)
        except ConfigError as error:
            top.complain((key,), error.complaints[0].problem, error.complaints[0].way_out)
            return None

    def _purposes(self, top: _Section) -> tuple[Purpose, ...]:
        value = top.raw("purposes")
        if value is None:
            return tuple(Purpose)
        chosen = value if isinstance(value, list) else [value]
        wrong = [one for one in chosen if not isinstance(one, str) or one not in set(Purpose)]
        if wrong or not chosen:
            problem = f"got {_shown(wrong[0])}" if wrong else "names no purpose"
            top.complain(("purposes",), problem, f"Use {', '.join(Purpose)}.")
        return tuple(purpose for purpose in Purpose if purpose in chosen) or tuple(Purpose)

    def _caps(self, section: _Section) -> Caps:
        caps = Caps(
            per_day=section.parsed("per_day", whole, 40),
            gap=section.parsed("gap", duration, timedelta(seconds=60)),
            marketing_per_month=section.parsed("marketing_per_month", whole, 2),
        )
        section.finish()
        return caps

    def _spend_limit(self, top: _Section, mode: str) -> Money:
        if mode == "live" and top.raw("spend_limit") is None:
            top.complain(("spend_limit",), "is missing", "Live runs need one:  spend_limit: 200 CNY")
        limit: Money = top.parsed("spend_limit", money, Money(amount=Decimal(1000)), "Write it like  200 CNY.")
        return limit

    def _inbox(self, section: _Section) -> Inbox:
        listen = section.text("listen", Inbox().listen)
        if not re.fullmatch(r"[^:\s]+:\d{1,5}", listen) or int(listen.rpartition(":")[2]) > 65535:
            section.complain(("listen",), f"got {listen!r}", "Write it like  127.0.0.1:8025.")
        inbox = Inbox(listen=listen, url=section.parsed("url", web_address, f"http://{listen}"))
        section.finish()
        return inbox

    def _scenarios(self, section: _Section) -> dict[str, dict[str, str]]:
        chosen = {}
        for key, settings in section.items():
            if key not in SCENARIOS:
                near = difflib.get_close_matches(key, SCENARIOS, 1)
                hint = f" Did you mean {near[0]}?" if near else ""
                section.complain((key,), "is no scenario", f"Use {', '.join(SCENARIOS)}.{hint}")
                continue
            chosen[key] = settings.texts()
        if not chosen and not self.complaints:
            section.complain((), "names no scenario", "Write at least  delivery: {messages: 600}.")
        return chosen

    def _criteria(self, top: _Section) -> Located | None:
        return None if top.raw("criteria") in (None, "standard") else self._companion(top, "criteria")

    def _gates(self, top: _Section) -> tuple[str, ...]:
        value = top.raw("gates")
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            top.complain(("gates",), f"got {_shown(value)}", "Write a list, one gate a line:  - arrival.rate >= 0.97")
            return ()
        return tuple(str(one) for one in value)

    def _dossier(self, top: _Section, labels: frozenset[str]) -> tuple[Attestation, ...]:
        located = self._companion(top, "dossier")
        if located is None:
            return ()
        try:
            return read_dossier(located, labels)
        except ConfigError as error:
            self.complaints += error.complaints
            return ()

    def _words(self, top: _Section) -> content.WordList:
        located = self._companion(top, "words")
        if located is None:
            return content.shipped_words()
        try:
            return content.read_words(located)
        except ConfigError as error:
            self.complaints += error.complaints
            return content.shipped_words()

    # --- vendors ----------------------------------------------------------------------------------------------------

    def _vendors(self, section: _Section) -> dict[str, VendorAccount]:
        vendors = {}
        for label, one in section.items():
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", label):
                section.complain((label,), f"got the label {label!r}", "Use lower-case letters, digits and hyphens.")
            vendors[label] = self._vendor(label, one)
        if not vendors:
            section.complain((), "names no vendor", "Write at least one:  ali-main: {use: alibaba, …}")
        return vendors

    def _vendor(self, label: str, section: _Section) -> VendorAccount:
        account = section.section("account")
        signature = section.text("signature", way_out="Name your filed signature:  signature: 某某科技")
        if "【" in signature or "】" in signature:
            section.complain(("signature",), f"got {signature!r}", "Write it without the brackets 【】.")
        vendor = VendorAccount(
            label=label,
            name=self._name(section),
            use=section.text("use", way_out="Name the adapter:  use: alibaba  (see `smsbench vendors`)."),
            credentials=self._credentials(account),
            signature=signature,
            endpoint=section.parsed("endpoint", web_address, None, "Leave it out for the vendor's own."),
            price=section.parsed("price", money, None, "Write the price of one billed segment:  price: 0.045 CNY"),
            templates=section.section("templates").texts(),
            reports=section.choice("reports", ("push", "pull", "both"), "push"),
            per_second=section.parsed("per_second", positive, None),
            per_number_per_day=section.parsed("per_number_per_day", whole, None),
            options=section.section("options").texts(),
            line=self.located.lines.get(("vendors", label), 1),
            endpoints=self._endpoints(section.section("endpoints")),
            push_secret=self._push_secret(section),
            push_from=self._push_from(section),
        )
        section.finish()
        return vendor

    def _endpoints(self, section: _Section) -> dict[str, str]:
        way_out = "Write a web address, or leave it out for the vendor's own."
        found = {name: section.parsed(name, web_address, None, way_out) for name in section.values}
        return {name: address for name, address in found.items() if address is not None}

    def _push_secret(self, section: _Section) -> Secret | None:
        value = section.raw("push_secret")
        if value is None:
            return None
        if not isinstance(value, str):
            section.complain(("push_secret",), f"got {_shown(value)}", "Write  push_secret: $NAME  and set NAME.")
            return None
        secret = self._secret(section, "push_secret", value)
        if secret is not None and not re.fullmatch(r"[A-Za-z0-9_-]{16,64}", secret.reveal()):
            way_out = "It is part of a URL: 16 to 64 letters, digits, hyphens and underscores."
            section.complain(("push_secret",), "its value does not fit", way_out)
        return secret

    def _push_from(self, section: _Section) -> tuple[Network, ...]:
        value = section.raw("push_from")
        found = []
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            try:
                if not isinstance(one, str):
                    raise ValueError(f"got {_shown(one)}")
                found.append(network(one))
            except ValueError as error:
                section.complain(("push_from",), str(error), "Write a list:  push_from: [203.0.113.0/24, 198.51.100.7]")
        return tuple(found)

    def _name(self, section: _Section) -> dict[str, str]:
        """A vendor's name: one for all languages, or one for each."""
        if isinstance(section.values.get("name"), str):
            name = section.text("name")
            return {language: name for language in LANGUAGES}
        return section.section("name").texts()

    def _credentials(self, section: _Section) -> dict[str, Secret | str]:
        result: dict[str, Secret | str] = {}
        for key, value in section.texts().items():
            if not value.startswith("$"):
                # Even an account's name is read from the environment, so that no file needs guarding.
                section.complain(
                    (key,),
                    "got a literal value; credentials are read from the environment.",
                    f"Write  {key}: ${re.sub('[^A-Z0-9]', '_', key.upper())}  and set that variable.",
                )
                continue
            if (secret := self._secret(section, key, value)) is not None:
                result[key] = secret
        return result

    def _secret(self, section: _Section, key: str, value: str) -> Secret | None:
        name = value.removeprefix("$").strip("{}")
        if not value.startswith("$"):
            section.complain(
                (key,),
                "got a literal value; secrets are read from the environment.",
                f"Write  {key}: ${re.sub('[^A-Z0-9]', '_', key.upper())}  and set that variable.",
            )
            return None
        found = self.environment.get(name)
        if not found:
            section.complain((key,), f"the variable {name} is not set", f"Set it:  export {name}=…")
            return None
        return Secret(found)

    def _robots(self, section: _Section) -> tuple[Robot, ...]:
        found = []
        for name, one in section.items():
            kind = one.choice("kind", ROBOTS, None)
            secrets = {key: self._secret(one, key, value) for key in ("url", "secret") if (value := one.text(key, ""))}
            if "url" not in secrets:
                one.complain(("url",), "is missing", "Whoever has it can post, so it is a secret:  url: $ROBOT_URL")
            elif (url := secrets["url"]) is not None:
                if not re.match(r"https?://[^/\s]+", url.reveal()):
                    one.complain(("url",), "is no web address", "Set the variable to the whole URL, https://…")
                found.append(Robot(name=name, kind=kind, url=url, secret=secrets.get("secret")))
            if one.values.get("kind") == "wecom" and "secret" in secrets:
                one.complain(("secret",), "is of no use to a WeCom robot", "Leave it out: its key is in the URL.")
            one.finish()
        return tuple(found)

    # --- phones -----------------------------------------------------------------------------------------------------

    def _forwarders(self, top: _Section) -> dict[str, Forwarder]:
        located = self._companion(top, "forwarders")
        if located is None:
            return {}
        phones = _Section(located, (), located.value, self.complaints)
        return {key: self._forwarder(key, section) for key, section in phones.items()}

    def _forwarder(self, key: str, section: _Section) -> Forwarder:
        secrets = {}
        for name in ("secret", "password"):
            if isinstance(value := section.raw(name), str):
                secrets[name] = self._secret(section, name, value)
        app = section.choice("app", APPS, None)
        if app in ("smsforwarder", "smsgate") and "secret" not in section.values:
            section.complain((), "has no secret", "Posts of this app are signed:  secret: $PHONE_SECRET")
        forwarder = Forwarder(
            id=key,
            app=app,
            secret=secrets.get("secret"),
            password=secrets.get("password"),
            username=section.text("username", ""),
            api=section.text("api", "").rstrip("/") or None,
            fields=section.section("fields").texts(),
            header=section.text("header", "").lower(),
            time_format=section.text("time_format", "iso"),
        )
        if app == "json" and not {"sender", "text"} <= forwarder.fields.keys():
            section.complain(("fields",), "lacks sender or text", "Say where they stand:  fields: {sender: from, …}")
        if app == "json" and not ("secret" in section.values and forwarder.header):
            section.complain((), "has no secret or no header", "Unsigned posts are refused: give both.")
        section.finish()
        return forwarder

    def _recipients(self, top: _Section, forwarders: Mapping[str, Forwarder], mode: str) -> tuple[Recipient, ...]:
        name = top.text("recipients", way_out="Name the file of consenting numbers:  recipients: recipients.csv")
        if not name:
            return ()
        try:
            text = _read(self.folder / name)
        except ConfigError as error:
            top.complain(("recipients",), error.complaints[0].problem, "Name a CSV file beside the evaluation.")
            return ()
        self.files[name] = text
        recipients, complaints = read_recipients(text, name, forwarders=frozenset(forwarders), live=mode == "live")
        self.complaints += complaints
        return recipients

    def _check_whole(self, top: _Section, evaluation: Evaluation) -> None:
        """What only shows when the parts stand together."""
        self._check_money(top, evaluation)
        handsets = [one for one in evaluation.recipients if one.kind is RecipientKind.HANDSET]
        if not handsets and evaluation.recipients:
            top.complain(("recipients",), "holds no handset", "Arrival needs phones that forward: kind handset.")
        if evaluation.horizon > evaluation.report_horizon:
            top.complain(("horizon",), "is longer than report_horizon", "Wait for reports at least as long.")
        texts = content.shipped_texts()
        for label, vendor in evaluation.vendors.items():
            for unknown in sorted(vendor.templates.keys() - texts.keys()):
                near = difflib.get_close_matches(unknown, texts, 1)
                hint = f"Did you mean {near[0]}?" if near else "See `smsbench texts`."
                top.complain(("vendors", label, "templates", unknown), "is no test text", hint)

    def _check_money(self, top: _Section, evaluation: Evaluation) -> None:
        currency = evaluation.spend_limit.currency
        for label, vendor in evaluation.vendors.items():
            path = ("vendors", label, "price")
            if vendor.price is None and evaluation.mode == "live":
                way_out = "Without it no spend limit holds:  price: 0.045 CNY  (one billed segment)"
                top.complain(path, "is missing", way_out)
            elif vendor.price is not None and vendor.price.currency != currency:
                way_out = f"Write it in {currency}, as the spend limit is."
                top.complain(path, f"is in {vendor.price.currency}, the spend limit in {currency}", way_out)
