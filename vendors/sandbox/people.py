"""The sandbox's people: a generated panel of numbers on four carriers, with phones where somebody holds one.

The same seed makes the same people. Numbers are sample numbers: four zeros after the prefix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final

from harness.domain import Carrier, RecipientKind
from vendors.sandbox.phones import JSON_FIELDS, JSON_HEADER, Phone, Stretch
from vendors.sandbox.truth import App, PanelTruth

MOST_PEOPLE: Final = 9000  # four digits make a sample number

PREFIXES: Final[Mapping[Carrier, tuple[str, ...]]] = {
    Carrier.CHINA_MOBILE: ("138", "139", "150", "188", "198"),
    Carrier.CHINA_UNICOM: ("130", "131", "155", "186", "196"),
    Carrier.CHINA_TELECOM: ("133", "153", "189", "199"),
    Carrier.CHINA_BROADNET: ("192",),
}
SERVICE: Final[Mapping[Carrier, str]] = {
    Carrier.CHINA_MOBILE: "10086",
    Carrier.CHINA_UNICOM: "10010",
    Carrier.CHINA_TELECOM: "10000",
    Carrier.CHINA_BROADNET: "10099",
}
_AGES: Final = ("18-30", "31-45", "46-60", "60+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone, or nobody, behind a number."""

    id: str
    number: str = field(repr=False)  # E.164
    carrier: Carrier
    allotted_carrier: Carrier
    kind: RecipientKind
    province: str
    phone: Phone | None = None
    spare: bool = False
    tester: bool = False


def people_of(
    panel: PanelTruth, epoch: datetime, chance: Callable[..., Random]
) -> tuple[dict[str, Person], dict[str, Phone]]:
    """Everybody on the panel, by number, and the phones by id. The same seed makes the same people."""
    people, phones = dict[str, Person](), dict[str, Phone]()
    carriers = list(panel.handsets) or [Carrier.CHINA_MOBILE]
    wanted = [(carrier, RecipientKind.HANDSET, False) for carrier, n in panel.handsets.items() for _ in range(n)]
    kinds = (
        (RecipientKind.HANDSET, panel.spare, True),
        (RecipientKind.INVALID, panel.invalid, False),
        (RecipientKind.UNREACHABLE, panel.unreachable, False),
        (RecipientKind.BLOCKED, panel.blocked, False),
    )
    for kind, n, spare in kinds:
        wanted += [(carriers[index % len(carriers)], kind, spare) for index in range(n)]
    if len(wanted) > MOST_PEOPLE:
        raise ValueError(f"a panel has at most {MOST_PEOPLE} people, got {len(wanted)}")
    seen = Counter[Carrier]()
    for index, (carrier, kind, spare) in enumerate(wanted):
        luck = chance("person", index)
        others = [each for each in PREFIXES if each not in (carrier, Carrier.CHINA_BROADNET)]
        allotted = luck.choice(others) if luck.random() < panel.ported else carrier
        number = f"+86{luck.choice(PREFIXES[allotted])}0000{1000 + index:04d}"
        phone = None
        if kind is RecipientKind.HANDSET:
            phone = _phone(panel, epoch, luck, f"phone-r{index + 1:03d}", number, carrier, seen[carrier])
            phones[phone.id] = phone
            seen[carrier] += 1
        people[number] = Person(
            id=f"r{index + 1:03d}",
            number=number,
            carrier=carrier,
            allotted_carrier=allotted,
            kind=kind,
            province=panel.provinces[index % len(panel.provinces)],
            phone=phone,
            spare=spare,
            tester=luck.random() < panel.testers,
        )
    return people, phones


def _phone(
    panel: PanelTruth, epoch: datetime, chance: Random, name: str, number: str, carrier: Carrier, nth: int
) -> Phone:
    app = chance.choices(list(panel.apps), weights=list(panel.apps.values()))[0]
    offset, drift = chance.gauss(0.0, panel.clock_offset_seconds), chance.gauss(0.0, panel.clock_drift_ppm)
    down = tuple(
        Stretch(begin=each.begin.after(epoch), end=each.end.after(epoch), kind=each.kind)
        for each in panel.down
        if nth < each.phones and each.carrier in (None, carrier)
    )
    return Phone(
        id=name,
        number=number,
        carrier=carrier,
        app=app,
        secret=f"{chance.getrandbits(128):032x}",
        password=f"{chance.getrandbits(64):016x}",
        epoch=epoch,
        offset_seconds=offset,
        drift_ppm=drift,
        down=down,
    )


def panel_rows(panel: PanelTruth, people: Iterable[Person]) -> list[dict[str, str]]:
    """One row per recipient, as text: the columns of recipients.csv."""
    return [
        {
            "id": person.id,
            "number": person.number,
            "carrier": person.carrier.value,
            "allotted_carrier": person.allotted_carrier.value,
            "province": person.province,
            "kind": person.kind.value,
            "consent_by": panel.consent_by,
            "consent_on": panel.consent_on.isoformat(),
            "forwarder": person.phone.id if person.phone else "",
            "spare": "yes" if person.spare else "no",
            "tester": "yes" if person.tester else "no",
            "cap_per_day": str(panel.cap_per_day) if panel.cap_per_day else "",
            "since": panel.consent_on.isoformat(),
            "age_band": _AGES[index % len(_AGES)],
            "city": person.province,
        }
        for index, person in enumerate(people)
    ]


def forwarder_rows(people: Iterable[Person], phones_url: str | None) -> list[dict[str, str]]:
    """One row per forwarder, as text: id, app, recipient, sim, secret, api, username, password, and for the plain
    JSON app header, time_format and fields ("ours: theirs, …").

    `phones_url`: base address of all phones on a real port; else each phone has its host name.
    """
    fields = ", ".join(f"{ours}: {theirs}" for ours, theirs in JSON_FIELDS.items())
    return [
        {
            "id": phone.id,
            "app": phone.app.value,
            "recipient": person.id,
            "sim": "1",
            "secret": phone.secret,
            "api": _api_url(phone, phones_url),
            "username": "sms" if phone.app is App.SMSGATE else "",
            "password": phone.password if phone.app is App.SMSGATE else "",
            "header": JSON_HEADER if phone.app is App.JSON else "",
            "time_format": "iso" if phone.app is App.JSON else "",
            "fields": fields if phone.app is App.JSON else "",
        }
        for person in people
        if (phone := person.phone)
    ]


def _api_url(phone: Phone, phones_url: str | None) -> str:
    if phone.app is App.JSON:
        return ""
    if phones_url:
        return f"{phones_url.rstrip('/')}/{phone.id}"
    return f"http://{phone.host}:{5000 if phone.app is App.SMSFORWARDER else 8080}"
