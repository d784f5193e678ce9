"""What is Emay's own, beyond what holds for every vendor."""

from __future__ import annotations

from typing import Any

# One line for each step of the signature: what is wrong, where, its name there, the wrong step. A known answer must
# fail with it (test_mutations.py collects these).
MUTATIONS: list[tuple[str, Any, str, Any]] = []
