"""The pictures of a report, criterion by criterion: small panels side by side, each with its n.

Which numbers go into which picture is decided here; how a picture is drawn stands in charts.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from markupsafe import Markup

from harness.domain import BEIJING, Carrier
from harness.judge.result import Curve, Funnel, ReviewEntry, Series
from reports import charts
from reports.figures import Desk, Party, Table

MOST_REVIEWS: Final = 24  # rows in the table of reviews; all of them stand in the document
FIVE_MINUTES: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    picture: Markup
    party: Party | None = None
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Panels that belong together, with what to see in them."""

    title: str
    about: str
    panels: tuple[Panel, ...]
    columns: int = 3  # how many stand side by side where there is room
    legend: str = ""  # "vendors", "claims", "shades"
    table: Table | None = None


class Panels:
    """The groups of panels of one result."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.result, self.words = desk, desk.result, desk.words

    def groups(self, id: str) -> list[Group]:
        """The pictures that a criterion's section shows."""
        match id:
            case "licence":
                return [self._senders()]
            case "stability":
                return [self._hours(), self._strips()]
            case "review":
                return [self._reviews()]
            case "arrival":
                return [self._claims(), self._curves(), self._funnels()]
            case "cost":
                return [self._prices()]
        return []

    def _series(self, along: str) -> list[Series]:
        """Series of arrival by carrier where there are such, in the order of vendors and carriers."""
        found = [s for s in self.result.series if s.along == along and s.measure == "arrival.rate" and s.cells]
        split = {s.vendor for s in found if s.carrier is not None}
        found = [s for s in found if s.carrier is not None or s.vendor not in split]
        carriers = [None, *Carrier]
        return sorted(found, key=lambda s: (self.desk.party(s.vendor).place, carriers.index(s.carrier)))

    def _senders(self) -> Group:
        """A row a vendor and code, a column a carrier: how often phones of that carrier saw the code."""
        words = self.words
        found = [one for one in self.result.series if one.along == "sender" and one.carrier is not None]
        carriers = [carrier for carrier in Carrier if any(one.carrier is carrier for one in found)]
        seen: dict[tuple[str, str], dict[Carrier | None, int]] = {}
        for one in found:
            for cell in one.cells:
                seen.setdefault((one.vendor, cell.key), {})[one.carrier] = cell.n
        rows: tuple[tuple[str | Party, ...], ...] = tuple(
            (self.desk.party(vendor), code, *(words.count(by.get(carrier, 0)) for carrier in carriers))
            for (vendor, code), by in sorted(
                seen.items(), key=lambda row: (self.desk.party(row[0][0]).place, row[0][1])
            )
        )
        heads = (words("head.vendor"), words("head.sender"), *(self.desk.carrier(carrier) for carrier in carriers))
        table = Table(heads=heads, rows=rows, numbers=tuple(range(2, len(heads)))) if rows else None
        return Group(title=words("chart.senders"), about=words("chart.senders.about"), panels=(), table=table)

    def _hours(self) -> Group:
        words, series = self.words, self._series("hour_of_day")
        points = [c.estimate.value for s in series for c in s.cells if c.estimate and c.estimate.value is not None]
        low, _ = charts.share_ends(points, [1.0])
        up = charts.ticks((low, (low + 1) / 2, 1.0), words.share)
        told = [int(c.key) for s in series for c in s.cells if c.estimate is not None and c.key.isdigit()]
        across = _hour_ticks(told)
        panels = []
        for one in series:
            party = self.desk.party(one.vendor)
            cells = [
                (int(cell.key), charts.Bar(cell.estimate.value, cell.estimate.low, cell.estimate.high))
                for cell in one.cells
                if cell.estimate is not None and cell.key.isdigit()
            ]
            n = words("panel.n", n=sum(cell.n for cell in one.cells))
            title = f"{party.name} · {self.desk.carrier(one.carrier)}"
            picture = charts.hours(cells, party.place, low, up, across, f"{words('chart.hours')}: {title}")
            panels.append(Panel(title=self.desk.carrier(one.carrier), party=party, picture=picture, about=n))
        columns = self._columns(panels)
        return Group(
            title=words("chart.hours"), about=words("chart.hours.about"), panels=tuple(panels), columns=columns
        )  # fmt: skip

    def _columns(self, panels: Sequence[Panel]) -> int:
        """Four in a row where every vendor has four, or where there are four in all; else three."""
        parties = {panel.party.label for panel in panels if panel.party is not None}
        each = len(panels) // max(len(parties), 1)
        return 4 if each == 4 or len(panels) == 4 else 3

    def _strips(self) -> Group:
        words, panels = self.words, []
        series = self._series("hour")
        told = [_beijing(cell.key) for one in series for cell in one.cells if cell.n]
        across = _hour_ticks([when.hour for when in told if when is not None])
        for one in series:
            party = self.desk.party(one.vendor)
            whens = {cell.key: _beijing(cell.key) for cell in one.cells}
            known = sorted({when.date() for when in whens.values() if when is not None})
            if not known:
                continue
            days = [known[0] + timedelta(days=day) for day in range((known[-1] - known[0]).days + 1)]
            shares: dict[tuple[int, int], float | None] = {}
            for cell in one.cells:
                if (when := whens[cell.key]) is not None and cell.n:
                    value = cell.estimate.value if cell.estimate is not None else None
                    shares[(when.date() - days[0]).days, when.hour] = value
            down = [
                piece
                for outage in self.result.outages
                if outage.vendor == one.vendor and (outage.carrier is None or outage.carrier == one.carrier)
                for piece in _pieces(outage.began, outage.ended or self.result.run.ended, days[0], len(days))
            ]
            title = f"{words('chart.strip')}: {party.name} · {self.desk.carrier(one.carrier)}"
            picture = charts.strip([f"{day:%m-%d}" for day in days], shares, down, across, title)
            n = words("panel.n", n=sum(cell.n for cell in one.cells))
            panels.append(Panel(title=self.desk.carrier(one.carrier), party=party, picture=picture, about=n))
        return Group(
            title=words("chart.strip"), about=words("chart.strip.about"), panels=tuple(panels),
            columns=self._columns(panels), legend="shades",
            table=self._outages(),
        )  # fmt: skip

    def _outages(self) -> Table | None:
        words = self.words
        rows = tuple(
            (
                self.desk.party(outage.vendor),
                self.desk.carrier(outage.carrier),
                words.bare_moment(outage.began),
                words.bare_moment(outage.ended) if outage.ended else words("outage.open"),
                words("outage.missed", missed=outage.missed, sent=outage.sent),
                self.desk.evidence(outage.evidence),
            )
            for outage in self.result.outages
        )
        heads = ("vendor", "carrier", "outage.began", "outage.ended", "outage.lost", "evidence")
        return self.desk.table(heads, rows) if rows else None

    def _reviews(self) -> Group:
        words, panels = self.words, []
        most = max((max(entry.minutes or 0, entry.open_for) for entry in self.result.reviews), default=60.0)
        across = charts.ticks((1, 60, 1440, 10080), words.minutes)
        keep = next((place for place, tick in enumerate(across) if tick.at >= most), len(across) - 1)
        across = across[: max(keep, 1) + 1]
        line = charts.Tick(FIVE_MINUTES, words("chart.review.line"))
        for party in self.desk.parties:
            entries = [entry for entry in self.result.reviews if entry.vendor == party.label]
            if not entries:
                continue
            dots = [
                (
                    entry.minutes if entry.minutes is not None else entry.open_for,
                    entry.minutes is None,
                    "faulty" if entry.fault else "compliant",
                )
                for entry in entries
            ]
            waiting = sum(entry.minutes is None for entry in entries)
            about = words("panel.reviews", n=len(entries), open=waiting)
            picture = charts.reviews(dots, party.place, across, line, f"{words('chart.review')}: {party.name}")
            panels.append(Panel(title=party.name, party=party, picture=picture, about=about))
        return Group(
            title=words("chart.review"), about=words("chart.review.about"), panels=tuple(panels),
            columns=self._columns(panels), legend="lanes",
            table=self._review_table(),
        )  # fmt: skip

    def _review_table(self) -> Table | None:
        words = self.words

        def telling(entry: ReviewEntry) -> tuple[int, bool, float]:
            return self.desk.party(entry.vendor).place, entry.minutes is not None, -entry.open_for

        told = (entry for entry in self.result.reviews if entry.minutes is None or entry.verdict != "approved")
        entries = sorted(told, key=telling)
        rows = tuple(
            (
                self.desk.party(entry.vendor),
                entry.case,
                words.name("subject", entry.subject),
                words("review.compliant") if entry.fault is None else words.name("fault", entry.fault),
                words.minutes(entry.minutes) if entry.minutes is not None
                else words("review.open_for", span=words.minutes(entry.open_for)),
                words.name("review_verdict", entry.verdict) if entry.verdict else words("review.open"),
                entry.reason,
            )
            for entry in entries[:MOST_REVIEWS]
        )  # fmt: skip
        note = words("table.reviews", shown=len(rows), n=len(self.result.reviews))
        heads = ("vendor", "case", "subject", "review.draft", "review.time", "review.verdict", "review.reason")
        return self.desk.table(heads, rows, note=note) if rows else None

    def _claims(self) -> Group:
        words, panels = self.words, []
        carriers = self.desk.slices("arrival.rate").get("carrier", ())
        values: tuple[dict[str, str], ...] = tuple({"carrier": value} for value in carriers) or ({},)
        pairs = [
            [
                (party.place, self._bar(party, "delivery.rate", slice), self._bar(party, "arrival.rate", slice))
                for party in self.desk.parties
            ]
            for slice in values
        ]
        lows = [b.low for rows in pairs for _, *both in rows for b in both if b is not None and b.low is not None]
        low, _ = charts.share_ends(lows, [1.0])
        across = charts.ticks((low, (low + 1) / 2, 1.0), words.share)
        for slice, rows in zip(values, pairs, strict=True):
            if all(claimed is None and seen is None for _, claimed, seen in rows):
                continue
            title = self.desk.carrier(Carrier(slice["carrier"])) if slice else words("all_carriers")
            picture = charts.claimed_and_seen(rows, low, across, f"{words('chart.claims')}: {title}")
            panels.append(Panel(title=title, picture=picture))
        return Group(
            title=words("chart.claims"),
            about=words("chart.claims.about"),
            panels=tuple(panels),
            columns=self._columns(panels),
            legend="claims",
        )

    def _bar(self, party: Party, measure: str, slice: dict[str, str]) -> charts.Bar | None:
        finding = self.desk.finding(party.label, measure, slice)
        if finding is None or finding.estimate is None:
            return None
        return charts.Bar(finding.estimate.value, finding.estimate.low, finding.estimate.high)

    def _curves(self) -> Group:
        words, panels = self.words, []
        curves = [curve for curve in self.result.curves if curve.points]
        whole = [curve for curve in curves if curve.purpose is None]
        split = any(curve.carrier is not None for curve in whole)
        chosen = [curve for curve in whole if curve.carrier is not None or not split] or curves
        most = max((curve.horizon for curve in chosen), default=600.0)
        marks = [1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0]
        end = next((at for at in marks if at >= most), marks[-1])
        across = [charts.Tick(at, words.duration(at) if at not in (10.0, 60.0) else "") for at in marks if at <= end]
        up = charts.ticks((0.0, 0.5, 1.0), words.share)
        lines = charts.ticks((5.0, 10.0, 60.0), words.seconds)
        kinds = sorted({(c.carrier or "", c.purpose or "") for c in chosen}, key=lambda kind: self._kind_order(*kind))
        for carrier, purpose in kinds:
            mine = [c for c in chosen if (c.carrier or "") == carrier and (c.purpose or "") == purpose]
            mine.sort(key=lambda curve: self.desk.party(curve.vendor).place)
            title = self.desk.carrier(Carrier(carrier) if carrier else None)
            if purpose:
                title = f"{title} · {words.name('purpose', purpose)}"
            drawn = [(self.desk.party(c.vendor).place, c.points, c.horizon) for c in mine]
            picture = charts.curves(drawn, across, up, lines, f"{words('chart.curves')}: {title}")
            panels.append(Panel(title=title, picture=picture, about=self._curve_counts(mine)))
        return Group(
            title=words("chart.curves"),
            about=words("chart.curves.about"),
            panels=tuple(panels),
            columns=self._columns(panels),
            legend="vendors",
        )

    def _kind_order(self, carrier: str, purpose: str) -> tuple[int, str]:
        order = ["", *(c.value for c in Carrier)]
        return order.index(carrier), purpose

    def _curve_counts(self, curves: Sequence[Curve]) -> str:
        least, most = min(curve.n for curve in curves), max(curve.n for curve in curves)
        if least == most:
            return self.words("panel.n_each", n=self.words.count(least))
        return self.words("panel.n_each", n=f"{self.words.count(least)}–{self.words.count(most)}")

    def _funnels(self) -> Group:
        words, panels = self.words, []
        for funnel in self._ordered():
            if funnel.carrier is not None:
                continue
            party = self.desk.party(funnel.vendor)

            def stage(id: str, count: int, of: int) -> charts.Stage:
                text = words.count(count) if count == of else f"{words.count(count)} / {words.count(of)}"
                return charts.Stage(words(f"funnel.{id}"), count, of, text)

            stages = [
                stage("submitted", funnel.submitted, funnel.submitted),
                stage("accepted", funnel.accepted, funnel.submitted),
                stage("delivered", funnel.delivered, funnel.accepted),
                stage("arrived", funnel.arrived, funnel.watched),
            ]
            replies = [stage("replied", funnel.replied, funnel.replies_sent)] if funnel.replies_sent else []
            about = words("funnel.in_doubt", n=funnel.in_doubt)
            picture = charts.funnel(stages, replies, party.place, f"{words('chart.funnel')}: {party.name}")
            panels.append(Panel(title=party.name, party=party, picture=picture, about=about))
        return Group(
            title=words("chart.funnel"), about=words("chart.funnel.about"), panels=tuple(panels),
            columns=self._columns(panels), table=self._funnel_table(),
        )  # fmt: skip

    def _ordered(self) -> list[Funnel]:
        """Funnels in the order of vendors and carriers, all carriers first."""
        carriers = [None, *Carrier]
        return sorted(
            self.result.funnels, key=lambda f: (self.desk.party(f.vendor).place, carriers.index(f.carrier))
        )  # fmt: skip

    def _funnel_table(self) -> Table | None:
        columns = (
            "submitted", "accepted", "in_doubt", "reported", "delivered", "watched", "arrived", "replies_sent",
            "replied",
        )  # fmt: skip
        rows: tuple[tuple[str | Party, ...], ...] = tuple(
            (
                self.desk.party(funnel.vendor),
                self.desk.carrier(funnel.carrier),
                *(self.words.count(getattr(funnel, column)) for column in columns),
            )
            for funnel in self._ordered()
        )
        heads = ("vendor", "carrier", *(f"funnel.{column}" for column in columns))
        return self.desk.table(heads, rows, numbers=range(2, 2 + len(columns))) if rows else None

    def _prices(self) -> Group:
        words = self.words
        rows = tuple(
            (self.desk.party(label), words.money(info.price))
            for label, info in self.result.vendors.items()
            if info.price is not None
        )
        table = self.desk.table(("vendor", "price"), rows, numbers=(1,)) if rows else None
        return Group(title=words("chart.prices"), about=words("chart.prices.about"), panels=(), table=table)


# --- reading times ---------------------------------------------------------------------------------------------------


def _beijing(key: str) -> datetime | None:
    """The hour that a series' key names: "2026-03-04T14". A key without a zone is Beijing time."""
    try:
        when = datetime.fromisoformat(key)
    except ValueError:
        return None
    return when.replace(tzinfo=BEIJING) if when.tzinfo is None else when.astimezone(BEIJING)


def _hour_ticks(hours: Sequence[int]) -> list[charts.Tick]:
    """The hours of day from the first to the last that hold anything, with a label every two or four hours."""
    first, last = min(hours, default=0), max(hours, default=23) + 1
    every = 2 if last - first <= 14 else 4
    places = [*(hour for hour in range(first, last, every) if last - hour >= every), last]
    return charts.ticks(places, lambda hour: f"{hour:.0f}")


def _pieces(began: str, ended: str | None, first: Any, days: int) -> Iterable[tuple[int, float, float]]:
    """An outage cut at midnights, Beijing: (day, from hour, to hour) within the days shown."""
    begin = _beijing(began)
    end = _beijing(ended) if ended else None
    if begin is None:
        return
    for day in range(days):
        midnight = datetime.combine(first + timedelta(days=day), datetime.min.time(), BEIJING)
        start = max((begin - midnight).total_seconds() / 3600, 0.0)
        stop = 24.0 if end is None else min((end - midnight).total_seconds() / 3600, 24.0)
        if start < stop and start < 24.0:
            yield day, start, stop
