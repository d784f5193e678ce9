"""The keyhole: vendors, scenarios and renderers by name. The only place where the hall reaches a wing.

A file in the folder is there, a description in `vendors/described/` as well as a module; packages from outside announce
themselves by entry point. A broken one is told by name and stops a run only if the evaluation uses it.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from harness.capabilities import Manifest
from harness.errors import Complaint, ConfigError

GROUPS: Final = {
    "vendors": "sms_harness.vendors",
    "scenarios": "sms_harness.scenarios",
    "reports": "sms_harness.renderers",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A plug-in or file that could not be imported."""

    name: str
    error: str


def _module_names(wing: str) -> list[str]:
    spec = importlib.util.find_spec(wing)
    if spec is None or not spec.submodule_search_locations:
        return []
    modules = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(module.name for module in modules if not module.ispkg and not module.name.startswith("_"))


def _outside(wing: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=GROUPS[wing])}


def _load(wing: str, name: str) -> ModuleType | Any:
    """A wing's module, or what an outside package announces under that name. Raises ImportError."""
    if name in _module_names(wing):
        return importlib.import_module(f"{wing}.{name}")
    points = _outside(wing)
    if name in points:
        return points[name].load()
    raise ImportError(f"there is no {name!r} in {wing}")


DESCRIPTIONS: Final = (".yaml", ".yml")
_MODULES: Final[dict[tuple[str, str], ModuleType]] = {}  # descriptions by file and text: compiled once


def described_names() -> list[str]:
    """The vendors that ship as a description, those among them that are coded as well included."""
    folder = resources.files("vendors").joinpath("described")
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))


def described(name: str) -> ModuleType:
    """The module that a shipped description stands for. Raises ConfigError with its mistakes."""
    file = resources.files("vendors").joinpath("described", f"{name}.yaml")
    return _described(file.read_text(encoding="utf-8"), f"{name}.yaml")


def description_skeleton(name: str) -> str:
    """A commented description to begin with, for a vendor of that id. Raises ConfigError for what cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name):
        way_out = "Use small letters, digits and underscores, such as acme."
        raise ConfigError([Complaint(place=f"vendors new {name}", problem="is no vendor id", way_out=way_out)])
    text = resources.files("vendors").joinpath("described", "skeleton.txt").read_text(encoding="utf-8")
    return text.replace("acme", name).replace("ACME", name.capitalize())


def _described(text: str, file: str) -> ModuleType:
    if (file, text) not in _MODULES:
        _MODULES[file, text] = importlib.import_module("vendors.declarative").module(text, file)
    return _MODULES[file, text]


def _described_at(path: Path) -> ModuleType:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror or "" if isinstance(error, OSError) else "is not UTF-8"
        way_out = "Name a description:  use: ./acme.yaml  (`smsbench vendors new acme` writes one to begin with)."
        raise ConfigError([Complaint(place=f"use: {path}", problem=problem, way_out=way_out)]) from error
    try:
        return _described(text, path.name)
    except ConfigError as error:  # its own lines stay, wherever the evaluation tells of it
        told = [
            Complaint(place=f"use: {path}", problem=f"{one.place}: {one.problem}", way_out=one.way_out)
            for one in error.complaints
        ]
        raise ConfigError(told) from error


def _vendor(name: str, folder: Path | None = None) -> ModuleType | Any:
    """A vendor's module, coded or described, or what an outside package announces. May raise anything."""
    if name.endswith(DESCRIPTIONS):
        return _described_at((folder or Path()) / name)
    if name not in _module_names("vendors") and name in described_names():
        return described(name)
    return _load("vendors", name)


def vendor_class(name: str, folder: Path | None = None) -> Any:
    """The vendor class of an adapter id, or of the description at a path (from `folder` on, if it is relative).

    Raises ConfigError: naming near ids, or with every mistake of a description.
    """
    try:
        found = _vendor(name, folder)
    except ConfigError:
        raise
    except Exception as error:  # a broken plug-in may raise anything; its name and words are the message
        known = [one for one in vendor_manifests() if isinstance(one, str)]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
        raise ConfigError([Complaint(place=f"use: {name}", problem=str(error), way_out=hint)]) from error
    found = getattr(found, "Vendor", found) if isinstance(found, ModuleType) else found
    if not isinstance(getattr(found, "manifest", None), Manifest):
        raise ConfigError(
            [Complaint(place=f"use: {name}", problem="has no manifest", way_out="See vendors/README.md.")]
        )
    return found


def vendor_module(name: str, folder: Path | None = None) -> ModuleType:
    """The module an adapter lives in: for its code tables. Raises ConfigError as `vendor_class` does."""
    kind = vendor_class(name, folder)
    found = _vendor(name, folder)
    return found if isinstance(found, ModuleType) else importlib.import_module(kind.__module__)


def vendor_manifests() -> Mapping[str, Manifest | Broken]:
    """Every adapter there is, by id; broken ones with their error."""
    found: dict[str, Manifest | Broken] = {}
    for name in dict.fromkeys([*_module_names("vendors"), *described_names(), *_outside("vendors")]):
        try:
            module = _vendor(name)
        except Exception as error:
            found[name] = Broken(name, f"{type(error).__name__}: {error}")
            continue
        kind = getattr(module, "Vendor", None) if isinstance(module, ModuleType) else module
        manifest = getattr(kind, "manifest", None)
        if isinstance(manifest, Manifest):
            found[name] = manifest
    return dict(sorted(found.items()))


def scenario(name: str) -> Any:
    """A scenario by its id: the one class of its file whose `id` is the file's name. Raises ConfigError."""
    try:
        module = _load("scenarios", name)
    except Exception as error:
        raise ConfigError(
            [Complaint(place=f"scenarios: {name}", problem=str(error), way_out="See scenarios/README.md.")]
        ) from error
    if not isinstance(module, ModuleType):
        return module()
    for value in vars(module).values():
        if isinstance(value, type) and getattr(value, "id", None) == name:
            return value()
    raise ConfigError(
        [Complaint(place=f"scenarios: {name}", problem="has no class with that id", way_out="See scenarios/README.md.")]
    )


def renderer(name: str) -> Callable[..., bytes]:
    """A renderer by its name: `render(result, words) -> bytes`. Raises ConfigError."""
    try:
        module = _load("reports", name)
    except Exception as error:
        raise ConfigError(
            [Complaint(place=f"report: {name}", problem=str(error), way_out="Use html, pdf, xlsx, junit or csv.")]
        ) from error
    render: Callable[..., bytes] = module.render if isinstance(module, ModuleType) else module
    return render


def sandbox(name: str) -> ModuleType:
    """A module of the sandbox: world, server, truth."""
    return importlib.import_module(f"vendors.sandbox.{name}")


def sandbox_file(name: str) -> str:
    """A text file that ships with the sandbox."""
    return resources.files("vendors.sandbox").joinpath(name).read_text(encoding="utf-8")


def starter_file(name: str) -> str:
    """A commented file to start an evaluation from."""
    return resources.files("harness").joinpath("starter", name).read_text(encoding="utf-8")
