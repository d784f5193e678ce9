"""YAML in which every scalar is text and no key is written twice; the schema decides what a text means.

Common loaders turn 12:30 into 750 and 010 into 8. Here phone numbers, codes and versions come through as typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import yaml

from harness.errors import Complaint, ConfigError

Plain = str | list["Plain"] | dict[str, "Plain"]
Path = tuple[str, ...]

MOST_BYTES: Final = 1 << 20
MOST_NODES: Final = 50_000
MOST_DEPTH: Final = 40


@dataclass(frozen=True, slots=True)
class Located:
    """A document and the line (from 1) on which each of its values stands, by path ("vendors", "ali-main", "use")."""

    name: str
    value: Plain
    lines: dict[Path, int] = field(repr=False)

    def place(self, path: Path) -> str:
        """Where a value stands, in words: "evaluation.yaml, line 14: vendors.ali-main.use"."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        return f"{self.name}, line {line}: {'.'.join(path)}" if path else f"{self.name}, line {line}"


def load(text: str, name: str, *, shipped: bool = False) -> Plain:
    """Read a document. Raises ConfigError with place, value and way out. An empty document is an empty mapping.

    `shipped`: a file of our own.
    """
    return locate(text, name, shipped=shipped).value


# libyaml is eight times as fast, and a document that is nested too deep kills the process: for our own files only.
_SHIPPED: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def locate(text: str, name: str, *, shipped: bool = False) -> Located:
    """Read a document and remember the line of every value; `shipped`: a file of our own. Raises ConfigError."""
    if len(text.encode()) > MOST_BYTES:
        raise _wrong(name, 1, f"is larger than {MOST_BYTES} bytes", "Split it, or look for what was pasted by mistake.")
    try:
        root = yaml.compose(text, Loader=_SHIPPED if shipped else yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = [getattr(error, part, None) for part in ("context", "problem")]
        problem = ", ".join(str(part) for part in said if part) or str(error)
        raise _wrong(name, mark.line + 1 if mark else 1, problem, "Mend the YAML there.") from error
    except RecursionError as error:
        raise _wrong(name, 1, "is nested too deep", f"Keep it under {MOST_DEPTH} levels.") from error
    lines: dict[Path, int] = {}
    value: Plain = {} if root is None else _Reader(name, lines).read(root, (), 0)
    return Located(name, value, lines)


class _Reader:
    def __init__(self, name: str, lines: dict[Path, int]) -> None:
        self.name, self.lines, self.nodes = name, lines, 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Plain:
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _wrong(self.name, line, f"has more than {MOST_NODES} values", "Aliases that multiply are refused.")
        if depth > MOST_DEPTH:
            raise _wrong(self.name, line, "is nested too deep", f"Keep it under {MOST_DEPTH} levels.")
        self.lines.setdefault(path, line)
        if node.tag.startswith("!") or node.tag.startswith("tag:yaml.org,2002:python"):
            raise _wrong(self.name, line, f"has the tag {node.tag}", "Write the plain value without a tag.")
        match node:
            case yaml.ScalarNode():
                return str(node.value)
            case yaml.SequenceNode():
                return [self.read(item, (*path, str(index)), depth + 1) for index, item in enumerate(node.value)]
            case yaml.MappingNode():
                return self._mapping(node, path, depth)
        raise _wrong(self.name, line, f"holds a {type(node).__name__}", "Use text, lists and mappings.")

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> Plain:
        result: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _wrong(self.name, line, "has a key that is not plain text", "Write a simple key.")
            key = str(key_node.value)
            if key in result:
                first = self.lines[(*path, key)]
                raise _wrong(
                    self.name, line, f"the key {key!r} stands here and on line {first}", "Remove one of the two."
                )
            self.lines[(*path, key)] = line
            result[key] = self.read(value_node, (*path, key), depth + 1)
        return result


def _wrong(name: str, line: int, problem: str, way_out: str) -> ConfigError:
    return ConfigError([Complaint(place=f"{name}, line {line}", problem=problem, way_out=way_out)])
