"""The published schemas of result and comparison: `python -m reports.schema_file` writes them anew (`make schema`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.judge import compare, result

FOLDER: Final = Path(__file__).parent / "schema"
PATH: Final = FOLDER / "result-1.schema.json"
COMPARISON_PATH: Final = FOLDER / "comparison-1.schema.json"

if __name__ == "__main__":
    PATH.write_bytes(result.json_schema())
    COMPARISON_PATH.write_bytes(compare.json_schema())
