"""Writes docs/vendors.md: what every vendor can do, what is absent and why, and how far its adapter is proven.

`make vendor-page` after a vendor was added or changed; a test holds the page to the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness import registry
from harness.capabilities import Capability, Manifest, capabilities_of
from harness.words import Words

PAGE: Final = Path(__file__).parent.parent / "docs" / "vendors.md"
HEAD: Final = """# What each vendor can do

Written by `make vendor-page` from the adapters themselves; `smsbench vendors` says the same at the command line. How to
add one: `vendors/README.md`.

**●** there · **–** not offered by the vendor · **○** not yet written: the vendor may have it. Standing is how far the
adapter itself is proven: *documented* from the vendor's documents, *sandboxed* against a counterpart written apart,
*recorded* with exchanges of the real vendor, *verified* by a live run. A *described* vendor is YAML
(`vendors/described/`), a *coded* one Python; *both* are held to the same bytes and readings.
"""


def _way(id: str) -> str:
    described = id in registry.described_names()
    coded = registry.vendor_class(id).__module__ != f"vendors.described.{id}"
    return "both" if described and coded else "described" if described else "coded"


def _mark(manifest: Manifest, capability: Capability, there: frozenset[Capability]) -> str:
    if capability in there:
        return "●"
    return "–" if manifest.absent[capability].kind == "not_offered" else "○"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def page() -> str:
    """The whole page."""
    words = Words("en")
    manifests = {id: one for id, one in registry.vendor_manifests().items() if isinstance(one, Manifest)}
    there = {id: capabilities_of(object.__new__(registry.vendor_class(id))) for id in manifests}
    lines = [HEAD, "| vendor | id | | sends by | standing |", "|---|---|---|---|---|"]
    for id, one in manifests.items():
        names = one.name["zh-CN"] if one.name["zh-CN"] == one.name["en"] else f"{one.name['en']} {one.name['zh-CN']}"
        by = "template" if one.by_template else "text"
        lines.append(f"| {_cell(names)} | `{id}` | {_way(id)} | {by} | {words.name('standing', one.standing)} |")
    columns = " | ".join(words.name("capability", capability) for capability in Capability)
    lines += ["", "## Capabilities", "", f"| | {columns} |", "|---|" + ":-:|" * len(Capability)]
    for id, one in manifests.items():
        marks = " | ".join(_mark(one, capability, there[id]) for capability in Capability)
        lines.append(f"| `{id}` | {marks} |")
    lines += ["", "## What is absent, and why", ""]
    for id, one in manifests.items():
        lines += [f"### {one.name['en']} (`{id}`)", ""]
        for capability, why in sorted(one.absent.items()):
            kind = "not offered" if why.kind == "not_offered" else "not yet written"
            lines.append(f"- {words.name('capability', capability)}: {kind}. {why.because}")
        lines += ["", "Written from:", *(f"- {one.title}, read {one.read_on}" for one in one.documents), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
