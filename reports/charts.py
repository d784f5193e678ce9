"""Small inline SVG without a script: intervals, curves, hours, strips, funnels. Numbers in, pictures out.

Vendors differ by colour and by marker, so that a grey print or a colour-blind reader loses nothing. What is not known
is hatched; it is never drawn at zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from markupsafe import Markup, escape

WIDTH: Final = 330  # of a panel: three stand beside each other on a desk, one on a phone
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 24
BAR: Final = 150  # width of an interval bar in a table

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval to draw: a missing value has no marker, a missing limit runs out of the picture."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` on pixels from `begin` to `end`; `log` for times that span decades."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, x: float) -> float:
        """The pixel of a value, held inside the picture."""
        span = self.high - self.low
        if self.log:
            part = log10(max(x, self.low) / self.low) / log10(self.high / self.low)
        else:
            part = (x - self.low) / span if span else 0.5
        return self.begin + (self.end - self.begin) * min(1.0, max(0.0, part))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. Attribute values and children that are no markup are escaped; `class_` is written `class`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>") if inside else Markup(f"<{name}{written}/>")


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def svg(width: float, height: float, label: str, *children: object) -> Markup:
    """A panel, with a label for those who have it read aloud."""
    box = f"0 0 {_short(width)} {_short(height)}"
    return tag(
        "svg", *children, class_="panel", viewBox=box, width=width, height=height, role="img", aria_label=label
    )  # fmt: skip


def _bar(width: float, height: float, place: int, *children: object, kind: str = "bar") -> Markup:
    """A small picture beside the words that say the same: as few bytes as can be, for there are hundreds in a page."""
    box = f"0 0 {_short(width)} {_short(height)}"
    own = None if width == BAR else width  # the commonest width stands in the style
    return tag("svg", *children, class_=f"{kind} v{place % COLOURS}", viewBox=box, width=own)


def _own_sign(place: int, x: float, y: float) -> Markup:
    """A vendor's marker inside a picture that has its colour already."""
    return tag("use", href=f"#m{place % COLOURS}", x=x, y=y, class_="m")


def _path(steps: Iterable[str], **attributes: object) -> Markup:
    return tag("path", d="".join(steps), **attributes)


def _at(x: float, y: float) -> str:
    return f"{_short(round(x, 1))} {_short(round(y, 1))}"


# --- vendors' signs --------------------------------------------------------------------------------------------------

_SHAPES: Final = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2z",  # square
    "M0-4.6L4.4 3.4H-4.4z",  # triangle
    "M0-5L5 0L0 5L-5 0z",  # diamond
    "M0 4.6L4.4-3.4H-4.4z",  # triangle, downwards
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",  # plus
    "M-4.6 0L-2.3-4H2.3L4.6 0L2.3 4H-2.3z",  # hexagon
    "M-4.4-2.2L-2.2-4.4L0-2.2L2.2-4.4L4.4-2.2L2.2 0L4.4 2.2L2.2 4.4L0 2.2L-2.2 4.4L-4.4 2.2L-2.2 0z",  # cross
)
COLOURS: Final = len(_SHAPES)


def sign(place: int, x: float = 0, y: float = 0, *, kind: str = "full") -> Markup:
    """A vendor's marker at a point: `full` for what was seen, `open` for what is claimed."""
    place %= COLOURS
    return tag("use", href=f"#m{place}", x=x, y=y, class_=f"m v{place}" if kind == "full" else f"m v{place} {kind}")


def signet(place: int) -> Markup:
    """A vendor's marker by itself, for legends and tables."""
    return tag("svg", _own_sign(place, 6, 6), class_=f"signet v{place % COLOURS}", viewBox="0 0 12 12")


RULERS: Final = (90, 130, 150)  # widths of marks that stand by the dozen: their rulers are drawn once


def _ruler(width: int) -> str:
    """The line under a mark, with strokes at 0, 50 and 100."""
    return f"M5 8H{width - 5}" + "".join(f"M{_short(at)} 4v8" for at in (5, width / 2, width - 5))


DEFINITIONS: Final = Markup(
    '<svg width="0" height="0" class="defs" aria-hidden="true"><defs>'
    + "".join(f'<path id="m{place}" d="{shape}"/>' for place, shape in enumerate(_SHAPES))
    + "".join(f'<path id="r{width}" d="{_ruler(width)}"/>' for width in RULERS)
    + '<pattern id="hatch" width="6" height="6" '
    'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#f3f1ec"/>'
    '<line x1="0" y1="0" x2="0" y2="6" stroke="#8d8778" stroke-width="1.6"/></pattern></defs></svg>'
)
"""The vendors' shapes and the pattern of what is not known; stands once in a page."""


# --- bars in tables --------------------------------------------------------------------------------------------------


def interval(bar: Bar | None, place: int, low: float, high: float) -> Markup:
    """An interval between the ends of its column's axis; None is hatched from end to end."""
    height, middle = 14, 7
    if bar is None:
        return _bar(BAR, height, place, tag("rect", x=1, y=2, width=BAR - 2, height=10, class_="unknown"))
    axis = Axis(low, high, 6, BAR - 6)
    left = axis(bar.low) if bar.low is not None else BAR - 6.0
    right = axis(bar.high) if bar.high is not None else BAR - 2.0
    parts = [tag("rect", x=left, y=4, width=max(right - left, 1.5), height=6, class_="band")]
    if bar.high is None or bar.high > high:
        parts.append(_path([f"M{BAR - 6} 2.5l5 4.5l-5 4.5"], class_="arrow"))
    if bar.low is not None and bar.low < low:
        parts.append(_path(["M6 2.5l-5 4.5l5 4.5"], class_="arrow"))
    if bar.value is not None:
        parts.append(_own_sign(place, axis(bar.value), middle))
    return _bar(BAR, height, place, *parts, kind="bar rail")


def mark(score: float | None, low: float, high: float, place: int, width: int = 150) -> Markup:
    """A mark from 0 to 100 with its band. Without a score the band is hatched: not known, anywhere in between."""
    axis = Axis(0, 100, 5, width - 5)
    left, right = axis(low), axis(high)
    kind = "band" if score is not None else "unknown"
    parts = [
        tag("use", href=f"#r{width}", class_="line") if width in RULERS else _path([_ruler(width)], class_="line"),
        tag("rect", x=left, y=4, width=max(right - left, 1.5), height=8, class_=kind),
    ]
    if score is not None:
        parts.append(_own_sign(place, axis(score), 8))
    return _bar(width, 16, place, *parts)


def part(share: float, place: int) -> Markup:
    """A probability as a filled length."""
    parts = [
        tag("rect", x=0, y=4, width=BAR, height=6, class_="rest"),
        tag("rect", x=0, y=4, width=BAR * share, height=6, class_="fill"),
    ]
    return _bar(BAR, 14, place, *parts)


# --- panels ----------------------------------------------------------------------------------------------------------


def frame(height: float, x: Axis, y: Axis, across: Sequence[Tick], up: Sequence[Tick]) -> list[Markup]:
    """Grid lines and their labels."""
    bottom = height - BOTTOM
    lines = [f"M{LEFT} {_short(y(tick.at))}H{WIDTH - RIGHT}" for tick in up]
    parts = [_path(lines, class_="grid"), _path([f"M{LEFT} {_short(bottom)}H{WIDTH - RIGHT}"], class_="axis")]
    parts += [tag("text", tick.label, x=LEFT - 6, y=y(tick.at) + 3.5, class_="t end") for tick in up]
    for tick in across:
        anchor = "mid"
        if x(tick.at) > WIDTH - RIGHT - 12:
            anchor = "end"
        parts.append(tag("text", tick.label, x=x(tick.at), y=height - 8, class_=f"t {anchor}"))
    return parts


def curves(
    lines: Sequence[tuple[int, Sequence[Point], float]],
    across: Sequence[Tick],
    up: Sequence[Tick],
    thresholds: Sequence[Tick],
    label: str,
) -> Markup:
    """Arrived within t, of all sent: a step curve for each (vendor's place, points, horizon); times on a log scale."""
    height = 214.0
    x = Axis(across[0].at, across[-1].at, LEFT, WIDTH - RIGHT, log=True)
    y = Axis(0, 1, height - BOTTOM, TOP + 12)
    parts = frame(height, x, y, across, up)
    for tick in thresholds:
        parts.append(_path([f"M{_short(x(tick.at))} {TOP + 8}V{_short(height - BOTTOM)}"], class_="threshold"))
        parts.append(tag("text", tick.label, x=x(tick.at), y=TOP + 2, class_="t mid"))
    for order, (place, points, horizon) in enumerate(lines):
        parts.append(_path(_steps(points, horizon, x, y), class_=f"curve v{place % COLOURS}"))
        parts.append(_on_curve(place, points, horizon, x, y, order))
    return svg(WIDTH, height, label, *parts)


def _steps(points: Sequence[Point], horizon: float, x: Axis, y: Axis) -> list[str]:
    """A step curve in half pixels, a step a pixel up: what cannot be told apart on paper is left out."""
    last_x, last_y = float(x.begin), round(y(0) * 2) / 2
    steps = [f"M{_at(last_x, last_y)}"]
    for t, share in points:
        px, py = round(x(t) * 2) / 2, round(y(share) * 2) / 2
        if abs(py - last_y) < 1 and (t, share) != points[-1]:
            continue
        steps.append(f"h{_short(px - last_x)}v{_short(py - last_y)}")
        last_x, last_y = px, py
    end = x(horizon)
    return [*steps, f"H{_short(end)}"] if end > last_x else steps


def _on_curve(place: int, points: Sequence[Point], horizon: float, x: Axis, y: Axis, order: int) -> Markup:
    """The vendor's marker on its curve, at a place of its own near the right end."""
    end = x(horizon)
    at = end - 8 - 16 * order
    under = [share for t, share in points if x(t) <= at]
    return sign(place, at, y(under[-1] if under else 0.0))


def hours(
    cells: Sequence[tuple[int, Bar | None]],
    place: int,
    low: float,
    up: Sequence[Tick],
    across: Sequence[Tick],
    label: str,
) -> Markup:
    """A share by hour of day, (hour, interval); hours without messages stay empty."""
    height = 118.0
    x = Axis(across[0].at, across[-1].at, LEFT, WIDTH - RIGHT)
    y = Axis(low, 1, height - BOTTOM, TOP)
    parts = frame(height, x, y, across, up)
    whiskers, dots = [], []
    for hour, bar in cells:
        middle = x(hour + 0.5)
        if bar is None or bar.value is None:
            continue
        if bar.low is not None and bar.high is not None:
            whiskers.append(f"M{_at(middle, y(bar.low))}V{_short(round(y(bar.high), 1))}")
        dots.append(f"M{_at(middle, y(bar.value))}h0")
    parts += [
        _path(whiskers, class_=f"whisker v{place % COLOURS}"), _path(dots, class_=f"dots v{place % COLOURS}"),
    ]  # fmt: skip
    return svg(WIDTH, height, label, *parts)


LEVELS: Final = (0.5, 0.9, 0.97)
"""Where the shades of a strip change: under a half, under 90 %, under 97 %, and better."""


def strip(
    days: Sequence[str],
    shares: Mapping[tuple[int, int], float | None],
    down: Iterable[tuple[int, float, float]],
    across: Sequence[Tick],
    label: str,
) -> Markup:
    """Days × hours: one row a day; darker is worse; hours without messages stay empty; outages are ringed.

    `shares`: (day, hour) → share, None where messages were too few to say: hatched.
    `down`: (day, from hour, to hour) of each piece of an outage.
    """
    row = 13 if len(days) <= 16 else 8
    height = TOP + row * len(days) + 20
    x = Axis(across[0].at, across[-1].at, LEFT, WIDTH - RIGHT)
    wide = x(across[0].at + 1) - x.begin
    shade: dict[str, list[str]] = {}
    first, last = int(across[0].at), int(across[-1].at)
    for day in range(len(days)):
        hour = first
        while hour < last:
            level = _level(shares, day, hour)
            run = 1
            while hour + run < last and _level(shares, day, hour + run) == level:
                run += 1
            if level is not None:
                box = f"M{_at(x(hour), TOP + row * day)}h{_short(wide * run)}v{row - 2}h-{_short(wide * run)}z"
                shade.setdefault(level, []).append(box)
            hour += run
    parts = [_path(boxes, class_=level) for level, boxes in sorted(shade.items())]
    rings = []
    for day, begin, end in down:
        if begin < last and end > first:
            left, right = x(begin) - 1, max(x(end), x(begin) + 2) + 1
            rings.append(f"M{_at(left, TOP + row * day - 1)}H{_short(right)}v{row}H{_short(left)}z")
    if rings:
        parts.append(_path(rings, class_="ring"))
    every = ceil(len(days) / 10)
    parts += [
        tag("text", day, x=LEFT - 6, y=TOP + row * place + row - 4, class_="t end")
        for place, day in enumerate(days)
        if place % every == 0
    ]
    parts += [tag("text", tick.label, x=x(tick.at), y=height - 5, class_="t mid") for tick in across]
    return svg(WIDTH, height, label, *parts)


def _level(shares: Mapping[tuple[int, int], float | None], day: int, hour: int) -> str | None:
    """The shade of an hour; None: nothing was sent."""
    if (day, hour) not in shares:
        return None
    share = shares[day, hour]
    return "unknown" if share is None else f"s{sum(share >= level for level in LEVELS)}"


def reviews(
    dots: Sequence[tuple[float, bool, str]], place: int, across: Sequence[Tick], line: Tick, label: str
) -> Markup:
    """Review times on a log scale against a line: (minutes, is open, "compliant" | "faulty"). Open ones are arrows."""
    lanes = {"compliant": 0, "faulty": 1}
    height = 116.0
    x = Axis(across[0].at, across[-1].at, LEFT, WIDTH - RIGHT, log=True)
    bottom = height - BOTTOM
    parts = [
        _path([f"M{_short(x(tick.at))} {TOP + 10}V{_short(bottom)}" for tick in across], class_="grid"),
        _path([f"M{LEFT} {_short(bottom)}H{WIDTH - RIGHT}"], class_="axis"),
        _path([f"M{_short(x(line.at))} {TOP + 4}V{_short(bottom)}"], class_="limit"),
        tag("text", line.label, x=x(line.at), y=TOP, class_="t mid strong"),
    ]
    parts += [
        tag("text", tick.label, x=x(tick.at), y=height - 8, class_=f"t {'end' if tick is across[-1] else 'mid'}")
        for tick in across
    ]
    taken: dict[tuple[int, int], int] = {}
    for minutes, is_open, lane in sorted(dots):
        px = x(minutes)
        spot = (lanes[lane], round(px / 9))
        up = taken[spot] = taken.get(spot, -1) + 1
        py = bottom - 12 - 36 * lanes[lane] - 7 * min(up, 3)
        if is_open:
            parts.append(_path([f"M{_at(px, py)}h12m-4-3.5l4 3.5l-4 3.5"], class_=f"arrow v{place % COLOURS}"))
        parts.append(sign(place, px, py, kind="full" if lane == "compliant" else "open"))
    return svg(WIDTH, height, label, *parts)


@dataclass(frozen=True, slots=True)
class Stage:
    """One bar of a funnel: how many, of how many, and what is written beside."""

    name: str
    count: int
    of: int
    text: str


def funnel(stages: Sequence[Stage], own_scale: Sequence[Stage], place: int, label: str) -> Markup:
    """Bars on one scale, outlined to what they are counted of; `own_scale` ones stand apart, each on its own."""
    left, right, row = 92, 88, 20
    most = max((stage.of for stage in stages), default=0)
    room = WIDTH - left - right
    parts: list[Markup] = []
    for order, stage in enumerate((*stages, *own_scale)):
        apart = order >= len(stages)
        y = TOP + row * order + (10 if apart else 0)
        scale = max(stage.of if apart else most, 1)
        parts += [
            tag("text", stage.name, x=left - 8, y=y + 10, class_="t end"),
            tag("rect", x=left, y=y + 1.0, width=room * stage.of / scale, height=11, class_="of"),
            tag("rect", x=left, y=y + 1.0, width=room * stage.count / scale, height=11,
                class_=f"fill v{place % COLOURS}"),
            tag("text", stage.text, x=WIDTH - right + 8, y=y + 10, class_="t"),
        ]  # fmt: skip
    height = TOP + row * (len(stages) + len(own_scale)) + (14 if own_scale else 4)
    if own_scale:
        parts.append(_path([f"M{left} {TOP + row * len(stages) + 3}H{WIDTH - right}"], class_="axis"))
    return svg(WIDTH, height, label, *parts)


def claimed_and_seen(
    rows: Sequence[tuple[int, Bar | None, Bar | None]], low: float, across: Sequence[Tick], label: str
) -> Markup:
    """For each vendor the claimed share (open marker, above) and the seen share (full marker, below), joined."""
    row = 34
    height = TOP + row * len(rows) + BOTTOM
    x = Axis(low, 1, 26, WIDTH - RIGHT)
    bottom = height - BOTTOM
    parts = [
        _path([f"M{_short(x(tick.at))} {TOP}V{_short(bottom)}" for tick in across], class_="grid"),
        _path([f"M26 {_short(bottom)}H{WIDTH - RIGHT}"], class_="axis"),
    ]
    parts += [
        tag("text", tick.label, x=x(tick.at), y=height - 8, class_=f"t {'end' if tick is across[-1] else 'mid'}")
        for tick in across
    ]
    for order, (place, claimed, seen) in enumerate(rows):
        upper, lower = TOP + row * order + 10.0, TOP + row * order + 22.0
        parts.append(sign(place, 12, (upper + lower) / 2))
        for bar, y, kind in ((claimed, upper, "open"), (seen, lower, "full")):
            if bar is None or bar.value is None:
                wide = WIDTH - RIGHT - 26
                parts.append(tag("rect", x=26, y=y - 4, width=wide, height=8, class_="unknown"))
                continue
            if bar.low is not None and bar.high is not None:
                ends = f"M{_at(x(bar.low), y)}H{_short(x(bar.high))}"
                parts.append(_path([ends], class_=f"whisker v{place % COLOURS}"))
            parts.append(sign(place, x(bar.value), y, kind=kind))
    return svg(WIDTH, height, label, *parts)


# --- axes ------------------------------------------------------------------------------------------------------------


def share_ends(lows: Iterable[float], highs: Iterable[float]) -> tuple[float, float]:
    """Round ends of an axis that hold these shares: 90–100 %, 50–100 %, 0–5 %, 0–20 %, or all of it."""
    least, most = min(lows, default=0.0), max(highs, default=1.0)
    for end in (0.95, 0.9, 0.8, 0.5):
        if least >= end:
            return end, 1.0
    for end in (0.05, 0.2, 0.5):
        if most <= end:
            return 0.0, end
    return 0.0, 1.0


def round_end(highs: Iterable[float]) -> float:
    """The next of 1, 2, 5 × 10ⁿ at or above all of these; 1 when there are none."""
    most = max(highs, default=1.0)
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return next((step * power for step in (1, 2, 5) if step * power >= most), 10 * power)


_SPAN_ENDS: Final = (
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1800,
    3600,
    7200,
    21600,
    43200,
    86400,
    172800,
    432000,
    864000,
)


def span_end(highs: Iterable[float]) -> float:
    """The next round span, in seconds, at or above all of these: 5 s, 30 s, 10 min, 2 h, 1 d."""
    most = max(highs, default=1.0)
    return next((float(end) for end in _SPAN_ENDS if end >= most), round_end([most]))


def ticks(places: Iterable[float], label: Callable[[float], str]) -> list[Tick]:
    return [Tick(place, label(place)) for place in places]
