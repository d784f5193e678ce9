"""The published schema of the result document: `python -m reports.schema_file` writes it anew (`make schema`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.judge.result import json_schema

PATH: Final = Path(__file__).parent / "schema" / "result-1.schema.json"

if __name__ == "__main__":
    PATH.write_bytes(json_schema())
