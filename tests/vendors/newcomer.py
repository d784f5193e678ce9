"""`make vendor id=acme`: writes what a new vendor needs, commented, for the contract suite to fail until it is filled.

Nothing that is there is written over.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SKELETON = Path(__file__).parent / "skeleton"
HOUSE = Path(__file__).resolve().parent.parent.parent
PLACES = {
    "adapter.txt": "vendors/{id}.py",
    "counterpart.txt": "vendors/sandbox/{id}.py",
    "test.txt": "tests/vendors/test_{id}.py",
    **{
        f"{name}.yaml.txt": f"tests/vendors/fixtures/{{id}}/{name}.yaml"
        for name in ("account", "submit", "push_reports", "codes", "world")
    },
}
TAKEN = (  # rooms of the wing, and no vendors
    *("reading", "signing", "carrier_codes", "sandbox", "carrier", "declarative", "described"),
)
NEXT = """Next: fill them from the vendor's documents, then
  pytest -q tests/vendors/test_contract.py tests/vendors/test_mutations.py tests/vendors/test_conversations.py -k {id}
until nothing fails and no "TO DO" is left. vendors/README.md says how."""


def skeleton(id: str, house: Path = HOUSE) -> list[Path]:
    """Write the files of a new vendor. Raises ValueError for an id that cannot be one or is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", id) or id in TAKEN:
        raise ValueError(f"{id!r} is no vendor id: small letters, digits and underscores, such as acme")
    places = {name: house / place.format(id=id) for name, place in PLACES.items()}
    if there := [place for place in places.values() if place.exists()]:
        raise ValueError(f"{there[0].relative_to(house)} is there already")
    for name, place in places.items():
        text = (SKELETON / name).read_text(encoding="utf-8")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.replace("acme", id).replace("ACME", id.capitalize()), encoding="utf-8")
    return list(places.values())


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("make vendor id=acme")
        return 2
    try:
        written = skeleton(arguments[0])
    except ValueError as error:
        print(error)
        return 2
    print(*(f"wrote {place.relative_to(HOUSE)}" for place in written), NEXT.format(id=arguments[0]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
