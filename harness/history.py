"""The months: results kept in one folder, which of them a person made the baseline, and what happened on the way.

Nothing is ever overwritten in place: a file is written whole beside its place and then moved there, so that a kill
at any moment leaves the folder as it was or as it is to be. A result changed by hand is told by its digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from harness.codec import from_plain, to_plain
from harness.domain import BEIJING
from harness.errors import Complaint, ConfigError
from harness.judge.result import Result, parse

FORMAT: Final = "smsbench history"
VERSION: Final = 1
INDEX: Final = "history.json"
RESULTS: Final = "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A result in the history. `digest`: SHA-256 of its file, lower-case hex."""

    run: str
    evaluation: str
    month: str  # of the run's begin, in Beijing: "2026-03"
    began: str  # ISO 8601, UTC
    digest: str
    added_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blessing:
    """A person's word that a run is the baseline of its evaluation from now on."""

    run: str
    evaluation: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    kept: tuple[Kept, ...] = ()
    blessings: tuple[Blessing, ...] = ()


class History:
    """One folder of results. Raises ConfigError for what a person must put right; it never guesses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = self._read()

    # --- what is there ----------------------------------------------------------------------------------------------

    @property
    def kept(self) -> Sequence[Kept]:
        """All results, in the order in which their runs began."""
        return sorted(self._index.kept, key=lambda one: (one.began, one.run))

    @property
    def blessings(self) -> Sequence[Blessing]:
        """In the order in which they were given."""
        return self._index.blessings

    @property
    def evaluations(self) -> Sequence[str]:
        return sorted({one.evaluation for one in self._index.kept})

    def find(self, run: str) -> Kept:
        """A kept result by its run. Raises ConfigError, naming near ones."""
        for one in self._index.kept:
            if one.run == run:
                return one
        known = ", ".join(one.run for one in self.kept[-6:]) or "none yet"
        raise _wrong(f"{self.folder}", f"has no run {run}", f"It holds {known}. See `smsbench history`.")

    def blessed(self, evaluation: str) -> Kept | None:
        """The baseline of an evaluation: the run blessed last."""
        for one in reversed(self._index.blessings):
            if one.evaluation == evaluation:
                return self.find(one.run)
        return None

    def months(self, evaluation: str) -> Sequence[Kept]:
        """One result a month, in order: of a month that was run twice the blessed one, or else the later one."""
        baseline = self.blessed(evaluation)
        chosen: dict[str, Kept] = {}
        for one in self.kept:
            held = chosen.get(one.month)
            if one.evaluation == evaluation and (held is None or held != baseline):
                chosen[one.month] = one
        return [chosen[month] for month in sorted(chosen)]

    def twice(self, evaluation: str) -> Sequence[str]:
        """Months that were run more than once."""
        months = [one.month for one in self._index.kept if one.evaluation == evaluation]
        return sorted({month for month in months if months.count(month) > 1})

    def missing(self, evaluation: str) -> Sequence[str]:
        """Months without a result between the first and the last."""
        held = {one.month for one in self._index.kept if one.evaluation == evaluation}
        return [month for month in _months_between(min(held), max(held)) if month not in held] if held else []

    def strays(self) -> Sequence[Path]:
        """Files in the folder of results that no entry names: left by a kill, or put there by hand."""
        named = {self._path(one.run) for one in self._index.kept}
        return sorted(path for path in (self.folder / RESULTS).glob("*.json") if path not in named)

    def result(self, kept: Kept) -> Result:
        """Read a kept result. Raises ConfigError if its file is gone or was changed."""
        path = self._path(kept.run)
        try:
            raw = path.read_bytes()
        except FileNotFoundError as error:
            way_out = f"Put it back, or score that run again and  smsbench history --add runs/{kept.run}"
            raise _wrong(str(path), "is gone", way_out) from error
        if hashlib.sha256(raw).hexdigest() != kept.digest:
            way_out = f"Bring back the file of {kept.added_at[:10]}, or  smsbench history --add runs/{kept.run}"
            raise _wrong(str(path), "was changed after it was kept (its digest differs)", way_out)
        return parse(raw, path.name)

    # --- what is written --------------------------------------------------------------------------------------------

    def add(self, raw: bytes, *, at: datetime, name: str = "result.json") -> Kept:
        """Keep a result document. The same one again changes nothing; a run scored anew takes its old place.

        Raises ConfigError if it is no result, or its times cannot be.
        """
        result = parse(raw, name)
        began = datetime.fromisoformat(result.run.began)
        if began > at:
            problem = f"began {result.run.began}, which is yet to come by this machine's clock ({at.isoformat()})"
            raise _wrong(name, problem, "Set the clock right, then add it again.")
        if result.run.ended is not None and datetime.fromisoformat(result.run.ended) < began:
            raise _wrong(name, "ended before it began: the clock jumped during the run", "Run this month again.")
        kept = Kept(
            run=result.run.id,
            evaluation=result.run.evaluation,
            month=month_of(began),
            began=result.run.began,
            digest=hashlib.sha256(raw).hexdigest(),
            added_at=at.isoformat(),
        )
        known = next((one for one in self._index.kept if one.run == kept.run), None)
        if known is not None and known.digest == kept.digest:
            with contextlib.suppress(ConfigError):
                self.result(known)
                return known
        write_whole(self._path(kept.run), raw)
        others = tuple(one for one in self._index.kept if one.run != kept.run)
        self._write(replace(self._index, kept=(*others, kept)))
        return kept

    def bless(self, run: str, *, by: str, at: datetime) -> Blessing:
        """Make a kept result the baseline of its evaluation. Raises ConfigError if it is not there or was changed."""
        kept = self.find(run)
        self.result(kept)
        blessing = Blessing(run=run, evaluation=kept.evaluation, by=by, at=at.isoformat())
        if (now := self.blessed(kept.evaluation)) is None or now.run != run:
            self._write(replace(self._index, blessings=(*self._index.blessings, blessing)))
        return blessing

    # --- the file ---------------------------------------------------------------------------------------------------

    def _path(self, run: str) -> Path:
        return self.folder / RESULTS / f"{run}.json"

    def _read(self) -> _Index:
        path = self.folder / INDEX
        if not path.is_file():
            return _Index()
        try:
            plain: Mapping[str, Any] = json.loads(path.read_bytes())
            if plain["format"] != FORMAT or plain["version"] != VERSION:
                raise ValueError(f"is {plain['format']} of version {plain['version']}, not {FORMAT} {VERSION}")
            return from_plain(_Index, {"kept": plain["kept"], "blessings": plain["blessings"]})
        except (ValueError, KeyError, TypeError) as error:
            way_out = "Bring back an earlier copy, or move it away and add each result with  smsbench history --add"
            raise _wrong(str(path), f"cannot be read ({str(error)[:200]})", way_out) from error

    def _write(self, index: _Index) -> None:
        plain = {"format": FORMAT, "version": VERSION, **to_plain(index)}
        write_whole(self.folder / INDEX, (json.dumps(plain, ensure_ascii=False, indent=1) + "\n").encode())
        self._index = index


def month_of(moment: datetime) -> str:
    """The Beijing month of an instant: "2026-03"."""
    return f"{moment.astimezone(BEIJING):%Y-%m}"


def write_whole(path: Path, body: bytes) -> None:
    """Write a file so that whoever looks sees the old one or the new one, never half of it, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _months_between(first: str, last: str) -> Iterator[str]:
    year, month = map(int, first.split("-"))
    while (one := f"{year:04d}-{month:02d}") <= last:
        yield one
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _wrong(place: str, problem: str, way_out: str) -> ConfigError:
    return ConfigError([Complaint(place=place, problem=problem, way_out=way_out)])
