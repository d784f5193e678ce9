"""The walls: who may import whom, in which order the hall is read, and which library lives in which room.

The checker works on any tree, so that planted breaches can prove that it finds what it should.
"""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import READING_ORDER

HOUSE = Path(__file__).resolve().parent.parent
WINGS = ("harness", "vendors", "scenarios", "reports")

# Room → what of the house it may import. The longest room that fits a module counts.
WALLS: dict[str, tuple[str, ...]] = {
    "harness": ("harness",),
    "harness.run": ("harness",),
    "harness.judge": ("harness",),
    "vendors": (
        *(f"harness.{room}" for room in ("domain", "text", "flow", "link", "capabilities", "plain_yaml", "errors")),
        *(f"vendors.{shared}" for shared in ("signing", "reading", "carrier_codes", "carrier")),
    ),
    "vendors.declarative": (
        *(f"harness.{room}" for room in ("domain", "text", "flow", "capabilities", "plain_yaml", "errors")),
        *(f"vendors.{shared}" for shared in ("signing", "reading", "carrier_codes", "declarative")),
    ),
    "vendors.sandbox": (
        *("harness.domain", "harness.text", "harness.plain_yaml"),
        *("vendors.signing", "vendors.carrier", "vendors.sandbox"),  # primitives; never what a vendor signs
    ),
    "scenarios": (
        *(f"harness.{room}" for room in ("domain", "facts", "capabilities", "content", "text", "run.board")),
        "scenarios",
    ),
    "vendors.carrier": (
        *(f"harness.{room}" for room in ("domain", "text", "errors", "link", "capabilities")),
        *("vendors.carrier_codes", "vendors.carrier"),
    ),
    "reports": (
        *("harness.words", "harness.domain"),
        *(f"harness.judge.{document}" for document in ("result", "compare", "trend")),
        "reports",
    ),
}
FORBIDDEN = {"harness.run": ("harness.judge",), "harness.judge": ("harness.run", "harness.clock")}
SEES_BOTH = (
    "harness.cli",
    "harness.desk",
    "harness.early",
    "harness.monthly",
    "harness.outlook",
)  # the front door and the rooms beside it

# Library → the only files (or folders) that may import it.
ROOMS: dict[str, tuple[str, ...]] = {
    "tenacity": ("harness/run/lines.py",),
    "pydantic": ("harness/codec.py",),
    "pandas": ("harness/judge/", "reports/"),
    "scipy": ("harness/judge/",),
    "numpy": ("harness/judge/",),
    "jinja2": ("reports/", "vendors/declarative/"),
    "xlsxwriter": ("reports/xlsx.py",),
    "yaml": ("harness/plain_yaml.py",),
    "phonenumbers": ("harness/numbering.py",),
    "starlette": ("harness/run/inbox.py",),
    "uvicorn": ("harness/run/play.py", "vendors/sandbox/"),
    "sqlite3": ("harness/ledger/sqlite.py",),
    "httptools": ("harness/run/wire.py", "vendors/sandbox/server.py"),
    "socket": ("harness/run/", "vendors/sandbox/server.py", "harness/cli.py"),
    "ssl": ("harness/run/", "vendors/sandbox/"),
    "threading": ("harness/ledger/sqlite.py",),
    "time": ("harness/clock.py",),
    "secrets": ("harness/clock.py",),
    "tests": (),
    "pytest": (),
}
# Flows, scenarios and the judge do no I/O and keep no time.
STILL = {
    "vendors/": ("asyncio", "socket", "ssl", "os"),
    "scenarios/": ("asyncio", "os"),
    "harness/judge/": ("asyncio", "os"),
}
CLIENTS = {
    f"httpx.{name}"
    for name in (
        "AsyncClient",
        "Client",
        "AsyncHTTPTransport",
        "HTTPTransport",
        "get",
        "post",
        "put",
        "request",
        "stream",
    )
}
CLIENT_ROOM = "vendors/sandbox/server.py"  # the simulated vendors' own posts to our inbox
DYNAMIC = {"import_module", "__import__", "exec", "eval"}
KEYHOLE = "harness/registry.py"


def modules(house: Path) -> dict[str, Path]:
    """Every module of the four packages, by its dotted name."""
    found = {}
    for wing in WINGS:
        for path in sorted((house / wing).rglob("*.py")):
            parts = path.relative_to(house).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.Module, known: dict[str, Path]) -> Iterator[str]:
    """Dotted names of what a module imports; `from package import module` counts as the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = f"{'.' * node.level}{node.module or ''}"
            longer = [f"{whole}.{alias.name}" for alias in node.names]
            yield from (name if name in known else whole for name in longer)


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def place(name: str, order: tuple[str, ...]) -> int | None:
    """Where a module of the hall stands in the reading order: with the longest entry that holds it."""
    fitting = [entry for entry in order if within(name, (f"harness.{entry}",))]
    return order.index(max(fitting, key=len)) if fitting else None


def breaches(house: Path, order: tuple[str, ...] = READING_ORDER) -> list[str]:
    """Every breach of a wall in a tree, as "module: what it did"."""
    known = modules(house)
    found = []
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        file = path.relative_to(house).as_posix()
        found += [f"{name}: {wrong}" for wrong in _wrongs(name, file, tree, known, order)]
    return found


def _wrongs(name: str, file: str, tree: ast.Module, known: dict[str, Path], order: tuple[str, ...]) -> Iterator[str]:
    room = max((room for room in WALLS if within(name, (room,))), key=len)
    here = place(name, order)
    for target in imported(tree, known):
        top = target.partition(".")[0]
        if target.startswith("."):
            yield f"imports relatively: {target}"
        if top in ROOMS and not file.startswith(ROOMS[top] or ("-",)):
            yield f"imports {top}, which lives elsewhere"
        for quiet, loud in STILL.items():
            # The sandbox is no adapter: it is a world with servers.
            if file.startswith(quiet) and not file.startswith("vendors/sandbox/") and top in loud:
                yield f"imports {top}, but does no I/O"
        if top not in WINGS:
            continue
        if not within(target, WALLS[room]) and not (target == room == "vendors"):
            yield f"imports {target}, beyond its wall"
        if within(target, FORBIDDEN.get(room, ())):
            yield f"imports {target}, across the ledger"
        there = place(target, order)
        if here is not None and there is not None and there > here and not within(target, (f"harness.{order[here]}",)):
            yield f"imports {target}, which stands below it"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CLIENTS and file != CLIENT_ROOM:
            yield f"uses {ast.unparse(node)}: only the line carries"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).removeprefix("importlib.")
        if called in DYNAMIC and not (called == "import_module" and (file == KEYHOLE or _stays_home(name, node))):
            yield f"calls {called}: wings are reached through the registry"


def _stays_home(name: str, call: ast.Call) -> bool:
    """Whether `import_module(f"{own package}.…")` only looks for members of the module's own family."""
    argument = call.args[0] if call.args else None
    if not isinstance(argument, ast.JoinedStr) or not isinstance(first := argument.values[0], ast.Constant):
        return False
    family = str(first.value).rstrip(".")
    return "." in family and within(name, (family,))


# --- the house ------------------------------------------------------------------------------------------------------


def test_no_wall_is_breached():
    assert breaches(HOUSE) == []


def test_every_module_of_the_hall_stands_in_the_reading_order():
    rooms = [name for name in modules(HOUSE) if name.startswith("harness.") and not name.endswith("__main__")]
    silent = {"harness.run", "harness.judge"}  # packages that are only folders
    assert all(not modules(HOUSE)[name].read_text(encoding="utf-8") for name in silent)
    missing = [name for name in rooms if name not in silent and place(name, READING_ORDER) is None]
    assert missing == []


def test_the_reading_order_names_nothing_that_is_not_there():
    known = modules(HOUSE)
    assert [entry for entry in READING_ORDER if f"harness.{entry}" not in known] == []
    assert len(set(READING_ORDER)) == len(READING_ORDER)


def test_the_front_door_stands_last_and_nobody_behind_it_sees_both_sides_of_the_ledger():
    known = modules(HOUSE)
    assert READING_ORDER[-1] == "cli"
    both = [
        name
        for name, path in known.items()
        if {"harness.run", "harness.judge"}
        <= {side for side in FORBIDDEN for one in imported(ast.parse(path.read_text()), known) if within(one, (side,))}
    ]
    assert sorted(both) == sorted(SEES_BOTH)


# --- the checker ----------------------------------------------------------------------------------------------------

PLANTED = {
    "harness/text.py": ("from harness import facts\n", "stands below it"),
    "harness/domain.py": ("import harness.cli\n", "stands below it"),
    "harness/facts.py": ("import vendors.acme\n", "beyond its wall"),
    "harness/run/lines.py": ("from harness.judge import stats\n", "across the ledger"),
    "harness/judge/stats.py": ("from harness.run.lines import x\n", "across the ledger"),
    "harness/config.py": ("import pydantic\n", "lives elsewhere"),
    "harness/run/engine.py": ("import httpx\nhttpx.AsyncClient()\n", "only the line carries"),
    "harness/errors.py": ("import importlib\nimportlib.import_module('vendors.acme')\n", "through the registry"),
    "harness/flow.py": ("eval('1')\n", "calls eval"),
    "harness/clock.py": ("from . import text\n", "imports relatively"),
    "vendors/acme.py": ("from harness.run.lines import x\n", "beyond its wall"),
    "vendors/other.py": ("from vendors import acme\n", "beyond its wall"),
    "vendors/slow.py": ("import asyncio\n", "does no I/O"),
    "vendors/sandbox/acme.py": ("from vendors.acme import Vendor\n", "beyond its wall"),
    "scenarios/delivery.py": ("from harness.run.engine import x\n", "beyond its wall"),
    "reports/html.py": ("from harness.ledger import x\n", "beyond its wall"),
    "reports/pdf.py": ("import tests.factory\n", "lives elsewhere"),
}


def _toy(house: Path) -> None:
    for folder in ("harness/run", "harness/judge", "vendors/sandbox", "scenarios", "reports"):
        (house / folder).mkdir(parents=True)
    for entry in READING_ORDER:
        file = house / "harness" / f"{entry.replace('.', '/')}.py"
        if entry not in ("ledger", "judge.criteria"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("", encoding="utf-8")
    (house / "vendors/acme.py").write_text("from harness.domain import Case\n", encoding="utf-8")
    (house / "harness/cli.py").write_text("from harness.judge import stats\nfrom harness.run import lines\n")


def test_a_clean_tree_has_no_breach(tmp_path):
    _toy(tmp_path)
    assert breaches(tmp_path) == []


@pytest.mark.parametrize("file", PLANTED)
def test_a_planted_breach_is_found(tmp_path, file):
    _toy(tmp_path)
    source, complaint = PLANTED[file]
    (tmp_path / file).write_text(source, encoding="utf-8")
    found = breaches(tmp_path)
    assert len(found) >= 1
    assert all(complaint in one or file.split("/")[-1].startswith(("lines", "stats")) for one in found), found
    assert any(complaint in one for one in found)


# --- the workshop ---------------------------------------------------------------------------------------------------


def test_a_test_that_reaches_out_is_stopped():
    with socket.socket() as one, pytest.raises(RuntimeError, match="loopback only"):
        one.connect(("192.0.2.1", 9))
    with pytest.raises(RuntimeError, match="resolve no names"):
        socket.getaddrinfo("www.example.com", 443)


def test_loopback_is_open_to_tests():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5) as client:
        assert client.getpeername() == server.getsockname()
