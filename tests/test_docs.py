"""What the documents promise is there."""

from __future__ import annotations

import re
from pathlib import Path

from harness.cli import _parser
from harness.plain_yaml import load
from tests import vendor_page

HOUSE = Path(__file__).parent.parent
README = (HOUSE / "README.md").read_text(encoding="utf-8")


def verbs() -> set[str]:
    """The verbs of the command, as its own parser knows them."""
    return next(set(action.choices) for action in _parser()._actions if action.choices and "demo" in action.choices)


def test_the_readme_names_every_verb():
    assert {verb for verb in verbs() if not re.search(rf"\b{verb}\b", README)} == set()


def test_every_file_the_readme_names_is_there():
    named = re.findall(r"`((?:docs|vendors|scenarios|reports)/[\w./-]+|[A-Z]+\.md)`", README)
    assert named and [name for name in named if not (HOUSE / name).exists()] == []
    assert (HOUSE / re.search(r"!\[.*\]\((.+)\)", README)[1]).is_file()


def test_the_two_commands_are_one_line_each_and_need_no_other_installer():
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert "smsbench demo" in commands[0] and "pytest" in commands[1]
    assert all("--require-hashes -r requirements/" in command for command in commands)


def test_pins_name_no_address():
    for path in (HOUSE / "requirements").glob("*.txt"):
        assert "://" not in path.read_text(encoding="utf-8")


def test_the_starter_files_are_read_as_they_stand():
    starter = HOUSE / "harness" / "starter"
    for path in starter.glob("*.yaml"):
        assert load(path.read_text(encoding="utf-8"), path.name)
    people = (starter / "recipients.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert people and all(re.match(r"r\d+,1\d\d0000\d{4},", line) for line in people)


def test_the_page_of_vendors_says_what_their_adapters_say():
    assert vendor_page.PAGE.read_text(encoding="utf-8") == vendor_page.page(), "run  make vendor-page"
