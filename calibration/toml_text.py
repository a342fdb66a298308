"""TOML as people read and write it: lists that stand on one line, and the line of a mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["line_of", "toml_text"]

# A list of plain values over several lines, as tomli_w writes it; texts with brackets stay as they are.
_LIST = re.compile(r"\[\n((?:[^\S\n]+[^\[\]\n]+,\n)+)[^\S\n]*\]")
_LONGEST_LINE = 100


def toml_text(content: Mapping[str, Any]) -> str:
    """TOML whose lists of plain values stand on one line each, where they fit; tomli_w gives every value its own."""
    import tomli_w

    def joined(match: re.Match[str]) -> str:
        line = f"[{' '.join(part.strip() for part in match.group(1).splitlines()).strip().removesuffix(',')}]"
        return line if len(line) <= _LONGEST_LINE else match.group(0)

    return _LIST.sub(joined, tomli_w.dumps(content))


def line_of(file: Path, section: str, key: str) -> int | None:
    """The number of the line of a key in a section (empty: at the top) of a TOML file; None where it is not found."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    current = ""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("[") and not text.endswith(","):  # no row of a list
            current = text.split("]")[0].strip("[ ").replace('"', "").replace("'", "")
            if current == section and not key:
                return number
        elif key and current == section and text.split("=")[0].strip().strip("\"'") == key:
            return number
    return None
