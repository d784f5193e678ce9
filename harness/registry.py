"""The keyhole: vendors, scenarios and renderers by name. The only place where the hall reaches a wing.

A file in the folder is there; packages from outside announce themselves by entry point. A broken one is told by name
and stops a run only if the evaluation uses it.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import entry_points
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


def vendor_class(name: str) -> Any:
    """The vendor class of an adapter id. Raises ConfigError naming near ones."""
    try:
        found = _load("vendors", name)
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


def vendor_module(name: str) -> ModuleType:
    """The module an adapter lives in: for its code tables."""
    return importlib.import_module(vendor_class(name).__module__)


def vendor_manifests() -> Mapping[str, Manifest | Broken]:
    """Every adapter there is, by id; broken ones with their error."""
    found: dict[str, Manifest | Broken] = {}
    for name in [*_module_names("vendors"), *_outside("vendors")]:
        try:
            module = _load("vendors", name)
        except Exception as error:
            found[name] = Broken(name, f"{type(error).__name__}: {error}")
            continue
        kind = getattr(module, "Vendor", None) if isinstance(module, ModuleType) else module
        manifest = getattr(kind, "manifest", None)
        if isinstance(manifest, Manifest):
            found[name] = manifest
    return found


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
